"""Choices, simulated observers, folds and VICE."""

import numpy as np
import pandas as pd
import pytest
import torch
from one_line import refused

from humalign.data import simulate
from humalign.data.judgments import (
    ByObject,
    Choices,
    agreement,
    check_triplets,
    cosine_similarities,
    entropy,
    majority_share,
    random_triplets,
)
from humalign.errors import HumalignError
from humalign.teach import splits, vice
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.teacher import AffineTeacher

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
    refused(said.replace(".", r"\."), check_triplets, np.array(triplets), 10)


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
    with pytest.raises(HumalignError, match=r"VICE found no dimension .* 300 steps: .* some 1,500 answers .50 an object.") as caught:
        vice.fit(guesses, 30, dim=10, steps=300, batch=2000, seed=0)
    assert "AffineTeacher().fit(features, choices)" in str(caught.value) and "\n" not in str(caught.value)


# ---- what a user may give ---------------------------------------------------------------------------------------------

ROWS = [[0, 1, 2], [5, 3, 4]]
FORMS = {
    **{dtype: lambda dtype=dtype: np.array(ROWS, dtype) for dtype in ("int8", "int16", "int32", "uint8", "uint16", "uint64", ">i4")},
    "whole floats": lambda: np.array(ROWS, float),
    "list": lambda: ROWS,
    "reversed view": lambda: np.array([row[::-1] for row in ROWS])[:, ::-1],
    "column by column": lambda: np.asfortranarray(ROWS),
    "read-only": lambda: np.frombuffer(np.array(ROWS).tobytes(), dtype=int).reshape(2, 3),
    "tensor": lambda: torch.tensor(ROWS),
}


@pytest.mark.parametrize("form", FORMS)
def test_triplets_and_counts_of_any_form_are_the_same_answers(form):
    choices = Choices(FORMS[form](), [[2, 1, 0], [0, 0, 1]])
    assert choices.triplets.dtype == choices.counts.dtype == np.int64 and choices.triplets.tolist() == ROWS
    assert choices.shares.tolist() == [[2 / 3, 1 / 3, 0], [0, 0, 1]]
    again = ByObject(FORMS[form](), np.array([[0.5, 0.5, 0], [0, 0, 1]], np.float16), 6)
    assert again.triplets.tolist() == ROWS and again.shares.dtype == np.float32
    assert again[[3, 4, 5]].triplets.tolist() == [[2, 0, 1]] == again[np.array([3, 4, 5], np.uint8)].triplets.tolist()


@pytest.mark.parametrize(
    ("triplets", "counts", "said"),
    [
        (ROWS, [[2, -1, 0], [1, 0, 0]], "row 0: counts of answers below zero: .2, -1, 0."),
        (ROWS, [[1, 0, 0], [0.5, 0.5, 0]], "row 1: counts of answers hold 0.5: expected whole numbers"),
        (ROWS, [[1, 0, 0], [np.nan, 1, 0]], "row 1: counts of answers hold nan"),
        (ROWS, [[np.inf, 0, 0], [1, 0, 0]], "row 0: counts of answers hold inf"),
        ([[0, 1, 2.5], [1, 2, 3]], [[1, 0, 0]] * 2, "row 0: triplets hold 2.5: expected whole numbers"),
        ([[0, 1, np.nan], [1, 2, 3]], [[1, 0, 0]] * 2, "row 0: triplets hold nan"),
        ([[0, 1, -2]], [[1, 0, 0]], "row 0: an index below 0"),
        ([[0, 1, 2], [1, 2]], [[1, 0, 0]] * 2, "triplets are no array of numbers"),
        ([["a", "b", "c"]], [[1, 0, 0]], "triplets are of type <U1: expected real numbers"),
        (np.array([[0, 1, 2**63]], np.uint64), [[1, 0, 0]], "row 0: triplets hold 9223372036854775808"),
        (np.ma.masked_equal(ROWS, 4), [[1, 0, 0]] * 2, "triplets hold masked values"),
        (ROWS, [[1, 0, 0]], "2 triplets but counts of shape"),
    ],
)
def test_answers_that_cannot_be_are_one_line(triplets, counts, said):
    refused(said, Choices, triplets, counts)


@pytest.mark.parametrize(
    "shares", [[50.0, 30.0, 20.0], [1.2, -0.3, 0.1], [0.5, 0.5, 0.5], [np.nan, 0.5, 0.5], [3.0, 1.0, -2.0], [2, 1, 0], [0, 0, 0]], ids=str
)
def test_shares_that_are_no_distribution_are_refused_wherever_they_are_given(shares):
    features, shares = np.eye(3, dtype=np.float32), np.array([shares])
    for use in (
        lambda: ByObject([[0, 1, 2]], shares, 3),
        lambda: agreement(features, np.repeat(shares, 3, 0)),
        lambda: entropy(shares),
        lambda: AffineTeacher().fit(features, ([[0, 1, 2]], shares)),
        lambda: MixedEffectsTeacher().fit(features, ([[0, 1, 2]], shares)),
    ):
        refused(r"row 0: .* is no distribution over the three pairs: give shares from 0 to 1", use)


def test_cosines_are_those_of_double_precision_whatever_the_type_and_the_scale():
    rng = np.random.default_rng(0)
    plain = np.maximum(rng.standard_normal((200, 1280)), 0) * 10
    asked = random_triplets(np.arange(200), 500, rng)
    wanted = cosine_similarities(plain, asked)
    for features, tolerance in (
        (plain.astype(np.float16), 1e-3),
        (plain.astype(np.float32), 1e-5),
        (plain.astype(">f4"), 1e-5),
        ((1e25 * plain).astype(np.float32), 1e-5),
        ((1e-30 * plain).astype(np.float32), 1e-5),
        ((2 * plain).astype(np.uint8), 0.03),
        (np.round(100 * plain).astype(np.int16), 1e-3),
        (np.round(100 * plain).astype(int), 1e-3),
    ):
        for rows in (asked, asked.astype(np.uint8), asked[:, ::-1][:, ::-1]):
            np.testing.assert_allclose(cosine_similarities(features, rows), wanted, atol=tolerance)
    refused(r"row 0: index outside 0\.\.199", cosine_similarities, plain, np.array([[0, 1, 200]]))
    with pytest.raises(HumalignError, match="first in row 7"):
        cosine_similarities(np.where(np.arange(200)[:, None] == 7, np.nan, plain), asked)


def test_an_unknown_similarity_is_no_answer_and_no_object_is_compared_with_itself():
    with pytest.raises(HumalignError, match="row 1: similarities hold NaN"):
        agreement(np.array([[1.0, 0, 0], [np.nan, 1, 0]]), np.array([[1.0, 0, 0]] * 2))
    with pytest.raises(HumalignError, match="named twice"):
        random_triplets(np.array([0, 1, 1, 2]), 5, np.random.default_rng(0))
    for objects in (np.arange(5, dtype=np.uint8), [0, 1, 2, 3, 4]):
        wanted = random_triplets(np.arange(5), 9, np.random.default_rng(0))
        assert (random_triplets(objects, 9, np.random.default_rng(0)) == wanted).all()
