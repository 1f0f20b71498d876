"""The answers of THINGS at the size of the public files: reading them, the observers' model, the teacher; seconds, and peak memory.

The files are made here, in the layouts of trainset.txt (4,120,663 answers) and of the table of all answers (4.7 million, with people and
response times), from a known space of the objects. Each measurement is a process of its own, so that its peak memory is its own.

    python benchmarks/official_size.py              about ten minutes on two cores
"""

import argparse
import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

OBJECTS, TRAINING, VALIDATION, ALL, REPEATED, DIM = 1854, 4_120_663, 453_642, 4_699_160, 20_000, 49
NAMES = tuple(f"object{number:04d}" for number in range(OBJECTS))
BLOCK = 500_000


def space() -> np.ndarray:
    """Return sparse, non-negative dimensions of the objects, about as sure of their choices as people are."""
    rng = np.random.default_rng(0)
    return (rng.random((OBJECTS, DIM)) < 0.2) * rng.gamma(2.0, 0.6, (OBJECTS, DIM))


def asked(answers: int, seed: int) -> np.ndarray:
    """Return answers to random triplets, the kept pair first and the odd one last."""
    rng, products = np.random.default_rng(seed), space() @ space().T
    blocks = []
    for start in range(0, answers, BLOCK):
        many = min(BLOCK, answers - start)
        i = rng.integers(OBJECTS, size=many)
        j = (i + rng.integers(1, OBJECTS, size=many)) % OBJECTS
        k = rng.integers(OBJECTS, size=many)
        k = np.where((k == i) | (k == j), (np.maximum(i, j) + 1) % OBJECTS, k)
        k = np.where((k == i) | (k == j), (np.maximum(i, j) + 2) % OBJECTS, k)
        rows = np.stack([i, j, k], 1)
        similar = np.stack([products[i, j], products[i, k], products[j, k]], 1) + rng.gumbel(size=(many, 3))
        order = np.array([[0, 1, 2], [0, 2, 1], [1, 2, 0]])[similar.argmax(1)]
        blocks.append(np.take_along_axis(rows, order, axis=1))
    return np.concatenate(blocks)


def make(folder: Path) -> None:
    """Write both files."""
    np.savetxt(folder / "trainset.txt", asked(TRAINING, 1), "%d")
    rng, rows = np.random.default_rng(2), asked(ALL, 3)
    part = np.zeros(ALL, int)
    part[:REPEATED] = 1
    rows[:REPEATED] = np.repeat(rows[: REPEATED // 20], 20, axis=0)
    choice, people = rng.integers(1, 4, ALL), rng.integers(12_340, size=ALL)
    shown = rows + 1
    # The odd one stands in the place that `choice` names.
    swapped = np.take_along_axis(shown, np.array([[2, 1, 0], [0, 2, 1], [0, 1, 2]])[choice - 1], axis=1)
    header = "image1\timage2\timage3\tchoice\tRT\tnoise_ceiling\tsubject_id\tHIT_nr\ttrial_nr\tage\tgender\tdate\ttime\tdataset"
    with open(folder / "table.csv", "w", encoding="utf-8") as file:
        print(header, file=file)
        for start in range(0, ALL, BLOCK):
            block = slice(start, start + BLOCK)
            times = rng.integers(400, 9000, len(choice[block]))
            cells = zip(*swapped[block].T, choice[block], times, part[block], people[block], strict=True)
            file.writelines(
                f"{a}\t{b}\t{c}\t{d}\t{rt}\t{p}\tA{s:05d}\t7\t3\t31\tf\t2017-08-04\t12:30:01\t1\n" for a, b, c, d, rt, p, s in cells
            )


def read_split(folder: Path) -> str:
    from humalign.data import readers_answers

    return f"{len(readers_answers.training(folder / 'trainset.txt', NAMES)):,} answers"


def read_table(folder: Path) -> str:
    from humalign.data import readers_answers

    read = {part: getattr(readers_answers, part)(folder / "table.csv", NAMES) for part in ("training", "validation", "repeated")}
    return ", ".join(f"{each.counts.sum():,} for {part}" for part, each in read.items())


def observers(folder: Path) -> str:
    from humalign import profiles
    from humalign.data import readers_answers
    from humalign.data.judgments import agreement
    from humalign.teach import vice

    things, answers = profiles.load("things"), readers_answers.training(folder / "trainset.txt", NAMES)
    fitted = vice.fit(answers, OBJECTS, dim=things.observer.dim, steps=things.observer.steps, batch=things.observer.batch, seed=0)
    held = asked(VALIDATION, 9)
    right = agreement(fitted.predict(held), np.tile([1.0, 0.0, 0.0], (len(held), 1))).mean()
    return f"{things.observer.steps:,} steps, {fitted.mean.shape[1]} dimensions, {right:.3f} on other answers"


def teacher(folder: Path) -> str:
    from sklearn.model_selection import GridSearchCV

    from humalign import profiles
    from humalign.data import readers_answers
    from humalign.data.judgments import ByObject
    from humalign.teach.mixed_effects import MixedEffectsTeacher
    from humalign.teach.splits import ObjectFolds

    things, rng = profiles.load("things"), np.random.default_rng(5)
    features = np.concatenate([space(), rng.standard_normal((OBJECTS, 512 - DIM))], axis=1).astype(np.float32)
    answers = ByObject.of(readers_answers.training(folder / "trainset.txt", NAMES), OBJECTS)
    train, test = next(iter(ObjectFolds(things.teachers[0].parts.folds).split(features)))
    grid = {"residual": list(things.teachers[0].residuals), "ridge": list(things.teachers[0].ridges)}
    search = GridSearchCV(MixedEffectsTeacher(), grid, cv=ObjectFolds(3, 0)).fit(features[np.sort(train)], answers[np.sort(train)])
    score = search.score(features[np.sort(test)], answers[np.sort(test)])
    return f"one fold of the profile things, {len(answers[np.sort(train)].triplets):,} answers inside it, {score:.3f} on unseen objects"


MEASURED: dict[str, Callable[[Path], str]] = {
    "read trainset.txt": read_split, "read the table of all answers, thrice": read_table, "VICE": observers, "teacher": teacher,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where the files are, or are made")
    parser.add_argument("--one", choices=MEASURED, help="measure this alone, in this process")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        if options.one:
            started = time.perf_counter()
            said = MEASURED[options.one](folder)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            print(f"{options.one}: {time.perf_counter() - started:.1f} s, peak {peak:.1f} GB; {said}", flush=True)
            return
        if not (folder / "table.csv").is_file():
            make(folder)
        for name in MEASURED:
            subprocess.run([sys.executable, __file__, "--folder", str(folder), "--one", name], check=True)


if __name__ == "__main__":
    main()
