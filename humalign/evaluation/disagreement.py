"""Where two models differ most, and whose side people take: pairs of pictures ranked by disagreement, and ratings of such pairs.

Source of the idea: Muttenthaler et al. (2025), pairs of images on which an aligned student and its control disagree, rated by people.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from humalign.errors import HumalignError
from humalign.evaluation.rsa import dissimilarities
from humalign.evaluation.scores import Estimate


def standardised(features: Float[np.ndarray, "images dim"]) -> Float[np.ndarray, "images images"]:
    """Return distances, 1 - Pearson's correlation, in standard deviations from the mean of all pairs, so that models compare.

    Raises:
        HumalignError: features that are not finite, or distances that are all equal.
    """
    distance = dissimilarities(features)
    pairs = distance[np.triu_indices(len(distance), k=1)]
    if not pairs.std() > 1e-9:
        raise HumalignError("distances that are all equal: the model tells nothing apart")
    return (distance - pairs.mean()) / pairs.std()


def most_apart(
    one: Float[np.ndarray, "images images"], other: Float[np.ndarray, "others others"], most: int
) -> Int[np.ndarray, "pairs 2"]:
    """Return the pairs of images on which two models' standardised distances differ most, either way, the farthest first.

    Raises:
        HumalignError: distances of other images.
    """
    if one.shape != other.shape:
        raise HumalignError(f"distances of {len(one)} and of {len(other)} images: both models must have seen the same, in one order")
    i, j = np.triu_indices(len(one), k=1)
    order = np.argsort(-np.abs(one - other)[i, j], kind="stable")[:most]
    return np.stack([i[order], j[order]], axis=1)


def ratings(
    distances: dict[str, Float[np.ndarray, " pairs"]], rated: Float[np.ndarray, "people pairs"], weights: Float[np.ndarray, "draws people"]
) -> dict[tuple[str, str], Estimate]:
    """Return how each model's distances of pairs agree with people's ratings of their similarity (unit: person).

    Args:
        distances: of the pairs, by model.
        rated: how similar each person finds each pair, more is more similar; NaN where a person was not asked.
        weights: of the people.

    Returns:
        By (model, metric): ``rating-pearson``, the correlation of distance with mean rating, below zero where they agree; and
        ``near-rating``, the mean rating of the pairs that this model puts nearer than the others do on average.

    Raises:
        HumalignError: fewer than three pairs, a pair that nobody rated, or ratings or distances that are all equal.
    """
    asked = np.isfinite(rated)
    if rated.shape[1] < 3 or not asked.any(0).all():
        missing = int((~asked.any(0)).sum())
        raise HumalignError(f"ratings of {rated.shape[1]} pairs, {missing} of them by nobody: three pairs or more, each rated, are needed")
    times = weights @ asked
    mean = np.divide(weights @ np.where(asked, rated, 0), times, out=np.full(times.shape, np.nan), where=times > 0)
    if not np.ptp(mean[0]) > 0 or any(not np.ptp(each) > 0 for each in distances.values()):
        raise HumalignError("ratings or distances that are all equal: no correlation can be told")
    middle = np.mean(list(distances.values()), axis=0)
    found = {}
    for model, each in distances.items():
        # A mean of fewer different people is less steady, and every draw nearer to none for it.
        found[model, "rating-pearson"] = Estimate.of(np.array([_pearson(each, drawn) for drawn in mean]), rated.shape[1]).centred()
        if (each < middle).any():
            found[model, "near-rating"] = Estimate.of(np.nanmean(mean[:, each < middle], axis=1), int((each < middle).sum()))
    return found


def _pearson(x: Float[np.ndarray, " pairs"], y: Float[np.ndarray, " pairs"]) -> float:
    known = np.isfinite(y)
    return float(np.corrcoef(x[known], y[known])[0, 1]) if known.sum() > 2 and np.ptp(y[known]) > 0 else np.nan
