"""One person at a time: people scored as models are scored.

A model is compared with the mean of several people, which is more reliable than any one of them. A left-out person's score against
the mean of the others is a human reference level, not an upper limit. Correlations with single people, and their bounds, are in
``rsa.with_people``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int, Real
from scipy.stats import rankdata

from humalign.data.judgments import agreement
from humalign.errors import HumalignError
from humalign.evaluation.people import group_choices, pair_values
from humalign.evaluation.scores import Estimate, jackknifed, resamples


def ceilings(matrices: Real[np.ndarray, "people n n"], draws: int, seed: int) -> dict[str, Estimate]:
    """Return the noise ceilings of similarity judgments: each person against the others' mean, and against everybody's (unit: person).

    Raises:
        HumalignError: fewer than three people.
    """
    i, j = np.triu_indices(matrices.shape[1], k=1)

    def statistics(pairs: Float[np.ndarray, "people pairs"]) -> Float[np.ndarray, " bounds"]:
        total = pairs.sum(0)
        each = [[np.corrcoef(rankdata(own), rankdata(mean))[0, 1] for mean in (total - own, total)] for own in pairs]
        return np.asarray(np.mean(each, axis=0))

    return _of_people(("rsa-lower", "rsa-upper"), statistics, matrices[:, i, j], draws, seed)


def left_out(
    matrices: Real[np.ndarray, "people n n"], tests: Sequence[Int[np.ndarray, " _"]], draws: int, seed: int
) -> dict[str, Estimate]:
    """Score each person against the mean of the others, as a model is scored against the mean of all (unit: person).

    Args:
        matrices: dissimilarities of all pairs of images, by person.
        tests: the images of each test: those left out of a fold, or all.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        ``accuracy``, on the pair of each triplet that the others' mean puts nearest, and ``rsa-spearman``: means over tests.

    Raises:
        HumalignError: fewer than three people.
    """

    def statistics(people: Real[np.ndarray, "people n n"]) -> Float[np.ndarray, " metrics"]:
        return np.asarray(np.mean([_of_one(own, np.delete(people, person, axis=0), tests) for person, own in enumerate(people)], axis=0))

    return _of_people(("accuracy", "rsa-spearman"), statistics, matrices, draws, seed)


def _of_one(own: Float[np.ndarray, "n n"], others: Real[np.ndarray, "others n n"], tests: Sequence[Int[np.ndarray, " _"]]) -> np.ndarray:
    """Return one person's accuracy and rank correlation: means over tests."""
    mean, found = others.mean(0), []
    for images in tests:
        cut = np.ix_(images, images)
        asked = group_choices(mean[cut][None])
        pairs = np.triu_indices(len(images), k=1)
        right = float(agreement(pair_values(-own[cut], asked.triplets), asked.shares).mean())
        found.append([right, np.corrcoef(rankdata(own[cut][pairs]), rankdata(mean[cut][pairs]))[0, 1]])
    return np.asarray(np.mean(found, axis=0))


def _of_people(
    metrics: tuple[str, ...], statistics: Callable[[np.ndarray], np.ndarray], people: Real[np.ndarray, "people ..."], draws: int, seed: int
) -> dict[str, Estimate]:
    if len(people) < 3:
        raise HumalignError(f"judgments of {len(people)} people: how people agree can be told of three or more")
    return dict(zip(metrics, jackknifed(statistics, people, resamples(len(people), draws, seed)), strict=True))
