"""What a folder of data holds is what readers read of it: linked folders count too, and a change below one makes steps stale."""

import os

import pytest
from PIL import Image

from humalign.data import editions, listing, registry


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


def test_linked_folders_are_listed_once_and_loops_are_left(linked):
    found = [path.relative_to(linked).as_posix() for path in listing.everything(linked)]
    assert found == ["other/deep/b.txt", "own/a.txt"]


@pytest.mark.parametrize("of", [registry.digest_of, lambda path: registry.identity(f"folder:{path}")])
def test_a_change_below_a_link_is_a_change(linked, of):
    before = of(linked)
    (linked.parent / "elsewhere" / "deep" / "b.txt").write_text("changed")
    assert of(linked) != before
    changed = of(linked)
    (linked.parent / "elsewhere" / "c.txt").write_text("c")
    assert of(linked) != changed


def test_a_folder_without_links_has_the_digest_that_sha256sum_gives(linked):
    (linked / "other").unlink()
    (linked / "own" / "up").unlink()
    assert registry.digest_of(linked) == registry.digest_of(linked)


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
