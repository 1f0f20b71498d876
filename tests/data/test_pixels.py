"""Pictures kept as bytes: the same as decoding each time, continued when stopped, and refused when damaged."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from humalign.data import pixels
from humalign.data.images import squash
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
    store.verify()
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
    with pytest.raises(HumalignError, match="no finished pictures in"):
        pixels.PixelStore(again)
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
    pixels.write(pictures, tmp_path, 16, NAMES).verify()
    assert pictures.decoded == [4, 5, 6, 7, 8, 9, 10]


def test_a_damaged_store_is_found(folder):
    spoilt = np.load(folder / "pixels.npy", mmap_mode="r+")
    spoilt[6, 0, 0, 0] += 1
    spoilt.flush()
    with pytest.raises(HumalignError, match="damaged from number 4 on"):
        pixels.PixelStore(folder).verify()


@pytest.mark.parametrize("broken", ["cut", "missing", "html"])
def test_a_folder_without_a_whole_store_is_one_line(folder, broken):
    file = folder / ("pixels.json" if broken == "html" else "pixels.npy")
    whole = file.read_bytes()
    file.unlink()
    if broken != "missing":
        file.write_bytes(whole[: len(whole) // 2] if broken == "cut" else b"<html>")
    with pytest.raises(HumalignError, match=r"are damaged .*: delete the folder and write them again") as caught:
        pixels.PixelStore(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("size", "names"), [(8, NAMES), (16, NAMES[::-1])])
@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_with_other_pictures_is_refused(tmp_path, size, names, finished):
    if finished:
        pixels.write(Pictures(), tmp_path, 16, NAMES)
    else:
        with pytest.raises(HumalignError):
            pixels.write(Pictures(broken=9), tmp_path, 16, NAMES)
    with pytest.raises(HumalignError, match="holds other pictures, or this set at another size"):
        pixels.write(Pictures(), tmp_path, size, names)


def test_a_name_for_each_picture_is_asked_for(tmp_path):
    with pytest.raises(HumalignError, match="10 names for 11 pictures"):
        pixels.write(Pictures(), tmp_path, 16, NAMES[:10])
