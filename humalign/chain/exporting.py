"""From a finished run to a folder: one of its students, with what its model card must say."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from safetensors import SafetensorError

from humalign.chain import features, pipeline, steps
from humalign.chain.pipeline import Run
from humalign.data import registry
from humalign.errors import HumalignError, nearest
from humalign.evaluation import scores
from humalign.models import export
from humalign.models.backbones import Backbone, build
from humalign.models.student import between
from humalign.models.weights import metadata

ABOUT = {
    "aligned": "Distilled from a teacher that was fitted to odd-one-out choices, while its weights stayed near where they began.",
    "unaligned": "A control: distilled in the same way from a teacher that was not fitted to any choice.",
    features.HEAD: "Distilled through the official head, and otherwise as the aligned one.",
}
WHOSE = {"human": "The judgments are people's.", "simulated": "The judgments are those of simulated observers, not of people."}


def take_away(
    run: Run, folder: Path, backbone: str = "", stage: str = "aligned", part: str = "", share: float = 1.0
) -> Path:
    """Write one student of a run as a model of its own.

    Args:
        run: of a profile that trains students.
        folder: new or empty.
        backbone: of the student; the first where none is named.
        stage: ``aligned``, or ``unaligned``, the control.
        part: of the teacher that labelled its triplets: ``all``, ``fold0``, ``half1``; the first where none is named.
        share: of what training changed in its weights, from 0, the base, to 1, the student itself.

    Raises:
        HumalignError: no such student, or it is not there yet; a share that is not 0 to 1.
    """
    profile = run.profile
    every = features.taught(profile)
    if not every:
        raise HumalignError(f"the profile {profile.name!r} trains no students: its models are written by `humalign convert`")
    for what, name, known in (
        ("student", backbone, [student.backbone for student, *_ in every]),
        ("stage", stage, [each for student, _, each in every if backbone in ("", student.backbone)]),
        ("part", part, [each for student, each, _ in every if backbone in ("", student.backbone)]),
    ):
        if name and name not in known:
            raise HumalignError(f"the profile {profile.name!r} trains no {what} {name!r}: {nearest(name, known)}")
    found = [each for each in every if each[2] == stage and backbone in ("", each[0].backbone) and part in ("", each[1])]
    if not found:
        raise HumalignError(f"the profile {profile.name!r} has no {stage} student of the part {part!r}: leave --part out")
    settings, part, _ = found[0]
    path = run.path(features.student_file(settings.backbone, part, stage))
    if not path.is_file():
        raise HumalignError(f"no student at {path}: run `humalign run students --profile {profile.source}` first")
    student = features.start(run, settings, stage).load(path)
    if share != 1:
        student = between(features.start(run, settings, stage), student, share)
    built = build(settings.backbone)
    return export.save_pretrained(folder, built, student, _card(run, built, stage, part, share, path))


def _card(run: Run, backbone: Backbone, stage: str, part: str, share: float, path: Path) -> export.Card:
    profile = run.profile
    sources = [registry.source(name) for name in pipeline.sources(steps.STEPS, profile)]
    of = f" The model is the student of the part {part}: neither it nor its teacher saw what that part holds out."
    of += " The scores are means over the parts, each on what it holds out."
    mixed = f" Its weights are those of the base and a share of {share:g} of what training changed in them."
    return export.Card(
        title=f"{backbone.name}, {stage}" + f", share {share:g}" * (share != 1),
        about=f"{ABOUT[stage]} {WHOSE[profile.evidence]}{of if part != 'all' else ''}{mixed if share != 1 else ''}",
        data=tuple(f"{entry.what}: {entry.licence}; {entry.attribution}; {entry.home}" for entry in sources),
        licence=backbone.recipe.licence,
        provenance=_metadata(path),
        # Those of the student itself are not those of a share of it.
        scores=_scores(run, backbone.name, stage) if share == 1 else None,
    )


def _metadata(path: Path) -> dict[str, str]:
    """Read the provenance that a student's file carries."""
    try:
        found = metadata(path)
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
