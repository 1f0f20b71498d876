"""What the chain starts from: embeddings of the pictures, and judgments about the concepts."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int
from tqdm import tqdm

from humalign.artefacts import Provenance, write_dataset
from humalign.chain.pipeline import Run
from humalign.data import registry, simulate
from humalign.data.emoji import STYLES, EmojiImages, concepts
from humalign.data.judgments import Choices, random_triplets
from humalign.models import embeddings
from humalign.models.backbones import build, recipes
from humalign.profiles import Profile, Settings
from humalign.teach import splits


def stream(profile: Settings, *numbers: int) -> np.random.Generator:
    """Return the random numbers of one place in the chain, the same on every run."""
    return np.random.default_rng([profile.seed, *numbers])


def progress_bar(total: int, what: str) -> tqdm:
    """Return a progress bar on the terminal, with the time that is left."""
    return tqdm(total=total, desc=f"    {what}", leave=False, dynamic_ncols=True)


def weights_of(*backbones: str) -> list[str]:
    """Name the registered weight files of backbones; one whose weights are not registered has none."""
    found = {name: str(recipes()[name].weights) for name in backbones if name in recipes()}
    entries = {f"{name}-weights" if weights == "hub" else weights for name, weights in found.items()}
    return sorted(entries & registry.everything().keys())


def sources(profile: Profile) -> list[str]:
    """Name the registered sources that a run of simulated observers reads."""
    pictures = [name for name in registry.packages() if not name.endswith("-weights")]
    return sorted([*pictures, *weights_of(profile.teacher_backbone, profile.student_backbone)])


def embedding_files(profile: Profile) -> list[str]:
    """Name what the stage leaves."""
    return [f"embeddings/{name}.nc" for name in (profile.teacher_backbone, profile.student_backbone)]


def embed(run: Run, provenance: Provenance) -> None:
    """Run every picture through both backbones."""
    pictures = [EmojiImages(style) for style in STYLES]
    cuts = {run.profile.teacher_backbone: None, run.profile.student_backbone: run.profile.frozen_stages}
    for name, cut in cuts.items():
        backbone = build(name)
        with progress_bar(sum(map(len, pictures)), f"{name}, pictures") as bar:
            found = embeddings.embed(pictures, backbone, cut, bar.update)
        embeddings.write(run.path(f"embeddings/{name}.nc"), found, provenance.attrs())


def by_style(features: Float[np.ndarray, "images dim"]) -> Float[np.ndarray, "styles concepts dim"]:
    """Return features with one axis for the drawing styles, which lie one below the other."""
    return np.asarray(features).reshape(len(STYLES), -1, np.shape(features)[-1])


def centred(
    features: Float[np.ndarray, "styles concepts dim"], training: Bool[np.ndarray, " concepts"]
) -> Float[np.ndarray, "styles concepts dim"]:
    """Take away the mean of the training concepts' pictures: what an affine map does before it learns anything."""
    return features - features[:, training].mean((0, 1))


def judge(run: Run, provenance: Provenance) -> None:
    """Make the observers, their answers, and the folds over concepts."""
    profile, taxonomy = run.profile, concepts()
    rng = stream(profile, 1)
    fold, whole = splits.concept_folds(taxonomy, profile.folds, profile.whole_subgroups, rng)
    shares = {"group": profile.group_share, "subgroup": profile.subgroup_share, "concept": profile.concept_share}
    space = simulate.tree_space(taxonomy, shares, profile.space_dim, rng)
    observers = simulate.calibrated(space, profile.observers, profile.individuality, rng)
    answers = observers.answer(random_triplets(np.arange(len(taxonomy)), profile.answers, rng), 1, rng)
    dataset = xr.Dataset(
        {
            "fold": ("concept", fold),
            "whole": ("concept", whole.astype(np.int8)),
            "space": (("concept", "dim"), observers.space),
            "weights": (("person", "dim"), observers.weights),
            "triplets": (("answer", "image"), answers.triplets),
            "counts": (("answer", "pair"), answers.counts),
        },
        attrs=provenance.attrs() | {"sharpness": observers.sharpness, "lapse": observers.lapse, "evidence": "simulated"},
    )
    write_dataset(run.path("judgments.nc"), dataset)


def judgments(run: Run) -> tuple[simulate.Observers, Choices, Int[np.ndarray, " concepts"], Bool[np.ndarray, " concepts"]]:
    """Return observers, their answers, the fold in which each concept is held out, and whether its subgroup is."""
    file = embeddings.read(run.path("judgments.nc"))
    observers = simulate.Observers(file["space"].values, file["weights"].values, float(file.attrs["sharpness"]), float(file.attrs["lapse"]))
    return observers, Choices(file["triplets"].values, file["counts"].values), file["fold"].values, file["whole"].values.astype(bool)
