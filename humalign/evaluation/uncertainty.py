"""Is a model unsure where the observers are? Its choice distributions against theirs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from humalign.data.judgments import ByObject, Choices, cosine_similarities, entropy
from humalign.errors import HumalignError
from humalign.evaluation.correlation import spearman_parts
from humalign.evaluation.odd_one_out import triplet_mean
from humalign.evaluation.scores import Estimate


def log_probabilities(
    features: Real[np.ndarray, "styles concepts dim"], choices: Choices, temperature: float
) -> Float[np.ndarray, "styles n 3"]:
    """Return log choice probabilities from cosines at a temperature.

    Raises:
        HumalignError: a temperature that is not above 0.
    """
    if not 0 < temperature < np.inf:
        raise HumalignError(f"temperature = {temperature}: expected a number above 0")
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
