"""The authors' released models among the students: fetched as archives, converted once, and then run like any other."""

from __future__ import annotations

import shutil
from pathlib import Path

from humalign.artefacts import Provenance
from humalign.chain.inputs import progress_bar
from humalign.chain.pipeline import Run
from humalign.data import registry
from humalign.models import export, released
from humalign.models.backbones import Backbone
from humalign.models.released.catalogue import MODELS, STAGES
from humalign.profiles import Profile

FILES = ("model.safetensors", export.CLASSIFIER)


def named(profile: Profile) -> list[str]:
    """Return those of a profile's students that the authors released."""
    return [name for name in profile.backbones if name in MODELS]


def folder(run: Run, model: str, stage: str) -> Path:
    """Return where a converted checkpoint lies."""
    return run.path(f"students/{model}-{stage}")


def converted_files(profile: Profile) -> list[str]:
    """Name what the conversion leaves."""
    return [f"students/{model}-{stage}/{file}" for model in named(profile) for stage in STAGES for file in FILES]


def sources(profile: Profile) -> list[str]:
    """Name the registered archives."""
    return [f"alignet-{model}-{suffix}" for model in named(profile) for suffix in STAGES.values()]


def convert(run: Run, provenance: Provenance) -> None:
    """Convert every released checkpoint that a profile names; one that was converted from the same archive is kept."""
    models = named(run.profile)
    with progress_bar(len(models) * len(STAGES), "released checkpoints") as bar:
        for model in models:
            for stage, suffix in STAGES.items():
                archive, place = registry.locate(f"alignet-{model}-{suffix}"), folder(run, model, stage)
                if not all((place / file).is_file() for file in FILES):
                    # What a stopped or altered conversion left would be taken for a whole one.
                    shutil.rmtree(place, ignore_errors=True)
                released.convert(archive, place)
                bar.update()


def backbone(run: Run, model: str, stage: str) -> Backbone:
    """Return a converted checkpoint."""
    return released.backbone(folder(run, model, stage))
