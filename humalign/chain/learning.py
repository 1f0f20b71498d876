"""From labelled triplets to students: an aligned one and its control in every fold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import xarray as xr

from humalign import triplets
from humalign.artefacts import Provenance
from humalign.chain.inputs import progress_bar
from humalign.chain.pipeline import Run
from humalign.chain.teaching import LABELLINGS
from humalign.distil.distill import Distillation, Engine, distill
from humalign.errors import HumalignError
from humalign.models import embeddings
from humalign.models.backbones import build
from humalign.models.student import Student
from humalign.profiles import Profile


def _student_names(profile: Profile) -> Iterator[tuple[int, str]]:
    return ((f, stage) for f in range(profile.folds) for stage in LABELLINGS)


def student_files(profile: Profile) -> list[str]:
    """Name what the stage leaves."""
    return [f"students/fold{f}-{stage}.{suffix}" for f, stage in _student_names(profile) for suffix in ("safetensors", "nc")]


def train(run: Run, provenance: Provenance) -> None:
    """Distil an aligned student and its control in every fold."""
    profile = run.profile
    embedded = embeddings.read(run.path(f"embeddings/{profile.student_backbone}.nc"))
    activations = torch.from_numpy(embedded["activations"].values)
    backbone = build(profile.student_backbone)
    settings = Distillation(
        objective=profile.objective,
        temperature=profile.temperature,
        steps=profile.steps,
        warmup=profile.warmup,
        learning_rate=profile.learning_rate,
        decay_to_init=profile.decay_to_init,
        batch_triplets=profile.batch_triplets,
        checkpoint_every=profile.checkpoint_every,
    )
    everyone = list(_student_names(profile))
    with progress_bar(len(everyone) * profile.steps, "training steps") as bar:
        for f, stage in everyone:
            finished = run.path(f"students/fold{f}-{stage}.nc")
            if _made_with(finished, provenance.key) and finished.with_suffix(".safetensors").is_file():
                bar.update(profile.steps)
                continue
            labelled = triplets.read(run.path(f"triplets/fold{f}/{LABELLINGS[stage]}/train_cluster_border.npz"))
            student = Student.of(backbone, profile.frozen_stages, seed=profile.seed)
            checkpoint = run.path(f"students/fold{f}-{stage}.{provenance.key}.ckpt")
            log = distill(
                student,
                activations,
                labelled,
                settings,
                checkpoint,
                progress=lambda step, bar=bar: bar.update(),  # type: ignore[misc]
                engine=Engine(device="cpu"),  # the same numbers with and without a GPU
                embeddings=embedded["features"].values,
            )
            student.save(run.path(f"students/fold{f}-{stage}.safetensors"), provenance.attrs())
            features = student.features(activations).numpy()
            result = xr.Dataset({"features": (("image", "feature"), features), "divergence": ("step", log.divergence)})
            embeddings.write(finished, result, provenance.attrs())
    for leftover in run.path("students").glob("*.ckpt"):
        leftover.unlink()


def _made_with(path: Path, wanted: str) -> bool:
    """Tell whether a finished student is of this very run, so that a stopped stage need not train it again."""
    try:
        return path.is_file() and embeddings.read(path).attrs.get("key") == wanted
    except HumalignError:
        return False
