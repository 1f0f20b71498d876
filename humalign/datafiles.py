"""Data files from elsewhere, and the one line for each thing that can be wrong with one: file, place and mend.

Lines (of text) and rows (of arrays) are counted from 1 in messages. Nothing here knows what a file means; `readers` does.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int

from humalign.errors import HumalignError

AGAIN = "download it again"
# What a cell may hold, by the words that a message uses for it.
WHOLE, REAL, BIT, PLAIN, NAME, TIME = "a whole number", "a finite number", "0 or 1", "a plain name", "a name", "milliseconds or NaN"
NOUN = "a WordNet id of a noun, or nothing"
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
KINDS = {
    WHOLE: r"-?[0-9]{1,18}",
    REAL: NUMBER,
    BIT: "[01]",
    PLAIN: r"[A-Za-z0-9_.'-]+",
    NAME: r".*\S.*",
    NOUN: "(n[0-9]{8})?",
    TIME: f"{NUMBER}|NaN|nan|NA|",
}


def checked(path: str | Path) -> Path:
    """Return the path of a file that is there, holds something, and is no web page."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip()
    except FileNotFoundError:
        raise HumalignError(f"no {path.name} in {path.absolute().parent}: set HUMALIGN_DATA to the folder of the human data") from None
    except OSError as error:
        raise HumalignError(f"cannot read {path} ({error.strerror}): give the path of a file that may be read") from None
    if not start or start.startswith(b"<"):
        raise HumalignError(f"{path} is {'a web page, not data' if start else 'empty'}: {AGAIN}")
    return path


def parsed(path: str | Path, parse: Callable[[Path], Any]) -> Any:
    """Return what numpy or scipy makes of a binary file.

    A file cut short is told here. A ``.mat`` of full length with altered bytes can crash scipy (1.17): `registry.verify` tells those.
    """
    path = checked(path)
    try:
        return parse(path)
    except Exception:  # They raise a dozen kinds on a damaged file.
        raise HumalignError(f"{path} is cut short, damaged or of another layout: {AGAIN}") from None


# ---- text ------------------------------------------------------------------------------------------------------------

def lines(path: str | Path, separator: str | None = "\t", columns: int | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of every line that is not blank, all of as many columns (the first line's, where not given)."""
    for number, line in _filled(checked(path)):
        cells = line.split(separator)
        columns = columns or len(cells)
        if len(cells) != columns:
            raise HumalignError(f"{path}, line {number}: {len(cells)} columns instead of {columns}: cut short, or another file; {AGAIN}")
        yield number, cells


def named(path: str | Path, kinds: dict[str, str], separator: str = "\t") -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of every line below the header: the columns of these names, each cell of its kind."""
    below = lines(path, separator)
    number, header = next(below)
    for name in kinds:
        if header.count(name) != 1:
            raise HumalignError(f"{path}, line {number}: {header.count(name)} columns {name!r} in the header instead of one: {AGAIN}")
    last = number
    for last, cells in below:
        yield last, [of_kind(path, last, cells[header.index(name)], kind) for name, kind in kinds.items()]
    if last == number:
        raise HumalignError(f"{path} holds a header and nothing below it: {AGAIN}")


def numbers(path: str | Path, kind: type, columns: int | None = None) -> Any:
    """Return rows of numbers separated by spaces, (lines, columns)."""
    with contextlib.suppress(ValueError):
        found: Any = np.loadtxt(checked(path), dtype=kind, comments=None, ndmin=2, encoding="utf-8-sig")
        if found.shape[1] == (columns or found.shape[1]):
            return found
    words = WHOLE if kind is np.int64 else REAL
    raise at_fault(path, ([of_kind(path, line, cell, words) for cell in cells] for line, cells in lines(path, None, columns)))


def at_fault(path: str | Path, found: Iterable[Any]) -> HumalignError:
    """Return the error of the first faulty line: a fast parser says that there is one, a slow one which."""
    try:
        for _ in found:
            pass
    except HumalignError as error:
        return error
    return HumalignError(f"{path} is damaged or of another layout: {AGAIN}")


def line_of(path: str | Path, row: int, header: int = 0) -> str:
    """Return the place of a row of numbers (from 0) in a text file, blank lines and ``header`` lines counted."""
    number, _ = next(itertools.islice(_filled(Path(path)), row + header, None))
    return f"{path}, line {number}"


def once(path: str | Path, items: Iterable[tuple[int, Any]]) -> dict[Any, int]:
    """Return items with the line of each, none of which may stand twice."""
    lines_of: dict[Any, int] = {}
    for line, item in items:
        if lines_of.setdefault(item, line) != line:
            raise HumalignError(f"{path}, line {line}: {item!r} again, as in line {lines_of[item]}: {AGAIN}")
    return lines_of


def of_kind(path: str | Path, number: int, cell: str, kind: str) -> str:
    """Return a cell of a line, which must be of a kind."""
    if not re.fullmatch(KINDS[kind], cell):
        raise HumalignError(f"{path}, line {number}: {cell[:40]!r} where {kind} should stand: {AGAIN}")
    return cell


def _filled(path: Path) -> Iterator[tuple[int, str]]:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        yield from ((number, line.rstrip("\n")) for number, line in enumerate(file, 1) if line.strip(" \n"))


# ---- arrays ----------------------------------------------------------------------------------------------------------

def first(faulty: Bool[np.ndarray, "n columns"]) -> int | None:
    """Return the first row (from 0) with anything at fault, or None."""
    rows = np.flatnonzero(faulty.any(axis=1))
    return int(rows[0]) if rows.size else None


def vectors(path: str | Path, objects: int | None) -> Float32[np.ndarray, "objects dim"]:
    """Return finite rows of numbers, one an object, of a ``.txt`` or ``.npy`` file."""
    text = Path(path).suffix == ".txt"
    found = numbers(path, np.float64) if text else parsed(path, lambda path: np.load(path, allow_pickle=False)[:])
    if found.dtype.kind not in "fiu" or found.ndim != 2 or not found.size:
        raise HumalignError(f"{path} holds {found.dtype} of shape {found.shape} instead of rows of numbers, one an object: {AGAIN}")
    if objects not in (None, len(found)):
        why = "is it transposed?" if found.shape[1] == objects else f"cut short, or of other objects; {AGAIN}"
        raise HumalignError(f"{path}: {len(found)} rows for {objects} objects: {why}")
    with np.errstate(over="ignore"):
        found = found.astype(np.float32)
    if (row := first(~np.isfinite(found))) is not None:
        raise HumalignError(f"{path}, row {row + 1}: a value that is not finite: {AGAIN}")
    return found


def check_indices(indices: Int[np.ndarray, "n columns"], objects: int | None, base: int, at: Callable[[int], str]) -> None:
    """Check that indices counted from ``base`` (0 or 1) name existing objects, and no row one of them twice.

    Args:
        at: gives the place of a row (from 0) in its file, for the message.
    """
    last = np.iinfo(np.int64).max if objects is None else objects - 1 + base
    outside = (indices < base) | (indices > last)
    if (row := first(outside)) is not None:
        wrong = indices[row][outside[row]][0]
        hints = {(1, 0): "are these 0-based?", (0, objects): "are these 1-based?"}
        hint = hints.get((base, int(wrong)), "is this a file of other objects?")
        raise HumalignError(f"{at(row)}: index {wrong} outside {base}..{'' if objects is None else last}; {hint}")
    ordered = np.sort(indices, axis=1)
    if (row := first(ordered[:, 1:] == ordered[:, :-1])) is not None:
        raise HumalignError(f"{at(row)}: the same object twice in a triplet, {indices[row].tolist()}: {AGAIN}")


def check_dissimilarities(path: str | Path, matrices: np.ndarray) -> None:
    """Check that matrices (people, m, m) are finite and symmetric, with a zero diagonal."""
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2]:
        raise HumalignError(f"{path}: matrices of shape {matrices.shape[1:]} instead of square ones: {AGAIN}")
    for number, matrix in enumerate(matrices, 1):
        if not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T, atol=1e-9) or np.diag(matrix).any():
            raise HumalignError(f"{path}, matrix {number}: not finite, not symmetric, or its diagonal is not zero: {AGAIN}")
