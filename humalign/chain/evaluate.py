"""The scores of a run: every evaluation that its profile names, gathered in one table; what was scored before a stop is kept."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from humalign.artefacts import Provenance, replacing
from humalign.chain import sets
from humalign.chain.inputs import progress_bar
from humalign.chain.pipeline import Run
from humalign.chain.scoring import between, labels, learning, objects, own, photographs, simulated, taxonomies, training, zero_shot
from humalign.chain.scoring import similarity as judgments
from humalign.chain.scoring.rows import Row
from humalign.evaluation import scores
from humalign.evaluation.scores import Score

# Every evaluation by its name; the sets and sources of each stand in `humalign.chain.sets`.
EVALUATIONS: dict[str, Callable[[Run], Iterator[Row]]] = {
    "simulated": simulated.simulated,
    "training": training.training,
    "objects": objects.objects,
    "repeated-triplets": objects.repeated,
    "judged-matrix": objects.matrix,
    "observers": learning.observers,
    "learning-curves": learning.learning_curves,
    "recovery": learning.recovery,
    "examples": learning.examples,
    "photographs": photographs.photographs,
    "unseen-halves": photographs.unseen_halves,
    "things": zero_shot.all_objects,
    "levels": zero_shot.at_levels,
    "similarity": judgments.similarity,
    "labels": labels.labels,
    "corruptions": labels.corruptions,
    "breeds": labels.breeds,
    "imagenet-a": labels.imagenet_a,
    "taxonomies": taxonomies.taxonomies,
    "between-models": between.between,
    "disagreement": between.disagreements,
    "dense-against-sparse": training.dense_against_sparse,
    "own": own.own,
}


def score(run: Run, provenance: Provenance) -> None:
    """Make every evaluation that the profile names, and write their rows as one table."""
    scores.write(some(run, provenance, sets.evaluations(run.profile)), run.folder, provenance.attrs())


def some(run: Run, provenance: Provenance, names: Sequence[str]) -> pd.DataFrame:
    """Make some evaluations, which are kept as `score` keeps them, and return their scores as one table."""
    gathered: dict[tuple[str, str], list[Score]] = defaultdict(list)
    with progress_bar(len(names), "evaluations") as bar:
        for name in names:
            file = f"scores/{name}.json"
            run.kept(provenance.key, [file], functools.partial(_make, run, name, file))
            for model, stage, row in json.loads(run.path(file).read_text()):
                gathered[model, stage].append(Score(**row))
            bar.update()
    return scores.table(gathered, run.profile.name, run.profile.seed)


def _make(run: Run, name: str, file: str) -> None:
    rows = [(row.model, row.stage, dataclasses.asdict(row.score(run.profile))) for row in EVALUATIONS[name](run)]
    with replacing(run.path(file)) as part:
        part.write_text(json.dumps(rows))
