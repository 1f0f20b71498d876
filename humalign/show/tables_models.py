"""How alike two models are, before and after alignment, as a table and in words: pure functions of the scores."""

from __future__ import annotations

import pandas as pd

from humalign.evaluation.scores import one, pick
from humalign.show.tables import OF_STUDENTS, Table, number, reads, side
from humalign.show.tables_people import cell, model_name
from humalign.show.tables_students import above

MODELS_ALIKE = {"cka": "linear CKA", "rsa-spearman": "RSA (Spearman)"}
ALIKE = {"above": "more alike", "below": "less alike"}
# How a pair of a student and its teacher is named.
TEACHER = "its teacher"


@reads(*OF_STUDENTS)
def models_alike(scores: pd.DataFrame) -> Table:
    """Return how alike two models are on the 92 photographs, before and after alignment, and for the control."""
    lines = []
    for pair in pairs_of_models(scores):
        before, after = ("base", "aligned") if is_student(scores, pair) else ("teacher-base", "teacher")
        for metric, title in MODELS_ALIKE.items():
            where = {"model": pair, "task": "between-models", "metric": metric}
            lines.append({"models": model_name(pair), "measure": title} | {
                "before": cell(scores, stage=before, **where), "control": cell(scores, stage="unaligned", **where),
                "after": cell(scores, stage=after, **where),
                "after less before": cell(scores, stage=after, **above(where, before)),
                "after less control": cell(scores, stage=after, **above(where, "unaligned"))})
    return Table(pd.DataFrame(lines), "How alike two models are on the 92 photographs: backbones as they are and by their teachers; the "
                                      "student and its teacher, or another backbone; 95 % intervals over images. No judgments enter")


def pairs_of_models(scores: pd.DataFrame) -> list[str]:
    """Return the names of the pairs of models that are compared, in the order of the scores."""
    return list(dict.fromkeys(pick(scores, task="between-models")["model"]))


def is_student(scores: pd.DataFrame, pair: str) -> bool:
    """Say whether a pair of models is one of a student and something that stays as it is."""
    return "aligned" in set(pick(scores, task="between-models", model=pair)["stage"])


def drawn_together(scores: pd.DataFrame) -> dict[str, str]:
    """Say whether two models come to be more alike: backbones by their maps, the student and its teacher, and other backbones.

    Returns:
        ``backbones``, ``teacher-REFERENCE`` and ``others-REFERENCE``, each for both measures, by the paired intervals.
    """
    pairs = [pair for pair in pairs_of_models(scores) if "&" in pair]
    students = [pair for pair in pairs if is_student(scores, pair)]
    said = {"backbones": _alike(scores, [pair for pair in pairs if pair not in students], "teacher", "teacher-base")}
    for reference in ("base", "unaligned"):
        said[f"teacher-{reference}"] = _alike(scores, [pair for pair in students if pair.endswith(TEACHER)], "aligned", reference)
        said[f"others-{reference}"] = _alike(scores, [pair for pair in students if not pair.endswith(TEACHER)], "aligned", reference)
    return said


def _alike(scores: pd.DataFrame, pairs: list[str], stage: str, reference: str) -> str:
    ways = []
    for metric, title in MODELS_ALIKE.items():
        rows = [one(scores, task="between-models", model=pair, stage=stage, metric=f"{metric}-above-{reference}") for pair in pairs]
        found = "; ".join(f"{ALIKE.get(side(row), 'neither more nor less alike beyond doubt')} ({number(row)})" for row in rows)
        ways.append(f"by {title} {found}")
    return ", ".join(ways)
