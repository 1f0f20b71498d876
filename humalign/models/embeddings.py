"""Images through a frozen backbone, once: penultimate features, and the activations where a student's trunk ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from jaxtyping import Float, Float16
from torch import Tensor

from humalign.artefacts import write_dataset
from humalign.data.images import ImageSet
from humalign.errors import HumalignError, expect
from humalign.models.backbones import Backbone

# On two cores, small batches in channels-last order are twice as fast as large ones: they stay in the cache.
BATCH = 16
# Axes of what is kept, by their number.
AXES = {2: ("image", "channel"), 3: ("image", "token", "channel"), 4: ("image", "channel", "y", "x")}


@torch.inference_mode()
def embed(
    images: Sequence[ImageSet] | ImageSet,
    backbone: Backbone,
    frozen_stages: int | None = None,
    progress: Callable[[int], None] = lambda n: None,
) -> xr.Dataset:
    """Embed every picture of one or more image sets, one set after the other.

    Args:
        images: an image set, or several of like labels.
        backbone: in evaluation mode.
        frozen_stages: also keep the activations after that many stages, in half precision; after none, they are the pictures in
            [0, 1], which a student with no frozen stage normalises itself.
        progress: called with the number of pictures just done.

    Returns:
        ``features`` (image, feature) float32, and ``activations`` float16 where asked for: (image, channel, y, x), of a
        transformer (image, token, channel), behind the pooling (image, channel); every column of the labels is a coordinate
        along ``image``.

    Raises:
        HumalignError: no pictures, more frozen stages than there are, or values that are not finite or too large
            to be kept.
    """
    sets = [images] if isinstance(images, ImageSet) else images
    for one_set in sets:
        expect("images", one_set, ImageSet, "image sets, such as [FolderImages(folder)]")
    if not sum(map(len, sets)):
        raise HumalignError(f"no pictures for {backbone.name}: give at least one")
    if frozen_stages is not None:
        backbone.refuse_cut(frozen_stages)
    backbone = backbone.to(memory_format=torch.channels_last)
    features, activations = [], []
    for one_set in sets:
        for start in range(0, len(one_set), BATCH):
            pixels = torch.stack([backbone.preprocess(one_set[i]) for i in range(start, min(start + BATCH, len(one_set)))])
            hidden = backbone.normalise(pixels).contiguous(memory_format=torch.channels_last)
            for number, stage in enumerate(backbone.stages):
                if number == frozen_stages:
                    activations.append(_halved(hidden if number else pixels, backbone.name, number))
                hidden = stage(hidden)
            features.append(hidden.numpy())
            progress(len(pixels))
    found = np.concatenate(features)
    if not np.isfinite(found).all():
        raise HumalignError(f"{backbone.name} returned NaN or infinity: are its weights whole?")
    labels = pd.concat([one_set.labels for one_set in sets])
    data: dict[str, Any] = {"features": (("image", "feature"), found)}
    if activations:
        kept = np.concatenate(activations)
        data["activations"] = (AXES[kept.ndim], kept)
    return xr.Dataset(
        data, coords={name: ("image", labels[name].to_numpy(dtype=object)) for name in labels}, attrs={"backbone": backbone.name}
    )


def _halved(activations: Float[Tensor, "batch ..."], name: str, stages: int) -> Float16[np.ndarray, "batch ..."]:
    """Return activations in half precision, whose largest number is 65,504."""
    kept = activations.half().contiguous()
    if not torch.isfinite(kept).all():
        largest = float(activations.abs().max())
        mend = "train from another stage on, or from the pictures (`frozen_stages=0`)"
        end = "half precision ends at 65,504"
        raise HumalignError(f"{name} gives values up to {largest:,.0f} after {stages} stages, and {end}: {mend}")
    return kept.numpy()


def write(path: str | Path, dataset: xr.Dataset, attrs: dict[str, Any]) -> None:
    """Write embeddings with their provenance."""
    write_dataset(Path(path), dataset.assign_attrs(attrs))


def read(path: str | Path) -> xr.Dataset:
    """Read embeddings whole."""
    try:
        with xr.open_dataset(path, engine="h5netcdf") as file:
            return file.load()
    except (OSError, KeyError) as error:
        raise HumalignError(f"cannot read embeddings at {path} ({type(error).__name__}): run `humalign run embeddings`") from None
