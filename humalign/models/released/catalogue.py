"""The 24 released checkpoints: eight models in three stages, and how sure it is how each is built.

They are archives of TensorFlow SavedModels, exported from JAX, and their variables have numbers instead of names. Only
SigLIP2-B's have been read by anyone who says so: dimpred (github.com/ViCCo-Group/dimpred, training/alignet) gives the order of its
218 variables, and found the outputs of its port equal to TensorFlow's. Of the other models it is assumed that they are
big_vision's ViT, with whichever of its poolings fits the archive; one that fits none of them is refused.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from humalign.errors import HumalignError, nearest
from humalign.models.backbones import Recipe

# As the tables name the stages, and as the archives are named.
STAGES = {"base": "base_model", "unaligned": "untransformed", "aligned": "alignet"}
HOME = "https://storage.googleapis.com/alignet/models/"


def _network(model: str, penultimate: str, **options: object) -> Recipe:
    # The exported models take values in [0, 1] as they are: the official training's data pipeline, and dimpred's port of SigLIP2-B.
    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "weights": None, "features": 768}
    return Recipe("timm", model, 224, source="big_vision, models/vit.py", penultimate=penultimate, options=options, **plain)  # type: ignore[arg-type]


# big_vision's ViT-B/16 with each of its poolings. In its MLPs GELU is the tanh approximation.
NETWORKS = {
    "map": _network("vit_base_patch16_siglip_224", "output of the attention pooling (MAP head)", act_layer="gelu_tanh"),
    "gap": _network(
        "vit_base_patch16_224",
        "mean of the patches after the last norm",
        act_layer="gelu_tanh",
        class_token=False,
        global_pool="avg",
        fc_norm=False,
    ),
    "tok": _network("vit_base_patch16_224", "class token after the last norm", act_layer="gelu_tanh"),
    # The same with the exact GELU, which DINO was trained with.
    "tok-exact": _network("vit_base_patch16_224", "class token after the last norm"),
}


@dataclasses.dataclass(frozen=True)
class Released:
    """One of the eight models.

    Attributes:
        like: the registered backbone that it was before alignment.
        licence: of that model, after the licence file of the released ones.
        networks: of ``NETWORKS``, those that it may be.
        known: how sure that is.
    """

    like: str
    licence: str
    networks: tuple[str, ...]
    known: str


POOLINGS = ("map", "gap", "tok")
UNSEEN = "assumed, for its archives have not been seen"
ASSUMED = f"{UNSEEN}; big_vision's ViT with the pooling that fits their variables"
UNKNOWN = "unknown: big_vision's ViT has no place for {}, and nobody has published the order of the variables"
MODELS = {
    "SigLIP-B": Released("siglip-b16", "Apache-2.0", ("map",), f"{UNSEEN}; the official configuration pools by attention"),
    "SigLIP2-B": Released("siglip2-b16", "Apache-2.0", ("map",), "seen: the order of SigLIP2-B-alignet's variables, and what it computes"),
    "DINOv1-B": Released("dino-b16", "Apache-2.0", ("tok-exact",), f"{ASSUMED}; exact GELU, as DINO was trained with"),
    "DINOv2-B": Released("dinov2-b14", "Apache-2.0", (), UNKNOWN.format("its layer scales")),
    "CapPa-B": Released("cappa-b16", "Apache-2.0", POOLINGS, ASSUMED),
    "ViT-B": Released("vit-b16", "not stated", POOLINGS, ASSUMED),
    "CLIP-Vit-B": Released("clip-b16", "MIT", (), UNKNOWN.format("the norm before its first block")),
    "Scratch-B": Released("scratch-b16", "not stated", POOLINGS, ASSUMED),
}


def students() -> Iterator[tuple[str, str, str]]:
    """Yield model, stage (``base``, ``unaligned``, ``aligned``) and archive (``SigLIP-B-base_model``) of each checkpoint."""
    for model in MODELS:
        for stage, suffix in STAGES.items():
            yield model, stage, f"{model}-{suffix}"


def stage_of(archive: str) -> tuple[str, str]:
    """Return model and stage of an archive by its name, which may have ``.tar.gz`` behind it.

    Raises:
        HumalignError: it is none of the 24.
    """
    name = re.sub(r"\.(tar\.gz|tgz)$", "", archive)
    # The official README and the address of the archive differ in the case of CLIP's letters.
    known = {each.lower(): (model, stage) for model, stage, each in students()}
    if name.lower() not in known:
        names = [each for _, _, each in students()]
        raise HumalignError(f"{archive!r} is none of the released checkpoints: {nearest(name, names)}; keep the name of its address")
    return known[name.lower()]
