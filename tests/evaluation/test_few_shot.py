"""k-shot classifiers of pictures and their uncertainty, against scikit-learn called plainly, brute force, and known answers."""

import itertools

import numpy as np
import pytest
from scipy.stats import norm, spearmanr, t
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import NearestCentroid

from humalign.errors import HumalignError
from humalign.evaluation import few_shot, soft_labels
from humalign.evaluation.scores import resamples

CLASSES, EACH, DIM = 4, 15, 12
IMAGES = CLASSES * EACH
LABELS = np.array(["ant", "bee", "cow", "dog"])[np.arange(IMAGES) % CLASSES]


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    return rng.standard_normal((CLASSES, DIM))[np.arange(IMAGES) % CLASSES] + 1.2 * rng.standard_normal((IMAGES, DIM))


@pytest.fixture(scope="module")
def weights():
    return resamples(IMAGES, 20, seed=1)


def by_hand(kind, train, labels):
    """Return a fitted classifier of scikit-learn, its C chosen by a loop where it is to be chosen."""
    if kind == "nearest-mean":
        return NearestCentroid().fit(train, labels)
    if kind == "logistic":
        return LogisticRegression(C=1.0, max_iter=200).fit(train, labels)
    folds = StratifiedKFold(min(int(np.unique(labels, return_counts=True)[1].min()), 5))
    likely = {
        c: cross_val_score(LogisticRegression(C=c, max_iter=200), train, labels, cv=folds, scoring="neg_log_loss").mean()
        for c in (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
    }
    return LogisticRegression(C=max(likely, key=likely.get), max_iter=200).fit(train, labels)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "shots"),
    [("logistic", 1), ("logistic", 5), ("logistic-cv", 2), ("logistic-cv", 10), ("nearest-mean", 1), ("nearest-mean", 5)],
)
def test_every_classifier_is_that_of_scikit_learn(features, weights, kind, shots):
    support = few_shot.supports(LABELS, shots, 5, np.random.default_rng(shots))
    found = few_shot.of_images(features, LABELS, support, weights, kind)
    hits = np.zeros((5, IMAGES))
    for draw, taught in enumerate(support):
        scaled = (features - features[taught].mean(0)) / features[taught].var(0).mean() ** 0.5
        model = by_hand(kind, scaled[taught], LABELS[taught])
        hits[draw] = model.predict(scaled) == LABELS
    seen = [i for i in range(IMAGES) if not support[:, i].all()]
    of_images = np.array([np.mean(hits[~support[:, i], i]) for i in seen])
    assert found.value == pytest.approx(of_images.mean()) and found.n == len(seen)
    for draw, each in enumerate(weights[1:]):
        assert found.draws[draw] == pytest.approx(np.average(of_images, weights=each[seen]))
    assert found.value > 0.4


def test_a_feature_that_hardly_varies_among_the_taught_does_not_drown_the_others(features, weights):
    support = few_shot.supports(LABELS, 2, 10, np.random.default_rng(4))
    plain = few_shot.of_images(features, LABELS, support, weights)
    taught = support.any(0)
    # Among all pictures that are ever taught it is a millionth of what it is elsewhere.
    rare = np.where(taught, 1e-6, 1.0) * np.random.default_rng(5).standard_normal(IMAGES)
    beside = few_shot.of_images(np.column_stack([features, rare]), LABELS, support, weights)
    assert beside.value == pytest.approx(plain.value, abs=0.02)


def test_more_shots_are_better(features, weights):
    at = {}
    for k in (1, 2, 5, 10):
        support = few_shot.supports(LABELS, k, 20, np.random.default_rng(0))
        at[k] = few_shot.of_images(features, LABELS, support, weights).value
    assert at[1] < at[2] < min(at[5], at[10])


def test_shuffled_labels_are_at_chance_and_separable_classes_at_one(features):
    rng = np.random.default_rng(0)
    many = resamples(IMAGES, 2, seed=0)
    shuffled = np.mean([
        few_shot.of_images(features, labels, few_shot.supports(labels, 5, 5, rng), many).value
        for labels in (rng.permutation(LABELS) for _ in range(8))
    ])
    assert shuffled == pytest.approx(1 / CLASSES, abs=0.05)
    apart = features + 30 * rng.standard_normal((CLASSES, DIM))[np.arange(IMAGES) % CLASSES]
    for kind in few_shot.CLASSIFIERS:
        assert few_shot.of_images(apart, LABELS, few_shot.supports(LABELS, 2, 5, rng), many, kind).value == 1


def test_draws_of_taught_pictures_can_be_resampled_too(features, weights):
    draws = 8
    support = few_shot.supports(LABELS, 1, draws, np.random.default_rng(2))
    again = resamples(draws, 20, seed=5)
    fixed = few_shot.of_images(features, LABELS, support, weights)
    both = few_shot.of_images(features, LABELS, support, weights, taught_weights=again)
    assert fixed.value == pytest.approx(both.value)
    hits = few_shot.correct(few_shot.teach(features, LABELS, support), features, LABELS)
    second = []
    for draw in again[1:].astype(int):
        chosen = np.repeat(np.arange(draws), draw)
        tested = ~support[chosen]
        kept = tested.any(0)
        second.append(((hits[chosen] * tested).sum(0)[kept] / tested.sum(0)[kept]).mean() - fixed.value)
    pairs = [(support[d] & support[e]).sum() / support[d].sum() for d, e in itertools.permutations(range(draws), 2)]
    common = np.mean(pairs)
    # Of the spread between draws from one pool, that of one draw from any; then that of the mean of so many that share a pool.
    any_draw = draws / (draws - 1) / (1 - common)
    second = np.array(second) * np.sqrt(any_draw * (1 / draws + common * (1 - 1 / draws)) * draws)
    together = fixed.draws - fixed.value + second
    ratio = (both.draws - both.value) / together
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    assert 1 < ratio[0] < t.ppf(0.975, draws - 1) / norm.ppf(0.975)


def test_draws_from_one_pool_vary_less_than_draws_from_any_and_the_interval_knows():
    """Each picture is easy or hard, and a good or a bad example: the mean varies over worlds as its draws do."""
    rng, pool, shots, draws = np.random.default_rng(0), 60, 12, 6
    found = []
    for _ in range(300):
        taught = np.argsort(rng.random((draws, pool)), axis=1) < shots
        easy, example = rng.normal(0, 0.1, pool), rng.normal(0, 0.2, pool)
        values = easy + (taught @ example / shots)[:, None]
        drawn = resamples(pool, 100, int(rng.integers(2**31))), resamples(draws, 100, int(rng.integers(2**31)))
        estimate = few_shot.image_mean(values, ~taught, *drawn)
        found.append((estimate.value, estimate.draws.std()))
    truth, said = np.std([value for value, _ in found]), np.sqrt(np.mean([spread**2 for _, spread in found]))
    assert 0.9 < said / truth < 1.25


def test_supports_stay_among_the_given():
    among = np.arange(IMAGES) >= 20
    chosen = few_shot.supports(LABELS, 3, 9, np.random.default_rng(0), among)
    assert not chosen[:, :20].any() and all((chosen[:, name == LABELS].sum(1) == 3).all() for name in np.unique(LABELS))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y: (np.where(np.arange(len(x))[:, None] == 7, np.nan, x), y), "features of picture 7 hold NaN or infinity"),
        (lambda x, y: (np.ones_like(x), y), "the features of all 60 pictures are equal"),
        (lambda x, y: (x[:-1], y), "59 rows of features for 60 pictures"),
        (lambda x, y: (x, np.full(len(y), "ant")), r"needs two classes, there is only \['ant'\]"),
        (lambda x, y: (x, np.where(y == "ant", "", y)), "a picture without a label"),
    ],
    ids=["nan", "equal", "rows", "one-class", "unlabelled"],
)
def test_inputs_that_cannot_be_scored_are_one_line(features, weights, change, said):
    support = few_shot.supports(LABELS, 2, 2, np.random.default_rng(0))
    with pytest.raises(HumalignError, match=said) as caught:
        few_shot.of_images(*change(features, LABELS), support, weights)
    assert "\n" not in str(caught.value)


def test_taught_pictures_that_are_all_equal_are_one_line(features, weights):
    support = few_shot.supports(LABELS, 1, 1, np.random.default_rng(0))
    same = np.where(support[0][:, None], 1.0, features)
    with pytest.raises(HumalignError, match="features of all 4 taught pictures are equal"):
        few_shot.of_images(same, LABELS, support, weights)


def test_an_unknown_classifier_names_the_nearest(features, weights):
    support = few_shot.supports(LABELS, 1, 1, np.random.default_rng(0))
    with pytest.raises(HumalignError, match="unknown classifier 'logstic': did you mean 'logistic'"):
        few_shot.of_images(features, LABELS, support, weights, "logstic")
    with pytest.raises(HumalignError, match="one shot leaves nothing to cross-validate on"):
        few_shot.of_images(features, LABELS, support, weights, "logistic-cv")


# ---- people's uncertainty --------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def world():
    """People's shares, two classifiers' probabilities, and which images each tests."""
    rng = np.random.default_rng(3)
    shares = rng.multinomial(50, rng.dirichlet(np.full(CLASSES, 0.4), IMAGES).clip(1e-9)) / 50
    probabilities = rng.dirichlet(np.full(CLASSES, 0.6), (2, IMAGES))
    return shares, probabilities, rng.random((2, IMAGES)) < 0.8


def test_cross_entropy_is_that_of_brute_force_and_least_for_people_themselves(world, weights):
    shares, probabilities, tested = world
    found = soft_labels.cross_entropy(probabilities, shares, tested, weights)
    kept = [i for i in range(IMAGES) if tested[:, i].any()]
    each = [np.mean([-(shares[i] * np.log(probabilities[d, i])).sum() for d in range(2) if tested[d, i]]) for i in kept]
    assert found.value == pytest.approx(np.mean(each)) and found.n == len(kept)
    assert found.draws[4] == pytest.approx(np.average(each, weights=weights[5][kept]))
    own = soft_labels.cross_entropy(np.stack([np.maximum(shares, 1e-12)] * 2), shares, tested, weights)
    assert own.value == pytest.approx(soft_labels.entropies(shares)[kept].mean(), abs=1e-6) and own.value < found.value


def test_calibration_error_is_that_of_brute_force(world, weights):
    shares, probabilities, tested = world
    for people in (shares, np.eye(CLASSES)[shares.argmax(1)]):
        wanted = []
        for rows, used in zip(probabilities, tested, strict=True):
            total = 0.0
            for low in range(15):
                inside = [i for i in np.flatnonzero(used) if low / 15 <= rows[i].max() < (low + 1) / 15]
                if inside:
                    gap = np.mean([rows[i].max() - people[i, rows[i].argmax()] for i in inside])
                    total += abs(gap) * len(inside) / used.sum()
            wanted.append(total)
        assert soft_labels.calibration_error(probabilities, people, tested, weights).value == pytest.approx(np.mean(wanted))


def test_a_classifier_that_is_as_sure_as_people_agree_is_calibrated_and_a_surer_one_is_not():
    rng = np.random.default_rng(0)
    n = 20_000
    truth = rng.dirichlet(np.full(CLASSES, 0.7), n)
    shares = rng.multinomial(10, truth) / 10
    tested, few = np.ones((1, n), dtype=bool), np.ones((3, n), dtype=np.float32)
    assert soft_labels.calibration_error(truth[None], shares, tested, few).value < 0.01
    surer = truth**3 / (truth**3).sum(1, keepdims=True)
    assert soft_labels.calibration_error(surer[None], shares, tested, few).value > 0.1
    surprise = [soft_labels.cross_entropy(each[None], shares, tested, few).value for each in (truth, surer)]
    assert surprise[0] < surprise[1]


def test_entropy_agreement_is_spearman(world, weights):
    shares, probabilities, tested = world
    found = soft_labels.entropy_agreement(probabilities, shares, tested, weights)
    wanted = [
        spearmanr(soft_labels.entropies(rows[used]), soft_labels.entropies(shares[used])).statistic
        for rows, used in zip(probabilities, tested, strict=True)
    ]
    assert found.value == pytest.approx(np.mean(wanted))
    knowing = soft_labels.entropy_agreement(shares[None], shares, tested[:1], weights)
    assert knowing.value == pytest.approx(1) and np.allclose(knowing.draws, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p, s: (p[:, :-1], s), r"probabilities of \(59, 4\) pictures and classes, people's shares of \(60, 4\)"),
        (lambda p, s: (np.where(np.arange(IMAGES)[:, None] == 5, np.nan, p), s), "probabilities of picture 5 are no distribution"),
        (lambda p, s: (p * 2, s), "probabilities of picture 0 are no distribution"),
        (lambda p, s: (p, s - 0.5), "people's shares of picture 0 are no distribution"),
    ],
)
def test_what_is_no_distribution_is_one_line(world, weights, change, said):
    shares, probabilities, tested = world
    probabilities, shares = change(probabilities, shares)
    for score in (soft_labels.cross_entropy, soft_labels.calibration_error, soft_labels.entropy_agreement):
        with pytest.raises(HumalignError, match=said) as caught:
            score(probabilities, shares, tested, weights)
        assert "\n" not in str(caught.value)
