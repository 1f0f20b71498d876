"""The price of agreement: its recipe, students, intervals over seeds, and what is chosen on which half."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from humalign import profiles
from humalign.chain import embed, features, keys
from humalign.chain.pipeline import Run
from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.evaluation.scores import Estimate, resamples
from humalign.models.student import Student, between

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from pricing import scores as scoring
from pricing import students as price
from pricing.students import DECAY, SIDE, WEIGHTS, Recipe, Setting, Study, Training

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "price.py"
RECIPE = BENCHMARK.with_suffix(".yaml")
LITE0, LITE1 = "efficientnet-lite0", "efficientnet-lite1"


# ---- the recipe --------------------------------------------------------------------------------------------


def written(folder, **other):
    path = folder / "price.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(RECIPE.read_text()), **other}))
    return path


def test_the_recipe_of_the_repository_names_five_seeds_and_every_knob_with_the_profiles_own():
    recipe = Recipe.read(RECIPE)
    assert len(recipe.seeds) >= 5 and len(recipe.digest) == 64
    profile = profiles.load(recipe.profile)
    settings = Study(recipe, Run(profile, Path("build")), Run(profile, Path("out"))).settings()
    assert len(set(settings)) == len(settings)
    by_knob = {
        knob: [each.x for each in settings if each.knob == knob]
        for knob in dict.fromkeys(s.knob for s in settings)
    }
    own = profile.distillation
    for knob, usual in (
        (WEIGHTS, 1.0),
        (price.STEPS, own.steps),
        (DECAY, own.decay_to_init),
        (price.BLOCKS, 5),
    ):
        assert usual in by_knob[knob] and by_knob[knob] == sorted(by_knob[knob])
    assert 1.0 not in by_knob[SIDE], "all features of the aligned student are the aligned student"
    # One knob at a time: all others are the profile's.
    usual = Training(LITE0, own.steps, own.decay_to_init, 5)
    assert all((each.training != usual) + (each.share != 1) <= 1 for each in settings)


@pytest.mark.parametrize(("other", "said"), [
    ({"seeds": [0, 0]}, "seeds = .*: name each once"),
    ({"seeds": [0]}, "needs two or more"),
    ({"seeds": 3}, "seeds = 3: a list"),
    ({"seeds": [0, True]}, "seeds"),
    ({"shares": [0.5, 1.0]}, "shares = .*001 to .999"),
    ({"shares": ["half"]}, "shares"),
    ({"decays": [-1]}, "decays"),
    ({"blocks": [0]}, "blocks"),
    ({"least": "high"}, "least"),
    ({"halves": [0]}, "halves = .* is no whole number"),
    ({"share": [0.5]}, "unknown key 'share': did you mean 'shares'"),
])  # fmt: skip
def test_a_wrong_recipe_is_one_line(tmp_path, other, said):
    with pytest.raises(HumalignError, match=said) as raised:
        Recipe.read(written(tmp_path, **other))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "- 1", "profile: [", "profile: things"])
def test_a_recipe_that_is_none_is_one_line(tmp_path, text):
    (tmp_path / "price.yaml").write_text(text)
    with pytest.raises(HumalignError, match=r"price\.yaml") as raised:
        Recipe.read(tmp_path / "price.yaml")
    assert "\n" not in str(raised.value)
    with pytest.raises(HumalignError, match="cannot read the recipe"):
        Recipe.read(tmp_path / "absent.yaml")


@pytest.mark.parametrize(("other", "said"), [
    ({"student": "efficientnet-lit0"}, "did you mean 'efficientnet-lite0'"),
    ({"profile": "thinks"}, "did you mean 'things'"),
    ({"blocks": [6]}, "keeps activations before the last 5"),
    ({}, "no activations at .* run `humalign run teachers --profile things`"),
])  # fmt: skip
def test_what_a_study_lacks_is_said_before_any_work(tmp_path, other, said):
    with pytest.raises(HumalignError, match=said):
        Study.of(Recipe.read(written(tmp_path, **other)), tmp_path / "build", tmp_path / "out")


def test_the_command_says_in_one_line_that_there_is_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARK.parent)  # for what benchmarks share
    spec = importlib.util.spec_from_file_location("price_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["price.py", "--build", str(tmp_path)])
    module.main()
    said = capsys.readouterr().out
    assert said.startswith("price: not run: no activations at") and said.count("\n") == 1


# ---- students ----------------------------------------------------------------------------------------------

POOL, DIM = 40, 6


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tail = nn.Sequential(*(nn.Sequential(nn.Linear(DIM, DIM), nn.Tanh()) for _ in range(5)))
    return Student(tail, DIM, head=nn.Identity())


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of the profile things whose students are five small layers, on activations that are made here."""
    rng, build = np.random.default_rng(0), tmp_path / "build"
    profile = profiles.changed(
        profiles.load("things"),
        distillation={"batch_images": 8, "learning_rate": 0.01, "steps": 12, "warmup": 2},
    )
    shown = {"caltech101": POOL, "kriegeskorte-92": 8, "things-photographs": 10}
    for name in (LITE0, LITE1):
        for kind in ("activations", "embeddings"):
            (build / "things" / kind / name).mkdir(parents=True)
            for which, pictures in shown.items():
                np.save(
                    build / "things" / kind / name / f"{which}.npy",
                    rng.standard_normal((pictures, DIM)).astype(np.float32),
                )
    labels = rng.standard_normal((POOL, 3)).astype(np.float32)
    monkeypatch.setattr(features, "start", lambda run, student, stage, seed=None: network())
    monkeypatch.setattr(features, "teacher_labels", lambda run, part, stage: labels)
    for cache in (price._labels, price._digest, price.of_student):
        cache.cache_clear()
    found = Study.of(Recipe.read(RECIPE), build, tmp_path / "out")
    yield dataclasses.replace(found, run=Run(profile, found.run.build))
    for cache in (price._labels, price._digest, price.of_student):
        cache.cache_clear()


def weights_of(student):
    return torch.cat([parameter.detach().flatten() for parameter in student.parameters()])


def test_a_student_is_trained_once_and_seeds_differ(study, monkeypatch):
    training = study.training(LITE0, steps=6)
    one, other = (price.train(study, training, seed) for seed in (0, 1))
    assert not torch.equal(weights_of(one), weights_of(other)), "a seed orders the pictures"
    monkeypatch.setattr(price, "distill", lambda *a, **k: pytest.fail("it is trained again"))
    assert torch.equal(weights_of(price.train(study, training, 0)), weights_of(one))
    assert not list(study.work.folder.rglob("*.ckpt"))


def test_a_training_that_was_stopped_goes_on_and_ends_the_same(study, monkeypatch):
    training, steps = study.training(LITE0), []
    whole = weights_of(price.train(study, training, 3))
    for path in [*study.work.folder.rglob("*.safetensors"), *study.work.folder.rglob("*.json")]:
        path.unlink()
    distill = price.distill

    def stopped(*given, **named):
        def count(step):
            steps.append(step)
            if len(steps) == 11:
                raise KeyboardInterrupt

        return distill(*given, progress=count, **named)

    monkeypatch.setattr(price, "distill", stopped)
    with pytest.raises(KeyboardInterrupt):
        price.train(study, training, 3)
    assert list(study.work.folder.rglob("*.ckpt")), "ten steps are kept"
    assert torch.equal(weights_of(price.train(study, training, 3)), whole)


def test_a_damaged_student_is_trained_again(study):
    training = study.training(LITE0, steps=6)
    whole = weights_of(price.train(study, training, 0))
    (path,) = study.work.folder.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-7])
    assert torch.equal(weights_of(price.train(study, training, 0)), whole)


def test_a_key_changes_with_whatever_a_student_is_made_of(study):
    own = study.training(LITE0)
    made = [
        own,
        study.training(LITE1),
        *(dataclasses.replace(own, **{n: v}) for n, v in (("steps", 9), ("decay", 2.0), ("blocks", 3))),
    ]
    made_keys = [price.key_of(study, each, 0) for each in made] + [
        price.key_of(study, own, 1)
    ]
    other = dataclasses.replace(
        study, run=Run(profiles.changed(study.profile, distillation={"temperature": 7.0}), study.run.build)
    )
    assert len({*made_keys, price.key_of(other, own, 0)}) == len(made) + 2
    # And with the code, of this package too, that trains it.
    reached = keys.reached([("pricing.students", "train")])
    assert {("pricing.students", "told"), ("humalign.distil.distill", "distill")} <= reached


def test_only_the_last_blocks_are_trained_and_a_strong_decay_keeps_them_near(study):
    before = network().state_dict()

    def moved(**other):
        after = price.train(study, study.training(LITE0, **other), 0).state_dict()
        return {name: float((after[name] - before[name]).norm()) for name in before}

    few, near, usual = moved(blocks=2), moved(decay=80.0), moved()
    assert all((few[name] > 0) == (name.split(".")[1] in "34") for name in few)
    assert 0 < sum(near.values()) < 0.5 * sum(usual.values())


def test_the_warm_up_keeps_its_part_of_the_steps(study):
    own = study.profile.distillation
    assert price.told(study, study.training(LITE0)).warmup == own.warmup
    longer = price.told(study, study.training(LITE0, steps=2 * own.steps))
    assert (longer.warmup, longer.steps) == (2 * own.warmup, 2 * own.steps)


def test_a_share_goes_from_the_base_to_the_aligned_student(study):
    training, which = study.training(LITE0, steps=6), "kriegeskorte-92"
    aligned = Setting(WEIGHTS, 1.0, training)
    ends = [features.averaged(study.run, which, each.features(embed.activations(study.run, LITE0, which)).numpy())
            for each in (network(), price.train(study, training, 0))]  # fmt: skip
    found = {
        s: price.of_setting(study, dataclasses.replace(aligned, share=s), LITE0, 0, which)
        for s in (0.0, 0.01, 1.0)
    }
    np.testing.assert_allclose(found[0.0], ends[0], atol=1e-6)
    np.testing.assert_array_equal(found[1.0], ends[1])
    # So small a step is one along the line from base to aligned in the features too.
    step, way = (found[0.01] - ends[0]).ravel(), (ends[1] - ends[0]).ravel()
    assert np.corrcoef(step, way)[0, 1] > 0.9 and 0 < np.linalg.norm(step) < 0.1 * np.linalg.norm(way)


def test_side_by_side_squared_distances_have_the_shares_of_both(study):
    training, which = study.training(LITE0, steps=6), "kriegeskorte-92"
    setting = Setting(SIDE, 0.3, training, 0.3)
    found = price.of_setting(study, setting, LITE0, 0, which)
    judged = study.profile.labeller.judged

    def apart(x, of):
        scale = np.sqrt(((of - of.mean(0)) ** 2).sum(1).mean())
        return ((x[:, None] - x[None]) ** 2).sum(-1) / scale**2

    parts = [
        (price.of_base(study, LITE0, each), price.of_student(study, training, 0, 1.0, each))
        for each in (which, judged)
    ]
    wanted = 0.7 * apart(parts[0][0], parts[1][0]) + 0.3 * apart(parts[0][1], parts[1][1])
    np.testing.assert_allclose(((found[:, None] - found[None]) ** 2).sum(-1), wanted, rtol=1e-4, atol=1e-5)


def test_centred_features_are_less_the_bases_mean_over_the_pool(study):
    which, mean = "kriegeskorte-92", np.asarray(embed.read(study.run, LITE0, "caltech101")).mean(0)
    for setting in (None, Setting(WEIGHTS, 1.0, study.training(LITE0, steps=6))):
        plain, centred = (
            price.of_setting(study, setting, LITE0, 0, which, centred=c) for c in (False, True)
        )
        np.testing.assert_allclose(plain - centred, np.broadcast_to(mean, plain.shape), atol=1e-6)


def test_weights_between_two_students_leave_both_and_counters_as_they_are():
    norm = nn.Sequential(nn.Linear(DIM, DIM), nn.BatchNorm1d(DIM))
    base, aligned = (Student(norm, DIM, head=nn.Identity()) for _ in range(2))
    with torch.no_grad():
        for parameter in aligned.parameters():
            parameter.add_(1.0)
    aligned.tail[1].num_batches_tracked += 7
    kept = [each.state_dict() | {} for each in (base, aligned)]
    kept = [{name: value.clone() for name, value in each.items()} for each in kept]
    half = between(base, aligned, 0.5)
    for name, value in half.state_dict().items():
        wanted = (kept[0][name] + kept[1][name]) / 2 if value.is_floating_point() else kept[1][name]
        torch.testing.assert_close(value, wanted)
    assert all(
        torch.equal(each.state_dict()[name], before[name])
        for each, before in zip((base, aligned), kept, strict=True)
        for name in before
    )
    for share, other, said in (
        (1.5, aligned, "from 0, the base, to 1"),
        (float("nan"), aligned, "share"),
        (0.5, network(), "different networks"),
    ):
        with pytest.raises(HumalignError, match=said):
            between(base, other, share)


# ---- over seeds --------------------------------------------------------------------------------------------


def sampled(rng, items=60, seeds=5, of_seeds=0.02):
    """Return estimates of one student from several seeds: items, seeds, and both together, have effects of their own."""
    drawn = resamples(items, 300, int(rng.integers(2**31)))
    effect, own = rng.normal(0.5, 0.1, items), rng.normal(0, of_seeds, seeds)
    values = effect[None] + own[:, None] + rng.normal(0, 0.05, (seeds, items))
    return [Estimate.of(drawn @ each / drawn.sum(1), items) for each in values]


@pytest.mark.parametrize("of_seeds", [0.0, 0.02, 0.1])
def test_an_interval_over_seeds_and_items_holds_the_truth(of_seeds):
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        low, high = scoring.over_seeds(sampled(rng, of_seeds=of_seeds), 1).interval()
        inside += low <= 0.5 <= high
    # Of 200 samples at 95 %, fewer than 180 hold the truth once in 500.
    assert inside >= 180


def test_an_interval_over_items_alone_does_not_where_seeds_differ():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        low, high = sampled(rng, of_seeds=0.1)[0].interval()
        inside += low <= 0.5 <= high
    assert inside < 60


def test_what_is_the_same_from_every_seed_keeps_its_own_interval():
    rng = np.random.default_rng(0)
    together = rng.normal(0, 1, 400)
    one = Estimate(0.2, 0.2 + together, 92, (0.2 + 0.9 * together, 0.2 + rng.normal(0, 0.1, 400)))
    found = scoring.over_seeds([one] * 5, 0)
    assert found.value == pytest.approx(one.value) and found.n == 92
    np.testing.assert_allclose(found.interval(), one.interval(), atol=1e-12)
    # A part that varies with seeds alone is added, whether or not units are drawn one by one.
    moved = [
        dataclasses.replace(
            one, value=one.value + by, draws=one.draws + by, alone=tuple(a + by for a in one.alone)
        )
        for by in (-1, 0, 1)
    ]
    for several in (moved, [dataclasses.replace(each, alone=()) for each in moved]):
        wide, narrow = (
            np.ptp(scoring.over_seeds(several, 0).interval()),
            np.ptp(scoring.over_seeds(several[1:2] * 3, 0).interval()),
        )
        assert wide > 1.3 * narrow


def test_a_difference_from_the_base_is_paired_over_items():
    rng = np.random.default_rng(0)
    base = sampled(rng, of_seeds=0.0)[0]
    better = [dataclasses.replace(base, value=base.value + 0.01, draws=base.draws + 0.01)] * 5
    low, high = (scoring.over_seeds(better, 3) - scoring.over_seeds([base] * 5, 3)).interval()
    assert low == pytest.approx(0.01) and high == pytest.approx(0.01)


def test_halves_of_classes_are_even_and_depend_on_their_seed():
    known = np.repeat(["a", "b", "c", "d"], 25)
    half = scoring.halves_of_classes(known, np.random.default_rng(0))
    assert half.sum() == 50 and all(int(half[known == name].sum()) in (12, 13) for name in "abcd")
    assert (half != scoring.halves_of_classes(known, np.random.default_rng(1))).any()


# ---- what is chosen ----------------------------------------------------------------------------------------

TRAINING = Training(LITE0, 60, 1.0, 5)
MILD, HALF, FULL = (Setting(WEIGHTS, share, TRAINING, share) for share in (0.25, 0.5, 1.0))


def measures(first, second):
    """Return measures of one setting: RSA, centred RSA and few-shot accuracy, each on the first half and on the second."""
    found = {}
    for part, (rsa, centred, few) in zip(
        scoring.PARTS, (np.mean([first, second], axis=0), first, second), strict=True
    ):
        for name, value in ((scoring.RSA, rsa), (scoring.CENTRED, centred), (scoring.FEW, few)):
            found[part + name] = Estimate(float(value), value + 0.01 * np.linspace(-1, 1, 41), 92)
    shots = {
        f"{scoring.FEW} {of} {k}": found[scoring.FEW] for of in ("cifar10", "textures") for k in (1, 2, 5, 10)
    }
    return found | shots | {scoring.AS_IT_IS: found[scoring.RSA], scoring.CKA: found[scoring.RSA]}


FOUND = {
    None: measures((0.30, 0.36, 0.50), (0.32, 0.38, 0.52)),
    MILD: measures((0.40, 0.41, 0.51), (0.42, 0.43, 0.50)),
    HALF: measures((0.48, 0.47, 0.50), (0.50, 0.45, 0.52)),
    FULL: measures((0.55, 0.56, 0.40), (0.57, 0.58, 0.41)),
}


def test_a_half_chooses_the_greatest_rsa_whose_few_shot_accuracy_is_not_below_the_bases():
    assert scoring.choose(FOUND, "half0/") == scoring.Chosen(HALF, False), "equal is not below"
    assert scoring.choose(FOUND, "half1/").setting == HALF
    # What the other half says is not looked at.
    other = FOUND | {HALF: measures((0.48, 0.47, 0.50), (-1.0, -1.0, 0.0))}
    assert scoring.choose(other, "half0/").setting == HALF
    centred = FOUND | {MILD: measures((0.40, 0.49, 0.51), (0.42, 0.43, 0.50))}
    assert scoring.choose(centred, "half0/") == scoring.Chosen(MILD, True)
    assert scoring.choose({k: FOUND[k] for k in (None, FULL)}, "half0/") == scoring.Chosen(None, True)


@pytest.fixture
def made(tmp_path):
    recipe, profile = Recipe.read(RECIPE), profiles.load("things")
    return Study(recipe, Run(profile, tmp_path), Run(profile, tmp_path))


def test_the_table_says_of_every_number_its_set_knob_place_and_reference(made, tmp_path):
    table = scoring.table(made, FOUND)
    table.to_csv(tmp_path / "scores.csv", index=False)
    read = scores.read(tmp_path / "scores.csv")
    assert not read[["value", "low", "high"]].isna().any().any() and set(read["task"]) == {"price"}
    rsa = scores.pick(read, set="92 photographs", item=WEIGHTS, metric="rsa-spearman", stage="aligned")
    assert rsa["x"].tolist() == [0.25, 0.5, 1.0] and rsa["value"].tolist() == [0.41, 0.49, 0.56]
    less = scores.one(read, set="cifar10 and textures", item=WEIGHTS, x=1.0, reference="base")
    assert (less["value"], less["metric"], less["evidence"]) == (-0.105, "accuracy-above-base", "labels")
    centred = scores.one(
        read,
        set="92 photographs",
        item=f"{WEIGHTS}, {scoring.CENTRED_TOO}",
        x=0.25,
        reference="base-centred",
    )
    assert centred["value"] == pytest.approx(0.05) and centred["evidence"] == "human"
    assert scores.one(read, set="92 photographs", stage="base-centred", reference="")["value"] == 0.37
    assert len(scores.pick(read, set="cifar10 by 5 a class", stage="base")) == 1


def test_what_is_chosen_on_one_half_is_scored_on_the_other(made):
    table = scoring.table(made, FOUND)
    second = scores.one(table, set="92 photographs, second half", item=WEIGHTS, metric="rsa-spearman")
    assert (second["x"], second["value"]) == (0.5, 0.5), "chosen on the first half"
    both = {"item": scoring.CHOSEN, "stage": "aligned"}
    assert scores.one(table, set="92 photographs, both halves", metric="rsa-spearman", **both)[
        "value"
    ] == pytest.approx(0.49)
    few = scores.one(table, set="cifar10 and textures, both halves", metric="accuracy-above-base", **both)
    assert few["value"] == pytest.approx(0.0)
    base = scores.one(table, set="92 photographs, both halves", stage="base", metric="rsa-spearman")
    assert base["value"] == pytest.approx(0.31)


def test_where_no_student_is_fit_the_base_is_chosen_and_named(made):
    table = scoring.table(made, {None: FOUND[None], FULL: FOUND[FULL]})
    named = scores.pick(table, item=f"the base, {scoring.CENTRED_TOO}", metric="accuracy-above-base")
    assert len(named) == 2 and (named["value"] == 0).all()
