"""Zero-shot odd-one-out of every model by cosines, as in the paper: on the THINGS objects and at the three levels of abstraction."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from humalign import triplets
from humalign.chain import features, sets
from humalign.chain.inputs import stream
from humalign.chain.judged import ByObject, things
from humalign.chain.pipeline import Run
from humalign.chain.scoring.rows import PEOPLE, Model, Row, compared, everyone, weights
from humalign.data.judgments import Choices, cosine_similarities, entropy, unit_rows
from humalign.evaluation import levels, odd_one_out, people, uncertainty
from humalign.evaluation.scores import Estimate

# Answers to which a model's temperature is fitted, at most.
MOST = 20_000


def all_objects(run: Run) -> Iterator[Row]:
    """Accuracy on validation answers, and doubt on repeated triplets; the teacher was fitted to other answers (unit: object)."""
    known = things(run.profile.evidence)
    drawn, answers = weights(run.profile, len(known.names)), ByObject.of(known.validation, len(known.names))
    # Answers whose three photographs are those that people judged, none a substitute: none, where the profile shows others.
    judged = np.flatnonzero(sets.objects_judged(run))
    inside = answers[judged] if len(judged) >= 3 else None
    right, on_judged, doubt, surprise = (dict[Model, Estimate]() for _ in range(4))
    yield Row(*PEOPLE, "odd-one-out", "THINGS", "accuracy", odd_one_out.noise_ceiling(known.repeated, drawn))
    for model, x in everyone(run, "things"):
        right[model] = people.accuracy(cosine_similarities(x, answers.triplets), answers, drawn)
        if inside is not None:
            similar = cosine_similarities(x[judged], inside.triplets)
            on_judged[model] = people.accuracy(similar, inside, weights(run.profile, len(judged)))
        heat = temperature(run, *model)
        doubt[model] = uncertainty.entropy_agreement(x[None], known.repeated, heat, drawn)
        surprise[model] = uncertainty.cross_entropy(x[None], known.repeated, heat, drawn)
    yield from compared(right, "odd-one-out", "THINGS", "accuracy")
    yield from compared(on_judged, "odd-one-out", "THINGS, photographs judged", "accuracy")
    yield from compared(doubt, "uncertainty", "THINGS, repeated", "entropy-spearman")
    yield from compared(surprise, "uncertainty", "THINGS, repeated", "cross-entropy")


def temperature(run: Run, model: str, stage: str) -> float:
    """Return the temperature at which training answers about the THINGS objects, never scored, are most likely."""
    known = things(run.profile.evidence)
    some = np.random.default_rng([run.profile.seed, 6]).permutation(len(known.training))[:MOST]
    answers = Choices(known.training.triplets[some], known.training.counts[some])
    return uncertainty.fit_temperature(features.read(run, model, stage, "things")[None], answers)


def at_levels(run: Run) -> Iterator[Row]:
    """Odd one out at three levels of abstraction, its ceilings, and entropy against response times (units: person and triplet)."""
    profile, answers = run.profile, sets.levels_answers(run.profile)
    rows = answers.rows_in(sets.names(run, "levels"))
    heat = {model: temperature(run, *model) for model in features.models(profile, "levels")}
    for number, level in enumerate(odd_one_out.LEVELS):
        rng = stream(profile, 18, number)
        pool = levels.asked(levels.counted(answers.at(level), rng))
        four = pool.drawn(rng)
        drawn = weights(profile, pool.people, 1), weights(profile, len(pool.triplets))
        yield Row(*PEOPLE, "odd-one-out", level, "accuracy", levels.leave_one_out_ceiling(pool, *drawn))
        yield Row(*PEOPLE, "odd-one-out", level, "majority-share", levels.majority_ceiling(four, *drawn))
        yield Row(*PEOPLE, "uncertainty", level, "median-seconds", levels.median_seconds(answers, level, drawn[0]))
        times: dict[Model, Estimate] = {PEOPLE: levels.response_times(four.entropies, pool, drawn[1])}
        right: dict[Model, Estimate] = {}
        for model, x in everyone(run, "levels"):
            similar = _cosines(x, rows[pool.triplets])
            right[model] = levels.accuracy(similar, pool, *drawn)
            times[model] = levels.response_times(entropy(softmax(similar.astype(float) / heat[model], axis=1)), pool, drawn[1])
        yield from compared(right, "odd-one-out", level, "accuracy")
        yield from compared(times, "uncertainty", level, "response-time-entropy-spearman")


def _cosines(x: Float[np.ndarray, "images dim"], asked: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Return cosines of the pairs of triplets among tens of thousands of pictures, without all pairs of these."""
    return triplets.similarities(unit_rows(x), asked)
