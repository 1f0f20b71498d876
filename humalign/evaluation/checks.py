"""What every evaluation asks of its inputs, and the one line for each thing that can be wrong with them."""

from __future__ import annotations

import numpy as np

from humalign.data.judgments import floats
from humalign.errors import HumalignError


def check_features(features: np.ndarray, rows: int | None = None) -> np.ndarray:
    """Return features in single or double precision: finite rows, not all equal, as many as asked for.

    Raises:
        HumalignError: with the first faulty row (from 0).
    """
    features = floats(features)
    if features.ndim != 2 or not features.size:
        raise HumalignError(f"features of shape {features.shape}: expected one row a picture")
    if rows not in (None, len(features)):
        seen = f"{len(features)} rows of features for {rows} pictures"
        raise HumalignError(f"{seen}: were they made from the same list?")
    faulty = np.flatnonzero(~np.isfinite(features).all(1))
    if len(faulty):
        seen = f"features of picture {faulty[0]} hold NaN or infinity ({len(faulty)} pictures in all)"
        raise HumalignError(f"{seen}: did training diverge?")
    if len(features) > 1 and (features == features[0]).all():
        seen = f"the features of all {len(features)} pictures are equal"
        raise HumalignError(f"{seen}: the model tells nothing apart")
    return features


def check_labels(labels: np.ndarray) -> np.ndarray:
    """Return the classes in ascending order.

    Raises:
        HumalignError: a missing label, or fewer than two classes.
    """
    if labels.ndim != 1 or any(label is None or label != label or label == "" for label in labels.tolist()):
        mend = "put every picture into a folder named after its class"
        raise HumalignError(f"a picture without a label: {mend}")
    classes = np.unique(labels)
    if len(classes) < 2:
        raise HumalignError(f"a classifier needs two classes, there is only {classes.tolist()}")
    return classes


def check_probabilities(probabilities: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distributions over the same classes, (draws, images, classes) and (images, classes).

    Raises:
        HumalignError: shapes that differ, or a row that is no distribution, with its place (from 0).
    """
    probabilities, shares = floats(probabilities, "probabilities"), floats(shares, "people's shares")
    if probabilities.shape[1:] != shares.shape:
        seen = f"probabilities of {probabilities.shape[1:]} pictures and classes"
        raise HumalignError(f"{seen}, people's shares of {shares.shape}")
    for name, given in (("probabilities", probabilities), ("people's shares", shares)):
        rows = given.reshape(-1, shares.shape[1])
        sound = np.isfinite(rows).all(1) & (rows >= 0).all(1) & (np.abs(rows.sum(1) - 1) < 1e-3)
        if not sound.all():
            place, row = sound.argmin() % len(shares), np.round(rows[sound.argmin()], 3).tolist()
            raise HumalignError(f"{name} of picture {place} are no distribution: {row}")
    return probabilities, shares
