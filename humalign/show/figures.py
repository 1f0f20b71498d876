"""The figures of the book, in its order: each a pure function of the scores."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from humalign.data.emoji import STYLES, EmojiImages, concepts
from humalign.data.simulate import THINGS_CHOICE_ENTROPY, THINGS_MAJORITY_SHARE
from humalign.errors import HumalignError, nearest
from humalign.evaluation.scores import pick
from humalign.show.drawing import (
    CHANCE,
    FOLDS,
    LINES,
    STYLE,
    UNIFORM,
    WIDTH,
    Course,
    Panel,
    draw_courses,
    draw_panels,
    level_panel,
    save,
    stage_rows,
)
from humalign.show.tables import MAIN, PAIRS, SHOWN_LEVELS, STAGES

__all__ = ["save"]

SUBSETS = {"": "all held-out", "/unseen-concepts": "unseen concepts", "/unseen-subgroups": "unseen subgroups"}
RELATIONS = {"same-subgroup": "same subgroup", "same-group": "same group", "different-group": "different groups"}


def overview(scores: pd.DataFrame) -> Figure:
    """Draw the main figure: odd-one-out at both levels, representational similarity and five-shot classes, five stages each."""
    similarity_rows = stage_rows(scores, MAIN, task="similarity-judgments", metric="rsa-spearman")
    taught = stage_rows(scores, MAIN, task="few-shot", split="group/5-shot", metric="accuracy")
    figure = draw_panels([
        *(level_panel(scores, level, MAIN, level) for level in SHOWN_LEVELS),
        Panel("similarity judgments", similarity_rows, "Spearman correlation", line=0.0),
        Panel("five-shot classes (5 groups)", taught, "accuracy", line=0.2),
    ], labels=(*MAIN, "ceiling"), foot=LINES)
    figure.suptitle("Simulated observers, not people", fontsize=9, fontweight="bold")
    return figure


def pictures(names: Sequence[str]) -> Figure:
    """Draw each named concept in both drawing styles.

    Raises:
        HumalignError: no concept has such a name.
    """
    known = concepts()["concept"].tolist()
    for name in names:
        if name not in known:
            raise HumalignError(f"no concept {name!r}: {nearest(name, known)}")
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(len(STYLES), len(names), figsize=(WIDTH, 2.15 * WIDTH / max(len(names), 3) + 0.5), squeeze=False)
        for line, style in zip(grid, STYLES, strict=True):
            drawings = EmojiImages(style, size=160)
            for axes, name in zip(line, names, strict=True):
                axes.imshow(np.asarray(drawings[known.index(name)]))
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
            line[0].set_ylabel(style)
        for axes, name in zip(grid[0], names, strict=True):
            axes.set_title(name.replace("_", "\n"), loc="center")
        plt.close(figure)
    return figure


def calibration(scores: pd.DataFrame) -> Figure:
    """Draw majority share and choice entropy of the simulated observers against those of people on THINGS (dotted)."""
    def panel(metric: str, axis: str, people: float) -> Panel:
        rows = stage_rows(scores, ("ceiling",), task="calibration", metric=metric).assign(label="simulated\nobservers")
        return Panel(f"dotted: people on THINGS, {people:.3f}", rows, axis, "triplets", people)

    return draw_panels([
        panel("majority-share", "majority share", THINGS_MAJORITY_SHARE),
        panel("choice-entropy", "choice entropy (nats)", THINGS_CHOICE_ENTROPY),
    ], labels=("simulated\nobservers",))


def pull_selection(scores: pd.DataFrame) -> Figure:
    """Draw the accuracy on hidden training concepts by the weight of the pull; bars are ranges over folds."""
    rows = stage_rows(scores, task="pull-selection", metric="accuracy")
    rows = rows.iloc[np.argsort(rows["split"].astype(float).to_numpy())]
    ticks = sorted(rows["split"].astype(float))
    return draw_courses([Course(
        f"{FOLDS}; dotted: chance", rows, float, "weight of the pull λ", "odd-one-out accuracy", "folds",
        ticks, CHANCE)], x_scale="log")


def teacher_gain(scores: pd.DataFrame) -> Figure:
    """Draw the teacher beside its backbone, centred and not, by level and by what was withheld from the fit."""
    stages = ("teacher-base", "teacher-centred", "teacher")
    return draw_panels([
        level_panel(scores, level + subset, stages, f"{level}\n{name}") for subset, name in SUBSETS.items() for level in SHOWN_LEVELS
    ], labels=(*stages, "ceiling"), same_scale=True, foot=LINES)


def triplet_labels(scores: pd.DataFrame) -> Figure:
    """Draw how sure the triplets' labels are, how often they follow the taxonomy, and how often both labellings agree."""
    def panel(metric: str, title: str, axis: str, line: float | None = None) -> Panel:
        rows = stage_rows(scores, task="triplets", split="cluster-border", metric=metric)
        return Panel(title, rows, axis, "folds", line)

    return draw_panels([
        panel("label-entropy", "entropy of a label", "nats (dotted: uniform)", UNIFORM),
        panel("pair-in-one-subgroup", "pair in one subgroup", "share of rows"),
        panel("same-choice", "same as backbone", "share of rows"),
    ], columns=3, foot=FOLDS)


def training_curves(scores: pd.DataFrame) -> Figure:
    """Draw the divergence from the labels along the training of both students; bars are ranges over folds."""
    rows = stage_rows(scores, task="distillation", metric="divergence")
    return draw_courses([Course(FOLDS, rows, lambda split: float(split.split()[-1]), "step of training",
                             "Jensen-Shannon divergence (nats)", "folds")], y_scale="log")


def teacher_agreement(scores: pd.DataFrame) -> Figure:
    """Draw how often a student keeps the pair that the teacher keeps, on held-out concepts."""
    rows = stage_rows(scores, task="distillation", split="held-out", metric="agreement-with-teacher")
    return draw_panels([Panel("", rows, "share of triplets on which student and teacher agree (dotted: chance)", "triplets", CHANCE)],
                   columns=1)


def levels(scores: pd.DataFrame) -> Figure:
    """Draw odd-one-out accuracy of every stage at the three levels, with the ceiling; ``local-fine`` has the ceiling only."""
    return draw_panels([level_panel(scores, level, STAGES, level) for level in (*SHOWN_LEVELS, "local-fine")],
                   labels=(*STAGES, "ceiling"), columns=1, same_scale=True, foot=LINES)


def gains(scores: pd.DataFrame) -> Figure:
    """Draw paired differences of accuracy at both levels, with the line of no difference."""
    names = {f"{stage} − {reference}": (stage, f"accuracy-above-{reference}") for stage, reference in PAIRS}

    def panel(level: str) -> Panel:
        found = [pick(scores, task="odd-one-out", split=level, stage=stage, metric=metric).assign(label=name)
                 for name, (stage, metric) in names.items()]
        return Panel(level, pd.concat(found), "difference of accuracy", "triplets", 0.0)

    return draw_panels([panel(level) for level in SHOWN_LEVELS], labels=list(names), foot="dotted: no difference")


def similarity(scores: pd.DataFrame) -> Figure:
    """Draw the rank correlation of each stage's dissimilarities with the observers' own."""
    rows = stage_rows(scores, task="similarity-judgments", metric="rsa-spearman")
    return draw_panels([Panel("", rows, "Spearman with the observers' similarity (dotted: none)", line=0.0)], columns=1)


def uncertainty(scores: pd.DataFrame) -> Figure:
    """Draw agreement of entropies, and the cross-entropy of the observers' answers, at both levels."""
    def panel(level: str, metric: str, axis: str, line: float) -> Panel:
        return Panel(level, stage_rows(scores, task="uncertainty", split=level, metric=metric), axis, "triplets", line)

    return draw_panels([
        *(panel(level, "entropy-spearman", "Spearman of entropies", 0.0) for level in SHOWN_LEVELS),
        *(panel(level, "cross-entropy", "cross-entropy (nats)", UNIFORM) for level in SHOWN_LEVELS),
    ], foot="dotted: no correlation, and the cross-entropy of a uniform guess")


def hierarchy(scores: pd.DataFrame) -> Figure:
    """Draw mean standardised distances by relation in the taxonomy, and their change from the untransformed stage."""
    def panels(split: str, name: str) -> list[Panel]:
        shown = {"standardised-distance": "standardised distance", "change-from-base": "change from untransformed"}
        found = {axis: stage_rows(scores, task="hierarchy", split=split, metric=metric) for metric, axis in shown.items()}
        return [Panel(name, rows, axis, "pairs", 0.0) for axis, rows in found.items()]

    return draw_panels([panel for split, name in RELATIONS.items() for panel in panels(split, name)], same_scale=True,
                   foot="dotted: mean over all pairs, and no change")


def _shots(scores: pd.DataFrame, task: str) -> Figure:
    def course(level: str, classes: str, chance: float | None) -> Course:
        rows = stage_rows(scores, MAIN, task=task, metric="accuracy")
        rows = rows[rows["split"].str.startswith(f"{level}/")]
        ticks = sorted({_shot(split) for split in rows["split"]})
        return Course(classes, rows, _shot, "pictured concepts a class (k)", "accuracy", "concepts", ticks, chance)

    return draw_courses([course("group", "5 groups (dotted: chance)", 0.2), course("subgroup", "subgroups", None)], x_scale="log")


def _shot(split: str) -> float:
    return float(split.split("/")[1].removesuffix("-shot"))


def few_shot(scores: pd.DataFrame) -> Figure:
    """Draw accuracy of classes learned from k concepts, tested in the same drawing style."""
    return _shots(scores, "few-shot")


def style_shift(scores: pd.DataFrame) -> Figure:
    """Draw accuracy of classes learned from k concepts in one drawing style, tested in the other."""
    return _shots(scores, "style-shift")


def same_concept(scores: pd.DataFrame) -> Figure:
    """Draw how often a picture's nearest neighbour in the other drawing style shows the same concept."""
    rows = stage_rows(scores, task="style-shift", split="same-concept", metric="nearest-neighbour")
    return draw_panels([Panel("", rows, "share of pictures that find their concept in the other style")], columns=1)
