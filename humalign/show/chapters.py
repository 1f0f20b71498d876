"""From a run to the book: executed chapters, rendered pages."""

from __future__ import annotations

import ast
import dataclasses
import html
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from humalign.artefacts import PACKAGE, Provenance
from humalign.chain import open as opened
from humalign.chain import origins, steps
from humalign.chain.opened import Opened
from humalign.chain.pipeline import Run, Step
from humalign.errors import HumalignError, listed, nearest
from humalign.evaluation import scores
from humalign.profiles import Profile
from humalign.show import notebooks
from humalign.show.cells import Piece

ROOT = PACKAGE.parent
PARAMETERS = ("profile", "build")
SIMULATED, PEOPLE, PAPER = "simulated", "people", "paper"
# Whose recorded run is shown where a run's own is of other evidence, or has no scores yet.
RECORDED = {SIMULATED: "demo", PEOPLE: "things", PAPER: "paper"}


def chapters() -> list[str]:
    """Return the notebooks of the book, in order."""
    found = [path.name for path in notebooks.chapters(ROOT / "notebooks")]
    if not found:
        mend = "run from a clone of the repository, installed with `make setup`"
        raise HumalignError(f"no notebooks under {ROOT}: {mend}")
    return found


# ---- what a chapter calls ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Shown:
    """A run as the chapters show it."""

    run: Opened  #: the one that is open, or a recorded one.
    scores: pd.DataFrame  #: its table; without rows where there is none yet.

    @property
    def settings(self) -> Profile:
        """Its profile."""
        return self.run.profile

    @property
    def path(self) -> Path:
        """Of its table of scores."""
        return self.run.table

    @property
    def said(self) -> str:
        """Where its numbers are from, in a few words."""
        lacking = "no run: none is recorded yet, and none was computed here"
        return origins.said(self.path) if self.run.scored() else lacking


def check_parameters(namespace: Mapping[str, Any]) -> None:
    """Refuse a parameter that no chapter has; papermill itself only logs it.

    The history of cells in a notebook's ``globals()`` says what papermill has injected.

    Raises:
        HumalignError: a name that is none of the parameters.
    """
    for cell in namespace.get("In", ()):
        if not cell.startswith("# Parameters"):
            continue
        assigned = [node for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Assign)]
        for name in (each.id for node in assigned for each in node.targets if isinstance(each, ast.Name)):
            if name not in PARAMETERS:
                raise HumalignError(f"unknown parameter {name!r}: {nearest(name, PARAMETERS)}")


def tables(run: Opened) -> tuple[Shown, Shown]:
    """Return the run of simulated observers and that of people: the open one if it is that, or recorded ones.

    In place of an open run that has no scores yet the recorded one is shown: in a run of all chapters, those
    that came before the scores run once more when these are there.
    """
    return _shown(run, SIMULATED), _shown(run, PEOPLE)


def footer(shown: Shown) -> Piece:
    """Return the last line of a page: the run of its numbers, and links to its scores, steps and the code."""
    said, links, name = f"Numbers: {shown.said}", dict[str, str](), shown.settings.name
    if shown.run.scored():
        origin = origins.read(shown.path)
        commits = dict.fromkeys(step["commit"] for step in origin.stages.values()) if origin else {}
        several = f" (its steps: {len(commits)} commits)" if len(commits) > 1 else ""
        said = f"Numbers: profile {name}, {shown.said}{several}"
        links = {
            "all scores": f"../book/scores.html#run={name}",
            "each step's day, machine and commit": "10_reproduce.html",
            "the code": "../book/api.html",
        }
    linked = [f'<a href="{html.escape(to)}">{html.escape(text)}</a>' for text, to in links.items()]
    body = f'<p class="provenance">{" · ".join((html.escape(said), *linked))}</p>'
    return Piece(body, " · ".join((said, *links)))


def at_scale(run: Opened) -> Shown:
    """Return the run at the paper's scale: the open one if it is that, or a recorded one, if there is any.

    An open run that the other chapters leave to a recorded one is shown here too, whatever its scale.
    """
    if run.scored() and lacking(run):
        return Shown(run, scores.read(run.table))
    return _shown(run, PAPER)


def is_at_scale(shown: Shown) -> bool:
    """Say whether a run is at the paper's scale."""
    return _kind(shown.settings) == PAPER


def _shown(run: Opened, kind: str) -> Shown:
    if _kind(run.profile) != kind or not run.scored() or lacking(run):
        run = opened(RECORDED[kind])
        if kind != PAPER:  # of which there need be none
            origins.recorded(RECORDED[kind])
    empty = scores.table({}, run.profile.name, run.profile.seed)
    return Shown(run, scores.read(run.table) if run.scored() else empty)


def lacking(run: Opened) -> list[str]:
    """Name the scores, by task and set, that the recorded run of the chapters has and a run does not have."""
    kind = _kind(run.profile)
    if kind == PAPER or not run.scored() or run.table == (kept := origins.recorded(RECORDED[kind])):
        return []
    both = (scores.read(path)[["task", "set"]] for path in (run.table, kept))
    has, asked = (dict.fromkeys(each.itertuples(index=False, name=None)) for each in both)
    return [f"{task} of {of}" for task, of in asked if (task, of) not in has]


def _kind(profile: Profile) -> str:
    """Say which chapters show a profile: at ImageNet's scale, on people, or on simulated observers."""
    if profile.data.pool == "imagenet-train":
        return PAPER
    return PEOPLE if profile.evidence == "human" else SIMULATED


# ---- the chapters and the book -----------------------------------------------------------------------------


def execute_notebooks(run: Run, provenance: Provenance) -> None:
    """Run the chapters in order on this run: each makes the step that it is about, with all that it needs."""
    for kind in (SIMULATED, PEOPLE):
        origins.recorded(RECORDED[kind])
    parameters: dict[str, str | Path] = {"profile": run.profile.source, "build": run.build}
    # The chapter that runs the whole chain is about simulated observers.
    own: dict[str, notebooks.Parameters] = {}
    if _kind(run.profile) != SIMULATED:
        own[notebooks.WHOLE] = {"profile": RECORDED[SIMULATED], "build": ""}
    ours = opened(run.profile.source, run.build)
    notebooks.run(ROOT / "notebooks", parameters, run.path("notebooks"), own, ours.scored)


def render(run: Run) -> Path:
    """Render the book from executed notebooks and the scores that they show, and return its first page."""
    from humalign.show import book

    ours = opened(run.profile.source, run.build)
    if absent := lacking(ours):
        recorded, lack = RECORDED[_kind(run.profile)], listed("kinds of scores", absent)
        print(
            f"    the chapters show the recorded run of {recorded}: {run.profile.name} lacks {lack};"
            " its own stand on the page paper_scale and on the page of scores",
            file=sys.stderr,
        )
    simulated, people = tables(ours)
    runs = {run.profile.name: run.folder} if ours.scored() else {}
    runs |= {each.settings.name: each.path.parent for each in (people, simulated) if each.run.scored()}
    for path in sorted(origins.RECORDED.glob("*/scores.csv")):
        runs.setdefault(path.parent.name, path.parent)
    return book.render(ROOT, run.folder, run.path("notebooks"), runs)


# The chapters show this run's scores and, beside them, what is recorded of other profiles.
NOTEBOOKS = Step(
    needs=("scores", "illustrations"),
    settings=(),
    outputs=lambda profile: [f"notebooks/{name}" for name in chapters()],
    make=execute_notebooks,
    makes_needs=True,
    files=(
        "notebooks/*.ipynb",
        *("book/recorded/*.csv", "book/recorded/*/scores.csv", "book/recorded/*/provenance.json"),
        *("book/recorded/*/steps.json", "book/recorded/*/illustrations.json"),
    ),
)
# The whole chain, down to the executed chapters.
STEPS = steps.STEPS | {"notebooks": NOTEBOOKS}
