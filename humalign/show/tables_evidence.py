"""Every model on every set of human judgments, and everything published beside it: pure functions of the scores."""

from __future__ import annotations

import pandas as pd

from humalign.evaluation.scores import pick
from humalign.show import published
from humalign.show.tables import EMPTY, MINUS, OF_ANSWERS, OF_STUDENTS, Table, number, reads
from humalign.show.tables_people import ACROSS, TOLD, UNSEEN, ceiling, cell, model_name, models
from humalign.show.tables_students import HALVES, STAGES

CLIP = "clip-vit-b32"
MATRIX = {"task": "similarity-judgments", "split": "48 objects, unseen"}
REPEATED = {"task": "odd-one-out", "split": "repeated triplets, unseen objects", "metric": "accuracy"}
APART = {"task": "disagreement-vice", "metric": "distance-pearson"}
UNSURE = {"task": "uncertainty", "split": "repeated triplets, unseen objects"}
# What is asked about photographs: task, metric, and the splits under which teachers and students are scored.
ASKED = {
    "92 photographs, arranged (RSA)": ("similarity-judgments", "rsa-spearman", (ACROSS,)),
    "92 photographs, each person (RSA)": ("similarity-judgments", "rsa-each-person", (ACROSS,)),
    "THINGS photographs, answers (accuracy)": ("odd-one-out", "accuracy", ("THINGS photographs, unseen", HALVES)),
    "THINGS photographs, published VICE (RSA)": ("similarity-vice", "rsa-spearman", ("THINGS photographs, unseen", HALVES)),
}


@reads(*OF_ANSWERS)
def objects(scores: pd.DataFrame) -> Table:
    """Return teachers of the THINGS objects on every set of judgments about objects that they never saw, and what people reach."""
    lines = [
        {"stage": stage, "answers (accuracy)": cell(scores, stage=stage, metric="accuracy", **UNSEEN),
         "repeated triplets (accuracy)": cell(scores, stage=stage, **REPEATED),
         "48 objects (RSA)": cell(scores, stage=stage, metric="rsa-spearman", **MATRIX)}
        for stage in TOLD if len(pick(scores, model=CLIP, stage=stage, metric="accuracy", **UNSEEN))
    ]
    vice = {"model": "vice-published"}
    lines.append({"stage": "published VICE", "answers (accuracy)": cell(scores, metric="accuracy", **vice, **UNSEEN),
                  "repeated triplets (accuracy)": EMPTY, "48 objects (RSA)": cell(scores, metric="rsa-own-spearman", **vice, **MATRIX)})
    lines.append({"stage": "people", "answers (accuracy)": number(ceiling(scores)),
                  "repeated triplets (accuracy)": cell(scores, model="people", **REPEATED), "48 objects (RSA)": EMPTY})
    return Table(pd.DataFrame(lines), "CLIP ViT-B/32 on every set of people's judgments about THINGS objects, none of which the fit saw; "
                                      "95 % intervals over objects. RSA: Spearman's correlation with 1 - r of the features, of the VICE "
                                      "with its own choices. People: the majority's share")


@reads(*OF_ANSWERS, *OF_STUDENTS)
def photographs(scores: pd.DataFrame) -> Table:
    """Return every backbone, as it is and by its teacher, and every student on every set of judgments about photographs."""
    students = list(dict.fromkeys(pick(scores, stage="aligned", split=ACROSS)["model"]))
    every = [(model, stage) for model in models(scores) for stage in ("teacher-base", "teacher")]
    every += [(model, stage) for model in students for stage in STAGES if len(pick(scores, model=model, stage=stage, split=ACROSS))]
    lines = [
        {"model": model_name(model), "stage": stage} | {head: _first(scores, model, stage, *asked) for head, asked in ASKED.items()}
        for model, stage in every
    ]
    lines.append({"model": "people", "stage": "one left out"} | {
        head: _first(scores, "people", "ceiling", task, metric, splits) for head, (task, metric, splits) in ASKED.items()})
    return Table(pd.DataFrame(lines), "Every backbone and every student on every set of people's judgments about photographs that its "
                                      "teacher never saw; 95 % intervals over people and images (first two columns), over images (others). "
                                      "Students are scored on halves of the THINGS photographs, teachers on parts left out")


def _first(scores: pd.DataFrame, model: str, stage: str, task: str, metric: str, splits: tuple[str, ...]) -> str:
    """Return the cell of the first split that has one."""
    cells = [cell(scores, model=model, stage=stage, task=task, metric=metric, split=split) for split in splits]
    return next((found for found in cells if found != EMPTY), EMPTY)


@reads(*OF_ANSWERS)
def unsure(scores: pd.DataFrame) -> Table:
    """Return how well choice probabilities fit many people's answers to one triplet, before and after the map."""
    heads = {"cross-entropy": "cross-entropy (less is better)", "entropy-spearman": "like entropies (more is better)"}
    lines = [
        {"measure": head} | {stage: cell(scores, stage=stage, metric=metric, **UNSURE) for stage in ("teacher-base", "teacher")}
        | {"teacher less teacher-base": cell(scores, stage="teacher", metric=f"{metric}-above-teacher-base", **UNSURE)}
        for metric, head in heads.items()
    ]
    return Table(pd.DataFrame(lines), "Repeated triplets whose objects no fit saw, against the shares of about twenty people each; 95 % "
                                      "intervals over objects. The backbone's cosines have a temperature fitted to other objects' answers")


@reads(*OF_STUDENTS)
def disagreement(scores: pd.DataFrame) -> Table:
    """Return the pairs of photographs on which aligned student and control differ most, with each one's standardised distance."""
    found = pick(scores, task="disagreement")
    lines = [
        {"pair": str(split).split(": ", 1)[1]}
        | {stage: f"{pick(rows, stage=stage)['value'].iloc[0]:.2f}".replace("-", MINUS) for stage in ("unaligned", "aligned")}
        for split, rows in found.groupby("split", sort=False)
    ]
    return Table(pd.DataFrame(lines), "Pairs of THINGS photographs on which the two students disagree most: distances in standard "
                                      "deviations from each one's mean over all pairs. Chosen for being extreme: no intervals")


def breeds(scores: pd.DataFrame) -> Table:
    """Return the four tasks of BREEDS as their hierarchy gives them, beside the published number of superclasses."""
    heads = {"superclasses": "superclasses", "classes-taught": "classes taught", "classes-tested": "classes tested",
             "classes-both": "of both kinds"}
    found = pick(scores, task="breeds")
    lines = [
        {"task": task, "published": ", ".join(row.text for row in published.published(task="breeds", split=task))}
        | {head: _count(pick(rows, metric=metric)) for metric, head in heads.items()}
        for task, rows in found.groupby("split", sort=False)
    ]
    return Table(pd.DataFrame(lines), "The tasks of BREEDS, counted in their hierarchy. Evidence: the taxonomy; no picture was looked at")


def _count(rows: pd.DataFrame) -> str:
    return _short(rows.iloc[0]) if len(rows) else EMPTY


@reads()
def beside_published(scores: pd.DataFrame) -> Table:
    """Return every published number, what this run has in its place, and whether it is the same experiment or why the cell is empty."""
    lines = [
        {"task": row.task, "where": row.split, "metric": row.metric, "of": row.model, "stage": row.stage, "paper": row.text,
         "trust": row.trust, "here": EMPTY if ours is None else _short(ours), "evidence here": EMPTY if ours is None else ours["evidence"],
         "same experiment?": said}
        for row, ours, said in published.beside(scores)
    ]
    return Table(pd.DataFrame(lines), "Every published number beside this run's on real people; an empty cell says why it is empty")


def _short(row: pd.Series) -> str:
    """Return a score with its interval, and a count without one."""
    return f"{row['value']:.0f}" if row["low"] == row["high"] == row["value"] else number(row)
