"""Which variable of an archive is which parameter of big_vision's ViT: by name where they have names, else by number and shape.

The order of numbered variables is that in which JAX flattens a tree of parameters: by name, level by level, so that block 10 comes
before block 2. The image tower comes first, then the triplet head, then the ImageNet classifier, its norm before its layer.
Source: training/alignet/mapping.tsv of dimpred.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from humalign.models.student import HEAD_DIM

TOWER, TRIPLET_HEAD, CLASSIFIER = "model/_Model_0/", "triplet_head", "i1k_head"
CLASSES = 1000
# What TensorFlow puts behind the path of a variable.
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"

Shapes = dict[str, tuple[int, ...]]


def layouts(net: Any, stage: str) -> list[Shapes]:
    """Return the layouts that an archive may have: names and shapes of all parameters, in the order of their numbers.

    Args:
        net: timm's network of these sizes.
        stage: a ``base`` may lack the triplet head, which alignment put there.
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
