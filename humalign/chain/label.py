"""Triplets over the pool, labelled by the teacher and by its untransformed backbone; or the released files, fitted to the pictures here.

Where the pool is ImageNet, triplets for training are of training pictures, and those that a student's progress is measured on are of
validation pictures; the released files are both of training pictures (official ``data.py``). Where the pool is the judged set itself, the
triplets of a part are of its training things. A file is audited against the embeddings before it may be trained on. A student that learns
from all triplets among some pictures needs no file: the labels are the products of the teacher's embeddings.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float, Int

from humalign import triplets
from humalign.artefacts import Provenance, replacing
from humalign.chain import embed, features, judged, sets
from humalign.chain.judged import Part
from humalign.chain.pipeline import Rows, Run, progress_bar, stream, write
from humalign.chain.registered import TRAIN, VALIDATION
from humalign.data import registry
from humalign.data.emoji import STYLES, concepts
from humalign.data.judgments import entropy
from humalign.data.named import file_name
from humalign.errors import HumalignError
from humalign.profiles import Profile
from humalign.triplets.layout import reading, write_blocks

# The two labellings of the same triplets, under the official folder names, and the recipe of the map that each is by.
LABELLINGS = {"aligned": "uncertainty_distillation", "unaligned": "untransformed"}
RECIPES = {"aligned": "teacher", "unaligned": "untransformed"}
# A cluster of validation pictures has about as many members as it takes to draw many borders.
CLUSTER_MEMBERS = 20
# Rows that a summary is taken over.
SUMMARISED = 1_000_000


def dense(profile: Profile) -> bool:
    """Tell whether students learn from all triplets among some pictures, and not from a file."""
    return profile.distillation.batch_images > 0


def splits(profile: Profile) -> tuple[str, ...]:
    """Name the splits of triplets: there are validation triplets where the pool has validation pictures."""
    return ("train", "val") if profile.data.pool == TRAIN else ("train",)


def part_names(profile: Profile) -> list[str]:
    """Name the parts of the labelling teacher of which there are triplets."""
    if not profile.teachers or dense(profile):
        return []
    kinds = {kind for student in profile.students for kind in student.parts}
    return [name for name in judged.part_names(profile.labeller) if judged.kind(name) in kinds]


def pictures_of(profile: Profile, split: str) -> str:
    """Name the set of pictures that the triplets of a split are of."""
    return VALIDATION if split == "val" and profile.triplets.source == "own" else profile.data.pool


def triplet_path(run: Run, part: str, stage: str, split: str) -> Path:
    """Return where a labelling of a split lies."""
    return run.path(_file(run.profile, part, stage, split))


def _file(profile: Profile, part: str, stage: str, split: str) -> str:
    clusters = profile.triplets.clusters if profile.triplets.sampling == "cluster-border" else None
    return f"triplets/{part}/{LABELLINGS[stage]}/{triplets.file_name(split, profile.triplets.sampling, clusters)}"


def triplet_files(profile: Profile) -> list[str]:
    """Name what the step leaves."""
    return [name for part in part_names(profile) for name in _files(profile, part)]


def _files(profile: Profile, part: str) -> list[str]:
    several = [_file(profile, part, stage, split) for stage in LABELLINGS for split in splits(profile)]
    clustered = profile.triplets.source == "own" and profile.triplets.sampling == "cluster-border"
    groups = [_cluster_file(profile, part, split) for split in splits(profile)] if clustered else []
    return [*several, *groups, f"triplets/{part}/summary.json"]


def _cluster_file(profile: Profile, part: str, split: str) -> str:
    return f"triplets/{part}/clusters-{file_name(pictures_of(profile, split))}.npy"


def picture_names(run: Run, name: str) -> np.ndarray:
    """Return the file names of a set as bytes, a quarter of the room that text takes."""
    return np.array(sets.names(run, name)).astype("S")


def label(run: Run, provenance: Provenance) -> None:
    """Make, or take over, both labellings of each part's splits, audit them, and say what they hold; finished parts are kept."""
    profile, names = run.profile, part_names(run.profile)
    source = {"own": _own, "official": _official}[profile.triplets.source]
    with progress_bar(len(names) * len(splits(profile)) * (1 + len(LABELLINGS)), "clusters and labels") as bar:
        for number, part in enumerate(judged.parts(run, profile.labeller) if names else []):
            if part.name in names:

                def make(part: Part = part, number: int = number) -> None:
                    source(run, provenance, part, number, bar.update)
                    _check(run, part)
                    write(run.path(f"triplets/{part.name}/summary.json"), _summary(run, part))

                run.kept(provenance.key, _files(profile, part.name), make)


def summary(run: Run) -> Rows:
    """Say of each split of each part how many triplets there are, of how many pictures and clusters, and how far both labellings agree."""
    profile, found = run.profile, []
    for part in part_names(profile):
        told = json.loads(run.path(f"triplets/{part}/summary.json").read_text())["aligned"]
        for split in splits(profile):
            with reading(triplet_path(run, part, "aligned", split)) as (indices, _, _):
                row = {"part": part, "split": split, "triplets": len(indices)}
            if (clusters := _cluster_file(profile, part, split)) in _files(profile, part):
                groups = np.load(run.path(clusters), mmap_mode="r")
                row |= {"pictures": len(groups), "clusters": int(groups.max()) + 1}
            found.append(row | ({"same pair as the control": told.get("same-choice")} if split == "train" else {}))
    return found


def _check(run: Run, part: Part) -> None:
    """Audit the files of a part against the embeddings and the names of the pictures."""
    for stage in LABELLINGS:
        for split in splits(run.profile):
            path, name = triplet_path(run, part.name, stage, split), pictures_of(run.profile, split)
            _audited(path, _embeddings(run, name), picture_names(run, name))


def _audited(path: Path, *beside: np.ndarray) -> None:
    for finding in triplets.audit_file(path, *beside):
        if not finding.ok:
            raise HumalignError(f"{path} fails its audit ({finding.check}: {finding.seen}): see `humalign audit {path}`")


def _embeddings(run: Run, name: str) -> Float[np.ndarray, "images dim"]:
    return embed.read(run, judged.labels_with(run.profile.labeller), name)


# ---- our own -----------------------------------------------------------------------------------------------------------------------------


def _own(run: Run, provenance: Provenance, part: Part, number: int, progress: Callable[[], object]) -> None:
    profile = run.profile
    counts = {"train": profile.triplets.number, "val": profile.triplets.validation}
    for place, split in enumerate(splits(profile)):
        name = pictures_of(profile, split)
        rows = _rows(run, part, name)
        groups = _clusters(run, part, name, rows, provenance.key, _cluster_file(profile, part.name, split))
        progress()
        if profile.triplets.block_images:
            size, block = profile.triplets.block_images, profile.distillation.batch_triplets
            drawn = rows[triplets.cluster_border_blocks(groups, counts[split], size, block, stream(profile, 3, number))]
        else:
            drawn = rows[triplets.draw(profile.triplets.sampling, groups, counts[split], profile.seed + place, profile.threads)]
        for stage, recipe in RECIPES.items():
            places = run.path(f"triplets/{part.name}/{file_name(name)}-{stage}.npy")
            teacher = features.fitted(run, profile.labeller, part.name, recipe)
            mapped = triplets.mapped(places, _embeddings(run, name), teacher.transform)
            path = triplet_path(run, part.name, stage, split)
            triplets.label_file(path, mapped, drawn, picture_names(run, name), profile.threads)
            # The size of the embeddings themselves, and soon made again.
            places.unlink()
            progress()


def _rows(run: Run, part: Part, name: str) -> Int[np.ndarray, " images"]:
    """Return the pictures that triplets of a part are of: all, or where the pool is the judged set those of its training things."""
    number = len(_embeddings(run, name))
    return part.pictures(number) if name == run.profile.labeller.judged else np.arange(number)


def _clusters(
    run: Run, part: Part, name: str, rows: Int[np.ndarray, " m"], key: str, file: str
) -> Int[np.ndarray, " m"]:
    """Return the cluster (or, where classes are sampled, the class) of each picture; clusters are kept when the step is stopped."""
    settings = run.profile.triplets
    if settings.sampling != "cluster-border":
        folders = [str(PurePosixPath(file.decode()).parent) for file in picture_names(run, name)[rows]]
        return np.unique(np.array(folders), return_inverse=True)[1]

    def make() -> None:
        vectors = _embeddings(run, name)
        if len(rows) < len(vectors):
            vectors = np.asarray(vectors)[rows]
        if settings.space == "teacher":
            vectors = features.fitted(run, run.profile.labeller, part.name).transform(np.asarray(vectors))
        k = min(settings.clusters, max(2, len(vectors) // CLUSTER_MEMBERS))
        with replacing(run.path(file)) as path:
            np.save(path, triplets.clusters(vectors, k, run.profile.seed))

    run.kept(key, [file], make)
    return np.load(run.path(file))


# ---- the released files ----------------------------------------------------------------------------------------------


def _official(run: Run, provenance: Provenance, part: Part, number: int, progress: Callable[[], object]) -> None:
    """Take over the released files: their pictures are found by name here, whatever list their indices are of."""
    folder = registry.locate("alignet-triplets")
    for stage in LABELLINGS:
        for split in splits(run.profile):
            path = folder / Path(_file(run.profile, part.name, stage, split)).relative_to(f"triplets/{part.name}")
            _audited(path)
            names = picture_names(run, pictures_of(run.profile, split))
            with reading(path) as (indices, similarities, filenames):
                listed, start = np.zeros(int(indices.max()) + 1, filenames.dtype), 0
                for block in filenames.blocks():
                    listed[indices[start : start + len(block)]] = block
                    start += len(block)
            own = _placed(path, listed, names)[indices]
            mine = triplet_path(run, part.name, stage, split)
            write_blocks(mine, own, similarities, names.dtype, lambda rows, names=names, own=own: names[own[rows]])  # type: ignore[misc]


def _placed(path: Path, listed: np.ndarray, names: np.ndarray) -> Int[np.ndarray, " listed"]:
    """Return where each picture of a file is in the list here, by its name without folder and suffix; -1 for an index not in use."""
    place = {PurePosixPath(name).stem: number for number, name in enumerate(names.astype(str).tolist())}
    stems = [PurePosixPath(name).stem for name in listed.astype(str).tolist()]
    unknown = [stem for stem in stems if stem and stem not in place]
    if unknown:
        raise HumalignError(f"{path} names {len(unknown):,} pictures that are not here, such as {unknown[0]!r}: is ImageNet whole?")
    return np.array([place.get(stem, -1) for stem in stems], dtype=np.int32)


# ---- what they hold --------------------------------------------------------------------------------------------------


def _summary(run: Run, part: Part) -> dict[str, dict[str, float]]:
    """Describe both labellings of the training rows: how sure they are, whether they keep a class together, how often they agree."""
    summary, odd = {}, {}
    kind, classes = _classes(run)
    for stage in LABELLINGS:
        with reading(triplet_path(run, part.name, stage, "train")) as (indices, similarities, _):
            indices, similarities = indices[:SUMMARISED], similarities[:SUMMARISED].astype(float)
        shares = np.exp(similarities - similarities.max(1, keepdims=True))
        summary[stage] = {
            "label-entropy": float(entropy(shares / shares.sum(1, keepdims=True)).mean()),
        }
        if len(np.unique(classes)) > 1:  # pictures of a pool may have no classes
            summary[stage][f"pair-in-one-{kind}"] = float((classes[indices[:, 0]] == classes[indices[:, 1]]).mean())
        odd[stage] = indices[:, 2]
    if run.profile.triplets.source == "own":
        # The same rows in both labellings; of the released files that is not known.
        summary["aligned"]["same-choice"] = float((odd["aligned"] == odd["unaligned"]).mean())
    return summary


def _classes(run: Run) -> tuple[str, np.ndarray]:
    """Return what the pictures of the pool are grouped by, and the group of each."""
    if run.profile.data.pool == "emoji":
        return "subgroup", np.tile(concepts()["subgroup"].to_numpy(dtype=str), len(STYLES))
    return "class", np.unique([file.rpartition(b"/")[0] for file in picture_names(run, run.profile.data.pool)], return_inverse=True)[1]
