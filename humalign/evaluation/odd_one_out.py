"""Zero-shot odd-one-out: does a model keep the same pair together as the observers, and is it unsure where they are?"""

from __future__ import annotations

import zlib

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Integer, Real
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from humalign.data.judgments import (
    ByObject,
    Choices,
    Triplets,
    agreement,
    check_triplets,
    cosine_similarities,
    entropy,
    floats,
    number,
    random_triplets,
    whole,
)
from humalign.errors import HumalignError, expect, nearest, real
from humalign.evaluation.correlation import spearman_parts
from humalign.evaluation.scores import Estimate, few

LEVELS = ("global-coarse", "local-fine", "class-boundary")
# Triplets whose own parts are drawn at a time: memory for so many times the draws.
CHUNK = 8192


def triplet_mean(
    values: Real[np.ndarray, " n"], triplets: Triplets, weights: Float[np.ndarray, "draws concepts"]
) -> Estimate:
    """Return the mean of a value of triplets, as it would be for other concepts and other triplets of them (unit: concept).

    The model is y_t - mean = Σ (effects of the triplet's three concepts) + (the triplet's own residual). A bootstrap that draws a triplet
    as often as its three concepts together would count the residual seven times, and the interval would be twice too wide where answers
    are few. So each draw adds two parts to the mean:

        Σ_concepts (w_c - 1) · s_c · shrinkage  +  Σ_triplets (y_t - mean) / n · N(0, 1) ,

    where w_c is how often the concept is drawn and s_c the sum of (y_t - mean) / n over its triplets, shrunk by the residual variance
    that is in it. Models that are scored on the same triplets with the same weights share the normal numbers, so that their differences
    stay paired. Where concepts are few, their variance is itself uncertain: draws are widened with Student's t, at Satterthwaite's (1946)
    degrees of freedom.
    Source: the first term of Hoeffding's (1948) decomposition; `benchmarks/coverage.py` measures how often the interval holds the truth.
    """
    return Estimate.of(triplet_means(np.asarray(values)[None], triplets, weights)[0], len(values))


def triplet_means(
    values: Real[np.ndarray, "several n"], triplets: Triplets, weights: Float[np.ndarray, "draws concepts"]
) -> Float[np.ndarray, "several draws"]:
    """Return the means of several values of the same triplets, as they vary together from draw to draw (see ``triplet_mean``)."""
    values, triplets = floats(values, "values of triplets"), check_triplets(triplets, weights.shape[1])
    if values.shape[1] != len(triplets) or not np.isfinite(values).all():
        raise HumalignError(f"{values.shape[1]} values for {len(triplets)} triplets, or not finite: give one a triplet")
    rng = np.random.default_rng([zlib.crc32(triplets.tobytes()), zlib.crc32(weights.tobytes())])
    apart = (values - values.mean(1, keepdims=True)) / values.shape[1]
    parts = [_of_concepts(each, triplets, weights) for each in apart]
    drawn = np.stack([draws for draws, _ in parts])
    for start in range(0, values.shape[1], CHUNK):
        rows = apart[:, start : start + CHUNK]
        drawn[:, 1:] += rows @ rng.standard_normal((len(weights) - 1, rows.shape[1]), dtype=np.float32).T
    return values.mean(1, keepdims=True) + drawn * np.array([[wider] for _, wider in parts])


def _of_concepts(
    apart: Float[np.ndarray, " n"], triplets: Int[np.ndarray, "n 3"], weights: Float[np.ndarray, "draws concepts"]
) -> tuple[Float[np.ndarray, " draws"], float]:
    """Return the part of each draw that is due to its concepts, and the factor of Student's t by which all draws are widened."""
    concepts = weights.shape[1]
    sums = np.sum([np.bincount(column, weights=apart, minlength=concepts) for column in triplets.T], axis=0)
    alone, together = float((apart**2).sum()), float((sums**2).sum())
    # Each triplet's residual enters three concept sums, so subtract 3σ² (σ² = `alone`). Centring shrinks a concept's effect; `short`
    # corrects for it.
    n = len(np.unique(triplets))
    short = (n - 1) / max(n - 3, 1) * np.sqrt(n / (n - 1))
    if together == 0:
        return np.zeros(len(weights)), 1.0
    shared = short**2 * max(0.0, together - 3 * alone)
    # The standard error of the concepts' variance, but no more than the variance itself.
    unsure = min(shared, short**2 * together * np.sqrt(2 / (n - 1)))
    freedom = 2 * ((shared + alone) / unsure) ** 2 if unsure else np.inf
    return np.asarray(np.sqrt(shared / together) * ((weights - 1) @ sums)), few(freedom)


def accuracy(
    features: Real[np.ndarray, "styles concepts dim"], choices: Choices, weights: Float[np.ndarray, "draws concepts"]
) -> Estimate:
    """Return odd-one-out accuracy against the observers' answers (unit: concept)."""
    expect("choices", choices, Choices, "Choices(triplets, counts)")
    if not len(features):
        raise HumalignError("features of no style: give (styles, concepts, dim), such as features[None]")
    chosen = [agreement(cosine_similarities(style, choices.triplets), choices.shares) for style in features]
    return triplet_mean(np.mean(chosen, axis=0), choices.triplets, weights)


def noise_ceiling(choices: Choices, weights: Float[np.ndarray, "draws concepts"]) -> Estimate:
    """Return the mean share of the majority answer on repeated triplets (unit: concept)."""
    return triplet_mean(choices.shares.max(1), choices.triplets, weights)


def level_triplets(
    level: str, taxonomy: pd.DataFrame, concepts: Integer[np.ndarray, " m"], n: int, rng: np.random.Generator
) -> Int[np.ndarray, "n 3"]:
    """Draw triplets at one level of abstraction, the subgroup in the place of the paper's class.

    ``global-coarse``: three subgroups; ``local-fine``: three concepts of one; ``class-boundary``: two of one, the
    third of another. The first concept is uniform over those that have the mates they need, then its mates over those.
    """
    if level not in LEVELS:
        raise HumalignError(f"unknown level {level!r}: {nearest(level, LEVELS)}")
    n, concepts = number("n", n), whole(concepts, "concepts")
    subgroup = pd.factorize(taxonomy["subgroup"])[0]
    if level == "global-coarse":
        drawn = np.empty((0, 3), dtype=int)
        while len(set(subgroup[concepts])) > 2 and len(drawn) < n:
            more = random_triplets(concepts, 4 * n, rng)
            a, b, c = subgroup[more].T
            drawn = np.concatenate([drawn, more[(a != b) & (a != c) & (b != c)]])[:n]
    else:
        mates = 3 if level == "local-fine" else 2
        same = {s: concepts[subgroup[concepts] == s] for s in set(subgroup[concepts])}
        other = {s: concepts[subgroup[concepts] != s] for s in same}
        starts = [c for c in concepts if len(same[subgroup[c]]) >= mates and len(other[subgroup[c]])]
        rows = []
        for first in rng.choice(starts, n).tolist() if starts else ():
            beside, others = same[subgroup[first]], other[subgroup[first]]
            row = [first, *rng.permutation(beside[beside != first])[: mates - 1].tolist()]
            rows.append(row if mates == 3 else [*row, int(rng.choice(others))])
        drawn = np.array(rows)
    if len(drawn) < n:
        raise HumalignError(f"too few concepts for {n} {level} triplets: {len(concepts)} in {len(set(subgroup[concepts]))} subgroups")
    return drawn


def log_probabilities(
    features: Real[np.ndarray, "styles concepts dim"], choices: Choices, temperature: float
) -> Float[np.ndarray, "styles n 3"]:
    """Return log choice probabilities from cosines at a temperature.

    Raises:
        HumalignError: a temperature that is not above 0.
    """
    real("temperature", temperature, above=0)
    return np.stack([log_softmax(cosine_similarities(style, choices.triplets) / temperature, axis=1) for style in features])


def fit_temperature(features: Real[np.ndarray, "styles concepts dim"], choices: Choices | ByObject) -> float:
    """Return the temperature at which answers about other concepts than those tested are most likely."""
    cosines, shares = np.stack([cosine_similarities(style, choices.triplets) for style in features]), choices.shares

    def surprise(log_temperature: float) -> float:
        return float(-(shares * log_softmax(cosines / np.exp(log_temperature), axis=-1)).sum(-1).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(-7.0, 3.0), method="bounded").x))


def cross_entropy(
    features: Real[np.ndarray, "styles concepts dim"], choices: Choices, temperature: float, weights: Float[np.ndarray, "draws concepts"]
) -> Estimate:
    """Return the mean surprise of the observers' answers under the model, in nats (unit: concept)."""
    surprise = -(choices.shares * log_probabilities(features, choices, temperature)).sum(-1).mean(0)
    return triplet_mean(surprise, choices.triplets, weights)


def entropy_agreement(
    features: Real[np.ndarray, "styles concepts dim"], choices: Choices, temperature: float, weights: Float[np.ndarray, "draws concepts"]
) -> Estimate:
    """Return Spearman's correlation of the model's choice entropy with the observers', over repeated triplets (unit: concept)."""
    model = np.mean([entropy(np.exp(style)) for style in log_probabilities(features, choices, temperature)], axis=0)
    return entropies_agree(model, choices, weights)


def entropies_agree(model: Real[np.ndarray, " n"], choices: Choices, weights: Float[np.ndarray, "draws concepts"]) -> Estimate:
    """Return Spearman's correlation of a model's entropy of each triplet with the observers' (unit: concept, as in ``triplet_mean``)."""
    value, parts = spearman_parts(model, entropy(choices.shares))
    if np.isnan(value):
        return Estimate(value, np.full(len(weights) - 1, np.nan), len(choices))
    return Estimate(value, value + triplet_mean(parts, choices.triplets, weights).draws, len(choices))
