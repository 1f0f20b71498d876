"""Scores of teachers and students of photographs, on photographs of the same sets that the teacher was not fitted to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from humalign.chain import features, further, sets, teach
from humalign.chain.further import NEAR, THINGS
from humalign.chain.judged import halves, things
from humalign.chain.pipeline import Run
from humalign.chain.scoring.rows import PEOPLE, Model, Row, compared, measures, of_fold, over_folds, weights
from humalign.data.judgments import cosine_similarities
from humalign.evaluation import left_out, people, persons
from humalign.evaluation.scores import Estimate

UNSEEN, HALVES = "THINGS photographs, unseen", "THINGS photographs, unseen halves"


def photographs(run: Run) -> Iterator[Row]:
    """Teachers of each backbone fitted to some photographs, on the others of the same set (unit: image)."""
    profile, known = run.profile, things(run.profile.evidence)
    judged, (_, shown), answered = sets.similarity_92(), sets.photographs(), further.said(run)
    draws, seed = profile.evaluation.bootstrap_draws, profile.seed
    published, answers = known.published[shown], known.answers[shown]
    tests = [test for _, test in further.image_folds(profile, len(judged.images))]
    for metric, estimate in persons.left_out(judged.matrices, tests, draws, seed).items():
        task = "odd-one-out" if metric == "accuracy" else "similarity-judgments"
        yield Row(*PEOPLE, task, "92 photographs, unseen", metric, estimate)
    for model in teach.models(profile.labeller):
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
    known, (_, shown) = things(run.profile.evidence), sets.photographs()
    answers, published = known.answers[shown], people.dot_similarity(known.published[shown])

    def of_half(number: int) -> Iterator[Row]:
        inside = np.flatnonzero(halves(run.profile, len(shown)) == number)
        rows, truth, drawn = answers[inside], published[np.ix_(inside, inside)], of_fold(run.profile, len(inside), number)
        chosen, alike = dict[Model, Estimate](), dict[Model, Estimate]()
        for model, x in of_students(run, number):
            chosen[model] = people.accuracy(cosine_similarities(x[inside], rows.triplets), rows, drawn)
            agreed = people.matrix_agreement(people.backbone_similarity(x[inside]), truth, drawn)
            alike[model] = Estimate.of(agreed, len(inside))
        yield from compared(chosen, "odd-one-out", HALVES, "accuracy")
        yield from compared(alike, "similarity-vice", HALVES, "rsa-spearman")

    yield from over_folds(of_half(number) for number in range(2))


def of_students(run: Run, half: int) -> Iterator[tuple[Model, np.ndarray]]:
    """Yield the features of the THINGS photographs by every student whose teacher was fitted to the other half."""
    backbones = {student.backbone for student in run.profile.students if "halves" in student.parts}
    for model, stage in features.models(run.profile, THINGS):
        if model in backbones and stage not in (features.HEAD, *features.TEACHERS):
            yield (model, stage), features.read(run, model, stage, THINGS, f"half{half}")
