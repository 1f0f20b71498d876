"""Readers of judged photographs, on files made in the layouts of their homes; the real files were not at hand."""

import pickle
import shutil
import zipfile

import numpy as np
import pytest
from made_matlab import write_hdf5
from one_line import refused
from PIL import Image
from scipy.io import savemat
from scipy.spatial.distance import squareform

from humalign.data import readers_similarity
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


def rated(root, content, name="turkSim.mat", judged="sim_judgements", save=savemat):
    photographs(root / "animals" / "images")
    (root / "animals" / judged).mkdir(exist_ok=True)
    save(root / "animals" / judged / name, content if isinstance(content, dict) else {"simMat": content})
    return readers_similarity.ratings(root, "animals")


def king(root, matrices, key="judgments", judged="sim_judgements", save=savemat):
    photographs(root / "images")
    (root / judged).mkdir(exist_ok=True)
    save(root / judged / "judgments_general.mat", {key: matrices})
    return readers_similarity.arrangements_king(root)


def cichy(root, matrices, order="3 1 2 6 5 4", judged="sim_judgements", save=savemat):
    photographs(root / "images" / "set1")
    labels = "".join(f"thing,{number}\n" for number in order.split())
    (root / "images" / "stimulus_category_labels.txt").write_text("label,alphorder\n" + labels)
    (root / judged).mkdir(exist_ok=True)
    pairs = np.stack([squareform(one, checks=False) for one in matrices])
    save(root / judged / "BEHAVIOR.mat", {"BEHAVIOR": {"set1": {"pairwisedistances": pairs}}})
    return readers_similarity.arrangements_cichy(root)


def dissimilar(similar):
    wanted = 10 - similar
    np.fill_diagonal(wanted, 0)
    return wanted[None]


both_layouts = pytest.mark.parametrize("save", [savemat, write_hdf5], ids=["version-5", "version-7.3"])
both_spellings = pytest.mark.parametrize("judged", readers_similarity.JUDGED)


# ---- what is read ----------------------------------------------------------------------------------------------------


@both_layouts
@both_spellings
def test_ratings_become_dissimilarities(tmp_path, save, judged):
    similar = symmetric() + 10 * np.eye(N)
    found = rated(tmp_path, similar, judged=judged, save=save)
    np.testing.assert_allclose(found.matrices, dissimilar(similar))
    assert [file.name for file in found.files] == NAMES and found.archive is None


@both_layouts
@both_spellings
def test_arrangements_are_read_person_by_person(tmp_path, save, judged):
    matrices = symmetric(1, (3,))
    np.testing.assert_allclose(king(tmp_path / "king", matrices, judged=judged, save=save).matrices, matrices)
    found = cichy(tmp_path / "cichy", matrices, judged=judged, save=save)
    np.testing.assert_allclose(found.matrices, matrices)
    wanted = ["0003.jpg", "0001.jpg", "0002.jpg", "0006.jpg", "0005.jpg", "0004.jpg"]
    assert [file.name for file in found.files] == wanted


def test_of_several_variables_the_mean_ratings_are_meant(tmp_path):
    similar = symmetric()
    others = {"simAll": symmetric(1, (4,)), "sim_std": symmetric(2), "turkers": np.arange(3.0)}
    found = rated(tmp_path, {"simMatrix": similar, **others})
    np.testing.assert_allclose(found.matrices, dissimilar(similar))


def test_what_stands_on_the_diagonal_does_not_matter(tmp_path):
    similar = symmetric()
    np.fill_diagonal(similar, np.nan)
    assert not rated(tmp_path, similar).matrices[0].diagonal().any()


def public(root):
    """The one public category as its repository gives it, with what a Macintosh leaves in an archive."""
    similar = symmetric(3)
    root.mkdir()
    savemat(root / "turkResults_CogSci2016.mat", {"simMatrix": similar, "simRaw": similar, "simStd": similar})
    photographs(root / "animals", ["b_1.png", "a_2.png", "a_10.png", "c.png", "d.png", "e.png"])
    with zipfile.ZipFile(root / "animals.zip", "w") as archive:
        for path in (root / "animals").iterdir():
            archive.write(path, f"animals/{path.name}")
            archive.writestr(f"__MACOSX/animals/._{path.name}", b"nothing")
    return similar


SORTED = ["a_10.png", "a_2.png", "b_1.png", "c.png", "d.png", "e.png"]
STEMS = ["e", "d", "c", "b_1", "a_2", "a_10"]


def test_the_public_category_is_read_as_it_comes(tmp_path):
    root = tmp_path / "peterson"
    similar = public(root)
    for place in ("animals", "animals/images", None):  # as it comes, in a folder inside, in the archive alone
        if place == "animals/images":
            shutil.move(root / "animals", root / "images")
            shutil.move(root / "images", root / place)
        elif place is None:
            shutil.rmtree(root / "animals")
        found = readers_similarity.ratings(root, "animals")
        np.testing.assert_allclose(found.matrices, dissimilar(similar))
        assert [file.name for file in found.files] == SORTED, "as text, where nothing names the rows"
        assert readers_similarity.rated_categories(root) == ("animals",)
    assert found.archive == root / "animals.zip" and str(found.files[0]) == "animals/a_10.png"


@pytest.mark.parametrize(
    "names",
    [
        np.array([[f"{stem}.png" for stem in STEMS]], dtype=object),
        np.array([[f"photos\\{stem}"] for stem in STEMS], dtype=object),
        np.array([f"{stem:5}" for stem in STEMS]),
    ],
    ids=["file-names", "paths-of-windows", "rows-of-text"],
)
def test_rows_go_by_name_where_the_file_names_them(tmp_path, names):
    similar = public(tmp_path / "peterson")
    savemat(tmp_path / "peterson" / "turkResults_CogSci2016.mat", {"simMatrix": similar, "stimuli": names})
    found = readers_similarity.ratings(tmp_path / "peterson", "animals")
    assert [file.stem for file in found.files] == STEMS
    # Labels that are no photographs' names say nothing of their order.
    labels = np.array([["bear", "cat", "dog", "e", "d", "c"]], dtype=object)
    savemat(tmp_path / "peterson" / "turkResults_CogSci2016.mat", {"simMatrix": similar, "labels": labels})
    found = readers_similarity.ratings(tmp_path / "peterson", "animals")
    assert [file.name for file in found.files] == SORTED


# ---- the pickle of pairs ---------------------------------------------------------------------------------------------

# Of four fruits, numbered so that text and number sort differently: sorted as text, 10 stands between 1 and 2.
FRUITS = ["fruit1.jpg", "fruit2.jpg", "fruit3.jpg", "fruit10.jpg"]
PAIRS = {
    "fruit1.jpg,fruit2.jpg": [1, 3],
    "fruit1.jpg,fruit3.jpg": [4.0],
    "fruit1.jpg, fruit10.jpg": [5, np.float64(6)],
    "fruit3.jpg,fruit2.jpg": [7],
    "fruit2.jpg,fruit10.jpg": [0, 2],
    "fruit10.jpg,fruit2.jpg": [4],
    "fruit3.jpg,fruit10.jpg": [9],
}


def fruits(root, pairs, names=FRUITS):
    photographs(root / "fruits" / "images", names)
    path = root / "fruits" / "sim_judgments" / "fruits_mturkRESULTS_all.pickle"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(pairs, protocol=2))
    return readers_similarity.ratings(root, "fruits")


def test_a_pickle_of_pairs_goes_by_the_numbers_in_the_names(tmp_path):
    found = fruits(tmp_path, PAIRS)
    assert [file.name for file in found.files] == ["fruit1.jpg", "fruit10.jpg", "fruit2.jpg", "fruit3.jpg"]
    # 10 minus the means, by hand: (1,10) 5.5, (1,2) 2, (1,3) 4, (10,2) (0+2+4)/3, (10,3) 9, (2,3) 7.
    wanted = [[0, 4.5, 8, 6], [4.5, 0, 8, 1], [8, 8, 0, 3], [6, 1, 3, 0]]
    np.testing.assert_allclose(found.matrices, [wanted])


FIRST = "fruit1.jpg,fruit2.jpg"


class Evil:
    def __reduce__(self):
        return print, ("called",)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (PAIRS | {FIRST: Evil()}, r"asks to call (__builtin__|builtins)\.print.*convert it into a \.mat"),
        (PAIRS | {FIRST: np.ones(2)}, r"asks to call numpy.*convert it into a \.mat that holds simMatrix"),
        ([1, 2], "holds no dictionary of pairs"),
        (PAIRS | {"fruit1.jpg": [1]}, "pair 'fruit1.jpg': not the names of two photographs"),
        (PAIRS | {"fruit1.jpg,fruit4.jpg": [1]}, "no photograph of number 4 in"),
        (PAIRS | {"fruit1.jpg,fruit.jpg": [1]}, "no number in the name 'fruit'"),
        *((PAIRS | {FIRST: ratings}, "no list of ratings from 0 to 10") for ratings in ([], [11], ["4"])),
        (dict(list(PAIRS.items())[1:]), r"no rating of fruit1\.jpg and fruit2\.jpg"),
    ],
)
def test_a_pickle_that_cannot_be_is_one_line(tmp_path, pairs, said, capsys):
    refused(said, fruits, tmp_path, pairs)
    assert "called" not in capsys.readouterr().out


def test_two_photographs_of_one_number_are_one_line(tmp_path):
    refused(r"fruit1\.png has the number of fruit1\.jpg", fruits, tmp_path, PAIRS, [*FRUITS, "fruit1.png"])


# ---- what is refused -------------------------------------------------------------------------------------------------


def changed(root, change):
    public(root / "peterson")
    change(root / "peterson")
    return readers_similarity.ratings(root / "peterson", "animals")


def two_files(root):
    photographs(root / "animals" / "images")
    (root / "animals" / "sim_judgments").mkdir()
    for judged in ("sim_judgments/a_sim.mat", "sim_judgments/b_sim.mat", "sim_judgments/sizes.mat"):
        savemat(root / "animals" / judged, {"simMatrix": symmetric()})
    return readers_similarity.ratings(root, "animals")


def zip_of_two_folders(root):
    shutil.rmtree(root / "animals")
    with zipfile.ZipFile(root / "animals.zip", "a") as archive:
        archive.writestr("other/f.png", b"")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda root: rated(root, symmetric() * 9 + 10 * np.eye(N)), "'simMat' is not a square matrix of ratings from 0 to 10"),
        (lambda root: rated(root, np.triu(symmetric())), "not symmetric"),
        (lambda root: rated(root, symmetric()[:5, :5]), "5 photographs judged, but 6 found"),
        (lambda root: rated(root, symmetric()[:5]), "'simMat' is not a square matrix"),
        (lambda root: rated(root, symmetric(0, (6,))), "'simMat' is not a square matrix"),
        (lambda root: rated(root, {"simMat": "words"}), "'simMat' is not a square matrix of ratings"),
        (lambda root: rated(root, {"other": symmetric()}), r"0 variables \*sim\* instead of one.*it holds other"),
        (lambda root: rated(root, {"sim1": symmetric(), "sim2": symmetric()}),
         r"2 variables \*sim\* instead of one, or of simMatrix: it holds sim1, sim2"),
        (lambda root: two_files(root), r"2 files of judgments of animals instead of one: leave one of .*a_sim\.mat, .*b_sim\.mat$"),
        (lambda root: readers_similarity.ratings(root, "animals"), r"no judgments of animals: put turkResults_CogSci2016\.mat into"),
        (lambda root: readers_similarity.ratings(root, "animal"), "unknown category 'animal': did you mean 'animals'"),
        (lambda root: changed(root, lambda at: [shutil.rmtree(at / "animals"), (at / "animals.zip").unlink()]),
         r"no photographs of animals: put them into .*images, or animals\.zip into"),
        (lambda root: changed(root, lambda at: (at / "animals" / "e.png").unlink()), "6 photographs judged, but 5 found"),
        (lambda root: changed(root, zip_of_two_folders), r"animals\.zip holds photographs in several folders"),
        (lambda root: changed(root, lambda at: [shutil.rmtree(at / "animals"), (at / "animals.zip").write_bytes(b"PK cut")]),
         r"cannot read the archive .*animals\.zip"),
        (lambda root: king(root, symmetric(1, (3,)) + np.eye(N)), "its diagonal is not zero"),
        (lambda root: king(root, symmetric()), "instead of square ones"),
        (lambda root: king(root, symmetric(1, (3,)), key="rdms"), "of another layout: no variable 'judgments' among rdms"),
        (lambda root: readers_similarity.arrangements_king(root), "no judgments_general.mat in"),
        (lambda root: cichy(root, symmetric(1, (3,)), "3 1 2 6 5 9"), "no photograph .*0009.jpg"),
        (lambda root: cichy(root, symmetric(1, (3,)), "3 1 2 6 5 x"), "line 7: 'x' where a whole number"),
        (lambda root: cichy(root, symmetric(1, (3,)), "3 1 2"), "6 photographs judged, but 3 found"),
        (lambda root: cichy(root, symmetric(1, (3,)), "3 1 2 6 5 3"), "line 7: 3 again, as in line 2"),
    ],
)  # fmt: skip
def test_judgments_that_cannot_be_are_one_line(tmp_path, make, said):
    refused(said, make, tmp_path)


def test_people_who_were_asked_both_ways_are_averaged_when_it_is_said(tmp_path):
    one_way = np.random.default_rng(4).random((N, N)) * 9
    np.fill_diagonal(one_way, 10)
    said = r"matrix 1: not symmetric, .* the other way round: read it with both_ways=True where people were asked"
    with pytest.raises(HumalignError, match=said):
        rated(tmp_path / "rated", one_way)
    found = readers_similarity.ratings(tmp_path / "rated", "animals", both_ways=True).matrices
    np.testing.assert_allclose(found, dissimilar((one_way + one_way.T) / 2))
    matrices = np.random.default_rng(5).random((3, N, N)) * (1 - np.eye(N))
    with pytest.raises(HumalignError, match=said):
        king(tmp_path / "king", matrices)
    found = readers_similarity.arrangements_king(tmp_path / "king", both_ways=True).matrices
    np.testing.assert_allclose(found, (matrices + matrices.swapaxes(1, 2)) / 2)
    np.testing.assert_allclose(king(tmp_path / "same", symmetric(1, (3,))).matrices, symmetric(1, (3,)))


def test_names_of_rows_are_found_however_their_accents_are_written(tmp_path):
    import unicodedata

    names = [unicodedata.normalize("NFD", f"é{i}.png") for i in range(N)]
    photographs(tmp_path / "animals" / "images", names)
    (tmp_path / "animals" / "sim_judgements").mkdir()
    rows = np.array([f"é{i}" for i in reversed(range(N))], dtype=object)[:, None]
    similar = symmetric(6)
    savemat(tmp_path / "animals" / "sim_judgements" / "a.mat", {"simMatrix": similar, "names": rows})
    found = readers_similarity.ratings(tmp_path, "animals")
    assert [unicodedata.normalize("NFC", file.stem) for file in found.files] == [f"é{i}" for i in reversed(range(N))]


def test_a_category_that_is_not_there_is_left_out_and_a_broken_one_is_not(tmp_path):
    assert readers_similarity.rated_categories(tmp_path) == ()
    rated(tmp_path, symmetric())
    (tmp_path / "fruits").mkdir()
    assert readers_similarity.rated_categories(tmp_path) == ("animals", "fruits")
    refused(
        r"no judgments of fruits: put their \.mat into .*sim_judgements, or take .*fruits away",
        readers_similarity.ratings, tmp_path, "fruits",
    )
