"""What the tests of collecting share: a folder of pictures, a page, and a browser."""

import numpy as np
import pytest
from made_answers import Participant, described, make, rows_of, save

from humalign.collect import page
from humalign.data.images import FolderImages


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Make the folder of pictures."""
    return make(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def small(pictures, tmp_path_factory):
    """Make a page of 48 triplets: 60 trials a person, with 4 repeats, 6 catch trials and 2 to practise."""
    settings = page.Settings(triplets=48, repeats=4, catches=6, practice=2, size=160)
    folder = tmp_path_factory.mktemp("page") / "page"
    study = page.write(pictures, folder, settings)
    return folder, study


@pytest.fixture(scope="session")
def chrome(check_book):
    """Open the browser that reads the book; skipped where there is none."""
    with check_book.browser() as driver:
        yield driver


@pytest.fixture(scope="session")
def looks(pictures):
    """Say how each picture looks: mean colour of the shape, and how much of three regions it fills."""
    images = FolderImages(pictures)
    return np.array([described(images[row]) for row in range(len(images))])


@pytest.fixture
def files(small, looks, tmp_path):
    """Save the files of three participants of different care."""
    _, study = small
    people = [Participant(study.names, looks, slip, seed) for seed, slip in enumerate((0.0, 0.1, 0.3))]
    named = zip(("anna", "ben", "007"), people, strict=True)
    return [
        save(tmp_path / "study" / "answers" / f"{name}.csv", rows_of(study, one, name, seed))
        for seed, (name, one) in enumerate(named)
    ]
