"""How figures are drawn: one style, one colour and one marker for a stage, intervals as bars.

No two markers are alike, so that nothing is told by colour alone. A bar is a 95 % interval, or a range over folds where
the axis says so. The dashed line is the noise ceiling.
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
from matplotlib.lines import Line2D

from humalign.evaluation.scores import pick
from humalign.show.tables import STAGES

WIDTH = 5.8
STYLE: Any = {
    "figure.dpi": 150, "figure.constrained_layout.use": True, "font.family": "DejaVu Sans", "font.size": 9, "axes.labelsize": 9,
    "axes.titlesize": 9, "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False, "xtick.labelsize": 9,
    "ytick.labelsize": 9, "legend.fontsize": 9, "legend.frameon": False, "axes.axisbelow": True, "figure.facecolor": "white",
}
# Of the Okabe-Ito family, each line of models from light to dark, for print in grey.
COLOURS = {
    "base": "#7d7d7d", "base-centred": "#b4b4b4", "unaligned": "#e69f00", "aligned": "#005a94", "aligned-head": "#56b4e9",
    "teacher-base": "#e694bd", "teacher-centred": "#f2b48a", "teacher": "#8a2c0d", "ceiling": "#000000",
    "predecessor": "#7570b3", "teacher-one-hot": "#d55e00", "teacher-distilled": "#b5871a", "teacher-published": "#5c5200",
    "ridge-strict": "#7fc8ae", "ridge": "#00735a", "observer": "#4a9fd4", "dense": "#009e73", "sparse": "#cc79a7",
}
MARKERS: dict[str, Any] = {
    "base": "o", "base-centred": "p", "unaligned": "s", "aligned": "D", "aligned-head": "H",
    "teacher-base": "^", "teacher-centred": "v", "teacher": "X", "ceiling": "d",
    "predecessor": (3, 1, 0),
    "teacher-one-hot": "<", "teacher-distilled": "P", "teacher-published": ">", "ridge-strict": "h", "ridge": "8", "observer": "*",
    "dense": (5, 0, 180), "sparse": (6, 1, 0),
}
TITLE: Any = {"weight": "bold", "size": 9}
CHANCE, UNIFORM = 1 / 3, float(np.log(3))
DASHED: Any = (0, (4, 3))
LINES = "dashed: noise ceiling of the simulated observers; dotted: chance"
FOLDS = "bars: range over folds"
EMPTY = "no score: within one subgroup\nthe observers' truth is a random\nvector of each concept's own,\nwhich no picture can show"


@dataclasses.dataclass(frozen=True)
class Panel:
    """One pair of axes: rows with a ``label`` each, what is counted, and a line or a band to compare them with."""

    title: str
    rows: pd.DataFrame
    axis: str
    counted: str = "concepts"
    line: float | None = None
    note: str = ""
    band: tuple[float, float] | None = None


def stage_rows(scores: pd.DataFrame, stages: Sequence[str] = STAGES, **where: str) -> pd.DataFrame:
    """Pick rows in the order of the stages, each labelled with its stage; none at all is an error."""
    found = pick(scores, **where)
    found = found[found["stage"].isin(stages)]
    if found.empty:
        raise KeyError(f"no scores of stages {', '.join(stages)} fit {where}")
    order = found["stage"].map(list(stages).index)
    return found.assign(label=found["stage"]).iloc[np.argsort(order.to_numpy(), kind="stable")]


def _count(panel: Panel) -> str:
    counts = sorted(set(panel.rows.loc[panel.rows["value"].notna(), "n"]))
    if not counts:
        return ""
    return f"n = {counts[0]:,}" + (f" to {counts[-1]:,}" if len(counts) > 1 else "") + f" {panel.counted}"


def _interval(axes: Axes, row: pd.Series, y: int | float, said: bool = True, bound: bool | None = None) -> None:
    """Draw one value with its interval, and print it at the right; a ceiling of odd-one-out, or of any ``bound``, is a line too."""
    colour = COLOURS[row["stage"]]
    axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot(row["value"], y, marker=MARKERS[row["stage"]], color=colour, markersize=5.5, markeredgecolor="white", markeredgewidth=0.6)
    if row["stage"] == "ceiling" and (row["task"] == "odd-one-out" if bound is None else bound):
        axes.axvline(row["value"], color="black", linestyle=DASHED, linewidth=1, zorder=0)
    if said:
        value = f"{row['value']:.3f}".replace("-", "\N{MINUS SIGN}")
        axes.text(1.01, y, value, transform=axes.get_yaxis_transform(), va="center", ha="left")


def _draw(axes: Axes, panel: Panel, labels: Sequence[str]) -> None:
    shown = panel.rows[panel.rows["value"].notna()]
    for _, row in shown.iterrows():
        _interval(axes, row, list(labels).index(row["label"]))
    if panel.band is not None:
        axes.axvspan(*panel.band, color="#e4e4e4", linewidth=0, zorder=0)
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


def draw_panels(
    panels: Sequence[Panel], labels: Sequence[str] = STAGES, columns: int = 2, same_scale: bool = False, foot: str = "",
    heading: str = "",
) -> Figure:
    """Draw panels line by line; those of a line share their labels, from bottom to top, as far as one of them uses them.

    ``same_scale`` gives the panels of a column one scale, ``foot`` is said once below all, ``heading`` above.
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
        _say(figure, heading, foot)
        plt.close(figure)
    return figure


@dataclasses.dataclass(frozen=True)
class Course:
    """One pair of axes on which a value runs along a number that the split names."""

    title: str
    rows: pd.DataFrame
    across: Callable[[str], float]
    axis: str
    value: str
    counted: str
    ticks: Sequence[float] | None = None
    line: float | None = None
    ceiling: float | None = None


def draw_courses(
    courses: Sequence[Course], x_scale: str = "linear", y_scale: str = "linear", foot: str = "", heading: str = "", same_scale: bool = True
) -> Figure:
    """Draw values along a number, a line a stage, with a common key; ``foot`` is said below all, ``heading`` above.

    All share one scale of values, unless ``same_scale`` is false: each then has its own, and its title says what they are.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, len(courses), figsize=(WIDTH, 3.4), squeeze=False, sharey=same_scale)
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
            if course.ceiling is not None:
                axes.axhline(course.ceiling, color="black", linestyle=DASHED, linewidth=1, zorder=0)
            count = _count(Panel("", course.rows, "", course.counted))
            axes.set_title(f"{course.title}\n{count}" if course.title else count)
            axes.grid(axis="y", color="#eeeeee", linewidth=0.8)
        grid[0, 0].set_ylabel(courses[0].value)
        handles, names = grid[0, 0].get_legend_handles_labels()
        if len(names) > 1:
            figure.legend(handles, names, title=heading, title_fontproperties=TITLE, loc="outside upper center",
                          ncols=min(5, len(names)), columnspacing=1, handlelength=1.5)
        _say(figure, heading if len(names) == 1 else "", foot)
        plt.close(figure)
    return figure


def draw_groups(
    panels: Sequence[Panel], stages: Sequence[str], columns: int = 1, slot: float = 0.17, foot: str = "", heading: str = "",
    ceiling: str = "ceiling",
) -> Figure:
    """Draw items one below the other, in the order of a panel's rows, the stages of an item close together, with a common key.

    A stage takes ``slot`` inches of height; where that leaves room for text, its value stands at the right. A panel whose row of the
    stage ``ceiling`` is all that its item has draws the dashed line there; ``ceiling`` is that stage's name in the key.
    """
    lines = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [max(_slots(panel.rows) for panel in line) * slot + 0.75 for line in lines]
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(lines), columns, figsize=(WIDTH, sum(heights) + 0.3 * bool(foot) + 0.6), height_ratios=heights, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw_groups(axes, panel, stages, slot)
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        found = [stage for stage in stages if any((panel.rows["stage"] == stage).any() for panel in panels)]
        keys = [Line2D([], [], color=COLOURS[stage], marker=MARKERS[stage], markersize=5.5, linewidth=2.2) for stage in found]
        names = [ceiling if stage == "ceiling" else stage for stage in found]
        figure.legend(keys, names, title=heading, title_fontproperties=TITLE, loc="outside upper center",
                      ncols=min(4, len(found)), columnspacing=1, handlelength=1.5)
        _say(figure, "", foot)
        plt.close(figure)
    return figure


def _slots(rows: pd.DataFrame) -> float:
    return len(rows) + 0.6 * rows["label"].nunique()


def _draw_groups(axes: Axes, panel: Panel, stages: Sequence[str], slot: float) -> None:
    y, ticks = 0.0, []
    for label, rows in panel.rows.groupby("label", sort=False):
        rows = rows.iloc[np.argsort([list(stages).index(stage) for stage in rows["stage"]], kind="stable")]
        ticks.append((y - (len(rows) - 1) / 2, str(label)))
        for _, row in rows.iterrows():
            _interval(axes, row, y, said=slot >= 0.15, bound=len(rows) == 1)
            y -= 1
        axes.axhline(y + 0.2, color="#eeeeee", linewidth=0.8, zorder=0)
        y -= 0.6
    if panel.line is not None:
        axes.axvline(panel.line, color="#555555", linestyle=":", linewidth=1, zorder=0)
    axes.set_yticks(*zip(*ticks, strict=True))
    axes.set_ylim(y + 0.8, 0.8)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    items = dataclasses.replace(panel, rows=panel.rows[panel.rows["stage"] != "ceiling"])
    axes.set_title("\n".join(filter(None, (panel.title, _count(items)))))
    axes.set_xlabel(panel.axis)


def _say(figure: Figure, heading: str, foot: str) -> None:
    if heading:
        figure.suptitle(heading, fontsize=9, fontweight="bold")
    if foot:
        figure.supxlabel(foot, fontsize=9)


def level_panel(scores: pd.DataFrame, split: str, stages: Sequence[str], title: str) -> Panel:
    """Odd-one-out accuracy of one split, below its ceiling."""
    rows = stage_rows(scores, (*stages, "ceiling"), task="odd-one-out", split=split, metric="accuracy")
    note = EMPTY if rows.loc[rows["stage"] != "ceiling", "value"].isna().all() else ""
    return Panel(title, rows, "odd-one-out accuracy", "triplets", CHANCE, note)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, 150 dots an inch, the same bytes each time: neither date nor version of the software is in it."""
    figure.savefig(path, format="png", dpi=150, metadata={"Software": None})
