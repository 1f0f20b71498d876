"""Files of answers that no page can have saved."""

import csv

import pytest
from made_answers import Participant, rows_of, save

from humalign.collect import reading
from humalign.collect.study import COLUMNS, Study
from humalign.errors import HumalignError


def refused(said, function, *arguments):
    with pytest.raises(HumalignError, match=said) as raised:
        function(*arguments)
    assert "\n" not in str(raised.value)


def column(name):
    return COLUMNS.index(name)


# ---- what cannot be ------------------------------------------------------------------------------


def edit(row, name, value):
    def change(rows):
        rows[row][column(name)] = value
        return rows

    return change


EDITS = {
    "another page": (edit(5, "study", "s0123"), "line 6: an answer of the page 's0123', not of 's"),
    "two people": (edit(5, "participant", "ben"), "line 6: participant 'ben' in the file of 'anna'"),
    "two sessions": (edit(5, "session", "xb"), "line 6: session 'xb' in the file of"),
    "a line taken out": (lambda rows: rows[:5] + rows[6:], "line 6: trial '6' where trial 5 should stand"),
    "unknown picture": (edit(5, "image1", "cow.png"), "line 6: the picture 'cow.png' is none of the page's"),
    "another picture": (edit(5, "image1", "round/ball/2.png"), "line 6: .* are not the pictures of t"),
    "unknown kind": (edit(5, "kind", "play"), "line 6: no 'play' trial"),
    "another level": (edit(5, "level", "uniform"), "line 6: no 'main' trial 't.*' at the level 'uniform'"),
    "impossible choice": (
        edit(5, "choice", "round/ball/2.png"),
        "line 6: choice 'round/ball/2.png' is not the picture in position",
    ),
    "impossible position": (edit(5, "position", "4"), "line 6: choice .* is not the picture in position '4'"),
    "half a miss": (edit(5, "input", "none"), "line 6: input 'none', choice .* do not go together"),
    "unknown input": (edit(5, "input", "voice"), "line 6: input 'voice'"),
    "negative time": (
        edit(5, "rt_ms", "-300"),
        "line 6: rt_ms '-300': expected whole milliseconds from 1 to 20000",
    ),
    "time beyond the end": (edit(5, "rt_ms", "20001"), "line 6: rt_ms '20001'"),
    "never shown": (edit(5, "shown", "0"), "line 6: shown '0'"),
    "a date": (edit(5, "answered", "31.1.2026"), "line 6: answered '31.1.2026'"),
    "cut short": (
        lambda rows: rows[:-3],
        "holds 1 repeat trials instead of 4: it was cut short, or saved before the end",
    ),
    "nothing": (lambda rows: rows[:1], "holds no answers"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_file_that_no_page_can_have_saved_is_one_line(small, looks, tmp_path, name):
    _, study = small
    change, said = EDITS[name]
    refused(
        said,
        reading.read,
        save(tmp_path / "a.csv", change(rows_of(study, Participant(study.names, looks)))),
        study,
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rt_ms", "time", "it was edited .column 'rt_ms' is missing."),
        ("image1,image2", "image2,image1", "columns in another order"),
        (",check", ",check,note", "column 'note' is unknown"),
    ],
)
def test_changed_columns_are_one_line(small, files, old, new, said):
    text = files[0].read_text("utf-8").split("\n", 1)
    files[0].write_text(text[0].replace(old, new) + "\n" + text[1], "utf-8")
    refused(said, reading.read, files[0], small[1])


def test_an_edited_answer_is_one_line_although_it_could_be(small, files):
    with open(files[0], encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    row = rows[20]
    other = int(row[column("position")]) % 3
    row[column("position")], row[column("choice")] = str(other + 1), row[column("image1") + other]
    with open(files[0], "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    refused("line 21: edited after it was saved", reading.read, files[0], small[1])


def test_damaged_and_missing_files_are_one_line(small, files, tmp_path):
    _, study = small
    refused("no file .*gone.csv: give the files", reading.read, tmp_path / "gone.csv", study)
    text = files[0].read_bytes()
    files[0].write_bytes(text[:-5])
    refused("the last line has no end: cut short", reading.read, files[0], study)
    files[0].write_bytes(text.replace("é".encode(), b"\xe9"))
    refused("cannot read", reading.read, files[0], study)
    files[0].write_bytes(b"")
    refused("is empty", reading.read, files[0], study)
    lines = text.split(b"\n")
    files[0].write_bytes(b"\n".join([*lines[:4], lines[4].rsplit(b",", 1)[0], *lines[5:]]))
    refused("line 5: 16 cells instead of 17", reading.read, files[0], study)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no study.json in"),
        ("{", "cannot read"),
        ("edited", "was edited after it was made"),
    ],
)
def test_a_page_without_its_file_is_one_line(small, tmp_path, content, said):
    _, study = small
    if content:
        (tmp_path / "study.json").write_text(
            study.text().replace("round/moon", "round/sun") if content == "edited" else content, "utf-8"
        )
    refused(said, Study.read, tmp_path)
    assert Study.read(small[0]) == study
