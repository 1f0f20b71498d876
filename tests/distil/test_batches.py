"""What a step sees: by its number alone, shared out without rest, and labelled as the teacher would."""

import itertools
import threading

import numpy as np
import pytest
import torch

from humalign.data.judgments import PAIRS, random_triplets
from humalign.distil.batches import DenseTriplets, FileRows, ahead, rows_of_step
from humalign.errors import HumalignError
from humalign.triplets import LabelledTriplets, label

RNG = np.random.default_rng(0)
TEACHER = RNG.standard_normal((20, 4)).astype(np.float32)
NONE = np.empty((0, 3), "U1")


def named(step):
    """The triplets of a step as images, and not as places."""
    return np.sort(step.images[step.triplets.numpy()], axis=1)


def in_all(plan, number, world):
    """The whole step, put together from the shares of all processes."""
    shares = [plan.step(number, rank, world) for rank in range(world)]
    images = np.concatenate([share.images for share in shares])
    return shares, images


# ---- rows of a file --------------------------------------------------------------------------------------------------

def test_rows_of_a_step_follow_the_file_and_wrap_around():
    assert rows_of_step(0, 4, 10).tolist() == [0, 1, 2, 3]
    assert rows_of_step(2, 4, 10).tolist() == [8, 9, 0, 1]
    assert rows_of_step(5, 4, 10).tolist() == [0, 1, 2, 3]
    assert rows_of_step(0, 5, 3).tolist() == [0, 1, 2, 0, 1]
    assert sorted(np.concatenate([rows_of_step(s, 4, 12) for s in range(3)])) == list(range(12))


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_share_the_rows_of_a_step(world):
    labelled = label(TEACHER, random_triplets(np.arange(20), 50, RNG), np.arange(20).astype(str))
    plan = FileRows(labelled, 7)
    shares, _ = in_all(plan, 3, world)
    assert {share.total for share in shares} == {7}
    seen = [tuple(row) for share in shares for row in share.images[share.triplets.numpy()]]
    assert sorted(seen) == sorted(map(tuple, labelled.indices[21:28]))
    for share in shares:
        assert len(np.unique(share.images)) == len(share.images), "each image is run once"


# ---- all triplets among some images ----------------------------------------------------------------------------------

def test_a_dense_step_holds_every_triplet_of_its_images_once():
    step = DenseTriplets(TEACHER, 6).step(0)
    assert len(np.unique(step.images)) == 6
    wanted = {tuple(sorted(triplet)) for triplet in itertools.combinations(step.images, 3)}
    assert step.total == len(step.triplets) == len(wanted) == 20
    assert set(map(tuple, named(step))) == wanted


def test_dense_labels_are_the_teachers_dot_products_with_the_kept_pair_first():
    step = DenseTriplets(TEACHER, 8).step(3)
    seen = TEACHER[step.images][step.triplets.numpy()]
    wanted = np.stack([(seen[:, a] * seen[:, b]).sum(1) for a, b in PAIRS], axis=1)
    np.testing.assert_allclose(step.similarities, wanted, rtol=1e-5, atol=1e-5)
    assert (wanted.argmax(1) == 0).all()


def test_an_epoch_shows_no_image_twice_and_the_next_has_another_order():
    plan = DenseTriplets(TEACHER, 6, seed=1)
    first, second = ([plan.images_of_step(step) for step in steps] for steps in ((0, 1, 2), (3, 4, 5)))
    assert len(np.unique(first)) == len(np.unique(second)) == 18
    assert not np.array_equal(first, second)
    again, other = DenseTriplets(TEACHER, 6, seed=1), DenseTriplets(TEACHER, 6, seed=2)
    assert np.array_equal(again.images_of_step(4), second[1]) and not np.array_equal(other.images_of_step(4), second[1])


def test_processes_share_the_images_and_the_triplets_of_a_step():
    plan = DenseTriplets(TEACHER, 9)
    shares, images = in_all(plan, 1, 3)
    whole = plan.step(1)
    assert np.array_equal(images, whole.images)
    assert {share.total for share in shares} == {len(whole.triplets)}
    everything = torch.cat([share.triplets for share in shares])
    assert sorted(map(tuple, everything.tolist())) == sorted(map(tuple, whole.triplets.tolist()))


@pytest.mark.parametrize(
    ("plan", "images", "world", "message"),
    [
        (DenseTriplets(TEACHER, 6), 21, 1, "20 teacher embeddings for 21 images"),
        (DenseTriplets(TEACHER, 2), 20, 1, "`batch_images` is 2: it must be 3 to 20"),
        (DenseTriplets(TEACHER, 21), 20, 1, "`batch_images` is 21: it must be 3 to 20"),
        (DenseTriplets(TEACHER, 7), 20, 2, "`batch_images` is 7: 2 processes need a multiple of 2"),
        (DenseTriplets(np.zeros((600, 1), np.float32), 600), 600, 1, "`batch_images` is 600, with 35,820,200 triplets a step"),
        (DenseTriplets(TEACHER, 3), 20, 3, "`batch_images` is 3, with 1 triplets a step: raise it"),
        (FileRows(label(TEACHER, np.array([[0, 1, 2]]), np.arange(20).astype(str)), 1), 2, 1, "name image 2, but there are 2"),
        (FileRows(LabelledTriplets(np.array([[0, -1, 2]]), np.zeros((1, 3)), NONE), 1), 20, 1, "image -1: images are counted from 0"),
        (FileRows(LabelledTriplets(np.zeros((0, 3), int), np.zeros((0, 3)), NONE), 1), 20, 1, "no triplets to train on"),
        (FileRows(label(TEACHER, np.array([[0, 1, 2]]), np.arange(20).astype(str)), 1), 20, 2, "1 rows a step for 2 processes"),
    ],
)
def test_what_does_not_fit_is_one_line(plan, images, world, message):
    with pytest.raises(HumalignError, match=message):
        plan.check(images, world)


# ---- reading ahead ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("depth", [0, 1, 3, 10])
def test_what_is_read_ahead_comes_in_order(depth):
    assert list(ahead(lambda step: step * 10, range(5), depth)) == [0, 10, 20, 30, 40]


def test_the_next_item_is_read_while_the_first_is_used():
    read = threading.Event()
    items = ahead(lambda step: read.set() if step == 1 else None, range(3), depth=1)
    next(items)
    assert read.wait(timeout=60)
    items.close()


def test_a_failure_while_reading_ahead_reaches_the_one_who_asked():
    def load(step):
        if step == 1:
            raise HumalignError("no picture")
        return step

    items = ahead(load, range(3), depth=2)
    assert next(items) == 0
    with pytest.raises(HumalignError, match="no picture"):
        next(items)
