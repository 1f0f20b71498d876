"""What every evaluation yields: a model's estimate at a stage, and its differences from the stages before."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from humalign.chain import features
from humalign.chain.further import THINGS
from humalign.chain.pipeline import Run
from humalign.evaluation import baselines
from humalign.evaluation.scores import Estimate, Score, above, mean_of_folds, resamples
from humalign.profiles import Profile

Model = tuple[str, str]  # name, stage of alignment
Features = Float[np.ndarray, "images dim"]
PEOPLE: Model = ("people", "ceiling")
PUBLISHED: Model = ("vice-published", "observer")
# Stages that no judgment made.
OF_TEACHERS, OF_STUDENTS = (
    (before, *(name for name, (each, _) in baselines.STAGES.items() if each == before))
    for before in ("teacher-base", "base")
)
OF_RECIPES = ("ridge-strict", "teacher-one-hot", "teacher-published", "teacher-distilled")
# What each stage is compared with: a paired difference on the same draws.
COMPARISONS = {
    "teacher": (*OF_TEACHERS, "ridge"),
    "ridge": (*OF_TEACHERS, "teacher"),
    **dict.fromkeys(OF_RECIPES, ("teacher-base", "ridge", "teacher")),
    "unaligned": OF_STUDENTS,
    "aligned-head": (*OF_STUDENTS, "unaligned"),
    "aligned": (*OF_STUDENTS, "unaligned", "aligned-head"),
}
# Numbers of the run itself.
OF_THE_RUN = ("distillation", "triplets", "fit", "pull-selection")
OF_CLASSES = ("few-shot", "corruption", "style-shift", "subpopulation-shift", "natural-adversarial")
OF_MODELS = ("between-models", "disagreement", "dense-against-sparse")
# On whose evidence a task's numbers stand, where it is not people's.
EVIDENCE = {
    **dict.fromkeys(("hierarchy", "map", "breeds"), "taxonomy"),
    **dict.fromkeys((*OF_CLASSES, *OF_MODELS, *OF_THE_RUN), "labels"),
    "recovery": "simulated",
}


@dataclasses.dataclass(frozen=True)
class Spread:
    """A number of the run itself, no sample of anything: mean over parts, least and greatest."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float | int]) -> Spread:
        """Take the numbers of several parts."""
        return cls(float(np.mean(values)), float(np.min(values)), float(np.max(values)), len(values))

    def interval(self) -> tuple[float, float]:
        """Return the least and the greatest."""
        return self.low, self.high


@dataclasses.dataclass(frozen=True)
class Row:
    """One number of one evaluation, before its evidence is known."""

    model: str
    stage: str
    task: str
    split: str
    metric: str
    estimate: Estimate | Spread

    def score(self, profile: Profile) -> Score:
        """Return the row of the table: the value, its interval, and on whose evidence it stands."""
        found, stands_on = self.estimate, evidence(profile, self.task)
        return Score(self.task, self.split, self.metric, found.value, *found.interval(), found.n, stands_on)


def evidence(profile: Profile, task: str) -> str:
    """Return on whose evidence a task's numbers stand."""
    kind = EVIDENCE.get(task, "human")
    if profile.evidence == "human":
        return kind
    # Simulated observers of real pictures leave classes and taxonomies real; files of THINGS may be made up.
    made_up = "things" in profile.data.judged
    return "simulated" if made_up or kind == "human" or task in OF_THE_RUN else kind


def compared(found: Mapping[Model, Estimate], task: str, split: str, metric: str) -> Iterator[Row]:
    """Yield each model's estimate at each stage, and its paired differences from those before it."""
    for (model, stage), estimate in found.items():
        yield Row(model, stage, task, split, metric, estimate)
        for reference in COMPARISONS.get(stage, ()):
            if (model, reference) in found:
                difference = estimate - found[model, reference]
                yield Row(model, stage, task, split, above(metric, reference), difference)


def measures(
    found: Mapping[Model, Mapping[str, Estimate]], task: str, split: str, kind: str = ""
) -> Iterator[Row]:
    """Yield the estimates of several metrics, whose names begin with a kind, each compared between stages."""
    for metric in dict.fromkeys(metric for each in found.values() for metric in each):
        if metric.startswith(kind):
            yield from compared(column(found, metric), task, split, metric)


def column(found: Mapping[Model, Mapping[Any, Estimate]], name: Any) -> dict[Model, Estimate]:
    """Return one of several estimates of every model that has it."""
    return {model: each[name] for model, each in found.items() if name in each}


def over_folds(folds: Iterable[Iterable[Row]]) -> Iterator[Row]:
    """Yield the mean over folds of every row that each of them has."""
    gathered: dict[tuple[str, ...], list[Row]] = {}
    made = [list(rows) for rows in folds]
    for row in itertools.chain(*made):
        gathered.setdefault((row.model, row.stage, row.task, row.split, row.metric), []).append(row)
    for several in gathered.values():
        estimates = [row.estimate for row in several if isinstance(row.estimate, Estimate)]
        if len(several) == len(made):
            yield dataclasses.replace(several[0], estimate=mean_of_folds(estimates))


def weights(profile: Profile, units: int, number: int = 0) -> Float[np.ndarray, "draws_and_one units"]:
    """Return bootstrap weights; another number draws other units, as people beside images."""
    return resamples(units, profile.evaluation.bootstrap_draws, profile.seed + number)


def of_fold(profile: Profile, units: int, fold: int) -> Float[np.ndarray, "draws_and_one units"]:
    """Return the bootstrap weights of one fold's units, drawn apart from those of the others."""
    return resamples(units, profile.evaluation.bootstrap_draws, profile.seed * 1000 + fold)


def everyone(run: Run, which: str, beside: bool = True) -> Iterator[tuple[Model, Features]]:
    """Yield every model and stage on a set with its features; ``beside``: those that cost no judgment too."""
    for model, stage in features.models(run.profile, which):
        if beside or stage not in baselines.STAGES:
            yield (model, stage), features.read(run, model, stage, which)


def of_students(run: Run, half: int) -> Iterator[tuple[Model, Features]]:
    """Yield features of the THINGS photographs by students whose teacher was fitted to the other half."""
    backbones = {student.backbone for student in run.profile.students if "halves" in student.parts}
    for model, stage in features.models(run.profile, THINGS):
        if model in backbones and stage not in (features.HEAD, *features.TEACHERS):
            yield (model, stage), features.read(run, model, stage, THINGS, f"half{half}")
