"""The registered labelled sets in every layout that their homes give, and the join of CIFAR-10's pictures with people's labels."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from one_line import refused
from PIL import Image

from humalign.data import named, registered_sets
from humalign.data.images import ImageSet, evenly

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
IMAGES = 30
# Picture i of the original order is of class 7 i mod 10, so that neither order is the other; the classes with their pictures:
CLASS_OF = [CLASSES[7 * index % 10] for index in range(IMAGES)]
IN_ORDER = {
    "airplane": (0, 10, 20), "automobile": (3, 13, 23), "bird": (6, 16, 26), "cat": (9, 19, 29), "deer": (2, 12, 22),
    "dog": (5, 15, 25), "frog": (8, 18, 28), "horse": (1, 11, 21), "ship": (4, 14, 24), "truck": (7, 17, 27),
}  # fmt: skip
PIXELS = np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)


def put(path, content=None):
    """Write a picture, or other content, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (9, 9, 9)).save(path) if content is None else path.write_bytes(content)


# ---- CIFAR-10 --------------------------------------------------------------------------------------------------------


def class_folders(root, suffix="png"):
    for index, name in enumerate(CLASS_OF):
        (root / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS[index]).save(root / name / f"{index:05d}.{suffix}")
    return root


def archive(path, folder, inside=""):
    with zipfile.ZipFile(path, "w") as file:
        for each in sorted(folder.rglob("*.png")):
            file.write(each, f"{inside}{each.relative_to(folder)}")
    return path


def batches(folder):
    """Write the files of ``cifar-10-python.tar.gz``: a picture is a row of 1,024 red, 1,024 green and 1,024 blue values."""
    folder.mkdir(parents=True)
    rows = {"data": PIXELS.transpose(0, 3, 1, 2).reshape(IMAGES, 3072), "labels": [CLASSES.index(name) for name in CLASS_OF]}
    for name in ("test_batch", *(f"data_batch_{number}" for number in range(1, 6))):
        (folder / name).write_bytes(pickle.dumps(rows))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": CLASSES}))
    return folder


@pytest.fixture
def unsigned(monkeypatch):
    """torchvision without its checksums, which are those of the true files."""
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: os.path.isfile(path))


@pytest.mark.parametrize("form", ["folder", "folder in a folder", "archive", "archive with a folder", "batches"])
def test_every_layout_of_cifar_10_gives_the_same_pictures_in_the_same_order(tmp_path, unsigned, form):
    folder = class_folders(tmp_path / "whole" / "test")
    put(folder / "cat" / "._00009.png", b"no picture")
    path = {
        "folder": lambda: folder,
        "folder in a folder": lambda: tmp_path / "whole",
        "archive": lambda: archive(tmp_path / "test.zip", folder),
        "archive with a folder": lambda: archive(tmp_path / "test.zip", folder, "test/"),
        "batches": lambda: batches(tmp_path / "cifar-10-batches-py"),
    }[form]()
    found = registered_sets.cifar10(path)
    assert isinstance(found, ImageSet) and len(found) == IMAGES
    order = [index for name in CLASSES for index in IN_ORDER[name]]
    assert found.labels["index"].tolist() == order
    assert found.labels["class"].tolist() == [name for name in CLASSES for _ in range(3)]
    assert [Path(file).parts[-2:] for file in found.labels["file"]] == [(CLASS_OF[index], f"{index:05d}.png") for index in order]
    assert all(found[row].tobytes() == PIXELS[index].tobytes() for row, index in enumerate(order))
    assert evenly(found, 5).labels["index"].tolist() == [order[row] for row in (0, 7, 14, 21, 29)]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("aeroplane/00003.png", "aeroplane/00003.png in .*: 'aeroplane' is no class of CIFAR-10: did you mean 'airplane'"),
        ("cat/cat_1.png", "cat/cat_1.png in .* is not named by its place in CIFAR-10's test order, 0 to 9999: name it so, or run"),
        ("cat/10000.png", "cat/10000.png in .* is not named by its place"),
        ("cat/-1.png", "cat/-1.png in .* is not named by its place"),
        ("dog/00009.png", "cat/00009.png and dog/00009.png in .* have the same place in CIFAR-10's test order: name each"),
        ("cat/9.png", "cat/00009.png and cat/9.png in .* have the same place"),
        ("00003.png", "00003.png in .*: '' is no class of CIFAR-10"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_a_picture_without_a_place_in_the_order_is_one_line(tmp_path, name, said, packed):
    folder = class_folders(tmp_path / "test")
    put(folder / name)
    refused(said, registered_sets.cifar10, archive(tmp_path / "test.zip", folder) if packed else folder)


def test_the_numbers_of_each_class_are_no_order(tmp_path):
    # Copies that count the pictures of every class from 0 are common.
    for name in CLASSES:
        put(tmp_path / "test" / name / "0000.png")
    refused("airplane/0000.png and automobile/0000.png in .* have the same place", registered_sets.cifar10, tmp_path / "test")


def test_a_layout_of_cifar_10_with_a_part_missing_is_one_line(tmp_path, unsigned):
    folder = class_folders(tmp_path / "test")
    for number in IN_ORDER["deer"]:
        (folder / "deer" / f"{number:05d}.png").rename(folder / "deer" / f"{number:05d}.png.part")
    refused("test holds no pictures of deer: move .*test away, then run `humalign fetch cifar10`", registered_sets.cifar10, folder)
    (tmp_path / "empty").mkdir()
    refused("no pictures .* under .*empty", registered_sets.cifar10, tmp_path / "empty")
    made = batches(tmp_path / "cifar-10-batches-py")
    (made / "test_batch").unlink()
    refused("cifar-10-batches-py lacks a file of CIFAR-10, or holds an altered one: move", registered_sets.cifar10, made)


def test_torchvision_s_checksums_hold(tmp_path):
    made = batches(tmp_path / "cifar-10-batches-py")
    refused("lacks a file of CIFAR-10, or holds an altered one: .*`humalign fetch cifar10`", registered_sets.cifar10, made)


# ---- textures, Caltech-101 -------------------------------------------------------------------------------------------

SETS = {"dtd": "dtd/images", "caltech101": "101_ObjectCategories"}


@pytest.mark.parametrize("source", SETS)
def test_class_folders_are_read_by_name_with_gaps_and_what_systems_leave_beside_them(tmp_path, source):
    root = tmp_path / SETS[source]
    for name in ("b/image_0007.jpg", "a/image_0012.jpg", "a/image_0002.jpg", "a_b/image_0001.jpg", "B/image_0001.jpg"):
        put(root / name)
    for name in (".DS_Store", "a/._image_0002.jpg", "__MACOSX/a/image_0002.jpg", "a/notes.txt"):
        put(root / name, b"no picture")
    found = registered_sets.SETS[source](tmp_path)
    assert found.labels["file"].tolist() == [
        "B/image_0001.jpg", "a/image_0002.jpg", "a/image_0012.jpg", "a_b/image_0001.jpg", "b/image_0007.jpg"
    ]  # fmt: skip
    assert found.labels["class"].tolist() == ["B", "a", "a", "a_b", "b"] and found[4].size == (4, 3)


@pytest.mark.parametrize("filled", [True, False])
def test_the_background_of_caltech_101_is_no_class(tmp_path, filled):
    put(tmp_path / "101_ObjectCategories" / "ant" / "image_0001.jpg")
    put(tmp_path / "101_ObjectCategories" / "BACKGROUND_Google" / ("image_0001.jpg" if filled else "notes.txt"), None if filled else b"x")
    assert registered_sets.caltech101(tmp_path).labels["class"].tolist() == ["ant"]


@pytest.mark.parametrize("source", SETS)
def test_an_empty_layout_is_one_line(tmp_path, source):
    read, inside = registered_sets.SETS[source], tmp_path / SETS[source]
    again = f"move .* away, then run `humalign fetch {source}`"
    refused(f"holds no folder {SETS[source]}: {again}", read, tmp_path)
    put(tmp_path / "archive.tar.gz.part", b"half")
    refused(f"holds no folder {SETS[source]}: {again}", read, tmp_path)
    inside.mkdir(parents=True)
    refused(f"{inside} holds no class folders: {again}", read, tmp_path)
    put(inside / "ant" / "image_0001.jpg.part", b"half")
    refused("no pictures .* under ", read, tmp_path)
    put(inside / "bee" / "image_0001.jpg")
    refused(f"{inside}/ant holds no pictures: {again}", read, tmp_path)
    put(inside / "ant" / "image_0001.jpg")
    assert len(read(tmp_path)) == 2
    put(inside / "image_0001.jpg")
    refused("image_0001.jpg lies in no class folder: move it away", read, tmp_path)


# ---- people's labels of CIFAR-10 -------------------------------------------------------------------------------------


def certain(classes):
    """Return shares of 10,000 pictures, of which the first ones are of the given classes to 80 % of people, the others to nobody."""
    shares = np.full((10_000, 10), 0.1)
    for index, name in enumerate(classes):
        shares[index] = 0.2 / 9
        shares[index, CLASSES.index(name)] = 0.8
    return shares


def read(folder, shares):
    np.save(folder / "probs.npy", shares)
    return registered_sets.cifar10h(folder / "probs.npy")


def test_shares_stand_beside_their_pictures_whatever_the_order_of_these(tmp_path):
    shares = read(tmp_path, certain(CLASS_OF).astype(np.float32))
    assert shares.shape == (10_000, 10) and shares.dtype == np.float64
    shown = registered_sets.cifar10(class_folders(tmp_path / "test"))
    found = registered_sets.of_pictures(shares, shown.labels)
    assert found.argmax(1).tolist() == [number for number in range(10) for _ in range(3)]
    turned = shown.labels[::-1]
    assert np.array_equal(registered_sets.of_pictures(shares, turned), found[::-1])
    by_name = registered_sets.cifar10_labels(turned["file"].tolist(), "here")
    assert by_name.equals(turned.reset_index(drop=True))


@pytest.mark.parametrize(("images", "wrong", "fits"), [(40, 2, True), (40, 3, False), (10, 1, True), (10, 2, False), (1, 1, True)])
def test_pictures_that_people_call_otherwise_are_in_another_order(images, wrong, fits):
    labels = pd.DataFrame({"index": range(images), "class": ["cat"] * images})
    shares = certain(["dog"] * wrong + ["cat"] * (images - wrong))
    if fits:
        assert registered_sets.of_pictures(shares, labels).shape == (images, 10)
    else:
        said = f"these pictures are not in CIFAR-10's original test order: of {images}, .* the class of only {images - wrong}: name each"
        refused(said, registered_sets.of_pictures, shares, labels)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s[:-1], r"probs.npy: float64 of shape \(9999, 10\) for 10000 pictures of 10 classes: download it again"),
        (lambda s: s.T, r"probs.npy: float64 of shape \(10, 10000\)"),
        (lambda s: s.astype(int), "probs.npy: int64 of shape"),
        (lambda s: np.where(np.arange(10_000)[:, None] == 2, s * 1.1, s), "probs.npy, row 3: .* is no distribution"),
        (lambda s: np.where(np.arange(10_000)[:, None] == 4, np.nan, s), "probs.npy, row 5: .* is no distribution"),
        (lambda s: np.array([{}]), "probs.npy is cut short, damaged or of another layout"),
    ],
)
def test_a_fault_of_the_shares_is_one_line(tmp_path, change, said):
    refused(said, read, tmp_path, change(certain(CLASS_OF)))


# ---- the Hugging Face hub, torchvision -------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A function that saves a set of the hub with given columns beside its three pictures, and reads it."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def read(**columns):
        rows = {"photo": [Image.new("RGB", (4, 3), (number,) * 3) for number in range(3)], **columns}
        datasets.Dataset.from_dict(rows).cast_column("photo", datasets.Image()).save_to_disk(tmp_path / "set")
        return named.find(f"hf:{tmp_path}/set")

    return read


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"animal": ["cat", "dog", "cat"]}, ["cat", "dog", "cat"]),
        ({"label": ["7", "07", "007"]}, ["7", "07", "007"]),
        ({"label": ["a", "b", "a"], "caption": ["x", "y", "z"]}, ["a", "b", "a"]),
        ({"Class": [" a", "b ", "zoe\N{COMBINING DIAERESIS}"], "file": ["x", "y", "z"]}, ["a", "b", "zoë"]),
        ({"animal": ["cat", "dog", "cat"], "width": [1, 2, 3]}, ["cat", "dog", "cat"]),
    ],
)
def test_classes_of_the_hub_may_be_words(hub, columns, wanted):
    found = hub(**columns)
    assert found.labels["class"].tolist() == wanted
    assert [found[row].getpixel((0, 0))[0] for row in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"one": ["a", "b", "c"], "other": ["d", "e", "f"]}, "several columns of text, one, other: keep the classes in one called label"),
        ({"label": ["a", "b", "c"], "class": ["d", "e", "f"]}, "several columns of text, label, class"),
        ({"label": ["a", None, "c"]}, "has 1 pictures without a class: name another split"),
        ({"label": ["a", " ", ""]}, "has 2 pictures without a class"),
        ({"label": [0, 1, 2]}, r"no column of classes \(ClassLabel\); its columns are photo \(Image\), label \(Value\)"),
    ],
)  # fmt: skip
def test_words_that_are_no_classes_are_one_line(hub, columns, said):
    refused(said, lambda: hub(**columns))


@pytest.mark.parametrize("left", [".ipynb_checkpoints/a.png", "@eaDir/a.png", "cat/._1.png", "cat/.ipynb_checkpoints/1.png"])
def test_what_systems_leave_in_a_set_of_torchvision_is_no_class(tmp_path, monkeypatch, left):
    monkeypatch.setenv("HUMALIGN_DATA", str(tmp_path))
    root = tmp_path / "torchvision" / "EuroSAT" / "eurosat" / "2750"
    for name in ("cat/1.png", "dog/1.png"):
        put(root / name)
    assert named.find("torchvision:EuroSAT").labels["class"].tolist() == ["cat", "dog"]
    put(root / left)
    part = next(part for part in left.split("/") if part[0] in ".@")
    refused(f"torchvision:EuroSAT holds {part}, which is none of its pictures: delete it", named.find, "torchvision:EuroSAT")


# ---- the real files --------------------------------------------------------------------------------------------------


def located(path):
    if not os.environ.get("HUMALIGN_DATA") or not (Path(os.environ["HUMALIGN_DATA"]) / path).exists():
        pytest.skip(f"HUMALIGN_DATA is not set, or holds no {path}")
    return Path(os.environ["HUMALIGN_DATA"]) / path


@pytest.mark.parametrize("path", ["torchvision/cifar-10-batches-py", "cifar10/test.zip", "cifar10/test"])
def test_people_agree_with_the_real_labels_in_the_right_order_alone(path):
    labels = registered_sets.cifar10(located(path)).labels
    assert sorted(labels["index"]) == list(range(10_000)) and labels["class"].value_counts().tolist() == [1000] * 10
    shares = registered_sets.cifar10h(located("cifar10h/cifar10h-probs.npy"))
    found = registered_sets.of_pictures(shares, labels)
    # Of pictures and labels, 99.2 % agree (CIFAR-10H).
    assert (np.array(CLASSES)[found.argmax(1)] == labels["class"]).mean() == pytest.approx(0.9921)
    # Off by one.
    shifted = labels.assign(index=(labels["index"] + 1) % 10_000)
    refused("not in CIFAR-10's original test order", registered_sets.of_pictures, shares, shifted)


@pytest.mark.parametrize("source", SETS)
def test_the_real_class_folders_are_read_whole(source):
    path = located(f"torchvision/{source}")
    found = registered_sets.SETS[source](path)
    folders = [each for each in os.scandir(path / SETS[source]) if each.is_dir() and each.name != "BACKGROUND_Google"]
    wanted = {each.name: sum(name.endswith(".jpg") for name in os.listdir(each.path)) for each in folders}
    assert found.labels["class"].value_counts().to_dict() == wanted
    assert found[len(found) - 1].mode == "RGB"
