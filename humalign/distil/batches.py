"""What a training step sees: rows of a triplet file, or all triplets of a batch, labelled on the fly.

A step depends on its number alone: a resumed run sees what an unbroken one would, each process its share.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from humalign.distil.ranks import Ranks
from humalign.errors import HumalignError, number
from humalign.teach.objectives import pair_similarities
from humalign.triplets import LabelledTriplets
from humalign.triplets.labelling import SORTED


@runtime_checkable
class Inputs(Protocol):
    """What a student takes of each image, read by an array of indices: a tensor, or a ``PixelStore``."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any) -> Tensor: ...


T = TypeVar("T")
# Beyond this, a step's triplets alone would take gigabytes.
MOST_TRIPLETS = 20_000_000


@dataclasses.dataclass(frozen=True)
class Step:
    """One process's share of a training step.

    Attributes:
        images: to run through the student, each once.
        triplets: places among the outputs, sorted; ``similarities`` are the teacher's, of their pairs.
        total: triplets of the step in all processes.
    """

    images: Int[np.ndarray, " images"]
    triplets: Int[Tensor, "n 3"]
    similarities: Float[Tensor, "n 3"]
    total: int


@dataclasses.dataclass(frozen=True, eq=False)
class FileRows:
    """The rows of a triplet file in their order, ``batch`` a step, from the start again at the end."""

    labelled: LabelledTriplets
    batch: int
    gathered = False

    def step(self, number: int, rank: int = 0, world: int = 1) -> Step:
        """Return every ``world``-th row of a step; images in several rows are run once."""
        rows = rows_of_step(number, self.batch, len(self.labelled))[rank::world]
        images, places = np.unique(self.labelled.indices[rows], return_inverse=True)
        similarities = torch.from_numpy(np.asarray(self.labelled.similarities[rows], dtype=np.float32))
        return Step(images, torch.from_numpy(places.reshape(-1, 3)), similarities, self.batch)

    def contents(self) -> dict[str, np.ndarray]:
        """Return the arrays that decide what every step sees."""
        return {"indices": self.labelled.indices, "similarities": self.labelled.similarities}

    def check(self, images: int, world: int) -> None:
        """Refuse no rows, rows that name images which are not there, and fewer rows a step than processes."""
        if not len(self.labelled):
            raise HumalignError("no triplets to train on: give at least one row")
        first, last = self.labelled.indices.min(), self.labelled.indices.max()
        if first < 0:
            raise HumalignError(f"triplets name image {first}: images are counted from 0")
        if last >= images:
            raise HumalignError(f"triplets name image {last}, but there are {images}: another image list?")
        if self.batch < world:
            raise HumalignError(f"{self.batch} rows a step for {world} processes: raise `batch_triplets`")


def rows_of_step(step: int, batch: int, total: int) -> Int[np.ndarray, " batch"]:
    """Return the rows that a step takes: the next ``batch``, wrapping around at the end of the file."""
    return np.arange(step * batch, (step + 1) * batch) % total


@dataclasses.dataclass(frozen=True, eq=False)
class DenseTriplets:
    """All triplets among a batch of images, labelled on the fly: b (b - 1) (b - 2) / 6 of b images.

    Attributes:
        embeddings: the teacher's, of every image; labels are their dot products.
        batch_images: images a step, drawn without replacement until an epoch has no full batch left.
    """

    embeddings: Float[np.ndarray, "images dim"]
    batch_images: int
    seed: int = 0
    gathered = True

    def __post_init__(self) -> None:
        # A memory map stays one.
        object.__setattr__(self, "embeddings", np.asarray(self.embeddings))

    def step(self, number: int, rank: int = 0, world: int = 1) -> Step:
        """Return a process's share of a step: a block of its images, every ``world``-th triplet of all."""
        images = self.images_of_step(number)
        every, share = _every(len(images)), len(images) // world
        teacher = torch.from_numpy(self.embeddings[images]).float()
        kept = pair_similarities(teacher, every[rank::world]).argmax(1)  # this pair comes first
        triplets = every[rank::world].gather(1, torch.from_numpy(SORTED)[kept])
        similarities = pair_similarities(teacher, triplets)
        return Step(images[rank * share : (rank + 1) * share], triplets, similarities, len(every))

    def images_of_step(self, number: int) -> Int[np.ndarray, " batch"]:
        """Return the images of a step, in all processes."""
        epoch, place = divmod(number, len(self.embeddings) // self.batch_images)
        images = _epoch(len(self.embeddings), self.seed, epoch)
        return images[place * self.batch_images : (place + 1) * self.batch_images]

    def contents(self) -> dict[str, np.ndarray]:
        """Return the arrays that decide what every step sees."""
        return {"embeddings": self.embeddings, "batch and seed": np.array([self.batch_images, self.seed])}

    def check(self, images: int, world: int) -> None:
        """Refuse a batch that images cannot fill or processes share, and more triplets than memory holds."""
        number("batch_images", self.batch_images), number("seed", self.seed, 0)
        if self.embeddings.ndim != 2 or self.embeddings.dtype.kind not in "iuf":
            shape = self.embeddings.shape
            raise HumalignError(f"teacher embeddings of shape {shape}: expected one row of numbers an image")
        if len(self.embeddings) != images:
            seen = f"{len(self.embeddings):,} teacher embeddings for {images:,} images"
            raise HumalignError(f"{seen}: one for each, in the same order")
        said = f"`batch_images` is {self.batch_images}"
        if not 3 <= self.batch_images <= images:
            raise HumalignError(f"{said}: it must be 3 to {images:,}, the number of images")
        if self.batch_images % world:
            raise HumalignError(f"{said}: {world} processes need a multiple of {world}")
        triplets = math.comb(self.batch_images, 3)
        if not world <= triplets <= MOST_TRIPLETS:
            mend = "raise it" if triplets < world else "lower it"
            raise HumalignError(f"{said}, with {triplets:,} triplets a step: {mend}")


# A source of steps; ``gathered``: the triplets of a process are among the outputs of all, not of its own.
Plan = FileRows | DenseTriplets


@functools.lru_cache(maxsize=2)
def _epoch(images: int, seed: int, epoch: int) -> Int[np.ndarray, " images"]:
    return np.random.default_rng([seed, 0, epoch]).permutation(images)


@functools.lru_cache(maxsize=2)
def _every(images: int) -> Int[Tensor, "n 3"]:
    return torch.combinations(torch.arange(images), 3)


def ahead(load: Callable[[int], T], steps: Iterable[int], depth: int) -> Iterator[T]:
    """Yield what ``load`` gives for each step in turn, while a thread loads the ``depth`` that come next."""
    thread = ThreadPoolExecutor(1)
    waiting: deque[Future[T]] = deque()
    try:
        for step in steps:
            waiting.append(thread.submit(load, step))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)


def load_step(plan: Plan, inputs: Inputs, ranks: Ranks, number: int) -> tuple[Tensor, Step]:
    """Read a step's inputs and labels, and send them to the device."""

    def sent(tensor: Tensor) -> Tensor:
        if ranks.device.type == "cpu" or tensor.device == ranks.device:
            return tensor.to(ranks.device)
        # The current device belongs to the thread: without this line each process would open the first GPU.
        with torch.cuda.device(ranks.device):
            # From pinned memory a copy runs beside the computation.
            return tensor.pin_memory().to(ranks.device, non_blocking=True)

    batch = plan.step(number, ranks.rank, ranks.world)
    triplets, similarities = sent(batch.triplets), sent(batch.similarities)
    return sent(inputs[batch.images]), Step(batch.images, triplets, similarities, batch.total)
