"""From scores to the book: executed chapters, rendered pages."""

from __future__ import annotations

from pathlib import Path

from humalign.artefacts import PACKAGE, Provenance
from humalign.chain import origins, steps
from humalign.chain.pipeline import Run, Stage
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.profiles import Released, Settings, Things

ROOT = PACKAGE.parent
PAPER_CHAPTER = "10_paper_scale.ipynb"


def of(profile: Settings) -> dict[str, Stage]:
    """Return the steps of a profile, the execution of the chapters last."""
    return steps.of(profile) | {"notebooks": NOTEBOOKS}


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
    from humalign.show import notebooks

    own = {PAPER_CHAPTER: {"paper_results": paper_results(run)}}
    notebooks.run(ROOT / "notebooks", shown(run), run.path("notebooks"), own)


def render(run: Run) -> Path:
    """Render the book from executed notebooks, and return its first page.

    The first page has two figures: one of simulated observers and one of real people.
    """
    from humalign.show import book, figures, figures_people

    tables = shown(run)
    table, people = scores.read(tables["results"]), scores.read(tables["people_results"])
    drawn = {
        "overview": lambda path: figures.save(figures.overview(table), path),
        "across_experiments": lambda path: figures.save(figures_people.across_experiments(people), path),
    }
    return book.render(ROOT, run.folder, run.path("notebooks"), drawn)


# The chapters show this run's scores and, beside them, what is recorded of other profiles.
NOTEBOOKS = Stage(
    needs=("scores",),
    settings=(),
    outputs=lambda profile: [f"notebooks/{name}" for name in chapters()],
    make=execute_notebooks,
    files=("notebooks/*.ipynb", "book/recorded/*/scores.csv", "book/recorded/*/provenance.json"),
)
