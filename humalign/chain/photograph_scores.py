"""Scores of the teacher of photographs: images left out of its fit, and one set of people and images by a teacher of another."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from humalign.chain import photographs, sets, teach
from humalign.chain.inputs import stream
from humalign.chain.judged import Name, things
from humalign.chain.pipeline import Run
from humalign.data.judgments import ByObject
from humalign.evaluation import people, persons, rsa
from humalign.evaluation.scores import Estimate, resamples
from humalign.teach.teacher import AffineTeacher, regressed

ACROSS_TRIPLETS = 20_000
ACROSS = "92 photographs, from THINGS photographs"


def rows(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Yield every score of the teachers of photographs."""
    profile, known = run.profile, things()
    judged = sets.similarity_92()
    objects = photographs.objects()
    for metric, estimate in persons.ceilings(judged.matrices, profile.evaluation.bootstrap_draws, profile.seed).items():
        yield ("people", "ceiling", "similarity-judgments", "92 photographs", metric), estimate
    group = ByObject.of(people.group_choices(judged.matrices), judged.images.shape[0])
    near_folds = people.image_folds(len(judged.images), profile.evaluation.image_folds, 1, profile.seed)
    everything = [np.arange(len(judged.images))]
    for split, tests in {"unseen": [test for _, test in near_folds], "from THINGS photographs": everything}.items():
        for metric, estimate in persons.left_out(judged.matrices, tests, profile.evaluation.bootstrap_draws, profile.seed).items():
            task = "odd-one-out" if metric == "accuracy" else "similarity-judgments"
            yield ("people", "ceiling", task, f"92 photographs, {split}", metric), estimate
    # All triplets of 92 photographs hold each pair 90 times: a part of them says as much, in less memory.
    some = stream(profile, 7).permutation(len(group.triplets))[:ACROSS_TRIPLETS]
    few = ByObject(group.triplets[some], group.shares[some], group.objects)
    similar = people.dot_similarity(known.published[objects])
    vice_says, human = teach.vice_says(profile, profile.labeller, known.published[objects]), known.answers[objects]
    settings: dict[str, Any] = {"draws": profile.evaluation.bootstrap_draws, "seed": profile.seed}
    fit = functools.partial(teach.tuned, profile, profile.labeller)
    across: dict[tuple[str, str], Float[np.ndarray, "n n"]] = {}
    for model, features in photographs.features(run).items():
        near, far = features["kriegeskorte-92"], features["things-photographs"]
        for (stage, metric), estimate in gains(people.unseen_images(near, group, -judged.matrices.mean(0), near_folds, fit, **settings)):
            task = "odd-one-out" if metric.startswith("accuracy") else "similarity-judgments"
            yield (model, stage, task, "92 photographs, unseen", metric), estimate
        folds = people.image_folds(len(far), profile.evaluation.image_folds, 1, profile.seed)
        for (stage, metric), estimate in gains(people.unseen_images(far, vice_says, similar, folds, fit, **settings)):
            task = "odd-one-out-vice" if metric.startswith("accuracy") else "similarity-vice"
            yield (model, stage, task, "THINGS photographs, unseen", metric), estimate
        weights = resamples(len(far), profile.evaluation.bootstrap_draws, profile.seed)
        published = known.published[objects]

        def without(kept: np.ndarray, far: np.ndarray = far, published: np.ndarray = published) -> AffineTeacher:
            return regressed(far[kept], published[kept])

        shared = people.leave_three_out(far, human, without, 6, weights, profile.seed)
        for (stage, metric), estimate in gains({(stage, "accuracy"): estimate for stage, estimate in shared.items()}):
            yield (model, stage, "odd-one-out", "THINGS photographs, unseen", metric), estimate
        placed = _from_things(run, model, near)
        across |= {(model, stage): similarity for stage, similarity in placed.items()}
        found = {
            (stage, metric): estimate
            for stage, similarity in placed.items()
            for metric, estimate in _across(similarity, judged.matrices, few, **settings).items()
        }
        for (stage, metric), estimate in gains(found):
            task = "odd-one-out" if metric.startswith("accuracy") else "similarity-judgments"
            yield (model, stage, task, ACROSS, metric), estimate
    alone = each_person(across, judged.matrices, **settings, ceilings=True)
    for model in dict.fromkeys(model for model, _ in across):
        for (stage, metric), estimate in gains({(s, "rsa-each-person"): e for (m, s), e in alone.items() if m == model}):
            yield (model, stage, "similarity-judgments", ACROSS, metric), estimate
    for bound in rsa.CEILINGS:
        yield ("people", "ceiling", "similarity-judgments", "92 photographs", f"rsa-each-person-{bound}"), alone["people", bound]


def each_person(
    similarities: dict[tuple[str, str], Float[np.ndarray, "n n"]],
    matrices: Float[np.ndarray, "people n n"],
    draws: int,
    seed: int,
    ceilings: bool = False,
) -> dict[tuple[str, str], Estimate]:
    """Return mean correlations with single people by (model, stage), and with ``ceilings`` theirs as (people, lower or upper)."""
    weights = resamples(matrices.shape[1], draws, seed), resamples(len(matrices), draws, seed + 1)
    found = rsa.with_people({" ".join(name): -similarity for name, similarity in similarities.items()}, matrices, *weights, ceilings)
    named = {" ".join(name): name for name in similarities} | {bound: ("people", bound) for bound in rsa.CEILINGS}
    return {named[name]: estimate for name, estimate in found.items()}


def gains(found: dict[tuple[str, str], Estimate]) -> Iterator[tuple[tuple[str, str], Estimate]]:
    """Yield estimates by (stage, metric), each followed by its paired difference from ``teacher-base`` where that has the same metric."""
    for (stage, metric), estimate in found.items():
        yield (stage, metric), estimate
        base = found.get(("teacher-base", metric))
        if stage != "teacher-base" and base is not None:
            yield (stage, f"{metric}-above-teacher-base"), estimate - base


def _across(
    similarity: Float[np.ndarray, "n n"], matrices: Float[np.ndarray, "people n n"], asked: ByObject, draws: int, seed: int
) -> dict[str, Estimate]:
    """Score similarities against people who judged other pictures than those of the fit."""
    weights = resamples(len(similarity), draws, seed)
    return {
        "accuracy": people.accuracy(people.pair_values(similarity, asked.triplets), asked, weights),
        "rsa-spearman": people.across_people_and_images(similarity, matrices, draws, seed),
    }


def _from_things(run: Run, model: str, near: np.ndarray) -> dict[str, np.ndarray]:
    """Return similarities of the 92 photographs by the backbone and by teachers of the THINGS photographs, by stage."""
    teacher, ridge = (teach.fitted(run, run.profile.labeller, "all", recipe, model) for recipe in ("teacher", "ridge"))
    return {
        "teacher-base": people.backbone_similarity(near),
        "ridge": people.backbone_similarity(ridge.transform(near)),
        "teacher": people.backbone_similarity(teacher.transform(near)),
    }
