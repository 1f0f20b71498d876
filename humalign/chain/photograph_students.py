"""Students on real people: distilled on unlabelled photographs, from teachers of judged ones.

A student sees none of the photographs of its teacher's fit, nor the 92 that it is scored on, nor any human answer: it is distilled on
another set, the pool.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from jaxtyping import Float, Int
from tqdm import tqdm

from humalign import triplets
from humalign.artefacts import Provenance, replacing
from humalign.chain.inputs import progress_bar, stream
from humalign.chain.people import judgments
from humalign.chain.photographs import HALVES, by_set, features, fit, frozen_stages, halves, objects, vice_says
from humalign.chain.pipeline import Run
from humalign.data.judgments import agreement, cosine_similarities, random_triplets
from humalign.distil.batches import DenseTriplets
from humalign.distil.distill import Distillation, distill
from humalign.errors import HumalignError
from humalign.evaluation import people
from humalign.models import backbones, embeddings
from humalign.models.student import Centre, Student
from humalign.profiles import Things
from humalign.teach.teacher import AffineTeacher

FURTHER = ("aligned", *(f"aligned-half{half}" for half in HALVES), "unaligned")
STUDENTS = (*FURTHER, "aligned-head")
KINDS = ("dense", "sparse")


def _everyone(profile: Things) -> list[tuple[str, str]]:
    """Return backbone and stage of every student; of the first backbone there is one more, with the official head."""
    return [(model, stage) for model in profile.students for stage in (STUDENTS if model == profile.students[0] else FURTHER)]


def student_files(profile: Things) -> list[str]:
    """Name what the stage leaves."""
    students = [f"students/{model}/{stage}.{end}" for model, stage in _everyone(profile) for end in ("safetensors", "nc")]
    return [*students, *(f"students/curves/{kind}-seed{seed}.json" for kind in KINDS for seed in range(profile.curve_seeds))]


@dataclasses.dataclass(frozen=True)
class _School:
    """What all students of a backbone share: the backbone, and the activations of its frozen trunk."""

    run: Run
    backbone: backbones.Backbone
    activations: dict[str, torch.Tensor]
    mean: Float[torch.Tensor, " dim"]

    @classmethod
    def of(cls, run: Run, model: str) -> _School:
        if model not in (*run.profile.backbones, *run.profile.further_backbones):
            raise HumalignError(f"the student {model!r} is none of `backbones` and `further_backbones`: name it there too")
        file = embeddings.read(run.path(f"embeddings/{model}.nc"))
        sets, kept = file["set"].values, torch.from_numpy(file["activations"].values)
        inputs = {str(name): kept[torch.from_numpy(sets == name)] for name in pd.unique(sets)}
        mean = torch.from_numpy(file["features"].values[sets == "pool"].mean(0))
        return cls(run, backbones.build(model), inputs, mean)

    def student(self, seed: int, head: bool = False) -> Student:
        """Return a student at its start: the objective sees its centred features themselves, or the official head's outputs."""
        frozen = frozen_stages(self.run.profile, self.backbone)
        return Student.of(self.backbone, frozen, seed=seed, head=None if head else Centre(self.mean))

    @property
    def settings(self) -> Distillation:
        named = {field.name for field in dataclasses.fields(Distillation)} - {"batch_triplets"}
        return Distillation(**{name: getattr(self.run.profile, name) for name in named}, batch_triplets=self.run.profile.curve_images // 3)

    @functools.cached_property
    def untaught(self) -> tuple[Int[np.ndarray, " taught"], Int[np.ndarray, " held"]]:
        """Photographs of the pool to learn from, and those held back to ask whether student and teacher agree."""
        order = stream(self.run.profile, 9).permutation(len(self.activations["pool"]))
        held = self.run.profile.curve_held_out
        return np.sort(order[held:]), np.sort(order[:held])


def _pool_labels(run: Run, published: Float[np.ndarray, "images dims"]) -> Iterator[tuple[str, Float[np.ndarray, "pool dim"]]]:
    """Yield each student's teacher embeddings of the pool: the labels of its triplets are their dot products."""
    profile = run.profile
    shown = features(run)["+".join(profile.backbones)]
    far, pool, answers = shown["things-photographs"], shown["pool"], vice_says(profile, published)
    half = halves(profile, len(far))
    for name in STUDENTS:
        if name == "unaligned":
            yield name, AffineTeacher(pull=np.inf).fit(far, (answers.triplets, answers.shares)).transform(pool)
            continue
        kept = np.flatnonzero(half != int(name[-1])) if "half" in name else np.arange(len(far))
        yield name, fit(profile, far[kept], answers[kept]).transform(pool)


def train(run: Run, provenance: Provenance) -> None:
    """Distil every student, and compare dense with sparse triplets; whatever was finished under the same key is kept."""
    profile = run.profile
    schools = {model: _School.of(run, model) for model in profile.students}
    everyone, known = _everyone(profile), judgments()
    steps = len(everyone) * profile.steps + profile.curve_seeds * sum(_curve_steps(profile).values())
    with progress_bar(steps, "training steps") as bar:
        for name, labels in _pool_labels(run, known.published[objects()]):
            for model in profile.students:
                if (model, name) in everyone:
                    _train_one(schools[model], name, labels, provenance, bar)
            if name == "aligned":
                for kind in KINDS:
                    for seed in range(profile.curve_seeds):
                        _curve(schools[profile.students[0]], kind, seed, labels, provenance, bar)
    for leftover in run.path("students").rglob("*.ckpt"):
        leftover.unlink()


def _train_one(school: _School, name: str, labels: np.ndarray, provenance: Provenance, bar: tqdm) -> None:
    run, profile = school.run, school.run.profile
    finished = run.path(f"students/{school.backbone.name}/{name}.nc")
    if embeddings.made_with(finished, provenance.key) and finished.with_suffix(".safetensors").is_file():
        bar.update(profile.steps)
        return
    student = school.student(profile.seed, head=name == "aligned-head")
    plan = DenseTriplets(labels, profile.batch_images, seed=profile.seed)
    checkpoint = finished.with_suffix(f".{provenance.key}.ckpt")
    log = distill(student, school.activations["pool"], plan, school.settings, checkpoint, lambda step: bar.update())
    student.save(finished.with_suffix(".safetensors"), provenance.attrs())
    made = [(which, student.features(inputs).numpy()) for which, inputs in school.activations.items() if which != "pool"]
    rows = np.concatenate([[which] * len(values) for which, values in made]).astype(object)
    found = {"features": (("image", "feature"), np.concatenate([values for _, values in made])), "divergence": ("step", log.divergence)}
    embeddings.write(finished, xr.Dataset(found, coords={"set": ("image", rows)}), provenance.attrs())


def student_features(run: Run, model: str, name: str) -> dict[str, Float[np.ndarray, "images dim"]]:
    """Return a student's penultimate features by set, a judged picture's and its mirror image's averaged."""
    return by_set(embeddings.read(run.path(f"students/{model}/{name}.nc")))


# ---- dense against sparse ------------------------------------------------------------------------------------------------------------


def _curve_steps(profile: Things) -> dict[str, int]:
    return {"dense": profile.curve_steps, "sparse": profile.curve_sparse_steps}


def _curve(school: _School, kind: str, seed: int, labels: np.ndarray, provenance: Provenance, bar: tqdm) -> None:
    """Train on dense or on sparse triplets, and note by images seen how often student and teacher agree on photographs held back."""
    run, profile = school.run, school.run.profile
    path = run.path(f"students/curves/{kind}-seed{seed}.json")
    steps = _curve_steps(profile)[kind]
    if _noted(path, provenance.key):
        bar.update(steps)
        return
    taught, held = school.untaught
    asked = random_triplets(np.arange(len(held)), profile.curve_triplets, stream(profile, 10))
    chosen = np.eye(3)[people.pair_values(people.dot_similarity(labels[held]), asked).argmax(1)]
    held_back = school.activations["pool"][held]

    def agree(student: Student) -> dict[str, float]:
        return {"agreement": float(agreement(cosine_similarities(student.features(held_back).numpy(), asked), chosen).mean())}

    rows = school.settings.batch_triplets
    plan: DenseTriplets | triplets.LabelledTriplets = DenseTriplets(labels[taught], 3 * rows, seed=seed)
    if kind == "sparse":
        groups = triplets.clusters(labels[taught], profile.clusters, seed)
        drawn = triplets.cluster_border(groups, steps * rows, stream(profile, 11, seed))
        plan = triplets.label(labels[taught], drawn, np.array([f"{place}" for place in taught]))
    settings = dataclasses.replace(school.settings, steps=steps, warmup=min(profile.warmup, steps // 4))
    student = school.student(seed)
    noted = {0: agree(student)}
    log = distill(
        student, school.activations["pool"][taught], plan, settings, path.with_suffix(f".{provenance.key}.ckpt"),
        lambda step: bar.update(), evaluate=agree, evaluate_every=profile.curve_every,
    )
    noted |= log.evaluations
    curve = [[3 * rows * done, found["agreement"]] for done, found in sorted(noted.items())]
    with replacing(path) as part:
        part.write_text(json.dumps(provenance.attrs() | {"curve": curve}, indent=1))


def _noted(path: Any, key: str) -> bool:
    try:
        return bool(json.loads(path.read_text())["key"] == key)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def curves(run: Run) -> dict[str, list[list[tuple[int, float]]]]:
    """Return (images seen, agreement with the teacher) by kind and seed."""

    def noted(kind: str, seed: int) -> list[tuple[int, float]]:
        found = json.loads(run.path(f"students/curves/{kind}-seed{seed}.json").read_text())["curve"]
        return [(int(images), float(agreed)) for images, agreed in found]

    return {kind: [noted(kind, seed) for seed in range(run.profile.curve_seeds)] for kind in KINDS}
