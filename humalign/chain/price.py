"""The settings of the price of agreement: a recipe, and every student between base and aligned that it names.

One knob is turned at a time: the share of what training changed, in weights or side by side in features; the
steps; the decay to the initial weights; and how many of the last blocks are trained. A finished run of the
recipe's profile gives everything else.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from humalign.artefacts import sha256
from humalign.chain import embed
from humalign.chain.pipeline import Run
from humalign.chain.processes import checksum
from humalign.errors import HumalignError, nearest
from humalign.profiles import Profile, load
from humalign.profiles import Student as Settings

WEIGHTS, SIDE = "share of weights", "share of features"
STEPS, DECAY, BLOCKS = "steps", "decay to initial weights", "blocks trained"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What decides the numbers, beside the profile.

    Attributes:
        profile: whose run is read.
        student, beside: backbones of two of its students.
        seeds: of training.
        shares, steps, decays, blocks: settings of each knob, beside those of the profile.
        least: RSA that a student should keep.
        halves: seed of the halves that a setting is chosen and scored on.
        digest: of the file.
    """

    profile: str
    student: str
    beside: str
    seeds: tuple[int, ...]
    shares: tuple[float, ...]
    steps: tuple[int, ...]
    decays: tuple[float, ...]
    blocks: tuple[int, ...]
    least: float
    halves: int
    digest: str = ""

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read a recipe and check it.

        Raises:
            HumalignError: a file that cannot be read; a key that is unknown or missing; a value of the wrong
                kind or out of its range.
        """
        try:
            found = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise HumalignError(
                f"cannot read the recipe {path} ({' '.join(str(error).split())}): name a YAML file"
            ) from None
        wanted = [field.name for field in dataclasses.fields(cls) if field.name != "digest"]
        for key in found if isinstance(found, dict) else ():
            if key not in wanted:
                raise HumalignError(f"{path}: unknown key {key!r}: {nearest(str(key), wanted)}")
        missing = [key for key in wanted if not isinstance(found, dict) or key not in found]
        if missing:
            raise HumalignError(f"{path}: the key {missing[0]!r} is missing")
        for key, (holds, said) in LIMITS.items():
            several = key in LISTS
            values = found[key] if several and isinstance(found[key], list) else [found[key]]
            sound = all(not isinstance(value, bool) and holds(value) for value in values)
            if several != isinstance(found[key], list) or not sound or len(set(values)) < len(values):
                raise HumalignError(f"{path}: {key} = {found[key]!r}: it must be {said}")
        if len(found["seeds"]) < 2:
            raise HumalignError(
                f"{path}: seeds = {found['seeds']!r}: an interval over seeds needs two or more"
            )
        listed: dict[str, Any] = {
            key: tuple(value) if key in LISTS else value for key, value in found.items()
        }
        fractions = {key: tuple(map(float, found[key])) for key in ("shares", "decays")}
        return cls(**listed | fractions | {"least": float(found["least"])}, digest=sha256(path))


def _whole(least: int) -> Any:
    return lambda value: isinstance(value, int) and value >= least


def _number(low: float, high: float) -> Any:
    return lambda value: isinstance(value, int | float) and low <= value <= high


LISTS = ("seeds", "shares", "steps", "decays", "blocks")
LIMITS: dict[str, tuple[Any, str]] = {
    **dict.fromkeys(("profile", "student", "beside"), (lambda value: isinstance(value, str), "a name")),
    "seeds": (_whole(0), "a list of different whole numbers, 0 or more"),
    "shares": (_number(0.001, 0.999), "a list of different numbers, .001 to .999"),
    "steps": (_whole(2), "a list of different whole numbers, 2 or more"),
    "decays": (_number(0.0, 1e5), "a list of different numbers, 0 to 100000"),
    "blocks": (_whole(1), "a list of different whole numbers, 1 or more"),
    "least": (_number(-1.0, 1.0), "a correlation"),
    "halves": (_whole(0), "a whole number, 0 or more"),
}


@dataclasses.dataclass(frozen=True)
class Training:
    """How a student is trained, but for its seed."""

    backbone: str
    steps: int
    decay: float
    blocks: int


@dataclasses.dataclass(frozen=True)
class Setting:
    """One student: a knob, where it stands, how it is trained, and which share of the change is taken."""

    knob: str
    x: float
    training: Training
    share: float = 1.0


@dataclasses.dataclass(frozen=True)
class Study:
    """A recipe, the finished run that it reads, and the folder of its own."""

    recipe: Recipe
    run: Run
    work: Run

    @classmethod
    def of(cls, recipe: Recipe, build: Path, out: Path) -> Study:
        """Open a study.

        Raises:
            HumalignError: the profile has no such students, or has them whole; or its run is not there.
        """
        profile = load(recipe.profile)
        for name in (recipe.student, recipe.beside):
            found = [student for student in profile.students if student.backbone == name]
            if not found:
                mend = nearest(name, profile.backbones)
                raise HumalignError(f"the profile {profile.name} trains no student {name!r}: {mend}")
            if max(recipe.blocks) > found[0].trained:
                kept = f"of {name}, {profile.name} keeps activations before the last {found[0].trained}"
                raise HumalignError(f"blocks = {list(recipe.blocks)}: {kept}")
        run = Run(profile, build.expanduser().resolve())
        for name in (recipe.student, recipe.beside):
            path = run.path(f"activations/{embed.label(name)}/{profile.data.pool}.npy")
            if not path.is_file():
                mend = f"run `humalign run teachers --profile {profile.name}` first, or name its --build"
                raise HumalignError(f"no activations at {path}: {mend}")
        return cls(recipe, run, Run(dataclasses.replace(profile, name="price"), out.expanduser().resolve()))

    @property
    def profile(self) -> Profile:
        """The settings that the recipe leaves as they are."""
        return self.run.profile

    def student(self, backbone: str) -> Settings:
        """Return a student of the profile."""
        return next(student for student in self.profile.students if student.backbone == backbone)

    def read_sum(self, backbone: str, which: str) -> str:
        """Return the checksum of a set's activations."""
        return checksum(self.run.path(f"activations/{embed.label(backbone)}/{which}.npy"))

    def training(self, backbone: str, **other: Any) -> Training:
        """Return how the profile trains a student, with other settings of a knob."""
        own = self.profile.distillation
        usual = Training(backbone, own.steps, own.decay_to_init, self.student(backbone).trained)
        return dataclasses.replace(usual, **other)

    def settings(self) -> list[Setting]:
        """Return every student, knob by knob; the profile's own is one of each."""
        recipe, own = self.recipe, self.training(self.recipe.student)
        shares = sorted({*recipe.shares, 1.0})
        turned: dict[str, tuple[str, set[Any]]] = {
            STEPS: ("steps", {*recipe.steps, own.steps}),
            DECAY: ("decay", {*recipe.decays, own.decay}),
            BLOCKS: ("blocks", {*recipe.blocks, own.blocks}),
        }
        found = [Setting(WEIGHTS, share, own, share) for share in shares]
        found += [Setting(SIDE, share, own, share) for share in shares[:-1]]
        for knob, (field, values) in turned.items():
            found += [Setting(knob, float(x), dataclasses.replace(own, **{field: x})) for x in sorted(values)]
        return found
