"""The scores of a run: every evaluation that its profile names, gathered in one table; what was scored before a stop is kept."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator

from humalign.artefacts import Provenance, replacing
from humalign.chain import (
    hierarchy_scores,
    model_scores,
    object_scores,
    own_scores,
    photograph_scores,
    results,
    sets,
    shift_scores,
    student_scores,
    teacher_scores,
)
from humalign.chain.inputs import progress_bar
from humalign.chain.judged import Name
from humalign.chain.paper import label_scores, people_scores
from humalign.chain.paper.rows import Row
from humalign.chain.pipeline import Run
from humalign.evaluation import scores
from humalign.evaluation.scores import Estimate, Score

Scored = Iterator[tuple[str, str, Score]]  # model, stage, score
# On whose evidence a task's numbers stand, where it is not people's.
EVIDENCE = {
    **{"recovery": "simulated", "few-shot": "labels", "corruption": "labels", "dense-against-sparse": "labels"},
    **{"hierarchy": "taxonomy", "map": "taxonomy", "breeds": "taxonomy"},
    # One model's features are what the other is held against: given, as labels are, and nobody's judgment.
    **{"between-models": "labels", "disagreement": "labels"},
}


def _by_task(*parts: Callable[[Run], Iterator[tuple[Name, Estimate]]]) -> Callable[[Run], Scored]:
    """Return an evaluation whose evidence follows from the task."""

    def evaluation(run: Run) -> Scored:
        for part in parts:
            for (model, stage, task, split, metric), estimate in part(run):
                yield model, stage, estimate.score(task, split, metric, EVIDENCE.get(task, "human"))

    return evaluation


def _at_scale(*parts: Callable[[Run], Iterator[Row]]) -> Callable[[Run], Scored]:
    """Return an evaluation that says its evidence itself."""

    def evaluation(run: Run) -> Scored:
        for part in parts:
            for (model, stage, task, split, metric), evidence, estimate in part(run):
                yield model, stage, estimate.score(task, split, metric, evidence)

    return evaluation


# Every evaluation by its name; the sets and sources of each stand in `humalign.chain.sets`.
EVALUATIONS: dict[str, Callable[[Run], Scored]] = {
    "simulated": results.rows,
    "objects": _by_task(teacher_scores.objects),
    "observers": _by_task(teacher_scores.observers),
    "learning-curves": _by_task(teacher_scores.learning_curves),
    "recovery": _by_task(teacher_scores.recovery),
    "examples": _by_task(teacher_scores.examples),
    "matrices": _by_task(object_scores.rows),
    "photographs": _by_task(photograph_scores.rows),
    "students": _by_task(student_scores.rows),
    "taxonomies": _by_task(hierarchy_scores.rows),
    "models-beside-models": _by_task(model_scores.rows),
    "shifts": _by_task(shift_scores.rows),
    "own": own_scores.rows,
    "training": _at_scale(label_scores.training),
    "things": _at_scale(
        people_scores.things, people_scores.unseen_objects, people_scores.categories, people_scores.objects_along_wordnet
    ),
    "levels": _at_scale(people_scores.at_levels),
    "similarity": _at_scale(people_scores.similarity),
    "labels": _at_scale(label_scores.labelled),
    "breeds": _at_scale(label_scores.breeds),
    "imagenet-a": _at_scale(label_scores.imagenet_a),
    "models": _at_scale(label_scores.superclasses, label_scores.classes_along_wordnet, label_scores.alike),
}


def score(run: Run, provenance: Provenance) -> None:
    """Make every evaluation that the profile names, and gather their rows in one table."""
    gathered: dict[tuple[str, str], list[Score]] = defaultdict(list)
    names = sets.evaluations(run.profile)
    with progress_bar(len(names), "evaluations") as bar:
        for name in names:
            file = f"scores/{name}.json"
            run.kept(provenance.key, [file], functools.partial(_make, run, name, file))
            for model, stage, row in json.loads(run.path(file).read_text()):
                gathered[model, stage].append(Score(**row))
            bar.update()
    scores.write(scores.table(gathered, run.profile.name, run.profile.seed), run.folder, provenance.attrs())


def _make(run: Run, name: str, file: str) -> None:
    rows = [(model, stage, dataclasses.asdict(row)) for model, stage, row in EVALUATIONS[name](run)]
    with replacing(run.path(file)) as part:
        part.write_text(json.dumps(rows))
