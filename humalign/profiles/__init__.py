"""Profiles: the numbers that a run is made of. A profile is data; the code and the notebooks are the same for all."""

from __future__ import annotations

import dataclasses
from importlib.resources import files
from typing import Any

import yaml

from humalign.errors import HumalignError, nearest


@dataclasses.dataclass(frozen=True)
class Profile:
    """The settings of the whole chain, on simulated judgments; the file says what each means."""

    name: str
    seed: int
    threads: int
    teacher_backbone: str
    student_backbone: str
    frozen_stages: int
    folds: int
    whole_subgroups: int
    observers: int
    individuality: float
    space_dim: int
    group_share: float
    subgroup_share: float
    concept_share: float
    answers: int
    people_per_triplet: int
    test_triplets: int
    vice_dim: int
    vice_steps: int
    vice_batch: int
    distilled_triplets: int
    border_share: float
    vice_clusters: int
    pulls: tuple[float, ...]
    pull_folds: int
    teacher_rank: int
    teacher_iterations: int
    clusters: int
    triplets: int
    block_images: int
    objective: str
    temperature: float
    steps: int
    warmup: int
    learning_rate: float
    decay_to_init: float
    batch_triplets: int
    checkpoint_every: int
    shots: tuple[int, ...]
    few_shot_draws: int
    bootstrap_draws: int


@dataclasses.dataclass(frozen=True)
class Things:
    """The settings of teachers and students on real human judgments; the file says what each means."""

    name: str
    seed: int
    threads: int
    backbones: tuple[str, ...]
    further_backbones: tuple[str, ...]
    students: tuple[str, ...]
    vice_dim: int
    vice_steps: int
    vice_batch: int
    vice_seeds: int
    vice_shares: tuple[float, ...]
    shares: tuple[float, ...]
    folds: int
    residuals: tuple[float, ...]
    ridges: tuple[float, ...]
    pulls: tuple[float, ...]
    pull_folds: int
    distilled_triplets: int
    image_residuals: tuple[float, ...]
    image_ridges: tuple[float, ...]
    image_keeps: tuple[float, ...]
    image_folds: int
    image_repeats: int
    image_triplets: int
    trained_stages: int
    objective: str
    temperature: float
    steps: int
    warmup: int
    learning_rate: float
    decay_to_init: float
    batch_images: int
    checkpoint_every: int
    curve_seeds: int
    curve_steps: int
    curve_sparse_steps: int
    curve_every: int
    curve_images: int
    curve_held_out: int
    curve_triplets: int
    clusters: int
    labelled_images: int
    corrupted_images: int
    shots: tuple[int, ...]
    few_shot_draws: int
    recovery_answers: tuple[int, ...]
    recovery_dim: int
    bootstrap_draws: int


@dataclasses.dataclass(frozen=True)
class Released:
    """The settings of what scores models at the paper's scale; as they are, of the models that the authors released."""

    name: str
    seed: int
    threads: int
    evidence: str
    imagenet_pictures: int
    imagenet_validation: int
    students: tuple[str, ...]
    device: str
    precision: str
    workers: int
    batch_images: int
    evaluations: tuple[str, ...]
    labelled_images: int
    shots: tuple[int, ...]
    few_shot_draws: int
    compared_images: int
    bootstrap_draws: int


@dataclasses.dataclass(frozen=True)
class Paper(Released):
    """The settings of the paper's own chain, at its own scale or in small; the file says what each means and where it is from."""

    teacher_backbone: str
    compile: str
    processes: int
    folds: int
    vice_dim: int
    vice_steps: int
    vice_batch: int
    distilled_triplets: int
    pulls: tuple[float, ...]
    pull_folds: int
    teacher_rank: int
    teacher_iterations: int
    triplets_from: str
    sampling: str
    clusters: int
    triplets: int
    validation_triplets: int
    objective: str
    temperature: float
    steps: int
    warmup: int
    learning_rate: float
    decay_to_init: float
    batch_triplets: int
    checkpoint_every: int
    evaluate_every: int


Settings = Profile | Things | Released
# Which settings a profile has; those not named here have the chain's.
KINDS: dict[str, type[Settings]] = {"things": Things, "paper": Paper, "rehearsal": Paper, "released": Released}


def names() -> list[str]:
    """Return the profiles that exist."""
    return sorted(path.name.removesuffix(".yaml") for path in files("humalign.profiles").iterdir() if path.name.endswith(".yaml"))


def load(name: str) -> Settings:
    """Read a profile by name.

    Raises:
        HumalignError: unknown profile, or a key that is unknown, missing or of the wrong type.
    """
    if name not in names():
        raise HumalignError(f"unknown profile {name!r}: {nearest(name, names())}")
    return parse(name, yaml.safe_load((files("humalign.profiles") / f"{name}.yaml").read_text("utf-8")))


def parse(name: str, settings: dict[str, Any]) -> Settings:
    """Check the settings of a profile, key by key."""
    kind = KINDS.get(name, Profile)
    expected = {field.name: str(field.type) for field in dataclasses.fields(kind) if field.name != "name"}
    for key in settings:
        if key not in expected:
            raise HumalignError(f"profile {name}: unknown key {key!r}: {nearest(key, expected)}")
    missing = sorted(expected.keys() - settings.keys())
    if missing:
        raise HumalignError(f"profile {name}: key {missing[0]!r} is missing")
    return kind(name=name, **{key: _typed(name, key, expected[key], value) for key, value in settings.items()})


def _typed(name: str, key: str, wanted: str, value: Any) -> Any:
    checks = {
        "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
        "float": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
        "str": lambda v: isinstance(v, str),
    }
    if wanted.startswith("tuple"):
        item = wanted[len("tuple[") :].split(",")[0]
        if isinstance(value, list) and value and all(checks[item](v) for v in value):
            return tuple(float(v) for v in value) if item == "float" else tuple(value)
    elif checks[wanted](value):
        return float(value) if wanted == "float" else value
    raise HumalignError(f"profile {name}: {key} = {value!r} is no {wanted}")
