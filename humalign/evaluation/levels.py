"""Levels: a model's odd one out against people's at each level of abstraction, their ceilings, and their response times.

Answers are resampled by person and by triplet at once: an answer counts as often as its person is drawn, times as often as its
triplet. An interval therefore speaks of other people and other triplets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from humalign.errors import HumalignError
from humalign.evaluation.checks import check_features
from humalign.evaluation.correlation import Ranked, spearman
from humalign.judgments import agreement, cosine_similarities
from humalign.readers_levels import LevelAnswers
from humalign.scores import Estimate


@dataclasses.dataclass(frozen=True)
class Asked:
    """The triplets that were asked, whatever the order shown, and who kept which pair of them.

    Attributes:
        triplets: (m, 3) images, ascending, no two rows alike.
        row: (n,) triplet of each answer.
        kept: (n,) pair that each answer kept: place in (ij, ik, jk).
        person: (n,) who answered.
        people: how many there are.
        seconds: (n,) response times.
    """

    triplets: Int[np.ndarray, "m 3"]
    row: Int[np.ndarray, " n"]
    kept: Int[np.ndarray, " n"]
    person: Int[np.ndarray, " n"]
    people: int
    seconds: Float[np.ndarray, " n"]

    @property
    def counts(self) -> Int[np.ndarray, "m 3"]:
        """How often each pair of each triplet was kept."""
        table = np.zeros((len(self.triplets), 3), dtype=np.int64)
        np.add.at(table, (self.row, self.kept), 1)
        return table


def asked(answers: LevelAnswers) -> Asked:
    """Pool answers by triplet; drop a person's repeats before (``answers.first()``) where each should count once."""
    ascending = np.sort(answers.triplets, axis=1)
    odd = np.take_along_axis(answers.triplets, answers.odd[:, None], axis=1)
    triplets, row = np.unique(ascending, axis=0, return_inverse=True)
    # The odd one in place 2, 1, 0 leaves pair 0, 1, 2.
    kept = 2 - (ascending == odd).argmax(1)
    return Asked(triplets, row.reshape(-1), kept, answers.person, len(answers.people), answers.seconds)


def with_features(answers: LevelAnswers, files: Sequence[str]) -> tuple[LevelAnswers, Int[np.ndarray, " images"]]:
    """Return the answers about images that were embedded, and the row of each image in the embeddings.

    Args:
        answers: of people.
        files: of the embedded images, in order; compared by file name alone.

    Returns:
        The answers all three of whose images are there, and for each of ``answers.images`` its row, -1 where it has none.

    Raises:
        HumalignError: no answer is left.
    """
    place = {PurePosixPath(file).name: row for row, file in enumerate(files)}
    rows = np.array([place.get(PurePosixPath(image).name, -1) for image in answers.images])
    kept = answers.keep((rows[answers.triplets] >= 0).all(1))
    if not len(kept):
        raise HumalignError(f"none of the {len(files)} embedded images was shown: the answers are about {answers.images[0]} and others")
    return kept, rows


def similarities(features: Float[np.ndarray, "files dim"], rows: Int[np.ndarray, " images"], pool: Asked) -> Float[np.ndarray, "m 3"]:
    """Return the cosines of the pairs of each triplet that was asked."""
    check_features(features)
    used, local = np.unique(rows[pool.triplets], return_inverse=True)
    return cosine_similarities(features[used], local.reshape(-1, 3))


def accuracy(
    similar: Float[np.ndarray, "m 3"],
    pool: Asked,
    people: Float[np.ndarray, "draws_and_one people"],
    triplets: Float[np.ndarray, "draws_and_one m"],
) -> Estimate:
    """Return how often a model keeps the pair that a person kept; a tie is wrong (units: person and triplet)."""
    return answer_mean(agreement(similar[pool.row], np.eye(3)[pool.kept]), pool, people, triplets)


def majority_ceiling(
    pool: Asked, people: Float[np.ndarray, "draws_and_one people"], triplets: Float[np.ndarray, "draws_and_one m"]
) -> Estimate:
    """Return the share of answers that are the most frequent one to their triplet: no model is above it (units: person and triplet).

    Among few answers to a triplet the most frequent one is so by chance too: compare it with ``leave_one_out_ceiling``.
    """
    return answer_mean((pool.counts.argmax(1)[pool.row] == pool.kept).astype(float), pool, people, triplets)


def leave_one_out_ceiling(
    pool: Asked, people: Float[np.ndarray, "draws_and_one people"], triplets: Float[np.ndarray, "draws_and_one m"]
) -> Estimate:
    """Return how often an answer is the most frequent one of the others to its triplet (units: person and triplet).

    Where several are most frequent, it is right by their share. Triplets with a single answer are left out.

    Raises:
        HumalignError: no triplet has two answers.
    """
    others = pool.counts[pool.row] - np.eye(3, dtype=np.int64)[pool.kept]
    asked_again = others.sum(1) > 0
    if not asked_again.any():
        raise HumalignError("no triplet was answered twice: people's agreement cannot be told")
    most = others == others.max(1, keepdims=True)
    right = np.take_along_axis(most, pool.kept[:, None], axis=1)[:, 0] / most.sum(1)
    return answer_mean(right, pool, people, triplets, asked_again)


def answer_mean(
    values: Float[np.ndarray, " n"],
    pool: Asked,
    people: Float[np.ndarray, "draws_and_one people"],
    triplets: Float[np.ndarray, "draws_and_one m"],
    counted: np.ndarray | None = None,
) -> Estimate:
    """Return the mean of a value of answers, each drawn as often as its person times its triplet (units: person and triplet)."""
    rows = slice(None) if counted is None else np.flatnonzero(counted)
    place, shape = (pool.person[rows], pool.row[rows]), (pool.people, len(pool.triplets))
    total, number = (csr_array((each[rows], place), shape=shape) for each in (values, np.ones(len(values))))

    def mean(people: Float[np.ndarray, "draws people"], triplets: Float[np.ndarray, "draws m"]) -> Float[np.ndarray, " draws"]:
        return np.asarray(((people @ total) * triplets).sum(1) / ((people @ number) * triplets).sum(1))

    return Estimate.of(
        mean(people, triplets), len(values[rows]), mean(people, np.ones_like(triplets)), mean(np.ones_like(people), triplets)
    )


def response_times(
    uncertainty: Float[np.ndarray, " m"], pool: Asked, triplets: Float[np.ndarray, "draws_and_one m"]
) -> Estimate:
    """Return Spearman's correlation of a triplet's uncertainty with people's median time on it (unit: triplet).

    Args:
        uncertainty: entropy of a model's choice on each triplet, or of people's answers.
        pool: the answers; one without a time is left out.
        triplets: weights.

    Raises:
        HumalignError: fewer than three triplets have a time.
    """
    timed = np.isfinite(pool.seconds)
    order = np.argsort(pool.row[timed], kind="stable")
    row, seconds = pool.row[timed][order], pool.seconds[timed][order]
    which, start = np.unique(row, return_index=True)
    if len(which) < 3:
        raise HumalignError("response times of fewer than three triplets: no correlation can be told")
    median = np.array([np.median(each) for each in np.split(seconds, start[1:])])
    return Estimate.of(spearman(Ranked(uncertainty[which]), Ranked(median), triplets[:, which]), len(which))
