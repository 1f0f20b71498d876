"""Labelled sets of the Hugging Face hub, or of a folder that its library saved."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from humalign.data import listing, registry
from humalign.data.decoding import open_image
from humalign.data.images import ImageSet
from humalign.data.registered_sets import one_line
from humalign.data.torchvision_sets import FIRST_SPLITS, named, numbered
from humalign.errors import HumalignError, nearest

# What columns of classes in words are called, where a set has several columns of text.
CLASS_COLUMNS = ("label", "labels", "class", "class_name", "label_name", "category")


class HubImages(ImageSet):
    """Pictures of a set of the library ``datasets``, by its one column of pictures and its one of classes.

    Classes are numbers with names (ClassLabel), or words, in the one column of text or one called ``label``.

    Args:
        name: in messages.
        labelled: whether the classes are needed; without them pictures are named by their places.

    Raises:
        HumalignError: none or several such columns; a damaged picture is told when it is read.
    """

    def __init__(self, name: str, rows: Any, labelled: bool = True) -> None:
        import datasets

        self.name, self._column = name, _column(name, rows, datasets.Image, "pictures (Image)")
        label = _classes(name, rows) if labelled else ""
        # Decoded here, so that a picture is the same whichever way it comes.
        self.rows = rows.cast_column(self._column, datasets.Image(decode=False))
        if labelled:
            cells, names = rows.select_columns([label])[label], getattr(rows.features[label], "names", None)
            self.labels = _labels(name, cells, names)
        else:
            self.labels = pd.DataFrame({"file": [f"{place:07}" for place in range(len(rows))]})

    def __getitem__(self, index: int) -> Image.Image:
        with one_line(f"picture {index} of {self.name}", "fetch the set again"):
            file = self.rows[index][self._column] or {}
        if not file.get("bytes") and not file.get("path"):
            raise HumalignError(f"{self.name} has no picture in row {index}: take the row out")
        source = io.BytesIO(file["bytes"]) if file.get("bytes") else file["path"]
        return open_image(source, f"{index} of {self.name}")


def _classes(name: str, rows: Any) -> str:
    """Return the column of classes: of numbers with names, else of text."""
    import datasets

    kinds = {column: getattr(feature, "dtype", "") for column, feature in rows.features.items()}
    text = [column for column, kind in kinds.items() if kind in ("string", "large_string")]
    if any(isinstance(feature, datasets.ClassLabel) for feature in rows.features.values()) or not text:
        return _column(name, rows, datasets.ClassLabel, "classes (ClassLabel)")
    found = [column for column in text if column.lower() in CLASS_COLUMNS] or text
    if len(found) != 1:
        mend = "keep the classes in one called label, and write hf:FOLDER"
        raise HumalignError(f"{name} has several columns of text, {', '.join(found)}: {mend}")
    return found[0]


def _labels(name: str, cells: Sequence[Any], classes: Sequence[str] | None) -> pd.DataFrame:
    if classes is not None:
        return named(name, np.array([-1 if each is None else each for each in cells], dtype=int), classes)
    if empty := sum(not (each or "").strip() for each in cells):
        raise HumalignError(f"{name} has {empty} pictures without a class: name another split")
    return numbered([listing.plain(each.strip()) for each in cells])


def _column(name: str, rows: Any, kind: type, what: str) -> str:
    found = [column for column, feature in rows.features.items() if isinstance(feature, kind)]
    if len(found) != 1:
        there = ", ".join(f"{column} ({type(feature).__name__})" for column, feature in rows.features.items())
        said = f"several columns of {what}, {', '.join(found)}" if found else f"no column of {what}"
        mend = "save it with one (save_to_disk), and write hf:FOLDER"
        raise HumalignError(f"{name} has {said}; its columns are {there}: {mend}")
    return found[0]


def find(name: str, rest: str, fetch: bool = True, labelled: bool = True) -> ImageSet:
    """Return a set of the hub: from the folder ``hf/OWNER/NAME`` of the data folder, else from its library.

    Args:
        rest: ``OWNER/NAME``, ``OWNER/NAME/SPLIT``, or a folder in place of ``OWNER/NAME``.
        fetch, labelled: download it where it is not here; whether its pictures must have classes.
    """
    try:
        import datasets
    except ImportError:
        raise HumalignError(f"{name} needs the library datasets: pip install datasets") from None
    place, split = _place(name, rest)
    if not fetch and folder_of(name, rest) is None:
        raise HumalignError(f"{name} is not here: humalign fetch {name}")
    saved = any((Path(place) / each).is_file() for each in ("dataset_dict.json", "state.json"))
    local = "write hf:FOLDER of a set that is on this machine"
    mend = f"is the name right? else connect to the network, or {local}"
    with one_line(name, mend), contextlib.redirect_stdout(sys.stderr):
        found = datasets.load_from_disk(place) if saved else datasets.load_dataset(place)
    if isinstance(found, datasets.Dataset):
        found = {str(found.split or "all"): found}
    if split and split not in found:
        raise HumalignError(f"{name} has no split {split!r}: {nearest(split, found)}")
    chosen = split or next((each for each in FIRST_SPLITS if each in found), next(iter(found)))
    return HubImages(name, found[chosen], labelled)


def folder_of(name: str, rest: str) -> Path | None:
    """Return the folder that a set is read from: a named one, the data folder's, or the library's cache."""
    place, _ = _place(name, rest)
    return next((path for path in (Path(place), _cache() / place.replace("/", "___")) if path.is_dir()), None)


def cached(folder: Path) -> bool:
    """Tell whether a folder is the library's own copy of a set of the hub."""
    return folder.is_relative_to(_cache())


def _cache() -> Path:
    import datasets

    return Path(datasets.config.HF_DATASETS_CACHE)


def _place(name: str, rest: str) -> tuple[str, str]:
    """Return the folder or the hub's OWNER/NAME, and the split behind it."""
    folder = Path(rest).expanduser()
    if folder.is_dir():
        return str(folder), ""
    if folder.parent.is_dir() and folder.parent != Path():
        return str(folder.parent), folder.name
    parts = rest.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise HumalignError(f"{name}: write hf:OWNER/NAME, hf:OWNER/NAME/SPLIT or hf:FOLDER")
    owned = "/".join(parts[:2])
    return str(registry.find(f"hf/{owned}") or owned), "".join(parts[2:])
