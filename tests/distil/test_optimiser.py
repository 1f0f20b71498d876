"""Adam with a pull: each group has its own, towards where it began."""

import pytest
import torch
from torch import nn

from humalign.distil.optimiser import AdamTowardsInit, refuse_standstill, warmup_cosine
from humalign.errors import HumalignError


def parameters():
    torch.manual_seed(0)
    names = ["tail.0.weight", "tail.1.weight", "tail2.weight", "head.weight"]
    return [(name, nn.Parameter(torch.randn(3, dtype=torch.float64))) for name in names]


@pytest.mark.parametrize(
    ("pull", "wanted"),
    [
        (0.5, [0.5, 0.5, 0.5, 0.5]),
        ({"tail": 0.7, "head": 0.1, "": 0.0}, [0.7, 0.7, 0.0, 0.1]),
        ({"tail.1": 0.2, "tail": 0.7, "": 0.3}, [0.7, 0.2, 0.3, 0.3]),
    ],
)
def test_every_parameter_has_the_pull_of_its_group(pull, wanted):
    named = parameters()
    starts = [p.detach().clone() for _, p in named]
    expected = [start.clone() for start in starts]
    free = [start.clone().requires_grad_() for start in starts]
    optimiser, plain = AdamTowardsInit(named, pull), torch.optim.Adam(free, lr=0.1)
    for number in range(5):
        for (_, one), other in zip(named, free, strict=True):
            one.grad = torch.sin(torch.arange(3.0, dtype=torch.float64) + number)
            other.grad = one.grad.clone()
        before = [p.detach().clone() for p in free]
        plain.step()
        optimiser.step(0.1)
        # The formula as it is written: Adam's own move, and the pull from where the parameter stood before it.
        for place, (start, old, new, strength) in enumerate(zip(starts, before, free, wanted, strict=True)):
            expected[place] = expected[place] + (new.detach() - old) - 0.1 * strength * (expected[place] - start)
    for (name, one), value in zip(named, expected, strict=True):
        torch.testing.assert_close(one.detach(), value, rtol=0, atol=1e-12, msg=name)


def test_a_parameter_in_no_group_and_a_group_without_one_are_one_line():
    with pytest.raises(HumalignError, match=r"the parameter 'tail2\.weight' is in none of head, tail; '' stands for all others"):
        AdamTowardsInit(parameters(), {"tail": 1.0, "head": 0.0})
    with pytest.raises(HumalignError, match="no parameter is in 'haed': did you mean 'head'"):
        AdamTowardsInit(parameters(), {"": 1.0, "head": 0.0, "haed": 0.5})
    with pytest.raises(HumalignError, match=r"no parameter is in 'zzz': known are: (?!,)\w"):
        AdamTowardsInit(parameters(), {"": 1.0, "zzz": 0.5})


def test_the_learning_rate_without_warm_up_starts_at_its_peak():
    assert warmup_cosine(0, 2.0, 0, 10) == 2.0
    assert warmup_cosine(5, 2.0, 0, 10) == pytest.approx(1.0)


@pytest.mark.parametrize("images", [1, 2])
def test_a_share_of_fewer_images_than_a_triplet_has_says_nothing_of_a_student(images):
    refuse_standstill(torch.randn(images, 4), 1.0, moves=True)
    with pytest.raises(HumalignError, match="alike for all images"):
        refuse_standstill(torch.ones(3, 4), 1.0, moves=True)
