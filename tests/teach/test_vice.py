"""VICE: stopped and resumed it ends where it would have ended, and it refuses what is not its own checkpoint."""


import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import softmax

from humalign import profiles
from humalign.chain import judged, observe, pipeline
from humalign.data.judgments import Choices, random_triplets
from humalign.errors import HumalignError
from humalign.evaluation.people import pair_values
from humalign.teach import pruning, vice

OBJECTS = 24
SETTINGS = {"dim": 6, "steps": 60, "batch": 256, "learning_rate": 0.1, "seed": 5, "checkpoint_every": 20}


class Stop(Exception):
    """What a test raises to stop a fit in its middle."""


def ask(answers, seed=0):
    rng = np.random.default_rng(seed)
    space = rng.random((OBJECTS, 3)) * (rng.random((OBJECTS, 3)) < 0.6) * 2
    asked = random_triplets(np.arange(OBJECTS), answers, rng)
    return Choices(asked, rng.multinomial(1, softmax(pair_values(space @ space.T, asked), axis=1)))


@pytest.fixture(scope="module")
def choices():
    return ask(4000)


@pytest.fixture(scope="module")
def unbroken(choices):
    return vice.fit(choices, OBJECTS, **SETTINGS)


def stop_after(monkeypatch, steps):
    """Let a fit take so many steps, then stop it; return the list that counts the steps."""
    taken, real = [], vice.negative_bound

    def step(*arguments):
        if len(taken) == steps:
            raise Stop
        taken.append(1)
        return real(*arguments)

    monkeypatch.setattr(vice, "negative_bound", step)
    return taken


@pytest.mark.parametrize("stop_at", [7, 20, 59])
def test_stopped_and_resumed_is_the_same_to_the_last_bit(choices, unbroken, tmp_path, monkeypatch, stop_at):
    checkpoint = tmp_path / "v.ckpt"
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stop_after(patch, stop_at)
        vice.fit(choices, OBJECTS, **SETTINGS, checkpoint=checkpoint)
    assert checkpoint.exists() is (stop_at >= 20)
    taken = stop_after(monkeypatch, 1000)
    resumed = vice.fit(choices, OBJECTS, **SETTINGS, checkpoint=checkpoint)
    assert len(taken) == 60 - stop_at // 20 * 20, "finished steps are not taken again"
    assert torch.equal(resumed.mean, unbroken.mean) and torch.equal(resumed.std, unbroken.std)


@pytest.mark.parametrize("content", ["cut", "empty", "flipped"])
def test_from_a_damaged_checkpoint_the_fit_starts_again_and_says_so(choices, unbroken, tmp_path, content):
    checkpoint = tmp_path / "v.ckpt"
    vice.fit(choices, OBJECTS, **SETTINGS, checkpoint=checkpoint)
    whole = checkpoint.read_bytes()
    flipped = whole[:-900] + bytes([whole[-900] ^ 1]) + whole[-899:]
    checkpoint.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "flipped": flipped}[content])
    with pytest.warns(UserWarning, match=r"v\.ckpt is damaged, .*: starting again from the beginning"):
        assert torch.equal(vice.fit(choices, OBJECTS, **SETTINGS, checkpoint=checkpoint).mean, unbroken.mean)


@pytest.mark.parametrize("other", ["answers", "settings", "shape", "page"])
def test_a_checkpoint_that_is_not_its_own_is_kept_and_one_line(choices, tmp_path, other):
    checkpoint = tmp_path / "v.ckpt"
    others = {"answers": {"choices": ask(4000, seed=1)}, "settings": {"seed": 6}, "shape": {"dim": 7}, "page": {}}
    vice.fit(**{"choices": choices, "objects": OBJECTS, **SETTINGS} | others[other], checkpoint=checkpoint)
    if other == "page":
        checkpoint.write_bytes(b"<html>")
    before = checkpoint.read_bytes()
    said = "is no checkpoint" if other == "page" else r"v\.ckpt is of another fit: delete it, or give this run its own"
    with pytest.raises(HumalignError, match=said) as caught:
        vice.fit(choices, OBJECTS, **SETTINGS, checkpoint=checkpoint)
    assert "\n" not in str(caught.value) and checkpoint.read_bytes() == before


def test_the_stage_of_observers_goes_on_from_a_checkpoint_and_leaves_none(tmp_path, monkeypatch):
    names = tuple(f"thing{number}" for number in range(OBJECTS))
    known = judged.Things(ask(4000), ask(900, 1), ask(9, 2), categories=pd.DataFrame(), names=names)
    monkeypatch.setattr(judged, "things", lambda evidence: known)
    few = {"dim": 6, "steps": 300, "batch": 64, "seeds": 1, "shares": []}
    profile = profiles.changed(profiles.load("things"), observer=few, students=[{"backbone": "efficientnet-lite0"}],
                               teachers=[{"judged": "things", "backbones": ["efficientnet-lite0"], "rank": 8, "pulls": [0.01],
                                          "pull_folds": 2, "parts": {"all": True, "folds": 2}}])
    made = {}
    for name in ("unbroken", "stopped"):
        run = pipeline.Run(profile, tmp_path / name)
        provenance = pipeline.Provenance("things", 0, "key")
        if name == "stopped":
            with monkeypatch.context() as patch, pytest.raises(Stop):
                stop_after(patch, 850)
                observe.observe(run, provenance)
            assert [path.name for path in run.path("observers/things").glob("fold*")] == ["fold0.key.ckpt"]
        observe.observe(run, provenance)
        made[name] = {path.name: load_file(path) for path in run.path("observers/things").iterdir()}
    assert set(made["stopped"]) == {"seed0.safetensors", "all.safetensors", "fold0.safetensors", "fold1.safetensors"}
    for file, arrays in made["unbroken"].items():
        assert all(torch.equal(made["stopped"][file][key], array) for key, array in arrays.items()), file


def test_the_bound_is_the_written_formula():
    rng = np.random.default_rng(0)
    mean, log_std, noise = rng.standard_normal((3, 5, 2))
    triplets, targets = np.array([[0, 1, 2], [4, 3, 1]]), np.array([[1.0, 0.0, 0.0], [0.2, 0.5, 0.3]])
    weights = mean + np.exp(log_std) * noise

    def normal(x, centre, std):
        return np.exp(-0.5 * ((x - centre) / std) ** 2) / std

    posterior = normal(weights, mean, np.exp(log_std))
    prior = 0.5 * normal(weights, 0, 0.25) + 0.5 * normal(weights, 0, 1)
    seen = np.maximum(weights, 0)
    likelihood = (targets * np.log(softmax(pair_values(seen @ seen.T, triplets), axis=1))).sum(1).mean()
    arguments = [torch.from_numpy(each) for each in (mean, log_std, noise, triplets, targets)]
    found = vice.negative_bound(*arguments, vice.Prior(), 100.0)
    assert found.item() == pytest.approx(np.log(posterior / prior).sum() / 100 - likelihood)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_draws_the_same_and_resumes_from_its_checkpoint(choices, unbroken, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Stop):
        stop_after(patch, 30)
        vice.fit(choices, OBJECTS, **SETTINGS, device="cuda", checkpoint=tmp_path / "v.ckpt")
    found = vice.fit(choices, OBJECTS, **SETTINGS, device="cuda", checkpoint=tmp_path / "v.ckpt")
    assert found.mean.device.type == "cpu"
    asked = random_triplets(np.arange(OBJECTS), 500, np.random.default_rng(0))
    assert np.corrcoef(found.predict(asked).ravel(), unbroken.predict(asked).ravel())[0, 1] > 0.99


def test_a_device_that_is_not_there_is_one_line(choices):
    with pytest.raises(HumalignError, match="no device 'cuda:99' on this machine: use one of cpu"):
        vice.fit(choices, OBJECTS, **SETTINGS, device="cuda:99")


# ---- small sets ------------------------------------------------------------------------------------------------------


def grouped(sizes, answers, seed=0, sharpness=8.0):
    """Answers about objects in groups: objects of one group are kept together nearly always."""
    group, rng = np.repeat(np.arange(len(sizes)), sizes), np.random.default_rng(seed)
    asked = random_triplets(np.arange(len(group)), answers, rng)
    chances = softmax(pair_values(sharpness * np.equal.outer(group, group), asked), axis=1)
    return group, Choices(asked, rng.multinomial(1, chances))


@pytest.mark.parametrize(
    ("sizes", "seed", "dim"),
    [((12, 12, 12, 4), 1, 12), ((3, 3, 3), 0, 12), ((2, 2, 2, 2, 2), 0, 12), ((4, 4, 4, 4, 4), 0, 12), ((12, 12, 12, 3, 2), 0, 40)],
    ids=str,
)
def test_small_groups_of_a_small_set_are_predicted(sizes, seed, dim):
    group, choices = grouped(sizes, 20_000, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = vice.fit(choices, len(group), dim=dim, steps=1000, batch=1024, seed=seed)
    for number in range(len(sizes)):
        a, b = np.flatnonzero(group == number)[:2]
        asked = np.array([[a, b, other] for other in np.flatnonzero(group != number)])
        assert found.predict(asked)[:, 0].mean() > 0.9, number


def test_which_dimensions_are_dropped_is_a_parameter_and_what_was_is_said():
    _, choices = grouped((12, 12, 12, 4), 20_000, 1)
    settings = {"dim": 12, "steps": 1000, "batch": 1024, "seed": 1}
    with pytest.warns(UserWarning, match="VICE dropped 1 dimensions of few objects .surely above zero on 4 to 4, fewer than 5"):
        strict = vice.fit(choices, 40, **settings, sure_objects=5)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        kept = vice.fit(choices, 40, **settings)
    assert not any("dropped" in str(each.message) for each in said)
    assert strict.dropped.tolist() == [4] and kept.dropped.tolist() == [] and kept.mean.shape[1] == strict.mean.shape[1] + 1
    asked = np.array([[36, 37, other] for other in range(36)])
    assert strict.predict(asked)[:, 0].mean() < 0.5 < 0.9 < kept.predict(asked)[:, 0].mean()
    # Among many objects the published number of sure objects stays, and is not asked for more strictly.
    assert [list(pruning.candidates(objects)) for objects in (1854, 200, 40)] == [[5, 4, 3, 2], [5, 4, 3, 2], [2]]


def test_a_set_that_uses_every_dimension_is_warned_of():
    _, choices = grouped((12, 12, 12, 4), 20_000, 0)
    with pytest.warns(UserWarning, match="VICE uses all 6 dimensions that it started from.* raise `dim` from 6 to 12$"):
        vice.fit(choices, 40, dim=6, steps=600, batch=512, seed=0, learning_rate=0.1)


@pytest.mark.parametrize(
    ("sizes", "dim", "lost"), [((36, 4), 30, 4), ((30, 5, 5), 12, 10), ((12, 12, 12, 4), 3, 4), ((4,) * 10, 8, 8)], ids=str
)
def test_a_group_for_which_others_left_no_dimension_is_said_and_the_mend_helps(sizes, dim, lost):
    """A large group may take every dimension, even of those that are dropped for want of sure objects."""
    group, choices = grouped(sizes, 20_000, 0)

    def least(dim, rate):
        found = vice.fit(choices, len(group), dim=dim, steps=600, batch=512, seed=0, learning_rate=rate)
        pairs = [np.flatnonzero(group == number)[:2] for number in range(len(sizes))]
        asked = [np.array([[*pair, other] for other in np.flatnonzero(group != number)]) for number, pair in enumerate(pairs)]
        return min(found.predict(each)[:, 0].mean() for each in asked)

    mend = f"VICE found no dimension for {lost} of {len(group)} .*raise `learning_rate` from 0.02 to 0.1 and `dim` from {dim} to {2 * dim}$"
    with pytest.warns(UserWarning, match=mend):
        assert least(dim, 0.02) < 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert least(2 * dim, 0.1) > 0.9


def _least(found, group):
    """Return the smallest predicted chance that the first two of a group are kept together."""
    pairs = [np.flatnonzero(group == number)[:2] for number in np.unique(group)]
    asked = [[[*pair, other] for other in np.flatnonzero(group != group[pair[0]])] for pair in pairs]
    return min(found.predict(np.array(each))[:, 0].mean() for each in asked)


@pytest.mark.parametrize(
    ("number", "dim", "enough", "mend"),
    [
        (20, 30, 20_000, r"from 0.02 to 0.1$"),
        (20, 20, 20_000, r"from 0.02 to 0.1 and raise `dim` from 20 to 40$"),
        (30, 40, 60_000, r"from 0.02 to 0.1 and give 44,250 answers or more, or fit a teacher to them directly$"),
        (40, 60, 120_000, r"from 0.02 to 0.1 and give 79,000 answers or more, or fit a teacher to them directly$"),
    ],
)
def test_pairs_that_are_predicted_far_below_people_are_said_and_the_mend_helps(number, dim, enough, mend):
    """Groups of two share a dimension with others, or their two answers a pair do not pay for one."""
    group, choices = grouped((2,) * number, 20_000)
    settings = {"steps": 600, "batch": 512, "seed": 0}
    said = rf"VICE predicts \d+ pairs of objects far below people, such as \d+ and \d+ \(kept together in .*: raise `learning_rate` {mend}"
    with pytest.warns(UserWarning, match=said):
        assert _least(vice.fit(choices, len(group), dim=dim, **settings), group) < 0.5
    _, choices = grouped((2,) * number, enough)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings |= {"steps": 1000, "batch": 1024}
        assert _least(vice.fit(choices, len(group), dim=2 * number, learning_rate=0.1, **settings), group) > 0.8


def test_what_is_predicted_as_people_choose_is_not_complained_of():
    """A share that is a little above the prediction, or of few answers, is no pair that was missed."""
    rng = np.random.default_rng(0)
    asked = random_triplets(np.arange(12), 4000, rng)
    whole = vice.ViceEmbedding(torch.ones(12, 1), torch.full((12, 1), 0.1))
    evenly = Choices(asked, rng.multinomial(1, [1 / 3] * 3, size=4000))
    assert pruning._far_below(whole, evenly) is None
    together = (np.isin(asked, (3, 4)).sum(1) == 2) & (np.arange(4000) > 0)
    pair = 2 - np.isin(asked, (3, 4)).argmin(1)
    counts = np.where(together[:, None], np.eye(3, dtype=int)[pair], evenly.counts)
    said, answers = pruning._far_below(whole, Choices(asked, counts))
    seen = f"such as 3 and 4 (kept together in 100% of {together.sum()} answers, predicted in 33%)"
    assert said.startswith("VICE predicts 1 pairs") and seen in said
    assert answers == 75 * 12 * 11 // 6
    some = np.flatnonzero(together)[19:]
    assert pruning._far_below(whole, Choices(np.delete(asked, some, 0), np.delete(counts, some, 0))) is None


@pytest.mark.parametrize(
    ("setting", "value"),
    [("batch", 0), ("steps", 0), ("dim", 0), ("steps", -3), ("learning_rate", 0.0), ("learning_rate", np.nan),
     ("learning_rate", -1), ("checkpoint_every", 0), ("seed", -1), ("sure_objects", -1), ("objects", 2)],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_named_and_not_blamed_on_the_answers(choices, setting, value):
    with pytest.raises(HumalignError, match=f"^{setting} = ") as caught:
        vice.fit(**{"choices": choices, "objects": OBJECTS, **SETTINGS, setting: value})
    assert "\n" not in str(caught.value)


def test_a_fit_that_diverges_is_not_blamed_on_the_answers(choices):
    with pytest.raises(HumalignError, match="VICE diverged at learning_rate = 1e"):
        vice.fit(choices, OBJECTS, **SETTINGS | {"learning_rate": 1e30})


def test_priors_and_samples_that_cannot_be_are_one_line(unbroken):
    for prior in ({"spike": 0.0}, {"slab": -1.0}, {"spike_share": 1.0}, {"spike": np.nan}):
        with pytest.raises(HumalignError, match=r"expected a number above 0|give spike and slab above 0"):
            vice.Prior(**prior)
    with pytest.raises(HumalignError, match="samples = 0"):
        unbroken.predict(np.array([[0, 1, 2]]), samples=0)
    asked = random_triplets(np.arange(OBJECTS), 40, np.random.default_rng(0))
    for form in (asked.astype(np.uint8), asked.astype(np.int16), asked.tolist(), asked[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(unbroken.predict(form), unbroken.predict(asked))


def test_a_checkpoint_may_be_named_by_text(choices, unbroken, tmp_path):
    found = vice.fit(choices, OBJECTS, **SETTINGS, checkpoint=str(tmp_path / "v.ckpt"))
    assert (tmp_path / "v.ckpt").exists() and torch.equal(found.mean, unbroken.mean)
