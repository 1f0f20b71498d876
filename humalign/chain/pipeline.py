"""The chain as stages: what each needs, what it leaves, and whether what it left is still good.

A stage is finished when its stamp ``build/<profile>/stamps/<stage>.json`` is written, last of all. The stamp holds a key made
of the settings, inputs, library versions and source code that the stage depends on, and a checksum of every file it left;
the stage is made again when any of these changed, and reused otherwise.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import threadpoolctl

from humalign.artefacts import PACKAGE, Provenance, fingerprint, replacing, sha256, versions
from humalign.chain import keys, origins
from humalign.data import registry
from humalign.errors import HumalignError
from humalign.profiles import Profile


@dataclasses.dataclass(frozen=True)
class Stage:
    """One arrow of the chain.

    Attributes:
        needs: stages whose artefacts it reads.
        settings: sections of the profile that it depends on, or fields of theirs: ``teachers.backbones``.
        outputs: files it leaves, below the profile's build folder.
        make: does the work.
        files: patterns of other files in the repository that it depends on.
        sources: registered files that it reads, by name; their checksums are part of what it depends on. What `doctor` and `fetch` are
            about is this list, and a stage that reads anything else says so.
        tables: dictionaries of functions of which a profile uses only some entries: an edit of the others is no reason to make it again.
    """

    needs: tuple[str, ...]
    settings: tuple[str, ...]
    outputs: Callable[[Any], list[str]]
    make: Callable[[Run, Provenance], None]
    files: tuple[str, ...] = ()
    sources: Callable[[Any], list[str]] = lambda profile: []
    tables: Callable[[Any], keys.Tables] = lambda profile: {}


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

    def kept(self, key: str, names: Sequence[str], make: Callable[[], object]) -> bool:
        """Make some files, unless they were made under this very key and are as they were written; tell whether they were kept.

        This is how a step that was stopped goes on: what it had finished is noted below ``stamps/parts``.
        """
        if self.is_kept(key, names):
            return True
        make()
        with replacing(self._note(names)) as part:
            part.write_text(json.dumps({"key": key, "files": _sums(self, names)}))
        return False

    def is_kept(self, key: str, names: Sequence[str]) -> bool:
        """Tell whether some files were made under a key and are as they were written."""
        return bool(_read(self._note(names)) == {"key": key, "files": _sums(self, names)})

    def _note(self, names: Sequence[str]) -> Path:
        return self.path(f"stamps/parts/{names[0]}.json")


def chain(stages: dict[str, Stage], last: str) -> list[str]:
    """Return a stage and everything it stands on, in order."""
    order: list[str] = []
    for need in stages[last].needs:
        order += [name for name in chain(stages, need) if name not in order]
    return [*order, last]


def key_of(stages: dict[str, Stage], name: str, profile: Profile) -> str:
    """Return the key of a stage: it changes with anything that could change its artefacts."""
    stage = stages[name]
    settings = {field: _setting(profile, field) for field in (*stage.settings, "name", "seed", "threads", "evidence")}
    files = [path for pattern in stage.files for path in sorted(PACKAGE.parent.glob(pattern))]
    code = keys.code(stage.make, [path for path in files if path.suffix == ".ipynb"], stage.tables(profile))
    read = [registry.identity(source) for source in stage.sources(profile)]
    before = [key_of(stages, need, profile) for need in stage.needs]
    return fingerprint(name, settings, before, code, [sha256(path) for path in files], read, versions())


def _setting(section: Any, field: str) -> Any:
    """Return a setting by the names of its section and field, of a list of sections that of each."""
    name, _, rest = field.partition(".")
    if isinstance(section, tuple):
        return [_setting(each, field) for each in section]
    found = getattr(section, name)
    return _setting(found, rest) if rest else _as_json(found)


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_json(each) for each in value]
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def execute(stages: dict[str, Stage], last: str, run: Run, say: Callable[[str], None] = lambda line: print(line, file=sys.stderr)) -> None:
    """Run a stage and all it needs, reusing what is still good."""
    # Keys are taken before the first stage starts: they must speak of the code that runs, not of an edit meanwhile.
    keys = {name: key_of(stages, name, run.profile) for name in chain(stages, last)}
    names = list(keys)
    for number, (name, stage_key) in enumerate(keys.items(), 1):
        stage = stages[name]
        stamp = run.path(f"stamps/{name}.json")
        if _good(stamp, stage_key, stage.outputs(run.profile), run):
            say(f"[{number}/{len(names)}] {name}: reused, nothing changed")
            _tell(stages, name, run)
            continue
        say(f"[{number}/{len(names)}] {name} ...")
        started = time.perf_counter()
        provenance = Provenance(run.profile.name, run.profile.seed, stage_key)
        _drop_altered(stamp, run)
        registry.LOCATED.clear()
        # The order in which NumPy and SciPy take sums depends on their threads as PyTorch's does.
        with threadpoolctl.threadpool_limits(run.profile.threads):
            stage.make(run, provenance)
        undeclared = sorted(registry.LOCATED - set(stage.sources(run.profile)))
        if undeclared:
            say(f"[{number}/{len(names)}] {name} reads {', '.join(undeclared)} undeclared: a change of that will not be noticed")
        seconds = time.perf_counter() - started
        _stamp(stamp, provenance, stage, seconds, run)
        _tell(stages, name, run)
        say(f"[{number}/{len(names)}] {name}: {seconds:.0f} s")


def sources(stages: dict[str, Stage], profile: Any) -> list[str]:
    """Name every source that some stage of a chain reads, in the order of the registry, and last those that it does not list."""
    read = dict.fromkeys(name for stage in stages.values() for name in stage.sources(profile))
    return [*(name for name in registry.everything() if name in read), *(name for name in read if registry.is_named(name))]


def _good(stamp: Path, stage_key: str, outputs: list[str], run: Run) -> bool:
    written = _read(stamp)
    return isinstance(written, dict) and (written.get("key"), written.get("files")) == (stage_key, _sums(run, outputs))


def _read(note: Path) -> Any:
    """Return what a note holds, none where it cannot be read."""
    try:
        return json.loads(note.read_text())
    except (OSError, ValueError):
        return None


def _sums(run: Run, names: Sequence[str]) -> dict[str, str | None]:
    """Return the checksum of each file, none where it is not there."""
    return {name: sha256(run.path(name)) if run.path(name).is_file() else None for name in names}


def _drop_altered(stamp: Path, run: Run) -> None:
    """Remove what is no longer as it was written, so that a stage which keeps finished parts does not keep these."""
    try:
        written = json.loads(stamp.read_text())["files"]
        altered = [name for name, wanted in written.items() if run.path(name).is_file() and sha256(run.path(name)) != wanted]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    for name in altered:
        run.path(name).unlink()


def _tell(stages: dict[str, Stage], name: str, run: Run) -> None:
    """Keep what is known of the run beside the scores, once they are there."""
    if origins.TABLE in stages[name].outputs(run.profile):
        origins.gather(run.folder, chain(stages, name))


def _stamp(path: Path, provenance: Provenance, stage: Stage, seconds: float, run: Run) -> None:
    outputs = stage.outputs(run.profile)
    missing = [name for name in outputs if not run.path(name).is_file()]
    if missing:
        raise HumalignError(f"the stage left no {missing[0]}: run the same command again")
    files, read = {name: sha256(run.path(name)) for name in outputs}, sorted(registry.LOCATED)
    with replacing(path) as part:
        told = origins.stamped(stage.sources(run.profile), seconds)
        part.write_text(json.dumps(provenance.attrs() | told | {"read": read, "files": files}, indent=1))
