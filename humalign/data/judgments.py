"""Judgments of similarity: answers to odd-one-out triplets, and the rule by which features answer them too.

The order, said once for the whole project. A triplet has columns (i, j, k); its three pairs are always
listed as (ij, ik, jk). Choosing a pair as the most similar makes the third image the odd one out, so
pair 0 leaves k, pair 1 leaves j, pair 2 leaves i. Where a triplet carries one answer, its row is sorted
so that (i, j) is the pair kept together and k, in the last column, the odd one out. Indices are 0-based.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Integer, Num, Real
from numpy.random import Generator

from humalign.errors import HumalignError, expect, number

PAIRS = ((0, 1), (0, 2), (1, 2))
BLOCK = 2**16
# Indices of any type that holds whole numbers, as views or lists; `check_triplets` makes one form of them.
Triplets = Real[np.ndarray, "_ 3"] | Sequence[Sequence[int]]
Objects = Integer[np.ndarray, " m"]
# Indices of three objects, and a value for each of their pairs (ij, ik, jk).
Indices = Int[np.ndarray, "n 3"]
Values = Float[np.ndarray, "n 3"]
AnyValues = Real[np.ndarray, "n 3"]


def floats(values: Any, what: str = "features") -> Real[np.ndarray, "*shape"]:
    """Return real numbers in single or double precision; half precision and whole numbers are widened."""
    found = _numbers(values, what)
    wide = np.float64 if found.dtype.itemsize > 8 else np.result_type(found.dtype, np.float32)
    return found.astype(wide, copy=False)


def whole(values: Any, what: str) -> Int[np.ndarray, "*shape"]:
    """Return whole numbers as int64, in one piece of memory; the row of any other is named."""
    found = _numbers(values, what)
    if found.dtype.kind in "fu":
        # Beyond that, floats leave numbers out, and another one stands in their place.
        most = min(2.0**63, 2.0 ** (np.finfo(found.dtype).nmant + 1)) if found.dtype.kind == "f" else 2**63
        with np.errstate(over="ignore"):
            beyond = np.abs(found.astype(np.longdouble)) >= most
            broken = ~np.isfinite(found) | (found != np.trunc(found)) | beyond
        if broken.any():
            place = np.unravel_index(int(broken.argmax()), broken.shape)
            value, row = found[place], f"row {place[0]}: " if place else ""
            exact = f", which {found.dtype} holds exactly up to {most:,.0f}" if np.isfinite(value) else ""
            raise HumalignError(f"{row}{what} hold {value}: expected whole numbers{exact}")
    return np.ascontiguousarray(found, dtype=np.int64)


def first(faulty: Bool[np.ndarray, n *columns]) -> int | None:
    """Return the first row (from 0) with anything at fault, or None."""
    rows = np.flatnonzero(faulty.any(axis=1) if faulty.ndim > 1 else faulty)
    return int(rows[0]) if rows.size else None


def _numbers(values: Any, what: str) -> Num[np.ndarray, "*shape"]:
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise HumalignError(f"{what} hold masked values: leave them out, or fill them in")
    if hasattr(values, "tocsr"):
        raise HumalignError(f"{what} are a sparse matrix: give {what}.toarray()")
    if "bfloat16" in str(getattr(values, "dtype", "")):  # which numpy has not
        values = values.float() if hasattr(values, "detach") else values.astype(np.float32)
    try:
        found = np.asarray(values.detach().cpu().resolve_neg() if hasattr(values, "detach") else values)
    except (TypeError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:120]
        raise HumalignError(f"{what} are no array of numbers ({said})") from None
    if found.dtype.kind not in "biuf":
        raise HumalignError(f"{what} are of type {found.dtype}: expected real numbers")
    return found


@dataclasses.dataclass(frozen=True)
class Choices:
    """Triplets, and how many people kept each of their three pairs together; both given in any form.

    Attributes:
        triplets: (n, 3) indices of objects.
        counts: (n, 3) answers for the pairs (ij, ik, jk).

    Raises:
        HumalignError: triplets that `check_triplets` refuses; rows that are not three counts with an answer.
    """

    triplets: Indices
    counts: Int[np.ndarray, "n 3"]

    def __init__(self, triplets: Any, counts: Any) -> None:
        object.__setattr__(self, "triplets", check_triplets(triplets))
        object.__setattr__(self, "counts", whole(counts, "counts of answers"))
        if self.counts.shape != self.triplets.shape:
            said = f"{len(self)} triplets but counts of shape {self.counts.shape}"
            raise HumalignError(f"{said}: one row of three each")
        if (row := first(self.counts < 0)) is not None:
            raise HumalignError(f"row {row}: counts of answers below zero: {self.counts[row].tolist()}")
        if (row := first(self.counts.sum(1, keepdims=True) < 1)) is not None:
            raise HumalignError(f"row {row}: a triplet without an answer; leave it out")

    def __len__(self) -> int:
        return len(self.triplets)

    @property
    def shares(self) -> Values:
        """The share of people who kept each pair together."""
        return self.counts / self.counts.sum(1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class ByObject:
    """Answers that scikit-learn can slice by object: ``answers[objects]`` keeps the triplets inside them.

    ``cross_val_score(teacher, embeddings, answers, cv=ObjectFolds())`` fits on answers wholly inside the
    training objects and scores on those wholly inside the others; answers across the border are in neither.

    Attributes:
        triplets: (n, 3) indices of objects.
        shares: (n, 3) the share of people who kept each of the pairs (ij, ik, jk), or a choice distribution.
        objects: how many there are.

    Raises:
        HumalignError: triplets that ``check_triplets`` refuses, or shares that ``check_shares`` refuses.
    """

    triplets: Indices
    shares: Values
    objects: int

    def __init__(self, triplets: Any, shares: Any, objects: int) -> None:
        object.__setattr__(self, "objects", number("objects", objects))
        object.__setattr__(self, "triplets", check_triplets(triplets, self.objects))
        object.__setattr__(self, "shares", check_shares(shares, len(self.triplets)))

    @classmethod
    def of(cls, choices: Answered, objects: int) -> ByObject:
        """Slice answers or choice distributions by object."""
        return cls(*distributions(choices, objects), objects)

    def __len__(self) -> int:
        return self.objects

    @property
    def shape(self) -> tuple[int]:
        """One entry an object, as scikit-learn asks."""
        return (self.objects,)

    def __getitem__(self, rows: Any) -> ByObject:
        """Keep the triplets whose objects are all among the given ones, renumbered to places in them."""
        try:
            rows = np.arange(self.objects)[rows[0] if isinstance(rows, tuple) else rows]
        except IndexError as error:
            mend = "give their numbers, from 0"
            raise HumalignError(f"no such objects among {self.objects} ({error}): {mend}") from None
        if np.ndim(rows) != 1 or len(np.unique(rows)) < len(rows):
            why = "an answer about one drawn twice would be lost"
            raise HumalignError(f"answers are sliced by a list of objects, each once: {why}")
        place = np.full(self.objects, -1)
        place[rows] = np.arange(len(rows))
        local = place[self.triplets]
        keep = (local >= 0).all(1)
        if not keep.any():
            raise HumalignError(f"no answer lies wholly inside these {len(rows)} objects")
        return ByObject(local[keep], self.shares[keep], len(rows))


# What a teacher is fitted to and scored on: answers, or triplets with choice distributions.
Answered = Choices | ByObject | tuple[Any, Any]


def distributions(choices: Answered, objects: int | None = None) -> tuple[Indices, Values]:
    """Return triplets and the share of answers for each of their pairs, both checked."""
    if not isinstance(choices, Choices | ByObject) and not (isinstance(choices, tuple) and len(choices) == 2):
        mend = "give Choices(triplets, counts), or (triplets, shares)"
        raise HumalignError(f"`choices` is a {type(choices).__name__}: {mend}")
    triplets, shares = choices if isinstance(choices, tuple) else (choices.triplets, choices.shares)
    triplets = check_triplets(triplets, objects)
    return triplets, check_shares(shares, len(triplets))


def check_triplets(triplets: Any, objects: int | None = None) -> Indices:
    """Return triplets as int64; each row must name three different objects by whole numbers in range."""
    triplets = whole(triplets, "triplets")
    if triplets.ndim != 2 or triplets.shape[1] != 3 or not len(triplets):
        wanted = "expected rows of three indices, and at least one"
        raise HumalignError(f"triplets of shape {triplets.shape}: {wanted}")
    most = np.inf if objects is None else objects
    if triplets.min() < 0 or triplets.max() >= most:
        at = int(((triplets < 0) | (triplets >= most)).any(axis=1).argmax())
        said, hint = "an index below 0", ""
        if objects is not None:
            said, hint = f"index outside 0..{objects - 1}", "; are these 1-based?"
        raise HumalignError(f"row {at}: {said}: {triplets[at].tolist()}{hint}")
    i, j, k = triplets.T
    if (row := first((i == j) | (i == k) | (j == k))) is not None:
        raise HumalignError(f"row {row}: the same object twice in a triplet: {triplets[row].tolist()}")
    return triplets


def check_shares(shares: Any, rows: int | None = None) -> Values:
    """Return choice distributions in single or double precision; rows sum to 1, without negatives."""
    shares = np.ascontiguousarray(floats(shares, "shares of answers"))
    if shares.ndim != 2 or shares.shape[1] != 3 or rows not in (None, len(shares)):
        wanted = f"expected three for each of {rows or 'the'} triplets"
        raise HumalignError(f"shares of shape {shares.shape}: {wanted}")
    # Column by column, as in `agreement`. A NaN fails every comparison.
    ij, ik, jk = shares.T
    sound = (np.minimum(np.minimum(ij, ik), jk) >= 0) & (np.abs(ij + ik + jk - 1) < 1e-3)
    if (row := first(~sound)) is not None:
        what = f"{np.round(shares[row], 3).tolist()} is no distribution over the three pairs"
        mend = "give shares from 0 to 1 that sum to 1, no percents and no logits"
        raise HumalignError(f"row {row}: {what}: {mend}, or counts as Choices(triplets, counts)")
    return shares


def majority_share(counts: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """Return the share of the most frequent answer to each triplet; its mean is the noise ceiling."""
    return counts.max(1) / counts.sum(1)


def entropy(shares: AnyValues) -> Float[np.ndarray, " n"]:
    """Return the entropy of each distribution over three choices, in nats (0 to ln 3)."""
    shares = check_shares(shares).astype(float)
    return -np.sum(shares * np.log(np.where(shares > 0, shares, 1.0)), axis=1)


def unit_rows(features: Real[np.ndarray, "m dim"], what: str = "features") -> Float[np.ndarray, "m dim"]:
    """Return each row divided by its length, in float32 or float64; rows must be finite, zeros stay zeros."""
    features = floats(features, what)
    if features.ndim != 2:
        raise HumalignError(f"{what} of shape {features.shape}: expected one row an object")
    if (row := first(~np.isfinite(features))) is not None:
        raise HumalignError(f"{what} hold NaN or infinity, first in row {row}: an odd one out cannot be told")
    tiny = np.finfo(features.dtype).tiny
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    # The square of such a length leaves the range of the type.
    extreme = ~np.isfinite(lengths) | (lengths < 1e3 * np.sqrt(tiny))
    if extreme.any():
        largest = np.maximum(np.abs(features).max(1, keepdims=True), tiny)
        features = np.where(extreme, features / largest, features)
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, tiny)


def cosine_similarities(features: Real[np.ndarray, "objects dim"], triplets: Triplets) -> Values:
    """Return cosines of the pairs (ij, ik, jk)."""
    unit = unit_rows(features)
    matrix, triplets = (unit @ unit.T).ravel(), check_triplets(triplets, len(unit))
    # Pair by pair in memory, as `agreement` reads them; by blocks whose indices fit the processor's cache.
    found = np.empty((3, len(triplets)), dtype=matrix.dtype)
    for start in range(0, len(triplets), BLOCK):
        columns = triplets[start : start + BLOCK].T
        for values, (a, b) in zip(found[:, start : start + BLOCK], PAIRS, strict=True):
            matrix.take(columns[a] * len(unit) + columns[b], out=values, mode="clip")
    return found.T


def agreement(similarities: AnyValues, shares: AnyValues) -> Float[np.ndarray, " n"]:
    """Return, for each triplet, the share of people who kept the most similar pair; a tie is wrong."""
    similarities, shares = floats(similarities, "similarities"), check_shares(shares, len(similarities))
    # Column by column: a reduction along rows of three costs several times as much.
    ij, ik, jk = similarities.T
    best = np.maximum(np.maximum(ij, ik), jk)
    if (row := first(np.isnan(best))) is not None:
        raise HumalignError(f"row {row}: similarities hold NaN: an odd one out cannot be told")
    one, two, three = ij == best, ik == best, jk == best
    chosen = np.where(one, shares[:, 0], np.where(two, shares[:, 1], shares[:, 2]))
    chosen[(one & two) | (one & three) | (two & three)] = 0.0
    return chosen


def random_triplets(objects: Objects | Sequence[int], n: int, rng: Generator) -> Integer[np.ndarray, "n 3"]:
    """Draw n triplets of three different objects, uniformly; of three objects or more, each named once."""
    objects = np.asarray(objects)
    expect("rng", rng, Generator, "np.random.default_rng(seed)")
    if objects.ndim != 1:
        raise HumalignError(f"objects of shape {objects.shape}: give a list of them, such as np.arange(30)")
    if len(objects) < 3:
        raise HumalignError(f"a triplet needs three objects, there are {len(objects)}")
    if not (objects[1:] > objects[:-1]).all() and len(np.unique(objects)) < len(objects):
        raise HumalignError("an object is named twice: triplets of it would compare it with itself")
    return _drawn(objects, number("n", n, least=0), rng)


def _drawn(objects: Objects, n: int, rng: Generator) -> Integer[np.ndarray, "n 3"]:
    drawn = rng.integers(len(objects), size=(int(n * (1 + 6 / len(objects))) + 16, 3))
    i, j, k = drawn.T
    drawn = drawn[(i != j) & (i != k) & (j != k)]
    if len(drawn) >= n:
        return objects[drawn[:n]]
    return np.concatenate([objects[drawn], _drawn(objects, n - len(drawn), rng)])
