"""VICE: a variational, non-negative embedding of objects from people's odd-one-out answers.

Every object has a Gaussian posterior per dimension, rectified; similarity is the dot product; a spike-and-slab
prior empties the dimensions that the answers do not need. What the teacher is distilled from is the posterior
predictive distribution: how likely each of the three choices is, for any triplet, asked or not.
Source: Muttenthaler et al., 2022 (VICE); paper, Methods.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from humalign.artefacts import fingerprint, replacing
from humalign.data.judgments import Choices, check_triplets
from humalign.errors import HumalignError
from humalign.teach.devices import named
from humalign.teach.objectives import cross_entropy, pair_similarities


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
    choices: Choices,
    objects: int,
    *,
    dim: int,
    steps: int,
    batch: int,
    learning_rate: float = 0.02,
    prior: Prior | None = None,
    seed: int,
    device: str = "cpu",
    checkpoint: Path | None = None,
    checkpoint_every: int = 200,
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
        seed: of initial values, batches and samples, which are drawn on the processor and so are the same on every device.
        device: where the steps are computed, as ``cpu`` or ``cuda``; the posterior comes back to the processor.
        checkpoint: written every ``checkpoint_every`` steps; where it exists, the fit goes on from it and ends exactly as it would have
            without the stop.
        checkpoint_every: steps between checkpoints.

    Raises:
        HumalignError: no dimension is left; the checkpoint is unreadable or of another fit (it is removed).
    """
    prior = prior or Prior()
    check_triplets(choices.triplets, objects)
    generator, place = torch.Generator().manual_seed(seed), named(device)
    triplets, targets = torch.from_numpy(choices.triplets).to(place), torch.from_numpy(choices.shares).float().to(place)
    answers = float(choices.counts.sum())
    mean = (0.1 * torch.rand(objects, dim, generator=generator)).to(place).requires_grad_()
    log_std = torch.full((objects, dim), -3.0, device=place).requires_grad_()
    optimiser = torch.optim.Adam([mean, log_std], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, total_iters=steps)
    progress = Progress({"mean": mean, "log_std": log_std}, optimiser, schedule, generator)
    settings = fingerprint(objects, dim, steps, batch, learning_rate, dataclasses.asdict(prior), seed, _digest(choices))
    for step in range(progress.resume(checkpoint, settings) if checkpoint else 0, steps):
        rows = torch.randint(len(triplets), (batch,), generator=generator).to(place)
        noise = torch.randn(objects, dim, generator=generator).to(place)
        optimiser.zero_grad()
        negative_bound(mean, log_std, noise, triplets[rows], targets[rows], prior, answers).backward()
        optimiser.step()
        schedule.step()
        if checkpoint and (step + 1) % checkpoint_every == 0:
            progress.save(checkpoint, settings, step + 1)
    found = ViceEmbedding(mean.detach().cpu(), log_std.detach().exp().cpu()).pruned()
    if not found.mean.shape[1]:
        raise HumalignError("VICE found no dimension that the answers need: are they about these objects, and more than guesses?")
    return found


def negative_bound(
    mean: Float[Tensor, "objects dim"],
    log_std: Float[Tensor, "objects dim"],
    noise: Float[Tensor, "objects dim"],
    triplets: Int[Tensor, "batch 3"],
    targets: Float[Tensor, "batch 3"],
    prior: Prior,
    answers: float,
) -> Float[Tensor, ""]:
    """Return the negative evidence lower bound of one sample of the weights, per answer, up to a constant.

    Args:
        mean, log_std: of the posterior.
        noise: standard normal, which makes the sample.
        triplets, targets: the answers of one step.
        prior: of the weights.
        answers: how many there are in all.
    """
    weights = mean + log_std.exp() * noise
    likelihood = cross_entropy(targets, pair_similarities(torch.relu(weights), triplets)).mean()
    # log q up to a constant: the sample's own standardised distance is the noise itself.
    divergence = (-log_std - 0.5 * noise.square() - prior.log_density(weights)).sum() / answers
    return likelihood + divergence


@dataclasses.dataclass(frozen=True)
class Progress:
    """Everything that the next step of a fit depends on: it is saved whole, and restored in place."""

    weights: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generator: torch.Generator

    def save(self, path: Path, settings: str, steps: int) -> None:
        """Write the state after so many steps of the fit that ``settings`` is the fingerprint of."""
        state = {
            "settings": settings,
            "steps": steps,
            "weights": {name: weight.detach().cpu() for name, weight in self.weights.items()},
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
        }
        with replacing(path) as part:
            torch.save(state, part)

    def resume(self, path: Path, settings: str) -> int:
        """Restore the state, and return after how many steps it was saved; none where there is no file."""
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            if state["settings"] != settings:
                raise ValueError("it is of another fit")
            with torch.no_grad():
                for name, weight in self.weights.items():
                    weight.copy_(state["weights"][name])
            self.optimiser.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
            self.generator.set_state(state["generator"])
            return int(state["steps"])
        except FileNotFoundError:
            return 0
        except Exception as error:  # cut short, or of another fit: the fit starts afresh, losing only time
            with contextlib.suppress(OSError):
                path.unlink()
            raise HumalignError(
                f"the checkpoint {path} is cut short or of another fit ({type(error).__name__}) and is removed: run the same command again"
            ) from None


def _digest(choices: Choices) -> str:
    """Return a digest of the answers themselves, so that a checkpoint of other answers is not gone on from."""
    return hashlib.sha256(np.ascontiguousarray(choices.triplets).tobytes() + np.ascontiguousarray(choices.counts).tobytes()).hexdigest()
