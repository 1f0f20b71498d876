"""Reading, checking and pooling the files that participants saved, and files that no page can have saved."""

import csv
import re

import numpy as np
import pytest
from made_answers import Participant, rows_of, save
from one_line import refused

from humalign import cli
from humalign.collect import page, pooling
from humalign.collect.study import COLUMNS, Study, read_person
from humalign.data import readers_own
from humalign.data.images import FolderImages
from humalign.data.judgments import Choices, random_triplets
from humalign.evaluation import levels
from humalign.teach import vice
from humalign.teach.teacher import AffineTeacher


def column(name):
    return COLUMNS.index(name)


def pooled(files, study):
    return pooling.pool([read_person(path, study) for path in files], study)


# ---- what is read --------------------------------------------------------------------------------


def test_answers_are_read_pooled_and_taken_by_every_fit(small, files, looks, pictures, tmp_path):
    _, study = small
    found = pooled(files, study)
    assert [one.participant for one in found.people] == ["anna", "ben", "007"] and not found.left_out
    assert study.names == tuple(FolderImages(pictures).labels["file"])
    choices = found.choices()
    assert len(choices) == 3 * 48
    # Each odd one is the one that the first file names.
    with open(files[0], encoding="utf-8", newline="") as file:
        written = [row for row in csv.DictReader(file) if row["kind"] == "main"]
    answers = found.answers()
    for row, line in enumerate(written):
        assert [study.names[each] for each in answers.triplets[row]] == [line[f"image{n}"] for n in (1, 2, 3)]
        assert study.names[answers.triplets[row, answers.odd[row]]] == line["choice"]
    AffineTeacher().fit(looks, choices)
    assert len(found.level_answers().at("local-fine")) == 48
    assert levels.asked(found.level_answers()).counts.sum() == 3 * 48


def test_vice_finds_the_rule_in_pooled_answers(pictures, looks, tmp_path):
    settings = page.Settings(triplets=240, catches=2, practice=0, size=64)
    study = page.write(pictures, tmp_path / "page", settings)
    one = Participant(study.names, looks, slip=0.1)
    files = [save(tmp_path / f"{n}.csv", rows_of(study, one, f"p{n}", n)) for n in range(10)]
    choices = pooled(files, study).choices()
    posterior = vice.fit(choices, len(study.names), dim=8, steps=1000, batch=512, seed=0)
    asked = random_triplets(range(len(study.names)), 3000, np.random.default_rng(1))
    sure = Participant(study.names, looks)
    odd = np.array([sure.odd([study.names[each] for each in row]) for row in asked])
    assert (2 - posterior.predict(asked).argmax(1) == odd).mean() > 0.6


@pytest.mark.parametrize("ending", [".csv", ".npz", ".txt"])
def test_what_is_written_reads_as_the_same_choices(small, files, pictures, tmp_path, ending):
    _, study = small
    found = pooled(files, study)
    out = tmp_path / "out" / f"answers{ending}"
    listed = pooling.write(found, out)
    assert listed.read_text("utf-8").splitlines() == list(study.names)
    assert list(FolderImages(pictures, order=listed).labels["file"]) == list(study.names)
    choices = found.choices()
    if ending == ".csv":
        again = readers_own.read(out, study.names)
    elif ending == ".npz":
        held = np.load(out)
        again = Choices(held["triplets"], held["counts"])
        assert tuple(held["names"]) == study.names
    else:
        rows = np.loadtxt(out, dtype=int)
        again = Choices(rows, np.tile([1, 0, 0], (len(rows), 1)))
        kept = np.array([(0, 1), (0, 2), (1, 2)])[choices.counts.argmax(1)]
        pairs = np.sort(np.take_along_axis(choices.triplets, kept, axis=1), axis=1)
        assert np.array_equal(np.sort(again.triplets[:, :2], axis=1), pairs)
        return
    assert np.array_equal(again.triplets, choices.triplets) and np.array_equal(again.counts, choices.counts)


def test_the_report_counts_agreement_as_by_hand(small, files):
    _, study = small
    found = pooled(files, study)
    table = pooling.report(found).set_index(["level", "measure"])
    assert set(table.index.get_level_values(0)) == {"global-coarse", "class-boundary", "local-fine", "all"}
    rows = found.of("main")
    shown = rows[["image1", "image2", "image3"]].to_numpy()
    asked = zip(rows["person"], rows["triplet"], strict=True)
    odd = dict(zip(asked, shown[np.arange(len(rows)), rows["odd"]], strict=True))
    triplets = sorted({triplet for _, triplet in odd})
    pairs = [(0, 1), (0, 2), (1, 2)]
    same = np.mean([[odd[one, t] == odd[other, t] for one, other in pairs] for t in triplets])
    pair = table.loc[("all", pooling.PAIR)]
    assert pair["value"] == pytest.approx(same) and pair["low"] < same < pair["high"] and pair["n"] == 144
    # Of two other answers, one is as frequent as the other, or both are the same.
    ordered = [(one, other) for one in range(3) for other in range(3) if one != other]
    ceiling = np.mean([[odd[one, t] == odd[other, t] for one, other in ordered] for t in triplets])
    assert table.loc[("all", pooling.CEILING), "value"] == pytest.approx(ceiling)
    own = rows[rows["level"] == "local-fine"].groupby("person")["seconds"].median()
    assert table.loc[("local-fine", pooling.SECONDS), "value"] == pytest.approx(np.median(own))
    # Nobody slips in the first file, so that the same is chosen again.
    alone = pooling.report(pooled(files[:1], study))
    single = alone.set_index(["level", "measure"])
    assert single.loc[("all", pooling.WITHIN), ["value", "n"]].tolist() == [1, 4]
    assert np.isnan(single.loc[("all", pooling.PAIR), "value"])
    assert "- " in pooling.table(alone) and "100.0%" in pooling.table(alone)


def test_who_missed_too_much_is_left_out_with_the_reason(small, looks, tmp_path):
    _, study = small
    one = Participant(study.names, looks)
    files = [
        save(tmp_path / "ten.csv", rows_of(study, one, "ten", 1, missed=range(3, 13))),
        save(tmp_path / "eleven.csv", rows_of(study, one, "eleven", 2, missed=range(3, 14))),
        save(tmp_path / "uncaught.csv", rows_of(study, one, "uncaught", 3, caught=False)),
    ]
    found = pooled(files, study)
    assert [person.participant for person in found.people] == ["ten"]
    assert found.left_out == {
        "eleven": "11 misses, more than 10",
        "uncaught": "0% of catch trials right, under 90%",
    }
    assert len(found.choices()) == 38
    refused("none of 2 participants is left, eleven for example: 11 misses", pooled, files[1:], study)


def test_times_of_trials_that_were_shown_again_do_not_count(small, looks, tmp_path):
    _, study = small
    rows = rows_of(study, Participant(study.names, looks))
    rows[10][column("shown")] = "2"
    found = read_person(save(tmp_path / "a.csv", rows), study)
    assert np.flatnonzero(found.rows["seconds"].isna()).tolist() == [9] and (found.rows["odd"] >= 0).all()


def test_a_spreadsheet_may_save_the_file_with_semicolons_and_a_mark(small, files, tmp_path):
    _, study = small
    with open(files[0], encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    with open(tmp_path / "other.csv", "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=";").writerows(lines)
    assert read_person(tmp_path / "other.csv", study).rows.equals(read_person(files[0], study).rows)


# ---- the command ---------------------------------------------------------------------------------


def collect(*arguments):
    return cli.main(["collect", *map(str, arguments)])


def test_the_command_finds_the_page_reports_and_writes(small, files, tmp_path, capsys, monkeypatch):
    folder, _ = small
    assert collect("--read", *files, "--page", folder, "--out", tmp_path / "answers.npz") == 0
    out = capsys.readouterr().out
    assert "3 participants read, 3 count, 144 answers" in out
    assert "noise ceiling" in out and "local-fine" in out
    monkeypatch.chdir(folder.parent)
    assert collect("--read", files[0]) == 0
    monkeypatch.chdir(tmp_path)
    assert collect("--read", files[0]) == 2
    said = r"the page of these answers \(s\w+\) is not near them: name its folder with --page"
    assert re.search(said, capsys.readouterr().err)


def test_every_bad_file_is_one_line_and_nothing_is_written(small, files, looks, tmp_path, capsys):
    folder, study = small
    one = Participant(study.names, looks)
    twin = save(tmp_path / "twin.csv", rows_of(study, one, "anna", 9))
    copy = save(tmp_path / "copy.csv", rows_of(study, one, "anna", 0))
    rows = rows_of(study, one, "cleo", 4)
    rows[3][column("rt_ms")] = "-1"
    bad = save(tmp_path / "bad.csv", rows)
    out = tmp_path / "answers.csv"
    assert collect("--page", folder, "--out", out, "--read", *files, twin, copy, bad) == 2
    assert not out.exists()
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    assert "bad.csv, line 4: rt_ms '-1'" in told[0]
    assert "twin.csv: participant 'anna' is in" in told[1]
    assert "two people with one code, or one who took part twice" in told[1]
    assert "copy.csv holds the same session as" in told[2]
    assert collect("--page", folder, "--out", tmp_path / "a.xlsx", "--read", files[0]) == 2
    assert ".csv, .npz or .txt: choose one" in capsys.readouterr().err
    # What was written before is no file of a participant.
    assert collect("--page", folder, "--out", out, "--read", files[0]) == 0
    assert collect("--page", folder, "--read", out) == 2
    assert "is no file that a page saved" in capsys.readouterr().err


def test_a_person_who_is_given_a_part_has_no_other_triplets(pictures, looks, tmp_path):
    settings = page.Settings(triplets=30, each=12, repeats=2, catches=2, practice=1, size=64)
    study = page.write(pictures, tmp_path / "page", settings)
    one = Participant(study.names, looks)
    files = [save(tmp_path / f"{n}.csv", rows_of(study, one, f"p{n}", n)) for n in range(4)]
    found = pooled(files, study)
    assert len(found.choices()) == 48 and 12 < found.of("main")["triplet"].nunique() <= 30
    assert pooling.report(found).set_index(["level", "measure"]).loc[("all", pooling.PAIR), "value"] == 1


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
    path = save(tmp_path / "a.csv", change(rows_of(study, Participant(study.names, looks))))
    refused(said, read_person, path, study)


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
    refused(said, read_person, files[0], small[1])


def test_an_edited_answer_is_one_line_although_it_could_be(small, files):
    with open(files[0], encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    row = rows[20]
    other = int(row[column("position")]) % 3
    row[column("position")], row[column("choice")] = str(other + 1), row[column("image1") + other]
    with open(files[0], "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    refused("line 21: edited after it was saved", read_person, files[0], small[1])


def test_damaged_and_missing_files_are_one_line(small, files, tmp_path):
    _, study = small
    refused("no file .*gone.csv: give the files", read_person, tmp_path / "gone.csv", study)
    text = files[0].read_bytes()
    files[0].write_bytes(text[:-5])
    refused("the last line has no end: cut short", read_person, files[0], study)
    files[0].write_bytes(text.replace("é".encode(), b"\xe9"))
    refused("cannot read", read_person, files[0], study)
    files[0].write_bytes(b"")
    refused("is empty", read_person, files[0], study)
    lines = text.split(b"\n")
    files[0].write_bytes(b"\n".join([*lines[:4], lines[4].rsplit(b",", 1)[0], *lines[5:]]))
    refused("line 5: 16 cells instead of 17", read_person, files[0], study)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no study.json in"), ("{", "cannot read"), ("edited", "was edited after it was made")],
)
def test_a_page_without_its_file_is_one_line(small, tmp_path, content, said):
    _, study = small
    if content:
        edited = study.text().replace("round/moon", "round/sun")
        (tmp_path / "study.json").write_text(edited if content == "edited" else content, "utf-8")
    refused(said, Study.read, tmp_path)
    assert Study.read(small[0]) == study
