"""Check the user's own copy of ImageNet 2012: class folders, or the training archive as released, which holds one archive a class.

Which pictures are missing can be said by name where a list of them lies beside: ``train_cls.txt``, as in the folder
``ImageSets/CLS-LOC`` of the distribution for object localisation, lines of ``n01440764/n01440764_10026 1``.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

from humalign import registry
from humalign.errors import HumalignError
from humalign.registry import Source

# Source: Russakovsky et al. (2015), table 2.
PICTURES = {"imagenet-2012-training": 1_281_167, "imagenet-2012-validation": 50_000}
CLASSES = 1_000
LISTS = ("train_cls.txt", "ImageSets/CLS-LOC/train_cls.txt")
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
    found = set(_in_archive(path) if path.is_file() else _in_folders(path))
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


def _in_folders(root: Path) -> Iterator[str]:
    """Yield ``CLASS/PICTURE`` without the suffix."""
    with os.scandir(root) as folders:
        for folder in folders:
            if folder.is_dir():
                with os.scandir(folder.path) as pictures:
                    yield from (f"{folder.name}/{_stem(each.name)}" for each in pictures if each.name.lower().endswith((".jpeg", ".jpg")))


def _in_archive(path: Path) -> Iterator[str]:
    try:
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as outer:
            for member in outer:
                file.seek(member.offset_data)
                with tarfile.open(fileobj=file, mode="r:") as inner:
                    yield from (f"{_stem(member.name)}/{_stem(each.name)}" for each in inner if each.isfile())
    except (OSError, tarfile.TarError, EOFError) as error:
        raise HumalignError(f"{path} cannot be read ({error}): it should be the archive as released, of one archive a class") from None


def _stem(name: str) -> str:
    return Path(name).stem


def _listed(folder: Path) -> set[str]:
    for name in LISTS:
        if (folder / name).is_file():
            return {line.split()[0] for line in (folder / name).read_text("utf-8").splitlines() if line.strip()}
    return set()
