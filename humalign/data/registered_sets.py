"""The registered labelled sets, and people's labels of CIFAR-10.

Sets are read by the names of their files, so that a copy may hold fewer pictures than its home.
"""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from jaxtyping import Float

from humalign.data import listing, registry
from humalign.data.combined import Held
from humalign.data.datafiles import AGAIN, parsed
from humalign.data.images import FolderImages, ImageSet, Subset, ZipImages
from humalign.data.judgments import first
from humalign.errors import HumalignError, complaint, nearest

# In the order of the columns of CIFAR-10H, which is CIFAR-10's own and ascending.
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_IMAGES = 10_000
CIFAR10_BATCHES = "cifar-10-batches-py"
# People's most frequent label is the official one on 99.2 % of all pictures; in another order on about 10 %.
LEAST_MAJORITY = 0.95
FULL_OR_CLOSED = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
OR_FETCH = "or run `humalign fetch cifar10`"


@contextlib.contextmanager
def one_line(what: str, mend: str) -> Iterator[None]:
    """Turn a library's failure to fetch or to read into one line."""
    try:
        yield
    except (HumalignError, MemoryError):
        raise
    except Exception as error:  # the libraries, the network and the decoders below them each raise their own
        if isinstance(error, OSError) and error.errno in FULL_OR_CLOSED:
            mend = f"set {registry.DATA} (of the hub's sets HF_HOME) to a folder of your own"
            mend = f"free some space, or {mend}"
        raise HumalignError(f"cannot read {what} ({complaint(error)}): {mend}") from None


def _again(path: Path, source: str) -> str:
    return f"move {path} away, then run `humalign fetch {source}`"


# ---- CIFAR-10 ----------------------------------------------------------------------------------------------


def cifar10(path: Path) -> ImageSet:
    """Return CIFAR-10's test pictures by class, then by ``index``, the place in the original test order.

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

    mend = _again(path, "cifar10")
    with one_line(str(path), mend):
        try:
            whole = Batches(path.parent, train=False)
        except RuntimeError:
            raise HumalignError(f"{path} lacks a file of CIFAR-10, or holds an altered one: {mend}") from None
    names = [f"{whole.classes[target]}/{index:05d}.png" for index, target in enumerate(whole.targets)]
    return Held(list(whole.data), cifar10_labels(names, path))


def _cifar10_classes(path: Path) -> ImageSet:
    whole: FolderImages | ZipImages = FolderImages(path) if path.is_dir() else ZipImages(path)
    whole.labels = cifar10_labels(whole.labels["file"], path)
    if missing := [name for name in CIFAR10 if name not in set(whole.labels["class"])]:
        raise HumalignError(f"{path} holds no pictures of {missing[0]}: {_again(path, 'cifar10')}")
    return whole


def cifar10_labels(files: Iterable[str], origin: str | Path) -> pd.DataFrame:
    """Return ``file``, ``class`` and ``index`` of test pictures by names such as ``cat/00000.jpg``.

    Args:
        files: a name ends in its class and its place in the original test order, from 0.
        origin: where they lie, in messages.

    Raises:
        HumalignError: an unknown class, a name that is no place in the order, or a place of two pictures.
    """
    seen: dict[int, tuple[str, str]] = {}
    for file in files:
        name, stem = PurePosixPath(file).parent.name, PurePosixPath(file).stem
        if name not in CIFAR10:
            what = f"{name!r} is no class of CIFAR-10"
            raise HumalignError(f"{file} in {origin}: {what}: {nearest(name, CIFAR10)}")
        if not re.fullmatch("[0-9]{1,9}", stem) or int(stem) >= CIFAR10_IMAGES:
            place = f"its place in CIFAR-10's test order, 0 to {CIFAR10_IMAGES - 1}"
            raise HumalignError(f"{file} in {origin} is not named by {place}: name it so, {OR_FETCH}")
        if int(stem) in seen:
            why = "have the same place in CIFAR-10's test order: name each by its own"
            raise HumalignError(f"{seen[int(stem)][0]} and {file} in {origin} {why}, {OR_FETCH}")
        seen[int(stem)] = file, name
    return pd.DataFrame([(*each, index) for index, each in seen.items()], columns=["file", "class", "index"])


def cifar10h(path: str | Path) -> Float[np.ndarray, "10000 10"]:
    """Read which share of about 50 people gave each label to each test picture of CIFAR-10.

    Returns:
        A row a picture, in the original test order; a column a class, in the order of ``CIFAR10``.

    Raises:
        HumalignError: another shape, or a row that is no distribution.

    Source: ``data/cifar10h-probs.npy`` of github.com/jcpeterson/cifar-10h.
    """
    shares = parsed(path, lambda path: np.load(path, allow_pickle=False)[:])
    if shares.dtype.kind != "f" or shares.shape != (CIFAR10_IMAGES, len(CIFAR10)):
        held, wanted = f"{shares.dtype} of shape {shares.shape}", f"pictures of {len(CIFAR10)} classes"
        raise HumalignError(f"{path}: {held} for {CIFAR10_IMAGES} {wanted}: {AGAIN}")
    shares = shares.astype(np.float64)
    if (row := first(~(shares >= 0) | (np.abs(shares.sum(1, keepdims=True) - 1) > 1e-6))) is not None:
        shown = np.round(shares[row], 3).tolist()
        raise HumalignError(f"{path}, row {row + 1}: {shown} is no distribution: {AGAIN}")
    return shares


def of_pictures(shares: Float[np.ndarray, "10000 10"], labels: pd.DataFrame) -> Float[np.ndarray, "m 10"]:
    """Return people's shares of the pictures at hand, joined by ``index``, and checked against ``class``.

    A wrong order of pictures gives plausible scores, so the join is checked.

    Args:
        shares: as `cifar10h` reads them.
        labels: of pictures, with ``index``, the place in the original test order from 0, and ``class``.

    Raises:
        HumalignError: people's most frequent label is the class of less than 95 % (one may always differ).
    """
    found = shares[labels["index"].to_numpy(dtype=int)]
    agree = np.array(CIFAR10)[found.argmax(1)] == labels["class"].to_numpy(dtype=str)
    if (~agree).sum() > max(1.0, (1 - LEAST_MAJORITY) * len(agree)):
        why = f"of {len(agree)}, people's most frequent label is the class of only {agree.sum()}"
        mend = f"name each picture by its place in the original order, {OR_FETCH}"
        raise HumalignError(f"these pictures are not in CIFAR-10's original test order: {why}: {mend}")
    return found


# ---- class folders -----------------------------------------------------------------------------------------


def dtd(path: Path) -> ImageSet:
    """Return the describable textures (``dtd/images/CLASS/*.jpg``) by class and name, of all splits."""
    return _class_folders(path, "dtd/images", "dtd")


def caltech101(path: Path) -> ImageSet:
    """Return Caltech-101 (``101_ObjectCategories/CLASS/image_NNNN.jpg``) without its background class."""
    return _class_folders(path, "101_ObjectCategories", "caltech101", without="BACKGROUND_Google")


def _class_folders(path: Path, inside: str, source: str, without: str = "") -> Subset:
    """Return pictures in class folders, each of which must hold some, but for one that is left out."""
    root, again = path / inside, _again(path, source)
    with one_line(str(root), again):
        if not root.is_dir():
            raise HumalignError(f"{path} holds no folder {inside}: {again}")
        there = (each.name for each in root.iterdir() if each.is_dir() and not listing.hidden(each.name))
        folders = sorted(name for name in there if name != without)
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


SETS: dict[str, Callable[[Path], ImageSet]] = {"cifar10": cifar10, "dtd": dtd, "caltech101": caltech101}


def pictures(source: str) -> ImageSet:
    """Return a registered labelled set; its labels are ``file``, ``class`` and, of CIFAR-10, ``index``.

    Raises:
        HumalignError: it is missing, or has not the layout of its home.
    """
    return SETS[source](registry.locate(source))
