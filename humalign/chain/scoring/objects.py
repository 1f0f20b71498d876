"""Scores of the teacher of the THINGS objects, on objects that it never saw: answers, calibration, dimensions, a matrix of judgments."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from humalign.chain import features, further, judged, teach
from humalign.chain.judged import Things, things
from humalign.chain.pipeline import Run, stream
from humalign.chain.scoring.rows import PEOPLE, Model, Row, compared, measures, of_fold, over_folds, weights
from humalign.data.judgments import Choices, cosine_similarities, entropy
from humalign.evaluation import baselines, odd_one_out, people, rsa
from humalign.evaluation.scores import Estimate
from humalign.profiles import Teacher
from humalign.teach.teacher import AffineTeacher

UNSEEN, MATRIX, REPEATED = "unseen objects", "48 objects, unseen", "repeated triplets, unseen objects"
# Answers about a category, at least, for a score of its own.
LEAST = 200
Space = Float[np.ndarray, "things dim"]


@dataclasses.dataclass(frozen=True)
class Fold:
    """One fold of the teacher of objects: what it maps, and what was fitted to the training objects."""

    number: int
    part: judged.Part
    model: str  #: that is mapped.
    answers: bool  #: whether the learner is that of several recipes on answers.
    #: its features of all objects, as they are and as each baseline of the training objects has them, by
    #: stage.
    base: dict[str, Space]
    fitted: dict[str, AffineTeacher]  #: maps by recipe.
    #: of the cosines of each stage of ``base``, fitted to the training objects.
    temperature: dict[str, float]

    def space(self, rows: Int[np.ndarray, " m"]) -> dict[str, Space]:
        """Return some objects' embeddings at every stage."""
        mapped = {stage: np.asarray(each.transform(self.base["teacher-base"][rows])) for stage, each in self.fitted.items()}
        return {stage: x[rows] for stage, x in self.base.items()} | mapped

    def chances(self, rows: Int[np.ndarray, " m"], asked: Int[np.ndarray, "n 3"]) -> dict[str, Float[np.ndarray, "n 3"]]:
        """Return choice probabilities at every stage: by cosines where nothing is fitted but their temperature, else by dot products."""
        found = {s: softmax(cosine_similarities(x[rows], asked) / self.temperature[s], axis=1) for s, x in self.base.items()}
        return found | {s: each.choice_probabilities(self.base["teacher-base"][rows], asked) for s, each in self.fitted.items()}


def folds(run: Run, teacher: Teacher | None = None) -> list[Fold]:
    """Return every fold of a teacher of objects, the profile's first; none where it has no such teacher."""
    if (teacher := teacher or further.of_objects(run.profile)) is None:
        return []
    known, model = things(run.profile.evidence), judged.labels_with(teacher)
    x = known.features if model == judged.CLIP else features.teacher_base(run, teacher, model, "things")
    recipes = teach.ANSWERS if teacher.learner == "answers" else ("teacher",)
    parts = [part for part in judged.parts(run, teacher) if judged.kind(part.name) == "folds"]
    found = []
    for number, part in enumerate(parts):
        fitted = {recipe: features.fitted(run, teacher, part.name, recipe) for recipe in recipes}
        base = {"teacher-base": x} | _beside(run, x, part.train, baselines.rank_of(fitted["teacher"]), number)
        answers = known.answers[part.train]
        temperature = {stage: odd_one_out.fit_temperature(each[part.train][None], answers) for stage, each in base.items()}
        found.append(Fold(number, part, model, teacher.learner == "answers", base, fitted, temperature))
    return found


def home(folds: Sequence[Fold], asked: Int[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """Return in the test objects of which fold each triplet lies; -1 where it crosses their borders."""
    found = np.full(len(asked), -1)
    for fold in folds:
        found[np.isin(asked, fold.part.test).all(1)] = fold.number
    return found


def _beside(run: Run, x: Space, train: Int[np.ndarray, " m"], rank: int, number: int) -> dict[str, Space]:
    """Return all objects' features as each baseline of the training objects has them."""
    found = baselines.of_pictures(x, x[train], rank, stream(run.profile, 21, number))
    return {f"teacher-{kind}": each for kind, each in found.items()}


def objects(run: Run) -> Iterator[Row]:
    """Accuracy, calibration and dimensions on the test objects: means over folds, objects resampled within each."""
    known = things(run.profile.evidence)
    yield from over_folds(_fold(run, known, fold) for fold in folds(run))


def _fold(run: Run, known: Things, fold: Fold) -> Iterator[Row]:
    test, model = fold.part.test, fold.model
    answers, drawn = known.answers[test], of_fold(run.profile, len(test), fold.number)
    space, chances = fold.space(test), fold.chances(test, answers.triplets)
    cosine = {stage: cosine_similarities(x, answers.triplets) for stage, x in space.items()}
    found = {(model, stage): {"accuracy": people.accuracy(each, answers, drawn)} for stage, each in cosine.items()}
    for stage in fold.fitted:
        found[model, stage]["accuracy-dot"] = people.accuracy(chances[stage], answers, drawn)
    yield from measures(found, "odd-one-out", UNSEEN)
    before_after = (*fold.base, "teacher")
    kinds = {
        (model, stage): dict(people.by_category(cosine[stage], answers, known.categories.iloc[test], drawn)) for stage in before_after
    }
    for category, estimate in kinds[model, "teacher"].items():
        if estimate.n >= LEAST:
            yield from compared({name: each[category] for name, each in kinds.items()}, "odd-one-out", f"category/{category}", "accuracy")
    calibrated = {(model, stage): people.calibration(each, answers, drawn) for stage, each in chances.items()}
    errors = {name: error for name, (error, _) in calibrated.items()}
    yield from compared(errors, "calibration", UNSEEN, "expected-calibration-error")
    for name, (_, steps) in calibrated.items():
        for step, (sure, right) in steps.items():
            for metric, estimate in (("confidence", sure), ("accuracy", right)):
                yield Row(*name, "calibration", f"step {step}", metric, estimate)
    if fold.answers:
        yield from _published(known, test, model, {stage: space[stage] for stage in before_after}, drawn)


def _published(known: Things, test: np.ndarray, model: str, space: dict[str, Space], drawn: np.ndarray) -> Iterator[Row]:
    """Accuracy of the published VICE, which has seen these objects; similarity of the objects that are highest on each dimension."""
    answers, published = known.answers[test], known.published[test]
    dots = people.pair_values(people.dot_similarity(published), answers.triplets)
    yield Row("vice-published", "observer", "odd-one-out", UNSEEN, "accuracy-dot", people.accuracy(dots, answers, drawn))
    cosine = cosine_similarities(published, answers.triplets)
    yield Row("vice-published", "observer", "odd-one-out", UNSEEN, "accuracy", people.accuracy(cosine, answers, drawn))
    similar = {stage: people.dot_similarity(x) if stage == "teacher" else people.cosines(x) for stage, x in space.items()}
    for d in range(published.shape[1]):
        label = ", ".join(known.names[o] for o in np.argsort(-known.published[:, d])[:3])
        found = {(model, stage): people.shared_dimension(each, published[:, d], drawn) for stage, each in similar.items()}
        yield from compared(found, "dimensions", label, "similarity")


def matrix(run: Run) -> Iterator[Row]:
    """RSA with the matrix of 48 objects, each of whose triplets was asked, by teachers of all other objects (unit: object)."""
    known, teacher = things(run.profile.evidence), further.of_objects(run.profile)
    if teacher is None:
        return
    told, rows = judged.forty_eight(known)
    others, x, places = np.setdiff1d(np.arange(len(known.features)), rows), known.features, further.read(run, "judged-matrix")
    teachers = {stage: places[stage] for stage in ("ridge", "teacher")}
    beside = _beside(run, x, others, min(x.shape[1], places["teacher"].shape[1]), teacher.parts.folds)
    space = {"teacher-base": x[rows]} | {stage: each[rows] for stage, each in beside.items()} | teachers
    drawn = weights(run.profile, len(rows))
    found: dict[Model, dict[str, Estimate]] = {
        (judged.CLIP, stage): rsa.matrices(rsa.dissimilarities(each), told, drawn) for stage, each in space.items()
    }
    own = {(judged.CLIP, stage): space[stage] for stage in teachers} | {("vice-published", "observer"): known.published[rows]}
    for name, each in own.items():
        choices = rsa.matrices(rsa.choice_dissimilarities(people.dot_similarity(each)), told, drawn)
        found[name] = found.get(name, {}) | {f"own-{metric}": estimate for metric, estimate in choices.items()}
    named = {name: {f"rsa-{metric}": estimate for metric, estimate in each.items()} for name, each in found.items()}
    yield from measures(named, "similarity-judgments", MATRIX)


def repeated(run: Run) -> Iterator[Row]:
    """Agreement with many people's answers to one triplet, all of whose objects were left out of the fit (unit: object).

    Each triplet that lies inside a fold's test objects is answered by the teacher of that fold.
    """
    known, all_folds = things(run.profile.evidence), folds(run)
    if not all_folds:
        return
    at = home(all_folds, known.repeated.triplets)
    held = np.flatnonzero(at >= 0)
    asked = Choices(known.repeated.triplets[held], known.repeated.counts[held])
    everything, drawn = np.arange(len(known.names)), weights(run.profile, len(known.names))
    stages = (*all_folds[0].base, "teacher")
    likely = {stage: np.empty((len(asked), 3)) for stage in stages}
    cosine = {stage: np.empty((len(asked), 3)) for stage in stages}
    for fold in all_folds:
        here = at[held] == fold.number
        chances, space = fold.chances(everything, asked.triplets[here]), fold.space(everything)
        for stage in stages:
            likely[stage][here], cosine[stage][here] = chances[stage], cosine_similarities(space[stage], asked.triplets[here])
    answers = judged.ByObject(asked.triplets, asked.shares, len(known.names))
    model = all_folds[0].model
    found = {(model, stage): people.accuracy(each, answers, drawn) for stage, each in cosine.items()}
    yield from compared(found, "odd-one-out", REPEATED, "accuracy")
    yield Row(*PEOPLE, "odd-one-out", REPEATED, "accuracy", odd_one_out.noise_ceiling(asked, drawn))
    yield from measures({(model, stage): _unsure(each, asked, drawn) for stage, each in likely.items()}, "uncertainty", REPEATED)


def _unsure(likely: Float[np.ndarray, "m 3"], asked: Choices, drawn: Float[np.ndarray, "draws objects"]) -> dict[str, Estimate]:
    """Return cross-entropy with people's answers, and the agreement of entropies."""
    surprise = -(asked.shares * np.log(likely)).sum(1)
    return {
        "cross-entropy": odd_one_out.triplet_mean(surprise, asked.triplets, drawn),
        "entropy-spearman": odd_one_out.entropies_agree(entropy(likely), asked, drawn),
    }
