"""Numerically the official objectives and optimiser: fixtures hold the outputs of the official code in float64."""

from pathlib import Path

import numpy as np
import pytest
import torch

from humalign.distil.distill import Distillation
from humalign.distil.optimiser import AdamTowardsInit
from humalign.teach.objectives import OBJECTIVES, pair_similarities, pull_to_scaled_identity

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.mark.parametrize("temperature", [1.0, 100.0])
@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize(("official", "name"), [("jsd", "jsd"), ("kld", "kl"), ("contrastive", "contrastive")])
def test_losses_are_the_official_ones(official, name, normalised, temperature):
    file = np.load(FIXTURES / "official_losses.npz")
    logits = torch.from_numpy(file["logits"]).double().reshape(64 * 3, -1)
    objective = OBJECTIVES[name + "-normalised" * normalised]
    found = objective(torch.from_numpy(file["target_sims"]), logits, torch.arange(64 * 3).reshape(64, 3), temperature)
    np.testing.assert_allclose(found, file[f"{official}_tau{temperature:.0f}_norm{normalised:d}"], rtol=0, atol=1e-9)


def official_rate(step):
    """The learning rate of the official step. It is taken in single precision: while it rises, by a difference from the peak."""
    single, settings = np.float32, OFFICIAL
    if step >= settings.warmup:
        return float(single(settings.learning_rate_at(step)))
    peak = single(settings.learning_rate)
    return float(peak - peak * (single(1) - single(step) / single(settings.warmup)))


OFFICIAL = Distillation(steps=40, warmup=5, learning_rate=3e-2)


@pytest.mark.parametrize(("rate", "tolerance"), [(official_rate, 1e-9), (OFFICIAL.learning_rate_at, 2e-8)], ids=["single", "double"])
def test_the_training_path_is_the_official_one(rate, tolerance):
    """With its learning rates as rounded there, the path is the official one; with ours, it is as near as they are."""
    file = np.load(FIXTURES / "official_training.npz")
    names = ["backbone/kernel", "backbone/bias", "triplet_head/kernel", "triplet_head/bias"]
    parameters = [torch.nn.Parameter(torch.from_numpy(file[f"init/{name}"]).double()) for name in names]
    optimiser = AdamTowardsInit(zip(names, parameters, strict=True), pull=1.0)
    losses = []
    for step in range(40):
        kernel, bias, head, head_bias = parameters
        images = torch.from_numpy(file["images"][step]).double()
        outputs = torch.tanh(images @ kernel + bias) @ head + head_bias
        rows = torch.arange(24).reshape(8, 3)
        loss = OBJECTIVES["jsd"](torch.from_numpy(file["similarities"][step]), outputs.reshape(24, -1), rows, 2.0).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step(rate(step))
        losses.append(loss.item())
        if step + 1 in (1, 5, 40):
            for name, parameter in zip(names, parameters, strict=True):
                np.testing.assert_allclose(parameter.detach(), file[f"after_{step + 1}/{name}"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(losses, file["loss"], rtol=0, atol=tolerance)


def test_learning_rates_are_the_official_ones():
    wanted = np.load(FIXTURES / "official_training.npz")["learning_rate"]
    np.testing.assert_allclose([OFFICIAL.learning_rate_at(step) for step in range(40)], wanted, rtol=0, atol=1e-9)


def test_pair_similarities_stand_in_the_order_ij_ik_jk():
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    assert pair_similarities(embeddings, torch.tensor([[0, 1, 2]])).tolist() == [[0.0, 3.0, 2.0]]


def test_the_pull_is_zero_for_a_scaled_identity_only():
    assert pull_to_scaled_identity(3 * torch.eye(4)).item() == pytest.approx(0, abs=1e-5)
    matrix = torch.arange(9.0).reshape(3, 3)
    wanted = (matrix - matrix.diagonal().mean() * torch.eye(3)).square().sum()
    assert pull_to_scaled_identity(matrix).item() == pytest.approx(wanted.item())
