"""What the predecessor's objective (gLocal) reaches on the answers of THINGS, written plainly, on objects that it was not fitted to.

Embeddings are standardised by one mean and one standard deviation, over all their values; z = W x + b starts at W = 1e-3 I, b = 1e-3;
the loss is the cross-entropy of the softmax over a triplet's three dot products plus λ‖W - mean(diag W) I‖². Adam at 1e-3 takes
minibatches of 256 triplets, and stops when the loss on objects held out for that no longer falls. The answers choose λ inside the
training objects of each fold; then W is fitted to all training objects for as many passes as were best there.

Left out: the locality term, which needs a pool of unlabelled images. Written differently only where that changes nothing but time: rows
are gathered instead of multiplied by one-hot matrices, each object of a minibatch is mapped once, and held-out answers are one step.

    HUMALIGN_DATA=FOLDER python benchmarks/predecessor.py            six to ten minutes on two cores
"""

import argparse
import copy
import time

import numpy as np
import torch
from torch import Tensor

from humalign import readers
from humalign.errors import HumalignError
from humalign.judgments import ByObject, agreement, cosine_similarities
from humalign.objectives import cross_entropy, pair_similarities, pull_to_scaled_identity
from humalign.registry import locate
from humalign.splits import ObjectFolds

OBJECTS = 1854
LAMBDAS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.01, 0.001, 0.0001)
BATCH, RATE, START = 256, 1e-3, 1e-3
PASSES, PATIENCE = 100, 5


class Linear(torch.nn.Module):
    """z = W x + b, from W = 1e-3 I and b = 1e-3."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.matrix = torch.nn.Parameter(START * torch.eye(dim))
        self.bias = torch.nn.Parameter(torch.full((dim,), START))

    def forward(self, rows: Tensor) -> Tensor:
        return rows @ self.matrix.T + self.bias


def surprise(places: Tensor, answers: ByObject) -> Tensor:
    """Return the mean cross-entropy of answers, all in one step."""
    return cross_entropy(torch.from_numpy(answers.shares).float(), pair_similarities(places, torch.from_numpy(answers.triplets))).mean()


def one_pass(model: Linear, optimiser: torch.optim.Optimizer, embeddings: Tensor, answers: ByObject, weight: float) -> None:
    """Take one step a minibatch, through the answers in a new order."""
    triplets, targets = torch.from_numpy(answers.triplets), torch.from_numpy(answers.shares).float()
    for rows in torch.randperm(len(triplets)).split(BATCH):
        shown, local = triplets[rows].unique(return_inverse=True)
        i, j, k = model(embeddings[shown]).index_select(0, local.T.flatten()).chunk(3)
        loss = cross_entropy(targets[rows], torch.stack([(i * j).sum(1), (i * k).sum(1), (j * k).sum(1)], dim=1)).mean()
        optimiser.zero_grad()
        (loss + weight * pull_to_scaled_identity(model.matrix)).backward()
        optimiser.step()


def fit(
    embeddings: Tensor, answers: ByObject, weight: float, passes: int, held_out: tuple[Tensor, ByObject] | None = None
) -> tuple[Linear, int, float]:
    """Fit W and b; with objects held out, stop when their loss has not fallen for a while, and go back to its least.

    Returns:
        The map, how many passes it took, and the loss on the objects held out.
    """
    torch.manual_seed(0)
    model = Linear(embeddings.shape[1])
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    best, taken, least = model, passes, np.inf
    for done in range(1, passes + 1):
        one_pass(model, optimiser, embeddings, answers, weight)
        if held_out is None:
            continue
        with torch.no_grad():
            loss = surprise(model(held_out[0]), held_out[1]).item()
        if loss < least:
            best, taken, least = copy.deepcopy(model), done, loss
        elif done >= taken + PATIENCE:
            break
    return best, taken, least


def accuracies(places: np.ndarray, answers: ByObject) -> tuple[float, float]:
    """Return the odd-one-out accuracy of dot products and of cosines."""
    dots = pair_similarities(torch.from_numpy(places), torch.from_numpy(answers.triplets)).numpy()
    cosines = cosine_similarities(places, answers.triplets)
    return float(agreement(dots, answers.shares).mean()), float(agreement(cosines, answers.shares).mean())


def one_fold(
    embeddings: np.ndarray, answers: ByObject, training: np.ndarray, test: np.ndarray, lambdas: list[float], inner: int
) -> np.ndarray:
    """Choose λ inside the training objects, fit it to all of them, and print and return the accuracies on the test objects."""
    started = time.perf_counter()
    standard = ((embeddings - embeddings[training].mean()) / embeddings[training].std()).astype(np.float32)
    inputs, own = torch.from_numpy(standard[training]), answers[training]
    tried: dict[float, tuple[float, float]] = {}
    for weight in lambdas:
        found = []
        for fitting, validating in list(ObjectFolds().split(inputs))[:inner]:
            held_out = (inputs[validating], own[validating])
            _, passes, loss = fit(inputs[fitting], own[fitting], weight, PASSES, held_out)
            found.append((loss, passes))
        loss, passes = np.mean(found, axis=0)
        tried[weight] = (float(loss), float(passes))
        print(f"  λ = {weight:<7g} loss on objects held out {loss:.4f} after {passes:.0f} passes", flush=True)
    weight = min(tried, key=lambda candidate: tried[candidate][0])
    model, passes, _ = fit(inputs, own, weight, round(tried[weight][1]))
    with torch.no_grad():
        places = model(torch.from_numpy(standard[test])).numpy()
    row = np.array([*accuracies(standard[test], answers[test]), *accuracies(places, answers[test])])
    print(f"  λ = {weight:g}, {passes} passes, {time.perf_counter() - started:.0f} s: {row[2]:.4f} by dot product, {row[3]:.4f} by cosine")
    return row


def main() -> None:
    told = argparse.ArgumentParser(description="The predecessor's objective on THINGS.")
    told.add_argument("--folds", type=int, default=3, help="how many of the three folds to run")
    told.add_argument("--inner", type=int, default=3, choices=(1, 2, 3), help="how many of the three inner folds choose λ")
    told.add_argument("--lambdas", type=float, nargs="+", default=list(LAMBDAS))
    chosen = told.parse_args()
    try:
        embeddings = readers.features(locate("things-clip-features"), OBJECTS)
        answers = ByObject.of(readers.triplets(locate("things-answers"), OBJECTS), OBJECTS)
    except HumalignError as error:
        print(f"predecessor: not run: {error}")
        return
    torch.set_num_threads(2)
    print(f"gLocal's objective on THINGS, {embeddings.shape[1]} dims of CLIP ViT-B/32, without the locality term (no unlabelled images)")
    rows = []
    for fold, (training, test) in list(enumerate(ObjectFolds().split(embeddings)))[: chosen.folds]:
        print(f"fold {fold}: {len(answers[training].triplets):,} answers to fit, {len(answers[test].triplets):,} to test", flush=True)
        rows.append(one_fold(embeddings, answers, training, test, chosen.lambdas, chosen.inner))
    print(f"{'accuracy on unseen objects':<28} " + " ".join(f"{'fold ' + str(fold):>8}" for fold in range(len(rows))) + f" {'mean':>8}")
    for name, values in zip(("base, dot product", "base, cosine", "gLocal, dot product", "gLocal, cosine"), np.array(rows).T, strict=True):
        print(f"{name:<28} " + " ".join(f"{value:8.4f}" for value in values) + f" {values.mean():8.4f}")


if __name__ == "__main__":
    main()
