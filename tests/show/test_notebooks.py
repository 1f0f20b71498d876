"""The chapters as committed, and the running of chapters."""

import ast
import re
import shutil
import sys
from pathlib import Path
from unittest import mock

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from humalign import profiles
from humalign.chain import origins, steps
from humalign.chain.opened import Opened
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.show import chapters, notebooks

FOLDER = Path(__file__).parents[2] / "notebooks"
# The simulated check, and what stands beside it, have a profile of their own.
PARAMETERS, SIMULATED = 'profile = "{}"\nbuild = ""', ("demo", "paper_scale")
OWN = PARAMETERS.format("demo")
# The steps that a chapter calls, in their order; other chapters only show.
CALLS = {
    "04_teacher": ["prepare", "observe", "teach"], "05_students": ["triplets", "distil"], "06_map": ["features", "scores"],
    "07_uncertainty": ["evaluate"], "08_costs": ["evaluate"], "paper_scale": ["evaluate"],
    "demo": ["prepare", "observe", "teach", "triplets", "distil", "features", "scores"],
}  # fmt: skip
LOGIC = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.While, ast.Try)

chapter = pytest.mark.parametrize("path", notebooks.chapters(FOLDER), ids=lambda path: path.stem)


def cells(path, kind="code"):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def unexecuted(path):
    """Return the positions (from 0) of the code cells that were not executed, or not in their order."""
    code = [(place, cell) for place, cell in enumerate(nbformat.read(path, as_version=4).cells) if cell.cell_type == "code"]
    return [place for count, (place, cell) in enumerate(code, 1) if cell.execution_count != count]


def drawn(cell):
    """Return the figures among a cell's outputs, as HTML."""
    shown = [output.data.get("text/html", "") for output in cell.outputs if "data" in output]
    return [text for text in shown if 'class="humalign-figure"' in text]


# ---- as committed ----------------------------------------------------------------------------------------------------

@chapter
def test_every_cell_was_executed_in_order(path):
    assert unexecuted(path) == []


@chapter
def test_outputs_are_normalised(path, tmp_path):
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    notebooks.normalise(copy)
    assert copy.read_bytes() == path.read_bytes(), "run `make notebooks`"


@chapter
def test_no_output_is_an_error_or_differs_from_run_to_run(path):
    for cell in cells(path):
        for output in cell.outputs:
            assert output.output_type != "error"
            for text in (output.get("text", ""), *(v for k, v in output.get("data", {}).items() if k.startswith("text/"))):
                assert " at 0x" not in text, "an address in memory is another one next time"


@chapter
def test_opens_with_its_title_and_has_the_parameters(path):
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    profile = "demo" if path.stem in SIMULATED else "things"
    assert [cell.source for cell in cells(path) if "parameters" in cell.metadata.get("tags", [])] == [PARAMETERS.format(profile)]


@chapter
def test_checks_its_parameters_first_and_calls_its_steps_where_a_reader_sees_it(path):
    first, *others = [node for cell in cells(path)[1:] for node in ast.parse(cell.source).body if isinstance(node, ast.Expr)]
    assert ast.unparse(first) == "chapters.check_parameters(globals())"
    called = [each.func for node in others for each in ast.walk(node) if isinstance(each, ast.Call)]
    steps = [f.attr for f in called if isinstance(f, ast.Attribute) and ast.unparse(f.value) == "run"]
    assert steps == CALLS.get(path.stem, [])
    assert all("hide-input" not in cell.metadata.get("tags", []) for cell in cells(path) if cell.source.startswith("run."))


@chapter
def test_every_evaluation_that_a_chapter_asks_for_is_known(path):
    calls = [node for cell in cells(path) for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
    asked = [arg.value for call in calls if ast.unparse(call.func) == "run.evaluate" for arg in call.args]
    assert set(asked) <= set(steps.EVALUATIONS)


@chapter
def test_every_figure_has_number_caption_and_alternative_text(path):
    for cell in filter(drawn, cells(path)):
        shown = cell.metadata.get("mystnb", {})
        assert shown.get("figure", {}).get("name"), cell.source
        assert shown.get("figure", {}).get("caption"), cell.source
        (figure,) = drawn(cell)  # one a cell
        assert len(re.search(r'aria-label="([^"]*)"', figure)[1]) > 20, cell.source


@chapter
def test_no_output_is_a_picture_file(path):
    assert not [key for cell in cells(path) for output in cell.outputs for key in output.get("data", {}) if key.startswith("image/")]


def test_every_figure_has_a_name_of_its_own():
    names = [cell.metadata["mystnb"]["figure"]["name"] for path in notebooks.chapters(FOLDER) for cell in filter(drawn, cells(path))]
    assert len(names) == len(set(names))


@chapter
def test_a_section_is_a_few_cells_long(path):
    count = 0
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown" and any(line.startswith(("## ", "### ")) for line in cell.source.splitlines()):
            count = 0
        count += cell.cell_type == "code"
        assert count <= 10, cell.source


@chapter
def test_holds_no_logic(path):
    for cell in cells(path):
        found = [type(node).__name__ for node in ast.walk(ast.parse(cell.source)) if isinstance(node, LOGIC)]
        assert not found, f"{found[0]} belongs into a module: {cell.source}"


@chapter
def test_says_from_which_run_its_numbers_are(path):
    code, prose = (["".join(cell.source) for cell in cells(path, kind)] for kind in ("code", "markdown"))
    for name, shown in (("results-from", "simulated"), ("people-from", "human"), ("paper-from", "paper")):
        footer = any(f"chapters.footer({shown})" in source for source in code)
        if any(f"{shown}.scores" in source for source in code) and not footer:
            assert any(f'glue("{name}", {shown}.said, display=False)' in source for source in code), name
            assert any(f"{{glue:text}}`{name}:s`" in source for source in prose), name
    assert not any(word in source for source in code for word in ("book/recorded", "scores.read(")), "what is shown is an open run's"


@chapter
def test_compares_every_output_but_pictures(path):
    for cell in cells(path):
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            shown = "pictures" in cell.source or "play." in cell.source
            assert shown, "photographs are not at hand everywhere; all other outputs are the same everywhere"


# ---- running ---------------------------------------------------------------------------------------------------------

def write(folder, name, code, parameters=OWN):
    folder.mkdir(exist_ok=True)
    made = [new_markdown_cell("# A title"), new_code_cell(parameters, metadata={"tags": ["parameters"]}), new_code_cell(code)]
    nbformat.write(new_notebook(cells=made, metadata=notebooks.METADATA), folder / name)


@pytest.fixture
def run(tmp_path):
    """Run the chapters below a temporary folder."""
    given = {"profile": "tiny", "build": tmp_path / "build"}
    return lambda: notebooks.run(tmp_path / "notebooks", given, tmp_path / "build" / "out")


def test_a_chapter_runs_on_the_results_it_is_given_in_this_environment(tmp_path, run):
    write(tmp_path / "notebooks", "01_good.ipynb", "import sys\nprint(profile, open(f'{build}/scores.csv').read(), sys.prefix)")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "scores.csv").write_text("42")
    done = run()
    assert done == [tmp_path / "build" / "out" / "01_good.ipynb"]
    assert cells(done[0])[-1].outputs[0].text == f"tiny 42 {sys.prefix}\n"
    assert unexecuted(done[0]) == []
    assert [path.name for path in done[0].parent.iterdir()] == ["01_good.ipynb"]
    # Where nothing changed, not a byte does.
    before = done[0].read_bytes()
    assert run()[0].read_bytes() == before


def test_what_a_killed_run_of_the_chapters_left_is_cleared_at_the_next(tmp_path, run):
    write(tmp_path / "notebooks", "01_good.ipynb", "print(profile)")
    leftover = tmp_path / "build" / "out" / ".running-killed"
    leftover.mkdir(parents=True)
    (leftover / "01_good.ipynb").write_text("half")
    run()
    assert [path.name for path in (tmp_path / "build" / "out").iterdir()] == ["01_good.ipynb"]


def test_a_chapter_may_be_given_more_than_the_others(tmp_path):
    write(tmp_path / "notebooks", "01_all.ipynb", "print(profile)")
    write(tmp_path / "notebooks", "02_own.ipynb", "print(profile, more)", 'profile = "demo"\nmore = ""')
    own = {"02_own.ipynb": {"more": tmp_path / "scores.csv"}}
    done = notebooks.run(tmp_path / "notebooks", {"profile": "tiny"}, tmp_path / "out", own)
    assert [cells(path)[-1].outputs[0].text for path in done] == ["tiny\n", "tiny ../scores.csv\n"]


def test_a_failed_chapter_is_set_aside_and_no_older_copy_passes_for_fresh(tmp_path, run):
    write(tmp_path / "notebooks", "01_bad.ipynb", "raise ValueError('of\\nno use')")
    out = tmp_path / "build" / "out"
    out.mkdir(parents=True)
    for stale in ("01_bad.ipynb", "02_later.ipynb"):
        (out / stale).write_text("old")
    with pytest.raises(HumalignError, match=r"01_bad\.ipynb: cell \[3\] failed: ValueError: no use; look at .*failed.01_bad\.ipynb"):
        run()
    assert [path.name for path in notebooks.chapters(out)] == []
    assert "ValueError" in (out / "failed" / "01_bad.ipynb").read_text()


@pytest.mark.parametrize(("parameters", "message"), [
    ('profil = "demo"\nbuild = ""', r"01_x\.ipynb has no parameter 'profile': did you mean 'profil'\?"),
    ("# none", "no cell tagged 'parameters' that sets profile, build"),
])
def test_a_misspelt_parameter_is_an_error_before_anything_runs(tmp_path, run, parameters, message):
    write(tmp_path / "notebooks", "01_x.ipynb", f"open({str(tmp_path / 'ran')!r}, 'w')", parameters)
    with pytest.raises(HumalignError, match=message):
        run()
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_no_notebook_is_an_error_in_one_line(tmp_path):
    (tmp_path / "01_x.ipynb").write_text("{}")
    with pytest.raises(HumalignError, match=r"01_x\.ipynb is no finished notebook"):
        notebooks.check_parameters(tmp_path / "01_x.ipynb", ["profile"])


def test_executed_in_place_a_notebook_keeps_its_own_parameters_or_stays_as_it_was(tmp_path):
    path = tmp_path / "01_x.ipynb"
    write(tmp_path, path.name, "print(profile)")
    notebooks.execute_in_place(path)
    assert cells(path)[-1].outputs[0].text == "demo\n"
    write(tmp_path, path.name, "1 / 0")
    before = path.read_bytes()
    with pytest.raises(HumalignError, match="ZeroDivisionError: division by zero; the notebook is as it was"):
        notebooks.execute_in_place(path)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == [path.name]


def test_normalised_notebooks_of_two_runs_are_the_same_bytes(tmp_path):
    for name, when in (("a.ipynb", "10:00"), ("b.ipynb", "11:00")):
        cell = new_code_cell("1", execution_count=1, metadata={"execution": {"at": when}, "papermill": {"duration": when}, "tags": ["x"]})
        cell.outputs = [new_output("stream", name="stderr", text=when), new_output("stream", text="1")]
        nbformat.write(new_notebook(cells=[cell], metadata={"papermill": when, "kernelspec": {"name": when, "display_name": when}}),
                       tmp_path / name)
        notebooks.normalise(tmp_path / name)
    assert (tmp_path / "a.ipynb").read_bytes() == (tmp_path / "b.ipynb").read_bytes()
    (cell,) = cells(tmp_path / "a.ipynb")
    assert (cell.id, cell.metadata, len(cell.outputs)) == ("cell-01", {"tags": ["x"]}, 1)


def test_cells_skipped_or_out_of_order_are_found(tmp_path):
    made = [new_code_cell("1", execution_count=1), new_markdown_cell("# x"), new_code_cell("3", execution_count=3), new_code_cell("2")]
    nbformat.write(new_notebook(cells=made), tmp_path / "x.ipynb")
    assert unexecuted(tmp_path / "x.ipynb") == [2, 3]


def test_a_run_without_what_the_chapters_show_is_left_to_the_page_at_scale(tmp_path):
    recorded = origins.recorded("things")
    table = scores.read(recorded)
    few = table[table["task"].isin(["similarity-judgments", "few-shot"])]
    few.drop(columns=list(scores.DERIVED)).to_csv(tmp_path / "scores.csv", index=False)

    def run(path, scored=True):
        found = mock.Mock(spec=Opened, profile=profiles.load("things"), table=path)
        found.scored.return_value = scored
        return found

    absent = chapters.lacking(run(tmp_path / "scores.csv"))
    assert "odd-one-out of unseen objects" in absent and not any(each.startswith("few-shot") for each in absent)
    assert chapters.tables(run(tmp_path / "scores.csv"))[1].path == recorded
    shown = chapters.at_scale(run(tmp_path / "scores.csv"))
    assert shown.path == tmp_path / "scores.csv" and not chapters.is_at_scale(shown)
    assert not chapters.at_scale(run(recorded)).run.scored()
    assert chapters.lacking(run(recorded)) == [] == chapters.lacking(run(tmp_path / "none.csv", scored=False))
    shutil.copy(recorded, tmp_path / "scores.csv")
    assert chapters.lacking(run(tmp_path / "scores.csv")) == []
