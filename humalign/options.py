"""What the commands of the command line take, with examples of each."""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from humalign import profiles
from humalign.collect import command as collect

Command = Callable[[argparse.Namespace], int | None]
Argument = tuple[str, str, dict[str, Any]]  # name, help, and what argparse is told of it
TITLE = "Align vision models with human judgments"
# The steps of the chain, and what is made of them.
LAST = (
    *("pixels", "embeddings", "observers", "teachers", "triplets", "students", "features", "scores"),
    *("illustrations", "notebooks", "book", "all"),
)
EXAMPLES = {
    "": """\
  humalign doctor --profile things           what is there, what is missing, and how long a run takes
  humalign run all --profile demo            the whole chain, down to the rendered book
  humalign run students --build /data/build  one step and all that it needs
  humalign COMMAND --help                    what a command takes, with examples""",
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
    "align": """\
  humalign align --judged seen --answers answers.csv --pool pool --teacher clip-b16 --student vit-b16 new""",
    "export": """\
  humalign export aligned-lite0 --part fold0
  humalign export control --profile things --stage unaligned --student efficientnet-lite1
  humalign export half-way --profile things --share 0.5""",
    "convert": """\
  humalign convert SigLIP-B-alignet.tar.gz aligned-siglip""",
}


FILE: dict[str, Any] = {"metavar": "FILE", "type": Path}
FOLDER: dict[str, Any] = {"metavar": "FOLDER", "type": Path}
NUMBER: dict[str, Any] = {"metavar": "NUMBER", "type": int}
OUT: Argument = ("--out", "write the table there too, as CSV", FILE)


def _profile(what: str, default: str | None = "demo") -> Argument:
    ours = f"{', '.join(profiles.names())}, or a file of your own, mine.yaml"
    first = f"default: {default}" if default else "default: paper or open with a GPU, else demo"
    return "--profile", f"{what}: {ours} ({first})", {"metavar": "PROFILE", "default": default}


def _build(what: str) -> Argument:
    return "--build", f"{what} (default: build)", {**FOLDER, "default": Path("build")}


def _arguments() -> dict[str, tuple[str, list[Argument]]]:
    """Return, by the name of each command, what it does and what it takes."""
    needed, flag = {"required": True}, {"action": "store_true"}
    place = {**NUMBER, "choices": (0, 1)}
    return {
        "run": ("run a step and everything it needs, reusing what is still good", [
            ("step", ", ".join(LAST), {"metavar": "STEP"}),
            _profile("what is run", None),
            _build("where artefacts go"),
        ]),
        "doctor": ("say what is there, what is missing and what brings it, and how long a run takes", [
            _profile("whose inputs"),
        ]),
        "fetch": ("bring inputs that are missing, and check those that are there", [
            ("names", "of sources; without any, whatever the profile needs",
             {"nargs": "*", "metavar": "NAME"}),
            _profile("whose inputs"),
            ("--list", "list every source: size, the profiles that need it, licence and home", flag),
        ]),
        "audit": ("check a triplet file before training on it", [
            ("file", "of triplets, in the layout of the released ones", FILE),
            ("--embeddings", "any backbone's embeddings (.nc, .npy) of the same image list: tests the order"
             " of the columns", FILE),
            ("--names", "the image list: a text file, one file name a line, in the order of the indices",
             FILE),
        ]),
        "score": ("score any encoder's embeddings of the judged things against people", [
            ("file", ".npz with things-objects (rows in the order of unique_id.txt, or named in"
             " things-objects-names), things-photographs (named in things-photographs-names: aardvark.jpg) or"
             " kriegeskorte-92 (rows in the order of the file)", FILE),
            ("--name", "of the model in the table (default: my-encoder)",
             {"metavar": "NAME", "default": "my-encoder"}),
            OUT,
        ]),
        "few-shot": ("classify any labelled pictures from few of each class, by any models' features", [
            ("set", "a folder of class folders, a .zip, torchvision:NAME[/SPLIT] or hf:OWNER/NAME[/SPLIT]",
             {"metavar": "SET"}),
            ("models", "such as timm:MODEL; all others are compared with the first",
             {"nargs": "+", "metavar": "MODEL"}),
            ("--shots", "pictures of each class to learn from (default: 1 2 5 10)",
             {**NUMBER, "nargs": "+", "default": [1, 2, 5, 10]}),
            ("--draws", "how often they are drawn (default: 5)", {**NUMBER, "default": 5}),
            ("--images", "of the set, at most, spread over its classes (default: 2000)",
             {**NUMBER, "default": 2000}),
            ("--seed", "of all that is drawn (default: 0)", {**NUMBER, "default": 0}),
            OUT,
        ]),
        "align": ("align a model with odd-one-out answers about pictures of your own", [
            ("out", "where the aligned model goes; new or empty", {"metavar": "OUT", "type": Path}),
            ("--judged", "folder of the pictures that were judged", {**FOLDER, **needed}),
            ("--answers", "a table with a header, or three numbers a line, the odd one last",
             {**FILE, **needed}),
            ("--pool", "folder of pictures without answers, or torchvision:NAME/SPLIT, hf:OWNER/NAME/SPLIT",
             needed),
            ("--teacher", "backbone that the answers are fitted to, such as siglip-b16", needed),
            ("--student", "backbone that is aligned, such as dinov2-b14", needed),
            ("--columns", "of the three pictures, or one that lists them",
             {"nargs": "+", "default": ["image1", "image2", "image3"]}),
            ("--odd", "column of the odd one out (default: choice)", {"default": "choice"}),
            ("--first", "number of the first of the three places in it", place),
            ("--numbered-from", "number of the first picture, where pictures are numbers", place),
            ("--trained", "last blocks of the student to train; 0: all, on a GPU (5)",
             {**NUMBER, "default": 5}),
            ("--steps", "of training (default: 60)", {**NUMBER, "default": 60}),
            ("--simulated", "the answers are not people's: say so wherever a number stands", flag),
            ("--write-profile", "write the settings as a profile of your own, mine.yaml", FILE),
            _build("where the run's artefacts go"),
        ]),
        "export": ("write a trained student as a model that timm or open_clip loads", [
            ("folder", "new or empty", FOLDER),
            _profile("whose run it is"),
            ("--stage", "of alignment: aligned, or unaligned, the control (default: aligned)",
             {"metavar": "STAGE", "default": "aligned"}),
            ("--student", "its backbone (default: the profile's first)",
             {"metavar": "BACKBONE", "default": ""}),
            ("--part", "of the teacher that labelled its triplets: all, fold0, half1 (default: the first)",
             {"metavar": "PART", "default": ""}),
            ("--share", "of what training changed in its weights: 0 the base, 1 the student itself"
             " (default: 1)", {"metavar": "SHARE", "type": float, "default": 1.0}),
            _build("where the run's artefacts are"),
        ]),
        "convert": ("write a released checkpoint of AligNet as a model that timm loads", [
            ("archive", "as downloaded, SigLIP-B-alignet.tar.gz", {"metavar": "ARCHIVE", "type": Path}),
            ("folder", "new or empty", FOLDER),
            ("--name", "of the checkpoint, where the archive is called otherwise", {"metavar": "NAME"}),
            ("--compare", "of a base_model: compare it with the public weights of that model", flag),
        ]),
    }  # fmt: skip


def parser(functions: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Return the parser of the command line, given the function of each command."""
    found = argparse.ArgumentParser(prog="humalign", description=f"{TITLE}.", **_examples(""))
    found.add_argument("--version", action="version", version=importlib.metadata.version("humalign"))
    commands = found.add_subparsers(required=True, metavar="COMMAND")
    for name, (what, arguments) in _arguments().items():
        about = f"{what[0].upper()}{what[1:]}."
        made = commands.add_parser(name, help=what, description=about, **_examples(name))
        made.set_defaults(command=functions[name], build=Path("build"))
        for argument, said, told in arguments:
            made.add_argument(argument, help=said, **told)
    collect.register(commands)
    return found


def _examples(command: str) -> dict[str, Any]:
    return {
        "epilog": f"examples:\n{EXAMPLES[command]}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
