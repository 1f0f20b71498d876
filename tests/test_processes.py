"""Training in processes of its own: two that train together, and one that is killed in its middle."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_training import SETTINGS, train

PROGRAM = Path(__file__).parent / "small_training.py"
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


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_a_killed_run_ends_as_an_unbroken_one(alone, tmp_path, kind):
    checkpoint = tmp_path / "s.ckpt"
    command = [sys.executable, PROGRAM, tmp_path, kind, "--checkpoint", checkpoint]
    with subprocess.Popen([*command, "--wait-at", "25"], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout.readline() == "waiting\n"
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / f"{kind}.npz").exists()
    seen = []
    resumed = train(kind, checkpoint, seen.append)
    assert seen == list(range(21, SETTINGS.steps)), "from the last checkpoint on, and no more"
    for name, value in alone[kind].items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
