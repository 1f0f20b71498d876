"""ImageNet (ILSVRC 2012) as a user has it: folders of classes, or the official tar files, read without unpacking them.

The folder that HUMALIGN_IMAGENET names holds ``train/CLASS/PICTURE.JPEG`` or ``ILSVRC2012_img_train.tar``, a tar file of one tar file a
class, and ``val/CLASS/PICTURE.JPEG``. Pictures are in the order of their names, whichever of both they are read from, so that an index
means the same picture in each.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from humalign import registry
from humalign.errors import HumalignError
from humalign.images import open_image
from humalign.registry.imagenet import PICTURES, in_archive, in_folders

FOLDER = registry.IMAGENET
TAR = "ILSVRC2012_img_train.tar"
TRAINING, VALIDATION = PICTURES["imagenet-2012-training"], PICTURES["imagenet-2012-validation"]


def folder() -> Path:
    """Return the folder of ImageNet.

    Raises:
        HumalignError: HUMALIGN_IMAGENET is not set, or names no folder.
    """
    named = os.environ.get(FOLDER)
    if not named:
        raise HumalignError(f"ImageNet is missing: set {FOLDER} to the folder that holds train (or {TAR}) and val; see image-net.org")
    if not Path(named).expanduser().is_dir():
        raise HumalignError(f"{FOLDER}={named} is no folder: name the one that holds train (or {TAR}) and val")
    return Path(named).expanduser()


class ClassFolders:
    """Pictures in class folders, labelled ``file`` (``n01440764/n01440764_10026.JPEG``) and ``class``; names only are kept in memory."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.labels = labelled(self.root, sorted(in_folders(self.root), key=lambda file: file.split("/")))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Image.Image:
        return open_image(self.root / self.labels["file"].iloc[index])


class ClassTars:
    """The pictures of a tar file of one tar file a class, as released; each is read at its place, nothing is unpacked.

    Raises:
        HumalignError: the file is missing, damaged, cut short or holds no picture.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        members = sorted(in_archive(self.path))
        self._place = np.array([place for _, *place in members], dtype=np.int64).reshape(-1, 2)
        self.labels = labelled(self.path, [name for name, *_ in members])
        size = self.path.stat().st_size
        if (self._place.sum(1) > size).any():
            raise HumalignError(f"{self.path} is cut short at {size:,} bytes: fetch it again")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Image.Image:
        start, size = (int(number) for number in self._place[index])
        # Opened for each picture: loader processes that share one open file would move its position under each other's hands.
        with open(self.path, "rb") as file:
            file.seek(start)
            return open_image(io.BytesIO(file.read(size)), f"{self.labels['file'].iloc[index]} in {self.path}")


Pictures = ClassFolders | ClassTars


def labelled(place: Path, files: list[str]) -> pd.DataFrame:
    """Return the labels of pictures that are named ``CLASS/PICTURE``.

    Raises:
        HumalignError: there is none.
    """
    if not files:
        raise HumalignError(f"no pictures in the class folders of {place}: is this ImageNet?")
    return pd.DataFrame({"file": files, "class": [file.split("/")[0] for file in files]})


def training(pictures: int = TRAINING) -> Pictures:
    """Return the training pictures, from folders where there are some, else from the tar file.

    Args:
        pictures: how many there must be.

    Raises:
        HumalignError: neither is there, or another number of pictures.
    """
    root = folder()
    if not ((root / "train").is_dir() or (root / TAR).is_file()):
        raise HumalignError(f"no training pictures of ImageNet in {root}: it should hold the folder train, or {TAR}")
    found = ClassFolders(root / "train") if (root / "train").is_dir() else ClassTars(root / TAR)
    return _counted(root, "training", found, pictures)


def validation(pictures: int = VALIDATION) -> ClassFolders:
    """Return the validation pictures, which have to be sorted into class folders: their archive alone does not tell their classes.

    Raises:
        HumalignError: the folder is missing, or has another number of pictures.
    """
    root = folder()
    if not (root / "val").is_dir():
        raise HumalignError(f"no folder val in {root}: it should hold the validation pictures of ImageNet, in one folder a class")
    found = ClassFolders(root / "val")
    _counted(root, "validation", found, pictures)
    return found


def _counted(root: Path, which: str, found: Pictures, pictures: int) -> Pictures:
    if len(found) != pictures:
        gap = pictures - len(found)
        said = f"{gap:,} are missing" if gap > 0 else f"{-gap:,} are too many"
        raise HumalignError(f"{len(found):,} {which} pictures of ImageNet in {root} instead of {pictures:,}: {said}; unpack it again")
    return found
