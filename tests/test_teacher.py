"""The affine teacher: recovers a known map, keeps to its pull, and never to more than it was told."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import spearmanr
from sklearn.base import clone

from humalign.errors import HumalignError
from humalign.judgments import PAIRS, Choices, random_triplets
from humalign.teacher import AffineTeacher, try_pulls


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
    teacher = fitted(world, pull=1e-3)
    assert clone(teacher).get_params() == teacher.get_params()
    teacher.save(tmp_path / "t.safetensors", {"key": "k"})
    again = AffineTeacher.load(tmp_path / "t.safetensors")
    np.testing.assert_allclose(again.transform(world[0]), teacher.transform(world[0]), rtol=1e-5, atol=1e-6)


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
