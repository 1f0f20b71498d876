"""What each student between a base and its aligned student reaches and costs, and which one would be chosen.

Every student is measured alone and kept. Intervals are over training seeds, pictures, people, support sets. A
setting is chosen on one half of the photographs and labelled pictures and scored on the other, both ways.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int
from pricing import students as price
from pricing.students import Setting, Study

from humalign.artefacts import fingerprint, replacing, versions
from humalign.chain import keys, registered, sets
from humalign.chain.further import NEAR
from humalign.chain.pipeline import progress_bar, stream
from humalign.chain.scoring.labels import classes
from humalign.chain.scoring.rows import weights
from humalign.chain.scoring.similarity import SPLIT
from humalign.data import registry
from humalign.evaluation import between_models, few_shot, people, scores
from humalign.evaluation.scores import Estimate, Score, above, few, mean_of_folds, resamples
from humalign.show.figures_price import CENTRED_TOO, CHOSEN, SIDE, WEIGHTS

Measures = dict[str, Estimate]
Named = Iterator[tuple[str, Estimate]]
RSA, CENTRED, FEW, CORRUPTED = "rsa-spearman", "rsa-spearman-centred", "few-shot", "corrupted"
CKA, AS_IT_IS = "cka", "cka-as-it-is"
# What is measured on all pictures and on each of two halves of them.
PARTS = ("", "half0/", "half1/")


# ---- one student -------------------------------------------------------------------------------------------


def measured(study: Study, setting: Setting | None, seed: int, kind: str) -> Measures:
    """Return what a student reaches by a kind of ``KINDS``, made now or kept; without a setting the base."""
    recipe, make_measures, beside = study.recipe, KINDS[kind], with_beside(setting)
    further = [*study.profile.data.labelled, *(["corrupted"] if beside else [])]
    shown = [NEAR, *(further if kind == "scores" else [])]
    made_of: list[Any] = [dataclasses.asdict(study.profile.evaluation), recipe.halves]
    if setting:
        trained = [recipe.student, *([recipe.beside] if kind == "alike" and beside else [])]
        each = [dataclasses.replace(setting.training, backbone=backbone) for backbone in trained]
        made_of += [setting.knob, setting.share, *(price.key_of(study, training, seed) for training in each)]
    made_of += [study.read_sum(recipe.student, which) for which in shown]
    read = (name for which in shown for name in registered.sources_of(study.profile, which))
    made_of += map(registry.identity, read)
    key = fingerprint(*made_of, keys.code(make_measures), versions())
    name = f"{setting.knob}-{setting.x:g}-seed{seed}" if setting else "base"
    file = f"{kind}/{name.replace(' ', '-')}.npz"

    def make() -> None:
        found = make_measures(study, setting, seed)
        arrays: dict[str, Any] = {f"n {metric}": np.array(each.n) for metric, each in found.items()}
        for metric, each in found.items():
            several = (each.draws, *each.alone)
            arrays[metric] = np.stack([np.concatenate([[each.value], draws]) for draws in several])
        with replacing(study.work.path(file)) as part, open(part, "wb") as out:
            np.savez(out, **arrays)

    study.work.kept(key, [file], make)
    with np.load(study.work.path(file)) as kept:
        names = [name for name in kept.files if not name.startswith("n ")]
        return {each: Estimate.of(kept[each][0], int(kept[f"n {each}"]), *kept[each][1:]) for each in names}


def with_beside(setting: Setting | None) -> bool:
    """Tell whether the other backbone has a student at the setting too, and corrupted pictures are shown."""
    return setting is None or setting.knob in (WEIGHTS, SIDE)


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
    recipe, own = study.recipe, price.of_setting(study, setting, study.recipe.student, seed, NEAR)
    others = {AS_IT_IS: price.of_base(study, recipe.beside, NEAR)}
    if with_beside(setting):
        others[CKA] = price.of_setting(study, setting, recipe.beside, seed, NEAR)
    drawn = weights(study.profile, len(own))
    return {metric: between_models.linear_cka(own, x, drawn) for metric, x in others.items()}


KINDS = {"scores": measure, "alike": alike}


def _agreement(study: Study, plain: price.Features, centred: price.Features) -> Named:
    """Yield the RSA with people on the 92 photographs and on their halves (units: photograph and person)."""
    profile, matrices = study.profile, registered.similarity_92().matrices
    draws, seed = profile.evaluation.bootstrap_draws, profile.seed
    half = stream(profile, 20, study.recipe.halves).permutation(len(plain)) % 2
    for part, rows in _parts(half):
        judged = matrices[:, rows][:, :, rows]
        for metric, x in {RSA: plain, CENTRED: centred}.items():
            similar = people.backbone_similarity(x[rows])
            # One seed: both halves were judged by the same people, who are drawn together.
            yield part + metric, people.across_people_and_images(similar, judged, draws, seed)


def _parts(half: Int[np.ndarray, " items"]) -> list[tuple[str, Int[np.ndarray, " some"]]]:
    """Return the name and the rows of the whole and of each half."""
    rows = (np.arange(len(half)), *(np.flatnonzero(half == number) for number in range(2)))
    return list(zip(PARTS, rows, strict=True))


def _few_shot(study: Study, number: int, x: price.Features) -> Named:
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
    known, others = classes(sets.names(study.run, "cifar10")), registered.corrupted(profile).labels["class"]
    support = few_shot.supports(known, max(told.shots), told.few_shot_draws, stream(profile, 14))
    right = few_shot.correct(few_shot.teach(clean, known, support), x, others.to_numpy(dtype=str))
    drawn, of_draws = weights(profile, len(others), 1), weights(profile, len(support), 2)
    return few_shot.image_mean(right, np.ones(right.shape, dtype=bool), drawn, of_draws)


# ---- over seeds --------------------------------------------------------------------------------------------


def over_seeds(found: Sequence[Estimate], seed: int) -> Estimate:
    """Return the mean over training seeds; its interval is over seeds and over what each estimate has drawn.

    To the mean of the estimates, which share their draws of pictures, a bootstrap of the seeds is added,
    brought to the unbiased variance and widened by Student's t.
    """
    number, mean = len(found), mean_of_folds(found)
    values = np.array([each.value for each in found])
    drawn = resamples(number, len(mean.draws), seed)[1:] @ (values - mean.value) / number
    apart = drawn * np.sqrt(number / (number - 1)) * few(float(number - 1))
    alone = (*mean.alone, mean.value + apart) if mean.alone else ()
    return Estimate(mean.value, mean.draws + apart, found[0].n, alone)


Found = Mapping[Setting | None, Measures]


def everything(study: Study) -> dict[Setting | None, list[Measures]]:
    """Train and measure every student from every seed, knob by knob: the base first, the other backbone last."""
    seeds, settings = study.recipe.seeds, [None, *study.settings()]
    found: dict[Setting | None, list[Measures]] = {each: [{} for _ in seeds] for each in settings}
    with progress_bar(len(KINDS) * len(seeds) * len(settings), "students measured") as bar:
        for kind in KINDS:
            for setting, several in found.items():
                for measures, seed in zip(several, seeds, strict=True):
                    measures |= measured(study, setting, seed, kind)
                    bar.update()
    return found


def over_all_seeds(study: Study, alone: Mapping[Setting | None, Sequence[Measures]]) -> Found:
    """Return the mean of every measure over seeds, and of few-shot accuracy over sets and shots too."""
    found, seed = dict[Setting | None, Measures](), study.profile.seed + 500
    for setting, several in alone.items():
        means = {metric: over_seeds([each[metric] for each in several], seed) for metric in several[0]}
        for part in PARTS:
            cells = [estimate for metric, estimate in means.items() if metric.startswith(f"{part}{FEW} ")]
            # Every shot tests the pictures that it does not learn from, of the same sets.
            pictures = sum(each.n for each in cells) // len(study.profile.evaluation.shots)
            means[part + FEW] = dataclasses.replace(mean_of_folds(cells), n=pictures)
        found[setting] = means
    return found


# ---- what is chosen, and the table -------------------------------------------------------------------------

class Chosen(NamedTuple):
    """A setting, none for the base, and whether its features are centred, which says the RSA that counts."""

    setting: Setting | None
    centred: bool

    @property
    def metric(self) -> str:
        return CENTRED if self.centred else RSA


def choose(found: Found, part: str) -> Chosen:
    """Return the setting of greatest RSA among those whose few-shot accuracy is not below the base's."""
    least = found[None][part + FEW].value
    settings = [setting for setting, measures in found.items() if measures[part + FEW].value >= least]
    fit = [Chosen(setting, centred) for setting in settings for centred in (False, True)]
    return max(fit, key=lambda each: found[each.setting][part + each.metric].value)


def table(study: Study, found: Found) -> pd.DataFrame:
    """Return every number in the language of scores: the curves, then what each half has chosen."""
    gathered: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for stage, score in (*_curves(study, found), *_confirmed(study, found)):
        gathered[study.recipe.student, stage].append(score)
    return scores.table(gathered, study.work.profile.name, study.profile.seed)


def _split(where: str, setting: Setting | None, centred: bool = False) -> str:
    return f"{where}/{setting.knob}{f', {CENTRED_TOO}' * centred}/{setting.x:g}" if setting else where


def _score(stage: str, split: str, metric: str, estimate: Estimate) -> tuple[str, Score]:
    return stage, estimate.score("price", split, metric, "human" if metric.startswith(RSA) else "labels")


def _curves(study: Study, found: Found) -> Iterator[tuple[str, Score]]:
    """Yield every setting's measures, and what they are above the base's."""
    labelled, base = study.profile.data.labelled, found[None]
    names = dict.fromkeys((RSA, CKA, AS_IT_IS), SPLIT)
    names |= {FEW: " and ".join(labelled), CORRUPTED: "corrupted cifar10"}
    for which in labelled:
        names |= {f"{FEW} {which} {k}": f"{which} by {k} a class" for k in study.profile.evaluation.shots}
    for setting, measures in found.items():
        stage = "aligned" if setting else "base"
        for measure, where in names.items():
            if measure not in measures:
                continue
            metric, split = measure if where == SPLIT else "accuracy", _split(where, setting)
            yield _score(stage, split, metric, measures[measure])
            if setting:
                yield _score(stage, split, above(metric, "base"), measures[measure] - base[measure])
        split = _split(SPLIT, setting, centred=True)
        yield _score(stage if setting else "base-centred", split, RSA, measures[CENTRED])
        for measure, at in ((RSA, _split(SPLIT, setting)), (CENTRED, split)) if setting else ():
            yield _score(stage, at, above(RSA, "base-centred"), measures[measure] - base[CENTRED])


def _confirmed(study: Study, found: Found) -> Iterator[tuple[str, Score]]:
    """Yield what each half chooses as the other half has it; then means of both, beside base and share 1."""
    own = next(each for each in found if each and each.knob == WEIGHTS and each.share == 1)
    kept = {"base": Chosen(None, False), "base-centred": Chosen(None, True), "aligned": Chosen(own, False)}
    few_shot_of = " and ".join(study.profile.data.labelled)
    both: dict[tuple[str, str, str], list[Estimate]] = defaultdict(list)
    for part, other, named in (("half0/", "half1/", "second half"), ("half1/", "half0/", "first half")):
        chosen = choose(found, part)
        agreed, right = found[chosen.setting][other + chosen.metric], found[chosen.setting][other + FEW]
        measures = {
            (SPLIT, RSA): agreed,
            (SPLIT, above(RSA, "base-centred")): agreed - found[None][other + CENTRED],
            (SPLIT, above(RSA, "base")): agreed - found[None][other + RSA],
            (few_shot_of, "accuracy"): right,
            (few_shot_of, above("accuracy", "base")): right - found[None][other + FEW],
        }
        for (where, metric), estimate in measures.items():
            both[CHOSEN, where, metric].append(estimate)
            split = _split(f"{where}, {named}", chosen.setting, chosen.centred)
            base = f"/the base{f', {CENTRED_TOO}' * chosen.centred}"
            yield _score("aligned", split + base * (not chosen.setting), metric, estimate)
        for stage, each in kept.items():
            both[stage, SPLIT, RSA].append(found[each.setting][other + each.metric])
            both[stage, few_shot_of, "accuracy"].append(found[each.setting][other + FEW])
        less = found[own][other + FEW] - found[None][other + FEW]
        both["aligned", few_shot_of, above("accuracy", "base")].append(less)
    for (stage, where, metric), estimates in both.items():
        split = f"{where}, both halves" + f"/{CHOSEN}" * (stage == CHOSEN)
        yield _score("aligned" if stage == CHOSEN else stage, split, metric, mean_of_folds(estimates))
