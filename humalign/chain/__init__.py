"""The chain as steps: what each needs, what it leaves, and whether what it left is still good.

``chain.open(profile, build)`` gives the run of a profile, with a method for each step.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from humalign.chain.opened import Opened


def open(profile: str = "demo", build: str | Path = "") -> Opened:
    """Open a run of a profile.

    Args:
        profile: by its name, or by the path of a file of your own.
        build: the folder below which its artefacts lie, in a folder of the profile's name; a relative one is
            taken from the current folder. Without it the recorded run is opened, which computes nothing.

    Raises:
        HumalignError: an unknown profile, or a wrong setting.
    """
    from humalign.chain import opened

    return opened.of(profile, build)
