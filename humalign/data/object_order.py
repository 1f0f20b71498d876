"""A check of which of the three orders of the THINGS objects a public file is in, by people's answers about
the objects; see `orders`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Shaped
from scipy.optimize import minimize_scalar

from humalign.data.judgments import PAIRS, Choices
from humalign.data.orders import OLD, ORDERS, SORTED, UNIQUE, Order, check_names, rows_in
from humalign.errors import HumalignError

__all__ = [
    "OLD", "ORDERS", "SORTED", "UNIQUE", "Fit", "Order", "check_answers", "check_embedding", "check_names",
    "check_odd_last", "rows_in",
]  # fmt: skip

# Answers that touch moved objects below which an order is not judged, and those beyond which a part of them
# is enough.
FEWEST, ENOUGH = 200, 100_000
# How clearly another order must fit better: standard errors of the difference in log-likelihood.
CLEARLY = 2.0
# Standard deviations by which the moved objects' agreement may lie below that of as many others.
BELOW = 6.0
# Nats an answer by which features must beat guessing: below, they say too little of the objects to tell two
# orders apart.
INFORMATIVE = 0.02


@dataclasses.dataclass(frozen=True)
class Fit:
    """How a file's rows, taken in one order, fit answers that touch objects which the orders place
    differently.

    Attributes:
        order: in which the file would be.
        agreement: share of these answers that the rows reproduce.
        as_read: the same in the order in which the file was read.
        z: how much likelier the answers are in this order than as read, in standard errors.
        answers: how many there are.
    """

    order: Order
    agreement: float
    as_read: float
    z: float
    answers: int


def check_embedding(
    path: object,
    rows: Shaped[np.ndarray, "objects dim"],
    answers: Choices,
    names: Sequence[str],
    expected: Order,
    *,
    mend: str,
    cosine: bool = False,
    least: float = 0.0,
) -> None:
    """Check that a file of one row an object was in the order in which it was read, by answers about the
    objects.

    Args:
        path: of the file, for the message.
        rows: as read, in the order of ``unique_id.txt`` if the file was in the expected order.
        answers: each of which counts once.
        expected: the order in which the file was read.
        mend: what to do about a file in another order.
        cosine: compare by cosine, as features are; else by dot product, as people's dimensions are.
        least: agreement below which the rows are not those of the objects at all.

    Nothing is claimed of rows that say next to nothing about the answers, nor where too few answers touch the
    moved objects.

    Raises:
        HumalignError: another order fits clearly better, or none fits.
    """
    checker = _Checker.of(_products(rows, cosine), answers)
    if checker.agreement < least:
        raise HumalignError(
            f"{path}: its rows agree with {checker.agreement:.3f} of people's answers (guessing: 0.333), "
            f"and should with more than {least:.2f}: rows of other objects, or in an order of their own; "
            f"{mend}"
        )
    here = rows_in(names, expected)
    moves = {order: np.argsort(here)[rows_in(names, order)] for order in ORDERS if order is not expected}
    if found := checker.better(moves):
        raise HumalignError(f"{path}: {_said(found, expected)}; {mend}")
    if found_below := checker.below(moves):
        raise HumalignError(f"{path}: {found_below}, and no known order of the objects fits better; {mend}")


def check_answers(
    path: object,
    rows: Shaped[np.ndarray, "objects dim"],
    answers: Choices,
    names: Sequence[str],
    expected: Order,
    *,
    mend: str,
) -> None:
    """Check that a file of answers refers to the objects in the order in which it was read, by rows that were
    checked before.

    Args:
        path: of the file of answers.
        rows: people's dimensions of the objects, in the order of ``unique_id.txt``.
        answers: as read, converted from the expected order.
        expected: the order in which the file was read.
        mend: what to do about a file in another order.

    Raises:
        HumalignError: another order fits clearly better.
    """
    here = rows_in(names, expected)
    moves = {order: np.argsort(rows_in(names, order))[here] for order in ORDERS if order is not expected}
    if found := _Checker.of(_products(rows, False), answers).better(moves):
        raise HumalignError(f"{path}: {_said(found, expected)}; {mend}")


def check_odd_last(path: object, rows: Shaped[np.ndarray, "objects dim"], answers: Choices) -> None:
    """Check that the odd one stands last in answers that were read so, by people's dimensions of the objects.

    Raises:
        HumalignError: another pair than the first two is the most similar one clearly more often.
    """
    checker = _Checker.of(_products(rows, False), answers)
    i, j, k = checker.answers.T
    alike = np.stack([checker.products[a, b] for a, b in ((i, j), (i, k), (j, k))])
    most = np.bincount(alike.argmax(0), minlength=3)
    chosen = int(most.argmax())
    if most[chosen] - most[0] > 5 * np.sqrt(most[chosen] + most[0]):
        where = {1: "in the middle", 2: "first"}[chosen]
        raise HumalignError(
            f"{path}: the odd one stands {where}, not last: objects {PAIRS[chosen][0] + 1} and "
            f"{PAIRS[chosen][1] + 1} of a line are the most similar ones in {most[chosen] / most.sum():.0%} "
            "of the answers; write the odd one last in each line"
        )

# ---- the comparison -----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Checker:
    """Products of all pairs of objects, and answers with the kept pair first and the odd one last."""

    products: Float32[np.ndarray, "objects objects"]
    answers: Int[np.ndarray, "n 3"]

    @classmethod
    def of(cls, products: Float32[np.ndarray, "objects objects"], answers: Choices) -> _Checker:
        """Give every answer a row of its own, and put the pair that was kept first."""
        row, pair = np.nonzero(answers.counts)
        times = answers.counts[row, pair]
        order = np.array([(0, 1, 2), (0, 2, 1), (1, 2, 0)])[np.repeat(pair, times)]
        return cls(products, np.take_along_axis(answers.triplets[np.repeat(row, times)], order, axis=1))

    @property
    def agreement(self) -> float:
        """The share of all answers that the rows reproduce."""
        return float(self._right(_some(self.answers, ENOUGH)).mean())

    def better(self, moves: dict[Order, Int[np.ndarray, " objects"]]) -> Fit | None:
        """Return the order that fits the answers clearly better than the one as read, or None."""
        found = (self._fit(order, move) for order, move in moves.items())
        best = None
        for fit in (fit for fit in found if fit is not None and fit.z > CLEARLY):
            # The other orders differ among themselves in fewer objects, so that their likelihoods are
            # compared directly.
            if best is None or self._likelier(moves[fit.order], moves[best.order]):
                best = fit
        return best

    def below(self, moves: dict[Order, Int[np.ndarray, " objects"]]) -> str:
        """Say how far the moved objects' agreement lies below that of others, where chance does not explain
        it; else nothing.
        """
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

    def _fit(self, order: Order, move: Int[np.ndarray, " objects"]) -> Fit | None:
        touching = self._touching(move != np.arange(len(move)))
        if len(touching) < FEWEST or self._gain < INFORMATIVE:
            return None
        gain = self._likelihood(touching, move) - self._likelihood(touching)
        return Fit(
            order,
            float(self._right(touching, move).mean()),
            float(self._right(touching).mean()),
            _standard(gain),
            len(touching),
        )

    def _likelier(self, one: Int[np.ndarray, " objects"], other: Int[np.ndarray, " objects"]) -> bool:
        touching = self._touching(one != other)
        return bool(self._likelihood(touching, one).sum() > self._likelihood(touching, other).sum())

    def _touching(self, moved: Bool[np.ndarray, " objects"]) -> Int[np.ndarray, "m 3"]:
        i, j, k = self.answers.T
        return _some(self.answers[moved[i] | moved[j] | moved[k]], ENOUGH)

    def _values(
        self, answers: Int[np.ndarray, "m 3"], move: Int[np.ndarray, " objects"] | None = None
    ) -> Float32[np.ndarray, "3 m"]:
        i, j, k = (answers if move is None else move[answers]).T
        return np.stack([self.products[i, j], self.products[i, k], self.products[j, k]])

    def _right(
        self, answers: Int[np.ndarray, "m 3"], move: Int[np.ndarray, " objects"] | None = None
    ) -> Bool[np.ndarray, " m"]:
        ij, ik, jk = self._values(answers, move)
        return (ij > ik) & (ij > jk)

    def _likelihood(
        self, answers: Int[np.ndarray, "m 3"], move: Int[np.ndarray, " objects"] | None = None
    ) -> Float[np.ndarray, " m"]:
        return _log_softmax(self._values(answers, move), self._sharpness)

    @property
    def _sharpness(self) -> float:
        return self._fitted[0]

    @property
    def _gain(self) -> float:
        """Nats an answer by which the rows beat guessing."""
        return self._fitted[1]

    @property
    def _fitted(self) -> tuple[float, float]:
        """The inverse temperature at which the answers are likeliest, and how much likelier than by guessing.
        """
        if "fitted" not in self.__dict__:
            values = self._values(_some(self.answers, 20_000))
            spread = float(values.std()) or 1.0
            best = minimize_scalar(
                lambda power: -_log_softmax(values, np.exp(power) / spread).mean(),
                bounds=(-6, 4),
                method="bounded",
            )
            object.__setattr__(self, "fitted", (float(np.exp(best.x) / spread), float(np.log(3) - best.fun)))
        return self.__dict__["fitted"]


def _products(
    rows: Shaped[np.ndarray, "objects dim"], cosine: bool
) -> Float32[np.ndarray, "objects objects"]:
    rows = np.asarray(rows, dtype=np.float32)
    if cosine:
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return rows @ rows.T


def _some(answers: Int[np.ndarray, "n 3"], most: int) -> Int[np.ndarray, "m 3"]:
    if len(answers) <= most:
        return answers
    return answers[np.random.default_rng(0).choice(len(answers), most, replace=False, shuffle=False)]


def _log_softmax(values: Float[np.ndarray, "3 m"], sharpness: float) -> Float[np.ndarray, " m"]:
    """Return the log probability of the first of three pairs."""
    scaled = values.astype(float) * sharpness
    top = scaled.max(0)
    return scaled[0] - top - np.log(np.exp(scaled - top).sum(0))


def _standard(gain: Float[np.ndarray, " m"]) -> float:
    error = gain.std() / np.sqrt(len(gain))
    return float(gain.mean() / error) if error else 0.0


def _said(found: Fit, expected: Order) -> str:
    return (
        f"the objects are in {found.order.name}, not in {expected.name}: so they fit {found.agreement:.3f} "
        f"of {found.answers:,} answers about objects that stand elsewhere there, as read "
        f"{found.as_read:.3f} (z = {found.z:.1f})"
    )
