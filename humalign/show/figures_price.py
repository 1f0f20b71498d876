"""The price of agreement: what each student between base and aligned reaches, as a front and as a sentence.

Both are made of the recorded table of ``benchmarks/price.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes

from humalign.chain import origins
from humalign.errors import HumalignError
from humalign.evaluation.scores import one, pick, read
from humalign.show import cells, sentences
from humalign.show.drawing import DOTTED, HOVER, LETTERS, POINT, STYLE, WIDTH, Drawing, look, percent, wrapped
from humalign.show.panels import finish

# What the table calls its knobs, and what was chosen.
WEIGHTS, SIDE = "share of weights", "share of features"
STEPS, DECAY, BLOCKS = "steps", "decay to initial weights", "blocks trained"
CHOSEN, CENTRED_TOO = "chosen on the other half", "less the base's mean"
EDGED: Any = POINT | {"markersize": 5, "markeredgewidth": 1}
PHOTOGRAPHS, CLASSES, CORRUPTED = "92 photographs", "cifar10 and textures", "corrupted cifar10"
# What the places of a knob are.
KNOBS = {
    WEIGHTS: "share of weights' change",
    SIDE: "share of aligned features",
    STEPS: "steps of training",
    DECAY: "decay to initial weights",
    BLOCKS: "blocks trained, of five",
}
EVIDENCE = "People's judgments, and class labels of photographs; students of five training seeds"


def place_of(item: str) -> tuple[str, bool]:
    """Return the knob that an item of the table names, and whether features are less the base's mean."""
    return item.partition(", ")[0], item.endswith(f", {CENTRED_TOO}")


def recorded(folder: Path = origins.RECORDED / "price") -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the recorded table, and where it is from: recipe, seeds, day, machine, commit.

    Raises:
        HumalignError: it is not there, or is no such table.
    """
    table, path = read(folder / "scores.csv"), folder / "provenance.json"
    try:
        told = dict(json.loads(path.read_text("utf-8")))
        told["recipe"]["least"] = float(told["recipe"]["least"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        mend = "restore the file, or run `python benchmarks/price.py --record book/recorded`"
        lacking = f"{path} does not say where the table is from ({type(error).__name__})"
        raise HumalignError(f"{lacking}: {mend}") from None
    return table, told


def standings(table: pd.DataFrame) -> pd.DataFrame:
    """Return a line for each student: its knob, place, whether it is centred, and both measures.

    Columns ``rsa`` and ``change`` hold rows of the table: RSA with people, and few-shot accuracy less the
    base's. ``reached`` and ``gained`` are their values.
    """
    found = []
    agreed = pick(table, task="price", set=PHOTOGRAPHS, metric="rsa-spearman", stage="aligned")
    changes = pick(table, task="price", set=CLASSES, reference="base").set_index(["item", "x"], drop=False)
    for _, row in agreed.iterrows():
        knob, centred = place_of(row["item"])
        change = changes.loc[[(knob, row["x"])]].iloc[0]
        student = {"knob": knob, "x": row["x"], "centred": centred, "rsa": row, "change": change}
        found.append(student | {"reached": row["value"], "gained": change["value"]})
    return pd.DataFrame(found)


def undominated(table: pd.DataFrame) -> pd.DataFrame:
    """Return the students that no other one exceeds in both measures, from the greatest RSA down."""
    found = standings(table)
    both = found[["reached", "gained"]].to_numpy()
    exceeded = ((both[:, None] <= both).all(2) & (both[:, None] != both).any(2)).any(1)
    # The student of all of training ends every knob.
    return found[~exceeded].sort_values("reached", ascending=False, kind="stable").drop_duplicates("reached")


def listing(table: pd.DataFrame, caption: str = "") -> cells.Table:
    """Return the students of the front: RSA, and few-shot and corrupted accuracy less the base's.

    A cell is empty where a knob was not measured so.
    """
    rows, shown = [], []
    losses = pick(table, task="price", set=CORRUPTED, reference="base").set_index(["item", "x"], drop=False)
    for each in undominated(table).to_dict("records"):
        at = (each["knob"], each["x"])
        loss = losses.loc[[at]].iloc[0] if at in losses.index else None
        measured = {"RSA": each["rsa"], "few-shot, points": each["change"], "corrupted, points": loss}
        rows.append({"student": called(each)} | {
            title: cells.EMPTY if row is None else cells.number(row, between="\n{}")
            for title, row in measured.items()})
        shown += [row for row in measured.values() if row is not None]
    foot = cells.links(pd.DataFrame(shown), __name__, "listing")
    return cells.Table(pd.DataFrame(rows), caption, foot=foot)


# ---- the figure --------------------------------------------------------------------------------------------


@rc_context(STYLE)
def front(table: pd.DataFrame, least: float) -> Drawing:
    """Draw agreement with people against few-shot accuracy less the base's, a panel for each knob.

    The agreement that a student should keep, ``least``, is a dotted line.

    Raises:
        HumalignError: a table without such scores.
    """
    found = standings(table)
    knobs = [knob for knob in KNOBS if knob in set(found["knob"])] if len(found) else []
    if not knobs:
        mend = "run `python benchmarks/price.py --record book/recorded`"
        raise HumalignError(f"no scores of the price of agreement: {mend}")
    lines = -(-len(knobs) // 2)
    figure = Drawing(figsize=(WIDTH, 2.1 * lines + 0.9))
    grid = figure.subplots(lines, 2, squeeze=False, sharex=True, sharey=True)
    plain = found[~found["centred"]]
    for knob, axes in zip(knobs, grid.flat, strict=False):
        others = plain[plain["knob"] != knob]
        axes.plot(others["gained"], others["reached"], ".", color="#808080", markersize=3, zorder=1)
        _knob(axes, table, found[found["knob"] == knob])
        axes.axhline(least, **DOTTED)
        axes.axvline(0, **DOTTED)
        axes.set_title(KNOBS[knob])
        axes.grid(axis="y")
        axes.xaxis.set_major_formatter(percent)
    for axes in grid.flat[len(knobs) :]:
        axes.remove()
    for axes in grid.flat[max(len(knobs) - 2, 0) : len(knobs)]:
        axes.tick_params(labelbottom=True)
    pictures, classes = found["rsa"].iloc[0]["n"], found["change"].iloc[0]["n"]
    figure.supylabel(f"RSA with people, n = {pictures:,} photographs", fontsize=10)
    foot = [
        f"few-shot accuracy less the base's (points), n = {classes:,}",
        "circle: base; diamonds: students, hollow: less the base's mean; dots: students of the other panels; "
        f"dotted: the base's accuracy, and an RSA of {least:.2f}",
    ]
    figure.supxlabel("\n".join(wrapped(line, LETTERS) for line in foot), fontsize=10)
    rows = pd.concat([pd.DataFrame(list(found[name])) for name in ("rsa", "change")])
    finish(figure, rows, EVIDENCE, "; ".join(map(_said, found.to_dict("records"))), (__name__, "front"))
    return figure


def _knob(axes: Axes, table: pd.DataFrame, found: pd.DataFrame) -> None:
    """Draw base and students of one knob, both intervals as a cross."""
    (colour, marker), grey = look("aligned"), look("base")
    for stage, face in (("base", grey[0]), ("base-centred", "none")):
        row = one(table, task="price", set=PHOTOGRAPHS, stage=stage, metric="rsa-spearman", reference="")
        hover = f"{HOVER}{stage}: RSA {cells.number(row)}"
        axes.plot([0, 0], [row["low"], row["high"]], color=grey[0], linewidth=0.6)
        axes.plot(0, row["value"], grey[1], color=grey[0], markerfacecolor=face, gid=hover, **EDGED)
    for centred, of in found.groupby("centred"):
        axes.plot(of["gained"], of["reached"], ":" if centred else "-", color=colour, linewidth=1)
        for each in of.to_dict("records"):
            at = (each["gained"], each["reached"])
            if not centred:
                thin: Any = {"color": colour, "linewidth": 0.6}
                axes.hlines(each["reached"], each["change"]["low"], each["change"]["high"], **thin)
                axes.vlines(each["gained"], each["rsa"]["low"], each["rsa"]["high"], **thin)
                beside: Any = {"textcoords": "offset points", "fontsize": 8}
                axes.annotate(f"{each['x']:g}", at, (4, -9), **beside)
            hover, face = f"{HOVER}{_said(each)}", "none" if centred else colour
            axes.plot(*at, marker, color=colour, markerfacecolor=face, gid=hover, **EDGED)


def called(each: Any) -> str:
    """Say which student: ``share of weights 0.5, less the base's mean``."""
    return f"{each['knob']} {each['x']:g}" + f", {CENTRED_TOO}" * bool(each["centred"])


def _said(each: Any) -> str:
    rsa, change = cells.number(each["rsa"]), cells.number(each["change"])
    return f"{called(each)}: RSA {rsa}, few-shot accuracy {change} points"


# ---- the sentences -----------------------------------------------------------------------------------------


def verdict(table: pd.DataFrame, least: float) -> str:
    """Say whether a student keeps an RSA of at least so much with few-shot accuracy not below the base's."""
    found = standings(table)
    high = found[found["reached"] >= least]
    fit = high[high["gained"] >= 0]
    goal = f"an RSA of at least {least:.2f} with few-shot accuracy not below the base's"
    if len(fit):
        best = fit.loc[fit["reached"].idxmax()]
        count = f"{len(fit)} of {len(found)} students keep {goal}"
    elif len(high):
        best = high.loc[high["gained"].idxmax()]
        count = f"none of {len(found)} students keeps {goal}; the one with the least loss at such an RSA"
    else:
        best = found.loc[found["reached"].idxmax()]
        count = f"none of {len(found)} students keeps {goal}; the one of greatest RSA"
    return f"{count}: {_sentence(called(best), best['rsa'], best['change'])}"


def confirmed(table: pd.DataFrame) -> str:
    """Say what is chosen on one half of the items, and what it reaches on the other, both ways."""
    ways = pick(table, task="price", metric="rsa-spearman", stage="aligned")
    ways = ways[ways["set"].str.startswith(f"{PHOTOGRAPHS}, ") & ~ways["set"].str.endswith("both halves")]
    names = []
    for row in ways.to_dict("records"):
        knob, centred = place_of(row["item"])
        student = {"knob": knob, "x": row["x"], "centred": centred}
        names.append(row["item"] if pd.isna(row["x"]) else called(student))
    both = {"task": "price", "item": CHOSEN}
    rsa = one(table, set=f"{PHOTOGRAPHS}, both halves", metric="rsa-spearman", **both)
    change = one(table, set=f"{CLASSES}, both halves", reference="base", **both)
    first, second = names
    said = first if first == second else f"{first} (by the first half) and {second} (by the second)"
    return f"chosen on one half and scored on the other, both ways: {_sentence(said, rsa, change)}"


def kept(table: pd.DataFrame) -> tuple[str, str]:
    """Say how much of the gain in RSA over the centred base the chosen student keeps, at which accuracy."""
    where = {"task": "price", "set": f"{PHOTOGRAPHS}, both halves", "metric": "rsa-spearman", "reference": ""}
    base, chosen = one(table, stage="base-centred", **where), one(table, item=CHOSEN, **where)
    share = sentences.share(base, chosen, one(table, stage="aligned", item="", **where))
    change = one(table, task="price", item=CHOSEN, set=f"{CLASSES}, both halves", reference="base")
    return f"{100 * share:.0f} %", sentences.amount(change, counted=False)


def _sentence(name: str, rsa: pd.Series, change: pd.Series) -> str:
    less = f"few-shot accuracy less the base's: {sentences.amount(change)}"
    return f"{name}, with RSA {sentences.value(rsa)}; {less}"
