"""Every evaluation of the demo on every fold, as one table of scores: means over folds, concepts resampled within each."""

from __future__ import annotations

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from humalign.data.judgments import Choices, cosine_similarities, entropy, majority_share, random_triplets
from humalign.data.simulate import THINGS_PEOPLE, Observers
from humalign.evaluation import few_shot, hierarchy, odd_one_out, rsa, shift, uncertainty
from humalign.evaluation.scores import Estimate, Score, empty, mean_of_folds, resamples
from humalign.profiles import Profile

Model = tuple[str, str]
Name = tuple[str, str, str, str]
OBSERVERS: Model = ("observers", "ceiling")
# Within a subgroup the observers' truth is a random vector of each concept's own: no picture can show it.
NOT_IN_THE_PICTURE = "local-fine"


@dataclasses.dataclass(frozen=True)
class Fold:
    """What one fold hands to the evaluations; features cover all concepts, fitted without the held-out ones."""

    held_out: Int[np.ndarray, " m"]
    whole: Bool[np.ndarray, " concepts"]
    features: dict[Model, Float[np.ndarray, "styles concepts dim"]]
    divergence: dict[str, Float[np.ndarray, " steps"]]
    fit: dict[str, Any]

    @property
    def subsets(self) -> dict[str, Int[np.ndarray, " m"]]:
        """Held-out concepts, all of them and by what was withheld."""
        alone = self.held_out[~self.whole[self.held_out]]
        return {"": self.held_out, "/unseen-concepts": alone, "/unseen-subgroups": self.held_out[self.whole[self.held_out]]}


@dataclasses.dataclass(frozen=True)
class _Bench:
    """One fold with everything that evaluations share: truth, taxonomy, settings, a stream of random numbers."""

    profile: Profile
    taxonomy: pd.DataFrame
    observers: Observers
    fold: Fold
    number: int

    def rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.profile.seed, 4, self.number, *stream])

    @functools.cached_property
    def weights(self) -> Float[np.ndarray, "draws held_out"]:
        return resamples(len(self.fold.held_out), self.profile.evaluation.bootstrap_draws, self.profile.seed * 1000 + self.number)

    @functools.cached_property
    def of_draws(self) -> Float[np.ndarray, "draws taught"]:
        """Weights of the few-shot draws, so that intervals speak of other taught concepts too."""
        return resamples(
            self.profile.evaluation.few_shot_draws, self.profile.evaluation.bootstrap_draws, self.profile.seed * 1000 + 500 + self.number
        )

    @property
    def held(self) -> pd.DataFrame:
        return self.taxonomy.iloc[self.fold.held_out]

    def ask(self, concepts: np.ndarray, asked: Int[np.ndarray, "n 3"], rng: np.random.Generator) -> Choices:
        """Ask the observers about concepts named by place in ``concepts``."""
        return Choices(asked, self.observers.answer(concepts[asked], self.profile.simulated.people_per_triplet, rng).counts)


def _levels(bench: _Bench) -> Iterator[tuple[Name, Model, Estimate]]:
    """Odd-one-out at each level and subset, with the ceiling; at all held-out concepts also the models' uncertainty."""
    train = np.setdiff1d(np.arange(len(bench.taxonomy)), bench.fold.held_out)
    rng = bench.rng(0)
    other = Choices(
        train_triplets := random_triplets(train, bench.profile.simulated.test_triplets, rng),
        bench.observers.answer(train_triplets, bench.profile.simulated.people_per_triplet, rng).counts,
    )
    temperatures = {model: uncertainty.fit_temperature(features, other) for model, features in bench.fold.features.items()}
    for s, (subset, concepts) in enumerate(bench.fold.subsets.items()):
        weights = resamples(len(concepts), bench.profile.evaluation.bootstrap_draws, bench.profile.seed * 1000 + 10 * s + bench.number)
        for lv, level in enumerate(odd_one_out.LEVELS):
            if level == NOT_IN_THE_PICTURE and subset:
                continue
            draw = bench.rng(1, s, lv)
            asked = odd_one_out.level_triplets(
                level, bench.taxonomy.iloc[concepts], np.arange(len(concepts)), bench.profile.simulated.test_triplets, draw
            )
            choices = bench.ask(concepts, asked, draw)
            split = level + subset
            yield ("odd-one-out", split, "accuracy", "simulated"), OBSERVERS, odd_one_out.noise_ceiling(choices, weights)
            if level == NOT_IN_THE_PICTURE:
                continue
            found = {
                model: odd_one_out.accuracy(features[:, concepts], choices, weights) for model, features in bench.fold.features.items()
            }
            for model, estimate in found.items():
                yield ("odd-one-out", split, "accuracy", "simulated"), model, estimate
                for reference in _references(model, found):
                    yield ("odd-one-out", split, f"accuracy-above-{reference[1]}", "simulated"), model, estimate - found[reference]
                if not subset:
                    features = bench.fold.features[model][:, concepts]
                    yield (
                        ("uncertainty", split, "entropy-spearman", "simulated"),
                        model,
                        uncertainty.entropy_agreement(features, choices, temperatures[model], weights),
                    )
                    yield (
                        ("uncertainty", split, "cross-entropy", "simulated"),
                        model,
                        uncertainty.cross_entropy(features, choices, temperatures[model], weights),
                    )


def _references(model: Model, found: dict[Model, Any]) -> list[Model]:
    """The stages that a model is compared with, pair by pair: those before it, and what centring alone brings."""
    against = {
        "teacher": ("teacher-base", "teacher-centred"),
        "unaligned": ("base",),
        "aligned": ("base", "base-centred", "unaligned"),
    }.get(model[1], ())
    return [(model[0], stage) for stage in against if (model[0], stage) in found]


def _similarity(bench: _Bench) -> Iterator[tuple[Name, Model, Estimate]]:
    """RSA with the observers' similarity, and distances by relation."""
    held = bench.fold.held_out
    judged = -bench.observers.similarity[np.ix_(held, held)]
    distances: dict[Model, dict[str, Estimate]] = {}
    for model, features in bench.fold.features.items():
        yield (
            ("similarity-judgments", "held-out", "rsa-spearman", "simulated"),
            model,
            rsa.agreement(features[:, held], judged, bench.weights),
        )
        distances[model] = hierarchy.standardised_distances(features[:, held], bench.held, bench.weights)
        for relation, estimate in distances[model].items():
            yield ("hierarchy", relation, "standardised-distance", "taxonomy"), model, estimate
            for reference in _references(model, distances):
                if reference[1] in ("base", "teacher-base"):
                    yield ("hierarchy", relation, "change-from-base", "taxonomy"), model, estimate - distances[reference][relation]


def _classification(bench: _Bench) -> Iterator[tuple[Name, Model, Estimate]]:
    """k-shot classification of held-out concepts in the same style and across styles; concepts found again across styles."""
    held, most = bench.fold.held_out, max(bench.profile.evaluation.shots)
    for model, features in bench.fold.features.items():
        yield (
            ("style-shift", "same-concept", "nearest-neighbour", "labels"),
            model,
            shift.nearest_in_other_style(features[:, held], bench.weights),
        )
    for lv, level in enumerate(("group", "subgroup")):
        labels = bench.held[level].to_numpy(dtype=str)
        # Subgroups are small: those that leave at least two concepts to test at five shots take part.
        shots = [k for k in bench.profile.evaluation.shots if level == "group" or k <= min(5, most)]
        counts = pd.Series(labels).map(pd.Series(labels).value_counts()).to_numpy()
        used = np.flatnonzero(counts >= max(shots) + 2)
        for k in shots:
            support = few_shot.supports(labels[used], k, bench.profile.evaluation.few_shot_draws, bench.rng(2, lv, k))
            for model, features in bench.fold.features.items():
                if model[1].endswith("-centred"):  # the classifier standardises: centring changes nothing
                    continue
                same, across = few_shot.accuracy(features[:, held[used]], labels[used], support, bench.weights[:, used], bench.of_draws)
                yield ("few-shot", f"{level}/{k}-shot", "accuracy", "labels"), model, same
                yield ("style-shift", f"{level}/{k}-shot", "accuracy", "labels"), model, across


def _distillation(bench: _Bench) -> Iterator[tuple[Name, Model, Estimate]]:
    """Do the students choose as the teacher does, on concepts that neither was fitted to?"""
    held = bench.fold.held_out
    asked = random_triplets(np.arange(len(held)), bench.profile.simulated.test_triplets, bench.rng(3))
    teacher = next(features for (_, stage), features in bench.fold.features.items() if stage == "teacher")
    similar = np.mean([cosine_similarities(style[held], asked) for style in teacher], axis=0)
    chosen = Choices(asked, np.eye(3, dtype=int)[similar.argmax(1)])
    for model, features in bench.fold.features.items():
        if model[1] in ("base", "unaligned", "aligned"):
            yield (
                ("distillation", "held-out", "agreement-with-teacher", "simulated"),
                model,
                odd_one_out.accuracy(features[:, held], chosen, bench.weights),
            )


EVALUATIONS: tuple[Callable[[_Bench], Iterator[tuple[Name, Model, Estimate]]], ...] = (_levels, _similarity, _classification, _distillation)


def evaluate(profile: Profile, taxonomy: pd.DataFrame, observers: Observers, folds: list[Fold]) -> dict[Model, list[Score]]:
    """Return every score of a run, by model and stage.

    Args:
        profile: of the run.
        taxonomy: one row a concept.
        observers: the known truth.
        folds: features and held-out concepts of each fold.
    """
    gathered: dict[tuple[Model, Name], list[Estimate]] = defaultdict(list)
    for number, fold in enumerate(folds):
        bench = _Bench(profile, taxonomy, observers, fold, number)
        for evaluation in EVALUATIONS:
            for name, model, estimate in evaluation(bench):
                gathered[model, name].append(estimate)
    result: dict[Model, list[Score]] = defaultdict(list)
    for (model, (task, split, metric, evidence)), estimates in gathered.items():
        result[model].append(mean_of_folds(estimates).score(task, split, metric, evidence))
    for model in folds[0].features:
        result[model].append(empty("odd-one-out", NOT_IN_THE_PICTURE, "accuracy", "simulated"))
    _add_settings(profile, taxonomy, observers, folds, result)
    return result


def _add_settings(
    profile: Profile, taxonomy: pd.DataFrame, observers: Observers, folds: list[Fold], result: dict[Model, list[Score]]
) -> None:
    """Add what describes the run itself: the observers' calibration, VICE, the choice of the pull, the training curves."""
    rng = np.random.default_rng([profile.seed, 5])
    asked = random_triplets(np.arange(len(taxonomy)), 1000, rng)
    repeated = observers.answer(asked, THINGS_PEOPLE, rng)
    weights = resamples(len(asked), profile.evaluation.bootstrap_draws, profile.seed)
    for metric, values in {"majority-share": majority_share(repeated.counts), "choice-entropy": entropy(repeated.shares)}.items():
        estimate = Estimate.of(weights @ values.astype(np.float32) / len(asked), len(asked))
        result[OBSERVERS].append(estimate.score("calibration", "random triplets", metric, "simulated"))

    def plain(task: str, split: str, metric: str, values: Sequence[float | int], evidence: str = "simulated") -> Score:
        """A setting or a course of training: mean and range over folds, no bootstrap."""
        return Score(task, split, metric, float(np.mean(values)), float(np.min(values)), float(np.max(values)), len(values), evidence)

    for metric in ("sharpness", "lapse"):
        result[OBSERVERS].append(plain("calibration", "solved", metric, [getattr(observers, metric)]))
    teacher, student = ((name, stage) for stage in ("teacher", "aligned") for name in [next(m for m, s in folds[0].features if s == stage)])
    for metric in ("vice_dimensions", "vice_correlation", "pull"):
        result[teacher].append(plain("fit", "range over folds", metric.replace("_", "-"), [fold.fit[metric] for fold in folds]))
    for stage, labelling in (("teacher", "aligned"), ("teacher-base", "unaligned")):
        for metric in folds[0].fit["triplets"][labelling]:
            evidence = "taxonomy" if metric == "pair-in-one-subgroup" else "simulated"
            result[teacher[0], stage].append(
                plain("triplets", "cluster-border", metric, [f.fit["triplets"][labelling][metric] for f in folds], evidence)
            )
    for pull in profile.labeller.pulls:
        result[teacher].append(plain("pull-selection", f"{pull:g}", "accuracy", [fold.fit["pulls"][str(pull)] for fold in folds]))
    steps = np.unique(np.linspace(0, profile.distillation.steps - 1, 13).astype(int))
    for stage in folds[0].divergence:
        for step in steps:
            result[student[0], stage].append(
                plain("distillation", f"step {step}", "divergence", [fold.divergence[stage][step] for fold in folds])
            )
