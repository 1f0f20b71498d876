"""VICE: a variational, non-negative embedding of objects from people's odd-one-out answers.

Every object has a Gaussian posterior per dimension, rectified; similarity is the dot product; a spike-and-slab
prior empties the dimensions that the answers do not need. What the teacher is distilled from is the posterior
predictive distribution: how likely each of the three choices is, for any triplet, asked or not.
Source: Muttenthaler et al., 2022 (VICE); paper, Methods.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from humalign.artefacts import fingerprint
from humalign.data.judgments import Choices, Triplets, check_triplets
from humalign.errors import HumalignError, expect, number, real
from humalign.models.weights import OTHER_RUN, read_checkpoint, write_checkpoint
from humalign.teach import pruning
from humalign.teach.objectives import cross_entropy, named, pair_similarities
from humalign.teach.pruning import SURE, SURE_OBJECTS

# Answers on which their cost is measured, at most.
SAMPLE = 100_000
# Answers that VICE needs for each object, as a rule of thumb: what its prior costs is shared among them.
ANSWERS_EACH = 50


@dataclasses.dataclass(frozen=True)
class Prior:
    """A mixture of a narrow and a wide Gaussian, both around zero (values of the published code).

    Raises:
        HumalignError: a width that is not above 0, or a share that is not between 0 and 1.
    """

    spike: float = 0.25
    slab: float = 1.0
    spike_share: float = 0.5

    def __post_init__(self) -> None:
        for name in ("spike", "slab", "spike_share"):
            real(name, getattr(self, name), above=0)
        if self.spike_share >= 1:
            raise HumalignError(f"{self}: give spike and slab above 0, and a share between 0 and 1")

    def log_density(self, x: Float[Tensor, "objects dim"]) -> Float[Tensor, "objects dim"]:
        """Return the log density of unrectified weights, up to a constant."""
        narrow = math.log(self.spike_share / self.spike) - 0.5 * (x / self.spike).square()
        wide = math.log((1 - self.spike_share) / self.slab) - 0.5 * (x / self.slab).square()
        return torch.logaddexp(narrow, wide)


@dataclasses.dataclass(frozen=True)
class ViceEmbedding:
    """The posterior of an embedding: mean and standard deviation of each unrectified weight.

    Attributes:
        mean, std: of each weight.
        dropped: of each dimension that was left out and has sure objects, how many: objects whose posterior puts at least 95 % above
            zero. The largest dimension comes first.
    """

    mean: Float[Tensor, "objects dim"]
    std: Float[Tensor, "objects dim"]
    dropped: Int[Tensor, " others"] = dataclasses.field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    def sample(self, generator: torch.Generator) -> Float[Tensor, "objects dim"]:
        """Draw one non-negative embedding."""
        return torch.relu(self.mean + self.std * torch.randn(self.mean.shape, generator=generator))

    def predict(self, triplets: Triplets, samples: int = 30, seed: int = 0) -> Float[np.ndarray, "n 3"]:
        """Return the posterior predictive distribution over the pairs (ij, ik, jk) of each triplet."""
        rows = torch.from_numpy(check_triplets(triplets, len(self.mean)))
        generator, total = torch.Generator().manual_seed(number("seed", seed, 0)), torch.zeros(rows.shape)
        for _ in range(number("samples", samples)):
            total += torch.softmax(pair_similarities(self.sample(generator), rows), dim=1)
        return (total / samples).numpy()

    @property
    def sure(self) -> Int[Tensor, " dim"]:
        """On how many objects each dimension is surely above zero."""
        return (self.mean / self.std > SURE).sum(0)

    def pruned(self, objects: int = SURE_OBJECTS) -> ViceEmbedding:
        """Keep the dimensions on which at least ``objects`` objects are surely above zero, largest first."""
        sure = self.sure
        order = [int(d) for d in torch.relu(self.mean).sum(0).argsort(descending=True)]
        keep = [d for d in order if sure[d] >= objects]
        dropped = torch.tensor([int(sure[d]) for d in order if 0 < sure[d] < objects], dtype=torch.int64)
        return ViceEmbedding(self.mean[:, keep], self.std[:, keep], dropped)

    def surprise(self, choices: Choices) -> float:
        """Return the mean cross-entropy of answers at the posterior mean, in nats; of many, some evenly spread are taken."""
        step = max(1, len(choices) // SAMPLE)
        triplets, shares = torch.from_numpy(choices.triplets[::step].copy()), torch.from_numpy(choices.shares[::step].copy()).float()
        return cross_entropy(shares, pair_similarities(torch.relu(self.mean), triplets)).mean().item()


def fit(
    choices: Choices,
    objects: int,
    *,
    dim: int,
    steps: int,
    batch: int,
    learning_rate: float | int = 0.02,
    prior: Prior | None = None,
    seed: int,
    sure_objects: int | None = None,
    device: str = "cpu",
    checkpoint: str | Path | None = None,
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
        sure_objects: a dimension is dropped where fewer objects than this are surely above zero on it. By default it is one in forty
            objects, from 2 to 5 (the published value), or fewer where the answers would otherwise cost ``NEGLIGIBLE`` more.
        device: where the steps are computed, as ``cpu`` or ``cuda``; the posterior comes back to the processor.
        checkpoint: written every ``checkpoint_every`` steps; where it exists, the fit goes on from it and ends exactly as it would have
            without the stop. From a damaged one, the fit starts again and says so.
        checkpoint_every: steps between checkpoints.

    Warns:
        UserWarning: objects that people keep together have no dimension, as others took them all; pairs are predicted far below
            people, as small groups share dimensions or have too few answers; every dimension of the start is in use; or a dimension was
            dropped on which two objects or more are surely above zero: triplets of them are predicted as if nothing was known. Where
            ``sure_objects`` is given, the last is said only if the answers cost ``NEGLIGIBLE`` more.

    Raises:
        HumalignError: a setting out of its range; a fit that diverged; no dimension is left; a checkpoint of another fit, which is kept.
    """
    prior, checkpoint = prior or Prior(), Path(checkpoint) if checkpoint else None
    settings_checked = {"objects": (objects, 3), "dim": (dim, 1), "steps": (steps, 1), "batch": (batch, 1), "seed": (seed, 0)}
    settings_checked |= {"checkpoint_every": (checkpoint_every, 1), "sure_objects": (0 if sure_objects is None else sure_objects, 0)}
    objects, dim, steps, batch, seed, checkpoint_every, _ = (number(name, *each) for name, each in settings_checked.items())
    real("learning_rate", learning_rate, above=0)
    expect("choices", choices, Choices, "Choices(triplets, counts)")
    expect("prior", prior, Prior, "vice.Prior(...)")
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
    whole = ViceEmbedding(mean.detach().cpu(), log_std.detach().exp().cpu())
    if not (torch.isfinite(whole.mean).all() and torch.isfinite(whole.std).all()):
        raise HumalignError(f"VICE diverged at learning_rate = {learning_rate}: lower it")
    found = pruning.pruned(whole, choices, sure_objects, learning_rate)
    if not found.mean.shape[1]:
        raise HumalignError(
            f"VICE found no dimension that the {answers:,.0f} answers need, in {steps:,} steps: are they about these {objects:,} objects, "
            f"and more than guesses? It takes some {ANSWERS_EACH * objects:,} answers ({ANSWERS_EACH} an object) and 1,000 steps. With "
            "fewer answers, fit the teacher to them directly: AffineTeacher().fit(features, choices)"
        )
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
        write_checkpoint(path, state)

    def resume(self, path: Path, settings: str) -> int:
        """Restore the state, and return after how many steps it was saved; none where there is no file, or a damaged one.

        Raises:
            HumalignError: a file of another fit, or none at all, which is kept.
        """
        state = read_checkpoint(path)
        if state is None:
            return 0
        if state["settings"] != settings:
            raise HumalignError(f"the checkpoint {path} is of another fit: {OTHER_RUN}")
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(state["weights"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"])
        return int(state["steps"])


def _digest(choices: Choices) -> str:
    """Return a digest of the answers themselves, so that a checkpoint of other answers is not gone on from."""
    return hashlib.sha256(np.ascontiguousarray(choices.triplets).tobytes() + np.ascontiguousarray(choices.counts).tobytes()).hexdigest()
