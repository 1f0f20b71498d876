"""The paper's teacher: VICE says how people divide over triplets of THINGS objects, and an affine map of the backbone learns to say so.

One teacher knows all objects and labels the triplets, as the paper's does; one of each fold is scored on the objects that it did not see.
"""

from __future__ import annotations

import dataclasses
import functools
import json

import numpy as np
import pandas as pd
from jaxtyping import Int
from safetensors.torch import load_file

from humalign.artefacts import Provenance, replacing
from humalign.chain.answers import SOURCES, AnswerSets, answer_sets
from humalign.chain.inputs import progress_bar, stream
from humalign.chain.paper.embedding import embeddings
from humalign.chain.people import finished, fit_observer
from humalign.chain.pipeline import Run
from humalign.data import editions, object_order, readers, registry
from humalign.data.judgments import ByObject, Choices, random_triplets
from humalign.distil.ranks import join
from humalign.errors import HumalignError
from humalign.profiles import Paper, Released
from humalign.teach import vice
from humalign.teach.splits import ObjectFolds
from humalign.teach.teacher import AffineTeacher, try_pulls

WHOLE = "all"


@dataclasses.dataclass(frozen=True)
class Judgments(AnswerSets):
    """People's answers about the THINGS objects, and what the objects are."""

    categories: pd.DataFrame
    names: tuple[str, ...]


@functools.cache
def judgments(profile: Released) -> Judgments:
    """Read the answers, the same as the profile `things` reads, and the categories.

    Raises:
        HumalignError: a file that cannot be read; ids that are not those of THINGS, where the evidence is said to be people's.
    """
    ids = editions.of("things-ids")
    if profile.evidence == "human" and ids.edition != editions.PUBLIC:
        raise HumalignError(
            f"{registry.locate('things-ids')} holds other ids than those of THINGS: bring the public file (`humalign fetch things-ids`) or "
            f"say `evidence: simulated` in the profile {profile.name}"
        )
    names = readers.object_ids(registry.locate("things-ids"))
    answers = answer_sets(registry.locate, names)
    categories = readers.categories(registry.locate("things-categories"), names)
    return Judgments(answers.training, answers.validation, answers.repeated, categories, names)


def sources(profile: Released) -> list[str]:
    """Name the registered files of the answers."""
    return ["things-ids", *SOURCES, "things-categories"]


def teachers(profile: Paper, objects: int) -> dict[str, tuple[Int[np.ndarray, " m"], Int[np.ndarray, " k"]]]:
    """Return training and held-out objects of each teacher, ascending: of one that sees all, and of each fold."""
    folds = {
        f"fold{f}": (np.sort(train), np.sort(test)) for f, (train, test) in enumerate(ObjectFolds(profile.folds).split(np.zeros(objects)))
    }
    return {WHOLE: (np.arange(objects), np.arange(0)), **folds}


def _names(profile: Paper) -> list[str]:
    return [WHOLE, *(f"fold{f}" for f in range(profile.folds))]


# ---- observers -------------------------------------------------------------------------------------------------------


def observer_files(profile: Paper) -> list[str]:
    """Name what the stage leaves."""
    return [f"vice/{name}.safetensors" for name in _names(profile)]


def observe(run: Run, provenance: Provenance) -> None:
    """Fit VICE to all training answers, and to those inside each fold's training objects; what is finished is kept."""
    profile, known = run.profile, judgments(run.profile)
    whole = ByObject.of(known.training, len(known.names))
    device = str(join(profile.device).device)
    with progress_bar(len(_names(profile)), "VICE fits") as bar:
        for name, (train, _) in teachers(profile, len(known.names)).items():
            path = run.path(f"vice/{name}.safetensors")
            if not finished(path, provenance.key):
                inside = whole[train]
                answers = Choices(inside.triplets, inside.shares.astype(np.int64))
                fit_observer(run, path, provenance, answers, len(train), profile.seed, device)
            bar.update()
    for leftover in run.path("vice").glob("*.ckpt"):
        leftover.unlink()


# ---- the teacher -----------------------------------------------------------------------------------------------------


def teacher_files(profile: Paper) -> list[str]:
    """Name what the stage leaves."""
    return [*(f"teacher/{name}.safetensors" for name in (*_names(profile), "untransformed")), "teacher/fit.json"]


def teach(run: Run, provenance: Provenance) -> None:
    """Fit each teacher to what VICE says of its objects; how strong the pull is, is chosen on objects hidden among them."""
    profile, known = run.profile, judgments(run.profile)
    features, device = np.asarray(embeddings(run, "things")), str(join(profile.device).device)
    # The photographs are found by the objects' names, the answers refer to the objects by row.
    objects, mend = registry.locate("things-ids"), "`humalign fetch things-ids things-answers` brings the public files"
    once = known.asked_once
    object_order.check_embedding(objects, features, once, known.names, object_order.UNIQUE, mend=mend, cosine=True)
    notes = {}
    everyone = teachers(profile, len(features))
    with progress_bar(len(everyone) * (profile.pull_folds * len(profile.pulls) + 1), "fits") as bar:
        for number, (name, (train, _)) in enumerate(everyone.items()):
            rng, path = stream(profile, 2, number), run.path(f"teacher/{name}.safetensors")
            observer = vice.ViceEmbedding(**load_file(run.path(f"vice/{name}.safetensors")))
            asked = random_triplets(np.arange(len(train)), profile.distilled_triplets, rng)
            told = (asked, observer.predict(asked))
            hidden = rng.permutation(len(train)) % profile.pull_folds
            teacher = AffineTeacher(rank=profile.teacher_rank, iterations=profile.teacher_iterations, device=device)
            tried = try_pulls(features[train], told, groups=hidden, pulls=profile.pulls, teacher=teacher, progress=bar.update)
            best = max(tried, key=lambda pull: tried[pull])
            teacher.set_params(pull=best).fit(features[train], told).save(path, provenance.attrs())
            if name == WHOLE:
                plain = AffineTeacher(pull=np.inf, device=device).fit(features, told)
                plain.save(run.path("teacher/untransformed.safetensors"), provenance.attrs())
            notes[name] = {"pulls": tried, "pull": best, "vice_dimensions": observer.mean.shape[1]}
            bar.update()
    with replacing(run.path("teacher/fit.json")) as part:
        part.write_text(json.dumps(provenance.attrs() | {"teachers": notes}, indent=1))


def teacher(run: Run, name: str = WHOLE) -> AffineTeacher:
    """Return a fitted teacher, or ``untransformed``, the backbone with a scale that fits people's answers."""
    return AffineTeacher.load(run.path(f"teacher/{name}.safetensors"))
