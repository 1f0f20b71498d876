"""What can be shown of judgments: single triplets, chosen by a rule, and the dimensions of an embedding by their highest objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from humalign.data.judgments import PAIRS, Choices, entropy, floats
from humalign.evaluation.scores import Estimate

# Where a shown triplet stands when all are ordered by the entropy of their answers.
PLACES = {"clear": 0.1, "typical": 0.5, "open": 0.9}


def typical_rows(choices: Choices, among: Bool[np.ndarray, " n"], places: Mapping[str, float] = PLACES) -> dict[str, int]:
    """Return the rows at given places of the order by entropy of their answers, from 0 (all agree most) to 1.

    Args:
        choices: triplets that were asked of several people.
        among: which rows may be shown.
        places: by name.
    """
    rows = np.flatnonzero(among)
    order = rows[np.argsort(entropy(choices.shares[rows]), kind="stable")]
    return {name: int(order[round(place * (len(order) - 1))]) for name, place in places.items()}


def pair_names(triplet: Int[np.ndarray, " 3"], names: Sequence[str]) -> tuple[str, ...]:
    """Return each pair of a triplet as ``cat + dog | car``, the object that is left out last."""
    said = [names[o].replace("_", " ") for o in triplet]
    return tuple(f"{said[a]} + {said[b]} | {said[3 - a - b]}" for a, b in PAIRS)


def answer_shares(counts: Int[np.ndarray, " 3"], draws: int, seed: int) -> list[Estimate]:
    """Return the share of the answers that each pair of one triplet had (unit: answer)."""
    total = int(counts.sum())
    shares = counts / total
    drawn = np.random.default_rng(seed).multinomial(total, shares, size=draws) / total
    return [Estimate(float(share), column, total) for share, column in zip(shares, drawn.T, strict=True)]


def highest(strength: Real[np.ndarray, " objects"], names: Sequence[str], top: int) -> str:
    """Name the objects that are highest on one dimension, the highest first."""
    return ", ".join(names[o].replace("_", " ") for o in np.argsort(-strength, kind="stable")[:top])


def nearest_dimension(
    strength: Real[np.ndarray, " objects"], others: Real[np.ndarray, "objects dims"], weights: Float[np.ndarray, "draws objects"]
) -> Estimate:
    """Return Pearson's correlation of a dimension with the one that is nearest to it in another embedding (unit: object).

    Which one is nearest is decided on all objects, once.
    """
    strength, others = (floats(each, "strengths") for each in (strength, others))
    whole = [float(np.corrcoef(strength, other)[0, 1]) for other in others.T]
    other = others[:, int(np.argmax(whole))]
    total = weights.sum(1, dtype=float)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray(weights @ values, dtype=float) / total

    x, y = strength - strength.mean(), other - other.mean()
    covariance = mean(x * y) - mean(x) * mean(y)
    return Estimate.of(covariance / np.sqrt((mean(x * x) - mean(x) ** 2) * (mean(y * y) - mean(y) ** 2)), len(strength))
