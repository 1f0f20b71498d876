"""Gains and losses of alignment on each main measure, over the best baseline without judgments, as arrows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from humalign.errors import HumalignError
from humalign.evaluation.scores import above, pick
from humalign.show import cells, drawing, panels
from humalign.show.drawing import DASHED, GAIN, HOVER, INK, LOSS, STYLE, UNCLEAR, WIDTH, Drawing, wrapped
from humalign.show.sentences import with_unit
from humalign.show.stages import (
    ANSWERS,
    MORE_IS_WORSE,
    SIMILARITY,
    VICE,
    WHO,
    WITHOUT_JUDGMENTS,
    in_percent,
    models_in_order,
    name,
    short,
)

PEOPLE = {"task": "odd-one-out", "split": "repeated triplets", "metric": "accuracy"}
UNSEEN = PEOPLE | {"split": "unseen objects"}


@dataclasses.dataclass(frozen=True)
class Measure:
    """One main measure."""

    title: str  #: in plain words.
    where: Mapping[str, Any]  #: conditions on the scores, their metric among them.
    stage: str = "aligned"  #: what alignment made.
    people: Mapping[str, Any] | None = None  #: where people's own score is, if there is one.
    last: bool = False  #: whether only the scores at the largest ``x`` count.


DOUBT = {"task": "uncertainty", "split": "repeated triplets, unseen objects", "metric": "entropy-spearman"}
MEASURES: dict[str, Measure] = {
    "teacher": Measure("Odd one out, unseen objects", UNSEEN, "teacher", PEOPLE),
    "students": Measure("Odd one out, THINGS photographs", ANSWERS, people=PEOPLE),
    "vice": Measure("Similarity in the published VICE", VICE),
    "similarity": Measure("Similarity of 92 photographs", SIMILARITY, people=SIMILARITY),
    "doubt": Measure("Unsure where people are", DOUBT, "teacher"),
    "hierarchy": Measure("Distances follow WordNet", {
        "task": "hierarchy", "split": "things-photographs/WordNet", "metric": "path-spearman"}),
    "alike": Measure("Two models alike (RSA)", {
        "task": "between-models", "split": "92 photographs, students", "metric": "rsa-spearman"}),
    "alike-cka": Measure("Two models alike (CKA)", {
        "task": "between-models", "split": "92 photographs, students", "metric": "cka"}),
    "few-shot": Measure("Few-shot, CIFAR-10", {
        "task": "few-shot", "set": "cifar10", "metric": "accuracy"}, last=True),
    "few-shot-textures": Measure("Few-shot, textures", {
        "task": "few-shot", "set": "textures", "metric": "accuracy"}, last=True),
    "corruptions": Measure("Corrupted CIFAR-10", {
        "task": "corruption", "split": "cifar10/all", "metric": "accuracy"}),
    "lost": Measure("Lost to corruption, CIFAR-10 (below zero is better)", {
        "task": "corruption", "split": "cifar10/all", "metric": "loss"}),
    "soft-labels": Measure("People's labels of CIFAR-10 (below zero is better)", {
        "task": "soft-labels", "set": "cifar10", "metric": "cross-entropy"}, last=True),
}
# Those of the first page, from top to bottom.
MAIN = ("teacher", "students", "few-shot", "corruptions", "similarity", "doubt", "hierarchy", "alike")


@dataclasses.dataclass(frozen=True)
class Gain:
    """A measure of one model: rows of the scores."""

    measure: Measure  #: which.
    model: str  #: of which network, or pair of networks.
    before: pd.Series  #: the network as it was.
    best: pd.Series  #: the best baseline without judgments of which there is a paired difference.
    after: pd.Series  #: with alignment.
    over: pd.Series  #: the paired difference of ``after`` from ``best``.
    #: the paired difference from the baseline that it exceeds least surely; often ``over`` itself.
    least: pd.Series
    raw: pd.Series | None  #: the paired difference of ``after`` from ``before``, or None.
    people: pd.Series | None  #: people's own score, or None.

    @property
    def side(self) -> str:
        """``better`` than every baseline, ``worse`` than the best one, or ``unclear``, by 95 % intervals."""
        if _ends(self.least)[0] > 0:
            return "better"
        return "worse" if _ends(self.over)[1] < 0 else "unclear"

    @property
    def rows(self) -> pd.DataFrame:
        """The rows of the scores that it is made of."""
        return pd.DataFrame([self.before, self.best, self.after, self.over, self.least]).drop_duplicates()

    @property
    def who(self) -> str:
        """The network or networks, as readers see them."""
        return short(self.model).replace(" & ", " and ")


def gains_of(scores: pd.DataFrame, name: str, over: Sequence[str] = WITHOUT_JUDGMENTS) -> list[Gain]:
    """Return the gains of one of ``MEASURES``, one a model that has it, over the best of some stages."""
    measure = MEASURES[name]
    found = pick(scores, **{key: value for key, value in measure.where.items() if key != "metric"})
    if measure.last and len(found):
        found = found[found["x"] == found["x"].max()]
    metric = str(measure.where["metric"])
    people = pick(scores, model="people", stage="ceiling", **measure.people) if measure.people else None
    values = pick(found, metric=metric).dropna(subset="value")
    gains = []
    for model in models_in_order(pick(values, stage=measure.stage)["model"]):
        own = found[found["model"] == model]
        after, baselines, before = (pick(own, metric=metric, stage=stage)
                                    for stage in (measure.stage, over, ("base", "teacher-base")))
        paired = pick(own, stage=measure.stage, metric=[above(metric, stage) for stage in baselines["stage"]])
        compared = baselines[baselines["stage"].isin(paired["reference"])].dropna(subset="value")
        if compared.empty or before.empty:
            continue
        order = compared["value"] * (-1 if metric in MORE_IS_WORSE else 1)
        best = compared.loc[order.idxmax()]
        gain = pick(paired, reference=best["stage"]).iloc[0]
        if np.isnan(gain["value"]):
            continue
        raw = pick(own, stage=measure.stage, metric=above(metric, before.iloc[0]["stage"]))
        known = paired.dropna(subset="value")
        least = known.loc[min(known.index, key=lambda at: _ends(known.loc[at])[0])]
        first, top = (None if rows is None or len(rows) != 1 else rows.iloc[0] for rows in (raw, people))
        gains.append(Gain(measure, str(model), before.iloc[0], best, after.iloc[0], gain, least, first, top))
    return gains


def _ends(difference: pd.Series) -> tuple[float, float]:
    """Return the interval of a difference, turned so that above zero is better."""
    sign = -1 if difference["metric"].split("-above-")[0] in MORE_IS_WORSE else 1
    low, high = sorted((sign * difference["low"], sign * difference["high"]))
    return low, high


# ---- the arrows of the first page --------------------------------------------------------------------------

COLOURS = {"better": GAIN, "worse": LOSS, "unclear": UNCLEAR}
WORDS = {"better": "", "worse": ": worse", "unclear": ": unclear"}
SLOT = 0.5


@rc_context(STYLE)
def arrows(scores: pd.DataFrame) -> Drawing:
    """Draw every main measure before and after alignment, with its gain over the best baseline in words.

    A circle is the network as it was, a ring the best baseline that no judgment entered, an arrow's head the
    aligned one, the line below the arrow its 95 % interval, and a dashed mark people's own score. Accuracies
    and correlations have axes of their own.

    Raises:
        HumalignError: the scores have none of them.
    """
    found = [gain for measure in MAIN for gain in gains_of(scores, measure)]
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
    foot = "Right: gain over the best baseline without judgments. "
    foot += "Line below an arrow: 95 % interval of its end."
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
        axes.text(1, y + 0.34, with_unit(gain.over) + WORDS[gain.side], transform=over, va="center",
                  ha="right", weight="bold")
    axes.set(ylim=(-len(part) + 0.55, 0.55), yticks=[], xlabel="accuracy (%)" if percent else "correlation")
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.16)
    if percent:
        axes.xaxis.set_major_formatter(drawing.percent)


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
    word = {"better": "better", "worse": "worse", "unclear": "the interval includes zero"}[gain.side]
    return (f"{gain.measure.title}, {gain.who}: {cells.rounded(gain.before)} before, "
            f"{cells.rounded(gain.after)} after; {with_unit(gain.over)} ({cells.ends(gain.over)}) "
            f"over {name(gain.best['stage'])}, {word}")
