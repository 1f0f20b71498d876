"""Every set through every backbone that needs it before anything is taught, streamed to disk.

Features of a teacher's backbone, and of a student's whose first blocks stay as they are; of the latter also
the activations where these blocks end, in half precision.
"""

from __future__ import annotations

import functools
import json

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from humalign.artefacts import Provenance
from humalign.chain import registered, sets
from humalign.chain.pipeline import Rows, Run, progress_bar
from humalign.data.images import ImageSet
from humalign.data.named import file_name
from humalign.data.pixels import PixelStore
from humalign.distil.ranks import join
from humalign.models import backbones, embeddings
from humalign.models.backbones import Backbone
from humalign.profiles import Profile


def label(name: str) -> str:
    """Return a model's name as a file may carry it."""
    return name.replace(":", "-").replace("/", "-")


def frozen(profile: Profile, backbone: Backbone) -> int | None:
    """Return how many blocks of a student's backbone are run once and kept, if a student has it in part."""
    for student in profile.students:
        if student.backbone == backbone.name and (student.frozen or student.trained):
            return max(len(backbone.stages) - student.trained, 0) if student.trained else student.frozen
    return None


def embedding_files(profile: Profile) -> list[str]:
    """Name what the step leaves."""
    shown = [(backbone, which) for backbone, several in sets.embedded(profile).items() for which in several]
    return [name for each in shown for name in _files(profile, *each)]


def _files(profile: Profile, backbone: str, which: str) -> list[str]:
    keeps = any(each.backbone == backbone and (each.frozen or each.trained) for each in profile.students)
    kinds = ("embeddings", "activations") if keeps else ("embeddings",)
    return [f"{kind}/{label(backbone)}/{file_name(which)}.npy" for kind in kinds]


def embed(run: Run, provenance: Provenance) -> None:
    """Run each set through each backbone that needs it; what was finished before a stop is kept."""
    profile, device = run.profile, join(run.profile.compute.device).device
    shown: dict[str, ImageSet] = {}
    for name, several in sets.embedded(profile).items():
        backbone = backbones.build(name)
        for which in several:
            # As they were squashed, where they were; a pool's are decoded at the size of this backbone alone.
            if run.path(f"pixels/{file_name(which)}-{backbone.size}/pixels.json").is_file():
                images: ImageSet | PixelStore = sets.store(run, which, backbone.size)
            else:
                images = shown.setdefault(which, registered.load(profile, which))
            files, cut, key = _files(profile, name, which), frozen(profile, backbone), provenance.key
            with progress_bar(len(images), f"{name}, {which}, pictures") as bar:
                paths = [run.path(file) for file in files]
                given = images, backbone, cut, paths, key, device, profile.compute, bar.update
                run.kept(key, files, functools.partial(embeddings.to_files, *given))


def kept_pixels(run: Run) -> Rows:
    """Say of which sets squashed pictures are kept, how many and how large."""
    found = []
    for name in sets.pixel_files(run.profile):
        which, _, size = run.path(name).parent.name.rpartition("-")
        pictures = len(json.loads(run.path(name).read_text())["names"])
        found.append({"set": which, "kept as": f"pixels, {size} x {size}", "pictures": pictures})
    return found


def summary(run: Run) -> Rows:
    """Say of which sets features are kept, by which backbone, how many and how wide."""
    found = []
    for name, several in sets.embedded(run.profile).items():
        for which in several:
            pictures, width = read(run, name, which).shape
            row = {"set": which, "kept as": f"features of {name}"}
            found.append(row | {"pictures": pictures, "width": width})
    return found


def read(run: Run, backbone: str, which: str) -> Float[np.ndarray, "images dim"]:
    """Return the memory map of a set's features by a backbone."""
    return np.load(run.path(f"embeddings/{label(backbone)}/{file_name(which)}.npy"), mmap_mode="r")


def activations(run: Run, backbone: str, which: str) -> Tensor:
    """Return a set's activations where a student's trunk ends."""
    return torch.from_numpy(np.load(run.path(f"activations/{label(backbone)}/{file_name(which)}.npy")))
