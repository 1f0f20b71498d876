"""The numbers of the paper and of what surrounds it, each with its source and how far it can be trusted.

None of them is a result of this project. They stand beside ours in a column of their own, and ``DIFFERENT``
says why a row of the demo is another experiment. Accuracies are shares (0 to 1), as in the table of scores.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd

from humalign.data.simulate import THINGS_CHOICE_ENTROPY, THINGS_MAJORITY_SHARE
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
    """One number, or the range of one over several models; ``value`` is None where it is a range or not known."""

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
        if (self.trust == "open") != (self.value is None and self.low is None) or (self.low is None) != (self.high is None):
            raise ValueError(f"{self.task}, {self.split}, {self.stage}: a value or a range, unless it is open")

    @property
    def text(self) -> str:
        """The number as printed beside ours, a share in percent: a value, a range, or that it is not known."""
        if self.value is not None:
            return self._said(self.value)
        if self.low is None or self.high is None:
            return "not known"
        return f"{self._said(self.low)} to {self._said(self.high)}"

    def _said(self, number: float | int) -> str:
        if isinstance(number, int):
            return f"{number:,}"
        return f"{100 * number:.4g}" if in_percent(self.metric) else f"{number:.4g}".replace("-", "\N{MINUS SIGN}")


PAPER = "Muttenthaler et al. 2025"
NOTEBOOK = "authors' analysis notebook"
LEFT_OUT = f"{PAPER}; leave-one-out, and weighted by the numbers of trials these are the notebook's .6896"
TRACKER = "issue tracker of the official code"
ANSWERS = "counted in the Levels answers"
BREEDS = "Santurkar et al. 2021, and their code"
PORTS = "per trial, cosine, on the Levels answers; not by the paper's authors"


def _levels() -> list[Published]:
    # level: people's leave-one-out agreement (all notes); base low, base high, aligned low, aligned high, and how these four are known
    known = {
        "global-coarse": (0.6192, (0.3609, 0.5738, "ViT-B to DINOv2-B"), (0.6570, 0.6856, "DINOv1-B to DINOv2-B"), "paper"),
        "local-fine": (0.6592, (0.4604, 0.5772, "range over models"), (0.5893, 0.6292, "range over models"), "note"),
        "class-boundary": (0.8921, (0.7037, 0.9367, "range over models"), (0.9309, 0.9424, "range over models"), "note"),
    }
    rows = []
    for level, (people, base, aligned, trust) in known.items():
        rows.append(Published("odd-one-out", level, "accuracy", "people", "ceiling", people, "note", LEFT_OUT))
        for stage, (low, high, models) in (("base", base), ("aligned", aligned)):
            rows.append(Published("odd-one-out", level, "accuracy", models, stage, None, trust, f"{PAPER}; Levels", low, high))
    rows.append(Published("odd-one-out", "local-fine", "accuracy", "SigLIP-B", "aligned", 0.6094, "issue", TRACKER))
    ports = {
        "CLIP B/32 DataComp": (0.5098, 0.5680, 0.8558),
        "SigLIP2 B/16-256": (0.5138, 0.5646, 0.8731),
        "DINOv3 B/16": (0.4562, 0.5608, 0.8471),
    }
    for model, values in ports.items():
        rows += [Published("odd-one-out", level, "accuracy", model, "base", value, "derived", PORTS)
                 for level, value in zip(known, values, strict=True)]
    return rows


def _uncertainty() -> list[Published]:
    levels = ("global-coarse", "local-fine", "class-boundary")
    rows = [Published("uncertainty", level, "response-time-entropy-spearman", "people", "ceiling", value, "code", NOTEBOOK)
            for level, value in zip(levels, (0.325, 0.364, 0.443), strict=True)]
    rows += [Published("uncertainty", level, "median-seconds", "people", "ceiling", value, "code", f"{NOTEBOOK}; without times above 10 s")
             for level, value in zip(levels, (3.31, 3.07, 2.04), strict=True)]
    rows += [Published("uncertainty", level, "entropy-spearman", "models", stage, None, "open", f"{PAPER}; with response times")
             for level in levels for stage in ("base", "aligned")]
    return rows


def _open(task: str, metric: str, split: str, source: str) -> list[Published]:
    return [Published(task, split, metric, "models", stage, None, "open", source) for stage in ("base", "aligned")]


PUBLISHED: tuple[Published, ...] = (
    Published("odd-one-out", "THINGS", "accuracy", "SigLIP-So400m", "base", 0.4424, "note", f"{PAPER}; the teacher's backbone, untuned"),
    Published("odd-one-out", "THINGS", "accuracy", "not stated", "aligned", 0.617, "note", f"{PAPER}; teacher or student: not stated"),
    Published("odd-one-out", "THINGS", "accuracy", "people", "ceiling", 0.6667, "note", PAPER),
    Published("odd-one-out", "THINGS", "accuracy", "people", "ceiling", 0.6722, "derived", "noise-ceiling triplets of THINGS"),
    *_levels(),
    Published("odd-one-out", "Levels, all", "leave-one-out agreement", "people", "ceiling", 0.6896, "code", NOTEBOOK),
    Published("odd-one-out", "Levels, all", "majority-share", "people", "ceiling", 0.7893, "code", f"{NOTEBOOK}; of four answers drawn"),
    *_uncertainty(),
    *_open("similarity-judgments", "rsa-spearman", "several human data sets", f"{PAPER}; protocol of gLocal"),
    *_open("hierarchy", "standardised-distance-above-base", "four relations",
           f"{PAPER}; densities by same subordinate, basic and superordinate, and different superordinate category"),
    *_open("few-shot", "accuracy", "ten data sets, one shot", f"{PAPER}; Birds, UC Merced and Colon are named, seven are not"),
    *_open("style-shift", "accuracy", "BREEDS", f"{PAPER}; distribution shift"),
    *(Published("breeds", f"{task}-{count}", "superclasses", "ImageNet", "taxonomy", count, "code", BREEDS)
      for task, count in (("living", 17), ("nonliving", 26), ("entity", 13), ("entity", 30))),
    *_open("natural-adversarial", "accuracy", "ImageNet-A", PAPER),
    Published("ratings", "within-class pairs", "mean rating of 5", "people", "aligned", 3.93, "code", f"{NOTEBOOK}; t(48) = 20.26"),
    Published("ratings", "within-class pairs", "mean rating of 5", "people", "unaligned", 3.14, "code", NOTEBOOK),
    Published("ratings", "within-class pairs", "correlation of distance and rating", "students", "aligned", -0.640, "code", NOTEBOOK),
    Published("ratings", "within-class pairs", "correlation of distance and rating", "students", "unaligned", 0.068, "code", NOTEBOOK),
    Published("calibration", "repeated triplets", "majority-share", "people", "ceiling", THINGS_MAJORITY_SHARE, "derived", "THINGS"),
    Published("calibration", "repeated triplets", "choice-entropy", "people", "ceiling", THINGS_CHOICE_ENTROPY, "derived", "THINGS; nats"),
    Published("size", "THINGS", "answers", "people", "ceiling", 4_699_160, "derived", "counted in the THINGS answers"),
    Published("size", "THINGS", "people", "people", "ceiling", 12_340, "derived", "counted in the THINGS answers"),
    Published("size", "Levels", "answers", "people", "ceiling", 123_043, "derived", ANSWERS),
    Published("size", "global-coarse", "answers", "people", "ceiling", 49_045, "derived", ANSWERS),
    Published("size", "local-fine", "answers", "people", "ceiling", 49_606, "derived", ANSWERS),
    Published("size", "class-boundary", "answers", "people", "ceiling", 24_392, "derived", ANSWERS),
    Published("size", "Levels", "people", "people", "ceiling", None, "code", NOTEBOOK, 448, 473),
)


# What stands here in the place of a published number: fields of it, where ours is found, and how far it is the same experiment. The first
# that fits counts.
HERE: tuple[tuple[dict[str, str], dict[str, str], str], ...] = (
    ({"task": "odd-one-out", "split": "THINGS", "source": "noise-ceiling triplets of THINGS"},
     {"model": "people", "task": "odd-one-out", "split": "repeated triplets", "metric": "accuracy"}, "yes: the same answers"),
    ({"task": "odd-one-out", "split": "THINGS", "stage": "ceiling"},
     {"model": "people", "task": "odd-one-out", "split": "repeated triplets", "metric": "accuracy"},
     "in part: people's agreement on repeated triplets, perhaps other ones"),
    ({"task": "odd-one-out", "split": "THINGS", "stage": "base"},
     {"model": "clip-vit-b32", "stage": "teacher-base", "task": "odd-one-out", "split": "unseen objects", "metric": "accuracy"},
     "no: another model, a part of the answers"),
    ({"task": "odd-one-out", "split": "THINGS", "stage": "aligned"},
     {"model": "clip-vit-b32", "stage": "teacher", "task": "odd-one-out", "split": "unseen objects", "metric": "accuracy"},
     "no: a teacher's map of another model, on objects that its fit never saw"),
    *(({"task": "similarity-judgments", "stage": stage},
       {"stage": stage, "task": "similarity-judgments", "split": ACROSS, "metric": "rsa-spearman"},
       "no: another set of judgments, a small student") for stage in ("base", "aligned")),
    ({"task": "hierarchy", "stage": "aligned"},
     {"stage": "aligned", "task": "hierarchy", "split": "things-photographs/same-category", "metric": "standardised-distance-above-base"},
     "no: photographs that share a category of THINGS, a small student"),
    *(({"task": "few-shot", "stage": stage}, {"stage": stage, "task": "few-shot", "split": "cifar10/1-shot", "metric": "accuracy"},
       "no: CIFAR-10 alone, a small student") for stage in ("base", "aligned")),
    *(({"task": "breeds", "split": split}, {"task": "breeds", "split": split, "metric": "superclasses"}, "yes: the same hierarchy")
      for split in ("living-17", "nonliving-26", "entity-13", "entity-30")),
    ({"task": "calibration", "metric": "majority-share"},
     {"model": "people", "task": "odd-one-out", "split": "repeated triplets", "metric": "accuracy"}, "yes: the same answers"),
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
    ({"task": "calibration", "metric": "choice-entropy"}, "empty: an entropy of answers, used to make the simulated observers alike"),
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
