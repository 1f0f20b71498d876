"""What benchmarks share: two ways of doing one thing, timed in turn; tables for the book and where they are from."""

import datetime
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from humalign.artefacts import commit, replacing, versions
from humalign.chain import origins

REPEATS = 5
WIDTH = 94


def heading() -> None:
    """Print what the columns are."""
    print(f"{'median of ' + str(REPEATS):<{WIDTH}} {'ours':>15} {'plain':>15}   ratio")


def compare(what: str, ours: Callable[[], object], plain: Callable[[], object], plain_runs: float = 1, repeats: int = REPEATS) -> None:
    """Time two ways of doing one thing in turn, and print medians in milliseconds and their ratio.

    Args:
        what: names both.
        ours: does the whole thing.
        plain: does the whole thing, or its ``plain_runs``-th part.
        plain_runs: how many runs of ``plain`` make the whole; the line says so where it is not one.
        repeats: turns that count.
    """
    times: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(repeats + 1):
        for name, run in (("ours", ours), ("plain", plain)):
            started = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - started)
    # The first turn warms caches and is left out.
    a, b = (1e3 * statistics.median(times[name][1:]) for name in ("ours", "plain"))
    b *= plain_runs
    part = "" if plain_runs == 1 else f"   plain: extrapolated from 1/{plain_runs:,.0f} of it"
    print(f"{what:<{WIDTH}} {a:12,.1f} ms {b:12,.1f} ms   x {b / a:,.1f}{part}", flush=True)


# ---- for the book ------------------------------------------------------------------------------------------


def here(threads: int) -> dict[str, Any]:
    """Return when, where and with what numbers are made."""
    day, machine = datetime.datetime.now(datetime.UTC).date().isoformat(), str(origins.Machine.here())
    return {"date": day, "machine": machine, "threads": threads, "commit": commit(), "versions": versions()}


def keep(folder: Path, name: str, table: pd.DataFrame, about: str | dict[str, Any] | None = None) -> None:
    """Write a table into a folder and, beside it, where it is from: a sentence as text, or facts as JSON."""
    with replacing(folder / f"{name}.csv") as part:
        table.to_csv(part, index=False, lineterminator="\n")
    if about is not None:
        text, ending = (about, "txt") if isinstance(about, str) else (json.dumps(about, indent=1), "json")
        with replacing(folder / f"{name}.{ending}") as part:
            part.write_text(f"{text}\n")
