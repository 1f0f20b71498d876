"""What the book shows of real people, and the people's own measures: against brute force, and by the stated rules."""

import itertools

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from humalign.chain.scoring import learning
from humalign.chain.scoring.rows import measures
from humalign.data.judgments import Choices, entropy
from humalign.evaluation import people
from humalign.evaluation.correlation import matrix_pearson
from humalign.evaluation.scores import Estimate, resamples

IMAGES, PEOPLE = 9, 4


@pytest.fixture(scope="module")
def matrices():
    rng = np.random.default_rng(0)
    truth = rng.random((IMAGES, IMAGES))
    noisy = truth + 0.4 * rng.standard_normal((PEOPLE, IMAGES, IMAGES))
    return np.stack([(m + m.T) / 2 for m in noisy])


# ---- people, one at a time -------------------------------------------------------------------------------------------

def test_a_person_left_out_is_scored_by_the_mean_of_the_others(matrices):
    tests = [np.array([0, 2, 4, 6, 8]), np.array([1, 3, 5, 7])]
    right, rank = [], []
    for person in range(PEOPLE):
        mean = np.delete(matrices, person, axis=0).mean(0)
        for images in tests:
            hits = []
            for i, j, k in itertools.combinations(images, 3):
                pairs = [(i, j), (i, k), (j, k)]
                hits.append(min(pairs, key=lambda p: matrices[person][p]) == min(pairs, key=lambda p, mean=mean: mean[p]))
            right.append(np.mean(hits))
            pairs = list(itertools.combinations(images, 2))
            rank.append(spearmanr([matrices[person][p] for p in pairs], [mean[p] for p in pairs]).statistic)
    found = people.left_out(matrices, tests, 20, 0)
    assert found["accuracy"].value == pytest.approx(np.mean(right))
    assert found["rsa-spearman"].value == pytest.approx(np.mean(rank))
    assert found["accuracy"].n == PEOPLE and found["accuracy"].draws.std() > 0


def test_on_all_images_a_person_left_out_is_the_lower_bound(matrices):
    bound = people.ceilings(matrices, 20, 0)["rsa-lower"]
    found = people.left_out(matrices, [np.arange(IMAGES)], 20, 0)["rsa-spearman"]
    assert found.value == pytest.approx(bound.value)
    assert found.draws == pytest.approx(bound.draws)


def test_matrix_pearson_draws_a_pair_as_often_as_its_items(matrices):
    i, j = np.triu_indices(IMAGES, 1)
    weights = resamples(IMAGES, 3, 1)
    found = matrix_pearson(100 + matrices[0], matrices[1], weights)
    for w, value in zip(weights.astype(int), found, strict=True):
        one, other = (np.repeat(matrix[i, j], w[i] * w[j]) for matrix in matrices[:2])
        assert value == pytest.approx(pearsonr(one, other).statistic, abs=1e-5)


def test_a_gain_is_paired_draw_by_draw_and_only_where_the_reference_has_the_metric():
    base, mapped = Estimate(0.4, np.array([0.3, 0.5]), 9), Estimate(0.6, np.array([0.6, 0.6]), 9)
    both = {"accuracy": mapped, "own": mapped}
    found = {("m", "teacher-base"): {"accuracy": base}, ("m", "teacher"): both, ("n", "teacher"): {"own": base}}
    rows = list(measures(found, "odd-one-out", "some"))
    assert [(row.model, row.stage, row.metric) for row in rows] == [
        ("m", "teacher-base", "accuracy"), ("m", "teacher", "accuracy"), ("m", "teacher", "accuracy-above-teacher-base"),
        ("m", "teacher", "own"), ("n", "teacher", "own"),
    ]  # fmt: skip
    assert rows[2].estimate.draws == pytest.approx([0.3, 0.1])


# ---- examples --------------------------------------------------------------------------------------------------------

def test_shown_triplets_are_the_least_the_middle_and_the_most_divided_of_those_allowed():
    counts = np.array([[20, 0, 0], [10, 10, 0], [18, 2, 0], [7, 7, 6], [15, 5, 0], [19, 1, 0]])
    choices = Choices(np.array([[0, 1, 2]] * 6), counts)
    places = {"least": 0.0, "middle": 0.5, "most": 1.0}
    among = np.array([False, True, True, True, True, True])
    found = learning.typical_rows(choices, among, places)
    assert found == {"least": 5, "middle": 4, "most": 3}
    assert entropy(choices.shares)[0] == 0 and learning.typical_rows(choices, np.ones(6, bool), places)["least"] == 0


def test_a_pair_is_named_with_what_is_left_out():
    assert learning.pair_names(np.array([2, 0, 1]), ("cat", "sports_car", "dog")) == ("dog + cat | sports car", "dog + sports car | cat",
                                                                                       "cat + sports car | dog")


def test_shares_of_answers_are_resampled_by_answer():
    found = learning.answer_shares(np.array([30, 10, 0]), 4000, 0)
    assert [share.value for share in found] == [0.75, 0.25, 0.0]
    assert [share.n for share in found] == [40] * 3
    assert found[0].draws.std() == pytest.approx(np.sqrt(0.75 * 0.25 / 40), rel=0.05)
    assert np.sum([share.draws for share in found], axis=0) == pytest.approx(1.0)


def test_a_dimension_is_named_by_its_highest_objects_and_finds_its_likeness():
    rng = np.random.default_rng(0)
    others = rng.random((40, 3))
    own = others[:, 1] + 0.1 * rng.random(40)
    weights = resamples(40, 5, 0)
    found = learning.nearest_dimension(own, others, weights)
    assert found.value == pytest.approx(pearsonr(own, others[:, 1]).statistic)
    times = weights[1].astype(int)
    assert found.draws[0] == pytest.approx(pearsonr(np.repeat(own, times), np.repeat(others[:, 1], times)).statistic, abs=1e-5)
    assert learning.highest(np.array([0.1, 3.0, 2.0]), ("a", "b_c", "d"), 2) == "b c, d"
