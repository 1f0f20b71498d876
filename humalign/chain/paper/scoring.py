"""Every score of the paper's chain, gathered in one table; what was scored before a stop is kept."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable, Iterator

from humalign.artefacts import Provenance, replacing
from humalign.chain.inputs import progress_bar
from humalign.chain.paper import label_scores, people_scores
from humalign.chain.paper.rows import Row
from humalign.chain.pipeline import Run
from humalign.evaluation import scores
from humalign.evaluation.scores import Score
from humalign.profiles import Paper

# What is scored for each evaluation that a profile names; each is kept in a file of its own. Those of ``CHAIN`` are about a teacher, or
# about how students were taught: where nothing is taught there are none.
PARTS: dict[str, tuple[Callable[[Run], Iterator[Row]], ...]] = {
    "things": (people_scores.things, people_scores.unseen_objects, people_scores.categories, people_scores.objects_along_wordnet),
    "levels": (people_scores.at_levels,),
    "similarity": (people_scores.similarity,),
    "labels": (label_scores.labelled,),
    "breeds": (label_scores.breeds,),
    "imagenet-a": (label_scores.imagenet_a,),
    "models": (label_scores.superclasses, label_scores.classes_along_wordnet, label_scores.alike),
}

CHAIN = (label_scores.training, people_scores.unseen_objects)


def score(run: Run, provenance: Provenance) -> None:
    """Score every model on every set that the profile names."""
    gathered: dict[tuple[str, str], list[Score]] = defaultdict(list)
    parts = [label_scores.training, *(part for name in run.profile.evaluations for part in PARTS[name])]
    if not isinstance(run.profile, Paper):
        parts = [part for part in parts if part not in CHAIN]
    with progress_bar(len(parts), "evaluations") as bar:
        for part in parts:
            for model, stage, row in _kept(run, part, provenance.key):
                gathered[model, stage].append(row)
            bar.update()
    scores.write(scores.table(gathered, run.profile.name, run.profile.seed), run.folder, provenance.attrs())


def _kept(run: Run, part: Callable[[Run], Iterator[Row]], key: str) -> list[tuple[str, str, Score]]:
    """Return a part's rows, from the file that it left where that was written under this key."""
    path = run.path(f"scores/{part.__name__}.json")
    try:
        written = json.loads(path.read_text())
        if written["key"] == key:
            return [(model, stage, Score(**row)) for model, stage, row in written["rows"]]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    rows = [
        (model, stage, estimate.score(task, split, metric, evidence))
        for (model, stage, task, split, metric), evidence, estimate in part(run)
    ]
    with replacing(path) as file:
        file.write_text(json.dumps({"key": key, "rows": [(model, stage, dataclasses.asdict(row)) for model, stage, row in rows]}))
    return rows
