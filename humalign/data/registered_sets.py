"""The registered labelled sets, read by the names of their files, so that a copy may hold fewer pictures than
its home.
"""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from PIL import Image

from humalign.data import listing, registry
from humalign.data.images import FolderImages, ImageSet, Subset, ZipImages
from humalign.data.readers_labels import CIFAR10, CIFAR10_IMAGES
from humalign.errors import HumalignError, complaint, nearest

CIFAR10_BATCHES = "cifar-10-batches-py"
FULL_OR_CLOSED = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


@contextlib.contextmanager
def one_line(what: str, mend: str) -> Iterator[None]:
    """Turn a library's failure to fetch or to read into one line."""
    try:
        yield
    except (HumalignError, MemoryError):
        raise
    except (
        Exception
    ) as error:  # the libraries, and the network and the decoders below them, each raise their own
        if isinstance(error, OSError) and error.errno in FULL_OR_CLOSED:
            mend = (
                f"free some space, or set {registry.DATA} (of the hub's sets HF_HOME) to a folder of your own"
            )
        raise HumalignError(f"cannot read {what} ({complaint(error)}): {mend}") from None


class _Pixels:
    """Pictures in memory, as (images, height, width, 3)."""

    def __init__(self, pixels: UInt8[np.ndarray, "images height width 3"], labels: pd.DataFrame) -> None:
        self.pixels, self.labels = pixels, labels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels[index])


def cifar10(path: Path) -> ImageSet:
    """Return the test pictures of CIFAR-10, by class, then by place in the original test order, which is
    ``index`` in the labels.

    Args:
        path: torchvision's folder of batches, or a folder or a .zip of class folders, in which a picture is
            named by its index.

    Raises:
        HumalignError: no such layout, a class without pictures, or what `cifar10_labels` refuses.
    """
    whole = _cifar10_batches(path) if path.name == CIFAR10_BATCHES else _cifar10_classes(path)
    return Subset(whole, whole.labels.sort_values(["class", "index"]).index.to_numpy())


def _cifar10_batches(path: Path) -> ImageSet:
    from torchvision.datasets import CIFAR10 as Batches

    with one_line(str(path), _again(path, "cifar10")):
        try:
            whole = Batches(path.parent, train=False)
        except RuntimeError:
            raise HumalignError(
                f"{path} lacks a file of CIFAR-10, or holds an altered one: {_again(path, 'cifar10')}"
            ) from None
    names = [f"{whole.classes[target]}/{index:05d}.png" for index, target in enumerate(whole.targets)]
    return _Pixels(whole.data, cifar10_labels(names, path))


def _cifar10_classes(path: Path) -> ImageSet:
    whole: FolderImages | ZipImages = FolderImages(path) if path.is_dir() else ZipImages(path)
    whole.labels = cifar10_labels(whole.labels["file"], path)
    missing = [name for name in CIFAR10 if name not in set(whole.labels["class"])]
    if missing:
        raise HumalignError(f"{path} holds no pictures of {missing[0]}: {_again(path, 'cifar10')}")
    return whole


def cifar10_labels(files: Iterable[str], origin: str | Path) -> pd.DataFrame:
    """Return ``file``, ``class`` and ``index`` of test pictures of CIFAR-10 by their names, as
    ``cat/00000.jpg``.

    Args:
        files: a name ends in its class and its place in the original test order, from 0.
        origin: where they lie, in messages.

    Raises:
        HumalignError: an unknown class, a name that is no place in the order, or a place that two pictures
            have.
    """
    seen: dict[int, str] = {}
    for file in files:
        name, stem = PurePosixPath(file).parent.name, PurePosixPath(file).stem
        if name not in CIFAR10:
            raise HumalignError(
                f"{file} in {origin}: {name!r} is no class of CIFAR-10: {nearest(name, CIFAR10)}"
            )
        if not re.fullmatch("[0-9]{1,9}", stem) or int(stem) >= CIFAR10_IMAGES:
            place = f"its place in CIFAR-10's test order, 0 to {CIFAR10_IMAGES - 1}"
            raise HumalignError(
                f"{file} in {origin} is not named by {place}: name it so, or run `humalign fetch cifar10`"
            )
        if int(stem) in seen:
            place = "have the same place in CIFAR-10's test order: name each by its own"
            raise HumalignError(
                f"{seen[int(stem)]} and {file} in {origin} {place}, or run `humalign fetch cifar10`"
            )
        seen[int(stem)] = file
    listed = [(file, PurePosixPath(file).parent.name, index) for index, file in seen.items()]
    return pd.DataFrame(listed, columns=["file", "class", "index"])


def dtd(path: Path) -> ImageSet:
    """Return the describable textures by class and name, whichever there are: torchvision's lists of splits
    are not read.

    Args:
        path: holds ``dtd/images/CLASS/*.jpg``.
    """
    return _class_folders(path, "dtd/images", "dtd")


def caltech101(path: Path) -> ImageSet:
    """Return the pictures of Caltech-101 by class and name, without its background class; torchvision counts
    them instead.

    Args:
        path: holds ``101_ObjectCategories/CLASS/image_NNNN.jpg``.
    """
    return _class_folders(path, "101_ObjectCategories", "caltech101", without="BACKGROUND_Google")


def _class_folders(path: Path, inside: str, source: str, without: str = "") -> Subset:
    """Return pictures in class folders, each of which must hold some, but for one that is left out."""
    root, again = path / inside, _again(path, source)
    with one_line(str(root), again):
        if not root.is_dir():
            raise HumalignError(f"{path} holds no folder {inside}: {again}")
        folders = sorted(
            each.name
            for each in root.iterdir()
            if each.is_dir() and each.name != without and not listing.hidden(each.name)
        )
    if not folders:
        raise HumalignError(f"{root} holds no class folders: {again}")
    whole = FolderImages(root)
    filled = set(whole.labels["class"])
    if empty := [name for name in folders if name not in filled]:
        raise HumalignError(f"{root / empty[0]} holds no pictures: {again}")
    if "" in filled:
        loose = whole.labels["file"][whole.labels["class"] == ""].iloc[0]
        raise HumalignError(f"{root / loose} lies in no class folder: move it away")
    return Subset(whole, np.flatnonzero(whole.labels["class"] != without))


def _again(path: Path, source: str) -> str:
    return f"move {path} away, then run `humalign fetch {source}`"


SETS: dict[str, Callable[[Path], ImageSet]] = {"cifar10": cifar10, "dtd": dtd, "caltech101": caltech101}
