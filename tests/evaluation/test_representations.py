"""RSA with people and between models, CKA, and distances by relation: against rsatoolbox, brute force and known answers."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr

from humalign.data import readers
from humalign.data.object_order import OLD, UNIQUE
from humalign.errors import HumalignError
from humalign.evaluation import between_models, hierarchy, rsa
from humalign.evaluation.scores import resamples

THINGS, PEOPLE = 14, 5
UPPER = np.triu_indices(THINGS, k=1)


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(0).standard_normal((THINGS, 6))


@pytest.fixture(scope="module")
def people(features):
    rng = np.random.default_rng(1)
    noisy = features[None] + 0.9 * rng.standard_normal((PEOPLE, THINGS, 6))
    return np.stack([rsa.dissimilarities(one) for one in noisy])


@pytest.fixture(scope="module")
def weights():
    return resamples(THINGS, 6, seed=2)


def square(vectors):
    found = np.zeros((len(vectors), THINGS, THINGS))
    found[:, UPPER[0], UPPER[1]] = vectors
    return found + found.swapaxes(1, 2)


def replicated(matrix, each):
    """Return the pairs of a bootstrap sample: those of two copies of one thing left out."""
    chosen = np.repeat(np.arange(THINGS), each.astype(int))
    return np.array([matrix[a, b] for a, b in itertools.combinations(chosen, 2) if a != b])


# ---- matrices --------------------------------------------------------------------------------------------------------

def test_both_correlations_of_matrices_are_those_of_the_replicated_pairs(features, people, weights):
    model, judged = rsa.dissimilarities(features), people[0]
    found = rsa.matrices(model, judged, weights)
    for metric, oracle in (("pearson", pearsonr), ("spearman", spearmanr)):
        wanted = [oracle(replicated(model, w), replicated(judged, w)).statistic for w in weights]
        np.testing.assert_allclose([found[metric].value, *found[metric].draws], wanted, atol=1e-9)
        assert found[metric].n == THINGS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m[:-1, :-1], r"matrices of shape \(13, 13\) and \(14, 14\)"),
        (lambda m: m * np.nan, "the model's matrix holds NaN"),
        (lambda m: np.ones_like(m), "one value only"),
    ],
)
def test_matrices_that_cannot_be_compared_are_one_line(people, weights, change, said):
    with pytest.raises(HumalignError, match=said) as caught:
        rsa.matrices(change(people[1]), people[0], weights)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, 1.0])
def test_features_without_a_correlation_are_one_line(features, value):
    broken = features.copy()
    broken[3] = value
    with pytest.raises(HumalignError, match="features of row 3 hold NaN or infinity, or one value only"):
        rsa.dissimilarities(broken)


# ---- people ----------------------------------------------------------------------------------------------------------

@pytest.mark.filterwarnings("ignore")
def test_people_s_ceilings_and_a_model_s_number_are_those_of_rsatoolbox(features, people):
    rsatoolbox = pytest.importorskip("rsatoolbox")
    model = rsa.dissimilarities(features)
    found = rsa.with_people({"model": model}, people, np.ones((1, THINGS), np.float32), np.ones((1, PEOPLE), np.float32))
    rdms = rsatoolbox.rdm.RDMs(people)
    lower, upper = rsatoolbox.inference.boot_noise_ceiling(rdms, method="spearman", rdm_descriptor="index")
    assert found["lower"].value == pytest.approx(lower, abs=1e-9) and found["upper"].value == pytest.approx(upper, abs=1e-9)
    each = rsatoolbox.rdm.compare(rsatoolbox.rdm.RDMs(model[None]), rdms, method="spearman")
    assert found["model"].value == pytest.approx(each.mean(), abs=1e-9)
    assert found["lower"].value < found["upper"].value and found["model"].value < found["upper"].value


def test_draws_of_people_and_things_are_those_of_the_replicated_data(features, people, weights):
    drawn = resamples(PEOPLE, 6, seed=3)
    model = rsa.dissimilarities(features)
    found = rsa.with_people({"model": model}, people, weights, drawn)
    ranked = square([rankdata(one[UPPER]) for one in people])
    for row in range(1, 7):
        who = np.repeat(np.arange(PEOPLE), drawn[row].astype(int))
        own = {p: replicated(people[p], weights[row]) for p in set(who)}
        # What is averaged are ranks in the draw.
        ranks = {p: rankdata(values) for p, values in own.items()}
        others = {p: [ranks[q] for q in who if q != p] for p in who}
        wanted = {
            "model": np.mean([spearmanr(replicated(model, weights[row]), own[p]).statistic for p in who]),
            # However often a person is drawn, he is among everybody once.
            "upper": np.mean([spearmanr(np.sum([*others[p], ranks[p]], axis=0), own[p]).statistic for p in who]),
            "lower": np.mean([spearmanr(np.sum(others[p], axis=0), own[p]).statistic for p in who]),
        }
        for name, value in wanted.items():
            assert found[name].draws[row - 1] == pytest.approx(value, abs=1e-9)
    assert ranked.shape == people.shape
    once = np.ones_like(weights), np.ones_like(drawn)
    for number, kind in enumerate(((weights, once[1]), (once[0], drawn))):
        alone = rsa.with_people({"model": model}, people, *kind)
        for name in wanted:
            np.testing.assert_allclose(found[name].alone[number], alone[name].draws, atol=1e-9)


def test_two_stages_on_the_same_draws_differ_pair_by_pair(features, people, weights):
    drawn = resamples(PEOPLE, 6, seed=3)
    worse = rsa.dissimilarities(features + np.random.default_rng(4).standard_normal(features.shape))
    found = rsa.with_people({"base": worse, "aligned": rsa.dissimilarities(features)}, people, weights, drawn)
    change = found["aligned"] - found["base"]
    np.testing.assert_allclose(change.draws, found["aligned"].draws - found["base"].draws)
    again = rsa.with_people({"aligned": rsa.dissimilarities(features)}, people, weights, drawn)
    np.testing.assert_allclose(again["aligned"].draws, found["aligned"].draws)


def test_a_person_without_a_matrix_is_one_line(people, weights):
    broken = people.copy()
    broken[2] = np.nan
    with pytest.raises(HumalignError, match="the matrix of person 2 holds NaN"):
        rsa.with_people({}, broken, weights, resamples(PEOPLE, 6, seed=0))


def test_choice_dissimilarities_are_those_of_every_third_thing(features):
    similar = features @ features.T / 3
    found = rsa.choice_dissimilarities(similar)
    for i, j in ((0, 1), (3, 9), (13, 2)):
        chances = []
        for k in set(range(THINGS)) - {i, j}:
            e = np.exp([similar[i, j], similar[i, k], similar[j, k]])
            chances.append(e[0] / e.sum())
        assert found[i, j] == pytest.approx(1 - np.mean(chances))
    assert (np.diag(found) == 0).all() and np.allclose(found, found.T)


@pytest.mark.skipif("HUMALIGN_DATA" not in os.environ, reason="the human data are not on this machine")
def test_the_real_matrix_of_48_objects_is_predicted_by_the_published_embeddings():
    data = Path(os.environ["HUMALIGN_DATA"])
    names = readers.object_ids(data / "things/unique_id.txt")
    judged, rows = readers.things48(data / "things/RDM48_triplet.mat", names)
    weights = resamples(48, 50, seed=0)
    for name, order, known in (("vice/final_embedding.npy", OLD, 0.89), ("things/spose_embedding_49d_sorted.txt", UNIQUE, 0.90)):
        places = readers.embedding(data / name, names, order)[rows].astype(float)
        found = rsa.matrices(rsa.choice_dissimilarities(places @ places.T), judged, weights)["pearson"]
        assert found.value == pytest.approx(known, abs=0.01)
        score = found.score("t", "s", "m", "human")
        assert score.low < found.value < score.high


# ---- between models --------------------------------------------------------------------------------------------------

def hsic(one, two):
    """Song et al. (2012), equation 5."""
    n = len(one)
    one, two = one - np.diag(np.diag(one)), two - np.diag(np.diag(two))
    return (np.trace(one @ two) + one.sum() * two.sum() / (n - 1) / (n - 2) - 2 * (one @ two).sum() / (n - 2)) / (n * (n - 3))


def test_cka_is_that_of_its_formula_and_is_weighted_as_pairs(features, weights):
    other = features @ np.random.default_rng(1).standard_normal((6, 9)) + np.random.default_rng(2).standard_normal((THINGS, 9))
    found = between_models.linear_cka(features, other, weights)
    one, two = features @ features.T, other @ other.T
    assert found.value == pytest.approx(hsic(one, two) / np.sqrt(hsic(one, one) * hsic(two, two)))
    # A draw: the Gram matrices of the replicated images, pairs of two copies set to zero like the diagonal.
    one, two = ((x - x.mean(0)) @ (x - x.mean(0)).T for x in (features, other))
    for each, value in zip(weights[1:], found.draws, strict=True):
        chosen = np.repeat(np.arange(THINGS), each.astype(int))
        apart = np.not_equal.outer(chosen, chosen)
        a, b = one[np.ix_(chosen, chosen)] * apart, two[np.ix_(chosen, chosen)] * apart
        assert value == pytest.approx(hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b)))
    # The first-order part of a draw is the sum of what each image that is drawn again, or not, adds to it.
    both = np.stack([weights[0], weights[1], weights[2], weights[1] + weights[2] - 1])
    one, two, together = between_models.linear_cka(features, other, both).alone[0] - found.value
    assert together == pytest.approx(one + two, abs=1e-3) and abs(one) > 1e-2


def test_cka_is_one_for_a_rotation_and_about_nothing_for_strangers():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 200))
    turned = 3 * x @ np.linalg.qr(rng.standard_normal((200, 200)))[0] + 5
    weights = resamples(60, 4, seed=0)
    assert between_models.linear_cka(x, turned, weights).value == pytest.approx(1)
    strangers = [between_models.linear_cka(x, rng.standard_normal((60, 200)), weights).value for _ in range(20)]
    assert abs(np.mean(strangers)) < 0.05, "with more dimensions than images, plain CKA would be near one"


def test_every_two_models_are_compared_and_their_mean_is_given(features, weights):
    rng = np.random.default_rng(3)
    models = {name: features + s * rng.standard_normal(features.shape) for name, s in (("a", 0.1), ("b", 0.2), ("c", 3.0))}
    found = {(pair, metric): estimate for pair, metric, estimate in between_models.alike(models, weights)}
    assert set(found) == {(p, m) for p in ("a & b", "a & c", "b & c", "all pairs") for m in ("cka", "rsa-spearman")}
    for metric in ("cka", "rsa-spearman"):
        pairs = [found[p, metric].value for p in ("a & b", "a & c", "b & c")]
        assert found["all pairs", metric].value == pytest.approx(np.mean(pairs)) and max(pairs) == pairs[0]


@pytest.mark.parametrize(
    ("x", "said"),
    [(np.full((8, 3), np.nan), "NaN"), (np.ones((8, 3)), "are equal"), (np.eye(7), "7 rows of features for 8 pictures")],
)
def test_models_that_cannot_be_compared_are_one_line(x, said):
    with pytest.raises(HumalignError, match=said):
        between_models.linear_cka(np.eye(8), x, np.ones((1, 8), np.float32))
    with pytest.raises(HumalignError, match="3 images: CKA needs four"):
        between_models.linear_cka(np.eye(3), np.eye(3), np.ones((1, 3), np.float32))


def test_standardised_distances_do_not_see_scale_or_shift(features):
    found = between_models.standardised(features)
    pairs = found[np.triu_indices(THINGS, 1)]
    assert pairs.mean() == pytest.approx(0, abs=1e-9) and pairs.std() == pytest.approx(1)
    np.testing.assert_allclose(between_models.standardised(3 * features + 2), found)


def test_the_pair_that_one_model_moved_is_the_first(features):
    one = between_models.standardised(features)
    other = one.copy()
    other[2, 7] = other[7, 2] = one[2, 7] + 5
    other[1, 3] = other[3, 1] = one[1, 3] - 4
    assert between_models.most_apart(one, other, 2).tolist() == [[2, 7], [1, 3]]
    assert len(between_models.most_apart(one, other, 1000)) == THINGS * (THINGS - 1) / 2
    with pytest.raises(HumalignError, match="distances of 14 and of 13 images"):
        between_models.most_apart(one, one[1:, 1:], 2)


def test_distances_that_cannot_be_compared_are_one_line(features):
    with pytest.raises(HumalignError, match="tells nothing apart"):
        between_models.standardised(np.tile(features[:1], (5, 1)))
    distances = between_models.standardised(features)
    with pytest.raises(HumalignError, match="not finite"):
        between_models.most_apart(distances, np.where(distances > 1, np.nan, distances), 2)
    with pytest.raises(HumalignError, match="most = 0: expected a whole number, 1 or more"):
        between_models.most_apart(distances, distances, 0)


# ---- distances by relation -------------------------------------------------------------------------------------------

def test_categories_that_overlap_relate_things_and_a_thing_without_one_is_in_no_pair(features, weights):
    member = np.zeros((THINGS, 3), dtype=bool)
    for category, things in enumerate(([0, 1, 2, 3], [3, 4, 5], [6, 7, 8, 9, 10, 11])):
        member[things, category] = True  # 12 and 13 have none
    found = hierarchy.of_relations(features, hierarchy.by_categories(member), weights)
    pairs = list(itertools.combinations(range(12), 2))
    distance = np.array([1 - pearsonr(features[a], features[b]).statistic for a, b in pairs])
    distance = (distance - distance.mean()) / distance.std()
    same = np.array([(member[a] & member[b]).any() for a, b in pairs])
    for name, rows in (("same-category", same), ("other-category", ~same)):
        wanted = [np.average(distance[rows], weights=[w[a] * w[b] for (a, b), r in zip(pairs, rows, strict=True) if r]) for w in weights]
        np.testing.assert_allclose([found[name].value, *found[name].draws], wanted, atol=1e-5)
        assert found[name].n == rows.sum()


def test_classes_and_superclasses_of_a_tree_are_told_and_pulling_them_together_is_a_change():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 6).astype(str)
    superclasses = np.repeat(np.arange(2), 18).astype(str)
    tree = 1.5 * rng.standard_normal((2, 10))[np.repeat(np.arange(2), 18)] + rng.standard_normal((6, 10))[np.repeat(np.arange(6), 6)]
    noise = rng.standard_normal((36, 10))
    weights = resamples(36, 50, seed=0)
    related = hierarchy.by_classes(labels, superclasses)
    before, after = (hierarchy.of_relations(tree + s * noise, related, weights) for s in (2.0, 0.5))
    assert list(after) == ["same-class", "same-superclass", "other-superclass"]
    assert after["same-class"].value < after["same-superclass"].value < after["other-superclass"].value
    change = (after["same-class"] - before["same-class"]).score("hierarchy", "same-class", "change", "labels")
    assert change.value < 0 and change.high < 0
    assert list(hierarchy.by_classes(labels)) == ["same-class", "other-class"]


@pytest.mark.parametrize(
    ("x", "labels", "said"),
    [
        (np.ones((6, 3)), list("aabbcc"), "are equal"),
        (np.eye(6) * np.nan, list("aabbcc"), "hold NaN"),
        (np.random.default_rng(0).random((6, 4)), list("abcdef"), "no pair is same-class: give more pictures"),
        (np.eye(6), list("aabbc"), "6 rows of features for 5 pictures"),
        (np.eye(6), list("aabbcc"), "distances that are all equal"),
    ],
)
def test_relations_that_cannot_be_told_are_one_line(x, labels, said):
    with pytest.raises(HumalignError, match=said) as caught:
        related = hierarchy.by_classes(np.array(labels))
        hierarchy.of_relations(x, related, np.ones((1, len(labels)), np.float32))
    assert "\n" not in str(caught.value)


# ---- what is judged ----------------------------------------------------------------------------------------


def matrices_of(things=12):
    features = np.random.default_rng(3).standard_normal((1, things, 6))
    return features, rsa.dissimilarities(features[0]), resamples(things, 9, 0)


def one_line(said, call):
    with pytest.raises(HumalignError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_similarities_in_place_of_dissimilarities_are_refused_and_not_scored_the_other_way_round():
    features, apart, weights = matrices_of()
    assert rsa.agreement(features, apart, weights).value == pytest.approx(1)
    one_line("largest values on the diagonal: give dissimilarities", lambda: rsa.agreement(features, 1 - apart, weights))
    one_line("one matrix is of similarities, the other of dissimilarities", lambda: rsa.matrices(1 - apart, apart, weights))
    assert rsa.matrices(1 - apart, 2 - 2 * apart, weights)["spearman"].value == pytest.approx(1)
    # A diagonal that says nothing is none to go by.
    silent = apart + np.diag(np.full(len(apart), np.nan))
    assert rsa.matrices(silent, apart, weights)["pearson"].value == pytest.approx(1)
    assert rsa.kind(silent) == "" and rsa.kind(apart) == rsa.APART and rsa.kind(1 - apart) == rsa.SIMILAR


@pytest.mark.parametrize("half", [np.triu, np.tril])
def test_a_matrix_whose_halves_differ_is_refused_and_half_of_it_is_not_taken(half):
    features, apart, weights = matrices_of()
    said = r"judged matrix is not symmetric, .* for things \d+ and \d+, .* the other way round: give both halves"
    for judged in (half(apart), apart + half(np.full(apart.shape, 0.3), 0)):
        one_line(said, lambda judged=judged: rsa.agreement(features, judged, weights))
        one_line(said, lambda judged=judged: rsa.matrices(apart, judged, weights))
        one_line(said, lambda judged=judged: rsa.matrix_agreement(apart, judged, weights))
    two = np.stack([apart, half(apart)])
    one_line("person 1 is not symmetric", lambda: rsa.with_people({"m": apart}, two, weights, resamples(2, 9, 1)))
    rounded = apart.astype(np.float32) + half(np.full(apart.shape, 1e-7, np.float32))
    assert rsa.agreement(features, rounded, weights).value == pytest.approx(1)
