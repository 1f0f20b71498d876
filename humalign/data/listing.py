"""Which files of a folder or an archive are pictures, their order and their classes: one rule for all.

A file is known by the parts of its path below the folder or archive that was named. Parts are compared as
NFC, in which an accented letter is one sign: a Macintosh may write the same name as two, and the order of the
pictures must not depend on that.
"""

from __future__ import annotations

import functools
import os
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Int

from humalign.errors import HumalignError

# Pictures that Pillow decodes without other programs; fixed, for no version of it may move their numbers.
SUFFIXES = tuple(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .bmp .dib .gif .tif .tiff .avif .jp2 .j2k .jpf .jpx .ppm .pgm"
    " .pbm .pnm .pfm .tga .icb .vda .ico .icns .pcx .sgi .rgb .rgba .bw .qoi .dds .psd .xbm .xpm".split()
)
# Pictures that are refused among others: one that is passed over moves the numbers of all behind it.
UNREAD = tuple(
    ".heic .heif .hif .jxl .svg .svgz .eps .jxr .exr .dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .raf .orf"
    " .rw2 .pef .raw".split()
)
# How files of pictures begin: JPEG, PNG, GIF, TIFF and WebP.
STARTS = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|II\*\0|MM\0\*|RIFF....WEBP", re.DOTALL)
SAID = ".jpg, .png, .webp, .tif and others"
# What systems and programs leave beside the data under a name without a dot.
LEFT = frozenset(
    "__macosx thumbs.db ehthumbs.db ehthumbs_vista.db desktop.ini @eadir @tmp @recycle @recently-snapshot"
    " #recycle #snapshot $recycle.bin lost+found __pycache__".split()
) | {"system volume information", "icon\r"}
SPLIT = re.compile(
    r"(train|training|val|valid|validation|test|testing|dev|eval)([ _-]?(set|split|data|images|[0-9]+))?",
    re.IGNORECASE,
)

Parts = tuple[str, ...]
Entry = os.DirEntry[str]


def hidden(name: str) -> bool:
    """Return whether the name of a file or folder is a hidden one, or one that systems leave beside the data.

    Such are ``.ipynb_checkpoints``, ``._x.jpg``, ``__MACOSX``, ``Thumbs.db`` and ``@eaDir``.
    """
    return name.startswith((".", "~$")) or name.lower() in LEFT


def plain(name: str) -> str:
    """Return a name in NFC; bytes that are not UTF-8 are written as ``\\xe9``, which any file can hold."""
    if name.isascii():
        return name
    told = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", told)


def parts_of(name: str) -> Parts:
    """Return the plain parts of a path in an archive or a list, whichever system wrote it.

    As unpacking does, it leaves out what leads to the root or upwards.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return tuple(plain(part) for part in parts if part not in ("/", "//", ".."))


def is_picture(parts: Parts, where: object, start: Callable[[], bytes] = bytes) -> bool:
    """Return whether a file is a picture that is read; one of a kind that is not read is refused.

    Args:
        parts: of its path; dots and blanks behind its name do not count.
        where: it was found.
        start: gives its first bytes, of which those of a picture without an ending are refused.
    """
    if not parts or any(map(hidden, parts)):
        return False
    suffix = PurePosixPath(parts[-1].rstrip(" .")).suffix.lower()
    nameless = not suffix and STARTS.match(start()) is not None
    if suffix in UNREAD or nameless:
        what, mend = "of a kind that is not read", "convert it to .png or .jpg"
        if nameless:
            what, mend = "whose name has no ending", "add one, such as .jpg"
        why = "passed over, it would move the numbers of those behind it"
        said = f"{'/'.join(parts)} is a picture {what}: {mend}, or take it away; {why}"
        raise HumalignError(f"{where}: {said}")
    return suffix in SUFFIXES


def below(root: Path) -> list[tuple[Parts, Path]]:
    """Return the pictures below a folder by name: the parts of each path below it, and the path.

    Links to folders are followed; one to a folder that holds the link is not entered again.

    Raises:
        HumalignError: a folder that may not be read, a link to nothing, or a picture of a kind not read.
    """
    found = _walk(root, _entries) if root.is_dir() else ()
    files = ((parts, Path(entry.path)) for parts, entry in found)
    return sorted(each for each in files if is_picture(each[0], root, functools.partial(_start, each[1])))


def _start(path: Path) -> bytes:
    """Return the first bytes of a file; none of what is no file or may not be read."""
    if not path.is_file():  # a pipe would wait for whoever writes to it
        return b""
    try:
        with open(path, "rb") as file:
            return file.read(12)
    except OSError:
        return b""


def everything(root: Path) -> list[Path]:
    """Return the files below a folder by path, hidden ones left out and links to folders followed."""

    def entries(folder: Path) -> Iterator[Entry]:
        return (entry for entry in os.scandir(folder) if not hidden(entry.name))

    return sorted(Path(entry.path) for _, entry in _walk(root, entries) if entry.is_file())


def _walk(root: Path, entries: Callable[[Path], Iterable[Entry]]) -> Iterator[tuple[Parts, Entry]]:
    stack: list[tuple[Parts, Path, frozenset[tuple[int, int]]]] = [((), root, frozenset())]
    while stack:
        above, folder, entered = stack.pop()
        entered |= {_identity(folder)}
        for entry in entries(folder):
            parts, path = (*above, plain(entry.name)), Path(entry.path)
            if not entry.is_dir():
                yield parts, entry
            elif _identity(path) not in entered:
                stack.append((parts, path, entered))


def right_in(folder: Path) -> list[Path]:
    """Return the pictures right in a folder by name; none where there is no such folder."""
    if not folder.is_dir():
        return []
    files = sorted((plain(entry.name), Path(entry.path)) for entry in _entries(folder) if not entry.is_dir())
    return [path for name, path in files if is_picture((name,), folder, functools.partial(_start, path))]


def _entries(folder: Path) -> list[Entry]:
    try:
        with os.scandir(folder) as scanned:
            entries = [entry for entry in scanned if not hidden(entry.name)]
    except OSError as error:
        mend = "give yourself the right to, or take it away"
        raise HumalignError(f"cannot read the folder {folder} ({error.strerror}): {mend}") from None
    for entry in entries:
        if entry.is_symlink() and not os.path.exists(entry.path):
            where = f"a link to {os.readlink(entry.path)}, which is not there"
            raise HumalignError(f"{entry.path} is {where}: mend the link, or take it away")
    return entries


def _identity(folder: Path) -> tuple[int, int]:
    stat = folder.stat()
    return stat.st_dev, stat.st_ino

# ---- classes -----------------------------------------------------------------------------------------------


def classes(files: Sequence[Parts]) -> list[str]:
    """Return the class of each file: its first folder, or nothing where it lies in none.

    Folders that hold everything, as an archive of one folder has, do not count where they hold folders.
    """
    start = len(_around(files))
    return [parts[start] if len(parts) > start + 1 else "" for parts in files]


def splits(files: Sequence[Parts]) -> list[str]:
    """Return the paths of folders that look like splits (``train``, ``val``) where classes should stand.

    A class may be called like a split: one such name among classes is a class.
    """
    around = _around(files)
    start = len(around)
    inside: dict[str, set[str]] = {}
    for parts in files:
        if len(parts) > start + 1:
            inside.setdefault(parts[start], set()).update(parts[start + 1 : -1][:1])
    named = [name for name in inside if SPLIT.fullmatch(name)]
    every = [each for name in named for each in inside[name]]
    if len(named) > 1 and (len(set(every)) < len(every) or len(named) == len(inside)):
        return ["/".join((*around, name)) for name in named]
    return []


def _around(files: Sequence[Parts]) -> Parts:
    """Return the folders that hold all files and other folders."""
    around: list[str] = []
    while True:
        here = len(around)
        first = {parts[here] if len(parts) > here + 1 else "" for parts in files}
        if len(first) != 1 or "" in first or all(len(parts) == here + 2 for parts in files):
            return tuple(around)
        around.append(first.pop())

# ---- orders ------------------------------------------------------------------------------------------------


class Named:
    """Files by their names: a whole path, or its last part, each with the ending or without."""

    def __init__(self, files: Sequence[Parts]) -> None:
        self._tables: list[dict[str, list[int]]] = [{}, {}, {}, {}]
        for row, parts in enumerate(files):
            path = PurePosixPath(*parts)
            names = (str(path), str(path.with_suffix("")), path.name, path.stem)
            for keys, key in zip(self._tables, names, strict=True):
                keys.setdefault(key.strip(), []).append(row)

    def __call__(self, name: str) -> list[int]:
        """Return the files that a name may mean: those whose whole path it is, else those that end so."""
        key = str(PurePosixPath(*parts_of(name.strip())))
        return next((keys[key] for keys in self._tables if key in keys), [])


def in_order(files: Sequence[Parts], order: Iterable[Any], where: object) -> Int[np.ndarray, " files"]:
    """Return which file each name means, in the order of the names.

    Args:
        order: a name for every file, as `Named` takes it.

    Raises:
        HumalignError: a name of no file or of several, a name twice, or a file without a name.
    """
    find = Named(files)
    rows: dict[int, str] = {}
    for number, name in enumerate(order):
        name = name.decode() if isinstance(name, bytes) else str(name)
        said = f"{name!r}, number {number} of the order"
        if not (found := find(name)):
            raise HumalignError(f"{where} holds no picture of {said}: add it, or take the name out")
        if len(found) > 1:
            several = " and ".join("/".join(files[row]) for row in found[:2])
            raise HumalignError(f"{where}: {said}, may be {several}: write the whole path")
        rows[found[0]] = name
        if len(rows) <= number:
            raise HumalignError(f"{where}: {said}, means a picture that stands before: name each once")
    if missing := [row for row in range(len(files)) if row not in rows]:
        such = f"{len(missing):,} pictures are not in the order, such as {'/'.join(files[missing[0]])}"
        raise HumalignError(f"{where}: {such}: name all, or take them away")
    return np.array(list(rows), dtype=np.int64)


def hint_at_numbers(files: Sequence[Parts], where: object) -> None:
    """Warn where loose pictures are named by numbers that are not in order as text: 1.jpg, 10.jpg, 2.jpg."""
    found = [re.fullmatch(r"(\D*)([0-9]+)", PurePosixPath(*parts).stem) for parts in files if len(parts) == 1]
    if len(found) != len(files) or not all(found) or len({each[1] for each in found if each}) > 1:
        return
    numbers = [int(each[2]) for each in found if each]
    if numbers != sorted(numbers):
        at = next(row for row in range(1, len(numbers)) if numbers[row] < numbers[row - 1])
        so = f"so that {files[at - 1][0]} is picture {at - 1} and {files[at][0]} picture {at}"
        why = f"{where}: pictures are numbered in the order of their names as text, {so}"
        mend = "where answers count otherwise, give the names in their order (order=...)"
        warnings.warn(f"{why}; {mend}", stacklevel=3)
