"""The student: a backbone of which the first stages are frozen, and the triplet head that the objective sees.

Evaluations use the penultimate features, before the head; the head is there for training only, and is itself held near
its random start. Source: official configuration (Dense 1024 on pre-logits, decay to initial values).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from humalign.artefacts import replacing
from humalign.backbones import Backbone
from humalign.errors import HumalignError

HEAD_DIM = 1024


class Student(nn.Module):
    """What is trained: the last stages of a backbone, and a linear head on their features.

    Args:
        tail: any module from (cached) inputs to (batch, dim) features; normalisation layers stay in
            evaluation mode, so that the features of a picture do not depend on its batch.
        dim: of the features.
        head_dim: of the triplet head's outputs.
        seed: of the head's initial values.
    """

    def __init__(self, tail: nn.Module, dim: int, head_dim: int = HEAD_DIM, seed: int = 0) -> None:
        super().__init__()
        self.tail = copy.deepcopy(tail).requires_grad_(True).to(memory_format=torch.channels_last)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.head = nn.Linear(dim, head_dim)
        self.eval()

    @classmethod
    def of(cls, backbone: Backbone, frozen_stages: int, seed: int = 0) -> Student:
        """Return a student whose first ``frozen_stages`` stages stay outside, as cached activations."""
        stages = len(backbone.stages)
        if not 0 <= frozen_stages < stages:
            raise HumalignError(f"{backbone.name} has {stages} stages: `frozen_stages` must be 0..{stages - 1}, not {frozen_stages}")
        with torch.no_grad():
            dim = backbone(torch.zeros(1, 3, backbone.size, backbone.size)).shape[1]
        return cls(backbone.stages[frozen_stages:], dim, seed=seed)

    def forward(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch head"]:
        """Return the triplet head's outputs."""
        return self.head(self.features_of(inputs))

    def features_of(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch dim"]:
        """Return penultimate features of a batch of cached inputs (any precision)."""
        inputs = inputs.float()
        return self.tail(inputs.contiguous(memory_format=torch.channels_last) if inputs.ndim == 4 else inputs)

    @torch.no_grad()
    def features(self, inputs: Float[Tensor, "images ..."], batch: int = 64) -> Float[Tensor, "images dim"]:
        """Return penultimate features of all inputs."""
        return torch.cat([self.features_of(part) for part in inputs.split(batch)])

    def save(self, path: Path, metadata: dict[str, Any] | None = None) -> None:
        """Write trained stages and head as safetensors."""
        with replacing(path) as part:
            save_file({k: v.contiguous() for k, v in self.state_dict().items()}, part, {k: str(v) for k, v in (metadata or {}).items()})

    def load(self, path: Path) -> Student:
        """Read what ``save`` wrote into this student.

        Raises:
            HumalignError: missing, truncated, or another student's.
        """
        try:
            self.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise HumalignError(
                f"{path} holds no such student ({str(error).splitlines()[0]}): delete it and run `make reproduce`"
            ) from None
        return self
