"""The figures of real people's judgments: each a pure function of the scores, and headed by whose judgments they are."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from humalign.evaluation.scores import one, pick
from humalign.show.drawing import CHANCE, COLOURS, MARKERS, STYLE, WIDTH, Course, Panel, draw_courses, draw_groups, draw_panels, stage_rows
from humalign.show.tables_people import ACROSS, ACROSS_STAGES, TOLD, UNSEEN, amounts, ceiling, model_name, models

WHO = {"human": "Real people's judgments", "simulated": "Simulated observers, not people"}
BEFORE_AFTER = ("teacher-base", "teacher")
ONE_PERSON = "dashed: one person against the others' mean; dotted: chance"


def heading(rows: pd.DataFrame, who: str = "") -> str:
    """Say whose judgments rows are, or ``who`` where that is to be said otherwise, and which run they come from.

    Raises:
        ValueError: the rows have more than one kind of evidence: they must not share a figure.
    """
    kinds, profiles = set(rows["evidence"]), set(rows["profile"])
    if len(kinds) != 1:
        raise ValueError(f"evidence of several kinds, {', '.join(sorted(kinds))}, in one figure")
    return f"{who or WHO[kinds.pop()]} (run of the profile {', '.join(sorted(profiles))})"


def example_triplets(scores: pd.DataFrame) -> Figure:
    """Draw three triplets: how people's answers divide, and the probabilities of models that never saw their objects."""
    found = stage_rows(scores, ("ceiling", *BEFORE_AFTER), task="example-triplet")
    place = found["split"].str.split(": ").str[0]
    said = found["split"].str.split(": ").str[1].str.replace(" | ", "\nnot ", regex=False)
    panels = [
        Panel(f"{name} triplet", rows.assign(label=said[rows.index], n=rows["n"].max()), "", "answers")
        for name, rows in found.groupby(place, sort=False)
    ]
    return draw_groups(panels, ("ceiling", *BEFORE_AFTER), heading=heading(found), ceiling="people's answers",
                       foot="share of the answers, or probability, of the pair")


def unseen_objects(scores: pd.DataFrame) -> Figure:
    """Draw the accuracy of every stage on objects that it never saw, and the paired gain over the backbone."""
    found = stage_rows(scores, tuple(TOLD), metric="accuracy", **UNSEEN)
    gained = stage_rows(scores, tuple(TOLD), metric="accuracy-above-teacher-base", **UNSEEN)
    return draw_panels([
        Panel("accuracy", pd.concat([found, _ceiling_row(scores).assign(label="ceiling")]), "odd-one-out accuracy", "triplets", CHANCE),
        Panel("paired difference", gained, "less teacher-base", "triplets", 0.0),
    ], labels=(*TOLD, "ceiling"), heading=heading(pd.concat([found, gained])),
        foot="dashed: noise ceiling, on repeated triplets; dotted: chance, and no difference")


def learning_curves(scores: pd.DataFrame) -> Figure:
    """Draw the teacher's accuracy on unseen objects by the number of answers and of objects that it is fitted to."""
    found = stage_rows(scores, task="learning-curve", metric="accuracy")
    base = float(one(scores, stage="teacher-base", metric="accuracy", **UNSEEN)["value"])

    def course(kind: str, axis: str, unit: int) -> Course:
        splits = amounts(scores, kind)
        return Course(
            "", found[found["split"].isin(splits.values())], lambda split: int(split.split()[0]) / unit, axis, "odd-one-out accuracy",
            "triplets", [float(round(int(split.split()[0]) / unit)) for split in splits.values()], base, float(ceiling(scores)["value"]))

    return draw_courses([course("answers", "answers (thousands)", 1000), course("objects", "objects", 1)], x_scale="log",
                        heading=heading(found), foot="dashed: noise ceiling; dotted: teacher-base")


def categories(scores: pd.DataFrame) -> Figure:
    """Draw the accuracy before and after the map by superordinate category, in the order of the gain."""
    found = stage_rows(scores, BEFORE_AFTER, task="odd-one-out", metric="accuracy")
    found = found[found["split"].str.startswith("category/")]
    order = _by_gain(scores, "odd-one-out", "accuracy-above-teacher-base", "category/")
    found = found.assign(label=found["split"].str.removeprefix("category/") + found["n"].map(" ({:,})".format))
    rows = pd.concat([found[found["split"] == split] for split in order] + [_ceiling_row(scores)])
    return draw_groups([Panel("", rows, "odd-one-out accuracy", "triplets", CHANCE)], (*BEFORE_AFTER, "ceiling"), slot=0.1,
                       heading=heading(rows), foot="dashed: noise ceiling of repeated triplets; dotted: chance")


def _ceiling_row(scores: pd.DataFrame) -> pd.DataFrame:
    return pick(scores, model="people", stage="ceiling", task="odd-one-out", split="repeated triplets").assign(label="people agree")


def _by_gain(scores: pd.DataFrame, task: str, metric: str, start: str = "") -> list[str]:
    """The splits of a paired difference, largest first."""
    found = pick(scores, stage="teacher", task=task, metric=metric).sort_values("value", ascending=False, kind="stable")
    return [split for split in found["split"] if split.startswith(start)]


def reliability(scores: pd.DataFrame) -> Figure:
    """Draw how often the kept pair is right against how sure the model was, before and after the map, by kind of target."""
    stages = ("teacher-base", "teacher-one-hot", "teacher-distilled", "teacher")
    found = stage_rows(scores, stages, task="calibration")
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(2, 2, figsize=(WIDTH, WIDTH + 0.7), sharex=True, sharey=True)
        for axes, stage in zip(grid.flat, stages, strict=True):
            _reliability(axes, found[found["stage"] == stage])
        for axes in grid[1]:
            axes.set_xlabel("how sure the model is")
        for axes in grid[:, 0]:
            axes.set_ylabel("share of answers it gets right")
        figure.suptitle(heading(found), fontsize=9, fontweight="bold")
        figure.supxlabel("dotted: as sure as it is right; grey: surer than that", fontsize=9)
        plt.close(figure)
    return figure


def _reliability(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw one stage: a point a step of confidence, its area the step's share of the answers."""
    error = one(rows, metric="expected-calibration-error")
    steps = rows[rows["split"] != "unseen objects"]
    sure, right = (pick(steps, metric=metric).set_index("split") for metric in ("confidence", "accuracy"))
    right = right.loc[sure.index]
    stage = str(error["stage"])
    axes.fill_between([1 / 3, 1], [1 / 3, 1], 0, color="#f2f2f2", linewidth=0, zorder=0)
    axes.plot([1 / 3, 1], [1 / 3, 1], color="#555555", linestyle=":", linewidth=1, zorder=1)
    axes.vlines(sure["value"], right["low"], right["high"], color=COLOURS[stage], linewidth=1.8)
    axes.plot(sure["value"], right["value"], color=COLOURS[stage], linewidth=1)
    axes.scatter(sure["value"], right["value"], s=12 + 250 * sure["n"] / sure["n"].sum(), color=COLOURS[stage], marker=MARKERS[stage],
                 edgecolor="white", linewidth=0.6, zorder=3)
    axes.set(xlim=(1 / 3, 1), ylim=(0.3, 1), aspect="equal")
    axes.set_title(f"{stage}, error {error['value']:.3f}\n[{error['low']:.3f}, {error['high']:.3f}], n = {error['n']:,} answers")


def dimensions_changed(scores: pd.DataFrame, most: int = 10, least: int = 5) -> Figure:
    """Draw how alike the highest objects of a published dimension are, before and after; the dimensions that gain most and least."""
    found = stage_rows(scores, BEFORE_AFTER, task="dimensions", metric="similarity")
    found = found.assign(label=found["split"].str.replace("_", " "))
    order = _by_gain(scores, "dimensions", "similarity-above-teacher-base")
    chosen = order if len(order) <= most + least else order[:most] + order[-least:]
    rows = pd.concat([found[found["split"] == split] for split in chosen])
    title = f"of {len(order)} dimensions, {min(most, len(chosen))} that gained most\nand {max(0, len(chosen) - most)} that gained least"
    return draw_groups([Panel(title, rows, "similarity of the highest objects\n(s.d. from the mean of all pairs)", "objects a fold", 0.0)],
                       BEFORE_AFTER, slot=0.15, heading=heading(rows), foot="dotted: mean of all pairs")


def recovery(scores: pd.DataFrame) -> Figure:
    """Draw how near the fitted similarities of unseen objects come to a known truth, by the number of *simulated* answers."""
    found = stage_rows(scores, task="recovery", metric="similarity-pearson")
    sizes = [int(split.split()[0]) / 1000 for split in found["split"]]
    return draw_courses([Course(
        "objects that no answer is about", found, lambda split: int(split.split()[0]) / 1000, "simulated answers (thousands)",
        "Pearson with the true similarity", "objects", sizes, None, 1.0)], x_scale="log", heading=heading(found),
        foot="dashed: the truth itself")


def photographs(scores: pd.DataFrame) -> Figure:
    """Draw odd-one-out accuracy and RSA on photographs that were left out of the fit, before and after the map."""
    shown = {
        "92 photographs, unseen": (("odd-one-out", "accuracy"), ("similarity-judgments", "rsa-spearman")),
        "THINGS photographs, unseen": (("odd-one-out", "accuracy"), ("similarity-vice", "rsa-spearman")),
    }
    panels = []
    for split, measures in shown.items():
        for task, metric in measures:
            rows = _models(scores, BEFORE_AFTER, task=task, split=split, metric=metric)
            if split.startswith("THINGS") and metric == "accuracy":
                rows = pd.concat([rows, _ceiling_row(scores)])
            title = f"{split.split(',')[0]}" + ("\nagainst the published VICE" if task == "similarity-vice" else "\nagainst people")
            panels.append(Panel(title, rows, *AXES[metric]))
    return draw_groups(panels, (*BEFORE_AFTER, "ceiling"), columns=2, heading=heading(pd.concat([panel.rows for panel in panels])),
                       foot="dashed, 92: one person against the others' mean; THINGS: noise ceiling; dotted: chance")


AXES = {
    "accuracy": ("odd-one-out accuracy", "triplets", CHANCE), "rsa-spearman": ("RSA (Spearman)", "images", 0.0),
    "rsa-each-person": ("RSA with each person (Spearman)", "images", 0.0),
}


def _models(scores: pd.DataFrame, stages: tuple[str, ...], **where: str) -> pd.DataFrame:
    """Rows of every backbone, and of one person scored in the same place, where people were."""
    found = stage_rows(scores, (*stages, "ceiling"), **where)
    names = [*models(scores), "people"]
    found = found[found["model"].isin(names)].sort_values("model", key=lambda column: column.map(names.index), kind="stable")
    person = "one of " + found["n"].astype(str) + " people"
    return found.assign(label=found["model"].map(model_name).where(found["model"] != "people", person))


def across_experiments(scores: pd.DataFrame) -> Figure:
    """Draw a teacher of THINGS photographs on 92 others, judged by other people in another task, before and after its map."""
    panels = [
        Panel(title, _models(scores, ACROSS_STAGES, task=task, split=ACROSS, metric=metric), *AXES[metric])
        for title, task, metric in (
            ("Which of three is the odd one out?", "odd-one-out", "accuracy"),
            ("How similar are two pictures?", "similarity-judgments", "rsa-spearman"),
        )
    ]
    return draw_groups(panels, (*ACROSS_STAGES, "ceiling"), heading=heading(pd.concat([panel.rows for panel in panels])), foot=ONE_PERSON,
                       ceiling="one person")
