"""One of several processes that train the students together: BUILD PROFILE [PASSES RECOMPUTE NAME].

torchrun starts it. ``--start`` before torchrun's own arguments runs torchrun, without the traceback that it
adds to a line of a process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import sys
from pathlib import Path

from humalign.chain import processes
from humalign.errors import HumalignError


def main(arguments: list[str]) -> int:
    """Teach, or start torchrun; 1 where a process failed or a GPU ran out of memory, 2 for a mistake."""
    processes.end_with_starter()
    return _start(arguments[1:]) if arguments[:1] == ["--start"] else _teach(arguments)


def _teach(arguments: list[str]) -> int:
    """Teach every unfinished student; a GPU that ran out of memory is noted in a file."""
    # torchrun's own process needs nothing of these, and starts two seconds sooner.
    import torch

    from humalign import profiles
    from humalign.artefacts import Provenance
    from humalign.chain import pipeline, steps
    from humalign.chain.distil import teach_all

    build, profile, passes, recompute, name = (*arguments, *("1", "0", "")[max(0, len(arguments) - 2) :])
    try:
        found = profiles.load(profile)
        made = dataclasses.replace(found, name=name or found.name)
        run = pipeline.Run(made, Path(build).resolve())
        provenance = Provenance(made.name, made.seed, pipeline.key_of(steps.STEPS, "students", made))
        torch.set_num_threads(max(1, made.threads // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Processes that were started by hand, on one machine or several: the first holds the folder.
        first = os.environ.get("RANK", "0") == "0"
        with processes.held(run.folder) if first else contextlib.nullcontext():
            teach_all(run, provenance, int(passes), bool(int(recompute)))
    except torch.OutOfMemoryError:
        run.path("students/out-of-memory").touch()
        return 1
    except HumalignError as error:
        print(f"humalign: {error}", file=sys.stderr)
        return 2
    return 0


def _start(arguments: list[str]) -> int:
    """Run torchrun; 1 where one of its processes failed, which has said why."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    logging.disable(logging.ERROR)
    try:
        torchrun(arguments)
    except (ChildFailedError, SignalException):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
