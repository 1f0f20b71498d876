"""Distribution shift: other drawings of a concept, other classes of a superclass, pictures chosen to mislead, cues that conflict."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from humalign.errors import HumalignError
from humalign.evaluation.few_shot import correct, image_mean, teach
from humalign.evaluation.scores import Estimate


def nearest_in_other_style(features: Float[np.ndarray, "styles concepts dim"], weights: Float[np.ndarray, "draws concepts"]) -> Estimate:
    """Return how often the most similar picture of the other style shows the same concept (cosine; unit: concept)."""
    unit = features / np.linalg.norm(features, axis=2, keepdims=True)
    similarity = unit[0] @ unit[1].T
    here = np.arange(len(similarity))
    found = np.mean([similarity.argmax(1) == here, similarity.argmax(0) == here], axis=0)
    return Estimate.of(weights @ found.astype(np.float32) / weights.sum(1), len(here))


def to_other_classes(
    features: Float[np.ndarray, "images dim"],
    superclasses: np.ndarray,
    source: Bool[np.ndarray, " images"],
    support: Bool[np.ndarray, "draws images"],
    weights: Float[np.ndarray, "draws_and_one images"],
    classifier: str = "logistic",
) -> dict[str, Estimate]:
    """Teach superclasses on some of their classes and test them on untaught pictures of these, and on the other classes (unit: image).

    Args:
        features: of the pictures.
        superclasses: of the pictures.
        source: whether a picture's class is one of those taught; the others are the target.
        support: which pictures each draw teaches, from ``few_shot.supports(superclasses, shots, draws, rng, among=source)``.
        weights: of the pictures.
        classifier: of ``few_shot.CLASSIFIERS``.

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
    inside = image_mean(hits, ~support & source, weights)
    beyond = image_mean(hits, np.broadcast_to(~source, support.shape), weights)
    return {"source": inside, "target": beyond, "drop": inside - beyond}


def among_classes(
    logits: Float[np.ndarray, "images outputs"],
    labels: Int[np.ndarray, " images"],
    allowed: Int[np.ndarray, " some"],
    weights: Float[np.ndarray, "draws_and_one images"],
) -> Estimate:
    """Return how often the greatest of some of a classifier's outputs is the right one (unit: image); a tie is wrong.

    For ImageNet-A, whose pictures are of 200 of the 1,000 classes.

    Raises:
        HumalignError: outputs that are not finite, or too few of them.
    """
    if not np.isfinite(logits).all():
        raise HumalignError("a classifier's outputs hold NaN or infinity: no class can be told")
    if max(allowed.max(), labels.max()) >= logits.shape[1]:
        raise HumalignError(f"{logits.shape[1]} outputs, but class {max(allowed.max(), labels.max())} is asked for: another classifier?")
    some = logits[:, allowed]
    clear = (some == some.max(1, keepdims=True)).sum(1) == 1
    hit = ((allowed[some.argmax(1)] == labels) & clear).astype(np.float32)
    return Estimate.of(weights @ hit / weights.sum(1), len(hit))


def shape_bias(decisions: np.ndarray, cues: pd.DataFrame, weights: Float[np.ndarray, "draws_and_one images"]) -> dict[str, Estimate]:
    """Return how often a decision follows the shape, the texture, and the shape out of either (unit: image).

    Args:
        decisions: a class for each picture, named as the cues are.
        cues: ``shape`` and ``texture`` of each picture; pictures whose cues agree are left out.
        weights: of the pictures.

    Returns:
        ``shape``, ``texture`` and ``shape-bias``.

    Raises:
        HumalignError: no picture whose cues conflict, or no decision for either cue.

    Source: Geirhos, Rubisch, Michaelis, Bethge, Wichmann, Brendel (2019), ImageNet-trained CNNs are biased towards texture.
    """
    conflict = (cues["shape"] != cues["texture"]).to_numpy()
    shape, texture = ((cues[name].to_numpy() == decisions)[conflict].astype(np.float32) for name in ("shape", "texture"))
    if not (shape + texture).any():
        raise HumalignError("no decision follows either cue of a picture whose cues conflict: are the classes named alike?")
    drawn = weights[:, conflict]
    with_shape, with_texture, total = drawn @ shape, drawn @ texture, drawn.sum(1)
    either = with_shape + with_texture
    bias = np.divide(with_shape, either, out=np.full(len(either), np.nan, dtype=np.float32), where=either > 0)
    n = int(conflict.sum())
    return {
        "shape": Estimate.of(with_shape / total, n),
        "texture": Estimate.of(with_texture / total, n),
        "shape-bias": Estimate.of(bias, int((shape + texture).sum())),
    }
