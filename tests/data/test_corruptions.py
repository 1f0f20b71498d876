"""Corrupted pictures: each kind does what its name says, more at a higher severity, and the same on every run."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage.filters import gaussian

from humalign.data.combined import CORRUPTIONS, SEVERITIES, Corrupted, corrupt
from humalign.errors import HumalignError


def picture(seed=0, size=32):
    """A picture with smooth shapes in the middle of the scale."""
    noise = np.random.default_rng(seed).random((size, size, 3))
    smooth = np.stack([gaussian(noise[..., channel], 2) for channel in range(3)], axis=2)
    return Image.fromarray((55 + 140 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8))


def pixels(image):
    return np.asarray(image, dtype=float) / 255


def corrupted(name, severity, seed=1):
    return pixels(corrupt(picture(), name, severity, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_keeps_the_size_and_grows_with_its_severity(name):
    original = pixels(picture())
    apart = [np.abs(corrupted(name, severity) - original).mean() for severity in SEVERITIES]
    assert apart[0] > 0 and apart[-1] > apart[0]
    assert np.all(np.diff(apart) > -0.002), apart
    np.testing.assert_array_equal(corrupted(name, 3), corrupted(name, 3))


def test_noise_has_the_spread_of_its_severity():
    original = pixels(picture())
    assert (corrupted("gaussian-noise", 5) - original).std() == pytest.approx(0.10, rel=0.05)
    shot = (corrupted("shot-noise", 5) - original) / np.sqrt(original / 50)
    assert shot.std() == pytest.approx(1, rel=0.05)
    hit = (corrupted("impulse-noise", 5) != original) & np.isin(corrupted("impulse-noise", 5), (0, 1))
    assert hit.mean() == pytest.approx(0.07, abs=0.015)


def test_blur_is_that_of_scikit_image_and_brightness_that_of_the_value():
    original = pixels(picture())
    np.testing.assert_allclose(corrupted("gaussian-blur", 5), gaussian(original, sigma=1.0, channel_axis=-1), atol=0.003)
    lighter = np.minimum(original.max(2) + 0.3, 1)
    np.testing.assert_allclose(corrupted("brightness", 5).max(2), lighter, atol=0.003)
    flat = corrupted("contrast", 5)
    np.testing.assert_allclose(flat.mean((0, 1)), original.mean((0, 1)), atol=0.003)
    assert flat.std() / original.std() == pytest.approx(0.15, rel=0.1) or flat[..., 0].std() < 0.2 * original[..., 0].std()


def test_pixels_are_as_large_as_their_severity_says():
    original = picture()
    small = original.resize((20, 20), Image.Resampling.BOX).resize((32, 32), Image.Resampling.BOX)
    np.testing.assert_array_equal(corrupted("pixelate", 5), pixels(small))


@pytest.mark.parametrize(("name", "severity", "said"), [
    ("gausian-noise", 1, "unknown corruption 'gausian-noise': did you mean 'gaussian-noise'"),
    ("jpeg", 6, "severity 6 of jpeg: give one from 1 to 5"),
])
def test_what_is_no_corruption_is_one_line(name, severity, said):
    with pytest.raises(HumalignError, match=said):
        corrupt(picture(), name, severity, np.random.default_rng(0))


class Few:
    labels = pd.DataFrame({"class": ["cat", "dog", "cat"]})

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return picture(index)


def test_each_picture_of_a_set_has_its_own_way_and_noise():
    ways = [("gaussian-noise", 1), ("gaussian-noise", 1), ("jpeg", 5)]
    shown = Corrupted(Few(), ways, seed=3)
    assert len(shown) == 3
    assert shown.labels["corruption"].tolist() == ["gaussian-noise", "gaussian-noise", "jpeg"]
    assert shown.labels["severity"].tolist() == [1, 1, 5] and shown.labels["class"].tolist() == ["cat", "dog", "cat"]
    np.testing.assert_array_equal(pixels(shown[1]), pixels(Corrupted(Few(), ways, seed=3)[1]))
    first, second = (pixels(shown[index]) - pixels(picture(index)) for index in (0, 1))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.1
