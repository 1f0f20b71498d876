"""Scores against class labels: few shots, people's own labels, other classes of a superclass, pictures chosen to mislead; and what
models have in common, and how they were trained."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float

from humalign.chain import features, judged, teach
from humalign.chain import sets as pictures
from humalign.chain.inputs import stream
from humalign.chain.paper.people_scores import along_wordnet, by_relation
from humalign.chain.paper.rows import Model, Row, compared, constant, everyone, evidence, weights
from humalign.chain.pipeline import Run
from humalign.chain.student_scores import taught
from humalign.data import labelled_sets, readers_imagenet, readers_labels, registry, wordnet
from humalign.evaluation import between_models, few_shot, hierarchy, shift
from humalign.evaluation.scores import Estimate

# Of which task the superclasses are whose distances are compared: the one with the most classes.
RELATED = "entity-13"
TEACHERS = {"aligned": "teacher", "unaligned": "teacher-base"}
# Points of a training curve that are kept.
POINTS = 13


def _classes(files: list[str], place: int = -2) -> np.ndarray:
    """Return the folder that each picture lies in."""
    return np.array([file.split("/")[place] for file in files])


def labelled(run: Run) -> Iterator[Row]:
    """k-shot classification, and on CIFAR-10 how near its classifiers come to people's labels (unit: image)."""
    profile = run.profile
    people_say = readers_labels.cifar10h(registry.locate("cifar10h"))
    for number, name in enumerate(pictures.LABELLED):
        files = pictures.names(run, name)
        labels, shares = _classes(files), _shares(people_say, files) if name == "cifar10" else None
        drawn, of_draws = weights(profile, len(labels)), weights(profile, profile.evaluation.few_shot_draws, 1)
        for shots in profile.evaluation.shots:
            support = few_shot.supports(labels, shots, profile.evaluation.few_shot_draws, stream(profile, 12, number, shots))
            for classifier in ("logistic", "nearest-mean"):
                told = shares if classifier == "logistic" else None
                score = functools.partial(taught, labels, support, drawn, of_draws, classifier, told)
                found = {model: score(x) for model, x in everyone(run, name)}
                for task, metric in next(iter(found.values())):
                    each = {model: scores[task, metric] for model, scores in found.items()}
                    kind = evidence(profile, "human" if task == "soft-labels" else "labels")
                    yield from compared(each, task, f"{name}/{shots}-shot", metric, kind)


def _shares(people_say: Float[np.ndarray, "10000 10"], files: list[str]) -> Float[np.ndarray, "images 10"]:
    """Return people's labels of the squashed pictures of CIFAR-10, by their names."""
    return readers_labels.of_pictures(people_say, labelled_sets.cifar10_labels(files, "the squashed pictures"))


def breeds(run: Run) -> Iterator[Row]:
    """Superclasses taught on some of their classes, tested on those and on others (unit: image)."""
    profile, shots = run.profile, max(run.profile.evaluation.shots)
    folder, classes = registry.locate("breeds-hierarchy"), _classes(pictures.names(run, pictures.VALIDATION))
    for number, task in enumerate(readers_imagenet.TASKS):
        table = readers_imagenet.breeds(folder, task).of(classes.tolist())
        used = np.flatnonzero(table["superclass"] != "")
        names, source = table["superclass"].to_numpy(dtype=str)[used], (table["domain"] == "source").to_numpy()[used]
        support = few_shot.supports(names, shots, profile.evaluation.few_shot_draws, stream(profile, 13, number), among=source)
        drawn = weights(profile, len(used))
        found = {m: shift.to_other_classes(x[used], names, source, support, drawn) for m, x in everyone(run, pictures.VALIDATION)}
        for domain in ("source", "target", "drop"):
            each = {model: estimates[domain] for model, estimates in found.items()}
            yield from compared(each, "subpopulation-shift", f"{task}/{shots}-shot, {domain}", "accuracy", evidence(profile, "labels"))


def imagenet_a(run: Run) -> Iterator[Row]:
    """ImageNet-A, named by classifiers that are taught its 200 classes on ImageNet's validation pictures (unit: image)."""
    profile, shots = run.profile, max(run.profile.evaluation.shots)
    labels = _classes(pictures.names(run, "imagenet-a"))
    known = _classes(pictures.names(run, pictures.VALIDATION))
    used = np.flatnonzero(np.isin(known, labels))
    # No picture of the validation set is tested: of so few as there may be, all but one of a class may be taught.
    shots = min(shots, int(pd.Series(known[used]).value_counts().min()) - 1)
    support = few_shot.supports(known[used], shots, profile.evaluation.few_shot_draws, stream(profile, 14))
    drawn, tested = weights(profile, len(labels)), np.ones((profile.evaluation.few_shot_draws, len(labels)), dtype=bool)
    beside = dict(everyone(run, "imagenet-a"))
    found = {}
    for model, x in everyone(run, pictures.VALIDATION):
        classifiers = few_shot.teach(x[used], known[used], support)
        found[model] = few_shot.image_mean(few_shot.correct(classifiers, beside[model], labels), tested, drawn)
    yield from compared(found, "natural-adversarial", f"ImageNet-A/{shots}-shot", "accuracy", evidence(profile, "labels"))


# ---- between models --------------------------------------------------------------------------------------------------


def _related(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return some validation pictures, whole classes of them, with their classes and superclasses."""
    profile = run.profile
    classes = _classes(pictures.names(run, pictures.VALIDATION))
    table = readers_imagenet.breeds(registry.locate("breeds-hierarchy"), RELATED).of(classes.tolist())
    known = classes[table["superclass"] != ""]
    order = stream(profile, 15).permutation(np.unique(known))
    ends = np.cumsum([int((known == name).sum()) for name in order])
    used = np.flatnonzero(np.isin(classes, order[ends <= profile.evaluation.compared_images]))
    return used, classes[used], table["superclass"].to_numpy(dtype=str)[used]


def superclasses(run: Run) -> Iterator[Row]:
    """How far pictures of one class, of one superclass, and of others stand apart (unit: image)."""
    used, classes, above = _related(run)
    drawn = weights(run.profile, len(used))
    relations = {model: hierarchy.of_classes(x[used], classes, drawn, above) for model, x in everyone(run, pictures.VALIDATION)}
    yield from by_relation(relations, "ImageNet", evidence(run.profile, "taxonomy"))


def classes_along_wordnet(run: Run) -> Iterator[Row]:
    """How distances of pictures of different classes follow the steps of WordNet between these (unit: class, of each one picture)."""
    profile = run.profile
    classes, pictured = np.unique(_classes(pictures.names(run, pictures.VALIDATION)), return_index=True)
    some = np.sort(stream(profile, 17).permutation(len(classes))[: profile.evaluation.compared_images])
    above = wordnet.hypernyms(registry.locate("wordnet-nouns"))
    yield from along_wordnet(run, "ImageNet", pictures.VALIDATION, pictured[some], classes[some].tolist(), above)


def alike(run: Run) -> Iterator[Row]:
    """Whether students become alike: CKA and RSA between every two of them at each stage (unit: image)."""
    used, *_ = _related(run)
    by_stage: dict[str, dict[str, np.ndarray]] = {}
    for (model, stage), x in everyone(run, pictures.VALIDATION):
        if not stage.startswith("teacher"):
            by_stage.setdefault(stage, {})[model] = x[used]
    drawn, found = weights(run.profile, len(used)), dict[str, dict[Model, Estimate]]()
    for stage, models in by_stage.items():
        for pair, metric, estimate in between_models.alike(models, drawn):
            found.setdefault(metric, {})[pair, stage] = estimate
    for metric, each in found.items():
        yield from compared(each, "between-models", "ImageNet", metric, evidence(run.profile, "labels"))


# ---- training --------------------------------------------------------------------------------------------------------


def training(run: Run) -> Iterator[Row]:
    """The course of each student's training, and what the triplets hold: numbers of the run itself."""
    profile, kind = run.profile, evidence(run.profile, "labels")
    if not profile.teachers:
        return
    for student, part, stage in features.taught(profile):
        name = student.backbone
        log = json.loads(run.path(features.student_file(name, part, stage)).with_suffix(".json").read_text())
        for step in np.unique(np.linspace(0, profile.distillation.steps - 1, POINTS).astype(int)):
            yield (name, stage, "distillation", f"step {step}", "divergence"), kind, constant(log["divergence"][step])
        for step, values in log["evaluations"].items():
            for metric, value in values.items():
                split = f"validation triplets, step {step}"
                yield (name, stage, "distillation", split, f"{metric}-with-labels"), kind, constant(value, profile.triplets.validation)
    for stage, values in json.loads(run.path("triplets/all/summary.json").read_text()).items():
        for metric, value in values.items():
            yield (profile.labeller.backbones[0], TEACHERS[stage], "triplets", profile.triplets.sampling, metric), kind, constant(value)
    for part in judged.part_names(profile.labeller):
        notes = teach.notes(run, profile.labeller, part)
        for metric, value in (("pull", notes["pull"]), ("vice-dimensions", notes["vice_dimensions"])):
            yield (profile.labeller.backbones[0], "teacher", "fit", part, metric), kind, constant(value)
