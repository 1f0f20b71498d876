"""Sets of pictures, and files, by a name that says where they are from; no registry lists them.

``torchvision:NAME[/SPLIT]`` (``torchvision:DTD/val``) and ``hf:OWNER/NAME[/SPLIT]`` are sets that a library
brings. In place of OWNER/NAME may stand a folder of this machine that the library ``datasets`` saved, or that
holds Parquet files. Without a split, the pictures for testing are taken, else those for validation, else what
the library takes. A set of torchvision is looked for in ``torchvision/NAME`` of the data folder, then in
``torchvision`` itself; the hub's library has its own cache. ``folder:PATH`` is a folder of pictures, with
class folders or without, or a .zip of one; ``file:PATH`` is one file of somebody's own. A path is relative to
the folder where the command runs.

No picture is decoded before it is asked for, where its class can be had without.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from humalign.artefacts import sha256
from humalign.data import hub_sets, listing, registry, torchvision_sets
from humalign.data.images import FolderImages, ImageSet, ZipImages
from humalign.errors import HumalignError

FORMS = "name a folder of class folders, a .zip of one, torchvision:NAME[/SPLIT] or hf:OWNER/NAME[/SPLIT]"
LIBRARIES: dict[str, Callable[..., ImageSet]] = {"torchvision": torchvision_sets.find, "hf": hub_sets.find}
# Characters of a name that the name of a file keeps.
KEPT = 48
# What is known to be here, by its name and the data folder; a set of a library takes a while to be opened.
_HERE: dict[tuple[str, Path], Path] = {}


def pictures(name: str, labelled: bool = False, fetch: bool = False) -> ImageSet:
    """Return a set by its name; its labels have unique ``file``, and ``class`` where pictures have classes.

    Args:
        name: ``torchvision:``, ``hf:`` or ``folder:`` and what follows.
        labelled: whether every picture must have a class.
        fetch: download it where it is not here.

    Raises:
        HumalignError: there is none of that name, it is not here, it is empty, or two pictures have one name.
    """
    library, _, rest = name.partition(":")
    if library in LIBRARIES:
        return LIBRARIES[library](name, rest, fetch=fetch, labelled=labelled)
    if library == "file":
        raise HumalignError(f"{name} is a file, not a set of pictures: write folder:PATH")
    if library != "folder":
        raise HumalignError(_unknown(name))
    path = locate(name)
    return find(str(path)) if labelled else ZipImages(path) if path.is_file() else FolderImages(path)


def find(name: str) -> ImageSet:
    """Return a labelled set by a path or a library's name; ``class`` in its labels is each picture's class.

    Args:
        name: a path, ``torchvision:NAME[/SPLIT]`` or ``hf:OWNER/NAME[/SPLIT]``; of a folder in an archive
            ``pets.zip/train``.

    Raises:
        HumalignError: there is none of that name or split, it cannot be had, its pictures have no one class
            each, or it holds splits.
    """
    library, _, rest = name.partition(":")
    if library in LIBRARIES and rest:
        return LIBRARIES[library](name, rest)
    path = Path(name).expanduser()
    archive = next((each for each in (path, *path.parents) if each.is_file()), None)
    if not (path.is_dir() or archive):
        raise HumalignError(f"no labelled set {name!r}: {FORMS}")
    inside = path.relative_to(archive).as_posix() if archive else ""
    images: ImageSet = ZipImages(archive, inside) if archive else FolderImages(path)
    if splits := listing.splits([listing.parts_of(file) for file in images.labels["file"]]):
        those = ", ".join(str(path / each) for each in splits)
        raise HumalignError(f"{name} holds splits, not classes: name one of {those}")
    return images


def short(name: str) -> str:
    """Return what a set is called in tables: of a path its last part without ``.zip``, else the name."""
    path = Path(name).expanduser()
    return path.resolve().name.removesuffix(".zip") if path.exists() else name


def _unknown(name: str) -> str:
    return f"no set {name!r}: write folder:PATH, torchvision:NAME/SPLIT or hf:OWNER/NAME/SPLIT"


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
        if library not in LIBRARIES:
            raise HumalignError(_unknown(name))
        LIBRARIES[library](name, rest, fetch=False, labelled=False)
        found = hub_sets.folder_of(name, rest) if library == "hf" else registry.data_folder() / "torchvision"
        _HERE[key] = found or registry.data_folder()
    return _HERE[key]


def fetch(name: str) -> Path:
    """Return where a set or a file lies, downloaded where it is missing and can be."""
    if name.partition(":")[0] in LIBRARIES:
        pictures(name, fetch=True)
    return locate(name)


def identity(name: str) -> Any:
    """Return what tells the contents of a set or a file from any other.

    A set that a library downloaded and checked is told by its name and its number of pictures, a folder by
    the names, sizes and times of its files.
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
    """Return what files made of a set are called: its registered name, or a short form and a checksum."""
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
