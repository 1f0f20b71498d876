"""How distances between concepts follow the taxonomy: near within a subgroup, farther within a group, far beyond."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from humalign.evaluation.rsa import dissimilarities
from humalign.scores import Estimate

RELATIONS = ("same-subgroup", "same-group", "different-group")


def standardised_distances(
    features: Float[np.ndarray, "styles concepts dim"], taxonomy: pd.DataFrame, weights: Float[np.ndarray, "draws concepts"]
) -> dict[str, Estimate]:
    """Return the mean distance of pairs in each relation, in standard deviations from the mean of all pairs.

    Distance is 1 - Pearson; standardising makes models with different overall spread comparable (unit: concept).

    Args:
        features: of the concepts.
        taxonomy: one row a concept, with ``group`` and ``subgroup``.
        weights: of the concepts, from ``resamples``.
    """
    distance = np.mean([dissimilarities(style) for style in features], axis=0)
    pairs = distance[np.triu_indices(len(distance), k=1)]
    distance = (distance - pairs.mean()) / pairs.std()
    subgroup, group = (np.equal.outer(taxonomy[level].to_numpy(), taxonomy[level].to_numpy()) for level in ("subgroup", "group"))
    related = {"same-subgroup": subgroup, "same-group": group & ~subgroup, "different-group": ~group}
    estimates = {}
    for relation in RELATIONS:
        rows = np.triu(related[relation], k=1)
        # Each pair weighs as often as its two concepts are drawn together: a quadratic form.
        total, weight = (((weights @ matrix) * weights).sum(1) for matrix in (distance * rows, rows.astype(float)))
        estimates[relation] = Estimate.of(total / weight, int(rows.sum()))
    return estimates
