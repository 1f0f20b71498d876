"""The arrows of the first page: each main measure before and after alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from humalign.errors import HumalignError
from humalign.show import cells, gains, panels
from humalign.show.drawing import DASHED, GAIN, HOVER, INK, LOSS, STYLE, UNCLEAR, WIDTH, Drawing, wrapped
from humalign.show.gains import Gain
from humalign.show.stages import WHO, in_percent, name

COLOURS = {"better": GAIN, "worse": LOSS, "unclear": UNCLEAR}
WORDS = {"better": "", "worse": ": worse", "unclear": ": unclear"}
SLOT = 0.5


@rc_context(STYLE)
def arrows(scores: pd.DataFrame, measures: Sequence[str] = gains.MAIN) -> Drawing:
    """Draw every main measure before and after alignment, with its gain over the best baseline in words.

    A circle is the network as it was, a ring the best baseline that no judgment entered, an arrow's head the
    aligned one, the line below the arrow its 95 % interval, and a dashed mark people's own score. Accuracies
    and correlations have axes of their own.

    Args:
        scores: the table.
        measures: names in ``gains.MEASURES``, in their order.

    Raises:
        HumalignError: the scores have none of them.
    """
    found = gains.every(scores, measures)
    parts = [[gain for gain in found if in_percent(str(gain.after["metric"])) is percent]
             for percent in (True, False)]
    parts = [part for part in parts if part]
    if not parts:
        raise HumalignError("no scores before and after alignment: make them with `humalign run scores`")
    heights = [SLOT * len(part) for part in parts]
    figure = Drawing(figsize=(WIDTH, sum(heights) + 0.6 * len(parts) + 0.9))
    grid = figure.subplots(len(parts), 1, height_ratios=heights, squeeze=False)
    for axes, part in zip(grid.flat, parts, strict=True):
        _part(axes, part)
    _key(figure, found)
    foot = "Right: gain over the best baseline without judgments. Line below an arrow: 95 % interval of its end."
    figure.supxlabel(wrapped(foot), fontsize=10)
    rows = pd.concat([gain.rows for gain in found])
    said = "; ".join(_said(gain) for gain in found)
    # Accuracies by labels stand beside people's judgments: each is named, and nothing is averaged over them.
    evidence = ", ".join(said for kind, said in WHO.items() if kind in set(rows["evidence"]))
    evidence = f"{evidence[0].upper()}{evidence[1:]}; run {', '.join(dict.fromkeys(rows['profile']))}"
    panels.finish(figure, rows, evidence, said, (__name__, "arrows"))
    return figure


def _part(axes: Axes, part: Sequence[Gain]) -> None:
    """Draw the gains of one unit below each other."""
    percent = in_percent(str(part[0].after["metric"]))
    for place, gain in enumerate(part):
        y, colour = -place, COLOURS[gain.side]
        start, end, best = (row["value"] for row in (gain.before, gain.after, gain.best))
        hover = HOVER + _said(gain)
        axes.plot([gain.after["low"], gain.after["high"]], [y - 0.18] * 2, color=colour, linewidth=1.6,
                  alpha=0.7, solid_capstyle="butt", gid=hover)
        axes.annotate("", (end, y), (start, y), arrowprops={
            "arrowstyle": "-|>", "color": colour, "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0,
            "mutation_scale": 12})
        axes.plot(start, y, marker="o", color=UNCLEAR, markersize=7, markeredgewidth=0, gid=hover)
        axes.plot(best, y, marker="o", color=INK, markersize=9, markerfacecolor="none", linestyle="",
                  markeredgewidth=1.3, gid=HOVER + f"{name(gain.best['stage'])}: {cells.number(gain.best)}")
        if gain.people is not None:
            axes.plot([gain.people["value"]] * 2, [y - 0.28, y + 0.2],
                      **DASHED, gid=HOVER + f"people: {cells.number(gain.people)}")
        left, right = min(start, end, best), max(start, end, best)
        near = dict(zip((start, end), (cells.rounded(gain.before), cells.rounded(gain.after)), strict=True))
        for at, side, shift in ((left, "right", -7), (right, "left", 7)):
            value = start if abs(start - at) < abs(end - at) else end
            axes.annotate(near[value], (at, y), (shift, 0), textcoords="offset points", ha=side,
                          va="center", fontsize=9)
        over = axes.get_yaxis_transform()
        axes.text(0, y + 0.34, f"{gain.measure.title} ({gain.who})", transform=over, va="center")
        unit = " points" if percent else ""
        axes.text(1, y + 0.34, f"{cells.rounded(gain.over)}{unit}{WORDS[gain.side]}", transform=over,
                  va="center", ha="right", weight="bold")
    axes.set(ylim=(-len(part) + 0.55, 0.55), yticks=[], xlabel="accuracy (%)" if percent else "correlation")
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.16)
    if percent:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{100 * at:.4g}"))


def _key(figure: Drawing, found: Sequence[Gain]) -> None:
    looks: dict[str, dict[str, Any]] = {
        "before": {"marker": "o", "color": UNCLEAR, "markersize": 7, "markeredgewidth": 0},
        "best without judgments": {"marker": "o", "color": INK, "markersize": 9, "markerfacecolor": "none"},
        "aligned: better": {"marker": ">", "color": GAIN}, "worse": {"marker": ">", "color": LOSS},
    }
    handles = [Line2D([], [], linestyle="", **look) for look in looks.values()]
    if any(gain.people is not None for gain in found):
        handles.append(Line2D([], [], **DASHED))
        looks["people"] = {}
    figure.legend(handles, list(looks), loc="outside upper center", ncols=3, columnspacing=1,
                  handlelength=1.2)


def _said(gain: Gain) -> str:
    """Say one gain in words: before, after, and over what."""
    unit = " points" if in_percent(str(gain.after["metric"])) else ""
    low, high = (cells.rounded(gain.over, end) for end in ("low", "high"))
    word = {"better": "better", "worse": "worse", "unclear": "the interval includes zero"}[gain.side]
    return (f"{gain.measure.title}, {gain.who}: {cells.rounded(gain.before)} before, "
            f"{cells.rounded(gain.after)} after; {cells.rounded(gain.over)}{unit} ({low} to {high}) "
            f"over {name(gain.best['stage'])}, {word}")
