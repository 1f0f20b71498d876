"""Answers as people collect them: VICE's arrays, tables between commas, exports of jsPsych."""

import json

import numpy as np
import pytest
from one_line import refused

from humalign.data import readers_answers, readers_own

NAMES = ("ant.jpg", "bat.jpg", "cat.jpg", "dog.jpg")
IDS = ("ant", "bat1", "bat2", "cat", "hot-air_balloon", "owl")
HEADER = "image1,image2,image3,choice\n"


# ---- three indices a row -----------------------------------------------------------------------------------

ROWS = [[0, 1, 2], [3, 4, 5], [1, 4, 2]]


@pytest.mark.parametrize(
    "kind", ["int64", "int32", "int16", "int8", "uint8", "uint16", "uint64", ">i4", "float64", "float32"]
)
def test_an_array_of_answers_is_read_whatever_its_type(tmp_path, kind):
    np.save(tmp_path / "train_90.npy", np.array(ROWS, kind))
    path = tmp_path / "train_90.npy"
    for found in (readers_answers.triplets(path, 6), readers_answers.training(path, IDS)):
        assert found.triplets.tolist() == ROWS and found.triplets.dtype == np.int64
        assert found.counts.tolist() == [[1, 0, 0]] * 3
    np.save(tmp_path / "train_90.npy", np.asfortranarray(np.array(ROWS, kind)))
    assert readers_answers.triplets(tmp_path / "train_90.npy").triplets.tolist() == ROWS


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array(ROWS) + 0.5, r"row 1: \[0.5, 1.5, 2.5\] are not all whole numbers"),
        (np.array([[0, 1, np.nan]]), "row 1: .* are not all whole numbers"),
        (np.array([[0, 1, np.inf]]), "row 1: .* are not all whole numbers"),
        (np.array([[0, 1, 2**63]], "u8"), "row 1: .* are not all whole numbers"),
        (np.array(ROWS)[:, :2], r"holds int64 of shape \(3, 2\) instead of rows of 3 whole numbers"),
        (np.array(ROWS).ravel(), r"of shape \(9,\) instead of rows"),
        (np.array(ROWS, bool), "holds bool of shape"),
        (np.array(ROWS, "U1"), "holds <U1 of shape"),
        (np.array([[0, 1, 6]]), r"row 1: index 6 outside 0\.\.5"),
        (np.array([[0, 1, 2], [1, 2, 1]]), "row 2: the same object twice"),
        (np.empty((0, 3), int), "instead of rows of 3 whole numbers"),
    ],
)
def test_an_array_that_holds_no_answers_is_one_line(tmp_path, array, said):
    np.save(tmp_path / "train_90.npy", array)
    refused(said, readers_answers.triplets, tmp_path / "train_90.npy", 6)


@pytest.mark.parametrize("separator", [",", ";", ", ", " ", "\t", "  ", " , "])
@pytest.mark.parametrize("mark", ["", "\N{BYTE ORDER MARK}"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_three_indices_a_line_may_stand_between_any_signs(tmp_path, separator, mark, end):
    (tmp_path / "trainset.csv").write_bytes(
        (mark + "".join(separator.join(map(str, row)) + end for row in ROWS)).encode()
    )
    assert readers_answers.triplets(tmp_path / "trainset.csv", 6).triplets.tolist() == ROWS


# ---- the tables of THINGS between commas -------------------------------------------------------------------

TABLE = "image1\timage2\timage3\tchoice\tnoise_ceiling\tsubject_id\n1\t2\t3\t3\t0\t7\n4\t6\t5\t1\t1\t007\n3\t2\t1\t2\t2\t07\n"


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_is_the_same_between_commas_and_people_stay_apart(tmp_path, separator, quote):
    if quote and separator == "\t":
        pytest.skip("tables between tabs have no quotes")
    lines = (
        separator.join(f"{quote}{cell}{quote}" for cell in line.split("\t")) for line in TABLE.splitlines()
    )
    (tmp_path / "answers.csv").write_text("".join(f"{line}\n" for line in lines))
    found = readers_answers.answers(tmp_path / "answers.csv", IDS)
    assert found.triplets.tolist() == [[0, 1, 2], [3, 5, 4], [2, 1, 0]] and found.odd.tolist() == [2, 0, 1]
    assert found.person.tolist() == [0, 1, 2] and found.part.tolist() == [0, 1, 2], (
        "7, 007 and 07 are three people"
    )


@pytest.mark.parametrize(
    "people",
    [["7", "007", "07", "7.0", "7 "], ["1e3", "1000", "1_000"], ["True", "1", "true"], ["NA", "nan", "None"]],
)
def test_identifiers_are_text(tmp_path, people):
    rows = "".join(f"1\t2\t3\t1\t{who}\n" for who in people)
    (tmp_path / "a.tsv").write_text("image1\timage2\timage3\tchoice\tsubject_id\n" + rows)
    (tmp_path / "b.csv").write_text(
        ("image1\timage2\timage3\tchoice\tsubject_id\n" + rows).replace("\t", ",")
    )
    apart = list(dict.fromkeys(who.strip() for who in people))
    for name in ("a.tsv", "b.csv"):
        assert readers_answers.answers(tmp_path / name, ("a", "b", "c")).person.tolist() == [
            apart.index(who.strip()) for who in people
        ]


# ---- tables of one's own -----------------------------------------------------------------------------------


def export(
    path, rows, header=("rt", "trial_type", "image1", "image2", "image3", "response", "subject"), end="\r\n"
):
    """Write a table as jsPsych does: every cell quoted, quotes doubled."""
    lines = [header, *rows]
    path.write_text(
        "".join(
            ",".join(f'"{str(cell).replace(chr(34), chr(34) * 2)}"' for cell in line) + end for line in lines
        ),
        newline="",
    )
    return path


SHOWN = [
    (None, "html-button-response", "", "", "", "0", "007"),
    (812, "image-button-response", "img/cat.jpg", "img/ant.jpg", "img/dog.jpg", "2", "007"),
    (900, "image-button-response", "img/bat.jpg", "img/cat.jpg", "img/ant.jpg", "0", "7"),
    (None, "image-button-response", "img/bat.jpg", "img/cat.jpg", "img/ant.jpg", "null", "7"),
]


def test_an_export_of_jspsych_is_read_by_its_columns(tmp_path):
    path = export(tmp_path / "data.csv", SHOWN)
    found = readers_own.table(path, NAMES, odd="response")
    assert found.triplets.tolist() == [[2, 0, 3], [1, 2, 0]] and found.odd.tolist() == [2, 0], (
        "what has no pictures or answer is none"
    )
    choices = found.choices()
    assert choices.triplets.tolist() == [[2, 0, 3], [1, 2, 0]]
    assert choices.counts.tolist() == [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("write", [json.dumps, ",".join, lambda shown: f"[{', '.join(shown)}]", "; ".join])
def test_the_pictures_of_a_trial_may_stand_in_one_cell(tmp_path, write):
    shown = ["img/cat.jpg", "img/ant.jpg", "img/dog.jpg"]
    told, pause = ("", "instructions\nof two lines", "0"), ("[]", "pause", "x")
    rows = [told, (write(shown), "choose", "img/ant.jpg"), pause]
    path = export(tmp_path / "data.csv", rows, ("stimulus", "prompt", "response"))
    if ";" in write(shown):
        refused("does not list three pictures", readers_own.table, path, NAMES, ("stimulus",), "response")
        return
    found = readers_own.table(path, NAMES, ("stimulus",), "response")
    assert found.triplets.tolist() == [[2, 0, 3]] and found.odd.tolist() == [1]


@pytest.mark.parametrize(
    "cells",
    [
        ("cat", "ant", "dog", "ant"),
        ("cat.jpg", "ant.jpg", "dog.jpg", "ant.jpg"),
        ("2", "0", "3", "1"),
        ("2", "0", "3", "0"),
        ("C:\\img\\cat.jpg", "img/ant.jpg", "/srv/dog.jpg", "ant"),
        (" cat ", "ant", "dog", " ant "),
        ("http://x.y/img/cat.jpg", "ant", "dog", "ant"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_pictures_and_the_odd_one_have_names_or_numbers(tmp_path, cells, separator):
    path = tmp_path / "answers.csv"
    path.write_text(separator.join(("a", "b", "c", "odd")) + "\n" + separator.join(cells) + "\n")
    # That 1 is a place and 0 a picture, nothing in one line tells.
    options = {"first": 0} if cells[3] in "01" else {}
    found = readers_own.table(path, NAMES, shown=("a", "b", "c"), odd="odd", **options)
    assert found.triplets.tolist() == [[2, 0, 3]] and found.odd.tolist() == [0 if cells[3] == "0" else 1]


def test_places_from_one_are_told_by_a_three_and_numbers_from_one_when_it_is_said(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text(HEADER + "cat,ant,dog,3\nbat,cat,ant,1\n")
    assert readers_own.table(path, NAMES).odd.tolist() == [2, 0]
    path.write_text(HEADER + "3,1,4,3\n2,3,1,3\n")
    refused("name or its place|'4' is none of the 4 pictures", readers_own.table, path, NAMES)
    found = readers_own.table(path, NAMES, first=1, numbered_from=1)
    assert found.triplets.tolist() == [[2, 0, 3], [1, 2, 0]] and found.odd.tolist() == [2, 2]


def test_accents_and_bytes_of_an_export_do_not_matter(tmp_path):
    content = f"\N{BYTE ORDER MARK}{HEADER}zoe\N{COMBINING DIAERESIS},ant,bat,ant\n"
    (tmp_path / "answers.csv").write_text(content, "utf-8")
    found = readers_own.table(tmp_path / "answers.csv", ("ant.jpg", "bat.jpg", "zoë.jpg"))
    assert found.triplets.tolist() == [[2, 0, 1]]


FAULTS = [
    ("cat,ant,dog,2\nbat,cat,ant,1", {}, "answers of 1 to 2 may count from 0 or from 1: give first=0 or"),
    ("cat,ant,dog,0\nbat,cat,ant,3", {}, "line 3: the odd one in place 3, not in one of 0 to 2"),
    ("cat,ant,dog,0", {"first": 1}, "line 2: the odd one in place 0, not in one of 1 to 3"),
    ("cat,ant,dog,bat", {}, "line 2: 'bat' is the odd one, and is none of the three shown"),
    ("cat,ant,cow,ant", {}, "line 2: 'cow' is none of the 4 pictures, nor the number of one"),
    ("cat,ant,ant.jpg,cat", {}, r"line 2: 'cat, ant, ant\.jpg' are not three different pictures"),
    ("cat,ant,,cat", {}, "line 2: '' is none of the 4 pictures"),
    ("1,2,3,ant", {}, "pictures from number 1 on: give numbered_from=0 or numbered_from=1|is the odd one"),
    ("1,2,3,0", {}, "pictures from number 1 on: give numbered_from=0 or numbered_from=1, or their names"),
    ("cat,ant,dog", {}, "line 2: 3 columns instead of 4: cut short"),
    (",,,", {}, "no line with pictures in image1, image2, image3 and an answer in 'choice'"),
    ("cat,ant,dog,null", {}, "no line with pictures in image1"),
]


@pytest.mark.parametrize(("rows", "options", "said"), FAULTS, ids=map(str, range(len(FAULTS))))
def test_rows_that_cannot_be_are_one_line(tmp_path, rows, options, said):
    (tmp_path / "answers.csv").write_text(f"{HEADER}{rows}\n")
    refused(said, readers_own.table, tmp_path / "answers.csv", NAMES, **options)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("image1,image2,choice\ncat,ant,1\n", "line 1: 0 columns 'image3': did you mean 'image"),
        ("image1,image2,image3,image3,choice\ncat,ant,dog,dog,1\n", "line 1: 2 columns 'image3'"),
        (f"{HEADER}cat,ant,dog,ant", "line 2: the last line has no end: cut short"),
        ("", "is empty"),
    ],
)
def test_a_table_that_cannot_be_is_one_line(tmp_path, content, said):
    (tmp_path / "answers.csv").write_text(content)
    refused(said, readers_own.table, tmp_path / "answers.csv", NAMES)


def test_a_name_or_number_that_could_be_two_pictures_is_one_line(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text(HEADER + "a,b/1,b/2,a\n")
    names = ("x/a.jpg", "y/a.jpg", "b/1.jpg", "b/2.jpg")
    refused("line 2: 'a' may be several of the pictures: write the whole", readers_own.table, path, names)
    path.write_text(HEADER + "2,0,1,2\n")
    names = ("0.jpg", "1.jpg", "10.jpg", "2.jpg")
    refused("line 2: '2' may be a picture's name or its place", readers_own.table, path, names, first=0)
