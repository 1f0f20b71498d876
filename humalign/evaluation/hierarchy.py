"""How distances follow categories: near within one, far beyond it, and how alignment changes that."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Real
from scipy.linalg import orthogonal_procrustes
from scipy.stats import binomtest

from humalign.errors import HumalignError
from humalign.evaluation.checks import check_features
from humalign.evaluation.correlation import Ranked, over_pairs, spearman
from humalign.evaluation.rsa import Matrix, Weights, dissimilarities
from humalign.evaluation.scores import Estimate

RELATIONS = ("same-subgroup", "same-group", "different-group")
# Steps between two nouns of WordNet: the fewest, and one more than the most.
PATHS = {"path 0-5": (0, 6), "path 6-9": (6, 10), "path 10-13": (10, 14), "path 14+": (14, np.inf)}
Rows = Real[np.ndarray, "rows dim"]
# Which pairs stand in each relation, by its name.
Related = dict[str, Bool[np.ndarray, "n n"]]


# ---- relations ---------------------------------------------------------------------------------------------


def by_taxonomy(taxonomy: pd.DataFrame) -> Related:
    """Return the relations of concepts with a ``group`` and a ``subgroup``."""
    levels = (taxonomy[level].to_numpy() for level in ("subgroup", "group"))
    subgroup, group = (np.equal.outer(level, level) for level in levels)
    return dict(zip(RELATIONS, (subgroup, group & ~subgroup, ~group), strict=True))


def by_categories(categories: Bool[np.ndarray, "things categories"]) -> Related:
    """Return which things share a category and which share none; one without any is in no pair."""
    shared = categories.astype(np.int64) @ categories.T.astype(np.int64) > 0
    known = np.logical_and.outer(categories.any(1), categories.any(1))
    return {"same-category": shared, "other-category": known & ~shared}


def by_classes(labels: np.ndarray, superclasses: np.ndarray | None = None) -> Related:
    """Return which pictures are of one class and of other ones; with superclasses, of both kinds of those."""
    same = np.equal.outer(labels, labels)
    if superclasses is None:
        return {"same-class": same, "other-class": ~same}
    near = np.equal.outer(superclasses, superclasses)
    return {"same-class": same, "same-superclass": near & ~same, "other-superclass": ~near}


def by_paths(steps: Matrix) -> Related:
    """Return which things are so many steps apart, by the names of ``PATHS``."""
    return {name: (first <= steps) & (steps < last) for name, (first, last) in PATHS.items()}


# ---- distances by relation ---------------------------------------------------------------------------------


def standardised(distance: Matrix, related: Related) -> Matrix:
    """Return distances in standard deviations from the mean of all related pairs.

    Raises:
        HumalignError: no pair stands in a relation, or all distances are equal.
    """
    i, j = np.triu_indices(len(distance), k=1)
    pairs = distance[i, j][np.any([relation[i, j] for relation in related.values()], axis=0)]
    # What is left of equal distances is rounding.
    if not pairs.size or not pairs.std() > 1e-9 * np.abs(pairs).max():
        seen = "distances that are all equal, or not finite"
        raise HumalignError(f"{seen}: does the model tell anything apart?")
    return np.asarray((distance - pairs.mean()) / pairs.std())


def distances_by_relation(distance: Matrix, related: Related, weights: Weights) -> dict[str, Estimate]:
    """Return the mean standardised distance of pairs in each relation (unit: the thing, not the pair).

    Standardising makes models of different spread comparable. With the same weights, estimates after and
    before alignment subtract to a paired change. Of each relation, only what is above the diagonal is read.

    Raises:
        HumalignError: no pair stands in a relation, or all distances are equal.
    """
    standard, estimates = standardised(distance, related), {}
    for name, relation in related.items():
        rows = np.triu(relation, k=1)
        if not rows.any():
            raise HumalignError(f"no pair is {name}: give more pictures of each category")
        total, weight = (over_pairs(matrix, weights) for matrix in (standard * rows, rows.astype(float)))
        estimates[name] = Estimate.of(total / weight, int(rows.sum()))
    return estimates


def changes(before: Matrix, after: Matrix, related: Related) -> Matrix:
    """Return how far the standardised distance of every two things has changed."""
    return standardised(after, related) - standardised(before, related)


def permuted(change: Matrix, related: Related, draws: int, rng: np.random.Generator) -> dict[str, Estimate]:
    """Return the mean change of pairs in each relation; its draws are the same with the things permuted.

    Under the null hypothesis the relations of a thing say nothing of how its distances change: every order of
    the things is then as likely. Things are permuted and not pairs, for pairs that share a thing depend on
    each other; things in no pair keep their place. The draws lie about zero, the mean of all ``changes``.

    Source: Mantel (1967), The detection of disease clustering and a generalized regression approach.
    """
    known = np.flatnonzero(np.any(list(related.values()), axis=0).any(1))
    inside, among = change[np.ix_(known, known)], [each[np.ix_(known, known)] for each in related.values()]
    pairs = np.array([np.triu(relation, k=1).ravel() for relation in among], dtype=float)
    orders = [np.arange(len(known)), *(rng.permutation(len(known)) for _ in range(draws))]
    means = np.array([pairs @ inside[order][:, order].ravel() for order in orders]) / pairs.sum(1)
    counts = pairs.sum(1).astype(int).tolist()
    return {name: Estimate.of(each, n) for name, each, n in zip(related, means.T, counts, strict=True)}


def permutation_p(found: Estimate) -> tuple[float, float, float]:
    """Return the two-sided p of a mean whose draws are permutations, and an interval of it.

    p = (1 + draws at least as far from zero) / (1 + draws). The interval, of 95 %, is of the share of all
    permutations that are at least as far from zero.
    """
    # A permutation that changes nothing gives the same mean but for rounding.
    exceed = int((np.abs(found.draws) >= abs(found.value) * (1 - 1e-9)).sum())
    interval = binomtest(exceed, len(found.draws)).proportion_ci()
    return (1 + exceed) / (1 + len(found.draws)), float(interval.low), float(interval.high)


def over_styles(features: Real[np.ndarray, "styles concepts dim"]) -> Float[np.ndarray, "concepts concepts"]:
    """Return the distances of concepts, 1 - Pearson averaged over styles."""
    return np.asarray(np.mean([dissimilarities(style) for style in features], axis=0))


def of_relations(features: Rows, related: Related, weights: Weights) -> dict[str, Estimate]:
    """Return the mean standardised distance, 1 - Pearson, of things in each relation (unit: thing).

    Raises:
        HumalignError: features that cannot be compared, or a relation without pairs.
    """
    check_features(features, weights.shape[1])
    return distances_by_relation(dissimilarities(features), related, weights)


# ---- WordNet -----------------------------------------------------------------------------------------------


def of_paths(features: Rows, steps: Matrix, weights: Weights) -> dict[str, Estimate]:
    """Return how distances follow the steps (``wordnet.path_lengths``) between things (unit: thing).

    Returns:
        ``path-spearman``, the rank correlation of distances with steps, and by the names of ``PATHS`` the
        mean standardised distance of things that are so many steps apart.

    Raises:
        HumalignError: features that cannot be compared, steps that are not finite, or none of some range.
    """
    check_features(features, len(steps))
    if not np.isfinite(steps).all():
        mend = "leave out those that are not in the hierarchy"
        raise HumalignError(f"things between which no path is known: {mend}")
    distance = dissimilarities(features)
    i, j = np.triu_indices(len(steps), k=1)
    drawn = spearman(Ranked(distance[i, j]), Ranked(steps[i, j]), (w[i] * w[j] for w in weights))
    found = distances_by_relation(distance, by_paths(steps), weights)
    return {"path-spearman": Estimate.of(drawn, len(steps))} | found


# ---- a map -------------------------------------------------------------------------------------------------


def maps(
    stages: dict[str, Real[np.ndarray, "things dim"]],
    categories: Bool[np.ndarray, "things categories"],
    weights: Float[np.ndarray, "draws things"],
) -> dict[str, list[tuple[Estimate, Estimate]]]:
    """Return where each category stands in the plane at each stage, as (x, y), near like ones (unit: thing).

    The distance of two categories is the mean distance of their things, less the mean within the two.
    Pearson's distance is a squared one of standardised features, so that is the squared distance of the
    categories' centres. Classical scaling keeps its two widest directions. A plane has no upright: every map
    of a stage and draw is turned, and mirrored if need be, so that its categories come as near as they can to
    their places at the first stage. A draw without a thing of some category is left out.

    Raises:
        HumalignError: features that cannot be compared, or a category without two things.
    """
    member = categories.astype(float)
    if (member.sum(0) < 2).any():
        raise HumalignError("a category with fewer than two things has no place on a map: leave it out")
    placed: dict[str, Float[np.ndarray, "draws categories 2"]] = {}
    for stage, features in stages.items():
        check_features(features, len(categories))
        distance = dissimilarities(features)
        distance /= distance.std()
        reference = next(iter(placed.values()))[0] if placed else _plane(distance, member)
        placed[stage] = np.full((len(weights), *reference.shape), np.nan)
        for draw in np.flatnonzero((weights @ member).all(1)):
            found = _plane(distance, member * weights[draw][:, None])
            placed[stage][draw] = found @ orthogonal_procrustes(found, reference)[0]
    things = categories.sum(0).tolist()
    return {
        stage: [(Estimate.of(x, n), Estimate.of(y, n)) for x, y, n in zip(*found.T, things, strict=True)]
        for stage, found in placed.items()
    }


def _plane(distance: Matrix, member: Real[np.ndarray, "n categories"]) -> Real[np.ndarray, "categories 2"]:
    """Return the two widest coordinates of the categories by classical scaling (Torgerson, 1952)."""
    share = member / member.sum(0)
    between = share.T @ distance @ share
    apart = between - (np.diag(between)[:, None] + np.diag(between)) / 2
    centre = np.eye(len(apart)) - 1 / len(apart)
    values, vectors = (part[..., :-3:-1] for part in np.linalg.eigh(-0.5 * centre @ apart @ centre))
    # The side on which the farthest category lies is the library's choice: let it be the positive one.
    sides = np.sign(vectors[np.abs(vectors).argmax(0), [0, 1]])
    return np.asarray(sides * vectors * np.sqrt(np.maximum(values, 0)))
