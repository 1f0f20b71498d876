"""Read and check the user's own copy of ImageNet 2012: class folders, or the archives as released.

The archive of the training pictures holds one archive a class. That of the validation pictures is flat, and
the devkit beside it tells the classes: line i of its ground truth is the number of the class of
``ILSVRC2012_val_0000000i.JPEG``, and ``meta.mat`` gives the WordNet id of each number. A folder ``val`` that
was unpacked without classes is read so, too.

Missing training pictures are named where a list of all lies beside: ``train_cls.txt``, as in
``ImageSets/CLS-LOC`` of the distribution for object localisation, lines of ``n01440764/n01440764_10026 1``.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from humalign.data import registry
from humalign.data.arrays import matlab
from humalign.data.listing import hidden
from humalign.data.registry import Source
from humalign.errors import HumalignError

TRAINING, VALIDATION = "imagenet-2012-training", "imagenet-2012-validation"
# Source: Russakovsky et al. (2015), table 2.
PICTURES = {TRAINING: 1_281_167, VALIDATION: 50_000}
CLASSES = 1_000
# The profiles' settings of how many pictures there are, which a rehearsal sets lower.
SETTINGS = {TRAINING: "imagenet_pictures", VALIDATION: "imagenet_validation"}
DEVKIT = "ILSVRC2012_devkit_t12"
# Source: torchvision/datasets/imagenet.py.
MD5 = {
    "ILSVRC2012_img_train.tar": "1d675b47d978889d74fa0da5fadfb00e",
    "ILSVRC2012_img_val.tar": "29b22e2961454d5413ddabcf34fc5622",
    f"{DEVKIT}.tar.gz": "fa75699e90414af021442c21a62c3abf",
}
LISTS = ("train_cls.txt", "ImageSets/CLS-LOC/train_cls.txt")
SUFFIXES = (".jpeg", ".jpg")
SHOWN = 3
BROKEN = (OSError, tarfile.TarError, EOFError, zlib.error)


def wanted(entry: Source, profile: Any) -> int:
    """Return how many pictures a profile's settings say there are."""
    return int(getattr(profile.data, SETTINGS[entry.name]))


def check(entry: Source, inside: bool = True, pictures: int | None = None) -> Path:
    """Return where ImageNet's training or validation pictures lie, after counting them.

    Args:
        inside: read an archive, to count its pictures and compare its checksum; False compares its size only.
        pictures: how many there must be; another number than ImageNet's is that of a rehearsal.

    Raises:
        HumalignError: no copy is named, one that is cut short, or of other pictures or classes.
    """
    path = registry.locate(entry.name)
    count = pictures or PICTURES[entry.name]
    official = count == PICTURES[entry.name]
    if path.is_file() and official:
        _check_size(path, entry)
        if inside:
            _check_md5(path, entry.name)
    if path.is_file() and not inside:
        if entry.name == VALIDATION:
            devkit_classes(path.parent, count)
        return path
    found = {name.rpartition(".")[0] for name in _names(path, entry.name, count)}
    classes = {name.partition("/")[0] for name in found}
    if len(found) == count and (len(classes) == CLASSES or not official):
        return path
    missing = sorted(_listed(path.parent) - found) if entry.name == TRAINING else []
    named = f" ({', '.join(missing[:SHOWN])}{', ...' if len(missing) > SHOWN else ''})" if missing else ""
    held = f"{path} holds {len(found):,} pictures in {len(classes):,} classes"
    gap = f"{said_gap(count - len(found))}{named}"
    raise HumalignError(f"{held} instead of {count:,} in {CLASSES:,}: {gap}; unpack the archive again")


def said_gap(gap: int) -> str:
    """Say how many pictures are missing, or are too many."""
    return f"{abs(gap):,} {'are too many' if gap < 0 else 'are missing'}"


def _check_size(path: Path, entry: Source) -> None:
    size = path.stat().st_size
    if entry.size is not None and size != entry.size:
        said = f"{path} has {size:,} bytes instead of {entry.size:,}"
        raise HumalignError(f"{said}: it is cut short, or another archive")


def _check_md5(path: Path, name: str) -> None:
    devkit = path.with_name(f"{DEVKIT}.tar.gz")
    for each in (path, *([devkit] if name == VALIDATION and devkit.is_file() else [])):
        if each.name in MD5:
            with open(each, "rb") as file:
                found = hashlib.file_digest(file, "md5").hexdigest()
            if found != MD5[each.name]:
                why = f"MD5 {found}, not {MD5[each.name]}"
                raise HumalignError(f"{each} is not the released file ({why}): fetch it again")


def _names(path: Path, name: str, count: int) -> Iterator[str]:
    """Yield every picture as ``CLASS/PICTURE.JPEG``."""
    if name == VALIDATION and (path.is_file() or loose(path)):
        yield from (each for each, *_ in flat(path, count))
    else:
        yield from (each for each, *_ in in_archive(path)) if path.is_file() else in_folders(path)


# ---- class folders, and one archive a class ----------------------------------------------------------------


def in_folders(root: Path) -> Iterator[str]:
    """Yield every picture of class folders as ``CLASS/PICTURE.JPEG``."""
    try:
        with os.scandir(root) as folders:
            for folder in folders:
                if folder.is_dir() and not hidden(folder.name):
                    with os.scandir(folder.path) as pictures:
                        yield from (f"{folder.name}/{each.name}" for each in pictures if _picture(each.name))
    except OSError as error:
        mend = "it should hold one folder a class"
        raise HumalignError(f"cannot read {root} ({error.strerror}): {mend}") from None


def in_archive(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield every picture of the archive of one archive a class: name, where it starts, and its bytes."""
    try:
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as outer:
            for archive in outer:
                if archive.name.endswith(".tar") and not hidden(PurePosixPath(archive.name).name):
                    file.seek(archive.offset_data)
                    with tarfile.open(fileobj=file, mode="r:") as inner:
                        name = PurePosixPath(archive.name).stem
                        yield from ((f"{name}/{each}", start, size) for each, start, size in _files(inner))
    except BROKEN as error:
        raise _unreadable(path, error, "one archive a class, as released") from None


def _files(archive: tarfile.TarFile) -> Iterator[tuple[str, int, int]]:
    """Yield the files of an archive, hidden ones left out: name, where it starts, and its bytes."""
    for member in archive:
        name = PurePosixPath(member.name).name
        if member.isfile() and not hidden(name):
            yield name, member.offset_data, member.size


# ---- validation pictures without class folders -------------------------------------------------------------


def flat(path: Path, pictures: int) -> Iterator[tuple[str, int, int]]:
    """Yield every validation picture of an archive or a folder without classes, as `in_archive` does.

    Args:
        path: of the archive or folder, beside which the devkit lies.
        pictures: how many there must be.
    """
    classes = devkit_classes(path.parent, pictures)
    found = _in_flat_archive(path) if path.is_file() else ((name, 0, 0) for name in loose(path))
    for name, start, size in found:
        number = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", name)
        if not number or not 1 <= int(number[1]) <= len(classes):
            said = f"{name[:60]!r} in {path} is none of ILSVRC2012_val_00000001.JPEG to {len(classes):08}"
            raise HumalignError(f"{said}: take it away, or fetch the archive again")
        yield f"{classes[int(number[1]) - 1]}/{name}", start, size


def _in_flat_archive(path: Path) -> Iterator[tuple[str, int, int]]:
    try:
        with open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            yield from (each for each in _files(archive) if _picture(each[0]))
    except BROKEN as error:
        raise _unreadable(path, error, "ILSVRC2012_img_val.tar as released") from None


def loose(folder: Path) -> list[str]:
    """Name the pictures that lie in a folder itself, none where it holds class folders."""
    try:
        with os.scandir(folder) as scanned:
            found = [each for each in scanned if not hidden(each.name)]
    except OSError:
        return []
    pictures = sorted(each.name for each in found if _picture(each.name))
    return [] if any(each.is_dir() for each in found) else pictures


def devkit_classes(root: Path, pictures: int) -> list[str]:
    """Return the WordNet id of each validation picture's class, in the order of their numbers.

    Args:
        root: the folder that holds the devkit, as released or unpacked.
        pictures: how many there must be.

    Raises:
        HumalignError: a devkit that is missing, damaged, of other pictures, or does not name a class it uses.

    Source: ``data/ILSVRC2012_validation_ground_truth.txt`` and ``data/meta.mat`` of the devkit; readme.txt in
    it: the ids of low-level synsets are 1 to 1000.
    """
    place, read = _devkit(root)
    truth = read("ILSVRC2012_validation_ground_truth.txt").decode("utf-8-sig", "replace").split()
    if len(truth) != pictures:
        what = f"a ground truth of {len(truth):,} pictures instead of {pictures:,}"
        raise HumalignError(f"{place}: {what}: fetch it again")
    wnids = _synsets(place, read("meta.mat"))
    for line, number in enumerate(truth, 1):
        if number not in wnids:
            what = f"line {line} of its ground truth is {number[:20]!r}, no class of meta.mat"
            raise HumalignError(f"{place}: {what}: fetch it again")
    return [wnids[number] for number in truth]


def _devkit(root: Path) -> tuple[Path, Callable[[str], bytes]]:
    """Return where the devkit lies, and a function that reads a file of its folder ``data``."""
    folder, archive = root / DEVKIT, root / f"{DEVKIT}.tar.gz"

    def unpacked(name: str) -> bytes:
        file = folder / "data" / name
        try:
            return file.read_bytes()
        except OSError as error:
            mend = f"unpack {archive.name} again"
            raise HumalignError(f"cannot read {file} ({error.strerror}): {mend}") from None

    def packed(name: str) -> bytes:
        try:
            with tarfile.open(archive, "r:gz") as found:
                member = found.extractfile(f"{DEVKIT}/data/{name}")
                return member.read() if member else b""
        except KeyError:
            raise HumalignError(f"no {DEVKIT}/data/{name} in {archive}: fetch it again") from None
        except BROKEN as error:
            raise _unreadable(archive, error, "the devkit as released") from None

    if folder.is_dir():
        return folder, unpacked
    if archive.is_file():
        return archive, packed
    said = "the validation pictures lie there without class folders, and it tells their classes"
    raise HumalignError(f"no {archive.name} in {root}: {said}; put it there")


def _synsets(place: Path, content: bytes) -> dict[str, str]:
    """Return the WordNet id of each class by its number."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "meta.mat").write_bytes(content)
            synsets = matlab(Path(folder) / "meta.mat")["synsets"].ravel()
            leaves = [synset for synset in synsets if int(synset["num_children"].item()) == 0]
            found = {str(int(synset["ILSVRC2012_ID"].item())): synset["WNID"] for synset in leaves}
        sound = all(re.fullmatch(r"n\d{8}", wnid) for wnid in found.values())
        if found and len(found) == len(leaves) and sound:
            return found
    except (HumalignError, KeyError, TypeError, ValueError, AttributeError):
        pass
    what = "its meta.mat gives no WordNet id (WNID) for each class (ILSVRC2012_ID)"
    raise HumalignError(f"{place}: {what}: fetch it again")


def _picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not hidden(name)


def _unreadable(path: Path, error: BaseException, what: str) -> HumalignError:
    return HumalignError(f"cannot read {path} ({error}): it should be {what}; fetch it again")


def _listed(folder: Path) -> set[str]:
    for name in LISTS:
        if (folder / name).is_file():
            lines = (folder / name).read_text("utf-8-sig").splitlines()
            return {line.split()[0] for line in lines if line.strip()}
    return set()
