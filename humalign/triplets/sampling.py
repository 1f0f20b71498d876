"""Which images meet in a triplet: clusters, and the samplings over clusters or classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int, Real

from humalign.data.judgments import random_triplets, whole
from humalign.errors import HumalignError, expect, nearest, number

# With more numbers (half a gigabyte), k-means sees each embedding once, in random batches.
WHOLE = 2**27
BATCH = 2**14
# Images a cluster among which the first centres are sought, one after the other: the slow part.
SEEDS = 8
# Rows that share one random stream. Part of what a seed means: another number gives other triplets.
BLOCK_ROWS = 2**18
Embeddings = Real[np.ndarray, "images dim"]
Labels = Real[np.ndarray, " images"] | Sequence[int]


def clusters(embeddings: Embeddings, k: int, seed: int) -> Int[np.ndarray, " images"]:
    """Assign every image to one of k clusters by k-means, in mini-batches where the embeddings are too many.

    Raises:
        HumalignError: fewer than one cluster or two images a cluster; no rows of finite numbers.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans

    embeddings = np.asarray(embeddings)
    k, seed = number("k, the number of clusters,", k), number("seed", seed, 0)
    if embeddings.ndim != 2 or embeddings.dtype.kind not in "biuf":
        seen = f"embeddings of shape {embeddings.shape}, {embeddings.dtype}"
        raise HumalignError(f"{seen}: expected one row of numbers an image")
    images = np.arange(len(embeddings))
    if len(images) < 2 * k:
        mend = "a cluster needs two; lower `clusters` in the profile"
        raise HumalignError(f"{k} clusters of {len(images)} images: {mend}")
    if embeddings.size <= WHOLE:
        return KMeans(k, n_init=4, random_state=seed).fit_predict(_finite(embeddings, images))
    batch = max(BATCH, SEEDS * k)
    model = MiniBatchKMeans(k, random_state=seed, batch_size=batch, init_size=SEEDS * k)
    # Image lists are sorted by class, so the batches are drawn at random.
    drawn = np.random.default_rng(seed).permutation(len(images))
    # Full batches only: the first must hold enough images for the first centres.
    for start in range(0, max(1, len(images) - batch + 1), batch):
        chosen = np.sort(drawn[start : start + batch])
        model.partial_fit(_finite(embeddings[chosen], chosen).astype(np.float32))
    blocks = np.split(images, range(BATCH, len(images), BATCH))
    parts = (_finite(embeddings[block], block).astype(np.float32) for block in blocks)
    return np.concatenate([model.predict(part) for part in parts])


def _finite(embeddings: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the embeddings of these images after a check of every number."""
    faulty = images[~np.isfinite(embeddings).all(1)]
    if len(faulty):
        first = faulty[0]
        raise HumalignError(f"the embedding of image {first} holds NaN or infinity: it belongs to no cluster")
    return embeddings


@dataclasses.dataclass(frozen=True)
class Groups:
    """Images by cluster or class, arranged so that drawing a mate or an outsider is arithmetic on places.

    In ``order`` images stand group after group, each at its ``place``; ``starts`` are places too.
    """

    labels: Int[np.ndarray, " images"]
    order: Int[np.ndarray, " images"]
    place: Int[np.ndarray, " images"]
    sizes: Int[np.ndarray, " groups"]
    starts: Int[np.ndarray, " groups"]

    @classmethod
    def of(cls, labels: Labels) -> Groups:
        """Arrange images by their labels, whole numbers from 0."""
        labels = whole(labels, "labels")
        if labels.ndim != 1 or not len(labels) or labels.min() < 0:
            mend = "give the number of its group, from 0, for each image"
            raise HumalignError(f"labels: {mend}; `numpy.unique(names, return_inverse=True)`")
        order = np.argsort(labels, kind="stable")
        sizes, place = np.bincount(labels), np.empty(len(labels), dtype=int)
        place[order] = np.arange(len(labels))
        return cls(labels, order, place, sizes, np.concatenate([[0], np.cumsum(sizes)[:-1]]))

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, n: int, least: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Draw images of groups of ``least`` or more, and return with them start and size of their groups."""
        drawn = rng.choice(np.flatnonzero(self.sizes[self.labels] >= least), n)
        return drawn, self.starts[self.labels[drawn]], self.sizes[self.labels[drawn]]


# In group order a mate is any other place of one's own block, and an outsider any place beyond it.

def two_and_one(groups: Groups, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n 3"]:
    """Draw two images of one group and one of another, each uniformly: one with mates, a mate, any other."""
    if (groups.sizes > 0).sum() < 2 or groups.sizes.max() < 2:
        wanted = "two clusters, one of them with two images"
        raise HumalignError(f"cluster-border triplets need {wanted}; lower `clusters`")
    first, start, size = groups.first(n, 2, rng)
    second = groups.order[start + (groups.place[first] - start + rng.integers(1, size)) % size]
    third = groups.order[(start + size + rng.integers(0, len(groups) - size)) % len(groups)]
    return np.stack([first, second, third], axis=1)


def one_group(groups: Groups, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n 3"]:
    """Draw three images of one group: the first among all with two mates, the others among its mates."""
    if groups.sizes.max() < 3:
        raise HumalignError("within-class triplets need a class of three images")
    first, start, size = groups.first(n, 3, rng)
    ahead, further = rng.integers(1, size), rng.integers(1, size - 1)
    steps = np.stack([np.zeros_like(ahead), ahead, further + (further >= ahead)], axis=1)
    return groups.order[start[:, None] + ((groups.place[first] - start)[:, None] + steps) % size[:, None]]


def three_groups(groups: Groups, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n 3"]:
    """Draw three images of three groups: each uniform over all images outside the groups before it."""
    if (groups.sizes > 0).sum() < 3:
        raise HumalignError("between-class triplets need three classes")
    first, start, size = groups.first(n, 1, rng)
    second = groups.order[(start + size + rng.integers(0, len(groups) - size)) % len(groups)]
    # A place outside two blocks: counted without them, then moved past each, the lower first.
    blocks = np.sort(np.stack([start, groups.starts[groups.labels[second]]], axis=1), axis=1)
    lengths = groups.sizes[groups.labels[groups.order[blocks]]]
    third = rng.integers(0, len(groups) - lengths.sum(1))
    for block, length in zip(blocks.T, lengths.T, strict=True):
        third += length * (third >= block)
    return np.stack([first, second, groups.order[third]], axis=1)


def anywhere(groups: Groups, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n 3"]:
    """Draw three different images, whatever their groups."""
    return random_triplets(np.arange(len(groups)), n, rng)


# Named as in the released files, but for `uniform`. A border is the same between clusters or classes.
SAMPLINGS: dict[str, Callable[[Groups, int, np.random.Generator], np.ndarray]] = {
    "cluster-border": two_and_one,
    "class-border": two_and_one,
    "within-class": one_group,
    "between-class": three_groups,
    "uniform": anywhere,
}


def draw(sampling: str, labels: Labels, n: int, seed: int, workers: int = 1) -> Int[np.ndarray, "n 3"]:
    """Draw n triplets, the same ones for a seed whatever the number of workers (threads).

    Each image has its cluster or class in ``labels``; each block of rows has a random stream of its own.
    """
    if sampling not in SAMPLINGS:
        raise HumalignError(f"unknown sampling {sampling!r}: {nearest(sampling, SAMPLINGS)}")
    n, seed, workers = number("n", n, 0), number("seed", seed, 0), number("workers", workers)
    groups, rows = Groups.of(labels), np.empty((n, 3), np.int32)

    def fill(block: int) -> None:
        part = rows[block * BLOCK_ROWS : (block + 1) * BLOCK_ROWS]
        part[:] = SAMPLINGS[sampling](groups, len(part), np.random.default_rng([seed, block]))

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(fill, range(-(-n // BLOCK_ROWS))))
    return rows


def cluster_border(labels: Labels, n: int, rng: np.random.Generator) -> Int[np.ndarray, "n 3"]:
    """Draw cluster-border triplets from one random stream."""
    expect("rng", rng, np.random.Generator, "a random generator, np.random.default_rng(seed)")
    return two_and_one(Groups.of(labels), number("n", n, 0), rng)


def cluster_border_blocks(
    labels: Labels, n: int, block_images: int, block_rows: int, rng: np.random.Generator
) -> Int[np.ndarray, "n 3"]:
    """Draw cluster-border triplets in blocks of rows, each within ``block_images`` images drawn anew.

    A training step over one block runs each of its images once, and learns from all the triplets among them.
    """
    expect("rng", rng, np.random.Generator, "a random generator, np.random.default_rng(seed)")
    labels, rows, n = whole(labels, "labels"), [], number("n", n)
    block_images, block_rows = number("block_images", block_images, 3), number("block_rows", block_rows)
    for _ in range(-(-n // block_rows)):
        chosen = rng.permutation(len(labels))[:block_images]
        rows.append(chosen[cluster_border(labels[chosen], block_rows, rng)])
    return np.concatenate(rows)[:n]
