"""Choices, simulated observers, folds and VICE."""

import numpy as np
import pandas as pd
import pytest
import torch

from humalign.data import simulate
from humalign.data.judgments import Choices, check_triplets, entropy, majority_share, random_triplets
from humalign.errors import HumalignError
from humalign.teach import splits, vice

TAXONOMY = pd.DataFrame({
    "concept": [f"c{i}" for i in range(60)],
    "subgroup": [f"s{i // 6}" for i in range(60)],
    "group": [f"g{i // 20}" for i in range(60)],
})


@pytest.fixture(scope="module")
def observers():
    rng = np.random.default_rng(0)
    space = simulate.tree_space(TAXONOMY, {"group": 0.4, "subgroup": 0.4, "concept": 0.2}, 30, rng)
    return simulate.calibrated(space, 25, 0.3, rng)


@pytest.mark.parametrize(
    ("triplets", "said"),
    [
        ([[0, 1, 2], [3, 3, 4]], "row 1: the same object twice"),
        ([[0, 1, 2], [3, 4, 10]], "row 1: index outside 0..9"),
        ([[0, -1, 2]], "row 0: index outside"),
        ([[0, 1]], "rows of three"),
        (np.empty((0, 3), int), "at least one"),
    ],
)
def test_bad_triplets_are_one_line_with_the_row(triplets, said):
    with pytest.raises(HumalignError, match=said.replace(".", r"\.")) as caught:
        check_triplets(np.array(triplets), 10)
    assert "\n" not in str(caught.value)


def test_counts_must_fit_their_triplets():
    with pytest.raises(HumalignError, match="row 1: a triplet without an answer"):
        Choices(np.array([[0, 1, 2], [1, 2, 3]]), np.array([[1, 0, 0], [0, 0, 0]]))


def test_entropy_and_majority_share_of_known_distributions():
    counts = np.array([[20, 0, 0], [10, 10, 0], [4, 4, 4]])
    np.testing.assert_allclose(majority_share(counts), [1, 0.5, 1 / 3])
    np.testing.assert_allclose(entropy(counts / counts.sum(1, keepdims=True)), [0, np.log(2), np.log(3)])


def test_random_triplets_are_of_three_different_objects():
    triplets = random_triplets(np.array([3, 5, 7]), 500, np.random.default_rng(0))
    check_triplets(triplets, 8)
    assert len(triplets) == 500 and set(triplets.ravel()) == {3, 5, 7}


def test_observers_are_as_unsure_as_people(observers):
    rng = np.random.default_rng(1)
    asked = observers.answer(random_triplets(np.arange(60), 4000, rng), 20, rng)
    assert majority_share(asked.counts).mean() == pytest.approx(simulate.THINGS_MAJORITY_SHARE, abs=0.02)
    assert entropy(asked.shares).mean() == pytest.approx(simulate.THINGS_CHOICE_ENTROPY, abs=0.04)


def test_answers_follow_the_probabilities(observers):
    rng = np.random.default_rng(2)
    triplets = random_triplets(np.arange(60), 3000, rng)
    asked, chances = observers.answer(triplets, 25, rng), observers.probabilities(triplets)
    assert (asked.counts.sum(1) == 25).all()
    assert np.corrcoef(asked.shares.ravel(), chances.ravel())[0, 1] > 0.95


def test_more_answers_than_observers_is_an_error(observers):
    with pytest.raises(HumalignError, match="raise `observers`"):
        observers.answer(np.array([[0, 1, 2]]), 26, np.random.default_rng(0))


def test_folds_hold_every_concept_out_once_and_some_subgroups_whole():
    fold, whole = splits.concept_folds(TAXONOMY, 3, 1, np.random.default_rng(0))
    assert set(fold) == {0, 1, 2}
    for name in set(TAXONOMY["subgroup"][whole]):
        assert len(set(fold[TAXONOMY["subgroup"] == name])) == 1
    assert TAXONOMY["subgroup"][whole].nunique() == 3


def test_answers_inside_name_places_of_the_given_objects():
    choices = Choices(np.array([[0, 5, 9], [1, 2, 3]]), np.array([[1, 0, 0], [0, 1, 0]]))
    kept = splits.inside(choices, np.array([0, 5, 9]))
    assert kept.triplets.tolist() == [[0, 1, 2]] and kept.counts.tolist() == [[1, 0, 0]]
    with pytest.raises(HumalignError, match="no answer lies wholly inside"):
        splits.inside(choices, np.array([0, 1]))


def test_vice_recovers_choice_distributions_it_was_not_told(observers):
    rng = np.random.default_rng(3)
    asked = observers.answer(random_triplets(np.arange(60), 20000, rng), 1, rng)
    found = vice.fit(asked, 60, dim=20, steps=500, batch=4096, learning_rate=0.05, seed=0)
    new = random_triplets(np.arange(60), 3000, rng)
    predicted, truth = found.predict(new), observers.probabilities(new)
    assert np.corrcoef(predicted.ravel(), truth.ravel())[0, 1] > 0.9
    np.testing.assert_allclose(predicted.sum(1), 1, rtol=1e-5)
    assert 2 <= found.mean.shape[1] < 20, "dimensions that are not needed are pruned"
    assert torch.equal(vice.fit(asked, 60, dim=20, steps=20, batch=512, learning_rate=0.2, seed=1).mean,
                       vice.fit(asked, 60, dim=20, steps=20, batch=512, learning_rate=0.2, seed=1).mean)


def test_vice_says_so_when_answers_are_guesses():
    rng = np.random.default_rng(4)
    triplets = random_triplets(np.arange(30), 2000, rng)
    guesses = Choices(triplets, np.eye(3, dtype=int)[rng.integers(3, size=2000)])
    with pytest.raises(HumalignError, match="VICE found no dimension"):
        vice.fit(guesses, 30, dim=10, steps=300, batch=2000, seed=0)
