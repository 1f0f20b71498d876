"""The mixed-effects teacher: an affine map of the pictures, and for every known object a place of its own.

People's answers about an object rest on more than its picture shows to a backbone. An affine map that has to
explain all of them bends to objects one by one, and fails on new ones. Here object o lies at

    z_o = W (x_o - mean) / scale + b + r_o ,      r_o ~ N(0, residual² I) ,

similarities are dot products and the answers follow the softmax over a triplet's three pairs. The residuals
take what the pictures cannot tell; W and b, the fixed effects, carry over to objects without answers, whose
expected residual is zero. For given places z the best W is a ridge regression, so that the places are the
only variables, and L-BFGS solves for their optimum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Real
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.model_selection import GridSearchCV
from torch import Tensor

from humalign.data.judgments import Answered, Choices, agreement, distributions
from humalign.errors import number, real
from humalign.teach.objectives import cross_entropy, minimise, named, pair_similarities
from humalign.teach.splits import ObjectFolds
from humalign.teach.teacher import AffineTeacher, rows_of, standardised


class MixedEffectsTeacher(AffineTeacher):
    """An affine map fitted to choices beside a random effect of each object.

    Args:
        dim: dimensions of the space.
        residual: standard deviation of an object's own part, in each dimension. Small: the affine map has to
            explain everything. Large: answers alone place an object, and W is a ridge regression onto places.
        ridge: penalty of W, as a share of the squared length of the embeddings.
        keep: the standardised embeddings are further dimensions of the map, at this multiple of the new ones'
            root mean square length: what a map of few objects cannot know stays as the backbone had it.
        iterations: of L-BFGS at most.
        device: where the places are solved for; what is fitted comes back as arrays of the processor.

    Attributes (after ``fit``): those of ``AffineTeacher``, with ``matrix_`` (dim of the embeddings, dim),
    ``bias_`` (dim,), and ``places_`` (objects, dim), where the fitted objects lie, residuals included.

    Source: this project; the choice model is the paper's. The limits of a large and a small residual are a
    regression onto an embedding of the answers, and a linear probe.
    """

    def __init__(
        self,
        dim: int = 60,
        residual: float | int = 0.3,
        ridge: float | int = 2e-3,
        keep: float | int = 0.0,
        iterations: int = 60,
        device: str = "cpu",
    ) -> None:
        self.dim = dim
        self.residual = residual
        self.ridge = ridge
        self.keep = keep
        self.iterations = iterations
        self.device = device

    def fit(self, embeddings: Real[np.ndarray, "objects dim"], choices: Answered) -> MixedEffectsTeacher:
        """Fit the map as `AffineTeacher.fit` does; a choice distribution counts as one answer."""
        embeddings = rows_of(embeddings)
        triplets, targets = distributions(choices, len(embeddings))
        real("residual", self.residual, above=0)
        real("ridge", self.ridge, above=0)
        real("keep", self.keep, least=0)
        number("dim", self.dim)
        number("iterations", self.iterations)
        answers = float(choices.counts.sum() if isinstance(choices, Choices) else len(triplets))
        self.mean_, self.scale_, centred = standardised(np.asarray(embeddings, dtype=float))

        left, singular, right = np.linalg.svd(centred, full_matrices=False)
        kept = singular**2 / (singular**2 + self.ridge * len(embeddings))
        self.places_, self.loss_ = self._place(left, singular, kept, triplets, targets, answers)

        level = self.places_.mean(0)
        inside = left.T @ (self.places_ - level)
        matrix = right.T @ ((kept / singular)[:, None] * inside)
        # The ridge regression gives in closed form where an object is predicted without its own answers; this
        # says how sure the map may be about a new object.
        leverage = 1 / len(embeddings) + (left**2 * kept).sum(1, keepdims=True)
        alone = self.places_ - (self.places_ - level - left * kept @ inside) / (1 - leverage)
        if self.keep:
            share = self.keep * float(np.sqrt(alone.var(0).sum()))
            alone, level = np.hstack([alone, share * centred]), np.concatenate([level, np.zeros(len(matrix))])
            matrix = np.hstack([matrix, share * np.eye(len(matrix))])
        similar = pair_similarities(torch.from_numpy(alone), torch.from_numpy(triplets)).numpy()
        root = np.sqrt(_sureness(similar, targets))
        self.matrix_, self.bias_ = (root * matrix).astype(np.float32), (root * level).astype(np.float32)
        return self

    def _place(
        self,
        left: Float[np.ndarray, "objects rank"],
        singular: Float[np.ndarray, " rank"],
        kept: Float[np.ndarray, " rank"],
        triplets: Int[np.ndarray, "n 3"],
        targets: Float[np.ndarray, "n 3"],
        answers: float,
    ) -> tuple[Float[np.ndarray, "objects places"], float]:
        """Find the places of the objects; the ridge regression keeps ``kept`` of each singular direction."""
        device = named(self.device)
        first = min(self.dim - 1, int((singular > 1e-6 * singular[0]).sum()))
        start = np.zeros((len(left), self.dim))
        start[:, :first] = 2 * left[:, :first] * singular[:first]
        start[:, -1] = 0.5
        places = torch.from_numpy(start).float().to(device).requires_grad_()
        # This times its transpose is the ridge regression's smoother.
        fixed = torch.from_numpy(left * np.sqrt(kept)).float().to(device)
        rows, shares = torch.from_numpy(triplets).to(device), torch.from_numpy(targets).float().to(device)

        def objective() -> Tensor:
            centred = places - places.mean(0)
            # What is left of the places when the map has explained what it can, its own penalty included.
            left_over = centred.square().sum() - (fixed.T @ centred).square().sum()
            fit = cross_entropy(shares, pair_similarities(places, rows)).mean()
            return fit + left_over / (2 * self.residual**2 * answers)

        minimise(objective, [places], self.iterations, history=10)
        with torch.no_grad():
            return places.double().cpu().numpy(), objective().item()

    def score(self, embeddings: Real[np.ndarray, "objects dim"], choices: Answered) -> float:
        """Return the odd-one-out accuracy: the mean share of answers that keep the likeliest pair."""
        triplets, shares = distributions(choices, len(embeddings))
        return float(agreement(self.choice_probabilities(embeddings, triplets), shares).mean())


def tuned(
    teacher: MixedEffectsTeacher,
    embeddings: Real[np.ndarray, "objects dim"],
    choices: Answered,
    grids: Iterable[Mapping[str, Sequence[float]]],
    seed: int,
) -> MixedEffectsTeacher:
    """Fit a teacher whose settings are cross-validated over the objects given, one grid after the other."""
    for grid in grids:
        tried = {name: list(values) for name, values in grid.items()}
        if all(len(values) == 1 for values in tried.values()):
            best = {name: value for name, (value,) in tried.items()}
        else:
            search = GridSearchCV(teacher, tried, cv=ObjectFolds(3, seed), refit=False)
            best = search.fit(embeddings, choices).best_params_
        teacher.set_params(**best)
    return teacher.fit(embeddings, choices)


def _sureness(similar: Float[np.ndarray, "n 3"], targets: Float[np.ndarray, "n 3"]) -> float:
    """Return the factor of the similarities at which the answers are most likely."""

    def surprise(log_factor: float) -> float:
        return float(-(targets * log_softmax(np.exp(log_factor) * similar, axis=1)).sum(1).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(-4.0, 4.0), method="bounded").x))
