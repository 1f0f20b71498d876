"""What a machine has, and what a profile still needs: the answer of ``humalign doctor``, which every whole run asks for first."""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from humalign import profiles, registry
from humalign.errors import HumalignError
from humalign.registry import Source, imagenet

PRESENT, MISSING, TERMS = "present", "MISSING", "TERMS"
LARGEST = 1e9  # bytes; a checksum of more takes long, and is left to `humalign fetch`
SHOWN = 3


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
    return registry.needed(profile.name, _words(profile))


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
    yield from estimates(profile)
    yield _space(profile, found)
    for each in found:
        yield f"{each.state:8} {size(each.entry):>9}  {each.entry.name}: {each.said}"
    yield f"verdict: {answer(profile, found)}"


def machine() -> Iterator[str]:
    """Yield what this machine is: Python, torch, GPUs with their memory, processor and memory."""
    import torch

    devices = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    named = ", ".join(f"{device.name} ({device.total_memory / 1e9:.0f} GB)" for device in devices)
    yield f"python {platform.python_version()}, torch {torch.__version__}"
    yield f"CUDA devices: {named or 'none, runs use the processor'}"
    yield f"processor: {os.cpu_count()} cores, {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB of memory"


def estimates(profile: Any) -> Iterator[str]:
    """Yield how long a run takes, by what was measured elsewhere."""
    known = _rates()["profiles"].get(profile.name, {})
    for kind, called in {"processor": "on the processor", "gpu": "on a GPU"}.items():
        rate = known.get(kind)
        said = f"about {rate['minutes']:g} minutes, measured on {rate['machine']} ({rate['date']})" if rate else "not measured yet"
        yield f"a run {called}: {said}"
    for name, rate in _rates()["backbones"].items():
        if name in _words(profile):
            yield f"{name}: {rate['images_per_second']:g} images a second, measured on {rate['machine']} ({rate['date']})"


def size(entry: Source) -> str:
    """Return the size of a source for a table; a dash where it is not known."""
    known = _known(entry)
    return "-" if known is None else f"{known / 1e6:,.1f} MB"


def _known(entry: Source) -> int | None:
    sizes = [file.size for file in entry.files] if entry.parts else [entry.size]
    return None if None in sizes else sum(each or 0 for each in sizes)


def _space(profile: Any, found: list[Input]) -> str:
    known = _rates()["profiles"].get(profile.name, {})
    run = known.get("disk_gb")
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


@functools.cache
def _rates() -> dict[str, Any]:
    return yaml.safe_load((files("humalign.registry") / "rates.yaml").read_text("utf-8"))
