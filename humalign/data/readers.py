"""Readers of the public files of human judgments, each in its official layout.

Indices are 0-based wherever they leave this module. ``names`` are the ids of the objects, in row order. Every
reader raises `HumalignError` for a file that is missing, empty, cut short, damaged or a web page, and for
what its docstring names; the message gives the file, the line or row (from 1), and the mend.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int64, UInt8

from humalign.data import listing
from humalign.data.arrays import check_dissimilarities, matlab, vectors
from humalign.data.datafiles import AGAIN, BIT, MAT, PLAIN, lines, named, of_kind, once, parsed
from humalign.data.judgments import first
from humalign.data.object_order import Order, check_names, rows_in
from humalign.errors import HumalignError

# The ending of the name of a photograph that people judged, before the ending of a picture's file.
JUDGED = "_01b"
ENDINGS = listing.SUFFIXES
# The objects of RDM48_triplet, row by row. The 27th is camera1 by the order of older files; camera2 fits the
# judgments about as well, and words48.mat, which would tell, is read where it lies beside the matrix.
FORTY_EIGHT = tuple(
    "pizza beaver macadamia tarantula clothes doormat hammer mistletoe washcloth drain furnace tea chariot "
    "coaster music_box rolling_pin knob bookshelf candelabra table metal_detector bumper turban flagpole "
    "plaster_cast tuba camera1 rudder canvas dice toolbox trigger bowler_hat headphones file1 bench navel "
    "canister tiara hopscotch trophy punching_bag jet telegraph bag laptop tape_measure bucket".split()
)
# Undisputed members of categories, among the objects that the public orders place differently.
BEYOND_DOUBT = {
    "camera2": "electronic device", "chicken2": "animal", "hot_chocolate": "drink",
    "hot-air_balloon": "vehicle", "ice_cream": "dessert", "pepper2": "vegetable", "aardvark": "animal",
    "zucchini": "vegetable",
}  # fmt: skip
# SPoSE's weights were kept from falling below zero by a penalty, not by a bound: a few stand at -0.001.
LEAST_WEIGHT = -0.01
Rows = Int64[np.ndarray, " m"]


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


# ---- embeddings and matrices -------------------------------------------------------------------------------

def embedding(path: str | Path, names: Sequence[str], order: Order) -> Float32[np.ndarray, "objects dims"]:
    """Read the objects' weights on people's dimensions, as published: VICE (``.npy``) or SPoSE (text).

    Args:
        order: of the file, `OLD` for VICE, `UNIQUE` for SPoSE; rows return in that of ``unique_id.txt``.

    Raises:
        HumalignError: not one row an object, or a weight that is not finite or below zero (-0.001 may pass).

    Source: VICE, ``embeddings/things`` of github.com/LukasMut/VICE; SPoSE, osf.io/z2784.
    """
    weights = features(path, names, order)
    if (row := first(weights < LEAST_WEIGHT)) is not None:
        where = f"{path}, row {rows_in(names, order)[row] + 1}"
        what = f"a weight of {weights[row].min():.3g} is below zero"
        raise HumalignError(f"{where}: {what}: this is not VICE's or SPoSE's")
    return weights


def features(path: str | Path, names: Sequence[str], order: Order) -> Float32[np.ndarray, "objects dim"]:
    """Read a backbone's embeddings of the objects (``.npy``), in the order of ``unique_id.txt``.

    Args:
        order: of the rows in the file, `SORTED` for the public CLIP file.

    Raises:
        HumalignError: not one row an object, or a value that is not finite.
    """
    return vectors(path, len(names))[rows_in(names, order)]


def things48(matrix_path: str | Path, names: Sequence[str]) -> tuple[Float[np.ndarray, "m m"], Rows]:
    """Read the dissimilarities (0 to 1) of 48 THINGS objects, fully sampled, and their rows in ``names``.

    The objects are found by name: those of ``words48.mat`` beside the matrix, else `FORTY_EIGHT`.

    Raises:
        HumalignError: a matrix that is not symmetric with a zero diagonal, or not one object's name a row.

    Source: ``RDM48_triplet.mat`` and ``words48.mat`` of osf.io/z2784.
    """
    matrix = parsed(matrix_path, lambda path: np.asarray(matlab(path)["RDM48_triplet"], dtype=float), MAT)
    check_dissimilarities(matrix_path, matrix[None])
    words, source = list(FORTY_EIGHT), "the 48 objects that are known"
    if (beside := Path(matrix_path).with_name("words48.mat")).exists():
        words, source = parsed(beside, _words, MAT), str(beside)
    if len(words) != len(matrix):
        raise HumalignError(f"{matrix_path}: {len(matrix)} rows for {len(words)} names ({source}): {AGAIN}")
    rows = np.array([_row_of(word, names, source) for word in words], dtype=np.int64)
    if len(set(rows.tolist())) < len(rows):
        twice = next(word for place, word in enumerate(words) if rows[place] in rows[:place])
        raise HumalignError(f"{source}: {twice!r} twice: {AGAIN}")
    return matrix, rows


def _words(path: Path) -> list[str]:
    found = matlab(path)
    cells = (value for value in found.values() if value.dtype.kind == "O")
    named = found["words48"] if "words48" in found else next(cells)
    return [str(cell).strip() for cell in named.ravel()]


def _row_of(word: str, names: Sequence[str], source: str) -> int:
    """Return an object's row by its name, with blanks or underscores; ``camera`` is that of `FORTY_EIGHT`."""
    plain = word.strip().lower().replace(" ", "_")
    numbered = [name for name in FORTY_EIGHT if name.rstrip("0123456789") == plain]
    for name in (plain, *numbered):
        if name in names:
            return list(names).index(name)
    what = f"{word!r} is no id of the {len(names):,} in unique_id.txt"
    raise HumalignError(f"{source}: {what}: is one of the two of another edition?")


def similarity_judgments_92(folder: str | Path) -> Judgments92:
    """Read the 92 images, their categories, and one matrix of dissimilarities a person.

    Raises:
        HumalignError: a matrix that is not symmetric with a zero diagonal, a person with several, or another
            number of images.

    Source: ``92_behavRDMs.mat`` and ``Kriegeskorte_Neuron2008_supplementalData.mat`` of the RSA toolbox.
    """
    judged = Path(folder) / "92_behavRDMs.mat"
    shown = Path(folder) / "Kriegeskorte_Neuron2008_supplementalData.mat"

    def people(path: Path) -> tuple[Any, set[str]]:
        found = matlab(path)["rdms_behav_92"].ravel()
        return np.stack([one["RDM"] for one in found]).astype(float), {one["name"] for one in found}

    def pictures(path: Path) -> tuple[Any, pd.DataFrame]:
        found = matlab(path)
        groups = pd.DataFrame(found["categoryVectors"] == 1, columns=found["categoryLabels"].ravel())
        return np.stack([one["image"] for one in found["stimuli_92objs"].ravel()]), groups

    matrices, names = parsed(judged, people, MAT)
    check_dissimilarities(judged, matrices)
    if len(names) != len(matrices):
        what = f"{len(matrices)} matrices of {len(names)} people"
        raise HumalignError(f"{judged}: {what}: average each person's first")
    images, groups = parsed(shown, pictures, MAT)
    count = matrices.shape[1]
    if images.dtype != np.uint8 or images.shape != (count, 175, 175, 3) or len(groups) != count:
        found = f"pixels {images.shape}, {len(groups)} images with categories, {count} judged"
        raise HumalignError(f"{shown}: {found}: {AGAIN}")
    return Judgments92(images, matrices, groups)


# ---- objects -----------------------------------------------------------------------------------------------

def object_ids(path: str | Path) -> tuple[str, ...]:
    """Read the ids of the THINGS objects in row order (``unique_id.txt``), one a line.

    Raises:
        HumalignError: several words in a line, an id twice, or ids in an order that answers do not refer to.
    """
    listed = ((line, of_kind(path, line, name, PLAIN)) for line, (name,) in lines(path, None, 1))
    names = tuple(once(path, listed))
    check_names(path, names)
    return names


def categories(path: str | Path, names: Sequence[str]) -> pd.DataFrame:
    """Read ``category27_manual.tsv``: one row an object (index: its id), one yes-or-no column a category.

    The file names no object, so that a few whose category is beyond doubt are looked up.

    Raises:
        HumalignError: a cell that is neither 0 nor 1, not one line a name, or lines in another order.
    """
    header = next(lines(path))[1]
    found = [(line, row) for line, row in named(path, dict.fromkeys(header, BIT))]
    if len(found) != len(names):
        lengths = f"{len(found):,} lines for the {len(names):,} ids of unique_id.txt"
        raise HumalignError(f"{path}: {lengths}: cut short, or another edition; {AGAIN}")
    member = pd.DataFrame(np.array([row for _, row in found]) == "1", index=list(names), columns=header)
    for name, category in BEYOND_DOUBT.items():
        if name in member.index and category in member and not member.loc[name, category]:
            line = found[names.index(name)][0]
            why = f"{name} is not in {category!r}: the lines are not in the order of unique_id.txt"
            raise HumalignError(f"{path}, line {line}: {why}; {AGAIN}")
    return member


# ---- photographs -------------------------------------------------------------------------------------------


def things_photographs(folder: str | Path, names: Sequence[str]) -> tuple[list[Path], Rows]:
    """Find the photographs in a folder, one an object: ``aardvark.jpg`` is of the object of that id.

    Files that are no pictures are passed over. A folder inside of the same name, which some programs make
    when they unpack, is looked into. Returned are paths and 0-based rows among ``names``, ascending by row.

    Raises:
        HumalignError: no photograph, one that is named after no object, or two of one object.
    """
    pictures = listing.right_in(_unpacked(folder))
    if not pictures:
        such = f"expected files such as {names[0]}.jpg ({listing.SAID})"
        raise HumalignError(f"{folder} holds no photograph: {such}")
    row_of, found = {name: row for row, name in enumerate(names)}, dict[int, Path]()
    for path in pictures:
        stem = listing.plain(path.stem)
        if stem not in row_of:
            mend = "take the file out, or name it by its object's id"
            raise HumalignError(f"{path}: {stem!r} is no id of unique_id.txt: {mend}")
        if (other := found.setdefault(row_of[stem], path)) != path:
            beside = f"a second photograph of {stem}, beside {other.name}"
            raise HumalignError(f"{path}: {beside}: take one of them out")
    rows = sorted(found)
    return [found[row] for row in rows], np.array(rows, dtype=np.int64)


def reference_photographs(
    folder: str | Path, names: Sequence[str]
) -> tuple[list[Path], Bool[np.ndarray, " objects"]]:
    """Find one photograph of each object, in order: the judged one, ``ID/ID_01b.jpg``, where that is public.

    In place of a withheld one (191 of 1,854) stands the object's first other photograph by name. Returned are
    paths, and which are of the judged ones.

    Raises:
        HumalignError: no judged photograph at all, or an object without any photograph.
    """
    folder, paths, judged = _unpacked(folder), list[Path](), list[bool]()
    for name in names:
        of_object = listing.right_in(folder / name)
        shown = next((path for path in of_object if path.stem == f"{name}{JUDGED}"), None)
        if not of_object:
            neither = f"neither {name}/{name}{JUDGED}.jpg nor another"
            raise HumalignError(f"{folder}: no photograph of {name}, {neither}: unpack the archive again")
        paths.append(shown or of_object[0])
        judged.append(shown is not None)
    if not any(judged):
        such = f"such as {names[0]}/{names[0]}{JUDGED}.jpg"
        raise HumalignError(f"{folder}: no photograph that people judged, {such}: is this another set?")
    return paths, np.array(judged)


def _unpacked(folder: str | Path) -> Path:
    """Return the folder of the same name inside a folder, if there is one, or else the folder."""
    inside = Path(folder) / Path(folder).name
    return inside if inside.is_dir() else Path(folder)
