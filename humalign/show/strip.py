"""Pictures of a folder in one line of the page, inlined."""

from __future__ import annotations

import base64
import dataclasses
import html
from collections.abc import Sequence
from pathlib import Path


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


def pictures(paths: Sequence[Path], width: int = 64) -> Strip:
    """Read the PNG files of a strip."""
    return Strip(tuple((path.stem, path.read_bytes()) for path in paths), width)
