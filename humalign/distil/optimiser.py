"""Adam with a pull to the initial weights, and the learning rate's schedule.

Source: ``decay_to_init`` of the official training code, its optimiser (Adam of optax) and its schedule.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from humalign.errors import HumalignError, nearest

Pull = float | Mapping[str, float]


def warmup_cosine(step: int, peak: float, warmup: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0: a line up to ``peak``, then a cosine down to 0."""
    if step < warmup:
        return peak * step / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


class AdamTowardsInit(torch.optim.Adam):
    """Adam with a decoupled pull of every parameter to where it began.

    parameter -= lr * (Adam's direction + pull * (parameter - initial)), both taken before the update. Initial
    values are part of the state: a resumed training goes on towards them, wherever the parameters stand.

    Args:
        parameters: with their names, at their initial values.
        pull: of all, or by the start of the names of each group's parameters; the longest start counts.

    Raises:
        HumalignError: a parameter in no group, or a group without a parameter.
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], pull: Pull) -> None:
        groups: dict[str, list[nn.Parameter]] = {}
        pulls = pull if isinstance(pull, Mapping) else {"": pull}
        starts: set[str] = set()
        for name, parameter in parameters:
            groups.setdefault(_group_of(name, pulls), []).append(parameter)
            starts |= set(itertools.accumulate(name.split("."), "{}.{}".format))
        for empty in sorted(pulls.keys() - groups.keys()):
            raise HumalignError(f"decay_to_init: no parameter is in {empty!r}: {nearest(empty, starts)}")
        pulled = [{"params": members, "pull": float(pulls[prefix])} for prefix, members in groups.items()]
        super().__init__(pulled, lr=0.0, betas=(0.9, 0.999), eps=1e-8)
        for group in self.param_groups:
            group["initial"] = [p.detach().clone() for p in group["params"]]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:  # type: ignore[override]
        """Make one update."""
        for group in self.param_groups:
            # A number of NumPy in the state could not be read back.
            group["lr"] = float(learning_rate)
            # Adam's direction does not depend on the parameters: pulling them first gives the same sum.
            for parameter, initial in zip(group["params"], group["initial"], strict=True):
                parameter.lerp_(initial, learning_rate * group["pull"])
        super().step()

    def moves(self) -> bool:
        """Say whether a gradient is above Adam's epsilon, and so large enough to move its parameter."""
        gradients = ((group["eps"], p.grad) for group in self.param_groups for p in group["params"])
        return any(bool((gradient.abs() > eps).any()) for eps, gradient in gradients if gradient is not None)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a saved state, on the parameters' device."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            # PyTorch moves what belongs to a parameter, but not what belongs to a group.
            members = zip(group["initial"], group["params"], strict=True)
            group["initial"] = [initial.to(p.device) for initial, p in members]


def refuse_standstill(outputs: Float[Tensor, "images head"], temperature: float, moves: bool) -> None:
    """Refuse to train a student with these outputs where it would learn nothing.

    The outputs are those before the first step, τ divides their dot products, and ``moves`` says whether a
    gradient reaches a parameter.

    Raises:
        HumalignError: they are alike for all images, or its choices are certain.
    """
    # Two images have one product, which differs from none; one of several processes may see so few.
    if len(outputs) < 3:
        return
    products = (outputs @ outputs.T)[~torch.eye(len(outputs), dtype=torch.bool, device=outputs.device)]
    spread = float(products.max() - products.min())
    # Gradients of outputs that are alike cancel, but for rounding, which Adam makes as large as any.
    if spread <= 1e-6 * float(products.abs().max()):
        alike = "the student's outputs are alike for all images, and it learns nothing"
        raise HumalignError(f"{alike}: are weights and pictures right?")
    if not moves:
        seen = f"no gradient reaches the student: its dot products differ by up to {spread:.3g}"
        certain = f"so that at `temperature` {temperature:g} its choices are certain"
        mend = f"raise `temperature`, to about {spread / 3:.2g}, or take an objective '-normalised'"
        raise HumalignError(f"{seen}, {certain}; {mend}")


def _group_of(name: str, pulls: Mapping[str, float]) -> str:
    fitting = [start for start in pulls if start in ("", name) or name.startswith(start.rstrip(".") + ".")]
    if not fitting:
        known = f"{', '.join(sorted(pulls))}; '' stands for all others"
        raise HumalignError(f"decay_to_init: the parameter {name!r} is in none of {known}")
    return max(fitting, key=len)
