"""Readers of the public files of human judgments, each in its official layout.

Indices are 0-based wherever they leave this module; files that count from 1 are converted here and nowhere else.
Every reader raises `HumalignError` for a file that is missing, empty, cut short, damaged or a web page, and for what its
docstring names besides; the one line gives the file, the line (text) or row (arrays), both counted from 1, and the mend.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Int, Int64, UInt8
from scipy.io import loadmat

from humalign.datafiles import (
    AGAIN,
    BIT,
    NAME,
    PLAIN,
    TIME,
    WHOLE,
    at_fault,
    check_dissimilarities,
    check_indices,
    first,
    line_of,
    lines,
    named,
    numbers,
    of_kind,
    once,
    parsed,
    vectors,
)
from humalign.errors import HumalignError
from humalign.judgments import Choices

SHOWN = ("image1", "image2", "image3")
# SPoSE's weights were kept from falling below zero by a penalty, not by a bound: a few stand at -0.001.
LEAST_WEIGHT = -0.01


@dataclasses.dataclass(frozen=True)
class Answers:
    """Answers to odd-one-out triplets as they were given, one row an answer.

    Attributes:
        triplets: (n, 3) 0-based indices of objects, in the order shown.
        odd: (n,) place of the odd one out in that order, 0 to 2.
        person: (n,) who answered, numbered from 0 in the order of the file; None where the file does not say.
        seconds: (n,) response times as recorded, NaN where none was; None where the file has none.
    """

    triplets: Int64[np.ndarray, "n 3"]
    odd: Int64[np.ndarray, " n"]
    person: Int64[np.ndarray, " n"] | None = None
    seconds: Float[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return len(self.triplets)

    def choices(self) -> Choices:
        """Return every answer as a row of its own, its objects in the order shown."""
        return Choices(self.triplets, _kept(self.odd))

    def repeated(self, least: int = 2) -> Choices:
        """Pool the answers to the same three objects, in whatever order they were shown.

        Somebody who answered a triplet more than once counts each time, as in the published noise ceiling.

        Returns:
            One row a triplet with at least ``least`` answers: its objects ascending, and how often each pair was kept.

        Raises:
            HumalignError: no triplet has as many answers.
        """
        ascending = np.sort(self.triplets, axis=1)
        odd_one = np.take_along_axis(self.triplets, self.odd[:, None], axis=1)
        table = pd.DataFrame(np.hstack([ascending, _kept((ascending == odd_one).argmax(1))]))
        pooled = table.groupby([0, 1, 2])[[3, 4, 5]].sum()
        pooled = pooled[pooled.sum(axis=1) >= least]
        if pooled.empty:
            raise HumalignError(f"no triplet has {least} answers: lower `least`, or read the file of repeated triplets")
        return Choices(pooled.index.to_frame().to_numpy(), pooled.to_numpy())


@dataclasses.dataclass(frozen=True)
class Judgments92:
    """Similarity judgments of 92 images (images of Kriegeskorte et al., 2008; people of Mur et al., 2013).

    Attributes:
        images: RGB pixels.
        matrices: one dissimilarity matrix a person, symmetric with a zero diagonal, in a unit of its own.
        categories: one row an image, one yes-or-no column a category, named as in the file.
    """

    images: UInt8[np.ndarray, "images 175 175 3"]
    matrices: Float[np.ndarray, "people images images"]
    categories: pd.DataFrame


# ---- odd-one-out answers ---------------------------------------------------------------------------------------------

def triplets(path: str | Path, objects: int | None = None) -> Choices:
    """Read a THINGS text file: three 0-based indices a line, the odd one last.

    Raises:
        HumalignError: not three whole numbers in a line, an index outside 0..objects-1, or one object twice in a line.

    Source: ``trainset.txt``, ``validationset.txt`` and ``testset*.txt`` of osf.io/f5rn6.
    """
    found = numbers(path, np.int64, 3)
    check_indices(found, objects, 0, lambda row: line_of(path, row))
    return Choices(found, np.tile(np.array([1, 0, 0]), (len(found), 1)))


def answers(path: str | Path, objects: int | None = None) -> Answers:
    """Read a THINGS table, tab-separated: 1-based ``image1`` to ``image3``; ``choice``, the place (1..3) of the odd one.

    ``RT`` (milliseconds in the file, seconds in `Answers`) and ``subject_id`` are read if present, all else is ignored.

    Raises:
        HumalignError: no such column, a cell that is no number, an image outside 1..objects or twice in a line, a choice outside 1..3.

    Source: ``triplets_large_final_correctednc_correctedorder.csv`` of osf.io/f5rn6.
    """
    header = next(lines(path))[1]
    cells = dict.fromkeys((*SHOWN, "choice"), WHOLE) | {name: kind for name, kind in (("RT", TIME), ("subject_id", NAME)) if name in header}
    kinds = dict.fromkeys((*SHOWN, "choice"), np.int64) | {"RT": np.float64, "subject_id": "category"}
    table, sound = pd.DataFrame(), False
    with contextlib.suppress(ValueError):
        table = pd.read_csv(path, sep="\t", usecols=list(cells), dtype=kinds, quoting=csv.QUOTE_NONE, encoding="utf-8-sig",
                            keep_default_na=False, na_values={"RT": ["", "NaN", "nan", "NA"]})
        with open(path, "rb") as file:
            sound = all(line.count(b"\t") == len(header) - 1 for line in file if line.strip(b" \r\n"))
        sound &= not np.isinf(table.get("RT", 0)).any() and "" not in set(table.get("subject_id", ()))
    if not sound or table.empty or any(header.count(name) > 1 for name in cells):
        raise at_fault(path, named(path, cells))
    shown, choice = table[list(SHOWN)].to_numpy(), table[["choice"]].to_numpy()
    check_indices(shown, objects, 1, lambda row: line_of(path, row, 1))
    if (row := first((choice < 1) | (choice > 3))) is not None:
        raise HumalignError(f"{line_of(path, row, 1)}: choice {choice[row, 0]}; expected the place of the odd one: 1, 2 or 3")
    person = pd.factorize(table["subject_id"])[0].astype(np.int64) if "subject_id" in table else None
    return Answers(shown - 1, choice[:, 0] - 1, person, table["RT"].to_numpy() / 1000 if "RT" in table else None)


def _kept(odd: Int[np.ndarray, " n"]) -> Int64[np.ndarray, "n 3"]:
    # Pairs are listed as (ij, ik, jk): the odd one in place 2, 1, 0 leaves pair 0, 1, 2.
    return np.eye(3, dtype=np.int64)[2 - odd]


# ---- embeddings and matrices -----------------------------------------------------------------------------------------

def embedding(path: str | Path, objects: int | None = None) -> Float32[np.ndarray, "objects dims"]:
    """Read the objects' weights on people's dimensions, as published: VICE (``.npy``) or SPoSE (text).

    Raises:
        HumalignError: not one row an object, a weight that is not finite, or below zero (SPoSE's -0.001 is let pass).

    Source: VICE, ``embeddings/things`` of github.com/LukasMut/VICE; SPoSE, osf.io/z2784.
    """
    weights = vectors(path, objects)
    if (row := first(weights < LEAST_WEIGHT)) is not None:
        raise HumalignError(f"{path}, row {row + 1}: a weight of {weights[row].min():.3g} is below zero: this is not VICE's or SPoSE's")
    return weights


def features(path: str | Path, objects: int | None = None) -> Float32[np.ndarray, "objects dim"]:
    """Read a backbone's embeddings of the objects (``.npy``).

    Raises:
        HumalignError: not one row an object, or a value that is not finite.
    """
    return vectors(path, objects)


def things48(matrix_path: str | Path, index_path: str | Path, objects: int | None = None) \
        -> tuple[Float[np.ndarray, "m m"], Int64[np.ndarray, " m"]]:
    """Read the fully sampled human dissimilarities (0 to 1) of 48 THINGS objects, and the objects' 0-based rows.

    Raises:
        HumalignError: a matrix that is not symmetric with a zero diagonal, or rows that do not fit it.

    Source: ``RDM48_triplet.mat`` of osf.io/z2784.
    """
    matrix = parsed(matrix_path, lambda path: np.asarray(loadmat(path)["RDM48_triplet"], dtype=float))
    check_dissimilarities(matrix_path, matrix[None])
    rows = parsed(index_path, lambda path: np.load(path, allow_pickle=False)[:])
    if rows.dtype.kind not in "iu" or rows.shape != matrix.shape[:1] or len(set(rows.tolist())) != len(rows):
        raise HumalignError(f"{index_path}: expected {len(matrix)} different indices, one a row of {Path(matrix_path).name}: {AGAIN}")
    check_indices(rows[:, None], objects, 0, lambda row: f"{index_path}, row {row + 1}")
    return matrix, rows.astype(np.int64)


def similarity_judgments_92(folder: str | Path) -> Judgments92:
    """Read the 92 images, their categories, and one matrix of dissimilarities a person.

    Raises:
        HumalignError: a matrix that is not symmetric with a zero diagonal, a person with several, or another number of images.

    Source: ``92_behavRDMs.mat``, ``Kriegeskorte_Neuron2008_supplementalData.mat``, as shipped with the RSA toolbox.
    """
    judged, shown = Path(folder) / "92_behavRDMs.mat", Path(folder) / "Kriegeskorte_Neuron2008_supplementalData.mat"

    def people(path: Path) -> tuple[Any, set[str]]:
        found = np.atleast_1d(loadmat(path, squeeze_me=True)["rdms_behav_92"])
        return np.stack(list(found["RDM"])).astype(float), set(found["name"])

    def pictures(path: Path) -> tuple[Any, pd.DataFrame]:
        found = loadmat(path, squeeze_me=True)
        groups = pd.DataFrame(found["categoryVectors"] == 1, columns=found["categoryLabels"])
        return np.stack(list(found["stimuli_92objs"]["image"])), groups

    matrices, names = parsed(judged, people)
    check_dissimilarities(judged, matrices)
    if len(names) != len(matrices):
        raise HumalignError(f"{judged}: {len(matrices)} matrices of {len(names)} people: average each person's first")
    images, groups = parsed(shown, pictures)
    if images.dtype != np.uint8 or images.shape != (matrices.shape[1], 175, 175, 3) or len(groups) != len(images):
        raise HumalignError(f"{shown}: pixels {images.shape}, {len(groups)} images with categories, {matrices.shape[1]} judged: {AGAIN}")
    return Judgments92(images, matrices, groups)


# ---- objects ---------------------------------------------------------------------------------------------------------

def object_ids(path: str | Path) -> tuple[str, ...]:
    """Read the ids of the THINGS objects in row order (``unique_id.txt``), one a line.

    Raises:
        HumalignError: several words in a line, or an id twice.
    """
    return tuple(once(path, ((line, of_kind(path, line, name, PLAIN)) for line, (name,) in lines(path, None, 1))))


def categories(path: str | Path, names: Sequence[str]) -> pd.DataFrame:
    """Read ``category_mat_manual.tsv``: one line an object in row order (``names``: their ids), a 0 or 1 for each category.

    Returns:
        One row an object (index: its id), one yes-or-no column a category.

    Raises:
        HumalignError: a cell that is neither 0 nor 1, or not one line a name.
    """
    header = next(lines(path))[1]
    cells = [row for _, row in named(path, dict.fromkeys(header, BIT))]
    if len(cells) != len(names):
        raise HumalignError(f"{path}: {len(cells)} objects for {len(names)} names: cut short, or of other objects; {AGAIN}")
    return pd.DataFrame(np.array(cells) == "1", index=list(names), columns=header)


def long_categories(path: str | Path) -> pd.DataFrame:
    """Read ``category53_long-format.tsv``: one line a member of a category; an object may have several, or none.

    Returns:
        One row an object that has a category (index: its id, ascending), one yes-or-no column a category.

    Raises:
        HumalignError: no such column, an empty cell, or a member twice.
    """
    listed = named(path, {"uniqueID": PLAIN, "category": NAME})
    table = pd.DataFrame(list(once(path, ((line, tuple(cells)) for line, cells in listed))))
    return pd.crosstab(table[0], table[1]).astype(bool).rename_axis(index=None, columns=None)


def things_photographs(folder: str | Path, objects: int | None = None) -> tuple[list[Path], Int64[np.ndarray, " n"]]:
    """Find the photographs that a folder's ``index.csv`` lists: ``file``, and ``things_index``, the 0-based object it shows.

    Returns:
        Paths and objects, ascending by object.

    Raises:
        HumalignError: no such column, no such photograph, an index outside 0..objects-1, or an object twice.
    """
    path = Path(folder) / "index.csv"
    listed = [(line, int(index), path.parent / file) for line, (index, file) in named(path, {"things_index": WHOLE, "file": PLAIN}, ",")]
    once(path, ((line, index) for line, index, _ in listed))
    for line, _, photograph in listed:
        if not photograph.is_file():
            raise HumalignError(f"{path}, line {line}: no photograph {photograph}: copy the folder again")
    rows = np.array([index for _, index, _ in listed])
    check_indices(rows[:, None], objects, 0, lambda row: f"{path}, line {listed[row][0]}")
    return [listed[place][2] for place in np.argsort(rows)], np.sort(rows)
