"""The tables and the sentences of the book: pure functions of the scores, so that no number and no verdict is typed."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from humalign.chain import origins
from humalign.data import registry
from humalign.evaluation.scores import one, pick
from humalign.show import published

# In the order of every table and figure; each pair is a stage and what it is compared with.
STAGES = ("base", "base-centred", "unaligned", "aligned", "teacher-base", "teacher-centred", "teacher")
MAIN = ("base", "unaligned", "aligned", "teacher-base", "teacher")
# Registered sources behind the tables of people's scores: the answers about objects, the photographs that teachers of photographs are
# fitted to, and what students are taught with.
OF_ANSWERS = ("things-answers", "things-validation-answers", "things-repeated-answers")
OF_PHOTOGRAPHS = ("things-photographs",)
OF_STUDENTS = (*OF_PHOTOGRAPHS, "caltech101")
SHOWN_LEVELS = ("global-coarse", "class-boundary")
PAIRS = (
    *(("teacher", reference) for reference in ("teacher-base", "teacher-centred")), ("unaligned", "base"),
    *(("aligned", reference) for reference in ("unaligned", "base-centred", "base")),
)
EMPTY = "—"
NOT_KEPT = "not kept"
NO_LOCAL_FINE = "local-fine has a ceiling only: within one subgroup the observers' truth is a random vector of each concept's own"
RELATIONS = {"same-subgroup": "in one subgroup", "same-group": "in one group", "different-group": "across groups"}
MINUS = "\N{MINUS SIGN}"


class Table:
    """A table of strings with a caption above and a note below, whose HTML and plain text are the same on every run."""

    def __init__(self, frame: pd.DataFrame, caption: str = "", note: str = "") -> None:
        self.frame, self.caption, self.note = frame.astype(str), caption, note

    def __repr__(self) -> str:
        return "\n".join(filter(None, (self.caption, "" if self.frame.empty else self.frame.to_string(index=False), self.note)))

    def _repr_html_(self) -> str:
        def line(cells: Sequence[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        # Above the table, not in it: a wide table scrolls on a narrow screen, and its caption should not.
        caption = f"<p>{html.escape(self.caption)}</p>\n" if self.caption else ""
        if self.frame.empty:
            return caption
        body = "\n".join(line(row, "td") for row in self.frame.to_numpy().tolist())
        note = f"\n<p>{html.escape(self.note)}</p>" if self.note else ""
        return f"{caption}<table>\n<thead>{line(list(self.frame.columns), 'th')}</thead>\n<tbody>\n{body}\n</tbody></table>{note}"


def reads(*names: str) -> Callable[[Callable[..., Table]], Callable[..., Table]]:
    """Let a function that makes a table of scores say below it which registered sources were another edition than the public file.

    Args:
        names: of the sources that stand behind the table's numbers; without any, every one that the run has read.
    """

    def decorate(make: Callable[..., Table]) -> Callable[..., Table]:
        @functools.wraps(make)
        def made(scores: pd.DataFrame, *arguments: Any, **named: Any) -> Table:
            table = make(scores, *arguments, **named)
            return Table(table.frame, table.caption, origins.other_editions(scores.attrs.get("sources"), names))

        return made

    return decorate


def number(row: Any, digits: int = 3) -> str:
    """Return a score as ``0.384 [0.372, 0.396]``, or a dash where it cannot honestly be given."""
    if pd.isna(row["value"]):
        return EMPTY
    value, low, high = (f"{row[name]:.{digits}f}".replace("-", MINUS) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def get(scores: pd.DataFrame, **where: str) -> str:
    """Return one score as text, with its interval.

    Raises:
        KeyError: no score fits, or several do.
    """
    return number(one(scores, **where))


def scores_table(scores: pd.DataFrame, *, rows: str, columns: str, caption: str = "", **where: Any) -> Table:
    """Lay scores out by two of their columns, each cell a number with its interval.

    Args:
        scores: the table of scores.
        rows: column whose values name the lines; stages come in their order, others as they stand in the scores.
        columns: column whose values name the columns.
        caption: said above the table.
        where: the value, or the several values, that a column of the scores must have.

    Raises:
        KeyError: nothing fits, or two scores fall into one cell.
    """
    found = pick(scores, **{column: wanted for column, wanted in where.items() if isinstance(wanted, str)})
    for column, wanted in where.items():
        found = found if isinstance(wanted, str) else found[found[column].isin(list(wanted))]
    if found.empty or found.duplicated([rows, columns]).any():
        raise KeyError(f"{len(found)} scores fit {where}: expected one for each {rows} and {columns}")
    lines, heads = (_ordered(found[axis].unique().tolist(), where.get(axis)) for axis in (rows, columns))
    cells = {(row[rows], row[columns]): number(row) for _, row in found.iterrows()}
    shown = [{rows: line} | {head: cells.get((line, head), EMPTY) for head in heads} for line in lines]
    return Table(pd.DataFrame(shown, columns=[rows, *heads]), caption)


def _ordered(names: list[str], asked: Any) -> list[str]:
    """The order that was asked for, else that of the stages, else as found."""
    order = list(asked) if asked is not None and not isinstance(asked, str) else [*STAGES, "ceiling"]
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def levels(scores: pd.DataFrame) -> Table:
    """Return odd-one-out accuracy of every stage at the three levels, and the ceiling."""
    return scores_table(
        scores, rows="stage", columns="split", task="odd-one-out", metric="accuracy", split=(*SHOWN_LEVELS, "local-fine"),
        caption=f"Odd-one-out accuracy against simulated observers, with 95 % intervals. {NO_LOCAL_FINE}.")


SUMMARY = {
    "odd-one-out, global-coarse": {"task": "odd-one-out", "split": "global-coarse", "metric": "accuracy"},
    "odd-one-out, class-boundary": {"task": "odd-one-out", "split": "class-boundary", "metric": "accuracy"},
    "similarity judgments (Spearman)": {"task": "similarity-judgments", "split": "held-out", "metric": "rsa-spearman"},
    "entropy agreement, global-coarse (Spearman)": {"task": "uncertainty", "split": "global-coarse", "metric": "entropy-spearman"},
    "entropy agreement, class-boundary (Spearman)": {"task": "uncertainty", "split": "class-boundary", "metric": "entropy-spearman"},
    "5-shot groups, same style": {"task": "few-shot", "split": "group/5-shot", "metric": "accuracy"},
    "5-shot subgroups, same style": {"task": "few-shot", "split": "subgroup/5-shot", "metric": "accuracy"},
    "5-shot groups, other style": {"task": "style-shift", "split": "group/5-shot", "metric": "accuracy"},
    "5-shot subgroups, other style": {"task": "style-shift", "split": "subgroup/5-shot", "metric": "accuracy"},
    "same concept in the other style": {"task": "style-shift", "split": "same-concept", "metric": "nearest-neighbour"},
}


def summary(scores: pd.DataFrame) -> Table:
    """Return the main measure of every evaluation, a line each, by stage, with the ceiling where there is one."""
    found = [pick(scores, **where).assign(measure=name) for name, where in SUMMARY.items()]
    stages = [stage for stage in (*MAIN, "ceiling") if any((rows["stage"] == stage).any() for rows in found)]
    return scores_table(pd.concat(found), rows="measure", columns="stage", stage=stages, caption="Every evaluation, with 95 % intervals")


def headline(scores: pd.DataFrame) -> dict[str, str]:
    """Return odd-one-out accuracies as text, by names such as ``aligned-coarse`` and ``ceiling-boundary``."""
    return {f"{row['stage']}-{level.split('-')[1]}": number(row)
            for level in SHOWN_LEVELS for _, row in pick(scores, task="odd-one-out", split=level, metric="accuracy").iterrows()}


def comparison(scores: pd.DataFrame) -> Table:
    """Return the paper's numbers beside the run's, with trust labels, and whether both are of the same experiment."""
    found = published.joined(scores)
    found = found.iloc[found["split"].map([*SHOWN_LEVELS, "local-fine"].index).argsort(kind="stable")]
    shown = pd.DataFrame({
        "level": found["split"], "stage": found["stage"], "published": found["paper"], "of": found["paper_model"], "trust": found["trust"],
        "here": [number(row) if pd.notna(row["value"]) else f"{EMPTY} (no picture shows it)" for _, row in found.iterrows()],
        "same experiment?": found["same"],
    })
    return Table(shown, "Odd-one-out accuracy at the levels: published numbers are of people and photographs, ours of simulated observers "
                        "over drawings. They cannot be compared, only read side by side.")


def quoted(task: str) -> Table:
    """Return what is published on a task, each number with its trust label and source; none of it is a result of this project.

    Raises:
        KeyError: nothing is published on such a task.
    """
    return Table(pd.DataFrame([
        {"where": row.split, "metric": row.metric, "of": row.model, "stage": row.stage, "published": row.text, "trust": row.trust,
         "source": row.source} for row in published.published(task=task)
    ]), "Published numbers, from another experiment")


def sources() -> Table:
    """Return what the run reads: name, licence, home and the attribution asked for."""
    entries = registry.packages().values()
    return Table(pd.DataFrame(
        [{"what": s.what, "used as": s.used_in, "licence": s.licence, "home": s.home, "attribution": s.attribution} for s in entries]))


def stages_run(results: str | Path) -> Table:
    """Return when and where each stage of the run was made that a table of scores is from, and how long it took."""
    origin = origins.read(results)
    told = {} if origin is None else origin.stages
    rows = [{"stage": name, "day": stage["date"] or NOT_KEPT,
             "wall time": NOT_KEPT if stage["seconds"] is None else f"{stage['seconds']:,.0f} s",
             "machine": stage["machine"] or NOT_KEPT, "commit": stage["commit"]} for name, stage in told.items()]
    return Table(pd.DataFrame(rows), f"The stages behind the scores: {origins.said(results)}")


def files_used(results: str | Path) -> Table:
    """Return every registered file that the run has read which a table of scores is from."""
    origin = origins.read(results)
    if origin is None or origin.sources is None:
        return Table(pd.DataFrame(), f"Which files were read was not kept: {origins.said(results)}")
    rows = [{"what": source["what"], "file": source["file"], "bytes": f"{source['size']:,}" if "size" in source else NOT_KEPT,
             "holds": ", ".join(source[field] for field in ("holds", "edition") if field in source) or NOT_KEPT,
             "licence": source["licence"], "from": source["home"], "sha256": source.get("sha256", NOT_KEPT)} for source in origin.sources]
    return Table(pd.DataFrame(rows), "Every registered file that the run has read, how much it holds, and which edition it is; of a "
                                     "folder, the digest is over its files' names and digests")


# ---- sentences -------------------------------------------------------------------------------------------------------

def overlap(a: Any, b: Any) -> bool:
    """Say whether the intervals of two scores have a point in common."""
    return bool(a["low"] <= b["high"] and b["low"] <= a["high"])


def side(row: Any) -> str:
    """Say which way a paired difference goes: its interval decides, not its value."""
    return "above" if row["low"] > 0 else "below" if row["high"] < 0 else "not distinguishable from"


def difference(scores: pd.DataFrame, split: str, stage: str, reference: str) -> str:
    """Say how two stages differ in odd-one-out accuracy, by the paired interval, and whether their own intervals overlap."""
    paired = one(scores, task="odd-one-out", split=split, stage=stage, metric=f"accuracy-above-{reference}")
    a, b = (one(scores, task="odd-one-out", split=split, stage=name, metric="accuracy") for name in (stage, reference))
    return (f"at {split}, {stage} is {side(paired)} {reference} (paired difference {number(paired)}); "
            f"the intervals of the two accuracies {'overlap' if overlap(a, b) else 'do not overlap'}")


def standing(scores: pd.DataFrame, stage: str, reference: str, **where: Any) -> str:
    """Say in how many splits a stage's interval lies above, below or across that of a reference.

    For scores without a paired difference: intervals that overlap leave it open whether there is one.

    Raises:
        KeyError: the two stages do not have the same splits.
    """
    ours, theirs = (pick(scores, stage=name, **where).set_index("split") for name in (stage, reference))
    if ours.empty or list(ours.index) != list(theirs.index):
        raise KeyError(f"{stage} and {reference} do not have the same splits for {where}")
    apart = [split for split in ours.index if not overlap(ours.loc[split], theirs.loc[split])]
    above = [split for split in apart if ours.loc[split, "value"] > theirs.loc[split, "value"]]
    below = [split for split in apart if split not in above]
    if len(ours) == 1:
        place = "above" if above else "below" if below else "not clearly apart from"
        ending = "and the intervals do not overlap" if apart else "since the intervals overlap"
        return f"{stage} at {number(ours.iloc[0])} is {place} {reference} at {number(theirs.iloc[0])}, {ending}"
    counted = {way: f"{len(splits)} ({', '.join(splits)})" if splits else "none" for way, splits in (("above", above), ("below", below))}
    return (f"compared with {reference} in {len(ours)} settings, the interval of {stage} lies above it in {counted['above']} "
            f"and below it in {counted['below']}; in the others the two overlap")


def change(scores: pd.DataFrame, relation: str, stage: str) -> str:
    """Say whether alignment brought pairs of a relation nearer or moved them apart, against all pairs of held-out concepts."""
    row = one(scores, task="hierarchy", split=relation, stage=stage, metric="change-from-base")
    way = {"above": "move apart", "below": "come nearer"}.get(side(row), "neither come nearer nor move apart beyond doubt")
    return f"pairs {RELATIONS[relation]} {way} in {stage} ({number(row)})"


def verdict(scores: pd.DataFrame) -> str:
    """Say in one sentence whether alignment did, at both levels, what it is meant to do; it can say no."""
    asked = [(level, stage, reference) for stage, reference in PAIRS if stage != "unaligned" for level in SHOWN_LEVELS]
    rows = {(level, stage, reference): one(scores, task="odd-one-out", split=level, stage=stage, metric=f"accuracy-above-{reference}")
            for level, stage, reference in asked}
    held = [name for name, row in rows.items() if side(row) == "above"]
    failed = [f"{stage} over {reference} at {level} ({number(rows[level, stage, reference])})"
              for level, stage, reference in asked if (level, stage, reference) not in held]
    scene = "judged by simulated observers on held-out concepts"
    if not failed:
        apart = sum("do not overlap" in difference(scores, level, stage, reference) for level, stage, reference in asked)
        return (f"Yes: {scene}, the teacher is above its backbone, centred or not, and the aligned student above the control and above "
                f"its base, centred or not, "
                f"at both levels; all {len(asked)} paired 95 % intervals exclude zero, and in {apart} of these comparisons the intervals "
                f"of the accuracies themselves do not overlap.")
    head = "In part" if held else "No"
    return f"{head}: {scene}, {len(held)} of {len(asked)} gains have a paired 95 % interval above zero; not so {', '.join(failed)}."
