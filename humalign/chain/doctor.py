"""What is asked before anything runs: whether a profile's settings can be, what is there, what is missing.

The second half is the answer of ``humalign doctor``, for which every whole run asks first.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from humalign import profiles
from humalign.chain import origins, pipeline, registered, sets, steps
from humalign.chain.answers import own_choices
from humalign.chain.judged import things
from humalign.data import editions, registry
from humalign.data.emoji import concepts
from humalign.data.registry import Source, imagenet
from humalign.distil.distill import Engine
from humalign.distil.ranks import join
from humalign.errors import HumalignError
from humalign.models import backbones
from humalign.models.released.catalogue import MODELS
from humalign.profiles import Profile
from humalign.profiles.schema import Parts
from humalign.teach import splits

PRESENT, MISSING, GATED, REFUSED = "present", "MISSING", "GATED", "REFUSED"
SHOWN = 3


# ---- settings that only the libraries, the machine and the data here can judge -----------------------------


def build_folder(given: Path, profile: Profile) -> Path:
    """Return a build folder as an absolute path."""
    mend = "move it away, or name another folder with --build"
    for each in (given.absolute(), *given.absolute().parents):
        if each.is_symlink() and not os.path.exists(each):
            link = f"{each} is a link to {os.readlink(each)}, which is not there"
            raise HumalignError(f"{link}: mend the link, or {mend}")
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
        own_choices(profile)
    curves = profile.curves
    if curves.seeds and "students" in made:
        left = len(registered.load(profile, profile.data.pool)) - curves.held_out
        if left < curves.images:
            line = f"{max(left, 0)} pictures of the pool are left to learn from, a step takes {curves.images}"
            raise HumalignError(f"profile {profile.name}: curves.held_out = {curves.held_out}: {line}")


def check_settings(profile: Profile) -> None:
    """Refuse names that nothing has, a network cut behind its end, and more folds than can be made."""
    sets.evaluations(profile)
    _tried(profile, "compute.device", profile.compute.device, lambda: join(profile.compute.device))
    if (backend := profile.compute.compile) != "none":
        _tried(profile, "compute.compile", backend, lambda: Engine(compile=backend))
    for place, names in (
        ("data.judged", profile.data.judged),
        ("data.pool", (profile.data.pool,)),
        ("data.labelled", profile.data.labelled),
    ):
        for name in names:
            if name not in registered.SETS and not registry.is_named(name):
                raise HumalignError(f"profile {profile.name}: {place} = {name!r}: {registered.forms(name)}")
    for teacher in profile.teachers:
        if teacher.judged == "emoji" and teacher.parts.folds:
            several = str(teacher.parts.folds)
            _tried(profile, "teachers.parts.folds", several, functools.partial(_folds, teacher.parts))
    for place, name in _backbones(profile):
        _tried(profile, place, name, functools.partial(sets.size_of, name))
    untaught = [name for name in profile.backbones if name not in MODELS]
    if untaught and not profile.teachers:
        lacking = f"nothing would teach {untaught[0]}: name one"
        raise HumalignError(f"profile {profile.name}: teachers = []: {lacking}")
    for student in profile.students:
        if not (student.frozen or student.trained):
            continue
        blocks = len(backbones.build(student.backbone, pretrained=False).stages)
        for field, most in (("frozen", blocks - 1), ("trained", blocks)):
            if getattr(student, field) > most:
                value, has = getattr(student, field), f"{student.backbone} has {blocks} blocks"
                line = f"students.{field} = {value}: {has}: take {most} at most"
                raise HumalignError(f"profile {profile.name}: {line}")


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


# ---- what is there, and what is missing --------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Input:
    """One input of a profile: its state, where it lies or what brings it, and its bytes as far as is known.

    ``GATED`` is what a person must do something for before it can be had, ``REFUSED`` what is not what it
    should be.
    """

    entry: Source
    state: str
    said: str
    size: int | None = None


def wanted(profile: Any) -> list[Source]:
    """Return the sources that the steps of a profile read."""
    return [registry.source(name) for name in pipeline.sources(steps.STEPS, profile)]


def inputs(profile: Any) -> list[Input]:
    """Return the state of every input of a profile; what is there is read, and counted."""
    found = [_state(entry, profile) for entry in wanted(profile)]
    described = {"things-vice", "things-clip-features"} <= {each.entry.name for each in found}
    if described and all(each.state == PRESENT for each in found):
        try:
            things().check_orders()
        except HumalignError as error:  # a file whose objects stand in another order than the answers say
            said = str(error)
            for place, each in enumerate(found):
                if str(registry.locate(each.entry.name)) in said:
                    found[place] = dataclasses.replace(each, state=REFUSED, said=said)
    return found


def _bytes(entries: Sequence[Source], unit: str) -> str:
    """Say how large sources are in MB or GB, and of how many that is not known."""
    known, unknown = sum(entry.bytes or 0 for entry in entries), sum(entry.bytes is None for entry in entries)
    number = f"{known / 1e6:,.0f} MB" if unit == "MB" else f"{known / 1e9:.1f} GB"
    return number + (f" and {unknown} of unknown size" if unknown else "")


def amount(entries: list[Source]) -> str:
    """Say how many sources are to come, and how large they are as far as that is known."""
    return f"{len(entries)} source{'s' * (len(entries) != 1)}, {_bytes(entries, 'MB')}"


def answer(profile: Any, found: list[Input]) -> str:
    """Say in one line whether a profile can run, and what brings the rest."""
    missing = [each for each in found if each.state != PRESENT]
    if not missing:
        return f"ready for the profile {profile.name}"
    names = ", ".join(each.entry.name for each in missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
    lacking = f"{len(missing)} of the {len(found)} inputs of the profile {profile.name} are missing or"
    mend = f"humalign fetch --profile {profile.name} brings what can be brought, and says how the"
    return f"{lacking} refused ({names}): {mend} others come"


def default() -> tuple[Profile, str]:
    """Return the profile that runs where none is named, and a line: why, and what a larger one needs."""
    import torch

    if not torch.cuda.is_available():
        larger = f"things, people's judgments on a processor,{_needs('things')}; open and paper need a GPU"
        return profiles.load("demo"), f"profile demo: there is no GPU; {larger}"
    if not _absent("paper")[0]:
        said = "there is a GPU, and all that it reads is here or can be fetched"
        return profiles.load("paper"), f"profile paper: {said}"
    said = f"there is a GPU, and nothing that it reads is gated; paper{_needs('paper')}"
    return profiles.load("open"), f"profile open: {said}"


def _absent(name: str) -> tuple[list[Source], list[Source]]:
    """Return the inputs of a profile that are not here: those that only a person brings, and the others."""
    by_hand, others = list[Source](), list[Source]()
    for entry in wanted(profiles.load(name)):
        try:
            registry.locate(entry.name)
        except HumalignError:
            (others if entry.fetchable or entry.package else by_hand).append(entry)
    return by_hand, others


def _needs(name: str) -> str:
    """Say what a profile would need that is not here."""
    by_hand, others = _absent(name)
    first = ", ".join(entry.what for entry in by_hand[:SHOWN]) + ", ..." * (len(by_hand) > SHOWN)
    several = [*([first] if first else []), *([f"{amount(others)} to be fetched"] if others else [])]
    return f" needs {' and '.join(several) or 'nothing that is not here'}"


def report(profile: Any, found: list[Input]) -> Iterator[str]:
    """Yield the lines of the whole answer: machine, times, inputs, verdict."""
    yield from machine()
    yield f"profiles: {', '.join(profiles.names())}; the rest is about {profile.name}"
    yield time(profile)
    yield _space(profile, found)
    for each in found:
        yield f"{each.state:8} {size(each.size):>10}  {each.entry.name}: {each.said}"
    # Sources of sets that a profile leaves out where they are not at hand.
    lacking = (name for each in sets.left_out(profile) for name in registered.sources_of(profile, each))
    for entry in map(registry.source, dict.fromkeys(lacking)):
        said = f"{entry.what} are not here, and are not asked for: {entry.command}"
        yield f"{'left out':8} {size(entry.bytes):>10}  {entry.name}: {said}"
    yield f"verdict: {answer(profile, found)}"


def machine() -> Iterator[str]:
    """Yield what this machine is: Python, torch, processor, memory, and each GPU with its memory."""
    import torch

    yield f"python {platform.python_version()}, torch {torch.__version__}"
    yield f"machine: {origins.Machine.here()}"
    for number in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(number)
        yield f"GPU {number}: {device.name}, {device.total_memory / 1e9:.0f} GB"


def time(profile: Any) -> str:
    """Say how long the recorded run of a profile took to its scores, the best guess for this machine."""
    try:
        origin = origins.read(origins.recorded(profile.name))
    except HumalignError:
        origin = None
    seconds: list[Any] = [stage["seconds"] for stage in origin.stages.values()] if origin else [None]
    if origin is None or None in seconds:
        return "time: no whole run was timed yet"
    took = f"{sum(seconds) / 60:.0f} minutes to its scores, on {origin.machine} ({origin.date})"
    return f"time: the recorded run took {took}"


def size(known: int | None) -> str:
    """Return a number of bytes for a table; a dash where it is not known."""
    return "-" if known is None else f"{known / 1e6:,.1f} MB"


def _space(profile: Any, found: list[Input]) -> str:
    absent = [each.entry for each in found if each.state != PRESENT and each.entry.kind != "imagenet"]
    missing = f"; what is missing {_bytes(absent, 'GB')}" if absent else ""
    return f"disk: {shutil.disk_usage('.').free / 1e9:.0f} GB free here{missing}"


def _state(entry: Source, profile: Any) -> Input:
    try:
        path = registry.locate(entry.name)
    except HumalignError as error:
        return Input(entry, MISSING if entry.fetchable or entry.package else GATED, str(error), entry.bytes)
    try:
        if entry.kind == "imagenet":
            path = imagenet.check(entry, inside=path.is_dir(), pictures=imagenet.wanted(entry, profile))
            return Input(entry, PRESENT, f"{entry.what} ({entry.licence}), {path}", entry.bytes)
        found = editions.of(entry.name)
        return Input(entry, PRESENT, f"{found} ({entry.licence}), {path}", found.size)
    except HumalignError as error:
        return Input(entry, REFUSED, str(error))
