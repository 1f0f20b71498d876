"""The recorded sweep over architectures: each row is aligned, or refused in one line that names the model."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from humalign.errors import HumalignError
from humalign.models import backbones

TABLE = pd.read_csv(Path(__file__).parent.parent.parent / "book" / "recorded" / "architectures.csv")


def test_every_recorded_architecture_is_aligned_or_refused_in_a_line():
    assert set(TABLE["outcome"]) <= {"aligned", "refused", "builds"} and not TABLE["model"].duplicated().any()
    assert not TABLE.duplicated(["library", "family"])[TABLE["outcome"] == "aligned"].any()
    refused = TABLE[TABLE["outcome"] == "refused"]
    assert all(row.model in row.line and "\n" not in row.line for row in refused.itertuples())


def test_an_encoder_of_timm_without_a_classifier_is_one_line():
    """The sweep found it: it has no `reset_classifier`, which was a traceback, and no pooling."""
    said = r"timm:deepseek_vit_412m_enc gives \(1, 169, 5120\) for a picture instead of \(1, features\): end it in"
    with torch.device("meta"), pytest.raises(HumalignError, match=said):
        backbones.build("timm:deepseek_vit_412m_enc", pretrained=False)
