"""Scores of the demo: every stage of every model on the held-out concepts."""

from __future__ import annotations

import json

import numpy as np

from humalign.artefacts import Provenance
from humalign.chain.inputs import by_style, centred, judgments, progress_bar
from humalign.chain.pipeline import Run
from humalign.chain.teaching import LABELLINGS
from humalign.data.emoji import concepts
from humalign.evaluation import scores
from humalign.models import embeddings
from humalign.teach.teacher import AffineTeacher


def score(run: Run, provenance: Provenance) -> None:
    """Evaluate every stage of every model on the held-out concepts."""
    from humalign.chain import suite

    profile = run.profile
    observers, _, fold, whole = judgments(run)
    teacher = by_style(embeddings.read(run.path(f"embeddings/{profile.teacher_backbone}.nc"))["features"].values)
    student = by_style(embeddings.read(run.path(f"embeddings/{profile.student_backbone}.nc"))["features"].values)
    fit = json.loads(run.path("teacher/fit.json").read_text())["folds"]
    folds = []
    for f in range(profile.folds):
        mapped = AffineTeacher.load(run.path(f"teacher/fold{f}.safetensors"))
        training = fold != f
        trained = {stage: embeddings.read(run.path(f"students/fold{f}-{stage}.nc")) for stage in LABELLINGS}
        folds.append(
            suite.Fold(
                held_out=np.flatnonzero(fold == f),
                whole=whole,
                features={
                    (profile.teacher_backbone, "teacher-base"): teacher,
                    (profile.teacher_backbone, "teacher-centred"): centred(teacher, training),
                    (profile.teacher_backbone, "teacher"): np.stack([mapped.transform(style) for style in teacher]),
                    (profile.student_backbone, "base"): student,
                    (profile.student_backbone, "base-centred"): centred(student, training),
                    **{
                        (profile.student_backbone, stage): by_style(trained[stage]["features"].values) for stage in ("unaligned", "aligned")
                    },
                },
                divergence={stage: found["divergence"].values for stage, found in trained.items()},
                fit=fit[f] | {"triplets": json.loads(run.path(f"triplets/fold{f}/summary.json").read_text())},
            )
        )
    with progress_bar(suite.ticks(profile), "evaluations") as bar:
        found = suite.evaluate(profile, concepts(), observers, folds, bar.update)
    scores.write(scores.table(found, profile.name, profile.seed), run.folder, provenance.attrs())
