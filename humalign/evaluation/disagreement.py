"""Where two models differ most: pairs of pictures ranked by disagreement.

Source of the idea: Muttenthaler et al. (2025), pairs of images on which an aligned student and its control disagree.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, Real

from humalign.data.judgments import floats, number
from humalign.errors import HumalignError
from humalign.evaluation.rsa import dissimilarities


def standardised(features: Real[np.ndarray, "images dim"]) -> Float[np.ndarray, "images images"]:
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
    one: Real[np.ndarray, "images images"], other: Real[np.ndarray, "others others"], most: int
) -> Int[np.ndarray, "pairs 2"]:
    """Return the pairs of images on which two models' standardised distances differ most, either way, the farthest first.

    Raises:
        HumalignError: distances of other images, or that are not finite.
    """
    one, other = floats(one, "distances"), floats(other, "distances")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise HumalignError("distances that are not finite: pairs cannot be ranked by them")
    if one.shape != other.shape:
        raise HumalignError(f"distances of {len(one)} and of {len(other)} images: both models must have seen the same, in one order")
    i, j = np.triu_indices(len(one), k=1)
    order = np.argsort(-np.abs(one - other)[i, j], kind="stable")[: number("most", most)]
    return np.stack([i[order], j[order]], axis=1)
