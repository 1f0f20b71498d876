"""One's own pictures and answers, from a folder to an exported model; and everything that one can get wrong about them."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import rehearsal_inputs
import timm
import torch
from PIL import Image

from humalign import cli, profiles
from humalign.chain import aligning, answers, judged, pipeline, steps, teach
from humalign.chain.scoring import own as own_scores
from humalign.chain.scoring import rows
from humalign.data import toy
from humalign.data.judgments import ByObject
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.options import parser

MODELS = ("--teacher", "timm:test_vit3", "--student", "timm:test_vit")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = toy.make(tmp_path_factory.mktemp("own") / "in", answers=1500, pool=60)
    (folder / "weights").mkdir()
    rehearsal_inputs.weights(folder / "weights", np.random.default_rng(0))
    return folder


@pytest.fixture(autouse=True)
def weights(inputs, monkeypatch):
    monkeypatch.setenv("HUMALIGN_WEIGHTS", str(inputs / "weights"))


def command(inputs, out, *further, judged_at=None, answers=None, pool=None):
    given = ("--judged", judged_at or inputs / "judged", "--answers", answers or inputs / "answers.csv", "--pool", pool or inputs / "pool")
    build = ("--build", out.parent / "build", "--simulated", "--steps", "2", "--trained", "1")
    return ["align", *map(str, (*given, *MODELS, *build, *further, out))]


@pytest.fixture(scope="module")
def made(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("aligned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUMALIGN_WEIGHTS", str(inputs / "weights"))
        assert cli.main(command(inputs, folder / "model", "--write-profile", folder / "mine.yaml")) == 0
    return folder


def run_of(made):
    """Return the run of the written profile, under the name that the command gave it."""
    return pipeline.Run(profiles.parse("model", {"inherits": str(made / "mine.yaml")}), made / "build")


def test_the_exported_model_loads_in_timm_and_its_card_says_what_it_was_made_of(made):
    model = timm.create_model(f"local-dir:{made / 'model'}", pretrained=True).eval()
    with torch.no_grad():
        assert torch.isfinite(model(torch.zeros(1, 3, 160, 160))).all()
    card = (made / "model" / "README.md").read_text()
    assert "pictures of one's own, judged" in card and "simulated observers" in card and "a thing held out" in card
    assert str(made) not in card


def test_every_stage_is_scored_on_answers_that_no_fit_has_seen(made):
    found = scores.read(made / "build" / "model" / "scores.csv")
    assert set(found["evidence"]) == {"simulated", "labels"} and not found[["value", "low", "high"]].isna().any().any()
    for task in ("odd-one-out", "similarity-judgments", "few-shot"):
        stages = set(scores.pick(found, task=task, model="timm:test_vit")["stage"])
        free = rows.OF_STUDENTS if task != "few-shot" else ("base", "base-centred")
        assert stages == {*free, "unaligned", "aligned"}, task
    assert set(scores.pick(found, task="odd-one-out", model="timm:test_vit3")["stage"]) == {*rows.OF_TEACHERS, "teacher"}
    reached = scores.one(found, task="odd-one-out", stage="teacher", split="own, a thing held out", metric="accuracy")
    # Colour is what observers go by; an untrained network sees it, and the map that is fitted to answers keeps it.
    assert reached["low"] > 0.7


def test_no_held_out_thing_is_in_an_answer_that_is_learnt(made):
    run = run_of(made)
    (part,) = judged.parts(run, run.profile.labeller)
    assert part.name == "held" and len(part.test) == 15 and not set(part.test) & set(part.train)
    known = judged.of(run, run.profile.labeller).answers
    learnt = (~np.isin(known.triplets, part.test)).all(1).sum()
    notes = teach.notes(run, run.profile.labeller, "held")
    assert notes["answers"] == learnt == len(known[part.train].triplets) and notes["pull"] in aligning.PULLS


def test_the_written_profile_runs_the_same_chain_and_reuses_what_is_there(made):
    said = []
    pipeline.execute(steps.STEPS, "scores", run_of(made), said.append)
    assert len(said) == 8 and all("reused" in line for line in said)


def test_more_answers_run_no_network_again(made, tmp_path):
    mine = profiles.load(str(made / "mine.yaml"))
    more = tmp_path / "more.csv"
    more.write_text(Path(mine.data.own.answers).read_text().rsplit("\n", 3)[0] + "\n")
    changed = dataclasses.replace(mine, data=dataclasses.replace(mine.data, own=dataclasses.replace(mine.data.own, answers=str(more))))
    before, after = (pipeline.keys_of(steps.STEPS, "scores", each) for each in (mine, changed))
    same = [name for name in before if before[name] == after[name]]
    assert same == ["pixels", "embeddings"]


def test_what_is_printed_fits_a_terminal_and_has_each_stage_in_its_order_and_the_gains(made):
    found = scores.read(made / "build" / "model" / "scores.csv")
    shown = aligning.table(scores.pick(found, model="timm:test_vit"))
    free = [f"base-{kind}" for kind in ("centred", "whitened", "random")]
    assert shown["stage"].tolist() == ["base", *free, "unaligned", "aligned"]
    assert list(shown) == ["stage", "a thing held out", "RSA", "few-shot, 5 a class"]
    said = aligning.report(found)
    assert max(map(len, said.splitlines())) <= 120
    where = {"task": "odd-one-out", "split": "own, a thing held out"}
    for stage, reference in (("teacher", "teacher-centred"), ("aligned", "base-centred"), ("aligned", "unaligned")):
        row = scores.one(found, stage=stage, metric=scores.above("accuracy", reference), **where)
        (line,) = [line for line in said.splitlines() if f"{100 * row['value']:+.1f} points (" in line and line.startswith(stage)]
        assert line.endswith("includes zero") == (row["low"] <= 0 <= row["high"])


def test_a_student_may_be_its_own_teacher(made):
    found = scores.read(made / "build" / "model" / "scores.csv")
    said = aligning.report(found.assign(model="one")).splitlines()
    assert [line.replace("timm:test_vit3", "one").replace("timm:test_vit", "one") for line in aligning.report(found).splitlines()] == said


def test_pairs_that_were_kept_together_are_counted():
    answers = ByObject([[0, 1, 2], [1, 0, 3], [0, 1, 4], [0, 2, 3]], [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], 5)
    one, other, kept = own_scores.pairs_kept(answers, np.array([1]))
    assert (one.tolist(), other.tolist()) == ([0], [1]) and kept[0] == pytest.approx(2 / 3)


# ---- what can be wrong -----------------------------------------------------------------------------------------------


def refused(capsys, arguments):
    assert cli.main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len([line for line in lines if line.startswith("humalign: ")]) == 1 and "Traceback" not in "".join(lines)
    return lines[-1]


def changed_answers(inputs, tmp_path, change):
    lines = (inputs / "answers.csv").read_text().splitlines()
    (tmp_path / "answers.csv").write_text("\n".join(change(lines)) + "\n")
    return tmp_path / "answers.csv"


@pytest.mark.parametrize(("change", "said"), [
    (lambda lines: [*lines[:5], lines[5].replace(".png", ".gif", 1), *lines[6:]], "line 6: .*gif' is none of the 60 pictures"),
    (lambda lines: lines[:200], "holds 199 answers: too few to hold things out"),
    (lambda lines: [lines[0].replace("choice", "odd"), *lines[1:]], "0 columns 'choice'"),
    (lambda lines: [*lines, "circle-00.png,circle-00.png,bar-01.png,bar-01.png,p1"], "are not three different pictures"),
])  # fmt: skip
def test_answers_that_cannot_be_are_one_line(change, said, inputs, tmp_path, capsys):
    line = refused(capsys, command(inputs, tmp_path / "out", answers=changed_answers(inputs, tmp_path, change)))
    assert re.search(said, line), line
    assert not (tmp_path / "build").exists()


def test_folders_that_cannot_be_are_one_line(inputs, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "no pictures" in refused(capsys, command(inputs, tmp_path / "out", pool=tmp_path / "empty"))
    assert "no folder at" in refused(capsys, command(inputs, tmp_path / "out", pool=tmp_path / "nowhere"))
    assert "holds the judged pictures themselves" in refused(capsys, command(inputs, tmp_path / "out", pool=inputs / "judged"))
    shutil.copytree(inputs / "judged", tmp_path / "judged")
    shutil.copy(tmp_path / "judged" / "bar-00.png", tmp_path / "judged" / "zebra.png")
    line = refused(capsys, command(inputs, tmp_path / "out", judged_at=tmp_path / "judged"))
    assert "bar-00.png and " in line and "are the same picture: take one out" in line
    (tmp_path / "full").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "full" / "a.png")
    assert "full is not empty: name a new folder" in refused(capsys, command(inputs, tmp_path / "full"))
    assert "no file at" in refused(capsys, command(inputs, tmp_path / "out", answers=tmp_path / "none.csv"))


def test_an_unknown_model_is_named_with_the_nearest(inputs, tmp_path, capsys):
    line = refused(capsys, [each.replace("timm:test_vit3", "siglip-b61") for each in command(inputs, tmp_path / "out")])
    assert "siglip-b61" in line and "did you mean 'siglip-b16'" in line


def test_what_is_not_wrong_but_should_be_known_is_said(inputs, tmp_path):
    few = changed_answers(inputs, tmp_path, lambda lines: lines[:501])
    shutil.copytree(inputs / "pool", tmp_path / "pool")
    shutil.copy(inputs / "judged" / "bar-00.png", tmp_path / "pool" / "bar" / "again.png")
    options = parser(cli.COMMANDS).parse_args(command(inputs, tmp_path / "out", answers=few, pool=tmp_path / "pool"))
    lines = answers.check_own(profiles.parse("mine", aligning.settings(options)))
    assert any("500 answers, 25 a picture: with fewer than 1,000" in line for line in lines)
    assert any("1 pictures of the pool are copies of judged ones" in line for line in lines)


def test_a_profile_that_holds_nothing_out_is_told_how(made):
    mine = profiles.load(str(made / "mine.yaml"))
    whole = profiles.changed(
        mine,
        teachers=[{"judged": "own", "backbones": ["timm:test_vit3"], "learner": "direct", "parts": {"all": True},
                   "pulls": [0.1], "rank": 8}],
        students=[{"backbone": "timm:test_vit", "trained": 1, "head": "centre"}],
    )  # fmt: skip
    with pytest.raises(HumalignError, match=r"the evaluation own needs things held out: teachers.parts"):
        next(own_scores.own(pipeline.Run(whole, made / "build")))


@pytest.mark.parametrize("layout", ["numbers", "indices"])
def test_answers_by_number_are_read_as_those_by_name(layout, inputs, tmp_path):
    names = sorted(path.name for path in (inputs / "judged").iterdir())
    rows = [line.split(",")[:4] for line in (inputs / "answers.csv").read_text().splitlines()[1:]]
    numbered = [[names.index(name) for name in row] for row in rows]
    if layout == "numbers":
        lines = ["image1,image2,image3,choice", *(",".join(map(str, [*row[:3], row.index(row[3])])) for row in numbered)]
        (tmp_path / "answers.csv").write_text("\n".join(lines) + "\n")
    else:  # the odd one last
        lines = [" ".join(map(str, [*(each for each in row[:3] if each != row[3]), row[3]])) for row in numbered]
        (tmp_path / "answers.csv").write_text("\n".join(lines) + "\n")

    def choices(path):
        settings = {"inherits": "align", "about": "own", "evidence": "simulated", "data": {
            "judged": ["own"], "pool": f"folder:{inputs / 'pool'}", "own": {"pictures": str(inputs / "judged"), "answers": str(path)},
        }, "students": [{"backbone": "timm:test_vit"}]}  # fmt: skip
        found = answers.own_choices(profiles.parse("mine", settings))
        kept = found.triplets[np.arange(len(found)), 2 - found.counts.argmax(1)]
        return [(set(triplet), odd) for triplet, odd in zip(found.triplets.tolist(), kept.tolist(), strict=True)]

    assert choices(tmp_path / "answers.csv") == choices(inputs / "answers.csv")
