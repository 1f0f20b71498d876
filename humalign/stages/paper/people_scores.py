"""Scores against people's judgments (or, in a rehearsal, those of simulated observers): odd one out, similarity, response times."""

from __future__ import annotations

from collections.abc import Iterator

from humalign.evaluation import people
from humalign.judgments import ByObject, cosine_similarities
from humalign.pipeline import Run
from humalign.scores import Estimate, resamples
from humalign.stages.paper import features
from humalign.stages.paper.teaching import judgments

Row = tuple[tuple[str, str, str, str, str], str, Estimate]


def things(run: Run) -> Iterator[Row]:
    """Odd-one-out on answers about the objects (unit: object)."""
    profile, known = run.profile, judgments(run.profile)
    answers = ByObject.of(known.validation, len(known.names))
    weights = resamples(len(known.names), profile.bootstrap_draws, profile.seed)
    for model, stage in features.models(profile):
        similar = cosine_similarities(features.read(run, model, stage, "things"), answers.triplets)
        yield (model, stage, "odd-one-out", "THINGS", "accuracy"), profile.evidence, people.accuracy(similar, answers, weights)
