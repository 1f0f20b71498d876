"""The table of the price of agreement: every student's curve, and which student would be chosen.

A setting is chosen on one half of the photographs and of the labelled pictures, and scored on the other, both
ways.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator

import pandas as pd

from humalign.chain.price import WEIGHTS, Setting, Study
from humalign.chain.scoring.price import AS_IT_IS, CENTRED, CKA, CORRUPTED, FEW, RSA, Found
from humalign.chain.scoring.similarity import SPLIT
from humalign.evaluation import scores
from humalign.evaluation.scores import Estimate, Score, above, mean_of_folds

CHOSEN, CENTRED_TOO = "chosen on the other half", "less the base's mean"


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A setting, none for the base, and whether its features are centred."""

    setting: Setting | None
    centred: bool

    @property
    def metric(self) -> str:
        """The RSA that counts."""
        return CENTRED if self.centred else RSA


def choose(found: Found, part: str) -> Chosen:
    """Return the setting of greatest RSA among those whose few-shot accuracy is not below the base's."""
    least = found[None][part + FEW].value
    settings = [setting for setting, measures in found.items() if measures[part + FEW].value >= least]
    fit = [Chosen(setting, centred) for setting in settings for centred in (False, True)]
    return max(fit, key=lambda each: found[each.setting][part + each.metric].value)


# ---- the table ---------------------------------------------------------------------------------------------


def table(study: Study, found: Found) -> pd.DataFrame:
    """Return every number in the language of scores: the curves, then what each half has chosen."""
    gathered: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for stage, score in (*_curves(study, found), *_confirmed(study, found)):
        gathered[study.recipe.student, stage].append(score)
    return scores.table(gathered, study.work.profile.name, study.profile.seed)


def _split(where: str, setting: Setting | None, centred: bool = False) -> str:
    return f"{where}/{setting.knob}{f', {CENTRED_TOO}' * centred}/{setting.x:g}" if setting else where


def place_of(item: str) -> tuple[str, bool]:
    """Return the knob that an item of the table names, and whether features are less the base's mean."""
    knob, _, further = item.partition(", ")
    return knob, further == CENTRED_TOO


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
