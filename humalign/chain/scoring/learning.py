"""How well answers are learned, by models of observers, teachers and students; single examples."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from scipy.stats import t

from humalign.chain import curves, features, further, judged, label, teach
from humalign.chain.judged import CLIP, Things, object_folds, things
from humalign.chain.observe import observer
from humalign.chain.pipeline import Run, stream
from humalign.chain.scoring import objects
from humalign.chain.scoring.rows import PEOPLE, PUBLISHED, Model, Row, Spread, measures, of_fold, weights
from humalign.data import judgments
from humalign.evaluation import people
from humalign.evaluation.correlation import matrix_pearson
from humalign.evaluation.scores import Estimate, above, mean_of_folds

TOP_OBJECTS = 6
# Where a shown triplet stands when all are ordered by the entropy of their answers.
PLACES = {"clear": 0.1, "typical": 0.5, "open": 0.9}
LABELLED_BY = {"aligned": "teacher", "unaligned": "teacher-base"}
# Points of a training curve that are kept.
POINTS = 13


def observers(run: Run) -> Iterator[Row]:
    """What people agree on, and what models of them predict (units: object, and triplet for shares)."""
    profile, known = run.profile, things()
    of_objects, triplets = weights(profile, len(known.features)), weights(profile, len(known.repeated))
    validation = judgments.ByObject.of(known.validation, len(known.features))
    values = judgments.majority_share(known.repeated.counts)
    agreed = Estimate.of(triplets @ values / len(values), len(values))
    yield Row(*PEOPLE, "odd-one-out", "repeated triplets", "accuracy", agreed)
    whole, seeds = len(known.training), profile.observer.seeds
    fits = {f"{round(share * whole)} answers": [f"share{share:g}"] for share in profile.observer.shares}
    fits |= {f"{whole} answers": ["seed0"]}
    if seeds > 1:
        fits["all seeds"] = [f"seed{seed}" for seed in range(seeds)]
    asked = [each.triplets for each in (validation, known.repeated)]
    predicted: dict[tuple[Model, str], list[np.ndarray]] = {}
    for split, names in fits.items():
        several = [observer(run, name) for name in names]
        each = [np.mean([one.predict(rows) for one in several], axis=0, dtype=float) for rows in asked]
        predicted[("vice", "observer"), split] = each
        sizes = np.array([one.mean.shape[1] for one in several], float)
        dimensions = Estimate(float(sizes.mean()), sizes, len(sizes))
        yield Row("vice", "observer", "observer-model", split, "dimensions", dimensions)
    predicted[PUBLISHED, "published"] = [people.choices(known.published, rows) for rows in asked]
    places = further.read(run, "observers")["all"]
    predicted[(CLIP, "teacher"), f"{whole} answers"] = [people.choices(places, rows) for rows in asked]
    for (model, split), (answered, shares) in predicted.items():
        right = {"accuracy": people.accuracy(answered, validation, of_objects)}
        found = right | people.repeated(shares, known.repeated, triplets)
        yield from measures({model: found}, "observer-model", split)


def learning_curves(run: Run) -> Iterator[Row]:
    """Accuracy of the teacher on unseen objects by the number of answers, and of objects, of its fit."""
    profile, known, places = run.profile, things(), further.read(run, "learning-curves")
    folds = object_folds(len(known.names), further.answers_teacher(profile).parts.folds)
    for kind in further.KINDS:
        reached: dict[str, Estimate] = {}
        for name, share in ((name, share) for name, each, share in further.curve(profile) if each == kind):
            estimates, counts = [], []
            for f, (train, test) in enumerate(folds):
                whole = len(known.answers[train].triplets if kind == "answers" else train)
                counts.append(further.number(kind, share, whole))
                rows, drawn = known.answers[test], of_fold(profile, len(test), f)
                similar = judgments.cosine_similarities(places[f"{name}-fold{f}"], rows.triplets)
                estimates.append(people.accuracy(similar, rows, drawn))
            reached[f"{round(np.mean(counts))} {kind}"] = everything = mean_of_folds(estimates)
        for name, estimate in reached.items():
            at = (CLIP, "teacher", "learning-curve", name)
            yield Row(*at, "accuracy", estimate)
            if estimate is not everything:
                yield Row(*at, above("accuracy", "all"), estimate - everything)


def recovery(run: Run) -> Iterator[Row]:
    """Answers simulated by a known map: how near a fit comes to unseen similarities as answers grow."""
    profile, known, places = run.profile, things(), further.read(run, "recovery")
    _, test = object_folds(len(known.names), further.answers_teacher(profile).parts.folds)[0]
    truth = people.dot_similarity(further.known_map(profile, known, stream(profile, 6))[test])
    drawn = weights(profile, len(test))
    for answers in profile.evaluation.recovery_answers:
        found = matrix_pearson(people.dot_similarity(places[f"{answers}"]), truth, drawn)
        near = Estimate.of(found, len(test))
        yield Row(CLIP, "teacher", "recovery", f"{answers} answers", "similarity-pearson", near)


def training(run: Run) -> Iterator[Row]:
    """Numbers of the run itself, means and range over parts: regularisation, VICE, labels, training."""
    profile = run.profile
    if not profile.teachers:
        return
    teacher, parts = profile.labeller, judged.part_names(profile.labeller)
    model, notes = judged.labels_with(teacher), [teach.notes(run, teacher, part) for part in parts]
    for name in ("vice_dimensions", "vice_correlation", "pull"):
        if name in notes[0]:
            found = Spread.of([note[name] for note in notes])
            yield Row(model, "teacher", "fit", "range over folds", name.replace("_", "-"), found)
    for strength in teacher.pulls if "pulls" in notes[0] else ():
        found = Spread.of([note["pulls"][str(strength)] for note in notes])
        yield Row(model, "teacher", "pull-selection", f"{strength:g}", "accuracy", found)
    files = [run.path(f"triplets/{part}/summary.json") for part in label.part_names(profile)]
    summaries = [json.loads(file.read_text()) for file in files]
    for labelling, stage in LABELLED_BY.items():
        for metric in summaries[0][labelling] if summaries else ():
            found = Spread.of([each[labelling][metric] for each in summaries])
            yield Row(model, stage, "triplets", profile.triplets.sampling, metric, found)
    logs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for student, part, stage in features.taught(profile):
        file = run.path(features.student_file(student.backbone, part, stage)).with_suffix(".json")
        logs.setdefault((student.backbone, stage), []).append(json.loads(file.read_text()))
    for student_at, several in logs.items():
        for step in np.unique(np.linspace(0, profile.distillation.steps - 1, POINTS).astype(int)):
            found = Spread.of([log["divergence"][step] for log in several])
            yield Row(*student_at, "distillation", f"step {step}", "divergence", found)
        for step, values in several[0].get("evaluations", {}).items():
            split = f"validation triplets, step {step}"
            for metric in values:
                found = Spread.of([log["evaluations"][step][metric] for log in several])
                yield Row(*student_at, "distillation", split, f"{metric}-with-labels", found)


def dense_against_sparse(run: Run) -> Iterator[Row]:
    """Agreement with the teacher on photographs held back, by images seen: mean and interval over seeds."""
    task, found = (run.profile.backbones[0], "aligned", "dense-against-sparse"), curves.read(run)
    for kind, several in found.items():
        for place, (images, _) in enumerate(several[0]):
            estimate = over_seeds(np.array([curve[place][1] for curve in several]))
            yield Row(*task, f"{kind}/{images} images", "agreement-with-teacher", estimate)
    shares = [share_of_images(*each) for each in zip(found["dense"], found["sparse"], strict=True)]
    yield Row(*task, "equal agreement", "share-of-images", over_seeds(np.array(shares)))


def share_of_images(dense: list[tuple[int, float]], sparse: list[tuple[int, float]]) -> float:
    """Return what part of the sparse images dense ones take to the agreement that both curves reach.

    NaN where that is no more than the untrained student had: it takes no image at all.
    """
    both_reach = min(dense[-1][1], sparse[-1][1])
    of_sparse = images_needed(sparse, both_reach)
    return images_needed(dense, both_reach) / of_sparse if of_sparse else float("nan")


def images_needed(curve: list[tuple[int, float]], agreement: float) -> float:
    """Return after how many images a curve of (images, agreement), interpolated, has an agreement, or NaN."""
    for (before, low), (after, high) in itertools.pairwise(curve):
        if high >= agreement:
            reach = (after - before) * max(agreement - low, 0.0)
            return before + reach / (high - low) if high > low else float(before)
    return float("nan")


def over_seeds(values: Float[np.ndarray, " seeds"]) -> Estimate:
    """Return the mean over training runs; its draws are quantiles of Student's distribution of that mean."""
    spread = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    quantiles = t.ppf((np.arange(9999) + 0.5) / 9999, max(len(values) - 1, 1))
    return Estimate(float(values.mean()), values.mean() + spread * quantiles, len(values))


def examples(run: Run) -> Iterator[Row]:
    """Single triplets with their answers, and dimensions with their objects."""
    yield from _triplets(run, things())
    yield from _dimensions(run, things())


def _triplets(run: Run, known: Things) -> Iterator[Row]:
    """Three triplets chosen by the entropy of their answers, and models that saw none of their objects.

    All objects of a triplet are in one test fold. People's shares are resampled by answer; a model's
    probability of one triplet is a number without an interval.
    """
    profile, asked = run.profile, known.repeated
    folds = objects.folds(run, further.answers_teacher(profile))
    home, everything = objects.home(folds, asked.triplets), np.arange(len(known.names))
    for place, row in typical_rows(asked, home >= 0).items():
        triplet = asked.triplets[row : row + 1]
        chances = folds[home[row]].chances(everything, triplet)
        named = [f"{place}: {pair}" for pair in pair_names(triplet[0], known.names)]
        shares = answer_shares(asked.counts[row], profile.evaluation.bootstrap_draws, profile.seed)
        for split, share in zip(named, shares, strict=True):
            yield Row(*PEOPLE, "example-triplet", split, "share", share)
        for stage in ("teacher-base", "teacher"):
            for split, chance in zip(named, chances[stage][0], strict=True):
                single = Estimate(float(chance), np.array([chance], float), 1)
                yield Row(CLIP, stage, "example-triplet", split, "probability", single)


def _dimensions(run: Run, known: Things) -> Iterator[Row]:
    """Dimensions of our VICE, largest first: share of weight, nearest published dimension (unit: object)."""
    own = observer(run, "seed0").mean.relu().numpy().astype(float)
    drawn = weights(run.profile, len(own))
    mass = drawn @ own
    for place, d in enumerate(np.argsort(-own.sum(0), kind="stable"), 1):
        split = f"{place}: {highest(own[:, d], known.names, TOP_OBJECTS)}"
        share = Estimate.of(mass[:, d] / mass.sum(1), len(own))
        nearest = nearest_dimension(own[:, d], known.published, drawn)
        found = {"share-of-weight": share, "nearest-published-pearson": nearest}
        yield from measures({("vice", "observer"): found}, "vice-dimensions", split)


def typical_rows(
    choices: judgments.Choices, among: Bool[np.ndarray, " n"], places: Mapping[str, float] = PLACES
) -> dict[str, int]:
    """Return rows at places of the order by entropy, 0 where all agree most, if ``among`` holds them."""
    rows = np.flatnonzero(among)
    order = rows[np.argsort(judgments.entropy(choices.shares[rows]), kind="stable")]
    return {name: int(order[round(place * (len(order) - 1))]) for name, place in places.items()}


def pair_names(triplet: Int[np.ndarray, " 3"], names: Sequence[str]) -> tuple[str, ...]:
    """Return each pair of a triplet as ``cat + dog | car``, the object that is left out last."""
    said = [names[o].replace("_", " ") for o in triplet]
    return tuple(f"{said[a]} + {said[b]} | {said[3 - a - b]}" for a, b in judgments.PAIRS)


def answer_shares(counts: Int[np.ndarray, " 3"], draws: int, seed: int) -> list[Estimate]:
    """Return the share of the answers that each pair of one triplet had (unit: answer)."""
    total = int(counts.sum())
    shares = counts / total
    drawn = np.random.default_rng(seed).multinomial(total, shares, size=draws) / total
    return [Estimate(float(share), column, total) for share, column in zip(shares, drawn.T, strict=True)]


def highest(strength: Real[np.ndarray, " objects"], names: Sequence[str], top: int) -> str:
    """Name the objects that are highest on one dimension, the highest first."""
    return ", ".join(names[o].replace("_", " ") for o in np.argsort(-strength, kind="stable")[:top])


def nearest_dimension(
    strength: Real[np.ndarray, " objects"], others: Real[np.ndarray, "objects dims"],
    weights: Float[np.ndarray, "draws objects"],
) -> Estimate:  # fmt: skip
    """Return Pearson's correlation of a dimension with the nearest of another embedding (unit: object)."""
    # Which one is nearest is decided on all objects, once.
    strength, others = (judgments.floats(each, "strengths") for each in (strength, others))
    whole = [float(np.corrcoef(strength, other)[0, 1]) for other in others.T]
    other = others[:, int(np.argmax(whole))]
    x, y = strength - strength.mean(), other - other.mean()
    return Estimate.of(people.pearson(x[None], y[None], weights), len(strength))
