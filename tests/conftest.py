"""What all tests share."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import threadpoolctl
import torch

CI = Path(__file__).parents[1] / ".ci"

# Figures are drawn to files; nothing opens a window.
os.environ.setdefault("MPLBACKEND", "Agg")
if "PYTEST_XDIST_WORKER" in os.environ:  # for what tests start
    os.environ.setdefault("OMP_NUM_THREADS", "1")


class OneThread(threadpoolctl.threadpool_limits):
    """The limit of one thread, whatever is asked for."""

    def __init__(self, limits=None, user_api=None):
        super().__init__(1, user_api)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Two processes of tests share two cores: each computes on one, whatever a profile asks for; more would wait for each other."""
    with pytest.MonkeyPatch.context() as patch:
        if "PYTEST_XDIST_WORKER" in os.environ:
            set_threads = torch.set_num_threads
            set_threads(1)
            patch.setattr(torch, "set_num_threads", lambda threads: set_threads(1))
            patch.setattr(threadpoolctl, "threadpool_limits", OneThread)
        yield


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
