"""The teacher on real people: what it predicts of answers about objects and pictures it never saw.

Every function returns estimates with their bootstrap draws; the unit that is resampled (objects, images, people) is said in each.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Real
from scipy.special import softmax

from humalign.data.judgments import (
    PAIRS,
    ByObject,
    Choices,
    Triplets,
    agreement,
    check_shares,
    check_triplets,
    cosine_similarities,
    entropy,
    floats,
    number,
    unit_rows,
)
from humalign.errors import HumalignError
from humalign.evaluation.correlation import Ranked, spearman
from humalign.evaluation.odd_one_out import triplet_mean, triplet_means
from humalign.evaluation.rsa import correlations
from humalign.evaluation.scores import Estimate, resamples
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.teacher import AffineTeacher

# Equal steps of confidence from chance to certainty.
BINS = np.linspace(1 / 3, 1, 9)


def pair_values(matrix: Real[np.ndarray, "n n"], triplets: Triplets) -> Real[np.ndarray, "m 3"]:
    """Return the entries of a similarity matrix for the pairs (ij, ik, jk) of each triplet."""
    triplets = check_triplets(triplets, len(matrix))
    return np.stack([matrix[triplets[:, a], triplets[:, b]] for a, b in PAIRS], axis=1)


def choices(embedding: Real[np.ndarray, "n dim"], triplets: Triplets) -> Float[np.ndarray, "m 3"]:
    """Return choice probabilities by the dot products of an embedding of answers: a softmax over the pairs of each triplet."""
    return np.asarray(softmax(pair_values(dot_similarity(embedding), triplets), axis=1))


def accuracy(similarities: Real[np.ndarray, "m 3"], answers: ByObject, weights: Float[np.ndarray, "draws objects"]) -> Estimate:
    """Return the odd-one-out accuracy of given similarities; ties are wrong (unit: object)."""
    return triplet_mean(agreement(similarities, answers.shares), answers.triplets, weights)


def by_category(
    similarities: Real[np.ndarray, "m 3"], answers: ByObject, categories: pd.DataFrame, weights: Float[np.ndarray, "draws objects"]
) -> Iterator[tuple[str, Estimate]]:
    """Yield the accuracy on triplets that hold an object of a category, for each category (unit: object)."""
    for name in categories:
        member = categories[name].to_numpy()
        held = member[answers.triplets].any(1)
        if held.any():
            rows = ByObject(answers.triplets[held], answers.shares[held], answers.objects)
            yield str(name), accuracy(similarities[held], rows, weights)


def calibration(
    probabilities: Real[np.ndarray, "m 3"], answers: ByObject, weights: Float[np.ndarray, "draws objects"]
) -> tuple[Estimate, dict[int, tuple[Estimate, Estimate]]]:
    """Return the expected calibration error, and (confidence, accuracy) of each step of confidence (unit: object).

    The error is the mean distance of confidence and accuracy over the steps, each weighed by its share of the answers. Its interval is that
    of a mean over triplets: how far the model is too sure, or not sure enough where its step is on that side. It takes the sides as found,
    so that it is too narrow for a model that is calibrated within chance.
    """
    probabilities = check_shares(probabilities, len(answers.triplets))
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
    similarity: Real[np.ndarray, "n n"], strength: Real[np.ndarray, " n"], weights: Float[np.ndarray, "draws n"], top: int = 30
) -> Estimate:
    """Return how similar a model finds the objects that are highest on one dimension, in s.d. from the mean of all pairs (unit: object)."""
    similarity = floats(similarity, "similarities")
    pairs = similarity[np.triu_indices(len(similarity), k=1)]
    if not (np.isfinite(pairs).all() and np.isfinite(strength).all() and np.ptp(pairs) > 0):
        raise HumalignError("similarities or strengths that are not finite, or all equal: no standard deviation can be told")
    standard = (similarity - pairs.mean()) / pairs.std()
    high = np.zeros(len(strength))
    high[np.argsort(-strength, kind="stable")[:top]] = 1
    chosen = np.triu(np.outer(high, high), k=1)
    total, weight = (((weights @ matrix) * weights).sum(1) for matrix in (standard * chosen, chosen))
    return Estimate.of(total / weight, top)


def repeated(probabilities: Real[np.ndarray, "m 3"], choices: Choices, weights: Float[np.ndarray, "draws m"]) -> dict[str, Estimate]:
    """Compare choice distributions with the shares of people on repeated triplets: Pearson of shares and of entropies (unit: triplet)."""
    probabilities = check_shares(probabilities, len(choices))
    each = {"share-pearson": (probabilities, choices.shares), "entropy-pearson": (entropy(probabilities), entropy(choices.shares))}
    return {name: Estimate.of(_pearson(np.atleast_2d(a.T), np.atleast_2d(b.T), weights), len(choices)) for name, (a, b) in each.items()}


def _pearson(x: Real[np.ndarray, "columns m"], y: Real[np.ndarray, "columns m"], weights: Float[np.ndarray, "draws m"]) -> np.ndarray:
    """Return Pearson's correlation over all columns together, under each row of weights."""
    w = weights.astype(float)
    total = w.sum(1) * len(x)

    def mean(values: np.ndarray) -> np.ndarray:
        return (w @ values.sum(0)) / total

    covariance = mean(x * y) - mean(x) * mean(y)
    return covariance / np.sqrt((mean(x * x) - mean(x) ** 2) * (mean(y * y) - mean(y) ** 2))


# ---- images --------------------------------------------------------------------------------------------------------------------------

Judge = Callable[[np.ndarray], np.ndarray]


def backbone_similarity(features: Real[np.ndarray, "n dim"]) -> Float[np.ndarray, "n n"]:
    """Return Pearson's correlation between the features of every two images."""
    return correlations(features)


def cosines(features: Real[np.ndarray, "n dim"]) -> Float[np.ndarray, "n n"]:
    """Return the cosines of the features of every two images."""
    unit = unit_rows(features)
    return np.asarray(unit @ unit.T, dtype=float)


def dot_similarity(features: Real[np.ndarray, "n dim"]) -> Float[np.ndarray, "n n"]:
    """Return the dot products of every two images: the teacher's own similarity."""
    features = np.asarray(floats(features), dtype=float)
    return features @ features.T


def image_folds(images: int, folds: int, repeats: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (training, test) images of repeated cross-validation."""
    from sklearn.model_selection import RepeatedKFold

    return list(RepeatedKFold(n_splits=folds, n_repeats=repeats, random_state=seed).split(np.zeros(images)))


def tuned(
    features: Real[np.ndarray, "n dim"], answers: ByObject, grids: Sequence[Mapping[str, Sequence[float]]], seed: int, dim: int
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
    features: Real[np.ndarray, "n dim"],
    answers: ByObject,
    judged: Real[np.ndarray, "n n"],
    folds: list[tuple[np.ndarray, np.ndarray]],
    fit: Callable[[np.ndarray, ByObject], AffineTeacher],
    draws: int,
    seed: int,
    beside: Mapping[str, Real[np.ndarray, "n _"]] = MappingProxyType({}),
) -> dict[str, dict[str, Estimate]]:
    """Score a backbone and the teacher fitted to other images, on images that were left out of the fit (unit: image).

    Args:
        features: of all images.
        answers: about them.
        judged: similarities of all pairs, by people or by an embedding of their answers.
        folds: training and test images.
        fit: makes a teacher of the training images.
        draws: of the bootstrap.
        seed: of the bootstrap; an image is drawn as often in every fold.
        beside: further features of all images by their stage, to which no answer was fitted.

    Returns:
        By stage (``teacher-base``, ``teacher-centred``: less the training images' mean, those of ``beside``, ``teacher``) and metric:
        ``accuracy`` by cosines, ``rsa-spearman`` by Pearson's correlation of the features and, for the teacher, ``accuracy-dot`` and
        ``rsa-own-spearman`` by its dot products: means over folds.
    """
    weights = resamples(len(features), draws, seed)
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    counted = 0
    for train, test in folds:
        teacher = fit(features[train], answers[train])
        rows, drawn, truth = answers[test], weights[:, test], judged[np.ix_(test, test)]
        counted += len(rows.triplets)
        base = features[test]
        space = {"teacher-base": base, "teacher-centred": base - features[train].mean(0)}
        space |= {stage: x[test] for stage, x in beside.items()} | {"teacher": teacher.transform(base)}
        for stage, x in space.items():
            similar = {"accuracy": cosine_similarities(x, rows.triplets)}
            matrices = {"rsa-spearman": backbone_similarity(x)}
            if stage == "teacher":
                similar["accuracy-dot"] = teacher.choice_probabilities(base, rows.triplets)
                matrices["rsa-own-spearman"] = dot_similarity(x)
            made = {metric: _all_draws(accuracy(each, rows, drawn)) for metric, each in similar.items()}
            made |= {metric: matrix_agreement(each, truth, drawn) for metric, each in matrices.items()}
            for metric, each in made.items():
                found.setdefault(stage, {}).setdefault(metric, []).append(each)
    return {
        stage: {
            metric: Estimate.of(np.nanmean(each, axis=0), counted if metric.startswith("accuracy") else len(features))
            for metric, each in several.items()
        }
        for stage, several in found.items()
    }


def _all_draws(estimate: Estimate) -> np.ndarray:
    return np.concatenate([[estimate.value], estimate.draws])


def matrix_agreement(
    similarity: Real[np.ndarray, "n n"], judged: Real[np.ndarray, "n n"], weights: Float[np.ndarray, "draws n"]
) -> Float[np.ndarray, " draws"]:
    """Return Spearman's correlation of two similarity matrices, upper triangles, under each row of weights."""
    i, j = np.triu_indices(len(judged), k=1)
    return spearman(Ranked(similarity[i, j]), Ranked(judged[i, j]), (w[i] * w[j] for w in weights))


def group_choices(matrices: Real[np.ndarray, "people n n"]) -> Choices:
    """Return the pair that the people together find most similar, for every triplet of images.

    Raises:
        HumalignError: fewer than three images, or dissimilarities that are not finite.
    """
    if matrices.shape[1] < 3 or not np.isfinite(matrices).all():
        raise HumalignError(f"dissimilarities of {matrices.shape[1]} images, or not finite: triplets need three images and every pair")
    mean = -matrices.mean(0)
    triplets = np.array(list(itertools.combinations(range(mean.shape[0]), 3)))
    return Choices(triplets, np.eye(3, dtype=int)[pair_values(mean, triplets).argmax(1)])


def across_people_and_images(
    similarity: Real[np.ndarray, "n n"], matrices: Real[np.ndarray, "people n n"], draws: int, seed: int
) -> Estimate:
    """Return Spearman's correlation of a model's similarities with the people's mean (units: person and image, drawn together).

    Three bootstraps: people and images together, images alone (the mean of all people), people alone (all images once). A two-way
    bootstrap counts the person x image interaction three times, which ``Estimate.interval`` corrects with the one-way draws
    (Owen, 2007): Var = 2 (Var_images + Var_people) - Var_together.

    The mean of a draw with repeated people is less reliable than the mean of all people, which lowers every draw. The interval is
    therefore centred on the value, not on the mean of the draws.
    """
    i, j = np.triu_indices(len(similarity), k=1)
    model, pairs = Ranked(similarity[i, j]), -matrices[:, i, j]
    images, people = resamples(len(similarity), draws, seed), resamples(len(pairs), draws, seed + 1)
    means = [Ranked(weights @ pairs) for weights in people]
    drawn_pairs = [weights[i] * weights[j] for weights in images]
    # The first row of weights is all ones: everybody, and every image once.
    everybody, every_image = means[0], drawn_pairs[0]

    def correlation(mean: Ranked, pair_weights: np.ndarray) -> float:
        return float(spearman(model, mean, [pair_weights])[0])

    together = np.array([correlation(mean, drawn) for mean, drawn in zip(means, drawn_pairs, strict=True)])
    images_alone = np.array([correlation(everybody, drawn) for drawn in drawn_pairs])
    people_alone = np.array([correlation(mean, every_image) for mean in means])
    return Estimate.of(together, len(similarity), images_alone, people_alone)


def leave_three_out(
    features: Real[np.ndarray, "n dim"],
    answers: ByObject,
    fit: Callable[[Bool[np.ndarray, " n"]], AffineTeacher],
    groups: int,
    weights: Float[np.ndarray, "draws n"],
    seed: int,
    beside: Mapping[str, Real[np.ndarray, "n _"]] = MappingProxyType({}),
) -> dict[str, Estimate]:
    """Score every answer by a teacher that saw none of its three images: agreement on held-out objects (unit: image).

    The groups of a triplet's three images are left out of the fit together. Few answers lie wholly inside a fold; this uses all of
    them, at one fit for every three groups that an answer spans.

    Args:
        features: of all images.
        answers: about them.
        fit: makes a teacher of the images that are true in a mask.
        groups: of images.
        weights: of the images.
        seed: of the groups.
        beside: further features of all images by their stage, to which no answer was fitted.

    Returns:
        Odd-one-out accuracy by cosines of ``teacher-base``, the features as they are, of ``teacher-centred``, less the mean of the images
        that a teacher is fitted to, of those of ``beside``, and of ``teacher``; subtract them for a paired difference. ``teacher-dot`` is
        the teacher's by its own dot products.

    Raises:
        HumalignError: fewer than four groups, or more than images.

    Example:
        ``answers = ByObject.of(choices, len(features))``, then
        ``leave_three_out(features, answers, lambda kept: AffineTeacher(pull=0.1).fit(features[kept], answers[kept]), 6, weights, 0)``.
    """
    if not 4 <= number("groups", groups) <= len(features):
        raise HumalignError(f"{groups} groups of {len(features)} images: three are left out at a time, so give four or more")
    group = np.random.default_rng(seed).permutation(len(features)) % groups
    held = np.sort(group[answers.triplets], axis=1)
    cosines = {stage: cosine_similarities(x, answers.triplets) for stage, x in {"teacher-base": features, **beside}.items()}
    cosines |= {stage: np.empty(answers.shares.shape) for stage in ("teacher-centred", "teacher", "teacher-dot")}
    for left_out in np.unique(held, axis=0):
        rows, kept = (held == left_out).all(1), ~np.isin(group, left_out)
        asked, teacher = answers.triplets[rows], fit(kept)
        cosines["teacher-centred"][rows] = cosine_similarities(features - features[kept].mean(0), asked)
        cosines["teacher"][rows] = cosine_similarities(teacher.transform(features), asked)
        cosines["teacher-dot"][rows] = teacher.choice_probabilities(features, asked)
    return {stage: accuracy(each, answers, weights) for stage, each in cosines.items()}
