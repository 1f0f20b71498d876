"""k-shot classification on frozen features, within a drawing style and across styles.

A draw picks k concepts a class to learn from; every other concept of these classes is tested. Classifier: logistic
regression of scikit-learn on standardised features. Source: gLocal's protocol (n shots, several draws).
"""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from humalign.errors import HumalignError
from humalign.scores import Estimate


def supports(labels: np.ndarray, shots: int, draws: int, rng: np.random.Generator) -> Bool[np.ndarray, "draws concepts"]:
    """Return which concepts each draw learns from: ``shots`` of every class."""
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise HumalignError(f"few-shot needs two classes, there is only {classes.tolist()}")
    if counts.min() <= shots:
        raise HumalignError(f"class {classes[counts.argmin()]!r} has {counts.min()} concepts: {shots} shots leave none to test")
    chosen = np.zeros((draws, len(labels)), dtype=bool)
    for draw in chosen:
        for name in classes:
            draw[rng.choice(np.flatnonzero(labels == name), shots, replace=False)] = True
    return chosen


def _correct(train: np.ndarray, test: np.ndarray, labels: np.ndarray, support: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return correctness of every concept in the training style and in the other."""
    scaler = StandardScaler().fit(train[support])
    # The penalty keeps the weights in the span of the taught pictures: few numbers to fit instead of one per feature.
    span = np.linalg.qr(scaler.transform(train[support]).T)[0]
    train, test = scaler.transform(train) @ span, scaler.transform(test) @ span
    model = LogisticRegression(C=1.0, max_iter=200)
    with warnings.catch_warnings():
        # With more features than pictures the classes are always separable; the answer no longer changes.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train[support], labels[support])
    return model.predict(train) == labels, model.predict(test) == labels


def accuracy(
    features: Float[np.ndarray, "styles concepts dim"],
    labels: Int[np.ndarray, " concepts"] | np.ndarray,
    support: Bool[np.ndarray, "draws concepts"],
    weights: Float[np.ndarray, "draws_and_one concepts"],
) -> tuple[Estimate, Estimate]:
    """Return accuracy on untaught concepts in the style that was taught, and in the other style (unit: concept)."""
    same, across = np.zeros(support.shape), np.zeros(support.shape)
    for a, b in ((0, 1), (1, 0)):
        for draw, taught in enumerate(support):
            within, beyond = _correct(features[a], features[b], labels, taught)
            same[draw] += within / 2
            across[draw] += beyond / 2
    # A concept's score is its mean over the draws in which it was not taught.
    tested = ~support
    times = tested.sum(0)
    used = times > 0

    def estimate(correct: np.ndarray) -> Estimate:
        score = (correct * tested).sum(0)[used] / times[used]
        drawn = weights[:, used]
        return Estimate.of(drawn @ score / drawn.sum(1), int(used.sum()))

    return estimate(same), estimate(across)
