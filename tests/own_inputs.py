"""A toy folder of one's own: shapes in colours, simulated answers about them, and a pool in class folders."""

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from humalign.data.judgments import random_triplets

SIDE = 64
SHAPES = ("circle", "square", "triangle", "cross", "bar")
HUES = 12


def draw(shape, hue, rng, place=0.5):
    """Draw a shape in a colour somewhere on a grey ground."""
    image = Image.fromarray(rng.integers(90, 130, (SIDE, SIDE, 3)).astype(np.uint8))
    colour = tuple(int(255 * part) for part in colorsys.hsv_to_rgb(hue / HUES, 0.9, 0.9))
    pen, (x, y), r = ImageDraw.Draw(image), (SIDE * (0.5 + (place - 0.5) * rng.uniform(-1, 1, 2))), SIDE / 4
    {
        "circle": lambda: pen.ellipse((x - r, y - r, x + r, y + r), fill=colour),
        "square": lambda: pen.rectangle((x - r, y - r, x + r, y + r), fill=colour),
        "triangle": lambda: pen.polygon([(x - r, y + r), (x + r, y + r), (x, y - r)], fill=colour),
        "cross": lambda: pen.line([(x - r, y - r), (x + r, y + r)], fill=colour, width=9)
        or pen.line([(x - r, y + r), (x + r, y - r)], fill=colour, width=9),
        "bar": lambda: pen.rectangle((x - r, y - r / 3, x + r, y + r / 3), fill=colour),
    }[shape]()
    return image


def make(folder, answers=2500, pool=240, seed=0):
    """Make ``judged``, ``pool`` and ``answers.csv``: observers keep together what is nearest in colour, unless they slip."""
    folder, rng = Path(folder), np.random.default_rng(seed)
    things = [(shape, hue) for shape in SHAPES for hue in range(HUES)]
    (folder / "judged").mkdir(parents=True)
    for shape, hue in things:
        draw(shape, hue, rng, 0.7).save(folder / "judged" / f"{shape}-{hue:02}.png")
    for number in range(pool):
        shape, hue = SHAPES[number % len(SHAPES)], rng.uniform(0, HUES)
        below = folder / "pool" / shape
        below.mkdir(parents=True, exist_ok=True)
        draw(shape, hue, rng, 0.9).save(below / f"{number:04}.png")
    names = [f"{shape}-{hue:02}.png" for shape, hue in things]
    angles = 2 * np.pi * np.array([hue for _, hue in things]) / HUES
    lines = ["image1,image2,image3,choice,person"]
    for triplet in random_triplets(np.arange(len(things)), answers, rng):
        alike = [np.cos(angles[triplet[a]] - angles[triplet[b]]) for a, b in ((0, 1), (0, 2), (1, 2))]
        odd = rng.integers(3) if rng.random() < 0.1 else 2 - int(np.argmax(alike + 0.2 * rng.standard_normal(3)))
        lines.append(",".join([*(names[thing] for thing in triplet), names[triplet[odd]], f"p{rng.integers(9)}"]))
    (folder / "answers.csv").write_text("\n".join(lines) + "\n")
    return folder
