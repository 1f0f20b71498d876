"""Pairs on which two models disagree, and people's ratings of pairs: brute force, and worlds whose answer is known."""

import numpy as np
import pytest
from scipy.stats import pearsonr

from humalign.errors import HumalignError
from humalign.evaluation import disagreement
from humalign.evaluation.scores import resamples

IMAGES = 12


@pytest.fixture
def features():
    return np.random.default_rng(0).standard_normal((IMAGES, 8))


def test_standardised_distances_do_not_see_scale_or_shift(features):
    found = disagreement.standardised(features)
    pairs = found[np.triu_indices(IMAGES, 1)]
    assert pairs.mean() == pytest.approx(0, abs=1e-9) and pairs.std() == pytest.approx(1)
    np.testing.assert_allclose(disagreement.standardised(3 * features + 2), found)


def test_the_pair_that_one_model_moved_is_the_first(features):
    one = disagreement.standardised(features)
    other = one.copy()
    other[2, 7] = other[7, 2] = one[2, 7] + 5
    other[1, 3] = other[3, 1] = one[1, 3] - 4
    assert disagreement.most_apart(one, other, 2).tolist() == [[2, 7], [1, 3]]
    assert len(disagreement.most_apart(one, other, 1000)) == IMAGES * (IMAGES - 1) / 2
    with pytest.raises(HumalignError, match="distances of 12 and of 11 images"):
        disagreement.most_apart(one, one[1:, 1:], 2)


def test_the_model_that_people_side_with_has_the_correlation():
    rng = np.random.default_rng(1)
    near = rng.random(40)
    rated = 5 - 4 * near + 0.2 * rng.standard_normal((25, 40))
    rated[0, :5] = np.nan
    found = disagreement.ratings({"aligned": near, "unaligned": rng.random(40)}, rated, resamples(25, 200, 0))
    assert found["aligned", "rating-pearson"].value == pytest.approx(pearsonr(near, np.nanmean(rated, axis=0)).statistic)
    assert found["aligned", "rating-pearson"].value < -0.95 < found["unaligned", "rating-pearson"].draws.min()
    assert found["aligned", "near-rating"].value > found["unaligned", "near-rating"].value
    score = found["aligned", "near-rating"].score("ratings", "pairs", "near-rating", "human")
    assert score.low < score.value < score.high
    mean = found["aligned", "rating-pearson"].draws.mean()
    assert mean == pytest.approx(found["aligned", "rating-pearson"].value), "fewer different people agree less: draws are brought back"


def test_what_cannot_be_rated_is_one_line(features):
    with pytest.raises(HumalignError, match="tells nothing apart"):
        disagreement.standardised(np.tile(features[:1], (5, 1)))
    rated = np.ones((4, 5))
    weights = resamples(4, 10, 0)
    with pytest.raises(HumalignError, match="all equal"):
        disagreement.ratings({"aligned": np.arange(5.0)}, rated, weights)
    rated[:, 2] = np.nan
    with pytest.raises(HumalignError, match="ratings of 5 pairs, 1 of them by nobody"):
        disagreement.ratings({"aligned": np.arange(5.0)}, rated, weights)
