"""What the teacher costs at the size of THINGS, against the plain way to write it: alternating runs, medians and their ratio.

What can run on a GPU is timed there too, where there is one, both ways on the same device. `official_size.py` times
whole fits.
"""

import functools
import resource
from collections.abc import Callable

import numpy as np
import torch
from compare import compare, heading
from torch import Tensor

from humalign import profiles
from humalign.data.judgments import PAIRS, agreement, cosine_similarities, random_triplets
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.objectives import cross_entropy, pair_similarities
from humalign.teach.vice import Prior, negative_bound

OBJECTS = 1854
DIM = 1152
# Answers in the published training set (nine tenths of 4.7 million), in all, and in the public part.
TRAINING, ALL, PUBLIC = 4_100_000, 4_700_000, 298_509
PREDECESSOR_BATCH = 256
# Answers in a step of VICE: as the profile things has them, and more.
VICE_BATCHES, VICE_DIM = (profiles.load("things").observer.batch, 65_536), profiles.load("things").observer.dim
DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def one_by_one(i: Tensor, j: Tensor, k: Tensor) -> Tensor:
    """Return the dot products of the pairs, the three columns given row by row."""
    return torch.stack([(i * j).sum(1), (i * k).sum(1), (j * k).sum(1)], dim=1)


@functools.cache
def identity(device: torch.device) -> Tensor:
    """Return the matrix whose rows are the one-hot codes of the objects."""
    return torch.eye(OBJECTS, device=device)


def one_hot(triplets: Tensor) -> Tensor:
    """Return three matrices (batch, objects), one a column of the triplets, with a one in every row."""
    return identity(triplets.device)[triplets.T]


def finished(run: Callable[[], object], device: str) -> Callable[[], None]:
    """Return a run that ends when its device has done the work, not when it was asked to."""

    def whole() -> None:
        run()
        if device == "cuda":
            torch.cuda.synchronize()

    return whole


def peak(device: str) -> float:
    """Return the most memory that this process has held at once on a device, in GB."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def full_gradient(device: str) -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = (torch.randn(OBJECTS, DIM, generator=generator) / DIM**0.5).to(device)
    matrix = torch.eye(DIM, device=device).requires_grad_()
    triplets = torch.from_numpy(random_triplets(np.arange(OBJECTS), TRAINING, np.random.default_rng(0))).to(device)
    targets = torch.tensor([1.0, 0.0, 0.0], device=device).expand(TRAINING, 3)
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
    before = peak(device)
    ours()
    print(f"{device}: peak memory {before:.2f} GB before the first full pass, {peak(device):.2f} GB after it", flush=True)
    compare(
        f"{device}: gradient of W, {TRAINING / 1e6} M triplets, {DIM:,} dims: one full pass / one-hot minibatches of {PREDECESSOR_BATCH}",
        finished(ours, device),
        finished(plain, device),
        TRAINING / PREDECESSOR_BATCH / few,
    )


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


def vice_pass(device: str, batch: int) -> None:
    generator = torch.Generator().manual_seed(0)
    answers = PUBLIC
    triplets = torch.from_numpy(random_triplets(np.arange(OBJECTS), answers, np.random.default_rng(0))).to(device)
    targets = torch.tensor([1.0, 0.0, 0.0], device=device).expand(answers, 3)
    mean = (0.1 * torch.rand(OBJECTS, VICE_DIM, generator=generator)).to(device).requires_grad_()
    log_std = torch.full((OBJECTS, VICE_DIM), -3.0, device=device).requires_grad_()
    prior, few = Prior(), 20

    def drawn() -> Tensor:
        mean.grad = log_std.grad = None
        return torch.randn(mean.shape, generator=generator).to(device)

    def ours(first: int = answers) -> None:
        for start in range(0, first, batch):
            rows = slice(start, min(start + batch, first))
            negative_bound(mean, log_std, drawn(), triplets[rows], targets[rows], prior, answers).backward()

    def plain(minibatches: int = few) -> None:
        for start in range(0, minibatches * PREDECESSOR_BATCH, PREDECESSOR_BATCH):
            rows = slice(start, start + PREDECESSOR_BATCH)
            noise = drawn()
            weights = mean + log_std.exp() * noise
            similar = one_by_one(*(one_hot(triplets[rows]) @ torch.relu(weights)))
            divergence = (-log_std - 0.5 * noise.square() - prior.log_density(weights)).sum() / answers
            (cross_entropy(targets[rows], similar).mean() + divergence).backward()

    gradients = []
    for run in (lambda: ours(PREDECESSOR_BATCH), lambda: plain(1)):
        generator.manual_seed(1)
        run()
        gradients.append(mean.grad)
    torch.testing.assert_close(*gradients)
    compare(
        f"{device}: VICE, a pass of {answers:,} answers, {VICE_DIM} dims: batches of {batch:,} / one-hot of {PREDECESSOR_BATCH}",
        finished(ours, device),
        finished(plain, device),
        answers / PREDECESSOR_BATCH / few,
    )


if __name__ == "__main__":
    torch.set_num_threads(2)
    heading()
    for device in DEVICES:
        full_gradient(device)
        for batch in VICE_BATCHES:
            vice_pass(device, batch)
    scoring()
