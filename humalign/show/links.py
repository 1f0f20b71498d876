"""The small line of links below a table or a figure: the rows behind it, and the code that made it."""

from __future__ import annotations

import html
from urllib.parse import quote, urlencode

import pandas as pd

from humalign.show.stages import STAGES

# From a page of ``notebooks/``: ``book/scores.md`` shows rows, Sphinx's ``viewcode`` code.
SCORES, CODE = "../book/scores.html", "../_modules"
# Columns of the scores that pick rows; one that has more values than these is left open.
PICKED, SEVERAL = ("task", "split", "metric", "model", "stage"), 16


def rows(found: pd.DataFrame) -> str:
    """Return the address of these rows on the page of scores.

    Several values of a column are joined by ``|``, or are a condition each where a value holds that letter. A
    page may call the models and stages of a curve by other names; the address then leaves them open.
    """
    pairs = [("run", str(found["profile"].iloc[0]))]
    renamed = not set(found["stage"]) <= set(STAGES)
    for column in PICKED[:3] if renamed else PICKED:
        several = list(dict.fromkeys(found[column].astype(str)))
        if len(several) > SEVERAL:
            continue
        whole = several if any("|" in value for value in several) else ["|".join(several)]
        pairs += [(column, value) for value in whole]
    return f"{SCORES}#{urlencode(pairs, quote_via=quote)}"


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
