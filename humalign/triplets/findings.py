"""What a check of a triplet file reports."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool


@dataclasses.dataclass(frozen=True)
class Finding:
    """One check of a file: what was looked at, whether it holds, and what was seen."""

    check: str
    ok: bool
    seen: str


def rows_that(fail: str, failing: Bool[np.ndarray, " n"]) -> str:
    """Say how many rows fail, and which is the first; there is one."""
    rows = np.flatnonzero(failing)
    return f"{len(rows):,} rows {fail}, first is row {rows[0]}"


def none(check: str, failing: Bool[np.ndarray, " n"], fail: str = "fail") -> Finding:
    """Report a check that no row may fail."""
    return Finding(check, False, rows_that(fail, failing)) if failing.any() else Finding(check, True, "all rows")
