"""From scores to the book: executed chapters, rendered pages."""

from __future__ import annotations

from pathlib import Path

from humalign.artefacts import PACKAGE, Provenance
from humalign.chain import origins, steps
from humalign.chain.pipeline import Run, Stage
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.profiles import Profile

ROOT = PACKAGE.parent
PAPER_CHAPTER = "10_paper_scale.ipynb"


def chapters() -> list[str]:
    """Return the notebooks of the book, in order."""
    found = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise HumalignError(f"no notebooks under {ROOT}: run from a clone of the repository, installed with `make setup`")
    return found


def shown(run: Run) -> dict[str, str | Path]:
    """Return the parameters of all chapters: a table of scores that is not this run's is the one recorded in the repository.

    ``results`` is of simulated observers, of the profile ``profile``; ``people_results`` is of people, of the profile
    ``people_profile``.

    Raises:
        HumalignError: there are no recorded scores.
    """
    fresh = run.path(origins.TABLE)
    kept: dict[str, str | Path] = {
        "profile": "demo",
        "results": origins.recorded("demo"),
        "people_profile": "things",
        "people_results": origins.recorded("things"),
    }
    own: dict[str, dict[str, str | Path]] = {
        PAPER_CHAPTER: {},
        "people": {"people_profile": run.profile.source, "people_results": fresh},
        "simulated": {"profile": run.profile.source, "results": fresh},
    }
    return kept | own[_shows(run.profile)]


def _shows(profile: Profile) -> str:
    """Say which chapters a run's scores are for: that on ImageNet's scale, those on people, or those on simulated observers."""
    if profile.data.pool == "imagenet-train":
        return PAPER_CHAPTER
    return "people" if profile.evidence == "human" else "simulated"


def paper_results(run: Run) -> Path:
    """Return the table that the chapter at the paper's scale shows: this run's, or the recorded one, which need not be there."""
    return run.path(origins.TABLE) if _shows(run.profile) == PAPER_CHAPTER else origins.RECORDED / "paper" / origins.TABLE


def execute_notebooks(run: Run, provenance: Provenance) -> None:
    """Run the chapters on this run's scores and on recorded ones."""
    from humalign.show import notebooks

    own = {PAPER_CHAPTER: {"paper_results": paper_results(run)}}
    notebooks.run(ROOT / "notebooks", shown(run), run.path("notebooks"), own)


def render(run: Run) -> Path:
    """Render the book from executed notebooks, and return its first page.

    The first page has two figures: one of simulated observers and one of real people.
    """
    from humalign.show import book, figures

    tables = shown(run)
    table, people = scores.read(tables["results"]), scores.read(tables["people_results"])
    drawn = {
        "overview": lambda path: figures.save(figures.overview(table), path),
        "across_experiments": lambda path: figures.save(figures.across_experiments(people), path),
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
# The whole chain, down to the executed chapters.
STEPS = steps.STEPS | {"notebooks": NOTEBOOKS}
