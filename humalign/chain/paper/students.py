"""The paper's students: each is taught the teacher's triplets, and its control those of the untransformed backbone.

One process trains where there is one GPU or none. Where there are several, they are started by PyTorch's torchrun, one a GPU, and train
each student together. On several machines that share the build folder, start them yourself, after the stage ``triplets``; then run the
profile, which finds the students finished:

    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST -m humalign.chain.paper.together BUILD paper
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from humalign import triplets
from humalign.artefacts import PACKAGE, Provenance, replacing
from humalign.chain.inputs import progress_bar
from humalign.chain.paper import authors
from humalign.chain.paper.embedding import forward, said
from humalign.chain.paper.labelling import pictures_of, triplet_path
from humalign.chain.paper.pictures import TRAIN, size_of, store
from humalign.chain.people import finished
from humalign.chain.pipeline import Run
from humalign.chain.teaching import LABELLINGS
from humalign.data.judgments import check_triplets
from humalign.data.pixels import PixelStore
from humalign.distil.distill import Distillation, Engine, distill
from humalign.distil.ranks import Ranks, join
from humalign.errors import HumalignError
from humalign.models import backbones
from humalign.models.student import Student
from humalign.profiles import Paper
from humalign.teach.objectives import OBJECTIVES, pair_similarities
from humalign.triplets.layout import reading

# Fewer rows a pass leave a GPU idle: below, what is kept for the gradient is computed again instead.
LEAST_ROWS = 16
# Validation triplets that are looked at together.
CHUNK = 1000
# Set for processes that end when their starter does.
TIED = "HUMALIGN_TIED"


def label(name: str) -> str:
    """Return a model's name as a file may carry it."""
    return name.replace(":", "-").replace("/", "-")


def taught(profile: Paper) -> list[tuple[str, str]]:
    """Return model and stage of every student that is taught here; those that the authors released were taught by them."""
    released = authors.named(profile)
    return [(name, stage) for name in profile.students if name not in released for stage in LABELLINGS]


def student_files(profile: Paper) -> list[str]:
    """Name what the stage leaves."""
    own = [f"students/{label(name)}-{stage}.{suffix}" for name, stage in taught(profile) for suffix in ("safetensors", "json")]
    return [*own, *authors.converted_files(profile)]


def train(run: Run, provenance: Provenance) -> None:
    """Teach all students; where a GPU runs out of memory, go on from the last checkpoint with less at a time, and say so.

    Released models among them are converted first: an archive that is missing should be known before days of training.
    """
    authors.convert(run, provenance)
    processes = run.profile.processes or (torch.cuda.device_count() if run.profile.device in ("auto", "cuda") else 1)
    full = run.path("students/out-of-memory")
    passes, recompute = 1, False
    while True:
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
    for leftover in run.path("students").glob("*.ckpt"):
        leftover.unlink()


def _smaller(profile: Paper, processes: int, passes: int, recompute: bool) -> tuple[int, bool]:
    """Return the next way to need less memory: more passes a step; then computing again what a gradient needs."""
    if profile.batch_triplets / processes / passes >= 2 * LEAST_ROWS:
        said(f"out of GPU memory: a step is taken in {2 * passes} passes from here on")
        return 2 * passes, recompute
    if not recompute:
        said("out of GPU memory: activations are computed twice from here on, a third slower")
        return passes, True
    raise HumalignError("the GPU has too little memory for a student: free it, or lower `batch_triplets` in the profile")


def _together(run: Run, processes: int, passes: int, recompute: bool, full: Path) -> None:
    """Start processes that teach all students together, and wait for them."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["-m", "humalign.chain.paper.together", str(run.build), run.profile.name, str(passes), str(int(recompute))]
    # They run this very code, wherever they are started; and OMP's threads are shared out among them.
    threads = str(max(1, run.profile.threads // processes))
    tied = {"PYTHONPATH": str(PACKAGE.parent), TIED: "1", "OMP_NUM_THREADS": threads}
    # Where this process is killed, the pipe ends, and they with it.
    done = subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | tied)
    try:
        failed = done.wait()
    finally:
        done.terminate()
        done.wait()
    if failed and full.is_file():
        raise torch.OutOfMemoryError
    if failed:
        raise HumalignError(f"the {processes} processes that train students ended with status {failed}: see above; run the same again")


def teach_all(run: Run, provenance: Provenance, passes: int = 1, recompute: bool = False) -> None:
    """Teach every student and control that is not finished under this key, in this process or in all that torchrun started."""
    profile = run.profile
    compiler = None if profile.compile == "none" else profile.compile
    engine = Engine(profile.device, profile.precision == "bfloat16", recompute, passes, compiler)
    ranks, everyone = join(profile.device), taught(profile)
    with progress_bar(len(everyone) * profile.steps, "training steps") as bar:
        bar.disable |= ranks.rank > 0
        for name, stage in everyone:
            if finished(run.path(f"students/{label(name)}-{stage}.safetensors"), provenance.key):
                bar.update(profile.steps)
            else:
                _teach_one(run, name, stage, provenance, engine, ranks, bar)


def _teach_one(run: Run, name: str, stage: str, provenance: Provenance, engine: Engine, ranks: Ranks, bar: tqdm) -> None:
    profile, path = run.profile, run.path(f"students/{label(name)}-{stage}.safetensors")
    student = Student.of(backbones.build(name), 0, seed=profile.seed)
    size = size_of(name)
    settings = Distillation(**{field.name: getattr(profile, field.name) for field in dataclasses.fields(Distillation)})
    with reading(triplet_path(run, stage, "train")) as (indices, similarities, _):
        # Names are a gigabyte a process, and the file was audited when it was made: they are left on disk.
        labelled = triplets.LabelledTriplets(indices, similarities, np.empty((len(indices), 0), "S1"))
    check_triplets(labelled.indices, profile.imagenet_pictures)
    held_back = _Validation.of(run, stage, store(run, pictures_of(profile, "val"), size), ranks)
    log = distill(
        student,
        store(run, TRAIN, size),
        labelled,
        settings,
        run.path(f"students/{label(name)}-{stage}.{provenance.key}.ckpt"),
        lambda step: bar.update(),
        engine=engine,
        evaluate=held_back.agreement,
        evaluate_every=profile.evaluate_every,
        unsound=True,
    )
    if ranks.rank == 0:
        with replacing(path.with_suffix(".json")) as part:
            part.write_text(json.dumps(provenance.attrs() | dataclasses.asdict(log), indent=1))
        student.save(path, provenance.attrs())


@dataclasses.dataclass(frozen=True)
class _Validation:
    """Triplets that no student is trained on, and the teacher's similarities; of ours, no picture is trained on either."""

    profile: Paper
    pictures: PixelStore
    rows: np.ndarray
    similarities: torch.Tensor
    used: np.ndarray
    ranks: Ranks

    @classmethod
    def of(cls, run: Run, stage: str, pictures: PixelStore, ranks: Ranks) -> _Validation:
        with reading(triplet_path(run, stage, "val")) as (indices, similarities, _):
            used, rows = np.unique(indices, return_inverse=True)
        return cls(run.profile, pictures, rows.reshape(-1, 3), torch.from_numpy(similarities).float(), used, ranks)

    def agreement(self, student: Student) -> dict[str, float]:
        """Return how often the student keeps the teacher's pair, and the mean divergence (nats); a tie does not keep it."""
        shown = _Picked(self.pictures, self.used)
        parts = forward(student, shown, range(len(self.used)), self.ranks.device, self.profile)
        outputs = torch.from_numpy(np.concatenate(list(parts)))
        divergence, kept = 0.0, 0
        for start in range(0, len(self.rows), CHUNK):
            # Some rows at a time: all pairs of their pictures are multiplied.
            used, rows = torch.unique(torch.from_numpy(self.rows[start : start + CHUNK]), return_inverse=True)
            said_here = self.similarities[start : start + CHUNK]
            each = OBJECTIVES[self.profile.objective](said_here, outputs[used], rows, self.profile.temperature)
            divergence += float(each.double().sum())
            pairs = pair_similarities(outputs[used], rows)
            kept += int((pairs[:, :1] > pairs[:, 1:]).all(1).sum())
        return {"agreement": kept / len(self.rows), "divergence": divergence / len(self.rows)}


class _Picked(PixelStore):
    """Some pictures of a store, in an order of their own."""

    def __init__(self, store: PixelStore, rows: np.ndarray) -> None:
        self.store, self.rows = store, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: slice) -> torch.Tensor:
        return self.store[self.rows[index]]
