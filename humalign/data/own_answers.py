"""Odd-one-out answers that somebody collected, in any layout that is read here; which it is, is seen from the content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from humalign.data import readers_answers, readers_own
from humalign.data.datafiles import lines, separator_of
from humalign.data.judgments import Choices


def read(
    path: str | Path,
    names: Sequence[str],
    shown: Sequence[str] = ("image1", "image2", "image3"),
    odd: str = "choice",
    first: int | None = None,
    numbered_from: int | None = None,
) -> Choices:
    """Return answers about pictures, one row an answer.

    Args:
        path: of a table with a header, as `readers_own.table` reads it; of three numbers a line, the odd one last, as
            `readers_answers.triplets` does; or of five columns without a header, as `readers_answers.answers` does.
        names: of the pictures, in their order.
        shown: the columns of the three pictures, or the one that lists them.
        odd: the column of the odd one out.
        first: the number of the first place in it, 0 or 1; without it the answers tell.
        numbered_from: the number of the first picture; without it the answers tell.

    Raises:
        HumalignError: what these readers refuse.
    """
    if Path(path).suffix == ".npy":
        return readers_answers.triplets(path, len(names))
    cells = next(lines(path, separator_of(path)))[1]
    if all(cell.strip().isdecimal() for cell in cells):
        if len(cells) == 5:
            return readers_answers.answers(path, names, people=False).choices()
        return readers_answers.triplets(path, len(names))
    columns = shown[0] if len(shown) == 1 else shown
    return readers_own.table(path, names, columns, odd, first=first, numbered_from=numbered_from).choices()
