"""How many answers a teacher needs: agreement on things held out, by the number of answers a picture.

    python benchmarks/answers.py [--record book/recorded]

Pictures are the photographs of THINGS at hand, answers are drawn from the dimensions of the published VICE; one in five is a
guess. A quarter of the pictures is held out. Of several strengths of the regularisation the best on them is shown, so that the
figures say what is to be had, not what a choice among few answers finds.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from compare import keep
from scipy.special import softmax

from humalign.chain import registered
from humalign.chain.judged import things
from humalign.data.images import Files
from humalign.data.judgments import agreement, cosine_similarities, random_triplets
from humalign.errors import HumalignError
from humalign.evaluation import people
from humalign.models import backbones, embeddings
from humalign.teach.teacher import AffineTeacher

BACKBONE, PULLS = "efficientnet-lite2", (1.0, 0.1, 0.03, 0.01, 0.003)
PICTURES, EACH, GUESSES, ASKED, SEEDS = 60, (12, 25, 50, 100, 200), 0.2, 20_000, 4


def gains(x: np.ndarray, dimensions: np.ndarray, each: int, seed: int) -> tuple[float, float, float]:
    """Return the agreement of the centred backbone, of the best teacher, and of the observers' own likeliest choice."""
    rng, n = np.random.default_rng(seed), PICTURES
    some = rng.permutation(len(x))[:n]
    x, alike = x[some], people.dot_similarity(dimensions[some])

    def shares(asked: np.ndarray) -> np.ndarray:
        return (1 - GUESSES) * softmax(people.pair_values(alike, asked), axis=1) + GUESSES / 3

    learnt = random_triplets(np.arange(n), n * each // 3, rng)
    answers = np.eye(3)[[rng.choice(3, p=share) for share in shares(learnt)]]
    held = np.isin(np.arange(n), rng.permutation(n)[: n // 4])
    tested = random_triplets(np.arange(n), ASKED, rng)
    tested = tested[held[tested].any(1)]
    truth, kept, train = shares(tested), ~held[learnt].any(1), np.flatnonzero(~held)

    def agrees(places: np.ndarray) -> float:
        return float(agreement(cosine_similarities(places, tested), truth).mean())

    given = np.searchsorted(train, learnt[kept]), answers[kept]
    fits = (AffineTeacher(pull, iterations=40).fit(x[train], given).transform(x) for pull in PULLS)
    return agrees(x - x[train].mean(0)), max(map(agrees, fits)), float(truth.max(1).mean())


def measure() -> Iterator[dict[str, float]]:
    """Yield a line of the table for each number of answers a picture; accuracies and the gain in percent."""
    paths, rows = registered.photographs()
    dimensions = things().published[rows]
    x = embeddings.embed([Files(paths)], backbones.build(BACKBONE))["features"].values.astype(float)
    for each in EACH:
        base, best, most = 100 * np.mean([gains(x, dimensions, each, seed) for seed in range(SEEDS)], axis=0)
        yield {"each": each, "centred": base, "teacher": best, "gain": best - base, "most": most}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, help="a folder for answers.csv, which the book shows")
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(f"{PICTURES} photographs, {BACKBONE}; agreement on answers about things held out, mean of {SEEDS} draws, percent")
    found = []
    try:
        for line in measure():
            found.append(line)
            print(", ".join(f"{name} {value:.1f}" for name, value in line.items()), flush=True)
    except HumalignError as error:
        return print(f"answers: {error}")
    if options.record:
        keep(options.record, "answers", pd.DataFrame(found).round(2))
    return None


if __name__ == "__main__":
    main()
