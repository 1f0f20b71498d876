"""The one place that builds a vision model, freezes it, and knows how it wants its pictures.

A backbone is named by an entry of ``registry/backbones.yaml`` (``siglip-b16``), or by library and model, as
``timm:vit_base_patch16_224.augreg_in21k`` or ``open_clip:ViT-B-32/laion2b_s34b_b79k``; a module of one's own
goes into ``Backbone.of``. Its features are the penultimate layer.

Its weights come from the file or folder behind an ``@``, as in ``siglip-b16@siglip.npz``; else from the
package that brings them; else from the folder that HUMALIGN_WEIGHTS names, as ``siglip-b16.safetensors`` or
under the name of the model; else from the Hugging Face hub. They are loaded strictly: no random value stays
beside loaded ones. Normalisation, resizing and activation come from the library's configuration beside the
file; else from the set of weights (``ViT-L-14/openai``); else from the architecture, if its sets agree.
"""

from __future__ import annotations

import copy
import numbers
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Num
from PIL import Image
from torch import Tensor, nn

from humalign.data.decoding import as_seen
from humalign.data.images import squash
from humalign.data.registry import locate
from humalign.errors import HumalignError, complaint, expect, nearest
from humalign.models import weights
from humalign.models.libraries import LIBRARIES
from humalign.models.recipes import HUB, Recipe, cut_stages, recipes, refuse_input

# How a model by path or repository begins.
PLACES = ("local-dir:", "hf-hub:")
# Another filter than the official bicubic overshoots [0, 1] by less.
OVERSHOOT = 0.5


class Normalise(nn.Module):
    """Shift and scale pictures in [0, 1] to what a backbone's weights were trained on."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, pixels: Num[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch 3 size size"]:
        """Return normalised pictures.

        Raises:
            HumalignError: values beyond [0, 1] and a filter's overshoot: in 0 to 255, or not finite.
        """
        # Values are not known on the meta device nor while a graph is traced.
        if pixels.device.type != "meta" and not torch.compiler.is_compiling() and pixels.numel():
            low, high = (float(value) for value in pixels.aminmax())
            if not (low >= -OVERSHOOT and high <= 1 + OVERSHOOT):
                seen = f"pictures have values from {low:.4g} to {high:.4g}, and must be in [0, 1]"
                mend = "divide those of 0 to 255 by 255, and leave the normalisation to the model"
                raise HumalignError(f"{seen}: {mend}")
        return (pixels - self.mean) / self.std


class Backbone(nn.Module):
    """A frozen vision model in evaluation mode, as a sequence of stages ending in the penultimate layer.

    Attributes:
        stages: modules applied one after the other; the last gives (batch, dim) features.
        size: input side in pixels.
        normalise: what pictures in [0, 1] go through before the stages, by its ``mean`` and ``std``.
        classifier: features -> ImageNet logits where the model has them, else None.
        recipe: how it was built.

    Raises:
        HumalignError: an input that is not square, or a normalisation that is not of values in [0, 1].
    """

    def __init__(
        self, name: str, recipe: Recipe, net: nn.Module, stages: nn.Sequential, classifier: nn.Module | None
    ) -> None:
        super().__init__()
        refuse_input(name, recipe.size, recipe.mean, recipe.std)
        self.name, self.size, self.recipe = name, recipe.size, recipe
        self.stages, self.classifier = stages, classifier
        # In a tuple, for its parameters are those of the stages and must not be listed twice.
        self._net = (net,)
        self.normalise = Normalise(recipe.mean, recipe.std)
        self.eval().requires_grad_(False)
        net.eval().requires_grad_(False)
        keep_no_biases(net)

    @classmethod
    def of(
        cls, module: nn.Module, size: int, mean: Sequence[float], std: Sequence[float], name: str = "module"
    ) -> Backbone:
        """Return a backbone made of a copy of any module from normalised pictures to (batch, dim) features.

        An ``nn.Sequential`` is split into its children, a ViT into its blocks without classifier. ``size`` is
        the input side in pixels; mean and std are of values in [0, 1].

        Raises:
            HumalignError: the module does not take such pictures, or gives something else than (batch, dim).
        """
        expect("module", module, nn.Module, "a module of PyTorch from pictures to features")
        mean, std = refuse_input(name, size, mean, std)
        if any(parameter.is_meta for parameter in module.parameters()):
            raise HumalignError(f"{name} has no values, it is on the device meta: load its weights first")
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        recipe = Recipe("module", kind, size, mean, std, None, "the module's author")
        net = copy.deepcopy(module)
        return _tried(cls(name, recipe, net, cut_stages(net), None), pictures=2)

    @property
    def mean(self) -> Float[Tensor, "3 1 1"]:
        """What is taken from pictures in [0, 1]."""
        return self.normalise.mean

    @property
    def std(self) -> Float[Tensor, "3 1 1"]:
        """What their difference from the mean is divided by."""
        return self.normalise.std

    @property
    def net(self) -> nn.Module:
        """The whole network as its library built it, of which the stages are the parts."""
        return self._net[0]

    def refuse_cut(self, frozen_stages: int) -> None:
        """Raise unless so many stages can be frozen and something is left to train."""
        stages = len(self.stages)
        whole = isinstance(frozen_stages, numbers.Integral) and not isinstance(frozen_stages, bool)
        if not whole or not 0 <= frozen_stages < stages:
            wanted = f"`frozen_stages` must be 0..{stages - 1}, not {frozen_stages!r}"
            raise HumalignError(f"{self.name} has {stages} stages: {wanted}")

    def preprocess(self, image: Image.Image) -> Float[Tensor, "3 size size"]:
        """Squash a picture to the input size, values in [0, 1]; normalisation is part of ``forward``."""
        if self.recipe.interpolation != "bicubic":
            resampling = Image.Resampling[self.recipe.interpolation.upper()]
            image = as_seen(image).resize((self.size, self.size), resampling)
        return squash(image, self.size)

    def forward(self, pixels: Num[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch dim"]:
        """Return penultimate features of pictures in [0, 1]."""
        return self.stages(self.normalise(pixels))


def keep_no_biases(net: nn.Module) -> None:
    """Clear what attention modules of timm keep of their biases in evaluation mode.

    LeViT, TinyViT and others compute biases from parameters once and keep them. A student is trained in
    evaluation mode: its second step would see the biases of the first.
    """
    for module in net.modules():
        if hasattr(module, "attention_bias_cache"):
            _forget(module)
            # After each call, so that a copy of the network finds nothing either.
            module.register_forward_hook(_forget)


def _forget(module: Any, *_: Any) -> None:
    module.attention_bias_cache.clear()


def _tried(backbone: Backbone, pictures: int = 1) -> Backbone:
    """Return a backbone that gives (batch, features) of its pictures; refuse another."""
    name, size = backbone.name, backbone.size
    try:
        with torch.no_grad():
            found = backbone.stages(torch.zeros(pictures, 3, size, size))
    except Exception as error:  # a user's code or a library's, which raise what they like
        seen = f"{name} takes no pictures of {size} x {size} pixels"
        raise HumalignError(f"{seen}: {complaint(error)}") from None
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != pictures:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        asked = f"{'two pictures' if pictures == 2 else 'a picture'} instead of ({pictures}, features)"
        raise HumalignError(f"{name} gives {shape} for {asked}: end it in its penultimate layer, pooled")
    if not found.shape[1] or not found.is_floating_point():
        seen = f"{name} gives {found.shape[1]} features of type {found.dtype}"
        raise HumalignError(f"{seen}: give one or more, in floating point")
    if not found.is_meta and not torch.isfinite(found).all():
        raise HumalignError(f"{name} gives NaN or infinity for a black picture: are its weights whole?")
    return backbone


def build(name: str, pretrained: bool = True) -> Backbone:
    """Build a backbone by name, frozen and in evaluation mode.

    The name is of a registered backbone, or ``library:model``; behind an ``@`` stands the file of its
    weights. Weights that are not ``pretrained`` are random, and the same at each call.

    Raises:
        HumalignError: unknown name, weights that are missing, corrupt or of another model, or a network that
            does not give one row of features a square picture.
    """
    expect("name", name, str, "the name of a backbone, such as siglip-b16 or timm:MODEL")
    plain, place = _split(name)
    recipe = recipes().get(plain)
    if recipe is None and ":" not in plain:
        known = f"{nearest(plain, recipes())}, or write timm:MODEL or open_clip:MODEL/TAG"
        raise HumalignError(f"unknown backbone {plain!r}: {known}")
    library, _, model = (recipe.library, "", recipe.model) if recipe else plain.partition(":")
    if library not in LIBRARIES:
        raise HumalignError(f"unknown library {library!r} in {name!r}: {nearest(library, LIBRARIES)}")
    path = _file(plain, model, recipe, place) if pretrained else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed if recipe else 0)
        built = of_library(library, name, model, recipe, path, pretrained)
        # What is registered was tried when it was.
        return built if recipe else _tried(built)


def of_library(
    library: str, name: str, model: str, recipe: Recipe | None, path: Path | None, pretrained: bool
) -> Backbone:
    """Build a model of a library (``timm``, ``open_clip``), or say in one line why it cannot be built.

    ``model`` is the library's own name for it, or its place. Without a recipe, the library is asked; without
    the path of its weights, they come from the hub.
    """
    try:
        if pretrained and model.startswith("local-dir:"):
            for file in Path(model.removeprefix("local-dir:")).glob("*.safetensors"):
                weights.refuse_damaged(file)
        built = LIBRARIES[library](name, model, recipe, path, pretrained)
    except (HumalignError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # the libraries, the hub's client and the network each raise their own
        there = f"put the file into the folder that {weights.FOLDER} names, or write {name}@FILE"
        mend = f": connect to the network, {there}" if pretrained and path is None else ""
        raise HumalignError(f"cannot build {name}: {complaint(error)}{mend}") from None
    return Backbone(name, built.recipe, built.net, built.stages, built.classifier)


def _split(name: str) -> tuple[str, str]:
    """Return what stands before and behind the @ of a name; in a path or repository it is a part of it."""
    plain, _, place = (name, "", "") if name.partition(":")[2].startswith(PLACES) else name.partition("@")
    return plain, place


def _file(plain: str, model: str, recipe: Recipe | None, place: str) -> Path | None:
    """Return the local file that a backbone's weights are read from, or None: random, or from the hub."""
    if place:
        return weights.named(place)
    if recipe and recipe.weights is None:
        if recipe.missing:
            raise HumalignError(f"{plain} has no weights that can be loaded: {recipe.missing}")
        return None
    if recipe and recipe.weights != HUB:
        return locate(str(recipe.weights))
    return weights.find([plain, model, model.replace("/", "-")])
