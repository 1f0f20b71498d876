"""Is a model unsure where the observers are? Its choice distributions against theirs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from humalign.evaluation.correlation import Ranked, spearman
from humalign.evaluation.odd_one_out import triplet_mean
from humalign.judgments import ByObject, Choices, cosine_similarities, entropy
from humalign.scores import Estimate


def log_probabilities(
    features: Float[np.ndarray, "styles concepts dim"], choices: Choices, temperature: float
) -> Float[np.ndarray, "styles n 3"]:
    """Return log choice probabilities from cosines at a temperature."""
    return np.stack([log_softmax(cosine_similarities(style, choices.triplets) / temperature, axis=1) for style in features])


def fit_temperature(features: Float[np.ndarray, "styles concepts dim"], choices: Choices | ByObject) -> float:
    """Return the temperature at which answers about other concepts than those tested are most likely."""
    cosines, shares = np.stack([cosine_similarities(style, choices.triplets) for style in features]), choices.shares

    def surprise(log_temperature: float) -> float:
        return float(-(shares * log_softmax(cosines / np.exp(log_temperature), axis=-1)).sum(-1).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(-7.0, 3.0), method="bounded").x))


def cross_entropy(
    features: Float[np.ndarray, "styles concepts dim"], choices: Choices, temperature: float, weights: Float[np.ndarray, "draws concepts"]
) -> Estimate:
    """Return the mean surprise of the observers' answers under the model, in nats (unit: concept)."""
    surprise = -(choices.shares * log_probabilities(features, choices, temperature)).sum(-1).mean(0)
    return triplet_mean(surprise, choices.triplets, weights)


def entropy_agreement(
    features: Float[np.ndarray, "styles concepts dim"], choices: Choices, temperature: float, weights: Float[np.ndarray, "draws concepts"]
) -> Estimate:
    """Return Spearman's correlation of the model's choice entropy with the observers', over repeated triplets (unit: concept)."""
    model = np.mean([entropy(np.exp(style)) for style in log_probabilities(features, choices, temperature)], axis=0)
    i, j, k = choices.triplets.T
    drawn = (w[i] * w[j] * w[k] for w in weights)
    return Estimate.of(spearman(Ranked(model), Ranked(entropy(choices.shares)), drawn), len(choices))
