"""Image sets: indexable sources of pictures with labels, and the paper's way to resize them.

An image set has a length, gives an RGB picture for an index, and carries a table ``labels`` with one
row a picture. Nothing is augmented anywhere in this project, so a picture always gives the same pixels.
"""

from __future__ import annotations

import functools
import io
import itertools
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from humalign.data import listing
from humalign.data.datafiles import name_list
from humalign.data.decoding import as_seen, open_image
from humalign.data.listing import Parts
from humalign.errors import HumalignError, number, path_of

Where = str | Path
Order = Iterable[Any] | Where | None
# What a member of an archive that is damaged, encrypted or packed in another way raises.
UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError)


@runtime_checkable
class ImageSet(Protocol):
    """An indexable source of RGB pictures with one row of labels each."""

    labels: pd.DataFrame

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Image.Image: ...


class Files(ImageSet):
    """Pictures named one by one, in the order of ``paths``."""

    stored = False

    def __init__(self, paths: Sequence[Path], ground: str = "white") -> None:
        self.paths, self.ground = [path_of(path) for path in paths], ground
        self.labels = pd.DataFrame({"file": [listing.plain(path.name) for path in self.paths]})

    def __getitem__(self, index: int) -> Image.Image:
        return open_image(self.paths[index], ground=self.ground, stored=self.stored)

    def stamp(self, index: int) -> str:
        """Return what changes when a picture is replaced."""
        return file_stamp(self.paths[index])


class FolderImages(Files):
    """Pictures in class folders (``root/class/picture.jpg``), or loose in one folder without labels.

    They stand in the order of their paths as text, or in a given one. Links to folders are followed. Labels
    have ``file``, the path below the root, and ``class``, the first folder in it that does not hold all.

    Args:
        order: names of all pictures, or the path of a list of them, one a line; see `listing.in_order`.
        ground: colour behind transparent pixels.
        stored: give the pixels as they are stored; see `decoding.open_image`.

    Raises:
        HumalignError: no picture, one of a kind that is not read, a link to nothing, or an order that is not
            one of these pictures.
    """

    def __init__(self, root: Where, order: Order = None, ground: str = "white", stored: bool = False) -> None:
        root = path_of(root, "root")
        if not root.is_dir():
            what = "a file: read a .zip with ZipImages, or" if root.exists() else "not there:"
            raise HumalignError(f"{root} is {what} name the folder of the pictures")
        found, self.ground, self.stored = listing.below(root), ground, stored
        if not found:
            raise HumalignError(f"no pictures ({listing.SAID}) under {root}: name the folder that holds them")
        self.paths, self.labels = _ordered(found, order, root)


class ZipImages(ImageSet):
    """Pictures read straight out of a zip archive, as a folder of them; see `FolderImages`.

    Args:
        inside: the folder of the archive to be read; without one all.
        order, ground: as of a folder.

    Raises:
        HumalignError: an archive that is missing, damaged or without pictures, or as of a folder; a damaged
            member when it is read.
    """

    def __init__(self, path: Where, inside: str = "", order: Order = None, ground: str = "white") -> None:
        self.path, self.ground = path_of(path), ground
        if self.path.is_dir():
            raise HumalignError(f"{self.path} is a folder: read it with FolderImages, or name a .zip")
        try:
            with zipfile.ZipFile(self.path) as archive:
                found = sorted(self._found(archive, listing.parts_of(inside)))
        except FileNotFoundError:
            mend = "run `humalign doctor` to see what is missing"
            raise HumalignError(f"no archive at {self.path}: {mend}") from None
        except (OSError, zipfile.BadZipFile) as error:
            raise HumalignError(f"cannot read the archive {self.path} ({error}): fetch it again") from None
        if not found:
            where = f"{self.path}, folder {inside}" if inside else self.path
            raise HumalignError(f"no pictures ({listing.SAID}) in {where}: name an archive that holds some")
        pairs = itertools.pairwise(parts for parts, _ in found)
        if twice := next((one for one, other in pairs if one == other), None):
            raise HumalignError(f"{self.path} holds two pictures {'/'.join(twice)}: pack it again")
        self.names, self.labels = _ordered(found, order, self.path)
        self._open: tuple[int, zipfile.ZipFile] | None = None

    def _found(self, archive: zipfile.ZipFile, inside: Parts) -> Iterator[tuple[Parts, str]]:
        for name in archive.namelist():
            parts, start = listing.parts_of(name), functools.partial(_start, archive, name)
            if name.endswith(("/", "\\")) or parts[: len(inside)] != inside:
                continue
            if listing.is_picture(parts, self.path, start):
                yield parts[len(inside) :], name

    def __getitem__(self, index: int) -> Image.Image:
        name = self.names[index]
        try:
            content = self._archive().read(name)
        except UNREADABLE as error:
            what = f"the picture {name} in {self.path} ({error})"
            raise HumalignError(f"cannot read {what}: replace it or take it out") from None
        return open_image(io.BytesIO(content), f"{name} in {self.path}", ground=self.ground)

    def stamp(self, index: int) -> str:
        """Return what changes when a picture is replaced."""
        about = self._archive().getinfo(self.names[index])
        return f"{about.file_size} {about.CRC}"

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_open": None}

    def _archive(self) -> zipfile.ZipFile:
        # Loader processes that share one open file would move its position for each other: each has its own.
        if self._open is None or self._open[0] != os.getpid():
            self._open = (os.getpid(), zipfile.ZipFile(self.path))
        return self._open[1]


def _start(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the first bytes of a member; none of one that cannot be read."""
    try:
        with archive.open(name) as member:
            return member.read(12)
    except UNREADABLE:
        return b""


def _ordered(found: Sequence[tuple[Parts, Any]], order: Order, where: Path) -> tuple[list[Any], pd.DataFrame]:
    """Return the places of the pictures in their order, and their labels."""
    files, rows = [parts for parts, _ in found], list(range(len(found)))
    if order is None:
        listing.hint_at_numbers(files, where)
    else:
        names = name_list(order) if isinstance(order, str | Path) else order
        rows = listing.in_order(files, names, where).tolist()
    files = [files[row] for row in rows]
    labels = pd.DataFrame({"file": ["/".join(parts) for parts in files], "class": listing.classes(files)})
    return [found[row][1] for row in rows], labels


def file_stamp(path: Path) -> str:
    """Return size and time of a file; nothing of one that is not there."""
    try:
        stat = path.stat()
    except OSError:
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns}"


class Subset(ImageSet):
    """Some pictures of an image set (``rows``, in this order), with labels of their own or the whole's."""

    def __init__(
        self, whole: ImageSet, rows: Int[np.ndarray, " m"], labels: pd.DataFrame | None = None
    ) -> None:
        self.whole, self.rows = whole, rows
        self.labels = whole.labels.iloc[rows].reset_index(drop=True) if labels is None else labels

    def __getitem__(self, index: int) -> Image.Image:
        return self.whole[int(self.rows[index])]

    def stamp(self, index: int) -> str:
        """Return what changes when a picture is replaced; nothing where the whole set cannot tell."""
        return stamp_of(self.whole, int(self.rows[index]))


def spread(images: ImageSet, most: int, seed: int) -> Subset:
    """Return at most so many pictures of a labelled set, evenly over its classes, at random in each."""
    shuffled = np.random.default_rng(seed).permutation(len(images))
    by_class = shuffled[np.argsort(images.labels["class"].to_numpy(dtype=str)[shuffled], kind="stable")]
    return Subset(images, np.sort(by_class[evenly(images, most).rows]))


def evenly(images: ImageSet, most: int) -> Subset:
    """Return at most so many pictures of a set, at even steps through its order."""
    return Subset(images, np.linspace(0, len(images) - 1, min(most, len(images))).astype(int))


def stamp_of(images: ImageSet, index: int) -> str:
    """Return what changes when a picture of a set is replaced; nothing of sets that cannot tell."""
    stamp = getattr(images, "stamp", None)
    return stamp(index) if stamp else ""


def squash(image: Image.Image, size: int) -> Float[Tensor, "3 size size"]:
    """Resize a whole picture to a square, whatever its shape, as the official code does.

    Bicubic with a = -0.75 and no antialiasing, which is OpenCV's INTER_CUBIC; values in [0, 1], rounded
    to the 256 grey levels that OpenCV would give. Source: paper, Methods; official data pipeline.
    """
    size = number("size", size)
    pixels = torch.from_numpy(np.array(as_seen(image))).permute(2, 0, 1)[None].float()
    if pixels.shape[-2:] != (size, size):
        pixels = interpolate(pixels, (size, size), mode="bicubic", align_corners=False, antialias=False)
    return pixels[0].round().clamp(0, 255) / 255
