"""Arrays of files from elsewhere: numbers, indices, dissimilarities, and MATLAB's variables."""

from __future__ import annotations

import functools
import math
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Float32, Int, Int64
from scipy.io import loadmat

from humalign.data.datafiles import AGAIN, MAT, numbers, parsed
from humalign.data.judgments import first
from humalign.errors import HumalignError

BOTH_WAYS = "read it with both_ways=True where people were asked in either order, or "
# The classes of MATLAB that are read, and numpy's types for them; scipy gives logical values as uint8, too.
MATLAB_CLASSES = {"double": "f8", "single": "f4", "logical": "u1", "char": "U1", "cell": "O", "struct": "O"}
MATLAB_CLASSES |= {np.dtype(code).name: code for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")}

# Types of the data elements of MATLAB's version 5: numbers, texts, matrices, compressed elements.
NUMBERS, TEXTS = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13}), frozenset({16, 17, 18})
MATRIX, PACKED = 14, 15
TOP = frozenset({MATRIX, PACKED})
# Classes of matrices that hold numbers only, and the flag of those that hold imaginary parts, too.
PLAIN_CLASSES, SPARSE, COMPLEX = frozenset({4, *range(6, 16)}), 5, 0x800
# What else than numbers may stand in a matrix of a class: cell, struct, object, char, function, opaque.
HELD = {1: {MATRIX}, 2: {MATRIX}, 3: {MATRIX}, 4: TEXTS, 16: {MATRIX}, 17: {MATRIX}}


def vectors(path: str | Path, objects: int | None) -> Float32[np.ndarray, "objects dim"]:
    """Return finite rows of numbers, one an object, of a ``.txt`` or ``.npy`` file."""
    found = numbers(path) if Path(path).suffix == ".txt" else _array(path)
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
    held = _array(path)
    if held.dtype.kind not in "fiu" or held.ndim != 2 or held.shape[1] != columns or not held.size:
        what = f"{held.dtype} of shape {held.shape}"
        raise HumalignError(f"{path} holds {what} instead of rows of {columns} whole numbers: {AGAIN}")
    limit = np.iinfo(np.int64).max // 2
    if (row := first(~((held == np.floor(held)) & (held < limit) & (held > -limit)))) is not None:
        raise HumalignError(f"{path}, row {row + 1}: {held[row].tolist()} are not all whole numbers: {AGAIN}")
    return np.ascontiguousarray(held.astype(np.int64))


# ---- MATLAB's files of versions 4 to 7.3 -------------------------------------------------------------------


class Variables(dict[str, Any]):
    """The variables of a MATLAB file by name, and one line for each that is asked for and is not there."""

    def __init__(self, path: Path, found: Iterable[tuple[str, Callable[[], Any]]]) -> None:
        self.path, self.unread = path, set()
        for name, value in found:
            try:
                self[name] = value()
            except Exception:  # `NotRead`, or damage to this variable, which leaves the others whole
                self.unread.add(name)

    def __missing__(self, name: str) -> Any:
        if name in self.unread:
            mend = f"save it in MATLAB as numbers, char, cell or struct, or {AGAIN}"
            what = f"{name!r} holds what is not read here"
            raise HumalignError(f"{self.path} is of another layout: {what}; {mend}")
        among = ", ".join([*self, *sorted(self.unread)][:8]) or "none"
        raise HumalignError(f"{self.path} is of another layout: no variable {name!r} among {among}; {AGAIN}")


class NotRead(Exception):
    """Signal a variable of a class of MATLAB that no file read here needs: table, string, sparse, complex."""


def matlab(path: str | Path) -> Variables:
    """Read the variables of a MATLAB file of version 4 to 7, or of 7.3, which is HDF5, all in one form.

    Returns:
        By name: numbers with MATLAB's shape (at least two axes; logical values as uint8); a text as str, of
        several rows as an array of str; a cell array as an object array of these; a struct, or an array of
        structs, as an object array of dictionaries, of shape (1, 1) for a single one.

    Raises:
        HumalignError: a file cut short or damaged; later, a variable that is asked for and is not there.
    """
    return parsed(path, lambda path: _matlab_hdf5(path) if h5py.is_hdf5(path) else _matlab_old(path), MAT)


def _matlab_old(path: Path) -> Variables:
    content = path.read_bytes()
    if 0 not in content[:4]:  # version 4 begins with a number below 5000, of four bytes, version 5 with text
        _check_elements(memoryview(content)[128:], {b"IM": "<", b"MI": ">"}[content[126:128]])
    found = ((name, value) for name, value in loadmat(path).items() if not name.startswith("__"))
    return Variables(path, ((name, functools.partial(_plain, value)) for name, value in found))


def _check_elements(content: memoryview, order: str, allowed: frozenset[int] = TOP) -> None:
    """Check that data elements of version 5 have types that can stand there, and end within their parent.

    scipy (1.17) checks none of this, and a damaged file can end the whole process, or fill its memory.

    Source: MAT-File Format (MathWorks), "Level 5 MAT-File Format": tags, small data elements, miMATRIX.
    """
    at, number, here, flags = 0, 0, allowed, 0
    while at < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        small = kind >> 16
        kind, size, start = (kind & 0xFFFF, small, at + 4) if small else (kind, size, at + 8)
        if kind not in here or size > (4 if small else len(content) - start):
            raise ValueError("no data element")
        if kind == MATRIX:
            _check_elements(content[start : start + size], order, NUMBERS)
        elif kind == PACKED:
            unpacked = memoryview(zlib.decompress(content[start : start + size]))
            _check_elements(unpacked, order, frozenset({MATRIX}))
        if allowed is NUMBERS and number == 0:
            (flags,) = struct.unpack_from(f"{order}I", content, start)
        if allowed is NUMBERS and number == 1 and flags & 0xFF != SPARSE:  # an item takes a byte at least
            if math.prod(struct.unpack_from(f"{order}{size // 4}I", content, start)) > len(content):
                raise ValueError("more items than bytes")
        if allowed is NUMBERS and number == 2:  # after flags, dimensions and name
            here = NUMBERS | HELD.get(flags & 0xFF, set())
        number += 1
        at = at + 8 if small else start + (size if kind == PACKED else -(-size // 8) * 8)
    if flags & 0xFF in PLAIN_CLASSES and number != (5 if flags & COMPLEX else 4):
        raise ValueError("a matrix of numbers without its numbers")


def _plain(value: Any) -> Any:
    """Return a value as scipy gives it, texts and structs made plain."""
    if type(value) is not np.ndarray or value.dtype.kind not in "OVUfiu":
        raise NotRead
    if value.dtype.kind == "U":
        return value if value.size > 1 else "".join(value)
    if value.dtype.names:
        rows = ({field: _plain(row[field]) for field in value.dtype.names} for row in value.ravel())
        return _objects(value.shape, rows)
    return _objects(value.shape, map(_plain, value.ravel())) if value.dtype.kind == "O" else value


def _matlab_hdf5(path: Path) -> Variables:
    with h5py.File(path, "r") as file:
        found = ((name, value) for name, value in file.items() if not name.startswith("#"))
        return Variables(path, ((name, functools.partial(_held, file, value)) for name, value in found))


def _held(file: h5py.File, value: Any) -> Any:
    """Return a variable, a cell or a field of MATLAB's HDF5 file, in which every array is transposed.

    Source: the attributes ``MATLAB_class`` and ``MATLAB_empty`` of files that MATLAB writes (``save -v7.3``).
    """
    kind = value.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if kind == "struct" and isinstance(value, h5py.Group):
        return _structs(file, value)
    if kind not in MATLAB_CLASSES or isinstance(value, h5py.Group) or "MATLAB_object_decode" in value.attrs:
        raise NotRead
    if value.attrs.get("MATLAB_empty", 0):
        shape = tuple(int(side) for side in value[()].ravel())
        return "" if kind == "char" else np.empty(shape, MATLAB_CLASSES[kind])
    found = np.atleast_2d(np.asarray(value[()])).T
    if kind == "char":
        rows = ["".join(map(chr, row)) for row in found]
        return rows[0] if len(rows) == 1 else np.array(rows)
    if kind in ("cell", "struct"):
        return _objects(found.shape, (_held(file, file[cell]) for cell in found.ravel()))
    if found.dtype.kind not in "fiu":
        raise NotRead
    return found.astype(MATLAB_CLASSES[kind])


def _structs(file: h5py.File, group: h5py.Group) -> np.ndarray:
    """Return a struct, or an array of structs, each field of which holds references and has no class."""
    if not any(isinstance(field, h5py.Dataset) and _refers(field) for field in group.values()):
        return _objects((1, 1), [{field: _held(file, value) for field, value in group.items()}])
    fields = {field: np.atleast_2d(value[()]).T for field, value in group.items()}
    (shape,) = {value.shape for value in fields.values()}
    values = ([_held(file, file[cell]) for cell in value.ravel()] for value in fields.values())
    return _objects(shape, (dict(zip(fields, row, strict=True)) for row in zip(*values, strict=True)))


def _refers(field: h5py.Dataset) -> bool:
    return "MATLAB_class" not in field.attrs and h5py.check_ref_dtype(field.dtype) is h5py.Reference


def _objects(shape: tuple[int, ...], values: Iterable[Any]) -> np.ndarray:
    found = np.empty(int(np.prod(shape)), object)
    for place, value in enumerate(values):
        found[place] = value
    return found.reshape(shape)
