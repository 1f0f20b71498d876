"""What a stopped fit goes on from, in a file with its own checksum: a damaged one is never gone on from."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import warnings
from pathlib import Path
from typing import Any

import torch

from humalign.artefacts import replacing, write_error
from humalign.errors import HumalignError, complaint

# The file begins with this, the SHA-256 of what follows, and a line's end; then comes PyTorch's own format.
HEAD, DIGITS = b"humalign checkpoint\n", 64
START = len(HEAD) + DIGITS + 1
OTHER = "delete it, or give this run its own"


def write(path: Path, state: dict[str, Any]) -> None:
    """Write a state whole or not at all."""
    with replacing(path) as part, open(part, "w+b") as file:
        file.write(HEAD + b"0" * DIGITS + b"\n")
        torch.save(state, file)
        seen = _checksum(file)
        file.seek(len(HEAD))
        file.write(seen)


def read(path: Path) -> dict[str, Any] | None:
    """Return the state in a file; None where there is no file, or a damaged one, which is warned of and kept.

    Raises:
        HumalignError: a file that is no checkpoint, or cannot be read; a place where none can be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, "not writable")
        if path.is_dir():
            raise HumalignError(f"the checkpoint {path} is a folder: name a file")
        with open(path, "rb") as file:
            head = file.read(START)
            if not head.startswith(HEAD) and not HEAD.startswith(head):
                raise HumalignError(f"{path} is no checkpoint, or one of an earlier version: {OTHER}")
            if head[len(HEAD) : -1] != _checksum(file):
                why = "its values have another checksum than when they were written"
                warnings.warn(f"the checkpoint {path} is damaged, {why}: starting again from the beginning", stacklevel=2)
                return None
            file.seek(START)
            found: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
            return found
    except FileNotFoundError:
        return None
    except OSError as error:
        raise write_error(path, error) from None
    except (RuntimeError, ValueError, EOFError) as error:  # a sound file that this version of PyTorch cannot read
        raise HumalignError(f"the checkpoint {path} cannot be read ({complaint(error)}): {OTHER}") from None


def _checksum(file: io.BufferedIOBase) -> bytes:
    file.seek(START)
    return hashlib.file_digest(file, "sha256").hexdigest().encode()
