"""Pictures in class folders, and files of answers as a page saves them, by simulated participants."""

import csv

import numpy as np
from PIL import Image, ImageDraw

from humalign.collect.study import COLUMNS, checksum

# Group, class, and what its pictures look like: a shape and a colour.
CLASSES = {
    "round/ball": ("ellipse", (200, 60, 50)),
    "round/moon": ("ellipse", (210, 190, 80)),
    "round/pea": ("ellipse", (80, 150, 60)),
    "angular/brick": ("rectangle", (170, 80, 60)),
    "angular/book": ("rectangle", (60, 90, 170)),
    "angular/door": ("rectangle", (120, 90, 60)),
    "pointed/tent": ("polygon", (70, 130, 90)),
    "pointed/star": ("polygon", (220, 180, 60)),
    "pointed/roof": ("polygon", (150, 60, 60)),
}
EACH = 4


def picture(shape, colour, rng):
    """Draw a shape of about a colour, at about the middle."""
    image = Image.new("RGB", (240, 180), "white")
    draw = ImageDraw.Draw(image)
    size, x, y = rng.integers(90, 140), rng.integers(20, 80), rng.integers(10, 35)
    fill = tuple(int(c) for c in np.clip(np.array(colour) + rng.integers(-30, 31, 3), 0, 255))
    if shape == "polygon":
        draw.polygon([(x, y + size), (x + size, y + size), (x + size / 2, y)], fill=fill)
    else:
        getattr(draw, shape)((x, y, x + size, y + size), fill=fill)
    return image


# ---- a simulated participant ---------------------------------------------------------------------


def described(image):
    """Return the six numbers of a picture."""
    pixels = np.asarray(image.resize((24, 18)), dtype=float) / 255
    shape = pixels.min(axis=2) < 0.9
    parts = [shape[:6].mean(), shape[6:12].mean(), shape[12:].mean()]
    return np.concatenate([pixels[shape].mean(0), parts])


class Participant:
    """Choose by colour: of three pictures the odd one is not of the two whose colours are nearest."""

    def __init__(self, names, looks, slip=0.0, seed=0):
        self.colour = dict(zip(names, looks[:, :3], strict=True))
        self.slip, self.rng = slip, np.random.default_rng(seed)

    def odd(self, names):
        """Return the place of the odd one."""
        if self.rng.random() < self.slip:
            return int(self.rng.integers(3))
        colours = [self.colour[name] for name in names]
        distance = [np.linalg.norm(colours[one] - colours[other]) for one, other in ((1, 2), (0, 2), (0, 1))]
        return int(np.argmin(distance))


def make(folder):
    """Make 36 pictures in nine classes of three groups; one name needs quotes in a CSV, one is not ASCII."""
    rng = np.random.default_rng(0)
    for name, look in CLASSES.items():
        (folder / name).mkdir(parents=True)
        for number in range(EACH):
            file = {0: f'{number}, a "first".png', 1: f"{number}-é.png"}.get(number, f"{number}.png")
            picture(*look, rng).save(folder / name / file)
    return folder


def rows_of(study, participant, name="anna", seed=0, missed=(), caught=True):
    """Return the rows of a file, as the page writes them: header first, without checks.

    Args:
        missed: numbers of the trials that end without an answer.
        caught: whether catch trials are right.
    """
    rng = np.random.default_rng(seed)
    main = list(study.trials("main").values())
    main = [main[place] for place in rng.permutation(len(main))[: study.page["each"]]]
    again = [trial | {"kind": "repeat"} for trial in main[: study.page["repeats"]]]
    trials = [*study.trials("practice").values(), *main, *study.trials("catch").values(), *again]
    rows = [list(COLUMNS[:-1])]
    for number, trial in enumerate(trials, 1):
        shown = [trial["images"][place] for place in rng.permutation(3)]
        odd = participant.odd(shown)
        if trial["kind"] == "catch":
            right = shown.index(trial["images"][trial["odd"]])
            odd = right if caught else (right + 1) % 3
        answer = (
            ["", "", "", "none"]
            if number in missed
            else [shown[odd], str(odd + 1), str(int(rng.integers(500, 4000))), "mouse"]
        )
        rows.append(
            [
                study.id,
                name,
                f"x{name}{seed}",
                str(number),
                trial["kind"],
                trial["level"],
                trial["id"],
                *shown,
                *answer,
                "1",
                f"2026-01-31T12:{number // 60:02}:{number % 60:02}.000Z",
            ]
        )
    return rows


def save(path, rows, checks=True):
    """Write rows as the page does, with the check of each."""
    before, lines = "", [[*rows[0], "check"]]
    for row in rows[1:]:
        before = checksum(before, row) if checks else "c00000000"
        lines.append([*row, before])
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
    return path
