"""Readers of human judgments, the faults of their files, and the registry's entries for them.

Tests on the real files need HUMALIGN_DATA and are skipped without it.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat
from scipy.stats import spearmanr

from humalign import readers, registry
from humalign.errors import HumalignError
from humalign.judgments import Choices, entropy, majority_share

OBJECTS = 6
NAMES = ("ant", "bat1", "bat2", "cat", "hot-air_balloon", "owl")
TABLE = "image1\timage2\timage3\tchoice\tRT\tnoise_ceiling\tsubject_id\tage\n"
UPPER = np.triu_indices(92, 1)


@pytest.fixture(scope="module")
def data():
    if not os.environ.get("HUMALIGN_DATA"):
        pytest.skip("HUMALIGN_DATA is not set")
    return Path(os.environ["HUMALIGN_DATA"])


@pytest.fixture(scope="module")
def things(data):
    return data / "things"


def refused(read, path, said):
    with pytest.raises(HumalignError, match=said) as caught:
        read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


# ---- a sound file for each reader ------------------------------------------------------------------------------------

def symmetric(seed, m, people=()):
    matrix = np.random.default_rng(seed).random((*people, m, m))
    matrix = matrix + matrix.swapaxes(-1, -2)
    matrix[..., np.arange(m), np.arange(m)] = 0
    return matrix


def judged_92(path, names=("a | one", "a | two"), **changes):
    people = [{"RDM": matrix, "name": name, "color": [0.5, 0.5, 0.5]} for matrix, name in zip(symmetric(1, 92, (2,)), names, strict=True)]
    savemat(path, {"rdms_behav_92": np.array([tuple(one.values()) for one in people], dtype=[(key, "O") for key in people[0]])} | changes)


def shown_92(path, **changes):
    pictures = np.random.default_rng(2).integers(256, size=(92, 175, 175, 3), dtype=np.uint8)
    stimuli = np.array([(picture, "face") for picture in pictures], dtype=[("image", "O"), ("category", "O")])
    labels = np.array(["animate", "body"], dtype=object)
    vectors = np.tile(np.array([[1, 0], [0, 1]], np.uint8), (46, 1))
    savemat(path, {"stimuli_92objs": stimuli, "categoryVectors": vectors, "categoryLabels": labels} | changes, do_compression=True)


def photographs(folder):
    for name in ("owl", "ant"):
        Image.new("RGB", (4, 4)).save(folder / f"{name}.webp")
    (folder / "index.csv").write_bytes(b"things_index,unique_id,file\r\n5,owl,owl.webp\r\n0,ant,ant.webp\r\n")
    return folder / "index.csv"


def saved(name, content):
    """Return a function that leaves a file of this name and content (text or array) in a folder."""

    def make(folder):
        if isinstance(content, str):
            (folder / name).write_text(content)
        else:
            np.save(folder / name, content)
        return folder / name

    return make


def mat(name, make, beside=None):
    def write(folder):
        make(folder / name)
        if beside:
            beside(folder)
        return folder / name

    return write


SPOSE = "0.5 -0.001 1.25e-1\n" * OBJECTS
WEIGHTS = np.linspace(0, 1, OBJECTS * 2, dtype=np.float32).reshape(OBJECTS, 2)
INDEX = np.array([5, 0, 3])
SOUND = {
    "triplets": (saved("trainset.txt", "0 1 2\n3 4 5\n1 4 2\n"), lambda path: readers.triplets(path, OBJECTS)),
    "answers": (saved("answers.tsv", TABLE + "1\t2\t3\t3\t1500\t0\tK7\tNaN\n4\t6\t5\t1\tNaN\t1\tB2\t31\n"),
                lambda path: readers.answers(path, OBJECTS)),
    "vice": (saved("vice.npy", WEIGHTS), lambda path: readers.embedding(path, OBJECTS)),
    "spose": (saved("spose.txt", SPOSE), lambda path: readers.embedding(path, OBJECTS)),
    "features": (saved("features.npy", WEIGHTS - 0.5), lambda path: readers.features(path, OBJECTS)),
    "rdm48": (mat("RDM48_triplet.mat", lambda path: savemat(path, {"RDM48_triplet": symmetric(0, 3)}), saved("index.npy", INDEX)),
              lambda path: readers.things48(path, path.parent / "index.npy", OBJECTS)),
    "index48": (mat("index.npy", lambda path: np.save(path, INDEX),
                    lambda folder: savemat(folder / "RDM48_triplet.mat", {"RDM48_triplet": symmetric(0, 3)})),
                lambda path: readers.things48(path.parent / "RDM48_triplet.mat", path, OBJECTS)),
    "ids": (saved("unique_id.txt", "\n".join(NAMES) + "\n"), readers.object_ids),
    "categories": (saved("category_mat_manual.tsv", "animal\tbody part\n" + "1\t0\n" * 4 + "0\t0\n1\t1\n"),
                   lambda path: readers.categories(path, NAMES)),
    "long": (saved("category53.tsv", "category\tuniqueID\tWord\nsea animal\tbat1\tbat\nanimal\tant\tant\nanimal\tbat1\tbat\n"),
             readers.long_categories),
    "photographs": (photographs, lambda path: readers.things_photographs(path.parent, OBJECTS)),
    "judged92": (mat("92_behavRDMs.mat", judged_92, lambda folder: shown_92(folder / "Kriegeskorte_Neuron2008_supplementalData.mat")),
                 lambda path: readers.similarity_judgments_92(path.parent)),
    "shown92": (mat("Kriegeskorte_Neuron2008_supplementalData.mat", shown_92, lambda folder: judged_92(folder / "92_behavRDMs.mat")),
                lambda path: readers.similarity_judgments_92(path.parent)),
}
BINARY = ("vice", "features", "rdm48", "index48", "judged92", "shown92")
TEXT = tuple(name for name in SOUND if name not in BINARY)


@pytest.fixture
def sound(request, tmp_path):
    make, read = SOUND[request.param]
    path = make(tmp_path)
    read(path)
    return read, path


every = pytest.mark.parametrize("sound", SOUND, indirect=True)
every_binary = pytest.mark.parametrize("sound", BINARY, indirect=True)
every_text = pytest.mark.parametrize("sound", TEXT, indirect=True)


# ---- what every reader refuses ---------------------------------------------------------------------------------------

@every
def test_a_missing_file_says_where_it_was_looked_for(sound):
    read, path = sound
    path.unlink()
    with pytest.raises(HumalignError, match=rf"no {path.name} in {path.parent}: set HUMALIGN_DATA") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@every
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty: download it again"),
        (b" \r\n\n", "is empty"),
        (b"<!DOCTYPE html>\n<html>not found</html>", "is a web page, not data: download it again"),
        (b"\xef\xbb\xbf\n  <html>", "is a web page"),
    ],
)
def test_no_data_at_all(sound, content, said):
    read, path = sound
    path.write_bytes(content)
    refused(read, path, said)


@every
def test_a_folder_or_noise_instead_of_a_file(sound):
    read, path = sound
    path.write_bytes(bytes(range(128, 256)) + b"\x00\x01\x02" * 50)
    refused(read, path, "download it again")
    path.unlink()
    path.mkdir()
    refused(read, path, "cannot read .*: give the path of a file")


@every_binary
def test_a_binary_file_cut_short_anywhere(sound):
    read, path = sound
    whole = path.read_bytes()
    for kept in np.linspace(1, len(whole) - 1, 25).astype(int):
        path.write_bytes(whole[:kept])
        refused(read, path, "cut short, damaged or of another layout: download it again|is empty")


# Without the .mat files: scipy itself crashes on an unknown type code in one; the registry's checksum stands before that.
@pytest.mark.parametrize("sound", [*TEXT, "vice", "features", "index48"], indirect=True)
def test_no_damage_ends_in_anything_but_one_line(sound):
    read, path = sound
    whole, rng = bytearray(path.read_bytes()), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(min(len(whole), 400), size=3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read(path)
        except HumalignError as error:
            assert "\n" not in str(error) and "\r" not in str(error)


@every_text
def test_windows_line_ends_byte_order_mark_and_blank_lines_change_nothing(sound):
    read, path = sound
    before = read(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + b"\r\n")
    assert repr(read(path)) == repr(before)


@every_text
def test_a_text_file_of_another_width(sound):
    read, path = sound
    whole = path.read_text().splitlines()
    separator = next((sign for sign in "\t," if sign in whole[0]), " ")
    columns = len(whole[0].split(separator))
    path.write_text("\n".join([*whole[:2], f"{whole[2]}{separator}7"]))
    refused(read, path, f"line 3: {columns + 1} columns instead of {columns}: cut short")


# ---- what single readers refuse --------------------------------------------------------------------------------------

ROW = "4\t5\t6\t1\t900\t0\tK7\t30\n"
FAULTS = [
    ("triplets", "0 1 2\n3 4\n", "line 2: 2 columns instead of 3: cut short"),
    ("triplets", "0 1\n3 4\n", "line 1: 2 columns instead of 3"),
    ("triplets", "0 1 2\n\n3 4 5 6\n", "line 3: 4 columns instead of 3"),
    ("triplets", "0 1 2\n3 nan 5\n", "line 2: 'nan' where a whole number should stand"),
    ("triplets", "0 1 2\n3 4.5 5\n", "line 2: '4.5' where a whole number"),
    ("triplets", "0 1 99999999999999999999\n", "line 1: '99999999999999999999' where a whole number"),
    ("triplets", "i j k\n0 1 2\n", "line 1: 'i' where a whole number"),
    ("triplets", "0,1,2\n", "line 1: 1 columns instead of 3"),
    ("triplets", "0 1 2\n\n1 2 6\n", r"line 3: index 6 outside 0\.\.5; are these 1-based\?"),
    ("triplets", "0 1 2\n1 2 700\n", r"line 2: index 700 outside 0\.\.5; is this a file of other objects\?"),
    ("triplets", "0 1 2\n1 -2 3\n", r"line 2: index -2 outside 0\.\.5"),
    ("triplets", "0 1 2\n5 3 5\n", r"line 2: the same object twice in a triplet, \[5, 3, 5\]"),
    ("answers", ROW * 2, "line 1: 0 columns 'image1' in the header instead of one"),
    ("answers", TABLE.replace("choice", "answer") + ROW, "line 1: 0 columns 'choice'"),
    ("answers", TABLE.replace("noise_ceiling", "image1") + ROW, "line 1: 2 columns 'image1'"),
    ("answers", TABLE.replace("\t", ",") + ROW.replace("\t", ","), "line 1: 0 columns 'image1'"),
    ("answers", TABLE, "holds a header and nothing below it"),
    ("answers", TABLE + ROW + "4\t5\t6\t1\t900\t0\n", "line 3: 6 columns instead of 8: cut short"),
    ("answers", TABLE + ROW[:-1] + "\tx\n" + ROW, "line 2: 9 columns instead of 8"),
    ("answers", TABLE + ROW + "4\tNaN\t6\t1\t900\t0\tK7\t30\n", "line 3: 'NaN' where a whole number"),
    ("answers", TABLE + ROW + "4\t\t6\t1\t900\t0\tK7\t30\n", "line 3: '' where a whole number"),
    ("answers", TABLE + ROW + "4\t5\t6\t1\tslow\t0\tK7\t30\n", "line 3: 'slow' where milliseconds or NaN"),
    ("answers", TABLE + ROW + "4\t5\t6\t1\tinf\t0\tK7\t30\n", "line 3: 'inf' where milliseconds or NaN"),
    ("answers", TABLE + ROW + "4\t5\t6\t1\t900\t0\t\t30\n", "line 3: '' where a name"),
    ("answers", TABLE + ROW + "\n4\t0\t6\t1\t900\t0\tK7\t30\n", r"line 4: index 0 outside 1\.\.6; are these 0-based\?"),
    ("answers", TABLE + ROW + "4\t7\t6\t1\t900\t0\tK7\t30\n", r"line 3: index 7 outside 1\.\.6; is this a file of other objects\?"),
    ("answers", TABLE + ROW + "4\t4\t6\t1\t900\t0\tK7\t30\n", r"line 3: the same object twice in a triplet, \[4, 4, 6\]"),
    ("answers", TABLE + ROW + "4\t5\t6\t0\t900\t0\tK7\t30\n", "line 3: choice 0; expected the place of the odd one: 1, 2 or 3"),
    ("answers", TABLE + ROW + "4\t5\t6\t6\t900\t0\tK7\t30\n", "line 3: choice 6"),
    ("spose", SPOSE + "0.1 0.2\n", "line 7: 2 columns instead of 3: cut short"),
    ("spose", SPOSE.replace("0.5", "nan"), "row 1: a value that is not finite"),
    ("spose", "0.5 x 1\n", "line 1: 'x' where a finite number"),
    ("spose", SPOSE * 2, "12 rows for 6 objects: cut short, or of other objects"),
    ("spose", SPOSE.replace("-0.001", "-0.5"), "row 1: a weight of -0.5 is below zero"),
    ("vice", WEIGHTS[:4], "4 rows for 6 objects: cut short"),
    ("vice", WEIGHTS.T, "2 rows for 6 objects: is it transposed?"),
    ("vice", np.where(WEIGHTS == WEIGHTS[2, 1], np.nan, WEIGHTS), "row 3: a value that is not finite"),
    ("vice", WEIGHTS - 0.5, "row 1: a weight of -0.5 is below zero"),
    ("vice", np.array([{"a": 1}]), "cut short, damaged or of another layout"),
    ("features", WEIGHTS[0], r"holds float32 of shape \(2,\) instead of rows of numbers"),
    ("features", WEIGHTS.astype("U8"), "holds <U8 of shape"),
    ("features", WEIGHTS * np.float64(1e300), "row 1: a value that is not finite"),
    ("features", np.empty((0, 3)), r"of shape \(0, 3\)"),
    ("index48", np.array([5, 0]), "expected 3 different indices, one a row of RDM48_triplet.mat"),
    ("index48", np.array([5, 0, 5]), "expected 3 different indices"),
    ("index48", np.array([5.0, 0.0, 3.0]), "expected 3 different indices"),
    ("index48", np.array([6, 1, 4]), r"row 1: index 6 outside 0\.\.5; are these 1-based\?"),
    ("index48", np.array([4, -1, 3]), r"row 2: index -1 outside 0\.\.5"),
    ("ids", "ant\nbat one\n", "line 2: 2 columns instead of 1"),
    ("ids", "ant\nbat;1\n", "line 2: 'bat;1' where a plain name should stand"),
    ("ids", "ant\nbat1\nant\n", "line 3: 'ant' again, as in line 1"),
    ("categories", "animal\tplant\n1\t0\n0\t2\n", "line 3: '2' where 0 or 1 should stand"),
    ("categories", "animal\tplant\n1\t0\n0\tNaN\n", "line 3: 'NaN' where 0 or 1"),
    ("categories", "animal\tanimal\n1\t0\n", "line 1: 2 columns 'animal'"),
    ("categories", "animal\tplant\n" + "1\t0\n" * 5, "5 objects for 6 names: cut short"),
    ("categories", "animal\tplant\n" + "1\t0\n" * 5 + "1\n", "line 7: 1 columns instead of 2: cut short"),
    ("categories", "animal\tplant\n", "holds a header and nothing below it"),
    ("long", "animal\tant\n", "line 1: 0 columns 'uniqueID' in the header"),
    ("long", "category\tuniqueID\nanimal\tant\nanimal\t\n", "line 3: '' where a plain name"),
    ("long", "category\tuniqueID\nanimal\tant\nanimal", "line 3: 1 columns instead of 2: cut short"),
    ("long", "category\tuniqueID\nanimal\tant\nanimal\tant\n", r"line 3: \('ant', 'animal'\) again, as in line 2"),
    ("photographs", "things_index,file\n0,ant.webp\n6,owl.webp\n", r"line 3: index 6 outside 0\.\.5; are these 1-based\?"),
    ("photographs", "things_index,file\n0,ant.webp\n0,owl.webp\n", "line 3: 0 again, as in line 2"),
    ("photographs", "things_index,file\n0,ant.webp\n1,bat.webp\n", "line 3: no photograph .*bat.webp: copy the folder again"),
    ("photographs", "things_index,file\n0,../ant.webp\n", "line 2: '../ant.webp' where a plain name"),
    ("photographs", "things_index,file\nnan,ant.webp\n", "line 2: 'nan' where a whole number"),
    ("photographs", "things_index,file\n0,ant.webp\n1\n", "line 3: 1 columns instead of 2: cut short"),
    ("photographs", "row,file\n0,ant.webp\n", "line 1: 0 columns 'things_index'"),
]


@pytest.mark.parametrize(("name", "content", "said"), FAULTS, ids=[f"{name}-{place}" for place, (name, *_) in enumerate(FAULTS)])
def test_a_fault_is_one_line_with_its_place_and_mend(name, content, said, tmp_path):
    make, read = SOUND[name]
    path = make(tmp_path)
    if isinstance(content, str):
        path.write_text(content)
    else:
        np.save(path, content)
    refused(read, path, said)


def lopsided(matrix):
    return np.triu(matrix)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (lopsided(symmetric(0, 3)), "matrix 1: not finite, not symmetric, or its diagonal is not zero"),
        (symmetric(0, 3) + np.eye(3), "matrix 1: not finite"),
        (symmetric(0, 3) * np.nan, "matrix 1: not finite"),
        (symmetric(0, 3)[:2], "instead of square ones"),
        (symmetric(0, 4), "expected 4 different indices"),
    ],
)
def test_dissimilarities_of_48_that_cannot_be(matrix, said, tmp_path):
    make, read = SOUND["rdm48"]
    path = make(tmp_path)
    savemat(path, {"RDM48_triplet": matrix})
    with pytest.raises(HumalignError, match=said):
        read(path)
    savemat(path, {"another": matrix})
    refused(read, path, "of another layout")


def test_92_judgments_that_cannot_be(tmp_path):
    make, read = SOUND["judged92"]
    path = make(tmp_path)
    judged_92(path, names=("a | one", "a | one"))
    refused(read, path, "2 matrices of 1 people: average each person's first")
    one = np.array([(lopsided(symmetric(1, 92)), "one")], dtype=[("RDM", "O"), ("name", "O")])
    judged_92(path, rdms_behav_92=one)
    refused(read, path, "matrix 1: not finite, not symmetric")
    one[0]["RDM"] = symmetric(1, 91)
    judged_92(path, rdms_behav_92=one)
    with pytest.raises(HumalignError, match="92 images with categories, 91 judged"):
        read(path)
    judged_92(path, rdms_behav_92=symmetric(1, 92))
    refused(read, path, "of another layout")


# ---- what is read ----------------------------------------------------------------------------------------------------

def test_triplets_keep_their_order_and_carry_one_answer(tmp_path):
    make, read = SOUND["triplets"]
    found = read(make(tmp_path))
    assert found.triplets.tolist() == [[0, 1, 2], [3, 4, 5], [1, 4, 2]] and found.triplets.dtype == np.int64
    assert found.counts.tolist() == [[1, 0, 0]] * 3
    assert len(readers.triplets(tmp_path / "trainset.txt")) == 3


def test_answers_are_converted_to_indices_places_seconds_and_people(tmp_path):
    make, read = SOUND["answers"]
    found = read(make(tmp_path))
    assert found.triplets.tolist() == [[0, 1, 2], [3, 5, 4]] and found.odd.tolist() == [2, 0]
    assert found.person.tolist() == [0, 1] and len(found) == 2
    np.testing.assert_array_equal(found.seconds, [1.5, np.nan])


def test_answers_without_people_or_times(tmp_path):
    path = saved("answers.tsv", "choice\timage3\timage2\timage1\n2\t3\t2\t1\n")(tmp_path)
    found = readers.answers(path)
    assert found.triplets.tolist() == [[0, 1, 2]] and found.odd.tolist() == [1]
    assert found.person is None and found.seconds is None


@pytest.mark.parametrize(("odd", "kept"), [(2, [1, 0, 0]), (1, [0, 1, 0]), (0, [0, 0, 1])])
def test_the_odd_one_leaves_the_pair_of_the_other_two(odd, kept):
    choices = readers.Answers(np.array([[7, 3, 5]]), np.array([odd])).choices()
    assert choices.triplets.tolist() == [[7, 3, 5]] and choices.counts.tolist() == [kept]


def test_answers_in_any_order_shown_are_pooled():
    rng = np.random.default_rng(0)
    truth = Choices(np.array([[1, 4, 6], [2, 3, 9], [2, 3, 10]]), np.array([[5, 2, 1], [0, 0, 3], [1, 0, 0]]))
    shown, odd = [], []
    for triplet, counts in zip(truth.triplets, truth.counts, strict=True):
        for left_out, times in zip((2, 1, 0), counts, strict=True):
            for _ in range(times):
                order = rng.permutation(3)
                shown.append(triplet[order])
                odd.append(order.tolist().index(left_out))
    order = rng.permutation(len(odd))
    given = readers.Answers(np.array(shown)[order], np.array(odd)[order])
    found = given.repeated(1)
    np.testing.assert_array_equal(found.triplets, truth.triplets)
    np.testing.assert_array_equal(found.counts, truth.counts)
    assert given.repeated().triplets.tolist() == truth.triplets[:2].tolist() and len(given.repeated(8)) == 1
    with pytest.raises(HumalignError, match="no triplet has 9 answers: lower `least`"):
        given.repeated(9)


def test_embeddings_are_read_as_published(tmp_path):
    for name, expected in (("vice", WEIGHTS), ("spose", np.tile([[0.5, -0.001, 0.125]], (OBJECTS, 1))), ("features", WEIGHTS - 0.5)):
        make, read = SOUND[name]
        found = read(make(tmp_path))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_categories_have_the_names_of_their_objects(tmp_path):
    make, read = SOUND["categories"]
    found = read(make(tmp_path))
    assert tuple(found.index) == NAMES == readers.object_ids(SOUND["ids"][0](tmp_path)) and set(found.dtypes) == {np.dtype(bool)}
    assert found.loc["owl"].tolist() == [True, True] and found["animal"].sum() == 5
    make, read = SOUND["long"]
    found = read(make(tmp_path))
    expected = pd.DataFrame({"animal": [True, True], "sea animal": [False, True]}, index=["ant", "bat1"])
    pd.testing.assert_frame_equal(found, expected, check_names=False)


def test_photographs_stand_in_the_order_of_their_objects(tmp_path):
    make, read = SOUND["photographs"]
    paths, rows = read(make(tmp_path))
    assert [path.name for path in paths] == ["ant.webp", "owl.webp"] and rows.tolist() == [0, 5]


def test_92_judgments_are_read_with_pictures_and_categories(tmp_path):
    make, read = SOUND["judged92"]
    found = read(make(tmp_path))
    np.testing.assert_array_equal(found.matrices, symmetric(1, 92, (2,)))
    assert found.images.shape == (92, 175, 175, 3) and found.categories["animate"].tolist() == [True, False] * 46


# ---- the real files --------------------------------------------------------------------------------------------------

def test_real_things_answers(things):
    training = readers.triplets(things / "trainset.txt", 1854)
    validation = readers.triplets(things / "validationset.txt", 1854)
    assert (len(training), len(validation)) == (298_509, 37_160)
    vice = readers.embedding(things / "vice_42d.npy", 1854)
    i, j, k = (vice[column] for column in validation.triplets.T)
    similarities = np.stack([(a * b).sum(1) for a, b in ((i, j), (i, k), (j, k))], axis=1)
    assert (similarities.argmax(1) == 0).mean() == pytest.approx(0.634, abs=0.0005), "the odd one stands last"


def test_real_repeated_answers_give_the_published_noise_ceiling(things):
    answers = readers.answers(things / "noise_ceiling_triplets.tsv", 1854)
    assert len(answers) == 20_000 and len(np.unique(answers.person)) == 325 and answers.seconds is None
    pooled = answers.repeated()
    assert len(pooled) == 1000 and pooled.counts.sum() == 20_000
    assert majority_share(pooled.counts).mean() == pytest.approx(0.6722, abs=0.00005)
    assert entropy(pooled.shares).mean() == pytest.approx(0.732, abs=0.0005)


def test_real_embeddings_and_the_48_objects(things):
    vice = readers.embedding(things / "vice_42d.npy", 1854)
    spose = readers.embedding(things / "spose_embedding_49d_sorted.txt", 1854)
    clip = readers.features(things / "features" / "clip-vit-base-p32-embeddings.npy", 1854)
    assert (vice.shape, spose.shape, clip.shape) == ((1854, 42), (1854, 49), (1854, 512))
    assert vice.min() == 0 and -0.002 < spose.min() < 0 and (spose < 0).sum() == 68
    matrix, rows = readers.things48(things / "RDM48_triplet.mat", things / "triplet48_index.npy", 1854)
    assert matrix.shape == (48, 48) and 0 < matrix[np.triu_indices(48, 1)].min() and matrix.max() < 1
    kept = np.exp(vice[rows] @ vice[rows].T)
    share = np.mean([kept / (kept + kept[:, [k]] + kept[[k]]) for k in range(48)], axis=0)
    assert np.corrcoef((1 - share)[np.triu_indices(48, 1)], matrix[np.triu_indices(48, 1)])[0, 1] == pytest.approx(0.89, abs=0.01)


def test_real_objects_and_their_categories(things):
    names = readers.object_ids(things / "unique_id.txt")
    assert len(names) == 1854 and (names[0], names[-1]) == ("aardvark", "zucchini")
    wide = readers.categories(things / "category_mat_manual.tsv", names)
    long = readers.long_categories(things / "category53_long-format.tsv")
    assert wide.shape == (1854, 27) and long.shape == (1448, 53) and set(long.index) < set(names)
    shared = wide.columns.intersection(long.columns)
    differing = (wide[shared] != long.reindex(names, fill_value=False)[shared]).stack()
    assert len(shared) == 27 and list(differing[differing].index) == [("gorilla", "food")]


def test_real_photographs(things):
    paths, rows = readers.things_photographs(things / "images_cc0", 1854)
    names = readers.object_ids(things / "unique_id.txt")
    assert len(paths) == 278 and [path.stem for path in paths] == [names[row] for row in rows]


def test_real_similarity_judgments_of_92_images(data):
    found = readers.similarity_judgments_92(data / "kriegeskorte92")
    assert found.matrices.shape == (16, 92, 92) and found.images.shape == (92, 175, 175, 3) and found.categories.shape == (92, 12)
    people = found.matrices[:, *UPPER]
    lower = [spearmanr(one, np.delete(people, place, axis=0).mean(0)).statistic for place, one in enumerate(people)]
    upper = [spearmanr(one, people.mean(0)).statistic for one in people]
    assert np.mean(lower) == pytest.approx(0.478, abs=0.0005) and np.mean(upper) == pytest.approx(0.575, abs=0.0005)
    groups = found.categories
    assert (groups["animate"] == ~groups["inanim"]).all()
    assert groups[["animate", "human", "face", "body"]].sum().tolist() == [48, 24, 24, 24]
    within = found.matrices.mean(0)[np.ix_(groups["face"], groups["face"])]
    assert within[np.triu_indices(24, 1)].mean() < found.matrices.mean(0)[UPPER].mean(), "rows of judgments and of images agree"


# ---- the registry ----------------------------------------------------------------------------------------------------

def test_human_data_stand_apart_from_what_the_demo_reads():
    assert {entry.kind for entry in registry.sources().values()} == {"package"}
    assert {entry.kind for entry in registry.human_data().values()} == {"data"}
    assert not set(registry.sources()) & set(registry.human_data())
    for entry in registry.human_data().values():
        assert entry.home.startswith("https://") and entry.licence and entry.attribution and entry.used_in and entry.size > 0
        assert registry.source(entry.name) == entry


def test_a_missing_file_of_human_data_says_how_to_bring_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HUMALIGN_DATA", str(tmp_path))
    with pytest.raises(HumalignError) as caught:
        registry.verify("things-answers")
    assert str(caught.value) == (
        "THINGS answers are missing: set HUMALIGN_DATA to a folder that holds things/trainset.txt, or download them from osf.io/f5rn6"
        f" (looked in {tmp_path})"
    )
    monkeypatch.setenv("HUMALIGN_DATA", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert registry.data_folder() == tmp_path / ".cache" / "humalign" / "data"
    path = tmp_path / ".cache" / "humalign" / "data" / "things" / "trainset.txt"
    path.parent.mkdir(parents=True)
    path.write_text("0 1 2\n")
    assert registry.locate("things-answers") == path
    with pytest.raises(HumalignError, match=r"THINGS answers in .*trainset.txt are not the registered file \(298,509 .*: set HUMALIGN"):
        registry.verify("things-answers")


def test_an_unknown_file_of_human_data_names_the_nearest():
    with pytest.raises(HumalignError, match="unknown source 'things-answer': did you mean 'things-answers'"):
        registry.source("things-answer")


@pytest.mark.parametrize("name", registry.human_data())
def test_real_human_data_are_the_registered_files(name, data):
    path, entry = registry.verify(name), registry.source(name)
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    assert sum(each.stat().st_size for each in files) == entry.size and bool(entry.sha256) == path.is_file()
