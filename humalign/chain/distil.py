"""Students, trained on the teacher's similarities over the pool; controls, on the untransformed backbone's.

One process trains where there is one GPU or none. With several, PyTorch's torchrun starts one a GPU, and they
train each student together. On several machines that share the build folder, start them yourself, after the
step ``triplets``; then run the profile, which finds the students finished:

    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST \\
        -m humalign.chain.together BUILD paper
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import itertools
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from humalign import triplets
from humalign.artefacts import PACKAGE, Provenance
from humalign.chain import curves, embed, label
from humalign.chain.features import start, student_file, taught, teacher_labels
from humalign.chain.pipeline import Rows, Run, progress_bar, schedule, write
from humalign.chain.processes import child
from humalign.chain.sets import size_of, store
from humalign.data import registry
from humalign.data.judgments import check_triplets
from humalign.data.pixels import PixelStore
from humalign.distil.batches import DenseTriplets
from humalign.distil.distill import Engine, distill
from humalign.distil.ranks import Ranks, join
from humalign.errors import HumalignError
from humalign.models import export, released
from humalign.models.embeddings import forward, said
from humalign.models.released.catalogue import MODELS, STAGES
from humalign.models.student import Student
from humalign.profiles import Profile, as_settings
from humalign.profiles import Student as Settings
from humalign.teach.objectives import OBJECTIVES, pair_similarities
from humalign.triplets.layout import reading

# Fewer rows a pass leave a GPU idle: below, what is kept for the gradient is computed again instead.
LEAST_ROWS = 16
# Steps at the beginning and at the end of a training whose mean stands for it.
AVERAGED = 10
# Validation triplets that are looked at together.
CHUNK = 1000
# What the conversion of a released model leaves.
RELEASED = ("model.safetensors", export.CLASSIFIER)


def student_files(profile: Profile) -> list[str]:
    """Name what the step leaves."""
    own = [name for each in taught(profile) for name in _files(*each)]
    folders = [released_folder(model, stage) for model, stage, _ in released_archives(profile)]
    converted = [f"{folder}/{file}" for folder in folders for file in RELEASED]
    return [*own, *converted, *curves.files(profile)]


def _files(student: Settings, part: str, stage: str) -> list[str]:
    file = student_file(student.backbone, part, stage)
    return [file, file.replace(".safetensors", ".json")]


def train(run: Run, provenance: Provenance) -> None:
    """Teach all students; where a GPU runs out of memory, go on from the last checkpoint, less at a time."""
    _convert(run)  # a missing archive should be known before days of training
    compute, full = run.profile.compute, run.path("students/out-of-memory")
    processes = compute.processes or (torch.cuda.device_count() if compute.device in ("auto", "cuda") else 1)
    passes, recompute = 1, False
    while taught(run.profile):  # released models are taught nothing
        full.unlink(missing_ok=True)
        try:
            if processes > 1:
                _together(run, processes, passes, recompute, full)
            else:
                teach_all(run, provenance, passes, recompute)
            break
        except torch.OutOfMemoryError:
            gc.collect()
            torch.cuda.empty_cache()
            passes, recompute = _smaller(run.profile, processes, passes, recompute)
    curves.train(run, provenance)
    for leftover in run.path("students").rglob("*.ckpt"):
        leftover.unlink()
    run.path("students/profile.yaml").unlink(missing_ok=True)


def summary(run: Run) -> Rows:
    """Say of each student how many steps it was trained, and its objective over the first and the last."""
    found = []
    for student, part, stage in taught(run.profile):
        log = json.loads(run.path(_files(student, part, stage)[1]).read_text())["divergence"]
        few = max(1, min(len(log) // 2, AVERAGED))
        first, last = (float(np.mean(steps)) for steps in (log[:few], log[-few:]))
        row = {"student": student.backbone, "part": part, "stage": stage, "steps": len(log)}
        found.append(row | {"divergence, first steps": first, "last steps": last})
    return found


def _smaller(profile: Profile, processes: int, passes: int, recompute: bool) -> tuple[int, bool]:
    """Return the next way to need less memory: more passes a step; then activations computed again."""
    if profile.distillation.batch_triplets / processes / passes >= 2 * LEAST_ROWS:
        said(f"out of GPU memory: a step is taken in {2 * passes} passes from here on")
        return 2 * passes, recompute
    if not recompute:
        said("out of GPU memory: activations are computed twice from here on, a third slower")
        return passes, True
    mend = "free it, or lower `batch_triplets` in the profile"
    raise HumalignError(f"the GPU has too little memory for a student: {mend}")


def _together(run: Run, processes: int, passes: int, recompute: bool, full: Path) -> None:
    """Start processes that teach all students together, and wait for them."""
    settings = run.path("students/profile.yaml")  # JSON is YAML: the very settings of this run
    write(settings, as_settings(run.profile))
    module = ["-m", "humalign.chain.together"]
    torchrun = [*module, "--start", "--standalone", f"--nproc-per-node={processes}"]
    told = [str(run.build), str(settings), str(passes), str(int(recompute)), run.profile.name]
    # They run this very code, wherever they are started; and OMP's threads are shared out among them.
    threads = str(max(1, run.profile.threads // processes))
    environment = {"PYTHONPATH": str(PACKAGE.parent), "OMP_NUM_THREADS": threads}
    with child([sys.executable, *torchrun, *module, *told], environment) as started:
        failed = started.wait()
    if failed and full.is_file():
        raise torch.OutOfMemoryError
    if failed:
        line = f"the {processes} processes that train students ended with status {failed}"
        raise HumalignError(f"{line}: see above; run the same again")


def teach_all(run: Run, provenance: Provenance, passes: int = 1, recompute: bool = False) -> None:
    """Train what is not finished under this key, in this process or in all that torchrun started."""
    profile, compute = run.profile, run.profile.compute
    compiler = None if compute.compile == "none" else compute.compile
    engine = Engine(compute.device, compute.precision == "bfloat16", recompute, passes, compiler)
    ranks, everyone = join(compute.device), taught(profile)
    with progress_bar(len(everyone) * profile.distillation.steps, "training steps") as bar:
        bar.disable |= ranks.rank > 0
        for each in everyone:
            teach_one = functools.partial(_teach_one, run, each, provenance, engine, ranks, bar)
            if ranks.rank > 0:
                # The first process alone notes what is finished; the others ask before it can have begun.
                if not run.is_kept(provenance.key, _files(*each)):
                    teach_one()
            elif run.kept(provenance.key, _files(*each), teach_one):
                bar.update(profile.distillation.steps)


def _teach_one(
    run: Run, each: tuple[Settings, str, str], provenance: Provenance, engine: Engine, ranks: Ranks, bar: tqdm
) -> None:
    (settings, part, stage), (file, note) = each, _files(*each)
    profile, pool, backbone = run.profile, run.profile.data.pool, settings.backbone
    whole = not (settings.frozen or settings.trained)
    inputs = store(run, pool, size_of(backbone)) if whole else embed.activations(run, backbone, pool)
    student = start(run, settings, stage)
    checkpoint = run.path(f"{file.removesuffix('.safetensors')}.{provenance.key}.ckpt")
    evaluate, every, audited = None, profile.distillation.evaluate_every, None
    plan: triplets.LabelledTriplets | DenseTriplets
    if label.dense(profile):
        targets, images = teacher_labels(run, part, stage), profile.distillation.batch_images
        plan = DenseTriplets(targets, images, profile.seed)
    else:
        path = label.triplet_path(run, part, stage, "train")
        if whole:
            with reading(path) as (indices, similarities, _):
                # Names are a gigabyte a process, and the file was audited: they are left on disk.
                plan = triplets.LabelledTriplets(indices, similarities, np.empty((len(indices), 0), "S1"))
        else:
            plan, audited = triplets.read(path), np.asarray(embed.read(run, backbone, pool))
        check_triplets(plan.indices, len(inputs))
        if "val" in label.splits(profile) and every:
            shown = store(run, label.pictures_of(profile, "val"), size_of(backbone))
            evaluate = _validation(run, part, stage, shown, ranks)
    log = distill(
        student, inputs, plan, schedule(profile), checkpoint, lambda step: bar.update(), engine=engine,
        evaluate=evaluate, evaluate_every=every or 1, unsound=audited is None, embeddings=audited,
    )  # fmt: skip
    if ranks.rank == 0:
        write(run.path(note), provenance.attrs() | dataclasses.asdict(log))
        student.save(run.path(file), provenance.attrs())


def _validation(
    run: Run, part: str, stage: str, pictures: PixelStore, ranks: Ranks
) -> Callable[[Student], dict[str, float]]:
    """Return what tells how often a student keeps the teacher's pair, and the mean divergence (nats).

    It is asked on triplets that no student is trained on; ours are of other pictures. A tie is no agreement.
    """
    with reading(label.triplet_path(run, part, stage, "val")) as (indices, similarities, _):
        used, places = np.unique(indices, return_inverse=True)
    rows, told = places.reshape(-1, 3), torch.from_numpy(similarities).float()
    settings, objective = run.profile.distillation, OBJECTIVES[run.profile.distillation.objective]
    shown = pictures.size, _Picked(pictures, used), range(len(used)), ranks.device, run.profile.compute

    def agreement(student: Student) -> dict[str, float]:
        parts = forward(lambda pixels: (student(pixels),), *shown)
        outputs = torch.from_numpy(np.concatenate([outputs for (outputs,) in parts]))
        divergence, kept = 0.0, 0
        for first in range(0, len(rows), CHUNK):
            # Some rows at a time: all pairs of their pictures are multiplied.
            here, some = torch.unique(torch.from_numpy(rows[first : first + CHUNK]), return_inverse=True)
            each = objective(told[first : first + CHUNK], outputs[here], some, settings.temperature)
            divergence += float(each.double().sum())
            pairs = pair_similarities(outputs[here], some)
            kept += int((pairs[:, :1] > pairs[:, 1:]).all(1).sum())
        return {"agreement": kept / len(rows), "divergence": divergence / len(rows)}

    return agreement


class _Picked(PixelStore):
    """Some pictures of a store, in an order of their own."""

    def __init__(self, store: PixelStore, rows: np.ndarray) -> None:
        self.store, self.rows = store, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: slice) -> torch.Tensor:
        return self.store[self.rows[index]]


def released_archives(profile: Profile) -> list[tuple[str, str, str]]:
    """Return model, stage and registered archive of every student that the authors released."""
    pairs = itertools.product((name for name in profile.backbones if name in MODELS), STAGES.items())
    return [(model, stage, f"alignet-{model}-{suffix}") for model, (stage, suffix) in pairs]


def released_folder(model: str, stage: str) -> str:
    """Name the folder of a converted checkpoint."""
    return f"students/{model}-{stage}"


def _convert(run: Run) -> None:
    """Convert every released checkpoint; one that was converted from the same archive is kept."""
    archives = released_archives(run.profile)
    with progress_bar(len(archives), "released checkpoints") as bar:
        for model, stage, archive in archives:
            source, place = registry.locate(archive), run.path(released_folder(model, stage))
            if not all((place / file).is_file() for file in RELEASED):
                # What a stopped or altered conversion left would be taken for a whole one.
                shutil.rmtree(place, ignore_errors=True)
            released.convert(source, place)
            bar.update()
