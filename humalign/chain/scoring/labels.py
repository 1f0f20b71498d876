"""Scores against class labels: few pictures to learn from, people's labels, corrupted pictures, other classes, pictures that mislead."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float

from humalign.chain import features, judged, registered, sets
from humalign.chain.pipeline import Run, stream
from humalign.chain.scoring.rows import EVIDENCE, Model, Row, Spread, compared, everyone, measures, weights
from humalign.evaluation import baselines, few_shot, soft_labels
from humalign.evaluation.scores import Estimate

Measures = dict[str, dict[str, Estimate]]  # by task and metric


def labelled(
    run: Run, which: str, beside: bool = False
) -> Iterator[tuple[Model, Float[np.ndarray, "images dim"]]]:
    """Yield students, and the model that labelled their triplets, with their features; see ``everyone``."""
    labeller = judged.labels_with(run.profile.labeller) if run.profile.teachers else ""
    for (model, stage), x in everyone(run, which, beside):
        if stage not in features.TEACHERS or model == labeller:
            yield (model, stage), x


def classes(files: list[str]) -> np.ndarray:
    """Return the class of each picture: the folder that it lies in."""
    return np.array([file.split("/")[-2] for file in files])


def labels(run: Run) -> Iterator[Row]:
    """k-shot classification, and on CIFAR-10 how near its classifiers come to people's labels (units: image and support set)."""
    profile = run.profile
    for number, name in enumerate(profile.data.labelled):
        files = sets.names(run, name)
        known, shares = classes(files), registered.cifar10_shares(files) if name == "cifar10" else None
        drawn, of_draws = weights(profile, len(known)), weights(profile, profile.evaluation.few_shot_draws, 1)
        for shots in profile.evaluation.shots:
            support = few_shot.supports(known, shots, profile.evaluation.few_shot_draws, stream(profile, 12, number, shots))
            for classifier in ("logistic", "nearest-mean"):
                beside = shares if classifier == "logistic" else None
                score = functools.partial(classified, known, support, drawn, of_draws, classifier, beside)
                found = {model: score(x) for model, x in labelled(run, name, beside is not None)}
                for task in next(iter(found.values()), {}):
                    # Baselines stand beside every number on people, not beside one on classes.
                    free = baselines.STAGES if task in EVIDENCE else ()
                    each = {model: scored[task] for model, scored in found.items() if model[1] not in free}
                    yield from measures(each, task, f"{name}/{shots}-shot")
        if profile.evaluation.few_shot_validation:
            yield from _least_squares(run, number, name, known, drawn, of_draws)


def _least_squares(
    run: Run, number: int, name: str, known: np.ndarray, drawn: np.ndarray, of_draws: np.ndarray
) -> Iterator[Row]:
    """k-shot classification by least squares, whose penalty is chosen on pictures set apart (units: image and support set)."""
    settings = run.profile.evaluation
    (apart,) = few_shot.supports(known, settings.few_shot_validation, 1, stream(run.profile, 24, number))
    for shots in settings.shots:
        support = few_shot.supports(known, shots, settings.few_shot_draws, stream(run.profile, 25, number, shots), ~apart)
        given = support, drawn, few_shot.LEAST_SQUARES, of_draws, apart
        found = {model: few_shot.of_images(x, known, *given) for model, x in labelled(run, name)}
        yield from compared(found, "few-shot", f"{name}/{shots}-shot", f"accuracy-{few_shot.LEAST_SQUARES}")


def classified(
    known: np.ndarray,
    support: np.ndarray,
    drawn: np.ndarray,
    of_draws: np.ndarray,
    classifier: str,
    shares: np.ndarray | None,
    x: Float[np.ndarray, "images dim"],
) -> Measures:
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
    """Accuracy on corrupted photographs of classifiers fitted to clean ones, and what they lose (units: image and support set).

    The corrupted photographs are others than the clean ones. The two are resampled apart, the support sets together.
    """
    profile, shots = run.profile, max(run.profile.evaluation.shots)
    shown = registered.corrupted(profile).labels
    known, others = classes(sets.names(run, "cifar10")), shown["class"].to_numpy(dtype=str)
    support = few_shot.supports(known, shots, profile.evaluation.few_shot_draws, stream(profile, 14))
    drawn, other_drawn = weights(profile, len(known)), weights(profile, len(others), 1)
    of_draws = weights(profile, len(support), 2)
    splits = {"all": np.ones(len(others), dtype=bool)}
    splits |= {f"severity {s}": (shown["severity"] == s).to_numpy() for s in sorted(set(shown["severity"]))}
    splits |= {name: (shown["corruption"] == name).to_numpy() for name in dict.fromkeys(shown["corruption"])}
    found: dict[str, dict[Model, Estimate]] = {split: {} for split in ("clean", *splits)}
    for (model, stage), x in labelled(run, "corrupted"):
        clean = features.read(run, model, stage, "cifar10")
        classifiers = few_shot.teach(clean, known, support)
        hits = few_shot.correct(classifiers, clean, known)
        found["clean"][model, stage] = few_shot.image_mean(hits, ~support, drawn, of_draws)
        right = few_shot.correct(classifiers, x, others)
        for split, which in splits.items():
            tested = np.ones((len(support), int(which.sum())), dtype=bool)
            found[split][model, stage] = few_shot.image_mean(right[:, which], tested, other_drawn[:, which], of_draws)
    for split, by_model in found.items():
        yield from compared(by_model, "corruption", f"cifar10/{split}", "accuracy")
    lost = {model: estimate - found["all"][model] for model, estimate in found["clean"].items()}
    yield from compared(lost, "corruption", "cifar10/all", "loss")


def breeds(run: Run) -> Iterator[Row]:
    """Superclasses of the four tasks, counted; where ImageNet is at hand, learned on some classes and tested on others (unit: image)."""
    profile, shots = run.profile, max(run.profile.evaluation.shots)
    pictured = registered.VALIDATION in sets.asked(profile)
    found = classes(sets.names(run, registered.VALIDATION)) if pictured else np.array([])
    for number, task in enumerate(registered.BREEDS):
        hierarchy = registered.breeds(task)
        source, target = ({name for group in groups for name in group} for groups in (hierarchy.source, hierarchy.target))
        counts = {
            "superclasses": len(hierarchy.names), "classes-taught": len(source), "classes-tested": len(target),
            "classes-both": len(source & target),
        }  # fmt: skip
        for metric, count in counts.items():
            yield Row("ImageNet", "taxonomy", "breeds", task, metric, Spread(float(count), float(count), float(count), count))
        if not pictured:
            continue
        table = hierarchy.of(found.tolist())
        used = np.flatnonzero(table["superclass"] != "")
        names, inside = table["superclass"].to_numpy(dtype=str)[used], (table["domain"] == "source").to_numpy()[used]
        draws = profile.evaluation.few_shot_draws
        support = few_shot.supports(names, shots, draws, stream(profile, 13, number), among=inside)
        drawn, of_draws = weights(profile, len(used)), weights(profile, draws, 1)
        score = functools.partial(few_shot.to_other_classes, weights=drawn, taught_weights=of_draws)
        shown = labelled(run, registered.VALIDATION)
        each = {model: score(x[used], names, inside, support) for model, x in shown}
        for domain in ("source", "target", "drop"):
            of_domain = {model: estimates[domain] for model, estimates in each.items()}
            yield from compared(of_domain, "subpopulation-shift", f"{task}/{shots}-shot, {domain}", "accuracy")


def imagenet_a(run: Run) -> Iterator[Row]:
    """ImageNet-A, named by classifiers that learn its 200 classes on ImageNet's validation pictures (units: image and support set)."""
    profile, shots = run.profile, max(run.profile.evaluation.shots)
    names, known = (classes(sets.names(run, which)) for which in ("imagenet-a", registered.VALIDATION))
    used = np.flatnonzero(np.isin(known, names))
    # No picture of the validation set is tested: of so few as there may be, all but one of a class may be in the support set.
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
