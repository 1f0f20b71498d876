"""What a user can get wrong, said in one line with its mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HumalignError(Exception):
    """Signal a mistake that the user can mend; the command line prints its one line, no traceback."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?``, or the whole list where nothing is near."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known)}"
