"""Pictures decoded and squashed once, and kept as bytes on disk to be read by index: how a GPU is kept fed.

A store is a folder: ``pixels.npy`` (images, 3, size, size) of bytes, read through a memory map, and
``pixels.json`` with names, size, checksums, and a digest of the sizes and times of each block's files. It is
written in blocks by several processes, and a stopped writing goes on where it stood. A picture that was
replaced since is noticed, except among pictures in memory, of torchvision and of the hub.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from humalign.artefacts import replacing, reserve, write_error
from humalign.data.images import ImageSet, squash, stamp_of
from humalign.data.listing import plain
from humalign.errors import HumalignError

# Pictures a block: a stop loses a few seconds of decoding, and a million pictures have few checksums.
BLOCK = 256
OTHER = "choose another folder, or delete it"
Names = Iterable[Any]


class PixelStore:
    """Squashed pictures on disk, as bytes: ``store[indices]`` is a (batch, 3, size, size) tensor.

    Args:
        folder: that ``write`` filled.
        names: of the pictures that are expected, in their order; without them any.

    Raises:
        HumalignError: no store, an unfinished one, one of another size than when written, or other names.
    """

    def __init__(self, folder: str | Path, names: Names | None = None) -> None:
        self.folder = Path(folder)
        try:
            about = json.loads((self.folder / "pixels.json").read_text("utf-8"))
            self.size, self.names = int(about["size"]), list(about["names"])
            self.checksums = list(about["checksums"])
            self.sources = list(about.get("sources", ()))  # nothing in stores of older versions
            self._pixels = np.load(self.folder / "pixels.npy", mmap_mode="r")
            if self._pixels.shape != (len(self.names), 3, self.size, self.size):
                raise ValueError("another shape")
        except (OSError, ValueError, KeyError, TypeError) as error:
            said = f"no finished pictures in {folder}: write them, what is there already is kept"
            if (self.folder / "pixels.json").is_file():
                mend = "delete the folder and write them again"
                said = f"the pictures in {folder} are damaged ({error}): {mend}"
            raise HumalignError(said) from None
        if names is not None:
            _check_names(self.folder, _texts(self.names), _texts(names))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> UInt8[Tensor, "batch 3 size size"]:
        picked = self._pixels[index]
        # A slice is still on the map, which is read-only and would be read from disk while the student runs.
        return torch.from_numpy(picked if picked.flags.writeable else picked.copy())


def write(
    images: ImageSet,
    folder: str | Path,
    size: int,
    names: Names | None = None,
    processes: int = 1,
    progress: Callable[[int], None] = lambda n: None,
) -> PixelStore:
    """Squash a set into a store, and return it; a finished one is only opened, and its sources are checked.

    Args:
        folder: to be made or continued.
        size: side in pixels.
        names: of the pictures, else ``file`` in the labels of the set; a folder with others is refused.
        processes: that decode at the same time.
        progress: called with the number of pictures just done.

    Raises:
        HumalignError: a picture that cannot be read, or was replaced since; no space; a folder with other
            pictures, or with these in another order.
    """
    texts = _texts(images.labels["file"] if names is None else names)
    folder, about = Path(folder), {"size": size, "names": texts}
    if len(texts) != len(images):
        raise HumalignError(f"{len(texts):,} names for {len(images):,} pictures: one for each")
    if (folder / "pixels.json").is_file():
        store = PixelStore(folder)
        _same(folder, about, {"size": store.size, "names": store.names})
        _check_sources(images, store)
        return store
    try:
        folder.mkdir(parents=True, exist_ok=True)
        checksums, sources = _written(images, folder, about, processes, progress)
        (folder / "pixels.part.npy").replace(folder / "pixels.npy")
    except OSError as error:
        raise write_error(folder, error) from None
    with replacing(folder / "pixels.json") as part:
        about |= {"checksums": checksums} | ({"sources": sources} if any(sources) else {})
        part.write_text(json.dumps(about), "utf-8")
    (folder / "journal.txt").unlink()
    return PixelStore(folder)


def _written(
    images: ImageSet, folder: Path, about: dict[str, Any], processes: int, progress: Callable[[int], None]
) -> tuple[list[str], list[str]]:
    """Write the blocks that a journal does not list as done, and return checksums and sources of all."""
    array, journal = folder / "pixels.part.npy", folder / "journal.txt"
    if not (array.is_file() and journal.is_file()):
        reserve(array, np.uint8, (len(images), 3, about["size"], about["size"]))
        with replacing(journal) as part:
            part.write_text(json.dumps(about) + "\n", "utf-8")
    head, *lines = journal.read_text("utf-8").split("\n")
    _same(folder, about, json.loads(head))
    pixels = np.load(array, mmap_mode="r")
    sources = [_source(images, block) for block in range(-(-len(images) // BLOCK))]
    listed = {int(cells[0]): cells[1:] for cells in map(str.split, lines) if len(cells) > 1}
    done: dict[int, str] = {}
    for block, (seen, *of) in listed.items():
        content = np.ascontiguousarray(pixels[block * BLOCK : (block + 1) * BLOCK])
        if "".join(of) == sources[block] and hashlib.sha256(content.data).hexdigest() == seen:
            done[block] = seen
    left = [block for block in range(len(sources)) if block not in done]
    progress(sum(len(_pictures_of(images, block)) for block in done))
    blocks = _Blocks(images, array, about["size"], pixels.offset)
    workers = processes if processes > 1 else 0
    for block, seen in DataLoader(blocks, batch_size=None, sampler=left, num_workers=workers):
        if isinstance(seen, Exception):
            raise seen
        done[block] = seen
        with open(journal, "a", encoding="utf-8") as file:
            file.write(f"{block} {seen} {sources[block]}\n")
        progress(len(_pictures_of(images, block)))
    return [done[block] for block in sorted(done)], sources


def _pictures_of(images: ImageSet, block: int) -> range:
    return range(block * BLOCK, min((block + 1) * BLOCK, len(images)))


def _squashed(image: Image.Image, size: int) -> UInt8[Tensor, "3 size size"]:
    return squash(image, size).mul(255).round().byte()


def _source(images: ImageSet, block: int) -> str:
    """Return a digest of what tells the files of a block from others; nothing where nothing tells."""
    stamps = [stamp_of(images, i) for i in _pictures_of(images, block)]
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()[:32] if any(stamps) else ""


def _check_sources(images: ImageSet, store: PixelStore) -> None:
    """Raise where a picture is another than when it was squashed; one only copied or touched is none."""
    for block, was in enumerate(store.sources):
        if was == _source(images, block):
            continue
        for i in _pictures_of(images, block):
            if not torch.equal(_squashed(images[i], store.size), store[i : i + 1][0]):
                what = f"is another picture than when {store.folder} was written"
                raise HumalignError(f"{store.names[i]} {what}: delete the folder and write it again")


def _texts(names: Names) -> list[str]:
    return [plain(name.decode() if isinstance(name, bytes) else str(name)) for name in names]


def _check_names(folder: Path, found: list[str], wanted: list[str]) -> None:
    if found == wanted:
        return
    if len(found) != len(wanted):
        raise HumalignError(f"{folder} holds {len(found):,} pictures instead of {len(wanted):,}: {OTHER}")
    place = next(row for row, (one, other) in enumerate(zip(found, wanted, strict=True)) if one != other)
    what = "these pictures in another order" if sorted(found) == sorted(wanted) else "other pictures"
    which = f"number {place} is {found[place]} and not {wanted[place]}"
    raise HumalignError(f"{folder} holds {what}, {which}: {OTHER}")


def _same(folder: Path, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    if found | {"names": _texts(found["names"])} != wanted:
        if found["size"] == wanted["size"]:
            _check_names(folder, _texts(found["names"]), wanted["names"])
        raise HumalignError(f"{folder} holds other pictures, or this set at another size: {OTHER}")


@dataclasses.dataclass(frozen=True)
class _Blocks(Dataset):
    """What a worker does: squash the pictures of a block, write them to their place, give their checksum."""

    images: ImageSet
    path: Path
    size: int
    offset: int

    def __getitem__(self, block: int) -> tuple[int, str | Exception]:
        # A failure is handed over as a value: the loader would wrap one that is raised into a traceback.
        try:
            numbers = _pictures_of(self.images, block)
            pixels = torch.stack([_squashed(self.images[i], self.size) for i in numbers]).numpy()
            with open(self.path, "r+b") as file:
                file.seek(self.offset + numbers.start * pixels[0].nbytes)
                file.write(pixels.data)
            return block, hashlib.sha256(pixels.data).hexdigest()
        except (HumalignError, OSError) as error:
            return block, error
