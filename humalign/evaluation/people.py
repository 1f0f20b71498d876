"""The teacher on real people: what it predicts of answers about objects and pictures it never saw.

Every function returns estimates with their bootstrap draws; the unit that is resampled (objects, images, people) is said in each.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Real
from scipy.special import softmax
from scipy.stats import rankdata

from humalign.data.judgments import (
    PAIRS,
    ByObject,
    Choices,
    Triplets,
    agreement,
    check_shares,
    check_triplets,
    entropy,
    floats,
    unit_rows,
)
from humalign.errors import HumalignError
from humalign.evaluation.correlation import Ranked, spearman
from humalign.evaluation.odd_one_out import triplet_mean, triplet_means
from humalign.evaluation.rsa import correlations, pairs_of
from humalign.evaluation.scores import Estimate, jackknifed, resamples

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
    return {name: Estimate.of(pearson(np.atleast_2d(a.T), np.atleast_2d(b.T), weights), len(choices)) for name, (a, b) in each.items()}


def pearson(x: Real[np.ndarray, "columns m"], y: Real[np.ndarray, "columns m"], weights: Float[np.ndarray, "draws m"]) -> np.ndarray:
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


def matrix_agreement(
    similarity: Real[np.ndarray, "n n"], judged: Real[np.ndarray, "n n"], weights: Float[np.ndarray, "draws n"]
) -> Float[np.ndarray, " draws"]:
    """Return Spearman's correlation of two similarity matrices, upper triangles, under each row of weights."""
    i, j = np.triu_indices(len(judged), k=1)
    model, people = pairs_of("the model's matrix", similarity, len(judged)), pairs_of("the judged matrix", judged)
    return spearman(Ranked(model), Ranked(people), (w[i] * w[j] for w in weights))


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


# ---- one person at a time, scored as models are --------------------------------------------------------------
# A person's score against the mean of the others is a reference level, not an upper limit: that mean is more reliable than any of them.


def ceilings(matrices: Real[np.ndarray, "people n n"], draws: int, seed: int) -> dict[str, Estimate]:
    """Return the noise ceilings of similarity judgments: each person against the others' mean, and against everybody's (unit: person).

    Raises:
        HumalignError: fewer than three people.
    """
    i, j = np.triu_indices(matrices.shape[1], k=1)

    def statistics(pairs: Float[np.ndarray, "people pairs"]) -> Float[np.ndarray, " bounds"]:
        total = pairs.sum(0)
        each = [[np.corrcoef(rankdata(own), rankdata(mean))[0, 1] for mean in (total - own, total)] for own in pairs]
        return np.asarray(np.mean(each, axis=0))

    return _of_people(("rsa-lower", "rsa-upper"), statistics, matrices[:, i, j], draws, seed)


def left_out(
    matrices: Real[np.ndarray, "people n n"], tests: Sequence[Int[np.ndarray, " _"]], draws: int, seed: int
) -> dict[str, Estimate]:
    """Score each person against the mean of the others, as a model is scored against the mean of all (unit: person).

    Args:
        matrices: dissimilarities of all pairs of images, by person.
        tests: the images of each test: those left out of a fold, or all.
        draws, seed: of the bootstrap.

    Returns:
        ``accuracy``, on the pair of each triplet that the others' mean puts nearest, and ``rsa-spearman``: means over tests.

    Raises:
        HumalignError: fewer than three people.
    """

    def statistics(people: Real[np.ndarray, "people n n"]) -> Float[np.ndarray, " metrics"]:
        return np.asarray(np.mean([_of_one(own, np.delete(people, person, axis=0), tests) for person, own in enumerate(people)], axis=0))

    return _of_people(("accuracy", "rsa-spearman"), statistics, matrices, draws, seed)


def _of_one(own: Float[np.ndarray, "n n"], others: Real[np.ndarray, "others n n"], tests: Sequence[Int[np.ndarray, " _"]]) -> np.ndarray:
    """Return one person's accuracy and rank correlation: means over tests."""
    mean, found = others.mean(0), []
    for images in tests:
        cut = np.ix_(images, images)
        asked = group_choices(mean[cut][None])
        pairs = np.triu_indices(len(images), k=1)
        right = float(agreement(pair_values(-own[cut], asked.triplets), asked.shares).mean())
        found.append([right, np.corrcoef(rankdata(own[cut][pairs]), rankdata(mean[cut][pairs]))[0, 1]])
    return np.asarray(np.mean(found, axis=0))


def _of_people(
    metrics: tuple[str, ...], statistics: Callable[[np.ndarray], np.ndarray], people: Real[np.ndarray, "people ..."], draws: int, seed: int
) -> dict[str, Estimate]:
    if len(people) < 3:
        raise HumalignError(f"judgments of {len(people)} people: how people agree can be told of three or more")
    return dict(zip(metrics, jackknifed(statistics, people, resamples(len(people), draws, seed)), strict=True))
