"""What pictures show: every choice by its stated rule and against brute force, and the recorded file against people's answers."""

import itertools
import json
import os

import numpy as np
import pytest
from scipy.stats import spearmanr

from humalign import profiles
from humalign.chain import illustrate, judged, matrices, origins, registered, steps, unseen
from humalign.data.judgments import Choices
from humalign.evaluation import scores

RECORDED = origins.RECORDED / "things" / illustrate.FILE


@pytest.fixture(scope="module")
def recorded():
    return json.loads(RECORDED.read_text())


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def answered(rng, n=40, things=12):
    triplets = np.stack([rng.permutation(things)[:3] for _ in range(n)])
    return Choices(triplets, rng.integers(0, 5, (n, 3)) + np.eye(3, dtype=int)[0])


def votes(choices, row):
    """Return how often each object of a triplet was the odd one out."""
    pairs = ((0, 1), (0, 2), (1, 2))
    return {
        int(choices.triplets[row][3 - a - b]): int(choices.counts[row][p]) for p, (a, b) in enumerate(pairs)
    }


# ---- triplets and votes ------------------------------------------------------------------------------------


def test_objects_in_ascending_order_keep_their_votes(rng):
    choices = answered(rng)
    found = unseen.in_order(choices)
    assert (np.diff(found.triplets) > 0).all()
    for row in range(len(choices)):
        assert votes(found, row) == votes(choices, row)


def test_an_entry_counts_votes_for_the_odd_one_out_by_name(rng):
    vice = np.eye(3)[[0, 0, 1]]  # the first two are alike
    one = unseen.entry(Choices([[0, 1, 2]], [[7, 2, 1]]), 0, ("a", "b", "c"), vice)
    assert (one["names"], one["votes"], one["answers"]) == (["a", "b", "c"], [1, 2, 7], 10)
    assert one["vice"][2] == pytest.approx(np.e / (np.e + 2), abs=1e-3) and sum(one["vice"]) == pytest.approx(
        1, abs=2e-3
    )


def test_triplets_within_some_objects_are_renumbered_with_their_counts(rng):
    choices, rows = answered(rng), np.array([11, 2, 3, 5, 7, 8, 9])
    found = unseen.within(choices, rows)
    wanted = [row for row in range(len(choices)) if set(choices.triplets[row]) <= set(rows)]
    assert 0 < len(found) == len(wanted) < len(choices)
    assert rows[found.triplets].tolist() == choices.triplets[wanted].tolist()
    assert found.counts.tolist() == choices.counts[wanted].tolist()
    assert unseen.within(choices, np.array([0, 1])) is None


def test_the_least_similar_to_a_pair_is_the_odd_one_out():
    similar = np.array([[0.9, 0.1, 0.2], [0.1, 0.9, 0.2], [0.1, 0.2, 0.9]])  # pairs ij, ik, jk
    assert unseen.odd(similar).tolist() == [2, 1, 0]


def divided(most, n=20):
    return [most, n - most, 0]


def test_clear_and_open_are_extremes_among_those_with_the_most_photographs():
    triplets = np.array([[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 1, 3]])
    choices = Choices(triplets, np.array([divided(10), divided(19), divided(12), divided(20), divided(15)]))
    at_hand = np.array([True, True, True, True, False, False])
    everything = np.ones(5, dtype=bool)
    assert illustrate.extremes(choices, at_hand, everything) == [1, 0]
    assert illustrate.extremes(choices, at_hand, np.array([False, False, True, True, True])) == [4, 4]


def test_the_spread_runs_from_clear_to_open_and_prefers_photographs():
    triplets = np.array([[0, 1, row + 2] for row in range(12)])
    choices = Choices(triplets, np.array([divided(most, 40) for most in range(40, 28, -1)]))
    at_hand = np.ones(14, dtype=bool)
    assert illustrate.spread(choices, at_hand, 4) == [1, 4, 7, 10]
    at_hand[[3, 6]] = False  # the photographs of rows 1 and 4
    assert illustrate.spread(choices, at_hand, 4) == [0, 3, 7, 10]


def test_spaced_triplets_stand_at_even_steps_and_repeat_no_photograph():
    apart = [{"names": [f"{row}a", f"{row}b", f"{row}c"]} for row in range(11)]
    assert unseen.spaced(apart, 3) == [apart[0], apart[5], apart[10]]
    shared = [{"names": ["same", f"{row}b", f"{row}c"]} for row in range(11)]
    assert len(unseen.spaced(shared, 3)) == 1
    mixed = [*apart[:5], {"names": ["0a", "x", "y"]}, *apart[6:]]
    found = unseen.spaced(mixed, 3)
    assert found == [mixed[0], mixed[4], mixed[10]]
    assert unseen.spaced([], 3) == []


# ---- what a student's choices are --------------------------------------------------------------------------


def test_flips_are_counted_both_ways_against_both_references():
    said = list(itertools.product((True, False), repeat=3))
    asked = [
        {"names": [f"{at}a", f"{at}b", f"{at}c"], "votes": [1, 0, 0], "answers": 1, "vice": [1, 0, 0],
         "models": {("m", stage): (0 if right else 1, right) for stage, right in zip(unseen.STAGES, each, strict=True)}}
        for at, each in enumerate(said)
    ]  # fmt: skip
    found = unseen.flipped(asked, "m")
    for reference, place in (("base", 0), ("base-centred", 1)):
        counts = found["counts"][reference]
        assert counts["answers"] == 8 and counts["differ"] == 4
        assert [counts[kind] for kind in ("gained", "lost", "both", "neither")] == [2, 2, 2, 2]
        assert counts["gained"] == sum(not each[place] and each[2] for each in said)
    for direction, right in (("gained", 0), ("lost", 1)):
        assert [one["choices"]["base"] for one in found["examples"][direction]] == [1 - right] * 2
        assert [one["choices"]["aligned"] for one in found["examples"][direction]] == [right] * 2
        assert not any("models" in one for one in found["examples"][direction])


def half(rng, spaces, things=9):
    return unseen.Half(
        "half0",
        np.arange(0),
        np.arange(things),
        [f"t{at}" for at in range(things)],
        None,
        rng.standard_normal((things, 4)),
        spaces,
    )


def test_a_plane_keeps_distances_of_directions_that_lie_in_one(rng):
    angles = rng.random(9) * 2 * np.pi
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    turned = np.linalg.qr(rng.standard_normal((5, 5)))[0][:2]
    found, kept = unseen.plane(3 * circle @ turned)
    assert kept == pytest.approx(1) and (found**2).sum(1).mean() == pytest.approx(1)
    apart, wanted = (np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (found, circle))
    assert apart / apart.max() == pytest.approx(wanted / wanted.max(), abs=1e-6)


def test_a_map_that_only_turned_lies_on_the_one_before(rng):
    before = rng.standard_normal((9, 4))
    mirrored = before @ np.linalg.qr(rng.standard_normal((4, 4)))[0] * [1, 1, 1, -1]
    one = unseen.placed(half(rng, {("m", "base-centred"): before, ("m", "aligned"): mirrored}), "m")
    assert np.array(one["aligned"]) == pytest.approx(np.array(one["base-centred"]), abs=2e-3)


def test_a_map_has_room_for_so_many(rng):
    one = half(rng, {("m", stage): rng.standard_normal((9, 4)) for stage in ("base-centred", "aligned")})
    found = unseen.placed(one, "m", most=4)
    assert found["names"] == ["t0", "t3", "t5", "t8"] and len(found["aligned"]) == 4


def test_neighbours_are_the_nearest_others_and_their_agreement_with_people_is_counted(rng):
    spaces = {("m", stage): rng.standard_normal((9, 4)) for stage in ("base-centred", "aligned")}
    one = half(rng, spaces)
    found = unseen.neighbours([one], "m")
    unit = {stage: x / np.linalg.norm(x, axis=1, keepdims=True) for (_, stage), x in spaces.items()}

    def nearest(similar, row):
        others = [each for each in range(9) if each != row]
        return [f"t{each}" for each in sorted(others, key=lambda each: -similar[row, each])[:5]]

    kept = []
    for row in range(9):
        near = {stage: nearest(x @ x.T, row) for stage, x in unit.items()} | {
            "people": nearest(one.vice @ one.vice.T, row)
        }
        kept.append(len(set(near["base-centred"]) & set(near["aligned"])))
        for example in found["examples"]:
            if example["name"] == f"t{row}":
                assert {stage: example[stage] for stage in near} == near and example["kept"] == kept[-1]
    assert found["kept"] == pytest.approx(np.mean(kept), abs=1e-3) and found["photographs"] == 9
    assert [example["kept"] for example in found["examples"]] == sorted(
        (e["kept"] for e in found["examples"]), reverse=True
    )


# ---- matrices ----------------------------------------------------------------------------------------------


def test_ranks_run_from_the_least_alike_to_the_most(rng):
    similar = rng.standard_normal((12, 12))
    similar += similar.T
    found, pairs = matrices.ranks(similar), similar[np.triu_indices(12, 1)]
    assert (found.min(), found.max(), found[pairs.argmin()], found[pairs.argmax()]) == (0, 255, 0, 255)
    assert spearmanr(found, pairs).statistic > 0.999


def test_objects_of_a_matrix_have_one_category_each_of_the_largest(rng):
    member = rng.random((60, 6)) < [0.3, 0.3, 0.2, 0.1, 0.05, 0.01]
    found = matrices.drawn(member, 3, 4, np.random.default_rng(1))
    single = member[member.sum(1) == 1]
    largest = np.argsort(-single.sum(0), kind="stable")[:3].tolist()
    assert list(dict.fromkeys(category for category, _ in found)) == largest
    assert all(member[row].sum() == 1 and member[row, category] for category, row in found)
    assert (
        len({row for _, row in found}) == len(found) == sum(min(4, single[:, each].sum()) for each in largest)
    )
    assert found == matrices.drawn(member, 3, 4, np.random.default_rng(1))


# ---- the step and its file ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "there"), [("things", True), ("demo", False), ("paper", False)])
def test_only_a_profile_whose_judged_photographs_are_free_has_pictures(name, there):
    profile, step = profiles.load(name), steps.STEPS["illustrations"]
    assert step.outputs(profile) == [illustrate.FILE] * there
    assert bool(step.sources(profile)) == there
    others = {
        name
        for other in steps.STEPS
        if other != "illustrations"
        for name in steps.STEPS[other].sources(profile)
    }
    assert set(step.sources(profile)) <= others, "pictures ask for nothing that the scores do not need"


def test_the_recorded_file_is_small_and_whole(recorded):
    assert RECORDED.stat().st_size < illustrate.LARGEST
    assert set(recorded["rules"]) == set(illustrate.RULES)
    assert len(recorded["game"]) == illustrate.GAME
    names = [name for one in recorded["game"] for name in one["names"]]
    assert len(set(names)) == 3 * illustrate.GAME and set(names) <= set(recorded["photographs"])
    for one in recorded["game"]:
        assert sum(one["votes"]) == one["answers"] and set(one["choices"].values()) <= {0, 1, 2}
    for found in recorded["flipped"].values():
        for counts in found["counts"].values():
            assert sum(counts[kind] for kind in ("gained", "lost", "both", "neither")) == counts["answers"]
            assert counts["gained"] + counts["lost"] <= counts["differ"]
    assert {
        one["answers"] for each in ("spread", "clear", "open") for one in recorded["triplets"][each]
    } <= set(range(15, 30))


def test_recorded_changes_are_those_of_the_scores(recorded):
    table = scores.read(RECORDED.with_name("scores.csv"))
    assert {(each["model"], each["stage"]) for each in recorded["changes"]} == {
        ("clip-vit-b32", "teacher"),
        *((f"efficientnet-lite{n}", stage) for n in (0, 1) for stage in ("unaligned", "aligned")),
    }
    for each in recorded["changes"]:
        where = {key: each[key] for key in ("set", "model", "stage")} | {"task": "hierarchy"}
        tested = scores.pick(table, metric="permutation-p", item=list(each["pairs"]), **where)
        assert len(each["pairs"]) == len(tested) == 4 and tested["value"].between(0, 1).all()
        for name, quantiles in each["pairs"].items():
            metric = scores.above("standardised-distance", each["reference"])
            row = scores.one(table, metric=metric, item=name, **where)
            assert len(quantiles) == illustrate.QUANTILES and (np.diff(quantiles) >= 0).all()
            # The mean of all pairs; that of the scores is a mean over folds, which are of one size or nearly.
            assert np.trapezoid(quantiles, dx=1 / (len(quantiles) - 1)) == pytest.approx(row["value"], abs=0.02)
            assert row["n"] == scores.one(tested, item=name)["n"]


@pytest.mark.skipif("HUMALIGN_DATA" not in os.environ, reason="the human data are not on this machine")
def test_recorded_votes_are_peoples_and_no_teacher_of_the_student_saw_the_photographs(recorded):
    known, profile = judged.things(), profiles.load("things")
    shown = registered.photographs()[1]
    assert recorded["photographs"] == [known.names[row] for row in shown]
    half = dict(zip(recorded["photographs"], judged.halves(profile, len(shown)).tolist(), strict=True))
    said = {}
    for choices in (known.asked_once, known.repeated):
        inside = np.isin(choices.triplets, shown).all(1)
        for row in np.flatnonzero(inside):
            said[frozenset(known.names[each] for each in choices.triplets[row])] = {
                known.names[each]: count for each, count in votes(choices, row).items()
            }
    together = [
        one for found in recorded["flipped"].values() for each in found["examples"].values() for one in each
    ]
    for one in [*recorded["game"], recorded["followed"], *together]:
        assert said[frozenset(one["names"])] == dict(zip(one["names"], one["votes"], strict=True))
        assert {f"half{half[name]}" for name in one["names"]} == {one["half"]}
    for one in (
        recorded["triplets"]["clear"][0],
        recorded["triplets"]["open"][0],
        *recorded["levels"].values(),
    ):
        assert said[frozenset(one["names"])] == dict(zip(one["names"], one["votes"], strict=True))
    unseen_answers = [names for names in said if len({half[name] for name in names}) == 1]
    for found in recorded["flipped"].values():
        assert found["counts"]["base"]["answers"] == len(unseen_answers)
    for model in recorded["students"]:
        for one in recorded["map"][model]:
            assert {f"half{half[name]}" for name in one["names"]} == {one["half"]}
