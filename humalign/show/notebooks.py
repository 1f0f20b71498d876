"""Run the chapters of the book for a profile, and keep the committed ones normalised.

A chapter is a notebook with one cell tagged ``parameters``. A run leaves an executed copy. A chapter that
fails is set aside under ``failed/`` with its error in it, and no older copy stays to pass for fresh.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from humalign.artefacts import replacing
from humalign.errors import HumalignError, nearest

# The chapter that runs the whole chain of the simulated check.
WHOLE = "demo.ipynb"
# A call of a step: the chapters that have one run before those that only show what came of it.
STEP = re.compile(r"\brun\.(prepare|observe|teach|triplets|distil|features|evaluate|scores)\(")
# Of the folder in which chapters run.
RUNNING = ".running-"
# The kernel of the interpreter that runs this: Jupyter itself puts sys.executable behind this name.
KERNEL = "python3"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": KERNEL},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}


def chapters(folder: Path) -> list[Path]:
    """Return the notebooks of a folder in the order in which they run: those that make steps first."""
    whole = (path for path in folder.glob("*.ipynb") if not path.name.startswith("."))  # not being written
    return sorted(whole, key=lambda path: (not STEP.search(path.read_text("utf-8", "replace")), path.name))


Parameters = Mapping[str, str | Path]


def run(
    notebooks: Path,
    parameters: Parameters,
    out: Path,
    own: Mapping[str, Parameters] | None = None,
    ready: Callable[[], bool] = lambda: True,
) -> list[Path]:
    """Execute every chapter with the same parameters and return the executed copies.

    A chapter that ran before there were scores runs once more when all have run.

    Args:
        notebooks: folder of the chapters.
        parameters: by name; a path is passed relative to ``out``, where the chapters run.
        out: folder of the executed copies.
        own: what single chapters, by their file names, are given besides.
        ready: tells whether there are scores.

    Raises:
        HumalignError: a chapter has no such parameter, or fails.
    """

    def given(source: Path) -> dict[str, str]:
        every = {**parameters, **(own or {}).get(source.name, {})}
        return {
            name: os.path.relpath(value, out) if isinstance(value, Path) else value
            for name, value in every.items()
        }

    for stale in [*chapters(out), *chapters(out / "failed")]:
        stale.unlink()
    sources = chapters(notebooks)
    for source in sources:
        check_parameters(source, given(source))
    out.mkdir(parents=True, exist_ok=True)
    for leftover in out.glob(f"{RUNNING}*"):  # of a run that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=RUNNING, dir=out) as running:
        early = []
        for source in _progress(sources):
            _run_one(source, Path(running) / source.name, given(source), out)
            if not ready():  # when it ended, as it makes its steps first
                early.append(source)
        for source in _progress(early):
            _run_one(source, Path(running) / source.name, given(source), out)
    return [out / source.name for source in sources]


def _run_one(source: Path, running: Path, given: Mapping[str, str], out: Path) -> None:
    """Execute one chapter, and move it to the others when it has succeeded."""
    try:
        _execute(source, running, out, given)
        normalise(running)
    except OSError:  # of the disk, not of the notebook: an error in a cell comes as papermill's own
        raise
    except Exception as error:
        failed = out / "failed" / source.name
        failed.parent.mkdir(exist_ok=True)
        # A kernel that does not even start leaves no copy; then the source is the thing to look at.
        os.replace(running if running.exists() else shutil.copy(source, running), failed)
        mend = f"look at {failed}, mend it, then run the same command again"
        raise HumalignError(f"{source.name}: {_last_line(error)}; {mend}") from error
    running.replace(out / source.name)


def _progress(paths: list[Path]) -> Iterable[Path]:
    """Yield the paths behind a bar, which stays off where nobody watches."""
    return tqdm(paths, desc="notebooks", disable=None, file=sys.stderr)


def _execute(source: Path, target: Path, folder: Path, given: Mapping[str, str] | None = None) -> None:
    import papermill

    papermill.execute_notebook(
        source, target, parameters=given, cwd=folder, kernel_name=KERNEL, language="python",
        progress_bar=False, extra_arguments=["--log-level=50"],  # no notes of the kernel about itself
    )


def _last_line(error: Exception) -> str:
    """Return where and how a notebook failed, in one line."""
    cell, name, value = (getattr(error, field, None) for field in ("exec_count", "ename", "evalue"))
    if name is None:
        name, value = type(error).__name__, str(error)
    last = (str(value).strip().splitlines() or [""])[-1]
    return (f"cell [{cell}] failed: " if cell else "failed: ") + f"{name}: {last}".removesuffix(": ")


def check_parameters(path: Path, given: Iterable[str]) -> None:
    """Check that a notebook knows every parameter it is to be given; papermill itself only logs it.

    Raises:
        HumalignError: a parameter is unknown, or there is no cell of parameters.
    """
    import papermill

    try:
        known = papermill.inspect_notebook(path)
    except Exception as error:
        fault = f"{path.name} is no finished notebook ({_last_line(error)})"
        raise HumalignError(f"{fault}: run `make notebooks`, or restore it") from error
    if not known:
        fault = f"{path.name} has no cell tagged 'parameters' that sets {', '.join(given)}"
        raise HumalignError(f"{fault}: add one")
    for name in given:
        if name not in known:
            raise HumalignError(f"{path.name} has no parameter {name!r}: {nearest(name, known)}")


def execute_in_place(path: Path) -> None:
    """Execute a notebook with its own parameters, in its own folder, and write it back normalised."""
    with replacing(path) as part:
        try:
            _execute(path, part, path.parent)
        except Exception as error:
            raise HumalignError(f"{path.name}: {_last_line(error)}; the notebook is as it was") from error
        normalise(part)


def normalise(path: Path) -> None:
    """Rewrite an executed notebook so that the same results make the same bytes.

    What no reader needs goes: times of execution, papermill's notes, messages on stderr, and the sight of
    parameters that a run has replaced. Counts of execution stay: tests object to gaps in them.
    """
    import nbformat

    notebook: Any = nbformat.read(path, as_version=4)
    replaced = any("injected-parameters" in _tags(cell) for cell in notebook.cells)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02}"
        tags = [*_tags(cell), *(["remove-cell"] if replaced and "parameters" in _tags(cell) else [])]
        shown = {"tags": list(dict.fromkeys(tags)), "mystnb": cell.metadata.get("mystnb")}
        cell.metadata = {key: value for key, value in shown.items() if value}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = METADATA
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    with replacing(path) as part:
        nbformat.write(nbformat.from_dict(notebook), part)


def _tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def main(folder: Path = Path("notebooks")) -> int:
    """Execute the committed notebooks in place, on the recorded scores."""
    try:
        for path in _progress(chapters(folder)):
            execute_in_place(path)
    except HumalignError as error:
        print(f"humalign: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
