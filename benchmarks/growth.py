"""How the triplet chain grows: time, memory and bytes at three sizes, each twice the one before, beside what the formulas say.

    python benchmarks/growth.py                             prints the table
    python benchmarks/growth.py --record book/recorded      and keeps it there for the book, with machine, day and commit

The size of ImageNet under the paper's teacher, about 25 GB of free disk in --folder:

    python benchmarks/growth.py --images 1281167 --dim 1152 --each 8 --clusters 500 --folder FOLDER

Time is the processor's. Memory is what NumPy holds at most, counted by tracemalloc in a second run of each step.
"""

import argparse
import dataclasses
import math
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from compare import here, keep
from triplets import made_up, made_up_names, made_up_teacher, measured

from humalign import triplets
from humalign.triplets.auditing import SAMPLE

MB = 1e6


@dataclasses.dataclass(frozen=True)
class Size:
    """N images of d dimensions, R triplets, k clusters."""

    images: int
    dim: int
    rows: int
    clusters: int


@dataclasses.dataclass(frozen=True)
class Law:
    """What a step's time is proportional to, and how many bytes it holds at most and leaves on disk."""

    work: Callable[[Size], float]
    memory: Callable[[Size], float]
    disk: Callable[[Size], float] = lambda size: 0.0


def audited(size: Size) -> float:
    """Return what the audit holds: while it goes through the names, or while it compares a sample of rows with the embeddings."""
    different = size.images * (1 - math.exp(-3 * SAMPLE / size.images))  # images of the sample, were they drawn evenly
    compared = size.dim * max(12 * different, 4 * different + 8 * SAMPLE)
    return max(28 * size.rows + 430 * 2**16, 33 * size.rows + compared)


# `book/cluster.md` says where each number is from. Blocks are of 2^18 triplets (drawn), 2^13 embeddings (mapped), 2^16 rows (audited).
LAWS = {
    "k-means": Law(lambda s: s.images * s.dim * s.clusters, lambda s: 16 * s.images * s.dim),
    "draw": Law(lambda s: s.rows, lambda s: 12 * s.rows + 65 * min(s.rows, 2**18)),
    "map": Law(lambda s: s.images * s.dim**2, lambda s: 14 * s.dim * 2**13, lambda s: 2 * s.images * s.dim),
    "label": Law(lambda s: s.rows, lambda s: max(78 * s.rows, 66 * s.rows + 4 * min(s.images * s.dim, 2**28)), lambda s: 24 * s.rows),
    "audit": Law(lambda s: s.rows, audited),
}


@dataclasses.dataclass(frozen=True)
class Found:
    """Of one step at one size: seconds of the processor, bytes held at most, bytes left on disk."""

    seconds: float
    memory: int
    disk: int


def run(size: Size, folder: Path) -> dict[str, Found]:
    """Run every step of the chain, and return what each took."""
    names, found = made_up_names(size.images), {}
    embeddings = made_up(folder / "embeddings.npy", size.images, size.dim)
    teacher = made_up_teacher(embeddings)

    def step(name: str, make: Callable[[], object], left: str = "") -> object:
        with measured(f"{name}, {size.images:,} images, {size.rows:,} triplets") as measure:
            made = make()
        tracemalloc.start()
        make()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        found[name] = Found(measure.processor, most, (folder / left).stat().st_size if left else 0)
        return made

    groups = step("k-means", lambda: triplets.clusters(embeddings, size.clusters, seed=0))
    drawn = step("draw", lambda: triplets.draw("cluster-border", groups, size.rows, seed=0))
    space = step("map", lambda: triplets.mapped(folder / "space.npy", embeddings, teacher.transform), "space.npy")
    step("label", lambda: triplets.label_file(folder / "t.npz", space, drawn, names), "t.npz")
    findings = step("audit", lambda: triplets.audit_file(folder / "t.npz", embeddings, names))
    assert all(finding.ok for finding in findings), findings
    return found


def beside_the_laws(sizes: list[Size], found: list[dict[str, Found]]) -> pd.DataFrame:
    """Return a row for each step and size, measured beside predicted.

    A law of time has one constant, which the smallest size gives. So has the law of the file, for names that are deflated; memory
    has none.
    """
    rows, first = [], found[0]
    for name, law in LAWS.items():
        for number, (size, took) in enumerate(zip(sizes, (each[name] for each in found), strict=True)):
            seconds = first[name].seconds * law.work(size) / law.work(sizes[0])
            names = (first[name].disk - law.disk(sizes[0])) * law.disk(size) / max(law.disk(sizes[0]), 1)
            rows.append({
                "step": name, "images": f"{size.images:,}", "triplets": f"{size.rows:,}",
                "processor, s": f"{took.seconds:.2f}", "by the law, s": f"{seconds:.2f}" if number else "given",
                "memory, MB": f"{took.memory / MB:.1f}", "by the formula, MB": f"{law.memory(size) / MB:.1f}",
                "file, MB": f"{took.disk / MB:.1f}" if took.disk else "none",
                "by its law, MB": f"{(law.disk(size) + names) / MB:.1f}" if took.disk else "none",
            })
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 20_000, 40_000])
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--clusters", type=int, default=50)
    parser.add_argument("--each", type=int, default=50, help="triplets an image")
    parser.add_argument("--folder", type=Path, help="where the files go, which are deleted at the end")
    parser.add_argument("--record", type=Path, help="a folder for growth.csv and growth.txt")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    sizes, found = [Size(images, chosen.dim, chosen.each * images, chosen.clusters) for images in chosen.images], []
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            found.append(run(size, Path(folder)))
    table = beside_the_laws(sizes, found)
    print(table.to_string(index=False))
    if chosen.record:
        made = "on {date}, {machine}, one thread, commit {commit}".format(**here(1))
        size = f"$d = {chosen.dim}$, $k = {chosen.clusters}$, {chosen.each} triplets an image"
        keep(chosen.record, "growth", table, f"Measured by `benchmarks/growth.py` {made}: {size}.")


if __name__ == "__main__":
    main()
