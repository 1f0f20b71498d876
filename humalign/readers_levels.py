"""Readers of the experiment Levels: its design, and the answers that people gave in it.

The answers are released as a pickle. A pickle can run any program while it is read, so this one is read by an unpickler that
builds containers, strings and numbers, and refuses all else.
"""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float64, Int64

from humalign.artefacts import sha256
from humalign.datafiles import AGAIN, PLAIN, checked, named
from humalign.errors import HumalignError, nearest
from humalign.readers import Answers

# The files' names of the levels, and the paper's.
LEVELS = {
    "between_class": "global-coarse",
    "within_class": "local-fine",
    "class_boundary": "class-boundary",
    "class_border": "class-boundary",
}
SHOWN = ("image1Path", "image2Path", "image3Path")
EXPERIMENT, TRAINING = "exp_trial", "training_trial"
# Half the answers took longer than two seconds, by the authors' account; a median above this can only be in milliseconds.
LONGEST_MEDIAN = 60.0
Trials = TypeVar("Trials", bound="LevelTrials")


@dataclasses.dataclass(frozen=True)
class LevelTrials:
    """Trials of Levels, one row a trial: who saw which three images, at which level.

    Attributes:
        images: paths as in the file, ascending.
        people: names as in the file, in its order.
        triplets: (n, 3) places in ``images``, in the order shown.
        person: (n,) places in ``people``.
        level: (n,) ``global-coarse``, ``local-fine`` or ``class-boundary``.
    """

    images: tuple[str, ...]
    people: tuple[str, ...]
    triplets: Int64[np.ndarray, "n 3"]
    person: Int64[np.ndarray, " n"]
    level: np.ndarray

    def __len__(self) -> int:
        return len(self.triplets)

    def keep(self: Trials, rows: np.ndarray) -> Trials:
        """Return some of the trials, given by place or by a mask; images and people keep their places."""
        fields = [field.name for field in dataclasses.fields(self) if field.name not in ("images", "people")]
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in fields})

    def at(self: Trials, level: str) -> Trials:
        """Return the trials of one level."""
        if level not in LEVELS.values():
            raise HumalignError(f"unknown level {level!r}: {nearest(level, set(LEVELS.values()))}")
        return self.keep(self.level == level)

    def first(self: Trials) -> Trials:
        """Return the trials without those in which a person saw three images for another time."""
        seen = np.column_stack([self.person, np.sort(self.triplets, axis=1)])
        return self.keep(np.sort(np.unique(seen, axis=0, return_index=True)[1]))


@dataclasses.dataclass(frozen=True)
class LevelAnswers(LevelTrials):
    """Answered trials.

    Attributes:
        odd: (n,) place of the odd one out in the order shown, 0 to 2.
        seconds: (n,) response times, NaN where none was recorded.
    """

    odd: Int64[np.ndarray, " n"]
    seconds: Float64[np.ndarray, " n"]

    def answers(self) -> Answers:
        """Return the answers as those of any odd-one-out experiment, to be pooled by triplet (``repeated``) or scored."""
        return Answers(self.triplets, self.odd, self.person, self.seconds)


def levels_design(path: str | Path) -> LevelTrials:
    """Read the design of the experiment: a CSV file with ``id``, ``image1`` to ``image3`` and ``triplet_class``.

    Raises:
        HumalignError: no such column, an unknown level, an image twice in a trial, or images whose ImageNet classes are not those of
            the level (three, two, or one).

    Source: ``levels_triplets_*.csv`` of gin.g-node.org/fborn/Dataset_Levels.
    """
    kinds = {"id": PLAIN, "image1": PLAIN, "image2": PLAIN, "image3": PLAIN, "triplet_class": PLAIN}
    people, shown, levels = [], [], []
    for line, (person, *images, kind) in named(path, kinds, ","):
        level = _level(f"{path}, line {line}", kind, images)
        classes = len({image.split("_")[0] for image in images})
        if classes != {"global-coarse": 3, "class-boundary": 2, "local-fine": 1}[level]:
            raise HumalignError(f"{path}, line {line}: {classes} classes in a trial of {kind}: {AGAIN}")
        people.append(person)
        shown.append(images)
        levels.append(level)
    return LevelTrials(**_coded(people, shown, levels))


def levels_answers(path: str | Path, digest: str | None = None) -> LevelAnswers:
    """Read the released answers: experimental trials only, in the order of the file.

    Args:
        path: of ``pruned_dataset.pkl``.
        digest: its SHA-256, to refuse any other file before a byte of it is interpreted.

    Raises:
        HumalignError: another file than the one asked for, a pickle that holds more than containers, strings and numbers, or a trial
            that cannot be.

    Source: ``processed_data/pruned_dataset.pkl`` of gin.g-node.org/fborn/Dataset_Levels: person -> trials, each with
    ``image1Path`` to ``image3Path``, ``selected_image`` (the odd one), ``rt``, ``triplet_type`` and ``exp_trial_type``. Times whose
    median is above a minute are taken for milliseconds.
    """
    if digest is not None and sha256(checked(path)) != digest:
        raise HumalignError(f"{path} is not the file that was asked for (SHA-256 {digest[:12]}...): {AGAIN}")
    people, shown, levels, odd, seconds = [], [], [], [], []
    for person, number, trial in _trials(path):
        place = f"{path}, person {str(person)[:40]!r}, trial {number}"
        missing = [key for key in (*SHOWN, "selected_image", "rt", "triplet_type", "exp_trial_type") if key not in trial]
        if missing:
            raise HumalignError(f"{place}: no {missing[0]!r}: {AGAIN}")
        if trial["exp_trial_type"] != EXPERIMENT:
            if trial["exp_trial_type"] != TRAINING:
                raise HumalignError(f"{place}: exp_trial_type {str(trial['exp_trial_type'])[:40]!r} is none of {EXPERIMENT}, {TRAINING}")
            continue
        images = [trial[key] for key in SHOWN]
        levels.append(_level(place, trial["triplet_type"], images))
        if trial["selected_image"] not in images:
            raise HumalignError(f"{place}: selected_image {str(trial['selected_image'])[:60]!r} is none of the three shown: {AGAIN}")
        rt = np.nan if trial["rt"] is None else trial["rt"]
        if isinstance(rt, bool) or not isinstance(rt, int | float) or rt < 0 or rt == np.inf:
            raise HumalignError(f"{place}: rt {str(rt)[:40]!r} where a time should stand: {AGAIN}")
        people.append(str(person))
        shown.append(images)
        odd.append(images.index(trial["selected_image"]))
        seconds.append(float(rt))
    if not shown:
        raise HumalignError(f"{path}: no trial of the experiment: {AGAIN}")
    times = np.array(seconds)
    if np.isfinite(times).any() and np.nanmedian(times) > LONGEST_MEDIAN:
        times = times / 1000
    return LevelAnswers(**_coded(people, shown, levels), odd=np.array(odd), seconds=times)


def _level(place: str, kind: Any, images: list[Any]) -> str:
    """Return the level of a trial, whose three images must be different names."""
    if not isinstance(kind, str) or kind not in LEVELS:
        raise HumalignError(f"{place}: unknown level {str(kind)[:40]!r}: {nearest(str(kind), LEVELS)}")
    if not all(isinstance(image, str) for image in images) or len(set(images)) < 3:
        raise HumalignError(f"{place}: {str(images)[:120]} are not three different images: {AGAIN}")
    return LEVELS[kind]


def _coded(people: list[str], shown: list[list[str]], levels: list[str]) -> dict[str, Any]:
    """Return the columns of trials, names replaced by places."""
    images, triplets = np.unique(np.array(shown), return_inverse=True)
    names = {name: place for place, name in enumerate(dict.fromkeys(people))}
    return {
        "images": tuple(images.tolist()),
        "people": tuple(names),
        "triplets": triplets.reshape(-1, 3).astype(np.int64),
        "person": np.array([names[name] for name in people]),
        "level": np.array(levels),
    }


# ---- the pickle ------------------------------------------------------------------------------------------------------


def _trials(path: str | Path) -> Any:
    """Yield person, number (from 1) and trial of a pickled dictionary person -> list of trials."""
    with open(checked(path), "rb") as file:
        try:
            found = PlainUnpickler(file).load()
        except HumalignError as error:
            raise HumalignError(f"{path} {error}: do not open it with anything else; {AGAIN}") from None
        except Exception:  # A damaged pickle raises a dozen kinds, as a damaged array does.
            raise HumalignError(f"{path} is cut short, damaged or of another layout: {AGAIN}") from None
    if not isinstance(found, dict) or not all(isinstance(trials, list) for trials in found.values()):
        raise HumalignError(f"{path} holds no dictionary of lists, person by person: {AGAIN}")
    for person, trials in found.items():
        for number, trial in enumerate(trials, 1):
            if not isinstance(trial, dict):
                raise HumalignError(f"{path}, person {str(person)[:40]!r}, trial {number}: no dictionary: {AGAIN}")
            yield person, number, trial


class PlainUnpickler(pickle.Unpickler):
    """An unpickler that builds dictionaries, lists, tuples, sets, strings, bytes and numbers; numpy's numbers become Python's."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse whatever a pickle asks to call, but for what stands for bytes and numpy's numbers."""
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
