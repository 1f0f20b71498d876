"""Labelled pictures by name: a folder of class folders or a .zip of one, a set of torchvision, a set of the Hugging Face hub.

A name is a path, ``torchvision:NAME[/SPLIT]`` (``torchvision:DTD/val``), or ``hf:OWNER/NAME[/SPLIT]``, where a folder on this machine may
stand in place of OWNER/NAME: one that the library ``datasets`` saved, or one of Parquet files. Without a split it is the pictures for
testing, where the set has such, else those for validation, else what its library takes. torchvision downloads below the data folder, the
hub's library into its own cache. Labels are the names of the classes; no picture is decoded before it is asked for, where the labels can
be had without.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from PIL import Image

from humalign import registry
from humalign.errors import HumalignError, nearest
from humalign.images import FolderImages, ImageSet, Subset, ZipImages, open_image
from humalign.weights import complaint

FORMS = "name a folder of class folders, a .zip of one, torchvision:NAME[/SPLIT] or hf:OWNER/NAME[/SPLIT]"
FULL_OR_CLOSED = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
FIRST_SPLITS = ("test", "val", "validation", "valid")
# Sets of torchvision that can be downloaded, but whose pictures have no one class each, or which are films, pairs or patches; and one
# of 200 GB.
NO_CLASSES = frozenset(
    "CelebA INaturalist Kinetics Kitti LFWPairs Middlebury2014Stereo MovingMNIST PhotoTour SBDataset SBU VOCDetection VOCSegmentation "
    "WIDERFace".split()
)


class _NoSplitError(Exception):
    """Signal that a set of torchvision has no split of a name; its text gives those that it has."""


def find(name: str) -> ImageSet:
    """Return a labelled image set by its name; ``class`` in its labels is each picture's class.

    Args:
        name: a path, ``torchvision:NAME[/SPLIT]`` or ``hf:OWNER/NAME[/SPLIT]``.

    Raises:
        HumalignError: there is none of that name or split, it cannot be had, or its pictures have no one class each.
    """
    library, _, rest = name.partition(":")
    if library in LIBRARIES and rest:
        return LIBRARIES[library](name, rest)
    path = Path(name).expanduser()
    if path.is_dir():
        return FolderImages(path)
    if path.is_file():
        return ZipImages(path)
    raise HumalignError(f"no labelled set {name!r}: {FORMS}")


def short(name: str) -> str:
    """Return what a set is called in tables: of a path its last part without ``.zip``, else the whole name."""
    path = Path(name).expanduser()
    return path.resolve().name.removesuffix(".zip") if path.exists() else name


def spread(images: ImageSet, most: int, seed: int) -> Subset:
    """Return at most so many pictures of a set, spread evenly over its classes, which keep their shares of it.

    Args:
        images: labelled by ``class``.
        most: pictures to keep.
        seed: of which pictures of a class are kept.
    """
    shuffled = np.random.default_rng(seed).permutation(len(images))
    by_class = shuffled[np.argsort(images.labels["class"].to_numpy(dtype=str)[shuffled], kind="stable")]
    return Subset(images, np.sort(by_class[np.linspace(0, len(images) - 1, min(most, len(images))).astype(int)]))


def _named(name: str, targets: Int[np.ndarray, " images"], classes: Sequence[Any]) -> pd.DataFrame:
    """Return the labels of pictures by the numbers of their classes; a class without a name is called by its number."""
    if (targets < 0).any():
        raise HumalignError(f"{name} has {(targets < 0).sum()} pictures without a class: name another split")
    names = [", ".join(each) if isinstance(each, tuple) else str(each) for each in classes]
    if len(set(names)) < len(names):  # two classes of ImageNet are called crane
        names = [f"{number} {each}" for number, each in enumerate(names)]
    return pd.DataFrame({"class": [names[target] if target < len(names) else str(target) for target in targets.tolist()]})


# ---- torchvision -----------------------------------------------------------------------------------------------------


class TorchvisionImages:
    """Pictures of a set of torchvision, as it gives them.

    Args:
        name: in messages.
        whole: of ``torchvision.datasets``, without transforms.
        folder: where its files are.

    Raises:
        HumalignError: its targets are no one class a picture; a damaged picture is told when it is read.
    """

    def __init__(self, name: str, whole: Any, folder: Path) -> None:
        self.name, self.whole, self.folder = name, whole, folder
        with _one_line(name, f"delete {folder}, then run the same command again"):
            self._targets = _targets(whole)
        if self._targets.ndim != 1 or not np.issubdtype(self._targets.dtype, np.integer):
            raise HumalignError(f"{name} has no one class a picture, only {self._targets[:1].tolist()}: name a set for classification")
        self.labels = _named(name, self._targets, getattr(whole, "classes", getattr(whole, "categories", ())))

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int) -> Image.Image:
        with _one_line(f"picture {index} of {self.name}", f"delete {self.folder}, then run the same command again"):
            picture, target = self.whole[index]
            picture = picture.convert("RGB")
        # Where the targets were read at once, in an attribute that every set calls otherwise, this tells a wrong one.
        if int(target) != self._targets[index]:
            raise HumalignError(f"{self.name} gives class {int(target)} with picture {index} and lists {self._targets[index]}")
        return picture


def _torchvision(name: str, rest: str) -> ImageSet:
    from torchvision import datasets

    plain, _, split = rest.partition("/")
    known = {each: getattr(datasets, each) for each in datasets.__all__}
    known = {each: made for each, made in known.items() if "download" in inspect.signature(made).parameters and each not in NO_CLASSES}
    if plain not in known:
        raise HumalignError(f"unknown set {plain!r} of torchvision: {nearest(plain, known)}")
    folder = registry.data_folder() / "torchvision" / plain
    return TorchvisionImages(name, _of_split(name, known[plain], folder, split), folder)


def _of_split(name: str, made: Callable[..., Any], folder: Path, split: str) -> Any:
    """Return one split of a set of torchvision; sets call it ``split``, or ``train``, or have none."""
    takes = inspect.signature(made).parameters
    if "split" in takes:
        for usual in () if split else FIRST_SPLITS:
            with contextlib.suppress(_NoSplitError):
                return _brought(name, made, folder, {"split": usual})
        try:
            return _brought(name, made, folder, {"split": split} if split else {})
        except _NoSplitError as error:
            raise HumalignError(f"{name} has no split {split!r}: {error}") from None
    if split and "train" not in takes:
        raise HumalignError(f"{name}: this set has no splits: write {name.removesuffix(f'/{split}')}")
    if split not in ("", "train", "test"):
        raise HumalignError(f"{name} has no split {split!r}: {nearest(split, ('train', 'test'))}")
    return _brought(name, made, folder, {"train": split == "train"} if "train" in takes else {})


def _brought(name: str, made: Callable[..., Any], folder: Path, options: dict[str, Any]) -> Any:
    """Return a set of torchvision, downloaded where it is not there."""
    # Some sets unpack once more, or refuse to, when they are asked to download what is there.
    with _one_line(name, f"delete {folder}, then run the same command again"), contextlib.suppress(RuntimeError, OSError):
        return made(folder, **options)
    mend = f"connect to the network, or put its files into {folder}, in torchvision's layout"
    with _one_line(name, mend), contextlib.redirect_stdout(sys.stderr):
        folder.mkdir(parents=True, exist_ok=True)
        return made(folder, **options, download=True)


def _targets(whole: Any) -> np.ndarray:
    """Return the targets of all pictures, without decoding these where the set keeps a list of them."""
    lists = (getattr(whole, each, None) for each in ("targets", "_labels", "labels", "y"))
    pairs = (getattr(whole, each, None) for each in ("_samples", "samples"))
    for found in (*lists, *([pair[1] for pair in each] for each in pairs if isinstance(each, list))):
        if found is not None and len(found) == len(whole) and np.ndim(found) == 1 and np.issubdtype(np.asarray(found).dtype, np.integer):
            return np.asarray(found)
    return np.array([whole[index][1] for index in range(len(whole))])


# ---- the Hugging Face hub --------------------------------------------------------------------------------------------


class HubImages:
    """Pictures of a set of the library ``datasets``, by its one column of pictures and its one column of classes.

    Args:
        name: in messages.
        rows: a ``datasets.Dataset``.

    Raises:
        HumalignError: none or several such columns; a damaged picture is told when it is read.
    """

    def __init__(self, name: str, rows: Any) -> None:
        import datasets

        self.name, self._column = name, _column(name, rows, datasets.Image, "pictures (Image)")
        label = _column(name, rows, datasets.ClassLabel, "classes (ClassLabel)")
        # Decoded here, so that a picture is the same whichever way it comes.
        self.rows = rows.cast_column(self._column, datasets.Image(decode=False))
        targets = np.array([-1 if each is None else each for each in rows.select_columns([label])[label]], dtype=int)
        self.labels = _named(name, targets, rows.features[label].names)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Image.Image:
        with _one_line(f"picture {index} of {self.name}", "fetch the set again"):
            file = self.rows[index][self._column] or {}
        if not file.get("bytes") and not file.get("path"):
            raise HumalignError(f"{self.name} has no picture in row {index}: take the row out")
        return open_image(io.BytesIO(file["bytes"]) if file.get("bytes") else file["path"], f"{index} of {self.name}")


def _column(name: str, rows: Any, kind: type, what: str) -> str:
    found = [column for column, feature in rows.features.items() if isinstance(feature, kind)]
    if len(found) != 1:
        there = ", ".join(f"{column} ({type(feature).__name__})" for column, feature in rows.features.items())
        said = f"several columns of {what}, {', '.join(found)}" if found else f"no column of {what}"
        raise HumalignError(f"{name} has {said}; its columns are {there}: save it with one (save_to_disk), and write hf:FOLDER")
    return found[0]


def _hub(name: str, rest: str) -> ImageSet:
    try:
        import datasets
    except ImportError:
        raise HumalignError(f"{name} needs the library datasets: pip install datasets") from None
    place, split = _place(name, rest)
    saved = any((Path(place) / each).is_file() for each in ("dataset_dict.json", "state.json"))
    mend = "is the name right? else connect to the network, or write hf:FOLDER of a set that is on this machine"
    with _one_line(name, mend), contextlib.redirect_stdout(sys.stderr):
        found = datasets.load_from_disk(place) if saved else datasets.load_dataset(place)
    if isinstance(found, datasets.Dataset):
        found = {str(found.split or "all"): found}
    if split and split not in found:
        raise HumalignError(f"{name} has no split {split!r}: {nearest(split, found)}")
    chosen = split or next((each for each in FIRST_SPLITS if each in found), next(iter(found)))
    return HubImages(name, found[chosen])


def _place(name: str, rest: str) -> tuple[str, str]:
    """Return the folder or the hub's OWNER/NAME, and the split behind it."""
    folder = Path(rest).expanduser()
    if folder.is_dir():
        return str(folder), ""
    if folder.parent.is_dir() and folder.parent != Path():
        return str(folder.parent), folder.name
    parts = rest.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise HumalignError(f"{name}: write hf:OWNER/NAME, hf:OWNER/NAME/SPLIT or hf:FOLDER")
    return "/".join(parts[:2]), "".join(parts[2:])


LIBRARIES: dict[str, Callable[[str, str], ImageSet]] = {"torchvision": _torchvision, "hf": _hub}


@contextlib.contextmanager
def _one_line(what: str, mend: str) -> Iterator[None]:
    """Turn a library's failure to fetch or to read into one line."""
    try:
        yield
    except (HumalignError, MemoryError):
        raise
    except Exception as error:  # the libraries, and the network and the decoders below them, each raise their own
        if isinstance(error, ValueError) and "for argument split" in str(error):
            raise _NoSplitError(complaint(error).partition("split. ")[2] or complaint(error)) from None
        if isinstance(error, OSError) and error.errno in FULL_OR_CLOSED:
            mend = f"free some space, or set {registry.DATA} (of the hub's sets HF_HOME) to a folder of your own"
        raise HumalignError(f"cannot read {what} ({complaint(error)}): {mend}") from None
