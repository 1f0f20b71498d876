"""What a user can get wrong, said in one line with its mend."""

from __future__ import annotations

import difflib
import math
import numbers
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Names that a line gives of a longer list, and of how many it gives all where one is unknown.
SHOWN, MANY = 3, 100
Limit = float | int


class HumalignError(Exception):
    """Signal a mistake that the user can mend, in one line: command line and notebooks print no traceback."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows in place of a traceback."""
        return [f"humalign: {self}"]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?``, capitals aside; where nothing is near, the names, of many the first."""
    known = sorted(set(known))
    lower = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(str(name), known, n=1)
    close = close or [lower[each] for each in difflib.get_close_matches(str(name).casefold(), lower, n=1)]
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are {listed('names', known)}" if len(known) > MANY else f"known are: {', '.join(known)}"


def complaint(error: BaseException) -> str:
    """Return what a library says of a failure as one line; of a state dict that does not fit, the names."""
    text = str(error)
    line = " ".join(text.split())[:300] or type(error).__name__
    if "state_dict" not in text:
        return line
    found = {}
    for what in ("Missing", "Unexpected"):
        if match := re.search(rf"{what} key\(s\) in state_dict: (.*?)\. *(?:\n|$)", text):
            found[what.lower()] = re.findall(r'"([^"]+)"', match[1])
    found["of another shape"] = re.findall(r"size mismatch for ([\w.]+)", text)
    return "; ".join(listed(what, names) for what, names in found.items() if names) or line


def listed(what: str, names: list[str]) -> str:
    """Return how many names there are of something, and the first of them."""
    return f"{len(names)} {what}: {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"


def expect(name: str, value: Any, kind: type | tuple[type, ...], wanted: str) -> None:
    """Raise unless an argument is of a kind."""
    if not isinstance(value, kind):
        seen = repr(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
        raise HumalignError(f"`{name}` is {seen[:80]}: give {wanted}")


def path_of(value: Any, name: str = "path") -> Path:
    """Return a path given as text, bytes or a path, and refuse others; ``~`` in front is the user's home."""
    value = os.fsdecode(value) if isinstance(value, bytes) else value
    expect(name, value, (str, os.PathLike), "a path, as text or Path")
    return Path(os.path.expanduser(value))


def real(
    name: str, value: Any, above: Limit = -math.inf, least: Limit = -math.inf, infinite: bool = False
) -> float:
    """Return a setting as a number; refuse what is none, out of range, or infinite unless that is allowed."""
    wanted = f" above {above:g}" if above > -math.inf else f", {least:g} or more" * (least > -math.inf)
    sound = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not sound or not value > above or not value >= least or (value == math.inf and not infinite):
        raise HumalignError(f"{name} = {value!r}: expected a number{wanted}{', or infinity' * infinite}")
    return float(value)


def number(name: str, value: Any, least: int = 1) -> int:
    """Return a setting as a whole number, ``least`` or more; any other is refused by its name."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or value != value // 1 or value < least:
        raise HumalignError(f"{name} = {value!r}: expected a whole number, {least} or more")
    return int(value)  # type: ignore[call-overload]
