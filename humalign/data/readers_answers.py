"""Readers of people's answers about the THINGS objects: for training, for validation, and the repeated ones.

Each may lie in a file of its own or in the table of all answers; the content tells which. Indices are 0-based
and in the order of ``unique_id.txt`` wherever they leave this module.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, Int64

from humalign.data import datafiles
from humalign.data.arrays import check_indices, whole_numbers
from humalign.data.datafiles import AGAIN, NAME, WHOLE, check_ended, line_of, lines, of_kind, separator_of
from humalign.data.judgments import Choices, first
from humalign.data.object_order import OLD, UNIQUE, Order, rows_in
from humalign.errors import HumalignError

SHOWN = ("image1", "image2", "image3")
# Of the table of all answers: 0 asked once, 1 repeated; 2 and 3 asked again of the same person, of others.
PART, ONCE, REPEATED = "noise_ceiling", 0, 1
# One triplet in so many of the table of all answers is for validation.
VALIDATION = 10
# In so many answers every object is seen: about 160 times in the smallest number.
MANY = 100_000
SPLIT, LISTED = "three indices a line, the odd one last", "a table without a header"
TABLE = "a table with a header"


@dataclasses.dataclass(frozen=True)
class Answers:
    """Answers to odd-one-out triplets as they were given, one row an answer.

    Attributes:
        triplets: (n, 3) 0-based indices of objects, in the order shown.
        odd: (n,) place of the odd one out in that order, 0 to 2.
        person: (n,) who answered, numbered from 0 in the order of the file; None where the file does not say.
        part: (n,) which part of the table of all answers (0 to 3); None where the file has no such column.
    """

    triplets: Int64[np.ndarray, "n 3"]
    odd: Int64[np.ndarray, " n"]
    person: Int64[np.ndarray, " n"] | None = None
    part: Int64[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return len(self.triplets)

    def choices(self, rows: Bool[np.ndarray, " n"] | None = None) -> Choices:
        """Return every answer, or some, as a row of its own, its objects in the order shown."""
        rows = np.ones(len(self), dtype=bool) if rows is None else rows
        return Choices(self.triplets[rows], _kept(self.odd[rows]))

    def repeated(self, least: int = 2) -> Choices:
        """Pool the answers to the same three objects, one row a triplet of ``least`` answers or more.

        Objects stand ascending. Somebody who answered a triplet more than once counts each time, as in the
        published noise ceiling.
        """
        ascending = np.sort(self.triplets, axis=1)
        odd_one = np.take_along_axis(self.triplets, self.odd[:, None], axis=1)
        table = pd.DataFrame(np.hstack([ascending, _kept((ascending == odd_one).argmax(1))]))
        pooled = table.groupby([0, 1, 2])[[3, 4, 5]].sum()
        pooled = pooled[pooled.sum(axis=1) >= least]
        if pooled.empty:
            mend = "lower `least`, or read the file of repeated triplets"
            raise HumalignError(f"no triplet has {least} answers: {mend}")
        return Choices(pooled.index.to_frame().to_numpy(), pooled.to_numpy())


# ---- the three sets ----------------------------------------------------------------------------------------


def training(path: str | Path, names: Sequence[str]) -> Choices:
    """Read the answers to train on: ``trainset.txt``, or nine tenths of the table of all answers.

    The table's triplets are split by a number made of their three objects in any order: all answers to a
    triplet are on one side, the same in every edition of the table.

    Raises:
        HumalignError: see `triplets` and `answers`; or a file of the repeated triplets.
    """
    return _asked_once(path, names, validating=False)


def validation(path: str | Path, names: Sequence[str]) -> Choices:
    """Read the answers to validate with: ``validationset.txt``, or the tenth that `training` leaves."""
    return _asked_once(path, names, validating=True)


def repeated(path: str | Path, names: Sequence[str]) -> Choices:
    """Read the repeated triplets, a row each: ``test_triplets.csv``, or 1 as ``noise_ceiling`` in the table.

    Raises:
        HumalignError: see `answers`; or a file of answers to triplets that were asked once.
    """
    if _layout(path) == SPLIT:
        where = f"the repeated ones are in test_triplets.csv, or {PART} 1 in the table of all answers"
        raise HumalignError(f"{path} holds {SPLIT}: answers to triplets asked once; {where}")
    found = answers(path, names, people=False)
    if found.part is None:
        return found.repeated()
    rows = found.part == REPEATED
    if not rows.any():
        raise HumalignError(f"{path}: no answer with {PART} {REPEATED}, the repeated triplets: {AGAIN}")
    return Answers(found.triplets[rows], found.odd[rows]).repeated()


def order(path: str | Path) -> Order:
    """Return the order of the objects in a file of answers: an older one in the public repeated triplets.

    That file has five columns and, in github.com/LukasMut/VICE, no header; no other published one is so.
    """
    layout = _layout(path)
    return OLD if layout == LISTED or (layout == TABLE and PART not in _first(path)) else UNIQUE


def _asked_once(path: str | Path, names: Sequence[str], validating: bool) -> Choices:
    if _layout(path) == SPLIT:
        return triplets(path, len(names))
    found = answers(path, names, people=False)
    if found.part is None:
        what = f"{len(found):,} answers without a column {PART!r}: the repeated triplets"
        where = "in trainset.txt, validationset.txt, or the table of all answers"
        raise HumalignError(f"{path} holds {what}; those asked once are {where}")
    rows = (found.part == ONCE) & (_for_validation(found.triplets) == validating)
    if not rows.any():
        use = "validate with" if validating else "train on"
        raise HumalignError(f"{path}: no answer with {PART} {ONCE} to {use}: {AGAIN}")
    return found.choices(rows)


def _for_validation(triplets: Int[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Tell which triplets are for validation, by SplitMix64 of their ascending objects.

    Source: Steele, Lea, Flood (2014), Fast splittable pseudorandom number generators.
    """
    packed = np.sort(triplets, axis=1) @ np.array([1 << 40, 1 << 20, 1])
    mixed = packed.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))) % np.uint64(VALIDATION) == 0


# ---- the layouts -------------------------------------------------------------------------------------------


def triplets(path: str | Path, objects: int | None = None) -> Choices:
    """Read three 0-based indices a line, the odd one last, between blanks or commas, or an ``.npy`` of these.

    Raises:
        HumalignError: not three whole numbers in a line, an index outside 0..objects-1, one object twice in a
            line, or a last line without an end; in many answers, none about the first object.

    Source: ``trainset.txt`` and ``validationset.txt`` of osf.io/f5rn6; ``train_90.npy`` and ``test_10.npy``
    of github.com/LukasMut/VICE.
    """
    found = whole_numbers(path, 3) if Path(path).suffix.lower() == ".npy" else datafiles.integers(path, 3)
    check_indices(found, objects, 0, functools.partial(line_of, path))
    if len(found) >= MANY and found.min() > 0:
        said = f"no index 0 in {len(found):,} answers; are these 1-based?"
        raise HumalignError(f"{path}: {said} Subtract 1 from each, or {AGAIN}")
    return Choices(found, np.tile(np.array([1, 0, 0]), (len(found), 1)))


def answers(path: str | Path, names: Sequence[str], people: bool = True, own: bool = False) -> Answers:
    """Read a table between tabs, commas or semicolons.

    Its columns are ``image1`` to ``image3``, 1-based; ``choice``, the place (1 to 3) of the odd one; and
    perhaps ``subject_id``. With a header, as in the table of all answers, these are found by name, and others
    are ignored. Without one, as in the public file of repeated triplets, they are the five columns.

    Args:
        names: ids of the objects.
        people: read who answered, too, which takes as long again as all else.
        own: images are numbered in the order of ``names``, which are none of the THINGS objects.

    Raises:
        HumalignError: no such column, a cell that is no number, an image outside 1..objects or twice in a
            line, a choice outside 1..3, a ``noise_ceiling`` outside 0..3, or a last line without an end.

    Source: ``triplets_large_final_correctednc_correctedorder.csv`` of osf.io/f5rn6;
    ``data/test_triplets.csv`` of github.com/LukasMut/VICE.
    """
    layout = _layout(path)
    if layout == SPLIT:
        header = f"or a header ({', '.join(SHOWN)}, choice)"
        raise HumalignError(f"{path}: {SPLIT}, instead of 5 columns, {header}: {AGAIN}")
    listed = layout == LISTED
    table = _table(path, listed, people)
    at = functools.partial(line_of, path, header=int(not listed))
    shown, choice = table[list(SHOWN)].to_numpy(), table["choice"].to_numpy()
    part = table[PART].to_numpy() if PART in table else None
    check_indices(shown, len(names), 1, at)
    if (row := first((choice < 1) | (choice > 3))) is not None:
        raise HumalignError(f"{at(row)}: choice {choice[row]}; expected the place of the odd one: 1, 2 or 3")
    if part is not None and (row := first((part < 0) | (part > 3))) is not None:
        raise HumalignError(f"{at(row)}: {PART} {part[row]}; expected 0, 1, 2 or 3")
    person = pd.factorize(table["subject_id"])[0].astype(np.int64) if "subject_id" in table else None
    # The file's row of each object, inverted: which object stands in the file's row.
    objects = np.arange(len(names)) if own else np.argsort(rows_in(names, order(path)))
    return Answers(objects[shown - 1], choice - 1, person, part)


def _layout(path: str | Path) -> str:
    """Tell the layouts apart by the first line."""
    if Path(path).suffix.lower() == ".npy":
        return SPLIT
    cells = _first(path)
    if any(name in cells for name in (*SHOWN, "choice", "subject_id")):
        return TABLE
    return SPLIT if separator_of(path) is None or len(cells) == 3 else LISTED if len(cells) == 5 else TABLE


def _first(path: str | Path) -> list[str]:
    return next(lines(path, separator_of(path)))[1]


def _table(path: str | Path, listed: bool, people: bool) -> pd.DataFrame:
    """Read the columns that are needed; of a faulty file, find the first faulty line."""
    separator, needed = separator_of(path), [*SHOWN, "choice"]
    header = [*needed, "subject_id"] if listed else _first(path)
    # Identifiers are text: 7, 07 and 007 are three people.
    kinds = dict.fromkeys([*needed, PART], WHOLE) | ({"subject_id": NAME} if people or listed else {})
    wanted = {name: kind for name, kind in kinds.items() if name in needed or name in header}
    if separator != "\t":  # cells may be quoted: line by line
        table = pd.DataFrame(list(_rows(path, listed, wanted)), columns=list(wanted), dtype=object)
        check_ended(path)
        return table.astype({name: np.int64 for name, kind in wanted.items() if kind == WHOLE})
    types = {name: str if kind == NAME else np.int64 for name, kind in wanted.items()}
    table, sound = pd.DataFrame(), False
    plain: dict[str, Any] = {"quoting": csv.QUOTE_NONE, "keep_default_na": False, "na_filter": False}
    plain |= {"header": None, "names": header} if listed else {"header": 0}
    with contextlib.suppress(ValueError, OverflowError):
        table = pd.read_csv(path, sep="\t", usecols=list(wanted), dtype=types, **plain)
        sound = datafiles.even(path, len(header))
        sound &= "subject_id" not in table or bool(table["subject_id"].str.strip().ne("").all())
    if not sound or table.empty or any(header.count(name) > 1 for name in wanted):
        raise datafiles.at_fault(path, _rows(path, listed, wanted))
    check_ended(path)
    if "subject_id" in table:
        table["subject_id"] = table["subject_id"].str.strip(" ")
    return table


def _rows(path: str | Path, listed: bool, kinds: dict[str, str]) -> Iterator[list[str]]:
    """Yield the cells of each line, each of its kind: all of them, or below a header those of these names."""
    separator = separator_of(path)
    if not listed:
        yield from (cells for _, cells in datafiles.named(path, kinds, separator))
        return
    for line, cells in lines(path, separator, len(kinds)):
        yield [of_kind(path, line, cell, kind) for cell, kind in zip(cells, kinds.values(), strict=True)]


def _kept(odd: Int[np.ndarray, " n"]) -> Int64[np.ndarray, "n 3"]:
    # Pairs are listed as (ij, ik, jk): the odd one in place 2, 1, 0 leaves pair 0, 1, 2.
    return np.eye(3, dtype=np.int64)[2 - odd]
