"""Do models come to see alike? CKA and RSA of two models, and the pairs of pictures that set them apart."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int, Real

from humalign.data.judgments import floats
from humalign.errors import HumalignError, number
from humalign.evaluation import rsa
from humalign.evaluation.checks import check_features
from humalign.evaluation.correlation import over_pairs
from humalign.evaluation.rsa import Draws, Matrix, Weights
from humalign.evaluation.scores import Estimate, mean_of_folds

# The step h of the numerical derivative of a draw: weights 1 + h (w - 1).
STEP = 1e-3


def linear_cka(x: Real[np.ndarray, "n a"], y: Real[np.ndarray, "m b"], weights: Weights) -> Estimate:
    """Return the debiased linear centred kernel alignment of two models' features (unit: image).

    It is one for features that differ by a rotation, a shift and a scale, and about zero, not above it, for
    unrelated ones, however many dimensions there are. A pair of two copies of one image is left out.

    Raises:
        HumalignError: features that are not finite or all equal, of different images, or of fewer than four.

    Source: Kornblith, Norouzi, Lee, Hinton (2019), Similarity of neural network representations revisited;
    for the unbiased estimator, Song, Smola, Gretton, Bedo, Borgwardt (2012), equation 5.
    """
    x, y = (check_features(features, weights.shape[1]) for features in (x, y))
    if len(x) < 4:
        raise HumalignError(f"{len(x)} images: CKA needs four")
    one, other = _gram(x), _gram(y)
    beyond_once = np.asarray(weights, dtype=float) - 1
    drawn = _cka(one, other, 1 + beyond_once)
    near = _cka(one, other, 1 + beyond_once * STEP)
    # For small steps a pair's weight w_i w_j = (1 + h a_i)(1 + h a_j) is linear in the weights, so that
    # (f(1 + h a) - f(1)) / h is the first-order influence of the images. The first weights are all ones.
    influence = (near - drawn[0]) / STEP
    return Estimate.of(drawn, len(x), drawn[0] + influence)


def _cka(one: Matrix, other: Matrix, weights: Weights) -> Draws:
    """Return the alignment of two kernels under each row of weights; NaN where one is constant."""
    cross, own_x, own_y = (_hsic(*pair, weights) for pair in ((one, other), (one, one), (other, other)))
    defined = (own_x > 0) & (own_y > 0)
    return np.where(defined, cross / np.sqrt(np.where(defined, own_x * own_y, 1)), np.nan)


def _gram(features: Real[np.ndarray, "n dim"]) -> Matrix:
    centred = np.asarray(features, dtype=float) - features.mean(0)
    centred /= np.sqrt((centred**2).sum(1).mean())
    gram = centred @ centred.T
    np.fill_diagonal(gram, 0)
    return gram


def _hsic(one: Matrix, other: Matrix, weights: Weights) -> Draws:
    """Return the unbiased Hilbert-Schmidt independence criterion of two kernels without their diagonals."""
    n = weights.sum(1)
    row_one, row_other = weights @ one, weights @ other
    total_one, total_other = (row_one * weights).sum(1), (row_other * weights).sum(1)
    trace, both = over_pairs(one * other, weights), (row_one * row_other * weights).sum(1)
    return (trace + total_one * total_other / ((n - 1) * (n - 2)) - 2 * both / (n - 2)) / (n * (n - 3))


def alike(
    models: dict[str, Real[np.ndarray, "n _"]], weights: Weights
) -> Iterator[tuple[str, str, Estimate]]:
    """Yield ``name & name``, ``cka`` or ``rsa-spearman`` and the estimate; then the means of ``all pairs``.

    With the same weights before and after alignment, the difference is paired.
    """
    gathered: dict[str, list[Estimate]] = {"cka": [], "rsa-spearman": []}
    distances = {name: rsa.dissimilarities(features) for name, features in models.items()}
    for one, other in itertools.combinations(models, 2):
        found = {
            "cka": linear_cka(models[one], models[other], weights),
            "rsa-spearman": rsa.matrices(distances[one], distances[other], weights)["spearman"],
        }
        for metric, estimate in found.items():
            gathered[metric].append(estimate)
            yield f"{one} & {other}", metric, estimate
    for metric, several in gathered.items():
        if len(several) > 1:
            yield "all pairs", metric, dataclasses.replace(mean_of_folds(several), n=several[0].n)


def standardised(features: Real[np.ndarray, "images dim"]) -> Float[np.ndarray, "images images"]:
    """Return distances, 1 - Pearson's correlation, in standard deviations from the mean of all pairs.

    Raises:
        HumalignError: features that are not finite, or distances that are all equal.
    """
    distance = rsa.dissimilarities(features)
    pairs = distance[np.triu_indices(len(distance), k=1)]
    if not pairs.std() > 1e-9:
        raise HumalignError("distances that are all equal: the model tells nothing apart")
    return (distance - pairs.mean()) / pairs.std()


def most_apart(
    one: Real[np.ndarray, "images images"], other: Real[np.ndarray, "others others"], most: int
) -> Int[np.ndarray, "pairs 2"]:
    """Return the pairs of images on which two models' standardised distances differ most, the farthest first.

    Source of the idea: Muttenthaler et al. (2025), where an aligned student and its control disagree.

    Raises:
        HumalignError: distances of other images, or that are not finite.
    """
    one, other = floats(one, "distances"), floats(other, "distances")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise HumalignError("distances that are not finite: pairs cannot be ranked by them")
    if one.shape != other.shape:
        seen = f"distances of {len(one)} and of {len(other)} images"
        raise HumalignError(f"{seen}: both models must have seen the same, in one order")
    i, j = np.triu_indices(len(one), k=1)
    order = np.argsort(-np.abs(one - other)[i, j], kind="stable")[: number("most", most)]
    return np.stack([i[order], j[order]], axis=1)
