"""The chain as steps: what each needs, what it leaves, and whether what it left is still good.

A step is finished when its stamp ``build/<profile>/stamps/<step>.json`` is written, last of all. It has a key
of the settings, inputs, library versions and code that the step depends on, a checksum of every file it left,
and a summary of them. The step is made again when key or checksums changed, and reused otherwise.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from tqdm import tqdm

from humalign.artefacts import PACKAGE, Provenance, fingerprint, replacing, sha256, versions
from humalign.chain import keys, origins, processes
from humalign.chain.processes import checksum
from humalign.data import registry
from humalign.distil.distill import Distillation
from humalign.errors import HumalignError
from humalign.profiles import Profile

# Rows of a summary: what is named in each, and numbers, rounded to the digits that another machine gives too.
Rows = list[dict[str, Any]]
DIGITS = 3
Say = Callable[[str], None]
Make = Callable[[], object]
# What is said of a step that is not made again.
REUSED = "reused, nothing changed"


@dataclasses.dataclass(frozen=True)
class Step:
    """One arrow of the chain."""

    needs: tuple[str, ...]  #: steps whose artefacts it reads.
    #: sections of the profile that it depends on, or fields of theirs: ``teachers.backbones``.
    settings: tuple[str, ...]
    outputs: Callable[[Any], list[str]]  #: files it leaves, below the profile's build folder.
    make: Callable[[Run, Provenance], None]  #: does the work.
    files: tuple[str, ...] = ()  #: patterns of other files in the repository that it depends on.
    #: registered files that it reads, by name: what its key, `doctor` and `fetch` are about.
    sources: Callable[[Any], list[str]] = lambda profile: []
    #: dictionaries of functions of which a profile uses only some entries; the others are no part of its key.
    tables: Callable[[Any], keys.Tables] = lambda profile: {}
    summary: Callable[[Run], Rows] = lambda run: []  #: says in a few rows what the files hold that it left.
    makes_needs: bool = False  #: whether it makes the steps before it itself, by calling them.


@dataclasses.dataclass(frozen=True)
class Run:
    """A profile, and where its artefacts lie."""

    profile: Profile
    build: Path

    @property
    def folder(self) -> Path:
        """Where this profile's artefacts lie."""
        return self.build / self.profile.name

    def path(self, name: str) -> Path:
        """Return the path of one artefact."""
        return self.folder / name

    def kept(self, key: str, names: Sequence[str], make: Make) -> bool:
        """Make some files, unless they are as they were made under this key; tell whether they were kept.

        This is how a step that was stopped goes on: what it had finished is noted below ``stamps/parts``.
        """
        if self.is_kept(key, names):
            return True
        make()
        write(self._note(names), {"key": key, "files": _sums(self, names)})
        return False

    def keep_each(self, key: str, what: str, parts: Sequence[tuple[Sequence[str], Make]]) -> None:
        """Make several parts in turn, each its files, as `kept` does, behind a progress bar."""
        with progress_bar(len(parts), what) as bar:
            for names, make in parts:
                self.kept(key, names, make)
                bar.update()

    def is_kept(self, key: str, names: Sequence[str]) -> bool:
        """Tell whether some files were made under a key and are as they were written."""
        return bool(_read(self._note(names)) == {"key": key, "files": _sums(self, names)})

    def _note(self, names: Sequence[str]) -> Path:
        return self.path(f"stamps/parts/{names[0]}.json")


def chain(steps: Mapping[str, Step], last: str) -> list[str]:
    """Return a step and everything it stands on, in order."""
    order: list[str] = []
    for need in steps[last].needs:
        order += [name for name in chain(steps, need) if name not in order]
    return [*order, last]


def key_of(steps: Mapping[str, Step], name: str, profile: Profile) -> str:
    """Return the key of a step: it changes with anything that could change its artefacts."""
    return keys_of(steps, name, profile)[name]


def keys_of(steps: Mapping[str, Step], last: str, profile: Profile) -> dict[str, str]:
    """Return the keys of a step and of everything it stands on, in order; that of each is made once."""
    found, of_profile = dict[str, str](), dataclasses.asdict(profile)
    for name in chain(steps, last):
        step, before = steps[name], [found[need] for need in steps[name].needs]
        fields = (*step.settings, "name", "seed", "threads", "evidence")
        settings = {field: _setting(of_profile, field) for field in fields}
        files = [path for pattern in step.files for path in sorted(PACKAGE.parent.glob(pattern))]
        code = keys.code(step.make, [path for path in files if path.suffix == ".ipynb"], step.tables(profile))
        read = [registry.identity(source) for source in step.sources(profile)]
        sums = [sha256(path) for path in files]
        found[name] = fingerprint(name, settings, before, code, sums, read, versions())
    return found


def _setting(section: Any, field: str) -> Any:
    """Return a setting by the names of its section and field, of a list of sections that of each."""
    name, _, rest = field.partition(".")
    if isinstance(section, tuple):
        return [_setting(each, field) for each in section]
    return _setting(section[name], rest) if rest else section[name]


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def execute(steps: Mapping[str, Step], last: str, run: Run, say: Say = _say) -> None:
    """Run a step and all it needs, reusing what is still good.

    Raises:
        HumalignError: another run has the build folder, it cannot be written; whatever a step raises.
    """
    with processes.held(run.folder):
        # Keys are taken before the first step starts: they speak of the code that runs, not of a later edit.
        keys = keys_of(steps, last, run.profile)
        names = list(keys)
        if steps[last].makes_needs and not all(is_good(steps, name, run, keys[name]) for name in names[:-1]):
            names = [last]
        for name in names:
            _one(steps, name, keys[name], run, f"[{list(keys).index(name) + 1}/{len(keys)}] {name}", say)
        stale = [name for name in keys if name not in names and not is_good(steps, name, run, keys[name])]
        if stale:
            raise HumalignError(f"{stale[0]} changed while {last} was made: run the same command again")


def _one(steps: Mapping[str, Step], name: str, key: str, run: Run, title: str, say: Say) -> None:
    """Make one step, or reuse it."""
    step, stamp = steps[name], _stamp_of(run, name)
    if is_good(steps, name, run, key):
        say(f"{title}: {REUSED}")
        _tell(steps, name, run)
        return
    say(f"{title} ...")
    started = time.perf_counter()
    provenance = Provenance(run.profile.name, run.profile.seed, key)
    _drop_altered(stamp, run)
    registry.LOCATED.clear()
    with limited(run.profile):
        step.make(run, provenance)
    undeclared = sorted(registry.LOCATED - set(step.sources(run.profile)))
    if undeclared:
        say(f"{title} reads {', '.join(undeclared)} undeclared: a change of that will not be noticed")
    seconds = time.perf_counter() - started + spent(run, name, key)
    _stamp(stamp, provenance, step, seconds, run)
    _tell(steps, name, run)
    say(f"{title}: {seconds:.0f} s")


def spent(run: Run, name: str, key: str, more: float = 0.0) -> float:
    """Return the seconds that were spent on a step before it was made as a whole, after adding some."""
    path = run.path(f"stamps/parts/{name}.spent.json")
    noted = _read(path)
    total = more + (noted["seconds"] if noted and noted.get("key") == key else 0.0)
    if more:
        write(path, {"key": key, "seconds": total})
    return float(total)


def limited(profile: Profile) -> threadpoolctl.threadpool_limits:
    """Return the block in which NumPy and SciPy use a profile's threads, which decide the order of sums."""
    return threadpoolctl.threadpool_limits(profile.threads)


def summary(name: str, run: Run) -> Rows:
    """Return what a finished step has noted of itself."""
    return list(_read(_stamp_of(run, name))["summary"])


def sources(steps: Mapping[str, Step], profile: Any) -> list[str]:
    """Name every source that some step reads, in the order of the registry, and last those not in it."""
    read = dict.fromkeys(name for step in steps.values() for name in step.sources(profile))
    return [*(name for name in registry.everything() if name in read), *filter(registry.is_named, read)]


def is_good(steps: Mapping[str, Step], name: str, run: Run, key: str = "") -> bool:
    """Tell whether a step was made under its key, and its files are as it left them."""
    written = _read(_stamp_of(run, name))
    wanted = key or key_of(steps, name, run.profile)
    if not isinstance(written, dict) or written.get("key") != wanted:
        return False
    return bool(written.get("files") == _sums(run, steps[name].outputs(run.profile)))


def _stamp_of(run: Run, name: str) -> Path:
    return run.path(f"stamps/{name}.json")


def _read(note: Path) -> Any:
    """Return what a note holds, none where it cannot be read."""
    try:
        return json.loads(note.read_text())
    except (OSError, ValueError):
        return None


def _sums(run: Run, names: Sequence[str]) -> dict[str, str | None]:
    """Return the checksum of each file, none where it is not there."""
    return {name: checksum(run.path(name)) if run.path(name).is_file() else None for name in names}


def _drop_altered(stamp: Path, run: Run) -> None:
    """Remove what is no longer as it was written: a step that keeps finished parts must not keep these."""
    altered: list[Path] = []
    with contextlib.suppress(OSError, KeyError, TypeError, AttributeError):  # a stamp that is none
        files = {run.path(name): wanted for name, wanted in _read(stamp)["files"].items()}
        altered = [path for path, wanted in files.items() if path.is_file() and checksum(path) != wanted]
    for path in altered:
        path.unlink()


def _tell(steps: Mapping[str, Step], name: str, run: Run) -> None:
    """Keep what is known of the run beside the scores, once they are there."""
    if origins.TABLE in steps[name].outputs(run.profile):
        origins.gather(run.folder, chain(steps, name))


def _stamp(path: Path, provenance: Provenance, step: Step, seconds: float, run: Run) -> None:
    outputs = step.outputs(run.profile)
    missing = [name for name in outputs if not run.path(name).is_file()]
    if missing:
        raise HumalignError(f"the step left no {missing[0]}: run the same command again")
    told = origins.stamped(step.sources(run.profile), seconds) | {"read": sorted(registry.LOCATED)}
    files = {name: checksum(run.path(name)) for name in outputs}
    write(path, provenance.attrs() | told | {"files": files, "summary": rounded(step.summary(run))})


def write(path: Path, told: object) -> None:
    """Write what is known of something as JSON."""
    with replacing(path) as part:
        part.write_text(json.dumps(told, indent=1))


def rounded(rows: Rows) -> Rows:
    """Return the rows of a summary with numbers of so many digits as another machine gives too."""
    return [
        row | {name: float(f"{value:.{DIGITS}g}") for name, value in row.items() if isinstance(value, float)}
        for row in rows
    ]


def stream(profile: Profile, *numbers: int) -> np.random.Generator:
    """Return the random numbers of one place in the chain, the same on every run."""
    return np.random.default_rng([profile.seed, *numbers])


def schedule(profile: Profile, **changes: Any) -> Distillation:
    """Return the objective and the schedule of a profile's students."""
    names = (field.name for field in dataclasses.fields(Distillation))
    return Distillation(**{name: getattr(profile.distillation, name) for name in names} | changes)


def progress_bar(total: int, what: str) -> tqdm:
    """Return a progress bar on the terminal, with the time that is left."""
    return tqdm(total=total, desc=f"    {what}", leave=False, dynamic_ncols=True)
