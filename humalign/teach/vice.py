"""VICE: a variational, non-negative embedding of objects from people's odd-one-out answers.

Every object has a rectified Gaussian posterior per dimension. Similarity is the dot product. A spike-and-slab
prior empties dimensions that the answers do not need. The teacher is distilled from the posterior
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
        dropped: of each dimension that was left out: on how many objects it is surely above zero (the
            posterior puts 95 % there), where it is on any. The largest dimension comes first.
    """

    mean: Float[Tensor, "objects dim"]
    std: Float[Tensor, "objects dim"]
    dropped: Int[Tensor, " others"] = dataclasses.field(default_factory=lambda: torch.zeros(0).long())

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
        return (self.mean / self.std > pruning.SURE).sum(0)

    def pruned(self, objects: int = pruning.SURE_OBJECTS) -> ViceEmbedding:
        """Keep the dimensions on which at least ``objects`` objects are surely above zero, largest first."""
        sure = self.sure
        order = [int(d) for d in torch.relu(self.mean).sum(0).argsort(descending=True)]
        keep = [d for d in order if sure[d] >= objects]
        dropped = torch.tensor([int(sure[d]) for d in order if 0 < sure[d] < objects], dtype=torch.int64)
        return ViceEmbedding(self.mean[:, keep], self.std[:, keep], dropped)

    def surprise(self, choices: Choices) -> float:
        """Return the mean cross-entropy of answers at the posterior mean, in nats; of many, a sample."""
        step = max(1, len(choices) // pruning.SAMPLE)
        triplets, shares = (torch.from_numpy(x[::step].copy()) for x in (choices.triplets, choices.shares))
        return cross_entropy(shares.float(), pair_similarities(torch.relu(self.mean), triplets)).mean().item()


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
        objects: how many there are.
        dim: dimensions to start from; unneeded ones are emptied and pruned.
        steps: gradient steps, Adam with a linear decay of the learning rate.
        batch: triplets a step.
        learning_rate: at the start.
        prior: spike and slab.
        seed: of initial values, batches and samples, which are drawn on the processor on every device.
        sure_objects: a dimension is dropped where fewer objects than this are surely above zero on it. The
            default is one in forty objects, from 2 to 5 (the published value), or fewer where the answers
            would otherwise cost ``NEGLIGIBLE`` more.
        device: where the steps are computed, ``cpu`` or ``cuda``; the posterior comes back to the processor.
        checkpoint: written every ``checkpoint_every`` steps. Where it exists, the fit goes on from it and
            ends as it would have without the stop; from a damaged one, it starts again and says so.

    Warns:
        UserWarning: objects that people keep together have no dimension, as others took them all; pairs are
            predicted far below people, as small groups share dimensions or have too few answers; every
            dimension of the start is in use; or a dimension was dropped on which two objects or more are
            surely above zero, if ``sure_objects`` is not given or the answers then cost ``NEGLIGIBLE`` more.

    Raises:
        HumalignError: a setting out of its range; a fit that diverged; no dimension is left; a checkpoint of
            another fit, which is kept.
    """
    prior, checkpoint = prior or Prior(), Path(checkpoint) if checkpoint else None
    objects, dim, steps = number("objects", objects, 3), number("dim", dim), number("steps", steps)
    batch, seed = number("batch", batch), number("seed", seed, 0)
    checkpoint_every = number("checkpoint_every", checkpoint_every)
    number("sure_objects", 0 if sure_objects is None else sure_objects, 0)
    real("learning_rate", learning_rate, above=0)
    expect("choices", choices, Choices, "Choices(triplets, counts)")
    expect("prior", prior, Prior, "vice.Prior(...)")
    check_triplets(choices.triplets, objects)
    generator, place = torch.Generator().manual_seed(seed), named(device)
    triplets = torch.from_numpy(choices.triplets).to(place)
    targets = torch.from_numpy(choices.shares).float().to(place)
    answers = float(choices.counts.sum())
    mean = (0.1 * torch.rand(objects, dim, generator=generator)).to(place).requires_grad_()
    log_std = torch.full((objects, dim), -3.0, device=place).requires_grad_()
    optimiser = torch.optim.Adam([mean, log_std], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, total_iters=steps)
    progress = Progress({"mean": mean, "log_std": log_std}, optimiser, schedule, generator)
    fitted = (objects, dim, steps, batch, learning_rate, dataclasses.asdict(prior), seed, _digest(choices))
    settings = fingerprint(*fitted)
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
        wanted = f"{ANSWERS_EACH * objects:,} answers ({ANSWERS_EACH} an object) and 1,000 steps"
        raise HumalignError(
            f"VICE found no dimension that the {answers:,.0f} answers need, in {steps:,} steps: "
            f"are they about these {objects:,} objects, and more than guesses? It takes some {wanted}. "
            "With fewer answers, fit the teacher to them directly: AffineTeacher().fit(features, choices)"
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

    Standard normal ``noise`` makes the sample; of all ``answers``, one step takes some triplets.
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
        """Write the state after so many steps of the fit whose fingerprint is ``settings``."""
        weights = {name: weight.detach().cpu() for name, weight in self.weights.items()}
        state = {"settings": settings, "steps": steps, "weights": weights}
        state |= {"optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict()}
        write_checkpoint(path, state | {"generator": self.generator.get_state()})

    def resume(self, path: Path, settings: str) -> int:
        """Restore the state, and return its number of steps: 0 where there is no file, or a damaged one.

        Raises:
            HumalignError: a file of another fit, or no checkpoint at all, which is kept.
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
    """Return a digest of the answers, so that a fit does not go on from a checkpoint of other ones."""
    arrays = (choices.triplets, choices.counts)
    return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()
