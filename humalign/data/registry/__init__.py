"""Where every picture, weight file and judgment comes from: home, licence, gate, checksum and place here.

Entries are data. A source is of one of these kinds:

- ``package`` (``packages.yaml``): a file inside a Python package, so that the demo needs no network;
- ``data`` (``data.yaml``, ``models.yaml``): below the folder of HUMALIGN_DATA, or that of HUMALIGN_MIRROR;
- ``hub``: a model of the Hugging Face hub; ``imagenet``: the user's own copy of that data set;
- ``named``: in no file of the registry, as its name says where it is from (`humalign.data.named`).

Which of them a profile reads is said by its steps, and nowhere else.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from humalign.artefacts import sha256
from humalign.data.listing import everything as everything_below
from humalign.data.registry.entries import DATA, IMAGENET, NAMED, File, Source, data_folder, is_named
from humalign.errors import HumalignError, nearest

MIRROR, WEIGHTS = "HUMALIGN_MIRROR", "HUMALIGN_WEIGHTS"
__all__ = ["DATA", "IMAGENET", "MIRROR", "NAMED", "WEIGHTS", "File", "Source", "data_folder", "is_named"]
BY_HAND = f"or put the weights into the folder that {WEIGHTS} names"
# Checksums of files that the registry has none of, taken when they first came, as sha256sum writes them.
PINS = "pins.txt"
FILES = ("packages.yaml", "data.yaml", "models.yaml")
# Sources that this process asked for, by which a run checks that each step declares what it reads.
LOCATED: set[str] = set()


@functools.cache
def everything() -> dict[str, Source]:
    """Return every source, by name."""
    return {name: entry for file in FILES for name, entry in _read(file).items()}


def packages() -> dict[str, Source]:
    """Return every source that a Python package brings, by name."""
    return {name: entry for name, entry in everything().items() if entry.kind == "package"}


def source(name: str) -> Source:
    """Return one registered source, or what stands for a set or a file that is named by where it is from."""
    known = everything()
    library, _, rest = name.partition(":")
    if is_named(name) and not NAMED[library]:
        what = "pictures" if library == "folder" else "a file"
        return Source(name, f"{what} of one's own, {Path(rest).name}", "this machine", "your own", "-", rest)
    if is_named(name):
        home, stated = NAMED[library] + (f"/{rest}" if library == "hf" else ""), "as its home states"
        return Source(name, f"the pictures of {name}", home, stated, stated, rest, url=name)
    if name not in known:
        raise HumalignError(f"unknown source {name!r}: {nearest(name, known)}")
    return known[name]


def find(path: str) -> Path | None:
    """Return where a file or folder of the data lies: in the data folder, else in the mirror, else None."""
    mirror = os.environ.get(MIRROR)
    folders = [data_folder(), *([Path(mirror).expanduser()] if mirror else [])]
    return next((folder / path for folder in folders if _something(folder / path)), None)


def _something(path: Path) -> bool:
    """Tell whether a file is there, or a folder that holds something."""
    return any(path.iterdir()) if path.is_dir() else path.exists()


def locate(name: str) -> Path:
    """Return where a source lies on this machine: the first of its places where something is.

    Raises:
        HumalignError: it is missing, or a file of a package is not the one that the package brings.
    """
    entry = source(name)
    LOCATED.add(name)
    return LOCATE[entry.kind](entry)


def _data(entry: Source) -> Path:
    for place in (entry.path, *entry.also):
        path = find(place)
        if path is not None and all(find(f"{place}/{part}") is not None for part in entry.parts):
            return path
    looked = f"(looked for {entry.path} in {data_folder()})"
    raise HumalignError(f"{entry.what} are missing: {entry.command} {looked}")


def _packaged(entry: Source) -> Path:
    try:
        installed = version(str(entry.package))
    except PackageNotFoundError:
        raise HumalignError(f"{entry.what} is missing: {entry.command}") from None
    path = Path(str(files(str(entry.module)))) / entry.path
    if not path.exists():
        mend = f"{entry.command} --force-reinstall"
        raise HumalignError(f"{entry.what}: no {path} in {entry.package} {installed}: {mend}")
    if entry.sha256 and (path.stat().st_size != entry.size or digest_of(path) != entry.sha256):
        raise HumalignError(f"{entry.what} is corrupt ({path}): {entry.command} --force-reinstall --no-deps")
    return path


def _imagenet(entry: Source) -> Path:
    named = os.environ.get(IMAGENET)
    folder = Path(named).expanduser() if named else None
    for path in [folder / part for part in (entry.path, entry.archive) if part] if folder else []:
        if _something(path):
            return path
    looked = f" (looked in {folder})" if folder else ""
    raise HumalignError(f"{entry.what} are missing: {entry.command}{looked}")


def _hub(entry: Source) -> Path:
    from huggingface_hub import try_to_load_from_cache

    folder = Path(os.environ.get(WEIGHTS) or os.devnull).expanduser()
    for name in (entry.name.removesuffix("-weights"), str(entry.hub).rpartition("/")[2]):
        for path in (folder / name, *sorted(folder.glob(f"{name}.*"))):
            if path.exists():
                return path
    found = try_to_load_from_cache(str(entry.hub), entry.path)
    if not isinstance(found, str):
        raise HumalignError(f"{entry.what} are missing: {entry.command}; {BY_HAND}")
    return Path(found)


def _named(entry: Source) -> Path:
    from humalign.data import named  # which reads by this module

    return named.locate(entry.name)


LOCATE: dict[str, Callable[[Source], Path]] = {"data": _data, "package": _packaged, "imagenet": _imagenet}
LOCATE |= {"hub": _hub, "named": _named}


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder, that of what ``sha256sum`` lists of the files below it.

    Links to folders are followed, and hidden files are left out. A file is read again only when its size or
    its time has changed.
    """
    if path.is_dir():
        below = everything_below(path)
        lines = (f"{digest_of(file)}  {file.relative_to(path).as_posix()}\n" for file in below)
        return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@functools.cache
def _digest(path: Path, size: int, changed: int) -> str:
    return sha256(path)


def identity(name: str) -> Any:
    """Return what tells a source's contents from others, for the keys of steps; None where it is missing.

    ImageNet is told by its name alone: a checksum of it would take as long as reading it.
    """
    entry = source(name)
    if entry.kind == "package":
        return entry.path, entry.version, entry.sha256
    try:
        path = locate(name)
        if entry.kind == "named":
            from humalign.data import named

            return named.identity(name)
    except HumalignError:
        return None
    return entry.path if entry.kind == "imagenet" else digest_of(path)


def pins() -> dict[str, str]:
    """Return the checksums taken at first downloads, by path below the data folder."""
    try:
        lines = (data_folder() / PINS).read_text("utf-8").splitlines()
    except OSError:
        return {}
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines) if path}


def _read(name: str) -> dict[str, Source]:
    """Read a file of the registry; an entry with ``each`` stands for every combination of its values."""
    text = (files("humalign.data.registry") / name).read_text("utf-8")
    found = (entry for key, fields in yaml.safe_load(text).items() for entry in _entries(key, fields))
    return {entry.name: entry for entry in found}


def _entries(name: str, fields: dict[str, Any]) -> Iterator[Source]:
    each = fields.pop("each", {})
    for values in itertools.product(*each.values()):
        filled = dict(zip(each, values, strict=True))
        written: dict[str, Any] = {key: _filled(value, filled) for key, value in fields.items()}
        written["also"] = tuple(written.get("also", ()))
        written["about"] = int(float(written["about"])) if "about" in written else None
        yield Source(name=name.format(**filled), **written)


def _filled(value: Any, values: dict[str, str]) -> Any:
    """Write values into the braces of a text, or of all texts of a mapping."""
    if isinstance(value, dict):
        return {key: _filled(inner, values) for key, inner in value.items()}
    return value.format(**values) if isinstance(value, str) else value
