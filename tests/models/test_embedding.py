"""Embedding to files: what was embedded before a stop is kept, and shown as done."""

import numpy as np
import pytest
import torch
from torch import nn

from humalign.data.images import FolderImages
from humalign.models import embeddings
from humalign.models.backbones import Backbone
from humalign.profiles.schema import Compute


class Stopped(Exception):
    pass


class Counted(FolderImages):
    """Pictures that count how often each is read, and stop at one of them."""

    read: list[int]
    stop: int | None = None

    def __getitem__(self, index):
        if index == self.stop:
            raise Stopped
        self.read.append(index)
        return super().__getitem__(index)


@pytest.fixture
def world(tmp_path, monkeypatch):
    from PIL import Image

    (tmp_path / "shown").mkdir()
    for number in range(9):
        Image.new("RGB", (8, 8), (25 * number, 90, 0)).save(tmp_path / "shown" / f"{number}.png")
    monkeypatch.setattr(embeddings, "PAUSE", 0.0)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    backbone = Backbone.of(net, 8, (0.5,) * 3, (0.5,) * 3, name="mine")

    def run(paths, key="key", stop=None, bar=None):
        images = Counted(tmp_path / "shown")
        images.read, images.stop = [], stop
        try:
            embeddings.to_files(
                images, backbone, 1, paths, key, torch.device("cpu"), Compute(batch_images=2), ([] if bar is None else bar).append
            )
        except Stopped:
            pass
        return images.read

    return run


@pytest.fixture
def paths(tmp_path):
    return [tmp_path / "run" / kind / "mine.npy" for kind in ("embeddings", "activations")]


@pytest.mark.parametrize("stop", [1, 4, 8])
def test_a_stopped_embedding_goes_on_where_it_was_and_its_bar_too(world, paths, tmp_path, stop):
    whole = [tmp_path / "whole" / f"{number}.npy" for number in range(2)]
    assert world(whole) == list(range(9))
    world(paths, stop=stop)
    kept = stop // 2 * 2
    bar: list[int] = []
    assert world(paths, bar=bar) == list(range(kept, 9)) and bar[0] == kept and sum(bar) == 9
    for path, other in zip(paths, whole, strict=True):
        assert np.array_equal(np.load(path), np.load(other))
    assert [path.name for path in sorted(tmp_path.glob("run/*/*"))] == ["mine.npy", "mine.npy"]


def test_what_was_embedded_under_another_key_is_not_gone_on_from(world, paths):
    world(paths, stop=4)
    assert world(paths, key="other") == list(range(9))
    world([path.with_name("again.npy") for path in paths], stop=4)
    paths[1].with_name("again.part.npy").unlink()
    assert world([path.with_name("again.npy") for path in paths]) == list(range(9))
