"""Ours against what installs by name, cblearn and rsatoolbox, in one run; what ours loses stands first.

    python -m venv PEERS && PEERS/bin/pip install cblearn
    python benchmarks/peers.py --cblearn PEERS/bin/python      a few minutes on one core
    python benchmarks/peers.py                                 without cblearn, which pins versions of its own

Seconds are of the processor, on one thread: medians of five turns, taken in turn; fits of embeddings are run
once. A part of the draws stands for all, where it says so.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import threadpoolctl
import torch

from humalign.chain.judged import things
from humalign.data.judgments import (
    Choices,
    agreement,
    cosine_similarities,
    random_triplets,
    unit_rows,
)
from humalign.errors import HumalignError
from humalign.evaluation import people, rsa
from humalign.evaluation.scores import resamples
from humalign.teach import vice

REPEATS, SEED = 5, 0
# As the 92 photographs; as the answers of THINGS; of the answers that embeddings are fitted to.
PHOTOGRAPHS, PEOPLE, DRAWS = 92, 16, 1000
OBJECTS, ANSWERS, DIM = 1854, 4_700_000, 512
SOME, FITTED, STEPS, BATCH, SEEDS = 300, 20_000, 1000, 4096, 3
PEOPLES = 1500, 16_384  # steps and batch for people's answers, as the profile things has them
CKL = """
import sys, time
import numpy as np
from cblearn.embedding import CKL
answers = np.load(sys.argv[1])
started = time.process_time()
# A query (i, j, k) says that j is nearer to i than k is; an odd one out says so twice.
i, j, k = answers.T
twice = np.concatenate([np.stack([i, j, k], 1), np.stack([j, i, k], 1)])
found = CKL(40, random_state=0).fit_transform(twice)
np.save(sys.argv[2], found)
print(time.process_time() - started)
"""


@dataclasses.dataclass(frozen=True)
class Race:
    """What both did, seconds of the processor, what both reached, and whether ours reached less."""

    what: str
    ours: float
    peer: float
    reached: str = ""
    less: bool = False

    @property
    def ratio(self) -> float:
        """Return how many times as long the peer takes."""
        return self.peer / self.ours

    def __str__(self) -> str:
        return f"{self.what:<76} {self.ours:9.2f} s {self.peer:9.2f} s   x {self.ratio:6.2f}   {self.reached}"


def timed(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def in_turn(ours: Callable[[], object], peer: Callable[[], object]) -> tuple[float, float]:
    """Return the medians of both, taken in turn; the first turn warms caches and is left out."""
    turns = [(timed(ours), timed(peer)) for _ in range(REPEATS + 1)][1:]
    one, other = (statistics.median(each) for each in zip(*turns, strict=True))
    return one, other


def bootstrap() -> Iterator[Race]:
    """Race rsatoolbox for draws of people and photographs together, without and with noise ceilings."""
    import rsatoolbox

    rng = np.random.default_rng(SEED)
    shared = rng.standard_normal((PHOTOGRAPHS, 20))
    judged = [shared + rng.standard_normal(shared.shape) for _ in range(PEOPLE)]
    matrices = np.stack([rsa.dissimilarities(each) for each in judged])
    model = rsa.dissimilarities(shared)
    rdms = rsatoolbox.rdm.RDMs(matrices, rdm_descriptors={"person": np.arange(PEOPLE)})
    fixed = rsatoolbox.model.ModelFixed("model", model)
    for ceilings, mine, theirs in ((False, 200, 50), (True, 100, 10)):
        weights = resamples(PHOTOGRAPHS, mine, SEED), resamples(PEOPLE, mine, SEED + 1)

        def ours(ceilings: bool = ceilings, weights: tuple[np.ndarray, np.ndarray] = weights) -> object:
            return rsa.with_people({"model": model}, matrices, *weights, ceilings)

        def peer(ceilings: bool = ceilings, theirs: int = theirs) -> None:
            with contextlib.redirect_stderr(io.StringIO()):
                rsatoolbox.inference.eval_bootstrap(
                    fixed, rdms, method="spearman", N=theirs, boot_noise_ceil=ceilings
                )

        one, other = in_turn(ours, peer)
        what = f"RSA, {DRAWS:,} draws of {PEOPLE} people and {PHOTOGRAPHS} photographs, "
        what += "with ceilings" if ceilings else "no ceilings"
        told = f"rsatoolbox; {mine} and {theirs} of the draws were run; ours draws each also alone"
        yield Race(what, one * DRAWS / mine, other * DRAWS / theirs, told)


def scoring() -> Iterator[Race]:
    """Race a line of NumPy for the odd-one-out accuracy of features, all answers single ones."""
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((OBJECTS, DIM), dtype=np.float32)
    triplets = random_triplets(np.arange(OBJECTS), ANSWERS, rng)
    shares = np.tile([1.0, 0.0, 0.0], (ANSWERS, 1))

    def ours() -> float:
        return float(agreement(cosine_similarities(x, triplets), shares).mean())

    def peer() -> float:
        unit = unit_rows(x)
        matrix, (i, j, k) = (unit @ unit.T).ravel(), triplets.T
        ij = matrix.take(OBJECTS * i + j)
        return float(((ij > matrix.take(OBJECTS * i + k)) & (ij > matrix.take(OBJECTS * j + k))).mean())

    assert ours() == peer()
    told = "NumPy, flat take; ours checks every triplet and share, and takes any shares"
    yield Race(f"accuracy on {ANSWERS / 1e6} M single answers, {DIM} features", *in_turn(ours, peer), told)


def observers(python: str) -> Iterator[Race]:
    """Race cblearn's CKL, 40 dimensions, for an observer model: of answers that the public VICE draws, and of people's answers."""
    known, rng = things(), np.random.default_rng(SEED)
    dimensions = known.published[np.sort(rng.permutation(len(known.published))[:SOME])]

    def answered() -> Choices:
        triplets = random_triplets(np.arange(SOME), FITTED, rng)
        chances = people.choices(dimensions, triplets).cumsum(1)
        return Choices(triplets, np.eye(3, dtype=int)[(chances > rng.random((FITTED, 1))).argmax(1)])

    drawn = answered(), answered()
    for whose, (answers, asked), objects, steps, batch in (
        ("drawn from the public VICE", drawn, SOME, STEPS, BATCH),
        ("people's", (known.training, known.validation), len(known.names), *PEOPLES),
    ):
        places, peer = _ckl(python, answers)
        theirs = _agrees(-((places[:, None] - places) ** 2).sum(2), asked)
        chances, taken, reached = np.zeros(asked.counts.shape), 0.0, []
        settings = {"dim": 80, "steps": steps, "batch": batch}
        for seed in range(SEEDS):
            fitted: list[vice.ViceEmbedding] = []
            # Each seed ends in other dimensions; the mean over seeds of the predictive distributions is the better observer.
            taken += timed(lambda: fitted.append(vice.fit(answers, objects, seed=seed, **settings)))  # type: ignore[arg-type]  # noqa: B023
            chances += fitted[0].predict(asked.triplets)
            reached.append(float(agreement(chances, asked.shares).mean()))
            if seed in (0, SEEDS - 1):
                told = f"cblearn's CKL, 40 dims, run once; on {len(asked):,} other answers: ours {reached[-1]:.3f}, CKL {theirs:.3f}"
                seeds = f", mean of {SEEDS} seeds" * (seed > 0)
                what = f"{len(answers):,} answers about {objects:,} objects, {whose}{seeds}"
                yield Race(what, taken, peer, told, reached[-1] < theirs)


def _ckl(python: str, answers: Choices) -> tuple[np.ndarray, float]:
    """Return the places that cblearn finds, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        given, left = Path(folder) / "answers.npy", Path(folder) / "places.npy"
        kept = np.array([(0, 1, 2), (0, 2, 1), (1, 2, 0)])[answers.counts.argmax(1)]  # the odd one last
        np.save(given, np.take_along_axis(answers.triplets, kept, axis=1))
        run = [python, "-c", CKL, str(given), str(left)]
        alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(run, capture_output=True, text=True, env=alone, check=False)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise HumalignError(f"{python} did not run cblearn: {said}")
        return np.load(left), float(done.stdout.split()[-1])


def _agrees(near: np.ndarray, asked: Choices) -> float:
    return float(agreement(people.pair_values(near, asked.triplets), asked.shares).mean())


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument(
        "--cblearn", metavar="PYTHON", help="the interpreter of an environment that holds cblearn"
    )
    asked = told.parse_args()
    torch.set_num_threads(1)
    races: list[Race] = []
    every: list[Callable[[], Iterator[Race]]] = [bootstrap, scoring]
    if asked.cblearn:
        every.append(lambda: observers(asked.cblearn))
    with threadpoolctl.threadpool_limits(1):
        for race in every:
            try:
                races += race()
            except (HumalignError, ImportError) as error:
                print(f"peers: left out: {error}", file=sys.stderr)
    print(f"{'ours loses first':<76} {'ours':>11} {'peer':>11}   ratio")
    for each in sorted(races, key=lambda race: (not race.less, race.ratio)):
        print(each)


if __name__ == "__main__":
    main()
