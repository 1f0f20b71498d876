"""Scores of the teacher of objects, on objects that it never saw: answers, calibration, dimensions, learning curves, and recovery."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from humalign.chain import people_shown, teach
from humalign.chain.inputs import stream
from humalign.chain.judged import CLIP, Name, things
from humalign.chain.observe import observer
from humalign.chain.pipeline import Run
from humalign.data.judgments import ByObject, Choices, majority_share, random_triplets
from humalign.evaluation import people, uncertainty
from humalign.evaluation.correlation import matrix_pearson
from humalign.evaluation.scores import Estimate, mean_of_folds, resamples
from humalign.teach.mixed_effects import MixedEffectsTeacher

CALIBRATED = ("teacher-base", "teacher-one-hot", "teacher-published", "teacher-distilled", "teacher")


def objects(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Accuracy, calibration and dimensions on the test objects: means over folds, objects resampled within each."""
    profile, known = run.profile, things()
    rows: dict[Name, list[Estimate]] = defaultdict(list)
    for f, (train, test) in enumerate(known.folds(profile)):
        for name, estimate in _fold(run, f, train, test):
            rows[name].append(estimate)
    for name, estimates in rows.items():
        if len(estimates) == profile.teachers[0].parts.folds:
            yield name, mean_of_folds(estimates)


def _fold(run: Run, f: int, train: np.ndarray, test: np.ndarray) -> Iterator[tuple[Name, Estimate]]:
    profile, known = run.profile, things()
    answers, features = known.answers[test], known.features[test]
    weights = resamples(len(test), profile.evaluation.bootstrap_draws, profile.seed * 1000 + f)
    centre = known.features[train].mean(0)
    heat = uncertainty.fit_temperature(known.features[train][None], known.answers[train])
    raw = {"teacher-base": features, "teacher-centred": features - centre}
    own = {stage: people.pair_values(cosines(x), answers.triplets) for stage, x in raw.items()}
    matrices = {"teacher-base": cosines(features)}
    chances = {"teacher-base": softmax(own["teacher-base"] / heat, axis=1)}
    for stage in teach.ANSWERS:
        teacher = teach.fitted(run, run.profile.teachers[0], f"fold{f}", stage)
        places = teacher.transform(features)
        # A map towards places has an origin that means something; the pull keeps a map of the features, which cosines compare.
        cosine = people.pair_values(cosines(places), answers.triplets)
        chances[stage] = teacher.choice_probabilities(features, answers.triplets)
        own[stage] = cosine if stage == "teacher-one-hot" else chances[stage]
        matrices[stage] = people.dot_similarity(places)
        yield (CLIP, stage, "odd-one-out", "unseen objects", "accuracy-cosine"), people.accuracy(cosine, answers, weights)
    found = {stage: people.accuracy(similar, answers, weights) for stage, similar in own.items()}
    for stage, estimate in found.items():
        yield (CLIP, stage, "odd-one-out", "unseen objects", "accuracy"), estimate
        for reference in ("teacher-base", "ridge", "teacher"):
            if stage not in raw and stage != reference:
                yield (CLIP, stage, "odd-one-out", "unseen objects", f"accuracy-above-{reference}"), estimate - found[reference]
    published = people.pair_values(people.dot_similarity(known.published[test]), answers.triplets)
    yield ("vice-published", "observer", "odd-one-out", "unseen objects", "accuracy"), people.accuracy(published, answers, weights)
    before, after = (people.by_category(own[stage], answers, known.categories.iloc[test], weights) for stage in ("teacher-base", "teacher"))
    for (category, base), (_, estimate) in zip(before, after, strict=True):
        if estimate.n >= 200:
            yield (CLIP, "teacher-base", "odd-one-out", f"category/{category}", "accuracy"), base
            yield (CLIP, "teacher", "odd-one-out", f"category/{category}", "accuracy"), estimate
            yield (CLIP, "teacher", "odd-one-out", f"category/{category}", "accuracy-above-teacher-base"), estimate - base
    calibrated = {stage: people.calibration(chances[stage], answers, weights) for stage in CALIBRATED}
    for stage, (error, steps) in calibrated.items():
        yield (CLIP, stage, "calibration", "unseen objects", "expected-calibration-error"), error
        for reference in ("teacher-base", "teacher"):
            if stage not in ("teacher-base", reference):
                gap = error - calibrated[reference][0]
                yield (CLIP, stage, "calibration", "unseen objects", f"expected-calibration-error-above-{reference}"), gap
        for step, (sure, right) in steps.items():
            yield (CLIP, stage, "calibration", f"step {step}", "confidence"), sure
            yield (CLIP, stage, "calibration", f"step {step}", "accuracy"), right
    for d in range(known.published.shape[1]):
        label = ", ".join(known.names[o] for o in np.argsort(-known.published[:, d])[:3])
        shared = {
            stage: people.shared_dimension(matrices[stage], known.published[test, d], weights) for stage in ("teacher-base", "teacher")
        }
        for stage, estimate in shared.items():
            yield (CLIP, stage, "dimensions", label, "similarity"), estimate
        gained = shared["teacher"] - shared["teacher-base"]
        yield (CLIP, "teacher", "dimensions", label, "similarity-above-teacher-base"), gained


def cosines(features: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n n"]:
    """Return the cosines of every two rows."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return np.asarray(unit @ unit.T, dtype=float)


def observers(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """What people agree on, and how well models of the observers predict it; answers resampled by object, shares by triplet."""
    profile, known = run.profile, things()
    of_objects = resamples(len(known.features), profile.evaluation.bootstrap_draws, profile.seed)
    triplets = resamples(len(known.repeated), profile.evaluation.bootstrap_draws, profile.seed)
    validation = ByObject.of(known.validation, len(known.features))

    def ceiling(values: np.ndarray) -> Estimate:
        return Estimate.of(triplets @ values / len(values), len(values))

    yield ("people", "ceiling", "odd-one-out", "repeated triplets", "accuracy"), ceiling(majority_share(known.repeated.counts))
    whole = len(known.training)
    fits = {f"{round(share * whole)} answers": [f"share{share:g}"] for share in profile.observer.shares}
    fits |= {f"{whole} answers": ["seed0"]}
    if profile.observer.seeds > 1:
        fits["all seeds"] = [f"seed{seed}" for seed in range(profile.observer.seeds)]
    predicted: dict[tuple[str, str, str], tuple[np.ndarray, np.ndarray]] = {}
    for split, names in fits.items():
        several = [observer(run, name) for name in names]
        predicted["vice", "observer", split] = tuple(
            np.mean([one.predict(rows.triplets) for one in several], axis=0, dtype=float) for rows in (validation, known.repeated)
        )
        sizes = [one.mean.shape[1] for one in several]
        yield (
            ("vice", "observer", "observer-model", split, "dimensions"),
            Estimate(float(np.mean(sizes)), np.array(sizes, float), len(sizes)),
        )
    published = people.dot_similarity(known.published)
    predicted["vice-published", "observer", "published"] = tuple(
        softmax(people.pair_values(published, rows.triplets), axis=1) for rows in (validation, known.repeated)
    )
    teacher = MixedEffectsTeacher(residual=0.2, iterations=100).fit(known.features, known.training)
    placed = people.dot_similarity(teacher.places_)
    predicted[CLIP, "teacher", f"{whole} answers"] = tuple(
        softmax(people.pair_values(placed, rows.triplets), axis=1) for rows in (validation, known.repeated)
    )
    for (model, stage, split), (answered, shares) in predicted.items():
        yield (model, stage, "observer-model", split, "accuracy"), people.accuracy(answered, validation, of_objects)
        for metric, estimate in people.repeated(shares, known.repeated, triplets).items():
            yield (model, stage, "observer-model", split, metric), estimate


def learning_curves(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Accuracy of the teacher on unseen objects by the number of answers, and by the number of objects, that it is fitted to."""
    profile, known = run.profile, things()
    notes = [teach.notes(run, profile.teachers[0], f"fold{f}") for f in range(profile.teachers[0].parts.folds)]
    for kind in ("answers", "objects"):
        reached: dict[str, Estimate] = {}
        for share in (*profile.evaluation.curve_shares, 1.0):
            estimates, counts = [], []
            for f, (train, test) in enumerate(known.folds(profile)):
                rng = stream(profile, 4, f)
                answers, features = known.answers[train], known.features[train]
                if kind == "answers":
                    kept = rng.permutation(len(answers.triplets))[: round(share * len(answers.triplets))]
                    answers = ByObject(answers.triplets[kept], answers.shares[kept], len(train))
                else:
                    # Half the objects have an eighth of the answers: square roots keep the smallest set large enough to fit.
                    some = np.sort(rng.permutation(len(train))[: round(share ** (1 / 2) * len(train))])
                    answers, features = answers[some], features[some]
                counts.append(len(answers.triplets) if kind == "answers" else len(features))
                teacher = MixedEffectsTeacher(**notes[f]["teacher"]).fit(features, answers)
                rows = known.answers[test]
                weights = resamples(len(test), profile.evaluation.bootstrap_draws, profile.seed * 1000 + f)
                estimates.append(people.accuracy(teacher.choice_probabilities(known.features[test], rows.triplets), rows, weights))
            reached[f"{round(np.mean(counts))} {kind}"] = everything = mean_of_folds(estimates)
        for split, estimate in reached.items():
            yield (CLIP, "teacher", "learning-curve", split, "accuracy"), estimate
            if estimate is not everything:
                yield (CLIP, "teacher", "learning-curve", split, "accuracy-above-all"), estimate - everything


def recovery(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Simulated answers by a known affine map: how near the fitted similarities of unseen objects come to the truth as answers grow."""
    profile, known = run.profile, things()
    train, test = known.folds(profile)[0]
    rng = stream(profile, 6)
    centred = known.features - known.features[train].mean(0)
    # The directions that vary most over the objects, turned at random, at a scale that makes the answers as sure as people's.
    _, _, directions = np.linalg.svd(centred[train], full_matrices=False)
    space = (
        centred
        @ directions[: profile.evaluation.recovery_dim].T
        @ np.linalg.qr(rng.standard_normal((profile.evaluation.recovery_dim,) * 2))[0]
    )
    space *= 2.0 / np.sqrt((space[train] ** 2).sum(1).mean())
    truth = people.dot_similarity(space[test])
    weights = resamples(len(test), profile.evaluation.bootstrap_draws, profile.seed)
    for answers in profile.evaluation.recovery_answers:
        asked = random_triplets(np.arange(len(train)), answers, rng)
        chances = softmax(people.pair_values(people.dot_similarity(space[train]), asked), axis=1)
        choices = Choices(asked, rng.multinomial(1, chances).astype(np.int64))
        teacher = MixedEffectsTeacher(dim=2 * profile.evaluation.recovery_dim, residual=0.05, ridge=1e-4).fit(
            known.features[train], choices
        )
        found = people.dot_similarity(teacher.transform(known.features[test]))
        correlation = Estimate.of(matrix_pearson(found, truth, weights), len(test))
        yield (CLIP, "teacher", "recovery", f"{answers} answers", "similarity-pearson"), correlation


def examples(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Single triplets and dimensions, for the book to show."""
    yield from people_shown.triplets(run, things(), CLIP)
    yield from people_shown.dimensions(run, things(), observer(run, "seed0"))
