"""The figures of the book: ``dots``, ``curves`` and ``groups`` of panels, each a pure function of the scores.

A panel is one pair of axes. The notebook's cell says which scores it draws and what its rows are called.
Stages have the same order and colour in all figures. n, the interval and any ceiling are always drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib import rc_context

from humalign.errors import HumalignError
from humalign.evaluation.scores import NUMBERS, above, pick
from humalign.show import panels as panels_of
from humalign.show.arrows import arrows
from humalign.show.drawing import LETTERS, STYLE, WIDTH, Drawing, wrapped
from humalign.show.panels import Line, Panel
from humalign.show.stages import RELATIONS, SETS, distinct, in_order, models_in_order, name, short
from humalign.show.stages import metric as metric_named

__all__ = ["arrows", "curves", "dots", "groups", "panel"]

Pair = tuple[str, str]
Names = Mapping[Any, str] | Callable[[Any], str]
CHANCE: Line = (1 / 3, "chance")
GUESS = "a uniform guess"
NONE: Line = (0.0, "no correlation")
MEAN: Line = (0.0, "mean of all pairs")
# How the values of a column are called and ordered, where nothing else is said.
NAMES: dict[str, Callable[[Any], str]] = {
    "model": short, "metric": metric_named, "item": lambda item: RELATIONS.get(item, item),
    "set": lambda of: SETS.get(of, of), "x": lambda x: f"{x:,.10g}",
}
ORDERS: dict[str, Callable[[Any], list[Any]]] = {"stage": in_order, "model": models_in_order, "x": sorted}
# What a metric is called, what n counts, and the line it is compared with: of a task, or of any task.
MEASURES: dict[str, tuple[str, str, Line | None]] = {
    "odd-one-out accuracy": ("odd-one-out accuracy", "triplets", CHANCE),
    "learning-curve accuracy": ("odd-one-out accuracy", "triplets", None),
    "pull-selection accuracy": ("odd-one-out accuracy", "folds", CHANCE),
    "distillation agreement-with-teacher": ("agreement with the teacher", "triplets", CHANCE),
    "distillation divergence": ("Jensen-Shannon divergence (nats)", "folds", None),
    "dense-against-sparse agreement-with-teacher": ("agreement with the teacher", "training runs", None),
    "uncertainty entropy-spearman": ("correlation of entropies (Spearman)", "triplets", NONE),
    "uncertainty cross-entropy": ("cross-entropy (nats)", "triplets", (math.log(3), GUESS)),
    "soft-labels cross-entropy": ("cross-entropy (nats; less is better)", "images", (math.log(10), GUESS)),
    "soft-labels expected-calibration-error": ("calibration error (less is better)", "images", None),
    "soft-labels entropy-spearman": ("correlation of entropies (more is better)", "images", NONE),
    "recovery similarity-pearson": ("correlation with the truth (Pearson)", "objects", (1.0, "the truth")),
    "dimensions similarity": ("similarity (standard deviations from the mean)", "objects a fold", MEAN),
    "hierarchy path-spearman": ("correlation of distance with steps (Spearman)", "things", NONE),
    "between-models cka": ("linear CKA", "images", None),
    "between-models rsa-spearman": ("correlation of distances (Spearman)", "images", None),
    "standardised-distance": ("standardised distance", "pairs", MEAN),
    "rsa-spearman": ("correlation of similarities (Spearman)", "images", NONE),
    "accuracy-nearest-mean": ("accuracy", "images", None),
}


def panel(
    scores: pd.DataFrame, title: str = "", *, task: str, metric: str | Sequence[str] = "accuracy",
    by: str = "stage", names: Names | None = None, stages: Sequence[str] = (), compared: Sequence[Pair] = (),
    also: pd.DataFrame | None = None, ceiling: str = "people", axis: str = "", unit: str = "",
    line: Line | None = None, band: tuple[float, float, str] | None = None, **where: Any,
) -> Panel:
    """Return one panel: the scores that fit, those of the ceiling included.

    Args:
        scores: the table.
        title: text above the panel, before n.
        task: the task of the scores.
        metric: their metric, or several.
        by: column that names the rows; stages come in their order, other values in that of the scores.
        names: what a value is called, in place of its name in ``stages``; a mapping also says which values
            are drawn, and in which order.
        stages: the stages that are drawn; without any, all that have scores.
        compared: pairs of a stage and its reference; their paired differences are drawn, where there are any.
        also: further scores, such as a ceiling that was measured elsewhere.
        ceiling: what the row of the ceiling is called; ``{n}`` is its number of items.
        axis, unit, line: name of the values, what n counts, and a dotted line with its meaning, in place of
            those in ``MEASURES``.
        band: both ends of a grey band, and its meaning.
        where: further columns of the scores, each with a value or several.

    Raises:
        HumalignError: scores that were asked for are not there.
    """
    where = {"task": task, "metric": metric, **where}
    found = _differences(scores, compared, where) if compared else pick(scores, **where)
    found = pick(found, stage=[*stages, "ceiling"]) if stages else found
    absent = [stage for stage in stages if stage not in set(found["stage"])]
    if found.empty or absent:
        raise _missing(f"of the stage {absent[0]!r} " if absent else "", where)
    rows = _labelled(pd.concat([found, also]), "label" if compared else by, names, ceiling, where)
    said, counted, meant = _measure(task, metric if isinstance(metric, str) else metric[0], bool(compared))
    return Panel(title, rows, axis or said, unit or counted, line or meant, band)


def _missing(what: str, where: Mapping[str, Any]) -> HumalignError:
    asked = ", ".join(f"{column} {value!r}" for column, value in where.items())
    return HumalignError(f"no scores {what}to draw with {asked}: "
                         f"mend the names in this cell, or make the scores with `humalign run scores`")


def _differences(scores: pd.DataFrame, compared: Sequence[Pair], where: Mapping[str, Any]) -> pd.DataFrame:
    def rows(stage: str, reference: str) -> pd.DataFrame:
        return pick(scores, **{**where, "stage": stage, "metric": above(where["metric"], reference)})

    return pd.concat([rows(*pair).assign(label=" − ".join(map(name, pair))) for pair in compared])


def _labelled(
    rows: pd.DataFrame, by: str, names: Names | None, ceiling: str, where: Mapping[str, Any]
) -> pd.DataFrame:
    """Give every row its label and its place among the labels; the ceiling's is the last."""
    top, rows = rows[rows["stage"] == "ceiling"], rows[rows["stage"] != "ceiling"]
    values: list[Any] = list(dict.fromkeys(rows[by]))
    if by in ORDERS:
        values = ORDERS[by](values)
    both = distinct(rows)
    names = names or ((lambda stage: both.get(stage, name(stage))) if by == "stage" else NAMES.get(by, str))
    if isinstance(names, Mapping):
        absent = [value for value in names if value not in set(rows[by])]
        if absent:
            raise _missing(f"of the {by} {absent[0]!r} ", where)
        values, names = list(names), names.__getitem__
    rows = rows[rows[by].isin(values)]
    labels, places = [names(value) for value in rows[by]], [float(values.index(value)) for value in rows[by]]
    top = top.assign(label=[ceiling.format(n=n) for n in top["n"]], place=math.inf)
    called = [name(stage) if by == "model" else both.get(stage, name(stage)) for stage in rows["stage"]]
    rows = rows.assign(label=labels, place=places, called=called)
    # A network is the same whether a student or a teacher starts from it.
    rows = rows.drop_duplicates(["label", "called", "model", "task", "split", "metric", *NUMBERS])
    return pd.concat([rows.sort_values("place", kind="stable"), top.assign(called=top["label"])])


def _measure(task: str, metric: str, compared: bool) -> tuple[str, str, Line | None]:
    first, _, reference = metric.partition("-above-")
    unknown = (first.replace("-", " "), "images", None)
    said, counted, line = MEASURES.get(f"{task} {first}") or MEASURES.get(first) or unknown
    if reference or compared:
        said, line = f"{said}, difference" + f" from {reference}" * bool(reference), (0.0, "no difference")
    return said, counted, line


@rc_context(STYLE)
def dots(
    *panels: Panel, columns: int = 1, same_scale: bool = False, slot: float = 0.0, who: str = "",
    foot: str = "",
) -> Drawing:
    """Draw scores as points with their 95 % intervals, and print their values at the right.

    Stages that share a label stand together, and a key names them.

    Args:
        panels: from left to right and from top to bottom; those side by side share their labels.
        columns: number of panels side by side.
        same_scale: whether panels above each other share their scale.
        slot: inches of height for a row; below .15 the value is not printed.
        who: on whose evidence the figure stands, where the scores do not say enough.
        foot: text below, before the meaning of the lines.

    Raises:
        HumalignError: people's judgments share the figure with other evidence, or two scores one place.
    """
    for each in panels:
        each.check("label")
    lines = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    placed = [_places(line) for line in lines]
    several = any(len(places) > len({label for label, _ in places}) for places in placed)
    slot = slot or (0.19 if several else 0.25)
    longest = [max(len(part) for label, _ in places for part in label.split("\n")) for places in placed]
    room = [(LETTERS - letters) // columns for letters in longest]
    said = [[(each.head(letters), wrapped(each.named, letters)) for each in line]
            for line, letters in zip(lines, room, strict=True)]
    heights = [slot * (1.4 - min(places.values())) for places in placed]
    around = [0.74 + 0.34 * max(text.count("\n") for texts in line for text in texts) for line in said]
    figure = Drawing(figsize=(WIDTH, sum(heights) + sum(around) + 0.8))
    grid = figure.subplots(len(lines), columns, height_ratios=heights, squeeze=False, sharey="row",
                           sharex="col" if same_scale else False)
    for line, places, letters, texts, row in zip(lines, placed, room, said, grid, strict=True):
        for each, (head, axis), axes in zip(line, texts, row, strict=False):
            panels_of.points(axes, each.rows, places, printed=slot >= 0.15)
            each.compare(axes)
            axes.set(title=head, xlabel=axis)
            axes.tick_params(axis="x", labelbottom=True)
            axes.locator_params(axis="x", nbins=min(5, letters // 7))
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    panels_of.frame(figure, panels, who, foot, several, (__name__, "dots"))
    return figure


def _places(line: Sequence[Panel]) -> dict[tuple[str, str], float]:
    """Return the height of every label and stage of panels side by side, downwards from zero."""
    rows = pd.concat([each.rows for each in line])
    labels = rows.groupby("label")["place"].min().sort_values(kind="stable").index
    stages = {label: in_order(rows.loc[rows["label"] == label, "stage"]) for label in labels}
    gap = 0.6 if any(len(found) > 1 for found in stages.values()) else 0.0
    every = [(label, stage, number) for number, label in enumerate(labels) for stage in stages[label]]
    return {(label, stage): -row - gap * number for row, (label, stage, number) in enumerate(every)}


@rc_context(STYLE)
def groups(
    scores: pd.DataFrame, across: str, values: Sequence[Any] | Mapping[Any, str] = (), *, columns: int = 1,
    same_scale: bool = False, otherwise: str = "", **given: Any,
) -> Drawing:
    """Draw one measure in panels of dots, one for each relation, category, level or set.

    Args:
        scores: the table.
        across: column with one panel for each of its values.
        values: these values only; a mapping also gives their titles.
        columns, same_scale: as in ``dots``.
        otherwise: text of an empty figure, where there are no such scores; with it, values may lack scores.
        given: as in ``panel``.

    Raises:
        HumalignError: scores that were asked for are not there.
    """
    where = {name: value for name, value in given.items() if name in scores.columns}
    found = pick(scores, **where).dropna(subset="value")
    if otherwise and found.empty:
        figure = Drawing(figsize=(WIDTH, 0.6))
        figure.text(0.5, 0.5, wrapped(otherwise), ha="center", va="center")
        return figure
    values = values or list(found[across])
    titles = values if isinstance(values, Mapping) else {value: str(value) for value in values}
    if otherwise:
        titles = {value: title for value, title in titles.items() if value in set(found[across])}
    drawn = [panel(scores, title, **{across: value}, **given) for value, title in titles.items()]
    return dots(*drawn, columns=columns, same_scale=same_scale)


@rc_context(STYLE)
def curves(
    *panels: Panel, along: str, log: str = "", columns: int = 2, same_scale: bool = True, who: str = "",
    foot: str = "",
) -> Drawing:
    """Draw scores along their ``x``, a line for each stage, their 95 % intervals as bars and as a band.

    Args:
        panels: from left to right and from top to bottom.
        along: name of x.
        log: the axes that are logarithmic: ``x``, ``y`` or ``xy``.
        columns: number of panels side by side.
        same_scale: whether panels side by side share the scale of their values.
        who, foot: as in ``dots``.

    Raises:
        HumalignError: people's judgments share the figure with other evidence, or two scores one place.
    """
    columns = min(columns, len(panels))
    lines = math.ceil(len(panels) / columns)
    figure = Drawing(figsize=(WIDTH, 2.9 * lines + 0.8))
    grid = figure.subplots(lines, columns, squeeze=False, sharey="row" if same_scale else False)
    for number, (axes, each) in enumerate(zip(grid.flat, panels, strict=False)):
        each.check("x")
        panels_of.lines(axes, each.models, log)
        each.compare(axes, along=True)
        named = number % columns == 0 or not same_scale
        axes.set(title=each.head((LETTERS - 10) // columns), xlabel=along,
                 ylabel=wrapped(each.named, 30) if named else "")
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    panels_of.frame(figure, panels, who, foot, True, (__name__, "curves"))
    return figure
