"""The arguments of ``humalign align``; what it does is in `humalign.chain.aligning`, which takes longer to import."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add the command."""
    align = commands.add_parser(
        "align", help="align a model with odd-one-out answers about pictures of your own"
    )
    align.add_argument("out", type=Path, metavar="OUT", help="where the aligned model goes; new or empty")
    align.add_argument("--judged", type=Path, required=True, help="folder of the pictures that were judged")
    align.add_argument(
        "--answers",
        type=Path,
        required=True,
        help="a table with a header, or three numbers a line, the odd one last",
    )
    align.add_argument(
        "--pool",
        required=True,
        help="folder of pictures without answers, or torchvision:NAME/SPLIT, hf:OWNER/NAME/SPLIT",
    )
    align.add_argument(
        "--teacher", required=True, help="backbone that the answers are fitted to, such as siglip-b16"
    )
    align.add_argument("--student", required=True, help="backbone that is aligned, such as dinov2-b14")
    align.add_argument(
        "--columns",
        nargs="+",
        default=["image1", "image2", "image3"],
        help="of the three pictures, or one that lists them",
    )
    align.add_argument("--odd", default="choice", help="column of the odd one out (default: choice)")
    align.add_argument(
        "--first", type=int, choices=(0, 1), help="number of the first of the three places in it"
    )
    align.add_argument(
        "--numbered-from",
        type=int,
        choices=(0, 1),
        help="number of the first picture, where pictures are numbers",
    )
    align.add_argument(
        "--trained", type=int, default=5, help="last blocks of the student to train; 0: all, on a GPU (5)"
    )
    align.add_argument("--steps", type=int, default=60, help="of training (default: 60)")
    align.add_argument(
        "--simulated",
        action="store_true",
        help="the answers are not people's: say so wherever a number stands",
    )
    align.add_argument(
        "--write-profile",
        type=Path,
        metavar="FILE",
        help="write the settings as a profile of your own, mine.yaml",
    )
    align.add_argument(
        "--build", type=Path, default=Path("build"), help="where the run's artefacts go (default: build)"
    )
    align.set_defaults(command=_align)


def _align(options: argparse.Namespace) -> None:
    from humalign.chain import aligning

    aligning.align(options)
