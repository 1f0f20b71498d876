"""The three orders in which public files list the THINGS objects, and a check of which one a file is in.

The orders differ in 21 of 1,854 objects, whose ids hold a digit, a hyphen or a blank where others go on:
camera1, hot-air_balloon, ice. All three follow from the ids alone. Inside humalign every row is in the order
of ``unique_id.txt``. A file of numbers names no object: which order it is in is told by people's answers.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Shaped
from scipy.optimize import minimize_scalar

from humalign.data.judgments import PAIRS, Choices
from humalign.errors import HumalignError

# Answers that touch moved objects: fewer do not judge an order, and of more a part is enough.
FEWEST, ENOUGH = 200, 100_000
# How clearly another order must fit better: standard errors of the difference in log-likelihood.
CLEARLY = 2.0
# Standard deviations by which the moved objects' agreement may lie below that of as many others.
BELOW = 6.0
# Nats an answer by which features must beat guessing: below, they cannot tell two orders apart.
INFORMATIVE = 0.02

Rows = Shaped[np.ndarray, "objects dim"]
Move = Int[np.ndarray, " objects"]


@dataclasses.dataclass(frozen=True)
class Order:
    """An order of the objects: its name in messages, and what the ids are sorted by."""

    name: str
    key: Callable[[str], str]


# The ids as words, blanks for underscores: unique_id.txt itself, SPoSE, the categories, nearly all answers.
UNIQUE = Order("the order of unique_id.txt", lambda name: name.replace("_", " "))
# Names of picture files, the ending included: VICE's final_embedding.npy, and its test_triplets.csv.
OLD = Order("the order of the picture files' names (ID.jpg)", lambda name: f"{name}.jpg")
# The ids as Python sorts them: the public CLIP file.
SORTED = Order("the order of the sorted ids", lambda name: name)
ORDERS = (UNIQUE, OLD, SORTED)


def rows_in(names: Sequence[str], order: Order) -> Move:
    """Return the row of each object in a file in this order; ``file[rows]`` is in that of ``unique_id.txt``.

    For the old order these are the numbers of ``sortindex`` in github.com/LukasMut/VICE.
    """
    return np.argsort(sorted(range(len(names)), key=lambda row: order.key(names[row])))


def check_names(path: object, names: Sequence[str]) -> None:
    """Check that the ids are in the order of ``unique_id.txt``, which other files refer to by row."""
    keys = [UNIQUE.key(name) for name in names]
    wrong = next((row for row in range(1, len(keys)) if keys[row] < keys[row - 1]), None)
    if wrong is not None:
        fits = [order.name for order in ORDERS if list(names) == sorted(names, key=order.key)]
        so = f": the ids are in {fits[0]}" if fits else ""
        pair = f"{names[wrong]!r} after {names[wrong - 1]!r}"
        mend = "answers refer to the objects by line, so take the published unique_id.txt"
        raise HumalignError(f"{path}, line {wrong + 1}: {pair}{so}; {mend}")


# ---- checks by people's answers ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Fit:
    """How a file's rows, taken in one order, fit answers about objects which the orders place differently.

    Attributes:
        agreement, as_read: share of these answers that the rows reproduce in this order, and in that as read.
        z: how much likelier the answers are in this order than as read, in standard errors.
        answers: how many there are.
    """

    order: Order
    agreement: float
    as_read: float
    z: float
    answers: int

    def said(self, expected: Order) -> str:
        """Say that this order fits better than the expected one."""
        return (
            f"the objects are in {self.order.name}, not in {expected.name}: so they fit {self.agreement:.3f} "
            f"of {self.answers:,} answers about objects that stand elsewhere there, as read "
            f"{self.as_read:.3f} (z = {self.z:.1f})"
        )


def check_embedding(
    path: object,
    rows: Rows,
    answers: Choices,
    names: Sequence[str],
    expected: Order,
    *,
    mend: str,
    cosine: bool = False,
    least: float = 0.0,
) -> None:
    """Check that a file of one row an object was in the order in which it was read.

    Nothing is claimed of rows that say little about the answers, nor where few answers touch moved objects.

    Args:
        rows: as read, in the order of ``unique_id.txt`` if the file was in the expected order.
        expected: the order in which the file was read.
        mend: what to do about a file in another order.
        cosine: compare by cosine, as features are; else by dot product, as people's dimensions are.
        least: agreement below which the rows are not those of the objects at all.

    Raises:
        HumalignError: another order fits clearly better, or none fits.
    """
    checker = _Checker.of(rows, answers, cosine)
    if (agreement := checker.agreement) < least:
        said = f"its rows agree with {agreement:.3f} of people's answers (guessing: 0.333)"
        what = f"and should with more than {least:.2f}: rows of other objects, or in an order of their own"
        raise HumalignError(f"{path}: {said}, {what}; {mend}")
    here = rows_in(names, expected)
    moves = {order: np.argsort(here)[rows_in(names, order)] for order in ORDERS if order is not expected}
    if found := checker.better(moves):
        raise HumalignError(f"{path}: {found.said(expected)}; {mend}")
    if below := checker.below(moves):
        raise HumalignError(f"{path}: {below}, and no known order of the objects fits better; {mend}")


def check_answers(
    path: object, rows: Rows, answers: Choices, names: Sequence[str], expected: Order, *, mend: str
) -> None:
    """Check that a file of answers refers to the objects in the order in which it was read.

    Args:
        rows: people's dimensions of the objects, checked before, in the order of ``unique_id.txt``.
        answers: as read, converted from the expected order.

    Raises:
        HumalignError: another order fits clearly better.
    """
    here = rows_in(names, expected)
    moves = {order: np.argsort(rows_in(names, order))[here] for order in ORDERS if order is not expected}
    if found := _Checker.of(rows, answers).better(moves):
        raise HumalignError(f"{path}: {found.said(expected)}; {mend}")


def check_odd_last(path: object, rows: Rows, answers: Choices) -> None:
    """Check that the odd one stands last in answers, by which pair is most similar in people's dimensions."""
    checker = _Checker.of(rows, answers)
    most = np.bincount(checker.values(checker.answers).argmax(0), minlength=3)
    chosen = int(most.argmax())
    if most[chosen] - most[0] > 5 * np.sqrt(most[chosen] + most[0]):
        where = {1: "in the middle", 2: "first"}[chosen]
        pair = f"objects {PAIRS[chosen][0] + 1} and {PAIRS[chosen][1] + 1} of a line"
        share = f"the most similar ones in {most[chosen] / most.sum():.0%} of the answers"
        mend = "write the odd one last in each line"
        raise HumalignError(f"{path}: the odd one stands {where}, not last: {pair} are {share}; {mend}")


# ---- the comparison ----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Checker:
    """Products of all pairs of objects, and answers with the kept pair first and the odd one last."""

    products: Float32[np.ndarray, "objects objects"]
    answers: Int[np.ndarray, "n 3"]

    @classmethod
    def of(cls, rows: Rows, answers: Choices, cosine: bool = False) -> _Checker:
        """Give every answer a row of its own, and put the pair that was kept first."""
        rows = np.asarray(rows, dtype=np.float32)
        if cosine:
            rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        row, pair = np.nonzero(answers.counts)
        times = answers.counts[row, pair]
        order = np.array([(0, 1, 2), (0, 2, 1), (1, 2, 0)])[np.repeat(pair, times)]
        return cls(rows @ rows.T, np.take_along_axis(answers.triplets[np.repeat(row, times)], order, axis=1))

    @property
    def agreement(self) -> float:
        """The share of all answers that the rows reproduce."""
        return float(self._right(_some(self.answers, ENOUGH)).mean())

    def better(self, moves: dict[Order, Move]) -> Fit | None:
        """Return the order that fits the answers clearly better than the one as read, or None."""
        best = None
        for order, move in moves.items():
            fit = self._fit(order, move)
            # Other orders differ among themselves in fewer objects: their likelihoods are compared directly.
            if fit and fit.z > CLEARLY and (best is None or self._likelier(move, moves[best.order])):
                best = fit
        return best

    def below(self, moves: dict[Order, Move]) -> str:
        """Say how far the moved objects' agreement lies below that of others, beyond chance; else nothing."""
        moved = np.any([move != np.arange(len(move)) for move in moves.values()], axis=0)
        some = _some(self.answers, 3 * ENOUGH)
        right, asked = self._right(some), np.bincount(some.ravel(), minlength=len(moved))
        agreed = np.bincount(some.ravel(), np.repeat(right, 3), minlength=len(moved))
        enough = asked >= 20
        if (moved & enough).sum() < 5 or (~moved & enough).sum() < 50:
            return ""
        each = agreed[enough] / asked[enough]
        these, others = each[moved[enough]], each[~moved[enough]]
        if others.mean() - these.mean() <= BELOW * others.std() / np.sqrt(len(these)):
            return ""
        return (
            f"the rows of {len(these)} objects, which the known orders place differently, agree with "
            f"{these.mean():.3f} of the answers, those of all others with {others.mean():.3f}"
        )

    def _fit(self, order: Order, move: Move) -> Fit | None:
        touching = self._touching(move != np.arange(len(move)))
        if len(touching) < FEWEST or self._fitted[1] < INFORMATIVE:
            return None
        agreement, as_read = self._right(touching, move).mean(), self._right(touching).mean()
        gain = self._likelihood(touching, move) - self._likelihood(touching)
        error = gain.std() / np.sqrt(len(gain))
        z = float(gain.mean() / error) if error else 0.0
        return Fit(order, float(agreement), float(as_read), z, len(touching))

    def _likelier(self, one: Move, other: Move) -> bool:
        touching = self._touching(one != other)
        return bool(self._likelihood(touching, one).sum() > self._likelihood(touching, other).sum())

    def _touching(self, moved: Bool[np.ndarray, " objects"]) -> Int[np.ndarray, "m 3"]:
        i, j, k = self.answers.T
        return _some(self.answers[moved[i] | moved[j] | moved[k]], ENOUGH)

    def values(self, answers: Int[np.ndarray, "m 3"], move: Move | None = None) -> Float32[np.ndarray, "3 m"]:
        """Return the products of the pairs (ij, ik, jk), of objects moved elsewhere where a move is given."""
        i, j, k = (answers if move is None else move[answers]).T
        return np.stack([self.products[i, j], self.products[i, k], self.products[j, k]])

    def _right(self, answers: Int[np.ndarray, "m 3"], move: Move | None = None) -> Bool[np.ndarray, " m"]:
        ij, ik, jk = self.values(answers, move)
        return (ij > ik) & (ij > jk)

    def _likelihood(self, answers: Int[np.ndarray, "m 3"], move: Move | None = None) -> np.ndarray:
        return _log_softmax(self.values(answers, move), self._fitted[0])

    @functools.cached_property
    def _fitted(self) -> tuple[float, float]:
        """The likeliest inverse temperature, and by how many nats an answer the rows then beat guessing."""
        values = self.values(_some(self.answers, 20_000))
        spread = float(values.std()) or 1.0

        def surprise(power: float) -> float:
            return float(-_log_softmax(values, np.exp(power) / spread).mean())

        best = minimize_scalar(surprise, bounds=(-6, 4), method="bounded")
        return float(np.exp(best.x) / spread), float(np.log(3) - best.fun)


def _some(answers: Int[np.ndarray, "n 3"], most: int) -> Int[np.ndarray, "m 3"]:
    if len(answers) <= most:
        return answers
    return answers[np.random.default_rng(0).choice(len(answers), most, replace=False, shuffle=False)]


def _log_softmax(values: Float[np.ndarray, "3 m"], sharpness: float) -> Float[np.ndarray, " m"]:
    """Return the log probability of the first of three pairs."""
    scaled = values.astype(float) * sharpness
    top = scaled.max(0)
    return scaled[0] - top - np.log(np.exp(scaled - top).sum(0))
