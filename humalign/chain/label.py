"""Triplets over the pool, labelled by the teacher and by its untransformed backbone, or the released files.

Where the pool is ImageNet, triplets for training are of training pictures, and those that measure a student's
progress are of validation pictures; the released files are both of training pictures (official ``data.py``).
Where the pool is the judged set itself, a part's triplets are of its training things. A file is audited
against the embeddings before it is trained on. A student that learns from all triplets among some pictures
needs no file: the labels are the products of the teacher's embeddings.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float, Int

from humalign import triplets
from humalign.artefacts import Provenance, replacing
from humalign.chain import embed, features, judged, sets
from humalign.chain.pipeline import Rows, Run, progress_bar, stream, write
from humalign.chain.registered import TRAIN, VALIDATION
from humalign.data import registry
from humalign.data.emoji import STYLES, concepts
from humalign.data.judgments import entropy
from humalign.data.named import file_name
from humalign.errors import HumalignError
from humalign.profiles import Profile
from humalign.triplets.layout import reading, write_blocks

# The two labellings of the same triplets: the official folder names, and the recipe of the map of each.
LABELLINGS = {"aligned": "uncertainty_distillation", "unaligned": "untransformed"}
RECIPES = {"aligned": "teacher", "unaligned": "untransformed"}
# A cluster of validation pictures has about as many members as it takes to draw many borders.
CLUSTER_MEMBERS = 20
Progress = Callable[[], object]
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
    kind = profile.triplets.sampling
    clusters = profile.triplets.clusters if kind == "cluster-border" else None
    return f"triplets/{part}/{LABELLINGS[stage]}/{triplets.file_name(split, kind, clusters)}"


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
    """Make or take over both labellings of each part's splits; audit and describe them."""
    profile, names = run.profile, part_names(run.profile)
    source = {"own": _own, "official": _official}[profile.triplets.source]
    size = len(names) * len(splits(profile)) * (1 + len(LABELLINGS))
    with progress_bar(size, "clusters and labels") as bar:

        def make(part: judged.Part, number: int) -> None:
            source(run, provenance, part, number, bar.update)
            _check(run, part)
            write(run.path(f"triplets/{part.name}/summary.json"), _summary(run, part))

        for number, part in enumerate(judged.parts(run, profile.labeller) if names else []):
            if part.name in names:
                run.kept(provenance.key, _files(profile, part.name), functools.partial(make, part, number))


def summary(run: Run) -> Rows:
    """Say of each split how many triplets, pictures and clusters it has, and how far the labellings agree."""
    profile, found = run.profile, []
    for part in part_names(profile):
        told = json.loads(run.path(f"triplets/{part}/summary.json").read_text())["aligned"]
        for split in splits(profile):
            with reading(triplet_path(run, part, "aligned", split)) as (indices, _, _):
                row = {"part": part, "split": split, "triplets": len(indices)}
            if (clusters := _cluster_file(profile, part, split)) in _files(profile, part):
                groups = np.load(run.path(clusters), mmap_mode="r")
                row |= {"pictures": len(groups), "clusters": int(groups.max()) + 1}
            if split == "train":
                row["same pair as the control"] = told.get("same-choice")
            found.append(row)
    return found


def _check(run: Run, part: judged.Part) -> None:
    """Audit the files of a part against the embeddings and the names of the pictures."""
    for stage, split in itertools.product(LABELLINGS, splits(run.profile)):
        path, name = triplet_path(run, part.name, stage, split), pictures_of(run.profile, split)
        _audited(path, _embeddings(run, name), picture_names(run, name))


def _audited(path: Path, *beside: np.ndarray) -> None:
    for finding in triplets.audit_file(path, *beside):
        if not finding.ok:
            seen = f"{finding.check}: {finding.seen}"
            raise HumalignError(f"{path} fails its audit ({seen}): see `humalign audit {path}`")


def _embeddings(run: Run, name: str) -> Float[np.ndarray, "images dim"]:
    return embed.read(run, judged.labels_with(run.profile.labeller), name)


def _own(run: Run, provenance: Provenance, part: judged.Part, number: int, progress: Progress) -> None:
    """Draw triplets of our own, and label them twice."""
    profile, settings = run.profile, run.profile.triplets
    counts = {"train": settings.number, "val": settings.validation}
    for place, split in enumerate(splits(profile)):
        name, count = pictures_of(profile, split), counts[split]
        pictures = len(_embeddings(run, name))
        # Of the judged set itself only training things.
        rows = part.pictures(pictures) if name == profile.labeller.judged else np.arange(pictures)
        groups = _clusters(run, part, name, rows, provenance.key, _cluster_file(profile, part.name, split))
        progress()
        if size := settings.block_images:
            block, rng = profile.distillation.batch_triplets, stream(profile, 3, number)
            drawn = rows[triplets.cluster_border_blocks(groups, count, size, block, rng)]
        else:
            seed = profile.seed + place
            drawn = rows[triplets.draw(settings.sampling, groups, count, seed, profile.threads)]
        for stage, recipe in RECIPES.items():
            places = run.path(f"triplets/{part.name}/{file_name(name)}-{stage}.npy")
            teacher = features.fitted(run, profile.labeller, part.name, recipe)
            mapped = triplets.mapped(places, _embeddings(run, name), teacher.transform)
            path = triplet_path(run, part.name, stage, split)
            triplets.label_file(path, mapped, drawn, picture_names(run, name), profile.threads)
            # The size of the embeddings themselves, and soon made again.
            places.unlink()
            progress()


def _clusters(
    run: Run, part: judged.Part, name: str, rows: Int[np.ndarray, " m"], key: str, file: str
) -> Int[np.ndarray, " m"]:
    """Return the cluster of each picture, or where classes are sampled its class; clusters are kept."""
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


def _official(run: Run, provenance: Provenance, part: judged.Part, number: int, progress: Progress) -> None:
    """Take over the released files: pictures are found by name, whatever list their indices are of."""
    folder, own = registry.locate("alignet-triplets"), run.path(f"triplets/{part.name}")
    for stage, split in itertools.product(LABELLINGS, splits(run.profile)):
        target = triplet_path(run, part.name, stage, split)
        path = folder / target.relative_to(own)
        _audited(path)
        names = picture_names(run, pictures_of(run.profile, split))
        with reading(path) as (indices, similarities, filenames):
            listed, start = np.zeros(int(indices.max()) + 1, filenames.dtype), 0
            for block in filenames.blocks():
                listed[indices[start : start + len(block)]] = block
                start += len(block)
        rows = _placed(path, listed, names)[indices]

        def named(block: slice, names: np.ndarray = names, rows: np.ndarray = rows) -> np.ndarray:
            return names[rows[block]]

        write_blocks(target, rows, similarities, names.dtype, named)


def _placed(path: Path, listed: np.ndarray, names: np.ndarray) -> Int[np.ndarray, " listed"]:
    """Return where each picture of a file is in the list here, by its stem; -1 for an unused index."""
    place = {PurePosixPath(name).stem: number for number, name in enumerate(names.astype(str).tolist())}
    stems = [PurePosixPath(name).stem for name in listed.astype(str).tolist()]
    unknown = [stem for stem in stems if stem and stem not in place]
    if unknown:
        found = f"{len(unknown):,} pictures that are not here, such as {unknown[0]!r}"
        raise HumalignError(f"{path} names {found}: is ImageNet whole?")
    return np.array([place.get(stem, -1) for stem in stems], dtype=np.int32)


def _summary(run: Run, part: judged.Part) -> dict[str, dict[str, float]]:
    """Describe both labellings of the training rows: how sure they are, and how often they agree."""
    summary, odd = {}, {}
    kind, classes = _classes(run)
    for stage in LABELLINGS:
        with reading(triplet_path(run, part.name, stage, "train")) as (indices, similarities, _):
            indices, similarities = indices[:SUMMARISED], similarities[:SUMMARISED].astype(float)
        shares = np.exp(similarities - similarities.max(1, keepdims=True))
        unsure = entropy(shares / shares.sum(1, keepdims=True))
        summary[stage] = {"label-entropy": float(unsure.mean())}
        if len(np.unique(classes)) > 1:  # pictures of a pool may have no classes
            same = classes[indices[:, 0]] == classes[indices[:, 1]]
            summary[stage][f"pair-in-one-{kind}"] = float(same.mean())
        odd[stage] = indices[:, 2]
    if run.profile.triplets.source == "own":
        # The same rows in both labellings; of the released files that is not known.
        summary["aligned"]["same-choice"] = float((odd["aligned"] == odd["unaligned"]).mean())
    return summary


def _classes(run: Run) -> tuple[str, np.ndarray]:
    """Return what the pictures of the pool are grouped by, and the group of each."""
    if run.profile.data.pool == "emoji":
        return "subgroup", np.tile(concepts()["subgroup"].to_numpy(dtype=str), len(STYLES))
    folders = [file.rpartition(b"/")[0] for file in picture_names(run, run.profile.data.pool)]
    return "class", np.unique(folders, return_inverse=True)[1]
