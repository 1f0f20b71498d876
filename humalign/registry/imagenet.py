"""Check the user's own copy of ImageNet 2012: class folders, or the training archive as released, which holds one archive a class.

Which pictures are missing can be said by name where a list of them lies beside: ``train_cls.txt``, as in the folder
``ImageSets/CLS-LOC`` of the distribution for object localisation, lines of ``n01440764/n01440764_10026 1``.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from humalign import registry
from humalign.errors import HumalignError
from humalign.registry import Source

# Source: Russakovsky et al. (2015), table 2.
PICTURES = {"imagenet-2012-training": 1_281_167, "imagenet-2012-validation": 50_000}
CLASSES = 1_000
LISTS = ("train_cls.txt", "ImageSets/CLS-LOC/train_cls.txt")
SUFFIXES = (".jpeg", ".jpg")
SHOWN = 3


def check(entry: Source, inside: bool = True) -> Path:
    """Return where ImageNet's training or validation pictures lie, after counting them.

    Args:
        inside: read an archive to count them; False is quick, and compares its size only.

    Raises:
        HumalignError: no copy is named, one that is cut short, or another number of pictures or classes; the first missing are named.
    """
    path = registry.locate(entry.name)
    if path.is_file() and entry.size is not None and path.stat().st_size != entry.size:
        raise HumalignError(f"{path} has {path.stat().st_size:,} bytes instead of {entry.size:,}: it is cut short, or another archive")
    if path.is_file() and not inside:
        return path
    names = (name for name, *_ in in_archive(path)) if path.is_file() else in_folders(path)
    found = {name.rpartition(".")[0] for name in names}
    classes = {name.partition("/")[0] for name in found}
    wanted = PICTURES[entry.name]
    if len(found) == wanted and len(classes) == CLASSES:
        return path
    missing = sorted(_listed(path.parent) - found) if entry.name == "imagenet-2012-training" else []
    named = f" ({', '.join(missing[:SHOWN])}{', ...' if len(missing) > SHOWN else ''})" if missing else ""
    raise HumalignError(
        f"{path} holds {len(found):,} pictures in {len(classes):,} classes instead of {wanted:,} in {CLASSES:,}: "
        f"{abs(wanted - len(found)):,} {'are missing' if len(found) < wanted else 'are too many'}{named}; unpack the archive again"
    )


def in_folders(root: Path) -> Iterator[str]:
    """Yield every picture of class folders as ``CLASS/PICTURE.JPEG``.

    Raises:
        HumalignError: the folder cannot be read.
    """
    try:
        with os.scandir(root) as folders:
            for folder in folders:
                if folder.is_dir():
                    with os.scandir(folder.path) as pictures:
                        yield from (f"{folder.name}/{each.name}" for each in pictures if each.name.lower().endswith(SUFFIXES))
    except OSError as error:
        raise HumalignError(f"cannot read {root} ({error.strerror}): it should hold one folder a class") from None


def in_archive(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield every picture of the archive as released, one archive a class: ``CLASS/PICTURE.JPEG``, where it starts, and its bytes.

    Raises:
        HumalignError: the archive is missing or damaged.
    """
    try:
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as outer:
            for archive in outer:
                if archive.name.endswith(".tar"):
                    file.seek(archive.offset_data)
                    with tarfile.open(fileobj=file, mode="r:") as inner:
                        name = PurePosixPath(archive.name).stem
                        yield from ((f"{name}/{PurePosixPath(m.name).name}", m.offset_data, m.size) for m in inner if m.isfile())
    except (OSError, tarfile.TarError, EOFError) as error:
        raise HumalignError(f"cannot read {path} ({error}): it should be one archive a class, as released; fetch it again") from None


def _listed(folder: Path) -> set[str]:
    for name in LISTS:
        if (folder / name).is_file():
            return {line.split()[0] for line in (folder / name).read_text("utf-8").splitlines() if line.strip()}
    return set()
