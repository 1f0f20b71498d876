"""The profile open: nothing of it is gated, its chain runs in small to the scores, and which profile runs where none is named."""

import json
import os
import subprocess
import sys

import pytest
import rehearsal_inputs
import torch

from humalign import chain, profiles
from humalign.artefacts import PACKAGE
from humalign.chain import doctor, features, pipeline, registered, steps
from humalign.data import registry
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.show import chapters, scale

PROFILE = profiles.load("rehearsal-open")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    rehearsal_inputs.main(folder)
    return folder


@pytest.fixture(autouse=True)
def found(inputs, monkeypatch):
    for name, place in rehearsal_inputs.environment(inputs).items():
        monkeypatch.setenv(name, place)
    # Nothing of ImageNet is there.
    monkeypatch.setenv(registry.IMAGENET, str(inputs / "none"))


def execute(inputs, build):
    command = [sys.executable, "-m", "humalign.cli", "run", "scores", "--profile", "rehearsal-open", "--build", str(build)]
    here = {"PYTHONPATH": str(PACKAGE.parent), "OMP_NUM_THREADS": "1", "HF_HOME": str(build / "hub"), registry.IMAGENET: os.devnull}
    environment = os.environ | rehearsal_inputs.environment(inputs) | here
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def ran(inputs, tmp_path_factory):
    build = tmp_path_factory.mktemp("build")
    return pipeline.Run(PROFILE, build), execute(inputs, build), execute(inputs, build)


def test_no_source_of_open_is_gated():
    wanted = [entry for entry in doctor.wanted(profiles.load("open")) if entry.name.partition("-")[0] not in ("peterson", "cichy", "king")]
    assert not [entry.name for entry in wanted if not entry.fetchable and not entry.package]
    assert {"things-photographs", "things-answers", "hf:detection-datasets/coco/train"} <= {entry.name for entry in wanted}


def test_the_chain_of_open_runs_to_its_scores_and_then_reuses_all(ran):
    run, first, second = ran
    assert "undeclared" not in first and second.count("reused") == len(pipeline.chain(steps.STEPS, "scores"))
    read = {name for path in run.path("stamps").glob("*.json") for name in json.loads(path.read_text())["read"]}
    assert read == set(pipeline.sources(steps.STEPS, PROFILE))
    table = scores.read(run.path("scores.csv"))
    assert set(table["evidence"]) == {"simulated"} and not table[["value", "low", "high"]].isna().any().any()
    everyone = {(PROFILE.labeller.backbones[0], stage) for stage in ("teacher-base", "teacher")}
    everyone |= {(name, stage) for name in PROFILE.backbones for stage in features.STAGES}
    for task, split in (("odd-one-out", "THINGS"), ("similarity-judgments", "92 photographs"), ("few-shot", "textures/2-shot")):
        rows = scores.pick(table, task=task, split=split)
        assert everyone <= set(zip(rows["model"], rows["stage"], strict=True)), task
    # No photograph is one that people judged, and the pool has no classes.
    assert "THINGS, photographs judged" not in set(table["split"]) and "pair-in-one-class" not in set(table["metric"])


def test_the_page_at_scale_shows_what_open_has_scored(ran):
    shown = chapters.at_scale(chain.open("rehearsal-open", ran[0].build))
    assert "no run at the paper's scale yet. Below are the scores of the profile rehearsal-open" in scale.answer(shown)
    said = "\n".join(map(repr, scale.at_scale(shown)))
    assert "The paper's numbers, and those of this run" in said and "ImageNet-A" not in said
    for caption in ("Odd one out, THINGS", "Judged similarity", "Classes from k pictures"):
        assert said.count(f"{caption}. ") == 2


def test_the_photographs_of_the_objects_are_those_that_the_profile_names(inputs):
    free = registered.load(PROFILE, "things")
    judged = registered.load(profiles.changed(PROFILE, data={"things_photographs": "things-reference-photographs"}), "things")
    ids = (inputs / "data" / "things" / "unique_id.txt").read_text().split()
    assert [name.removesuffix(".jpg") for name in free.labels["file"]] == ids
    assert judged.labels["file"][0] == f"{ids[0]}_01b.jpg"
    with pytest.raises(HumalignError, match=r"data.things_photographs = 'things-photos': did you mean 'things-photographs'"):
        registered.load(profiles.changed(PROFILE, data={"things_photographs": "things-photos"}), "things")


def test_an_object_without_a_photograph_is_named(inputs, tmp_path, monkeypatch):
    (tmp_path / "things" / "object_images_CC0").mkdir(parents=True)
    made = inputs / "data" / "things"
    (tmp_path / "things" / "unique_id.txt").write_bytes((made / "unique_id.txt").read_bytes())
    for name in ("thing00", "thing02"):
        (tmp_path / "things" / "object_images_CC0" / f"{name}.jpg").write_bytes((made / "object_images_CC0" / f"{name}.jpg").read_bytes())
    monkeypatch.setenv(registry.DATA, str(tmp_path))
    with pytest.raises(HumalignError, match=r"holds photographs of 2 of the 36 objects, none of thing01: .*humalign fetch things-photog"):
        registered.load(PROFILE, "things")


@pytest.mark.parametrize(("pool", "said"), [
    ("caltech01", "no set 'caltech01': did you mean 'caltech101'"),
    ("folder:nowhere", "no folder at nowhere: is the path right"),
    ("hf:detection-datasets/coc/train", "is not here: humalign fetch hf:detection-datasets/coc/train"),
    ("hf:detection-datasets/coco/trian", "has no split 'trian': did you mean 'train'"),
    ("torchvision:Caltech102", "unknown set 'Caltech102' of torchvision: did you mean 'Caltech101'"),
    ("file:x.txt", "no file at x.txt"),
])  # fmt: skip
def test_a_pool_that_cannot_be_had_is_one_line(pool, said):
    with pytest.raises(HumalignError, match=said) as error:
        registered.load(profiles.changed(PROFILE, data={"pool": pool}), pool)
    assert "\n" not in str(error.value)


def test_doctor_tells_of_a_pool_by_name_whether_it_is_here():
    def state(pool):
        asked = profiles.changed(PROFILE, data={"pool": pool})
        (found,) = [each for each in doctor.inputs(asked) if each.entry.name == pool]
        return found.state, found.said

    assert state("hf:detection-datasets/coco/train")[0] == doctor.PRESENT
    assert "300 pictures" in state("hf:detection-datasets/coco/train")[1]
    assert state("hf:detection-datasets/other/train")[0] == doctor.MISSING
    assert state("folder:nowhere")[0] == doctor.GATED


# ---- which profile runs where none is named --------------------------------------------------------------------------


@pytest.mark.parametrize(("gpu", "imagenet", "name", "said"), [
    (False, True, "demo", "there is no GPU; things, people's judgments on a processor, needs "),
    (True, False, "open", "nothing that it reads is gated; paper needs training pictures of ImageNet"),
    (True, True, "paper", "there is a GPU, and all that it reads is here or can be fetched"),
])  # fmt: skip
def test_the_default_profile_is_the_largest_that_this_machine_can_run(gpu, imagenet, name, said, inputs, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    if imagenet:
        monkeypatch.setenv(registry.IMAGENET, str(inputs / "imagenet"))
    profile, line = doctor.default()
    assert profile == profiles.load(name) and said in line and "\n" not in line


def test_every_set_of_the_table_names_registered_sources():
    paper = profiles.load("paper")
    for name in {*registered.SETS} - {"own"}:
        assert {registry.source(each).name for each in registered.sources_of(paper, name)} == set(registered.sources_of(paper, name))
