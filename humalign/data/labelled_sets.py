"""Labelled pictures: the registered sets (`SETS`), and any other by name.

Another set has a name, which is a path, ``torchvision:NAME[/SPLIT]`` (``torchvision:DTD/val``), or
``hf:OWNER/NAME[/SPLIT]``, where a folder on this machine may stand in place of OWNER/NAME: one that the
library ``datasets`` saved, or one of Parquet files. Without a split it is the pictures for testing, where the
set has such, else those for validation, else what its library takes. A set of torchvision is looked for in
``torchvision/NAME`` of the data folder, then in ``torchvision`` itself; the hub's library has its own cache.
Labels are the names of the classes; no picture is decoded before it is asked for, where the labels can be had
without.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from humalign.data import hub_sets, listing, registry, torchvision_sets
from humalign.data.hub_sets import HubImages
from humalign.data.images import FolderImages, ImageSet, Subset, ZipImages
from humalign.data.registered_sets import CIFAR10, SETS, caltech101, cifar10, dtd
from humalign.data.torchvision_sets import TorchvisionImages
from humalign.errors import HumalignError

__all__ = [
    "CIFAR10", "FORMS", "LIBRARIES", "SETS", "HubImages", "TorchvisionImages", "caltech101", "cifar10", "dtd",
    "evenly", "find", "pictures", "short", "spread",
]  # fmt: skip

FORMS = "name a folder of class folders, a .zip of one, torchvision:NAME[/SPLIT] or hf:OWNER/NAME[/SPLIT]"
LIBRARIES: dict[str, Callable[..., ImageSet]] = {"torchvision": torchvision_sets.find, "hf": hub_sets.find}


def find(name: str) -> ImageSet:
    """Return a labelled image set by its name; ``class`` in its labels is each picture's class.

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


def spread(images: ImageSet, most: int, seed: int) -> Subset:
    """Return at most so many pictures of a labelled set, evenly over its classes, at random in each."""
    shuffled = np.random.default_rng(seed).permutation(len(images))
    by_class = shuffled[np.argsort(images.labels["class"].to_numpy(dtype=str)[shuffled], kind="stable")]
    return Subset(images, np.sort(by_class[evenly(images, most).rows]))


def evenly(images: ImageSet, most: int) -> Subset:
    """Return at most so many pictures of a set, at even steps through its order."""
    return Subset(images, np.linspace(0, len(images) - 1, min(most, len(images))).astype(int))


def pictures(source: str) -> ImageSet:
    """Return a registered labelled set; its labels are ``file``, ``class`` and, of CIFAR-10, ``index``.

    Raises:
        HumalignError: it is missing, or has not the layout of its home.
    """
    return SETS[source](registry.locate(source))
