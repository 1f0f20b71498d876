"""Every evaluation computes in single precision or better, whatever type features have, and takes triplets of any whole type."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from humalign.chain.scoring import learning
from humalign.data.judgments import ByObject, Choices, random_triplets
from humalign.errors import HumalignError
from humalign.evaluation import between_models, few_shot, hierarchy, left_out, odd_one_out, people, rsa, soft_labels
from humalign.evaluation.scores import resamples
from humalign.teach import vice
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.teacher import AffineTeacher

N = 40
RNG = np.random.default_rng(0)
# Activations as they come out of a ReLU, whose squares leave the range of half precision; whole numbers, so that every type holds them.
PLAIN = np.round(np.maximum(RNG.standard_normal((N, 1280)), 0) * 30) + 5 * (np.arange(1280) % 8 == (np.arange(N) % 8)[:, None])
LABELS = np.array([f"c{i % 8}" for i in range(N)])
ASKED = random_triplets(np.arange(N), 400, RNG)
CHOICES = Choices(ASKED, RNG.multinomial(20, softmax(people.pair_values(np.corrcoef(PLAIN), ASKED) * 20, axis=1)))
ANSWERS, JUDGED, W = ByObject.of(CHOICES, N), 1 - np.corrcoef(PLAIN + 20 * RNG.standard_normal(PLAIN.shape)), resamples(N, 5, 0)
SUPPORT = few_shot.supports(LABELS, 2, 2, np.random.default_rng(0))
TAXONOMY = pd.DataFrame({"subgroup": LABELS, "group": [f"g{i % 2}" for i in range(N)]})
CATEGORIES = RNG.random((N, 4)) < 0.4
STEPS = RNG.integers(0, 16, (N, N)).astype(float)
NEW = np.arange(N) < 24

EVALUATIONS = {
    "odd-one-out": lambda f: odd_one_out.accuracy(f[None], CHOICES, W),
    "temperature": lambda f: odd_one_out.fit_temperature(f[None], CHOICES),
    "cross-entropy": lambda f: odd_one_out.cross_entropy(f[None], CHOICES, 0.1, W),
    "entropy": lambda f: odd_one_out.entropy_agreement(f[None], CHOICES, 0.1, W),
    "rsa": lambda f: rsa.agreement(f[None], JUDGED, W),
    "distances": rsa.dissimilarities,
    "choice distances": lambda f: rsa.choice_dissimilarities(f[:, :40] / 64),
    "matrices": lambda f: rsa.matrices(-people.dot_similarity(f) / 2.0**14, JUDGED, W)["pearson"],
    "cka": lambda f: between_models.linear_cka(f, PLAIN[:, ::-1].copy(), W),
    "few-shot": lambda f: few_shot.of_images(f, LABELS, SUPPORT, W),
    "nearest mean": lambda f: few_shot.of_images(f, LABELS, SUPPORT, W, "nearest-mean"),
    "probabilities": lambda f: few_shot.probabilities(few_shot.teach(f, LABELS, SUPPORT), f),
    "two styles": lambda f: few_shot.accuracy(np.stack([f, f[:, ::-1]]), LABELS, SUPPORT, W)[1],
    "taxonomy": lambda f: hierarchy.distances_by_relation(
        hierarchy.over_styles(f[None]), hierarchy.by_taxonomy(TAXONOMY), W
    )["same-group"],
    "classes": lambda f: hierarchy.of_relations(f, hierarchy.by_classes(LABELS), W)["same-class"],
    "categories": lambda f: hierarchy.of_relations(f, hierarchy.by_categories(CATEGORIES), W)["same-category"],
    "paths": lambda f: hierarchy.of_paths(f, STEPS, W)["path-spearman"],
    "map": lambda f: hierarchy.maps({"base": f}, CATEGORIES, W)["base"][0][0],
    "disagreement": between_models.standardised,
    "other style": lambda f: few_shot.nearest_in_other_style(np.stack([f, np.roll(f, 1, axis=1)]), W),
    "other classes": lambda f: few_shot.to_other_classes(
        f, TAXONOMY["group"].to_numpy(), NEW, few_shot.supports(TAXONOMY["group"].to_numpy(), 3, 2, np.random.default_rng(0), NEW), W
    )["target"],
    "backbone": people.backbone_similarity,
    "dots": people.dot_similarity,
    "dimension": lambda f: learning.nearest_dimension(f[:, 3], f[:, 4:20], W),
    "three left out": lambda f: left_out.leave_three_out(
        f, ANSWERS, lambda kept: MixedEffectsTeacher(dim=4, iterations=4).fit(f[kept], ANSWERS[kept]), 4, W, 0
    )["teacher-base"],
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8", "int16", "int64", ">f4"])
@pytest.mark.parametrize("name", EVALUATIONS)
def test_an_evaluation_gives_what_double_precision_gives(name, dtype):
    """float16 was 0.0 where float32 was 1.0: the squares of such features are beyond 65,504."""
    found, wanted = (EVALUATIONS[name](features) for features in (PLAIN.astype(dtype), PLAIN))
    for value in (found, wanted):
        assert np.isfinite(getattr(value, "value", value)).all()
    np.testing.assert_allclose(getattr(found, "value", found), getattr(wanted, "value", wanted), rtol=2e-4, atol=2e-4)
    if hasattr(found, "draws"):
        np.testing.assert_allclose(found.draws, wanted.draws, rtol=2e-4, atol=2e-4)


def test_half_precision_of_distributions_is_widened():
    shares = RNG.multinomial(16, RNG.dirichlet(np.ones(4), N)) / 16  # exact in half precision
    tested, weights = np.ones((1, N), bool), W
    for score in (soft_labels.cross_entropy, soft_labels.calibration_error, soft_labels.entropy_agreement):
        half, whole = (score(shares[None].astype(dtype), shares.astype(dtype), tested, weights) for dtype in (np.float16, np.float32))
        assert half.value == whole.value and (half.draws == whole.draws).all()
    certain = np.eye(4, dtype=int)[RNG.integers(4, size=N)]
    assert soft_labels.cross_entropy(certain[None], certain, tested, weights).value == pytest.approx(0)


@pytest.mark.parametrize("form", ["uint8", "int16", "list", "reversed", "float64"])
def test_triplets_of_any_form_give_the_same_draws(form):
    values = RNG.random(len(ASKED))
    forms = {"list": ASKED.tolist(), "reversed": ASKED[:, ::-1][:, ::-1]}
    rows = forms[form] if form in forms else ASKED.astype(form)
    found, wanted = (odd_one_out.triplet_mean(values, each, W) for each in (rows, ASKED))
    assert found.value == wanted.value and (found.draws == wanted.draws).all()
    np.testing.assert_array_equal(people.pair_values(JUDGED, rows), people.pair_values(JUDGED, ASKED))


PERCENT = 100 * CHOICES.shares


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: people.calibration(PERCENT, ANSWERS, W), "is no distribution over the three pairs"),
        (lambda: people.repeated(PERCENT, CHOICES, resamples(400, 3, 0)), "is no distribution over the three pairs"),
        (lambda: people.accuracy(np.full((400, 3), np.nan), ANSWERS, W), "similarities hold NaN"),
        (lambda: people.pair_values(JUDGED, np.array([[0, 1, N]])), "index outside"),
        (lambda: people.pair_values(JUDGED, np.array([[0, 1, -1]])), "index outside"),
        (lambda: people.group_choices(np.where(JUDGED > 1, np.nan, JUDGED)[None]), "not finite"),
        (lambda: rsa.matrix_agreement(np.where(JUDGED > 1, np.nan, JUDGED), JUDGED, W), "the model's matrix holds NaN"),
        (lambda: people.across_people_and_images(-JUDGED, np.stack([np.where(JUDGED > 1, np.nan, JUDGED)] * 3), 3, 0), "has no rank"),
        (lambda: people.shared_dimension(np.ones((N, N)), PLAIN[:, 0], W), "all equal"),
        (lambda: left_out.leave_three_out(PLAIN, ANSWERS, lambda kept: None, 3, W, 0), "3 groups of 40 images: three are left out"),
        (lambda: left_out.leave_three_out(PLAIN, ANSWERS, lambda kept: None, 41, W, 0), "41 groups of 40 images"),
        (lambda: left_out.leave_three_out(PLAIN[:30], ANSWERS, lambda kept: None, 4, W[:, :30], 0), "about 40 images, but features of 30"),
        (lambda: people.backbone_similarity(np.ones((4, 3))), "no correlation"),
        (lambda: rsa.agreement(PLAIN[None], np.where(JUDGED > 1, np.nan, JUDGED), W), "judged matrix holds NaN"),
        (lambda: rsa.choice_dissimilarities(np.full((4, 4), np.nan)), "not finite"),
        (lambda: odd_one_out.log_probabilities(PLAIN[None], CHOICES, -1.0), "temperature = -1.0: expected a number above 0"),
        (lambda: odd_one_out.log_probabilities(PLAIN[None], CHOICES, 0.0), "temperature = 0.0"),
        (lambda: odd_one_out.triplet_mean(np.ones(399), ASKED, W), "399 values for 400 triplets"),
        (lambda: odd_one_out.triplet_mean(np.full(400, np.nan), ASKED, W), "not finite"),
        (lambda: odd_one_out.level_triplets("local", TAXONOMY, np.arange(N), 5, RNG), "unknown level 'local': did you mean 'local-fine'"),
        (lambda: few_shot.nearest_in_other_style(np.full((2, 4, 3), np.nan), W[:, :4]), "hold NaN or infinity, first in row 0"),
        (lambda: soft_labels.calibration_error(np.eye(4)[None], np.eye(4), np.ones((1, 4), bool), W[:, :4], bins=0), "bins = 0"),
        (lambda: few_shot.supports(LABELS, 0, 2, RNG), "shots = 0"),
        (lambda: few_shot.supports(LABELS, 1, 0, RNG), "draws = 0"),
        (lambda: people.ceilings(np.stack([JUDGED] * 2), 3, 0), "three or more"),
    ],
)
def test_what_cannot_be_scored_is_one_line(call, said):
    with pytest.raises(HumalignError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_agreement_on_held_out_objects_is_measured_with_few_answers():
    """A thousand answers on 278 pictures: too few for VICE; a teacher is fitted to them directly and scored on objects left out."""
    rng = np.random.default_rng(3)
    features = rng.standard_normal((278, 16)) * np.where(np.arange(16) < 4, 1, 2)
    similar = features[:, :4] @ features[:, :4].T
    asked = random_triplets(np.arange(278), 1002, rng)
    choices = Choices(asked, rng.multinomial(1, softmax(people.pair_values(similar, asked), axis=1)))
    answers, weights = ByObject.of(choices, 278), resamples(278, 200, 0)

    def held_out(said):
        def fit(kept):
            return AffineTeacher(pull=1e-2).fit(features[kept], said[kept])

        return left_out.leave_three_out(features, said, fit, 5, weights, 0)

    found = held_out(answers)
    gain = found["teacher"] - found["teacher-base"]
    assert gain.value > 0.05 and gain.interval()[0] > 0 and found["teacher"].n == 1002
    guesses = ByObject.of(Choices(asked, rng.permuted(choices.counts, axis=1)), 278)
    assert held_out(guesses)["teacher"].value < 0.4
    with pytest.raises(HumalignError, match=r"the 1,002 answers need.* some 13,900 answers .50 an object.*AffineTeacher"):
        vice.fit(choices, 278, dim=60, steps=200, batch=2048, seed=0)


def test_the_factor_of_overlapping_support_sets_is_the_written_equation():
    """Brute force: support sets of k among n items, whose accuracies vary with the items that they hold."""
    rng, n, k, draws = np.random.default_rng(0), 12, 4, 5
    seen, true = [], []
    for _ in range(4000):
        effects = rng.standard_normal(n)
        support = np.stack([rng.permutation(n) < k for _ in range(draws)])
        accuracy = support @ effects / k
        true.append(accuracy.mean())
        seen.append(accuracy.var() / draws * few_shot._overlap_factor(support) ** 2)
    assert np.mean(seen) == pytest.approx(np.var(true), rel=0.1)
    assert few_shot._overlap_factor(np.ones((3, 4), bool)) == 1.0
