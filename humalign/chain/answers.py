"""People's answers about the THINGS objects, as every profile takes them: no triplet that is scored is trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from humalign.data import object_order, readers_answers
from humalign.data.judgments import Choices
from humalign.errors import HumalignError

Find = Callable[[str], Path]
SOURCES = ("things-answers", "things-validation-answers", "things-repeated-answers")
# Agreement with people's answers below which the public files are not what their names say: VICE has .64, CLIP's cosines .48.
LEAST_VICE, LEAST_CLIP = 0.55, 0.42
FETCH = "move it away, and `humalign fetch {}` brings the public file"


@dataclasses.dataclass(frozen=True)
class AnswerSets:
    """Answers to train on, to validate with, and to triplets that many people answered; no triplet is in two of them."""

    training: Choices
    validation: Choices
    repeated: Choices

    @property
    def asked_once(self) -> Choices:
        """Answers to train on and to validate with."""
        both = (self.training, self.validation)
        return Choices(np.concatenate([c.triplets for c in both]), np.concatenate([c.counts for c in both]))


def answer_sets(find: Find, names: Sequence[str]) -> AnswerSets:
    """Read the three sets, each from a file of its own or from the table of all answers.

    A triplet that is in several is kept among the repeated ones, else for validation: what is scored was not trained on.
    """
    training, validation, repeated = (find(source) for source in SOURCES)
    many = readers_answers.repeated(repeated, names)
    held = _without(readers_answers.validation(validation, names), [many], validation)
    return AnswerSets(_without(readers_answers.training(training, names), [many, held], training), held, many)


def check_orders(
    find: Find,
    answers: AnswerSets,
    published: Float[np.ndarray, "objects dims"],
    features: Float[np.ndarray, "objects dim"],
    names: Sequence[str],
) -> None:
    """Check by the answers that VICE, CLIP's features and the repeated triplets were each in the order in which they were read."""
    for source, choices in zip(SOURCES, (answers.training, answers.validation, answers.repeated), strict=True):
        object_order.check_odd_last(find(source), published, choices)
    once, repeated = answers.asked_once, find(SOURCES[2])
    for source, rows, order, least, cosine in (
        ("things-vice", published, object_order.OLD, LEAST_VICE, False),
        ("things-clip-features", features, object_order.SORTED, LEAST_CLIP, True),
    ):
        object_order.check_embedding(find(source), rows, once, names, order, mend=FETCH.format(source), least=least, cosine=cosine)
    order = readers_answers.order(repeated)
    object_order.check_answers(repeated, published, answers.repeated, names, order, mend=FETCH.format(SOURCES[2]))


def _without(choices: Choices, others: Sequence[Choices], path: Path) -> Choices:
    """Leave out the triplets that are among others, whatever the order of their objects."""
    taken = np.concatenate([_codes(other.triplets) for other in others])
    rows = ~np.isin(_codes(choices.triplets), taken)
    if not rows.any():
        raise HumalignError(f"{path}: every triplet is among those that are scored: is it the file of another set of answers?")
    return choices if rows.all() else Choices(choices.triplets[rows], choices.counts[rows])


def _codes(triplets: Int[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """Return one number for each set of three objects."""
    return np.sort(triplets, axis=1) @ np.array([1 << 40, 1 << 20, 1])
