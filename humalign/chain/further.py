"""Teachers that are fitted for scores alone, to some of the answers or things, and where they place what they were not fitted to.

These places are features like others: they are made once, and the evaluations read them. Nothing that is trained depends on them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float

from humalign.artefacts import Provenance, replacing
from humalign.chain import features, judged, sets, teach
from humalign.chain.embed import label
from humalign.chain.inputs import progress_bar, stream
from humalign.chain.judged import CLIP, Things, object_folds, things
from humalign.chain.pipeline import Run
from humalign.data.judgments import ByObject, Choices, random_triplets
from humalign.evaluation import left_out, people
from humalign.models.weights import load_file, save_file
from humalign.profiles import Profile, Teacher
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.teacher import AffineTeacher, regressed

# Groups of photographs, three of which are left out of a fit at a time.
GROUPS = 6
# Sets of photographs, a fold of which is left out of a fit at a time.
THINGS, NEAR = "things-photographs", "kriegeskorte-92"
KINDS = ("answers", "objects")
Places = Iterator[tuple[str, Float[np.ndarray, "things dim"]]]


@dataclasses.dataclass(frozen=True)
class Further:
    """Further teachers of one evaluation.

    Attributes:
        make: yields what each is called, and its places; of a profile that has the evaluation.
        models: that are mapped.
    """

    make: Callable[[Run, str], Places]
    models: Callable[[Profile], list[str]] = lambda profile: [CLIP]


# ---- the files -------------------------------------------------------------------------------------------------------------------------


def _asked(profile: Profile) -> list[tuple[str, str]]:
    """Return the evaluations of a profile that have further teachers, and the models that these map."""
    named = [name for name in sets.evaluations(profile) if name in FURTHER]
    return [(name, model) for name in named for model in FURTHER[name].models(profile)]


def _file(name: str, model: str) -> str:
    return f"features/{label(model)}/unseen-{name}.safetensors"


def files(profile: Profile) -> list[str]:
    """Name what is left."""
    return [_file(name, model) for name, model in _asked(profile)]


def sources(profile: Profile) -> list[str]:
    """Name the registered sources that the further teachers learn of."""
    return list(dict.fromkeys(source for name, _ in _asked(profile) for source in sets.EVALUATIONS[name][1]))


def fit(run: Run, provenance: Provenance) -> None:
    """Fit the further teachers of every evaluation, and keep their places."""
    asked = _asked(run.profile)
    with progress_bar(len(asked), "teachers for scores") as bar:
        for name, model in asked:

            def make(name: str = name, model: str = model) -> None:
                made = dict(FURTHER[name].make(run, model))
                with replacing(run.path(_file(name, model))) as path:
                    save_file({each: torch.from_numpy(places) for each, places in made.items()}, path, provenance.attrs())

            run.kept(provenance.key, [_file(name, model)], make)
            bar.update()


def read(run: Run, name: str, model: str = CLIP) -> dict[str, Float[np.ndarray, "things dim"]]:
    """Return the places by the further teachers of an evaluation."""
    return {each: places.numpy() for each, places in load_file(run.path(_file(name, model))).items()}


# ---- objects ---------------------------------------------------------------------------------------------------------------------------


def answers_teacher(profile: Profile) -> Teacher:
    """Return the teacher of objects that learns answers by several recipes."""
    return next(teacher for teacher in profile.teachers if teacher.learner == "answers")


def _everything(run: Run, model: str) -> Places:
    """Yield the places of all objects by a teacher of all training answers, what the pictures do not tell included."""
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
    """Yield the places of each fold's test objects by teachers of some of its training answers, and of some of its training objects."""
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
            yield f"{name}-fold{f}", MixedEffectsTeacher(**chosen).fit(x, answers).transform(known.features[test])


def known_map(profile: Profile, known: Things, rng: np.random.Generator) -> Float[np.ndarray, "objects dim"]:
    """Return where a known affine map places the objects: along the directions that vary most, turned at random, as sure as people are."""
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

    How far an object may stray from its map is taken from the first fold, whose training objects include some of the 48.
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


# ---- photographs -----------------------------------------------------------------------------------------------------------------------


def image_folds(profile: Profile, images: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return training and test photographs of each fold."""
    return left_out.image_folds(images, profile.evaluation.image_folds, 1, profile.seed)


def said(run: Run) -> dict[str, ByObject]:
    """Return answers about the photographs of each set: of its people together, and of the published VICE."""
    matrices, (_, shown) = sets.similarity_92().matrices, sets.photographs()
    published = things(run.profile.evidence).published[shown]
    return {
        NEAR: ByObject.of(people.group_choices(matrices), matrices.shape[1]),
        THINGS: teach.vice_says(run.profile, run.profile.labeller, published),
    }


def _photographs(run: Run, model: str) -> Places:
    """Yield the places of each fold's test photographs by teachers of the others, and of all by teachers that left three groups out."""
    profile, known, (_, shown) = run.profile, things(run.profile.evidence), sets.photographs()
    tuned = functools.partial(teach.tuned, profile, profile.labeller)
    for which, answers in said(run).items():
        x = features.read(run, model, "teacher-base", which)
        for f, (train, test) in enumerate(image_folds(profile, len(x))):
            yield f"{which}-fold{f}", tuned(x[train], answers[train]).transform(x[test])
    published, x = known.published[shown], features.read(run, model, "teacher-base", THINGS)

    def without(kept: Bool[np.ndarray, " images"]) -> AffineTeacher:
        return regressed(x[kept], published[kept])

    for number, (_, kept) in enumerate(left_out.three_left_out(known.answers[shown], GROUPS, profile.seed)):
        yield f"three-{number}", without(kept).transform(x)


FURTHER = {
    "observers": Further(_everything),
    "learning-curves": Further(_curves),
    "recovery": Further(_recovered),
    "judged-matrix": Further(_forty_eight),
    "photographs": Further(_photographs, lambda profile: teach.models(profile.labeller)),
}
