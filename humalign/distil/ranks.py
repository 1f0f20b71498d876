"""Several processes as one: torchrun starts them, PyTorch's own engine lets them train one student.

    torchrun --nproc-per-node 8 your_script.py

Every process runs the same script and takes its share of a step. Gradients are averaged: the result is that
of one process with the same global batch, up to the order of sums.
"""

from __future__ import annotations

import atexit
import dataclasses
import os
import warnings

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather
from torch.nn.parallel import DistributedDataParallel

from humalign.errors import HumalignError, expect

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


@dataclasses.dataclass(frozen=True)
class Ranks:
    """This process's number among those that train together, how many they are, and its device."""

    rank: int
    world: int
    device: torch.device

    def share(self, student: nn.Module) -> nn.Module:
        """Return the student as all processes train it: with gradients averaged over them."""
        if self.world == 1:
            return student
        # Normalisation layers stay in evaluation mode, so their statistics need no broadcasting.
        devices = [self.device] if self.device.type == "cuda" else None
        with warnings.catch_warnings():
            # The name that PyTorch 2.14 asks for instead is not known to the versions before it.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(student, device_ids=devices, broadcast_buffers=False)

    def gather(self, outputs: Float[Tensor, "own dim"]) -> Float[Tensor, "all dim"]:
        """Return the outputs of all processes, one below the other, with gradient; each must have as many."""
        return outputs if self.world == 1 else torch.cat(all_gather(outputs))

    def mean(self, value: Float[Tensor, ""]) -> float:
        """Return the mean of a number over all processes."""
        value = value.detach().clone()
        if self.world > 1:
            dist.all_reduce(value)
        return value.item() / self.world


def join(device: str) -> Ranks:
    """Join the processes that torchrun started, or stand alone where it did not.

    The device is ``cpu``, ``cuda``, ``cuda:1``, or ``auto`` for CUDA where there is a device; under torchrun,
    processes of one machine take one GPU each.

    Raises:
        HumalignError: a device that is not there, or more processes than GPUs.
    """
    expect("device", device, str, "auto, cpu, cuda or cuda:N")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    world, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
    unknown = HumalignError(f"unknown device {device!r}: known are auto, cpu, cuda and cuda:N")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise unknown from None
    if chosen.type not in BACKENDS:
        raise unknown
    if chosen.type == "cuda":
        chosen = torch.device("cuda", local if world > 1 else chosen.index or 0)
        there = torch.cuda.device_count()
        if chosen.index >= there:
            seen = f"there is no GPU {chosen.index}, PyTorch sees {there}"
            raise HumalignError(f"{seen}: choose device cpu, or fewer processes")
        torch.cuda.set_device(chosen)
    if world == 1:
        return Ranks(0, 1, chosen)
    if not dist.is_initialized():
        dist.init_process_group(BACKENDS[chosen.type])
        atexit.register(dist.destroy_process_group)
    return Ranks(dist.get_rank(), dist.get_world_size(), chosen)
