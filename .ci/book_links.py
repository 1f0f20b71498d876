"""Find the links of a rendered book that lead to no file, no anchor, or no row of the table of scores."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


class Page(html.parser.HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := named.get(name))}
        if tag == "a" and named.get("href"):
            self.links.add(named["href"] or "")


def dead_links(folder: Path) -> dict[str, list[str]]:
    """Return, by page, the links that lead to no file, no anchor or no row of the scores."""
    folder = folder.resolve()
    found = {
        path: Page(path.read_text("utf-8")) for path in folder.rglob("*.html") if "_static" not in path.parts
    }
    data = folder / "_static" / "scores-data.js"
    held = (
        json.loads(data.read_text("utf-8").split("=", 1)[1].rstrip(";\n")) if data.is_file() else {"runs": {}}
    )

    def dead(path: Path, link: str) -> bool:
        to = urlsplit(link)
        if to.scheme or to.netloc or link == "#":  # elsewhere, or the top of the page
            return False
        target = (path.parent / unquote(to.path)).resolve() if to.path else path
        if "=" in to.fragment:
            return not rows(held, to.fragment)
        return not target.exists() or (
            bool(to.fragment)
            and unquote(to.fragment) not in (found[target].anchors if target in found else ())
        )

    return {
        path.relative_to(folder).with_suffix("").as_posix(): [f"a dead link: {link[:150]}" for link in links]
        for path, page in found.items()
        if (links := [link for link in sorted(page.links) if dead(path, link)])
    }


def rows(held: Any, fragment: str) -> int:
    """Return how many rows of the page of scores an address names."""
    named = parse_qs(fragment, keep_blank_values=True)
    (run,) = named.pop("run", [next(iter(held["runs"]), "")])
    if run not in held["runs"] or any(name not in held["columns"] for name in named):
        return 0
    texts = held["runs"][run]["texts"]
    wanted = {
        held["columns"].index(name): {part for one in values for part in ([one] if one in texts else one.split("|"))}
        for name, values in named.items()
    }
    return sum(
        all(texts[row[at]] in values for at, values in wanted.items()) for row in held["runs"][run]["rows"]
    )
