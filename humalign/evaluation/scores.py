"""The one table that everything in the book is drawn from, and the intervals in it.

A score is one number with its 95 % interval: which profile and model, at which stage of alignment,
on which task and split, by which metric, over how many items, and on whose evidence. Figures, tables
and prose read this table and nothing else, so a GPU machine hands back one small file.

The columns of ``DERIVED`` are read out of task, split and metric by ``humalign.evaluation.splits`` alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import norm, t

from humalign.artefacts import replacing, write_dataset
from humalign.errors import HumalignError
from humalign.evaluation import splits

NUMBERS = ("value", "low", "high")
COLUMNS = ("profile", "model", "stage", "task", "split", "metric", *NUMBERS, "n", "seed", "evidence")
DERIVED = ("set", "item", "x", "reference")
NUMERIC = (*NUMBERS, "n", "seed", "x")
EVIDENCE = ("human", "simulated", "taxonomy", "labels")
# Shares of answers: no interval of one leaves 0 to 1, however much draws are spread.
ACCURACIES = ("accuracy", "accuracy-dot", "accuracy-nearest-mean")
# The upper end of a central 95 % interval.
HIGH = 0.975
# The number itself, then one a draw.
Statistic = Float[np.ndarray, " draws_and_one"]


@dataclasses.dataclass(frozen=True)
class Score:
    """One number of one evaluation; ``value`` is NaN where it cannot honestly be given."""

    task: str
    split: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    evidence: str

    def __post_init__(self) -> None:
        if self.evidence not in EVIDENCE:
            raise ValueError(f"evidence {self.evidence!r} is none of {EVIDENCE}")


def table(scores: dict[tuple[str, str], list[Score]], profile: str, seed: int) -> pd.DataFrame:
    """Return the tidy table of scores keyed by (model, stage), in the order given."""
    rows = [
        {"profile": profile, "model": model, "stage": stage, "seed": seed} | dataclasses.asdict(score)
        for (model, stage), several in scores.items()
        for score in several
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    key = ["model", "stage", "task", "split", "metric"]
    if frame.duplicated(key).any():
        raise ValueError(f"two scores of one name: {frame[frame.duplicated(key)][key].iloc[0].to_dict()}")
    shares, ends = frame["metric"].isin(ACCURACIES), ["low", "high"]
    frame.loc[shares, ends] = frame.loc[shares, ends].astype(float).clip(0, 1)
    # Six decimals: far below every interval, far above the rounding of one machine against another.
    return complete(frame.assign(**{c: frame[c].astype(float).round(6) for c in NUMBERS}))


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table of scores with the four derived columns last, made where a table lacks them."""
    if not set(DERIVED) <= set(frame.columns):
        names = frame[["task", "split", "metric"]].itertuples(index=False, name=None)
        found = pd.DataFrame([splits.derived(*each) for each in names], frame.index, list(DERIVED))
        frame = frame.assign(**{name: found[name] for name in DERIVED})
    return frame[[*COLUMNS, *DERIVED]]


def above(metric: str, reference: str) -> str:
    """Return the metric's name for the paired difference from a reference; without one, the metric itself."""
    return f"{metric}-above-{reference}" if reference else metric


def write(frame: pd.DataFrame, folder: Path, attrs: dict[str, Any]) -> None:
    """Write ``scores.csv`` and the same table, with its provenance, as ``scores.nc``."""
    import xarray as xr

    with replacing(folder / "scores.csv") as part:
        frame.to_csv(part, index=False, lineterminator="\n")
    texts = {column: object for column in frame if column not in NUMERIC}
    dataset = xr.Dataset.from_dataframe(frame.rename_axis("row").astype(texts))
    write_dataset(folder / "scores.nc", dataset.assign_attrs(attrs))


def read(path: str | Path) -> pd.DataFrame:
    """Read a table of scores and check its columns; ``attrs["sources"]`` are the files that its run has read.

    Raises:
        HumalignError: the file is missing or is no table of scores.
    """
    path = Path(path)
    if not path.is_file():
        raise HumalignError(f"no scores at {path}: run `make reproduce` first")
    try:
        # A model may be called 007, NA or 1e3: names are text, and only numbers may be missing.
        numbers = {name: ["", "nan"] for name in NUMERIC}
        texts = {name: str for name in (*COLUMNS, *DERIVED) if name not in numbers}
        frame = pd.read_csv(path, dtype=texts, na_values=numbers, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        mend = "delete it and run `make reproduce`"
        raise HumalignError(f"{path} is no table of scores ({error}): {mend}") from None
    if tuple(frame.columns) not in (COLUMNS, (*COLUMNS, *DERIVED)):
        raise HumalignError(f"{path} has columns {list(frame.columns)}, expected {[*COLUMNS, *DERIVED]}")
    frame = complete(frame)
    # Older runs did not keep the files; `origins.read` is what complains of a damaged file.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        frame.attrs["sources"] = json.loads(path.with_name("provenance.json").read_text("utf-8"))["sources"]
    return frame


def pick(frame: pd.DataFrame, **where: Any) -> pd.DataFrame:
    """Return the rows in which every named column has the given value, or one of the given values."""
    for column, wanted in where.items():
        several = isinstance(wanted, Iterable) and not isinstance(wanted, str)
        frame = frame[frame[column].isin(list(wanted) if several else [wanted])]
    return frame


def one(frame: pd.DataFrame, **where: Any) -> pd.Series:
    """Return the single row that fits; none or several is an error, so prose cannot quote a wrong number."""
    rows = pick(frame, **where)
    if len(rows) != 1:
        raise KeyError(f"{len(rows)} scores fit {where}, expected one")
    return rows.iloc[0]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number, the same number on every bootstrap draw, and how many items it was counted on.

    A two-way bootstrap, of persons and triplets or of two images, counts their interaction three times.
    ``alone`` holds draws of one unit at a time, which count it once: Var = 2 ΣVar(one-way) - Var(two-way).

    Source: Owen (2007), The pigeonhole bootstrap; Schütt et al. (2023), Statistical inference on RSA.
    """

    value: float  #: the number itself.
    draws: Float[np.ndarray, " draws"]  #: with all units drawn.
    n: int  #: items.
    #: By unit, with that one drawn and the others as they are; none where a draw counts nothing twice.
    alone: tuple[Float[np.ndarray, " draws"], ...] = ()

    @classmethod
    def of(cls, statistic: Statistic, n: int, *alone: Statistic) -> Estimate:
        """Take a statistic of the weights of ``resamples``: its first entry is the number itself."""
        return cls(float(statistic[0]), statistic[1:], n, tuple(each[1:] for each in alone))

    def __sub__(self, other: Estimate) -> Estimate:
        """The difference, paired draw by draw: both were taken on the same resampled units."""
        alone = tuple(one - two for one, two in zip(self.alone, other.alone, strict=True))
        return Estimate(self.value - other.value, self.draws - other.draws, self.n, alone)

    def centred(self, scale: float = 1.0) -> Estimate:
        """Return the number with its draws moved about it and scaled: resampling may move all to one side."""
        return dataclasses.replace(self, draws=self.value + (self.draws - np.nanmean(self.draws)) * scale)

    def interval(self) -> tuple[float, float]:
        """Return the central 95 % of the draws that are defined, after the correction for pairs."""
        draws = self.draws
        if self.alone and (together := np.nanvar(draws)) > 0:
            # Nothing is counted more than three times.
            share = max(2 * sum(np.nanvar(each) for each in self.alone) / together - 1, 1 / 3)
            draws = self.centred(np.sqrt(share)).draws
        low, high = np.nanquantile(draws, [1 - HIGH, HIGH])
        return float(low), float(high)

    def score(self, task: str, split: str, metric: str, evidence: str) -> Score:
        """Return the row of the table: the value and its interval."""
        return Score(task, split, metric, self.value, *self.interval(), self.n, evidence)


def few(freedom: float) -> float:
    """Return the widening of draws whose variance was estimated: Student's t against the normal, at 95 %."""
    return float(t.ppf(HIGH, max(freedom, 1.0)) / norm.ppf(HIGH))


def mean_of_folds(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean over folds, whose units are resampled independently of each other."""
    return Estimate(
        float(np.mean([e.value for e in estimates])),
        np.mean([e.draws for e in estimates], axis=0),
        sum(e.n for e in estimates),
        tuple(np.mean(each, axis=0) for each in zip(*(e.alone for e in estimates), strict=True)),
    )


def jackknifed(
    statistics: Callable[[np.ndarray], Float[np.ndarray, " some"]],
    units: Float[np.ndarray, "units ..."],
    weights: Float[np.ndarray, "draws_and_one units"],
) -> list[Estimate]:
    """Return statistics of several units together; a drawn unit moves them by what they lose without it.

    For statistics that compare units with each other, as one person with the mean of the others: a unit drawn
    twice would be compared with itself, and a mean of fewer different ones is less steady.
    Units lie along the first axis, and ``statistics`` are taken of all or all but one.

    Source: Tukey's pseudo-values; Efron (1982), The jackknife, the bootstrap and other resampling plans.
    """
    number, values = len(units), statistics(units)
    without = np.array([statistics(np.delete(units, unit, axis=0)) for unit in range(number)])
    # The weights vary as a sample does about its own mean: a little less than about that of the population.
    moved = (without.mean(0) - without) * np.sqrt((number - 1) / number)
    drawn = (np.asarray(weights[1:], dtype=float) - 1) @ moved
    return [Estimate(float(v), v + each, number) for v, each in zip(values, drawn.T, strict=True)]


def resamples(units: int, draws: int, seed: int) -> Float[np.ndarray, "draws_and_one units"]:
    """Return weights of units (images, concepts, people): a row of ones, then one row a bootstrap draw.

    The same seed draws the same units for every model, so that differences between models are paired.
    """
    counts = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=draws)
    return np.concatenate([np.ones((1, units)), counts]).astype(np.float32)


def disagreements(fresh: pd.DataFrame, recorded: pd.DataFrame, tolerance: float) -> list[str]:
    """Return one line for each row that two tables do not share, or whose numbers differ by too much.

    Numbers may differ by the tolerance, or by the width of their interval where that is wider: scores come in
    several units, and rounding moves those of a wide interval most.
    """
    key = ["profile", "model", "stage", "task", "split", "metric", "seed", "evidence"]
    both = fresh.merge(recorded, on=key, how="outer", suffixes=("", "_recorded"), indicator=True)
    lines = []
    for row in both.to_dict("records"):
        name = " / ".join(str(row[c]) for c in key[1:6])
        pairs = value, lows, highs = [(row[c], row[f"{c}_recorded"]) for c in NUMBERS]
        allowed = np.fmax(tolerance, min(high - low for low, high in zip(lows, highs, strict=True)))
        if row["_merge"] != "both":
            side = "fresh" if row["_merge"] == "left_only" else "recorded"
            lines.append(f"{name}: only in the {side} table")
        elif any(abs(a - b) > allowed or np.isnan(a) != np.isnan(b) for a, b in pairs):
            lines.append(f"{name}: {value[0]} fresh, {value[1]} recorded")
    return lines


if __name__ == "__main__":
    import sys

    one_path, other_path = map(Path, sys.argv[1:3])
    # Another processor rounds otherwise, and k-means and training amplify it: runs on two kinds of machine
    # were up to 0.017 apart in accuracies, and 0.056 in a distance whose interval is 0.1 wide.
    found = disagreements(read(one_path), read(other_path), tolerance=0.03)
    same = one_path.read_bytes() == other_path.read_bytes()
    how = ", byte for byte" if same else " within 0.03 or an interval"
    print("\n".join(found) or f"{one_path} agrees with {other_path}{how}")
    sys.exit(bool(found))
