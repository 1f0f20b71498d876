"""Where tensors are computed."""

from __future__ import annotations

import torch

from humalign.errors import HumalignError, expect


def named(device: str) -> torch.device:
    """Return the device of a name such as ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        HumalignError: there is no such device on this machine.
    """
    expect("device", device, str, "cpu, cuda or cuda:N")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError):  # of an unknown name; of a PyTorch without CUDA
        known = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        raise HumalignError(f"no device {device!r} on this machine: use one of {', '.join(known)}") from None
