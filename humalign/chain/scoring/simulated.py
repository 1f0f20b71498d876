"""Scores against simulated observers, whose truth is known: means over folds on the held-out concepts.

Concepts are resampled within each fold. An observer's judgments and the taxonomy are of the emoji alone.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from humalign.chain import features, judged
from humalign.chain.pipeline import Run, stream
from humalign.chain.scoring import taxonomies
from humalign.chain.scoring.rows import Model, Row, Spread, compared, measures, of_fold, over_folds, weights
from humalign.chain.scoring.similarity import uncertainty
from humalign.data.emoji import concepts
from humalign.data.judgments import Choices, cosine_similarities, entropy, majority_share, random_triplets
from humalign.data.simulate import THINGS_PEOPLE
from humalign.evaluation import baselines, few_shot, hierarchy, odd_one_out, rsa
from humalign.evaluation.scores import Estimate
from humalign.profiles import Profile

SHOWN = "emoji"
OBSERVERS: Model = ("observers", "ceiling")
# Within a subgroup the observers' truth is a random vector of each concept's own: no picture can show it.
NOT_IN_THE_PICTURE = "local-fine"


@dataclasses.dataclass(frozen=True)
class _Bench:
    """One fold, with what evaluations share: truth, features, bootstrap weights, random numbers."""

    profile: Profile
    truth: judged.Simulated
    number: int
    part: judged.Part
    features: dict[Model, Float[np.ndarray, "styles concepts dim"]]

    @property
    def held(self) -> Int[np.ndarray, " m"]:
        return self.part.test

    @functools.cached_property
    def shown(self) -> dict[Model, Float[np.ndarray, "styles held_out dim"]]:
        return {model: x[:, self.held] for model, x in self.features.items()}

    def rng(self, *numbers: int) -> np.random.Generator:
        return stream(self.profile, 4, self.number, *numbers)

    @functools.cached_property
    def weights(self) -> Float[np.ndarray, "draws held_out"]:
        return of_fold(self.profile, len(self.held), self.number)


def simulated(run: Run) -> Iterator[Row]:
    """Every score of every stage of every model on the held-out concepts, and of the observers themselves."""
    truth = judged.simulated(run)
    parts = enumerate(judged.parts(run, run.profile.labeller))
    benches = [_Bench(run.profile, truth, number, part, _features(run, part)) for number, part in parts]
    for measure in (_levels, _similarity, _classification, _distillation):
        yield from taxonomies.with_p(over_folds(measure(bench) for bench in benches))
    nothing = Spread(np.nan, np.nan, np.nan, 0)
    for model in benches[0].features:
        yield Row(*model, "odd-one-out", NOT_IN_THE_PICTURE, "accuracy", nothing)
    yield from _calibration(run, truth)


def _features(run: Run, part: judged.Part) -> dict[Model, Float[np.ndarray, "styles concepts dim"]]:
    """Return every model's features by stage; baselines are of pictures of the part's training concepts."""
    teacher = judged.labels_with(run.profile.labeller)
    asked = [(teacher, "teacher-base"), (teacher, "teacher")]
    asked += itertools.product(run.profile.backbones, features.STAGES)
    found = {}
    for model, stage in asked:
        for each in (stage, *(name for name, (before, _) in baselines.STAGES.items() if before == stage)):
            found[model, each] = features.views(SHOWN, features.read(run, model, each, SHOWN, part.name))
    return found


def _levels(bench: _Bench) -> Iterator[Row]:
    """Odd-one-out at each level and subset, with the ceiling; at all held-out concepts also uncertainty."""
    made, answer, rng = bench.profile.simulated, bench.truth.observers.answer, bench.rng(0)
    seen = random_triplets(bench.part.train, made.test_triplets, rng)
    other = Choices(seen, answer(seen, made.people_per_triplet, rng).counts)
    heat = {model: odd_one_out.fit_temperature(x, other) for model, x in bench.features.items()}
    whole = bench.truth.whole[bench.held]
    # Held-out concepts, all of them and by what was withheld.
    subsets = {"": bench.held, "/unseen-concepts": bench.held[~whole], "/unseen-subgroups": bench.held[whole]}
    for s, (subset, chosen) in enumerate(subsets.items()):
        drawn, rows = of_fold(bench.profile, len(chosen), 10 * s + bench.number), np.arange(len(chosen))
        for lv, level in enumerate(odd_one_out.LEVELS):
            if level == NOT_IN_THE_PICTURE and subset:
                continue
            draw, split, among = bench.rng(1, s, lv), level + subset, concepts().iloc[chosen]
            asked = odd_one_out.level_triplets(level, among, rows, made.test_triplets, draw)
            choices = Choices(asked, answer(chosen[asked], made.people_per_triplet, draw).counts)
            yield Row(*OBSERVERS, "odd-one-out", split, "accuracy", odd_one_out.noise_ceiling(choices, drawn))
            if level == NOT_IN_THE_PICTURE:
                continue
            shown = {model: x[:, chosen] for model, x in bench.features.items()}
            right = {model: odd_one_out.accuracy(x, choices, drawn) for model, x in shown.items()}
            yield from compared(right, "odd-one-out", split, "accuracy")
            if not subset:
                doubt = {model: uncertainty(x, choices, heat[model], drawn) for model, x in shown.items()}
                yield from measures(doubt, "uncertainty", split)


def _similarity(bench: _Bench) -> Iterator[Row]:
    """RSA with the observers' similarity, and distances by relation."""
    told = -bench.truth.observers.similarity[np.ix_(bench.held, bench.held)]
    agreed = {model: rsa.agreement(x, told, bench.weights) for model, x in bench.shown.items()}
    yield from compared(agreed, "similarity-judgments", "held-out", "rsa-spearman")
    related = hierarchy.by_taxonomy(concepts().iloc[bench.held])
    apart = {model: hierarchy.over_styles(x) for model, x in bench.shown.items()}
    by_relation, given = hierarchy.distances_by_relation, (related, bench.weights)
    distances = {model: by_relation(each, *given) for model, each in apart.items()}
    for relation in related:
        each = {model: found[relation] for model, found in distances.items()}
        yield from compared(each, "hierarchy", relation, "standardised-distance")
    yield from taxonomies.tested(bench.profile, bench.shown, related, "", bench.number, hierarchy.over_styles)


def _classification(bench: _Bench) -> Iterator[Row]:
    """k-shot classification of held-out concepts in and across styles; concepts found again across styles."""
    settings = bench.profile.evaluation
    shown = {model: x for model, x in bench.shown.items() if model[1] not in baselines.STAGES}
    again = {model: few_shot.nearest_in_other_style(x, bench.weights) for model, x in shown.items()}
    yield from compared(again, "style-shift", "same-concept", "nearest-neighbour")
    of_draws = of_fold(bench.profile, settings.few_shot_draws, 500 + bench.number)
    for lv, level in enumerate(("group", "subgroup")):
        labels = concepts()[level].iloc[bench.held]
        # Subgroups are small: those that leave at least two concepts to test at five shots take part.
        shots = [k for k in settings.shots if level == "group" or k <= min(5, max(settings.shots))]
        used = np.flatnonzero(labels.map(labels.value_counts()) >= max(shots) + 2)
        known, drawn = labels.to_numpy(dtype=str)[used], bench.weights[:, used]
        for k in shots:
            support = few_shot.supports(known, k, settings.few_shot_draws, bench.rng(2, lv, k))
            given = known, support, drawn, of_draws
            found = {model: few_shot.accuracy(x[:, used], *given) for model, x in shown.items()}
            for place, task in enumerate(("few-shot", "style-shift")):
                each = {model: both[place] for model, both in found.items()}
                yield from compared(each, task, f"{level}/{k}-shot", "accuracy")


def _distillation(bench: _Bench) -> Iterator[Row]:
    """Whether students choose as the teacher does, on concepts that neither was fitted to."""
    asked = random_triplets(np.arange(len(bench.held)), bench.profile.simulated.test_triplets, bench.rng(3))
    teacher = next(x for (_, stage), x in bench.shown.items() if stage == "teacher")
    similar = np.mean([cosine_similarities(style, asked) for style in teacher], axis=0)
    chosen = Choices(asked, np.eye(3, dtype=int)[similar.argmax(1)])
    found = {
        model: odd_one_out.accuracy(x, chosen, bench.weights)
        for model, x in bench.shown.items() if model[1] in features.STAGES
    }  # fmt: skip
    yield from compared(found, "distillation", "held-out", "agreement-with-teacher")


def _calibration(run: Run, truth: judged.Simulated) -> Iterator[Row]:
    """Agreement and entropy of the observers, which were calibrated to people on THINGS (unit: triplet)."""
    rng = stream(run.profile, 5)
    asked = random_triplets(np.arange(len(concepts())), 1000, rng)
    repeated = truth.observers.answer(asked, THINGS_PEOPLE, rng)
    drawn = weights(run.profile, len(asked))
    agreed = {"majority-share": majority_share(repeated.counts), "choice-entropy": entropy(repeated.shares)}
    for metric, values in agreed.items():
        estimate = Estimate.of(drawn @ values.astype(np.float32) / len(asked), len(asked))
        yield Row(*OBSERVERS, "calibration", "random triplets", metric, estimate)
    for metric in ("sharpness", "lapse"):
        yield Row(*OBSERVERS, "calibration", "solved", metric, Spread.of([getattr(truth.observers, metric)]))
