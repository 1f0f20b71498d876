"""Panels of a figure: scores on one pair of axes, what they are compared with, and what they say in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from humalign.errors import HumalignError
from humalign.show import cells, drawing, stages
from humalign.show.drawing import BAND, DASHED, DOTTED, HOVER, LETTERS, POINT, Drawing, look, wrapped
from humalign.show.stages import WHO, in_order, in_percent

Line = tuple[float, str]
# So many numbers are read out of a panel.
READ = 40


@dataclasses.dataclass(frozen=True)
class Panel:
    """One pair of axes: scores with their ``label`` and its ``place``, and what they are compared with."""

    title: str
    rows: pd.DataFrame
    axis: str
    unit: str
    line: Line | None
    band: tuple[float, float, str] | None

    @property
    def ceiling(self) -> pd.DataFrame:
        """The rows of the ceiling."""
        return self.rows[self.rows["stage"] == "ceiling"]

    @property
    def models(self) -> pd.DataFrame:
        """The rows that have a value and are not the ceiling's."""
        return self.rows[(self.rows["stage"] != "ceiling") & self.rows["value"].notna()]

    def head(self, letters: int) -> str:
        """Return the title and n, that of the models or, where there are none, of the ceiling."""
        counts = sorted(set((self.ceiling if self.models.empty else self.models)["n"]))
        said = f"n = {counts[0]:,}" + (f" to {counts[-1]:,}" if len(counts) > 1 else "") + f" {self.unit}"
        beside = len(self.title) + len(said) < letters - 2 and not self.title.endswith("?")
        return wrapped(self.title + (", " if beside else "\n") * bool(self.title) + said, letters)

    @property
    def percent(self) -> bool:
        """Whether its values are shares, which are shown in percent."""
        return all(map(in_percent, self.rows["metric"]))

    @property
    def named(self) -> str:
        """The name of its values, with their unit."""
        differs = self.rows["metric"].str.contains("-above-").all()
        return self.axis + (" (percentage points)" if differs else " (%)") * self.percent

    def check(self, column: str) -> None:
        """Check that a stage has one score for each value of a column.

        Raises:
            HumalignError: it has several, which would cover each other, or one without a value of the column.
        """
        bad = self.models[self.models.duplicated(["called", column]) | self.models[column].isna()]
        for row in bad.head(1).to_dict("records"):
            where = f"task {row['task']!r}, {column} {row[column]!r}"
            raise HumalignError(f"not one score for each {column} of the stage {row['stage']!r} ({where}): "
                                f"name the set, item or model of the panel")

    def compare(self, axes: Axes, along: bool = False) -> None:
        """Draw ceiling, line and band across the values, which are y where a panel runs ``along`` x."""
        if self.percent:
            (axes.yaxis if along else axes.xaxis).set_major_formatter(drawing.percent)
        across, span = (axes.axhline, axes.axhspan) if along else (axes.axvline, axes.axvspan)
        for value in self.ceiling["value"].dropna():
            across(value, **DASHED)
        if self.line:
            across(self.line[0], **DOTTED)
        if self.band:
            span(*self.band[:2], **BAND)


def heading(rows: pd.DataFrame, who: str = "") -> str:
    """Say on whose evidence scores stand, or ``who`` where they do not say enough, and which profile was run.

    Raises:
        HumalignError: people's judgments and other evidence, which must not share a figure.
    """
    kinds = in_order(rows["evidence"], WHO)
    if "human" in kinds and len(kinds) > 1:
        raise HumalignError(f"a figure has evidence of several kinds, {', '.join(kinds)}: "
                            f"draw people's judgments in a figure of their own")
    said = who or "; ".join(WHO[kind] for kind in kinds)
    return f"{said[0].upper()}{said[1:]}; run {', '.join(sorted(set(rows['profile'])))}"


def frame(
    figure: Drawing, panels: Sequence[Panel], who: str, foot: str, key: bool, made: tuple[str, str]
) -> None:
    """Write a key of the stages above a figure, the meaning of its lines below it, and what it says in words.

    Args:
        figure: of the panels.
        who: on whose evidence it stands; simulated evidence is said above the figure itself.
        foot: text below, before the meaning of the lines.
        key: whether stages need a key.
        made: module and name of the function that drew it.
    """
    rows = pd.concat([each.rows for each in panels])
    evidence = heading(rows, who)
    above = wrapped(evidence, LETTERS - 6) if "simulated" in set(rows["evidence"]) else ""
    models = pd.concat([each.models for each in panels])
    stage_of = dict(zip(models["called"], models["stage"], strict=True))
    places = in_order(stage_of.values())
    drawn = sorted(stage_of, key=lambda called: places.index(stage_of[called]))
    bold: Any = {"weight": "bold", "size": 10}
    if key and len(drawn) > 1:
        looks = {called: look(stage_of[called]) for called in drawn}
        handles = [Line2D([], [], linewidth=2.2, color=colour, marker=marker, **POINT)
                   for colour, marker in looks.values()]
        longest = max(map(len, looks))
        figure.legend(handles, list(looks), title=above or None, title_fontproperties=bold,
                      loc="outside upper center", ncols=max(1, min(len(looks), LETTERS // (longest + 6))),
                      columnspacing=1, handlelength=1.5)
    elif above:
        figure.suptitle(above, **bold)
    tops = [label for each in panels for label in each.ceiling["label"]]
    meant = {
        "dashed": tops,
        "dotted": [each.line[1] for each in panels if each.line],
        "grey": [each.band[2] for each in panels if each.band],
    }
    lines = [f"{what}: {', '.join(dict.fromkeys(means))}" for what, means in meant.items() if means]
    figure.supxlabel(wrapped("; ".join(filter(None, [foot, *lines]))), fontsize=10)
    finish(figure, rows, evidence, "; ".join(filter(None, map(read_out, panels))), made)


def finish(figure: Drawing, rows: pd.DataFrame, evidence: str, said: str, made: tuple[str, str]) -> None:
    """Give a figure its words and its line of links."""
    figure.said = f"{said}. {evidence}."
    figure.foot = cells.links(rows, *made, said=evidence)


def read_out(panel: Panel) -> str:
    """Say what a panel shows, number by number."""
    each = []
    for row in panel.rows.dropna(subset="value").head(READ).to_dict("records"):
        at = "" if pd.isna(row["x"]) else f" at {row['x']:,.10g}"
        which = [stages.metric(row["metric"])] if panel.rows["metric"].nunique() > 1 else []
        names = dict.fromkeys((str(row["label"]).replace("\n", " "), row["called"], *which))
        each.append(f"{', '.join(names)}{at} {cells.number(row)}")
    more = len(panel.rows) - READ
    head = " ".join(filter(None, (panel.title.rstrip("?:") + ":" if panel.title else "", panel.named)))
    return f"{head}: {'; '.join(each)}" + (f"; and {more} more" if more > 0 else "")


def points(axes: Axes, rows: pd.DataFrame, places: Mapping[tuple[str, str], float], printed: bool) -> None:
    """Draw scores as points with intervals, at the heights of their labels and stages, and their values."""
    for row in rows.dropna(subset="value").to_dict("records"):
        y, (colour, marker) = places[row["label"], row["stage"]], look(row["stage"])
        hover = f"{HOVER}{row['label']}, {row['called']}: {cells.number(row)}, n = {row['n']:,}"
        ends = [row["low"], row["high"]]
        axes.plot(ends, [y, y], color=colour, linewidth=2.2, solid_capstyle="butt", gid=hover)
        axes.plot(row["value"], y, color=colour, marker=marker, gid=hover, **POINT)
        if printed:
            axes.text(1.01, y, cells.rounded(row), transform=axes.get_yaxis_transform(), va="center")
    heights = {label: [y for (of, _), y in places.items() if of == label] for label, _ in places}
    axes.set_yticks([float(np.mean(found)) for found in heights.values()], list(heights))
    axes.set_ylim(min(places.values()) - 0.7, 0.7)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y")
    axes.margins(x=0.08)


def lines(axes: Axes, rows: pd.DataFrame, log: str) -> None:
    """Draw a line for each stage along ``x``, its intervals as bars and as a band."""
    drawn, ticks = in_order(rows["stage"]), sorted(set(rows["x"]))
    for place, stage in enumerate(drawn):
        found, (colour, marker) = rows[rows["stage"] == stage].sort_values("x"), look(stage)
        # A little to each side, so that intervals at one x do not cover each other.
        aside = place - (len(drawn) - 1) / 2
        x = found["x"] * 1.04**aside if "x" in log else found["x"] + 0.008 * aside * (ticks[-1] - ticks[0])
        axes.fill_between(x, found["low"], found["high"], color=colour, alpha=0.12, linewidth=0)
        axes.vlines(x, found["low"], found["high"], color=colour, linewidth=1.6)
        axes.plot(x, found["value"], color=colour, marker=marker, linewidth=1.2, **POINT)
        for at, row in zip(x, found.to_dict("records"), strict=True):
            hover = f"{HOVER}{row['called']} at {row['x']:,.10g}: {cells.number(row)}, n = {row['n']:,}"
            axes.plot(at, row["value"], color=colour, marker=marker, gid=hover, **POINT)
    axes.set(xscale="log" if "x" in log else "linear", yscale="log" if "y" in log else "linear")
    if len(ticks) <= 6:
        axes.set_xticks(ticks, [f"{tick:g}" if tick < 10_000 else f"{tick / 1000:.3g}k" for tick in ticks])
        axes.set_xticks([], minor=True)
    axes.grid(axis="y")
