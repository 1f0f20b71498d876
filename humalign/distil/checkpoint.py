"""What a stopped training goes on from: parameters, optimiser and log, and of which training they are.

A checkpoint carries its settings and fingerprints of its triplets, inputs and initial student. A training
with others is refused, so that it never returns a student that it did not make.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from humalign.artefacts import fingerprint
from humalign.distil.batches import Inputs, Plan
from humalign.distil.optimiser import AdamTowardsInit
from humalign.errors import HumalignError
from humalign.models.student import Student
from humalign.models.weights import OTHER_RUN, read_checkpoint, write_checkpoint

# Bytes of an array that are looked at, in rows evenly spread: all of most arrays, and a second's work.
MOST = 2**28


@dataclasses.dataclass
class Log:
    """What a run leaves beside its student: each step's divergence (nats), evaluations by finished steps."""

    divergence: list[float] = dataclasses.field(default_factory=list)
    evaluations: dict[int, dict[str, float]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Checkpoint:
    """A file of one training, of its settings, student and optimiser; without a path nothing is written.

    ``made_of`` holds fingerprints of triplets, inputs and initial weights.
    """

    path: Path | None
    settings: dict[str, Any]
    student: Student
    optimiser: AdamTowardsInit
    made_of: dict[str, str]

    @classmethod
    def of(
        cls, path: str | Path | None, settings: Mapping[str, Any], student: Student,
        optimiser: AdamTowardsInit, plan: Plan, inputs: Inputs,
    ) -> Checkpoint:  # fmt: skip
        """Return the checkpoint of a training that is about to begin."""
        # Numbers of NumPy become Python's: PyTorch reads no others back.
        plain = json.loads(json.dumps(dict(settings), default=float))
        if path == "":
            raise HumalignError("`checkpoint` is '': name a file, or give None")
        if path is None:
            return cls(None, plain, student, optimiser, {})
        made_of = {"triplets": of_arrays(plan.contents()), "inputs": of_inputs(inputs)}
        made_of["initial weights"] = of_student(student)
        return cls(Path(os.fsdecode(path)), plain, student, optimiser, made_of)

    @property
    def _trained(self) -> dict[str, nn.Parameter]:
        return {name: values for name, values in self.student.named_parameters() if values.requires_grad}

    def save(self, log: Log) -> None:
        """Write the training as it stands."""
        if self.path is None:
            return
        state = {
            "settings": self.settings,
            "made of": self.made_of,
            "parameters": {name: parameter.detach() for name, parameter in self._trained.items()},
            "optimiser": self.optimiser.state_dict(),
            "log": dataclasses.asdict(log),
        }
        write_checkpoint(self.path, state)

    def resume(self) -> Log:
        """Bring student and optimiser to where the file left them, and return its log; else an empty one.

        A damaged file is warned of, and the training starts from the beginning; another's is refused.
        """
        state = read_checkpoint(self.path) if self.path else None
        if state is None:
            return Log()
        if other := self._other(state):
            raise HumalignError(f"the checkpoint {self.path} {other}: {OTHER_RUN}")
        with torch.no_grad():
            for name, parameter in self._trained.items():
                parameter.copy_(state["parameters"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        return Log(**state["log"])

    def _other(self, state: dict[str, Any]) -> str:
        """Return what the training in the file has of its own; nothing where it is this one."""
        if "made of" not in state:
            return "is no student's"
        for name, value in self.settings.items():
            if state["settings"].get(name) != value:
                return f"is of a run with another `{name}`"
        left = self.student.left
        # A student that an interrupted call left half trained may go on, if nothing has changed it since.
        if left == (self.made_of["initial weights"], state["made of"]["initial weights"]):
            self.made_of["initial weights"] = state["made of"]["initial weights"]
        other = (name for name, seen in self.made_of.items() if state["made of"][name] != seen)
        return next((f"is of a run with other {name}" for name in other), "")

    def leave(self) -> None:
        """Note on the student where it began, so that the same call can go on with it."""
        if self.path is not None:
            self.student.left = (of_student(self.student), self.made_of["initial weights"])


def of_arrays(arrays: Mapping[str, np.ndarray | Tensor]) -> str:
    """Return a fingerprint of names, types, shapes and values."""
    return _of((name, len(array) if array.ndim else 1, array) for name, array in arrays.items())


def of_inputs(inputs: Inputs) -> str:
    """Return a fingerprint of what a student takes: values, and names and checksums where they have them."""
    known = [list(getattr(inputs, about, None) or []) for about in ("names", "checksums")]
    return fingerprint(*known, _of([("", len(inputs), inputs)]))


def of_student(student: Student) -> str:
    """Return a fingerprint of a student: its kinds of modules, and the values of parameters and buffers."""
    kinds = [type(module).__qualname__ for module in student.modules()]
    return fingerprint(kinds, of_arrays(dict([*student.named_parameters(), *student.named_buffers()])))


def _of(arrays: Iterable[tuple[str, int, Any]]) -> str:
    seen = hashlib.sha256()
    for name, rows, array in arrays:
        looked_at = array
        if getattr(array, "ndim", 1) and rows:
            each = max(1, _bytes(array[np.arange(1)]).nbytes)
            fit = max(1, MOST // each)
            looked_at = array[:] if rows <= fit else array[np.linspace(0, rows - 1, fit).astype(int)]
        content = _bytes(looked_at)
        seen.update(f"{name} {rows} {looked_at.dtype} {tuple(looked_at.shape)}".encode())
        seen.update(content.data)
    return seen.hexdigest()


def _bytes(values: np.ndarray | Tensor) -> np.ndarray:
    if isinstance(values, Tensor):
        return values.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)
