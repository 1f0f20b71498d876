"""What every model, at every stage of alignment, makes of the sets that it is scored on: its features."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from safetensors import safe_open

from humalign.chain import embed, judged, sets
from humalign.chain.judged import labels_with, mapped
from humalign.chain.pipeline import Run, stream
from humalign.data.emoji import STYLES
from humalign.evaluation import baselines
from humalign.models import backbones
from humalign.models.released.catalogue import MODELS
from humalign.models.student import Centre, Student
from humalign.profiles import Profile, Teacher
from humalign.profiles import Student as Settings
from humalign.teach.teacher import AffineTeacher

# Stages of a student, from before to after; the control is aligned with the untransformed backbone.
STAGES = ("base", "unaligned", "aligned")
HEAD = "aligned-head"
# Stages of what a teacher maps.
TEACHERS = ("teacher-base", "teacher-centred", "teacher-whitened", "teacher-random", "ridge", "teacher")
# Pictures that suffice for the mean and the covariance of a set.
MEAN_OF = 20_000


def taught(profile: Profile) -> list[tuple[Settings, str, str]]:
    """Return student, part and stage of every network that is trained here, not by the authors.

    The control of halves is that of all. A student that is scored on everything and has another head is
    trained once more with the official one.
    """
    found = []
    for student in (each for each in profile.students if each.backbone not in MODELS):
        for name in judged.part_names(profile.labeller):
            if judged.kind(name) in student.parts:
                found.append((student, name, "aligned"))
                if judged.kind(name) != "halves":
                    found.append((student, name, "unaligned"))
        if student.head != "official" and student.scored == "everything":
            found.append((student, "all", HEAD))
    return found


def student_file(backbone: str, part: str, stage: str) -> str:
    """Name the file of a trained student."""
    return f"students/{embed.label(backbone)}/{part}-{stage}.safetensors"


def feature_file(model: str, part: str, stage: str) -> str:
    """Name the file of a model's features at a stage, or of the map that whitens it."""
    return f"features/{embed.label(model)}/{part}-{stage}.safetensors"


def start(run: Run, student: Settings, stage: str, seed: int | None = None) -> Student:
    """Return an untrained student; the objective sees the official head's outputs, or centred features."""
    backbone, head = backbones.build(student.backbone), None
    if student.head == "centre" and stage != HEAD:
        pool = embed.read(run, student.backbone, run.profile.data.pool)
        head = Centre(torch.from_numpy(np.asarray(pool).mean(0)))
    drawn, frozen = run.profile.seed if seed is None else seed, embed.frozen(run.profile, backbone) or 0
    return Student.of(backbone, frozen, seed=drawn, head=head)


def fitted(
    run: Run, teacher: Teacher, part: str = "all", recipe: str = "teacher", model: str = ""
) -> AffineTeacher:
    """Return one of the maps of a teacher: of a part, by a recipe."""
    folder = f"teachers/{teacher.judged}/{embed.label(model or labels_with(teacher))}"
    return AffineTeacher.load(run.path(f"{folder}/{part}-{recipe}.safetensors"))


def read(run: Run, model: str, stage: str, which: str, part: str = "all") -> Float[np.ndarray, "images dim"]:
    """Return a model's features of one set, in its order; a photograph's and its mirror image's averaged.

    The part is that of the teacher itself, or of the one that labelled a student's triplets.
    """
    if stage in baselines.STAGES:
        return _baseline(run, model, stage, which, part)
    if stage == "teacher-base":
        return teacher_base(run, run.profile.labeller, model, which)
    if stage in ("teacher", "ridge"):
        labeller = run.profile.labeller
        return fitted(run, labeller, part, stage, model).transform(teacher_base(run, labeller, model, which))
    if stage == "base":
        (settings,) = (student for student in run.profile.students if student.backbone == model)
        if settings.frozen or settings.trained:
            return averaged(run, which, np.asarray(embed.read(run, model, which)))
    if stage == "base" or (stage == "unaligned" and judged.kind(part) == "halves"):
        part = "all"
    with safe_open(run.path(feature_file(model, part, stage)), "np") as file:
        return averaged(run, which, file.get_tensor(which))


def _baseline(run: Run, model: str, stage: str, which: str, part: str) -> Float[np.ndarray, "images dim"]:
    """Return features changed by unjudged pictures; a random map is drawn once for each model and part."""
    before, kind = baselines.STAGES[stage]
    found = read(run, model, before, which, part)
    if kind == "whitened":
        return whitening(run, model, stage, part).transform(found)
    shown = unjudged(run, model, before, part)
    if kind == "centred":
        return np.asarray(found - shown.mean(0, dtype=float))
    of = model if before == "teacher-base" else ""
    rank = baselines.rank_of(fitted(run, run.profile.labeller, part, model=of))
    rng = stream(run.profile, 20, zlib.crc32(f"{model}/{part}".encode()))
    return baselines.random_map(shown, rank, rng).transform(found)


def whitened(profile: Profile) -> list[tuple[str, str, str]]:
    """Return model, part and stage of everything that is whitened on pictures that nobody judged."""
    asked = [(student.backbone, "base-whitened") for student in profile.students]
    asked += [(model, "teacher-whitened") for model in (mapped(profile.labeller) if profile.teachers else ())]
    several = judged.part_names(profile.labeller) if _in_parts(profile) else ["all"]
    asked = [(model, stage) for model, stage in asked if possible(profile, model, stage)]
    return [(model, part, stage) for model, stage in asked for part in several]


def whitening(run: Run, model: str, stage: str, part: str) -> AffineTeacher:
    """Return the map by which a model is whitened."""
    return AffineTeacher.load(run.path(feature_file(model, part if _in_parts(run.profile) else "all", stage)))


def unjudged(run: Run, model: str, stage: str, part: str) -> Float[np.ndarray, "pictures dim"]:
    """Return features of unjudged pictures; where the pool is the judged set, of a part's training things."""
    shown = read(run, model, stage, centred_by(run.profile, model, stage), part)
    if _in_parts(run.profile):
        (inside,) = (each for each in judged.parts(run, run.profile.labeller) if each.name == part)
        shown = shown[inside.pictures(len(shown))]
    return shown[:: -(-len(shown) // MEAN_OF)]


def _in_parts(profile: Profile) -> bool:
    """Tell whether the pool is the judged set itself, so that each part has unjudged pictures of its own."""
    return bool(profile.teachers) and profile.data.pool == profile.labeller.judged


def centred_by(profile: Profile, model: str, stage: str) -> str:
    """Name the set by which a model is centred and whitened, the pool or what stands for it, if any."""
    if stage == "base" and model not in sets.embedded(profile):
        (student,) = (each for each in profile.students if each.backbone == model)
        return next((name for name in sets.unjudged(profile) if name in sets.evaluated(profile, student)), "")
    pools = (profile.data.pool, *sets.unjudged(profile))
    return next((name for name in pools if _embedded(profile, model, name)), "")


def _embedded(profile: Profile, model: str, which: str) -> bool:
    """Tell whether every backbone of a model has embeddings of a set."""
    shown = sets.embedded(profile)
    return all(which in shown.get(name, ()) for name in model.split("+"))


def averaged(run: Run, which: str, shown: Float[np.ndarray, "images dim"]) -> Float[np.ndarray, "things dim"]:
    """Average a judged photograph's features and its mirror image's, where both were shown."""
    if run.profile.data.mirrored and which in run.profile.data.judged:
        return shown.reshape(-1, 2, shown.shape[1]).mean(1)
    return shown


def views(which: str, values: Float[np.ndarray, "images dim"]) -> Float[np.ndarray, "views things dim"]:
    """Give features an axis for the views of each thing: drawing styles; of photographs there is one."""
    return values.reshape(len(STYLES) if which == "emoji" else 1, -1, values.shape[1])


def teacher_base(run: Run, teacher: Teacher, model: str, which: str) -> Float[np.ndarray, "things dim"]:
    """Return a set's features by a model that a teacher maps: one backbone, or several side by side.

    Side by side each has the same weight: a root mean square distance of one from the judged pictures' mean.
    """

    def of(name: str, which: str) -> np.ndarray:
        return averaged(run, which, np.asarray(embed.read(run, name, which)))

    several = model.split("+")
    if len(several) == 1:
        return of(model, which)
    return np.concatenate([of(name, which) / scale(of(name, teacher.judged)) for name in several], axis=1)


def scale(x: Float[np.ndarray, "images dim"]) -> float:
    """Return the root mean square distance of features from their mean."""
    return float(np.sqrt(((x - x.mean(0)) ** 2).sum(1).mean()))


def teacher_labels(run: Run, part: str, stage: str) -> Float[np.ndarray, "pool dim"]:
    """Return a teacher's embeddings of the pool, whose products are the labels of a student at a stage."""
    labeller = run.profile.labeller
    base = teacher_base(run, labeller, labels_with(labeller), run.profile.data.pool)
    return fitted(run, labeller, part, "untransformed" if stage == "unaligned" else "teacher").transform(base)


def judged_views(run: Run, teacher: Teacher, model: str) -> Float[np.ndarray, "views things dim"]:
    """Return the embeddings of the things that a teacher is fitted to."""
    if teacher.judged == "emoji":
        return views("emoji", np.asarray(embed.read(run, model, "emoji")))
    return teacher_base(run, teacher, model, teacher.judged)[None]


def models(profile: Profile, which: str) -> Iterator[tuple[str, str]]:
    """Yield every model and stage that was run on a set: what the last teacher maps, then students."""
    found: list[tuple[str, str]] = []
    if profile.teachers:
        recipes = [each for each in TEACHERS if each != "ridge" or profile.labeller.learner == "photographs"]
        maps = [model for model in mapped(profile.labeller) if _embedded(profile, model, which)]
        found += itertools.product(maps, recipes)
    heads = {student.backbone for student, _, stage in taught(profile) if stage == HEAD}
    free = [each for each, (before, _) in baselines.STAGES.items() if before == "base"]
    for student in profile.students:
        if which in sets.evaluated(profile, student):
            head = [HEAD] if student.backbone in heads else []
            found += [(student.backbone, stage) for stage in ("base", *free, "unaligned", *head, "aligned")]
    yield from (each for each in found if possible(profile, *each))


def possible(profile: Profile, model: str, stage: str) -> bool:
    """Tell whether a stage can be had: a baseline needs unjudged pictures, a random one a teacher's rank."""
    if stage not in baselines.STAGES:
        return True
    before, kind = baselines.STAGES[stage]
    return bool(centred_by(profile, model, before)) and (kind != "random" or bool(profile.teachers))
