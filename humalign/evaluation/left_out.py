"""The teacher on what it never saw: photographs left out of a fit, and answers about three objects left out.

Every function returns estimates with their bootstrap draws; the unit that is resampled is said in each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Real
from sklearn.base import clone
from sklearn.model_selection import RepeatedKFold

from humalign.data.judgments import Answered, ByObject, cosine_similarities, floats
from humalign.errors import HumalignError, number
from humalign.evaluation import people, rsa
from humalign.evaluation.scores import Estimate, resamples
from humalign.teach.objectives import probabilities
from humalign.teach.teacher import AffineTeacher

Images = Real[np.ndarray, "n dim"]
Beside = Mapping[str, Real[np.ndarray, "n _"]]
Folds = list[tuple[np.ndarray, np.ndarray]]


def image_folds(images: int, folds: int, repeats: int, seed: int) -> Folds:
    """Return (training, test) images of repeated cross-validation."""
    return list(RepeatedKFold(n_splits=folds, n_repeats=repeats, random_state=seed).split(np.zeros(images)))


def unseen_images(
    features: Images,
    places: Sequence[Float[np.ndarray, "_ _"]],
    answers: ByObject,
    judged: Real[np.ndarray, "n n"],
    folds: Folds,
    draws: int,
    seed: int,
    beside: Beside = MappingProxyType({}),
) -> dict[str, dict[str, Estimate]]:
    """Score a backbone, and the teacher fitted to other images, on images left out of the fit (unit: image).

    Args:
        features, answers: of, and about, all images.
        places: of each fold's test images by a teacher of its training images.
        judged: similarities of all pairs, by people or by an embedding of their answers.
        folds: training and test images.
        draws, seed: of the bootstrap; an image is drawn as often in every fold.
        beside: further features of all images by their stage, to which no answer was fitted.

    Returns:
        Means over folds, by stage (``teacher-base``; ``teacher-centred``: less the training images' mean;
        those of ``beside``; ``teacher``) and metric: ``accuracy`` by cosines, ``rsa-spearman`` by Pearson's
        correlation of the features; ``accuracy-dot`` and ``rsa-own-spearman`` by the teacher's dot products.
    """
    weights = resamples(len(features), draws, seed)
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    counted = 0
    for (train, test), placed in zip(folds, places, strict=True):
        rows, drawn, truth = answers[test], weights[:, test], judged[np.ix_(test, test)]
        counted += len(rows.triplets)
        base = features[test]
        space = {"teacher-base": base, "teacher-centred": base - features[train].mean(0)}
        space |= {stage: x[test] for stage, x in beside.items()} | {"teacher": placed}
        for stage, x in space.items():
            similar = {"accuracy": cosine_similarities(x, rows.triplets)}
            matrices = {"rsa-spearman": people.backbone_similarity(x)}
            if stage == "teacher":
                similar["accuracy-dot"] = probabilities(x, rows.triplets)
                matrices["rsa-own-spearman"] = people.dot_similarity(x)
            right = {metric: people.accuracy(each, rows, drawn) for metric, each in similar.items()}
            made = {metric: np.concatenate([[each.value], each.draws]) for metric, each in right.items()}
            made |= {metric: rsa.matrix_agreement(each, truth, drawn) for metric, each in matrices.items()}
            for metric, each in made.items():
                found.setdefault(stage, {}).setdefault(metric, []).append(each)
    return {
        stage: {
            metric: Estimate.of(np.nanmean(each, axis=0), counted if "accuracy" in metric else len(features))
            for metric, each in several.items()
        }
        for stage, several in found.items()
    }


def leave_three_out(
    features: Images,
    answers: ByObject,
    fit: Callable[[Bool[np.ndarray, " n"]], AffineTeacher],
    groups: int,
    weights: Float[np.ndarray, "draws n"],
    seed: int,
) -> dict[str, Estimate]:
    """Score every answer by a teacher that saw none of its three images (unit: image).

    The groups of a triplet's three images are left out of the fit together. Few answers lie wholly inside a
    fold; this uses all of them, at one fit for every three groups that an answer spans.

    Args:
        features, answers, weights: of, and about, all images.
        fit: makes a teacher of the images that are true in a mask.
        groups, seed: of images, and of how they are drawn.

    Returns:
        Odd-one-out accuracy by cosines of ``teacher-base``, the features as they are; of ``teacher-centred``,
        less the mean of the images that a teacher is fitted to; and of ``teacher``. ``teacher-dot`` is the
        teacher's by its own dot products. Subtract them for a paired difference.

    Raises:
        HumalignError: fewer than four groups, or more than images.
    """
    places = (fit(kept).transform(features) for _, kept in three_left_out(answers, groups, seed))
    return placed_three_out(features, places, answers, groups, weights, seed)


def three_left_out(
    answers: ByObject, groups: int, seed: int
) -> Iterator[tuple[Bool[np.ndarray, " m"], Bool[np.ndarray, " n"]]]:
    """Yield, for every three groups that answers span, these answers and the images in none of the groups.

    Raises:
        HumalignError: fewer than four groups, or more than images.
    """
    if not 4 <= number("groups", groups) <= answers.objects:
        mend = "three are left out at a time, so give four or more"
        raise HumalignError(f"{groups} groups of {answers.objects} images: {mend}")
    group = np.random.default_rng(seed).permutation(answers.objects) % groups
    held = np.sort(group[answers.triplets], axis=1)
    for left_out in np.unique(held, axis=0):
        yield (held == left_out).all(1), ~np.isin(group, left_out)


def placed_three_out(
    features: Images,
    places: Iterable[Float[np.ndarray, "n _"]],
    answers: ByObject,
    groups: int,
    weights: Float[np.ndarray, "draws n"],
    seed: int,
    beside: Beside = MappingProxyType({}),
) -> dict[str, Estimate]:
    """Return what ``leave_three_out`` does, of all images' places by the teacher of every three groups.

    ``beside`` are further features of all images by their stage, to which no answer was fitted.

    Raises:
        HumalignError: answers about another number of images; fewer than four groups, or more than images.
    """
    if answers.objects != len(features):
        seen = f"answers about {answers.objects} images, but features of {len(features)}"
        raise HumalignError(f"{seen}: give those of the same images")
    given = {"teacher-base": features, **beside}
    similar = {stage: cosine_similarities(x, answers.triplets) for stage, x in given.items()}
    shape = answers.shares.shape
    similar |= {stage: np.empty(shape) for stage in ("teacher-centred", "teacher", "teacher-dot")}
    for (rows, kept), placed in zip(three_left_out(answers, groups, seed), places, strict=True):
        asked = answers.triplets[rows]
        similar["teacher-centred"][rows] = cosine_similarities(features - features[kept].mean(0), asked)
        similar["teacher"][rows] = cosine_similarities(placed, asked)
        similar["teacher-dot"][rows] = probabilities(placed, asked)
    return {stage: people.accuracy(each, answers, weights) for stage, each in similar.items()}


def held_out_agreement(
    teacher: AffineTeacher,
    features: Real[np.ndarray, "objects dim"],
    choices: Answered,
    groups: int = 6,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Score every answer by a teacher fitted to other objects: odd-one-out accuracy (unit: object).

    Args:
        teacher: whose settings are used; it is not fitted.
        features: one row an object.
        choices: answers, or (triplets, distributions over the pairs ij, ik, jk).
        groups: of objects, three of which are left out of a fit at a time.
        draws, seed: of the bootstrap; the seed also of the groups.

    Returns:
        ``value``, ``low`` and ``high`` (95 %) and ``answers`` of the rows ``base``, the features as they are;
        ``base-centred``, which needs no answers; ``teacher``; and ``teacher - base-centred``, the gain.

    Raises:
        HumalignError: faulty features or choices, fewer than four groups, or no answer outside three of them.
    """
    features = floats(features)
    answers, weights = ByObject.of(choices, len(features)), resamples(len(features), draws, seed)

    def fit(kept: Bool[np.ndarray, " objects"]) -> AffineTeacher:
        return clone(teacher).fit(features[kept], answers[kept])

    found = leave_three_out(features, answers, fit, groups, weights, seed)
    similar = cosine_similarities(features - features.mean(0), answers.triplets)
    centred = people.accuracy(similar, answers, weights)
    rows = {"base": found["teacher-base"], "base-centred": centred, "teacher": found["teacher"]}
    rows["teacher - base-centred"] = found["teacher"] - centred
    table = {name: (each.value, *each.interval(), each.n) for name, each in rows.items()}
    return pd.DataFrame.from_dict(table, orient="index", columns=["value", "low", "high", "answers"])
