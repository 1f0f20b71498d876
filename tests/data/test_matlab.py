"""MATLAB's files read the same whichever version wrote them; those of version 7.3 are made here as MATLAB lays them out in HDF5."""

import gzip
import pickle
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
from made_matlab import write_hdf5
from one_line import refused
from PIL import Image
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array

from humalign.data.arrays import matlab, vectors
from humalign.data.datafiles import parsed
from humalign.errors import HumalignError

CONTENT = {
    "matrix": np.arange(6.0).reshape(2, 3),
    "cube": np.arange(24.0).reshape(2, 3, 4),
    "row": np.arange(4, dtype=np.int16).reshape(1, 4),
    "one": np.float32([[2.5]]),
    "yes": np.array([[True, False]]),
    "text": "camera1 é",
    "nothing": np.zeros((0, 3)),
    "no_text": "",
    "words": np.array([["ice_cream", "hot-air balloon"], ["", "x"]], dtype=object),
    "nested": {
        "set1": {"pairs": np.arange(3.0)[None], "names": np.array([["a", "bc"]], dtype=object)},
        "which": "first",
    },
    "people": [[{"RDM": np.arange(4.0).reshape(2, 2), "name": "one"}, {"RDM": -np.eye(2), "name": "two"}]],
}


def same(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same(one[name], other[name])
    elif isinstance(one, np.ndarray) and one.dtype == object:
        assert one.shape == other.shape
        for a, b in zip(one.ravel(), other.ravel(), strict=True):
            same(a, b)
    elif isinstance(one, np.ndarray):
        assert one.shape == other.shape
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


def scipys(content):
    """Arrays of structs as scipy writes them."""
    content = dict(content)
    for name, value in content.items():
        if isinstance(value, list):
            fields = list(value[0][0])
            content[name] = np.empty((len(value), len(value[0])), dtype=[(field, "O") for field in fields])
            for place in np.ndindex(content[name].shape):
                content[name][place] = tuple(value[place[0]][place[1]][field] for field in fields)
    return content


@pytest.fixture
def both(tmp_path):
    savemat(tmp_path / "old.mat", scipys(CONTENT))
    write_hdf5(tmp_path / "new.mat", CONTENT)
    return tmp_path / "old.mat", tmp_path / "new.mat"


def test_both_layouts_hold_the_same(both):
    old, new = (matlab(path) for path in both)
    same(old, new)
    for name in ("matrix", "cube", "row", "one", "yes", "nothing"):
        scipys = loadmat(both[0])[name]
        assert new[name].dtype == scipys.dtype and new[name].shape == scipys.shape, name
        np.testing.assert_array_equal(new[name], scipys)
        np.testing.assert_array_equal(new[name], CONTENT[name])
    assert new["text"] == "camera1 é" and new["no_text"] == ""
    assert new["words"].tolist() == CONTENT["words"].tolist()
    (inner,) = new["nested"].ravel()
    assert inner["which"] == "first" and inner["set1"][0, 0]["names"].tolist() == [["a", "bc"]]
    np.testing.assert_array_equal(inner["set1"][0, 0]["pairs"], [[0, 1, 2]])
    assert new["people"].shape == (1, 2) and [person["name"] for person in new["people"][0]] == ["one", "two"]
    np.testing.assert_array_equal(new["people"][0, 0]["RDM"], [[0, 1], [2, 3]])


def test_version_4_is_read(tmp_path):
    savemat(tmp_path / "old.mat", {"matrix": CONTENT["matrix"]}, format="4")
    np.testing.assert_array_equal(matlab(tmp_path / "old.mat")["matrix"], CONTENT["matrix"])


def test_rows_of_text_stay_apart(tmp_path):
    savemat(tmp_path / "old.mat", {"words": np.array(["ant", "owl"])})
    with h5py.File(tmp_path / "new.mat", "w") as file:
        file["words"] = np.array([[ord(letter) for letter in word] for word in ("ant", "owl")], np.uint16).T
        file["words"].attrs["MATLAB_class"] = np.bytes_("char")
    for name in ("old.mat", "new.mat"):
        assert matlab(tmp_path / name)["words"].tolist() == ["ant", "owl"]


def test_a_file_cut_short_is_one_line(both):
    for path in both:
        whole = path.read_bytes()
        for kept in (1, 100, 511, 513, 600, len(whole) // 2, len(whole) - 600):
            path.write_bytes(whole[:kept])
            line = refused(r"cut short, damaged or of another layout|not read here", matlab, path)
            assert str(path) in line


DAMAGE = """
import sys
import numpy as np
from humalign.data.arrays import matlab
from humalign.errors import HumalignError
whole = open(sys.argv[1], "rb").read()
rng = np.random.default_rng(1)
for _ in range(100):
    damaged = bytearray(whole)
    for place in rng.integers(len(whole), size=3):
        damaged[place] = rng.integers(256)
    open(sys.argv[1], "wb").write(damaged)
    try:
        matlab(sys.argv[1])
    except HumalignError as error:
        assert "\\n" not in str(error)
print("done")
"""


@pytest.mark.parametrize("layout", [0, 1], ids=["version-5", "version-7.3"])
def test_damage_does_not_end_the_process(both, layout):
    """Without the check of its elements scipy (1.17) ends on this damage with a segmentation fault: hence a process of its own."""
    done = subprocess.run([sys.executable, "-c", DAMAGE, both[layout]], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


@pytest.mark.parametrize("change", [{"place": 8, "value": 0x806}, {"place": 24, "value": 2**31 - 1}], ids=["complex", "too-many"])
def test_a_matrix_that_says_more_than_it_holds_is_one_line(tmp_path, change):
    path = tmp_path / "one.mat"
    savemat(path, {"m": np.eye(2)})
    content = bytearray(path.read_bytes())
    start = 128 + 8 + change["place"]  # header, tag of the matrix, then flags and dimensions
    content[start : start + 4] = change["value"].to_bytes(4, "little")
    path.write_bytes(content)
    refused("cut short, damaged or of another layout", matlab, path)


def of_kind(kind, **attributes):
    def write(path):
        with h5py.File(path, "a") as file:
            file["held"] = np.zeros((3, 6), np.uint32)
            for name, value in (
                {"MATLAB_class": np.bytes_(kind)} if kind else {}
            ).items() | attributes.items():
                file["held"].attrs[name] = value

    return write


def sparse(path):
    with h5py.File(path, "a") as file:
        file.create_group("held").attrs["MATLAB_class"] = np.bytes_("double")
        file["held"].attrs["MATLAB_sparse"] = 4
        file["held/data"] = np.ones(2)


@pytest.mark.parametrize(
    "write",
    [
        of_kind("string", MATLAB_object_decode=3),
        of_kind("table", MATLAB_object_decode=3),
        of_kind("double", MATLAB_object_decode=3),
        of_kind(""),
        sparse,
        lambda path: savemat(path, {"held": csc_array(np.eye(3)), "beside": np.eye(2)}),
        lambda path: savemat(path, {"held": np.eye(3) * 1j, "beside": np.eye(2)}),
    ],
)
def test_a_variable_of_another_class_is_refused_when_it_is_asked_for(tmp_path, write):
    path = tmp_path / "held.mat"
    write_hdf5(path, {"beside": np.eye(2)})
    write(path)
    found = matlab(path)
    np.testing.assert_array_equal(found["beside"], np.eye(2))
    assert set(found) == {"beside"}
    for name, said in (
        ("held", "'held' holds what is not read here"),
        ("other", "no variable 'other' among beside, held"),
    ):
        with pytest.raises(HumalignError, match=f"of another layout: {said}") as caught:
            found[name]
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_variable_of_version_7_3_that_cannot_be_read_says_nothing_of_the_others(tmp_path):
    """An empty array of structs, text of three axes, a cell that refers to nothing: the file is not damaged."""
    path = tmp_path / "held.mat"
    write_hdf5(path, {"beside": np.eye(2)})
    with h5py.File(path, "a") as file:
        file.create_group("structs").attrs["MATLAB_class"] = np.bytes_("struct")
        file["structs"].create_dataset("field", data=np.empty((0, 0), h5py.ref_dtype), dtype=h5py.ref_dtype)
        file["structs"].create_dataset("other", data=np.empty((1, 0), h5py.ref_dtype), dtype=h5py.ref_dtype)
        file["text"] = np.full((2, 2, 2), 65, np.uint16)
        file["text"].attrs["MATLAB_class"] = np.bytes_("char")
        file.create_dataset("cells", (1, 1), h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
    found = matlab(path)
    np.testing.assert_array_equal(found["beside"], np.eye(2))
    for name in ("structs", "text", "cells"):
        with pytest.raises(HumalignError, match=f"of another layout: '{name}' holds what is not read here") as caught:
            found[name]
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("save", [savemat, write_hdf5], ids=["version-5", "version-7.3"])
@pytest.mark.parametrize("name", ["features.mat", "features.npy"])
def test_a_sound_file_of_matlab_in_place_of_an_array_is_not_called_damaged(tmp_path, save, name):
    save(tmp_path / "a.mat", {"features": np.eye(2)})
    (tmp_path / "a.mat").rename(tmp_path / name)
    for read in (vectors, lambda path, _: parsed(path, np.load)):
        with pytest.raises(HumalignError, match=r"is a file of MATLAB \(\.mat\), which is not read here: convert it") as caught:
            read(tmp_path / name, 2)
        assert "damaged" not in str(caught.value) and "\n" not in str(caught.value)


OTHER = {
    "a picture": lambda path: Image.new("RGB", (2, 2)).save(path, "PNG"),
    "an archive": lambda path: zipfile.ZipFile(path, "w").writestr("a", "b"),
    "a file of HDF5": lambda path: h5py.File(path, "w").create_dataset("a", data=1),
    "a pickle": lambda path: path.write_bytes(pickle.dumps([1])),
    "a PDF": lambda path: path.write_bytes(b"%PDF-1.4"),
    "a gzip archive": lambda path: path.write_bytes(gzip.compress(b"a")),
}


@pytest.mark.parametrize("kind", OTHER)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, kind):
    path = tmp_path / "features.npy"
    OTHER[kind](path)
    for read in (lambda: vectors(path, None), lambda: parsed(path, np.load, ".mat")):
        with pytest.raises(HumalignError, match=f"is {kind}.*, which is not read here|of another layout") as caught:
            read()
        assert f"is {kind}" in str(caught.value) or kind == "a file of HDF5", "which a .mat may be"
        if kind == "an archive":
            break  # numpy opens one


def test_an_array_without_a_name_where_named_ones_should_stand_says_so(tmp_path):
    np.save(tmp_path / "mine.npy", np.eye(3, dtype=np.float32))

    def named(path):
        with np.load(path) as file:
            return file.files

    with pytest.raises(HumalignError, match=r"mine\.npy is a sound array of float32 and shape \(3, 3\), but named arrays should") as caught:
        parsed(tmp_path / "mine.npy", named)
    assert "\n" not in str(caught.value)
    (tmp_path / "mine.npy").write_bytes((tmp_path / "mine.npy").read_bytes()[:-4])
    refused(r"mine\.npy is cut short, damaged or of another layout", parsed, tmp_path / "mine.npy", named)
