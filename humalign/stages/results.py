"""From students to the book: scores, executed chapters, rendered pages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from humalign import embeddings, origins, scores
from humalign.artefacts import PACKAGE, Provenance
from humalign.emoji import concepts
from humalign.errors import HumalignError
from humalign.pipeline import Run
from humalign.profiles import Released, Things
from humalign.stages.inputs import by_style, centred, judgments, progress_bar
from humalign.stages.teaching import LABELLINGS
from humalign.teacher import AffineTeacher

ROOT = PACKAGE.parent
PAPER_CHAPTER = "10_paper_scale.ipynb"


def score(run: Run, provenance: Provenance) -> None:
    """Evaluate every stage of every model on the held-out concepts."""
    from humalign.evaluation import suite

    profile = run.profile
    observers, _, fold, whole = judgments(run)
    teacher = by_style(embeddings.read(run.path(f"embeddings/{profile.teacher_backbone}.nc"))["features"].values)
    student = by_style(embeddings.read(run.path(f"embeddings/{profile.student_backbone}.nc"))["features"].values)
    fit = json.loads(run.path("teacher/fit.json").read_text())["folds"]
    folds = []
    for f in range(profile.folds):
        mapped = AffineTeacher.load(run.path(f"teacher/fold{f}.safetensors"))
        training = fold != f
        trained = {stage: embeddings.read(run.path(f"students/fold{f}-{stage}.nc")) for stage in LABELLINGS}
        folds.append(
            suite.Fold(
                held_out=np.flatnonzero(fold == f),
                whole=whole,
                features={
                    (profile.teacher_backbone, "teacher-base"): teacher,
                    (profile.teacher_backbone, "teacher-centred"): centred(teacher, training),
                    (profile.teacher_backbone, "teacher"): np.stack([mapped.transform(style) for style in teacher]),
                    (profile.student_backbone, "base"): student,
                    (profile.student_backbone, "base-centred"): centred(student, training),
                    **{
                        (profile.student_backbone, stage): by_style(trained[stage]["features"].values) for stage in ("unaligned", "aligned")
                    },
                },
                divergence={stage: found["divergence"].values for stage, found in trained.items()},
                fit=fit[f] | {"triplets": json.loads(run.path(f"triplets/fold{f}/summary.json").read_text())},
            )
        )
    with progress_bar(suite.ticks(profile), "evaluations") as bar:
        found = suite.evaluate(profile, concepts(), observers, folds, bar.update)
    scores.write(scores.table(found, profile.name, profile.seed), run.folder, provenance.attrs())


def chapters() -> list[str]:
    """Return the notebooks of the book, in order."""
    found = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise HumalignError(f"no notebooks under {ROOT}: run from a clone of the repository, installed with `make setup`")
    return found


def shown(run: Run) -> dict[str, str | Path]:
    """Return the parameters of all chapters: a table of scores that is not this run's is the one recorded in the repository.

    ``results`` is of simulated observers, of the profile ``profile``; ``people_results`` is of people.

    Raises:
        HumalignError: there are no recorded scores.
    """
    fresh = run.path(origins.TABLE)
    kept: dict[str, str | Path] = {"profile": "demo", "results": origins.recorded("demo"), "people_results": origins.recorded("things")}
    if isinstance(run.profile, Released):
        return kept
    own = {"people_results": fresh} if isinstance(run.profile, Things) else {"profile": run.profile.name, "results": fresh}
    return kept | own


def paper_results(run: Run) -> Path:
    """Return the table that the chapter at the paper's scale shows: this run's, or the recorded one, which need not be there."""
    return run.path(origins.TABLE) if isinstance(run.profile, Released) else origins.RECORDED / "paper" / origins.TABLE


def execute_notebooks(run: Run, provenance: Provenance) -> None:
    """Run the chapters on this run's scores and on recorded ones."""
    from humalign import notebooks

    own = {PAPER_CHAPTER: {"paper_results": paper_results(run)}}
    notebooks.run(ROOT / "notebooks", shown(run), run.path("notebooks"), own)


def render(run: Run) -> Path:
    """Render the book from executed notebooks, and return its first page.

    The first page has two figures: one of simulated observers and one of real people.
    """
    from humalign import book, figures, figures_people

    tables = shown(run)
    table, people = scores.read(tables["results"]), scores.read(tables["people_results"])
    drawn = {
        "overview": lambda path: figures.save(figures.overview(table), path),
        "across_experiments": lambda path: figures.save(figures_people.across_experiments(people), path),
    }
    return book.render(ROOT, run.folder, run.path("notebooks"), drawn)
