"""Do a triplet file's similarities agree with the pictures? Any backbone tells, by rank correlation.

Two questions are kept apart. *Columns*: which pair of a triplet is the more similar; similarities are centred in each row, and
compared under the six orders of the columns. *Rows*: in which triplets a pair is more similar than in others; they are centred in
each column too. A file whose similarities were shuffled against its indices still has its columns in order, since its rows are
sorted, and has lost the rows.
"""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float, Int, Real
from scipy.stats import spearmanr

from humalign.data.judgments import PAIRS, floats
from humalign.triplets.findings import Finding

SAMPLE = 20_000
SPREAD = 2**15
# Less is no agreement: in a sample of that size, chance gives a tenth of it.
LEAST = 0.05
NAMES = ("s01", "s02", "s12")
ORDERS = tuple(itertools.permutations(range(3)))


def check(indices: Int[np.ndarray, "n 3"], similarities: Float[np.ndarray, "n 3"], embeddings: Real[np.ndarray, "images dim"]) -> Finding:
    """Check the columns, then the rows, on a random sample of triplets whose indices lie inside the list."""
    what = "columns agree with the images"
    sample = np.random.default_rng(0).permutation(len(indices))[:SAMPLE]
    rows, written = indices[sample], _row_centred(similarities[sample].astype(float))
    looked_at = np.unique(rows)
    faulty = looked_at[~np.isfinite(embeddings[looked_at]).all(1)]
    if len(faulty):
        said = f"the embeddings of {len(faulty):,} images hold NaN or infinity, first is image {faulty[0]}: embed these again"
        return Finding(what, False, said)
    if (embeddings[looked_at] == embeddings[looked_at[0]]).all():
        return Finding(what, False, f"the embeddings of all {len(looked_at):,} images are equal: they tell nothing apart")
    seen = _row_centred(_cosines(embeddings, rows))
    fit = {order: _rank_correlation(seen, written[:, order]) for order in ORDERS}
    best = max(fit, key=lambda order: fit[order])
    table = ", ".join(f"[{' '.join(NAMES[c] for c in order)}] {value:.3f}" for order, value in fit.items())
    if _counted_from_one(rows, written, seen, embeddings):
        return Finding(what, False, f"indices look 1-based: lowered by one, they agree with the images better: {table}")
    if not fit[best] >= LEAST:
        return Finding(what, False, f"no order of the columns agrees with the images, are they another list's? {table}")
    if best != (0, 1, 2):
        return Finding(what, False, f"the columns hold [{' '.join(NAMES[best.index(c)] for c in range(3))}]: {table}")
    if not (of_rows := _rank_correlation(_centred(seen), _centred(written))) >= LEAST:
        said = "the columns are in order, but the rows agree with other images: similarities shuffled against indices, or another list?"
        return Finding(what, False, f"{said} between rows {of_rows:.3f}; {table}")
    return Finding(what, True, table)


def _counted_from_one(rows: np.ndarray, written: np.ndarray, seen: np.ndarray, embeddings: np.ndarray) -> bool:
    """Tell whether the rows agree better with each image's predecessor; in a list sorted by class, both may agree well."""
    if rows.min() < 1:
        return False
    lowered = _row_centred(_cosines(embeddings, rows - 1))
    here, there = (_rank_correlation(_centred(found), _centred(written)) for found in (seen, lowered))
    return bool(there >= max(LEAST, here + 3 / np.sqrt(len(rows))))


def _cosines(embeddings: np.ndarray, rows: np.ndarray) -> Float[np.ndarray, "n 3"]:
    """Return cosines of the pairs, from the mean of the list; read are the images that occur, and for the mean some evenly spread."""
    images, places = np.unique(rows, return_inverse=True)
    places = places.reshape(rows.shape)
    spread = floats(embeddings[:: max(1, len(embeddings) // SPREAD)])
    unit = floats(embeddings[images]) - spread[np.isfinite(spread).all(1)].mean(0)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), np.finfo(unit.dtype).tiny)
    return np.stack([np.vecdot(unit[places[:, a]], unit[places[:, b]]) for a, b in PAIRS], axis=1)


def _row_centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(1, keepdims=True)


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(0)


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(spearmanr(a.ravel(), b.ravel()).statistic)
