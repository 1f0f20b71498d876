"""Does a teacher agree with people about objects that it was not fitted to? The answers themselves tell."""

from __future__ import annotations

import pandas as pd
from jaxtyping import Bool, Real
from numpy import ndarray
from sklearn.base import clone

from humalign.data.judgments import Answered, ByObject, cosine_similarities, floats
from humalign.evaluation.left_out import leave_three_out
from humalign.evaluation.people import accuracy
from humalign.evaluation.scores import resamples
from humalign.teach.teacher import AffineTeacher


def held_out_agreement(
    teacher: AffineTeacher,
    features: Real[ndarray, "objects dim"],
    choices: Answered,
    groups: int = 6,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Score every answer by a teacher that was fitted to other objects than its three: odd-one-out accuracy (unit: object).

    Chance is a third.

    Args:
        teacher: whose settings are used; it is not fitted.
        features: one row an object.
        choices: answers, or (triplets, distributions over the pairs ij, ik, jk).
        groups: of objects, three of which are left out of a fit at a time.
        draws: of the bootstrap.
        seed: of groups and bootstrap.

    Returns:
        ``value``, ``low`` and ``high`` (95 %) and ``answers`` of the rows ``base``, the features as they are;
        ``base-centred``, which needs no answers; ``teacher``; and ``teacher - base-centred``, what the answers bring.

    Raises:
        HumalignError: features or choices that cannot be, fewer than four groups, or no answer outside three of them.
    """
    features = floats(features)
    answers, weights = ByObject.of(choices, len(features)), resamples(len(features), draws, seed)

    def fit(kept: Bool[ndarray, " objects"]) -> AffineTeacher:
        return clone(teacher).fit(features[kept], answers[kept])

    found = leave_three_out(features, answers, fit, groups, weights, seed)
    centred = accuracy(cosine_similarities(features - features.mean(0), answers.triplets), answers, weights)
    rows = {"base": found["teacher-base"], "base-centred": centred, "teacher": found["teacher"]}
    rows["teacher - base-centred"] = found["teacher"] - centred
    table = {name: (each.value, *each.interval(), each.n) for name, each in rows.items()}
    return pd.DataFrame.from_dict(table, orient="index", columns=["value", "low", "high", "answers"])
