"""Unpack an archive into its place in the data folder, and say what is wrong with the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import requests

from humalign.data import registry
from humalign.data.registry.entries import Source
from humalign.errors import HumalignError

# The folder below its root where a set of torchvision looks for its archive.
ARCHIVE_IN = {"CIFAR10": "", "DTD": "dtd", "Caltech101": "caltech101"}

UNREADABLE = (
    tarfile.TarError, zipfile.BadZipFile, shutil.ReadError, EOFError, FileNotFoundError, NotImplementedError,
)  # fmt: skip


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one line what is wrong with the disk; what was downloaded stays."""
    try:
        yield
    except OSError as error:
        if isinstance(error, requests.RequestException):
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            said = f" ({error.strerror})" if error.strerror and "GB" in error.strerror else ""
            mend = "free some, then run the same command again, it continues"
            raise HumalignError(f"no space left for {path}{said}: {mend}") from None
        mend = f"set {registry.DATA} to a folder of your own"
        raise HumalignError(f"cannot write {path} ({error.strerror or error}): {mend}") from None


def unpack(entry: Source, archive: Path) -> None:
    """Unpack an archive beside the place of its folder and move that there; delete it in the data folder."""
    target = registry.data_folder() / entry.path
    with writing(target):
        try:
            (_by_torchvision if entry.torchvision else _by_hand)(entry, archive, target)
        except UNREADABLE as error:
            mend = f"delete it, and {entry.command}"
            raise HumalignError(f"{archive} cannot be unpacked into {entry.path} ({error}): {mend}") from None
        except RuntimeError as error:  # zipfile's for a wrong password, torchvision's for another checksum
            mend = f"delete {archive}, and {entry.command}"
            if entry.password:
                mend = f"is {entry.password} the password? {entry.home} gives it"
            raise HumalignError(f"{archive} cannot be unpacked into {entry.path} ({error}): {mend}") from None
        if archive.is_relative_to(registry.data_folder()):
            archive.unlink(missing_ok=True)


@contextlib.contextmanager
def _apart(target: Path) -> Iterator[Path]:
    """Give a folder beside the place of another, empty, and remove it at the end."""
    beside = target.with_name(f".{target.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        yield beside
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _by_torchvision(entry: Source, archive: Path, target: Path) -> None:
    """Let torchvision check and unpack the archive in a root of its own, and move the folder out of it."""
    from torchvision import datasets

    with _apart(target) as root:
        expected = root / ARCHIVE_IN[entry.torchvision] / archive.name
        expected.parent.mkdir(parents=True)
        shutil.copyfile(archive, expected)
        # What torchvision prints goes where progress goes: the output of a command stays a list of files.
        with contextlib.redirect_stdout(sys.stderr):
            try:
                getattr(datasets, entry.torchvision)(root, download=True)
            except (ValueError, KeyError, AttributeError) as error:  # of an archive that holds something else
                raise RuntimeError(f"torchvision finds no {entry.torchvision} in it: {error}") from None
        expected.unlink(missing_ok=True)
        (root / target.name).rename(target)


def _by_hand(entry: Source, archive: Path, target: Path) -> None:
    with _apart(target) as beside:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as whole:
                whole.extractall(beside, pwd=os.environ.get(entry.password, "").encode() or None)
        else:
            shutil.unpack_archive(archive, beside, filter="data")
        # The folder may lie in another one of the archive's own name.
        found = (path for path in beside.rglob(target.name) if path.is_dir())
        if (inside := min(found, key=lambda path: len(path.parts), default=None)) is None:
            inner = next((path.name for path in beside.rglob("*.zip")), None)
            held = f"it holds the archive {inner}: unpack that by hand" if inner else "no such folder in it"
            raise FileNotFoundError(held)
        inside.rename(target)
