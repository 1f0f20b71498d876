"""The released checkpoints, made here in small: converted value for value, and computing what Flax would; or one line."""

import dataclasses
import itertools
import json
import tarfile

import made_bundles
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file

from humalign import cli
from humalign.errors import HumalignError
from humalign.models import backbones, export, released
from humalign.models.released import catalogue
from humalign.models.student import Student

WIDTH, DEPTH, HEADS, SIDE, PATCH, HIDDEN = 32, 11, 4, 48, 16, 128
NORM, DENSE, ATTENTION = ("bias", "scale"), ("bias", "kernel"), ("key", "out", "query", "value")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    shrink(monkeypatch)


def shrink(monkeypatch):
    """Let the catalogue's networks be small: eleven blocks, so that the second comes after the eleventh in the order of the names."""
    sizes = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "img_size": SIDE}
    for name, recipe in catalogue.NETWORKS.items():
        monkeypatch.setitem(catalogue.NETWORKS, name, dataclasses.replace(recipe, size=SIDE, options=recipe.options | sizes))


# ---- a checkpoint of the layout that was seen ------------------------------------------------------------------------

def parameters(pool="map", positions=9, triplet_head=True):
    """Names and values of all parameters in the order of their numbers, as dimpred's mapping.tsv lists them."""
    generator = np.random.default_rng(3)
    inner, split = (WIDTH, HIDDEN), (HEADS, WIDTH // HEADS)

    def norm(place):
        return {f"{place}/bias": (WIDTH,), f"{place}/scale": (WIDTH,)}

    def dense(place, inputs, outputs):
        return {f"{place}/bias": outputs, f"{place}/kernel": (*inputs, *outputs)}

    def mlp_and_attention(place):
        found = dense(f"{place}/MlpBlock_0/Dense_0", inner[:1], inner[1:]) | dense(f"{place}/MlpBlock_0/Dense_1", inner[1:], inner[:1])
        for part in ATTENTION:
            sizes = (split, inner[:1]) if part == "out" else (inner[:1], split)
            found |= dense(f"{place}/MultiHeadDotProductAttention_0/{part}", *sizes)
        return found

    shapes = {}
    if pool == "map":
        shapes |= norm("MAPHead_0/LayerNorm_0") | mlp_and_attention("MAPHead_0") | {"MAPHead_0/probe": (1, 1, WIDTH)}
    shapes |= norm("Transformer/encoder_norm")
    for number in ("0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9"):
        block = f"Transformer/encoderblock_{number}"
        shapes |= norm(f"{block}/LayerNorm_0") | norm(f"{block}/LayerNorm_1") | mlp_and_attention(block)
    if pool == "tok":
        shapes["cls"] = (1, 1, WIDTH)
    shapes |= dense("embedding", (PATCH, PATCH, 3), (WIDTH,)) | {"pos_embedding": (1, positions, WIDTH)}
    shapes = {f"model/_Model_0/{name}": shape for name, shape in shapes.items()}
    if triplet_head:
        shapes |= dense("triplet_head", (WIDTH,), (1024,))
    shapes |= norm("i1k_head/norm") | dense("i1k_head/dense", (WIDTH,), (1000,))
    return {name: generator.normal(size=shape).astype("f4") * 0.2 + (1 if name.endswith("scale") else 0) for name, shape in shapes.items()}


def numbered(values):
    return {f"variables/{number}/{made_bundles.VALUE}": array for number, array in enumerate(values.values())}


def archive(folder, arrays, name="SigLIP2-B-alignet", odd=(), **options):
    """Pack a SavedModel with these arrays as the released ones are packed."""
    made_bundles.write(folder / "made", arrays, **options)
    files = {f"{name}/variables/{path.name}": path.read_bytes() for path in sorted((folder / "made").iterdir())}
    return made_bundles.pack(folder / f"{name}.tar.gz", {f"{name}/saved_model.pb": b"a graph", **files}, odd)


# ---- what Flax computes, written out ---------------------------------------------------------------------------------

def layer_norm(values, place, x):
    spread = np.sqrt(((x - x.mean(-1, keepdims=True)) ** 2).mean(-1, keepdims=True) + 1e-6)
    return (x - x.mean(-1, keepdims=True)) / spread * values[f"{place}/scale"] + values[f"{place}/bias"]


def mlp(values, place, x, exact):
    def dense(layer, x):
        return x @ values[f"{place}/MlpBlock_0/Dense_{layer}/kernel"] + values[f"{place}/MlpBlock_0/Dense_{layer}/bias"]

    hidden = dense(0, x)
    if exact:
        return dense(1, hidden * torch.special.ndtr(torch.from_numpy(hidden)).numpy())
    return dense(1, hidden / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3))))


def attend(values, place, queries, x):
    parts = {}
    for part in ("query", "key", "value"):
        kernel, bias = (values[f"{place}/MultiHeadDotProductAttention_0/{part}/{name}"] for name in ("kernel", "bias"))
        parts[part] = np.einsum("btd,dhc->bthc", queries if part == "query" else x, kernel) + bias
    weights = np.exp(np.einsum("bqhc,bkhc->bhqk", parts["query"], parts["key"]) / np.sqrt(WIDTH // HEADS))
    mixed = np.einsum("bhqk,bkhc->bqhc", weights / weights.sum(-1, keepdims=True), parts["value"])
    kernel, bias = (values[f"{place}/MultiHeadDotProductAttention_0/out/{name}"] for name in ("kernel", "bias"))
    return np.einsum("bqhc,hcd->bqd", mixed, kernel) + bias


def flax(values, pictures, pool="map", exact=False):
    """Compute pre_logits of pictures (batch, side, side, 3) in [0, 1], in double precision."""
    values = {name.removeprefix("model/_Model_0/"): array.astype("f8") for name, array in values.items()}
    grid = SIDE // PATCH
    patches = pictures.astype("f8").reshape(-1, grid, PATCH, grid, PATCH, 3)
    x = np.einsum("byixjc,ijcd->byxd", patches, values["embedding/kernel"]).reshape(len(pictures), -1, WIDTH) + values["embedding/bias"]
    if pool == "tok":
        token = np.repeat(values["cls"], len(x), 0)
        late = values["pos_embedding"].shape[1] == x.shape[1]
        x = np.concatenate([token, x + values["pos_embedding"] if late else x], 1) + (0 if late else values["pos_embedding"])
    else:
        x = x + values["pos_embedding"]
    for number in range(DEPTH):
        block = f"Transformer/encoderblock_{number}"
        normed = layer_norm(values, f"{block}/LayerNorm_0", x)
        x = x + attend(values, block, normed, normed)
        x = x + mlp(values, block, layer_norm(values, f"{block}/LayerNorm_1", x), exact)
    x = layer_norm(values, "Transformer/encoder_norm", x)
    if pool == "map":
        x = attend(values, "MAPHead_0", np.repeat(values["MAPHead_0/probe"], len(x), 0), x)
        x = x + mlp(values, "MAPHead_0", layer_norm(values, "MAPHead_0/LayerNorm_0", x), exact)
    return x.mean(1) if pool == "gap" else x[:, 0]


def same_features(backbone, values, **options):
    pictures = np.random.default_rng(5).uniform(size=(2, SIDE, SIDE, 3)).astype("f4")
    features = backbone(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    wanted = flax(values, pictures, **options)
    np.testing.assert_allclose(features.numpy(), wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())
    return features, wanted


# ---- converted -------------------------------------------------------------------------------------------------------

def test_there_are_24_and_each_is_known_by_the_name_of_its_archive():
    every = list(released.students())
    assert len(every) == len(set(every)) == 24
    assert {stage for _, stage, _ in every} == {"base", "unaligned", "aligned"}
    assert all(released.stage_of(f"{name}.tar.gz") == released.stage_of(name) == (model, stage) for model, stage, name in every)
    assert released.stage_of("CLIP-Vit-B-untransformed.tar.gz") == ("CLIP-Vit-B", "unaligned"), "as the official README spells it"
    assert {entry.like for entry in released.MODELS.values()} <= backbones.recipes().keys()


@pytest.mark.parametrize("shards", [1, 2])
def test_the_seen_layout_is_converted_value_for_value(shards, tmp_path):
    values = parameters()
    assert len(values) == 13 + 16 * DEPTH + 13, "as 218 with twelve blocks"
    folder = released.convert(archive(tmp_path, numbered(values), shards=shards), tmp_path / "converted")
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json", "README.md", export.HEAD, export.CLASSIFIER}
    state = load_file(folder / "model.safetensors")

    def has(name, *places, how=lambda array: array):
        wanted = np.concatenate([how(values[f"model/_Model_0/{place}"]) for place in places])
        assert np.array_equal(state.pop(name).numpy(), wanted), name

    def projected(kernel):
        return kernel.reshape(WIDTH, -1).T if kernel.ndim == 3 else kernel.reshape(-1)

    def outward(kernel):
        return kernel.reshape(-1, WIDTH).T

    def norm_mlp_out(ours, theirs, norms):
        for norm, place in norms.items():
            has(f"{ours}.{norm}.weight", f"{theirs}/{place}/scale")
            has(f"{ours}.{norm}.bias", f"{theirs}/{place}/bias")
        for layer in (0, 1):
            has(f"{ours}.mlp.fc{layer + 1}.weight", f"{theirs}/MlpBlock_0/Dense_{layer}/kernel", how=np.transpose)
            has(f"{ours}.mlp.fc{layer + 1}.bias", f"{theirs}/MlpBlock_0/Dense_{layer}/bias")
        out = "attn.proj" if ours.startswith("blocks") else "proj"
        has(f"{ours}.{out}.weight", f"{theirs}/MultiHeadDotProductAttention_0/out/kernel", how=outward)
        has(f"{ours}.{out}.bias", f"{theirs}/MultiHeadDotProductAttention_0/out/bias")

    has("patch_embed.proj.weight", "embedding/kernel", how=lambda kernel: kernel.transpose(3, 2, 0, 1))
    has("patch_embed.proj.bias", "embedding/bias")
    has("pos_embed", "pos_embedding")
    has("norm.weight", "Transformer/encoder_norm/scale")
    has("norm.bias", "Transformer/encoder_norm/bias")
    has("attn_pool.latent", "MAPHead_0/probe")
    norm_mlp_out("attn_pool", "MAPHead_0", {"norm": "LayerNorm_0"})
    for number, part in itertools.product(range(DEPTH), ("weight", "bias")):
        place, name = f"Transformer/encoderblock_{number}", "kernel" if part == "weight" else "bias"
        parts = [f"{place}/MultiHeadDotProductAttention_0/{each}/{name}" for each in ("query", "key", "value")]
        has(f"blocks.{number}.attn.qkv.{part}", *parts, how=projected)
        if part == "weight":
            norm_mlp_out(f"blocks.{number}", place, {"norm1": "LayerNorm_0", "norm2": "LayerNorm_1"})
    for part, name in (("weight", "kernel"), ("bias", "bias")):
        head = "MAPHead_0/MultiHeadDotProductAttention_0"
        has(f"attn_pool.q.{part}", f"{head}/query/{name}", how=projected)
        has(f"attn_pool.kv.{part}", f"{head}/key/{name}", f"{head}/value/{name}", how=projected)
    assert not state, "and nothing else is in the file"
    head = load_file(folder / export.HEAD)
    assert np.array_equal(head["weight"].numpy(), values["triplet_head/kernel"].T)
    assert np.array_equal(head["bias"].numpy(), values["triplet_head/bias"])


def test_the_converted_model_computes_what_flax_would(tmp_path):
    values = parameters()
    folder = released.convert(archive(tmp_path, numbered(values)), tmp_path / "converted")
    backbone = released.backbone(folder)
    assert (backbone.name, backbone.size, len(backbone.stages)) == ("SigLIP2-B", SIDE, DEPTH + 2)
    assert "WebLI" in backbone.recipe.trained_on and "seen" in backbone.recipe.source
    features, wanted = same_features(backbone, values)
    normed = layer_norm(values, "i1k_head/norm", wanted)
    logits = normed @ values["i1k_head/dense/kernel"] + values["i1k_head/dense/bias"]
    np.testing.assert_allclose(backbone.classifier(features).numpy(), logits, rtol=1e-4, atol=1e-5 * np.abs(logits).max())

    pixels = torch.rand(2, 3, SIDE, SIDE)
    again = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    torch.testing.assert_close(again(pixels), backbone(pixels))
    torch.testing.assert_close(Student.of(backbone, 3).features(backbone.stages[:3](pixels)), backbone(pixels), rtol=1e-4, atol=1e-5)
    said = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    assert (said["mean"], said["std"], said["crop_mode"]) == ([0, 0, 0], [1, 1, 1], "squash")


@pytest.mark.parametrize(
    ("model", "pool", "positions", "exact"),
    [("SigLIP-B", "map", 9, False), ("CapPa-B", "gap", 9, False), ("ViT-B", "tok", 9, False), ("Scratch-B", "tok", 10, False),
     ("DINOv1-B", "tok", 10, True), ("Scratch-B", "map", 9, False)],
)
def test_a_model_that_was_not_seen_is_pooled_as_its_variables_say(model, pool, positions, exact, tmp_path):
    values = parameters(pool, positions)
    folder = released.convert(archive(tmp_path, numbered(values), f"{model}-untransformed"), tmp_path / "converted")
    backbone = released.backbone(folder)
    same_features(backbone, values, pool=pool, exact=exact)
    text = (folder / "README.md").read_text()
    assert f"# {model}, unaligned, as released" in text and "| layout | assumed, for its archives have not been seen" in text


def test_a_base_model_may_lack_the_triplet_head_and_an_aligned_one_may_not(tmp_path):
    values = parameters(triplet_head=False)
    folder = released.convert(archive(tmp_path, numbered(values), "SigLIP-B-base_model"), tmp_path / "base")
    assert not (folder / export.HEAD).exists() and export.HEAD not in (folder / "README.md").read_text()
    same_features(released.backbone(folder), values)
    said = r"SigLIP-B-alignet.tar.gz has another layout than SigLIP-B .*: \d+ things do not fit: .*missing"
    refused(archive(tmp_path, numbered(values), "SigLIP-B-alignet"), tmp_path, said)


def test_variables_with_names_are_taken_by_name(tmp_path):
    values = parameters()
    arrays = {f"parameters/{name}/{made_bundles.VALUE}": values[name] for name in sorted(values)}
    arrays |= {f"save_counter/{made_bundles.VALUE}": np.int64(1), f"step/{made_bundles.VALUE}": np.float32(1)}
    same_features(released.backbone(released.convert(archive(tmp_path, arrays), tmp_path / "converted")), values)
    del arrays[f"parameters/triplet_head/bias/{made_bundles.VALUE}"]
    refused(archive(tmp_path, arrays), tmp_path, "1 things do not fit: triplet_head/bias missing$")


def test_half_precision_is_converted_to_the_same_values(tmp_path):
    values = {name: array.astype("f2") for name, array in parameters().items()}
    folder = released.convert(archive(tmp_path, numbered(values)), tmp_path / "converted")
    position = load_file(folder / "model.safetensors")["pos_embed"].numpy()
    assert position.dtype == np.float32 and np.array_equal(position, values["model/_Model_0/pos_embedding"].astype("f4"))


def test_a_second_conversion_does_nothing_and_a_folder_of_something_else_is_kept(tmp_path):
    path = archive(tmp_path, numbered(parameters()))
    folder = released.convert(path, tmp_path / "converted")
    before = {each.name: each.stat().st_mtime_ns for each in folder.iterdir()}
    assert released.convert(path, folder) == folder
    assert before == {each.name: each.stat().st_mtime_ns for each in folder.iterdir()}
    other = archive(tmp_path, numbered(parameters()), "SigLIP-B-untransformed")
    with pytest.raises(HumalignError, match="converted holds something already: name a folder that is new or empty"):
        released.convert(other, folder)
    renamed = other.rename(tmp_path / "download.bin")
    with pytest.raises(HumalignError, match=r"'download.bin' is none of the released checkpoints"):
        released.convert(renamed, tmp_path / "renamed")
    folder = released.convert(renamed, tmp_path / "renamed", "SigLIP-B-untransformed")
    assert "/SigLIP-B-untransformed.tar.gz |" in (folder / "README.md").read_text()
    with pytest.raises(HumalignError, match="renamed holds something already"):
        released.convert(renamed, folder, "SigLIP-B-alignet")


def test_a_base_model_is_compared_with_its_public_weights(tmp_path, monkeypatch, capsys):
    """The order of variables that have no names is known by their values."""
    sizes = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "img_size": SIDE}
    small = {name: dataclasses.replace(recipe, options=recipe.options | sizes) for name, recipe in backbones.recipes().items()}
    monkeypatch.setattr(backbones, "recipes", lambda: small)
    monkeypatch.setenv("HUMALIGN_WEIGHTS", str(tmp_path))
    values = parameters()
    tower = {name.removeprefix("model/_Model_0/"): array for name, array in values.items()}
    np.savez(tmp_path / "siglip-b16.npz", **{name: array.astype("f2").astype("f4") for name, array in tower.items()})
    path = archive(tmp_path, numbered(values), "SigLIP-B-base_model")
    assert cli.main(["convert", str(path), str(tmp_path / "base"), "--compare"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == f"{18 + 12 * DEPTH} tensors, 0 other than in the public weights of siglip-b16"

    first, second = (f"Transformer/encoderblock_5/MultiHeadDotProductAttention_0/{part}/kernel" for part in ("key", "value"))
    np.savez(tmp_path / "siglip-b16.npz", **tower | {first: tower[second], second: tower[first]})
    assert released.compare(tmp_path / "base") == ("siglip-b16", 18 + 12 * DEPTH, ["blocks.5.attn.qkv.weight"])
    assert cli.main(["convert", str(path), str(tmp_path / "base"), "--compare"]) == 1
    assert "1 other than in the public weights of siglip-b16: blocks.5.attn.qkv.weight" in capsys.readouterr().out
    for name in ("SigLIP-B-alignet", "Scratch-B-base_model"):
        folder = released.convert(archive(tmp_path, numbered(values), name), tmp_path / name)
        with pytest.raises(HumalignError, match="holds a model without public weights: compare a base_model"):
            released.compare(folder)


def test_the_card_says_source_licence_and_how_sure_the_layout_is(tmp_path):
    path = archive(tmp_path, numbered(parameters()))
    text = (released.convert(path, tmp_path / "converted") / "README.md").read_text()
    for said in ("# SigLIP2-B, aligned, as released", "https://storage.googleapis.com/alignet/models/SigLIP2-B-alignet.tar.gz",
                 "CC BY 4.0", "before alignment: Apache-2.0", "| layout | seen: ", "values are unchanged", f"squashed to {SIDE} × {SIDE}"):
        assert said in text, said


# ---- what can go wrong -----------------------------------------------------------------------------------------------

def refused(path, folder, said):
    target = folder / "refused"
    with pytest.raises(HumalignError, match=said) as caught:
        released.convert(path, target)
    assert "\n" not in str(caught.value)
    assert not target.exists() and not list(folder.glob(".refused*")), "and nothing is left of the attempt"


def test_variables_that_do_not_fit_are_named(tmp_path):
    values = parameters()
    kernel, bias = "model/_Model_0/embedding/kernel", "model/_Model_0/Transformer/encoderblock_3/LayerNorm_1/bias"
    changes = {
        r"1 things do not fit: variable 202 left over": values | {"more": np.zeros(3, "f4")},
        rf"1 things do not fit: {bias} \(5,\) instead of \(32,\)": values | {bias: np.zeros(5, "f4")},
        r"i1k_head/dense/kernel missing, .*instead of": {name: array for name, array in values.items() if name != kernel},
        r"things do not fit: .* missing, .*, …": dict(list(values.items())[:5]),
    }
    for said, change in changes.items():
        refused(archive(tmp_path, numbered(change)), tmp_path, f"SigLIP2-B-alignet.tar.gz has another layout than SigLIP2-B .*{said}")
    gap = {key: array for key, array in numbered(values).items() if not key.startswith("variables/7/")}
    refused(archive(tmp_path, gap), tmp_path, r"1 things do not fit: model/_Model_0/MAPHead_0/.*/key/kernel missing$")


def test_a_value_that_is_no_number_is_refused(tmp_path):
    values = parameters()
    values["model/_Model_0/embedding/bias"][3] = np.nan
    refused(archive(tmp_path, numbered(values)), tmp_path, "holds no weights of VisionTransformer: 1 missing: patch_embed.proj.bias")


@pytest.mark.parametrize("model", ["DINOv2-B", "CLIP-Vit-B"])
def test_a_model_of_unknown_layout_says_so(model, tmp_path):
    path = archive(tmp_path, numbered(parameters()), f"{model}-alignet")
    refused(path, tmp_path, rf"{model}-alignet.tar.gz with its 202 arrays cannot be converted: the layout of {model} is unknown: ")


def test_an_archive_that_is_none_is_one_line(tmp_path):
    path = archive(tmp_path, numbered(parameters()))
    whole = path.read_bytes()
    for content in (b"", b"<!doctype html><html>sign in</html>", whole[: len(whole) // 2], whole[:200], b"\x1f\x8b" + b"\0" * 90):
        path.write_bytes(content)
        refused(path, tmp_path, "SigLIP2-B-alignet.tar.gz .*: download it again$")
    path.write_bytes(whole[:-30000] + bytes(20000) + whole[-10000:])
    refused(path, tmp_path, "download it again$")
    path.unlink()
    refused(path, tmp_path, "cannot read .*No such file or directory.*: download it from https://storage.googleapis.com/alignet/models/")
    refused(made_bundles.pack(path, {"a/saved_model.pb": b""}), tmp_path, "holds no variables/variables.index: name an archive of a Saved")
    twice = {f"{folder}/variables/variables.index": b"" for folder in "ab"}
    refused(made_bundles.pack(path, twice), tmp_path, "holds more than one SavedModel")


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [("../../evil", tarfile.REGTYPE, ""), ("/etc/evil", tarfile.REGTYPE, ""),
     ("m/variables/variables.index", tarfile.SYMTYPE, "/etc/passwd"),
     ("m/link", tarfile.LNKTYPE, "m/saved_model.pb"), ("m/pipe", tarfile.FIFOTYPE, "")],
)
def test_a_member_that_leads_out_of_the_archive_is_refused(name, kind, target, tmp_path):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    path = archive(tmp_path, numbered(parameters()), odd=[member])
    refused(path, tmp_path, rf"holds '{name}', a link or a path that leads out of it")


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    path = archive(tmp_path, numbered(parameters()))
    monkeypatch.setattr("shutil.copyfileobj", full)
    refused(path, tmp_path, "no space left for .*: free some")


def test_a_folder_that_was_not_converted_is_one_line(tmp_path):
    with pytest.raises(HumalignError, match=r"holds no released model: run `humalign convert ARCHIVE .*` first"):
        released.backbone(tmp_path)
    folder = released.convert(archive(tmp_path, numbered(parameters())), tmp_path / "converted")
    (folder / "model.safetensors").unlink()
    with pytest.raises(HumalignError, match="cannot build SigLIP2-B"):
        released.backbone(folder)


# ---- the command -----------------------------------------------------------------------------------------------------

def test_convert_writes_the_folder_and_says_where(tmp_path, capsys):
    path = archive(tmp_path, numbered(parameters()))
    assert cli.main(["convert", str(path), str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out")
    assert released.backbone(tmp_path / "out").name == "SigLIP2-B"
    assert cli.main(["convert", str(tmp_path / "none"), str(tmp_path / "other"), "--name", "SigLIP-B-algnet"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "did you mean 'SigLIP-B-alignet'" in error
