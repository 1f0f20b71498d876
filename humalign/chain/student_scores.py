"""Scores of students on real people: before and after alignment, with the control beside it, on pictures that no teacher saw."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import t

from humalign.chain import curves, photographs, sets
from humalign.chain import features as of_models
from humalign.chain.inputs import stream
from humalign.chain.judged import Name, things
from humalign.chain.photograph_scores import ACROSS, each_person
from humalign.chain.pipeline import Run
from humalign.data import readers_labels, registry
from humalign.data.judgments import cosine_similarities
from humalign.evaluation import few_shot, people, soft_labels
from humalign.evaluation.scores import Estimate, mean_of_folds, resamples

STAGES = ("base", "unaligned", "aligned-head", "aligned")
# Which stages a difference is taken from; the paired draws make its interval.
REFERENCES = {"unaligned": ("base",), "aligned-head": ("base", "unaligned"), "aligned": ("base", "unaligned", "aligned-head")}


@dataclasses.dataclass(frozen=True)
class Features:
    """What a model at a stage makes of each set: ``features["cifar10"]`` is (images, dim)."""

    run: Run
    model: str
    stage: str
    part: str

    def __getitem__(self, which: str) -> Float[np.ndarray, "images dim"]:
        """Read the features of one set."""
        return of_models.read(self.run, self.model, self.stage, which, self.part)


def rows(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Yield every score of the students."""
    for model in run.profile.backbones:
        for part in (_similarity_judgments, _odd_one_out, _classification):
            yield from part(run, model)
    yield from _dense_against_sparse(run)


def features_of(run: Run, stage: str, half: int | None = None, model: str | None = None) -> Features:
    """Return features of a stage by set; of an aligned student, the one whose teacher did not see a half of the photographs.

    The student is the first one where no ``model`` is named.
    """
    model = model or run.profile.backbones[0]
    return Features(run, model, stage, "all" if half is None else f"half{half}")


def _stages(run: Run, model: str) -> tuple[str, ...]:
    """Return the stages of a student: with the official head there is only the first."""
    return tuple(stage for stage in STAGES if stage != "aligned-head" or model == run.profile.backbones[0])


def compared(
    run: Run, task: str, split: str, metric: str, found: dict[str, Estimate], model: str | None = None
) -> Iterator[tuple[Name, Estimate]]:
    """Yield each stage's estimate, and its paired differences from the stages before it."""
    model = model or run.profile.backbones[0]
    for stage, estimate in found.items():
        yield (model, stage, task, split, metric), estimate
        for reference in REFERENCES.get(stage, ()):
            if reference in found:
                yield (model, stage, task, split, f"{metric}-above-{reference}"), estimate - found[reference]


def _similarity_judgments(run: Run, model: str) -> Iterator[tuple[Name, Estimate]]:
    """RSA with the judgments of the 92 photographs (units: people and images, drawn together)."""
    judged = sets.similarity_92()
    settings: Any = {"draws": run.profile.evaluation.bootstrap_draws, "seed": run.profile.seed}
    alike = {stage: people.backbone_similarity(features_of(run, stage, None, model)["kriegeskorte-92"]) for stage in _stages(run, model)}
    found = {stage: people.across_people_and_images(similarity, judged.matrices, **settings) for stage, similarity in alike.items()}
    yield from compared(run, "similarity-judgments", ACROSS, "rsa-spearman", found, model)
    alone = each_person({(model, stage): each for stage, each in alike.items()}, judged.matrices, **settings)
    each = {stage: estimate for (_, stage), estimate in alone.items()}
    yield from compared(run, "similarity-judgments", ACROSS, "rsa-each-person", each, model)


def _odd_one_out(run: Run, model: str) -> Iterator[tuple[Name, Estimate]]:
    """Answers about, and VICE's similarities of, the half of the THINGS photographs that a student's teacher did not see (unit: image)."""
    profile, known = run.profile, things()
    objects = photographs.objects()
    answers, published = known.answers[objects], people.dot_similarity(known.published[objects])
    half = photographs.halves(profile, len(objects))
    stages = tuple(stage for stage in STAGES if stage != "aligned-head")
    chosen: dict[str, list[Estimate]] = {stage: [] for stage in stages}
    alike: dict[str, list[Estimate]] = {stage: [] for stage in stages}
    for number in photographs.HALVES:
        shown = np.flatnonzero(half == number)
        inside, truth = answers[shown], published[np.ix_(shown, shown)]
        weights = resamples(len(shown), profile.evaluation.bootstrap_draws, profile.seed * 1000 + number)
        for stage in stages:
            features = features_of(run, stage, number, model)["things-photographs"][shown]
            chosen[stage].append(people.accuracy(cosine_similarities(features, inside.triplets), inside, weights))
            draws = people.matrix_agreement(people.backbone_similarity(features), truth, weights)
            alike[stage].append(Estimate.of(draws, len(shown)))
    for task, metric, found in (("odd-one-out", "accuracy", chosen), ("similarity-vice", "rsa-spearman", alike)):
        means = {stage: mean_of_folds(estimates) for stage, estimates in found.items()}
        yield from compared(run, task, "THINGS photographs, unseen halves", metric, means, model)


def _classification(run: Run, model: str) -> Iterator[tuple[Name, Estimate]]:
    """k-shot classification of other photographs, and how near CIFAR-10's classifiers come to people's labels (unit: image)."""
    profile, stages = run.profile, _stages(run, model)
    shown = {stage: features_of(run, stage, None, model) for stage in stages}
    people_say = readers_labels.cifar10h(registry.locate("cifar10h"))
    for number, (name, images) in enumerate(photographs.labelled_sets(profile).items()):
        labels = images.labels["class"].to_numpy(dtype=str)
        shares = readers_labels.of_pictures(people_say, images.labels) if name == "cifar10" else None
        weights = resamples(len(labels), profile.evaluation.bootstrap_draws, profile.seed)
        draws = resamples(profile.evaluation.few_shot_draws, profile.evaluation.bootstrap_draws, profile.seed + 1)
        for shots in profile.evaluation.shots:
            support = few_shot.supports(labels, shots, profile.evaluation.few_shot_draws, stream(profile, 12, number, shots))
            for classifier in ("logistic", "nearest-mean"):
                told = shares if classifier == "logistic" else None
                score = functools.partial(taught, labels, support, weights, draws, classifier, told)
                found = {stage: score(shown[stage][name]) for stage in stages}
                for task, metric in found["base"]:
                    each = {stage: scores[task, metric] for stage, scores in found.items()}
                    yield from compared(run, task, f"{name}/{shots}-shot", metric, each, model)


def taught(
    labels: np.ndarray,
    support: np.ndarray,
    weights: np.ndarray,
    draws: np.ndarray,
    classifier: str,
    shares: np.ndarray | None,
    features: Float[np.ndarray, "images dim"],
) -> dict[tuple[str, str], Estimate]:
    """Return the scores of one kind of classifier, taught on every draw, by (task, metric)."""
    models = few_shot.teach(features, labels, support, classifier)
    suffix = "" if classifier == "logistic" else f"-{classifier}"
    right = few_shot.correct(models, features, labels)
    found = {("few-shot", f"accuracy{suffix}"): few_shot.image_mean(right, ~support, weights, draws)}
    if shares is not None:
        likely = few_shot.probabilities(models, features)
        found["soft-labels", "cross-entropy"] = soft_labels.cross_entropy(likely, shares, ~support, weights)
        found["soft-labels", "expected-calibration-error"] = soft_labels.calibration_error(likely, shares, ~support, weights)
        found["soft-labels", "entropy-spearman"] = soft_labels.entropy_agreement(likely, shares, ~support, weights)
    return found


def _dense_against_sparse(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Agreement with the teacher on photographs held back, by images seen: mean over seeds, and Student's interval of that mean."""
    model, found = run.profile.backbones[0], curves.read(run)
    for kind, several in found.items():
        for place, (images, _) in enumerate(several[0]):
            values = np.array([curve[place][1] for curve in several])
            yield (model, "aligned", "dense-against-sparse", f"{kind}/{images} images", "agreement-with-teacher"), over_seeds(values)
    pairs = zip(found["dense"], found["sparse"], strict=True)
    shares = np.array([share_of_images(dense, sparse) for dense, sparse in pairs])
    yield (model, "aligned", "dense-against-sparse", "equal agreement", "share-of-images"), over_seeds(shares)


def share_of_images(dense: list[tuple[int, float]], sparse: list[tuple[int, float]]) -> float:
    """Return what part of the sparse images dense ones take to the agreement with which the lower of two curves ends.

    NaN where that is no more than the untrained student had: it takes no image at all.
    """
    both_reach = min(dense[-1][1], sparse[-1][1])
    of_sparse = images_needed(sparse, both_reach)
    return images_needed(dense, both_reach) / of_sparse if of_sparse else float("nan")


def images_needed(curve: list[tuple[int, float]], agreement: float) -> float:
    """Return how many images a curve of (images, agreement) takes to reach an agreement, between its points in a straight line.

    NaN where it never does.
    """
    for (before, low), (after, high) in itertools.pairwise(curve):
        if high >= agreement:
            return before + (after - before) * max(agreement - low, 0.0) / (high - low) if high > low else float(before)
    return float("nan")


def over_seeds(values: Float[np.ndarray, " seeds"]) -> Estimate:
    """Return the mean over training runs; its draws are quantiles of Student's distribution of that mean."""
    spread = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    quantiles = t.ppf((np.arange(9999) + 0.5) / 9999, max(len(values) - 1, 1))
    return Estimate(float(values.mean()), values.mean() + spread * quantiles, len(values))
