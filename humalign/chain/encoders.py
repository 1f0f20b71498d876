"""Any encoder's scores, without a run: against people's judgments at hand, and on labelled pictures."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from jaxtyping import Float

from humalign.chain import registered
from humalign.chain.judged import forty_eight, things
from humalign.chain.pipeline import progress_bar
from humalign.chain.scoring.labels import classified
from humalign.data import named, object_order, readers
from humalign.data.datafiles import parsed
from humalign.data.images import ImageSet, Subset, spread
from humalign.data.judgments import ByObject, cosine_similarities
from humalign.errors import HumalignError, nearest
from humalign.evaluation import few_shot, people, rsa, scores
from humalign.evaluation.checks import check_features, check_labels
from humalign.evaluation.scores import Estimate, resamples
from humalign.models import backbones, embeddings

Features = Float[np.ndarray, "things dim"]
Row = tuple[tuple[str, str, str], Estimate]  # task, split, metric; estimate
STAGE = "base"
# What an array of names is called after the array of features that it belongs to.
NAMES = "-names"
SHOTS = (1, 2, 5, 10)


# ---- embeddings that somebody else made, against people ----------------------------------------------------


def score(path: str | Path, name: str, draws: int = 500, seed: int = 0) -> pd.DataFrame:
    """Return the scores of an encoder that somebody else ran, in the columns of every table of scores.

    Args:
        path: an ``.npz`` with one array or more, (things, dim):

            - ``things-objects``, of the 1,854 objects: either in the order of ``unique_id.txt``, which is not
              that of the files' names (the answers tell the two apart, and a file in another order is
              refused), or in any order with ``things-objects-names``;
            - ``things-photographs``, of the photographs at hand, always with ``things-photographs-names``;
            - ``kriegeskorte-92``, of the 92 images in the order of their file.

            An array of names holds one id a row (``aardvark``) or the name of a picture's file
            (``aardvark.jpg``, ``aardvark/aardvark_01b.jpg``); rows are matched by it.
        name: of the model in the table.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        HumalignError: an array of another name, without a row for each thing, or not finite; a name of no
            object, twice, or missing; objects in another order; human data that are not at hand.
    """
    found = parsed(path, _arrays)
    given = {which: array for which, array in found.items() if not which.endswith(NAMES)}
    for which in found:
        of = which.removesuffix(NAMES)
        if of not in SETS:
            raise HumalignError(f"{path}: unknown set {which!r}: {nearest(which, SETS)}")
        if which == f"kriegeskorte-92{NAMES}":
            order = "the 92 images have no names, they are in the order of their file"
            raise HumalignError(f"{path}: {order}: leave {which!r} out")
        if of not in given:
            lacking = f"{which!r} names the rows of an array that is not there"
            raise HumalignError(f"{path}: {lacking}: save it as {of!r}")
    if not given:
        raise HumalignError(f"{path} holds no array: give one or more of {', '.join(SETS)}")
    several = [
        estimate.score(*task, "human")
        for which, each in given.items()
        for task, estimate in SETS[which](_Given(path, which, each, found.get(which + NAMES)), draws, seed)
    ]
    return scores.table({(name, STAGE): several}, "things", seed)


class _Given:
    """An array of features of a file, and the names of its rows where it gives them."""

    def __init__(self, path: str | Path, which: str, features: np.ndarray, names: np.ndarray | None) -> None:
        self.where, self.features, self.ids = f"{path}, {which}", features, None
        if names is not None:
            if features.ndim != 2 or names.shape != features.shape[:1]:
                shapes = f"names of shape {names.shape} for features of shape {features.shape}"
                raise HumalignError(f"{self.where}: {shapes}: one name a row")
            self.ids = [_object(str(name)) for name in names]

    def of(self, names: Sequence[str]) -> Features:
        """Return the features of these objects, found by name.

        Raises:
            HumalignError: a name that is not among them or stands twice, or an object that is not named.
        """
        row_of = {name: row for row, name in enumerate(self.ids or ())}
        known = set(names)
        for row, name in enumerate(self.ids or ()):
            if name not in known:
                unknown = f"{name!r} is none of the {len(names):,} objects here"
                raise HumalignError(f"{self.where}, row {row + 1}: {unknown}: leave the row out")
            if row_of[name] != row:
                both = f"rows {row + 1} and {row_of[name] + 1}"
                raise HumalignError(f"{self.where}, {both}: {name!r} twice: leave one of them out")
        if missing := [name for name in names if name not in row_of]:
            lacking = f"no row of {missing[0]!r}, one of {len(missing):,} objects without a row"
            raise HumalignError(f"{self.where}: {lacking}: embed those too")
        return self.features[[row_of[name] for name in names]]


def _object(name: str) -> str:
    """Return an object's id, given as it is or as a picture's file: ``aardvark/aardvark_01b.jpg``."""
    path = PurePosixPath(name.replace("\\", "/"))
    return re.sub("_[0-9]{2}[a-z]$", "", path.stem if path.suffix.lower() in readers.ENDINGS else path.name)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        kinds = {name: str if name.endswith(NAMES) else float for name in file.files}
        return {name: np.asarray(file[name], dtype=kind) for name, kind in kinds.items()}


def _objects(given: _Given, draws: int, seed: int) -> Iterator[Row]:
    """All answers, the repeated triplets and the matrix of 48 objects (unit: object)."""
    known = things()
    features = given.features if given.ids is None else given.of(known.names)
    check_features(features, len(known.names))
    mend = f"or save the objects' names beside them as things-objects{NAMES}"
    object_order.check_embedding(
        given.where, features, known.asked_once, known.names, object_order.UNIQUE, cosine=True,
        mend=f"save them in the order of unique_id.txt, {mend}",
    )  # fmt: skip
    weights = resamples(len(features), draws, seed)
    repeated = ByObject(known.repeated.triplets, known.repeated.shares, len(features))
    for split, answers in (("all objects", known.answers), ("repeated triplets", repeated)):
        right = people.accuracy(cosine_similarities(features, answers.triplets), answers, weights)
        yield ("odd-one-out", split, "accuracy"), right
    judged, objects = forty_eight(known)
    drawn = resamples(len(objects), draws, seed)
    for metric, estimate in rsa.matrices(rsa.dissimilarities(features[objects]), judged, drawn).items():
        yield ("similarity-judgments", "48 objects", f"rsa-{metric}"), estimate


def _photographs(given: _Given, draws: int, seed: int) -> Iterator[Row]:
    """Answers about the objects of the photographs, and the published VICE's similarities (unit: image)."""
    known, objects = things(), registered.photographs()[1]
    if given.ids is None:
        raise HumalignError(
            f"{given.where}: no names of its {len(given.features):,} rows: save them too, "
            f"np.savez(file, **{{'things-photographs': features, 'things-photographs{NAMES}': names}}), "
            f"names such as {known.names[objects[0]]}.jpg"
        )
    features = given.of([known.names[row] for row in objects])
    check_features(features, len(objects))
    answers, weights = known.answers[objects], resamples(len(objects), draws, seed)
    right = people.accuracy(cosine_similarities(features, answers.triplets), answers, weights)
    yield ("odd-one-out", "THINGS photographs", "accuracy"), right
    published = people.dot_similarity(known.published[objects])
    alike = rsa.matrix_agreement(people.backbone_similarity(features), published, weights)
    yield ("similarity-vice", "THINGS photographs", "rsa-spearman"), Estimate.of(alike, len(objects))


def _arranged(given: _Given, draws: int, seed: int) -> Iterator[Row]:
    """Similarity judgments of the 92 photographs: people's mean, and each one's (units: person and image)."""
    judged = registered.similarity_92()
    check_features(given.features, len(judged.images))
    similarity = people.backbone_similarity(given.features)
    mean = people.across_people_and_images(similarity, judged.matrices, draws, seed)
    yield ("similarity-judgments", "92 photographs", "rsa-spearman"), mean
    drawn = resamples(len(similarity), draws, seed), resamples(len(judged.matrices), draws, seed + 1)
    alone = rsa.with_people({"encoder": -similarity}, judged.matrices, *drawn, ceilings=False)
    yield ("similarity-judgments", "92 photographs", "rsa-each-person"), alone["encoder"]


SETS: dict[str, Callable[[_Given, int, int], Iterator[Row]]] = {
    "things-objects": _objects,
    "things-photographs": _photographs,
    "kriegeskorte-92": _arranged,
}


# ---- labelled pictures, from few of each class, all by name ------------------------------------------------


def classify(
    which: str,
    models: Sequence[str],
    shots: Sequence[int] = SHOTS,
    draws: int = 5,
    images: int = 2000,
    seed: int = 0,
    bootstrap: int = 500,
) -> pd.DataFrame:
    """Return k-shot accuracies on a labelled set, in the columns of every table of scores.

    The units are images, and draws of the support set.

    Args:
        which: the set, as ``named.find`` takes it.
        models: names of backbones; the others are compared with the first, on the same pictures and draws.
        shots: pictures of each class to learn from.
        draws: how often they are drawn.
        images: of the set, at most, spread evenly over its classes.
        seed: of the pictures, the draws and the bootstrap.
        bootstrap: draws of the bootstrap.

    Raises:
        HumalignError: an unknown set or model, fewer than two classes, or too few pictures of a class.
    """
    _check(models, shots, draws, images, seed)
    whole = named.find(which)
    check_labels(whole.labels["class"].to_numpy(dtype=str))
    shown = spread(whole, images, seed)
    _enough(which, whole, shown, max(shots))
    features, labels = _embedded(shown, models), shown.labels["class"].to_numpy(dtype=str)
    weights, of_draws = resamples(len(labels), bootstrap, seed), resamples(draws, bootstrap, seed + 1)
    found: dict[tuple[str, str], list[scores.Score]] = {(model, STAGE): [] for model in models}
    several = sorted(set(shots))
    with progress_bar(sum(len(_classifiers(each)) for each in several) * len(models), "classifiers") as bar:
        for each in several:
            support = few_shot.supports(labels, each, draws, np.random.default_rng([seed, each]))
            for classifier in _classifiers(each):
                score = functools.partial(classified, labels, support, weights, of_draws, classifier, None)
                by_model = {model: score(x)["few-shot"] for model, x in features.items()}
                for model, (what, estimate) in _compared(by_model, f"{named.short(which)}/{each}-shot"):
                    found[model, STAGE].append(estimate.score(*what, "labels"))
                bar.update(len(models))
    return scores.table(found, "few-shot", seed)


def _classifiers(shots: int) -> list[str]:
    """Return the kinds of classifier; one picture of each class leaves nothing to cross-validate on."""
    return [name for name in few_shot.CLASSIFIERS if shots > 1 or name != "logistic-cv"]


def _compared(found: dict[str, dict[str, Estimate]], split: str) -> Iterator[tuple[str, Row]]:
    """Yield each model's accuracy by one kind of classifier, and its difference from the first model's."""
    first = next(iter(found))
    for model, estimates in found.items():
        for metric, estimate in estimates.items():
            yield model, (("few-shot", split, metric), estimate)
            if model != first:
                what = "few-shot", split, scores.above(metric, first)
                yield model, (what, estimate - found[first][metric])


def _embedded(shown: Subset, models: Sequence[str]) -> dict[str, Float[np.ndarray, "images _"]]:
    # All are built before the first embeds anything: a mistake in the last name costs no time of the others.
    built, found = {name: backbones.build(name) for name in models}, {}
    with progress_bar(len(shown) * len(models), "pictures") as bar:
        for name in models:
            found[name] = embeddings.embed([shown], built.pop(name), progress=bar.update)["features"].values
    return found


def _check(models: Sequence[str], shots: Sequence[int], draws: int, images: int, seed: int) -> None:
    twice = sorted({name for name in models if list(models).count(name) > 1})
    if twice:
        raise HumalignError(f"the model {twice[0]!r} is named twice: name each once")
    for what, values in (("shots", shots), ("draws", [draws]), ("images", [images])):
        if not values or min(values) < 1:
            raise HumalignError(f"{what} = {', '.join(map(str, values))}: take 1 or more")
    if seed < 0:
        raise HumalignError(f"seed = {seed}: take 0 or more")


def _enough(which: str, whole: ImageSet, shown: Subset, shots: int) -> None:
    """Raise unless every class of the whole set has more pictures among those shown than are taught."""
    there = whole.labels["class"].value_counts()
    counts = shown.labels["class"].value_counts().reindex(there.index, fill_value=0)
    if counts.min() <= shots:
        name = str(counts.idxmin())
        more = f", or more images than {len(shown)}" if there[name] > shots else ", or take the class out"
        line = f"class {name!r} of {which} has {counts[name]} pictures: {shots} shots leave none to test"
        raise HumalignError(f"{line}: take fewer shots{more}")
