"""What one run is to the machine: one at a time in a folder, its threads, child processes that end with it.

A run that is alive keeps ``.run`` in the profile's build folder: a locked file that says whose it is and,
line by line, the checksums of artefacts that it has taken. Its children (kernels of notebooks, torchrun's
processes) find it by ``HUMALIGN_RUN`` and share both.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

from humalign.artefacts import sha256, write_error
from humalign.errors import HumalignError
from humalign.profiles import Profile

NAME = ".run"
# Names the file of the run that this process belongs to, and the token in its first line.
SHARED = "HUMALIGN_RUN"
# Set for processes that end when their starter does.
TIED = "HUMALIGN_TIED"
# Locks that a file system does not know: the run then goes on without one.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Stopped(KeyboardInterrupt):
    """Signal that another process asked this one to stop."""


# ---- one run a folder --------------------------------------------------------------------------------------


@dataclasses.dataclass
class _Held:
    """The run that this process belongs to: its file, and the checksums that are known of its artefacts."""

    path: Path
    known: dict[str, str] = dataclasses.field(default_factory=dict)
    read: int = 0

    def refresh(self) -> None:
        """Take over what other processes of the run have added."""
        with contextlib.suppress(OSError, ValueError), open(self.path, encoding="utf-8") as file:
            file.seek(self.read)
            text = file.read()
            whole = text[: text.rfind("\n") + 1]
            self.read += len(whole.encode())
            for line in whole.splitlines():
                found = json.loads(line)
                if isinstance(found, list):
                    self.known[json.dumps(found[:-1])] = found[-1]

    def add(self, mark: list[Any], digest: str) -> None:
        """Write a checksum down for the other processes: a line is appended whole."""
        self.known[json.dumps(mark)] = digest
        with contextlib.suppress(OSError), open(self.path, "ab") as file:
            file.write(json.dumps([*mark, digest]).encode() + b"\n")


_held: list[_Held] = []


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a profile's build folder for one run, which this process and those that it starts share."""
    if _held and _held[-1].path.parent == folder:
        yield
        return
    shared = _shared(folder)
    if shared:
        _held.append(_Held(shared))
        try:
            yield
        finally:
            _held.pop()
        return
    path = folder / NAME
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    file = _locked(path)
    outer = os.environ.get(SHARED)
    token = os.urandom(8).hex()
    os.environ[SHARED] = f"{token}:{path}"
    _held.append(_Held(path))
    try:
        _sign(file, path, token)
        yield
    finally:
        _held.pop()
        os.environ.pop(SHARED)
        if outer is not None:
            os.environ[SHARED] = outer
        with contextlib.suppress(OSError):
            path.unlink()  # while it is locked: who opened it looks whether it is still the same file
            for each in made:  # a run that left nothing leaves no folder
                each.rmdir()
        file.close()


def _sign(file: IO[str], path: Path, token: str) -> None:
    try:
        file.truncate(0)
        file.write(json.dumps({"process": os.getpid(), "machine": platform.node(), "token": token}) + "\n")
        file.flush()
    except OSError as error:
        raise write_error(path, error) from None


def _shared(folder: Path) -> Path | None:
    """Return the file of the run that started this process, where it is of this folder and still alive."""
    token, _, path = os.environ.get(SHARED, "").partition(":")
    if not path or Path(path) != folder / NAME:
        return None
    return Path(path) if _owner(Path(path)).get("token") == token else None


def _owner(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8").partition("\n")[0])
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _locked(path: Path) -> IO[str]:
    """Open and lock the file of a run."""
    try:
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = open(path, "a+", encoding="utf-8")
            if fcntl is None:
                return file
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                raise HumalignError(_busy(path)) from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                return file
            if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
            file.close()  # removed by the run that had it
    except OSError as error:
        raise write_error(path, error) from None


def _busy(path: Path) -> str:
    owner, who = _owner(path), "another process"
    if {"process", "machine"} <= owner.keys():
        who = f"process {owner['process']} on {owner['machine']}"
    return f"{path.parent} is in use by {who}: wait until it ends, or choose another folder with --build"


# ---- checksums, once a run ---------------------------------------------------------------------------------


def checksum(path: Path) -> str:
    """Return the SHA-256 of an artefact; within one run it is taken once, while the file stays the same."""
    if not _held:
        return sha256(path)
    stat = path.stat()
    mark = [str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    run = _held[-1]
    if json.dumps(mark) not in run.known:
        run.refresh()
    if json.dumps(mark) not in run.known:
        run.add(mark, sha256(path))
    return run.known[json.dumps(mark)]


# ---- threads, signals, children ----------------------------------------------------------------------------


def settle(profile: Profile) -> None:
    """Have PyTorch compute with a profile's threads, and give the same bytes on a rerun."""
    import torch

    torch.set_num_threads(profile.threads)
    # Two threads that add into one array do so in any order; the same bytes on a rerun need a fixed one. On a
    # GPU the matrix products need room for that, and what has no fixed order there is said, not refused.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=profile.compute.device != "cpu")
    # That also fills new memory with NaN; nothing reads it before writing, and a step is a twelfth shorter.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, by an exception, so that what is half written is removed."""
    here = os.getpid()

    def stop(*_: object) -> None:
        if os.getpid() != here:  # a worker that was forked from it
            os._exit(128 + signal.SIGTERM)
        raise Stopped

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def child(
    command: list[str], environment: Mapping[str, str] | None = None, **more: Any
) -> Iterator[subprocess.Popen]:
    """Start a process that calls ``end_with_starter``, and end it with the block or with this process."""
    told, shown = {**os.environ, **(environment or {}), TIED: "1"}, _shown()
    # What it says goes where this process says what it does: in a kernel that is not its file 2.
    where = {} if shown in (None, 2) else {"stdout": shown, "stderr": shown}
    started = subprocess.Popen(command, stdin=subprocess.PIPE, env=told, **{**where, **more})
    try:
        yield started
    finally:
        started.terminate()
        started.wait()
        assert started.stdin
        started.stdin.close()


def end_with_starter() -> None:
    """End this process when its starter is gone: the pipe that is standard input here is then closed."""
    if os.environ.get(TIED):
        threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    os.read(0, 1)
    os._exit(1)


def _shown() -> int | None:
    """Return the file number behind the standard error; of a kernel's, that of its terminal."""
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def terminal() -> IO[str]:
    """Return where progress is shown: of a notebook's kernel the terminal that it was started from."""
    if not type(sys.stderr).__module__.startswith("ipykernel"):
        return sys.stderr
    number = _shown()
    return open(os.dup(2 if number is None else number), "w", encoding="utf-8", errors="replace", buffering=1)
