"""What a student's training costs: pictures a second, share of the device's matrix peak, hours and memory of the official schedule.

On a GPU the real training loop runs ViT-B/16 at 224 px with random weights, in single precision, bfloat16, and bfloat16 compiled,
each with the largest batch that fits. Without a GPU, what a processor can tell in under a minute: dense against sparse steps, and
stored pictures against decoding them each time.

    python benchmarks/distillation.py
    python benchmarks/distillation.py --model timm:vit_tiny_patch16_224 --batches 4 --steps 3      the same path, on any device
"""

import argparse
import contextlib
import functools
import gc
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compare import compare, heading
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from humalign.data import pixels
from humalign.data.images import FolderImages, squash
from humalign.data.judgments import PAIRS
from humalign.distil.batches import DenseTriplets, FileRows, ahead
from humalign.distil.distill import Distillation, Engine, distill, load_step
from humalign.distil.ranks import join
from humalign.models.backbones import build
from humalign.models.student import Student
from humalign.teach.objectives import jensen_shannon, pair_similarities
from humalign.triplets import LabelledTriplets

OFFICIAL = Distillation()
VIT_B, VIT_TINY = "timm:vit_base_patch16_224", "timm:vit_tiny_patch16_224"
# Pictures a step, from the official 512 triplets of three different images down to what fits anywhere.
BATCHES = (1536, 1024, 768, 512, 384, 256, 128, 64)
DENSE_IMAGES = 128
TEACHER_DIM = 1152
GIB = 2**30


# ---- on a GPU --------------------------------------------------------------------------------------------------------

def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_peak(device: torch.device) -> float:
    """Return the bfloat16 operations a second of a large matrix product, the fastest of several."""
    side = 8192 if device.type == "cuda" else 512
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(20):
        wait(device)
        started = time.perf_counter()
        a @ b
        wait(device)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / min(seconds)


def memory(device: torch.device) -> float:
    """Return the most memory (GiB) that was held since the last reset: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / GIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB


def sparse(images: int) -> LabelledTriplets:
    """Return triplets that share no image, over so many images."""
    rows = np.arange(images // 3 * 3).reshape(-1, 3)
    return LabelledTriplets(rows, np.zeros(rows.shape, np.float32), rows.astype(str))


def dense(images: int) -> DenseTriplets:
    """Return all triplets among ``images`` of four times as many."""
    return DenseTriplets(np.random.default_rng(0).standard_normal((4 * images, TEACHER_DIM)).astype(np.float32) / 10, images)


def step_seconds(model: str, labelled: LabelledTriplets | DenseTriplets, engine: Engine, steps: int) -> tuple[float, float]:
    """Return the median seconds of a step of the real training loop, and the most memory (GiB) held."""
    device = torch.device(engine.device)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    images = len(labelled.embeddings) if isinstance(labelled, DenseTriplets) else labelled.indices.size
    shown = torch.randint(0, 256, (images, 3, 224, 224), dtype=torch.uint8)
    finished: list[float] = []
    # A step ends when its divergence has been read, so the clock needs no other waiting.
    distill(
        *(Student.of(build(model, pretrained=False), 0), shown, labelled),
        Distillation(steps=steps + 3, warmup=1, learning_rate=1e-6, batch_triplets=images // 3),
        progress=lambda step: finished.append(time.perf_counter()),
        engine=engine,
        unsound=True,
    )
    # The first steps compile, choose kernels and fill the queue.
    return float(statistics.median(np.diff(finished[2:]))), memory(device)


def forward_operations(model: str) -> float:
    """Return the operations of one picture's forward pass through the student."""
    student = Student.of(build(model, pretrained=False), 0)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        student(torch.zeros(1, 3, 224, 224))
    return counter.get_total_flops()


def training(device: str, model: str, batches: tuple[int, ...], steps: int, backend: str) -> None:
    """Print pictures a second and share of the peak with the largest batch that fits, then what the official schedule costs."""
    where = torch.device(device)
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else "the processor"
    # A gradient takes twice the operations of the forward pass.
    peak, operations = matrix_peak(where), 3 * forward_operations(model)
    print(f"{name}: bfloat16 matrix product {peak / 1e12:,.2f} TFLOP/s; {model}: {operations / 1e9:,.1f} GFLOP a picture and step")
    half: dict[str, Any] = {"bfloat16": True}
    kinds = {"single precision": {}, "bfloat16": half, "bfloat16, compiled": half | {"compile": backend}}
    for kind, options in kinds.items():
        for images in batches:
            with contextlib.suppress(torch.OutOfMemoryError):
                seconds, gib = step_seconds(model, sparse(images), Engine(device=device, **options), steps)
                share = images / seconds * operations / peak
                rate = f"{images / seconds:9,.1f} pictures/s, {share:6.1%} of the peak"
                print(f"{kind:<20} batch {images:>5,}: {rate}, {gib:5.1f} GiB", flush=True)
                break
            gc.collect()
    for kind, labelled in {"sparse": sparse(batches[0]), "dense": dense(min(DENSE_IMAGES, batches[0]))}.items():
        for recompute in (False, True):
            with contextlib.suppress(torch.OutOfMemoryError):
                official(kind, model, labelled, Engine(device=device, bfloat16=True, recompute=recompute), steps)
                break
            gc.collect()


def official(kind: str, model: str, labelled: LabelledTriplets | DenseTriplets, engine: Engine, steps: int) -> None:
    """Print the hours and memory of the official number of steps."""
    seconds, gib = step_seconds(model, labelled, engine, steps)
    step = labelled.step(0) if isinstance(labelled, DenseTriplets) else FileRows(labelled, len(labelled)).step(0)
    cost = f"{OFFICIAL.steps * seconds / 3600:,.1f} h, {gib:.1f} GiB, activations {'recomputed' if engine.recompute else 'kept'}"
    print(f"{kind}: {OFFICIAL.steps:,} steps of {step.total:,} triplets among {len(step.images):,} pictures: {cost}", flush=True)


# ---- anywhere --------------------------------------------------------------------------------------------------------

def dense_step(images: int = 24, rows: int = 8) -> None:
    student, plan = Student.of(build(VIT_TINY, pretrained=False), 0), dense(images)
    shown, step = torch.rand(3 * rows + images, 3, 224, 224), plan.step(0)
    few = torch.arange(3 * rows).reshape(-1, 3)

    def ours() -> None:
        jensen_shannon(step.similarities, pair_similarities(student(shown[:images]), step.triplets), 100.0).mean().backward()

    def plain() -> None:
        jensen_shannon(torch.zeros(rows, 3), pair_similarities(student(shown[: 3 * rows]), few), 100.0).mean().backward()

    what = f"{step.total:,} triplets through ViT-Ti/16: all among {images} pictures / of three pictures each"
    compare(what, ours, plain, plain_runs=step.total / rows, repeats=3)


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

    compare(f"objective and gradient of {step.total:,} triplets: matrix and gather / row by row", ours, plain, plain_runs=part)


def photographs(folder: Path, count: int) -> FolderImages:
    """Write smooth pictures of a photograph's size, so that a JPEG of one is decoded about as fast as a photograph's."""
    rng = np.random.default_rng(0)
    for number in range(count):
        rough = Image.fromarray(rng.integers(0, 256, (24, 32, 3)).astype(np.uint8))
        rough.resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{number:05}.jpg", quality=90)
    return FolderImages(folder)


def stored_pictures(count: int = 96, size: int = 224) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pictures = photographs(Path(folder), count)
        store = pixels.write(pictures, Path(folder) / "store", size, pictures.labels["file"].tolist())
        order = np.random.default_rng(1).permutation(count)
        compare(f"{count} pictures of 500 x 375: read from the store / decoded and squashed", lambda: store[order],
                lambda: torch.stack([squash(pictures[i], size) for i in order]))
        load = functools.partial(load_step, FileRows(sparse(count), count // 3), store, join("auto"))
        started = time.perf_counter()
        read = sum(len(batch) for batch, _ in ahead(load, range(50), depth=2))
        rate = read / (time.perf_counter() - started)
        print(f"steps of {count} pictures from the store to the device, read ahead: {rate:,.0f} pictures/s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--model", help="measure the training of this one, on whatever device there is")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--backend", default="inductor")
    given = parser.parse_args()
    torch.manual_seed(0)
    if given.model or given.device != "cpu":
        training(given.device, given.model or VIT_B, tuple(given.batches), given.steps, given.backend)
    else:
        print("no CUDA device is at hand: the training of ViT-B/16 is not measured, and what follows is the processor's")
    heading()
    for benchmark in (dense_step, dense_objective, stored_pictures):
        benchmark()


if __name__ == "__main__":
    main()
