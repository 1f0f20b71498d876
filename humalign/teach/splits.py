"""Object-disjoint folds: a concept, all its pictures and every answer about it stay on one side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from sklearn.model_selection import BaseCrossValidator

from humalign.errors import HumalignError, number


def concept_folds(
    taxonomy: pd.DataFrame, folds: int, whole_subgroups: int, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " concepts"], Bool[np.ndarray, " concepts"]]:
    """Return in which fold each concept is held out, and whether its whole subgroup is.

    Every fold holds out ``whole_subgroups`` subgroups entire, and its share of the other concepts one by one.
    """
    codes, names = pd.factorize(taxonomy["subgroup"])
    if folds < 2:
        raise HumalignError(f"folds = {folds}: concepts are held out in two folds or more")
    if folds * whole_subgroups >= len(names):
        seen = f"{folds} folds of {whole_subgroups} whole subgroups, but there are {len(names)}"
        raise HumalignError(f"{seen}: lower `whole_subgroups`")
    fold = np.full(len(taxonomy), -1)
    order = rng.permutation(len(names))
    for f in range(folds):
        fold[np.isin(codes, order[f * whole_subgroups : (f + 1) * whole_subgroups])] = f
    whole = fold >= 0
    rest = rng.permutation(np.flatnonzero(~whole))
    fold[rest] = np.arange(len(rest)) % folds
    return fold, whole


class ObjectFolds(BaseCrossValidator):
    """Split objects into folds, for scikit-learn: a permutation cut into parts, as the predecessor does."""

    def __init__(self, n_splits: int = 3, seed: int = 42) -> None:
        self.n_splits = n_splits
        self.seed = seed

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Return the number of folds."""
        return self.n_splits

    def _iter_test_indices(self, X: Any = None, y: Any = None, groups: Any = None) -> Iterator[np.ndarray]:
        if not 2 <= number("n_splits", self.n_splits) <= len(X):
            mend = "give two folds or more, and no more than objects"
            raise HumalignError(f"{self.n_splits} folds of {len(X)} objects: {mend}")
        yield from np.array_split(np.random.RandomState(self.seed).permutation(len(X)), self.n_splits)
