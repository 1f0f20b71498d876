"""Kill runs, damage what they left, change the number of cores: the same scores, or one line. Half an hour; no part of `make test`.

    python tests/campaign.py [--kills 20] [--damaged 40] [--at-once 4] [--seed 0] [--folder FOLDER]

The run is that of `tests/chain/test_chain.py`: the whole chain on 90 concepts. It ends with status 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.process
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), str(TESTS / "chain")]

import test_chain  # noqa: E402

from humalign.chain import pipeline, processes, steps  # noqa: E402
from humalign.errors import HumalignError  # noqa: E402

COMMAND = [sys.executable, str(TESTS / "chain" / "test_chain.py")]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS), *filter(None, sys.path)])}
# Of a folder of a run, what only a killed run can have left.
LEFT = ("*.part*", ".running-*", ".building-*", processes.NAME)


def _run(build: Path, said: Path) -> None:
    with open(said, "a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    test_chain.ALL_CONCEPTS.cache_clear()
    try:
        with test_chain.in_small():
            pipeline.execute(steps.STEPS, test_chain.CHAIN[-1], pipeline.Run(test_chain.profile(), build))
    except HumalignError as error:
        print(f"humalign: {error}", file=sys.stderr)
        os._exit(2)


def start(build: Path) -> tuple[multiprocessing.process.BaseProcess, Path]:
    """Start a run in a process of its own, and return it with the file of what it says."""
    said = build.with_name(f"{build.name}.txt")
    said.parent.mkdir(parents=True, exist_ok=True)
    said.write_text("")
    process = multiprocessing.get_context("fork").Process(target=_run, args=(build, said))
    process.start()
    return process, said


def finish(build: Path) -> str:
    """Run to the end, and return what went wrong."""
    process, said = start(build)
    process.join()
    return "" if process.exitcode == 0 else f"status {process.exitcode}: {_last(said.read_text())}"


def on_cores(build: Path, cores: int) -> str:
    """Run to the end on so many cores, in a process that knows no others from its start."""
    bound = ["taskset", "-c", ",".join(map(str, range(cores)))]
    done = subprocess.run([*bound, *COMMAND, build], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, check=False)
    return "" if done.returncode == 0 else f"status {done.returncode}: {_last(done.stderr)}"


def _last(said: str) -> str:
    return (said.strip().splitlines() or ["no output"])[-1]


def taken(build: Path, step: str) -> float:
    """Return the seconds that a step of a finished run took."""
    return float(json.loads((build / "small" / "stamps" / f"{step}.json").read_text())["seconds"])


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


def kills(count: int, whole: Path, folder: Path, chance: random.Random) -> list[str]:
    """Kill a run in one step after the other, at any moment of it, and let it end; then begin anew."""
    faults, done, build = [], 0, folder / "killed"
    shutil.rmtree(build, ignore_errors=True)
    while done < count:
        for number, step in enumerate(test_chain.CHAIN[: count - done], 1):
            process, said = start(build)
            begun = f"[{number}/{len(test_chain.CHAIN)}] {step}"
            while process.exitcode is None and begun not in said.read_text():
                time.sleep(0.05)
            process.join(chance.uniform(0, taken(whole, step)))
            process.kill()
            process.join()
            done += 1
            at = re.findall(r"\[\d/\d\] (\S+) \.\.\.", said.read_text())
            print(f"kill {done}: {at[-1] if at else 'before the first step'}", flush=True)
        wrong = finish(build) or differs(build, whole)
        print(f"after kill {done}: {wrong or 'the same'}", flush=True)
        faults += [f"after kill {done}: {wrong}"] if wrong else []
        shutil.rmtree(build)
    return faults


def damages(count: int, whole: Path, folder: Path, chance: random.Random, at_once: int) -> list[str]:
    """Damage artefacts: a byte of them, their end, or all; a run must make each again, or say one line and lose nothing.

    Args:
        at_once: artefacts that are damaged before a run; where it goes wrong, each of them is tried alone.
    """
    faults, build = [], folder / "damaged"

    def anew() -> None:
        shutil.rmtree(build, ignore_errors=True)
        shutil.copytree(whole, build)

    anew()
    chosen = [path.relative_to(build) for path in chance.sample(artefacts(build), count)]
    groups = [chosen[first : first + at_once] for first in range(0, count, at_once)]
    while groups:
        group = groups.pop(0)
        done = {str(name): _damaged(build / name, chance) for name in group}
        wrong = finish(build) or differs(build, whole)
        print(*(f"damaged: {name}, {how}" for name, how in done.items()), sep="\n")
        print(f"then: {wrong or 'as before'}; {sum(map(len, groups))} are left", flush=True)
        if wrong:
            anew()
            groups = [*([name] for name in group), *groups] if len(group) > 1 else groups
            faults += [f"{done}: {wrong}"]
    return faults


def _damaged(path: Path, chance: random.Random) -> str:
    sound = path.read_bytes() or b"\0"
    place = chance.randrange(len(sound))
    how, content = chance.choice([
        ("a byte", sound[:place] + bytes([sound[place] ^ 0xFF]) + sound[place + 1 :]),
        ("cut short", sound[: len(sound) // 2]),
        ("empty", b""),
    ])
    path.write_bytes(content)
    return how


def main() -> int:
    """Run the campaign, and say every fault; what lies in a given folder is gone on from."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--damaged", type=int, default=40)
    parser.add_argument("--at-once", type=int, default=4, help="artefacts that are damaged before a run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None, help="kept afterwards; else a temporary one")
    given = parser.parse_args()
    folder, chance = given.folder or Path(tempfile.mkdtemp()), random.Random(given.seed)
    wrong = finish(folder / "whole")
    print(f"a whole run: {wrong or 'done'}", flush=True)
    faults = [wrong] if wrong else kills(given.kills, folder / "whole", folder, chance)
    faults += damages(given.damaged, folder / "whole", folder, chance, given.at_once)
    for cores in (1, 2):
        wrong = on_cores(folder / f"cores{cores}", cores) or differs(folder / f"cores{cores}", folder / "whole")
        print(f"{cores} core(s): {wrong or 'the same'}", flush=True)
        faults += [f"{cores} cores: {wrong}"] if wrong else []
    print(f"{len(faults)} faults", *faults, sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
