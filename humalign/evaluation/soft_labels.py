"""Compare a classifier's class probabilities with the distribution of labels that people gave.

Probabilities are (draws, images, classes): one classifier a draw, none of which is scored on an image that it
was taught; shares are (images, classes). The unit that is resampled is the image. Every estimate is a mean
over draws. Source: Peterson et al. (2019), Human uncertainty makes classification more robust (CIFAR-10H).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Real

from humalign.data.judgments import floats
from humalign.errors import number
from humalign.evaluation.checks import check_probabilities
from humalign.evaluation.correlation import Ranked, spearman
from humalign.evaluation.few_shot import Support, Taught, Weights, draw_mean, image_mean
from humalign.evaluation.scores import Estimate

BINS = 15

Classes = Real[np.ndarray, "draws rows classes"]
Labels = Real[np.ndarray, "items labels"]


def entropies(shares: Real[np.ndarray, "*any classes"]) -> Float[np.ndarray, "*any"]:
    """Return the entropy of each distribution, in nats."""
    shares = floats(shares, "shares")
    return -np.sum(shares * np.log(np.where(shares > 0, shares, 1.0)), axis=-1)


def cross_entropy(
    probabilities: Classes, shares: Labels, tested: Support, weights: Weights, taught_weights: Taught = None
) -> Estimate:
    """Return the mean surprise of people's labels under the classifier, in nats (unit: image).

    It is never below the mean entropy of people's labels. Raises `HumalignError` for no distribution.
    """
    probabilities, shares = check_probabilities(probabilities, shares)
    surprise = -(shares * np.log(np.maximum(probabilities, np.finfo(probabilities.dtype).tiny))).sum(-1)
    return image_mean(surprise, tested, weights, taught_weights)


def calibration_error(
    probabilities: Classes,
    shares: Labels,
    tested: Support,
    weights: Weights,
    taught_weights: Taught = None,
    bins: int = BINS,
) -> Estimate:
    """Return the expected calibration error of the most probable class (unit: image).

    Images are put into bins of equal width by confidence. The error is each bin's distance of mean confidence
    and mean hit, weighed by its share of the images; a hit is the share of people who gave the predicted
    label. Sampling alone makes each distance positive, even for a perfectly calibrated classifier, and
    resampling adds as much again. The added part is estimated from the draws and taken off them.

    Source: Guo, Pleiss, Sun, Weinberger (2017), On calibration of modern neural networks.
    """
    probabilities, shares = check_probabilities(probabilities, shares)
    bins, found = number("bins", bins), []
    for rows, used in zip(probabilities, tested, strict=True):
        confidence = rows[used].max(1)
        hit = np.take_along_axis(shares[used], rows[used].argmax(1)[:, None], axis=1)[:, 0]
        place = np.minimum((confidence * bins).astype(int), bins - 1)
        drawn = weights[:, used]
        gaps = np.stack([drawn[:, place == b] @ (confidence - hit)[place == b] for b in range(bins)], axis=1)
        found.append(np.abs(gaps).sum(1) / drawn.sum(1))
    errors = np.array(found)
    added = errors[:, 1:].mean() - errors[:, 0].mean()
    error = draw_mean(np.concatenate([errors[:, :1], errors[:, 1:] - added], axis=1), tested, taught_weights)
    return dataclasses.replace(error, draws=np.maximum(error.draws, 0))


def entropy_agreement(
    probabilities: Classes, shares: Labels, tested: Support, weights: Weights, taught_weights: Taught = None
) -> Estimate:
    """Return Spearman's correlation over images of the classifier's entropy with people's (unit: image)."""
    probabilities, shares = check_probabilities(probabilities, shares)
    people = entropies(shares)
    found = [
        spearman(Ranked(entropies(rows[used])), Ranked(people[used]), weights[:, used])
        for rows, used in zip(probabilities, tested, strict=True)
    ]
    return draw_mean(np.array(found), tested, taught_weights)
