"""What a page holds, as a file beside it: the pictures' names, the trials, and how they are given."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from humalign.artefacts import fingerprint
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
WORDS: dict[str, Any] = json.loads((PACKAGE / "words.json").read_text("utf-8"))


@dataclasses.dataclass(frozen=True)
class Study:
    """The trials of a page.

    Attributes:
        id: changes with whatever is below.
        names: paths of all pictures of the folder, in the order of `images.FolderImages`.
        page: what the script of the page reads; ``trials`` in it are dictionaries of ``id``, ``kind``,
            ``level``, ``images`` (three names), ``files`` (three addresses), and ``odd`` (a place) where one
            answer is right.
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
