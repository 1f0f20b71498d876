"""The objectives of teacher and students: pure functions of similarities.

Pairs stand in the order (ij, ik, jk); similarities are dot products. Source: paper, Methods, and
``losses.py`` of the official code for the three triplet objectives, whose conventions these keep.

Tensors of pairs are laid out as three long columns, and the softmax over three is a difference from
``logsumexp``: on a processor several times as fast as rows of three, for the triplets of a dense step.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor
from torch.nn.functional import normalize

from humalign.data.judgments import Triplets, check_triplets
from humalign.errors import HumalignError, expect

PairSimilarities = Float[Tensor, "batch 3"]
# One number a triplet.
Nats = Float[Tensor, " batch"]
Divergence = Callable[[PairSimilarities, PairSimilarities, float], Nats]
Objective = Callable[[PairSimilarities, Float[Tensor, "images dim"], Int[Tensor, "batch 3"], float], Nats]


def pair_similarities(
    embeddings: Float[Tensor, "images dim"], triplets: Integer[Tensor, "batch 3"]
) -> PairSimilarities:
    """Return dot products of the pairs (ij, ik, jk) of each triplet.

    Reads them off the images-by-images matrix, so that an image in a thousand triplets is multiplied once.
    """
    images = len(embeddings)
    i, j, k = triplets.long().unbind(1)  # a smaller type cannot hold a place in the matrix
    places = torch.stack([torch.add(column, row, alpha=images) for row, column in ((i, j), (i, k), (j, k))])
    # Unlike indexing, index_select adds up its gradient on a CPU in row order: the same bits in every run.
    return (embeddings @ embeddings.T).flatten().index_select(0, places.flatten()).view(places.shape).T


def log_choices(similarities: PairSimilarities) -> PairSimilarities:
    """Return log probabilities of keeping each pair together: a log softmax over the three."""
    return similarities - similarities.logsumexp(1, keepdim=True)


def jensen_shannon(teacher: PairSimilarities, student: PairSimilarities, temperature: float) -> Nats:
    """Return the Jensen-Shannon divergence of each triplet; the temperature is the student's alone."""
    log_p, log_q = log_choices(teacher), log_choices(student / temperature)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    return 0.5 * (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)).sum(1)


def kullback_leibler(teacher: PairSimilarities, student: PairSimilarities, temperature: float) -> Nats:
    """Return KL(teacher ‖ student) of each triplet; the temperature is the student's alone."""
    log_p, log_q = log_choices(teacher), log_choices(student / temperature)
    return (log_p.exp() * (log_p - log_q)).sum(1)


def contrastive(teacher: PairSimilarities, student: PairSimilarities, temperature: float) -> Nats:
    """Return the student's surprise at the pair (ij), which sorted rows keep together; no teacher is used."""
    return -log_choices(student / temperature)[:, 0]


DIVERGENCES = {"jsd": jensen_shannon, "kl": kullback_leibler, "contrastive": contrastive}


def _objective(divergence: Divergence, normalised: bool) -> Objective:
    def of_outputs(teacher: Tensor, outputs: Tensor, triplets: Tensor, temperature: float) -> Tensor:
        outputs = normalize(outputs, dim=1) if normalised else outputs
        return divergence(teacher, pair_similarities(outputs, triplets), temperature)

    return of_outputs


# Of teacher similarities, student outputs, triplets of them and a temperature; ``-normalised`` brings the
# outputs to length 1, as the official code's ``normalize``.
OBJECTIVES: dict[str, Objective] = {
    name + "-normalised" * normalised: _objective(divergence, normalised)
    for normalised in (False, True)
    for name, divergence in DIVERGENCES.items()
}


def cross_entropy(targets: Float[Tensor, "batch 3"], similarities: PairSimilarities) -> Nats:
    """Return the cross-entropy of choice distributions under a softmax over similarities, in nats."""
    return -(targets * log_choices(similarities)).sum(1)


def pull_to_scaled_identity(matrix: Float[Tensor, "dim dim"]) -> Float[Tensor, ""]:
    """Return the squared Frobenius distance of a square matrix from its own mean diagonal times identity.

    Source: the predecessor's (gLocal) regulariser; it depends on the matrix only up to rotation.
    """
    return matrix.square().sum() - matrix.diagonal().sum().square() / len(matrix)


def probabilities(places: Float[np.ndarray, "objects dim"], triplets: Triplets) -> Float[np.ndarray, "n 3"]:
    """Return the softmax of the dot products of the pairs (ij, ik, jk)."""
    triplets = check_triplets(triplets, len(places))
    similarities = pair_similarities(torch.from_numpy(places), torch.from_numpy(triplets))
    # Along the long rows of the transpose: over rows of three, a softmax costs several times as much.
    return torch.softmax(similarities.T, dim=0).T.numpy()


# ---- solving -----------------------------------------------------------------------------------------------


def named(device: str) -> torch.device:
    """Return the device of a name such as ``cpu``, ``cuda`` or ``cuda:1``, which this machine must have."""
    expect("device", device, str, "cpu, cuda or cuda:N")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError):  # of an unknown name; of a PyTorch without CUDA
        known = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        raise HumalignError(f"no device {device!r} on this machine: use one of {', '.join(known)}") from None


def minimise(objective: Callable[[], Tensor], variables: list[Tensor], most: int, history: int = 100) -> None:
    """Move variables to where an objective of them is least, by at most so many iterations of L-BFGS."""
    optimiser = torch.optim.LBFGS(
        variables, max_iter=most, history_size=history, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    optimiser.step(closure)
