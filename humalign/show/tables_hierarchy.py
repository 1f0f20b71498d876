"""Distances of photographs by relation, and of things by steps of WordNet, as tables and in words: pure functions of the scores."""

from __future__ import annotations

import pandas as pd

from humalign.evaluation.scores import one, pick
from humalign.show.tables import OF_ANSWERS, OF_STUDENTS, Table, number, reads, side
from humalign.show.tables_people import cell
from humalign.show.tables_students import MAIN, line

# Relations of two photographs: of THINGS by the objects' categories, of CIFAR-10 by class and by kind: animal or vehicle.
RELATIONS = {
    "things-photographs": {"same-category": "share a\ncategory", "other-category": "share none"},
    "cifar10": {"same-class": "one class", "same-superclass": "one kind", "other-superclass": "two kinds"},
}
OBJECTS, PHOTOGRAPHS = "unseen objects", "things-photographs"
PATH = "path-spearman"
STAGES = {OBJECTS: ("teacher-base", "teacher", "observer"), PHOTOGRAPHS: MAIN}
# What is set beside what, by where it was measured.
COMPARED = {OBJECTS: (("teacher", "teacher-base"),), PHOTOGRAPHS: (("aligned", "base"), ("aligned", "unaligned"), ("unaligned", "base"))}


@reads(*OF_STUDENTS, "cifar10")
def relations(scores: pd.DataFrame) -> Table:
    """Return the mean standardised distance of photographs by set and relation, and the aligned student's paired changes."""
    lines = [
        {"set": name, "pairs": title.replace("\n", " ")}
        | line(scores, {"task": "hierarchy", "split": f"{name}/{relation}", "metric": "standardised-distance"})
        for name, known in RELATIONS.items() for relation, title in known.items()
    ]
    return Table(pd.DataFrame(lines), "Distance of photographs, in standard deviations from the mean of all pairs; 95 % intervals over "
                                      "images. Evidence: the categories of THINGS; classes of CIFAR-10 and their kinds, animal or vehicle")


def moved(scores: pd.DataFrame, name: str, relation: str, stage: str, reference: str) -> str:
    """Say whether pairs of a relation are nearer in a stage than in a reference, against all pairs, by the paired interval."""
    row = one(scores, task="hierarchy", split=f"{name}/{relation}", stage=stage, metric=f"standardised-distance-above-{reference}")
    way = {"above": "further apart", "below": "nearer together"}.get(side(row), "neither nearer nor further apart beyond doubt")
    return f"{way} than in {reference} ({number(row)})"


# ---- WordNet ---------------------------------------------------------------------------------------------------------

def paths(scores: pd.DataFrame, of: str) -> dict[str, str]:
    """Return the splits of a set by steps of WordNet, from the fewest steps on, and how each is called."""
    splits = pd.unique(pick(scores, task="hierarchy")["split"])
    start = f"{of}/path "
    named = {split: split.removeprefix(start).replace("-", " to ").replace("+", " and more") for split in splits if split.startswith(start)}
    return {split: f"{steps} steps" for split, steps in named.items()}


@reads(*OF_ANSWERS, *OF_STUDENTS)
def wordnet(scores: pd.DataFrame) -> Table:
    """Return the rank correlation of distances with steps of WordNet, by stage, and its paired changes."""
    lines = []
    for of, compared in COMPARED.items():
        for stage in STAGES[of]:
            where = {"task": "hierarchy", "split": f"{of}/WordNet", "stage": stage}
            others = [other for changed, other in compared if changed == stage]
            changes = {f"less {other}": cell(scores, metric=f"{PATH}-above-{other}", **where) for other in others}
            lines.append({"things": of, "stage": stage, "correlation": cell(scores, metric=PATH, **where)} | changes)
    return Table(pd.DataFrame(lines).fillna("—"),
                 "Spearman's correlation of a model's distances with steps of WordNet; 95 % intervals over things. No judgments enter")


def nouns(scores: pd.DataFrame) -> str:
    """Say of how many THINGS objects WordNet has the noun."""
    return f"{int(one(scores, task='hierarchy', split=f'{OBJECTS}/WordNet', stage='teacher', metric=PATH)['n']):,}"


def follows(scores: pd.DataFrame, of: str, stage: str, reference: str) -> str:
    """Say whether a stage's distances follow WordNet more closely than a reference's, by the paired interval."""
    row = one(scores, task="hierarchy", split=f"{of}/WordNet", stage=stage, metric=f"{PATH}-above-{reference}")
    way = {"above": "more closely", "below": "less closely"}.get(side(row), "no more and no less closely, beyond doubt,")
    return f"{way} than those of {reference} ({number(row)})"
