"""The figures of students on real people: each a pure function of the scores, and headed by whose judgments they are."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from humalign.evaluation.scores import one, pick
from humalign.show.drawing import CHANCE, Course, Panel, draw_courses, draw_groups, draw_panels, stage_rows
from humalign.show.figures_people import heading
from humalign.show.tables_models import MODELS_ALIKE, is_student, pairs_of_models
from humalign.show.tables_people import ceiling, model_name
from humalign.show.tables_students import (
    ANSWERS,
    MAIN,
    PAIRS,
    SETS,
    SIMILARITY,
    SOFT_LABELS,
    STAGES,
    UNIFORM_OF_TEN,
    VICE,
    corruptions,
    people_range,
    severities,
    severity,
    shots,
    splits,
    teacher_model,
)

LABELS = "Class labels of photographs, no judgments"
TEACHERS = "A teacher's choices, not people's"
MODELS = "Models beside models, no judgments"
# Both labelled sets have ten classes.
CHANCE_OF_TEN = 0.1
CLASSIFIERS = {"accuracy": "logistic regression", "accuracy-nearest-mean": "nearest mean"}


def similarity_judgments(scores: pd.DataFrame) -> Figure:
    """Draw every student's RSA with people's similarity judgments, its teacher's, people's own range, and the paired differences."""
    teacher = stage_rows(scores, ("teacher",), model=teacher_model(scores), **SIMILARITY)
    found = pd.concat([stage_rows(scores, STAGES, **SIMILARITY), teacher])
    changed = _differences(scores, SIMILARITY, PAIRS)
    return draw_panels([
        Panel("92 photographs", found, "correlation with people's mean (Spearman)", "images", band=people_range(scores)),
        Panel("paired differences", changed, "difference of the correlations", "images", 0.0),
    ], labels=(*STAGES, "teacher", *_names(PAIRS)), columns=1, heading=heading(pd.concat([found, changed])),
        foot="grey: people's own range; dotted: no difference")


def unseen_photographs(scores: pd.DataFrame) -> Figure:
    """Draw agreement with people's answers, and with VICE, about photographs that a student's teacher did not see."""
    pairs = [pair for pair in PAIRS if "aligned-head" not in pair]
    answers = pd.concat([stage_rows(scores, MAIN, **ANSWERS), ceiling(scores).to_frame().T.assign(label="ceiling")])
    panels = [
        Panel("people's answers", answers, "odd-one-out accuracy", "triplets", CHANCE),
        Panel("published VICE", stage_rows(scores, MAIN, **VICE), "RSA (Spearman)", "images"),
        Panel("paired differences", _differences(scores, ANSWERS, pairs), "difference of accuracy", "triplets", 0.0),
        Panel("paired differences", _differences(scores, VICE, pairs), "difference of RSA", "images", 0.0),
    ]
    return draw_panels(panels, labels=(*MAIN, "ceiling", *_names(pairs)), heading=heading(pd.concat([panel.rows for panel in panels])),
                       foot="dashed: noise ceiling, on repeated triplets; dotted: chance, and no difference")


def _names(pairs: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> list[str]:
    return [f"{stage} − {reference}" for stage, reference in pairs]


def _differences(scores: pd.DataFrame, where: dict[str, str], pairs: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> pd.DataFrame:
    """Rows of the paired differences of a measure, each labelled with the two stages."""
    rows = [
        one(scores, stage=stage, **{**where, "metric": f"{where['metric']}-above-{reference}"}).to_frame().T.assign(label=name)
        for (stage, reference), name in zip(pairs, _names(pairs), strict=True)
    ]
    return pd.concat(rows).infer_objects()


def dense_against_sparse(scores: pd.DataFrame) -> Figure:
    """Draw a student's agreement with its teacher on photographs held back, by images seen, for dense and for sparse triplets."""
    found = stage_rows(scores, ("aligned",), task="dense-against-sparse", metric="agreement-with-teacher")
    found = found.assign(stage=found["split"].str.split("/").str[0])
    return draw_courses([Course(
        "", found, lambda split: int(split.split("/")[1].split()[0]) / 1000, "images seen in training (thousands)",
        "agreement with the teacher", "training runs of each kind")], heading=heading(found, TEACHERS),
        foot="bars: 95 % intervals of the mean over training runs")


def soft_labels(scores: pd.DataFrame) -> Figure:
    """Draw how near classifiers come to the labels that people gave to photographs, by the pictures a class was learned from."""
    found = stage_rows(scores, MAIN, task="soft-labels")
    courses = [
        Course(name.replace(" (", "\n("), found[found["metric"] == metric], shots, "shots", "", "images", _ticks(scores),
               UNIFORM_OF_TEN if metric == "cross-entropy" else None)
        for metric, name in SOFT_LABELS.items()
    ]
    return draw_courses(courses, x_scale="log", heading=heading(found), foot="dotted: a uniform guess", same_scale=False)


def few_shot(scores: pd.DataFrame) -> Figure:
    """Draw the accuracy of classes learned from a few photographs each, for every student."""
    found = stage_rows(scores, STAGES, task="few-shot", metric="accuracy")
    courses = [
        Course(title, found[found["split"].isin(splits(scores, name))], shots, "shots", "accuracy", "images", _ticks(scores), CHANCE_OF_TEN)
        for name, title in SETS.items()
    ]
    return draw_courses(courses, x_scale="log", heading=heading(found, LABELS), foot="dotted: chance")


def few_shot_change(scores: pd.DataFrame) -> Figure:
    """Draw the paired difference from the base in few-shot accuracy, of the control and of the aligned students, by classifier."""
    panels = []
    for metric, title in CLASSIFIERS.items():
        for name, shown in SETS.items():
            rows = stage_rows(scores, STAGES, task="few-shot", metric=f"{metric}-above-base")
            rows = pd.concat([pick(rows, split=split).assign(label=f"{shots(split)}-shot") for split in splits(scores, name)])
            panels.append(Panel(f"{shown}\n{title}", rows, "accuracy less that of base", "images", 0.0))
    return draw_groups(panels, STAGES, columns=2, heading=heading(pd.concat([panel.rows for panel in panels]), LABELS),
                       foot="dotted: no difference")


def _ticks(scores: pd.DataFrame) -> list[float]:
    return [float(shots(split)) for split in splits(scores, next(iter(SETS)))]


def models_alike(scores: pd.DataFrame) -> Figure:
    """Draw how alike two models are on the 92 photographs: backbones before and after a teacher's map, the student beside others."""
    stages = ("teacher-base", "teacher", *MAIN)
    found = stage_rows(scores, stages, task="between-models")
    panels = []
    for metric, title in MODELS_ALIKE.items():
        rows = [
            pick(found, model=pair, metric=metric).assign(label=("student " if is_student(scores, pair) else "") + _two(pair))
            for pair in pairs_of_models(scores)
        ]
        panels.append(Panel(title, pd.concat(rows), "one: the same up to rotation" if metric == "cka" else "one: the same order", "images"))
    return draw_groups(panels, stages, columns=2, heading=heading(pd.concat([panel.rows for panel in panels]), MODELS))


def _two(pair: str) -> str:
    return model_name(pair).replace(" & ", "\n& ")


def corruption(scores: pd.DataFrame) -> Figure:
    """Draw the accuracy of classifiers of clean photographs by the severity of a corruption; clean ones stand at zero."""
    rows = stage_rows(scores, STAGES, task="corruption", metric="accuracy")
    rows = pd.concat([pick(rows, split=f"cifar10/{split}") for split in severities(scores)])
    course = Course("", rows, severity, "severity of the corruption (0: clean)", "accuracy", "images",
                    [float(severity(f"cifar10/{split}")) for split in severities(scores)], CHANCE_OF_TEN)
    return draw_courses([course], heading=heading(rows, LABELS), foot="dotted: chance")


def corruption_change(scores: pd.DataFrame) -> Figure:
    """Draw the paired difference from the base of control and aligned student, by corruption."""
    rows = stage_rows(scores, MAIN, task="corruption", metric="accuracy-above-base")
    splits = ("clean", *corruptions(scores))
    shown = pd.concat([pick(rows, split=f"cifar10/{split}").assign(label=split.replace("-", " ")) for split in splits])
    return draw_groups([Panel("", shown, "accuracy less that of the base", "images", 0.0)], MAIN, heading=heading(shown, LABELS),
                       foot="dotted: no difference")
