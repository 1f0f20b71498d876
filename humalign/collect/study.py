"""Read what a page holds, and files that participants saved, each line of which the page can have written."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from humalign.artefacts import fingerprint
from humalign.data.datafiles import checked, separator_of
from humalign.data.readers_answers import SHOWN
from humalign.errors import HumalignError, nearest

FILE = "study.json"
PACKAGE = Path(__file__).parent
# The columns of a file of answers; book/collect.md says what each holds.
COLUMNS = (
    "study participant session trial kind level triplet image1 image2 image3 choice position rt_ms input "
    "shown answered check"
).split()
PRACTICE, MAIN, REPEAT, CATCH = "practice", "main", "repeat", "catch"
MADE_WITH = "take the file that the page was made with"
INPUTS = ("mouse", "touch", "pen", "keyboard")
# Milliseconds by which a busy browser may notice the end of a trial late.
LATE = 5000
AGAIN = "take the file as the page saved it"
WORDS: dict[str, Any] = json.loads((PACKAGE / "words.json").read_text("utf-8"))


@dataclasses.dataclass(frozen=True)
class Study:
    """The trials of a page.

    Attributes:
        id: changes with whatever is below.
        names: paths of all pictures of the folder, in the order of `images.FolderImages`.
        page: what the script of the page reads; each of its ``trials`` has ``id``, ``kind``, ``level``,
            ``images`` (names), ``files`` (addresses), and ``odd`` (a place) where one answer is right.
    """

    id: str
    names: tuple[str, ...]
    page: dict[str, Any]

    @classmethod
    def of(cls, names: tuple[str, ...], page: dict[str, Any]) -> Study:
        """Name a page by what it holds."""
        # A letter first: a spreadsheet takes 1e10 for a number.
        own = f"s{fingerprint(names, page)[:11]}"
        return cls(own, names, {"id": own, **page})

    @classmethod
    def read(cls, place: Path) -> Study:
        """Read the file beside a page; one that was edited is refused."""
        path = place if place.suffix == ".json" else place / FILE
        try:
            held = json.loads(path.read_text("utf-8"))
            page = {key: cell for key, cell in held["page"].items() if key != "id"}
            study, known = cls.of(tuple(held["names"]), page), held["page"]["id"]
        except FileNotFoundError:
            mend = "name the folder that `humalign collect` made, with --page"
            raise HumalignError(f"no {FILE} in {path.parent}: {mend}") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            said = " ".join(str(error).split())[:80]
            raise HumalignError(f"cannot read {path} ({said}): {MADE_WITH}") from None
        if study.id != known:
            raise HumalignError(f"{path} was edited after it was made: {MADE_WITH}")
        return study

    def text(self) -> str:
        """Return the content of the file."""
        return json.dumps({"names": self.names, "page": self.page}, ensure_ascii=False, indent=1) + "\n"

    def trials(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the trials of a kind by their names; repeats are main trials."""
        kind = MAIN if kind == REPEAT else kind
        return {trial["id"]: trial for trial in self.page["trials"] if trial["kind"] == kind}

    def wanted(self) -> dict[str, int]:
        """Return how many trials of each kind a person is given."""
        held = {kind: len(self.trials(kind)) for kind in (PRACTICE, CATCH)}
        return held | {MAIN: int(self.page["each"]), REPEAT: int(self.page["repeats"])}


def checksum(before: str, cells: list[str]) -> str:
    """Return the last cell of a row: a hash (FNV-1a, 32 bits) of the row and the last cell before it.

    ``plan.js`` has the same function. It finds edits made by mistake; it is no signature.
    """
    found = 0x811C9DC5
    for byte in "\x1f".join([before, *cells]).encode("utf-8", "surrogatepass"):
        found = ((found ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"c{found:08x}"


def words(path: Path | None) -> dict[str, Any]:
    """Return the texts of the page, some of them replaced by those of a file.

    Raises:
        HumalignError: no JSON of texts, an unknown text, or one that lacks what is filled into it.
    """
    if path is None:
        return WORDS
    try:
        own = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        what = "a JSON file of texts by name, in UTF-8"
        raise HumalignError(f"cannot read {path} ({str(error)[:80]}): {what}") from None
    if not isinstance(own, dict):
        raise HumalignError(f'{path} holds no texts by name: write {{"start": "Begin"}}')
    for name, text in own.items():
        if name not in WORDS:
            raise HumalignError(f"{path}: unknown text {name!r}: {nearest(name, WORDS)}")
        if not isinstance(text, type(WORDS[name])) or not all(isinstance(each, str) for each in text):
            what = "a list of texts" if isinstance(WORDS[name], list) else "a text"
            raise HumalignError(f"{path}: {name!r} should be {what}")
        missing = set(re.findall(r"\{\w+\}", str(WORDS[name]))) - set(re.findall(r"\{\w+\}", str(text)))
        if missing:
            raise HumalignError(f"{path}: {name!r} lacks {sorted(missing)[0]}, where a value is filled in")
    return WORDS | own


# ---- files of answers --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Person:
    """The file of one participant: a row a trial, pictures by their numbers in ``study.names``.

    ``rows`` has columns ``kind``, ``level``, ``triplet``, ``image1`` to ``image3``, ``odd`` (place 0 to 2, -1
    for a miss), ``seconds`` (NaN for a miss, and where the trial was shown again after a pause or a reload).
    """

    path: Path
    participant: str
    session: str
    rows: pd.DataFrame
    caught: float

    @property
    def misses(self) -> int:
        """How many trials after practice ended without an answer."""
        return int(((self.rows["odd"] < 0) & (self.rows["kind"] != PRACTICE)).sum())


def read_person(path: str | Path, study: Study) -> Person:
    """Read the file of one participant; one of another page, cut short or edited is refused."""
    path = Path(path)
    lines = _lines(path)
    if lines[0] != COLUMNS:
        missing = [f"column {name!r} is missing" for name in COLUMNS if name not in lines[0]]
        unknown = [f"column {name!r} is unknown" for name in lines[0] if name not in COLUMNS]
        what = [*missing, *unknown, "columns in another order"][0]
        raise HumalignError(f"{path} is no file that a page saved, or it was edited ({what}): {AGAIN}")
    place = {name: row for row, name in enumerate(study.names)}
    before = ""
    rows: list[dict[str, Any]] = []
    for number, cells in enumerate(lines[1:], 2):
        where = f"{path}, line {number}"
        if len(cells) != len(COLUMNS):
            what = f"{len(cells)} cells instead of {len(COLUMNS)}"
            raise HumalignError(f"{where}: {what}: cut short or edited; {AGAIN}")
        row = dict(zip(COLUMNS, cells, strict=True))
        if row["study"] != study.id:
            what = f"an answer of the page {row['study'][:20]!r}, not of {study.id!r}"
            raise HumalignError(f"{where}: {what}: read the answers of each page on their own")
        rows.append(_checked(where, row, number - 1, rows[0] if rows else row, study, place))
        if checksum(before, cells[:-1]) != cells[-1]:
            raise HumalignError(f"{where}: edited after it was saved, or the line before it was: {AGAIN}")
        before = cells[-1]
    if not rows:
        raise HumalignError(f"{path} holds no answers: {AGAIN}")
    _check_whole(path, rows, study)
    caught = [row["right"] for row in rows if row["kind"] == CATCH]
    table = pd.DataFrame(rows)[["kind", "level", "triplet", *SHOWN, "odd", "seconds"]]
    share = float(np.mean(caught)) if caught else 1.0
    return Person(path, rows[0]["participant"], rows[0]["session"], table, share)


def _lines(path: Path) -> list[list[str]]:
    if not path.is_file():
        raise HumalignError(f"no file {path}: give the files that participants saved, such as answers/*.csv")
    separator = separator_of(checked(path)) or ","
    try:
        text = path.read_text("utf-8-sig")
        read = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        found = [cells for cells in read if cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise HumalignError(f"cannot read {path} ({str(error)[:80]}): {AGAIN}") from None
    if not text.endswith("\n"):
        raise HumalignError(f"{path}: the last line has no end: cut short; {AGAIN}")
    return found


def _checked(
    where: str, row: dict[str, str], number: int, first: dict[str, Any], study: Study, place: dict[str, int]
) -> dict[str, Any]:
    """Return a row with numbers for its cells, after a check that the page can have written it."""

    def wrong(what: str) -> HumalignError:
        return HumalignError(f"{where}: {what}: {AGAIN}")

    for name in ("participant", "session"):
        if row[name] != first[name] or not row[name]:
            raise wrong(f"{name} {row[name][:40]!r} in the file of {first[name][:40]!r}")
    if row["trial"] != str(number):
        what = f"trial {row['trial'][:20]!r} where trial {number} should stand"
        raise wrong(f"{what}: lines were taken out, moved or doubled")
    asked = study.trials(row["kind"]).get(row["triplet"])
    if asked is None or row["level"] != asked["level"]:
        which = f"{row['kind'][:20]!r} trial {row['triplet'][:20]!r} at the level {row['level'][:20]!r}"
        raise wrong(f"no {which} is on the page")
    shown = [row[name] for name in SHOWN]
    if unknown := next((name for name in shown if name not in place), None):
        raise wrong(f"the picture {unknown[:60]!r} is none of the page's")
    if sorted(shown) != sorted(asked["images"]):
        raise wrong(f"{', '.join(shown)[:120]} are not the pictures of {row['triplet']}")
    miss = row["input"] == "none"
    given = {name: row[name][:40] for name in ("input", "choice", "position", "rt_ms")}
    answered = [bool(given[name]) for name in ("choice", "position", "rt_ms")]
    if answered != [not miss] * 3 or not (miss or row["input"] in INPUTS):
        raise wrong(f"{', '.join(f'{name} {cell!r}' for name, cell in given.items())} do not go together")
    place_of = dict(zip(("1", "2", "3"), shown, strict=True))
    if not miss and place_of.get(row["position"]) != row["choice"]:
        raise wrong(f"choice {row['choice'][:60]!r} is not the picture in position {row['position'][:10]!r}")
    longest = study.page["timeout_ms"] + LATE
    if not miss and not (re.fullmatch("[1-9][0-9]{0,8}", row["rt_ms"]) and int(row["rt_ms"]) <= longest):
        raise wrong(f"rt_ms {row['rt_ms'][:20]!r}: expected whole milliseconds from 1 to {longest}")
    if not re.fullmatch("[1-9][0-9]{0,5}", row["shown"]):
        raise wrong(f"shown {row['shown'][:20]!r}: expected how often the trial was shown, 1 or more")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", row["answered"]):
        raise wrong(f"answered {row['answered'][:40]!r}: expected a time such as 2025-01-31T12:00:00.000Z")
    right = asked["images"][asked["odd"]] if asked.get("odd") is not None else None
    return row | {
        **{column: place[name] for column, name in zip(SHOWN, shown, strict=True)},
        "odd": -1 if miss else int(row["position"]) - 1,
        "seconds": int(row["rt_ms"]) / 1000 if not miss and row["shown"] == "1" else np.nan,
        "right": not miss and row["choice"] == right,
    }


def _check_whole(path: Path, rows: Sequence[dict[str, Any]], study: Study) -> None:
    """Check that a file holds all trials of a person, and each once."""
    counts, wanted = Counter(row["kind"] for row in rows), study.wanted()
    if short := next((kind for kind, number in wanted.items() if counts[kind] != number), None):
        what = f"{counts[short]} {short} trials instead of {wanted[short]}"
        raise HumalignError(f"{path} holds {what}: it was cut short, or saved before the end; {AGAIN}")
    again = len({(row["kind"], row["triplet"]) for row in rows}) < len(rows)
    first = {row["triplet"] for row in rows if row["kind"] == MAIN}
    if again or any(row["triplet"] not in first for row in rows if row["kind"] == REPEAT):
        raise HumalignError(f"{path}: a trial twice, or a repeat of what was not shown before: {AGAIN}")


def find_page(paths: Sequence[Path]) -> Study:
    """Return the page of a file of answers: beside it, in the folder above, or in the working folder."""
    lines = _lines(paths[0])
    own = lines[1][0] if len(lines) > 1 and lines[1] else ""
    for place in dict.fromkeys(each.resolve() for each in (paths[0].parent, paths[0].parent / "..", Path())):
        for file in [place / FILE, *sorted(place.glob(f"*/{FILE}"))]:
            if own and file.is_file() and f'"{own}"' in file.read_text("utf-8", errors="replace"):
                return Study.read(file)
    raise HumalignError(
        f"{paths[0]}: the page of these answers ({own[:20] or 'none'}) is not near them: "
        "name its folder with --page"
    )
