"""The model of people's answers: VICE, fitted to the answers inside each part, to all and to some of them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from safetensors import safe_open

from humalign.artefacts import Provenance, replacing
from humalign.chain import judged
from humalign.chain.answers import warn_of_own
from humalign.chain.pipeline import Rows, Run, stream
from humalign.data.judgments import ByObject, Choices
from humalign.distil.ranks import join
from humalign.models.weights import load_file, save_file
from humalign.profiles import Profile, Teacher
from humalign.teach import vice

# Answers, number of things, and seed of a fit, read when it is made.
Fit = Callable[[], tuple[Choices, int, int]]
# What learns from the observers' model, or is fitted to each part beside what does.
LEARNERS = ("affine", "answers")


def observed(profile: Profile) -> Teacher | None:
    """Return the teacher whose answers VICE is fitted to; none where no teacher learns from answers."""
    return next((teacher for teacher in profile.teachers if teacher.learner in LEARNERS), None)


def _names(profile: Profile, teacher: Teacher) -> list[str]:
    seeds = (f"seed{seed}" for seed in range(profile.observer.seeds))
    return [*seeds, *(f"share{share:g}" for share in profile.observer.shares), *judged.part_names(teacher)]


def observer_files(profile: Profile) -> list[str]:
    """Name what the step leaves."""
    if (teacher := observed(profile)) is None:
        return []
    files = [_file(teacher, name) for name in _names(profile, teacher)]
    return [judged.SIMULATED, *files] if teacher.judged == "emoji" else files


def _file(teacher: Teacher, name: str) -> str:
    return f"observers/{teacher.judged}/{name}.safetensors"


def observe(run: Run, provenance: Provenance) -> None:
    """Fit VICE to the answers inside each part, to all training answers from several seeds, and to some.

    A fit that was stopped goes on from its checkpoint. Simulated observers are made first. Of answers of
    one's own it says what their user should know.
    """
    profile, teacher = run.profile, observed(run.profile)
    if "own" in profile.data.judged:
        warn_of_own(profile)
    if teacher is None:
        return
    if teacher.judged == "emoji":
        run.kept(provenance.key, [judged.SIMULATED], lambda: judged.simulate_observers(run, provenance))
    fits = {_file(teacher, name): fit for name, fit in _fits(run, teacher).items()}
    parts = [([file], functools.partial(_fit, run, file, provenance, fit)) for file, fit in fits.items()]
    run.keep_each(provenance.key, "VICE fits", parts)
    for leftover in run.path("observers").rglob("*.ckpt"):
        leftover.unlink()


def _fits(run: Run, teacher: Teacher) -> dict[str, Fit]:
    """Return answers, number of things and seed of every fit, by its name."""
    seed, settings, known = run.profile.seed, run.profile.observer, judged.of(run, teacher)
    answers, things, training = known.answers, known.answers.objects, known.training

    def some(share: float, seed: int) -> tuple[Choices, int, int]:
        rows = stream(run.profile, 1).permutation(len(training))[: round(share * len(training))]
        return Choices(training.triplets[rows], training.counts[rows]), things, seed

    fits: dict[str, Fit] = {f"seed{n}": functools.partial(some, 1.0, seed + n) for n in range(settings.seeds)}
    fits |= {f"share{share:g}": functools.partial(some, share, seed) for share in settings.shares}
    for part in judged.parts(run, teacher):
        # Of all things the answers to validate with are left out: what learns from this is scored on them.
        inside = ByObject.of(training, things) if part.name == "all" else answers
        fits[part.name] = functools.partial(_inside, inside, part, seed)
    return fits


def _inside(answers: ByObject, part: judged.Part, seed: int) -> tuple[Choices, int, int]:
    found = answers[part.train]
    return Choices(found.triplets, found.shares.astype(np.int64)), len(part.train), seed


def _fit(run: Run, file: str, provenance: Provenance, asked: Fit) -> None:
    answers, things, seed = asked()
    settings, path = run.profile.observer, run.path(file)
    found = vice.fit(
        answers, things, dim=settings.dim, steps=settings.steps, batch=settings.batch, seed=seed,
        device=str(join(run.profile.compute.device).device),
        checkpoint=path.with_suffix(f".{provenance.key}.ckpt"),
    )  # fmt: skip
    told = provenance.attrs() | {"answers": int(answers.counts.sum())}
    with replacing(path) as part:
        save_file({"mean": found.mean, "std": found.std}, part, told)


def summary(run: Run) -> Rows:
    """Say of each fit of VICE how many answers, of how many things, and how many dimensions were kept."""
    found: Rows = []
    if (teacher := observed(run.profile)) is None:
        return found
    for name in _names(run.profile, teacher):
        with safe_open(run.path(_file(teacher, name)), "np") as file:
            things, dimensions = file.get_slice("mean").get_shape()
            told = file.metadata() or {}
        row = {"fit": name, "answers": int(told["answers"])}
        found.append(row | {"things": things, "dimensions": dimensions})
    return found


def observer(run: Run, name: str) -> vice.ViceEmbedding:
    """Return one of the fits of VICE: of a part, ``seed0``, ``share0.5`` and so on."""
    teacher = observed(run.profile)
    assert teacher is not None, "no step reads an observer where there is none"
    return vice.ViceEmbedding(**load_file(run.path(_file(teacher, name))))
