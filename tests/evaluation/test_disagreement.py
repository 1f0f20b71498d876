"""Pairs on which two models disagree, by brute force."""

import numpy as np
import pytest

from humalign.errors import HumalignError
from humalign.evaluation import between_models

IMAGES = 12


@pytest.fixture
def features():
    return np.random.default_rng(0).standard_normal((IMAGES, 8))


def test_standardised_distances_do_not_see_scale_or_shift(features):
    found = between_models.standardised(features)
    pairs = found[np.triu_indices(IMAGES, 1)]
    assert pairs.mean() == pytest.approx(0, abs=1e-9) and pairs.std() == pytest.approx(1)
    np.testing.assert_allclose(between_models.standardised(3 * features + 2), found)


def test_the_pair_that_one_model_moved_is_the_first(features):
    one = between_models.standardised(features)
    other = one.copy()
    other[2, 7] = other[7, 2] = one[2, 7] + 5
    other[1, 3] = other[3, 1] = one[1, 3] - 4
    assert between_models.most_apart(one, other, 2).tolist() == [[2, 7], [1, 3]]
    assert len(between_models.most_apart(one, other, 1000)) == IMAGES * (IMAGES - 1) / 2
    with pytest.raises(HumalignError, match="distances of 12 and of 11 images"):
        between_models.most_apart(one, one[1:, 1:], 2)


def test_models_that_cannot_be_compared_are_one_line(features):
    with pytest.raises(HumalignError, match="tells nothing apart"):
        between_models.standardised(np.tile(features[:1], (5, 1)))
    distances = between_models.standardised(features)
    with pytest.raises(HumalignError, match="not finite"):
        between_models.most_apart(distances, np.where(distances > 1, np.nan, distances), 2)
    with pytest.raises(HumalignError, match="most = 0: expected a whole number, 1 or more"):
        between_models.most_apart(distances, distances, 0)
