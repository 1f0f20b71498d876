"""The paper's claims beside what people's data say here, and the verdict on each, made from intervals.

Of the paper's figures we know what they show, not all of their numbers: each stands with its trust label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from humalign.show import arrows, cells, published
from humalign.show.arrows import Gain
from humalign.show.cells import Table
from humalign.show.sentences import with_unit
from humalign.show.stages import STAGES, WITHOUT_JUDGMENTS, in_percent, name

YES, SMALLER, MIXED, NO, OPPOSITE, UNTESTED = "yes", "smaller", "mixed", "no", "opposite", "not tested"
VERDICTS = (YES, SMALLER, MIXED, NO, OPPOSITE, UNTESTED)
CONTROL = ("unaligned",)
TRUSTED = ("paper", "note", "code")


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim."""

    says: str  #: what the paper says, in a sentence.
    numbers: Mapping[str, Any]  #: which of its published numbers belong to it; none where it gives none.
    measures: Sequence[str]  #: names in ``arrows.MEASURES`` that test it here.
    page: str  #: where the book shows more.
    over: Sequence[str] = WITHOUT_JUDGMENTS  #: the baselines of which the best is the reference.
    lacking: str = ""  #: what would test it, but is not at hand.


THINGS = {"task": "odd-one-out", "split": "THINGS", "trust": TRUSTED}
CLAIMS: dict[str, Claim] = {
    "teacher": Claim("The teacher names the odd one out more often as people do.", THINGS, ("teacher",),
                     "04_teacher"),
    "students": Claim("So do the students.", THINGS, ("students",), "05_students"),
    "levels": Claim(
        "They do at three levels of abstraction.",
        {"task": "odd-one-out", "metric": "accuracy", "trust": TRUSTED,
         "split": ("global-coarse", "local-fine", "class-boundary")}, (), "paper_scale",
        lacking="the answers and ImageNet's photographs are not at hand"),
    "similarity": Claim("Students agree more with people's similarity judgments.",
                        {"task": "similarity-judgments"}, ("similarity",), "05_students"),
    "control": Claim("It is the human judgments, not the training: the control (UnAligNet) does not gain.",
                     {"task": "ratings"}, ("similarity", "students"), "05_students", over=CONTROL),
    "doubt": Claim("Models are unsure where people are.",
                   {"task": "uncertainty", "metric": "entropy-spearman"}, ("doubt", "soft-labels"),
                   "07_uncertainty"),
    "hierarchy": Claim("Distances follow the hierarchy of concepts.", {"task": "hierarchy"}, ("hierarchy",),
                       "06_map"),
    "alike": Claim("Models become more alike.", {}, ("alike", "alike-cka"), "06_map"),
    "few-shot": Claim("Classifiers of few examples a class are better.", {"task": "few-shot"},
                      ("few-shot", "few-shot-textures"), "08_costs",
                      lacking="in place of the paper's ten sets, one shot"),
    "robustness": Claim("Classifiers are more robust to a shift of their pictures.",
                        {"task": ("style-shift", "natural-adversarial")}, ("corruptions", "lost"), "08_costs",
                        lacking="in place of BREEDS and ImageNet-A, whose photographs are not at hand"),
}


def verdict(found: Sequence[Gain], risen: float | None = None) -> str:
    """Return the verdict on a claim that alignment makes something better.

    Each gain is the paired difference of the aligned model from the best baseline that no judgment entered.
    It is better where the 95 % interval of the difference from every such baseline lies above zero, worse
    where that from the best one lies below, else unclear.

    - ``not tested``: there is no gain to look at.
    - ``yes``: every gain is better. ``smaller``: every gain is better, but each interval of the rise from the
      network as it was ends below the rise that the paper gives.
    - ``opposite``: every gain is worse. ``no``: every gain is unclear.
    - ``mixed``: anything else.

    The rise that the paper gives is ``risen``, in the unit of the scores.
    """
    sides = [gain.side for gain in found]
    if not sides:
        return UNTESTED
    if set(sides) == {"better"}:
        rises = [gain.over if gain.raw is None else gain.raw for gain in found]
        return SMALLER if risen is not None and all(row["high"] < risen for row in rises) else YES
    return {frozenset({"worse"}): OPPOSITE, frozenset({"unclear"}): NO}.get(frozenset(sides), MIXED)


def verdicts(scores: pd.DataFrame) -> dict[str, str]:
    """Return by its name the verdict of people's data on each claim, and its gains as ``NAME-gains``."""
    found = {key: _gains(scores, claim) for key, claim in CLAIMS.items()}
    words = {key: verdict(found[key], _risen(claim)) for key, claim in CLAIMS.items()}
    return words | {f"{key}-gains": "; ".join(map(gain_said, several)) or cells.EMPTY
                    for key, several in found.items()}


def table(scores: pd.DataFrame) -> Table:
    """Return the claims: the paper's numbers with their trust, ours with 95 % intervals, and the verdict."""
    rows, every = [], []
    for claim in CLAIMS.values():
        found = _gains(scores, claim)
        every += [gain.rows for gain in found]
        here = "; ".join(f"{gain.who} {with_unit(gain.over)}" for gain in found
                         if gain.measure is found[0].measure) or cells.EMPTY
        small = [f"{gain.measure.title}, {gain_said(gain, _risen(claim))}" for gain in found]
        word = verdict(found, _risen(claim))
        rows.append({
            "the paper says": "\n".join(filter(None, (claim.says, *_numbers(claim)))),
            "here": "\n".join([here, *small, *filter(None, [claim.lacking])]),
            "verdict": f"{word}\n[more]({claim.page}.html)",
        })
    scored = pd.concat(every) if every else scores.iloc[:0]
    caption = "What the paper says, and what the data here say"
    return Table(pd.DataFrame(rows), caption, foot=cells.links(scored, __name__, "table"))


def gain_said(gain: Gain, risen: float | None = None) -> str:
    """Say a gain: ``CLIP +5.8 points (5.0 to 6.7; n = 37,714) over before, centred``.

    Our rise from the network as it was stands beside the paper's, ``risen``, where that is known.
    """
    n = gain.over["n"]
    said = f"{gain.who} {_over(gain.over, f'n = {n:,}')} over {name(gain.best['stage'])}"
    if gain.side == "unclear" and gain.least["reference"] != gain.best["stage"]:
        said += f"; {_over(gain.least)} over {name(gain.least['reference'])}"
    if risen is not None and gain.raw is not None:
        said += f"; {_over(gain.raw)} over before, in the paper {100 * risen:+.1f}"
    return said


def _over(difference: pd.Series, *more: str) -> str:
    return f"{with_unit(difference)} ({'; '.join((cells.ends(difference), *more))})"


def _gains(scores: pd.DataFrame, claim: Claim) -> list[Gain]:
    return [gain for measure in claim.measures for gain in arrows.gains_of(scores, measure, claim.over)]


def _numbers(claim: Claim) -> list[str]:
    """Say the paper's numbers of a claim, a line for each measure, or that they are not known."""
    if not claim.numbers:
        return ["no number given"]
    rows = published.published(**claim.numbers)
    known = [row for row in rows if row.trust != "open"]
    if not known:
        return ["numbers not known to us"]
    lines = []
    for split, metric in dict.fromkeys((row.split, row.metric) for row in known):
        own = [row for row in known if (row.split, row.metric) == (split, metric)]
        trusts = ", ".join(dict.fromkeys(row.trust for row in own))
        own.sort(key=lambda row: list(STAGES).index(row.stage))
        values = ", ".join(f"{name(row.stage)} {row.text}" for row in own)
        what = f"{split} (%)" if in_percent(metric) else metric
        lines.append(f"{what}: {values} [{trusts}]")
    return lines


def _risen(claim: Claim) -> float | None:
    """Return the rise that the paper gives for a claim, where it gives one number before and one after."""
    if not claim.numbers:
        return None
    values = {row.stage: row.value for row in published.published(**claim.numbers) if row.split == "THINGS"}
    before, after = values.get("base"), values.get("aligned")
    return None if before is None or after is None else after - before


# ---- result by result ---------------------------------------------------------------------------------

# What the paper shows, how we know of it, the page with its counterpart, and what differs or why there is
# none. The numbers of its figures and tables are not at hand: each is named by what it shows.
PAPER = (
    ("The odd-one-out task, and its three levels", "paper", "01_task",
     "the same task; the levels illustrated"),
    ("The method: teacher, triplets, students", "paper", "03_method", "a diagram, and one triplet followed"),
    ("Settings of the students' training", "code", "../book/deviations", "each setting, and what differs"),
    ("Odd one out on THINGS, before and after", "note", "04_teacher", "CLIP in place of SigLIP-So400m"),
    ("Odd one out at three levels, eight models", "paper", "paper_scale",
     "not run: the answers and ImageNet's photographs are not at hand"),
    ("Uncertainty against response times, at three levels", "note", "07_uncertainty",
     "entropy of repeated answers; response times are not at hand"),
    ("Similarity judgments, eight sets of pictures", "code", "05_students",
     "another set, of 92 photographs; the eight are not at hand"),
    ("Change of distances, by four relations", "note", "06_map",
     "two relations of THINGS, and steps of WordNet"),
    ("Models become more alike", "paper", "06_map", "two students, by RSA and by CKA"),
    ("One-shot classes, ten data sets", "note", "08_costs", "CIFAR-10 and textures, one to ten shots"),
    ("BREEDS: subclasses unseen in training", "paper", "08_costs",
     "its tasks are counted; not run: ImageNet's photographs are not at hand"),
    ("ImageNet-A", "paper", "paper_scale", "not run: the photographs are not at hand"),
    ("AligNet against UnAligNet, rated by people", "code", "05_students",
     "the control stands beside every student; nobody was asked to rate"),
    ("Triplets by class labels, other losses", "code", "../book/triplets",
     "the file format; these variants were not trained"),
    ("The released models", "code", "paper_scale", "the profile released scores them; not run"),
)


def counterparts() -> Table:
    """Return, result by result of the paper, how we know of it and its counterpart here, or why none."""
    rows = [{"the paper shows": what, "known from": trust, "here": f"[{said}]({page}.html)"}
            for what, trust, page, said in PAPER]
    note = "Known from: " + "; ".join(f"{trust}, {published.TRUST[trust]}" for trust in TRUSTED) + "."
    caption = "What the paper shows, and its counterpart here"
    return Table(pd.DataFrame(rows), caption, note, foot=cells.links(None, __name__, "counterparts"))
