"""How alignment changes the distances of pairs, as densities by relation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import rc_context

from humalign.errors import HumalignError
from humalign.evaluation.scores import above, one, pick
from humalign.show.drawing import STYLE, WIDTH, Drawing, look
from humalign.show.figures import panel
from humalign.show.panels import Panel, frame, points
from humalign.show.stages import RELATIONS, SETS, name, short

# Inches of height for the density of one relation.
SLOT = 0.5


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
                       alpha=0.35, inner=None, cut=0, linewidth=0, density_norm="width", width=0.9, gridsize=50,
                       ax=axes)
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
    title = f"{SETS[where['set']]}: {short(where['model'])}, {name(where['stage'])} less {name(reference)}"
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
