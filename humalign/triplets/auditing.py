"""The audit of a triplet file before anything is trained on it: each check is a finding that names the fault.

Similarities are compared with those of any backbone, by rank correlation, in two ways. *Columns*: which pair
of a triplet is the most similar; similarities are centred in each row, compared under the six orders of the
columns. *Rows*: in which triplets a pair is more similar than in others; they are centred in each column too.
Similarities that were shuffled against indices keep the columns, since rows are sorted, and lose the rows.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import spearmanr

from humalign.data.judgments import PAIRS, floats
from humalign.errors import HumalignError
from humalign.triplets import naming
from humalign.triplets.layout import LabelledTriplets, Names, reading
from humalign.triplets.naming import Finding, none, rows_that
from humalign.triplets.sampling import Embeddings

PAIR_NAMES = ("s01", "s02", "s12")
ORDERS = tuple(itertools.permutations(range(3)))
# Triplets that are compared with the pictures, and pictures that give the mean of the list.
SAMPLE, SPREAD = 20_000, 2**15
# Less is no agreement: in a sample of that size, chance gives a tenth of it.
LEAST = 0.05
# With so many draws an image on average, chance leaves one out once in 22,000 lists.
DRAWS = 10
ImageNames = np.ndarray | Sequence[str | Path]


def audit(
    triplets: LabelledTriplets,
    images: int | None = None,
    embeddings: Embeddings | None = None,
    names: ImageNames | None = None,
) -> list[Finding]:
    """Check triplets before anything is trained on them.

    Args:
        images: how many images the indices point into, where known.
        embeddings: any backbone's, of those images; columns and rows are tested against them.
        names: file names of the image list, in its order.

    Raises:
        HumalignError: ``images``, ``embeddings`` and ``names`` are not of one length.
    """
    filenames = Names.of(triplets.filenames)
    return _findings(triplets.indices, triplets.similarities, filenames, images, embeddings, names)


def audit_file(
    path: str | Path, embeddings: Embeddings | None = None, names: ImageNames | None = None
) -> list[Finding]:
    """Check a file as ``audit`` does, without ever holding all its file names."""
    with reading(path) as arrays:
        return _findings(*arrays, None, embeddings, names)


def _findings(
    indices: np.ndarray, similarities: np.ndarray, filenames: Names,
    images: int | None, embeddings: np.ndarray | None, names: ImageNames | None,
) -> list[Finding]:  # fmt: skip
    names = None if names is None else naming.as_names(names)
    listed = _listed(images, embeddings, names)
    shapes = {"indices": indices.shape, "similarities": similarities.shape, "filenames": filenames.shape}
    if len(set(shapes.values())) > 1 or indices.ndim != 2 or indices.shape[1] != 3 or not len(indices):
        return [Finding("shapes", False, f"expected (n, 3) for all, n > 0: {shapes}")]
    findings = [Finding("shapes", True, f"{len(indices):,} triplets")]
    findings.append(_types(indices, similarities, filenames))
    if not findings[-1].ok:
        return findings
    indices = indices.astype(np.int64, copy=False)  # numpy counts no unsigned numbers
    i, j, k = indices.T
    findings += [
        none("finite similarities", np.any(~np.isfinite(similarities), axis=1), "hold NaN or infinity"),
        none("three different images a row", (i == j) | (i == k) | (j == k)),
        _inside(indices, listed),
    ]
    trusted = all(finding.ok for finding in findings[2:])
    findings += naming.check(indices, filenames, names)
    findings.append(_sorted_rows(similarities))
    if embeddings is not None and trusted:
        findings.append(_agreement(indices, similarities, embeddings))
    return findings


def _listed(images: int | None, embeddings: np.ndarray | None, names: np.ndarray | None) -> int | None:
    """Return the length of the image list, where anything tells it."""
    given = {"embeddings": embeddings, "names": names, "images": None if images is None else range(images)}
    lengths = {what: len(rows) for what, rows in given.items() if rows is not None}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{what}: {n:,}" for what, n in lengths.items())
        raise HumalignError(f"image lists of different lengths ({said}): give those of one list")
    return next(iter(lengths.values()), None)


def _types(indices: np.ndarray, similarities: np.ndarray, filenames: Names) -> Finding:
    numbers = np.issubdtype(indices.dtype, np.integer) and np.issubdtype(similarities.dtype, np.floating)
    text = filenames.dtype.kind in "SU"
    seen = f"indices {indices.dtype}, similarities {similarities.dtype}"
    return Finding("types", numbers and text, seen if text else f"{seen}, file names {filenames.dtype}")


def _inside(indices: np.ndarray, listed: int | None) -> Finding:
    """Check the range of the indices: 0 to one less than the length of the image list."""
    check, low, high = "indices inside the image list", int(indices.min()), int(indices.max())
    last = high if listed is None else listed - 1
    runs = f"they run from {low:,} to {high:,}, the list from 0 to {last:,}"
    if low == 1 and high == listed:
        return Finding(check, False, f"indices look 1-based: {runs}")
    outside = np.any((indices < 0) | (indices > last), axis=1)
    if outside.any():
        return Finding(check, False, f"{rows_that('fail', outside)}: {runs}: another list?")
    # The list's length is not known: numbers that are all there, but for 0, count from 1.
    often = listed is None and indices.size >= DRAWS * high
    if often and low == 1 and np.bincount(indices.ravel())[1:].all():
        seen = f"every number from 1 to {high:,} occurs, 0 never does"
        return Finding(check, False, f"indices look 1-based: {seen}")
    return Finding(check, True, "all rows")


def _sorted_rows(similarities: np.ndarray) -> Finding:
    """Check that each row keeps its first pair together; name another column that is always the largest."""
    check, largest = "s01 is the largest, image 2 the odd one", similarities.max(1)
    failing = similarities[:, 0] < largest
    for column, odd in ((1, 1), (2, 0)):
        if failing.any() and not (similarities[:, column] < largest).any():
            said = f"{_named(range(3))} in another order, or image {odd} is the odd one"
            return Finding(check, False, f"column {column} is always the largest: {said}")
    return none(check, failing)


def _named(columns: Iterable[int]) -> str:
    return f"[{' '.join(PAIR_NAMES[column] for column in columns)}]"


# ---- agreement with the pictures ---------------------------------------------------------------------------


def _agreement(
    indices: Int[np.ndarray, "n 3"], similarities: Float[np.ndarray, "n 3"], embeddings: Embeddings
) -> Finding:
    """Check the columns, then the rows, on a random sample of triplets whose indices lie inside the list."""
    what = "columns agree with the images"
    fault = functools.partial(Finding, what, False)
    sample = np.random.default_rng(0).permutation(len(indices))[:SAMPLE]
    rows, written = indices[sample], _row_centred(similarities[sample].astype(float))
    looked_at = np.unique(rows)
    faulty = looked_at[~np.isfinite(embeddings[looked_at]).all(1)]
    if len(faulty):
        said = f"the embeddings of {len(faulty):,} images hold NaN or infinity, first is image {faulty[0]}"
        return fault(f"{said}: embed these again")
    if (embeddings[looked_at] == embeddings[looked_at[0]]).all():
        return fault(f"the embeddings of all {len(looked_at):,} images are equal: they tell nothing apart")
    seen = _row_centred(_cosines(embeddings, rows))
    fit = {order: _rank_correlation(seen, written[:, order]) for order in ORDERS}
    best = max(fit, key=lambda order: fit[order])
    table = ", ".join(f"{_named(order)} {value:.3f}" for order, value in fit.items())
    if _one_based(rows, written, seen, embeddings):
        return fault(f"indices look 1-based: lowered by one, they agree with the images better: {table}")
    if not fit[best] >= LEAST:
        return fault(f"no order of the columns agrees with the images, are they another list's? {table}")
    if best != (0, 1, 2):
        return fault(f"the columns hold {_named(best.index(c) for c in range(3))}: {table}")
    if not (of_rows := _rank_correlation(seen - seen.mean(0), written - written.mean(0))) >= LEAST:
        said = "the columns are in order, but the rows agree with other images"
        why = "similarities shuffled against indices, or another list?"
        return fault(f"{said}: {why} between rows {of_rows:.3f}; {table}")
    return Finding(what, True, table)


def _one_based(rows: np.ndarray, written: np.ndarray, seen: np.ndarray, embeddings: np.ndarray) -> bool:
    """Tell whether rows agree better with each image's predecessor; in a list sorted by class both may do."""
    if rows.min() < 1:
        return False
    lowered = _row_centred(_cosines(embeddings, rows - 1))
    written = written - written.mean(0)
    here, there = (_rank_correlation(found - found.mean(0), written) for found in (seen, lowered))
    return bool(there >= max(LEAST, here + 3 / np.sqrt(len(rows))))


def _cosines(embeddings: np.ndarray, rows: np.ndarray) -> Float[np.ndarray, "n 3"]:
    """Return cosines of the pairs, from the mean of the list, taken over images evenly spread in it."""
    images, places = np.unique(rows, return_inverse=True)
    places = places.reshape(rows.shape)
    spread = floats(embeddings[:: max(1, len(embeddings) // SPREAD)])
    unit = floats(embeddings[images]) - spread[np.isfinite(spread).all(1)].mean(0)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), np.finfo(unit.dtype).tiny)
    return np.stack([np.vecdot(unit[places[:, a]], unit[places[:, b]]) for a, b in PAIRS], axis=1)


def _row_centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(1, keepdims=True)


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(spearmanr(a.ravel(), b.ravel()).statistic)
