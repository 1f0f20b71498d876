"""Lines that name what is known, and values of libraries that numpy does not take."""

import numpy as np
import pytest
import scipy.sparse
import torch

from humalign.data import judgments, readers_own
from humalign.errors import HumalignError, nearest


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("RESNET18", ["resnet18", "vit"], "did you mean 'resnet18'?"),
        ("vti", ["vit", "resnet18"], "did you mean 'vit'?"),
        ("x", ["b", "a", "b"], "known are: a, b"),
        ("zzz", [f"model{i:03}" for i in range(500)], "known are 500 names: model000, model001, model002, …"),
    ],
)
def test_the_nearest_name_is_found_in_capitals_too_and_a_long_list_is_not_written_out(name, known, said):
    assert nearest(name, known) == said


def test_bfloat16_is_widened_and_a_sparse_matrix_is_one_line():
    values = torch.tensor([[0.5, 3.0], [1.0, -2.0]])
    assert np.array_equal(judgments.floats(values.bfloat16().requires_grad_()), values.numpy())
    with pytest.raises(HumalignError, match=r"features are a sparse matrix: give features\.toarray"):
        judgments.floats(scipy.sparse.csr_matrix(values.numpy()))


def test_a_column_that_is_there_twice_is_said(tmp_path):
    (tmp_path / "a.csv").write_text("image1,image2,image3,choice,choice\na,b,c,a,b\n")
    with pytest.raises(HumalignError, match=r"2 columns 'choice': leave one of them$"):
        readers_own.table(tmp_path / "a.csv", ["a.png", "b.png", "c.png"])
