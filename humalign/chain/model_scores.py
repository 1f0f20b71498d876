"""Scores of models beside models, no person asked: do different models come to see alike, and where do two students disagree?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from humalign.chain import photographs, student_scores, teach
from humalign.chain.judged import Name, things
from humalign.chain.pipeline import Run
from humalign.evaluation import between_models, disagreement, people
from humalign.evaluation.correlation import weighted_pearson
from humalign.evaluation.scores import Estimate, mean_of_folds, resamples
from humalign.teach.teacher import AffineTeacher

# Pairs of photographs on which two students disagree most: so many are scored, and so many shown.
MOST_APART, SHOWN = 200, 10
Features = Float[np.ndarray, "images dim"]


def rows(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Yield every score of models beside models: how alike they are, and where they disagree."""
    for part in (_between_models, _disagreement):
        yield from part(run)


# ---- models beside models ------------------------------------------------------------------------------------------------------------


def _between_models(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """CKA and RSA of two models on the 92 photographs: backbones before and after each one's teacher; the student and its teacher.

    A student is also set beside the other backbones as they are, which tells whether it comes nearer to a network or to the map of it.
    """
    profile, split = run.profile, "92 photographs"
    shown = photographs.features(run)
    near = {model: features["kriegeskorte-92"] for model, features in shown.items()}
    weights = resamples(len(near[profile.backbones[0]]), profile.evaluation.bootstrap_draws, profile.seed)
    taught = {model: _placed(teach.fitted(run, profile.labeller, model=model), near[model]) for model in shown}
    backbones = [model for model in shown if "+" not in model]
    stages = {"teacher-base": near, "teacher": taught}
    before_after = {stage: _alike({model: features[model] for model in backbones}, weights) for stage, features in stages.items()}
    for pair, metric in before_after["teacher-base"]:
        base, teacher = (before_after[stage][pair, metric] for stage in stages)
        yield (pair, "teacher-base", "between-models", split, metric), base
        yield (pair, "teacher", "between-models", split, metric), teacher
        yield (pair, "teacher", "between-models", split, f"{metric}-above-teacher-base"), teacher - base
    student = profile.backbones[0]
    others = {"its teacher": taught["+".join(profile.labeller.backbones)]}
    others |= {f"{model} as it is": near[model] for model in backbones if model != student}
    for name, other in others.items():
        by_stage = {
            stage: _alike({student: student_scores.features_of(run, stage)["kriegeskorte-92"], name: other}, weights)
            for stage in student_scores.STAGES
        }
        for pair, metric in by_stage["base"]:
            each = {stage: found[pair, metric] for stage, found in by_stage.items()}
            for (_, stage, *rest), estimate in student_scores.compared(run, "between-models", split, metric, each):
                yield (pair, stage, *rest), estimate  # type: ignore[misc]


def _placed(teacher: AffineTeacher, features: Features) -> Float[np.ndarray, "images places"]:
    return np.asarray(teacher.transform(features), dtype=float)


def _alike(models: dict[str, Features], weights: Float[np.ndarray, "draws images"]) -> dict[tuple[str, str], Estimate]:
    return {(pair, metric): estimate for pair, metric, estimate in between_models.alike(models, weights)}


# ---- aligned against unaligned -------------------------------------------------------------------------------------------------------


def _disagreement(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Pairs of THINGS photographs on which aligned student and control disagree most, and whose distances the published VICE shares.

    Both students are asked about the half of the photographs that no teacher of the aligned one saw. The correlation of distances with
    the similarities of the VICE, among these pairs alone, stands in the place of people's ratings (unit: image).
    """
    profile, model = run.profile, run.profile.backbones[0]
    objects = photographs.objects()
    known = things()
    half = photographs.halves(profile, len(objects))
    agreed: dict[str, list[Estimate]] = {}
    shown: list[tuple[float, str, dict[str, float]]] = []
    for number in photographs.HALVES:
        inside = np.flatnonzero(half == number)
        apart = {
            stage: disagreement.standardised(student_scores.features_of(run, stage, number)["things-photographs"][inside])
            for stage in ("unaligned", "aligned")
        }
        i, j = disagreement.most_apart(apart["aligned"], apart["unaligned"], MOST_APART // len(photographs.HALVES)).T
        people_say = people.dot_similarity(known.published[objects[inside]])
        weights = resamples(len(inside), profile.evaluation.bootstrap_draws, profile.seed * 1000 + number)
        for stage, distance in apart.items():
            drawn = [weighted_pearson(distance[i, j], people_say[i, j], w[i] * w[j]) for w in weights]
            agreed.setdefault(stage, []).append(Estimate.of(np.array(drawn), len(i)))
        for a, b in zip(i[:SHOWN], j[:SHOWN], strict=True):
            names = " + ".join(known.names[objects[inside[o]]].replace("_", " ") for o in (a, b))
            shown.append((abs(apart["aligned"][a, b] - apart["unaligned"][a, b]), names, {s: float(d[a, b]) for s, d in apart.items()}))
    means = {stage: mean_of_folds(estimates) for stage, estimates in agreed.items()}
    yield from student_scores.compared(run, "disagreement-vice", f"{MOST_APART} pairs", "distance-pearson", means)
    for place, (_, names, distances) in enumerate(sorted(shown, key=lambda pair: -pair[0])[:SHOWN], 1):
        for stage, value in distances.items():
            yield (model, stage, "disagreement", f"{place}: {names}", "standardised-distance"), Estimate(value, np.array([value]), 1)
