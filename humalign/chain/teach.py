"""Teachers: affine maps of a backbone's embeddings, fitted to what was said of a part's training things.

A learner makes one or several recipes of a part: ``teacher``, which labels triplets; its control,
``untransformed``, the backbone's own space, of which only the scale is fitted; and others to compare.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax

from humalign import triplets
from humalign.artefacts import Provenance
from humalign.chain import embed, features, judged, registered
from humalign.chain.judged import Part, labels_with, mapped
from humalign.chain.observe import observer
from humalign.chain.pipeline import Rows, Run, stream, write
from humalign.data.judgments import ByObject, random_triplets
from humalign.distil.ranks import join
from humalign.errors import HumalignError
from humalign.evaluation import people
from humalign.profiles import Profile, Teacher
from humalign.teach import mixed_effects, vice
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.teacher import AffineTeacher, regressed, try_pulls

# Dimensions of the teacher's space for a few hundred photographs.
DIM = 40
# Recipes of the learner `answers`: what each learns of the training things.
ANSWERS = ("ridge", "ridge-strict", "teacher-one-hot", "teacher-published", "teacher-distilled", "teacher")
Fitted = Iterator[tuple[str, AffineTeacher, dict[str, Any]]]  # recipe, what was fitted, what was chosen


def _fits(profile: Profile) -> list[tuple[Teacher, str, str]]:
    """Return teacher, model and part of every fit."""
    # Of one backbone alone there is one fit, to all photographs: halves are for students.
    return [
        (teacher, model, part)
        for teacher in profile.teachers
        for model, part in itertools.product(mapped(teacher), judged.part_names(teacher))
        if part == "all" or model == labels_with(teacher)
    ]


def teacher_files(profile: Profile) -> list[str]:
    """Name what the step leaves."""
    several = [name for fit in _fits(profile) for name in _files(*fit)]
    return [*several, "teachers/fit.json"] if several else []


def _files(teacher: Teacher, model: str, part: str) -> list[str]:
    stem = f"teachers/{teacher.judged}/{embed.label(model)}/{part}"
    two = ("teacher", "untransformed")
    recipes = {"affine": two, "direct": two, "answers": ANSWERS, "photographs": (*two, "ridge")}
    return [*(f"{stem}-{recipe}.safetensors" for recipe in recipes[teacher.learner]), f"{stem}.json"]


def notes(run: Run, teacher: Teacher, part: str, model: str = "") -> dict[str, Any]:
    """Return what was chosen for one part of a teacher, for the model that labels where no other is named."""
    *_, note = _files(teacher, model or labels_with(teacher), part)
    return dict(json.loads(run.path(note).read_text()))


def teach(run: Run, provenance: Provenance) -> None:
    """Fit every teacher to every part; all settings are chosen inside the training things."""
    fits, told = _fits(run.profile), {}
    parts = [(_files(*fit), functools.partial(_fit, run, provenance, *fit)) for fit in fits]
    run.keep_each(provenance.key, "teachers", parts)
    for teacher, model, part in fits:
        told[f"{teacher.judged}/{model}/{part}"] = notes(run, teacher, part, model)
    if told:
        write(run.path("teachers/fit.json"), provenance.attrs() | {"teachers": told})


def _fit(run: Run, provenance: Provenance, teacher: Teacher, model: str, name: str) -> None:
    chosen: dict[str, Any] = {}
    *_, note = _files(teacher, model, name)
    number, part = next(each for each in enumerate(judged.parts(run, teacher)) if each[1].name == name)
    for recipe, found, told in LEARNERS[teacher.learner](run, teacher, model, part, number):
        found.save(run.path(f"{note.removesuffix('.json')}-{recipe}.safetensors"), provenance.attrs())
        chosen |= told
    write(run.path(note), chosen)


def summary(run: Run) -> Rows:
    """Say of each map what it is fitted to, and what was chosen inside its training things."""
    found = []
    for teacher, model, part in _fits(run.profile):
        width, dimensions = features.fitted(run, teacher, part, model=model).arrays()["matrix"].shape
        row = {"things": teacher.judged, "learner": teacher.learner, "model": model, "part": part}
        chosen = _chosen(teacher, notes(run, teacher, part, model))
        found.append(row | {"features": width, "dimensions": dimensions} | chosen)
    return found


def _chosen(teacher: Teacher, note: dict[str, Any]) -> dict[str, Any]:
    """Return the regularisation strengths chosen for a map, and its accuracy on hidden training things."""
    if teacher.learner == "affine":
        hidden = note["pulls"][str(note["pull"])]
        return {"regularisation": f"{note['pull']:g}", "accuracy on hidden things": hidden}
    chosen = ", ".join(f"{name} {value:g}" for name, value in sorted(note.get("teacher", {}).items()))
    return {"regularisation": chosen} if chosen else {}


def _affine(run: Run, teacher: Teacher, model: str, part: Part, number: int) -> Fitted:
    """Learn the observers' choice distributions by an affine map that is pulled towards a scaled identity."""
    rng, device = stream(run.profile, 2, number), str(join(run.profile.compute.device).device)
    shown, known = features.judged_views(run, teacher, model), judged.of(run, teacher)
    known.check(shown[0])
    posterior = observer(run, part.name)
    asked = _asked(run.profile, teacher, posterior, rng)
    targets = posterior.predict(asked)
    views, pictures = len(shown), np.concatenate(shown[:, part.train])
    # Each thing of each triplet is shown in a view drawn at random: pictures lie view below view.
    seen = asked if views == 1 else asked + len(part.train) * rng.integers(views, size=asked.shape)
    hidden = np.tile(rng.permutation(len(part.train)) % teacher.pull_folds, views)
    affine = AffineTeacher(rank=teacher.rank, iterations=teacher.iterations, device=device)
    tried = try_pulls(pictures, (seen, targets), groups=hidden, pulls=teacher.pulls, teacher=affine)
    best = max(tried, key=lambda pull: tried[pull])
    note = {"pulls": tried, "pull": best, "vice_dimensions": posterior.mean.shape[1]}
    if known.truth:
        note["vice_correlation"] = np.corrcoef(targets.ravel(), known.truth(part.train[asked]).ravel())[0, 1]
    yield "teacher", affine.set_params(pull=best).fit(pictures, (seen, targets)), note
    yield "untransformed", AffineTeacher(pull=np.inf, device=device).fit(pictures, (seen, targets)), {}


def _asked(
    profile: Profile, teacher: Teacher, posterior: vice.ViceEmbedding, rng: np.random.Generator
) -> Int[np.ndarray, "n 3"]:
    """Draw the triplets whose distributions the teacher learns: uniform, and across borders of clusters.

    VICE answers any triplet. Uniform ones seldom hold two near concepts: the borders teach fine distinctions.
    """
    near = int(teacher.border_share * teacher.triplets)
    uniform = random_triplets(np.arange(len(posterior.mean)), teacher.triplets - near, rng)
    if not near:
        return uniform
    groups = triplets.clusters(posterior.mean.relu().numpy(), teacher.border_clusters, profile.seed)
    return np.concatenate([uniform, triplets.cluster_border(groups, near, rng)])


def _answers(run: Run, teacher: Teacher, model: str, part: Part, number: int) -> Fitted:
    """Learn from one set of answers by several recipes: each differs from `teacher` in one thing."""
    profile, known, train = run.profile, judged.things(run.profile.evidence), part.train
    shown, answers, published = known.features[train], known.answers[train], known.published[train]
    own = observer(run, part.name)
    yield "ridge", regressed(shown, published), {}
    yield "ridge-strict", regressed(shown, own.mean.relu().numpy()), {}
    hidden = stream(profile, 3, number).permutation(len(train)) % teacher.pull_folds
    one_hot, affine = (answers.triplets, answers.shares), AffineTeacher(rank=len(shown.T))
    tried = try_pulls(shown, one_hot, groups=hidden, pulls=teacher.pulls, teacher=affine)
    best = max(tried, key=lambda pull: tried[pull])
    yield "teacher-one-hot", affine.set_params(pull=best).fit(shown, one_hot), {"pull": best}
    asked = random_triplets(np.arange(len(train)), teacher.triplets, stream(profile, 2, number))
    likely = softmax(people.pair_values(people.dot_similarity(published), asked), axis=1)
    targets = {
        "teacher-published": ByObject(asked, likely, len(train)),
        # The triplets of the answers themselves, so that nothing but the targets differs from `teacher`.
        "teacher-distilled": ByObject(answers.triplets, own.predict(answers.triplets), len(train)),
        "teacher": answers,
    }
    grid = {"residual": teacher.residuals, "ridge": teacher.ridges}
    for recipe, each in targets.items():
        fitted = mixed_effects.tuned(MixedEffectsTeacher(), shown, each, [grid], profile.seed)
        yield recipe, fitted, {recipe: {name: getattr(fitted, name) for name in grid}}


def _photographs(run: Run, teacher: Teacher, model: str, part: Part, number: int) -> Fitted:
    """Learn what the published VICE says of photographs of objects that it knows."""
    (shown,), known = features.judged_views(run, teacher, model), judged.things(run.profile.evidence)
    published, seen = known.published[registered.photographs()[1]], shown[part.train]
    answers = vice_says(run.profile, teacher, published)
    yield "teacher", tuned(run.profile, teacher, seen, answers[part.train]), {}
    whole = answers if part.name == "all" else answers[part.train]
    yield "untransformed", AffineTeacher(pull=np.inf).fit(seen, (whole.triplets, whole.shares)), {}
    yield "ridge", regressed(seen, published[part.train]), {}


def _direct(run: Run, teacher: Teacher, model: str, part: Part, number: int) -> Fitted:
    """Learn the answers themselves; the strength of regularisation is chosen on hidden things.

    Every answer about a hidden thing is one to choose by: of few answers, hardly one is about three.
    """
    (shown,), answers = features.judged_views(run, teacher, model), judged.of(run, teacher).answers
    seen, answers = shown[part.train], answers[part.train]
    device = str(join(run.profile.compute.device).device)
    hidden = stream(run.profile, 2, number).permutation(len(part.train)) % teacher.pull_folds
    affine = AffineTeacher(rank=teacher.rank, iterations=teacher.iterations, device=device)
    tried: dict[float, list[float]] = {pull: [] for pull in teacher.pulls}
    for fold in range(teacher.pull_folds):
        touched = (hidden[answers.triplets] == fold).any(1)
        if touched.all() or not touched.any():
            mend = "collect more of them, or lower teachers.pull_folds"
            raise HumalignError(f"too few answers to choose the regularisation by: {mend}")
        for pull in teacher.pulls:
            affine.set_params(pull=pull).fit(seen, (answers.triplets[~touched], answers.shares[~touched]))
            tried[pull].append(affine.score(seen, (answers.triplets[touched], answers.shares[touched])))
    means = {pull: float(np.mean(found)) for pull, found in tried.items()}
    best = max(means, key=lambda pull: means[pull])
    whole = answers.triplets, answers.shares
    note = {"pulls": means, "pull": best, "answers": len(answers.triplets)}
    yield "teacher", affine.set_params(pull=best).fit(seen, whole), note
    yield "untransformed", AffineTeacher(pull=np.inf, device=device).fit(seen, whole), {}


def vice_says(profile: Profile, teacher: Teacher, published: Float[np.ndarray, "images dims"]) -> ByObject:
    """Return the pair that VICE finds most likely to be kept, for random triplets of photographs it knows."""
    asked = random_triplets(np.arange(len(published)), teacher.triplets, stream(profile, 5))
    similar = people.pair_values(people.dot_similarity(published), asked)
    return ByObject(asked, np.eye(3)[similar.argmax(1)], len(published))


def tuned(
    profile: Profile, teacher: Teacher, shown: Float[np.ndarray, "images dim"], answers: ByObject
) -> AffineTeacher:
    """Fit a teacher whose settings are cross-validated over the given photographs alone."""
    grids = [{"residual": teacher.residuals, "ridge": teacher.ridges}, {"keep": teacher.keeps}]
    return mixed_effects.tuned(MixedEffectsTeacher(DIM, iterations=40), shown, answers, grids, profile.seed)


LEARNERS: dict[str, Callable[[Run, Teacher, str, Part, int], Fitted]] = {
    "affine": _affine,
    "answers": _answers,
    "direct": _direct,
    "photographs": _photographs,
}
