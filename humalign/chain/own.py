"""Judged pictures of one's own: the pictures, the answers about them, and what is wrong with them, each in one line."""

from __future__ import annotations

import sys

import numpy as np
from tqdm import tqdm

from humalign.data import named, readers_own, registry
from humalign.data.images import FolderImages
from humalign.data.judgments import Choices
from humalign.errors import HumalignError
from humalign.profiles import Profile

# Below the first number nothing can be held out and chosen by. At the third, answers a picture, the best teacher of simulated answers about
# 60 photographs of THINGS gained one and a half points over the centred backbone on things held out; at a quarter of it half a point
# (`benchmarks/answers.py`). The second is as many for these 60.
LEAST, ENOUGH, EACH = 300, 1000, 50
LEAST_POOL = 30


def pictures_source(profile: Profile) -> str:
    """Name the source of the pictures."""
    return f"folder:{profile.data.own.pictures}"


def answers_source(profile: Profile) -> str:
    """Name the source of the answers."""
    return f"file:{profile.data.own.answers}"


def pictures(profile: Profile) -> FolderImages:
    """Return the pictures, by the names of their files."""
    if not (profile.data.own.pictures and profile.data.own.answers):
        raise HumalignError(f"profile {profile.name}: data.own: name the folder of pictures and the file of answers")
    path = registry.locate(pictures_source(profile))
    if not path.is_dir():
        raise HumalignError(f"{path} is no folder: unpack it, and name the folder of the pictures that were judged")
    return FolderImages(path)


def choices(profile: Profile) -> Choices:
    """Return the answers, their pictures in the order of `pictures`.

    Raises:
        HumalignError: an answer that cannot be read or names no picture, or too few answers.
    """
    settings, path = profile.data.own, registry.locate(answers_source(profile))
    names = pictures(profile).labels["file"].tolist()
    first, base = (None if each < 0 else each for each in (settings.first, settings.numbered_from))
    found = readers_own.read(path, names, settings.shown, settings.odd, first, base)
    if len(found) < LEAST:
        few = f"{path} holds {len(found):,} answers: too few to hold things out and to choose the regularisation"
        raise HumalignError(f"{few}; collect {LEAST} at the very least, {ENOUGH:,} or more to expect something of it")
    return found


def check(profile: Profile) -> list[str]:
    """Return what a user should know of the pictures and answers before anything runs.

    Raises:
        HumalignError: the pool is empty or is the judged pictures, a judged picture is there twice, or what `choices` refuses.
    """
    shown, pool = pictures(profile), named.pictures(profile.data.pool)
    if len(pool) < LEAST_POOL:
        said = f"the pool {profile.data.pool} holds {len(pool)} pictures"
        raise HumalignError(f"{said}: name one of {LEAST_POOL} at least, better of thousands")
    both = [{path.resolve() for path in each.paths} for each in (pool, shown) if isinstance(each, FolderImages)]
    if len(both) == 2 and both[0] & both[1]:
        said = f"the pool {profile.data.pool} holds the judged pictures themselves"
        raise HumalignError(f"{said}: name a folder of pictures that nobody judged")
    if twins := named.twice(shown):
        one, other = twins[0]
        raise HumalignError(f"{one} and {other} are the same picture: take one out, and its answers with it")
    answered, judged = choices(profile), set(shown.paths)
    each = 3 * len(answered) / len(shown)
    known: list[str] = []
    if unseen := len(shown) - len(np.unique(answered.triplets)):
        known.append(f"{unseen} of {len(shown)} judged pictures are in no answer")
    if len(answered) < ENOUGH or each < EACH:
        few, wanted = f"{len(answered):,} answers, {each:.0f} a picture", f"{ENOUGH:,}, or than {EACH} a picture"
        known.append(f"{few}: with fewer than {wanted}, expect a gain of a point or two at most")
    if isinstance(pool, FolderImages) and (copies := sum(one in judged for one, _ in named.twice(shown, pool))):
        told = "students see them, though none of their answers"
        known.append(f"{copies} pictures of the pool are copies of judged ones: {told}")
    return known


def warn(profile: Profile) -> None:
    """Say on the terminal what `check` returns."""
    for line in check(profile):
        tqdm.write(f"humalign: {line}", sys.stderr)
