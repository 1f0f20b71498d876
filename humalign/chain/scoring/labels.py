"""Scores against class labels: k-shot, people's labels, corrupted and misleading pictures, other classes."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from humalign.chain import features, judged, registered, sets
from humalign.chain.pipeline import Run, stream
from humalign.chain.scoring import rows
from humalign.chain.scoring.rows import Features, Model, Row, column, compared, everyone, measures, weights
from humalign.evaluation import baselines, few_shot, soft_labels
from humalign.evaluation.scores import Estimate

Measures = dict[str, dict[str, Estimate]]  # by task and metric


def labelled(run: Run, which: str, beside: bool = False) -> Iterator[tuple[Model, Features]]:
    """Yield students, and the model that labelled their triplets, with their features; see ``everyone``."""
    labeller = judged.labels_with(run.profile.labeller) if run.profile.teachers else ""
    for (model, stage), x in everyone(run, which, beside):
        if stage not in features.TEACHERS or model == labeller:
            yield (model, stage), x


def classes(files: list[str]) -> np.ndarray:
    """Return the class of each picture: the folder that it lies in."""
    return np.array([file.split("/")[-2] for file in files])


def labels(run: Run) -> Iterator[Row]:
    """k-shot classification, and on CIFAR-10 nearness to people's labels (units: image and support set)."""
    profile, draws = run.profile, run.profile.evaluation.few_shot_draws
    for number, name in enumerate(profile.data.labelled):
        files = sets.names(run, name)
        known, shares = classes(files), registered.cifar10_shares(files) if name == "cifar10" else None
        drawn, of_draws = weights(profile, len(known)), weights(profile, draws, 1)
        for shots in profile.evaluation.shots:
            support = few_shot.supports(known, shots, draws, stream(profile, 12, number, shots))
            for classifier in ("logistic", "nearest-mean"):
                beside = shares if classifier == "logistic" else None
                score = functools.partial(classified, known, support, drawn, of_draws, classifier, beside)
                found = {model: score(x) for model, x in labelled(run, name, beside is not None)}
                for task in next(iter(found.values()), {}):
                    # Baselines stand beside every number on people, not beside one on classes.
                    free = baselines.STAGES if task in rows.EVIDENCE else ()
                    each = {model: scored[task] for model, scored in found.items() if model[1] not in free}
                    yield from measures(each, task, f"{name}/{shots}-shot")
        if profile.evaluation.few_shot_validation:
            yield from _least_squares(run, number, name, known, drawn, of_draws)


def _least_squares(
    run: Run, number: int, name: str, known: np.ndarray, drawn: np.ndarray, of_draws: np.ndarray
) -> Iterator[Row]:
    """k-shot by least squares, the penalty chosen on pictures set apart (units: image and support set)."""
    settings, fit = run.profile.evaluation, few_shot.LEAST_SQUARES
    (apart,) = few_shot.supports(known, settings.few_shot_validation, 1, stream(run.profile, 24, number))
    for shots in settings.shots:
        rng = stream(run.profile, 25, number, shots)
        support = few_shot.supports(known, shots, settings.few_shot_draws, rng, ~apart)
        given = known, support, drawn, fit, of_draws, apart
        found = {model: few_shot.of_images(x, *given) for model, x in labelled(run, name)}
        yield from compared(found, "few-shot", f"{name}/{shots}-shot", f"accuracy-{fit}")


def classified(
    known: np.ndarray, support: np.ndarray, drawn: np.ndarray, of_draws: np.ndarray, classifier: str,
    shares: np.ndarray | None, x: Features,
) -> Measures:  # fmt: skip
    """Return the scores of one kind of classifier, fitted to every support set, by task and metric."""
    models = few_shot.teach(x, known, support, classifier)
    suffix = "" if classifier == "logistic" else f"-{classifier}"
    right = few_shot.image_mean(few_shot.correct(models, x, known), ~support, drawn, of_draws)
    found: Measures = {"few-shot": {f"accuracy{suffix}": right}}
    if shares is not None:
        beside = few_shot.probabilities(models, x), shares, ~support, drawn, of_draws
        found["soft-labels"] = {
            "cross-entropy": soft_labels.cross_entropy(*beside),
            "expected-calibration-error": soft_labels.calibration_error(*beside),
            "entropy-spearman": soft_labels.entropy_agreement(*beside),
        }
    return found


def corruptions(run: Run) -> Iterator[Row]:
    """Accuracy of classifiers of clean pictures on corrupted ones, and its loss (units: image, support set).

    The two are of different photographs: they are resampled apart, the support sets together.
    """
    profile, shots = run.profile, max(run.profile.evaluation.shots)
    shown = registered.corrupted(profile).labels
    severe, kinds = sorted(set(shown["severity"])), dict.fromkeys(shown["corruption"])
    known, others = classes(sets.names(run, "cifar10")), shown["class"].to_numpy(dtype=str)
    support = few_shot.supports(known, shots, profile.evaluation.few_shot_draws, stream(profile, 14))
    drawn, other_drawn = weights(profile, len(known)), weights(profile, len(others), 1)
    of_draws = weights(profile, len(support), 2)
    splits = {"all": np.ones(len(others), dtype=bool)}
    splits |= {f"severity {each}": (shown["severity"] == each).to_numpy() for each in severe}
    splits |= {name: (shown["corruption"] == name).to_numpy() for name in kinds}
    found: dict[str, dict[Model, Estimate]] = {split: {} for split in ("clean", *splits)}
    for (model, stage), x in labelled(run, "corrupted"):
        clean = features.read(run, model, stage, "cifar10")
        classifiers = few_shot.teach(clean, known, support)
        hits = few_shot.correct(classifiers, clean, known)
        found["clean"][model, stage] = few_shot.image_mean(hits, ~support, drawn, of_draws)
        right = few_shot.correct(classifiers, x, others)
        for split, which in splits.items():
            tested = np.ones((len(support), int(which.sum())), dtype=bool)
            given = right[:, which], tested, other_drawn[:, which], of_draws
            found[split][model, stage] = few_shot.image_mean(*given)
    for split, by_model in found.items():
        yield from compared(by_model, "corruption", f"cifar10/{split}", "accuracy")
    lost = {model: estimate - found["all"][model] for model, estimate in found["clean"].items()}
    yield from compared(lost, "corruption", "cifar10/all", "loss")


def breeds(run: Run) -> Iterator[Row]:
    """Four tasks' superclasses, counted; with ImageNet, learned and tested on other classes (unit: image)."""
    profile, shots = run.profile, max(run.profile.evaluation.shots)
    pictured, draws = registered.VALIDATION in sets.asked(profile), profile.evaluation.few_shot_draws
    found = classes(sets.names(run, registered.VALIDATION)) if pictured else np.array([])
    for number, task in enumerate(registered.BREEDS):
        hierarchy = registered.breeds(task)
        source, target = (set(itertools.chain(*groups)) for groups in (hierarchy.source, hierarchy.target))
        counts = {
            "superclasses": hierarchy.names, "classes-taught": source, "classes-tested": target,
            "classes-both": source & target,
        }  # fmt: skip
        for metric, counted in counts.items():
            number_of = dataclasses.replace(rows.Spread.of([len(counted)]), n=len(counted))
            yield Row("ImageNet", "taxonomy", "breeds", task, metric, number_of)
        if not pictured:
            continue
        table = hierarchy.of(found.tolist())
        used = np.flatnonzero(table["superclass"] != "")
        names = table["superclass"].to_numpy(dtype=str)[used]
        inside = (table["domain"] == "source").to_numpy()[used]
        support = few_shot.supports(names, shots, draws, stream(profile, 13, number), among=inside)
        drawn, of_draws = weights(profile, len(used)), weights(profile, draws, 1)
        score = functools.partial(few_shot.to_other_classes, weights=drawn, taught_weights=of_draws)
        shown = labelled(run, registered.VALIDATION)
        each = {model: score(x[used], names, inside, support) for model, x in shown}
        for domain in ("source", "target", "drop"):
            split = f"{task}/{shots}-shot, {domain}"
            yield from compared(column(each, domain), "subpopulation-shift", split, "accuracy")


def imagenet_a(run: Run) -> Iterator[Row]:
    """ImageNet-A by classifiers of its 200 classes on validation pictures (units: image and support set)."""
    profile, shots = run.profile, max(run.profile.evaluation.shots)
    names, known = (classes(sets.names(run, which)) for which in ("imagenet-a", registered.VALIDATION))
    used = np.flatnonzero(np.isin(known, names))
    # No validation picture is tested: all but one of a class may be in the support set.
    shots = min(shots, int(pd.Series(known[used]).value_counts().min()) - 1)
    draws = profile.evaluation.few_shot_draws
    support = few_shot.supports(known[used], shots, draws, stream(profile, 14))
    drawn, tested = weights(profile, len(names)), np.ones((draws, len(names)), dtype=bool)
    found = {}
    for (model, stage), x in labelled(run, registered.VALIDATION):
        classifiers = few_shot.teach(x[used], known[used], support)
        hits = few_shot.correct(classifiers, features.read(run, model, stage, "imagenet-a"), names)
        found[model, stage] = few_shot.image_mean(hits, tested, drawn, weights(profile, draws, 1))
    yield from compared(found, "natural-adversarial", f"ImageNet-A/{shots}-shot", "accuracy")
