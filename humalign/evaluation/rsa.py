"""Representational similarity analysis: do two spaces order all pairs of concepts alike?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from humalign.evaluation.correlation import Ranked, spearman
from humalign.scores import Estimate


def dissimilarities(features: Float[np.ndarray, "concepts dim"]) -> Float[np.ndarray, "concepts concepts"]:
    """Return 1 - Pearson's correlation between the features of every two concepts."""
    return 1 - np.corrcoef(np.asarray(features, dtype=float))


def agreement(
    features: Float[np.ndarray, "styles concepts dim"],
    judged: Float[np.ndarray, "concepts concepts"],
    weights: Float[np.ndarray, "draws concepts"],
) -> Estimate:
    """Return Spearman's correlation of a model's dissimilarities, averaged over styles, with judged ones.

    Upper triangles, average ranks; unit: concept. A pair of two copies of one concept is no pair and is left out.
    Source: gLocal's protocol for similarity judgments.
    """
    i, j = np.triu_indices(len(judged), k=1)
    model = np.mean([dissimilarities(style)[i, j] for style in features], axis=0)
    pairs = (w[i] * w[j] for w in weights)
    return Estimate.of(spearman(Ranked(model), Ranked(judged[i, j]), pairs), len(judged))
