"""Where every picture, weight file and judgment comes from: home, licence, version, size, checksum.

Entries are data (``sources.yaml``). A source of kind ``package`` is a file inside a Python package,
so that the demo needs no network once it is installed.
"""

from __future__ import annotations

import dataclasses
import functools
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

import yaml

from humalign.artefacts import sha256
from humalign.errors import HumalignError, nearest


@dataclasses.dataclass(frozen=True)
class Source:
    """One file (or folder of files) that a run reads."""

    name: str
    what: str
    home: str
    licence: str
    attribution: str
    package: str
    version: str
    module: str
    path: str
    size: int
    sha256: str | None = None
    used_in: str = ""

    @property
    def command(self) -> str:
        """The command that brings it."""
        return f"pip install {self.package}=={self.version}"


@functools.cache
def sources() -> dict[str, Source]:
    """Return every registered source by name."""
    text = (files("humalign.registry") / "sources.yaml").read_text("utf-8")
    return {name: Source(name=name, **entry) for name, entry in yaml.safe_load(text).items()}


def source(name: str) -> Source:
    """Return one registered source."""
    if name not in sources():
        raise HumalignError(f"unknown source {name!r}: {nearest(name, sources())}")
    return sources()[name]


def locate(name: str) -> Path:
    """Return where a source lies on this machine.

    Raises:
        HumalignError: it is missing, or not the file that was registered.
    """
    entry = source(name)
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
        HumalignError: it is missing, truncated or altered.
    """
    entry, path = source(name), locate(name)
    if entry.sha256 and (path.stat().st_size != entry.size or sha256(path) != entry.sha256):
        raise HumalignError(f"{entry.what} is corrupt ({path}): {entry.command} --force-reinstall --no-deps")
    return path
