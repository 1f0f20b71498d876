"""The teacher on real human judgments: observers fitted to the answers, and teachers of each fold."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from scipy.special import softmax
from sklearn.model_selection import GridSearchCV

from humalign.artefacts import Provenance, replacing
from humalign.chain.answers import AnswerSets, answer_sets, check_orders
from humalign.chain.inputs import progress_bar, stream
from humalign.chain.pipeline import Run
from humalign.data import object_order, readers, registry
from humalign.data.judgments import ByObject, Choices, random_triplets
from humalign.errors import HumalignError
from humalign.evaluation import people, rsa
from humalign.profiles import Things
from humalign.teach import vice
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.splits import ObjectFolds
from humalign.teach.teacher import AffineTeacher, regressed, try_pulls

CLIP = "clip-vit-b32"
# Correlation of the 48 objects' judged dissimilarities with those that VICE implies: .89 in order, about 0 in another.
LEAST_ALIKE = 0.5
Name = tuple[str, str, str, str, str]  # model, stage, task, split, metric of a score
# Teachers of the 1,854 objects, by stage: what each was told of the training objects.
FITTED = ("ridge", "ridge-strict", "teacher-one-hot", "teacher-published", "teacher-distilled", "teacher")


@dataclasses.dataclass(frozen=True)
class Judgments(AnswerSets):
    """Real answers about the THINGS objects, and what is known of the objects."""

    features: Float[np.ndarray, "objects dim"]
    published: Float[np.ndarray, "objects dims"]
    categories: pd.DataFrame
    names: tuple[str, ...]

    @functools.cached_property
    def answers(self) -> ByObject:
        """All answers to triplets that were asked once, sliced by object."""
        return ByObject.of(self.asked_once, len(self.features))

    def folds(self, profile: Things) -> list[tuple[Int[np.ndarray, " m"], Int[np.ndarray, " k"]]]:
        """Return training and test objects of each fold, in ascending order."""
        return [(np.sort(train), np.sort(test)) for train, test in ObjectFolds(profile.folds).split(self.features)]


@functools.cache
def judgments() -> Judgments:
    """Read the human data, every file's order of the objects checked by the answers.

    The public VICE and CLIP files are each in an order of their own: see `humalign.data.object_order`.

    Raises:
        HumalignError: a file that is not there, cannot be read, or is in another order than expected.
    """
    names = readers.object_ids(registry.locate("things-ids"))
    answers = answer_sets(registry.locate, names)
    published = readers.embedding(registry.locate("things-vice"), names, object_order.OLD)
    features = readers.features(registry.locate("things-clip-features"), names, object_order.SORTED)
    check_orders(registry.locate, answers, published, features, names)
    return Judgments(
        features=features,
        training=answers.training,
        validation=answers.validation,
        repeated=answers.repeated,
        published=published,
        categories=readers.categories(registry.locate("things-categories"), names),
        names=names,
    )


def forty_eight(known: Judgments) -> tuple[Float[np.ndarray, "m m"], Int[np.ndarray, " m"]]:
    """Read the judged dissimilarities of 48 objects, and the objects' rows, which are checked by the published dimensions.

    Raises:
        HumalignError: dissimilarities that do not follow the dimensions: rows in another order than their names.
    """
    path = registry.locate("things-48")
    judged, rows = readers.things48(path, known.names)
    own = rsa.choice_dissimilarities(people.dot_similarity(known.published[rows]))
    pairs = np.triu_indices(len(rows), 1)
    if (alike := float(np.corrcoef(own[pairs], judged[pairs])[0, 1])) < LEAST_ALIKE:
        raise HumalignError(
            f"{path}: its rows do not follow people's dimensions of the objects they are named by (r = {alike:.2f}, expected about 0.9):"
            " they are in another order; put words48.mat of osf.io/z2784 beside it"
        )
    return judged, rows


# ---- observers -----------------------------------------------------------------------------------------------------------------------


def _fits(profile: Things) -> dict[str, tuple[str, int]]:
    """Name every VICE fit: on which answers, from which seed."""
    whole = {f"seed{seed}": ("all", seed) for seed in range(profile.vice_seeds)}
    parts = {f"share{share:g}": (f"share {share}", 0) for share in profile.vice_shares}
    return whole | parts | {f"fold{f}": (f"fold {f}", 0) for f in range(profile.folds)}


def observer_files(profile: Things) -> list[str]:
    """Name what the stage leaves."""
    return [f"vice/{name}.safetensors" for name in _fits(profile)]


def observe(run: Run, provenance: Provenance) -> None:
    """Fit VICE to all training answers, to parts of them, and to the answers inside each fold's training objects.

    A fit that was finished under the same key is kept, and one that was not goes on from its checkpoint.
    """
    profile, known = run.profile, judgments()
    with progress_bar(len(_fits(profile)), "VICE fits") as bar:
        for name, (which, seed) in _fits(profile).items():
            path = run.path(f"vice/{name}.safetensors")
            if not finished(path, provenance.key):
                fit_observer(run, path, provenance, *_answers(profile, known, which), profile.seed + seed)
            bar.update()
    for leftover in run.path("vice").glob("*.ckpt"):
        leftover.unlink()


def fit_observer(run: Run, path: Path, provenance: Provenance, answers: Choices, objects: int, seed: int, device: str = "cpu") -> None:
    """Fit VICE with the profile's numbers, from its checkpoint where one was left, and write it under the stage's key."""
    profile = run.profile
    found = vice.fit(
        answers,
        objects,
        dim=profile.vice_dim,
        steps=profile.vice_steps,
        batch=profile.vice_batch,
        seed=seed,
        device=device,
        checkpoint=path.with_suffix(f".{provenance.key}.ckpt"),
    )
    with replacing(path) as part:
        save_file({"mean": found.mean.contiguous(), "std": found.std.contiguous()}, part, {"key": provenance.key})


def finished(path: Path, key: str) -> bool:
    """Tell whether a file of safetensors was written by a stage under this very key."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return bool((file.metadata() or {}).get("key") == key)
    except (OSError, SafetensorError):
        return False


def _answers(profile: Things, known: Judgments, which: str) -> tuple[Choices, int]:
    if which.startswith("fold"):
        train, _ = known.folds(profile)[int(which.split()[1])]
        inside = known.answers[train]
        return Choices(inside.triplets, inside.shares.astype(np.int64)), len(train)
    share = 1.0 if which == "all" else float(which.split()[1])
    rows = stream(profile, 1).permutation(len(known.training))[: round(share * len(known.training))]
    return Choices(known.training.triplets[rows], known.training.counts[rows]), len(known.features)


def observer(run: Run, name: str) -> vice.ViceEmbedding:
    """Return one of the fits of VICE."""
    return vice.ViceEmbedding(**load_file(run.path(f"vice/{name}.safetensors")))


# ---- teachers ------------------------------------------------------------------------------------------------------------------------


def teacher_files(profile: Things) -> list[str]:
    """Name what the stage leaves."""
    return [*(f"teacher/fold{f}-{stage}.safetensors" for f in range(profile.folds) for stage in FITTED), "teacher/fit.json"]


def teach(run: Run, provenance: Provenance) -> None:
    """Fit every teacher of every fold to what is known of the training objects; all settings are chosen among these."""
    profile, known = run.profile, judgments()
    notes = []
    with progress_bar(profile.folds * len(FITTED), "teachers") as bar:
        for f, (train, _) in enumerate(known.folds(profile)):
            features, answers = known.features[train], known.answers[train]
            published, note = known.published[train], {}
            asked = random_triplets(np.arange(len(train)), profile.distilled_triplets, stream(profile, 2, f))
            told = {
                "teacher-published": ByObject(
                    asked, softmax(people.pair_values(people.dot_similarity(published), asked), axis=1), len(train)
                ),
                # The triplets of the answers themselves, so that nothing but the targets differs from `teacher`.
                "teacher-distilled": ByObject(answers.triplets, observer(run, f"fold{f}").predict(answers.triplets), len(train)),
                "teacher": answers,
            }
            for stage in FITTED:
                if stage == "ridge":
                    teacher = regressed(features, published)
                elif stage == "ridge-strict":
                    teacher = regressed(features, observer(run, f"fold{f}").mean.relu().numpy())
                elif stage == "teacher-one-hot":
                    hidden = stream(profile, 3, f).permutation(len(train)) % profile.pull_folds
                    one_hot = (answers.triplets, answers.shares)
                    tried = try_pulls(features, one_hot, groups=hidden, pulls=profile.pulls, teacher=AffineTeacher(rank=len(features.T)))
                    note["pull"] = max(tried, key=lambda pull: tried[pull])
                    teacher = AffineTeacher(pull=note["pull"], rank=len(features.T)).fit(features, one_hot)
                else:
                    grid = {"residual": list(profile.residuals), "ridge": list(profile.ridges)}
                    search = GridSearchCV(MixedEffectsTeacher(), grid, cv=ObjectFolds(3, profile.seed)).fit(features, told[stage])
                    note[stage] = search.best_params_
                    teacher = search.best_estimator_
                teacher.save(run.path(f"teacher/fold{f}-{stage}.safetensors"), provenance.attrs())
                bar.update()
            notes.append(note)
    with replacing(run.path("teacher/fit.json")) as part:
        part.write_text(json.dumps(provenance.attrs() | {"folds": notes}, indent=1))
