"""The recorded sweep over architectures: each row is aligned, or refused in one line that names the model."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch

from humalign.errors import HumalignError
from humalign.models import backbones

TABLE = pd.read_csv(Path(__file__).parent.parent.parent / "book" / "recorded" / "architectures.csv")


def test_every_recorded_architecture_is_aligned_builds_or_is_refused_in_a_line():
    assert set(TABLE["outcome"]) <= {"aligned", "refused", "builds"} and not TABLE["model"].duplicated().any()
    refused = TABLE[TABLE["outcome"] == "refused"]
    assert all(row.model in row.line and "\n" not in row.line for row in refused.itertuples())
    assert TABLE.loc[TABLE["outcome"] != "refused", ["parameters", "size", "stages"]].notna().all(axis=None)


def test_what_was_aligned_moved_and_is_the_same_read_back_and_by_its_own_library():
    aligned = TABLE[TABLE["outcome"] == "aligned"]
    assert len(aligned) and not aligned.duplicated(["library", "family"]).any()
    assert (aligned["moved"] > 0).all()
    # Networks that enlarge what is rounded differ as much from themselves where pictures are embedded one by one.
    same = np.maximum(1e-5, 3 * aligned["one by one"].fillna(0))
    assert (aligned[["read back", "by its library"]].max(axis=1) < same).all() and (aligned["one by one"] < 1e-4).sum() <= 3


def test_an_encoder_of_timm_without_a_classifier_is_one_line():
    """The sweep found it: it has no `reset_classifier`, which was a traceback, and no pooling."""
    said = r"timm:deepseek_vit_412m_enc gives \(1, 169, 5120\) for a picture instead of \(1, features\): end it in"
    with torch.device("meta"), pytest.raises(HumalignError, match=said):
        backbones.build("timm:deepseek_vit_412m_enc", pretrained=False)


def test_weights_in_a_file_get_the_network_that_timm_builds_for_its_own(tmp_path):
    """The sweep found it: with weights of its own timm builds this one with another epsilon."""
    torch.manual_seed(0)
    mine = backbones.build("timm:fbnetc_100", pretrained=False)
    timm.models.save_for_hf(mine.net, tmp_path, model_config={"num_classes": 1000})
    pictures = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        for again in (backbones.build(f"timm:local-dir:{tmp_path}"), backbones.build(f"timm:fbnetc_100@{tmp_path}")):
            torch.testing.assert_close(again(pictures), mine(pictures))
