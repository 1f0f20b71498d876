"""Figures of other kinds: pictures, reliability diagrams, maps of categories, densities of changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes

from humalign.data.emoji import STYLES, EmojiImages, concepts
from humalign.errors import HumalignError, nearest
from humalign.evaluation.scores import above, one, pick
from humalign.show import cells
from humalign.show.cells import number
from humalign.show.drawing import DOTTED, POINT, STYLE, WIDTH, Drawing, look, percent
from humalign.show.figures import panel
from humalign.show.panels import Panel, frame, points
from humalign.show.stages import RELATIONS, SETS, short
from humalign.show.stages import name as called

# Width of a letter and height of a line on a map, as shares of its axes.
LETTER, LINE = 0.0175, 0.052
# So many that a picture can be seen on a phone.
BESIDE = 4
# Inches of height for the density of one relation.
SLOT = 0.5


@rc_context(STYLE)
def pictures(names: Sequence[str]) -> Drawing:
    """Draw each named concept in both drawing styles.

    Raises:
        HumalignError: no concept has such a name.
    """
    known = concepts()["concept"].tolist()
    for name in names:
        if name not in known:
            raise HumalignError(f"no concept {name!r}: {nearest(name, known)}")
    parts = [names[start : start + BESIDE] for start in range(0, len(names), BESIDE)]
    lines = [(style, part) for part in parts for style in STYLES]
    figure = Drawing(figsize=(WIDTH, 0.27 * WIDTH * len(lines)))
    grid = figure.subplots(len(lines), BESIDE, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for row, (style, line) in zip(grid, lines, strict=True):
        drawings = EmojiImages(style, size=160)
        row[0].set_ylabel(style)
        for axes, name in zip(row, line, strict=False):
            axes.imshow(np.asarray(drawings[known.index(name)]))
            axes.set_title(name if style == STYLES[0] else "", loc="center")
    figure.said = f"Drawings of {', '.join(names)}, each in the styles {' and '.join(STYLES)}."
    figure.foot = cells.links(None, __name__, "pictures")
    return figure


@rc_context(STYLE)
def reliability(scores: pd.DataFrame, stages: Sequence[str]) -> Drawing:
    """Draw how often a model is right against how sure it is, by bins, and its calibration error.

    Raises:
        HumalignError: a stage has no such scores.
    """
    metrics = ("expected-calibration-error", "confidence", "accuracy")
    found = panel(scores, task="calibration", metric=metrics, stages=stages)
    lines = -(-len(stages) // 2)
    figure = Drawing(figsize=(WIDTH, 0.55 * WIDTH * lines + 0.7))
    grid = figure.subplots(lines, 2, squeeze=False, sharex=True, sharey=True)
    for axes, stage in zip(grid.flat, stages, strict=False):
        _bins(axes, pick(found.rows, stage=stage))
        axes.label_outer()
    foot = "dotted: as sure as it is right; grey: surer than that"
    frame(figure, [found], "", foot, False, (__name__, "reliability"))
    return figure


def _bins(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw one stage: a point for each bin, whose area is the bin's share of the answers."""
    error = one(rows, metric="expected-calibration-error", split="unseen objects")
    binned = rows.dropna(subset="x")
    sure, right = (pick(binned, metric=metric).set_index("x") for metric in ("confidence", "accuracy"))
    right, (colour, marker) = right.loc[sure.index], look(error["stage"])
    axes.fill_between([1 / 3, 1], [1 / 3, 1], 0, color="#808080", alpha=0.15, linewidth=0, zorder=0)
    axes.plot([1 / 3, 1], [1 / 3, 1], **DOTTED)
    axes.vlines(sure["value"], right["low"], right["high"], color=colour, linewidth=1.8)
    axes.plot(sure["value"], right["value"], color=colour, linewidth=1)
    axes.scatter(sure["value"], right["value"], s=12 + 250 * sure["n"] / sure["n"].sum(), color=colour,
                 marker=marker, linewidth=0, zorder=3)
    axes.set(xlim=(1 / 3, 1), ylim=(0.3, 1), aspect="equal",
             xlabel="confidence (%)", ylabel="share right (%)",
             title=f"{called(error['stage'])}\nerror {number(error)}\nn = {error['n']:,} answers")
    axes.xaxis.set_major_formatter(percent)
    axes.yaxis.set_major_formatter(percent)


@rc_context(STYLE)
def maps(scores: pd.DataFrame, of: str, stages: Sequence[str], height: float, who: str = "") -> Drawing:
    """Draw where the categories of a set stand in the plane: one map for each stage, all of one scale.

    Args:
        scores: the table.
        of: the set.
        stages: from top to bottom.
        height: of a map, in inches.
        who: on whose evidence the figure stands, where the scores do not say enough.

    Raises:
        HumalignError: a stage has no such scores.
    """
    found = panel(scores, task="map", metric=("x", "y"), set=of, stages=stages)
    figure = Drawing(figsize=(WIDTH, len(stages) * height + 0.6))
    grid = figure.subplots(len(stages), 1, squeeze=False, sharex=True, sharey=True)
    both = [_both(pick(found.rows, stage=stage)) for stage in stages]
    for stage, axes, (x, y) in zip(stages, grid.flat, both, strict=True):
        colour, marker = look(stage)
        axes.axhline(0, color="#808080", alpha=0.3, linewidth=0.8, zorder=0)
        axes.axvline(0, color="#808080", alpha=0.3, linewidth=0.8, zorder=0)
        axes.hlines(y["value"], x["low"], x["high"], color=colour, linewidth=0.8, alpha=0.6)
        axes.vlines(x["value"], y["low"], y["high"], color=colour, linewidth=0.8, alpha=0.6)
        axes.plot(x["value"], y["value"], linestyle="", color=colour, marker=marker, **POINT)
        axes.margins(0.1)
        axes.set_title(f"{called(stage)}, n = {len(x)} categories")
    # Where a name has room depends on the limits, which the maps share.
    for axes, (x, y) in zip(grid.flat, both, strict=True):
        _name(axes, x["value"], y["value"])
    foot = "crosses: 95 % intervals; axes: standard deviations of distance"
    frame(figure, [found], who, foot, False, (__name__, "maps"))
    return figure


def _both(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of both axes, in the same order of names."""
    x, y = (pick(rows, metric=axis).set_index("item") for axis in "xy")
    return x, y.loc[x.index]


def _name(axes: Axes, x: pd.Series, y: pd.Series) -> None:
    thin = {"arrowstyle": "-", "linewidth": 0.5, "color": "#767676", "shrinkA": 0, "shrinkB": 3}
    for name, beside in _beside(axes, x.to_dict(), y.to_dict()).items():
        line = thin if beside[1] != y[name] else None
        axes.annotate(name, (x[name], y[name]), beside, fontsize=9, va="center", arrowprops=line)


def _beside(axes: Axes, x: dict[str, float], y: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Return where each name begins: right or left of its point, as near as it can be and cover no other."""
    letter, line = LETTER * np.ptp(axes.get_xlim()), LINE * np.ptp(axes.get_ylim())
    found: dict[str, tuple[float, float]] = {}

    def free(start: float, height: float, width: float) -> bool:
        return all(abs(height - h) >= line or start > first + letter * len(name) or start + width < first
                   for name, (first, h) in found.items())

    for name in sorted(x, key=lambda name: -y[name]):
        width = letter * len(name)
        ways = ((start, y[name] + away * line) for away in sorted(range(-len(x), len(x)), key=abs)
                for start in (x[name] + letter, x[name] - letter - width))
        found[name] = next(way for way in ways if free(*way, width))
    return found


@rc_context(STYLE)
def densities(scores: pd.DataFrame, changes: Sequence[dict[str, Any]], who: str = "") -> Drawing:
    """Draw the density of the change of pairs' distances in each relation, its mean, count of pairs and p.

    Args:
        scores: the table; what has no scores there is not drawn.
        changes: of a run's ``illustrations.json``: quantiles of the change by relation.
        who: on whose evidence the figure stands, where the scores do not say enough.

    Raises:
        HumalignError: nothing that was left for this figure has scores.
    """
    keys = ("set", "model", "stage")
    drawn = [each for each in changes if len(_tests(scores, **{key: each[key] for key in keys}))]
    if not drawn:
        raise HumalignError("no changes of distances to draw: make them with `humalign run illustrations`")
    figure = Drawing(figsize=(WIDTH, len(drawn) * (4 * SLOT + 0.9) + 0.6))
    grid = figure.subplots(len(drawn), 1, squeeze=False, sharex=True)
    panels = []
    for axes, each in zip(grid.flat, drawn, strict=True):
        where = {key: each[key] for key in keys}
        panels.append(found := _panel(scores, each["reference"], list(each["pairs"]), **where))
        places = {item: -float(row) for row, item in enumerate(found.rows["item"])}
        long = pd.DataFrame({"y": y, "x": x} for item, y in places.items() for x in each["pairs"][item])
        sns.violinplot(long, x="x", y="y", orient="h", native_scale=True, color=look(each["stage"])[0],
                       alpha=0.35, inner=None, cut=0, linewidth=0, density_norm="width", width=0.9,
                       gridsize=50, ax=axes)
        labels = dict(zip(found.rows["item"], found.rows["label"], strict=True))
        heights = {(labels[item], each["stage"]): y for item, y in places.items()}
        points(axes, found.rows, heights, printed=True)
        found.compare(axes)
        axes.set(title=found.title.replace(", ", ",\n"), xlabel=found.named, ylabel="")
        axes.tick_params(axis="x", labelbottom=True)
    ends = [quantiles[at] for each in drawn for quantiles in each["pairs"].values() for at in (1, -2)]
    grid[0, 0].set_xlim(min(ends), max(ends))
    foot = "areas: all pairs but the outermost; points: means with 95 % intervals; p: two-sided"
    frame(figure, panels, who, foot, False, (__name__, "densities"))
    return figure


def _tests(scores: pd.DataFrame, **where: Any) -> pd.DataFrame:
    return pick(scores, task="hierarchy", metric="permutation-p", **where)


def _panel(scores: pd.DataFrame, reference: str, relations: Sequence[str], **where: Any) -> Panel:
    """Return the mean changes, labelled by relation, number of pairs and p."""
    compared = f"{called(where['stage'])} less {called(reference)}"
    title = f"{SETS[where['set']]}: {short(where['model'])}, {compared}"
    tests = _tests(scores, **where)
    names = {item: RELATIONS[item] for item in relations}
    where |= {"task": "hierarchy", "metric": above("standardised-distance", reference)}
    found = panel(scores, title, by="item", names=names, axis="change of distance", **where)
    labels = []
    for row in found.rows.to_dict("records"):
        p = one(tests, item=row["item"])["value"]
        labels.append(f"{row['label']}\n{row['n']:,} pairs, p = {p:.3f}".replace("= 0.", "= ."))
    found.rows["label"] = labels
    return found
