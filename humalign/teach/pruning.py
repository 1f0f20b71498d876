"""Which dimensions of a posterior of VICE the answers need, and what is said of objects that lose by it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from humalign.data.judgments import Choices

if TYPE_CHECKING:
    from humalign.teach.vice import ViceEmbedding

# A dimension stays where so many objects are surely above zero on it: the published value, for 1,854 objects.
SURE_OBJECTS = 5
# In a small set a dimension of few objects is a larger part: so many objects in all ask for one sure object.
OBJECTS_EACH = 40
# Surely above zero: the posterior puts 95 % there.
SURE = 1.645
# By how much more, in nats an answer, the answers may cost without the dimensions that are dropped by default.
NEGLIGIBLE = 0.005
# Of two objects without a dimension each choice is predicted in a third of the answers. They are a group that was
# not found where people keep them together in more than this share.
TOGETHER = 0.36
# At this rate small groups are found in sets of 40 objects where the default leaves them without a dimension.
RATE = 0.1


def pruned(whole: ViceEmbedding, choices: Choices, sure_objects: int | None, learning_rate: float) -> ViceEmbedding:
    """Drop the dimensions that the answers do not need, and warn where some objects lose by it.

    Args:
        whole: the posterior of a fit.
        choices: the answers that it was fitted to.
        sure_objects, learning_rate: of the fit; see `vice.fit`.
    """
    cost = whole.surprise(choices) + NEGLIGIBLE
    for least in candidates(len(whole.mean)) if sure_objects is None else (sure_objects,):
        found = whole.pruned(least)
        dear = found.surprise(choices) > cost
        if not dear:
            break
    lost = [sure for sure in found.dropped.tolist() if sure >= 2]
    more = f"`dim` from {len(whole.sure)} to {2 * len(whole.sure)}"
    if lost and (dear or sure_objects is None):
        warnings.warn(
            f"VICE dropped {len(lost)} dimensions of few objects (surely above zero on {min(lost)} to {max(lost)},"
            f" fewer than {least}): triplets of those objects are predicted as if nothing was known;"
            " `sure_objects=2` keeps them",
            stacklevel=3,
        )
    elif said := _without(found, choices):
        rate = f"`learning_rate` from {learning_rate:g} to {RATE:g} and " if learning_rate < RATE else ""
        warnings.warn(f"{said}: raise {rate}{more}", stacklevel=3)
    elif whole.sure.all():
        warnings.warn(
            f"VICE uses all {len(whole.sure)} dimensions that it started from, and some objects may have found none left: raise {more}",
            stacklevel=3,
        )
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
    return (
        f"VICE found no dimension for {without.sum()} of {len(without)} objects: of two of them and another one each"
        f" choice is predicted in a third of the answers, and people keep the two together in {share:.0%} of {answers:,}"
    )
