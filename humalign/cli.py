"""The command line: ``humalign doctor | fetch | audit | run | score | few-shot | align | export | convert``."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from humalign import profiles
from humalign.artefacts import write_error
from humalign.chain import align_command
from humalign.errors import HumalignError, listed, nearest

LAST = ("pixels", "embeddings", "observers", "teachers", "triplets", "students", "features", "scores", "notebooks", "book", "all")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a mistake the user can mend is one line and exit status 2."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except HumalignError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("interrupted: run the same command again, finished work is kept")
    except MemoryError:
        return _fail("out of memory: the demo needs 4 GB; close other programs, then run the same command again")
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        return _fail(str(write_error(Path(str(error.filename or options.build)), error)))


def _fail(line: str) -> int:
    print(f"humalign: {line}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="humalign", description=__doc__)
    parser.add_argument("--version", action="version", version=importlib.metadata.version("humalign"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a stage and everything it needs, reusing what is still good")
    run.add_argument("stage", metavar="STAGE", help=", ".join(LAST))
    run.add_argument("--profile", help="demo (the default without a GPU), things, open or paper (with one), or the path of your own")
    run.add_argument("--build", type=Path, default=Path("build"), help="where artefacts go (default: build)")
    run.set_defaults(command=_run)

    doctor = commands.add_parser("doctor", help="say what is there, what is missing and what brings it, and how long a run takes")
    doctor.add_argument("--profile", default="demo", help="whose inputs (default: demo)")
    doctor.set_defaults(command=_doctor, build=Path("build"))

    fetch = commands.add_parser("fetch", help="bring inputs that are missing, and check those that are there")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="of sources; without any, whatever the profile needs")
    fetch.add_argument("--profile", default="demo", help="whose inputs (default: demo)")
    fetch.add_argument("--list", action="store_true", help="list every source: size, the profiles that need it, licence and home")
    fetch.set_defaults(command=_fetch, build=Path("build"))

    audit = commands.add_parser("audit", help="check a triplet file before training on it")
    audit.add_argument("file", type=Path)
    audit.add_argument(
        "--embeddings", type=Path, help="any backbone's embeddings (.nc, .npy) of the same image list: tests the order of the columns"
    )
    audit.add_argument("--names", type=Path, help="the image list: a text file, one file name a line, in the order of the indices")
    audit.set_defaults(command=_audit, build=Path("build"))

    score = commands.add_parser("score", help="score any encoder's embeddings of the judged things against people")
    score.add_argument("file", type=Path, help=(
        ".npz with things-objects (rows in the order of unique_id.txt, or named in things-objects-names), things-photographs (named in "
        "things-photographs-names: aardvark.jpg) or kriegeskorte-92 (rows in the order of the file)"
    ))
    score.add_argument("--name", default="my-encoder", help="of the model in the table (default: my-encoder)")
    score.add_argument("--out", type=Path, help="write the table there too, as CSV")
    score.set_defaults(command=_score, build=Path("build"))

    few_shot = commands.add_parser("few-shot", help="classify any labelled pictures from few of each class, by any models' features")
    few_shot.add_argument("set", metavar="SET", help="a folder of class folders, a .zip, torchvision:NAME[/SPLIT] or hf:OWNER/NAME[/SPLIT]")
    few_shot.add_argument("models", nargs="+", metavar="MODEL", help="such as timm:MODEL; all others are compared with the first")
    few_shot.add_argument("--shots", nargs="+", type=int, default=[1, 2, 5, 10], help="pictures of each class to learn from (1 2 5 10)")
    few_shot.add_argument("--draws", type=int, default=5, help="how often they are drawn (default: 5)")
    few_shot.add_argument("--images", type=int, default=2000, help="of the set, at most, spread over its classes (default: 2000)")
    few_shot.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: 0)")
    few_shot.add_argument("--out", type=Path, help="write the table there too, as CSV")
    few_shot.set_defaults(command=_few_shot, build=Path("build"))

    export = commands.add_parser("export", help="write a trained student as a model that timm or open_clip loads")
    export.add_argument("folder", type=Path, help="new or empty")
    export.add_argument("--profile", default="demo", help="whose run it is (default: demo)")
    export.add_argument("--stage", default="aligned", help="aligned (the default) or unaligned, the control")
    export.add_argument("--student", default="", help="its backbone (default: the profile's first)")
    export.add_argument("--part", default="", help="of the teacher that labelled its triplets: all, fold0, half1 (default: the first)")
    export.add_argument("--build", type=Path, default=Path("build"), help="where the run's artefacts are (default: build)")
    export.set_defaults(command=_export)

    align_command.parser(commands)

    convert = commands.add_parser("convert", help="write a released checkpoint of AligNet as a model that timm loads")
    convert.add_argument("archive", type=Path, help="as downloaded, SigLIP-B-alignet.tar.gz")
    convert.add_argument("folder", type=Path, help="new or empty")
    convert.add_argument("--name", help="of the checkpoint, where the archive is called otherwise")
    convert.add_argument("--compare", action="store_true", help="of a base_model: compare it with the public weights of that model")
    convert.set_defaults(command=_convert, build=Path("build"))
    return parser


def _default_profile() -> Any:
    from humalign.chain import doctor

    profile, line = doctor.default()
    print(f"humalign: {line}; --profile names another", file=sys.stderr)
    return profile


def _run(options: argparse.Namespace) -> None:
    if options.stage not in LAST:
        raise HumalignError(f"unknown stage {options.stage!r}: {nearest(options.stage, LAST)}")
    profile = profiles.load(options.profile) if options.profile else _default_profile()
    if options.stage == "all":
        _ask_doctor(profile)
    import torch

    from humalign.chain import pipeline
    from humalign.show import chapters

    torch.set_num_threads(profile.threads)
    # Two threads that add into one array do so in any order; the same bytes on a rerun need a fixed one. On a GPU the matrix products need
    # room for that, and what has no fixed order there is said, not refused.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=profile.compute.device != "cpu")
    # That also fills new memory with NaN, for whoever reads before writing; nobody here does, and a training step is shorter by a twelfth.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    run = pipeline.Run(profile, options.build.resolve())
    if options.stage != "book":
        pipeline.execute(chapters.STEPS, "notebooks" if options.stage == "all" else options.stage, run)
    print(chapters.render(run) if options.stage in ("book", "all") else run.folder)


def _ask_doctor(profile: Any) -> None:
    """Fetch what is missing and has no gate; stop a whole run before it starts, where it would stop for want of an input later."""
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
    """Fetch sources, each told in a line; 2 where one could not be had."""
    from humalign.data import editions
    from humalign.data.registry import fetching

    status = 0
    # Some are read together: what each holds is told when all are there.
    for entry, found in list(fetching.fetch_all(entries)):
        try:
            if isinstance(found, HumalignError):
                raise found
            told = "" if entry.kind == "imagenet" else f" ({editions.of(entry.name)})"
            print(f"{entry.name}: {found}{told}", file=sys.stderr if to_stderr else sys.stdout)
        except HumalignError as error:
            status = _fail(str(error))
    return status


def _doctor(options: argparse.Namespace) -> int:
    from humalign.chain import doctor

    profile = profiles.load(options.profile)
    found = doctor.inputs(profile)
    for line in doctor.report(profile, found):
        print(line)
    return 0 if all(each.state == doctor.PRESENT for each in found) else 1


def _fetch(options: argparse.Namespace) -> int:
    from humalign.chain import doctor
    from humalign.data import registry

    if options.list:
        reads = {name: {entry.name for entry in doctor.wanted(profiles.load(name))} for name in profiles.names()}
        for entry in registry.everything().values():
            read_by = ", ".join(name for name, read in reads.items() if entry.name in read) or "-"
            print(f"{entry.name:62} {doctor.size(entry.bytes):>12}  {read_by:24}  {entry.licence}; {entry.home}")
        return 0
    named = [registry.source(name) for name in options.names]
    return _bring(named or doctor.wanted(profiles.load(options.profile)))


def _features(path: Path) -> Any:
    from humalign.models import embeddings

    if path.suffix == ".npy":
        return _memory_map(path)
    found = embeddings.read(path)
    if "features" not in found:
        raise HumalignError(f"{path} holds no features: give the file of a backbone's embeddings, as `humalign run embeddings` leaves it")
    return found["features"].values


def _memory_map(path: Path) -> Any:
    import numpy as np

    try:
        found = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise HumalignError(f"cannot read embeddings at {path} ({error}): an .npy file of floats, one row an image") from None
    if found.ndim != 2 or not np.issubdtype(found.dtype, np.floating):
        raise HumalignError(f"{path} holds {found.dtype} of shape {found.shape}: embeddings are floats, one row an image")
    return found


def _names(path: Path) -> Any:
    import numpy as np

    try:
        return np.array(path.read_text(encoding="utf-8").splitlines(), dtype=str)
    except (OSError, UnicodeDecodeError) as error:
        raise HumalignError(f"cannot read file names at {path} ({error}): one name a line, in the order of the indices") from None


def _audit(options: argparse.Namespace) -> int:
    from humalign import triplets

    features = _features(options.embeddings) if options.embeddings else None
    names = _names(options.names) if options.names else None
    findings = triplets.audit_file(options.file, features, names)
    for finding in findings:
        print(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.check}: {finding.seen}")
    failed = [finding.check for finding in findings if not finding.ok]
    print(
        f"verdict: do not train on this file: {'; '.join(failed)}"
        if failed
        else "verdict: the file is sound"
        + (
            ""
            if features is not None
            else " as far as it can be checked without pictures: give --embeddings to test the order of its columns"
        )
    )
    return 1 if failed else 0


def _score(options: argparse.Namespace) -> None:
    from humalign.chain import encoders

    _show(encoders.score(options.file, options.name), ["task"], options.out)


def _few_shot(options: argparse.Namespace) -> None:
    from humalign.chain import named_sets

    found = named_sets.score(options.set, options.models, options.shots, options.draws, options.images, options.seed)
    _show(found, ["model", "task"], options.out)


def _show(table: Any, first: list[str], out: Path | None) -> None:
    """Print a table of scores, and write it where a file is named."""
    from humalign.artefacts import replacing

    print(table[[*first, "split", "metric", "value", "low", "high", "n"]].to_string(index=False))
    if out:
        with replacing(out) as part:
            table.to_csv(part, index=False, lineterminator="\n")


def _export(options: argparse.Namespace) -> None:
    from humalign.chain import exporting, pipeline

    run = pipeline.Run(profiles.load(options.profile), options.build.resolve())
    print(exporting.take_away(run, options.folder, options.student, options.stage, options.part))


def _convert(options: argparse.Namespace) -> int:
    from humalign.models import released

    print(released.convert(options.archive, options.folder, options.name))
    if not options.compare:
        return 0
    name, tensors, other = released.compare(options.folder)
    print(f"{tensors} tensors, {listed(f'other than in the public weights of {name}', other).rstrip(': ')}")
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main())
