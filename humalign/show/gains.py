"""What alignment brings and costs on each main measure, over the best baseline that no judgment entered.

The claims table and the arrows of the first page say the same, because both are made of these.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from humalign.evaluation.scores import above, pick
from humalign.show.stages import (
    ANSWERS,
    MORE_IS_WORSE,
    SIMILARITY,
    VICE,
    WITHOUT_JUDGMENTS,
    models_in_order,
    short,
)

PEOPLE = {"task": "odd-one-out", "split": "repeated triplets", "metric": "accuracy"}


@dataclasses.dataclass(frozen=True)
class Measure:
    """One main measure."""

    title: str  #: in plain words.
    where: Mapping[str, Any]  #: conditions on the scores, their metric among them.
    stage: str = "aligned"  #: what alignment made.
    people: Mapping[str, Any] | None = None  #: where people's own score is, if there is one.
    last: bool = False  #: whether only the scores at the largest ``x`` count.


DOUBT = {"task": "uncertainty", "split": "repeated triplets, unseen objects", "metric": "entropy-spearman"}
MEASURES: dict[str, Measure] = {
    "teacher": Measure("Odd one out, unseen objects", PEOPLE | {"split": "unseen objects"}, "teacher", PEOPLE),
    "students": Measure("Odd one out, THINGS photographs", ANSWERS, people=PEOPLE),
    "vice": Measure("Similarity in the published VICE", VICE),
    "similarity": Measure("Similarity of 92 photographs", SIMILARITY, people=SIMILARITY),
    "doubt": Measure("Unsure where people are", DOUBT, "teacher"),
    "hierarchy": Measure("Distances follow WordNet", {
        "task": "hierarchy", "split": "things-photographs/WordNet", "metric": "path-spearman"}),
    "alike": Measure("Two models alike (RSA)", {
        "task": "between-models", "split": "92 photographs, students", "metric": "rsa-spearman"}),
    "alike-cka": Measure("Two models alike (CKA)", {
        "task": "between-models", "split": "92 photographs, students", "metric": "cka"}),
    "few-shot": Measure("Few-shot, CIFAR-10", {
        "task": "few-shot", "set": "cifar10", "metric": "accuracy"}, last=True),
    "few-shot-textures": Measure("Few-shot, textures", {
        "task": "few-shot", "set": "textures", "metric": "accuracy"}, last=True),
    "corruptions": Measure("Corrupted CIFAR-10", {
        "task": "corruption", "split": "cifar10/all", "metric": "accuracy"}),
    "lost": Measure("Lost to corruption, CIFAR-10 (below zero is better)", {
        "task": "corruption", "split": "cifar10/all", "metric": "loss"}),
    "soft-labels": Measure("People's labels of CIFAR-10 (below zero is better)", {
        "task": "soft-labels", "set": "cifar10", "metric": "cross-entropy"}, last=True),
}
# Those of the first page, from top to bottom.
MAIN = ("teacher", "students", "few-shot", "corruptions", "similarity", "doubt", "hierarchy", "alike")


@dataclasses.dataclass(frozen=True)
class Gain:
    """A measure of one model: rows of the scores."""

    measure: Measure  #: which.
    model: str  #: of which network, or pair of networks.
    before: pd.Series  #: the network as it was.
    best: pd.Series  #: the best baseline without judgments of which there is a paired difference.
    after: pd.Series  #: with alignment.
    over: pd.Series  #: the paired difference of ``after`` from ``best``.
    #: the paired difference from the baseline that it exceeds least surely; often ``over`` itself.
    least: pd.Series
    raw: pd.Series | None  #: the paired difference of ``after`` from ``before``, or None.
    people: pd.Series | None  #: people's own score, or None.

    @property
    def side(self) -> str:
        """``better`` than every baseline, ``worse`` than the best one, or ``unclear`` where a 95 % interval includes zero."""
        metric = str(self.after["metric"])
        return "better" if _ends(self.least, metric)[0] > 0 else "worse" if _ends(self.over, metric)[1] < 0 else "unclear"

    @property
    def rows(self) -> pd.DataFrame:
        """The rows of the scores that it is made of."""
        return pd.DataFrame([self.before, self.best, self.after, self.over, self.least]).drop_duplicates()

    @property
    def who(self) -> str:
        """The network or networks, as readers see them."""
        return short(self.model).replace(" & ", " and ")


def of(scores: pd.DataFrame, name: str, over: Sequence[str] = WITHOUT_JUDGMENTS) -> list[Gain]:
    """Return the gains of a measure, one a model that has it; none where the run has no such scores.

    Args:
        scores: the table.
        name: of ``MEASURES``.
        over: the stages of which the best is the reference.
    """
    measure = MEASURES[name]
    found = pick(scores, **{key: value for key, value in measure.where.items() if key != "metric"})
    if measure.last and len(found):
        found = found[found["x"] == found["x"].max()]
    metric = str(measure.where["metric"])
    people = pick(scores, model="people", stage="ceiling", **measure.people) if measure.people else None
    values = pick(found, metric=metric).dropna(subset="value")
    gains = []
    for model in models_in_order(pick(values, stage=measure.stage)["model"]):
        own = found[found["model"] == model]
        after, baselines, before = (pick(own, metric=metric, stage=stage)
                                    for stage in (measure.stage, over, ("base", "teacher-base")))
        paired = pick(own, stage=measure.stage, metric=[above(metric, stage) for stage in baselines["stage"]])
        compared = baselines[baselines["stage"].isin(paired["reference"])].dropna(subset="value")
        if compared.empty or before.empty:
            continue
        order = compared["value"] * (-1 if metric in MORE_IS_WORSE else 1)
        best = compared.loc[order.idxmax()]
        gain = pick(paired, reference=best["stage"]).iloc[0]
        if np.isnan(gain["value"]):
            continue
        raw = pick(own, stage=measure.stage, metric=above(metric, before.iloc[0]["stage"]))
        known = paired.dropna(subset="value")
        least = known.loc[min(known.index, key=lambda at: _ends(known.loc[at], metric)[0])]
        first, top = (None if rows is None or len(rows) != 1 else rows.iloc[0] for rows in (raw, people))
        gains.append(Gain(measure, str(model), before.iloc[0], best, after.iloc[0], gain, least, first, top))
    return gains


def _ends(difference: pd.Series, metric: str) -> tuple[float, float]:
    """Return the interval of a difference, turned so that above zero is better."""
    sign = -1 if metric in MORE_IS_WORSE else 1
    low, high = sorted((sign * difference["low"], sign * difference["high"]))
    return low, high


def every(scores: pd.DataFrame, names: Sequence[str] = MAIN) -> list[Gain]:
    """Return the gains of several measures, in their order."""
    return [gain for name in names for gain in of(scores, name)]
