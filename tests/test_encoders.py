"""Anybody's embeddings against people: what the file must hold, and the numbers of the features that are known."""

import os

import numpy as np
import pytest

from humalign import cli, scores
from humalign.errors import HumalignError
from humalign.stages import encoders
from humalign.stages.people import judgments

here = pytest.mark.skipif("HUMALIGN_DATA" not in os.environ, reason="the human data are not on this machine")


@pytest.mark.parametrize(("arrays", "said"), [
    ({"things-object": np.ones((3, 2))}, "unknown set 'things-object': did you mean 'things-objects'"),
    ({}, "holds no array: give one or more of things-objects, things-278, kriegeskorte-92"),
])
def test_a_file_that_cannot_be_scored_is_one_line(tmp_path, arrays, said):
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(HumalignError, match=said):
        encoders.score(tmp_path / "mine.npz", "mine")


@here
def test_features_without_a_row_for_each_thing_are_one_line(tmp_path, capsys):
    np.savez(tmp_path / "mine.npz", **{"kriegeskorte-92": np.random.default_rng(0).standard_normal((91, 3))})
    assert cli.main(["score", str(tmp_path / "mine.npz")]) == 2
    assert "91 rows of features for 92 pictures" in capsys.readouterr().err


@here
def test_known_features_get_their_known_scores(tmp_path, capsys):
    rng = np.random.default_rng(0)
    arrays = {"things-objects": judgments().features, "things-278": rng.standard_normal((278, 5)),
              "kriegeskorte-92": rng.standard_normal((92, 5))}
    np.savez(tmp_path / "clip.npz", **arrays)
    found = encoders.score(tmp_path / "clip.npz", "clip", draws=10)

    def value(**where):
        return float(scores.one(found, model="clip", stage="base", **where)["value"])

    assert value(task="odd-one-out", split="all objects") == pytest.approx(0.4824, abs=1e-3)
    assert value(split="48 objects", metric="rsa-pearson") == pytest.approx(0.3732, abs=1e-3)
    assert abs(value(split="92 photographs", metric="rsa-spearman")) < 0.2
    assert abs(value(task="similarity-vice", split="278 photographs")) < 0.2
    assert set(found["evidence"]) == {"human"} and len(found) == 8
    np.savez(tmp_path / "small.npz", **{"things-278": arrays["things-278"]})
    assert cli.main(["score", str(tmp_path / "small.npz"), "--name", "noise", "--out", str(tmp_path / "out.csv")]) == 0
    assert "similarity-vice" in capsys.readouterr().out and set(scores.read(tmp_path / "out.csv")["model"]) == {"noise"}
