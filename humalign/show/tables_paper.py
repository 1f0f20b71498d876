"""The tables of the paper's own chain: every measure by model, stage and set, whatever run the scores are of, or that there is none yet."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from humalign.chain import origins
from humalign.evaluation.hierarchy import PATHS
from humalign.evaluation.scores import COLUMNS, pick, read
from humalign.show.published import PUBLISHED
from humalign.show.tables import EMPTY, Table, number, reads

HOW = "No run of the profile paper is recorded yet: run `make reproduce PROFILE=paper` on a machine with a GPU."
NO_RUN = "No run yet: see the head of this chapter."
NOT_RUN = "This run has no such evaluation: its profile leaves it out."
STAGES = ("base", "unaligned", "aligned")
TEACHERS = ("teacher-base", "teacher")
PAIRS = (("unaligned", "base"), ("aligned", "base"), ("aligned", "unaligned"), ("teacher", "teacher-base"))
WHO = {"human": "people's judgments", "simulated": "simulated observers, not people", "taxonomy": "a taxonomy", "labels": "class labels"}
LEVELS = ("global-coarse", "local-fine", "class-boundary")

RELATED = (
    *("THINGS, same-category", "THINGS, other-category"),
    *("ImageNet, same-class", "ImageNet, same-superclass", "ImageNet, other-superclass"),
)
STEPS = tuple(f"{of}, {steps}" for of in ("THINGS", "ImageNet") for steps in PATHS)


@dataclasses.dataclass(frozen=True)
class Measure:
    """One metric of one task, over some splits of it, or all."""

    said: str
    task: str
    metric: str
    splits: tuple[str, ...] = ()

    def rows(self, scores: pd.DataFrame, suffix: str = "") -> pd.DataFrame:
        """Return its scores, or with a suffix those of its paired differences."""
        found = pick(scores, task=self.task, metric=self.metric + suffix)
        return found[found["split"].isin(self.splits)] if self.splits else found


MEASURES = {
    "things": Measure("Odd one out, THINGS", "odd-one-out", "accuracy", ("THINGS", "THINGS, photographs judged", "THINGS, unseen objects")),
    "levels": Measure("Odd one out at three levels", "odd-one-out", "accuracy", LEVELS),
    "similarity": Measure("Correlation with judged similarity (Spearman)", "similarity-judgments", "rsa-spearman"),
    "times": Measure("Correlation of uncertainty with response time (Spearman)", "uncertainty", "response-time-entropy-spearman", LEVELS),
    "entropy": Measure("Correlation of uncertainty with people's (Spearman)", "uncertainty", "entropy-spearman"),
    "soft-labels": Measure("Surprise at people's labels of CIFAR-10 (nats; less is better)", "soft-labels", "cross-entropy"),
    "hierarchy": Measure("Distance by relation, in standard deviations from the mean", "hierarchy", "standardised-distance", RELATED),
    "wordnet": Measure("Correlation of distance with steps of WordNet (Spearman)", "hierarchy", "path-spearman"),
    "steps": Measure("Distance by steps of WordNet, in standard deviations from the mean", "hierarchy", "standardised-distance", STEPS),
    "between-models": Measure("Likeness of two students (CKA)", "between-models", "cka"),
    "few-shot": Measure("Accuracy of classes learnt from k pictures", "few-shot", "accuracy"),
    "breeds": Measure("Superclasses, on the taught classes (source) and on others (target)", "subpopulation-shift", "accuracy"),
    "imagenet-a": Measure("ImageNet-A", "natural-adversarial", "accuracy"),
    "training": Measure("Agreement with the teacher on validation triplets", "distillation", "agreement-with-labels"),
}


def scores_of(path: str | Path) -> pd.DataFrame:
    """Read a run's table of scores; without a file, a table without rows."""
    return read(path) if Path(path).is_file() else pd.DataFrame(columns=list(COLUMNS))


def where_from(path: str | Path) -> str:
    """Say which run a table of scores is of, or that there is none."""
    return origins.said(path) if Path(path).is_file() else f"no run: {HOW[0].lower()}{HOW[1:].rstrip('.')}"


def missing(scores: pd.DataFrame) -> str:
    """Return why there is nothing to show."""
    return NO_RUN if scores.empty else NOT_RUN


def judged_by(rows: pd.DataFrame) -> str:
    """Say on whose evidence rows stand, and of which profile they are.

    Raises:
        ValueError: evidence of several kinds, which must not share a table.
    """
    kinds = set(rows["evidence"])
    if len(kinds) != 1:
        raise ValueError(f"evidence of several kinds, {', '.join(sorted(kinds))}, in one table")
    return f"{WHO[kinds.pop()]}; run of the profile {', '.join(sorted(set(rows['profile'])))}"


@reads()
def measure(scores: pd.DataFrame, name: str) -> Table:
    """Return one measure of every model and stage, a column a set; the ceiling first."""
    wanted = MEASURES[name]
    rows = wanted.rows(scores)
    if rows.empty:
        return _nothing(scores, wanted.said)
    order = ("ceiling", *TEACHERS, *STAGES)
    rows = rows.assign(place=rows["stage"].map(order.index), new=pd.factorize(rows["model"])[0] * (rows["stage"] != "ceiling"))
    rows = rows.sort_values(["new", "place"], kind="stable")
    return _laid_out(rows, ["model", "stage"], f"{wanted.said}, with 95 % intervals. Evidence: {judged_by(rows)}")


@reads()
def differences(scores: pd.DataFrame, name: str) -> Table:
    """Return the paired differences of one measure between the stages of each model, a column a set."""
    wanted, parts = MEASURES[name], []
    for stage, reference in PAIRS:
        rows = pick(wanted.rows(scores, f"-above-{reference}"), stage=stage)
        parts.append(rows.assign(difference=f"{stage} less {reference}"))
    rows = pd.concat(parts)
    if rows.empty:
        return _nothing(scores, wanted.said)
    rows = rows.assign(new=pd.factorize(rows["model"])[0]).sort_values("new", kind="stable")
    return _laid_out(rows, ["model", "difference"], f"{wanted.said}: paired differences, with 95 % intervals. Evidence: {judged_by(rows)}")


def _laid_out(rows: pd.DataFrame, names: list[str], caption: str) -> Table:
    cells = rows.assign(cell=[number(row) for _, row in rows.iterrows()])
    columns, lines = cells["split"].unique().tolist(), cells[names].drop_duplicates()
    found = cells.set_index([*names, "split"])["cell"].to_dict()
    shown = [dict(zip(names, line, strict=True)) | {column: found.get((*line, column), EMPTY) for column in columns}
             for line in lines.itertuples(index=False, name=None)]
    return Table(pd.DataFrame(shown, columns=[*names, *columns]), caption)


def _nothing(scores: pd.DataFrame, said: str) -> Table:
    return Table(pd.DataFrame({"": [missing(scores)]}), said)


@reads()
def beside_published(scores: pd.DataFrame) -> Table:
    """Return the paper's odd-one-out accuracies beside the range over the models of this run."""
    shown = []
    for row in PUBLISHED:
        if row.task != "odd-one-out" or row.metric != "accuracy" or row.trust == "derived":
            continue
        ours = pick(scores, task=row.task, split=row.split, metric=row.metric, stage=row.stage).dropna(subset="value")
        same = "yes, see the deviations" if set(ours["evidence"]) == {"human"} else "no: simulated observers"
        values = ours["value"].astype(float)
        here = EMPTY if ours.empty else f"{values.min():.3f} to {values.max():.3f} ({len(ours)})" if len(ours) > 1 else number(ours.iloc[0])
        shown.append({"set": row.split, "stage": row.stage, "paper's model": row.model, "paper": f"{row.text} [{row.trust}]",
                      "here: range (models)": here, "same experiment?": missing(scores) if ours.empty else same})
    return Table(pd.DataFrame(shown), "The paper's numbers, and those of this run; trust in brackets")
