"""Any other encoder's embeddings of the judged things, on every set of people's judgments at hand, as it is and without a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from humalign import readers, registry, scores
from humalign.datafiles import parsed
from humalign.errors import HumalignError, nearest
from humalign.evaluation import people, rsa
from humalign.evaluation.checks import check_features
from humalign.judgments import ByObject, cosine_similarities
from humalign.scores import Estimate, resamples
from humalign.stages.people import judgments
from humalign.stages.photograph_scores import each_person

Features = Float[np.ndarray, "things dim"]
Row = tuple[tuple[str, str, str], Estimate]  # task, split, metric; estimate
STAGE = "base"


def score(path: str | Path, name: str, draws: int = 500, seed: int = 0) -> pd.DataFrame:
    """Return the scores of an encoder that somebody else ran, in the columns of every table of scores.

    Args:
        path: an ``.npz`` with one array or more, (things, dim): ``things-objects``, of the 1,854 objects in the order of
            ``unique_id.txt``; ``things-278``, of the photographs in the order of ``images_cc0/index.csv``; ``kriegeskorte-92``, of the 92
            images in the order of their file.
        name: of the model in the table.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        HumalignError: an array of another name, without a row for each thing, or not finite; human data that are not at hand.
    """
    found = parsed(path, _arrays)
    for which in found:
        if which not in SETS:
            raise HumalignError(f"{path}: unknown set {which!r}: {nearest(which, SETS)}")
    if not found:
        raise HumalignError(f"{path} holds no array: give one or more of {', '.join(SETS)}")
    several = [
        estimate.score(*task, "human") for which, features in found.items() for task, estimate in SETS[which](features, draws, seed)
    ]
    return scores.table({(name, STAGE): several}, "things", seed)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: np.asarray(file[name], dtype=float) for name in file.files}


def _objects(features: Features, draws: int, seed: int) -> Iterator[Row]:
    """All answers, the repeated triplets and the matrix of 48 objects (unit: object)."""
    known = judgments()
    check_features(features, len(known.names))
    weights = resamples(len(features), draws, seed)
    repeated = ByObject(known.repeated.triplets, known.repeated.shares, len(features))
    for split, answers in (("all objects", known.answers), ("repeated triplets", repeated)):
        yield ("odd-one-out", split, "accuracy"), people.accuracy(cosine_similarities(features, answers.triplets), answers, weights)
    judged, objects = readers.things48(registry.verify("things-48"), registry.verify("things-48-rows"), len(features))
    drawn = resamples(len(objects), draws, seed)
    for metric, estimate in rsa.matrices(rsa.dissimilarities(features[objects]), judged, drawn).items():
        yield ("similarity-judgments", "48 objects", f"rsa-{metric}"), estimate


def _photographs(features: Features, draws: int, seed: int) -> Iterator[Row]:
    """Answers about the objects of the photographs, and what the published VICE makes of all answers (unit: image)."""
    known = judgments()
    _, objects = readers.things_photographs(registry.locate("things-photographs"))
    check_features(features, len(objects))
    answers, weights = known.answers[objects], resamples(len(objects), draws, seed)
    right = people.accuracy(cosine_similarities(features, answers.triplets), answers, weights)
    yield ("odd-one-out", "278 photographs", "accuracy"), right
    published = people.dot_similarity(known.published[objects])
    alike = people.matrix_agreement(people.backbone_similarity(features), published, weights)
    yield ("similarity-vice", "278 photographs", "rsa-spearman"), Estimate.of(alike, len(objects))


def _arranged(features: Features, draws: int, seed: int) -> Iterator[Row]:
    """Similarity judgments of the 92 photographs, of the people's mean and of each (units: person and image)."""
    registry.verify("kriegeskorte92-judgments")
    judged = readers.similarity_judgments_92(registry.verify("kriegeskorte92-images").parent)
    check_features(features, len(judged.images))
    similarity = people.backbone_similarity(features)
    mean = people.across_people_and_images(similarity, judged.matrices, draws, seed)
    yield ("similarity-judgments", "92 photographs", "rsa-spearman"), mean
    alone = each_person({("encoder", STAGE): similarity}, judged.matrices, draws, seed)
    yield ("similarity-judgments", "92 photographs", "rsa-each-person"), alone["encoder", STAGE]


SETS: dict[str, Callable[[Features, int, int], Iterator[Row]]] = {
    "things-objects": _objects,
    "things-278": _photographs,
    "kriegeskorte-92": _arranged,
}
