"""What the names of a score say: the set, the item in it, the place on a curve, and the reference.

``set`` is what was judged or classified. ``item`` is a thing inside the set, such as a category, a relation
or a corruption, empty where the set is taken whole. ``x`` is the number that a curve runs along (shots,
severity, steps of training or of WordNet, images, answers, objects) or the rank in a list, NaN where there is
none. ``reference`` is the stage that a paired difference is taken from, empty where the row is no difference.
"""

from __future__ import annotations

import functools
import re

import numpy as np

# How the split of a task is written, with the groups ``set``, ``item`` and ``x``: the first form that fits
# counts, those of the task before those of any task. A split that fits none is a set taken whole.
WRITTEN = {
    "calibration": (r"step (?P<x>\d+)",),
    "corruption": (r"(?P<set>.+)/(?P<item>severity (?P<x>\d+)|.+)",),
    "dense-against-sparse": (r"(?P<set>.+)/(?P<x>\d+) images",),
    "dimensions": (r"(?P<item>.+)",),
    "disagreement": (r"(?P<x>\d+): (?P<item>.+)",),
    "distillation": (r"step (?P<x>\d+)", r"(?P<set>.+), step (?P<x>\d+)"),
    "example-triplet": (r"(?P<set>.+?): (?P<item>.+)",),
    "hierarchy": (
        r"((?P<set>.+)(/|, ))?(?P<item>path (?P<x>\d+)(-\d+|\+)|WordNet|(same|other|different)-\w+)",
    ),
    "map": (r"(?P<set>.+?)/(?P<item>.+)",),
    "odd-one-out": (r"category/(?P<item>.+)", r"(?P<set>.+)/(?P<item>.+)"),
    "price": (r"(?P<set>.+)/(?P<item>[^/]+)/(?P<x>[\d.]+)", r"(?P<set>.+)/(?P<item>[^/]+)", r"(?P<set>.+)"),
    "pull-selection": (r"(?P<x>[\d.e-]+)",),
    "subpopulation-shift": (r"(?P<set>.+)/(?P<x>\d+)-shot, (?P<item>.+)",),
    "vice-dimensions": (r"(?P<x>\d+): (?P<item>.+)",),
}
ANYWHERE = (r"(?P<set>.+)/(?P<x>\d+)-shot", r"(?P<x>\d+) (?P<set>answers|objects)", r"(?P<set>[^,]+), .+")
# What is judged where the split names only a step, a rank or an item.
UNNAMED = {
    "calibration": "unseen objects", "dimensions": "dimensions of the published VICE",
    "disagreement": "pairs of THINGS photographs", "distillation": "training triplets",
    "hierarchy": "held-out", "odd-one-out": "unseen objects", "pull-selection": "hidden training concepts",
    "vice-dimensions": "dimensions of our VICE",
}


@functools.cache
def derived(task: str, split: str, metric: str) -> tuple[str, str, float, str]:
    """Return set, item, x and reference of a score by its task, split and metric."""
    forms = (*WRITTEN.get(task, ()), *ANYWHERE)
    found = next(filter(None, (re.fullmatch(form, split) for form in forms)), None)
    named = found.groupdict() if found else {"set": split}
    x = named.get("x") or (0.0 if (task, named.get("item")) == ("corruption", "clean") else np.nan)
    reference = re.fullmatch(r".+-above-(.+)", metric)
    known = named.get("set") or UNNAMED[task]
    return known, named.get("item") or "", float(x), reference[1] if reference else ""
