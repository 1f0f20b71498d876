"""The mixed-effects teacher: recovers a known map, leaves to objects what is theirs, and works inside scikit-learn."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

from humalign.data.judgments import ByObject, Choices, random_triplets
from humalign.errors import HumalignError
from humalign.evaluation.people import pair_values
from humalign.teach.mixed_effects import MixedEffectsTeacher
from humalign.teach.splits import ObjectFolds
from humalign.teach.teacher import AffineTeacher, regressed

OBJECTS, KNOWN = 180, 120


def world(own):
    """Embeddings, and a space of which they show one part and ``own`` is the share of the other."""
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((OBJECTS, 20)).astype(np.float32)
    space = embeddings @ np.linalg.qr(rng.standard_normal((20, 4)))[0] + own * rng.standard_normal((OBJECTS, 4))
    return embeddings, space


def ask(space, answers, seed=1):
    rng = np.random.default_rng(seed)
    asked = random_triplets(np.arange(KNOWN), answers, rng)
    return Choices(asked, rng.multinomial(1, softmax(pair_values(space @ space.T, asked), axis=1)))


def unseen(teacher, embeddings, space):
    pairs = np.triu_indices(OBJECTS - KNOWN, k=1)
    found = teacher.transform(embeddings[KNOWN:])
    return np.corrcoef((found @ found.T)[pairs], (space[KNOWN:] @ space[KNOWN:].T)[pairs])[0, 1]


def test_recovers_a_known_map_as_answers_grow():
    embeddings, space = world(own=0.0)
    found = [
        unseen(MixedEffectsTeacher(dim=8, residual=0.1, ridge=1e-4).fit(embeddings[:KNOWN], ask(space, n)), embeddings, space)
        for n in (300, 3000, 30000)
    ]
    assert found[0] < found[1] < found[2]
    assert found[2] > 0.95


def test_leaves_to_objects_what_the_embedding_does_not_show():
    embeddings, space = world(own=0.6)
    told = ask(space, 20000)
    free, bound = (MixedEffectsTeacher(dim=8, residual=s, ridge=1e-3).fit(embeddings[:KNOWN], told) for s in (0.5, 0.01))
    pairs = np.triu_indices(KNOWN, k=1)
    truth = (space[:KNOWN] @ space[:KNOWN].T)[pairs]
    placed = [np.corrcoef((t.places_ @ t.places_.T)[pairs], truth)[0, 1] for t in (free, bound)]
    assert placed[0] > placed[1] + 0.05
    assert unseen(free, embeddings, space) > unseen(bound, embeddings, space)


def test_shuffled_answers_teach_nothing():
    embeddings, space = world(own=0.0)
    told = ask(space, 5000)
    shuffled = Choices(told.triplets, np.random.default_rng(0).permuted(told.counts, axis=1))
    assert abs(unseen(MixedEffectsTeacher(dim=8).fit(embeddings[:KNOWN], shuffled), embeddings, space)) < 0.2


def test_works_inside_scikit_learn():
    embeddings, space = world(own=0.3)
    answers = ByObject.of(ask(space, 20000), KNOWN)
    teacher = MixedEffectsTeacher(dim=6, iterations=20)
    assert clone(teacher).get_params() == teacher.get_params()
    found = cross_val_score(teacher, embeddings[:KNOWN], answers, cv=ObjectFolds())
    assert found.shape == (3,) and (found > 0.45).all()
    search = GridSearchCV(teacher, {"residual": [0.01, 0.3]}, cv=ObjectFolds(2, 0)).fit(embeddings[:KNOWN], answers)
    assert search.best_params_ == {"residual": 0.3}


def test_folds_are_the_predecessors_and_slices_keep_what_is_inside():
    folds = [test for _, test in ObjectFolds().split(np.zeros(100))]
    wanted = np.array_split(np.random.RandomState(42).permutation(100), 3)
    assert [sorted(fold) for fold in folds] == [sorted(fold) for fold in wanted]
    answers = ByObject.of(ask(world(0.0)[1], 500), OBJECTS)
    some = np.array([3, 7, 11, 50, 90, 91, 92, 100, *range(20, 40)])
    kept = answers[some]
    inside = [row for row in answers.triplets if set(row) <= set(some.tolist())]
    assert some[kept.triplets].tolist() == [row.tolist() for row in inside]
    assert len(kept) == len(some) == kept.shape[0]
    mask = np.isin(np.arange(OBJECTS), some)
    assert len(answers[mask].triplets) == len(inside)
    with pytest.raises(HumalignError, match="no answer lies wholly inside"):
        answers[np.array([170, 171, 172])]


def test_choice_probabilities_survive_saving(tmp_path):
    embeddings, space = world(own=0.2)
    for teacher in (MixedEffectsTeacher(dim=6).fit(embeddings[:KNOWN], ask(space, 3000)), regressed(embeddings, space)):
        teacher.save(tmp_path / "t.safetensors")
        again = AffineTeacher.load(tmp_path / "t.safetensors")
        asked = random_triplets(np.arange(OBJECTS), 50, np.random.default_rng(0))
        found = again.choice_probabilities(embeddings, asked)
        np.testing.assert_allclose(found, teacher.choice_probabilities(embeddings, asked), atol=1e-5)
        places = teacher.transform(embeddings).astype(float)
        np.testing.assert_allclose(found, softmax(pair_values(places @ places.T, asked), axis=1), atol=1e-4)


def test_bad_input_is_one_line():
    embeddings, space = world(own=0.0)
    told = ask(space, 200)
    with pytest.raises(HumalignError, match=r"residual = 0\.0: expected a number above 0"):
        MixedEffectsTeacher(residual=0.0).fit(embeddings[:KNOWN], told)
    with pytest.raises(HumalignError, match="outside"):
        MixedEffectsTeacher().fit(embeddings[:50], told)
    with pytest.raises(HumalignError, match="NaN"):
        MixedEffectsTeacher().fit(np.full((KNOWN, 3), np.nan), told)
    with pytest.raises(HumalignError, match="all embeddings are equal"):
        MixedEffectsTeacher().fit(np.ones((KNOWN, 3)), told)
