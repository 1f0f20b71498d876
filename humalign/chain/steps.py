"""The chain: what each step does, what it needs, and what it leaves; one table for every profile."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from humalign.artefacts import Provenance
from humalign.chain import distil, embed, further, illustrate, keys, label, observe, sets, teach
from humalign.chain.answers import answers_source, pictures_source
from humalign.chain.pipeline import Rows, Run, Step, write
from humalign.chain.scoring import labels, learning, objects, photographs, similarity, simulated, taxonomies
from humalign.chain.scoring import own as own_answers
from humalign.chain.scoring.rows import Row
from humalign.data import registry
from humalign.evaluation import scores
from humalign.models.backbones import recipes
from humalign.profiles import Profile
from humalign.profiles.schema import Data

# Every evaluation by its name; the sets and sources of each stand in `humalign.chain.sets`.
EVALUATIONS: dict[str, Callable[[Run], Iterator[Row]]] = {
    "simulated": simulated.simulated,
    "training": learning.training,
    "objects": objects.objects,
    "repeated-triplets": objects.repeated,
    "judged-matrix": objects.matrix,
    "observers": learning.observers,
    "learning-curves": learning.learning_curves,
    "recovery": learning.recovery,
    "examples": learning.examples,
    "photographs": photographs.photographs,
    "unseen-halves": photographs.unseen_halves,
    "things": similarity.all_objects,
    "levels": similarity.at_levels,
    "similarity": similarity.similarity,
    "labels": labels.labels,
    "corruptions": labels.corruptions,
    "breeds": labels.breeds,
    "imagenet-a": labels.imagenet_a,
    "taxonomies": taxonomies.taxonomies,
    "between-models": photographs.between,
    "disagreement": photographs.disagreements,
    "dense-against-sparse": learning.dense_against_sparse,
    "own": own_answers.own,
}


def score(run: Run, provenance: Provenance) -> None:
    """Make every evaluation that the profile names, and write their rows as one table."""
    scores.write(some(run, provenance, sets.evaluations(run.profile)), run.folder, provenance.attrs())


def some(run: Run, provenance: Provenance, names: Sequence[str]) -> pd.DataFrame:
    """Make some evaluations, which are kept as `score` keeps them, and return their scores as one table."""
    files = {name: f"scores/{name}.json" for name in names}
    parts = [([file], functools.partial(_score, run, name, file)) for name, file in files.items()]
    run.keep_each(provenance.key, "evaluations", parts)
    gathered: dict[tuple[str, str], list[scores.Score]] = defaultdict(list)
    for file in files.values():
        for model, stage, row in json.loads(run.path(file).read_text()):
            gathered[model, stage].append(scores.Score(**row))
    return scores.table(gathered, run.profile.name, run.profile.seed)


def _score(run: Run, name: str, file: str) -> None:
    scored = ((row, row.score(run.profile)) for row in EVALUATIONS[name](run))
    write(run.path(file), [(row.model, row.stage, dataclasses.asdict(found)) for row, found in scored])


Used = Callable[[Profile], keys.Tables]
# How a backbone is built and its pictures prepared. Of other files of the registry a key has checksums alone:
# an edit of a licence should not cost the embedding of a million pictures.
RECIPES = ("humalign/data/registry/backbones.yaml",)


def _said(profile: Profile) -> list[str]:
    """Name the sources of what people, or simulated observers, said of the things that teachers learn of."""
    sources: dict[str, Sequence[str]] = {
        "emoji": [name for name in registry.packages() if not name.endswith("-weights")],
        "things": sets.OBJECTS,
        "things-photographs": (*sets.DESCRIBED, "things-photographs"),
        "own": [pictures_source(profile), answers_source(profile), profile.data.pool],
    }
    several = [sources[teacher.judged] for teacher in profile.teachers]
    if any(teacher.learner == "answers" for teacher in profile.teachers):
        several = [sets.DESCRIBED, *several]
    return list(dict.fromkeys(itertools.chain(*several)))


def weights_of(*backbones: str) -> list[str]:
    """Name the registered weight files of backbones; one whose weights are not registered has none."""
    found = {name: str(recipes()[name].weights) for name in backbones if name in recipes()}
    entries = {f"{name}-weights" if weights == "hub" else weights for name, weights in found.items()}
    return sorted(entries & registry.everything().keys())


def _embedded(profile: Profile) -> list[str]:
    """Name the registered sources of the embeddings: pictures, and weights of backbones."""
    teachers = [name for teacher in profile.teachers for name in (*teacher.backbones, *teacher.further)]
    weights = weights_of(*teachers, *profile.backbones)
    return [*sets.sources(profile), *weights] if sets.embedded(profile) else []


def _sets(profile: Profile) -> keys.Tables:
    """Return the sets whose readers a profile uses."""
    shown = [name for several in sets.embedded(profile).values() for name in several]
    shown += [name for student in profile.students for name in sets.evaluated(profile, student)]
    return {
        ("humalign.chain.registered", "SETS"): (*shown, profile.data.pool),
        ("humalign.chain.judged", "JUDGED"): [teacher.judged for teacher in profile.teachers] or ["none"],
    }


def _learners(profile: Profile) -> keys.Tables:
    """Return the sets and the learners that a profile uses."""
    learners = [teacher.learner for teacher in profile.teachers] or ["none"]
    return {**_sets(profile), ("humalign.chain.teach", "LEARNERS"): learners}


def _evaluations(tables: Used, table: keys.Place) -> Used:
    """Return some tables, and one more with an entry for every evaluation."""
    return lambda profile: {**tables(profile), table: profile.evaluation.names}


def _scored(run: Run) -> Rows:
    """Say of each task how many numbers there are, of how many models, and on whose evidence."""
    several = scores.read(run.path("scores.csv")).groupby(["task", "evidence"], sort=False)
    return [
        {"task": task, "numbers": len(rows), "models": int(rows["model"].nunique()), "evidence": evidence}
        for (task, evidence), rows in several
    ]


# What the teachers depend on that are fitted for scores alone, of the settings of the evaluation.
FITTED = ("names", "image_folds", "curve_shares", "recovery_answers", "recovery_dim")
# Which pictures are shown to which networks. Answers about one's own are no part of it: more run no network.
SHOWN = (
    *(f"data.{field.name}" for field in dataclasses.fields(Data) if field.name != "own"), "data.own.pictures",
    *(f"teachers.{field}" for field in ("judged", "backbones", "further")),
    *(f"students.{field}" for field in ("backbone", "frozen", "trained")),
)  # fmt: skip
STEPS: dict[str, Step] = {
    # Pictures decoded and squashed once, where whole networks are trained on them.
    "pixels": Step(
        needs=(),
        settings=(*SHOWN, "students.scored", "evaluation.names"),
        outputs=sets.pixel_files,
        summary=embed.kept_pixels,
        make=sets.prepare,
        tables=_sets,
        files=RECIPES,
        sources=lambda profile: sets.sources(profile) if sets.from_pixels(profile) else [],
    ),
    "embeddings": Step(
        needs=("pixels",),
        settings=(*SHOWN, "students.scored", "evaluation.names", "compute.precision"),
        outputs=embed.embedding_files,
        summary=embed.summary,
        make=embed.embed,
        tables=_sets,
        files=RECIPES,
        sources=_embedded,
    ),
    "observers": Step(
        needs=(),
        settings=("observer", "simulated", "teachers.judged", "teachers.learner", "teachers.parts"),
        outputs=observe.observer_files,
        summary=observe.summary,
        make=observe.observe,
        tables=_sets,
        sources=_said,
    ),
    "teachers": Step(
        needs=("embeddings", "observers"),
        settings=("teachers",),
        outputs=teach.teacher_files,
        summary=teach.summary,
        make=teach.teach,
        sources=_said,
        tables=_learners,
    ),
    "triplets": Step(
        needs=("teachers",),
        settings=("triplets", "students.parts", "distillation.batch_triplets", "distillation.batch_images"),
        outputs=label.triplet_files,
        summary=label.summary,
        make=label.label,
        tables=_sets,
        sources=lambda profile: _said(profile) + ["alignet-triplets"] * (profile.triplets.source != "own"),
    ),
    "students": Step(
        needs=("triplets",),
        settings=("students", "distillation", "curves"),
        outputs=distil.student_files,
        summary=distil.summary,
        make=distil.train,
        tables=_sets,
        files=RECIPES,
        sources=lambda profile: [
            *_said(profile),
            *(archive for *_, archive in distil.released_archives(profile)),
            *weights_of(*profile.backbones),
        ],
    ),
    "features": Step(
        needs=("students",),
        settings=tuple(f"evaluation.{field}" for field in FITTED),
        outputs=further.feature_files,
        summary=further.summary,
        make=further.extract,
        tables=_evaluations(_sets, ("humalign.chain.further", "FURTHER")),
        sources=lambda profile: [*weights_of(*profile.backbones), *further.sources(profile)],
    ),
    "scores": Step(
        needs=("features",),
        settings=("evaluation", "data", "simulated"),
        outputs=lambda profile: ["scores.csv", "scores.nc"],
        summary=_scored,
        make=score,
        tables=_evaluations(_learners, ("humalign.chain.steps", "EVALUATIONS")),
        sources=lambda profile: [*_said(profile), *sets.scored(profile)],
    ),
    # What pictures show: small, so that it is recorded beside the scores.
    "illustrations": Step(
        needs=("features",),
        settings=("data",),
        outputs=illustrate.files,
        summary=illustrate.summary,
        make=illustrate.illustrate,
        tables=_learners,
        sources=illustrate.sources,
    ),
}
