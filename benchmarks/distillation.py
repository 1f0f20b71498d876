"""What a student's training and its pictures cost, and how a device's result differs from the processor's.

`gpu.py` measures these with what is here. Alone, this file compares dense with sparse steps on the processor,
and two ways to run pictures through a backbone:

    python benchmarks/distillation.py
"""

import contextlib
import dataclasses
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from compare import compare, heading
from numpy.linalg import norm
from PIL import Image
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from humalign import profiles, triplets
from humalign.data import pixels
from humalign.data.images import Files
from humalign.data.judgments import PAIRS
from humalign.distil.batches import DenseTriplets, FileRows, ahead, load_step
from humalign.distil.distill import Distillation, Engine, distill
from humalign.distil.ranks import join
from humalign.models.backbones import build
from humalign.models.student import Student
from humalign.teach.objectives import jensen_shannon, pair_similarities

VIT_TINY = "timm:vit_tiny_patch16_224"
DENSE_IMAGES, TEACHER_DIM = 128, 1152
# Steps before the clock starts: the first compile, choose kernels and fill the queue.
WARM = 2


# ---- for gpu.py --------------------------------------------------------------------------------------------


class Enough(Exception):
    """A training loop has run for as long as it is timed."""


def operations(model: nn.Module, side: int, device: torch.device) -> float:
    """Return the operations of one picture's forward pass."""
    # The counter knows fused attention on some devices only, so attention is computed unfused here.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(torch.zeros(1, 3, side, side, device=device))
    return float(counter.get_total_flops())


def interval(finished: list[float]) -> float:
    """Return the median seconds between the ends of steps, without the first steps."""
    return float(statistics.median(np.diff(finished[WARM - 1 :])))


def step_seconds(
    student: Student, side: int, rows: int, engine: Engine, steps: int, left: Callable[[], float]
) -> float:
    """Return the seconds of a step of the real training loop, of so many triplets that share no picture.

    Args:
        side: of the pictures.
        steps: that are timed, at most; fewer where ``left`` says that the seconds run out.
    """
    finished: list[float] = []

    def progress(step: int) -> None:
        # A step ends when its divergence has been read, so the clock needs no other waiting.
        finished.append(time.perf_counter())
        if len(finished) > WARM and left() < 3 * (finished[-1] - finished[-2]):
            raise Enough

    indices = np.arange(3 * rows).reshape(rows, 3)
    labelled = triplets.LabelledTriplets(indices, np.zeros((rows, 3), np.float32), indices.astype(str))
    shown = torch.randint(0, 256, (3 * rows, 3, side, side), dtype=torch.uint8)
    settings = Distillation(steps=WARM + steps, warmup=1, learning_rate=1e-6, batch_triplets=rows)
    with contextlib.suppress(Enough):
        distill(student, shown, labelled, settings, progress=progress, engine=engine, unsound=True)
    return interval(finished)


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a run of ``demo`` leaves: divergences, parameters before and after it, and steps a second."""

    divergence: np.ndarray
    start: np.ndarray
    end: np.ndarray
    rate: float

    def differences(self, reference: "Trained") -> dict[str, float]:
        """Return the largest differences from another run, relative to what that run has."""
        return {
            "divergence": float(np.abs(self.divergence / reference.divergence - 1).max()),
            "weights": float(np.abs(self.end - reference.end).max() / np.abs(reference.end).max()),
            "change of the weights": float(norm(self.end - reference.end) / norm(reference.end - self.start)),
        }


def demo(device: str, pictures: int, steps: int) -> Trained:
    """Distil the demo's student from random weights, on random pictures, with so many steps."""
    profile, rng = profiles.load("demo"), np.random.default_rng(0)
    backbone = build(profile.students[0].backbone, pretrained=False)
    frozen, taught = backbone.stages[: profile.students[0].frozen], profile.distillation
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        shown = torch.rand(pictures, 3, backbone.size, backbone.size, generator=generator)
        inputs = torch.cat([frozen(backbone.normalise(part)) for part in shown.split(16)]).half()
    teacher = rng.standard_normal((pictures, 64)).astype(np.float32)
    groups, block = rng.integers(4, size=pictures), min(profile.triplets.block_images, pictures)
    batch = taught.batch_triplets
    rows = triplets.cluster_border_blocks(groups, 4 * batch, block, batch, rng)
    labelled = triplets.label(teacher, rows, np.arange(pictures).astype(str))
    same = {field.name: getattr(taught, field.name) for field in dataclasses.fields(Distillation)}
    settings = Distillation(**same | {"steps": steps, "warmup": steps // 3})
    student = Student.of(backbone, len(frozen), seed=profile.seed)
    start, began = _vector(student), time.perf_counter()
    log = distill(student, inputs, labelled, settings, engine=Engine(device), unsound=True)
    rate = steps / (time.perf_counter() - began)
    return Trained(np.array(log.divergence), start, _vector(student), rate)


def _vector(student: Student) -> np.ndarray:
    return nn.utils.parameters_to_vector(student.parameters()).detach().cpu().numpy().astype(float)


class Photographs:
    """JPEG files of a photograph's size, in a folder, and how many a second are read.

    Args:
        count: that are named: sixteen files, again and again, which decode about as fast as photographs.
        workers: processes that decode.
    """

    def __init__(self, folder: Path, count: int, workers: int) -> None:
        rng, paths = np.random.default_rng(0), [folder / f"{number:02}.jpg" for number in range(16)]
        for path in paths:
            rough = Image.fromarray(rng.integers(0, 256, (24, 32, 3)).astype(np.uint8))
            rough.resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=90)
        self.images = Files([paths[number % len(paths)] for number in range(count)])
        self.store, self.workers = folder / "store", workers

    def squashed(self, side: int) -> float:
        """Return pictures a second that are decoded, squashed and written to a store."""
        started = time.perf_counter()
        pixels.write(self.images, self.store, side, self.images.labels["file"].tolist(), self.workers)
        return len(self.images) / (time.perf_counter() - started)

    def read(self, rows: int, steps: int, device: str) -> float:
        """Return pictures a second that are read from the store for training steps and sent to the device."""
        store, rng = pixels.PixelStore(self.store), np.random.default_rng(0)
        indices = rng.permutation(len(store) // 3 * 3).reshape(-1, 3)
        zeros = np.zeros(indices.shape, np.float32)
        labelled = triplets.LabelledTriplets(indices, zeros, indices.astype(str))
        load = functools.partial(load_step, FileRows(labelled, rows), store, join(device))
        started = time.perf_counter()
        read = sum(len(batch) for batch, _ in ahead(load, range(steps), depth=2))
        return read / (time.perf_counter() - started)

    def decoded(self, side: int, batch: int, left: Callable[[], float]) -> float:
        """Return pictures a second that are decoded and squashed for a forward pass, while there is time."""
        from humalign.models.embeddings import Squashed

        squashed, read = Squashed(self.images, side, range(len(self.images)), as_bytes=True), 0
        started = time.perf_counter()
        for part in DataLoader(squashed, batch, num_workers=self.workers if self.workers > 1 else 0):
            read += len(part)
            if left() < 3:
                break
        return read / (time.perf_counter() - started)


# ---- alone -------------------------------------------------------------------------------------------------


def embedding() -> None:
    backbone, pixels = build("efficientnet-lite0", pretrained=False), torch.rand(64, 3, 224, 224)
    last = build("efficientnet-lite0", pretrained=False).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def ours() -> None:
        for part in pixels.contiguous(memory_format=torch.channels_last).split(16):
            last(part)

    @torch.inference_mode()
    def plain() -> None:
        backbone(pixels)

    compare("64 pictures through Lite0: channels-last by 16 / plain by 64", ours, plain)


def dense(images: int) -> DenseTriplets:
    """Return all triplets among ``images`` of four times as many."""
    embeddings = np.random.default_rng(0).standard_normal((4 * images, TEACHER_DIM)).astype(np.float32) / 10
    return DenseTriplets(embeddings, images)


def dense_step(images: int = 24, rows: int = 8) -> None:
    """Compare a step of triplets that share pictures with one of triplets that share none.

    The first ratio counts triplets: all among some pictures, against as many of three pictures each. The
    second one counts pictures: as many in both steps.
    """
    student, plan = Student.of(build(VIT_TINY, pretrained=False), 0), dense(images)
    shown, step = torch.rand(3 * rows + images, 3, 224, 224), plan.step(0)
    few = torch.arange(3 * rows).reshape(-1, 3)

    def ours() -> None:
        similar = pair_similarities(student(shown[:images]), step.triplets)
        jensen_shannon(step.similarities, similar, 100.0).mean().backward()

    def plain() -> None:
        similar = pair_similarities(student(shown[: 3 * rows]), few)
        jensen_shannon(torch.zeros(rows, 3), similar, 100.0).mean().backward()

    what = f"{step.total:,} triplets through ViT-Ti/16: all among the same {images} pictures / of three each"
    compare(what, ours, plain, plain_runs=step.total / rows, repeats=3)
    what = f"{images} pictures through ViT-Ti/16: all {step.total:,} triplets among them / {rows} triplets"
    compare(what, ours, plain, repeats=3)


def dense_objective(part: int = 32) -> None:
    step = dense(DENSE_IMAGES).step(0)
    outputs = torch.randn(DENSE_IMAGES, 1024).requires_grad_()
    few, targets = step.triplets[::part], step.similarities[::part]

    def ours() -> None:
        jensen_shannon(step.similarities, pair_similarities(outputs, step.triplets), 100.0).mean().backward()

    def plain() -> None:
        columns = [outputs[few[:, c]] for c in range(3)]
        similar = torch.stack([(columns[a] * columns[b]).sum(1) for a, b in PAIRS], dim=1)
        jensen_shannon(targets, similar, 100.0).mean().backward()

    what = f"objective and gradient of {step.total:,} triplets among {DENSE_IMAGES} pictures: matrix / rows"
    compare(what, ours, plain, plain_runs=part)


if __name__ == "__main__":
    torch.manual_seed(0)
    heading()
    for benchmark in (embedding, dense_step, dense_objective):
        benchmark()
