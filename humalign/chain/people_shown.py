"""Rows of the scores that let the book show single things: triplets with their answers, dimensions with their objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from humalign.chain import teach
from humalign.chain.pipeline import Run
from humalign.data.judgments import cosine_similarities
from humalign.evaluation import examples, uncertainty
from humalign.evaluation.scores import Estimate, resamples
from humalign.teach.vice import ViceEmbedding

if TYPE_CHECKING:
    from humalign.chain.judged import Name, Things

TOP_OBJECTS = 6


def triplets(run: Run, known: Things, model: str) -> Iterator[tuple[Name, Estimate]]:
    """Three repeated triplets, chosen by the entropy of their answers, and what models say that never saw their objects.

    The choice is among the triplets whose objects are all in one test fold. People's shares are resampled by answer; a model's
    probability of one triplet is one number, without an interval.
    """
    profile, asked = run.profile, known.repeated
    folds = known.folds(profile)
    fold = np.full(len(asked), -1)
    for f, (_, test) in enumerate(folds):
        fold[np.isin(asked.triplets, test).all(1)] = f
    for place, row in examples.typical_rows(asked, fold >= 0).items():
        train, _ = folds[fold[row]]
        triplet = asked.triplets[row : row + 1]
        heat = uncertainty.fit_temperature(known.features[train][None], known.answers[train])
        teacher = teach.fitted(run, run.profile.teachers[0], f"fold{fold[row]}", "teacher")
        probabilities = {
            "teacher-base": softmax(cosine_similarities(known.features, triplet) / heat, axis=1),
            "teacher": teacher.choice_probabilities(known.features, triplet),
        }
        named = [f"{place}: {pair}" for pair in examples.pair_names(triplet[0], known.names)]
        for split, share in zip(
            named, examples.answer_shares(asked.counts[row], profile.evaluation.bootstrap_draws, profile.seed), strict=True
        ):
            yield ("people", "ceiling", "example-triplet", split, "share"), share
        for stage, chances in probabilities.items():
            for split, chance in zip(named, chances[0], strict=True):
                yield (model, stage, "example-triplet", split, "probability"), Estimate(float(chance), np.array([chance], float), 1)


def dimensions(run: Run, known: Things, observer: ViceEmbedding) -> Iterator[tuple[Name, Estimate]]:
    """The dimensions of our own VICE, largest first: share of all weight, and likeness to the published embedding (unit: object)."""
    own = observer.mean.relu().numpy().astype(float)
    weights = resamples(len(own), run.profile.evaluation.bootstrap_draws, run.profile.seed)
    mass = weights @ own
    for place, d in enumerate(np.argsort(-own.sum(0), kind="stable"), 1):
        split = f"{place}: {examples.highest(own[:, d], known.names, TOP_OBJECTS)}"
        share = Estimate.of(mass[:, d] / mass.sum(1), len(own))
        yield ("vice", "observer", "vice-dimensions", split, "share-of-weight"), share
        nearest = examples.nearest_dimension(own[:, d], known.published, weights)
        yield ("vice", "observer", "vice-dimensions", split, "nearest-published-pearson"), nearest
