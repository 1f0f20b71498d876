"""Scores of teachers and students of photographs, on photographs of the same sets that the teacher was not fitted to."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from humalign.chain import features, sets, teach
from humalign.chain.judged import halves, things
from humalign.chain.pipeline import Run
from humalign.chain.scoring.rows import PEOPLE, Model, Row, compared, measures, of_fold, over_folds, weights
from humalign.data.judgments import ByObject, cosine_similarities
from humalign.evaluation import people, persons
from humalign.evaluation.scores import Estimate
from humalign.teach.teacher import AffineTeacher, regressed

GROUPS = 6
THINGS, NEAR = "things-photographs", "kriegeskorte-92"
UNSEEN, HALVES = "THINGS photographs, unseen", "THINGS photographs, unseen halves"


def photographs(run: Run) -> Iterator[Row]:
    """Teachers of each backbone fitted to some photographs, on the others of the same set (unit: image)."""
    profile, known = run.profile, things(run.profile.evidence)
    judged, (_, shown) = sets.similarity_92(), sets.photographs()
    draws, seed = profile.evaluation.bootstrap_draws, profile.seed
    published, answers = known.published[shown], known.answers[shown]
    group = ByObject.of(people.group_choices(judged.matrices), judged.images.shape[0])
    vice_says = teach.vice_says(profile, profile.labeller, published)
    fit = functools.partial(teach.tuned, profile, profile.labeller)
    folds = {n: people.image_folds(n, profile.evaluation.image_folds, 1, seed) for n in (len(shown), len(judged.images))}
    for metric, estimate in persons.left_out(judged.matrices, [test for _, test in folds[len(judged.images)]], draws, seed).items():
        task = "odd-one-out" if metric == "accuracy" else "similarity-judgments"
        yield Row(*PEOPLE, task, "92 photographs, unseen", metric, estimate)
    for model in teach.models(profile.labeller):
        near, far = (features.read(run, model, "teacher-base", which) for which in (NEAR, THINGS))
        # Whitened on the pool: a few photographs do not tell more than a few directions.
        free = [stage for stage in ("teacher-whitened", "teacher-random") if features.possible(profile, model, stage)]
        near_free, far_free = ({stage: features.read(run, model, stage, which) for stage in free} for which in (NEAR, THINGS))
        for x, beside, said, similar, split, by in (
            (near, near_free, group, -judged.matrices.mean(0), "92 photographs, unseen", ("odd-one-out", "similarity-judgments")),
            (far, far_free, vice_says, people.dot_similarity(published), UNSEEN, ("odd-one-out-vice", "similarity-vice")),
        ):
            found = people.unseen_images(x, said, similar, folds[len(x)], fit, draws, seed, beside)
            for task, kind in zip(by, ("accuracy", "rsa"), strict=True):
                each = {(model, s): {m: e for m, e in by_metric.items() if m.startswith(kind)} for s, by_metric in found.items()}
                yield from measures(each, task, split)

        def without(kept: np.ndarray, far: np.ndarray = far) -> AffineTeacher:
            return regressed(far[kept], published[kept])

        right = people.leave_three_out(far, answers, without, GROUPS, weights(profile, len(far)), seed, far_free)
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
