"""A toy folder to try `humalign align` on: drawn shapes, simulated observers' answers about them, and a pool.

``python -m humalign.data.toy`` makes it in the current folder.
"""

from __future__ import annotations

import colorsys
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from humalign.data.judgments import PAIRS, random_triplets
from humalign.errors import HumalignError

SIDE = 64
HUES = 12
# Corners of each shape, around its middle.
SHAPES = {
    "circle": np.stack([np.cos(turn := np.arange(0, 2 * np.pi, 0.1)), np.sin(turn)], 1),
    "square": np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]),
    "triangle": np.array([(-1, 1), (1, 1), (0, -1)]),
    "cross": np.array([
        (-1, -0.3), (-0.3, -0.3), (-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3),
        (1, 0.3), (0.3, 0.3), (0.3, 1), (-0.3, 1), (-0.3, 0.3), (-1, 0.3),
    ]),
    "bar": np.array([(-1, -0.3), (1, -0.3), (1, 0.3), (-1, 0.3)]),
}  # fmt: skip


def draw(shape: str, hue: int | float, rng: np.random.Generator, place: float = 0.5) -> Image.Image:
    """Draw a shape of some size, somewhere and turned, on a ground of a paler tone of its colour."""
    strong, pale = (
        255 * np.array(colorsys.hsv_to_rgb(hue / HUES, *tone)) for tone in ((0.9, 0.9), (0.45, 0.75))
    )
    ground = np.clip(pale + rng.integers(-20, 20, (SIDE, SIDE, 3)), 0, 255)
    image = Image.fromarray(ground.astype(np.uint8))
    middle, size = 0.5 + (place - 0.5) * rng.uniform(-1, 1, 2), rng.uniform(0.14, 0.34)
    turn = rng.uniform(-0.7, 0.7)
    turned = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    corners = SIDE * (middle + size * SHAPES[shape] @ turned)
    ImageDraw.Draw(image).polygon([*map(tuple, corners)], fill=tuple(strong.astype(int)))
    return image


def make(folder: str | Path = ".", answers: int = 2500, pool: int = 96, seed: int = 0) -> Path:
    """Make ``judged``, ``pool`` and ``answers.csv``, and return the folder.

    Observers keep the nearest two in colour together, unless they slip. The pool has a class folder a shape.
    """
    folder, rng = Path(folder), np.random.default_rng(seed)
    if taken := [name for name in ("judged", "pool", "answers.csv") if (folder / name).exists()]:
        held = " and ".join(taken)
        raise HumalignError(f"{folder.resolve()} has {held} already: make the toy in an empty folder")
    things = [(shape, hue) for shape in SHAPES for hue in range(HUES)]
    names = [f"{shape}-{hue:02}.png" for shape, hue in things]
    (folder / "judged").mkdir(parents=True)
    for name, (shape, hue) in zip(names, things, strict=True):
        draw(shape, hue, rng, 0.7).save(folder / "judged" / name)
    for number in range(pool):
        shape = list(SHAPES)[number % len(SHAPES)]
        below = folder / "pool" / shape
        below.mkdir(parents=True, exist_ok=True)
        draw(shape, rng.uniform(0, HUES), rng, 0.9).save(below / f"{number:04}.png")
    angles = 2 * np.pi * np.array([hue for _, hue in things]) / HUES
    lines = ["image1,image2,image3,choice,person"]
    for triplet in random_triplets(np.arange(len(things)), answers, rng):
        alike = [np.cos(angles[triplet[a]] - angles[triplet[b]]) for a, b in PAIRS]
        slip = rng.random() < 0.1
        odd = rng.integers(3) if slip else 2 - int(np.argmax(alike + 0.2 * rng.standard_normal(3)))
        shown = [names[thing] for thing in triplet]
        lines.append(",".join([*shown, shown[odd], f"p{rng.integers(9)}"]))
    (folder / "answers.csv").write_text("\n".join(lines) + "\n")
    return folder


if __name__ == "__main__":
    try:
        make()
    except HumalignError as error:
        sys.exit(f"humalign: {error}")
    print("judged/, pool/ and answers.csv: drawn shapes, and answers of simulated observers")
