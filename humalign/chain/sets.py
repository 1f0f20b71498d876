"""Which registered sets of pictures a profile needs, at which size; their pictures, squashed once."""

from __future__ import annotations

import functools
import logging
import sys
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from tqdm import tqdm

from humalign.artefacts import Provenance
from humalign.chain.answers import SOURCES
from humalign.chain.pipeline import Run, progress_bar
from humalign.chain.registered import SAMPLE, TRAIN, VALIDATION, at_hand, load, sources_of
from humalign.data import pixels, readers, registry
from humalign.data.images import ImageSet
from humalign.data.named import file_name
from humalign.data.pixels import PixelStore
from humalign.errors import HumalignError, nearest
from humalign.models import backbones
from humalign.models.released.catalogue import MODELS, NETWORKS
from humalign.profiles import Profile, Student

# What each evaluation looks at beside what the profile names under `data`, and the sources that it reads.
OBJECTS = ("things-ids", *SOURCES, "things-categories")
DESCRIBED = (*OBJECTS, "things-clip-features", "things-vice")
OF_92 = ("kriegeskorte92-judgments", "kriegeskorte92-images")
WORDNET = ("things-names", "wordnet-nouns")
EVALUATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **dict.fromkeys(("simulated", "training", "dense-against-sparse", "own"), ((), ())),
    **dict.fromkeys(("similarity", "labels", "between-models"), ((), ())),
    **dict.fromkeys(("objects", "repeated-triplets"), ((), OBJECTS)),
    **dict.fromkeys(("observers", "learning-curves", "recovery", "examples"), ((), DESCRIBED)),
    "judged-matrix": ((), (*DESCRIBED, "things-48")),
    "photographs": ((), (*DESCRIBED, "things-photographs", *OF_92)),
    **dict.fromkeys(("unseen-halves", "disagreement"), ((), (*DESCRIBED, "things-photographs"))),
    "things": (("things",), OBJECTS),
    "levels": (("levels",), OBJECTS),
    "corruptions": ((), ("cifar10",)),
    "breeds": ((), ("breeds-hierarchy",)),
    "imagenet-a": (("imagenet-a",), ("breeds-hierarchy",)),
    "taxonomies": ((), (*OBJECTS, *WORDNET)),
}
# What an evaluation reads beside the pictures of a set, where the profile names that set.
BESIDE = {("similarity", "things"): ("things-48", *OBJECTS), ("labels", "cifar10"): ("cifar10h",)}
# Evaluations that read which classes of ImageNet belong together, where its pictures are looked at.
OF_IMAGENET = ("taxonomies", "between-models")


def objects_judged(run: Run) -> Bool[np.ndarray, " objects"]:
    """Tell of which objects the photograph is the one that people judged."""
    ids, files = readers.object_ids(registry.locate("things-ids")), names(run, "things")
    stems = [Path(file).stem for file in files]
    both = enumerate(zip(ids, stems, strict=False))
    wrong = [row for row, (name, stem) in both if name not in (stem, stem.rpartition("_")[0])]
    if len(files) != len(ids) or wrong:
        where = f"{files[wrong[0]]} for {ids[wrong[0]]}" if wrong else f"{len(files)} for {len(ids)} ids"
        line = f"the squashed pictures of THINGS are not those of unique_id.txt ({where})"
        raise HumalignError(f"{line}: delete the run's folder pixels")
    return np.array([stem.endswith(readers.JUDGED) for stem in stems])


def evaluations(profile: Profile) -> list[str]:
    """Name the evaluations of a profile."""
    for name in profile.evaluation.names:
        if name not in EVALUATIONS:
            seen = f"profile {profile.name}: evaluation.names = {name!r}"
            raise HumalignError(f"{seen}: {nearest(name, EVALUATIONS)}")
    return list(profile.evaluation.names)


def left_out(profile: Profile) -> list[str]:
    """Name the sets of a profile that are not here, and may be left out."""
    named = [name for each in evaluations(profile) for name in EVALUATIONS[each][0]]
    return [name for name in (*named, *profile.data.judged) if not at_hand(name)]


def asked(profile: Profile) -> list[str]:
    """Name the sets that the evaluations of a profile look at, those that are not at hand left out."""
    named = (name for each in evaluations(profile) for name in EVALUATIONS[each][0])
    return list(dict.fromkeys([*unjudged(profile), *filter(at_hand, named)]))


def judged_pictures(profile: Profile) -> list[str]:
    """Name the judged sets at hand that are shown to models: all whose embeddings do not come with them."""
    given = {teacher.judged for teacher in profile.teachers if not teacher.backbones}
    return [name for name in profile.data.judged if name not in given and at_hand(name)]


def unjudged(profile: Profile) -> list[str]:
    """Name the sets that stand for the pool where a model was not run on it: pictures that nobody judged."""
    if profile.data.pool == TRAIN:
        return [VALIDATION]
    return [SAMPLE] if from_pixels(profile) else []


def evaluated(profile: Profile, student: Student) -> list[str]:
    """Name the sets that a student is scored on."""
    further = ["corrupted"] if profile.data.corrupted_images and student.scored == "everything" else []
    return list(dict.fromkeys([*asked(profile), *judged_pictures(profile), *profile.data.labelled, *further]))


def embedded(profile: Profile) -> dict[str, list[str]]:
    """Name the sets that each backbone of a teacher, and each frozen trunk, is run on before any training."""
    found: dict[str, list[str]] = {}
    # Of a model of one's own only the student is scored on labelled pictures.
    classified = profile.data.labelled if set(evaluations(profile)) - {"own"} else ()
    for teacher in profile.teachers:
        for name in teacher.backbones:
            found[name] = [*asked(profile), *judged_pictures(profile), *classified, profile.data.pool]
        for name in teacher.further:
            found[name] = judged_pictures(profile)
    for student in profile.students:
        if student.frozen or student.trained:
            beside = [*evaluated(profile, student), profile.data.pool]
            found[student.backbone] = [*found.get(student.backbone, []), *beside]
    return {name: list(dict.fromkeys(several)) for name, several in found.items()}


def sources(profile: Profile) -> list[str]:
    """Name the registered sources whose pictures are shown to models."""
    shown = [name for several in embedded(profile).values() for name in several]
    shown += [name for student in profile.students for name in evaluated(profile, student)]
    shown += [profile.data.pool] if any(name not in MODELS for name in profile.backbones) else []
    return list(dict.fromkeys(source for name in shown for source in sources_of(profile, name)))


def scored(profile: Profile) -> list[str]:
    """Name the registered sources that models are scored against, and those that name the pictures."""
    names, shown = evaluations(profile), [*asked(profile), *judged_pictures(profile), *profile.data.labelled]
    beside = [source for name in names for source in EVALUATIONS[name][1]]
    beside += [source for name in names for each in shown for source in BESIDE.get((name, each), ())]
    beside += ["breeds-hierarchy"] if VALIDATION in shown and set(OF_IMAGENET) & set(names) else []
    return list(dict.fromkeys([*sources(profile), *beside]))


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


def from_pixels(profile: Profile) -> list[Student]:
    """Return the students that are trained whole, and so read pictures that are squashed once and kept."""
    return [student for student in profile.students if not (student.frozen or student.trained)]


def _stores(profile: Profile) -> list[tuple[str, int]]:
    """Name what is kept: the pool at the sizes of students trained on it, other pictures at every size."""
    whole = from_pixels(profile)
    taught = sorted({size_of(student.backbone) for student in whole if student.backbone not in MODELS})
    teachers = [name for teacher in profile.teachers for name in teacher.backbones] if whole else []
    every = sorted({size_of(name) for name in (*(student.backbone for student in whole), *teachers)})
    shown = list(dict.fromkeys(name for student in whole for name in evaluated(profile, student)))
    return [(name, size) for size in every for name in shown] + [(profile.data.pool, size) for size in taught]


def pixel_files(profile: Profile) -> list[str]:
    """Name what the step leaves: of each store the list of its pictures and checksums, written last."""
    return [f"pixels/{file_name(name)}-{size}/pixels.json" for name, size in _stores(profile)]


def prepare(run: Run, provenance: Provenance) -> None:
    """Decode and squash every set once for every size; what was squashed before a stop is kept."""
    if absent := left_out(run.profile):
        line = f"left out, as they are not here: {', '.join(absent)} (ask their authors for them)"
        tqdm.write(f"    {line}", sys.stderr)
    shown: dict[str, ImageSet] = {}
    for name, size in _stores(run.profile):
        images = shown.setdefault(name, load(run.profile, name))
        names, folder = images.labels["file"].tolist(), run.path(f"pixels/{file_name(name)}-{size}")
        with progress_bar(len(images), f"{name} at {size} x {size}, pictures") as bar:
            pixels.write(images, folder, size, names, run.profile.compute.workers, bar.update)


def names(run: Run, name: str) -> list[str]:
    """Return the names of a set's pictures, in the order of every model's features."""
    if whole := from_pixels(run.profile):
        return store(run, name, size_of(whole[0].backbone)).names
    return list(load(run.profile, name).labels["file"])


def store(run: Run, name: str, size: int) -> PixelStore:
    """Return the squashed pictures of a set."""
    return PixelStore(run.path(f"pixels/{file_name(name)}-{size}"))
