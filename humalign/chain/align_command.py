"""The arguments of ``humalign align``; what it does is in `humalign.chain.aligning`, which takes longer to import."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add the command."""
    align = commands.add_parser("align", help="align a model with odd-one-out answers about pictures of your own")
    align.add_argument("out", type=Path, metavar="OUT", help="where the aligned model goes; new or empty")
    for name, kind, said in (
        ("judged", Path, "folder of the pictures that were judged"),
        ("answers", Path, "a table with a header, or three numbers a line, the odd one last"),
        ("pool", str, "folder of pictures without answers, or torchvision:NAME/SPLIT, hf:OWNER/NAME/SPLIT"),
        ("teacher", str, "backbone that the answers are fitted to, such as siglip-b16"),
        ("student", str, "backbone that is aligned, such as dinov2-b14"),
    ):
        align.add_argument(f"--{name}", type=kind, required=True, help=said)
    shown = {"nargs": "+", "default": ["image1", "image2", "image3"]}
    further: dict[str, tuple[str, dict[str, Any]]] = {
        "columns": ("of the three pictures, or one that lists them", shown),
        "odd": ("column of the odd one out (default: choice)", {"default": "choice"}),
        "first": ("number of the first of the three places in it", {"type": int, "choices": (0, 1)}),
        "numbered-from": ("number of the first picture, where pictures are numbers", {"type": int, "choices": (0, 1)}),
        "trained": ("last blocks of the student to train; 0: all, on a GPU (5)", {"type": int, "default": 5}),
        "steps": ("of training (default: 60)", {"type": int, "default": 60}),
        "simulated": ("the answers are not people's: say so wherever a number stands", {"action": "store_true"}),
        "write-profile": ("write the settings as a profile of your own, mine.yaml", {"type": Path, "metavar": "FILE"}),
        "build": ("where the run's artefacts go (default: build)", {"type": Path, "default": Path("build")}),
    }
    for name, (said, how) in further.items():
        align.add_argument(f"--{name}", help=said, **how)
    align.set_defaults(command=_align)


def _align(options: argparse.Namespace) -> None:
    from humalign.chain import aligning

    aligning.align(options)
