"""Numbers of the run itself: what was chosen for teachers, what the triplets hold, how students learned."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import t

from humalign.chain import curves, features, judged, label, teach
from humalign.chain.pipeline import Run
from humalign.chain.scoring.rows import Row, Spread
from humalign.evaluation.scores import Estimate

LABELLED_BY = {"aligned": "teacher", "unaligned": "teacher-base"}
# Points of a training curve that are kept.
POINTS = 13


def training(run: Run) -> Iterator[Row]:
    """Means over parts, and their range: regularisation, VICE, labels, and the course of each student's training."""
    profile = run.profile
    if not profile.teachers:
        return
    teacher, parts = profile.labeller, judged.part_names(profile.labeller)
    model = teach.labels_with(teacher)
    notes = [teach.notes(run, teacher, part) for part in parts]
    for name in ("vice_dimensions", "vice_correlation", "pull"):
        if name in notes[0]:
            yield Row(model, "teacher", "fit", "range over folds", name.replace("_", "-"), Spread.of([note[name] for note in notes]))
    for strength in teacher.pulls if "pulls" in notes[0] else ():
        found = Spread.of([note["pulls"][str(strength)] for note in notes])
        yield Row(model, "teacher", "pull-selection", f"{strength:g}", "accuracy", found)
    summaries = [json.loads(run.path(f"triplets/{part}/summary.json").read_text()) for part in label.part_names(profile)]
    for labelling, stage in LABELLED_BY.items():
        for metric in summaries[0][labelling] if summaries else ():
            found = Spread.of([each[labelling][metric] for each in summaries])
            yield Row(model, stage, "triplets", profile.triplets.sampling, metric, found)
    logs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for student, part, stage in features.taught(profile):
        file = run.path(features.student_file(student.backbone, part, stage)).with_suffix(".json")
        logs.setdefault((student.backbone, stage), []).append(json.loads(file.read_text()))
    for (name, stage), several in logs.items():
        for step in np.unique(np.linspace(0, profile.distillation.steps - 1, POINTS).astype(int)):
            yield Row(name, stage, "distillation", f"step {step}", "divergence", Spread.of([log["divergence"][step] for log in several]))
        for step, values in several[0].get("evaluations", {}).items():
            for metric in values:
                found = Spread.of([log["evaluations"][step][metric] for log in several])
                yield Row(name, stage, "distillation", f"validation triplets, step {step}", f"{metric}-with-labels", found)


def dense_against_sparse(run: Run) -> Iterator[Row]:
    """Agreement with the teacher on photographs held back, by images seen: mean over seeds, and Student's interval of that mean."""
    model, found = run.profile.backbones[0], curves.read(run)
    for kind, several in found.items():
        for place, (images, _) in enumerate(several[0]):
            estimate = over_seeds(np.array([curve[place][1] for curve in several]))
            yield Row(model, "aligned", "dense-against-sparse", f"{kind}/{images} images", "agreement-with-teacher", estimate)
    shares = [share_of_images(dense, sparse) for dense, sparse in zip(found["dense"], found["sparse"], strict=True)]
    yield Row(model, "aligned", "dense-against-sparse", "equal agreement", "share-of-images", over_seeds(np.array(shares)))


def share_of_images(dense: list[tuple[int, float]], sparse: list[tuple[int, float]]) -> float:
    """Return what part of the sparse images dense ones take to the agreement with which the lower of two curves ends.

    NaN where that is no more than the untrained student had: it takes no image at all.
    """
    both_reach = min(dense[-1][1], sparse[-1][1])
    of_sparse = images_needed(sparse, both_reach)
    return images_needed(dense, both_reach) / of_sparse if of_sparse else float("nan")


def images_needed(curve: list[tuple[int, float]], agreement: float) -> float:
    """Return how many images a curve of (images, agreement) takes to reach an agreement, between its points in a straight line.

    NaN where it never does.
    """
    for (before, low), (after, high) in itertools.pairwise(curve):
        if high >= agreement:
            return before + (after - before) * max(agreement - low, 0.0) / (high - low) if high > low else float(before)
    return float("nan")


def over_seeds(values: Float[np.ndarray, " seeds"]) -> Estimate:
    """Return the mean over training runs; its draws are quantiles of Student's distribution of that mean."""
    spread = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    quantiles = t.ppf((np.arange(9999) + 0.5) / 9999, max(len(values) - 1, 1))
    return Estimate(float(values.mean()), values.mean() + spread * quantiles, len(values))
