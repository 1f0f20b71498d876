"""The student: a backbone of which the first stages are frozen, and the triplet head that the objective sees.

Where no stage is frozen, the student takes pictures in [0, 1] (or bytes) and normalises them itself.
Evaluations use the penultimate features; the head is for training only, and is held near its random start.
With ``Centre`` in its place all that the objective asks for has to come from the features. Source: official
configuration (Dense 1024 on pre-logits, decay to initial values).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Num
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recomputed

from humalign.artefacts import replacing
from humalign.errors import HumalignError
from humalign.models.backbones import Backbone, keep_no_biases
from humalign.models.weights import load_file, save_file

HEAD_DIM = 1024


class Centre(nn.Module):
    """A head without parameters: features less the mean that they had before training."""

    mean: Tensor

    def __init__(self, mean: Float[Tensor, " dim"]) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())

    def forward(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """Return centred features."""
        return features - self.mean


def _strided_point(module: nn.Module) -> bool:
    # Channels last, its gradient writes beyond its memory on some processors (PyTorch 2.14, oneDNN).
    return isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.stride != (1, 1)


class Student(nn.Module):
    """What is trained: the last stages of a backbone, and a linear head on their features.

    Args:
        tail: any module from (cached) inputs to (batch, dim) features; normalisation layers stay in
            evaluation mode, so that the features of a picture do not depend on its batch.
        dim, head_dim: of the features, and of the triplet head's outputs.
        seed: of the head's initial values.
        entry: what inputs go through before the tail.
        head: another head than the official linear one, such as ``Centre``.
    """

    def __init__(
        self,
        tail: nn.Module,
        dim: int,
        head_dim: int = HEAD_DIM,
        seed: int = 0,
        entry: nn.Module | None = None,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.entry = entry or nn.Identity()
        self.tail = copy.deepcopy(tail).requires_grad_(True)
        points: list[Any] = [module for module in self.tail.modules() if _strided_point(module)]
        self._plain = bool(points)
        self.tail.to(memory_format=torch.contiguous_format if points else torch.channels_last)
        for module in points:
            # The weights of a single pixel are in order in both layouts; only a copy has plain strides.
            weight = module.weight.data
            module.weight.data = torch.empty_like(weight, memory_format=torch.contiguous_format).copy_(weight)
        keep_no_biases(self.tail)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.head = nn.Linear(dim, head_dim) if head is None else head
        self._recompute = False
        # Where a training left it, and where that began: see humalign.distil.checkpoint.
        self.left: tuple[str, str] | None = None
        self.eval()

    @classmethod
    def of(
        cls, backbone: Backbone, frozen_stages: int, seed: int = 0, head: nn.Module | None = None
    ) -> Student:
        """Return a student whose first ``frozen_stages`` stages stay outside, as cached activations."""
        backbone.refuse_cut(frozen_stages)
        with torch.no_grad():
            dim = backbone(torch.zeros(1, 3, backbone.size, backbone.size)).shape[1]
        entry = None if frozen_stages else copy.deepcopy(backbone.normalise)
        return cls(backbone.stages[frozen_stages:], dim, seed=seed, entry=entry, head=head)

    def recompute(self, on: bool) -> None:
        """Choose whether gradients compute again what is inside a stage: less memory, a third more time."""
        self._recompute = on
        for stage in self._stages():
            # A stage that is a whole network of timm knows its own blocks.
            own: Any = getattr(stage, "set_grad_checkpointing", None)
            if own:
                own(on)

    def _stages(self) -> Iterable[nn.Module]:
        return self.tail if isinstance(self.tail, nn.Sequential) else [self.tail]

    def forward(self, inputs: Num[Tensor, "batch ..."]) -> Float[Tensor, "batch head"]:
        """Return the triplet head's outputs."""
        return self.head(self.features_of(inputs))

    def features_of(self, inputs: Num[Tensor, "batch ..."]) -> Float[Tensor, "batch dim"]:
        """Return penultimate features of pictures or cached inputs, in any precision or bytes (0 to 255)."""
        inputs = inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs.float()
        inputs = inputs.to(next(self.parameters()).dtype)
        plain = self._plain and inputs.device.type == "cpu"
        layout = torch.channels_last if inputs.ndim == 4 and not plain else torch.contiguous_format
        hidden = self.entry(inputs.contiguous(memory_format=layout))
        recompute = self._recompute and torch.is_grad_enabled()
        for stage in self._stages():
            again = recompute and not hasattr(stage, "set_grad_checkpointing")
            hidden = recomputed(stage, hidden, use_reentrant=False) if again else stage(hidden)
        return hidden

    @torch.no_grad()
    def features(self, inputs: Any, batch: int = 64) -> Float[Tensor, "images dim"]:
        """Return penultimate features of all inputs (a tensor, or a ``PixelStore``), on the processor."""
        if not len(inputs):
            raise HumalignError("no inputs to give features of: give at least one")
        device = next(self.parameters()).device
        parts = (inputs[start : start + batch].to(device) for start in range(0, len(inputs), batch))
        return torch.cat([self.features_of(part).cpu() for part in parts])

    def save(self, path: str | Path, metadata: dict[str, Any] | None = None) -> None:
        """Write trained stages and head as safetensors."""
        with replacing(Path(path)) as part:
            save_file(self.state_dict(), part, metadata)

    def load(self, path: str | Path) -> Student:
        """Read what ``save`` wrote into this student."""
        try:
            self.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as error:
            said = str(error).splitlines()[0]
            mend = "delete it and run `make reproduce`"
            raise HumalignError(f"{path} holds no such student ({said}): {mend}") from None
        return self


def between(base: Student, aligned: Student, share: float) -> Student:
    """Return a student whose weights lie a share of the way from a base (0) to an aligned one (1).

    Raises:
        HumalignError: a share that is not 0 to 1, or students of different networks.
    """
    if not 0 <= share <= 1:
        mend = "give a number from 0, the base, to 1, the aligned student"
        raise HumalignError(f"a share of {share:g}: {mend}")
    start, end = base.state_dict(), aligned.state_dict()
    before, after = ({name: value.shape for name, value in state.items()} for state in (start, end))
    if before != after:
        mend = "give one network before and after training"
        raise HumalignError(f"the two students are of different networks: {mend}")
    found = copy.deepcopy(aligned)
    # Counters are no weights: they stay as they are.
    mixed = {name: start[name].lerp(value, share) for name, value in end.items() if value.is_floating_point()}
    found.load_state_dict(end | mixed)
    return found
