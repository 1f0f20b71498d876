"""What each student between a base and its aligned student reaches, and what it costs.

Every student is measured alone and kept. Intervals are over training seeds, pictures, people, support sets.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from humalign.artefacts import fingerprint, replacing, versions
from humalign.chain import keys, price, sets
from humalign.chain.further import NEAR
from humalign.chain.pipeline import progress_bar, stream
from humalign.chain.price import SIDE, WEIGHTS, Setting, Study
from humalign.chain.scoring.labels import classes
from humalign.chain.scoring.rows import weights
from humalign.data import registry
from humalign.evaluation import between_models, few_shot, people
from humalign.evaluation.scores import Estimate, few, mean_of_folds, resamples

Measures = dict[str, Estimate]
RSA, CENTRED, FEW, CORRUPTED = "rsa-spearman", "rsa-spearman-centred", "few-shot", "corrupted"
CKA, AS_IT_IS = "cka", "cka-as-it-is"
# What is measured on all pictures and on each of two halves of them.
PARTS = ("", "half0/", "half1/")


# ---- one student -------------------------------------------------------------------------------------------


def measured(study: Study, setting: Setting | None, seed: int, kind: str) -> Measures:
    """Return what one student reaches, measured now or kept; without a setting that of the base.

    Args:
        study: whose student.
        setting: of it.
        seed: of its training.
        kind: of measures, of those in ``KINDS``.
    """
    recipe, shown, make_measures = study.recipe, _shown(study, setting, kind), KINDS[kind]
    made_of: list[Any] = [dataclasses.asdict(study.profile.evaluation), recipe.halves]
    if setting:
        trained = [recipe.student, *([recipe.beside] if kind == "alike" and with_beside(setting) else [])]
        each = [dataclasses.replace(setting.training, backbone=backbone) for backbone in trained]
        made_of += [setting.knob, setting.share, *(price.key_of(study, training, seed) for training in each)]
    made_of += [study.read_sum(recipe.student, which) for which in shown]
    made_of += [registry.identity(name) for which in shown for name in sets.sources_of(study.profile, which)]
    key = fingerprint(*made_of, keys.code(make_measures), versions())
    name = f"{setting.knob}-{setting.x:g}-seed{seed}" if setting else "base"
    file = f"{kind}/{name.replace(' ', '-')}.npz"

    def make() -> None:
        found = make_measures(study, setting, seed)
        arrays: dict[str, Any] = {metric: _array(estimate) for metric, estimate in found.items()}
        arrays |= {f"n {metric}": np.array(each.n) for metric, each in found.items()}
        with replacing(study.work.path(file)) as part, open(part, "wb") as out:
            np.savez(out, **arrays)

    study.work.kept(key, [file], make)
    with np.load(study.work.path(file)) as kept:
        names = [name for name in kept.files if not name.startswith("n ")]
        return {each: Estimate.of(kept[each][0], int(kept[f"n {each}"]), *kept[each][1:]) for each in names}


def _array(estimate: Estimate) -> Float[np.ndarray, "several draws_and_one"]:
    return np.stack([np.concatenate([[estimate.value], draws]) for draws in (estimate.draws, *estimate.alone)])


def with_beside(setting: Setting | None) -> bool:
    """Tell whether the other backbone has a student at the setting too, and corrupted pictures are shown."""
    return setting is None or setting.knob in (WEIGHTS, SIDE)


def _shown(study: Study, setting: Setting | None, kind: str) -> list[str]:
    further = [*study.profile.data.labelled, *(["corrupted"] if with_beside(setting) else [])]
    return [NEAR, *(further if kind == "scores" else [])]


def measure(study: Study, setting: Setting | None, seed: int) -> Measures:
    """Measure one student on the 92 photographs, on the labelled pictures and on their halves."""

    def shown(which: str, centred: bool = False) -> price.Features:
        return price.of_setting(study, setting, study.recipe.student, seed, which, centred)

    found = dict(_agreement(study, shown(NEAR), shown(NEAR, centred=True)))
    for number, which in enumerate(study.profile.data.labelled):
        found |= _few_shot(study, number, shown(which))
    if with_beside(setting):
        found[CORRUPTED] = _corrupted(study, shown("cifar10"), shown("corrupted"))
    return found


def alike(study: Study, setting: Setting | None, seed: int) -> Measures:
    """Measure how alike one student is to the other backbone, as it is and at the same share."""
    recipe = study.recipe
    own = price.of_setting(study, setting, recipe.student, seed, NEAR)
    others = {AS_IT_IS: price.of_base(study, recipe.beside, NEAR)}
    if with_beside(setting):
        others[CKA] = price.of_setting(study, setting, recipe.beside, seed, NEAR)
    drawn = weights(study.profile, len(own))
    return {metric: between_models.linear_cka(own, x, drawn) for metric, x in others.items()}


KINDS = {"scores": measure, "alike": alike}


def _agreement(
    study: Study, plain: price.Features, centred: price.Features
) -> Iterator[tuple[str, Estimate]]:
    """Yield the RSA with people on the 92 photographs and on their halves (units: photograph and person)."""
    profile, matrices = study.profile, sets.similarity_92().matrices
    half = stream(profile, 20, study.recipe.halves).permutation(len(plain)) % 2
    for part, rows in _parts(half):
        judged = matrices[:, rows][:, :, rows]
        for metric, x in {RSA: plain, CENTRED: centred}.items():
            similar = people.backbone_similarity(x[rows])
            # One seed: both halves were judged by the same people, who are drawn together.
            draws, seed = profile.evaluation.bootstrap_draws, profile.seed
            yield part + metric, people.across_people_and_images(similar, judged, draws, seed)


def _parts(half: Int[np.ndarray, " items"]) -> Iterator[tuple[str, Int[np.ndarray, " some"]]]:
    """Yield the name and the rows of the whole and of each half."""
    rows = (np.arange(len(half)), *(np.flatnonzero(half == number) for number in range(2)))
    yield from zip(PARTS, rows, strict=True)


def _few_shot(study: Study, number: int, x: price.Features) -> Iterator[tuple[str, Estimate]]:
    """Yield k-shot accuracy on a labelled set and on its halves, which share no picture at all."""
    profile, which = study.profile, study.profile.data.labelled[number]
    known, draws = classes(sets.names(study.run, which)), profile.evaluation.few_shot_draws
    half = halves_of_classes(known, stream(profile, 21, study.recipe.halves, number))
    for place, (part, rows) in enumerate(_parts(half)):
        own = 20 + 10 * number + 2 * place
        drawn, of_draws = weights(profile, len(rows), own), weights(profile, draws, own + 1)
        for shots in profile.evaluation.shots:
            # Of all pictures the support sets of the profile's own scores.
            numbers = (22, study.recipe.halves, number, place, shots) if part else (12, number, shots)
            support = few_shot.supports(known[rows], shots, draws, stream(profile, *numbers))
            right = few_shot.of_images(x[rows], known[rows], support, drawn, taught_weights=of_draws)
            yield f"{part}{FEW} {which} {shots}", right


def halves_of_classes(known: np.ndarray, rng: np.random.Generator) -> Int[np.ndarray, " items"]:
    """Return in which half each picture is; each class is halved, the greater half taking turns."""
    found = np.empty(len(known), dtype=int)
    for place, name in enumerate(np.unique(known)):
        rows = np.flatnonzero(known == name)
        found[rng.permutation(rows)] = (np.arange(len(rows)) + place) % 2
    return found


def _corrupted(study: Study, clean: price.Features, x: price.Features) -> Estimate:
    """Return the accuracy on corrupted photographs of classifiers fitted to clean ones."""
    profile, told = study.profile, study.profile.evaluation
    known, others = classes(sets.names(study.run, "cifar10")), sets.corrupted(profile).labels["class"]
    support = few_shot.supports(known, max(told.shots), told.few_shot_draws, stream(profile, 14))
    right = few_shot.correct(few_shot.teach(clean, known, support), x, others.to_numpy(dtype=str))
    drawn, of_draws = weights(profile, len(others), 1), weights(profile, len(support), 2)
    return few_shot.image_mean(right, np.ones(right.shape, dtype=bool), drawn, of_draws)


# ---- over seeds --------------------------------------------------------------------------------------------


def over_seeds(found: Sequence[Estimate], seed: int) -> Estimate:
    """Return the mean over training seeds; its interval is over seeds and over what each estimate has drawn.

    The estimates share their draws of pictures. What varies with the seeds alone is added to their mean:
    a bootstrap of the seeds, brought to the unbiased variance and widened by Student's t for so few.
    """
    number, mean = len(found), mean_of_folds(found)
    values = np.array([each.value for each in found])
    drawn = resamples(number, len(mean.draws), seed)[1:] @ (values - mean.value) / number
    apart = drawn * np.sqrt(number / (number - 1)) * few(float(number - 1))
    alone = (*mean.alone, mean.value + apart) if mean.alone else ()
    return Estimate(mean.value, mean.draws + apart, found[0].n, alone)


Found = Mapping[Setting | None, Measures]


def everything(study: Study) -> dict[Setting | None, list[Measures]]:
    """Train and measure every student from every seed, knob by knob; the first is the base.

    Students of the other backbone come last.
    """
    settings: list[Setting | None] = [None, *study.settings()]
    found: dict[Setting | None, list[Measures]] = {each: [{} for _ in study.recipe.seeds] for each in settings}
    with progress_bar(len(KINDS) * len(study.recipe.seeds) * len(settings), "students measured") as bar:
        for kind in KINDS:
            for setting, several in found.items():
                for measures, seed in zip(several, study.recipe.seeds, strict=True):
                    measures |= measured(study, setting, seed, kind)
                    bar.update()
    return found


def over_all_seeds(
    study: Study, alone: Mapping[Setting | None, Sequence[Measures]]
) -> dict[Setting | None, Measures]:
    """Return the mean of every measure over seeds, and of few-shot accuracy over sets and shots too."""
    found: dict[Setting | None, Measures] = {}
    for setting, several in alone.items():
        seed = study.profile.seed + 500
        means = {metric: over_seeds([each[metric] for each in several], seed) for metric in several[0]}
        for part in PARTS:
            cells = [estimate for metric, estimate in means.items() if metric.startswith(f"{part}{FEW} ")]
            # Every shot tests the pictures that it does not learn from, of the same sets.
            pictures = sum(each.n for each in cells) // len(study.profile.evaluation.shots)
            means[part + FEW] = dataclasses.replace(mean_of_folds(cells), n=pictures)
        found[setting] = means
    return found
