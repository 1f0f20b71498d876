"""The one place that builds a vision model, freezes it, and knows how it wants its pictures.

A backbone is named by an entry of ``registry/backbones.yaml`` (``siglip-b16``), or by library and model, as
``timm:vit_base_patch16_224.augreg_in21k`` or ``open_clip:ViT-B-32/laion2b_s34b_b79k``; a module of one's own goes into
``Backbone.of``. Its features are the penultimate layer: what a linear classifier, or the text, would be compared with.

Its weights come from the file or folder behind an ``@``, as in ``siglip-b16@siglip.npz``; else from the package that brings them;
else from the folder that HUMALIGN_WEIGHTS names, as ``siglip-b16.safetensors`` or under the name of the model (its folder ``tiny``
for ``open_clip:local-dir:tiny``); else from the Hugging Face hub. They are loaded strictly: a model never keeps random values beside
loaded ones.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from humalign.data.images import squash
from humalign.data.registry import locate
from humalign.errors import HumalignError, complaint, nearest
from humalign.models import splitting, weights

HUB = "hub"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to build one backbone, and what is known of it.

    Attributes:
        library, model: ``timm``, ``open_clip`` or ``module``, and its name for the model.
        size, mean, std: input side in pixels, and normalisation of values in [0, 1].
        weights: a registered source, ``hub``, or None for random ones, which ``seed`` fixes.
        source: where these settings are from.
        options: of the library's constructor, where it would build the model otherwise.
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
    features: int | None = None
    penultimate: str = ""
    trained_on: str = "not stated"
    licence: str = "not stated"
    missing: str = ""


class Backbone(nn.Module):
    """A frozen vision model in evaluation mode, as a sequence of stages ending in the penultimate layer.

    Attributes:
        stages: modules applied one after the other; the last gives (batch, dim) features.
        size, mean, std: input side in pixels, and normalisation of values in [0, 1].
        classifier: features -> ImageNet logits where the model has them, else None.
        recipe: how it was built.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, recipe: Recipe, net: nn.Module, stages: nn.Sequential, classifier: nn.Module | None) -> None:
        super().__init__()
        self.name, self.size, self.recipe = name, recipe.size, recipe
        self.stages, self.classifier = stages, classifier
        # In a tuple, for its parameters are those of the stages and must not be listed twice.
        self._net = (net,)
        self.register_buffer("mean", torch.tensor(recipe.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(recipe.std).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)
        net.eval().requires_grad_(False)

    @classmethod
    def of(
        cls,
        module: nn.Module,
        size: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        name: str = "module",
    ) -> Backbone:
        """Return a backbone made of a copy of any module from normalised pictures to (batch, dim) features.

        Args:
            module: an ``nn.Sequential`` is split into its children, a ViT of timm or OpenCLIP into its blocks, without its classifier.
            size: input side in pixels.
            mean, std: of the normalisation of values in [0, 1].
            name: in tables and messages.

        Raises:
            HumalignError: the module does not take such pictures, or gives something else than (batch, dim).
        """
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        recipe = Recipe("module", kind, size, mean, std, None, "the module's author")
        net = copy.deepcopy(module)
        backbone = cls(name, recipe, net, splitting.stages(net), None)
        try:
            with torch.no_grad():
                found = backbone.stages(torch.zeros(2, 3, size, size))
        except Exception as error:  # it is the user's code, and raises what it likes
            raise HumalignError(f"{name} takes no pictures of {size} x {size} pixels: {complaint(error)}") from None
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != 2:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise HumalignError(f"{name} gives {shape} for two pictures instead of (2, features): end it in its penultimate layer")
        return backbone

    @property
    def net(self) -> nn.Module:
        """The whole network as its library built it, of which the stages are the parts."""
        return self._net[0]

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
    text = (files("humalign.data.registry") / "backbones.yaml").read_text("utf-8")
    return {
        name: Recipe(**entry | {"mean": tuple(entry["mean"]), "std": tuple(entry["std"])}) for name, entry in yaml.safe_load(text).items()
    }


def build(name: str, pretrained: bool = True) -> Backbone:
    """Build a backbone by name, frozen and in evaluation mode.

    Args:
        name: of a registered backbone, or ``library:model``; with ``@PATH`` behind it, the file of its weights.
        pretrained: load its weights; otherwise they are random, and the same at each call.

    Raises:
        HumalignError: unknown name, or weights that are missing, corrupt or of another model.
    """
    plain, _, place = name.partition("@")
    if plain in recipes():
        library, model = recipes()[plain].library, recipes()[plain].model
    elif ":" in plain:
        library, _, model = plain.partition(":")
    else:
        raise HumalignError(f"unknown backbone {plain!r}: {nearest(plain, recipes())}, or write timm:MODEL or open_clip:MODEL/TAG")
    if library not in LIBRARIES:
        raise HumalignError(f"unknown library {library!r} in {name!r}: {nearest(library, LIBRARIES)}")
    recipe = recipes().get(plain)
    path = _file(plain, model, recipe, place) if pretrained else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed if recipe else 0)
        return LIBRARIES[library](name, model, recipe, path, pretrained)


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


def _timm(name: str, model: str, recipe: Recipe | None, path: Path | None, pretrained: bool) -> Backbone:
    import timm

    known = model.split(".")[0]
    if ":" not in model and not timm.is_model(known):
        raise HumalignError(f"cannot build {name}: timm knows no model {known!r}: {nearest(known, timm.list_models())}")
    hub = pretrained and path is None and (recipe is None or recipe.weights == HUB)
    net: Any
    with _one_line(name, hub):
        net = timm.create_model(model, pretrained=hub, **(recipe.options if recipe else {}))
    if path is not None:
        packaged = recipe is not None and recipe.weights not in (None, HUB) and "@" not in name
        (weights.load_in_order if packaged else weights.load_into_timm)(net, path)
    if recipe is None:
        cfg, of_timm = timm.data.resolve_model_data_config(net), net.pretrained_cfg
        mean, std = tuple(cfg["mean"]), tuple(cfg["std"])
        recipe = Recipe("timm", model, cfg["input_size"][-1], mean, std, HUB, "timm's own configuration")
        recipe = dataclasses.replace(recipe, licence=of_timm.get("license") or recipe.licence)
    classifier = net.get_classifier()
    classes = classifier.out_features if isinstance(classifier, nn.Linear) else 0
    stages = splitting.stages(net)
    if len(stages) == 1:
        net.reset_classifier(0)
    return Backbone(name, recipe, net, stages, classifier if classes == 1000 else None)


def _open_clip(name: str, model: str, recipe: Recipe | None, path: Path | None, pretrained: bool) -> Backbone:
    try:
        import open_clip
    except ImportError:
        raise HumalignError(f"{name} needs open_clip: pip install open_clip_torch") from None
    settings: dict[str, Any]
    if model.startswith(("local-dir:", "hf-hub:")):
        inside = weights.find([model.removeprefix("local-dir:")])
        model = f"local-dir:{inside.parent}" if inside else model
        architecture, tag, of_tag, settings = model, "", {}, {"require_pretrained": pretrained, "load_weights": pretrained}
    else:
        architecture, _, tag = model.partition("/")
        of_tag = _tag(name, architecture, tag, pretrained and path is None)
        # OpenCLIP only warns where it would build ViT-B-32 with the exact GELU for weights that were trained with QuickGELU.
        settings = {"pretrained": tag if pretrained and path is None else None, "force_quick_gelu": bool(of_tag.get("quick_gelu"))}
        if path is not None:
            settings["pretrained"] = str(path)
    if path is not None and path.suffix == ".npz":
        raise HumalignError(f"{name}: big_vision's .npz goes into a model of timm: write timm:MODEL@{path}")
    with _one_line(name, pretrained and path is None):
        clip: Any = open_clip.create_model(architecture, **settings)
    visual = clip.visual
    size = visual.image_size if isinstance(visual.image_size, int) else visual.image_size[0]
    mean = of_tag.get("mean") or visual.image_mean or open_clip.OPENAI_DATASET_MEAN
    std = of_tag.get("std") or visual.image_std or open_clip.OPENAI_DATASET_STD
    options = {"quick_gelu": True} if settings.get("force_quick_gelu") else {}
    recipe = Recipe("open_clip", model, size, tuple(mean), tuple(std), HUB, "open_clip's own configuration", options=options)
    return Backbone(name, recipe, clip, splitting.stages(visual), None)


def _tag(name: str, architecture: str, tag: str, fetched: bool) -> dict[str, Any]:
    """Return what OpenCLIP knows of a set of weights; nothing where none is named."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    if open_clip.get_model_config(architecture) is None:
        known = nearest(architecture, open_clip.list_models())
        raise HumalignError(f"cannot build {name}: open_clip knows no model {architecture!r}: {known}")
    if fetched and not tag:
        raise HumalignError(f"{name}: which weights? write open_clip:{architecture}/TAG, as in open_clip.list_pretrained()")
    of_tag = get_pretrained_cfg(architecture, tag) if tag else {}
    if tag and not of_tag:
        raise HumalignError(f"{name}: no weights {tag!r} of {architecture}: {nearest(tag, list_pretrained_tags_by_model(architecture))}")
    return of_tag


LIBRARIES: dict[str, Callable[[str, str, Recipe | None, Path | None, bool], Backbone]] = {"timm": _timm, "open_clip": _open_clip}


@contextlib.contextmanager
def _one_line(name: str, fetched: bool) -> Iterator[None]:
    """Turn a library's failure to build or fetch a model into one line."""
    try:
        yield
    except Exception as error:  # the libraries, the hub's client and the network below it each raise their own
        mend = f"connect to the network, put the file into the folder that {weights.FOLDER} names, or write {name}@FILE"
        raise HumalignError(f"cannot build {name}: {complaint(error)}{f': {mend}' if fetched else ''}") from None
