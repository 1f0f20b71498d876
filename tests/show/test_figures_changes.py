"""Densities of changes: what is drawn is what the run left, with the mean, the count of pairs and p of its scores."""

import numpy as np
import pandas as pd
import pytest

from humalign.errors import HumalignError
from humalign.evaluation import hierarchy
from humalign.evaluation.scores import COLUMNS, complete, pick
from humalign.show import drawing, figures_changes

SHOWN = (("unseen objects", "m", "teacher", "teacher-base"), ("things-photographs", "n", "aligned", "base"))


@pytest.fixture(scope="module")
def scores():
    rows = []
    for of, model, stage, reference in SHOWN:
        for place, relation in enumerate(hierarchy.PATHS):
            head, n = ("things", model, stage, "hierarchy", f"{of}/{relation}"), 1000 + place
            mean = 0.2 * place - 0.3
            rows.append((*head, f"standardised-distance-above-{reference}", mean, mean - 0.1, mean + 0.1, n, 0, "taxonomy"))
            rows.append((*head, "permutation-p", 0.001 + 0.25 * place, 0.0, 1.0, n, 0, "taxonomy"))
    return complete(pd.DataFrame(rows, columns=list(COLUMNS)))


@pytest.fixture(scope="module")
def changes():
    at = np.linspace(-1, 1, 201)
    return [
        {"set": of, "model": model, "stage": stage, "reference": reference,
         "pairs": {name: (0.2 * place - 0.3 + at).tolist() for place, name in enumerate(hierarchy.PATHS)}}
        for of, model, stage, reference in (*SHOWN, ("things-photographs", "not scored", "aligned", "base"))
    ]  # fmt: skip


def test_each_relation_has_a_density_its_mean_its_pairs_and_its_p(scores, changes):
    figure = figures_changes.densities(scores, changes, who="names of things")
    assert [axes.get_title("left").replace("\n", " ") for axes in figure.axes] == [
        "THINGS objects: m, teacher less before", "THINGS photographs: n, aligned less before"
    ]  # fmt: skip
    for axes, (_, _, stage, _) in zip(figure.axes, SHOWN, strict=True):
        labels = [label.get_text() for label in axes.get_yticklabels()]
        assert labels[0] == "0 to 5 steps\n1,000 pairs, p = .001" and labels[3].endswith("1,003 pairs, p = .751")
        areas = [each.get_paths()[0].vertices for each in axes.collections if len(each.get_paths())]
        assert len(areas) == 4
        for place, area in enumerate(reversed(areas)):  # from the lowest up
            mean = 0.2 * place - 0.3
            # The ends of the quantiles, at the height of the relation's row.
            assert area[:, 0].min() == pytest.approx(mean - 1) and area[:, 0].max() == pytest.approx(mean + 1)
            assert area[:, 1].mean() == pytest.approx(-place, abs=0.05)
        points = [line for line in axes.lines if line.get_marker() == drawing.look(stage)[1]]
        assert [float(line.get_xdata()[0]) for line in points] == pytest.approx([-0.3, -0.1, 0.1, 0.3])
    assert "14 and more steps" in figure.said and figure.said.endswith("Names of things; run things.")


def test_changes_without_scores_are_one_line(scores, changes):
    with pytest.raises(HumalignError, match="no changes of distances to draw: make them with `humalign run ill") as caught:
        figures_changes.densities(pick(scores, metric="permutation-p", model="none"), changes)
    assert "\n" not in str(caught.value)
