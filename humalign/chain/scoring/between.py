"""Scores of models beside models, no person asked: whether different models become alike, and where two students disagree."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from humalign.chain import features, sets
from humalign.chain.judged import halves, things
from humalign.chain.pipeline import Run
from humalign.chain.scoring.photographs import of_students
from humalign.chain.scoring.rows import Model, Row, compared, everyone, of_fold, over_folds, weights
from humalign.chain.scoring.similarity import NEAR, SPLIT
from humalign.chain.scoring.taxonomies import related
from humalign.chain.teach import labels_with
from humalign.evaluation import between_models, disagreement, people
from humalign.evaluation.correlation import weighted_pearson
from humalign.evaluation.scores import Estimate

# Pairs of photographs on which two students disagree most: so many are scored, and so many shown.
MOST_APART, SHOWN = 200, 10
Features = Float[np.ndarray, "images dim"]


def between(run: Run) -> Iterator[Row]:
    """CKA and RSA of every two models at each stage, on the same pictures (unit: image).

    Backbones are compared before and after each one's teacher, and students at every stage. The first student is also set beside its
    teacher and beside the other backbones as they are, which tells whether it comes nearer to a network or to the map of it.
    """
    if sets.VALIDATION in sets.asked(run.profile):
        used, *_ = related(run)
        yield from _alike({model: x[used] for model, x in everyone(run, sets.VALIDATION, beside=False)}, run, "ImageNet")
    else:
        yield from _alike(dict(everyone(run, NEAR, beside=False)), run, SPLIT)


def _alike(shown: dict[Model, Features], run: Run, where: str) -> Iterator[Row]:
    drawn = weights(run.profile, len(next(iter(shown.values()))))
    by_stage: dict[str, dict[str, Features]] = {}
    for (model, stage), x in shown.items():
        if "+" not in model and stage != "ridge":
            by_stage.setdefault(stage, {})[model] = x
    found: dict[tuple[str, str], dict[Model, Estimate]] = {}

    def compare(models: dict[str, Features], stage: str, split: str = where) -> None:
        for pair, metric, estimate in between_models.alike(models, drawn):
            found.setdefault((split, metric), {})[pair, stage] = estimate

    for stage, models in by_stage.items():
        # Two students may be of the same backbones as two of the teachers.
        compare(models, stage, where if stage in features.TEACHERS else f"{where}, students")
    student = run.profile.backbones[0]
    others = {f"{model} as it is": x for model, x in by_stage.get("teacher-base", {}).items() if model != student}
    if run.profile.teachers:
        others |= {"its teacher": shown[labels_with(run.profile.labeller), "teacher"]}
    for name, other in others.items():
        for (model, stage), x in shown.items():
            if model == student and stage not in features.TEACHERS:
                compare({student: x, name: other}, stage)
    for (split, metric), each in found.items():
        yield from compared(each, "between-models", split, metric)


def disagreements(run: Run) -> Iterator[Row]:
    """Pairs of THINGS photographs on which aligned student and control disagree most, and whose distances the published VICE shares.

    Both students are asked about the half of the photographs that no teacher of the aligned one was fitted to. The correlation of
    distances with the similarities of the VICE, among these pairs alone, stands in the place of people's ratings (unit: image).
    """
    model, known, shown = run.profile.backbones[0], things(run.profile.evidence), sets.photographs()[1]
    pairs: list[tuple[float, str, dict[str, float]]] = []

    def of_half(number: int) -> Iterator[Row]:
        inside = np.flatnonzero(halves(run.profile, len(shown)) == number)
        apart = {
            stage: disagreement.standardised(x[inside])
            for (name, stage), x in of_students(run, number) if name == model and stage in ("unaligned", "aligned")
        }  # fmt: skip
        i, j = disagreement.most_apart(apart["aligned"], apart["unaligned"], MOST_APART // 2).T
        said, drawn = people.dot_similarity(known.published[shown[inside]]), of_fold(run.profile, len(inside), number)
        found = {}
        for stage, distance in apart.items():
            values = np.array([weighted_pearson(distance[i, j], said[i, j], w[i] * w[j]) for w in drawn])
            found[model, stage] = Estimate.of(values, len(i))
        yield from compared(found, "disagreement-vice", f"{MOST_APART} pairs", "distance-pearson")
        for a, b in zip(i[:SHOWN], j[:SHOWN], strict=True):
            names = " + ".join(known.names[shown[inside[each]]].replace("_", " ") for each in (a, b))
            gap = abs(apart["aligned"][a, b] - apart["unaligned"][a, b])
            pairs.append((gap, names, {stage: float(distance[a, b]) for stage, distance in apart.items()}))

    yield from over_folds(of_half(number) for number in range(2))
    for rank, (_, names, distances) in enumerate(sorted(pairs, key=lambda pair: -pair[0])[:SHOWN], 1):
        for stage, value in distances.items():
            yield Row(model, stage, "disagreement", f"{rank}: {names}", "standardised-distance", Estimate(value, np.array([value]), 1))
