"""The command line, ``humalign COMMAND``: each of ``COMMANDS``, and ``collect``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from humalign import profiles
from humalign.artefacts import check_file, check_folder, replacing, write_error
from humalign.chain.processes import Stopped, stoppable
from humalign.errors import HumalignError, listed, nearest
from humalign.options import LAST, parser

AGAIN = "run the same command again, finished work is kept"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a mistake the user can mend is one line and exit status 2."""
    options = parser(COMMANDS).parse_args(arguments)
    try:
        with stoppable():
            return int(options.command(options) or 0)
    except HumalignError as error:
        return _fail(str(error))
    except Stopped:
        return _fail(f"stopped by a signal: {AGAIN}")
    except KeyboardInterrupt:
        return _fail(f"interrupted: {AGAIN}")
    except MemoryError:
        mend = "close other programs, then run the same command again"
        return _fail(f"out of memory: the demo needs 4 GB; {mend}")
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        # Of a copy that failed the second name is the file that was to be written.
        place = error.filename2 or error.filename or options.build
        return _fail(str(write_error(Path(str(place)).absolute(), error)))


def _fail(line: str) -> int:
    print(f"humalign: {line}", file=sys.stderr)
    return 2


def _run(options: argparse.Namespace) -> None:
    if options.step not in LAST:
        raise HumalignError(f"unknown step {options.step!r}: {nearest(options.step, LAST)}")
    # A mistake in the profile is said before the libraries are imported.
    profile = profiles.load(options.profile) if options.profile else None

    from humalign.chain import doctor, pipeline, processes
    from humalign.show import chapters

    if profile is None:
        profile, line = doctor.default()
        print(f"humalign: {line}; --profile names another", file=sys.stderr)
    doctor.check_settings(profile)
    run = pipeline.Run(profile, doctor.build_folder(options.build, profile))
    # A folder that cannot be used, or is in use, is known before anything is fetched or computed.
    with processes.held(run.folder):
        if options.step == "all":
            _ask_doctor(profile)
        if options.step != "book":
            doctor.check(profile, "scores" if options.step in ("all", "notebooks") else options.step)
        processes.settle(profile)
        if options.step != "book":
            pipeline.execute(chapters.STEPS, "notebooks" if options.step == "all" else options.step, run)
        print(chapters.render(run) if options.step in ("book", "all") else run.folder)


def _ask_doctor(profile: Any) -> None:
    """Fetch what is missing and has no gate; stop a whole run before it starts where an input is lacking."""
    from humalign.chain import doctor

    found = doctor.inputs(profile)
    absent = [each for each in found if each.state != doctor.PRESENT]
    missing = [each.entry for each in absent if each.state == doctor.MISSING and each.entry.fetchable]
    # Where something must be done by hand all the same, nothing large is fetched before that is said.
    if missing and len(missing) == len(absent):
        print(f"fetching {doctor.amount(missing)} for the profile {profile.name}", file=sys.stderr)
        _bring(missing, to_stderr=True)
        found = doctor.inputs(profile)
    if any(each.state != doctor.PRESENT for each in found):
        raise HumalignError(doctor.answer(profile, found))
    print(f"doctor: {doctor.answer(profile, found)}", file=sys.stderr)


def _bring(entries: list[Any], to_stderr: bool = False) -> int:
    """Fetch sources, each told in a line, and sum up where some could not be had; the status is then 2."""
    from humalign.data import editions
    from humalign.data.registry import fetching

    lacking = []
    # Some are read together: what each holds is told when all are there.
    for entry, found in list(fetching.fetch_all(entries)):
        try:
            if isinstance(found, HumalignError):
                raise found
            told = "" if entry.kind == "imagenet" else f" ({editions.of(entry.name)})"
            print(f"{entry.name}: {found}{told}", file=sys.stderr if to_stderr else sys.stdout)
        except HumalignError as error:
            _fail(str(error))
            lacking.append(entry.name)
    if lacking and len(entries) > 1:
        here = f"{len(entries) - len(lacking)} of {len(entries)} sources are here"
        print(f"{here}, {listed('lacking', lacking)}", file=sys.stderr)
    return 2 if lacking else 0


def _doctor(options: argparse.Namespace) -> int:
    from humalign.chain import doctor

    profile = profiles.load(options.profile)
    doctor.check_settings(profile)
    found = doctor.inputs(profile)
    for line in doctor.report(profile, found):
        print(line)
    return 0 if all(each.state == doctor.PRESENT for each in found) else 1


def _fetch(options: argparse.Namespace) -> int:
    from humalign.chain import doctor
    from humalign.data import registry

    if options.list:
        reads = {name: {entry.name for entry in doctor.wanted(profiles.load(name))}
                 for name in profiles.names()}
        for entry in registry.everything().values():
            size = f"{doctor.size(entry.bytes):>12}"
            read_by = ", ".join(name for name, read in reads.items() if entry.name in read) or "-"
            print(f"{entry.name:62} {size}  {read_by:24}  {entry.licence}; {entry.home}")
        return 0
    named = [registry.source(name) for name in options.names]
    return _bring(named or doctor.wanted(profiles.load(options.profile)))


def _features(path: Path) -> Any:
    """Return a memory map of an ``.npy`` file, or the features in a file of a backbone's embeddings."""
    import numpy as np

    from humalign.models import embeddings

    if path.suffix != ".npy":
        held = embeddings.read(path)
        if "features" not in held:
            mend = "give the file of a backbone's embeddings, as `humalign run embeddings` leaves it"
            raise HumalignError(f"{path} holds no features: {mend}")
        return held["features"].values
    try:
        found = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        fault = f"cannot read embeddings at {path} ({error})"
        raise HumalignError(f"{fault}: an .npy file of floats, one row an image") from None
    if found.ndim != 2 or not np.issubdtype(found.dtype, np.floating):
        fault = f"{path} holds {found.dtype} of shape {found.shape}"
        raise HumalignError(f"{fault}: embeddings are floats, one row an image")
    return found


def _names(path: Path) -> Any:
    from humalign.data.datafiles import name_list

    if not path.is_file():
        mend = "name a file with one name a line, in the order of the indices"
        raise HumalignError(f"cannot read file names at {path}: {mend}")
    return name_list(path)


def _audit(options: argparse.Namespace) -> int:
    from humalign import triplets

    features = _features(options.embeddings) if options.embeddings else None
    names = _names(options.names) if options.names else None
    findings = triplets.audit_file(options.file, features, names)
    for finding in findings:
        print(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.check}: {finding.seen}")
    failed = [finding.check for finding in findings if not finding.ok]
    verdict = f"do not train on this file: {'; '.join(failed)}" if failed else "the file is sound"
    if not failed and features is None:
        verdict += " as far as it can be checked without pictures: give --embeddings to test the order of its"
        verdict += " columns"
    print(f"verdict: {verdict}")
    return 1 if failed else 0


def _score(options: argparse.Namespace) -> None:
    from humalign.chain import encoders

    check_file(options.out, options.file)
    _show(encoders.score(options.file, options.name), ["task"], options.out)


def _few_shot(options: argparse.Namespace) -> None:
    from humalign.chain import encoders

    check_file(options.out, Path(options.set))
    given = options.models, options.shots, options.draws, options.images, options.seed
    _show(encoders.classify(options.set, *given), ["model", "task"], options.out)


def _show(table: Any, first: list[str], out: Path | None) -> None:
    """Print a table of scores, and write it where a file is named."""
    print(table[[*first, "split", "metric", "value", "low", "high", "n"]].to_string(index=False))
    if out:
        with replacing(out) as part:
            table.to_csv(part, index=False, lineterminator="\n")


def _align(options: argparse.Namespace) -> None:
    from humalign.chain import aligning

    aligning.align(options)


def _export(options: argparse.Namespace) -> None:
    from humalign.chain import aligning, doctor, pipeline

    check_folder(options.folder)
    profile = profiles.load(options.profile)
    run = pipeline.Run(profile, doctor.build_folder(options.build, profile))
    asked = options.student, options.stage, options.part, options.share
    print(aligning.take_away(run, options.folder, *asked))


def _convert(options: argparse.Namespace) -> int:
    from humalign.models import released

    check_folder(options.folder)
    print(released.convert(options.archive, options.folder, options.name))
    if not options.compare:
        return 0
    name, tensors, other = released.compare(options.folder)
    print(f"{tensors} tensors, {listed(f'other than in the public weights of {name}', other).rstrip(': ')}")
    return 1 if other else 0


COMMANDS = {
    "run": _run, "doctor": _doctor, "fetch": _fetch, "audit": _audit, "score": _score, "few-shot": _few_shot,
    "align": _align, "export": _export, "convert": _convert,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
