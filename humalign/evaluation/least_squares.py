"""The closed-form few-shot classifier of the official framework: least squares on standardised features.

Each feature is brought to mean 0 and standard deviation 1 over the support set, which the framework calls
whitening; a constant feature, large enough that the penalty hardly reaches it, stands for the intercept. With
targets Y of 1 for an item's class and -1 for all others,

    W = argmin ‖X W - Y‖² + λ ‖W‖² = Xᵀ (X Xᵀ + λ I)⁻¹ Y .

One λ is chosen for all support sets, by the accuracy on items that are neither learnt from nor tested.

Source: the few-shot evaluator that the official code's framework (Kauldron) shares with big_vision.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Real, Shaped
from sklearn.base import BaseEstimator, ClassifierMixin

from humalign.data.judgments import floats
from humalign.errors import HumalignError, real

PENALTIES = tuple(2.0**power for power in range(6, 11))
# Added to every standard deviation; the constant feature.
LEAST, CONSTANT = 1e-5, 100.0


class LeastSquares(ClassifierMixin, BaseEstimator):
    """A linear classifier by regularised least squares, whose ``penalty`` is λ above.

    Attributes (after ``fit``): ascending ``classes_``; ``mean_``, ``std_`` (dim,); ``matrix_`` (dim + 1, _).
    """

    def __init__(self, penalty: float | int = PENALTIES[0]) -> None:
        self.penalty = penalty

    def fit(
        self, features: Real[np.ndarray, "rows dim"], labels: Shaped[np.ndarray, " rows"]
    ) -> LeastSquares:
        """Fit the classifier.

        Raises:
            HumalignError: a penalty that is not above 0.
        """
        real("penalty", self.penalty, above=0)
        return self._solve(_eigen(floats(features)), labels)

    def _solve(self, solved: tuple[np.ndarray, ...], labels: Shaped[np.ndarray, " rows"]) -> LeastSquares:
        rows, values, vectors, mean, std = solved
        self.classes_, places = np.unique(labels, return_inverse=True)
        self.mean_, self.std_ = mean, std
        targets = 2.0 * np.eye(len(self.classes_))[places] - 1
        self.matrix_ = rows.T @ (vectors @ ((vectors.T @ targets) / (values + self.penalty)[:, None]))
        return self

    def decision_function(self, features: Real[np.ndarray, "rows dim"]) -> Float[np.ndarray, "rows classes"]:
        """Return the value of each class."""
        return _standardised(floats(features), self.mean_, self.std_) @ self.matrix_

    def predict(self, features: Real[np.ndarray, "rows dim"]) -> Shaped[np.ndarray, " rows"]:
        """Return the class of the greatest value."""
        return np.asarray(self.classes_[self.decision_function(features).argmax(1)])


def _standardised(x: np.ndarray, mean: np.ndarray, std: np.ndarray) -> Float[np.ndarray, "rows dim_and_one"]:
    return np.hstack([(x - mean) / std, np.full((len(x), 1), CONSTANT)]).astype(float)


def _eigen(x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return standardised rows, eigenvalues and eigenvectors of their products, mean, standard deviation."""
    mean, std = x.mean(0), x.std(0) + LEAST
    rows = _standardised(x, mean, std)
    return rows, *np.linalg.eigh(rows @ rows.T), mean, std


def chosen(
    features: Real[np.ndarray, "items dim"],
    labels: Shaped[np.ndarray, " items"],
    support: Bool[np.ndarray, "draws items"],
    validation: Bool[np.ndarray, " items"],
    penalties: Sequence[float] = PENALTIES,
) -> list[LeastSquares]:
    """Return one classifier a support set, all with the penalty of greatest accuracy on the validation items.

    Args:
        features, labels: of all items.
        support: which items each classifier learns from.
        validation: items neither learnt from nor tested; of equal accuracies the smallest penalty wins.

    Raises:
        HumalignError: no validation item, or one that is learnt from; no penalty, or one that is not above 0.
    """
    if not validation.any() or (support & validation).any():
        mend = "give some that no support set holds"
        raise HumalignError(f"the penalty is chosen on pictures of their own: {mend}")
    if not penalties:
        raise HumalignError("penalties = (): give numbers above 0")
    ready = [(_eigen(floats(features[each])), labels[each]) for each in support]
    found: dict[float, list[LeastSquares]] = {}
    for penalty in sorted(penalties):
        real("each of `penalties`", penalty, above=0)
        found[penalty] = [LeastSquares(penalty)._solve(solved, known) for solved, known in ready]
    shown, wanted = features[validation], labels[validation]
    right = {p: np.mean([model.predict(shown) == wanted for model in models]) for p, models in found.items()}
    return found[max(right, key=lambda penalty: right[penalty])]
