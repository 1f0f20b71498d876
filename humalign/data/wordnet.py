"""WordNet's nouns: how many steps of its hierarchy lie between two of them.

A noun may have several hypernyms, so that the hierarchy is no tree. Ids are those of the ImageNet community: ``n02084071`` is the dog.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from humalign.data.datafiles import AGAIN, NOUN, PLAIN, lines, named, of_kind, once
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
    """Read the WordNet id of each THINGS object, in the order of ``names``, their own ids; empty where it has none.

    Lines are matched by ``uniqueID``, whatever their order; those of objects that are not asked for are passed over.

    Raises:
        HumalignError: no such column, an object twice, or one that is not listed.

    Source: ``items1854names.tsv`` of osf.io/z2784, or ``things_concepts.tsv`` of osf.io/jum2f, which writes ``WordNet ID``.
    """
    header = next(lines(path))[1]
    column = next((cell for cell in header if cell.lower() == "wordnet id"), "Wordnet ID")
    listed = [(line, name, noun) for line, (name, noun) in named(path, {"uniqueID": PLAIN, column: NOUN})]
    once(path, ((line, name) for line, name, _ in listed))
    noun_of = {name: noun for _, name, noun in listed}
    missing = [name for name in names if name not in noun_of]
    if missing:
        raise HumalignError(f"{path} does not list {missing[0]}, one of {len(missing):,} ids of unique_id.txt that it lacks: {AGAIN}")
    return tuple(noun_of[name] for name in names)


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
