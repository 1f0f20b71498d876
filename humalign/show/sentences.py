"""The sentences of the book that hold a number: templates that the scores fill, so that no verdict is typed.

Every number has its 95 % interval and the number of items that it was counted on. An interval, not a value,
decides what is said of a difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from humalign.evaluation.scores import above, pick
from humalign.show.cells import EMPTY, ends, rounded
from humalign.show.stages import RELATIONS, in_percent, short

# Measures in nats; differences of shares are said in percentage points, others have no unit.
NATS = ("cross-entropy", "divergence", "label-entropy")


def value(row: pd.Series) -> str:
    """Say a score: ``38.4 % (37.2 to 39.6; n = 2,400)``."""
    if pd.isna(row["value"]):
        return EMPTY
    percent = " %" * in_percent(str(row["metric"]))
    return f"{rounded(row)}{percent} ({ends(row)}; n = {row['n']:,})"


def side(row: Any) -> str:
    """Say where an interval lies to zero: ``above`` it, ``below`` it, or ``across`` it."""
    return "above" if row["low"] > 0 else "below" if row["high"] < 0 else "across"


def amount(row: pd.Series, counted: bool = True) -> str:
    """Say a paired difference: ``+3.9 points (1.6 to 9.9; n = 400)``, or that its interval includes zero.

    Without ``counted`` n is left out, for a figure beside it may show it.
    """
    if pd.isna(row["value"]):
        return EMPTY
    about = f"({ends(row)}" + f"; n = {row['n']:,}" * counted + ")"
    end = f", but the interval {about} includes zero" if side(row) == "across" else f" {about}"
    return with_unit(row) + end


def with_unit(row: pd.Series) -> str:
    """Say a paired difference alone: ``+3.9 points``."""
    metric = str(row["metric"])
    unit = " points" if in_percent(metric) else " nats" if metric.startswith(NATS) else ""
    return rounded(row) + unit


def each(
    scores: pd.DataFrame, stage: str, reference: str, metric: str = "accuracy",
    counted: bool = True, **where: Any,
) -> str:
    """Say the same paired difference for every model that has it: ``Lite0: +0.08 (…); Lite1: …``."""
    where = {"stage": stage, "metric": above(metric, reference), **where}
    rows = pick(scores, **where)
    if rows.empty:
        raise KeyError(f"no score fits {where}")
    return "; ".join(f"{short(row['model'])}: {amount(row, counted)}" for _, row in rows.iterrows())


def count(rows: pd.DataFrame, what: str) -> str:
    """Say how many intervals lie above and below zero: ``above zero for 2 of 4 sets, below it for none``."""
    if rows.empty:
        raise KeyError(f"no scores of {what}")
    ways = [side(row) for _, row in rows.iterrows()]
    above, below = (ways.count(way) or "none" for way in ("above", "below"))
    across = ways.count("across")
    rest = f"; for {across} the interval includes it" if across else ""
    return f"above zero for {above} of {len(rows)} {what}, below it for {below}{rest}"


def best(rows: pd.DataFrame) -> dict[str, str]:
    """Name the items of the ``largest`` and the ``smallest`` of paired differences, each with its number."""
    if rows.empty:
        raise KeyError("no scores to choose from")
    both = {"largest": rows.loc[rows["value"].idxmax()], "smallest": rows.loc[rows["value"].idxmin()]}
    return {name: f"{RELATIONS.get(row['item'], row['item'])}, {amount(row)}" for name, row in both.items()}


def share(start: pd.Series, reached: pd.Series, goal: pd.Series) -> float:
    """Return what part of the way from one score to another a third has gone; a share without an interval."""
    return float((reached["value"] - start["value"]) / (goal["value"] - start["value"]))


def verdict(gains: Mapping[str, pd.Series], what: str) -> str:
    """Say whether every paired difference has a 95 % interval above zero; it can say no.

    What is said first, ``what``, tells where the gains are, and on whose judgments.
    """
    failed = [f"{name}: {amount(row)}" for name, row in gains.items() if side(row) != "above"]
    if not failed:
        return f"Yes: {what}, all {len(gains)} gains have a paired 95 % interval above zero."
    head = "In part" if len(failed) < len(gains) else "No"
    held = f"{len(gains) - len(failed)} of {len(gains)} gains have a paired 95 % interval above zero"
    return f"{head}: {what}, {held}. Not so {'; '.join(failed)}."
