"""The confirmation: one recipe, fixed before its numbers, run once on the kept features of a run.

    humalign run scores --profile things                       comes first
    python benchmarks/confirmation.py                          a rehearsal: every thing under another's name
    python benchmarks/confirmation.py --record book/recorded   a few minutes on one core, and once

`confirmation.yaml` beside this file says what is compared, on which units, and what counts as confirmed. It
must be as it was committed; that commit and its time are recorded beside the numbers.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import threadpoolctl
import torch
import yaml
from compare import here, keep
from jaxtyping import Float
from scipy.stats import binomtest
from sklearn.model_selection import GridSearchCV

from humalign import chain
from humalign.artefacts import sha256
from humalign.chain import features, judged, registered
from humalign.chain.further import of_objects
from humalign.chain.judged import things
from humalign.chain.pipeline import Run
from humalign.data.judgments import agreement, cosine_similarities
from humalign.errors import HumalignError
from humalign.evaluation import baselines, people, rsa
from humalign.evaluation.scores import Estimate, mean_of_folds, resamples
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.splits import ObjectFolds

RECIPE, THREADS = Path(__file__).with_suffix(".yaml"), 1
OF_92, THINGS = "kriegeskorte-92", "things-photographs"
Space = Float[np.ndarray, "things dim"]
Found = dict[str, Estimate]


@dataclasses.dataclass(frozen=True)
class Study:
    """The recipe, and the run that it is about; in a rehearsal every thing has another's features."""

    recipe: dict[str, Any]
    run: Run
    rehearsal: bool

    @property
    def stages(self) -> list[str]:
        """Return the baselines and, last, what is aligned."""
        return [*self.recipe["baselines"], self.recipe["aligned"]]

    @property
    def draws(self) -> int:
        """Return the number of bootstrap draws."""
        return 20 if self.rehearsal else int(self.recipe["draws"])

    def shown(self, x: Space) -> Space:
        """Return features as they are, or in another order in a rehearsal."""
        return x[np.random.default_rng(0).permutation(len(x))] if self.rehearsal else x

    def features(self, model: str, which: str, part: str) -> dict[str, Space]:
        """Return a student's features of a set at every stage."""
        return {
            stage: self.shown(features.read(self.run, model, stage, which, part)) for stage in self.stages
        }

    def weights(self, units: int, number: int) -> Float[np.ndarray, "draws_and_one units"]:
        """Return bootstrap weights; another number draws other units."""
        return resamples(units, self.draws, self.recipe["seed"] + number)

    def halves(self, units: int) -> list[np.ndarray]:
        """Return the places of two random halves."""
        half = np.random.default_rng(self.recipe["seed"]).permutation(units) % 2
        return [np.flatnonzero(half == number) for number in range(2)]

    def best(self, found: Mapping[str, float]) -> str:
        """Name the baseline of the greatest value."""
        return max(self.recipe["baselines"], key=lambda stage: found[stage])

    def row(
        self, measure: str, model: str, units: str, over: str, pair: tuple[Estimate, Estimate],
        above: int, below: int,
    ) -> dict[str, Any]:
        """Return a row of the table: aligned, baseline, gain, and where units are counted their sign test."""
        aligned, before = pair
        gain, counted = aligned - before, above + below
        low, high = gain.interval()
        p = float(binomtest(above, counted).pvalue) if counted else np.nan
        tested = self.recipe["measures"][measure].get("test") == "sign over people"
        sure = low > 0 and not (tested and p >= self.recipe["level"])
        return {
            "measure": measure, "model": model, "units": units, "over": over,
            "aligned": aligned.value, "baseline": before.value, "gain": gain.value, "low": low, "high": high,
            "above": above, "below": below, "sign test": p, "n": aligned.n, "confirmed": sure,
        }  # fmt: skip


# ---- each of the people ------------------------------------------------------------------------------------


def persons(study: Study) -> Iterator[dict[str, Any]]:
    """Score each person alone: over the base, the baseline best for the others, and each one's own best."""
    matrices = registered.similarity_92().matrices
    images, drawn = study.weights(matrices.shape[1], 0), study.weights(len(matrices), 1)
    last = study.recipe["aligned"]
    for model in study.recipe["students"]:
        space = study.features(model, OF_92, "all")
        each = rsa.each_person({s: rsa.dissimilarities(x) for s, x in space.items()}, matrices, images)
        values = pd.DataFrame({stage: found[0] for stage, found in each.items()})
        chosen = {
            "base": ["base"] * len(matrices),
            "best for the others": [study.best(values.drop(index=p).mean()) for p in range(len(matrices))],
            "own best": [study.best(values.loc[p]) for p in range(len(matrices))],
        }
        for over, stages in chosen.items():
            before = np.stack([each[stage][:, p] for p, stage in enumerate(stages)], axis=1)
            gains = each[last][0] - before[0]
            counts = int((gains > 0).sum()), int((gains < 0).sum())
            pair = _over_people(each[last], drawn), _over_people(before, drawn)
            yield study.row("persons", model, f"{len(matrices)} people", over, pair, *counts)


def _over_people(
    each: Float[np.ndarray, "draws_and_one people"], drawn: Float[np.ndarray, "draws_and_one people"]
) -> Estimate:
    """Return the mean over people (units: person and photograph; see ``Estimate``)."""
    share = drawn / drawn.sum(1, keepdims=True)
    return Estimate.of((share * each).sum(1), each.shape[1], each.mean(1), share @ each[0])


# ---- halves ------------------------------------------------------------------------------------------------


def _halves(
    study: Study, measure: str, model: str, found: list[Found], counts: list[tuple[int, int]] | None = None
) -> Any:
    """Yield a row for each half, its baseline chosen on the other, and one for their mean."""
    over = [study.best({stage: each.value for stage, each in found[1 - half].items()}) for half in range(2)]
    pairs = [(found[half][study.recipe["aligned"]], found[half][over[half]]) for half in range(2)]
    counted = counts or [(0, 0), (0, 0)]
    for half in range(2):
        yield study.row(measure, model, f"half {half + 1}", over[half], pairs[half], *counted[half])
    means = mean_of_folds([one for one, _ in pairs]), mean_of_folds([other for _, other in pairs])
    named = over[0] if over[0] == over[1] else " and ".join(over)
    yield study.row(measure, model, "both halves", named, means, *np.sum(counted, axis=0).tolist())


def photographs(study: Study) -> Iterator[dict[str, Any]]:
    """Score students on each half of the 92 photographs, by the people's mean (units: person, photograph)."""
    matrices = registered.similarity_92().matrices
    for model in study.recipe["students"]:
        space = study.features(model, OF_92, "all")
        found = [
            {
                stage: people.across_people_and_images(
                    people.backbone_similarity(x[half]), matrices[:, half[:, None], half],
                    study.draws, study.recipe["seed"],
                )
                for stage, x in space.items()
            }
            for half in study.halves(matrices.shape[1])
        ]  # fmt: skip
        yield from _halves(study, "photographs", model, found)


def answers(study: Study) -> Iterator[dict[str, Any]]:
    """Score students on answers about photographs that their teacher was not fitted to (unit: photograph)."""
    known, (_, shown) = things(study.run.profile.evidence), registered.photographs()
    given, half = known.answers[shown], judged.halves(study.run.profile, len(shown))
    for model in study.recipe["students"]:
        found: list[Found] = []
        right: list[dict[str, np.ndarray]] = []
        for number in range(2):
            inside = np.flatnonzero(half == number)
            rows, drawn = given[inside], study.weights(len(inside), number)
            space = study.features(model, THINGS, f"half{number}")
            cosines = {stage: cosine_similarities(x[inside], rows.triplets) for stage, x in space.items()}
            found.append({stage: people.accuracy(each, rows, drawn) for stage, each in cosines.items()})
            right.append({stage: agreement(each, rows.shares) for stage, each in cosines.items()})
        over = [
            study.best({stage: each.value for stage, each in found[1 - number].items()})
            for number in range(2)
        ]
        gains = [each[study.recipe["aligned"]] - each[stage] for each, stage in zip(right, over, strict=True)]
        counts = [(int((gain > 0).sum()), int((gain < 0).sum())) for gain in gains]
        yield from _halves(study, "answers", model, found, counts)


def objects(study: Study) -> Iterator[dict[str, Any]]:
    """Score a teacher of other objects on each half of the 48 whose triplets were all asked (unit: object)."""
    known, teacher = things(study.run.profile.evidence), of_objects(study.run.profile)
    if teacher is None:
        raise HumalignError(f"profile {study.run.profile.name} has no teacher of the THINGS objects")
    told, rows = judged.forty_eight(known)
    x, others = known.features, np.setdiff1d(np.arange(len(known.names)), rows)
    grid = {"residual": list(teacher.residuals), "ridge": list(teacher.ridges)}
    search = GridSearchCV(MixedEffectsTeacher(), grid, cv=ObjectFolds(3, study.recipe["seed"]))
    fitted = search.fit(x[others], known.answers[others]).best_estimator_
    rng = np.random.default_rng(study.recipe["seed"])
    beside = baselines.of_pictures(x, x[others], baselines.rank_of(fitted), rng)
    space = {"base": x[rows], **{f"base-{kind}": each[rows] for kind, each in beside.items()}}
    space[study.recipe["aligned"]] = np.asarray(fitted.transform(x[rows]))
    space = {stage: study.shown(each) for stage, each in space.items()}
    found = [
        {
            stage: rsa.matrices(
                rsa.dissimilarities(each[half]), told[np.ix_(half, half)], study.weights(len(half), number)
            )["spearman"]
            for stage, each in space.items()
        }
        for number, half in enumerate(study.halves(len(rows)))
    ]
    yield from _halves(study, "objects", study.recipe["measures"]["objects"]["model"], found)


MEASURES = {"persons": persons, "photographs": photographs, "answers": answers, "objects": objects}


# ---- once --------------------------------------------------------------------------------------------------


def fixed(recipe: Path) -> dict[str, str]:
    """Return when a recipe was committed, and its checksum.

    Raises:
        HumalignError: it is not committed, or differs from what was.
    """

    def git(*arguments: str) -> str:
        asked = ["git", "-C", str(recipe.parent), *arguments, "--", recipe.name]
        try:
            return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            raise HumalignError(f"{recipe} is in no checkout of git: when was it fixed?") from None

    found = git("log", "-1", "--format=%H %cI")
    if not found or git("status", "--porcelain"):
        raise HumalignError(f"{recipe} is not as it was committed: commit it before its numbers are computed")
    name, when = found.split()
    return {"commit": name, "committed": when, "sha256": sha256(recipe)}


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--build", type=Path, default=Path("build"), help="where the profile's run is")
    told.add_argument("--record", type=Path, help="a folder for confirmation.csv and confirmation.json")
    asked = told.parse_args()
    torch.set_num_threads(THREADS)
    try:
        rows, note = confirm(asked.build, asked.record)
    except HumalignError as error:
        said = f"confirmation: not run: {error}"
        return sys.exit(said) if asked.record else print(said)
    if asked.record:
        keep(asked.record, "confirmation", rows, note)
    return print(rows.to_string(index=False))


def confirm(build: Path, record: Path | None) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the table and where it comes from; without a place to record it, a rehearsal.

    Raises:
        HumalignError: a recipe that differs from its commit; a confirmation that was recorded before; no run.
    """
    when, recipe = fixed(RECIPE), yaml.safe_load(RECIPE.read_text())
    if record and (record / "confirmation.csv").exists():
        raise HumalignError(f"{record} holds a confirmation already: there is no second try")
    folder = build / recipe["profile"]
    if not (folder / "stamps" / "features.json").is_file():
        first = f"`humalign run scores --profile {folder.name}` comes first"
        raise HumalignError(f"{folder} holds no features: {first}")
    study = Study(recipe, Run(chain.open(recipe["profile"], build).profile, build), not record)
    with threadpoolctl.threadpool_limits(THREADS):
        rows = pd.DataFrame([row for measure in recipe["measures"] for row in MEASURES[measure](study)])
    return rows.round(6), {"fixed": when, "recipe": recipe} | here(THREADS)


if __name__ == "__main__":
    main()
