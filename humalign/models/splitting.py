"""Cut a network into stages, so that its first ones can be frozen and the others trained.

The stages are a network's own modules and parameters, run by its own methods in its own order: together they give what the
whole network gives, to the bit. A network whose kind is not known here stays in one stage.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


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


def stages(net: nn.Module) -> nn.Sequential:
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
    cut = list(stages(net.trunk))
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
