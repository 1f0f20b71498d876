"""Where scores come from: the machine, the day, the code and the data of the run that made them.

A run keeps two files beside ``scores.csv``: ``provenance.json``, what the stamps of its steps say, and
``steps.json``, what each step notes of the files that it left. So a rerun leaves the same table of scores,
byte for byte. All three are copied where a run is recorded, to ``book/recorded/<profile>/``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from humalign.artefacts import PACKAGE, replacing, sha256
from humalign.data import editions, registry
from humalign.errors import HumalignError

TABLE, FILE, SUMMARIES = "scores.csv", "provenance.json", "steps.json"
RECORDED = PACKAGE.parent / "book" / "recorded"


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a step ran on."""

    processor: str  #: with the instructions that PyTorch uses of it: they decide how it rounds.
    cores: int  #: that the process may use.
    memory: int  #: GB (1e9 bytes).
    gpus: tuple[str, ...] = ()  #: by name.

    @classmethod
    def here(cls) -> Machine:
        """Return this machine, as this process sees it."""
        import torch

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)
        processor = f"{_processor()} ({torch.backends.cpu.get_cpu_capability()})"
        gpus = tuple(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        return cls(processor, cores, memory, gpus)

    def __str__(self) -> str:
        counted = {name: self.gpus.count(name) for name in self.gpus}
        gpus = " and ".join(name if count == 1 else f"{count} x {name}" for name, count in counted.items())
        cores = f"{self.cores} core{'s' * (self.cores != 1)}"
        return f"{self.processor}, {cores}, {self.memory} GB of memory, {gpus or 'no GPU'}"


def _processor() -> str:
    """Return the processor's name; Python itself knows it on few systems."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    return platform.processor() or platform.machine()


def stamped(sources: Iterable[str], seconds: float) -> dict[str, Any]:
    """Return what a step's stamp says of the run: day (UTC), wall time, machine, registered files read."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seconds": round(seconds, 1),
        "machine": dataclasses.asdict(Machine.here()),
        "sources": [_source(name) for name in sources],
    }


def _source(name: str) -> dict[str, Any]:
    """Return a registered source as it lies here, and which edition of it that is."""
    entry = registry.source(name)
    named, home = {"name": name, "what": entry.what}, {"licence": entry.licence, "home": entry.home}
    if entry.kind == "imagenet":  # a checksum would take as long as reading it
        return {**named, "file": entry.path, **home}
    found = editions.of(name)
    place = f"{entry.package} {entry.version}: {entry.path}" if entry.package else found.file
    edition = {"holds": found.holds, "edition": found.edition} if found.holds else {}
    return {**named, "file": place, "size": found.size, "sha256": found.sha256, **edition, **home}


def gather(folder: Path, stages: Sequence[str]) -> None:
    """Write ``provenance.json`` and ``steps.json`` from stamps, the scores' last: same stamps, same bytes."""
    stamps = {name: json.loads((folder / f"stamps/{name}.json").read_text()) for name in stages}
    last, fields = stamps[stages[-1]], ("date", "seconds", "machine", "commit")
    told = {name: {field: stamp[field] for field in fields} for name, stamp in stamps.items()}
    sources = {source["file"]: source for stamp in stamps.values() for source in stamp["sources"]}
    found = {"profile": last["profile"], "seed": last["seed"], "scores": last["files"][TABLE]}
    found |= {field: last[field] for field in ("date", "machine", "commit", "python")}
    found |= {"versions": json.loads(last["versions"]), "stages": told, "sources": list(sources.values())}
    text = json.dumps(found, indent=1) + "\n"
    noted = summaries({name: stamp["summary"] for name, stamp in stamps.items()})
    for path, content in ((folder / FILE, text), (folder / SUMMARIES, noted)):
        if not path.is_file() or path.read_text(errors="replace") != content:
            with replacing(path) as part:
                part.write_text(content)


def summaries(steps: dict[str, list[dict[str, Any]]]) -> str:
    """Return the text of ``steps.json``: the rows of each step, one a line."""
    listed = {name: ",".join(f"\n  {json.dumps(row)}" for row in rows) for name, rows in steps.items()}
    return "{\n" + ",\n".join(f" {json.dumps(name)}: [{rows}]" for name, rows in listed.items()) + "\n}\n"


@dataclasses.dataclass(frozen=True)
class Origin:
    """Of one table of scores: when, where and from what it was made."""

    date: str
    machine: Machine
    commit: str  #: of the code, ``+`` behind it where files differed from it.
    stages: dict[str, dict[str, Any]]  #: by name the date, wall time (s), machine and commit of each step.
    sources: tuple[dict[str, Any], ...]  #: every registered file that the run has read.


def recorded(profile: str) -> Path:
    """Return the table of scores of a profile that is kept in the repository.

    Raises:
        HumalignError: there is none.
    """
    path = RECORDED / profile / TABLE
    if not path.is_file():
        mend = f"restore the file, or run the profile and then `make record PROFILE={profile}`"
        raise HumalignError(f"no recorded scores at {path}: {mend}")
    return path


def read(scores: str | Path) -> Origin | None:
    """Return where a table of scores comes from, or None where no provenance is kept beside it.

    Raises:
        HumalignError: the provenance is damaged, or is that of another table.
    """
    scores = Path(scores)
    if not (path := scores.with_name(FILE)).is_file():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
        digest, sources = str(found["scores"]), tuple(dict(source) for source in found["sources"])
        each = found["stages"].items()
        stages = {name: stage | {"machine": _machine(stage["machine"])} for name, stage in each}
        date, commit = str(found["date"]), str(found["commit"])
        origin = Origin(date, _machine(found["machine"]), commit, stages, sources)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HumalignError(f"{path} is damaged ({type(error).__name__}: {error}): {_mend(scores)}") from None
    if digest != sha256(scores):
        raise HumalignError(f"{path} is of another {TABLE} than the one beside it: {_mend(scores)}")
    return origin


def _machine(fields: dict[str, Any]) -> Machine:
    return Machine(**fields | {"gpus": tuple(fields["gpus"])})


def _is_recorded(scores: Path) -> bool:
    return scores.resolve().parent.parent.name == RECORDED.name


def _mend(scores: Path) -> str:
    profile = scores.resolve().parent.name
    recorded = f"restore both files, or run `make record PROFILE={profile}`"
    return recorded if _is_recorded(scores) else f"delete it and run `make reproduce PROFILE={profile}`"


def other_editions(sources: Sequence[dict[str, Any]] | None, names: Sequence[str] = ()) -> str:
    """Say which sources of a run were another edition than the public file, and how much they held, if any.

    Args:
        sources: as ``provenance.json`` lists them; None where that was not kept.
        names: of those that are asked about; all, where none is named.
    """
    others = [source for source in sources or () if source.get("edition") == editions.OTHER]
    asked = [source for source in others if not names or source["name"] in names]
    told = [f"{source['what']} ({source['holds']}; SHA-256 {source['sha256'][:8]}…)" for source in asked]
    return f"Other editions than the public files: {', '.join(told)}." if told else ""


def said(scores: str | Path) -> str:
    """Say where a table of scores comes from: a fresh run or a recorded one, when, on what, by which code."""
    origin = read(scores)
    kind = "recorded" if _is_recorded(Path(scores)) else "fresh"
    if origin is None:
        return f"a {kind} run, of which no provenance was kept (day, machine and commit are not known)"
    changed = ", with changes that were not committed" if origin.commit.endswith("+") else ""
    commit = f"commit {origin.commit.removesuffix('+')}{changed}"
    return f"a {kind} run: {origin.date}, {origin.machine}, {commit}"
