"""Representational similarity analysis: do two spaces order all pairs of things alike?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real
from scipy.stats import rankdata

from humalign.data.judgments import floats
from humalign.errors import HumalignError
from humalign.evaluation.correlation import Ranked, spearman, weighted_pearson
from humalign.evaluation.scores import Estimate

CEILINGS = ("lower", "upper")


def dissimilarities(features: Real[np.ndarray, "concepts dim"]) -> Float[np.ndarray, "concepts concepts"]:
    """Return 1 - Pearson's correlation between the features of every two concepts; see ``correlations``."""
    return 1 - correlations(features)


def correlations(features: Real[np.ndarray, "concepts dim"]) -> Float[np.ndarray, "concepts concepts"]:
    """Return Pearson's correlation between the features of every two concepts.

    Raises:
        HumalignError: features that are not finite, or the same in every dimension: neither has a correlation.
    """
    features = np.asarray(floats(features), dtype=float)
    faulty = np.flatnonzero(~np.isfinite(features).all(1) | (np.ptp(features, axis=1) == 0))
    if len(faulty):
        raise HumalignError(f"features of row {faulty[0]} hold NaN or infinity, or one value only: they have no correlation")
    return np.corrcoef(features)


def agreement(
    features: Real[np.ndarray, "styles concepts dim"],
    judged: Real[np.ndarray, "concepts concepts"],
    weights: Float[np.ndarray, "draws concepts"],
) -> Estimate:
    """Return Spearman's correlation of a model's dissimilarities, averaged over styles, with judged ones.

    Upper triangles, average ranks; unit: concept. A pair of two copies of one concept is no pair and is left out.
    Source: gLocal's protocol for similarity judgments.

    Raises:
        HumalignError: features or judgments that have no correlation, or are of different things.
    """
    if features.shape[1] != len(judged):
        raise HumalignError(f"features of {features.shape[1]} concepts, judgments of {len(judged)}: both must be of the same things")
    i, j = np.triu_indices(len(judged), k=1)
    model = np.mean([dissimilarities(style)[i, j] for style in features], axis=0)
    pairs = (w[i] * w[j] for w in weights)
    return Estimate.of(spearman(Ranked(model), Ranked(_pairs("the judged matrix", judged[i, j])), pairs), len(judged))


def matrices(
    model: Real[np.ndarray, "m m"], judged: Real[np.ndarray, "n n"], weights: Float[np.ndarray, "draws n"]
) -> dict[str, Estimate]:
    """Return Pearson's and Spearman's correlation of two matrices, both of similarities or both of dissimilarities (unit: thing).

    For a matrix of all people together, as that of the 48 THINGS objects, and for two models.

    Raises:
        HumalignError: matrices of other things, or one that is not finite or constant.
    """
    if model.shape != judged.shape or model.shape[0] != model.shape[1]:
        raise HumalignError(f"matrices of shape {model.shape} and {judged.shape}: both must be of the same things, row by row")
    i, j = np.triu_indices(len(judged), k=1)
    x, y = _pairs("the model's matrix", model[i, j]), _pairs("the judged matrix", judged[i, j])
    ranked = Ranked(x), Ranked(y)
    drawn = [w[i] * w[j] for w in np.asarray(weights, dtype=float)]
    return {
        "pearson": Estimate.of(np.array([weighted_pearson(x, y, w) for w in drawn]), len(judged)),
        "spearman": Estimate.of(spearman(*ranked, drawn), len(judged)),
    }


def _pairs(name: str, values: Real[np.ndarray, " pairs"]) -> Float[np.ndarray, " pairs"]:
    values = floats(values, name)
    if not np.isfinite(values).all() or np.ptp(values) == 0:
        raise HumalignError(f"{name} holds NaN or infinity, or one value only: it has no correlation")
    return values.astype(float)


# ---- several people --------------------------------------------------------------------------------------------------


def choice_dissimilarities(similarity: Real[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Return 1 - the chance that two things are kept together, over every third thing that may stand beside them.

    The chance is a softmax of the three similarities: what a triplet experiment that asks for every triplet would show, so that an
    embedding can be compared with its matrix. Source: Hebart, Zheng, Pereira, Baker (2020).
    """
    n, similarity = len(similarity), np.asarray(floats(similarity, "similarities"), dtype=float)
    if n < 3 or similarity.shape != (n, n) or not np.isfinite(similarity).all():
        raise HumalignError(f"similarities of shape {similarity.shape}, or not finite: expected a square matrix of three things or more")
    total = np.zeros((n, n))
    for k in range(n):
        beside = np.logaddexp.reduce([similarity, np.tile(similarity[:, [k]], n), np.tile(similarity[[k]], (n, 1))], axis=0)
        chance = np.exp(similarity - beside)
        chance[k] = chance[:, k] = 0
        total += chance
    found = 1 - total / (n - 2)
    np.fill_diagonal(found, 0)
    return found


def with_people(
    models: dict[str, Real[np.ndarray, "n n"]],
    people: Real[np.ndarray, "people n n"],
    things_weights: Float[np.ndarray, "draws n"],
    people_weights: Float[np.ndarray, "draws people"],
    ceilings: bool = True,
) -> dict[str, Estimate]:
    """Return how well models, and people among themselves, order the pairs as single people do: mean Spearman's correlations.

    A model's number is the mean over people of its correlation with each one's own matrix, and the ceilings are those of any such
    model: below, each person against the mean of the others; above, against the mean of everybody. All are taken on the same draws
    of things and people, so that their differences are paired. The mean over single people is linear in the people who are drawn,
    so that drawing people with repetition shifts no number, as it does that of a mean matrix. Matrices are ranked before they are
    averaged, which gives the greatest mean (Nili et al., 2014, A toolbox for representational similarity analysis).

    Args:
        models: dissimilarities by each model.
        people: dissimilarities by each person.
        things_weights: from ``resamples``.
        people_weights: from ``resamples``, as many draws.
        ceilings: whether to take them too, which is most of the work.

    Returns:
        The name of each model, and of the ceilings ``lower`` and ``upper`` (units: thing and person).

    Raises:
        HumalignError: a matrix that is not finite or constant, or of other things.
    """
    i, j = np.triu_indices(people.shape[1], k=1)
    single = np.stack([rankdata(_pairs(f"the matrix of person {p}", one[i, j])) for p, one in enumerate(people)])
    ranked = {name: Ranked(_pairs(f"the matrix of {name}", matrix[i, j])) for name, matrix in models.items()}
    own = [Ranked(one) for one in single]
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in (*models, *(CEILINGS if ceilings else ()))}

    def ranks(things: Float[np.ndarray, " n"]) -> _Ranks:
        pairs = (things[i] * things[j]).astype(float)
        return _Ranks(pairs, {name: r.midranks(pairs) for name, r in ranked.items()}, [r.midranks(pairs) for r in own])

    everything, everybody = ranks(np.ones(people.shape[1])), np.ones(len(people))
    for w, p in zip(things_weights, np.asarray(people_weights, dtype=float), strict=True):
        drawn = ranks(w)
        kinds = ((drawn, p), (drawn, everybody), (everything, p))
        each = [dict(_correlations(of, times, ceilings)) for of, times in kinds]
        for name, found in rows.items():
            found.append(tuple(scores[name] for scores in each))
    return {name: Estimate.of(together, len(people), *alone) for name, (together, *alone) in ((n, np.array(v).T) for n, v in rows.items())}


class _Ranks(NamedTuple):
    """Mid-ranks of all pairs in one draw of things, and how often each pair is drawn."""

    pairs: Float[np.ndarray, " pairs"]
    models: dict[str, Float[np.ndarray, " pairs"]]
    people: list[Float[np.ndarray, " pairs"]]


def _correlations(ranks: _Ranks, times: Float[np.ndarray, " people"], ceilings: bool) -> Iterator[tuple[str, float]]:
    """Yield each model's mean correlation with the people of one draw, and the two ceilings."""
    pairs, people = ranks.pairs, {q: ranks.people[q] for q in np.flatnonzero(times).tolist()}

    def mean(values: dict[int, float]) -> float:
        known = {q: v for q, v in values.items() if np.isfinite(v)}
        return float(sum(times[q] * v for q, v in known.items()) / sum(times[q] for q in known)) if known else np.nan

    def correlation(x: np.ndarray, y: np.ndarray) -> float:
        # Ranks of an average are ranks among the drawn pairs, copies counted.
        return weighted_pearson(Ranked(x).midranks(pairs), y, pairs)

    for name, model in ranks.models.items():
        yield name, mean({q: weighted_pearson(model, own, pairs) for q, own in people.items()})
    if not ceilings:
        return
    total = sum(times[q] * own for q, own in people.items())
    # For the lower bound we drop every bootstrap copy of the person. For the upper bound we count the person once.
    others = {q: total - times[q] * own for q, own in people.items()}
    yield "lower", mean({q: correlation(others[q], own) for q, own in people.items()}) if len(people) > 1 else np.nan
    yield "upper", mean({q: correlation(others[q] + own, own) for q, own in people.items()})
