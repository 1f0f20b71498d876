"""What every step shares: random numbers, the schedule of students, progress on the terminal, the weights of backbones."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from tqdm import tqdm

from humalign.data import registry
from humalign.distil.distill import Distillation
from humalign.models.backbones import recipes
from humalign.profiles import Profile


def stream(profile: Profile, *numbers: int) -> np.random.Generator:
    """Return the random numbers of one place in the chain, the same on every run."""
    return np.random.default_rng([profile.seed, *numbers])


def schedule(profile: Profile, **changes: Any) -> Distillation:
    """Return the objective and the schedule of a profile's students."""
    named = {field.name: getattr(profile.distillation, field.name) for field in dataclasses.fields(Distillation)}
    return Distillation(**named | changes)


def progress_bar(total: int, what: str) -> tqdm:
    """Return a progress bar on the terminal, with the time that is left."""
    return tqdm(total=total, desc=f"    {what}", leave=False, dynamic_ncols=True)


def weights_of(*backbones: str) -> list[str]:
    """Name the registered weight files of backbones; one whose weights are not registered has none."""
    found = {name: str(recipes()[name].weights) for name in backbones if name in recipes()}
    entries = {f"{name}-weights" if weights == "hub" else weights for name, weights in found.items()}
    return sorted(entries & registry.everything().keys())
