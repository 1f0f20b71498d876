"""Triplets: sampled over clusters and classes, labelled by a teacher, written, read and audited."""

import itertools
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from humalign import triplets
from humalign.data import listing
from humalign.data.judgments import PAIRS, check_triplets
from humalign.errors import HumalignError
from humalign.triplets import (
    SAMPLINGS,
    LabelledTriplets,
    audit,
    audit_file,
    cluster_border,
    cluster_border_blocks,
    draw,
    label,
    labelling,
    layout,
    sampling,
)

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


# How many different groups the three images of a row have.
GROUPS_OF = {"cluster-border": {2}, "class-border": {2}, "within-class": {1}, "between-class": {3}, "uniform": {1, 2, 3}}


@pytest.mark.parametrize("name", SAMPLINGS)
def test_a_sampling_draws_from_the_groups_that_its_name_says(name):
    labels = np.array([4, 0, 1, 1, 0, 4, 4, 2, 0, 4])  # 3 has no image, 2 has one
    drawn = draw(name, labels, 20_000, seed=0)
    check_triplets(drawn, len(labels))
    assert {len(set(row)) for row in labels[drawn].tolist()} == GROUPS_OF[name]
    if "border" in name:
        assert (labels[drawn[:, 0]] == labels[drawn[:, 1]]).all()


def test_within_class_reaches_every_ordered_triplet_of_a_class_equally():
    drawn = draw("within-class", np.array([0, 1, 0, 0, 1, 0]), 24_000, seed=0)
    rows, counts = np.unique(drawn, axis=0, return_counts=True)
    assert rows.tolist() == [list(row) for row in itertools.permutations([0, 2, 3, 5], 3)]
    np.testing.assert_allclose(counts / 1000, 1, atol=0.15)


def test_between_class_reaches_every_outsider_equally():
    labels = np.array([0, 1, 1, 2, 3, 3, 0])
    drawn = draw("between-class", labels, 60_000, seed=0)
    for first, second in ((0, 3), (4, 1), (3, 6)):
        third, counts = np.unique(drawn[(drawn[:, :2] == (first, second)).all(1), 2], return_counts=True)
        assert third.tolist() == np.flatnonzero((labels != labels[first]) & (labels != labels[second])).tolist()
        np.testing.assert_allclose(counts / counts.mean(), 1, atol=0.2)


@pytest.mark.parametrize("name", SAMPLINGS)
def test_a_seed_draws_the_same_triplets_whatever_the_number_of_workers(name, monkeypatch):
    monkeypatch.setattr(sampling, "BLOCK_ROWS", 64)  # many blocks, the last one short
    one, two, other = draw(name, LABELS, 1000, 3), draw(name, LABELS, 1000, 3, workers=2), draw(name, LABELS, 1000, 4)
    assert one.shape == (1000, 3) and one.tobytes() == two.tobytes() != other.tobytes()
    assert (one[:64] != one[64:128]).any(), "each block has a stream of its own"


def test_groups_that_cannot_be_drawn_from_are_one_line():
    for name, labels, said in (
        ("within-class", np.arange(20) // 2, "need a class of three images"),
        ("between-class", np.arange(20) % 2, "need three classes"),
        ("class-order", LABELS, "unknown sampling 'class-order': did you mean 'class-border'?"),
    ):
        with pytest.raises(HumalignError, match=re.escape(said) if "?" in said else said):
            draw(name, labels, 5, seed=0)


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


def test_clusters_of_embeddings_on_disk_are_found_in_batches(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    groups = np.arange(3000) // 300  # sorted by class, as image lists are
    np.save(tmp_path / "e.npy", (3 * np.eye(10, 16)[groups] + 0.2 * rng.standard_normal((3000, 16))).astype(np.float16))
    monkeypatch.setattr(sampling, "WHOLE", 0)
    monkeypatch.setattr(sampling, "BATCH", 500)
    embeddings = np.load(tmp_path / "e.npy", mmap_mode="r")
    found, again = (triplets.clusters(embeddings, 10, seed=0) for _ in range(2))
    assert found.shape == (3000,) and (found == again).all()
    assert adjusted_rand_score(groups, found) > 0.8


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
        row = label(embeddings, np.array([order]), NAMES[:3]).indices[0]
        assert row[2] == 2 and set(row[:2]) == {0, 1}


@pytest.fixture
def many(tmp_path):
    """Embeddings on disk in half precision, and triplets of them."""
    rng = np.random.default_rng(2)
    np.save(tmp_path / "e.npy", rng.standard_normal((1000, 33)).astype(np.float16))
    return np.load(tmp_path / "e.npy", mmap_mode="r"), draw("uniform", np.zeros(1000, int), 3000, seed=0)


def test_labels_from_disk_are_the_dot_products(many, monkeypatch):
    embeddings, drawn = many
    wanted = np.stack([(embeddings[drawn[:, a]].astype(float) * embeddings[drawn[:, b]]).sum(1) for a, b in PAIRS], axis=1)
    np.testing.assert_allclose(triplets.similarities(embeddings, drawn), wanted, atol=1e-4)
    monkeypatch.setattr(labelling, "ALL_PAIRS", 0)
    np.testing.assert_allclose(triplets.similarities(embeddings, drawn), wanted, atol=1e-4)


def test_labels_depend_neither_on_workers_nor_on_blocks(many, monkeypatch):
    embeddings, drawn = many[0], many[1][:600]
    monkeypatch.setattr(labelling, "ALL_PAIRS", 0)
    found = set()
    for values, gathered, workers in ((2**28, 512, 1), (2**28, 512, 2), (100 * 33, 512, 1), (301 * 33, 7, 2), (90 * 33, 3, 3)):
        monkeypatch.setattr(labelling, "BLOCK_VALUES", values)
        monkeypatch.setattr(labelling, "GATHERED", gathered)
        found.add(triplets.similarities(embeddings, drawn, workers).tobytes())
    found.add(np.concatenate([triplets.similarities(embeddings, part) for part in np.array_split(drawn, 7)]).tobytes())
    found.add(triplets.similarities(np.asarray(embeddings, np.float32), drawn).tobytes())
    assert len(found) == 1


def test_labels_of_images_outside_the_list_are_one_line(many):
    with pytest.raises(HumalignError, match=r"row 1: index outside 0\.\.999.*1-based"):
        triplets.similarities(many[0], np.array([[0, 1, 2], [5, 6, 1000]]))


def test_a_teacher_is_applied_to_embeddings_on_disk_block_by_block(many, tmp_path, monkeypatch):
    embeddings, _ = many
    matrix = np.random.default_rng(0).standard_normal((33, 20)).astype(np.float32)
    monkeypatch.setattr(labelling, "MAPPED_ROWS", 300)
    sizes = []

    def teacher(rows):
        sizes.append(len(rows))
        return (rows - np.float32(1)) @ matrix

    found = triplets.mapped(tmp_path / "z" / "z.npy", embeddings, teacher, np.float32)
    np.testing.assert_allclose(found, (embeddings.astype(np.float32) - 1) @ matrix, rtol=1e-5, atol=1e-5)
    assert isinstance(found, np.memmap) and sizes == [300, 300, 300, 100]
    assert triplets.mapped(tmp_path / "half.npy", embeddings, teacher).dtype == np.float16
    large = np.array(embeddings)
    large[400, 3] = 60_000
    with pytest.raises(HumalignError, match="rows 300 to 599: not finite, or too large for float16: use float32"):
        triplets.mapped(tmp_path / "w.npy", large, lambda rows: 2 * rows.astype(np.float32))
    assert not (tmp_path / "w.npy").exists()


def test_labels_straight_into_a_file_are_the_same_file(many, tmp_path, monkeypatch):
    embeddings, drawn = many
    names = np.array([f"n{i:04d}.JPEG" for i in range(1000)], dtype="S")
    triplets.write(tmp_path / "one.npz", label(embeddings, drawn, names))
    monkeypatch.setattr(layout, "BLOCK_ROWS", 700)
    triplets.label_file(tmp_path / "two.npz", embeddings, drawn, names, workers=2)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


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


def test_files_are_named_as_the_released_ones():
    assert triplets.file_name("train", "cluster-border", 500) == "train_cluster_border_500.npz"
    assert [triplets.file_name("val", name) for name in ("within-class", "uniform")] == ["val_within_class.npz", "val_uniform.npz"]


FILES = {
    "compressed": lambda path, t: np.savez_compressed(path, **vars(t)),
    "stored": lambda path, t: np.savez(path, **vars(t)),
    "bytes": lambda path, t: np.savez(path, **vars(t) | {"filenames": t.filenames.astype("S")}),
    "columns-first": lambda path, t: np.savez(path, **{name: np.asfortranarray(array) for name, array in vars(t).items()}),
    "small-types": lambda path, t: np.savez(
        path, indices=t.indices.astype(np.int32), similarities=t.similarities.astype(np.float64), filenames=t.filenames
    ),
    "ours": triplets.write,
}


@pytest.mark.parametrize("kind", FILES)
def test_files_of_other_writers_are_read_and_audited(labelled, embeddings, tmp_path, monkeypatch, kind):
    FILES[kind](tmp_path / "t.npz", labelled)
    again = triplets.read(tmp_path / "t.npz")
    assert (again.indices == labelled.indices).all() and (again.filenames.astype(str) == labelled.filenames).all()
    monkeypatch.setattr(layout, "BLOCK_ROWS", 300)
    assert failed(audit_file(tmp_path / "t.npz", embeddings, NAMES)) == []
    FILES[kind](tmp_path / "t.npz", _one_name_wrong(labelled))
    assert failed(audit_file(tmp_path / "t.npz", embeddings, NAMES)) == ["file names against indices"]


def test_an_audit_reads_file_names_to_their_last_byte(labelled, tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, **vars(labelled))
    whole = path.read_bytes()
    place = whole.rindex("063.png".encode("utf-32-le"))
    path.write_bytes(whole[:place] + b"1" + whole[place + 1 :])
    with pytest.raises(HumalignError, match=r"is no triplet file.*CRC"):
        audit_file(path)


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


@pytest.mark.parametrize("order", [(1, 0, 2), (1, 2, 0), (2, 1, 0), (2, 0, 1)], ids=str)
def test_a_largest_column_that_is_not_the_first_is_named_without_pictures(labelled, order):
    findings = audit(altered(labelled, similarities=labelled.similarities[:, list(order)]))
    (found,) = [finding.seen for finding in findings if not finding.ok]
    assert found.startswith(f"column {order.index(0)} is always the largest")


def test_similarities_shuffled_against_their_indices_are_named(labelled, embeddings):
    shuffled = altered(labelled, similarities=labelled.similarities[np.random.default_rng(0).permutation(len(labelled))])
    assert failed(audit(shuffled)) == [], "each row is still sorted: only pictures can tell"
    (found,) = [finding for finding in audit(shuffled, embeddings=embeddings) if not finding.ok]
    assert found.check == "columns agree with the images" and "similarities shuffled against indices" in found.seen


def test_the_list_of_another_split_is_named(labelled, embeddings):
    other = np.array([f"val_{i:03d}.png" for i in range(90)])
    findings = {finding.check: finding for finding in audit(labelled, embeddings=embeddings, names=other)}
    assert failed(findings.values()) == ["file names against the image list"]
    assert findings["file names against the image list"].seen == (
        "another list, none of the file's names is in it (val for train?): index 0 is '000.png' in the file, 'val_000.png' in the list"
    )
    short = {finding.check: finding.seen for finding in audit(labelled, names=other[:40]) if not finding.ok}
    assert "the list from 0 to 39: another list?" in short["indices inside the image list"]
    assert "none of the file's names is in it" in short["file names against the image list"]


def test_a_list_in_another_order_or_with_a_wrong_name_is_named(labelled):
    def said(names):
        (found,) = [finding.seen for finding in audit(labelled, names=names) if not finding.ok]
        return found

    assert "the list has the file's names at other places (sorted otherwise?)" in said(NAMES[::-1].copy())
    wrong = NAMES.copy()
    wrong[[7, 8]] = "x.png"
    assert said(wrong) == "2 of 90 images differ: index 7 is '007.png' in the file, 'x.png' in the list"


def _from_one(t):
    return altered(t, indices=t.indices + 1)


def test_indices_from_one_are_named_by_each_means(labelled, embeddings):
    """By the range of the list, by names, by what never occurs, and by pictures where the last ones are not drawn."""
    def said(found):
        return [finding.seen for finding in found if not finding.ok]

    assert "indices look 1-based: they run from 1 to 90, the list from 0 to 89" in said(audit(_from_one(labelled), images=90))
    assert "indices look 1-based: every number from 1 to 90 occurs, 0 never does" in said(audit(_from_one(labelled)))
    longer = np.concatenate([NAMES, ["more.png"]])
    (by_name,) = said(audit(_from_one(labelled), names=longer))
    assert by_name.startswith("indices look 1-based, names match the list shifted by one: index 1 is '000.png' in the file")
    (by_picture,) = said(audit(_from_one(labelled), embeddings=np.concatenate([embeddings, embeddings[:1] + 1])))
    assert by_picture.startswith("indices look 1-based: lowered by one, they agree with the images better")


def test_a_file_that_leaves_out_the_first_image_is_sound(embeddings):
    drawn = 1 + cluster_border(LABELS[1:], 800, np.random.default_rng(1))
    rows = label(embeddings, drawn, NAMES)
    assert rows.indices.min() == 1 and failed(audit(rows, embeddings=embeddings, names=NAMES)) == []
    few = LabelledTriplets(np.array([[1, 2, 3]]), np.array([[3.0, 2.0, 1.0]]), np.array([["a", "b", "c"]]))
    assert failed(audit(few)) == [], "three images of one row say nothing of the list"


def test_images_embeddings_and_names_are_of_one_list(labelled, embeddings):
    with pytest.raises(HumalignError, match=r"different lengths \(embeddings: 90, names: 80\)"):
        audit(labelled, embeddings=embeddings, names=NAMES[:80])


def test_indices_too_far_apart_for_a_table_are_checked_too(labelled):
    far = altered(labelled, indices=labelled.indices * 10**12)
    assert failed(audit(far)) == []
    assert failed(audit(_one_name_wrong(far))) == ["file names against indices"]


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


def _too_large(t):
    wrong = altered(t)
    wrong.indices[5, 2] = 90
    return wrong


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
    "counted-from-one": (_from_one, "indices inside the image list", "indices look 1-based"),
    "too-large": (_too_large, "indices inside the image list", "1 rows fail, first is row 5: .* from 0 to 90, the list from 0 to 89"),
    "negative": (_negative, "indices inside the image list", "1 rows fail, first is row 5"),
    "nan": (_with(np.nan), "finite similarities", "1 rows hold NaN or infinity, first is row 7"),
    "infinite": (_with(-np.inf), "finite similarities", "1 rows hold NaN or infinity, first is row 7"),
    "repeated-image": (_repeated, "three different images a row", "1 rows fail, first is row 11"),
    "not-sorted": (_not_sorted, "s01 is the largest, image 2 the odd one", "1 rows fail, first is row 23"),
    "two-columns": (lambda t: altered(t, similarities=t.similarities[:, :2]), "shapes", r"expected \(n, 3\)"),
    "rows-missing": (lambda t: altered(t, filenames=t.filenames[:-1]), "shapes", r"expected \(n, 3\)"),
    "flat": (lambda t: altered(t, **{n: getattr(t, n).ravel() for n in ("indices", "similarities", "filenames")}), "shapes", "expected"),
    "empty": (lambda t: altered(t, **{n: getattr(t, n)[:0] for n in ("indices", "similarities", "filenames")}), "shapes", "n > 0"),
    "float-indices": (lambda t: altered(t, indices=t.indices.astype(float)), "types", "indices float64"),
    "whole-similarities": (lambda t: altered(t, similarities=t.similarities.astype(int)), "types", "similarities int64"),
    "number-names": (lambda t: altered(t, filenames=t.indices), "types", "file names int64"),
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


# ---- what a user may give ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", ["int16", "uint8", "uint64", ">i4", "list", "reversed"])
def test_triplets_of_any_form_get_the_same_labels_and_pass_the_audit(embeddings, tmp_path, monkeypatch, dtype):
    drawn = cluster_border(LABELS, 300, np.random.default_rng(4))
    wanted = label(embeddings, drawn, NAMES)
    form = {"list": drawn.tolist(), "reversed": drawn[:, ::-1][:, ::-1]}.get(dtype)
    form = drawn.astype(dtype) if form is None else form
    for images in (labelling.ALL_PAIRS, 0):
        monkeypatch.setattr(labelling, "ALL_PAIRS", images)
        found = label(embeddings, form, NAMES)
        assert (found.indices == wanted.indices).all()
        np.testing.assert_allclose(found.similarities, wanted.similarities, rtol=1e-5, atol=1e-5)
    triplets.label_file(str(tmp_path / "t.npz"), embeddings, form, NAMES.tolist())
    assert failed(audit_file(str(tmp_path / "t.npz"), embeddings, NAMES.tolist())) == []
    triplets.write(str(tmp_path / "u.npz"), found)
    assert (triplets.read(str(tmp_path / "u.npz")).indices == wanted.indices).all()


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "int16", "int64"])
def test_embeddings_of_any_type_are_labelled_clustered_and_audited(embeddings, tmp_path, monkeypatch, dtype):
    whole = np.round(8 * embeddings)
    drawn = cluster_border(LABELS, 300, np.random.default_rng(4))
    wanted = label(whole, drawn, NAMES)
    for images in (labelling.ALL_PAIRS, 0):
        monkeypatch.setattr(labelling, "ALL_PAIRS", images)
        found = label(whole.astype(dtype), drawn, NAMES)
        assert (found.similarities == wanted.similarities).all() and found.similarities.dtype == np.float32
    assert failed(audit(wanted, embeddings=whole.astype(dtype))) == []
    assert adjusted_rand_score(triplets.clusters(whole.astype(dtype), 9, 0), triplets.clusters(whole, 9, 0)) == 1
    mapped = triplets.mapped(str(tmp_path / "z.npy"), whole.astype(dtype), lambda rows: rows / 2)
    np.testing.assert_array_equal(mapped, whole / 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_without_a_value_is_named_wherever_embeddings_are_taken(labelled, embeddings, monkeypatch, value):
    broken = embeddings.copy()
    broken[17, 3] = value
    (found,) = [finding for finding in audit(labelled, embeddings=broken) if not finding.ok]
    assert found.seen == "the embeddings of 1 images hold NaN or infinity, first is image 17: embed these again"
    with pytest.raises(HumalignError, match="rows have similarities that are not finite, first row"):
        label(broken, labelled.indices, NAMES)
    for whole in (sampling.WHOLE, 0):
        monkeypatch.setattr(sampling, "WHOLE", whole)
        with pytest.raises(HumalignError, match="the embedding of image 17 holds NaN or infinity"):
            triplets.clusters(broken, 3, seed=0)
    with pytest.raises(HumalignError, match="similarities that are not finite"):
        label((1e25 * embeddings).astype(np.float32), labelled.indices, NAMES)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda e: triplets.clusters(e, 0, 0), "k, the number of clusters, = 0: expected a whole number, 1 or more"),
        (lambda e: triplets.clusters(e, -3, 0), "= -3"),
        (lambda e: triplets.clusters(e, 3, -1), "seed = -1"),
        (lambda e: triplets.clusters(e[:0], 3, 0), "3 clusters of 0 images"),
        (lambda e: draw("uniform", LABELS, -1, 0), "n = -1"),
        (lambda e: draw("uniform", LABELS, 5, 0, workers=0), "workers = 0"),
        (lambda e: draw("cluster-border", np.array([0, -1, 0, 1]), 5, 0), "give the number of its group, from 0"),
        (lambda e: cluster_border(np.array([0.5, 1, 1]), 5, np.random.default_rng(0)), "labels hold 0.5"),
        (lambda e: cluster_border_blocks(LABELS, 5, 20, 0, np.random.default_rng(0)), "block_rows = 0"),
        (lambda e: cluster_border_blocks(LABELS, 5, 2, 5, np.random.default_rng(0)), "block_images = 2"),
        (lambda e: label(e, [[0, 1, 2]], NAMES[:80]), r"names of shape \(80,\) for 90 images"),
        (lambda e: label(e, [[0, 1, 2]], [*NAMES[:-1], None]), "name 89 of the images is missing or no text"),
        (lambda e: label(e, [[0, 1, 2]], NAMES, workers=0), "workers = 0"),
        (lambda e: triplets.mapped("never.npy", e[:0], lambda rows: rows), "no embeddings to map"),
    ],
)
def test_an_argument_that_cannot_be_is_one_line(embeddings, call, said):
    with pytest.raises(HumalignError, match=said) as caught:
        call(embeddings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64", "float64"])
def test_labels_of_any_whole_type_draw_the_same(dtype):
    for name in SAMPLINGS:
        assert (draw(name, LABELS.astype(dtype), 200, 0) == draw(name, LABELS, 200, 0)).all()
    assert (draw("uniform", LABELS.tolist(), 200, 0) == draw("uniform", LABELS, 200, 0)).all()


def test_names_may_come_as_any_column_of_text(labelled):
    wanted = labelled.filenames
    embeddings = np.eye(90, dtype=np.float32)
    for names in (NAMES.astype(object), NAMES.tolist(), [Path(name) for name in NAMES], NAMES.astype("S").astype(object)):
        found = label(embeddings, labelled.indices, names)
        assert (np.array([_text(name) for name in found.filenames.ravel()]).reshape(wanted.shape) == NAMES[found.indices]).all()
        assert "file names against the image list" not in failed(audit(labelled, names=names))


def _text(name):
    return name.decode() if isinstance(name, bytes) else str(name)


def test_what_an_editor_adds_to_a_list_of_names_is_no_other_list(labelled):
    for names in (["\ufeff" + NAMES[0], *NAMES[1:]], [name + " " for name in NAMES], [name + "\r" for name in NAMES]):
        assert failed(audit(labelled, names=np.array(names))) == []
    accents = altered(labelled, filenames=np.char.add("caf\u00e9-", labelled.filenames))
    split = np.char.add("cafe\u0301-", NAMES)
    (found,) = [finding for finding in audit(accents, names=split) if finding.check == "file names against the image list"]
    assert found.ok and "90 of them differ in blanks around the name, a byte order mark or the form of an accent" in found.seen
    wrong = np.array([name + " " for name in NAMES])
    wrong[[7, 8]] = wrong[[8, 7]]
    assert failed(audit(labelled, names=wrong)) == ["file names against the image list"]


def test_names_that_are_no_utf8_are_compared_byte_by_byte(labelled):
    raw = np.array([b"\xff" + name.encode() for name in NAMES])
    found = altered(labelled, filenames=raw[labelled.indices])
    decoded = np.array([name.decode("utf-8", "surrogateescape") for name in raw.tolist()])
    assert failed(audit(found, names=raw)) == [] == failed(audit(found, names=decoded))
    assert failed(audit(found, names=NAMES)) == ["file names against the image list"]
    kept = np.array([listing.plain(name) for name in decoded.tolist()])
    (said,) = [finding for finding in audit(found, names=kept) if finding.check == "file names against the image list"]
    assert said.ok, "as a folder of images and a store of pixels write them"
