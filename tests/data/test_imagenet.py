"""ImageNet's pictures are the same, under the same indices, from class folders, from loose ones, and from its archives."""

import dataclasses
import hashlib
import io
import os
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
from made_matlab import write_hdf5
from one_line import refused
from PIL import Image
from scipy.io import savemat

from humalign.data import imagenet, registry
from humalign.data.registry import imagenet as user_copy
from humalign.errors import HumalignError

# The numbers of the classes are not in the order of their WordNet ids, as in the real devkit.
WNIDS = {1: "n00000003", 2: "n00000001", 3: "n00000004", 4: "n00000002"}
TRUTH = [3, 1, 1, 4, 2, 2, 3]
NUMBERS = range(1, len(TRUTH) + 1)
# By hand: pictures 5 and 6 are of class 2, n00000001; 4 of n00000002; 2 and 3 of n00000003; 1 and 7 of n00000004.
WANTED = [
    f"n0000000{of_class}/ILSVRC2012_val_0000000{number}.JPEG"
    for of_class, number in ((1, 5), (1, 6), (2, 4), (3, 2), (3, 3), (4, 1), (4, 7))
]


def name(number):
    return f"ILSVRC2012_val_{number:08}.JPEG"


def picture(number):
    """A picture whose grey tells its number."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (20 * number,) * 3).save(file, "JPEG")
    return file.getvalue()


def packed(files, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def synsets(save=savemat, wnids=WNIDS):
    """The devkit's meta.mat: the classes, and above them a synset that is none."""
    rows = [(number, wnid, "words", 0) for number, wnid in wnids.items()] + [(5, "n00000009", "animal", 4)]
    fields = ("ILSVRC2012_ID", "WNID", "words", "num_children")
    if save is savemat:
        found = np.array(rows, dtype=[(field, "O") for field in fields])[:, None]
    else:
        cells = [(np.array([[float(a)]]), *texts, np.array([[float(b)]])) for a, *texts, b in rows]
        found = [[dict(zip(fields, row, strict=True))] for row in cells]
    return {"synsets": found}


def devkit(root, truth=TRUTH, content=None, save=savemat):
    save(root / "meta.mat", synsets(save) if content is None else content)
    files = {
        "readme.txt": b"about",
        "data/meta.mat": (root / "meta.mat").read_bytes(),
        "data/ILSVRC2012_validation_ground_truth.txt": "".join(f"{number}\n" for number in truth).encode(),
    }
    (root / "meta.mat").unlink()
    files = {f"{user_copy.DEVKIT}/{path}": content for path, content in files.items()}
    (root / f"{user_copy.DEVKIT}.tar.gz").write_bytes(packed(files, "w:gz"))


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The validation pictures as released."""
    monkeypatch.setenv(imagenet.FOLDER, str(tmp_path))
    # A tar file has its members in any order; the real one has them by their numbers.
    members = {name(number): picture(number) for number in reversed(NUMBERS)}
    (tmp_path / imagenet.FLAT_TAR).write_bytes(packed(members))
    devkit(tmp_path)
    return tmp_path


def in_class_folders(root):
    for file in WANTED:
        (root / "val" / file).parent.mkdir(parents=True, exist_ok=True)
        (root / "val" / file).write_bytes(picture(int(file[-13:-5])))
    (root / "val" / "n00000001" / "._ILSVRC2012_val_00000005.JPEG").write_bytes(b"what a Macintosh leaves")
    (root / "val" / ".DS_Store").write_bytes(b"")


def unpacked(root):
    (root / "val").mkdir()
    with tarfile.open(root / imagenet.FLAT_TAR) as archive:
        archive.extractall(root / "val", filter="data")


def devkit_unpacked(root):
    with tarfile.open(root / f"{user_copy.DEVKIT}.tar.gz") as archive:
        archive.extractall(root, filter="data")
    (root / f"{user_copy.DEVKIT}.tar.gz").unlink()


def without(root, *names):
    for each in names:
        (root / each).unlink()


FORMS = {
    "tar": (lambda root: None, imagenet.InTar),
    "tar-beside-an-empty-folder": (lambda root: (root / "val").mkdir(), imagenet.InTar),
    "tar-and-devkit-unpacked": (devkit_unpacked, imagenet.InTar),
    "tar-and-devkit-of-version-7.3": (lambda root: devkit(root, save=write_hdf5), imagenet.InTar),
    "class-folders": (
        lambda root: [in_class_folders(root), without(root, imagenet.FLAT_TAR, f"{user_copy.DEVKIT}.tar.gz")],
        imagenet.ClassFolders,
    ),
    "loose": (lambda root: [unpacked(root), without(root, imagenet.FLAT_TAR)], imagenet.ClassFolders),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_index_means_the_same_validation_picture_in_every_form(root, form):
    arrange, kind = FORMS[form]
    arrange(root)
    found = imagenet.validation(len(TRUTH))
    assert type(found) is kind and len(found) == len(TRUTH)
    assert found.labels["file"].tolist() == WANTED
    assert found.labels["class"].tolist() == [file[:9] for file in WANTED]
    for index, file in enumerate(WANTED):
        assert abs(np.array(found[index])[0, 0, 0] - 20 * int(file[-13:-5])) <= 2, file


# ---- what is refused -------------------------------------------------------------------------------------------------


def pack(root, files):
    (root / imagenet.FLAT_TAR).write_bytes(packed(files))


PICTURES = {name(number): picture(number) for number in NUMBERS}
GONE = [imagenet.FLAT_TAR, f"{user_copy.DEVKIT}.tar.gz"]
FAULTS = [
    (lambda root: without(root, GONE[1]),
     r"no ILSVRC2012_devkit_t12\.tar\.gz in .*: the validation pictures lie there without class folders"),
    (lambda root: [unpacked(root), without(root, *GONE)],
     r"no ILSVRC2012_devkit_t12\.tar\.gz in .*without class folders, and it tells their classes; put it there"),
    (lambda root: without(root, GONE[0]), r"no validation pictures of ImageNet in .*folder val, .*or ILSVRC2012_img_val\.tar"),
    (lambda root: devkit(root, TRUTH[:-1]), r"devkit_t12\.tar\.gz: a ground truth of 6 pictures instead of 7"),
    (lambda root: devkit(root, [*TRUTH, 1]), r"devkit_t12\.tar\.gz: a ground truth of 8 pictures instead of 7"),
    (lambda root: devkit(root, [*TRUTH[:-1], 5]), "line 7 of its ground truth is '5', no class of meta.mat"),
    (lambda root: devkit(root, [*TRUTH[:-1], "x"]), "line 7 of its ground truth is 'x', no class of meta.mat"),
    (lambda root: devkit(root, content={"other": 1}), r"its meta\.mat gives no WordNet id \(WNID\) for each class"),
    (lambda root: devkit(root, content=synsets(wnids={1: "cat"} | {n: WNIDS[n] for n in (2, 3, 4)})), "gives no WordNet id"),
    (lambda root: devkit(root, content={"synsets": np.array([(1, 0)], dtype=[("ILSVRC2012_ID", "O"), ("num_children", "O")])}),
     "gives no WordNet id"),
    (lambda root: os.truncate(root / GONE[1], 200), r"cannot read .*devkit_t12\.tar\.gz .*fetch it again"),
    (lambda root: (root / GONE[1]).write_bytes(packed({"other/readme.txt": b""}, "w:gz")),
     r"no ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth\.txt in .*fetch it again"),
    (lambda root: [devkit_unpacked(root), without(root, f"{user_copy.DEVKIT}/data/meta.mat")], r"cannot read .*meta\.mat .*unpack"),
    (lambda root: os.truncate(root / GONE[0], 2500), r"cannot read .*img_val\.tar .*fetch it again|cut short"),
    (lambda root: (root / GONE[0]).write_bytes(b"<html>" * 2000), r"cannot read .*it should be ILSVRC2012_img_val\.tar as released"),
    (lambda root: pack(root, dict(list(PICTURES.items())[:5])), "5 validation pictures of ImageNet in .* instead of 7: 2 are missing"),
    (lambda root: pack(root, PICTURES | {name(8): picture(8)}), r"'ILSVRC2012_val_00000008\.JPEG' in .* is none of"),
    (lambda root: pack(root, PICTURES | {"cat.jpg": picture(8)}), r"'cat\.jpg' in .* is none of ILSVRC2012_val_00000001\.JPEG to 00000007"),
    (lambda root: pack(root, {"readme.txt": b""}), "no pictures in the class folders of"),
    (lambda root: [in_class_folders(root), (root / "val" / "n00000002").rename(root / "val" / "tench")],
     "the class 'tench' is no WordNet id such as n01440764"),
    (lambda root: [in_class_folders(root), without(root, "val/n00000002/ILSVRC2012_val_00000004.JPEG")],
     "6 validation pictures of ImageNet in .* instead of 7: 1 are missing"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), FAULTS, ids=map(str, range(len(FAULTS))))
def test_validation_pictures_that_cannot_be_used_are_one_line(root, change, said):
    change(root)
    with pytest.raises(HumalignError, match=said) as caught:
        imagenet.validation(len(TRUTH))
    assert "\n" not in str(caught.value) and str(root) in str(caught.value)


def test_an_empty_folder_of_training_pictures_is_not_taken_for_them(root):
    (root / "train").mkdir()
    refused(r"no pictures in the class folders of .*train", imagenet.training, 2)
    inner = packed({"n00000001_1.JPEG": picture(1), "n00000001_2.JPEG": picture(2)})
    (root / imagenet.TAR).write_bytes(packed({"n00000001.tar": inner}))
    assert imagenet.training(2).labels["file"].tolist() == [
        "n00000001/n00000001_1.JPEG",
        "n00000001/n00000001_2.JPEG",
    ]


# ---- the check of a user's copy --------------------------------------------------------------------------------------


@pytest.fixture
def entry(root, monkeypatch):
    """The registry's entry of the validation pictures, as if there were no others than those here."""
    found = registry.source(user_copy.VALIDATION)
    monkeypatch.setattr(user_copy, "CLASSES", 4)
    monkeypatch.setitem(user_copy.PICTURES, user_copy.VALIDATION, len(TRUTH))
    made = {each: hashlib.md5((root / each).read_bytes()).hexdigest() for each in GONE}
    monkeypatch.setattr(user_copy, "MD5", made)
    return dataclasses.replace(found, size=(root / imagenet.FLAT_TAR).stat().st_size)


@pytest.mark.parametrize("form", ["tar", "class-folders", "loose"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_whole_copy_passes_the_check(root, entry, form, inside):
    FORMS[form][0](root)
    assert user_copy.check(entry, inside) == root / ("val" if form != "tar" else imagenet.FLAT_TAR)


@pytest.mark.parametrize(
    ("change", "inside", "said"),
    [
        (lambda root: os.truncate(root / GONE[0], 5000), False, "has 5,000 bytes instead of .*: it is cut short"),
        (lambda root: without(root, GONE[1]), False, r"no ILSVRC2012_devkit_t12\.tar\.gz in"),
        (lambda root: devkit(root, TRUTH[:-1]), False, "a ground truth of 6 pictures instead of 7"),
        (lambda root: flip(root / GONE[0]), True,
         r"img_val\.tar is not the released file \(MD5 .*: fetch it again"),
        (lambda root: devkit(root, [1, *TRUTH[1:]]), True, r"devkit_t12\.tar\.gz is not the released file \(MD5"),
        (lambda root: [in_class_folders(root), without(root, "val/n00000002/ILSVRC2012_val_00000004.JPEG")], False,
         "holds 6 pictures in 3 classes instead of 7 in 4: 1 are missing; unpack the archive again"),
        (lambda root: [unpacked(root), without(root, "val/ILSVRC2012_val_00000004.JPEG")], False,
         "holds 6 pictures in 3 classes instead of 7 in 4: 1 are missing"),
        (lambda root: [(root / "val" / "n00000001").mkdir(parents=True)], False, "holds 0 pictures in 0 classes instead of 7 in 4"),
    ],
)  # fmt: skip
def test_a_copy_that_is_not_whole_is_one_line(root, entry, change, inside, said):
    change(root)
    line = refused(said, user_copy.check, entry, inside)
    assert str(root) in line


def flip(path):
    """Alter a byte of a picture: length, names and places stay."""
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(content)


def test_a_rehearsal_has_its_own_number_of_pictures(root):
    profile = SimpleNamespace(data=SimpleNamespace(imagenet_validation=len(TRUTH)))
    found = registry.source(user_copy.VALIDATION)
    assert user_copy.wanted(found, profile) == len(TRUTH)
    assert user_copy.check(found, pictures=len(TRUTH)) == root / imagenet.FLAT_TAR
    refused("bytes instead of 6,744,924,160", user_copy.check, found)
