"""The AligNet file: an ``.npz`` of ``filenames``, ``similarities`` and ``indices``, written and read in blocks of rows."""

from __future__ import annotations

import contextlib
import dataclasses
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from humalign.artefacts import replacing
from humalign.errors import HumalignError

ARRAYS = ("indices", "similarities", "filenames")
BLOCK_ROWS = 2**16
# File names repeat and shrink to less than a half even by the quickest setting; numbers hardly shrink, and are stored.
QUICK = 1


@dataclasses.dataclass(frozen=True)
class LabelledTriplets:
    """Triplets of images with the similarities of their pairs; file names are text or, a quarter of the size, ASCII bytes."""

    indices: Integer[np.ndarray, "n 3"]
    similarities: Float[np.ndarray, "n 3"]
    filenames: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)


def file_name(split: str, sampling: str, clusters: int | None = None) -> str:
    """Name a file as the released ones are named: ``train_cluster_border_500.npz``, ``val_within_class.npz``."""
    return "_".join([split, *sampling.split("-"), *([] if clusters is None else [str(clusters)])]) + ".npz"


def write(path: str | Path, triplets: LabelledTriplets) -> None:
    """Write the AligNet layout."""
    write_blocks(path, triplets.indices, triplets.similarities, triplets.filenames.dtype, lambda rows: triplets.filenames[rows])


def write_blocks(
    path: str | Path, indices: np.ndarray, similarities: np.ndarray, names: np.dtype, names_of: Callable[[slice], np.ndarray]
) -> None:
    """Write the AligNet layout from file names of the given type that are looked up a block of rows at a time."""
    with replacing(Path(path)) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=QUICK) as archive:
        for name, array in (("indices", indices), ("similarities", similarities)):
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:  # an entry of one's own is stored as it is
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
        with archive.open("filenames.npy", "w", force_zip64=True) as file:
            header = {"descr": np.lib.format.dtype_to_descr(names), "fortran_order": False, "shape": indices.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(indices), BLOCK_ROWS):
                file.write(names_of(slice(start, start + BLOCK_ROWS)).tobytes())


def read(path: str | Path) -> LabelledTriplets:
    """Read the AligNet layout whole; each array keeps the type that it has in the file."""
    with _opened(path) as file:
        return LabelledTriplets(*(file[name] for name in ARRAYS))


@dataclasses.dataclass(frozen=True)
class Names:
    """File names of triplets, given in blocks of rows: a file of ten million triplets has thirty million of them."""

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Callable[[], Iterator[np.ndarray]]

    @classmethod
    def of(cls, filenames: np.ndarray) -> Names:
        """Give names that are in memory."""
        return cls(
            filenames.shape,
            filenames.dtype,
            lambda: (filenames[start : start + BLOCK_ROWS] for start in range(0, len(filenames), BLOCK_ROWS)),
        )


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[tuple[np.ndarray, np.ndarray, Names]]:
    """Yield indices, similarities and, still on disk, the file names.

    Raises:
        HumalignError: missing, truncated, or not of this layout; also from within the block, where names are read.
    """
    with _opened(path) as file:
        indices, similarities = (file[name] for name in ARRAYS[:2])
        archive = file.zip
        assert archive is not None  # it is while the file is open
        with archive.open("filenames.npy") as stream:
            shape, fortran, dtype = _header(stream)
        if fortran or dtype.hasobject:  # columns one after the other cannot be given in rows; objects are refused by numpy
            yield indices, similarities, Names.of(file["filenames"])
        else:
            yield indices, similarities, Names(shape, dtype, lambda: _blocks(archive, shape, dtype))


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"unknown version {version} of the file names")
    return readers[version](stream)


def _blocks(archive: zipfile.ZipFile, shape: tuple[int, ...], dtype: np.dtype) -> Iterator[np.ndarray]:
    each = dtype.itemsize * int(np.prod(shape[1:]))
    with archive.open("filenames.npy") as stream:
        _header(stream)
        for start in range(0, shape[0], BLOCK_ROWS):
            rows = min(BLOCK_ROWS, shape[0] - start)
            found = stream.read(rows * each)
            if len(found) < rows * each:
                raise EOFError(f"file names end before row {start + rows}")
            yield np.frombuffer(found, dtype).reshape(rows, *shape[1:])
        stream.read(1)  # the checksum of a member is compared at its end


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[np.lib.npyio.NpzFile]:
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            missing = [name for name in ARRAYS if name not in file.files]
            if missing:
                raise HumalignError(f"{path} lacks an array: {', '.join(missing)}; an AligNet file has {', '.join(ARRAYS)}")
            yield file
    except FileNotFoundError:
        raise HumalignError(f"no triplet file at {path}") from None
    except (ValueError, TypeError, OSError, EOFError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise HumalignError(f"{path} is no triplet file ({error}): fetch or write it again") from None
