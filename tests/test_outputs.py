"""Files and folders that commands write to: what cannot be written is one line before anything is computed."""

import os
import re
import shutil

import pytest

from humalign import cli
from humalign.artefacts import check_file, check_folder
from humalign.chain import aligning, encoders
from humalign.collect import page, study
from humalign.errors import HumalignError
from humalign.models import released


def begun(*_, **__):
    pytest.fail("work is begun")


@pytest.fixture
def place(monkeypatch, tmp_path):
    """A folder in which every kind of place stands; whatever computes, fails."""
    for where, name in (
        (encoders, "score"), (encoders, "classify"), (aligning, "take_away"), (released, "convert"), (page, "write"),
        (study, "read_person"), (study, "find_page"), (aligning, "settings"), (aligning.backbones, "build"),
    ):  # fmt: skip
        monkeypatch.setattr(where, name, begun)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "listed.names.txt").mkdir()
    (tmp_path / "pictures").mkdir()
    for name in ("in.npz", "answers.csv", "file", "kept.csv"):
        (tmp_path / name).write_text("kept")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "kept.csv").chmod(0o400)
    return tmp_path


SCORE, COLLECT = ("score", "in.npz", "--out"), ("collect", "--read", "answers.csv", "--out")
FEW = ("few-shot", "pictures", "timm:resnet18", "--out")
ALIGN = "align --judged pictures --answers answers.csv --pool pictures --teacher a --student b".split()
FILES = [
    ("folder.csv", "folder.csv is a folder: name a file, such as folder.csv/scores.csv"),
    ("pipe.csv", "pipe.csv is a device or a pipe: name a file"),
    ("file/deep/x.csv", "cannot write file/deep/x.csv: .*file is a file where a folder should be; name another place"),
    ("gone/x.csv", "gone is a link to nothing where a folder should be"),
    ("x" * 252 + ".csv", "File name too long"),
]
FOLDERS = [("file", "file is a file: name a folder"), ("gone", "gone is a link to nothing: name"), ("file/x", "is a file where a folder")]
CASES = [
    *((*command, name, said) for command in (SCORE, FEW, COLLECT) for name, said in FILES),
    (*SCORE, "in.npz", "in.npz is read and would be written over: name another file"),
    (*COLLECT, "answers.csv", "answers.csv is read and would be written over"),
    (*COLLECT, "listed.csv", "listed.names.txt is a folder"),
    (*COLLECT, "a.xlsx", ".csv, .npz or .txt: choose one"),
    (*ALIGN, "--write-profile", "folder.yaml", "out", "folder.yaml is a folder"),
    (*ALIGN, "--write-profile", "answers.csv", "out", "name a .yaml file"),
    *(("export", name, said) for name, said in FOLDERS),
    *(("convert", "in.npz", name, said) for name, said in FOLDERS),
    *(("collect", "pictures", name, said) for name, said in FOLDERS),
    *((*ALIGN, name, said) for name, said in FOLDERS),
    ("collect", "pictures", "pictures/page", "pictures/page lies in pictures: name a place beside it"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(case[:-1])[:60])
def test_what_cannot_be_written_is_one_line_before_anything_is_computed(place, capsys, case):
    *arguments, said = case
    before = sorted(place.rglob("*"))
    assert cli.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(said, line), line
    assert sorted(place.rglob("*")) == before and (place / "answers.csv").read_text() == "kept"


@pytest.mark.skipif(not os.geteuid(), reason="root may write everywhere")
def test_a_file_or_folder_that_is_protected_is_one_line(place):
    (place / "pictures").chmod(0o500)
    for check in (lambda: check_file(place / "kept.csv"), lambda: check_file(place / "pictures" / "x.csv"),
                  lambda: check_folder(place / "pictures" / "x")):  # fmt: skip
        with pytest.raises(HumalignError, match="no permission to write"):
            check()


def test_a_full_disk_is_one_line(place, monkeypatch):
    full = shutil._ntuple_diskusage(1, 1, 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    for check in (check_file, check_folder):
        with pytest.raises(HumalignError, match="no space left for"):
            check(place / "deep" / "below.csv")


def test_what_can_be_written_leaves_nothing(place):
    before = sorted(place.rglob("*"))
    check_file(None)
    check_file(place / "new" / "x.csv", place / "in.npz")
    check_file(place / "answers.csv", place / "in.npz")
    check_folder(place / "new")
    check_folder(place / "pictures")
    assert sorted(place.rglob("*")) == before
