"""Pictures of a run as pieces of a page: triplets with people's votes, maps, neighbours, the chain itself.

What they show was chosen by rules and left by the run (see `humalign.chain.illustrate`).
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from humalign.show import photographs
from humalign.show.photographs import Picture, bar, card, of, part, percent, rule, said, tag, thumbnail
from humalign.show.photographs import first_model as first
from humalign.show.pictures_chain import VICE, diagram, followed, matrices, shares
from humalign.show.stages import LABELS, short

__all__ = [
    "agreement", "diagram", "flipped", "followed", "levels", "map", "matrices", "neighbours", "of",
    "thumbnail", "triplets",
]  # fmt: skip

# Pictures of a map: of how many of the 400 units of its width.
UNITS, FACE = 400, 27
# Triplets of each direction.
FLIPPED = 4
LEVELS = {
    "global-coarse": "three categories",
    "class-boundary": "two of one, one of another",
    "local-fine": "one category",
}
Json = Mapping[str, Any]


# ---- triplets ----------------------------------------------------------------------------------------------


def _votes(one: Json) -> str:
    """Return a triplet with the votes for each as the odd one out."""
    n, votes, most = one["answers"], one["votes"], max(one["votes"])
    cards = [
        card(name, bar(vote / n) + (f"{vote} of {n}" if n > 1 else "the answer" * vote), odd=vote == most)
        for name, vote in zip(one["names"], votes, strict=True)
    ]
    return f'<div class="hp-three">{"".join(cards)}</div>'


def triplets(shown: Any, which: str = "spread") -> Picture:
    """Draw triplets with people's votes; the one that most people chose as the odd one out has a heavy frame.

    They are ``spread`` (from clear to open), ``clear``, ``open``, or in ``doubt``: a clear and an open one
    with the shares that people, VICE, the network and its teacher give each.
    """
    blocks, spoken = [], []
    for one in part(shown, "triplets", which):
        most, chances = max(one["votes"]), one.get("chances", {})
        rows = {VICE: ("observer", one["vice"])} if chances else {}
        rows |= {f"{LABELS[stage]} ({short(one['model'])})": (stage, each) for stage, each in chances.items()}
        head = f"{most} of {one['answers']} people agree"
        blocks.append(f'<div><p class="hp-head">{head}</p>{_votes(one)}{shares(rows, one["names"])}</div>')
        both = zip(one["names"], one["votes"], strict=True)
        spoken.append(f"{head}: {', '.join(f'{said(name)} {vote}' for name, vote in both)}")
    said_all = f"Which is the odd one out? {'; '.join(spoken)}"
    return Picture(f'<div class="hp-grid">{"".join(blocks)}</div>', said_all, triplets, rule(shown, which))


def levels(shown: Any) -> Picture:
    """Draw a triplet of each of three levels of abstraction, with its categories and one person's answer."""
    blocks, spoken = [], []
    for level, one in part(shown, "levels").items():
        cards = [
            card(name, f"<i>{html.escape(kind)}</i>", odd=vote == max(one["votes"]))
            for name, kind, vote in zip(one["names"], one["categories"], one["votes"], strict=True)
        ]
        title = f"{level.replace('-', ' ').capitalize()}: {LEVELS[level]}"
        odd_one = said(one["names"][int(np.argmax(one["votes"]))])
        three = f'<div class="hp-three">{"".join(cards)}</div>'
        blocks.append(f'<div><p class="hp-head">{title}</p>{three}</div>')
        names = ", ".join(said(name) for name in one["names"])
        spoken.append(f"{title}: {names}; the odd one out by a person's answer: {odd_one}")
    note = f"Heavy frame: the odd one out by one person's answer. {rule(shown, 'levels')}"
    return Picture(f'<div class="hp-grid hp-narrow">{"".join(blocks)}</div>', "; ".join(spoken), levels, note)


def agreement(shown: Any) -> Picture:
    """Draw how many of the repeated triplets have which share of their answers on the most frequent one."""
    found = part(shown, "agreement")
    counts, low, step = found["counts"], 0.30, 0.05
    width, height, top = 420, 150, max(found["counts"])
    slot = width / len(counts)
    bars = "".join(
        f'<rect x="{slot * at + 1:.1f}" y="{height - height * count / top:.1f}" width="{slot - 2:.1f}" '
        f'height="{height * count / top:.1f}" fill="currentColor" opacity=".6"><title>{count} triplets: over '
        f"{percent(low + step * at)}, at most {percent(low + step * (at + 1))} of the answers</title></rect>"
        for at, count in enumerate(counts)
    )
    middle = 'text-anchor="middle"'
    mean = (found["mean"] - low) / step * slot
    ticks = "".join(
        f'<text x="{(share - low) / step * slot:.1f}" y="{height + 17}" {middle}>{percent(share)}</text>'
        for share in (0.4, 0.6, 0.8, 1.0)
    )
    words = (
        f"{found['triplets']:,} triplets, each answered by about {found['answers']} people: "
        f"on average {100 * found['mean']:.1f} % give the most frequent answer"
    )
    body = (
        f'<p class="hp-head">{words}</p><svg viewBox="-14 -22 {width + 32} {height + 62}" role="img" '
        f'aria-label="{words}" style="max-width: 36rem" font-size="13" fill="currentColor">{bars}'
        f'<path d="M0 {height}H{width}" stroke="currentColor"/>'
        f'<path d="M{mean:.1f} -4V{height}" stroke="currentColor" stroke-dasharray="4 3"/>'
        f'<text x="{mean:.1f}" y="-8" text-anchor="middle">mean {100 * found["mean"]:.1f} %</text>{ticks}'
        f'<text x="{width / 2}" y="{height + 36}" {middle}>share of the most frequent answer</text></svg>'
    )
    return Picture(body, words, agreement, "")


def flipped(shown: Any, model: str = "") -> Picture:
    """Draw some triplets of each direction in which a student's choice changed, and count them all."""
    name, found = first(shown, model, "flipped")
    base, centred = found["counts"]["base"], found["counts"]["base-centred"]
    rows = [
        ("agrees with the person only after alignment", "gained"), ("agreed only before", "lost"),
        ("agrees before and after", "both"), ("agrees neither before nor after", "neither"),
    ]  # fmt: skip
    line = '<tr><th scope="row">{}</th><td>{}</td><td>{}</td></tr>'
    lines = "".join(line.format(label, base[key], centred[key]) for label, key in rows)
    table = (
        f'<table class="hp-counts"><caption>{short(name)}: {base["answers"]} answers about photographs that '
        "its teacher did not see"
        '</caption><thead><tr><th scope="col">the student</th><th scope="col">against before</th>'
        f'<th scope="col">against before, centred</th></tr></thead><tbody>{lines}</tbody></table>'
    )
    sections = []
    for direction, title in (("gained", "As the person only after"), ("lost", "As the person only before")):
        several = found["examples"][direction][:FLIPPED]
        blocks = "".join(f"<div>{_chosen(one)}</div>" for one in several)
        head = f"{title} ({len(several)} of {base[direction]})"
        sections.append(f'<p class="hp-head">{head}</p><div class="hp-grid">{blocks}</div><br>')
    spoken = (
        f"{short(name)}: of {base['answers']} answers, {base['gained']} agree only after alignment, "
        f"{base['lost']} only before"
    )
    return Picture(table + "".join(sections), spoken, flipped, rule(shown, "flipped"))


def _chosen(one: Json) -> str:
    """Return a triplet with tags of who chose which as the odd one out."""
    person = int(np.argmax(one["votes"]))
    chosen = [(person, "a person", "people")]
    chosen += [(one["choices"][stage], LABELS[stage], stage) for stage in ("base", "aligned")]
    cards = []
    for at, name in enumerate(one["names"]):
        tags = "".join(tag(text, stage) for place, text, stage in chosen if place == at)
        cards.append(card(name, tags, odd=person == at))
    return f'<div class="hp-three">{"".join(cards)}</div>'


# ---- maps and neighbours -----------------------------------------------------------------------------------


def map(shown: Any, model: str = "") -> Picture:
    """Draw photographs in the plane before (centred) and after alignment: those that a teacher did not see.

    The model is a student, or the network of the teacher of objects; without a name, the first student.
    """
    name, (one, *_) = first(shown, model, "map")  # of several halves or folds, the first
    known = photographs.at_hand()
    after = "aligned" if name in of(shown).get("students", ()) else "teacher"
    both = {stage: np.array(one[stage]) * [1, -1] for stage in ("base-centred", "aligned")}
    low, high = (side(np.concatenate(list(both.values())), axis=0) for side in (np.min, np.max))
    scale = (UNITS - FACE) / max(high - low)
    size = f"0 0 {UNITS} {(high - low)[1] * scale + FACE:.0f}"
    # A photograph stands in the page once, and is used in both maps.
    stem = f"hp-{name}-0".replace("+", "-")
    kept = "".join(
        f'<image id="{stem}-{at}" width="{FACE}" height="{FACE}" href="{thumbnail(each, 2 * FACE)}"/>'
        for at, each in enumerate(one["names"])
        if each in known
    )
    panels = []
    for stage, xy in both.items():
        called = after if stage == "aligned" else stage
        label, dot = LABELS[called], photographs.colour(called)
        placed = dict(zip(one["names"], ((xy - low) * scale + FACE / 2).tolist(), strict=True))
        points = "".join(
            f'<use href="#{stem}-{at}" x="{x - FACE / 2:.1f}" y="{y - FACE / 2:.1f}">{_title(each)}</use>'
            if each in known
            else f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{dot}">{_title(each)}</circle>'
            for at, (each, (x, y)) in enumerate(placed.items())
        )
        named = _named({each: place for each, place in placed.items() if each not in known})
        variance = f"The plane keeps {percent(one['variance'][stage])} of the variance."
        panels.append(
            f'<div><p class="hp-head">{label}</p><svg viewBox="{size}" role="img" aria-label="{label}: a map '
            f'of {len(placed)} photographs"><defs>{kept}</defs>{points}{named}</svg>'
            f'<p class="hp-say">{variance}</p></div>'
        )
        kept = ""
    note = "Near: alike for the network. Maps are rotated to match; only distances mean anything."
    spoken = f"{short(name)}: two maps of {len(one['names'])} photographs that its teacher did not see"
    body = f'<div class="hp-sides">{"".join(panels)}</div>'
    return Picture(body, f"{spoken}, before and after", map, f"{note} {rule(shown, 'map')}")


def _title(name: str) -> str:
    return f"<title>{html.escape(said(name))}</title>"


def _named(places: Mapping[str, Sequence[float]]) -> str:
    """Return names beside points, of as many as cover no other."""
    boxes: list[tuple[float, float, float]] = []
    found = []
    for name, (x, y) in places.items():
        width = 6.2 * len(said(name)) + 6
        left = x + 5 if x + width < UNITS else x - 5 - width
        if all(abs(y - other) > 13 or left > end or left + width < start for start, end, other in boxes):
            boxes.append((left, left + width, y))
            found.append(
                f'<text x="{left:.1f}" y="{y + 4:.1f}" font-size="11" fill="currentColor">'
                f"{html.escape(said(name))}</text>"
            )
    return "".join(found)


def neighbours(shown: Any, model: str = "") -> Picture:
    """Draw the five nearest of some photographs before (centred) and after; framed: near for people too."""
    name, found = first(shown, model, "neighbours")
    after = LABELS["aligned" if name in of(shown).get("students", ()) else "teacher"]
    sides = {"base-centred": LABELS["base-centred"], "aligned": after}
    rows = []
    for one in found["examples"]:
        lists = [
            f'<div><p class="hp-say" style="margin: 0 0 .3rem !important">{label}</p><div class="hp-five">'
            + "".join(card(each, odd=each in one["people"], side=96) for each in one[stage])
            + "</div></div>"
            for stage, label in sides.items()
        ]
        rows.append(f'<div class="hp-wide">{card(one["name"])}{"".join(lists)}</div>')
    before, now = (found["as-people"][stage] for stage in sides)
    words = (
        f"Of the five nearest, {found['kept']:.1f} stay on average of {found['photographs']} photographs. "
        f"Nearest for people too, by VICE: {before:.2f} before, {now:.2f} after."
    )
    framed = "Heavy frame: among the five nearest by the published VICE, a model of people's answers."
    note = f"{framed} {rule(shown, 'neighbours')}"
    body = f'<p class="hp-head">{words}</p>{"".join(rows)}'
    return Picture(body, f"{short(name)}: {words}", neighbours, note)
