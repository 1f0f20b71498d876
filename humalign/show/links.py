"""The small line of links below a table or a figure: the rows behind it, and the code that made it."""

from __future__ import annotations

import html
from urllib.parse import quote, urlencode

import pandas as pd

# From a page of ``notebooks/``: ``book/scores.md`` shows rows, Sphinx's ``viewcode`` code.
SCORES, CODE = "../book/scores.html", "../_modules"
# Columns of the scores that pick rows; one that has more values than these is left open.
PICKED, SEVERAL = ("task", "split", "metric", "model", "stage"), 16


def rows(found: pd.DataFrame) -> str:
    """Return the address of these rows on the page of scores; several values of a column are joined by ``|``."""
    values = {"run": list(dict.fromkeys(found["profile"]))}
    values |= {column: list(dict.fromkeys(found[column].astype(str))) for column in PICKED}
    kept = {column: "|".join(several) for column, several in values.items() if 0 < len(several) <= SEVERAL}
    return f"{SCORES}#{urlencode(kept, quote_via=quote)}"


def code(module: str, function: str) -> str:
    """Return the address of a function's code; ``module`` is its ``__name__``."""
    return f"{CODE}/{module.replace('.', '/')}.html#{function}"


def line(found: pd.DataFrame | None, module: str, function: str, said: str = "") -> str:
    """Return the line as HTML, after what is ``said``; without scores it links the code alone."""
    linked = {} if found is None or found.empty else {"rows": rows(found)}
    linked["code"] = code(module, function)
    each = [f'<a href="{html.escape(to)}">{name}</a>' for name, to in linked.items()]
    whole = " · ".join(filter(None, (html.escape(said), *each)))
    return f'<p class="humalign-links" style="font-size: .8em; margin: .2em 0 1em">{whole}</p>'
