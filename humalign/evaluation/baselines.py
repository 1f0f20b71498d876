"""Baselines that cost no judgment: what pictures alone make of a model's features.

Three of them stand beside a model on every number that people gave: its features less their mean, whitened,
and under a random affine map. A gain that is owed to judgments is one over the best of the three.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real

from humalign.errors import HumalignError, number
from humalign.teach.teacher import NEGLIGIBLE, AffineTeacher, rows_of, standardised

Pictures = Real[np.ndarray, "n dim"]

# In the order of tables.
KINDS = ("centred", "whitened", "random")
# Stages without judgments: the stage before, and how pictures change it.
STAGES = {f"base-{kind}": ("base", kind) for kind in KINDS}
STAGES |= {f"teacher-{kind}": ("teacher-base", kind) for kind in KINDS}
# Parts of the pictures, each of which is held out once to choose the rank.
FOLDS = 3
# Pearson's correlation of two rows says nothing of fewer features.
LEAST = 3


def of_pictures(
    features: Real[np.ndarray, "rows dim"], pictures: Pictures, rank: int, rng: np.random.Generator
) -> dict[str, Real[np.ndarray, "rows _"]]:
    """Return features as each baseline, taken from pictures, has them; ``rank`` is that of the random map."""
    maps = {"whitened": whitening(pictures), "random": random_map(pictures, rank, rng)}
    moved = {kind: each.transform(features) for kind, each in maps.items()}
    return {"centred": features - pictures.mean(0)} | moved


def whitening(pictures: Pictures) -> AffineTeacher:
    """Return the map onto the first ``likely_rank`` principal components of pictures, scaled to variance one.

    Raises:
        HumalignError: pictures that differ in too few directions, or are not finite.
    """
    mean, variances, directions = _principal(pictures)
    rank = min(likely_rank(pictures), len(variances))
    return _map(mean, directions[:, :rank] / np.sqrt(variances[:rank]))


def random_map(pictures: Pictures, rank: int, rng: np.random.Generator) -> AffineTeacher:
    """Return an affine map with random normal weights that takes the mean of the pictures to zero.

    An offset of its own would take back what centring brings, and make the baseline a weaker one.
    """
    mean, *_ = standardised(rows_of(pictures))
    matrix = rng.standard_normal((len(mean), number("rank", rank)))
    return _map(mean, matrix / np.sqrt(rank))


def rank_of(teacher: AffineTeacher) -> int:
    """Return the rank that a teacher's map can have."""
    return min(teacher.matrix_.shape)


def likely_rank(pictures: Pictures) -> int:
    """Return the number of principal components under which held-out pictures are most likely.

    The model has q directions with variances of their own, and one variance σ² = Σ_{i > q} λ_i / (d - q) for
    all others. With eigenvalues λ of the covariance of the training pictures, d features, and the coordinates
    y of a held-out picture,

        -2 log p = Σ_{i ≤ q} (ln λ_i + y_i² / λ_i) + (d - q) ln σ² + Σ_{i > q} y_i² / σ² + d ln 2π .

    The rule needs no judgment and no threshold, such as a share of the variance; it follows the number of
    pictures. Source: Tipping and Bishop (1999), Probabilistic principal component analysis.
    """
    x = np.asarray(rows_of(pictures), dtype=float)
    held = np.arange(len(x)) % FOLDS
    costs = [_costs(x[held != fold], x[held == fold]) for fold in range(FOLDS)]
    most = min(len(each) for each in costs)
    if most < LEAST:
        seen = f"{len(x)} pictures that differ in too few directions"
        raise HumalignError(f"{seen}: whitening needs more of them")
    total = np.sum([each[:most] for each in costs], axis=0)
    return LEAST + int(total[LEAST - 1 :].argmin())


def _costs(train: Pictures, test: Float[np.ndarray, "m dim"]) -> Float[np.ndarray, " ranks"]:
    """Return -2 log p of the test pictures without its constant, for each rank from one."""
    mean, variances, directions = _principal(train)
    dim, ranks = len(mean), np.arange(1, len(variances))
    centred = test - mean
    squares = ((centred @ directions) ** 2).sum(0)
    inside = np.cumsum(squares)[: len(ranks)]
    noise = (variances.sum() - np.cumsum(variances)[: len(ranks)]) / (dim - ranks)
    own = np.cumsum(len(test) * np.log(variances) + squares / variances)[: len(ranks)]
    return np.asarray(own + len(test) * (dim - ranks) * np.log(noise) + ((centred**2).sum() - inside) / noise)


def _principal(
    pictures: Pictures,
) -> tuple[Float[np.ndarray, " dim"], Float[np.ndarray, " k"], Float[np.ndarray, "dim k"]]:
    """Return the mean, the variances along the principal directions, greatest first, and these directions."""
    mean, scale, centred = standardised(np.asarray(rows_of(pictures), dtype=float))
    few = len(centred) <= len(mean)
    # Of the two matrices with these eigenvalues, the smaller one.
    values, vectors = np.linalg.eigh((centred @ centred.T if few else centred.T @ centred) / len(centred))
    kept = np.flatnonzero(values > NEGLIGIBLE**2 * values[-1])[::-1]
    values, vectors = values[kept], vectors[:, kept]
    directions = centred.T @ vectors / np.sqrt(len(centred) * values) if few else vectors
    return mean, values * scale**2, directions


def _map(mean: Float[np.ndarray, " dim"], matrix: Float[np.ndarray, "dim rank"]) -> AffineTeacher:
    found = AffineTeacher()
    found.mean_, found.scale_, found.matrix_ = mean, 1.0, matrix.astype(np.float32)
    found.bias_ = np.zeros(matrix.shape[1], dtype=np.float32)
    return found
