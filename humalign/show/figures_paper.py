"""The figures of the paper's own chain: one measure of every student before and after, whatever run the scores are of."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from humalign.show.drawing import CHANCE, STYLE, WIDTH, Panel, draw_groups
from humalign.show.tables_paper import MEASURES, STAGES, TEACHERS, judged_by, missing

# What no model can be below for long: a choice of three by chance; and no difference from the mean distance.
LINES = {"things": CHANCE, "levels": CHANCE, "hierarchy": 0.0, "wordnet": 0.0}
UNITS = {"things": "answers", "levels": "answers", "similarity": "photographs", "few-shot": "pictures"}
UNITS |= {"hierarchy": "pairs", "wordnet": "things"}


def measure(scores: pd.DataFrame, name: str) -> Figure:
    """Draw one measure, a panel a set: models one below the other, their stages together, and people's ceiling where there is one."""
    wanted = MEASURES[name]
    rows = wanted.rows(scores).dropna(subset="value")
    if rows.empty:
        return _nothing(missing(scores))
    panels = []
    for split, found in rows.groupby("split", sort=False):
        panels.append(Panel(str(split), found.assign(label=found["model"].where(found["stage"] != "ceiling", "people")), wanted.said,
                            UNITS.get(name, "items"), LINES.get(name)))
    return draw_groups(panels, ("ceiling", *TEACHERS, *STAGES), heading=judged_by(rows).capitalize(),
                       foot="dashed: people's ceiling; dotted: chance" if name in ("things", "levels") else "")


def _nothing(said: str) -> Figure:
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(WIDTH, 0.8))
        axes.axis("off")
        axes.text(0.5, 0.5, said, ha="center", va="center", wrap=True, transform=axes.transAxes)
        plt.close(figure)
    return figure
