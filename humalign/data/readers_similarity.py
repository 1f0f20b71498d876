"""Readers of similarity judgments of photographs: ratings of six categories, and two sets of arrangements.

The layouts are those that the predecessor's code reads (``data/`` of github.com/LukasMut/gLocal); the one
public category may lie as its repository gives it. None of these files was at hand when the readers were
written. Shape, range and symmetry are checked. Rows are joined to photographs by name where a file names
them, else they are these sorted by name as text (``1.png``, ``10.png``): both public programs that read them
do so.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import squareform

from humalign.data import listing
from humalign.data.arrays import Variables, check_dissimilarities, matlab
from humalign.data.datafiles import AGAIN, MAT, checked, lines, once, parsed
from humalign.data.images import ZipImages
from humalign.data.readers_levels import unpickled
from humalign.errors import HumalignError, nearest

# The predecessor's two spellings of the folder that holds the judgments.
JUDGED = ("sim_judgements", "sim_judgments")
CATEGORIES = ("animals", "automobiles", "fruits", "furniture", "various", "vegetables")
MOST_SIMILAR = 10.0
# The public file of the one public category, and the variable of its three *sim* that holds the mean ratings.
PUBLIC, MEAN_RATINGS = ("animals", "turkResults_CogSci2016.mat"), "simMatrix"
CONVERT = f"convert it into a .mat that holds {MEAN_RATINGS}"
COPY = "copy the folder again"


@dataclasses.dataclass(frozen=True)
class SimilarityJudgments:
    """Judged photographs.

    Attributes:
        files: photographs, in the order of the matrices: paths, or their names in an archive.
        matrices: dissimilarities, one matrix a person, or one of all; symmetric, zero diagonal.
        archive: the zip archive that holds the photographs, None where they are files.
    """

    files: tuple[PurePath, ...]
    matrices: Float[np.ndarray, "people images images"]
    archive: Path | None = None


def _checked(
    path: Path, files: Sequence[PurePath], matrices: Any, archive: Path | None = None, both_ways: bool = False
) -> SimilarityJudgments:
    matrices = check_dissimilarities(path, matrices, both_ways)
    if len(files) != matrices.shape[1]:
        raise HumalignError(f"{path}: {matrices.shape[1]} photographs judged, but {len(files)} found: {COPY}")
    if missing := [file for file in files if isinstance(file, Path) and not file.is_file()]:
        raise HumalignError(f"{path}: no photograph {missing[0]}: {COPY}")
    return SimilarityJudgments(tuple(files), matrices, archive)


def _named_by(held: Variables, files: Sequence[PurePath]) -> Sequence[PurePath]:
    """Return photographs in the order in which a variable names them, where one does."""
    by_name = {listing.plain(key): file for file in files for key in (file.stem, file.name)}
    for value in held.values():
        if isinstance(value, np.ndarray) and value.dtype.kind in "OU" and value.size == len(files):
            keys = [listing.plain(re.split(r"[\\/]", str(name).strip())[-1]) for name in value.ravel()]
            found = [by_name[key] for key in keys if key in by_name]
            if len(set(found)) == len(files):
                return found
    return files


# ---- arrangements ------------------------------------------------------------------------------------------


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
    files = _named_by(held, listing.right_in(Path(folder) / "images"))
    return _checked(path, files, matrices, both_ways=both_ways)


def arrangements_cichy(folder: str | Path, which: str = "set1") -> SimilarityJudgments:
    """Read the arrangements of Cichy et al., one matrix a person.

    Raises:
        HumalignError: a matrix that is not symmetric with a zero diagonal, or of other photographs.

    Source: Cichy, Kriegeskorte, Jozwik, van den Bosch, Charest (2019), The spatiotemporal neural dynamics
    underlying perceived similarity for real-world objects; ``images/SET/NNNN.jpg``,
    ``images/stimulus_category_labels.txt`` (its last column, ``alphorder``, is the number of the photograph
    of each row), ``sim_judgements/BEHAVIOR.mat`` (``BEHAVIOR.SET.pairwisedistances``, a row a person).
    """
    path, images = _arranged(Path(folder), "BEHAVIOR.mat"), Path(folder) / "images"
    listed = images / "stimulus_category_labels.txt"

    def people(path: Path) -> Any:
        found = matlab(path)["BEHAVIOR"][0, 0][which][0, 0]["pairwisedistances"]
        rows = (np.asarray(row, dtype=float) for row in np.atleast_2d(found))
        return np.stack([squareform(row, checks=False) for row in rows])

    matrices = parsed(path, people, MAT)
    cells = []
    for line, (cell,) in list(lines(listed, "\n", 1))[1:]:
        number = cell.rsplit(",", 1)[-1].strip()
        if not re.fullmatch("[0-9]{1,6}", number):
            what = f"{number[:40]!r} where a whole number should stand"
            raise HumalignError(f"{listed}, line {line}: {what}: {AGAIN}")
        cells.append((line, int(number)))
    return _checked(path, [images / which / f"{number:04d}.jpg" for number in once(listed, cells)], matrices)


def _arranged(folder: Path, name: str) -> Path:
    places = [folder / each / name for each in JUDGED]
    return next((path for path in places if path.exists()), places[0])


# ---- ratings -----------------------------------------------------------------------------------------------


def ratings(folder: str | Path, category: str, both_ways: bool = False) -> SimilarityJudgments:
    """Read the mean ratings (0 to 10) of one of six categories as dissimilarities, 10 - rating.

    Photographs lie in ``CATEGORY/images``, in ``CATEGORY``, or in ``CATEGORY.zip`` as it comes. Judgments lie
    in ``CATEGORY/sim_judgements`` (or ``sim_judgments``), in ``CATEGORY``, or for animals in the folder
    itself, as ``turkResults_CogSci2016.mat``: a ``.mat`` with one variable whose name holds "sim" (of several
    ``simMatrix``), or a pickle of the ratings of each pair, which names its photographs by their numbers.

    Args:
        both_ways: take the mean of a pair's ratings in either order; a pickle is always read so.

    Raises:
        HumalignError: an unknown category, no or several files of judgments, a matrix that is not symmetric
            or not within 0 to 10, or one of other photographs.

    Source: Peterson, Abbott, Griffiths (2018), Evaluating (and improving) the correspondence between deep
    neural networks and human representations; github.com/jcpeterson/percept2vec (animals), its authors.
    """
    if category not in CATEGORIES:
        raise HumalignError(f"unknown category {category!r}: {nearest(category, CATEGORIES)}")
    path = _rated(Path(folder), category)
    files, archive = _shown(Path(folder), category)
    if path.suffix == ".mat":
        held = matlab(path)
        files, similar = _named_by(held, files), _similarities(path, held)
    else:
        similar = _of_pairs(path, files)
    apart = MOST_SIMILAR - similar
    np.fill_diagonal(apart, 0)
    return _checked(path, files, apart[None], archive, both_ways)


def rated_categories(folder: str | Path) -> tuple[str, ...]:
    """Name the categories of which anything lies in a folder: most are not public, and are left out."""
    folder = Path(folder)
    there = (path for path in folder.glob("*") if path.is_dir() or path.suffix == ".zip")
    found = {path.name.removesuffix(".zip") for path in there}
    found |= {PUBLIC[0]} if (folder / PUBLIC[1]).is_file() else set()
    return tuple(name for name in CATEGORIES if name in found)


def _rated(folder: Path, category: str) -> Path:
    """Return the file of a category's judgments: a .mat, else a pickle; of several the one called *sim*."""
    base = folder / category
    public = folder / PUBLIC[1] if category == PUBLIC[0] else None
    for kinds in ((".mat",), (".pickle", ".pkl")):
        for places in ([base / name for name in JUDGED], [base]):
            files = (path for place in places for path in sorted(place.glob("*")))
            found = [path for path in files if path.suffix in kinds and not listing.hidden(path.name)]
            if len(found) > 1:
                found = [path for path in found if "sim" in path.name.lower()] or found
            if len(found) > 1:
                said = f"{len(found)} files of judgments of {category} instead of one"
                raise HumalignError(f"{said}: leave one of {_first_of(found)}")
            if found:
                return found[0]
        if public and public.is_file():
            return public
    where = f"{PUBLIC[1]} into {folder}" if public else f"their .mat into {base / JUDGED[0]}"
    raise HumalignError(f"no judgments of {category}: put {where}, or take {base} away")


def _first_of(names: Sequence[Any]) -> str:
    return ", ".join(str(name) for name in names[:6]) + ", ..." * (len(names) > 6)


def _shown(folder: Path, category: str) -> tuple[Sequence[PurePath], Path | None]:
    """Return a category's photographs sorted by name, and the archive that they lie in."""
    base = folder / category
    for place in (base / "images", base, base / category):
        if files := listing.right_in(place):
            return files, None
    for archive in (folder / f"{category}.zip", base / f"{category}.zip", base / "images.zip"):
        if archive.is_file():
            return _zipped(archive), archive
    where = f"{base / 'images'}, or {category}.zip into {folder}"
    raise HumalignError(f"no photographs of {category}: put them into {where}")


def _zipped(archive: Path) -> Sequence[PurePath]:
    files = [PurePosixPath(name) for name in ZipImages(checked(archive)).names]
    if len({file.parent for file in files}) > 1:
        mend = "unpack those that were judged, and take it away"
        raise HumalignError(f"{archive} holds photographs in several folders: {mend}")
    return files


def _similarities(path: Path, held: Variables) -> Float[np.ndarray, "n n"]:
    """Return the matrix of mean ratings among the variables of a file; nothing is known of its diagonal."""
    names = [name for name in held if "sim" in name.lower()]
    if MEAN_RATINGS not in names and len(names) != 1:
        among = _first_of(names or list(held))
        wanted = f"instead of one, or of {MEAN_RATINGS}"
        raise HumalignError(f"{path}: {len(names)} variables *sim* {wanted}: it holds {among}")
    name = MEAN_RATINGS if MEAN_RATINGS in names else names[0]
    similar = held[name]
    sound = isinstance(similar, np.ndarray) and similar.dtype.kind in "fiu"
    if sound and similar.shape == (len(similar),) * 2:
        apart = similar[~np.eye(len(similar), dtype=np.bool_)]
        if apart.size and ((apart >= 0) & (apart <= MOST_SIMILAR)).all():
            return similar.astype(float)
    what = f"a square matrix of ratings from 0 to {MOST_SIMILAR:g}"
    raise HumalignError(f"{path}: {name!r} is not {what}: {AGAIN}")


def _of_pairs(path: Path, files: Sequence[PurePath]) -> Float[np.ndarray, "n n"]:
    """Return the mean ratings of a pickled dictionary ``"NAME,NAME"`` -> ratings, joined by their numbers.

    Source: ``data/peterson.py`` of github.com/LukasMut/gLocal, which reads the fruits so.
    """
    found = unpickled(path, CONVERT)
    if not isinstance(found, dict):
        raise HumalignError(f"{path} holds no dictionary of pairs: {CONVERT}")
    rows: dict[int, int] = {}
    for row, file in enumerate(files):
        first = rows.setdefault(_number(str(file), file.stem), row)
        if first != row:
            mend = "name each photograph by its own"
            raise HumalignError(f"{file} has the number of {files[first].name}: {mend}")
    total, count = np.zeros((len(files), len(files))), np.zeros((len(files), len(files)))
    for pair, rated in found.items():
        place = f"{path}, pair {str(pair)[:60]!r}"
        names = pair.split(",") if isinstance(pair, str) else []
        if len(names) != 2:
            raise HumalignError(f"{place}: not the names of two photographs, with a comma between: {AGAIN}")
        numbers = [_number(place, PurePosixPath(name.strip()).stem) for name in names]
        if missing := [number for number in numbers if number not in rows]:
            raise HumalignError(f"{place}: no photograph of number {missing[0]} in {files[0].parent}: {COPY}")
        if not isinstance(rated, list | tuple) or not rated or not all(_is_rating(each) for each in rated):
            raise HumalignError(f"{place}: no list of ratings from 0 to {MOST_SIMILAR:g}: {AGAIN}")
        one, other = (rows[number] for number in numbers)
        for cell in ((one, other), (other, one)):
            total[cell] += sum(rated)
            count[cell] += len(rated)
    np.fill_diagonal(count, 1)
    if not count.all():
        one, other = (files[row].name for row in np.argwhere(count == 0)[0])
        why = "cut short, or of other photographs"
        raise HumalignError(f"{path}: no rating of {one} and {other}: {why}; {AGAIN}")
    return total / count


def _number(place: str, name: str) -> int:
    if found := re.search(r"\d+", name):
        return int(found.group())
    why = "the pairs of a pickle are named by numbers"
    raise HumalignError(f"{place}: no number in the name {name[:40]!r}: {why}")


def _is_rating(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_SIMILAR
