"""Rank correlation under bootstrap weights, exactly, without ranking anew for every draw.

Drawing an item w times gives w tied copies of it. Sorted once, an item's mid-rank in a draw is the weight
before its value, plus half the weight of its value and a half: a draw costs a cumulative sum.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int, Real

from humalign.errors import HumalignError

# One number an item.
Values = Real[np.ndarray, " n"]


class Ranked:
    """Values, sorted once.

    Raises:
        HumalignError: NaN among them.
    """

    def __init__(self, values: Values) -> None:
        values = np.asarray(values)
        if np.isnan(values).any():
            place = int(np.isnan(values).argmax())
            raise HumalignError(f"value {place} of {len(values)} is NaN: it has no rank")
        self.order: Int[np.ndarray, " n"] = np.argsort(values, kind="stable")
        ordered = values[self.order]
        # Equal values share one group, and so one rank.
        self.group = np.concatenate([[0], np.cumsum(ordered[1:] != ordered[:-1])])

    def midranks(self, weights: Values) -> Values:
        """Return each value's mid-rank when item m is drawn ``weights[m]`` times."""
        mass = np.bincount(self.group, weights=weights[self.order])
        return self.of_items(np.cumsum(mass) - mass / 2 + 0.5)

    def of_items(self, of_groups: Float[np.ndarray, " groups"]) -> Values:
        """Return for each item the number of its group of equal values."""
        result = np.empty(len(self.order))
        result[self.order] = of_groups[self.group]
        return result


def midranks(rows: Float[np.ndarray, "rows n"], weights: Values) -> Float[np.ndarray, "rows n"]:
    """Return the mid-ranks of each row when item m is drawn ``weights[m]`` times, which must be above zero.

    As ``Ranked``, for many rows at a time: their groups of equal values are counted on from row to row.
    """
    order = _order(rows)
    ordered = np.take_along_axis(rows, order, axis=1)
    first = np.ones(rows.shape, dtype=bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=first[:, 1:])
    group = np.cumsum(first.ravel()) - 1
    mass = np.bincount(group, weights=weights[order].ravel())
    rank = np.cumsum(mass) - mass / 2 + 0.5
    result = np.empty(rows.shape)
    np.put_along_axis(result, order, rank[group].reshape(rows.shape), axis=1)
    return result - weights.sum() * np.arange(len(rows))[:, None]


def _order(rows: Float[np.ndarray, "rows n"]) -> Int[np.ndarray, "rows n"]:
    """Return the order of each row; sums of ranks, halves of whole numbers, are sorted by their digits."""
    doubled = 2 * rows
    if not (0 <= doubled.min() and doubled.max() < 2**32 and np.array_equal(doubled, np.floor(doubled))):
        return np.argsort(rows, axis=1)
    digits = doubled.astype(np.uint32)
    order = np.argsort((digits & 0xFFFF).astype(np.uint16), axis=1, kind="stable")
    if digits.max() < 2**16:
        return order
    high = np.take_along_axis((digits >> 16).astype(np.uint16), order, axis=1)
    return np.take_along_axis(order, np.argsort(high, axis=1, kind="stable"), axis=1)


def spearman(x: Ranked, y: Ranked, weights: Iterable[Values]) -> Float[np.ndarray, " draws"]:
    """Return Spearman's correlation (average ranks) under each row of weights; NaN if a side is constant."""
    drawn = (np.asarray(w, dtype=float) for w in weights)
    return np.array([weighted_pearson(x.midranks(w), y.midranks(w), w) for w in drawn])


def spearman_parts(x: Values, y: Values) -> tuple[float, Values]:
    """Return Spearman's correlation (average ranks), and each item's influence on it, zero on average.

    To first order, the correlation of other items is that of these plus their mean influence. So the interval
    of a mean gives one of the correlation, where items are not drawn one by one. NaN if a side is constant.
    """
    ranked = Ranked(x), Ranked(y)
    ranks = [(side.midranks(np.ones(len(x))) - 0.5) / len(x) for side in ranked]

    def joint(a: int, b: int) -> tuple[float, np.ndarray]:
        """The covariance of two sides, and each item's part in it: its product, and the ranks it raises."""
        mean = float((ranks[a] * ranks[b]).mean())
        raised = _above(ranked[a], ranks[b]) + _above(ranked[b], ranks[a])
        return mean - 0.25, ranks[a] * ranks[b] + raised - 3 * mean

    (both, parts), (own_x, parts_x), (own_y, parts_y) = joint(0, 1), joint(0, 0), joint(1, 1)
    if min(own_x, own_y) < 1e-12:
        return float("nan"), np.full(len(x), np.nan)
    found = both / np.sqrt(own_x * own_y)
    return float(found), parts / np.sqrt(own_x * own_y) - found / 2 * (parts_x / own_x + parts_y / own_y)


def _above(ranked: Ranked, values: Values) -> Values:
    """Return for each item the mean over all items of their values if they rank above it; half in a tie."""
    total = np.bincount(ranked.group, weights=values[ranked.order])
    return ranked.of_items(total.sum() - np.cumsum(total) + total / 2) / len(values)


def weighted_pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Return Pearson's correlation under one row of weights; NaN where one side is constant."""
    # Sums of products, not `@`: for vectors this short, calling a threaded library costs more than the sums.
    total = weights.sum()
    x, y = x - (weights * x).sum() / total, y - (weights * y).sum() / total
    wx, wy = weights * x, weights * y
    variance = (wx * x).sum() * (wy * y).sum()
    return float((wx * y).sum() / np.sqrt(variance)) if variance > 0 else np.nan


def matrix_pearson(
    x: Real[np.ndarray, "n n"], y: Real[np.ndarray, "n n"], weights: Float[np.ndarray, "draws n"]
) -> Float[np.ndarray, " draws"]:
    """Return Pearson's correlation of two symmetric matrices off their diagonals, by each row of weights."""
    apart = 1.0 - np.eye(len(x))
    total = over_pairs(apart, weights)
    # Without their means first: the differences of squares below are then between numbers of one size.
    x, y = ((matrix - matrix[apart > 0].mean()) * apart for matrix in (x, y))
    mean_x, mean_y, xx, yy, xy = (over_pairs(each, weights) / total for each in (x, y, x * x, y * y, x * y))
    return (xy - mean_x * mean_y) / np.sqrt((xx - mean_x**2) * (yy - mean_y**2))


def over_pairs(
    matrix: Real[np.ndarray, "n n"], weights: Float[np.ndarray, "draws n"]
) -> Float[np.ndarray, " draws"]:
    """Return the sum of a matrix over pairs, each drawn as often as its two items: a quadratic form."""
    return np.asarray(((weights @ matrix) * weights).sum(1))
