"""The page of the book on collecting: its columns and its example."""

import re
from pathlib import Path

import numpy as np
from made_answers import Participant, rows_of, save

from humalign import cli
from humalign.collect.study import COLUMNS, Study
from humalign.data.images import FolderImages
from humalign.data.judgments import Choices
from humalign.teach.teacher import AffineTeacher


def test_the_page_of_the_book_names_every_column_and_its_example_runs(pictures, looks, tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "book" / "collect.md").read_text("utf-8")
    table = text.split("## The file")[1].split("## The answers")[0]
    assert [
        name
        for line in table.splitlines()
        for name in re.findall("`(\\w+)`", line.split("|")[1] if "|" in line else "")
    ] == COLUMNS
    monkeypatch.chdir(tmp_path)
    Path("pictures").symlink_to(pictures)
    make, read = re.findall(r"^\$ humalign (.*)$", text, re.MULTILINE)
    assert cli.main(make.split()) == 0
    study = Study.read(Path("page"))
    one = Participant(study.names, looks)
    files = [
        str(save(Path(f"answers/{name}.csv"), rows_of(study, one, name, seed)))
        for seed, name in enumerate("ab")
    ]
    assert cli.main([part for each in read.split() for part in (files if "*" in each else [each])]) == 0
    names = {"np": np, "AffineTeacher": AffineTeacher, "Choices": Choices, "features": looks}
    exec(text.split("```python")[1].split("```")[0], names)
    assert names["teacher"].transform(looks).shape == looks.shape
    order = text.split("Rows of `features` follow `")[1].split("`")[0]
    assert Path(order).read_text("utf-8").splitlines() == list(FolderImages("pictures").labels["file"])
