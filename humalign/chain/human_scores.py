"""Every score of the profile ``things``, gathered in one table."""

from __future__ import annotations

from collections import defaultdict

from humalign.artefacts import Provenance
from humalign.chain import hierarchy_scores, model_scores, object_scores, photograph_scores, shift_scores, student_scores, teacher_scores
from humalign.chain.inputs import progress_bar
from humalign.chain.pipeline import Run
from humalign.evaluation import scores
from humalign.evaluation.scores import Score

PARTS = (
    *(*teacher_scores.PARTS, object_scores.rows, photograph_scores.rows, student_scores.rows),
    *(hierarchy_scores.rows, model_scores.rows, shift_scores.rows),
)
# On whose evidence a task's numbers stand, where it is not people's.
EVIDENCE = {
    **{"recovery": "simulated", "few-shot": "labels", "corruption": "labels", "dense-against-sparse": "labels"},
    **{"hierarchy": "taxonomy", "map": "taxonomy", "breeds": "taxonomy"},
    # One model's features are what the other is held against: given, as labels are, and nobody's judgment.
    **{"between-models": "labels", "disagreement": "labels"},
}


def score(run: Run, provenance: Provenance) -> None:
    """Score teachers and students on objects and images that they never saw, against people."""
    gathered: dict[tuple[str, str], list[Score]] = defaultdict(list)
    with progress_bar(len(PARTS), "evaluations") as bar:
        for part in PARTS:
            for (model, stage, task, split, metric), estimate in part(run):
                gathered[model, stage].append(estimate.score(task, split, metric, EVIDENCE.get(task, "human")))
            bar.update()
    scores.write(scores.table(gathered, run.profile.name, run.profile.seed), run.folder, provenance.attrs())
