"""Where every picture, weight file and judgment comes from: home, address, licence, terms, size, checksum, reader, and who needs it.

Entries are data. A source of kind ``package`` (``sources.yaml``) is a file inside a Python package, so that the demo needs
no network once it is installed. A source of kind ``data`` is a file or folder below the folder that the environment variable
HUMALIGN_DATA names, or below the one that HUMALIGN_MIRROR names: human judgments and what people judged (``human.yaml``), and the
larger public files of the profile paper (``public.yaml``). One of kind ``hub`` is a model of the Hugging Face hub, and ``imagenet``
is the user's own copy of that data set.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Collection, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from humalign.artefacts import sha256
from humalign.errors import HumalignError, nearest

DATA, MIRROR, IMAGENET, WEIGHTS = "HUMALIGN_DATA", "HUMALIGN_MIRROR", "HUMALIGN_IMAGENET", "HUMALIGN_WEIGHTS"
BY_HAND = f"or put the weights into the folder that {WEIGHTS} names"
# Below the data folder, in the layout of sha256sum: checksums of files that the registry has none of, taken when they first came.
PINS = "pins.txt"
ALWAYS = "always"


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
        size: bytes, of a folder all its files together, of an archive the archive; None where it is not known.
        sha256: None for a folder, and where the file was never at hand: then it is pinned when it first comes.
        package, version, module: where a file lies that a Python package brings.
        hub: repository of the Hugging Face hub.
        url: direct address, of ``parts`` the one before their names; empty where the file is brought by hand.
        terms: page on which terms must be accepted by hand before it can be had.
        archive: path of the archive that is downloaded, and unpacked to ``path``.
        parts: files of a folder, by name below it, each with ``size`` and ``sha256``.
        reader: dotted name of what reads it.
        profiles: which need it: ``always``, or only where this word stands among the profile's settings.
        chapters: notebooks that show what is made of it.
        note: how the registered file differs from the public one, empty where it does not.
    """

    name: str
    what: str
    home: str
    licence: str
    attribution: str
    path: str
    size: int | None = None
    package: str | None = None
    version: str | None = None
    module: str | None = None
    hub: str | None = None
    sha256: str | None = None
    url: str = ""
    terms: str = ""
    archive: str = ""
    parts: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    reader: str = ""
    profiles: dict[str, str] = dataclasses.field(default_factory=dict)
    chapters: tuple[str, ...] = ()
    used_in: str = ""
    note: str = ""

    @property
    def kind(self) -> str:
        """``package``, ``hub``, ``imagenet`` or ``data``."""
        return "package" if self.package else "hub" if self.hub else "imagenet" if self.name.startswith("imagenet-2012") else "data"

    @property
    def files(self) -> tuple[File, ...]:
        """What is downloaded for it; nothing of a folder without parts, which is brought by hand."""
        if self.parts:
            return tuple(
                File(f"{self.path}/{name}", self.url and f"{self.url}{name}", part.get("size"), part.get("sha256"))
                for name, part in self.parts.items()
            )
        folder = not self.archive and not Path(self.path).suffix
        return () if folder else (File(self.archive or self.path, self.url or None, self.size, self.sha256),)

    @property
    def content(self) -> tuple[Any, ...]:
        """What tells its bytes from those of another version, as far as the registry knows: what it says of licences is no part of it."""
        return self.path, self.version, self.size, self.sha256, [(file.path, file.size, file.sha256) for file in self.files]

    @property
    def command(self) -> str:
        """The command, or the deed, that brings it."""
        if self.package:
            return f"pip install {self.package}=={self.version}"
        if self.kind == "imagenet":
            return f"accept the terms on {self.terms} and set {IMAGENET} to the folder that holds {self.path}, or the tar file as released"
        if self.url or self.hub:
            return f"humalign fetch {self.name}"
        if self.terms:
            return f"accept the terms on {self.terms}, then put them at {data_folder() / self.path}"
        return f"set {DATA} to a folder that holds {self.path}, or download them from {self.home.removeprefix('https://')}"


@functools.cache
def sources() -> dict[str, Source]:
    """Return every source that a Python package brings, by name: all that the demo reads."""
    return _read("sources.yaml")


@functools.cache
def human_data() -> dict[str, Source]:
    """Return every source of human judgments, and of what people judged, by name."""
    return _read("human.yaml")


@functools.cache
def public_data() -> dict[str, Source]:
    """Return every other public source, by name: large data sets, released triplets and checkpoints, models of the hub."""
    return _read("public.yaml")


def everything() -> dict[str, Source]:
    """Return every source, by name."""
    return sources() | human_data() | public_data()


def source(name: str) -> Source:
    """Return one registered source."""
    known = everything()
    if name not in known:
        raise HumalignError(f"unknown source {name!r}: {nearest(name, known)}")
    return known[name]


def needed(profile: str, settings: Collection[Any] | None = None) -> list[Source]:
    """Return the sources that a profile needs, in the order of the registry.

    Args:
        profile: its name.
        settings: the words among its settings; without them, whatever some settings of it would need is returned.
    """
    found = [entry for entry in everything().values() if profile in entry.profiles]
    return [entry for entry in found if settings is None or entry.profiles[profile] in {ALWAYS, *settings}]


def data_folder() -> Path:
    """Return the folder of the data: HUMALIGN_DATA, or where that is not set ``~/.cache/humalign/data``."""
    named = os.environ.get(DATA)
    return Path(named).expanduser() if named else Path.home() / ".cache" / "humalign" / "data"


def find(path: str) -> Path | None:
    """Return where a file or folder of the data lies: in the data folder, else in the mirror, else None."""
    mirror = os.environ.get(MIRROR)
    folders = [data_folder(), *([Path(mirror).expanduser()] if mirror else [])]
    return next((folder / path for folder in folders if (folder / path).exists()), None)


def locate(name: str) -> Path:
    """Return where a source lies on this machine.

    Raises:
        HumalignError: it is missing.
    """
    entry = source(name)
    return LOCATE.get(entry.kind, _data)(entry)


def _data(entry: Source) -> Path:
    path = find(entry.path)
    if path is None or any(find(file.path) is None for file in entry.files if entry.parts):
        raise HumalignError(f"{entry.what} are missing: {entry.command} (looked in {data_folder()})")
    return path


def _packaged(entry: Source) -> Path:
    try:
        installed = version(str(entry.package))
    except PackageNotFoundError:
        raise HumalignError(f"{entry.what} is missing: {entry.command}") from None
    path = Path(str(files(str(entry.module)))) / entry.path
    if not path.exists():
        raise HumalignError(f"{entry.what}: no {path} in {entry.package} {installed}: {entry.command} --force-reinstall")
    return path


def _imagenet(entry: Source) -> Path:
    named = os.environ.get(IMAGENET)
    folder = Path(named).expanduser() if named else None
    for path in [folder / part for part in (entry.path, entry.archive) if part] if folder else []:
        if path.exists():
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


def verify(name: str) -> Path:
    """Return where a source lies, after checking its size and checksum: the registered one, else the pin of its first download.

    Raises:
        HumalignError: it is missing, truncated or altered. Human data may also be a fuller public file: `locate` gives it unchecked.
    """
    entry, path = source(name), locate(name)
    if entry.kind == "package":
        if entry.sha256 and (path.stat().st_size != entry.size or sha256(path) != entry.sha256):
            raise HumalignError(f"{entry.what} is corrupt ({path}): {entry.command} --force-reinstall --no-deps")
    elif entry.kind == "data" and not entry.archive:
        for file in entry.files:
            check(entry, file, path / Path(file.path).relative_to(entry.path))
    return path


def check(entry: Source, file: File, path: Path) -> None:
    """Compare one file of the data with its registered size and checksum, or with its pin.

    Raises:
        HumalignError: it is another file.
    """
    pin = None if file.sha256 else pins().get(file.path)
    wanted = file.sha256 or pin
    if (file.size is None or path.stat().st_size == file.size) and (wanted is None or sha256(path) == wanted):
        return
    if pin:
        raise HumalignError(f"{path} is not the file that came first ({PINS}): delete it, or its line there, and {entry.command}")
    registered = f" ({entry.note})" if entry.note else ""
    raise HumalignError(f"{entry.what} in {path} are not the registered file{registered}: {entry.command}")


def pins() -> dict[str, str]:
    """Return the checksums taken at first downloads, by path below the data folder."""
    try:
        lines = (data_folder() / PINS).read_text("utf-8").splitlines()
    except OSError:
        return {}
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines) if path}


def _read(name: str) -> dict[str, Source]:
    """Read a file of the registry; an entry with ``each`` stands for one of every combination of its values."""
    text = (files("humalign.registry") / name).read_text("utf-8")
    return {entry.name: entry for key, fields in yaml.safe_load(text).items() for entry in _entries(key, fields)}


def _entries(name: str, fields: dict[str, Any]) -> Iterator[Source]:
    each = fields.pop("each", {})
    for values in itertools.product(*each.values()):
        filled = dict(zip(each, values, strict=True))
        written: dict[str, Any] = {key: _filled(value, filled) for key, value in fields.items()}
        yield Source(name=name.format(**filled), **written | {"chapters": tuple(written.get("chapters", ()))})


def _filled(value: Any, values: dict[str, str]) -> Any:
    """Write values into the braces of a text, or of all texts of a mapping."""
    if isinstance(value, dict):
        return {key: _filled(inner, values) for key, inner in value.items()}
    return value.format(**values) if isinstance(value, str) else value
