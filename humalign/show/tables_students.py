"""Tables and sentences about students of a teacher of photographs, on real people: pure functions of the scores."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from humalign.evaluation.scores import one, pick
from humalign.show.tables import EMPTY, OF_ANSWERS, OF_STUDENTS, Table, number, overlap, reads, side
from humalign.show.tables_people import ACROSS, ceiling, cell, model_name, models

STAGES = ("base", "unaligned", "aligned-head", "aligned")
MAIN = ("base", "unaligned", "aligned")
# Each stage and what it is compared with by a paired difference.
PAIRS = (("unaligned", "base"), ("aligned-head", "base"), ("aligned", "aligned-head"), ("aligned", "unaligned"), ("aligned", "base"))
HALVES = "THINGS photographs, unseen halves"
SIMILARITY = {"task": "similarity-judgments", "split": ACROSS, "metric": "rsa-spearman"}
EACH_PERSON = {**SIMILARITY, "metric": "rsa-each-person"}
ANSWERS = {"task": "odd-one-out", "split": HALVES, "metric": "accuracy"}
VICE = {"task": "similarity-vice", "split": HALVES, "metric": "rsa-spearman"}
# What people, or a model of their answers, say of photographs that no teacher of the scored student saw.
AGREEMENT = {
    "similarity judgments of 92 photographs (RSA)": SIMILARITY,
    "odd-one-out answers about THINGS photographs (accuracy)": ANSWERS,
    "similarity in the published VICE, THINGS photographs (RSA)": VICE,
}
# Measures of a classifier against the labels that people gave.
SOFT_LABELS = {
    "cross-entropy": "cross-entropy (less is better)",
    "expected-calibration-error": "calibration error (less is better)",
    "entropy-spearman": "like entropies (more is better)",
}
SETS = {"cifar10": "CIFAR-10", "textures": "textures"}
CORRUPTED = {"task": "corruption", "split": "cifar10/all"}
# The cross-entropy of a guess that finds all ten classes equally likely, in nats; both sets have ten.
UNIFORM_OF_TEN = math.log(10)


def students(scores: pd.DataFrame) -> list[str]:
    """Return the backbones of the students, in the order of the scores."""
    return list(dict.fromkeys(pick(scores, stage="aligned", **SIMILARITY)["model"]))


def of_student(scores: pd.DataFrame, model: str | None = None) -> pd.DataFrame:
    """Return the scores without those of the students of other backbones; of the first one where no model is named.

    The tables, figures and sentences of this house are about one student: they take what this returns.
    """
    found = students(scores)
    others = [name for name in found if name != (model or found[0])]
    return scores[~(scores["model"].isin(others) & scores["stage"].isin(STAGES))]


def teacher_model(scores: pd.DataFrame) -> str:
    """Return the name of the features that the students' teacher stands on: all backbones side by side."""
    return next(model for model in reversed(models(scores)) if "+" in model)


def shots(split: str) -> int:
    """Return the pictures a class of a split such as ``cifar10/5-shot``."""
    return int(split.split("/")[1].removesuffix("-shot"))


def splits(scores: pd.DataFrame, name: str, task: str = "few-shot") -> list[str]:
    """Return the splits of a set of labelled photographs, fewest shots first."""
    found = pick(scores, task=task)["split"]
    return sorted({split for split in found if split.startswith(f"{name}/")}, key=shots)


# ---- tables ----------------------------------------------------------------------------------------------------------

@reads(*OF_ANSWERS, *OF_STUDENTS)
def agreement(scores: pd.DataFrame) -> Table:
    """Return how well each student agrees with people on photographs that its teacher never saw, and what people reach."""
    bounds = [number(row) for row in _bounds(scores)]
    people = {SIMILARITY["task"]: " and ".join(bounds), ANSWERS["task"]: number(ceiling(scores))}
    lines = [
        {"measure": name} | {stage: cell(scores, stage=stage, **where) for stage in STAGES} | {"people": people.get(where["task"], EMPTY)}
        for name, where in AGREEMENT.items()
    ]
    return Table(pd.DataFrame(lines), "Agreement with people on photographs that neither student nor teacher saw; 95 % intervals over "
                                      "people and images together (first line), over images (others). People: one against the others' "
                                      "mean, and against everybody's; the noise ceiling of repeated triplets")


@reads(*OF_ANSWERS, *OF_STUDENTS)
def agreement_differences(scores: pd.DataFrame) -> Table:
    """Return the paired differences of the same measures."""
    lines = [
        {"measure": name}
        | {f"{stage} less {reference}": cell(scores, stage=stage, **above(where, reference)) for stage, reference in PAIRS}
        for name, where in AGREEMENT.items()
    ]
    return Table(pd.DataFrame(lines), "Paired differences, each with the 95 % interval of the same resampled units")


@reads(*OF_ANSWERS, *OF_STUDENTS)
def each_student(scores: pd.DataFrame) -> Table:
    """Return agreement with people, and accuracy of classifiers at the most shots, of the students of every backbone."""
    asked = dict(AGREEMENT)
    for name, title in SETS.items():
        split = splits(scores, name)[-1]
        asked[f"{title}, {shots(split)}-shot (accuracy)"] = {"task": "few-shot", "split": split, "metric": "accuracy"}
    lines = [
        {"student": model_name(model), "measure": name} | line(of_student(scores, model), where, model=model)
        for model in students(scores) for name, where in asked.items()
    ]
    return Table(pd.DataFrame(lines), "Students of every backbone, distilled from one teacher in the same way; 95 % intervals as above. "
                                      "Evidence: people's judgments; class labels in the last two lines of each")


@reads(*OF_STUDENTS, "cifar10")
def soft_labels(scores: pd.DataFrame) -> Table:
    """Return every measure against people's labels by shots: each stage, and the aligned student's paired differences."""
    lines = [
        {"measure": name, "shots": str(shots(split))} | line(scores, {"task": "soft-labels", "split": split, "metric": metric})
        for metric, name in SOFT_LABELS.items() for split in splits(scores, "cifar10", "soft-labels")
    ]
    return Table(pd.DataFrame(lines), "Classifiers of CIFAR-10 against the labels that people gave (CIFAR-10H); 95 % intervals over images")


@reads(*OF_STUDENTS, "cifar10", "dtd")
def few_shot(scores: pd.DataFrame, classifier: str = "") -> Table:
    """Return few-shot accuracy by set and shots, of the logistic regression or of another ``classifier``, with paired differences."""
    metric = f"accuracy-{classifier}" if classifier else "accuracy"
    lines = [
        {"set": title, "shots": str(shots(split))} | line(scores, {"task": "few-shot", "split": split, "metric": metric})
        for name, title in SETS.items() for split in splits(scores, name)
    ]
    by = classifier.replace("-", " ") or "logistic regression"
    return Table(pd.DataFrame(lines), f"Accuracy of classes learned from a few pictures each, by {by}; 95 % intervals over images. "
                                      "Evidence: class labels")


@reads()
def human_evidence(scores: pd.DataFrame) -> Table:
    """Return every measure that stands on people's evidence: a line each, with the aligned student's paired differences."""
    last = splits(scores, "cifar10", "soft-labels")[-1]
    measures = AGREEMENT | {
        f"labels of CIFAR-10, {shots(last)}-shot: {name}": {"task": "soft-labels", "split": last, "metric": metric}
        for metric, name in SOFT_LABELS.items()
    }
    return Table(pd.DataFrame([{"measure": name} | line(scores, where) for name, where in measures.items()]),
                 "Students on human evidence, with 95 % intervals (run of the profile things)")


@reads(*OF_STUDENTS, "cifar10")
def corruption(scores: pd.DataFrame) -> Table:
    """Return accuracy on corrupted photographs by severity and by corruption, and what it loses against clean ones."""
    titles = {"clean": "clean", **{split: split for split in severities(scores)[1:]}, "all": "all corruptions"}
    titles |= {split: split.replace("-", " ") for split in corruptions(scores)}
    lines = [
        {"photographs": title} | line(scores, {"task": "corruption", "split": f"cifar10/{split}", "metric": "accuracy"})
        for split, title in titles.items()
    ]
    lines.append({"photographs": "clean less all corruptions"} | line(scores, {**CORRUPTED, "metric": "loss"}))
    return Table(pd.DataFrame(lines), "Accuracy on corrupted photographs of CIFAR-10 of logistic regressions that were taught clean ones; "
                                      "95 % intervals over images and taught sets. Evidence: class labels")


def severity(split: str) -> int:
    """Return the severity of a split such as ``cifar10/severity 3``; clean photographs have none, 0."""
    return 0 if split.endswith("clean") else int(split.split()[-1])


def severities(scores: pd.DataFrame) -> list[str]:
    """Return ``clean`` and the severities, least first, without the name of the set."""
    found = {split for split in pick(scores, task="corruption")["split"] if "severity" in split}
    return ["clean", *(split.removeprefix("cifar10/") for split in sorted(found, key=severity))]


def corruptions(scores: pd.DataFrame) -> list[str]:
    """Return the corruptions in the order of the scores, without the name of the set."""
    found = dict.fromkeys(split.removeprefix("cifar10/") for split in pick(scores, task="corruption")["split"])
    return [split for split in found if split not in ("all", *severities(scores))]


def line(scores: pd.DataFrame, where: dict[str, str], **also: str) -> dict[str, str]:
    """Return the cells of the three main stages, and of the aligned student's differences from the others."""
    return {stage: cell(scores, stage=stage, **where, **also) for stage in MAIN} | {
        f"aligned less {reference}": cell(scores, stage="aligned", **above(where, reference), **also)
        for reference in ("base", "unaligned")}


def above(where: dict[str, str], reference: str) -> dict[str, str]:
    return {**where, "metric": f"{where['metric']}-above-{reference}"}


# ---- sentences -------------------------------------------------------------------------------------------------------

def gains_by_student(scores: pd.DataFrame, reference: str) -> str:
    """Say for every backbone how far its aligned student is above a reference, in RSA with people, by the paired intervals."""
    where = above(SIMILARITY, reference)
    found = {model: one(scores, model=model, stage="aligned", **where) for model in students(scores)}
    return "; ".join(f"{model_name(model)} is {side(row)} {reference} ({number(row)})" for model, row in found.items())


def beside_people(scores: pd.DataFrame, stage: str) -> str:
    """Say where the interval of a stage lies to people's range: one against the others' mean, and against everybody's."""
    row = one(scores, stage=stage, **SIMILARITY)
    low, high = people_range(scores)
    place = "reaches into" if overlap(row, {"low": low, "high": high}) else "lies above" if row["low"] > high else "lies below"
    return f"the interval of {stage}, {number(row)}, {place} people's own range, {low:.3f} to {high:.3f}"


def people_range(scores: pd.DataFrame) -> tuple[float, float]:
    """Return how well one person agrees with the mean of the others, and with that of everybody, on the 92 photographs."""
    low, high = (float(row["value"]) for row in _bounds(scores))
    return low, high


def _bounds(scores: pd.DataFrame) -> list[pd.Series]:
    where = {"model": "people", "task": SIMILARITY["task"], "split": "92 photographs"}
    return [one(scores, metric=f"rsa-{bound}", **where) for bound in ("lower", "upper")]


def taken_over(scores: pd.DataFrame) -> float:
    """Return the share of the way from the student's base to its teacher, in RSA with people, that the aligned student goes."""
    base, aligned = (float(one(scores, stage=stage, **SIMILARITY)["value"]) for stage in ("base", "aligned"))
    teacher = float(one(scores, stage="teacher", model=teacher_model(scores), **SIMILARITY)["value"])
    return (aligned - base) / (teacher - base)


def by_shots(scores: pd.DataFrame, stage: str, reference: str, name: str, task: str = "few-shot", metric: str = "accuracy") -> str:
    """Say at how many shots a student is above and below another one, by the paired intervals, and how far at most."""
    rows = [one(scores, stage=stage, task=task, split=split, metric=f"{metric}-above-{reference}") for split in splits(scores, name, task)]
    placed = {way: [str(shots(row["split"])) for row in rows if side(row) == way] for way in ("above", "below")}
    counted = {way: f"{len(found)} ({', '.join(found)})" if found else "none" for way, found in placed.items()}
    farthest = max(rows, key=lambda row: abs(row["value"]))
    return (f"of {len(rows)} numbers of shots, {stage} is above {reference} at {counted['above']} and below it at {counted['below']}; the "
            f"largest difference is {number(farthest)}, at {shots(farthest['split'])}")


def worse_than_uniform(scores: pd.DataFrame, stage: str) -> str:
    """Say at how many shots a classifier's cross-entropy with people's labels is surely above that of a uniform guess."""
    rows = [one(scores, stage=stage, task="soft-labels", split=split, metric="cross-entropy") for split in splits(scores, "cifar10")]
    found = [str(shots(row["split"])) for row in rows if row["low"] > UNIFORM_OF_TEN]
    return f"{len(found)} of {len(rows)} numbers of shots" + (f" ({', '.join(found)})" if found else "")


def dense_saves(scores: pd.DataFrame) -> str:
    """Say what part of the images dense triplets need, beside sparse ones, for the agreement that both reach."""
    row = one(scores, task="dense-against-sparse", split="equal agreement", metric="share-of-images")
    fewer = "which is fewer" if row["high"] < 1 else "which is more" if row["low"] > 1 else "which is not clearly another number"
    return (f"for the agreement with which the lower of the two ends, dense triplets need {number(row)} times as many images as sparse "
            f"ones, {fewer}")


def dense_beside_sparse(scores: pd.DataFrame) -> str:
    """Say how dense and sparse triplets stand to each other where both have seen as many images as dense ones see in all."""
    images = max(count for kind, count in curve_splits(scores) if kind == "dense")
    dense, sparse = (one(scores, task="dense-against-sparse", split=f"{kind}/{images} images") for kind in ("dense", "sparse"))
    apart = "overlap" if overlap(dense, sparse) else "do not overlap"
    return f"after {images:,} images, dense triplets give {number(dense)} and sparse ones {number(sparse)}; the intervals {apart}"


def curve_splits(scores: pd.DataFrame) -> list[tuple[str, int]]:
    """Return kind of triplets and images seen of every point of the curves."""
    found = pick(scores, task="dense-against-sparse", metric="agreement-with-teacher")["split"]
    return [(kind, int(rest.split()[0])) for kind, rest in (split.split("/") for split in found)]


def verdict(scores: pd.DataFrame) -> str:
    """Say in one sentence whether the aligned student agrees more with people than its base and the control; it can say no."""
    asked: list[tuple[str, str, Any]] = [
        (name, reference, one(scores, stage="aligned", **above(where, reference)))
        for name, where in AGREEMENT.items() for reference in ("base", "unaligned")
    ]
    held = [row for _, _, row in asked if side(row) == "above"]
    failed = [f"over {reference} in {name.rsplit(' (', 1)[0]} ({number(row)}{', a loss' if side(row) == 'below' else ''})"
              for name, reference, row in asked if side(row) != "above"]
    scene = "by real people's judgments of photographs that neither it nor its teacher saw"
    if not failed:
        return (f"Yes: {scene}, the aligned student is above its base and above the control in all {len(AGREEMENT)} measures; "
                f"all {len(asked)} paired 95 % intervals exclude zero.")
    head = "In part" if held else "No"
    return (f"{head}: {scene}, {len(held)} of the aligned student's {len(asked)} gains have a paired 95 % interval above zero; "
            f"not so {'; '.join(failed)}.")
