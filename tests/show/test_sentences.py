"""Sentences of made-up scores: the interval decides what is said, and every template can say no."""

import pandas as pd
import pytest

from humalign.evaluation.scores import COLUMNS, complete
from humalign.show import sentences


def row(value, spread=0.01, stage="aligned", split="s", metric="accuracy", model="m", task="t", n=1200):
    return ("things", model, stage, task, split, metric, value, value - spread, value + spread, n, 0, "human")


def made_up(*rows):
    return complete(pd.DataFrame(rows, columns=list(COLUMNS)))


def gain(value, spread=0.01, **where):
    return row(value, spread, metric=where.pop("metric", "accuracy") + "-above-base", **where)


@pytest.mark.parametrize(
    ("value", "metric", "said"),
    [
        (0.039, "accuracy", "+3.9 points (2.9 to 4.9; n = 1,200)"),
        (-0.039, "accuracy", "−3.9 points (−4.9 to −2.9; n = 1,200)"),
        (0.004, "accuracy", "+0.4 points, but the interval (−0.6 to 1.4; n = 1,200) includes zero"),
        (0.5, "rsa-spearman", "+0.50 (0.49 to 0.51; n = 1,200)"),
        (-0.05, "cross-entropy", "−0.05 nats (−0.06 to −0.04; n = 1,200)"),
        (0.0101, "accuracy", "+1.0 points (0.01 to 2.0; n = 1,200)"),
    ],
)
def test_change_has_its_unit_its_interval_and_its_n(value, metric, said):
    assert sentences.amount(made_up(gain(value, metric=metric)).iloc[0]) == said


def test_value_has_its_interval_and_its_n_or_is_a_dash():
    scores = made_up(row(0.384), row(-0.384, metric="rsa-spearman"), row(float("nan"), split="r"))
    assert [sentences.value(each) for _, each in scores.iterrows()] == [
        "38.4 % (37.4 to 39.4; n = 1,200)",
        "−0.38 (−0.39 to −0.37; n = 1,200)",
        "—",
    ]


def test_a_difference_that_cannot_be_given_is_a_dash_and_no_gain():
    ((_, found),) = made_up(gain(float("nan"))).iterrows()
    assert sentences.amount(found) == "—" and sentences.side(found) == "across"
    assert sentences.verdict({"it": found}, "here").startswith("No: here, 0 of 1")


def test_a_difference_beside_a_figure_can_leave_out_its_n():
    assert sentences.amount(made_up(gain(0.004)).iloc[0], counted=False) == "+0.4 points, but the interval (−0.6 to 1.4) includes zero"


def test_each_says_the_difference_of_every_model():
    scores = made_up(gain(0.1, model="efficientnet-lite0"), gain(0.0, model="b"))
    assert sentences.each(scores, "aligned", "base") == (
        "Lite0: +10.0 points (9.0 to 11.0; n = 1,200); "
        "b: 0.0 points, but the interval (−1.0 to 1.0; n = 1,200) includes zero"
    )
    with pytest.raises(KeyError, match="no score fits"):
        sentences.each(scores, "aligned", "unaligned")


def test_count_sorts_intervals_by_zero():
    rows = made_up(
        *(
            gain(value, split=f"cifar10/{shots}-shot", task="few-shot")
            for shots, value in ((1, 0.1), (2, -0.1), (5, 0.0), (10, 0.2))
        )
    )
    assert sentences.count(rows, "numbers of shots") == (
        "above zero for 2 of 4 numbers of shots, below it for 1; for 1 the interval includes it"
    )
    assert sentences.count(rows.tail(1), "levels") == "above zero for 1 of 1 levels, below it for none"
    with pytest.raises(KeyError, match="no scores of levels"):
        sentences.count(rows.head(0), "levels")


def test_best_names_both_ends():
    rows = made_up(
        gain(0.1, split="category/bird", task="odd-one-out"),
        gain(0.2, split="category/tool", task="odd-one-out"),
    )
    assert sentences.best(rows) == {
        "largest": "tool, +20.0 points (19.0 to 21.0; n = 1,200)",
        "smallest": "bird, +10.0 points (9.0 to 11.0; n = 1,200)",
    }
    with pytest.raises(KeyError):
        sentences.best(rows.head(0))


def test_share_is_the_part_of_the_way():
    start, reached, goal = (pd.Series({"value": value}) for value in (0.2, 0.5, 0.6))
    assert sentences.share(start, reached, goal) == pytest.approx(0.75)


def test_the_verdict_can_say_yes_in_part_and_no():
    def said(*values):
        return sentences.verdict(
            {
                f"gain {n}": found
                for n, (_, found) in enumerate(made_up(*(gain(v, split=str(v)) for v in values)).iterrows())
            },
            "here",
        )

    assert said(0.1, 0.2) == "Yes: here, all 2 gains have a paired 95 % interval above zero."
    assert said(0.1, -0.2) == (
        "In part: here, 1 of 2 gains have a paired 95 % interval above zero. "
        "Not so gain 1: −20.0 points (−21.0 to −19.0; n = 1,200)."
    )
    assert said(0.0).startswith("No: here, 0 of 1 gains") and "includes zero" in said(0.0)
