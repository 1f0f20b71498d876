"""Labelled sets by name, and few-shot scores on them: every layout is written here in small, and nothing needs a network."""

import re
import shutil
import sys

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from humalign import cli
from humalign.chain import encoders
from humalign.data import named, registry
from humalign.data.images import Subset, spread
from humalign.data.torchvision_sets import TorchvisionImages
from humalign.errors import HumalignError
from humalign.evaluation import scores

GREY = {"cat": 40, "dog": 120, "owl": 200}
EACH = 4


def picture(grey, number, size=(20, 16)):
    noise = np.random.default_rng([grey, number]).integers(-30, 30, (*size, 3))
    return Image.fromarray((grey + noise).astype(np.uint8))


def draw(folder, classes=tuple(GREY), each=EACH):
    """Write a few pictures into class folders."""
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(each):
            picture(GREY[name], number).save(folder / name / f"{name}_{number}.png")
    return folder


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty data folder, and a machine without network."""
    monkeypatch.setenv(registry.DATA, str(tmp_path / "data"))

    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    return tmp_path / "data" / "torchvision"


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """A folder of pictures for the tests that only read it."""
    return draw(tmp_path_factory.mktemp("sets") / "pets")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Names of two tiny models with random weights."""
    folder = tmp_path_factory.mktemp("weights")
    names = []
    for number in range(2):
        torch.manual_seed(number)
        save_file(timm.create_model("test_efficientnet").state_dict(), folder / f"{number}.safetensors")
        names.append(f"timm:test_efficientnet@{folder}/{number}.safetensors")
    return names


def classes(images):
    """Return the class of every picture, after reading all of them."""
    assert all(images[index].mode == "RGB" for index in range(len(images)))
    return images.labels["class"].tolist()


def fails(name, line):
    with pytest.raises(HumalignError, match=line) as caught:
        classes(named.find(str(name)))
    assert "\n" not in str(caught.value)


# ---- folders and archives --------------------------------------------------------------------------------------------

def test_a_folder_and_a_zip_of_it_hold_the_same_pictures(tmp_path):
    folder = draw(tmp_path / "pets")
    shutil.make_archive(str(tmp_path / "pets"), "zip", tmp_path, "pets")
    wanted = [name for name in GREY for _ in range(EACH)]
    for path in (folder, tmp_path / "pets.zip"):
        found = named.find(str(path))
        assert classes(found) == wanted and named.short(str(path)) == "pets"
        assert found[0].tobytes() == picture(GREY["cat"], 0).tobytes()


def test_a_name_of_nothing_is_one_line(tmp_path):
    fails(tmp_path / "nowhere", "no labelled set '.*nowhere': name a folder of class folders, a .zip of one, torchvision:")
    fails("keras:CIFAR10", "no labelled set 'keras:CIFAR10'")
    fails("hf:", "no labelled set 'hf:'")
    (tmp_path / "text.zip").write_text("no archive")
    fails(tmp_path / "text.zip", "cannot read the archive")


def test_a_damaged_picture_is_one_line(tmp_path):
    folder = draw(tmp_path / "pets")
    (folder / "dog" / "dog_1.png").write_bytes((folder / "dog" / "dog_1.png").read_bytes()[:60])
    fails(folder, "cannot read the picture .*dog_1.png")


def test_pictures_are_spread_over_the_classes_whatever_their_order(pets):
    whole = named.find(str(pets))
    mixed = Subset(whole, np.random.default_rng(1).permutation(len(whole)))
    found, again, other = (spread(mixed, 6, seed) for seed in (0, 0, 1))
    assert found.labels["class"].value_counts().to_dict() == {name: 2 for name in GREY}
    assert found.rows.tolist() == again.rows.tolist() != other.rows.tolist()
    assert spread(mixed, 99, 0).rows.tolist() == list(range(len(whole)))


# ---- torchvision -----------------------------------------------------------------------------------------------------

def test_a_set_of_torchvision_without_splits(data):
    draw(data / "EuroSAT" / "eurosat" / "2750")
    assert classes(named.find("torchvision:EuroSAT")) == [name for name in GREY for _ in range(EACH)]
    fails("torchvision:EuroSAT/test", "torchvision:EuroSAT/test: this set has no splits: write torchvision:EuroSAT")
    damaged = data / "EuroSAT" / "eurosat" / "2750" / "dog" / "dog_1.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    fails("torchvision:EuroSAT", r"cannot read picture 5 of torchvision:EuroSAT \(.*\): delete .*EuroSAT, then run")


def test_a_set_of_torchvision_that_takes_a_split(data):
    inside = data / "DTD" / "dtd" / "dtd"
    draw(inside / "images")
    (inside / "labels").mkdir()
    for split, numbers in (("test", (0, 1)), ("val", (2,))):
        lines = [f"{name}/{name}_{number}.png\n" for name in GREY for number in numbers]
        (inside / "labels" / f"{split}1.txt").write_text("".join(lines))
    assert classes(named.find("torchvision:DTD")) == [name for name in GREY for _ in range(2)]
    assert classes(named.find("torchvision:DTD/val")) == list(GREY)
    fails("torchvision:DTD/tset", "torchvision:DTD/tset has no split 'tset': Valid values are .*'test'")
    (inside / "labels" / "test1.txt").write_text("no class\n")
    fails("torchvision:DTD", "cannot read torchvision:DTD .*: delete")


def test_a_set_of_torchvision_that_takes_train(data):
    raw = data / "MNIST" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, labels in (("train", [0, 1, 2, 1]), ("t10k", [9, 0])):
        pixels = np.zeros((len(labels), 28, 28), dtype=np.uint8)
        for kind, values in (("images-idx3", pixels), ("labels-idx1", np.array(labels, dtype=np.uint8))):
            head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, dtype=">i4").tobytes()
            (raw / f"{part}-{kind}-ubyte").write_bytes(head + values.tobytes())
    assert classes(named.find("torchvision:MNIST")) == ["9 - nine", "0 - zero"]
    assert classes(named.find("torchvision:MNIST/train")) == ["0 - zero", "1 - one", "2 - two", "1 - one"]
    fails("torchvision:MNIST/trian", "torchvision:MNIST/trian has no split 'trian': did you mean 'train'")


def textures(root, classes):
    """Write textures in torchvision's layout, all of them in the split for testing."""
    draw(root / "dtd" / "dtd" / "images", classes)
    (root / "dtd" / "dtd" / "labels").mkdir()
    lines = [f"{name}/{name}_{number}.png\n" for name in classes for number in range(EACH)]
    (root / "dtd" / "dtd" / "labels" / "test1.txt").write_text("".join(lines))


def test_a_set_is_found_where_the_profiles_keep_theirs_and_first_in_its_own_folder(data):
    textures(data, ["cat", "dog"])
    assert classes(named.find("torchvision:DTD")) == ["cat"] * EACH + ["dog"] * EACH
    (data / "dtd" / "dtd" / "images" / "dog" / "dog_1.png").write_bytes(b"no picture")
    # What else lies in the shared folder is not to be deleted.
    fails("torchvision:DTD", r"cannot read picture 5 of torchvision:DTD \(.*\): delete the files of this set in .*/torchvision, then run")
    (data / "DTD").mkdir()
    assert len(named.find("torchvision:DTD")) == 2 * EACH
    textures(data / "DTD", ["owl"])
    assert classes(named.find("torchvision:DTD")) == ["owl"] * EACH


def objects(root, numbers):
    """Write pictures of Caltech-101 of given numbers, each grey of its number."""
    for name in ("BACKGROUND_Google", *numbers):
        (root / "101_ObjectCategories" / name).mkdir(parents=True)
        for number in numbers.get(name, ()):
            Image.new("RGB", (4, 4), (number,) * 3).save(root / "101_ObjectCategories" / name / f"image_{number:04}.jpg")


def test_caltech_101_is_read_by_name_where_torchvision_would_count(data):
    objects(data / "caltech101", {"ant": (1, 2), "bee": (3, 17)})
    found = named.find("torchvision:Caltech101")
    assert classes(found) == ["ant", "ant", "bee", "bee"]
    assert [found[row].getpixel((0, 0))[0] for row in range(4)] == pytest.approx([1, 2, 3, 17], abs=1)
    fails("torchvision:Caltech101/test", "torchvision:Caltech101/test: this set has no splits: write torchvision:Caltech101")
    objects(data / "Caltech101" / "caltech101", {"cow": (5,)})
    assert classes(named.find("torchvision:Caltech101")) == ["cow"]


def test_a_failed_download_leaves_no_empty_folder_that_looks_like_a_set(data):
    for name in ("DTD", "Caltech101", "Caltech256", "EuroSAT"):
        fails(f"torchvision:{name}", rf"cannot read torchvision:{name} \(.*\): connect to the network, or put its files into ")
        assert not list(data.iterdir()) if data.exists() else True
    (data / "dtd").mkdir(parents=True)
    (data / "dtd" / "kept.txt").write_text("of the user")
    fails("torchvision:DTD", "cannot read torchvision:DTD")
    assert (data / "dtd" / "kept.txt").exists()


def test_a_set_that_torchvision_does_not_have_is_one_line(data):
    fails("torchvision:CIFAR1O", "unknown set 'CIFAR1O' of torchvision: did you mean 'CIFAR10'")
    fails("torchvision:CelebA", "unknown set 'CelebA' of torchvision")
    fails("torchvision:FakeData", "unknown set 'FakeData' of torchvision")


def test_a_download_without_network_is_one_line(data):
    fails("torchvision:EuroSAT", r"cannot read torchvision:EuroSAT \(.*no route to host.*\): connect to the network, or put its files into")


class Listed:
    """A set of torchvision as it could be: its targets, and a list of them that may differ."""

    def __init__(self, targets, listed, names=()):
        self.targets, self.each, self.classes = listed, targets, names

    def __len__(self):
        return len(self.each)

    def __getitem__(self, index):
        return picture(40, index), self.each[index]


def test_targets_are_checked_against_what_comes_with_the_pictures():
    made = [("s", Listed([0, 1], listed, ("a", "b")), "again") for listed in ([0, 1], None, [0], [0.5, 1])]
    assert [classes(TorchvisionImages(*each)) for each in made] == [["a", "b"]] * 4
    with pytest.raises(HumalignError, match="s gives class 1 with picture 1 and lists 0"):
        classes(TorchvisionImages("s", Listed([0, 1], [0, 0]), "again"))
    with pytest.raises(HumalignError, match="s has no one class a picture"):
        TorchvisionImages("s", Listed([(0, 1), (1, 1)], None), "again")
    with pytest.raises(HumalignError, match="s has 1 pictures without a class: name another split"):
        TorchvisionImages("s", Listed([0, -1], [0, -1]), "again")


def test_two_classes_of_one_name_stay_two():
    found = TorchvisionImages("s", Listed([0, 1, 2], [0, 1, 2], (("crane", "bird"), ("crane", "bird"), "kite")), "again")
    assert classes(found) == ["0 crane, bird", "1 crane, bird", "2 kite"]


# ---- the Hugging Face hub --------------------------------------------------------------------------------------------

def test_without_the_library_of_the_hub_there_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    fails("hf:owner/name", "hf:owner/name needs the library datasets: pip install datasets")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The library, and a set of two splits; more columns of it where a test asks for them."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def saved(features=None, labels=range(3), photographs=None, **columns):
        features = features or {"photo": datasets.Image(), "animal": datasets.ClassLabel(names=list(GREY))}
        pictures = photographs or [picture(grey, 0) for grey in GREY.values()]
        rows = {"photo": pictures, "animal": list(labels), **columns}
        rows = datasets.Dataset.from_dict({name: rows[name] for name in features}, datasets.Features(features))
        datasets.DatasetDict({"train": rows.select([0]), "test": rows}).save_to_disk(tmp_path / "saved")
        rows.to_parquet(tmp_path / "parquet" / "train.parquet")
        return tmp_path

    return datasets, saved


def test_a_saved_set_of_the_hub_gives_its_classes_by_name(hub):
    folder = hub[1]()
    found = named.find(f"hf:{folder}/saved")
    assert classes(found) == list(GREY) and found[2].tobytes() == picture(200, 0).tobytes()
    assert classes(named.find(f"hf:{folder}/saved/train")) == ["cat"]
    assert classes(named.find(f"hf:{folder}/parquet")) == list(GREY)
    fails(f"hf:{folder}/saved/tset", "saved/tset has no split 'tset': did you mean 'test'")


def test_columns_that_are_none_or_several_are_named(hub):
    datasets, saved = hub
    image, label = datasets.Image(), datasets.ClassLabel(names=list(GREY))
    folder = saved({"photo": image, "animal": label, "kind": label}, kind=[0, 0, 1])
    fails(f"hf:{folder}/saved", r"several columns of classes \(ClassLabel\), animal, kind; its columns are photo \(Image\), animal")
    shutil.rmtree(folder / "saved")
    saved({"photo": image, "animal": datasets.Value("int64")})
    fails(f"hf:{folder}/saved", r"no column of classes \(ClassLabel\); its columns are photo \(Image\), animal \(Value\)")
    shutil.rmtree(folder / "saved")
    saved({"animal": label})
    fails(f"hf:{folder}/saved", r"no column of pictures \(Image\)")


def test_a_row_without_label_or_picture_is_one_line(hub):
    folder = hub[1](labels=[0, None, 2])
    fails(f"hf:{folder}/saved", "has 1 pictures without a class")
    shutil.rmtree(folder / "saved")
    hub[1](photographs=[picture(40, 0), {"bytes": b"no picture", "path": None}, picture(40, 1)])
    fails(f"hf:{folder}/saved", "cannot read the picture 1 of hf:")
    shutil.rmtree(folder / "saved")
    hub[1](photographs=[picture(40, 0), None, picture(40, 1)])
    fails(f"hf:{folder}/saved", "has no picture in row 1: take the row out")


def test_a_set_that_the_hub_cannot_give_is_one_line(hub, monkeypatch):
    def refuse(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(hub[0], "load_dataset", refuse)
    fails("hf:owner/name", r"cannot read hf:owner/name \(no route to host\): is the name right\? else connect to the network")
    fails("hf:name", "hf:name: write hf:OWNER/NAME")
    fails("hf:a/b/c/d", "hf:a/b/c/d: write hf:OWNER/NAME")


# ---- the command -----------------------------------------------------------------------------------------------------

def test_the_command_scores_every_model_and_compares_with_the_first(tmp_path, pets, models, capsys):
    arguments = ["few-shot", str(pets), *models, "--shots", "1", "2", "--draws", "3", "--out", str(tmp_path / "out.csv")]
    assert cli.main(arguments) == 0
    assert "pets/2-shot" in capsys.readouterr().out
    found = scores.read(tmp_path / "out.csv")
    assert set(found["evidence"]) == {"labels"} and set(found["task"]) == {"few-shot"} and len(found) == 5 + 10
    for split in ("pets/1-shot", "pets/2-shot"):
        for metric in ["accuracy", "accuracy-nearest-mean"] + ["accuracy-logistic-cv"] * (split == "pets/2-shot"):
            first, other = (scores.one(found, model=model, split=split, metric=metric) for model in models)
            above = scores.one(found, model=models[1], split=split, metric=f"{metric}-above-{models[0]}")
            assert above["value"] == pytest.approx(other["value"] - first["value"], abs=2e-6)
            assert above["low"] <= above["value"] <= above["high"]
    again = encoders.classify(str(pets), models, (1, 2), draws=3)
    assert again["value"].tolist() == found["value"].tolist()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--shots", "0"], "shots = 0: take 1 or more"),
        (["--draws", "0"], "draws = 0: take 1 or more"),
        (["--images", "-3"], "images = -3: take 1 or more"),
        (["--seed", "-1"], "seed = -1: take 0 or more"),
        (["--shots", "4"], "class 'cat' of .*pets has 4 pictures: 4 shots leave none to test: take fewer shots, or take the class out"),
        (["--shots", "2", "--images", "6"], "has 2 pictures: 2 shots leave none to test: take fewer shots, or more images than 6"),
        (["--shots", "1", "--images", "2"], "has 0 pictures: 1 shots leave none to test: take fewer shots, or more images than 2"),
    ],
)
def test_a_number_that_cannot_be_is_one_line(pets, models, capsys, options, line):
    assert cli.main(["few-shot", str(pets), models[0], *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and re.search(line, error)


def test_models_and_sets_that_cannot_be_compared_are_one_line(tmp_path, pets, models):
    folder = str(pets)
    with pytest.raises(HumalignError, match="unknown backbone 'efficientnet-lit0': did you mean 'efficientnet-lite0'"):
        encoders.classify(folder, [models[0], "efficientnet-lit0"], (1,))
    with pytest.raises(HumalignError, match="is named twice: name each once"):
        encoders.classify(folder, [models[0]] * 2, (1,))
    with pytest.raises(HumalignError, match=r"a classifier needs two classes, there is only \['cat'\]"):
        encoders.classify(str(draw(tmp_path / "cats", ["cat"])), models, (1,))
    (tmp_path / "loose").mkdir()
    picture(40, 0).save(tmp_path / "loose" / "a.png")
    with pytest.raises(HumalignError, match="a picture without a label"):
        encoders.classify(str(tmp_path / "loose"), models, (1,))
