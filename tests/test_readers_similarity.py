"""Readers of judged photographs, on files made in the layout that the predecessor's code reads; the real files were not at hand."""

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from scipy.spatial.distance import squareform

from humalign import readers_similarity
from humalign.errors import HumalignError

N = 6
NAMES = [f"{i + 1:04d}.jpg" for i in range(N)]


def photographs(folder, names=NAMES):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (4, 4)).save(folder / name)


def symmetric(seed=0, people=()):
    found = np.random.default_rng(seed).random((*people, N, N)) * 4
    found = found + found.swapaxes(-1, -2)
    found[..., np.arange(N), np.arange(N)] = 0
    return found


def rated(root, matrix, key="simMat", name="turkSim.mat"):
    photographs(root / "animals" / "images")
    (root / "animals" / "sim_judgements").mkdir(exist_ok=True)
    savemat(root / "animals" / "sim_judgements" / name, {key: matrix})
    return readers_similarity.ratings(root, "animals")


def king(root, matrices, key="judgments"):
    photographs(root / "images")
    (root / "sim_judgements").mkdir(exist_ok=True)
    savemat(root / "sim_judgements" / "judgments_general.mat", {key: matrices})
    return readers_similarity.arrangements_king(root)


def cichy(root, matrices, order="3 1 2 6 5 4"):
    photographs(root / "images" / "set1")
    labels = "".join(f"thing,{number}\n" for number in order.split())
    (root / "images" / "stimulus_category_labels.txt").write_text("label,number\n" + labels)
    (root / "sim_judgements").mkdir(exist_ok=True)
    pairs = np.stack([squareform(one, checks=False) for one in matrices])
    savemat(root / "sim_judgements" / "BEHAVIOR.mat", {"BEHAVIOR": {"set1": {"pairwisedistances": pairs}}})
    return readers_similarity.arrangements_cichy(root)


def test_ratings_become_dissimilarities(tmp_path):
    similar = symmetric() + 10 * np.eye(N)
    found = rated(tmp_path, similar)
    wanted = 10 - similar
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(found.matrices, wanted[None])
    assert [file.name for file in found.files] == NAMES


def test_arrangements_are_read_person_by_person(tmp_path):
    matrices = symmetric(1, (3,))
    np.testing.assert_allclose(king(tmp_path / "king", matrices).matrices, matrices)
    found = cichy(tmp_path / "cichy", matrices)
    np.testing.assert_allclose(found.matrices, matrices)
    assert [file.name for file in found.files] == ["0003.jpg", "0001.jpg", "0002.jpg", "0006.jpg", "0005.jpg", "0004.jpg"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda root: rated(root, symmetric() * 9 + 10 * np.eye(N)), "not a matrix of ratings from 0 to 10"),
        (lambda root: rated(root, np.triu(symmetric())), "not symmetric"),
        (lambda root: rated(root, symmetric()[:5, :5]), "5 photographs judged, but 6 found"),
        (lambda root: rated(root, symmetric(), key="other"), "cut short, damaged or of another layout"),
        (lambda root: rated(root, symmetric(), name="other.mat"), r"0 files \*sim\*.mat in"),
        (lambda root: readers_similarity.ratings(root, "animal"), "unknown category 'animal': did you mean 'animals'"),
        (lambda root: king(root, symmetric(1, (3,)) + np.eye(N)), "its diagonal is not zero"),
        (lambda root: king(root, symmetric()), "instead of square ones"),
        (lambda root: king(root, symmetric(1, (3,)), key="rdms"), "of another layout"),
        (lambda root: cichy(root, symmetric(1, (3,)), "3 1 2 6 5 9"), "no photograph .*0009.jpg"),
        (lambda root: cichy(root, symmetric(1, (3,)), "3 1 2 6 5 x"), "line 7: 'x' where a whole number"),
        (lambda root: cichy(root, symmetric(1, (3,)), "3 1 2"), "6 photographs judged, but 3 found"),
    ],
)
def test_judgments_that_cannot_be_are_one_line(tmp_path, make, said):
    with pytest.raises(HumalignError, match=said) as caught:
        make(tmp_path)
    assert "\n" not in str(caught.value)
