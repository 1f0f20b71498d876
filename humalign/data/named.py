"""Sets of pictures, and files, by a name that says where they are from; no registry lists them.

``torchvision:NAME[/SPLIT]`` and ``hf:OWNER/NAME[/SPLIT]`` are sets that a library brings (see `labelled_sets`),
``folder:PATH`` is a folder of pictures, with class folders or without, or a .zip of one, and ``file:PATH`` one file
of somebody's own. A path is relative to the folder where the command runs.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from humalign.artefacts import sha256
from humalign.data import hub_sets, labelled_sets, listing, registry
from humalign.data.images import FolderImages, ImageSet, ZipImages
from humalign.errors import HumalignError

# Characters of a name that the name of a file keeps.
KEPT = 48
# What is known to be here, by its name and the data folder; a set of a library takes a while to be opened.
_HERE: dict[tuple[str, Path], Path] = {}


def pictures(name: str, labelled: bool = False, fetch: bool = False) -> ImageSet:
    """Return a set by its name; ``file`` in its labels is unique, ``class`` is there where pictures have classes.

    Args:
        name: ``torchvision:``, ``hf:`` or ``folder:`` and what follows.
        labelled: whether every picture must have a class.
        fetch: download it where it is not here.

    Raises:
        HumalignError: there is none of that name, it is not here, it is empty, or two pictures have one name.
    """
    library, _, rest = name.partition(":")
    if library == "folder":
        path = locate(name)
        found: ImageSet = (
            labelled_sets.find(str(path))
            if labelled
            else ZipImages(path)
            if path.is_file()
            else FolderImages(path)
        )
    elif library == "file":
        raise HumalignError(f"{name} is a file, not a set of pictures: write folder:PATH")
    else:
        found = _library(name)(name, rest, fetch=fetch, labelled=labelled)
    return found


def _library(name: str) -> Callable[..., ImageSet]:
    library = name.partition(":")[0]
    if library not in labelled_sets.LIBRARIES:
        raise HumalignError(f"no set {name!r}: write folder:PATH, torchvision:NAME/SPLIT or hf:OWNER/NAME/SPLIT")
    return labelled_sets.LIBRARIES[library]


def locate(name: str) -> Path:
    """Return where a set or a file lies on this machine.

    Raises:
        HumalignError: it is not here; the command that brings it is named.
    """
    library, _, rest = name.partition(":")
    path = Path(rest).expanduser()
    if library in ("folder", "file"):
        if not (path.is_file() or (library == "folder" and path.is_dir())):
            raise HumalignError(f"no {library} at {path}: is the path right, seen from {Path.cwd()}?")
        return path
    key = name, registry.data_folder()
    if key not in _HERE:
        _library(name)(name, rest, fetch=False, labelled=False)
        folder = (
            registry.data_folder() / "torchvision"
            if library == "torchvision"
            else hub_sets.folder_of(name, rest)
        )
        _HERE[key] = folder or registry.data_folder()
    return _HERE[key]


def fetch(name: str) -> Path:
    """Return where a set or a file lies, downloaded where it is missing and can be."""
    if name.partition(":")[0] in labelled_sets.LIBRARIES:
        pictures(name, fetch=True)
    return locate(name)


def identity(name: str) -> Any:
    """Return what tells the contents of a set or a file from any other; of a folder the names, sizes and times of its files.

    A set that a library downloaded and checked is told by its name and by how many pictures it has.
    """
    path, library = locate(name), name.partition(":")[0]
    if path.is_file():
        return sha256(path)
    if library == "torchvision" or (library == "hf" and hub_sets.cached(path)):
        return name, len(pictures(name))
    found = [(file.stat(), file.relative_to(path).as_posix()) for file in listing.everything(path)]
    lines = (f"{at.st_size} {at.st_mtime_ns} {of}\n" for at, of in found)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def file_name(name: str) -> str:
    """Return what files that are made of a set are called: its registered name, or a short form of any other with a checksum."""
    if not registry.is_named(name):
        return name
    short = re.sub(r"[^A-Za-z0-9.]+", "-", name)[-KEPT:].strip("-")
    return f"{short}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def twice(*folders: FolderImages) -> list[tuple[Path, Path]]:
    """Return pictures of some folders whose files are the same, each with the first of its kind."""
    by_size: dict[int, list[Path]] = defaultdict(list)
    for images in folders:
        for path in images.paths:
            by_size[path.stat().st_size].append(path)
    found: list[tuple[Path, Path]] = []
    for paths in by_size.values():
        first: dict[str, Path] = {}
        for path in paths if len(paths) > 1 else ():
            kept = first.setdefault(sha256(path), path)
            if kept is not path:
                found.append((kept, path))
    return found
