"""Which dimensions of a posterior of VICE the answers need, and what is said of objects that lose by it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from humalign.data.judgments import PAIRS, Choices
from humalign.teach.objectives import probabilities

if TYPE_CHECKING:
    from humalign.teach.vice import ViceEmbedding

# A dimension stays where so many objects are surely above zero on it: the published value, for 1,854 objects.
SURE_OBJECTS = 5
# In a small set a dimension of few objects is a larger part: one sure object is asked for every so many.
OBJECTS_EACH = 40
# Surely above zero: the posterior puts 95 % there.
SURE = 1.645
# How much more, in nats an answer, the answers may cost without the dimensions that are dropped by default.
NEGLIGIBLE = 0.005
# Each choice among two objects without a dimension and another one is predicted in a third of the answers.
# The two are a group that was not found where people keep them together in more than this share.
TOGETHER = 0.36
# A pair is predicted far below people where they keep it together in at least half of so many answers or more
# and in so much larger a share than predicted, which is so many standard errors.
PAIRED, FAR, CERTAIN = 20, 0.25, 5.0
# Answers to each pair from which groups of two are found at the rate below; 20, 30 and 40 groups were tried.
ANSWERS_PAIR = 75
# Answers on which costs are measured and of which predictions are looked at, at most.
SAMPLE = 100_000
# At this rate small groups are found in sets of 40 objects where the default leaves them without a dimension.
RATE = 0.1


def pruned(
    whole: ViceEmbedding, choices: Choices, sure_objects: int | None, learning_rate: float
) -> ViceEmbedding:
    """Drop the dimensions that the answers of a fit do not need, and warn where some objects lose by it."""
    cost = whole.surprise(choices) + NEGLIGIBLE
    for least in candidates(len(whole.mean)) if sure_objects is None else (sure_objects,):
        found = whole.pruned(least)
        dear = found.surprise(choices) > cost
        if not dear:
            break
    lost = [sure for sure in found.dropped.tolist() if sure >= 2]
    more = f"`dim` from {len(whole.sure)} to {2 * len(whole.sure)}"
    if lost and (dear or sure_objects is None):
        of_few = f"surely above zero on {min(lost)} to {max(lost)}, fewer than {least}"
        said = "triplets of those objects are predicted as if nothing was known; `sure_objects=2` keeps them"
        warnings.warn(f"VICE dropped {len(lost)} dimensions of few objects ({of_few}): {said}", stacklevel=3)
    elif said := _without(found, choices):
        rate = f"`learning_rate` from {learning_rate:g} to {RATE:g} and " if learning_rate < RATE else ""
        warnings.warn(f"{said}: raise {rate}{more}", stacklevel=3)
    elif far := _far_below(found, choices):
        said, few = far
        mends = [f"raise `learning_rate` from {learning_rate:g} to {RATE:g}"] if learning_rate < RATE else []
        mends += [f"raise {more}"] if whole.sure.all() else []
        if few > choices.counts.sum():
            mends += [f"give {few:,} answers or more, or fit a teacher to them directly"]
        warnings.warn(f"{said}: {' and '.join(mends or ['raise `steps`'])}", stacklevel=3)
    elif whole.sure.all():
        said = f"VICE uses all {len(whole.sure)} dimensions that it started from"
        warnings.warn(f"{said}, and some objects may have found none left: raise {more}", stacklevel=3)
    return found


def candidates(objects: int) -> Iterator[int]:
    """Yield how many sure objects a dimension may be asked for, the most first."""
    yield from range(min(SURE_OBJECTS, max(2, objects // OBJECTS_EACH)), 1, -1)


def _without(found: ViceEmbedding, choices: Choices) -> str:
    """Say which objects have no dimension though people keep them together; nothing where there are none."""
    without = ~(found.mean / found.std > SURE).any(1).numpy()
    among = without[choices.triplets]
    two = among.sum(1) == 2
    # Of the pairs (ij, ik, jk) the one without the third object.
    counts, pair = choices.counts[two], 2 - among[two].argmin(1)
    answers = max(int(counts.sum()), 1)
    share = counts[np.arange(len(counts)), pair].sum() / answers
    if share - 3 * math.sqrt(share * (1 - share) / answers) <= TOGETHER:
        return ""
    seen = f"people keep the two together in {share:.0%} of {answers:,}"
    return (
        f"VICE found no dimension for {without.sum()} of {len(without)} objects: of two of them and"
        f" another one each choice is predicted in a third of the answers, and {seen}"
    )


def _far_below(found: ViceEmbedding, choices: Choices) -> tuple[str, int] | None:
    """Say how many pairs are predicted far below people's answers, and how many answers find small groups.

    Groups whose objects share a dimension with others are not told by dimensions, only by what is predicted.
    """
    step, objects = max(1, len(choices) // SAMPLE), len(found.mean)
    triplets, counts = choices.triplets[::step], choices.counts[::step]
    ends = np.sort(triplets[:, PAIRS], axis=-1)
    pairs, row = np.unique(ends[..., 0] * objects + ends[..., 1], return_inverse=True)
    asked = counts.sum(1, keepdims=True)
    predictions = probabilities(found.mean.relu().numpy(), triplets)
    told, kept, expected = (
        np.bincount(row.ravel(), weights=np.broadcast_to(each, counts.shape).ravel())
        for each in (asked, counts, predictions * asked)
    )
    share, predicted = kept / told, expected / told
    z = (share - predicted) / np.sqrt(predicted * (1 - predicted) / told + 1e-9)
    far = (told >= PAIRED) & (share >= 0.5) & (share - predicted > FAR) & (z > CERTAIN)
    if not far.any():
        return None
    worst = np.flatnonzero(far)[(share - predicted)[far].argmax()]
    one, other = divmod(int(pairs[worst]), objects)
    seen = f"kept together in {share[worst]:.0%} of {told[worst]:.0f} answers"
    such = f"such as {one} and {other} ({seen}, predicted in {predicted[worst]:.0%})"
    said = f"VICE predicts {far.sum()} pairs of objects far below people, {such}"
    return said, math.ceil(ANSWERS_PAIR * objects * (objects - 1) / 6)
