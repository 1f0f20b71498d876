"""What an audit finds, and the check of names: do a triplet file's fit its indices, and both the image list?

A file of ten million triplets names thirty million images, a million different ones. Names are read in blocks
of rows and compared with a table of the first name of each index: nothing is sorted, and no block is kept.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from humalign.data.listing import plain
from humalign.errors import HumalignError, expect
from humalign.triplets.layout import Names, blocks_of

# A table up to the largest index may be so many times as long as the indices; sparser ones are sorted first.
SPARSEST = 4


@dataclasses.dataclass(frozen=True)
class Finding:
    """One check of a file: what was looked at, whether it holds, and what was seen."""

    check: str
    ok: bool
    seen: str


def rows_that(fail: str, failing: Bool[np.ndarray, " n"]) -> str:
    """Say how many rows fail, and which is the first; there is one."""
    rows = np.flatnonzero(failing)
    return f"{len(rows):,} rows {fail}, first is row {rows[0]}"


def none(check: str, failing: Bool[np.ndarray, " n"], fail: str = "fail") -> Finding:
    """Report a check that no row may fail."""
    seen = rows_that(fail, failing) if failing.any() else "all rows"
    return Finding(check, not failing.any(), seen)


def as_names(names: Iterable[Any], images: int | None = None) -> np.ndarray:
    """Return file names as one array of text or bytes, from a list, a column of a table, or paths.

    Raises:
        HumalignError: a missing name, one that is no text, or names of another number of images.
    """
    expect("names", names, Iterable, "a file name for each image, in their order")
    found = names if isinstance(names, np.ndarray) else np.array(list(names), dtype=object)
    if found.dtype.kind not in "SU":
        for place, name in enumerate(found.ravel()):
            if not isinstance(name, (str, bytes, os.PathLike)):
                raise HumalignError(f"name {place} of the images is missing or no text: {name!r}")
        paths = [os.fspath(name) for name in found.ravel()]
        if len({type(path) for path in paths}) > 1:
            paths = [os.fsdecode(path) for path in paths]
        kind = bytes if paths and isinstance(paths[0], bytes) else str
        found = np.array(paths, dtype=kind).reshape(found.shape)
    if found.ndim != 1 or images not in (None, len(found)):
        seen = f"names of shape {found.shape} for {'the' if images is None else f'{images:,}'} images"
        raise HumalignError(f"{seen}: give one an image, in their order")
    return found


def check(
    indices: Int[np.ndarray, "n 3"], filenames: Names, names: np.ndarray | None = None
) -> list[Finding]:
    """Check names against indices, and against the names of the image list where they are given."""
    low, high = int(indices.min()), int(indices.max())
    if low < 0 or high > SPARSEST * indices.size:
        found, places = np.unique(indices, return_inverse=True)
        places = places.reshape(indices.shape)
    else:
        found, places = np.arange(high + 1), indices
    table, seen, wrong = _first_names(places, filenames, len(found))
    used, said = found[seen], table[seen]
    several = not wrong.any() and len(np.unique(said)) < len(said)
    what = "file names against indices"
    findings = [Finding(what, False, "one name stands for several indices") if several else none(what, wrong)]
    if names is not None and low >= 0:
        findings.append(_against_list(used, said, _like(names, said)))
    return findings


def _first_names(places: np.ndarray, filenames: Names, size: int) -> tuple[np.ndarray, ...]:
    """Return the first name of each place, which places have one, and which rows have another."""
    table, seen, wrong = np.zeros(size, filenames.dtype), np.zeros(size, bool), np.zeros(len(places), bool)
    for rows, block in zip(blocks_of(len(places)), filenames.blocks(), strict=True):
        place, name = places[rows].ravel(), block.ravel()
        new = np.flatnonzero(~seen[place])[::-1]  # backwards, so that of several names the first stays
        table[place[new]], seen[place[new]] = name[new], True
        wrong[rows] = (table[place] != name).reshape(-1, 3).any(1)
    return table, seen, wrong


def _like(names: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return names as bytes where the others are, else as text."""
    if names.dtype.kind == others.dtype.kind:
        return names
    # Names that are not UTF-8 keep their bytes.
    if others.dtype.kind == "S":
        return np.strings.encode(names, "utf-8", "surrogateescape")
    return np.strings.decode(names, "utf-8", "surrogateescape")


def _against_list(used: np.ndarray, said: np.ndarray, names: np.ndarray) -> Finding:
    """Compare the names of the used indices with the list's, and say which mistake explains a difference."""
    what = "file names against the image list"
    listed = _at(names, used)
    differ = np.flatnonzero(listed != said)
    if not len(differ):
        return Finding(what, True, f"all {len(used):,} images that occur")
    if all(_plain(listed[place]) == _plain(said[place]) for place in differ):
        how = "differ in blanks around the name, a byte order mark or the form of an accent"
        return Finding(what, True, f"all {len(used):,} images that occur; {len(differ):,} of them {how}")
    here, there = (_text(given[differ[0]]) for given in (said, listed))
    example = f"index {used[differ[0]]} is {here!r} in the file, {there!r} in the list"
    reason = _mistake(used, said, names) or f"{len(differ):,} of {len(used):,} images differ"
    return Finding(what, False, f"{reason}: {example}")


def _mistake(used: np.ndarray, said: np.ndarray, names: np.ndarray) -> str:
    """Return why the names of these indices differ from the list's; nothing where that is not known."""
    if (_at(names, used - 1) == said).all():
        return "indices look 1-based, names match the list shifted by one"
    known = np.isin(said, names)
    if not known.any():
        return "another list, none of the file's names is in it (val for train?)"
    return "the list has the file's names at other places (sorted otherwise?)" if known.all() else ""


def _at(names: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the names at places, empty where a place is outside the list."""
    inside = (places >= 0) & (places < len(names))
    return np.where(inside, names[np.where(inside, places, 0)], names.dtype.type())


def _text(name: np.bytes_ | np.str_) -> str:
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name)


def _plain(name: np.bytes_ | np.str_) -> str:
    """Return a name as image sets and pixel stores keep it, without byte order mark and blanks around it."""
    return plain(_text(name).removeprefix("\ufeff").strip())
