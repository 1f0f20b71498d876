"""Pictures through a frozen backbone, a batch at a time: kept in memory, yielded, or streamed to files.

What is kept are the penultimate features and the activations where a student's trunk ends. Files are written
block by block, and a stopped run goes on with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from jaxtyping import Float, Float16, Num
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from humalign.artefacts import replacing, reserve, write_error
from humalign.data.images import ImageSet, squash
from humalign.data.pixels import PixelStore
from humalign.errors import HumalignError, expect
from humalign.models.backbones import Backbone
from humalign.profiles.schema import Compute

# On two cores, small batches in channels-last order are twice as fast as large ones: they stay in the cache.
BATCH = 16
# Axes of what is kept, by their number.
AXES = {2: ("image", "channel"), 3: ("image", "token", "channel"), 4: ("image", "channel", "y", "x")}
# Pictures, or seconds, between two entries of the journal: so many at most are embedded again after a stop.
BLOCK, PAUSE = 8192, 10.0
Model = Callable[[Tensor], tuple[Tensor, ...]]


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
        frozen_stages: also keep the activations after that many stages; after none, they are the pictures in
            [0, 1], which a student with no frozen stage normalises itself.
        progress: called with the number of pictures just done.

    Returns:
        ``features`` (image, feature) float32, and ``activations`` float16 where asked for, with axes as in
        `AXES`; every column of the labels is a coordinate along ``image``.

    Raises:
        HumalignError: no pictures, more frozen stages than there are, or values not finite or too large.
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
            rows = range(start, min(start + BATCH, len(one_set)))
            pixels = torch.stack([backbone.preprocess(one_set[row]) for row in rows])
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
    coords = {name: ("image", labels[name].to_numpy(dtype=object)) for name in labels}
    return xr.Dataset(data, coords=coords, attrs={"backbone": backbone.name})


def _halved(activations: Float[Tensor, "*batch"], name: str, stages: int) -> Float16[np.ndarray, "*batch"]:
    """Return activations in half precision, whose largest number is 65,504."""
    kept = activations.half().contiguous()
    if not torch.isfinite(kept).all():
        seen = f"{name} gives values up to {float(activations.abs().max()):,.0f} after {stages} stages"
        mend = "train from another stage on, or from the pictures (`frozen_stages=0`)"
        raise HumalignError(f"{seen}, and half precision ends at 65,504: {mend}")
    return kept.numpy()


def read(path: str | Path) -> xr.Dataset:
    """Read embeddings whole."""
    try:
        with xr.open_dataset(path, engine="h5netcdf") as file:
            return file.load()
    except (OSError, KeyError) as error:
        mend = "run `humalign run embeddings`"
        raise HumalignError(f"cannot read embeddings at {path} ({type(error).__name__}): {mend}") from None


# ---- to files ----------------------------------------------------------------------------------------------


class Squashed(Dataset):
    """Some pictures of a set at one size, values in [0, 1]; as bytes where they are sent to a GPU."""

    def __init__(self, images: ImageSet, size: int, rows: range, as_bytes: bool) -> None:
        self.images, self.size, self.rows, self.as_bytes = images, size, rows, as_bytes

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> Num[Tensor, "3 size size"]:
        """Return one picture."""
        pixels = squash(self.images[self.rows[place]], self.size)
        return pixels.mul(255).round().byte() if self.as_bytes else pixels


def to_files(
    images: ImageSet | PixelStore,
    backbone: Backbone,
    cut: int | None,
    paths: list[Path],
    key: str,
    device: torch.device,
    compute: Compute,
    progress: Callable[[int], object] = lambda pictures: None,
) -> None:
    """Embed pictures into ``.npy`` files, block by block; a stopped run under the same key is continued.

    The paths are of the features (float32) and, where there is a cut, of the activations (float16) after so
    many blocks. A file that was begun under another key is begun anew. ``progress`` gets how many are done.

    Raises:
        HumalignError: a picture that cannot be read, no space, or a value that is not finite or too large.
    """
    if (wanted := backbone.recipe.interpolation) != "bicubic":
        # Pictures kept on disk serve every backbone of their size.
        why = "a run squashes all with bicubic, as the official pipeline does"
        said(f"{backbone.name} asks for {wanted} pictures; {why}")
    journal = paths[0].with_name(f"{paths[0].stem}.journal")
    parts = [path.with_name(f"{path.stem}.part.npy") for path in paths]
    backbone = backbone.to(device).to(memory_format=torch.channels_last)
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        done = noted = _journal(journal, key) if all(part.is_file() for part in parts) else 0
        progress(done)
        found, when = [np.load(part, mmap_mode="r+") for part in parts] if done else [], time.monotonic()
        left, model = range(done, len(images)), _cut(backbone, cut)
        for block in forward(model, backbone.size, images, left, device, compute, progress):
            for kept, path in zip(block, paths, strict=True):
                if not np.isfinite(kept).all():
                    beyond = "activations beyond 65,504, the end of half precision"
                    what = beyond if kept.dtype == np.float16 else "NaN or infinity"
                    where = f"pictures {done} to {done + len(kept) - 1} of {path.stem}"
                    mend = "are its weights whole, and the cut where it should be?"
                    raise HumalignError(f"{backbone.name} returned {what} for {where}: {mend}")
            if not found:
                shapes = [(kept.dtype, (len(images), *kept.shape[1:])) for kept in block]
                found = [reserve(part, *shape) for part, shape in zip(parts, shapes, strict=True)]
            for into, kept in zip(found, block, strict=True):
                into[done : done + len(kept)] = kept
            done += len(block[0])
            if done - noted >= BLOCK or time.monotonic() - when >= PAUSE or done == len(images):
                for into in found:
                    into.flush()
                with replacing(journal) as note:
                    note.write_text(f"{key} {done}")
                noted, when = done, time.monotonic()
        del found
        for part, path in zip(parts, paths, strict=True):
            part.replace(path)
        journal.unlink()
    except OSError as error:
        raise write_error(paths[0], error) from None


def _journal(path: Path, key: str) -> int:
    """Return how many pictures a file holds that was begun under a key."""
    try:
        written, done = path.read_text().split()
        return int(done) if written == key else 0
    except (OSError, ValueError):
        return 0


def _cut(backbone: Backbone, cut: int | None) -> Model:
    """Return a function of pictures that gives features and, in half precision, the activations at a cut."""

    def run(pixels: Tensor) -> tuple[Tensor, ...]:
        hidden = backbone.normalise(pixels).contiguous(memory_format=torch.channels_last)
        kept: tuple[Tensor, ...] = ()
        for number, block in enumerate(backbone.stages):
            if number == cut:
                kept = (hidden.half().contiguous(),)
            hidden = block(hidden)
        return hidden, *kept

    return run


def forward(
    model: Model,
    size: int,
    images: ImageSet | PixelStore,
    rows: range,
    device: torch.device,
    compute: Compute,
    progress: Callable[[int], object] = lambda pictures: None,
) -> Iterator[list[Num[np.ndarray, "batch ..."]]]:
    """Yield what a model of pictures in [0, 1] gives of some of a set; fewer at a time if memory is short."""

    @torch.inference_mode()
    def run(pixels: Tensor) -> list[np.ndarray]:
        sent = pixels.to(device, non_blocking=True)
        sent = sent.float().div(255) if sent.dtype == torch.uint8 else sent
        sent = sent.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=compute.precision == "bfloat16"):
            features, *kept = model(sent)
        return [features.float().cpu().numpy(), *(each.cpu().numpy() for each in kept)]

    at_a_time = compute.batch_images
    for pixels in _batches(images, size, rows, compute, device):
        found: list[list[np.ndarray]] = []
        while not found:
            try:
                found = [run(part) for part in pixels.split(at_a_time)]
            except torch.OutOfMemoryError:
                if at_a_time == 1:
                    said_of = "the GPU has no memory for a single picture"
                    raise HumalignError(f"{said_of}: free it, or set `device: cpu`") from None
                at_a_time //= 2
                said(f"out of GPU memory: {at_a_time} pictures at a time from here on")
        yield [np.concatenate(each) for each in zip(*found, strict=True)]
        progress(len(pixels))


def said(line: str) -> None:
    """Tell the user something in a line of its own, beside a progress bar."""
    from tqdm import tqdm

    tqdm.write(f"    {line}")


def _batches(
    images: ImageSet | PixelStore, size: int, rows: range, compute: Compute, device: torch.device
) -> Iterable[Tensor]:
    batch, workers = compute.batch_images, compute.workers if compute.workers > 1 else 0
    if isinstance(images, PixelStore):
        return (images[start : min(start + batch, rows.stop)] for start in rows[::batch])
    on_gpu = device.type == "cuda"
    pixels = Squashed(images, size, rows, on_gpu)
    return DataLoader(pixels, batch, num_workers=workers, pin_memory=on_gpu)
