"""Rank correlation under bootstrap weights, exactly, without ranking anew for every draw.

Drawing an item w times gives w tied copies of it. Sorted once, the mid-rank of an item in a draw is the weight that
stands before its value plus half its own value's weight (and a half), so a draw costs a cumulative sum.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int, Real

from humalign.errors import HumalignError


class Ranked:
    """Values, sorted once.

    Raises:
        HumalignError: NaN among them.
    """

    def __init__(self, values: Real[np.ndarray, " n"]) -> None:
        values = np.asarray(values)
        if np.isnan(values).any():
            raise HumalignError(f"value {int(np.isnan(values).argmax())} of {len(values)} is NaN: it has no rank")
        self.order: Int[np.ndarray, " n"] = np.argsort(values, kind="stable")
        ordered = values[self.order]
        # Equal values share one group, and so one rank.
        self.group = np.concatenate([[0], np.cumsum(ordered[1:] != ordered[:-1])])

    def midranks(self, weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return each value's mid-rank when item m is drawn ``weights[m]`` times."""
        mass = np.bincount(self.group, weights=weights[self.order])
        rank = np.cumsum(mass) - mass / 2 + 0.5
        result = np.empty(len(self.order))
        result[self.order] = rank[self.group]
        return result


def midranks(rows: Float[np.ndarray, "rows n"], weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, "rows n"]:
    """Return the mid-ranks of the values of each row when item m is drawn ``weights[m]`` times, above zero; of rows that are ranked once.

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
    """Return the order of the values of each row; sums of ranks are halves of whole numbers, which NumPy sorts by their digits."""
    doubled = 2 * rows
    digits = doubled.astype(np.uint32) if 0 <= doubled.min() and doubled.max() < 2**32 else np.zeros(rows.shape, np.uint32)
    if not np.array_equal(digits, doubled):
        return np.argsort(rows, axis=1)
    order = np.argsort((digits & 0xFFFF).astype(np.uint16), axis=1, kind="stable")
    if digits.max() < 2**16:
        return order
    high = np.take_along_axis((digits >> 16).astype(np.uint16), order, axis=1)
    return np.take_along_axis(order, np.argsort(high, axis=1, kind="stable"), axis=1)


def spearman(x: Ranked, y: Ranked, weights: Iterable[Float[np.ndarray, " n"]]) -> Float[np.ndarray, " draws"]:
    """Return Spearman's correlation (average ranks for ties) under each row of weights; NaN where one side is constant."""
    return np.array([weighted_pearson(x.midranks(w), y.midranks(w), np.asarray(w, dtype=float)) for w in weights])


def spearman_parts(x: Real[np.ndarray, " n"], y: Real[np.ndarray, " n"]) -> tuple[float, Float[np.ndarray, " n"]]:
    """Return Spearman's correlation, average ranks for ties, and how much each item moves it: its influence, zero on average.

    To first order, the correlation of other items is that of these plus the mean influence; so an interval of a mean becomes one of the
    correlation, where items are not drawn one by one. NaN where one side is constant.
    """
    once = np.ones(len(x))
    ranked = Ranked(x), Ranked(y)
    u, v = ((side.midranks(once) - 0.5) / len(x) for side in ranked)

    def joint(one: np.ndarray, other: np.ndarray, ranks: tuple[Ranked, Ranked]) -> tuple[float, np.ndarray]:
        """The covariance of two rank variables, and each item's part: its own product, and the ranks of the others that it raises."""
        mean = float((one * other).mean())
        raised = _above(ranks[0], other) + _above(ranks[1], one)
        return mean - 0.25, one * other + raised - 3 * mean

    (both, parts), (own_x, parts_x), (own_y, parts_y) = (
        joint(u, v, ranked), joint(u, u, (ranked[0], ranked[0])), joint(v, v, (ranked[1], ranked[1]))
    )
    if min(own_x, own_y) < 1e-12:
        return float("nan"), np.full(len(x), np.nan)
    found = both / np.sqrt(own_x * own_y)
    return float(found), parts / np.sqrt(own_x * own_y) - found / 2 * (parts_x / own_x + parts_y / own_y)


def _above(ranked: Ranked, values: Real[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return for each item the mean over all items of a value, counted where the item's rank is lower, and half where it is the same."""
    total = np.bincount(ranked.group, weights=values[ranked.order])
    above = total.sum() - np.cumsum(total) + total / 2
    result = np.empty(len(values))
    result[ranked.order] = above[ranked.group] / len(values)
    return result


def weighted_pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Return Pearson's correlation under one row of weights; NaN where one side is constant."""
    # Sums of products, not `@`: handing vectors this short to a threaded library costs more than adding them up.
    total = weights.sum()
    x, y = x - (weights * x).sum() / total, y - (weights * y).sum() / total
    wx, wy = weights * x, weights * y
    variance = (wx * x).sum() * (wy * y).sum()
    return float((wx * y).sum() / np.sqrt(variance)) if variance > 0 else np.nan


def matrix_pearson(
    x: Real[np.ndarray, "n n"], y: Real[np.ndarray, "n n"], weights: Float[np.ndarray, "draws n"]
) -> Float[np.ndarray, " draws"]:
    """Return Pearson's correlation of two symmetric matrices off their diagonals; a pair is drawn as often as its two items together."""
    apart = 1.0 - np.eye(len(x))
    total = _over_pairs(apart, weights)
    # Without their means first: the differences of squares below are then between numbers of one size.
    x, y = ((matrix - matrix[apart > 0].mean()) * apart for matrix in (x, y))
    mean_x, mean_y, xx, yy, xy = (_over_pairs(matrix, weights) / total for matrix in (x, y, x * x, y * y, x * y))
    return (xy - mean_x * mean_y) / np.sqrt((xx - mean_x**2) * (yy - mean_y**2))


def _over_pairs(matrix: Real[np.ndarray, "n n"], weights: Float[np.ndarray, "draws n"]) -> Float[np.ndarray, " draws"]:
    return np.asarray(((weights @ matrix) * weights).sum(1))
