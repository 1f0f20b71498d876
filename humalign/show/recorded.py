"""Recorded experiments: the search for a teacher, its confirmation, and the toy for one's own model."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from humalign.chain import origins
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.evaluation.scores import above
from humalign.show.cells import EMPTY, Piece, number
from humalign.show.stages import name, short

SEARCH = "teacher_search"
PRESENT = "present"
# What is fitted, by the names of `benchmarks/teacher_search.yaml`, in the order of the table.
MAPS = {
    PRESENT: ("the teacher of this page", "answers"),
    "our VICE": ("ridge", "our VICE"),
    "our VICE, learned": ("ridge, dimensions weighted by answers", "our VICE"),
    "present and our VICE": ("the last and the teacher, averaged", "our VICE, answers"),
    "VICE": ("ridge", "published VICE"),
    "SPoSE": ("ridge", "published SPoSE"),
    "average": ("ridge", "all three"),
    "average, certainty": ("ridge, sure objects weigh more", "all three"),
    "average, whitened": ("ridge, whitening and rank", "all three"),
    "average, bagged": ("ridge, mean over bags of objects", "all three"),
    "average, learned": ("ridge, dimensions weighted by answers", "all three"),
    "all of these": ("the last four together", "all three"),
    "present and average": ("ridge, weighted, and the teacher, averaged", "all three, answers"),
    "chosen": ("best inside the training objects", "any"),
    "kernel": ("not affine: kernel ridge (RBF)", "all three"),
    "two layers": ("not affine: network of two layers", "all three"),
    "VICE, seen": ("no map: published VICE, has seen them", EMPTY),
}
UNITS = {"persons": "people", "photographs": "92 photographs", "answers": "THINGS answers",
         "objects": "48 objects"}
METRICS = {"answers": "accuracy", "persons": "rsa-each-person"}


# The columns by which a table is known.
COLUMNS = {
    SEARCH: {"gain", "low", "value"},
    "confirmation": {"gain", "low", "measure"},
    "photographs": {"run", "answers", "pictures"},
    "architectures": {"library", "family", "outcome"},
    "answers": {"each", "teacher", "gain"},
}


def table(experiment: str, folder: Path | None = None) -> pd.DataFrame:
    """Read the table of an experiment.

    Raises:
        HumalignError: it is not there, or lacks a column.
    """
    folder = folder or origins.RECORDED
    path = folder / f"{experiment}.csv"
    try:
        found = pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise _lost(f"no table of numbers at {path} ({error})", experiment, folder) from None
    if lacking := ", ".join(sorted(COLUMNS[experiment] - set(found))):
        raise HumalignError(f"{path} has no column {lacking}: restore it from the repository")
    return found


def note(experiment: str, folder: Path | None = None) -> dict[str, Any]:
    """Read where the numbers of an experiment come from.

    Raises:
        HumalignError: that is not there, or is no JSON.
    """
    folder = folder or origins.RECORDED
    path = folder / f"{experiment}.json"
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _lost(f"{path} does not say where the numbers are from ({error})", experiment, folder) from None


def _lost(what: str, experiment: str, folder: Path) -> HumalignError:
    return HumalignError(f"{what}: restore it, or run benchmarks/{experiment}.py --record {folder}")


# ---- the search --------------------------------------------------------------------------------------------


def reached(rows: pd.DataFrame, what: str, metric: str = "accuracy-dot") -> pd.Series:
    """Return what one map reaches, as a score."""
    return _score(_one(rows, what, metric), metric, ("value", "low", "high"))


def gain(rows: pd.DataFrame, what: str, metric: str = "accuracy-dot") -> pd.Series:
    """Return a map's paired difference from its reference, as a score."""
    row = _one(rows, what, metric)
    return _score(row, above("accuracy", row["reference"]), ("gain", "gain low", "gain high"))


def _one(rows: pd.DataFrame, what: str, metric: str) -> pd.Series:
    found = rows[(rows["map"] == what) & (rows["metric"] == metric)]
    if len(found) != 1:
        raise KeyError(f"{len(found)} rows of {what!r} by {metric!r}, expected one")
    return found.iloc[0]


def _score(row: pd.Series, metric: str, columns: tuple[str, str, str]) -> pd.Series:
    value, low, high = (row[column] for column in columns)
    return pd.Series({"value": value, "low": low, "high": high, "n": int(row["n"]), "metric": metric})


def searched(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table of maps: targets, accuracy, and paired difference from the present teacher."""
    shown = [
        {"map": told, "targets": targets, "accuracy": number(reached(rows, what), between="\n{}"),
         "less the teacher": EMPTY if what == PRESENT else number(gain(rows, what), between="\n{}")}
        for what, (told, targets) in MAPS.items()
    ]  # fmt: skip
    return pd.DataFrame(shown)


def gaps(rows: pd.DataFrame) -> pd.DataFrame:
    """Return by category how far the teacher is below the published VICE, which has seen the objects."""
    found = [gain(rows, "VICE, seen", metric).to_dict() | {"item": metric.split(", ", 1)[1]}
             for metric in rows["metric"].unique() if ", " in metric]
    return pd.DataFrame(found).sort_values("value", ascending=False, kind="stable")


# ---- the confirmation --------------------------------------------------------------------------------------


def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the gains of a confirmation as scores, in its order."""
    found = rows.rename(columns={"gain": "value"})
    return found.assign(metric=[METRICS.get(measure, "rsa-spearman") for measure in rows["measure"]])


def confirmed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the table of a confirmation: what is compared, the gain, how many gain, whether confirmed."""
    shown = []
    for row in gains(rows).to_dict("records"):
        counted = row["above"] + row["below"]
        half = [row["units"]] if row["units"].startswith("half") else []
        sign = f"\np = {row['sign test']:.2g}" if counted else ""
        over = " and ".join(name(stage) if "base" in stage else stage for stage in row["over"].split(" and "))
        shown.append({
            "units": ", ".join([f"{short(row['model'])}: {UNITS[row['measure']]}", *half]),
            "over": over, "gain": number(row, between="\n{}"),
            "up, down": f"{row['above']}, {row['below']}{sign}" if counted else EMPTY,
            "confirmed": "yes" if row["confirmed"] else "no",
        })  # fmt: skip
    return pd.DataFrame(shown)


# ---- the toy of the page on one's own model ----------------------------------------------------------------


def strip(paths: Sequence[Path]) -> Piece:
    """Show PNG files side by side; on a narrow page they wrap."""
    shown = [
        f'<img alt="{html.escape(path.stem)}" title="{html.escape(path.stem)}" width="64" height="64" '
        f'src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}">'
        for path in paths
    ]
    body = f'<div class="humalign" style="display:flex;flex-wrap:wrap;gap:4px">{"".join(shown)}</div>'
    return Piece(body, ", ".join(path.stem for path in paths))


def toy() -> pd.DataFrame:
    """Return the scores of the recorded run of the page's commands."""
    return scores.read(origins.recorded("aligned"))


def photographs() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what ``benchmarks/photographs.py`` has recorded: scores, and answers and minutes of each run."""
    runs = table("photographs").sort_values("answers").set_index("run")
    return pd.concat([scores.read(origins.recorded(name)) for name in runs.index]), runs


def architectures() -> tuple[pd.DataFrame, dict[str, str]]:
    """Return what ``benchmarks/architectures.py`` has recorded: families by outcome; and the columns."""
    outcomes = {"builds": "too large", "differs": "other features"}
    rows = table("architectures")
    # Of a family one model was trained, if any.
    best_first = ["aligned", "differs", "failed", "builds", "refused"]
    best = rows.assign(outcome=pd.Categorical(rows["outcome"], best_first, ordered=True))
    best = best.sort_values("outcome", kind="stable").drop_duplicates(["library", "family"])
    found = pd.crosstab(best["library"], best["outcome"])
    found.insert(0, "families", found.sum(axis=1))
    models = rows["library"].value_counts()
    found.insert(0, "library", [f"{library}, {models[library]:,} models" for library in found.index])
    columns = "library families aligned builds refused differs failed".split()
    return found, {name: outcomes.get(name, name) for name in columns if name in found}


def enough() -> pd.DataFrame:
    """Return what ``benchmarks/answers.py`` has recorded: agreement in percent by answers a picture."""
    return table("answers").round(1)
