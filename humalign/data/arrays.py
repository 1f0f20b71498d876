"""Arrays of files from elsewhere: rows of numbers, indices of objects, dissimilarities; as in `datafiles`, a
fault is one line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int, Int64

from humalign.data.datafiles import AGAIN, numbers, parsed
from humalign.errors import HumalignError

BOTH_WAYS = "read it with both_ways=True where people were asked in either order, or "


def first(faulty: Bool[np.ndarray, n *columns]) -> int | None:
    """Return the first row (from 0) with anything at fault, or None."""
    rows = np.flatnonzero(faulty.any(axis=1) if faulty.ndim > 1 else faulty)
    return int(rows[0]) if rows.size else None


def vectors(path: str | Path, objects: int | None) -> Float32[np.ndarray, "objects dim"]:
    """Return finite rows of numbers, one an object, of a ``.txt`` or ``.npy`` file."""
    text = Path(path).suffix == ".txt"
    found = (
        numbers(path, np.float64) if text else parsed(path, lambda path: np.load(path, allow_pickle=False)[:])
    )
    if found.dtype.kind not in "fiu" or found.ndim != 2 or not found.size:
        raise HumalignError(
            f"{path} holds {found.dtype} of shape {found.shape} instead of rows of numbers, one an object: "
            f"{AGAIN}"
        )
    if objects not in (None, len(found)):
        why = "is it transposed?" if found.shape[1] == objects else f"cut short, or of other objects; {AGAIN}"
        raise HumalignError(
            f"{path}: {len(found):,} rows for the {objects:,} objects of unique_id.txt: {why}"
        )
    with np.errstate(over="ignore"):
        found = found.astype(np.float32)
    if (row := first(~np.isfinite(found))) is not None:
        raise HumalignError(f"{path}, row {row + 1}: a value that is not finite: {AGAIN}")
    return found


def check_indices(
    indices: Int[np.ndarray, "n columns"], objects: int | None, base: int, at: Callable[[int], str]
) -> None:
    """Check that indices counted from ``base`` (0 or 1) name existing objects, and no row one of them twice.

    Args:
        at: gives the place of a row (from 0) in its file, for the message.
    """
    last = np.iinfo(np.int64).max if objects is None else objects - 1 + base
    outside = (indices < base) | (indices > last)
    if (row := first(outside)) is not None:
        wrong = indices[row][outside[row]][0]
        hint = "is it of the same edition as unique_id.txt?"
        if (base, int(wrong)) == (1, 0):
            hint = "are these 0-based?"
        elif (base, int(wrong)) == (0, objects) and indices.min() > 0:
            hint = "are these 1-based?"
        raise HumalignError(
            f"{at(row)}: index {wrong} outside {base}..{'' if objects is None else last}; {hint}"
        )
    ordered = np.sort(indices, axis=1)
    if (row := first(ordered[:, 1:] == ordered[:, :-1])) is not None:
        raise HumalignError(
            f"{at(row)}: the same object twice in a triplet, {indices[row].tolist()}: {AGAIN}"
        )


def check_dissimilarities(
    path: str | Path, matrices: np.ndarray, both_ways: bool | None = None
) -> np.ndarray:
    """Return matrices (people, m, m) that are finite and symmetric, with a zero diagonal.

    Args:
        both_ways: of two things take the mean of what was said of them in either order, as where people were
            asked both ways; False says that this can be asked for.

    Raises:
        HumalignError: another shape, a value that is not finite, a matrix that is not symmetric, or whose
            diagonal is not zero.
    """
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2]:
        raise HumalignError(f"{path}: matrices of shape {matrices.shape[1:]} instead of square ones: {AGAIN}")
    for number, matrix in enumerate(matrices, 1):
        if not np.isfinite(matrix).all():
            raise HumalignError(f"{path}, matrix {number}: a value that is not finite: {AGAIN}")
        if np.diag(matrix).any():
            raise HumalignError(
                f"{path}, matrix {number}: its diagonal is not zero: are these similarities? Or {AGAIN}"
            )
        if not both_ways and not np.allclose(matrix, matrix.T, atol=1e-9):
            i, j = np.unravel_index(np.abs(matrix - matrix.T).argmax(), matrix.shape)
            said = f"{matrix[i, j]:g} in row {i + 1}, column {j + 1} and {matrix[j, i]:g} the other way round"
            raise HumalignError(
                f"{path}, matrix {number}: not symmetric, {said}: "
                f"{BOTH_WAYS if both_ways is False else ''}{AGAIN}"
            )
    return (matrices + matrices.swapaxes(1, 2)) / 2 if both_ways else matrices


def whole_numbers(path: str | Path, columns: int) -> Int64[np.ndarray, "rows columns"]:
    """Return rows of whole numbers of an ``.npy``, of whatever type they are there.

    Raises:
        HumalignError: another shape, or a number that is not whole.
    """
    found = parsed(path, lambda path: np.load(path, allow_pickle=False)[:])
    if found.dtype.kind not in "fiu" or found.ndim != 2 or found.shape[1] != columns or not found.size:
        raise HumalignError(
            f"{path} holds {found.dtype} of shape {found.shape} instead of rows of {columns} whole numbers: "
            f"{AGAIN}"
        )
    limit = np.iinfo(np.int64).max // 2
    if (row := first(~((found == np.floor(found)) & (found < limit) & (found > -limit)))) is not None:
        raise HumalignError(
            f"{path}, row {row + 1}: {found[row].tolist()} are not all whole numbers: {AGAIN}"
        )
    return np.ascontiguousarray(found.astype(np.int64))
