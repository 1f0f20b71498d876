"""Levels: a model's odd one out against people's at each level of abstraction, ceilings, and response times.

As in the authors' notebook, triplets with fewer than four answers are left out, and of more than five answers
to a triplet, five are drawn. Four of these are drawn for the entropy of people's answers and the largest
share. All count for leave-one-out agreement and the response time, the mean of log seconds.

Answers are resampled by person and by triplet at once: an answer counts as often as its person is drawn,
times as often as its triplet. An interval therefore speaks of other people and other triplets.

Source: ``analysis/stats_eval.ipynb`` of github.com/Frieda-Josefine/HumanEval_experiment.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Real
from scipy.sparse import csr_array

from humalign.data.judgments import agreement, entropy
from humalign.data.readers_levels import LevelAnswers
from humalign.errors import HumalignError
from humalign.evaluation.correlation import Ranked, spearman
from humalign.evaluation.scores import Estimate, Statistic

# Answers to a triplet: the fewest that count, the most, and those whose entropy is taken.
FEWEST, MOST, DRAWN = 4, 5, 4
# Of the times of one person, those above so many seconds are dropped, and then so many trials count.
SLOWEST, TRIALS = 10.0, 330

Similar = Real[np.ndarray, "m 3"]
Answers = Real[np.ndarray, " n"]
People = Real[np.ndarray, "draws_and_one people"]
Triplets = Float[np.ndarray, "draws_and_one m"]


@dataclasses.dataclass(frozen=True)
class Asked:
    """The triplets that were asked, whatever the order shown, and who kept which pair of them."""

    triplets: Int[np.ndarray, "m 3"]  #: images, ascending, no two rows alike.
    row: Int[np.ndarray, " n"]  #: triplet of each answer.
    kept: Int[np.ndarray, " n"]  #: pair that each answer kept: place in (ij, ik, jk).
    person: Int[np.ndarray, " n"]  #: who answered.
    people: int  #: how many there are.
    seconds: Float[np.ndarray, " n"]  #: response times.

    @property
    def counts(self) -> Int[np.ndarray, "m 3"]:
        """How often each pair of each triplet was kept."""
        return np.bincount(3 * self.row + self.kept, minlength=3 * len(self.triplets)).reshape(-1, 3)

    @property
    def entropies(self) -> Float[np.ndarray, " m"]:
        """Entropy of the answers to each triplet, in nats."""
        # In ascending order: equal entropies then are equal to the last bit, and tie.
        counts = np.sort(self.counts, axis=1)
        return entropy(counts / counts.sum(1, keepdims=True))

    def drawn(self, rng: np.random.Generator, most: int = DRAWN) -> Asked:
        """Return the same triplets with at most so many answers to each, drawn at random."""
        rows = np.flatnonzero(_drawn(self.row, most, rng))
        drawn = {name: getattr(self, name)[rows] for name in ("row", "kept", "person", "seconds")}
        return dataclasses.replace(self, **drawn)


def counted(answers: LevelAnswers, rng: np.random.Generator) -> LevelAnswers:
    """Return the answers that count: to triplets with four or more; of more than five to one, five drawn.

    Raises:
        HumalignError: no triplet has four answers.
    """
    row = asked(answers).row
    kept = answers.keep((np.bincount(row)[row] >= FEWEST) & _drawn(row, MOST, rng))
    if not len(kept):
        mend = "the file of answers is a small part, download the whole file"
        raise HumalignError(f"no triplet of Levels has {FEWEST} answers: {mend}")
    return kept


def _drawn(groups: Int[np.ndarray, " n"], most: int, rng: np.random.Generator) -> Bool[np.ndarray, " n"]:
    """Draw at most so many items of each group, without replacement."""
    shuffled = rng.permutation(len(groups))
    chosen = np.empty(len(groups), dtype=bool)
    chosen[shuffled] = _earlier(groups[shuffled]) < most
    return chosen


def _earlier(groups: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return how many items before each one are of its group."""
    return pd.Series(groups).groupby(groups).cumcount().to_numpy()


def asked(answers: LevelAnswers) -> Asked:
    """Pool answers by triplet."""
    ascending = np.sort(answers.triplets, axis=1)
    odd = np.take_along_axis(answers.triplets, answers.odd[:, None], axis=1)
    triplets, row = np.unique(ascending, axis=0, return_inverse=True)
    # The odd one in place 2, 1, 0 leaves pair 0, 1, 2.
    kept = 2 - (ascending == odd).argmax(1)
    return Asked(triplets, row.reshape(-1), kept, answers.person, len(answers.people), answers.seconds)


def accuracy(similar: Similar, pool: Asked, people: People, triplets: Triplets) -> Estimate:
    """Return how often a model keeps the pair that a person kept; a tie is wrong (units: person, triplet)."""
    return answer_mean(agreement(similar[pool.row], np.eye(3)[pool.kept]), pool, people, triplets)


def majority_ceiling(pool: Asked, people: People, triplets: Triplets) -> Estimate:
    """Return the share of answers that are the most frequent one to their triplet (units: person, triplet).

    The authors take it over the four answers drawn to each triplet (``pool.drawn``). No model is above it on
    these answers. Among few, one is the most frequent by chance too: see ``leave_one_out_ceiling``.
    """
    return answer_mean((pool.counts.argmax(1)[pool.row] == pool.kept).astype(float), pool, people, triplets)


def leave_one_out_ceiling(pool: Asked, people: People, triplets: Triplets) -> Estimate:
    """Return how often an answer is the others' most frequent one, by triplet (units: person, triplet).

    Where two answers are most frequent among the others, either counts one half. Where all three are, each
    counts one third: the authors' code counts one half for the two that come first in the file and nothing
    for the other, one third on average. Triplets with a single answer are left out.

    Raises:
        HumalignError: no triplet has two answers.
    """
    others = pool.counts[pool.row] - np.eye(3, dtype=np.int64)[pool.kept]
    asked_again = others.sum(1) > 0
    if not asked_again.any():
        raise HumalignError("no triplet was answered twice: people's agreement cannot be told")
    most = others == others.max(1, keepdims=True)
    right = np.take_along_axis(most, pool.kept[:, None], axis=1)[:, 0] / most.sum(1)
    return answer_mean(right, pool, people, triplets, asked_again / (others.sum(1) + 1))


def answer_mean(
    values: Answers, pool: Asked, people: People, triplets: Triplets, each: Answers | None = None
) -> Estimate:
    """Return the mean of a value of answers, drawn by people and triplets (units: person and triplet).

    Args:
        values, pool: of the answers, and the answers.
        people, triplets: weights; an answer is drawn as often as its person times its triplet.
        each: weights of answers, the same in every draw; by default equal. One of weight 0 is not counted.
    """
    each = np.ones(len(values)) if each is None else each
    rows = np.flatnonzero(each)
    place, shape = (pool.person[rows], pool.row[rows]), (pool.people, len(pool.triplets))
    total, number = (csr_array((one[rows], place), shape=shape) for one in (values * each, each))

    def mean(people: People, triplets: Triplets) -> Statistic:
        return np.asarray(((people @ total) * triplets).sum(1) / ((people @ number) * triplets).sum(1))

    alone = mean(people, np.ones_like(triplets)), mean(np.ones_like(people), triplets)
    return Estimate.of(mean(people, triplets), len(rows), *alone)


def response_times(uncertainty: Real[np.ndarray, " m"], pool: Asked, triplets: Triplets) -> Estimate:
    """Return Spearman's correlation of a triplet's uncertainty with people's mean log time (unit: triplet).

    Uncertainty is the entropy of a model's choice on each triplet, or of people's answers. An answer without
    a time is left out; slow ones count.

    Raises:
        HumalignError: fewer than three triplets have a time.
    """
    timed = np.isfinite(pool.seconds)
    row, logs, triplet_count = pool.row[timed], np.log(pool.seconds[timed]), len(pool.triplets)
    number = np.bincount(row, minlength=triplet_count)
    which = np.flatnonzero(number)
    if len(which) < 3:
        raise HumalignError("response times of fewer than three triplets: no correlation can be told")
    mean_log = np.bincount(row, weights=logs, minlength=triplet_count)[which] / number[which]
    return Estimate.of(spearman(Ranked(uncertainty[which]), Ranked(mean_log), triplets[:, which]), len(which))


def median_seconds(answers: LevelAnswers, level: str, people: People) -> Estimate:
    """Return the median over people of a person's median response time at a level, in seconds (unit: person).

    Times above ten seconds are dropped. Of what is left of a person, at all levels, the first 330 trials of
    the file count: the experiment has 330 trials, and some people's names stand for several sessions.

    Raises:
        HumalignError: nobody has such a time.
    """
    fast = answers.keep(answers.seconds <= SLOWEST)
    first = fast.keep(_earlier(fast.person) < TRIALS).at(level)
    who = np.unique(first.person)
    if not len(who):
        seen = f"{level}: no response time of at most {SLOWEST:g} seconds"
        raise HumalignError(f"{seen}: no median can be told")
    medians = np.array([np.median(first.seconds[first.person == person]) for person in who])
    return Estimate.of(_weighted_median(medians, people[:, who]), len(who))


def _weighted_median(values: Answers, weights: Float[np.ndarray, "draws n"]) -> Float[np.ndarray, " draws"]:
    """Return the median of values of which each is there as often as its weight says; NaN where none is."""
    order = np.argsort(values, kind="stable")
    mass = np.cumsum(weights[:, order], axis=1)
    half = mass[:, -1:] / 2
    low, high = (np.argmax(found, axis=1) for found in (mass >= half, mass > half))
    return np.where(half[:, 0] > 0, (values[order][low] + values[order][high]) / 2, np.nan)
