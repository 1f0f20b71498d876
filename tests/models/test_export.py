"""An exported model, loaded by its library's own function, gives the features of the student that it was."""

import copy
import dataclasses
import json
import os
import re

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from one_line import refused
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from humalign import cli, profiles
from humalign.data import registry
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.models import backbones, export
from humalign.models.backbones import Backbone, Recipe
from humalign.models.student import Student

HALF = (0.5, 0.5, 0.5)
CARD = export.Card("a title", "about it", ("answers: CC BY 4.0",), "Apache-2.0", {"seed": "7"})


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A registered ViT in small, with an activation and a size that are not its architecture's own."""
    options = {"embed_dim": 32, "depth": 3, "num_heads": 2, "img_size": 48, "act_layer": "gelu_tanh"}
    known = backbones.recipes() | {
        "small-siglip": Recipe("timm", "vit_base_patch16_siglip_224", 48, HALF, HALF, None, "a test", 1, options, licence="a licence"),
    }
    monkeypatch.setattr(backbones, "recipes", lambda: known)


@pytest.fixture
def tiny_clip(monkeypatch):
    factory = pytest.importorskip("open_clip").factory
    text = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}
    vision = {"image_size": 32, "layers": 3, "width": 32, "patch_size": 16, "head_width": 16}
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny", {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text})
    tag = {"url": "x", "quick_gelu": True, "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7)}
    monkeypatch.setitem(pytest.importorskip("open_clip").pretrained._PRETRAINED, "tiny", {"quick": tag})
    return "open_clip:tiny/quick"


def trained(backbone, frozen):
    """Return a student whose stages are no longer the backbone's, and what it sees in some pictures."""
    student = Student.of(backbone, frozen)
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    pixels = torch.rand(3, 3, backbone.size, backbone.size)
    with torch.no_grad():
        # A student of the whole network takes the pictures themselves.
        features = student.features(backbone.stages[:frozen](backbone.normalise(pixels)) if frozen else pixels)
        assert not torch.allclose(features, backbone(pixels), rtol=1e-2), "training has changed something"
    return student, pixels, features


def close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5 * wanted.abs().max().item())


# ---- one library after the other -------------------------------------------------------------------------------------

CUTS = [("efficientnet-lite0", 13), ("small-siglip", 0), ("small-siglip", 3), ("timm:vit_tiny_patch16_224", 12)]


@pytest.mark.parametrize(("name", "frozen"), CUTS)
def test_timm_loads_what_was_exported_in_one_line(name, frozen, tmp_path):
    backbone = backbones.build(name, pretrained=False)
    before = copy.deepcopy(backbone.net.state_dict())
    student, pixels, features = trained(backbone, frozen)
    folder = export.save_pretrained(tmp_path / "model", backbone, student, CARD)
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json", "README.md", export.HEAD}
    assert all(torch.equal(value, before[key]) for key, value in backbone.net.state_dict().items()), "the backbone is left as it was"

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.no_grad():
        close(model(backbone.normalise(pixels)), features)
    head = load_file(folder / export.HEAD)
    assert torch.equal(head["weight"], student.head.weight) and torch.equal(head["bias"], student.head.bias)

    size = backbone.size
    said = timm.data.resolve_model_data_config(model)
    assert (said["input_size"], said["crop_pct"], said["crop_mode"]) == ((3, size, size), 1.0, "squash")
    assert (tuple(said["mean"]), tuple(said["std"])) == (HALF, HALF)
    shape = timm.data.create_transform(**said)(Image.fromarray(np.zeros((50, 90, 3), np.uint8))).shape
    assert shape == (3, size, size), "the whole picture"

    for again in (f"timm:local-dir:{folder}", f"{name}@{folder}"):
        close(backbones.build(again)(pixels), features)


@pytest.mark.parametrize("name", ["efficientvit_m0", "coat_tiny"])
def test_networks_that_need_care_are_exported_and_saved_too(name, tmp_path):
    """One cannot say what its removed classifier was, one has tensors under several names."""
    backbone = backbones.build(f"timm:{name}", pretrained=False)
    student, pixels, features = trained(backbone, 0)
    folder = export.save_pretrained(tmp_path / "model", backbone, student, CARD)
    close(backbones.build(f"timm:local-dir:{folder}")(pixels), features)
    student.save(tmp_path / "s.safetensors")
    close(Student.of(backbone, 0).load(tmp_path / "s.safetensors").features(pixels), features)


def test_open_clip_loads_what_was_exported_in_one_line(tiny_clip, tmp_path):
    import open_clip

    backbone = backbones.build(tiny_clip, pretrained=False)
    student, pixels, features = trained(backbone, 2)
    folder = export.save_pretrained(tmp_path / "model", backbone, student, CARD)
    assert {path.name for path in folder.iterdir()} == {"open_clip_model.safetensors", "open_clip_config.json", "README.md", export.HEAD}
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    with torch.no_grad():
        close(model.visual(backbone.normalise(pixels)), features)
        close(backbones.build(f"open_clip:local-dir:{folder}")(pixels), features)
    assert torch.equal(model.token_embedding.weight, backbone.net.token_embedding.weight), "the text tower goes along unchanged"
    assert open_clip.get_model_preprocess_cfg(model)["mean"] == [0.1, 0.2, 0.3]
    again = export.save_pretrained(tmp_path / "again", backbones.build(f"open_clip:local-dir:{folder}"), student, CARD)
    assert json.loads((again / "open_clip_config.json").read_text()) == json.loads((folder / "open_clip_config.json").read_text())


TOWERS = {
    "CLIPA": {"pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True},
    "scaled layers": {"ls_init_value": 1e-4},
    "tokens beside features": {"output_tokens": True},
}


@pytest.mark.parametrize("kind", TOWERS)
def test_towers_of_open_clip_with_other_options_are_exported_too(tiny_clip, tmp_path, monkeypatch, kind):
    factory = pytest.importorskip("open_clip").factory
    known = factory._MODEL_CONFIGS["tiny"]
    monkeypatch.setitem(factory._MODEL_CONFIGS, "other", known | {"vision_cfg": known["vision_cfg"] | TOWERS[kind]})
    backbone = backbones.build("open_clip:other", pretrained=False)
    student, pixels, features = trained(backbone, 0)
    folder = export.save_pretrained(tmp_path / "model", backbone, student, CARD)
    close(backbones.build(f"open_clip:local-dir:{folder}")(pixels), features)


@pytest.mark.parametrize("file", ["weights", export.HEAD])
@pytest.mark.parametrize("library", ["timm", "open_clip"])
def test_an_exported_file_that_was_altered_is_one_line(tiny_clip, tmp_path, library, file):
    backbone = backbones.build("timm:test_vit" if library == "timm" else tiny_clip, pretrained=False)
    folder = export.save_pretrained(tmp_path / "model", backbone, Student.of(backbone, 0), CARD)
    weights = "model.safetensors" if library == "timm" else "open_clip_model.safetensors"
    path = folder / (weights if file == "weights" else file)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    plain = "timm:test_vit.r160_in1k" if library == "timm" else tiny_clip
    names = [f"{library}:local-dir:{folder}", *([f"{plain}@{folder}", f"{plain}@{path}"] if file == "weights" else [])]
    for name in names:
        refused(f"{path.name} is damaged, its values have another checksum", backbones.build, name)


def test_a_folder_without_its_weights_is_refused_not_filled_at_random(tiny_clip, tmp_path):
    for name, frozen, file in ((tiny_clip, 2, "open_clip_model"), ("small-siglip", 3, "model")):
        backbone = backbones.build(name, pretrained=False)
        folder = export.save_pretrained(tmp_path / file, backbone, Student.of(backbone, frozen), CARD)
        (folder / f"{file}.safetensors").unlink()
        (folder / export.HEAD).unlink()
        with pytest.raises(HumalignError, match=r"cannot build .*local-dir") as caught:
            backbones.build(f"{name.partition(':')[0] if ':' in name else 'timm'}:local-dir:{folder}")
        assert "\n" not in str(caught.value)


def test_a_module_of_ones_own_takes_back_its_weights(tmp_path):
    def own():
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    backbone = Backbone.of(own(), 16, (0.1, 0.2, 0.3), HALF, name="mine")
    student, pixels, features = trained(backbone, 2)
    folder = export.save_pretrained(tmp_path / "model", backbone, student, CARD)
    model = own().eval()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    close(model(backbone.normalise(pixels)), features)
    assert json.loads((folder / "config.json").read_text()) == {
        "architecture": "torch.nn.modules.container.Sequential", "input_size": [3, 16, 16], "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5],
    }


def test_the_line_in_the_card_is_the_one_that_loads(tmp_path):
    backbone = backbones.build("small-siglip", pretrained=False)
    student, pixels, features = trained(backbone, 3)
    folder = export.save_pretrained(tmp_path / "model", backbone, student, CARD)
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    known = {}
    exec(code.replace("FOLDER", str(folder)), known)
    close(known["model"](backbone.normalise(pixels)), features)


# ---- the card --------------------------------------------------------------------------------------------------------

def test_the_card_says_data_licence_provenance_and_scores(tmp_path):
    backbone = backbones.build("small-siglip", pretrained=False)
    row = ["p", "m", "aligned", "odd-one-out", "local-fine", "accuracy", 0.61251, 0.6, 0.625, 900, 0, "simulated"]
    rows = pd.DataFrame([row], columns=scores.COLUMNS)
    for number, table in enumerate((rows, None)):
        card = export.Card("T", "A", ("answers: CC BY 4.0",), "a licence", {"seed": "7"}, table)
        text = (export.save_pretrained(tmp_path / str(number), backbone, Student.of(backbone, 3), card) / "README.md").read_text()
        for said in ("# T", "- answers: CC BY 4.0", "Weights: a licence.", "| seed | 7 |", "squashed to 48 × 48", "patch16_siglip"):
            assert said in text
        row = "| aligned | odd-one-out | local-fine | accuracy | 0.613 | 0.600 to 0.625 | 900 | simulated |"
        assert (row in text) == (table is not None) and ("was not scored" in text) == (table is None)


def test_whoever_the_umask_lets_may_read_every_file_of_an_export(tiny_clip, tmp_path):
    """And the folder may be named as text."""
    own = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    made = [backbones.build(name, pretrained=False) for name in ("small-siglip", tiny_clip)]
    made.append(Backbone.of(own, 16, HALF, HALF))
    for number, (backbone, mask, wanted) in enumerate(zip(made, (0o022, 0o002, 0o077), (0o644, 0o664, 0o600), strict=True)):
        before = os.umask(mask)
        try:
            folder = export.save_pretrained(str(tmp_path / f"{number}"), backbone, Student.of(backbone, 1), CARD)
        finally:
            os.umask(before)
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {wanted}
        assert (folder.stat().st_mode & 0o777) == (0o777 & ~mask)


def test_an_export_keeps_the_filter_that_pictures_are_resized_with(tmp_path):
    backbone = backbones.build("small-siglip", pretrained=False)
    backbone.recipe = dataclasses.replace(backbone.recipe, interpolation="bilinear")
    folder = export.save_pretrained(tmp_path / "model", backbone, Student.of(backbone, 3), CARD)
    assert backbones.build(f"timm:local-dir:{folder}").recipe.interpolation == "bilinear"
    assert "48 × 48, bilinear" in (folder / "README.md").read_text()


# ---- what can go wrong -----------------------------------------------------------------------------------------------

def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    backbone = backbones.build("small-siglip", pretrained=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(HumalignError, match="mine holds something already: name a folder that is new or empty"):
        export.save_pretrained(tmp_path / "mine", backbone, Student.of(backbone, 3), CARD)
    (tmp_path / "file").write_text("x")
    with pytest.raises(HumalignError, match=r"cannot write .*model"):
        export.save_pretrained(tmp_path / "file" / "model", backbone, Student.of(backbone, 3), CARD)


def test_a_student_of_another_backbone_is_one_line_and_leaves_nothing(tmp_path):
    student = Student.of(backbones.build("small-siglip", pretrained=False), 3)
    other = backbones.build("timm:vit_tiny_patch16_224", pretrained=False)
    with pytest.raises(HumalignError, match="the student is not one of timm:vit_tiny_patch16_224: give the backbone"):
        export.save_pretrained(tmp_path / "model", other, student, CARD)
    assert not list(tmp_path.iterdir())


def test_what_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    backbone = backbones.build("small-siglip", pretrained=False)
    monkeypatch.setattr(export, "save_file", full)
    with pytest.raises(HumalignError, match=r"no space left for .*model"):
        export.save_pretrained(tmp_path / "model", backbone, Student.of(backbone, 3), CARD)
    assert not list(tmp_path.iterdir())


# ---- the command -----------------------------------------------------------------------------------------------------

@pytest.fixture
def finished(tmp_path):
    """What a run of the demo leaves of one student, and some of its scores."""
    backbone = backbones.build("efficientnet-lite0")
    student, pixels, features = trained(backbone, profiles.load("demo").students[0].frozen)
    provenance = {"profile": "demo", "commit": "abc", "versions": '{"torch": "2"}'}
    student.save(tmp_path / "build/demo/students/efficientnet-lite0/fold1-aligned.safetensors", provenance)
    values = {"aligned": 0.7, "unaligned": 0.6, "base": 0.5}
    rows = [(stage, metric, value) for metric in ("accuracy", "brier") for stage, value in values.items()]
    frame = pd.DataFrame([["demo", "efficientnet-lite0", stage, "odd-one-out", "local-fine", metric, value, value, value, 9, 0, "simulated"]
                          for stage, metric, value in [*rows, ("base", "only-base", 0.1)]], columns=scores.COLUMNS)
    scores.write(frame, tmp_path / "build/demo", {})
    return tmp_path, pixels, features


def test_export_writes_a_student_of_a_run(finished, capsys):
    folder, pixels, features = finished
    assert cli.main(["export", "--build", str(folder / "build"), "--part", "fold1", str(folder / "out")]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "out")
    model = timm.create_model(f"local-dir:{folder / 'out'}", pretrained=True).eval()
    with torch.no_grad():
        close(model(pixels * 2 - 1), features)
    text = (folder / "out" / "README.md").read_text()
    table = [line.split(" | ")[:5] for line in text.splitlines() if line.startswith(("| base", "| aligned", "| unaligned"))]
    assert [(row[0], row[3], row[4]) for row in table] == [
        ("| base", "accuracy", "0.500"), ("| aligned", "accuracy", "0.700"), ("| base", "brier", "0.500"), ("| aligned", "brier", "0.700"),
    ]
    assert "| commit | abc |" in text and "| versions | torch 2 |" in text and "simulated observers, not of people" in text
    for name in ("openmoji-font", "efficientnet-lite0-weights", "efficientnet-lite2-weights"):
        assert registry.source(name).what in text
    assert registry.source("efficientnet-lite1-weights").what not in text, "which the demo does not use"


def test_export_writes_a_share_of_what_training_changed(finished):
    folder, pixels, features = finished
    base, of_student = backbones.build("efficientnet-lite0"), {}
    for share in ("0", "0.5", "1"):
        out = folder / f"out{share}"
        assert cli.main(["export", "--build", str(folder / "build"), "--part", "fold1", "--share", share, str(out)]) == 0
        of_student[share] = load_file(out / "model.safetensors")
    with torch.no_grad():
        close(timm.create_model(f"local-dir:{folder / 'out0'}", pretrained=True).eval()(pixels * 2 - 1), base(pixels))
        close(timm.create_model(f"local-dir:{folder / 'out1'}", pretrained=True).eval()(pixels * 2 - 1), features)
    moved = 0
    for name, value in of_student["0.5"].items():
        start, end = of_student["0"][name], of_student["1"][name]
        torch.testing.assert_close(value, ((start + end) / 2).to(value.dtype) if value.is_floating_point() else end)
        moved += not torch.equal(start, end)
    assert moved > 10
    text = (folder / "out0.5" / "README.md").read_text()
    assert "# efficientnet-lite0, aligned, share 0.5" in text and "a share of 0.5 of what training changed" in text
    assert "This model was not scored." in text, "the scores are those of the whole way"


@pytest.mark.parametrize("share", ["1.5", "-0.1", "nan"])
def test_a_share_beyond_base_and_student_is_one_line(share, finished, capsys):
    folder = finished[0]
    arguments = ["--build", str(folder / "build"), "--part", "fold1", f"--share={share}", str(folder / "out")]
    assert cli.main(["export", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "give a number from 0, the base, to 1" in error and not (folder / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stage", "alinged"], "the profile 'demo' trains no stage 'alinged': did you mean 'aligned'"),
        (["--stage", "base"], "the profile 'demo' trains no stage 'base'"),
        (["--part", "fold3"], "the profile 'demo' trains no part 'fold3': did you mean 'fold2'"),
        (["--student", "siglip-b16"], "the profile 'demo' trains no student 'siglip-b16'"),
        (["--profile", "released"], "the profile 'released' trains no students: its models are written by `humalign convert`"),
        (["--profile", "things"], r"no student at .*lite0/all-aligned\.safetensors: run `humalign run students --profile things`"),
        (["--profile", "paper", "--student", "dinov2-b14"], r"no student at .*dinov2-b14/all-aligned\.safetensors"),
        (["--profile", "dmeo"], "unknown profile 'dmeo': did you mean 'demo'"),
        ([], r"no student at .*fold0-aligned\.safetensors: run `humalign run students --profile demo` first"),
        (["--part", "fold2"], "fold2-aligned.safetensors holds no such student"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, tmp_path, capsys):
    students = tmp_path / "build/demo/students/efficientnet-lite0"
    students.mkdir(parents=True)
    (students / "fold2-aligned.safetensors").write_bytes(b"<html>")
    assert cli.main(["export", "--build", str(tmp_path / "build"), *arguments, str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(said, error), error
    assert not (tmp_path / "out").exists()
