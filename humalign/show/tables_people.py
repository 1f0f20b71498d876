"""The tables and the sentences about real people: pure functions of the scores, so that no number and no verdict is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from humalign.chain import origins
from humalign.evaluation.scores import one, pick, read
from humalign.show.tables import EMPTY, OF_ANSWERS, OF_PHOTOGRAPHS, Table, number, overlap, reads, side

# In the order of tables and figures: what each was told about the training objects.
TOLD = {
    "teacher-base": "nothing: the features as they are",
    "teacher-centred": "nothing: the features less their training mean",
    "predecessor": "single answers, the predecessor's recipe",
    "teacher-one-hot": "single answers, plain affine map",
    "ridge-strict": "places in a VICE of these answers",
    "teacher-distilled": "choice distributions of a VICE of these answers",
    "teacher": "single answers",
    "ridge": "places in the published VICE",
    "teacher-published": "choice distributions of the published VICE",
    "observer": "nothing: the published VICE itself",
}
UNSEEN = {"task": "odd-one-out", "split": "unseen objects"}
ACROSS = "92 photographs, from THINGS photographs"
ACROSS_STAGES = ("teacher-base", "ridge", "teacher")
ACROSS_METRICS = {"accuracy": "odd-one-out accuracy", "rsa-spearman": "RSA, mean of people", "rsa-each-person": "RSA, each person"}


def with_predecessor(scores: pd.DataFrame, recorded: Path = origins.RECORDED / "predecessor.csv") -> pd.DataFrame:
    """Return scores with those of the predecessor's recipe beside them, which ``benchmarks/predecessor.py`` leaves; as they are without."""
    both = pd.concat([scores, read(recorded)], ignore_index=True) if recorded.is_file() else scores
    both.attrs |= scores.attrs
    return both


def cell(scores: pd.DataFrame, **where: str) -> str:
    """Return one score as text, or a dash where there is none."""
    found = pick(scores, **where)
    return number(one(found)) if len(found) else EMPTY


@reads(*OF_ANSWERS)
def teachers(scores: pd.DataFrame) -> Table:
    """Return what each stage was told, its accuracy on objects that it never saw, and its paired differences."""
    heads = {"accuracy": "accuracy", "accuracy-above-teacher-base": "less teacher-base", "accuracy-above-teacher": "less teacher"}
    lines = [
        {"stage": stage, "told about the training objects": told}
        | {head: cell(scores, stage=stage, metric=metric, **UNSEEN) for metric, head in heads.items()}
        for stage, told in TOLD.items()
        if len(pick(scores, stage=stage, metric="accuracy", **UNSEEN))
    ]
    lines.append(
        {"stage": "ceiling", "told about the training objects": EMPTY}
        | {head: EMPTY for head in heads.values()}
        | {"accuracy": number(ceiling(scores))}
    )
    return Table(pd.DataFrame(lines), "Odd-one-out accuracy on THINGS objects that the fit never saw, people's answers; 95 % intervals "
                                      "over objects (the ceiling's: over repeated triplets)")


def ceiling(scores: pd.DataFrame) -> pd.Series:
    """Return how often people give the answer that most people give, on triplets that were asked repeatedly."""
    return one(scores, model="people", stage="ceiling", task="odd-one-out", split="repeated triplets")


@reads(*OF_ANSWERS)
def calibration(scores: pd.DataFrame) -> Table:
    """Return the expected calibration error of each stage, and by how much it is above the backbone's."""
    where = {"task": "calibration", "split": "unseen objects"}
    error = "expected-calibration-error"
    heads = {error: "expected calibration error", f"{error}-above-teacher-base": "less teacher-base",
             f"{error}-above-teacher": "less teacher"}
    lines = [
        {"stage": stage} | {head: cell(scores, stage=stage, metric=metric, **where) for metric, head in heads.items()}
        for stage in TOLD
        if len(pick(scores, stage=stage, **where))
    ]
    return Table(pd.DataFrame(lines), "Expected calibration error on people's answers about unseen objects; 95 % intervals over objects")


@reads(*OF_ANSWERS)
def observers(scores: pd.DataFrame) -> Table:
    """Return how well models of the observers predict answers about objects that they know, VICE by the answers it is fitted to."""
    metrics = {"accuracy": "accuracy", "share-pearson": "Pearson, shares", "entropy-pearson": "Pearson, entropies"}
    names = {"vice": "our VICE", "vice-published": "published VICE", "clip-vit-b32": "teacher with its residuals"}
    found = pick(scores, task="observer-model", model=list(names))
    lines = [
        {"model": names[str(model)], "fitted to": split, "dimensions": _size(rows)}
        | {head: cell(rows, metric=metric) for metric, head in metrics.items()}
        for model in names
        for split, rows in pick(found, model=model).groupby("split", sort=False)
    ]
    return Table(pd.DataFrame(lines), "Models of the observers: accuracy on answers kept for validation, and correlation of choice shares "
                                      "and of their entropies on repeated triplets; 95 % intervals over objects and over triplets")


def _size(rows: pd.DataFrame) -> str:
    """How many dimensions a model has: a mean over fits, without an interval."""
    found = pick(rows, metric="dimensions")
    return f"{found['value'].iloc[0]:.0f}" if len(found) else EMPTY


@reads(*OF_ANSWERS)
def dimensions(scores: pd.DataFrame, most: int = 15) -> Table:
    """Return the largest dimensions of our own VICE, named by their highest objects."""
    found = pick(scores, task="vice-dimensions")
    lines = []
    for split, rows in found.groupby("split", sort=False):
        place, objects = str(split).split(": ", 1)
        lines.append({
            "": place, "highest objects": objects, "share of weight": cell(rows, metric="share-of-weight"),
            "nearest published (Pearson)": cell(rows, metric="nearest-published-pearson"),
        })
    shown = lines[:most]
    return Table(pd.DataFrame(shown), f"The {len(shown)} largest of the {len(lines)} dimensions of our VICE, fitted to people's answers; "
                                      "95 % intervals over objects")


@reads(*OF_PHOTOGRAPHS)
def across(scores: pd.DataFrame) -> Table:
    """Return the three measures of the 92 photographs for teachers of THINGS photographs, by model and stage, and what people reach."""
    lines = [
        {"model": model_name(model), "stage": stage}
        | {head: cell(scores, model=model, stage=stage, split=ACROSS, metric=metric) for metric, head in ACROSS_METRICS.items()}
        for model in models(scores) for stage in ACROSS_STAGES
    ]
    person = {metric: cell(scores, model="people", split=ACROSS, metric=metric) for metric in ("accuracy", "rsa-spearman")}
    bounds = [cell(scores, model="people", split="92 photographs", metric=f"rsa-each-person-{bound}") for bound in ("lower", "upper")]
    lines.append({"model": "people", "stage": "one left out"} | dict(zip(
        ACROSS_METRICS.values(), [*person.values(), f"bounds {' and '.join(bounds)}"], strict=True)))
    return Table(pd.DataFrame(lines), "Other pictures, judged by other people: 95 % intervals, over images (accuracy) and over people and "
                                      "images together (RSA); of people, over people")


def models(scores: pd.DataFrame) -> list[str]:
    """Return the backbones of the photographs, in the order of the scores."""
    return list(dict.fromkeys(pick(scores, split=ACROSS, stage="teacher")["model"]))


def model_name(model: str) -> str:
    """Return a backbone's name as short as a figure needs it."""
    return model.replace("efficientnet-", "").replace("+", " + ")


# ---- sentences -------------------------------------------------------------------------------------------------------

def paired(scores: pd.DataFrame, stage: str, reference: str, metric: str = "accuracy", **where: Any) -> str:
    """Say how a stage stands to a reference, by their paired difference."""
    row = one(scores, stage=stage, metric=f"{metric}-above-{reference}", **where)
    return f"{stage} is {side(row)} {reference} (paired difference {number(row)})"


def counts(scores: pd.DataFrame, what: str, **where: Any) -> str:
    """Say for how many of the paired differences that fit the interval lies above zero, below it, or across it."""
    found = pick(scores, **where)
    if found.empty:
        raise KeyError(f"no score fits {where}")
    sides = [side(row) for _, row in found.iterrows()]
    above, below = sides.count("above"), sides.count("below")
    return f"above zero for {above} of {len(sides)} {what}, below it for {below} and across it for {len(sides) - above - below}"


def extremes(scores: pd.DataFrame, **where: Any) -> dict[str, str]:
    """Name the splits of the ``largest`` and the ``smallest`` of the scores that fit, each with its number."""
    found = pick(scores, **where).sort_values("value")
    ends = {"largest": found.iloc[-1], "smallest": found.iloc[0]}
    return {name: f"{row['split'].split('/')[-1]} ({number(row)})" for name, row in ends.items()}


def against_people(scores: pd.DataFrame, stage: str, **where: Any) -> str:
    """Say for how many backbones a stage's interval lies above, below or across that of a person who is scored in the same place."""
    person = one(scores, model="people", **where)
    rows = [one(scores, model=model, stage=stage, **where) for model in models(scores)]
    apart = [row["value"] > person["value"] for row in rows if not overlap(row, person)]
    return (f"the interval of {stage} lies above that of one person, {number(person)}, for {sum(apart)} of {len(rows)} backbones and "
            f"below it for {len(apart) - sum(apart)}; for the other {len(rows) - len(apart)} the two overlap")


def covered(scores: pd.DataFrame) -> float:
    """Return the share of the distance from the backbone to the ceiling that the teacher covers on unseen objects."""
    base, teacher = (float(one(scores, stage=stage, metric="accuracy", **UNSEEN)["value"]) for stage in ("teacher-base", "teacher"))
    return (teacher - base) / (float(ceiling(scores)["value"]) - base)


def amounts(scores: pd.DataFrame, kind: str) -> dict[float, str]:
    """Return the splits of the learning curve over ``answers`` or ``objects``, by their share of all, ascending."""
    splits = [split for split in dict.fromkeys(pick(scores, task="learning-curve")["split"]) if split.endswith(kind)]
    sizes = np.array([int(split.split()[0]) for split in splits])
    return {float(sizes[row] / sizes.max()): splits[row] for row in np.argsort(sizes)}


def halved(scores: pd.DataFrame, kind: str) -> str:
    """Say what a fit loses to half of its answers or of its objects, by the paired difference."""
    by_share = amounts(scores, kind)
    split = by_share[min(by_share, key=lambda share: abs(share - 0.5))]
    row = one(scores, task="learning-curve", split=split, metric="accuracy-above-all")
    return f"with {int(split.split()[0]):,} {kind} the teacher is {side(row)} itself with all of them ({number(row)})"


def alike(scores: pd.DataFrame, least: float = 0.5) -> str:
    """Say how many dimensions of our VICE are surely like a published one, and how much of the weight they carry."""
    found = pick(scores, task="vice-dimensions")
    nearest, share = (pick(found, metric=metric).set_index("split") for metric in ("nearest-published-pearson", "share-of-weight"))
    sure = nearest.index[nearest["low"] > least]
    weight = share.loc[sure, "value"].sum()
    return (f"{len(sure)} of {len(nearest)} dimensions, with {weight:.0%} of the weight, correlate with a published one above {least:g}, "
            f"by the lower end of the interval")
