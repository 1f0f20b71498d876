"""The names and the order of what the book shows: stages, comparisons, relations, levels, each said once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from humalign.chain import origins
from humalign.evaluation.scores import one, pick, read

# Every stage in the order of tables and figures, and what it was fitted to.
STAGES = {
    "base": "the pretrained network",
    "base-centred": "its features, centred on the training mean",
    "base-whitened": "its features, whitened on unlabelled pictures",
    "base-random": "a random map of its features",
    "unaligned": "trained on the backbone's own labels of the triplets",
    "aligned-head": "trained on the teacher's labels, through a head",
    "aligned": "trained on the teacher's labels",
    "teacher-base": "nothing: the features as they are",
    "teacher-centred": "nothing: the features less their training mean",
    "teacher-whitened": "nothing: the features, whitened on unlabelled pictures",
    "teacher-random": "nothing: a random map of the features",
    "predecessor": "single answers, the predecessor's recipe",
    "teacher-one-hot": "single answers, plain affine map",
    "ridge-strict": "coordinates in a VICE of these answers",
    "teacher-distilled": "choice distributions of a VICE of these answers",
    "ridge": "coordinates in the published VICE",
    "teacher-published": "choice distributions of the published VICE",
    "teacher": "single answers",
    "observer": "nothing: the published VICE itself",
    "ceiling": "how far people, or most observers, agree",
}
STUDENTS = ("base", "base-centred", "base-whitened", "base-random", "unaligned", "aligned-head", "aligned")
# What readers see in place of a stage. A teacher's network before its map is called as any other network.
LABELS = {
    "base": "before", "base-centred": "before, centred", "base-whitened": "before, whitened",
    "base-random": "before, random map", "unaligned": "control", "aligned-head": "aligned, head",
    "aligned": "aligned", "teacher-base": "before", "teacher-centred": "before, centred",
    "teacher-whitened": "before, whitened", "teacher-random": "before, random map",
    "predecessor": "gLocal recipe", "teacher-one-hot": "teacher, plain",
    "ridge-strict": "ridge, our VICE", "teacher-distilled": "teacher, our VICE", "teacher": "teacher",
    "ridge": "ridge, published VICE", "teacher-published": "teacher, published VICE",
    "observer": "published VICE", "ceiling": "people",
}
# Stages that no judgment entered; gains are quoted over the best of them.
WITHOUT_JUDGMENTS = (
    "base", "base-centred", "base-whitened", "base-random", "unaligned",
    "teacher-base", "teacher-centred", "teacher-whitened", "teacher-random",
)
# Metrics in plain words. Of MORE_IS_WORSE a smaller value is better; SHARES are shown in percent.
METRICS = {
    "accuracy": "accuracy", "accuracy-dot": "accuracy (dot product)",
    "accuracy-nearest-mean": "accuracy (nearest mean)",
    "accuracy-least-squares": "accuracy (least squares)",
    "agreement-with-teacher": "agreement with the teacher",
    "cka": "linear CKA", "confidence": "confidence", "cross-entropy": "cross-entropy (nats)",
    "divergence": "Jensen-Shannon divergence (nats)", "entropy-spearman": "correlation of entropies",
    "expected-calibration-error": "calibration error", "label-entropy": "entropy of a label (nats)",
    "loss": "accuracy lost", "majority-share": "share of the majority",
    "path-spearman": "correlation with steps of WordNet", "rsa-pearson": "correlation (Pearson)",
    "rsa-spearman": "rank correlation", "rsa-own-spearman": "rank correlation, own similarity",
    "standardised-distance": "distance (standard deviations)",
}
MORE_IS_WORSE = ("cross-entropy", "divergence", "expected-calibration-error", "loss")
SHARES = (
    "accuracy", "agreement", "confidence", "expected-calibration-error", "loss", "majority-share",
    "nearest-neighbour", "pair-in-one-subgroup", "probability", "same-choice", "share", "share-of-images",
    "share-of-weight",
)
# A stage and what it is compared with by a paired difference; a table shows those that its scores have.
COMPARISONS = (
    *(("teacher", f"teacher-{other}") for other in ("base", "centred", "whitened", "random")),
    *(("unaligned", "base"), ("aligned-head", "base"), ("aligned", "aligned-head"), ("aligned", "unaligned")),
    *(("aligned", other) for other in ("base-random", "base-whitened", "base-centred", "base")),
)
# Relations of two things, by the name that a score's ``item`` has.
RELATIONS = {
    "same-subgroup": "one subgroup", "same-group": "one group", "different-group": "different groups",
    "same-category": "share a category", "other-category": "share none",
    "same-class": "one class", "same-superclass": "one kind", "other-superclass": "two kinds",
    "path 0-5": "0 to 5 steps", "path 6-9": "6 to 9 steps", "path 10-13": "10 to 13 steps",
    "path 14+": "14 and more steps",
}
# Measures of how alike two models are, and of a classifier against people's label distributions.
ALIKE = {"cka": "linear CKA", "rsa-spearman": "RSA (Spearman)"}
SOFT_LABELS = {
    "cross-entropy": "cross-entropy (less is better)",
    "expected-calibration-error": "calibration error (less is better)",
    "entropy-spearman": "like entropies (more is better)",
}
# Splits that tables and figures share: teachers of THINGS photographs on 92 others, students on halves.
ACROSS, HALVES = "92 photographs", "THINGS photographs, unseen halves"
# Agreement with people, or a model of their answers, on photographs that the teacher of a student never saw.
SIMILARITY = {"task": "similarity-judgments", "split": ACROSS, "metric": "rsa-spearman"}
ANSWERS = {"task": "odd-one-out", "split": HALVES, "metric": "accuracy"}
VICE = {"task": "similarity-vice", "split": HALVES, "metric": "rsa-spearman"}
# The two levels on which models have scores in the demo, then the one that has a ceiling only there.
LEVELS = ("global-coarse", "class-boundary", "local-fine")
SCORED_LEVELS = LEVELS[:2]
# On whose evidence a score stands.
WHO = {
    "human": "people's judgments", "simulated": "simulated observers, not people",
    "taxonomy": "a taxonomy (no judgments)", "labels": "labels (no judgments)",
}
# The data sets that a table or a figure names otherwise than the scores do.
SETS = {
    "cifar10": "CIFAR-10", "textures": "textures", "things-photographs": "THINGS photographs",
    "unseen objects": "THINGS objects",
}


def in_order(names: Iterable[str], order: Iterable[str] = STAGES) -> list[str]:
    """Return the different names in their order; those that it lacks come last, as they stand."""
    places = {name: place for place, name in enumerate(order)}
    return sorted(dict.fromkeys(names), key=lambda name: places.get(name, len(places)))


def name(stage: str) -> str:
    """Return what readers see in place of a stage; a name that is none of the stages stays."""
    return LABELS.get(stage, stage)


def distinct(rows: pd.DataFrame) -> dict[str, str]:
    """Return names for stages of two networks that share one: ``Lite0, before`` and ``Lite2, before``."""
    networks = {stage: set(own["model"]) for stage, own in rows.groupby("stage")}
    found = {}
    for stage, own in networks.items():
        others = [other for other in networks if other != stage and name(other) == name(stage)]
        if len(own) == 1 and any(networks[other] != own for other in others):
            found[str(stage)] = f"{short(next(iter(own)))}, {name(str(stage))}"
    return found


def metric(called: str) -> str:
    """Return a metric in plain words, without the reference of a paired difference."""
    called = called.split("-above-")[0]
    return METRICS.get(called, called.replace("-", " "))


def in_percent(called: str) -> bool:
    """Say whether a metric, or a difference in it, is a share that is shown in percent."""
    called = called.split("-above-")[0]
    return called in SHARES or called.startswith(("accuracy", "agreement")) or called.endswith("agreement")


def models_in_order(names: Iterable[str]) -> list[str]:
    """Return different models by name: single ones, several side by side, pairs, people."""
    def place(name: str) -> tuple[bool, bool, int, str]:
        return name == "people", "&" in name, name.count("+"), name

    return sorted(dict.fromkeys(names), key=place)


def short(model: str) -> str:
    """Return a model's name as readers see it: ``Lite0``, ``Lite0 + Lite2``, ``CLIP``."""
    short = re.sub(r"efficientnet-lite(\d)", r"Lite\1", model).replace("+", " + ")
    return short.replace("clip-vit-b32", "CLIP")


def ceiling(scores: pd.DataFrame) -> pd.Series:
    """Return how often people give the majority's answer, on triplets of THINGS asked repeatedly."""
    return one(scores, model="people", stage="ceiling", task="odd-one-out", split="repeated triplets")


def models(scores: pd.DataFrame, stage: str) -> list[str]:
    """Return the models that have a stage, in their order: students by "aligned", backbones by "teacher"."""
    return models_in_order(pick(scores, stage=stage, **SIMILARITY)["model"])


def one_student(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores without those of students of other backbones than the first one's."""
    others = models(scores, "aligned")[1:]
    return scores[~(scores["model"].isin(others) & scores["stage"].isin((*STUDENTS, *WITHOUT_JUDGMENTS[:5])))]


PREDECESSOR = origins.RECORDED / "predecessor.csv"


def with_predecessor(scores: pd.DataFrame, recorded: Path = PREDECESSOR) -> pd.DataFrame:
    """Return scores with those that ``benchmarks/predecessor.py`` has left, where there are any."""
    both = pd.concat([scores, read(recorded)], ignore_index=True) if recorded.is_file() else scores
    both.attrs |= scores.attrs
    return both


def lacking(scores: pd.DataFrame) -> str:
    """Return why a run that need not be complete has nothing to show."""
    if scores.empty:
        return "No run yet: see the head of this chapter."
    return "This run has no such evaluation: its profile leaves it out."
