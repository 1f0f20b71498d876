"""The tables of the book: pure functions of the scores, so that no number is typed.

Which rows and columns a table shows is said where it is called, in a cell of a chapter.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from humalign.chain import origins
from humalign.evaluation.scores import above, one, pick
from humalign.show import published, stages

EMPTY, NOT_KEPT, MINUS = "—", "not kept", "\N{MINUS SIGN}"
# Metrics that count things: shown without decimals and without an interval.
COUNTS = ("dimensions", "superclasses", "classes-taught", "classes-tested", "classes-both")
# Registered sources behind tables of people's scores: the answers about objects, the photographs that
# teachers of photographs are fitted to, and what students are taught with.
OF_ANSWERS = ("things-answers", "things-validation-answers", "things-repeated-answers")
OF_PHOTOGRAPHS = ("things-photographs",)
OF_STUDENTS = (*OF_PHOTOGRAPHS, "caltech101")

Where = Mapping[str, Any]


class Table:
    """A table of strings, a caption above and a note below; HTML and plain text are the same on every run."""

    def __init__(self, frame: pd.DataFrame, caption: str = "", note: str = "") -> None:
        self.frame, self.caption, self.note = frame.astype(str), caption, note

    def __repr__(self) -> str:
        body = "" if self.frame.empty else self.frame.to_string(index=False)
        return "\n".join(filter(None, (self.caption, body, self.note)))

    def _repr_html_(self) -> str:
        def line(cells: Sequence[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        # Above the table, not in it: a wide table scrolls on a narrow screen, and its caption should not.
        caption = f"<p>{html.escape(self.caption)}</p>\n" if self.caption else ""
        if self.frame.empty:
            return caption
        head = line(list(self.frame.columns), "th")
        body = "\n".join(line(row, "td") for row in self.frame.to_numpy().tolist())
        note = f"\n<p>{html.escape(self.note)}</p>" if self.note else ""
        return f"{caption}<table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody></table>{note}"


def number(row: Any, digits: int = 3, interval: bool = True) -> str:
    """Return a score as ``0.384 [0.372, 0.396]``, a count as ``17``, or a dash where it cannot be given."""
    if pd.isna(row["value"]):
        return EMPTY
    if row.get("metric") in COUNTS:
        return f"{row['value']:.0f}"
    value, low, high = (f"{row[name]:.{digits}f}".replace("-", MINUS) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]" if interval else value


def get(scores: pd.DataFrame, **where: Any) -> str:
    """Return one score as text, with its interval.

    Raises:
        KeyError: no score fits, or several do.
    """
    return number(one(scores, **where))


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
    digits: int = 3,
    interval: bool = True,
    caption: str = "",
    reads: Sequence[str] = (),
    lacking: str = "",
    **where: Any,
) -> Table:
    """Lay scores out in a grid, each cell a number with its interval, and say on whose evidence they stand.

    An axis is a column of the scores, or ``measure`` (the name in ``measures``), ``compared`` (a stage, or
    for a paired difference ``aligned less base``) or ``difference`` (empty, or ``less base``).

    Args:
        scores: the table of scores.
        rows: axes that name the lines.
        columns: the axis that names the columns.
        measures: what is shown, by name: conditions on columns of the scores, or several, one of which holds.
        differences: paired differences that are shown too: pairs of a stage and its reference, or references.
        values: whether the scores themselves are shown, or their differences alone.
        beside: further columns of text, by the label of the first axis.
        names: how labels and axes are called, other than in the scores.
        digits: decimals.
        interval: whether a number has its interval.
        caption: said above the table.
        reads: registered sources whose edition is said below, unless it is the public file; without any, all.
        lacking: said in place of a table that nothing fits; without it that is an error.
        where: conditions for all measures: the value of a column, or several, which then set the order.

    Raises:
        KeyError: nothing fits, or two scores fall into one cell.
        ValueError: people's and simulated judgments in one table.
    """
    lines, names = (rows,) if isinstance(rows, str) else tuple(rows), names or {}
    pairs = [("", pair) if isinstance(pair, str) else pair for pair in differences]
    found = _found(scores, {"": {}} if measures is None else measures, pairs, values, where)
    if found.empty and lacking:
        return Table(pd.DataFrame({"": [lacking]}), caption)
    if found.empty:
        raise KeyError(f"no score fits {where or measures}")
    orders = _orders(found, pairs, {"measure": measures} | where)
    labels = {axis: [_named(axis, name, names) for name in found[axis]] for axis in (*lines, columns)}
    cells: dict[tuple[str, ...], str] = {}
    for row, *key in zip(found.to_dict("records"), *labels.values(), strict=True):
        if tuple(key) in cells:
            raise KeyError(f"two scores for the cell {', '.join(key)}: ask for more axes or fewer scores")
        cells[tuple(key)] = number(row, digits, interval)
    ordered = {axis: dict.fromkeys(_named(axis, name, names) for name in orders[axis]) for axis in labels}
    heads = list(ordered[columns])
    shown = [
        {names.get(axis, axis): label for axis, label in zip(lines, key, strict=True)}
        | {head: texts.get(key[0], EMPTY) for head, texts in (beside or {}).items()}
        | {head: cells.get((*key, head), EMPTY) for head in heads}
        for key in itertools.product(*(ordered[axis] for axis in lines))
        if any((*key, head) in cells for head in heads)
    ]
    note = origins.other_editions(scores.attrs.get("sources"), reads)
    return Table(pd.DataFrame(shown), ". ".join(filter(None, (caption, _evidence(found)))), note)


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
    """Return what each axis holds, in order: by number, as asked, of stages and pairs, or as it stands."""
    compared = [f"{stage} less {other}" for stage, other in pairs]
    known = [*stages.STAGES, *compared, "", *(f"less {other}" for _, other in pairs)]
    orders: dict[str, list[Any]] = {}
    for axis in map(str, found):
        held = list(found[axis].unique())
        several = isinstance(asked.get(axis), Iterable) and not isinstance(asked[axis], str)
        first = asked[axis] if several else known
        last = [name for name in held if name == "people"]
        every = dict.fromkeys([*first, *(name for name in held if name not in last), *last])
        orders[axis] = sorted(held) if axis == "x" else [name for name in every if name in held]
    return orders


def _named(axis: str, name: Any, names: Mapping[str, str]) -> str:
    if isinstance(name, float):
        return EMPTY if np.isnan(name) else f"{name:,.10g}"
    known = {"set": stages.SETS, "item": stages.RELATIONS, "model": {name: stages.short(name)}}.get(axis, {})
    return names.get(name, known.get(name, name))


def _evidence(rows: pd.DataFrame) -> str:
    kinds = ", and ".join(said for kind, said in stages.WHO.items() if kind in set(rows["evidence"]))
    return f"Evidence: {kinds}; run of the profile {', '.join(sorted(set(rows['profile'])))}"


def listing(rows: pd.DataFrame, columns: Mapping[str, str], caption: str = "") -> Table:
    """List rows one by one: of scores, or of anything that a table holds.

    Args:
        rows: the rows in their order.
        columns: which columns are shown, and how each is called; ``score`` is a number with its interval.
        caption: said above the table.
    """
    shown = rows.assign(score=[number(row) for _, row in rows.iterrows()]) if "score" in columns else rows
    return Table(shown[list(columns)].rename(columns=dict(columns)), caption)


def beside_published(
    scores: pd.DataFrame, caption: str = "", reads: Sequence[str] = (), **where: Any
) -> Table:
    """Set published numbers, with trust labels, beside this run's, and say if both are of one experiment.

    Args:
        scores: the table of scores; several models of one stage are shown as the range of their values.
        caption: said above the table.
        reads: registered sources whose edition is said below, as in ``layout``.
        where: which published numbers; a column that is asked for by one value is not shown.

    Raises:
        KeyError: nothing published fits, or nothing is said of the two.
    """
    shown = []
    for row, ours, said in published.beside(scores, **where):
        fields = {name: getattr(row, name) for name in ("task", "split", "metric", "model", "stage")}
        shown.append(
            {name: text for name, text in fields.items() if not isinstance(where.get(name), str)}
            | {"published": row.text, "trust": row.trust, "source": row.source, "here": _range(ours),
               "evidence here": ", ".join(sorted(set(ours["evidence"]))) or EMPTY, "same experiment?": said})
    return Table(pd.DataFrame(shown), caption, origins.other_editions(scores.attrs.get("sources"), reads))


def _range(rows: pd.DataFrame) -> str:
    given = rows.dropna(subset="value")
    if len(given) > 1:
        return f"{given['value'].min():.3f} to {given['value'].max():.3f} ({len(given)} models)"
    return number(given.iloc[0]) if len(given) else EMPTY


# ---- where the numbers are from -----------------------------------------------------------------------

def provenance(results: str | Path, what: str) -> Table:
    """Say where scores are from: the ``stages``, when and where each was made, or the ``files`` read."""
    return FROM[what](results)


def _stages(results: str | Path) -> Table:
    origin = origins.read(results)
    kept = {} if origin is None else origin.stages
    rows = [
        {"stage": name, "day": stage["date"] or NOT_KEPT,
         "wall time": NOT_KEPT if stage["seconds"] is None else f"{stage['seconds']:,.0f} s",
         "machine": stage["machine"] or NOT_KEPT, "commit": stage["commit"]}
        for name, stage in kept.items()
    ]
    return Table(pd.DataFrame(rows), f"The stages behind the scores: {origins.said(results)}")


def _files(results: str | Path) -> Table:
    origin = origins.read(results)
    if origin is None or origin.sources is None:
        return Table(pd.DataFrame(), f"Which files were read was not kept: {origins.said(results)}")
    rows = [
        {"what": source["what"], "file": source["file"],
         "bytes": f"{source['size']:,}" if "size" in source else NOT_KEPT,
         "holds": ", ".join(source[field] for field in ("holds", "edition") if field in source) or NOT_KEPT,
         "licence": source["licence"], "from": source["home"], "sha256": source.get("sha256", NOT_KEPT)}
        for source in origin.sources
    ]
    caption = ("Every registered file that the run has read, how much it holds, and which edition it is; of "
               "a folder, the digest is over its files' names and digests")
    return Table(pd.DataFrame(rows), caption)


FROM: dict[str, Callable[[str | Path], Table]] = {"stages": _stages, "files": _files}
