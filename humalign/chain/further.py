"""The step of features: students at every stage on what they are scored on, and teachers for scores alone.

A further teacher is fitted to some of the answers or things. Where it places the others are features like
others: they are made once and read by the evaluations. Nothing that is trained depends on them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from jaxtyping import Float
from safetensors import safe_open

from humalign.artefacts import Provenance, replacing
from humalign.chain import distil, embed, features, judged, registered, sets, teach
from humalign.chain.judged import CLIP, Things, object_folds, things
from humalign.chain.pipeline import Rows, Run, progress_bar, stream
from humalign.data.judgments import ByObject, Choices, random_triplets
from humalign.distil.ranks import join
from humalign.evaluation import baselines, left_out, people
from humalign.models import released
from humalign.models.embeddings import forward
from humalign.models.released.catalogue import MODELS
from humalign.models.student import Student
from humalign.models.weights import load_file, save_file
from humalign.profiles import Profile, Teacher
from humalign.profiles import Student as Settings
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.teacher import regressed

# Groups of photographs, three of which are left out of a fit at a time.
GROUPS = 6
# Sets of photographs, a fold of which is left out of a fit at a time.
THINGS, NEAR = "things-photographs", "kriegeskorte-92"
KINDS = ("answers", "objects")
Places = Iterator[tuple[str, Float[np.ndarray, "things dim"]]]


def _asked(profile: Profile) -> list[tuple[str, str]]:
    """Return the evaluations of a profile that have further teachers, and the models that these map."""
    return [
        (name, model)
        for name in sets.evaluations(profile) if name in FURTHER
        for model in (judged.mapped(profile.labeller) if name == "photographs" else [CLIP])
    ]  # fmt: skip


def _file(name: str, model: str) -> str:
    return f"features/{embed.label(model)}/unseen-{name}.safetensors"


def files(profile: Profile) -> list[str]:
    """Name what is left."""
    return [_file(name, model) for name, model in _asked(profile)]


def sources(profile: Profile) -> list[str]:
    """Name the registered sources that the further teachers learn of."""
    several = (sets.EVALUATIONS[name][1] for name, _ in _asked(profile))
    return list(dict.fromkeys(itertools.chain(*several)))


def read(run: Run, name: str, model: str = CLIP) -> dict[str, Float[np.ndarray, "things dim"]]:
    """Return the places by the further teachers of an evaluation."""
    return {each: places.numpy() for each, places in load_file(run.path(_file(name, model))).items()}


def answers_teacher(profile: Profile) -> Teacher:
    """Return the teacher of objects that learns answers by several recipes."""
    return next(teacher for teacher in profile.teachers if teacher.learner == "answers")


def _everything(run: Run, model: str) -> Places:
    """Yield the places of all objects by a teacher of all training answers, with what no picture tells."""
    known = things()
    yield "all", MixedEffectsTeacher(residual=0.2, iterations=100).fit(known.features, known.training).places_


def curve(profile: Profile) -> Iterator[tuple[str, str, float]]:
    """Yield the name, the kind and the share of each point of the learning curves."""
    for kind in KINDS:
        yield from ((f"{kind}-{share:g}", kind, share) for share in (*profile.evaluation.curve_shares, 1.0))


def number(kind: str, share: float, whole: int) -> int:
    """Return how many of all answers, or of all objects, a share of the answers is.

    Half the objects have an eighth of the answers: square roots keep the smallest set large enough to fit.
    """
    return round((share if kind == "answers" else share ** (1 / 2)) * whole)


def _curves(run: Run, model: str) -> Places:
    """Yield the places of each fold's test objects by teachers of some training answers or objects."""
    profile, known, teacher = run.profile, things(), answers_teacher(run.profile)
    for f, (train, test) in enumerate(object_folds(len(known.names), teacher.parts.folds)):
        chosen = teach.notes(run, teacher, f"fold{f}")["teacher"]
        for name, kind, share in curve(profile):
            rng, answers, x = stream(profile, 4, f), known.answers[train], known.features[train]
            if kind == "answers":
                kept = rng.permutation(len(answers.triplets))[: number(kind, share, len(answers.triplets))]
                answers = ByObject(answers.triplets[kept], answers.shares[kept], len(train))
            else:
                some = np.sort(rng.permutation(len(train))[: number(kind, share, len(train))])
                answers, x = answers[some], x[some]
            fitted = MixedEffectsTeacher(**chosen).fit(x, answers)
            yield f"{name}-fold{f}", fitted.transform(known.features[test])


def known_map(profile: Profile, known: Things, rng: np.random.Generator) -> Float[np.ndarray, "objects dim"]:
    """Return the objects under a known map: principal directions, turned at random, as sure as people are."""
    train, _ = object_folds(len(known.names), answers_teacher(profile).parts.folds)[0]
    dim, centred = profile.evaluation.recovery_dim, known.features - known.features[train].mean(0)
    _, _, directions = np.linalg.svd(centred[train], full_matrices=False)
    space = centred @ directions[:dim].T @ np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    return np.asarray(space * (2.0 / np.sqrt((space[train] ** 2).sum(1).mean())))


def _recovered(run: Run, model: str) -> Places:
    """Yield the places of the first fold's test objects by teachers of simulated answers of a known map."""
    profile, known, rng = run.profile, things(), stream(run.profile, 6)
    train, test = object_folds(len(known.names), answers_teacher(profile).parts.folds)[0]
    space = known_map(profile, known, rng)[train]
    for answers in profile.evaluation.recovery_answers:
        asked = random_triplets(np.arange(len(train)), answers, rng)
        choices = Choices(asked, rng.multinomial(1, people.choices(space, asked)).astype(np.int64))
        teacher = MixedEffectsTeacher(dim=2 * profile.evaluation.recovery_dim, residual=0.05, ridge=1e-4)
        yield f"{answers}", teacher.fit(known.features[train], choices).transform(known.features[test])


def _forty_eight(run: Run, model: str) -> Places:
    """Yield the places of the 48 judged objects by teachers of all others.

    How far an object may stray from its map is that of the first fold, which is fitted to some of the 48.
    """
    known, teacher = things(run.profile.evidence), of_objects(run.profile)
    if teacher is None:
        return
    _, rows = judged.forty_eight(known)
    others, x = np.setdiff1d(np.arange(len(known.features)), rows), known.features
    yield "ridge", regressed(x[others], known.published[others]).transform(x[rows])
    chosen = teach.notes(run, teacher, "fold0")["teacher"]
    yield "teacher", MixedEffectsTeacher(**chosen).fit(x[others], known.answers[others]).transform(x[rows])


def of_objects(profile: Profile) -> Teacher | None:
    """Return the teacher that is fitted to answers about the objects, if the profile has one."""
    return next((teacher for teacher in profile.teachers if teacher.judged == "things"), None)


def image_folds(profile: Profile, images: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return training and test photographs of each fold."""
    return left_out.image_folds(images, profile.evaluation.image_folds, 1, profile.seed)


def said(run: Run) -> dict[str, ByObject]:
    """Return answers about the photographs of each set: of its people together, and of the published VICE."""
    matrices, (_, shown) = registered.similarity_92().matrices, registered.photographs()
    published = things(run.profile.evidence).published[shown]
    return {
        NEAR: ByObject.of(people.group_choices(matrices), matrices.shape[1]),
        THINGS: teach.vice_says(run.profile, run.profile.labeller, published),
    }


def _photographs(run: Run, model: str) -> Places:
    """Yield the places of test photographs by teachers of the others, and of all, three groups left out."""
    profile, known, (_, shown) = run.profile, things(run.profile.evidence), registered.photographs()
    tuned = functools.partial(teach.tuned, profile, profile.labeller)
    for which, answers in said(run).items():
        x = features.read(run, model, "teacher-base", which)
        for f, (train, test) in enumerate(image_folds(profile, len(x))):
            yield f"{which}-fold{f}", tuned(x[train], answers[train]).transform(x[test])
    published, x = known.published[shown], features.read(run, model, "teacher-base", THINGS)
    for number, (_, kept) in enumerate(left_out.three_left_out(known.answers[shown], GROUPS, profile.seed)):
        yield f"three-{number}", regressed(x[kept], published[kept]).transform(x)


# Each yields what the further teachers of an evaluation are called, and their places.
FURTHER: dict[str, Callable[[Run, str], Places]] = {
    "observers": _everything,
    "learning-curves": _curves,
    "recovery": _recovered,
    "judged-matrix": _forty_eight,
    "photographs": _photographs,
}


def feature_files(profile: Profile) -> list[str]:
    """Name what the step leaves."""
    extracted = [(student.backbone, part, stage) for student, part, stage in _extracted(profile)]
    kept = [features.feature_file(*each) for each in (*extracted, *features.whitened(profile))]
    return [*kept, *files(profile)]


def _extracted(profile: Profile) -> list[tuple[Settings, str, str]]:
    """Return student, part and stage of everything whose features are not among the embeddings."""
    whole = [(student, "all", "base") for student in sets.from_pixels(profile)]
    later = [stage for stage in features.STAGES if stage != "base"]
    theirs = [student for student in profile.students if student.backbone in MODELS]
    others = [(student, "all", stage) for student in theirs for stage in later]
    return [*whole, *others, *features.taught(profile)]


def extract(run: Run, provenance: Provenance) -> None:
    """Run every student on what it is scored on, whiten models on unjudged pictures, fit further teachers."""
    for each in _extracted(run.profile):
        file = features.feature_file(each[0].backbone, *each[1:])
        run.kept(provenance.key, [file], functools.partial(_extract, run, provenance, *each, file))
    whitened = [(features.feature_file(*each), each) for each in features.whitened(run.profile)]
    several = [([file], functools.partial(_whiten, run, provenance, *each, file)) for file, each in whitened]
    run.keep_each(provenance.key, "models to whiten", several)
    asked = [(_file(*each), each) for each in _asked(run.profile)]
    several = [([file], functools.partial(_fit, run, provenance, *each, file)) for file, each in asked]
    run.keep_each(provenance.key, "teachers for scores", several)


def _extract(run: Run, provenance: Provenance, settings: Settings, part: str, stage: str, file: str) -> None:
    shown, made = sets.evaluated(run.profile, settings), {}
    device = join(run.profile.compute.device).device
    student, size = _student(run, settings, part, stage).to(device), sets.size_of(settings.backbone)
    with progress_bar(len(shown), f"{settings.backbone}, {part}, {stage}, sets") as bar:
        for which in shown:
            # Each set is read when its turn comes: together they may be larger than memory.
            if not (settings.frozen or settings.trained):
                pixels = sets.store(run, which, size)
                shown_as = size, pixels, range(len(pixels)), device, run.profile.compute
                batches = forward(lambda each: (student.features_of(each),), *shown_as)
                made[which] = np.concatenate([found for (found,) in batches])
            else:
                made[which] = student.features(embed.activations(run, settings.backbone, which)).numpy()
            bar.update()
    _save(run, provenance, file, made)


def _student(run: Run, settings: Settings, part: str, stage: str) -> Student:
    """Return a student at a stage: as it was released, or as it was before or after it was trained here."""
    if settings.backbone in MODELS:
        return Student.of(released.backbone(run.path(distil.released_folder(settings.backbone, stage))), 0)
    student = features.start(run, settings, stage)
    file = run.path(features.student_file(settings.backbone, part, stage))
    return student if stage == "base" else student.load(file)


def _whiten(run: Run, provenance: Provenance, model: str, part: str, stage: str, file: str) -> None:
    """Whiten a model on pictures that nobody judged."""
    found = baselines.whitening(features.unjudged(run, model, baselines.STAGES[stage][0], part))
    found.save(run.path(file), provenance.attrs())


def _fit(run: Run, provenance: Provenance, name: str, model: str, file: str) -> None:
    _save(run, provenance, file, dict(FURTHER[name](run, model)))


def _save(run: Run, provenance: Provenance, file: str, arrays: Mapping[str, np.ndarray]) -> None:
    with replacing(run.path(file)) as path:
        save_file({name: torch.from_numpy(each) for name, each in arrays.items()}, path, provenance.attrs())


def summary(run: Run) -> Rows:
    """Say of each model and stage of which sets there are features, how wide, of how many pictures."""
    found = []
    for settings, part, stage in _extracted(run.profile):
        with safe_open(run.path(features.feature_file(settings.backbone, part, stage)), "np") as file:
            shapes = [file.get_slice(which).get_shape() for which in file.keys()]
        row = {"student": settings.backbone, "part": part, "stage": stage, "sets": len(shapes)}
        found.append(row | {"pictures": sum(pictures for pictures, _ in shapes), "width": shapes[0][1]})
    for model, part, stage in features.whitened(run.profile):
        width = features.whitening(run, model, stage, part).matrix_.shape[1]
        pictures = len(features.unjudged(run, model, baselines.STAGES[stage][0], part))
        row = {"student": model, "part": part, "stage": stage, "sets": 1}
        found.append(row | {"pictures": pictures, "width": width})
    return found
