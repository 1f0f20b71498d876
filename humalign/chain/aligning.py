"""From judged pictures, answers about them and a pool of pictures to an aligned model, by the chain of every profile."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from humalign import profiles
from humalign.artefacts import replacing
from humalign.chain import checked, exporting, own, pipeline, steps
from humalign.chain.scoring import own as own_scores
from humalign.chain.scoring.rows import OF_STUDENTS, OF_TEACHERS
from humalign.data import named, registry
from humalign.data.images import ImageSet
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.models import backbones
from humalign.profiles import Profile

# The regularisation: from a map that keeps the backbone's space to one that the answers alone shape.
PULLS = (1.0, 0.1, 0.03, 0.01, 0.003, 0.001)
# Pictures a step, from all triplets of which a student learns.
BATCH = 126
STAGES = (*OF_STUDENTS, "unaligned", "aligned", *OF_TEACHERS, "teacher")


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of a run as a profile holds them."""
    pool = options.pool if registry.is_named(options.pool) else f"folder:{options.pool}"
    mine: dict[str, Any] = {
        "pictures": str(options.judged),
        "answers": str(options.answers),
        "shown": options.columns,
        "odd": options.odd,
    }
    mine |= {
        name: value for name in ("first", "numbered_from") if (value := getattr(options, name)) is not None
    }
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
        "backbone": options.student,
        "trained": options.trained,
        "parts": [own_scores.HELD],
        "head": head,
        "scored": "judgments",
    }
    return {
        "about": "a model aligned with answers of one's own",
        "inherits": "align",
        "evidence": "simulated" if options.simulated else "human",
        "data": data,
        "teachers": [teacher],
        "students": [student],
        "distillation": {
            "steps": options.steps,
            "warmup": min(10, options.steps // 2),
            "batch_images": min(BATCH, len(pictures)),
        },
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
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise HumalignError(f"{options.out} is not empty: name a new folder for the model")
    for name in (options.teacher, options.student):
        backbones.build(name)  # an unknown one, or one without weights, is known before anything else is done
    written = settings(options)
    profile = profiles.parse(options.out.resolve().name, written, str(options.write_profile or ""))
    own.check(profile)
    if options.write_profile:
        _write(options.write_profile, written)
    run = pipeline.Run(profile, checked.build_folder(options.build, profile))
    pipeline.execute(steps.STEPS, "scores", run)
    print(table(profile, scores.read(run.path("scores.csv"))).to_string(index=False))
    print(exporting.take_away(run, options.out, part=own_scores.HELD))


def _write(path: Path, written: dict[str, Any]) -> None:
    if path.suffix not in profiles.ENDINGS:
        raise HumalignError(f"--write-profile {path}: name a .yaml file")
    with replacing(path) as part:
        head = f"# Written by humalign align; run it with: humalign run scores --profile {path}\n"
        part.write_text(head + yaml.safe_dump(written, sort_keys=False))
    print(f"humalign: the settings are in {path}", file=sys.stderr)


def table(profile: Profile, found: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each model and stage: agreement with held-out answers, RSA, few-shot, each in percent with its interval."""
    shown = {
        ("odd-one-out", "accuracy"): "answers",
        ("similarity-judgments", "rsa-spearman"): "RSA",
        ("few-shot", "accuracy"): "few-shot",
    }
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for (task, metric), said in shown.items():
        for _, row in scores.pick(found, task=task, metric=metric).iterrows():
            column = f"{said}: {str(row['split']).partition(', ')[2] or row['split']}"
            cell = f"{100 * row['value']:.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"
            rows.setdefault((row["model"], row["stage"]), {})[column] = cell
    ordered = sorted(rows, key=lambda key: (key[1].startswith("teacher"), STAGES.index(key[1])))
    return pd.DataFrame(
        [{"model": model, "stage": stage, **rows[model, stage]} for model, stage in ordered]
    ).fillna("-")
