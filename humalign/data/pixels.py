"""Pictures decoded and squashed once, and kept as bytes on disk to be read by index: how a GPU is kept fed.

A store is a folder: ``pixels.npy`` (images, 3, size, size) of bytes, read through a memory map, and
``pixels.json`` with names, size, checksums, and a digest of the sizes and times of the files that each block
is of. It is written in blocks by several processes, and a stopped writing goes on where it stood. A picture
that was replaced since is noticed when the store is asked for again with its pictures; of pictures in memory,
of torchvision and of the hub nothing tells.
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
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from humalign.artefacts import replacing, reserve, write_error
from humalign.data.images import ImageSet, squash, stamp_of
from humalign.data.listing import plain
from humalign.errors import HumalignError

# Pictures a block: a few seconds of decoding are lost when the writing is stopped, and a million pictures have
# few checksums.
BLOCK = 256
OTHER = "choose another folder, or delete it"
Names = Iterable[Any]


class PixelStore:
    """Squashed pictures on disk, as bytes: ``store[indices]`` is a (batch, 3, size, size) tensor, in the
    order of the indices.

    Args:
        folder: that ``write`` filled.
        names: of the pictures that are expected, in their order; without them any.

    Raises:
        HumalignError: no store, one that is not finished, a file of another size than it was written with, or
            other names.
    """

    def __init__(self, folder: str | Path, names: Names | None = None) -> None:
        self.folder = Path(folder)
        try:
            about = json.loads((self.folder / "pixels.json").read_text("utf-8"))
            self.size, self.names, self.checksums = (
                int(about["size"]),
                list(about["names"]),
                list(about["checksums"]),
            )
            self.sources = list(about.get("sources", ()))  # nothing in stores of older versions
            self._pixels = np.load(self.folder / "pixels.npy", mmap_mode="r")
            if self._pixels.shape != (len(self.names), 3, self.size, self.size):
                raise ValueError("another shape")
        except (OSError, ValueError, KeyError, TypeError) as error:
            if not (self.folder / "pixels.json").is_file():
                raise HumalignError(
                    f"no finished pictures in {folder}: write them, what is there already is kept"
                ) from None
            raise HumalignError(
                f"the pictures in {folder} are damaged ({error}): delete the folder and write them again"
            ) from None
        if names is not None:
            _check_names(self.folder, _texts(self.names), _texts(names))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> UInt8[Tensor, "batch 3 size size"]:
        picked = self._pixels[index]
        # A slice is still on the map: copied, because that is read-only and would be read from the disk while the
        # student runs.
        return torch.from_numpy(picked if picked.flags.writeable else picked.copy())


def write(
    images: ImageSet,
    folder: str | Path,
    size: int,
    names: Names | None = None,
    processes: int = 1,
    progress: Callable[[int], None] = lambda n: None,
) -> PixelStore:
    """Squash all pictures of a set into a store, and return it; one that is finished is only opened, and its
    sources are checked.

    Args:
        images: decoded once each.
        folder: to be made or continued.
        size: side in pixels.
        names: of the pictures, any sequence of texts; without them ``file`` in the labels of the set. A
            folder with others is refused.
        processes: that decode at the same time.
        progress: called with the number of pictures just done.

    Raises:
        HumalignError: a picture that cannot be read, or was replaced since the store was written, no space,
            or a folder with other pictures, or with these in another order.
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
        part.write_text(
            json.dumps(about | {"checksums": checksums} | ({"sources": sources} if any(sources) else {})),
            "utf-8",
        )
    (folder / "journal.txt").unlink()
    return PixelStore(folder)


def _written(
    images: ImageSet, folder: Path, about: dict[str, Any], processes: int, progress: Callable[[int], None]
) -> tuple[list[str], list[str]]:
    """Write the blocks that a journal does not list as done of these files, and return the checksums and the
    sources of all.
    """
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
    done = {
        block: seen
        for block, (seen, *of) in listed.items()
        if "".join(of) == sources[block] and _checksum(pixels, block) == seen
    }
    left = [block for block in range(len(sources)) if block not in done]
    progress(sum(len(_part(pixels, block)) for block in done))
    blocks = _Blocks(images, array, about["size"], pixels.offset)
    for block, seen in DataLoader(
        blocks, batch_size=None, sampler=left, num_workers=processes if processes > 1 else 0
    ):
        if isinstance(seen, Exception):
            raise seen
        done[block] = seen
        with open(journal, "a", encoding="utf-8") as file:
            file.write(f"{block} {seen} {sources[block]}\n")
        progress(len(_part(pixels, block)))
    return [done[block] for block in sorted(done)], sources


def _source(images: ImageSet, block: int) -> str:
    """Return a digest of what tells the files of a block from others; nothing where nothing tells."""
    stamps = [stamp_of(images, i) for i in range(block * BLOCK, min((block + 1) * BLOCK, len(images)))]
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()[:32] if any(stamps) else ""


def _check_sources(images: ImageSet, store: PixelStore) -> None:
    """Raise where a picture is another than when it was squashed; a file that was only copied or touched is
    none.
    """
    for block, was in enumerate(store.sources):
        if was == _source(images, block):
            continue
        for i in range(block * BLOCK, min((block + 1) * BLOCK, len(images))):
            if not torch.equal(squash(images[i], store.size).mul(255).round().byte(), store[i : i + 1][0]):
                raise HumalignError(
                    f"{store.names[i]} is another picture than when {store.folder} was written: delete the "
                    "folder and write it again"
                )


def _texts(names: Names) -> list[str]:
    return [plain(name.decode() if isinstance(name, bytes) else str(name)) for name in names]


def _check_names(folder: Path, found: list[str], wanted: list[str]) -> None:
    if found == wanted:
        return
    if len(found) != len(wanted):
        raise HumalignError(f"{folder} holds {len(found):,} pictures instead of {len(wanted):,}: {OTHER}")
    place = next(row for row, (one, other) in enumerate(zip(found, wanted, strict=True)) if one != other)
    what = "these pictures in another order" if sorted(found) == sorted(wanted) else "other pictures"
    raise HumalignError(
        f"{folder} holds {what}, number {place} is {found[place]} and not {wanted[place]}: {OTHER}"
    )


def _same(folder: Path, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    if found | {"names": _texts(found["names"])} != wanted:
        if found["size"] == wanted["size"]:
            _check_names(folder, _texts(found["names"]), wanted["names"])
        raise HumalignError(f"{folder} holds other pictures, or this set at another size: {OTHER}")


def _part(pixels: np.ndarray, block: int) -> np.ndarray:
    return pixels[block * BLOCK : (block + 1) * BLOCK]


def _checksum(pixels: np.ndarray, block: int) -> str:
    return hashlib.sha256(np.ascontiguousarray(_part(pixels, block)).data).hexdigest()


@dataclasses.dataclass(frozen=True)
class _Blocks(Dataset):
    """What a worker does: squash the pictures of one block, write them to their place, and return their
    checksum.
    """

    images: ImageSet
    path: Path
    size: int
    offset: int

    def __getitem__(self, block: int) -> tuple[int, str | Exception]:
        # A failure is handed over as a value: the loader would wrap one that is raised into lines of
        # traceback.
        try:
            numbers = range(block * BLOCK, min((block + 1) * BLOCK, len(self.images)))
            pixels = (
                torch.stack([squash(self.images[i], self.size) for i in numbers])
                .mul(255)
                .round()
                .byte()
                .numpy()
            )
            with open(self.path, "r+b") as file:
                file.seek(self.offset + numbers.start * pixels[0].nbytes)
                file.write(pixels.data)
            return block, hashlib.sha256(pixels.data).hexdigest()
        except (HumalignError, OSError) as error:
            return block, error
