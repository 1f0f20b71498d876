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
  humalign align --judged judged --answers answers.csv --pool pool --teacher clip-b16 --student vit-b16 out""",
    "export": """\
  humalign export aligned-lite0 --part fold0
  humalign export control --profile things --stage unaligned --student efficientnet-lite1
  humalign export half-way --profile things --share 0.5""",
    "convert": """\
  humalign convert SigLIP-B-alignet.tar.gz aligned-siglip""",
}


def parser(functions: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Args:
        functions: by the name of their command.
    """
    found = argparse.ArgumentParser(prog="humalign", description=f"{TITLE}.", **_examples(""))
    found.add_argument("--version", action="version", version=importlib.metadata.version("humalign"))
    commands = found.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, what: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name, help=what, description=f"{what[0].upper()}{what[1:]}.", **_examples(name)
        )
        made.set_defaults(command=functions[name], build=Path("build"))
        return made

    def of_profile(command: argparse.ArgumentParser, what: str, default: str | None = "demo") -> None:
        ours = f"{', '.join(profiles.names())}, or a file of your own, mine.yaml"
        first = f"default: {default}" if default else "default: paper or open with a GPU, else demo"
        command.add_argument(
            "--profile", metavar="PROFILE", default=default, help=f"{what}: {ours} ({first})"
        )

    def in_folder(command: argparse.ArgumentParser, what: str) -> None:
        command.add_argument(
            "--build", metavar="FOLDER", type=Path, default=Path("build"), help=f"{what} (default: build)"
        )

    def written(command: argparse.ArgumentParser) -> None:
        command.add_argument("--out", metavar="FILE", type=Path, help="write the table there too, as CSV")

    run = command("run", "run a step and everything it needs, reusing what is still good")
    run.add_argument("step", metavar="STEP", help=", ".join(LAST))
    of_profile(run, "what is run", None)
    in_folder(run, "where artefacts go")

    doctor = command(
        "doctor", "say what is there, what is missing and what brings it, and how long a run takes"
    )
    of_profile(doctor, "whose inputs")

    fetch = command("fetch", "bring inputs that are missing, and check those that are there")
    fetch.add_argument(
        "names", nargs="*", metavar="NAME", help="of sources; without any, whatever the profile needs"
    )
    of_profile(fetch, "whose inputs")
    fetch.add_argument(
        "--list",
        action="store_true",
        help="list every source: size, the profiles that need it, licence and home",
    )

    audit = command("audit", "check a triplet file before training on it")
    audit.add_argument(
        "file", metavar="FILE", type=Path, help="of triplets, in the layout of the released ones"
    )
    audit.add_argument(
        "--embeddings",
        metavar="FILE",
        type=Path,
        help="any backbone's embeddings (.nc, .npy) of the same image list: tests the order of the columns",
    )
    audit.add_argument(
        "--names",
        metavar="FILE",
        type=Path,
        help="the image list: a text file, one file name a line, in the order of the indices",
    )

    score = command("score", "score any encoder's embeddings of the judged things against people")
    score.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help=(
            ".npz with things-objects (rows in the order of unique_id.txt, or named in "
            "things-objects-names), things-photographs (named in things-photographs-names: aardvark.jpg) "
            "or kriegeskorte-92 (rows in the order of the file)"
        ),
    )
    score.add_argument(
        "--name", metavar="NAME", default="my-encoder", help="of the model in the table (default: my-encoder)"
    )
    written(score)

    few_shot = command(
        "few-shot", "classify any labelled pictures from few of each class, by any models' features"
    )
    few_shot.add_argument(
        "set",
        metavar="SET",
        help="a folder of class folders, a .zip, torchvision:NAME[/SPLIT] or hf:OWNER/NAME[/SPLIT]",
    )
    few_shot.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="such as timm:MODEL; all others are compared with the first",
    )
    for name, several, default, what in (
        ("shots", "+", [1, 2, 5, 10], "pictures of each class to learn from (default: 1 2 5 10)"),
        ("draws", None, 5, "how often they are drawn (default: 5)"),
        ("images", None, 2000, "of the set, at most, spread over its classes (default: 2000)"),
        ("seed", None, 0, "of all that is drawn (default: 0)"),
    ):
        few_shot.add_argument(
            f"--{name}", metavar="NUMBER", nargs=several, type=int, default=default, help=what
        )
    written(few_shot)

    align = command("align", "align a model with odd-one-out answers about pictures of your own")
    align.add_argument("out", type=Path, metavar="OUT", help="where the aligned model goes; new or empty")
    for name, kind, what in (
        ("judged", Path, "folder of the pictures that were judged"),
        ("answers", Path, "a table with a header, or three numbers a line, the odd one last"),
        ("pool", str, "folder of pictures without answers, or torchvision:NAME/SPLIT, hf:OWNER/NAME/SPLIT"),
        ("teacher", str, "backbone that the answers are fitted to, such as siglip-b16"),
        ("student", str, "backbone that is aligned, such as dinov2-b14"),
    ):
        align.add_argument(f"--{name}", type=kind, required=True, help=what)
    shown = {"nargs": "+", "default": ["image1", "image2", "image3"]}
    place = {"type": int, "choices": (0, 1), "metavar": "NUMBER"}
    file = {"type": Path, "metavar": "FILE"}
    further: dict[str, tuple[str, dict[str, Any]]] = {
        "columns": ("of the three pictures, or one that lists them", shown),
        "odd": ("column of the odd one out (default: choice)", {"default": "choice"}),
        "first": ("number of the first of the three places in it", place),
        "numbered-from": ("number of the first picture, where pictures are numbers", place),
        "trained": ("last blocks of the student to train; 0: all, on a GPU (5)", {"type": int, "default": 5}),
        "steps": ("of training (default: 60)", {"type": int, "default": 60}),
        "simulated": ("the answers are not people's: say so by every number", {"action": "store_true"}),
        "write-profile": ("write the settings as a profile of your own, mine.yaml", file),
    }
    for name, (what, how) in further.items():
        align.add_argument(f"--{name}", help=what, **how)
    in_folder(align, "where the run's artefacts go")

    export = command("export", "write a trained student as a model that timm or open_clip loads")
    export.add_argument("folder", metavar="FOLDER", type=Path, help="new or empty")
    of_profile(export, "whose run it is")
    export.add_argument(
        "--stage",
        metavar="STAGE",
        default="aligned",
        help="of alignment: aligned, or unaligned, the control (default: aligned)",
    )
    export.add_argument(
        "--student", metavar="BACKBONE", default="", help="its backbone (default: the profile's first)"
    )
    export.add_argument(
        "--part",
        metavar="PART",
        default="",
        help="of the teacher that labelled its triplets: all, fold0, half1 (default: the first)",
    )
    export.add_argument(
        "--share",
        metavar="SHARE",
        type=float,
        default=1.0,
        help="of what training changed in its weights: 0 the base, 1 the student itself (default: 1)",
    )
    in_folder(export, "where the run's artefacts are")

    convert = command("convert", "write a released checkpoint of AligNet as a model that timm loads")
    convert.add_argument(
        "archive", metavar="ARCHIVE", type=Path, help="as downloaded, SigLIP-B-alignet.tar.gz"
    )
    convert.add_argument("folder", metavar="FOLDER", type=Path, help="new or empty")
    convert.add_argument(
        "--name", metavar="NAME", help="of the checkpoint, where the archive is called otherwise"
    )
    convert.add_argument(
        "--compare",
        action="store_true",
        help="of a base_model: compare it with the public weights of that model",
    )
    collect.register(commands)
    return found


def _examples(command: str) -> dict[str, Any]:
    return {
        "epilog": f"examples:\n{EXAMPLES[command]}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
