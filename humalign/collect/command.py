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
    "Make a page that asks people which of three pictures is the odd one out: `humalign collect FOLDER "
    "PAGE`. "
    "Read what they saved: `humalign collect --read *.csv --out answers.csv`."
)


def register(commands: Any) -> None:
    """Add the sub-command to those of the command line."""
    parser = commands.add_parser(
        "collect",
        help="make a page that asks people for odd ones out, or read their answers",
        description=DESCRIPTION,
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="of pictures: class/picture, group/class/picture or loose",
    )
    parser.add_argument("target", nargs="?", type=Path, metavar="PAGE", help="a new folder for the page")
    page = parser.add_argument_group("the page")
    page.add_argument(
        "--triplets",
        type=int,
        default=120,
        help="different triplets on the page, over all levels (default: 120)",
    )
    page.add_argument("--each", type=int, default=0, help="of them, drawn for one person (default: all)")
    page.add_argument("--repeats", type=int, default=12, help="shown twice to the same person (default: 12)")
    page.add_argument("--catches", type=int, default=10, help="trials with a right answer (default: 10)")
    page.add_argument("--practice", type=int, default=3, help="trials that do not count (default: 3)")
    page.add_argument("--timeout", type=float, default=15.0, help="seconds for one choice (default: 15)")
    page.add_argument(
        "--size", type=int, default=480, help="of pictures, pixels of the longer side (default: 480)"
    )
    page.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: 0)")
    page.add_argument(
        "--send",
        default="",
        metavar="URL",
        help="POST the answers there at the end; without it people save a file",
    )
    page.add_argument(
        "--consent",
        type=Path,
        metavar="FILE",
        help="a text for the first screen, paragraphs between blank lines",
    )
    page.add_argument(
        "--words",
        type=Path,
        metavar="FILE",
        help="JSON of texts that replace those of the page, in any language",
    )
    answers = parser.add_argument_group("the answers")
    answers.add_argument("--read", nargs="+", type=Path, metavar="CSV", help="files that participants saved")
    answers.add_argument(
        "--page", type=Path, help="the folder of their page (default: looked for near the files)"
    )
    answers.add_argument("--out", type=Path, help="write the answers there: .csv, .npz or .txt")
    answers.add_argument("--most-misses", type=int, default=10, help="of one person who counts (default: 10)")
    answers.add_argument(
        "--least-caught",
        type=float,
        default=0.9,
        help="share of catch trials right of one who counts (default: 0.9)",
    )
    parser.set_defaults(command=run, build=Path("page"))


def run(options: argparse.Namespace) -> int:
    """Make a page, or read answers; 2 where a file of answers cannot be used."""
    if options.read:
        if options.folder:
            raise HumalignError("--read takes files, and no FOLDER: name the page with --page")
        return _read(options)
    if not options.folder or not options.target:
        raise HumalignError(
            "name the folder of pictures and a new folder for the page: `humalign collect FOLDER PAGE`"
        )
    if options.page or options.out:
        raise HumalignError("--page and --out belong to --read: name the files of answers, or leave them out")
    check_folder(options.target)
    if options.target.resolve().is_relative_to(options.folder.resolve()):
        raise HumalignError(
            f"{options.target} lies in {options.folder}: name a place beside it, or the pictures of the page would"
            " count as pictures of the folder"
        )
    from humalign.collect import page
    from humalign.collect.study import MAIN
    from humalign.data.readers_levels import CLASSES

    names = [field.name for field in dataclasses.fields(page.Settings)]
    settings = page.Settings(**{name: getattr(options, name) for name in names})
    study = page.write(options.folder, options.target, settings)
    counts = Counter(trial["level"] for trial in study.trials(MAIN).values())
    told = ", ".join(f"{count} {level}" for level, count in counts.items())
    print(f"{options.target / 'index.html'}: {told} triplets")
    missing = [level for level in CLASSES if level not in counts]
    if missing:
        print(f"{options.folder} has no class folders that would give {' or '.join(missing)} triplets")
    print(f"a person is given {sum(study.wanted().values())} trials, with practice, catch trials and repeats")
    print(f"keep {options.target / 'study.json'}: answers are read with it")
    return 0


def _read(options: argparse.Namespace) -> int:
    from humalign.collect import agreement, pooling, reading
    from humalign.collect.study import Study

    if options.out:
        pooling.check_out(options.out, options.read)
    study = Study.read(options.page) if options.page else reading.find_page(options.read)
    people, faults = [], []
    for path in options.read:
        try:
            people.append(reading.read(path, study))
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
    print(agreement.table(agreement.report(found)))
    if listed:
        print(f"{options.out}: answers by picture; {listed}: the pictures in their order")
    return 0
