"""Arrays of files from elsewhere: rows of numbers, indices, dissimilarities; a fault is one line."""

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
    found = numbers(path, np.float64) if Path(path).suffix == ".txt" else _array(path)
    if found.dtype.kind not in "fiu" or found.ndim != 2 or not found.size:
        what = f"{found.dtype} of shape {found.shape}"
        raise HumalignError(f"{path} holds {what} instead of rows of numbers, one an object: {AGAIN}")
    if objects not in (None, len(found)):
        rows = f"{len(found):,} rows for the {objects:,} objects of unique_id.txt"
        why = "is it transposed?" if found.shape[1] == objects else f"cut short, or of other objects; {AGAIN}"
        raise HumalignError(f"{path}: {rows}: {why}")
    with np.errstate(over="ignore"):
        found = found.astype(np.float32)
    if (row := first(~np.isfinite(found))) is not None:
        raise HumalignError(f"{path}, row {row + 1}: a value that is not finite: {AGAIN}")
    return found


def _array(path: str | Path) -> np.ndarray:
    return parsed(path, lambda path: np.load(path, allow_pickle=False)[:])


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
        end = "" if objects is None else last
        raise HumalignError(f"{at(row)}: index {wrong} outside {base}..{end}; {hint}")
    ordered = np.sort(indices, axis=1)
    if (row := first(ordered[:, 1:] == ordered[:, :-1])) is not None:
        triplet = indices[row].tolist()
        raise HumalignError(f"{at(row)}: the same object twice in a triplet, {triplet}: {AGAIN}")


def check_dissimilarities(
    path: str | Path, matrices: np.ndarray, both_ways: bool | None = None
) -> np.ndarray:
    """Return matrices (people, m, m) that are finite and symmetric, with a zero diagonal.

    Args:
        both_ways: take the mean of what was said in either order; False says that it can be asked for.

    Raises:
        HumalignError: another shape, or a matrix that is not so.
    """
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2]:
        raise HumalignError(f"{path}: matrices of shape {matrices.shape[1:]} instead of square ones: {AGAIN}")
    for number, matrix in enumerate(matrices, 1):
        where = f"{path}, matrix {number}"
        if not np.isfinite(matrix).all():
            raise HumalignError(f"{where}: a value that is not finite: {AGAIN}")
        if np.diag(matrix).any():
            raise HumalignError(f"{where}: its diagonal is not zero: are these similarities? Or {AGAIN}")
        if not both_ways and not np.allclose(matrix, matrix.T, atol=1e-9):
            i, j = np.unravel_index(np.abs(matrix - matrix.T).argmax(), matrix.shape)
            said = f"{matrix[i, j]:g} in row {i + 1}, column {j + 1} and {matrix[j, i]:g} the other way round"
            mend = f"{BOTH_WAYS if both_ways is False else ''}{AGAIN}"
            raise HumalignError(f"{where}: not symmetric, {said}: {mend}")
    return (matrices + matrices.swapaxes(1, 2)) / 2 if both_ways else matrices


def whole_numbers(path: str | Path, columns: int) -> Int64[np.ndarray, "rows columns"]:
    """Return rows of whole numbers of an ``.npy``, of whatever type they are there."""
    found = _array(path)
    if found.dtype.kind not in "fiu" or found.ndim != 2 or found.shape[1] != columns or not found.size:
        what = f"{found.dtype} of shape {found.shape}"
        raise HumalignError(f"{path} holds {what} instead of rows of {columns} whole numbers: {AGAIN}")
    limit = np.iinfo(np.int64).max // 2
    if (row := first(~((found == np.floor(found)) & (found < limit) & (found > -limit)))) is not None:
        said = f"{found[row].tolist()} are not all whole numbers"
        raise HumalignError(f"{path}, row {row + 1}: {said}: {AGAIN}")
    return np.ascontiguousarray(found.astype(np.int64))
