"""Pool the answers of several participants, without those who missed too much, and say how far they agree."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from humalign.artefacts import check_file, replacing
from humalign.collect.study import MAIN, REPEAT, Person, Study
from humalign.data.judgments import Choices
from humalign.data.readers_answers import SHOWN, Answers
from humalign.data.readers_levels import LevelAnswers
from humalign.errors import HumalignError
from humalign.evaluation import levels
from humalign.evaluation.scores import Estimate, resamples

# The authors' rule: who has more misses, or fewer catch trials right, is left out.
MISSES, CAUGHT = 10, 0.9
DRAWS = 1000
ALL = "all"
PAIR, CEILING = "agreement of two people", "noise ceiling"
SECONDS, WITHIN = "median seconds", "agreement with oneself"


@dataclasses.dataclass(frozen=True)
class Collected:
    """The answers of the participants who count.

    Attributes:
        study: whose pictures the answers refer to by their places.
        people, left_out: those who count, and why each other one does not.
        rows: those of all people who count, misses included, with ``person``, their place in ``people``.
    """

    study: Study
    people: tuple[Person, ...]
    left_out: dict[str, str]
    rows: pd.DataFrame

    def of(self, kind: str) -> pd.DataFrame:
        """Return the answered trials of a kind."""
        return self.rows[(self.rows["kind"] == kind) & (self.rows["odd"] >= 0)]

    def answers(self) -> Answers:
        """Return the first answer of each person to each triplet; answers to repeats are not among them."""
        return Answers(*self._arrays(self.of(MAIN)))

    def choices(self) -> Choices:
        """Return the same as the teacher and `vice.fit` take it: a row an answer."""
        return self.answers().choices()

    def level_answers(self, kind: str = MAIN) -> LevelAnswers:
        """Return them as `humalign.evaluation.levels` takes them, with levels and response times."""
        rows = self.of(kind)
        triplets, odd, person = self._arrays(rows)
        people = tuple(one.participant for one in self.people)
        level, seconds = rows["level"].to_numpy(dtype=str), rows["seconds"].to_numpy(dtype=float)
        return LevelAnswers(self.study.names, people, triplets, person, level, odd, seconds)

    @staticmethod
    def _arrays(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        triplets = rows[list(SHOWN)].to_numpy(dtype=np.int64)
        return triplets, rows["odd"].to_numpy(dtype=np.int64), rows["person"].to_numpy(dtype=np.int64)


def pool(people: Sequence[Person], study: Study, misses: int = MISSES, caught: float = CAUGHT) -> Collected:
    """Pool the files of several participants, without those who missed too much.

    Args:
        misses: of one person, at most.
        caught: share of the catch trials of one person that are right, at least.

    Raises:
        HumalignError: nobody is left, or `doubled` finds a file too many.
    """
    if faults := doubled(people):
        raise HumalignError(faults[0])
    left_out: dict[str, str] = {}
    kept = []
    for one in people:
        why = []
        if one.misses > misses:
            why.append(f"{one.misses} misses, more than {misses}")
        if one.caught < caught:
            why.append(f"{one.caught:.0%} of catch trials right, under {caught:.0%}")
        if why:
            left_out[one.participant] = "; ".join(why)
        else:
            kept.append(one)
    if not kept:
        who, reason = next(iter(left_out.items()), ("nobody", "no files"))
        raise HumalignError(
            f"none of {len(people)} participants is left, {who} for example: {reason}: "
            "collect more, or change the limits"
        )
    rows = pd.concat([one.rows.assign(person=place) for place, one in enumerate(kept)], ignore_index=True)
    if not ((rows["kind"] == MAIN) & (rows["odd"] >= 0)).any():
        raise HumalignError(f"{len(kept)} participants answered no trial: collect more")
    return Collected(study, tuple(kept), left_out, rows)


def doubled(people: Sequence[Person]) -> list[str]:
    """Return one line for each file that repeats another one or its participant's code."""
    faults: list[str] = []
    seen: dict[str, Person] = {}
    sessions: dict[str, Person] = {}
    for one in people:
        if (other := sessions.setdefault(one.session, one)) is not one:
            faults.append(f"{one.path} holds the same session as {other.path}: give each file once")
        elif (other := seen.setdefault(one.participant, one)) is not one:
            twice = f"participant {one.participant!r} is in {other.path} too, in another session"
            why = "two people with one code, or one who took part twice"
            faults.append(f"{one.path}: {twice}: {why}; leave one file out")
    return faults


def check_out(out: Path, read: Sequence[Path] = ()) -> None:
    """Refuse a file of answers that `write` could not write, or that is one of those that are read.

    Raises:
        HumalignError: another ending than ``.csv``, ``.npz`` or ``.txt``; or see `artefacts.check_file`.
    """
    if out.suffix not in (".csv", ".npz", ".txt"):
        raise HumalignError(f"{out}: answers are written as .csv, .npz or .txt: choose one of these endings")
    for path in (out, out.with_suffix(".names.txt")):
        check_file(path, *read)


def write(collected: Collected, out: Path) -> Path:
    """Write answers for a fit, and return the list of pictures to which they refer, beside them.

    Args:
        out: ``.csv``, as `readers_own.table` reads it; ``.npz`` of arrays for `Choices`; or ``.txt``, three
            numbers a line, the odd one last.

    Raises:
        HumalignError: another ending.
    """
    check_out(out)
    answers = collected.level_answers()
    names, triplets, odd = np.array(collected.study.names), answers.triplets, answers.odd
    if out.suffix == ".csv":
        table = pd.DataFrame(names[triplets], columns=SHOWN).assign(
            choice=names[triplets[np.arange(len(odd)), odd]],
            participant=np.array(answers.people)[answers.person],
            level=answers.level,
            rt_ms=answers.seconds * 1000,
        )
        with replacing(out) as part:
            table.to_csv(part, index=False, lineterminator="\n", float_format="%.0f")
    elif out.suffix == ".npz":
        choices = collected.choices()
        arrays = {"triplets": choices.triplets, "counts": choices.counts, "odd": odd, "names": names}
        arrays |= {"person": answers.person, "people": np.array(answers.people)}
        arrays |= {"level": answers.level, "seconds": answers.seconds}
        with replacing(out) as part:
            np.savez_compressed(part, **arrays)  # type: ignore[arg-type]
    else:
        last = np.arange(3) != odd[:, None]
        with replacing(out) as part:
            np.savetxt(part, np.column_stack([triplets[last].reshape(-1, 2), triplets[~last]]), fmt="%d")
    listed = out.with_suffix(".names.txt")
    with replacing(listed) as part:
        part.write_text("".join(f"{name}\n" for name in collected.study.names), "utf-8")
    return listed


# ---- agreement ---------------------------------------------------------------------------------------------


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
                nothing = (np.nan, np.nan, np.nan, 0)
                told = (estimate.value, *estimate.interval(), estimate.n) if estimate else nothing
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
    """Return how often two answers to a triplet are the same: a mean over triplets (units: both)."""
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
        shown = rows[list(SHOWN)].to_numpy(dtype=np.int64)
        odd = np.take_along_axis(shown, rows["odd"].to_numpy(dtype=np.int64)[:, None], axis=1)[:, 0]
        chosen[kind] = rows.assign(chosen=odd)[["person", "level", "triplet", "chosen"]]
    both = chosen[MAIN].merge(chosen[REPEAT], on=["person", "level", "triplet"], validate="one_to_one")
    return both.assign(same=both["chosen_x"] == both["chosen_y"])[["person", "level", "triplet", "same"]]


def _within(again: pd.DataFrame, people: np.ndarray, seed: int) -> Estimate | None:
    """Return how often a person chose the same again (units: person, triplet); none without repeats."""
    if not len(again):
        return None
    row, names = pd.factorize(again["triplet"])
    person, nothing = again["person"].to_numpy(dtype=np.int64), np.zeros(len(row), dtype=np.int64)
    triplets, seconds = np.zeros((len(names), 3), dtype=np.int64), np.full(len(row), np.nan)
    asked = levels.Asked(triplets, row.astype(np.int64), nothing, person, people.shape[1], seconds)
    same = again["same"].to_numpy(dtype=float)
    return levels.answer_mean(same, asked, people, resamples(len(names), DRAWS, seed + 1))


def table(found: pd.DataFrame) -> str:
    """Return the report as text: a row a level, a column a measure, intervals in brackets."""
    shown = [_cell(*each) for each in found[["measure", "value", "low", "high"]].itertuples(index=False)]
    wide = found.assign(cell=shown).pivot(index="level", columns="measure", values="cell")
    wide = wide.loc[list(dict.fromkeys(found["level"])), list(dict.fromkeys(found["measure"]))]
    return str(wide.rename_axis(None, axis=1).reset_index().to_string(index=False))


def _cell(measure: str, value: float, low: float, high: float) -> str:
    if np.isnan(value):
        return "-"
    if measure == SECONDS:
        return f"{value:.2f} [{low:.2f}, {high:.2f}]"
    return f"{value:.1%} [{low:.1%}, {high:.1%}]"
