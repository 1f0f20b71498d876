"""Readers of two sets of arrangements of photographs; see `readers_similarity`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.distance import squareform

from humalign.data import listing
from humalign.data.datafiles import AGAIN, MAT, lines, once, parsed
from humalign.data.judged_photographs import JUDGED, SimilarityJudgments, checked_judgments, named_by
from humalign.data.matlab import matlab
from humalign.errors import HumalignError


def arrangements_king(folder: str | Path, both_ways: bool = False) -> SimilarityJudgments:
    """Read the arrangements of King et al., one matrix a person.

    Args:
        both_ways: take the mean of what stands in either order of a pair, where that differs.

    Raises:
        HumalignError: a matrix that is not symmetric with a zero diagonal, or of other photographs.

    Source: King, Groen, Steel, Kravitz, Baker (2019), Similarity judgments and cortical visual responses
    reflect different properties of object and scene categories in naturalistic images; ``images/*``,
    ``sim_judgements/judgments_general.mat`` (``judgments``).
    """
    path = _arranged(Path(folder), "judgments_general.mat")
    held = matlab(path)
    matrices = parsed(path, lambda _: np.asarray(held["judgments"], dtype=float), MAT)
    return checked_judgments(
        path, named_by(held, listing.right_in(Path(folder) / "images")), matrices, None, both_ways
    )


def arrangements_cichy(folder: str | Path, which: str = "set1") -> SimilarityJudgments:
    """Read the arrangements of Cichy et al., one matrix a person.

    Raises:
        HumalignError: a matrix that is not symmetric with a zero diagonal, or of other photographs.

    Source: Cichy, Kriegeskorte, Jozwik, van den Bosch, Charest (2019), The spatiotemporal neural dynamics
    underlying perceived similarity for real-world objects; ``images/SET/NNNN.jpg``,
    ``images/stimulus_category_labels.txt`` (its last column, ``alphorder``, is the number of the photograph
    of each row), ``sim_judgements/BEHAVIOR.mat`` (``BEHAVIOR.SET.pairwisedistances``, a row a person).
    """
    path = _arranged(Path(folder), "BEHAVIOR.mat")
    listed = Path(folder) / "images" / "stimulus_category_labels.txt"

    def people(path: Path) -> Any:
        found = matlab(path)["BEHAVIOR"][0, 0][which][0, 0]["pairwisedistances"]
        return np.stack(
            [squareform(np.asarray(row, dtype=float), checks=False) for row in np.atleast_2d(found)]
        )

    matrices = parsed(path, people, MAT)
    cells = []
    for line, (cell,) in list(lines(listed, "\n", 1))[1:]:
        number = cell.rsplit(",", 1)[-1].strip()
        if not re.fullmatch("[0-9]{1,6}", number):
            raise HumalignError(
                f"{listed}, line {line}: {number[:40]!r} where a whole number should stand: {AGAIN}"
            )
        cells.append((line, int(number)))
    files = [Path(folder) / "images" / which / f"{number:04d}.jpg" for number in once(listed, cells)]
    return checked_judgments(path, files, matrices)


def _arranged(folder: Path, name: str) -> Path:
    return next(
        (folder / each / name for each in JUDGED if (folder / each / name).exists()),
        folder / JUDGED[0] / name,
    )
