"""Scores of models that were aligned with answers of one's own, on answers about things that no fit has seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from humalign.chain import features, judged, registered
from humalign.chain.judged import Part
from humalign.chain.pipeline import Run, stream
from humalign.chain.scoring.rows import Model, Row, compared
from humalign.data.judgments import PAIRS, ByObject, cosine_similarities
from humalign.errors import HumalignError
from humalign.evaluation import baselines, few_shot, people, rsa
from humalign.evaluation.correlation import Ranked, spearman
from humalign.evaluation.scores import Estimate, resamples

HELD = "held"
# Wholly unseen answers of which a score is given; showings of a pair, and such pairs, for a matrix of what was kept together.
LEAST_ANSWERS, LEAST_SHOWN, LEAST_PAIRS = 100, 3, 50


def own(run: Run) -> Iterator[Row]:
    """Yield every score: of the teacher and each student, before and after, as they are and centred, and of the control.

    Raises:
        HumalignError: the teacher holds no things out.
    """
    part = _part(run)
    models = dict(_models(run, part))
    for found, task, split, metric in (*_answered(run, part, models), *_kept_together(run, part, models)):
        yield from compared(found, task, split, metric)
    for name in run.profile.data.labelled:
        yield from _few_shot(run, part, name)


def _part(run: Run) -> Part:
    found = [part for part in judged.parts(run, run.profile.labeller) if part.name == HELD]
    if not found:
        line = "the evaluation own needs things held out: teachers.parts: {held: 0.25}"
        raise HumalignError(f"profile {run.profile.name}: {line}")
    return found[0]


def _models(run: Run, part: Part, which: str = "") -> Iterator[tuple[Model, Float[np.ndarray, "images dim"]]]:
    """Yield every model and stage with its features of a set; of a teacher those of the judged pictures alone."""
    profile, shown = run.profile, which or run.profile.labeller.judged

    def read(model: str, stage: str) -> np.ndarray:
        return features.read(run, model, stage, shown, part.name)

    # Centred on what a fit has seen: of labelled pictures, which no fit has seen, on all.
    seen = slice(None) if which else part.train
    models = [(model, stages) for model, stages in (
        *((name, ("base", "unaligned", "aligned")) for name in profile.backbones),
        *(() if which else [("+".join(profile.labeller.backbones), ("teacher-base", "teacher"))]),
    )]  # fmt: skip
    for model, stages in models:
        for stage in stages:
            found = read(model, stage)
            yield (model, stage), found
            for name, (before, kind) in baselines.STAGES.items():
                if before == stage and kind == "centred":
                    yield (model, name), found - found[seen].mean(0)
                elif before == stage and not which and features.possible(run.profile, model, name):
                    yield (model, name), read(model, name)


def _answered(
    run: Run, part: Part, models: dict[Model, np.ndarray]
) -> Iterator[tuple[dict[Model, Estimate], str, str, str]]:
    """Odd one out: answers in which a thing was held out, and those in which all three were (unit: thing)."""
    answers = judged.of(run, run.profile.labeller).answers
    unseen = np.isin(answers.triplets, part.test)
    weights = resamples(answers.objects, run.profile.evaluation.bootstrap_draws, run.profile.seed)
    for split, asked in (("a thing held out", unseen.any(1)), ("all things held out", unseen.all(1))):
        if asked.sum() < LEAST_ANSWERS:
            continue
        some = ByObject(answers.triplets[asked], answers.shares[asked], answers.objects)
        found = {m: people.accuracy(cosine_similarities(x, some.triplets), some, weights) for m, x in models.items()}
        yield found, "odd-one-out", f"own, {split}", "accuracy"


def _kept_together(
    run: Run, part: Part, models: dict[Model, np.ndarray]
) -> Iterator[tuple[dict[Model, Estimate], str, str, str]]:
    """How models' dissimilarities follow how often people kept a pair together, over pairs with a thing held out (unit: thing)."""
    answers = judged.of(run, run.profile.labeller).answers
    i, j, kept = pairs_kept(answers, part.test)
    if len(i) < LEAST_PAIRS:
        return
    weights = resamples(answers.objects, run.profile.evaluation.bootstrap_draws, run.profile.seed)
    ranked, found = Ranked(1 - kept), {}
    for model, x in models.items():
        apart = rsa.dissimilarities(x)[i, j]
        found[model] = Estimate.of(spearman(Ranked(apart), ranked, (w[i] * w[j] for w in weights)), len(i))
    yield found, "similarity-judgments", "own, pairs with a thing held out", "rsa-spearman"


def pairs_kept(
    answers: ByObject, held: Int[np.ndarray, " k"]
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Return pairs with a held-out thing that were shown several times, and the share of answers that kept each together."""
    asked = np.isin(answers.triplets, held).any(1)
    triplets, shares, n = answers.triplets[asked], answers.shares[asked], answers.objects
    codes, kept = [], []
    for pair, (a, b) in enumerate(PAIRS):
        two = np.sort(triplets[:, [a, b]], axis=1)
        codes.append(two[:, 0] * n + two[:, 1])
        kept.append(shares[:, pair])
    code, place = np.unique(np.concatenate(codes), return_inverse=True)
    shown, together = np.bincount(place), np.bincount(place, weights=np.concatenate(kept))
    one, other = code // n, code % n
    used = (shown >= LEAST_SHOWN) & (np.isin(one, held) | np.isin(other, held))
    return one[used], other[used], together[used] / shown[used]


def _few_shot(run: Run, part: Part, name: str) -> Iterator[Row]:
    """k-shot classification of labelled pictures, where classes have enough of them (units: image, and draw of the support set)."""
    settings, seed = run.profile.evaluation, run.profile.seed
    labels = registered.labelled(run.profile, name).labels["class"].to_numpy(dtype=str)
    models = dict(_models(run, part, name))
    smallest = np.unique(labels, return_counts=True)[1].min()
    weights = resamples(len(labels), settings.bootstrap_draws, seed)
    draws = resamples(settings.few_shot_draws, settings.bootstrap_draws, seed + 1)
    for shots in (each for each in settings.shots if each < smallest):
        support = few_shot.supports(labels, shots, settings.few_shot_draws, stream(run.profile, 12, shots))
        found = {}
        for model, x in models.items():
            right = few_shot.correct(few_shot.teach(x, labels, support), x, labels)
            found[model] = few_shot.image_mean(right, ~support, weights, draws)
        yield from compared(found, "few-shot", f"{name}/{shots}-shot", "accuracy")
