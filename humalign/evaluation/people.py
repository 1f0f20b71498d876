"""The teacher on real people: what it predicts of answers about objects and pictures it never saw.

Estimates come with their bootstrap draws; the unit that is resampled (object, image, person) is said in each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Real
from scipy.special import softmax
from scipy.stats import rankdata

from humalign.data import judgments
from humalign.data.judgments import PAIRS, ByObject, Choices, Triplets, agreement, entropy, floats
from humalign.errors import HumalignError
from humalign.evaluation.correlation import Ranked, over_pairs, spearman
from humalign.evaluation.odd_one_out import triplet_mean, triplet_means
from humalign.evaluation.rsa import Matrix, People, correlations
from humalign.evaluation.scores import Estimate, jackknifed, resamples

# Equal steps of confidence from chance to certainty.
BINS = np.linspace(1 / 3, 1, 9)

Pairs = Real[np.ndarray, "m 3"]
Weights = Float[np.ndarray, "draws objects"]
Columns = Real[np.ndarray, "columns m"]
ByTriplet = Float[np.ndarray, "draws m"]
Tests = Sequence[Int[np.ndarray, " _"]]


def pair_values(matrix: Matrix, triplets: Triplets) -> Pairs:
    """Return the entries of a similarity matrix for the pairs (ij, ik, jk) of each triplet."""
    triplets = judgments.check_triplets(triplets, len(matrix))
    return np.stack([matrix[triplets[:, a], triplets[:, b]] for a, b in PAIRS], axis=1)


def choices(embedding: Real[np.ndarray, "n dim"], triplets: Triplets) -> Pairs:
    """Return choice probabilities by an embedding of answers: a softmax over each triplet's dot products."""
    return np.asarray(softmax(pair_values(dot_similarity(embedding), triplets), axis=1))


def accuracy(similarities: Pairs, answers: ByObject, weights: Weights) -> Estimate:
    """Return the odd-one-out accuracy of given similarities; ties are wrong (unit: object)."""
    return triplet_mean(agreement(similarities, answers.shares), answers.triplets, weights)


def by_category(
    similarities: Pairs, answers: ByObject, categories: pd.DataFrame, weights: Weights
) -> Iterator[tuple[str, Estimate]]:
    """Yield the accuracy on triplets that hold an object of a category, for each category (unit: object)."""
    for name in categories:
        member = categories[name].to_numpy()
        held = member[answers.triplets].any(1)
        if held.any():
            rows = ByObject(answers.triplets[held], answers.shares[held], answers.objects)
            yield str(name), accuracy(similarities[held], rows, weights)


def calibration(
    probabilities: Pairs, answers: ByObject, weights: Weights
) -> tuple[Estimate, dict[int, tuple[Estimate, Estimate]]]:
    """Return the expected calibration error; confidence and accuracy by step of confidence (unit: object).

    The error is the mean distance of confidence and accuracy over the steps, each weighed by its share of the
    answers. Its interval is that of a mean over triplets, which takes the side of each step, too sure or not
    sure enough, as found: it is too narrow for a model that is calibrated within chance.
    """
    probabilities = judgments.check_shares(probabilities, len(answers.triplets))
    confidence, right = probabilities.max(1), agreement(probabilities, answers.shares)
    step = np.clip(np.digitize(confidence, BINS) - 1, 0, len(BINS) - 2)
    member = step == np.arange(len(BINS) - 1)[:, None]
    side = np.sign(member @ (confidence - right))[step]
    error = triplet_mean(side * (confidence - right), answers.triplets, weights)
    steps = {}
    for s in np.flatnonzero(member.sum(1) >= 50).tolist():
        inside = member[s]
        sure, hit = confidence[inside].mean(), right[inside].mean()
        # How much each triplet moves the mean of those in the step.
        parts = inside * np.stack([confidence - sure, right - hit]) / inside.mean()
        by_sure, by_hit = triplet_means(parts, answers.triplets, weights)
        count = int(inside.sum())
        steps[s] = Estimate.of(sure + by_sure, count), Estimate.of(hit + by_hit, count)
    return error, steps


def shared_dimension(
    similarity: Matrix, strength: Real[np.ndarray, " n"], weights: Float[np.ndarray, "draws n"], top: int = 30
) -> Estimate:
    """Return the similarity of objects highest on a dimension, in s.d. from the mean pair (unit: object)."""
    similarity = floats(similarity, "similarities")
    pairs = similarity[np.triu_indices(len(similarity), k=1)]
    if not (np.isfinite(pairs).all() and np.isfinite(strength).all() and np.ptp(pairs) > 0):
        seen = "similarities or strengths that are not finite, or all equal"
        raise HumalignError(f"{seen}: no standard deviation can be told")
    standard = (similarity - pairs.mean()) / pairs.std()
    high = np.zeros(len(strength))
    high[np.argsort(-strength, kind="stable")[:top]] = 1
    chosen = np.triu(np.outer(high, high), k=1)
    total, weight = (over_pairs(matrix, weights) for matrix in (standard * chosen, chosen))
    return Estimate.of(total / weight, top)


def repeated(probabilities: Pairs, choices: Choices, weights: ByTriplet) -> dict[str, Estimate]:
    """Return Pearson's correlations of shares and of entropies with people's on repeated triplets."""
    both = judgments.check_shares(probabilities, len(choices)), choices.shares
    sides = {"share": [each.T for each in both], "entropy": [entropy(each)[None] for each in both]}
    found = {name: pearson(x, y, weights) for name, (x, y) in sides.items()}
    return {f"{name}-pearson": Estimate.of(each, len(choices)) for name, each in found.items()}


def pearson(x: Columns, y: Columns, weights: ByTriplet) -> np.ndarray:
    """Return Pearson's correlation over all columns together, under each row of weights."""
    w = weights.astype(float)
    total = w.sum(1) * len(x)

    def mean(values: np.ndarray) -> np.ndarray:
        return (w @ values.sum(0)) / total

    covariance = mean(x * y) - mean(x) * mean(y)
    return covariance / np.sqrt((mean(x * x) - mean(x) ** 2) * (mean(y * y) - mean(y) ** 2))


# ---- images ------------------------------------------------------------------------------------------------

backbone_similarity = correlations


def cosines(features: Real[np.ndarray, "n dim"]) -> Matrix:
    """Return the cosines of the features of every two images."""
    unit = judgments.unit_rows(features)
    return np.asarray(unit @ unit.T, dtype=float)


def dot_similarity(features: Real[np.ndarray, "n dim"]) -> Matrix:
    """Return the dot products of every two images: the teacher's own similarity."""
    features = np.asarray(floats(features), dtype=float)
    return features @ features.T


def group_choices(matrices: People) -> Choices:
    """Return the pair that the people together find most similar, for every triplet of images.

    Raises:
        HumalignError: fewer than three images, or dissimilarities that are not finite.
    """
    if matrices.shape[1] < 3 or not np.isfinite(matrices).all():
        seen = f"dissimilarities of {matrices.shape[1]} images, or not finite"
        raise HumalignError(f"{seen}: triplets need three images and every pair")
    mean = -matrices.mean(0)
    each = np.arange(len(mean))
    triplets = np.argwhere((each[:, None, None] < each[:, None]) & (each[:, None] < each))
    return Choices(triplets, np.eye(3, dtype=int)[pair_values(mean, triplets).argmax(1)])


def across_people_and_images(similarity: Matrix, matrices: People, draws: int, seed: int) -> Estimate:
    """Return Spearman's correlation of a model's similarities with people's mean (units: person and image).

    Three bootstraps: people and images together, images alone (the mean of all people), people alone (all
    images once). ``Estimate.interval`` corrects the first: it counts their interaction three times.

    The mean of a draw with repeated people is less reliable than the mean of all people, which lowers every
    draw. So the interval is centred on the value, not on the mean of the draws.
    """
    i, j = np.triu_indices(len(similarity), k=1)
    model, pairs = Ranked(similarity[i, j]), -matrices[:, i, j]
    images, people = resamples(len(similarity), draws, seed), resamples(len(pairs), draws, seed + 1)
    means = [Ranked(weights @ pairs) for weights in people]
    drawn_pairs = [weights[i] * weights[j] for weights in images]
    both = zip(means, drawn_pairs, strict=True)
    together = np.array([spearman(model, mean, [drawn])[0] for mean, drawn in both])
    # The first row of weights is all ones: everybody, and every image once.
    images_alone = spearman(model, means[0], drawn_pairs)
    people_alone = np.array([spearman(model, mean, drawn_pairs[:1])[0] for mean in means])
    return Estimate.of(together, len(similarity), images_alone, people_alone)


# ---- one person at a time, scored as models are ------------------------------------------------------------
# A person's score against the mean of the others is a reference level, no upper limit: the mean errs less.


def ceilings(matrices: People, draws: int, seed: int) -> dict[str, Estimate]:
    """Return the noise ceilings: a person against the others' mean, and against everybody's (unit: person).

    Raises:
        HumalignError: fewer than three people.
    """
    i, j = np.triu_indices(matrices.shape[1], k=1)

    def statistics(pairs: Float[np.ndarray, "people pairs"]) -> Float[np.ndarray, " bounds"]:
        total = pairs.sum(0)
        each = [[_rank_correlation(own, mean) for mean in (total - own, total)] for own in pairs]
        return np.asarray(np.mean(each, axis=0))

    return _of_people(("rsa-lower", "rsa-upper"), statistics, matrices[:, i, j], draws, seed)


def left_out(matrices: People, tests: Tests, draws: int, seed: int) -> dict[str, Estimate]:
    """Score each person against the mean of the others, as models against the mean of all (unit: person).

    Each test has some images: those left out of a fold, or all.

    Returns:
        Means over tests: ``accuracy``, on the pair that the others' mean puts nearest, and ``rsa-spearman``.

    Raises:
        HumalignError: fewer than three people.
    """

    def statistics(people: People) -> Float[np.ndarray, " metrics"]:
        each = [_of_one(own, np.delete(people, person, axis=0), tests) for person, own in enumerate(people)]
        return np.asarray(np.mean(each, axis=0))

    return _of_people(("accuracy", "rsa-spearman"), statistics, matrices, draws, seed)


def _of_one(own: Matrix, others: Real[np.ndarray, "others n n"], tests: Tests) -> np.ndarray:
    """Return one person's accuracy and rank correlation: means over tests."""
    mean, found = others.mean(0), []
    for images in tests:
        cut = np.ix_(images, images)
        asked = group_choices(mean[cut][None])
        pairs = np.triu_indices(len(images), k=1)
        right = float(agreement(pair_values(-own[cut], asked.triplets), asked.shares).mean())
        found.append([right, _rank_correlation(own[cut][pairs], mean[cut][pairs])])
    return np.asarray(np.mean(found, axis=0))


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def _of_people(
    metrics: tuple[str, ...],
    statistics: Callable[[np.ndarray], np.ndarray],
    people: Real[np.ndarray, "people ..."],
    draws: int,
    seed: int,
) -> dict[str, Estimate]:
    if len(people) < 3:
        mend = "how people agree can be told of three or more"
        raise HumalignError(f"judgments of {len(people)} people: {mend}")
    estimates = jackknifed(statistics, people, resamples(len(people), draws, seed))
    return dict(zip(metrics, estimates, strict=True))
