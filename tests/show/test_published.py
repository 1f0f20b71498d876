"""The paper's numbers: each sourced and labelled, and never taken for ours."""

import dataclasses

import pandas as pd
import pytest

from humalign.data import simulate
from humalign.evaluation.odd_one_out import LEVELS
from humalign.evaluation.scores import COLUMNS, complete
from humalign.show import published
from humalign.show.published import PUBLISHED, Published


def scored(stage, split, value, evidence="simulated"):
    return ("demo", "m", stage, "odd-one-out", split, "accuracy", value, value, value, 9, 0, evidence)


def made_up(rows):
    return complete(pd.DataFrame(rows, columns=list(COLUMNS)))


def test_every_number_has_a_source_and_a_known_trust():
    assert all(row.source and row.trust in published.TRUST for row in PUBLISHED)
    keys = [dataclasses.astuple(row)[:5] for row in PUBLISHED if row.split != "THINGS"]
    assert len(keys) == len(set(keys))


def test_accuracies_are_shares_and_ranges_are_in_order():
    for row in PUBLISHED:
        if row.low is not None:
            assert row.value is None and row.low < row.high
        if row.metric == "accuracy" and row.value is not None:
            assert 0 < row.value < 1


def test_levels_have_the_names_of_the_evaluation_and_all_three_of_them():
    for stage in ("base", "aligned", "ceiling"):
        found = {row.split for row in published.published(task="odd-one-out", stage=stage, metric="accuracy")} - {"THINGS"}
        assert found == set(LEVELS)


def test_ceilings_of_levels_are_the_notebook_s_of_all_by_its_numbers_of_trials():
    # The notebook prints 61,727 coarse, 62,549 fine and 30,826 boundary trials, and 0.6896 for all triplets.
    trials = {"global-coarse": 61_727, "local-fine": 62_549, "class-boundary": 30_826}
    ceilings = {row.split: row.value for row in published.published(task="odd-one-out", stage="ceiling", metric="accuracy")}
    every = sum(trials[level] * ceilings[level] for level in trials) / sum(trials.values())
    (whole,) = published.published(split="Levels, all", metric="leave-one-out agreement")
    assert every == pytest.approx(whole.value, abs=5e-5) and whole.trust == "code"


def test_the_untuned_number_of_things_is_of_the_teacher_s_backbone():
    (base,) = published.published(task="odd-one-out", split="THINGS", stage="base")
    assert (base.value, base.model, base.trust) == (0.4424, "SigLIP-So400m", "note")
    (after,) = published.published(task="odd-one-out", split="THINGS", stage="aligned")
    assert after.model == "not stated" and "teacher or student: not stated" in after.source


def test_numbers_that_the_simulation_is_tied_to_are_its_own_constants():
    share, spread = (published.published(task="calibration", metric=metric)[0].value for metric in ("majority-share", "choice-entropy"))
    assert (share, spread) == (simulate.THINGS_MAJORITY_SHARE, simulate.THINGS_CHOICE_ENTROPY)


@pytest.mark.parametrize("wrong", [{"trust": "sure"}, {"value": None}, {"trust": "open"}, {"low": 0.1}])
def test_a_number_without_trust_or_value_is_refused(wrong):
    good = {"task": "t", "split": "s", "metric": "m", "model": "x", "stage": "base", "value": 0.5, "trust": "paper", "source": "p"}
    Published(**good)
    with pytest.raises(ValueError):
        Published(**(good | wrong))


def test_text_is_a_value_a_range_or_says_that_it_is_not_known_and_a_share_is_in_percent():
    row = Published("t", "s", "accuracy", "x", "base", 0.6192, "note", "p")
    assert row.text == "61.92"
    assert dataclasses.replace(row, metric="rsa-spearman", value=-0.64).text == "−0.64"
    assert dataclasses.replace(row, value=None, low=0.3609, high=0.5738).text == "36.09 to 57.38"
    assert dataclasses.replace(row, value=None, trust="open").text == "not known"
    assert dataclasses.replace(row, value=12_340).text == "12,340"


def test_a_misspelt_name_is_an_error():
    with pytest.raises(KeyError, match="globl-coarse"):
        published.published(split="globl-coarse")


def test_several_values_of_a_field_may_be_asked_for():
    found = published.published(task="odd-one-out", split=("global-coarse", "class-boundary"), trust="paper")
    assert {(row.split, row.stage) for row in found} == {("global-coarse", "base"), ("global-coarse", "aligned")}


def test_ours_stands_beside_and_is_said_to_be_another_experiment_where_it_is_simulated():
    scores = made_up([scored("base", "global-coarse", 0.35)])
    ((_, ours, said),) = published.beside(scores, split="global-coarse", trust="paper", stage="base")
    assert ours["value"].tolist() == [0.35] and said == published.DIFFERENT
    ((_, ours, said),) = published.beside(scores, split="local-fine", trust="issue")
    assert ours.empty and said == published.LEVELS_LACK
    scores = made_up([scored("base", "global-coarse", 0.35, "human")])
    ((_, _, said),) = published.beside(scores, split="global-coarse", trust="paper", stage="base")
    assert said == published.SAME and "simulated" not in said


def test_several_scores_in_a_place_that_is_named_and_a_number_of_which_nothing_is_said_are_errors(monkeypatch):
    row = ("things", "m", "taxonomy", "breeds", "living-17", "superclasses", 17, 17, 17, 1, 0, "taxonomy")
    assert published.beside(made_up([row]), split="living-17")[0][2] == "yes: the same hierarchy"
    with pytest.raises(KeyError, match="2 scores fit"):
        published.beside(made_up([row, row]), split="living-17")
    unknown = Published("smell", "THINGS", "accuracy", "m", "base", 0.5, "paper", "nowhere")
    monkeypatch.setattr(published, "PUBLISHED", (unknown,))
    with pytest.raises(KeyError, match="nothing is said of"):
        published.beside(made_up([row]))
