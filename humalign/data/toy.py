"""A toy folder to try `humalign align` on: drawn shapes, answers of simulated observers about them, and a pool.

``python -m humalign.data.toy`` makes it in the current folder.
"""

from __future__ import annotations

import colorsys
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from humalign.data.judgments import random_triplets
from humalign.errors import HumalignError

SIDE = 64
SHAPES = ("circle", "square", "triangle", "cross", "bar")
HUES = 12


def draw(shape: str, hue: int | float, rng: np.random.Generator, place: float = 0.5) -> Image.Image:
    """Draw a shape in a colour somewhere on a grey ground."""
    image = Image.fromarray(rng.integers(90, 130, (SIDE, SIDE, 3)).astype(np.uint8))
    red, green, blue = (int(255 * part) for part in colorsys.hsv_to_rgb(hue / HUES, 0.9, 0.9))
    pen, (x, y), r = ImageDraw.Draw(image), (SIDE * (0.5 + (place - 0.5) * rng.uniform(-1, 1, 2))), SIDE / 4
    boxes = {"square": (x - r, y - r, x + r, y + r), "bar": (x - r, y - r / 3, x + r, y + r / 3)}
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=(red, green, blue))
    elif shape == "triangle":
        pen.polygon([(x - r, y + r), (x + r, y + r), (x, y - r)], fill=(red, green, blue))
    elif shape == "cross":
        pen.line([(x - r, y - r), (x + r, y + r)], fill=(red, green, blue), width=9)
        pen.line([(x - r, y + r), (x + r, y - r)], fill=(red, green, blue), width=9)
    else:
        pen.rectangle(boxes[shape], fill=(red, green, blue))
    return image


def make(folder: str | Path = ".", answers: int = 2500, pool: int = 96, seed: int = 0) -> Path:
    """Make ``judged``, ``pool`` and ``answers.csv``, and return the folder.

    Observers keep the nearest two in colour together, unless they slip. The pool lies in class folders, by shape.

    Raises:
        HumalignError: something of these is there already.
    """
    folder, rng = Path(folder), np.random.default_rng(seed)
    if taken := [name for name in ("judged", "pool", "answers.csv") if (folder / name).exists()]:
        raise HumalignError(f"{folder.resolve()} has {' and '.join(taken)} already: make the toy in an empty folder")
    things = [(shape, hue) for shape in SHAPES for hue in range(HUES)]
    (folder / "judged").mkdir(parents=True)
    for shape, hue in things:
        draw(shape, hue, rng, 0.7).save(folder / "judged" / f"{shape}-{hue:02}.png")
    for number in range(pool):
        shape = SHAPES[number % len(SHAPES)]
        below = folder / "pool" / shape
        below.mkdir(parents=True, exist_ok=True)
        draw(shape, rng.uniform(0, HUES), rng, 0.9).save(below / f"{number:04}.png")
    names = [f"{shape}-{hue:02}.png" for shape, hue in things]
    angles = 2 * np.pi * np.array([hue for _, hue in things]) / HUES
    lines = ["image1,image2,image3,choice,person"]
    for triplet in random_triplets(np.arange(len(things)), answers, rng):
        alike = [np.cos(angles[triplet[a]] - angles[triplet[b]]) for a, b in ((0, 1), (0, 2), (1, 2))]
        odd = rng.integers(3) if rng.random() < 0.1 else 2 - int(np.argmax(alike + 0.2 * rng.standard_normal(3)))
        lines.append(",".join([*(names[thing] for thing in triplet), names[triplet[odd]], f"p{rng.integers(9)}"]))
    (folder / "answers.csv").write_text("\n".join(lines) + "\n")
    return folder


if __name__ == "__main__":
    try:
        make()
    except HumalignError as error:
        sys.exit(f"humalign: {error}")
    print("judged/, pool/ and answers.csv: drawn shapes, and answers of simulated observers")
