"""Triplets over ImageNet, labelled by the teacher and by its untransformed backbone; or the released files, fitted to the pictures here.

Our triplets for training are of training pictures, and those that a student's progress is measured on are of validation pictures. The
released files are both of training pictures (official ``data.py``). A file is audited against the embeddings before it may be
trained on.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int

from humalign import triplets
from humalign.artefacts import Provenance, replacing
from humalign.chain.inputs import progress_bar
from humalign.chain.paper.embedding import embeddings
from humalign.chain.paper.pictures import TRAIN, VALIDATION, size_of, store
from humalign.chain.paper.teaching import teacher
from humalign.chain.pipeline import Run
from humalign.chain.teaching import LABELLINGS
from humalign.data import registry
from humalign.data.judgments import entropy
from humalign.errors import HumalignError, nearest
from humalign.profiles import Paper
from humalign.triplets.layout import reading, write_blocks

SPLITS = ("train", "val")
TEACHERS = {"aligned": "all", "unaligned": "untransformed"}
# A cluster of validation pictures has about as many members as it takes to draw many borders.
CLUSTER_MEMBERS = 20
# Rows that a summary is taken over.
SUMMARISED = 1_000_000


def pictures_of(profile: Paper, split: str) -> str:
    """Name the set of pictures that the triplets of a split are of."""
    return VALIDATION if split == "val" and profile.triplets_from == "own" else TRAIN


def triplet_path(run: Run, stage: str, split: str) -> Path:
    """Return where a labelling of a split lies."""
    return run.path(_file(run.profile, stage, split))


def _file(profile: Paper, stage: str, split: str) -> str:
    clusters = profile.clusters if profile.sampling == "cluster-border" else None
    return f"triplets/{LABELLINGS[stage]}/{triplets.file_name(split, profile.sampling, clusters)}"


def triplet_files(profile: Paper) -> list[str]:
    """Name what the stage leaves."""
    return [*(_file(profile, stage, split) for stage in LABELLINGS for split in SPLITS), "triplets/summary.json"]


def picture_names(run: Run, name: str) -> np.ndarray:
    """Return the file names of a set as bytes, a quarter of the room that text takes."""
    return np.array(store(run, name, size_of(run.profile.students[0])).names).astype("S")


def label(run: Run, provenance: Provenance) -> None:
    """Make, or take over, both labellings of both splits, audit them, and say what they hold."""
    makers = {"own": _own, "official": _official}
    if run.profile.triplets_from not in makers:
        wanted = nearest(run.profile.triplets_from, makers)
        raise HumalignError(f"profile {run.profile.name}: triplets_from {run.profile.triplets_from!r}: {wanted}")
    makers[run.profile.triplets_from](run, provenance)
    for stage in LABELLINGS:
        for split in SPLITS:
            path, name = triplet_path(run, stage, split), pictures_of(run.profile, split)
            for finding in triplets.audit_file(path, embeddings(run, name), picture_names(run, name)):
                if not finding.ok:
                    raise HumalignError(f"{path} fails its audit ({finding.check}: {finding.seen}): see `humalign audit {path}`")
    with replacing(run.path("triplets/summary.json")) as part:
        part.write_text(json.dumps(_summary(run), indent=1))


# ---- our own ---------------------------------------------------------------------------------------------------------


def _own(run: Run, provenance: Provenance) -> None:
    profile = run.profile
    counts = {"train": profile.triplets, "val": profile.validation_triplets}
    with progress_bar(len(SPLITS) * (1 + len(LABELLINGS)), "clusters and labels") as bar:
        for number, split in enumerate(SPLITS):
            name = pictures_of(profile, split)
            groups = _clusters(run, name, provenance.key)
            bar.update()
            drawn = triplets.draw(profile.sampling, groups, counts[split], profile.seed + number, profile.threads)
            for stage in LABELLINGS:
                places = run.path(f"triplets/{name}-{stage}.npy")
                mapped = triplets.mapped(places, embeddings(run, name), teacher(run, TEACHERS[stage]).transform)
                triplets.label_file(triplet_path(run, stage, split), mapped, drawn, picture_names(run, name), profile.threads)
                # The size of the embeddings themselves, and soon made again.
                places.unlink()
                bar.update()


def _clusters(run: Run, name: str, key: str) -> Int[np.ndarray, " images"]:
    """Return the cluster (or, where classes are sampled, the class) of each picture; clusters are kept when the stage is stopped."""
    if run.profile.sampling != "cluster-border":
        return np.unique(np.array([str(PurePosixPath(file.decode()).parent) for file in picture_names(run, name)]), return_inverse=True)[1]
    path = run.path(f"triplets/clusters-{name}.{key}.npy")
    if not path.is_file():
        vectors = embeddings(run, name)
        k = min(run.profile.clusters, max(2, len(vectors) // CLUSTER_MEMBERS))
        groups = triplets.clusters(vectors, k, run.profile.seed)
        with replacing(path) as part:
            np.save(part, groups)
    return np.load(path)


# ---- the released files ----------------------------------------------------------------------------------------------


def _official(run: Run, provenance: Provenance) -> None:
    """Take over the released files: their pictures are found by name here, whatever list their indices are of."""
    folder = registry.locate("alignet-triplets")
    for stage in LABELLINGS:
        for split in SPLITS:
            path = folder / Path(_file(run.profile, stage, split)).relative_to("triplets")
            for finding in triplets.audit_file(path):
                if not finding.ok:
                    raise HumalignError(f"{path} fails its audit ({finding.check}: {finding.seen}): see `humalign audit {path}`")
            names = picture_names(run, pictures_of(run.profile, split))
            with reading(path) as (indices, similarities, filenames):
                listed, start = np.zeros(int(indices.max()) + 1, filenames.dtype), 0
                for block in filenames.blocks():
                    listed[indices[start : start + len(block)]] = block
                    start += len(block)
            own = _placed(path, listed, names)[indices]
            write_blocks(triplet_path(run, stage, split), own, similarities, names.dtype, functools.partial(_of_rows, names, own))


def _of_rows(names: np.ndarray, indices: np.ndarray, rows: slice) -> np.ndarray:
    return names[indices[rows]]


def _placed(path: Path, listed: np.ndarray, names: np.ndarray) -> Int[np.ndarray, " listed"]:
    """Return where each picture of a file is in the list here, by its name without folder and suffix; -1 for an index not in use."""
    place = {PurePosixPath(name).stem: number for number, name in enumerate(names.astype(str).tolist())}
    stems = [PurePosixPath(name).stem for name in listed.astype(str).tolist()]
    unknown = [stem for stem in stems if stem and stem not in place]
    if unknown:
        raise HumalignError(f"{path} names {len(unknown):,} pictures that are not here, such as {unknown[0]!r}: is ImageNet whole?")
    return np.array([place.get(stem, -1) for stem in stems], dtype=np.int32)


# ---- what they hold --------------------------------------------------------------------------------------------------


def _summary(run: Run) -> dict[str, dict[str, float]]:
    """Describe both labellings of the training rows: how sure they are, whether they keep a class together, how often they agree."""
    summary, odd = {}, {}
    classes = np.unique([file.split(b"/")[0] for file in picture_names(run, TRAIN)], return_inverse=True)[1]
    for stage in LABELLINGS:
        with reading(triplet_path(run, stage, "train")) as (indices, similarities, _):
            rows = slice(0, SUMMARISED)
            indices, similarities = indices[rows], similarities[rows].astype(float)
        shares = np.exp(similarities - similarities.max(1, keepdims=True))
        summary[stage] = {
            "label-entropy": float(entropy(shares / shares.sum(1, keepdims=True)).mean()),
            "pair-in-one-class": float((classes[indices[:, 0]] == classes[indices[:, 1]]).mean()),
        }
        odd[stage] = indices[:, 2]
    if run.profile.triplets_from == "own":
        # The same rows in both labellings; of the released files that is not known.
        summary["aligned"]["same-choice"] = float((odd["aligned"] == odd["unaligned"]).mean())
    return summary
