"""States of the disk that a build folder may be on: one line each, before any work, and the run goes on when it is mended."""

import contextlib
import os
import subprocess

import pytest

from humalign import cli
from humalign.chain import pipeline

ARGUMENTS = ["run", "pixels", "--profile", "demo", "--build"]


def sh(*command):
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def mount(tmp_path):
    """Mount a file system in memory with some options at ``place``."""
    place = tmp_path / "mounted"
    place.mkdir()

    def with_options(*options):
        if not sh("mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", place):
            pytest.skip("no file system may be mounted here")
        return place

    yield with_options
    with contextlib.suppress(OSError):
        sh("umount", "-l", place)


def link(path, to):
    path.symlink_to(to)
    return path


def held(path):
    path.mkdir()
    if os.geteuid() and not os.environ.get("CI"):
        path.chmod(0o500)
    elif not sh("chattr", "+i", path):
        pytest.skip("no folder can be closed here")
    return path


def inside_a_file(path):
    path.mkdir()
    (path / "demo").write_text("")
    return path


def stamps_are_a_file(path):
    (path / "demo").mkdir(parents=True)
    (path / "demo" / "stamps").write_text("")
    return path


def mend(path):
    """Take away what is in the way."""
    sh("chattr", "-i", path)
    for wrong in (path, path / "demo", path / "demo" / "stamps"):
        if wrong.is_symlink() or wrong.is_file():
            wrong.unlink()
    if path.is_dir():
        path.chmod(0o700)


STATES = {
    "a file in its place": (lambda path: path.write_text("") or path, "is a file"),
    "a file in place of the profile's folder": (inside_a_file, "is a file"),
    "a file in place of the stamps": (stamps_are_a_file, "is a file"),
    "a link to nothing": (lambda path: link(path, "gone"), "build is a link to gone, which is not there"),
    "a link to itself": (lambda path: link(path, path.name), "is a link to build, which is not there"),
    "a folder that may not be written": (held, "no permission to write"),
}


@pytest.fixture
def run(capsys):
    def made(build):
        status = cli.main([*ARGUMENTS, str(build)])
        said = capsys.readouterr()
        errors = [line for line in said.err.splitlines() if not line.startswith("[")]
        return status, said.out, errors

    return made


@pytest.mark.parametrize("state", STATES)
def test_a_build_folder_that_cannot_be_used_is_one_line_and_the_mended_one_is(run, monkeypatch, tmp_path, state):
    make, said = STATES[state]
    build = make(tmp_path / "build")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "_one", lambda *_: pytest.fail("a step begins"))
            status, out, (line,) = run(build)
        assert (status, out) == (2, "") and line.startswith("humalign: ") and said in line
    finally:
        mend(build)
    assert run(build)[0] == 0 and (build / "demo" / "stamps" / "pixels.json").is_file()


def test_a_name_that_is_too_long_is_one_line(run, tmp_path):
    status, out, (line,) = run(tmp_path / ("x" * 300))
    assert (status, out) == (2, "") and "File name too long" in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["ro"], "no permission to write"),
        (["size=4k"], "no space left for"),
        (["nr_inodes=2"], "no space left for"),
    ],
    ids=["read only", "full", "no more files"],
)
def test_a_file_system_that_takes_nothing_is_one_line_and_the_next_run_goes_on(run, mount, options, said):
    place = mount(*options)
    (place / "full").write_bytes(b"0" * 4096) if options == ["size=4k"] else None
    status, out, (line,) = run(place / "build")
    assert (status, out) == (2, "") and said in line and "\n" not in line
    assert sh("mount", "-o", "remount,rw,size=64m,nr_inodes=10000", place)
    assert run(place / "build")[0] == 0 and (place / "build" / "demo" / "stamps" / "pixels.json").is_file()


def test_a_table_on_a_full_disk_is_one_line(capsys, mount, tmp_path):
    from PIL import Image

    for number in range(8):
        folder = tmp_path / "pets" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (30 * number, 0, 0)).save(folder / f"{number}.png")
    place = mount("size=4k")
    (place / "full").write_bytes(b"0" * 4096)
    arguments = ["few-shot", str(tmp_path / "pets"), "efficientnet-lite0", "--shots", "1", "--draws", "2"]
    assert cli.main([*arguments, "--out", str(place / "scores.csv")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"humalign: no space left for {place}/scores.csv")
    assert [path.name for path in place.iterdir()] == ["full"]
