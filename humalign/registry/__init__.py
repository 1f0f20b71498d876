"""Where every picture, weight file and judgment comes from: home, licence, version, size, checksum.

Entries are data. A source of kind ``package`` (``sources.yaml``) is a file inside a Python package, so that the demo needs
no network once it is installed. A source of kind ``data`` (``human.yaml``) is a file of human judgments, or of what people
judged, in the folder that the environment variable HUMALIGN_DATA names; nothing is downloaded.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

import yaml

from humalign.artefacts import sha256
from humalign.errors import HumalignError, nearest


@dataclasses.dataclass(frozen=True)
class Source:
    """One file (or folder of files) that a run reads.

    Attributes:
        size: bytes, of a folder all its files together.
        sha256: None for a folder.
        package, version, module: where a file lies that a Python package brings; None for human data.
        note: how the registered file differs from the public one, empty where it does not.
    """

    name: str
    what: str
    home: str
    licence: str
    attribution: str
    path: str
    size: int
    package: str | None = None
    version: str | None = None
    module: str | None = None
    sha256: str | None = None
    used_in: str = ""
    note: str = ""

    @property
    def kind(self) -> str:
        """``package`` or ``data``."""
        return "package" if self.package else "data"

    @property
    def command(self) -> str:
        """The command, or the deed, that brings it."""
        if self.package:
            return f"pip install {self.package}=={self.version}"
        return f"set HUMALIGN_DATA to a folder that holds {self.path}, or download them from {self.home.removeprefix('https://')}"


@functools.cache
def sources() -> dict[str, Source]:
    """Return every source that a Python package brings, by name: all that the demo reads."""
    return _read("sources.yaml")


@functools.cache
def human_data() -> dict[str, Source]:
    """Return every source of human judgments, and of what people judged, by name."""
    return _read("human.yaml")


def source(name: str) -> Source:
    """Return one registered source."""
    known = sources() | human_data()
    if name not in known:
        raise HumalignError(f"unknown source {name!r}: {nearest(name, known)}")
    return known[name]


def data_folder() -> Path:
    """Return the folder of the human data: HUMALIGN_DATA, or where that is not set ``~/.cache/humalign/data``."""
    named = os.environ.get("HUMALIGN_DATA")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "humalign" / "data"


def locate(name: str) -> Path:
    """Return where a source lies on this machine.

    Raises:
        HumalignError: it is missing.
    """
    entry = source(name)
    if entry.package is None or entry.module is None:
        path = data_folder() / entry.path
        if not path.exists():
            raise HumalignError(f"{entry.what} are missing: {entry.command} (looked in {data_folder()})")
        return path
    try:
        installed = version(entry.package)
    except PackageNotFoundError:
        raise HumalignError(f"{entry.what} is missing: {entry.command}") from None
    path = Path(str(files(entry.module))) / entry.path
    if not path.exists():
        raise HumalignError(f"{entry.what}: no {path} in {entry.package} {installed}: {entry.command} --force-reinstall")
    return path


def verify(name: str) -> Path:
    """Return where a source lies, after checking its size and checksum.

    Raises:
        HumalignError: it is missing, truncated or altered. Human data may also be a fuller public file: `locate` gives it unchecked.
    """
    entry, path = source(name), locate(name)
    if entry.sha256 and (path.stat().st_size != entry.size or sha256(path) != entry.sha256):
        if entry.kind == "data":
            registered = f" ({entry.note})" if entry.note else ""
            raise HumalignError(f"{entry.what} in {path} are not the registered file{registered}: {entry.command}")
        raise HumalignError(f"{entry.what} is corrupt ({path}): {entry.command} --force-reinstall --no-deps")
    return path


def _read(name: str) -> dict[str, Source]:
    text = (files("humalign.registry") / name).read_text("utf-8")
    return {key: Source(name=key, **entry) for key, entry in yaml.safe_load(text).items()}
