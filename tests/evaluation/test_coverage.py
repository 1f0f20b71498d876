"""A small part of `benchmarks/coverage.py`: intervals that should hold the truth do, and more than by half an interval's width."""

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
SPEC = importlib.util.spec_from_file_location("interval_coverage", PATH)
coverage = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = coverage
SPEC.loader.exec_module(coverage)


@pytest.mark.parametrize(
    "name",
    [
        "mean of 200 images",
        "odd-one-out, 2,000 triplets of 300 objects",
        "soft labels, cross-entropy",
        "rsa, 48 things, pearson",
        "levels, 40 people and 200 triplets",
    ],
)
def test_the_interval_holds_the_truth_about_as_often_as_it_says(name):
    inside, _, _ = coverage.coverage(coverage.WORLDS[name], 60)
    # Of 60 samples at 95 %, fewer than 52 hold the truth once in 600; benchmarks/coverage.py has the finer figure.
    assert inside >= 52 / 60


def test_a_wrong_truth_is_not_held():
    def shifted(rng):
        estimate, truth = coverage.mean_of_images(rng)
        return estimate, truth + 0.1

    inside, above, below = coverage.coverage(shifted, 30)
    assert inside < 0.2 and above > 0.8 and below == 0
