"""Readers of labelled image sets: what people called each picture, and which classes lie under which.

As in `readers`, a fault in a file is one line: file, place and mend.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64

from humalign.datafiles import AGAIN, PLAIN, WHOLE, first, named, once, parsed
from humalign.errors import HumalignError


@dataclasses.dataclass(frozen=True)
class Cifar10H:
    """What people called each of the 10,000 test pictures of CIFAR-10 (about 50 people a picture).

    Attributes:
        classes: names, ascending.
        shares: share of people who gave each label, a row a picture, in the order of the original test set.
        labels: place of the official label in ``classes``.
        members: where each picture lies, as ``class/NNNN.jpg``.
    """

    classes: tuple[str, ...]
    shares: Float[np.ndarray, "images classes"]
    labels: Int64[np.ndarray, " images"]
    members: tuple[str, ...]

    def rows(self, files: Sequence[str]) -> Int64[np.ndarray, " files"]:
        """Return the row of each picture, named as in an archive (``test/cat/0000.jpg``).

        Raises:
            HumalignError: a picture that is none of them.
        """
        place = {member: row for row, member in enumerate(self.members)}
        found = ["/".join(Path(file).parts[-2:]) for file in files]
        unknown = next((file for file in found if file not in place), None)
        if unknown is not None:
            raise HumalignError(f"people were not asked about {unknown}: CIFAR-10H has the test pictures only, as class/NNNN.jpg")
        return np.array([place[file] for file in found], dtype=np.int64)


def cifar10h(probabilities_path: str | Path, index_path: str | Path) -> Cifar10H:
    """Read people's label distributions, and the class and place in it of every picture.

    Raises:
        HumalignError: rows that are no distribution, an index that is not in order, or files of different lengths.

    Source: ``cifar10h-probs.npy`` of github.com/jcpeterson/cifar-10h; ``cifar10_test_index.csv``: ``test_index``, ``class``,
    ``index_in_class``, one line a picture in the original order.
    """
    shares = parsed(probabilities_path, lambda path: np.load(path, allow_pickle=False)[:])
    kinds = {"test_index": WHOLE, "class": PLAIN, "index_in_class": WHOLE}
    listed = [(line, (int(index), name, int(place))) for line, (index, name, place) in named(index_path, kinds, ",")]
    once(index_path, ((line, (name, place)) for line, (_, name, place) in listed))
    for number, (line, (index, _, _)) in enumerate(listed):
        if index != number:
            raise HumalignError(f"{index_path}, line {line}: test_index {index} where {number} should stand: {AGAIN}")
    names = [name for _, (_, name, _) in listed]
    classes, labels = np.unique(names, return_inverse=True)
    if shares.dtype.kind != "f" or shares.shape != (len(listed), len(classes)):
        held = f"{shares.dtype} of shape {shares.shape}"
        raise HumalignError(f"{probabilities_path}: {held} for {len(listed)} pictures of {len(classes)} classes: {AGAIN}")
    if (row := first(~(shares >= 0) | (np.abs(shares.sum(1, keepdims=True) - 1) > 1e-6))) is not None:
        raise HumalignError(f"{probabilities_path}, row {row + 1}: {np.round(shares[row], 3).tolist()} is no distribution: {AGAIN}")
    members = tuple(f"{name}/{place:04d}.jpg" for _, (_, name, place) in listed)
    return Cifar10H(tuple(map(str, classes)), shares.astype(np.float64), labels.astype(np.int64), members)
