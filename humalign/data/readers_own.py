"""Readers of odd-one-out answers that somebody collected, as jsPsych and spreadsheets write them.

The readers of THINGS know their files' layouts; these take the names of the columns. Indices are places in
the order of the pictures' names.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int64

from humalign.data import listing, readers_answers
from humalign.data.datafiles import check_ended, lines, separator_of
from humalign.data.judgments import Choices
from humalign.data.readers_answers import SHOWN, Answers
from humalign.errors import HumalignError, nearest, path_of

# What experiments write where nobody answered.
NOTHING = ("", "null", "none", "nan", "na", "n/a", "<na>", "#n/a", "undefined")
WHICH = "give numbered_from=0 or numbered_from=1, or their names"


def read(
    path: str | Path,
    names: Sequence[str],
    shown: Sequence[str] = SHOWN,
    odd: str = "choice",
    first: int | None = None,
    numbered_from: int | None = None,
) -> Choices:
    """Return answers about pictures, one row an answer.

    Args:
        path: of a table with a header (see `table`), of three numbers a line, the odd one last (see
            `readers_answers.triplets`), or of five columns without a header (see `readers_answers.answers`).
        names: of the pictures, in their order.
        shown, odd, first, numbered_from: see `table`.
    """
    path = path_of(path)
    _check_bases(first, numbered_from)
    cells = [] if path.suffix.lower() == ".npy" else next(lines(path, separator_of(path)))[1]
    if all(cell.strip().isdecimal() for cell in cells):
        if len(cells) == 5:
            if numbered_from == 0:
                what = "five columns without a header number pictures from 1"
                raise HumalignError(f"{path}: {what}: write a header, see `table`")
            return readers_answers.answers(path, names, people=False, own=True).choices()
        return _listed_triplets(path, len(names), numbered_from)
    columns = shown[0] if len(shown) == 1 else shown
    return table(path, names, columns, odd, first=first, numbered_from=numbered_from).choices()


def _listed_triplets(path: Path, pictures: int, base: int | None) -> Choices:
    """Return answers of three numbers a line, counted from ``base``; without it from 0, if that occurs."""
    found = readers_answers.triplets(path, None if base else pictures)
    least, most = int(found.triplets.min()), int(found.triplets.max())
    if base is None and least > 0:
        raise HumalignError(f"{path}: pictures from number {least} on: {WHICH}")
    if not base:
        return found
    if least < base or most > pictures:
        what = f"numbers from {least} to {most}, not from 1 to {pictures}"
        raise HumalignError(f"{path}: {what}: is `numbered_from` right?")
    return Choices(found.triplets - base, found.counts)


def _check_bases(first: int | None, numbered_from: int | None) -> None:
    for name, value in (("first", first), ("numbered_from", numbered_from)):
        if value is not None and (isinstance(value, bool) or value not in (0, 1)):
            raise HumalignError(f"{name} = {value!r}: give 0 or 1")


def table(
    path: str | Path,
    names: Sequence[str],
    shown: str | Sequence[str] = SHOWN,
    odd: str = "choice",
    person: str | None = None,
    first: int | None = None,
    numbered_from: int | None = None,
) -> Answers:
    """Read answers from a table between commas, semicolons or tabs, with a header; cells may be quoted.

    Lines without pictures (instructions, pauses) or without an answer are passed over.

    Args:
        names: of the pictures, in the order to which the answers shall refer: ``images.labels["file"]``.
        shown: the columns of the three pictures, or the one column of a list of them (``["a.jpg", "b.jpg",
            "c.jpg"]``). A picture has its name, as `listing.Named` takes it, with any folders above it, or
            the number of its place in ``names``.
        odd: the column of the odd one out: its name, or its place among the three.
        person: the column of who answered; it is text: 7, 07 and 007 are three people.
        first: the number of the first of the three places in ``odd``, 0 (as of jsPsych's buttons) or 1;
            without it the answers tell.
        numbered_from: the number of the first picture, 0 or 1, of numbers; without it 0, if that occurs.

    Raises:
        HumalignError: no such column, a picture that is not named or could be several, one twice in a
            triplet, an odd one that was not shown, or numbers that may count from 0 or from 1.
    """
    _check_bases(first, numbered_from)
    columns = [shown] if isinstance(shown, str) else list(shown)
    wanted = [*columns, odd, *([person] if person else [])]
    below = lines(path, separator_of(path))
    number, header = next(below)
    for name in wanted:
        if (count := header.count(name)) != 1:
            mend = "leave one of them" if count else nearest(name, header)
            raise HumalignError(f"{path}, line {number}: {count} columns {name!r}: {mend}")
    at = _Places(names, numbered_from)
    rows: list[_Row] = []
    for number, cells in below:
        where, of = f"{path}, line {number}", dict(zip(header, cells, strict=True))
        given = _listed(where, of[shown]) if isinstance(shown, str) else [of[name] for name in columns]
        if _nothing(of[odd]) or all(map(_nothing, given)):
            continue
        triplet = [at(where, cell) for cell in given]
        if len(triplet) != 3 or len(set(triplet)) != 3:
            raise HumalignError(f"{where}: {', '.join(given)[:80]!r} are not three different pictures")
        who = of[person] if person else ""
        rows.append(_Row(where, [_whole(cell) for cell in given], triplet, _whole(of[odd]), who))
    if not rows:
        wanted_in = f"no line with pictures in {', '.join(columns)} and an answer in {odd!r}"
        raise HumalignError(f"{path}: {wanted_in}: are these the columns?")
    at.check_numbers(path)
    if header[-1] in wanted:  # what is cut short elsewhere cuts no answer
        check_ended(path)
    if person and (nobody := next((row for row in rows if not row.person), None)):
        raise HumalignError(f"{nobody.where}: nobody in {person!r}: write who answered, or leave person out")
    answered_by = pd.factorize(np.array([row.person for row in rows], dtype=object))[0] if person else None
    triplets = np.array([row.triplet for row in rows], dtype=np.int64)
    return Answers(triplets, _odd(path, rows, at, first), answered_by)


@dataclasses.dataclass(frozen=True)
class _Row:
    """One answer as it is written, and the places of its pictures."""

    where: str
    shown: list[str]
    triplet: list[int]
    odd: str
    person: str


def _whole(cell: str) -> str:
    """Return a cell; ``3`` of ``3.0``, as pandas writes it where others of its column lack."""
    return re.sub(r"^(\d+)\.0+$", r"\1", cell.strip())


def _nothing(cell: str) -> bool:
    return cell.strip().lower() in NOTHING


def _listed(where: str, cell: str) -> list[str]:
    """Return the pictures of a cell that lists them."""
    if _nothing(cell):
        return []
    try:
        found = json.loads(cell)
    except ValueError:
        found = None
    with contextlib.suppress(ValueError, SyntaxError):  # as Python writes a list of texts
        found = found or ast.literal_eval(cell.strip())
    if found is None or isinstance(found, str | int | float):
        found = next(csv.reader([cell.strip("[]() ")], skipinitialspace=True))
    if not isinstance(found, list | tuple) or len(found) not in (0, 3):
        raise HumalignError(f"{where}: {cell[:60]!r} does not list three pictures")
    return [str(each) for each in found]


def _odd(path: str | Path, rows: list[_Row], at: _Places, first: int | None) -> Int64[np.ndarray, " n"]:
    """Return the place of each odd one among the three shown, from 0."""
    named = all(row.odd in row.shown for row in rows)
    counted = all(row.odd in ("0", "1", "2", "3") for row in rows)
    if named and counted and first is None:
        mend = "give first=0 or first=1, or names with endings"
        raise HumalignError(f"{path}: the odd one may be a picture's name or its place: {mend}")
    if counted:
        return _counted(path, rows, first)
    found = []
    for row in rows:
        one = at(row.where, row.odd)
        if one not in row.triplet:
            why = "is the odd one, and is none of the three shown"
            raise HumalignError(f"{row.where}: {row.odd[:60]!r} {why}")
        found.append(row.triplet.index(one))
    return np.array(found, dtype=np.int64)


def _counted(path: str | Path, rows: list[_Row], first: int | None) -> Int64[np.ndarray, " n"]:
    places = np.array([int(row.odd) for row in rows], dtype=np.int64)
    least, most = int(places.min()), int(places.max())
    if first is None:
        if least > 0 and most < 3:
            why = f"answers of {least} to {most} may count from 0 or from 1"
            raise HumalignError(f"{path}: {why}: give first=0 or first=1")
        first = min(least, 1)
    if (wrong := np.flatnonzero((places < first) | (places > first + 2))).size:
        row = rows[wrong[0]]
        where = f"in place {row.odd}, not in one of {first} to {first + 2}"
        raise HumalignError(f"{row.where}: the odd one {where}")
    return places - first


class _Places:
    """Where each picture stands, by its name as somebody wrote it."""

    def __init__(self, names: Sequence[str], base: int | None) -> None:
        self._named, self.size = listing.Named([listing.parts_of(str(name)) for name in names]), len(names)
        self.base, self.numbers = base, set[int]()
        self.found: dict[str, int] = {}

    def __call__(self, where: str, cell: str) -> int:
        if cell not in self.found:
            self.found[cell] = self._search(where, cell.strip())
        return self.found[cell]

    def _search(self, where: str, cell: str) -> int:
        cell = cell if self._named(cell) else _whole(cell)
        parts = listing.parts_of(cell)
        number = int(cell) - (self.base or 0) if cell.isdecimal() else -1
        if number >= 0 and not self._named(cell):  # 002 may be picture 2 as well as 2.jpg
            parts = (str(int(cell)),)
        for start in range(len(parts)):
            places = self._named("/".join(parts[start:]))
            if len(places) > 1:
                why = "may be several of the pictures: write the whole path"
                raise HumalignError(f"{where}: {cell[:60]!r} {why}")
            if places and cell.isdecimal() and number != places[0]:
                why = "may be a picture's name or its place: write the names with their endings"
                raise HumalignError(f"{where}: {cell!r} {why}")
            if places:
                return places[0]
        if 0 <= number < self.size:
            self.numbers.add(int(cell))
            return number
        why = f"is none of the {self.size:,} pictures, nor the number of one; do the numbers fit?"
        raise HumalignError(f"{where}: {cell[:60]!r} {why}")

    def check_numbers(self, path: str | Path) -> None:
        """Raise where pictures are numbers, and none is the first: they may count from 1."""
        if self.base is None and self.numbers and 0 not in self.numbers:
            raise HumalignError(f"{path}: pictures from number {min(self.numbers)} on: {WHICH}")
