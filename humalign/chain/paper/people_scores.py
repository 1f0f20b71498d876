"""Scores against people's judgments (or, in a rehearsal, those of simulated observers): odd one out, uncertainty, similarity."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from humalign import triplets
from humalign.chain import features, judged, teach
from humalign.chain import sets as pictures
from humalign.chain.inputs import stream
from humalign.chain.paper.rows import PEOPLE, Model, Row, compared, everyone, evidence, temperatures, weights
from humalign.chain.pipeline import Run
from humalign.data import readers, registry, wordnet
from humalign.data.judgments import ByObject, cosine_similarities, entropy
from humalign.evaluation import hierarchy, levels, odd_one_out, people, rsa, uncertainty
from humalign.evaluation.checks import check_features
from humalign.evaluation.scores import Estimate, mean_of_folds

LEVELS = ("global-coarse", "local-fine", "class-boundary")


# ---- THINGS ----------------------------------------------------------------------------------------------------------


def things(run: Run) -> Iterator[Row]:
    """Odd one out of the objects: zero-shot by cosine, as in the paper; the teacher has heard other answers about them (unit: object)."""
    profile, known = run.profile, judged.things(run.profile.evidence)
    kind, drawn = evidence(profile), weights(profile, len(known.names))
    answers = ByObject.of(known.validation, len(known.names))
    found = {m: people.accuracy(cosine_similarities(x, answers.triplets), answers, drawn) for m, x in everyone(run, "things")}
    yield from compared(found, "odd-one-out", "THINGS", "accuracy", kind)
    yield (*PEOPLE, "odd-one-out", "THINGS", "accuracy"), kind, odd_one_out.noise_ceiling(known.repeated, drawn)
    yield from _photographs_judged(run, answers)
    heat = temperatures(run, known, found)
    entropies, surprise = {}, {}
    for model, x in everyone(run, "things"):
        entropies[model] = uncertainty.entropy_agreement(x[None], known.repeated, heat[model], drawn)
        surprise[model] = uncertainty.cross_entropy(x[None], known.repeated, heat[model], drawn)
    yield from compared(entropies, "uncertainty", "THINGS, repeated", "entropy-spearman", kind)
    yield from compared(surprise, "uncertainty", "THINGS, repeated", "cross-entropy", kind)


def _photographs_judged(run: Run, answers: ByObject) -> Iterator[Row]:
    """Odd one out where all three photographs are those that people judged, none a substitute (unit: object)."""
    rows = np.flatnonzero(pictures.objects_judged(run))
    if len(rows) < 3:  # the profile shows other photographs
        return
    inside, drawn = answers[rows], weights(run.profile, len(rows))
    found = {
        model: people.accuracy(cosine_similarities(x[rows], inside.triplets), inside, drawn) for model, x in everyone(run, "things")
    }
    yield from compared(found, "odd-one-out", "THINGS, photographs judged", "accuracy", evidence(run.profile))


def unseen_objects(run: Run) -> Iterator[Row]:
    """The teacher of each fold, on answers about objects of which it has heard none (unit: object; means over folds)."""
    if not run.profile.teachers:
        return
    profile, known = run.profile, judged.things(run.profile.evidence)
    x, found = features.read(run, profile.labeller.backbones[0], "teacher-base", "things"), dict[Model, list[Estimate]]()
    both = (known.training, known.validation)
    answers = ByObject.of((np.concatenate([c.triplets for c in both]), np.concatenate([c.shares for c in both])), len(known.names))
    folds = [part for part in judged.parts(run, profile.labeller) if len(part.test)]
    for number, part in enumerate(folds):
        test = part.test
        rows, drawn = answers[test], weights(profile, len(test), number)
        for stage, places in (("teacher-base", x[test]), ("teacher", teach.fitted(run, profile.labeller, part.name).transform(x[test]))):
            similar = cosine_similarities(places, rows.triplets)
            found.setdefault((profile.labeller.backbones[0], stage), []).append(people.accuracy(similar, rows, drawn))
    means = {model: mean_of_folds(estimates) for model, estimates in found.items()}
    yield from compared(means, "odd-one-out", "THINGS, unseen objects", "accuracy", evidence(profile))


def categories(run: Run) -> Iterator[Row]:
    """How far objects that share a category stand apart, and those that share none (unit: object)."""
    known = judged.things(run.profile.evidence)
    member, drawn = known.categories.to_numpy(), weights(run.profile, len(known.names))
    relations = {model: hierarchy.of_categories(x, member, drawn) for model, x in everyone(run, "things")}
    yield from by_relation(relations, "THINGS", evidence(run.profile, "taxonomy"))


def objects_along_wordnet(run: Run) -> Iterator[Row]:
    """How distances of objects follow the steps of WordNet between their nouns (unit: object)."""
    profile, known = run.profile, judged.things(run.profile.evidence)
    nouns = wordnet.things_ids(registry.locate("things-names"), known.names)
    above = wordnet.hypernyms(registry.locate("wordnet-nouns"))
    named = np.flatnonzero([noun in above for noun in nouns])
    some = np.sort(stream(profile, 16).permutation(named)[: profile.evaluation.compared_images])
    yield from along_wordnet(run, "THINGS", "things", some, [nouns[thing] for thing in some], above)


def along_wordnet(
    run: Run, where: str, which: str, things: Int[np.ndarray, " things"], nouns: list[str], above: wordnet.Hypernyms
) -> Iterator[Row]:
    """Yield how each model's distances of some pictures of a set follow the steps between the nouns of what they show."""
    steps, drawn, kind = wordnet.path_lengths(nouns, above), weights(run.profile, len(things)), evidence(run.profile, "taxonomy")
    paths = {model: hierarchy.of_paths(x[things], steps, drawn) for model, x in everyone(run, which)}
    follows = {model: estimates.pop("path-spearman") for model, estimates in paths.items()}
    yield from compared(follows, "hierarchy", f"{where}, WordNet", "path-spearman", kind)
    yield from by_relation(paths, where, kind)


def by_relation(relations: dict[Model, dict[str, Estimate]], where: str, kind: str) -> Iterator[Row]:
    """Yield each model's standardised distance in each relation, compared between stages."""
    for name in next(iter(relations.values())):
        found = {model: estimates[name] for model, estimates in relations.items()}
        yield from compared(found, "hierarchy", f"{where}, {name}", "standardised-distance", kind)


# ---- Levels ----------------------------------------------------------------------------------------------------------


def at_levels(run: Run) -> Iterator[Row]:
    """Odd one out at three levels of abstraction, its ceilings, and entropy against response times (units: person and triplet)."""
    profile, kind, answers = run.profile, evidence(run.profile), pictures.levels_answers(run.profile)
    heat = temperatures(run, judged.things(profile.evidence), features.models(profile))
    rows = answers.rows_in(pictures.names(run, "levels"))
    for number, level in enumerate(LEVELS):
        rng = stream(profile, 18, number)
        pool = levels.asked(levels.counted(answers.at(level), rng))
        four = pool.drawn(rng)
        drawn = weights(profile, pool.people, 1), weights(profile, len(pool.triplets))
        ceilings = {"accuracy": levels.leave_one_out_ceiling(pool, *drawn), "majority-share": levels.majority_ceiling(four, *drawn)}
        for metric, estimate in ceilings.items():
            yield (*PEOPLE, "odd-one-out", level, metric), kind, estimate
        yield (*PEOPLE, "uncertainty", level, "median-seconds"), kind, levels.median_seconds(answers, level, drawn[0])
        times = {PEOPLE: levels.response_times(four.entropies, pool, drawn[1])}
        found = {}
        for model, x in everyone(run, "levels"):
            similar = cosines(x, rows[pool.triplets])
            found[model] = levels.accuracy(similar, pool, *drawn)
            times[model] = levels.response_times(entropy(softmax(similar.astype(float) / heat[model], axis=1)), pool, drawn[1])
        yield from compared(found, "odd-one-out", level, "accuracy", kind)
        yield from compared(times, "uncertainty", level, "response-time-entropy-spearman", kind)


def cosines(x: Float[np.ndarray, "images dim"], asked: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Return cosines of the pairs of triplets among tens of thousands of pictures, without all pairs of these."""
    check_features(x)
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(x.dtype).tiny)
    return triplets.similarities(unit, asked)


# ---- similarity judgments --------------------------------------------------------------------------------------------


def similarity(run: Run) -> Iterator[Row]:
    """Representational similarity on every set of judged photographs (units: photograph, and person where there are several)."""
    profile = run.profile
    known = pictures.similarity_92()
    yield from _judged(run, "kriegeskorte-92", "92 photographs", known.matrices)
    for name in filter(pictures.at_hand, pictures.GATED):
        yield from _judged(run, name, name, pictures.judged(profile, name).matrices)
    matrix, rows = readers.things48(registry.locate("things-48"), judged.things(profile.evidence).names)
    yield from _agreement(run, "48 THINGS objects", {m: x[rows] for m, x in everyone(run, "things")}, matrix)


def _judged(run: Run, which: str, split: str, matrices: Float[np.ndarray, "people n n"]) -> Iterator[Row]:
    models = dict(everyone(run, which))
    yield from _agreement(run, split, models, matrices.mean(0))
    if len(matrices) > 1:
        drawn = weights(run.profile, matrices.shape[1]), weights(run.profile, len(matrices), 1)
        apart = {"\n".join(model): rsa.dissimilarities(x) for model, x in models.items()}
        found = rsa.with_people(apart, matrices, *drawn)
        kind = evidence(run.profile)
        for bound in rsa.CEILINGS:
            yield (*PEOPLE, "similarity-judgments", split, f"rsa-each-person-{bound}"), kind, found[bound]
        each = {model: found["\n".join(model)] for model in models}
        yield from compared(each, "similarity-judgments", split, "rsa-each-person", kind)


def _agreement(run: Run, split: str, models: dict[Model, np.ndarray], judged: Float[np.ndarray, "n n"]) -> Iterator[Row]:
    drawn = weights(run.profile, len(judged))
    found = {model: rsa.matrices(rsa.dissimilarities(x), judged, drawn)["spearman"] for model, x in models.items()}
    yield from compared(found, "similarity-judgments", split, "rsa-spearman", evidence(run.profile))
