"""What every student, before and after, makes of the pictures that models are scored on: its penultimate features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from safetensors import safe_open
from safetensors.numpy import save_file

from humalign.artefacts import Provenance, replacing
from humalign.chain.inputs import progress_bar
from humalign.chain.paper import authors, pictures
from humalign.chain.paper.embedding import embeddings, forward
from humalign.chain.paper.students import label
from humalign.chain.paper.teaching import teacher
from humalign.chain.people import finished
from humalign.chain.pipeline import Run
from humalign.distil.ranks import join
from humalign.models import backbones
from humalign.models.student import Student
from humalign.profiles import Paper, Released

STAGES = ("base", "unaligned", "aligned")
TEACHERS = ("teacher-base", "teacher")


def feature_files(profile: Released) -> list[str]:
    """Name what the stage leaves."""
    return [f"features/{label(name)}-{stage}.safetensors" for name in profile.students for stage in STAGES]


def extract(run: Run, provenance: Provenance) -> None:
    """Run every student at every stage on every set; a model that is finished under this key is kept."""
    profile = run.profile
    device, sets = join(profile.device).device, pictures.evaluated(profile)
    for name in profile.students:
        size = pictures.size_of(name)
        stores = {which: pictures.store(run, which, size) for which in sets}
        for stage in STAGES:
            path = run.path(f"features/{label(name)}-{stage}.safetensors")
            if finished(path, provenance.key):
                continue
            student = _student(run, name, stage).to(device)
            with progress_bar(sum(map(len, stores.values())), f"{name}, {stage}, pictures") as bar:
                made = {
                    which: np.concatenate(list(forward(student.features_of, shown, range(len(shown)), device, profile, bar.update)))
                    for which, shown in stores.items()
                }
            with replacing(path) as part:
                save_file(made, part, {name: str(value) for name, value in provenance.attrs().items()})


def _student(run: Run, name: str, stage: str) -> Student:
    """Return a student at a stage: as it was released, or as it was before or after it was taught here."""
    if name in authors.named(run.profile):
        return Student.of(authors.backbone(run, name, stage), 0)
    student = Student.of(backbones.build(name), 0, seed=run.profile.seed)
    return student if stage == "base" else student.load(run.path(f"students/{label(name)}-{stage}.safetensors"))


def models(profile: Released) -> Iterator[tuple[str, str]]:
    """Yield every model and stage that is scored: the teacher before and after, where the profile has one, then students."""
    if isinstance(profile, Paper):
        yield from ((profile.teacher_backbone, stage) for stage in TEACHERS)
    yield from ((name, stage) for name in profile.students for stage in STAGES)


def read(run: Run, model: str, stage: str, which: str) -> Float[np.ndarray, "images dim"]:
    """Return a model's features of one set of pictures."""
    if stage == "teacher-base":
        return np.asarray(embeddings(run, which))
    if stage == "teacher":
        return teacher(run).transform(np.asarray(embeddings(run, which)))
    with safe_open(run.path(f"features/{label(model)}-{stage}.safetensors"), "np") as file:
        return file.get_tensor(which)
