"""How far collected answers agree: of one person with oneself, and of people with each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from humalign.collect.pooling import Collected
from humalign.collect.study import MAIN, REPEAT
from humalign.data.readers_levels import LevelAnswers
from humalign.errors import HumalignError
from humalign.evaluation import levels
from humalign.evaluation.scores import Estimate, resamples

DRAWS = 1000
ALL = "all"
PAIR, CEILING, SECONDS, WITHIN = (
    "agreement of two people",
    "noise ceiling",
    "median seconds",
    "agreement with oneself",
)


def report(collected: Collected, seed: int = 0) -> pd.DataFrame:
    """Return one row a measure and level, with 95 % intervals over people and triplets drawn at once.

    - ``agreement of two people``: how often two people choose the same odd one out (mean over triplets).
    - ``noise ceiling``: how often an answer is the most frequent one of the other people to its triplet.
    - ``median seconds``: the median over people of a person's median response time; times above ten seconds
      are dropped.
    - ``agreement with oneself``: how often a person chooses the same when a triplet comes again.

    Returns:
        Columns ``level``, ``measure``, ``value``, ``low``, ``high``, ``n`` (answers; people for seconds). A
        measure for which there are too few answers is NaN.
    """
    people = resamples(len(collected.people), DRAWS, seed)
    answers, again = collected.level_answers(MAIN), _repeats(collected)
    held = list(dict.fromkeys(answers.level.tolist()))
    rows = []
    for level in [*held, *([ALL] if len(held) > 1 else [])]:
        at = answers if level == ALL else answers.keep(answers.level == level)
        twice = again if level == ALL else again[again["level"] == level]
        # A draw in which no triplet was answered twice says nothing, and is passed over.
        with np.errstate(invalid="ignore"):
            for measure, estimate in _measures(at, twice, people, seed):
                told = (
                    (estimate.value, *estimate.interval(), estimate.n)
                    if estimate
                    else (np.nan, np.nan, np.nan, 0)
                )
                rows.append((level, measure, *told))
    return pd.DataFrame(rows, columns=["level", "measure", "value", "low", "high", "n"])


def _measures(
    answers: LevelAnswers, again: pd.DataFrame, people: np.ndarray, seed: int
) -> Iterator[tuple[str, Estimate | None]]:
    asked = levels.asked(answers)
    triplets = resamples(len(asked.triplets), DRAWS, seed + 1)
    try:
        yield PAIR, pairwise(asked, people, triplets)
        yield CEILING, levels.leave_one_out_ceiling(asked, people, triplets)
    except HumalignError:  # no triplet was answered by two people
        yield PAIR, None
        yield CEILING, None
    yield SECONDS, _seconds(answers, people)
    yield WITHIN, _within(again, people, seed)


def pairwise(asked: levels.Asked, people: np.ndarray, triplets: np.ndarray) -> Estimate:
    """Return how often two answers to a triplet are the same: a mean over triplets (units: person, triplet).

    Raises:
        HumalignError: no triplet was answered twice.
    """
    number = asked.counts.sum(1)[asked.row]
    if not (number > 1).any():
        raise HumalignError("no triplet was answered twice: people's agreement cannot be told")
    same = (asked.counts[asked.row, asked.kept] - 1) / np.maximum(number - 1, 1)
    return levels.answer_mean(same, asked, people, triplets, (number > 1) / number)


def _seconds(answers: LevelAnswers, people: np.ndarray) -> Estimate | None:
    """Return the median over people of a person's median (unit: person); none where nobody has a time."""
    fast = answers.keep(answers.seconds <= levels.SLOWEST)
    who = np.unique(fast.person)
    if not len(who):
        return None
    medians = np.array([np.median(fast.seconds[fast.person == one]) for one in who])
    drawn = (np.repeat(medians, weights) for weights in people[:, who].astype(int))
    return Estimate.of(np.array([np.median(each) if len(each) else np.nan for each in drawn]), len(who))


def _repeats(collected: Collected) -> pd.DataFrame:
    """Return the triplets that one person answered twice: ``person``, ``level``, ``triplet``, ``same``."""
    chosen = {}
    for kind in (MAIN, REPEAT):
        rows = collected.of(kind)
        shown = rows[["image1", "image2", "image3"]].to_numpy(dtype=np.int64)
        odd = np.take_along_axis(shown, rows["odd"].to_numpy(dtype=np.int64)[:, None], axis=1)[:, 0]
        chosen[kind] = rows.assign(chosen=odd)[["person", "level", "triplet", "chosen"]]
    both = chosen[MAIN].merge(chosen[REPEAT], on=["person", "level", "triplet"], validate="one_to_one")
    return both.assign(same=both["chosen_x"] == both["chosen_y"])[["person", "level", "triplet", "same"]]


def _within(again: pd.DataFrame, people: np.ndarray, seed: int) -> Estimate | None:
    """Return how often a person chose the same again (units: person, triplet); none without repeats."""
    if not len(again):
        return None
    row, names = pd.factorize(again["triplet"])
    number = len(names)
    asked = levels.Asked(
        np.zeros((number, 3), dtype=np.int64),
        row.astype(np.int64),
        np.zeros(len(row), dtype=np.int64),
        again["person"].to_numpy(dtype=np.int64),
        people.shape[1],
        np.full(len(row), np.nan),
    )
    return levels.answer_mean(
        again["same"].to_numpy(dtype=float), asked, people, resamples(number, DRAWS, seed + 1)
    )


def table(found: pd.DataFrame) -> str:
    """Return the report as text: a row a level, a column a measure, intervals in brackets."""
    cells = found.assign(
        cell=[_cell(*each) for each in found[["measure", "value", "low", "high"]].itertuples(index=False)]
    )
    wide = cells.pivot(index="level", columns="measure", values="cell")
    wide = wide.loc[list(dict.fromkeys(found["level"])), list(dict.fromkeys(found["measure"]))]
    return str(wide.rename_axis(None, axis=1).reset_index().to_string(index=False))


def _cell(measure: str, value: float, low: float, high: float) -> str:
    if np.isnan(value):
        return "-"
    if measure == SECONDS:
        return f"{value:.2f} [{low:.2f}, {high:.2f}]"
    return f"{value:.1%} [{low:.1%}, {high:.1%}]"
