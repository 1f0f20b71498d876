"""Levels: the restricted reader of the pickle, the authors' rules worked by hand, and estimates against brute force."""

import dataclasses
import datetime
import itertools
import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rehearsal_inputs
from scipy.stats import spearmanr

from humalign import profiles
from humalign.chain import pipeline
from humalign.chain.scoring import similarity
from humalign.chain.scoring.rows import PEOPLE
from humalign.data import readers_levels
from humalign.data.judgments import cosine_similarities
from humalign.errors import HumalignError
from humalign.evaluation import levels
from humalign.evaluation.scores import resamples

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
    found = readers_levels.levels_answers(path)
    assert len(found) == 6 * 13 and found.people == tuple(raw)
    experimental = [(person, one) for person, trials in raw.items() for one in trials if one["exp_trial_type"] == "exp_trial"]
    for row, (person, one) in enumerate(experimental):
        assert found.people[found.person[row]] == person
        assert [found.images[i] for i in found.triplets[row]] == [Path(one[key]).name for key in readers_levels.SHOWN]
        assert found.images[found.triplets[row, found.odd[row]]] == Path(one["selected_image"]).name
        assert found.level[row] == readers_levels.LEVELS[one["triplet_type"]]
        assert found.seconds[row] == pytest.approx(one["rt"] / 1000)
    assert len(found.at("class-boundary")) == 6 * 6
    with pytest.raises(HumalignError, match="unknown level 'local-fin': did you mean 'local-fine'"):
        found.at("local-fin")


def test_times_are_milliseconds_whatever_they_are_and_may_be_numpy_s(tmp_path, raw):
    for trials in raw.values():
        for number, one in enumerate(trials):
            one["rt"] = np.float64(45.5) if number % 2 else np.float32(31.25)
        trials[5]["rt"] = None
    found = readers_levels.levels_answers(saved(tmp_path, raw))
    assert set(found.seconds[np.isfinite(found.seconds)]) == {0.0455, 0.03125} and np.isnan(found.seconds).sum() == 6


def test_times_in_seconds_are_one_line(tmp_path, raw):
    for trials in raw.values():
        for one in trials:
            one["rt"] /= 1000
    with pytest.raises(HumalignError, match=r"pruned_dataset.pkl: median rt [0-9.]+: are these seconds\? It should hold mill") as caught:
        readers_levels.levels_answers(saved(tmp_path, raw))
    assert "\n" not in str(caught.value)


def test_what_is_no_answer_of_the_experiment_is_left_out(tmp_path, raw):
    whole = len(readers_levels.levels_answers(saved(tmp_path, raw)))
    raw["p1"][2] |= {"selected_image": "No image selected", "rt": None}
    raw["p1"][4] |= {"exp_trial_type": "catch_trial"}
    assert len(readers_levels.levels_answers(saved(tmp_path, raw))) == whole - 2


def test_images_are_known_by_name_whatever_their_folder(tmp_path, raw):
    before = readers_levels.levels_answers(saved(tmp_path, raw))
    for one in raw["p1"]:
        one["selected_image"] = Path(one["selected_image"]).name
        one["image1Path"] = f"elsewhere/{Path(one['image1Path']).name}"
    after = readers_levels.levels_answers(saved(tmp_path, raw))
    assert after.images == before.images and (after.triplets == before.triplets).all() and (after.odd == before.odd).all()


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
        ({"p0": []}, "no answered trial of the experiment"),
    ],
)
def test_no_answers_at_all_are_one_line(tmp_path, content, said):
    with pytest.raises(HumalignError, match=said) as caught:
        readers_levels.levels_answers(saved(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_pickle_cut_short_anywhere_is_one_line(tmp_path, raw):
    whole = pickle.dumps(raw)
    for kept in np.linspace(1, len(whole) - 1, 20).astype(int):
        with pytest.raises(HumalignError, match=r"cut short|another layout"):
            readers_levels.levels_answers(saved(tmp_path, whole[:kept]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"selected_image": "other.JPEG"}, "selected_image 'other.JPEG' is none of the three shown"),
        ({"triplet_type": "withinclass"}, "unknown level 'withinclass': did you mean 'within_class'"),
        ({"triplet_type": None}, "unknown level 'None'"),
        ({"exp_trial_type": "pause"}, "exp_trial_type 'pause' is none of exp_trial, training_trial, catch_trial"),
        ({"rt": "slow"}, "rt 'slow' where milliseconds above 0 should stand"),
        ({"rt": -3}, "rt '-3' where milliseconds"),
        ({"rt": 0}, "rt '0' where milliseconds"),
        ({"rt": 2_300_000}, r"rt '2300000', but a trial ends after 15,000 ms: are these milliseconds\?"),
        ({"triplet_type": "between_class"}, "images of 1 ImageNet classes in a trial of between_class"),
        ({"selected_image": 7}, "selected_image '' is none of the three shown"),
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


# ---- the authors' rules, by hand ----------------------------------------------------------------------------------------

# Answers to six triplets of one class: the image that each of five or six people chose, and their times in milliseconds.
BY_HAND = [
    ("aaaaa", [1000] * 5),
    ("aabb", [4000] * 4),
    ("aabc", [1000, 1000, 1000, 14000]),
    ("aaabb", [2000] * 5),
    ("abc", [9000] * 3),  # three answers: it does not count
    ("aaaaaa", [500] * 6),  # of six, five are drawn
]


def by_hand(folder):
    people = {}
    for triplet, (chosen, times) in enumerate(BY_HAND):
        images = [f"n00000001_{3 * triplet + place:02}.JPEG" for place in range(3)]
        for person, (choice, rt) in enumerate(zip(chosen, times, strict=True)):
            people.setdefault(f"p{person}", []).append(trial(images, "abc".index(choice), "within_class", rt))
    return readers_levels.levels_answers(saved(folder, people))


def test_answers_that_count_are_four_or_five_a_triplet(tmp_path):
    answers = by_hand(tmp_path)
    pools = [levels.asked(levels.counted(answers, np.random.default_rng(seed))) for seed in range(40)]
    pool = pools[0]
    assert pool.counts.sum(1).tolist() == [5, 4, 4, 5, 5]
    assert [answers.images[first] for first in pool.triplets[:, 0]] == [f"n00000001_{number:02}.JPEG" for number in (0, 3, 6, 9, 15)]
    assert len({frozenset(each.person[each.row == 4].tolist()) for each in pools}) == 6, "each of six people is left out by some seed"
    four = pool.drawn(np.random.default_rng(0))
    assert four.counts.sum(1).tolist() == [4] * 5 and (four.triplets == pool.triplets).all() and (four.counts <= pool.counts).all()


def test_ceilings_and_times_are_those_worked_by_hand(tmp_path):
    answers, seen = by_hand(tmp_path), set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        pool = levels.asked(levels.counted(answers, rng))
        four = pool.drawn(rng)
        once = np.ones((1, pool.people)), np.ones((1, 5))
        # Each answer against the others to its triplet:
        # aaaaa  1 each.
        # aabb   against abb or aab: never the most frequent one, 0 each.
        # aabc   an a against abc, where all three are equal, 1/3 each; b against aac and c against aab 0: (1/3 + 1/3) / 4 = 1/6.
        # aaabb  an a against aabb, two equal ones, 1/2 each; a b against aaab 0: 3/2 / 5 = 3/10.
        # aaaaa  1 each.
        # Their mean; that of answers would be 12.17 / 23 = .529.
        assert levels.leave_one_out_ceiling(pool, *once).value == pytest.approx((1 + 0 + 1 / 6 + 3 / 10 + 1) / 5)
        # Largest shares of four: 1, 1/2, 1/2, then 1/2 where aabb is drawn of aaabb and 3/4 where aaab is, and 1.
        share = levels.majority_ceiling(four, *once).value
        # Entropies 0, ln 2, 1.5 ln 2, then ln 2 (aabb) or .562 (aaab), and 0: ranks 1.5, 3.5, 5, 3.5, 1.5 or 1.5, 4, 5, 3, 1.5.
        # Mean log seconds 0, ln 4 = 1.386, ln 14 / 4 = .660, ln 2 = .693, -ln 2: ranks 2, 5, 3, 4, 1. The median, or a cut-off at 10
        # seconds, would tie the third with the first; the mean of seconds would put it last.
        # Products of what is above the mean rank 3: 6 of 9 and 10, or 6.5 of 9.5 and 10.
        agree = levels.response_times(four.entropies, pool, once[1]).value
        wanted = {0.70: 6 / np.sqrt(90), 0.75: 6.5 / np.sqrt(95)}
        assert round(share, 9) in wanted and agree == pytest.approx(wanted[round(share, 9)])
        seen.add(round(share, 9))
    assert seen == {0.70, 0.75}


def in_the_notebook(choices):
    """Leave-one-out agreement as the authors' notebook has it: of several most frequent answers, the two that come first are seen."""
    right = 0
    for left_out, choice in enumerate(choices):
        most = Counter(one for number, one in enumerate(choices) if number != left_out).most_common()
        tied = len(most) > 1 and most[0][1] == most[1][1]
        right += 0.5 * (choice in (most[0][0], most[1][0])) if tied else choice == most[0][0]
    return right / len(choices)


@pytest.mark.parametrize("choices", ["aaaa", "aaab", "aabb", "aaaaa", "aaaab", "aaabb", "aabbc", "aaabc", "aabc"])
def test_leave_one_out_is_the_notebook_s_whatever_the_order(tmp_path, choices):
    images = [f"n00000001_{place}.JPEG" for place in range(3)]
    people = {f"p{number}": [trial(images, "abc".index(choice), "within_class")] for number, choice in enumerate(choices)}
    pool = levels.asked(readers_levels.levels_answers(saved(tmp_path, people)))
    ours = levels.leave_one_out_ceiling(pool, np.ones((1, pool.people)), np.ones((1, 1))).value
    theirs = [in_the_notebook(order) for order in itertools.permutations(choices)]
    assert ours == pytest.approx(np.mean(theirs))
    # Only where all three answers are equally frequent does the order of the file matter there.
    assert (np.ptp(theirs) > 0) == (choices == "aabc")


def test_too_few_answers_to_every_triplet_are_one_line(tmp_path):
    answers = by_hand(tmp_path)
    with pytest.raises(HumalignError, match=r"no triplet of Levels has 4 answers: .* download the whole file") as caught:
        levels.counted(answers.keep(answers.person < 3), np.random.default_rng(0))
    assert "\n" not in str(caught.value)
    with pytest.raises(HumalignError, match="no triplet of Levels has 4 answers"):
        levels.counted(answers.at("class-boundary"), np.random.default_rng(0))


def test_median_seconds_are_of_a_person_s_first_330_trials_below_ten_seconds(tmp_path):
    shown = [f"n00000001_{place}.JPEG" for place in range(3)]
    # p0: 12 s is dropped, the next 330 take 2 s, and a second session of 400 at 5 s does not count: 2. p1: 3 and 4 s, for 11 s is
    # dropped: 3.5. p2: 8. All three: 3.5.
    times = {"p0": [12_000, *[2_000] * 330, *[5_000] * 400], "p1": [3_000, 11_000, 4_000], "p2": [8_000]}
    people = {name: [trial(shown, 0, "within_class", rt) for rt in rts] for name, rts in times.items()}
    # Of another level, and the 331st trial of p0: nobody has a time there.
    people["p0"].append(trial([*shown[:2], "n00000002_0.JPEG"], 0, "class_border", 1_000))
    answers = readers_levels.levels_answers(saved(tmp_path, people))
    counts = np.array([[1, 1, 1], [2, 0, 1], [0, 1, 1], [0, 3, 1], [0, 0, 0]], dtype=float)
    found = levels.median_seconds(answers, "local-fine", counts)
    assert found.value == 3.5 and found.n == 3
    np.testing.assert_allclose(found.draws, [2.0, (3.5 + 8) / 2, 3.5, np.nan])
    with pytest.raises(HumalignError, match="class-boundary: no response time of at most 10 seconds"):
        levels.median_seconds(answers, "class-boundary", counts)


# ---- scores ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def given(tmp_path, raw):
    return readers_levels.levels_answers(saved(tmp_path, raw))


@pytest.fixture
def weighted(given):
    pool = levels.asked(given)
    return pool, resamples(pool.people, 8, seed=1), resamples(len(pool.triplets), 8, seed=2)


def weighted_means(values, pool, people, triplets):
    """Every answer as often as its person times its triplet."""
    return [np.average(values, weights=p[pool.person] * t[pool.row]) for p, t in zip(people, triplets, strict=True)]


def test_pooled_answers_keep_the_pair_whatever_the_order_shown(given):
    pool = levels.asked(given)
    for row in range(len(given)):
        triplet = pool.triplets[pool.row[row]]
        assert set(triplet) == set(given.triplets[row])
        kept = {(0, 1), (0, 2), (1, 2)}
        pair = sorted(kept)[pool.kept[row]]
        assert given.triplets[row, given.odd[row]] not in triplet[list(pair)]
    assert pool.counts.sum() == len(given)


def test_accuracy_by_level_is_that_of_brute_force(given):
    files = [f"elsewhere/{Path(image).name}" for image in IMAGES[::-1]]
    features = np.random.default_rng(1).standard_normal((24, 6))
    rows = given.rows_in(files)
    assert [Path(files[row]).name for row in rows] == list(given.images)
    for level in readers_levels.CLASSES:
        some = given.at(level)
        pool = levels.asked(some)
        people, triplets = resamples(pool.people, 5, seed=1), resamples(len(pool.triplets), 5, seed=2)
        found = levels.accuracy(cosine_similarities(features[rows], pool.triplets), pool, people, triplets)
        hits = []
        for shown, odd in zip(some.triplets, some.odd, strict=True):
            x = [features[files.index(f"elsewhere/{some.images[i]}")] for i in shown]
            cosine = [x[a] @ x[b] / np.linalg.norm(x[a]) / np.linalg.norm(x[b]) for a, b in ((1, 2), (0, 2), (0, 1))]
            hits.append(float(np.argmax(cosine) == odd))
        np.testing.assert_allclose([found.value, *found.draws], weighted_means(np.array(hits), pool, people, triplets))
        for alone, drawn in zip(found.alone, ((people, np.ones_like(triplets)), (np.ones_like(people), triplets)), strict=True):
            np.testing.assert_allclose([found.value, *alone], weighted_means(np.array(hits), pool, *drawn))
        assert found.n == len(some)


def test_a_model_that_tells_nothing_apart_scores_nothing(weighted):
    pool, people, triplets = weighted
    assert levels.accuracy(np.ones((len(pool.triplets), 3)), pool, people, triplets).value == 0


def test_ceilings_are_those_of_brute_force(weighted):
    pool, people, triplets = weighted
    majority = levels.majority_ceiling(pool, people, triplets)
    assert majority.value == pytest.approx(pool.counts.max(1).sum() / pool.counts.sum())
    right, kept, each = [], [], []
    for row, pair in zip(pool.row, pool.kept, strict=True):
        others = pool.counts[row].copy()
        others[pair] -= 1
        kept.append(others.sum() > 0)
        each.append(1 / pool.counts[row].sum())
        best = np.flatnonzero(others == others.max())
        right.append((pair in best) / len(best))
    found = levels.leave_one_out_ceiling(pool, people, triplets)
    kept, right = np.array(kept), np.array(right)
    drawn = [np.array(each) * p[pool.person] * t[pool.row] for p, t in zip(people, triplets, strict=True)]
    wanted = [np.average(right[kept], weights=w[kept]) for w in drawn]
    np.testing.assert_allclose([found.value, *found.draws], wanted)
    assert found.value < majority.value and found.n == kept.sum()
    # Ties are broken as the largest share breaks them: for the first.
    perfect = levels.accuracy(pool.counts + np.array([0.3, 0.2, 0.1]), pool, people, triplets)
    assert perfect.value == pytest.approx(majority.value)


def test_response_times_are_mean_logs_by_triplet_and_those_without_a_time_are_left_out(weighted):
    pool, _, triplets = weighted
    seconds = np.where(pool.row == 1, np.nan, pool.seconds)
    seconds[np.flatnonzero(pool.row == 2)[0]] = np.nan
    pool = dataclasses.replace(pool, seconds=seconds)
    unsure = np.random.default_rng(3).random(len(pool.triplets))
    found = levels.response_times(unsure, pool, triplets)
    rows = [row for row in range(len(pool.triplets)) if row != 1]
    logs = [np.nanmean(np.log(seconds[pool.row == row])) for row in rows]
    assert found.value == pytest.approx(spearmanr(unsure[rows], logs).statistic) and found.n == len(rows)


def test_images_that_are_not_there_or_twice_are_one_line(given):
    names = [Path(image).name for image in IMAGES]
    for files, said in (
        (names[:12], "5 of the 14 images of Levels are not among the 12 pictures here, such as 'n00000003_12.JPEG'"),
        ([*names, f"other/{names[3]}"], "1 of 25 pictures have a file name that another has"),
    ):
        with pytest.raises(HumalignError, match=said) as caught:
            given.rows_in(files)
        assert "\n" not in str(caught.value)


def test_a_triplet_answered_once_has_no_ceiling(given):
    one = given.keep(np.arange(1))
    pool = levels.asked(one)
    with pytest.raises(HumalignError, match="no triplet was answered twice"):
        levels.leave_one_out_ceiling(pool, resamples(pool.people, 2, 0), resamples(1, 2, 0))
    with pytest.raises(HumalignError, match="response times of fewer than three triplets"):
        levels.response_times(np.ones(1), pool, resamples(1, 2, 0))


def test_the_stage_scores_every_level_by_these_rules(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    wnids = [f"n1{number:07}" for number in range(20)]
    rehearsal_inputs.levels(tmp_path, wnids, None, {wnid: rng.standard_normal(rehearsal_inputs.DIM) for wnid in wnids}, rng)
    answers = readers_levels.levels_answers(tmp_path / "pruned_dataset.pkl")
    files = [f"elsewhere/{image}" for image in answers.images[::-1]]
    model, x = ("some", "base"), rng.standard_normal((len(files), 5))
    run = pipeline.Run(profiles.load("rehearsal"), tmp_path)
    for where, name, value in (
        (similarity.registered, "levels_answers", lambda: answers), (similarity.sets, "names", lambda *_: files),
        (similarity, "temperature", lambda *_: 0.5), (similarity, "everyone", lambda *_: [(model, x)]),
        (similarity.features, "models", lambda *_: [model]),
    ):  # fmt: skip
        monkeypatch.setattr(where, name, value)
    found = {(row.model, row.stage, row.task, row.split, row.metric): row.estimate for row in similarity.at_levels(run)}
    for level in readers_levels.CLASSES:
        # Eight people answered each triplet at least once: five answers count, and four of them for the largest share.
        asked = len(levels.asked(answers.at(level)).triplets)
        ceilings = [found[*PEOPLE, "odd-one-out", level, metric] for metric in ("accuracy", "majority-share")]
        assert [ceiling.n for ceiling in ceilings] == [asked * 5, asked * 4] and asked > 15
        assert found[*model, "odd-one-out", level, "accuracy"].n == asked * 5
        assert {found[*who, "uncertainty", level, "response-time-entropy-spearman"].n for who in (model, PEOPLE)} == {asked}
        seconds = found[*PEOPLE, "uncertainty", level, "median-seconds"]
        assert seconds.n == 8 and 2 < seconds.value < 10
    again = {(row.model, row.stage, row.task, row.split, row.metric): row.estimate for row in similarity.at_levels(run)}
    for key in found:
        np.testing.assert_array_equal(found[key].draws, again[key].draws, err_msg=str(key))
