"""Pseudo-labelled triplets over unlabelled images: sampling, labels, the AligNet file, and the audit of such a file.

A row holds images (0, 1, 2) sorted so that (0, 1) is the pair the teacher keeps together and 2 the odd one out; its
similarities stand as [s01, s02, s12], dot products of the teacher's embeddings. Source: paper, Methods; the layout is
that of the released files: ``filenames`` (n, 3), ``similarities`` (n, 3), ``indices`` (n, 3).
"""

from __future__ import annotations

import dataclasses
import itertools
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import spearmanr

from humalign.artefacts import replacing
from humalign.errors import HumalignError
from humalign.judgments import PAIRS

# The pair kept together, moved to the front: which columns of a row become (0, 1, 2).
SORTED = np.array([(0, 1, 2), (0, 2, 1), (1, 2, 0)])


@dataclasses.dataclass(frozen=True)
class LabelledTriplets:
    """Triplets of images with the similarities of their pairs."""

    indices: Int[np.ndarray, "n 3"]
    similarities: Float[np.ndarray, "n 3"]
    filenames: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)


def clusters(embeddings: Float[np.ndarray, "images dim"], k: int, seed: int) -> Int[np.ndarray, " images"]:
    """Assign every image to one of k clusters (k-means of scikit-learn)."""
    from sklearn.cluster import KMeans

    if len(embeddings) < 2 * k:
        raise HumalignError(f"{k} clusters of {len(embeddings)} images: a cluster needs two; lower `clusters` in the profile")
    return KMeans(k, n_init=4, random_state=seed).fit_predict(embeddings)


def cluster_border(labels: Int[np.ndarray, " images"], n: int, rng: np.random.Generator) -> Int[np.ndarray, "n 3"]:
    """Draw triplets with two images of one cluster and one of another.

    The first image is uniform over all that have a cluster mate, the second over its mates, the third over
    all images outside.
    """
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    if (sizes > 0).sum() < 2 or sizes.max() < 2:
        raise HumalignError("cluster-border triplets need two clusters, one of them with two images; lower `clusters`")
    starts, place = np.concatenate([[0], np.cumsum(sizes)[:-1]]), np.empty(len(labels), dtype=int)
    place[order] = np.arange(len(labels))
    first = rng.choice(np.flatnonzero(sizes[labels] > 1), n)
    size, start = sizes[labels[first]], starts[labels[first]]
    # In cluster order a mate is any other place of one's own block, and an outsider any place beyond it.
    second = order[start + (place[first] - start + rng.integers(1, size)) % size]
    third = order[(start + size + rng.integers(0, len(labels) - size)) % len(labels)]
    return np.stack([first, second, third], axis=1)


def cluster_border_blocks(
    labels: Int[np.ndarray, " images"], n: int, block_images: int, block_rows: int, rng: np.random.Generator
) -> Int[np.ndarray, "n 3"]:
    """Draw cluster-border triplets in blocks of rows that share few images.

    Every block of ``block_rows`` rows stays within ``block_images`` images drawn anew, so that a training step over
    one block runs each of its images once and learns from all the triplets among them.
    """
    rows = []
    for _ in range(-(-n // block_rows)):
        chosen = rng.permutation(len(labels))[:block_images]
        rows.append(chosen[cluster_border(labels[chosen], block_rows, rng)])
    return np.concatenate(rows)[:n]


def label(embeddings: Float[np.ndarray, "images dim"], triplets: Int[np.ndarray, "n 3"], names: np.ndarray) -> LabelledTriplets:
    """Label triplets with dot-product similarities, and sort each row so that image 2 is the odd one out."""
    matrix = embeddings @ embeddings.T
    similarities = np.stack([matrix[triplets[:, a], triplets[:, b]] for a, b in PAIRS], axis=1)
    columns = SORTED[similarities.argmax(1)]
    indices = np.take_along_axis(triplets, columns, axis=1)
    ordered = np.stack([matrix[indices[:, a], indices[:, b]] for a, b in PAIRS], axis=1)
    return LabelledTriplets(indices, ordered.astype(np.float32), names[indices])


def write(path: Path, triplets: LabelledTriplets) -> None:
    """Write the AligNet layout."""
    with replacing(path) as part:
        np.savez_compressed(part, **dataclasses.asdict(triplets))


def read(path: str | Path) -> LabelledTriplets:
    """Read the AligNet layout.

    Raises:
        HumalignError: missing, truncated, or not of this layout.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return LabelledTriplets(file["indices"], file["similarities"], file["filenames"])
    except FileNotFoundError:
        raise HumalignError(f"no triplet file at {path}") from None
    except (ValueError, TypeError, OSError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise HumalignError(f"{path} is no triplet file ({error}): fetch or write it again") from None
    except KeyError as error:
        raise HumalignError(f"{path} lacks an array: {error}; an AligNet file has filenames, similarities and indices") from None


@dataclasses.dataclass(frozen=True)
class Finding:
    """One check of a file: what was looked at, whether it holds, and what was seen."""

    check: str
    ok: bool
    seen: str


def audit(
    triplets: LabelledTriplets, images: int | None = None, embeddings: Float[np.ndarray, "images dim"] | None = None
) -> list[Finding]:
    """Check a triplet file before anything is trained on it.

    Args:
        triplets: the file's content.
        images: how many images the indices point into, where known.
        embeddings: any backbone's embeddings of those images; with them the order of the columns is tested
            against the pictures, by rank correlation under each of the six permutations.
    """
    shapes = {name: array.shape for name, array in dataclasses.asdict(triplets).items()}
    if len(set(shapes.values())) != 1 or triplets.indices.ndim != 2 or triplets.indices.shape[1:] != (3,) or not len(triplets):
        return [Finding("shapes", False, f"expected (n, 3) for all, n > 0: {shapes}")]
    findings = [Finding("shapes", True, f"{len(triplets):,} triplets")]
    integers, floats = np.issubdtype(triplets.indices.dtype, np.integer), np.issubdtype(triplets.similarities.dtype, np.floating)
    findings.append(
        Finding("types", bool(integers and floats), f"indices {triplets.indices.dtype}, similarities {triplets.similarities.dtype}")
    )
    if not findings[-1].ok:
        return findings
    similarities, indices = triplets.similarities, triplets.indices
    broken = np.flatnonzero(~np.isfinite(similarities).all(1))
    findings.append(Finding("finite similarities", not len(broken), _rows(broken)))
    i, j, k = indices.T
    findings.append(_none("three different images a row", np.asarray((i == j) | (i == k) | (j == k))))
    listed: float = images if images is not None else (len(embeddings) if embeddings is not None else np.inf)
    outside: np.ndarray = (indices < 0) | (indices >= listed)
    findings.append(_none("indices inside the image list", np.asarray(outside.any(axis=1))))
    findings.append(_names_match(triplets))
    findings.append(_none("s01 is the largest, image 2 the odd one", similarities[:, 0] < similarities.max(1)))
    if embeddings is not None and all(f.ok for f in findings[2:5]):
        findings.append(_columns_match(triplets, embeddings))
    return findings


def _rows(rows: np.ndarray) -> str:
    return "all rows" if not len(rows) else f"{len(rows):,} rows fail, first is row {rows[0]}"


def _none(check: str, failing: np.ndarray) -> Finding:
    rows = np.flatnonzero(failing)
    return Finding(check, not len(rows), _rows(rows))


def _names_match(triplets: LabelledTriplets) -> Finding:
    """Check that an index has one name, and a name one index."""
    _, first, inverse = np.unique(triplets.indices, return_index=True, return_inverse=True)
    names = triplets.filenames.ravel()[first]
    wrong = (names[inverse.reshape(triplets.indices.shape)] != triplets.filenames).any(1)
    if len(np.unique(names)) < len(names) and not wrong.any():
        return Finding("file names against indices", False, "one name stands for several indices")
    return _none("file names against indices", wrong)


def _columns_match(triplets: LabelledTriplets, embeddings: Float[np.ndarray, "images dim"]) -> Finding:
    sample = np.random.default_rng(0).permutation(len(triplets))[:20_000]
    rows = triplets.indices[sample]
    unit = embeddings - embeddings.mean(0)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    seen = np.stack([(unit[rows[:, a]] * unit[rows[:, b]]).sum(1) for a, b in PAIRS], axis=1)
    written = triplets.similarities[sample]
    # Rows are centred: only which pair of a triplet is the more similar can tell the columns apart.
    seen, written = seen - seen.mean(1, keepdims=True), written - written.mean(1, keepdims=True)
    fit = {p: float(spearmanr(seen.ravel(), written[:, p].ravel()).statistic) for p in itertools.permutations(range(3))}
    best = max(fit, key=lambda p: fit[p])
    names = ["s01", "s02", "s12"]
    table = ", ".join(f"[{' '.join(names[c] for c in p)}] {value:.3f}" for p, value in fit.items())
    if not fit[best] >= 0.05:
        return Finding("columns agree with the images", False, f"no order of the columns agrees with the images: {table}")
    if best != (0, 1, 2):
        return Finding(
            "columns agree with the images", False, f"the columns hold [{' '.join(names[best.index(c)] for c in range(3))}]: {table}"
        )
    return Finding("columns agree with the images", True, table)
