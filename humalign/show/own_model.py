"""What the page on one's own model shows: the toy's pictures, its recorded run, and how many answers are enough."""

from __future__ import annotations

import base64
import dataclasses
import html
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from humalign.chain import origins
from humalign.evaluation import scores

# The name that the page's command gives its run.
TOY = "aligned"


@dataclasses.dataclass(frozen=True)
class Strip:
    """Picture files side by side; on a narrow page they wrap. The names are what a screen reader says.

    Attributes:
        pictures: name and content of each, as PNG.
        width: of one, in pixels.
    """

    pictures: tuple[tuple[str, bytes], ...]
    width: int

    def __repr__(self) -> str:
        return ", ".join(name for name, _ in self.pictures)

    def _repr_html_(self) -> str:
        size = f'width="{self.width}" height="{self.width}"'
        shown = [
            f'<img alt="{html.escape(name)}" title="{html.escape(name)}" {size} '
            f'src="data:image/png;base64,{base64.b64encode(content).decode()}">'
            for name, content in self.pictures
        ]
        return f'<div class="humalign" style="display:flex;flex-wrap:wrap;gap:4px">{"".join(shown)}</div>'


def strip(paths: Sequence[Path], width: int = 64) -> Strip:
    """Read PNG files, to be shown side by side."""
    return Strip(tuple((path.stem, path.read_bytes()) for path in paths), width)


def recorded() -> pd.DataFrame:
    """Return the scores of the recorded run of the page's commands."""
    return scores.read(origins.recorded(TOY))


def photographs() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what ``benchmarks/photographs.py`` has recorded: scores, by profile, and the answers and minutes of each run."""
    runs = pd.read_csv(origins.RECORDED / "photographs.csv").sort_values("answers").set_index("run")
    return pd.concat([scores.read(origins.recorded(name)) for name in runs.index]), runs


def enough() -> pd.DataFrame:
    """Return what ``benchmarks/answers.py`` has recorded: agreement by the number of answers a picture, in percent."""
    return pd.read_csv(origins.RECORDED / "answers.csv").round(1)
