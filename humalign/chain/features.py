"""What every model, at every stage of alignment, makes of the sets that it is scored on: its penultimate features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from safetensors import safe_open

from humalign.artefacts import Provenance, replacing
from humalign.chain import authors, embed, judged, sets
from humalign.chain.embed import label
from humalign.chain.inputs import progress_bar
from humalign.chain.pipeline import Rows, Run
from humalign.data.emoji import STYLES
from humalign.distil.ranks import join
from humalign.models import backbones
from humalign.models.embedding import forward
from humalign.models.released.catalogue import MODELS
from humalign.models.student import Centre, Student
from humalign.models.weights import save_file
from humalign.profiles import Profile, Teacher
from humalign.profiles import Student as Settings

# Stages of alignment of a student, from before to after; the control is aligned with the untransformed backbone.
STAGES = ("base", "unaligned", "aligned")
HEAD = "aligned-head"
# Stages of what a teacher maps.
TEACHERS = ("teacher-base", "teacher-centred", "ridge", "teacher")
# Stages that are another one less its mean.
CENTRED = {"teacher-centred": "teacher-base", "base-centred": "base"}
# Pictures that suffice for the mean of a set.
MEAN_OF = 20_000


# ---- students, by stage and part ---------------------------------------------------------------------------------------------------------


def taught(profile: Profile) -> list[tuple[Settings, str, str]]:
    """Return student, part and stage of every network that is trained here; those that the authors released were trained by them.

    The control of halves is that of all. With the official head there is one more of a student that is scored on everything and has
    another head.
    """
    found = []
    for student in profile.students:
        if student.backbone in MODELS:
            continue
        for name in judged.part_names(profile.labeller):
            if judged.kind(name) not in student.parts:
                continue
            found.append((student, name, "aligned"))
            if judged.kind(name) != "halves":
                found.append((student, name, "unaligned"))
        if student.head != "official" and student.scored == "everything":
            found.append((student, "all", HEAD))
    return found


def student_file(backbone: str, part: str, stage: str) -> str:
    """Name the file of a trained student."""
    return f"students/{label(backbone)}/{part}-{stage}.safetensors"


def start(run: Run, student: Settings, stage: str, seed: int | None = None) -> Student:
    """Return a student as it is before training: the objective sees the outputs of the official head, or its centred features."""
    backbone = backbones.build(student.backbone)
    head = None
    if student.head == "centre" and stage != HEAD:
        pool = embed.read(run, student.backbone, run.profile.data.pool)
        head = Centre(torch.from_numpy(np.asarray(pool).mean(0)))
    return Student.of(backbone, embed.frozen(run.profile, backbone) or 0, seed=run.profile.seed if seed is None else seed, head=head)


# ---- the step ----------------------------------------------------------------------------------------------------------------------------


def feature_files(profile: Profile) -> list[str]:
    """Name what the step leaves."""
    return [_file(student.backbone, part, stage) for student, part, stage in _extracted(profile)]


def _extracted(profile: Profile) -> list[tuple[Settings, str, str]]:
    """Return student, part and stage of everything whose features are not among the embeddings."""
    whole = [(student, "all", "base") for student in sets.from_pixels(profile)]
    released = [
        (student, "all", stage) for student in profile.students if student.backbone in MODELS for stage in STAGES if stage != "base"
    ]
    return [*whole, *released, *taught(profile)]


def _file(backbone: str, part: str, stage: str) -> str:
    return f"features/{label(backbone)}/{part}-{stage}.safetensors"


def extract(run: Run, provenance: Provenance) -> None:
    """Run every student at every stage on every set that it is scored on; a model that was finished before a stop is kept."""
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
            with replacing(run.path(_file(settings.backbone, part, stage))) as path:
                save_file({which: torch.from_numpy(found) for which, found in made.items()}, path, provenance.attrs())

        run.kept(provenance.key, [_file(settings.backbone, part, stage)], make)


def summary(run: Run) -> Rows:
    """Say of each model and stage of which sets there are features, how wide, of how many pictures."""
    found = []
    for settings, part, stage in _extracted(run.profile):
        with safe_open(run.path(_file(settings.backbone, part, stage)), "np") as file:
            shapes = [file.get_slice(which).get_shape() for which in file.keys()]
        row = {"student": settings.backbone, "part": part, "stage": stage, "sets": len(shapes)}
        found.append(row | {"pictures": sum(pictures for pictures, _ in shapes), "width": shapes[0][1]})
    return found


def _student(run: Run, settings: Settings, part: str, stage: str) -> Student:
    """Return a student at a stage: as it was released, or as it was before or after it was trained here."""
    if settings.backbone in MODELS:
        return Student.of(authors.backbone(run, settings.backbone, stage), 0)
    student = start(run, settings, stage)
    return student if stage == "base" else student.load(run.path(student_file(settings.backbone, part, stage)))


# ---- reading -----------------------------------------------------------------------------------------------------------------------------


def read(run: Run, model: str, stage: str, which: str, part: str = "all") -> Float[np.ndarray, "images dim"]:
    """Return a model's features of one set, in its order; a judged photograph's and its mirror image's averaged.

    Args:
        run: whose features these are.
        model: a backbone by its name.
        stage: of alignment.
        which: set.
        part: of the teacher that labelled a student's triplets, or of the teacher itself.
    """
    from humalign.chain import teach  # which reads embeddings by this module

    if stage in CENTRED:
        before = CENTRED[stage]
        return np.asarray(read(run, model, before, which, part) - _centre(run, model, before))
    if stage == "teacher-base":
        return teacher_base(run, run.profile.labeller, model, which)
    if stage in ("teacher", "ridge"):
        labeller = run.profile.labeller
        return teach.fitted(run, labeller, part, stage, model).transform(teacher_base(run, labeller, model, which))
    if stage == "base":
        (settings,) = (student for student in run.profile.students if student.backbone == model)
        if settings.frozen or settings.trained:
            return averaged(run, which, np.asarray(embed.read(run, model, which)))
    if stage == "base" or (stage == "unaligned" and judged.kind(part) == "halves"):
        part = "all"
    with safe_open(run.path(_file(model, part, stage)), "np") as file:
        return averaged(run, which, file.get_tensor(which))


def _centre(run: Run, model: str, stage: str) -> Float[np.ndarray, " dim"]:
    """Return a model's mean features of pictures that nobody judged: what centring brings is owed to no judgment."""
    shown = read(run, model, stage, centred_by(run.profile, model, stage))
    return np.asarray(shown[:: -(-len(shown) // MEAN_OF)].mean(0, dtype=float))


def centred_by(profile: Profile, model: str, stage: str) -> str:
    """Name the set by whose mean a model is centred: the pool, or what it is run on in the place of the pool; empty where there is none."""
    shown = sets.embedded(profile)
    if stage == "base" and model not in shown:
        (student,) = (each for each in profile.students if each.backbone == model)
        return next((name for name in sets.unjudged(profile) if name in sets.evaluated(profile, student)), "")
    pools = [name for name in (profile.data.pool, *sets.unjudged(profile)) if all(name in shown.get(each, ()) for each in model.split("+"))]
    return next(iter(pools), "")


def averaged(run: Run, which: str, values: Float[np.ndarray, "images dim"]) -> Float[np.ndarray, "things dim"]:
    """Average a judged photograph's features and its mirror image's, where both were shown."""
    if run.profile.data.mirrored and which in run.profile.data.judged:
        return values.reshape(-1, 2, values.shape[1]).mean(1)
    return values


def views(which: str, values: Float[np.ndarray, "images dim"]) -> Float[np.ndarray, "views things dim"]:
    """Give features an axis of their own for the views of each thing: drawing styles; of photographs there is one."""
    return values.reshape(len(STYLES) if which == "emoji" else 1, -1, values.shape[1])


def teacher_base(run: Run, teacher: Teacher, model: str, which: str) -> Float[np.ndarray, "things dim"]:
    """Return a set's features by a model that a teacher maps: one backbone, or several side by side.

    Side by side each has the same weight: its root mean square distance from the mean of the judged photographs is one.
    """
    if "+" not in model:
        return averaged(run, which, np.asarray(embed.read(run, model, which)))
    found = []
    for name in model.split("+"):
        far = averaged(run, teacher.judged, np.asarray(embed.read(run, name, teacher.judged)))
        scale = float(np.sqrt(((far - far.mean(0)) ** 2).sum(1).mean()))
        found.append(averaged(run, which, np.asarray(embed.read(run, name, which))) / scale)
    return np.concatenate(found, axis=1)


def teacher_labels(run: Run, part: str, stage: str) -> Float[np.ndarray, "pool dim"]:
    """Return a teacher's embeddings of the pool, whose dot products are the labels of a student at a stage."""
    from humalign.chain import teach

    labeller = run.profile.labeller
    base = teacher_base(run, labeller, teach.labels_with(labeller), run.profile.data.pool)
    return teach.fitted(run, labeller, part, "untransformed" if stage == "unaligned" else "teacher").transform(base)


def judged_views(run: Run, teacher: Teacher, model: str) -> Float[np.ndarray, "views things dim"]:
    """Return the embeddings of the things that a teacher is fitted to."""
    if teacher.judged == "emoji":
        return views("emoji", np.asarray(embed.read(run, model, "emoji")))
    return teacher_base(run, teacher, model, teacher.judged)[None]


def models(profile: Profile, which: str) -> Iterator[tuple[str, str]]:
    """Yield every model and stage that was run on a set: what the last teacher maps, before and after, then students."""
    from humalign.chain import teach

    if profile.teachers:
        shown, labeller = sets.embedded(profile), profile.labeller
        recipes = [stage for stage in TEACHERS if stage != "ridge" or labeller.learner == "photographs"]
        for model in teach.models(labeller):
            if all(which in shown.get(name, ()) for name in model.split("+")):
                yield from ((model, stage) for stage in recipes if _centrable(profile, model, stage))
    heads = {student.backbone for student, _, stage in taught(profile) if stage == HEAD}
    for student in profile.students:
        if which in sets.evaluated(profile, student):
            name = student.backbone
            stages = ("base", "base-centred", "unaligned", *([HEAD] if name in heads else []), "aligned")
            yield from ((name, stage) for stage in stages if _centrable(profile, name, stage))


def _centrable(profile: Profile, model: str, stage: str) -> bool:
    return stage not in CENTRED or bool(centred_by(profile, model, CENTRED[stage]))
