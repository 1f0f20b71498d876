"""How figures look: one style, a colour and a marker for every stage, and the same bytes on every run.

Colours have a contrast of at least 3 to 1 on white. Markers differ too: colour is never the only sign.
The ground of a figure stays white on a dark page.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from humalign.errors import HumalignError, nearest
from humalign.show.stages import WHO, in_order

# Inches, and how many letters of 10 points fill them. On a phone, 390 pixels wide, they are 9 pixels high.
WIDTH, LETTERS = 5.4, 64
STYLE: Any = {
    "figure.constrained_layout.use": True, "figure.facecolor": "white", "font.family": "DejaVu Sans",
    "font.size": 10, "axes.labelsize": 10, "axes.titlesize": 10, "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "grid.color": "#e5e5e5",
    "xtick.labelsize": 10, "ytick.labelsize": 10, "legend.fontsize": 10, "legend.frameon": False,
    "svg.hashsalt": "humalign", "svg.fonttype": "path",
}
# The Okabe-Ito family, darkened. Of a stage and its reference the stage is darker, for print in grey.
LOOKS: dict[str, tuple[str, Any]] = {
    "base": ("#6e6e6e", "o"), "base-centred": ("#949494", "p"), "unaligned": ("#c77700", "s"),
    "base-whitened": ("#76828f", (4, 1, 0)), "base-random": ("#8f8272", (7, 1, 0)),
    "aligned-head": ("#2f93d0", "H"), "aligned": ("#004b87", "D"),
    "teacher-base": ("#d0679f", "^"), "teacher-centred": ("#b07aa1", "v"), "teacher": ("#8a2c0d", "X"),
    "teacher-whitened": ("#95659a", (4, 1, 45)), "teacher-random": ("#b06f86", (7, 0, 0)),
    "predecessor": ("#7570b3", (3, 1, 0)), "ridge-strict": ("#2f9e80", "h"), "ridge": ("#00604d", "8"),
    "teacher-one-hot": ("#d55e00", "<"), "teacher-distilled": ("#a8780f", "P"),
    "teacher-published": ("#5c5200", ">"), "observer": ("#3d8fd1", "*"), "ceiling": ("#000000", "d"),
    "people": ("#000000", (4, 0, 45)), "observers": ("#000000", (8, 1, 0)),
    "dense": ("#00735a", (5, 0, 180)), "sparse": ("#c0569b", (6, 1, 0)),
}
Line = tuple[float, str]
POINT: Any = {"markersize": 6, "markeredgecolor": "white", "markeredgewidth": 0.6}
DOTTED: Any = {"color": "#555555", "linestyle": ":", "linewidth": 1.2, "zorder": 0}
DASHED: Any = {"color": "black", "linestyle": (0, (4, 3)), "linewidth": 1, "zorder": 0}
BAND: Any = {"facecolor": "#e4e4e4", "edgecolor": "#767676", "linewidth": 0.8, "zorder": 0}


class Drawing(Figure):
    """A figure that a notebook shows as SVG."""

    def _repr_svg_(self) -> str:
        with io.BytesIO() as made:
            save(self, made)
            return made.getvalue().decode()


def save(figure: Figure, path: str | Path | io.BytesIO) -> None:
    """Write a figure as SVG, or as PNG (150 dots an inch) to a path ``*.png``; always the same bytes."""
    drawn = io.BytesIO()
    png = str(path).endswith(".png")
    metadata: dict[str, Any] = {"Software": None} if png else {"Date": None, "Creator": None}
    with rc_context(STYLE):
        figure.savefig(drawn, format="png" if png else "svg", dpi=150, metadata=metadata)
    made = drawn.getvalue() if png else _named(drawn.getvalue())
    if isinstance(path, io.BytesIO):
        path.write(made)
    else:
        Path(path).write_bytes(made)


def _named(svg: bytes) -> bytes:
    """Name each clip path of a figure by what it says: matplotlib's names come from numbers whose last digits the layout leaves open."""
    for name, said in re.findall(rb'<clipPath id="(\w+)">\s*(.*?)\s*</clipPath>', svg, re.DOTALL):
        svg = svg.replace(name, b"p" + hashlib.sha256(said).hexdigest()[:10].encode())
    return svg


def look(stage: str) -> tuple[str, Any]:
    """Return the colour and the marker of a stage.

    Raises:
        HumalignError: no stage has such a name.
    """
    if stage not in LOOKS:
        raise HumalignError(f"no colour is known for the stage {stage!r}: {nearest(stage, LOOKS)}")
    return LOOKS[stage]


def wrapped(text: str, letters: int = LETTERS) -> str:
    """Return a text in lines of at most so many letters; its own line breaks stay."""
    wrapper = textwrap.TextWrapper(letters, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapper.fill(line) for line in text.split("\n"))


@dataclasses.dataclass(frozen=True)
class Panel:
    """One pair of axes: scores with their ``label`` and its ``place``, and what they are compared with."""

    title: str
    rows: pd.DataFrame
    axis: str
    unit: str
    line: Line | None
    band: tuple[float, float, str] | None
    note: str

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

    def check(self, column: str) -> None:
        """Check that a stage has one score for each value of a column.

        Raises:
            HumalignError: it has several, which would cover each other, or one without a value of the column.
        """
        bad = self.models[self.models.duplicated(["stage", column]) | self.models[column].isna()]
        for row in bad.head(1).to_dict("records"):
            where = f"task {row['task']!r}, {column} {row[column]!r}"
            raise HumalignError(f"not one score for each {column} of the stage {row['stage']!r} ({where}): "
                                f"name the set, item or model of the panel")

    def compare(self, axes: Axes, along: bool = False) -> None:
        """Draw ceiling, line and band across the values, which are y where a panel runs ``along`` x."""
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
    return f"{said[0].upper()}{said[1:]}; run of the profile {', '.join(sorted(set(rows['profile'])))}"


def frame(figure: Figure, panels: Sequence[Panel], who: str, foot: str, key: bool) -> None:
    """Write the evidence and a key of the stages above a figure, and the meaning of its lines below it."""
    said = wrapped(heading(pd.concat([each.rows for each in panels]), who), LETTERS - 6)
    stages = in_order(stage for each in panels for stage in each.models["stage"])
    bold: Any = {"weight": "bold", "size": 10}
    if key and len(stages) > 1:
        looks = [dict(zip(("color", "marker"), look(stage), strict=True)) for stage in stages]
        handles = [Line2D([], [], linewidth=2.2, **each, **POINT) for each in looks]
        figure.legend(handles, stages, title=said, title_fontproperties=bold, loc="outside upper center",
                      ncols=min(3, len(stages)), columnspacing=1, handlelength=1.5)
    else:
        figure.suptitle(said, **bold)
    tops = [label for each in panels for label in each.ceiling["label"]]
    meant = {
        "dashed": ["noise ceiling" if label == "ceiling" else label for label in tops],
        "dotted": [each.line[1] for each in panels if each.line],
        "grey": [each.band[2] for each in panels if each.band],
    }
    drawn = [f"{what}: {', '.join(dict.fromkeys(means))}" for what, means in meant.items() if means]
    figure.supxlabel(wrapped("; ".join(filter(None, [foot, *drawn]))), fontsize=10)


def points(axes: Axes, rows: pd.DataFrame, places: Mapping[tuple[str, str], float], printed: bool) -> None:
    """Draw scores as points with intervals, at the heights of their labels and stages, and their values."""
    for row in rows.dropna(subset="value").to_dict("records"):
        y, (colour, marker) = places[row["label"], row["stage"]], look(row["stage"])
        axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot(row["value"], y, color=colour, marker=marker, **POINT)
        if printed:
            value = f"{row['value']:.3f}".replace("-", "\N{MINUS SIGN}")
            axes.text(1.01, y, value, transform=axes.get_yaxis_transform(), va="center")
    heights = {label: [y for (of, _), y in places.items() if of == label] for label, _ in places}
    axes.set_yticks([float(np.mean(found)) for found in heights.values()], list(heights))
    axes.set_ylim(min(places.values()) - 0.7, 0.7)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y")
    axes.margins(x=0.08)


def lines(axes: Axes, rows: pd.DataFrame, log: str) -> None:
    """Draw a line for each stage along ``x``, its intervals as bars and as a band."""
    stages, ticks = in_order(rows["stage"]), sorted(set(rows["x"]))
    for place, stage in enumerate(stages):
        found, (colour, marker) = rows[rows["stage"] == stage].sort_values("x"), look(stage)
        # A little to each side, so that intervals at one x do not cover each other.
        aside = place - (len(stages) - 1) / 2
        x = found["x"] * 1.04**aside if "x" in log else found["x"] + 0.008 * aside * (ticks[-1] - ticks[0])
        axes.fill_between(x, found["low"], found["high"], color=colour, alpha=0.12, linewidth=0)
        axes.vlines(x, found["low"], found["high"], color=colour, linewidth=1.6)
        axes.plot(x, found["value"], color=colour, marker=marker, linewidth=1.2, **POINT)
    axes.set(xscale="log" if "x" in log else "linear", yscale="log" if "y" in log else "linear")
    if len(ticks) <= 6:
        axes.set_xticks(ticks, [f"{tick:g}" if tick < 10_000 else f"{tick / 1000:.3g}k" for tick in ticks])
        axes.set_xticks([], minor=True)
    axes.grid(axis="y")
