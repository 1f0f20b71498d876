"""Distribution shift: other drawings of a concept, and other classes of a superclass."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Real

from humalign.data.judgments import unit_rows
from humalign.errors import HumalignError
from humalign.evaluation.few_shot import correct, image_mean, teach
from humalign.evaluation.scores import Estimate


def nearest_in_other_style(features: Real[np.ndarray, "styles concepts dim"], weights: Float[np.ndarray, "draws concepts"]) -> Estimate:
    """Return how often the most similar picture of the other style shows the same concept (cosine; unit: concept)."""
    similarity = unit_rows(features[0]) @ unit_rows(features[1]).T
    here = np.arange(len(similarity))
    found = np.mean([similarity.argmax(1) == here, similarity.argmax(0) == here], axis=0)
    return Estimate.of(weights @ found.astype(np.float32) / weights.sum(1), len(here))


def to_other_classes(
    features: Real[np.ndarray, "images dim"],
    superclasses: np.ndarray,
    source: Bool[np.ndarray, " images"],
    support: Bool[np.ndarray, "draws images"],
    weights: Float[np.ndarray, "draws_and_one images"],
    classifier: str = "logistic",
    taught_weights: Float[np.ndarray, "draws_and_one draws"] | None = None,
) -> dict[str, Estimate]:
    """Teach superclasses on some of their classes and test them on untaught pictures of these, and on the other classes (unit: image).

    Args:
        features: of the pictures.
        superclasses: of the pictures.
        source: whether a picture's class is one of those taught; the others are the target.
        support: which pictures each draw teaches, from ``few_shot.supports(superclasses, shots, draws, rng, among=source)``.
        weights: of the pictures.
        classifier: of ``few_shot.CLASSIFIERS``.
        taught_weights: of the draws, as in ``few_shot.image_mean``.

    Returns:
        ``source``, ``target``, and ``drop``, the paired difference between them.

    Raises:
        HumalignError: a picture of the target is taught, or one of the domains has nothing to test.
    """
    if (support & ~source).any():
        raise HumalignError("a picture of the target classes is taught: draw the support among the source")
    if source.all() or not (~support & source).any():
        raise HumalignError("the source or the target has no picture to test: give more pictures, or fewer shots")
    hits = correct(teach(features, superclasses, support, classifier), features, superclasses)
    inside = image_mean(hits, ~support & source, weights, taught_weights)
    beyond = image_mean(hits, np.broadcast_to(~source, support.shape), weights, taught_weights)
    return {"source": inside, "target": beyond, "drop": inside - beyond}
