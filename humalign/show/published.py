"""The numbers of the paper and of what surrounds it, each with its source and how far it can be trusted.

They are in ``published.csv`` beside this file: a value, or a range over several models, or neither where
it is not known to us. None of them is a result of this project. They stand beside ours in a column of their
own, and ``DIFFERENT`` says why a row of the demo is another experiment. Accuracies are shares (0 to 1), as in
the table of scores.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from humalign.evaluation.scores import pick
from humalign.show.stages import ACROSS, in_percent

TRUST = {
    "paper": "read in or quoted from the paper",
    "code": "read in an official repository or notebook of the authors",
    "derived": "computed from public data",
    "note": "second hand, plausible",
    "issue": "reported in the issue tracker of the official code",
    "open": "not known to us",
}
DIFFERENT, SAME = "no: simulated observers over drawings", "yes, see the deviations"
NO_RUN = "empty: no run yet"


@dataclasses.dataclass(frozen=True)
class Published:
    """One number or, with ``value`` None, a range over several models or a number that is not known."""

    task: str
    split: str
    metric: str
    model: str
    stage: str
    value: float | int | None
    trust: str
    source: str
    low: float | int | None = None
    high: float | int | None = None

    def __post_init__(self) -> None:
        if self.trust not in TRUST:
            raise ValueError(f"trust {self.trust!r} is none of {tuple(TRUST)}")
        known = self.value is not None or self.low is not None
        if (self.trust == "open") == known or (self.low is None) != (self.high is None):
            what = f"{self.task}, {self.split}, {self.stage}"
            raise ValueError(f"{what}: a value or a range, unless it is open")

    @property
    def text(self) -> str:
        """The number as printed beside ours: a value, a range, or that it is not known; shares in percent."""
        if self.value is not None:
            return self._said(self.value)
        if self.low is None or self.high is None:
            return "not known"
        return f"{self._said(self.low)} to {self._said(self.high)}"

    def _said(self, number: float | int) -> str:
        if isinstance(number, int):
            return f"{number:,}"
        if in_percent(self.metric):
            return f"{100 * number:.4g}"
        return f"{number:.4g}".replace("-", "\N{MINUS SIGN}")


def _read(path: Path) -> Iterator[Published]:
    """Yield the numbers of a table; what has a point is a share or a ratio, what has none a count."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            cells: dict[str, Any] = dict(row)
            for name in ("value", "low", "high"):
                text = row[name]
                cells[name] = (float(text) if "." in text else int(text)) if text else None
            yield Published(**cells)


PUBLISHED = tuple(_read(Path(__file__).with_suffix(".csv")))


# What stands here in the place of a published number: fields of it, where ours is found, and how far it is
# the same experiment. The first that fits counts.
REPEATED = {"model": "people", "task": "odd-one-out", "split": "repeated triplets", "metric": "accuracy"}
UNSEEN = {"model": "clip-vit-b32", "task": "odd-one-out", "split": "unseen objects", "metric": "accuracy"}
HERE: tuple[tuple[dict[str, str], dict[str, str], str], ...] = (
    ({"task": "odd-one-out", "split": "THINGS", "source": "noise-ceiling triplets of THINGS"}, REPEATED,
     "yes: the same answers"),
    ({"task": "odd-one-out", "split": "THINGS", "stage": "ceiling"}, REPEATED,
     "in part: people's agreement on repeated triplets, perhaps other ones"),
    ({"task": "odd-one-out", "split": "THINGS", "stage": "base"}, UNSEEN | {"stage": "teacher-base"},
     "no: another model, a part of the answers"),
    ({"task": "odd-one-out", "split": "THINGS", "stage": "aligned"}, UNSEEN | {"stage": "teacher"},
     "no: a teacher's map of another model, on objects that its fit never saw"),
    *(({"task": "similarity-judgments", "stage": stage},
       {"stage": stage, "task": "similarity-judgments", "split": ACROSS, "metric": "rsa-spearman"},
       "no: another set of judgments, a small student") for stage in ("base", "aligned")),
    ({"task": "hierarchy", "stage": "aligned"},
     {"stage": "aligned", "task": "hierarchy", "split": "things-photographs/same-category",
      "metric": "standardised-distance-above-base"},
     "no: photographs that share a category of THINGS, a small student"),
    *(({"task": "few-shot", "stage": stage},
       {"stage": stage, "task": "few-shot", "split": "cifar10/1-shot", "metric": "accuracy"},
       "no: CIFAR-10 alone, a small student") for stage in ("base", "aligned")),
    *(({"task": "breeds", "split": split}, {"task": "breeds", "split": split, "metric": "superclasses"},
       "yes: the same hierarchy")
      for split in ("living-17", "nonliving-26", "entity-13", "entity-30")),
    ({"task": "calibration", "metric": "majority-share"}, REPEATED, "yes: the same answers"),
)
# Why there is nothing here, by fields of a published number; the first that fits counts.
LEVELS_LACK = "empty: the answers and ImageNet's photographs are not at hand; the profile paper has them"
EMPTY_BECAUSE: tuple[tuple[dict[str, str], str], ...] = (
    *(({"task": task, "split": split}, LEVELS_LACK)
      for task in ("odd-one-out", "uncertainty", "size")
      for split in ("global-coarse", "local-fine", "class-boundary", "Levels, all", "Levels")),
    ({"task": "hierarchy", "stage": "base"}, "empty: it is the base from which changes are counted"),
    ({"task": "style-shift"}, "empty: BREEDS needs ImageNet's photographs; the profile paper has them"),
    ({"task": "natural-adversarial"}, "empty: ImageNet-A is not at hand; the profile paper has it"),
    ({"task": "ratings"}, "empty: no person was asked here"),
    ({"task": "calibration", "metric": "choice-entropy"},
     "empty: an entropy of answers, used to make the simulated observers alike"),
    ({"task": "size"}, "empty: a public part of the answers is at hand, not all"),
)


def beside(scores: pd.DataFrame, **where: Any) -> list[tuple[Published, pd.DataFrame, str]]:
    """Return published numbers, this run's rows in the place of each, and what is to be said of the two.

    Where ``HERE`` names no such place, it is the same task, split, metric and stage.

    Raises:
        KeyError: nothing published fits, nothing is said of one, or several rows fit a place of ``HERE``.
    """
    return [(row, *_ours(scores, row)) for row in published(**where)]


def _ours(scores: pd.DataFrame, row: Published) -> tuple[pd.DataFrame, str]:
    for fields, where, said in HERE:
        ours = pick(scores, **where)
        if len(ours) and _fits(row, fields):
            if len(ours) > 1:
                raise KeyError(f"{len(ours)} scores fit {where}, expected one")
            return ours, said
    ours = pick(scores, task=row.task, split=row.split, metric=row.metric, stage=row.stage)
    if ours.empty:
        return ours, _why_empty(row) if len(scores) else NO_RUN
    return ours, DIFFERENT if set(ours["evidence"]) == {"simulated"} else SAME


def _fits(row: Published, fields: dict[str, str]) -> bool:
    return all(getattr(row, field) == wanted for field, wanted in fields.items())


def _why_empty(row: Published) -> str:
    for fields, why in EMPTY_BECAUSE:
        if _fits(row, fields):
            return why
    if any(_fits(row, fields) for fields, _, _ in HERE):
        return "empty: this run has no such row"
    raise KeyError(f"nothing is said of {row}")


def published(**where: Any) -> tuple[Published, ...]:
    """Return the published numbers whose named fields have the given value, or one of the given values.

    Raises:
        KeyError: none fits, so that a misspelt name cannot leave a column empty.
    """
    asked = {field: (wanted,) if isinstance(wanted, str) else wanted for field, wanted in where.items()}
    found = tuple(row for row in PUBLISHED if all(getattr(row, field) in asked[field] for field in asked))
    if not found:
        raise KeyError(f"no published number fits {where}")
    return found
