"""The teacher on real people: what it predicts of answers about objects and pictures it never saw.

Every function returns estimates with their bootstrap draws; the unit that is resampled (objects, images, people) is said in each.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from humalign.data.judgments import PAIRS, ByObject, Choices, agreement, cosine_similarities, entropy
from humalign.evaluation.correlation import Ranked, spearman
from humalign.evaluation.odd_one_out import triplet_mean, triplet_means
from humalign.evaluation.scores import Estimate, resamples
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.teacher import AffineTeacher

# Equal steps of confidence from chance to certainty.
BINS = np.linspace(1 / 3, 1, 9)


def pair_values(matrix: Float[np.ndarray, "n n"], triplets: Int[np.ndarray, "m 3"]) -> Float[np.ndarray, "m 3"]:
    """Return the entries of a similarity matrix for the pairs (ij, ik, jk) of each triplet."""
    return np.stack([matrix[triplets[:, a], triplets[:, b]] for a, b in PAIRS], axis=1)


def accuracy(similarities: Float[np.ndarray, "m 3"], answers: ByObject, weights: Float[np.ndarray, "draws objects"]) -> Estimate:
    """Return the odd-one-out accuracy of given similarities; ties are wrong (unit: object)."""
    return triplet_mean(agreement(similarities, answers.shares), answers.triplets, weights)


def by_category(
    similarities: Float[np.ndarray, "m 3"], answers: ByObject, categories: pd.DataFrame, weights: Float[np.ndarray, "draws objects"]
) -> Iterator[tuple[str, Estimate]]:
    """Yield the accuracy on triplets that hold an object of a category, for each category (unit: object)."""
    for name in categories:
        member = categories[name].to_numpy()
        held = member[answers.triplets].any(1)
        if held.any():
            rows = ByObject(answers.triplets[held], answers.shares[held], answers.objects)
            yield str(name), accuracy(similarities[held], rows, weights)


def calibration(
    probabilities: Float[np.ndarray, "m 3"], answers: ByObject, weights: Float[np.ndarray, "draws objects"]
) -> tuple[Estimate, dict[int, tuple[Estimate, Estimate]]]:
    """Return the expected calibration error, and (confidence, accuracy) of each step of confidence (unit: object).

    The error is the mean distance of confidence and accuracy over the steps, each weighed by its share of the answers. Its interval is that
    of a mean over triplets: how far the model is too sure, or not sure enough where its step is on that side. It takes the sides as found,
    so that it is too narrow for a model that is calibrated within chance.
    """
    confidence, right = probabilities.max(1), agreement(probabilities, answers.shares)
    step = np.clip(np.digitize(confidence, BINS) - 1, 0, len(BINS) - 2)
    member = step == np.arange(len(BINS) - 1)[:, None]
    side = np.sign(member @ (confidence - right))[step]
    error = triplet_mean(side * (confidence - right), answers.triplets, weights)
    steps = {}
    for s in np.flatnonzero(member.sum(1) >= 50).tolist():
        share = member[s].mean()
        means = [values[member[s]].mean() for values in (confidence, right)]
        # How much each triplet moves the mean of those in the step.
        parts = np.stack([member[s] * (values - mean) / share for values, mean in zip((confidence, right), means, strict=True)])
        moved = triplet_means(parts, answers.triplets, weights)
        steps[s] = tuple(Estimate.of(mean + each, int(member[s].sum())) for mean, each in zip(means, moved, strict=True))
    return error, steps  # type: ignore[return-value]


def shared_dimension(
    similarity: Float[np.ndarray, "n n"], strength: Float[np.ndarray, " n"], weights: Float[np.ndarray, "draws n"], top: int = 30
) -> Estimate:
    """Return how similar a model finds the objects that are highest on one dimension, in s.d. from the mean of all pairs (unit: object)."""
    pairs = similarity[np.triu_indices(len(similarity), k=1)]
    standard = (similarity - pairs.mean()) / pairs.std()
    high = np.zeros(len(strength))
    high[np.argsort(-strength, kind="stable")[:top]] = 1
    chosen = np.triu(np.outer(high, high), k=1)
    total, weight = (((weights @ matrix) * weights).sum(1) for matrix in (standard * chosen, chosen))
    return Estimate.of(total / weight, top)


def repeated(probabilities: Float[np.ndarray, "m 3"], choices: Choices, weights: Float[np.ndarray, "draws m"]) -> dict[str, Estimate]:
    """Compare choice distributions with the shares of people on repeated triplets: Pearson of shares and of entropies (unit: triplet)."""
    each = {"share-pearson": (probabilities, choices.shares), "entropy-pearson": (entropy(probabilities), entropy(choices.shares))}
    return {name: Estimate.of(_pearson(np.atleast_2d(a.T), np.atleast_2d(b.T), weights), len(choices)) for name, (a, b) in each.items()}


def _pearson(x: Float[np.ndarray, "columns m"], y: Float[np.ndarray, "columns m"], weights: Float[np.ndarray, "draws m"]) -> np.ndarray:
    """Return Pearson's correlation over all columns together, under each row of weights."""
    w = weights.astype(float)
    total = w.sum(1) * len(x)

    def mean(values: np.ndarray) -> np.ndarray:
        return (w @ values.sum(0)) / total

    covariance = mean(x * y) - mean(x) * mean(y)
    return covariance / np.sqrt((mean(x * x) - mean(x) ** 2) * (mean(y * y) - mean(y) ** 2))


# ---- images --------------------------------------------------------------------------------------------------------------------------

Judge = Callable[[np.ndarray], np.ndarray]


def backbone_similarity(features: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n n"]:
    """Return Pearson's correlation between the features of every two images."""
    return np.corrcoef(np.asarray(features, dtype=float))


def dot_similarity(features: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n n"]:
    """Return the dot products of every two images: the teacher's own similarity."""
    return np.asarray(features, dtype=float) @ np.asarray(features, dtype=float).T


def image_folds(images: int, folds: int, repeats: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (training, test) images of repeated cross-validation."""
    from sklearn.model_selection import RepeatedKFold

    return list(RepeatedKFold(n_splits=folds, n_repeats=repeats, random_state=seed).split(np.zeros(images)))


def tuned(
    features: Float[np.ndarray, "n dim"], answers: ByObject, grids: Sequence[Mapping[str, Sequence[float]]], seed: int, dim: int
) -> MixedEffectsTeacher:
    """Fit a teacher whose settings are cross-validated over the given images alone, one grid after the other."""
    from sklearn.model_selection import GridSearchCV

    from humalign.teach.splits import ObjectFolds

    teacher = MixedEffectsTeacher(dim=dim, iterations=40)
    for grid in grids:
        search = GridSearchCV(teacher, {k: list(v) for k, v in grid.items()}, cv=ObjectFolds(3, seed), refit=False).fit(features, answers)
        teacher.set_params(**search.best_params_)
    return teacher.fit(features, answers)


def unseen_images(
    features: Float[np.ndarray, "n dim"],
    answers: ByObject,
    judged: Float[np.ndarray, "n n"],
    folds: list[tuple[np.ndarray, np.ndarray]],
    fit: Callable[[np.ndarray, ByObject], AffineTeacher],
    draws: int,
    seed: int,
) -> dict[tuple[str, str], Estimate]:
    """Score a backbone and the teacher fitted to other images, on images that were left out of the fit (unit: image).

    Args:
        features: of all images.
        answers: about them.
        judged: similarities of all pairs, by people or by an embedding of their answers.
        folds: training and test images.
        fit: makes a teacher of the training images.
        draws: of the bootstrap.
        seed: of the bootstrap; an image is drawn as often in every fold.

    Returns:
        By (stage, metric): ``accuracy``, ``rsa-spearman`` (1 - Pearson's correlation of the features, for both) and, for the
        teacher, ``rsa-own-spearman`` (by its dot products): means over folds.
    """
    weights = resamples(len(features), draws, seed)
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    counted = 0
    for train, test in folds:
        teacher = fit(features[train], answers[train])
        rows, drawn, places = answers[test], weights[:, test], teacher.transform(features[test])
        counted += len(rows.triplets)
        truth = judged[np.ix_(test, test)]
        for stage, similarities, matrices in (
            ("teacher-base", cosine_similarities(features[test], rows.triplets), {"rsa-spearman": backbone_similarity(features[test])}),
            (
                "teacher",
                teacher.choice_probabilities(features[test], rows.triplets),
                {"rsa-spearman": backbone_similarity(places), "rsa-own-spearman": dot_similarity(places)},
            ),
        ):
            found.setdefault((stage, "accuracy"), []).append(_all_draws(accuracy(similarities, rows, drawn)))
            for metric, matrix in matrices.items():
                found.setdefault((stage, metric), []).append(matrix_agreement(matrix, truth, drawn))
    return {key: Estimate.of(np.nanmean(each, axis=0), counted if key[1] == "accuracy" else len(features)) for key, each in found.items()}


def _all_draws(estimate: Estimate) -> np.ndarray:
    return np.concatenate([[estimate.value], estimate.draws])


def matrix_agreement(
    similarity: Float[np.ndarray, "n n"], judged: Float[np.ndarray, "n n"], weights: Float[np.ndarray, "draws n"]
) -> Float[np.ndarray, " draws"]:
    """Return Spearman's correlation of two similarity matrices, upper triangles, under each row of weights."""
    i, j = np.triu_indices(len(judged), k=1)
    return spearman(Ranked(similarity[i, j]), Ranked(judged[i, j]), (w[i] * w[j] for w in weights))


def group_choices(matrices: Float[np.ndarray, "people n n"]) -> Choices:
    """Return the pair that the people together find most similar, for every triplet of images."""
    mean = -matrices.mean(0)
    triplets = np.array(list(itertools.combinations(range(mean.shape[0]), 3)))
    return Choices(triplets, np.eye(3, dtype=int)[pair_values(mean, triplets).argmax(1)])


def across_people_and_images(
    similarity: Float[np.ndarray, "n n"], matrices: Float[np.ndarray, "people n n"], draws: int, seed: int
) -> Estimate:
    """Return Spearman's correlation of a model's similarities with the people's mean (units: person and image, drawn together).

    A mean of people of whom some are drawn twice is less steady than that of all, and every draw lower for it: the interval is about
    the value, not about the mean of the draws.
    """
    i, j = np.triu_indices(len(similarity), k=1)
    model, pairs = Ranked(similarity[i, j]), -matrices[:, i, j]
    images, people = resamples(len(similarity), draws, seed), resamples(len(pairs), draws, seed + 1)
    times, means = [w[i] * w[j] for w in images], [Ranked(p @ pairs) for p in people]
    together, of_images, of_people = (
        np.concatenate([spearman(model, mean, [pair]) for mean, pair in zip(some, drawn, strict=True)])
        for some, drawn in ((means, times), ([means[0]] * len(times), times), (means, [times[0]] * len(times)))
    )
    return Estimate.of(together, len(similarity), of_images, of_people)


def leave_three_out(
    features: Float[np.ndarray, "n dim"],
    answers: ByObject,
    fit: Callable[[Bool[np.ndarray, " n"]], AffineTeacher],
    groups: int,
    weights: Float[np.ndarray, "draws n"],
    seed: int,
) -> dict[str, Estimate]:
    """Score every answer by a teacher that saw none of its three images: their groups are left out together (unit: image).

    Few answers lie wholly inside a fold; this uses all of them.

    Args:
        features: of all images.
        answers: about them.
        fit: makes a teacher of the images that are true in a mask.
        groups: of images.
        weights: of the images.
        seed: of the groups.
    """
    group = np.random.default_rng(seed).permutation(len(features)) % groups
    held = np.sort(group[answers.triplets], axis=1)
    predicted = np.empty(answers.shares.shape)
    for left_out in np.unique(held, axis=0):
        rows = (held == left_out).all(1)
        predicted[rows] = fit(~np.isin(group, left_out)).choice_probabilities(features, answers.triplets[rows])
    return {
        "teacher-base": accuracy(cosine_similarities(features, answers.triplets), answers, weights),
        "teacher": accuracy(predicted, answers, weights),
    }
