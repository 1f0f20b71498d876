"""Representational similarity: whether models order pairs of photographs as people do, on every set that several people judged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from humalign.chain import sets
from humalign.chain.inputs import stream
from humalign.chain.judged import things
from humalign.chain.pipeline import Run
from humalign.chain.scoring.rows import PEOPLE, Row, compared, everyone, weights
from humalign.data.judgments import ByObject, cosine_similarities
from humalign.evaluation import people, persons, rsa

NEAR, SPLIT = "kriegeskorte-92", "92 photographs"
# All triplets of 92 photographs hold each pair 90 times: a part of them says as much, in less memory.
MOST = 20_000


def similarity(run: Run) -> Iterator[Row]:
    """Agreement with the judgments of every set at hand (units: photograph, and person where there are several)."""
    looked_at = [*sets.asked(run.profile), *sets.judged_pictures(run.profile)]
    if NEAR in looked_at:
        yield from _judged(run, NEAR, SPLIT, sets.similarity_92().matrices)
    for name in looked_at:
        if name in sets.GATED:
            yield from _judged(run, name, name, sets.judged(run.profile, name).matrices)
    if "things" in looked_at:
        told, rows = sets.things_48(things(run.profile.evidence).names)
        drawn = weights(run.profile, len(told))
        found = {m: rsa.matrices(rsa.dissimilarities(x[rows]), told, drawn)["spearman"] for m, x in everyone(run, "things")}
        yield from compared(found, "similarity-judgments", "48 THINGS objects", "rsa-spearman")


def _judged(run: Run, which: str, split: str, matrices: Float[np.ndarray, "people n n"]) -> Iterator[Row]:
    """Score every model on one set; one matrix may be that of all people together."""
    draws, seed, number = run.profile.evaluation.bootstrap_draws, run.profile.seed, matrices.shape[1]
    models = dict(everyone(run, which))
    similar = {model: people.backbone_similarity(x) for model, x in models.items()}
    if len(matrices) == 1:
        drawn = weights(run.profile, number)
        alone = {model: rsa.matrices(-each, matrices[0], drawn)["spearman"] for model, each in similar.items()}
        yield from compared(alone, "similarity-judgments", split, "rsa-spearman")
        return
    together = {model: people.across_people_and_images(each, matrices, draws, seed) for model, each in similar.items()}
    yield from compared(together, "similarity-judgments", split, "rsa-spearman")
    each = rsa.with_people(
        {"\n".join(model): -matrix for model, matrix in similar.items()},
        matrices, weights(run.profile, number), weights(run.profile, len(matrices), 1),
    )  # fmt: skip
    for bound in rsa.CEILINGS:
        yield Row(*PEOPLE, "similarity-judgments", split, f"rsa-each-person-{bound}", each[bound])
    yield from compared({model: each["\n".join(model)] for model in models}, "similarity-judgments", split, "rsa-each-person")
    for metric, estimate in persons.ceilings(matrices, draws, seed).items():
        yield Row(*PEOPLE, "similarity-judgments", split, metric, estimate)
    for metric, estimate in persons.left_out(matrices, [np.arange(number)], draws, seed).items():
        yield Row(*PEOPLE, "odd-one-out" if metric == "accuracy" else "similarity-judgments", split, metric, estimate)
    chosen = ByObject.of(people.group_choices(matrices), number)
    some = stream(run.profile, 7).permutation(len(chosen.triplets))[:MOST]
    few, drawn = ByObject(chosen.triplets[some], chosen.shares[some], number), weights(run.profile, number)
    right = {model: people.accuracy(cosine_similarities(x, few.triplets), few, drawn) for model, x in models.items()}
    yield from compared(right, "odd-one-out", split, "accuracy")
