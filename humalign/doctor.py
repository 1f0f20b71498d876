"""What a machine has, and what a profile still needs: the answer of ``humalign doctor``, which every whole run asks for first."""

from __future__ import annotations

import dataclasses
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from humalign import origins, profiles, registry
from humalign.errors import HumalignError
from humalign.registry import Source, imagenet

PRESENT, MISSING, TERMS = "present", "MISSING", "TERMS"
LARGEST = 1e9  # bytes; a checksum of more takes long, and is left to `humalign fetch`
SHOWN = 3
# Gigabytes below the build folder after a run, by `du`, rounded up; the other profiles were not measured.
LEAVES = {"demo": 0.5, "things": 0.5}
# Profiles whose inputs are registered under another one, of which they are a part.
SHARED = {"released": "paper"}


@dataclasses.dataclass(frozen=True)
class Input:
    """One input of a profile.

    Attributes:
        state: ``present``, ``MISSING``, or ``TERMS`` where terms must be accepted by hand before it can be had.
        said: where it lies, or what is wrong and what brings it.
    """

    entry: Source
    state: str
    said: str


def wanted(profile: Any) -> list[Source]:
    """Return the sources that a profile with these settings needs."""
    return registry.needed(SHARED.get(profile.name, profile.name), _words(profile))


def inputs(profile: Any) -> list[Input]:
    """Return the state of every input of a profile."""
    return [_state(entry) for entry in wanted(profile)]


def answer(profile: Any, found: list[Input]) -> str:
    """Say in one line whether a profile can run, and what brings the rest."""
    missing = [each for each in found if each.state != PRESENT]
    if not missing:
        return f"ready for the profile {profile.name}"
    names = ", ".join(each.entry.name for each in missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
    return (
        f"{len(missing)} of the {len(found)} inputs of the profile {profile.name} are missing or altered ({names}): "
        f"humalign fetch --profile {profile.name} brings what can be brought, and says how the others come"
    )


def report(profile: Any, found: list[Input]) -> Iterator[str]:
    """Yield the lines of the whole answer: machine, times, inputs, verdict."""
    yield from machine()
    yield f"profiles: {', '.join(profiles.names())}; the rest is about {profile.name}"
    yield time(profile)
    yield _space(profile, found)
    for each in found:
        yield f"{each.state:8} {size(each.entry):>9}  {each.entry.name}: {each.said}"
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
    seconds = [stage["seconds"] for stage in origin.stages.values()] if origin else []
    if origin is None or None in seconds:
        return "time: no whole run was timed yet"
    return f"time: the recorded run took {sum(seconds) / 60:.0f} minutes to its scores, on {origin.machine} ({origin.date})"


def size(entry: Source) -> str:
    """Return the size of a source for a table; a dash where it is not known."""
    known = _known(entry)
    return "-" if known is None else f"{known / 1e6:,.1f} MB"


def _known(entry: Source) -> int | None:
    sizes = [file.size for file in entry.files] if entry.parts else [entry.size]
    return None if None in sizes else sum(each or 0 for each in sizes)


def _space(profile: Any, found: list[Input]) -> str:
    run = LEAVES.get(profile.name)
    absent = [each.entry for each in found if each.state != PRESENT and each.entry.kind != "imagenet"]
    coming = sum(_known(entry) or 0 for entry in absent) / 1e9
    unknown = sum(_known(entry) is None for entry in absent)
    free = shutil.disk_usage(".").free / 1e9
    return (
        f"disk: {free:.0f} GB free here; a run needs {'an amount not measured yet' if run is None else f'{run:g} GB'}"
        f"{f', what is missing {coming:.1f} GB' if absent else ''}{f' and {unknown} of unknown size' if unknown else ''}"
    )


def _state(entry: Source) -> Input:
    try:
        path = registry.locate(entry.name)
        if entry.kind == "imagenet":
            path = imagenet.check(entry, inside=path.is_dir())
        elif _bytes(entry, path) > LARGEST:
            return Input(entry, PRESENT, f"{path} (its checksum is left to humalign fetch {entry.name})")
        else:
            path = registry.verify(entry.name)
    except HumalignError as error:
        return Input(entry, TERMS if entry.terms else MISSING, str(error))
    return Input(entry, PRESENT, f"{entry.what} ({entry.licence}), {path}")


def _bytes(entry: Source, path: Path) -> int:
    return sum((path / name).stat().st_size for name in entry.parts) if entry.parts else path.stat().st_size


def _words(profile: Any) -> set[str]:
    values = [value if isinstance(value, tuple) else (value,) for key, value in vars(profile).items() if key != "name"]
    return {word for value in values for word in value if isinstance(word, str)}
