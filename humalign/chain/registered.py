"""Every registered set of pictures by its name: which pictures, and from which sources.

A registered set is named here and nowhere else; others are named by their origin (`humalign.data.named`).
What a model makes of a set is in the order of its pictures.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from tqdm import tqdm

from humalign.chain.answers import own_pictures, pictures_source
from humalign.chain.pipeline import stream
from humalign.data import imagenet, named, readers, readers_levels, registered_sets, registry, wordnet
from humalign.data import readers_similarity as similar
from humalign.data.combined import CORRUPTIONS, SEVERITIES, Corrupted, Held, Joined, Mirrored
from humalign.data.emoji import STYLES, EmojiImages
from humalign.data.images import Files, ImageSet, Subset, ZipImages, evenly
from humalign.errors import HumalignError, nearest
from humalign.profiles import Profile

TRAIN, VALIDATION = "imagenet-train", "imagenet-val"
# Pictures of the pool that every model is run on, and how many.
SAMPLE, SAMPLED = "pool-sample", 2000
CICHY = ("cichy-set1",)
# Sets of judged photographs that their authors give on request; those that are not here are left out.
GATED = (*(f"peterson-{category}" for category in similar.CATEGORIES), *CICHY, "king")
# Labelled photographs, by their name in the scores.
LABELLED = {"cifar10": "cifar10", "textures": "dtd"}
BREEDS = wordnet.TASKS


@dataclasses.dataclass(frozen=True)
class Registered:
    """A set of pictures."""

    read: Callable[[Profile], ImageSet]  #: gives the pictures, as a profile takes them.
    #: that hold the pictures, and say which they are; a function where the profile chooses.
    sources: tuple[str | Callable[[Profile], str], ...]

    def __call__(self, profile: Profile) -> ImageSet:
        """Return the pictures."""
        return self.read(profile)


@functools.cache
def training(profile: Profile) -> imagenet.Pictures:
    """Return ImageNet's training pictures."""
    return imagenet.training(profile.data.imagenet_pictures)


def _things(profile: Profile) -> ImageSet:
    """Return one photograph of each object, and say of how many it is not the one that people judged."""
    source, names = profile.data.things_photographs, readers.object_ids(registry.locate("things-ids"))
    paths, judged = THINGS_PHOTOGRAPHS[source](registry.locate(source), names)
    if judged < len(names):
        line = (
            f"    {len(names) - judged:,} of {len(names):,} THINGS objects are shown by another photograph of"
            " theirs than the one that people judged; where some are, scores are given with these objects"
            " and without"
        )
        tqdm.write(line, file=sys.stderr)
    return Files(paths)


def _judged_photographs(folder: Path, names: Sequence[str]) -> tuple[list[Path], int]:
    paths, judged = readers.reference_photographs(folder, names)
    return paths, int(judged.sum())


def _free_photographs(folder: Path, names: Sequence[str]) -> tuple[list[Path], int]:
    paths, rows = readers.things_photographs(folder, names)
    if len(rows) < len(names):
        lost = next(name for row, name in enumerate(names) if row not in set(rows.tolist()))
        line = f"{folder} holds photographs of {len(rows):,} of the {len(names):,} objects, none of {lost}"
        raise HumalignError(f"{line}: move it away, and `humalign fetch things-photographs` brings all")
    return paths, 0


# Photographs of the objects by their source: paths in the order of the ids, and how many people judged.
THINGS_PHOTOGRAPHS: dict[str, Callable[[Path, Sequence[str]], tuple[list[Path], int]]] = {
    "things-reference-photographs": _judged_photographs,
    "things-photographs": _free_photographs,
}


def photographs() -> tuple[list[Path], Int[np.ndarray, " images"]]:
    """Return the THINGS photographs at hand, and which object each shows, ascending."""
    names = readers.object_ids(registry.locate("things-ids"))
    return readers.things_photographs(registry.locate("things-photographs"), names)


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
    """Return corrupted photographs of CIFAR-10, ``corrupted_images`` for each way, none of them labelled."""
    whole, each = registered_sets.pictures(LABELLED["cifar10"]), range(profile.data.corrupted_images)
    ways = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES for _ in each]
    others = np.setdiff1d(np.arange(len(whole)), evenly(whole, profile.data.labelled_images).rows)
    rows = stream(profile, 13).permutation(others)[: len(ways)]
    return Corrupted(Subset(whole, rows), ways[: len(rows)], profile.seed)


def _seen(profile: Profile, pictures: ImageSet) -> ImageSet:
    """Return judged photographs as models see them: also mirrored, where the profile says so."""
    return Mirrored(pictures) if profile.data.mirrored else pictures


def levels_answers() -> readers_levels.LevelAnswers:
    """Return people's answers of the experiment Levels."""
    return readers_levels.levels_answers(registry.locate("levels-answers"))


def _levels(profile: Profile) -> ImageSet:
    rows = levels_answers().rows_in(training(profile).labels["file"].tolist())
    return Subset(training(profile), np.sort(rows))


def judged(profile: Profile, name: str) -> similar.SimilarityJudgments:
    """Return one of the sets of judged photographs, by its name here."""
    source, _, part = name.partition("-")
    readers_of: dict[str, Callable[[Path], similar.SimilarityJudgments]] = {
        "peterson": lambda folder: similar.ratings(folder, part),
        "cichy": lambda folder: similar.arrangements_cichy(folder, part),
        "king": similar.arrangements_king,
    }
    return readers_of[source](registry.locate(f"{source}-judgments"))


def things_48(names: Sequence[str]) -> tuple[Float[np.ndarray, "m m"], Int[np.ndarray, " m"]]:
    """Return people's dissimilarities of 48 THINGS objects, and the rows of these among all names."""
    return readers.things48(registry.locate("things-48"), names)


def cifar10_shares(files: list[str]) -> Float[np.ndarray, "images 10"]:
    """Return people's labels of pictures of CIFAR-10, by their names."""
    people_say = registered_sets.cifar10h(registry.locate("cifar10h"))
    labels = registered_sets.cifar10_labels(files, "the pictures of CIFAR-10")
    return registered_sets.of_pictures(people_say, labels)


def breeds(task: str) -> wordnet.Superclasses:
    """Return which classes of ImageNet belong together in a task of BREEDS."""
    return wordnet.breeds(registry.locate("breeds-hierarchy"), task)


def hypernyms() -> wordnet.Hypernyms:
    """Return what stands right above every noun of WordNet."""
    path = registry.locate("wordnet-nouns")
    return _hypernyms(path, registry.digest_of(path))


@functools.cache
def _hypernyms(path: Path, digest: str) -> wordnet.Hypernyms:
    return wordnet.hypernyms(path)


def nouns(names: Sequence[str]) -> tuple[str, ...]:
    """Return the identifiers in WordNet of THINGS objects; empty where one has none."""
    return wordnet.things_ids(registry.locate("things-names"), names)


def _judged(name: str, profile: Profile) -> ImageSet:
    known = judged(profile, name)
    if known.archive is None:
        return Files([Path(file) for file in known.files])
    whole = ZipImages(known.archive)
    rows = np.array([whole.names.index(str(file)) for file in known.files])
    return Subset(whole, rows, pd.DataFrame({"file": [file.name for file in known.files]}))


def labelled(profile: Profile, name: str) -> Subset:
    """Return photographs with class labels, at most ``labelled_images``, spread evenly over the classes."""
    source = profile.data.pool if name == "pool-classes" else name
    if registry.is_named(source):
        return evenly(named.pictures(source, labelled=True), profile.data.labelled_images)
    known = {**LABELLED, "caltech101": "caltech101"}
    if source not in known:
        seen = f"profile {profile.name}: {source!r} is no set of pictures with classes"
        raise HumalignError(f"{seen}: {nearest(source, known)}")
    return evenly(registered_sets.pictures(known[source]), profile.data.labelled_images)


def _imagenet_a(profile: Profile) -> ImageSet:
    classes = wordnet.imagenet_classes(registry.locate("breeds-hierarchy") / "dataset_class_info.json")
    return wordnet.imagenet_a(registry.locate("imagenet-a"), classes)[0]


def _sample(profile: Profile) -> ImageSet:
    """Return evenly spaced pictures of the pool, to centre a model by that is not run on the whole pool."""
    whole = load(profile, profile.data.pool)
    return Subset(whole, np.unique(np.linspace(0, len(whole) - 1, SAMPLED).astype(int)))


SETS: dict[str, Registered] = {
    "emoji": Registered(_emoji, tuple(name for name in registry.packages() if not name.endswith("-weights"))),
    "things-photographs": Registered(
        lambda profile: _seen(profile, Files(photographs()[0])), ("things-ids", "things-photographs")
    ),
    "caltech101": Registered(lambda profile: registered_sets.pictures("caltech101"), ("caltech101",)),
    "corrupted": Registered(corrupted, ("cifar10",)),
    SAMPLE: Registered(_sample, (lambda profile: sources_of(profile, profile.data.pool)[-1],)),
    "imagenet-train": Registered(training, ("imagenet-2012-training",)),
    "imagenet-val": Registered(
        lambda profile: imagenet.validation(profile.data.imagenet_validation), ("imagenet-2012-validation",)
    ),
    "things": Registered(_things, ("things-ids", lambda profile: profile.data.things_photographs)),
    "levels": Registered(_levels, ("levels-answers", "imagenet-2012-training")),
    "kriegeskorte-92": Registered(
        lambda profile: _seen(profile, Held(list(similarity_92().images))),
        ("kriegeskorte92-images", "kriegeskorte92-judgments"),
    ),
    "imagenet-a": Registered(_imagenet_a, ("imagenet-a", "breeds-hierarchy")),
    "cifar10": Registered(lambda profile: labelled(profile, "cifar10"), ("cifar10",)),
    "textures": Registered(lambda profile: labelled(profile, "textures"), ("dtd",)),
    **{
        name: Registered(functools.partial(_judged, name), (f"{name.partition('-')[0]}-judgments",))
        for name in GATED
    },
    "own": Registered(lambda profile: _seen(profile, own_pictures(profile)), (pictures_source,)),
    "pool-classes": Registered(lambda profile: labelled(profile, "pool-classes"), ()),
}


def forms(name: str) -> str:
    """Say of the name of no set which are like it, and how others are named."""
    return f"{nearest(name, SETS)}; or {named.FORMS}, or folder:PATH"


def load(profile: Profile, name: str) -> ImageSet:
    """Return the pictures of a set: a registered one, or one that is named by where it is from."""
    if registry.is_named(name):
        registry.locate(name)
        return labelled(profile, name) if name in profile.data.labelled else named.pictures(name)
    if name not in SETS:
        raise HumalignError(f"profile {profile.name}: no set {name!r}: {forms(name)}")
    return SETS[name](profile)


def sources_of(profile: Profile, name: str) -> tuple[str, ...]:
    """Name the sources of a set, as a profile takes it."""
    if registry.is_named(name):
        return (name,)
    if name == "pool-classes":
        return sources_of(profile, profile.data.pool)
    if name not in SETS:
        load(profile, name)  # which says what is known
    return tuple(each(profile) if callable(each) else each for each in SETS[name].sources)


def at_hand(name: str) -> bool:
    """Return whether a set lies here, or is not one that may be left out."""
    if name not in GATED:
        return True
    source, _, part = name.partition("-")
    folder = registry.find(registry.source(f"{source}-judgments").path)
    return folder is not None and (source != "peterson" or part in similar.rated_categories(folder))
