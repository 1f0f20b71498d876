"""From judgments to labelled triplets: the teacher of each fold, and what it says of unlabelled pictures."""

from __future__ import annotations

import json

import numpy as np
from jaxtyping import Int
from scipy.special import softmax

from humalign import triplets
from humalign.artefacts import Provenance, replacing
from humalign.chain.inputs import by_style, judgments, progress_bar, stream
from humalign.chain.pipeline import Run
from humalign.data.emoji import STYLES
from humalign.data.judgments import entropy, random_triplets
from humalign.models import embeddings
from humalign.profiles import Profile
from humalign.teach import splits, vice
from humalign.teach.teacher import AffineTeacher, try_pulls

# The two labellings of the same triplets, under the official folder names.
LABELLINGS = {"aligned": "uncertainty_distillation", "unaligned": "untransformed"}
TRIPLETS = triplets.file_name("train", "cluster-border")


def teacher_files(profile: Profile) -> list[str]:
    """Name what the stage leaves."""
    maps = [f"teacher/fold{f}{suffix}.safetensors" for f in range(profile.folds) for suffix in ("", "-untransformed")]
    return [*maps, "teacher/fit.json"]


def teach(run: Run, provenance: Provenance) -> None:
    """Fit VICE, choose the pull and fit the teacher, inside the training concepts of each fold."""
    profile = run.profile
    features = by_style(embeddings.read(run.path(f"embeddings/{profile.teacher_backbone}.nc"))["features"].values)
    observers, answers, fold, _ = judgments(run)
    notes = []
    with progress_bar(profile.folds * (profile.pull_folds * len(profile.pulls) + 2), "fits") as bar:
        for f in range(profile.folds):
            train, rng = np.flatnonzero(fold != f), stream(profile, 2, f)
            known = splits.inside(answers, train)
            posterior = vice.fit(
                known, len(train), dim=profile.vice_dim, steps=profile.vice_steps, batch=profile.vice_batch, seed=profile.seed
            )
            bar.update()
            asked = _asked(profile, posterior, rng)
            targets = posterior.predict(asked)
            fitness = np.corrcoef(targets.ravel(), observers.probabilities(train[asked]).ravel())[0, 1]

            pictures = np.concatenate(features[:, train])
            pictured = _in_styles(asked, len(train), rng)
            hidden = np.tile(rng.permutation(len(train)) % profile.pull_folds, len(STYLES))
            teacher = AffineTeacher(rank=profile.teacher_rank, iterations=profile.teacher_iterations)
            tried = try_pulls(pictures, (pictured, targets), groups=hidden, pulls=profile.pulls, teacher=teacher, progress=bar.update)
            best = max(tried, key=lambda pull: tried[pull])
            teacher.set_params(pull=best).fit(pictures, (pictured, targets))
            teacher.save(run.path(f"teacher/fold{f}.safetensors"), provenance.attrs())
            untransformed = AffineTeacher(pull=np.inf).fit(pictures, (pictured, targets))
            untransformed.save(run.path(f"teacher/fold{f}-untransformed.safetensors"), provenance.attrs())
            notes.append({"pulls": tried, "pull": best, "vice_dimensions": posterior.mean.shape[1], "vice_correlation": fitness})
            bar.update()
    with replacing(run.path("teacher/fit.json")) as part:
        part.write_text(json.dumps(provenance.attrs() | {"folds": notes}, indent=1))


def _asked(profile: Profile, posterior: vice.ViceEmbedding, rng: np.random.Generator) -> Int[np.ndarray, "n 3"]:
    """Draw the triplets whose distributions the teacher learns: uniform ones, and ones across the borders of VICE's clusters.

    VICE answers for any triplet, and uniform ones hardly ever hold two near concepts: the borders teach the fine distinctions.
    """
    near = int(profile.border_share * profile.distilled_triplets)
    uniform = random_triplets(np.arange(len(posterior.mean)), profile.distilled_triplets - near, rng)
    groups = triplets.clusters(posterior.mean.relu().numpy(), profile.vice_clusters, profile.seed)
    return np.concatenate([uniform, triplets.cluster_border(groups, near, rng)])


def _in_styles(asked: Int[np.ndarray, "n 3"], objects: int, rng: np.random.Generator) -> Int[np.ndarray, "n 3"]:
    """Show each object of each triplet in a style drawn at random: rows of pictures that lie style below style."""
    return asked + objects * rng.integers(len(STYLES), size=asked.shape)


def triplet_files(profile: Profile) -> list[str]:
    """Name what the stage leaves."""
    files = [f"{folder}/{TRIPLETS}" for folder in LABELLINGS.values()]
    return [f"triplets/fold{f}/{name}" for f in range(profile.folds) for name in (*files, "summary.json")]


def sample(run: Run, provenance: Provenance) -> None:
    """Draw cluster-border triplets and label them twice: by the teacher and by the untransformed backbone."""
    profile = run.profile
    embedded = embeddings.read(run.path(f"embeddings/{profile.teacher_backbone}.nc"))
    features = embedded["features"].values
    names = np.array(
        [f"{style}/{concept}.png" for style, concept in zip(embedded["style"].values, embedded["concept"].values, strict=True)]
    )
    _, _, fold, _ = judgments(run)
    with progress_bar(profile.folds, "folds") as bar:
        for f in range(profile.folds):
            pictures = np.flatnonzero(np.tile(fold != f, len(STYLES)))
            teacher = AffineTeacher.load(run.path(f"teacher/fold{f}.safetensors"))
            groups = triplets.clusters(teacher.transform(features[pictures]), profile.clusters, profile.seed)
            drawn = pictures[
                triplets.cluster_border_blocks(
                    groups, profile.triplets, profile.block_images, profile.batch_triplets, stream(profile, 3, f)
                )
            ]
            labelled = {}
            for stage, folder in LABELLINGS.items():
                suffix = "" if stage == "aligned" else "-untransformed"
                labeller = AffineTeacher.load(run.path(f"teacher/fold{f}{suffix}.safetensors"))
                labelled[stage] = triplets.label(labeller.transform(features), drawn, names)
                triplets.write(run.path(f"triplets/fold{f}/{folder}/{TRIPLETS}"), labelled[stage])
            with replacing(run.path(f"triplets/fold{f}/summary.json")) as part:
                part.write_text(json.dumps(_summary(labelled, embedded["subgroup"].values)))
            bar.update()


def _summary(labelled: dict[str, triplets.LabelledTriplets], subgroup: np.ndarray) -> dict[str, dict[str, float]]:
    """Describe two labellings of the same rows: how sure they are, what they keep together, how often they agree."""
    summary = {}
    for stage, rows in labelled.items():
        kept = subgroup[rows.indices[:, 0]] == subgroup[rows.indices[:, 1]]
        summary[stage] = {
            "label-entropy": float(entropy(softmax(rows.similarities, axis=1)).mean()),
            "pair-in-one-subgroup": float(kept.mean()),
        }
    same = (labelled["aligned"].indices[:, 2] == labelled["unaligned"].indices[:, 2]).mean()
    summary["aligned"]["same-choice"] = float(same)
    return summary
