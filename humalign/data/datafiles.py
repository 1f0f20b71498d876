"""Read files from elsewhere, with one line for each thing that can be wrong: file, place and mend.

Lines (of text) and rows (of arrays) count from 1 in messages. What a file means is known by `readers` alone.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int64

from humalign.errors import HumalignError, path_of

EXCEL = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
AGAIN = "download it again"
# Numbers (from 1) and cells of lines.
Lines = Iterator[tuple[int, list[str]]]
MAT = ".mat"
# Characters of a cell, in which an experiment may keep all it knows of a trial.
LARGEST_CELL = 1 << 27
CONVERT = "convert it, or name another file"
# The first bytes of files, what they are, and what such files are called.
MAGIC = (
    (b"\x93NUMPY", "an array of NumPy (.npy)", (".npy",)),
    (b"PK\x03\x04", "an archive (.zip, .npz, .xlsx)", (".npz", ".zip")),
    (b"PAR1", "a table of Parquet", (".parquet",)),
    (b"SQLite format 3", "a database of SQLite", ()),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet of Excel (.xls)", ()),
    (b"\x1f\x8b", "a gzip archive", (".gz", ".tgz")),
    (b"\x89HDF", "a file of HDF5 (.h5, .nc, .mat of version 7.3)", (".h5", ".hdf5", ".nc", MAT)),
    (b"MATLAB", "a file of MATLAB (.mat)", (MAT,)),
    *((bytes([0x80, protocol]), "a pickle", (".pkl", ".pickle")) for protocol in (2, 3, 4, 5)),
    (b"\x89PNG", "a picture", ()),
    (b"\xff\xd8\xff", "a picture", ()),
    (b"%PDF", "a PDF", ()),
)
# What a cell may hold, by the words that a message uses for it.
WHOLE, REAL, BIT, PLAIN, NAME = "a whole number", "a finite number", "0 or 1", "a plain name", "a name"
TIME, NOUN = "milliseconds or NaN", "a WordNet id of a noun, or nothing"
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
    path = path_of(path)
    try:
        with open(path, "rb") as file:
            start = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip()
    except FileNotFoundError:
        mend = "set HUMALIGN_DATA to the folder of the human data, or mend the path of a file of your own"
        raise HumalignError(f"no {path.name} in {path.absolute().parent}: {mend}") from None
    except OSError as error:
        why = f"({error.strerror}): give the path of a file that may be read"
        raise HumalignError(f"cannot read {path} {why}") from None
    if not start or start.startswith(b"<"):
        raise HumalignError(f"{path} is {'a web page, not data' if start else 'empty'}: {AGAIN}")
    return path


def parsed(path: str | Path, parse: Callable[[Path], Any], kind: str = "") -> Any:
    """Return what numpy, scipy or h5py makes of a binary file; a damaged or another one is refused.

    Args:
        kind: ``.mat`` where that is read; else what the file's own name says, which is no ``.mat``.
    """
    path = checked(path)
    try:
        return parse(path)
    except HumalignError:
        raise
    except Exception:  # They raise a dozen kinds on a damaged file.
        what = _of_another_kind(path, kind) or f"cut short, damaged or of another layout: {AGAIN}"
        raise HumalignError(f"{path} is {what}") from None


def _of_another_kind(path: Path, kind: str) -> str:
    """Say what an unreadable file is, where its contents or its first bytes tell; else nothing."""
    with open(path, "rb") as file:
        start = file.read(8)
    if start.startswith(b"\x93NUMPY") and path.suffix == ".npy":
        with contextlib.suppress(Exception):
            held = np.load(path, mmap_mode="r", allow_pickle=False)
            mend = "save it with its name in an .npz, np.savez(file, **{'NAME': array})"
            what = f"a sound array of {held.dtype} and shape {held.shape}"
            return f"{what}, but named arrays should stand here: {mend}"
    suffix = path.suffix.lower()
    for first, what, suffixes in MAGIC:
        if start.startswith(first):
            usual = kind in suffixes if kind else suffix in suffixes and suffix != MAT
            return "" if usual else f"{what}, which is not read here: {CONVERT}"
    return ""


# ---- text --------------------------------------------------------------------------------------------------

def separator_of(path: str | Path) -> str | None:
    """Return what separates the first line's cells: a tab, the commoner of comma and semicolon, or None."""
    _, first = next(_filled(_unpacked(checked(path))))
    return "\t" if "\t" in first else max(",;", key=first.count) if set(",;") & set(first) else None


def lines(path: str | Path, separator: str | None = "\t", columns: int | None = None) -> Lines:
    """Yield number and cells of every line that is not blank, all of as many columns, by default the first's.

    Blanks around a cell are no part of it. Cells between commas or semicolons may be quoted, and hold line
    ends; so may cells between tabs where the first is quoted.
    """
    for number, cells in _cells(_unpacked(checked(path)), separator):
        columns = columns or len(cells)
        if len(cells) != columns:
            what = f"{len(cells)} columns instead of {columns}: cut short, or another file"
            raise HumalignError(f"{path}, line {number}: {what}; {AGAIN}")
        yield number, cells


def _cells(path: Path, separator: str | None) -> Lines:
    with open(path, "rb") as start:
        quoted = start.read(4).removeprefix(b"\xef\xbb\xbf").startswith(b'"')
    if separator not in (",", ";") and not (separator == "\t" and quoted):
        for number, line in _filled(path):
            yield number, [cell.strip(" ") for cell in line.split(separator)]
        return
    csv.field_size_limit(LARGEST_CELL)
    with open(path, encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
        # A quote that nobody closes would make one cell of all rows behind it.
        rows = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True)
        number = 1
        try:
            for cells in rows:
                if any(cell.strip() for cell in cells):
                    yield number, [cell.strip(" ") for cell in cells]
                number = rows.line_num + 1
        except csv.Error as error:
            why = "a quote that is not closed" if "unexpected end" in str(error) else error
            raise HumalignError(f"{path}, line {number}: {why}: {AGAIN}") from None


def name_list(path: str | Path) -> tuple[str, ...]:
    """Read a list of names, one a line, without byte order mark, blanks around them and blank lines behind.

    A blank line between names is refused: it would move the numbers behind it.
    """
    try:
        names = _unpacked(checked(path)).read_text("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise HumalignError(f"{path} is no text in UTF-8: save it so") from None
    if "" in (found := [name.strip() for name in names]):
        line = found.index("") + 1
        raise HumalignError(f"{path}, line {line}: no name: take the line out, or write the name")
    return tuple(found)


def named(path: str | Path, kinds: dict[str, str], separator: str | None = "\t") -> Lines:
    """Yield number and cells of every line below the header: the columns of these names, each of its kind."""
    below = lines(path, separator)
    number, header = next(below)
    for name in kinds:
        if (count := header.count(name)) != 1:
            what = f"{count} columns {name!r} in the header instead of one"
            raise HumalignError(f"{path}, line {number}: {what}: {AGAIN}")
    last = number
    for last, cells in below:
        yield last, [of_kind(path, last, cells[header.index(name)], kind) for name, kind in kinds.items()]
    if last == number:
        raise HumalignError(f"{path} holds a header and nothing below it: {AGAIN}")


def numbers(path: str | Path) -> Any:
    """Return rows of numbers separated by spaces, (lines, columns)."""
    with contextlib.suppress(ValueError):
        return np.loadtxt(checked(path), comments=None, ndmin=2, encoding="utf-8-sig")
    below = lines(path, None)
    raise at_fault(path, ([of_kind(path, line, cell, REAL) for cell in cells] for line, cells in below))


def integers(path: str | Path, columns: int) -> Int64[np.ndarray, "lines columns"]:
    """Return rows of whole numbers between blanks, commas or semicolons; the last line must have an end.

    pandas' parser takes a tenth of the time of numpy's; the first faulty line is found by a slow one.
    """
    table, separator = pd.DataFrame(), separator_of(path)
    separator = None if separator == "\t" else separator
    plain: dict[str, Any] = {"header": None, "na_filter": False, "quoting": csv.QUOTE_NONE}
    with contextlib.suppress(ValueError, OverflowError):
        table = pd.read_csv(path, sep=separator or r"\s+", dtype=np.int64, **plain)
    if table.shape[1] != columns:
        listed = lines(path, separator, columns)
        raise at_fault(path, ([of_kind(path, line, cell, WHOLE) for cell in cells] for line, cells in listed))
    check_ended(path)
    return np.ascontiguousarray(table.to_numpy())


def even(path: str | Path, columns: int) -> bool:
    """Tell whether every line that is not blank has as many cells between tabs: pandas fills missing ones."""
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            block += file.readline()
            signs = np.frombuffer(block if block.endswith(b"\n") else block + b"\n", np.uint8)
            ends = np.flatnonzero(signs == ord("\n"))
            tabs = np.diff(np.searchsorted(np.flatnonzero(signs == ord("\t")), ends), prepend=0)
            starts = np.append(0, ends[:-1] + 1)
            for line in np.flatnonzero(tabs != columns - 1):
                if block[starts[line] : ends[line]].strip(b" \r\n"):
                    return False
    return True


def check_ended(path: str | Path) -> None:
    """Check that the last line has an end: a number that was cut short looks like a number."""
    with open(path, "rb") as file:
        file.seek(-1, 2)
        if file.read(1) not in b"\r\n":
            file.seek(0)
            last = sum(1 for _ in file)
            what = f"{path}, line {last}: the last line has no end: cut short"
            raise HumalignError(f"{what}; {AGAIN}, or add an end where it is whole")


def at_fault(path: str | Path, found: Iterable[Any]) -> HumalignError:
    """Return the error of the first faulty line: a fast parser says that there is one, a slow one which."""
    try:
        collections.deque(found, maxlen=0)
    except HumalignError as error:
        return error
    return HumalignError(f"{path} is damaged or of another layout: {AGAIN}")


def line_of(path: str | Path, row: int, header: int = 0) -> str:
    """Return the place of a row of numbers (from 0) in a file, blank lines and ``header`` lines counted."""
    if Path(path).suffix.lower() == ".npy":
        return f"{path}, row {row + 1}"
    number, _ = next(itertools.islice(_cells(Path(path), separator_of(path)), row + header, None))
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


def _unpacked(path: Path) -> Path:
    """Return the path of a file that is no zip or gzip archive under the name of a text."""
    with open(path, "rb") as file:
        start = file.read(512)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or re.match(rb"([^\0]\0){8}|(\0[^\0]){8}", start):
        raise HumalignError(f"{path} is text in UTF-16: save it in UTF-8")
    unknown = "no text" if b"\0" in start else ""
    what = next((what for first, what, _ in MAGIC if start.startswith(first)), unknown)
    if path.suffix.lower() in (".npz", ".npy", ".pt", ".pth"):
        raise HumalignError(f"{path} is no text: give a .npy of numbers, or a table as text, such as a .csv")
    if path.suffix.lower() in EXCEL or start.startswith(b"\xd0\xcf"):
        raise HumalignError(f"{path} is a spreadsheet of Excel: save it as CSV in UTF-8")
    if start.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        mend = "unpack it, and put the file that is inside here"
        raise HumalignError(f"{path} is an archive, not text: {mend}")
    if what:
        raise HumalignError(f"{path} is {what}: save it as text in UTF-8, such as a .csv, or {AGAIN}")
    if re.match(rb"(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*\"", start):
        raise HumalignError(f"{path} is JSON: save its trials as CSV, which jsPsych does too")
    return path


def _filled(path: Path) -> Iterator[tuple[int, str]]:
    with open(path, encoding="utf-8-sig", errors="backslashreplace") as file:
        yield from ((number, line.rstrip("\n")) for number, line in enumerate(file, 1) if line.strip(" \n"))
