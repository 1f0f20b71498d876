"""Scores of teachers and students of photographs on others than the teacher was fitted to, and of models beside models."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from humalign.chain import features, further, registered, sets
from humalign.chain.further import NEAR, THINGS
from humalign.chain.judged import halves, labels_with, mapped, things
from humalign.chain.pipeline import Run
from humalign.chain.scoring.rows import PEOPLE, Model, Row, compared, everyone, measures, of_fold, of_students, over_folds, weights
from humalign.chain.scoring.similarity import SPLIT
from humalign.chain.scoring.taxonomies import related
from humalign.data.judgments import cosine_similarities
from humalign.evaluation import between_models, left_out, people, rsa
from humalign.evaluation.correlation import weighted_pearson
from humalign.evaluation.scores import Estimate

UNSEEN, HALVES = "THINGS photographs, unseen", "THINGS photographs, unseen halves"


def photographs(run: Run) -> Iterator[Row]:
    """Teachers of each backbone fitted to some photographs, on the others of the same set (unit: image)."""
    profile, known = run.profile, things(run.profile.evidence)
    judged, (_, shown), answered = registered.similarity_92(), registered.photographs(), further.said(run)
    draws, seed = profile.evaluation.bootstrap_draws, profile.seed
    published, answers = known.published[shown], known.answers[shown]
    tests = [test for _, test in further.image_folds(profile, len(judged.images))]
    for metric, estimate in people.left_out(judged.matrices, tests, draws, seed).items():
        task = "odd-one-out" if metric == "accuracy" else "similarity-judgments"
        yield Row(*PEOPLE, task, "92 photographs, unseen", metric, estimate)
    for model in mapped(profile.labeller):
        # Whitened on the pool: a few photographs do not tell more than a few directions.
        free = [stage for stage in ("teacher-whitened", "teacher-random") if features.possible(profile, model, stage)]
        places = further.read(run, "photographs", model)
        shown_as = {
            which: (features.read(run, model, "teacher-base", which), {s: features.read(run, model, s, which) for s in free})
            for which in (NEAR, THINGS)
        }
        for which, similar, split, by in (
            (NEAR, -judged.matrices.mean(0), "92 photographs, unseen", ("odd-one-out", "similarity-judgments")),
            (THINGS, people.dot_similarity(published), UNSEEN, ("odd-one-out-vice", "similarity-vice")),
        ):
            x, beside = shown_as[which]
            folds = further.image_folds(profile, len(x))
            placed = [places[f"{which}-fold{f}"] for f in range(len(folds))]
            found = left_out.unseen_images(x, placed, answered[which], similar, folds, draws, seed, beside)
            for task, kind in zip(by, ("accuracy", "rsa"), strict=True):
                each = {(model, s): {m: e for m, e in by_metric.items() if m.startswith(kind)} for s, by_metric in found.items()}
                yield from measures(each, task, split)
        x, beside = shown_as[THINGS]
        three = (places[f"three-{number}"] for number in range(sum(name.startswith("three-") for name in places)))
        right = left_out.placed_three_out(x, three, answers, further.GROUPS, weights(profile, len(x)), seed, beside)
        yield Row(model, "teacher", "odd-one-out", UNSEEN, "accuracy-dot", right.pop("teacher-dot"))
        yield from compared({(model, stage): estimate for stage, estimate in right.items()}, "odd-one-out", UNSEEN, "accuracy")


def unseen_halves(run: Run) -> Iterator[Row]:
    """Answers about, and VICE's similarities of, the half of the photographs that a student's teacher was not fitted to (unit: image)."""
    known, (_, shown) = things(run.profile.evidence), registered.photographs()
    answers, published = known.answers[shown], people.dot_similarity(known.published[shown])

    def of_half(number: int) -> Iterator[Row]:
        inside = np.flatnonzero(halves(run.profile, len(shown)) == number)
        rows, truth, drawn = answers[inside], published[np.ix_(inside, inside)], of_fold(run.profile, len(inside), number)
        chosen, alike = dict[Model, Estimate](), dict[Model, Estimate]()
        for model, x in of_students(run, number):
            chosen[model] = people.accuracy(cosine_similarities(x[inside], rows.triplets), rows, drawn)
            agreed = rsa.matrix_agreement(people.backbone_similarity(x[inside]), truth, drawn)
            alike[model] = Estimate.of(agreed, len(inside))
        yield from compared(chosen, "odd-one-out", HALVES, "accuracy")
        yield from compared(alike, "similarity-vice", HALVES, "rsa-spearman")

    yield from over_folds(of_half(number) for number in range(2))


# ---- models beside models, no person asked -----------------------------------------------------------------

# Pairs of photographs on which two students disagree most: so many are scored, and so many shown.
MOST_APART, SHOWN = 200, 10
Features = Float[np.ndarray, "images dim"]


def between(run: Run) -> Iterator[Row]:
    """CKA and RSA of every two models at each stage, on the same pictures (unit: image).

    Backbones are compared before and after each one's teacher, and students at every stage. The first student is also set beside its
    teacher and beside the other backbones as they are, which tells whether it comes nearer to a network or to the map of it.
    """
    if registered.VALIDATION in sets.asked(run.profile):
        used, *_ = related(run)
        shown = {model: x[used] for model, x in everyone(run, registered.VALIDATION, beside=False)}
        yield from _alike(shown, run, "ImageNet")
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
    model, known, shown = run.profile.backbones[0], things(run.profile.evidence), registered.photographs()[1]
    pairs: list[tuple[float, str, dict[str, float]]] = []

    def of_half(number: int) -> Iterator[Row]:
        inside = np.flatnonzero(halves(run.profile, len(shown)) == number)
        apart = {
            stage: between_models.standardised(x[inside])
            for (name, stage), x in of_students(run, number) if name == model and stage in ("unaligned", "aligned")
        }  # fmt: skip
        i, j = between_models.most_apart(apart["aligned"], apart["unaligned"], MOST_APART // 2).T
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
