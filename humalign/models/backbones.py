"""The one place that builds a vision model, freezes it, and knows how it wants its pictures.

A backbone is named by an entry of ``registry/backbones.yaml`` (``siglip-b16``), or by library and model, as
``timm:vit_base_patch16_224.augreg_in21k`` or ``open_clip:ViT-B-32/laion2b_s34b_b79k``; a module of one's own goes into
``Backbone.of``. Its features are the penultimate layer: what a linear classifier, or the text, would be compared with.

Its weights come from the file or folder behind an ``@``, as in ``siglip-b16@siglip.npz``; else from the package that brings them;
else from the folder that HUMALIGN_WEIGHTS names, as ``siglip-b16.safetensors`` or under the name of the model (its folder ``tiny``
for ``open_clip:local-dir:tiny``); else from the Hugging Face hub. They are loaded strictly: a model never keeps random values beside
loaded ones. How their pictures are normalised and resized, and their activation, come from the library's
configuration beside the file; else from the named set of weights (``vit_base_patch16_224.dino``,
``ViT-L-14/openai``); else from the architecture, where all its sets agree. Where they do not, the set has to be
named.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import numbers
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Float, Num
from PIL import Image
from torch import Tensor, nn

from humalign.data.images import squash
from humalign.data.registry import locate
from humalign.errors import HumalignError, complaint, nearest
from humalign.models import splitting, weights

HUB = "hub"
# Models by path or repository: an @ in what follows is a part of it.
PLACES = ("local-dir:", "hf-hub:")
# Values in [0, 1] spread by .5 at most, and a network that takes them as they are has 1; those in 0 to 255 spread
# by about 60.
LARGEST_STD = 4.0
# Another filter than the official bicubic overshoots [0, 1] by less.
OVERSHOOT = 0.5


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


class Backbone(nn.Module):
    """A frozen vision model in evaluation mode, as a sequence of stages ending in the penultimate layer.

    Attributes:
        stages: modules applied one after the other; the last gives (batch, dim) features.
        size, mean, std: input side in pixels, and normalisation of values in [0, 1].
        classifier: features -> ImageNet logits where the model has them, else None.
        recipe: how it was built.

    Raises:
        HumalignError: an input that is not square, or a normalisation that is not of values in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, recipe: Recipe, net: nn.Module, stages: nn.Sequential, classifier: nn.Module | None) -> None:
        super().__init__()
        _refuse_input(name, recipe.size, recipe.mean, recipe.std)
        self.name, self.size, self.recipe = name, recipe.size, recipe
        self.stages, self.classifier = stages, classifier
        # In a tuple, for its parameters are those of the stages and must not be listed twice.
        self._net = (net,)
        self.register_buffer("mean", torch.tensor(recipe.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(recipe.std).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)
        net.eval().requires_grad_(False)
        keep_no_biases(net)

    @classmethod
    def of(
        cls,
        module: nn.Module,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
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
        _refuse_input(name, size, mean, std)
        kind = f"{type(module).__module__}.{type(module).__qualname__}"
        recipe = Recipe("module", kind, size, tuple(mean), tuple(std), None, "the module's author")  # type: ignore[arg-type]
        net = copy.deepcopy(module)
        return _tried(cls(name, recipe, net, splitting.stages(net), None), pictures=2)

    @property
    def net(self) -> nn.Module:
        """The whole network as its library built it, of which the stages are the parts."""
        return self._net[0]

    def refuse_cut(self, frozen_stages: int) -> None:
        """Raise unless so many stages can be frozen and something is left to train.

        Raises:
            HumalignError: fewer than none, or all.
        """
        stages = len(self.stages)
        if not 0 <= frozen_stages < stages:
            raise HumalignError(f"{self.name} has {stages} stages: `frozen_stages` must be 0..{stages - 1}, not {frozen_stages}")

    def preprocess(self, image: Image.Image) -> Float[Tensor, "3 size size"]:
        """Squash a picture to the input size, values in [0, 1]; normalisation is part of ``forward``."""
        if self.recipe.interpolation != "bicubic":
            image = image.convert("RGB").resize((self.size, self.size), Image.Resampling[self.recipe.interpolation.upper()])
        return squash(image, self.size)

    def normalise(self, pixels: Num[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch 3 size size"]:
        """Shift and scale values in [0, 1] to what the weights were trained on.

        Raises:
            HumalignError: values in 0 to 255, or normalised already.
        """
        refuse_unscaled(pixels)
        return (pixels - self.mean) / self.std

    def forward(self, pixels: Num[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch dim"]:
        """Return penultimate features of pictures in [0, 1]."""
        return self.stages(self.normalise(pixels))


def refuse_unscaled(pixels: Tensor) -> None:
    """Raise unless the values of pictures are in [0, 1], or a filter's overshoot beyond.

    Raises:
        HumalignError: values in 0 to 255, normalised already, or not finite.
    """
    # Values are not known on the meta device nor while a graph is traced.
    if pixels.device.type == "meta" or torch.compiler.is_compiling() or not pixels.numel():
        return
    low, high = (float(value) for value in pixels.aminmax())
    if not (low >= -OVERSHOOT and high <= 1 + OVERSHOOT):
        mend = "divide those of 0 to 255 by 255, and leave the normalisation to the model"
        raise HumalignError(f"pictures have values from {low:.4g} to {high:.4g}, and must be in [0, 1]: {mend}")


def keep_no_biases(net: nn.Module) -> None:
    """Clear what attention modules of timm keep of their biases in evaluation mode.

    LeViT, TinyViT, EfficientFormer and EfficientViT compute biases from parameters once and keep them. A student is
    trained in evaluation mode: its second step would see the biases of the first.
    """
    for module in net.modules():
        if hasattr(module, "attention_bias_cache"):
            _forget(module)
            # After each call, so that a copy of the network finds nothing either.
            module.register_forward_hook(_forget)


def _forget(module: Any, *_: Any) -> None:
    module.attention_bias_cache.clear()


def _refuse_input(name: str, size: Any, mean: Sequence[float], std: Sequence[float]) -> None:
    """Refuse an input that is not square, and a normalisation that is not of values in [0, 1]."""
    if not isinstance(size, numbers.Integral) or int(size) < 1:
        mend = "it must be the side of a square picture in pixels, a whole number"
        raise HumalignError(f"{name}: `size` is {size}: {mend}")
    for what, values, fits, wanted in (
        ("mean", mean, lambda value: 0 <= value <= 1, "in [0, 1]"),
        ("std", std, lambda value: 0 < value <= LARGEST_STD, f"above 0 and at most {LARGEST_STD:g}"),
    ):
        if len(values) != 3 or not all(map(fits, values)):
            mend = "divide those of values in 0 to 255 by 255"
            wanted = f"three numbers {wanted}, one for each colour"
            raise HumalignError(f"{name}: `{what}` is {tuple(values)}: it must be {wanted}, {mend}")


def _tried(backbone: Backbone, pictures: int = 1) -> Backbone:
    """Return a backbone that gives (batch, features) of its pictures; refuse another."""
    name, size = backbone.name, backbone.size
    try:
        with torch.no_grad():
            found = backbone.stages(torch.zeros(pictures, 3, size, size))
    except Exception as error:  # a user's code or a library's, which raise what they like
        raise HumalignError(f"{name} takes no pictures of {size} x {size} pixels: {complaint(error)}") from None
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != pictures:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        asked = f"{'two pictures' if pictures == 2 else 'a picture'} instead of ({pictures}, features)"
        raise HumalignError(f"{name} gives {shape} for {asked}: end it in its penultimate layer, pooled")
    return backbone


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
        HumalignError: unknown name, weights that are missing, corrupt or of another model, or a network that does not give
            one row of features a square picture.
    """
    plain, place = _split(name)
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
        built = LIBRARIES[library](name, model, recipe, path, pretrained)
    # What is registered was tried when it was.
    return built if recipe else _tried(built)


def _split(name: str) -> tuple[str, str]:
    """Return what stands before and behind the @ of a name."""
    if name.partition(":")[2].startswith(PLACES):
        return name, ""
    plain, _, place = name.partition("@")
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


def _timm(name: str, model: str, recipe: Recipe | None, path: Path | None, pretrained: bool) -> Backbone:
    import timm

    known = model.split(".")[0]
    if ":" not in model and not timm.is_model(known):
        raise HumalignError(f"cannot build {name}: timm knows no model {known!r}: {nearest(known, timm.list_models())}")
    hub = pretrained and path is None and (recipe is None or recipe.weights == HUB)
    config = _timm_config(name, known, path)
    if path is not None and not config and recipe is None and model == known and ":" not in model:
        _ask(f"timm:{known}.TAG", path, {tag: _timm_facts(known, tag) for tag in _timm_tags(known)})
    options = (recipe.options if recipe else {}) | config.get("model_args", {})
    overlay = {key: value for key, value in config.get("pretrained_cfg", {}).items() if key in INPUT}
    net: Any
    with _one_line(name, hub):
        net = timm.create_model(model, pretrained=hub, pretrained_cfg_overlay=overlay or None, **options)
    if path is not None:
        packaged = recipe is not None and recipe.weights not in (None, HUB) and "@" not in name
        (weights.load_in_order if packaged else weights.load_into_timm)(net, path)
    if recipe is None or overlay:
        recipe = _timm_recipe(name, model, recipe, net, config)
    if pretrained:
        _warn_of_gelu(name, net)
    classifier = net.get_classifier() if net.num_classes else None
    classes = classifier.out_features if isinstance(classifier, nn.Linear) else 0
    stages = splitting.stages(net)
    if len(stages) == 1:
        net.reset_classifier(0)
    return Backbone(name, recipe, net, stages, classifier if classes == 1000 else None)


# What timm's configuration says of the pictures.
INPUT = ("mean", "std", "interpolation", "input_size")


def _timm_config(name: str, architecture: str, path: Path | None) -> dict[str, Any]:
    """Return timm's configuration beside a file of weights; nothing where there is none."""
    config = weights.config(path, "config.json") if path else {}
    if "architecture" not in config:
        return {}
    if _plain_gelu(config["architecture"]) != _plain_gelu(architecture):
        mend = f"write timm:local-dir:{path.parent}" if path else ""
        raise HumalignError(f"{name}: the config.json beside the weights is of {config['architecture']}, not of {architecture}: {mend}")
    # An older layout has everything on one level.
    return config if "pretrained_cfg" in config else {"pretrained_cfg": config}


def _timm_recipe(name: str, model: str, recipe: Recipe | None, net: Any, config: Mapping[str, Any]) -> Recipe:
    """Return the settings that timm has of a model, or that lie beside its weights."""
    import timm

    cfg = timm.data.resolve_model_data_config(net)
    channels, height, width = cfg["input_size"]
    if channels != 3 or height != width:
        mend = "only square pictures of 3 are given here"
        raise HumalignError(f"{name} takes pictures of {height} x {width} pixels in {channels} channels: {mend}, choose another model")
    if recipe is None:
        licence = net.pretrained_cfg.get("license") or Recipe.licence
        recipe = Recipe("timm", model, height, (0.0,) * 3, (1.0,) * 3, HUB, "timm's own configuration", licence=licence)
    else:
        # A registered size that the network was built for stays, unless the weights were made for another.
        kept = "img_size" in recipe.options and "img_size" not in config.get("model_args", {})
        size = recipe.size if kept else height
        recipe = dataclasses.replace(recipe, size=size, source="the config.json beside the weights")
    interpolation = _filter(name, cfg["interpolation"])
    return dataclasses.replace(recipe, mean=tuple(cfg["mean"]), std=tuple(cfg["std"]), interpolation=interpolation)


def _filter(name: str, interpolation: str) -> str:
    """Return the name of a filter that pictures are resized with."""
    known = [each.name.lower() for each in Image.Resampling]
    if interpolation not in known:
        raise HumalignError(f"{name}: unknown interpolation {interpolation!r} in its configuration: {nearest(interpolation, known)}")
    return interpolation


def _plain_gelu(architecture: str) -> str:
    return architecture.split(".")[0].replace("_clip_quickgelu_", "_clip_")


def _timm_tags(architecture: str) -> list[str]:
    from timm.models import get_arch_pretrained_cfgs

    return [name.partition(".")[2] for name in get_arch_pretrained_cfgs(architecture)]


def _timm_facts(architecture: str, tag: str) -> tuple[Any, ...]:
    """Return what a set of weights needs: its normalisation, and whether it was trained with QuickGELU."""
    from timm.models import get_pretrained_cfg

    cfg: Any = get_pretrained_cfg(f"{architecture}.{tag}" if tag else architecture)
    return tuple(cfg.mean), tuple(cfg.std), tag in _with_quick_gelu(architecture)


def _with_quick_gelu(architecture: str) -> list[str]:
    """Return the sets of weights of a CLIP model that were trained with QuickGELU: timm has them with it too."""
    import timm

    twin = architecture.replace("_clip_", "_clip_quickgelu_")
    return _timm_tags(twin) if twin != architecture and "quickgelu" not in architecture and timm.is_model(twin) else []


def _warn_of_gelu(name: str, net: Any) -> None:
    """Warn where a CLIP model of timm has the exact GELU, and weights that were trained with QuickGELU."""
    architecture, tag = net.pretrained_cfg.get("architecture", ""), net.pretrained_cfg.get("tag", "")
    exact = any(type(module) is nn.GELU for module in net.modules())
    if exact and tag in _with_quick_gelu(architecture):
        twin = f"timm:{architecture.replace('_clip_', '_clip_quickgelu_')}.{tag}"
        said = "these weights were trained with QuickGELU and are used with GELU"
        warnings.warn(f"{name}: {said}: write {twin}", stacklevel=2)


def _ask(written: str, path: Path, facts: Mapping[str, Any]) -> None:
    """Refuse a file that nothing is known of, where the weights of its architecture need different things."""
    if len(set(facts.values())) > 1:
        tags = ", ".join(sorted(filter(None, facts)))
        why = "the architecture's are not all normalised and activated alike"
        raise HumalignError(f"which weights are in {path}? write {written}@{path}, for {why}: TAG is one of {tags}")


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
        if path is not None:
            of_tag = _beside(name, architecture, path) or of_tag or _of_all(architecture, path)
        # OpenCLIP only warns where it would build ViT-B-32 with the exact GELU for weights that were trained with QuickGELU.
        settings = {"pretrained": tag if pretrained and path is None else None, "force_quick_gelu": bool(of_tag.get("quick_gelu"))}
        if path is not None:
            settings["pretrained"] = str(path)
    if path is not None and path.suffix == ".npz":
        raise HumalignError(f"{name}: big_vision's .npz goes into a model of timm: write timm:MODEL@{path}")
    with _one_line(name, pretrained and path is None):
        clip: Any = open_clip.create_model(architecture, **settings)
    visual = clip.visual
    height, width = (visual.image_size,) * 2 if isinstance(visual.image_size, int) else visual.image_size
    if height != width:
        raise HumalignError(f"{name} takes pictures of {height} x {width} pixels: only square ones are given here, choose another model")
    mean = of_tag.get("mean") or visual.image_mean or open_clip.OPENAI_DATASET_MEAN
    std = of_tag.get("std") or visual.image_std or open_clip.OPENAI_DATASET_STD
    resized = _filter(name, of_tag.get("interpolation") or visual.preprocess_cfg.get("interpolation") or "bicubic")
    options = {"quick_gelu": True} if settings.get("force_quick_gelu") else {}
    source = "open_clip's own configuration"
    recipe = Recipe("open_clip", model, height, tuple(mean), tuple(std), HUB, source, options=options, interpolation=resized)
    return Backbone(name, recipe, clip, splitting.stages(visual), None)


def _beside(name: str, architecture: str, path: Path) -> dict[str, Any]:
    """Return what OpenCLIP's configuration beside a file of weights says; nothing where there is none."""
    import open_clip

    config = weights.config(path, "open_clip_config.json")
    if "model_cfg" not in config:
        return {}
    wanted, found = open_clip.get_model_config(architecture), config["model_cfg"]
    quick = found.get("quick_gelu", False)
    same = all(wanted.get(key) == found.get(key) for key in ("embed_dim", "vision_cfg"))
    if not same or wanted.get("quick_gelu", False) > quick:
        where = f"the open_clip_config.json beside {path.name} is of another model than {architecture}"
        raise HumalignError(f"{name}: {where}: write open_clip:local-dir:{path.parent}")
    return config.get("preprocess_cfg", {}) | {"quick_gelu": quick}


def _of_all(architecture: str, path: Path) -> dict[str, Any]:
    """Return what all of OpenCLIP's weights of an architecture have in common; where they differ, ask for one."""
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    known = {tag: get_pretrained_cfg(architecture, tag) for tag in list_pretrained_tags_by_model(architecture)}
    if not known:
        mend = f"put their open_clip_config.json into {path.parent}"
        why = f"no weights of {architecture} are known"
        raise HumalignError(f"nothing says how the pictures of {path} are normalised, for {why}: {mend}")
    facts = {tag: str([cfg.get(key) or None for key in ("mean", "std", "quick_gelu")]) for tag, cfg in known.items()}
    _ask(f"open_clip:{architecture}/TAG", path, facts)
    return next(iter(known.values()))


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
