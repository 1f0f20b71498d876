"""Scores against taxonomies, no person asked: do distances follow categories, classes, WordNet; and maps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from humalign.chain import features, registered, sets
from humalign.chain.judged import halves, things
from humalign.chain.pipeline import Run, stream
from humalign.chain.scoring import objects, rows
from humalign.chain.scoring.labels import classes
from humalign.chain.scoring.rows import THINGS, Model, Row, Spread, compared, of_fold, over_folds, weights
from humalign.data import wordnet
from humalign.evaluation import baselines, hierarchy
from humalign.evaluation.rsa import dissimilarities
from humalign.evaluation.scores import Estimate
from humalign.profiles import Profile

# What every English speaker calls the classes of CIFAR-10 together; the rest are vehicles.
ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
PATH, DISTANCE, PERMUTATION_P = "path-spearman", "standardised-distance", "permutation-p"
# The stage from which a change of distances is tested.
BEFORE = {"unaligned": "base", "aligned": "base", "teacher": "teacher-base"}
BOTH = ("teacher-base", "teacher")
# Of which task of BREEDS the superclasses are whose distances are compared: the one with the most classes.
RELATED = "entity-13"
Shown = Mapping[Model, Float[np.ndarray, "things dim"]]
Relations = hierarchy.Related | np.ndarray  # or steps along WordNet
Distances = Callable[[Any], np.ndarray]


def taxonomies(run: Run) -> Iterator[Row]:
    """Distances by relation on every set that has a taxonomy, and tests of their changes."""
    looked_at = [*sets.asked(run.profile), *sets.judged_pictures(run.profile)]
    if all_folds := objects.folds(run):
        yield from _unseen_objects(run, all_folds)
    if THINGS in looked_at:
        yield from with_p(over_folds(_photographs(run, number) for number in range(2)))
    if "things" in looked_at:
        yield from with_p(_objects(run))
    if "cifar10" in run.profile.data.labelled:
        yield from with_p(_cifar10(run))
    if registered.VALIDATION in looked_at:
        yield from with_p(_imagenet(run))


def _rows(
    run: Run, shown: Shown, where: str, drawn: np.ndarray, by: Relations, fold: int = 0
) -> Iterator[Row]:
    """Yield distances by relations, or by steps and how they follow these, and the tests of their changes."""
    if isinstance(by, dict):
        related, found = by, {model: hierarchy.of_relations(x, by, drawn) for model, x in shown.items()}
    else:
        related = hierarchy.by_paths(by)
        found = {model: hierarchy.of_paths(x, by, drawn) for model, x in shown.items()}
    for relation in next(iter(found.values())):
        split, metric = (f"{where}/WordNet", PATH) if relation == PATH else (f"{where}/{relation}", DISTANCE)
        yield from compared(rows.column(found, relation), "hierarchy", split, metric)
    yield from tested(run.profile, shown, related, f"{where}/", fold)


def changed(
    shown: Mapping[Model, Any], related: hierarchy.Related, distances: Distances = dissimilarities
) -> Iterator[tuple[Model, Float[np.ndarray, "n n"]]]:
    """Yield how far each stage of ``BEFORE`` has changed a model's distances."""
    for (model, stage), x in shown.items():
        if (before := (model, BEFORE.get(stage, ""))) in shown:
            yield (model, stage), hierarchy.changes(distances(shown[before]), distances(x), related)


def tested(
    profile: Profile, shown: Mapping[Model, Any], related: hierarchy.Related, where: str, fold: int,
    distances: Distances = dissimilarities,
) -> Iterator[Row]:  # fmt: skip
    """Yield the mean change in each relation with its permutations, the same for all; see ``with_p``."""
    for model, change in changed(shown, related, distances):
        draws, rng = profile.evaluation.bootstrap_draws, stream(profile, 26, fold)
        for relation, found in hierarchy.permuted(change, related, draws, rng).items():
            yield Row(*model, "hierarchy", f"{where}{relation}", PERMUTATION_P, found)


def with_p(found: Iterable[Row]) -> Iterator[Row]:
    """Yield rows with p in place of a mean and its permutations, which ``over_folds`` has put together."""
    for row in found:
        if row.metric == PERMUTATION_P and isinstance(row.estimate, Estimate):
            p = Spread(*hierarchy.permutation_p(row.estimate), row.estimate.n)
            row = dataclasses.replace(row, estimate=p)
        yield row


def _along(nouns: list[str]) -> tuple[Int[np.ndarray, " known"], Float[np.ndarray, "known known"]]:
    """Return which nouns WordNet knows, and the steps between every two of these."""
    above = registered.hypernyms()
    known = np.flatnonzero([noun in above for noun in nouns])
    return known, wordnet.path_lengths([nouns[row] for row in known], above)


def _map(
    stages: dict[str, Float[np.ndarray, "things dim"]], categories: Bool[np.ndarray, "things categories"],
    names: list[str], run: Run, model: str, where: str,
) -> Iterator[Row]:  # fmt: skip
    """Yield where each category stands in the plane at each stage."""
    drawn = weights(run.profile, len(categories))
    for stage, coordinates in hierarchy.maps(stages, categories, drawn).items():
        for name, point in zip(names, coordinates, strict=True):
            for axis, estimate in zip("xy", point, strict=True):
                yield Row(model, stage, "map", f"{where}/{name}", axis, estimate)


def _unseen(run: Run, fold: objects.Fold) -> tuple[np.ndarray, np.ndarray, dict[Model, Any]]:
    """Return which test objects of a fold WordNet knows, the steps between them, and their features."""
    test, nouns = fold.part.test, registered.nouns(things(run.profile.evidence).names)
    (named, steps), space = _along([nouns[row] for row in test]), fold.space(test)
    return named, steps, {(fold.model, stage): space[stage][named] for stage in BOTH}


def _unseen_objects(run: Run, all_folds: list[objects.Fold]) -> Iterator[Row]:
    """Objects that the teacher was not fitted to, along WordNet; a map of the first fold's (unit: object)."""
    known = things(run.profile.evidence)

    def of_fold_(fold: objects.Fold) -> Iterator[Row]:
        (named, steps, shown), test = _unseen(run, fold), fold.part.test
        if fold.answers:
            shown[rows.PUBLISHED] = known.published[test][named]
        drawn = of_fold(run.profile, len(test), fold.number)[:, named]
        yield from _rows(run, shown, objects.UNSEEN, drawn, steps, fold.number)

    yield from with_p(over_folds(of_fold_(fold) for fold in all_folds))
    first = all_folds[0]
    member, space = known.categories.iloc[first.part.test], first.space(first.part.test)
    some = {stage: space[stage] for stage in BOTH}
    yield from _map(some, member.to_numpy(dtype=bool), list(member.columns), run, first.model, "objects")


def _half(run: Run, half: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Shown]:
    """Return the objects of a half, which of them WordNet knows, the steps between these, and features."""
    shown, nouns = registered.photographs()[1], registered.nouns(things(run.profile.evidence).names)
    inside = np.flatnonzero(halves(run.profile, len(shown)) == half)
    seen = {model: x[inside] for model, x in rows.of_students(run, half) if model[1] not in baselines.STAGES}
    return shown[inside], *_along([nouns[row] for row in shown[inside]]), seen


def _photographs(run: Run, half: int) -> Iterator[Row]:
    """THINGS photographs by category and WordNet, in the half that no teacher was fitted to (unit: image)."""
    held, named, steps, shown = _half(run, half)
    member = things(run.profile.evidence).categories.to_numpy(dtype=bool)[held]
    drawn = of_fold(run.profile, len(held), half)
    yield from _rows(run, shown, THINGS, drawn, hierarchy.by_categories(member), half)
    along = {model: x[named] for model, x in shown.items()}
    yield from _rows(run, along, THINGS, drawn[:, named], steps, half)


def along_wordnet(run: Run) -> Iterator[dict[str, Any]]:
    """Yield, by steps of WordNet, how each pair's distance has changed in a set by a model; folds together.

    Yields:
        ``set``, ``model``, ``stage``, ``reference``, the stage before, and ``pairs``, changes by relation.
    """
    groups = dict[str, list[tuple[np.ndarray, Shown]]]()
    if all_folds := objects.folds(run):
        groups[objects.UNSEEN] = [_unseen(run, fold)[1:] for fold in all_folds]
    if THINGS in sets.judged_pictures(run.profile):
        both = (_half(run, number)[1:] for number in range(2))
        groups[THINGS] = [(steps, {model: x[named] for model, x in of.items()}) for named, steps, of in both]
    for where, folds in groups.items():
        made = [(by := hierarchy.by_paths(steps), dict(changed(shown, by))) for steps, shown in folds]
        for model, stage in made[0][1]:
            pairs = {
                name: np.concatenate([change[model, stage][np.triu(by[name], 1)] for by, change in made])
                for name in hierarchy.PATHS
            }
            yield {"set": where, "model": model, "stage": stage, "reference": BEFORE[stage], "pairs": pairs}


def _of_everyone(
    run: Run, which: str, some: slice | np.ndarray, where: str, drawn: np.ndarray, by: Relations
) -> Iterator[Row]:
    shown = {model: x[some] for model, x in rows.everyone(run, which, beside=False)}
    yield from _rows(run, shown, where, drawn, by)


def _objects(run: Run) -> Iterator[Row]:
    """All THINGS objects by category, and some of them along WordNet (unit: object)."""
    known = things(run.profile.evidence)
    member, drawn = known.categories.to_numpy(dtype=bool), weights(run.profile, len(known.names))
    yield from _of_everyone(run, "things", slice(None), "THINGS", drawn, hierarchy.by_categories(member))
    nouns, above = registered.nouns(known.names), registered.hypernyms()
    named = np.flatnonzero([noun in above for noun in nouns])
    some = np.sort(stream(run.profile, 16).permutation(named)[: run.profile.evaluation.compared_images])
    _, steps = _along([nouns[row] for row in some])
    yield from _of_everyone(run, "things", some, "THINGS", weights(run.profile, len(some)), steps)


def _cifar10(run: Run) -> Iterator[Row]:
    """CIFAR-10 photographs of one class, of other animals or vehicles, of both; and a map (unit: image)."""
    labels = classes(sets.names(run, "cifar10"))
    drawn, animals = weights(run.profile, len(labels)), np.isin(labels, ANIMALS)
    by_classes = hierarchy.by_classes(labels, animals)
    yield from _of_everyone(run, "cifar10", slice(None), "cifar10", drawn, by_classes)
    student, names = run.profile.backbones[0], np.unique(labels)
    shown = {
        stage: x for (model, stage), x in rows.everyone(run, "cifar10", beside=False)
        if model == student and stage not in features.TEACHERS
    }  # fmt: skip
    yield from _map(shown, labels[:, None] == names, names.tolist(), run, student, "cifar10")


def related(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return some validation pictures of ImageNet in whole classes, their classes and superclasses."""
    known = classes(sets.names(run, registered.VALIDATION))
    table = registered.breeds(RELATED).of(known.tolist())
    inside = known[table["superclass"] != ""]
    order = stream(run.profile, 15).permutation(np.unique(inside))
    ends = np.cumsum([int((inside == name).sum()) for name in order])
    used = np.flatnonzero(np.isin(known, order[ends <= run.profile.evaluation.compared_images]))
    return used, known[used], table["superclass"].to_numpy(dtype=str)[used]


def _imagenet(run: Run) -> Iterator[Row]:
    """ImageNet's pictures by class and superclass, one of each class along WordNet (units: image, class)."""
    used, known, above = related(run)
    drawn = weights(run.profile, len(used))
    by = hierarchy.by_classes(known, above)
    yield from _of_everyone(run, registered.VALIDATION, used, "ImageNet", drawn, by)
    names, pictured = np.unique(classes(sets.names(run, registered.VALIDATION)), return_index=True)
    some = np.sort(stream(run.profile, 17).permutation(len(names))[: run.profile.evaluation.compared_images])
    named, steps = _along(names[some].tolist())
    of_rows = weights(run.profile, len(named))
    yield from _of_everyone(run, registered.VALIDATION, pictured[some][named], "ImageNet", of_rows, steps)
