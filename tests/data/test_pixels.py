"""Pictures kept as bytes: the same as decoding each time, continued when stopped, and refused when damaged."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from one_line import refused
from PIL import Image

from humalign.data import pixels
from humalign.data.images import Files, FolderImages, squash
from humalign.errors import HumalignError

NAMES = [f"{i}.png" for i in range(11)]


class Pictures:
    """Pictures of different shapes that count how often they are decoded; one of them may be broken."""

    def __init__(self, broken=None):
        self.labels = pd.DataFrame({"file": NAMES})
        self.broken, self.decoded = broken, []

    def __len__(self):
        return len(NAMES)

    def __getitem__(self, index):
        if index == self.broken:
            raise HumalignError(f"cannot read the picture {NAMES[index]}")
        self.decoded.append(index)
        noise = np.random.default_rng(index).integers(0, 256, (20 + index, 30 - index, 3))
        return Image.fromarray(noise.astype(np.uint8))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(pixels, "BLOCK", 4)


@pytest.fixture
def folder(tmp_path):
    pixels.write(Pictures(), tmp_path / "store", 16, NAMES)
    return tmp_path / "store"


@pytest.mark.parametrize("processes", [1, 2])
def test_a_store_holds_what_decoding_each_time_would_give(tmp_path, processes):
    pictures, seen = Pictures(), []
    store = pixels.write(pictures, tmp_path / "store", 16, NAMES, processes, seen.append)
    assert len(store) == sum(seen) == 11 and store.names == NAMES
    wanted = torch.stack([squash(pictures[i], 16) for i in range(11)])
    assert torch.equal(store[np.arange(11)].float() / 255, wanted)
    assert torch.equal(store[np.array([7, 2, 7])].float() / 255, wanted[[7, 2, 7]])
    assert torch.equal(store[3:5].float() / 255, wanted[3:5])
    assert sorted(path.name for path in store.folder.iterdir()) == ["pixels.json", "pixels.npy"]


def test_a_finished_store_is_opened_and_not_written_again(folder):
    pictures = Pictures()
    assert len(pixels.write(pictures, folder, 16, NAMES)) == 11
    assert pictures.decoded == []


def test_a_stopped_writing_goes_on_where_it_stood(tmp_path, folder):
    again = tmp_path / "again"
    with pytest.raises(HumalignError, match=r"cannot read the picture 9\.png") as caught:
        pixels.write(Pictures(broken=9), again, 16, NAMES)
    assert "\n" not in str(caught.value)
    refused("no finished pictures in", pixels.PixelStore, again)
    pictures, seen = Pictures(), []
    store = pixels.write(pictures, again, 16, NAMES, progress=seen.append)
    assert pictures.decoded == [8, 9, 10] and seen == [8, 3]
    assert torch.equal(store[:], pixels.PixelStore(folder)[:])


def test_a_block_that_was_spoilt_while_the_writing_stood_still_is_written_again(tmp_path):
    with pytest.raises(HumalignError):
        pixels.write(Pictures(broken=9), tmp_path, 16, NAMES)
    spoilt = np.load(tmp_path / "pixels.part.npy", mmap_mode="r+")
    spoilt[5] += 1
    spoilt.flush()
    pictures = Pictures()
    store = pixels.write(pictures, tmp_path, 16, NAMES)
    assert pictures.decoded == [4, 5, 6, 7, 8, 9, 10]
    assert torch.equal(store[:].float() / 255, torch.stack([squash(pictures[i], 16) for i in range(11)]))


@pytest.mark.parametrize("broken", ["cut", "missing", "html"])
def test_a_folder_without_a_whole_store_is_one_line(folder, broken):
    file = folder / ("pixels.json" if broken == "html" else "pixels.npy")
    whole = file.read_bytes()
    file.unlink()
    if broken != "missing":
        file.write_bytes(whole[: len(whole) // 2] if broken == "cut" else b"<html>")
    refused(r"are damaged .*: delete the folder and write them again", pixels.PixelStore, folder)


@pytest.mark.parametrize(
    ("size", "names", "said"),
    [
        (8, NAMES, "holds other pictures, or this set at another size: choose another folder, or delete it"),
        (16, NAMES[::-1], "holds these pictures in another order, number 0 is 0.png and not 10.png: choose"),
        (16, [*NAMES[:5], "x.png", *NAMES[6:]], "holds other pictures, number 5 is 5.png and not x.png: choose"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_with_other_pictures_is_refused(tmp_path, size, names, said, finished):
    if finished:
        pixels.write(Pictures(), tmp_path, 16, NAMES)
    else:
        with pytest.raises(HumalignError):
            pixels.write(Pictures(broken=9), tmp_path, 16, NAMES)
    with pytest.raises(HumalignError, match=said):
        pixels.write(Pictures(), tmp_path, size, names)


def test_a_name_for_each_picture_is_asked_for(tmp_path):
    with pytest.raises(HumalignError, match="10 names for 11 pictures"):
        pixels.write(Pictures(), tmp_path, 16, NAMES[:10])


# ---- names and sources -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [np.array(NAMES), np.array(NAMES, dtype=object), pd.Series(NAMES), np.array(NAMES, "S"), None], ids=str)
def test_names_may_be_any_sequence_or_those_of_the_set(tmp_path, folder, names):
    store = pixels.write(Pictures(), tmp_path / "again", 16, names)
    assert store.names == NAMES and torch.equal(store[:], pixels.PixelStore(folder)[:])
    assert len(pixels.write(Pictures(), folder, 16, names)) == 11, "the store of a list of names is the same"


def test_a_store_can_be_asked_for_by_its_names(folder):
    assert len(pixels.PixelStore(folder, np.array(NAMES))) == 11
    for names, said in (
        (NAMES[::-1], "these pictures in another order, number 0 is 0.png and not 10.png"),
        (NAMES[1:], "11 pictures instead of 10"),
        (["a", *NAMES[1:]], "other pictures, number 0 is 0.png and not a"),
    ):
        refused(f"store holds {said}: choose another folder, or delete it", pixels.PixelStore, folder, names)


def test_an_accent_of_two_signs_is_the_accent_of_one(tmp_path):
    names = ["e\N{COMBINING ACUTE ACCENT}.png", *NAMES[1:]]
    pixels.write(Pictures(), tmp_path, 16, names)
    assert len(pixels.write(Pictures(), tmp_path, 16, ["é.png", *NAMES[1:]])) == 11


@pytest.fixture
def drawn(tmp_path):
    """Ten pictures in files, and a function that draws one of them anew."""
    (tmp_path / "in").mkdir()

    def draw(number, seed=0):
        noise = np.random.default_rng([number, seed]).integers(0, 256, (9, 8, 3))
        Image.fromarray(noise.astype(np.uint8)).save(tmp_path / "in" / f"{number}.png")

    for number in range(10):
        draw(number)
    return tmp_path / "in", draw


@pytest.mark.parametrize("kind", [FolderImages, lambda root: Files(sorted(root.iterdir()))], ids=["folder", "files"])
def test_a_picture_that_was_replaced_since_is_named_and_one_that_was_touched_is_not(tmp_path, drawn, kind):
    root, draw = drawn
    store = pixels.write(kind(root), tmp_path / "store", 16)
    assert store.sources and all(store.sources)
    os.utime(root / "6.png", (1, 1))
    assert torch.equal(pixels.write(kind(root), tmp_path / "store", 16)[:], store[:])
    draw(6, seed=1)
    with pytest.raises(HumalignError, match=r"^6.png is another picture than when .*store was written: delete the folder") as caught:
        pixels.write(kind(root), tmp_path / "store", 16)
    assert "\n" not in str(caught.value)
    (root / "6.png").unlink()
    with pytest.raises(HumalignError):
        pixels.write(kind(root), tmp_path / "store", 16)


def test_a_picture_that_was_replaced_while_the_writing_stood_still_is_written_anew(tmp_path, drawn):
    root, draw = drawn
    sound = (root / "9.png").read_bytes()
    (root / "9.png").write_bytes(b"half")
    with pytest.raises(HumalignError, match=r"9\.png"):
        pixels.write(FolderImages(root), tmp_path / "store", 16)
    draw(2, seed=1)
    (root / "9.png").write_bytes(sound)
    store = pixels.write(FolderImages(root), tmp_path / "store", 16)
    wanted = torch.stack([squash(picture, 16) for picture in map(FolderImages(root).__getitem__, range(10))])
    assert torch.equal(store[:].float() / 255, wanted)


def test_a_store_of_an_older_version_without_sources_is_still_read(tmp_path, drawn):
    root, _ = drawn
    store = pixels.write(FolderImages(root), tmp_path / "store", 16)
    about = tmp_path / "store" / "pixels.json"
    text = about.read_text()
    about.write_text(text[: text.index(', "sources"')] + "}")
    assert torch.equal(pixels.write(FolderImages(root), tmp_path / "store", 16)[:], store[:])
