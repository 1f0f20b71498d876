"""Every set of pictures by its name: which pictures, from which sources, and which of them a profile needs at which size.

A set is named here and nowhere else. What a model makes of it is in the order of its pictures.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from PIL import Image
from tqdm import tqdm

from humalign.artefacts import Provenance
from humalign.chain.inputs import progress_bar, stream
from humalign.chain.pipeline import Run
from humalign.data import imagenet, labelled_sets, pixels, readers, readers_imagenet, readers_levels, readers_similarity, registry
from humalign.data.corruptions import CORRUPTIONS, SEVERITIES, Corrupted
from humalign.data.emoji import STYLES, EmojiImages
from humalign.data.images import Files, ImageSet, Subset, ZipImages
from humalign.data.pixels import PixelStore
from humalign.errors import HumalignError, nearest
from humalign.models import backbones
from humalign.models.released.catalogue import MODELS, NETWORKS
from humalign.profiles import Profile, Student

TRAIN, VALIDATION = "imagenet-train", "imagenet-val"
PETERSON = tuple(f"peterson-{category}" for category in readers_similarity.CATEGORIES)
CICHY = ("cichy-set1",)
# Labelled photographs, by their name in the scores.
LABELLED = {"cifar10": "cifar10", "textures": "dtd"}
# What each evaluation looks at, beside what the profile names under `data`, and the registered sources that it reads beside pictures.
OBJECTS = ("things-ids", "things-answers", "things-validation-answers", "things-repeated-answers", "things-categories")
DESCRIBED = (*OBJECTS, "things-clip-features", "things-vice")
OF_92 = ("kriegeskorte92-judgments", "kriegeskorte92-images")
WORDNET = ("things-names", "wordnet-nouns")
EVALUATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **dict.fromkeys(("simulated", "training", "dense-against-sparse"), ((), ())),
    **dict.fromkeys(("objects", "repeated-triplets"), ((), OBJECTS)),
    **dict.fromkeys(("observers", "learning-curves", "recovery", "examples"), ((), DESCRIBED)),
    "judged-matrix": ((), (*DESCRIBED, "things-48")),
    "photographs": ((), (*DESCRIBED, "things-photographs", *OF_92)),
    **dict.fromkeys(("unseen-halves", "disagreement"), ((), (*DESCRIBED, "things-photographs"))),
    "things": (("things",), OBJECTS),
    "levels": (("levels",), OBJECTS),
    "similarity": ((), ()),
    "labels": ((), ()),
    "corruptions": ((), ("cifar10",)),
    "breeds": ((), ("breeds-hierarchy",)),
    "imagenet-a": (("imagenet-a",), ("breeds-hierarchy",)),
    "taxonomies": ((), (*OBJECTS, *WORDNET)),
    "between-models": ((), ()),
}
# What an evaluation reads beside the pictures of a set, where the profile names that set.
BESIDE = {("similarity", "things"): ("things-48", *OBJECTS), ("labels", "cifar10"): ("cifar10h",)}
# Evaluations that read which classes of ImageNet belong together, where its pictures are looked at.
OF_IMAGENET = ("taxonomies", "between-models")


class Held:
    """Pictures that are in memory."""

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        self.pictures = pictures
        self.labels = pd.DataFrame({"file": [f"{number:04d}" for number in range(len(pictures))]})

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.pictures[index])


class Mirrored:
    """Pictures, each followed by its mirror image."""

    def __init__(self, pictures: ImageSet) -> None:
        self.pictures = pictures
        files = pictures.labels["file"].tolist()
        self.labels = pd.DataFrame({"file": [name for file in files for name in (file, f"{file}, mirrored")]})

    def __len__(self) -> int:
        return 2 * len(self.pictures)

    def __getitem__(self, index: int) -> Image.Image:
        picture = self.pictures[index // 2]
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if index % 2 else picture


class Joined:
    """Sets of pictures one after the other."""

    def __init__(self, sets: Sequence[ImageSet]) -> None:
        self.sets, self.ends = sets, np.cumsum([len(each) for each in sets])
        self.labels = pd.concat([each.labels for each in sets], ignore_index=True)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> Image.Image:
        which = int(np.searchsorted(self.ends, index, side="right"))
        return self.sets[which][index - (int(self.ends[which - 1]) if which else 0)]


# ---- sets ------------------------------------------------------------------------------------------------------------


@functools.cache
def training(profile: Profile) -> imagenet.Pictures:
    """Return ImageNet's training pictures."""
    return imagenet.training(profile.data.imagenet_pictures)


def _things(profile: Profile) -> ImageSet:
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


def photographs() -> tuple[list[Path], Int[np.ndarray, " images"]]:
    """Return the THINGS photographs at hand, and which object each shows, ascending."""
    return readers.things_photographs(registry.locate("things-photographs"), readers.object_ids(registry.locate("things-ids")))


def similarity_92() -> readers.Judgments92:
    """Return the 92 photographs, and each person's judgments of them."""
    registry.locate("kriegeskorte92-judgments")
    return readers.similarity_judgments_92(registry.locate("kriegeskorte92-images").parent)


def _emoji(profile: Profile) -> ImageSet:
    """Return every concept in one style, then in the other."""
    whole = Joined([EmojiImages(style) for style in STYLES])
    whole.labels = whole.labels.assign(file=whole.labels["style"] + "/" + whole.labels["concept"] + ".png")
    return whole


def corrupted(profile: Profile) -> Corrupted:
    """Return other photographs of CIFAR-10 than the labelled ones, each corrupted in one way, ``corrupted_images`` in each."""
    whole = labelled_sets.pictures(LABELLED["cifar10"])
    ways = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES for _ in range(profile.data.corrupted_images)]
    others = np.setdiff1d(np.arange(len(whole)), labelled_sets.evenly(whole, profile.data.labelled_images).rows)
    rows = stream(profile, 13).permutation(others)[: len(ways)]
    return Corrupted(Subset(whole, rows), ways[: len(rows)], profile.seed)


def _seen(profile: Profile, pictures: ImageSet) -> ImageSet:
    """Return judged photographs as models see them: also mirrored, where the profile says so."""
    return Mirrored(pictures) if profile.data.mirrored else pictures


def levels_answers(profile: Profile) -> readers_levels.LevelAnswers:
    """Return people's answers of the experiment Levels."""
    return readers_levels.levels_answers(registry.locate("levels-answers"))


def _levels(profile: Profile) -> ImageSet:
    rows = levels_answers(profile).rows_in(training(profile).labels["file"].tolist())
    return Subset(training(profile), np.sort(rows))


def _kriegeskorte(profile: Profile) -> ImageSet:
    return _seen(profile, Held(list(similarity_92().images)))


def judged(profile: Profile, name: str) -> readers_similarity.SimilarityJudgments:
    """Return one of the sets of judged photographs, by its name here."""
    source, _, part = name.partition("-")
    readers_of: dict[str, Callable[[Path], readers_similarity.SimilarityJudgments]] = {
        "peterson": lambda folder: readers_similarity.ratings(folder, part),
        "cichy": lambda folder: readers_similarity.arrangements_cichy(folder, part),
        "king": readers_similarity.arrangements_king,
    }
    return readers_of[source](registry.locate(f"{source}-judgments"))


def _judged(profile: Profile, name: str) -> ImageSet:
    known = judged(profile, name)
    if known.archive is None:
        return Files([Path(file) for file in known.files])
    whole = ZipImages(known.archive)
    rows = np.array([whole.names.index(str(file)) for file in known.files])
    return Subset(whole, rows, pd.DataFrame({"file": [file.name for file in known.files]}))


def labelled(profile: Profile, name: str) -> Subset:
    """Return photographs with class labels, at most ``labelled_images``, spread evenly over the classes."""
    return labelled_sets.evenly(labelled_sets.pictures(LABELLED[name]), profile.data.labelled_images)


def _imagenet_a(profile: Profile) -> ImageSet:
    classes = readers_imagenet.imagenet_classes(registry.locate("breeds-hierarchy") / "dataset_class_info.json")
    return readers_imagenet.imagenet_a(registry.locate("imagenet-a"), classes)[0]


SETS: dict[str, Callable[[Profile], ImageSet]] = {
    "emoji": _emoji,
    "things-photographs": lambda profile: _seen(profile, Files(photographs()[0])),
    "caltech101": lambda profile: labelled_sets.pictures("caltech101"),
    "corrupted": corrupted,
    "imagenet-train": training,
    "imagenet-val": lambda profile: imagenet.validation(profile.data.imagenet_validation),
    "things": _things,
    "levels": _levels,
    "kriegeskorte-92": _kriegeskorte,
    "imagenet-a": _imagenet_a,
    "cifar10": lambda profile: labelled(profile, "cifar10"),
    "textures": lambda profile: labelled(profile, "textures"),
    "peterson-animals": lambda profile: _judged(profile, "peterson-animals"),
    "peterson-automobiles": lambda profile: _judged(profile, "peterson-automobiles"),
    "peterson-fruits": lambda profile: _judged(profile, "peterson-fruits"),
    "peterson-furniture": lambda profile: _judged(profile, "peterson-furniture"),
    "peterson-various": lambda profile: _judged(profile, "peterson-various"),
    "peterson-vegetables": lambda profile: _judged(profile, "peterson-vegetables"),
    "cichy-set1": lambda profile: _judged(profile, "cichy-set1"),
    "king": lambda profile: _judged(profile, "king"),
}


# The registered sources that hold the pictures of a set, and say which they are.
SOURCES: dict[str, tuple[str, ...]] = {
    "emoji": tuple(name for name in registry.packages() if not name.endswith("-weights")),
    "things-photographs": ("things-ids", "things-photographs"),
    "caltech101": ("caltech101",),
    "corrupted": ("cifar10",),
    TRAIN: ("imagenet-2012-training",),
    VALIDATION: ("imagenet-2012-validation",),
    "things": ("things-ids", "things-reference-photographs"),
    "levels": ("levels-answers", "imagenet-2012-training"),
    "kriegeskorte-92": ("kriegeskorte92-images", "kriegeskorte92-judgments"),
    "imagenet-a": ("imagenet-a", "breeds-hierarchy"),
    **{name: (f"{name.partition('-')[0]}-judgments",) for name in (*PETERSON, *CICHY, "king")},
    **{name: (source,) for name, source in LABELLED.items()},
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


def evaluations(profile: Profile) -> list[str]:
    """Name the evaluations of a profile.

    Raises:
        HumalignError: an unknown evaluation.
    """
    for name in profile.evaluation.names:
        if name not in EVALUATIONS:
            raise HumalignError(f"profile {profile.name}: unknown evaluation {name!r}: {nearest(name, EVALUATIONS)}")
    return list(profile.evaluation.names)


def left_out(profile: Profile) -> list[str]:
    """Name the sets of a profile that are not here, and may be left out."""
    named = [name for each in evaluations(profile) for name in EVALUATIONS[each][0]]
    return [name for name in (*named, *profile.data.judged) if not at_hand(name)]


def asked(profile: Profile) -> list[str]:
    """Name the sets that the evaluations of a profile look at, those that are not at hand left out."""
    # Where the pool is ImageNet, models and stages are compared on its validation pictures, whatever else is evaluated.
    first = [VALIDATION] if profile.data.pool == TRAIN else []
    return list(dict.fromkeys([*first, *filter(at_hand, (name for each in evaluations(profile) for name in EVALUATIONS[each][0]))]))


def judged_pictures(profile: Profile) -> list[str]:
    """Name the judged sets at hand whose pictures are shown to models; of a set whose embeddings come with the judgments there are none."""
    given = {teacher.judged for teacher in profile.teachers if not teacher.backbones}
    return [name for name in profile.data.judged if name not in given and at_hand(name)]


def unjudged(profile: Profile) -> list[str]:
    """Name the sets that stand for the pool where a model was not run on the pool itself: pictures that nobody judged."""
    return [VALIDATION] if profile.data.pool == TRAIN else []


def evaluated(profile: Profile, student: Student) -> list[str]:
    """Name the sets that a student is scored on."""
    further = ["corrupted"] if profile.data.corrupted_images and student.scored == "everything" else []
    return list(dict.fromkeys([*asked(profile), *judged_pictures(profile), *profile.data.labelled, *further]))


def embedded(profile: Profile) -> dict[str, list[str]]:
    """Name the sets that each backbone is run on before anything is taught: a teacher's, and one whose trunk a student leaves as it is."""
    found: dict[str, list[str]] = {}
    for teacher in profile.teachers:
        for name in teacher.backbones:
            found[name] = [*asked(profile), *judged_pictures(profile), *profile.data.labelled, profile.data.pool]
        for name in teacher.further:
            found[name] = judged_pictures(profile)
    for student in profile.students:
        if student.frozen or student.trained:
            found[student.backbone] = [*found.get(student.backbone, []), *evaluated(profile, student), profile.data.pool]
    return {name: list(dict.fromkeys(several)) for name, several in found.items()}


def sources(profile: Profile) -> list[str]:
    """Name the registered sources whose pictures are shown to models."""
    shown = [name for several in embedded(profile).values() for name in several]
    shown += [name for student in profile.students for name in evaluated(profile, student)]
    shown += [profile.data.pool] if any(name not in MODELS for name in profile.backbones) else []
    return list(dict.fromkeys(source for name in shown for source in SOURCES[name]))


def scored(profile: Profile) -> list[str]:
    """Name the registered sources that models are scored against, and those that say which pictures these are."""
    names, shown = evaluations(profile), [*asked(profile), *judged_pictures(profile), *profile.data.labelled]
    beside = [source for name in names for source in EVALUATIONS[name][1]]
    beside += [source for name in names for each in shown for source in BESIDE.get((name, each), ())]
    beside += ["breeds-hierarchy"] if VALIDATION in shown and set(OF_IMAGENET) & set(names) else []
    return list(dict.fromkeys([*sources(profile), *beside]))


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


def from_pixels(profile: Profile) -> list[Student]:
    """Return the students that are trained whole, and so read pictures that are squashed once and kept."""
    return [student for student in profile.students if not (student.frozen or student.trained)]


def _stores(profile: Profile) -> list[tuple[str, int]]:
    """Name what is kept: pictures of the pool at the sizes of the students that are trained on them, and all others at every model's."""
    whole = from_pixels(profile)
    taught = sorted({size_of(student.backbone) for student in whole if student.backbone not in MODELS})
    teachers = [name for teacher in profile.teachers for name in teacher.backbones] if whole else []
    every = sorted({size_of(name) for name in (*(student.backbone for student in whole), *teachers)})
    shown = list(dict.fromkeys(name for student in whole for name in evaluated(profile, student)))
    return [*((name, size) for size in every for name in shown), *((profile.data.pool, size) for size in taught)]


def pixel_files(profile: Profile) -> list[str]:
    """Name what the step leaves: of each store the list of its pictures and their checksums, which is written last."""
    return [f"pixels/{name}-{size}/pixels.json" for name, size in _stores(profile)]


def prepare(run: Run, provenance: Provenance) -> None:
    """Decode and squash every set once for every size; what was squashed before a stop is kept."""
    if absent := left_out(run.profile):
        tqdm.write(f"    left out, as they are not here: {', '.join(absent)} (ask their authors for them)", sys.stderr)
    shown: dict[str, ImageSet] = {}
    for name, size in _stores(run.profile):
        images = shown.setdefault(name, SETS[name](run.profile))
        with progress_bar(len(images), f"{name} at {size} x {size}, pictures") as bar:
            names = images.labels["file"].tolist()
            pixels.write(images, run.path(f"pixels/{name}-{size}"), size, names, run.profile.compute.workers, bar.update)


def names(run: Run, name: str) -> list[str]:
    """Return the names of a set's pictures, in the order of every model's features."""
    whole = from_pixels(run.profile)
    if whole:
        return store(run, name, size_of(whole[0].backbone)).names
    found: list[str] = SETS[name](run.profile).labels["file"].tolist()
    return found


def store(run: Run, name: str, size: int) -> PixelStore:
    """Return the squashed pictures of a set."""
    return PixelStore(run.path(f"pixels/{name}-{size}"))
