"""Distillation: move a student's triplet distributions to the teacher's, while its weights stay near their start.

A step takes the next rows of the triplet file and runs each image in them once: where rows share images, one forward pass
serves many triplets. Source: official configuration and training loop (objective, Adam, warm-up and cosine, decay to init).
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from humalign.artefacts import replacing
from humalign.errors import HumalignError, nearest
from humalign.objectives import OBJECTIVES, pair_similarities
from humalign.triplets import LabelledTriplets


@dataclasses.dataclass(frozen=True)
class Distillation:
    """The numbers of one training run; the defaults are the official configuration's.

    Attributes:
        objective: ``jsd`` or ``kl``.
        temperature: τ, divides the student's dot products.
        steps, warmup: gradient steps, of which the first raise the learning rate linearly.
        learning_rate: at its peak; falls to 0 by a cosine.
        decay_to_init: pull of every parameter to its initial value, times the learning rate.
        batch_triplets: rows of the triplet file a step, in their order, from the start again at the end.
        checkpoint_every: steps between checkpoints.
    """

    objective: str = "jsd"
    temperature: float = 100.0
    steps: int = 100_000
    warmup: int = 5_000
    learning_rate: float = 3e-5
    decay_to_init: float = 1.0
    batch_triplets: int = 512
    checkpoint_every: int = 10_000

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise HumalignError(f"unknown objective {self.objective!r}: {nearest(self.objective, OBJECTIVES)}")

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * step / self.warmup
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - self.warmup) / (self.steps - self.warmup)))


class AdamTowardsInit(torch.optim.Adam):
    """Adam with a decoupled pull of every parameter to where it began.

    parameter -= lr * (Adam's direction + pull * (parameter - initial)), both taken before the update.
    Source: ``decay_to_init`` of the official training code.
    """

    def __init__(self, parameters: list[nn.Parameter], pull: float) -> None:
        super().__init__(parameters, lr=0.0, betas=(0.9, 0.999), eps=1e-8)
        self.pull = pull
        self.initial = [p.detach().clone() for p in parameters]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Make one update."""
        group = self.param_groups[0]
        away = [p - start for p, start in zip(group["params"], self.initial, strict=True)]
        super().step(closure)
        for parameter, distance in zip(group["params"], away, strict=True):
            parameter.sub_(distance, alpha=group["lr"] * self.pull)


def rows_of_step(step: int, batch: int, total: int) -> Int[np.ndarray, " batch"]:
    """Return the rows that a step takes: the next ``batch``, wrapping around at the end of the file."""
    return np.arange(step * batch, (step + 1) * batch) % total


def distill(
    student: nn.Module,
    inputs: Float[Tensor, "images ..."],
    triplets: LabelledTriplets,
    settings: Distillation,
    checkpoint: Path | None = None,
    progress: Callable[[int], None] = lambda step: None,
) -> list[float]:
    """Train a student in place, and return the mean divergence (nats) of every step before its update.

    Args:
        student: maps a batch of inputs to (batch, head) outputs.
        inputs: what the student takes of each image: pixels, or activations of a frozen trunk.
        triplets: labelled, over rows of ``inputs``.
        settings: of the run.
        checkpoint: written every ``checkpoint_every`` steps; where it exists, training goes on from it and
            ends exactly as it would have without the stop.
        progress: called with each finished step.
    """
    if triplets.indices.max() >= len(inputs):
        raise HumalignError(f"triplets name image {triplets.indices.max()}, but there are {len(inputs)}: another image list?")
    objective = OBJECTIVES[settings.objective]
    parameters = [p for p in student.parameters() if p.requires_grad]
    optimiser = AdamTowardsInit(parameters, settings.decay_to_init)
    losses: list[float] = _resume(checkpoint, parameters, optimiser) if checkpoint else []
    targets = torch.from_numpy(triplets.similarities)
    for step in range(len(losses), settings.steps):
        # A step's rows depend on its number alone, so a resumed run sees what an unbroken one would.
        rows = rows_of_step(step, settings.batch_triplets, len(triplets))
        images, inverse = np.unique(triplets.indices[rows], return_inverse=True)
        outputs = student(inputs[images])
        places = torch.from_numpy(inverse.reshape(-1, 3))
        divergence = objective(targets[rows], pair_similarities(outputs, places), settings.temperature).mean()
        if not torch.isfinite(divergence):
            raise HumalignError(
                f"the objective is {divergence.item()} at step {step}: lower `learning_rate`, or audit the triplets (`humalign audit`)"
            )
        optimiser.param_groups[0]["lr"] = settings.learning_rate_at(step)
        optimiser.zero_grad()
        divergence.backward()
        optimiser.step()
        losses.append(divergence.item())
        if checkpoint and len(losses) % settings.checkpoint_every == 0:
            _save(checkpoint, parameters, optimiser, losses)
        progress(step)
    return losses


def _save(path: Path, parameters: list[nn.Parameter], optimiser: AdamTowardsInit, losses: list[float]) -> None:
    with replacing(path) as part:
        torch.save({"parameters": parameters, "optimiser": optimiser.state_dict(), "losses": losses}, part)


def _resume(path: Path, parameters: list[nn.Parameter], optimiser: AdamTowardsInit) -> list[float]:
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        with torch.no_grad():
            for parameter, saved in zip(parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
        optimiser.load_state_dict(state["optimiser"])
        return list(state["losses"])
    except FileNotFoundError:
        return []
    except Exception as error:  # a checkpoint cut short, or of another student: training starts afresh, losing only time
        with contextlib.suppress(OSError):
            path.unlink()
        raise HumalignError(
            f"the checkpoint {path} was unreadable ({type(error).__name__}) and is removed: run the same command again"
        ) from None
