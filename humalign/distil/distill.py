"""Distillation: move a student's triplet distributions to the teacher's; its weights stay near their start.

A step runs each of its images once, however many triplets share it. One process trains or many do
(``humalign.distil.ranks``), on CPUs or GPUs; a stopped training is resumed from its last checkpoint. Source:
official configuration and training loop (objective, Adam, warm-up and cosine, decay to init, cadence).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from humalign import triplets
from humalign.distil.batches import DenseTriplets, FileRows, Inputs, Plan, Step, ahead, load_step
from humalign.distil.checkpoint import Checkpoint, Log
from humalign.distil.optimiser import AdamTowardsInit, Pull, refuse_standstill, warmup_cosine
from humalign.distil.ranks import Ranks, join
from humalign.errors import HumalignError, complaint, expect, nearest, number, real
from humalign.models.student import Student
from humalign.teach.objectives import OBJECTIVES
from humalign.triplets import LabelledTriplets

# A divergence below which a student's choices are its teacher's.
AGREES = 1e-6


@dataclasses.dataclass(frozen=True)
class Distillation:
    """The numbers of one training run; the defaults are the official configuration's.

    Attributes:
        objective: ``jsd``, ``kl`` or ``contrastive``; with ``-normalised`` behind it on outputs of length 1.
        temperature: τ, divides the student's dot products.
        steps, warmup: gradient steps, of which the first raise the learning rate linearly.
        learning_rate: at its peak; falls to 0 by a cosine.
        decay_to_init: pull of every parameter to its initial value, times the learning rate; or one for each
            group of them, as ``{"tail": 1.0, "head": 0.0}``.
        batch_triplets: rows of the triplet file a step, in their order, from the start again at the end.
        checkpoint_every: steps between checkpoints.

    Raises:
        HumalignError: a setting out of its range.
    """

    objective: str = "jsd"
    temperature: float = 100.0
    steps: int = 100_000
    warmup: int = 5_000
    learning_rate: float = 3e-5
    decay_to_init: Pull = 1.0
    batch_triplets: int = 512
    checkpoint_every: int = 10_000

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            mend = nearest(self.objective, OBJECTIVES)
            raise HumalignError(f"unknown objective {self.objective!r}: {mend}")
        _whole(self, steps=1, warmup=0, batch_triplets=1, checkpoint_every=1)
        if self.warmup >= self.steps:
            mend = "it must be less, or the learning rate never reaches its peak"
            raise HumalignError(f"`warmup` is {self.warmup:,} of {self.steps:,} `steps`: {mend}")
        real("temperature", self.temperature, above=0)
        real("learning_rate", self.learning_rate, above=0)
        pulls = self.decay_to_init if isinstance(self.decay_to_init, Mapping) else {"": self.decay_to_init}
        for group, pull in pulls.items():
            real("decay_to_init" + f" of {group}" * bool(group), pull, least=0)

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        return warmup_cosine(step, self.learning_rate, self.warmup, self.steps)


@dataclasses.dataclass(frozen=True)
class Engine:
    """How a run is computed: time and memory change with it, numbers by rounding only.

    Attributes:
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` for CUDA where there is a device.
        bfloat16: run the student under autocast; weights, objective and updates stay in single precision.
        recompute: keep only what enters a stage, and compute the rest again (gradient checkpointing).
        passes: parts of a step's rows that are computed one by one, for less memory; for rows of a file only.
        compile: a backend of ``torch.compile``, as ``inductor``.
        prefetch: batches that are read while one is trained on.
    """

    device: str = "auto"
    bfloat16: bool = False
    recompute: bool = False
    passes: int = 1
    compile: str | None = None
    prefetch: int = 2

    def __post_init__(self) -> None:
        _whole(self, passes=1, prefetch=0)
        if self.compile is None:  # listing the backends imports all of them
            return
        known = torch.compiler.list_backends(exclude_tags=())
        if self.compile not in known:
            raise HumalignError(f"unknown `compile` backend {self.compile!r}: {nearest(self.compile, known)}")


def _whole(settings: Any, **least: int) -> None:
    """Check and keep settings as whole numbers, each so large at least."""
    for name, low in least.items():
        object.__setattr__(settings, name, number(name, getattr(settings, name), low))


def distill(
    student: Student,
    inputs: Inputs,
    labelled: LabelledTriplets | DenseTriplets,
    settings: Distillation,
    checkpoint: str | Path | None = None,
    progress: Callable[[int], None] = lambda step: None,
    *,
    engine: Engine = Engine(),
    evaluate: Callable[[Student], Mapping[str, float]] | None = None,
    evaluate_every: int = 5_000,
    embeddings: Float[np.ndarray, "images dim"] | None = None,
    unsound: bool = False,
) -> Log:
    """Train a student in place, on the engine's device, and leave it there.

    Args:
        student: maps a batch of inputs to (batch, head) outputs.
        inputs: what the student takes of each image: pixels, or activations of a frozen trunk.
        labelled: rows of a triplet file over ``inputs``, or all triplets among batches of them.
        checkpoint: written every ``checkpoint_every`` steps; where it exists, training goes on from it and
            ends exactly as it would have without the stop. One of another training is refused; from a damaged
            one training starts again, and says so. Several processes must see the same file.
        progress: called with each finished step, and first with those that a resumed training finished.
        engine: how to compute it.
        evaluate: called with the student every ``evaluate_every`` steps; the log keeps what it returns.
        embeddings: any backbone's, of the images: with them the audit tests the order of the file's columns.
        unsound: train even on a triplet file whose audit fails.

    Raises:
        HumalignError: a file that fails its audit, which compares its names with those of a ``PixelStore``;
            triplets, images and student that don't fit; a checkpoint of another run; a divergence that is not
            finite; a first step without a gradient.
    """
    expect("student", student, Student, "one, such as Student.of(backbone, frozen_stages)")
    expect("settings", settings, Distillation, "Distillation(...)")
    wanted = "labelled triplets, such as triplets.read(path), or DenseTriplets"
    expect("labelled", labelled, (LabelledTriplets, DenseTriplets), wanted)
    inputs = _tensors(inputs)
    evaluate_every = number("evaluate_every", evaluate_every) if evaluate else 0
    batch_rows = settings.batch_triplets
    plan: Plan = labelled if isinstance(labelled, DenseTriplets) else FileRows(labelled, batch_rows)
    ranks = join(engine.device)
    if engine.passes > 1 and plan.gathered:
        why = "only rows of a file can be taken in parts, dense triplets need all images of a step"
        raise HumalignError(f"{engine.passes} passes: {why}")
    plan.check(len(inputs), ranks.world)
    if isinstance(labelled, LabelledTriplets) and not unsound:
        refuse_unsound(labelled, len(inputs), embeddings, getattr(inputs, "names", None))
    student.to(ranks.device)
    student.recompute(engine.recompute)
    _refuse_inputs(student, inputs, ranks.device)
    model: nn.Module = student
    if engine.compile:
        model = torch.compile(student, backend=engine.compile)  # type: ignore[assignment]
    model = ranks.share(model)
    trained = [(name, parameter) for name, parameter in student.named_parameters() if parameter.requires_grad]
    if not trained:
        raise HumalignError("the student has nothing to train: no parameter asks for a gradient")
    optimiser = AdamTowardsInit(trained, settings.decay_to_init)
    state = Checkpoint.of(checkpoint, dataclasses.asdict(settings), student, optimiser, plan, inputs)
    log = state.resume()
    steps = range(len(log.divergence), settings.steps)
    for step in range(steps.start if ranks.rank == 0 else 0):
        progress(step)
    batches = ahead(functools.partial(load_step, plan, inputs, ranks), steps, engine.prefetch)
    try:
        for step, (pixels, batch) in zip(steps, batches, strict=True):
            optimiser.zero_grad()
            seen = ranks.mean(_backward(model, pixels, batch, plan.gathered, settings, engine, ranks))
            if not np.isfinite(seen):
                raise HumalignError(f"the objective is {seen} at step {step}: {_mend(pixels, batch)}")
            # A student that agrees with its teacher has nothing to learn; any other must move.
            if not step and seen > AGREES:
                with torch.no_grad():
                    refuse_standstill(student(pixels[:64]).float(), settings.temperature, optimiser.moves())
            optimiser.step(settings.learning_rate_at(step))
            log.divergence.append(seen)
            if ranks.rank == 0:
                finished = step + 1
                if evaluate and finished % evaluate_every == 0:
                    found = evaluate(student)
                    expect("evaluate", found, Mapping, "a function that returns numbers by name")
                    log.evaluations[finished] = {name: float(value) for name, value in found.items()}
                if finished % settings.checkpoint_every == 0:
                    state.save(log)
                progress(step)
    finally:
        state.leave()
    return log


def _backward(
    model: nn.Module, pixels: Tensor, batch: Step, gathered: bool,
    settings: Distillation, engine: Engine, ranks: Ranks,
) -> Float[Tensor, ""]:  # fmt: skip
    """Add up the gradients of a process's share of a step, part by part, and return its divergence."""
    parts, of_pairs = batch.triplets.chunk(engine.passes), batch.similarities.chunk(engine.passes)
    seen = torch.zeros((), device=ranks.device)
    for part, (rows, similarities) in enumerate(zip(parts, of_pairs, strict=True), 1):
        places, inputs = rows, pixels
        if engine.passes > 1:
            used, places = torch.unique(rows, return_inverse=True)
            inputs = pixels[used]
        # Processes add up their gradients once a step, with its last part.
        alone = isinstance(model, DistributedDataParallel) and part < len(parts)
        with model.no_sync() if alone else contextlib.nullcontext():  # type: ignore[operator]
            with torch.autocast(ranks.device.type, torch.bfloat16, enabled=engine.bfloat16):
                outputs = model(inputs)
            outputs = ranks.gather(outputs.float()) if gathered else outputs.float()
            # Gradients are averaged over processes: each one's share counts as often as there are processes.
            each = OBJECTIVES[settings.objective](similarities, outputs, places, settings.temperature)
            divergence = each.sum() * (ranks.world / batch.total)
            divergence.backward()
        seen += divergence.detach()
    return seen


def _tensors(inputs: Any) -> Inputs:
    """Return inputs that give tensors: arrays of NumPy become tensors, without a copy."""
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "fiu":
        inputs = torch.from_numpy(inputs if inputs.flags.writeable else inputs.copy())
    known = isinstance(inputs, Inputs) and not isinstance(inputs, Sequence | np.ndarray | Mapping)
    try:
        known = known and isinstance(inputs[np.arange(min(1, len(inputs)))], Tensor)
    except Exception:  # a table of pandas, a set of pictures: each raises its own
        known = False
    if not known:
        wanted = "a tensor with a row an image, such as embed(...)['activations'].values, or a PixelStore"
        raise HumalignError(f"`inputs` is a {type(inputs).__name__}: give {wanted}")
    return inputs


def _refuse_inputs(student: Student, inputs: Inputs, device: torch.device) -> None:
    """Refuse inputs that the student does not take: of another size, activations of another stage."""
    if not len(inputs):
        raise HumalignError("no inputs to train on: give at least three images")
    one = inputs[np.arange(1)].to(device)
    if one.is_complex():
        raise HumalignError("`inputs` hold complex numbers: give real ones")
    try:
        with torch.no_grad():
            student(one)
    except (HumalignError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # each network raises its own
        mend = "give pictures of its size, or activations after the same `frozen_stages`"
        shape = tuple(one.shape[1:])
        raise HumalignError(f"the student takes no inputs of {shape} ({complaint(error)}): {mend}") from None


def _mend(pixels: Tensor, batch: Step) -> str:
    """Say what makes an objective that is not finite."""
    if not torch.isfinite(pixels).all():
        return "its inputs hold NaN or infinity, embed these images again"
    if not torch.isfinite(batch.similarities).all():
        fault = "the teacher's similarities hold NaN or infinity"
        return f"{fault}, audit the triplets or the teacher's embeddings"
    return "lower `learning_rate`, or audit the triplets (`humalign audit`)"


def refuse_unsound(
    labelled: LabelledTriplets,
    images: int,
    embeddings: Float[np.ndarray, "images dim"] | None = None,
    names: Sequence[str] | None = None,
) -> None:
    """Refuse to train on a triplet file whose audit fails; see `triplets.audit`."""
    listed = None if names is None else np.asarray(names, dtype=str)
    for finding in triplets.audit(labelled, images, embeddings, listed):
        if not finding.ok:
            fault = f"the triplet file fails its audit ({finding.check}: {finding.seen})"
            raise HumalignError(f"{fault}: see `humalign audit FILE`")
