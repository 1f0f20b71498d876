"""The figures of taxonomies on real photographs: distances by relation and by steps of WordNet, and maps of categories."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from humalign.evaluation.scores import pick
from humalign.show.drawing import COLOURS, MARKERS, STYLE, WIDTH, Panel, draw_groups, stage_rows
from humalign.show.figures_people import BEFORE_AFTER, heading
from humalign.show.tables_hierarchy import OBJECTS, PHOTOGRAPHS, RELATIONS, STAGES, paths
from humalign.show.tables_students import MAIN

TAXONOMY = "Names of things, no judgments"
CATEGORIES = "Categories of photographs, no judgments"
# Width of a letter and height of a line on a map, as shares of its axes.
LETTER, LINE = 0.0125, 0.045


def relations(scores: pd.DataFrame) -> Figure:
    """Draw the mean standardised distance of photographs by relation, and its paired change from the base, for both sets."""
    panels = []
    for name, title in (("things-photographs", "THINGS"), ("cifar10", "CIFAR-10")):
        for metric, axis in (("standardised-distance", "standardised distance"), ("standardised-distance-above-base", "change from base")):
            rows = stage_rows(scores, MAIN, task="hierarchy", metric=metric)
            rows = pd.concat([pick(rows, split=f"{name}/{relation}").assign(label=label) for relation, label in RELATIONS[name].items()])
            panels.append(Panel(title, rows, axis, "pairs", 0.0))
    return draw_groups(panels, MAIN, columns=2, heading=heading(pd.concat([panel.rows for panel in panels]), CATEGORIES),
                       foot="dotted: mean over all pairs, and no change")


def wordnet(scores: pd.DataFrame) -> Figure:
    """Draw the mean standardised distance of things by the steps of WordNet between them: unseen objects, and photographs."""
    panels = []
    for of, title in ((OBJECTS, "THINGS objects"), (PHOTOGRAPHS, "THINGS photographs")):
        rows = stage_rows(scores, STAGES[of], task="hierarchy", metric="standardised-distance")
        rows = pd.concat([pick(rows, split=split).assign(label=label) for split, label in paths(scores, of).items()])
        panels.append(Panel(title, rows, "standardised distance", "pairs", 0.0))
    return draw_groups(panels, [stage for several in STAGES.values() for stage in several], columns=2,
                       foot="dotted: mean over all pairs; observer: published VICE",
                       heading=heading(pd.concat([panel.rows for panel in panels]), TAXONOMY))


def object_map(scores: pd.DataFrame) -> Figure:
    """Draw where the categories of unseen THINGS objects stand in the plane, by the backbone and by its teacher."""
    return _maps(scores, "objects", BEFORE_AFTER, 4.4)


def class_map(scores: pd.DataFrame) -> Figure:
    """Draw where the classes of CIFAR-10 stand in the plane, by the base, the control and the aligned student."""
    return _maps(scores, "cifar10", MAIN, 2.7)


def _maps(scores: pd.DataFrame, of: str, stages: Sequence[str], height: float) -> Figure:
    """Draw one map a stage, below each other and of one scale."""
    found = stage_rows(scores, stages, task="map")
    found = found[found["split"].str.startswith(f"{of}/")]
    found = found.assign(name=found["split"].str.removeprefix(f"{of}/"))
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(len(stages), 1, figsize=(WIDTH, len(stages) * height + 0.5), sharex=True, sharey=True)
        shown = [(axes, stage, found[found["stage"] == stage]) for axes, stage in zip(grid, stages, strict=True)]
        for drawn in shown:
            _places(*drawn)
        # Where a name has room depends on the limits, which the maps share.
        for axes, _, rows in shown:
            _names(axes, rows)
        figure.suptitle(heading(found, TAXONOMY), fontsize=9, fontweight="bold")
        figure.supxlabel("crosses: 95 % intervals; both axes: standard deviations of distance", fontsize=9)
        plt.close(figure)
    return figure


def _both(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of both axes, in the same order of names."""
    x, y = (pick(rows, metric=axis).set_index("name") for axis in "xy")
    return x, y.loc[x.index]


def _places(axes: Axes, stage: str, rows: pd.DataFrame) -> None:
    x, y = _both(rows)
    axes.axhline(0, color="#eeeeee", linewidth=0.8, zorder=0)
    axes.axvline(0, color="#eeeeee", linewidth=0.8, zorder=0)
    axes.hlines(y["value"], x["low"], x["high"], color=COLOURS[stage], linewidth=0.8, alpha=0.5)
    axes.vlines(x["value"], y["low"], y["high"], color=COLOURS[stage], linewidth=0.8, alpha=0.5)
    axes.scatter(x["value"], y["value"], s=18, color=COLOURS[stage], marker=MARKERS[stage], edgecolor="white", linewidth=0.5, zorder=3)
    axes.margins(0.1)
    axes.set_title(f"{stage}, {len(x)} categories")


def _names(axes: Axes, rows: pd.DataFrame) -> None:
    x, y = _both(rows)
    for name, beside in zip(x.index, _beside(axes, x.index.tolist(), x["value"].to_numpy(), y["value"].to_numpy()), strict=True):
        place = x.at[name, "value"], y.at[name, "value"]
        line = {"arrowstyle": "-", "linewidth": 0.4, "color": "#999999", "shrinkA": 0, "shrinkB": 3} if beside[1] != place[1] else None
        axes.annotate(name, place, beside, fontsize=8, va="center", arrowprops=line)


def _beside(axes: Axes, names: list[str], x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> list[tuple[float, float]]:
    """Return where each name begins, and its height: right or left of its place, as near as it can be without covering another."""
    letter, line = LETTER * np.ptp(axes.get_xlim()), LINE * np.ptp(axes.get_ylim())
    taken: list[tuple[float, float, float]] = []
    found: dict[int, tuple[float, float]] = {}
    for place in np.argsort(-y, kind="stable").tolist():
        width = letter * len(names[place])
        lines = sorted(range(-len(names), len(names)), key=abs)
        ways = ((start, y[place] + away * line) for away in lines for start in (x[place] + letter, x[place] - letter - width))
        start, height = next(
            way for way in ways
            if all(abs(way[1] - h) >= line or way[0] > last or way[0] + width < first for first, last, h in taken)
        )
        taken.append((start, start + width, height))
        found[place] = (float(start), float(height))
    return [found[place] for place in range(len(names))]
