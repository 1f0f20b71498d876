"""The README's recipe runs as it stands there, the chain behind it too, and it says what is true of answers that mean something."""

import contextlib
import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import humalign
from humalign.data.judgments import Choices, random_triplets
from humalign.errors import HumalignError
from humalign.models import backbones

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
(RECIPE,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", README, re.DOTALL)
COLOURS = np.array([[220, 40, 40], [40, 200, 60], [50, 60, 220], [220, 210, 60], [200, 60, 210]])


def pictures(folder, n, rng):
    """Squares of five colours on noise; the colour is what people answer by."""
    folder.mkdir()
    for i in range(n):
        picture = rng.integers(60, 200, (64, 64, 3))
        picture[12:52, 12:52] = COLOURS[i % 5] + rng.integers(-30, 30, 3)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{i:03}.png")


def test_the_recipe_runs_to_the_letter(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    pictures(tmp_path / "judged", 40, rng)
    pictures(tmp_path / "pool", 80, rng)
    asked = random_triplets(np.arange(40), 20_000, rng)
    same = np.stack([(asked[:, a] - asked[:, b]) % 5 == 0 for a, b in ((0, 1), (0, 2), (1, 2))], axis=1)
    clear = same.sum(1) == 1
    order = np.array([(0, 1, 2), (0, 2, 1), (1, 2, 0)])[same[clear].argmax(1)]
    np.savetxt(tmp_path / "answers.txt", np.take_along_axis(asked[clear], order, 1)[:1000], fmt="%d")
    # The recipe's own networks and weights, on smaller pictures.
    known = {name: dataclasses.replace(recipe, size=32) for name, recipe in backbones.recipes().items()}
    monkeypatch.setattr(backbones, "recipes", lambda: known)
    monkeypatch.chdir(tmp_path)
    made, printed = {}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(RECIPE, "README.md", "exec"), made)
    table = printed.getvalue().splitlines()
    assert table[0].split() == ["value", "low", "high", "answers"] and len(table) == 5 and table[-1].split()[-1] == "1000"
    value = {line.split()[0]: float(line.split()[1]) for line in table[1:4]}
    assert value["teacher"] > value["base"] > 0.5, "answers about colour are predicted"
    assert len(RECIPE.splitlines()) <= 5
    rest_of_the_chain(**{name: made[name] for name in ("features", "choices")})


def rest_of_the_chain(features, choices, cut=13):
    """From the teacher to a model that is read back, by the names that the README gives."""
    hu, pool = humalign, humalign.FolderImages("pool")
    large, small = hu.build("efficientnet-lite2"), hu.build("efficientnet-lite0")
    space = hu.AffineTeacher(pull=1e-2).fit(features, choices).transform(hu.embed([pool], large)["features"].values)
    rows = hu.cluster_border_blocks(hu.clusters(space, k=20, seed=0), 300_000, 64, 3_000, np.random.default_rng(0))
    inputs = torch.from_numpy(hu.embed([pool], small, frozen_stages=cut)["activations"].values)
    student = hu.Student.of(small, frozen_stages=cut)
    settings = hu.Distillation(steps=100, warmup=10, learning_rate=2e-4, batch_triplets=3_000)
    hu.distill(student, inputs, hu.label(space, rows, pool.labels["file"]), settings)
    hu.save_pretrained("aligned-lite0", small, student, hu.Card("Lite0, aligned", "Answers of our observers."))
    aligned = backbones.build("timm:local-dir:aligned-lite0")
    with torch.no_grad():
        seen = aligned(torch.stack([aligned.preprocess(pool[i]) for i in range(3)]))
    wanted = student.features(inputs[:3])
    # What is kept before the cut is in half precision.
    assert (seen - wanted).abs().max() < 0.02 * wanted.abs().max()
    assert not torch.allclose(wanted, small.stages[cut:](inputs[:3].float()), rtol=1e-2), "training has changed it"


def test_the_face_has_the_names_that_it_says():
    for name in humalign.__all__:
        assert getattr(humalign, name) is not None
    assert "from humalign" not in RECIPE and not re.search(r"hu\.(?!\w)", RECIPE)
    for name in set(re.findall(r"\bhu\.(\w+)", README)):
        assert name in humalign.__all__, name
    with pytest.raises(AttributeError, match="'humalign' has no attribute 'allign'"):
        _ = humalign.allign


def test_held_out_agreement_tells_what_the_answers_bring():
    """Answers by a direction that the features hold weakly: centring finds it by chance, the teacher surely."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 12)).astype(np.float32) + 5
    features[:, 3] *= 0.5
    rows = random_triplets(np.arange(60), 3000, rng)
    values = features[:, 3]
    apart = np.stack([abs(values[rows[:, a]] - values[rows[:, b]]) for a, b in ((0, 1), (0, 2), (1, 2))], axis=1)
    choices = Choices(rows, np.eye(3, dtype=int)[apart.argmin(1)])
    found = humalign.held_out_agreement(humalign.AffineTeacher(pull=1e-3, iterations=12), features, choices, groups=5, draws=200)
    assert found.loc["teacher - base-centred", "low"] > 0.01 and found.loc["teacher", "value"] > 0.42
    assert (found["low"] <= found["value"]).all() and (found["value"] <= found["high"]).all() and set(found["answers"]) == {3000}
    guesses = Choices(rows, np.eye(3, dtype=int)[rng.integers(3, size=3000)])
    nothing = humalign.held_out_agreement(humalign.AffineTeacher(iterations=12), features, guesses, groups=4, draws=200)
    assert nothing.loc["teacher - base-centred", "low"] < 0 and abs(nothing.loc["teacher", "value"] - 1 / 3) < 0.05
    with pytest.raises(HumalignError, match="3 groups of 60 images: three are left out at a time"):
        humalign.held_out_agreement(humalign.AffineTeacher(), features, choices, groups=3)
    with pytest.raises(HumalignError, match="no answer lies wholly inside"):
        humalign.held_out_agreement(humalign.AffineTeacher(), features, (rows[:2], choices.shares[:2]))
