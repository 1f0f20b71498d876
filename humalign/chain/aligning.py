"""Models to take away: a student of any run, and one that the chain aligns with answers of one's own."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from safetensors import SafetensorError

from humalign import profiles
from humalign.artefacts import check_file, check_folder, replacing
from humalign.chain import doctor, features, pipeline, steps
from humalign.chain.answers import check_own
from humalign.chain.pipeline import Run
from humalign.chain.scoring import own as own_scores
from humalign.chain.scoring.rows import OF_STUDENTS, OF_TEACHERS
from humalign.data import named, registry
from humalign.data.images import ImageSet
from humalign.errors import HumalignError, nearest
from humalign.evaluation import scores
from humalign.models import backbones, export
from humalign.models.backbones import Backbone
from humalign.models.student import between
from humalign.models.weights import metadata

# The regularisation: from a map that keeps the backbone's space to one that the answers alone shape.
PULLS = (1.0, 0.1, 0.03, 0.01, 0.003, 0.001)
# Pictures a step, from all triplets of which a student learns.
BATCH = 126
# Stages of a model, by its last one.
OF = {"aligned": (*OF_STUDENTS, "unaligned", "aligned"), "teacher": (*OF_TEACHERS, "teacher")}
HELD = {"task": "odd-one-out", "split": "own, a thing held out", "metric": "accuracy"}


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a run as a profile holds them."""
    pool = options.pool if registry.is_named(options.pool) else f"folder:{options.pool}"
    given = {name: getattr(options, name) for name in ("first", "numbered_from")}
    mine: dict[str, Any] = {"pictures": str(options.judged), "answers": str(options.answers)}
    mine |= {"shown": options.columns, "odd": options.odd}
    mine |= {name: value for name, value in given.items() if value is not None}
    data: dict[str, Any] = {"judged": ["own"], "own": mine, "pool": pool}
    pictures = named.pictures(pool)
    if _classes(pictures):
        data["labelled"] = ["pool-classes"]
    teacher = {
        "judged": "own", "backbones": [options.teacher], "learner": "direct", "parts": {"held": 0.25},
        "pulls": list(PULLS), "rank": 300, "iterations": 60,
    }  # fmt: skip
    # Of a whole network nothing is run once and kept: its features have no mean to take before it trains.
    head = "centre" if options.trained else "official"
    student = {
        "backbone": options.student, "trained": options.trained, "parts": [own_scores.HELD], "head": head,
        "scored": "judgments",
    }  # fmt: skip
    warmup, batch = min(10, options.steps // 2), min(BATCH, len(pictures))
    return {
        "about": "a model aligned with answers of one's own",
        "inherits": "align",
        "evidence": "simulated" if options.simulated else "human",
        "data": data,
        "teachers": [teacher],
        "students": [student],
        "distillation": {"steps": options.steps, "warmup": warmup, "batch_images": batch},
    }


def _classes(pictures: ImageSet) -> bool:
    """Tell whether pictures have classes, several of them and of each more than one picture."""
    labels = pictures.labels
    if "class" not in labels or (labels["class"] == "").any():
        return False
    counts = labels["class"].value_counts()
    return len(counts) > 1 and bool(counts.min() > 1)


def align(options: argparse.Namespace) -> None:
    """Check everything, run the chain, print the table, and leave the aligned model."""
    check_folder(options.out)
    if options.out.is_dir() and any(options.out.iterdir()):
        raise HumalignError(f"{options.out} is not empty: name a new folder for the model")
    if options.write_profile and options.write_profile.suffix not in profiles.ENDINGS:
        raise HumalignError(f"--write-profile {options.write_profile}: name a .yaml file")
    check_file(options.write_profile, options.answers)
    for name in (options.teacher, options.student):
        backbones.build(name)  # an unknown one, or one without weights, is known before anything else is done
    written = settings(options)
    profile = profiles.parse(options.out.resolve().name, written, str(options.write_profile or ""))
    check_own(profile)
    if options.write_profile:
        _write(options.write_profile, written)
    run = Run(profile, doctor.build_folder(options.build, profile))
    pipeline.execute(steps.STEPS, "scores", run)
    print(report(scores.read(run.path("scores.csv"))))
    print(f"\nthe model: {take_away(run, options.out, part=own_scores.HELD)}")
    print(f"all scores: {run.path('scores.csv')}")


def _write(path: Path, written: dict[str, Any]) -> None:
    with replacing(path) as part:
        head = f"# Written by humalign align; run it with: humalign run scores --profile {path}\n"
        part.write_text(head + yaml.safe_dump(written, sort_keys=False))
    print(f"humalign: the settings are in {path}", file=sys.stderr)


def report(found: pd.DataFrame) -> str:
    """Return what a run's user reads: tables of the student and of the teacher, and what tells of success."""
    said = "Accuracies in percent, 95 % intervals."
    lines = [f"{said} Held out: answers about such things, RSA on pairs with one."]
    models: dict[str, str] = {}
    for stage, role in (("aligned", "student"), ("teacher", "teacher")):
        models[stage] = scores.pick(found, stage=stage)["model"].iloc[0]
        rows = scores.pick(found, model=models[stage], stage=list(OF[stage]))
        lines += ["", f"{role}, {models[stage]}", table(rows).to_string(index=False)]
    lines.append("")
    for stage, reference, gain in (
        ("teacher", "teacher-centred", "teacher above its centred backbone"),
        ("aligned", "base-centred", "aligned student above its centred base"),
        ("aligned", "unaligned", "aligned student above the control, trained without the answers"),
    ):
        where = HELD | {"metric": scores.above("accuracy", reference), "model": models[stage], "stage": stage}
        for _, row in scores.pick(found, **where).iterrows():
            across = ": the interval includes zero" if row["low"] <= 0 <= row["high"] else ""
            lines.append(f"{gain}: {_cell(row, '+.1f', ' points')}{across}")
    return "\n".join(lines)


def table(found: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each stage of a model: agreement with held-out answers, RSA, few-shot; intervals."""
    few = scores.pick(found, task="few-shot", metric="accuracy")
    shots = 5.0 if (few["x"] == 5).any() else few["x"].max()
    rows: dict[str, dict[str, str]] = {}
    for name, picked in (
        ("a thing held out", scores.pick(found, **HELD)),
        ("all things held out", scores.pick(found, **HELD | {"split": "own, all things held out"})),
        ("RSA", scores.pick(found, task="similarity-judgments", metric="rsa-spearman")),
        (f"few-shot, {shots:.0f} a class", few[few["x"] == shots]),
    ):
        for _, row in picked.iterrows():
            rows.setdefault(row["stage"], {})[name] = _cell(row, ".2f" if name == "RSA" else ".1f")
    order = [stage for stage in (*OF["aligned"], *OF["teacher"]) if stage in rows]
    return pd.DataFrame([{"stage": stage, **rows[stage]} for stage in order]).fillna("-")


def _cell(row: pd.Series, form: str, unit: str = "") -> str:
    """Say a number and its interval; shares in percent."""
    times = 1 if row["metric"] == "rsa-spearman" else 100
    value, low, high = (format(times * row[field], form) for field in ("value", "low", "high"))
    return f"{value}{unit} ({low} to {high})"


# ---- a student of a run ------------------------------------------------------------------------------------

ABOUT = {
    "aligned": "Distilled from a teacher that was fitted to odd-one-out choices, while its weights stayed"
    " near where they began.",
    "unaligned": "A control: distilled in the same way from a teacher that was not fitted to any choice.",
    features.HEAD: "Distilled through the official head, and otherwise as the aligned one.",
}
WHOSE = {
    "human": "The judgments are people's.",
    "simulated": "The judgments are those of simulated observers, not of people.",
}


def take_away(
    run: Run, folder: Path, backbone: str = "", stage: str = "aligned", part: str = "", share: float = 1.0
) -> Path:
    """Write one student of a run as a model of its own.

    Args:
        run: of a profile that trains students.
        folder: new or empty.
        backbone: of the student; the first where none is named.
        stage: ``aligned``, or ``unaligned``, the control.
        part: of the teacher that labelled its triplets: ``all``, ``fold0``, ``half1``; the first by default.
        share: of what training changed in its weights, from 0, the base, to 1, the student itself.

    Raises:
        HumalignError: no such student, or it is not there yet; a share that is not 0 to 1.
    """
    profile = run.profile
    every, named = features.taught(profile), f"the profile {profile.name!r}"
    if not every:
        raise HumalignError(f"{named} trains no students: its models are written by `humalign convert`")
    of = [each for each in every if backbone in ("", each[0].backbone)]
    for what, name, known in (
        ("student", backbone, [student.backbone for student, *_ in every]),
        ("stage", stage, [each for *_, each in of]),
        ("part", part, [each for _, each, _ in of]),
    ):
        if name and name not in known:
            raise HumalignError(f"{named} trains no {what} {name!r}: {nearest(name, known)}")
    found = [each for each in of if each[2] == stage and part in ("", each[1])]
    if not found:
        raise HumalignError(f"{named} has no {stage} student of the part {part!r}: leave --part out")
    settings, part, _ = found[0]
    path = run.path(features.student_file(settings.backbone, part, stage))
    if not path.is_file():
        mend = f"run `humalign run students --profile {profile.source}` first"
        raise HumalignError(f"no student at {path}: {mend}")
    student = features.start(run, settings, stage).load(path)
    if share != 1:
        student = between(features.start(run, settings, stage), student, share)
    built = backbones.build(settings.backbone)
    return export.save_pretrained(folder, built, student, _card(run, built, stage, part, share, path))


def _card(run: Run, backbone: Backbone, stage: str, part: str, share: float, path: Path) -> export.Card:
    profile = run.profile
    sources = [registry.source(name) for name in pipeline.sources(steps.STEPS, profile)]
    about = f"{ABOUT[stage]} {WHOSE[profile.evidence]}"
    if part != "all":
        about += f" The model is the student of the part {part}: neither it nor its teacher saw what that"
        about += " part holds out. The scores are means over the parts, each on what it holds out."
    if share != 1:
        about += f" Its weights are those of the base and a share of {share:g} of what training changed in"
        about += " them."
    return export.Card(
        title=f"{backbone.name}, {stage}" + f", share {share:g}" * (share != 1),
        about=about,
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
        mend = "delete it and run `humalign run students`"
        raise HumalignError(f"{path} holds no student ({error}): {mend}") from None
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
    before_after = both.sort_values("stage", key=lambda names: names == stage, kind="stable")
    return before_after.sort_values(key, kind="stable")
