"""Readers of people's labels of pictures, and their join with the pictures at hand.

As in `readers`, a fault in a file is one line: file, place and mend.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from humalign.data.arrays import first
from humalign.data.datafiles import AGAIN, parsed
from humalign.errors import HumalignError

# In the order of the columns of CIFAR-10H, which is CIFAR-10's own and ascending.
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_IMAGES = 10_000
# People's most frequent label is the official one on 99.2 % of all pictures; of pictures in another order on about 10 %.
LEAST_MAJORITY = 0.95


def cifar10h(path: str | Path) -> Float[np.ndarray, "10000 10"]:
    """Read which share of about 50 people gave each label to each test picture of CIFAR-10.

    Returns:
        A row a picture, in the order of the original test set; a column a class, in the order of ``CIFAR10``.

    Raises:
        HumalignError: another shape, or a row that is no distribution.

    Source: ``data/cifar10h-probs.npy`` of github.com/jcpeterson/cifar-10h.
    """
    shares = parsed(path, lambda path: np.load(path, allow_pickle=False)[:])
    if shares.dtype.kind != "f" or shares.shape != (CIFAR10_IMAGES, len(CIFAR10)):
        held = f"{shares.dtype} of shape {shares.shape}"
        raise HumalignError(f"{path}: {held} for {CIFAR10_IMAGES} pictures of {len(CIFAR10)} classes: {AGAIN}")
    shares = shares.astype(np.float64)
    if (row := first(~(shares >= 0) | (np.abs(shares.sum(1, keepdims=True) - 1) > 1e-6))) is not None:
        raise HumalignError(f"{path}, row {row + 1}: {np.round(shares[row], 3).tolist()} is no distribution: {AGAIN}")
    return shares


def of_pictures(shares: Float[np.ndarray, "10000 10"], labels: pd.DataFrame) -> Float[np.ndarray, "images 10"]:
    """Return people's shares of the pictures at hand, joined by ``index``, and checked against ``class``.

    A wrong order of pictures gives plausible scores, so the join is checked: people's most frequent label must be the class.

    Args:
        shares: as `cifar10h` reads them.
        labels: of pictures, with ``index``, the place in the original test order from 0, and ``class``.

    Raises:
        HumalignError: people's most frequent label is the class of less than 95 % of the pictures; one picture may always differ.
    """
    found = shares[labels["index"].to_numpy(dtype=int)]
    agree = np.array(CIFAR10)[found.argmax(1)] == labels["class"].to_numpy(dtype=str)
    if (~agree).sum() > max(1.0, (1 - LEAST_MAJORITY) * len(agree)):
        raise HumalignError(
            f"these pictures are not in CIFAR-10's original test order: of {len(agree)}, people's most frequent label is the class of "
            f"only {agree.sum()}: name each picture by its place in the original order, or run `humalign fetch cifar10`"
        )
    return found
