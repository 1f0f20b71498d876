"""What people, or simulated observers, said of things, and the parts into which the things are split."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float, Int

from humalign.artefacts import Provenance, write_dataset
from humalign.chain import registered
from humalign.chain.answers import AnswerSets, answer_sets, check_orders, own_choices, own_pictures
from humalign.chain.pipeline import Run, stream
from humalign.data import editions, object_order, readers, registry, simulate
from humalign.data.emoji import concepts
from humalign.data.judgments import ByObject, Choices, random_triplets
from humalign.errors import HumalignError
from humalign.evaluation import people, rsa
from humalign.models import embeddings
from humalign.profiles import Profile, Teacher
from humalign.teach import splits

# Embeddings of the objects that come with the judgments.
CLIP = "clip-vit-b32"
# Correlation of the 48 objects' judged dissimilarities with VICE's: .89 in order, about 0 in another.
LEAST_ALIKE = 0.5
SIMULATED = "judgments.nc"


@dataclasses.dataclass(frozen=True)
class Things(AnswerSets):
    """Answers about the THINGS objects, and what is known of the objects."""

    categories: pd.DataFrame
    names: tuple[str, ...]

    @functools.cached_property
    def answers(self) -> ByObject:
        """All answers to triplets that were asked once, sliced by object."""
        return ByObject.of(self.asked_once, len(self.names))

    @property
    def published(self) -> Float[np.ndarray, "objects dims"]:
        """The published embedding of people's answers (VICE)."""
        return self._described[0]

    @property
    def features(self) -> Float[np.ndarray, "objects dim"]:
        """The embeddings (CLIP ViT-B/32) that come with the judgments."""
        return self._described[1]

    def check_orders(self) -> None:
        """Check by the answers that every file that comes with them is in the order in which it is read."""
        assert len(self._described)

    @functools.cached_property
    def _described(self) -> tuple[np.ndarray, np.ndarray]:
        """Read both, each in its own order (see `humalign.data.object_order`), checked by the answers."""
        published = readers.embedding(registry.locate("things-vice"), self.names, object_order.OLD)
        features = readers.features(registry.locate("things-clip-features"), self.names, object_order.SORTED)
        check_orders(registry.locate, self, published, features, self.names)
        return published, features


@functools.cache
def things(evidence: str = "human") -> Things:
    """Read the answers and the categories; simulated evidence is made-up files in the same layout."""
    ids = registry.locate("things-ids")
    if evidence == "human" and editions.of("things-ids").edition != editions.PUBLIC:
        mend = "bring the public file (`humalign fetch things-ids`)"
        other = "say `evidence: simulated` in the profile"
        raise HumalignError(f"{ids} holds other ids than those of THINGS: {mend}, or {other}")
    names = readers.object_ids(ids)
    answers = answer_sets(registry.locate, names)
    categories = readers.categories(registry.locate("things-categories"), names)
    return Things(answers.training, answers.validation, answers.repeated, categories, names)


def forty_eight(known: Things) -> tuple[Float[np.ndarray, "m m"], Int[np.ndarray, " m"]]:
    """Read the judged dissimilarities of 48 objects, and their rows, checked by the published dimensions."""
    path = registry.locate("things-48")
    judged, rows = registered.things_48(known.names)
    own = rsa.choice_dissimilarities(people.dot_similarity(known.published[rows]))
    pairs = np.triu_indices(len(rows), 1)
    if (alike := float(np.corrcoef(own[pairs], judged[pairs])[0, 1])) < LEAST_ALIKE:
        wrong = "its rows do not follow people's dimensions of the objects they are named by"
        seen = f"{wrong} (r = {alike:.2f}, expected about 0.9): they are in another order"
        raise HumalignError(f"{path}: {seen}; put words48.mat of osf.io/z2784 beside it")
    return judged, rows


@dataclasses.dataclass(frozen=True)
class Simulated:
    """Simulated observers of the emoji's concepts, and one answer of theirs to each of many triplets."""

    observers: simulate.Observers  #: the known truth.
    choices: Choices  #: their answers.
    fold: Int[np.ndarray, " concepts"]  #: in which each concept is held out.
    whole: Bool[np.ndarray, " concepts"]  #: whether its whole subgroup is.

    @functools.cached_property
    def answers(self) -> ByObject:
        """All answers, sliced by concept."""
        return ByObject.of(self.choices, len(self.fold))


def simulate_observers(run: Run, provenance: Provenance) -> None:
    """Make the observers, their answers, and the folds over concepts."""
    profile, taxonomy, rng = run.profile, concepts(), stream(run.profile, 1)
    made, parts = profile.simulated, profile.labeller.parts
    fold, whole = splits.concept_folds(taxonomy, parts.folds, parts.whole_subgroups, rng)
    shares = {"group": made.group_share, "subgroup": made.subgroup_share, "concept": made.concept_share}
    space = simulate.tree_space(taxonomy, shares, made.space_dim, rng)
    observers = simulate.calibrated(space, made.people, made.individuality, rng)
    answers = observers.answer(random_triplets(np.arange(len(taxonomy)), made.answers, rng), 1, rng)
    variables = {
        "fold": ("concept", fold),
        "whole": ("concept", whole.astype(np.int8)),
        "space": (("concept", "dim"), observers.space),
        "weights": (("person", "dim"), observers.weights),
        "triplets": (("answer", "image"), answers.triplets),
        "counts": (("answer", "pair"), answers.counts),
    }
    found = {"sharpness": observers.sharpness, "lapse": observers.lapse, "evidence": "simulated"}
    write_dataset(run.path(SIMULATED), xr.Dataset(variables, attrs=provenance.attrs() | found))


def simulated(run: Run) -> Simulated:
    """Read what `simulate_observers` wrote."""
    file = embeddings.read(run.path(SIMULATED))
    found = (float(file.attrs[name]) for name in ("sharpness", "lapse"))
    observers = simulate.Observers(file["space"].values, file["weights"].values, *found)
    choices = Choices(file["triplets"].values, file["counts"].values)
    return Simulated(observers, choices, file["fold"].values, file["whole"].values.astype(bool))


@dataclasses.dataclass(frozen=True)
class Judged:
    """A set of things, and what was said of them."""

    answers: ByObject  #: to triplets that were asked once, sliced by thing.
    training: Choices  #: those of them that are not kept to validate with.
    #: refuses embeddings of the things in another order.
    check: Callable[[Float[np.ndarray, "things dim"]], None] = lambda features: None
    #: the observers' choice distributions, where they are simulated.
    truth: Callable[[Int[np.ndarray, "n 3"]], Float[np.ndarray, "n 3"]] | None = None
    fold: Int[np.ndarray, " things"] | None = None  #: in which each is held out, where that is known.

    def folds(self, teacher: Teacher) -> list[tuple[Int[np.ndarray, " m"], Int[np.ndarray, " k"]]]:
        """Return training and test things of each fold."""
        if self.fold is None:
            return object_folds(self.answers.objects, teacher.parts.folds)
        held = (self.fold == f for f in range(teacher.parts.folds))
        return [(np.flatnonzero(~each), np.flatnonzero(each)) for each in held]


def _emoji(run: Run) -> Judged:
    made = simulated(run)
    return Judged(made.answers, made.choices, truth=made.observers.probabilities, fold=made.fold)


def _things(run: Run) -> Judged:
    known = things(run.profile.evidence)
    if any(teacher.learner == "answers" for teacher in run.profile.teachers):
        known.check_orders()  # before hours are spent on answers about other objects
    ids = registry.locate("things-ids")
    mend = "`humalign fetch things-ids things-answers` brings the public files"

    def check(features: Float[np.ndarray, "things dim"]) -> None:
        # The photographs are found by the objects' names, the answers refer to the objects by row.
        told = known.asked_once, known.names, object_order.UNIQUE
        object_order.check_embedding(ids, features, *told, mend=mend, cosine=True)

    return Judged(known.answers, known.training, check)


def _photographs(run: Run) -> Judged:
    answers = things(run.profile.evidence).answers[registered.photographs()[1]]
    return Judged(answers, Choices(answers.triplets, answers.shares.astype(np.int64)))


def _own(run: Run) -> Judged:
    choices = own_choices(run.profile)
    return Judged(ByObject.of(choices, len(own_pictures(run.profile))), choices)


JUDGED: dict[str, Callable[[Run], Judged]] = {
    "emoji": _emoji,
    "things": _things,
    "things-photographs": _photographs,
    "own": _own,
}


def of(run: Run, teacher: Teacher) -> Judged:
    """Return the set that a teacher is fitted to."""
    return JUDGED[teacher.judged](run)


def mapped(teacher: Teacher) -> list[str]:
    """Name what a teacher maps: each backbone, several side by side, or what comes with the judgments."""
    if teacher.learner == "photographs":
        beside = ["+".join(teacher.backbones)] if len(teacher.backbones) > 1 else []
        return [*teacher.backbones, *teacher.further, *beside]
    return [labels_with(teacher)]


def labels_with(teacher: Teacher) -> str:
    """Name the model whose map labels triplets."""
    return "+".join(teacher.backbones) or CLIP


@dataclasses.dataclass(frozen=True)
class Part:
    """A named split: the things that a teacher is fitted to, and those it is scored on; ``all`` has none."""

    name: str
    train: Int[np.ndarray, " m"]
    test: Int[np.ndarray, " k"]

    def pictures(self, number: int) -> Int[np.ndarray, " images"]:
        """Return which of so many pictures, views of all things one below the other, show training things."""
        things = len(self.train) + len(self.test)
        return (self.train + things * np.arange(number // things)[:, None]).ravel()


def object_folds(objects: int, folds: int) -> list[tuple[Int[np.ndarray, " m"], Int[np.ndarray, " k"]]]:
    """Return training and test objects of each fold, in ascending order."""
    cut = splits.ObjectFolds(folds).split(np.empty(objects)) if folds else []
    return [(np.sort(train), np.sort(test)) for train, test in cut]


def halves(profile: Profile, images: int) -> Int[np.ndarray, " images"]:
    """Return in which half each photograph is: a student scored on one half has a teacher of the other."""
    return stream(profile, 8).permutation(images) % 2


def part_names(teacher: Teacher) -> list[str]:
    """Name the parts of a teacher, in order."""
    parts = teacher.parts
    several = [*(f"fold{f}" for f in range(parts.folds)), *(["half0", "half1"] if parts.halves else [])]
    return [*(["all"] if parts.all else []), *several, *(["held"] if parts.held else [])]


def kind(part: str) -> str:
    """Return what a part is one of: ``all``, ``folds``, ``halves`` or ``held``."""
    return {"fold": "folds", "half": "halves"}.get(part[:4], part)


def parts(run: Run, teacher: Teacher) -> list[Part]:
    """Return the parts of a teacher, in order."""
    known = of(run, teacher)
    n, folds = known.answers.objects, known.folds(teacher)
    half = halves(run.profile, n) if teacher.parts.halves else np.arange(0)
    found = {"all": (np.arange(n), np.arange(0)), **{f"fold{f}": fold for f, fold in enumerate(folds)}}
    found |= {f"half{h}": (np.flatnonzero(half != h), np.flatnonzero(half == h)) for h in range(2)}
    drawn = stream(run.profile, 19).permutation(n)
    held = max(3, round(teacher.parts.held * n))
    found["held"] = np.sort(drawn[held:]), np.sort(drawn[:held])
    return [Part(name, *found[name]) for name in part_names(teacher)]
