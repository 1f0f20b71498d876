"""The 24 released checkpoints: eight models in three stages, how sure it is how each is built, and layouts.

They are archives of TensorFlow SavedModels, exported from JAX; their variables have numbers instead of names.
Only SigLIP2-B's have been read by anyone who says so: dimpred (github.com/ViCCo-Group/dimpred,
training/alignet) gives the order of its 218 variables, and found its port's outputs equal to TensorFlow's.
The others are assumed to be big_vision's ViT, with the pooling that fits the archive, or they are refused.

Variables with names are found by these, numbered ones by number and shape. Their order is that in which JAX
flattens a tree of parameters: by name, level by level, so that block 10 comes before block 2. The image tower
comes first, then the triplet head, then the ImageNet classifier, norm first (mapping.tsv of dimpred).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from humalign.errors import HumalignError, nearest
from humalign.models.backbones import Recipe
from humalign.models.student import HEAD_DIM

# As the tables name the stages, and as the archives are named.
STAGES = {"base": "base_model", "unaligned": "untransformed", "aligned": "alignet"}
HOME = "https://storage.googleapis.com/alignet/models/"


def _network(model: str, penultimate: str, **options: object) -> Recipe:
    # Values in [0, 1] are taken as they are: see the official data pipeline, and dimpred's port.
    plain = Recipe("timm", model, 224, (0.0,) * 3, (1.0,) * 3, None, "big_vision, models/vit.py")
    return dataclasses.replace(plain, penultimate=penultimate, options=options, features=768)


VIT, TANH = "vit_base_patch16_224", {"act_layer": "gelu_tanh"}
MEAN = {"class_token": False, "global_pool": "avg", "fc_norm": False}
# big_vision's ViT-B/16 with each of its poolings. In its MLPs GELU is the tanh approximation.
NETWORKS = {
    "map": _network("vit_base_patch16_siglip_224", "output of the attention pooling (MAP head)", **TANH),
    "gap": _network(VIT, "mean of the patches after the last norm", **TANH, **MEAN),
    "tok": _network(VIT, "class token after the last norm", **TANH),
    # The same with the exact GELU, which DINO was trained with.
    "tok-exact": _network(VIT, "class token after the last norm"),
}


@dataclasses.dataclass(frozen=True)
class Released:
    """One of the eight models."""

    like: str  #: the registered backbone that it was before alignment.
    licence: str  #: of that model, after the licence file of the released ones.
    networks: tuple[str, ...]  #: of ``NETWORKS``, those that it may be.
    known: str  #: how sure that is.


POOLINGS = ("map", "gap", "tok")
UNSEEN = "assumed, for its archives have not been seen"
ASSUMED = f"{UNSEEN}; big_vision's ViT with the pooling that fits their variables"
ATTENDED = f"{UNSEEN}; the official configuration pools by attention"
EXACT = f"{ASSUMED}; exact GELU, as DINO was trained with"
SEEN = "seen: the order of SigLIP2-B-alignet's variables, and what it computes"
UNKNOWN = "unknown: big_vision's ViT has no place for {}, and nobody has published the order of the variables"
MODELS = {
    "SigLIP-B": Released("siglip-b16", "Apache-2.0", ("map",), ATTENDED),
    "SigLIP2-B": Released("siglip2-b16", "Apache-2.0", ("map",), SEEN),
    "DINOv1-B": Released("dino-b16", "Apache-2.0", ("tok-exact",), EXACT),
    "DINOv2-B": Released("dinov2-b14", "Apache-2.0", (), UNKNOWN.format("its layer scales")),
    "CapPa-B": Released("cappa-b16", "Apache-2.0", POOLINGS, ASSUMED),
    "ViT-B": Released("vit-b16", "not stated", POOLINGS, ASSUMED),
    "CLIP-Vit-B": Released("clip-b16", "MIT", (), UNKNOWN.format("the norm before its first block")),
    "Scratch-B": Released("scratch-b16", "not stated", POOLINGS, ASSUMED),
}


def students() -> Iterator[tuple[str, str, str]]:
    """Yield model, stage (of ``STAGES``) and archive (as ``SigLIP-B-base_model``) of each checkpoint."""
    for model in MODELS:
        for stage, suffix in STAGES.items():
            yield model, stage, f"{model}-{suffix}"


def stage_of(archive: str) -> tuple[str, str]:
    """Return model and stage of one of the 24 archives by its name, which may have ``.tar.gz`` behind it."""
    name = re.sub(r"\.(tar\.gz|tgz)$", "", archive)
    # The official README and the address of the archive differ in the case of CLIP's letters.
    known = {each.lower(): (model, stage) for model, stage, each in students()}
    if name.lower() not in known:
        mend = f"{nearest(name, [each for _, _, each in students()])}; keep the name of its address"
        raise HumalignError(f"{archive!r} is none of the released checkpoints: {mend}")
    return known[name.lower()]


# ---- variables ---------------------------------------------------------------------------------------------

TOWER, TRIPLET_HEAD, CLASSIFIER = "model/_Model_0/", "triplet_head", "i1k_head"
CLASSES = 1000
# What TensorFlow puts behind the path of a variable.
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"

Shapes = dict[str, tuple[int, ...]]


def layouts(net: Any, stage: str) -> list[Shapes]:
    """Return the layouts that an archive may have: names and shapes of all parameters, in order.

    That of a ``base`` may lack the triplet head, which alignment put there.
    """
    towers, positions = [_tower(net)], f"{TOWER}pos_embedding"
    if net.cls_token is not None:
        # big_vision's class token has no position of its own; that of the first ViTs has one.
        _, tokens, width = towers[0][positions]
        towers.append(towers[0] | {positions: (1, tokens - 1, width)})
    classifier = _norm(f"{CLASSIFIER}/norm", net.embed_dim)
    classifier |= _dense(f"{CLASSIFIER}/dense", (net.embed_dim,), (CLASSES,))
    triplets = _dense(TRIPLET_HEAD, (net.embed_dim,), (HEAD_DIM,))
    heads = [triplets | classifier, *([classifier] if stage == "base" else [])]
    return [tower | head for tower in towers for head in heads]


def assign(arrays: dict[str, np.ndarray], layout: Shapes) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the arrays under a layout's names, and what is missing, left over or of another shape."""
    written = re.compile(rf"variables/(\d+){re.escape(VALUE)}")
    numbers = {int(place[1]): arrays[key] for key in arrays if (place := written.fullmatch(key))}
    if numbers:
        # Each is named by its place; one beyond the last keeps its number.
        names = dict(enumerate(layout))
        found = {names.get(place, f"variable {place}"): numbers[place] for place in sorted(numbers)}
    else:
        found = _by_name(arrays, layout)
    shapes = {name: array.shape for name, array in found.items()}
    other = [name for name, shape in layout.items() if shapes.get(name, shape) != shape]
    return found, [
        *(f"{name} missing" for name in layout if name not in found),
        *(f"{name} left over" for name in found if name not in layout),
        *(f"{name} {shapes[name]} instead of {layout[name]}" for name in other),
    ]


def _by_name(arrays: dict[str, np.ndarray], layout: Shapes) -> dict[str, np.ndarray]:
    """Take the names from the keys, without what stands before the parameters' tree."""
    plain = {key.removesuffix(VALUE): array for key, array in arrays.items()}
    ends = [(key, name) for name in layout for key in plain if key.endswith(f"/{name}")][:1]
    before = ends[0][0].removesuffix(ends[0][1]) if ends else ""
    # Whole numbers and single ones are counters and settings.
    values = [key for key, array in plain.items() if array.ndim and array.dtype.kind == "f"]
    return {key.removeprefix(before): plain[key] for key in values}


# ---- names and shapes --------------------------------------------------------------------------------------


def _tower(net: Any) -> Shapes:
    """Return big_vision's names of an image tower, with the shapes that Flax gives its parameters."""
    width, (_, tokens, _) = net.embed_dim, net.pos_embed.shape
    kernel = (*net.patch_embed.proj.kernel_size, net.patch_embed.proj.in_channels)
    found = _dense("embedding", kernel, (width,)) | _norm("Transformer/encoder_norm", width)
    found["pos_embedding"] = (1, tokens, width)
    if net.cls_token is not None:
        found["cls"] = (1, 1, width)
    for number, block in enumerate(net.blocks):
        place = f"Transformer/encoderblock_{number}"
        found |= _norm(f"{place}/LayerNorm_0", width) | _norm(f"{place}/LayerNorm_1", width)
        found |= _mlp(place, block.mlp) | _attention(place, block.attn)
    if net.attn_pool is not None:
        found |= {"MAPHead_0/probe": (1, 1, width)} | _norm("MAPHead_0/LayerNorm_0", width)
        found |= _mlp("MAPHead_0", net.attn_pool.mlp) | _attention("MAPHead_0", net.attn_pool)
    return {TOWER + name: found[name] for name in sorted(found, key=lambda name: name.split("/"))}


def _dense(place: str, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Shapes:
    return {f"{place}/bias": outputs, f"{place}/kernel": (*inputs, *outputs)}


def _norm(place: str, width: int) -> Shapes:
    return {f"{place}/bias": (width,), f"{place}/scale": (width,)}


def _mlp(place: str, mlp: Any) -> Shapes:
    width, hidden = (mlp.fc1.in_features,), (mlp.fc1.out_features,)
    place = f"{place}/MlpBlock_0"
    return _dense(f"{place}/Dense_0", width, hidden) | _dense(f"{place}/Dense_1", hidden, width)


def _attention(place: str, attention: Any) -> Shapes:
    width, heads = (attention.proj.out_features,), (attention.num_heads, attention.head_dim)
    place = f"{place}/MultiHeadDotProductAttention_0"
    inward = [_dense(f"{place}/{part}", width, heads) for part in ("key", "query", "value")]
    return inward[0] | inward[1] | inward[2] | _dense(f"{place}/out", heads, width)
