"""Settings that only the libraries, the machine and the data here can judge: asked before the first step, each one line."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from humalign.chain import own, pipeline, steps
from humalign.chain.registered import SETS, load
from humalign.chain.sets import evaluations, size_of
from humalign.data import named, registry
from humalign.data.emoji import concepts
from humalign.distil.distill import Engine
from humalign.distil.ranks import join
from humalign.errors import HumalignError, nearest
from humalign.models import backbones
from humalign.models.released.catalogue import MODELS
from humalign.profiles import Profile
from humalign.profiles.schema import Parts
from humalign.teach import splits


def build_folder(given: Path, profile: Profile) -> Path:
    """Return a build folder as an absolute path."""
    mend = "move it away, or name another folder with --build"
    for each in (given.absolute(), *given.absolute().parents):
        if each.is_symlink() and not os.path.exists(each):
            raise HumalignError(f"{each} is a link to {os.readlink(each)}, which is not there: mend the link, or {mend}")
    here = given.resolve()
    for each in (*reversed(here.parents), here, here / profile.name, here / profile.name / "stamps"):
        if os.path.lexists(each) and not each.is_dir():
            raise HumalignError(f"cannot write {each}, for it is a file where a folder should be: {mend}")
    return here


def check(profile: Profile, last: str) -> None:
    """Refuse a run up to a step whose inputs are not here, or are too few for its settings."""
    made = pipeline.chain(steps.STEPS, last)
    named = {profile.data.pool: "data.pool", **dict.fromkeys(profile.data.labelled, "data.labelled")}
    for name in pipeline.sources({step: steps.STEPS[step] for step in made}, profile):
        if name in named:
            _tried(profile, named[name], name, functools.partial(registry.locate, name))
        else:
            registry.locate(name)
    for place, name in _backbones(profile):
        if name not in backbones.recipes():  # of these the weights are inputs, looked for above
            _tried(profile, place, name, functools.partial(backbones.build, name))
    if "own" in profile.data.judged:
        own.choices(profile)
    curves = profile.curves
    if curves.seeds and "students" in made:
        left = len(load(profile, profile.data.pool)) - curves.held_out
        if left < curves.images:
            line = f"{max(left, 0)} pictures of the pool are left to learn from, a step takes {curves.images}"
            raise HumalignError(f"profile {profile.name}: curves.held_out = {curves.held_out}: {line}")


def check_settings(profile: Profile) -> None:
    """Refuse names that nothing has, a network that is cut behind its end, and more folds than can be made."""
    evaluations(profile)
    _tried(profile, "compute.device", profile.compute.device, lambda: join(profile.compute.device))
    if (backend := profile.compute.compile) != "none":
        _tried(profile, "compute.compile", backend, lambda: Engine(compile=backend))
    for place, names in (
        ("data.judged", profile.data.judged),
        ("data.pool", (profile.data.pool,)),
        ("data.labelled", profile.data.labelled),
    ):
        for name in names:
            if name not in SETS and not registry.is_named(name):
                forms = f"{nearest(name, SETS)}; or {named.FORMS}, or folder:PATH"
                raise HumalignError(f"profile {profile.name}: {place} = {name!r}: {forms}")
    for teacher in profile.teachers:
        if teacher.judged == "emoji" and teacher.parts.folds:
            _tried(profile, "teachers.parts.folds", str(teacher.parts.folds), functools.partial(_folds, teacher.parts))
    for place, name in _backbones(profile):
        _tried(profile, place, name, functools.partial(size_of, name))
    untaught = [name for name in profile.backbones if name not in MODELS]
    if untaught and not profile.teachers:
        raise HumalignError(f"profile {profile.name}: teachers = []: nothing would teach {untaught[0]}: name one")
    for student in profile.students:
        if not (student.frozen or student.trained):
            continue
        blocks = len(backbones.build(student.backbone, pretrained=False).stages)
        for field, most in (("frozen", blocks - 1), ("trained", blocks)):
            if getattr(student, field) > most:
                has = f"{student.backbone} has {blocks} blocks: take {most} at most"
                raise HumalignError(f"profile {profile.name}: students.{field} = {getattr(student, field)}: {has}")


def _folds(parts: Parts) -> None:
    try:
        known = concepts()
    except HumalignError:  # an input that is missing, which is said elsewhere
        return
    if parts.folds > len(known):
        raise HumalignError(f"there are {len(known)} concepts: take fewer folds")
    splits.concept_folds(known, parts.folds, parts.whole_subgroups, np.random.default_rng(0))


def _backbones(profile: Profile) -> Iterator[tuple[str, str]]:
    """Yield every backbone that is run here, with the setting that names it."""
    for teacher in profile.teachers:
        yield from (("teachers.backbones", name) for name in teacher.backbones)
        yield from (("teachers.further", name) for name in teacher.further)
    yield from (("students.backbone", name) for name in profile.backbones if name not in MODELS)


def _tried(profile: Profile, place: str, value: str, try_it: Callable[[], object]) -> None:
    try:
        try_it()
    except HumalignError as error:
        raise HumalignError(f"profile {profile.name}: {place} = {value!r}: {error}") from None
