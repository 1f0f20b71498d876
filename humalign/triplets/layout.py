"""The AligNet file: an ``.npz`` of ``filenames``, ``similarities`` and ``indices``, in blocks of rows."""

from __future__ import annotations

import contextlib
import dataclasses
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from jaxtyping import Float, Integer

from humalign.artefacts import replacing
from humalign.errors import HumalignError

ARRAYS = ("indices", "similarities", "filenames")
BLOCK_ROWS = 2**16
# File names repeat: the quickest setting more than halves them. Numbers hardly shrink and are stored.
QUICK = 1


@dataclasses.dataclass(frozen=True)
class LabelledTriplets:
    """Triplets of images, the similarities of their pairs, and file names: text or, smaller, bytes."""

    indices: Integer[np.ndarray, "n 3"]
    similarities: Float[np.ndarray, "n 3"]
    filenames: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)


def file_name(split: str, sampling: str, clusters: int | None = None) -> str:
    """Name a file as the released ones are: ``train_cluster_border_500.npz``, ``val_within_class.npz``."""
    ending = "" if clusters is None else f"_{clusters}"
    return f"{split}_{sampling.replace('-', '_')}{ending}.npz"


def write(path: str | Path, triplets: LabelledTriplets) -> None:
    """Write the AligNet layout."""
    names = triplets.filenames
    write_blocks(path, triplets.indices, triplets.similarities, names.dtype, lambda rows: names[rows])


def write_blocks(
    path: str | Path, indices: np.ndarray, similarities: np.ndarray,
    names: np.dtype, names_of: Callable[[slice], np.ndarray],
) -> None:  # fmt: skip
    """Write the AligNet layout; file names, of type ``names``, are looked up a block of rows at a time."""
    with replacing(Path(path)) as part, ZipFile(part, "w", ZIP_DEFLATED, compresslevel=QUICK) as archive:
        for name, array in (("indices", indices), ("similarities", similarities)):
            # An entry that is given as `ZipInfo` is stored as it is.
            with archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
        with archive.open("filenames.npy", "w", force_zip64=True) as file:
            descr = np.lib.format.dtype_to_descr(names)
            header = {"descr": descr, "fortran_order": False, "shape": indices.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for rows in blocks_of(len(indices)):
                file.write(names_of(rows).tobytes())


def blocks_of(rows: int) -> Iterator[slice]:
    """Yield the blocks in which so many rows are written and read."""
    return (slice(start, min(start + BLOCK_ROWS, rows)) for start in range(0, rows, BLOCK_ROWS))


def read(path: str | Path) -> LabelledTriplets:
    """Read the AligNet layout whole; each array keeps the type that it has in the file."""
    with _opened(path) as file:
        return LabelledTriplets(*(file[name] for name in ARRAYS))


@dataclasses.dataclass(frozen=True)
class Names:
    """File names in blocks of rows: a file of ten million triplets has thirty million of them."""

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Callable[[], Iterator[np.ndarray]]

    @classmethod
    def of(cls, filenames: np.ndarray) -> Names:
        """Give names that are in memory."""
        blocks = list(blocks_of(len(filenames)))
        return cls(filenames.shape, filenames.dtype, lambda: (filenames[rows] for rows in blocks))


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[tuple[np.ndarray, np.ndarray, Names]]:
    """Yield indices, similarities and, still on disk, the file names.

    Raises:
        HumalignError: missing, truncated or not of this layout; also within the block, where names are read.
    """
    with _opened(path) as file:
        indices, similarities = (file[name] for name in ARRAYS[:2])
        archive = file.zip
        assert archive is not None  # it is while the file is open
        with archive.open("filenames.npy") as stream:
            shape, fortran, dtype = _header(stream)
        # Columns one after the other cannot be given in rows; objects are refused by numpy.
        if fortran or dtype.hasobject:
            yield indices, similarities, Names.of(file["filenames"])
        else:
            yield indices, similarities, Names(shape, dtype, lambda: _blocks(archive, shape, dtype))


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"unknown version {version} of the file names")
    return readers[version](stream)


def _blocks(archive: ZipFile, shape: tuple[int, ...], dtype: np.dtype) -> Iterator[np.ndarray]:
    each = dtype.itemsize * int(np.prod(shape[1:]))
    with archive.open("filenames.npy") as stream:
        _header(stream)
        for rows in blocks_of(shape[0]):
            size = (rows.stop - rows.start) * each
            found = stream.read(size)
            if len(found) < size:
                raise EOFError(f"file names end before row {rows.stop}")
            yield np.frombuffer(found, dtype).reshape(-1, *shape[1:])
        stream.read(1)  # the checksum of a member is compared at its end


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[np.lib.npyio.NpzFile]:
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            lacking = ", ".join(name for name in ARRAYS if name not in file.files)
            if lacking:
                named = ", ".join(ARRAYS)
                raise HumalignError(f"{path} lacks an array: {lacking}; an AligNet file has {named}")
            yield file
    except FileNotFoundError:
        raise HumalignError(f"no triplet file at {path}") from None
    except (ValueError, TypeError, OSError, EOFError, KeyError, RuntimeError, BadZipFile, zlib.error) as why:
        raise HumalignError(f"{path} is no triplet file ({why}): fetch or write it again") from None
