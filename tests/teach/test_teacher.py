"""The affine teacher: recovers a known map, keeps to its pull, and never to more than it was told."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

from humalign.data.judgments import PAIRS, ByObject, Choices, random_triplets
from humalign.errors import HumalignError
from humalign.teach.locality import neighbourhoods
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.splits import ObjectFolds
from humalign.teach.teacher import AffineTeacher, try_pulls


@pytest.fixture(scope="module")
def world():
    """Embeddings of which judgments use five directions only, and answers by a known map."""
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((200, 24)).astype(np.float32)
    used = np.linalg.qr(rng.standard_normal((24, 5)))[0]
    space = embeddings @ used
    triplets = random_triplets(np.arange(200), 30000, rng)
    similar = np.stack([(space[triplets[:, a]] * space[triplets[:, b]]).sum(1) for a, b in PAIRS], axis=1)
    return embeddings, space, triplets, softmax(similar, axis=1)


@pytest.fixture(scope="module")
def pools():
    """Unlabelled images in groups of near ones, to fit with and to look at."""
    rng = np.random.default_rng(2)
    centres = 1.5 * rng.standard_normal((12, 24))
    return [(centres[rng.integers(12, size=90)] + 0.4 * rng.standard_normal((90, 24))).astype(np.float32) for _ in range(2)]


def held_out(world):
    _, _, triplets, targets = world
    new = (triplets >= 150).all(1)
    counts = np.random.default_rng(1).multinomial(20, targets[new])
    return Choices(triplets[new], counts)


def fitted(world, pool=None, **settings):
    embeddings, _, triplets, targets = world
    train = (triplets < 150).all(1)
    return AffineTeacher(**settings).fit(embeddings[:150], (triplets[train], targets[train]), pool=pool)


def neighbour_cross_entropy(before, after, temperature):
    """Write the locality term out, image by image."""
    each = []
    for o in range(len(before)):
        others = np.delete(np.arange(len(before)), o)

        def cosines(rows, o=o, others=others):
            return rows[others] @ rows[o] / np.linalg.norm(rows[others], axis=1) / np.linalg.norm(rows[o])

        each.append(-(softmax(cosines(before) / temperature) * log_softmax(cosines(after) / temperature)).sum())
    return np.mean(each)


def test_learns_what_the_judgments_say_about_objects_it_never_saw(world):
    embeddings, space, _, _ = world
    base, teacher = fitted(world, pull=np.inf), fitted(world, pull=1e-4)
    assert teacher.score(embeddings, held_out(world)) > base.score(embeddings, held_out(world)) + 0.1
    pairs = np.triu_indices(50, k=1)
    truth = (space[150:] @ space[150:].T)[pairs]
    found = teacher.transform(embeddings[150:])
    assert spearmanr((found @ found.T)[pairs], truth).statistic > 0.95


def test_an_infinite_pull_keeps_a_scaled_identity(world):
    matrix = fitted(world, pull=np.inf).matrix_
    np.testing.assert_allclose(matrix, matrix[0, 0] * np.eye(24), atol=1e-5)
    strong, weak = (fitted(world, pull=pull).matrix_ for pull in (1.0, 1e-4))
    away = [np.linalg.norm(m - np.trace(m) / 24 * np.eye(24)) for m in (strong, weak)]
    assert away[0] < 0.2 * away[1]


def test_locality_keeps_the_neighbours_of_images_that_nobody_judged(world, pools):
    pool, others = pools
    moved = []
    for locality in (0.0, 0.5, 0.9):
        teacher = fitted(world, pool, pull=1e-4, locality=locality, locality_temperature=0.2)
        before = (others - teacher.mean_) / teacher.scale_
        moved.append(neighbour_cross_entropy(before, teacher.transform(others), 0.2) - neighbour_cross_entropy(before, before, 0.2))
    assert moved[0] > 1.5 * moved[1] > 2 * moved[2] > 0
    base = fitted(world, pull=np.inf).score(world[0], held_out(world))
    assert fitted(world, pool, pull=1e-4, locality=0.5).score(world[0], held_out(world)) > base + 0.1
    unfelt = fitted(world, pool, pull=1e-4)
    np.testing.assert_array_equal(unfelt.matrix_, fitted(world, pull=1e-4).matrix_)


@pytest.mark.parametrize("settings", [{}, {"rank": 9}, {"bias": True}, {"bias": True, "rank": 9}, {"pull": np.inf, "bias": True}])
def test_the_objective_is_the_written_formula_at_the_fitted_map(world, pools, settings):
    embeddings, _, triplets, targets = world
    settings = {"pull": 1e-3, "locality": 0.3, "locality_temperature": 0.5} | settings
    teacher = fitted(world, pools[0], **settings)
    inside = (triplets < 150).all(1)
    mean, scale, matrix = teacher.mean_.astype(float), teacher.scale_, teacher.matrix_.astype(float)
    centred = (embeddings[:150] - mean) / scale
    # What lies outside the leading directions cannot be felt by the choices, so the fit leaves it out of them.
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    basis = directions[: teacher.rank]
    places = centred @ basis.T @ basis @ matrix + teacher.bias_
    similar = (places @ places.T)[triplets[inside][:, [0, 0, 1]], triplets[inside][:, [1, 2, 2]]]
    judged = -(targets[inside] * log_softmax(similar, axis=1)).sum(1).mean()
    images = (pools[0] - mean) / scale
    kept = neighbour_cross_entropy(images, images @ matrix + teacher.bias_, 0.5)
    pulled = ((matrix - np.trace(matrix) / 24 * np.eye(24)) ** 2).sum()
    wanted = 0.7 * judged + 0.3 * kept + (1e-3 * pulled if np.isfinite(settings["pull"]) else 0)
    assert teacher.loss_ == pytest.approx(wanted, rel=1e-5)


def test_every_unlabelled_image_is_in_one_batch_and_a_rerun_is_the_same(world, pools):
    batches = neighbourhoods(pools[0], np.eye(24, dtype=np.float32)[:5], 40, torch.device("cpu"))
    assert [len(batch.inside) for batch in batches] == [30, 30, 30]
    assert sum(batch.share for batch in batches) == pytest.approx(1)
    dealt = np.concatenate([batch.inside for batch in batches])
    np.testing.assert_array_equal(dealt[np.lexsort(dealt.T)], pools[0][np.lexsort(pools[0][:, :5].T), :5])
    one, other = (fitted(world, pools[0], locality=0.5, locality_batch=40).matrix_ for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_a_bias_finds_an_origin_that_the_answers_have(world):
    embeddings, space, triplets, _ = world
    origin = np.array([1.5, -1.0, 0.5, 0.0, 0.0])
    similar = np.stack([((space + origin)[triplets[:, a]] * (space + origin)[triplets[:, b]]).sum(1) for a, b in PAIRS], axis=1)
    moved = (embeddings, space, triplets, softmax(similar, axis=1))
    asked, new = held_out(moved).triplets, (triplets >= 150).all(1)
    missed = {}
    for bias in (False, True):
        teacher = fitted(moved, pull=1e-4, bias=bias)
        missed[bias] = np.abs(teacher.choice_probabilities(embeddings, asked) - moved[3][new]).mean()
        assert teacher.bias_.any() == bias
    assert missed[True] < 0.5 * missed[False]


def test_choice_of_the_pull_uses_the_given_objects_only(world):
    embeddings, _, triplets, targets = world
    kept, done = np.arange(150), []
    inside = (triplets < 150).all(1)
    settings = {"groups": kept % 3, "pulls": (1e-4, 10.0), "teacher": AffineTeacher(), "progress": lambda: done.append(1)}
    tried = try_pulls(embeddings[:150], (triplets[inside], targets[inside]), **settings)
    assert tried[1e-4] > tried[10.0] + 0.05
    assert len(done) == 6
    # What is said about objects that are not given cannot be felt: they are not there to be looked up.
    with pytest.raises(HumalignError, match="outside"):
        try_pulls(embeddings[:150], (triplets, targets), **settings)


def test_follows_the_conventions_of_scikit_learn_and_can_be_saved(world, tmp_path):
    teacher = fitted(world, pull=1e-3, bias=True)
    again = clone(teacher)
    assert again.get_params() == teacher.get_params()
    assert not hasattr(again, "matrix_")
    assert again.set_params(pull=1.0, locality=0.2).get_params() == teacher.get_params() | {"pull": 1.0, "locality": 0.2}
    teacher.save(tmp_path / "t.safetensors", {"key": "k"})
    loaded = AffineTeacher.load(tmp_path / "t.safetensors")
    np.testing.assert_allclose(loaded.transform(world[0]), teacher.transform(world[0]), rtol=1e-5, atol=1e-6)


def test_is_validated_and_searched_by_scikit_learn_with_a_pool_beside_the_folds(world, pools):
    embeddings, _, triplets, targets = world
    answers = ByObject.of((triplets, targets), 200)
    found = cross_val_score(AffineTeacher(iterations=20), embeddings, answers, cv=ObjectFolds())
    assert found.shape == (3,) and (found > 0.45).all()
    grid = {"locality": [0.0, 0.99], "pull": [1e-4]}
    search = GridSearchCV(AffineTeacher(iterations=20), grid, cv=ObjectFolds(2, 0)).fit(embeddings, answers, pool=pools[0])
    assert search.best_params_["locality"] == 0.0
    assert search.best_estimator_.score(embeddings, answers) > found.mean()


@pytest.mark.parametrize("teacher", [AffineTeacher(), MixedEffectsTeacher()])
def test_a_teacher_that_is_not_fitted_says_so(world, teacher):
    for use in (teacher.transform, lambda rows: teacher.choice_probabilities(rows, world[2]), lambda rows: teacher.score(rows, world[2:])):
        with pytest.raises(NotFittedError, match="not fitted yet") as caught:
            use(world[0])
        assert "\n" not in str(caught.value)


def test_embeddings_of_another_backbone_are_one_line(world):
    answers = (world[2], world[3])
    for teacher in (fitted(world), MixedEffectsTeacher(dim=5, iterations=3).fit(world[0], answers)):
        with pytest.raises(HumalignError, match="embeddings have 7 features, the teacher was fitted to 24"):
            teacher.transform(np.zeros((5, 7), np.float32))


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_one_line(world, device):
    for teacher in (AffineTeacher(device=device), MixedEffectsTeacher(device=device)):
        with pytest.raises(HumalignError, match=f"no device '{device}' on this machine: use one of cpu") as caught:
            teacher.fit(world[0], (world[2], world[3]))
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_finds_the_same_map(world, pools):
    embeddings, _, triplets, targets = world
    for settings in ({}, {"locality": 0.5, "bias": True}, {"pull": np.inf}):
        one, other = (fitted(world, pools[0], device=device, **settings) for device in ("cpu", "cuda"))
        assert other.loss_ == pytest.approx(one.loss_, rel=1e-4)
        probabilities = [teacher.choice_probabilities(embeddings, triplets) for teacher in (one, other)]
        np.testing.assert_allclose(*probabilities, atol=0.01)
    one, other = (MixedEffectsTeacher(dim=8, device=device).fit(embeddings, (triplets, targets)) for device in ("cpu", "cuda"))
    assert isinstance(other.places_, np.ndarray)
    assert other.loss_ == pytest.approx(one.loss_, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, "needs unlabelled images"),
        ({"pool": np.zeros((9, 7), np.float32)}, "a pool of shape .9, 7., but the judged embeddings have 24 features"),
        ({"pool": np.zeros((2, 24), np.float32)}, "2 unlabelled images in batches of 1024"),
        ({"pool": np.full((9, 24), np.nan, np.float32)}, "the pool holds NaN"),
        ({"locality": 1.0}, "a share below 1"),
        ({"locality_temperature": 0.0}, "a temperature above 0"),
    ],
)
def test_a_pool_that_cannot_be_kept_is_one_line(world, change, line):
    with pytest.raises(HumalignError, match=line) as caught:
        fitted(world, **{"locality": 0.1} | change)
    assert "\n" not in str(caught.value)


def test_bad_input_is_one_line(world, tmp_path):
    embeddings, _, triplets, targets = world
    broken = embeddings.copy()
    broken[3, 2] = np.nan
    with pytest.raises(HumalignError, match="NaN"):
        AffineTeacher().fit(broken, (triplets, targets))
    with pytest.raises(HumalignError, match="all embeddings are equal"):
        AffineTeacher().fit(np.ones_like(embeddings), (triplets, targets))
    (tmp_path / "t.safetensors").write_bytes(b"<html>not found</html>")
    with pytest.raises(HumalignError, match="holds no teacher"):
        AffineTeacher.load(tmp_path / "t.safetensors")
