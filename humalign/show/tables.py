"""The tables of the book: pure functions of the scores, so that no number is typed.

Which rows and columns a table shows is said where it is called, in a cell of a chapter.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from humalign.chain import origins
from humalign.errors import HumalignError
from humalign.evaluation.scores import above, pick
from humalign.show import cells, published, stages
from humalign.show.cells import COLUMNS, COUNTS, EMPTY, MINUS, Table, number, rounded

__all__ = ["EMPTY", "MINUS", "Table", "beside_published", "files", "layout", "listing", "number", "rounded",
           "steps"]

NOT_KEPT = "not kept"
# Registered sources behind tables of people's scores: the answers about objects, the photographs that
# teachers of photographs are fitted to, and what students are trained on.
OF_ANSWERS = ("things-answers", "things-validation-answers", "things-repeated-answers")
OF_PHOTOGRAPHS = ("things-photographs",)
OF_STUDENTS = (*OF_PHOTOGRAPHS, "caltech101")

Where = Mapping[str, Any]


def layout(
    scores: pd.DataFrame,
    *,
    rows: str | Sequence[str],
    columns: str,
    measures: Mapping[str, Where | Sequence[Where]] | None = None,
    differences: Sequence[str | tuple[str, str]] = (),
    values: bool = True,
    beside: Mapping[str, Mapping[str, str]] | None = None,
    names: Mapping[str, str] | None = None,
    caption: str = "",
    reads: Sequence[str] = (),
    lacking: str = "",
    **where: Any,
) -> Table:
    """Lay scores out in a grid, each cell a number with its interval, and say on whose evidence they stand.

    An axis is a column of the scores, or ``measure`` (the name in ``measures``), ``compared`` (a stage, or
    for a paired difference ``aligned less before``) or ``difference`` (empty, or ``less before``).

    Args:
        scores: the table of scores.
        rows: axes that name the lines.
        columns: the axis that names the columns.
        measures: what is shown, by name: conditions on columns of the scores, or several, one of which holds.
        differences: paired differences that are shown too: pairs of a stage and its reference, or references.
        values: whether the scores themselves are shown, or their differences alone.
        beside: further columns of text, by the value of the first axis.
        names: how values and axes are called, other than in ``stages``.
        caption: said above the table.
        reads: registered sources whose edition is said below, unless it is the public file.
        lacking: said in place of a table that nothing fits; without it that is an error.
        where: conditions for all measures: the value of a column, or several, which then set the order.

    Raises:
        KeyError: nothing fits, or two different scores fall into one cell.
        ValueError: people's and simulated judgments in one table.
        HumalignError: more columns than fit a page.
    """
    lines, names = (rows,) if isinstance(rows, str) else tuple(rows), names or {}
    pairs = [("", pair) if isinstance(pair, str) else pair for pair in differences]
    found = _found(scores, {"": {}} if measures is None else measures, pairs, values, where)
    if found.empty and lacking:
        return Table(pd.DataFrame({"": [lacking]}), caption)
    if found.empty:
        raise KeyError(f"no score fits {where or measures}")
    if "model" not in (*lines, columns):
        names = stages.distinct(found) | dict(names)
    orders = _orders(found, pairs, {"measure": measures} | where)
    labels = {axis: [_named(axis, name, names) for name in found[axis]] for axis in (*lines, columns)}
    written: dict[tuple[str, ...], str] = {}
    for row, *key in zip(found.to_dict("records"), *labels.values(), strict=True):
        text = number(row, between="\n{}")
        if written.setdefault(tuple(key), text) != text:
            raise KeyError(f"two scores for the cell {', '.join(key)}: ask for more axes or fewer scores")
    ordered = {axis: dict.fromkeys(_named(axis, name, names) for name in orders[axis]) for axis in labels}
    heads, more = list(ordered[columns]), beside or {}
    width = len(lines) + len(more) + len(heads)
    if width > COLUMNS:
        several = f"{len(heads)} of the axis {columns!r} ({', '.join(heads)})"
        seen = f"a table of {width} columns: {', '.join([*lines, *more])} and {several}"
        mend = f"ask for fewer, or put {columns!r} into the rows"
        raise HumalignError(f"{seen}; at most {COLUMNS} fit a page: {mend}")
    first = {_named(lines[0], name, names): name for name in reversed(orders[lines[0]])}
    shown = [
        {names.get(axis, axis): label for axis, label in zip(lines, key, strict=True)}
        | {head: texts.get(first[key[0]], texts.get(key[0], EMPTY)) for head, texts in more.items()}
        | {head: written.get((*key, head), EMPTY) for head in heads}
        for key in itertools.product(*(ordered[axis] for axis in lines))
        if any((*key, head) in written for head in heads)
    ]
    note = origins.other_editions(scores.attrs.get("sources"), reads) if reads else ""
    said = ". ".join(filter(None, (caption, _evidence(found))))
    return Table(pd.DataFrame(shown), said, note, len(lines), cells.links(found, __name__, "layout"))


def _found(
    scores: pd.DataFrame, measures: Mapping[str, Where | Sequence[Where]], pairs: Sequence[tuple[str, str]],
    values: bool, where: Where,
) -> pd.DataFrame:
    """Return the rows asked for, with the axes that the scores themselves lack."""
    parts = []
    for title, several in measures.items():
        for own in [several] if isinstance(several, Mapping) else several:
            asked = {**where, **own}
            metrics = asked.pop("metric", None)
            fitting = pick(scores, **asked)
            if values:
                parts.append((pick(fitting, metric=metrics) if metrics else fitting).assign(measure=title))
            for stage, reference in pairs:
                rows = pick(fitting, metric=above(metrics, reference), **({"stage": stage} if stage else {}))
                parts.append(rows.assign(measure=title))
    found = pd.concat(parts)
    if {"human", "simulated"} <= set(found["evidence"]):
        raise ValueError("people's and simulated judgments in one table: ask for those of one kind")
    less = ("less " + found["reference"]).where(found["reference"] != "", "")
    return found.assign(difference=less, compared=(found["stage"] + " " + less).str.strip())


def _orders(found: pd.DataFrame, pairs: Sequence[tuple[str, str]], asked: Where) -> dict[str, list[Any]]:
    """Return what each axis holds, in order: by number, as asked, of stages, or as it stands."""
    compared = [f"{stage} less {other}" for stage, other in pairs]
    known = [*stages.STAGES, *compared, "", *(f"less {other}" for _, other in pairs)]
    orders: dict[str, list[Any]] = {}
    for axis in map(str, found):
        held = list(found[axis].unique())
        several = isinstance(asked.get(axis), Iterable) and not isinstance(asked[axis], str)
        first = asked[axis] if several else stages.models_in_order(held) if axis == "model" else known
        last = [name for name in held if name == "people"]
        every = dict.fromkeys([*first, *(name for name in held if name not in last), *last])
        orders[axis] = sorted(held) if axis == "x" else [name for name in every if name in held]
    return orders


def _named(axis: str, name: Any, names: Mapping[str, str]) -> str:
    if isinstance(name, float):
        return EMPTY if np.isnan(name) else f"{name:,.10g}"
    if axis in ("stage", "reference", "compared", "difference"):
        known = " less ".join(names.get(part, stages.name(part)) for part in name.split("less "))
        return str(names.get(name, re.sub(r" +", " ", known).strip()))
    said = {"set": stages.SETS, "item": stages.RELATIONS, "model": {name: stages.short(name)}}.get(axis, {})
    return str(names.get(name, stages.metric(name) if axis == "metric" else said.get(name, name)))


def _evidence(rows: pd.DataFrame) -> str:
    """Say the units of a table's numbers, on whose evidence they stand, and which profile was run."""
    counted = rows["metric"].isin(COUNTS)
    percent, differs = rows["metric"].map(stages.in_percent), rows["reference"] != ""
    units = []
    if (percent & ~differs).any():
        units.append("percent" if percent[~differs].all() else "accuracies in percent")
    if (percent & differs).any():
        units.append("differences in percentage points")
    kinds = ", and ".join(said for kind, said in stages.WHO.items() if kind in set(rows["evidence"]))
    small = "" if counted.all() else "small: 95 % intervals"
    said = "; ".join(filter(None, (*units, small, kinds, f"run {', '.join(sorted(set(rows['profile'])))}")))
    return said[0].upper() + said[1:]


def listing(rows: pd.DataFrame, columns: Mapping[str, str], caption: str = "") -> Table:
    """List rows of scores, or of any other table, one by one.

    ``columns`` are those that are shown, and what each is called; ``score`` is a number with its interval.
    """
    scored = "score" in columns
    named = {axis: rows[axis].map(lambda name, axis=axis: _named(axis, name, {}))
             for axis in ("stage", "model", "metric") if axis in columns}
    shown = rows.assign(**named)
    if scored:
        shown = shown.assign(score=[number(row, between="\n{}") for _, row in rows.iterrows()])
    foot = cells.links(rows if scored else None, __name__, "listing")
    return Table(shown[list(columns)].rename(columns=dict(columns)), caption, foot=foot)


def made(scores: pd.DataFrame, *tasks: str) -> Table:
    """Count what an evaluation has made: the scores of some tasks, by set."""
    counts = pick(scores, task=tasks).groupby(["task", "set"]).size().rename("scores").reset_index()
    return Table(counts.astype(str), "Scores made, by task and set", heads=2)


def beside_published(scores: pd.DataFrame, caption: str = "", **where: Any) -> Table:
    """Set published numbers, with trust labels, beside this run's, and say if both are of one experiment.

    Args:
        scores: the table of scores; several models of one stage are shown as the range of their values.
        caption: said above the table.
        where: which published numbers; a field that is asked for by one value is not shown.

    Raises:
        KeyError: nothing published fits, or nothing is said of the two.
    """
    shown, every = [], []
    for row, ours, said in published.beside(scores, **where):
        measure = [_named(name, getattr(row, name), {}) for name in ("task", "split", "metric")
                   if not isinstance(where.get(name), str)]
        who = [_named(name, getattr(row, name), {}) for name in ("model", "stage")
               if not isinstance(where.get(name), str)]
        what = "\n".join(filter(None, (", ".join(measure), ", ".join(dict.fromkeys(who)))))
        here = _range(ours) + "".join(f"\n{kind}" for kind in sorted(set(ours["evidence"])))
        shown.append({"what": what, "published": f"{row.text}\n{row.trust}: {row.source}", "here": here,
                      "same experiment?": said})
        every.append(ours)
    foot = cells.links(pd.concat(every), __name__, "beside_published")
    return Table(pd.DataFrame(shown), caption, foot=foot)


def _range(rows: pd.DataFrame) -> str:
    given = rows.dropna(subset="value")
    if len(given) > 1:
        ends = (rounded(given.loc[at]) for at in (given["value"].idxmin(), given["value"].idxmax()))
        return f"{' to '.join(ends)}\n{len(given)} models"
    return number(given.iloc[0], between="\n{}") if len(given) else EMPTY


# ---- where the numbers are from -----------------------------------------------------------------------


def steps(results: str | Path) -> Table:
    """Say when and where each step behind a table of scores was made."""
    origin = origins.read(results)
    rows = [
        {"stage": name, "day": stage["date"], "wall time": f"{stage['seconds']:,.0f} s",
         "machine": stage["machine"], "commit": stage["commit"]}
        for name, stage in (origin.stages if origin else {}).items()
    ]
    return Table(pd.DataFrame(rows), f"The stages behind the scores: {origins.said(results)}")


def files(results: str | Path) -> Table:
    """Say which registered files were read for a table of scores."""
    origin = origins.read(results)
    if origin is None:
        return Table(pd.DataFrame(), f"Which files were read was not kept: {origins.said(results)}")
    rows = [
        {"what": f"{source['what']}\n{source['file']}",
         "holds": (", ".join(source[field] for field in ("holds", "edition") if field in source) or NOT_KEPT)
         + (f"\n{source['size']:,} bytes" if "size" in source else ""),
         "licence": f"{source['licence']}\n{_home(source['home'])}",
         "sha256": source.get("sha256", NOT_KEPT)}
        for source in origin.sources
    ]
    caption = ("Every registered file that the run has read, how much it holds, and which edition it is; of "
               "a folder, the digest is over its files' names and digests")
    return Table(pd.DataFrame(rows), caption)


def _home(address: str) -> str:
    return f"[{urlsplit(address).netloc}]({address})" if address.startswith("http") else address
