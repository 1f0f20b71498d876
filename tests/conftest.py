"""What all tests share."""

import os
import shutil
import subprocess

import pytest

# Figures are drawn to files; nothing opens a window.
os.environ.setdefault("MPLBACKEND", "Agg")


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
