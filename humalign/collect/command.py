"""The sub-command ``humalign collect``."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from humalign.artefacts import check_folder
from humalign.errors import HumalignError

DESCRIPTION = (
    "Make a page that asks people which of three pictures is the odd one out: "
    "`humalign collect FOLDER PAGE`. Read what they saved: `humalign collect --read *.csv --out answers.csv`."
)
# Options that are numbers, with their defaults.
OF_THE_PAGE: dict[str, tuple[int | float, str]] = {
    "--triplets": (120, "different triplets on the page, over all levels"),
    "--each": (0, "of them, drawn for one person"),
    "--repeats": (12, "shown twice to the same person"),
    "--catches": (10, "trials with a right answer"),
    "--practice": (3, "trials that do not count"),
    "--timeout": (15.0, "seconds for one choice"),
    "--size": (480, "of pictures, pixels of the longer side"),
    "--seed": (0, "of all that is drawn"),
}
OF_THE_ANSWERS: dict[str, tuple[int | float, str]] = {
    "--most-misses": (10, "of one person who counts"),
    "--least-caught": (0.9, "share of catch trials right of one who counts"),
}
FOLDER = "of pictures: class/picture, group/class/picture or loose"
SEND = "POST the answers there at the end; without it people save a file"
CONSENT = "a text for the first screen, paragraphs between blank lines"
PAGE = "the folder of their page (default: looked for near the files)"
WORDS = "JSON of texts that replace those of the page, in any language"


def register(commands: Any) -> None:
    """Add the sub-command to those of the command line."""
    about = "make a page that asks people for odd ones out, or read their answers"
    parser = commands.add_parser("collect", help=about, description=DESCRIPTION)
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help=FOLDER)
    parser.add_argument("target", nargs="?", type=Path, metavar="PAGE", help="a new folder for the page")
    page, answers = parser.add_argument_group("the page"), parser.add_argument_group("the answers")
    _numbers(page, OF_THE_PAGE)
    page.add_argument("--send", default="", metavar="URL", help=SEND)
    page.add_argument("--consent", type=Path, metavar="FILE", help=CONSENT)
    page.add_argument("--words", type=Path, metavar="FILE", help=WORDS)
    answers.add_argument("--read", nargs="+", type=Path, metavar="CSV", help="files that participants saved")
    answers.add_argument("--page", type=Path, help=PAGE)
    answers.add_argument("--out", type=Path, help="write the answers there: .csv, .npz or .txt")
    _numbers(answers, OF_THE_ANSWERS)
    parser.set_defaults(command=run, build=Path("page"))


def _numbers(group: Any, options: dict[str, tuple[int | float, str]]) -> None:
    for name, (default, what) in options.items():
        shown = "all" if name == "--each" else f"{default:g}"
        group.add_argument(name, type=type(default), default=default, help=f"{what} (default: {shown})")


def run(options: argparse.Namespace) -> int:
    """Make a page, or read answers; 2 where a file of answers cannot be used."""
    if options.read:
        if options.folder:
            raise HumalignError("--read takes files, and no FOLDER: name the page with --page")
        return _read(options)
    if not options.folder or not options.target:
        what = "name the folder of pictures and a new folder for the page"
        raise HumalignError(f"{what}: `humalign collect FOLDER PAGE`")
    if options.page or options.out:
        raise HumalignError("--page and --out belong to --read: name the files of answers, or leave them out")
    check_folder(options.target)
    if options.target.resolve().is_relative_to(options.folder.resolve()):
        why = "or the pictures of the page would count as pictures of the folder"
        raise HumalignError(f"{options.target} lies in {options.folder}: name a place beside it, {why}")
    from humalign.collect import page
    from humalign.collect.study import MAIN
    from humalign.data.readers_levels import CLASSES

    names = [field.name for field in dataclasses.fields(page.Settings)]
    settings = page.Settings(**{name: getattr(options, name) for name in names})
    study = page.write(options.folder, options.target, settings)
    counts = Counter(trial["level"] for trial in study.trials(MAIN).values())
    told = ", ".join(f"{count} {level}" for level, count in counts.items())
    print(f"{options.target / 'index.html'}: {told} triplets")
    if missing := [level for level in CLASSES if level not in counts]:
        print(f"{options.folder} has no class folders that would give {' or '.join(missing)} triplets")
    print(f"a person is given {sum(study.wanted().values())} trials, with practice, catch trials and repeats")
    print(f"keep {options.target / 'study.json'}: answers are read with it")
    return 0


def _read(options: argparse.Namespace) -> int:
    from humalign.collect import pooling
    from humalign.collect.study import Study, find_page, read_person

    if options.out:
        pooling.check_out(options.out, options.read)
    study = Study.read(options.page) if options.page else find_page(options.read)
    people, faults = [], []
    for path in options.read:
        try:
            people.append(read_person(path, study))
        except HumalignError as error:
            faults.append(str(error))
    faults += pooling.doubled(people)
    if faults:
        for line in faults:
            print(f"humalign: {line}", file=sys.stderr)
        return 2
    found = pooling.pool(people, study, options.most_misses, options.least_caught)
    listed = pooling.write(found, options.out) if options.out else None
    print(f"{len(people)} participants read, {len(found.people)} count, {len(found.choices()):,} answers")
    for who, why in found.left_out.items():
        print(f"left out: {who}: {why}")
    print(pooling.table(pooling.report(found)))
    if listed:
        print(f"{options.out}: answers by picture; {listed}: the pictures in their order")
    return 0
