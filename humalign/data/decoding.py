"""From a picture's file to RGB of 256 levels as people see it: orientation, transparency, grey of many bits.

Training pipelines of ImageNet (TensorFlow's and torchvision's decoders) pass orientation and transparency
over. So do the readers of ImageNet and ImageNet-A here, as the official code; they warn of such a picture.
"""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageColor

from humalign.data import listing
from humalign.errors import HumalignError, complaint, expect

# What undoes each EXIF orientation but 1, which is upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TURNED = "some pictures lie on their side or head, as the training pipelines of this set read them too"
FRAMES = "some pictures hold several frames, of which the first is taken"
SAVE = "save it with 8 or 16 bits"
# Formats whose values Pillow gives as 32 bits, though they have 16.
SIXTEEN_BITS = ("PNG", "PPM")
# Tags of TIFF.
BITS, PHOTOMETRIC = 258, 262


def open_image(
    source: str | Path | io.BytesIO,
    name: str = "",
    mode: str = "RGB",
    ground: str = "white",
    stored: bool = False,
) -> Image.Image:
    """Decode one picture file whole, in RGB as people see it; see `as_seen`.

    Args:
        source: a path, or a file's content.
        name: of the picture in messages, where ``source`` has none.
        mode: of its pixels; in another than RGB they are as stored.
        ground: colour behind transparent pixels.
        stored: give the pixels as training pipelines do, without regard to orientation and transparency.

    Raises:
        HumalignError: a missing, truncated or other file, or one whose numbers do not tell what is white.
    """
    expect("source", source, (str, os.PathLike, io.BytesIO), "the path of one picture, or its content")
    name = name or listing.plain(str(source))
    try:
        with Image.open(source) as image:
            if mode != "RGB":
                return image.convert(mode)
            if image.format != "MPO" and getattr(image, "is_animated", False):  # of a camera's previews
                warnings.warn(f"{FRAMES}, such as {name}", stacklevel=3)
            return _as_stored(image, name) if stored else as_seen(image, ground)
    except FileNotFoundError:
        raise HumalignError(f"no picture at {name}: {_absent(source)}") from None
    except HumalignError as error:
        raise HumalignError(f"cannot use the picture {name}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # the decoders each raise their own
        said = complaint(error)
        raise HumalignError(f"cannot read the picture {name} ({said}): replace it or take it out") from None


def _absent(source: str | Path | io.BytesIO) -> str:
    if not isinstance(source, io.BytesIO) and Path(source).is_symlink():
        return f"it is a link to {os.readlink(source)}, which is not there: mend the link, or take it away"
    return "run `humalign doctor` to see what is missing of the registered data"


def _as_stored(image: Image.Image, name: str) -> Image.Image:
    image.load()
    if _turned(image) is not None:
        warnings.warn(f"{TURNED}, such as {name}", stacklevel=4)
    found = _levels(image).convert("RGB")
    found.info = {}  # what says the orientation: else a later step would turn it
    return found


def as_seen(image: Image.Image, ground: str = "white") -> Image.Image:
    """Return a picture in RGB of 256 levels, turned as its EXIF says, and laid on a ground where transparent.

    Grey values of 16 bits keep their upper eight, as colours do in Pillow; in floating point they are 0 to 1.

    Raises:
        HumalignError: grey values of 32 bits, or floating-point ones outside 0 to 1; no such colour.
    """
    wanted = "a picture of Pillow, such as Image.open(path), or one of an image set"
    expect("image", image, Image.Image, wanted)
    if image.mode == "RGB" and not image.info and type(image) is Image.Image:
        return image
    sixteen = any("RGB;16" in str(tile) for tile in getattr(image, "tile", ()))
    image.load()  # Pillow turns a TIFF here
    turn = _turned(image)
    image = _levels(image)
    if sixteen and isinstance(clear := image.info.get("transparency"), tuple):
        # As the pixels, of which Pillow keeps the upper eight bits.
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    if image.has_transparency_data:
        image = image.convert("LA") if image.mode == "La" else image
        above = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", above.size, _colour(ground)), above)
    found = image.convert("RGB")
    found = found if turn is None else found.transpose(turn)
    found.info = {}  # the orientation, too: it is done
    return found


def _colour(ground: str) -> tuple[int, ...]:
    try:
        return (*ImageColor.getrgb(ground)[:3], 255)
    except (ValueError, TypeError, AttributeError):
        what = f"no colour {ground!r} to lay transparent pixels on"
        raise HumalignError(f"{what}: write white, black, or #808080") from None


def _turned(image: Image.Image) -> Image.Transpose | None:
    """Return how a picture is to be turned; None where nothing is said, or what is said cannot be read."""
    try:
        return TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF beside sound pixels raises whatever it meets
        return None


def _levels(image: Image.Image) -> Image.Image:
    """Return a picture of 8 bits a channel; Pillow makes such of all but grey ones."""
    if image.mode in ("F", "I") and not (image.mode == "I" and image.format in SIXTEEN_BITS):
        return _of_range(image)
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image).astype(np.int64)
    tags = getattr(image, "tag_v2", {})
    # Pillow neither widens the 12 bits of a TIFF to 16 nor turns one around whose zero is white.
    bits = tags.get(BITS, (16,))[0] if isinstance(tags.get(BITS), tuple) else 16
    grey = (values.clip(0, 65535) >> max(0, min(bits, 16) - 8)).astype(np.uint8)
    found = Image.fromarray(255 - grey if tags.get(PHOTOMETRIC) == 0 else grey)
    if (clear := image.info.get("transparency")) is not None:
        found.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return found


def _of_range(image: Image.Image) -> Image.Image:
    if image.mode == "I":
        raise HumalignError(f"grey values of 32 bits, of which nothing says which is white: {SAVE}")
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):  # not so of NaN, either
        seen = f"from {low:g} to {high:g} instead of 0 to 1"
        raise HumalignError(f"grey values in floating point {seen}: {SAVE}")
    return Image.fromarray((values * 255).round().astype(np.uint8))
