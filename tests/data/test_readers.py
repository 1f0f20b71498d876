"""Readers of human judgments, and the faults of their files.

Tests on the real files need HUMALIGN_DATA and are skipped without it.
"""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.stats import spearmanr

from humalign.data import readers, readers_answers, readers_levels
from humalign.data.judgments import Choices, entropy, majority_share
from humalign.data.object_order import OLD, SORTED, UNIQUE, rows_in
from humalign.errors import HumalignError

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


def words48(folder, words=("owl", "ant", "hot-air balloon")):
    savemat(folder / "words48.mat", {"words48": np.array(words, dtype=object)[:, None]})


LISTED = "1\t2\t3\t3\t7\n4\t6\t5\t1\t007\n3\t2\t1\t2\t7\n"
SPOSE = "0.5 -0.001 1.25e-1\n" * OBJECTS
WEIGHTS = np.linspace(0, 1, OBJECTS * 2, dtype=np.float32).reshape(OBJECTS, 2)
SOUND = {
    "triplets": (saved("trainset.txt", "0 1 2\n3 4 5\n1 4 2\n"), lambda path: readers_answers.triplets(path, OBJECTS)),
    "answers": (saved("answers.tsv", TABLE + "1\t2\t3\t3\t1500\t0\tK7\tNaN\n4\t6\t5\t1\tNaN\t1\tB2\t31\n"),
                lambda path: readers_answers.answers(path, NAMES)),
    "listed": (saved("test_triplets.csv", LISTED), lambda path: readers_answers.answers(path, NAMES)),
    "vice": (saved("vice.npy", WEIGHTS), lambda path: readers.embedding(path, NAMES, UNIQUE)),
    "spose": (saved("spose.txt", SPOSE), lambda path: readers.embedding(path, NAMES, UNIQUE)),
    "features": (saved("features.npy", WEIGHTS - 0.5), lambda path: readers.features(path, NAMES, UNIQUE)),
    "rdm48": (mat("RDM48_triplet.mat", lambda path: savemat(path, {"RDM48_triplet": symmetric(0, 3)}), words48),
              lambda path: readers.things48(path, NAMES)),
    "words48": (mat("words48.mat", lambda path: words48(path.parent),
                    lambda folder: savemat(folder / "RDM48_triplet.mat", {"RDM48_triplet": symmetric(0, 3)})),
                lambda path: readers.things48(path.with_name("RDM48_triplet.mat"), NAMES)),
    "ids": (saved("unique_id.txt", "\n".join(NAMES) + "\n"), readers.object_ids),
    "categories": (saved("category_mat_manual.tsv", "animal\tbody part\n" + "1\t0\n" * 4 + "0\t0\n1\t1\n"),
                   lambda path: readers.categories(path, NAMES)),
    "judged92": (mat("92_behavRDMs.mat", judged_92, lambda folder: shown_92(folder / "Kriegeskorte_Neuron2008_supplementalData.mat")),
                 lambda path: readers.similarity_judgments_92(path.parent)),
    "shown92": (mat("Kriegeskorte_Neuron2008_supplementalData.mat", shown_92, lambda folder: judged_92(folder / "92_behavRDMs.mat")),
                lambda path: readers.similarity_judgments_92(path.parent)),
}
BINARY = ("vice", "features", "rdm48", "words48", "judged92", "shown92")
TEXT = tuple(name for name in SOUND if name not in BINARY)


@pytest.fixture
def sound(request, tmp_path):
    make, read = SOUND[request.param]
    path = make(tmp_path)
    read(path)
    return read, path


every = pytest.mark.parametrize("sound", SOUND, indirect=True)
# The names of the 48 objects are known without their file, the last bytes of which fill up a word.
needed = pytest.mark.parametrize("sound", [name for name in SOUND if name != "words48"], indirect=True)
every_binary = pytest.mark.parametrize("sound", [name for name in BINARY if name != "words48"], indirect=True)
every_text = pytest.mark.parametrize("sound", TEXT, indirect=True)


# ---- what every reader refuses ---------------------------------------------------------------------------------------

@needed
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


# Without the .mat files: scipy itself crashes on an unknown type code in one.
@pytest.mark.parametrize("sound", [*TEXT, "vice", "features"], indirect=True)
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
    ("triplets", "0,1,2\n3,4\n", "line 2: 2 columns instead of 3"),
    ("triplets", "0,1,2\n3,4,5.5\n", "line 2: '5.5' where a whole number"),
    ("triplets", "0,1,2\n1,2,6\n", r"line 2: index 6 outside 0\.\.5"),
    ("triplets", "0;1;2\n3;4;5", "line 2: the last line has no end: cut short"),
    ("triplets", "3 1 2\n\n1 2 6\n", r"line 3: index 6 outside 0\.\.5; are these 1-based\?"),
    ("triplets", "0 1 2\n1 2 6\n", r"line 2: index 6 outside 0\.\.5; is it of the same edition as unique_id\.txt\?"),
    ("triplets", "0 1 2\n1 -2 3\n", r"line 2: index -2 outside 0\.\.5"),
    ("triplets", "0 1 2\n5 3 5\n", r"line 2: the same object twice in a triplet, \[5, 3, 5\]"),
    ("triplets", "0 1 2\n1 2 3", "line 2: the last line has no end: cut short"),
    ("triplets", LISTED, "line 1: 5 columns instead of 3"),
    ("triplets", "PK\x03\x04\n", "is an archive, not text: unpack it"),
    ("answers", "1 2 3\n4 5 6\n", "three indices a line, the odd one last, instead of 5 columns, or a header"),
    ("answers", TABLE + ROW + ROW.strip(), "line 3: the last line has no end: cut short"),
    ("answers", TABLE + ROW.replace("\t0\t", "\t4\t"), "line 2: noise_ceiling 4; expected 0, 1, 2 or 3"),
    ("answers", TABLE + ROW.replace("\t0\t", "\t0.5\t"), "line 2: '0.5' where a whole number"),
    ("listed", LISTED + "1\t2\t3\t1\n", "line 4: 4 columns instead of 5: cut short"),
    ("listed", LISTED + "1\t2\t3\t0\t7\n", "line 4: choice 0; expected the place of the odd one: 1, 2 or 3"),
    ("listed", LISTED + "0\t2\t3\t1\t7\n", r"line 4: index 0 outside 1\.\.6; are these 0-based\?"),
    ("listed", LISTED + "1\t2\t3\t1\t\n", "line 4: '' where a name"),
    ("listed", LISTED[:-1], "line 3: the last line has no end: cut short"),
    ("answers", ROW * 2, "line 1: 0 columns 'image1' in the header instead of one"),
    ("answers", TABLE.replace("choice", "answer") + ROW, "line 1: 0 columns 'choice'"),
    ("answers", TABLE.replace("noise_ceiling", "image1") + ROW, "line 1: 2 columns 'image1'"),
    ("answers", TABLE.replace("\t", ",") + ROW.replace("\t", ",") + "4,5,6,1\n", "line 3: 4 columns instead of 8"),
    ("answers", TABLE.replace("\t", ",") + ROW.replace("\t", ",").replace("K7", " "), "line 2: '' where a name"),
    ("answers", TABLE, "holds a header and nothing below it"),
    ("answers", TABLE + ROW + "4\t5\t6\t1\t900\t0\n", "line 3: 6 columns instead of 8: cut short"),
    ("answers", TABLE + ROW[:-1] + "\tx\n" + ROW, "line 2: 9 columns instead of 8"),
    ("answers", TABLE + ROW + "4\tNaN\t6\t1\t900\t0\tK7\t30\n", "line 3: 'NaN' where a whole number"),
    ("answers", TABLE + ROW + "4\t\t6\t1\t900\t0\tK7\t30\n", "line 3: '' where a whole number"),
    ("answers", TABLE + ROW + "4\t5\t6\t1\t900\t0\t\t30\n", "line 3: '' where a name"),
    ("answers", TABLE + ROW + "\n4\t0\t6\t1\t900\t0\tK7\t30\n", r"line 4: index 0 outside 1\.\.6; are these 0-based\?"),
    ("answers", TABLE + ROW + "4\t7\t6\t1\t900\t0\tK7\t30\n", r"line 3: index 7 outside 1\.\.6; is it of the same edition"),
    ("answers", TABLE + ROW + "4\t4\t6\t1\t900\t0\tK7\t30\n", r"line 3: the same object twice in a triplet, \[4, 4, 6\]"),
    ("answers", TABLE + ROW + "4\t5\t6\t0\t900\t0\tK7\t30\n", "line 3: choice 0; expected the place of the odd one: 1, 2 or 3"),
    ("answers", TABLE + ROW + "4\t5\t6\t6\t900\t0\tK7\t30\n", "line 3: choice 6"),
    ("spose", SPOSE + "0.1 0.2\n", "line 7: 2 columns instead of 3: cut short"),
    ("spose", SPOSE.replace("0.5", "nan"), "row 1: a value that is not finite"),
    ("spose", "0.5 x 1\n", "line 1: 'x' where a finite number"),
    ("spose", SPOSE * 2, "12 rows for the 6 objects of unique_id.txt: cut short, or of other objects"),
    ("spose", SPOSE.replace("-0.001", "-0.5"), "row 1: a weight of -0.5 is below zero"),
    ("vice", WEIGHTS[:4], "4 rows for the 6 objects of unique_id.txt: cut short"),
    ("vice", WEIGHTS.T, "2 rows for the 6 objects of unique_id.txt: is it transposed?"),
    ("vice", np.where(WEIGHTS == WEIGHTS[2, 1], np.nan, WEIGHTS), "row 3: a value that is not finite"),
    ("vice", WEIGHTS - 0.5, "row 1: a weight of -0.5 is below zero"),
    ("vice", np.array([{"a": 1}]), "cut short, damaged or of another layout"),
    ("features", WEIGHTS[0], r"holds float32 of shape \(2,\) instead of rows of numbers"),
    ("features", WEIGHTS.astype("U8"), "holds <U8 of shape"),
    ("features", WEIGHTS * np.float64(1e300), "row 1: a value that is not finite"),
    ("features", np.empty((0, 3)), r"of shape \(0, 3\)"),
    ("ids", "ant\nbat one\n", "line 2: 2 columns instead of 1"),
    ("ids", "ant\nbat;1\n", "line 2: 'bat;1' where a plain name should stand"),
    ("ids", "ant\nbat1\nant\n", "line 3: 'ant' again, as in line 1"),
    ("ids", "ant\ncat\nbat1\nbat2\n", "line 3: 'bat1' after 'cat'; answers refer to the objects by line"),
    ("ids", "ice\nice-cream_cone\nice_cream\n", "line 3: 'ice_cream' after 'ice-cream_cone': the ids are in the order of the sorted ids"),
    ("ids", "ice-cream_cone\nice\nice_cream\n", "line 2: .* the ids are in the order of the picture files' names"),
    ("categories", "animal\tvehicle\n" + "1\t0\n" * 6, "line 6: hot-air_balloon is not in 'vehicle': the lines are not in the order of"),
    ("categories", "animal\tplant\n1\t0\n0\t2\n", "line 3: '2' where 0 or 1 should stand"),
    ("categories", "animal\tplant\n1\t0\n0\tNaN\n", "line 3: 'NaN' where 0 or 1"),
    ("categories", "animal\tanimal\n1\t0\n", "line 1: 2 columns 'animal'"),
    ("categories", "animal\tplant\n" + "1\t0\n" * 5, "5 lines for the 6 ids of unique_id.txt: cut short"),
    ("categories", "animal\tplant\n" + "1\t0\n" * 5 + "1\n", "line 7: 1 columns instead of 2: cut short"),
    ("categories", "animal\tplant\n", "holds a header and nothing below it"),
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
        (lopsided(symmetric(0, 3)), "matrix 1: not symmetric, .* in row 2, column 3 and 0 the other way round: download it again"),
        (symmetric(0, 3) + np.eye(3), "matrix 1: its diagonal is not zero: are these similarities"),
        (symmetric(0, 3) * np.nan, "matrix 1: a value that is not finite"),
        (symmetric(0, 3)[:2], "instead of square ones"),
        (symmetric(0, 4), "4 rows for 3 names"),
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("owl", "ant"), "3 rows for 2 names"),
        (("owl", "ant", "owl "), "'owl' twice"),
        (("owl", "ant", "bat"), "words48.mat: 'bat' is no id of the 6 in unique_id.txt"),
    ],
)
def test_names_of_48_that_cannot_be(words, said, tmp_path):
    make, read = SOUND["rdm48"]
    path = make(tmp_path)
    words48(tmp_path, words)
    with pytest.raises(HumalignError, match=said) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_without_names_beside_it_the_matrix_is_of_the_48_objects_that_are_known(tmp_path):
    path = tmp_path / "RDM48_triplet.mat"
    savemat(path, {"RDM48_triplet": symmetric(0, 48)})
    names = sorted({*readers.FORTY_EIGHT, "camera2", "camera_lens"}, key=UNIQUE.key)
    _, rows = readers.things48(path, names)
    assert [names[row] for row in rows] == list(readers.FORTY_EIGHT)
    words48(tmp_path, [word.rstrip("1").replace("_", " ").capitalize() for word in readers.FORTY_EIGHT])
    assert readers.things48(path, names)[1].tolist() == rows.tolist(), "camera is the camera that is known, and blanks are underscores"
    with pytest.raises(HumalignError, match="'Pizza' is no id of the 6"):
        readers.things48(path, NAMES)


def test_92_judgments_that_cannot_be(tmp_path):
    make, read = SOUND["judged92"]
    path = make(tmp_path)
    judged_92(path, names=("a | one", "a | one"))
    refused(read, path, "2 matrices of 1 people: average each person's first")
    one = np.array([(lopsided(symmetric(1, 92)), "one")], dtype=[("RDM", "O"), ("name", "O")])
    judged_92(path, rdms_behav_92=one)
    refused(read, path, "matrix 1: not symmetric")
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
    assert len(readers_answers.triplets(tmp_path / "trainset.txt")) == 3


def test_answers_are_converted_to_indices_places_and_people(tmp_path):
    make, read = SOUND["answers"]
    found = read(make(tmp_path))
    assert found.triplets.tolist() == [[0, 1, 2], [3, 5, 4]] and found.odd.tolist() == [2, 0]
    assert found.person.tolist() == [0, 1] and found.part.tolist() == [0, 1] and len(found) == 2
    make, read = SOUND["listed"]
    found = read(make(tmp_path))
    assert found.triplets.tolist() == [[0, 1, 2], [3, 5, 4], [2, 1, 0]] and found.odd.tolist() == [2, 0, 1] and found.part is None
    assert found.person.tolist() == [0, 1, 0], "7 and 007 are two people"


def test_answers_without_people(tmp_path):
    path = saved("answers.tsv", "choice\timage3\timage2\timage1\n2\t3\t2\t1\n")(tmp_path)
    found = readers_answers.answers(path, NAMES)
    assert found.triplets.tolist() == [[0, 1, 2]] and found.odd.tolist() == [1] and found.person is None and found.part is None


def test_old_rows_of_repeated_answers_are_brought_into_the_order_of_the_ids(tmp_path):
    """By hand: of ice, ice_cream, ice-cream_cone, picture files stand as ice-cream_cone.jpg, ice.jpg, ice_cream.jpg."""
    names = ("ice", "ice_cream", "ice-cream_cone")
    listed = saved("test_triplets.csv", "1\t2\t3\t3\tx\n")(tmp_path)
    headed = saved("headed.csv", "image1\timage2\timage3\tchoice\tsubject_id\n1\t2\t3\t3\tx\n")(tmp_path)
    whole = saved("whole.csv", TABLE + "1\t2\t3\t3\t900\t1\tK7\t30\n" * 2)(tmp_path)
    assert readers_answers.answers(listed, names).triplets.tolist() == [[2, 0, 1]], "ice_cream is the odd one"
    assert readers_answers.answers(headed, names).triplets.tolist() == [[2, 0, 1]]
    assert readers_answers.answers(whole, names).triplets.tolist() == [[0, 1, 2]] * 2
    assert [readers_answers.order(path) for path in (listed, headed, whole)] == [OLD, OLD, UNIQUE]
    pooled = readers_answers.repeated(whole, names)
    assert pooled.triplets.tolist() == [[0, 1, 2]] and pooled.counts.tolist() == [[2, 0, 0]]


def test_the_table_of_all_answers_is_split_by_triplet_into_three_parts(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"thing{row:02}" for row in range(40)]
    shown = np.array([rng.permutation(40)[:3] for _ in range(4000)])
    choice, part = rng.integers(1, 4, 4000), rng.choice([0, 1, 2, 3], 4000, p=[0.7, 0.1, 0.1, 0.1])
    again = np.flatnonzero(part == 1)[:100]
    rows = np.concatenate([np.arange(4000), again])  # a hundred repeated triplets twice
    cells = [(*(shown[row] + 1), choice[row], 900, part[row], "x", 30) for row in rows]
    path = saved("all.csv", TABLE + "".join("\t".join(map(str, row)) + "\n" for row in cells))(tmp_path)
    train, held, many = (read(path, names) for read in (readers_answers.training, readers_answers.validation, readers_answers.repeated))
    once = shown[part == 0]
    assert sorted(map(tuple, [*train.triplets.tolist(), *held.triplets.tolist()])) == sorted(map(tuple, once.tolist()))
    assert 0.07 < len(held) / len(once) < 0.13, "a tenth"
    sides = [{tuple(sorted(row)) for row in each.triplets.tolist()} for each in (train, held)]
    assert not sides[0] & sides[1], "all answers to three objects are on one side, in whatever order they were shown"
    assert many.counts.sum() >= 200 and {tuple(row) for row in many.triplets.tolist()} >= {tuple(sorted(shown[row])) for row in again}
    held_rows = [row for row in np.flatnonzero(part == 0) if tuple(sorted(shown[row])) in sides[1]]
    kept = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])[choice[held_rows] - 1]
    assert held.counts.tolist() == kept.tolist(), "the odd one in place 1 leaves the pair of the other two"
    some = saved("some.csv", TABLE + "".join("\t".join(map(str, row)) + "\n" for row in cells[::3]))(tmp_path)
    fewer = {tuple(sorted(row)) for row in readers_answers.validation(some, names).triplets.tolist()}
    assert fewer < sides[1], "a triplet is on the same side in a table that holds fewer"


@pytest.mark.parametrize(
    ("read", "content", "said"),
    [
        (readers_answers.repeated, "0 1 2\n", "answers to triplets asked once; the repeated ones are in test_triplets.csv"),
        (readers_answers.training, LISTED, "holds 3 answers without a column 'noise_ceiling': the repeated triplets"),
        (readers_answers.validation, "image1\timage2\timage3\tchoice\n1\t2\t3\t1\n", "holds 1 answers without a column 'noise_ceiling'"),
        (readers_answers.training, TABLE + ROW.replace("\t0\t", "\t1\t"), "no answer with noise_ceiling 0 to train on"),
        (readers_answers.repeated, TABLE + ROW, "no answer with noise_ceiling 1, the repeated triplets"),
    ],
)
def test_answers_of_another_kind_are_named(read, content, said, tmp_path):
    refused(lambda path: read(path, NAMES), saved("given.txt", content)(tmp_path), said)


def test_many_answers_none_of_which_is_about_the_first_object_are_1_based(tmp_path):
    rows = np.tile(np.array([[1, 2, 3], [4, 5, 2]]), (50_000, 1))
    np.savetxt(tmp_path / "trainset.txt", rows, "%d")
    said = r"no index 0 in 100,000 answers; are these 1-based\?"
    refused(lambda path: readers_answers.training(path, NAMES), tmp_path / "trainset.txt", said)
    np.savetxt(tmp_path / "trainset.txt", rows[:-1], "%d")
    assert len(readers_answers.training(tmp_path / "trainset.txt", NAMES)) == 99_999


@pytest.mark.parametrize(("odd", "kept"), [(2, [1, 0, 0]), (1, [0, 1, 0]), (0, [0, 0, 1])])
def test_the_odd_one_leaves_the_pair_of_the_other_two(odd, kept):
    choices = readers_answers.Answers(np.array([[7, 3, 5]]), np.array([odd])).choices()
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
    given = readers_answers.Answers(np.array(shown)[order], np.array(odd)[order])
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


def test_rows_in_another_order_are_brought_into_that_of_the_ids(tmp_path):
    names = ("ice", "ice_cream", "ice-cream_cone")
    path = saved("vice.npy", np.array([[2.0], [0.0], [1.0]]))(tmp_path)
    assert readers.embedding(path, names, OLD).tolist() == [[0.0], [1.0], [2.0]], "the file is ice-cream_cone, ice, ice_cream"
    path = saved("clip.npy", np.array([[0.0], [2.0], [1.0]]))(tmp_path)
    assert readers.features(path, names, SORTED).tolist() == [[0.0], [1.0], [2.0]], "the file is ice, ice-cream_cone, ice_cream"
    path = saved("low.npy", np.array([[2.0], [-1.0], [1.0]]))(tmp_path)
    refused(lambda path: readers.embedding(path, names, OLD), path, "row 2: a weight of -1 is below zero")


def test_categories_have_the_names_of_their_objects(tmp_path):
    make, read = SOUND["categories"]
    found = read(make(tmp_path))
    assert tuple(found.index) == NAMES == readers.object_ids(SOUND["ids"][0](tmp_path)) and set(found.dtypes) == {np.dtype(bool)}
    assert found.loc["owl"].tolist() == [True, True] and found["animal"].sum() == 5


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"a picture")
    return path


@pytest.mark.parametrize("inside", ["object_images_CC0", "object_images_CC0/object_images_CC0"])
def test_photographs_are_found_by_the_names_of_their_objects(inside, tmp_path):
    for name in ("owl.jpg", "hot-air_balloon.PNG", "ant.webp", ".owl.jpg", "password.txt", "Thumbs.db"):
        picture(tmp_path / inside / name)
    paths, rows = readers.things_photographs(tmp_path / "object_images_CC0", NAMES)
    assert [path.name for path in paths] == ["ant.webp", "hot-air_balloon.PNG", "owl.jpg"] and rows.tolist() == [0, 4, 5]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((), "holds no photograph: expected files such as ant.jpg"),
        (("ant/ant_01b.jpg",), "holds no photograph"),
        (("ant.jpg", "bat.jpg"), "bat.jpg: 'bat' is no id of unique_id.txt"),
        (("ant.jpg", "ant.png"), "ant.png: a second photograph of ant, beside ant.jpg"),
    ],
)
def test_photographs_that_cannot_be_matched_are_named(files, said, tmp_path):
    for name in files:
        picture(tmp_path / name)
    refused(lambda folder: readers.things_photographs(folder, NAMES), tmp_path, said)


def test_a_withheld_photograph_is_replaced_by_another_of_the_object(tmp_path):
    for name in ("ant_01b", "ant_02s", "owl_13n", "owl_03s", "owl_12s"):
        picture(tmp_path / name.split("_")[0] / f"{name}.jpg")
    paths, judged = readers.reference_photographs(tmp_path, ("ant", "owl"))
    assert [path.stem for path in paths] == ["ant_01b", "owl_03s"] and judged.tolist() == [True, False]
    picture(tmp_path / "owl" / "owl_01b.jpg")
    assert readers.reference_photographs(tmp_path, ("ant", "owl"))[1].all()
    said = "no photograph of cat, neither cat/cat_01b.jpg nor another"
    refused(lambda folder: readers.reference_photographs(folder, ("ant", "cat")), tmp_path, said)
    for name in ("ant", "owl"):
        (tmp_path / name / f"{name}_01b.jpg").unlink()
    said = "no photograph that people judged, such as ant/ant_01b.jpg"
    refused(lambda folder: readers.reference_photographs(folder, ("ant", "owl")), tmp_path, said)


def test_92_judgments_are_read_with_pictures_and_categories(tmp_path):
    make, read = SOUND["judged92"]
    found = read(make(tmp_path))
    np.testing.assert_array_equal(found.matrices, symmetric(1, 92, (2,)))
    assert found.images.shape == (92, 175, 175, 3) and found.categories["animate"].tolist() == [True, False] * 46


def test_two_people_of_one_name_are_not_one_person(tmp_path):
    trial = dict.fromkeys(("image1Path", "image2Path", "image3Path"), "n1_1.JPEG") | {
        "exp_trial_type": "training_trial", "selected_image": "", "rt": 1, "triplet_type": "between_class"
    }  # fmt: skip
    (tmp_path / "levels.pkl").write_bytes(pickle.dumps({7: [trial], "7": [trial]}))
    refused(readers_levels.levels_answers, tmp_path / "levels.pkl", "two people 7, as a number and as text: download it again")


# ---- the real files --------------------------------------------------------------------------------------------------

def test_real_things_answers(things, data):
    names = readers.object_ids(things / "unique_id.txt")
    training, validation = (readers_answers.triplets(things / f"{name}.txt", 1854) for name in ("trainset", "validationset"))
    assert (len(training), len(validation)) == (298_509, 37_160)
    vice = readers.embedding(data / "vice" / "final_embedding.npy", names, OLD)
    for rows, agreed in ((vice, 0.6378), (np.load(data / "vice" / "final_embedding.npy"), 0.6341)):
        i, j, k = (rows[column] for column in validation.triplets.T)
        similarities = np.stack([(a * b).sum(1) for a, b in ((i, j), (i, k), (j, k))], axis=1)
        assert (similarities.argmax(1) == 0).mean() == pytest.approx(agreed, abs=0.0001), "the odd one stands last"


def test_real_repeated_answers_give_the_published_noise_ceiling(things, data):
    names = readers.object_ids(things / "unique_id.txt")
    answers = readers_answers.answers(data / "vice" / "test_triplets.csv", names)
    assert len(answers) == 20_000 and len(np.unique(answers.person)) == 325
    pooled = readers_answers.repeated(data / "vice" / "test_triplets.csv", names)
    assert len(pooled) == 1000 and pooled.counts.sum() == 20_000
    assert majority_share(pooled.counts).mean() == pytest.approx(0.6722, abs=0.00005)
    assert entropy(pooled.shares).mean() == pytest.approx(0.732, abs=0.0005)


def test_real_embeddings_and_the_48_objects(things, data):
    names = readers.object_ids(things / "unique_id.txt")
    vice = readers.embedding(data / "vice" / "final_embedding.npy", names, OLD)
    spose = readers.embedding(things / "spose_embedding_49d_sorted.txt", names, UNIQUE)
    clip = readers.features(things / "clip-vit-base-p32-embeddings.npy", names, SORTED)
    assert (vice.shape, spose.shape, clip.shape) == ((1854, 42), (1854, 49), (1854, 512))
    assert vice.min() == 0 and -0.002 < spose.min() < 0 and (spose < 0).sum() == 68
    matrix, rows = readers.things48(things / "RDM48_triplet.mat", names)
    assert [names[row] for row in rows] == list(readers.FORTY_EIGHT)
    assert matrix.shape == (48, 48) and 0 < matrix[np.triu_indices(48, 1)].min() and matrix.max() < 1
    for embedding, known in ((vice, 0.89), (spose, 0.90)):
        kept = np.exp(embedding[rows] @ embedding[rows].T)
        share = np.mean([kept / (kept + kept[:, [k]] + kept[[k]]) for k in range(48)], axis=0)
        assert np.corrcoef((1 - share)[np.triu_indices(48, 1)], matrix[np.triu_indices(48, 1)])[0, 1] == pytest.approx(known, abs=0.01)


def test_real_objects_and_their_categories(things):
    names = readers.object_ids(things / "unique_id.txt")
    assert len(names) == 1854 and (names[0], names[-1]) == ("aardvark", "zucchini")
    wide = readers.categories(things / "category_mat_manual.tsv", names)
    assert wide.shape == (1854, 27)


@pytest.mark.parametrize("order", [OLD, SORTED])
def test_real_categories_in_another_order_are_refused(order, things, tmp_path):
    names = readers.object_ids(things / "unique_id.txt")
    header, *rows = (things / "category_mat_manual.tsv").read_text().splitlines()
    moved = [rows[row] for row in np.argsort(rows_in(names, order))]
    (tmp_path / "category27_manual.tsv").write_text("\n".join([header, *moved]) + "\n")
    said = "the lines are not in the order of unique_id.txt"
    refused(lambda path: readers.categories(path, names), tmp_path / "category27_manual.tsv", said)


def test_real_photographs(things):
    names = readers.object_ids(things / "unique_id.txt")
    paths, rows = readers.things_photographs(things / "object_images_CC0", names)
    assert len(paths) == len(list((things / "object_images_CC0").glob("*.jpg")))
    assert [path.stem for path in paths] == [names[row] for row in rows] and (np.diff(rows) > 0).all()


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
