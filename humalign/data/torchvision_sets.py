"""Labelled sets of torchvision, found on this machine or downloaded."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from PIL import Image

from humalign.data import listing, registry
from humalign.data.decoding import as_seen
from humalign.data.images import ImageSet
from humalign.data.registered_sets import CIFAR10_BATCHES, caltech101, one_line
from humalign.errors import HumalignError, complaint, nearest

FIRST_SPLITS = ("test", "val", "validation", "valid")
# Sets that can be downloaded, but are films, pairs, patches or 200 GB, or have no one class a picture.
NO_CLASSES = frozenset(
    "CelebA INaturalist Kinetics Kitti LFWPairs Middlebury2014Stereo MovingMNIST PhotoTour SBDataset SBU "
    "VOCDetection VOCSegmentation WIDERFace".split()
)
# Sets that lie in the folder ``torchvision`` itself, as the registered ones do, and their folders there.
TOGETHER = {"CIFAR10": CIFAR10_BATCHES, "DTD": "dtd", "Caltech101": "caltech101"}
# torchvision makes an empty folder of this name where it looks for the set in vain.
MADE = {"Caltech256": "caltech256"}


class NoSplitError(HumalignError):
    """Signal that a set of torchvision has no split of a name; its text gives those that it has."""


def named(name: str, targets: Int[np.ndarray, " images"], classes: Sequence[Any]) -> pd.DataFrame:
    """Return the labels of pictures by the numbers of their classes; one without a name is called by that."""
    if (targets < 0).any():
        raise HumalignError(f"{name} has {(targets < 0).sum()} pictures without a class: name another split")
    names = [", ".join(each) if isinstance(each, tuple) else str(each) for each in classes]
    if len(set(names)) < len(names):  # two classes of ImageNet are called crane
        names = [f"{number} {each}" for number, each in enumerate(names)]
    return numbered([names[target] if target < len(names) else str(target) for target in targets.tolist()])


def numbered(classes: Sequence[str]) -> pd.DataFrame:
    """Return the labels of pictures without files: each is named by its class and its place in the set."""
    files = [f"{name.replace('/', '-')}/{place:07}" for place, name in enumerate(classes)]
    return pd.DataFrame({"file": files, "class": list(classes)})


class TorchvisionImages(ImageSet):
    """Pictures of a set of torchvision as people see them; most sets have dropped transparency by then.

    Args:
        name, mend: in messages; how damaged files are mended.
        whole: of ``torchvision.datasets``, without transforms.

    Raises:
        HumalignError: its targets are no one class a picture; a damaged picture is refused when it is read.
    """

    def __init__(self, name: str, whole: Any, mend: str) -> None:
        self.name, self.whole, self.mend = name, whole, mend
        with one_line(name, mend):
            self._targets = _targets(whole)
        _check_leftovers(name, whole)
        if self._targets.ndim != 1 or not np.issubdtype(self._targets.dtype, np.integer):
            only = f"only {self._targets[:1].tolist()}"
            raise HumalignError(f"{name} has no one class a picture, {only}: name a set for classification")
        self.labels = named(name, self._targets, getattr(whole, "classes", getattr(whole, "categories", ())))

    def __getitem__(self, index: int) -> Image.Image:
        with one_line(f"picture {index} of {self.name}", self.mend):
            picture, target = self.whole[index]
            picture = as_seen(picture)
        # Every set calls the attribute of its targets otherwise: this tells a wrong one.
        if int(target) != (listed := self._targets[index]):
            gives = f"gives class {int(target)} with picture {index} and lists {listed}"
            raise HumalignError(f"{self.name} {gives}")
        return picture


def find(name: str, rest: str, fetch: bool = True, labelled: bool = True) -> ImageSet:
    """Return a set of torchvision, ``NAME`` or ``NAME/SPLIT``; every one has classes.

    Args:
        name: in messages.
        fetch: download it where it is not here.
    """
    from torchvision import datasets

    plain, _, split = rest.partition("/")
    known = {each: getattr(datasets, each) for each in datasets.__all__ if each not in NO_CLASSES}
    known = {each: made for each, made in known.items() if "download" in inspect.signature(made).parameters}
    if plain not in known:
        raise HumalignError(f"unknown set {plain!r} of torchvision: {nearest(plain, known)}")
    if plain == "Caltech101" and not split:
        return _caltech101(name, known[plain], fetch)
    return _of_split(name, known[plain], split, fetch)


def _caltech101(name: str, made: Callable[..., Any], fetch: bool) -> ImageSet:
    """Return Caltech-101 by the names of its files: torchvision counts them, and gaps shift its pictures."""
    shared = registry.data_folder() / "torchvision"
    places = [root / "caltech101" for root in (shared / "Caltech101", shared)]
    for path in places:
        if (path / "101_ObjectCategories").is_dir():
            return caltech101(path)
    _downloaded(name, made, shared, {}, fetch)
    return caltech101(places[-1])


def _of_split(name: str, made: Callable[..., Any], split: str, fetch: bool) -> TorchvisionImages:
    """Return one split of a set of torchvision; sets call it ``split``, or ``train``, or have none."""
    takes = inspect.signature(made).parameters
    if "split" in takes:
        for usual in () if split else FIRST_SPLITS:
            with contextlib.suppress(NoSplitError):
                return _brought(name, made, {"split": usual}, fetch)
        try:
            return _brought(name, made, {"split": split} if split else {}, fetch)
        except NoSplitError as error:
            raise HumalignError(f"{name} has no split {split!r}: {error}") from None
    if split and "train" not in takes:
        raise HumalignError(f"{name}: this set has no splits: write {name.removesuffix(f'/{split}')}")
    if split not in ("", "train", "test"):
        raise HumalignError(f"{name} has no split {split!r}: {nearest(split, ('train', 'test'))}")
    return _brought(name, made, {"train": split == "train"} if "train" in takes else {}, fetch)


def _brought(name: str, made: Callable[..., Any], options: dict[str, Any], fetch: bool) -> TorchvisionImages:
    """Return a set of torchvision from its own folder, else from the one that sets share, else downloaded."""
    shared, plain = registry.data_folder() / "torchvision", made.__name__
    for folder in (shared / plain, shared):
        if not folder.is_dir() or (plain in MADE and not (folder / MADE[plain]).is_dir()):
            continue
        # Some sets unpack once more, or refuse to, when they are asked to download what is there.
        with one_line(name, _mend(folder)), contextlib.suppress(RuntimeError, OSError), _splits():
            return TorchvisionImages(name, made(folder, **options), _mend(folder))
    folder = shared if plain in TOGETHER else shared / plain
    return TorchvisionImages(name, _downloaded(name, made, folder, options, fetch), _mend(folder))


@contextlib.contextmanager
def _splits() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        if "for argument split" in str(error):
            raise NoSplitError(complaint(error).partition("split. ")[2] or complaint(error)) from None
        raise


def _check_leftovers(name: str, whole: Any) -> None:
    """Raise where torchvision took what systems leave beside pictures for pictures, or for a class."""
    samples = (getattr(whole, which, None) for which in ("samples", "_samples"))
    pairs: list[Any] = next((each for each in samples if isinstance(each, list)), [])
    files = [*(pair[0] for pair in pairs), *(getattr(whole, "_image_files", ()) or ())]
    below = (str(file).removeprefix(str(getattr(whole, "root", ""))) for file in files)
    for path in (*map(str, getattr(whole, "classes", ()) or ()), *below):
        for part in Path(path).parts:
            if part not in ("..", "/") and listing.hidden(part):
                mend = "delete it, then run the same command again"
                raise HumalignError(f"{name} holds {part}, which is none of its pictures: {mend}")


def _mend(folder: Path) -> str:
    which = "the files of this set in " if folder.name == "torchvision" else ""
    return f"delete {which}{folder}, then run the same command again"


def _downloaded(
    name: str, made: Callable[..., Any], folder: Path, options: dict[str, Any], fetch: bool
) -> Any:
    if not fetch:
        raise HumalignError(f"{name} is not in {folder}: humalign fetch {name}")
    mend = f"connect to the network, or put its files into {folder}, in torchvision's layout"
    with one_line(name, mend), contextlib.redirect_stdout(sys.stderr), _splits():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return made(folder, **options, download=True)
        finally:  # of a failed download no empty folder may stay: one of a registered set would look like it
            inside = TOGETHER.get(made.__name__)
            for each in [folder / inside] if inside else [*folder.iterdir(), folder]:
                with contextlib.suppress(OSError):
                    each.rmdir()


def _targets(whole: Any) -> np.ndarray:
    """Return the targets of all pictures, without decoding these where the set keeps a list of them."""
    lists = (getattr(whole, each, None) for each in ("targets", "_labels", "labels", "y"))
    pairs = (getattr(whole, each, None) for each in ("_samples", "samples"))
    for found in (*lists, *([pair[1] for pair in each] for each in pairs if isinstance(each, list))):
        if found is not None and len(found) == len(whole) and np.ndim(found) == 1:
            if np.issubdtype(np.asarray(found).dtype, np.integer):
                return np.asarray(found)
    return np.array([whole[index][1] for index in range(len(whole))])
