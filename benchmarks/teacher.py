"""What the teacher costs at the size of THINGS, against the plain way to write it: alternating runs, medians and their ratio.

The answers of THINGS and CLIP's embeddings are used where HUMALIGN_DATA holds them, and numbers of the same sizes elsewhere.
"""

import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from compare import compare, heading
from sklearn.model_selection import GridSearchCV
from torch import Tensor

from humalign import readers
from humalign.errors import HumalignError
from humalign.judgments import PAIRS, ByObject, Choices, agreement, cosine_similarities, random_triplets
from humalign.mixed_effects import MixedEffectsTeacher
from humalign.objectives import cross_entropy, pair_similarities
from humalign.registry import locate
from humalign.splits import ObjectFolds
from humalign.vice import Prior

OBJECTS = 1854
DIM = 1152
# Answers in the published training set (nine tenths of 4.7 million), in all, and in the public part that HUMALIGN_DATA holds.
TRAINING, ALL, PUBLIC = 4_100_000, 4_700_000, 298_509
RESIDUALS = (0.15, 0.2, 0.3, 0.4)
PREDECESSOR_BATCH = 256
VICE_BATCH, VICE_DIM = 16_384, 80
IDENTITY = torch.eye(OBJECTS)


def one_by_one(i: Tensor, j: Tensor, k: Tensor) -> Tensor:
    """Return the dot products of the pairs, the three columns given row by row."""
    return torch.stack([(i * j).sum(1), (i * k).sum(1), (j * k).sum(1)], dim=1)


def one_hot(triplets: Tensor) -> Tensor:
    """Return three matrices (batch, objects), one a column of the triplets, with a one in every row."""
    return IDENTITY[triplets.T]


def peak() -> float:
    """Return the most memory that this process has held at once, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def full_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(OBJECTS, DIM, generator=generator) / DIM**0.5
    matrix = torch.eye(DIM).requires_grad_()
    triplets = torch.from_numpy(random_triplets(np.arange(OBJECTS), TRAINING, np.random.default_rng(0)))
    targets = torch.tensor([1.0, 0.0, 0.0]).expand(TRAINING, 3)
    few = 3

    def ours(rows: slice = slice(None)) -> None:
        matrix.grad = None
        cross_entropy(targets[rows], pair_similarities(embeddings @ matrix, triplets[rows])).mean().backward()

    def plain(minibatches: int = few) -> None:
        for start in range(0, minibatches * PREDECESSOR_BATCH, PREDECESSOR_BATCH):
            rows = slice(start, start + PREDECESSOR_BATCH)
            matrix.grad = None
            picked = one_hot(triplets[rows]).reshape(3 * PREDECESSOR_BATCH, OBJECTS) @ embeddings @ matrix
            cross_entropy(targets[rows], one_by_one(*picked.chunk(3))).mean().backward()

    ours(slice(PREDECESSOR_BATCH))
    gradient = matrix.grad
    plain(1)
    torch.testing.assert_close(gradient, matrix.grad)
    before = peak()
    ours()
    print(f"peak memory of the process: {before:.2f} GB before the first full pass, {peak():.2f} GB after it", flush=True)
    compare(
        f"gradient of W, {TRAINING / 1e6} M triplets at {DIM:,} dims: one full pass / one-hot minibatches of {PREDECESSOR_BATCH}",
        ours,
        plain,
        TRAINING / PREDECESSOR_BATCH / few,
    )


def whole_fit() -> None:
    embeddings, answers, origin = things()
    training, test = next(ObjectFolds().split(embeddings))
    search = GridSearchCV(MixedEffectsTeacher(), {"residual": RESIDUALS}, cv=ObjectFolds())
    started = time.perf_counter()
    search.fit(embeddings[training], answers[training])
    seconds = time.perf_counter() - started
    fits = len(RESIDUALS) * search.n_splits_ + 1
    print(
        f"whole fit, {origin}: {seconds:.1f} s for {fits} fits on {len(training):,} training objects, their "
        f"{len(answers[training].triplets):,} answers; residual {search.best_params_['residual']}, "
        f"accuracy on {len(test)} other objects {search.score(embeddings[test], answers[test]):.3f} (one run)",
        flush=True,
    )


def things() -> tuple[np.ndarray, ByObject, str]:
    """Return embeddings of the THINGS objects and answers about them, or simulated ones of the same size."""
    try:
        embeddings = readers.features(locate("things-clip-features"), OBJECTS)
        answers = readers.triplets(locate("things-answers"), OBJECTS)
        return embeddings, ByObject.of(answers, OBJECTS), "THINGS answers, CLIP ViT-B/32"
    except HumalignError:
        rng = np.random.default_rng(0)
        embeddings = (rng.standard_normal((OBJECTS, 512)) * np.arange(1, 513) ** -0.5).astype(np.float32)
        places = embeddings[:, :40] @ rng.standard_normal((40, 40)) / 3 + 0.3 * rng.standard_normal((OBJECTS, 40))
        triplets = random_triplets(np.arange(OBJECTS), PUBLIC, rng)
        similar = pair_similarities(torch.from_numpy(places), torch.from_numpy(triplets)).numpy()
        chosen = (similar + rng.gumbel(size=similar.shape)).argmax(1)
        choices = Choices(triplets, np.eye(3, dtype=int)[chosen])
        return embeddings, ByObject.of(choices, OBJECTS), "simulated answers (HUMALIGN_DATA holds none), 512 dims"


def scoring() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((OBJECTS, DIM)).astype(np.float32)
    teacher = MixedEffectsTeacher()
    teacher.matrix_ = rng.standard_normal((DIM, teacher.dim)).astype(np.float32)
    teacher.mean_, teacher.scale_, teacher.bias_ = embeddings.mean(0), DIM**0.5, np.zeros(teacher.dim, np.float32)
    triplets = random_triplets(np.arange(OBJECTS), ALL, rng)
    shares = np.eye(3)[rng.integers(3, size=ALL)]
    # The plain way is timed on one part of so many; in it, so many triplets are gathered at a time.
    parts, chunk = 20, 10_000

    def plain(features: Callable[[], np.ndarray]) -> None:
        rows = features()
        for start in range(0, ALL // parts, chunk):
            gathered = rows[triplets[start : start + chunk]]
            similar = np.stack([np.einsum("nd,nd->n", gathered[:, a], gathered[:, b]) for a, b in PAIRS], axis=1)
            agreement(similar, shares[start : start + chunk]).mean()

    compare(
        f"teacher's accuracy on {ALL / 1e6} M answers, {DIM:,} to {teacher.dim} dims: matrix and gather / dot products of each triplet",
        lambda: agreement(teacher.choice_probabilities(embeddings, triplets), shares).mean(),
        lambda: plain(lambda: teacher.transform(embeddings)),
        parts,
    )
    compare(
        f"cosines' accuracy on {ALL / 1e6} M answers, {DIM:,} dims: matrix and gather / dot products of each triplet",
        lambda: agreement(cosine_similarities(embeddings, triplets), shares).mean(),
        lambda: plain(lambda: embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)),
        parts,
    )


def vice_pass() -> None:
    generator = torch.Generator().manual_seed(0)
    triplets = torch.from_numpy(things()[1].triplets)
    answers = len(triplets)
    triplets = triplets[torch.randperm(answers, generator=generator)]
    mean = (0.1 * torch.rand(OBJECTS, VICE_DIM, generator=generator)).requires_grad_()
    log_std = torch.full((OBJECTS, VICE_DIM), -3.0).requires_grad_()
    prior, few = Prior(), 20

    def step(rows: Tensor, similar: Callable[[Tensor, Tensor], Tensor]) -> None:
        mean.grad = log_std.grad = None
        noise = torch.randn(mean.shape, generator=generator)
        weights = mean + log_std.exp() * noise
        likelihood = -torch.log_softmax(similar(torch.relu(weights), rows), dim=1)[:, 0].mean()
        divergence = (-log_std - 0.5 * noise.square() - prior.log_density(weights)).sum() / answers
        (likelihood + divergence).backward()

    def ours() -> None:
        for rows in triplets.split(VICE_BATCH):
            step(rows, pair_similarities)

    def plain() -> None:
        for rows in triplets[: few * PREDECESSOR_BATCH].split(PREDECESSOR_BATCH):
            step(rows, lambda weights, rows: one_by_one(*(one_hot(rows) @ weights)))

    compare(
        f"VICE, one pass over {answers:,} answers, {VICE_DIM} dims: batches of {VICE_BATCH:,} / one-hot batches of {PREDECESSOR_BATCH}",
        ours,
        plain,
        answers / PREDECESSOR_BATCH / few,
    )


if __name__ == "__main__":
    torch.set_num_threads(2)
    heading()
    for benchmark in (full_gradient, whole_fit, scoring, vice_pass):
        benchmark()
