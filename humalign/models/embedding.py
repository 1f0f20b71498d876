"""Pictures through a backbone, a batch at a time, on any device: yielded, or streamed to files that a stopped run goes on with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from humalign.artefacts import replacing, reserve, write_error
from humalign.data.images import ImageSet, squash
from humalign.data.pixels import PixelStore
from humalign.errors import HumalignError
from humalign.models.backbones import Backbone
from humalign.profiles.schema import Compute

# Pictures, or seconds, between two entries of the journal: so many at most are embedded again after a stop.
BLOCK, PAUSE = 8192, 10.0
Model = Callable[[Tensor], tuple[Tensor, ...]]


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
    """Embed pictures into ``.npy`` files, block by block, and continue where a run under the same key was stopped.

    Args:
        images: of one set.
        backbone: in evaluation mode.
        cut: blocks after which the activations are kept.
        paths: of the features (float32) and, where there is a cut, of the activations (float16).
        key: of what makes them; a file that was begun under another is begun anew.
        device: to compute on.
        compute: precision, batch, workers.
        progress: called with the number of pictures just done.

    Raises:
        HumalignError: a picture that cannot be read, no space, or a value that is not finite, or too large for half precision.
    """
    if (wanted := backbone.recipe.interpolation) != "bicubic":
        # Pictures kept on disk serve every backbone of their size.
        said(f"{backbone.name} asks for {wanted} pictures; a run squashes all with bicubic, as the official pipeline does")
    journal, parts = paths[0].with_name(f"{paths[0].stem}.journal"), [path.with_name(f"{path.stem}.part.npy") for path in paths]
    backbone = backbone.to(device).to(memory_format=torch.channels_last)
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        done = noted = _journal(journal, key) if all(part.is_file() for part in parts) else 0
        progress(done)
        found, when = [np.load(part, mmap_mode="r+") for part in parts] if done else [], time.monotonic()
        for block in forward(_cut(backbone, cut), backbone.size, images, range(done, len(images)), device, compute, progress):
            for kept, path in zip(block, paths, strict=True):
                if not np.isfinite(kept).all():
                    where = f"pictures {done} to {done + len(kept) - 1} of {path.stem}"
                    what = "NaN or infinity" if kept.dtype != np.float16 else "activations beyond 65,504, the end of half precision"
                    raise HumalignError(
                        f"{backbone.name} returned {what} for {where}: are its weights whole, and the cut where it should be?"
                    )
            found = found or [reserve(part, kept.dtype, (len(images), *kept.shape[1:])) for part, kept in zip(parts, block, strict=True)]
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
    """Return a function of pictures that gives features and, in half precision, what the blocks before a cut make of them."""

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
    """Yield what a model of pictures in [0, 1] gives for some of a set; where a GPU has too little memory, fewer go at a time."""

    @torch.inference_mode()
    def run(pixels: Tensor) -> list[np.ndarray]:
        sent = pixels.to(device, non_blocking=True)
        sent = (sent.float().div(255) if sent.dtype == torch.uint8 else sent).contiguous(memory_format=torch.channels_last)
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
                    raise HumalignError("the GPU has no memory for a single picture: free it, or set `device: cpu`") from None
                at_a_time //= 2
                said(f"out of GPU memory: {at_a_time} pictures at a time from here on")
        yield [np.concatenate(each) for each in zip(*found, strict=True)]
        progress(len(pixels))


def said(line: str) -> None:
    """Tell the user something in a line of its own, beside a progress bar."""
    from tqdm import tqdm

    tqdm.write(f"    {line}")


def _batches(images: ImageSet | PixelStore, size: int, rows: range, compute: Compute, device: torch.device) -> Iterable[Tensor]:
    if isinstance(images, PixelStore):
        return (images[start : min(start + compute.batch_images, rows.stop)] for start in rows[:: compute.batch_images])
    workers = compute.workers if compute.workers > 1 else 0
    on_gpu = device.type == "cuda"
    return DataLoader(Squashed(images, size, rows, on_gpu), compute.batch_images, num_workers=workers, pin_memory=on_gpu)
