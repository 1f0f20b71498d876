"""Pictures, reliability diagrams, maps and densities: complete, and no name on a map covers another."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from humalign.errors import HumalignError
from humalign.evaluation import hierarchy
from humalign.evaluation.scores import COLUMNS, complete, pick
from humalign.show import drawing, figures_special, stages

STAGES = ("teacher-base", "teacher")


def table(*rows, evidence="human"):
    """A table of (stage, task, split, metric, value, n), each with an interval of 0.2."""
    made = [("things", "m", *row[:5], row[4] - 0.1, row[4] + 0.1, row[5], 0, evidence) for row in rows]
    return complete(pd.DataFrame(made, columns=list(COLUMNS)))


@pytest.fixture(scope="module")
def calibration():
    rows = []
    for stage in STAGES:
        rows.append((stage, "calibration", "unseen objects", "expected-calibration-error", 0.02, 900))
        for step in range(8):
            rows.append((stage, "calibration", f"step {step}", "accuracy", 0.38 + 0.07 * step, 100 + step))
            rows.append((stage, "calibration", f"step {step}", "confidence", 0.37 + 0.08 * step, 100 + step))
    return table(*rows)


@pytest.fixture(scope="module")
def places():
    rng = np.random.default_rng(0)
    return table(
        *(
            (stage, "map", f"objects/category {name}", axis, 0.3 * rng.normal(), 40)
            for stage, name, axis in itertools.product(STAGES, range(27), "xy")
        ),
        evidence="taxonomy",
    )


def test_pictures_are_drawn_in_both_styles_four_side_by_side():
    figure = figures_special.pictures(["apple", "tiger", "violin", "rocket", "sushi"])
    drawn = [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]
    assert len(drawn) == 10
    assert not np.array_equal(drawn[0], drawn[4]) and not np.array_equal(drawn[0], drawn[1])
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == [
        "apple",
        "tiger",
        "violin",
        "rocket",
        "sushi",
    ]
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["openmoji", "twemoji"] * 2
    with pytest.raises(HumalignError, match="no concept 'aple': did you mean 'apple'"):
        figures_special.pictures(["aple"])


def test_reliability_draws_every_bin_and_the_error_of_each_stage(calibration):
    figure = figures_special.reliability(calibration, STAGES[::-1])
    axes = figure.axes[0]
    assert np.allclose(
        axes.collections[-1].get_offsets(), [[0.37 + 0.08 * step, 0.38 + 0.07 * step] for step in range(8)]
    )
    sizes = axes.collections[-1].get_sizes()
    assert len(sizes) == 8 and np.all(np.diff(sizes) > 0)
    assert axes.get_title(loc="left").split("\n") == [
        "teacher",
        "error 2.0 (−8.0 to 12.0)",
        "n = 900 answers",
    ]
    assert to_hex(axes.collections[-1].get_facecolor()[0]) == drawing.LOOKS["teacher"][0]
    assert figure.get_suptitle() == "" and "People's judgments; run things" in figure.said
    with pytest.raises(HumalignError, match="no scores of the stage 'ridge' to draw with task 'calibration'"):
        figures_special.reliability(calibration, ("ridge",))


def test_a_map_has_every_category_with_both_intervals_in_the_colour_of_its_stage(places):
    figure = figures_special.maps(places, "objects", STAGES, 4.6, who="names of things, no judgments")
    assert "Names of things, no judgments; run things" in figure.said
    for stage, axes in zip(STAGES, figure.axes, strict=True):
        rows = places[places["stage"] == stage].pivot(index="item", columns="metric", values="value")
        (drawn,) = [line for line in axes.lines if line.get_marker() == drawing.LOOKS[stage][1]]
        assert sorted(drawn.get_xydata().tolist()) == sorted(rows[["x", "y"]].to_numpy().tolist())
        assert [len(each.get_segments()) for each in axes.collections] == [27, 27]
        assert axes.get_title(loc="left") == f"{stages.name(stage)}, n = 27 categories"
    assert (
        figure._repr_html_()
        == figures_special.maps(
            places, "objects", STAGES, 4.6, who="names of things, no judgments"
        )._repr_html_()
    )


def test_no_name_on_a_map_covers_another(places):
    figure = figures_special.maps(places, "objects", STAGES, 4.6)
    figure.draw_without_rendering()
    for axes in figure.axes:
        # An annotation's own box would hold the line to its point too.
        boxes = [Text.get_window_extent(text) for text in axes.texts]
        assert len(boxes) == 27
        for one, other in itertools.combinations(boxes, 2):
            across = min(one.x1, other.x1) - max(one.x0, other.x0)
            along = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert across < 0.05 * one.width or along < 0.35 * one.height


# ---- densities ---------------------------------------------------------------------------------------------

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
    figure = figures_special.densities(scores, changes, who="names of things")
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
        figures_special.densities(pick(scores, metric="permutation-p", model="none"), changes)
    assert "\n" not in str(caught.value)
