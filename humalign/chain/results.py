"""Scores of the demo: every stage of every model on the held-out concepts."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from humalign.chain import features, judged, label, teach
from humalign.chain.pipeline import Run
from humalign.data.emoji import concepts
from humalign.evaluation.scores import Score

SHOWN = "emoji"
ORDER = ("teacher-base", "teacher-centred", "teacher", "base", "base-centred", "unaligned", "aligned")



def rows(run: Run) -> Iterator[tuple[str, str, Score]]:
    """Yield every score of every stage of every model on the held-out concepts."""
    from humalign.chain import suite

    profile, truth = run.profile, judged.simulated(run)
    teacher, student = profile.labeller, profile.students[0]
    model = teach.labels_with(teacher)
    folds = []
    for part in judged.parts(run, teacher):
        shown = {
            (model, "teacher-base"): features.read(run, model, "teacher-base", SHOWN),
            (model, "teacher"): features.read(run, model, "teacher", SHOWN, part.name),
            **{(student.backbone, stage): features.read(run, student.backbone, stage, SHOWN, part.name) for stage in features.STAGES},
        }
        seen = {name: features.views(SHOWN, values) for name, values in shown.items()}
        for (name, stage), centred in ((next(iter(shown)), "teacher-centred"), ((student.backbone, "base"), "base-centred")):
            # Less the mean of the training concepts' pictures: what an affine map does before it learns anything.
            seen[name, centred] = seen[name, stage] - seen[name, stage][:, part.train].mean((0, 1))
        ordered = {key: seen[key] for key in sorted(seen, key=lambda key: ORDER.index(key[1]))}
        logs = {
            stage: json.loads(run.path(features.student_file(student.backbone, part.name, stage)).with_suffix(".json").read_text())
            for stage in label.LABELLINGS
        }
        folds.append(
            suite.Fold(
                held_out=part.test,
                whole=truth.whole,
                features=ordered,
                divergence={stage: np.array(log["divergence"]) for stage, log in logs.items()},
                fit=teach.notes(run, teacher, part.name)
                | {"triplets": json.loads(run.path(f"triplets/{part.name}/summary.json").read_text())},
            )
        )
    for (name, stage), several in suite.evaluate(profile, concepts(), truth.observers, folds).items():
        yield from ((name, stage, row) for row in several)
