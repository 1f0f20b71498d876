"""What holds the project together: pins, versions, targets, and the direction of imports."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import humalign

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [Requirement(line) for line in (ROOT / "requirements.lock").read_text().splitlines() if line and not line.startswith("#")]
ALL_WANTED = [*PROJECT["dependencies"], *(wanted for extra in PROJECT["optional-dependencies"].values() for wanted in extra)]

# An import goes to the left only: each floor of the house stands on those before it.
FLOORS = "errors artefacts profiles data models teach triplets distil evaluation collect chain show options cli".split()
MODULES = sorted(path.relative_to(ROOT).with_suffix("") for path in (ROOT / "humalign").rglob("*.py"))


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def targets():
    return re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


# ---- pins and versions -----------------------------------------------------------------------------------------------

def test_the_lock_pins_one_exact_version_of_each_package():
    names = [normal(pin.name) for pin in PINS]
    assert len(names) == len(set(names))
    assert all([each.operator for each in pin.specifier] == ["=="] for pin in PINS)


@pytest.mark.parametrize("wanted", ALL_WANTED)
def test_the_lock_holds_what_the_package_asks_for(wanted):
    wanted = Requirement(wanted)
    (pin,) = [pin for pin in PINS if normal(pin.name) == normal(wanted.name)]
    (exact,) = pin.specifier
    assert wanted.specifier.contains(exact.version)


def test_conda_installs_the_same_lock():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert "python=3.11" in dependencies
    assert "-r requirements.lock" in dependencies[-1]["pip"]


def test_there_is_one_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert humalign.__version__ == importlib.metadata.version("humalign") == str(cited)


# ---- commands --------------------------------------------------------------------------------------------------------

def test_make_help_lists_every_target():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  make ([a-z]+) ", shown, re.MULTILINE) == targets()
    assert set(targets()) == {"help", "setup", "reproduce", "rehearse", "book", "test", "lint", "bench", "notebooks", "record", "clean"}


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "notebooks/10_reproduce.ipynb", ".ci/run"])
def test_documents_name_only_targets_that_exist(document):
    named = set(re.findall(r"(?:^|[`\"]|\$ )make ([a-z]+)", (ROOT / document).read_text(), re.MULTILINE))
    assert {"test", "reproduce"} <= named <= set(targets())


def test_the_profile_is_passed_on_only_where_it_is_given():
    def said(*arguments, **environment):
        # These tests may themselves run under make, whose variables would make the inner one talk.
        outer = ("PROFILE", "MAKE", "MFLAGS")
        clean = {key: value for key, value in os.environ.items() if not key.startswith(outer)} | environment
        return subprocess.run(["make", "-n", "-o", "setup", "reproduce", *arguments],
                              cwd=ROOT, env=clean, capture_output=True, text=True, check=True).stdout.strip()

    assert said() == ".venv/bin/humalign run all"
    assert said("PROFILE=things") == said(PROFILE="things") == ".venv/bin/humalign run all --profile things"


def test_the_workflow_runs_what_ci_runs():
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["check"]["steps"]
    assert any("bash .ci/run" in step.get("run", "") for step in steps)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_workflow_fetches_the_photographs_before_it_publishes_the_book():
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["check"]["steps"]
    (fetching,) = [place for place, step in enumerate(steps) if "humalign fetch" in step.get("run", "")]
    (named,) = re.findall(r"humalign fetch (\S+)", steps[fetching]["run"])
    (uploading,) = [place for place, step in enumerate(steps) if "upload-pages-artifact" in step.get("uses", "")]
    assert yaml.safe_load((ROOT / "humalign" / "data" / "registry" / "data.yaml").read_text())[named]["licence"] == "CC0"
    assert fetching < uploading and "make reproduce PROFILE=demo" in steps[fetching]["run"]


# ---- imports ---------------------------------------------------------------------------------------------------------

def imported(path):
    """Return the floors of the package that a file imports from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "humalign":
            yield from (alias.name for alias in node.names if alias.name in FLOORS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("humalign."):
            yield node.module.split(".")[1]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: ".".join(path.parts))
def test_an_import_goes_down_only(module):
    if module.parts[1:] == ("__init__",):
        return
    floor = module.parts[1]
    assert floor in FLOORS, f"give {floor} its place in FLOORS"
    above = [other for other in imported(ROOT / f"{module}.py") if FLOORS.index(other) > FLOORS.index(floor)]
    assert not above, f"{module} imports {above[0]}, which stands above {floor}"


SCORING = [module for module in MODULES if module.parts[1:3] == ("chain", "scoring")]
READS, FITS = {"locate", "read_csv"}, {"fit", "regressed", "tuned", "MixedEffectsTeacher", "AffineTeacher", "leave_three_out"}


@pytest.mark.parametrize("module", SCORING, ids=lambda path: path.name)
def test_no_evaluation_reads_a_data_set_itself_or_fits_a_teacher(module):
    tree = ast.parse((ROOT / f"{module}.py").read_text())
    data = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "humalign.data"]
    read = [alias.name for node in data for alias in node.names if alias.name.startswith("readers")]
    assert not read, f"{module} imports {read[0]}: read it in humalign/chain/registered.py"
    called = {node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
              for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not called & READS, f"{module} reads a file: do so in humalign/chain/registered.py"
    assert not called & FITS, f"{module} fits a teacher: do so in humalign/chain/further.py"


def test_every_module_imports_without_jupyter_and_without_open_clip():
    names = [".".join(path.parts).removesuffix(".__init__") for path in MODULES]
    program = f"""
import importlib, sys
for absent in ("IPython", "ipykernel", "jupyter_book", "myst_nb", "nbclient", "nbformat", "nbval", "open_clip", "papermill"):
    sys.modules[absent] = None
for name in {names!r}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
