"""How figures look: one style, a colour and a marker for every stage, and the same bytes on every run.

A figure stands in a page as SVG: its ground is the page's, its text and axes have the page's colour. Colours
of stages have a contrast of at least 3 to 1 on white and on the grounds of dark pages. Markers differ too:
colour is never the only sign.

A notebook's cell numbers a figure and gives it a caption and an anchor by its metadata
``{"mystnb": {"figure": {"caption": "…", "name": "fig-x"}}}``: myst-nb wraps any output of a cell in a figure
of Sphinx, HTML too, so that ``{numref}`fig-x``` finds it. Its text for screen readers is ``Drawing.said``.
"""

from __future__ import annotations

import hashlib
import html
import io
import re
import textwrap
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from humalign.errors import HumalignError, nearest
from humalign.show import stages
from humalign.show.cells import MINUS

# Inches, and how many letters of 10 points fill them. On a phone, 390 pixels wide, they are 10 pixels high;
# on a page they are as large as its text.
WIDTH, LETTERS, EMS = 4.8, 56, 36
STYLE: Any = {
    "figure.constrained_layout.use": True, "figure.facecolor": "none", "axes.facecolor": "none",
    "font.family": "DejaVu Sans", "font.size": 10, "axes.labelsize": 10, "axes.titlesize": 10,
    "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "axes.axisbelow": True, "grid.color": "#808080", "grid.alpha": 0.25, "xtick.labelsize": 10,
    "ytick.labelsize": 10, "legend.fontsize": 10, "legend.frameon": False, "svg.hashsalt": "humalign",
    "svg.fonttype": "path",
}
# Of one lightness, so that they stand out on light and on dark; black is the page's own colour of text.
INK = "#000000"
LOOKS: dict[str, tuple[str, Any]] = {
    "base": ("#767676", "o"), "base-centred": ("#9c8f6a", "p"), "base-whitened": ("#5f9ea0", (5, 1, 0)),
    "base-random": ("#a06fb0", (7, 1, 0)), "unaligned": ("#d07000", "s"), "aligned-head": ("#4f9bc9", "H"),
    "aligned": ("#0a78d0", "D"), "teacher": ("#c93d2e", "X"), "predecessor": ("#8d74c9", (3, 1, 0)),
    "ridge-strict": ("#58a05a", "h"), "ridge": ("#128a6b", "8"), "teacher-one-hot": ("#d9534f", "<"),
    "teacher-distilled": ("#a8780f", "P"), "teacher-published": ("#8a7a00", ">"),
    "observer": ("#6a80d0", "*"), "ceiling": (INK, "d"), "people": (INK, "d"),
    "observers": (INK, (8, 1, 0)), "dense": ("#128a6b", (5, 0, 180)), "sparse": ("#c0569b", (6, 1, 0)),
}
# A teacher's network before its map looks as any other network.
LOOKS |= {name.replace("base", "teacher", 1) if "-" in name else "teacher-base": looks
          for name, looks in LOOKS.items() if name in stages.WITHOUT_JUDGMENTS and name.startswith("base")}
GAIN, LOSS, UNCLEAR = LOOKS["aligned"][0], LOOKS["teacher"][0], LOOKS["base"][0]
POINT: Any = {"markersize": 6, "markeredgewidth": 0}
DOTTED: Any = {"color": "#767676", "linestyle": ":", "linewidth": 1.2, "zorder": 0}
DASHED: Any = {"color": INK, "linestyle": (0, (4, 3)), "linewidth": 1, "zorder": 0}
BAND: Any = {"facecolor": (0.5, 0.5, 0.5, 0.2), "edgecolor": "#767676", "linewidth": 0.8, "zorder": 0}
# The text of an artist that a pointer is over; matplotlib writes it as an id.
HOVER = "hover: "


class Drawing(Figure):
    """A figure that a notebook shows as HTML: SVG, and a line of links below.

    Attributes:
        said: what is drawn, in words: the text of the cell, and what a screen reader says.
        foot: HTML below.
    """

    said, foot = "", ""

    def __repr__(self) -> str:
        return self.said or super().__repr__()

    def _repr_html_(self) -> str:
        with io.BytesIO() as made, rc_context(STYLE):
            nothing: Any = {"Date": None, "Creator": None}
            self.savefig(made, format="svg", dpi=150, metadata=nothing, facecolor="none")
            svg = _inline(_named(made.getvalue()).decode(), self.said)
        return f'<div class="humalign">{svg}{self.foot}</div>'


def _named(svg: bytes) -> bytes:
    """Name each clip path by what it says: matplotlib's names hold numbers whose last digits vary."""
    for name, said in re.findall(rb'<clipPath id="(\w+)">\s*(.*?)\s*</clipPath>', svg, re.DOTALL):
        svg = svg.replace(name, b"p" + hashlib.sha256(said).hexdigest()[:10].encode())
    return svg


def _inline(svg: str, said: str) -> str:
    """Return an SVG file as an element of a page that has ids of its own, no style, and the page's colour."""
    svg = re.sub(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", svg,
                 flags=re.DOTALL)
    svg = re.sub(f'<g id="{HOVER}([^"]*)">', r"<g><title>\1</title>", svg)
    own = f"f{hashlib.sha256((svg + said).encode()).hexdigest()[:8]}-"
    svg = re.sub(r'(\sid="|href="#|url\(#)', rf"\1{own}", svg)
    svg = svg.replace(f"stroke: {INK}", "stroke: currentColor").replace(f"fill: {INK}", "fill: currentColor")
    box = re.search(r'viewBox="([^"]*)"', svg)
    assert box
    root = (f'<svg class="humalign-figure" role="img" aria-label="{html.escape(said)}" viewBox="{box[1]}" '
            f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'fill="currentColor" stroke-linejoin="round" stroke-linecap="butt" '
            f'style="display: block; width: 100%; max-width: {EMS}em; height: auto">')
    return re.sub(r"\n\s*", "\n", re.sub(r"<svg .*?>", lambda _: root, svg, count=1, flags=re.DOTALL)).strip()


def look(stage: str) -> tuple[str, Any]:
    """Return the colour and the marker of a stage.

    Raises:
        HumalignError: no stage has such a name.
    """
    if stage not in LOOKS:
        raise HumalignError(f"no colour is known for the stage {stage!r}: {nearest(stage, LOOKS)}")
    return LOOKS[stage]


def percent(at: float, _: object = None) -> str:
    """Return a share as the text of a tick, in percent."""
    return f"{100 * at:.4g}".replace("-", MINUS)


def wrapped(text: str, letters: int = LETTERS) -> str:
    """Return a text in lines of at most so many letters; its own line breaks stay."""
    wrapper = textwrap.TextWrapper(letters, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapper.fill(line) for line in text.split("\n"))
