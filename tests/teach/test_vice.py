"""VICE: stopped and resumed it ends where it would have ended, and it refuses what is not its own checkpoint."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax

from humalign import profiles
from humalign.chain import pipeline
from humalign.chain import steps as stages
from humalign.data.judgments import Choices, random_triplets
from humalign.errors import HumalignError
from humalign.evaluation.people import pair_values
from humalign.teach import vice

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


@pytest.mark.parametrize("content", ["cut", "empty", "html", "other-answers", "other-settings", "other-shape"])
def test_a_checkpoint_that_is_not_its_own_is_one_line_and_then_it_works(choices, unbroken, tmp_path, content):
    checkpoint = tmp_path / "v.ckpt"
    others = {"other-answers": {"choices": ask(4000, seed=1)}, "other-settings": {"seed": 6}, "other-shape": {"dim": 7}}
    vice.fit(**{"choices": choices, "objects": OBJECTS, **SETTINGS} | others.get(content, {}), checkpoint=checkpoint)
    if content not in others:
        whole = checkpoint.read_bytes()
        checkpoint.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "html": b"<html>"}[content])
    with pytest.raises(HumalignError, match=r"v\.ckpt is cut short or of another fit .* is removed: run the same command") as caught:
        vice.fit(choices, OBJECTS, **SETTINGS, checkpoint=checkpoint)
    assert "\n" not in str(caught.value) and not checkpoint.exists()
    assert torch.equal(vice.fit(choices, OBJECTS, **SETTINGS, checkpoint=checkpoint).mean, unbroken.mean)


def test_the_stage_of_observers_goes_on_from_a_checkpoint_and_leaves_none(tmp_path, monkeypatch):
    known = stages.people.Judgments(
        features=np.zeros((OBJECTS, 2)), training=ask(4000), validation=ask(900, 1), repeated=ask(9, 2),
        published=np.zeros((OBJECTS, 2)), categories=pd.DataFrame(), names=(),
    )  # fmt: skip
    monkeypatch.setattr(stages.people, "judgments", lambda: known)
    few = {"vice_dim": 6, "vice_steps": 300, "vice_batch": 64, "vice_seeds": 1, "vice_shares": (), "folds": 2}
    profile = dataclasses.replace(profiles.load("things"), **few)
    made = {}
    for name in ("unbroken", "stopped"):
        run = pipeline.Run(profile, tmp_path / name)
        provenance = pipeline.Provenance("things", 0, "key")
        if name == "stopped":
            with monkeypatch.context() as patch, pytest.raises(Stop):
                stop_after(patch, 550)
                stages.people.observe(run, provenance)
            assert [path.name for path in run.path("vice").glob("fold*")] == ["fold0.key.ckpt"]
        stages.people.observe(run, provenance)
        made[name] = {path.name: path.read_bytes() for path in run.path("vice").iterdir()}
    assert set(made["stopped"]) == {"seed0.safetensors", "fold0.safetensors", "fold1.safetensors"}
    assert made["stopped"] == made["unbroken"]


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
