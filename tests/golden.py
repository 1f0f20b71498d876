"""Scores that a refactoring must keep: ``HUMALIGN_GOLDEN=write pytest TEST`` makes those of a run the ones to keep."""

import json
import os
from pathlib import Path

import numpy as np

from humalign.chain import origins
from humalign.evaluation import scores

FIXTURES = Path(__file__).parent / "fixtures"
KEY = ["model", "stage", "task", "split", "metric", "evidence"]
# The last digit that a table holds.
ROUNDING = 1.1e-6
# Another kind of processor rounds otherwise, and k-means and training amplify it.
ELSEWHERE = 0.03


def check(path, name):
    """Compare the scores of a run with those to keep: to the last digit on the kind of processor that made these."""
    table, kept, machine = FIXTURES / f"golden_{name}.csv", scores.read(path), origins.Machine.here()
    about = FIXTURES / f"golden_{name}.json"
    if os.environ.get("HUMALIGN_GOLDEN") == "write":
        table.write_bytes(Path(path).read_bytes())
        about.write_text(json.dumps({"processor": machine.processor}) + "\n")
    wanted = scores.read(table)
    if json.loads(about.read_text())["processor"] != machine.processor:
        assert scores.disagreements(kept, wanted, ELSEWHERE) == []
        return
    both = kept.merge(wanted, on=KEY, how="outer", suffixes=("", "_kept"), indicator=True)
    assert set(both["_merge"]) == {"both"}, both.loc[both["_merge"] != "both", KEY].to_string()
    for column in ("value", "low", "high", "n"):
        apart = np.abs(both[column] - both[f"{column}_kept"]).fillna(0) > ROUNDING
        apart |= both[column].isna() != both[f"{column}_kept"].isna()
        assert not apart.any(), both.loc[apart, [*KEY, column, f"{column}_kept"]].to_string()
