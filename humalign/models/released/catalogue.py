"""The 24 released checkpoints: eight models in three stages, how sure it is how each is built, and layouts.

They are archives of TensorFlow SavedModels, exported from JAX, and their variables have numbers instead of names. Only
SigLIP2-B's have been read by anyone who says so: dimpred (github.com/ViCCo-Group/dimpred, training/alignet) gives the order of its
218 variables, and found the outputs of its port equal to TensorFlow's. Of the other models it is assumed that they are
big_vision's ViT, with whichever of its poolings fits the archive; one that fits none of them is refused.

Variables with names are found by these, numbered ones by number and shape. Their order is that in which JAX
flattens a tree of parameters: by name, level by level, so that block 10 comes before block 2. The image tower
comes first, then the triplet head, then the ImageNet classifier, its norm before its layer. Source:
training/alignet/mapping.tsv of dimpred.
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
    # The exported models take values in [0, 1] as they are: the official training's data pipeline, and dimpred's port of SigLIP2-B.
    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "weights": None, "features": 768}
    return Recipe("timm", model, 224, source="big_vision, models/vit.py", penultimate=penultimate, options=options, **plain)  # type: ignore[arg-type]


# big_vision's ViT-B/16 with each of its poolings. In its MLPs GELU is the tanh approximation.
NETWORKS = {
    "map": _network("vit_base_patch16_siglip_224", "output of the attention pooling (MAP head)", act_layer="gelu_tanh"),
    "gap": _network(
        "vit_base_patch16_224",
        "mean of the patches after the last norm",
        act_layer="gelu_tanh",
        class_token=False,
        global_pool="avg",
        fc_norm=False,
    ),
    "tok": _network("vit_base_patch16_224", "class token after the last norm", act_layer="gelu_tanh"),
    # The same with the exact GELU, which DINO was trained with.
    "tok-exact": _network("vit_base_patch16_224", "class token after the last norm"),
}


@dataclasses.dataclass(frozen=True)
class Released:
    """One of the eight models.

    Attributes:
        like: the registered backbone that it was before alignment.
        licence: of that model, after the licence file of the released ones.
        networks: of ``NETWORKS``, those that it may be.
        known: how sure that is.
    """

    like: str
    licence: str
    networks: tuple[str, ...]
    known: str


POOLINGS = ("map", "gap", "tok")
UNSEEN = "assumed, for its archives have not been seen"
ASSUMED = f"{UNSEEN}; big_vision's ViT with the pooling that fits their variables"
UNKNOWN = "unknown: big_vision's ViT has no place for {}, and nobody has published the order of the variables"
MODELS = {
    "SigLIP-B": Released("siglip-b16", "Apache-2.0", ("map",), f"{UNSEEN}; the official configuration pools by attention"),
    "SigLIP2-B": Released("siglip2-b16", "Apache-2.0", ("map",), "seen: the order of SigLIP2-B-alignet's variables, and what it computes"),
    "DINOv1-B": Released("dino-b16", "Apache-2.0", ("tok-exact",), f"{ASSUMED}; exact GELU, as DINO was trained with"),
    "DINOv2-B": Released("dinov2-b14", "Apache-2.0", (), UNKNOWN.format("its layer scales")),
    "CapPa-B": Released("cappa-b16", "Apache-2.0", POOLINGS, ASSUMED),
    "ViT-B": Released("vit-b16", "not stated", POOLINGS, ASSUMED),
    "CLIP-Vit-B": Released("clip-b16", "MIT", (), UNKNOWN.format("the norm before its first block")),
    "Scratch-B": Released("scratch-b16", "not stated", POOLINGS, ASSUMED),
}


def students() -> Iterator[tuple[str, str, str]]:
    """Yield model, stage (``base``, ``unaligned``, ``aligned``) and archive (``SigLIP-B-base_model``) of each checkpoint."""
    for model in MODELS:
        for stage, suffix in STAGES.items():
            yield model, stage, f"{model}-{suffix}"


def stage_of(archive: str) -> tuple[str, str]:
    """Return model and stage of one of the 24 archives by its name, which may have ``.tar.gz`` behind it."""
    name = re.sub(r"\.(tar\.gz|tgz)$", "", archive)
    # The official README and the address of the archive differ in the case of CLIP's letters.
    known = {each.lower(): (model, stage) for model, stage, each in students()}
    if name.lower() not in known:
        names = [each for _, _, each in students()]
        raise HumalignError(f"{archive!r} is none of the released checkpoints: {nearest(name, names)}; keep the name of its address")
    return known[name.lower()]


# ---- variables ---------------------------------------------------------------------------------------------

TOWER, TRIPLET_HEAD, CLASSIFIER = "model/_Model_0/", "triplet_head", "i1k_head"
CLASSES = 1000
# What TensorFlow puts behind the path of a variable.
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"

Shapes = dict[str, tuple[int, ...]]


def layouts(net: Any, stage: str) -> list[Shapes]:
    """Return the layouts that an archive may have: names and shapes of all parameters, in the order of their numbers.

    That of a ``base`` may lack the triplet head, which alignment put there.
    """
    towers = [_tower(net)]
    if net.cls_token is not None:
        # big_vision adds the class token behind the positions, so that it has none of its own; the first ViTs gave it one.
        _, tokens, width = towers[0]["pos_embedding"]
        towers.append(towers[0] | {"pos_embedding": (1, tokens - 1, width)})
    classifier = _norm(f"{CLASSIFIER}/norm", net.embed_dim) | _dense(f"{CLASSIFIER}/dense", (net.embed_dim,), (CLASSES,))
    triplets = _dense(TRIPLET_HEAD, (net.embed_dim,), (HEAD_DIM,))
    heads = [triplets | classifier, *([classifier] if stage == "base" else [])]
    return [{TOWER + name: shape for name, shape in tower.items()} | head for tower in towers for head in heads]


def assign(arrays: dict[str, np.ndarray], layout: Shapes) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the arrays under the names of a layout, and what is missing, left over or of another shape: nothing, where they fit."""
    numbers = {int(key.split("/")[1]): array for key, array in arrays.items() if re.fullmatch(rf"variables/\d+{re.escape(VALUE)}", key)}
    found = _by_number(numbers, layout) if numbers else _by_name(arrays, layout)
    return found, _wrong({name: array.shape for name, array in found.items()}, layout)


def _by_number(numbers: dict[int, np.ndarray], layout: Shapes) -> dict[str, np.ndarray]:
    """Give each array the name at its place; one beyond the last keeps its number."""
    names = dict(enumerate(layout))
    return {names.get(number, f"variable {number}"): numbers[number] for number in sorted(numbers)}


def _by_name(arrays: dict[str, np.ndarray], layout: Shapes) -> dict[str, np.ndarray]:
    """Take the names from the keys, without what stands before the parameters' tree."""
    plain = {key.removesuffix(VALUE): array for key, array in arrays.items()}
    ends = [(key, name) for name in layout for key in plain if key.endswith(f"/{name}")][:1]
    before = ends[0][0].removesuffix(ends[0][1]) if ends else ""
    # Whole numbers and single ones are counters and settings.
    return {key.removeprefix(before): array for key, array in plain.items() if array.ndim and array.dtype.kind == "f"}


def _wrong(found: Shapes, layout: Shapes) -> list[str]:
    return [
        *(f"{name} missing" for name in layout if name not in found),
        *(f"{name} left over" for name in found if name not in layout),
        *(f"{name} {found[name]} instead of {layout[name]}" for name in layout if name in found and found[name] != layout[name]),
    ]


# ---- names and shapes ------------------------------------------------------------------------------------------------


def _tower(net: Any) -> Shapes:
    """Return big_vision's names of an image tower, with the shapes that Flax gives its parameters."""
    width, (_, tokens, _) = net.embed_dim, net.pos_embed.shape
    kernel = (*net.patch_embed.proj.kernel_size, net.patch_embed.proj.in_channels)
    found = _dense("embedding", kernel, (width,)) | {"pos_embedding": (1, tokens, width)} | _norm("Transformer/encoder_norm", width)
    if net.cls_token is not None:
        found["cls"] = (1, 1, width)
    for number, block in enumerate(net.blocks):
        place = f"Transformer/encoderblock_{number}"
        found |= _norm(f"{place}/LayerNorm_0", width) | _norm(f"{place}/LayerNorm_1", width)
        found |= _mlp(place, block.mlp) | _attention(place, block.attn)
    if net.attn_pool is not None:
        found |= {"MAPHead_0/probe": (1, 1, width)} | _norm("MAPHead_0/LayerNorm_0", width)
        found |= _mlp("MAPHead_0", net.attn_pool.mlp) | _attention("MAPHead_0", net.attn_pool)
    return {name: found[name] for name in sorted(found, key=lambda name: name.split("/"))}


def _dense(place: str, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Shapes:
    return {f"{place}/bias": outputs, f"{place}/kernel": (*inputs, *outputs)}


def _norm(place: str, width: int) -> Shapes:
    return {f"{place}/bias": (width,), f"{place}/scale": (width,)}


def _mlp(place: str, mlp: Any) -> Shapes:
    width, hidden = (mlp.fc1.in_features,), (mlp.fc1.out_features,)
    return _dense(f"{place}/MlpBlock_0/Dense_0", width, hidden) | _dense(f"{place}/MlpBlock_0/Dense_1", hidden, width)


def _attention(place: str, attention: Any) -> Shapes:
    width, heads = (attention.proj.out_features,), (attention.num_heads, attention.head_dim)
    place = f"{place}/MultiHeadDotProductAttention_0"
    inward = [_dense(f"{place}/{part}", width, heads) for part in ("key", "query", "value")]
    return inward[0] | inward[1] | inward[2] | _dense(f"{place}/out", heads, width)
