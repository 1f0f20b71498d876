"""Sets and files whose names say where they are from: read, told apart, and refused in one line."""

import hashlib
import os

import numpy as np
import pytest
from PIL import Image

from humalign.data import editions, named, registry
from humalign.data.images import FolderImages
from humalign.errors import HumalignError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(registry.DATA, str(tmp_path / "data"))
    for number in range(4):
        path = tmp_path / "mine" / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((5, 4, 3), 40 * number, np.uint8)).save(path)
    return tmp_path / "mine"


def test_a_folder_is_read_by_the_names_of_its_files(folder):
    found = named.pictures("folder:mine")
    assert found.labels["file"].tolist() == ["class0/0.png", "class0/2.png", "class1/1.png", "class1/3.png"]
    assert named.pictures("folder:mine", labelled=True).labels["class"].tolist() == ["class0", "class0", "class1", "class1"]
    assert registry.locate("folder:mine").resolve() == folder


def test_a_set_of_torchvision_is_named_by_class_and_place(folder, tmp_path):
    for name in ("cat", "dog"):
        below = tmp_path / "data" / "torchvision" / "EuroSAT" / "eurosat" / "2750" / name
        below.mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (4, 4), (9 * number,) * 3).save(below / f"{number}.jpg")
    found = named.pictures("torchvision:EuroSAT")
    assert found.labels["file"].tolist() == ["cat/0000000", "cat/0000001", "dog/0000002", "dog/0000003"]
    assert named.identity("torchvision:EuroSAT") == ("torchvision:EuroSAT", 4)


def test_what_is_not_here_is_not_downloaded_unless_it_is_fetched(folder):
    with pytest.raises(HumalignError, match=r"torchvision:EuroSAT is not in .*: humalign fetch torchvision:EuroSAT"):
        registry.locate("torchvision:EuroSAT")
    assert not (folder.parent / "data").exists()


def test_a_changed_picture_changes_the_identity_of_its_folder(folder):
    before = registry.identity("folder:mine")
    assert registry.identity("folder:mine") == before
    (folder / ".DS_Store").write_text("left by a system")
    assert registry.identity("folder:mine") == before
    os.utime(folder / "class0" / "0.png", ns=(1, 1))
    assert registry.identity("folder:mine") != before
    (folder / "answers.csv").write_text("a")
    assert registry.identity("file:mine/answers.csv") != registry.identity("file:mine/class0/0.png")
    assert registry.identity("folder:nowhere") is None


def test_files_that_are_made_of_a_set_have_names_of_their_own():
    names = ["folder:/a/b", "folder:/a-b", "hf:a/b/train", "torchvision:DTD/val", "folder:" + "long/" * 60]
    made = [named.file_name(name) for name in names]
    assert len(set(made)) == len(names) and all(set(name) <= set("-.") | set(map(chr, range(48, 123))) for name in made)
    assert max(map(len, made)) < 80 and named.file_name("caltech101") == "caltech101"


def test_pictures_that_are_twice_are_found_by_their_bytes(folder):
    (folder / "class1" / "copy.png").write_bytes((folder / "class0" / "0.png").read_bytes())
    (pair,) = named.twice(FolderImages(folder))
    assert [path.name for path in pair] == ["0.png", "copy.png"]


@pytest.mark.parametrize("call", [named.pictures, named.locate])
@pytest.mark.parametrize("name", ["tourchvision:DTD", "mine", ""])
def test_a_set_of_no_library_is_one_line(call, name):
    with pytest.raises(HumalignError, match=r"no set .*: write folder:PATH"):
        call(name)


# ---- linked folders count too, and a change below one makes steps stale -------------------------------------


@pytest.fixture
def linked(tmp_path):
    """A folder with a file, a linked folder, and links that lead back."""
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "b.txt").write_text("b")
    root = tmp_path / "root"
    (root / "own").mkdir(parents=True)
    (root / "own" / "a.txt").write_text("a")
    (root / ".hidden").write_text("")
    (root / "other").symlink_to(tmp_path / "elsewhere")
    (root / "own" / "up").symlink_to(root)
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere")
    return root


@pytest.mark.parametrize("of", [registry.digest_of, lambda path: registry.identity(f"folder:{path}")])
def test_a_change_below_a_link_is_a_change(linked, of):
    before = of(linked)
    (linked.parent / "elsewhere" / "deep" / "b.txt").write_text("changed")
    assert of(linked) != before
    changed = of(linked)
    (linked.parent / "elsewhere" / "c.txt").write_text("c")
    assert of(linked) != changed


def test_a_folder_has_the_digest_of_the_list_that_sha256sum_gives(linked):
    files = {"other/deep/b.txt": b"b", "own/a.txt": b"a"}
    listed = "".join(f"{hashlib.sha256(held).hexdigest()}  {name}\n" for name, held in files.items())
    assert registry.digest_of(linked) == hashlib.sha256(listed.encode()).hexdigest()


def test_a_linked_picture_that_is_replaced_is_another_edition(tmp_path):
    for folder, colour in (("pets/cats", "red"), ("dogs", "blue")):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("RGB", (8, 8), colour).save(tmp_path / folder / "1.png")
    (tmp_path / "pets" / "dogs").symlink_to(tmp_path / "dogs")
    name = f"folder:{tmp_path / 'pets'}"
    before = editions.of(name)
    assert (before.count, before.unit) == (2, "pictures")
    Image.new("RGB", (8, 8), "green").save(tmp_path / "dogs" / "1.png")
    after = editions.of(name)
    assert (after.count, after.sha256 == before.sha256) == (2, False)


@pytest.mark.parametrize("of", [registry.digest_of, lambda path: registry.identity(f"folder:{path}")])
def test_a_file_name_that_is_not_utf_8_is_hashed(tmp_path, of):
    before = of(tmp_path)
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_text("")
    assert of(tmp_path) != before
