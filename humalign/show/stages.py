"""The names and the order of what the book shows: stages, comparisons, relations, levels, each said once."""

from __future__ import annotations

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
    "teacher": "single answers",
    "ridge": "coordinates in the published VICE",
    "teacher-published": "choice distributions of the published VICE",
    "observer": "nothing: the published VICE itself",
    "ceiling": "how far people, or most observers, agree",
}
STUDENTS = ("base", "base-centred", "base-whitened", "base-random", "unaligned", "aligned-head", "aligned")
# A stage and what it is compared with by a paired difference, of those in the scores; a table shows those that its scores have.
COMPARISONS = (
    ("teacher", "teacher-base"), ("teacher", "teacher-centred"), ("teacher", "teacher-whitened"), ("teacher", "teacher-random"),
    ("unaligned", "base"), ("aligned-head", "base"), ("aligned", "aligned-head"), ("aligned", "unaligned"),
    ("aligned", "base-random"), ("aligned", "base-whitened"), ("aligned", "base-centred"), ("aligned", "base"),
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
AGREEMENT = {
    "similarity judgments of 92 photographs (RSA)": SIMILARITY,
    "odd-one-out answers about THINGS photographs (accuracy)": ANSWERS,
    "similarity in the published VICE, THINGS photographs (RSA)": VICE,
}
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


def short(model: str) -> str:
    """Return a model's name as short as a figure needs it."""
    return model.replace("efficientnet-", "").replace("+", " + ")


def ceiling(scores: pd.DataFrame) -> pd.Series:
    """Return how often people give the majority's answer, on triplets of THINGS asked repeatedly."""
    return one(scores, model="people", stage="ceiling", task="odd-one-out", split="repeated triplets")


def models(scores: pd.DataFrame, stage: str) -> list[str]:
    """Return the models that have a stage, in their order: students by "aligned", backbones by "teacher"."""
    return list(dict.fromkeys(pick(scores, stage=stage, **SIMILARITY)["model"]))


def one_student(scores: pd.DataFrame, model: str = "") -> pd.DataFrame:
    """Return the scores without those of other backbones' students; the first one's where none is named."""
    found = models(scores, "aligned")
    others = [name for name in found if name != (model or found[0])]
    return scores[~(scores["model"].isin(others) & scores["stage"].isin(STUDENTS))]


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
