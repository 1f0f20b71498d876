"""The authors' released models in our tables: an archive is converted once, and is then a backbone.

An archive holds a TensorFlow SavedModel. Its variables are read without TensorFlow, and no program in it is
run. What comes out is a folder that timm loads in one line (`export.save`), with both heads beside it. A
layout that does not fit is refused with what is missing or left over; `catalogue` says how sure each is.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from humalign.artefacts import sha256, write_error
from humalign.errors import HumalignError, listed
from humalign.models import backbones, export, tensor_bundle
from humalign.models.backbones import Backbone
from humalign.models.released import catalogue
from humalign.models.released.catalogue import HOME, MODELS, NETWORKS, STAGES, stage_of, students
from humalign.models.weights import load_file, metadata

__all__ = ["MODELS", "STAGES", "backbone", "compare", "convert", "extract", "stage_of", "students"]

AGAIN = "download it again"
# A file in half precision is as good; a tensor in another's place differs by its whole spread.
SPREAD = 0.01
FILES = r"variables\.(index|data-\d{5}-of-\d{5})"
LICENCE = (
    "CC BY 4.0 (what the authors of AligNet released, after the licence file of their models,"
    " of which a copy lies in dimpred's repository); of the model before alignment: {}"
)
ABOUT = dict(
    base="The model before alignment, as the authors of AligNet released it beside their aligned ones."
    " It takes values in [0, 1] as they do; whether that is what it was trained on is open.",
    unaligned="The authors' control: distilled from their teacher before it was fitted to any human choice.",
    aligned="Aligned by the authors of AligNet: distilled from a teacher that was fitted to people's"
    " odd-one-out choices.",
)


def extract(archive: Path, folder: Path) -> Path:
    """Unpack the variables of an archive's SavedModel, and return what the checkpoint's files begin with.

    Members are copied under names that are made here, so that none can leave the folder.

    Raises:
        HumalignError: no archive, cut short, without variables, or with a member that none released has.
    """
    found = []
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
                    what = f"{member.name!r}, a link or a path that leads out of it"
                    raise HumalignError(f"{archive} holds {what}, as no released archive does: {AGAIN}")
                if name.parent.name == "variables" and re.fullmatch(FILES, name.name) and member.isfile():
                    source = tar.extractfile(member)
                    with open(folder / name.name, "xb") as target:
                        shutil.copyfileobj(source, target)  # type: ignore[arg-type]
                    found.append(name)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        said = " ".join(str(error).split())
        raise HumalignError(f"{archive} is no .tar.gz, or cut short ({said}): {AGAIN}") from None
    except FileExistsError:
        mend = "name an archive as it was released"
        raise HumalignError(f"{archive} holds more than one SavedModel: {mend}") from None
    except OSError as error:
        if error.filename == str(archive) or error.errno is None:  # gzip's own complaint has no number
            said = error.strerror or str(error)
            raise HumalignError(f"{archive} is no archive that can be read ({said}): {AGAIN}") from None
        raise write_error(folder, error) from None
    if not any(name.suffix == ".index" for name in found):
        mend = f"name an archive of a SavedModel, or {AGAIN}"
        raise HumalignError(f"{archive} holds no variables/variables.index: {mend}")
    return folder / "variables"


def convert(archive: Path, folder: Path, name: str | None = None) -> Path:
    """Write a released checkpoint as a model of timm, with its heads, and return the folder.

    The folder is new, empty, or was written from this archive before: then it is left. The name is that of
    the checkpoint, as ``SigLIP-B-alignet``, where the archive is called otherwise.

    Raises:
        HumalignError: an unknown name, a damaged archive, another layout, or a folder that is not empty.
    """
    model, stage = stage_of(name or archive.name)
    try:
        checksum = sha256(archive)
    except OSError as error:
        raise HumalignError(f"cannot read {archive} ({error.strerror}): download it from {HOME}") from None
    facts = {"model": model, "stage": stage, "archive": f"{HOME}{model}-{STAGES[stage]}.tar.gz"}
    facts |= {"sha256": checksum, "layout": MODELS[model].known}
    if _about(folder) == facts:
        return folder
    export.refuse_filled(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as part:
            arrays = tensor_bundle.read(extract(archive, Path(part)))
            found, heads = _built(archive, model, stage, arrays, Path(part) / "tower.npz")
    except OSError as error:
        raise write_error(folder, error) from None
    changed = "names and order of the arrays are timm's, values are unchanged"
    about = f"{ABOUT[stage]} Converted from their TensorFlow SavedModel: {changed}."
    data = ("the released checkpoints of AligNet: see Licence; github.com/google-deepmind/alignet",)
    licence = LICENCE.format(found.recipe.licence)
    card = export.Card(f"{model}, {stage}, as released", about, data, licence, facts)
    return export.save(folder, found, heads, card)


def backbone(folder: Path) -> Backbone:
    """Return a converted checkpoint as a backbone of ``pre_logits``, with its ImageNet classifier."""
    about = _about(folder)
    if "model" not in about:
        mend = f"run `humalign convert ARCHIVE {folder}` first"
        raise HumalignError(f"{folder} holds no released model: {mend}")
    model = about["model"]
    found = backbones.of_library("timm", model, f"local-dir:{folder}", None, None, True)
    like = backbones.recipes()[MODELS[model].like]
    found.recipe = dataclasses.replace(found.recipe, trained_on=like.trained_on, source=about["layout"])
    state = load_file(folder / export.CLASSIFIER)
    classes, width = state["1.weight"].shape
    head = nn.Sequential(nn.LayerNorm(width, eps=1e-6), nn.Linear(width, classes))
    head.load_state_dict(state)
    found.classifier = head.eval().requires_grad_(False)
    return found


def compare(folder: Path) -> tuple[str, int, list[str]]:
    """Compare a converted base model with its public weights: the test of an assumed layout.

    Returns:
        The registered backbone, how many tensors, and those that differ by over a hundredth of their spread.

    Raises:
        HumalignError: the model is no base, there are no public weights of it, or they are not at hand.
    """
    ours = backbone(folder)
    like = MODELS[ours.name].like
    if _about(folder)["stage"] != "base" or backbones.recipes()[like].weights is None:
        mend = "compare a base_model, and not that of CapPa-B or Scratch-B"
        raise HumalignError(f"{folder} holds a model without public weights: {mend}")
    mine, public = ours.net.state_dict(), backbones.build(like).net.state_dict()

    def same(name: str) -> bool:
        if name not in public or public[name].shape != mine[name].shape:
            return False
        return bool((public[name] - mine[name]).abs().max() <= SPREAD * public[name].std(correction=0))

    return like, len(mine), [name for name in mine if not same(name)]


def _about(folder: Path) -> dict[str, str]:
    """Return what a converted folder says of itself; nothing where there is none."""
    try:
        return metadata(folder / export.CLASSIFIER)
    except (OSError, SafetensorError):
        return {}


def _built(
    archive: Path, model: str, stage: str, arrays: dict[str, np.ndarray], tower: Path
) -> tuple[Backbone, dict[str, dict[str, Tensor]]]:
    """Return the network that the arrays fit, with their values in it, and the heads."""
    entry = MODELS[model]
    if not entry.networks:
        seen = f"{archive.name} with its {len(arrays)} arrays cannot be converted"
        raise HumalignError(f"{seen}: the layout of {model} is {entry.known}")
    like = backbones.recipes()[entry.like]
    complaints: list[list[str]] = []
    for network in entry.networks:
        recipe = dataclasses.replace(NETWORKS[network], licence=entry.licence, trained_on=like.trained_on)
        with torch.device("meta"):  # sizes without values
            net: Any = backbones.of_library("timm", model, recipe.model, recipe, None, False).net
        for shapes in catalogue.layouts(net, stage):
            named, wrong = catalogue.assign(arrays, shapes)
            if not wrong:
                named = {name: np.asarray(array, np.float32) for name, array in named.items()}
                _write_tower(named, net.pos_embed.shape[1], tower)
                return backbones.of_library("timm", model, recipe.model, recipe, tower, True), _heads(named)
            complaints.append(wrong)
    least = listed("things do not fit", min(complaints, key=len))
    raise HumalignError(f"{archive.name} has another layout than {model} ({entry.known}): {least}")


def _write_tower(named: dict[str, np.ndarray], tokens: int, path: Path) -> None:
    """Save the image tower under big_vision's names, as timm's loader reads them."""
    tower = [name for name in named if name.startswith(catalogue.TOWER)]
    arrays = {name.removeprefix(catalogue.TOWER): named[name] for name in tower}
    # A class token without a position of its own is one whose position is zero.
    lacking = tokens - arrays["pos_embedding"].shape[1]
    arrays["pos_embedding"] = np.pad(arrays["pos_embedding"], ((0, 0), (lacking, 0), (0, 0)))
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _heads(named: dict[str, np.ndarray]) -> dict[str, dict[str, Tensor]]:
    """Return the heads under PyTorch's names."""

    def linear(place: str) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(named[f"{place}/kernel"].T.copy()), torch.from_numpy(named[f"{place}/bias"])

    norm = [torch.from_numpy(named[f"{catalogue.CLASSIFIER}/norm/{part}"]) for part in ("scale", "bias")]
    names, layers = ("0.weight", "0.bias", "1.weight", "1.bias"), linear(f"{catalogue.CLASSIFIER}/dense")
    heads = {export.CLASSIFIER: dict(zip(names, (*norm, *layers), strict=True))}
    if f"{catalogue.TRIPLET_HEAD}/kernel" in named:
        heads[export.HEAD] = dict(zip(("weight", "bias"), linear(catalogue.TRIPLET_HEAD), strict=True))
    return heads
