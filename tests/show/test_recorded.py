"""What the pages show of recorded experiments."""

import pandas as pd
import pytest

from humalign.chain import origins
from humalign.errors import HumalignError
from humalign.show import recorded, sentences


@pytest.fixture(scope="module")
def tried():
    rows = recorded.table("teacher_search")
    return rows[rows["group"] == "objects"]


def test_every_map_that_was_tried_is_in_the_table_with_its_own_numbers(tried):
    assert set(tried["map"]) - {"chosen, strict"} == set(recorded.MAPS)
    shown = recorded.searched(tried)
    by_hand = tried[tried["metric"] == "accuracy-dot"].set_index("map")
    for what, row in zip(recorded.MAPS, shown.to_dict("records"), strict=True):
        assert row["accuracy"].startswith(f"{100 * by_hand['value'][what]:.1f}\n")
    for what in ("chosen", "VICE, seen"):
        low, gain = by_hand["gain low"][what], by_hand["gain"][what]
        said = sentences.amount(recorded.gain(tried, what), counted=False)
        assert said.startswith(f"{100 * gain:+.1f} points") and ("includes zero" in said) == (low <= 0)


def test_the_present_teacher_is_that_of_the_recorded_run(tried):
    run = pd.read_csv(origins.RECORDED / "things" / "scores.csv")
    rows = run[(run["stage"] == "teacher") & (run["split"] == "unseen objects")]
    known = rows[rows["task"] == "odd-one-out"].set_index("metric")["value"]
    for metric in ("accuracy", "accuracy-dot"):
        assert recorded.reached(tried, "present", metric)["value"] == known[metric]


def test_categories_stand_by_how_much_is_missing(tried):
    gaps = recorded.gaps(tried)
    assert gaps["value"].is_monotonic_decreasing and len(gaps) == gaps["item"].nunique() > 20


def test_the_confirmation_says_yes_only_where_the_interval_is_above_zero():
    once = recorded.table("confirmation")
    shown = recorded.confirmed(once)
    assert shown.shape == (len(once), 5) and set(shown["confirmed"]) == {"yes", "no"}
    assert (once.loc[shown["confirmed"] == "yes", "low"] > 0).all()
    assert (once.loc[(shown["confirmed"] == "no"), "low"] <= 0).all()  # no sign test of people was the reason
    people = once[once["measure"] == "persons"]
    assert (people["above"] + people["below"] == 16).all()


def test_what_was_fixed_is_the_recipe_as_it_stands():
    from humalign.artefacts import sha256

    fixed = recorded.note("confirmation")["fixed"]
    assert fixed["sha256"] == sha256(origins.RECORDED.parents[1] / "benchmarks" / "confirmation.yaml")


def test_a_table_that_is_lacking_or_damaged_is_one_line(tmp_path):
    with pytest.raises(HumalignError, match=r"run benchmarks/confirmation.py --record"):
        recorded.table("confirmation", tmp_path)
    (tmp_path / "teacher_search.csv").write_text("map,value\na,1\n")
    with pytest.raises(HumalignError, match="has no column gain, low"):
        recorded.table("teacher_search", tmp_path)


@pytest.mark.parametrize("read", [recorded.architectures, recorded.enough, recorded.photographs])
def test_a_record_that_is_not_there_is_one_line(tmp_path, monkeypatch, read):
    monkeypatch.setattr(origins, "RECORDED", tmp_path)
    with pytest.raises(HumalignError, match=rf"restore it, or run benchmarks/\w+\.py --record {tmp_path}$"):
        read()


@pytest.mark.parametrize("text", [None, "{", "3"])
def test_a_note_that_is_not_there_or_damaged_is_one_line(tmp_path, text):
    if text:
        (tmp_path / "confirmation.json").write_text(text)
    with pytest.raises(HumalignError, match=r"does not say where the numbers are from .*restore it, or run"):
        recorded.note("confirmation", tmp_path)


def test_families_of_architectures_are_counted_by_what_came_of_one_of_each(tmp_path, monkeypatch):
    (tmp_path / "architectures.csv").write_text(
        "library,family,model,outcome\n"
        "timm,a,a1,builds\ntimm,a,a2,aligned\ntimm,b,b1,refused\ntimm,b,b2,builds\ntimm,c,c1,refused\nopen_clip,a,x,aligned\n"
    )
    monkeypatch.setattr(origins, "RECORDED", tmp_path)
    found, columns = recorded.architectures()
    assert found["library"].to_list() == ["open_clip, 1 models", "timm, 5 models"]
    assert found[["families", "aligned", "builds", "refused"]].to_numpy().tolist() == [[1, 1, 0, 0], [3, 1, 1, 1]]
    assert columns == {name: name for name in ("library", "families", "aligned", "refused")} | {"builds": "too large"}
