"""Scores of models aligned with answers of one's own, on answers about things that no fit has seen."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from humalign.chain import features, judged, registered
from humalign.chain.pipeline import Run, stream
from humalign.chain.scoring.rows import Features, Model, Row, compared, weights
from humalign.data.judgments import PAIRS, ByObject, cosine_similarities
from humalign.errors import HumalignError
from humalign.evaluation import baselines, few_shot, people, rsa
from humalign.evaluation.correlation import Ranked, spearman
from humalign.evaluation.scores import Estimate

Models = dict[Model, Features]
HELD = "held"
# Least answers of which a score is given; least showings of a pair, and least such pairs, for a matrix.
LEAST_ANSWERS, LEAST_SHOWN, LEAST_PAIRS = 100, 3, 50


def own(run: Run) -> Iterator[Row]:
    """Yield every score: of teacher, students and control, before and after, as they are and centred.

    Raises:
        HumalignError: the teacher holds no things out.
    """
    part = next((part for part in judged.parts(run, run.profile.labeller) if part.name == HELD), None)
    if part is None:
        line = "the evaluation own needs things held out: teachers.parts: {held: 0.25}"
        raise HumalignError(f"profile {run.profile.name}: {line}")
    models, answers = dict(_models(run, part)), judged.of(run, run.profile.labeller).answers
    drawn = weights(run.profile, answers.objects)
    yield from _answered(answers, part, models, drawn)
    yield from _kept_together(answers, part, models, drawn)
    for name in run.profile.data.labelled:
        yield from _few_shot(run, part, name)


def _models(run: Run, part: judged.Part, which: str = "") -> Iterator[tuple[Model, Features]]:
    """Yield every model and stage with its features of a set; a teacher's of judged pictures alone."""
    profile, shown = run.profile, which or run.profile.labeller.judged

    def read(model: str, stage: str) -> np.ndarray:
        return features.read(run, model, stage, shown, part.name)

    # Centred on what a fit has seen: of labelled pictures, which no fit has seen, on all.
    seen = slice(None) if which else part.train
    models = [(name, stage) for name in profile.backbones for stage in ("base", "unaligned", "aligned")]
    if not which:
        models += [("+".join(profile.labeller.backbones), stage) for stage in ("teacher-base", "teacher")]
    for model, stage in models:
        found = read(model, stage)
        yield (model, stage), found
        for name, (before, kind) in baselines.STAGES.items():
            if before == stage and kind == "centred":
                yield (model, name), found - found[seen].mean(0)
            elif before == stage and not which and features.possible(run.profile, model, name):
                yield (model, name), read(model, name)


def _answered(answers: ByObject, part: judged.Part, models: Models, drawn: np.ndarray) -> Iterator[Row]:
    """Odd one out: answers in which a thing was held out, and those in which all three were (unit: thing)."""
    unseen = np.isin(answers.triplets, part.test)
    for split, asked in (("a thing held out", unseen.any(1)), ("all things held out", unseen.all(1))):
        if asked.sum() < LEAST_ANSWERS:
            continue
        some = ByObject(answers.triplets[asked], answers.shares[asked], answers.objects)
        cosines = {model: cosine_similarities(x, some.triplets) for model, x in models.items()}
        found = {model: people.accuracy(each, some, drawn) for model, each in cosines.items()}
        yield from compared(found, "odd-one-out", f"own, {split}", "accuracy")


def _kept_together(answers: ByObject, part: judged.Part, models: Models, drawn: np.ndarray) -> Iterator[Row]:
    """How dissimilarities follow how often people kept a pair with a thing held out (unit: thing)."""
    i, j, kept = pairs_kept(answers, part.test)
    if len(i) < LEAST_PAIRS:
        return
    ranked, found = Ranked(1 - kept), {}
    for model, x in models.items():
        apart = rsa.dissimilarities(x)[i, j]
        found[model] = Estimate.of(spearman(Ranked(apart), ranked, (w[i] * w[j] for w in drawn)), len(i))
    yield from compared(found, "similarity-judgments", "own, pairs with a thing held out", "rsa-spearman")


def pairs_kept(
    answers: ByObject, held: Int[np.ndarray, " k"]
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Return pairs with a held-out thing, shown several times, and the share of answers that kept each."""
    asked = np.isin(answers.triplets, held).any(1)
    # All first pairs, then all second and third ones: shares are summed in this order.
    one, other = np.sort(answers.triplets[asked][:, PAIRS], axis=2).T.reshape(2, -1)
    code, place = np.unique(one * answers.objects + other, return_inverse=True)
    shown, together = np.bincount(place), np.bincount(place, weights=answers.shares[asked].T.ravel())
    one, other = np.divmod(code, answers.objects)
    used = (shown >= LEAST_SHOWN) & (np.isin(one, held) | np.isin(other, held))
    return one[used], other[used], together[used] / shown[used]


def _few_shot(run: Run, part: judged.Part, name: str) -> Iterator[Row]:
    """k-shot classification of labelled pictures where classes have enough (units: image and support set)."""
    settings, models = run.profile.evaluation, dict(_models(run, part, name))
    labels = registered.labelled(run.profile, name).labels["class"].to_numpy(dtype=str)
    smallest = np.unique(labels, return_counts=True)[1].min()
    drawn, of_draws = weights(run.profile, len(labels)), weights(run.profile, settings.few_shot_draws, 1)
    for shots in (each for each in settings.shots if each < smallest):
        support = few_shot.supports(labels, shots, settings.few_shot_draws, stream(run.profile, 12, shots))
        given = labels, support, drawn, "logistic", of_draws
        found = {model: few_shot.of_images(x, *given) for model, x in models.items()}
        yield from compared(found, "few-shot", f"{name}/{shots}-shot", "accuracy")
