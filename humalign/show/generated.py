"""What the book holds besides its prose and chapters: pages of the API, the data of the page of scores, a preview image."""

from __future__ import annotations

import ast
import html
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from humalign.artefacts import PACKAGE
from humalign.errors import HumalignError
from humalign.evaluation import scores as score
from humalign.evaluation.scores import pick

# The modules that a user calls or a figure's link leads to, by what they are for; "*" are the modules of a folder.
MODULES: dict[str, tuple[str, ...]] = {
    "Pictures and judgments": (
        "humalign.data.images",
        "humalign.data.judgments",
        "humalign.data.named",
        "humalign.data.readers",
        "humalign.data.readers_answers",
        "humalign.data.readers_own",
        "humalign.data.readers_levels",
        "humalign.data.labelled_sets",
        "humalign.data.simulate",
        "humalign.data.registry",
        "humalign.data.registry.fetching",
    ),
    "Models": (
        "humalign.models.backbones",
        "humalign.models.embeddings",
        "humalign.models.student",
        "humalign.models.export",
        "humalign.models.released",
    ),
    "The teacher": (
        "humalign.teach.teacher",
        "humalign.teach.vice",
        "humalign.teach.mixed_effects",
        "humalign.teach.splits",
        "humalign.teach.objectives",
    ),
    "Triplets": (
        "humalign.triplets.sampling",
        "humalign.triplets.labelling",
        "humalign.triplets.layout",
        "humalign.triplets.auditing",
    ),
    "Distillation": ("humalign.distil.distill", "humalign.distil.batches", "humalign.distil.optimiser"),
    "Evaluation": ("humalign.evaluation.*",),
    "Gathering answers": ("humalign.collect.*",),
    "Runs": (
        "humalign.profiles",
        "humalign.profiles.schema",
        "humalign.profiles.judging",
        "humalign.chain.opened",
        "humalign.chain.steps",
        "humalign.chain.pipeline",
        "humalign.chain.origins",
        "humalign.chain.aligning",
        "humalign.errors",
    ),
    "What the pages show": ("humalign.show.*",),
}
# Columns of the scores, in the order of the page; a column that is empty everywhere is left out.
COLUMNS = (
    "model",
    "stage",
    "task",
    "split",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "reference",
    "set",
    "item",
    "x",
    "evidence",
)
DOWNLOADS = {
    "scores.csv": "scores",
    "provenance.json": "provenance",
    "steps.json": "steps",
    "illustrations.json": "what pictures show",
}
API, SCORES, STATIC = "book/api", "book/scores", "book/_static"
MARK = "<!-- {} -->"


# ---- the API -----------------------------------------------------------------------------------------------------


def modules(package: Path = PACKAGE) -> dict[str, dict[str, str]]:
    """Return the modules that have a page: by group, the first sentence of each by its name.

    Raises:
        HumalignError: a named module that is not there.
    """
    found: dict[str, dict[str, str]] = {}
    for group, names in MODULES.items():
        found[group] = {}
        for name in names:
            folder = package.parent / name.removesuffix(".*").replace(".", "/")
            every = sorted(folder.glob("*.py")) if name.endswith("*") else [_file(folder)]
            for path in every:
                own = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(
                    ".__init__"
                )
                tree = ast.parse(path.read_text("utf-8"))
                if (
                    any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body)
                    or "*" not in name
                ):
                    found[group][own] = (ast.get_docstring(tree) or own).split("\n\n")[0].replace("\n", " ")
    return found


def _file(module: Path) -> Path:
    for path in (module.with_suffix(".py"), module / "__init__.py"):
        if path.is_file():
            return path
    raise HumalignError(f"the API has no module {module.name}: correct MODULES in humalign/show/generated.py")


def api(source: Path) -> list[str]:
    """Write a page for each module and list them on the page of the API; return the new pages."""
    lines, pages = [], []
    for group, members in modules().items():
        lines.append(f"\n## {group}\n\n| module | what it is |\n| --- | --- |")
        for name, said in members.items():
            page = f"{API}/{name}"
            _write(
                source / f"{page}.md",
                f"---\nnosearch: true\n---\n\n# {name.removeprefix('humalign.')}\n\n```{{eval-rst}}\n"
                f".. automodule:: {name}\n   :members:\n```\n",
            )
            lines.append(f"| [{name.removeprefix('humalign.')}](api/{name}.md) | {_markdown(said)} |")
            pages.append(page)
    _fill(source / f"{API}.md", "modules", "\n".join(lines))
    return pages


def _markdown(text: str) -> str:
    """Return a sentence of a docstring as a cell of a table."""
    return text.replace("``", "`").replace("|", "\\|")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _fill(page: Path, name: str, text: str) -> None:
    """Put what was made in place of its mark; a page without the mark is left as it is."""
    if page.is_file():
        page.write_text(page.read_text("utf-8").replace(MARK.format(name), text), "utf-8")


# ---- the scores --------------------------------------------------------------------------------------------------


def scores(runs: Mapping[str, Path], source: Path) -> None:
    """Write the data of the page of scores, and copies of the files behind it to be downloaded.

    Args:
        runs: folders with ``scores.csv``, ``provenance.json`` and ``steps.json``, by the name of the run.
        source: what the book is built from.

    Raises:
        HumalignError: a table of scores that is none.
    """
    tables, lines = {}, ["| run | files |", "| --- | --- |"]
    for name, folder in runs.items():
        tables[name] = compact(score.read(folder / "scores.csv"))
        links = []
        for file, text in DOWNLOADS.items():
            if (folder / file).is_file():
                target = source / STATIC / "runs" / name / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / file, target)
                size = max(1, round(target.stat().st_size / 1024))
                links.append(
                    f'<a href="../_static/runs/{html.escape(name)}/{file}" download="{html.escape(name)}-{file}">'
                    f"{text} ({file.rsplit('.')[-1]}, {size} KB)</a>"
                )
        lines.append(f"| {name} | {' · '.join(links)} |")
    data = json.dumps({"columns": list(COLUMNS), "runs": tables}, ensure_ascii=False, separators=(",", ":"))
    _write(source / STATIC / "scores-data.js", f"const SCORES = {data};\n")
    _fill(source / f"{SCORES}.md", "downloads", "\n".join(lines) if runs else "No run has scores yet.")


def compact(table: pd.DataFrame) -> dict[str, Any]:
    """Return a table of scores as few letters: texts by their numbers in a list, numbers as they are."""
    texts: dict[str, int] = {}
    numeric = {"value", "low", "high", "n"}
    rows = [
        [
            _number(cell) if name in numeric else texts.setdefault(_text(cell), len(texts))
            for name, cell in zip(COLUMNS, row, strict=True)
        ]
        for row in table[list(COLUMNS)].itertuples(index=False)
    ]
    return {"texts": list(texts), "rows": rows}


def _text(cell: Any) -> str:
    return "" if pd.isna(cell) else f"{cell:g}" if isinstance(cell, float) else str(cell)


def _number(cell: Any) -> float | None:
    return None if pd.isna(cell) else round(float(cell), 6)


# ---- the preview image -------------------------------------------------------------------------------------------


def preview(runs: Mapping[str, Path], path: Path) -> None:
    """Draw what a link to the book shows elsewhere: agreement with people before and after, where there are scores."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor="#ffffff")
    figure.text(0.06, 0.8, "humalign", fontsize=52, weight="bold", color="#1e2328")
    figure.text(
        0.06,
        0.7,
        "Aligning vision models with human judgments, rebuilt in the open",
        fontsize=23,
        color="#1e2328",
    )
    marks = _marks(runs)
    if marks:
        axes = figure.add_axes((0.06, 0.2, 0.88, 0.3))
        axes.set(xlim=(min(marks.values()) - 5, max(marks.values()) + 5), ylim=(-1, 1), yticks=[])
        axes.axhline(0, color="#596068", linewidth=3, zorder=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(bottom=False, labelbottom=False)
        for (name, value), colour in zip(marks.items(), ("#596068", "#1f5f99", "#9a3412"), strict=False):
            axes.scatter([value], [0], s=700, color=colour)
            axes.annotate(
                f"{value:.1f} %", (value, 0.35), ha="center", fontsize=30, color=colour, weight="bold"
            )
            axes.annotate(name, (value, -0.75), ha="center", fontsize=20, color=colour)
        figure.text(
            0.06,
            0.07,
            "Odd one out: agreement with people, objects that no answer in training was about",
            fontsize=20,
            color="#596068",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def _marks(runs: Mapping[str, Path]) -> dict[str, float]:
    """Return accuracies in percent on people's answers, by what they are called."""
    for folder in runs.values():
        table = score.read(folder / "scores.csv")
        fits = {"task": "odd-one-out", "split": "unseen objects", "metric": "accuracy", "evidence": "human"}
        found = {
            name: pick(table, stage=stage, **fits)
            for name, stage in {"before": "teacher-base", "after": "teacher"}.items()
        }
        people = pick(
            table,
            model="people",
            stage="ceiling",
            task="odd-one-out",
            split="repeated triplets",
            evidence="human",
        )
        if all(len(each) for each in found.values()):
            model = found["after"]["model"].iloc[0]
            marks = {name: rows[rows["model"] == model]["value"] for name, rows in found.items()} | {
                "people": people["value"]
            }
            return {name: 100 * float(values.iloc[0]) for name, values in marks.items() if len(values)}
    return {}
