"""Maps of features to places of objects, for `teacher_search.py`: affine ones, and two that are not."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from humalign.data.judgments import ByObject
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.objectives import cross_entropy, pair_similarities
from humalign.teach.teacher import NEGLIGIBLE, AffineTeacher, standardised

Places = Callable[[np.ndarray], np.ndarray]
Setting = dict[str, Any]
# What does not depend on a setting is made once.
_FITTED: dict[str, MixedEffectsTeacher] = {}
_DIRECTIONS: dict[str, tuple[np.ndarray, np.ndarray]] = {}


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known of some objects.

    Attributes:
        x: their features.
        answers: about them.
        targets: their places by each embedding of answers.
        variance: of each one's place by our own VICE, mean over dimensions.
        present: settings of the present teacher.
    """

    x: Float[np.ndarray, "n dim"]
    answers: ByObject
    targets: dict[str, Float[np.ndarray, "n _"]]
    variance: Float[np.ndarray, " n"]
    present: Setting

    def of(self, rows: Int[np.ndarray, " m"]) -> Known:
        """Return what is known of some of them."""
        targets = {name: each[rows] for name, each in self.targets.items()}
        return Known(self.x[rows], self.answers[rows], targets, self.variance[rows], self.present)

    def average(self, names: list[str]) -> Float[np.ndarray, "n _"]:
        """Return targets side by side, whose dot products are the mean of those of each."""
        return np.hstack([self.targets[name] for name in names]).astype(float) / np.sqrt(len(names))


def map_of(weight: Float[np.ndarray, "dim out"], bias: Float[np.ndarray, " out"]) -> AffineTeacher:
    """Return z = x W + b."""
    found = AffineTeacher()
    found.mean_, found.scale_ = np.zeros(len(weight)), 1.0
    found.matrix_, found.bias_ = weight.astype(np.float32), bias.astype(np.float32)
    return found


def affine(known: Known, setting: Setting, rng: np.random.Generator) -> AffineTeacher:
    """Fit a ridge regression onto the targets, of all objects or of bags of them, whose maps are averaged."""
    certain = 1 / (1 + setting.get("certainty", 0) * known.variance / known.variance.mean())
    n, bags = len(known.x), setting.get("bags", 1)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=bags) if bags > 1 else np.ones((1, n))
    found = [_ridge(known, setting, certain * times) for times in drawn]
    weight, bias = (np.mean(each, axis=0) for each in zip(*found, strict=True))
    return map_of(weight, bias)


def _ridge(known: Known, setting: Setting, counts: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
    some = np.flatnonzero(counts)
    x, share = known.x[some].astype(float), counts[some] / counts.sum()
    targets = known.average(setting["targets"])[some]
    mean, level = share @ x, share @ targets
    root = np.sqrt(share)[:, None]
    singular, directions = (each[..., : setting.get("rank")] for each in _principal(x, share))
    left = root * (x - mean) @ directions / singular
    power = singular ** (2 - 2 * setting.get("whiten", 0))
    shrunk = power / (power + setting["ridge"] * power.sum())
    inside = left.T @ (root * (targets - level))
    weight = directions @ ((shrunk / singular)[:, None] * inside)
    if not setting.get("learned"):
        return weight, level - mean @ weight
    # Predictions of objects that are left out, which say what a map knows of new ones.
    leverage = share[:, None] + (left**2 * shrunk).sum(1, keepdims=True)
    alone = targets - (targets - level - left * shrunk @ inside / root) / (1 - leverage)
    size, shift = _learned(alone, known.answers[some], setting["learned"])
    return weight * size, (level + shift - mean @ weight) * size


def _principal(
    x: Float[np.ndarray, "n dim"], share: Float[np.ndarray, " n"]
) -> tuple[np.ndarray, np.ndarray]:
    """Return singular values and directions of weighted rows less their mean; found once for the same."""
    name = hashlib.sha256(x.tobytes() + share.tobytes()).hexdigest()
    if name not in _DIRECTIONS:
        rows = np.sqrt(share)[:, None] * (x - share @ x)
        values, directions = np.linalg.eigh(rows.T @ rows)
        kept = np.flatnonzero(values > NEGLIGIBLE**2 * values[-1])[::-1]
        _DIRECTIONS[name] = np.sqrt(values[kept]), directions[:, kept]
    return _DIRECTIONS[name]


def _learned(
    places: Float[np.ndarray, "n out"], answers: ByObject, strength: float
) -> tuple[Float[np.ndarray, " out"], Float[np.ndarray, " out"]]:
    """Fit a weight and an offset of each dimension to answers; equal weights and no offset cost nothing."""
    x, spread = torch.from_numpy(places).float(), float(places.std())
    triplets, shares = torch.from_numpy(answers.triplets), torch.from_numpy(answers.shares).float()
    log, shift = (torch.zeros(x.shape[1], requires_grad=True) for _ in range(2))
    optimiser = torch.optim.LBFGS([log, shift], max_iter=10, line_search_fn="strong_wolfe")

    def moved() -> torch.Tensor:
        return (x + spread * shift) * log.exp()

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        penalty = (log - log.mean()).square().sum() + shift.square().sum()
        loss = cross_entropy(shares, pair_similarities(moved(), triplets)).mean() + strength * penalty
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        return log.exp().double().numpy(), (spread * shift).double().numpy()


def beside(known: Known, setting: Setting, rng: np.random.Generator) -> AffineTeacher:
    """Fit the present teacher and an affine map, and let their similarities be averaged."""
    return together(_present(known), affine(known, setting, rng), setting["share"])


def _present(known: Known) -> MixedEffectsTeacher:
    """Fit the present teacher, once to the same objects."""
    name = hashlib.sha256(known.x.tobytes()).hexdigest()
    if name not in _FITTED:
        _FITTED[name] = MixedEffectsTeacher(**known.present).fit(known.x, known.answers)
    return _FITTED[name]


def together(one: AffineTeacher, other: AffineTeacher, share: float) -> AffineTeacher:
    """Return the map whose similarities are the weighted mean of two maps' ones."""
    parts = []
    for part, each in ((1 - share, one), (share, other)):
        weight = each.matrix_.astype(float) / each.scale_
        parts.append((np.sqrt(part) * weight, np.sqrt(part) * (each.bias_ - each.mean_ @ weight)))
    return map_of(np.hstack([weight for weight, _ in parts]), np.concatenate([bias for _, bias in parts]))


def kernel(known: Known, setting: Setting, rng: np.random.Generator) -> Places:
    """Fit a kernel ridge regression, k(x, y) = exp(-width |x - y|²), on features of mean square length 1."""
    mean, scale, x = standardised(known.x.astype(float))
    targets = known.average(setting["targets"])
    level, width = targets.mean(0), setting["width"]
    matrix = np.exp(-width * _squares(x, x))
    # Its trace stands for the squared length of the features, as in the affine map.
    penalty = setting["ridge"] * np.trace(matrix - matrix.mean(0)) * np.eye(len(x))
    duals = np.linalg.solve(matrix + penalty, targets - level)
    return lambda new: np.exp(-width * _squares((new - mean) / scale, x)) @ duals + level


def _squares(x: Float[np.ndarray, "n dim"], y: Float[np.ndarray, "m dim"]) -> Float[np.ndarray, "n m"]:
    return (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T


def layers(known: Known, setting: Setting, rng: np.random.Generator) -> Places:
    """Fit networks of two layers by AdamW from several starts, and average what they say."""
    mean, scale, centred = standardised(known.x.astype(np.float32))
    targets = known.average(setting["targets"]).astype(np.float32)
    level, spread = targets.mean(0), float(targets.std())
    x, y = (
        torch.from_numpy(centred * np.sqrt(len(mean))).float(),
        torch.from_numpy((targets - level) / spread),
    )
    models = []
    for _ in range(setting["bags"]):
        torch.manual_seed(int(rng.integers(2**31)))
        model = torch.nn.Sequential(
            torch.nn.Linear(x.shape[1], setting["hidden"]), torch.nn.GELU(), torch.nn.Dropout(0.3),
            torch.nn.Linear(setting["hidden"], y.shape[1]),
        )  # fmt: skip
        optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=setting["decay"])
        for _ in range(setting["steps"]):
            optimiser.zero_grad()
            (model(x) - y).square().mean().backward()
            optimiser.step()
        models.append(model.eval())

    def places(new: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            shown = torch.from_numpy((new - mean) / scale * np.sqrt(len(mean))).float()
            return torch.stack([model(shown) for model in models]).mean(0).numpy() * spread + level

    return places


MAPS: dict[str, Callable[[Known, Setting, np.random.Generator], Any]] = {
    "affine": affine, "beside": beside, "kernel": kernel, "layers": layers,
}  # fmt: skip
