"""A recipe, every student between base and aligned that it names, and what each makes of pictures.

One knob is turned at a time: the share of what training changed, in weights or side by side in features; the
steps; the decay to the initial weights; and how many of the last blocks are trained. A finished run of the
recipe's profile gives everything else. Every student is kept below a folder of the study's own under a key, and a
training that was stopped goes on.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml
from jaxtyping import Float

from humalign import profiles
from humalign.artefacts import Provenance, fingerprint, sha256, versions
from humalign.chain import embed, features, keys
from humalign.chain.pipeline import Run, schedule
from humalign.chain.processes import checksum
from humalign.distil.batches import DenseTriplets
from humalign.distil.distill import Distillation, Engine, distill
from humalign.errors import HumalignError, nearest
from humalign.models.student import Student, between
from humalign.profiles import Profile
from humalign.profiles import Student as Settings
from humalign.profiles.schema import Count, Number, Within
from humalign.show.figures_price import BLOCKS, DECAY, SIDE, STEPS, WEIGHTS

Inside = Annotated[float, Within(lambda x: 0.001 <= x <= 0.999, "a share from .001 to .999")]
Decay = Annotated[float, Within(lambda x: 0 <= x <= 1e5, "a number from 0 to 100000")]
Correlation = Annotated[float, Within(lambda x: -1 <= x <= 1, "a correlation")]
Steps = Annotated[int, Within(lambda n: n >= 2, "a whole number from 2 on")]


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
    seeds: tuple[Number, ...]
    shares: tuple[Inside, ...]
    steps: tuple[Steps, ...]
    decays: tuple[Decay, ...]
    blocks: tuple[Count, ...]
    least: Correlation
    halves: Number
    digest: str = ""

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read a recipe and check it."""
        try:
            found = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            said = " ".join(str(error).split())
            raise HumalignError(f"cannot read the recipe {path} ({said}): name a YAML file") from None
        if not isinstance(found, dict):
            raise HumalignError(f"{path} is no recipe: give it a key in each line, `profile` first")
        recipe = profiles.section(cls, found, str(path))
        for key, value in dataclasses.asdict(recipe).items():
            if isinstance(value, tuple) and len(set(value)) < len(value):
                raise HumalignError(f"{path}: {key} = {list(value)}: name each once")
        if len(recipe.seeds) < 2:
            raise HumalignError(f"{path}: seeds = {list(recipe.seeds)}: an interval over seeds needs two or more")
        return dataclasses.replace(recipe, digest=sha256(path))


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
        """Open a study."""
        profile = profiles.load(recipe.profile)
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


def told(study: Study, training: Training) -> Distillation:
    """Return the schedule of a training; the warm-up keeps its part of the steps."""
    own = study.profile.distillation
    warmup = round(own.warmup * training.steps / own.steps)
    return schedule(study.profile, steps=training.steps, warmup=warmup, decay_to_init=training.decay)


def started(study: Study, training: Training, seed: int) -> Student:
    """Return a student before training; blocks that are not trained are fixed."""
    student = features.start(study.run, study.student(training.backbone), "aligned", seed)
    tail: Any = student.tail
    tail[: len(tail) - training.blocks].requires_grad_(False)
    return student


def key_of(study: Study, training: Training, seed: int) -> str:
    """Return what a trained student depends on."""
    pictures = study.read_sum(training.backbone, study.profile.data.pool)
    made_of = [dataclasses.asdict(each) for each in (training, told(study, training))]
    return fingerprint(*made_of, seed, pictures, _digest(study), keys.code(train), versions())


def train(study: Study, training: Training, seed: int) -> Student:
    """Return a trained student: the one that is kept, or a new one, which is kept."""
    name = f"{training.steps}-steps-{training.decay:g}-{training.blocks}-blocks-seed{seed}"
    file, key = f"students/{embed.label(training.backbone)}/{name}.safetensors", key_of(study, training, seed)
    student, path = started(study, training, seed), study.work.path(file)

    def make() -> None:
        inputs = embed.activations(study.run, training.backbone, study.profile.data.pool)
        plan = DenseTriplets(_labels(study), study.profile.distillation.batch_images, seed)
        checkpoint = path.with_suffix(f".{key}.ckpt")
        engine = Engine(study.profile.compute.device)
        distill(student, inputs, plan, told(study, training), checkpoint, engine=engine)
        student.save(path, Provenance(study.profile.name, seed, key).attrs())
        checkpoint.unlink(missing_ok=True)

    if study.work.kept(key, [file], make):
        student.load(path)
    return student


@functools.lru_cache(maxsize=1)
def _labels(study: Study) -> Float[np.ndarray, "pool dim"]:
    return features.teacher_labels(study.run, "all", "aligned")


@functools.lru_cache(maxsize=1)
def _digest(study: Study) -> str:
    return hashlib.sha256(np.ascontiguousarray(_labels(study)).tobytes()).hexdigest()


# ---- features ----------------------------------------------------------------------------------------------

Features = Float[np.ndarray, "images dim"]


def of_base(study: Study, backbone: str, which: str) -> Features:
    """Return the base's features of a set."""
    return features.read(study.run, backbone, "base", which)


@functools.lru_cache(maxsize=32)
def of_student(study: Study, training: Training, seed: int, share: float, which: str) -> Features:
    """Return a student's features of a set, with a share of what training changed in its weights."""
    student = train(study, training, seed)
    if share < 1:
        student = between(started(study, training, seed), student, share)
    found = student.features(embed.activations(study.run, training.backbone, which)).numpy()
    return features.averaged(study.run, which, found)


def of_setting(
    study: Study, setting: Setting | None, backbone: str, seed: int, which: str, centred: bool = False
) -> Features:
    """Return the features of a set at a setting, by the student of a backbone; without one those of the base.

    Centred ones are less the base's mean over the pool, which the head of training takes away too.
    """
    base, pool = of_base(study, backbone, which), study.profile.data.pool
    centre = np.asarray(embed.read(study.run, backbone, pool)).mean(0, dtype=np.float32) if centred else np.float32(0)
    if setting is None:
        return base - centre
    training = dataclasses.replace(setting.training, backbone=backbone)
    if setting.knob != SIDE:
        return of_student(study, training, seed, setting.share, which) - centre
    judged = study.profile.labeller.judged
    far = features.scale(of_base(study, backbone, judged)), features.scale(of_student(study, training, seed, 1.0, judged))
    return side_by_side(base - centre, of_student(study, training, seed, 1.0, which) - centre, setting.share, far)


def side_by_side(
    base: Features, aligned: Features, share: float, scales: tuple[float, float]
) -> Float[np.ndarray, "images both"]:
    """Return both features of each picture, whose squared distances have the parts 1 - share and share.

    Each is first divided by its scale, as a teacher's backbones are side by side.
    """
    parts = zip((base, aligned), (1 - share, share), scales, strict=True)
    return np.concatenate([x * np.float32(np.sqrt(part) / far) for x, part, far in parts], axis=1)
