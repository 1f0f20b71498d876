"""Teachers and students of photographs, scored on others than were fitted to, and models beside models."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from humalign.chain import features, further, registered, sets
from humalign.chain.further import NEAR, THINGS
from humalign.chain.judged import halves, labels_with, mapped, things
from humalign.chain.pipeline import Run
from humalign.chain.scoring import rows
from humalign.chain.scoring.rows import PEOPLE, Features, Model, Row, compared, everyone, of_students
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
    published, answers = known.published[shown], known.answers[shown]
    tests = [test for _, test in further.image_folds(profile, len(judged.images))]
    draws, seed, near = profile.evaluation.bootstrap_draws, profile.seed, f"{SPLIT}, unseen"
    for metric, estimate in people.left_out(judged.matrices, tests, draws, seed).items():
        task = "odd-one-out" if metric == "accuracy" else "similarity-judgments"
        yield Row(*PEOPLE, task, near, metric, estimate)
    for model in mapped(profile.labeller):
        # Whitened on the pool: a few photographs do not tell more than a few directions.
        stages = ("teacher-whitened", "teacher-random")
        free = [stage for stage in stages if features.possible(profile, model, stage)]
        read, places = functools.partial(features.read, run, model), further.read(run, "photographs", model)
        for which, similar, split, by in (
            (NEAR, -judged.matrices.mean(0), near, ("odd-one-out", "similarity-judgments")),
            (THINGS, people.dot_similarity(published), UNSEEN, ("odd-one-out-vice", "similarity-vice")),
        ):
            x, beside = read("teacher-base", which), {stage: read(stage, which) for stage in free}
            folds = further.image_folds(profile, len(x))
            placed = [places[f"{which}-fold{f}"] for f in range(len(folds))]
            found = left_out.unseen_images(x, placed, answered[which], similar, folds, draws, seed, beside)
            each = {(model, stage): several for stage, several in found.items()}
            for task, kind in zip(by, ("accuracy", "rsa"), strict=True):
                yield from rows.measures(each, task, split, kind)
            if which == THINGS:
                fits = sum(name.startswith("three-") for name in places)
                three, drawn = (places[f"three-{n}"] for n in range(fits)), rows.weights(profile, len(x))
                right = left_out.placed_three_out(x, three, answers, further.GROUPS, drawn, seed, beside)
                yield Row(model, "teacher", "odd-one-out", UNSEEN, "accuracy-dot", right.pop("teacher-dot"))
                by_stage = {(model, stage): estimate for stage, estimate in right.items()}
                yield from compared(by_stage, "odd-one-out", UNSEEN, "accuracy")


def unseen_halves(run: Run) -> Iterator[Row]:
    """Answers about, and VICE's similarities of, the half that a teacher did not see (unit: image)."""
    known, (_, shown) = things(run.profile.evidence), registered.photographs()
    everything, published = known.answers[shown], people.dot_similarity(known.published[shown])

    def of_half(number: int) -> Iterator[Row]:
        inside = np.flatnonzero(halves(run.profile, len(shown)) == number)
        answers, truth = everything[inside], published[np.ix_(inside, inside)]
        drawn = rows.of_fold(run.profile, len(inside), number)
        chosen, alike = dict[Model, Estimate](), dict[Model, Estimate]()
        for model, x in of_students(run, number):
            chosen[model] = people.accuracy(cosine_similarities(x[inside], answers.triplets), answers, drawn)
            agreed = rsa.matrix_agreement(people.backbone_similarity(x[inside]), truth, drawn)
            alike[model] = Estimate.of(agreed, len(inside))
        yield from compared(chosen, "odd-one-out", HALVES, "accuracy")
        yield from compared(alike, "similarity-vice", HALVES, "rsa-spearman")

    yield from rows.over_folds(of_half(number) for number in range(2))


# Pairs of photographs on which two students disagree most: so many are scored, and so many shown.
MOST_APART, SHOWN = 200, 10


def between(run: Run) -> Iterator[Row]:
    """CKA and RSA of every two models at each stage, on the same pictures (unit: image).

    Backbones are compared before and after each one's teacher, and students at every stage. The first student
    is also compared with its teacher and with the other backbones as they are: does it come nearer to a
    network, or to the map of it?
    """
    if registered.VALIDATION in sets.asked(run.profile):
        used, *_ = related(run)
        shown = {model: x[used] for model, x in everyone(run, registered.VALIDATION, beside=False)}
        yield from _alike(shown, run, "ImageNet")
    else:
        yield from _alike(dict(everyone(run, NEAR, beside=False)), run, SPLIT)


def _alike(shown: dict[Model, Features], run: Run, where: str) -> Iterator[Row]:
    drawn = rows.weights(run.profile, len(next(iter(shown.values()))))
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
    others = by_stage.get("teacher-base", {}).items()
    beside = {f"{model} as it is": x for model, x in others if model != student}
    if run.profile.teachers:
        beside["its teacher"] = shown[labels_with(run.profile.labeller), "teacher"]
    for name, other in beside.items():
        for (model, stage), x in shown.items():
            if model == student and stage not in features.TEACHERS:
                compare({student: x, name: other}, stage)
    for (split, metric), each in found.items():
        yield from compared(each, "between-models", split, metric)


def disagreements(run: Run) -> Iterator[Row]:
    """Pairs of THINGS photographs on which aligned student and control disagree most (unit: image).

    Both are asked about the half that no teacher of the aligned student was fitted to. In place of people's
    ratings, distances are correlated with the published VICE's similarities among these pairs alone.
    """
    profile, known, shown = run.profile, things(run.profile.evidence), registered.photographs()[1]
    model, pairs = profile.backbones[0], list[tuple[float, str, dict[str, float]]]()

    def of_half(number: int) -> Iterator[Row]:
        inside = np.flatnonzero(halves(profile, len(shown)) == number)
        apart = {
            stage: between_models.standardised(x[inside])
            for (name, stage), x in of_students(run, number)
            if name == model and stage in ("unaligned", "aligned")
        }
        i, j = between_models.most_apart(apart["aligned"], apart["unaligned"], MOST_APART // 2).T
        said, found = people.dot_similarity(known.published[shown[inside]]), {}
        drawn = [w[i] * w[j] for w in rows.of_fold(profile, len(inside), number)]
        for stage, distance in apart.items():
            values = np.array([weighted_pearson(distance[i, j], said[i, j], weight) for weight in drawn])
            found[model, stage] = Estimate.of(values, len(i))
        yield from compared(found, "disagreement-vice", f"{MOST_APART} pairs", "distance-pearson")
        for a, b in zip(i[:SHOWN], j[:SHOWN], strict=True):
            names = " + ".join(known.names[shown[inside[each]]].replace("_", " ") for each in (a, b))
            gap = abs(apart["aligned"][a, b] - apart["unaligned"][a, b])
            pairs.append((gap, names, {stage: float(distance[a, b]) for stage, distance in apart.items()}))

    yield from rows.over_folds(of_half(number) for number in range(2))
    for rank, (_, names, distances) in enumerate(sorted(pairs, key=lambda pair: -pair[0])[:SHOWN], 1):
        for stage, value in distances.items():
            single = Estimate(value, np.array([value]), 1)
            yield Row(model, stage, "disagreement", f"{rank}: {names}", "standardised-distance", single)
