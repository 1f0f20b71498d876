"""The teacher: an affine map of a backbone's embeddings that predicts people's odd-one-out choices.

z = W (x - mean) / scale + b; a softmax of the dot products of z gives the choice distribution of a triplet.
W is fitted by the cross-entropy to target distributions (uncertainty distillation), with a pull towards the
identity times its mean diagonal: directions that no judgment constrains keep the backbone's geometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Real, Shaped
from safetensors import SafetensorError
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.linear_model import RidgeCV
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from humalign.artefacts import replacing
from humalign.data import judgments
from humalign.data.judgments import Answered, Triplets, agreement, distributions, first, floats
from humalign.errors import HumalignError, expect, number, real
from humalign.models.weights import load_file, save_file
from humalign.teach import objectives

# A direction with less than this share of the largest singular value is noise of the arithmetic.
NEGLIGIBLE = 1e-4
RIDGES = (5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2)


class AffineTeacher(TransformerMixin, BaseEstimator):
    """An affine map fitted to choice distributions.

    It minimises (cross-entropy of the choices) + λ‖W - mean(diag W)·I‖².

    Args:
        pull: weight λ, 0 or more; infinite: W is a scaled identity, which only sets how sure the backbone is.
        rank: principal directions of the training embeddings in which W may differ from the scaled identity.
        iterations: of L-BFGS at most.
        bias: whether z has an origin of its own, b; without it the origin is the mean of the embeddings.
        device: where the map is solved; what is fitted comes back as arrays of the processor. A GPU may take
            sums in another order in every run.

    Attributes (after ``fit``): ``matrix_`` (dim, dim) acts on row vectors, ``mean_`` (dim,), ``scale_``,
    ``bias_`` (dim,), ``loss_``.

    Source: paper, Methods (teacher); the regulariser is the predecessor's (gLocal).
    """

    def __init__(
        self,
        pull: float | int = 1e-3,
        rank: int = 300,
        iterations: int = 50,
        bias: bool = False,
        device: str = "cpu",
    ) -> None:
        self.pull = pull
        self.rank = rank
        self.iterations = iterations
        self.bias = bias
        self.device = device

    def fit(self, embeddings: Real[np.ndarray, "objects dim"], choices: Answered) -> AffineTeacher:
        """Fit the map to answers about objects, or to (triplets, distributions over the pairs ij, ik, jk).

        Raises:
            HumalignError: embeddings or choices that cannot be, or a setting out of its range.
        """
        embeddings = rows_of(embeddings)
        triplets, targets = distributions(choices, len(embeddings))
        real("pull", self.pull, least=0, infinite=True)
        number("iterations", self.iterations)
        place = objectives.named(self.device)
        self.mean_, self.scale_, centred = standardised(embeddings)

        # Only the span of the training embeddings can change a similarity, and a rotation does not change the
        # pull: W is solved in the principal directions, and is a multiple of the identity elsewhere. A bias
        # outside them would add the same to all three pairs of every triplet.
        _, singular, directions = np.linalg.svd(centred, full_matrices=False)
        rank = min(number("rank", self.rank), int((singular > NEGLIGIBLE * singular[0]).sum()))
        basis = directions[:rank]
        core, shift, self.loss_ = self._solve(
            torch.from_numpy(centred @ basis.T).float().to(place),
            torch.from_numpy(triplets).to(place),
            torch.from_numpy(targets).float().to(place),
        )
        level = core.trace() / rank
        inside = core - level * np.eye(rank)
        self.matrix_ = (level * np.eye(len(self.mean_)) + basis.T @ inside @ basis).astype(np.float32)
        self.bias_ = (shift @ basis).astype(np.float32)
        return self

    def _solve(
        self, inputs: Float[Tensor, "rows rank"], triplets: Int[Tensor, "n 3"], targets: Float[Tensor, "n 3"]
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Return W and b in the principal directions, and the objective there."""
        identity = torch.eye(inputs.shape[1], device=inputs.device)
        free = np.isfinite(self.pull)
        variable = (2 * identity if free else torch.tensor(2.0, device=inputs.device)).requires_grad_()
        origin = torch.zeros(inputs.shape[1], device=inputs.device).requires_grad_()

        def objective() -> Tensor:
            matrix = variable if free else variable * identity
            places = inputs @ matrix + origin if self.bias else inputs @ matrix
            fit = objectives.cross_entropy(targets, objectives.pair_similarities(places, triplets)).mean()
            return fit + self.pull * objectives.pull_to_scaled_identity(matrix) if free else fit

        objectives.minimise(objective, [variable, origin] if self.bias else [variable], self.iterations)
        with torch.no_grad():
            matrix = variable if free else variable * identity
            return matrix.double().cpu().numpy(), origin.double().cpu().numpy(), objective().item()

    def transform(self, embeddings: Real[np.ndarray, "objects dim"]) -> Float[np.ndarray, "objects places"]:
        """Map embeddings to the teacher's space.

        Raises:
            NotFittedError: before ``fit`` (scikit-learn's).
            HumalignError: embeddings of another width than the fitted ones.
        """
        check_is_fitted(self, "matrix_")
        embeddings = rows_of(embeddings)
        if embeddings.shape[1] != len(self.mean_):
            seen = f"embeddings have {embeddings.shape[1]} features, the teacher was fitted to"
            raise HumalignError(f"{seen} {len(self.mean_)}: are they of its backbone?")
        return ((embeddings - self.mean_) / self.scale_ @ self.matrix_ + self.bias_).astype(np.float32)

    def choice_probabilities(
        self, embeddings: Real[np.ndarray, "objects dim"], triplets: Triplets
    ) -> Float[np.ndarray, "n 3"]:
        """Return the choice probabilities of the pairs (ij, ik, jk): the softmax of their dot products."""
        return objectives.probabilities(self.transform(embeddings), triplets)

    def score(self, embeddings: Real[np.ndarray, "objects dim"], choices: Answered) -> float:
        """Return the odd-one-out accuracy: the mean share of answers that keep the pair of largest cosine."""
        triplets, shares = distributions(choices, len(embeddings))
        similar = judgments.cosine_similarities(self.transform(embeddings), triplets)
        return float(agreement(similar, shares).mean())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what defines the map, to be saved."""
        mean, scale = self.mean_.astype(np.float32), np.array([self.scale_])
        return {"matrix": self.matrix_, "mean": mean, "scale": scale, "bias": self.bias_}

    def save(self, path: str | Path, metadata: dict[str, Any] | None = None) -> None:
        """Write the map as safetensors."""
        check_is_fitted(self, "matrix_")
        tensors = {name: torch.from_numpy(np.asarray(array)) for name, array in self.arrays().items()}
        with replacing(Path(path)) as part:
            save_file(tensors, part, metadata)

    @classmethod
    def load(cls, path: str | Path) -> AffineTeacher:
        """Read a map written by ``save``."""
        try:
            found = {name: array.numpy() for name, array in load_file(path).items()}
            teacher = cls()
            teacher.matrix_, teacher.mean_ = found["matrix"], found["mean"]
            teacher.scale_, teacher.bias_ = float(found["scale"][0]), found["bias"]
        except (OSError, SafetensorError, KeyError) as error:
            mend = "delete it and run `make reproduce`"
            raise HumalignError(f"{path} holds no teacher ({error}): {mend}") from None
        return teacher


def rows_of(embeddings: Any, what: str = "embeddings") -> Real[np.ndarray, "objects dim"]:
    """Return embeddings in single or double precision, after a check that they are one row an object."""
    found = floats(embeddings, what)
    if found.ndim != 2 or not found.size:
        raise HumalignError(f"{what} of shape {found.shape}: expected one row an object")
    return found


def standardised(embeddings: Real[np.ndarray, "objects dim"]) -> tuple[np.ndarray, float, np.ndarray]:
    """Return the mean, the root mean square distance from it, and the embeddings without both.

    Raises:
        HumalignError: NaN, infinity, or nothing but one point.
    """
    embeddings = rows_of(embeddings)
    if (row := first(~np.isfinite(embeddings))) is not None:
        seen = f"embeddings hold NaN or infinity, first in row {row}"
        raise HumalignError(f"{seen}: was the backbone's input normalised?")
    with np.errstate(over="ignore"):
        mean = embeddings.mean(0)
        centred = embeddings - mean
        scale = float(np.sqrt((centred**2).sum(1).mean()))
    if not np.isfinite(scale) and embeddings.dtype == np.float32:
        return standardised(embeddings.astype(float))
    if not 0 < scale < np.inf:
        equal = "all embeddings are equal: there is nothing to map"
        raise HumalignError("embeddings are too large to be squared" if scale else equal)
    return mean, scale, centred / scale


def regressed(
    embeddings: Real[np.ndarray, "objects dim"],
    space: Real[np.ndarray, "rows places"],
    ridges: tuple[float, ...] = RIDGES,
) -> AffineTeacher:
    """Fit the map by ridge regression onto known places of the objects, such as the dimensions of VICE.

    Args:
        ridges: shares of the embeddings' squared length, of which leave-one-out chooses (``RidgeCV``).

    Raises:
        HumalignError: embeddings that cannot be mapped, places of others or not finite, a ridge not above 0.
    """
    teacher = AffineTeacher()
    teacher.mean_, teacher.scale_, centred = standardised(np.asarray(rows_of(embeddings), dtype=float))
    places = np.asarray(rows_of(space, "places"), dtype=float)
    if len(places) != len(centred) or not np.isfinite(places).all():
        seen = f"places of {len(places)} objects for {len(centred)} embeddings, or not finite"
        raise HumalignError(f"{seen}: give one row an object")
    if not ridges:
        raise HumalignError("ridges = (): give numbers above 0")
    for ridge in ridges:
        real("each of `ridges`", ridge, above=0)
    model = RidgeCV(alphas=[ridge * len(centred) for ridge in ridges]).fit(centred, places)
    teacher.matrix_, teacher.bias_ = model.coef_.T.astype(np.float32), model.intercept_.astype(np.float32)
    teacher.loss_ = -float(model.best_score_)
    return teacher


def try_pulls(
    embeddings: Real[np.ndarray, "objects dim"],
    choices: Answered,
    *,
    groups: Shaped[np.ndarray, " rows"],
    pulls: Sequence[float],
    teacher: AffineTeacher,
) -> dict[float, float]:
    """Cross-validate each pull over groups of objects, inside the given objects only.

    Args:
        embeddings: one row an object, or several images of it one below the other.
        choices: over rows of ``embeddings``; a triplet counts where all three fit or all three validate.
        groups: which rows are hidden together.
        teacher: whose other settings are used.

    Returns:
        Mean odd-one-out accuracy on hidden objects for each pull; take the largest. Likelihood also asks how
        sure the map is where it errs, and buys that with a pull under which it errs more often.

    Raises:
        HumalignError: groups of other rows, fewer than two of them, no pull, or a group without triplets.
    """
    embeddings = rows_of(embeddings)
    expect("teacher", teacher, AffineTeacher, "one such as AffineTeacher()")
    triplets, shares = distributions(choices, len(embeddings))
    groups = np.asarray(groups)
    if groups.shape != (len(embeddings),) or len(np.unique(groups)) < 2:
        seen = f"groups of shape {groups.shape} for {len(embeddings)} rows of embeddings"
        raise HumalignError(f"{seen}: give one a row, and two different ones at least")
    if not len(pulls):
        raise HumalignError("no pull to try: give `pulls`, such as (1e-3, 1e-2)")
    found: dict[float, list[float]] = {pull: [] for pull in pulls}
    for hidden in np.unique(groups):
        kept = np.flatnonzero(groups != hidden)
        fitting = (groups[triplets] != hidden).all(1)
        validating = (groups[triplets] == hidden).all(1)
        if not (fitting.any() and validating.any()):
            seen = f"{fitting.sum()} triplets lie wholly outside it and {validating.sum()} wholly inside"
            raise HumalignError(f"group {hidden}: {seen}: give fewer groups, or more answers")
        local = np.searchsorted(kept, triplets[fitting])
        for pull in pulls:
            trial = clone(teacher).set_params(pull=pull).fit(embeddings[kept], (local, shares[fitting]))
            found[pull].append(trial.score(embeddings, (triplets[validating], shares[validating])))
    return {pull: float(np.mean(scores)) for pull, scores in found.items()}
