"""One of several processes that teach the paper's students together, as torchrun starts it: BUILD PROFILE [PASSES RECOMPUTE NAME]."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from pathlib import Path

import torch

from humalign import profiles
from humalign.artefacts import Provenance
from humalign.chain import pipeline
from humalign.chain import steps as stages
from humalign.chain.distil import TIED, teach_all
from humalign.chain.pipeline import Run
from humalign.errors import HumalignError


def main(arguments: list[str]) -> int:
    """Teach every student that is not finished; 1 where a GPU ran out of memory, which a file then says, and 2 for a user's mistake."""
    if os.environ.get(TIED):
        threading.Thread(target=_end_with_starter, daemon=True).start()
    build, profile, passes, recompute, name = (*arguments, *("1", "0", "")[max(0, len(arguments) - 2) :])
    try:
        found = profiles.load(profile)
        run = Run(dataclasses.replace(found, name=name or found.name), Path(build).resolve())
        provenance = Provenance(run.profile.name, run.profile.seed, pipeline.key_of(stages.STEPS, "students", run.profile))
        torch.set_num_threads(max(1, run.profile.threads // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
        torch.use_deterministic_algorithms(True, warn_only=True)
        teach_all(run, provenance, int(passes), bool(int(recompute)))
    except torch.OutOfMemoryError:
        run.path("students/out-of-memory").touch()
        return 1
    except HumalignError as error:
        print(f"humalign: {error}", file=sys.stderr)
        return 2
    return 0


def _end_with_starter() -> None:
    """End this process when the one that started torchrun is gone: its end of the pipe is then closed."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
