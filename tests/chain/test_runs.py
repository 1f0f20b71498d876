"""A run as the machine sees it: one a folder, children that end with it, signals, notebooks that compute."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import test_chain
from alive import alive, until

from humalign import chain, profiles
from humalign.artefacts import PACKAGE
from humalign.chain import keys, opened, pipeline, processes, steps
from humalign.errors import HumalignError
from humalign.show import chapters, notebooks

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
HOLD = """
import sys, time
from pathlib import Path
from humalign.chain import processes
with processes.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


# ---- one run a folder --------------------------------------------------------------------------------------


@pytest.fixture
def holder(tmp_path):
    """Another process that has the folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "demo"], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_folder_that_another_run_has_is_one_line_that_names_it(holder, tmp_path):
    run = pipeline.Run(profiles.load("demo"), tmp_path)
    line = rf"demo is in use by process {holder.pid} on .*: wait until it ends, or choose another folder"
    with pytest.raises(HumalignError, match=line) as caught:
        pipeline.execute(steps.STEPS, "pixels", run, lambda line: None)
    assert "\n" not in str(caught.value) and [path.name for path in run.folder.iterdir()] == [processes.NAME]
    holder.kill()
    holder.wait()
    pipeline.execute(steps.STEPS, "pixels", run, lambda line: None)
    assert not run.path(processes.NAME).exists(), "what a killed run left is taken over, and removed"


def test_processes_of_one_run_share_its_folder_and_no_others_do(tmp_path):
    code = "import sys; from pathlib import Path; from humalign.chain import processes\n"
    code += "with processes.held(Path(sys.argv[1])): print('in')"

    def child(environment):
        return subprocess.run(
            [sys.executable, "-c", code, tmp_path],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )

    with processes.held(tmp_path):
        inside = ENVIRONMENT | {processes.SHARED: os.environ[processes.SHARED]}
        assert child(inside).stdout == "in\n"
        assert "is in use by process" in child(ENVIRONMENT).stderr
        assert (
            "is in use by process"
            in child(ENVIRONMENT | {processes.SHARED: f"0:{tmp_path / processes.NAME}"}).stderr
        )
    assert processes.SHARED not in os.environ
    assert child(inside).stdout == "in\n", (
        "a run that is over is nobody's: the process has the folder for itself"
    )


def test_a_folder_that_cannot_be_used_is_known_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    worked = []
    only = {"only": pipeline.Step((), (), lambda profile: [], lambda run, provenance: worked.append(run))}
    with pytest.raises(HumalignError, match=r"cannot write .*file/build/demo"):
        pipeline.execute(
            only, "only", pipeline.Run(profiles.load("demo"), tmp_path / "file" / "build"), worked.append
        )
    assert not worked


# ---- stopped -----------------------------------------------------------------------------------------------


def test_a_run_that_is_asked_to_stop_says_one_line_and_leaves_nothing_half_written(tmp_path):
    command = [
        sys.executable,
        "-m",
        "humalign.cli",
        "run",
        "embeddings",
        "--profile",
        "demo",
        "--build",
        tmp_path,
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert until(lambda: any(tmp_path.rglob("*.part.npy")) or process.poll() is not None), "it embeds"
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait(60) == 2
    assert (
        said.splitlines()[-1]
        == "humalign: stopped by a signal: run the same command again, finished work is kept"
    )
    assert "Traceback" not in said and not (tmp_path / "demo" / processes.NAME).exists()


def test_a_mistake_in_one_of_torchruns_processes_is_its_line_without_torchruns_own(tmp_path):
    command = [
        sys.executable,
        "-m",
        "humalign.chain.together",
        "--start",
        "--standalone",
        "--nproc-per-node=2",
    ]
    command += ["-m", "humalign.chain.together", str(tmp_path), "dmeo"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 1 and "humalign: unknown profile 'dmeo'" in done.stderr
    assert "Traceback" not in done.stderr and "ChildFailedError" not in done.stderr


def test_a_child_ends_with_its_starter_even_where_that_is_killed(tmp_path):
    mark = f"mark{os.getpid()}"
    inner = "from humalign.chain.processes import end_with_starter; end_with_starter(); import time; "
    inner += f"{mark} = time.sleep(600)"
    outer = "import sys; from humalign.chain.processes import child\n"
    outer += f"with child([sys.executable, '-c', {inner!r}]) as c: print(c.pid, flush=True); c.wait()"
    with subprocess.Popen(
        [sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        started = int(process.stdout.readline())
        time.sleep(0.5)
        assert started in alive(mark)
        process.kill()
    assert until(lambda: started not in alive(mark), 10)


# ---- notebooks that compute --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A profile of 90 concepts in a file, and the environment in whose kernels there are no more concepts."""
    folder = tmp_path_factory.mktemp("small")
    # One backbone for the teacher and the student: one embedding.
    teacher = {**test_chain.SETTINGS["teachers"][0], "backbones": ["efficientnet-lite0"]}
    (folder / "small.yaml").write_text(json.dumps({**test_chain.SETTINGS, "teachers": [teacher]}))
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    where = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]
    few = "import test_chain\n_few = test_chain.in_small()\n_few.__enter__()\n"
    (startup / "few.py").write_text(f"import sys\nsys.path[:0] = {where!r}\n{few}")
    return folder, ENVIRONMENT | {"IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": str(PACKAGE.parent)}


def papermill(small, notebook, out, *parameters, cwd=ROOT):
    environment, given = small[1], [word for name, value in parameters for word in ("-p", name, value)]
    command = [sys.executable, "-m", "papermill", notebook, out, "-k", "python3", "--no-progress-bar", *given]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def outputs(path):
    return [cell.get("outputs", []) for cell in nbformat.read(path, as_version=4).cells]


def summaries(path):
    data = [output.get("data", {}).get("text/plain", "") for several in outputs(path) for output in several]
    return [
        text for text in data if text.startswith(("observers\n", "teachers\n", "pictures and embeddings\n"))
    ]


@pytest.fixture(scope="module")
def taught(small):
    """Chapter 02 on an empty folder, from the root of the repository, with a relative folder."""
    folder = small[0]
    relative = os.path.relpath(folder / "build", ROOT)
    given = ("profile", str(folder / "small.yaml")), ("build", relative)
    return papermill(small, "notebooks/04_teacher.ipynb", folder / "first.ipynb", *given)


def test_a_chapter_on_an_empty_folder_makes_its_step_and_all_that_it_needs_and_no_more(small, taught):
    assert taught.returncode == 0, taught.stderr[-2000:]
    stamps = {path.stem for path in (small[0] / "build" / "small" / "stamps").glob("*.json")}
    assert stamps == {"pixels", "embeddings", "observers", "teachers"}
    assert "[4/4] teachers: " in taught.stderr, "what is computed is said on the terminal"
    assert re.search(
        rf"the build folder .* is {re.escape(str((small[0] / 'build').resolve()))}, from the current folder",
        taught.stderr,
    )
    assert not any(
        output.get("name") in ("stderr", "stdout")
        for several in outputs(small[0] / "first.ipynb")
        for output in several
    )


def test_a_second_time_it_reuses_from_wherever_it_is_started_and_shows_the_same(small, taught, tmp_path):
    folder = small[0]
    given = ("profile", str(folder / "small.yaml")), ("build", str(folder / "build"))
    again = papermill(
        small, str(ROOT / "notebooks" / "04_teacher.ipynb"), folder / "second.ipynb", *given, cwd=tmp_path
    )
    assert again.returncode == 0, again.stderr[-2000:]
    assert "teachers ..." not in again.stderr and "the build folder" not in again.stderr
    assert summaries(folder / "second.ipynb")[:2] == summaries(folder / "first.ipynb")[:2]
    assert len(summaries(folder / "first.ipynb")) == 3, "of the recorded run of people, which the page is about"


def test_a_broken_step_fails_the_chapter_that_calls_it(small, taught, tmp_path):
    folder = small[0]
    settings = json.loads((folder / "small.yaml").read_text()) | {
        "observer": {"dim": 1, "steps": 1, "batch": 8}
    }
    (tmp_path / "small.yaml").write_text(json.dumps(settings))
    given = ("profile", str(tmp_path / "small.yaml")), ("build", str(folder / "build"))
    failed = papermill(small, "04_teacher.ipynb", tmp_path / "out.ipynb", *given, cwd=ROOT / "notebooks")
    assert failed.returncode and "humalign: " in failed.stderr
    (error,) = [
        output
        for several in outputs(tmp_path / "out.ipynb")
        for output in several
        if output.output_type == "error"
    ]
    assert len(error.traceback) == 1 and "\n" not in error.traceback[0], "one line, no traceback"


def test_a_misspelt_parameter_is_refused_in_one_line(small, tmp_path):
    failed = papermill(
        small,
        str(ROOT / "notebooks" / "04_teacher.ipynb"),
        tmp_path / "out.ipynb",
        ("profil", "things"),
        cwd=tmp_path,
    )
    assert (
        failed.returncode and "humalign: unknown parameter 'profil': did you mean 'profile'?" in failed.stderr
    )


def test_parameters_that_are_known_pass_and_cells_of_ones_own_are_no_matter():
    chapters.check_parameters({})
    chapters.check_parameters(
        {"In": ["", 'profile = "demo"', '# Parameters\nprofile = "x"\nbuild = "y"\n', "profil = 3"]}
    )


def test_a_changed_number_in_a_committed_notebook_fails(tmp_path):
    source = (ROOT / "notebooks" / "demo.ipynb").read_text()
    for name, text in (("same", source), ("other", source.replace("0.0005", "0.0006"))):
        assert name == "same" or text != source
        (tmp_path / f"{name}.ipynb").write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--nbval",
        "--nbval-current-env",
        "--rootdir",
        tmp_path,
    ]
    told = {"capture_output": True, "text": True, "env": ENVIRONMENT, "cwd": tmp_path, "check": False}
    done = subprocess.run([*command, "same.ipynb", "other.ipynb"], **told)
    assert done.returncode == 1 and "Notebook cell execution failed" in done.stdout
    failed = re.findall(r"^FAILED (\w+)\.ipynb::", done.stdout, re.MULTILINE)
    assert set(failed) == {"other"}, done.stdout[-2000:]


def test_the_chapters_are_the_run_and_those_before_the_scores_run_again(tmp_path, monkeypatch):
    made, order, run = [], [], pipeline.Run(profiles.load("demo"), tmp_path / "build")
    steps = {
        "scores": pipeline.Step(
            (), (), lambda profile: ["one"], lambda run, provenance: run.path("one").write_text("1")
        )
    }
    names = ["01_early.ipynb", "02_scores.ipynb", "03_late.ipynb"]
    (tmp_path / "notebooks").mkdir()
    for name in names:
        (tmp_path / "notebooks" / name).write_text("")

    def chapter(source, target, folder, given):
        made.append(source.name)
        target.write_text("")
        if source.name == names[1]:
            pipeline.execute(steps, "scores", run, order.append)

    def execute(run, provenance):
        notebooks.run(
            tmp_path / "notebooks", {}, run.path("notebooks"), ready=lambda: run.path("one").is_file()
        )

    monkeypatch.setattr(notebooks, "_execute", chapter)
    monkeypatch.setattr(notebooks, "normalise", lambda path: None)
    monkeypatch.setattr(notebooks, "check_parameters", lambda path, given: None)
    left = [f"notebooks/{name}" for name in names]
    every = steps | {
        "notebooks": pipeline.Step(("scores",), (), lambda profile: left, execute, makes_needs=True)
    }
    pipeline.execute(every, "notebooks", run, order.append)
    assert made == [*names, names[0]]
    assert order[:2] == ["[2/2] notebooks ...", "[1/1] scores ..."], "the step is made by a chapter"
    made.clear()
    said = []
    pipeline.execute(every, "notebooks", run, said.append)
    assert made == [] and all(line.endswith(pipeline.REUSED) for line in said) and len(said) == 2


def test_an_open_run_without_a_recorded_one_says_so_in_one_line(capsys):
    run = chain.open("paper")
    line = (
        "no run of the profile paper is recorded yet: give a build folder, as in chain.open(profile, 'build')"
    )
    assert (
        repr(run) == line
        and repr(run.teach()) == f"teachers: {line}"
        and run.distil()._repr_html_() == f"<p>students: {line}</p>"
    )
    assert len(run.scores()) == 0 and capsys.readouterr().out == f"{line}\n"
    assert repr(chain.open("things").triplets()) == "triplets: nothing: this profile has no such step"


def test_a_profile_of_ones_own_is_not_taken_for_the_recorded_one_of_its_name(tmp_path):
    (tmp_path / "demo.yaml").write_text("inherits: demo\nseed: 3\n")
    assert not chain.open(str(tmp_path / "demo.yaml")).scored() and chain.open("demo").scored()


def test_a_summary_of_many_columns_fits_a_page():
    rows = [{"things": "a", "model": "b", "part": "all", "features": 512, "steps": 60, "note": "x", "empty": None}]
    shown = opened.Summary("teachers", rows)
    assert shown._repr_html_().count('<th scope="col">') == opened.COLUMNS and "steps 60, note x</td>" in shown._repr_html_()
    assert list(opened.Summary("few", [dict(list(rows[0].items())[:5])])._repr_html_().split('<th scope="col">'))[-1].startswith("steps")


def test_a_mistake_in_the_code_of_a_notebook_is_one_line_that_names_it(tmp_path):
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell('print("\n")')])
    nbformat.write(broken, tmp_path / "04_mine.ipynb")
    with pytest.raises(HumalignError, match=r"04_mine\.ipynb has a mistake in its code .*: mend that cell") as caught:
        keys.code(chapters.execute_notebooks, [tmp_path / "04_mine.ipynb"])
    assert "\n" not in str(caught.value)
