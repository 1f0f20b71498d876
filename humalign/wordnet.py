"""WordNet's nouns: how many steps of its hierarchy lie between two of them.

A noun may have several hypernyms, so that the hierarchy is no tree. Ids are those of the ImageNet community: ``n02084071`` is the dog.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from humalign.datafiles import AGAIN, NAME, NOUN, PLAIN, lines, named, of_kind
from humalign.errors import HumalignError

Hypernyms = dict[str, tuple[str, ...]]


def hypernyms(path: str | Path) -> Hypernyms:
    """Read the hypernyms of every noun from pairs of a hypernym and a noun right below it, a line each; a root has none.

    Raises:
        HumalignError: not two words in a line, or a noun above itself.

    Source: ``imagenet_class_hierarchy/wordnet/class_hierarchy.txt`` of github.com/MadryLab/BREEDS-Benchmarks.
    """
    above: defaultdict[str, list[str]] = defaultdict(list)
    for number, cells in lines(path, None, 2):
        hypernym, noun = (of_kind(path, number, cell, PLAIN) for cell in cells)
        if hypernym == noun:
            raise HumalignError(f"{path}, line {number}: {noun} stands right above itself: {AGAIN}")
        above[noun].append(hypernym)
        above[hypernym]  # A root is known too.
    return {noun: tuple(each) for noun, each in above.items()}


def things_ids(path: str | Path, names: Sequence[str]) -> tuple[str, ...]:
    """Read the WordNet id of each THINGS object (``item_names.tsv``), in the order of their own ids (``names``); empty where it has none.

    Raises:
        HumalignError: no such column, or other objects, or the same in another order.
    """
    cells = [row for _, row in named(path, {"uniqueID": NAME, "Wordnet ID": NOUN})]
    if [name for name, _ in cells] != list(names):
        raise HumalignError(f"{path} does not list the {len(names)} objects in their order: {AGAIN}")
    return tuple(wordnet for _, wordnet in cells)


def path_lengths(nouns: Sequence[str], above: Hypernyms) -> Float[np.ndarray, "nouns nouns"]:
    """Return the steps on the shortest way up from two nouns to a common hypernym: infinite where either is not in the hierarchy.

    Source: Rada, Mili, Bicknell, Blettner (1989), Development and application of a metric on semantic nets.
    """
    below: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, noun in enumerate(nouns):
        for hypernym, steps in _upwards(noun, above).items():
            below[hypernym].append((place, steps))
    found = np.full((len(nouns), len(nouns)), np.inf)
    for reached in below.values():
        places, steps = np.array(reached).T
        here = np.ix_(places, places)
        found[here] = np.minimum(found[here], steps[:, None] + steps)
    return found


def _upwards(noun: str, above: Hypernyms) -> dict[str, int]:
    """Return everything above a noun, and itself, with the fewest steps to it."""
    if noun not in above:
        return {}
    steps, level, depth = {noun: 0}, [noun], 0
    while level:
        depth += 1
        level = list({hypernym for one in level for hypernym in above[one]} - steps.keys())
        steps |= dict.fromkeys(level, depth)
    return steps
