"""Pictures of the chain: its steps with a picture in each box, one triplet in all of them, rank matrices."""

from __future__ import annotations

import base64
import binascii
import html
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from humalign.errors import HumalignError, nearest
from humalign.evaluation.scores import one as only
from humalign.evaluation.scores import pick, read
from humalign.show import cells
from humalign.show.photographs import Picture, bar, card, heat, of, part, percent, rule, said, tag
from humalign.show.stages import ANSWERS, LABELS, short

Json = Mapping[str, Any]
VICE = "model of people (VICE)"


def shares(rows: Mapping[str, tuple[str, Sequence[float]]], names: Sequence[str]) -> str:
    """Return the share of each of three as the odd one out, a line for each who was asked."""
    lines = []
    for who, (stage, shares) in rows.items():
        each = ""
        for share in shares:
            text = f"<b>{percent(share)}</b>" if share == max(shares) else percent(share)
            each += f"<div>{bar(share, stage)}{text}</div>"
        lines.append(f'<p class="hp-say">{html.escape(who)}</p><div class="hp-three hp-shares">{each}</div>')
    return "".join(lines)


# ---- matrices ----------------------------------------------------------------------------------------------


def _matrix(found: Json, stage: str) -> str:
    """Return the address of one rank matrix as a picture."""
    try:
        ranks = np.frombuffer(base64.b64decode(found["panels"][stage], validate=True), dtype=np.uint8)
    except (binascii.Error, ValueError):
        line = f"the matrix {found['title']!r} is damaged: make the run's illustrations again"
        raise HumalignError(line) from None
    return heat(ranks, len(found["groups"]))


def _ends(found: Json) -> tuple[str, str]:
    """Return the stages before and after alignment of which there are matrices."""
    return ("teacher-centred", "teacher") if "teacher" in found["panels"] else ("base-centred", "aligned")


def matrices(shown: Any, which: str = "objects", model: str = "") -> Picture:
    """Draw rank matrices of a model (centred), of people, and of the model after, in one order of things.

    They are of ``objects`` of THINGS that the teacher did not see, or of the ``92 images``.
    """
    several = part(shown, "matrices")
    titles = dict.fromkeys(each["title"] for each in several)
    found = next((each for each in several if each["title"] == which and model in ("", each["model"])), None)
    if found is None:
        known = [each["model"] for each in several if each["title"] == which]
        asked, choice = (model, known) if known else (which, list(titles))
        raise HumalignError(f"the run left no matrices of {asked!r}: {nearest(asked, choice)}")
    before, after = _ends(found)
    groups = [(name, len(list(items))) for name, items in itertools.groupby(found["groups"])]
    names = "".join(f'<span style="flex: {count}">{html.escape(name)}</span>' for name, count in groups)
    of_model = {stage: f"{short(found['model'])}, {LABELS[stage]}" for stage in (before, after)}
    heads = {before: of_model[before], "people": "people", after: of_model[after]}
    panels = []
    for stage, title in heads.items():
        agrees = f"rank correlation {found['rsa'][stage]:.2f}" if stage in found["rsa"] else found["people"]
        alt = f"similarities of {len(found['groups'])} things by {title}"
        panels.append(
            f'<div><p class="hp-head">{html.escape(title)}</p>'
            f'<div class="hp-matrix"><div class="hp-rows">{names}</div>'
            f'<img src="{_matrix(found, stage)}" alt="{html.escape(alt)}"></div>'
            f'<p class="hp-say">{agrees}</p></div>'
        )
    rsa = found["rsa"]
    spoken = (
        f"Rank matrices of {len(found['groups'])} things ({', '.join(name for name, _ in groups)}): "
        f"rank correlation with people {rsa[before]:.2f} before (centred), {rsa[after]:.2f} after"
    )
    note = (
        "Each cell is a pair: dark, among the least alike of all pairs; yellow, among the most alike. "
        "Rank correlations are with people's matrix."
    )
    by_rule = f" Chosen by rule: {of(shown)['rules']['matrices']}."
    chosen = by_rule if which == "objects" else " No teacher saw these images."
    return Picture(f'<div class="hp-mats">{"".join(panels)}</div>', spoken, matrices, note + chosen)


# ---- one triplet, and the chain ----------------------------------------------------------------------------


def _steps(found: Json) -> dict[str, tuple[str, Sequence[float]]]:
    """Return who gives which share to each of the three as the odd one out."""
    n, chances, student = found["answers"], found["chances"], short(found["student"])
    who = "one person's answer" if n == 1 else f"{n} people's answers"
    rows: dict[str, tuple[str, Sequence[float]]] = {
        who: ("people", [vote / n for vote in found["votes"]]),
        VICE: ("observer", found["vice"]),
    }
    titles = {
        "teacher-base": "teacher's network, before", "teacher": "teacher, after its map",
        "base": f"student {student}, before", "aligned": f"student {student}, aligned",
    }  # fmt: skip
    return rows | {title: (stage, chances[stage]) for stage, title in titles.items() if stage in chances}


def followed(shown: Any) -> Picture:
    """Draw one triplet through the chain: the share of each as the odd one out, step by step."""
    found = part(shown, "followed")
    names = found["names"]
    steps = _steps(found)
    votes, spoken = found["votes"], []
    cards = "".join(card(name, odd=vote == max(votes)) for name, vote in zip(names, votes, strict=True))
    for who, (_, each) in steps.items():
        told = (f"{said(name)} {percent(share)}" for name, share in zip(names, each, strict=True))
        spoken.append(f"{who}: {', '.join(told)}")
    body = f'<div style="max-width: 34rem"><div class="hp-three">{cards}</div>{shares(steps, names)}</div>'
    return Picture(body, f"The odd one out, {'; '.join(spoken)}", followed, rule(shown, "followed"))


def diagram(shown: Any) -> Picture:
    """Draw the chain: six boxes from the pretrained network to the evaluation, with a picture in each."""
    one, found = part(shown, "followed"), of(shown)
    names, odd = one["names"], int(np.argmax(one["votes"]))
    scored = pick(read(Path(getattr(shown, "path", shown))), model=one["student"], **ANSWERS)
    answers = {stage: only(scored, stage=stage) for stage in ("base", "aligned")}

    def three(place: int, label: str, stage: str) -> str:
        cards = "".join(
            card(name, tag(label, stage) if at == place else "", odd=at == place, side=96)
            for at, name in enumerate(names)
        )
        return f'<div class="hp-three">{cards}</div>'

    pool: Json = found.get("pseudo-labelled", {})
    grid: Json = next(iter(found["matrices"]), {})
    whose = short(grid["model"]) if grid else "the teacher"
    pairs = "".join(
        f'<figure class="hp-card"><span class="hp-face"><img src="{_matrix(grid, stage)}" '
        f'alt="similarities {LABELS[stage]}"'
        f' style="image-rendering: pixelated"></span><figcaption>{LABELS[stage]}</figcaption></figure>'
        for stage in (_ends(grid) if grid else ())
    )
    chances = zip(pool["names"], pool["chances"]["teacher"], strict=True) if pool else ()
    shown_as = ((name, bar(share, "teacher") + percent(share)) for name, share in chances)
    labelled = "".join(card(name, below, free=True) for name, below in shown_as)
    agree = "".join(
        f'<p class="hp-say">{LABELS[stage]}: {cells.rounded(row)} %</p>{bar(row["value"], stage)}'
        for stage, row in answers.items()
    )
    boxes = {
        "Pretrained network": (three(one["choices"]["base"], "odd one", "base"),
                               "It finds two of three pictures alike; the third is the odd one out."),
        "Human answers": (three(odd, "odd one", "people"), "People say which of three is the odd one out."),
        "Teacher": (f'<div class="hp-two">{pairs}</div>',
                    f"An affine map fits similarities to people's answers; here {whose}, on unseen objects."),
        "Pseudo-labelled triplets": (
            f'<div class="hp-three">{labelled}</div>',
            "The teacher gives each of three new pictures its share as the odd one out."),
        "Student": (three(one["choices"]["aligned"], "odd one", "aligned"),
                    "A network is trained on the teacher's shares."),
        "Evaluation": (
            agree, f"The student's agreement with {answers['base']['n']} answers about unseen photographs."),
    }  # fmt: skip
    numbered = list(enumerate(boxes.items(), 1))
    drawn = "".join(
        f'<li><p class="hp-head"><span class="hp-step">{at}</span> {title}</p>{picture}'
        f'<p class="hp-say">{words}</p></li>'
        for at, (title, (picture, words)) in numbered
    )
    spoken = "; ".join(f"{at} {title}: {words}" for at, (title, (_, words)) in numbered)
    body = f'<ol class="hp-chain">{drawn}</ol>'
    return Picture(body, f"The chain in six steps. {spoken}", diagram, rule(shown, "followed"))
