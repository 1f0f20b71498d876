"""From a finished run to a folder: one of its students, with what its model card must say."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from safetensors import SafetensorError, safe_open

from humalign.chain import inputs
from humalign.chain.pipeline import Run
from humalign.chain.teaching import LABELLINGS
from humalign.data import registry
from humalign.errors import HumalignError, nearest
from humalign.evaluation import scores
from humalign.models import export
from humalign.models.backbones import Backbone, build
from humalign.models.student import Student
from humalign.profiles import Profile

ABOUT = {
    "aligned": "Distilled from a teacher that was fitted to odd-one-out choices, while its weights stayed near where they began.",
    "unaligned": "A control: distilled in the same way from a teacher that was not fitted to any choice.",
}


def take_away(run: Run, stage: str, fold: int, folder: Path) -> Path:
    """Write one student of a run as a model of its own.

    Args:
        run: of a profile that trains students.
        stage: ``aligned`` or ``unaligned``.
        fold: in which the student was trained.
        folder: new or empty.

    Raises:
        HumalignError: no such student, or it is not there yet.
    """
    profile = run.profile
    if not isinstance(profile, Profile):
        raise HumalignError(f"the profile {profile.name!r} trains no students: name one that does, as demo")
    if stage not in LABELLINGS:
        raise HumalignError(f"unknown stage {stage!r} of a student: {nearest(stage, LABELLINGS)}")
    if not 0 <= fold < profile.folds:
        raise HumalignError(f"the profile {profile.name!r} has no fold {fold}: name one of 0..{profile.folds - 1}")
    path = run.path(f"students/fold{fold}-{stage}.safetensors")
    if not path.is_file():
        raise HumalignError(f"no student at {path}: run `humalign run students --profile {profile.name}` first")
    backbone = build(profile.student_backbone)
    student = Student.of(backbone, profile.frozen_stages, seed=profile.seed).load(path)
    return export.save_pretrained(folder, backbone, student, _card(run, backbone, stage, fold, path))


def _card(run: Run, backbone: Backbone, stage: str, fold: int, path: Path) -> export.Card:
    profile = run.profile
    sources = [registry.source(name) for name in inputs.sources(profile)]
    return export.Card(
        title=f"{backbone.name}, {stage}",
        about=f"{ABOUT[stage]} The judgments are those of simulated observers, not of people. The model is the student of fold {fold}: it "
        f"saw no picture of the concepts which that fold holds out. The scores are means over all {profile.folds} folds, each on what it "
        "holds out.",
        data=tuple(f"{entry.what}: {entry.licence}; {entry.attribution}; {entry.home}" for entry in sources),
        licence=backbone.recipe.licence,
        provenance=_metadata(path),
        scores=_scores(run, backbone.name, stage),
    )


def _metadata(path: Path) -> dict[str, str]:
    """Read the provenance that a student's file carries."""
    try:
        with safe_open(path, "pt") as file:
            found = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise HumalignError(f"{path} holds no student ({error}): delete it and run `humalign run students`") from None
    libraries = json.loads(found.pop("versions", "{}"))
    return found | {"versions": ", ".join(f"{name} {number}" for name, number in libraries.items())}


def _scores(run: Run, model: str, stage: str) -> pd.DataFrame | None:
    """Return the rows of this stage and, before each, of the model as it was."""
    path = run.path("scores.csv")
    if not path.is_file():
        return None
    key = ["task", "split", "metric"]
    rows = scores.pick(scores.read(path), model=model, stage=["base", stage])
    both = rows.merge(rows.loc[rows["stage"] == stage, key])
    return both.sort_values("stage", key=lambda names: names == stage, kind="stable").sort_values(key, kind="stable")
