"""Distances by steps of WordNet and maps of categories: against brute force, and as figures and sentences."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from humalign.errors import HumalignError
from humalign.evaluation import hierarchy
from humalign.evaluation.rsa import dissimilarities
from humalign.evaluation.scores import COLUMNS, Estimate, complete, resamples
from humalign.show import sentences, tables

THINGS = 30


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(0).standard_normal((THINGS, 12))


@pytest.fixture(scope="module")
def steps():
    found = np.random.default_rng(1).integers(1, 20, (THINGS, THINGS)).astype(float)
    return np.triu(found, 1) + np.triu(found, 1).T


@pytest.fixture(scope="module")
def weights():
    return resamples(THINGS, 20, seed=2)


# ---- WordNet ---------------------------------------------------------------------------------------------------------

def test_the_correlation_with_steps_is_that_of_scipy_for_every_draw(features, steps, weights):
    found = hierarchy.of_paths(features, steps, weights)["path-spearman"]
    distance, (i, j) = dissimilarities(features), np.triu_indices(THINGS, 1)
    assert found.value == pytest.approx(spearmanr(distance[i, j], steps[i, j]).statistic)
    for drawn, w in zip(found.draws, weights[1:].astype(int), strict=True):
        pairs = np.repeat(np.arange(len(i)), w[i] * w[j])
        assert drawn == pytest.approx(spearmanr(distance[i, j][pairs], steps[i, j][pairs]).statistic)


def test_ranges_of_steps_hold_every_pair_once(features, steps, weights):
    found = hierarchy.of_paths(features, steps, weights)
    ranges = {name: estimate for name, estimate in found.items() if name != "path-spearman"}
    assert list(ranges) == ["path 0-5", "path 6-9", "path 10-13", "path 14+"]
    assert sum(estimate.n for estimate in ranges.values()) == THINGS * (THINGS - 1) / 2
    # Standardised over all pairs, so that the pairs' mean is zero.
    assert sum(e.n * e.value for e in ranges.values()) == pytest.approx(0, abs=1e-6)
    pairs = [(i, j) for i, j in itertools.combinations(range(THINGS), 2) if 6 <= steps[i, j] <= 9]
    distance = dissimilarities(features)
    every = distance[np.triu_indices(THINGS, 1)]
    wanted = np.mean([(distance[pair] - every.mean()) / every.std() for pair in pairs])
    assert ranges["path 6-9"].value == pytest.approx(wanted)


def test_a_model_that_follows_the_steps_is_found_to(weights):
    # Three chains of ten things each: near in one chain, far between two.
    chain = np.repeat(np.arange(3), 10)
    steps = np.where(np.equal.outer(chain, chain), 4.0, 16.0)
    steps[:10:2, 1:10:2] = steps[1:10:2, :10:2] = 8
    steps[10:20:2, 11:20:2] = steps[11:20:2, 10:20:2] = 12
    near = np.eye(3)[chain] + 0.05 * np.random.default_rng(0).standard_normal((THINGS, 3))
    assert hierarchy.of_paths(near, steps, weights)["path-spearman"].value > 0.5


def test_things_outside_the_hierarchy_are_refused(features, steps, weights):
    unknown = steps.copy()
    unknown[3, :] = unknown[:, 3] = np.inf
    with pytest.raises(HumalignError, match="leave out those that are not in the hierarchy"):
        hierarchy.of_paths(features, unknown, weights)


# ---- the test of a change ---------------------------------------------------------------------------------

def test_a_change_by_relation_and_its_p_are_those_worked_by_hand():
    # Two classes of two things: the two distances within fall by 2, the four between rise by 1.
    change = np.array([[0, -2, 1, 1], [-2, 0, 1, 1], [1, 1, 0, -2], [1, 1, -2, 0]], dtype=float)
    related = hierarchy.by_classes(np.array(["a", "a", "b", "b"]))
    found = hierarchy.permuted(change, related, 3000, np.random.default_rng(0))
    assert {name: (each.value, each.n) for name, each in found.items()} == {"same-class": (-2, 2), "other-class": (1, 4)}
    # Of the 24 orders 8 keep the classes together; the other 16 give 1 within and (2 · 1 - 2 · 2) / 4 between.
    assert set(found["same-class"].draws) == {-2, 1} and set(found["other-class"].draws) == {1, -0.5}
    for each in found.values():
        exceed = int((np.abs(each.draws) >= abs(each.value)).sum())
        p, low, high = hierarchy.permutation_p(each)
        assert p == (1 + exceed) / 3001 and low < p < high
        assert p == pytest.approx(1 / 3, abs=0.03)


def test_p_is_two_sided_and_never_zero():
    draws = np.array([-0.4, 0.3, -0.3, 0.1, 0.0, 0.2, -0.1, 0.0, 0.1])
    assert hierarchy.permutation_p(Estimate(0.3, draws, 5))[0] == pytest.approx(4 / 10)
    assert hierarchy.permutation_p(Estimate(-0.35, draws, 5))[0] == pytest.approx(2 / 10)
    p, low, high = hierarchy.permutation_p(Estimate(0.5, draws, 5))
    assert p == pytest.approx(1 / 10) and low == 0 and high == pytest.approx(1 - 0.025 ** (1 / 9))


def test_p_is_even_where_things_move_all_their_pairs_and_relations_say_nothing():
    # Pairs of one thing depend on each other: a permutation of pairs takes far too many such changes for real.
    rng, by_things, by_pairs = np.random.default_rng(0), [], []
    related = hierarchy.by_classes(np.repeat(np.arange(3), (12, 4, 2)))
    pairs = np.triu_indices(18, 1)
    for _ in range(300):
        change = np.add.outer(*[rng.standard_normal(18)] * 2)
        by_things.append(hierarchy.permutation_p(hierarchy.permuted(change, related, 99, rng)["same-class"])[0])
        moved, same = change[pairs] - change[pairs].mean(), related["same-class"][pairs]
        draws = np.array([moved[rng.permutation(same)].mean() for _ in range(99)])
        by_pairs.append(hierarchy.permutation_p(Estimate(moved[same].mean(), draws, int(same.sum())))[0])
    assert 0.02 < np.mean(np.array(by_things) <= 0.05) < 0.09 and np.mean(np.array(by_pairs) <= 0.05) > 0.2
    assert np.mean(by_things) == pytest.approx(0.5, abs=0.05)


def test_the_mean_change_is_the_difference_of_distances_by_relation(features, weights):
    labels, after = np.arange(THINGS) // 10, features + 2 * np.eye(3, 12)[np.arange(THINGS) // 10]
    related = hierarchy.by_classes(labels)
    moved = hierarchy.changes(dissimilarities(features), dissimilarities(after), related)
    found = hierarchy.permuted(moved, related, 199, np.random.default_rng(0))
    for name, each in found.items():
        stages = (hierarchy.of_relations(x, related, weights)[name] for x in (after, features))
        wanted, count = next(stages) - next(stages), {"same-class": 135, "other-class": 300}[name]
        assert each.value == pytest.approx(wanted.value, abs=1e-6) and each.n == wanted.n == count
    assert found["same-class"].value < 0 and hierarchy.permutation_p(found["same-class"])[0] == 1 / 200


def test_a_thing_in_no_pair_is_not_permuted(features):
    categories = np.eye(3, dtype=bool)[np.arange(THINGS) % 3]
    categories[5] = False
    whole = hierarchy.changes(*map(dissimilarities, (features, features**3)), hierarchy.by_categories(categories))
    kept = np.delete(np.arange(THINGS), 5)
    some = whole[np.ix_(kept, kept)]
    one, other = (
        hierarchy.permuted(change, hierarchy.by_categories(member), 9, np.random.default_rng(0))
        for change, member in ((whole, categories), (some, categories[kept]))
    )
    for name in one:
        np.testing.assert_allclose(one[name].draws, other[name].draws)


# ---- maps ------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def categories():
    return np.arange(THINGS)[:, None] % 3 == np.arange(3)


def test_three_categories_are_as_far_apart_on_the_map_as_their_centres_are(features, categories, weights):
    places = hierarchy.maps({"base": features}, categories, weights)["base"]
    x, y = (np.array([place[axis].value for place in places]) for axis in (0, 1))
    # 1 - Pearson is half the squared distance of features that are standardised, divided by their number.
    standard = (features - features.mean(1, keepdims=True)) / features.std(1, keepdims=True) / np.sqrt(2 * features.shape[1])
    centres = np.array([standard[member].mean(0) for member in categories.T])
    unit = dissimilarities(features).std()
    for a, b in itertools.combinations(range(3), 2):
        assert (x[a] - x[b]) ** 2 + (y[a] - y[b]) ** 2 == pytest.approx(((centres[a] - centres[b]) ** 2).sum() / unit)


def test_maps_are_turned_to_the_first_stage(features, categories, weights):
    found = hierarchy.maps({"base": features, "same": features[:, ::-1], "other": features**3}, categories, weights)
    for mine, same in zip(found["base"], found["same"], strict=True):
        for one, other in zip(mine, same, strict=True):
            assert one.value == pytest.approx(other.value) and one.draws == pytest.approx(other.draws)
    x, y = (np.array([[p[axis].value for p in found[stage]] for stage in ("base", "other")]) for axis in (0, 1))
    near = ((x[0] - x[1]) ** 2 + (y[0] - y[1]) ** 2).sum()
    for mirrored in ((-x[1], y[1]), (x[1], -y[1]), (-x[1], -y[1]), (y[1], x[1])):
        assert near <= ((x[0] - mirrored[0]) ** 2 + (y[0] - mirrored[1]) ** 2).sum() + 1e-9


def test_a_draw_without_a_thing_of_a_category_is_left_out(features, categories):
    weights = np.ones((3, THINGS))
    weights[1, categories[:, 0]] = 0
    ((x, _), *_) = hierarchy.maps({"base": features}, categories, weights)["base"]
    assert np.isnan(x.draws[0]) and x.draws[1] == pytest.approx(x.value)
    score = x.score("map", "s", "x", "taxonomy")
    assert score.low == pytest.approx(x.value) == score.high


def test_a_category_of_one_thing_has_no_place(features, weights):
    with pytest.raises(HumalignError, match="fewer than two things"):
        hierarchy.maps({"base": features}, np.eye(THINGS, 3, dtype=bool), weights)


# ---- shown -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def scores():
    rng, rows = np.random.default_rng(0), []

    def add(stage, task, split, metric, value, n=40):
        rows.append(("things", "m", stage, task, split, metric, value, value - 0.1, value + 0.1, n, 0, "taxonomy"))

    students = ("things-photographs", ("base", "unaligned", "aligned"))
    for of, stages in (("unseen objects", ("teacher-base", "teacher", "observer")), students):
        for place, stage in enumerate(stages):
            add(stage, "hierarchy", f"{of}/WordNet", "path-spearman", 0.2 * place)
            for steps in ("0-5", "6-9", "10-13", "14+"):
                add(stage, "hierarchy", f"{of}/path {steps}", "standardised-distance", rng.normal())
    add("teacher", "hierarchy", "unseen objects/WordNet", "path-spearman-above-teacher-base", 0.2)
    for stage, other, value in (("aligned", "base", 0.4), ("aligned", "unaligned", 0.2), ("unaligned", "base", 0.05)):
        add(stage, "hierarchy", "things-photographs/WordNet", f"path-spearman-above-{other}", value)
    for of, stages, names in (("objects", ("teacher-base", "teacher"), 27), ("cifar10", ("base", "unaligned", "aligned"), 10)):
        for stage, name in itertools.product(stages, range(names)):
            for axis in "xy":
                add(stage, "map", f"{of}/category {name}", axis, 0.3 * rng.normal())
    return complete(pd.DataFrame(rows, columns=list(COLUMNS)))


def test_the_correlation_with_wordnet_is_laid_out_and_said_by_the_paired_interval(scores):
    steps = {"task": "hierarchy", "item": "WordNet", "metric": "path-spearman"}
    assert sentences.each(scores, "aligned", "base", **steps).endswith("+0.40 (0.30 to 0.50; n = 40)")
    assert "includes zero" in sentences.each(scores, "unaligned", "base", **steps)
    frame = tables.layout(scores, rows=("set", "stage"), columns="difference", differences=("base",), **steps).frame
    assert frame["stage"].tolist() == ["before", "teacher", "published VICE", "before", "control", "aligned"]
