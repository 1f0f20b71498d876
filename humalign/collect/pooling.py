"""Pool the answers of several participants, without those who missed too much, and write them for a fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int64

from humalign.artefacts import check_file, replacing
from humalign.collect.reading import Person
from humalign.collect.study import MAIN, Study
from humalign.data.judgments import Choices
from humalign.data.readers_answers import Answers
from humalign.data.readers_levels import LevelAnswers
from humalign.errors import HumalignError

# The authors' rule: who has more misses, or fewer catch trials right, is left out.
MISSES, CAUGHT = 10, 0.9


@dataclasses.dataclass(frozen=True)
class Collected:
    """The answers of the participants who count.

    Attributes:
        study: what they were asked.
        people: those who count.
        left_out: why each other one does not.
        rows: those of all people who count, misses included, with ``person``, their place in ``people``.
    """

    study: Study
    people: tuple[Person, ...]
    left_out: dict[str, str]
    rows: pd.DataFrame

    @property
    def names(self) -> tuple[str, ...]:
        """The pictures to whose places the answers refer."""
        return self.study.names

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
        level = rows["level"].to_numpy(dtype=str)
        return LevelAnswers(
            self.names, people, triplets, person, level, odd, rows["seconds"].to_numpy(dtype=float)
        )

    @staticmethod
    def _arrays(
        rows: pd.DataFrame,
    ) -> tuple[Int64[np.ndarray, "n 3"], Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
        triplets = rows[["image1", "image2", "image3"]].to_numpy(dtype=np.int64)
        return triplets, rows["odd"].to_numpy(dtype=np.int64), rows["person"].to_numpy(dtype=np.int64)


def pool(people: Sequence[Person], study: Study, misses: int = MISSES, caught: float = CAUGHT) -> Collected:
    """Pool the files of several participants, without those who missed too much.

    Args:
        people: from `read`.
        study: of all of them.
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
            f"none of {len(people)} participants is left, {who} for example: {reason}: collect more, or "
            f"change the limits"
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
            faults.append(
                f"{one.path}: participant {one.participant!r} is in {other.path} too, in another session: "
                f"two people with one "
                "code, or one who took part twice; leave one file out"
            )
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
    """Write answers for a fit, and the list of pictures to which they refer beside them.

    Args:
        collected: the answers.
        out: ``.csv``, as `readers_own.table` reads it; ``.npz`` of arrays for `Choices`; or ``.txt``, three
            numbers a line, the odd one last.

    Returns:
        The list of pictures.

    Raises:
        HumalignError: another ending.
    """
    check_out(out)
    answers = collected.level_answers()
    names, triplets, odd = np.array(collected.names), answers.triplets, answers.odd
    if out.suffix == ".csv":
        table = pd.DataFrame(names[triplets], columns=["image1", "image2", "image3"]).assign(
            choice=names[triplets[np.arange(len(odd)), odd]],
            participant=np.array(answers.people)[answers.person],
            level=answers.level,
            rt_ms=answers.seconds * 1000,
        )
        with replacing(out) as part:
            table.to_csv(part, index=False, lineterminator="\n", float_format="%.0f")
    elif out.suffix == ".npz":
        choices = collected.choices()
        with replacing(out) as part:
            np.savez_compressed(
                part,
                triplets=choices.triplets,
                counts=choices.counts,
                odd=odd,
                names=names,
                person=answers.person,
                people=np.array(answers.people),
                level=answers.level,
                seconds=answers.seconds,
            )
    else:
        last = np.arange(3) != odd[:, None]
        with replacing(out) as part:
            np.savetxt(part, np.column_stack([triplets[last].reshape(-1, 2), triplets[~last]]), fmt="%d")
    listed = out.with_suffix(".names.txt")
    with replacing(listed) as part:
        part.write_text("".join(f"{name}\n" for name in collected.names), "utf-8")
    return listed
