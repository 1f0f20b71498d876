"""Write a page of the odd-one-out task: one folder that works from a disk, from a server and on a phone."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import html
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from humalign.collect import trials
from humalign.collect.study import CATCH, COLUMNS, FILE, MAIN, PACKAGE, PRACTICE, WORDS, Study, words
from humalign.data.images import FolderImages, ImageSet
from humalign.data.judgments import check_triplets
from humalign.errors import HumalignError, number

PICTURES, QUALITY = "pictures", 88


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a page asks.

    Attributes:
        triplets: different triplets on the page, over all levels.
        each: how many of them one person is given; 0 for all.
        repeats: of them, shown twice to the same person.
        catches: trials that have a right answer: a picture, its mirrored copy, and a clearly other one.
        practice: trials before the first that counts; the first has a right answer.
        timeout: seconds after which a trial ends without an answer.
        size: pixels of the longer side of a picture.
        seed: of all that is drawn.
        send: address to which the answers are sent; without one they are saved.
        consent: a text file, paragraphs between blank lines.
        words: a JSON file of texts that replace those of ``words.json``.
    """

    triplets: int = 120
    each: int = 0
    repeats: int = 12
    catches: int = 10
    practice: int = 3
    timeout: float = 15.0
    size: int = 480
    seed: int = 0
    send: str = ""
    consent: Path | None = None
    words: Path | None = None

    def checked(self) -> Settings:
        """Return the settings, each in its range, with ``each`` filled in."""
        least = {"triplets": 1, "each": 0, "repeats": 0, "catches": 0, "practice": 0, "size": 64, "seed": 0}
        for name in least:
            number(name, getattr(self, name), least[name])
        if not 0 < self.timeout <= 3600:
            raise HumalignError(f"timeout = {self.timeout:g}: expected seconds above 0, at most 3600")
        each = self.each or self.triplets
        if each > self.triplets:
            most = f"one person cannot answer more than the {self.triplets} triplets of the page"
            raise HumalignError(f"each = {each}: {most}")
        if self.repeats > each // 3:
            most = f"of {each} triplets a person, at most {each // 3} can come again"
            raise HumalignError(f"repeats = {self.repeats}: {most}; lower --repeats")
        if self.send and not re.fullmatch(r"https?://[^\s/]+\S*", self.send):
            raise HumalignError(f"send = {self.send!r}: an address begins with https:// (or http://)")
        return dataclasses.replace(self, each=each)


def write(folder: str | Path, page: str | Path, settings: Settings | None = None) -> Study:
    """Write a page that asks about the pictures of a folder, and return what it holds.

    Raises:
        HumalignError: pictures that cannot be used, too few of them, a setting out of its range, or a folder
            that is not new or empty.
    """
    settings = (settings or Settings()).checked()
    texts, consent = words(settings.words), _consent(settings.consent)
    _new(Path(page))
    images = FolderImages(folder)
    kept = _Pictures(images, settings.size)
    if len(images) < 3:
        raise HumalignError(f"{folder} holds {len(images)} pictures: a triplet needs three")
    folders = trials.Folders.of(kept.names, folder)
    rng = np.random.default_rng(settings.seed)
    tried = min(settings.practice, 1)  # the first trial to practise has a right answer
    main = trials.draw(folders, settings.triplets, rng)
    free = sum(trials.possible(folders, main).values())
    other = trials.draw(folders, min(settings.practice - tried, free), rng, besides=main)
    looks = functools.cache(lambda row: np.asarray(images[row].resize((8, 8)), dtype=float))
    pairs = trials.copies(folders, looks, settings.catches + tried, rng)
    asked = [
        *(kept.catch(f"p{place}", PRACTICE, *pair) for place, pair in enumerate(pairs[:tried])),
        *(kept.trial(f"q{place}", PRACTICE, *drawn) for place, drawn in enumerate(other.values())),
        *(kept.catch(f"c{place}", CATCH, *pair) for place, pair in enumerate(pairs[tried:])),
        *(kept.trial(f"t{place}", MAIN, *drawn) for place, drawn in enumerate(main.values())),
    ]
    about = {
        "each": settings.each,
        "repeats": settings.repeats,
        "timeout_ms": round(settings.timeout * 1000),
        "send": settings.send,
        "columns": COLUMNS,
        "words": texts,
        "consent": consent or texts["consent"],
    }
    return _written(Path(page), about | {"trials": asked}, kept)


def compared(
    images: ImageSet, triplets: Any, choices: Mapping[str, Sequence[Any]], page: str | Path, size: int = 320
) -> Study:
    """Write a page of fixed triplets that ends with recorded choices beside the reader's; it keeps nothing.

    Args:
        images: the pictures; their labels have their names in ``file``.
        triplets: (n, 3) numbers of pictures, in this order on the page.
        choices: by name of who chose: for each triplet the place of the odd one out (0 to 2), or the share of
            people who chose each of the three. All others are compared with the first, usually people.
        page: a new or empty folder.

    Raises:
        HumalignError: triplets or choices that cannot be, or a folder that is not new or empty.
    """
    triplets = check_triplets(triplets, len(images))
    if not choices or any(len(each) != len(triplets) for each in choices.values()):
        needed = f"one for each of the {len(triplets)} triplets is needed"
        raise HumalignError(f"choices of {', '.join(choices) or 'nobody'}: {needed}")
    told = {who: [_choice(who, row, one) for row, one in enumerate(each)] for who, each in choices.items()}
    _new(Path(page))
    kept = _Pictures(images, size)
    made = (kept.trial(f"t{row}", MAIN, trials.UNIFORM, triplet) for row, triplet in enumerate(triplets))
    asked = [trial | {"compare": {who: told[who][row] for who in told}} for row, trial in enumerate(made)]
    plain = {"each": len(asked), "repeats": 0, "timeout_ms": 0, "send": "", "words": WORDS}
    return _written(Path(page), plain | {"compare": list(told), "trials": asked}, kept)


def script() -> str:
    """Return the script of the task, which defines ``oddTask``."""
    return "\n".join((PACKAGE / name).read_text("utf-8") for name in ("plan.js", "task.js"))


def _choice(who: str, row: int, choice: Any) -> int | list[float]:
    """Return a place, or shares of the three places that sum to 1."""
    found = np.asarray(choice, dtype=float)
    if found.shape == (3,) and (found >= 0).all() and abs(found.sum() - 1) < 1e-3:
        return found.round(4).tolist()
    if found.shape == () and float(found) in (0, 1, 2):
        return int(found)
    wanted = "neither a place (0, 1 or 2) nor three shares that sum to 1"
    raise HumalignError(f"choices of {who}, triplet {row}: {choice!r} is {wanted}")


class _Pictures:
    """The pictures and trials of a page; each picture is resized once, under a number that tells nothing."""

    def __init__(self, images: ImageSet, size: int) -> None:
        self.images, self.size = images, size
        self.names = tuple(map(str, images.labels["file"]))
        self.wanted: dict[tuple[int, bool], str] = {}

    def __call__(self, row: int, copy: bool = False) -> str:
        return self.wanted.setdefault((row, copy), f"{PICTURES}/{len(self.wanted):05}.jpg")

    def trial(self, own: str, kind: str, level: str, triplet: Any) -> dict[str, Any]:
        """Return a trial of three pictures, given by their places."""
        images, files = zip(*((self.names[int(row)], self(int(row))) for row in triplet), strict=True)
        return {"id": own, "kind": kind, "level": level, "images": list(images), "files": list(files)}

    def catch(self, own: str, kind: str, row: int, other: int) -> dict[str, Any]:
        """Return a trial of a picture, its mirrored copy, and another picture, which is the odd one."""
        found = self.trial(own, kind, CATCH, (row, row, other))
        return found | {"files": [self(row), self(row, copy=True), self(other)], "odd": 2}

    def save(self, page: Path) -> str:
        """Write the pictures and return a digest of them."""
        (page / PICTURES).mkdir()
        digest = hashlib.sha256()
        for (row, copy), file in self.wanted.items():
            picture = self.images[row]
            if copy:
                across, down = (round(side * 0.04) for side in picture.size)
                inside = (across, down, picture.width - across, picture.height - down)
                picture = ImageOps.mirror(picture.crop(inside))
            picture.thumbnail((self.size, self.size), Image.Resampling.LANCZOS)
            picture.save(page / file, quality=QUALITY)
            digest.update((page / file).read_bytes())
        return digest.hexdigest()[:16]


def _written(page: Path, about: dict[str, Any], kept: _Pictures) -> Study:
    """Write the folder beside its place, and move it there."""
    page.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=page.parent, prefix=f".{page.name}.") as made:
        part = Path(made) / "page"
        part.mkdir()
        study = Study.of(kept.names, about | {"digest": kept.save(part)})
        (part / FILE).write_text(study.text(), "utf-8")
        # "</script>" in a name would end the element that holds the data.
        data = json.dumps(study.page, ensure_ascii=False).replace("<", "\\u003c")
        held = {"TITLE": html.escape(study.page["words"]["title"]), "STUDY": data}
        template = (PACKAGE / "page.html").read_text("utf-8")
        filled = re.sub("TITLE|STUDY", lambda found: held[found[0]], template)
        (part / "index.html").write_text(filled, "utf-8")
        (part / "task.js").write_text(script(), "utf-8")
        shutil.copyfile(PACKAGE / "task.css", part / "task.css")
        if page.exists():
            page.rmdir()
        part.replace(page)
    return study


def _new(page: Path) -> None:
    if page.is_file() or (page.is_dir() and any(page.iterdir())):
        why = "a page that people have answered is not written over"
        raise HumalignError(f"{page} is not empty: name a new folder, {why}")


def _consent(path: Path | None) -> list[str]:
    """Return the paragraphs of a text."""
    if path is None:
        return []
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = str(error)[:80]
        raise HumalignError(f"cannot read the consent text {path} ({said}): a text file in UTF-8") from None
    found = [" ".join(each.split()) for each in re.split(r"\n\s*\n", text) if each.strip()]
    if not found:
        raise HumalignError(f"the consent text {path} is empty: write one, or leave --consent out")
    return found
