"""What the book has besides prose and chapters: the API, the data of the page of scores, a preview image."""

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

# The modules that a user calls or a figure links to, by what they are for; "*" are the modules of a folder.
MODULES: dict[str, str] = {
    "Pictures and judgments": "data.images data.judgments data.named data.readers data.readers_answers "
    "data.readers_own data.readers_levels data.registered_sets data.simulate data.registry "
    "data.registry.fetching",
    "Models": "models.backbones models.embeddings models.student models.export models.released",
    "The teacher": "teach.teacher teach.vice teach.mixed_effects teach.splits teach.objectives",
    "Triplets": "triplets.sampling triplets.labelling triplets.layout triplets.auditing",
    "Distillation": "distil.distill distil.batches distil.optimiser",
    "Evaluation": "evaluation.*",
    "Gathering answers": "collect.*",
    "Runs": "profiles profiles.schema chain.opened chain.steps chain.pipeline chain.origins chain.aligning "
    "errors",
    "What the pages show": "show.*",
}
# Columns of the scores, in the order of the page; a column that is empty everywhere is left out.
COLUMNS = "model stage task split metric value low high n reference set item x evidence".split()
DOWNLOADS = {
    "scores.csv": "scores",
    "provenance.json": "provenance",
    "steps.json": "steps",
    "illustrations.json": "what pictures show",
}
API, SCORES, STATIC = "book/api", "book/scores", "book/_static"
MARK = "<!-- {} -->"


# ---- the API -----------------------------------------------------------------------------------------------


def modules() -> dict[str, dict[str, str]]:
    """Return the modules that have a page: by group, the first sentence of each by its name.

    Raises:
        HumalignError: a named module that is not there.
    """
    found: dict[str, dict[str, str]] = {group: {} for group in MODULES}
    for group, names in MODULES.items():
        for name in names.split():
            folder, whole = PACKAGE / name.removesuffix(".*").replace(".", "/"), name.endswith("*")
            for path in sorted(folder.glob("*.py")) if whole else [_file(folder)]:
                parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
                own = ".".join(parts).removesuffix(".__init__")
                tree = ast.parse(path.read_text("utf-8"))
                if not whole or any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body):
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
            title = name.removeprefix("humalign.")
            members_of = f"```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n"
            _write(source / f"{API}/{name}.md", f"---\nnosearch: true\n---\n\n# {title}\n\n{members_of}")
            told = said.replace("``", "`").replace("|", "\\|")
            lines.append(f"| [{title}](api/{name}.md) | {told} |")
            pages.append(f"{API}/{name}")
    _fill(source / f"{API}.md", "modules", "\n".join(lines))
    return pages


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _fill(page: Path, name: str, text: str) -> None:
    """Put what was made in place of its mark; a page without the mark is left as it is."""
    if page.is_file():
        page.write_text(page.read_text("utf-8").replace(MARK.format(name), text), "utf-8")


# ---- the scores --------------------------------------------------------------------------------------------


def scores(runs: Mapping[str, Path], source: Path) -> None:
    """Write the data of the page of scores, and copies of the files behind it to be downloaded.

    Each run has a folder with ``scores.csv``, ``provenance.json`` and ``steps.json``.

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
                size, run = max(1, round(target.stat().st_size / 1024)), html.escape(name)
                address = f'href="../_static/runs/{run}/{file}" download="{run}-{file}"'
                links.append(f"<a {address}>{text} ({file.rsplit('.')[-1]}, {size} KB)</a>")
        lines.append(f"| {name} | {' · '.join(links)} |")
    data = json.dumps({"columns": COLUMNS, "runs": tables}, ensure_ascii=False, separators=(",", ":"))
    _write(source / STATIC / "scores-data.js", f"const SCORES = {data};\n")
    _fill(source / f"{SCORES}.md", "downloads", "\n".join(lines) if runs else "No run has scores yet.")


def compact(table: pd.DataFrame) -> dict[str, Any]:
    """Return a table of scores as few letters: texts by their numbers in a list, numbers as they are."""
    texts: dict[str, int] = {}

    def short(name: str, cell: Any) -> float | int | None:
        if name in ("value", "low", "high", "n"):
            return None if pd.isna(cell) else round(float(cell), 6)
        return texts.setdefault(_text(cell), len(texts))

    lines = table[COLUMNS].itertuples(index=False)
    rows = [[short(name, cell) for name, cell in zip(COLUMNS, line, strict=True)] for line in lines]
    return {"texts": list(texts), "rows": rows}


def _text(cell: Any) -> str:
    return "" if pd.isna(cell) else f"{cell:g}" if isinstance(cell, float) else str(cell)


# ---- the preview image -------------------------------------------------------------------------------------


def preview(runs: Mapping[str, Path], path: Path) -> None:
    """Draw what a link to the book shows elsewhere: agreement with people before and after alignment."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.3), dpi=100, facecolor="#ffffff")
    ink, grey = "#1e2328", "#596068"
    figure.text(0.06, 0.8, "humalign", fontsize=52, weight="bold", color=ink)
    title = "Aligning vision models with human judgments, rebuilt in the open"
    figure.text(0.06, 0.7, title, fontsize=23, color=ink)
    marks = _marks(runs)
    if marks:
        axes = figure.add_axes((0.06, 0.2, 0.88, 0.3))
        axes.set(xlim=(min(marks.values()) - 5, max(marks.values()) + 5), ylim=(-1, 1), yticks=[])
        axes.axhline(0, color=grey, linewidth=3, zorder=0)
        axes.spines[:].set_visible(False)
        axes.tick_params(bottom=False, labelbottom=False)
        for (name, value), colour in zip(marks.items(), (grey, "#1f5f99", "#9a3412"), strict=False):
            axes.scatter([value], [0], s=700, color=colour)
            look: Any = {"ha": "center", "color": colour}
            axes.annotate(f"{value:.1f} %", (value, 0.35), fontsize=30, weight="bold", **look)
            axes.annotate(name, (value, -0.75), fontsize=20, **look)
        said = "Odd one out: agreement with people, objects that no answer in training was about"
        figure.text(0.06, 0.07, said, fontsize=20, color=grey)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def _marks(runs: Mapping[str, Path]) -> dict[str, float]:
    """Return accuracies in percent on people's answers, by what they are called."""
    fits = {"task": "odd-one-out", "metric": "accuracy", "evidence": "human"}
    for folder in runs.values():
        table = pick(score.read(folder / "scores.csv"), **fits)
        unseen = pick(table, split="unseen objects")
        before, after = (pick(unseen, stage=each) for each in ("teacher-base", "teacher"))
        people = pick(table, model="people", stage="ceiling", split="repeated triplets")
        if len(before) and len(after):
            before = before[before["model"] == after["model"].iloc[0]]
            found = {"before": before, "after": after, "people": people}
            return {name: 100 * float(rows["value"].iloc[0]) for name, rows in found.items() if len(rows)}
    return {}
