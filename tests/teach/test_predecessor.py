"""The predecessor's released transforms, as `benchmarks/predecessor.py` reads them."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from humalign.errors import HumalignError

PATH = Path(__file__).parents[2] / "benchmarks" / "predecessor.py"
SPEC = importlib.util.spec_from_file_location("predecessor", PATH)
predecessor = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = predecessor
SPEC.loader.exec_module(predecessor)

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
