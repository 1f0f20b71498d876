"""Everything that the page on the paper's scale shows of a run, once there is one: its figures and its tables, in order."""

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
    where: dict[str, Any]  #: which scores.
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
    Measure("Odd one out, THINGS", {"task": "odd-one-out", "metric": "accuracy", "split": THINGS}, True),
    Measure("Odd one out at three levels", {"task": "odd-one-out", "metric": "accuracy", "split": stages.LEVELS}, True),
    Measure("Judged similarity", {"task": "similarity-judgments", "metric": "rsa-spearman"}, True),
    Measure("Uncertainty and response time", {"task": "uncertainty", "metric": "response-time-entropy-spearman"}),
    Measure("Uncertainty and people's", {"task": "uncertainty", "metric": "entropy-spearman"}),
    Measure("People's labels of CIFAR-10, nats; less is better", {"task": "soft-labels", "metric": "cross-entropy"}),
    Measure("Distance by relation", {"task": "hierarchy", "metric": "standardised-distance"}, True, RELATED),
    Measure("Distance and steps of WordNet", {"task": "hierarchy", "metric": "path-spearman"}, True),
    Measure("Likeness of two students", {"task": "between-models", "metric": "cka"}),
    Measure("Classes from k pictures", {"task": "few-shot", "metric": "accuracy"}),
    Measure("BREEDS, classes of the support set (source) and others (target)", {"task": "subpopulation-shift", "metric": "accuracy"}),
    Measure("ImageNet-A", {"task": "natural-adversarial", "metric": "accuracy"}),
    Measure("Agreement with the teacher, validation triplets", {"task": "distillation", "metric": "agreement-with-labels"}, compared=False),
)


def answer(shown: Shown) -> str:
    """Say whether there is a run, and where its numbers are from."""
    none = "There is no run at the paper's scale yet."
    if shown.scores.empty:
        return none
    if is_at_scale(shown):
        return f"This is {shown.said}."
    return f"{none} Below are the scores of the profile {shown.settings.name}, which the other chapters do not show: {shown.said}."


def at_scale(shown: Shown) -> Iterator[Any]:
    """Yield what a page displays of a run: the published numbers beside its own, then each measure; without a run nothing."""
    found = shown.scores
    if found.empty:
        return
    trusted = ("paper", "note", "issue", "code")
    asked = {"task": "odd-one-out", "metric": "accuracy", "trust": trusted}
    if not pick(found, **MEASURES[0].where).empty:
        yield tables.beside_published(found, caption="The paper's numbers, and those of this run", **asked)
    for measure in MEASURES:
        if pick(found, **measure.where).empty:
            continue
        if measure.drawn:
            where = {name: value for name, value in measure.where.items() if name != "split"}
            panels = measure.drawn_as or measure.where.get("split", ())
            lacking = stages.lacking(found)
            yield figures.groups(found, "split", panels, by="model", ceiling="people", otherwise=lacking, **where)
        yield tables.layout(
            found, rows=("split", "model", "stage"), columns="metric", caption=measure.caption, **measure.where
        )
        if measure.compared:
            yield tables.layout(
                found, rows=("split", "model", "compared"), columns="metric", caption=measure.caption,
                differences=stages.COMPARISONS, values=False, lacking="no paired difference", **measure.where,
            )  # fmt: skip
    yield shown.run.teach()
    yield shown.run.distil()
