"""Levels: the restricted reader of the pickle, the design, and estimates against brute force."""

import datetime
import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from humalign import readers_levels, registry
from humalign.artefacts import sha256
from humalign.errors import HumalignError
from humalign.evaluation import levels
from humalign.scores import resamples

IMAGES = [f"stimuli/n{i // 4:08d}_{i}.JPEG" for i in range(24)]
KINDS = {"between_class": (0, 4, 8), "within_class": (0, 1, 2), "class_border": (0, 1, 9), "class_boundary": (4, 5, 13)}


def trial(images, odd, kind, rt=1500.0, phase="exp_trial"):
    shown = dict(zip(readers_levels.SHOWN, images, strict=True))
    return shown | {"selected_image": images[odd], "rt": rt, "triplet_type": kind, "exp_trial_type": phase, "extra": [1, 2.5, None, b"x"]}


@pytest.fixture
def raw():
    rng = np.random.default_rng(0)
    people = {}
    for person in range(6):
        trials = [trial(IMAGES[:3], 0, "within_class", phase="training_trial")]
        for kind, rows in KINDS.items():
            for shift in (0, 4, 8):
                images = [IMAGES[(row + shift) % 24] for row in rng.permutation(rows)]
                trials.append(trial(images, int(rng.integers(3)), kind, float(rng.gamma(3, 700))))
        trials.append(trials[3])
        people[f"p{person}"] = trials
    return people


def saved(folder, content, protocol=4):
    path = folder / "pruned_dataset.pkl"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_answers_are_those_of_the_experiment_in_order(tmp_path, raw, protocol):
    path = saved(tmp_path, raw, protocol)
    found = readers_levels.levels_answers(path, sha256(path))
    assert len(found) == 6 * 13 and found.people == tuple(raw)
    told = [(person, one) for person, trials in raw.items() for one in trials if one["exp_trial_type"] == "exp_trial"]
    for row, (person, one) in enumerate(told):
        assert found.people[found.person[row]] == person
        assert [found.images[i] for i in found.triplets[row]] == [one[key] for key in readers_levels.SHOWN]
        assert found.images[found.triplets[row, found.odd[row]]] == one["selected_image"]
        assert found.level[row] == readers_levels.LEVELS[one["triplet_type"]]
        assert found.seconds[row] == pytest.approx(one["rt"] / 1000), "the median is far above a minute: milliseconds"
    assert len(found.first()) == 6 * 10 and len(found.at("class-boundary")) == 6 * 6
    assert found.answers().repeated().counts.sum() == 6 * 13
    with pytest.raises(HumalignError, match="unknown level 'local-fin': did you mean 'local-fine'"):
        found.at("local-fin")


def test_seconds_stay_seconds_and_numbers_may_be_numpy_s(tmp_path, raw):
    for trials in raw.values():
        for number, one in enumerate(trials):
            one["rt"] = np.float64(2.5) if number % 2 else np.float32(1.25)
        trials[5]["rt"] = None
    found = readers_levels.levels_answers(saved(tmp_path, raw))
    assert set(found.seconds[np.isfinite(found.seconds)]) == {2.5, 1.25} and np.isnan(found.seconds).sum() == 6


class Attack:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize(
    "content",
    [
        Attack(os.system, "touch pwned"),
        {"p0": [Attack(eval, "open('pwned', 'w')")]},
        {"p0": [Attack(getattr, "x", "upper")]},
        {"p0": [datetime.date(2025, 1, 1)]},
        {"p0": Counter("ab")},
        {"p0": [np.zeros(3)]},
        b"cposix\nsystem\n(S'touch pwned'\ntR.",
        b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x01x\x85R.",
        b"\x80\x04\x8c\x05numpy\x8c\x14core.os.system.thing\x93.",
    ],
    ids=["system", "eval", "getattr", "date", "counter", "array", "protocol0", "protocol4", "dotted"],
)
def test_a_pickle_that_asks_for_more_than_data_is_one_line_and_runs_nothing(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, content)
    with pytest.raises(HumalignError, match=r"asks to call .*, which no file of answers needs: do not open it") as caught:
        readers_levels.levels_answers(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value) and not (tmp_path / "pwned").exists()


def test_numbers_of_an_odd_kind_are_refused(tmp_path):
    content = pickle.dumps({"p0": [np.str_("abc")]}, 4)
    with pytest.raises(HumalignError, match="holds numbers of the kind"):
        readers_levels.levels_answers(saved(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"<html>", "is a web page"),
        (b"no pickle at all", "cut short, damaged or of another layout"),
        (b"P\x00.", "cut short, damaged or of another layout"),
        ([1, 2], "holds no dictionary of lists"),
        ({"p0": {"a": 1}}, "holds no dictionary of lists"),
        ({"p0": [3]}, "person 'p0', trial 1: no dictionary"),
        ({"p0": []}, "no trial of the experiment"),
    ],
)
def test_no_answers_at_all_are_one_line(tmp_path, content, said):
    with pytest.raises(HumalignError, match=said) as caught:
        readers_levels.levels_answers(saved(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_pickle_cut_short_anywhere_or_of_another_sum_is_one_line(tmp_path, raw):
    whole = pickle.dumps(raw)
    for kept in np.linspace(1, len(whole) - 1, 20).astype(int):
        with pytest.raises(HumalignError, match=r"cut short|another layout"):
            readers_levels.levels_answers(saved(tmp_path, whole[:kept]))
    with pytest.raises(HumalignError, match="is not the file that was asked for") as caught:
        readers_levels.levels_answers(saved(tmp_path, raw), "0" * 64)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"selected_image": "other.JPEG"}, "selected_image 'other.JPEG' is none of the three shown"),
        ({"triplet_type": "withinclass"}, "unknown level 'withinclass': did you mean 'within_class'"),
        ({"triplet_type": None}, "unknown level 'None'"),
        ({"exp_trial_type": "pause"}, "exp_trial_type 'pause' is none of exp_trial, training_trial"),
        ({"rt": "slow"}, "rt 'slow' where a time should stand"),
        ({"rt": -3}, "rt '-3' where a time"),
        ({"image1Path": IMAGES[1], "image2Path": IMAGES[1]}, "are not three different images"),
        ({"image1Path": 3}, "are not three different images"),
    ],
)
def test_a_trial_that_cannot_be_is_one_line_with_its_place(tmp_path, raw, change, said):
    raw["p2"][4] = raw["p2"][4] | change
    with pytest.raises(HumalignError, match=rf"person 'p2', trial 5: .*{said}") as caught:
        readers_levels.levels_answers(saved(tmp_path, raw))
    assert "\n" not in str(caught.value)
    del raw["p2"][4]["rt"]
    with pytest.raises(HumalignError, match="trial 5: no 'rt'"):
        readers_levels.levels_answers(saved(tmp_path, raw))


# ---- the design ------------------------------------------------------------------------------------------------------

DESIGN = """id,image1,image2,image3,trial,triplet_class
participant_0,n04536866_1.JPEG,n03944341_2.JPEG,n03642806_3.JPEG,0,between_class
participant_0,n04536866_1.JPEG,n03944341_2.JPEG,n04536866_3.JPEG,1,class_boundary
participant_1,n04536866_1.JPEG,n04536866_2.JPEG,n04536866_3.JPEG,0,within_class
"""


def test_the_design_names_levels_as_the_paper_does(tmp_path):
    (tmp_path / "design.csv").write_text(DESIGN)
    found = readers_levels.levels_design(tmp_path / "design.csv")
    assert found.level.tolist() == ["global-coarse", "class-boundary", "local-fine"] and found.person.tolist() == [0, 0, 1]
    assert [found.images[i] for i in found.triplets[1]] == ["n04536866_1.JPEG", "n03944341_2.JPEG", "n04536866_3.JPEG"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0,within_class", "0,between_class", "line 4: 1 classes in a trial of between_class"),
        ("n03944341_2.JPEG,n04536866_3.JPEG,1", "n03944341_2.JPEG,n03944341_2.JPEG,1", "line 3: .* are not three different images"),
        ("class_boundary", "boundary", "line 3: unknown level 'boundary'"),
        ("triplet_class", "kind", "line 1: 0 columns 'triplet_class'"),
        (",0,within_class", "", "line 4: 4 columns instead of 6"),
    ],
)
def test_a_fault_of_the_design_is_one_line(tmp_path, old, new, said):
    (tmp_path / "design.csv").write_text(DESIGN.replace(old, new))
    with pytest.raises(HumalignError, match=said) as caught:
        readers_levels.levels_design(tmp_path / "design.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif("HUMALIGN_DATA" not in os.environ, reason="the human data are not on this machine")
def test_the_real_design():
    found = readers_levels.levels_design(registry.verify("levels-design"))
    assert len(found) == 33_000 and len(found.people) == 100
    assert {level: len(found.at(level)) for level in set(readers_levels.LEVELS.values())} == {
        "global-coarse": 13_365, "local-fine": 13_045, "class-boundary": 6_590,
    }  # fmt: skip
    assert (np.bincount(found.person) == 330).all() and all(Path(image).suffix == ".JPEG" for image in found.images)
    # Each triplet was shown to five people, and to nobody twice.
    assert len(np.unique(np.sort(found.triplets, axis=1), axis=0)) == 6_600 and len(found.first()) == len(found)


# ---- scores ----------------------------------------------------------------------------------------------------------

@pytest.fixture
def told(tmp_path, raw):
    return readers_levels.levels_answers(saved(tmp_path, raw))


@pytest.fixture
def weighted(told):
    pool = levels.asked(told)
    return pool, resamples(pool.people, 8, seed=1), resamples(len(pool.triplets), 8, seed=2)


def by_hand(values, pool, people, triplets):
    """Every answer as often as its person times its triplet."""
    return [np.average(values, weights=p[pool.person] * t[pool.row]) for p, t in zip(people, triplets, strict=True)]


def test_pooled_answers_keep_the_pair_whatever_the_order_shown(told):
    pool = levels.asked(told)
    for row in range(len(told)):
        triplet = pool.triplets[pool.row[row]]
        assert set(triplet) == set(told.triplets[row])
        kept = {(0, 1), (0, 2), (1, 2)}
        pair = sorted(kept)[pool.kept[row]]
        assert told.triplets[row, told.odd[row]] not in triplet[list(pair)]
    assert pool.counts.sum() == len(told)
    again = told.answers().repeated(1)
    np.testing.assert_array_equal(again.triplets, pool.triplets)
    np.testing.assert_array_equal(again.counts, pool.counts)


def test_accuracy_by_level_is_that_of_brute_force(told):
    files = [f"elsewhere/{Path(image).name}" for image in IMAGES[::-1]]
    features = np.random.default_rng(1).standard_normal((24, 6))
    for level in set(readers_levels.LEVELS.values()):
        some, rows = levels.with_features(told.at(level), files)
        pool = levels.asked(some)
        people, triplets = resamples(pool.people, 5, seed=1), resamples(len(pool.triplets), 5, seed=2)
        found = levels.accuracy(levels.similarities(features, rows, pool), pool, people, triplets)
        hits = []
        for shown, odd in zip(some.triplets, some.odd, strict=True):
            x = [features[files.index(f"elsewhere/{Path(some.images[i]).name}")] for i in shown]
            cosine = [x[a] @ x[b] / np.linalg.norm(x[a]) / np.linalg.norm(x[b]) for a, b in ((1, 2), (0, 2), (0, 1))]
            hits.append(float(np.argmax(cosine) == odd))
        np.testing.assert_allclose([found.value, *found.draws], by_hand(np.array(hits), pool, people, triplets))
        for alone, drawn in zip(found.alone, ((people, np.ones_like(triplets)), (np.ones_like(people), triplets)), strict=True):
            np.testing.assert_allclose([found.value, *alone], by_hand(np.array(hits), pool, *drawn))
        assert found.n == len(some)


def test_a_model_that_tells_nothing_apart_scores_nothing(weighted):
    pool, people, triplets = weighted
    assert levels.accuracy(np.ones((len(pool.triplets), 3)), pool, people, triplets).value == 0


def test_ceilings_are_those_of_brute_force(weighted):
    pool, people, triplets = weighted
    majority = levels.majority_ceiling(pool, people, triplets)
    assert majority.value == pytest.approx(pool.counts.max(1).sum() / pool.counts.sum())
    right, kept = [], []
    for row, pair in zip(pool.row, pool.kept, strict=True):
        others = pool.counts[row].copy()
        others[pair] -= 1
        kept.append(others.sum() > 0)
        best = np.flatnonzero(others == others.max())
        right.append((pair in best) / len(best))
    found = levels.leave_one_out_ceiling(pool, people, triplets)
    kept, right = np.array(kept), np.array(right)
    drawn = [p[pool.person] * t[pool.row] for p, t in zip(people, triplets, strict=True)]
    wanted = [np.average(right[kept], weights=w[kept]) for w in drawn]
    np.testing.assert_allclose([found.value, *found.draws], wanted)
    assert found.value < majority.value and found.n == kept.sum()
    perfect = levels.accuracy(pool.counts + np.array([0.3, 0.2, 0.1]), pool, people, triplets)
    assert perfect.value == pytest.approx(majority.value)


def test_response_times_are_medians_by_triplet(weighted):
    pool, _, triplets = weighted
    unsure = np.random.default_rng(3).random(len(pool.triplets))
    found = levels.response_times(unsure, pool, triplets)
    median = [np.median(pool.seconds[pool.row == row]) for row in range(len(pool.triplets))]
    assert found.value == pytest.approx(spearmanr(unsure, median).statistic) and found.n == len(median)


def test_images_that_nobody_embedded_are_left_out_or_one_line(told):
    some, rows = levels.with_features(told, IMAGES[:12])
    assert 0 < len(some) < len(told) and (rows[some.triplets] >= 0).all()
    with pytest.raises(HumalignError, match=r"none of the 2 embedded images was shown: the answers are about stimuli/"):
        levels.with_features(told, ["a.JPEG", "b.JPEG"])
    broken = np.full((24, 3), np.nan)
    with pytest.raises(HumalignError, match="features of picture 0 hold NaN"):
        levels.similarities(broken, rows, levels.asked(some))


def test_a_triplet_answered_once_has_no_ceiling(told):
    one = told.keep(np.arange(1))
    pool = levels.asked(one)
    with pytest.raises(HumalignError, match="no triplet was answered twice"):
        levels.leave_one_out_ceiling(pool, resamples(pool.people, 2, 0), resamples(1, 2, 0))
    with pytest.raises(HumalignError, match="response times of fewer than three triplets"):
        levels.response_times(np.ones(1), pool, resamples(1, 2, 0))
