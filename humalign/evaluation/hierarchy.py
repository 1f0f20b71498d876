"""How distances between things follow what they are: near within a category, far beyond, and how alignment changes that."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from humalign.errors import HumalignError
from humalign.evaluation.checks import check_features, check_labels
from humalign.evaluation.rsa import dissimilarities
from humalign.scores import Estimate

RELATIONS = ("same-subgroup", "same-group", "different-group")


def distances_by_relation(
    distance: Float[np.ndarray, "n n"], related: dict[str, Bool[np.ndarray, "n n"]], weights: Float[np.ndarray, "draws n"]
) -> dict[str, Estimate]:
    """Return the mean distance of pairs in each relation, in standard deviations from the mean of all related pairs.

    Standardising makes models with different overall spread comparable; taken after and before alignment with the same weights,
    estimates subtract to a paired change (unit: the thing, not the pair).

    Args:
        distance: of every two things.
        related: which pairs stand in each relation; only what is above the diagonal is read.
        weights: of the things, from ``resamples``.

    Raises:
        HumalignError: no pair stands in a relation, or all distances are equal.
    """
    i, j = np.triu_indices(len(distance), k=1)
    pairs = distance[i, j][np.any([relation[i, j] for relation in related.values()], axis=0)]
    # What is left of equal distances is rounding.
    if not pairs.size or not pairs.std() > 1e-9 * np.abs(pairs).max():
        raise HumalignError("distances that are all equal, or not finite: does the model tell anything apart?")
    standard = (distance - pairs.mean()) / pairs.std()
    estimates = {}
    for name, relation in related.items():
        rows = np.triu(relation, k=1)
        if not rows.any():
            raise HumalignError(f"no pair is {name}: give more pictures of each category")
        # Each pair weighs as often as its two things are drawn together: a quadratic form.
        total, weight = (((weights @ matrix) * weights).sum(1) for matrix in (standard * rows, rows.astype(float)))
        estimates[name] = Estimate.of(total / weight, int(rows.sum()))
    return estimates


def standardised_distances(
    features: Float[np.ndarray, "styles concepts dim"], taxonomy: pd.DataFrame, weights: Float[np.ndarray, "draws concepts"]
) -> dict[str, Estimate]:
    """Return the mean distance, 1 - Pearson averaged over styles, of pairs in each relation of a taxonomy (unit: concept).

    Args:
        features: of the concepts.
        taxonomy: one row a concept, with ``group`` and ``subgroup``.
        weights: of the concepts, from ``resamples``.
    """
    distance = np.mean([dissimilarities(style) for style in features], axis=0)
    subgroup, group = (np.equal.outer(taxonomy[level].to_numpy(), taxonomy[level].to_numpy()) for level in ("subgroup", "group"))
    related = dict(zip(RELATIONS, (subgroup, group & ~subgroup, ~group), strict=True))
    return distances_by_relation(distance, related, weights)


def of_categories(
    features: Float[np.ndarray, "rows dim"], categories: Bool[np.ndarray, "things categories"], weights: Float[np.ndarray, "draws things"]
) -> dict[str, Estimate]:
    """Return the mean standardised distance of things that share a category, and of those that share none (unit: thing).

    A thing may have several categories (as in THINGS); one without any is in no pair.

    Raises:
        HumalignError: features that cannot be compared, or a relation without pairs.
    """
    check_features(features, len(categories))
    shared = categories.astype(np.int64) @ categories.T.astype(np.int64) > 0
    known = np.logical_and.outer(categories.any(1), categories.any(1))
    related = {"same-category": shared, "other-category": known & ~shared}
    return distances_by_relation(dissimilarities(features), related, weights)


def of_classes(
    features: Float[np.ndarray, "rows dim"],
    labels: np.ndarray,
    weights: Float[np.ndarray, "draws images"],
    superclasses: np.ndarray | None = None,
) -> dict[str, Estimate]:
    """Return the mean standardised distance of pictures of one class, of other classes, and (given superclasses) of both kinds of those.

    Returns:
        ``same-class`` and ``other-class``; with superclasses ``same-class``, ``same-superclass`` and ``other-superclass``
        (unit: image).

    Raises:
        HumalignError: features that cannot be compared, fewer than two classes, or a relation without pairs.
    """
    check_features(features, len(labels))
    check_labels(labels)
    same = np.equal.outer(labels, labels)
    related = {"same-class": same, "other-class": ~same}
    if superclasses is not None:
        near = np.equal.outer(superclasses, superclasses)
        related = {"same-class": same, "same-superclass": near & ~same, "other-superclass": ~near}
    return distances_by_relation(dissimilarities(features), related, weights)
