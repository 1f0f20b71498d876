"""Pictures of the paper's chain: ImageNet, and the sets that models are scored on, decoded and squashed once for every input size.

A set is named here and nowhere else. Its pictures lie in ``pixels/SET-SIZE``, and what a model makes of them is in the same order.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from humalign import backbones, imagenet, pixels, readers, readers_imagenet, readers_levels, readers_similarity, registry
from humalign.artefacts import Provenance
from humalign.errors import HumalignError, nearest
from humalign.images import ImageSet, Subset, ZipImages, open_image
from humalign.pipeline import Run
from humalign.pixels import PixelStore
from humalign.profiles import Paper, Released
from humalign.released.catalogue import MODELS, NETWORKS
from humalign.stages.inputs import progress_bar

TRAIN, VALIDATION = "imagenet-train", "imagenet-val"
PETERSON = tuple(f"peterson-{category}" for category in readers_similarity.CATEGORIES)
CICHY = ("cichy-set1",)
# Labelled photographs, by the name of their source.
LABELLED = {"cifar10": "cifar10-test", "textures": "dtd"}
# What each evaluation looks at, beside ImageNet's validation pictures, on which triplets are held out for every student.
EVALUATIONS: dict[str, tuple[str, ...]] = {
    "things": ("things",),
    "levels": ("levels",),
    "similarity": ("things", "kriegeskorte-92", *PETERSON, *CICHY, "king"),
    "labels": tuple(LABELLED),
    "breeds": (),
    "imagenet-a": ("imagenet-a",),
    "models": (),
}


class Files:
    """Pictures named one by one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.labels = pd.DataFrame({"file": [path.name for path in self.paths]})

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        return open_image(self.paths[index])


class Held:
    """Pictures that are in memory."""

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        self.pictures = pictures
        self.labels = pd.DataFrame({"file": [f"{number:04d}" for number in range(len(pictures))]})

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.pictures[index])


def found(profile: Released, name: str) -> Path:
    """Return a registered input: real ones after their checksum, those of a rehearsal as they are."""
    return registry.verify(name) if profile.evidence == "human" else registry.locate(name)


# ---- sets ------------------------------------------------------------------------------------------------------------


@functools.cache
def training(profile: Released) -> imagenet.Pictures:
    """Return ImageNet's training pictures."""
    return imagenet.training(profile.imagenet_pictures)


def _things(profile: Released) -> ImageSet:
    names = readers.object_ids(found(profile, "things-ids"))
    folder = found(profile, "things-reference-photographs")
    paths = [folder / f"{name}.jpg" for name in names]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise HumalignError(f"{folder}: no photograph {missing[0].name}, one of {len(missing)} that are missing: copy the folder again")
    return Files(paths)


def levels_answers(profile: Released) -> readers_levels.LevelAnswers:
    """Return people's answers of the experiment Levels, each person's first to a triplet."""
    return readers_levels.levels_answers(found(profile, "levels-answers")).first()


def _levels(profile: Released) -> ImageSet:
    shown = {Path(image).name for image in levels_answers(profile).images}
    names = training(profile).labels["file"].str.rsplit("/", n=1).str[-1]
    return Subset(training(profile), np.flatnonzero(names.isin(shown)))


def _kriegeskorte(profile: Released) -> ImageSet:
    found(profile, "kriegeskorte92-judgments")
    return Held(list(readers.similarity_judgments_92(found(profile, "kriegeskorte92-images").parent).images))


def judged(profile: Released, name: str) -> readers_similarity.SimilarityJudgments:
    """Return one of the sets of judged photographs, by its name here."""
    source, _, part = name.partition("-")
    readers_of: dict[str, Callable[[Path], readers_similarity.SimilarityJudgments]] = {
        "peterson": lambda folder: readers_similarity.ratings(folder, part),
        "cichy": lambda folder: readers_similarity.arrangements_cichy(folder, part),
        "king": readers_similarity.arrangements_king,
    }
    return readers_of[source](found(profile, f"{source}-judgments"))


def _labelled(profile: Released, name: str) -> ImageSet:
    whole = ZipImages(found(profile, LABELLED[name]))
    return Subset(whole, np.linspace(0, len(whole) - 1, min(profile.labelled_images, len(whole))).astype(int))


def _imagenet_a(profile: Released) -> ImageSet:
    classes = readers_imagenet.imagenet_classes(found(profile, "breeds-hierarchy") / "dataset_class_info.json")
    return readers_imagenet.imagenet_a(found(profile, "imagenet-a"), classes)[0]


SETS: dict[str, Callable[[Released], ImageSet]] = {
    TRAIN: training,
    VALIDATION: lambda profile: imagenet.validation(profile.imagenet_validation),
    "things": _things,
    "levels": _levels,
    "kriegeskorte-92": _kriegeskorte,
    "imagenet-a": _imagenet_a,
    **{name: functools.partial(lambda name, profile: Files(judged(profile, name).files), name) for name in (*PETERSON, *CICHY, "king")},
    **{name: functools.partial(lambda name, profile: _labelled(profile, name), name) for name in LABELLED},
}


def evaluated(profile: Released) -> list[str]:
    """Name the sets that every model is run on.

    Raises:
        HumalignError: an unknown evaluation.
    """
    for name in profile.evaluations:
        if name not in EVALUATIONS:
            raise HumalignError(f"profile {profile.name}: unknown evaluation {name!r}: {nearest(name, EVALUATIONS)}")
    # The teacher is fitted to the photographs of the objects, whatever is evaluated.
    return list(dict.fromkeys([VALIDATION, "things", *(name for each in profile.evaluations for name in EVALUATIONS[each])]))


def sources(profile: Released) -> list[str]:
    """Name the registered files that models are scored on, but for ImageNet, a checksum of which would take as long as reading it."""
    of_set = {"things": ["things-ids", "things-reference-photographs"], "levels": ["levels-answers"], "imagenet-a": ["imagenet-a"]}
    of_set |= {"kriegeskorte-92": ["kriegeskorte92-images", "kriegeskorte92-judgments"]}
    of_set |= {name: [f"{name.partition('-')[0]}-judgments"] for name in (*PETERSON, *CICHY, "king")}
    of_set |= {name: [source] for name, source in LABELLED.items()} | {VALIDATION: ["breeds-hierarchy"]}
    of_set |= {"things": [*of_set["things"], "things-names", "wordnet-nouns"]}
    named = dict.fromkeys(source for name in evaluated(profile) for source in of_set[name])
    return list(named) if profile.evidence == "human" else []


# ---- pixels ----------------------------------------------------------------------------------------------------------


@functools.cache
def size_of(backbone: str) -> int:
    """Return the input size of a backbone or of a released model, without its weights."""
    recipe = backbones.recipes().get(backbone)
    if backbone in MODELS:
        return next(iter(NETWORKS.values())).size  # the same of all networks that a released model may be
    if recipe:
        return recipe.size
    logging.disable(logging.WARNING)  # OpenCLIP warns of random weights, which nobody will use
    try:
        return backbones.build(backbone, pretrained=False).size
    finally:
        logging.disable(logging.NOTSET)


def _stores(profile: Released) -> list[tuple[str, int]]:
    """Name what is kept: training pictures at the sizes of the students that are taught, and all others at every model's."""
    taught = sorted({size_of(name) for name in profile.students if name not in MODELS})
    teacher = [profile.teacher_backbone] if isinstance(profile, Paper) else []
    every = sorted({size_of(name) for name in (*profile.students, *teacher)})
    return [*((name, size) for size in every for name in evaluated(profile)), *((TRAIN, size) for size in taught)]


def pixel_files(profile: Released) -> list[str]:
    """Name what the stage leaves: of each store the list of its pictures and their checksums, which is written last."""
    return [f"pixels/{name}-{size}/pixels.json" for name, size in _stores(profile)]


def squash(run: Run, provenance: Provenance) -> None:
    """Decode and squash every set once for every size; what was squashed before a stop is kept."""
    sets: dict[str, ImageSet] = {}
    for name, size in _stores(run.profile):
        images = sets.setdefault(name, SETS[name](run.profile))
        with progress_bar(len(images), f"{name} at {size} x {size}, pictures") as bar:
            names = images.labels["file"].tolist()
            pixels.write(images, run.path(f"pixels/{name}-{size}"), size, names, run.profile.workers, bar.update)


def names(run: Run, name: str) -> list[str]:
    """Return the names of a set's pictures, in the order of every model's features."""
    return store(run, name, size_of(run.profile.students[0])).names


def store(run: Run, name: str, size: int) -> PixelStore:
    """Return the squashed pictures of a set."""
    return PixelStore(run.path(f"pixels/{name}-{size}"))
