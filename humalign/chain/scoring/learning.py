"""How well answers are learned: models of the observers, learning curves of the teacher, recovery of a known map, single examples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from humalign.chain import further
from humalign.chain.inputs import stream
from humalign.chain.judged import CLIP, Things, object_folds, things
from humalign.chain.observe import observer
from humalign.chain.pipeline import Run
from humalign.chain.scoring import objects
from humalign.chain.scoring.rows import PEOPLE, Model, Row, of_fold, weights
from humalign.data.judgments import ByObject, cosine_similarities, majority_share
from humalign.evaluation import examples as shown_examples
from humalign.evaluation import people
from humalign.evaluation.correlation import matrix_pearson
from humalign.evaluation.scores import Estimate, above, mean_of_folds

TOP_OBJECTS = 6


def observers(run: Run) -> Iterator[Row]:
    """What people agree on, and how well models of the observers predict it; answers resampled by object, shares by triplet."""
    profile, known = run.profile, things()
    of_objects, triplets = weights(profile, len(known.features)), weights(profile, len(known.repeated))
    validation = ByObject.of(known.validation, len(known.features))
    values = majority_share(known.repeated.counts)
    agreed = Estimate.of(triplets @ values / len(values), len(values))
    yield Row(*PEOPLE, "odd-one-out", "repeated triplets", "accuracy", agreed)
    whole = len(known.training)
    fits = {f"{round(share * whole)} answers": [f"share{share:g}"] for share in profile.observer.shares}
    fits |= {f"{whole} answers": ["seed0"]}
    if profile.observer.seeds > 1:
        fits["all seeds"] = [f"seed{seed}" for seed in range(profile.observer.seeds)]
    both = validation, known.repeated
    predicted: dict[tuple[Model, str], list[np.ndarray]] = {}
    for split, names in fits.items():
        several = [observer(run, name) for name in names]
        each = [np.mean([one.predict(rows.triplets) for one in several], axis=0, dtype=float) for rows in both]
        predicted[("vice", "observer"), split] = each
        sizes = [one.mean.shape[1] for one in several]
        dimensions = Estimate(float(np.mean(sizes)), np.array(sizes, float), len(sizes))
        yield Row("vice", "observer", "observer-model", split, "dimensions", dimensions)
    predicted[("vice-published", "observer"), "published"] = [people.choices(known.published, rows.triplets) for rows in both]
    places = further.read(run, "observers")["all"]
    predicted[(CLIP, "teacher"), f"{whole} answers"] = [people.choices(places, rows.triplets) for rows in both]
    for (model, split), (answered, shares) in predicted.items():
        yield Row(*model, "observer-model", split, "accuracy", people.accuracy(answered, validation, of_objects))
        for metric, estimate in people.repeated(shares, known.repeated, triplets).items():
            yield Row(*model, "observer-model", split, metric, estimate)


def learning_curves(run: Run) -> Iterator[Row]:
    """Accuracy of the teacher on unseen objects by the number of answers, and by the number of objects, that it is fitted to."""
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
                similar = cosine_similarities(places[f"{name}-fold{f}"], rows.triplets)
                estimates.append(people.accuracy(similar, rows, drawn))
            reached[f"{round(np.mean(counts))} {kind}"] = everything = mean_of_folds(estimates)
        for name, estimate in reached.items():
            yield Row(CLIP, "teacher", "learning-curve", name, "accuracy", estimate)
            if estimate is not everything:
                yield Row(CLIP, "teacher", "learning-curve", name, above("accuracy", "all"), estimate - everything)


def recovery(run: Run) -> Iterator[Row]:
    """Simulated answers by a known affine map: how near the fitted similarities of unseen objects come to the truth as answers grow."""
    profile, known, places = run.profile, things(), further.read(run, "recovery")
    _, test = object_folds(len(known.names), further.answers_teacher(profile).parts.folds)[0]
    truth = people.dot_similarity(further.known_map(profile, known, stream(profile, 6))[test])
    drawn = weights(profile, len(test))
    for answers in profile.evaluation.recovery_answers:
        found = matrix_pearson(people.dot_similarity(places[f"{answers}"]), truth, drawn)
        yield Row(CLIP, "teacher", "recovery", f"{answers} answers", "similarity-pearson", Estimate.of(found, len(test)))


# ---- single things, for the book to show -------------------------------------------------------------------------------------------------


def examples(run: Run) -> Iterator[Row]:
    """Single triplets with their answers, and dimensions with their objects."""
    yield from _triplets(run, things())
    yield from _dimensions(run, things())


def _triplets(run: Run, known: Things) -> Iterator[Row]:
    """Three repeated triplets, chosen by the entropy of their answers, and what models say that never saw their objects.

    The choice is among the triplets whose objects are all in one test fold. People's shares are resampled by answer; a model's
    probability of one triplet is one number, without an interval.
    """
    profile, asked, folds = run.profile, known.repeated, objects.folds(run, further.answers_teacher(run.profile))
    home = np.full(len(asked), -1)
    for fold in folds:
        home[np.isin(asked.triplets, fold.part.test).all(1)] = fold.number
    everything = np.arange(len(known.names))
    for place, row in shown_examples.typical_rows(asked, home >= 0).items():
        triplet = asked.triplets[row : row + 1]
        chances = folds[home[row]].chances(everything, triplet)
        named = [f"{place}: {pair}" for pair in shown_examples.pair_names(triplet[0], known.names)]
        shares = shown_examples.answer_shares(asked.counts[row], profile.evaluation.bootstrap_draws, profile.seed)
        for split, share in zip(named, shares, strict=True):
            yield Row(*PEOPLE, "example-triplet", split, "share", share)
        for stage in ("teacher-base", "teacher"):
            for split, chance in zip(named, chances[stage][0], strict=True):
                single = Estimate(float(chance), np.array([chance], float), 1)
                yield Row(CLIP, stage, "example-triplet", split, "probability", single)


def _dimensions(run: Run, known: Things) -> Iterator[Row]:
    """The dimensions of our own VICE, largest first: share of all weight, and likeness to the published embedding (unit: object)."""
    own = observer(run, "seed0").mean.relu().numpy().astype(float)
    drawn = weights(run.profile, len(own))
    mass = drawn @ own
    for place, d in enumerate(np.argsort(-own.sum(0), kind="stable"), 1):
        split = f"{place}: {shown_examples.highest(own[:, d], known.names, TOP_OBJECTS)}"
        share = Estimate.of(mass[:, d] / mass.sum(1), len(own))
        nearest = shown_examples.nearest_dimension(own[:, d], known.published, drawn)
        for metric, estimate in (("share-of-weight", share), ("nearest-published-pearson", nearest)):
            yield Row("vice", "observer", "vice-dimensions", split, metric, estimate)
