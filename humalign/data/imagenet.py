"""ImageNet (ILSVRC 2012) as a user has it: class folders, or the official tar files, which stay packed.

The folder that HUMALIGN_IMAGENET names holds ``train/CLASS/PICTURE.JPEG`` or ``ILSVRC2012_img_train.tar``, a
tar file of one tar file a class; and ``val/CLASS/PICTURE.JPEG`` or ``ILSVRC2012_img_val.tar`` with
``ILSVRC2012_devkit_t12.tar.gz``. Each is in the order of classes and names: an index means the same picture.

The pixels are as stored, as in the official pipeline: TensorFlow's decoder regards neither orientation nor
transparency. A picture that people see otherwise is warned of.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from humalign.data import registry
from humalign.data.images import ImageSet, file_stamp, open_image
from humalign.data.registry.imagenet import DEVKIT, PICTURES, flat, in_archive, in_folders, loose, said_gap
from humalign.errors import HumalignError

FOLDER = registry.IMAGENET
TAR, FLAT_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
TRAINING, VALIDATION = PICTURES["imagenet-2012-training"], PICTURES["imagenet-2012-validation"]


def folder() -> Path:
    """Return the folder of ImageNet, which HUMALIGN_IMAGENET must name."""
    named = os.environ.get(FOLDER)
    holds = f"train (or {TAR}) and val (or {FLAT_TAR})"
    if not named:
        mend = f"set {FOLDER} to the folder that holds {holds}"
        raise HumalignError(f"ImageNet is missing: {mend}; see image-net.org")
    if not Path(named).expanduser().is_dir():
        raise HumalignError(f"{FOLDER}={named} is no folder: name the one that holds {holds}")
    return Path(named).expanduser()


class ClassFolders(ImageSet):
    """Pictures in class folders, labelled ``file`` (``n01440764/n01440764_10026.JPEG``) and ``class``.

    Args:
        root: the folder.
        loose: how many validation pictures lie right in it, beside the devkit that tells their classes.
    """

    def __init__(self, root: str | Path, loose: int | None = None) -> None:
        self.root, self.loose = Path(root), loose
        names = in_folders(self.root) if loose is None else (name for name, *_ in flat(self.root, loose))
        self.labels = labelled(self.root, names)

    def __getitem__(self, index: int) -> Image.Image:
        return open_image(self._path(index), stored=True)

    def stamp(self, index: int) -> str:
        """Return what changes when a picture is replaced."""
        return file_stamp(self._path(index))

    def _path(self, index: int) -> Path:
        file = self.labels["file"].iloc[index]
        return self.root / (file if self.loose is None else file.split("/")[1])


class InTar(ImageSet):
    """Pictures of a tar file; each is read at its place, nothing is unpacked.

    Args:
        members: of each picture ``CLASS/PICTURE.JPEG``, where it starts, and its bytes.

    Raises:
        HumalignError: the file is cut short or holds no picture.
    """

    def __init__(self, path: Path, members: Iterable[tuple[str, int, int]]) -> None:
        self.path = path
        places = {name: (start, size) for name, start, size in members}
        self.labels = labelled(path, places)
        self._places = np.array([places[file] for file in self.labels["file"]], dtype=np.int64)
        size = path.stat().st_size
        if (self._places.sum(1) > size).any():
            raise HumalignError(f"{path} is cut short at {size:,} bytes: fetch it again")

    def __getitem__(self, index: int) -> Image.Image:
        start, size = (int(number) for number in self._places[index])
        # Opened anew: loader processes that share an open file would move its position for each other.
        with open(self.path, "rb") as file:
            file.seek(start)
            name = f"{self.labels['file'].iloc[index]} in {self.path}"
            return open_image(io.BytesIO(file.read(size)), name, stored=True)

    def stamp(self, index: int) -> str:
        """Return what changes when a picture is replaced by one of another place or size."""
        return " ".join(map(str, self._places[index]))


Pictures = ClassFolders | InTar


def labelled(place: Path, files: Iterable[str]) -> pd.DataFrame:
    """Return labels of pictures that are named ``CLASS/PICTURE``, in the order of their classes and names."""
    if not (ordered := sorted(file.split("/") for file in files)):
        raise HumalignError(f"no pictures in the class folders of {place}: is this ImageNet?")
    classes = [name for name, _ in ordered]
    if strange := [name for name in sorted(set(classes)) if not re.fullmatch(r"n\d{8}", name)]:
        what = f"the class {strange[0]!r} is no WordNet id such as n01440764"
        raise HumalignError(f"{place}: {what}: name folders as ImageNet does")
    return pd.DataFrame({"file": ["/".join(file) for file in ordered], "class": classes})


def training(pictures: int = TRAINING) -> Pictures:
    """Return the training pictures, from folders where there are some, else from the tar file.

    Raises:
        HumalignError: neither is there, or another number of pictures.
    """
    unpacked, packed = _places("training", "train", TAR, f"the folder train, or {TAR}")
    found = InTar(packed, in_archive(packed)) if packed else ClassFolders(unpacked)
    return _counted("training", found, pictures)


def validation(pictures: int = VALIDATION) -> Pictures:
    """Return the validation pictures, from class folders, or with the devkit's classes.

    Raises:
        HumalignError: there are none, nothing tells their classes, or another number of pictures.
    """
    either = f"the folder val, in one folder a class, or {FLAT_TAR} and {DEVKIT}.tar.gz"
    unpacked, packed = _places("validation", "val", FLAT_TAR, either)
    if packed:
        return _counted("validation", InTar(packed, flat(packed, pictures)), pictures)
    return _counted("validation", ClassFolders(unpacked, pictures if loose(unpacked) else None), pictures)


def _places(which: str, inside: str, archive: str, either: str) -> tuple[Path, Path | None]:
    """Return the folder of the pictures, and their tar file where it is there and the folder is empty."""
    unpacked, packed = folder() / inside, folder() / archive
    if not (unpacked.is_dir() or packed.is_file()):
        raise HumalignError(f"no {which} pictures of ImageNet in {folder()}: it should hold {either}")
    empty = not unpacked.is_dir() or not any(unpacked.iterdir())
    return unpacked, packed if packed.is_file() and empty else None


def _counted(which: str, found: Pictures, pictures: int) -> Pictures:
    if len(found) != pictures:
        said = f"{len(found):,} {which} pictures of ImageNet in {folder()} instead of {pictures:,}"
        raise HumalignError(f"{said}: {said_gap(pictures - len(found))}; unpack it again")
    return found
