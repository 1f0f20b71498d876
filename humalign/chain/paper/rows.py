"""The rows that evaluations of the paper's chain yield: whose evidence they stand on, and what each stage is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from humalign.chain import features
from humalign.chain.judged import Things
from humalign.chain.pipeline import Run
from humalign.evaluation import uncertainty
from humalign.evaluation.scores import Estimate, resamples
from humalign.profiles import Profile

Model = tuple[str, str]  # model, stage
Row = tuple[tuple[str, str, str, str, str], str, Estimate]  # model, stage, task, split, metric; evidence; estimate
PEOPLE: Model = ("people", "ceiling")
REFERENCES = {"teacher": ("teacher-base",), "unaligned": ("base",), "aligned": ("base", "unaligned")}
# Answers to which a model's temperature is fitted, at most.
HEATED = 20_000


def evidence(profile: Profile, kind: str = "human") -> str:
    """Return on whose evidence a number stands; whatever a rehearsal finds is simulated."""
    return kind if profile.evidence == "human" else "simulated"


def compared(found: dict[Model, Estimate], task: str, split: str, metric: str, kind: str) -> Iterator[Row]:
    """Yield each model's estimate at each stage, and its paired differences from the stages before."""
    for (model, stage), estimate in found.items():
        yield (model, stage, task, split, metric), kind, estimate
        for reference in REFERENCES.get(stage, ()):
            if (model, reference) in found:
                yield (model, stage, task, split, f"{metric}-above-{reference}"), kind, estimate - found[model, reference]


def constant(value: float | int, n: int = 1) -> Estimate:
    """Return a number that describes a run and is no sample of anything: its interval is a point."""
    return Estimate(float(value), np.array([float(value)]), n)


def weights(profile: Profile, units: int, number: int = 0) -> np.ndarray:
    """Return bootstrap weights; another number draws other units, as people beside images."""
    return resamples(units, profile.evaluation.bootstrap_draws, profile.seed + number)


def everyone(run: Run, which: str) -> Iterator[tuple[Model, np.ndarray]]:
    """Yield every model and stage with its features of a set of pictures."""
    for model, stage in features.models(run.profile):
        yield (model, stage), features.read(run, model, stage, which)


def temperatures(run: Run, known: Things, models: Iterable[Model]) -> dict[Model, float]:
    """Return the temperature of each model at which training answers about the THINGS objects, never scored, are most likely."""
    from humalign.data.judgments import Choices

    some = np.random.default_rng([run.profile.seed, 6]).permutation(len(known.training))[:HEATED]
    answers = Choices(known.training.triplets[some], known.training.counts[some])
    return {model: uncertainty.fit_temperature(features.read(run, *model, "things")[None], answers) for model in models}
