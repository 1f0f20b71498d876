"""Judgments of similarity: answers to odd-one-out triplets, and the rule by which features answer them too.

The order, said once for the whole project. A triplet has columns (i, j, k); its three pairs are always
listed as (ij, ik, jk). Choosing a pair as the most similar makes the third image the odd one out, so
pair 0 leaves k, pair 1 leaves j, pair 2 leaves i. Where a triplet carries one answer, its row is sorted
so that (i, j) is the pair kept together and k, in the last column, the odd one out. Indices are 0-based.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from humalign.errors import HumalignError

PAIRS = ((0, 1), (0, 2), (1, 2))


@dataclasses.dataclass(frozen=True)
class Choices:
    """Triplets, and how many people kept each of their three pairs together.

    Attributes:
        triplets: (n, 3) indices of objects.
        counts: (n, 3) answers for the pairs (ij, ik, jk).
    """

    triplets: Int[np.ndarray, "n 3"]
    counts: Int[np.ndarray, "n 3"]

    def __post_init__(self) -> None:
        check_triplets(self.triplets)
        if self.counts.shape != self.triplets.shape:
            raise HumalignError(f"{self.triplets.shape[0]} triplets but counts of shape {self.counts.shape}: one row of three each")
        unanswered = np.flatnonzero(self.counts.sum(1) < 1)
        if len(unanswered):
            raise HumalignError(f"row {unanswered[0]}: a triplet without an answer; leave it out")

    def __len__(self) -> int:
        return len(self.triplets)

    @property
    def shares(self) -> Float[np.ndarray, "n 3"]:
        """The share of people who kept each pair together."""
        return self.counts / self.counts.sum(1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class ByObject:
    """Answers that are sliced by object, as scikit-learn slices a target: ``answers[objects]`` keeps the triplets inside them.

    With embeddings of the same objects, ``cross_val_score(teacher, embeddings, answers, cv=ObjectFolds())`` fits on answers wholly
    inside the training objects and scores on answers wholly inside the others; answers across the border are in neither.

    Attributes:
        triplets: (n, 3) indices of objects.
        shares: (n, 3) the share of people who kept each of the pairs (ij, ik, jk), or a choice distribution.
        objects: how many there are.
    """

    triplets: Int[np.ndarray, "n 3"]
    shares: Float[np.ndarray, "n 3"]
    objects: int

    @classmethod
    def of(cls, choices: Answered, objects: int) -> ByObject:
        """Slice answers or choice distributions by object."""
        triplets, shares = distributions(choices)
        check_triplets(triplets, objects)
        return cls(triplets, shares, objects)

    def __len__(self) -> int:
        return self.objects

    @property
    def shape(self) -> tuple[int]:
        """One entry an object, as scikit-learn asks."""
        return (self.objects,)

    def __getitem__(self, rows: Any) -> ByObject:
        """Keep the triplets whose three objects are all among the given ones, renumbered to places in them."""
        rows = np.asarray(rows[0] if isinstance(rows, tuple) else rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        place = np.full(self.objects, -1)
        place[rows] = np.arange(len(rows))
        local = place[self.triplets]
        keep = (local >= 0).all(1)
        if not keep.any():
            raise HumalignError(f"no answer lies wholly inside these {len(rows)} objects")
        return ByObject(local[keep], self.shares[keep], len(rows))


# What a teacher is fitted to and scored on: answers, or triplets with choice distributions.
Answered = Choices | ByObject | tuple[np.ndarray, np.ndarray]


def distributions(choices: Answered) -> tuple[Int[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Return triplets and the share of answers for each of their pairs."""
    return choices if isinstance(choices, tuple) else (choices.triplets, choices.shares)


def check_triplets(triplets: np.ndarray, objects: int | None = None) -> None:
    """Check that every row names three different objects.

    Raises:
        HumalignError: wrong shape, an index out of range, or an object twice in a row, with the row.
    """
    if triplets.ndim != 2 or triplets.shape[1] != 3 or not len(triplets):
        raise HumalignError(f"triplets of shape {triplets.shape}: expected rows of three indices, and at least one")
    outside = (triplets < 0) | (triplets >= (np.inf if objects is None else objects))
    if outside.any():
        row = int(np.flatnonzero(outside.any(1))[0])
        raise HumalignError(f"row {row}: index outside 0..{(objects or 0) - 1}: {triplets[row].tolist()}; are these 1-based?")
    i, j, k = triplets.T
    repeated = np.flatnonzero((i == j) | (i == k) | (j == k))
    if len(repeated):
        raise HumalignError(f"row {repeated[0]}: the same object twice in a triplet: {triplets[repeated[0]].tolist()}")


def majority_share(counts: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """Return, for each repeated triplet, the share of the most frequent answer; its mean is the noise ceiling."""
    return counts.max(1) / counts.sum(1)


def entropy(shares: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """Return the entropy of each distribution over three choices, in nats (0 to ln 3)."""
    shares = np.asarray(shares, dtype=float)
    return -np.sum(shares * np.log(np.where(shares > 0, shares, 1.0)), axis=1)


def cosine_similarities(features: Float[np.ndarray, "objects dim"], triplets: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Return cosines of the pairs (ij, ik, jk)."""
    if not np.isfinite(features).all():
        raise HumalignError("features hold NaN or infinity: an odd one out cannot be told")
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.finfo(features.dtype).tiny)
    matrix, columns = (unit @ unit.T).ravel(), triplets.T
    return np.stack([matrix.take(columns[a] * len(unit) + columns[b]) for a, b in PAIRS], axis=1)


def agreement(similarities: Float[np.ndarray, "n 3"], shares: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """Return, for each triplet, the share of people who kept the most similar pair together; a tie is wrong."""
    # Column by column: a reduction along rows of three costs several times as much.
    ij, ik, jk = similarities.T
    best = np.maximum(np.maximum(ij, ik), jk)
    first, second, third = ij == best, ik == best, jk == best
    chosen = shares.ravel().take(similarities.argmax(1) + 3 * np.arange(len(shares)))
    return np.where((first & second) | (first & third) | (second & third), 0.0, chosen)


def random_triplets(objects: Int[np.ndarray, " m"], n: int, rng: np.random.Generator) -> Int[np.ndarray, "n 3"]:
    """Draw n triplets of three different objects, uniformly."""
    if len(objects) < 3:
        raise HumalignError(f"a triplet needs three objects, there are {len(objects)}")
    drawn = rng.integers(len(objects), size=(int(n * (1 + 6 / len(objects))) + 16, 3))
    i, j, k = drawn.T
    drawn = drawn[(i != j) & (i != k) & (j != k)]
    return objects[drawn[:n]] if len(drawn) >= n else np.concatenate([objects[drawn], random_triplets(objects, n - len(drawn), rng)])
