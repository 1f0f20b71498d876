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
    """How to build one backbone, and what is known of it.

    Attributes:
        library, model: ``timm``, ``open_clip`` or ``module``, and its name for the model.
        size, mean, std: input side in pixels, and normalisation of values in [0, 1].
        weights: a registered source, ``hub``, or None for random ones, which ``seed`` fixes.
        source: where these settings are from.
        options: of the library's constructor, where it would build the model otherwise.
        interpolation: ``bicubic`` as the official pipeline has it, or the name of another filter of Pillow.
        features, penultimate: width of the penultimate layer, and what it is.
        missing: why there are no weights to load, where a file must be named.
    """

    library: str
    model: str
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights: str | None
    source: str
    seed: int = 0
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    interpolation: str = "bicubic"
    features: int | None = None
    penultimate: str = ""
    trained_on: str = "not stated"
    licence: str = "not stated"
    missing: str = ""


@dataclasses.dataclass(frozen=True)
class Built:
    """What a library gives for a recipe: the whole network, its stages, and its classifier where it has one."""

    recipe: Recipe
    net: nn.Module
    stages: nn.Sequential
    classifier: nn.Module | None = None


@functools.cache
def recipes() -> dict[str, Recipe]:
    """Return the registered backbones by name."""
    text = (files("humalign.data.registry") / "backbones.yaml").read_text("utf-8")
    return {
        name: Recipe(**entry | {"mean": tuple(entry["mean"]), "std": tuple(entry["std"])}) for name, entry in yaml.safe_load(text).items()
    }


def refuse_input(name: str, size: Any, mean: Any, std: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Refuse an input that is not square, and a normalisation that is not of values in [0, 1]; return mean and std."""
    if not isinstance(size, numbers.Integral) or int(size) < 1:
        mend = "it must be the side of a square picture in pixels, a whole number"
        raise HumalignError(f"{name}: `size` is {size}: {mend}")
    above = f"above 0 and at most {LARGEST_STD:g}"
    return (
        _three(name, "mean", mean, lambda value: 0 <= value <= 1, "in [0, 1]"),
        _three(name, "std", std, lambda value: 0 < value <= LARGEST_STD, above),
    )


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
        raise HumalignError(f"{name} takes pictures of {seen}: only square ones of 3 are given here, choose another model")


def known_filter(name: str, interpolation: str) -> str:
    """Return the name of a filter that pictures are resized with."""
    known = [each.name.lower() for each in Image.Resampling]
    if interpolation not in known:
        raise HumalignError(f"{name}: unknown interpolation {interpolation!r} in its configuration: {nearest(interpolation, known)}")
    return interpolation


def ask(written: str, path: Path, facts: Mapping[str, Any]) -> None:
    """Refuse a file that nothing is known of, where the weights of its architecture need different things."""
    if len(set(facts.values())) > 1:
        tags = ", ".join(sorted(filter(None, facts)))
        why = "the architecture's are not all normalised and activated alike"
        raise HumalignError(f"which weights are in {path}? write {written}@{path}, for {why}: TAG is one of {tags}")


# ---- stages ------------------------------------------------------------------------------------------------


class Part(nn.Module):
    """Some modules and parameters of a network, shared under their own names, and what is done with them.

    Args:
        run: takes this part, as a network that has nothing else, and an input.
    """

    def __init__(self, net: nn.Module, names: Iterable[str], run: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        # A shallow copy keeps the class, and so the methods; of the tables of modules and parameters it needs its own.
        part, kept = copy.copy(net), set(names)
        for table in ("_modules", "_parameters", "_buffers"):
            part.__dict__[table] = {name: member for name, member in net.__dict__[table].items() if name in kept}
        self.net, self.run = part, run

    def forward(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Run this part of the network."""
        return self.run(self.net, inputs)


def cut_stages(net: nn.Module) -> nn.Sequential:
    """Return the stages of a network, the last of which gives its penultimate features.

    A known kind is cut (``KINDS``); an ``nn.Sequential`` is taken as cut already; any other network is one stage.
    """
    kind = f"{type(net).__module__}.{type(net).__qualname__}"
    if kind in KINDS:
        return nn.Sequential(*KINDS[kind](net))
    return net if isinstance(net, nn.Sequential) else nn.Sequential(net)


def _timm_efficientnet(net: Any) -> list[nn.Module]:
    blocks = [block for stage in net.blocks for block in stage]
    return [nn.Sequential(net.conv_stem, net.bn1), *blocks, nn.Sequential(net.conv_head, net.bn2, net.global_pool)]


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
    """The trunk is a model of timm; what follows it, if anything, projects its features into the space of the texts."""
    cut = list(cut_stages(net.trunk))
    projection = [module for module in (getattr(net.trunk, "head", None), net.head) if module is not None and len([*module.parameters()])]
    return [*cut, *projection] if len(cut) > 1 else [net]


def _open_clip_vit(net: Any) -> list[nn.Module]:
    if net.output_tokens:
        # The tower of a CoCa model gives its tokens beside its features.
        return [Part(net, [*net._modules, *net._parameters], _open_clip_features)]
    if net.attn_pool is not None or not net.transformer.batch_first:
        return [net]
    first = ("conv1", "class_embedding", "positional_embedding", "patch_dropout", "ln_pre")
    return [Part(net, first, _open_clip_tokens), *net.transformer.resblocks, Part(net, ("ln_post", "proj"), _open_clip_pooled)]


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
