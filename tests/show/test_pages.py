"""Pages that quote the code: that on one's own model, followed to the letter in an empty folder, and the lines of that of errors."""

import ast
import contextlib
import dataclasses
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from humalign import cli
from humalign.chain import answers
from humalign.data import readers_own, toy
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.models import backbones
from humalign.options import parser

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "book" / "recorded" / "aligned" / "scores.csv"
CELLS = nbformat.read(ROOT / "notebooks" / "09_align.ipynb", as_version=4).cells
PAGE = "\n\n".join(cell.source for cell in CELLS if cell.cell_type == "markdown")
WRAPPED = re.findall(r"^\$ ((?:python|humalign) (?:.*\\\n)*.*)$", PAGE, re.MULTILINE)
COMMANDS = [command.replace("\\\n", " ") for command in WRAPPED]
(LOAD,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FORMATS = re.findall(r"(?:Options: `([^`]*)`\n\n)?```console\n\$ head -(\d) (\S+)\n(.*?)```", PAGE, re.DOTALL)
NAMES = sorted(f"{shape}-{hue:02}.png" for shape in toy.SHAPES for hue in range(toy.HUES))
HELD = {"task": "odd-one-out", "split": "own, a thing held out"}


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """An empty folder in which every command of the page was run: its own networks and weights, on smaller pictures."""
    folder, said = tmp_path_factory.mktemp("empty"), io.StringIO()
    known = {name: dataclasses.replace(recipe, size=64) for name, recipe in backbones.recipes().items()}
    make, align = COMMANDS
    assert make.split()[:2] == ["python", "-m"], "the first makes the toy"
    subprocess.run([sys.executable, *shlex.split(make, comments=True)[1:]], cwd=folder, check=True)
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder), contextlib.redirect_stdout(said):
        patch.setattr(backbones, "recipes", lambda: known)
        assert cli.main(shlex.split(align)[1:]) == 0
    return folder, said.getvalue()


def test_the_commands_align_measure_and_leave_a_model_that_loads_in_timm(followed):
    folder, said = followed
    found = scores.read(folder / "build" / "aligned" / "scores.csv")
    gain = scores.one(found, stage="teacher", metric="accuracy-above-teacher-centred", **HELD)
    assert gain["low"] > 0, "colour is what the observers go by"
    for stage in ("base", "base-centred", "unaligned", "aligned", "teacher"):
        value = scores.one(found, stage=stage, metric="accuracy", **HELD)["value"]
        assert f"{100 * value:.1f} (" in said, "the table has each stage"
    with contextlib.chdir(folder):
        exec(compile(LOAD, "09_align", "exec"), made := {})
    assert made["features"].shape == (1, 1280) and torch.isfinite(made["features"]).all()
    card = (folder / "aligned" / "README.md").read_text()
    assert "simulated observers" in card and (folder / "mine.yaml").is_file()


def test_the_recorded_run_is_one_of_these_commands(followed):
    key = ["model", "stage", "task", "split", "metric"]
    here, kept = (scores.read(path).set_index(key) for path in (followed[0] / "build" / "aligned" / "scores.csv", RECORDED))
    assert set(here.index) == set(kept.index), "run the page's commands, then `make record PROFILE=aligned`"
    assert set(kept["profile"]) == {"aligned"} and set(kept["evidence"]) == {"simulated", "labels"}
    # Agreement is with the same answers, whatever the pictures' size.
    same = [row for row in here.index if row[2:4] == ("odd-one-out", "own, a thing held out")]
    assert here.loc[same, "n"].tolist() == kept.loc[same, "n"].tolist()


def test_the_toy_is_not_made_over_something(followed):
    done = subprocess.run([sys.executable, "-m", "humalign.data.toy"], cwd=followed[0], capture_output=True, text=True, check=False)
    assert done.returncode and done.stderr.startswith("humalign: ") and done.stderr.count("\n") == 1
    with pytest.raises(HumalignError, match=r"judged and pool and answers\.csv already: make the toy in an empty folder"):
        toy.make(followed[0])


def test_there_is_an_example_of_every_format():
    assert [name for *_, name, _ in FORMATS] == ["answers.csv", "places.csv", "jspsych.csv", "odd_last.txt", "five.csv"]


@pytest.mark.parametrize(("options", "lines", "name", "content"), FORMATS, ids=[name for *_, name, _ in FORMATS])
def test_each_format_is_read_with_the_options_that_stand_beside_it(options, lines, name, content, tmp_path):
    assert content.count("\n") == int(lines)
    (tmp_path / name).write_text(content)
    given = "align --judged . --answers . --pool . --teacher x --student x out".split()
    read = parser(cli.COMMANDS).parse_args([*given, *shlex.split(options or "")])
    found = readers_own.read(tmp_path / name, NAMES, read.columns, read.odd, read.first, read.numbered_from)
    (triplet,), (kept,) = found.triplets.tolist(), found.counts.argmax(1).tolist()
    assert {NAMES[each] for each in triplet} == {"bar-00.png", "bar-01.png", "cross-05.png"}
    assert NAMES[triplet[2 - kept]] == "cross-05.png"


def test_an_array_is_read_as_the_text_of_its_rows(tmp_path):
    np.save(tmp_path / "odd_last.npy", np.array([[0, 1, 29]]))
    assert readers_own.read(tmp_path / "odd_last.npy", NAMES).triplets.tolist() == [[0, 1, 29]]


def test_the_numbers_that_the_page_names_are_those_of_the_command():
    assert answers.ENOUGH == 1000 and answers.EACH == 50 and "50 answers a picture, and a thousand in all" in PAGE
    assert "A quarter" in PAGE or "a quarter" in PAGE


# ---- the page of errors ------------------------------------------------------------------------------------


def template(node, texts):
    """Return a message with ``…`` for each value that is filled in, but the texts that have a name."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part, texts) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left, texts) + template(node.right, texts)
    value = getattr(node, "value", node)
    return texts.get(value.id, "…") if isinstance(value, ast.Name) else "…"


def raised():
    """Return the templates of all errors that a user can meet: texts that have a name in a function are read there, or left open."""
    for path in (ROOT / "humalign").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            texts, whole = {}, {}
            for node in sorted(ast.walk(function), key=lambda node: getattr(node, "lineno", 0)):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    # What the line before names is open in one of them, and read in the other.
                    texts[node.targets[0].id], whole[node.targets[0].id] = template(node.value, {}), template(node.value, whole)
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "HumalignError" and node.args:
                    yield from (template(node.args[0], known) for known in ({}, texts, whole))


RAISED = set(raised())
ERRORS = (ROOT / "book" / "errors.md").read_text("utf-8")
ROWS = [row for row in ERRORS.splitlines() if row.startswith("| `")]
# A line that holds a backtick stands between two of them.
QUOTED = [re.match(r"\| (?:`` (?P<marked>.+?) ``|`(?P<plain>.+?)`) \| ", row) for row in ROWS]
QUOTED = [found["marked"] or found["plain"] for found in QUOTED]


@pytest.mark.parametrize("line", QUOTED)
def test_a_quoted_line_is_raised(line):
    # What the page leaves open may have a name in the code, or be filled in.
    quoted = re.compile(re.escape(line).replace("…", ".+"))
    assert any(map(quoted.fullmatch, RAISED))


def test_each_line_has_its_meaning_and_stands_once():
    assert len(QUOTED) == len(set(QUOTED)) >= 30
    assert all(len(row.split(" | ")) == 2 for row in ROWS)
