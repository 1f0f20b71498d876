"""One person at a time: people scored as models are scored.

A model is compared with the mean of several people, which is steadier than any one of them. How well a person who was left out
does in the same place is the mark of human level; it is no bound. A correlation with single people, and its bounds, are in
``rsa.with_people``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from humalign.evaluation.correlation import Ranked, spearman
from humalign.evaluation.people import group_choices, pair_values
from humalign.judgments import agreement
from humalign.scores import Estimate, resamples


def left_out(
    matrices: Float[np.ndarray, "people n n"], tests: Sequence[Int[np.ndarray, " _"]], draws: int, seed: int
) -> dict[str, Estimate]:
    """Score each person against the mean of the others, as a model is scored against the mean of all (unit: person).

    Args:
        matrices: dissimilarities of all pairs of images, by person.
        tests: the images of each test: those left out of a fold, or all.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        ``accuracy``, on the pair of each triplet that the others' mean puts nearest, and ``rsa-spearman``: means over tests.
    """
    found: dict[str, list[list[float]]] = {"accuracy": [], "rsa-spearman": []}
    for person, own in enumerate(matrices):
        others = np.delete(matrices, person, axis=0)
        right, rank = [], []
        for images in tests:
            cut = np.ix_(images, images)
            asked = group_choices(others[:, images][:, :, images])
            right.append(float(agreement(pair_values(-own[cut], asked.triplets), asked.shares).mean()))
            pairs = np.triu_indices(len(images), k=1)
            rank.append(float(spearman(Ranked(own[cut][pairs]), Ranked(others.mean(0)[cut][pairs]), [np.ones(len(pairs[0]))])[0]))
        found["accuracy"].append(right)
        found["rsa-spearman"].append(rank)
    weights = resamples(len(matrices), draws, seed)
    return {metric: Estimate.of(weights @ np.mean(each, axis=1) / len(matrices), len(matrices)) for metric, each in found.items()}
