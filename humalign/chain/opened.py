"""A run that is open: a method for each step, which makes what is stale and says what it left.

From a recorded run, ``book/recorded/<profile>/``, the same methods give the same tables and compute nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import html
import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from humalign import profiles
from humalign.artefacts import Provenance
from humalign.chain import doctor, origins, pipeline, processes, sets, steps
from humalign.chain.pipeline import Rows, Run
from humalign.errors import HumalignError, nearest
from humalign.evaluation import scores
from humalign.profiles import Profile

# Rows of a summary that are shown, and columns that fit a page.
SHOWN, COLUMNS = 12, 5
# What a run ends with: the book shows both.
LAST = ("scores", "illustrations")


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a step left, without day, path, time or machine: the same computed, reused or recorded."""

    title: str  #: of the step.
    rows: Rows  #: by column.
    lacking: str = "nothing: this profile has no such step"  #: said where there is nothing to show.

    @property
    def frame(self) -> pd.DataFrame:
        """All rows; a cell that a row lacks is empty."""
        shown = pd.DataFrame([{name: _cell(value) for name, value in row.items()} for row in self.rows])
        return shown.fillna("")

    @property
    def _more(self) -> str:
        return f"and {len(self.rows) - SHOWN} more" if len(self.rows) > SHOWN else ""

    def __repr__(self) -> str:
        if not self.rows:
            return f"{self.title}: {self.lacking}"
        table = self.frame.head(SHOWN).to_string(index=False)
        return "\n".join(filter(None, (self.title, table, self._more)))

    def _repr_html_(self) -> str:
        if not self.rows:
            return f"<p>{self!r}</p>"
        table = _folded(self.frame.head(SHOWN)).to_html(index=False, border=0)
        table = table.replace("<th>", '<th scope="col">')
        named = table.replace("<thead>", f"<caption>{html.escape(self.title)}</caption>\n  <thead>", 1)
        return named + (f"\n<p>{self._more}</p>" if self._more else "")


def _folded(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table that fits a page: where there are too many columns, the last ones are said in one."""
    if frame.shape[1] <= COLUMNS:
        return frame
    kept, more = frame.iloc[:, : COLUMNS - 1], frame.iloc[:, COLUMNS - 1 :]
    rows = ([f"{name} {value}" for name, value in row.items() if value] for row in more.to_dict("records"))
    return kept.assign(more=[", ".join(row) for row in rows])


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return "" if value is None else str(value)


class Opened:
    """A run of a profile; a method is a step, and stands on those before it.

    Its artefacts lie in a build folder: what is stale is made, what is good is reused.
    """

    profile: Profile  #: its settings.
    table: Path  #: path of its table of scores, which need not be there yet.

    def __init__(self, profile: Profile, build: Path) -> None:
        self.profile, self.run = profile, Run(profile, doctor.build_folder(build.expanduser(), profile))
        self.table = self.path(origins.TABLE)
        if not build.is_absolute() and not os.environ.get(processes.SHARED):
            _say(f"the build folder {build} is {self.run.build}, from the current folder")

    def __repr__(self) -> str:
        said = "each step makes what is stale and reuses what is good"
        return f"a run of the profile {self.profile.name}: {said}"

    def prepare(self) -> Summary:
        """Keep the pictures at the size of each model that is trained on them, and embed the others."""
        return self._summary("pictures and embeddings", "pixels", "embeddings")

    def observe(self) -> Summary:
        """Fit the model of the answers (VICE) inside each part of the things."""
        return self._summary("observers", "observers")

    def teach(self) -> Summary:
        """Fit the affine maps of every teacher, one a part."""
        return self._summary("teachers", "teachers")

    def triplets(self) -> Summary:
        """Draw triplets over the pool, and label them by the teacher and by its untransformed backbone."""
        return self._summary("triplets", "triplets")

    def distil(self) -> Summary:
        """Train every student, and its control."""
        return self._summary("students", "students")

    def features(self) -> Summary:
        """Run every model at every stage on the sets that it is scored on."""
        return self._summary("features", "features")

    def evaluate(self, *names: str) -> pd.DataFrame:
        """Make those of some evaluations that the profile has, and return their scores.

        Of a recorded run all scores are returned that are recorded.

        Raises:
            HumalignError: there is no such evaluation.
        """
        for name in names:
            if name not in steps.EVALUATIONS:
                raise HumalignError(f"unknown evaluation {name!r}: {nearest(name, steps.EVALUATIONS)}")
        return self._evaluated([name for name in sets.evaluations(self.profile) if name in names])

    def scores(self) -> pd.DataFrame:
        """Make every evaluation of the profile, and return the table of scores."""
        with _at_work(self.run):
            self._finish()
        return scores.read(self.table)

    def path(self, name: str) -> Path:
        """Return where an artefact lies."""
        return self.run.path(name)

    def scored(self) -> bool:
        """Tell whether the table of scores is there, and is that of this very run."""
        return pipeline.is_good(steps.STEPS, "scores", self.run)

    def _finish(self) -> None:
        for last in LAST:
            pipeline.execute(steps.STEPS, last, self.run, _say)

    def _summary(self, title: str, *names: str) -> Summary:
        with _at_work(self.run):
            pipeline.execute(steps.STEPS, names[-1], self.run, _say)
        several = [pipeline.summary(name, self.run) for name in names]
        return Summary(title, list(itertools.chain(*several)))

    def _evaluated(self, names: list[str]) -> pd.DataFrame:
        with _at_work(self.run):
            pipeline.execute(steps.STEPS, "features", self.run, _say)
            key = pipeline.key_of(steps.STEPS, "scores", self.profile)
            started = time.perf_counter()
            with pipeline.limited(self.profile):
                found = steps.some(self.run, Provenance(self.profile.name, self.profile.seed, key), names)
            pipeline.spent(self.run, "scores", key, time.perf_counter() - started)
            # With the last of them the table of scores is there too, and what pictures show.
            if all(self.run.is_kept(key, [f"scores/{name}.json"]) for name in sets.evaluations(self.profile)):
                self._finish()
        return found


def of(profile: str, build: str | Path) -> Opened:
    """Open a run (see ``humalign.chain.open``)."""
    found = profiles.load(profile)
    if not str(build):
        return _Recorded(found)
    doctor.check_settings(found)
    return Opened(found, Path(build))


@contextlib.contextmanager
def _at_work(run: Run) -> Iterator[None]:
    """Compute with the settings of the profile, and show progress on the terminal, in no notebook."""
    processes.settle(run.profile)
    shown = processes.terminal()
    with processes.held(run.folder), contextlib.redirect_stderr(shown), contextlib.redirect_stdout(shown):
        yield


def _say(line: str) -> None:
    """Say on the terminal what is computed; that a step is reused is no news where every chapter calls it."""
    if not line.endswith(pipeline.REUSED):
        print(line, file=processes.terminal(), flush=True)


class _Recorded(Opened):
    """A run of which the repository keeps the scores and the summaries of its steps, and no arrays."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.table = origins.RECORDED / profile.name / origins.TABLE

    def __repr__(self) -> str:
        if not self.scored():
            return self._lacking
        kept = "its arrays are not kept, give a build folder to compute them"
        return f"the recorded run of the profile {self.profile.name}: {kept}"

    @property
    def _lacking(self) -> str:
        mend = "give a build folder, as in chain.open(profile, 'build')"
        return f"no run of the profile {self.profile.name} is recorded yet: {mend}"

    def path(self, name: str) -> Path:
        kept = f"{name}: the arrays of a recorded run are not kept"
        mend = f"{kept}: open {self.profile.name} with a build folder"
        raise HumalignError(mend if self.scored() else self._lacking)

    def scored(self) -> bool:
        # A file of somebody's own may have the name of a profile of ours.
        return self.profile.source == self.profile.name and self.table.is_file()

    def scores(self) -> pd.DataFrame:
        if self.scored():
            return scores.read(self.table)
        print(self._lacking)
        return scores.table({}, self.profile.name, self.profile.seed)

    def _summary(self, title: str, *names: str) -> Summary:
        if not self.scored():
            return Summary(title, [], self._lacking)
        path = self.table.with_name(origins.SUMMARIES)
        try:
            found = json.loads(path.read_text("utf-8"))
            return Summary(title, [row for name in names for row in found[name]])
        except (OSError, ValueError, KeyError, TypeError) as error:
            mend = f"restore the file, or run `make record PROFILE={self.profile.name}`"
            lacking = f"{path} holds no summary of {names[-1]} ({type(error).__name__})"
            raise HumalignError(f"{lacking}: {mend}") from None

    def _evaluated(self, names: list[str]) -> pd.DataFrame:
        return self.scores()
