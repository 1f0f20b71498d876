"""Sets of pictures that are made of others: mirrored, one after the other, corrupted at five severities.

The eight corruptions are those of CIFAR-10-C that NumPy, SciPy and Pillow make, at its severities; other
blurs, weather and elastic transforms are left out. A picture is corrupted at its own size, before it is
enlarged for a network. The noise is drawn anew, so that a picture is not that of the published files.

Source: Hendrycks, Dietterich (2019), Benchmarking neural network robustness to common corruptions and
perturbations; severities as in ``ImageNet-C/create_c/make_cifar_c.py`` of github.com/hendrycks/robustness.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from PIL import Image

from humalign.data.decoding import as_seen
from humalign.data.images import ImageSet
from humalign.errors import HumalignError, nearest

SEVERITIES = (1, 2, 3, 4, 5)
Pixels = Float[np.ndarray, "height width 3"]
Corruption = Callable[[Pixels, float, np.random.Generator], Pixels]


class Held(ImageSet):
    """Pictures that are in memory; without labels each is named by its number."""

    def __init__(self, pictures: Sequence[np.ndarray], labels: pd.DataFrame | None = None) -> None:
        named = [f"{number:04d}" for number in range(len(pictures))]
        self.pictures, self.labels = pictures, pd.DataFrame({"file": named}) if labels is None else labels

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.pictures[index])


class Mirrored(ImageSet):
    """Pictures, each followed by its mirror image."""

    def __init__(self, pictures: ImageSet) -> None:
        self.pictures = pictures
        files = pictures.labels["file"].tolist()
        self.labels = pd.DataFrame({"file": [name for file in files for name in (file, f"{file}, mirrored")]})

    def __getitem__(self, index: int) -> Image.Image:
        picture = self.pictures[index // 2]
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if index % 2 else picture


class Joined(ImageSet):
    """Sets of pictures one after the other."""

    def __init__(self, sets: Sequence[ImageSet]) -> None:
        self.sets, self.ends = sets, np.cumsum([len(each) for each in sets])
        self.labels = pd.concat([each.labels for each in sets], ignore_index=True)

    def __getitem__(self, index: int) -> Image.Image:
        which = int(np.searchsorted(self.ends, index, side="right"))
        return self.sets[which][index - (int(self.ends[which - 1]) if which else 0)]


# ---- corruptions -------------------------------------------------------------------------------------------


def _gaussian_noise(pixels: Pixels, spread: float, rng: np.random.Generator) -> Pixels:
    return pixels + rng.normal(scale=spread, size=pixels.shape)


def _shot_noise(pixels: Pixels, photons: float, rng: np.random.Generator) -> Pixels:
    return rng.poisson(pixels * photons) / photons


def _impulse_noise(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    return np.where(rng.random(pixels.shape) < share, rng.integers(0, 2, pixels.shape), pixels)


def _gaussian_blur(pixels: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(pixels, (sigma, sigma, 0), mode="nearest")


def _brightness(pixels: Pixels, more: float, rng: np.random.Generator) -> Pixels:
    from matplotlib.colors import hsv_to_rgb, rgb_to_hsv

    found = rgb_to_hsv(pixels)
    found[..., 2] = np.clip(found[..., 2] + more, 0, 1)
    return np.asarray(hsv_to_rgb(found))


def _contrast(pixels: Pixels, kept: float, rng: np.random.Generator) -> Pixels:
    mean = pixels.mean((0, 1))
    return (pixels - mean) * kept + mean


def _pixelate(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    picture = _picture(pixels)
    small = [int(length * share) for length in picture.size]
    return _pixels(picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.BOX))


def _jpeg(pixels: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    file = io.BytesIO()
    _picture(pixels).save(file, "JPEG", quality=int(quality))
    return _pixels(Image.open(file))


# Each with its strength at the five severities.
CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, ...]]] = {
    "gaussian-noise": (_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot-noise": (_shot_noise, (500.0, 250.0, 100.0, 75.0, 50.0)),
    "impulse-noise": (_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "gaussian-blur": (_gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0)),
    "brightness": (_brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "pixelate": (_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg": (_jpeg, (80.0, 65.0, 58.0, 50.0, 40.0)),
}


def corrupt(picture: Image.Image, corruption: str, severity: int, rng: np.random.Generator) -> Image.Image:
    """Return a picture of the same size, corrupted.

    Args:
        corruption: one of ``CORRUPTIONS``.
        severity: 1 to 5; the strengths are meant for pictures of 32 pixels.
    """
    if corruption not in CORRUPTIONS:
        raise HumalignError(f"unknown corruption {corruption!r}: {nearest(corruption, CORRUPTIONS)}")
    if severity not in SEVERITIES:
        least, most = SEVERITIES[0], SEVERITIES[-1]
        raise HumalignError(f"severity {severity} of {corruption}: give one from {least} to {most}")
    make, strengths = CORRUPTIONS[corruption]
    return _picture(make(_pixels(picture), strengths[severity - 1], rng))


def _pixels(picture: Image.Image) -> Pixels:
    return np.asarray(as_seen(picture), dtype=float) / 255


def _picture(pixels: Pixels) -> Image.Image:
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))


class Corrupted(ImageSet):
    """The pictures of an image set, each with its own (corruption, severity), the same on every run."""

    def __init__(self, whole: ImageSet, ways: Sequence[tuple[str, int]], seed: int) -> None:
        self.whole, self.ways, self.seed = whole, ways, seed
        corruptions, severities = zip(*ways, strict=True)
        self.labels = whole.labels.assign(corruption=corruptions, severity=severities)

    def __getitem__(self, index: int) -> Image.Image:
        return corrupt(self.whole[index], *self.ways[index], np.random.default_rng([self.seed, index]))
