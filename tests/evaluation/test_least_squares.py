"""The closed-form few-shot classifier, against scikit-learn's ridge regression and known answers."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from humalign import profiles
from humalign.chain.pipeline import Run
from humalign.chain.scoring import labels
from humalign.errors import HumalignError
from humalign.evaluation import few_shot, least_squares
from humalign.evaluation.least_squares import LeastSquares
from humalign.evaluation.scores import resamples

CLASSES, EACH, DIM = 4, 15, 12
IMAGES = CLASSES * EACH
LABELS = np.array(["ant", "bee", "cow", "dog"])[np.arange(IMAGES) % CLASSES]
APART = np.arange(IMAGES) < 4 * CLASSES


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLASSES, DIM))[np.arange(IMAGES) % CLASSES]
    return 5 + rng.random(DIM) * (centres + 0.8 * rng.standard_normal((IMAGES, DIM)))


@pytest.fixture(scope="module")
def support():
    return few_shot.supports(LABELS, 3, 5, np.random.default_rng(1), ~APART)


@pytest.mark.parametrize("rows", [8, 40], ids=["fewer-than-features", "more"])
def test_it_is_a_ridge_regression_onto_plus_and_minus_one(features, rows):
    taught, known = features[:rows], LABELS[:rows]
    found = LeastSquares(64.0).fit(taught, known)
    mean, std = taught.mean(0), taught.std(0) + 1e-5
    whole = np.hstack([(features - mean) / std, np.full((IMAGES, 1), 100.0)])
    targets = np.where(known[:, None] == np.unique(known), 1.0, -1.0)
    wanted = Ridge(alpha=64.0, fit_intercept=False).fit(whole[:rows], targets).predict(whole)
    np.testing.assert_allclose(found.decision_function(features), wanted, atol=1e-8)
    np.testing.assert_array_equal(found.predict(features), np.unique(known)[wanted.argmax(1)])


def test_the_penalty_is_the_best_on_validation_pictures_over_all_draws(features, support):
    models = least_squares.chosen(features, LABELS, support, APART)
    right = {}
    for penalty in (64.0, 128.0, 256.0, 512.0, 1024.0):
        alone = [LeastSquares(penalty).fit(features[each], LABELS[each]) for each in support]
        right[penalty] = np.mean([model.predict(features[APART]) == LABELS[APART] for model in alone])
    best = max(right, key=right.get)
    assert {model.penalty for model in models} == {best}
    alone = LeastSquares(best).fit(features[support[0]], LABELS[support[0]])
    np.testing.assert_allclose(models[0].matrix_, alone.matrix_)


def test_the_scale_and_the_place_of_a_feature_do_not_matter(features, support):
    rng = np.random.default_rng(2)
    moved = features * rng.uniform(0.5, 20, DIM) + rng.standard_normal(DIM)
    both = (least_squares.chosen(x, LABELS, support, APART) for x in (features, moved))
    for one, other in zip(*both, strict=True):
        np.testing.assert_array_equal(one.predict(features), other.predict(moved))


def test_validation_pictures_are_neither_learnt_from_nor_tested(features, support):
    weights = resamples(IMAGES, 20, seed=1)
    found = few_shot.of_images(features, LABELS, support, weights, few_shot.LEAST_SQUARES, validation=APART)
    models = few_shot.teach(features, LABELS, support, few_shot.LEAST_SQUARES, APART)
    hits, tested = few_shot.correct(models, features, LABELS), ~support & ~APART
    seen = tested.any(0)
    wanted = ((hits * tested).sum(0)[seen] / tested.sum(0)[seen]).mean()
    assert found.value == pytest.approx(wanted) and found.n == seen.sum() <= IMAGES - APART.sum()
    assert found.value > 0.6


@pytest.mark.parametrize("apart", [None, np.zeros(IMAGES, dtype=bool), np.ones(IMAGES, dtype=bool)],
                         ids=["not-given", "none", "taught-too"])  # fmt: skip
def test_pictures_to_choose_the_penalty_on_must_be_given(features, support, apart):
    with pytest.raises(HumalignError, match="chosen on pictures of their own"):
        few_shot.teach(features, LABELS, support, few_shot.LEAST_SQUARES, apart)


@pytest.mark.parametrize(("penalties", "said"), [((), "give numbers above"), ((0.0,), "expected a number above 0")])
def test_a_penalty_that_cannot_be_is_one_line(features, support, penalties, said):
    with pytest.raises(HumalignError, match=said):
        least_squares.chosen(features, LABELS, support, APART, penalties)


def test_a_profile_may_ask_for_it_beside_the_other_classifiers(features, monkeypatch, tmp_path):
    profile = profiles.load("things")
    settings = dataclasses.replace(profile.evaluation, shots=(1, 3), few_shot_draws=4, bootstrap_draws=30)
    data = dataclasses.replace(profile.data, labelled=("textures",))
    files = [f"{label}/{number}.png" for number, label in enumerate(LABELS)]
    monkeypatch.setattr(labels.sets, "names", lambda run, name: files)
    worse = features + 3 * np.random.default_rng(3).standard_normal(features.shape)
    stages = [(("m", "base"), worse), (("m", "aligned"), features)]
    monkeypatch.setattr(labels, "labelled", lambda run, name, beside=False: iter(stages))

    def scored(number):
        own = dataclasses.replace(settings, few_shot_validation=number)
        run = Run(dataclasses.replace(profile, data=data, evaluation=own), tmp_path)
        return {(row.stage, row.split, row.metric): row.estimate for row in labels.labels(run)}

    without, found = scored(0), scored(4)
    added = set(found) - set(without)
    metric = "accuracy-least-squares"
    assert {called for _, _, called in added} == {metric, f"{metric}-above-base"}
    assert all(found[name].value == each.value for name, each in without.items())
    one, other = (found[stage, "textures/3-shot", metric] for stage in ("base", "aligned"))
    assert other.value > one.value + 0.1 and other.n <= IMAGES - 4 * CLASSES
