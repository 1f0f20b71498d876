"""Reading, checking and pooling the files that participants saved."""

import csv
import re

import numpy as np
import pytest
from made_answers import Participant, rows_of, save

from humalign import cli
from humalign.collect import page, pooling, reading
from humalign.collect.study import COLUMNS
from humalign.data import readers_own
from humalign.data.images import FolderImages
from humalign.data.judgments import Choices, random_triplets
from humalign.errors import HumalignError
from humalign.evaluation import levels
from humalign.teach import vice
from humalign.teach.teacher import AffineTeacher


def refused(said, function, *arguments):
    with pytest.raises(HumalignError, match=said) as raised:
        function(*arguments)
    assert "\n" not in str(raised.value)


def column(name):
    return COLUMNS.index(name)


# ---- what is read --------------------------------------------------------------------------------


def test_answers_are_read_pooled_and_taken_by_every_fit(small, files, looks, pictures, tmp_path):
    _, study = small
    found = pooling.pool([reading.read(path, study) for path in files], study)
    assert [one.participant for one in found.people] == ["anna", "ben", "007"] and not found.left_out
    assert found.names == tuple(FolderImages(pictures).labels["file"])
    choices = found.choices()
    assert len(choices) == 3 * 48
    # Each odd one is the one that the first file names.
    with open(files[0], encoding="utf-8", newline="") as file:
        written = [row for row in csv.DictReader(file) if row["kind"] == "main"]
    answers = found.answers()
    for row, line in enumerate(written):
        assert [found.names[each] for each in answers.triplets[row]] == [
            line["image1"],
            line["image2"],
            line["image3"],
        ]
        assert found.names[answers.triplets[row, answers.odd[row]]] == line["choice"]
    AffineTeacher().fit(looks, choices)
    assert len(found.level_answers().at("local-fine")) == 48
    assert levels.asked(found.level_answers()).counts.sum() == 3 * 48


def test_vice_finds_the_rule_in_pooled_answers(pictures, looks, tmp_path):
    study = page.write(
        pictures, tmp_path / "page", page.Settings(triplets=240, catches=2, practice=0, size=64)
    )
    one = Participant(study.names, looks, slip=0.1)
    people = [
        reading.read(save(tmp_path / f"{n}.csv", rows_of(study, one, f"p{n}", n)), study) for n in range(10)
    ]
    posterior = vice.fit(
        pooling.pool(people, study).choices(), len(study.names), dim=8, steps=1000, batch=512, seed=0
    )
    asked = random_triplets(range(len(study.names)), 3000, np.random.default_rng(1))
    sure = Participant(study.names, looks)
    odd = np.array([sure.odd([study.names[each] for each in row]) for row in asked])
    assert (2 - posterior.predict(asked).argmax(1) == odd).mean() > 0.6


@pytest.mark.parametrize("ending", [".csv", ".npz", ".txt"])
def test_what_is_written_reads_as_the_same_choices(small, files, pictures, tmp_path, ending):
    _, study = small
    found = pooling.pool([reading.read(path, study) for path in files], study)
    out = tmp_path / "out" / f"answers{ending}"
    listed = pooling.write(found, out)
    assert (
        listed.read_text("utf-8").splitlines()
        == list(FolderImages(pictures, order=listed).labels["file"])
        == list(study.names)
    )
    choices = found.choices()
    if ending == ".csv":
        again = readers_own.table(out, study.names, person="participant")
        assert np.array_equal(again.person, found.level_answers().person)
        again = again.choices()
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
    found = pooling.pool([reading.read(path, study) for path in files], study)
    table = pooling.report(found).set_index(["level", "measure"])
    assert set(table.index.get_level_values(0)) == {"global-coarse", "class-boundary", "local-fine", "all"}
    rows = found.of("main")
    shown = rows[["image1", "image2", "image3"]].to_numpy()
    odd = dict(
        zip(
            zip(rows["person"], rows["triplet"], strict=True),
            shown[np.arange(len(rows)), rows["odd"]],
            strict=True,
        )
    )
    triplets = sorted({triplet for _, triplet in odd})
    pairs = [(0, 1), (0, 2), (1, 2)]
    same = np.mean(
        [[odd[one, triplet] == odd[other, triplet] for one, other in pairs] for triplet in triplets]
    )
    pair = table.loc[("all", pooling.PAIR)]
    assert pair["value"] == pytest.approx(same) and pair["low"] < same < pair["high"] and pair["n"] == 144
    # Of two other answers, one is as frequent as the other, or both are the same.
    ceiling = np.mean(
        [
            [
                np.mean([odd[who, t] == odd[other, t] for other in range(3) if other != who])
                for who in range(3)
            ]
            for t in triplets
        ]
    )
    assert table.loc[("all", pooling.CEILING), "value"] == pytest.approx(ceiling)
    own = [
        rows.loc[(rows["person"] == who) & (rows["level"] == "local-fine"), "seconds"].median()
        for who in range(3)
    ]
    assert table.loc[("local-fine", pooling.SECONDS), "value"] == pytest.approx(np.median(own))
    # Nobody slips in the first file, so that the same is chosen again.
    alone = pooling.pool([reading.read(files[0], study)], study)
    single = pooling.report(alone).set_index(["level", "measure"])
    assert (
        single.loc[("all", pooling.WITHIN), "value"] == 1
        and single.loc[("all", pooling.WITHIN), "n"] == 4
    )
    assert np.isnan(single.loc[("all", pooling.PAIR), "value"])
    assert "- " in pooling.table(pooling.report(alone)) and "100.0%" in pooling.table(
        pooling.report(alone)
    )


def test_who_missed_too_much_is_left_out_with_the_reason(small, looks, tmp_path):
    _, study = small
    one = Participant(study.names, looks)
    files = [
        save(tmp_path / "ten.csv", rows_of(study, one, "ten", 1, missed=range(3, 13))),
        save(tmp_path / "eleven.csv", rows_of(study, one, "eleven", 2, missed=range(3, 14))),
        save(tmp_path / "uncaught.csv", rows_of(study, one, "uncaught", 3, caught=False)),
    ]
    found = pooling.pool([reading.read(path, study) for path in files], study)
    assert [person.participant for person in found.people] == ["ten"]
    assert found.left_out == {
        "eleven": "11 misses, more than 10",
        "uncaught": "0% of catch trials right, under 90%",
    }
    assert len(found.choices()) == 38
    refused(
        "none of 2 participants is left, eleven for example: 11 misses",
        pooling.pool,
        [reading.read(path, study) for path in files[1:]],
        study,
    )


def test_times_of_trials_that_were_shown_again_do_not_count(small, looks, tmp_path):
    _, study = small
    rows = rows_of(study, Participant(study.names, looks))
    rows[10][column("shown")] = "2"
    found = reading.read(save(tmp_path / "a.csv", rows), study)
    assert np.flatnonzero(found.rows["seconds"].isna()).tolist() == [9] and (found.rows["odd"] >= 0).all()


def test_a_spreadsheet_may_save_the_file_with_semicolons_and_a_mark(small, files, tmp_path):
    _, study = small
    with open(files[0], encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    with open(tmp_path / "other.csv", "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=";").writerows(lines)
    assert reading.read(tmp_path / "other.csv", study).rows.equals(reading.read(files[0], study).rows)


# ---- the command ---------------------------------------------------------------------------------


def test_the_command_finds_the_page_reports_and_writes(small, files, tmp_path, capsys, monkeypatch):
    folder, _ = small
    assert (
        cli.main(
            [
                "collect",
                "--read",
                *map(str, files),
                "--page",
                str(folder),
                "--out",
                str(tmp_path / "answers.npz"),
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert (
        "3 participants read, 3 count, 144 answers" in out and "noise ceiling" in out and "local-fine" in out
    )
    monkeypatch.chdir(folder.parent)
    assert cli.main(["collect", "--read", str(files[0])]) == 0
    monkeypatch.chdir(tmp_path)
    assert cli.main(["collect", "--read", str(files[0])]) == 2
    assert re.search(
        r"the page of these answers \(s\w+\) is not near them: name its folder with --page",
        capsys.readouterr().err,
    )


def test_every_bad_file_is_one_line_and_nothing_is_written(small, files, looks, tmp_path, capsys):
    folder, study = small
    one = Participant(study.names, looks)
    twin = save(tmp_path / "twin.csv", rows_of(study, one, "anna", 9))
    copy = save(tmp_path / "copy.csv", rows_of(study, one, "anna", 0))
    rows = rows_of(study, one, "cleo", 4)
    rows[3][column("rt_ms")] = "-1"
    bad = save(tmp_path / "bad.csv", rows)
    out = tmp_path / "answers.csv"
    command = [
        "collect",
        "--page",
        str(folder),
        "--out",
        str(out),
        "--read",
        *map(str, [*files, twin, copy, bad]),
    ]
    assert cli.main(command) == 2 and not out.exists()
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    assert "bad.csv, line 4: rt_ms '-1'" in told[0]
    assert (
        "twin.csv: participant 'anna' is in" in told[1]
        and "two people with one code, or one who took part twice" in told[1]
    )
    assert "copy.csv holds the same session as" in told[2]
    assert (
        cli.main(
            ["collect", "--page", str(folder), "--out", str(tmp_path / "a.xlsx"), "--read", str(files[0])]
        )
        == 2
    )
    assert ".csv, .npz or .txt: choose one" in capsys.readouterr().err
    # What was written before is no file of a participant.
    assert cli.main(["collect", "--page", str(folder), "--out", str(out), "--read", str(files[0])]) == 0
    assert cli.main(["collect", "--page", str(folder), "--read", str(out)]) == 2
    assert "is no file that a page saved" in capsys.readouterr().err


def test_a_person_who_is_given_a_part_has_no_other_triplets(pictures, looks, tmp_path):
    study = page.write(
        pictures,
        tmp_path / "page",
        page.Settings(triplets=30, each=12, repeats=2, catches=2, practice=1, size=64),
    )
    one = Participant(study.names, looks)
    people = [
        reading.read(save(tmp_path / f"{n}.csv", rows_of(study, one, f"p{n}", n)), study) for n in range(4)
    ]
    found = pooling.pool(people, study)
    assert len(found.choices()) == 48 and 12 < found.of("main")["triplet"].nunique() <= 30
    assert pooling.report(found).set_index(["level", "measure"]).loc[("all", pooling.PAIR), "value"] == 1
