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
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.splits import ObjectFolds
from humalign.teach.teacher import AffineTeacher, regressed, try_pulls


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


def held_out(world):
    _, _, triplets, targets = world
    new = (triplets >= 150).all(1)
    counts = np.random.default_rng(1).multinomial(20, targets[new])
    return Choices(triplets[new], counts)


def fitted(world, **settings):
    embeddings, _, triplets, targets = world
    train = (triplets < 150).all(1)
    return AffineTeacher(**settings).fit(embeddings[:150], (triplets[train], targets[train]))


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


@pytest.mark.parametrize("settings", [{}, {"rank": 9}, {"bias": True}, {"bias": True, "rank": 9}, {"pull": np.inf, "bias": True}])
def test_the_objective_is_the_written_formula_at_the_fitted_map(world, settings):
    embeddings, _, triplets, targets = world
    settings = {"pull": 1e-3} | settings
    teacher = fitted(world, **settings)
    inside = (triplets < 150).all(1)
    mean, scale, matrix = teacher.mean_.astype(float), teacher.scale_, teacher.matrix_.astype(float)
    centred = (embeddings[:150] - mean) / scale
    # What lies outside the leading directions cannot be felt by the choices, so the fit leaves it out of them.
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    basis = directions[: teacher.rank]
    places = centred @ basis.T @ basis @ matrix + teacher.bias_
    similar = (places @ places.T)[triplets[inside][:, [0, 0, 1]], triplets[inside][:, [1, 2, 2]]]
    judged = -(targets[inside] * log_softmax(similar, axis=1)).sum(1).mean()
    pulled = ((matrix - np.trace(matrix) / 24 * np.eye(24)) ** 2).sum()
    wanted = judged + (1e-3 * pulled if np.isfinite(settings["pull"]) else 0)
    assert teacher.loss_ == pytest.approx(wanted, rel=1e-5)


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
    kept = np.arange(150)
    inside = (triplets < 150).all(1)
    settings = {"groups": kept % 3, "pulls": (1e-4, 10.0), "teacher": AffineTeacher()}
    tried = try_pulls(embeddings[:150], (triplets[inside], targets[inside]), **settings)
    assert tried[1e-4] > tried[10.0] + 0.05
    # What is said about objects that are not given cannot be felt: they are not there to be looked up.
    with pytest.raises(HumalignError, match="outside"):
        try_pulls(embeddings[:150], (triplets, targets), **settings)


def test_follows_the_conventions_of_scikit_learn_and_can_be_saved(world, tmp_path):
    teacher = fitted(world, pull=1e-3, bias=True)
    again = clone(teacher)
    assert again.get_params() == teacher.get_params()
    assert not hasattr(again, "matrix_")
    assert again.set_params(pull=1.0, rank=7).get_params() == teacher.get_params() | {"pull": 1.0, "rank": 7}
    teacher.save(tmp_path / "t.safetensors", {"key": "k"})
    loaded = AffineTeacher.load(tmp_path / "t.safetensors")
    np.testing.assert_allclose(loaded.transform(world[0]), teacher.transform(world[0]), rtol=1e-5, atol=1e-6)


def test_is_validated_and_searched_by_scikit_learn(world):
    embeddings, _, triplets, targets = world
    answers = ByObject.of((triplets, targets), 200)
    found = cross_val_score(AffineTeacher(iterations=20), embeddings, answers, cv=ObjectFolds())
    assert found.shape == (3,) and (found > 0.45).all()
    search = GridSearchCV(AffineTeacher(iterations=20), {"pull": [1e-4, 10.0]}, cv=ObjectFolds(2, 0)).fit(embeddings, answers)
    assert search.best_params_ == {"pull": 1e-4}
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
def test_a_gpu_finds_the_same_map(world):
    embeddings, _, triplets, targets = world
    for settings in ({}, {"bias": True}, {"pull": np.inf}):
        one, other = (fitted(world, device=device, **settings) for device in ("cpu", "cuda"))
        assert other.loss_ == pytest.approx(one.loss_, rel=1e-4)
        probabilities = [teacher.choice_probabilities(embeddings, triplets) for teacher in (one, other)]
        np.testing.assert_allclose(*probabilities, atol=0.01)
    one, other = (MixedEffectsTeacher(dim=8, device=device).fit(embeddings, (triplets, targets)) for device in ("cpu", "cuda"))
    assert isinstance(other.places_, np.ndarray)
    assert other.loss_ == pytest.approx(one.loss_, rel=1e-3)


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


# ---- what a user may give ---------------------------------------------------------------------------------------------

TEACHERS = {"affine": lambda: AffineTeacher(iterations=8), "mixed": lambda: MixedEffectsTeacher(dim=6, iterations=5)}


@pytest.mark.parametrize("kind", TEACHERS)
def test_embeddings_and_triplets_of_any_type_make_the_same_teacher(world, kind):
    embeddings, _, triplets, targets = world
    halves = np.round(4 * embeddings).astype(np.float32)  # exact in half precision, and as whole numbers
    asked, told = triplets[:4000], targets[:4000]
    plain = TEACHERS[kind]().fit(halves, (asked, told))
    forms = [(halves.astype(dtype), asked.astype(np.uint8)) for dtype in (np.float16, np.int8, np.int16)]
    forms += [(halves[:, ::-1][:, ::-1], asked[:, ::-1][:, ::-1]), (np.asfortranarray(halves), asked.astype(np.int16).tolist())]
    for rows, indices in forms:
        teacher = TEACHERS[kind]().fit(rows, (indices, told[:, ::-1][:, ::-1]))
        np.testing.assert_allclose(teacher.matrix_, plain.matrix_, atol=2e-3)
        np.testing.assert_array_equal(plain.transform(rows), plain.transform(halves))
        np.testing.assert_array_equal(plain.choice_probabilities(rows, indices), plain.choice_probabilities(halves, asked))
        assert plain.score(rows, (indices, told)) == plain.score(halves, (asked, told))


def test_half_precision_of_a_large_scale_is_mapped_as_single_precision_is(world):
    large = (300 * np.abs(world[0])).astype(np.float16)
    pair = [AffineTeacher(iterations=8).fit(rows, world[2:]) for rows in (large, large.astype(np.float32))]
    np.testing.assert_array_equal(pair[0].matrix_, pair[1].matrix_)
    huge = AffineTeacher(iterations=8).fit((1e25 * world[0]).astype(np.float32), world[2:])
    assert huge.score((1e25 * world[0]).astype(np.float32), world[2:]) > 0.5


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pull": -1}, "pull = -1: expected a number, 0 or more, or infinity"),
        ({"pull": np.nan}, "pull = nan"),
        ({"rank": 0}, "rank = 0: expected a whole number"),
        ({"iterations": 0}, "iterations = 0"),
    ],
)
def test_a_setting_of_the_map_that_cannot_be_is_named(world, settings, said):
    with pytest.raises(HumalignError, match=said):
        fitted(world, **settings)


@pytest.mark.parametrize("settings", [{"keep": np.nan}, {"ridge": np.inf}, {"residual": np.nan}, {"dim": 0}, {"iterations": 0}], ids=str)
def test_a_setting_of_the_mixed_effects_that_cannot_be_is_named(world, settings):
    with pytest.raises(HumalignError, match=next(iter(settings))):
        MixedEffectsTeacher(**settings).fit(world[0], world[2:])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"groups": np.arange(149) % 3}, r"groups of shape \(149,\) for 200 rows"),
        ({"groups": np.arange(201) % 3}, r"groups of shape \(201,\) for 200 rows"),
        ({"groups": np.zeros(200, int)}, "two different ones"),
        ({"groups": np.arange(200)}, "group 0: .* triplets lie wholly outside it and 0 wholly inside: give fewer groups"),
        ({"pulls": ()}, "no pull to try"),
        ({"pulls": (-1.0,)}, "pull = -1.0"),
    ],
)
def test_a_search_that_cannot_be_is_one_line(world, change, said):
    settings = {"groups": np.arange(200) % 3, "pulls": (1e-3,), "teacher": AffineTeacher(iterations=2)} | change
    with pytest.raises(HumalignError, match=said) as caught:
        try_pulls(world[0], world[2:], **settings)
    assert "\n" not in str(caught.value)


def test_groups_may_be_names_or_a_list(world):
    groups = np.arange(200) % 3
    found = [
        try_pulls(world[0], world[2:], groups=each, pulls=[1e-3], teacher=AffineTeacher(iterations=2))
        for each in (groups, groups.astype(np.uint8), np.array(["a", "b", "c"])[groups])
    ]
    assert found[0] == found[1] == found[2]


def test_a_regression_that_cannot_be_is_one_line(world):
    embeddings, space = world[:2]
    for places, ridges in ((space[:100], (1e-3,)), (np.where(space > 2, np.nan, space), (1e-3,)), (space, ()), (space, (-1.0,))):
        with pytest.raises(HumalignError, match=r"places of|ridges"):
            regressed(embeddings, places, ridges)


def test_a_teacher_is_saved_under_a_path_that_is_text(world, tmp_path):
    teacher = fitted(world, iterations=2)
    teacher.save(str(tmp_path / "new" / "t.safetensors"))
    again = AffineTeacher.load(str(tmp_path / "new" / "t.safetensors"))
    np.testing.assert_allclose(again.transform(world[0]), teacher.transform(world[0]), rtol=1e-5, atol=1e-6)


def test_a_teacher_whose_file_was_altered_is_one_line(world, tmp_path):
    fitted(world).save(tmp_path / "t.safetensors")
    whole = (tmp_path / "t.safetensors").read_bytes()
    (tmp_path / "t.safetensors").write_bytes(whole[:-99] + bytes([whole[-99] ^ 64]) + whole[-98:])
    with pytest.raises(HumalignError, match=r"t\.safetensors is damaged, its values have another checksum than .*: delete it"):
        AffineTeacher.load(tmp_path / "t.safetensors")
