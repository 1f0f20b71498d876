"""Zero-shot agreement with people: RSA on every judged set, odd one out on THINGS and at three levels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from humalign import triplets
from humalign.chain import features, registered, sets
from humalign.chain.further import NEAR
from humalign.chain.judged import things
from humalign.chain.pipeline import Run, stream
from humalign.chain.scoring.rows import PEOPLE, Model, Row, column, compared, everyone, measures, weights
from humalign.data.judgments import ByObject, Choices, cosine_similarities, entropy, unit_rows
from humalign.evaluation import levels, odd_one_out, people, rsa
from humalign.evaluation.scores import Estimate

SPLIT = "92 photographs"
# As many triplets of 92 photographs hold each pair 90 times; as many answers suffice to fit a temperature to.
MOST = 20_000


def similarity(run: Run) -> Iterator[Row]:
    """Agreement with the judgments of every set at hand (units: photograph, and person of several)."""
    looked_at = [*sets.asked(run.profile), *sets.judged_pictures(run.profile)]
    if NEAR in looked_at:
        yield from _judged(run, NEAR, SPLIT, registered.similarity_92().matrices)
    for name in looked_at:
        if name in registered.GATED:
            yield from _judged(run, name, name, registered.judged(run.profile, name).matrices)
    if "things" in looked_at:
        told, rows = registered.things_48(things(run.profile.evidence).names)
        drawn, models = weights(run.profile, len(told)), everyone(run, "things")
        each = {model: rsa.matrices(rsa.dissimilarities(x[rows]), told, drawn) for model, x in models}
        found = column(each, "spearman")
        yield from compared(found, "similarity-judgments", "48 THINGS objects", "rsa-spearman")


def _judged(run: Run, which: str, split: str, matrices: Float[np.ndarray, "people n n"]) -> Iterator[Row]:
    """Score every model on one set; one matrix may be that of all people together."""
    draws, seed, number = run.profile.evaluation.bootstrap_draws, run.profile.seed, matrices.shape[1]
    given = matrices, draws, seed
    drawn, models, rated = weights(run.profile, number), dict(everyone(run, which)), "similarity-judgments"
    similar = {model: people.backbone_similarity(x) for model, x in models.items()}
    if len(matrices) == 1:
        alone = {model: rsa.matrices(-each, matrices[0], drawn) for model, each in similar.items()}
        yield from compared(column(alone, "spearman"), rated, split, "rsa-spearman")
        return
    together = {model: people.across_people_and_images(each, *given) for model, each in similar.items()}
    yield from compared(together, rated, split, "rsa-spearman")
    each = rsa.with_people(
        {"\n".join(model): -matrix for model, matrix in similar.items()},
        matrices, drawn, weights(run.profile, len(matrices), 1),
    )  # fmt: skip
    for bound in rsa.CEILINGS:
        yield Row(*PEOPLE, rated, split, f"rsa-each-person-{bound}", each[bound])
    yield from compared({model: each["\n".join(model)] for model in models}, rated, split, "rsa-each-person")
    yield from measures({PEOPLE: people.ceilings(*given)}, rated, split)
    for metric, estimate in people.left_out(matrices, [np.arange(number)], draws, seed).items():
        yield Row(*PEOPLE, "odd-one-out" if metric == "accuracy" else rated, split, metric, estimate)
    chosen = ByObject.of(people.group_choices(matrices), number)
    some = stream(run.profile, 7).permutation(len(chosen.triplets))[:MOST]
    few = ByObject(chosen.triplets[some], chosen.shares[some], number)
    cosines = {model: cosine_similarities(x, few.triplets) for model, x in models.items()}
    right = {model: people.accuracy(each, few, drawn) for model, each in cosines.items()}
    yield from compared(right, "odd-one-out", split, "accuracy")


def all_objects(run: Run) -> Iterator[Row]:
    """Accuracy on validation answers, doubt on repeated triplets; neither was fitted to (unit: object)."""
    known = things(run.profile.evidence)
    drawn, answers = weights(run.profile, len(known.names)), ByObject.of(known.validation, len(known.names))
    # Answers about photographs that people judged: none where the profile shows substitutes.
    judged = np.flatnonzero(sets.objects_judged(run))
    inside = answers[judged] if len(judged) >= 3 else None
    right, on_judged, unsure = dict[Model, Estimate](), dict[Model, Estimate](), {}
    yield Row(*PEOPLE, "odd-one-out", "THINGS", "accuracy", odd_one_out.noise_ceiling(known.repeated, drawn))
    for model, x in everyone(run, "things"):
        right[model] = people.accuracy(cosine_similarities(x, answers.triplets), answers, drawn)
        if inside is not None:
            similar = cosine_similarities(x[judged], inside.triplets)
            on_judged[model] = people.accuracy(similar, inside, weights(run.profile, len(judged)))
        unsure[model] = uncertainty(x[None], known.repeated, temperature(run, *model), drawn)
    yield from compared(right, "odd-one-out", "THINGS", "accuracy")
    yield from compared(on_judged, "odd-one-out", "THINGS, photographs judged", "accuracy")
    yield from measures(unsure, "uncertainty", "THINGS, repeated")


def uncertainty(
    views: Float[np.ndarray, "views things dim"], choices: Choices, heat: float, drawn: np.ndarray
) -> dict[str, Estimate]:
    """Return how a model's entropies follow people's, and its cross-entropy, at a temperature."""
    given = views, choices, heat, drawn
    agreed, surprise = odd_one_out.entropy_agreement(*given), odd_one_out.cross_entropy(*given)
    return {"entropy-spearman": agreed, "cross-entropy": surprise}


def temperature(run: Run, model: str, stage: str) -> float:
    """Return the temperature that makes training answers about THINGS objects, never scored, most likely."""
    known = things(run.profile.evidence).training
    some = np.random.default_rng([run.profile.seed, 6]).permutation(len(known))[:MOST]
    answers = Choices(known.triplets[some], known.counts[some])
    return odd_one_out.fit_temperature(features.read(run, model, stage, "things")[None], answers)


def at_levels(run: Run) -> Iterator[Row]:
    """Odd one out at three levels of abstraction, its ceilings, response times (units: person, triplet)."""
    profile, answers = run.profile, registered.levels_answers()
    rows = answers.rows_in(sets.names(run, "levels"))
    heat = {model: temperature(run, *model) for model in features.models(profile, "levels")}
    for number, level in enumerate(odd_one_out.LEVELS):
        rng = stream(profile, 18, number)
        pool = levels.asked(levels.counted(answers.at(level), rng))
        four = pool.drawn(rng)
        drawn = weights(profile, pool.people, 1), weights(profile, len(pool.triplets))
        yield Row(*PEOPLE, "odd-one-out", level, "accuracy", levels.leave_one_out_ceiling(pool, *drawn))
        yield Row(*PEOPLE, "odd-one-out", level, "majority-share", levels.majority_ceiling(four, *drawn))
        seconds = levels.median_seconds(answers, level, drawn[0])
        yield Row(*PEOPLE, "uncertainty", level, "median-seconds", seconds)
        times: dict[Model, Estimate] = {PEOPLE: levels.response_times(four.entropies, pool, drawn[1])}
        right: dict[Model, Estimate] = {}
        for model, x in everyone(run, "levels"):
            # Of tens of thousands of pictures, without the products of all pairs.
            similar = triplets.similarities(unit_rows(x), rows[pool.triplets])
            right[model] = levels.accuracy(similar, pool, *drawn)
            unsure = entropy(softmax(similar.astype(float) / heat[model], axis=1))
            times[model] = levels.response_times(unsure, pool, drawn[1])
        yield from compared(right, "odd-one-out", level, "accuracy")
        yield from compared(times, "uncertainty", level, "response-time-entropy-spearman")
