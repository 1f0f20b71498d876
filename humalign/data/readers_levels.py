"""Reader of the answers that people gave in the experiment Levels.

The answers are released as a pickle, which can run any program while it is read. This one is read by an
unpickler that builds containers, strings and numbers, and refuses all else.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from humalign.data.datafiles import AGAIN, checked
from humalign.errors import HumalignError, nearest

# The files' names of the levels, and the paper's. Answers say class_border, lists of trials class_boundary.
LEVELS = {
    "between_class": "global-coarse",
    "within_class": "local-fine",
    "class_border": "class-boundary",
    "class_boundary": "class-boundary",
}
# Of how many ImageNet classes the three images of a trial are.
CLASSES = {"global-coarse": 3, "class-boundary": 2, "local-fine": 1}
SHOWN = ("image1Path", "image2Path", "image3Path")
KEYS = (*SHOWN, "selected_image", "rt", "triplet_type", "exp_trial_type")
EXPERIMENT, OTHER = "exp_trial", ("training_trial", "catch_trial")
NO_ANSWER = "No image selected"
# Milliseconds. A busy browser may notice late that 15,000 are over; half of the answers take more than 2,000.
LONGEST, SHORTEST_MEDIAN = 20_000.0, 15.0


@dataclasses.dataclass(frozen=True)
class LevelAnswers:
    """Answered trials of Levels, one row a trial: who saw which images, at which level, and chose which.

    Attributes:
        images: file names without folder, ascending.
        people: names as in the file, in its order.
        triplets: (n, 3) places in ``images``, in the order shown.
        person: (n,) places in ``people``.
        level: (n,) ``global-coarse``, ``local-fine`` or ``class-boundary``.
        odd: (n,) place of the odd one out in the order shown, 0 to 2.
        seconds: (n,) response times, NaN where none was recorded.
    """

    images: tuple[str, ...]
    people: tuple[str, ...]
    triplets: Int64[np.ndarray, "n 3"]
    person: Int64[np.ndarray, " n"]
    level: np.ndarray
    odd: Int64[np.ndarray, " n"]
    seconds: Float64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.triplets)

    def keep(self, rows: np.ndarray) -> LevelAnswers:
        """Return some of the trials, given by place or by a mask; images and people keep their places."""
        fields = [field.name for field in dataclasses.fields(self) if field.name not in ("images", "people")]
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in fields})

    def at(self, level: str) -> LevelAnswers:
        """Return the trials of one level."""
        if level not in CLASSES:
            raise HumalignError(f"unknown level {level!r}: {nearest(level, CLASSES)}")
        return self.keep(self.level == level)

    def rows_in(self, files: Sequence[str]) -> Int64[np.ndarray, " images"]:
        """Return where each image is among files, by file name without folder.

        Raises:
            HumalignError: an image is not among the files, or two files have one name.
        """
        place = {_name(file): row for row, file in enumerate(files)}
        if len(place) < len(files):
            again = f"{len(files) - len(place):,} of {len(files):,} pictures"
            raise HumalignError(f"{again} have a file name that another has: is ImageNet intact?")
        if missing := [image for image in self.images if image not in place]:
            images = f"{len(missing):,} of the {len(self.images):,} images of Levels"
            why = f"such as {missing[0]!r}: they are of ImageNet's training set, is it whole?"
            raise HumalignError(f"{images} are not among the {len(files):,} pictures here, {why}")
        return np.array([place[image] for image in self.images], dtype=np.int64)


# Names of the images in the order shown, place of the odd one, milliseconds or NaN, and the level.
_Answer = tuple[list[str], int, float, str]


def levels_answers(path: str | Path) -> LevelAnswers:
    """Read the released answers: experimental trials with an answer, in the order of the file.

    Response times are milliseconds in the file and seconds here.

    Raises:
        HumalignError: a pickle that holds more than containers, strings and numbers, a trial that cannot be
            (such as one whose images are of another number of ImageNet classes than its level has), or
            response times that are not milliseconds.

    Source: ``processed_data/pruned_dataset.pkl`` of gin.g-node.org/fborn/Dataset_Levels: person -> trials,
    each with the keys `KEYS`; ``selected_image`` is the odd one.
    """
    found = ((person, _answer(place, trial)) for person, place, trial in _trials(path))
    answered = [(person, *answer) for person, answer in found if answer]
    if not answered:
        raise HumalignError(f"{path}: no answered trial of the experiment: {AGAIN}")
    people, *columns = zip(*answered, strict=True)
    shown, odd, milliseconds, level = map(np.array, columns)
    images, triplets = np.unique(shown, return_inverse=True)
    names = {name: place for place, name in enumerate(dict.fromkeys(people))}
    return LevelAnswers(
        images=tuple(images.tolist()),
        people=tuple(names),
        triplets=triplets.reshape(-1, 3).astype(np.int64),
        person=np.array([names[name] for name in people]),
        level=level,
        odd=odd,
        seconds=_seconds(path, milliseconds),
    )


def _answer(place: str, trial: dict[str, Any]) -> _Answer | None:
    """Return the answer of a trial; none of one that does not count, or ended without one."""
    if missing := [key for key in KEYS if key not in trial]:
        raise HumalignError(f"{place}: no {missing[0]!r}: {AGAIN}")
    kind = trial["exp_trial_type"]
    if kind != EXPERIMENT and kind not in OTHER:
        known = ", ".join((EXPERIMENT, *OTHER))
        raise HumalignError(f"{place}: exp_trial_type {str(kind)[:40]!r} is none of {known}")
    if kind != EXPERIMENT or trial["selected_image"] == NO_ANSWER:
        return None
    images = [_name(trial[key]) for key in SHOWN]
    level = _level(place, trial["triplet_type"], images)
    odd = _name(trial["selected_image"])
    if odd not in images:
        raise HumalignError(f"{place}: selected_image {odd[:60]!r} is none of the three shown: {AGAIN}")
    rt = np.nan if trial["rt"] is None else trial["rt"]
    said = f"{place}: rt {str(rt)[:40]!r}"
    if isinstance(rt, bool) or not isinstance(rt, int | float) or rt <= 0 or rt == np.inf:
        raise HumalignError(f"{said} where milliseconds above 0 should stand: {AGAIN}")
    if rt > LONGEST:
        raise HumalignError(f"{said}, but a trial ends after 15,000 ms: are these milliseconds? {AGAIN}")
    return images, images.index(odd), float(rt), level


def _name(image: Any) -> str:
    """Return the name of an image without its folder; an empty name for what is no text."""
    return image.rsplit("/", 1)[-1] if isinstance(image, str) else ""


def _level(place: str, kind: Any, images: list[str]) -> str:
    """Return the level of a trial, whose images must be different and of as many classes as it has."""
    if not isinstance(kind, str) or kind not in LEVELS:
        raise HumalignError(f"{place}: unknown level {str(kind)[:40]!r}: {nearest(str(kind), LEVELS)}")
    if "" in images or len(set(images)) < 3:
        raise HumalignError(f"{place}: {str(images)[:120]} are not three different images: {AGAIN}")
    level, classes = LEVELS[kind], len({image.split("_")[0] for image in images})
    if classes != CLASSES[level]:
        raise HumalignError(f"{place}: images of {classes} ImageNet classes in a trial of {kind}: {AGAIN}")
    return level


def _seconds(path: str | Path, milliseconds: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Return times in seconds, unless half of them are too short to be milliseconds."""
    known = milliseconds[np.isfinite(milliseconds)]
    if len(known) and np.median(known) < SHORTEST_MEDIAN:
        said = f"median rt {np.median(known):g}: are these seconds? It should hold milliseconds"
        raise HumalignError(f"{path}: {said}: {AGAIN}")
    return milliseconds / 1000


# ---- the pickle --------------------------------------------------------------------------------------------


def _trials(path: str | Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield person, place and content of each trial of a pickled dictionary person -> list of trials."""
    found = unpickled(path)
    if not isinstance(found, dict) or not all(isinstance(trials, list) for trials in found.values()):
        raise HumalignError(f"{path} holds no dictionary of lists, person by person: {AGAIN}")
    twice = next((person for person in found if str(person) in found and person != str(person)), None)
    if twice is not None:  # 7 and "7" would be one person
        raise HumalignError(f"{path}: two people {twice}, as a number and as text: {AGAIN}")
    for person, trials in found.items():
        for number, trial in enumerate(trials, 1):
            place = f"{path}, person {str(person)[:40]!r}, trial {number}"
            if not isinstance(trial, dict):
                raise HumalignError(f"{place}: no dictionary: {AGAIN}")
            yield str(person), place, trial


def unpickled(path: str | Path, mend: str = AGAIN) -> Any:
    """Return the containers, strings and numbers of a pickle.

    Raises:
        HumalignError: a damaged pickle, or one that holds more; ``mend`` says what to do about it.
    """
    with open(checked(path), "rb") as file:
        try:
            return PlainUnpickler(file).load()
        except HumalignError as error:
            raise HumalignError(f"{path} {error}: do not open it with anything else; {mend}") from None
        except Exception:  # A damaged pickle raises a dozen kinds, as a damaged array does.
            raise HumalignError(f"{path} is cut short, damaged or of another layout: {AGAIN}") from None


class PlainUnpickler(pickle.Unpickler):
    """An unpickler of containers, strings, bytes and numbers; numpy's numbers become Python's."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse whatever a pickle asks to call, except what stands for bytes and numpy's numbers."""
        allowed = {
            ("numpy", "dtype"): _Kind,
            ("_codecs", "encode"): _bytes,
            ("numpy.core.multiarray", "scalar"): _number,
            ("numpy._core.multiarray", "scalar"): _number,
        }
        if (module, name) not in allowed:
            raise HumalignError(f"asks to call {module}.{name}"[:120] + ", which no file of answers needs")
        return allowed[module, name]


class _Kind:
    """The type of a number in a pickle."""

    def __init__(self, code: str, *flags: Any) -> None:
        if code not in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
            raise HumalignError(f"holds numbers of the kind {str(code)[:20]!r}")
        self.kind = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.kind = self.kind.newbyteorder(">" if state[1] == ">" else "<")


def _bytes(text: str, coding: str) -> bytes:
    """Return what older protocols write as text in Latin-1."""
    return str(text).encode("latin1")


def _number(kind: _Kind, content: bytes) -> float | int | bool:
    return np.frombuffer(content, kind.kind, 1).item()
