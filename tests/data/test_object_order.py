"""The orders of the THINGS objects: by hand, on a made world, and on the public files, each of them in each order."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from humalign.data import readers, readers_answers
from humalign.data.judgments import Choices
from humalign.data.object_order import OLD, ORDERS, SORTED, UNIQUE, check_answers, check_embedding, check_names, check_odd_last, rows_in
from humalign.errors import HumalignError

# Three orders of their own: p p_c p-a_b, p-a_b p p_c, p p-a_b p_c.
NAMES = tuple(sorted([f"p{n:02}{end}" for n in range(20) for end in ("", "_c", "-a_b")] + [f"q{n:02}" for n in range(90)], key=UNIQUE.key))
HALVES = 20


def kept(triplets):
    """Return answers that kept the first two of each triplet."""
    return Choices(triplets, np.tile([1, 0, 0], (len(triplets), 1)))


def read_in(rows, true, expected, names):
    """Return what is read, as if in an expected order, of a file that is in its true order."""
    file = np.empty_like(rows)
    file[rows_in(names, true)] = rows
    return file[rows_in(names, expected)]


def refused(check, *given, **how):
    with pytest.raises(HumalignError) as caught:
        check("a.npy", *given, **how)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("a.npy: ")
    return str(caught.value)


@pytest.fixture(scope="module")
def world():
    """Rows of the made objects, and answers by the softmax of their dot products, with the odd one last."""
    rng = np.random.default_rng(0)
    rows = rng.gamma(0.5, size=(len(NAMES), 8))
    triplets = rng.integers(len(NAMES), size=(60_000, 3))
    triplets = triplets[(triplets[:, 0] != triplets[:, 1]) & (triplets[:, 0] != triplets[:, 2]) & (triplets[:, 1] != triplets[:, 2])]
    alike = np.stack([(rows[triplets[:, a]] * rows[triplets[:, b]]).sum(1) for a, b in ((0, 1), (0, 2), (1, 2))], axis=1)
    chosen = (alike + rng.gumbel(size=alike.shape)).argmax(1)
    return rows, np.take_along_axis(triplets, np.array([(0, 1, 2), (0, 2, 1), (1, 2, 0)])[chosen], axis=1)


# ---- by hand ---------------------------------------------------------------------------------------------------------


def test_the_three_orders_of_three_names_by_hand():
    names = ("ice", "ice_cream", "ice-cream_cone")
    assert rows_in(names, UNIQUE).tolist() == [0, 1, 2]
    assert rows_in(names, OLD).tolist() == [1, 2, 0], "ice-cream_cone.jpg, ice.jpg, ice_cream.jpg: the hyphen, the point, the underscore"
    assert rows_in(names, SORTED).tolist() == [0, 2, 1], "ice, ice-cream_cone, ice_cream"
    names = ("camera_lens", "camera1")
    assert rows_in(names, UNIQUE).tolist() == [0, 1] and rows_in(names, OLD).tolist() == rows_in(names, SORTED).tolist() == [1, 0]


def test_names_in_another_order_are_refused():
    check_names("unique_id.txt", NAMES)
    with pytest.raises(HumalignError, match=r"the ids are in the order of the sorted ids; .* take the published unique_id\.txt"):
        check_names("unique_id.txt", sorted(NAMES))
    with pytest.raises(HumalignError, match="line 2: 'a' after 'b'; answers refer"):
        check_names("unique_id.txt", ("b", "a", "c"))


# ---- a made world ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expected", ORDERS)
@pytest.mark.parametrize("true", ORDERS)
def test_rows_of_a_made_world_pass_in_their_order_alone(true, expected, world):
    rows, answers = world
    given = read_in(rows, true, expected, NAMES), kept(answers), NAMES, expected
    if true is expected:
        check_embedding("a.npy", *given, mend="mend it")
        check_answers("a.npy", rows, kept(answers), NAMES, expected, mend="mend it")
        return
    said = refused(check_embedding, *given, mend="mend it")
    assert f"the objects are in {true.name}, not in {expected.name}: " in said and said.endswith("; mend it")
    # Answers of a file that is in another order than it was read in.
    told = np.argsort(rows_in(NAMES, expected))[rows_in(NAMES, true)[answers]]
    assert f"the objects are in {true.name}, not in {expected.name}: " in refused(
        check_answers, rows, kept(told), NAMES, expected, mend="mend it"
    )


def test_answers_may_stand_in_any_order_of_their_objects(world):
    rows, answers = world
    shuffled = np.random.default_rng(1).permuted(np.tile([0, 1, 2], (len(answers), 1)), axis=1)
    # The pair (0, 1) is kept; where it stands after shuffling, by which place holds the odd one.
    where = (shuffled == 2).argmax(1)
    choices = Choices(np.take_along_axis(answers, shuffled, axis=1), np.eye(3, dtype=int)[2 - where])
    check_embedding("a.npy", rows, choices, NAMES, UNIQUE, mend="mend it")
    assert f"are in {OLD.name}" in refused(check_embedding, read_in(rows, OLD, UNIQUE, NAMES), choices, NAMES, UNIQUE, mend="mend it")


def test_nothing_is_claimed_of_noise_or_of_few_answers(world):
    rows, answers = world
    rng = np.random.default_rng(2)
    for dims in (1, 2, 5, 50):
        check_embedding("a.npy", rng.standard_normal((len(NAMES), dims)), kept(answers), NAMES, UNIQUE, mend="", cosine=True)
    check_embedding("a.npy", read_in(rows, OLD, UNIQUE, NAMES), kept(answers[:150]), NAMES, UNIQUE, mend="")
    plain = tuple(f"thing{row:03}" for row in range(len(NAMES)))
    check_embedding("a.npy", rows, kept(answers), plain, OLD, mend="")


def test_rows_in_no_known_order_are_refused(world):
    rows, answers = world
    moved = np.flatnonzero(rows_in(NAMES, OLD) != np.arange(len(NAMES)))
    turned = rows.copy()
    turned[moved] = rows[np.roll(moved, 7)]
    said = refused(check_embedding, turned, kept(answers), NAMES, UNIQUE, mend="mend it")
    assert "the rows of 60 objects, which the known orders place differently, agree with" in said and "no known order" in said
    said = refused(check_embedding, np.random.default_rng(3).permutation(rows), kept(answers), NAMES, UNIQUE, mend="mend it", least=0.5)
    assert "should with more than 0.50: rows of other objects, or in an order of their own; mend it" in said


@pytest.mark.parametrize(("columns", "where"), [([2, 0, 1], "first"), ([0, 2, 1], "in the middle")])
def test_an_odd_one_that_does_not_stand_last_is_noticed(columns, where, world):
    rows, answers = world
    check_odd_last("a.npy", rows, kept(answers))
    check_odd_last("a.npy", np.random.default_rng(4).standard_normal(rows.shape), kept(answers))
    assert f"the odd one stands {where}, not last" in refused(check_odd_last, rows, kept(answers[:, columns]))


# ---- the public files ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def public():
    if not os.environ.get("HUMALIGN_DATA"):
        pytest.skip("the human data are not on this machine")
    data = Path(os.environ["HUMALIGN_DATA"])
    names = readers.object_ids(data / "things/unique_id.txt")
    sets = [readers_answers.triplets(data / "things" / file, len(names)).triplets for file in ("trainset.txt", "validationset.txt")]
    rows = {
        "vice": (readers.embedding(data / "vice/final_embedding.npy", names, OLD), OLD, {"least": 0.55}),
        "spose": (readers.embedding(data / "things/spose_embedding_49d_sorted.txt", names, UNIQUE), UNIQUE, {"least": 0.55}),
        "clip": (
            readers.features(data / "things/clip-vit-base-p32-embeddings.npy", names, SORTED), SORTED, {"least": 0.42, "cosine": True}
        ),
    }
    return data, names, np.concatenate(sets), rows


def test_the_old_order_is_the_published_sortindex(public):
    data, names, *_ = public
    assert rows_in(names, OLD).tolist() == np.loadtxt(data / "vice/sortindex").astype(int).tolist()
    moved = {order: int((rows_in(names, order) != np.arange(1854)).sum()) for order in ORDERS}
    assert moved == {UNIQUE: 0, OLD: 21, SORTED: 20}


@pytest.mark.parametrize("true", ORDERS)
@pytest.mark.parametrize("name", ["vice", "spose", "clip"])
def test_a_public_file_passes_in_its_order_alone_on_any_half_of_the_answers(name, true, public):
    _, names, answers, files = public
    rows, expected, how = files[name]
    given = read_in(rows, true, expected, names)
    for seed in range(HALVES + 1):
        some = np.random.default_rng(seed).permutation(len(answers))[: len(answers) // 2] if seed else np.arange(len(answers))
        choices = kept(answers[some])
        if true is expected:
            check_embedding("a.npy", given, choices, names, expected, mend="", **how)
        else:
            assert f"the objects are in {true.name}, not in {expected.name}: " in refused(
                check_embedding, given, choices, names, expected, mend="", **how
            )


def test_no_encoder_in_the_right_order_is_refused_however_little_it_knows(public):
    _, names, answers, files = public
    rng, clip = np.random.default_rng(0), files["clip"][0]
    clip = (clip - clip.mean(0)) / clip.std()
    choices = kept(answers)
    for dims in (1, 2, 4, 8, 16, 32):
        for _ in range(4):
            check_embedding("a.npy", clip @ rng.standard_normal((512, dims)), choices, names, UNIQUE, mend="", cosine=True)
    for noise in (1, 2, 4):
        check_embedding("a.npy", clip + noise * rng.standard_normal(clip.shape), choices, names, UNIQUE, mend="", cosine=True)


def test_vice_says_of_the_moved_objects_what_spose_says_in_the_right_order_alone(public):
    """No answer is asked: each dimension of VICE is matched to the one of SPoSE that it follows best over all other objects."""
    _, names, _, files = public
    vice, spose = files["vice"][0], files["spose"][0]
    moved = rows_in(names, OLD) != np.arange(len(names))
    follows = np.corrcoef(vice[~moved].T, spose[~moved].T)[: vice.shape[1], vice.shape[1] :].argmax(1)

    def alike(rows):
        return np.mean([np.corrcoef(rows[row], spose[row][follows])[0, 1] for row in np.flatnonzero(moved)])

    found = {true: alike(read_in(vice, true, OLD, names)) for true in ORDERS}
    assert found[OLD] > 0.88 and found[UNIQUE] < 0.6
    assert found[SORTED] < found[OLD] - 0.02


def test_the_repeated_triplets_are_in_the_old_order(public):
    data, names, _, files = public
    path, vice = data / "vice/test_triplets.csv", files["vice"][0]
    repeated = readers_answers.repeated(path, names)
    check_answers("a.npy", vice, repeated, names, OLD, mend="")
    # As if the file were read in the order of unique_id.txt.
    answers = readers_answers.answers(path, names, people=False)
    wrong = readers_answers.Answers(rows_in(names, OLD)[answers.triplets], answers.odd).repeated()
    assert f"the objects are in {OLD.name}, not in {UNIQUE.name}" in refused(check_answers, vice, wrong, names, UNIQUE, mend="")


def test_the_check_takes_a_part_of_a_second(public):
    _, names, answers, files = public
    rows, expected, how = files["clip"]
    choices = kept(answers)
    took = []
    for _ in range(3):
        started = time.process_time()
        check_embedding("a.npy", rows, choices, names, expected, mend="", **how)
        took.append(time.process_time() - started)
    assert min(took) < 1, "half a second, and room for a slow machine"
