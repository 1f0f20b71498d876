"""Triplets: sampled across cluster borders, labelled by a teacher, written, read and audited."""

import itertools
import pickle
import re

import numpy as np
import pytest

from humalign import triplets
from humalign.errors import HumalignError
from humalign.judgments import PAIRS, check_triplets
from humalign.triplets import LabelledTriplets, audit, cluster_border, cluster_border_blocks, label

NAMES = np.array([f"{i:03d}.png" for i in range(90)])
LABELS = np.repeat(np.arange(9), 10)


@pytest.fixture(scope="module")
def embeddings():
    rng = np.random.default_rng(0)
    return (rng.standard_normal((9, 12))[LABELS] + 0.7 * rng.standard_normal((90, 12))).astype(np.float32)


@pytest.fixture
def labelled(embeddings):
    return label(embeddings, cluster_border(LABELS, 800, np.random.default_rng(1)), NAMES)


def altered(labelled, **arrays):
    """The file with other arrays: copies, so that a test can write into them."""
    kept = {"indices": labelled.indices, "similarities": labelled.similarities, "filenames": labelled.filenames} | arrays
    # Made past the constructor, whose shapes the tests check: what a file holds, nobody has checked.
    found = object.__new__(LabelledTriplets)
    for name, array in kept.items():
        object.__setattr__(found, name, np.array(array))
    return found


def failed(findings):
    return [finding.check for finding in findings if not finding.ok]


# ---- sampling --------------------------------------------------------------------------------------------------------

def test_cluster_border_takes_two_of_one_cluster_and_one_of_another():
    labels = np.random.default_rng(3).integers(0, 7, 60)
    drawn = cluster_border(labels, 5000, np.random.default_rng(0))
    check_triplets(drawn, 60)
    a, b, c = labels[drawn].T
    assert (a == b).all() and (a != c).all()


def test_cluster_border_is_seeded():
    one, again, other = (cluster_border(LABELS, 50, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert (one == again).all() and (one != other).any()


def test_cluster_border_reaches_every_image_mate_and_outsider_equally():
    labels = np.array([0, 1, 0, 2, 1, 0, 2, 3])  # 3 stands alone: an outsider only
    drawn = cluster_border(labels, 42_000, np.random.default_rng(0))
    first, counts = np.unique(drawn[:, 0], return_counts=True)
    assert first.tolist() == [0, 1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(counts / 6000, 1, atol=0.06)
    of_zero = drawn[drawn[:, 0] == 0]
    mates, counts = np.unique(of_zero[:, 1], return_counts=True)
    assert mates.tolist() == [2, 5]
    np.testing.assert_allclose(counts / len(of_zero), 1 / 2, atol=0.03)
    outsiders, counts = np.unique(of_zero[:, 2], return_counts=True)
    assert outsiders.tolist() == [1, 3, 4, 6, 7]
    np.testing.assert_allclose(counts / len(of_zero), 1 / 5, atol=0.03)


@pytest.mark.parametrize("labels", [np.zeros(9, dtype=int), np.arange(9)], ids=["one-cluster", "all-alone"])
def test_clusters_without_a_border_are_one_line(labels):
    with pytest.raises(HumalignError, match="need two clusters") as caught:
        cluster_border(labels, 5, np.random.default_rng(0))
    assert "\n" not in str(caught.value)


def test_blocks_of_rows_share_few_images_and_differ_from_one_another():
    drawn = cluster_border_blocks(LABELS, 250, 20, 60, np.random.default_rng(0))
    assert drawn.shape == (250, 3)
    blocks = [set(drawn[start : start + 60].ravel()) for start in range(0, 250, 60)]
    assert max(map(len, blocks)) <= 20
    assert len(set.union(*blocks)) > 60, "each block draws its images anew"
    a, b, c = LABELS[drawn].T
    assert (a == b).all() and (a != c).all()


def test_clusters_find_what_is_there_and_need_two_images_each(embeddings):
    found = triplets.clusters(np.eye(9, dtype=np.float32)[LABELS] + 0.01 * embeddings[:, :9], 9, seed=0)
    assert all(len(set(found[LABELS == c])) == 1 for c in range(9)) and len(set(found)) == 9
    with pytest.raises(HumalignError, match="46 clusters of 90 images"):
        triplets.clusters(embeddings, 46, seed=0)


# ---- labels ----------------------------------------------------------------------------------------------------------

def test_a_label_sorts_the_row_so_that_image_2_is_the_odd_one(embeddings):
    drawn = cluster_border(LABELS, 300, np.random.default_rng(4))
    found = label(embeddings, drawn, NAMES)
    assert (np.sort(found.indices, axis=1) == np.sort(drawn, axis=1)).all(), "a row keeps its three images"
    for (i, j, k), similar in zip(found.indices, found.similarities, strict=True):
        s01, s02, s12 = embeddings[i] @ embeddings[j], embeddings[i] @ embeddings[k], embeddings[j] @ embeddings[k]
        np.testing.assert_allclose(similar, [s01, s02, s12], rtol=1e-4, atol=1e-4)
        assert s01 >= max(s02, s12) - 1e-4
    assert (found.filenames == NAMES[found.indices]).all() and found.similarities.dtype == np.float32


def test_every_pair_can_be_the_one_kept_together():
    embeddings = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 2.0]], dtype=np.float32)
    for order in itertools.permutations(range(3)):
        row = label(embeddings, np.array([order]), NAMES).indices[0]
        assert row[2] == 2 and set(row[:2]) == {0, 1}


# ---- the file --------------------------------------------------------------------------------------------------------

def test_a_file_read_is_the_file_written(labelled, tmp_path):
    triplets.write(tmp_path / "deep" / "t.npz", labelled)
    again = triplets.read(tmp_path / "deep" / "t.npz")
    with np.load(tmp_path / "deep" / "t.npz") as file:
        assert set(file) == {"filenames", "similarities", "indices"}
    for name in ("indices", "similarities", "filenames"):
        one, other = getattr(labelled, name), getattr(again, name)
        assert one.dtype == other.dtype and (one == other).all()
    assert len(again) == 800
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["t.npz"], "no half-written neighbour stays"


class Trap:
    """Unpickling this leaves a mark."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_what_cannot_be_read_is_one_line_and_runs_no_code(labelled, tmp_path):
    path, mark = tmp_path / "t.npz", tmp_path / "sprung"

    def refused(match):
        with pytest.raises(HumalignError, match=match) as caught:
            triplets.read(path)
        assert "\n" not in str(caught.value) and not mark.exists()

    refused("no triplet file at")
    triplets.write(path, labelled)
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:length])
        refused("is no triplet file")
    path.write_text("<!doctype html><title>404 not found</title>")
    refused("is no triplet file")
    path.write_bytes(pickle.dumps(Trap(mark)))
    refused("is no triplet file")
    np.savez(path, indices=labelled.indices, similarities=labelled.similarities, filenames=np.array([Trap(mark)], dtype=object))
    refused("is no triplet file")
    np.savez(path, indices=labelled.indices, filenames=labelled.filenames)
    refused("lacks an array: .*similarities")
    np.save(tmp_path / "one.npy", labelled.indices)
    path.write_bytes((tmp_path / "one.npy").read_bytes())
    refused("is no triplet file|lacks an array")


def test_a_byte_changed_anywhere_is_noticed_or_harmless(labelled, tmp_path):
    path = tmp_path / "t.npz"
    triplets.write(path, labelled)
    whole = path.read_bytes()
    noticed = 0
    for place in np.random.default_rng(0).integers(len(whole), size=80).tolist() + list(range(len(whole) - 80, len(whole), 3)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            again = triplets.read(path)
        except HumalignError as error:
            assert "\n" not in str(error)
            noticed += 1
        else:  # a byte of a time stamp or the like
            assert (again.indices == labelled.indices).all() and (again.similarities == labelled.similarities).all()
    assert noticed > 80


# ---- the audit -------------------------------------------------------------------------------------------------------

def test_a_right_file_passes_with_and_without_embeddings(labelled, embeddings):
    assert failed(audit(labelled)) == [] == failed(audit(labelled, images=90))
    findings = audit(labelled, embeddings=embeddings)
    assert failed(findings) == [] and "columns agree with the images" in [finding.check for finding in findings]


def test_another_backbone_with_noise_still_tells_the_columns(labelled, embeddings):
    rng = np.random.default_rng(5)
    other = embeddings @ rng.standard_normal((12, 30)).astype(np.float32) + rng.standard_normal((90, 30)).astype(np.float32) + 5
    assert failed(audit(labelled, embeddings=other)) == []


@pytest.mark.parametrize("order", [p for p in itertools.permutations(range(3)) if p != (0, 1, 2)], ids=str)
def test_permuted_similarity_columns_are_named(labelled, embeddings, order):
    wrong = altered(labelled, similarities=labelled.similarities[:, list(order)])
    findings = {finding.check: finding for finding in audit(wrong, embeddings=embeddings)}
    columns = findings["columns agree with the images"]
    said = " ".join(["s01", "s02", "s12"][c] for c in order)
    assert not columns.ok and f"the columns hold [{said}]" in columns.seen
    # Without pictures only a wrong first column can be seen.
    assert findings["s01 is the largest, image 2 the odd one"].ok is (order[0] == 0)


def test_similarities_of_other_images_are_noticed(labelled, embeddings):
    shuffled = embeddings[np.random.default_rng(0).permutation(90)]
    assert failed(audit(labelled, embeddings=shuffled)) == ["columns agree with the images"]


def test_pictures_or_similarities_that_say_nothing_are_no_proof_of_the_columns(labelled, embeddings):
    flat = altered(labelled, similarities=np.ones_like(labelled.similarities))
    assert "columns agree with the images" in failed(audit(flat, embeddings=embeddings))
    assert "columns agree with the images" in failed(audit(labelled, embeddings=np.full_like(embeddings, np.nan)))
    assert "columns agree with the images" in failed(audit(labelled, embeddings=np.ones_like(embeddings)))


def _names_shuffled(t):
    return altered(t, filenames=t.filenames[np.random.default_rng(0).permutation(len(t))])


def _one_name_wrong(t):
    wrong = altered(t)
    wrong.filenames[17, 1] = "other"
    return wrong


def _one_name_for_all(t):
    return altered(t, filenames=np.full(t.filenames.shape, "same.png"))


def _counted_from_one(t):
    return altered(t, indices=t.indices + 1)


def _negative(t):
    wrong = altered(t)
    wrong.indices[5, 2] = -1
    return wrong


def _with(value):
    def alter(t):
        wrong = altered(t)
        wrong.similarities[7, 1] = value
        return wrong

    return alter


def _repeated(t):
    wrong = altered(t)
    wrong.indices[11, 2] = wrong.indices[11, 0]
    wrong.filenames[11, 2] = wrong.filenames[11, 0]
    return wrong


def _not_sorted(t):
    wrong = altered(t)
    wrong.similarities[23] = [0.0, 1.0, 0.0]
    return wrong


BROKEN = {
    "names-shuffled": (_names_shuffled, "file names against indices", "rows fail"),
    "one-name-wrong": (_one_name_wrong, "file names against indices", "rows fail"),
    "one-name-for-all": (_one_name_for_all, "file names against indices", "one name stands for several indices"),
    "counted-from-one": (_counted_from_one, "indices inside the image list", "rows fail"),
    "negative": (_negative, "indices inside the image list", "1 rows fail, first is row 5"),
    "nan": (_with(np.nan), "finite similarities", "1 rows fail, first is row 7"),
    "infinite": (_with(-np.inf), "finite similarities", "1 rows fail, first is row 7"),
    "repeated-image": (_repeated, "three different images a row", "1 rows fail, first is row 11"),
    "not-sorted": (_not_sorted, "s01 is the largest, image 2 the odd one", "1 rows fail, first is row 23"),
    "two-columns": (lambda t: altered(t, similarities=t.similarities[:, :2]), "shapes", r"expected \(n, 3\)"),
    "rows-missing": (lambda t: altered(t, filenames=t.filenames[:-1]), "shapes", r"expected \(n, 3\)"),
    "flat": (lambda t: altered(t, **{n: getattr(t, n).ravel() for n in ("indices", "similarities", "filenames")}), "shapes", "expected"),
    "empty": (lambda t: altered(t, **{n: getattr(t, n)[:0] for n in ("indices", "similarities", "filenames")}), "shapes", "n > 0"),
    "float-indices": (lambda t: altered(t, indices=t.indices.astype(float)), "types", "indices float64"),
    "whole-similarities": (lambda t: altered(t, similarities=t.similarities.astype(int)), "types", "similarities int64"),
    "text-similarities": (lambda t: altered(t, similarities=t.similarities.astype(str)), "types", "similarities <U"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_fails_the_check_that_names_it(labelled, embeddings, case):
    alter, check, seen = BROKEN[case]
    findings = {finding.check: finding for finding in audit(alter(labelled), embeddings=embeddings)}
    assert not findings[check].ok
    assert re.search(seen, findings[check].seen)


def test_only_the_fault_is_reported(labelled):
    assert failed(audit(_with(np.nan)(labelled), images=90)) == ["finite similarities"]
    assert failed(audit(_repeated(labelled), images=90)) == ["three different images a row"]
    assert failed(audit(_not_sorted(labelled), images=90)) == ["s01 is the largest, image 2 the odd one"]


def test_the_pairs_of_a_file_are_those_of_the_project():
    assert PAIRS == ((0, 1), (0, 2), (1, 2))
