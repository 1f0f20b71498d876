"""Scores of the teacher of THINGS objects, on objects that it never saw."""

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
    #: its features of all objects by stage: as they are, and as each baseline of the training objects does.
    base: dict[str, Space]
    fitted: dict[str, AffineTeacher]  #: maps by recipe.
    #: of the cosines of each stage of ``base``, fitted to the training objects.
    temperature: dict[str, float]

    def space(self, rows: Int[np.ndarray, " m"]) -> dict[str, Space]:
        """Return some objects' embeddings at every stage."""
        x = self.base["teacher-base"][rows]
        mapped = {stage: np.asarray(each.transform(x)) for stage, each in self.fitted.items()}
        return {stage: each[rows] for stage, each in self.base.items()} | mapped

    def chances(
        self, rows: Int[np.ndarray, " m"], asked: Int[np.ndarray, "n 3"]
    ) -> dict[str, Float[np.ndarray, "n 3"]]:
        """Return choice probabilities at every stage: a fitted map's own, else by cosines and temperature."""
        similar = {stage: cosine_similarities(x[rows], asked) for stage, x in self.base.items()}
        found = {stage: softmax(each / self.temperature[stage], axis=1) for stage, each in similar.items()}
        x = self.base["teacher-base"][rows]
        return found | {stage: each.choice_probabilities(x, asked) for stage, each in self.fitted.items()}


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
        likeliest, answers = odd_one_out.fit_temperature, known.answers[part.train]
        temperature = {stage: likeliest(each[part.train][None], answers) for stage, each in base.items()}
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
    """Accuracy, calibration, dimensions on test objects: means over folds, objects resampled within each."""
    known = things(run.profile.evidence)
    yield from over_folds(_fold(run, known, fold) for fold in folds(run))


def _fold(run: Run, known: Things, fold: Fold) -> Iterator[Row]:
    test, model = fold.part.test, fold.model
    answers, drawn = known.answers[test], of_fold(run.profile, len(test), fold.number)
    space, chances = fold.space(test), fold.chances(test, answers.triplets)
    cosine = {stage: cosine_similarities(x, answers.triplets) for stage, x in space.items()}
    right = {stage: people.accuracy(each, answers, drawn) for stage, each in cosine.items()}
    found = {(model, stage): {"accuracy": each} for stage, each in right.items()}
    for stage in fold.fitted:
        found[model, stage]["accuracy-dot"] = people.accuracy(chances[stage], answers, drawn)
    yield from measures(found, "odd-one-out", UNSEEN)
    before_after, categories = (*fold.base, "teacher"), known.categories.iloc[test]
    kinds = {}
    for stage in before_after:
        kinds[model, stage] = dict(people.by_category(cosine[stage], answers, categories, drawn))
    for category, estimate in kinds[model, "teacher"].items():
        if estimate.n >= LEAST:
            of_category = {name: scored[category] for name, scored in kinds.items()}
            yield from compared(of_category, "odd-one-out", f"category/{category}", "accuracy")
    calibrated = {(model, stage): people.calibration(each, answers, drawn) for stage, each in chances.items()}
    errors = {name: error for name, (error, _) in calibrated.items()}
    yield from compared(errors, "calibration", UNSEEN, "expected-calibration-error")
    for name, (_, steps) in calibrated.items():
        for step, (sure, hit) in steps.items():
            yield from measures({name: {"confidence": sure, "accuracy": hit}}, "calibration", f"step {step}")
    if fold.answers:
        yield from _published(known, test, model, {stage: space[stage] for stage in before_after}, drawn)


def _published(
    known: Things, test: np.ndarray, model: str, space: dict[str, Space], drawn: np.ndarray
) -> Iterator[Row]:
    """Accuracy of the published VICE, which has seen the objects; similarity of each dimension's highest."""
    answers, published = known.answers[test], known.published[test]
    dots = people.pair_values(people.dot_similarity(published), answers.triplets)
    cosine = cosine_similarities(published, answers.triplets)
    for metric, each in (("accuracy-dot", dots), ("accuracy", cosine)):
        right = people.accuracy(each, answers, drawn)
        yield Row("vice-published", "observer", "odd-one-out", UNSEEN, metric, right)
    similar = {(model, stage): people.cosines(x) for stage, x in space.items()}
    similar[model, "teacher"] = people.dot_similarity(space["teacher"])
    for d, strength in enumerate(published.T):
        label = ", ".join(known.names[o] for o in np.argsort(-known.published[:, d])[:3])
        found = {name: people.shared_dimension(each, strength, drawn) for name, each in similar.items()}
        yield from compared(found, "dimensions", label, "similarity")


def matrix(run: Run) -> Iterator[Row]:
    """RSA with the matrix of 48 objects, by teachers of all other objects (unit: object)."""
    known, teacher = things(run.profile.evidence), further.of_objects(run.profile)
    if teacher is None:
        return
    told, rows = judged.forty_eight(known)
    x, places = known.features, further.read(run, "judged-matrix")
    others, dim = np.setdiff1d(np.arange(len(x)), rows), min(x.shape[1], places["teacher"].shape[1])
    teachers = {stage: places[stage] for stage in ("ridge", "teacher")}
    beside = _beside(run, x, others, dim, teacher.parts.folds)
    space = {"teacher-base": x[rows]} | {stage: each[rows] for stage, each in beside.items()} | teachers
    apart = {(judged.CLIP, stage): {"rsa": rsa.dissimilarities(each)} for stage, each in space.items()}
    own = {(judged.CLIP, stage): each for stage, each in teachers.items()}
    for name, each in {**own, ("vice-published", "observer"): known.published[rows]}.items():
        apart.setdefault(name, {})["rsa-own"] = rsa.choice_dissimilarities(people.dot_similarity(each))
    drawn, found = weights(run.profile, len(rows)), dict[Model, dict[str, Estimate]]()
    for name, several in apart.items():
        for kind, each in several.items():
            scored = rsa.matrices(each, told, drawn).items()
            found.setdefault(name, {}).update({f"{kind}-{metric}": estimate for metric, estimate in scored})
    yield from measures(found, "similarity-judgments", MATRIX)


def repeated(run: Run) -> Iterator[Row]:
    """Agreement with people's answers to triplets of a fold's test objects, by its teacher (unit: object)."""
    known, all_folds = things(run.profile.evidence), folds(run)
    if not all_folds:
        return
    at = home(all_folds, known.repeated.triplets)
    held = np.flatnonzero(at >= 0)
    asked = Choices(known.repeated.triplets[held], known.repeated.counts[held])
    everything, drawn = np.arange(len(known.names)), weights(run.profile, len(known.names))
    stages = (*all_folds[0].base, "teacher")
    likely, cosine = ({stage: np.empty((len(asked), 3)) for stage in stages} for _ in range(2))
    for fold in all_folds:
        here = at[held] == fold.number
        triplets = asked.triplets[here]
        chances, space = fold.chances(everything, triplets), fold.space(everything)
        for stage in stages:
            likely[stage][here] = chances[stage]
            cosine[stage][here] = cosine_similarities(space[stage], triplets)
    answers = judged.ByObject(asked.triplets, asked.shares, len(known.names))
    model = all_folds[0].model
    found = {(model, stage): people.accuracy(each, answers, drawn) for stage, each in cosine.items()}
    yield from compared(found, "odd-one-out", REPEATED, "accuracy")
    yield Row(*PEOPLE, "odd-one-out", REPEATED, "accuracy", odd_one_out.noise_ceiling(asked, drawn))
    unsure = {(model, stage): _unsure(each, asked, drawn) for stage, each in likely.items()}
    yield from measures(unsure, "uncertainty", REPEATED)


def _unsure(
    likely: Float[np.ndarray, "m 3"], asked: Choices, drawn: Float[np.ndarray, "draws objects"]
) -> dict[str, Estimate]:
    """Return cross-entropy with people's answers, and the agreement of entropies."""
    surprise = -(asked.shares * np.log(likely)).sum(1)
    return {
        "cross-entropy": odd_one_out.triplet_mean(surprise, asked.triplets, drawn),
        "entropy-spearman": odd_one_out.entropies_agree(entropy(likely), asked, drawn),
    }
