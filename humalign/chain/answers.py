"""Answers that teachers learn of: people's about the THINGS objects, and about judged pictures of one's own.

Of THINGS no triplet that is scored is trained on. What is wrong with one's own pictures is one line each.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from humalign.data import named, object_order, readers_answers, readers_own, registry
from humalign.data.images import FolderImages
from humalign.data.judgments import Choices
from humalign.errors import HumalignError
from humalign.profiles import Profile

Find = Callable[[str], Path]
SOURCES = ("things-answers", "things-validation-answers", "things-repeated-answers")
# Agreement with people below which a public file is not what its name says: VICE has .64, CLIP's cosines .48.
LEAST_VICE, LEAST_CLIP = 0.55, 0.42
FETCH = "move it away, and `humalign fetch {}` brings the public file"


@dataclasses.dataclass(frozen=True)
class AnswerSets:
    """Answers to train on, to validate with, and to triplets that many people answered; no two share one."""

    training: Choices
    validation: Choices
    repeated: Choices

    @property
    def asked_once(self) -> Choices:
        """Answers to train on and to validate with."""
        both = (self.training, self.validation)
        return Choices(np.concatenate([c.triplets for c in both]), np.concatenate([c.counts for c in both]))


def answer_sets(find: Find, names: Sequence[str]) -> AnswerSets:
    """Read the three sets, each from a file of its own or from the table of all answers.

    A triplet in several is kept among the repeated ones, else for validation: none is trained on and scored.
    """
    training, validation, repeated = (find(source) for source in SOURCES)
    many = readers_answers.repeated(repeated, names)
    held = _without(readers_answers.validation(validation, names), [many], validation)
    return AnswerSets(_without(readers_answers.training(training, names), [many, held], training), held, many)


def check_orders(
    find: Find,
    answers: AnswerSets,
    published: Float[np.ndarray, "objects dims"],
    features: Float[np.ndarray, "objects dim"],
    names: Sequence[str],
) -> None:
    """Check by the answers that VICE, CLIP's features and the repeated triplets were read in their order."""
    once, many, repeated = answers.asked_once, answers.repeated, find(SOURCES[2])
    for source, choices in zip(SOURCES, (answers.training, answers.validation, many), strict=True):
        object_order.check_odd_last(find(source), published, choices)
    for source, rows, order, least, cosine in (
        ("things-vice", published, object_order.OLD, LEAST_VICE, False),
        ("things-clip-features", features, object_order.SORTED, LEAST_CLIP, True),
    ):
        path, mend = find(source), FETCH.format(source)
        object_order.check_embedding(path, rows, once, names, order, mend=mend, least=least, cosine=cosine)
    order, mend = readers_answers.order(repeated), FETCH.format(SOURCES[2])
    object_order.check_answers(repeated, published, many, names, order, mend=mend)


def _without(choices: Choices, others: Sequence[Choices], path: Path) -> Choices:
    """Leave out the triplets that are among others, whatever the order of their objects."""
    taken = np.concatenate([_codes(other.triplets) for other in others])
    rows = ~np.isin(_codes(choices.triplets), taken)
    if not rows.any():
        every = f"{path}: every triplet is among those that are scored"
        raise HumalignError(f"{every}: is it the file of another set of answers?")
    return choices if rows.all() else Choices(choices.triplets[rows], choices.counts[rows])


def _codes(triplets: Int[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """Return one number for each set of three objects."""
    return np.sort(triplets, axis=1) @ np.array([1 << 40, 1 << 20, 1])


# ---- judged pictures of one's own --------------------------------------------------------------------------

# Below the first number nothing can be held out and chosen by. At the third, answers a picture, the best
# teacher of simulated answers about 60 photographs of THINGS gained one and a half points over the centred
# backbone on things held out; at a quarter of it half a point (`benchmarks/answers.py`). The second is as
# many for these 60.
LEAST, ENOUGH, EACH = 300, 1000, 50
LEAST_POOL = 30


def pictures_source(profile: Profile) -> str:
    """Name the source of the pictures."""
    return f"folder:{profile.data.own.pictures}"


def answers_source(profile: Profile) -> str:
    """Name the source of the answers."""
    return f"file:{profile.data.own.answers}"


def own_pictures(profile: Profile) -> FolderImages:
    """Return the pictures, by the names of their files."""
    if not (profile.data.own.pictures and profile.data.own.answers):
        mend = "name the folder of pictures and the file of answers"
        raise HumalignError(f"profile {profile.name}: data.own: {mend}")
    path = registry.locate(pictures_source(profile))
    if not path.is_dir():
        mend = "unpack it, and name the folder of the pictures that were judged"
        raise HumalignError(f"{path} is no folder: {mend}")
    return FolderImages(path)


def own_choices(profile: Profile) -> Choices:
    """Return the answers, their pictures in the order of `own_pictures`.

    Raises:
        HumalignError: an answer that cannot be read or names no picture, or too few answers.
    """
    settings, path = profile.data.own, registry.locate(answers_source(profile))
    names = own_pictures(profile).labels["file"].tolist()
    first, base = (None if each < 0 else each for each in (settings.first, settings.numbered_from))
    found = readers_own.read(path, names, settings.shown, settings.odd, first, base)
    if len(found) < LEAST:
        few = "too few to hold things out and to choose the regularisation"
        mend = f"collect {LEAST} at the very least, {ENOUGH:,} or more to expect something of it"
        raise HumalignError(f"{path} holds {len(found):,} answers: {few}; {mend}")
    return found


def check_own(profile: Profile) -> list[str]:
    """Return what a user should know of the pictures and answers before anything runs.

    Raises:
        HumalignError: the pool is empty or is the judged pictures, a judged picture is there twice, or what
            `own_choices` refuses.
    """
    shown, pool = own_pictures(profile), named.pictures(profile.data.pool)
    if len(pool) < LEAST_POOL:
        said = f"the pool {profile.data.pool} holds {len(pool)} pictures"
        raise HumalignError(f"{said}: name one of {LEAST_POOL} at least, better of thousands")
    of_folder = pool if isinstance(pool, FolderImages) else None
    if of_folder and {path.resolve() for path in of_folder.paths} & {path.resolve() for path in shown.paths}:
        said = f"the pool {profile.data.pool} holds the judged pictures themselves"
        raise HumalignError(f"{said}: name a folder of pictures that nobody judged")
    if twins := named.twice(shown):
        one, other = twins[0]
        raise HumalignError(f"{one} and {other} are the same picture: take one out, and its answers with it")
    answered, judged = own_choices(profile), set(shown.paths)
    each = 3 * len(answered) / len(shown)
    known: list[str] = []
    if unseen := len(shown) - len(np.unique(answered.triplets)):
        known.append(f"{unseen} of {len(shown)} judged pictures are in no answer")
    if len(answered) < ENOUGH or each < EACH:
        few = f"{len(answered):,} answers, {each:.0f} a picture: with fewer than {ENOUGH:,}, or than {EACH}"
        known.append(f"{few} a picture, expect a gain of a point or two at most")
    if of_folder and (copies := sum(one in judged for one, _ in named.twice(shown, of_folder))):
        copied = f"{copies} pictures of the pool are copies of judged ones"
        known.append(f"{copied}: students see them, though none of their answers")
    return known


def warn_of_own(profile: Profile) -> None:
    """Say on the terminal what `check_own` returns."""
    for line in check_own(profile):
        tqdm.write(f"humalign: {line}", sys.stderr)
