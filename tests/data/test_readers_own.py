"""Answers as people collect them: VICE's arrays, tables between commas, exports of jsPsych; each with the
right value.
"""

import json

import numpy as np
import pytest

from humalign.data import readers_answers, readers_own
from humalign.errors import HumalignError

NAMES = ("ant.jpg", "bat.jpg", "cat.jpg", "dog.jpg")
IDS = ("ant", "bat1", "bat2", "cat", "hot-air_balloon", "owl")


def refused(said, call, *arguments, **options):
    with pytest.raises(HumalignError, match=said) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)


# ---- three indices a row -----------------------------------------------------------------------------------

ROWS = [[0, 1, 2], [3, 4, 5], [1, 4, 2]]


@pytest.mark.parametrize(
    "kind", ["int64", "int32", "int16", "int8", "uint8", "uint16", "uint64", ">i4", "float64", "float32"]
)
def test_an_array_of_answers_is_read_whatever_its_type(tmp_path, kind):
    np.save(tmp_path / "train_90.npy", np.array(ROWS, kind))
    for read in (
        lambda path: readers_answers.triplets(path, 6),
        lambda path: readers_answers.training(path, IDS),
    ):
        found = read(tmp_path / "train_90.npy")
        assert (
            found.triplets.tolist() == ROWS
            and found.triplets.dtype == np.int64
            and found.counts.tolist() == [[1, 0, 0]] * 3
        )
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
        own = readers_own.table(
            tmp_path / name,
            ("a.jpg", "b.jpg", "c.jpg", "d.jpg"),
            person="subject_id",
            first=1,
            numbered_from=0,
        )
        assert own.person.tolist() == [apart.index(who.strip()) for who in people]


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
    found = readers_own.table(path, NAMES, odd="response", person="subject")
    assert found.triplets.tolist() == [[2, 0, 3], [1, 2, 0]] and found.odd.tolist() == [2, 0], (
        "what has no pictures or answer is none"
    )
    assert found.person.tolist() == [0, 1]
    choices = found.choices()
    assert choices.triplets.tolist() == [[2, 0, 3], [1, 2, 0]] and choices.counts.tolist() == [
        [1, 0, 0],
        [0, 0, 1],
    ]
    assert readers_own.table(path, NAMES, odd="response").person is None


@pytest.mark.parametrize(
    "write",
    [
        json.dumps,
        lambda shown: ",".join(shown),
        lambda shown: f"[{', '.join(shown)}]",
        lambda shown: "; ".join(shown),
    ],
)
def test_the_pictures_of_a_trial_may_stand_in_one_cell(tmp_path, write):
    shown = ["img/cat.jpg", "img/ant.jpg", "img/dog.jpg"]
    rows = [
        ("", "instructions\nof two lines", "0"),
        (write(shown), "choose", "img/ant.jpg"),
        ("[]", "pause", "x"),
    ]
    path = export(tmp_path / "data.csv", rows, ("stimulus", "prompt", "response"))
    if ";" in write(shown):
        refused(
            "does not list three pictures", readers_own.table, path, NAMES, shown="stimulus", odd="response"
        )
        return
    found = readers_own.table(path, NAMES, shown="stimulus", odd="response")
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
    path.write_text("image1,image2,image3,choice\ncat,ant,dog,3\nbat,cat,ant,1\n")
    assert readers_own.table(path, NAMES).odd.tolist() == [2, 0]
    path.write_text("image1,image2,image3,choice\n3,1,4,3\n2,3,1,3\n")
    refused(
        "may be a picture's name or its place|'4' is none of the 4 pictures", readers_own.table, path, NAMES
    )
    found = readers_own.table(path, NAMES, first=1, numbered_from=1)
    assert found.triplets.tolist() == [[2, 0, 3], [1, 2, 0]] and found.odd.tolist() == [2, 2]


def test_accents_and_bytes_of_an_export_do_not_matter(tmp_path):
    (tmp_path / "answers.csv").write_text(
        "\N{BYTE ORDER MARK}image1,image2,image3,choice\nzoe\N{COMBINING DIAERESIS},ant,bat,ant\n", "utf-8"
    )
    assert readers_own.table(
        tmp_path / "answers.csv", ("ant.jpg", "bat.jpg", "zoë.jpg")
    ).triplets.tolist() == [[2, 0, 1]]


FAULTS = [
    (
        "image1,image2,image3,choice\ncat,ant,dog,2\nbat,cat,ant,1\n",
        {},
        "answers of 1 to 2 may count from 0 or from 1: give first=0 or first=1",
    ),
    (
        "image1,image2,image3,choice\ncat,ant,dog,0\nbat,cat,ant,3\n",
        {},
        "line 3: the odd one in place 3, not in one of 0 to 2",
    ),
    (
        "image1,image2,image3,choice\ncat,ant,dog,0\n",
        {"first": 1},
        "line 2: the odd one in place 0, not in one of 1 to 3",
    ),
    (
        "image1,image2,image3,choice\ncat,ant,dog,bat\n",
        {},
        "line 2: 'bat' is the odd one, and is none of the three shown",
    ),
    (
        "image1,image2,image3,choice\ncat,ant,cow,ant\n",
        {},
        "line 2: 'cow' is none of the 4 pictures, nor the number of one",
    ),
    (
        "image1,image2,image3,choice\ncat,ant,ant.jpg,cat\n",
        {},
        r"line 2: 'cat, ant, ant\.jpg' are not three different pictures",
    ),
    ("image1,image2,image3,choice\ncat,ant,,cat\n", {}, "line 2: '' is none of the 4 pictures"),
    (
        "image1,image2,image3,choice\n1,2,3,ant\n",
        {},
        "pictures from number 1 on: give numbered_from=0 or numbered_from=1|is the odd one",
    ),
    (
        "image1,image2,image3,choice\n1,2,3,0\n",
        {},
        "pictures from number 1 on: give numbered_from=0 or numbered_from=1, or their names",
    ),
    ("image1,image2,choice\ncat,ant,1\n", {}, "line 1: 0 columns 'image3': did you mean 'image"),
    ("image1,image2,image3,image3,choice\ncat,ant,dog,dog,1\n", {}, "line 1: 2 columns 'image3'"),
    ("image1,image2,image3,choice\ncat,ant,dog\n", {}, "line 2: 3 columns instead of 4: cut short"),
    (
        "image1,image2,image3,choice\n,,,\n",
        {},
        "no line with pictures in image1, image2, image3 and an answer in 'choice'",
    ),
    ("image1,image2,image3,choice\ncat,ant,dog,null\n", {}, "no line with pictures in image1"),
    (
        "image1,image2,image3,choice,who\ncat,ant,dog,ant,\n",
        {"person": "who"},
        "line 2: nobody in 'who': write who answered, or leave",
    ),
    ("image1,image2,image3,choice\ncat,ant,dog,ant", {}, "line 2: the last line has no end: cut short"),
    ("", {}, "is empty"),
]


@pytest.mark.parametrize(("content", "options", "said"), FAULTS, ids=map(str, range(len(FAULTS))))
def test_a_table_that_cannot_be_is_one_line(tmp_path, content, options, said):
    (tmp_path / "answers.csv").write_text(content)
    refused(said, readers_own.table, tmp_path / "answers.csv", NAMES, **options)


def test_a_name_or_number_that_could_be_two_pictures_is_one_line(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text("image1,image2,image3,choice\na,b/1,b/2,a\n")
    refused(
        "line 2: 'a' may be several of the pictures: write the whole path",
        readers_own.table,
        path,
        ("x/a.jpg", "y/a.jpg", "b/1.jpg", "b/2.jpg"),
    )
    path.write_text("image1,image2,image3,choice\n2,0,1,2\n")
    refused(
        "line 2: '2' may be a picture's name or its place",
        readers_own.table,
        path,
        ("0.jpg", "1.jpg", "10.jpg", "2.jpg"),
        first=0,
    )


# ---- siblings of what people reported ----------------------------------------------------------------------

SIX = tuple(f"{name}.jpg" for name in ("ant", "bee", "cat", "dog", "eel", "fox"))
HEADER = "image1,image2,image3,choice\n"


def reads(tmp_path, content, names=SIX, suffix=".csv", **options):
    path = tmp_path / f"answers{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = readers_own.read(path, names, **options)
    return found.triplets.tolist(), (2 - found.counts.argmax(1)).tolist()


@pytest.mark.parametrize("suffix", [".txt", ".npy"])
def test_three_numbers_a_line_count_from_where_it_is_said(tmp_path, suffix):
    rows = [[1, 2, 3], [4, 5, 1]]
    np.save(tmp_path / "rows.npy", rows)
    content = (tmp_path / "rows.npy").read_bytes() if suffix == ".npy" else "1 2 3\n4 5 1\n"
    assert reads(tmp_path, content, suffix=suffix, numbered_from=1) == ([[0, 1, 2], [3, 4, 0]], [2, 2])
    assert reads(tmp_path, content, suffix=suffix, numbered_from=0) == (rows, [2, 2])
    refused("pictures from number 1 on: give numbered_from=0 or numbered_from=1", reads, tmp_path, content, suffix=suffix)
    refused("numbers from 1 to 5, not from 1 to 4", reads, tmp_path, content, SIX[:4], suffix, numbered_from=1)


def test_three_numbers_a_line_with_the_first_picture_count_from_it(tmp_path):
    assert reads(tmp_path, "0 2 3\n4 5 1\n") == ([[0, 2, 3], [4, 5, 1]], [2, 2])
    refused("numbers from 0 to 5, not from 1 to 6", reads, tmp_path, "0 2 3\n4 5 1\n", numbered_from=1)


@pytest.mark.parametrize(
    "names", [("1.jpg", "2.jpg", "10.jpg", "20.jpg"), ("b/1.jpg", "a/1.jpg", "a 2/x.jpg", "a/z.jpg"), ("Z.png", "a.png", "B.png", "_.png")]
)
def test_five_columns_name_pictures_by_their_places_in_whatever_order_these_stand(tmp_path, names):
    """The order of the THINGS objects is none of one's own pictures."""
    assert reads(tmp_path, "1,2,3,3,7\n4,3,1,1,8\n", names) == ([[0, 1, 2], [3, 2, 0]], [2, 0])
    refused("number pictures from 1: write a header", reads, tmp_path, "1,2,3,3,7\n", names, numbered_from=0)


def test_whole_numbers_may_be_written_as_floats(tmp_path):
    """So pandas writes a column in which others are missing."""
    cells = HEADER + "0.0,1.0,2.0,0.0\n3.0,4.0,5.0,2.0\n0,1,3,\n"
    assert reads(tmp_path, cells) == ([[0, 1, 2], [3, 4, 5]], [0, 2])
    assert reads(tmp_path, HEADER + "ant,bee,cat,1.0\nbee,ant,cat,3.00\n") == ([[0, 1, 2], [1, 0, 2]], [0, 2])
    assert reads(tmp_path, HEADER + "a.0,b,c,b\n", ("a.0.jpg", "b.jpg", "c.jpg")) == ([[0, 1, 2]], [1])
    refused("'0.5' is none of the 6", reads, tmp_path, HEADER + "0.5,1,2,1\n")


@pytest.mark.parametrize("nothing", ["N/A", "<NA>", "#N/A", "NaN"])
def test_more_words_for_no_answer(tmp_path, nothing):
    assert reads(tmp_path, HEADER + f"ant,bee,cat,bee\nant,bee,dog,{nothing}\n") == ([[0, 1, 2]], [1])


def test_a_number_with_zeros_in_front_is_the_picture_of_that_number(tmp_path):
    """1.jpg, 10.jpg, 11.jpg, 2.jpg: 002 is not the third."""
    names = tuple(sorted(f"{number}.jpg" for number in range(12)))
    refused("'002' may be a picture's name or its place", reads, tmp_path, HEADER + "000,001,002,002\n", names)
    assert reads(tmp_path, HEADER + "000,001,003,001\n", ("0.jpg", "1.jpg", "2.jpg", "3.jpg"), first=0)[0] == [[0, 1, 3]]


@pytest.mark.parametrize(
    "content",
    [
        'image1\timage2\timage3\tchoice\nant\tbee\tcat\tbee\n', '"image1"\t"image2"\t"image3"\t"choice"\n"ant"\t"bee"\t"cat"\t"bee"\n',
        'image1;image2;image3;choice;"rt, s"\nant;bee;cat;bee;0,5\n', "image1\timage2\timage3\tchoice\tx,y;z\nant\tbee\tcat\tbee\t1\n",
        f"image1,image2,image3,choice,x\nant,bee,cat,bee,{'y' * 200_000}\n", "image1,image2,image3,choice\rant,bee,cat,bee\r",
    ],
)  # fmt: skip
def test_a_table_as_other_programs_write_it(tmp_path, content):
    assert reads(tmp_path, content) == ([[0, 1, 2]], [1])


def test_a_cell_may_list_pictures_as_python_writes_them(tmp_path):
    cells = "images,choice\n\"['ant.jpg', 'bee.jpg', 'cat.jpg']\",bee.jpg\n\"('bee', 'ant', 'fox')\",fox\n"
    assert reads(tmp_path, cells, shown=["images"]) == ([[0, 1, 2], [1, 0, 5]], [1, 2])


def test_a_quote_that_is_not_closed_swallows_no_answers(tmp_path):
    content = 'image1,image2,image3,choice,x\nant,bee,cat,bee,"abc\nant,bee,dog,bee,d\nant,bee,eel,bee,d\n'
    refused("line 2: a quote that is not closed", reads, tmp_path, content)


def test_people_whose_names_are_not_in_utf_8_stay_apart(tmp_path):
    rows = "".join(f"ant,bee,cat,bee,Zo{sign}\n" for sign in "\xeb\xe9\xeb")
    (tmp_path / "a.csv").write_bytes(("image1,image2,image3,choice,who\n" + rows).encode("latin-1"))
    assert readers_own.table(tmp_path / "a.csv", SIX, person="who").person.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("content", "suffix", "said"),
    [
        (b"PK\x03\x04rest", ".xlsx", "is a spreadsheet of Excel: save it as CSV"),
        (b"\xd0\xcf\x11\xe0" + bytes(99), ".xls", "spreadsheet of Excel"),
        (b"PK\x03\x04rest", ".npz", "is no text: give a .npy of numbers"), (b"PK\x03\x04rest", ".pt", "is no text: give a .npy"),
        (b"PK\x03\x04rest", ".csv", "is an archive, not text: unpack it"),
        (b"PAR1" + bytes(9), ".csv", "is a table of Parquet: save it as text"),
        (b"MATLAB 5.0 MAT-file", ".mat", "is a file of MATLAB"), (b"SQLite format 3\0", ".db", "is a database of SQLite"),
        (b"a\0\1b", ".csv", "is no text: save it as text in UTF-8"), 
        (("a,b\n" * 9).encode("utf-16"), ".csv", "UTF-16: save it in UTF-8"), (("a,b\n" * 9).encode("utf-16-le"), ".csv", "UTF-16"),
        (b'[{"image1": "ant"}]', ".json", "is JSON: save its trials as CSV"), (b'{"image1": "ant"}\n', ".jsonl", "is JSON"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_of_text_is_called_what_it_is(tmp_path, content, suffix, said):
    refused(said, reads, tmp_path, content, suffix=suffix)


@pytest.mark.parametrize(("setting", "value"), [("first", 5), ("first", True), ("numbered_from", 2), ("numbered_from", -1)])
def test_where_numbers_start_is_0_or_1(tmp_path, setting, value):
    refused(f"{setting} = {value}: give 0 or 1", reads, tmp_path, HEADER + "ant,bee,cat,1\n", **{setting: value})


def test_a_file_of_ones_own_that_is_not_there_is_not_blamed_on_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    refused(f"no none.csv in {tmp_path}: set HUMALIGN_DATA .*, or mend the path of a file of your own", readers_own.read, "~/none.csv", SIX)
