"""Photographs: through every backbone, and teachers of those that people judged.

The teacher of photographs is fitted to the THINGS photographs and what VICE says of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int
from PIL import Image

from humalign.artefacts import Provenance
from humalign.chain.inputs import progress_bar, stream
from humalign.chain.pipeline import Run
from humalign.data import readers, registry
from humalign.data.corruptions import CORRUPTIONS, SEVERITIES, Corrupted
from humalign.data.images import Files, ImageSet, Subset
from humalign.data.judgments import ByObject, random_triplets
from humalign.data.labelled_sets import evenly, pictures
from humalign.evaluation import people
from humalign.models import backbones, embeddings
from humalign.profiles import Things
from humalign.teach.teacher import AffineTeacher

JUDGED = ("things-photographs", "kriegeskorte-92")
# Labelled photographs that classifiers are taught on, by their name in the scores; none of them is in the pool.
LABELLED = {"cifar10": "cifar10", "textures": "dtd"}
HALVES = (0, 1)
# Dimensions of the teacher's space for a few hundred photographs.
DIM = 40


class Mirrored:
    """Pictures, each followed by its mirror image."""

    def __init__(self, pictures: Sequence[Image.Image] | Files, name: str) -> None:
        self.pictures = pictures
        self.labels = _labels(name, ["as it is", "mirrored"] * len(pictures))

    def __len__(self) -> int:
        return 2 * len(self.pictures)

    def __getitem__(self, index: int) -> Image.Image:
        picture = self.pictures[index // 2]
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if index % 2 else picture


def _labels(name: str, shown: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"set": [name] * len(shown), "shown": shown})


def embedding_files(profile: Things) -> list[str]:
    """Name what the stage leaves."""
    return [f"embeddings/{name}.nc" for name in (*profile.backbones, *profile.further_backbones)]


def embed(run: Run, provenance: Provenance) -> None:
    """Run all photographs through every backbone, those that people judged also mirrored.

    A student's backbone comes last to the stage where its trunk ends, and sees the labelled sets too, the first one also the
    corrupted photographs; a backbone that neither teaches nor learns sees only what people judged. A backbone that was finished
    under the same key is kept, so that an interrupted run continues.
    """
    profile, sets = run.profile, _judged_sets()
    pool: list[ImageSet] = [_named(pictures("caltech101"), "pool")]
    labelled: list[ImageSet] = [_named(images, name) for name, images in labelled_sets(profile).items()]
    further: list[ImageSet] = [_named(corrupted(profile), "corrupted")]
    for name in (*profile.backbones, *profile.further_backbones):
        if embeddings.made_with(run.path(f"embeddings/{name}.nc"), provenance.key):
            continue
        backbone, learns = backbones.build(name), name in profile.students
        shown = [*sets, *(pool if learns or name in profile.backbones else ()), *(labelled if learns else ())]
        shown += further if name == profile.students[0] else []
        with progress_bar(sum(map(len, shown)), f"{name}, pictures") as bar:
            found = embeddings.embed(shown, backbone, frozen_stages(profile, backbone) if learns else None, progress=bar.update)
        embeddings.write(run.path(f"embeddings/{name}.nc"), found, provenance.attrs())


def frozen_stages(profile: Things, backbone: backbones.Backbone) -> int:
    """Return how many stages of a student's backbone are not trained."""
    return max(len(backbone.stages) - profile.trained_stages, 0)


def objects() -> Int[np.ndarray, " images"]:
    """Return which object each of the THINGS photographs shows, ascending."""
    return _of_objects()[1]


def _of_objects() -> tuple[list[Path], Int[np.ndarray, " images"]]:
    return readers.things_photographs(registry.locate("things-photographs"), readers.object_ids(registry.locate("things-ids")))


def _judged_sets() -> list[ImageSet]:
    paths, _ = _of_objects()
    registry.locate("kriegeskorte92-judgments")
    judged = readers.similarity_judgments_92(registry.locate("kriegeskorte92-images").parent)
    return [
        Mirrored(Files(paths), "things-photographs"),
        Mirrored([Image.fromarray(pixels) for pixels in judged.images], "kriegeskorte-92"),
    ]


def labelled_sets(profile: Things) -> dict[str, Subset]:
    """Return the photographs with class labels, at most ``labelled_images`` of each set, spread evenly over its classes."""
    return {name: evenly(pictures(source), profile.labelled_images) for name, source in LABELLED.items()}


def corrupted(profile: Things) -> Corrupted:
    """Return other photographs of CIFAR-10 than the labelled ones, each corrupted in one way, ``corrupted_images`` in each."""
    whole = pictures(LABELLED["cifar10"])
    ways = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES for _ in range(profile.corrupted_images)]
    others = np.setdiff1d(np.arange(len(whole)), evenly(whole, profile.labelled_images).rows)
    rows = stream(profile, 13).permutation(others)[: len(ways)]
    return Corrupted(Subset(whole, rows), ways[: len(rows)], profile.seed)


def _named(images: ImageSet, name: str) -> Subset:
    """Return the same pictures under the labels that an embedding carries."""
    return Subset(images, np.arange(len(images)), _labels(name, ["as it is"] * len(images)))


def features(run: Run) -> dict[str, dict[str, Float[np.ndarray, "images dim"]]]:
    """Return features by model and set, a judged picture's and its mirror image's averaged; last, of ``backbones`` side by side."""
    profile = run.profile
    every = [*profile.backbones, *profile.further_backbones]
    read = {name: by_set(embeddings.read(run.path(f"embeddings/{name}.nc"))) for name in every}
    found = {name: read[name] for name in profile.backbones}
    beside = {}
    if len(found) > 1:
        # Each backbone with the same weight: its root mean square distance from the mean of the THINGS photographs is one.
        far = {name: f["things-photographs"] for name, f in found.items()}
        scale = {name: float(np.sqrt(((f - f.mean(0)) ** 2).sum(1).mean())) for name, f in far.items()}
        beside["+".join(found)] = {
            which: np.concatenate([f[which] / scale[name] for name, f in found.items()], axis=1) for which in (*JUDGED, "pool")
        }
    return read | beside


def by_set(file: xr.Dataset) -> dict[str, Float[np.ndarray, "images dim"]]:
    """Return the features of an embedding by set, a judged picture's and its mirror image's averaged."""
    values, sets = file["features"].values, file["set"].values
    found = {str(name): values[sets == name] for name in pd.unique(sets)}
    return found | {name: found[name].reshape(-1, 2, values.shape[1]).mean(1) for name in JUDGED}


# ---- teachers of photographs ---------------------------------------------------------------------------------------------------------


def vice_says(profile: Things, published: Float[np.ndarray, "images dims"]) -> ByObject:
    """Return the pair that VICE finds most likely to be kept, for random triplets of photographs with known dimensions."""
    asked = random_triplets(np.arange(len(published)), profile.image_triplets, stream(profile, 5))
    similar = people.pair_values(people.dot_similarity(published), asked)
    return ByObject(asked, np.eye(3)[similar.argmax(1)], len(published))


def fit(profile: Things, shown: Float[np.ndarray, "images dim"], answers: ByObject) -> AffineTeacher:
    """Fit a teacher whose settings are cross-validated over the given photographs alone."""
    grids = [{"residual": profile.image_residuals, "ridge": profile.image_ridges}, {"keep": profile.image_keeps}]
    return people.tuned(shown, answers, grids, profile.seed, dim=DIM)


def halves(profile: Things, images: int) -> Int[np.ndarray, " images"]:
    """Return in which half each photograph is: the student that is scored on one half has a teacher of the other."""
    return stream(profile, 8).permutation(images) % len(HALVES)
