"""A teacher nearer to people: other targets, weights and maps, settings chosen inside the training objects.

    humalign run teachers --profile things                        comes first
    python benchmarks/teacher_search.py                          ten minutes on one core; prints the table
    python benchmarks/teacher_search.py --record book/recorded   and keeps it with machine and settings

`teacher_search.yaml` beside this file holds all settings. Accuracy is by dot products, a teacher's own
similarity, on answers wholly about the test objects of each fold, as in the profile; `chosen` is in each fold the affine
candidate that is best inside its training objects.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import threadpoolctl
import torch
import yaml
from compare import here, keep
from maps import MAPS, Known, Setting

from humalign import chain
from humalign.chain import features, judged, registered, teach
from humalign.chain.further import of_objects
from humalign.chain.judged import Things, things
from humalign.chain.observe import observer
from humalign.chain.pipeline import Run
from humalign.chain.scoring.objects import LEAST
from humalign.chain.scoring.rows import of_fold, weights
from humalign.data import object_order, readers, registry
from humalign.data.judgments import ByObject, agreement, cosine_similarities
from humalign.errors import HumalignError, nearest
from humalign.evaluation import left_out, people
from humalign.evaluation.scores import Estimate, mean_of_folds
from humalign.teach.splits import ObjectFolds
from humalign.teach.teacher import regressed

RECIPE = Path(__file__).with_suffix(".yaml")
THREADS = 1  # so that sums are taken in the same order everywhere
# What is no setting of a map.
ABOUT = ("map", "published", "affine", "targets")
PRESENT, CHOSEN, STRICT, SEEN = "present", "chosen", "chosen, strict", "VICE, seen"


# ---- one fold ----------------------------------------------------------------------------------------------


def known_of(run: Run, part: judged.Part, all_of: Things, spose: np.ndarray) -> Known:
    """Return what is known of the training objects of a fold."""
    teacher = of_objects(run.profile)
    assert teacher is not None
    own, train = observer(run, part.name), part.train
    targets = {"vice": all_of.published[train], "spose": spose[train], "own": own.mean.relu().numpy()}
    variance = own.std.square().mean(1).numpy()
    return Known(
        all_of.features[train],
        all_of.answers[train],
        targets,
        variance,
        teach.notes(run, teacher, part.name)["teacher"],
    )


def places(fitted: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(fitted.transform(x) if hasattr(fitted, "transform") else fitted(x))


def accuracy(found: np.ndarray, answers: ByObject) -> float:
    similar = people.pair_values(people.dot_similarity(found), answers.triplets)
    return float(agreement(similar, answers.shares).mean())


def inner_score(recipe: dict[str, Any], known: Known, candidate: Setting, setting: Setting) -> float:
    """Return the accuracy on training objects that are hidden from a fit, mean over folds and seeds."""
    found = []
    for seed in recipe["inner"]["seeds"]:
        for train, test in ObjectFolds(recipe["inner"]["folds"], seed).split(known.x):
            rng = np.random.default_rng([recipe["seed"], seed])
            fitted = MAPS[candidate["map"]](known.of(train), setting, rng)
            found.append(accuracy(places(fitted, known.x[test]), known.answers[test]))
    return float(np.mean(found))


def search(recipe: dict[str, Any], known: Known, candidate: Setting) -> tuple[Setting, float]:
    """Choose from each list of settings in turn, the others kept, and return the best with its score."""
    lists = {name: values for name, values in candidate.items() if name not in ABOUT}
    best = {"targets": candidate["targets"]} | {name: values[0] for name, values in lists.items()}
    tried: dict[str, float] = {}

    def score(setting: Setting) -> float:
        name = json.dumps(setting, sort_keys=True)
        if name not in tried:
            tried[name] = inner_score(recipe, known, candidate, setting)
        return tried[name]

    for name, values in lists.items():
        best = max((best | {name: value} for value in values), key=score)
    return best, score(best)


def estimates(
    x: np.ndarray, answers: ByObject, drawn: np.ndarray, categories: pd.DataFrame
) -> dict[str, Estimate]:
    """Return accuracy by dot products, by cosines, and by dot products of triplets with each category."""
    dots = people.pair_values(people.dot_similarity(x), answers.triplets)
    found = {"accuracy-dot": people.accuracy(dots, answers, drawn)}
    found["accuracy"] = people.accuracy(cosine_similarities(x, answers.triplets), answers, drawn)
    of_categories = people.by_category(dots, answers, categories, drawn)
    return found | {f"accuracy-dot, {name}": each for name, each in of_categories if each.n >= LEAST}


def one_fold(
    recipe: dict[str, Any], run: Run, number: int, part: judged.Part, all_of: Things, spose: np.ndarray
) -> tuple[dict[str, dict[str, Estimate]], dict[str, Any]]:
    """Return the estimates of every candidate on a fold's test objects, and what was chosen."""
    known, test = known_of(run, part, all_of, spose), part.test
    x, answers, drawn = all_of.features[test], all_of.answers[test], of_fold(run.profile, len(test), number)
    teacher, chosen = of_objects(run.profile), dict[str, Any]()
    assert teacher is not None
    found = {PRESENT: features.fitted(run, teacher, part.name).transform(x), SEEN: all_of.published[test]}
    for name, candidate in recipe["candidates"].items():
        started = time.perf_counter()
        setting, score = search(recipe, known, candidate)
        fitted = MAPS[candidate["map"]](known, setting, np.random.default_rng(recipe["seed"]))
        found[name] = places(fitted, x)
        told = {key: value for key, value in setting.items() if key != "targets"}
        chosen[name] = {"setting": told, "inner": round(score, 6)}
        print(f"  {name}: inside {score:.4f}, {told}, {time.perf_counter() - started:.0f} s", flush=True)
    for name, strict in ((CHOSEN, False), (STRICT, True)):
        able = [
            each
            for each, told in recipe["candidates"].items()
            if told.get("affine", True) and not (strict and told.get("published"))
        ]
        best = max(able, key=lambda each: chosen[each]["inner"])
        found[name], chosen[name] = found[best], {"candidate": best}
        print(f"  {name}: {best}", flush=True)
    categories = all_of.categories.iloc[test]
    return {name: estimates(each, answers, drawn, categories) for name, each in found.items()}, chosen


# ---- backbones side by side --------------------------------------------------------------------------------


def photographs(recipe: dict[str, Any], run: Run) -> dict[str, dict[str, Estimate]]:
    """Score ridges on VICE, of one backbone or two side by side, on photographs left out (unit: image)."""
    all_of, (_, shown) = things(run.profile.evidence), registered.photographs()
    published, answers, found = all_of.published[shown], all_of.answers[shown], {}
    for model in recipe["photographs"]:
        far = features.read(run, model, "teacher-base", "things-photographs")

        def fit(kept: np.ndarray, far: np.ndarray = far) -> Any:
            return regressed(far[kept], published[kept])

        drawn = weights(run.profile, len(far))
        right = left_out.leave_three_out(far, answers, fit, recipe["groups"], drawn, run.profile.seed)
        found[model] = {"accuracy-dot": right["teacher-dot"], "accuracy": right["teacher"]}
    return found


# ---- the table ---------------------------------------------------------------------------------------------


def table(
    recipe: dict[str, Any], found: dict[str, dict[str, Estimate]], reference: str, group: str
) -> pd.DataFrame:
    """Return a row for each map and measure, with the paired difference from a reference."""
    rows = []
    for name, several in found.items():
        told = recipe["candidates"].get(name, {})
        for metric, each in several.items():
            low, high = each.interval()
            gain = each - found[reference][metric]
            less, more = gain.interval() if name != reference else (0.0, 0.0)
            rows.append({
                "group": group, "map": name, "metric": metric, "affine": told.get("affine", name != SEEN),
                "published": told.get("published", name in (CHOSEN, SEEN)),
                "value": each.value, "low": low, "high": high,
                "gain": gain.value, "gain low": less, "gain high": more, "n": each.n, "reference": reference,
            })  # fmt: skip
    return pd.DataFrame(rows).round(6)


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--build", type=Path, default=Path("build"), help="where the profile's run is")
    told.add_argument("--recipe", type=Path, default=RECIPE)
    told.add_argument("--only", nargs="+", help="candidates, by name; for a look, which is not recorded")
    told.add_argument("--record", type=Path, help="a folder for teacher_search.csv and teacher_search.json")
    asked = told.parse_args()
    if asked.only and asked.record:
        told.error("--record is of all candidates: leave --only out")
    try:
        recipe = yaml.safe_load(asked.recipe.read_text())
        run = Run(chain.open(recipe["profile"], asked.build).profile, asked.build)
        all_of = things(run.profile.evidence)
        spose = readers.embedding(registry.locate("things-spose"), all_of.names, object_order.UNIQUE)
        teacher = of_objects(run.profile)
        assert teacher is not None
        parts = judged.parts(run, teacher)
        [known_of(run, part, all_of, spose) for part in parts]  # all files are there
        for name in asked.only or ():
            if name not in recipe["candidates"]:
                raise HumalignError(f"unknown candidate {name!r}: {nearest(name, recipe['candidates'])}")
    except (HumalignError, OSError, yaml.YAMLError) as error:
        said = f"teacher_search: not run: {error}; `humalign run teachers --profile things` comes first"
        return sys.exit(said) if asked.record else print(said)
    if asked.only:
        recipe["candidates"] = {name: recipe["candidates"][name] for name in asked.only}
    torch.set_num_threads(THREADS)
    folds, chosen = defaultdict[str, list[dict[str, Estimate]]](list), {}
    with threadpoolctl.threadpool_limits(THREADS):
        for number, part in enumerate(parts):
            print(f"{part.name}: {len(part.train):,} training objects", flush=True)
            found, chosen[part.name] = one_fold(recipe, run, number, part, all_of, spose)
            for name, several in found.items():
                folds[name].append(several)
        means = {
            name: {
                m: mean_of_folds([each[m] for each in several])
                for m in several[0]
                if all(m in each for each in several)
            }
            for name, several in folds.items()
        }
        side = photographs(recipe, run) if not asked.only else {}
    rows = table(recipe, means, PRESENT, "objects")
    if side:
        rows = pd.concat(
            [rows, table(recipe, side, recipe["photographs"][0], "photographs")], ignore_index=True
        )
    shown = rows[rows["metric"].isin(["accuracy-dot"])]
    print(shown.drop(columns=["reference", "metric"]).to_string(index=False))
    if asked.record:
        keep(asked.record, "teacher_search", rows, {"recipe": recipe, "chosen": chosen} | here(THREADS))


if __name__ == "__main__":
    main()
