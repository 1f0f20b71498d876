"""Benchmarks of the teacher: the search for one nearer to people, and the predecessor's released transforms."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from humalign.data.judgments import ByObject, random_triplets
from humalign.errors import HumalignError
from humalign.evaluation import people

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
maps, search, predecessor = map(importlib.import_module, ("maps", "teacher_search", "predecessor"))
N, DIM = 90, 12


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, DIM)) + 3
    places = np.maximum(x @ rng.standard_normal((DIM, 4)) / 3, 0)
    triplets = random_triplets(np.arange(N), 6000, rng)
    chosen = people.pair_values(people.dot_similarity(places), triplets).argmax(1)
    other = np.maximum(places + rng.standard_normal(places.shape), 0)
    answers = ByObject(triplets, np.eye(3)[chosen], N)
    return maps.Known(x, answers, {"vice": places, "own": other}, rng.random(N), {"dim": 4})


def rng():
    return np.random.default_rng(0)


def test_the_affine_map_is_a_ridge_regression(known):
    centred = known.x - known.x.mean(0)
    penalty = 0.01 * (centred**2).sum()
    wanted = Ridge(alpha=penalty).fit(known.x, known.targets["vice"]).predict(known.x)
    found = maps.affine(known, {"targets": ["vice"], "ridge": 0.01}, rng()).transform(known.x)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_sure_objects_weigh_more(known):
    weights = 1 / (1 + 2 * known.variance / known.variance.mean())
    share = weights / weights.sum()
    centred = known.x - share @ known.x
    penalty = 0.01 * (share[:, None] * centred**2).sum()
    wanted = Ridge(alpha=penalty).fit(known.x, known.targets["vice"], sample_weight=share).predict(known.x)
    setting = {"targets": ["vice"], "ridge": 0.01, "certainty": 2}
    np.testing.assert_allclose(maps.affine(known, setting, rng()).transform(known.x), wanted, atol=1e-4)


def test_the_kernel_map_is_a_kernel_ridge_regression(known):
    found = maps.kernel(known, {"targets": ["vice"], "ridge": 0.01, "width": 0.5}, rng())(known.x)
    centred = known.x - known.x.mean(0)
    x = centred / np.sqrt((centred**2).sum(1).mean())
    matrix = np.exp(-0.5 * ((x[:, None] - x) ** 2).sum(2))
    level = known.targets["vice"].mean(0)
    model = KernelRidge(alpha=0.01 * np.trace(matrix - matrix.mean(0)), kernel="precomputed")
    wanted = model.fit(matrix, known.targets["vice"] - level).predict(matrix) + level
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_similarities_of_maps_together_are_their_weighted_mean(known):
    one, other = (maps.affine(known, {"targets": [name], "ridge": 0.01}, rng()) for name in known.targets)
    maps_ = (one, other, maps.together(one, other, 0.25))
    first, second, both = (people.dot_similarity(each.transform(known.x)) for each in maps_)
    np.testing.assert_allclose(both, 0.75 * first + 0.25 * second, atol=1e-3)


def test_weights_of_dimensions_find_the_one_that_answers_follow(known):
    noise = np.random.default_rng(1).standard_normal((N, 4))
    size, _ = maps._learned(np.hstack([known.targets["vice"], noise]), known.answers, 1e-4)
    assert size[:4].min() > 2 * size[4:].max()


def test_every_map_predicts_other_objects_better_than_chance(known):
    train, test = known.of(np.arange(60)), np.arange(60, N)
    shared = {"targets": ["vice"], "ridge": 0.01, "learned": 0.01, "share": 0.5, "width": 0.1, "decay": 0.1,
              "steps": 60, "hidden": 32, "bags": 2}
    for name, fit in maps.MAPS.items():
        found = search.places(fit(train, shared, rng()), known.x[test])
        assert search.accuracy(found, known.answers[test]) > 0.5, name


def test_settings_are_chosen_inside_the_objects_and_lists_in_turn(known, monkeypatch):
    asked = []

    def score(recipe, known, candidate, setting):
        asked.append(setting)
        return -abs(setting["ridge"] - 2) - abs(setting["rank"] - 7)

    monkeypatch.setattr(search, "inner_score", score)
    candidate = {"map": "affine", "published": True, "targets": ["vice"], "ridge": [1, 2, 3], "rank": [5, 7]}
    best, value = search.search({}, known, candidate)
    assert best == {"targets": ["vice"], "ridge": 2, "rank": 7} and value == 0
    assert len(asked) == 4  # none twice


# ---- the predecessor -----------------------------------------------------------------------------------------

RNG = np.random.default_rng(5)
TRANSFORM = {"weights": RNG.standard_normal((6, 6)), "bias": RNG.standard_normal(6), "mean": np.array(0.3), "std": np.array(1.7)}


@pytest.mark.parametrize(
    "changes",
    [{}, {"bias": None}, {"mean": RNG.standard_normal(6), "std": RNG.random(6) + 0.5}, {"mean": np.full((1, 6), 0.2)}],
    ids=["scalars", "no-bias", "vectors", "row"],
)
def test_a_released_transform_maps_features_as_its_authors_do(tmp_path, changes):
    arrays = {name: value for name, value in (TRANSFORM | changes).items() if value is not None}
    np.savez(tmp_path / "transform.npz", **arrays)
    features = RNG.standard_normal((9, 6))
    wanted = (features - arrays["mean"]) / arrays["std"] @ arrays["weights"] + arrays.get("bias", 0)
    np.testing.assert_allclose(predecessor.released(tmp_path / "transform.npz").transform(features), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mean": None}, "no 'mean' among"),
        ({"weights": None}, "no 'weights' among"),
        ({"weights": TRANSFORM["weights"][:4]}, r"weights of shape \(4, 6\) instead of a square"),
        ({"bias": np.zeros(5)}, r"bias of shape \(5,\) for 6 dimensions"),
        ({"std": np.array(0.0)}, "std that is not above zero"),
        ({"weights": TRANSFORM["weights"] * np.nan}, "weights that are not finite"),
        ({"mean": np.array(np.inf)}, "mean of shape .* not finite"),
        ({"bias": np.array([{}])}, "cut short, damaged or of another layout"),
    ],
)
def test_a_transform_that_cannot_be_is_one_line(tmp_path, changes, said):
    path = tmp_path / "transform.npz"
    np.savez(path, **{name: value for name, value in (TRANSFORM | changes).items() if value is not None})
    with pytest.raises(HumalignError, match=said) as caught:
        predecessor.released(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
