"""An entry of the registry: one source, its files, and the command or the deed that brings it."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

DATA, IMAGENET = "HUMALIGN_DATA", "HUMALIGN_IMAGENET"
# Libraries and homes of sets and files that no registry lists, whose names begin with the library.
NAMED = {"torchvision": "https://docs.pytorch.org/vision/stable/datasets.html"}
NAMED |= {"hf": "https://huggingface.co/datasets", "folder": "", "file": ""}


def data_folder() -> Path:
    """Return the folder of the data: HUMALIGN_DATA, or where that is not set ``~/.cache/humalign/data``."""
    named = os.environ.get(DATA)
    return Path(named).expanduser() if named else Path.home() / ".cache" / "humalign" / "data"


def is_named(name: str) -> bool:
    """Tell whether a name says where something is from, as ``torchvision:DTD`` does; see `NAMED`."""
    library, _, rest = name.partition(":")
    return library in NAMED and bool(rest)


@dataclasses.dataclass(frozen=True)
class File:
    """One file as it is downloaded: its path below the data folder, and what is known of it."""

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
        size: bytes of the public file, of the archive, or of the package's file; None where it is not known.
        sha256: of the public file; None where no source attests it: that of the first download is kept.
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
        """``package``, ``hub``, ``imagenet``, ``named`` or ``data``."""
        if is_named(self.name):
            return "named"
        if self.package or self.hub:
            return "package" if self.package else "hub"
        return "imagenet" if self.name.startswith("imagenet-2012") else "data"

    @property
    def files(self) -> tuple[File, ...]:
        """What is downloaded for it; nothing of a folder without parts or archive: it is brought by hand."""
        if self.parts:
            known = ((name, part.get("size"), part.get("sha256")) for name, part in self.parts.items())
            url = self.url
            return tuple(File(f"{self.path}/{name}", url and url + name, *of) for name, *of in known)
        folder = not self.archive and not Path(self.path).suffix
        return () if folder else (File(self.archive or self.path, self.url or None, self.size, self.sha256),)

    @property
    def bytes(self) -> int | None:
        """How much is downloaded for it, as far as that is known."""
        sizes = [part.get("size") for part in self.parts.values()] or [self.size or self.about]
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
        if self.kind == "named" and not self.url:
            return "name a path of your own in the profile"
        if self.kind == "imagenet":
            holds = f"the folder that holds {self.path}, or the archive {self.archive}"
            return f"{self.gate}, and set {IMAGENET} to {holds}"
        if self.password and not os.environ.get(self.password):
            return f"{self.gate}; then set {self.password} to it and run `humalign fetch {self.name}`"
        if self.url or self.hub:
            return f"humalign fetch {self.name}"
        return f"{self.gate}, and put them at {data_folder() / self.path}"
