"""Evaluations against oracles: brute force, scipy, rsatoolbox, scikit-learn, and worlds whose truth is known."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from scipy.stats import pearsonr, rankdata, spearmanr

from humalign.data.judgments import PAIRS, Choices, agreement, cosine_similarities, random_triplets
from humalign.errors import HumalignError
from humalign.evaluation import correlation, few_shot, hierarchy, odd_one_out, rsa
from humalign.evaluation.scores import Estimate, resamples

CONCEPTS, DIM = 36, 10
TAXONOMY = pd.DataFrame({
    "concept": [f"c{i}" for i in range(CONCEPTS)],
    "subgroup": [f"s{i // 4}" for i in range(CONCEPTS)],
    "group": [f"g{i // 12}" for i in range(CONCEPTS)],
})


@pytest.fixture(scope="module")
def features():
    """Two styles of one world: the tree of the taxonomy, and noise."""
    rng = np.random.default_rng(0)
    tree = rng.standard_normal((3, DIM))[np.arange(CONCEPTS) // 12] + rng.standard_normal((9, DIM))[np.arange(CONCEPTS) // 4]
    return np.stack([tree + 0.8 * rng.standard_normal(tree.shape) for _ in range(2)])


@pytest.fixture(scope="module")
def choices():
    rng = np.random.default_rng(1)
    return Choices(random_triplets(np.arange(CONCEPTS), 400, rng), rng.multinomial(20, [0.5, 0.3, 0.2], size=400))


@pytest.fixture(scope="module")
def weights():
    return resamples(CONCEPTS, 6, seed=3)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def replicated(values, times):
    return np.repeat(values, times.astype(int), axis=0)


# ---- bootstrap -------------------------------------------------------------------------------------------------------

def test_resamples_begin_with_the_sample_itself_and_keep_its_size():
    drawn = resamples(50, 200, seed=0)
    assert drawn.shape == (201, 50) and (drawn[0] == 1).all() and (drawn.sum(1) == 50).all()
    assert (drawn == resamples(50, 200, seed=0)).all() and (drawn != resamples(50, 200, seed=1)).any()
    np.testing.assert_allclose(drawn[1:].var(0).mean(), 1, atol=0.1)


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_spearman_is_that_of_the_replicated_data(ties):
    rng = np.random.default_rng(2)
    x = rng.standard_normal(80)
    y = x + rng.standard_normal(80)
    if ties:
        x, y = np.round(x), np.round(y)
    drawn = [np.ones(80), *rng.multinomial(80, np.full(80, 1 / 80), size=8).astype(float), 3.0 * rng.integers(0, 3, 80)]
    found = correlation.spearman(correlation.Ranked(x), correlation.Ranked(y), drawn)
    wanted = [spearmanr(replicated(x, w), replicated(y, w)).statistic for w in drawn]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def test_a_constant_side_has_no_correlation():
    found = correlation.spearman(correlation.Ranked(np.ones(5)), correlation.Ranked(np.arange(5.0)), [np.ones(5)])
    assert np.isnan(found).all()


@pytest.mark.parametrize("scale", [0.5, 1000.0, 0.3, -1.0], ids=["halves", "beyond-16-bits", "other", "below-zero"])
def test_ranks_of_many_rows_are_those_of_each(scale):
    rng = np.random.default_rng(0)
    rows, weights = scale * rng.integers(0, 300, (7, 200)), rng.integers(1, 5, 200).astype(float)
    wanted = [rankdata(np.repeat(row, weights.astype(int))) for row in rows]
    found = np.repeat(correlation.midranks(rows, weights), weights.astype(int), axis=1)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(found[0], np.repeat(correlation.Ranked(rows[0]).midranks(weights), weights.astype(int)))


def test_a_mean_over_triplets_varies_with_its_concepts_and_with_each_triplet(choices):
    """Concepts alone, coins alone, and both: the draws vary as much as the means of new worlds do, or, as t has it, up to a fifth more."""
    rng, many = np.random.default_rng(4), 2000
    drawn = resamples(CONCEPTS, many, seed=0)
    for of_concepts, of_triplets in ((0.3, 0.0), (0.0, 0.5), (0.1, 0.5)):

        def world(rows, of_concepts=of_concepts, of_triplets=of_triplets):
            return rng.normal(0, of_concepts, CONCEPTS)[rows].sum(1) + rng.normal(0, of_triplets, len(rows))

        truth = np.std([world(random_triplets(np.arange(CONCEPTS), 400, rng)).mean() for _ in range(many)])
        some = [world(choices.triplets) for _ in range(30)]
        found = [odd_one_out.triplet_mean(values, choices.triplets, drawn) for values in some]
        np.testing.assert_allclose([each.value for each in found], [values.mean() for values in some], rtol=1e-6, atol=1e-9)
        assert 0.9 < np.sqrt(np.mean([each.draws.var() for each in found])) / truth < 1.2
        assert found[0].n == len(choices)


def test_means_of_the_same_triplets_differ_pair_by_pair(choices):
    drawn = resamples(CONCEPTS, 50, seed=0)
    values = np.random.default_rng(4).random(len(choices))
    one, same, more = (odd_one_out.triplet_mean(v, choices.triplets, drawn) for v in (values, values.copy(), values + 0.1))
    np.testing.assert_array_equal(one.draws, same.draws)
    np.testing.assert_allclose((more - one).draws, 0.1, atol=1e-6)
    other = odd_one_out.triplet_mean(values, choices.triplets, resamples(CONCEPTS, 50, seed=1))
    assert abs(np.corrcoef(one.draws, other.draws)[0, 1]) < 0.6


def test_the_interval_of_a_mean_over_concepts_contains_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(200):
        values = rng.gamma(4.0, size=120)
        drawn = resamples(120, 400, seed=int(rng.integers(2**31)))
        score = Estimate.of(drawn @ values / drawn.sum(1), 120).score("t", "s", "m", "simulated")
        inside += score.low <= 4.0 <= score.high
    assert 0.90 <= inside / 200 <= 0.98


def test_the_interval_of_odd_one_out_accuracy_speaks_of_other_concepts():
    """Each concept is easy or hard; the truth is the mean over a large population of concepts."""
    rng = np.random.default_rng(6)
    inside, draws = 0, 200
    for _ in range(draws):
        ease = rng.normal(0.2, 0.15, 40)
        rows = random_triplets(np.arange(40), 1500, rng)
        score = odd_one_out.triplet_mean(ease[rows].sum(1), rows, resamples(40, 200, seed=int(rng.integers(2**31)))).score(
            "t", "s", "m", "simulated"
        )
        inside += score.low <= 0.6 <= score.high
    assert 0.90 <= inside / draws <= 0.99


def test_several_means_vary_together_as_each_does_alone(choices, weights):
    rng = np.random.default_rng(4)
    values = rng.random((3, len(choices)))
    found = odd_one_out.triplet_means(values, choices.triplets, weights)
    for each, draws in zip(values, found, strict=True):
        alone = odd_one_out.triplet_mean(each, choices.triplets, weights)
        np.testing.assert_allclose(draws, [alone.value, *alone.draws])


@pytest.mark.parametrize("ties", [False, True])
def test_parts_of_spearman_are_what_each_item_moves_it_by(ties):
    rng = np.random.default_rng(5)
    x = rng.standard_normal(400)
    y = x + rng.standard_normal(400)
    if ties:
        x, y = np.round(x), np.round(y)
    value, parts = correlation.spearman_parts(x, y)
    assert value == pytest.approx(spearmanr(x, y).statistic)
    assert parts.mean() == pytest.approx(0, abs=1e-12)
    left_out = [spearmanr(np.delete(x, item), np.delete(y, item)).statistic for item in range(400)]
    np.testing.assert_allclose(parts, 399 * (value - np.array(left_out)), atol=0.05)
    assert np.isnan(correlation.spearman_parts(x, np.ones(400))[0])


# ---- odd one out -----------------------------------------------------------------------------------------------------

def test_accuracy_is_that_of_brute_force(features, choices, weights):
    found = odd_one_out.accuracy(features, choices, weights)
    scores = np.zeros(len(choices))
    for style in features:
        for row, ((i, j, k), counts) in enumerate(zip(choices.triplets, choices.counts, strict=True)):
            similar = [cosine(style[i], style[j]), cosine(style[i], style[k]), cosine(style[j], style[k])]
            scores[row] += counts[int(np.argmax(similar))] / counts.sum() / 2
    assert found.value == pytest.approx(scores.mean(), rel=1e-6) and len(found.draws) == len(weights) - 1
    np.testing.assert_allclose(found.draws, odd_one_out.triplet_mean(scores, choices.triplets, weights).draws, rtol=1e-6)


def test_a_tie_is_wrong_and_all_equal_features_score_nothing(choices, weights):
    triplets, sure = np.array([[0, 1, 2]]), np.array([[20, 0, 0]])
    tied = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert agreement(cosine_similarities(tied, triplets), Choices(triplets, sure).shares).tolist() == [0.0]
    two_of_three = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # ij and ik tie above jk
    assert agreement(cosine_similarities(two_of_three, triplets), Choices(triplets, sure).shares).tolist() == [0.0]
    clear = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    assert agreement(cosine_similarities(clear, triplets), Choices(triplets, sure).shares).tolist() == [1.0]
    for constant in (np.ones((2, CONCEPTS, DIM)), np.zeros((2, CONCEPTS, DIM))):
        found = odd_one_out.accuracy(constant, choices, weights)
        assert found.value == 0 and (found.draws == 0).all()


def test_cosines_do_not_see_length_and_stand_in_the_order_ij_ik_jk(features, choices):
    style = features[0]
    found = cosine_similarities(style * np.linspace(0.1, 9, CONCEPTS)[:, None], choices.triplets)
    for column, (a, b) in enumerate(PAIRS):
        wanted = [cosine(style[row[a]], style[row[b]]) for row in choices.triplets]
        np.testing.assert_allclose(found[:, column], wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_numbers_are_one_line(features, choices, weights, value):
    broken = features.copy()
    broken[1, 3, 2] = value
    with pytest.raises(HumalignError, match="features hold NaN or infinity") as caught:
        odd_one_out.accuracy(broken, choices, weights)
    assert "\n" not in str(caught.value)


def test_the_noise_ceiling_is_the_share_of_the_majority_and_nobody_is_above_it(features, choices, weights):
    ceiling = odd_one_out.noise_ceiling(choices, weights)
    assert ceiling.value == pytest.approx((choices.counts.max(1) / 20).mean(), rel=1e-5)
    assert odd_one_out.accuracy(features, choices, weights).value <= ceiling.value
    oracle = Choices(np.array([[0, 1, 2]]), np.array([[15, 3, 2]]))
    assert odd_one_out.noise_ceiling(oracle, np.ones((1, 3), dtype=np.float32)).value == pytest.approx(0.75)


@pytest.mark.parametrize("level", odd_one_out.LEVELS)
def test_triplets_of_a_level_have_its_subgroups(level):
    concepts = np.array([i for i in range(CONCEPTS) if i not in (0, 1, 2, 7)])
    drawn = odd_one_out.level_triplets(level, TAXONOMY, concepts, 500, np.random.default_rng(0))
    assert drawn.shape == (500, 3) and set(drawn.ravel()) <= set(concepts)
    assert all(len(set(row)) == 3 for row in drawn)
    codes = np.arange(CONCEPTS)[drawn] // 4
    different = np.array([len(set(row)) for row in codes])
    wanted = {"global-coarse": 3, "local-fine": 1, "class-boundary": 2}[level]
    assert (different == wanted).all()
    if level == "class-boundary":
        assert (codes[:, 0] == codes[:, 1]).all(), "the third is the one of another subgroup"
    again = odd_one_out.level_triplets(level, TAXONOMY, concepts, 500, np.random.default_rng(0))
    assert (again == drawn).all()


@pytest.mark.parametrize(
    ("level", "concepts"),
    [("global-coarse", np.arange(8)), ("local-fine", np.arange(0, CONCEPTS, 2)), ("class-boundary", np.arange(0, CONCEPTS, 4))],
)
def test_a_level_that_the_concepts_cannot_show_is_one_line(level, concepts):
    with pytest.raises(HumalignError, match=f"too few concepts for 10 {level} triplets") as caught:
        odd_one_out.level_triplets(level, TAXONOMY, concepts, 10, np.random.default_rng(0))
    assert "\n" not in str(caught.value)


# ---- representational similarity -------------------------------------------------------------------------------------

@pytest.mark.filterwarnings("ignore")
def test_rsa_is_that_of_rsatoolbox_and_of_scipy(features):
    rsatoolbox = pytest.importorskip("rsatoolbox")
    judged = rsa.dissimilarities(features[1])
    found = rsa.agreement(features[:1], judged, np.ones((1, CONCEPTS), dtype=np.float32))
    upper = np.triu_indices(CONCEPTS, k=1)
    np.testing.assert_allclose(found.value, spearmanr(rsa.dissimilarities(features[0])[upper], judged[upper]).statistic, atol=1e-12)
    models = [rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(style), method="correlation") for style in features]
    np.testing.assert_allclose(models[0].get_matrices()[0], rsa.dissimilarities(features[0]), atol=1e-9)
    np.testing.assert_allclose(found.value, rsatoolbox.rdm.compare(*models, method="spearman").item(), atol=1e-9)


# ---- uncertainty -----------------------------------------------------------------------------------------------------

def test_the_temperature_that_made_the_answers_is_recovered(features):
    rng = np.random.default_rng(8)
    rows = random_triplets(np.arange(CONCEPTS), 3000, rng)
    style = features[:1]
    for temperature in (0.05, 0.5, 2.0):
        chances = softmax(cosine_similarities(style[0], rows) / temperature, axis=1)
        answers = Choices(rows, rng.multinomial(200, chances))
        assert odd_one_out.fit_temperature(style, answers) == pytest.approx(temperature, rel=0.05)


def test_cross_entropy_is_that_of_brute_force_and_least_at_the_fitted_temperature(features, choices, weights):
    def surprise(temperature):
        return odd_one_out.cross_entropy(features, choices, temperature, weights).value

    wanted = 0.0
    for style in features:
        chances = softmax(cosine_similarities(style, choices.triplets) / 0.3, axis=1)
        wanted -= (choices.counts / 20 * np.log(chances)).sum(1).mean() / 2
    assert surprise(0.3) == pytest.approx(wanted, rel=1e-4)
    rng = np.random.default_rng(10)
    chances = softmax(cosine_similarities(features[0], choices.triplets) / 0.5, axis=1)
    told = Choices(choices.triplets, rng.multinomial(20, chances))
    best = odd_one_out.fit_temperature(features, told)
    least, below, above = (odd_one_out.cross_entropy(features, told, best * by, weights).value for by in (1, 1 / 1.3, 1.3))
    assert least < below and least < above


def test_entropy_agreement_tells_a_model_that_is_unsure_where_people_are(features, weights):
    rng = np.random.default_rng(9)
    rows = random_triplets(np.arange(CONCEPTS), 600, rng)
    answers = Choices(rows, rng.multinomial(500, softmax(cosine_similarities(features[0], rows) / 0.3, axis=1)))
    knowing = odd_one_out.entropy_agreement(features[:1], answers, 0.3, weights)
    guessing = odd_one_out.entropy_agreement(rng.standard_normal((1, CONCEPTS, DIM)), answers, 0.3, weights)
    assert knowing.value > 0.95 and abs(guessing.value) < 0.3
    assert len(knowing.draws) == len(weights) - 1


# ---- hierarchy -------------------------------------------------------------------------------------------------------

def test_distances_by_relation_are_those_of_brute_force(features, weights):
    distances = hierarchy.over_styles(features)
    found = hierarchy.distances_by_relation(distances, hierarchy.by_taxonomy(TAXONOMY), weights)
    pairs = list(itertools.combinations(range(CONCEPTS), 2))
    distance = np.array([np.mean([1 - pearsonr(s[a], s[b]).statistic for s in features]) for a, b in pairs])
    distance = (distance - distance.mean()) / distance.std()
    names = {(True, True): "same-subgroup", (False, True): "same-group", (False, False): "different-group"}
    relation = np.array([names[a // 4 == b // 4, a // 12 == b // 12] for a, b in pairs])
    for name in hierarchy.RELATIONS:
        rows = relation == name
        for value, each in zip([found[name].value, *found[name].draws], weights, strict=True):
            times = np.array([each[a] * each[b] for a, b in pairs])
            assert value == pytest.approx(np.average(distance[rows], weights=times[rows]), abs=1e-4)
        assert found[name].n == rows.sum()
    assert found["same-subgroup"].value < found["same-group"].value < found["different-group"].value


# ---- few-shot --------------------------------------------------------------------------------------------------------

def test_few_shot_is_plain_scikit_learn(features):
    from sklearn.linear_model import LogisticRegression

    labels = TAXONOMY["group"].to_numpy(dtype=str)
    support = few_shot.supports(labels, 3, 4, np.random.default_rng(0))
    same, across = few_shot.accuracy(features, labels, support, resamples(CONCEPTS, 5, seed=0))
    hits = {"same": np.zeros((4, CONCEPTS)), "across": np.zeros((4, CONCEPTS))}
    for draw, taught in enumerate(support):
        for own, other in (features, features[::-1]):
            mean, scale = own[taught].mean(0), own[taught].var(0).mean() ** 0.5
            model = LogisticRegression(C=1.0, max_iter=200).fit((own[taught] - mean) / scale, labels[taught])
            hits["same"][draw] += (model.predict((own - mean) / scale) == labels) / 2
            hits["across"][draw] += (model.predict((other - mean) / scale) == labels) / 2
    for estimate, hit in ((same, hits["same"]), (across, hits["across"])):
        of_concepts = [np.mean(hit[~support[:, c], c]) for c in range(CONCEPTS) if (~support[:, c]).any()]
        assert estimate.value == pytest.approx(np.mean(of_concepts), abs=1e-6)
        assert estimate.n == len(of_concepts) and 0 <= estimate.draws.min() and estimate.draws.max() <= 1
    assert same.value > 0.6


def test_a_taught_concept_is_never_tested():
    """Features name the concept and nothing else: whatever is learnt of the taught says nothing of the others."""
    labels = np.array(["a", "b"] * 10)
    rng = np.random.default_rng(0)
    own = np.stack([np.eye(20)] * 2)
    same, across = few_shot.accuracy(own, labels, few_shot.supports(labels, 8, 5, rng), resamples(20, 5, seed=0))
    assert same.value < 0.75 and across.value < 0.75


def test_supports_take_so_many_of_every_class():
    labels = np.array(["a"] * 5 + ["b"] * 9 + ["c"] * 4)
    chosen = few_shot.supports(labels, 3, 20, np.random.default_rng(0))
    assert chosen.shape == (20, 18)
    assert all((chosen[:, labels == name].sum(1) == 3).all() for name in "abc")
    assert (chosen == few_shot.supports(labels, 3, 20, np.random.default_rng(0))).all() and len(np.unique(chosen, axis=0)) > 10


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a"] * 8, "a classifier needs two classes, there is only"),
        (["a"] * 8 + ["b"] * 3, "class .*b.* has 3 members: 3 shots leave none to test"),
    ],
)
def test_classes_that_cannot_be_taught_are_one_line(labels, said):
    with pytest.raises(HumalignError, match=said) as caught:
        few_shot.supports(np.array(labels), 3, 2, np.random.default_rng(0))
    assert "\n" not in str(caught.value)


# ---- shift -----------------------------------------------------------------------------------------------------------

def test_the_nearest_picture_of_the_other_style_is_that_of_brute_force(features, weights):
    found = few_shot.nearest_in_other_style(features, weights)
    hits = np.zeros(CONCEPTS)
    for own, other in (features, features[::-1]):
        for concept in range(CONCEPTS):
            hits[concept] += 0.5 * (int(np.argmax([cosine(own[concept], there) for there in other])) == concept)
    assert 0 < hits.mean() < 1
    np.testing.assert_allclose([found.value, *found.draws], weights @ hits / CONCEPTS, rtol=1e-5)


def test_features_that_tell_no_concept_from_another_are_not_found_again(weights):
    assert few_shot.nearest_in_other_style(np.ones((2, CONCEPTS, DIM)), weights).value <= 1 / CONCEPTS + 1e-6


def test_a_concept_drawn_alike_in_both_styles_is_always_found_again(features, weights):
    assert few_shot.nearest_in_other_style(np.stack([features[0]] * 2), weights).value == 1
