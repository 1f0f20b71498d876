"""Dense against sparse triplets: agreement with the teacher on pictures held back, by images seen."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable

import numpy as np

from humalign import triplets
from humalign.artefacts import Provenance
from humalign.chain import embed
from humalign.chain.features import start, teacher_labels
from humalign.chain.pipeline import Run, progress_bar, schedule, stream, write
from humalign.data.judgments import agreement, cosine_similarities, random_triplets
from humalign.distil.batches import DenseTriplets
from humalign.distil.distill import distill
from humalign.evaluation import people
from humalign.models.student import Student
from humalign.profiles import Profile

KINDS = ("dense", "sparse")


def files(profile: Profile) -> list[str]:
    """Name what is left: a curve of each kind from each seed."""
    return [_file(kind, seed) for kind in KINDS for seed in range(profile.curves.seeds)]


def _file(kind: str, seed: int) -> str:
    return f"students/curves/{kind}-seed{seed}.json"


def _steps(profile: Profile) -> dict[str, int]:
    return {"dense": profile.curves.steps, "sparse": profile.curves.sparse_steps}


def train(run: Run, provenance: Provenance) -> None:
    """Train the first student on dense and on sparse triplets, from several seeds; keep finished curves."""
    steps, seeds = _steps(run.profile), range(run.profile.curves.seeds)
    with progress_bar(len(seeds) * sum(steps.values()), "training steps of the curves") as bar:
        for kind, seed in itertools.product(KINDS, seeds):
            curve = functools.partial(_curve, run, kind, seed, provenance, lambda: bar.update() and None)
            if run.kept(provenance.key, [_file(kind, seed)], curve):
                bar.update(steps[kind])


def _curve(run: Run, kind: str, seed: int, provenance: Provenance, progress: Callable[[], None]) -> None:
    """Train on dense or on sparse triplets, and note by images seen how often student and teacher agree."""
    profile, settings, path = run.profile, run.profile.curves, run.path(_file(kind, seed))
    steps, rows = _steps(profile)[kind], settings.images // 3
    labels = teacher_labels(run, "all", "aligned")
    order = stream(profile, 9).permutation(len(labels))
    taught, held = np.sort(order[settings.held_out :]), np.sort(order[: settings.held_out])
    asked = random_triplets(np.arange(len(held)), settings.triplets, stream(profile, 10))
    chosen = np.eye(3)[people.pair_values(people.dot_similarity(labels[held]), asked).argmax(1)]
    inputs = embed.activations(run, profile.students[0].backbone, profile.data.pool)
    held_back = inputs[held]

    def agree(student: Student) -> dict[str, float]:
        similar = cosine_similarities(student.features(held_back).numpy(), asked)
        return {"agreement": float(agreement(similar, chosen).mean())}

    plan: DenseTriplets | triplets.LabelledTriplets = DenseTriplets(labels[taught], 3 * rows, seed=seed)
    if kind == "sparse":
        groups = triplets.clusters(labels[taught], settings.clusters, seed)
        drawn = triplets.cluster_border(groups, steps * rows, stream(profile, 11, seed))
        plan = triplets.label(labels[taught], drawn, np.array([f"{place}" for place in taught]))
    warmup = min(profile.distillation.warmup, steps // 4)
    told = schedule(profile, batch_triplets=rows, steps=steps, warmup=warmup)
    student = start(run, profile.students[0], "aligned", seed)
    noted = {0: agree(student)}
    log = distill(
        student, inputs[taught], plan, told, path.with_suffix(f".{provenance.key}.ckpt"),
        lambda step: progress(), evaluate=agree, evaluate_every=settings.every,
    )  # fmt: skip
    noted |= log.evaluations
    curve = [[3 * rows * done, found["agreement"]] for done, found in sorted(noted.items())]
    write(path, provenance.attrs() | {"curve": curve})


def read(run: Run) -> dict[str, list[list[tuple[int, float]]]]:
    """Return (images seen, agreement with the teacher) by kind and seed."""

    def noted(kind: str, seed: int) -> list[tuple[int, float]]:
        found = json.loads(run.path(_file(kind, seed)).read_text())["curve"]
        return [(int(images), float(agreed)) for images, agreed in found]

    return {kind: [noted(kind, seed) for seed in range(run.profile.curves.seeds)] for kind in KINDS}
