"""Reader of odd-one-out answers that somebody collected: a table with columns of its own, as jsPsych and
spreadsheets write them.

The readers of THINGS know their files' layouts; this one is told the columns. Indices are places in the order
of the pictures' names.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from humalign.data import listing
from humalign.data.datafiles import check_ended, lines, separator_of
from humalign.data.readers_answers import Answers
from humalign.errors import HumalignError, nearest

# What experiments write where nobody answered.
NOTHING = ("", "null", "none", "nan", "na", "undefined")


def table(
    path: str | Path,
    names: Sequence[str],
    shown: str | Sequence[str] = ("image1", "image2", "image3"),
    odd: str = "choice",
    person: str | None = None,
    first: int | None = None,
    numbered_from: int | None = None,
) -> Answers:
    """Read answers from a table between commas, semicolons or tabs, with a header; cells may be quoted.

    Lines without pictures (instructions, pauses) and lines without an answer are no answers, and are passed
    over.

    Args:
        names: of the pictures, in the order to which the answers shall refer: ``images.labels["file"]``.
        shown: the columns of the three pictures, or the one column of a list of them (``["a.jpg", "b.jpg",
            "c.jpg"]``). A picture has its name, as `listing.Named` takes it, with any folders above it, or
            the number of its place in ``names``.
        odd: the column of the odd one out: its name, or its place among the three.
        person: the column of who answered; it is text: 7, 07 and 007 are three people.
        first: the number of the first of the three places in ``odd``, 0 (as of jsPsych's buttons) or 1;
            without it the answers tell.
        numbered_from: the number of the first picture, 0 or 1, where pictures are numbers; without it 0, if
            that occurs.

    Raises:
        HumalignError: no such column, a picture that is not named or could be several, one twice in a
            triplet, an odd one that was not shown, or numbers of which nothing tells whether they count from
            0 or 1.
    """
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
        of = dict(zip(header, cells, strict=True))
        given = (
            _listed(f"{path}, line {number}", of[columns[0]])
            if isinstance(shown, str)
            else [of[name] for name in columns]
        )
        if of[odd].strip().lower() not in NOTHING and any(
            cell.strip().lower() not in NOTHING for cell in given
        ):
            triplet = [at(f"{path}, line {number}", cell) for cell in given]
            if len(triplet) != 3 or len(set(triplet)) != 3:
                raise HumalignError(
                    f"{path}, line {number}: {', '.join(given)[:80]!r} are not three different pictures"
                )
            rows.append(
                _Row(
                    number,
                    [cell.strip() for cell in given],
                    triplet,
                    of[odd].strip(),
                    of[person] if person else "",
                )
            )
    if not rows:
        raise HumalignError(
            f"{path}: no line with pictures in {', '.join(columns)} and an answer in {odd!r}: are these the "
            "columns?"
        )
    at.check_numbers(path)
    if header[-1] in wanted:  # what is cut short elsewhere cuts no answer
        check_ended(path)
    if person and (nobody := next((row for row in rows if not row.person), None)):
        raise HumalignError(
            f"{path}, line {nobody.line}: nobody in {person!r}: write who answered, or leave person out"
        )
    place = {who: number for number, who in enumerate(dict.fromkeys(row.person for row in rows))}
    answered_by = np.array([place[row.person] for row in rows], dtype=np.int64) if person else None
    return Answers(
        np.array([row.triplet for row in rows], dtype=np.int64), _odd(path, rows, at, first), answered_by
    )


@dataclasses.dataclass(frozen=True)
class _Row:
    """One answer as it is written, and the places of its pictures."""

    line: int
    shown: list[str]
    triplet: list[int]
    odd: str
    person: str


def _listed(where: str, cell: str) -> list[str]:
    """Return the pictures of a cell that lists them."""
    if cell.strip().lower() in NOTHING:
        return []
    try:
        found = json.loads(cell)
    except ValueError:
        found = next(csv.reader([cell.strip("[]() ")], skipinitialspace=True))
    if not isinstance(found, list) or len(found) not in (0, 3):
        raise HumalignError(f"{where}: {cell[:60]!r} does not list three pictures")
    return [str(each) for each in found]


def _odd(path: str | Path, rows: list[_Row], at: _Places, first: int | None) -> Int64[np.ndarray, " n"]:
    """Return the place of each odd one among the three shown, from 0."""
    named, counted = (
        all(row.odd in row.shown for row in rows),
        all(row.odd in ("0", "1", "2", "3") for row in rows),
    )
    if named and counted and first is None:
        raise HumalignError(
            f"{path}: the odd one may be a picture's name or its place: give first=0 or first=1, or names "
            "with endings"
        )
    if counted:
        return _counted(path, rows, first)
    found = []
    for row in rows:
        one = at(f"{path}, line {row.line}", row.odd)
        if one not in row.triplet:
            raise HumalignError(
                f"{path}, line {row.line}: {row.odd[:60]!r} is the odd one, and is none of the three shown"
            )
        found.append(row.triplet.index(one))
    return np.array(found, dtype=np.int64)


def _counted(path: str | Path, rows: list[_Row], first: int | None) -> Int64[np.ndarray, " n"]:
    places = np.array([int(row.odd) for row in rows], dtype=np.int64)
    if first is None:
        if places.min() > 0 and places.max() < 3:
            raise HumalignError(
                f"{path}: answers of {places.min()} to {places.max()} may count from 0 or from 1: give "
                "first=0 or first=1"
            )
        first = min(int(places.min()), 1)
    if (wrong := np.flatnonzero((places < first) | (places > first + 2))).size:
        row = rows[wrong[0]]
        raise HumalignError(
            f"{path}, line {row.line}: the odd one in place {row.odd}, not in one of {first} to {first + 2}"
        )
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
        parts = listing.parts_of(cell)
        for start in range(len(parts)):
            places = self._named("/".join(parts[start:]))
            if len(places) > 1:
                raise HumalignError(
                    f"{where}: {cell[:60]!r} may be several of the pictures: write the whole path"
                )
            if places and cell.isdecimal() and int(cell) - (self.base or 0) != places[0]:
                raise HumalignError(
                    f"{where}: {cell!r} may be a picture's name or its place: write the names with their "
                    "endings"
                )
            if places:
                return places[0]
        if cell.isdecimal() and 0 <= int(cell) - (self.base or 0) < self.size:
            self.numbers.add(int(cell))
            return int(cell) - (self.base or 0)
        raise HumalignError(
            f"{where}: {cell[:60]!r} is none of the {self.size:,} pictures, nor the number of one; do the "
            "numbers fit?"
        )

    def check_numbers(self, path: str | Path) -> None:
        """Raise where pictures are numbers, and none is the first: they may count from 1."""
        if self.base is None and self.numbers and 0 not in self.numbers:
            least = min(self.numbers)
            raise HumalignError(
                f"{path}: pictures from number {least} on: give numbered_from=0 or numbered_from=1, or "
                "their names"
            )
