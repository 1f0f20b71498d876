"""Where every picture, weight file and judgment comes from: home, address, licence, gate, size, checksum, and where it lies here.

Entries are data. A source of kind ``package`` (``packages.yaml``) is a file inside a Python package, so that the demo needs no network
once it is installed. A source of kind ``data`` (``data.yaml``, ``models.yaml``) is a file or folder below the folder that the environment
variable HUMALIGN_DATA names, or below the one that HUMALIGN_MIRROR names. One of kind ``hub`` is a model of the Hugging Face hub, and
``imagenet`` is the user's own copy of that data set. Which of them a profile reads is said by its stages, and nowhere else.
"""

from __future__ import annotations

import dataclasses
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
from humalign.data.listing import hidden
from humalign.errors import HumalignError, nearest

DATA, MIRROR, IMAGENET, WEIGHTS = "HUMALIGN_DATA", "HUMALIGN_MIRROR", "HUMALIGN_IMAGENET", "HUMALIGN_WEIGHTS"
BY_HAND = f"or put the weights into the folder that {WEIGHTS} names"
# Below the data folder, in the layout of sha256sum: checksums of files that the registry has none of, taken when they first came.
PINS = "pins.txt"
FILES = ("packages.yaml", "data.yaml", "models.yaml")
# Names of the sources that this process asked for, by which a run checks that each stage declares what it reads.
LOCATED: set[str] = set()


@dataclasses.dataclass(frozen=True)
class File:
    """One file as it is downloaded: its path below the data folder, and its address, size and checksum where they are known."""

    path: str
    url: str | None = None
    size: int | None = None
    sha256: str | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """One file (or folder of files) that a run reads.

    Attributes:
        path: below the package's or the data folder; of a model of the hub, its file there.
        also: other paths below the data folder under which the same, or what serves in its place, may lie.
        url: direct address, of ``parts`` the one before their names; empty where the file is brought by hand.
        size: bytes of the public file, of an archive the archive; None where it is not known. Of a package, of what lies there.
        sha256: of the public file; None where no public source attests it: then it is taken when the file is first fetched.
        about: bytes, roughly, where the size is not attested to the byte.
        holds: how many rows or pictures the public file holds.
        archive: path of the archive that is downloaded, and unpacked to ``path``.
        torchvision: set of ``torchvision.datasets`` that unpacks the archive and checks it.
        parts: files of a folder, by name below it, each with ``size`` and ``sha256``.
        password: environment variable that holds the archive's password, which is never written anywhere.
        gate: the one thing that only a person can do before it can be had.
        package, version, module: where a file lies that a Python package brings.
        hub: repository of the Hugging Face hub.
        note: what a user should know of the file.
    """

    name: str
    what: str
    home: str
    licence: str
    attribution: str
    path: str
    used_in: str = ""
    also: tuple[str, ...] = ()
    url: str = ""
    size: int | None = None
    sha256: str | None = None
    about: int | None = None
    holds: int | None = None
    archive: str = ""
    torchvision: str = ""
    parts: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    password: str = ""
    gate: str = ""
    package: str | None = None
    version: str | None = None
    module: str | None = None
    hub: str | None = None
    note: str = ""

    @property
    def kind(self) -> str:
        """``package``, ``hub``, ``imagenet`` or ``data``."""
        return "package" if self.package else "hub" if self.hub else "imagenet" if self.name.startswith("imagenet-2012") else "data"

    @property
    def files(self) -> tuple[File, ...]:
        """What is downloaded for it; nothing of a folder without parts and archive, which is brought by hand."""
        if self.parts:
            return tuple(
                File(f"{self.path}/{name}", self.url and f"{self.url}{name}", part.get("size"), part.get("sha256"))
                for name, part in self.parts.items()
            )
        folder = not self.archive and not Path(self.path).suffix
        return () if folder else (File(self.archive or self.path, self.url or None, self.size, self.sha256),)

    @property
    def bytes(self) -> int | None:
        """How much is downloaded for it, as far as that is known."""
        sizes = [part.get("size") for part in self.parts.values()] if self.parts else [self.size or self.about]
        return None if None in sizes else sum(each or 0 for each in sizes)

    @property
    def fetchable(self) -> bool:
        """Whether `fetch` brings it without a person: it has an address, and no gate that is still closed."""
        return bool(self.hub or self.url) and (not self.gate or bool(os.environ.get(self.password)))

    @property
    def command(self) -> str:
        """The command, or the deed, that brings it."""
        if self.package:
            return f"pip install {self.package}=={self.version}"
        if self.kind == "imagenet":
            return f"{self.gate}, and set {IMAGENET} to the folder that holds {self.path}, or the archive {self.archive}"
        if self.password and not os.environ.get(self.password):
            return f"{self.gate}; then set {self.password} to it and run `humalign fetch {self.name}`"
        if self.url or self.hub:
            return f"humalign fetch {self.name}"
        return f"{self.gate}, and put them at {data_folder() / self.path}"


@functools.cache
def everything() -> dict[str, Source]:
    """Return every source, by name."""
    return {name: entry for file in FILES for name, entry in _read(file).items()}


def packages() -> dict[str, Source]:
    """Return every source that a Python package brings, by name."""
    return {name: entry for name, entry in everything().items() if entry.kind == "package"}


def source(name: str) -> Source:
    """Return one registered source."""
    known = everything()
    if name not in known:
        raise HumalignError(f"unknown source {name!r}: {nearest(name, known)}")
    return known[name]


def data_folder() -> Path:
    """Return the folder of the data: HUMALIGN_DATA, or where that is not set ``~/.cache/humalign/data``."""
    named = os.environ.get(DATA)
    return Path(named).expanduser() if named else Path.home() / ".cache" / "humalign" / "data"


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
    raise HumalignError(f"{entry.what} are missing: {entry.command} (looked for {entry.path} in {data_folder()})")


def _packaged(entry: Source) -> Path:
    try:
        installed = version(str(entry.package))
    except PackageNotFoundError:
        raise HumalignError(f"{entry.what} is missing: {entry.command}") from None
    path = Path(str(files(str(entry.module)))) / entry.path
    if not path.exists():
        raise HumalignError(f"{entry.what}: no {path} in {entry.package} {installed}: {entry.command} --force-reinstall")
    if entry.sha256 and (path.stat().st_size != entry.size or digest_of(path) != entry.sha256):
        raise HumalignError(f"{entry.what} is corrupt ({path}): {entry.command} --force-reinstall --no-deps")
    return path


def _imagenet(entry: Source) -> Path:
    named = os.environ.get(IMAGENET)
    folder = Path(named).expanduser() if named else None
    for path in [folder / part for part in (entry.path, entry.archive) if part] if folder else []:
        if _something(path):
            return path
    raise HumalignError(f"{entry.what} are missing: {entry.command}" + (f" (looked in {folder})" if folder else ""))


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


LOCATE: dict[str, Callable[[Source], Path]] = {"data": _data, "package": _packaged, "imagenet": _imagenet, "hub": _hub}


# ---- checksums -----------------------------------------------------------------------------------------------------------------------


def files_of(path: Path) -> list[Path]:
    """Return the files below a folder by path, without hidden ones and those that systems leave beside the data."""
    below = sorted(file for file in path.rglob("*") if file.is_file())
    return [file for file in below if not any(map(hidden, file.relative_to(path).parts))]


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder, that of the list which ``sha256sum`` makes of the files below it (`files_of`).

    A file is read again only when its size or its time has changed.
    """
    if path.is_dir():
        listed = "".join(f"{digest_of(file)}  {file.relative_to(path).as_posix()}\n" for file in files_of(path))
        return hashlib.sha256(listed.encode()).hexdigest()
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@functools.cache
def _digest(path: Path, size: int, changed: int) -> str:
    return sha256(path)


def identity(name: str) -> Any:
    """Return what tells the contents of a source here from any other, for the keys of stages; None where it is missing.

    ImageNet is told by its name alone: a checksum of it would take as long as reading it.
    """
    entry = source(name)
    if entry.kind == "package":
        return entry.path, entry.version, entry.sha256
    try:
        path = locate(name)
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


# ---- the files of the registry -------------------------------------------------------------------------------------------------------


def _read(name: str) -> dict[str, Source]:
    """Read a file of the registry; an entry with ``each`` stands for one of every combination of its values."""
    text = (files("humalign.data.registry") / name).read_text("utf-8")
    return {entry.name: entry for key, fields in yaml.safe_load(text).items() for entry in _entries(key, fields)}


def _entries(name: str, fields: dict[str, Any]) -> Iterator[Source]:
    each = fields.pop("each", {})
    for values in itertools.product(*each.values()):
        filled = dict(zip(each, values, strict=True))
        written: dict[str, Any] = {key: _filled(value, filled) for key, value in fields.items()}
        about = int(float(written["about"])) if "about" in written else None
        yield Source(name=name.format(**filled), **written | {"also": tuple(written.get("also", ())), "about": about})


def _filled(value: Any, values: dict[str, str]) -> Any:
    """Write values into the braces of a text, or of all texts of a mapping."""
    if isinstance(value, dict):
        return {key: _filled(inner, values) for key, inner in value.items()}
    return value.format(**values) if isinstance(value, str) else value
