"""Photographs of things in a page, or their names in a frame; and what a run left for its pictures."""

from __future__ import annotations

import base64
import functools
import html
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from matplotlib import colormaps
from PIL import Image

from humalign.chain import origins, registered, sets
from humalign.data import registry
from humalign.errors import HumalignError, nearest
from humalign.show import cells
from humalign.show.drawing import INK, look

# With this set to NAMES no photograph is drawn: what is committed holds none.
SWITCH, NAMES = "HUMALIGN_BOOK_PICTURES", "names"
# Edge of a photograph that stands alone, in pixels; twice what a phone shows it at.
SIDE = 160
SOURCE = "things-photographs"
NOTE = "Photographs: THINGSplus, CC0; people saw other photographs of the same objects."
NO_NOTE = "Names stand in the place of photographs."
STYLE = Path(__file__).with_name("pictures.css")


class Picture(cells.Piece):
    """A piece of a page with its style, a note below it, and a link to the function that drew it."""

    def __init__(self, body: str, said: str, drawn_by: Callable[..., Any], note: str) -> None:
        foot = cells.links(None, drawn_by.__module__, drawn_by.__name__)
        below = f'<p class="hp-note">{html.escape(note)}</p>' if note else ""
        style = STYLE.read_text("utf-8")
        super().__init__(f'<style>\n{style}</style><div class="hp" lang="en">{body}{below}{foot}</div>', said)


# ---- one photograph ----------------------------------------------------------------------------------------


def said(name: str) -> str:
    """Return the name of an object as people write it: ``bat1`` is a bat, ``ice_cream`` ice cream."""
    return re.sub(r"\d+$", "", name).replace("_", " ")


@functools.lru_cache(maxsize=4)
def _found(folder: str) -> dict[str, Path]:
    """Return the photographs of a data folder by the names of their objects."""
    names = sets.readers.object_ids(registry.locate("things-ids"))
    paths, rows = registered.photographs()
    return {names[row]: path for row, path in zip(rows.tolist(), paths, strict=True)}


def at_hand() -> dict[str, Path]:
    """Return the photographs at hand by name: none where names are to be drawn."""
    if os.environ.get(SWITCH, "") not in ("", NAMES):
        wanted = nearest(os.environ[SWITCH], [NAMES])
        raise HumalignError(f"{SWITCH}={os.environ[SWITCH]}: {wanted}, or unset it to draw photographs")
    if os.environ.get(SWITCH) == NAMES:
        return {}
    places = [registry.find(registry.source(source).path) for source in (SOURCE, "things-ids")]
    return {} if None in places else _found(str(places[0]))


def note() -> str:
    """Say what the photographs are, or that there are none."""
    return NOTE if at_hand() else NO_NOTE


def thumbnail(name: str, side: int = SIDE) -> str:
    """Return a photograph as a data URI, square, its edge in pixels; empty where none is at hand."""
    path = at_hand().get(name)
    return _encoded(str(path), side) if path else ""


@functools.lru_cache(maxsize=2048)
def _encoded(path: str, side: int) -> str:
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        mend = "copy or fetch the photographs again"
        raise HumalignError(f"{path} is no picture, or a damaged one: {mend}") from None
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    square = image.resize((side, side), Image.Resampling.LANCZOS, (left, top, left + edge, top + edge))
    with io.BytesIO() as made:
        square.save(made, "WEBP", quality=70, method=6)
        return "data:image/webp;base64," + base64.b64encode(made.getvalue()).decode()


def face(name: str, side: int = SIDE, free: bool = False) -> str:
    """Return the square of an object: its photograph or, always if ``free``, its name in a frame."""
    label, uri = html.escape(said(name)), "" if free else thumbnail(name, side)
    if uri:
        size = f'width="{side}" height="{side}"'
        return f'<span class="hp-face"><img src="{uri}" alt="photograph: {label}" {size}></span>'
    size = f"max(.62rem, min(1.05rem, {_fits(name, 92.0):.1f}cqi))"
    return f'<span class="hp-face"><span style="font-size: {size}">{label}</span></span>'


def _fits(name: str, room: float) -> float:
    """Return the size of letters, .65 of it wide, with which the longest word of a name fills a room."""
    return room / 0.65 / max(6, *(len(word) for word in re.split(r"[ -]", said(name))))


def card(name: str, below: str = "", odd: bool = False, side: int = SIDE, free: bool = False) -> str:
    """Return a square, the object's name and what else is said below it; an odd one has a heavy frame."""
    drawn = face(name, side, free)
    # Below a frame that stands beside photographs the line of the name stays empty.
    named = html.escape(said(name)) if "<img" in drawn else "&nbsp;" * bool(at_hand())
    size = f"max(.72em, min(1em, {_fits(name, 100.0):.1f}cqi))"
    caption = f'<span class="hp-name" style="font-size: {size}">{named}</span>' if named else ""
    kind = "hp-card hp-odd" if odd else "hp-card"
    return f'<figure class="{kind}">{drawn}<figcaption>{caption}{below}</figcaption></figure>'


# ---- marks -------------------------------------------------------------------------------------------------


def colour(stage: str) -> str:
    """Return the colour of a stage in a page: people's is that of the text."""
    found = look(stage)[0]
    return "currentColor" if found == INK else found


def bar(share: float, stage: str = "people") -> str:
    """Return a bar of a share, without text."""
    filled = f'<i style="width: {100 * share:.0f}%"></i>'
    return f'<span class="hp-bar" style="--c: {colour(stage)}" aria-hidden="true">{filled}</span>'


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def tag(text: str, stage: str) -> str:
    """Return a word in a ring of a stage's colour."""
    return f'<span class="hp-tag" style="--c: {colour(stage)}">{html.escape(text)}</span>'


def heat(ranks: UInt8[np.ndarray, " pairs"], n: int) -> str:
    """Return a symmetric matrix of ranks as a data URI of a PNG, one pixel a pair, its diagonal highest."""
    if len(ranks) != (pairs := n * (n - 1) // 2):
        said = f"a rank matrix of {n} things has {pairs} pairs, found {len(ranks)}"
        raise HumalignError(f"{said}: make the illustrations again")
    whole = np.full((n, n), 255, dtype=np.uint8)
    whole[np.triu_indices(n, 1)] = ranks
    whole.T[np.triu_indices(n, 1)] = ranks
    table = (np.asarray(colormaps["viridis"](np.arange(256)))[:, :3] * 255).round().astype(np.uint8)
    with io.BytesIO() as made:
        image = Image.fromarray(whole, "L").convert("P")
        image.putpalette(table.tobytes())
        image.save(made, "PNG", optimize=False)
        return "data:image/png;base64," + base64.b64encode(made.getvalue()).decode()


# ---- what a run left for its pictures ----------------------------------------------------------------------

FILE = "illustrations.json"  # beside its scores


def of(shown: Any) -> dict[str, Any]:
    """Return what a run left for its pictures; it is given as chapters have it, or as the path of its scores.

    Raises:
        HumalignError: the file is not there, or is damaged.
    """
    path = Path(getattr(shown, "path", shown)).with_name(FILE)
    return _read(path, path.stat().st_mtime_ns if path.is_file() else 0)


@functools.lru_cache(maxsize=8)
def _read(path: Path, changed: int) -> dict[str, Any]:
    """Read a file; one that has changed since is read again."""
    run = path.resolve().parent
    record = run.parent == origins.RECORDED
    make = f"`{'make record PROFILE=' if record else 'humalign run illustrations --profile '}{run.name}`"
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        found["rules"], found["triplets"]
    except FileNotFoundError:
        raise HumalignError(f"no {path}: {make} makes it") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        line = f"{path} is damaged ({type(error).__name__}): delete it, and {make} makes it again"
        raise HumalignError(line) from None
    return found


def part(shown: Any, *names: str) -> Any:
    """Return a part of the file, by the names that lead to it.

    Raises:
        HumalignError: the run has none of that name.
    """
    found: Any = of(shown)
    for name in names:
        if name not in found:
            raise HumalignError(f"the run left no pictures of {name!r}: {nearest(name, list(found))}")
        found = found[name]
    return found


def rule(shown: Any, name: str) -> str:
    return f"Chosen by rule: {of(shown)['rules'][name]}. {note()}"


def first_model(shown: Any, model: str, which: str) -> tuple[str, Any]:
    """Return a model and its part of the file; the first student's where none is named."""
    name = model or next(iter(part(shown, which)), "")
    return name, part(shown, which, name)
