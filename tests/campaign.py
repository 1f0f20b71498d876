"""Kill runs, damage what they left, change the number of cores: the same scores, or one line. Half an hour; no part of `make test`.

    python tests/campaign.py [--kills 20] [--damaged 40] [--seed 0] [--folder FOLDER]

The run is that of `tests/chain/test_chain.py`: the whole chain on 90 concepts. It ends with status 1 where anything differs.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), str(TESTS / "chain")]

import test_chain  # noqa: E402

from humalign.chain import pipeline, processes, steps  # noqa: E402

COMMAND = [sys.executable, str(TESTS / "chain" / "test_chain.py")]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS), *filter(None, sys.path)])}
# Of a folder of a run, what only a killed run can have left.
LEFT = ("*.part*", ".running-*", ".building-*", processes.NAME)


def start(build: Path, cores: int = 0) -> subprocess.Popen[str]:
    """Start a run in a process of its own, on so many cores."""
    bound = ["taskset", "-c", ",".join(map(str, range(cores)))] if cores else []
    return subprocess.Popen([*bound, *COMMAND, build], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def finish(build: Path, cores: int = 0) -> str:
    """Run to the end, and return what went wrong."""
    with start(build, cores) as process:
        assert process.stderr
        said = process.stderr.read()
    return "" if process.returncode == 0 else (said.strip().splitlines() or ["no output"])[-1]


def artefacts(build: Path) -> list[Path]:
    """Return every file that the steps leave, and the notes of finished parts."""
    run = pipeline.Run(test_chain.profile(), build)
    return sorted(path for path in run.folder.rglob("*") if path.is_file() and path.name != "provenance.json")


def differs(build: Path, whole: Path) -> str:
    """Say what two finished runs do not share: their scores to the byte, their arrays, or something left over."""
    one, other = (pipeline.Run(test_chain.profile(), each) for each in (build, whole))
    left = [path.name for pattern in LEFT for path in one.folder.rglob(pattern)]
    names = [name for step in test_chain.CHAIN for name in steps.STEPS[step].outputs(one.profile)]
    apart = [name for name in names if not name.endswith(".nc") and not test_chain.same(one.path(name), other.path(name))]
    return "; ".join(filter(None, (f"left over: {left}" if left else "", f"other bytes: {apart}" if apart else "")))


def kills(count: int, whole: Path, seconds: float, folder: Path, chance: random.Random) -> list[str]:
    """Kill a run again and again, wherever it is, until it has ended; then begin anew."""
    faults, done, build = [], 0, folder / "killed"
    while done < count:
        shutil.rmtree(build, ignore_errors=True)
        while done < count:
            with start(build) as process:
                time.sleep(chance.uniform(4, 4 + seconds / 4))
                ended = process.poll() is not None
                process.send_signal(signal.SIGKILL)
                assert process.stderr
                said = process.stderr.read().replace("\r", "\n")
            if ended:
                break
            done += 1
            at = re.findall(r"\[\d/\d\] (\S+) \.\.\.", said)
            print(f"kill {done}: {at[-1] if at else 'before the first step'}", flush=True)
        wrong = finish(build) or differs(build, whole)
        faults += [f"after kill {done}: {wrong}"] if wrong else []
    return faults


def damages(count: int, whole: Path, folder: Path, chance: random.Random) -> list[str]:
    """Damage one artefact after the other: its bytes, its end, or all of it; a run must make it again, or say one line and lose nothing."""
    faults, build = [], folder / "damaged"
    shutil.copytree(whole, build)
    for number, path in enumerate(chance.sample(artefacts(build), count), 1):
        sound = path.read_bytes()
        place = chance.randrange(len(sound))
        how, content = chance.choice([
            ("a byte", sound[:place] + bytes([sound[place] ^ 0xFF]) + sound[place + 1 :]),
            ("cut short", sound[: len(sound) // 2]),
            ("empty", b""),
        ])
        path.write_bytes(content)
        wrong = finish(build) or differs(build, whole)
        print(f"damage {number}: {path.relative_to(build)}, {how}: {wrong or 'as before'}", flush=True)
        faults += [f"{path.relative_to(build)}, {how}: {wrong}"] if wrong else []
        if wrong:
            shutil.rmtree(build)
            shutil.copytree(whole, build)
    return faults


def main() -> int:
    """Run the campaign, and say every fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--damaged", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None, help="kept afterwards; else a temporary one")
    given = parser.parse_args()
    folder, chance = given.folder or Path(tempfile.mkdtemp()), random.Random(given.seed)
    begun = time.monotonic()
    wrong = finish(folder / "whole")
    seconds = time.monotonic() - begun
    print(f"a whole run: {seconds:.0f} s {wrong}", flush=True)
    faults = [wrong] if wrong else []
    for cores in (1, 2):
        wrong = finish(folder / f"cores{cores}", cores) or differs(folder / f"cores{cores}", folder / "whole")
        print(f"{cores} core(s): {wrong or 'the same'}", flush=True)
        faults += [f"{cores} cores: {wrong}"] if wrong else []
    faults += kills(given.kills, folder / "whole", seconds, folder, chance)
    faults += damages(given.damaged, folder / "whole", folder, chance)
    print(f"{len(faults)} faults", *faults, sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
