"""Any other encoder's embeddings of the judged things, on every set of people's judgments at hand, as it is and without a fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from jaxtyping import Float

from humalign.chain import sets
from humalign.chain.judged import forty_eight, things
from humalign.data import object_order, readers, registry
from humalign.data.datafiles import parsed
from humalign.data.judgments import ByObject, cosine_similarities
from humalign.errors import HumalignError, nearest
from humalign.evaluation import people, rsa, scores
from humalign.evaluation.checks import check_features
from humalign.evaluation.scores import Estimate, resamples

Features = Float[np.ndarray, "things dim"]
Row = tuple[tuple[str, str, str], Estimate]  # task, split, metric; estimate
STAGE = "base"
# What an array of names is called after the array of features that it belongs to.
NAMES = "-names"


def score(path: str | Path, name: str, draws: int = 500, seed: int = 0) -> pd.DataFrame:
    """Return the scores of an encoder that somebody else ran, in the columns of every table of scores.

    Args:
        path: an ``.npz`` with one array or more, (things, dim):

            - ``things-objects``, of the 1,854 objects: either in the order of ``unique_id.txt``, which is not that of the files' names
              (the answers tell the two apart, and a file in another order is refused), or in any order with ``things-objects-names``;
            - ``things-photographs``, of the photographs at hand, always with ``things-photographs-names``;
            - ``kriegeskorte-92``, of the 92 images in the order of their file.

            An array of names holds one id a row (``aardvark``) or the name of a picture's file (``aardvark.jpg``,
            ``aardvark/aardvark_01b.jpg``); rows are matched by it.
        name: of the model in the table.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        HumalignError: an array of another name, without a row for each thing, or not finite; a name of no object, twice, or missing;
            objects in another order; human data that are not at hand.
    """
    found = parsed(path, _arrays)
    given = {which: array for which, array in found.items() if not which.endswith(NAMES)}
    for which in found:
        if which.removesuffix(NAMES) not in SETS:
            raise HumalignError(f"{path}: unknown set {which!r}: {nearest(which, SETS)}")
        if which == f"kriegeskorte-92{NAMES}":
            raise HumalignError(f"{path}: the 92 images have no names, they are in the order of their file: leave {which!r} out")
        if which not in given and which.removesuffix(NAMES) not in given:
            raise HumalignError(f"{path}: {which!r} names the rows of an array that is not there: save it as {which.removesuffix(NAMES)!r}")
    if not given:
        raise HumalignError(f"{path} holds no array: give one or more of {', '.join(SETS)}")
    several = [
        estimate.score(*task, "human")
        for which, features in given.items()
        for task, estimate in SETS[which](_Given(path, which, features, found.get(f"{which}{NAMES}")), draws, seed)
    ]
    return scores.table({(name, STAGE): several}, "things", seed)


class _Given:
    """An array of features of a file, and the names of its rows where it gives them."""

    def __init__(self, path: str | Path, which: str, features: np.ndarray, names: np.ndarray | None) -> None:
        self.where, self.features, self.ids = f"{path}, {which}", features, None
        if names is not None:
            if features.ndim != 2 or names.shape != features.shape[:1]:
                raise HumalignError(f"{self.where}: names of shape {names.shape} for features of shape {features.shape}: one name a row")
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
                raise HumalignError(f"{self.where}, row {row + 1}: {name!r} is none of the {len(names):,} objects here: leave the row out")
            if row_of[name] != row:
                raise HumalignError(f"{self.where}, rows {row + 1} and {row_of[name] + 1}: {name!r} twice: leave one of them out")
        missing = [name for name in names if name not in row_of]
        if missing:
            raise HumalignError(f"{self.where}: no row of {missing[0]!r}, one of {len(missing):,} objects without a row: embed those too")
        return self.features[[row_of[name] for name in names]]


def _object(name: str) -> str:
    """Return the object's id in its own name, or in that of a picture's file: ``aardvark/aardvark_01b.jpg``."""
    path = PurePosixPath(name.replace("\\", "/"))
    return re.sub("_[0-9]{2}[a-z]$", "", path.stem if path.suffix.lower() in readers.ENDINGS else path.name)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: np.asarray(file[name], dtype=str if name.endswith(NAMES) else float) for name in file.files}


def _objects(given: _Given, draws: int, seed: int) -> Iterator[Row]:
    """All answers, the repeated triplets and the matrix of 48 objects (unit: object)."""
    known = things()
    features = given.features if given.ids is None else given.of(known.names)
    check_features(features, len(known.names))
    mend = f"save them in the order of unique_id.txt, or save the objects' names beside them as things-objects{NAMES}"
    object_order.check_embedding(given.where, features, known.asked_once, known.names, object_order.UNIQUE, mend=mend, cosine=True)
    weights = resamples(len(features), draws, seed)
    repeated = ByObject(known.repeated.triplets, known.repeated.shares, len(features))
    for split, answers in (("all objects", known.answers), ("repeated triplets", repeated)):
        yield ("odd-one-out", split, "accuracy"), people.accuracy(cosine_similarities(features, answers.triplets), answers, weights)
    judged, objects = forty_eight(known)
    drawn = resamples(len(objects), draws, seed)
    for metric, estimate in rsa.matrices(rsa.dissimilarities(features[objects]), judged, drawn).items():
        yield ("similarity-judgments", "48 objects", f"rsa-{metric}"), estimate


def _photographs(given: _Given, draws: int, seed: int) -> Iterator[Row]:
    """Answers about the objects of the photographs, and what the published VICE makes of all answers (unit: image)."""
    known, objects = things(), sets.photographs()[1]
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
    """Similarity judgments of the 92 photographs, of the people's mean and of each (units: person and image)."""
    registry.locate("kriegeskorte92-judgments")
    judged = readers.similarity_judgments_92(registry.locate("kriegeskorte92-images").parent)
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
