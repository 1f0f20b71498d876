"""What a run left for its pictures, in ``illustrations.json`` beside its scores."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from humalign.chain import origins
from humalign.errors import HumalignError, nearest
from humalign.show.photographs import note

FILE = "illustrations.json"


def of(shown: Any) -> dict[str, Any]:
    """Return what a run left for its pictures.

    Args:
        shown: the run, as a chapter has it; or the path of its table of scores.

    Raises:
        HumalignError: the file is not there, or is damaged.
    """
    path = Path(getattr(shown, "path", shown)).with_name(FILE)
    return _read(path, path.stat().st_mtime_ns if path.is_file() else 0)


@functools.lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> dict[str, Any]:
    """Read a file; one that has changed since is read again."""
    profile = path.resolve().parent.name
    recorded = path.resolve().parent.parent == origins.RECORDED
    make = (
        f"`make record PROFILE={profile}`"
        if recorded
        else f"`humalign run illustrations --profile {profile}`"
    )
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        found["rules"], found["triplets"]
    except FileNotFoundError:
        raise HumalignError(f"no {path}: {make} makes it") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HumalignError(
            f"{path} is damaged ({type(error).__name__}): delete it, and {make} makes it again"
        ) from None
    return found


def part(shown: Any, *names: str) -> Any:
    """Return a part of the file, by the names that lead to it.

    Raises:
        HumalignError: the run has none of that name.
    """
    found: Any = of(shown)
    for name in names:
        if name not in found:
            known = [str(key) for key in found]
            raise HumalignError(f"the run left no pictures of {name!r}: {nearest(name, known)}")
        found = found[name]
    return found


def rule(shown: Any, name: str) -> str:
    return f"Chosen by rule: {of(shown)['rules'][name]}. {note()}"


def first(shown: Any, model: str, which: str) -> tuple[str, Any]:
    """Return a model and its part of the file; the first student's where none is named."""
    name = model or next(iter(part(shown, which)), "")
    return name, part(shown, which, name)
