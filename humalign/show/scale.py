"""What the page on the paper's scale shows of a run, once there is one: its figures and tables, in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from humalign.evaluation.scores import pick
from humalign.show import figures, stages, tables
from humalign.show.chapters import Shown, is_at_scale


@dataclasses.dataclass(frozen=True)
class Measure:
    """One measure of every model and stage."""

    caption: str  #: of its tables.
    task: str
    metric: str = "accuracy"
    split: tuple[str, ...] = ()  #: those that are shown; without any, all.
    drawn: bool = False  #: whether it has a figure.
    #: titles of the figure's panels by split, where these are not all or not called as the splits.
    drawn_as: dict[str, str] | None = None
    compared: bool = True  #: whether paired differences stand in a table of their own.


THINGS = ("THINGS", "THINGS, photographs judged", "unseen objects")
NAMED = ("same-category", "other-category"), ("same-class", "same-superclass", "other-superclass")
RELATED = {
    f"{of}/{item}": f"{of}, {stages.RELATIONS[item]}"
    for of, relations in zip(("THINGS", "ImageNet"), NAMED, strict=True)
    for item in relations
}
MEASURES = (
    Measure("Odd one out, THINGS", "odd-one-out", split=THINGS, drawn=True),
    Measure("Odd one out at three levels", "odd-one-out", split=stages.LEVELS, drawn=True),
    Measure("Judged similarity", "similarity-judgments", "rsa-spearman", drawn=True),
    Measure("Uncertainty and response time", "uncertainty", "response-time-entropy-spearman"),
    Measure("Uncertainty and people's", "uncertainty", "entropy-spearman"),
    Measure("People's labels of CIFAR-10, nats; less is better", "soft-labels", "cross-entropy"),
    Measure("Distance by relation", "hierarchy", "standardised-distance", drawn=True, drawn_as=RELATED),
    Measure("Distance and steps of WordNet", "hierarchy", "path-spearman", drawn=True),
    Measure("Likeness of two students", "between-models", "cka"),
    Measure("Classes from k pictures", "few-shot"),
    Measure("BREEDS, classes of the support set (source) and others (target)", "subpopulation-shift"),
    Measure("ImageNet-A", "natural-adversarial"),
    Measure("Agreement with the teacher, validation triplets", "distillation", "agreement-with-labels",
            compared=False),
)


def answer(shown: Shown) -> str:
    """Say whether there is a run, and where its numbers are from."""
    none = "There is no run at the paper's scale yet."
    if shown.scores.empty:
        return none
    if is_at_scale(shown):
        return f"This is {shown.said}."
    which = f"the profile {shown.settings.name}, which the other chapters do not show"
    return f"{none} Below are the scores of {which}: {shown.said}."


def at_scale(shown: Shown) -> Iterator[Any]:
    """Yield what a page displays of a run: published numbers beside its own, then each measure."""
    found = shown.scores
    if found.empty:
        return
    accuracy = {"task": "odd-one-out", "metric": "accuracy"}
    if not pick(found, split=THINGS, **accuracy).empty:
        caption, trusted = "The paper's numbers, and those of this run", ("paper", "note", "issue", "code")
        yield tables.beside_published(found, caption=caption, trust=trusted, **accuracy)
    for measure in MEASURES:
        where: Any = {"task": measure.task, "metric": measure.metric}
        asked = where | ({"split": measure.split} if measure.split else {})
        if pick(found, **asked).empty:
            continue
        if measure.drawn:
            looks: Any = {"by": "model", "ceiling": "people", "otherwise": stages.lacking(found)}
            yield figures.groups(found, "split", measure.drawn_as or measure.split, **looks, **where)
        asked |= {"columns": "metric", "caption": measure.caption}
        yield tables.layout(found, rows=("split", "model", "stage"), **asked)
        if measure.compared:
            yield tables.layout(found, rows=("split", "model", "compared"), differences=stages.COMPARISONS,
                                values=False, lacking="no paired difference", **asked)
    yield shown.run.teach()
    yield shown.run.distil()
