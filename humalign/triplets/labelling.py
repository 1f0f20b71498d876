"""Labels of triplets: dot products of a teacher's embeddings, rows sorted so that image 2 is the odd one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from humalign.artefacts import replacing, reserve
from humalign.data.judgments import PAIRS, Triplets, check_triplets, floats, whole
from humalign.errors import HumalignError, number
from humalign.triplets.layout import LabelledTriplets, write_blocks
from humalign.triplets.naming import as_names
from humalign.triplets.sampling import Embeddings

# By the pair kept together, which moves to the front: the order of a row's images, and of its similarities.
SORTED = np.array([(0, 1, 2), (0, 2, 1), (1, 2, 0)])
SORTED_PAIRS = np.array([(0, 1, 2), (1, 0, 2), (2, 0, 1)])
# Up to so many images, one matrix product holds every pair; beyond, pairs are looked up.
ALL_PAIRS = 4096
# Numbers of each of the two blocks of images that are held at a time as float32: half a gigabyte a block.
BLOCK_VALUES = 2**27
# Pairs whose vectors are gathered at a time: they stay in the processor's cache.
GATHERED = 512
# Rows to which a map is applied at a time. Fixed: a product of another number of rows may round otherwise.
MAPPED_ROWS = 2**13
# Vectors, the image of each pair, and the image of the first vector.
Side = tuple[np.ndarray, np.ndarray, int]


def mapped(
    path: str | Path,
    embeddings: Embeddings,
    transform: Callable[[np.ndarray], np.ndarray],
    dtype: np.typing.DTypeLike | None = None,
) -> Float[np.ndarray, "images places"]:
    """Apply a teacher to embeddings in blocks, and return the memory map of the ``.npy`` file that it fills.

    Args:
        transform: a function of rows, such as ``AffineTeacher.transform``.
        dtype: of the file; by default that of the embeddings, or float32 where those are whole numbers.

    Raises:
        HumalignError: no embeddings; a value that is not finite, or too large for the type.
    """
    if not len(embeddings):
        raise HumalignError("no embeddings to map: expected one row an image")
    path, kept = Path(path), embeddings.dtype if embeddings.dtype.kind == "f" else np.float32
    with replacing(path) as part:
        found: np.ndarray | None = None
        for start in range(0, len(embeddings), MAPPED_ROWS):
            rows = transform(embeddings[start : start + MAPPED_ROWS])
            if found is None:
                found = reserve(part, np.dtype(dtype or kept), (len(embeddings), rows.shape[1]))
            with np.errstate(over="ignore"):
                written = rows.astype(found.dtype)
            if not np.isfinite(written).all():
                fault = f"not finite, or too large for {found.dtype}: use float32"
                raise HumalignError(f"rows {start} to {start + len(rows) - 1}: {fault}")
            found[start : start + len(rows)] = written
        del found  # what is still in memory goes to the file
    return np.load(path, mmap_mode="r")


def similarities(embeddings: Embeddings, triplets: Triplets, workers: int = 1) -> Float[np.ndarray, "n 3"]:
    """Return dot products of the pairs (ij, ik, jk), float32, the same bits whatever the number of workers.

    Beyond a few thousand images, pairs are sorted by the blocks in which their two images lie, and two blocks
    are held at a time: a file larger than memory is read front to back a few times, not at random.

    Raises:
        HumalignError: triplets that ``check_triplets`` refuses; a similarity that is not finite.
    """
    triplets, workers = check_triplets(triplets, len(embeddings)), number("workers", workers)
    few = len(embeddings) <= ALL_PAIRS
    found = _of_all_pairs(embeddings, triplets) if few else _of_blocks(embeddings, triplets, workers)
    broken = np.flatnonzero(~np.isfinite(found).all(1))
    if len(broken):
        first = f"first row {broken[0]} of images {triplets[broken[0]].tolist()}"
        why = "their embeddings hold NaN or infinity, or are too large to be multiplied"
        raise HumalignError(f"{len(broken):,} rows have similarities that are not finite, {first}: {why}")
    return found


def _of_all_pairs(embeddings: np.ndarray, triplets: np.ndarray) -> Float[np.ndarray, "n 3"]:
    whole = floats(embeddings, "embeddings")
    with np.errstate(over="ignore", invalid="ignore"):
        matrix = whole @ whole.T
        return np.stack([matrix[triplets[:, a], triplets[:, b]] for a, b in PAIRS], axis=1).astype(np.float32)


def _of_blocks(embeddings: np.ndarray, triplets: np.ndarray, workers: int) -> Float[np.ndarray, "n 3"]:
    block = max(1, BLOCK_VALUES // embeddings.shape[1])
    blocks = -(-len(embeddings) // block)
    # A dot product is the same both ways, so the image that comes first in the list is the left one.
    left = np.stack([np.minimum(triplets[:, a], triplets[:, b]) for a, b in PAIRS], axis=1).ravel()
    right = np.stack([np.maximum(triplets[:, a], triplets[:, b]) for a, b in PAIRS], axis=1).ravel()
    tile = (left // block * blocks + right // block).astype(np.uint16 if blocks <= 256 else np.uint32)
    order = np.argsort(tile, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(tile, minlength=blocks**2))])
    found = np.empty(len(left), np.float32)
    with ThreadPoolExecutor(workers) as pool:
        for a in range(blocks):
            lefts = _held(embeddings[a * block :][:block], workers, pool)
            for b in range(a, blocks):
                pairs = order[bounds[a * blocks + b] : bounds[a * blocks + b + 1]]
                if len(pairs):
                    rights = lefts if a == b else _held(embeddings[b * block :][:block], workers, pool)
                    _dots(found, pairs, (lefts, left, a * block), (rights, right, b * block), workers, pool)
    return found.reshape(-1, 3)


def _held(block: np.ndarray, workers: int, pool: Executor) -> Float[np.ndarray, "block dim"]:
    """Return a block of rows as float32."""
    if block.dtype == np.float32:
        return block
    held = np.empty(block.shape, np.float32)
    list(pool.map(np.copyto, np.array_split(held, workers), np.array_split(block, workers)))
    return held


def _dots(
    found: np.ndarray, pairs: np.ndarray, left: Side, right: Side, workers: int, pool: Executor
) -> None:
    """Fill in the dot products of some pairs."""

    def run(part: np.ndarray) -> None:
        gathered = np.empty((2, GATHERED, left[0].shape[1]), np.float32)
        for start in range(0, len(part), GATHERED):
            chosen = part[start : start + GATHERED]
            for into, (vectors, image, first) in zip(gathered, (left, right), strict=True):
                # "clip" writes straight into `out`; nothing is clipped, the indices have been checked.
                np.take(vectors, image[chosen] - first, axis=0, out=into[: len(chosen)], mode="clip")
            found[chosen] = np.vecdot(gathered[0, : len(chosen)], gathered[1, : len(chosen)])

    list(pool.map(run, np.array_split(pairs, workers)))


def odd_last(triplets: Triplets, similar: Float[np.ndarray, "n 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Return triplets and similarities with each row sorted so that image 2 is the odd one out."""
    found = np.asarray(triplets)
    triplets = found if found.dtype.kind in "iu" else whole(found, "triplets")
    kept = similar.argmax(1)
    images, pairs = SORTED[kept], SORTED_PAIRS[kept]
    return np.take_along_axis(triplets, images, axis=1), np.take_along_axis(similar, pairs, axis=1)


def label(
    embeddings: Embeddings, triplets: Triplets, names: Iterable[Any], workers: int = 1
) -> LabelledTriplets:
    """Label triplets with dot-product similarities, and sort each row so that image 2 is the odd one out.

    Raises:
        HumalignError: what ``similarities`` refuses; names of another number of images, or a missing one.
    """
    listed = as_names(names, len(embeddings))
    indices, ordered = odd_last(triplets, similarities(embeddings, triplets, workers))
    return LabelledTriplets(indices, ordered, listed[indices])


def label_file(
    path: str | Path, embeddings: Embeddings, triplets: Triplets, names: Iterable[Any], workers: int = 1
) -> None:
    """Label triplets as ``label`` does, straight into a file: memory need not hold millions of file names.

    Names as bytes (``names.astype("S")``) take a quarter of the room.
    """
    listed = as_names(names, len(embeddings))
    indices, ordered = odd_last(triplets, similarities(embeddings, triplets, workers))
    write_blocks(path, indices, ordered, listed.dtype, lambda rows: listed[indices[rows]])
