"""Changes of distances are tested by stage and fold; people's labels have baselines without judgments beside them."""

import dataclasses

import numpy as np
import pytest

from humalign import profiles
from humalign.chain import pipeline
from humalign.chain.scoring import labels, taxonomies
from humalign.chain.scoring.rows import Row, over_folds
from humalign.evaluation import baselines, hierarchy
from humalign.evaluation.rsa import dissimilarities

CLASSES, EACH = ("cat", "dog", "ship"), 8
KNOWN = np.repeat(CLASSES, EACH)
DRAWS = 40


@pytest.fixture
def run(tmp_path):
    profile = profiles.changed(profiles.load("rehearsal"), evaluation={"bootstrap_draws": DRAWS, "shots": [2]})
    return pipeline.Run(profile, tmp_path)


def shown(rng):
    """A base, a control that is the base but for noise, and a stage in which classes have come together."""
    base = rng.standard_normal((len(KNOWN), 20))
    near = base + 3 * np.eye(3, 20)[np.repeat(np.arange(3), EACH)]
    noise = base + 0.1 * rng.standard_normal(base.shape)
    return {("m", "base"): base, ("m", "base-centred"): base, ("m", "unaligned"): noise, ("m", "aligned"): near,
            ("t", "teacher-base"): base, ("t", "teacher"): near, ("alone", "aligned"): near}  # fmt: skip


def test_each_stage_is_tested_against_the_one_before_and_only_where_there_is_one(run):
    features, related = shown(np.random.default_rng(0)), hierarchy.by_classes(KNOWN)
    rows = list(taxonomies.with_p(taxonomies._rows(run, features, "here", np.ones((3, len(KNOWN))), related)))
    found = {(row.model, row.stage, row.split): row.estimate for row in rows if row.metric == "permutation-p"}
    stages = {("m", "unaligned"), ("m", "aligned"), ("t", "teacher")}
    assert set(found) == {(*model, f"here/{relation}") for model in stages for relation in related}
    for (model, stage, split), p in found.items():
        assert p.n == (84 if split == "here/same-class" else 192) and p.low < p.value <= p.high
        # A change that only noise made is no change by class.
        assert (p.value == 1 / (1 + DRAWS)) == (stage != "unaligned"), (model, stage)
        assert p.value > 0.1 or stage != "unaligned"
    # The mean change stands in a row of its own, with as many pairs.
    named = "aligned", "standardised-distance-above-base"
    mean = next(row.estimate for row in rows if (row.stage, row.metric) == named)
    change = hierarchy.changes(*(dissimilarities(features["m", stage]) for stage in ("base", "aligned")), related)
    assert mean.value == pytest.approx(change[np.triu(related["same-class"], 1)].mean(), abs=1e-5) and mean.n == 84


def test_folds_are_put_together_before_p_is_taken(run):
    related, folds = hierarchy.by_classes(KNOWN), []
    for fold in range(2):
        features = shown(np.random.default_rng(fold))
        folds.append(list(taxonomies.tested(run.profile, features, related, "here/", fold)))
    once, twice = ([row.estimate.draws for row in rows if row.stage == "unaligned"] for rows in folds)
    assert not np.array_equal(once[0], twice[0])
    together = {(row.stage, row.split): row.estimate for row in taxonomies.with_p(over_folds(folds))}
    key = "unaligned", "here/same-class"
    unaligned = [next(row.estimate for row in rows if (row.stage, row.split) == key) for rows in folds]
    value, draws = (np.mean([getattr(each, name) for each in unaligned], axis=0) for name in ("value", "draws"))
    p = together[key]
    assert p.value == (1 + (np.abs(draws) >= abs(value)).sum()) / (1 + DRAWS) and p.n == 168


def test_permutations_are_the_same_on_every_run(run):
    features, related = shown(np.random.default_rng(0)), hierarchy.by_classes(KNOWN)
    one, other = (list(taxonomies.tested(run.profile, features, related, "", 0)) for _ in range(2))
    for mine, same in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine.estimate.draws, same.estimate.draws)


def test_people_s_labels_have_the_baselines_beside_them_and_classes_have_not(run, monkeypatch):
    rng = np.random.default_rng(0)
    profile = profiles.changed(run.profile, data={"labelled": ["cifar10"]}, evaluation={"few_shot_validation": 0})
    base = rng.standard_normal((len(KNOWN), 6)) + np.eye(3, 6)[np.repeat(np.arange(3), EACH)]
    before = {stage for stage, (of, _) in baselines.STAGES.items() if of == "base"}
    shown = ("base", *sorted(before), "unaligned", "aligned")
    asked = {("m", stage): base + 0.1 * rng.standard_normal(base.shape) for stage in shown}

    def everyone(run, which, beside=True):
        return ((model, x) for model, x in asked.items() if beside or model[1] not in baselines.STAGES)

    monkeypatch.setattr(labels, "everyone", everyone)
    monkeypatch.setattr(labels.sets, "names", lambda *_: [f"{name}/{row}.png" for row, name in enumerate(KNOWN)])
    monkeypatch.setattr(labels.registered, "cifar10_shares", lambda files: rng.dirichlet(np.ones(3), len(files)))
    rows = list(labels.labels(dataclasses.replace(run, profile=profile)))
    stages = {task: {row.stage for row in rows if row.task == task} for task in ("soft-labels", "few-shot")}
    assert stages == {"soft-labels": set(shown), "few-shot": set(shown) - before}
    compared = {row.metric for row in rows if row.task == "soft-labels" and row.stage == "aligned"}
    assert {f"cross-entropy-above-{stage}" for stage in ("base", *before, "unaligned")} <= compared
    assert all(isinstance(row, Row) for row in rows)
