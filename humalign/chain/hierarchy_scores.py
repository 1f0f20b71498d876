"""Scores against taxonomies, no person asked: do distances follow categories and WordNet, and where do categories stand on a map?"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from humalign.chain import photographs, student_scores, teach
from humalign.chain.judged import CLIP, Name, things
from humalign.chain.photograph_scores import gains
from humalign.chain.pipeline import Run
from humalign.data import registry, wordnet
from humalign.evaluation import hierarchy
from humalign.evaluation.scores import Estimate, mean_of_folds, resamples

# What every English speaker calls the classes of CIFAR-10 together; the rest are vehicles.
ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
PATH = "path-spearman"


def rows(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Yield every score against a taxonomy."""
    for part in (_objects, _photographs, _cifar10):
        yield from part(run)


@functools.cache
def _steps() -> Float[np.ndarray, "objects objects"]:
    """Return the steps of WordNet between every two THINGS objects: infinite where one has no noun there."""
    nouns = wordnet.things_ids(registry.locate("things-names"), things().names)
    return wordnet.path_lengths(nouns, wordnet.hypernyms(registry.locate("wordnet-nouns")))


def _along_wordnet(
    features: Float[np.ndarray, "things dim"], objects: Int[np.ndarray, " things"], weights: Float[np.ndarray, "draws things"]
) -> dict[str, Estimate]:
    """Compare distances of things that show these objects with the steps between their nouns."""
    steps = _steps()[np.ix_(objects, objects)]
    nouns = np.isfinite(np.diag(steps))
    return hierarchy.of_paths(features[nouns], steps[np.ix_(nouns, nouns)], weights[:, nouns])


def _told(of: str, relation: str) -> tuple[str, str]:
    """Return split and metric of a score of ``hierarchy``."""
    return (f"{of}/WordNet", PATH) if relation == PATH else (f"{of}/{relation}", "standardised-distance")


def _map(
    stages: dict[str, Float[np.ndarray, "things dim"]], categories: Bool[np.ndarray, "things categories"], draws: int, seed: int
) -> Iterator[tuple[str, int, str, Estimate]]:
    """Yield stage, number of the category, axis, and place."""
    for stage, places in hierarchy.maps(stages, categories, resamples(len(categories), draws, seed)).items():
        for number, place in enumerate(places):
            for axis, estimate in zip("xy", place, strict=True):
                yield stage, number, axis, estimate


def _objects(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Distances of objects that the teacher did not see, by steps of WordNet; of the first fold's, a map of categories (unit: object)."""
    profile, known = run.profile, things()
    folds: dict[tuple[str, str], list[Estimate]] = {}
    for number, (_, test) in enumerate(known.folds(profile)):
        teacher = teach.fitted(run, run.profile.teachers[0], f"fold{number}", "teacher")
        stages = {"teacher-base": known.features[test], "teacher": teacher.transform(known.features[test])}
        weights = resamples(len(test), profile.evaluation.bootstrap_draws, profile.seed * 1000 + number)
        for stage, places in {**stages, "observer": known.published[test]}.items():
            for relation, estimate in _along_wordnet(places, test, weights).items():
                folds.setdefault((stage, relation), []).append(estimate)
        if number == 0:
            member = known.categories.iloc[test]
            for stage, category, axis, estimate in _map(
                stages, member.to_numpy(dtype=bool), profile.evaluation.bootstrap_draws, profile.seed
            ):
                yield (CLIP, stage, "map", f"objects/{member.columns[category]}", axis), estimate
    for relation in dict.fromkeys(relation for _, relation in folds):
        split, metric = _told("unseen objects", relation)
        means = {(stage, metric): mean_of_folds(each) for (stage, of), each in folds.items() if of == relation}
        for (stage, told), estimate in gains(means):
            yield ("vice-published" if stage == "observer" else CLIP, stage, "hierarchy", split, told), estimate


def _photographs(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Distances of THINGS photographs by category and by steps of WordNet, in the half that no teacher saw (unit: image)."""
    profile = run.profile
    objects = photographs.objects()
    categories = things().categories.to_numpy(dtype=bool)[objects]
    half = photographs.halves(profile, len(objects))
    stages = tuple(stage for stage in student_scores.STAGES if stage != "aligned-head")
    found: dict[str, dict[str, list[Estimate]]] = {}
    for number in photographs.HALVES:
        shown = np.flatnonzero(half == number)
        weights = resamples(len(shown), profile.evaluation.bootstrap_draws, profile.seed * 1000 + number)
        for stage in stages:
            features = student_scores.features_of(run, stage, number)["things-photographs"][shown]
            each = hierarchy.of_categories(features, categories[shown], weights) | _along_wordnet(features, objects[shown], weights)
            for relation, estimate in each.items():
                found.setdefault(relation, {}).setdefault(stage, []).append(estimate)
    for relation, by_stage in found.items():
        means = {stage: mean_of_folds(estimates) for stage, estimates in by_stage.items()}
        yield from student_scores.compared(run, "hierarchy", *_told("things-photographs", relation), means)


def _cifar10(run: Run) -> Iterator[tuple[Name, Estimate]]:
    """Distances of CIFAR-10 photographs of one class, of other animals or other vehicles, and of both; and a map (unit: image)."""
    profile = run.profile
    labels = photographs.labelled_sets(profile)["cifar10"].labels["class"].to_numpy(dtype=str)
    weights = resamples(len(labels), profile.evaluation.bootstrap_draws, profile.seed)
    shown = {stage: student_scores.features_of(run, stage)["cifar10"] for stage in student_scores.STAGES}
    found = {stage: hierarchy.of_classes(features, labels, weights, np.isin(labels, ANIMALS)) for stage, features in shown.items()}
    for relation in found["base"]:
        each = {stage: distances[relation] for stage, distances in found.items()}
        yield from student_scores.compared(run, "hierarchy", *_told("cifar10", relation), each)
    classes = np.unique(labels)
    for stage, number, axis, estimate in _map(shown, labels[:, None] == classes, profile.evaluation.bootstrap_draws, profile.seed):
        yield (profile.backbones[0], stage, "map", f"cifar10/{classes[number]}", axis), estimate
