"""Baselines that cost no judgment: whitening, its rank, and a random map, against what they must be."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from humalign.errors import HumalignError
from humalign.evaluation import baselines
from humalign.teach.teacher import AffineTeacher


@pytest.fixture(scope="module")
def pictures():
    """Features of four strong directions of other strengths in twelve, away from the origin."""
    rng = np.random.default_rng(0)
    strong = rng.standard_normal((600, 4)) * [8, 6, 4, 3] @ np.linalg.qr(rng.standard_normal((12, 12)))[0][:4]
    return strong + 0.5 * rng.standard_normal((600, 12)) + 20 * rng.standard_normal(12)


def test_whitened_pictures_have_the_identity_as_covariance_and_no_mean(pictures):
    for some in (pictures, pictures[:11], pictures.astype(np.float32)):
        found = baselines.whitening(some).transform(some).astype(float)
        np.testing.assert_allclose(found.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(np.cov(found.T, ddof=0), np.eye(found.shape[1]), atol=1e-4)


def test_the_rank_is_that_of_the_directions_that_differ_from_the_rest(pictures):
    assert baselines.likely_rank(pictures) == 4
    assert baselines.whitening(pictures).matrix_.shape == (12, 4)
    # Its space is that of the four directions: what is left of the pictures is the noise alone.
    centred = pictures - pictures.mean(0)
    basis = np.linalg.qr(baselines.whitening(pictures).matrix_)[0]
    assert (centred - centred @ basis @ basis.T).std() == pytest.approx(0.5 * np.sqrt(8 / 12), rel=0.03)


def test_the_rank_is_the_one_under_which_held_out_pictures_are_most_likely(pictures):
    some = pictures[:40]
    densities = np.zeros(11)
    for fold in range(3):
        held = np.arange(40) % 3 == fold
        values, vectors = np.linalg.eigh(np.cov(some[~held].T, ddof=0))
        for rank in range(1, 12):
            flat = np.concatenate([np.full(12 - rank, values[: 12 - rank].mean()), values[12 - rank :]])
            model = multivariate_normal(some[~held].mean(0), vectors * flat @ vectors.T)
            densities[rank - 1] += model.logpdf(some[held]).sum()
    assert baselines.likely_rank(some) == densities[2:].argmax() + 3
    costs = sum(baselines._costs(some[np.arange(40) % 3 != f], some[np.arange(40) % 3 == f]) for f in range(3))
    np.testing.assert_allclose(costs, -2 * densities - 40 * 12 * np.log(2 * np.pi), rtol=1e-9)


def test_more_features_than_pictures_are_whitened_by_the_smaller_matrix():
    wide = np.random.default_rng(1).standard_normal((30, 3)) @ np.random.default_rng(2).standard_normal((3, 200))
    wide += 0.01 * np.random.default_rng(3).standard_normal((30, 200))
    assert baselines.likely_rank(wide) == 3
    found = baselines.whitening(wide).transform(wide).astype(float)
    np.testing.assert_allclose(np.cov(found.T, ddof=0), np.eye(3), atol=1e-4)


def test_a_random_map_has_the_rank_of_the_teachers_and_takes_the_mean_to_zero(pictures):
    teacher = AffineTeacher()
    teacher.matrix_ = np.zeros((12, 5))
    assert baselines.rank_of(teacher) == 5
    found = baselines.random_map(pictures, 5, np.random.default_rng(7))
    assert np.linalg.matrix_rank(found.transform(pictures)) == 5
    np.testing.assert_allclose(found.transform(pictures).mean(0), 0, atol=1e-3)
    again, other = (baselines.random_map(pictures, 5, np.random.default_rng(seed)) for seed in (7, 8))
    assert (again.matrix_ == found.matrix_).all() and (other.matrix_ != found.matrix_).any()
    # Weights of variance 1 / rank keep lengths on average.
    many = baselines.random_map(pictures, 4000, np.random.default_rng(9)).transform(pictures)
    assert (many**2).sum() == pytest.approx(((pictures - pictures.mean(0)) ** 2).sum(), rel=0.05)


def test_every_kind_is_made_of_the_pictures_alone(pictures):
    seen, judged = pictures[:500], pictures[500:]
    found = baselines.of_pictures(judged, seen, 5, np.random.default_rng(0))
    assert tuple(found) == baselines.KINDS and {len(each) for each in found.values()} == {100}
    np.testing.assert_allclose(found["centred"], judged - seen.mean(0))
    # Each judged picture is where it is whatever else was judged.
    alone = baselines.of_pictures(judged[:1], seen, 5, np.random.default_rng(0))
    for kind in baselines.KINDS:
        np.testing.assert_allclose(alone[kind], found[kind][:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        (np.ones((9, 5)), "all embeddings are equal"),
        (np.random.default_rng(0).standard_normal((4, 5)), "4 pictures that differ in too few directions"),
        (np.outer(np.arange(9.0), np.ones(5)), "9 pictures that differ in too few directions"),
        (np.full((9, 5), np.nan), "NaN or infinity"),
    ],
)
def test_pictures_that_cannot_be_whitened_are_refused_in_one_line(pictures, said):
    with pytest.raises(HumalignError, match=said):
        baselines.whitening(pictures)
