"""Models of timm and of OpenCLIP's image towers by name, and what each set of their weights needs."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from humalign.errors import HumalignError, nearest
from humalign.models import weights
from humalign.models.recipes import HUB, Built, Recipe, ask, cut_stages, known_filter, refuse_rectangle

# What timm's configuration says of the pictures.
INPUT = ("mean", "std", "interpolation", "input_size")
# What timm gives a network only where it fetches its weights itself, and any weights of it need.
OF_WEIGHTS: dict[str, dict[str, Any]] = {"fbnetc_100": {"bn_eps": 1e-3}}


def timm_model(name: str, model: str, recipe: Recipe | None, path: Path | None, pretrained: bool) -> Built:
    """Build a model of timm; see `backbones.of_library`."""
    import timm

    known = model.split(".")[0]
    if ":" not in model and not timm.is_model(known):
        other = nearest(known, timm.list_models())
        raise HumalignError(f"cannot build {name}: timm knows no model {known!r}: {other}")
    hub = pretrained and path is None and (recipe is None or recipe.weights == HUB)
    config = _config(name, known, path)
    if path is not None and not config and recipe is None and model == known and ":" not in model:
        ask(f"timm:{known}.TAG", path, {tag: _facts(known, tag) for tag in _tags(known)})
    options = OF_WEIGHTS.get(known, {}) | (recipe.options if recipe else {}) | config.get("model_args", {})
    overlay = {key: value for key, value in config.get("pretrained_cfg", {}).items() if key in INPUT}
    net: Any = timm.create_model(model, pretrained=hub, pretrained_cfg_overlay=overlay or None, **options)
    if path is not None:
        packaged = recipe is not None and recipe.weights not in (None, HUB) and "@" not in name
        (weights.load_in_order if packaged else weights.load_into_timm)(net, path)
    if recipe is None or overlay:
        recipe = _recipe(name, model, recipe, net, config)
    if pretrained:
        _warn_of_gelu(name, net)
    classifier = net.get_classifier() if net.num_classes else None
    classes = classifier.out_features if isinstance(classifier, nn.Linear) else 0
    stages = cut_stages(net)
    if len(stages) == 1 and hasattr(net, "reset_classifier"):  # some encoders have no classifier
        net.reset_classifier(0)
    return Built(recipe, net, stages, classifier if classes == 1000 else None)


def _config(name: str, architecture: str, path: Path | None) -> dict[str, Any]:
    """Return timm's configuration beside a file of weights; nothing where there is none."""
    config = weights.config(path, "config.json") if path else {}
    if "architecture" not in config:
        return {}
    if _plain_gelu(config["architecture"]) != _plain_gelu(architecture):
        mend = f"write timm:local-dir:{path.parent}" if path else ""
        what = f"is of {config['architecture']}, not of {architecture}"
        raise HumalignError(f"{name}: the config.json beside the weights {what}: {mend}")
    # An older layout has everything on one level.
    return config if "pretrained_cfg" in config else {"pretrained_cfg": config}


def _recipe(name: str, model: str, recipe: Recipe | None, net: Any, config: Mapping[str, Any]) -> Recipe:
    """Return the settings that timm has of a model, or that lie beside its weights."""
    import timm

    cfg = timm.data.resolve_model_data_config(net)
    channels, height, width = cfg["input_size"]
    refuse_rectangle(name, height, width, channels)
    mean, std = tuple(cfg["mean"]), tuple(cfg["std"])
    if recipe is None:
        licence = net.pretrained_cfg.get("license") or Recipe.licence
        recipe = Recipe("timm", model, height, mean, std, HUB, "timm's own configuration", licence=licence)
    else:
        # A registered size that the network was built for stays, unless the weights were made for another.
        kept = "img_size" in recipe.options and "img_size" not in config.get("model_args", {})
        size = recipe.size if kept else height
        recipe = dataclasses.replace(recipe, size=size, source="the config.json beside the weights")
    interpolation = known_filter(name, cfg["interpolation"])
    return dataclasses.replace(recipe, mean=mean, std=std, interpolation=interpolation)


def _plain_gelu(architecture: str) -> str:
    return architecture.split(".")[0].replace("_clip_quickgelu_", "_clip_")


def _tags(architecture: str) -> list[str]:
    from timm.models import get_arch_pretrained_cfgs

    return [name.partition(".")[2] for name in get_arch_pretrained_cfgs(architecture)]


def _facts(architecture: str, tag: str) -> tuple[Any, ...]:
    """Return what a set of weights needs: its normalisation, and whether it was trained with QuickGELU."""
    from timm.models import get_pretrained_cfg

    cfg: Any = get_pretrained_cfg(f"{architecture}.{tag}" if tag else architecture)
    return tuple(cfg.mean), tuple(cfg.std), tag in _with_quick_gelu(architecture)


def _with_quick_gelu(architecture: str) -> list[str]:
    """Return the weights of a CLIP model that were trained with QuickGELU: timm has them with it too."""
    import timm

    twin = architecture.replace("_clip_", "_clip_quickgelu_")
    plain = twin != architecture and "quickgelu" not in architecture
    return _tags(twin) if plain and timm.is_model(twin) else []


def _warn_of_gelu(name: str, net: Any) -> None:
    """Warn where a CLIP model of timm has the exact GELU, and weights that were trained with QuickGELU."""
    architecture, tag = net.pretrained_cfg.get("architecture", ""), net.pretrained_cfg.get("tag", "")
    exact = any(type(module) is nn.GELU for module in net.modules())
    if exact and tag in _with_quick_gelu(architecture):
        twin = f"timm:{architecture.replace('_clip_', '_clip_quickgelu_')}.{tag}"
        said = "these weights were trained with QuickGELU and are used with GELU"
        warnings.warn(f"{name}: {said}: write {twin}", stacklevel=2)


# ---- OpenCLIP ----------------------------------------------------------------------------------------------


def open_clip_model(
    name: str, model: str, recipe: Recipe | None, path: Path | None, pretrained: bool
) -> Built:
    """Build the image tower of a model of OpenCLIP; see `backbones.of_library`."""
    try:
        import open_clip
    except ImportError:
        raise HumalignError(f"{name} needs open_clip: pip install open_clip_torch") from None
    if model.startswith(("local-dir:", "hf-hub:")):
        inside = weights.find([model.removeprefix("local-dir:")])
        model = f"local-dir:{inside.parent}" if inside else model
        architecture, of_tag = model, {}
        settings: dict[str, Any] = {"require_pretrained": pretrained, "load_weights": pretrained}
    else:
        architecture, _, tag = model.partition("/")
        of_tag = _tag(name, architecture, tag, pretrained and path is None)
        if path is not None:
            of_tag = _beside(name, architecture, path) or of_tag or _of_all(architecture, path)
        # OpenCLIP only warns where it would build the exact GELU for weights trained with QuickGELU.
        source = str(path) if path else tag if pretrained else None
        settings = {"pretrained": source, "force_quick_gelu": bool(of_tag.get("quick_gelu"))}
    if path is not None:
        weights.refuse_damaged(path)
        if path.suffix == ".npz":
            mend = f"write timm:MODEL@{path}"
            raise HumalignError(f"{name}: big_vision's .npz goes into a model of timm: {mend}")
    clip: Any = open_clip.create_model(architecture, **settings)
    visual = clip.visual
    height, width = (visual.image_size,) * 2 if isinstance(visual.image_size, int) else visual.image_size
    refuse_rectangle(name, height, width)
    mean = of_tag.get("mean") or visual.image_mean or open_clip.OPENAI_DATASET_MEAN
    std = of_tag.get("std") or visual.image_std or open_clip.OPENAI_DATASET_STD
    given = of_tag.get("interpolation") or visual.preprocess_cfg.get("interpolation") or "bicubic"
    options = {"quick_gelu": True} if settings.get("force_quick_gelu") else {}
    recipe = Recipe("open_clip", model, height, tuple(mean), tuple(std), HUB, "open_clip's own configuration")
    recipe = dataclasses.replace(recipe, options=options, interpolation=known_filter(name, given))
    return Built(recipe, clip, cut_stages(visual))


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
    """Return what all of OpenCLIP's weights of an architecture share; where they differ, ask for one."""
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    tags = list_pretrained_tags_by_model(architecture)
    known = {tag: get_pretrained_cfg(architecture, tag) for tag in tags}
    if not known:
        mend = f"put their open_clip_config.json into {path.parent}"
        why = f"no weights of {architecture} are known"
        raise HumalignError(f"nothing says how the pictures of {path} are normalised, for {why}: {mend}")
    keys = ("mean", "std", "quick_gelu")
    facts = {tag: str([cfg.get(key) or None for key in keys]) for tag, cfg in known.items()}
    ask(f"open_clip:{architecture}/TAG", path, facts)
    return next(iter(known.values()))


def _tag(name: str, architecture: str, tag: str, fetched: bool) -> dict[str, Any]:
    """Return what OpenCLIP knows of a set of weights; nothing where none is named."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    if open_clip.get_model_config(architecture) is None:
        known = nearest(architecture, open_clip.list_models())
        raise HumalignError(f"cannot build {name}: open_clip knows no model {architecture!r}: {known}")
    if fetched and not tag:
        written = f"open_clip:{architecture}/TAG, as in open_clip.list_pretrained()"
        raise HumalignError(f"{name}: which weights? write {written}")
    of_tag = get_pretrained_cfg(architecture, tag) if tag else {}
    if tag and not of_tag:
        other = nearest(tag, list_pretrained_tags_by_model(architecture))
        raise HumalignError(f"{name}: no weights {tag!r} of {architecture}: {other}")
    return of_tag


Library = Callable[[str, str, Recipe | None, Path | None, bool], Built]
LIBRARIES: dict[str, Library] = {"timm": timm_model, "open_clip": open_clip_model}
