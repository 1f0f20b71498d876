"""What every evaluation asks of its inputs, and the one line for each thing that can be wrong with them."""

from __future__ import annotations

import numpy as np

from humalign.data.judgments import floats
from humalign.errors import HumalignError


def check_features(features: np.ndarray, rows: int | None = None) -> np.ndarray:
    """Return features in single or double precision, after a check that they are finite rows, not all equal, as many as asked for.

    Raises:
        HumalignError: none of that, with the first faulty row (from 0).
    """
    features = floats(features)
    if features.ndim != 2 or not features.size:
        raise HumalignError(f"features of shape {features.shape}: expected one row a picture")
    if rows not in (None, len(features)):
        raise HumalignError(f"{len(features)} rows of features for {rows} pictures: were they made from the same list?")
    faulty = np.flatnonzero(~np.isfinite(features).all(1))
    if len(faulty):
        raise HumalignError(f"features of picture {faulty[0]} hold NaN or infinity ({len(faulty)} pictures in all): did training diverge?")
    if len(features) > 1 and (features == features[0]).all():
        raise HumalignError(f"the features of all {len(features)} pictures are equal: the model tells nothing apart")
    return features


def check_labels(labels: np.ndarray) -> np.ndarray:
    """Return the classes in ascending order.

    Raises:
        HumalignError: a missing label, or fewer than two classes.
    """
    if labels.ndim != 1 or any(label is None or label != label or label == "" for label in labels.tolist()):
        raise HumalignError("a picture without a label: put every picture into a folder named after its class")
    classes = np.unique(labels)
    if len(classes) < 2:
        raise HumalignError(f"a classifier needs two classes, there is only {classes.tolist()}")
    return classes


def check_probabilities(probabilities: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (draws, images, classes) and shares (images, classes), checked to be distributions over the same things.

    Raises:
        HumalignError: shapes that differ, or a row that is no distribution, with its place (from 0).
    """
    probabilities, shares = floats(probabilities, "probabilities"), floats(shares, "people's shares")
    if probabilities.shape[1:] != shares.shape:
        raise HumalignError(f"probabilities of {probabilities.shape[1:]} pictures and classes, people's shares of {shares.shape}")
    for name, rows in (("probabilities", probabilities.reshape(-1, shares.shape[1])), ("people's shares", shares)):
        faulty = np.flatnonzero(~(np.isfinite(rows).all(1) & (rows >= 0).all(1) & (np.abs(rows.sum(1) - 1) < 1e-3)))
        if len(faulty):
            raise HumalignError(f"{name} of picture {faulty[0] % len(shares)} are no distribution: {np.round(rows[faulty[0]], 3).tolist()}")
    return probabilities, shares
