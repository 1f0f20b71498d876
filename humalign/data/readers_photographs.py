"""Photographs of the THINGS objects, found by the objects' ids."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from humalign.data import listing
from humalign.errors import HumalignError

# The ending of the name of a photograph that people judged, before the ending of a picture's file.
JUDGED = "_01b"
ENDINGS = listing.SUFFIXES


def things_photographs(
    folder: str | Path, names: Sequence[str]
) -> tuple[list[Path], Int64[np.ndarray, " n"]]:
    """Find the photographs that a folder holds of the objects, one each: ``aardvark.jpg`` is of the object of
    that id.

    What systems leave beside pictures, and files that are no pictures, are passed over. A folder inside of
    the same name, which some programs make when they unpack, is looked into.

    Args:
        names: ids of the objects.

    Returns:
        Paths and 0-based rows among ``names``, ascending by row.

    Raises:
        HumalignError: no photograph, one that is named after no object, or two of one object.
    """
    pictures = listing.right_in(_unpacked(folder))
    if not pictures:
        raise HumalignError(
            f"{folder} holds no photograph: expected files such as {names[0]}.jpg ({listing.SAID})"
        )
    row_of, found = {name: row for row, name in enumerate(names)}, dict[int, Path]()
    for path in pictures:
        stem = listing.plain(path.stem)
        if stem not in row_of:
            raise HumalignError(
                f"{path}: {stem!r} is no id of unique_id.txt: take the file out, or name it by its object's "
                "id"
            )
        other = found.setdefault(row_of[stem], path)
        if other != path:
            raise HumalignError(
                f"{path}: a second photograph of {stem}, beside {other.name}: take one of them out"
            )
    rows = sorted(found)
    return [found[row] for row in rows], np.array(rows, dtype=np.int64)


@dataclasses.dataclass(frozen=True)
class ReferencePhotographs:
    """One photograph of each object: the one that people judged, or another where that is not public.

    Attributes:
        paths: of the photographs, in the order of the objects.
        judged: whether it is the one that people judged.
    """

    paths: list[Path]
    judged: Bool[np.ndarray, " objects"]


def reference_photographs(folder: str | Path, names: Sequence[str]) -> ReferencePhotographs:
    """Find the photographs that people judged, ``ID/ID_01b.jpg``; 191 of 1,854 were withheld.

    In place of a withheld one stands the first other photograph of the object by name.

    Args:
        names: ids of the objects.

    Raises:
        HumalignError: no judged photograph at all, or an object without any photograph.
    """
    folder, paths, judged = _unpacked(folder), list[Path](), list[bool]()
    for name in names:
        of_object = listing.right_in(folder / name)
        shown = next((path for path in of_object if path.stem == f"{name}{JUDGED}"), None)
        if not of_object:
            neither = f"neither {name}/{name}{JUDGED}.jpg nor another"
            raise HumalignError(f"{folder}: no photograph of {name}, {neither}: unpack the archive again")
        paths.append(shown or of_object[0])
        judged.append(shown is not None)
    if not any(judged):
        raise HumalignError(
            f"{folder}: no photograph that people judged, such as {names[0]}/{names[0]}{JUDGED}.jpg: is "
            "this another set?"
        )
    return ReferencePhotographs(paths, np.array(judged))


def _unpacked(folder: str | Path) -> Path:
    """Return the folder of the same name inside a folder, if there is one, or else the folder."""
    inside = Path(folder) / Path(folder).name
    return inside if inside.is_dir() else Path(folder)
