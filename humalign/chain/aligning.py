"""From judged pictures, answers about them and a pool of pictures to an aligned model, by the chain of every profile."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from humalign import profiles
from humalign.artefacts import check_file, check_folder, replacing
from humalign.chain import checked, exporting, own, pipeline, steps
from humalign.chain.scoring import own as own_scores
from humalign.chain.scoring.rows import OF_STUDENTS, OF_TEACHERS
from humalign.data import named, registry
from humalign.data.images import ImageSet
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.models import backbones

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
        "judged": "own", "backbones": [options.teacher], "learner": "direct", "parts": {"held": 0.25}, "pulls": list(PULLS), "rank": 300,
        "iterations": 60,
    }  # fmt: skip
    # Of a whole network nothing is run once and kept, so that its features have no mean to be taken from them before it trains.
    head = "centre" if options.trained else "official"
    student = {
        "backbone": options.student, "trained": options.trained, "parts": [own_scores.HELD], "head": head, "scored": "judgments",
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
    own.check(profile)
    if options.write_profile:
        _write(options.write_profile, written)
    run = pipeline.Run(profile, checked.build_folder(options.build, profile))
    pipeline.execute(steps.STEPS, "scores", run)
    print(report(scores.read(run.path("scores.csv"))))
    print(f"\nthe model: {exporting.take_away(run, options.out, part=own_scores.HELD)}")
    print(f"all scores: {run.path('scores.csv')}")


def _write(path: Path, written: dict[str, Any]) -> None:
    with replacing(path) as part:
        head = f"# Written by humalign align; run it with: humalign run scores --profile {path}\n"
        part.write_text(head + yaml.safe_dump(written, sort_keys=False))
    print(f"humalign: the settings are in {path}", file=sys.stderr)


def report(found: pd.DataFrame) -> str:
    """Return what a run's user reads: a table of the student, one of the teacher, and what tells of success."""
    said = "Accuracies in percent, 95 % intervals. Held out: answers about such things, RSA on pairs with one."
    lines, models = [said], dict[str, str]()
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
    """Return a row for each stage of a model: agreement with held-out answers, RSA, few-shot, with intervals."""
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
