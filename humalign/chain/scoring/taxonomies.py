"""Scores against taxonomies, no person asked: whether distances follow categories, classes and WordNet, and a map of the categories."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from humalign.chain import features, sets
from humalign.chain.judged import halves, things
from humalign.chain.pipeline import Run, stream
from humalign.chain.scoring import objects
from humalign.chain.scoring.labels import classes
from humalign.chain.scoring.rows import THINGS, Model, Row, compared, everyone, of_fold, of_students, over_folds, weights
from humalign.data import wordnet
from humalign.evaluation import baselines, hierarchy
from humalign.evaluation.scores import Estimate

# What every English speaker calls the classes of CIFAR-10 together; the rest are vehicles.
ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
PATH = "path-spearman"
# Of which task of BREEDS the superclasses are whose distances are compared: the one with the most classes.
RELATED = "entity-13"
Relations = Mapping[str, Estimate]


def taxonomies(run: Run) -> Iterator[Row]:
    """Distances by relation on every set that has a taxonomy."""
    teacher, looked_at = objects.of_objects(run), [*sets.asked(run.profile), *sets.judged_pictures(run.profile)]
    if teacher is not None:
        yield from _unseen_objects(run)
    if THINGS in looked_at:
        yield from over_folds(_photographs(run, number) for number in range(2))
    if "things" in looked_at:
        yield from _objects(run)
    if "cifar10" in run.profile.data.labelled:
        yield from _cifar10(run)
    if sets.VALIDATION in looked_at:
        yield from _imagenet(run)


def _rows(found: Mapping[Model, Relations], where: str) -> Iterator[Row]:
    """Yield each model's distance in each relation, and how distances follow a path, compared between stages."""
    for relation in next(iter(found.values())):
        split, metric = (f"{where}/WordNet", PATH) if relation == PATH else (f"{where}/{relation}", "standardised-distance")
        yield from compared({model: each[relation] for model, each in found.items()}, "hierarchy", split, metric)


def _along(nouns: list[str]) -> tuple[Int[np.ndarray, " known"], Float[np.ndarray, "known known"]]:
    """Return which nouns WordNet knows, and the steps between every two of these."""
    above = sets.hypernyms()
    known = np.flatnonzero([noun in above for noun in nouns])
    return known, wordnet.path_lengths([nouns[row] for row in known], above)


def _map(
    stages: dict[str, Float[np.ndarray, "things dim"]], categories: Bool[np.ndarray, "things categories"], names: list[str],
    run: Run, model: str, where: str,
) -> Iterator[Row]:  # fmt: skip
    """Yield where each category stands in the plane at each stage."""
    for stage, coordinates in hierarchy.maps(stages, categories, weights(run.profile, len(categories))).items():
        for name, point in zip(names, coordinates, strict=True):
            for axis, estimate in zip("xy", point, strict=True):
                yield Row(model, stage, "map", f"{where}/{name}", axis, estimate)


def _unseen_objects(run: Run) -> Iterator[Row]:
    """Objects that the teacher was not fitted to, along WordNet; of the first fold's, a map of categories (unit: object)."""
    known, teacher = things(run.profile.evidence), objects.of_objects(run)
    assert teacher is not None
    all_folds, nouns = objects.folds(run, teacher), sets.nouns(things(run.profile.evidence).names)

    def of_fold_(fold: objects.Fold) -> Iterator[Row]:
        test = fold.part.test
        named, steps = _along([nouns[row] for row in test])
        drawn = of_fold(run.profile, len(test), fold.number)[:, named]
        found: dict[Model, Relations] = {
            (fold.model, stage): hierarchy.of_paths(x[named], steps, drawn)
            for stage, x in fold.space(test).items() if stage in ("teacher-base", "teacher")
        }  # fmt: skip
        if teacher.learner == "answers":
            found["vice-published", "observer"] = hierarchy.of_paths(known.published[test][named], steps, drawn)
        yield from _rows(found, objects.UNSEEN)

    yield from over_folds(of_fold_(fold) for fold in all_folds)
    test, first = all_folds[0].part.test, all_folds[0]
    member = known.categories.iloc[test]
    some = {stage: x for stage, x in first.space(test).items() if stage in ("teacher-base", "teacher")}
    yield from _map(some, member.to_numpy(dtype=bool), list(member.columns), run, first.model, "objects")


def _photographs(run: Run, half: int) -> Iterator[Row]:
    """THINGS photographs by category and along WordNet, in the half that no teacher was fitted to (unit: image)."""
    shown = sets.photographs()[1]
    inside = np.flatnonzero(halves(run.profile, len(shown)) == half)
    member, drawn = things(run.profile.evidence).categories.to_numpy(dtype=bool)[shown[inside]], of_fold(run.profile, len(inside), half)
    nouns = sets.nouns(things(run.profile.evidence).names)
    named, steps = _along([nouns[row] for row in shown[inside]])

    def relations(x: Float[np.ndarray, "images dim"]) -> Relations:
        of_paths = hierarchy.of_paths(x[inside][named], steps, drawn[:, named])
        return hierarchy.of_categories(x[inside], member, drawn) | of_paths

    yield from _rows({model: relations(x) for model, x in of_students(run, half) if model[1] not in baselines.STAGES}, THINGS)


def _of_everyone(run: Run, which: str, relations: Callable[[np.ndarray], Relations], where: str) -> Iterator[Row]:
    yield from _rows({model: relations(x) for model, x in everyone(run, which, beside=False)}, where)


def _objects(run: Run) -> Iterator[Row]:
    """All THINGS objects by category, and some of them along WordNet (unit: object)."""
    known = things(run.profile.evidence)
    member, drawn = known.categories.to_numpy(dtype=bool), weights(run.profile, len(known.names))
    yield from _of_everyone(run, "things", lambda x: hierarchy.of_categories(x, member, drawn), "THINGS")
    nouns, above = sets.nouns(things(run.profile.evidence).names), sets.hypernyms()
    named = np.flatnonzero([noun in above for noun in nouns])
    some = np.sort(stream(run.profile, 16).permutation(named)[: run.profile.evaluation.compared_images])
    _, steps = _along([nouns[row] for row in some])
    of_some = weights(run.profile, len(some))
    yield from _of_everyone(run, "things", lambda x: hierarchy.of_paths(x[some], steps, of_some), "THINGS")


def _cifar10(run: Run) -> Iterator[Row]:
    """CIFAR-10 photographs of one class, of other animals or other vehicles, and of both; and a map (unit: image)."""
    labels = classes(sets.names(run, "cifar10"))
    drawn, animals = weights(run.profile, len(labels)), np.isin(labels, ANIMALS)
    yield from _of_everyone(run, "cifar10", lambda x: hierarchy.of_classes(x, labels, drawn, animals), "cifar10")
    student, names = run.profile.backbones[0], np.unique(labels)
    shown = {
        stage: x for (model, stage), x in everyone(run, "cifar10", beside=False)
        if model == student and stage not in features.TEACHERS
    }  # fmt: skip
    yield from _map(shown, labels[:, None] == names, names.tolist(), run, student, "cifar10")


def related(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return some validation pictures of ImageNet, whole classes of them, with their classes and superclasses."""
    known = classes(sets.names(run, sets.VALIDATION))
    table = sets.breeds(RELATED).of(known.tolist())
    inside = known[table["superclass"] != ""]
    order = stream(run.profile, 15).permutation(np.unique(inside))
    ends = np.cumsum([int((inside == name).sum()) for name in order])
    used = np.flatnonzero(np.isin(known, order[ends <= run.profile.evaluation.compared_images]))
    return used, known[used], table["superclass"].to_numpy(dtype=str)[used]


def _imagenet(run: Run) -> Iterator[Row]:
    """ImageNet's pictures of one class, one superclass and others, and one picture of each class along WordNet (units: image, class)."""
    used, known, above = related(run)
    drawn = weights(run.profile, len(used))
    yield from _of_everyone(run, sets.VALIDATION, lambda x: hierarchy.of_classes(x[used], known, drawn, above), "ImageNet")
    names, pictured = np.unique(classes(sets.names(run, sets.VALIDATION)), return_index=True)
    some = np.sort(stream(run.profile, 17).permutation(len(names))[: run.profile.evaluation.compared_images])
    named, steps = _along(names[some].tolist())
    rows, of_rows = pictured[some][named], weights(run.profile, len(named))
    yield from _of_everyone(run, sets.VALIDATION, lambda x: hierarchy.of_paths(x[rows], steps, of_rows), "ImageNet")
