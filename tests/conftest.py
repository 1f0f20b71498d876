"""What all tests share."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CI = Path(__file__).parents[1] / ".ci"

# Figures are drawn to files; nothing opens a window.
os.environ.setdefault("MPLBACKEND", "Agg")
# Two processes of tests share two cores: each computes on one, whatever a profile asks for. More threads than cores wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1"}


@pytest.fixture(scope="session")
def ci():
    """Return a function that imports a program of the checks by its name."""

    def load(name):
        sys.path.insert(0, str(CI))
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(str(CI))

    return load


@pytest.fixture(scope="session")
def check_book(ci):
    """Import the check of the book, which opens a browser; skipped where there is none."""
    browsers = ("chromium", "chromium-browser", "google-chrome", "chrome")
    if not shutil.which("chromedriver") or not any(map(shutil.which, browsers)):
        pytest.skip("no chromium and chromedriver here")
    return ci("check_book")


@pytest.fixture
def disk(tmp_path):
    """A disk of its own, and a function that leaves so many bytes free on it; skipped where none may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "none", place], capture_output=True, check=False).returncode:
        pytest.skip("no disk may be mounted here")

    def leave(free):
        subprocess.run(["mount", "-o", f"remount,size={shutil.disk_usage(place).used + free}", place], check=True)

    yield place, leave
    subprocess.run(["umount", "-l", place], check=True)
