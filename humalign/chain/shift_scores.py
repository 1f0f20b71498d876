"""Scores under a shift: classifiers of clean photographs on corrupted ones, and the four tasks of BREEDS as their hierarchy gives them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from humalign.chain import photographs, sets, student_scores
from humalign.chain.inputs import stream
from humalign.chain.judged import Name
from humalign.chain.pipeline import Run
from humalign.data import readers_imagenet, registry
from humalign.evaluation import few_shot
from humalign.evaluation.scores import Estimate, resamples


def rows(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Yield every score of a shift."""
    for part in (_corrupted, _breeds):
        yield from part(run)


def _corrupted(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Accuracy on corrupted photographs of classifiers taught on clean ones, and what they lose (units: image and taught set).

    The corrupted photographs are others than the clean ones. The two are resampled apart, the sets of taught photographs together.
    """
    profile = run.profile
    clean, shown = photographs.labelled_sets(profile)["cifar10"].labels, sets.corrupted(profile).labels
    labels, others = (table["class"].to_numpy(dtype=str) for table in (clean, shown))
    shots = max(profile.evaluation.shots)
    support = few_shot.supports(labels, shots, profile.evaluation.few_shot_draws, stream(profile, 14))
    weights, other_weights = (
        resamples(len(each), profile.evaluation.bootstrap_draws, profile.seed + k) for k, each in enumerate((labels, others))
    )
    draws = resamples(len(support), profile.evaluation.bootstrap_draws, profile.seed + 2)
    splits = {"all": np.ones(len(others), dtype=bool)}
    splits |= {f"severity {s}": (shown["severity"] == s).to_numpy() for s in sorted(set(shown["severity"]))}
    splits |= {name: (shown["corruption"] == name).to_numpy() for name in dict.fromkeys(shown["corruption"])}
    found: dict[str, dict[str, Estimate]] = {split: {} for split in ("clean", *splits)}
    for stage in student_scores.STAGES:
        features = student_scores.features_of(run, stage)
        models = few_shot.teach(features["cifar10"], labels, support)
        found["clean"][stage] = few_shot.image_mean(few_shot.correct(models, features["cifar10"], labels), ~support, weights, draws)
        right = few_shot.correct(models, features["corrupted"], others)
        for split, which in splits.items():
            tested = np.ones((len(support), int(which.sum())), dtype=bool)
            found[split][stage] = few_shot.image_mean(right[:, which], tested, other_weights[:, which], draws)
    for split, by_stage in found.items():
        yield from student_scores.compared(run, "corruption", f"cifar10/{split}", "accuracy", by_stage)
    lost = {stage: found["clean"][stage] - found["all"][stage] for stage in student_scores.STAGES}
    yield from student_scores.compared(run, "corruption", "cifar10/all", "loss", lost)


def _breeds(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Superclasses of each task of BREEDS, their classes to be taught and to be tested, and how many are both; counted, no sample."""
    folder = registry.locate("breeds-hierarchy")
    for task in readers_imagenet.TASKS:
        found = readers_imagenet.breeds(folder, task)
        taught, tested = ({name for group in groups for name in group} for groups in (found.source, found.target))
        counts = {
            "superclasses": len(found.names),
            "classes-taught": len(taught),
            "classes-tested": len(tested),
            "classes-both": len(taught & tested),
        }
        for metric, count in counts.items():
            yield ("ImageNet", "taxonomy", "breeds", task, metric), Estimate(float(count), np.array([float(count)]), count)
