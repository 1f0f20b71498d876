"""The table of scores: intervals, rows, files, and the questions that prose asks of it."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from humalign.errors import HumalignError
from humalign.evaluation import scores
from humalign.evaluation.scores import (
    COLUMNS,
    DERIVED,
    Estimate,
    Score,
    jackknifed,
    mean_of_folds,
    resamples,
)
from humalign.show.stages import STAGES

ATTRS = {"profile": "demo", "seed": 0, "key": "0123456789abcdef", "commit": "abc", "python": "3.11", "versions": json.dumps({"numpy": "2"})}


def score(task="odd-one-out", split="global-coarse", value=0.5, evidence="simulated"):
    return Score(task, split, "accuracy", value, value - 0.1, value + 0.1, 40, evidence)


@pytest.fixture
def frame():
    return scores.table(
        {
            ("b-model", "base"): [score(), score(split="class-boundary", value=0.123456789)],
            ("a-model", "aligned"): [
                score(value=0.7),
                Score("odd-one-out", "local-fine", "accuracy", np.nan, np.nan, np.nan, 0, "simulated"),
                score("few-shot", "x", 0.9, "labels"),
            ],
        },
        "demo",
        3,
    )


# ---- estimates -------------------------------------------------------------------------------------------------------

def test_a_difference_is_paired_draw_by_draw():
    rng = np.random.default_rng(0)
    shared = rng.standard_normal(2000)
    one, other = Estimate(0.6, 0.6 + shared, 50), Estimate(0.5, 0.5 + shared + 0.01 * rng.standard_normal(2000), 50)
    difference = (one - other).score("t", "s", "m", "simulated")
    assert difference.value == pytest.approx(0.1) and difference.n == 50
    assert difference.high - difference.low < 0.06, "what both share cancels"
    unpaired = one.score("t", "s", "m", "simulated")
    assert unpaired.high - unpaired.low > 3


def test_the_interval_is_the_central_95_percent_and_skips_undefined_draws():
    draws = np.append(np.linspace(0, 1, 1001), [np.nan] * 50)
    found = Estimate(0.4, draws, 9).score("t", "s", "m", "human")
    assert (found.low, found.high) == (pytest.approx(0.025), pytest.approx(0.975))
    assert (found.value, found.n, found.evidence) == (0.4, 9, "human")


def test_an_estimate_takes_the_first_entry_as_the_number_itself():
    found = Estimate.of(np.array([0.3, 0.1, 0.2]), 7)
    assert found.value == 0.3 and found.draws.tolist() == [0.1, 0.2] and found.n == 7


def test_folds_are_averaged_draw_by_draw_and_their_items_counted():
    found = mean_of_folds([Estimate(0.2, np.array([0.1, 0.3]), 10), Estimate(0.4, np.array([0.5, 0.3]), 20)])
    assert found.value == pytest.approx(0.3) and found.n == 30
    np.testing.assert_allclose(found.draws, [0.3, 0.3])
    rng = np.random.default_rng(0)
    several = mean_of_folds([Estimate(0.0, rng.standard_normal(4000), 1) for _ in range(4)])
    assert several.draws.std() == pytest.approx(0.5, abs=0.03), "independent folds narrow the interval"


def of_table(values, weights):
    """Return the mean of a table of two kinds of units, drawn with weights of their own."""
    once = tuple(np.ones_like(each) for each in weights)
    drawn = (weights, (weights[0], once[1]), (once[0], weights[1]))
    means = [np.einsum("dr,rc,dc->d", rows, values, columns) / rows.sum(1) / columns.sum(1) for rows, columns in drawn]
    return Estimate.of(means[0], values.size, *means[1:])


def test_what_two_units_have_together_counts_once_in_an_interval():
    rng = np.random.default_rng(0)
    weights = resamples(30, 500, seed=1), resamples(20, 500, seed=2)
    found, counted = [], []
    for _ in range(60):
        estimate = of_table(rng.standard_normal((30, 20)), weights)
        found.append(np.ptp(estimate.interval()) / 3.92)
        counted.append(estimate.draws.std())
    assert np.sqrt(np.mean(np.square(counted))) == pytest.approx(np.sqrt(3 / 600), rel=0.1), "the draws count it three times"
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(np.sqrt(1 / 600), rel=0.1)


def test_what_belongs_to_one_unit_counts_once_already_and_draws_are_brought_about_the_number():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((30, 1)) + np.zeros((30, 20))
    found = of_table(values, (resamples(30, 4000, seed=1), resamples(20, 4000, seed=2)))
    assert np.ptp(found.interval()) == pytest.approx(3.92 * values.std() / np.sqrt(30), rel=0.05)
    aside = Estimate(found.value, found.draws - 0.5, found.n, found.alone)
    np.testing.assert_allclose(aside.interval(), found.interval())
    assert aside.centred().draws.mean() == pytest.approx(found.value)


def test_units_drawn_alone_stay_paired_and_are_averaged():
    rng = np.random.default_rng(0)
    one, other = (Estimate(0.5, rng.standard_normal(50), 9, (rng.standard_normal(50), rng.standard_normal(50))) for _ in range(2))
    for number in range(2):
        np.testing.assert_allclose((one - other).alone[number], one.alone[number] - other.alone[number])
        np.testing.assert_allclose(mean_of_folds([one, other]).alone[number], (one.alone[number] + other.alone[number]) / 2)
    with pytest.raises(ValueError, match="zip"):
        one - Estimate(0.5, one.draws, 9)
    flat = Estimate(0.5, np.full(9, 0.5), 9, (np.full(9, 0.5),))
    assert flat.interval() == (0.5, 0.5)


def test_the_jackknife_of_a_mean_is_its_standard_error_and_is_paired():
    values = np.random.default_rng(0).standard_normal((12, 2))
    weights = resamples(12, 20_000, seed=0)
    found = jackknifed(lambda units: units.mean(0), values, weights)
    for column, estimate in enumerate(found):
        assert estimate.value == pytest.approx(values[:, column].mean()) and estimate.n == 12
        assert estimate.draws.std() == pytest.approx(values[:, column].std(ddof=1) / np.sqrt(12), rel=0.02)
    (again,) = jackknifed(lambda units: units.mean(0)[:1], values, weights)
    np.testing.assert_allclose(again.draws, found[0].draws)


def test_the_same_seed_draws_the_same_units_for_every_model():
    assert (resamples(9, 20, 5) == resamples(9, 20, 5)).all() and (resamples(9, 20, 5) != resamples(9, 20, 6)).any()


@pytest.mark.parametrize("evidence", ["guess", "", "Human"])
def test_evidence_is_one_of_four_words(evidence):
    with pytest.raises(ValueError, match="evidence"):
        score(evidence=evidence)
    assert [score(evidence=known).evidence for known in scores.EVIDENCE] == ["human", "simulated", "taxonomy", "labels"]


# ---- the table -------------------------------------------------------------------------------------------------------

def test_columns_and_rows_stand_in_the_agreed_order(frame):
    assert list(COLUMNS) == "profile model stage task split metric value low high n seed evidence".split()
    assert list(frame.columns) == [*COLUMNS, "set", "item", "x", "reference"] == [*COLUMNS, *DERIVED]
    assert frame[["model", "stage"]].agg("/".join, axis=1).tolist() == ["b-model/base"] * 2 + ["a-model/aligned"] * 3
    assert set(frame["profile"]) == {"demo"} and set(frame["seed"]) == {3}
    assert frame["value"].iloc[1] == 0.123457, "six decimals"


def test_a_number_that_cannot_be_given_is_an_empty_cell(frame):
    row = scores.one(frame, split="local-fine")
    assert np.isnan([row["value"], row["low"], row["high"]]).all() and row["n"] == 0


def test_two_scores_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"two scores of one name.*odd-one-out"):
        scores.table({("m", "base"): [score(), score(value=0.6)]}, "demo", 0)
    assert len(scores.table({("m", "base"): [score()], ("m", "aligned"): [score()]}, "demo", 0)) == 2


# ---- the files -------------------------------------------------------------------------------------------------------

def test_both_files_hold_the_table_and_one_its_provenance(frame, tmp_path):
    scores.write(frame, tmp_path, ATTRS)
    pd.testing.assert_frame_equal(scores.read(tmp_path / "scores.csv"), frame)
    with xr.open_dataset(tmp_path / "scores.nc", engine="h5netcdf") as file:
        assert dict(file.attrs) == ATTRS
        assert list(file.data_vars) == [*COLUMNS, *DERIVED]
        again = file.load().to_dataframe().reset_index(drop=True)
    pd.testing.assert_frame_equal(again[[*COLUMNS, *DERIVED]], frame, check_dtype=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.csv", "scores.nc"]


@pytest.mark.parametrize("name", ["007", "7", "1e3", "NA", "nan", "None", "True", "inf", "0x10", " a", "2024-01-01", "é, \"b\""])
def test_a_name_that_looks_like_a_number_stays_text(frame, tmp_path, name):
    named = frame.assign(model=name, stage=name, set=name, item=name, reference=name)
    scores.write(named, tmp_path, {})
    again = scores.read(tmp_path / "scores.csv")
    for column in ("model", "stage", "set", "item", "reference"):
        assert again[column].tolist() == [name] * len(frame), column
    pd.testing.assert_frame_equal(again[["value", "n", "x"]], named[["value", "n", "x"]])


def test_written_twice_the_bytes_are_the_same(frame, tmp_path):
    for folder in ("one", "two"):
        scores.write(frame, tmp_path / folder, ATTRS)
    for name in ("scores.csv", "scores.nc"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert b"\r" not in (tmp_path / "one" / "scores.csv").read_bytes()


def test_a_file_that_is_no_table_of_scores_is_one_line(frame, tmp_path):
    path = tmp_path / "scores.csv"

    def refused(match):
        with pytest.raises(HumalignError, match=match) as caught:
            scores.read(path)
        assert "\n" not in str(caught.value)

    refused("no scores at .*: run `make reproduce` first")
    path.write_bytes(b"")
    refused("is no table of scores")
    path.write_bytes(b"\x89HDF\xff\xfe\x00" * 20)
    refused("is no table of scores|has columns")
    path.write_text("<html>not found</html>")
    refused("has columns")
    frame.drop(columns="evidence").to_csv(path, index=False)
    refused("has columns .*expected .*evidence")
    path.write_text('a,b\n1,2,3,4\n"x')
    refused("is no table of scores|has columns")


# ---- what split and metric hold -------------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
# Task, split and metric; then the set, the item, x and the reference that they hold.
READ = [
    ("few-shot", "cifar10/10-shot", "accuracy-above-aligned-head", "cifar10", "", 10, "aligned-head"),
    ("few-shot", "subgroup/1-shot", "accuracy", "subgroup", "", 1, ""),
    ("style-shift", "same-concept", "nearest-neighbour", "same-concept", "", None, ""),
    ("subpopulation-shift", "entity-13/2-shot, target", "accuracy", "entity-13", "target", 2, ""),
    ("soft-labels", "cifar10/5-shot", "cross-entropy-above-base", "cifar10", "", 5, "base"),
    ("natural-adversarial", "ImageNet-A/1-shot", "accuracy-above-base", "ImageNet-A", "", 1, "base"),
    ("corruption", "cifar10/clean", "accuracy", "cifar10", "clean", 0, ""),
    ("corruption", "cifar10/severity 3", "accuracy-above-unaligned", "cifar10", "severity 3", 3, "unaligned"),
    ("corruption", "cifar10/shot-noise", "accuracy", "cifar10", "shot-noise", None, ""),
    ("hierarchy", "unseen objects/path 6-9", "standardised-distance", "unseen objects", "path 6-9", 6, ""),
    ("hierarchy", "THINGS, path 14+", "standardised-distance", "THINGS", "path 14+", 14, ""),
    ("hierarchy", "ImageNet, same-superclass", "standardised-distance-above-base", "ImageNet",
     "same-superclass", None, "base"),
    ("hierarchy", "things-photographs/WordNet", "path-spearman", "things-photographs", "WordNet", None, ""),
    ("hierarchy", "same-subgroup", "standardised-distance-above-base", "held-out", "same-subgroup", None, "base"),
    ("odd-one-out", "unseen objects", "accuracy-above-teacher-base", "unseen objects", "", None,
     "teacher-base"),
    ("odd-one-out", "category/body part", "accuracy", "unseen objects", "body part", None, ""),
    ("odd-one-out", "global-coarse/unseen-concepts", "accuracy", "global-coarse",
     "unseen-concepts", None, ""),
    ("odd-one-out", "THINGS photographs, unseen halves", "accuracy", "THINGS photographs", "", None, ""),
    ("odd-one-out", "THINGS, photographs judged", "accuracy", "THINGS", "", None, ""),
    ("similarity-judgments", "92 photographs, from THINGS photographs", "rsa-spearman",
     "92 photographs", "", None, ""),
    ("calibration", "step 7", "confidence", "unseen objects", "", 7, ""),
    ("learning-curve", "6221 answers", "accuracy-above-all", "answers", "", 6221, "all"),
    ("learning-curve", "309 objects", "accuracy", "objects", "", 309, ""),
    ("observer-model", "all seeds", "accuracy", "all seeds", "", None, ""),
    ("dense-against-sparse", "sparse/4536 images", "agreement-with-teacher", "sparse", "", 4536, ""),
    ("dense-against-sparse", "equal agreement", "share-of-images", "equal agreement", "", None, ""),
    ("distillation", "step 99", "divergence", "training triplets", "", 99, ""),
    ("distillation", "validation triplets, step 6", "agreement-with-labels", "validation triplets",
     "", 6, ""),
    ("distillation", "held-out", "agreement-with-teacher", "held-out", "", None, ""),
    ("pull-selection", "0.0005", "accuracy", "hidden training concepts", "", 0.0005, ""),
    ("map", "objects/body part", "x", "objects", "body part", None, ""),
    ("vice-dimensions", "50: rudder, net", "share-of-weight", "dimensions of our VICE",
     "rudder, net", 50, ""),
    ("dimensions", "rug, wallpaper", "similarity-above-teacher-base",
     "dimensions of the published VICE", "rug, wallpaper", None, "teacher-base"),
    ("disagreement", "9: faucet + mat", "standardised-distance", "pairs of THINGS photographs",
     "faucet + mat", 9, ""),
    ("disagreement-vice", "200 pairs", "distance-pearson", "200 pairs", "", None, ""),
    ("example-triplet", "open: bank + hubcap | film", "share", "open", "bank + hubcap | film", None, ""),
    ("breeds", "living-17", "superclasses", "living-17", "", None, ""),
    ("unheard", "somewhere, new", "thing", "somewhere", "", None, ""),
]
# How set, item and x make up a split again, where there is an x or an item.
COMPOSED = {
    "few-shot": ["{set}/{x:g}-shot"], "style-shift": ["{set}/{x:g}-shot"],
    "soft-labels": ["{set}/{x:g}-shot"],
    "corruption": ["{set}/{item}", "{set}/severity {x:g}"], "hierarchy": ["{set}/{item}", "{item}"],
    "map": ["{set}/{item}"], "price": ["{set}/{item}/{x:g}", "{set}/{item}"],
    "odd-one-out": ["{set}/{item}", "category/{item}"], "calibration": ["step {x:g}"],
    "example-triplet": ["{set}: {item}"],
    "learning-curve": ["{x:.0f} {set}"], "recovery": ["{x:.0f} {set}"],
    "observer-model": ["{x:.0f} {set}"], "dimensions": ["{item}"],
    "vice-dimensions": ["{x:g}: {item}"], "disagreement": ["{x:g}: {item}"],
    "dense-against-sparse": ["{set}/{x:g} images"],
    "distillation": ["step {x:g}"], "pull-selection": ["{x:g}"],
}


@pytest.mark.parametrize(("task", "split", "metric", "name", "item", "x", "reference"), READ)
def test_set_item_x_and_reference_are_read_out(task, split, metric, name, item, x, reference):
    several = [Score(task, split, metric, 0.5, 0.4, 0.6, 9, "human")]
    (row,) = scores.table({("m", "s"): several}, "p", 0).to_dict("records")
    assert (row["set"], row["item"], row["reference"]) == (name, item, reference)
    assert np.isnan(row["x"]) if x is None else row["x"] == x
    assert scores.above(metric.split("-above-")[0], reference) == metric or "change" in metric


RECORDED = [*sorted(ROOT.glob("book/recorded/*/scores.csv")), ROOT / "book/recorded/predecessor.csv"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_recorded_row_is_read_out_without_a_rest(path):
    frame = scores.read(path)
    assert list(frame.columns) == [*COLUMNS, *DERIVED] and len(frame)
    assert frame["x"].dtype == float and not frame[["set", "item", "reference"]].isna().any(axis=None)
    for row in frame.to_dict("records"):
        if row["item"] or not np.isnan(row["x"]):
            forms = COMPOSED[row["task"]]
            assert row["split"] in [form.format(**row) for form in forms], row
            optional = row["task"] in ("corruption", "hierarchy", "price")
            assert optional or np.isnan(row["x"]) == ("{x" not in forms[0]), row
        else:
            assert (row["split"] + ", ").startswith(f"{row['set']}, ") and row["set"], row
            held = r"-shot|step |\d (images|answers|objects$)|severity|path |category/"
            assert not re.search(held, row["split"]), row
        compared = "-above-" in row["metric"]
        assert compared == bool(row["reference"]) and row["metric"].endswith(row["reference"]), row
        assert row["reference"] in {"", "all", *STAGES}, row


def test_no_interval_of_a_share_of_answers_leaves_0_to_1():
    several = [Score("odd-one-out", "a", "accuracy", 0.99, 0.97, 1.02, 9, "human"),
               Score("odd-one-out", "a", "accuracy-above-base", 0.99, -0.2, 1.02, 9, "human"),
               Score("odd-one-out", "b", "accuracy-dot", 0.01, -0.01, 0.02, 9, "human")]
    table = scores.table({("m", "s"): several}, "p", 0)
    assert table[["low", "high"]].to_numpy().tolist() == [[0.97, 1.0], [-0.2, 1.02], [0.0, 0.02]]


def test_a_table_that_has_the_columns_is_taken_as_it_is_and_an_older_one_is_completed(frame, tmp_path):
    path = tmp_path / "scores.csv"
    frame.assign(set="elsewhere", x=7.0).to_csv(path, index=False)
    assert set(scores.read(path)["set"]) == {"elsewhere"} and set(scores.read(path)["x"]) == {7.0}
    frame[list(COLUMNS)].to_csv(path, index=False)
    pd.testing.assert_frame_equal(scores.read(path), frame)
    none = scores.table({}, "demo", 0)
    assert none.empty and list(none.columns) == [*COLUMNS, *DERIVED]


# ---- questions -------------------------------------------------------------------------------------------------------

def test_pick_takes_one_value_or_several(frame):
    assert len(scores.pick(frame, model="b-model")) == 2
    assert len(scores.pick(frame, split=["global-coarse", "x"])) == 3
    assert len(scores.pick(frame, split="global-coarse", stage="aligned")) == 1
    curve = scores.table({("m", "s"): [score("few-shot", f"a/{shots}-shot") for shots in (1, 2, 5)]}, "p", 0)
    assert len(scores.pick(curve, x=2)) == 1 and len(scores.pick(curve, x=range(1, 3))) == 2


def test_one_is_one(frame):
    assert scores.one(frame, model="a-model", split="global-coarse")["value"] == 0.7
    with pytest.raises(KeyError, match="2 scores fit"):
        scores.one(frame, split="global-coarse")
    with pytest.raises(KeyError, match="0 scores fit"):
        scores.one(frame, split="global-course")


def test_disagreements_name_the_rows_that_differ(frame):
    assert scores.disagreements(frame, frame.copy(), 0.0) == []
    assert scores.disagreements(frame, frame.iloc[::-1], 0.0) == [], "the order of rows does not matter"
    other = frame.copy()
    other.loc[0, ["value", "low", "high"]] += 0.25
    assert scores.disagreements(frame, other, 0.3) == []
    (line,) = scores.disagreements(frame, other, 0.02)
    assert "b-model / base / odd-one-out / global-coarse / accuracy: 0.5 fresh, 0.75 recorded" == line
    other = frame.copy()
    other.loc[1, "high"] += 0.5
    assert len(scores.disagreements(frame, other, 0.02)) == 1, "intervals count"
    other = frame.copy()
    other.loc[3, "value"] = 0.2
    assert len(scores.disagreements(frame, other, 0.02)) == 1, "a number where there was none"
    lines = scores.disagreements(frame.drop(index=0), frame.drop(index=4), 0.02)
    assert sorted(line.split(": ")[1] for line in lines) == ["only in the fresh table", "only in the recorded table"]
    relabelled = frame.assign(evidence=["human", *frame["evidence"][1:]])
    assert len(scores.disagreements(frame, relabelled, 0.02)) == 2, "evidence is part of a row's name"


@pytest.mark.parametrize("wide", ["fresh", "recorded"])
def test_the_narrower_interval_says_how_far_apart_numbers_may_be(frame, wide):
    other = frame.copy()
    other.loc[0, "value"] += 0.15
    assert scores.disagreements(frame, other, 0.02) == [], "both intervals are 0.2 wide"
    narrow = frame.assign(low=frame["value"] - 0.01, high=frame["value"] + 0.01)
    other.loc[0, "low"], other.loc[0, "high"] = 0.5, 0.7
    pair = (other, narrow) if wide == "fresh" else (narrow, other)
    assert any("b-model / base / odd-one-out / global-coarse" in line for line in scores.disagreements(*pair, 0.02))
