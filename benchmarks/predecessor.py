"""What the predecessor (gLocal) reaches on the answers of THINGS, by its own recipe, on objects that it was not fitted to.

Embeddings are standardised by one mean and one standard deviation, over all their values; z = W x + b starts at W = 1e-3 I, b = 1e-3;
the loss is the cross-entropy of the softmax over a triplet's three dot products plus λ‖W - mean(diag W) I‖². Adam at 1e-3 takes
minibatches of 256 triplets, and stops when the loss on objects held out for that no longer falls. The answers choose λ inside the
training objects of each fold; then W is fitted to all training objects for as many passes as were best there.

Left out: the locality term. It needs embeddings of unlabelled images by the same backbone, and those that come with the judgments are of
the judged objects alone. The term would not teach odd-one-out choices: it keeps neighbourhoods, at some cost to them. Held back, for
time: the published code goes on for 15 passes without gain, not 5, and starts at a third of the learning rate. Written differently only
where that changes nothing but time: rows are gathered instead of multiplied by one-hot matrices, each object of a minibatch is mapped
once, and held-out answers are one step.

    HUMALIGN_DATA=FOLDER python benchmarks/predecessor.py --inner 1 --rows predecessor.csv      six to ten minutes; leaves a table of scores
    HUMALIGN_DATA=FOLDER python benchmarks/predecessor.py --rows predecessor.csv                three times that
    HUMALIGN_DATA=FOLDER python benchmarks/predecessor.py --transform transform.npz             a released transform beside it

The recorded table, ``book/recorded/predecessor.csv``, is that of the first command: one inner fold chooses λ.

The rows are of the profile things: its folds, its answers, its bootstrap over objects; they stand beside those of ``humalign run``.
"""

import argparse
import copy
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from humalign import profiles
from humalign.artefacts import replacing
from humalign.chain.judged import CLIP, object_folds, things
from humalign.data.datafiles import AGAIN, parsed
from humalign.data.judgments import ByObject, cosine_similarities
from humalign.errors import HumalignError
from humalign.evaluation import people, scores
from humalign.evaluation.scores import Estimate, mean_of_folds, resamples
from humalign.teach.objectives import cross_entropy, pair_similarities, pull_to_scaled_identity
from humalign.teach.splits import ObjectFolds
from humalign.teach.teacher import AffineTeacher

LAMBDAS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.01, 0.001, 0.0001)
BATCH, RATE, START = 256, 1e-3, 1e-3
PASSES, PATIENCE = 100, 5


# ---- the released transforms -----------------------------------------------------------------------------------------


def released(path: str | Path) -> AffineTeacher:
    """Read one of the predecessor's transforms, ``transform.npz``, as a teacher.

    z = (x - mean) / std @ weights + bias, for row vectors x of the features that it was fitted to.
    ``mean`` and ``std`` are of the THINGS features over all their values, or one a dimension; ``bias`` may be absent.

    Raises:
        HumalignError: an array that is missing, not finite or of another shape, or a ``std`` that is not above zero.

    Source: Muttenthaler, Linhardt, Dippel, Vandermeulen, Hermann, Lampinen, Kornblith (2023), Improving neural network
    representations using human similarity judgments; ``transforms/MODEL/LAYER/transform.npz`` of github.com/LukasMut/gLocal.
    """
    found: dict[str, Any] = parsed(path, _arrays)
    for name in ("weights", "mean", "std"):
        if name not in found:
            raise HumalignError(f"{path}: no {name!r} among {sorted(found)}: give a transform.npz that was saved with mean and std")
    weights = found["weights"]
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise HumalignError(f"{path}: weights of shape {weights.shape} instead of a square matrix: {AGAIN}")
    dim = len(weights)
    bias, mean, std = (_vector(path, name, found[name], dim) for name in ("bias", "mean", "std"))
    if not np.isfinite(weights).all() or (std <= 0).any():
        raise HumalignError(f"{path}: weights that are not finite, or a std that is not above zero: {AGAIN}")
    teacher = AffineTeacher()
    # One scale for all dimensions is the teacher's own; one a dimension goes into the matrix.
    teacher.scale_ = float(std[0]) if (std == std[0]).all() else 1.0
    teacher.matrix_ = (weights * (teacher.scale_ / std)[:, None]).astype(np.float32)
    teacher.mean_, teacher.bias_ = mean, bias.astype(np.float32)
    return teacher


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        found = {name: np.asarray(file[name], dtype=np.float64) for name in file.files}
    return {"bias": np.zeros(())} | found


def _vector(path: str | Path, name: str, value: np.ndarray, dim: int) -> np.ndarray:
    if value.size not in (1, dim) or not np.isfinite(value).all():
        raise HumalignError(f"{path}: {name} of shape {value.shape} for {dim} dimensions, or not finite: {AGAIN}")
    return np.broadcast_to(value.reshape(-1), (dim,)).copy()


# ---- the recipe ------------------------------------------------------------------------------------------------------


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


def accuracies(places: np.ndarray, answers: ByObject, weights: np.ndarray) -> dict[str, Estimate]:
    """Return the odd-one-out accuracy of dot products, which the objective knows, and of cosines (unit: object)."""
    dots = pair_similarities(torch.from_numpy(places), torch.from_numpy(answers.triplets)).numpy()
    similar = {"accuracy": cosine_similarities(places, answers.triplets), "accuracy-dot": dots}
    return {metric: people.accuracy(each, answers, weights) for metric, each in similar.items()}


def one_fold(embeddings: np.ndarray, answers: ByObject, training: np.ndarray, lambdas: list[float], inner: int) -> np.ndarray:
    """Choose λ inside the training objects, fit it to all of them, and return where the map puts every object."""
    started = time.perf_counter()
    standard = torch.from_numpy(((embeddings - embeddings[training].mean()) / embeddings[training].std()).astype(np.float32))
    inputs, own = standard[training], answers[training]
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
    print(f"  λ = {weight:g}, {passes} passes, {time.perf_counter() - started:.0f} s", flush=True)
    with torch.no_grad():
        return model(standard).numpy()


def main() -> None:
    told = argparse.ArgumentParser(description="The predecessor's recipe on THINGS.")
    told.add_argument("--folds", type=int, default=3, choices=(1, 2, 3), help="how many of the three folds to run")
    told.add_argument("--inner", type=int, default=3, choices=(1, 2, 3), help="how many of the three inner folds choose λ")
    told.add_argument("--lambdas", type=float, nargs="+", default=list(LAMBDAS))
    told.add_argument("--threads", type=int, default=2)
    told.add_argument(
        "--transform", type=Path, metavar="FILE", help="score a released transform.npz of these features too, which its fit has seen"
    )
    told.add_argument("--rows", type=Path, help="write the means over all three folds there, as a table of scores")
    chosen = told.parse_args()
    profile = profiles.load("things")
    if chosen.rows and chosen.folds < profile.teachers[0].parts.folds:
        told.error("--rows are means over all folds: leave --folds out")
    try:
        known = things()
    except HumalignError as error:
        print(f"predecessor: not run: {error}")
        return
    torch.set_num_threads(chosen.threads)
    print(f"gLocal's recipe on THINGS, {known.features.shape[1]} dims of CLIP ViT-B/32, without its locality term (no unlabelled images)")
    found: dict[tuple[str, str], list[Estimate]] = defaultdict(list)
    for fold, (training, test) in list(enumerate(object_folds(len(known.names), profile.teachers[0].parts.folds)))[: chosen.folds]:
        rows, weights = known.answers[test], resamples(len(test), profile.evaluation.bootstrap_draws, profile.seed * 1000 + fold)
        print(f"fold {fold}: {len(known.answers[training].triplets):,} answers to fit, {len(rows.triplets):,} to test", flush=True)
        places = one_fold(known.features, known.answers, training, chosen.lambdas, chosen.inner)
        for stage, each in (("teacher-base", known.features), ("predecessor", places)):
            for metric, estimate in accuracies(each[test], rows, weights).items():
                found[stage, metric].append(estimate)
    if chosen.transform:
        weights = resamples(len(known.features), profile.evaluation.bootstrap_draws, profile.seed)
        places = released(chosen.transform).transform(known.features)
        for metric, estimate in accuracies(places, known.answers, weights).items():
            print(f"{chosen.transform}, {metric}, on objects that its own fit has seen: {estimate.value:.4f}")
    print(f"{'on unseen objects':<32} " + " ".join(f"{'fold ' + str(fold):>8}" for fold in range(chosen.folds)) + f" {'mean':>8}")
    for name, estimates in found.items():
        values = [estimate.value for estimate in (*estimates, mean_of_folds(estimates))]
        print(f"{', '.join(name):<32} " + " ".join(f"{value:8.4f}" for value in values))
    if chosen.rows:
        means = {name: mean_of_folds(estimates) for name, estimates in found.items()}
        own = {metric: estimate for (stage, metric), estimate in means.items() if stage == "predecessor"}
        own["accuracy-above-teacher-base"] = own["accuracy"] - means["teacher-base", "accuracy"]
        several = [estimate.score("odd-one-out", "unseen objects", metric, "human") for metric, estimate in own.items()]
        table = scores.table({(CLIP, "predecessor"): several}, profile.name, profile.seed)
        with replacing(chosen.rows) as part:
            table.to_csv(part, index=False, lineterminator="\n")
        print(f"{chosen.rows}: {len(table)} rows")


if __name__ == "__main__":
    main()
