"""Image sets: indexable sources of pictures with labels, and the paper's way to resize them.

An image set has a length, gives an RGB picture for an index, and carries a table ``labels`` with one
row a picture. Nothing is augmented anywhere in this project, so a picture always gives the same pixels.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import interpolate

from humalign.errors import HumalignError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def hidden(name: str) -> bool:
    """Return whether a file or folder is none of the data: those that systems leave beside it, ``.DS_Store``, ``__MACOSX``."""
    return name.startswith(".") or name == "__MACOSX"


@runtime_checkable
class ImageSet(Protocol):
    """An indexable source of RGB pictures with one row of labels each."""

    labels: pd.DataFrame

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Image.Image: ...


class FolderImages:
    """Pictures in class folders (``root/class/picture.jpg``), or loose in one folder without labels."""

    def __init__(self, root: str | Path) -> None:
        root = Path(root)
        found = (p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
        self.paths = sorted(p for p in found if not any(map(hidden, p.relative_to(root).parts)))
        if not self.paths:
            raise HumalignError(f"no pictures ({', '.join(SUFFIXES)}) under {root}: name the folder that holds them")
        relative = [p.relative_to(root) for p in self.paths]
        self.labels = pd.DataFrame({"file": map(str, relative), "class": [p.parts[0] if len(p.parts) > 1 else "" for p in relative]})

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        return open_image(self.paths[index])


class ZipImages:
    """Pictures read straight out of a zip archive, labelled by the folder that holds each; in the order of their names.

    Args:
        path: of the archive.

    Raises:
        HumalignError: the archive is missing, damaged or holds no picture; a damaged member is told when it is read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = [PurePosixPath(name) for name in sorted(archive.namelist())]
        except FileNotFoundError:
            raise HumalignError(f"no archive at {self.path}: run `humalign doctor` to see what is missing") from None
        except (OSError, zipfile.BadZipFile) as error:
            raise HumalignError(f"cannot read the archive {self.path} ({error}): fetch it again") from None
        self.names = [str(name) for name in members if name.suffix.lower() in SUFFIXES and not any(map(hidden, name.parts))]
        if not self.names:
            raise HumalignError(f"no pictures ({', '.join(SUFFIXES)}) in {self.path}: name an archive that holds some")
        self.labels = pd.DataFrame({"file": self.names, "class": [PurePosixPath(name).parent.name for name in self.names]})
        self._open: tuple[int, zipfile.ZipFile] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Image.Image:
        name = self.names[index]
        try:
            return open_image(io.BytesIO(self._archive().read(name)), f"{name} in {self.path}")
        except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
            raise HumalignError(f"cannot read the picture {name} in {self.path} ({error}): replace it or take it out") from None

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_open": None}

    def _archive(self) -> zipfile.ZipFile:
        # Loader processes that share one open file move its position under each other's hands: each opens its own.
        if self._open is None or self._open[0] != os.getpid():
            self._open = (os.getpid(), zipfile.ZipFile(self.path))
        return self._open[1]


class Subset:
    """Some pictures of an image set, in the order given.

    Args:
        whole: the image set.
        rows: which of its pictures.
        labels: one row a picture of the subset; without them the whole's own.
    """

    def __init__(self, whole: ImageSet, rows: Int[np.ndarray, " m"], labels: pd.DataFrame | None = None) -> None:
        self.whole, self.rows = whole, rows
        self.labels = whole.labels.iloc[rows].reset_index(drop=True) if labels is None else labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Image.Image:
        return self.whole[int(self.rows[index])]


class Files:
    """Pictures named one by one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.labels = pd.DataFrame({"file": [path.name for path in self.paths]})

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        return open_image(self.paths[index])


def open_image(source: str | Path | io.BytesIO, name: str = "", mode: str = "RGB") -> Image.Image:
    """Decode one picture file whole.

    Args:
        source: a path, or a file's content.
        name: of the picture in messages, where ``source`` has none.
        mode: of its pixels.

    Raises:
        HumalignError: the file is missing, truncated or no picture.
    """
    name = name or str(source)
    try:
        with Image.open(source) as image:
            return image.convert(mode)
    except FileNotFoundError:
        raise HumalignError(f"no picture at {name}: run `humalign doctor` to see what is missing") from None
    except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise HumalignError(f"cannot read the picture {name} ({error}): replace it or take it out") from None


def squash(image: Image.Image, size: int) -> Float[Tensor, "3 size size"]:
    """Resize a whole picture to a square, whatever its shape, as the official code does.

    Bicubic with a = -0.75 and no antialiasing, which is OpenCV's INTER_CUBIC; values in [0, 1], rounded
    to the 256 grey levels that OpenCV would give. Source: paper, Methods; official data pipeline.
    """
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None].float()
    if pixels.shape[-2:] != (size, size):
        pixels = interpolate(pixels, (size, size), mode="bicubic", align_corners=False, antialias=False)
    return pixels[0].round().clamp(0, 255) / 255
