"""k-shot classification on frozen features: of labelled pictures, and of concepts within and across styles.

A draw picks k members of every class to learn from; the others are tested. Features are scaled by the support
set and turned into its principal directions (gLocal's protocol), which only leaves fewer numbers to fit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Real
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline, make_pipeline

from humalign.data.judgments import floats, unit_rows
from humalign.errors import HumalignError, nearest, number
from humalign.evaluation import least_squares
from humalign.evaluation.checks import check_features, check_labels
from humalign.evaluation.scores import Estimate, Statistic, few

LEAST_SQUARES = "least-squares"
CS = tuple(10.0**power for power in range(-4, 3))
MOST_FOLDS = 5

Rows = Real[np.ndarray, "items dim"]
Support = Bool[np.ndarray, "draws items"]
Items = Bool[np.ndarray, " items"]
Styles = Real[np.ndarray, "styles items dim"]
Values = Real[np.ndarray, "draws items"]
Weights = Float[np.ndarray, "draws_and_one items"]
Taught = Float[np.ndarray, "draws_and_one draws"] | None


def _cross_validated(shots: int) -> BaseEstimator:
    if shots < 2:
        raise HumalignError("one shot leaves nothing to cross-validate on: take 'logistic', or two shots")
    # By likelihood: accuracy on so few pictures ties most candidates, and the probabilities are used too.
    folds = StratifiedKFold(min(shots, MOST_FOLDS))
    return GridSearchCV(LogisticRegression(max_iter=200), {"C": list(CS)}, scoring="neg_log_loss", cv=folds)


class CommonScale(TransformerMixin, BaseEstimator):
    """Centre features and divide all of them by one number, so that their mean variance is 1.

    Ten taught pictures say little of one feature's variance; divided by it, a feature could drown the others.
    """

    def fit(self, features: Real[np.ndarray, "rows dim"], y: object = None) -> CommonScale:
        """Take mean and scale from the rows; labels, which scikit-learn calls y, are not used."""
        features = floats(features)
        self.mean_ = features.mean(0)
        self.scale_ = float(np.sqrt(features.var(0).mean()))
        return self

    def transform(self, features: Real[np.ndarray, "rows dim"]) -> Float[np.ndarray, "rows dim"]:
        """Return other rows on that scale."""
        return (floats(features) - self.mean_) / self.scale_


CLASSIFIERS: dict[str, Callable[[int], BaseEstimator]] = {
    "logistic": lambda shots: LogisticRegression(C=1.0, max_iter=200),
    "logistic-cv": _cross_validated,
    "nearest-mean": lambda shots: NearestCentroid(),
}


def supports(
    labels: np.ndarray, shots: int, draws: int, rng: np.random.Generator, among: Items | None = None
) -> Support:
    """Return which items each draw learns from: ``shots`` of every class, out of those in ``among``.

    Raises:
        HumalignError: fewer than two classes, or a class with no more than ``shots`` members.
    """
    shots, draws = number("shots", shots), number("draws", draws)
    allowed = np.ones(len(labels), dtype=bool) if among is None else among
    classes = check_labels(labels)
    counts = np.array([int((labels[allowed] == name).sum()) for name in classes])
    if counts.min() <= shots:
        least = f"class {str(classes[counts.argmin()])!r} has {counts.min()} members"
        raise HumalignError(f"{least}: {shots} shots leave none to test")
    chosen = np.zeros((draws, len(labels)), dtype=bool)
    for draw in chosen:
        for name in classes:
            draw[rng.choice(np.flatnonzero(allowed & (labels == name)), shots, replace=False)] = True
    return chosen


def teach(
    features: Real[np.ndarray, "rows dim"],
    labels: np.ndarray,
    support: Support,
    classifier: str = "logistic",
    validation: Items | None = None,
) -> list[Pipeline]:
    """Return one fitted classifier a draw.

    Args:
        features, labels: of all items.
        support: which items each draw learns from, from ``supports``.
        classifier: ``logistic`` (C = 1), ``logistic-cv`` (C by cross-validation, at most five folds),
            ``nearest-mean``, or ``least-squares``, the official framework's closed form (`least_squares`).
        validation: items neither learnt from nor tested, on which ``least-squares`` chooses its penalty.

    Raises:
        HumalignError: an unknown classifier, ``least-squares`` without validation items, or faulty features.
    """
    known = (*CLASSIFIERS, LEAST_SQUARES)
    if classifier not in known:
        raise HumalignError(f"unknown classifier {classifier!r}: {nearest(classifier, known)}")
    features = check_features(features, len(labels))
    check_labels(labels)
    if classifier == LEAST_SQUARES:
        apart = np.zeros(len(labels), dtype=bool) if validation is None else validation
        return [make_pipeline(each) for each in least_squares.chosen(features, labels, support, apart)]
    return [_taught(features[each], labels[each], classifier) for each in support]


def _taught(features: np.ndarray, labels: np.ndarray, classifier: str) -> Pipeline:
    if (features == features[0]).all():
        seen = f"the features of all {len(features)} taught pictures are equal"
        raise HumalignError(f"{seen}: there is nothing to learn from")
    shots = int(np.unique(labels, return_counts=True)[1].min())
    with warnings.catch_warnings():
        # With more features than pictures the classes are always separable; the answer no longer changes.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # One shot of each of many classes is meant as it is.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        # NearestCentroid divides by items minus classes, zero for one shot; the quotient is not used.
        warnings.simplefilter("ignore", RuntimeWarning)
        return make_pipeline(CommonScale(), PCA(), CLASSIFIERS[classifier](shots)).fit(features, labels)


def image_mean(values: Values, tested: Support, weights: Weights, taught_weights: Taught = None) -> Estimate:
    """Return the mean over items of each one's mean over the draws that test it (unit: item).

    Args:
        values: of every item in every draw.
        tested: whether a draw tests an item; one that none tests is left out.
        weights: of the items, from ``resamples``.
        taught_weights: of the draws; the interval then speaks of other support sets (not ``tested``) too.

    The interval adds the variance over items and the variance over support sets. Support sets overlap, which
    understates the variance between them: we inflate it by their overlap (see ``_overlap_factor``). They are
    few, so the whole is widened with Student's t, at Satterthwaite's (1946) degrees of freedom.
    """
    draws = len(values)
    of_items = _means(values, tested, weights, np.ones((1, draws), dtype=np.float32))
    count = int(tested.any(0).sum())
    if taught_weights is None or draws == 1:
        return Estimate.of(of_items, count)
    of_draws = _means(values, tested, np.ones((1, values.shape[1]), dtype=np.float32), taught_weights)
    return _together(of_items, of_draws, ~tested, count)


def draw_mean(
    values: Float[np.ndarray, "draws draws_and_one"], tested: Support, taught_weights: Taught = None
) -> Estimate:
    """Return the mean over draws of a number that is no mean over items, as a correlation (unit: item)."""
    of_items, count = values.mean(0), int(tested.any(0).sum())
    if taught_weights is None or len(values) == 1:
        return Estimate.of(of_items, count)
    return _together(of_items, taught_weights @ values[:, 0] / len(values), ~tested, count)


def _together(of_items: Statistic, of_draws: Statistic, support: Support, count: int) -> Estimate:
    """Add the variance over items and that over support sets."""
    draws = len(support)
    by_items = of_items[1:] - of_items[0]
    by_draws = _overlap_factor(support) * (of_draws[1:] - of_draws[0])
    # Satterthwaite: V² / freedom = V_draws² / (draws - 1), with V = V_items + V_draws and V_items known well.
    freedom = (draws - 1) * (1 + np.nanvar(by_items) / by_draws.var()) ** 2 if by_draws.any() else np.inf
    return Estimate(float(of_items[0]), of_items[0] + (by_items + by_draws) * few(freedom), count)


def _overlap_factor(support: Support) -> float:
    """Return by how much the bootstrap over D support sets is to be widened, as they overlap and are few.

    Let v be the variance of the accuracy between support sets, of which sets with an overlap c share c v. The
    mean over the D sets varies by V; the bootstrap sees B of it, as it divides by D and not by D - 1:

        V = v (1/D + c (1 - 1/D)) ,   B = v (1 - c) (D - 1) / D² .

    The factor is sqrt(V / B), or 1 where all sets are the same one: then nothing is seen of v.
    """
    taught, draws = support.astype(float), len(support)
    # Σ n_i² / Σ n_i, for an item in n_i sets, is how many sets hold a taught item on average: 1 + c (D - 1).
    overlap = float(((taught.sum(0) ** 2).sum() / taught.sum() - 1) / (draws - 1)) if taught.any() else 0.0
    if overlap >= 1:
        return 1.0
    return np.sqrt((1 / draws + overlap * (1 - 1 / draws)) / (1 - overlap) * draws**2 / (draws - 1))


def _means(
    values: Values,
    tested: Support,
    weights: Float[np.ndarray, "several items"],
    of_draws: Float[np.ndarray, "some draws"],
) -> Float[np.ndarray, " bootstrap"]:
    """Return the weighted means; one row of weights, of either kind, goes with each of the other."""
    times = of_draws @ tested
    total, asked = of_draws @ (values * tested), times > 0
    score = np.divide(total, times, out=np.zeros_like(times, dtype=float), where=asked)
    counted = weights * asked
    return np.asarray((counted * score).sum(1) / counted.sum(1))


def correct(models: list[Pipeline], features: Rows, labels: np.ndarray) -> Values:
    """Return whether each fitted classifier names each item rightly, as 0 or 1."""
    return np.stack([model.predict(features) == labels for model in models]).astype(float)


def probabilities(models: list[Pipeline], features: Rows) -> Float[np.ndarray, "draws items classes"]:
    """Return the class probabilities of each fitted classifier, classes in ascending order of their names."""
    return np.stack([model.predict_proba(features) for model in models])


def of_images(
    features: Real[np.ndarray, "rows dim"],
    labels: np.ndarray,
    support: Support,
    weights: Weights,
    classifier: str = "logistic",
    taught_weights: Taught = None,
    validation: Items | None = None,
) -> Estimate:
    """Return k-shot accuracy on the pictures that are neither taught nor of ``validation`` (unit: image)."""
    models = teach(features, labels, support, classifier, validation)
    tested = ~support if validation is None else ~support & ~validation
    return image_mean(correct(models, features, labels), tested, weights, taught_weights)


def accuracy(
    features: Styles, labels: np.ndarray, support: Support, weights: Weights, taught_weights: Taught = None
) -> tuple[Estimate, Estimate]:
    """Return accuracy on untaught concepts in the style that was taught, and in the other (unit: concept)."""
    same, across = np.zeros(support.shape), np.zeros(support.shape)
    for own, other in (features, features[::-1]):
        models = teach(own, labels, support)
        same += correct(models, own, labels) / 2
        across += correct(models, other, labels) / 2
    of_same, of_across = (image_mean(each, ~support, weights, taught_weights) for each in (same, across))
    return of_same, of_across


# ---- distribution shift: other drawings of a concept, other classes of a superclass ------------------------


def nearest_in_other_style(features: Styles, weights: Weights) -> Estimate:
    """Return how often the nearest picture (cosine) of the other style is of its concept (unit: concept)."""
    similarity = unit_rows(features[0]) @ unit_rows(features[1]).T
    here = np.arange(len(similarity))
    found = np.mean([similarity.argmax(1) == here, similarity.argmax(0) == here], axis=0)
    return Estimate.of(weights @ found.astype(np.float32) / weights.sum(1), len(here))


def to_other_classes(
    features: Rows,
    superclasses: np.ndarray,
    source: Items,
    support: Support,
    weights: Weights,
    taught_weights: Taught = None,
) -> dict[str, Estimate]:
    """Teach superclasses on some of their classes; test on further pictures of these, and on other classes.

    Args:
        features, superclasses: of the pictures.
        source: whether a picture's class is one of those taught; the others are the target.
        support: which pictures each draw teaches, from ``supports`` with ``among=source``.
        weights, taught_weights: of the pictures and of the draws, as in ``image_mean``.

    Returns:
        ``source``, ``target``, and ``drop``, the paired difference between them (unit: image).

    Raises:
        HumalignError: a picture of the target is taught, or one of the domains has nothing to test.
    """
    if (support & ~source).any():
        raise HumalignError("a picture of the target classes is taught: draw the support among the source")
    if source.all() or not (~support & source).any():
        mend = "give more pictures, or fewer shots"
        raise HumalignError(f"the source or the target has no picture to test: {mend}")
    hits = correct(teach(features, superclasses, support), features, superclasses)
    inside = image_mean(hits, ~support & source, weights, taught_weights)
    beyond = image_mean(hits, np.broadcast_to(~source, support.shape), weights, taught_weights)
    return {"source": inside, "target": beyond, "drop": inside - beyond}
