"""Readers of similarity judgments of photographs: ratings of six categories, and two sets of arrangements.

The layouts are those that the predecessor's code reads (``data/`` of github.com/LukasMut/gLocal). No such file was at hand when these
readers were written: what they find is checked for shape, range and symmetry, but the order of the images is taken from that code.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.io import loadmat
from scipy.spatial.distance import squareform

from humalign.datafiles import AGAIN, check_dissimilarities, lines, parsed
from humalign.errors import HumalignError, nearest

CATEGORIES = ("animals", "automobiles", "fruits", "furniture", "various", "vegetables")
MOST_SIMILAR = 10.0


@dataclasses.dataclass(frozen=True)
class SimilarityJudgments:
    """Judged photographs.

    Attributes:
        files: photographs, in the order of the matrices.
        matrices: dissimilarities, one matrix a person, or one of all people together; symmetric with a zero diagonal.
    """

    files: tuple[Path, ...]
    matrices: Float[np.ndarray, "people images images"]


def ratings(folder: str | Path, category: str) -> SimilarityJudgments:
    """Read the mean ratings (0 to 10) of one of six categories as dissimilarities, 10 - rating.

    Raises:
        HumalignError: an unknown category, no matrix, or one that is not symmetric, not within 0 to 10, or of other photographs.

    Source: Peterson, Abbott, Griffiths (2018), Evaluating (and improving) the correspondence between deep neural networks and human
    representations; ``CATEGORY/images/*``, ``CATEGORY/sim_judgements/*sim*.mat`` with one matrix whose name holds "sim".
    """
    if category not in CATEGORIES:
        raise HumalignError(f"unknown category {category!r}: {nearest(category, CATEGORIES)}")
    judged = Path(folder) / category / "sim_judgements"
    found = sorted(path for path in judged.glob("*.mat") if "sim" in path.name.lower())
    if len(found) != 1:
        raise HumalignError(f"{len(found)} files *sim*.mat in {judged} instead of one: set HUMALIGN_DATA to the folder of the human data")

    def matrix(path: Path) -> Any:
        held = {name: value for name, value in loadmat(path).items() if "sim" in name.lower()}
        (only,) = held.values()
        return np.asarray(only, dtype=float)

    similar = parsed(found[0], matrix)
    if similar.ndim != 2 or not np.isfinite(similar).all() or similar.min() < 0 or similar.max() > MOST_SIMILAR:
        raise HumalignError(f"{found[0]}: not a matrix of ratings from 0 to {MOST_SIMILAR:g}: {AGAIN}")
    apart = MOST_SIMILAR - similar
    np.fill_diagonal(apart, 0)
    return _checked(found[0], _photographs(Path(folder) / category / "images"), apart[None])


def arrangements_king(folder: str | Path) -> SimilarityJudgments:
    """Read the arrangements of King et al., one matrix a person.

    Raises:
        HumalignError: a matrix that is not symmetric with a zero diagonal, or of other photographs.

    Source: King, Groen, Steel, Kravitz, Baker (2019), Similarity judgments and cortical visual responses reflect different properties
    of object and scene categories in naturalistic images; ``images/*``, ``sim_judgements/judgments_general.mat`` (``judgments``).
    """
    path = Path(folder) / "sim_judgements" / "judgments_general.mat"
    matrices = parsed(path, lambda path: np.asarray(loadmat(path)["judgments"], dtype=float))
    return _checked(path, _photographs(Path(folder) / "images"), matrices)


def arrangements_cichy(folder: str | Path, which: str = "set1") -> SimilarityJudgments:
    """Read the arrangements of Cichy et al., one matrix a person.

    Raises:
        HumalignError: a matrix that is not symmetric with a zero diagonal, or of other photographs.

    Source: Cichy, Kriegeskorte, Jozwik, van den Bosch, Charest (2019), The spatiotemporal neural dynamics underlying perceived
    similarity for real-world objects; ``images/SET/NNNN.jpg``, ``images/stimulus_category_labels.txt`` (the order: a number at the
    end of each line below the first), ``sim_judgements/BEHAVIOR.mat`` (``BEHAVIOR.SET.pairwisedistances``, a row a person).
    """
    path = Path(folder) / "sim_judgements" / "BEHAVIOR.mat"
    listed = Path(folder) / "images" / "stimulus_category_labels.txt"

    def people(path: Path) -> Any:
        found = loadmat(path)["BEHAVIOR"][which][0, 0]["pairwisedistances"][0, 0]
        return np.stack([squareform(np.asarray(row, dtype=float), checks=False) for row in np.atleast_2d(found)])

    matrices = parsed(path, people)
    files = []
    for line, (cell,) in list(lines(listed, "\n", 1))[1:]:
        number = cell.rsplit(",", 1)[-1].strip()
        if not re.fullmatch("[0-9]{1,6}", number):
            raise HumalignError(f"{listed}, line {line}: {number[:40]!r} where a whole number should stand: {AGAIN}")
        files.append(Path(folder) / "images" / which / f"{int(number):04d}.jpg")
    return _checked(path, files, matrices)


def _photographs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in (".jpg", ".png"))


def _checked(path: Path, files: list[Path], matrices: np.ndarray) -> SimilarityJudgments:
    check_dissimilarities(path, matrices)
    if len(files) != matrices.shape[1]:
        raise HumalignError(f"{path}: {matrices.shape[1]} photographs judged, but {len(files)} found: copy the folder again")
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise HumalignError(f"{path}: no photograph {missing[0]}: copy the folder again")
    return SimilarityJudgments(tuple(files), matrices)
