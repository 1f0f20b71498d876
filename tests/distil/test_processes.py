"""Training in processes of its own: two that train together, and one that is killed in its middle."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_training import SETTINGS, train

from humalign.chain import pipeline
from humalign.distil.optimiser import AdamTowardsInit

PROGRAM = Path(__file__).parents[1] / "small_training.py"
SLURM = PROGRAM.parent.parent / "book" / "_static" / "slurm.sh"
# Subprocesses import the checkout that is tested.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(PROGRAM.parent.parent), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def alone():
    return {kind: train(kind) for kind in ("sparse", "dense")}


def test_two_processes_train_what_one_would(alone, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, PROGRAM, tmp_path, "sparse", "dense"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for kind, wanted in alone.items():
        found = np.load(tmp_path / f"{kind}.npz")
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=f"{kind} {name}")


STUBS = {
    "humalign": 'echo "$@" >> "$(dirname "$0")/said"',
    "torchrun": f'exec {sys.executable} -m torch.distributed.run "$@"',
    # Slow, as a busy machine is: whoever reads the first name must not hang up on the second.
    "scontrol": "echo localhost; sleep 0.5; echo second",
    "srun": 'for node in 1 2; do "$@" & started="$started $!"; done; for one in $started; do wait "$one" || exit 1; done',
}


def free_port():
    with socket.socket() as asked:
        asked.bind(("localhost", 0))
        return asked.getsockname()[1]


def test_the_slurm_file_runs_the_stages_and_trains_on_two_nodes_what_one_process_would(alone, tmp_path):
    from humalign.chain import steps as stages

    for name, body in STUBS.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_NUM_NODES": "2", "SLURM_GPUS_ON_NODE": "1", "SLURM_JOB_ID": "7"}
    ours = {"BIN": str(tmp_path), "SHARED": "/shared", "PROFILE": "demo", "PORT": str(free_port())}
    environment = ENVIRONMENT | slurm | ours | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", SLURM, PROGRAM, tmp_path, "sparse"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [line.split() for line in (tmp_path / "said").read_text().splitlines()]
    assert said == [["run", name, "--profile", "demo", "--build", "/shared"] for name in pipeline.chain(stages.STEPS, "triplets")]
    found = np.load(tmp_path / "sparse.npz")
    for name, wanted in alone["sparse"].items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("missing", "said"), [("train", "name the script"), ("SHARED", "set SHARED to a folder")])
def test_the_slurm_file_says_what_it_is_not_given(tmp_path, missing, said):
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "SHARED"} | ({"SHARED": "x"} if missing == "train" else {})
    command = ["bash", SLURM, *([] if missing == "train" else ["train.py"])]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and said in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_a_killed_run_ends_as_an_unbroken_one(alone, tmp_path, monkeypatch, kind):
    checkpoint = tmp_path / "s.ckpt"
    command = [sys.executable, PROGRAM, tmp_path, kind, "--checkpoint", checkpoint]
    with subprocess.Popen([*command, "--wait-at", "25"], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout.readline() == "waiting\n"
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / f"{kind}.npz").exists()
    seen, ran, step = [], [], AdamTowardsInit.step
    monkeypatch.setattr(AdamTowardsInit, "step", lambda self, rate: (ran.append(len(seen)), step(self, rate)))
    resumed = train(kind, checkpoint, seen.append)
    assert seen == list(range(SETTINGS.steps)), "the 21 of the last checkpoint first, then the others"
    assert ran == list(range(21, SETTINGS.steps)), "from the last checkpoint on, and no more"
    for name, value in alone[kind].items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
