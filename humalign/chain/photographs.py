"""What the scores of photographs share: the models that a teacher maps, and their features by set."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from humalign.chain import features as of_models
from humalign.chain import sets, teach
from humalign.chain.judged import halves
from humalign.chain.pipeline import Run
from humalign.data.images import Subset
from humalign.profiles import Profile

__all__ = ["HALVES", "JUDGED", "features", "halves", "labelled_sets", "objects"]

JUDGED = ("things-photographs", "kriegeskorte-92")
HALVES = (0, 1)


def objects() -> Int[np.ndarray, " images"]:
    """Return which object each of the THINGS photographs shows, ascending."""
    return sets.photographs()[1]


def labelled_sets(profile: Profile) -> dict[str, Subset]:
    """Return the photographs with class labels by the name of their set."""
    return {name: sets.labelled(profile, name) for name in profile.data.labelled}


def features(run: Run) -> dict[str, dict[str, Float[np.ndarray, "images dim"]]]:
    """Return features of the judged photographs by model and set; last, of the teacher's backbones side by side."""
    teacher = run.profile.labeller
    return {
        model: {which: of_models.teacher_base(run, teacher, model, which) for which in sets.judged_pictures(run.profile)}
        for model in teach.models(teacher)
    }
