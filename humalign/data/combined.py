"""Sets of pictures that are made of others: in memory, mirrored, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from PIL import Image

from humalign.data.images import ImageSet


class Held:
    """Pictures that are in memory."""

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        self.pictures = pictures
        self.labels = pd.DataFrame({"file": [f"{number:04d}" for number in range(len(pictures))]})

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.pictures[index])


class Mirrored:
    """Pictures, each followed by its mirror image."""

    def __init__(self, pictures: ImageSet) -> None:
        self.pictures = pictures
        files = pictures.labels["file"].tolist()
        self.labels = pd.DataFrame({"file": [name for file in files for name in (file, f"{file}, mirrored")]})

    def __len__(self) -> int:
        return 2 * len(self.pictures)

    def __getitem__(self, index: int) -> Image.Image:
        picture = self.pictures[index // 2]
        return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if index % 2 else picture


class Joined:
    """Sets of pictures one after the other."""

    def __init__(self, sets: Sequence[ImageSet]) -> None:
        self.sets, self.ends = sets, np.cumsum([len(each) for each in sets])
        self.labels = pd.concat([each.labels for each in sets], ignore_index=True)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> Image.Image:
        which = int(np.searchsorted(self.ends, index, side="right"))
        return self.sets[which][index - (int(self.ends[which - 1]) if which else 0)]
