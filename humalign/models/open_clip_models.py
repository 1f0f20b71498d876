"""Backbones of OpenCLIP: image towers of its models by name, and what each set of its weights needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from humalign.errors import HumalignError, nearest
from humalign.models import splitting, weights
from humalign.models.recipes import HUB, Built, Recipe, ask, known_filter, refuse_rectangle


def build(name: str, model: str, recipe: Recipe | None, path: Path | None, pretrained: bool) -> Built:
    """Build the image tower of a model of OpenCLIP; see `backbones.of_library`."""
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
    if path is not None:
        weights.refuse_damaged(path)
    if path is not None and path.suffix == ".npz":
        raise HumalignError(f"{name}: big_vision's .npz goes into a model of timm: write timm:MODEL@{path}")
    clip: Any = open_clip.create_model(architecture, **settings)
    visual = clip.visual
    height, width = (visual.image_size,) * 2 if isinstance(visual.image_size, int) else visual.image_size
    refuse_rectangle(name, height, width)
    mean = of_tag.get("mean") or visual.image_mean or open_clip.OPENAI_DATASET_MEAN
    std = of_tag.get("std") or visual.image_std or open_clip.OPENAI_DATASET_STD
    resized = known_filter(name, of_tag.get("interpolation") or visual.preprocess_cfg.get("interpolation") or "bicubic")
    options = {"quick_gelu": True} if settings.get("force_quick_gelu") else {}
    source = "open_clip's own configuration"
    recipe = Recipe("open_clip", model, height, tuple(mean), tuple(std), HUB, source, options=options, interpolation=resized)
    return Built(recipe, clip, splitting.stages(visual))


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
        raise HumalignError(f"{name}: which weights? write open_clip:{architecture}/TAG, as in open_clip.list_pretrained()")
    of_tag = get_pretrained_cfg(architecture, tag) if tag else {}
    if tag and not of_tag:
        raise HumalignError(f"{name}: no weights {tag!r} of {architecture}: {nearest(tag, list_pretrained_tags_by_model(architecture))}")
    return of_tag
