"""What a machine has, and what a profile still needs: the answer of ``humalign doctor``, which every whole run asks for first."""

from __future__ import annotations

import dataclasses
import platform
import shutil
from collections.abc import Iterator
from typing import Any

from humalign import profiles
from humalign.chain import origins, pipeline, registered
from humalign.chain import sets as pictures
from humalign.chain import steps as stages
from humalign.chain.judged import things
from humalign.data import editions, registry
from humalign.data.registry import Source, imagenet
from humalign.errors import HumalignError
from humalign.profiles import Profile

PRESENT, MISSING, GATED, REFUSED = "present", "MISSING", "GATED", "REFUSED"
SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Input:
    """One input of a profile: its state, where it lies or what brings it, and its bytes as far as they are known.

    ``GATED`` is what a person must do something for before it can be had, ``REFUSED`` what is not what it should be.
    """

    entry: Source
    state: str
    said: str
    size: int | None = None


def wanted(profile: Any) -> list[Source]:
    """Return the sources that the steps of a profile read."""
    return [registry.source(name) for name in pipeline.sources(stages.STEPS, profile)]


def inputs(profile: Any) -> list[Input]:
    """Return the state of every input of a profile; what is there is read, and counted."""
    found = [_state(entry, profile) for entry in wanted(profile)]
    described = {"things-vice", "things-clip-features"} <= {each.entry.name for each in found}
    if described and all(each.state == PRESENT for each in found):
        try:
            things().check_orders()
        except HumalignError as error:  # a file whose objects stand in another order than people's answers say
            said = str(error)
            bad = [str(registry.locate(each.entry.name)) in said for each in found]
            refused = [dataclasses.replace(each, state=REFUSED, said=said) for each in found]
            found = [other if wrong else each for each, other, wrong in zip(found, refused, bad, strict=True)]
    return found


def amount(entries: list[Source]) -> str:
    """Say how many sources are to come, and how large they are as far as that is known."""
    known, unknown = sum(entry.bytes or 0 for entry in entries), sum(entry.bytes is None for entry in entries)
    return f"{len(entries)} source{'s' * (len(entries) != 1)}, {known / 1e6:,.0f} MB{f' and {unknown} of unknown size' if unknown else ''}"


def answer(profile: Any, found: list[Input]) -> str:
    """Say in one line whether a profile can run, and what brings the rest."""
    missing = [each for each in found if each.state != PRESENT]
    if not missing:
        return f"ready for the profile {profile.name}"
    names = ", ".join(each.entry.name for each in missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
    return (
        f"{len(missing)} of the {len(found)} inputs of the profile {profile.name} are missing or refused ({names}): "
        f"humalign fetch --profile {profile.name} brings what can be brought, and says how the others come"
    )


def default() -> tuple[Profile, str]:
    """Return the profile that runs where none is named, and one line that says why, and what the next larger one would need."""
    import torch

    if not torch.cuda.is_available():
        larger = f"things, people's judgments on a processor,{_needs('things')}; open and paper need a GPU"
        return profiles.load("demo"), f"profile demo: there is no GPU; {larger}"
    if not by_hand("paper"):
        return profiles.load("paper"), "profile paper: there is a GPU, and all that it reads is here or can be fetched"
    return profiles.load("open"), f"profile open: there is a GPU, and nothing that it reads is gated; paper{_needs('paper')}"


def by_hand(name: str) -> list[Source]:
    """Return the inputs of a profile that are not here, and that nothing but a person can bring."""
    return [entry for entry in absent(name) if not (entry.fetchable or entry.package)]


def absent(name: str) -> list[Source]:
    """Return the inputs of a profile that are not here; none is read."""
    found = []
    for entry in wanted(profiles.load(name)):
        try:
            registry.locate(entry.name)
        except HumalignError:
            found.append(entry)
    return found


def _needs(name: str) -> str:
    """Say what a profile would need that is not here."""
    hand, several = by_hand(name), []
    fetched = [entry for entry in absent(name) if entry not in hand]
    if hand:
        several.append(", ".join(entry.what for entry in hand[:SHOWN]) + ", ..." * (len(hand) > SHOWN))
    if fetched:
        several.append(f"{amount(fetched)} to be fetched")
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
    for name in dict.fromkeys(name for absent in pictures.left_out(profile) for name in registered.sources_of(profile, absent)):
        entry = registry.source(name)
        yield f"{'left out':8} {size(entry.bytes):>10}  {name}: {entry.what} are not here, and are not asked for: {entry.command}"
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
    """Say how long the recorded run of a profile took to its scores: measured elsewhere, it is the best guess for this machine."""
    try:
        origin = origins.read(origins.recorded(profile.name))
    except HumalignError:
        origin = None
    seconds: list[Any] = [stage["seconds"] for stage in origin.stages.values()] if origin else [None]
    if origin is None or None in seconds:
        return "time: no whole run was timed yet"
    minutes = sum(seconds) / 60
    return f"time: the recorded run took {minutes:.0f} minutes to its scores, on {origin.machine} ({origin.date})"


def size(known: int | None) -> str:
    """Return a number of bytes for a table; a dash where it is not known."""
    return "-" if known is None else f"{known / 1e6:,.1f} MB"


def _space(profile: Any, found: list[Input]) -> str:
    absent = [each.entry for each in found if each.state != PRESENT and each.entry.kind != "imagenet"]
    coming, unknown = sum(entry.bytes or 0 for entry in absent) / 1e9, sum(entry.bytes is None for entry in absent)
    missing = f"; what is missing {coming:.1f} GB" if absent else ""
    free = shutil.disk_usage(".").free / 1e9
    return f"disk: {free:.0f} GB free here{missing}{f' and {unknown} of unknown size' if unknown else ''}"


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
