"""Labelled pictures: the registered sets, and any other by name: a folder, a .zip, a set of torchvision or of the Hugging Face hub.

The registered sets (`SETS`) are read by the names of their files, so that a copy may hold fewer pictures than its home.

Another set has a name, which is a path, ``torchvision:NAME[/SPLIT]`` (``torchvision:DTD/val``), or ``hf:OWNER/NAME[/SPLIT]``, where a
folder on this machine may stand in place of OWNER/NAME: one that the library ``datasets`` saved, or one of Parquet files. Without a split
it is the pictures for testing, where the set has such, else those for validation, else what its library takes. A set of torchvision is
looked for in ``torchvision/NAME`` of the data folder, then in ``torchvision`` itself; the hub's library has its own cache. Labels are
the names of the classes; no picture is decoded before it is asked for, where the labels can be had without.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, UInt8
from PIL import Image

from humalign.data import registry
from humalign.data.images import FolderImages, ImageSet, Subset, ZipImages, hidden, open_image
from humalign.data.readers_labels import CIFAR10, CIFAR10_IMAGES
from humalign.errors import HumalignError, complaint, nearest

FORMS = "name a folder of class folders, a .zip of one, torchvision:NAME[/SPLIT] or hf:OWNER/NAME[/SPLIT]"
FULL_OR_CLOSED = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
FIRST_SPLITS = ("test", "val", "validation", "valid")
# Sets of torchvision that can be downloaded, but whose pictures have no one class each, or which are films, pairs or patches; and one
# of 200 GB.
NO_CLASSES = frozenset(
    "CelebA INaturalist Kinetics Kitti LFWPairs Middlebury2014Stereo MovingMNIST PhotoTour SBDataset SBU VOCDetection VOCSegmentation "
    "WIDERFace".split()
)
# Sets that are downloaded into the folder ``torchvision`` itself, and their folders in it: there the registered ones lie.
TOGETHER = {"CIFAR10": "cifar-10-batches-py", "DTD": "dtd", "Caltech101": "caltech101"}
# torchvision makes an empty folder of this name where it looks for the set in vain.
MADE = {"Caltech256": "caltech256"}


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


# ---- registered sets -------------------------------------------------------------------------------------------------


class _Pixels:
    """Pictures in memory, as (images, height, width, 3)."""

    def __init__(self, pixels: UInt8[np.ndarray, "images height width 3"], labels: pd.DataFrame) -> None:
        self.pixels, self.labels = pixels, labels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels[index])


def pictures(source: str) -> ImageSet:
    """Return a registered labelled set; its labels are ``file`` and ``class``, and of CIFAR-10 also ``index``.

    Raises:
        HumalignError: it is missing, or has not the layout of its home.
    """
    return SETS[source](registry.locate(source))


def evenly(images: ImageSet, most: int) -> Subset:
    """Return at most so many pictures of a set, at even steps through its order."""
    return Subset(images, np.linspace(0, len(images) - 1, min(most, len(images))).astype(int))


def cifar10(path: Path) -> ImageSet:
    """Return the test pictures of CIFAR-10, by class, then by place in the original test order, which is ``index`` in the labels.

    Args:
        path: torchvision's folder of batches, or a folder or a .zip of class folders, in which a picture is named by its index.

    Raises:
        HumalignError: no such layout, a class without pictures, or what `cifar10_labels` refuses.
    """
    whole = _cifar10_batches(path) if path.name == TOGETHER["CIFAR10"] else _cifar10_classes(path)
    return Subset(whole, whole.labels.sort_values(["class", "index"]).index.to_numpy())


def _cifar10_batches(path: Path) -> ImageSet:
    from torchvision.datasets import CIFAR10 as Batches

    with _one_line(str(path), _again(path, "cifar10")):
        try:
            whole = Batches(path.parent, train=False)
        except RuntimeError:
            raise HumalignError(f"{path} lacks a file of CIFAR-10, or holds an altered one: {_again(path, 'cifar10')}") from None
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
    """Return ``file``, ``class`` and ``index`` of test pictures of CIFAR-10 by their names, as ``cat/00000.jpg``.

    Args:
        files: a name ends in its class and its place in the original test order, from 0.
        origin: where they lie, in messages.

    Raises:
        HumalignError: an unknown class, a name that is no place in the order, or a place that two pictures have.
    """
    seen: dict[int, str] = {}
    for file in files:
        name, stem = PurePosixPath(file).parent.name, PurePosixPath(file).stem
        if name not in CIFAR10:
            raise HumalignError(f"{file} in {origin}: {name!r} is no class of CIFAR-10: {nearest(name, CIFAR10)}")
        if not re.fullmatch("[0-9]{1,9}", stem) or int(stem) >= CIFAR10_IMAGES:
            place = f"its place in CIFAR-10's test order, 0 to {CIFAR10_IMAGES - 1}"
            raise HumalignError(f"{file} in {origin} is not named by {place}: name it so, or run `humalign fetch cifar10`")
        if int(stem) in seen:
            place = "have the same place in CIFAR-10's test order: name each by its own"
            raise HumalignError(f"{seen[int(stem)]} and {file} in {origin} {place}, or run `humalign fetch cifar10`")
        seen[int(stem)] = file
    listed = [(file, PurePosixPath(file).parent.name, index) for index, file in seen.items()]
    return pd.DataFrame(listed, columns=["file", "class", "index"])


def dtd(path: Path) -> ImageSet:
    """Return the describable textures by class and name, whichever there are: torchvision's lists of splits are not read.

    Args:
        path: holds ``dtd/images/CLASS/*.jpg``.
    """
    return _class_folders(path, "dtd/images", "dtd")


def caltech101(path: Path) -> ImageSet:
    """Return the pictures of Caltech-101 by class and name, without its background class; torchvision counts them instead.

    Args:
        path: holds ``101_ObjectCategories/CLASS/image_NNNN.jpg``.
    """
    return _class_folders(path, "101_ObjectCategories", "caltech101", without="BACKGROUND_Google")


def _class_folders(path: Path, inside: str, source: str, without: str = "") -> Subset:
    """Return pictures in class folders, each of which must hold some, but for one that is left out."""
    root, again = path / inside, _again(path, source)
    with _one_line(str(root), again):
        if not root.is_dir():
            raise HumalignError(f"{path} holds no folder {inside}: {again}")
        folders = sorted(each.name for each in root.iterdir() if each.is_dir() and each.name != without and not hidden(each.name))
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


# ---- torchvision -----------------------------------------------------------------------------------------------------


class TorchvisionImages:
    """Pictures of a set of torchvision, as it gives them.

    Args:
        name: in messages.
        whole: of ``torchvision.datasets``, without transforms.
        mend: of damaged files, in messages.

    Raises:
        HumalignError: its targets are no one class a picture; a damaged picture is refused when it is read.
    """

    def __init__(self, name: str, whole: Any, mend: str) -> None:
        self.name, self.whole, self.mend = name, whole, mend
        with _one_line(name, mend):
            self._targets = _targets(whole)
        if self._targets.ndim != 1 or not np.issubdtype(self._targets.dtype, np.integer):
            raise HumalignError(f"{name} has no one class a picture, only {self._targets[:1].tolist()}: name a set for classification")
        self.labels = _named(name, self._targets, getattr(whole, "classes", getattr(whole, "categories", ())))

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int) -> Image.Image:
        with _one_line(f"picture {index} of {self.name}", self.mend):
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
    if plain == "Caltech101" and not split:
        return _caltech101(name, known[plain])
    return _of_split(name, known[plain], split)


def _caltech101(name: str, made: Callable[..., Any]) -> ImageSet:
    """Return Caltech-101 by the names of its files: torchvision counts them, and takes a copy with gaps for another set."""
    shared = registry.data_folder() / "torchvision"
    places = [root / "caltech101" for root in (shared / "Caltech101", shared)]
    for path in places:
        if (path / "101_ObjectCategories").is_dir():
            return caltech101(path)
    _downloaded(name, made, shared, {})
    return caltech101(places[-1])


def _of_split(name: str, made: Callable[..., Any], split: str) -> TorchvisionImages:
    """Return one split of a set of torchvision; sets call it ``split``, or ``train``, or have none."""
    takes = inspect.signature(made).parameters
    if "split" in takes:
        for usual in () if split else FIRST_SPLITS:
            with contextlib.suppress(_NoSplitError):
                return _brought(name, made, {"split": usual})
        try:
            return _brought(name, made, {"split": split} if split else {})
        except _NoSplitError as error:
            raise HumalignError(f"{name} has no split {split!r}: {error}") from None
    if split and "train" not in takes:
        raise HumalignError(f"{name}: this set has no splits: write {name.removesuffix(f'/{split}')}")
    if split not in ("", "train", "test"):
        raise HumalignError(f"{name} has no split {split!r}: {nearest(split, ('train', 'test'))}")
    return _brought(name, made, {"train": split == "train"} if "train" in takes else {})


def _brought(name: str, made: Callable[..., Any], options: dict[str, Any]) -> TorchvisionImages:
    """Return a set of torchvision from its own folder, else from the one that sets share, else downloaded."""
    shared, plain = registry.data_folder() / "torchvision", made.__name__
    for folder in (shared / plain, shared):
        if not folder.is_dir() or (plain in MADE and not (folder / MADE[plain]).is_dir()):
            continue
        # Some sets unpack once more, or refuse to, when they are asked to download what is there.
        with _one_line(name, _mend(folder)), contextlib.suppress(RuntimeError, OSError):
            return TorchvisionImages(name, made(folder, **options), _mend(folder))
    folder = shared if plain in TOGETHER else shared / plain
    return TorchvisionImages(name, _downloaded(name, made, folder, options), _mend(folder))


def _mend(folder: Path) -> str:
    which = "the files of this set in " if folder.name == "torchvision" else ""
    return f"delete {which}{folder}, then run the same command again"


def _downloaded(name: str, made: Callable[..., Any], folder: Path, options: dict[str, Any]) -> Any:
    mend = f"connect to the network, or put its files into {folder}, in torchvision's layout"
    with _one_line(name, mend), contextlib.redirect_stdout(sys.stderr):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return made(folder, **options, download=True)
        finally:  # of a failed download no empty folder may stay: one of a registered set would look like the set
            inside = TOGETHER.get(made.__name__)
            for each in [folder / inside] if inside else [*folder.iterdir(), folder]:
                with contextlib.suppress(OSError):
                    each.rmdir()


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
