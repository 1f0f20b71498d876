"""What is known of a backbone: how it is built, how it wants its pictures, and where it is cut into stages.

A network is cut so that its first stages can be frozen and the others trained. The stages are a network's own
modules and parameters, run by its own methods in its own order: together they give what the whole network
gives, to the bit. A network whose kind is not known here stays in one stage.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import numbers
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from humalign.errors import HumalignError, nearest

HUB = "hub"
# Values in [0, 1] spread by .5 at most; taken as they are, std is 1; those in 0 to 255 spread by about 60.
LARGEST_STD = 4.0


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to build one backbone, and what is known of it."""

    library: str  #: ``timm``, ``open_clip`` or ``module``.
    model: str  #: the library's name for it.
    size: int  #: input side in pixels.
    mean: tuple[float, ...]  #: with ``std``, the normalisation of values in [0, 1].
    std: tuple[float, ...]
    weights: str | None  #: a registered source, ``hub``, or None for random ones, which ``seed`` fixes.
    source: str  #: where these settings are from.
    seed: int = 0
    #: Of the library's constructor, where it would build the model otherwise.
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    interpolation: str = "bicubic"  #: as the official pipeline has it, or another filter of Pillow.
    features: int | None = None  #: width of the penultimate layer.
    penultimate: str = ""  #: what that layer is.
    trained_on: str = "not stated"
    licence: str = "not stated"
    missing: str = ""  #: why there are no weights to load, where a file must be named.


@dataclasses.dataclass(frozen=True)
class Built:
    """What a library gives for a recipe: the whole network, its stages, and its classifier, if any."""

    recipe: Recipe
    net: nn.Module
    stages: nn.Sequential
    classifier: nn.Module | None = None


@functools.cache
def recipes() -> dict[str, Recipe]:
    """Return the registered backbones by name."""
    entries = yaml.safe_load((files("humalign.data.registry") / "backbones.yaml").read_text("utf-8"))
    for entry in entries.values():
        entry |= {each: tuple(entry[each]) for each in ("mean", "std")}
    return {name: Recipe(**entry) for name, entry in entries.items()}


def refuse_input(name: str, size: Any, mean: Any, std: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std; refuse an input that is not square, or a normalisation not of values in [0, 1]."""
    if not isinstance(size, numbers.Integral) or int(size) < 1:
        mend = "it must be the side of a square picture in pixels, a whole number"
        raise HumalignError(f"{name}: `size` is {size}: {mend}")
    above = f"above 0 and at most {LARGEST_STD:g}"
    mean = _three(name, "mean", mean, lambda value: 0 <= value <= 1, "in [0, 1]")
    return mean, _three(name, "std", std, lambda value: 0 < value <= LARGEST_STD, above)


def _three(name: str, what: str, given: Any, fits: Callable[[float], bool], wanted: str) -> tuple[float, ...]:
    """Return one number a colour, each of which must fit."""
    with contextlib.suppress(ValueError):
        found = np.asarray(given)
        if found.shape == (3,) and found.dtype.kind in "iuf" and all(map(fits, map(float, found))):
            return tuple(map(float, found))
    mend = "divide those of values in 0 to 255 by 255"
    wanted = f"three numbers {wanted}, one for each colour"
    shown = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else given
    raise HumalignError(f"{name}: `{what}` is {shown}: it must be {wanted}, {mend}")


def refuse_rectangle(name: str, height: int, width: int, channels: int = 3) -> None:
    """Refuse a network whose pictures are not square, or have other channels than three."""
    if channels != 3 or height != width:
        seen = f"{height} x {width} pixels in {channels} channels"
        mend = "only square ones of 3 are given here, choose another model"
        raise HumalignError(f"{name} takes pictures of {seen}: {mend}")


def known_filter(name: str, interpolation: str) -> str:
    """Return the name of a filter that pictures are resized with."""
    known = [each.name.lower() for each in Image.Resampling]
    if interpolation not in known:
        seen = f"unknown interpolation {interpolation!r} in its configuration"
        raise HumalignError(f"{name}: {seen}: {nearest(interpolation, known)}")
    return interpolation


def ask(written: str, path: Path, facts: Mapping[str, Any]) -> None:
    """Refuse a file that nothing is known of, where the weights of its architecture need different things."""
    if len(set(facts.values())) > 1:
        tags = ", ".join(sorted(filter(None, facts)))
        why = f"the architecture's are not all normalised and activated alike: TAG is one of {tags}"
        raise HumalignError(f"which weights are in {path}? write {written}@{path}, for {why}")


# ---- stages ------------------------------------------------------------------------------------------------


class Part(nn.Module):
    """Some modules and parameters of a network, shared under their own names.

    ``run`` is what is done with them: it takes this part, as a network that has nothing else, and an input.
    """

    def __init__(self, net: nn.Module, names: Iterable[str], run: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        # A shallow copy keeps the class, and so the methods; the tables of its members must be its own.
        part, kept = copy.copy(net), set(names)
        for table in ("_modules", "_parameters", "_buffers"):
            members = net.__dict__[table].items()
            part.__dict__[table] = {name: member for name, member in members if name in kept}
        self.net, self.run = part, run

    def forward(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Run this part of the network."""
        return self.run(self.net, inputs)


def cut_stages(net: nn.Module) -> nn.Sequential:
    """Return the stages of a network, the last of which gives its penultimate features.

    A known kind is cut (``KINDS``), an ``nn.Sequential`` is as it is, and any other network is one stage.
    """
    kind = f"{type(net).__module__}.{type(net).__qualname__}"
    if kind in KINDS:
        return nn.Sequential(*KINDS[kind](net))
    return net if isinstance(net, nn.Sequential) else nn.Sequential(net)


def _timm_efficientnet(net: Any) -> list[nn.Module]:
    blocks = [block for stage in net.blocks for block in stage]
    last = nn.Sequential(net.conv_head, net.bn2, net.global_pool)
    return [nn.Sequential(net.conv_stem, net.bn1), *blocks, last]


def _timm_vit(net: Any) -> list[nn.Module]:
    """Patches with prefix tokens and positions; each block; the last norm and the pooling."""
    first = ("patch_embed", "cls_token", "reg_token", "pos_embed", "pos_drop", "patch_drop", "norm_pre")
    last = ("norm", "attn_pool", "fc_norm", "head_drop")
    return [Part(net, first, _timm_tokens), *net.blocks, Part(net, last, _timm_pooled)]


def _timm_tokens(net: Any, pixels: Tensor) -> Tensor:
    return net.norm_pre(net.patch_drop(net._pos_embed(net.patch_embed(pixels))))


def _timm_pooled(net: Any, tokens: Tensor) -> Tensor:
    return net.forward_head(net.norm(tokens), pre_logits=True)


def _open_clip_timm(net: Any) -> list[nn.Module]:
    """The trunk is a model of timm; what follows it, if anything, projects its features to those of texts."""
    cut, heads = list(cut_stages(net.trunk)), (getattr(net.trunk, "head", None), net.head)
    projection = [module for module in heads if module is not None and [*module.parameters()]]
    return [*cut, *projection] if len(cut) > 1 else [net]


def _open_clip_vit(net: Any) -> list[nn.Module]:
    if net.output_tokens:
        # The tower of a CoCa model gives its tokens beside its features.
        return [Part(net, [*net._modules, *net._parameters], _open_clip_features)]
    if net.attn_pool is not None or not net.transformer.batch_first:
        return [net]
    first = ("conv1", "class_embedding", "positional_embedding", "patch_dropout", "ln_pre")
    last = Part(net, ("ln_post", "proj"), _open_clip_pooled)
    return [Part(net, first, _open_clip_tokens), *net.transformer.resblocks, last]


def _open_clip_features(net: Any, pixels: Tensor) -> Tensor:
    return net(pixels)[0]


def _open_clip_tokens(net: Any, pixels: Tensor) -> Tensor:
    return net._embeds(pixels)


def _open_clip_pooled(net: Any, tokens: Tensor) -> Tensor:
    pooled, _ = net._pool(tokens)
    return pooled if net.proj is None else pooled @ net.proj


KINDS: dict[str, Callable[[Any], list[nn.Module]]] = {
    "timm.models.efficientnet.EfficientNet": _timm_efficientnet,
    "timm.models.vision_transformer.VisionTransformer": _timm_vit,
    "open_clip.timm_model.TimmModel": _open_clip_timm,
    "open_clip.transformer.VisionTransformer": _open_clip_vit,
}
