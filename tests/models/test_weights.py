"""Weights in the formats that are published, made here from small random models: loaded value for value, or refused in one line."""

import dataclasses
import os
import pickle

import numpy as np
import pytest
import timm
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed
from torch.nn import functional

from humalign.errors import HumalignError
from humalign.models import backbones, weights

# Each registered ViT in small: the same code builds and loads it.
SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 28}
VITS = [name for name in backbones.recipes() if name.endswith(("-b16", "-b14"))]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Have the registry's ViTs built small."""
    monkeypatch.delenv(weights.FOLDER, raising=False)
    known = {
        name: dataclasses.replace(recipe, options=recipe.options | SMALL | ({"img_size": 32} if name.endswith("-b16") else {}))
        for name, recipe in backbones.recipes().items()
        if name in VITS
    }
    monkeypatch.setattr(backbones, "recipes", lambda: known)
    return known


def published(name, **options):
    """Return the model of a backbone as timm builds it, with values of its own."""
    recipe = backbones.recipes()[name]
    torch.manual_seed(11)
    net = timm.create_model(recipe.model, **recipe.options | options).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    return net


def same_values(net, wanted):
    state = wanted.state_dict()
    assert net.state_dict().keys() == state.keys()
    return all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


def refused(name, said):
    with pytest.raises(HumalignError, match=said) as caught:
        backbones.build(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def big_vision(net, prefix="", stacked=False, positions="pos_embedding"):
    """Return the arrays of a ViT under big_vision's names (Flax: kernels are input by output, heads apart)."""
    state = {key: value.detach().numpy() for key, value in net.state_dict().items()}
    width, heads = net.embed_dim, net.blocks[0].attn.num_heads
    found = {
        "embedding/kernel": state["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        positions: state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
    }
    if "cls_token" in state:
        found["cls"] = state["cls_token"]
    if "head.weight" in state:
        found |= {"head/kernel": state["head.weight"].T, "head/bias": state["head.bias"]}

    def attention(place, rows, proj):
        for part, (kernel, bias) in rows.items():
            found[f"{place}/{part}/kernel"] = kernel.T.reshape(width, heads, -1)
            found[f"{place}/{part}/bias"] = bias.reshape(heads, -1)
        found[f"{place}/out/kernel"] = state[f"{proj}.weight"].T.reshape(heads, -1, width)
        found[f"{place}/out/bias"] = state[f"{proj}.bias"]

    def norm_and_mlp(ours, norms, mlp):
        for norm, place in norms.items():
            found[f"{place}/scale"], found[f"{place}/bias"] = state[f"{ours}.{norm}.weight"], state[f"{ours}.{norm}.bias"]
        for layer in (0, 1):
            found[f"{mlp}/Dense_{layer}/kernel"] = state[f"{ours}.mlp.fc{layer + 1}.weight"].T
            found[f"{mlp}/Dense_{layer}/bias"] = state[f"{ours}.mlp.fc{layer + 1}.bias"]

    # The older layout of the AugReg checkpoints numbers the parts of a block through.
    numbers = (1, 3, 2) if positions.startswith("Transformer") else (0, 0, 1)
    for i in range(len(net.blocks)):
        ours, theirs = f"blocks.{i}", f"Transformer/encoderblock_{i}"
        qkv = np.split(state[f"{ours}.attn.qkv.weight"], 3), np.split(state[f"{ours}.attn.qkv.bias"], 3)
        attention(f"{theirs}/MultiHeadDotProductAttention_{numbers[0]}",
                  dict(zip(("query", "key", "value"), zip(*qkv, strict=True), strict=True)), f"{ours}.attn.proj")
        norms = {"norm1": f"{theirs}/LayerNorm_0", "norm2": f"{theirs}/LayerNorm_{numbers[2]}"}
        norm_and_mlp(ours, norms, f"{theirs}/MlpBlock_{numbers[1]}")
    if net.attn_pool is not None:
        kv = np.split(state["attn_pool.kv.weight"], 2), np.split(state["attn_pool.kv.bias"], 2)
        rows = dict(zip(("key", "value"), zip(*kv, strict=True), strict=True))
        rows["query"] = state["attn_pool.q.weight"], state["attn_pool.q.bias"]
        found["MAPHead_0/probe"] = state["attn_pool.latent"]
        attention("MAPHead_0/MultiHeadDotProductAttention_0", rows, "attn_pool.proj")
        norm_and_mlp("attn_pool", {"norm": "MAPHead_0/LayerNorm_0"}, "MAPHead_0/MlpBlock_0")
    if stacked:
        several = {key for key in found if key.startswith("Transformer/encoderblock_")}
        for key in {key.replace("encoderblock_0", "encoderblock") for key in several if "encoderblock_0" in key}:
            found[key] = np.stack([found[key.replace("encoderblock", f"encoderblock_{i}")] for i in range(len(net.blocks))])
        found = {key: value for key, value in found.items() if key not in several}
    return {prefix + key: np.ascontiguousarray(value) for key, value in found.items()}


# ---- formats that are published --------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", [name for name in VITS if name not in ("scratch-b16", "cappa-b16")])
def test_the_hubs_file_is_loaded_value_for_value(name, small, tmp_path, monkeypatch):
    """timm fetches `model.safetensors` of the right repository; the test stands in for the network alone."""
    source = published(name, **({"img_size": 518} if name == "dinov2-b14" else {}))
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    asked = []

    def download(repo_id, filename, **_):
        asked.append((repo_id, filename))
        return str(tmp_path / filename)

    monkeypatch.setattr("timm.models._hub.hf_hub_download", download)
    backbone = backbones.build(name)
    repository = small[name].model.replace("clip_quickgelu", "clip")
    assert asked == [(f"timm/{repository}", "model.safetensors")]
    if name == "dinov2-b14":
        positions = resample_abs_pos_embed(source.pos_embed, new_size=[2, 2], old_size=[37, 37], num_prefix_tokens=1)
        source = published(name)
        source.pos_embed.data = positions
        assert torch.equal(backbone.net.pos_embed, positions)
        return
    assert same_values(backbone.net, source)
    pixels = torch.rand(2, 3, 32, 32)
    wanted = source.forward_head(source.forward_features(backbone.normalise(pixels)), pre_logits=True)
    assert torch.equal(backbone(pixels), wanted)


@pytest.mark.parametrize("prefix", ["", "params/", "params/img/"])
@pytest.mark.parametrize("name", ["siglip-b16", "siglip2-b16", "cappa-b16"])
def test_big_visions_arrays_are_loaded_value_for_value(name, prefix, tmp_path):
    """Without a prefix they are as AligNet's released models hold them."""
    source = published(name)
    for stacked in (False, True):
        np.savez(tmp_path / "arrays.npz", **big_vision(source, prefix, stacked))
        assert same_values(backbones.build(f"{name}@{tmp_path}/arrays.npz").net, source)


def test_augreg_arrays_are_loaded_with_their_classifier(tmp_path):
    source = published("vit-b16")
    np.savez(tmp_path / "arrays.npz", **big_vision(source, positions="Transformer/posembed_input/pos_embedding"))
    backbone = backbones.build(f"vit-b16@{tmp_path}/arrays.npz")
    assert same_values(backbone.net, source) and torch.equal(backbone.classifier.weight, source.head.weight)


@pytest.mark.parametrize("kind", ["pt", "bin", "safetensors", "state_dict", "ema"])
def test_every_container_is_read(kind, tmp_path):
    source = published("dino-b16")
    state = source.state_dict()
    if kind == "safetensors":
        save_file(state, tmp_path / "w.safetensors")
    else:
        torch.save({"state_dict": {"state_dict": {f"module.{k}": v for k, v in state.items()}}, "ema": {"state_dict_ema": state}}
                   .get(kind, state), tmp_path / f"w.{kind if kind in ('pt', 'bin') else 'pth'}")
    (path,) = tmp_path.iterdir()
    assert same_values(backbones.build(f"dino-b16@{path}").net, source)


def test_the_formats_of_dinov2_and_of_openai_are_those_that_timm_renames(tmp_path):
    source = published("dinov2-b14")
    torch.save(source.state_dict() | {"mask_token": torch.zeros(1, 32)}, tmp_path / "dinov2.pth")
    assert same_values(backbones.build(f"dinov2-b14@{tmp_path}/dinov2.pth").net, source)

    clip = pytest.importorskip("open_clip").model.CLIP(
        embed_dim=512, quick_gelu=True, vision_cfg={"image_size": 32, "layers": 2, "width": 32, "patch_size": 16, "head_width": 16},
        text_cfg={"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
    ).eval()
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    backbone = backbones.build(f"clip-b16@{tmp_path}/clip.pt")
    pixels = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        projected = backbone(pixels) @ clip.visual.proj
        torch.testing.assert_close(projected, clip.visual(backbone.normalise(pixels)), rtol=1e-5, atol=1e-6)


def test_each_has_the_activation_that_its_weights_were_trained_with():
    x = torch.linspace(-3, 3, 50)
    tanh, exact, quick = functional.gelu(x, approximate="tanh"), functional.gelu(x), x * torch.sigmoid(1.702 * x)
    wanted = {"dino-b16": exact, "dinov2-b14": exact, "clip-b16": quick}
    for name in VITS:
        net = backbones.build(name, pretrained=False).net
        torch.testing.assert_close(net.blocks[0].mlp.act(x), wanted.get(name, tanh), rtol=1e-6, atol=1e-6)
        if net.attn_pool is not None:
            torch.testing.assert_close(net.attn_pool.mlp.act(x), tanh, rtol=1e-6, atol=1e-6)


# ---- a folder of one's own -------------------------------------------------------------------------------------------

def test_a_folder_of_weights_is_looked_at_before_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr("timm.models._hub.hf_hub_download", lambda *a, **k: pytest.fail("asked the hub"))
    monkeypatch.setenv(weights.FOLDER, str(tmp_path))
    source = published("siglip-b16")
    np.savez(tmp_path / "siglip-b16.npz", **big_vision(source))
    assert same_values(backbones.build("siglip-b16").net, source)
    (tmp_path / "siglip-b16.npz").unlink()
    inside = tmp_path / "vit_base_patch16_siglip_224.webli"
    inside.mkdir()
    save_file(source.state_dict(), inside / "model.safetensors")
    assert same_values(backbones.build("siglip-b16").net, source)
    tiny = timm.create_model("vit_tiny_patch16_224")
    save_file(tiny.state_dict(), tmp_path / "vit_tiny_patch16_224.augreg_in21k_ft_in1k.safetensors")
    assert same_values(backbones.build("timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k").net, tiny)


def test_a_folder_that_is_none_and_a_file_that_is_none_are_one_line(tmp_path, monkeypatch):
    refused("dino-b16@/nowhere/w.safetensors", "no weights at /nowhere/w.safetensors: name a file that exists")
    refused(f"dino-b16@{tmp_path}", "no weights in the folder .*: it needs a model.safetensors")
    (tmp_path / "w.txt").write_text("")
    refused(f"dino-b16@{tmp_path}/w.txt", "is no file of weights that can be read: known are .safetensors")
    monkeypatch.setenv(weights.FOLDER, str(tmp_path / "absent"))
    refused("dino-b16", "HUMALIGN_WEIGHTS=.*absent is no folder")


def test_without_a_network_the_line_says_where_a_file_may_be_put(monkeypatch):
    def unreachable(*_, **__):
        raise LocalEntryNotFoundError("cannot find the requested files\nin the local cache")

    monkeypatch.setattr("timm.models._hub.hf_hub_download", unreachable)
    said = "cannot find the requested files in the local cache: connect to the network, put the file into the folder that HUMALIGN_WEIGHTS"
    refused("dino-b16", f"cannot build dino-b16: {said}")


def test_a_backbone_whose_weights_nobody_published_says_so():
    refused("cappa-b16", "cappa-b16 has no weights that can be loaded: .*; `humalign convert` it, .* write cappa-b16@FOLDER or .*npz")


def test_a_model_from_scratch_is_the_same_each_time_and_leaves_the_generator_alone():
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    first = backbones.build("scratch-b16")
    assert torch.equal(torch.rand(1), wanted)
    assert same_values(first.net, backbones.build("scratch-b16").net)
    assert not torch.equal(first.net.pos_embed, backbones.build("vit-b16", pretrained=False).net.pos_embed), "its seed is its own"


# ---- weights of something else ---------------------------------------------------------------------------------------

class Trap:
    """Unpickling this leaves a mark."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def without(state, *keys):
    return {key: value for key, value in state.items() if key not in keys}


def test_tensors_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "w.safetensors"
    state = published("dino-b16").state_dict()
    changes = {
        "1 missing: norm.weight": without(state, "norm.weight"),
        "1 unexpected: extra": state | {"extra": torch.zeros(1)},
        "1 of another shape: blocks.1.norm1.bias": state | {"blocks.1.norm1.bias": torch.zeros(5)},
        "12 missing: blocks.1.norm1.weight, blocks.1.norm1.bias, .*, …": {k: v for k, v in state.items() if "blocks.1" not in k},
        "missing: cls_token, .*; .* unexpected: a": {"a": torch.zeros(3)},
    }
    for said, change in changes.items():
        save_file(change, path)
        refused(f"dino-b16@{path}", f"w.safetensors holds no weights of VisionTransformer: .*{said}")


def test_arrays_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "w.npz"
    arrays = big_vision(published("siglip-b16"))
    deeper = big_vision(published("siglip-b16", depth=3))
    changes = {
        "holds no weights of VisionTransformer: .*MAPHead_0/probe": without(arrays, "MAPHead_0/probe"),
        "holds no weights of VisionTransformer: .*pos_embedding": without(arrays, "pos_embedding"),
        "holds the weights of another model: 3 blocks instead of 2": deeper,
        "did not find a supported JAX/Flax parameter layout": {"a": np.zeros(3)},
        "1 missing: norm.weight": arrays | {"Transformer/encoder_norm/scale": np.full(32, np.nan, np.float32)},
    }
    for said, change in changes.items():
        np.savez(path, **change)
        refused(f"siglip-b16@{path}", said)
    refused_stacked = big_vision(published("siglip-b16", depth=3), stacked=True)
    np.savez(path, **refused_stacked)
    refused(f"siglip-b16@{path}", "3 blocks instead of 2")
    np.savez(path, **arrays)
    refused(f"dino-b16@{path}", "holds no weights of VisionTransformer: .*cls")
    refused(f"timm:resnet18@{path}", "timm reads no .npz into ResNet: convert the file")


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "npz"])
def test_a_broken_file_is_one_line_and_runs_no_code(suffix, tmp_path):
    path, mark = tmp_path / f"w.{suffix}", tmp_path / "sprung"
    for content in (b"", b"<html>not found</html>", pickle.dumps(Trap(mark)), b"PK\x03\x04" + b"\x00" * 40):
        path.write_bytes(content)
        refused(f"vit-b16@{path}", f"w.{suffix} holds no weights of VisionTransformer: ")
    torch.save({"a": Trap(mark)}, path)
    refused(f"vit-b16@{path}", "holds no weights of VisionTransformer: ")
    assert not mark.exists()


def test_a_classifier_of_other_classes_is_left_out_and_nothing_else(tmp_path):
    source = published("vit-b16", num_classes=37)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    backbone = backbones.build(f"vit-b16@{tmp_path}/w.safetensors")
    left_out = load_file(tmp_path / "w.safetensors").keys() - backbone.net.state_dict().keys()
    assert backbone.classifier is None and left_out == {"head.weight", "head.bias"}
    np.savez(tmp_path / "w.npz", **big_vision(source))
    assert backbones.build(f"vit-b16@{tmp_path}/w.npz").classifier is None
