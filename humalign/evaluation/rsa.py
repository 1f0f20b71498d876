"""Representational similarity analysis: do two spaces order all pairs of things alike?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Real
from scipy.stats import rankdata

from humalign.data.judgments import floats
from humalign.errors import HumalignError
from humalign.evaluation.correlation import Ranked, midranks, spearman, weighted_pearson
from humalign.evaluation.scores import Estimate

CEILINGS = ("lower", "upper")
SIMILAR, APART = "similarities", "dissimilarities"

Matrix = Real[np.ndarray, "n n"]
People = Real[np.ndarray, "people n n"]
Pairs = Float[np.ndarray, " pairs"]
Draws = Float[np.ndarray, " draws"]
Weights = Float[np.ndarray, "draws n"]
PeopleWeights = Float[np.ndarray, "draws people"]


def dissimilarities(features: Real[np.ndarray, "n dim"]) -> Matrix:
    """Return 1 - Pearson's correlation between the features of every two concepts; see ``correlations``."""
    return 1 - correlations(features)


def correlations(features: Real[np.ndarray, "n dim"]) -> Matrix:
    """Return Pearson's correlation between the features of every two concepts.

    Raises:
        HumalignError: features that are not finite, or the same in every dimension.
    """
    features = np.asarray(floats(features), dtype=float)
    faulty = np.flatnonzero(~np.isfinite(features).all(1) | (np.ptp(features, axis=1) == 0))
    if len(faulty):
        seen = f"features of row {faulty[0]} hold NaN or infinity, or one value only"
        raise HumalignError(f"{seen}: they have no correlation")
    return np.corrcoef(features)


def agreement(features: Real[np.ndarray, "styles n dim"], judged: Matrix, weights: Weights) -> Estimate:
    """Return Spearman's correlation of a model's dissimilarities, averaged over styles, with judged ones.

    Upper triangles, average ranks; unit: concept. A pair of two copies of one concept is left out.
    Source: gLocal's protocol for similarity judgments.

    Raises:
        HumalignError: features or judgments that have no correlation, or are of different things.
    """
    if features.shape[1:2] != (of := np.shape(judged)[:1]):
        of_how_many = f"features of {features.shape[1]} concepts, judgments of {of[0] if of else 'none'}"
        raise HumalignError(f"{of_how_many}: both must be of the same things")
    pairs_of("the judged matrix", judged)
    if kind(judged) == SIMILAR:
        mend = "give dissimilarities, such as 1 - similarities"
        raise HumalignError(f"the judged matrix has its largest values on the diagonal: {mend}")
    model = np.mean([dissimilarities(style) for style in features], axis=0)
    return Estimate.of(matrix_agreement(model, judged, weights), len(judged))


def matrix_agreement(model: Matrix, judged: Matrix, weights: Weights) -> Draws:
    """Return Spearman's correlation of two matrices, upper triangles, under each row of weights."""
    x, y = pairs_of("the model's matrix", model, len(judged)), pairs_of("the judged matrix", judged)
    return spearman(Ranked(x), Ranked(y), _drawn(weights, len(judged)))


def matrices(
    model: Real[np.ndarray, "m m"], judged: Matrix, weights: Weights
) -> dict[str, Estimate]:
    """Return Pearson's and Spearman's correlation of two matrices of one kind (unit: thing).

    For a matrix of all people together, as that of the 48 THINGS objects, and for two models.

    Raises:
        HumalignError: matrices of other things, of two kinds, or one that is not finite or constant.
    """
    if np.shape(model) != np.shape(judged):
        seen = f"matrices of shape {np.shape(model)} and {np.shape(judged)}"
        raise HumalignError(f"{seen}: both must be of the same things, row by row")
    x, y = pairs_of("the model's matrix", model), pairs_of("the judged matrix", judged)
    if {kind(model), kind(judged)} == {SIMILAR, APART}:
        seen = "one matrix is of similarities, the other of dissimilarities, as their diagonals tell"
        raise HumalignError(f"{seen}: take 1 - one of them")
    pearson = np.array([weighted_pearson(x, y, w) for w in _drawn(weights, len(judged))])
    return {
        "pearson": Estimate.of(pearson, len(judged)),
        "spearman": Estimate.of(matrix_agreement(model, judged, weights), len(judged)),
    }


def kind(matrix: Any) -> str:
    """Tell by its diagonal whether a matrix is of similarities or dissimilarities; nothing if by neither."""
    matrix = np.asarray(floats(matrix, "matrix"))
    own, others = np.diag(matrix), matrix[~np.eye(len(matrix), dtype=bool)]
    return SIMILAR if (own > others.max()).all() else APART if (own < others.min()).all() else ""


def pairs_of(name: str, matrix: Any, things: int | None = None) -> Pairs:
    """Return the pairs above the diagonal of a matrix, row by row.

    Raises:
        HumalignError: a constant matrix, or one not square, symmetric, finite off its diagonal or of so many.
    """
    matrix = np.asarray(floats(matrix, name), dtype=float)
    if matrix.ndim != 2 or matrix.shape != (things or len(matrix),) * 2:
        mend = "scipy.spatial.distance.squareform makes one of a list of pairs"
        wanted = f"a square one, of {things or 'the same'} things"
        raise HumalignError(f"{name} has shape {matrix.shape}: expected {wanted}; {mend}")
    i, j = np.triu_indices(len(matrix), k=1)
    values, mirrored = matrix[i, j], matrix[j, i]
    rounding = 1e-5 * np.nan_to_num(np.abs(values)).max(initial=0)
    if not np.allclose(values, mirrored, atol=rounding, equal_nan=True):
        at = int(np.nan_to_num(np.abs(values - mirrored), nan=np.inf).argmax())
        seen = f"{values[at]:g} for things {i[at]} and {j[at]}, {mirrored[at]:g} the other way round"
        raise HumalignError(f"{name} is not symmetric, {seen}: give both halves, such as (m + m.T) / 2")
    if not values.size:
        raise HumalignError(f"{name} is of {len(matrix)} things: give three or more")
    if not np.isfinite(values).all() or np.ptp(values) == 0:
        raise HumalignError(f"{name} holds NaN or infinity, or one value only: it has no correlation")
    return values


# ---- several people ----------------------------------------------------------------------------------------


def choice_dissimilarities(similarity: Matrix) -> Matrix:
    """Return 1 - the chance that two things are kept together, over every third thing beside them.

    The chance is a softmax of three similarities: what an experiment that asks for every triplet would show,
    so that an embedding can be compared with its matrix. Source: Hebart, Zheng, Pereira, Baker (2020).
    """
    n, similarity = len(similarity), np.asarray(floats(similarity, "similarities"), dtype=float)
    if n < 3 or similarity.shape != (n, n) or not np.isfinite(similarity).all():
        seen = f"similarities of shape {similarity.shape}, or not finite"
        raise HumalignError(f"{seen}: expected a square matrix of three things or more")
    total = np.zeros((n, n))
    for k in range(n):
        with_third = np.tile(similarity[:, [k]], n), np.tile(similarity[[k]], (n, 1))
        beside = np.logaddexp.reduce([similarity, *with_third], axis=0)
        chance = np.exp(similarity - beside)
        chance[k] = chance[:, k] = 0
        total += chance
    found = 1 - total / (n - 2)
    np.fill_diagonal(found, 0)
    return found


def with_people(
    models: dict[str, Matrix],
    people: People,
    things_weights: Weights,
    people_weights: PeopleWeights,
    ceilings: bool = True,
) -> dict[str, Estimate]:
    """Return how well models, and people, order pairs as single people do (units: thing and person).

    A model's number is the mean over people of its Spearman's correlation with each one's own
    dissimilarities. ``lower`` and ``upper`` are the ceilings of any such model, and most of the work: each
    person against the mean of the others, and against that of everybody. All are taken on the same draws of
    things and people: differences are paired. The mean over single people is linear in the people drawn:
    repetition shifts no number, as it shifts that of a mean matrix. Matrices are ranked before they are
    averaged, which gives the greatest mean (Nili et al., 2014, A toolbox for RSA).

    Raises:
        HumalignError: a matrix that is not finite or constant, or of other things.
    """
    alone = each_person(models, people, things_weights)
    once = each_person(models, people, np.ones((1, people.shape[1])))
    drawn, everybody = np.asarray(people_weights, dtype=float), np.ones((len(people_weights), len(people)))
    # Things and people drawn together, things alone, people alone.
    kinds = {n: [_mean(c, drawn), _mean(c, everybody), _mean(once[n][0], drawn)] for n, c in alone.items()}
    if ceilings:
        kinds |= _bounds(people, things_weights, drawn)
    return {name: Estimate.of(both, len(people), *one_way) for name, (both, *one_way) in kinds.items()}


def each_person(
    models: dict[str, Matrix], people: People, things_weights: Weights
) -> dict[str, PeopleWeights]:
    """Return each model's Spearman's correlation with each person's matrix, under each row of weights."""
    own, things = _own(people), people.shape[1]
    of_models = [pairs_of(f"the matrix of {name}", matrix, things) for name, matrix in models.items()]
    ranked = [Ranked(each) for each in (*of_models, *own)]
    found = np.empty((len(models), len(things_weights), len(people)))
    for draw, pairs in enumerate(_drawn(things_weights, things)):
        some = np.flatnonzero(pairs)
        rows = _standard(np.stack([each.midranks(pairs)[some] for each in ranked]), pairs[some])
        found[:, draw] = rows[: len(models)] @ rows[len(models) :].T
    return dict(zip(models, found, strict=True))


def _own(people: People) -> Float[np.ndarray, "people pairs"]:
    """Return the ranks of each person's pairs."""
    return np.stack([rankdata(pairs_of(f"the matrix of person {p}", one)) for p, one in enumerate(people)])


def _drawn(things_weights: Weights, things: int) -> Iterator[Pairs]:
    """Yield how often each pair is drawn."""
    if things_weights.shape[1] != things:
        mend = f"make them by resamples({things}, draws, seed)"
        raise HumalignError(f"weights of {things_weights.shape[1]} things for {things}: {mend}")
    i, j = np.triu_indices(things, k=1)
    yield from ((weights[i] * weights[j]).astype(float) for weights in things_weights)


def _standard(rows: Float[np.ndarray, "rows pairs"], pairs: Pairs) -> Float[np.ndarray, "rows pairs"]:
    """Return rows whose dot products are correlations of weighted pairs; NaN where a row is constant."""
    rows = (rows - rows @ pairs[:, None] / pairs.sum()) * np.sqrt(pairs)
    length = np.sqrt((rows**2).sum(1, keepdims=True))
    return np.divide(rows, length, out=np.full_like(rows, np.nan), where=length > 0)


def _mean(found: Float[np.ndarray, "*draws people"], times: PeopleWeights) -> Draws:
    """Return the mean over the people who are drawn and have a correlation; NaN where none has."""
    counted = times * np.isfinite(found)
    total, mean = counted.sum(1), np.full(len(times), np.nan)
    return np.divide((counted * np.nan_to_num(found)).sum(1), total, out=mean, where=total > 0)


def _bounds(people: People, things_weights: Weights, people_weights: PeopleWeights) -> dict[str, list[Draws]]:
    """Return both ceilings: things and people drawn together, things alone, people alone."""
    own = _own(people)
    ranked, once, everybody = [Ranked(one) for one in own], np.ones(own.shape[1]), np.ones(len(people))
    everything = np.stack([each.midranks(once) for each in ranked])
    found = np.empty((2, 3, len(things_weights)))
    both = zip(_drawn(things_weights, people.shape[1]), people_weights, strict=True)
    for draw, (drawn, times) in enumerate(both):
        # Pairs that are not drawn have no rank and no weight.
        some = np.flatnonzero(drawn)
        ranks, pairs = np.stack([each.midranks(drawn)[some] for each in ranked]), drawn[some]
        kinds = ((ranks, pairs, times), (ranks, pairs, everybody), (everything, once, times))
        found[..., draw] = np.transpose([_of_draw(*kind) for kind in kinds])
    return {name: list(each) for name, each in zip(CEILINGS, found, strict=True)}


def _of_draw(
    ranks: Float[np.ndarray, "people pairs"], pairs: Pairs, times: Float[np.ndarray, " people"]
) -> tuple[float, float]:
    """Return the mean correlation of a draw's people with the mean of the others, and with that of everybody.

    For the lower bound we drop every bootstrap copy of the person. For the upper bound we count the person
    once: all who were drawn once are compared with the same mean.
    """
    total, once = times @ ranks, times == 1
    several = np.flatnonzero(times > 1)
    who = np.flatnonzero(times)
    means = [total, *(total + (1 - times[q]) * ranks[q] for q in several)]
    means += [total - times[q] * ranks[q] for q in who] if len(who) > 1 else []
    rows = _standard(midranks(np.stack(means), pairs), pairs)
    own, upper, lower = _standard(ranks, pairs), np.full(len(times), np.nan), np.full(len(times), np.nan)
    upper[once] = own[once] @ rows[0]
    upper[several] = (own[several] * rows[1 : 1 + len(several)]).sum(1)
    if len(who) > 1:
        lower[who] = (own[who] * rows[1 + len(several) :]).sum(1)
    return float(_mean(lower[None], times[None])[0]), float(_mean(upper[None], times[None])[0])
