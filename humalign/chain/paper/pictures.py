"""Pictures of the paper's chain: ImageNet, and the sets that models are scored on, decoded and squashed once for every input size.

A set is named here and nowhere else. Its pictures lie in ``pixels/SET-SIZE``, and what a model makes of them is in the same order.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool
from PIL import Image
from tqdm import tqdm

from humalign.artefacts import Provenance
from humalign.chain.inputs import progress_bar
from humalign.chain.pipeline import Run
from humalign.data import imagenet, labelled_sets, pixels, readers, readers_imagenet, readers_levels, readers_similarity, registry
from humalign.data.images import Files, ImageSet, Subset, ZipImages
from humalign.data.pixels import PixelStore
from humalign.errors import HumalignError, nearest
from humalign.models import backbones
from humalign.models.released.catalogue import MODELS, NETWORKS
from humalign.profiles import Paper, Released

TRAIN, VALIDATION = "imagenet-train", "imagenet-val"
PETERSON = tuple(f"peterson-{category}" for category in readers_similarity.CATEGORIES)
CICHY = ("cichy-set1",)
# Labelled photographs, by their name in the scores.
LABELLED = {"cifar10": "cifar10", "textures": "dtd"}
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


class Held:
    """Pictures that are in memory."""

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        self.pictures = pictures
        self.labels = pd.DataFrame({"file": [f"{number:04d}" for number in range(len(pictures))]})

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.pictures[index])


# ---- sets ------------------------------------------------------------------------------------------------------------


@functools.cache
def training(profile: Released) -> imagenet.Pictures:
    """Return ImageNet's training pictures."""
    return imagenet.training(profile.imagenet_pictures)


def _things(profile: Released) -> ImageSet:
    """Return one photograph of each object, and say of how many it is another than the one that people judged."""
    names = readers.object_ids(registry.locate("things-ids"))
    shown = readers.reference_photographs(registry.locate("things-reference-photographs"), names)
    if not shown.judged.all():
        tqdm.write(
            f"    {len(names) - shown.judged.sum():,} of {len(names):,} THINGS objects are shown by another photograph of theirs: the one"
            " that people judged is not public; scores are given with these objects and without",
            file=sys.stderr,
        )
    return Files(shown.paths)


def objects_judged(run: Run) -> Bool[np.ndarray, " objects"]:
    """Tell of which objects the photograph is the one that people judged.

    Raises:
        HumalignError: pictures that were squashed are not one of each object, in the order of the ids.
    """
    ids, files = readers.object_ids(registry.locate("things-ids")), names(run, "things")
    stems = [Path(file).stem for file in files]
    wrong = [row for row, (name, stem) in enumerate(zip(ids, stems, strict=False)) if stem != name and stem.rpartition("_")[0] != name]
    if len(files) != len(ids) or wrong:
        where = f"{files[wrong[0]]} for {ids[wrong[0]]}" if wrong else f"{len(files)} for {len(ids)} ids"
        raise HumalignError(f"the squashed pictures of THINGS are not those of unique_id.txt ({where}): delete the run's folder pixels")
    return np.array([stem.endswith(readers.JUDGED) for stem in stems])


def levels_answers(profile: Released) -> readers_levels.LevelAnswers:
    """Return people's answers of the experiment Levels."""
    return readers_levels.levels_answers(registry.locate("levels-answers"))


def _levels(profile: Released) -> ImageSet:
    rows = levels_answers(profile).rows_in(training(profile).labels["file"].tolist())
    return Subset(training(profile), np.sort(rows))


def _kriegeskorte(profile: Released) -> ImageSet:
    registry.locate("kriegeskorte92-judgments")
    return Held(list(readers.similarity_judgments_92(registry.locate("kriegeskorte92-images").parent).images))


def judged(profile: Released, name: str) -> readers_similarity.SimilarityJudgments:
    """Return one of the sets of judged photographs, by its name here."""
    source, _, part = name.partition("-")
    readers_of: dict[str, Callable[[Path], readers_similarity.SimilarityJudgments]] = {
        "peterson": lambda folder: readers_similarity.ratings(folder, part),
        "cichy": lambda folder: readers_similarity.arrangements_cichy(folder, part),
        "king": readers_similarity.arrangements_king,
    }
    return readers_of[source](registry.locate(f"{source}-judgments"))


def _judged(profile: Released, name: str) -> ImageSet:
    known = judged(profile, name)
    if known.archive is None:
        return Files([Path(file) for file in known.files])
    whole = ZipImages(known.archive)
    rows = np.array([whole.names.index(str(file)) for file in known.files])
    return Subset(whole, rows, pd.DataFrame({"file": [file.name for file in known.files]}))


def _labelled(profile: Released, name: str) -> ImageSet:
    source = LABELLED[name]
    return labelled_sets.evenly(labelled_sets.SETS[source](registry.locate(source)), profile.labelled_images)


def _imagenet_a(profile: Released) -> ImageSet:
    classes = readers_imagenet.imagenet_classes(registry.locate("breeds-hierarchy") / "dataset_class_info.json")
    return readers_imagenet.imagenet_a(registry.locate("imagenet-a"), classes)[0]


SETS: dict[str, Callable[[Released], ImageSet]] = {
    TRAIN: training,
    VALIDATION: lambda profile: imagenet.validation(profile.imagenet_validation),
    "things": _things,
    "levels": _levels,
    "kriegeskorte-92": _kriegeskorte,
    "imagenet-a": _imagenet_a,
    **{name: functools.partial(lambda name, profile: _judged(profile, name), name) for name in (*PETERSON, *CICHY, "king")},
    **{name: functools.partial(lambda name, profile: _labelled(profile, name), name) for name in LABELLED},
}


# The registered sources that hold the pictures of a set, and say which they are.
SOURCES: dict[str, tuple[str, ...]] = {
    TRAIN: ("imagenet-2012-training",),
    VALIDATION: ("imagenet-2012-validation",),
    "things": ("things-ids", "things-reference-photographs"),
    "levels": ("levels-answers", "imagenet-2012-training"),
    "kriegeskorte-92": ("kriegeskorte92-images", "kriegeskorte92-judgments"),
    "imagenet-a": ("imagenet-a", "breeds-hierarchy"),
    **{name: (f"{name.partition('-')[0]}-judgments",) for name in (*PETERSON, *CICHY, "king")},
    **{name: (source,) for name, source in LABELLED.items()},
}
# What an evaluation reads beside pictures.
BESIDE: dict[str, tuple[str, ...]] = {
    "things": ("things-names", "things-categories"), "similarity": ("things-48",), "labels": ("cifar10h",),
}


# Sets of judged photographs that their authors give on request; those that are not here are left out.
GATED = (*PETERSON, *CICHY, "king")


def at_hand(name: str) -> bool:
    """Return whether a set lies here, or is not one that may be left out."""
    if name not in GATED:
        return True
    source, _, part = name.partition("-")
    folder = registry.find(registry.source(f"{source}-judgments").path)
    return folder is not None and (source != "peterson" or part in readers_similarity.rated_categories(folder))


def left_out(profile: Released) -> list[str]:
    """Name the sets of a profile's evaluations that are not here, and may be left out."""
    return [name for each in profile.evaluations for name in EVALUATIONS[each] if not at_hand(name)]


def evaluated(profile: Released) -> list[str]:
    """Name the sets that every model is run on.

    Raises:
        HumalignError: an unknown evaluation.
    """
    for name in profile.evaluations:
        if name not in EVALUATIONS:
            raise HumalignError(f"profile {profile.name}: unknown evaluation {name!r}: {nearest(name, EVALUATIONS)}")
    # The teacher is fitted to the photographs of the objects, whatever is evaluated.
    asked = (name for each in profile.evaluations for name in EVALUATIONS[each])
    return list(dict.fromkeys([VALIDATION, "things", *filter(at_hand, asked)]))


def sources(profile: Released) -> list[str]:
    """Name the registered sources whose pictures are squashed."""
    trained = any(name not in MODELS for name in profile.students)
    shown = [*evaluated(profile), *([TRAIN] if trained else [])]
    return list(dict.fromkeys(source for name in shown for source in SOURCES[name]))


def scored(profile: Released) -> list[str]:
    """Name the registered sources that models are scored against, beside those that hold the pictures."""
    beside = [BESIDE[name] for name in profile.evaluations if name in BESIDE]
    return list(dict.fromkeys(["breeds-hierarchy", "wordnet-nouns", *sources(profile), *(each for several in beside for each in several)]))


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
    if absent := left_out(run.profile):
        tqdm.write(f"    left out, as they are not here: {', '.join(absent)} (ask their authors for them)", sys.stderr)
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
