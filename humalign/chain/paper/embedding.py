"""Embeddings by the teacher's backbone: of all of ImageNet, streamed to disk, and of the pictures that models are scored on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from humalign.artefacts import Provenance, replacing, reserve, write_error
from humalign.chain.inputs import progress_bar
from humalign.chain.paper import pictures
from humalign.chain.pipeline import Run
from humalign.data.images import ImageSet, squash
from humalign.data.pixels import PixelStore
from humalign.distil.ranks import join
from humalign.errors import HumalignError
from humalign.models import backbones
from humalign.models.backbones import Backbone
from humalign.profiles import Paper, Released

# Pictures between two entries of the journal: so many are embedded again after a stop.
BLOCK = 8192


class Squashed(Dataset):
    """Some pictures of a set at one size, as bytes."""

    def __init__(self, images: ImageSet, size: int, rows: range) -> None:
        self.images, self.size, self.rows = images, size, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> UInt8[Tensor, "3 size size"]:
        """Return one picture."""
        return squash(self.images[self.rows[place]], self.size).mul(255).round().byte()


def embedding_files(profile: Paper) -> list[str]:
    """Name what the stage leaves."""
    return [f"embeddings/{name}.npy" for name in (*pictures.evaluated(profile), pictures.TRAIN)]


def embed(run: Run, provenance: Provenance) -> None:
    """Run every set through the teacher's backbone; training pictures are decoded as they are needed, at its own size."""
    profile = run.profile
    backbone = backbones.build(profile.teacher_backbone)
    sets: dict[str, ImageSet | PixelStore] = {name: pictures.store(run, name, backbone.size) for name in pictures.evaluated(profile)}
    sets[pictures.TRAIN] = pictures.training(profile)
    for name, images in sets.items():
        with progress_bar(len(images), f"{backbone.name}, {name}, pictures") as bar:
            embed_to_file(images, backbone, run.path(f"embeddings/{name}.npy"), provenance.key, profile, bar.update)


def embeddings(run: Run, name: str) -> Float[np.ndarray, "images dim"]:
    """Return the memory map of a set's embeddings by the teacher's backbone."""
    return np.load(run.path(f"embeddings/{name}.npy"), mmap_mode="r")


def embed_to_file(
    images: ImageSet | PixelStore,
    backbone: Backbone,
    path: Path,
    key: str,
    profile: Paper,
    progress: Callable[[int], object] = lambda pictures: None,
) -> None:
    """Embed pictures into a ``.npy`` file of float32, block by block, and continue where a run under the same key was stopped.

    Raises:
        HumalignError: a picture that cannot be read, no space, or an embedding that is not finite.
    """
    journal, part = path.with_name(f"{path.stem}.journal"), path.with_name(f"{path.stem}.part.npy")
    if path.is_file() and _journal(journal, key) == len(images):
        progress(len(images))
        return
    device = join(profile.device).device
    backbone = backbone.to(device).to(memory_format=torch.channels_last)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        done = noted = _journal(journal, key) if part.is_file() else 0
        progress(done)
        found = np.load(part, mmap_mode="r+") if done else None
        for block in forward(backbone, images, range(done, len(images)), device, profile, progress):
            if not np.isfinite(block).all():
                raise HumalignError(f"{backbone.name} returned NaN or infinity for pictures {done} to {done + len(block) - 1}")
            if found is None:
                found = reserve(part, np.float32, (len(images), block.shape[1]))
            found[done : done + len(block)] = block
            done += len(block)
            if done - noted >= BLOCK or done == len(images):
                found.flush()
                with replacing(journal) as note:
                    note.write_text(f"{key} {done}")
                noted = done
        del found
        part.replace(path)
    except OSError as error:
        raise write_error(path, error) from None


def _journal(path: Path, key: str) -> int:
    """Return how many pictures a file holds that was begun under a key."""
    try:
        written, done = path.read_text().split()
        return int(done) if written == key else 0
    except (OSError, ValueError):
        return 0


def forward(
    model: Callable[[Tensor], Tensor],
    images: ImageSet | PixelStore,
    rows: range,
    device: torch.device,
    profile: Released,
    progress: Callable[[int], object] = lambda pictures: None,
) -> Iterator[Float[np.ndarray, "batch dim"]]:
    """Yield what a model of pictures in [0, 1] gives for some of a set; where a GPU has too little memory, fewer go at a time."""

    @torch.inference_mode()
    def run(pixels: Tensor) -> np.ndarray:
        sent = pixels.to(device, non_blocking=True).float().div(255).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=profile.precision == "bfloat16"):
            return model(sent).float().cpu().numpy()

    at_a_time = profile.batch_images
    for pixels in _batches(images, model, rows, profile, device):
        found: list[np.ndarray] = []
        while not found:
            try:
                found = [run(part) for part in pixels.split(at_a_time)]
            except torch.OutOfMemoryError:
                if at_a_time == 1:
                    raise HumalignError("the GPU has no memory for a single picture: free it, or set `device: cpu`") from None
                at_a_time //= 2
                said(f"out of GPU memory: {at_a_time} pictures at a time from here on")
        yield np.concatenate(found)
        progress(len(pixels))


def said(line: str) -> None:
    """Tell the user something in a line of its own, beside a progress bar."""
    from tqdm import tqdm

    tqdm.write(f"    {line}")


def _batches(images: ImageSet | PixelStore, model: object, rows: range, profile: Released, device: torch.device) -> Iterable[Tensor]:
    if isinstance(images, PixelStore):
        return (images[start : min(start + profile.batch_images, rows.stop)] for start in rows[:: profile.batch_images])
    size = model.size  # type: ignore[attr-defined]
    workers = profile.workers if profile.workers > 1 else 0
    return DataLoader(Squashed(images, size, rows), profile.batch_images, num_workers=workers, pin_memory=device.type == "cuda")
