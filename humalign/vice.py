"""VICE: a variational, non-negative embedding of objects from people's odd-one-out answers.

Every object has a Gaussian posterior per dimension, rectified; similarity is the dot product; a spike-and-slab
prior empties the dimensions that the answers do not need. What the teacher is distilled from is the posterior
predictive distribution: how likely each of the three choices is, for any triplet, asked or not.
Source: Muttenthaler et al., 2022 (VICE); paper, Methods.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from humalign.errors import HumalignError
from humalign.judgments import Choices, check_triplets
from humalign.objectives import cross_entropy, pair_similarities


@dataclasses.dataclass(frozen=True)
class Prior:
    """A mixture of a narrow and a wide Gaussian, both around zero (values of the published code)."""

    spike: float = 0.25
    slab: float = 1.0
    spike_share: float = 0.5

    def log_density(self, x: Float[Tensor, "objects dim"]) -> Float[Tensor, "objects dim"]:
        """Return the log density of unrectified weights, up to a constant."""
        narrow = math.log(self.spike_share / self.spike) - 0.5 * (x / self.spike).square()
        wide = math.log((1 - self.spike_share) / self.slab) - 0.5 * (x / self.slab).square()
        return torch.logaddexp(narrow, wide)


@dataclasses.dataclass(frozen=True)
class ViceEmbedding:
    """The posterior of an embedding: mean and standard deviation of each unrectified weight."""

    mean: Float[Tensor, "objects dim"]
    std: Float[Tensor, "objects dim"]

    def sample(self, generator: torch.Generator) -> Float[Tensor, "objects dim"]:
        """Draw one non-negative embedding."""
        return torch.relu(self.mean + self.std * torch.randn(self.mean.shape, generator=generator))

    def predict(self, triplets: Int[np.ndarray, "n 3"], samples: int = 30, seed: int = 0) -> Float[np.ndarray, "n 3"]:
        """Return the posterior predictive distribution over the pairs (ij, ik, jk) of each triplet."""
        check_triplets(triplets, len(self.mean))
        rows, generator = torch.from_numpy(triplets), torch.Generator().manual_seed(seed)
        total = torch.zeros(rows.shape)
        for _ in range(samples):
            total += torch.softmax(pair_similarities(self.sample(generator), rows), dim=1)
        return (total / samples).numpy()

    def pruned(self, objects: int = 5) -> ViceEmbedding:
        """Keep the dimensions on which at least ``objects`` objects are surely above zero, largest first.

        Surely: the posterior puts at least 95 % above zero.
        """
        sure = (self.mean / self.std > 1.645).sum(0)
        mass = torch.relu(self.mean).sum(0)
        keep = [int(d) for d in mass.argsort(descending=True) if sure[d] >= objects]
        return ViceEmbedding(self.mean[:, keep], self.std[:, keep])


def fit(
    choices: Choices, objects: int, *, dim: int, steps: int, batch: int, learning_rate: float = 0.02, prior: Prior | None = None, seed: int
) -> ViceEmbedding:
    """Fit the posterior to answers by stochastic variational inference, and prune it.

    Args:
        choices: answers over objects 0..objects-1.
        objects: number of objects.
        dim: dimensions to start from; unneeded ones are emptied and pruned.
        steps: gradient steps, Adam with a linear decay of the learning rate.
        batch: triplets a step.
        learning_rate: at the start.
        prior: spike and slab.
        seed: of initial values, batches and samples.
    """
    prior = prior or Prior()
    check_triplets(choices.triplets, objects)
    generator = torch.Generator().manual_seed(seed)
    triplets, targets = torch.from_numpy(choices.triplets), torch.from_numpy(choices.shares).float()
    answers = float(choices.counts.sum())
    mean = (0.1 * torch.rand(objects, dim, generator=generator)).requires_grad_()
    log_std = torch.full((objects, dim), -3.0).requires_grad_()
    optimiser = torch.optim.Adam([mean, log_std], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, total_iters=steps)
    for _ in range(steps):
        rows = torch.randint(len(triplets), (batch,), generator=generator)
        noise = torch.randn(objects, dim, generator=generator)
        weights = mean + log_std.exp() * noise
        likelihood = cross_entropy(targets[rows], pair_similarities(torch.relu(weights), triplets[rows])).mean()
        # log q up to a constant: the sample's own standardised distance is the noise itself.
        divergence = (-log_std - 0.5 * noise.square() - prior.log_density(weights)).sum() / answers
        optimiser.zero_grad()
        (likelihood + divergence).backward()
        optimiser.step()
        schedule.step()
    found = ViceEmbedding(mean.detach(), log_std.detach().exp()).pruned()
    if not found.mean.shape[1]:
        raise HumalignError("VICE found no dimension that the answers need: are they about these objects, and more than guesses?")
    return found
