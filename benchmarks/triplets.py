"""Triplets of made-up embeddings on disk, for `growth.py` and `gpu.py`, which measure the chain of them.

Alone, this file compares labels, and the check of names, with the plain way to write them.
"""

import contextlib
import dataclasses
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from compare import compare, heading

from humalign import triplets
from humalign.data.judgments import PAIRS
from humalign.teach.teacher import AffineTeacher
from humalign.triplets import layout, naming

CLASSES = 1000
BLOCK = 2**14


def resident() -> float:
    """Return the gigabytes this process holds, pages of files not counted (Linux)."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) / 2**20


@dataclasses.dataclass
class Measure:
    """What a block took: seconds, seconds of the processor, and gigabytes, at the start and at most."""

    seconds: float = 0.0
    processor: float = 0.0
    before: float = 0.0
    peak: float = 0.0


@contextlib.contextmanager
def measured(what: str) -> Iterator[Measure]:
    """Print how long the block takes, and the most memory seen in it beside pages of files; the same is yielded, filled in at its end."""
    found = Measure(before=resident())
    stopped, seen = threading.Event(), [found.before]

    def watch() -> None:
        while not stopped.wait(0.02):
            seen.append(resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started, spent = time.perf_counter(), time.process_time()
    try:
        yield found
    finally:
        found.seconds, found.processor = time.perf_counter() - started, time.process_time() - spent
        stopped.set()
        watcher.join()
        found.peak = max(seen)
    print(f"{what:<70} {found.seconds:8.1f} s   processor {found.processor:8.1f} s   peak {found.peak:5.2f} GB", flush=True)


def made_up(path: Path, images: int, dim: int) -> np.ndarray:
    """Write embeddings in half precision, sorted by class, block by block."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLASSES, dim), dtype=np.float32)
    found = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(images, dim))
    for start in range(0, images, BLOCK):
        rows = np.arange(start, min(start + BLOCK, images))
        found[rows] = centres[rows * CLASSES // images] + 1.5 * rng.standard_normal((len(rows), dim), dtype=np.float32)
    found.flush()
    return np.load(path, mmap_mode="r")


def made_up_names(images: int) -> np.ndarray:
    """Return file names like ImageNet's."""
    synset = 1440764 + 9973 * (np.arange(images) * CLASSES // images)
    return np.array([f"n{s:08d}/n{s:08d}_{i % 30000}.JPEG" for i, s in enumerate(synset)], dtype="S")


def made_up_teacher(embeddings: np.ndarray) -> AffineTeacher:
    teacher, some = AffineTeacher(), embeddings[:: max(1, len(embeddings) // 5000)].astype(np.float32)
    dim = embeddings.shape[1]
    teacher.mean_, teacher.scale_ = some.mean(0), float(np.sqrt(some.var(0).sum()))
    teacher.matrix_ = (3 * np.eye(dim) + 0.3 * np.random.default_rng(1).standard_normal((dim, dim)) / np.sqrt(dim)).astype(np.float32)
    teacher.bias_ = np.zeros(dim, np.float32)
    return teacher


def row_by_row(embeddings: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Label triplets the plain way: each row's three vectors are looked up as it comes."""
    found = np.empty((len(drawn), 3), np.float32)
    for start in range(0, len(drawn), BLOCK):
        vectors = embeddings[drawn[start : start + BLOCK]].astype(np.float32)
        found[start : start + BLOCK] = np.stack([(vectors[:, a] * vectors[:, b]).sum(1) for a, b in PAIRS], axis=1)
    return found


def names_by_sorting(indices: np.ndarray, filenames: np.ndarray) -> bool:
    """Compare names with indices the plain way: all indices are sorted to find the first name of each."""
    _, first, inverse = np.unique(indices, return_index=True, return_inverse=True)
    return bool((filenames.ravel()[first][inverse.reshape(indices.shape)] == filenames).all())


# ---- for gpu.py --------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Rates:
    """How fast random embeddings are clustered, and triplets of them labelled, while ``left`` says there is time.

    Attributes:
        embeddings: (images, dim), in memory.
        k: clusters.
        workers: threads.
    """

    embeddings: np.ndarray
    k: int
    workers: int
    left: Callable[[], float]

    def clustered(self, images: Sequence[int]) -> tuple[float, str]:
        """Return images a second, of the largest number of images that fits in the time, and a note."""
        done, rate = self._grown(images, lambda n: triplets.clusters(self.embeddings[:n], self.k, seed=0))
        return rate, f"{done:,} x {self.embeddings.shape[1]:,}, k = {self.k}, on the processor"

    def labelled(self, rows: Sequence[int], folder: Path) -> tuple[float, str]:
        """Return rows a second of triplets drawn across cluster borders, labelled and written, and a note."""
        images, dim = self.embeddings.shape
        groups, names = np.random.default_rng(0).integers(self.k, size=images), made_up_names(images)

        def run(n: int) -> None:
            drawn = triplets.draw("cluster-border", groups, n, 0, self.workers)
            triplets.label_file(folder / "t.npz", self.embeddings, drawn, names, self.workers)

        done, rate = self._grown(rows, run)
        return rate, f"{done:,} rows among {images:,} x {dim:,}, on the processor"

    def _grown(self, sizes: Sequence[int], run: Callable[[int], object]) -> tuple[int, float]:
        """Run at growing sizes while the next should fit in the time left; return the last, and its rate."""
        done, seconds = 0, 0.0
        for size in sizes:
            if done and seconds * size / done > 0.9 * self.left():
                break
            started = time.perf_counter()
            run(size)
            done, seconds = size, time.perf_counter() - started
        return done, done / seconds


# ---- alone -------------------------------------------------------------------------------------------------


def main() -> None:
    images, rows = 10_000, 200_000
    with tempfile.TemporaryDirectory() as folder:
        embeddings, names = made_up(Path(folder) / "e.npy", images, 128), made_up_names(images)
        drawn = triplets.draw("cluster-border", np.arange(images) * CLASSES // images, rows, seed=0)
        labelled = triplets.label(embeddings, drawn, names)
        heading()
        compare(
            f"labels of {rows:,} triplets by the backbone: sorted by blocks of images / row by row",
            lambda: triplets.similarities(embeddings, drawn, workers=2),
            lambda: row_by_row(embeddings, drawn),
        )
        compare(
            "names against indices: table of first names / all indices sorted",
            lambda: naming.check(labelled.indices, layout.Names.of(labelled.filenames)),
            lambda: names_by_sorting(labelled.indices, labelled.filenames),
        )


if __name__ == "__main__":
    main()
