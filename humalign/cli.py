"""The command line: ``humalign doctor | fetch | audit | run | score | few-shot | export | convert | collect``."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from humalign import profiles
from humalign.artefacts import write_error
from humalign.chain.processes import Stopped, stoppable
from humalign.collect import command as collect
from humalign.errors import HumalignError, listed, nearest

LAST = ("pixels", "embeddings", "observers", "teachers", "triplets", "students", "features", "scores", "notebooks", "book", "all")
AGAIN = "run the same command again, finished work is kept"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a mistake the user can mend is one line and exit status 2."""
    options = _parser().parse_args(arguments)
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
        return _fail("out of memory: the demo needs 4 GB; close other programs, then run the same command again")
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        return _fail(str(write_error(Path(str(error.filename or options.build)), error)))


def _fail(line: str) -> int:
    print(f"humalign: {line}", file=sys.stderr)
    return 2


EXAMPLES = {
    "": """\
  humalign doctor --profile things          what is there, what is missing, and how long a run takes
  humalign run all --profile demo           the whole chain, down to the rendered book
  humalign run students --build /data/build one step and all that it needs
  humalign COMMAND --help                   what a command takes, with examples""",
    "run": """\
  humalign run all                                  the default profile, down to the book
  humalign run teachers --profile things            one step and all that it needs
  humalign run all --profile mine.yaml --build out  a profile of your own, in a folder of your own""",
    "doctor": """\
  humalign doctor
  humalign doctor --profile paper""",
    "fetch": """\
  humalign fetch --profile things
  humalign fetch things-answers things-vice
  humalign fetch --list""",
    "audit": """\
  humalign audit train.npz
  humalign audit train.npz --embeddings features.npy --names names.txt""",
    "score": """\
  humalign score mine.npz --name my-model --out scores.csv""",
    "few-shot": """\
  humalign few-shot flowers timm:resnet50 timm:vit_base_patch16_224 --shots 1 5
  humalign few-shot torchvision:Flowers102/test efficientnet-lite0 --out scores.csv""",
    "export": """\
  humalign export aligned-lite0 --part fold0
  humalign export control --profile things --stage unaligned --student efficientnet-lite1""",
    "convert": """\
  humalign convert SigLIP-B-alignet.tar.gz aligned-siglip""",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="humalign", description=__doc__, **_examples(""))
    parser.add_argument("--version", action="version", version=importlib.metadata.version("humalign"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], int | None], what: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.", **_examples(name))
        made.set_defaults(command=function, build=Path("build"))
        return made

    def of_profile(command: argparse.ArgumentParser, what: str, default: str | None = "demo") -> None:
        ours = f"{', '.join(profiles.names())}, or a file of your own, mine.yaml"
        first = f"default: {default}" if default else "default: paper or open on a machine with a GPU, else demo"
        command.add_argument("--profile", metavar="PROFILE", default=default, help=f"{what}: {ours} ({first})")

    def in_folder(command: argparse.ArgumentParser, what: str) -> None:
        command.add_argument("--build", metavar="FOLDER", type=Path, default=Path("build"), help=f"{what} (default: build)")

    def written(command: argparse.ArgumentParser) -> None:
        command.add_argument("--out", metavar="FILE", type=Path, help="write the table there too, as CSV")

    run = command("run", _run, "run a step and everything it needs, reusing what is still good")
    run.add_argument("step", metavar="STEP", help=", ".join(LAST))
    of_profile(run, "what is run", None)
    in_folder(run, "where artefacts go")

    doctor = command("doctor", _doctor, "say what is there, what is missing and what brings it, and how long a run takes")
    of_profile(doctor, "whose inputs")

    fetch = command("fetch", _fetch, "bring inputs that are missing, and check those that are there")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="of sources; without any, whatever the profile needs")
    of_profile(fetch, "whose inputs")
    fetch.add_argument("--list", action="store_true", help="list every source: size, the profiles that need it, licence and home")

    audit = command("audit", _audit, "check a triplet file before training on it")
    audit.add_argument("file", metavar="FILE", type=Path, help="of triplets, in the layout of the released ones")
    audit.add_argument(
        "--embeddings", metavar="FILE", type=Path,
        help="any backbone's embeddings (.nc, .npy) of the same image list: tests the order of the columns",
    )
    audit.add_argument(
        "--names", metavar="FILE", type=Path, help="the image list: a text file, one file name a line, in the order of the indices"
    )

    score = command("score", _score, "score any encoder's embeddings of the judged things against people")
    score.add_argument("file", metavar="FILE", type=Path, help=(
        ".npz with things-objects (rows in the order of unique_id.txt, or named in things-objects-names), things-photographs (named in "
        "things-photographs-names: aardvark.jpg) or kriegeskorte-92 (rows in the order of the file)"
    ))
    score.add_argument("--name", metavar="NAME", default="my-encoder", help="of the model in the table (default: my-encoder)")
    written(score)

    few_shot = command("few-shot", _few_shot, "classify any labelled pictures from few of each class, by any models' features")
    few_shot.add_argument("set", metavar="SET", help="a folder of class folders, a .zip, torchvision:NAME[/SPLIT] or hf:OWNER/NAME[/SPLIT]")
    few_shot.add_argument("models", nargs="+", metavar="MODEL", help="such as timm:MODEL; all others are compared with the first")
    for name, several, default, what in (
        ("shots", "+", [1, 2, 5, 10], "pictures of each class to learn from (default: 1 2 5 10)"),
        ("draws", None, 5, "how often they are drawn (default: 5)"),
        ("images", None, 2000, "of the set, at most, spread over its classes (default: 2000)"),
        ("seed", None, 0, "of all that is drawn (default: 0)"),
    ):
        few_shot.add_argument(f"--{name}", metavar="NUMBER", nargs=several, type=int, default=default, help=what)
    written(few_shot)

    export = command("export", _export, "write a trained student as a model that timm or open_clip loads")
    export.add_argument("folder", metavar="FOLDER", type=Path, help="new or empty")
    of_profile(export, "whose run it is")
    export.add_argument(
        "--stage", metavar="STAGE", default="aligned", help="of alignment: aligned, or unaligned, the control (default: aligned)"
    )
    export.add_argument("--student", metavar="BACKBONE", default="", help="its backbone (default: the profile's first)")
    export.add_argument(
        "--part", metavar="PART", default="", help="of the teacher that labelled its triplets: all, fold0, half1 (default: the first)"
    )
    in_folder(export, "where the run's artefacts are")

    convert = command("convert", _convert, "write a released checkpoint of AligNet as a model that timm loads")
    convert.add_argument("archive", metavar="ARCHIVE", type=Path, help="as downloaded, SigLIP-B-alignet.tar.gz")
    convert.add_argument("folder", metavar="FOLDER", type=Path, help="new or empty")
    convert.add_argument("--name", metavar="NAME", help="of the checkpoint, where the archive is called otherwise")
    convert.add_argument("--compare", action="store_true", help="of a base_model: compare it with the public weights of that model")

    collect.register(commands)
    return parser


def _examples(command: str) -> dict[str, Any]:
    return {"epilog": f"examples:\n{EXAMPLES[command]}", "formatter_class": argparse.RawDescriptionHelpFormatter}


def _default_profile() -> Any:
    from humalign.chain import doctor

    profile, line = doctor.default()
    print(f"humalign: {line}; --profile names another", file=sys.stderr)
    return profile


def _run(options: argparse.Namespace) -> None:
    if options.step not in LAST:
        raise HumalignError(f"unknown step {options.step!r}: {nearest(options.step, LAST)}")
    profile = profiles.load(options.profile) if options.profile else _default_profile()

    from humalign.chain import pipeline, processes
    from humalign.show import chapters

    run = pipeline.Run(profile, options.build.resolve())
    # A folder that cannot be used, or is in use, is known before anything is fetched or computed.
    with processes.held(run.folder):
        if options.step == "all":
            _ask_doctor(profile)
        processes.settle(profile)
        if options.step != "book":
            pipeline.execute(chapters.STEPS, "notebooks" if options.step == "all" else options.step, run)
        print(chapters.render(run) if options.step in ("book", "all") else run.folder)


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
        print(f"{len(entries) - len(lacking)} of {len(entries)} sources are here, {listed('lacking', lacking)}", file=sys.stderr)
    return 2 if lacking else 0


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
    from humalign.data.datafiles import name_list

    if not path.is_file():
        raise HumalignError(f"cannot read file names at {path}: name a file with one name a line, in the order of the indices")
    return name_list(path)


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
