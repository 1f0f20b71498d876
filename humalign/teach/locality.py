"""Neighbourhoods of unlabelled images, which a teacher may be asked to keep.

Whatever a map does to images that nobody judged, an image's neighbours shall stay its neighbours: inside batches of such images the
softmax of cosines over all other images is compared before and after the map. Source: the predecessor (gLocal; Muttenthaler et al.,
2023, "Improving neural network representations using human similarity judgments", the local loss).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from humalign.errors import HumalignError
from humalign.teach.objectives import neighbour_cross_entropy


@dataclasses.dataclass(frozen=True)
class Neighbourhood:
    """A batch of unlabelled images, for maps that are a multiple of the identity outside a subspace.

    Attributes:
        share: of all unlabelled images that are in this batch.
        inside: the images in the coordinates of the subspace.
        outside: dot products of what lies outside it.
        before: cosines of the images as they are.
    """

    share: float
    inside: Float[Tensor, "images rank"]
    outside: Float[Tensor, "images images"]
    before: Float[Tensor, "images images"]

    def after(self, matrix: Float[Tensor, "rank rank"], shift: Float[Tensor, " rank"] | None) -> Float[Tensor, "images images"]:
        """Return the cosines under a map: ``matrix`` inside the subspace, its mean diagonal times the identity outside."""
        places = self.inside @ matrix
        level = matrix.diagonal().mean()
        return _cosines(level.square() * self.outside + _gram(places if shift is None else places + shift))

    def cross_entropy(
        self, matrix: Float[Tensor, "rank rank"], shift: Float[Tensor, " rank"] | None, temperature: float
    ) -> Float[Tensor, ""]:
        """Return the cross-entropy, in nats an image, of neighbours before and after the map."""
        return neighbour_cross_entropy(self.before, self.after(matrix, shift), temperature).mean()


def neighbourhoods(
    pool: Float[np.ndarray, "images dim"], basis: Float[np.ndarray, "rank dim"], batch: int, device: torch.device
) -> list[Neighbourhood]:
    """Cut unlabelled images into batches that are the same in every call: objectives of them can be solved to their optimum.

    Args:
        pool: embeddings of the images, standardised as the judged ones are.
        basis: orthonormal directions of the subspace.
        batch: images in one, at most; they are dealt out in an order drawn once from seed 0.
        device: where the batches are kept.
    """
    order = np.random.default_rng(0).permutation(len(pool))
    found = []
    for rows in np.array_split(order, math.ceil(len(pool) / batch)):
        images = torch.from_numpy(pool[rows]).double()
        inside = images @ torch.from_numpy(basis).double().T
        whole = _gram(images)
        parts = (inside, whole - _gram(inside), _cosines(whole))
        found.append(Neighbourhood(len(rows) / len(pool), *(part.float().to(device) for part in parts)))
    return found


def checked_pool(pool: np.ndarray | None, dim: int, batch: int) -> Float[np.ndarray, "images dim"]:
    """Return the embeddings of unlabelled images, after a check that neighbourhoods can be kept in them.

    Raises:
        HumalignError: none are given, fewer than three a batch, of another backbone, or with NaN or infinity.
    """
    if pool is None:
        raise HumalignError("locality above zero needs unlabelled images: give their embeddings, fit(..., pool=...), or set locality=0")
    if pool.ndim != 2 or pool.shape[1] != dim:
        raise HumalignError(f"a pool of shape {pool.shape}, but the judged embeddings have {dim} features: are both of one backbone?")
    if min(len(pool), batch) < 3:
        raise HumalignError(f"{len(pool)} unlabelled images in batches of {batch}: neighbours can be told apart among three or more")
    if not np.isfinite(pool).all():
        raise HumalignError("the pool holds NaN or infinity: was the backbone's input normalised?")
    return pool


def _gram(rows: Float[Tensor, "images dim"]) -> Float[Tensor, "images images"]:
    return rows @ rows.T


def _cosines(gram: Float[Tensor, "images images"]) -> Float[Tensor, "images images"]:
    """Return cosines from dot products; an image at the origin has cosine 0 with every other."""
    inverse = gram.diagonal().clamp_min(torch.finfo(torch.float32).eps).rsqrt()
    return gram * inverse[:, None] * inverse
