"""Take an aligned model away: a folder that timm or OpenCLIP loads in one line, its heads, and a model card.

The layout is that of the Hugging Face hub. A model of timm is written without its classifier, so that it
gives the penultimate features.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from humalign.artefacts import write_error
from humalign.errors import HumalignError
from humalign.models.backbones import PLACES, Backbone
from humalign.models.student import Student
from humalign.models.weights import save_file

HEAD, CLASSIFIER = "triplet_head.safetensors", "i1k_head.safetensors"
ABOUT_HEADS = {
    HEAD: "the head that training saw behind the features: `weight` and `bias` of a linear one, or the `mean`"
    " that it takes away. Evaluations do without it.",
    CLASSIFIER: "the ImageNet classifier on the features: `0` is a layer norm (eps 1e-6), `1` a linear"
    " layer.",
}


@dataclasses.dataclass(frozen=True)
class Card:
    """What a model card says that the weights do not."""

    title: str  #: of the model.
    about: str  #: a paragraph on how it was made.
    data: tuple[str, ...] = ()  #: one line for each source, with its licence.
    licence: str = "not stated"  #: of the weights.
    #: Profile, seed, commit, versions and the like.
    provenance: dict[str, str] = dataclasses.field(default_factory=dict)
    scores: pd.DataFrame | None = None  #: of this model and those beside it, if it was scored.


def trained(backbone: Backbone, student: Student) -> Backbone:
    """Return a copy of a backbone with a student's trained stages in place of its last ones."""
    result = copy.deepcopy(backbone)
    # A student's stages are a slice of the backbone's: how many there are says where it was cut.
    kept = len(result.stages) - (len(student.tail) if isinstance(student.tail, nn.Sequential) else 1)
    tail: nn.Module = result.stages[max(kept, 0) :]
    # The copy shares its tensors with the whole network, which is thereby filled too.
    try:
        tail.load_state_dict(student.tail.state_dict())
    except (RuntimeError, AttributeError):
        mend = "give the backbone that it was made of"
        raise HumalignError(f"the student is not one of {backbone.name}: {mend}") from None
    return result


def save_pretrained(folder: str | Path, backbone: Backbone, student: Student, card: Card) -> Path:
    """Write a student as a model of its backbone's library, whole or not at all, and return the folder.

    The folder is new or empty. It then holds ``model.safetensors`` (of OpenCLIP, ``open_clip_model``), the
    library's configuration, ``triplet_head.safetensors`` and ``README.md``.

    Raises:
        HumalignError: the folder holds something, cannot be written, or the student is of another backbone.
    """
    refuse_filled(Path(folder))
    return save(folder, trained(backbone, student), {HEAD: student.head.state_dict()}, card)


def refuse_filled(folder: Path) -> None:
    """Raise unless a folder is new or empty."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise HumalignError(f"{folder} holds something already: name a folder that is new or empty")


def save(folder: str | Path, backbone: Backbone, heads: dict[str, dict[str, Tensor]], card: Card) -> Path:
    """Write a backbone and the heads behind it, by file name (`ABOUT_HEADS`), as `save_pretrained` does."""
    folder = Path(folder)
    refuse_filled(folder)
    # Training stores convolutions channels last, and safetensors takes tensors in their plain order only.
    net = backbone.net.to(memory_format=torch.contiguous_format)
    write, load = WRITERS[backbone.recipe.library]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as part:
            inside = Path(part) / "model"
            inside.mkdir()
            write(net, backbone, inside)
            for name, state in heads.items():
                save_file(state, inside / name, card.provenance)
            (inside / "README.md").write_text(_readme(backbone, card, load, list(heads)), encoding="utf-8")
            os.replace(inside, folder)
    except OSError as error:
        raise write_error(folder, error) from None
    return folder


# ---- one way for each library ------------------------------------------------------------------------------


def _timm(net: Any, backbone: Backbone, folder: Path) -> None:
    from timm.models._hub import save_config_for_hf

    recipe = backbone.recipe
    net.reset_classifier(0)
    size = {"input_size": (3, recipe.size, recipe.size), "interpolation": recipe.interpolation}
    crop = {"crop_pct": 1.0, "crop_mode": "squash", "mean": recipe.mean, "std": recipe.std}
    net.pretrained_cfg = net.pretrained_cfg | size | crop | {"license": recipe.licence, "tag": "humalign"}
    save_file(net.state_dict(), folder / "model.safetensors")
    save_config_for_hf(net, str(folder / "config.json"))


def _open_clip(net: Any, backbone: Backbone, folder: Path) -> None:
    import open_clip

    recipe = backbone.recipe
    architecture = recipe.model if recipe.model.startswith(PLACES) else recipe.model.partition("/")[0]
    config = open_clip.get_model_config(architecture) | recipe.options
    picture: dict[str, Any] = {"mean": recipe.mean, "std": recipe.std}
    picture |= {"interpolation": recipe.interpolation, "resize_mode": "squash"}
    about = json.dumps({"model_cfg": config, "preprocess_cfg": picture}, indent=2)
    save_file(net.state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(about, encoding="utf-8")


def _module(net: Any, backbone: Backbone, folder: Path) -> None:
    recipe = backbone.recipe
    config = {"architecture": recipe.model, "input_size": [3, recipe.size, recipe.size]}
    config |= {"mean": recipe.mean, "std": recipe.std}
    save_file(net.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


GIVES = "# normalised pictures -> features"
TIMM = f'model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()   {GIVES}'
OPEN_CLIP = f'model = open_clip.create_model("local-dir:FOLDER").visual.eval()    {GIVES}'
LOADED = 'safetensors.torch.load_file("FOLDER/model.safetensors")'
MODULE = f"model.load_state_dict({LOADED})   # a module of the class below"
WRITERS: dict[str, tuple[Callable[[Any, Backbone, Path], None], str]] = {
    "timm": (_timm, f"import timm\n{TIMM}"),
    "open_clip": (_open_clip, f"import open_clip\n{OPEN_CLIP}"),
    "module": (_module, f"import safetensors.torch\n{MODULE}"),
}


# ---- the model card ----------------------------------------------------------------------------------------


def _readme(backbone: Backbone, card: Card, load: str, heads: list[str]) -> str:
    recipe = backbone.recipe
    squashed = f"the whole picture squashed to {recipe.size} × {recipe.size}, {recipe.interpolation}"
    facts = {
        "backbone": f"{backbone.name} ({recipe.library}, {recipe.model})",
        "features": recipe.penultimate or "penultimate layer",
        "before alignment trained on": recipe.trained_on,
        "input": f"{squashed}, values in [0, 1]",
        "normalisation": f"mean {list(recipe.mean)}, standard deviation {list(recipe.std)}",
    } | card.provenance
    parts = [
        f"# {card.title}",
        card.about,
        f"```python\n{load}\n```",
        "\n".join(f"- `{name}` holds {ABOUT_HEADS[name]}" for name in heads),
        "\n".join(["| what | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in facts.items())]),
        "## Data",
        "\n".join(f"- {line}" for line in card.data) or "Not stated.",
        "## Licence",
        f"Weights: {card.licence}.",
        "## Scores",
        _scores_table(card.scores),
    ]
    tags = "---\ntags: [image-feature-extraction, humalign]\n---\n"
    return tags + "\n" + "\n\n".join(parts) + "\n"


def _scores_table(scores: pd.DataFrame | None) -> str:
    if scores is None or scores.empty:
        return "This model was not scored."
    head = ("stage", "task", "split", "metric", "value", "95 % interval", "n", "evidence")
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for row in scores.itertuples():
        numbers = (f"{row.value:.3f}", f"{row.low:.3f} to {row.high:.3f}", row.n)
        cells = (row.stage, row.task, row.split, row.metric, *numbers, row.evidence)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)
