"""Images through a frozen backbone, once: penultimate features, and the activations where a student's trunk ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from humalign.artefacts import write_dataset
from humalign.data.images import ImageSet
from humalign.errors import HumalignError
from humalign.models.backbones import Backbone

# On two cores, small batches in channels-last order are twice as fast as large ones: they stay in the cache.
BATCH = 16


@torch.inference_mode()
def embed(
    images: Sequence[ImageSet], backbone: Backbone, frozen_stages: int | None = None, progress: Callable[[int], None] = lambda n: None
) -> xr.Dataset:
    """Embed every picture of one or more image sets, one set after the other.

    Args:
        images: image sets of like labels.
        backbone: in evaluation mode.
        frozen_stages: also keep the activations after that many stages, in half precision; after none, they are the pictures in
            [0, 1], which a student with no frozen stage normalises itself.
        progress: called with the number of pictures just done.

    Returns:
        ``features`` (image, feature) float32, and ``activations`` float16 where asked for: (image, channel, y, x), of a
        transformer (image, token, channel); every column of the labels is a coordinate along ``image``.
    """
    backbone = backbone.to(memory_format=torch.channels_last)
    features, activations = [], []
    for one_set in images:
        for start in range(0, len(one_set), BATCH):
            pixels = torch.stack([backbone.preprocess(one_set[i]) for i in range(start, min(start + BATCH, len(one_set)))])
            hidden = backbone.normalise(pixels).contiguous(memory_format=torch.channels_last)
            for number, stage in enumerate(backbone.stages):
                if number == frozen_stages:
                    activations.append((hidden if number else pixels).half().contiguous().numpy())
                hidden = stage(hidden)
            features.append(hidden.numpy())
            progress(len(pixels))
    found = np.concatenate(features)
    if not np.isfinite(found).all():
        raise HumalignError(f"{backbone.name} returned NaN or infinity: are its weights whole?")
    labels = pd.concat([one_set.labels for one_set in images])
    data: dict[str, Any] = {"features": (("image", "feature"), found)}
    if activations:
        kept = np.concatenate(activations)
        data["activations"] = (("image", "token", "channel") if kept.ndim == 3 else ("image", "channel", "y", "x"), kept)
    return xr.Dataset(
        data, coords={name: ("image", labels[name].to_numpy(dtype=object)) for name in labels}, attrs={"backbone": backbone.name}
    )


def write(path: Path, dataset: xr.Dataset, attrs: dict[str, Any]) -> None:
    """Write embeddings with their provenance."""
    write_dataset(path, dataset.assign_attrs(attrs))


def read(path: str | Path) -> xr.Dataset:
    """Read embeddings whole."""
    try:
        with xr.open_dataset(path, engine="h5netcdf") as file:
            return file.load()
    except (OSError, KeyError) as error:
        raise HumalignError(f"cannot read embeddings at {path} ({type(error).__name__}): run `humalign run embeddings`") from None


def made_with(path: Path, key: str) -> bool:
    """Tell whether a file was written by a stage under this very key, so that a stopped stage need not make it again."""
    try:
        return path.is_file() and bool(read(path).attrs.get("key") == key)
    except HumalignError:
        return False
