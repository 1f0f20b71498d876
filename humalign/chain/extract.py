"""The step that runs every student, at every stage of alignment, on the sets that it is scored on, and whitens what is as it was."""

from __future__ import annotations

import numpy as np
import torch
from safetensors import safe_open

from humalign.artefacts import Provenance, replacing
from humalign.chain import authors, embed, features, further, sets
from humalign.chain.features import feature_file
from humalign.chain.inputs import progress_bar
from humalign.chain.pipeline import Rows, Run
from humalign.distil.ranks import join
from humalign.evaluation import baselines
from humalign.models.embeddings import forward
from humalign.models.released.catalogue import MODELS
from humalign.models.student import Student
from humalign.models.weights import save_file
from humalign.profiles import Profile
from humalign.profiles import Student as Settings


def feature_files(profile: Profile) -> list[str]:
    """Name what the step leaves."""
    extracted = [(student.backbone, part, stage) for student, part, stage in _extracted(profile)]
    return [*(feature_file(*each) for each in (*extracted, *features.whitened(profile))), *further.files(profile)]


def _extracted(profile: Profile) -> list[tuple[Settings, str, str]]:
    """Return student, part and stage of everything whose features are not among the embeddings."""
    whole = [(student, "all", "base") for student in sets.from_pixels(profile)]
    later = [stage for stage in features.STAGES if stage != "base"]
    released = [(student, "all", stage) for student in profile.students if student.backbone in MODELS for stage in later]
    return [*whole, *released, *features.taught(profile)]


def extract(run: Run, provenance: Provenance) -> None:
    """Run every student at every stage on every set that it is scored on, and whiten; what was finished before a stop is kept."""
    profile, device = run.profile, join(run.profile.compute.device).device
    for settings, part, stage in _extracted(profile):

        def make(settings: Settings = settings, part: str = part, stage: str = stage) -> None:
            student = _student(run, settings, part, stage).to(device)
            whole, size = not (settings.frozen or settings.trained), sets.size_of(settings.backbone)
            shown = sets.evaluated(profile, settings)
            made = {}
            with progress_bar(len(shown), f"{settings.backbone}, {part}, {stage}, sets") as bar:
                for which in shown:
                    # Each set is read when its turn comes: together they may be larger than memory.
                    if whole:
                        pixels, given = sets.store(run, which, size), profile.compute
                        batches = forward(lambda each: (student.features_of(each),), size, pixels, range(len(pixels)), device, given)
                        made[which] = np.concatenate([found for (found,) in batches])
                    else:
                        made[which] = student.features(embed.activations(run, settings.backbone, which)).numpy()
                    bar.update()
            with replacing(run.path(feature_file(settings.backbone, part, stage))) as path:
                save_file({which: torch.from_numpy(found) for which, found in made.items()}, path, provenance.attrs())

        run.kept(provenance.key, [feature_file(settings.backbone, part, stage)], make)
    _whiten(run, provenance)
    further.fit(run, provenance)


def _whiten(run: Run, provenance: Provenance) -> None:
    """Whiten every model on pictures that nobody judged."""
    asked = features.whitened(run.profile)
    with progress_bar(len(asked), "models to whiten") as bar:
        for model, part, stage in asked:
            file, (before, _) = feature_file(model, part, stage), baselines.STAGES[stage]

            def make(model: str = model, part: str = part, before: str = before, file: str = file) -> None:
                found = baselines.whitening(features.unjudged(run, model, before, part))
                found.save(run.path(file), provenance.attrs())

            run.kept(provenance.key, [file], make)
            bar.update()


def summary(run: Run) -> Rows:
    """Say of each model and stage of which sets there are features, how wide, of how many pictures."""
    found = []
    for settings, part, stage in _extracted(run.profile):
        with safe_open(run.path(feature_file(settings.backbone, part, stage)), "np") as file:
            shapes = [file.get_slice(which).get_shape() for which in file.keys()]
        row = {"student": settings.backbone, "part": part, "stage": stage, "sets": len(shapes)}
        found.append(row | {"pictures": sum(pictures for pictures, _ in shapes), "width": shapes[0][1]})
    for model, part, stage in features.whitened(run.profile):
        width = features.whitening(run, model, stage, part).matrix_.shape[1]
        pictures = len(features.unjudged(run, model, baselines.STAGES[stage][0], part))
        found.append({"student": model, "part": part, "stage": stage, "sets": 1, "pictures": pictures, "width": width})
    return found


def _student(run: Run, settings: Settings, part: str, stage: str) -> Student:
    """Return a student at a stage: as it was released, or as it was before or after it was trained here."""
    if settings.backbone in MODELS:
        return Student.of(authors.backbone(run, settings.backbone, stage), 0)
    student = features.start(run, settings, stage)
    return student if stage == "base" else student.load(run.path(features.student_file(settings.backbone, part, stage)))
