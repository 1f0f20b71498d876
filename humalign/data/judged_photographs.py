"""Judged photographs, and what their readers share."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from jaxtyping import Float

from humalign.data import listing
from humalign.data.arrays import check_dissimilarities
from humalign.data.matlab import Variables
from humalign.errors import HumalignError

# The predecessor's two spellings of the folder that holds the judgments.
JUDGED = ("sim_judgements", "sim_judgments")


@dataclasses.dataclass(frozen=True)
class SimilarityJudgments:
    """Judged photographs.

    Attributes:
        files: photographs, in the order of the matrices: paths, or where they lie in an archive, their names
            in it.
        matrices: dissimilarities, one matrix a person, or one of all people together; symmetric, zero
            diagonal.
        archive: the zip archive that holds the photographs, None where they are files.
    """

    files: tuple[PurePath, ...]
    matrices: Float[np.ndarray, "people images images"]
    archive: Path | None = None


def named_by(held: Variables, files: Sequence[PurePath]) -> Sequence[PurePath]:
    """Return photographs in the order in which a variable names them, where one does."""
    by_name = {listing.plain(key): file for file in files for key in (file.stem, file.name)}
    for value in held.values():
        if isinstance(value, np.ndarray) and value.dtype.kind in "OU" and value.size == len(files):
            keys = [listing.plain(re.split(r"[\\/]", str(name).strip())[-1]) for name in value.ravel()]
            found = [by_name[key] for key in keys if key in by_name]
            if len(set(found)) == len(files):
                return found
    return files


def names_of(names: Sequence[Any]) -> str:
    return ", ".join(str(name) for name in names[:6]) + ", ..." * (len(names) > 6)


def checked_judgments(
    path: Path,
    files: Sequence[PurePath],
    matrices: np.ndarray,
    archive: Path | None = None,
    both_ways: bool = False,
) -> SimilarityJudgments:
    matrices = check_dissimilarities(path, matrices, both_ways)
    if len(files) != matrices.shape[1]:
        raise HumalignError(
            f"{path}: {matrices.shape[1]} photographs judged, but {len(files)} found: copy the folder again"
        )
    missing = [file for file in files if isinstance(file, Path) and not file.is_file()]
    if missing:
        raise HumalignError(f"{path}: no photograph {missing[0]}: copy the folder again")
    return SimilarityJudgments(tuple(files), matrices, archive)
