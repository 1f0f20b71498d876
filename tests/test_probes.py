"""Every probe of `tests/probes.py` gives one line or the right value: without checks of types, as users run the package."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_no_probe_is_silent_or_a_traceback():
    # Nothing is looked for on the network, where a hub that is not reached is asked again for most of a minute.
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, HERE / "probes.py"], capture_output=True, text=True, check=False, env=environment)
    lines = done.stdout.splitlines()
    wrong = [line for line in lines if not line.startswith("ok ")]
    assert done.returncode == 0 and len(lines) > 350, "\n".join(wrong) + done.stderr[-2000:]
    assert wrong == [f"{len(lines) - 1} probes, 0 wrong"]
