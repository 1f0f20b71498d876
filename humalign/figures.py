"""The figures of the book: each a pure function of the scores, all in one style.

A stage of a model has the same colour and the same marker in every figure; no two markers are alike, so that nothing is told
by colour alone. A bar is a 95 % interval, or a range over folds where the axis says so. The dashed line is the noise ceiling.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from humalign.errors import HumalignError, nearest
from humalign.images import STYLES, EmojiImages, concepts
from humalign.scores import pick
from humalign.simulate import THINGS_CHOICE_ENTROPY, THINGS_MAJORITY_SHARE
from humalign.tables import MAIN, PAIRS, SHOWN_LEVELS, STAGES

WIDTH = 5.8
STYLE: Any = {
    "figure.dpi": 150, "figure.constrained_layout.use": True, "font.family": "DejaVu Sans", "font.size": 9, "axes.labelsize": 9,
    "axes.titlesize": 9, "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False, "xtick.labelsize": 9,
    "ytick.labelsize": 9, "legend.fontsize": 9, "legend.frameon": False, "axes.axisbelow": True, "figure.facecolor": "white",
}
# Of the Okabe-Ito family, each line of models from light to dark, for print in grey.
COLOURS = {
    "base": "#7d7d7d", "base-centred": "#b4b4b4", "unaligned": "#e69f00", "aligned": "#005a94",
    "teacher-base": "#e694bd", "teacher-centred": "#f2b48a", "teacher": "#8a2c0d", "ceiling": "#000000",
}
MARKERS = {
    "base": "o", "base-centred": "p", "unaligned": "s", "aligned": "D",
    "teacher-base": "^", "teacher-centred": "v", "teacher": "X", "ceiling": "d",
}
SUBSETS = {"": "all held-out", "/unseen-concepts": "unseen concepts", "/unseen-subgroups": "unseen subgroups"}
RELATIONS = {"same-subgroup": "same subgroup", "same-group": "same group", "different-group": "different groups"}
CHANCE, UNIFORM = 1 / 3, float(np.log(3))
LINES = "dashed: noise ceiling of the simulated observers; dotted: chance"
FOLDS = "bars: range over folds"
EMPTY = "no score: within one subgroup\nthe observers' truth is a random\nvector of each concept's own,\nwhich no picture can show"


@dataclasses.dataclass(frozen=True)
class _Panel:
    """One pair of axes: rows with a ``label`` each, what is counted, and lines to compare them with."""

    title: str
    rows: pd.DataFrame
    axis: str
    counted: str = "concepts"
    line: float | None = None
    note: str = ""


# ---- what the figures share ------------------------------------------------------------------------------------------

def _rows(scores: pd.DataFrame, stages: Sequence[str] = STAGES, **where: str) -> pd.DataFrame:
    """Pick rows in the order of the stages, each labelled with its stage; none at all is an error."""
    found = pick(scores, **where)
    found = found[found["stage"].isin(stages)]
    if found.empty:
        raise KeyError(f"no scores of stages {', '.join(stages)} fit {where}")
    order = found["stage"].map(list(stages).index)
    return found.assign(label=found["stage"]).iloc[np.argsort(order.to_numpy(), kind="stable")]


def _count(panel: _Panel) -> str:
    counts = sorted(set(panel.rows.loc[panel.rows["value"].notna(), "n"]))
    if not counts:
        return ""
    return f"n = {counts[0]:,}" + (f" to {counts[-1]:,}" if len(counts) > 1 else "") + f" {panel.counted}"


def _interval(axes: Axes, row: pd.Series, y: int) -> None:
    """Draw one value with its interval, and print it at the right."""
    colour = COLOURS[row["stage"]]
    axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot(row["value"], y, MARKERS[row["stage"]], color=colour, markersize=5.5, markeredgecolor="white", markeredgewidth=0.6)
    if row["stage"] == "ceiling":
        axes.axvline(row["value"], color="black", linestyle=(0, (4, 3)), linewidth=1, zorder=0)
    axes.text(1.01, y, f"{row['value']:.3f}".replace("-", "\N{MINUS SIGN}"), transform=axes.get_yaxis_transform(), va="center", ha="left")


def _draw(axes: Axes, panel: _Panel, labels: Sequence[str]) -> None:
    shown = panel.rows[panel.rows["value"].notna()]
    for _, row in shown.iterrows():
        _interval(axes, row, list(labels).index(row["label"]))
    if panel.line is not None:
        axes.axvline(panel.line, color="#555555", linestyle=":", linewidth=1, zorder=0)
    if panel.note:
        axes.text(0.45, (len(labels) - 2) / 2, panel.note, transform=axes.get_yaxis_transform(), va="center", ha="left", color="#444444",
                  backgroundcolor="white")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(-0.6, len(labels) - 0.4)
    axes.grid(axis="y", color="#eeeeee", linewidth=0.8)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    axes.set_title(panel.title + f"\n{_count(panel)}" if panel.title else _count(panel))
    axes.set_xlabel(panel.axis)


def _panels(panels: Sequence[_Panel], labels: Sequence[str] = STAGES, columns: int = 2, same_scale: bool = False, foot: str = "") -> Figure:
    """Draw panels line by line; those of a line share their labels, from bottom to top, as far as one of them uses them.

    ``same_scale`` gives the panels of a column one scale, ``foot`` is said once below all.
    """
    lines = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    used = [[label for label in labels if any((panel.rows["label"] == label).any() for panel in line)] for line in lines]
    heights = [0.75 + 0.25 * len(names) for names in used]
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(lines), columns, figsize=(WIDTH, sum(heights) + 0.3 * bool(foot)), height_ratios=heights, squeeze=False,
            sharey="row", sharex="col" if same_scale else "none")
        for drawn, line, names in zip(grid, lines, used, strict=True):
            for axes, panel in zip(drawn, line, strict=True):
                _draw(axes, panel, names)
                axes.locator_params(axis="x", nbins=6 - columns)
                if same_scale:
                    axes.label_outer()
                    axes.tick_params(axis="x", labelbottom=True)
        if foot:
            figure.supxlabel(foot, fontsize=9)
        plt.close(figure)
    return figure


@dataclasses.dataclass(frozen=True)
class _Course:
    """One pair of axes on which a value runs along a number that the split names."""

    title: str
    rows: pd.DataFrame
    across: Callable[[str], float]
    axis: str
    value: str
    counted: str
    ticks: Sequence[float] | None = None
    line: float | None = None


def _courses(courses: Sequence[_Course], x_scale: str = "linear", y_scale: str = "linear") -> Figure:
    """Draw values along a number, a line a stage, with a common key."""
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, len(courses), figsize=(WIDTH, 3.4), squeeze=False, sharey=True)
        for axes, course in zip(grid.flat, courses, strict=True):
            for place, (stage, rows) in enumerate(course.rows.groupby("stage", sort=False)):
                x = np.array([course.across(split) for split in rows["split"]])
                # A little to each side, so that intervals of one x do not cover each other.
                x = x * 1.05 ** (place - 2) if x_scale == "log" and course.rows["stage"].nunique() > 1 else x
                spread = np.abs(rows[["low", "high"]].to_numpy().T - rows["value"].to_numpy())
                axes.errorbar(x, rows["value"], spread, color=COLOURS[str(stage)], marker=MARKERS[str(stage)], markersize=6, linewidth=1.2,
                              elinewidth=1.8, markeredgecolor="white", markeredgewidth=0.6, label=stage)
            axes.set(xscale=x_scale, yscale=y_scale, xlabel=course.axis)
            if course.ticks is not None:
                axes.set_xticks(course.ticks, [f"{tick:g}" for tick in course.ticks])
                axes.minorticks_off()
            if course.line is not None:
                axes.axhline(course.line, color="#555555", linestyle=":", linewidth=1, zorder=0)
            count = _count(_Panel("", course.rows, "", course.counted))
            axes.set_title(f"{course.title}\n{count}" if course.title else count)
            axes.grid(axis="y", color="#eeeeee", linewidth=0.8)
        grid[0, 0].set_ylabel(courses[0].value)
        handles, names = grid[0, 0].get_legend_handles_labels()
        if len(names) > 1:
            figure.legend(handles, names, loc="outside upper center", ncols=min(5, len(names)), columnspacing=1, handlelength=1.5)
        plt.close(figure)
    return figure


def _level(scores: pd.DataFrame, split: str, stages: Sequence[str], title: str) -> _Panel:
    """Odd-one-out accuracy of one split, below its ceiling."""
    rows = _rows(scores, (*stages, "ceiling"), task="odd-one-out", split=split, metric="accuracy")
    note = EMPTY if rows.loc[rows["stage"] != "ceiling", "value"].isna().all() else ""
    return _Panel(title, rows, "odd-one-out accuracy", "triplets", CHANCE, note)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, 150 dots an inch, the same bytes each time: neither date nor version of the software is in it."""
    figure.savefig(path, format="png", dpi=150, metadata={"Software": None})


# ---- the figures, in the order of the book ---------------------------------------------------------------------------

def overview(scores: pd.DataFrame) -> Figure:
    """Draw the main figure: odd-one-out at both levels, representational similarity and five-shot classes, five stages each."""
    similarity_rows = _rows(scores, MAIN, task="similarity-judgments", metric="rsa-spearman")
    taught = _rows(scores, MAIN, task="few-shot", split="group/5-shot", metric="accuracy")
    figure = _panels([
        *(_level(scores, level, MAIN, level) for level in SHOWN_LEVELS),
        _Panel("similarity judgments", similarity_rows, "Spearman correlation", line=0.0),
        _Panel("five-shot classes (5 groups)", taught, "accuracy", line=0.2),
    ], labels=(*MAIN, "ceiling"), foot=LINES)
    figure.suptitle("Simulated observers, not people", fontsize=9, fontweight="bold")
    return figure


def pictures(names: Sequence[str]) -> Figure:
    """Draw each named concept in both drawing styles.

    Raises:
        HumalignError: no concept has such a name.
    """
    known = concepts()["concept"].tolist()
    for name in names:
        if name not in known:
            raise HumalignError(f"no concept {name!r}: {nearest(name, known)}")
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(len(STYLES), len(names), figsize=(WIDTH, 2.15 * WIDTH / max(len(names), 3) + 0.5), squeeze=False)
        for line, style in zip(grid, STYLES, strict=True):
            drawings = EmojiImages(style, size=160)
            for axes, name in zip(line, names, strict=True):
                axes.imshow(np.asarray(drawings[known.index(name)]))
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
            line[0].set_ylabel(style)
        for axes, name in zip(grid[0], names, strict=True):
            axes.set_title(name.replace("_", "\n"), loc="center")
        plt.close(figure)
    return figure


def calibration(scores: pd.DataFrame) -> Figure:
    """Draw majority share and choice entropy of the simulated observers against those of people on THINGS (dotted)."""
    def panel(metric: str, axis: str, people: float) -> _Panel:
        rows = _rows(scores, ("ceiling",), task="calibration", metric=metric).assign(label="simulated\nobservers")
        return _Panel(f"dotted: people on THINGS, {people:.3f}", rows, axis, "triplets", people)

    return _panels([
        panel("majority-share", "majority share", THINGS_MAJORITY_SHARE),
        panel("choice-entropy", "choice entropy (nats)", THINGS_CHOICE_ENTROPY),
    ], labels=("simulated\nobservers",))


def pull_selection(scores: pd.DataFrame) -> Figure:
    """Draw the log-probability of answers about hidden training concepts by the weight of the pull; bars are ranges over folds."""
    rows = _rows(scores, task="pull-selection", metric="log-probability")
    rows = rows.iloc[np.argsort(rows["split"].astype(float).to_numpy())]
    ticks = sorted(rows["split"].astype(float))
    return _courses([_Course(
        f"{FOLDS}; dotted: uniform guess", rows, float, "weight of the pull λ", "log-probability (nats)", "folds",
        ticks, -UNIFORM)], x_scale="log")


def teacher_gain(scores: pd.DataFrame) -> Figure:
    """Draw the teacher beside its backbone, centred and not, by level and by what was withheld from the fit."""
    stages = ("teacher-base", "teacher-centred", "teacher")
    return _panels([
        _level(scores, level + subset, stages, f"{level}\n{name}") for subset, name in SUBSETS.items() for level in SHOWN_LEVELS
    ], labels=(*stages, "ceiling"), same_scale=True, foot=LINES)


def triplet_labels(scores: pd.DataFrame) -> Figure:
    """Draw how sure the triplets' labels are, how often they follow the taxonomy, and how often both labellings agree."""
    def panel(metric: str, title: str, axis: str, line: float | None = None) -> _Panel:
        rows = _rows(scores, task="triplets", split="cluster-border", metric=metric)
        return _Panel(title, rows, axis, "folds", line)

    return _panels([
        panel("label-entropy", "entropy of a label", "nats (dotted: uniform)", UNIFORM),
        panel("pair-in-one-subgroup", "pair in one subgroup", "share of rows"),
        panel("same-choice", "same as backbone", "share of rows"),
    ], columns=3, foot=FOLDS)


def training_curves(scores: pd.DataFrame) -> Figure:
    """Draw the divergence from the labels along the training of both students; bars are ranges over folds."""
    rows = _rows(scores, task="distillation", metric="divergence")
    return _courses([_Course(FOLDS, rows, lambda split: float(split.split()[-1]), "step of training",
                             "Jensen-Shannon divergence (nats)", "folds")], y_scale="log")


def teacher_agreement(scores: pd.DataFrame) -> Figure:
    """Draw how often a student keeps the pair that the teacher keeps, on held-out concepts."""
    rows = _rows(scores, task="distillation", split="held-out", metric="agreement-with-teacher")
    return _panels([_Panel("", rows, "share of triplets on which student and teacher agree (dotted: chance)", "triplets", CHANCE)],
                   columns=1)


def levels(scores: pd.DataFrame) -> Figure:
    """Draw odd-one-out accuracy of every stage at the three levels, with the ceiling; ``local-fine`` has the ceiling only."""
    return _panels([_level(scores, level, STAGES, level) for level in (*SHOWN_LEVELS, "local-fine")],
                   labels=(*STAGES, "ceiling"), columns=1, same_scale=True, foot=LINES)


def gains(scores: pd.DataFrame) -> Figure:
    """Draw paired differences of accuracy at both levels, with the line of no difference."""
    names = {f"{stage} − {reference}": (stage, f"accuracy-above-{reference}") for stage, reference in PAIRS}

    def panel(level: str) -> _Panel:
        found = [pick(scores, task="odd-one-out", split=level, stage=stage, metric=metric).assign(label=name)
                 for name, (stage, metric) in names.items()]
        return _Panel(level, pd.concat(found), "difference of accuracy", "triplets", 0.0)

    return _panels([panel(level) for level in SHOWN_LEVELS], labels=list(names), foot="dotted: no difference")


def similarity(scores: pd.DataFrame) -> Figure:
    """Draw the rank correlation of each stage's dissimilarities with the observers' own."""
    rows = _rows(scores, task="similarity-judgments", metric="rsa-spearman")
    return _panels([_Panel("", rows, "Spearman with the observers' similarity (dotted: none)", line=0.0)], columns=1)


def uncertainty(scores: pd.DataFrame) -> Figure:
    """Draw agreement of entropies, and the cross-entropy of the observers' answers, at both levels."""
    def panel(level: str, metric: str, axis: str, line: float) -> _Panel:
        return _Panel(level, _rows(scores, task="uncertainty", split=level, metric=metric), axis, "triplets", line)

    return _panels([
        *(panel(level, "entropy-spearman", "Spearman of entropies", 0.0) for level in SHOWN_LEVELS),
        *(panel(level, "cross-entropy", "cross-entropy (nats)", UNIFORM) for level in SHOWN_LEVELS),
    ], foot="dotted: no correlation, and the cross-entropy of a uniform guess")


def hierarchy(scores: pd.DataFrame) -> Figure:
    """Draw mean standardised distances by relation in the taxonomy, and their change from the untransformed stage."""
    def panels(split: str, name: str) -> list[_Panel]:
        shown = {"standardised-distance": "standardised distance", "change-from-base": "change from untransformed"}
        found = {axis: _rows(scores, task="hierarchy", split=split, metric=metric) for metric, axis in shown.items()}
        return [_Panel(name, rows, axis, "pairs", 0.0) for axis, rows in found.items()]

    return _panels([panel for split, name in RELATIONS.items() for panel in panels(split, name)], same_scale=True,
                   foot="dotted: mean over all pairs, and no change")


def _shots(scores: pd.DataFrame, task: str) -> Figure:
    def course(level: str, classes: str, chance: float | None) -> _Course:
        rows = _rows(scores, MAIN, task=task, metric="accuracy")
        rows = rows[rows["split"].str.startswith(f"{level}/")]
        ticks = sorted({_shot(split) for split in rows["split"]})
        return _Course(classes, rows, _shot, "pictured concepts a class (k)", "accuracy", "concepts", ticks, chance)

    return _courses([course("group", "5 groups (dotted: chance)", 0.2), course("subgroup", "subgroups", None)], x_scale="log")


def _shot(split: str) -> float:
    return float(split.split("/")[1].removesuffix("-shot"))


def few_shot(scores: pd.DataFrame) -> Figure:
    """Draw accuracy of classes learned from k concepts, tested in the same drawing style."""
    return _shots(scores, "few-shot")


def style_shift(scores: pd.DataFrame) -> Figure:
    """Draw accuracy of classes learned from k concepts in one drawing style, tested in the other."""
    return _shots(scores, "style-shift")


def same_concept(scores: pd.DataFrame) -> Figure:
    """Draw how often a picture's nearest neighbour in the other drawing style shows the same concept."""
    rows = _rows(scores, task="style-shift", split="same-concept", metric="nearest-neighbour")
    return _panels([_Panel("", rows, "share of pictures that find their concept in the other style")], columns=1)
