"""Tables as text and as HTML, scores as text, and the links of a table or a figure: its rows and its code."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

import pandas as pd

from humalign.errors import HumalignError
from humalign.show import stages

EMPTY, MINUS = "—", "\N{MINUS SIGN}"
# So many columns fit a page and a phone; with more lines than LONG a click on a heading sorts them.
COLUMNS, LONG = 5, 8
# Metrics that count things: shown without decimals and without an interval.
COUNTS = ("dimensions", "superclasses", "classes-taught", "classes-tested", "classes-both")
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
LONG_WORD, INTERVAL = re.compile(r"[\w:/.]{12,}"), re.compile(r"\S+ to \S+")
# Of the table alone, so that it looks the same in a notebook and in the book.
STYLE = """<style>
div.humalign table.humalign-table { display: table; width: auto; max-width: 100%; border-collapse: collapse; }
div.humalign table.humalign-table :is(th, td) { white-space: normal; min-width: 0; padding: .3em .5em;
  text-align: left; vertical-align: top; overflow-wrap: break-word; }
div.humalign table.humalign-table th[scope=row] ~ th[scope=row] { font-weight: normal; }
div.humalign table.humalign-table small { display: block; font: inherit; font-weight: normal;
  font-size: .8em; opacity: .85; }
div.humalign table.humalign-table caption { caption-side: top; text-align: left; font-size: .9em; }
div.humalign table.humalign-table button { all: unset; cursor: pointer; text-decoration: underline dotted; }
div.humalign table.humalign-table button:focus-visible { outline: 2px solid; }
div.humalign table.humalign-table th[aria-sort=ascending] button::after { content: " \\2191"; }
div.humalign table.humalign-table th[aria-sort=descending] button::after { content: " \\2193"; }
div.humalign p.humalign-note { font-size: .8em; margin: .2em 0 1em; }
@media (min-width: 700px) { div.humalign table.humalign-table small.interval { white-space: nowrap; } }
@media (max-width: 699px) { div.humalign table.humalign-table { font-size: .8rem; hyphens: auto; }
  div.humalign table.humalign-table :is(th, td) { padding: .3em .3em; }
  div.humalign table.humalign-table :is(small, a) { overflow-wrap: anywhere; } }
</style>"""
# By the first number of a cell, else by its text.
SORT = """<script>
document.currentScript.parentElement.querySelectorAll("thead th").forEach((head, at) => {
  head.querySelector("button").onclick = () => {
    const body = head.closest("table").tBodies[0], up = head.ariaSort !== "ascending";
    const key = row => { const said = row.cells[at].textContent.trim();
      const number = parseFloat(said.replace("\\u2212", "-").replace(/[+,]/g, "")); return [number, said]; };
    const order = (a, b) => { const [x, s] = key(a), [y, t] = key(b);
      return isNaN(x) || isNaN(y) ? isNaN(x) - isNaN(y) || s.localeCompare(t) : x - y; };
    head.parentElement.querySelectorAll("th").forEach(other => other.ariaSort = "none");
    head.ariaSort = up ? "ascending" : "descending";
    [...body.rows].sort((a, b) => up ? order(a, b) : order(b, a)).forEach(row => body.append(row));
  };
});
</script>"""


class Piece:
    """A piece of a page: its HTML, and what it says as text."""

    def __init__(self, body: str, said: str) -> None:
        self.body, self.said = body, said

    def __repr__(self) -> str:
        return self.said

    def _repr_html_(self) -> str:
        return self.body


class Table:
    """A table of strings with a caption, a note and links; HTML and plain text are the same on every run.

    In a cell ``[text](address)`` is a link, and what follows a line break stands small on lines of its own.

    Attributes:
        frame: the cells.
        heads: how many columns name the lines.
        foot: HTML of the links below.

    Raises:
        HumalignError: more columns than fit a page.
    """

    def __init__(
        self, frame: pd.DataFrame, caption: str = "", note: str = "", heads: int = 1, foot: str = ""
    ) -> None:
        if frame.shape[1] > COLUMNS:
            seen = f"a table of {frame.shape[1]} columns ({', '.join(map(str, frame))})"
            raise HumalignError(f"{seen}: at most {COLUMNS} fit a page; leave some out, or turn the table")
        self.frame, self.caption, self.note = frame.astype(str), caption, note
        self.heads, self.foot = heads, foot

    def __repr__(self) -> str:
        body = "" if self.frame.empty else self.frame.map(_plain).to_string(index=False)
        return "\n".join(filter(None, (self.caption, body, self.note)))

    def _repr_html_(self) -> str:
        if self.frame.empty:
            return f"<p>{html.escape(self.caption)}</p>"
        sorts = len(self.frame) > LONG
        caption = f"<caption>{html.escape(self.caption)}</caption>\n" if self.caption else ""
        button = ('<th scope="col" aria-sort="none"><button type="button">', "</button></th>")
        start, end = button if sorts else ('<th scope="col">', "</th>")
        head = "".join(f"{start}{_cell(name)}{end}" for name in self.frame)
        body = "\n".join(self._line(row) for row in self.frame.to_numpy().tolist())
        inside = f"{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
        table = f'<table class="humalign-table">\n{inside}</table>'
        note = f'<p class="humalign-note">{html.escape(self.note)}</p>' if self.note else ""
        parts = (STYLE, table, note, self.foot, SORT if sorts else "")
        return '<div class="humalign">' + "\n".join(filter(None, parts)) + "</div>"

    def _line(self, row: Sequence[str]) -> str:
        heads = [f'<th scope="row">{_cell(cell)}</th>' for cell in row[: self.heads]]
        cells = [f"<td>{_cell(cell)}</td>" for cell in row[self.heads :]]
        return f"<tr>{''.join(heads + cells)}</tr>"


def _cell(text: str) -> str:
    """Return a cell as HTML; a digest or a path may break."""
    text = re.sub(f"{LINK.pattern}|{LONG_WORD.pattern}", _breakable, text)
    first, _, more = LINK.sub(r'<a href="\2">\1</a>', html.escape(text)).partition("\n")
    small = '<small class="interval">' if INTERVAL.fullmatch(more) else "<small>"
    return first + (f"{small}{more.replace(chr(10), '<br>')}</small>" if more else "")


def _breakable(found: re.Match[str]) -> str:
    """Return a link as it is, and a long word that is none of a language with places where it may break."""
    word = found[0]
    if found[1] or word.isalpha():
        return word
    return "\u200b".join(word[at : at + 8] for at in range(0, len(word), 8))


def _plain(text: str) -> str:
    """Return a cell in one line: what stands small in brackets, and of a link its text."""
    first, _, more = LINK.sub(r"\1", text).partition("\n")
    return f"{first} ({more.replace(chr(10), '; ')})" if more else first


def rounded(row: Any, field: str = "value") -> str:
    """Return a field of a score as text: in percent with one decimal where it is a share, else with two.

    A difference has its sign, and as many decimals as keep it from a zero that it is not.
    """
    metric = str(row.get("metric", ""))
    scale, digits = (100, 1) if stages.in_percent(metric) else (1, 2)
    value, differs = round(row[field] * scale, 6), "-above-" in metric
    if differs and value and not float(f"{value:.{digits}f}"):
        digits = max(digits + 1, math.ceil(-math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    text = text.lstrip("-") if not float(text) else text
    signed = "+" if differs and value > 0 and field == "value" else ""
    return signed + text.replace("-", MINUS)


def number(row: Any, interval: bool = True, between: str = " ({})") -> str:
    """Return a score as ``48.2 (47.4 to 49.0)``, a count as ``17``, or a dash where it cannot be given.

    Its 95 % interval is set as ``between``, or left out.
    """
    if pd.isna(row["value"]):
        return EMPTY
    if row.get("metric") in COUNTS:
        return f"{row['value']:,.0f}"
    return rounded(row) + (between.format(ends(row)) if interval else "")


def ends(row: Any) -> str:
    """Return the ends of a score's interval: ``47.4 to 49.0``."""
    return " to ".join(rounded(row, end) for end in ("low", "high"))


# ---- links -------------------------------------------------------------------------------------------------

# From a page of ``notebooks/``: ``book/scores.md`` shows rows, Sphinx's ``viewcode`` code.
SCORES, CODE = "../book/scores.html", "../_modules"
# Columns of the scores that pick rows; one that has more values than these is left open.
PICKED, SEVERAL = ("task", "split", "metric", "model", "stage"), 16


def rows_address(found: pd.DataFrame) -> str:
    """Return the address of these rows on the page of scores.

    Several values of a column are joined by ``|``, or are a condition each where a value holds that letter. A
    page may call the models and stages of a curve by other names; the address then leaves them open.
    """
    pairs = [("run", str(found["profile"].iloc[0]))]
    renamed = not set(found["stage"]) <= set(stages.STAGES)
    for column in PICKED[:3] if renamed else PICKED:
        several = list(dict.fromkeys(found[column].astype(str)))
        if len(several) > SEVERAL:
            continue
        whole = several if any("|" in value for value in several) else ["|".join(several)]
        pairs += [(column, value) for value in whole]
    return f"{SCORES}#{urlencode(pairs, quote_via=quote)}"


def code_address(module: str, function: str) -> str:
    """Return the address of a function's code; ``module`` is its ``__name__``."""
    return f"{CODE}/{module.replace('.', '/')}.html#{function}"


def links(found: pd.DataFrame | None, module: str, function: str, said: str = "") -> str:
    """Return the line as HTML, after what is ``said``; without scores it links the code alone."""
    linked = {} if found is None or found.empty else {"rows": rows_address(found)}
    linked["code"] = code_address(module, function)
    each = [f'<a href="{html.escape(to)}">{name}</a>' for name, to in linked.items()]
    whole = " · ".join(filter(None, (html.escape(said), *each)))
    return f'<p class="humalign-links" style="font-size: .8em; margin: .2em 0 1em">{whole}</p>'
