"""The audit of a triplet file before anything is trained on it: each check is a finding that names the fault it sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Real

from humalign.errors import HumalignError
from humalign.triplets import agreement, naming
from humalign.triplets.findings import Finding, none, rows_that
from humalign.triplets.layout import LabelledTriplets, Names, reading

PAIR_NAMES = ("s01", "s02", "s12")
# With so many draws an image on average, chance leaves one out once in 22,000 lists.
DRAWS = 10


def audit(
    triplets: LabelledTriplets,
    images: int | None = None,
    embeddings: Real[np.ndarray, "images dim"] | None = None,
    names: np.ndarray | Sequence[str | Path] | None = None,
) -> list[Finding]:
    """Check triplets before anything is trained on them.

    Args:
        triplets: a file's content.
        images: how many images the indices point into, where known.
        embeddings: any backbone's embeddings of those images; with them the order of the columns, and whether the rows are these
            images', is tested against the pictures.
        names: file names of the image list, in its order.

    Raises:
        HumalignError: ``images``, ``embeddings`` and ``names`` are not of one length.
    """
    return _findings(triplets.indices, triplets.similarities, Names.of(triplets.filenames), images, embeddings, names)


def audit_file(
    path: str | Path, embeddings: Real[np.ndarray, "images dim"] | None = None, names: np.ndarray | Sequence[str | Path] | None = None
) -> list[Finding]:
    """Check a file as ``audit`` does, without ever holding all its file names."""
    with reading(path) as (indices, similarities, filenames):
        return _findings(indices, similarities, filenames, None, embeddings, names)


def _findings(
    indices: np.ndarray,
    similarities: np.ndarray,
    filenames: Names,
    images: int | None,
    embeddings: np.ndarray | None,
    names: np.ndarray | Sequence[str | Path] | None,
) -> list[Finding]:
    names = None if names is None else naming.as_names(names)
    listed = _listed(images, embeddings, names)
    shapes = {"indices": indices.shape, "similarities": similarities.shape, "filenames": filenames.shape}
    if len(set(shapes.values())) != 1 or indices.ndim != 2 or indices.shape[1:] != (3,) or not len(indices):
        return [Finding("shapes", False, f"expected (n, 3) for all, n > 0: {shapes}")]
    findings = [Finding("shapes", True, f"{len(indices):,} triplets"), _types(indices, similarities, filenames)]
    if not findings[-1].ok:
        return findings
    indices = indices.astype(np.int64, copy=False)  # numpy counts no unsigned numbers
    broken = ~np.isfinite(similarities).all(1)
    i, j, k = indices.T
    findings += [
        none("finite similarities", broken, "hold NaN or infinity"),
        none("three different images a row", (i == j) | (i == k) | (j == k)),
        _inside(indices, listed),
    ]
    trusted = all(finding.ok for finding in findings[2:])
    findings += naming.check(indices, filenames, names)
    findings.append(_sorted_rows(similarities))
    if embeddings is not None and trusted:
        findings.append(agreement.check(indices, similarities, embeddings))
    return findings


def _listed(images: int | None, embeddings: np.ndarray | None, names: np.ndarray | Sequence[str | Path] | None) -> int | None:
    """Return the length of the image list, where anything tells it."""
    lengths = {what: len(rows) for what, rows in (("embeddings", embeddings), ("names", names)) if rows is not None}
    lengths |= {} if images is None else {"images": images}
    if len(set(lengths.values())) > 1:
        raise HumalignError(
            f"image lists of different lengths ({', '.join(f'{what}: {n:,}' for what, n in lengths.items())}): give those of one list"
        )
    return next(iter(lengths.values()), None)


def _types(indices: np.ndarray, similarities: np.ndarray, filenames: Names) -> Finding:
    integers, floats = np.issubdtype(indices.dtype, np.integer), np.issubdtype(similarities.dtype, np.floating)
    text = filenames.dtype.kind in "SU"
    seen = f"indices {indices.dtype}, similarities {similarities.dtype}"
    return Finding("types", bool(integers and floats and text), seen if text else f"{seen}, file names {filenames.dtype}")


def _inside(indices: np.ndarray, listed: int | None) -> Finding:
    """Check the range of the indices: 0 to one less than the length of the image list."""
    check, low, high = "indices inside the image list", int(indices.min()), int(indices.max())
    if low == 1 and high == listed:
        return Finding(check, False, f"indices look 1-based: they run from 1 to {high:,}, the list from 0 to {high - 1:,}")
    last = high if listed is None else listed - 1
    outside = np.any((indices < 0) | (indices > last), axis=1)
    if outside.any():
        return Finding(
            check, False, f"{rows_that('fail', outside)}: they run from {low:,} to {high:,}, the list from 0 to {last:,}: another list?"
        )
    # The list's length is not known: numbers that are all there, but for 0, count from 1.
    if listed is None and low == 1 and indices.size >= DRAWS * high and (np.bincount(indices.ravel(), minlength=high + 1)[1:] > 0).all():
        return Finding(check, False, f"indices look 1-based: every number from 1 to {high:,} occurs, 0 never does")
    return Finding(check, True, "all rows")


def _sorted_rows(similarities: np.ndarray) -> Finding:
    """Check that each row keeps its first pair together; where another column is always the largest, name it."""
    check, largest = "s01 is the largest, image 2 the odd one", similarities.max(1)
    failing = similarities[:, 0] < largest
    for column in (1, 2):
        if failing.any() and not (similarities[:, column] < largest).any():
            odd = {1: 1, 2: 0}[column]
            seen = f"column {column} is always the largest: [{' '.join(PAIR_NAMES)}] in another order, or image {odd} is the odd one"
            return Finding(check, False, seen)
    return none(check, failing)
