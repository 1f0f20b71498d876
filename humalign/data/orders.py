"""The three orders in which public files list the THINGS objects.

The orders differ in 21 of 1,854 objects, whose ids hold a digit, a hyphen or a blank where others go on:
camera1, hot-air_balloon, ice. All three follow from the ids alone. Inside humalign every row is in the order
of ``unique_id.txt``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int

from humalign.errors import HumalignError


@dataclasses.dataclass(frozen=True)
class Order:
    """An order of the objects.

    Attributes:
        name: as messages call it.
        key: what the ids are sorted by.
    """

    name: str
    key: Callable[[str], str]


# The ids as words, their blanks written as underscores: unique_id.txt itself, SPoSE, the categories, nearly all
# answers.
UNIQUE = Order("the order of unique_id.txt", lambda name: name.replace("_", " "))
# Names of picture files, the ending included: VICE's final_embedding.npy, and its test_triplets.csv.
OLD = Order("the order of the picture files' names (ID.jpg)", lambda name: f"{name}.jpg")
# The ids as Python sorts them: the public CLIP file.
SORTED = Order("the order of the sorted ids", lambda name: name)
ORDERS = (UNIQUE, OLD, SORTED)


def rows_in(names: Sequence[str], order: Order) -> Int[np.ndarray, " objects"]:
    """Return the row of each object in a file in this order; ``file[rows]`` is in the order of
    ``unique_id.txt``.

    For the old order these are the numbers of ``sortindex`` in github.com/LukasMut/VICE.
    """
    place = np.empty(len(names), dtype=np.int64)
    place[sorted(range(len(names)), key=lambda row: order.key(names[row]))] = np.arange(len(names))
    return place


def check_names(path: object, names: Sequence[str]) -> None:
    """Check that the ids are in the order of ``unique_id.txt``, which other files refer to by row.

    Raises:
        HumalignError: two ids the other way round, and the order in which they are, where it is known.
    """
    keys = [UNIQUE.key(name) for name in names]
    wrong = next((row for row in range(1, len(keys)) if keys[row] < keys[row - 1]), None)
    if wrong is not None:
        fits = [order.name for order in ORDERS if list(names) == sorted(names, key=order.key)]
        so = f": the ids are in {fits[0]}" if fits else ""
        raise HumalignError(
            f"{path}, line {wrong + 1}: {names[wrong]!r} after {names[wrong - 1]!r}{so}; answers refer to "
            "the objects by line, so take the published unique_id.txt"
        )
