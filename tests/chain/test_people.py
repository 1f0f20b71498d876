"""The teacher on real people: each estimate against brute force, and the whole chain in small on the real files."""

import itertools
import json
import os

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import pearsonr, spearmanr

from humalign import profiles
from humalign.chain import features, judged, origins, pipeline, registered
from humalign.chain import steps as stages
from humalign.chain.scoring import learning
from humalign.data import editions, registered_sets, registry
from humalign.data.combined import Held
from humalign.data.images import Subset
from humalign.data.judgments import ByObject, Choices, entropy, random_triplets
from humalign.data.registered_sets import pictures
from humalign.errors import HumalignError
from humalign.evaluation import left_out, people, scores
from humalign.evaluation.scores import Estimate, resamples
from humalign.teach import mixed_effects
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.splits import ObjectFolds
from humalign.teach.teacher import regressed

OBJECTS = 40


@pytest.fixture(scope="module")
def space():
    return np.random.default_rng(0).standard_normal((OBJECTS, 5))


@pytest.fixture(scope="module")
def answers(space):
    rng = np.random.default_rng(1)
    triplets = random_triplets(np.arange(OBJECTS), 3000, rng)
    chances = softmax(people.pair_values(space @ space.T, triplets), axis=1)
    return ByObject(triplets, rng.multinomial(4, chances) / 4, OBJECTS)


@pytest.fixture(scope="module")
def weights():
    return resamples(OBJECTS, 12, seed=3)


def test_pair_values_stand_in_the_order_ij_ik_jk(space, answers):
    similar = space @ space.T
    found = people.pair_values(similar, answers.triplets[:20])
    for (i, j, k), row in zip(answers.triplets[:20], found, strict=True):
        assert row.tolist() == [similar[i, j], similar[i, k], similar[j, k]]


def test_calibration_is_that_of_brute_force(space, answers, weights):
    probabilities = softmax(2 * people.pair_values(space @ space.T, answers.triplets), axis=1)
    error, steps = people.calibration(probabilities, answers, weights)
    wanted = 0.0
    sure = probabilities.max(1)
    right = answers.shares[np.arange(len(sure)), probabilities.argmax(1)]
    for low, high in itertools.pairwise(people.BINS):
        inside = (sure >= low) & ((sure < high) | (high == 1))
        if inside.any():
            wanted += abs(sure[inside].mean() - right[inside].mean()) * inside.mean()
    assert error.value == pytest.approx(wanted, rel=1e-4)
    for step, (confidence, accuracy) in steps.items():
        assert people.BINS[step] <= confidence.value <= people.BINS[step + 1] + 1e-6
        assert 0 <= accuracy.value <= 1
        # So many answers in a step are as uncertain as so many coins, at least.
        assert accuracy.draws.std() > 0.7 * np.sqrt(accuracy.value * (1 - accuracy.value) / accuracy.n) / 2
    assert error.draws.min() >= 0 and error.draws.mean() == pytest.approx(error.value, rel=0.1)
    # Twice too sure is worse calibrated than the truth.
    truth, _ = people.calibration(softmax(people.pair_values(space @ space.T, answers.triplets), axis=1), answers, weights)
    assert truth.value < error.value


def test_a_category_counts_the_triplets_that_hold_one_of_its_objects(space, answers, weights):
    import pandas as pd

    member = np.arange(OBJECTS) < 6
    similar = people.pair_values(space @ space.T, answers.triplets)
    ((name, found),) = people.by_category(similar, answers, pd.DataFrame({"six": member}), weights)
    held = [row for row, triplet in enumerate(answers.triplets) if any(member[o] for o in triplet)]
    chosen = answers.shares[np.arange(len(similar)), similar.argmax(1)]
    assert name == "six"
    assert (found.n, found.value) == (len(held), pytest.approx(chosen[held].mean(), rel=1e-5))


def test_shared_dimension_is_the_mean_similarity_of_the_highest_pairs(space, weights):
    similar, strength = space @ space.T, space[:, 0]
    top = np.argsort(-strength)[:8]
    pairs = similar[np.triu_indices(OBJECTS, 1)]
    wanted = np.mean([(similar[a, b] - pairs.mean()) / pairs.std() for a, b in itertools.combinations(top, 2)])
    assert people.shared_dimension(similar, strength, weights, top=8).value == pytest.approx(wanted, rel=1e-6)


def test_agreement_on_repeated_triplets_is_pearson(space):
    rng = np.random.default_rng(5)
    asked = random_triplets(np.arange(OBJECTS), 60, rng)
    chances = softmax(people.pair_values(space @ space.T, asked), axis=1)
    choices = Choices(asked, rng.multinomial(20, chances))
    weights = resamples(60, 3, seed=0)
    found = people.repeated(chances, choices, weights)
    assert found["share-pearson"].value == pytest.approx(pearsonr(chances.ravel(), choices.shares.ravel()).statistic)
    assert found["entropy-pearson"].value == pytest.approx(pearsonr(entropy(chances), entropy(choices.shares)).statistic)
    times = weights[1].astype(int)
    drawn = pearsonr(np.repeat(chances, times, axis=0).ravel(), np.repeat(choices.shares, times, axis=0).ravel()).statistic
    assert found["share-pearson"].draws[0] == pytest.approx(drawn)


def test_people_among_themselves_is_leave_one_out():
    rng = np.random.default_rng(2)
    truth = rng.random((12, 12))
    matrices = np.stack([(m + m.T) / 2 for m in truth + 0.5 * rng.standard_normal((5, 12, 12))])
    i, j = np.triu_indices(12, 1)
    lower = np.mean([spearmanr(matrices[p][i, j], np.delete(matrices, p, 0).mean(0)[i, j]).statistic for p in range(5)])
    upper = np.mean([spearmanr(matrices[p][i, j], matrices.mean(0)[i, j]).statistic for p in range(5)])
    found = people.ceilings(matrices, 20, 0)
    assert (found["rsa-lower"].value, found["rsa-upper"].value) == (pytest.approx(lower), pytest.approx(upper))
    joined = people.across_people_and_images(-matrices.mean(0), matrices, 20, 0)
    assert joined.value == pytest.approx(1.0)
    # Nobody is as steady as all: every draw is below, but for those of images alone, which the model still fits.
    assert (joined.draws < 1).all() and (joined.alone[1] < 1).all() and joined.alone[0] == pytest.approx(1.0)
    with pytest.raises(HumalignError, match="judgments of 2 people"):
        people.ceilings(matrices[:2], 20, 0)


def test_a_group_keeps_the_pair_together_that_it_finds_least_dissimilar():
    matrices = np.random.default_rng(0).random((3, 6, 6))
    found = people.group_choices(matrices)
    assert len(found) == 20
    mean = matrices.mean(0)
    for (i, j, k), counts in zip(found.triplets, found.counts, strict=True):
        assert counts.argmax() == np.argmin([mean[i, j], mean[i, k], mean[j, k]])


def test_teachers_of_left_out_images_never_see_them(space, answers):
    seen = []

    def fit(kept):
        seen.append(kept)
        return regressed(space[kept], space[kept])

    found = left_out.leave_three_out(space, answers, fit, 5, resamples(OBJECTS, 3, 0), seed=0)
    assert len(seen) > 30
    assert all(OBJECTS * 0.3 < kept.sum() < OBJECTS for kept in seen)
    # The space itself decides, so that the ridge regression onto it must predict better than chance, and than its own cosines.
    assert found["teacher-dot"].value > 0.45 and list(found) == ["teacher-base", "teacher-centred", "teacher", "teacher-dot"]

    def forgetful(features, told):
        assert told.objects == len(features) == 32
        return MixedEffectsTeacher(dim=6, iterations=10).fit(features, told)

    folds = left_out.image_folds(OBJECTS, 5, 2, 0)
    places = [forgetful(space[train], answers[train]).transform(space[test]) for train, test in folds]
    scored = left_out.unseen_images(space, places, answers, space @ space.T, folds, 3, 0)
    plain = {"accuracy", "rsa-spearman"}
    assert {stage: set(each) for stage, each in scored.items()} == {
        "teacher-base": plain, "teacher-centred": plain, "teacher": {*plain, "accuracy-dot", "rsa-own-spearman"}
    }  # fmt: skip
    assert scored["teacher"]["rsa-own-spearman"].value > scored["teacher-base"]["rsa-spearman"].value


def test_features_to_which_no_answer_was_fitted_are_scored_on_the_same_images(space, answers):
    folds, weights = left_out.image_folds(OBJECTS, 5, 1, 0), resamples(OBJECTS, 3, 0)
    beside = {"teacher-whitened": 3 * space}
    places = [regressed(space[train], space[train]).transform(space[test]) for train, test in folds]
    found = left_out.unseen_images(space, places, answers, space @ space.T, folds, 3, 0, beside)
    # Neither a cosine nor a correlation feels the length of features.
    for metric in ("accuracy", "rsa-spearman"):
        assert found["teacher-whitened"][metric].value == pytest.approx(found["teacher-base"][metric].value)
    fits = (regressed(space[kept], space[kept]).transform(space) for _, kept in left_out.three_left_out(answers, 5, 0))
    three = left_out.placed_three_out(space, fits, answers, 5, weights, 0, beside)
    assert three["teacher-whitened"].value == pytest.approx(three["teacher-base"].value)
    assert np.abs(three["teacher-whitened"].draws - three["teacher-base"].draws).max() < 1e-9


def test_images_needed_are_read_off_the_line_between_two_points():
    curve = [(0, 0.4), (100, 0.6), (200, 0.8)]
    assert learning.images_needed(curve, 0.7) == pytest.approx(150)
    assert learning.images_needed(curve, 0.3) == 0
    assert np.isnan(learning.images_needed(curve, 0.9))


def test_the_share_of_images_is_read_where_both_curves_have_been():
    slow = [(0, 0.4), (100, 0.5), (300, 0.6)]
    assert learning.share_of_images([(0, 0.4), (100, 0.6)], slow) == pytest.approx(1 / 3)
    assert learning.share_of_images([(0, 0.4), (100, 0.8)], slow) == pytest.approx(50 / 300)
    assert learning.share_of_images([(0, 0.4), (100, 0.5)], slow) == pytest.approx(1)
    assert np.isnan(learning.share_of_images([(0, 0.4), (100, 0.5)], [(0, 0.4), (100, 0.39)])), "nothing was learned"


def test_an_interval_over_seeds_is_students():
    found = learning.over_seeds(np.array([1.0, 2.0, 4.0]))
    assert isinstance(found, Estimate)
    row = found.score("dense-against-sparse", "dense/8 images", "agreement-with-teacher", "labels")
    half = 4.303 * np.std([1, 2, 4], ddof=1) / 3**0.5
    assert [row.value, row.low, row.high] == pytest.approx([7 / 3, 7 / 3 - half, 7 / 3 + half], rel=0.01)


def test_keeping_the_backbones_own_space_adds_its_similarities(space, answers):
    plain = MixedEffectsTeacher(dim=6, iterations=10).fit(space, answers)
    kept = MixedEffectsTeacher(dim=6, iterations=10, keep=0.7).fit(space, answers)
    assert kept.transform(space).shape == (OBJECTS, 6 + space.shape[1])
    ours, own = kept.transform(space)[:, :6], kept.transform(space)[:, 6:]
    # The new dimensions are the plain teacher's, and the old ones the centred features, each up to a factor.
    ratio = ours / plain.transform(space)
    assert ratio == pytest.approx(np.full_like(ratio, ratio[0, 0]), rel=1e-3)
    assert own / (space - space.mean(0)) == pytest.approx(np.full_like(own, own[0, 0] / (space - space.mean(0))[0, 0]), rel=1e-3)
    with pytest.raises(HumalignError, match=r"keep = -1\.0: expected a number, 0 or more"):
        MixedEffectsTeacher(keep=-1.0).fit(space, answers)


def test_settings_are_chosen_by_hidden_objects_grid_after_grid_and_a_single_one_is_not_tried(space, answers, monkeypatch):
    plain = {"dim": 6, "iterations": 10}
    known = space + np.random.default_rng(4).standard_normal(space.shape)
    folds = list(ObjectFolds(3, 0).split(known, answers))

    def best(name, values, **settings):
        def hidden(value):
            fits = [MixedEffectsTeacher(**plain, **settings, **{name: value}).fit(known[train], answers[train]) for train, _ in folds]
            return np.mean([fit.score(known[test], answers[test]) for fit, (_, test) in zip(fits, folds, strict=True)])

        return max(values, key=hidden)

    grids = [{"residual": (0.05, 1.0), "ridge": (0.01,)}, {"keep": (0.0, 2.0)}]
    found = mixed_effects.tuned(MixedEffectsTeacher(**plain), known, answers, grids, 0)
    residual = best("residual", (0.05, 1.0), ridge=0.01)
    keep = best("keep", (0.0, 2.0), residual=residual, ridge=0.01)
    assert (found.residual, found.ridge, found.keep) == (residual, 0.01, keep)
    monkeypatch.setattr(mixed_effects, "GridSearchCV", None)
    single = [{"residual": (residual,), "ridge": (0.01,)}, {"keep": (keep,)}]
    again = mixed_effects.tuned(MixedEffectsTeacher(**plain), known, answers, single, 0)
    assert (again.transform(known) == found.transform(known)).all()


def test_a_missing_folder_of_human_data_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("HUMALIGN_DATA", str(tmp_path))
    judged.things.cache_clear()
    with pytest.raises(HumalignError, match="are missing: humalign fetch things-ids") as caught:
        judged.things()
    assert "\n" not in str(caught.value)


def test_a_judged_photograph_is_also_shown_mirrored_and_its_features_are_the_mean_of_both(tmp_path):
    run = pipeline.Run(profiles.load("things"), tmp_path)
    drawn = np.random.default_rng(2).integers(256, size=(3, 5, 4, 3), dtype=np.uint8)
    shown = registered._seen(run.profile, Held(list(drawn)))
    pixels = np.stack([np.asarray(shown[row]) for row in range(len(shown))])
    assert len(shown) == 6 and (pixels[::2] == drawn).all() and (pixels[1::2] == drawn[:, :, ::-1]).all()
    values = pixels.reshape(6, -1).astype(float)
    assert features.averaged(run, "kriegeskorte-92", values) == pytest.approx((values[::2] + values[1::2]) / 2)
    assert features.averaged(run, "cifar10", values) is values, "nobody judged these"
    plain = pipeline.Run(profiles.changed(run.profile, data={"mirrored": False}), tmp_path)
    assert len(registered._seen(plain.profile, Held(list(drawn)))) == 3
    assert features.averaged(plain, "kriegeskorte-92", values) is values


@pytest.mark.skipif("HUMALIGN_DATA" not in os.environ, reason="the human data are not on this machine")
def test_the_whole_chain_in_small_on_the_real_files(tmp_path, monkeypatch):
    judged.things.cache_clear()
    # Some photographs of each set, spread over its classes.
    monkeypatch.setattr(registered_sets, "pictures", lambda name: (whole := pictures(name)) and Subset(whole, np.arange(3, len(whole), 59)))
    profile = profiles.changed(
        profiles.load("things"),
        threads=1,
        data={"mirrored": False, "labelled_images": 40, "corrupted_images": 2},
        observer={"dim": 12, "steps": 60, "batch": 4096, "seeds": 1, "shares": [0.5]},
        teachers=[
            {"judged": "things", "learner": "answers", "parts": {"folds": 2}, "residuals": [0.3], "ridges": [0.002],
             "pulls": [0.01], "pull_folds": 2, "triplets": 20000},
            {"judged": "things-photographs", "learner": "photographs", "backbones": ["efficientnet-lite0"],
             "further": ["efficientnet-lite1"], "parts": {"all": True, "halves": True},
             "residuals": [1.0], "ridges": [0.005], "keeps": [0.5], "triplets": 4000},
        ],
        students=[{"backbone": f"efficientnet-lite{number}", "trained": 2, "scored": scored, "parts": ["all", "halves"], "head": "centre"}
                  for number, scored in enumerate(("everything", "judgments"))],
        distillation={"steps": 12, "warmup": 2, "learning_rate": 3e-4, "batch_images": 24, "checkpoint_every": 5},
        curves={"seeds": 2, "steps": 4, "sparse_steps": 8, "every": 2, "images": 24, "held_out": 40, "triplets": 500, "clusters": 6},
        evaluation={"curve_shares": [0.25], "recovery_answers": [500, 20000], "shots": [1], "few_shot_draws": 2, "image_folds": 2,
                    "bootstrap_draws": 20},
    )  # fmt: skip
    run = pipeline.Run(profile, tmp_path)
    told = []
    pipeline.execute(stages.STEPS, "scores", run, told.append)
    pipeline.execute(stages.STEPS, "illustrations", run, told.append)
    assert len(json.loads(run.path("illustrations.json").read_text())["game"]) == 10
    table = scores.read(tmp_path / "things" / "scores.csv")
    before = (tmp_path / "things" / "scores.csv").read_bytes()
    stamps = [json.loads(path.read_text()) for path in (tmp_path / "things" / "stamps").glob("*.json")]
    read = {name for stamp in stamps for name in stamp["read"]}
    assert read == set(pipeline.sources(stages.STEPS, profile)), "what doctor and fetch are about is what was read"
    assert not any("undeclared" in line for line in told)

    def value(**where):
        return float(scores.one(table, **where)["value"])

    unseen = {"task": "odd-one-out", "split": "unseen objects", "metric": "accuracy"}
    assert value(model="people", **unseen | {"split": "repeated triplets"}) == pytest.approx(0.6722, abs=1e-4)
    assert value(stage="teacher-base", **unseen) == pytest.approx(0.4853, abs=1e-3)
    assert value(stage="ridge", **unseen) == pytest.approx(0.5631, abs=3e-3)
    assert value(stage="ridge", **unseen | {"metric": "accuracy-dot"}) == pytest.approx(0.5649, abs=3e-3)
    assert value(stage="teacher", **unseen) > 0.54
    ceilings = {"model": "people", "task": "similarity-judgments"}
    assert value(metric="rsa-lower", **ceilings) == pytest.approx(0.478, abs=1e-3)
    assert value(metric="rsa-upper", **ceilings) == pytest.approx(0.575, abs=1e-3)
    assert set(table["evidence"]) == {"human", "simulated", "labels", "taxonomy"}
    across = {"task": "similarity-judgments", "split": "92 photographs", "metric": "rsa-spearman"}
    student = {"model": "efficientnet-lite0"}
    base, aligned, control = (value(stage=stage, **student, **across) for stage in ("base", "aligned", "unaligned"))
    assert base == pytest.approx(value(stage="teacher-base", **student, **across), abs=1e-3)
    assert aligned > base + 0.05 and aligned > control + 0.05
    above = value(stage="aligned", **student, **across | {"metric": "rsa-spearman-above-unaligned"})
    assert above == pytest.approx(aligned - control, abs=2e-6)
    further = {stage: value(model="efficientnet-lite1", stage=stage, **across) for stage in ("base", "aligned", "unaligned")}
    assert further["aligned"] > further["base"] + 0.03 and further["aligned"] > further["unaligned"] + 0.03
    assert (table.loc[table["evidence"] == "simulated", "task"] == "recovery").all()
    assert value(model="efficientnet-lite1", stage="teacher", **across) > value(model="efficientnet-lite1", stage="teacher-base", **across)
    matrix = {"split": "48 objects, unseen", "metric": "rsa-own-pearson"}
    assert value(model="vice-published", **matrix) == pytest.approx(0.891, abs=1e-3)
    assert value(stage="teacher", **matrix | {"metric": "rsa-pearson-above-teacher-base"}) > 0.1
    counts = scores.pick(table, task="breeds", metric="superclasses").set_index("split")["value"].to_dict()
    assert counts == {"living-17": 17, "nonliving-26": 26, "entity-13": 13, "entity-30": 30}
    assert (scores.pick(table, task="breeds", metric="classes-both")["value"] == 0).all()
    assert scores.pick(table, task="corruption", stage="aligned", metric="accuracy")["split"].nunique() == 1 + 1 + 5 + 8
    recovered = table[table["task"] == "recovery"]["value"].tolist()
    assert recovered[0] < recovered[1]
    origin = origins.read(tmp_path / "things" / "scores.csv")
    read = {entry["name"]: entry for entry in origin.sources}
    assert read["cifar10h"]["sha256"] == registry.source("cifar10h").sha256 and read["cifar10h"]["edition"] == editions.PUBLIC
    assert read["things-answers"]["holds"] == editions.of("things-answers").holds
    said = []
    (tmp_path / "things" / "scores.csv").unlink()
    pipeline.execute(stages.STEPS, "scores", run, said.append)
    assert sum("reused" in line for line in said) == 7
    assert (tmp_path / "things" / "scores.csv").read_bytes() == before
