"""What the profiles at the paper's scale cost on one GPU: hours by step, from the rates that `gpu.py` left.

    python benchmarks/paper.py build/gpu.json

Numbers of pictures, triplets, steps and students are the profile's. Left out are the observers' model, the
teacher's fit, its map of the embeddings, and the scores themselves, which are the processor's, and the judged
sets, of a few thousand pictures. Every student is taken to cost as much as ViT-B/16 at 224 pixels.
"""

import argparse
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from humalign import profiles
from humalign.profiles import Profile

# The student that is measured: its size is that of the official ones.
STUDENT = "timm:vit_base_patch16_224"

# An aligned student and its control, trained alike on triplets of the same pictures.
STAGES = 2
# Sets of labelled photographs that models are scored on: CIFAR-10, and the textures of DTD.
LABELLED_SETS = 2
# Those that need a GPU, and pictures of pools that no setting counts.
PROFILES = ("paper", "released", "open")
POOLS = {"hf:detection-datasets/coco/train": 117_266}


@dataclasses.dataclass(frozen=True)
class Size:
    """How much `gpu.py` measures. Of growing numbers it takes the next where there should be time."""

    teacher: str                # backbones by name
    student: str
    compile: str                # a backend of torch.compile
    side: int                   # of square matrices
    batch: int                  # pictures a forward pass
    triplets: int               # a training step, of three pictures each
    steps: int                  # that are timed, at most
    photographs: int            # to decode
    images: tuple[int, ...]     # to cluster, growing; triplets are drawn among the last number
    dim: int                    # of their embeddings
    clusters: int
    rows: tuple[int, ...]       # triplets to label, growing
    demo: tuple[int, int]       # pictures and steps


def full() -> Size:
    """Return the sizes of the profile paper."""
    paper = profiles.load("paper")
    images, rows = (120_000, 480_000, paper.data.imagenet_pictures), (500_000, paper.triplets.number)
    forward = paper.labeller.backbones[0], STUDENT, paper.compute.compile, 8192, paper.compute.batch_images
    training = paper.distillation.batch_triplets, 20, 16_384
    return Size(*forward, *training, images, paper.labeller.rank, paper.triplets.clusters, rows, (512, 30))


def tiny() -> Size:
    """Return sizes for seconds on a processor."""
    networks = "timm:test_vit3", "timm:test_vit", "eager"
    return Size(*networks, 256, 8, 4, 3, 24, (200, 400), 16, 5, (500, 2_000), (12, 3))


@dataclasses.dataclass(frozen=True)
class Cost:
    """One step of a profile: so many pieces of work, at the lowest of some rates, for so many models."""

    step: str
    count: int
    rates: tuple[str, ...]
    models: int = 1

    def hours(self, rates: Mapping[str, float]) -> float | None:
        """Return the hours of the step; none where a rate was not measured."""
        if not all(name in rates for name in self.rates):
            return None
        return self.count / min(rates[name] for name in self.rates) / 3600


def costs(profile: Profile) -> Iterator[Cost]:
    """Yield the steps of a profile that take long."""
    imagenet, models = profile.data.pool == "imagenet-train", len(profile.students)
    if profile.teachers:
        pool = profile.data.imagenet_pictures if imagenet else POOLS[profile.data.pool]
        compiled = "compiled" if profile.compute.compile != "none" else "bf16"
        kind = compiled if profile.compute.precision == "bfloat16" else "fp32"
        taught = STAGES * models
        yield Cost("squash the pool for students", pool, ("squash",))
        yield Cost("embed the pool by the teacher's backbone", pool, ("embed, teacher", "decode, teacher"))
        yield Cost("cluster the pool", pool, ("clusters",))
        yield Cost("label triplets, twice", STAGES * profile.triplets.number, ("labels",))
        steps = taught * profile.distillation.steps
        yield Cost("train students and controls", steps, (f"distil-{kind}",), taught)
        models += taught
    validation = profile.data.imagenet_validation if imagenet else 0
    scored = LABELLED_SETS * profile.data.labelled_images + validation
    yield Cost("squash pictures to score on", scored, ("squash",))
    yield Cost("embed them by every model", models * scored, ("embed, student",), models)


def table(rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return a row for each step of each profile, and one for all of them."""
    rows: list[dict[str, Any]] = []
    for profile in map(profiles.load, PROFILES):
        hours = []
        for cost in costs(profile):
            hours.append(cost.hours(rates))
            rows.append({"profile": profile.name, **dataclasses.asdict(cost), "hours": hours[-1]})
        whole = None if None in hours else sum(hour for hour in hours if hour)
        rows.append({"profile": profile.name, "step": "all", "hours": whole})
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    print(f"\n{'profile':<16} {'step':<40} {'pieces':>11} {'hours':>12} {'of one':>8}  by the rate of")
    for row in rows:
        hours, models = row["hours"], row.get("models", 1)
        whole, each = ("not measured", "") if hours is None else (f"{hours:,.3g}", f"{hours / models:,.3g}")
        pieces, each = (f"{row['count']:,}" if "count" in row else ""), each if models != 1 else ""
        rates = "; ".join(row.get("rates", ()))
        print(f"{row['profile']:<16} {row['step']:<40} {pieces:>11} {whole:>12} {each:>8}  {rates}")


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("file", type=Path, nargs="?", default=Path("build/gpu.json"), help="that gpu.py left")
    path = parser.parse_args().file
    if not path.is_file():
        return print(f"no figures at {path}: run benchmarks/gpu.py first")
    found = json.loads(path.read_text("utf-8"))
    print(f"{found['gpu']}, {found['date']}{', toy sizes: no figures of a GPU' if found['tiny'] else ''}")
    return show(table({name: figure["value"] for name, figure in found["figures"].items()}))


if __name__ == "__main__":
    main()
