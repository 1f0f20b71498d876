"""Draw the triplets of a page: at three levels of abstraction where folders name classes, else uniformly."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Int64
from numpy.random import Generator

from humalign.data import listing
from humalign.data.judgments import random_triplets
from humalign.data.readers_levels import CLASSES
from humalign.errors import HumalignError

UNIFORM = "uniform"
LEVELS = (*CLASSES, UNIFORM)
# How often a triplet that was drawn before may be drawn again, for each that is wanted.
PATIENCE = 200
# Stands for the triplets of so many classes that nobody asks for all.
MANY = 10**6
FEWER = "ask for fewer with --triplets, or add pictures"

Class = Int64[np.ndarray, " _"]


@dataclasses.dataclass(frozen=True)
class Folders:
    """The pictures of each class, and which classes are near and far.

    Attributes:
        near: lists of classes that are near each other: those of a group, or all where there are no groups.
        far: lists of classes; two classes of different lists are far from each other.
        pictures: how many there are.
        where: the folder, for messages.
    """

    near: list[list[Class]]
    far: list[list[Class]]
    pictures: int
    where: object

    @classmethod
    def of(cls, names: Sequence[str], where: object) -> Folders:
        """Read classes off paths: ``group/class/picture`` or ``class/picture``; none where they are loose."""
        files = [PurePosixPath(name).parts for name in names]
        if split := listing.splits(files):
            what = f"{' and '.join(split[:2])} look like splits, not classes"
            raise HumalignError(f"{where}: {what}: name one of them, or rename them")
        top = listing.classes(files)
        # Folders that hold everything are no classes: those stand behind them, at one place in all paths.
        start, pairs = 0, list(zip(files, top, strict=True))
        while any(name and parts[start : start + 1] != (name,) for parts, name in pairs):
            start += 1
        below = [parts[start + 1 :] for parts in files]
        depth = [min(len(rest), 2) if name else 0 for name, rest in zip(top, below, strict=True)]
        if len(set(depth)) > 1:
            odd, other = names[depth.index(min(depth))], names[depth.index(max(depth))]
            mend = "put every picture in a class folder, or every class folder in a group"
            raise HumalignError(f"{where}: {odd} has fewer folders above it than {other}: {mend}")
        if not depth[0]:
            return cls([], [], len(names), where)
        groups: dict[str, dict[str, list[int]]] = {}
        for row, (name, rest) in enumerate(zip(top, below, strict=True)):
            group, kind = (name, rest[0]) if depth[0] == 2 else ("", name)
            groups.setdefault(group, {}).setdefault(kind, []).append(row)
        near = [[np.array(rows, dtype=np.int64) for rows in group.values()] for group in groups.values()]
        return cls(near, near if depth[0] == 2 else [[each] for each in near[0]], len(names), where)

    def levels(self) -> dict[str, int]:
        """Return how many different triplets of each level there are."""
        far = [sum(map(len, each)) for each in self.far]
        pairs = ((math.comb(len(own), 2), sum(map(len, others))) for own, others in self._pairs())
        return {
            "global-coarse": MANY if len(far) > 99 else sum(map(math.prod, itertools.combinations(far, 3))),
            "class-boundary": sum(own * others for own, others in pairs),
            "local-fine": sum(math.comb(len(each), 3) for each in self._threes()),
        }

    def other(self, row: int) -> Class:
        """Return the pictures that are far from one; all others where there are no classes."""
        lists = [np.concatenate(each) for each in self.far]
        away = [each for each in lists if row not in each]
        return np.concatenate(away) if away else np.delete(np.arange(self.pictures), row)

    def _pairs(self) -> list[tuple[Class, list[Class]]]:
        several = [(group, each) for group in self.near if len(group) > 1 for each in group if len(each) > 1]
        return [(each, [other for other in group if other is not each]) for group, each in several]

    def _threes(self) -> list[Class]:
        return [each for group in self.near for each in group if len(each) > 2]

    def sampler(self, level: str) -> Callable[[Generator], list[int]]:
        """Return what draws one triplet of a level."""
        pairs, threes = self._pairs(), self._threes()

        def coarse(rng: Generator) -> list[int]:
            chosen = [self.far[each] for each in rng.choice(len(self.far), 3, replace=False)]
            return [int(rng.choice(classes[rng.integers(len(classes))])) for classes in chosen]

        def boundary(rng: Generator) -> list[int]:
            own, others = pairs[rng.integers(len(pairs))]
            pair = rng.choice(own, 2, replace=False).tolist()
            return [*pair, int(rng.choice(others[rng.integers(len(others))]))]

        def fine(rng: Generator) -> list[int]:
            return list(map(int, rng.choice(threes[rng.integers(len(threes))], 3, replace=False)))

        def uniform(rng: Generator) -> list[int]:
            return list(map(int, random_triplets(range(self.pictures), 1, rng)[0]))

        made = {"global-coarse": coarse, "class-boundary": boundary, "local-fine": fine, UNIFORM: uniform}
        return made[level]


Triplets = dict[tuple[int, ...], tuple[str, list[int]]]


def possible(folders: Folders, besides: Triplets) -> dict[str, int]:
    """Return how many triplets of each level there are besides some; without levels, of uniform ones."""
    held = {level: count for level, count in folders.levels().items() if count}
    held = held or {UNIFORM: math.comb(folders.pictures, 3)}
    taken = Counter(level for level, _ in besides.values())
    return {level: count - taken[level] for level, count in held.items()}


def draw(folders: Folders, n: int, rng: Generator, besides: Triplets | None = None) -> Triplets:
    """Draw n different triplets, as many at each level that folders allow; uniformly where they allow none.

    Args:
        besides: triplets that are not to be drawn.

    Returns:
        By pictures in ascending order: the level, and the pictures as drawn.
    """
    besides = besides or {}
    free = possible(folders, besides)
    if n > sum(free.values()):
        what = f"{n} different triplets are wanted, these pictures give {sum(free.values())}"
        raise HumalignError(f"{folders.where}: {what}: {FEWER}")
    found: Triplets = {}
    for level, count in shared(n, free).items():
        one = folders.sampler(level)
        wanted = len(found) + count
        for _ in range(PATIENCE * count):
            triplet = one(rng)
            if tuple(sorted(triplet)) not in besides:
                found.setdefault(tuple(sorted(triplet)), (level, triplet))
            if len(found) == wanted:
                break
        if len(found) < wanted:
            what = f"{count} of the {free[level]} triplets of the level {level}"
            raise HumalignError(f"{folders.where}: {what} were not found by chance: {FEWER}")
    return found


def shared(n: int, held: dict[str, int]) -> dict[str, int]:
    """Share n among levels: as many to each, where one holds fewer all of it, and the rest to the others."""
    wanted: dict[str, int] = {}
    for place, level in enumerate(sorted(held, key=lambda level: held[level])):
        left, others = n - sum(wanted.values()), len(held) - place
        wanted[level] = min(held[level], left // others)
    return {level: wanted[level] for level in held}


def copies(
    folders: Folders, looks: Callable[[int], np.ndarray], n: int, rng: Generator
) -> list[tuple[int, int]]:
    """Draw n pictures, and to each one that is clearly another: of another class, and of other colours.

    Args:
        looks: gives a few numbers that say how a picture looks.
    """
    order = itertools.chain.from_iterable(rng.permutation(folders.pictures) for _ in itertools.count())
    found = []
    for row in map(int, itertools.islice(order, n)):
        away = folders.other(row)
        candidates = rng.choice(away, min(20, len(away)), replace=False)
        distance = [np.abs(looks(int(each)) - looks(row)).mean() for each in candidates]
        found.append((row, int(candidates[int(np.argmax(distance))])))
    return found
