"""Further scores of the teacher of objects: a whole matrix of judgments, and triplets that many people answered."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from humalign.chain import teach
from humalign.chain.judged import CLIP, Name, forty_eight, things
from humalign.chain.photograph_scores import gains
from humalign.chain.pipeline import Run
from humalign.data.judgments import ByObject, Choices, cosine_similarities, entropy
from humalign.evaluation import odd_one_out, people, rsa, uncertainty
from humalign.evaluation.scores import Estimate, resamples
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.teacher import AffineTeacher, regressed

MATRIX, REPEATED = "48 objects, unseen", "repeated triplets, unseen objects"


def rows(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Yield every further score of the teacher of objects."""
    for part in (_forty_eight, _repeated):
        yield from part(run)


def _forty_eight(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """RSA with the matrix of 48 objects, each of whose triplets was asked, by teachers of all other objects (unit: object).

    The objects' own answers are left out of the fit; how far an object may stray from its map is taken from the first fold, whose
    training objects include some of the 48.
    """
    profile, known = run.profile, things()
    judged, objects = forty_eight(known)
    others = np.setdiff1d(np.arange(len(known.features)), objects)
    settings = teach.notes(run, profile.teachers[0], "fold0")["teacher"]
    weights = resamples(len(objects), profile.evaluation.bootstrap_draws, profile.seed)
    shown, told = known.features[objects], known.features[others]
    teachers: dict[str, AffineTeacher] = {
        "ridge": regressed(told, known.published[others]),
        "teacher": MixedEffectsTeacher(**settings).fit(told, known.answers[others]),
    }
    places = {"teacher-base": shown} | {stage: teacher.transform(shown) for stage, teacher in teachers.items()}
    found = {
        (stage, f"rsa-{metric}"): estimate
        for stage, each in places.items()
        for metric, estimate in rsa.matrices(rsa.dissimilarities(each), judged, weights).items()
    }
    for (stage, metric), estimate in gains(found):
        yield (CLIP, stage, "similarity-judgments", MATRIX, metric), estimate
    choices = {(CLIP, stage): places[stage] for stage in teachers} | {("vice-published", "observer"): known.published[objects]}
    for (model, stage), each in choices.items():
        own = rsa.choice_dissimilarities(people.dot_similarity(each))
        for metric, estimate in rsa.matrices(own, judged, weights).items():
            yield (model, stage, "similarity-judgments", MATRIX, f"rsa-own-{metric}"), estimate


def _repeated(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Agreement with many people's answers to one triplet, all of whose objects were left out of the fit (unit: object).

    Each triplet that lies inside a fold's test objects is answered by the teacher of that fold.
    """
    profile, known = run.profile, things()
    fold = np.empty(len(known.features), dtype=int)
    for number, (_, test) in enumerate(known.folds(profile)):
        fold[test] = number
    home = fold[known.repeated.triplets]
    inside = np.flatnonzero((home == home[:, :1]).all(1))
    asked = Choices(known.repeated.triplets[inside], known.repeated.counts[inside])
    weights = resamples(len(known.features), profile.evaluation.bootstrap_draws, profile.seed)
    likely = {stage: np.empty((len(asked), 3)) for stage in ("teacher-base", "teacher")}
    for number, (train, _) in enumerate(known.folds(profile)):
        here = home[inside, 0] == number
        heat = uncertainty.fit_temperature(known.features[train][None], known.answers[train])
        likely["teacher-base"][here] = softmax(cosine_similarities(known.features, asked.triplets[here]) / heat, axis=1)
        teacher = teach.fitted(run, run.profile.teachers[0], f"fold{number}", "teacher")
        likely["teacher"][here] = teacher.choice_probabilities(known.features, asked.triplets[here])
    answers = ByObject(asked.triplets, asked.shares, len(known.features))
    accurate = {(stage, "accuracy"): people.accuracy(each, answers, weights) for stage, each in likely.items()}
    for (stage, metric), estimate in gains(accurate):
        yield (CLIP, stage, "odd-one-out", REPEATED, metric), estimate
    yield ("people", "ceiling", "odd-one-out", REPEATED, "accuracy"), odd_one_out.noise_ceiling(asked, weights)
    for (stage, metric), estimate in gains({(stage, m): e for stage, each in likely.items() for m, e in _unsure(each, asked, weights)}):
        yield (CLIP, stage, "uncertainty", REPEATED, metric), estimate


def _unsure(
    likely: Float[np.ndarray, "m 3"], asked: Choices, weights: Float[np.ndarray, "draws objects"]
) -> Iterator[tuple[str, Estimate]]:
    """Yield cross-entropy with people's answers, and the agreement of entropies."""
    surprise = -(asked.shares * np.log(likely)).sum(1)
    yield "cross-entropy", odd_one_out.triplet_mean(surprise, asked.triplets, weights)
    yield "entropy-spearman", uncertainty.entropies_agree(entropy(likely), asked, weights)
