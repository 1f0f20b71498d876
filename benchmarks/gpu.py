"""What the chain costs on a GPU: rates, measured within eight minutes, and the hours of the profiles.

Networks have the real sizes and random weights, pictures and embeddings are made here: nothing is
downloaded. Each part has its own time limit. A part that fails is one line, and the others go on.

    python benchmarks/gpu.py                                 one GPU, at most eight minutes
    python benchmarks/gpu.py --only peak distil-compiled     some parts
    python benchmarks/gpu.py --tiny                          toy sizes, the processor: no figures of a GPU

Without a GPU only the last form runs. Figures, machine and versions go to the JSON file of --out.
"""

import argparse
import contextlib
import dataclasses
import datetime
import functools
import gc
import importlib.metadata
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))  # for a machine where humalign is not installed
try:
    import torch
    from distillation import WARM, Photographs, interval, operations, step_seconds
    from distillation import demo as distil_demo
    from paper import Size, full, show, table, tiny
    from torch.utils.benchmark import Timer
    from triplets import Rates

    from humalign import profiles
    from humalign.artefacts import commit, replacing
    from humalign.data.pixels import PixelStore
    from humalign.distil.distill import Engine
    from humalign.errors import complaint
    from humalign.models.backbones import build
    from humalign.models.student import Student
except ModuleNotFoundError as missing:
    sys.exit(f"benchmarks/gpu.py: the package {missing.name} is not installed: pip install {missing.name}")

GOALS = {"distil-compiled, share of the peak": 0.5, "distil-compiled, times plain fp32": 3.0}
SAID = {None: "not measured", True: "met", False: "not met"}
LIBRARIES = ("numpy", "pillow", "scikit-learn", "timm", "torch", "triton")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
Left = Callable[[], float]  # seconds until a part's limit


@dataclasses.dataclass
class Bench:
    """Where the parts run, and the figures found so far: value, unit and note by name."""

    size: Size
    device: torch.device
    workers: int
    folder: Path
    figures: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    passes: int = 1             # in which a training step fits into memory

    def found(self, name: str, value: float, unit: str, note: str = "") -> None:
        """Keep and print a figure."""
        self.figures[name] = {"value": float(value), "unit": unit, "note": note}
        said = f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
        print(f"{name:<42} {said:>12} {unit:<11} {note}", flush=True)

    def share(self, name: str, done: float) -> None:
        """Keep operations a second as a share of the matrix peak."""
        if most := self.figures.get("peak, bf16"):
            share = done / 1e12 / most["value"]
            self.found(f"{name}, share of the peak", share, "of bf16", f"{done / 1e12:,.4g} TFLOP/s")

    def rates(self, left: Left) -> Rates:
        """Return random embeddings of all pictures, to be clustered and labelled."""
        shape, generator = (self.size.images[-1], self.size.dim), torch.Generator(self.device).manual_seed(0)
        made = torch.randn(shape, device=self.device, generator=generator).cpu().numpy()
        return Rates(made, self.size.clusters, self.workers, left)


# ---- the parts ---------------------------------------------------------------------------------------------


def peak(bench: Bench, left: Left) -> None:
    """Multiply large square matrices; the fastest of some runs of ten products counts."""
    side, kinds = bench.size.side, {"bf16": torch.bfloat16, "TF32": torch.float32, "fp32": torch.float32}
    for name, dtype in kinds.items():
        a, b = (torch.randn(side, side, device=bench.device, dtype=dtype) for _ in range(2))
        torch.set_float32_matmul_precision("high" if name == "TF32" else "highest")
        try:
            timer = Timer("a @ b", globals={"a": a, "b": b}, num_threads=torch.get_num_threads())
            seconds = min(timer.timeit(10).mean for _ in range(3))
        finally:
            torch.set_float32_matmul_precision("highest")
        bench.found(f"peak, {name}", 2e-12 * side**3 / seconds, "TFLOP/s", f"two matrices of {side} x {side}")


class Repeated(PixelStore):
    """As many batches as are asked for, the same pictures in each, from memory."""

    def __init__(self, batch: int, side: int) -> None:
        self.shown = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)

    def __getitem__(self, index: slice) -> torch.Tensor:
        return self.shown


def embedding(bench: Bench, left: Left) -> None:
    """Run pictures through the teacher's and a student's backbone as the chain does, in bfloat16."""
    from humalign.models.embeddings import forward

    paper, batch, most = profiles.load("paper"), bench.size.batch, WARM + bench.size.steps
    compute = dataclasses.replace(paper.compute, batch_images=batch)
    for who, name, until in (("teacher", bench.size.teacher, left() / 3), ("student", bench.size.student, 2)):
        with bench.device:  # random weights are made there in a second, by a processor in half a minute
            backbone = build(name, pretrained=False).to(memory_format=torch.channels_last)
        side, finished = backbone.size, []

        def alone(pixels: torch.Tensor, backbone: torch.nn.Module = backbone) -> tuple[torch.Tensor, ...]:
            return (backbone(pixels),)

        for _ in forward(alone, side, Repeated(batch, side), range(most * batch), bench.device, compute):
            finished.append(time.perf_counter())
            if len(finished) > WARM and left() < until:
                break
        rate = batch / interval(finished)
        bench.found(f"embed, {who}", rate, "pictures/s", f"{name} at {side}, bf16, batches of {batch}")
        bench.share(f"embed, {who}", rate * operations(backbone, side, bench.device))


def distillation(name: str, bfloat16: bool, compiled: bool, bench: Bench, left: Left) -> None:
    """Train a student as the profile does: where memory is too small, a step is taken in several passes."""
    size, backbone = bench.size, build(bench.size.student, pretrained=False)
    student, images, seconds = Student.of(backbone, 0), 3 * size.triplets, 0.0
    # A gradient takes twice the operations of the forward pass.
    needed = 3 * images * operations(student, backbone.size, torch.device("cpu"))
    bench.passes = bench.passes if compiled else 1  # what fits without the compiler fits with it
    engine = Engine(str(bench.device), bfloat16, compile=size.compile if compiled else None)
    while not seconds:
        engine = dataclasses.replace(engine, passes=bench.passes)
        try:
            seconds = step_seconds(student, backbone.size, size.triplets, engine, size.steps, left)
        except torch.OutOfMemoryError:
            if 2 * bench.passes > size.triplets:
                raise
            bench.passes *= 2
        gc.collect()
        torch.cuda.empty_cache()
    bench.found(name, 1 / seconds, "steps/s", f"{size.student}, passes of a step: {bench.passes}")
    bench.found(f"{name}, pictures", images / seconds, "pictures/s", f"{images:,} pictures a step")
    bench.share(name, needed / seconds)
    if bfloat16 and (plain := bench.figures.get("distil-fp32")):
        bench.found(f"{name}, times plain fp32", 1 / seconds / plain["value"], "times")


def loader(bench: Bench, left: Left) -> None:
    """Decode and squash photographs, for a store and for the teacher; read training steps from the store."""
    from humalign.chain.sets import size_of

    size, shown = bench.size, Photographs(bench.folder, bench.size.photographs, bench.workers)
    student, teacher = size_of(size.student), size_of(size.teacher)
    note = f"JPEG of 500 x 375, {bench.workers} workers"
    bench.found("squash", shown.squashed(student), "pictures/s", f"into a store at {student}, {note}")
    rate = shown.read(size.triplets, size.steps, str(bench.device))
    bench.found("read from the store", rate, "pictures/s", "to the device; one thread, file in memory")
    rate = shown.decoded(teacher, size.batch, left)
    bench.found("decode, teacher", rate, "pictures/s", f"squashed to {teacher}, {note}")


def clusters(bench: Bench, left: Left) -> None:
    """Cluster embeddings by k-means."""
    rate, note = bench.rates(left).clustered(bench.size.images)
    bench.found("clusters", rate, "pictures/s", note)


def labels(bench: Bench, left: Left) -> None:
    """Draw triplets across borders of clusters, label them, and write them with file names."""
    rate, note = bench.rates(left).labelled(bench.size.rows, bench.folder)
    bench.found("labels", rate, "rows/s", note)


def demo(bench: Bench, left: Left) -> None:
    """Compare the demo's distillation on the device with the processor's."""
    reference, was = distil_demo("cpu", *bench.size.demo), torch.backends.cudnn.allow_tf32
    bench.found("demo, processor", reference.rate, "steps/s", "float32")
    for kind, tf32 in (("demo", was), ("demo without TF32", False)):
        torch.backends.cudnn.allow_tf32 = tf32
        try:
            trained = distil_demo(str(bench.device), *bench.size.demo)
        finally:
            torch.backends.cudnn.allow_tf32 = was
        bench.found(f"{kind}, device", trained.rate, "steps/s", f"TF32 in convolutions: {tf32}")
        for what, value in trained.differences(reference).items():
            bench.found(f"{kind}, {what}", value, "difference", "largest, relative to the processor's")


# Each part with its share of --seconds.
PARTS: dict[str, tuple[float, Callable[[Bench, Left], None]]] = {
    "peak": (0.3, peak),
    "embedding": (1.0, embedding),
    "distil-fp32": (0.9, functools.partial(distillation, "distil-fp32", False, False)),
    "distil-bf16": (0.7, functools.partial(distillation, "distil-bf16", True, False)),
    "distil-compiled": (1.9, functools.partial(distillation, "distil-compiled", True, True)),
    "loader": (1.0, loader),
    "clusters": (1.2, clusters),
    "labels": (1.0, labels),
    "demo": (0.7, demo),
}


# ---- the whole ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def limit(seconds: float) -> Iterator[Left]:
    """Stop what runs inside after so many seconds, by an exception; yield how many are left."""
    ends = time.monotonic() + seconds

    def stop(*_: object) -> None:
        raise TimeoutError(f"the limit of {seconds:.0f} s is over: give more by --seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield lambda: ends - time.monotonic()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measure(bench: Bench, parts: Sequence[str], seconds: float) -> tuple[dict[str, str], dict[str, float]]:
    """Run the parts; return a line for each that failed, and the seconds of all."""
    failed, took = {}, {}
    for name in parts:
        share, run = PARTS[name]
        started = time.monotonic()
        try:
            with limit(share * seconds) as left:
                run(bench, left)
        except Exception as error:  # whatever a part meets, the others are worth measuring
            failed[name] = f"{type(error).__name__}: {complaint(error)}"
            print(f"{name}: failed: {failed[name]}", flush=True)
        took[name] = round(time.monotonic() - started, 1)
        gc.collect()
        torch.cuda.empty_cache()
    return failed, took


def goals(figures: dict[str, dict[str, Any]]) -> dict[str, bool | None]:
    """Print whether each goal is met, and return it; none where it was not measured."""
    met: dict[str, bool | None] = {}
    for name, least in GOALS.items():
        met[name] = figures[name]["value"] >= least if name in figures else None
        print(f"goal: {name}, at least {least}: {SAID[met[name]]}")
    return met


def about(toy: bool) -> dict[str, Any]:
    """Say where, when and with what the figures are measured."""
    every = {each.name: each.version for each in importlib.metadata.distributions()}
    versions = {name: every[name] for name in LIBRARIES if name in every}
    versions |= {"python": platform.python_version(), "cuda": torch.version.cuda}
    machine = f"{platform.system()} {platform.machine()}, {CORES} cores"
    gpu, date = "none" if toy else torch.cuda.get_device_name(), str(datetime.datetime.now(datetime.UTC).date())
    return {"machine": machine, "gpu": gpu, "date": date, "commit": commit(), "versions": versions, "tiny": toy}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="toy sizes, on the processor")
    parser.add_argument("--seconds", type=float, default=50.0, help="of a part, on average")
    parser.add_argument("--workers", type=int, default=min(16, CORES), help="processes, or threads, at work")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS], help="parts")
    parser.add_argument("--out", type=Path, default=Path("build/gpu.json"))
    given = parser.parse_args(arguments)
    toy = given.tiny or not torch.cuda.is_available()
    found = about(toy)
    print(f"{found['gpu']}, {found['machine']}, {found['date']}, commit {found['commit']}")
    if toy:
        print("toy sizes on the processor: these are no figures of a GPU, and the hours below say nothing")
    with tempfile.TemporaryDirectory() as folder:
        size, device = (tiny(), "cpu") if toy else (full(), "cuda")
        bench = Bench(size, torch.device(device), given.workers, Path(folder))
        failed, took = measure(bench, given.only, given.seconds)
    costs, met = table({name: each["value"] for name, each in bench.figures.items()}), goals(bench.figures)
    show(costs)
    found |= {"figures": bench.figures, "goals": met, "costs": costs, "failed": failed, "seconds": took}
    with replacing(given.out) as part:
        part.write_text(json.dumps(found, indent=1))
    print(f"\nin {sum(took.values()):.0f} s; all figures are in {given.out}")


if __name__ == "__main__":
    main()
