"""Reader of the ratings of photographs of six categories; see `readers_similarity`."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float

from humalign.data import listing
from humalign.data.datafiles import AGAIN, checked
from humalign.data.judged_photographs import (
    JUDGED,
    SimilarityJudgments,
    checked_judgments,
    named_by,
    names_of,
)
from humalign.data.matlab import Variables, matlab
from humalign.data.readers_levels import unpickled
from humalign.errors import HumalignError, nearest

CATEGORIES = ("animals", "automobiles", "fruits", "furniture", "various", "vegetables")
MOST_SIMILAR = 10.0
# The public file of the one public category, and the variable of its three *sim* that holds the mean ratings.
PUBLIC, MEAN_RATINGS = ("animals", "turkResults_CogSci2016.mat"), "simMatrix"


def ratings(folder: str | Path, category: str, both_ways: bool = False) -> SimilarityJudgments:
    """Read the mean ratings (0 to 10) of one of six categories as dissimilarities, 10 - rating.

    Photographs lie in ``CATEGORY/images``, in ``CATEGORY``, or in ``CATEGORY.zip`` as it comes. Judgments lie
    in ``CATEGORY/sim_judgements`` (or ``sim_judgments``), in ``CATEGORY``, or for animals in the folder
    itself, as ``turkResults_CogSci2016.mat``: a ``.mat`` with one variable whose name holds "sim" (of several
    ``simMatrix``), or a pickle of the ratings of each pair, which names its photographs by their numbers.

    Args:
        both_ways: take the mean of the ratings of a pair in either order, where they differ; a pickle is read
            so.

    Raises:
        HumalignError: an unknown category, no or several files of judgments, a matrix that is not symmetric
            or not within 0 to 10, or one of other photographs.

    Source: Peterson, Abbott, Griffiths (2018), Evaluating (and improving) the correspondence between deep
    neural networks and human representations; github.com/jcpeterson/percept2vec (animals), the others from
    its authors.
    """
    if category not in CATEGORIES:
        raise HumalignError(f"unknown category {category!r}: {nearest(category, CATEGORIES)}")
    path = _rated(Path(folder), category)
    files, archive = _shown(Path(folder), category)
    if path.suffix == ".mat":
        held = matlab(path)
        files, similar = named_by(held, files), _similarities(path, held)
    else:
        similar = _of_pairs(path, files)
    apart = MOST_SIMILAR - similar
    np.fill_diagonal(apart, 0)
    return checked_judgments(path, files, apart[None], archive, both_ways)


def rated_categories(folder: str | Path) -> tuple[str, ...]:
    """Name the categories of which anything lies in a folder: most are not public, and are left out."""
    folder = Path(folder)
    found = {
        path.name.removesuffix(".zip") for path in folder.glob("*") if path.is_dir() or path.suffix == ".zip"
    }
    found |= {PUBLIC[0]} if (folder / PUBLIC[1]).is_file() else set()
    return tuple(name for name in CATEGORIES if name in found)


def _rated(folder: Path, category: str) -> Path:
    """Return the file of a category's judgments: a .mat, else a pickle; of several the one named for
    similarity.
    """
    base = folder / category
    public = folder / PUBLIC[1] if category == PUBLIC[0] else None
    for kinds in ((".mat",), (".pickle", ".pkl")):
        for places in ([base / name for name in JUDGED], [base]):
            found = [
                path
                for place in places
                for path in sorted(place.glob("*"))
                if path.suffix in kinds and not listing.hidden(path.name)
            ]
            if len(found) > 1:
                found = [path for path in found if "sim" in path.name.lower()] or found
            if len(found) > 1:
                said = f"{len(found)} files of judgments of {category} instead of one"
                raise HumalignError(f"{said}: leave one of {names_of(found)}")
            if found:
                return found[0]
        if public and public.is_file():
            return public
    where = f"{PUBLIC[1]} into {folder}" if public else f"their .mat into {base / JUDGED[0]}"
    raise HumalignError(f"no judgments of {category}: put {where}, or take {base} away")


def _shown(folder: Path, category: str) -> tuple[Sequence[PurePath], Path | None]:
    """Return a category's photographs sorted by name, and the archive that they lie in."""
    base = folder / category
    for place in (base / "images", base, base / category):
        if files := listing.right_in(place):
            return files, None
    for archive in (folder / f"{category}.zip", base / f"{category}.zip", base / "images.zip"):
        if archive.is_file():
            return _zipped(archive), archive
    raise HumalignError(
        f"no photographs of {category}: put them into {base / 'images'}, or {category}.zip into {folder}"
    )


def _zipped(archive: Path) -> Sequence[PurePath]:
    try:
        with zipfile.ZipFile(checked(archive)) as file:
            names = [PurePosixPath(name) for name in file.namelist() if not name.endswith("/")]
    except (OSError, zipfile.BadZipFile) as error:
        raise HumalignError(f"cannot read the archive {archive} ({error}): {AGAIN}") from None
    files = sorted(
        (name for name in names if listing.is_picture(name.parts, archive)),
        key=lambda name: listing.plain(name.name),
    )
    if not files:
        raise HumalignError(f"no photographs ({listing.SAID}) in {archive}: {AGAIN}")
    if len({file.parent for file in files}) > 1:
        raise HumalignError(
            f"{archive} holds photographs in several folders: unpack those that were judged, and take it away"
        )
    return files


def _similarities(path: Path, held: Variables) -> Float[np.ndarray, "n n"]:
    """Return the matrix of mean ratings among the variables of a file; nothing is known of its diagonal."""
    names = [name for name in held if "sim" in name.lower()]
    if MEAN_RATINGS not in names and len(names) != 1:
        among = names_of(names or list(held))
        raise HumalignError(
            f"{path}: {len(names)} variables *sim* instead of one, or of {MEAN_RATINGS}: it holds {among}"
        )
    name = MEAN_RATINGS if MEAN_RATINGS in names else names[0]
    similar = held[name]
    fault = HumalignError(
        f"{path}: {name!r} is not a square matrix of ratings from 0 to {MOST_SIMILAR:g}: {AGAIN}"
    )
    if (
        not isinstance(similar, np.ndarray)
        or similar.dtype.kind not in "fiu"
        or similar.shape != (len(similar),) * 2
    ):
        raise fault
    apart = similar[~np.eye(len(similar), dtype=np.bool_)]
    if not np.isfinite(apart).all() or not apart.size or apart.min() < 0 or apart.max() > MOST_SIMILAR:
        raise fault
    return similar.astype(float)


def _of_pairs(path: Path, files: Sequence[PurePath]) -> Float[np.ndarray, "n n"]:
    """Return the mean ratings of a pickled dictionary ``"NAME,NAME"`` -> ratings, names matched by the number
    in each.

    Source: ``data/peterson.py`` of github.com/LukasMut/gLocal, which reads the fruits so.
    """
    found = unpickled(path, f"convert it into a .mat that holds {MEAN_RATINGS}")
    if not isinstance(found, dict):
        raise HumalignError(
            f"{path} holds no dictionary of pairs: convert it into a .mat that holds {MEAN_RATINGS}"
        )
    rows: dict[int, int] = {}
    for row, file in enumerate(files):
        first = rows.setdefault(_number(str(file), file.stem), row)
        if first != row:
            raise HumalignError(
                f"{file} has the number of {files[first].name}: name each photograph by its own"
            )
    total, count = np.zeros((len(files), len(files))), np.zeros((len(files), len(files)))
    for pair, rated in found.items():
        place = f"{path}, pair {str(pair)[:60]!r}"
        names = pair.split(",") if isinstance(pair, str) else []
        if len(names) != 2:
            raise HumalignError(f"{place}: not the names of two photographs, with a comma between: {AGAIN}")
        numbers = [_number(place, PurePosixPath(name.strip()).stem) for name in names]
        if missing := [number for number in numbers if number not in rows]:
            raise HumalignError(
                f"{place}: no photograph of number {missing[0]} in {files[0].parent}: copy the folder again"
            )
        one, other = (rows[number] for number in numbers)
        if not isinstance(rated, list | tuple) or not rated or not all(_is_rating(each) for each in rated):
            raise HumalignError(f"{place}: no list of ratings from 0 to {MOST_SIMILAR:g}: {AGAIN}")
        for place_of in ((one, other), (other, one)):
            total[place_of] += sum(rated)
            count[place_of] += len(rated)
    np.fill_diagonal(count, 1)
    if not count.all():
        one, other = (files[row].name for row in np.argwhere(count == 0)[0])
        raise HumalignError(
            f"{path}: no rating of {one} and {other}: cut short, or of other photographs; {AGAIN}"
        )
    return total / count


def _number(place: str, name: str) -> int:
    found = re.search(r"\d+", name)
    if not found:
        raise HumalignError(
            f"{place}: no number in the name {name[:40]!r}: the pairs of a pickle are named by numbers"
        )
    return int(found.group())


def _is_rating(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_SIMILAR
