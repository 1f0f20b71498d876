"""One small training as a program of its own: several processes run it together, or it is killed in its middle.

python tests/small_training.py OUT KIND ... [--checkpoint FILE] [--wait-at STEP]
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from humalign.data.judgments import random_triplets
from humalign.distil.batches import DenseTriplets
from humalign.distil.distill import Distillation, Engine, distill
from humalign.models.student import Student
from humalign.triplets import label

IMAGES = 90
# Neither the rows of a step nor its triplets can be halved evenly.
SETTINGS = Distillation(
    temperature=1.0, steps=40, warmup=5, learning_rate=3e-3, decay_to_init={"tail": 0.5, "head": 0.1}, batch_triplets=63, checkpoint_every=7
)


def train(kind, checkpoint=None, progress=lambda step: None):
    """Train on rows of a file (``sparse``) or on all triplets among some images (``dense``), and return all that came of it."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((IMAGES, 12)).astype(np.float32)
    teacher = inputs[:, :3] @ rng.standard_normal((3, 3)).astype(np.float32)
    rows = label(teacher, random_triplets(np.arange(IMAGES), 2000, rng), np.arange(IMAGES).astype(str))
    torch.manual_seed(0)
    student = Student(nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 8)), 8, head_dim=8)
    log = distill(
        *(student, torch.from_numpy(inputs), {"sparse": rows, "dense": DenseTriplets(teacher, 10, seed=5)}[kind]),
        *(SETTINGS, checkpoint, progress),
        engine=Engine(device="cpu"),
        evaluate=lambda model: {"norm": model.features(torch.from_numpy(inputs)).norm()},
        evaluate_every=10,
    )
    seen = {"divergence": log.divergence, "evaluations": [[step, found["norm"]] for step, found in log.evaluations.items()]}
    return {name: value.numpy() for name, value in student.state_dict().items()} | seen


def main():
    """Train every kind in turn; the first process writes what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("kinds", nargs="+")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--wait-at", type=int)
    given = parser.parse_args()

    def progress(step):
        if step == given.wait_at:
            print("waiting", flush=True)
            time.sleep(600)

    for kind in given.kinds:
        found = train(kind, given.checkpoint, progress)
        if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
            np.savez(given.out / f"{kind}.npz", **found)


if __name__ == "__main__":
    main()
