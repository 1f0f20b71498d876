"""Zero-shot odd-one-out: does a model keep the pairs that observers keep, and is it unsure where they are?"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Integer, Real
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from humalign.data import judgments
from humalign.data.judgments import ByObject, Choices, Triplets, agreement, check_triplets, entropy
from humalign.errors import HumalignError, expect, nearest, number, real
from humalign.evaluation.correlation import spearman_parts
from humalign.evaluation.scores import Estimate, few

Features = Real[np.ndarray, "styles concepts dim"]
Weights = Float[np.ndarray, "draws concepts"]
LEVELS = ("global-coarse", "local-fine", "class-boundary")
# Triplets whose own parts are drawn at a time: memory for so many times the draws.
CHUNK = 8192


def triplet_mean(values: Real[np.ndarray, " n"], triplets: Triplets, weights: Weights) -> Estimate:
    """Return the mean of a value of triplets, about other concepts and other triplets (unit: concept).

    The model is y_t - mean = Σ (effects of the triplet's three concepts) + (the triplet's own residual). A
    bootstrap that draws a triplet as often as its concepts together would count the residual seven times: the
    interval would be twice too wide where answers are few. So each draw adds two parts to the mean:

        Σ_concepts (w_c - 1) · s_c · shrinkage  +  Σ_triplets (y_t - mean) / n · N(0, 1) .

    Here w_c is how often the concept is drawn, and s_c the sum of (y_t - mean) / n over its triplets, shrunk
    by the residual variance in it. Models scored on the same triplets with the same weights share the normal
    numbers: their differences stay paired. Where concepts are few, their variance is itself uncertain: draws
    are widened with Student's t, at Satterthwaite's (1946) degrees of freedom. `benchmarks/coverage.py`
    measures the coverage. Source: the first term of Hoeffding's (1948) decomposition.
    """
    return Estimate.of(triplet_means(np.asarray(values)[None], triplets, weights)[0], len(values))


def triplet_means(
    values: Real[np.ndarray, "several n"], triplets: Triplets, weights: Weights
) -> Float[np.ndarray, "several draws"]:
    """Return the means of several values of the same triplets, drawn together; see ``triplet_mean``."""
    values = judgments.floats(values, "values of triplets")
    triplets = check_triplets(triplets, weights.shape[1])
    if values.shape[1] != len(triplets) or not np.isfinite(values).all():
        seen = f"{values.shape[1]} values for {len(triplets)} triplets, or not finite"
        raise HumalignError(f"{seen}: give one a triplet")
    rng = np.random.default_rng([zlib.crc32(triplets.tobytes()), zlib.crc32(weights.tobytes())])
    apart = (values - values.mean(1, keepdims=True)) / values.shape[1]
    parts = [_of_concepts(each, triplets, weights) for each in apart]
    drawn = np.stack([draws for draws, _ in parts])
    for start in range(0, values.shape[1], CHUNK):
        rows = apart[:, start : start + CHUNK]
        drawn[:, 1:] += rows @ rng.standard_normal((len(weights) - 1, rows.shape[1]), dtype=np.float32).T
    return values.mean(1, keepdims=True) + drawn * np.array([[wider] for _, wider in parts])


def _of_concepts(
    apart: Float[np.ndarray, " n"], triplets: Int[np.ndarray, "n 3"], weights: Weights
) -> tuple[Float[np.ndarray, " draws"], float]:
    """Return the part of each draw that is due to its concepts, and the factor by which draws are widened."""
    concepts = weights.shape[1]
    sums = np.sum([np.bincount(column, weights=apart, minlength=concepts) for column in triplets.T], axis=0)
    alone, together = float((apart**2).sum()), float((sums**2).sum())
    # Each triplet's residual enters three concept sums: we subtract 3σ² (σ² = `alone`). Centring shrinks a
    # concept's effect; `short` corrects for it.
    n = len(np.unique(triplets))
    short = (n - 1) / max(n - 3, 1) * np.sqrt(n / (n - 1))
    if together == 0:
        return np.zeros(len(weights)), 1.0
    shared = short**2 * max(0.0, together - 3 * alone)
    # The standard error of the concepts' variance, but no more than the variance itself.
    unsure = min(shared, short**2 * together * np.sqrt(2 / (n - 1)))
    freedom = 2 * ((shared + alone) / unsure) ** 2 if unsure else np.inf
    return np.asarray(np.sqrt(shared / together) * ((weights - 1) @ sums)), few(freedom)


def accuracy(features: Features, choices: Choices, weights: Weights) -> Estimate:
    """Return odd-one-out accuracy against the observers' answers (unit: concept)."""
    expect("choices", choices, Choices, "Choices(triplets, counts)")
    if not len(features):
        raise HumalignError("features of no style: give (styles, concepts, dim), such as features[None]")
    chosen = [agreement(cosines, choices.shares) for cosines in _cosines(features, choices)]
    return triplet_mean(np.mean(chosen, axis=0), choices.triplets, weights)


def _cosines(features: Features, choices: Choices | ByObject) -> Iterator[Float[np.ndarray, "n 3"]]:
    return (judgments.cosine_similarities(style, choices.triplets) for style in features)


def noise_ceiling(choices: Choices, weights: Weights) -> Estimate:
    """Return the mean share of the majority answer on repeated triplets (unit: concept)."""
    return triplet_mean(choices.shares.max(1), choices.triplets, weights)


def level_triplets(
    level: str, taxonomy: pd.DataFrame, concepts: Integer[np.ndarray, " m"], n: int, rng: np.random.Generator
) -> Int[np.ndarray, "n 3"]:
    """Draw triplets at one level of abstraction, the subgroup in the place of the paper's class.

    ``global-coarse``: three subgroups; ``local-fine``: three concepts of one; ``class-boundary``: two of one,
    the third of another. The first concept is uniform over those with enough mates; so are its mates.
    """
    if level not in LEVELS:
        raise HumalignError(f"unknown level {level!r}: {nearest(level, LEVELS)}")
    n, concepts = number("n", n), judgments.whole(concepts, "concepts")
    subgroup = pd.factorize(taxonomy["subgroup"])[0]
    present = set(subgroup[concepts])
    if level == "global-coarse":
        drawn = np.empty((0, 3), dtype=int)
        while len(present) > 2 and len(drawn) < n:
            more = judgments.random_triplets(concepts, 4 * n, rng)
            a, b, c = subgroup[more].T
            drawn = np.concatenate([drawn, more[(a != b) & (a != c) & (b != c)]])[:n]
    else:
        mates = 3 if level == "local-fine" else 2
        same = {s: concepts[subgroup[concepts] == s] for s in present}
        other = {s: concepts[subgroup[concepts] != s] for s in same}
        starts = [c for c in concepts if len(same[subgroup[c]]) >= mates and len(other[subgroup[c]])]
        rows = []
        for first in rng.choice(starts, n).tolist() if starts else ():
            beside, others = same[subgroup[first]], other[subgroup[first]]
            row = [first, *rng.permutation(beside[beside != first])[: mates - 1].tolist()]
            rows.append(row if mates == 3 else [*row, int(rng.choice(others))])
        drawn = np.array(rows)
    if len(drawn) < n:
        seen = f"{len(concepts)} in {len(present)} subgroups"
        raise HumalignError(f"too few concepts for {n} {level} triplets: {seen}")
    return drawn


def log_probabilities(
    features: Features, choices: Choices, temperature: float
) -> Float[np.ndarray, "styles n 3"]:
    """Return log choice probabilities from cosines at a temperature.

    Raises:
        HumalignError: a temperature that is not above 0.
    """
    real("temperature", temperature, above=0)
    return np.stack([log_softmax(each / temperature, axis=1) for each in _cosines(features, choices)])


def fit_temperature(features: Features, choices: Choices | ByObject) -> float:
    """Return the temperature at which answers about other concepts than those tested are most likely."""
    cosines, shares = np.stack([*_cosines(features, choices)]), choices.shares

    def surprise(log_temperature: float) -> float:
        return float(-(shares * log_softmax(cosines / np.exp(log_temperature), axis=-1)).sum(-1).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(-7.0, 3.0), method="bounded").x))


def cross_entropy(features: Features, choices: Choices, temperature: float, weights: Weights) -> Estimate:
    """Return the mean surprise of the observers' answers under the model, in nats (unit: concept)."""
    surprise = -(choices.shares * log_probabilities(features, choices, temperature)).sum(-1).mean(0)
    return triplet_mean(surprise, choices.triplets, weights)


def entropy_agreement(features: Features, choices: Choices, temperature: float, weights: Weights) -> Estimate:
    """Return Spearman's correlation of a model's choice entropies with the observers' (unit: concept)."""
    logs = log_probabilities(features, choices, temperature)
    return entropies_agree(np.mean([entropy(np.exp(style)) for style in logs], axis=0), choices, weights)


def entropies_agree(model: Real[np.ndarray, " n"], choices: Choices, weights: Weights) -> Estimate:
    """Return Spearman's correlation of a model's entropies with the observers' (unit: concept)."""
    value, parts = spearman_parts(model, entropy(choices.shares))
    if np.isnan(value):
        return Estimate(value, np.full(len(weights) - 1, np.nan), len(choices))
    return Estimate(value, value + triplet_mean(parts, choices.triplets, weights).draws, len(choices))
