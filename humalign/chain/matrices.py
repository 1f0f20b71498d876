"""Rank matrices of similarities of the same things: a model's before and after, and people's."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.stats import rankdata, spearmanr

from humalign.chain import features, registered, sets
from humalign.chain.judged import Things
from humalign.chain.pipeline import Run, stream
from humalign.chain.scoring.objects import Fold
from humalign.chain.unseen import STAGES, Json, rounded
from humalign.evaluation import people

NEAR = "kriegeskorte-92"
# Objects of a matrix: so many categories, and so many objects of each.
CATEGORIES, OF_CATEGORY = 8, 12
# How the 92 images are grouped: the columns of their file that hold for each image of a group.
GROUPS_92 = {
    "human bodies": ("human", "body"),
    "human faces": ("human", "face"),
    "animal bodies": ("nonhumani", "body"),
    "animal faces": ("nonhumani", "face"),
    "natural things": ("natObj",),
    "made things": ("artiObj",),
}


def ranks(similar: Float[np.ndarray, "n n"]) -> UInt8[np.ndarray, " pairs"]:
    """Return the ranks of the pairs above the diagonal, row by row, from 0 (least alike) to 255."""
    pairs = np.asarray(similar, dtype=float)[np.triu_indices(len(similar), 1)]
    return np.floor((rankdata(pairs) - 1) / max(len(pairs) - 1, 1) * 255).astype(np.uint8)


def matrix(
    title: str, groups: Sequence[str], names: Sequence[str], panels: dict[str, np.ndarray], who: Json
) -> Json:
    """Return rank matrices of several similarities of the same things, and how each agrees with people's."""
    upper = np.triu_indices(len(groups), 1)
    told, models = panels["people"][upper], [name for name in panels if name != "people"]
    drawn = {name: base64.b64encode(ranks(each).tobytes()).decode() for name, each in panels.items()}
    rsa = {name: rounded(spearmanr(panels[name][upper], told).statistic) for name in models}
    named = {"title": title, "groups": list(groups), "names": list(names)}
    return named | who | {"pairs": len(told), "panels": drawn, "rsa": rsa}


def drawn(
    member: Bool[np.ndarray, "m categories"], categories: int, of_each: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Draw objects of one category each from the largest categories: (category, row), largest first."""
    category = np.where(member.sum(1) == 1, member.argmax(1), -1)
    sizes = np.bincount(category[category >= 0], minlength=member.shape[1])
    largest = [each for each in np.argsort(-sizes, kind="stable")[:categories] if sizes[each] >= 2]
    rows = [(int(each), rng.permutation(np.flatnonzero(category == each))[:of_each]) for each in largest]
    return [(each, int(row)) for each, several in rows for row in np.sort(several)]


def of_objects(run: Run, known: Things, folds: Sequence[Fold]) -> list[Json]:
    """Return matrices of objects that the teacher of the first fold did not see."""
    if not folds:
        return []
    fold, member = folds[0], known.categories.to_numpy(dtype=bool)
    some = drawn(member[fold.part.test], CATEGORIES, OF_CATEGORY, stream(run.profile, 20))
    rows = fold.part.test[[row for _, row in some]]
    space = fold.space(rows)
    panels = {
        "teacher-base": people.cosines(space["teacher-base"]),
        "teacher-centred": people.cosines(space["teacher-centred"]),
        "people": people.dot_similarity(known.published[rows]),
        "teacher": people.dot_similarity(space["teacher"]),
    }
    groups = [str(known.categories.columns[each]) for each, _ in some]
    names, who = [known.names[row] for row in rows], {"model": fold.model, "people": "the published VICE"}
    return [matrix("objects", groups, names, panels, who)]


def of_92(run: Run) -> list[Json]:
    """Return matrices of the 92 images, which no teacher saw: each student's, and the mean of people's."""
    if NEAR not in run.profile.data.judged:
        return []
    told = registered.similarity_92()
    columns = {group: [told.categories.get(each) for each in of] for group, of in GROUPS_92.items()}
    holds = {name: np.all(of, axis=0) for name, of in columns.items() if all(each is not None for each in of)}
    held = ([name for name, rows in holds.items() if rows[image]] for image in range(len(told.categories)))
    group = np.array([[*names, "others"][0] for names in held])
    order = np.argsort([[*GROUPS_92, "others"].index(name) for name in group], kind="stable")
    square, names, found = np.ix_(order, order), (order + 1).astype(str).tolist(), []
    for student in run.profile.students:
        if NEAR in sets.evaluated(run.profile, student) and "all" in student.parts:
            spaces = {stage: features.read(run, student.backbone, stage, NEAR) for stage in STAGES}
            panels = {stage: people.backbone_similarity(x)[square] for stage, x in spaces.items()}
            panels["people"] = -told.matrices.mean(0)[square]
            who = {"model": student.backbone, "people": f"the mean of {len(told.matrices)} people"}
            found.append(matrix("92 images", group[order].tolist(), names, panels, who))
    return found
