"""The task to play: ten triplets that people answered, then the choices of reader, people and models."""

from __future__ import annotations

import html
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from humalign.artefacts import fingerprint
from humalign.collect import page
from humalign.collect.study import MAIN, PACKAGE, WORDS
from humalign.errors import HumalignError
from humalign.show import cells, photographs

PEOPLE, PERSON, BASE, ALIGNED = "People", "One person", "Base model", "Aligned model"
MODELS = {BASE: "base", ALIGNED: "aligned"}
TOTALS = "You chose as {who} did in {{0}} of {{all}}, the base model in {{1}}, the aligned model in {{2}}."
# What the words of the task are called here, by who chose: several people a triplet, or one.
OWN_WORDS = {
    PEOPLE: {
        "totals": TOTALS.format(who="most people"),
        "resultsTitle": "Your choices beside people's and the models'",
    },
    PERSON: {
        "totals": TOTALS.format(who="the person asked") + " One person answered each triplet.",
        "resultsTitle": "Your choices beside a person's and the models'",
        "agreement": "Chose as the person asked did",
    },
}
SIDE = 240  # of the frame of a name, in pixels
FRAME = """<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}" viewBox="0 0 {side} {side}">
<rect x="2" y="2" width="{inner}" height="{inner}" rx="8" fill="#ffffff" stroke="#767b81" stroke-width="2"/>
<text text-anchor="middle" font-family="sans-serif" font-size="{size}" fill="#1e2328">{lines}</text></svg>"""


class Game(cells.Piece):
    """The task as a piece of a page; it loads nothing, and keeps nothing."""

    def __init__(self, study: Mapping[str, Any], note: str = "") -> None:
        self.study, own = study, f"odd-{study['id']}"
        style = (PACKAGE / "task.css").read_text("utf-8")
        # "</script>" in a name would end the element that holds the data.
        data = json.dumps(study, ensure_ascii=False).replace("<", "\\u003c")
        super().__init__(
            f"<style>{style}</style>\n"
            f'<div id="{own}" class="odd-task odd-game">'
            f"<noscript>The task needs JavaScript.</noscript></div>\n"
            f'<script type="application/json" id="{own}-study">{data}</script>\n'
            # Their names stay inside: a page may hold more than one script of the task.
            f"<script>\n(() => {{\n{page.script()}\n"
            f'oddTask(document.getElementById("{own}"), '
            f'JSON.parse(document.getElementById("{own}-study").textContent));\n}})();\n</script>\n'
            f'<p class="humalign-links">{html.escape(note)} '
            f'<a href="{cells.code_address(__name__, "game")}">code</a></p>',
            f"The odd-one-out task: {len(study['trials'])} triplets to play",
        )


def game(shown: Any) -> Game:
    """Return the task with the triplets of a run's ``illustrations.json``, and photographs that are at hand.

    Raises:
        HumalignError: the run left no such triplets, or triplets that cannot be.
    """
    return of(photographs.of(shown).get("game", []), photographs.thumbnail, photographs.note())


def of(triplets: Sequence[Mapping[str, Any]], thumbnail: Callable[[str], str], note: str = "") -> Game:
    """Return the task with these triplets.

    Args:
        triplets: each with ``names`` of three things, ``votes`` (people who chose each as the odd one out)
            and ``choices`` (the place of the odd one out by ``base`` and ``aligned``).
        thumbnail: gives the address of a thing's picture, or nothing where its name is to be drawn.
        note: said below the task, such as whose the pictures are.

    Raises:
        HumalignError: no triplet, or one that cannot be.
    """
    if not triplets:
        why = "this run has no people's answers about unseen photographs"
        raise HumalignError(f"there is no triplet to play: {why}")
    for number, triplet in enumerate(triplets):
        _check(number, triplet)
    who = PERSON if all(sum(triplet["votes"]) == 1 for triplet in triplets) else PEOPLE
    trials = [_trial(number, triplet, thumbnail, who) for number, triplet in enumerate(triplets)]
    words = WORDS | OWN_WORDS[who]
    about = {"timeout_ms": 0, "straight": True, "compare": [who, *MODELS], "words": words, "trials": trials}
    return Game({"id": f"s{fingerprint(about)[:11]}"} | about, note)


def _check(number: int, triplet: Mapping[str, Any]) -> None:
    names, votes, choices = (triplet.get(field, ()) for field in ("names", "votes", "choices"))
    if len(names) != 3 or len(set(names)) != 3:
        wanted = "three different names"
    elif len(votes) != 3 or min(votes) < 0 or not sum(votes):
        wanted = "three counts of votes, one above 0"
    elif any(dict(choices).get(model) not in (0, 1, 2) for model in MODELS.values()):
        wanted = "a place (0, 1 or 2) chosen by base and by aligned"
    else:
        return
    where = f"illustrations.json, triplet {number} of the game"
    raise HumalignError(f"{where}: expected {wanted}; make the run's scores again")


def _trial(
    number: int, triplet: Mapping[str, Any], thumbnail: Callable[[str], str], who: str
) -> dict[str, Any]:
    names, votes = triplet["names"], triplet["votes"]
    spoken = [photographs.said(name) for name in names]
    chosen = {shown: triplet["choices"][model] for shown, model in MODELS.items()}
    single = {"compare": {who: votes.index(max(votes))} | chosen}
    several = {"compare": {who: [vote / sum(votes) for vote in votes]} | chosen, "votes": {who: list(votes)}}
    return {
        "id": f"t{number}",
        "kind": MAIN,
        "level": "",
        "images": list(names),
        "alt": spoken,
        "files": [thumbnail(name) or frame(own) for name, own in zip(names, spoken, strict=True)],
    } | (single if who == PERSON else several)


def frame(name: str) -> str:
    """Return the address of a picture that is a name in a frame."""
    lines = textwrap.wrap(name, 10) or [name]
    size = min(34, int(1.6 * (SIDE - 24) / max(len(line) for line in lines)))
    top = SIDE / 2 - (len(lines) - 1) * size * 0.6 + size * 0.35
    spans = "".join(
        f'<tspan x="{SIDE / 2:g}" y="{top + place * 1.2 * size:.0f}">{html.escape(line)}</tspan>'
        for place, line in enumerate(lines)
    )
    return "data:image/svg+xml," + quote(FRAME.format(side=SIDE, inner=SIDE - 4, size=size, lines=spans))
