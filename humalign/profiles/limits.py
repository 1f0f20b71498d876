"""Ranges of settings: a range is part of a setting's type, and what is out of it is one line before anything runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Annotated


@dataclasses.dataclass(frozen=True)
class Within:
    """A condition on a number, and how a line says it."""

    holds: Callable[[float], bool]
    said: str


Count = Annotated[int, Within(lambda n: n >= 1, "a whole number from 1 on")]
Number = Annotated[int, Within(lambda n: n >= 0, "a whole number from 0 on")]
Folds = Annotated[int, Within(lambda n: n != 1 and n >= 0, "0, or a whole number from 2 on: one fold leaves nothing to learn from")]
Share = Annotated[float, Within(lambda x: 0 <= x <= 1, "a share between 0 and 1")]
Positive = Annotated[float, Within(lambda x: 0 < x < math.inf, "a finite number above 0")]
NotNegative = Annotated[float, Within(lambda x: 0 <= x < math.inf, "a finite number from 0 on")]
