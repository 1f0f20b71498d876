"""Anybody's embeddings against people: what the file must hold, how its rows are matched, and the numbers of features that are known."""

import os

import numpy as np
import pytest

from humalign import cli
from humalign.chain import encoders, registered
from humalign.chain.judged import things
from humalign.data.object_order import OLD, SORTED, rows_in
from humalign.errors import HumalignError
from humalign.evaluation import scores

here = pytest.mark.skipif("HUMALIGN_DATA" not in os.environ, reason="the human data are not on this machine")
NAMES = ("ant", "bat1", "owl")


def given(features, names):
    return encoders._Given("mine.npz", "things-objects", np.asarray(features, dtype=float), None if names is None else np.array(names))


@pytest.mark.parametrize(("arrays", "said"), [
    ({"things-object": np.ones((3, 2))}, "unknown set 'things-object': did you mean 'things-objects'"),
    ({}, "holds no array: give one or more of things-objects, things-photographs, kriegeskorte-92"),
    ({"things-objects-names": np.array(["ant"])}, "'things-objects-names' names the rows of an array that is not there"),
    ({"kriegeskorte-92": np.ones((92, 2)), "kriegeskorte-92-names": np.array(["ant"] * 92)}, "the 92 images have no names"),
    ({"things-objects": np.ones((3, 2)), "things-objects-names": np.array(["ant"])}, r"names of shape \(1,\) for features of shape"),
    ({"things-objects": np.array([["x"]])}, "is cut short, damaged or of another layout"),
])
def test_a_file_that_cannot_be_scored_is_one_line(tmp_path, arrays, said):
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(HumalignError, match=said) as caught:
        encoders.score(tmp_path / "mine.npz", "mine")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("names", [
    ("owl", "ant", "bat1"), ("owl.jpg", "ant.PNG", "bat1.webp"), ("owl/owl_01b.jpg", "a/ant/ant_12s.jpg", "bat1\\bat1_01b.jpg"),
    ("owl_01b", "ant_01b", "bat1_02s"),
])
def test_rows_are_matched_by_ids_or_names_of_files(names):
    assert given([[3], [1], [2]], names).of(NAMES).tolist() == [[1], [2], [3]]


@pytest.mark.parametrize(("names", "said"), [
    (("owl", "ant", "bat"), "mine.npz, things-objects, row 3: 'bat' is none of the 3 objects here"),
    (("owl", "ant", "owl.jpg"), "rows 1 and 3: 'owl' twice"),
    (("owl", "ant"), "no row of 'bat1', one of 1 objects without a row"),
])
def test_names_that_do_not_fit_are_named(names, said):
    with pytest.raises(HumalignError, match=said):
        given(np.ones((len(names), 2)), names).of(NAMES)


@here
def test_features_without_a_row_for_each_thing_are_one_line(tmp_path, capsys):
    np.savez(tmp_path / "mine.npz", **{"kriegeskorte-92": np.random.default_rng(0).standard_normal((91, 3))})
    assert cli.main(["score", str(tmp_path / "mine.npz")]) == 2
    assert "91 rows of features for 92 pictures" in capsys.readouterr().err


@here
def test_known_features_get_their_known_scores(tmp_path, capsys):
    rng = np.random.default_rng(0)
    files = np.array([f"{things().names[row]}.jpg" for row in registered.photographs()[1]])
    arrays = {"things-objects": things().features, "things-photographs": rng.standard_normal((len(files), 5)),
              "things-photographs-names": files, "kriegeskorte-92": rng.standard_normal((92, 5))}
    np.savez(tmp_path / "clip.npz", **arrays)
    found = encoders.score(tmp_path / "clip.npz", "clip", draws=10)

    def value(**where):
        return float(scores.one(found, model="clip", stage="base", **where)["value"])

    assert value(task="odd-one-out", split="all objects") == pytest.approx(0.4836, abs=1e-3)
    assert value(split="48 objects", metric="rsa-pearson") == pytest.approx(0.376, abs=5e-3)
    assert abs(value(split="92 photographs", metric="rsa-spearman")) < 0.2
    assert abs(value(task="similarity-vice", split="THINGS photographs")) < 0.2
    assert set(found["evidence"]) == {"human"} and len(found) == 8
    np.savez(tmp_path / "small.npz", **{name: arrays[name] for name in ("things-photographs", "things-photographs-names")})
    assert cli.main(["score", str(tmp_path / "small.npz"), "--name", "noise", "--out", str(tmp_path / "out.csv")]) == 0
    assert "similarity-vice" in capsys.readouterr().out and set(scores.read(tmp_path / "out.csv")["model"]) == {"noise"}


@here
def test_objects_in_any_order_score_the_same_with_their_names(tmp_path):
    known, order = things(), np.random.default_rng(0).permutation(1854)
    np.savez(tmp_path / "plain.npz", **{"things-objects": known.features})
    named = {"things-objects": known.features[order], "things-objects-names": np.array(known.names)[order]}
    np.savez(tmp_path / "named.npz", **named)
    one, other = (encoders.score(tmp_path / f"{name}.npz", "clip", draws=10)["value"] for name in ("plain", "named"))
    assert one.tolist() == other.tolist()


@here
@pytest.mark.parametrize("order", [OLD, SORTED])
def test_objects_in_the_order_of_their_files_are_refused(order, tmp_path, capsys):
    known = things()
    np.savez(tmp_path / "mine.npz", **{"things-objects": known.features[np.argsort(rows_in(known.names, order))]})
    assert cli.main(["score", str(tmp_path / "mine.npz")]) == 2
    said = capsys.readouterr().err
    assert f"mine.npz, things-objects: the objects are in {order.name}, not in the order of unique_id.txt" in said
    assert "or save the objects' names beside them as things-objects-names" in said


@here
def test_photographs_without_names_are_refused_with_the_way_to_save_them(tmp_path, capsys):
    shown = np.random.default_rng(0).standard_normal((len(registered.photographs()[1]), 5))
    np.savez(tmp_path / "mine.npz", **{"things-photographs": shown})
    assert cli.main(["score", str(tmp_path / "mine.npz")]) == 2
    assert "'things-photographs-names': names}), names such as " in capsys.readouterr().err
