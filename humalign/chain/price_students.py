"""Students between base and aligned: trained from several seeds and kept, and what they make of pictures.

Every student is kept below a folder of the study's own under a key, and a training that was stopped goes on.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from typing import Any

import numpy as np
from jaxtyping import Float

from humalign.artefacts import Provenance, fingerprint, versions
from humalign.chain import embed, features, keys
from humalign.chain.inputs import schedule
from humalign.chain.price import SIDE, Setting, Study, Training
from humalign.distil.batches import DenseTriplets
from humalign.distil.distill import Distillation, Engine, distill
from humalign.models.student import Student, between


def told(study: Study, training: Training) -> Distillation:
    """Return the schedule of a training; the warm-up keeps its part of the steps."""
    own = study.profile.distillation
    warmup = round(own.warmup * training.steps / own.steps)
    return schedule(study.profile, steps=training.steps, warmup=warmup, decay_to_init=training.decay)


def started(study: Study, training: Training, seed: int) -> Student:
    """Return a student before training; blocks that are not trained are fixed."""
    student = features.start(study.run, study.student(training.backbone), "aligned", seed)
    tail: Any = student.tail
    tail[: len(tail) - training.blocks].requires_grad_(False)
    return student


def key_of(study: Study, training: Training, seed: int) -> str:
    """Return what a trained student depends on."""
    pictures = study.read_sum(training.backbone, study.profile.data.pool)
    made_of = [dataclasses.asdict(each) for each in (training, told(study, training))]
    return fingerprint(*made_of, seed, pictures, _digest(study), keys.code(train), versions())


def train(study: Study, training: Training, seed: int) -> Student:
    """Return a trained student: the one that is kept, or a new one, which is kept."""
    name = f"{training.steps}-steps-{training.decay:g}-{training.blocks}-blocks-seed{seed}"
    file, key = f"students/{embed.label(training.backbone)}/{name}.safetensors", key_of(study, training, seed)
    student, path = started(study, training, seed), study.work.path(file)

    def make() -> None:
        inputs = embed.activations(study.run, training.backbone, study.profile.data.pool)
        plan = DenseTriplets(_labels(study), study.profile.distillation.batch_images, seed)
        checkpoint = path.with_suffix(f".{key}.ckpt")
        engine = Engine(study.profile.compute.device)
        distill(student, inputs, plan, told(study, training), checkpoint, engine=engine)
        student.save(path, Provenance(study.profile.name, seed, key).attrs())
        checkpoint.unlink(missing_ok=True)

    if study.work.kept(key, [file], make):
        student.load(path)
    return student


@functools.lru_cache(maxsize=1)
def _labels(study: Study) -> Float[np.ndarray, "pool dim"]:
    return features.teacher_labels(study.run, "all", "aligned")


@functools.lru_cache(maxsize=1)
def _digest(study: Study) -> str:
    return hashlib.sha256(np.ascontiguousarray(_labels(study)).tobytes()).hexdigest()


# ---- features ----------------------------------------------------------------------------------------------

Features = Float[np.ndarray, "images dim"]


def of_base(study: Study, backbone: str, which: str) -> Features:
    """Return the base's features of a set; a judged photograph's and its mirror image's averaged."""
    return features.averaged(study.run, which, np.asarray(embed.read(study.run, backbone, which)))


@functools.lru_cache(maxsize=32)
def of_student(study: Study, training: Training, seed: int, share: float, which: str) -> Features:
    """Return a student's features of a set, with a share of what training changed in its weights."""
    student = train(study, training, seed)
    if share < 1:
        student = between(started(study, training, seed), student, share)
    found = student.features(embed.activations(study.run, training.backbone, which)).numpy()
    return features.averaged(study.run, which, found)


def of_setting(
    study: Study, setting: Setting | None, backbone: str, seed: int, which: str, centred: bool = False
) -> Features:
    """Return the features of a set at a setting, by the student of a backbone; without one those of the base.

    Centred ones are less the base's mean over the pool, which the head of training takes away too.
    """
    pool = (
        np.asarray(embed.read(study.run, backbone, study.profile.data.pool)) if centred else np.zeros((1, 1))
    )
    base, centre = of_base(study, backbone, which), pool.mean(0, dtype=np.float32)
    if setting is None:
        return base - centre
    training = dataclasses.replace(setting.training, backbone=backbone)
    if setting.knob != SIDE:
        return of_student(study, training, seed, setting.share, which) - centre
    judged = study.profile.labeller.judged
    far = (of_base(study, backbone, judged), of_student(study, training, seed, 1.0, judged))
    aligned = of_student(study, training, seed, 1.0, which)
    return side_by_side(base - centre, aligned - centre, setting.share, (scale(far[0]), scale(far[1])))


def side_by_side(
    base: Features, aligned: Features, share: float, scales: tuple[float, float]
) -> Float[np.ndarray, "images both"]:
    """Return both features of each picture, whose squared distances have the parts 1 - share and share.

    Args:
        base, aligned: of the same pictures.
        share: of the aligned ones.
        scales: of each, by which it is divided first, as a teacher's backbones are side by side.
    """
    parts = zip((base, aligned), (1 - share, share), scales, strict=True)
    return np.concatenate([x * np.float32(np.sqrt(part) / far) for x, part, far in parts], axis=1)


def scale(x: Features) -> float:
    """Return the root mean square distance of features from their mean."""
    return float(np.sqrt(((x - x.mean(0)) ** 2).sum(1).mean()))
