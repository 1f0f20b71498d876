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
    i, j = np.triu_indices(len(taxonomy), k=1)
    distance = np.mean([dissimilarities(style)[i, j] for style in features], axis=0)
    distance = ((distance - distance.mean()) / distance.std()).astype(np.float32)
    subgroup, group = (taxonomy[level].to_numpy() for level in ("subgroup", "group"))
    related = {
        "same-subgroup": subgroup[i] == subgroup[j],
        "same-group": (group[i] == group[j]) & (subgroup[i] != subgroup[j]),
        "different-group": group[i] != group[j],
    }
    estimates = {}
    for relation in RELATIONS:
        rows = related[relation]
        drawn = weights[:, i[rows]] * weights[:, j[rows]]
        estimates[relation] = Estimate.of(drawn @ distance[rows] / drawn.sum(1), int(rows.sum()))
    return estimates
