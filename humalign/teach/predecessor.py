"""The predecessor's released transforms (gLocal), read as a teacher: features go in, its aligned features come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from humalign.data.datafiles import AGAIN, parsed
from humalign.errors import HumalignError
from humalign.teach.teacher import AffineTeacher


def read(path: str | Path) -> AffineTeacher:
    """Read ``transform.npz``: z = (x - mean) / std @ weights + bias, for row vectors of the features it was fitted to.

    ``mean`` and ``std`` are of the THINGS features over all their values, or one a dimension; ``bias`` may be absent.

    Raises:
        HumalignError: an array that is missing, not finite or of another shape, or a ``std`` that is not above zero.

    Source: Muttenthaler, Linhardt, Dippel, Vandermeulen, Hermann, Lampinen, Kornblith (2023), Improving neural network
    representations using human similarity judgments; ``transforms/MODEL/LAYER/transform.npz`` of github.com/LukasMut/gLocal.
    """
    found: dict[str, Any] = parsed(path, _arrays)
    for name in ("weights", "mean", "std"):
        if name not in found:
            raise HumalignError(f"{path}: no {name!r} among {sorted(found)}: give a transform.npz that was saved with mean and std")
    weights = found["weights"]
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise HumalignError(f"{path}: weights of shape {weights.shape} instead of a square matrix: {AGAIN}")
    dim = len(weights)
    bias, mean, std = (_vector(path, name, found[name], dim) for name in ("bias", "mean", "std"))
    if not np.isfinite(weights).all() or (std <= 0).any():
        raise HumalignError(f"{path}: weights that are not finite, or a std that is not above zero: {AGAIN}")
    teacher = AffineTeacher()
    # One scale for all dimensions is the teacher's own; one a dimension goes into the matrix.
    teacher.scale_ = float(std[0]) if (std == std[0]).all() else 1.0
    teacher.matrix_ = (weights * (teacher.scale_ / std)[:, None]).astype(np.float32)
    teacher.mean_, teacher.bias_ = mean, bias.astype(np.float32)
    return teacher


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        found = {name: np.asarray(file[name], dtype=np.float64) for name in file.files}
    return {"bias": np.zeros(())} | found


def _vector(path: str | Path, name: str, value: np.ndarray, dim: int) -> np.ndarray:
    if value.size not in (1, dim) or not np.isfinite(value).all():
        raise HumalignError(f"{path}: {name} of shape {value.shape} for {dim} dimensions, or not finite: {AGAIN}")
    return np.broadcast_to(value.reshape(-1), (dim,)).copy()
