"""What is built on WordNet: the hierarchy of its nouns, BREEDS' superclasses of ImageNet, and ImageNet-A.

A noun of WordNet may have several hypernyms, so that the hierarchy is no tree. Ids are those of the ImageNet
community: ``n02084071`` is the dog.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from humalign.data.datafiles import AGAIN, NOUN, PLAIN, lines, named, of_kind, once, parsed
from humalign.data.images import FolderImages
from humalign.errors import HumalignError, nearest

ROOT, LIVING, NONLIVING = "n00001740", "n00004258", "n00021939"
IMAGENET_A_CLASSES = 200
Hypernyms = dict[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Task:
    """One task of BREEDS: all nodes at a depth of the hierarchy, under an ancestor, with enough classes."""

    depth: int
    classes: int
    ancestor: str = ROOT


# Source: Santurkar, Tsipras, Madry (2021), BREEDS; `make_living17` and others in MadryLab/robustness.
TASKS = {
    "living-17": Task(5, 4, LIVING),
    "nonliving-26": Task(5, 4, NONLIVING),
    "entity-13": Task(3, 20),
    "entity-30": Task(4, 8),
}


@dataclasses.dataclass(frozen=True)
class Superclasses:
    """Superclasses, each with the ImageNet classes (WordNet ids) that are taught, and others that are tested.

    Attributes:
        names: of the superclasses.
        source, target: classes that are taught, a tuple a superclass, and others of the same superclasses.
    """

    names: tuple[str, ...]
    source: tuple[tuple[str, ...], ...]
    target: tuple[tuple[str, ...], ...]

    def of(self, classes: Sequence[str]) -> pd.DataFrame:
        """Return ``superclass`` (empty where there is none) and ``domain`` (source, target) of classes."""
        place = {
            one: (name, domain)
            for domain, groups in (("source", self.source), ("target", self.target))
            for name, group in zip(self.names, groups, strict=True)
            for one in group
        }
        return pd.DataFrame([place.get(one, ("", "")) for one in classes], columns=["superclass", "domain"])


def imagenet_classes(path: str | Path) -> tuple[str, ...]:
    """Read the WordNet ids of ImageNet's 1,000 classes in the order of a classifier's outputs.

    Raises:
        HumalignError: not a list of [number, id, names], or numbers that are not 0, 1, 2 and so on.

    Source: ``dataset_class_info.json`` of github.com/MadryLab/BREEDS-Benchmarks.
    """

    def rows(path: Path) -> list[tuple[int, str]]:
        return [(int(number), str(wnid)) for number, wnid, _ in json.loads(path.read_text("utf-8-sig"))]

    found: list[tuple[int, str]] = parsed(path, rows)
    for row, (number, wnid) in enumerate(found):
        if number != row or not re.fullmatch(r"n[0-9]{8}", wnid):
            what = f"class {number} with id {wnid[:20]!r} where class {row} should stand"
            raise HumalignError(f"{path}: {what}: {AGAIN}")
    return tuple(wnid for _, wnid in found)


def breeds(folder: str | Path, task: str, seed: int = 2) -> Superclasses:
    """Return the superclasses of a task, the classes of each divided at random into taught and tested.

    Args:
        folder: with ``class_hierarchy.txt``, ``node_names.txt`` and ``dataset_class_info.json``.
        task: ``living-17``, ``nonliving-26``, ``entity-13`` or ``entity-30``.
        seed: of the division; 2 gives that of the official code (its split "rand").

    Raises:
        HumalignError: an unknown task, a damaged file, a hierarchy with a loop, or without the task's nodes.

    Source: ``imagenet_class_hierarchy/modified`` of github.com/MadryLab/BREEDS-Benchmarks.
    """
    if task not in TASKS:
        raise HumalignError(f"unknown task {task!r}: {nearest(task, TASKS)}")
    wanted, folder = TASKS[task], Path(folder)
    leaves = frozenset(imagenet_classes(folder / "dataset_class_info.json"))
    children: dict[str, list[str]] = defaultdict(list)
    edges = folder / "class_hierarchy.txt"
    for line, (parent, child) in lines(edges, None, 2):
        children[of_kind(edges, line, parent, PLAIN)].append(of_kind(edges, line, child, PLAIN))
    names = {wnid: name for _, (wnid, name) in lines(folder / "node_names.txt", "\t", 2)}
    below, depth = _walk(edges, children, leaves)
    inside = _reached(wanted.ancestor, children)
    level = (node for node, steps in depth.items() if steps == wanted.depth and node in inside)
    if not (nodes := sorted(node for node in level if len(below[node]) >= wanted.classes)):
        raise HumalignError(f"{edges}: no node of the task {task}: is this the modified hierarchy of BREEDS?")
    rng = np.random.RandomState(seed)
    drawn = [rng.choice(sorted(below[node]), wanted.classes, replace=False).tolist() for node in nodes]
    half = wanted.classes // 2
    return Superclasses(
        tuple(names.get(node, node) for node in nodes),
        tuple(tuple(each[:half]) for each in drawn),
        tuple(tuple(each[half:]) for each in drawn),
    )


def _walk(
    path: Path, children: dict[str, list[str]], leaves: frozenset[str]
) -> tuple[dict[str, set[str]], dict[str, int]]:
    """Return the classes below each node, and the depth of those with some: the longest way from the root."""
    below: dict[str, set[str]] = {}
    above: set[str] = set()

    def visit(node: str) -> set[str]:
        if node in above:
            raise HumalignError(f"{path}: {node} lies below itself: {AGAIN}")
        if node not in below:
            above.add(node)
            found = [visit(child) for child in children.get(node, ()) if node not in leaves]
            above.discard(node)
            below[node] = {node} if node in leaves else set().union(*found)
        return below[node]

    visit(ROOT)
    depth: dict[str, int] = {}
    todo = [(ROOT, 0)]
    while todo:
        node, steps = todo.pop()
        if steps > depth.get(node, -1) and below.get(node):
            depth[node] = steps
            todo.extend((child, steps + 1) for child in children.get(node, ()))
    return below, depth


def imagenet_a(
    folder: str | Path, classes: Sequence[str]
) -> tuple[FolderImages, Int64[np.ndarray, " images"], Int64[np.ndarray, " 200"]]:
    """Find the pictures of ImageNet-A, in a folder for each of its 200 classes, named by WordNet id.

    Pixels are as stored: the official evaluation regards neither orientation nor transparency.

    Args:
        classes: WordNet ids of a classifier's 1,000 outputs, in order.

    Returns:
        The pictures, the output that is right for each, and the 200 outputs among which a classifier chooses.

    Raises:
        HumalignError: a folder that is no class, or another number of classes.

    Source: Hendrycks, Zhao, Basart, Steinhardt, Song (2021), Natural adversarial examples.
    """
    images = FolderImages(folder, stored=True)
    held, labels = np.unique(images.labels["class"].to_numpy(dtype=str), return_inverse=True)
    place = {wnid: output for output, wnid in enumerate(classes)}
    if unknown := [name for name in held.tolist() if name not in place]:
        mend = "give the folder that holds n01498041 and the others"
        raise HumalignError(f"{folder}: {unknown[0]!r} is no class of ImageNet: {mend}")
    if len(held) != IMAGENET_A_CLASSES:
        what = f"{len(held)} classes instead of {IMAGENET_A_CLASSES}: cut short, or of another set"
        raise HumalignError(f"{folder}: {what}; {AGAIN}")
    allowed = np.array([place[name] for name in held.tolist()], dtype=np.int64)
    return images, allowed[labels], np.sort(allowed)


def hypernyms(path: str | Path) -> Hypernyms:
    """Read the hypernyms of every noun: pairs of a hypernym and a noun right below it, a line each.

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
    """Read the WordNet id of each THINGS object, in the order of ``names``, their own ids; empty without one.

    Lines are matched by ``uniqueID``, whatever their order; those of other objects are passed over.

    Raises:
        HumalignError: no such column, an object twice, or one that is not listed.

    Source: ``items1854names.tsv`` of osf.io/z2784, or ``things_concepts.tsv`` of osf.io/jum2f.
    """
    column = next((cell for cell in next(lines(path))[1] if cell.lower() == "wordnet id"), "Wordnet ID")
    listed = list(named(path, {"uniqueID": PLAIN, column: NOUN}))
    once(path, ((line, name) for line, (name, _) in listed))
    noun_of = {name: noun for _, (name, noun) in listed}
    if missing := [name for name in names if name not in noun_of]:
        among = f"one of {len(missing):,} ids of unique_id.txt that it lacks"
        raise HumalignError(f"{path} does not list {missing[0]}, {among}: {AGAIN}")
    return tuple(noun_of[name] for name in names)


def path_lengths(nouns: Sequence[str], above: Hypernyms) -> Float[np.ndarray, "nouns nouns"]:
    """Return the steps on the shortest way up from two nouns to a common hypernym; infinite if unknown.

    Source: Rada, Mili, Bicknell, Blettner (1989), Development and application of a metric on semantic nets.
    """
    below: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, noun in enumerate(nouns):
        for hypernym, steps in (_reached(noun, above) if noun in above else {}).items():
            below[hypernym].append((place, steps))
    found = np.full((len(nouns), len(nouns)), np.inf)
    for reached in below.values():
        places, steps = np.array(reached).T
        here = np.ix_(places, places)
        found[here] = np.minimum(found[here], steps[:, None] + steps)
    return found


def _reached(start: str, edges: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return everything that edges lead to, and the start itself, with the fewest steps to it."""
    steps, level, depth = {start: 0}, [start], 0
    while level:
        depth += 1
        level = list({end for one in level for end in edges.get(one, ())} - steps.keys())
        steps |= dict.fromkeys(level, depth)
    return steps
