"""Dots, curves and groups of made-up scores: right places, order and colours; the same each time."""

import html
import itertools
import math
import re
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from skimage.color import deltaE_ciede2000, rgb2lab

from humalign.errors import HumalignError
from humalign.evaluation.scores import COLUMNS, complete
from humalign.show import drawing, figures, stages, tables

CEILING = 0.8
ACCURACY = {"task": "odd-one-out", "metric": "accuracy"}
COARSE = {"task": "odd-one-out", "set": "global-coarse"}
VALUES = {"teacher": 0.5, "aligned": 0.45, "base": 0.4, "unaligned": 0.41, "teacher-base": 0.38}
# The teacher's network is another than the students'.
MODELS = {"teacher": "efficientnet-lite2", "teacher-base": "efficientnet-lite2"}
SHOWN = ["m, before", "control", "aligned", "Lite2, before", "teacher"]


def made_up(*rows, evidence="simulated", profile="demo"):
    """A table of (model, stage, task, split, metric, value), each with an interval of 0.02 and 900 items."""
    made = [(profile, *row, row[-1] - 0.01, row[-1] + 0.01, 900, 0, evidence) for row in rows]
    return complete(pd.DataFrame(made, columns=list(COLUMNS)))


def odd_one_out(levels=stages.SCORED_LEVELS, values=VALUES, **given):
    models = [
        (MODELS.get(stage, "m"), stage, "odd-one-out", level, "accuracy", value)
        for stage, value in values.items()
        for level in levels
    ]
    tops = [("observers", "ceiling", "odd-one-out", level, "accuracy", CEILING) for level in levels]
    return made_up(*tops, *models, **given)


@pytest.fixture(scope="module")
def scores():
    """What the simulated check has on the first page, with differences, not in the order of the stages."""
    rows = []
    for stage, value in VALUES.items():
        rows.append((MODELS.get(stage, "m"), stage, "similarity-judgments", "held-out", "rsa-spearman", value / 2))
        for k in (10, 1, 5, 2):
            rows.append((MODELS.get(stage, "m"), stage, "few-shot", f"group/{k}-shot", "accuracy", value + k / 100))
    rows += [
        ("m", "aligned", "odd-one-out", level, f"accuracy-above-{reference}", gain)
        for level in stages.SCORED_LEVELS
        for reference, gain in (("base", 0.05), ("unaligned", 0.04))
    ]
    return pd.concat([odd_one_out(), made_up(*rows)], ignore_index=True)


@pytest.fixture(scope="module")
def people():
    """People's judgments of photographs: models, each before and after its map, and one person."""
    rows = []
    for task, metric in (("odd-one-out", "accuracy"), ("similarity-judgments", "rsa-spearman")):
        rows.append(("people", "ceiling", task, stages.ACROSS, metric, 0.6))
        for model in ("efficientnet-lite2", "efficientnet-lite0+efficientnet-lite2", "efficientnet-lite0"):
            rows += [
                (model, stage, task, stages.ACROSS, metric, 0.4 + len(stage) / 100)
                for stage in ("teacher", "ridge", "teacher-base")
            ]
    return made_up(*rows, evidence="human", profile="things")


def points(axes):
    """The look, value and height of every point of one pair of axes; a teacher's base looks as a base."""
    known = {(to_hex(colour), marker): stage for stage, (colour, marker) in reversed(drawing.LOOKS.items())}
    return [
        (
            known[to_hex(line.get_color()), line.get_marker()],
            float(line.get_xdata()[0]),
            float(line.get_ydata()[0]),
        )
        for line in axes.lines
        if line.get_marker() != "None"
    ]


def bars(axes):
    """The lower and upper ends of every interval of one pair of axes."""
    solid = [line for line in axes.lines if line.get_marker() == "None" and line.get_linestyle() == "-"]
    return [tuple(line.get_xdata()) for line in solid]


def dashed(axes):
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_linestyle() == "--"]


def dotted(axes):
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_linestyle() == ":"]


def labels(axes):
    """The labels from top to bottom."""
    ticks = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    return [text.get_text() for _, text in sorted(ticks, key=lambda tick: -tick[0])]


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def head(axes):
    return axes.get_title(loc="left")


def teachers(people):
    """Teachers of photographs, before and after their map, beside one person."""
    names = {model: stages.short(model) for model in stages.models(people, "teacher")}
    given = {"split": stages.ACROSS, "by": "model", "names": names, "ceiling": "one of {n} people"}
    return figures.dots(
        figures.panel(people, "Which of three is the odd one out?", task="odd-one-out", **given),
        figures.panel(people, "How similar?", task="similarity-judgments", metric="rsa-spearman", **given),
    )


# ---- every figure ------------------------------------------------------------------------------------------


def every(scores, people):
    few = {"task": "few-shot", "set": "group"}
    return {
        "dots": figures.dots(figures.panel(scores, **COARSE)),
        "groups": figures.groups(scores, "set", stages.SCORED_LEVELS, **ACCURACY),
        "curves": figures.curves(figures.panel(scores, **few), along="k", log="x"),
        "several": figures.dots(
            *(figures.panel(scores, level, **{**COARSE, "set": level}) for level in stages.SCORED_LEVELS),
            figures.panel(scores, "five shots", x=5, line=(0.2, "chance"), **few),
            columns=2,
        ),
        "people": teachers(people),
    }


def test_figures_are_narrow_readable_counted_headed_closed_and_leave_their_table_as_it_is(scores, people):
    before = scores.copy()
    for name, figure in every(scores, people).items():
        assert figure.get_figwidth() <= 4.8 and not plt.get_fignums()
        assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 10
        assert all("n = 900 " in head(axes) for axes in figure.axes)
        simulated = [text for text in texts(figure) if text.startswith("Simulated observers, not people")]
        assert len(simulated) == (name != "people")
        assert "People's judgments; run things" in html.unescape(figure.foot) or simulated
    pd.testing.assert_frame_equal(scores, before)


def test_a_figure_is_the_same_text_each_time(scores, people):
    again = every(scores, people)
    for name, figure in every(scores, people).items():
        shown = figure._repr_html_()
        assert shown == again[name]._repr_html_()
        assert "Matplotlib" not in shown and "<dc:date>" not in shown


def test_nothing_that_is_drawn_leaves_the_figure(scores, people):
    for name, figure in every(scores, people).items():
        figure.draw_without_rendering()
        box = figure.get_tightbbox()
        assert (
            box.x0 >= 0
            and box.x1 <= figure.get_figwidth()
            and box.y0 >= 0
            and box.y1 <= figure.get_figheight()
        ), name


def test_a_figure_stands_in_a_page_with_its_words_its_own_ids_and_the_pages_colour(scores, people):
    shown = {name: figure._repr_html_() for name, figure in every(scores, people).items()}
    ids = {name: set(re.findall(r' id="([^"]+)"', text)) for name, text in shown.items()}
    for one, other in itertools.combinations(ids, 2):
        assert not ids[one] & ids[other]
    for name, text in shown.items():
        svg = ElementTree.fromstring(re.search("<svg.*</svg>", text, re.DOTALL)[0])
        assert svg.get("role") == "img" and svg.get("fill") == "currentColor"
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', text)) <= ids[name]
        assert "<style" not in text and drawing.INK not in text and "white" not in text and "#ffffff" not in text
        assert "stroke: currentColor" in text


def test_the_words_of_a_figure_are_what_it_draws(scores):
    figure = figures.dots(figures.panel(scores, "coarse", **COARSE))
    values = [f"{name} {tables.number({'value': v, 'low': v - 0.01, 'high': v + 0.01, 'metric': 'accuracy'})}"
              for name, v in zip(SHOWN, (0.4, 0.41, 0.45, 0.38, 0.5), strict=True)]
    assert repr(figure) == figure.said == (
        f"coarse: odd-one-out accuracy (%): {'; '.join(values)}; people 80.0 (79.0 to 81.0). "
        f"Simulated observers, not people; run demo."
    )
    assert html.escape(figure.said) in figure._repr_html_()
    hovers = re.findall(r"<title>([^<]*)</title>", figure._repr_html_())
    assert hovers.count("aligned, aligned: 45.0 (44.0 to 46.0), n = 900") == 2
    assert "task=odd-one-out" in figure.foot and "show/figures.html#dots" in figure.foot


def test_shares_have_ticks_in_percent_and_correlations_have_not(scores):
    shares = figures.dots(figures.panel(scores, **COARSE))
    others = figures.dots(figures.panel(scores, task="similarity-judgments", metric="rsa-spearman"))
    for figure, name, tick in ((shares, "odd-one-out accuracy (%)", "40"), (others, "correlation of", "0.2")):
        figure.draw_without_rendering()
        (axes,) = figure.axes
        assert axes.get_xlabel().startswith(name) and tick in [t.get_text() for t in axes.get_xticklabels()]


def test_one_network_under_two_stages_is_drawn_once_and_two_values_of_it_are_refused():
    def drawn(value):
        table = odd_one_out(("global-coarse",), {"base": 0.4, "teacher-base": value, "aligned": 0.5})
        return figures.panel(table.assign(model=table["model"].replace("efficientnet-lite2", "m")), **COARSE)

    (axes,) = figures.dots(drawn(0.4)).axes
    assert labels(axes) == ["before", "aligned", "people"]
    with pytest.raises(HumalignError, match="not one score for each label of the stage 'teacher-base'"):
        figures.dots(drawn(0.3))


# ---- style -------------------------------------------------------------------------------------------------


def linear(colour):
    return np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)])


# Machado et al. (2009), without red or green cones; of linear light.
BLIND = {
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


def luminance(colour):
    return linear(colour) @ (0.2126, 0.7152, 0.0722) + 0.05


# White, and the ground of pages and of cells of the book in the dark.
@pytest.mark.parametrize("ground", ["#ffffff", "#121212", "#202020"])
def test_every_stage_has_a_colour_of_contrast_three_on_light_and_on_dark(ground):
    assert set(stages.STAGES) <= set(drawing.LOOKS)
    for stage, (colour, _) in drawing.LOOKS.items():
        if colour != drawing.INK:  # the colour of the page's text
            high, low = sorted((luminance(colour), luminance(ground)), reverse=True)
            assert high / low >= 3, stage


def test_every_name_has_a_marker_and_a_colour_of_its_own():
    looks = {stages.name(stage): looks for stage, looks in drawing.LOOKS.items()}
    assert len({marker for _, marker in looks.values()}) == len(looks)
    assert all(looks[stages.name(stage)] == drawing.LOOKS[stage] for stage in stages.STAGES)


@pytest.mark.parametrize("eyes", BLIND)
def test_the_main_stages_can_be_told_apart_without_red_or_green(eyes):
    seen = {stage: np.clip(np.array(BLIND[eyes]) @ linear(drawing.LOOKS[stage][0]), 0, 1) for stage in (*VALUES, "base-centred")}
    lab = {
        stage: rgb2lab((np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055)).reshape(1, 1, 3))
        for stage, c in seen.items()
    }
    for one, other in itertools.combinations(sorted({*VALUES, "base-centred"} - {"teacher-base"}), 2):
        assert deltaE_ciede2000(lab[one], lab[other]).item() > 10, (one, other)


def test_a_stage_without_a_colour_names_the_nearest_one():
    with pytest.raises(HumalignError, match=r"no colour .* the stage 'alined': did you mean 'aligned'"):
        drawing.look("alined")


# ---- panels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"metric": "acuracy"},
            "no scores to draw with task 'odd-one-out', metric 'acuracy', set 'global-coarse': ",
        ),
        ({"stages": ("base", "ridge")}, "no scores of the stage 'ridge' to draw with task 'odd-one-out'"),
        ({"by": "model", "names": {"m": "ours", "n": "theirs"}}, "no scores of the model 'n' to draw"),
        ({"compared": [("teacher", "base")]}, "no scores to draw with task"),
    ],
)
def test_missing_scores_are_one_clear_line(scores, given, said):
    with pytest.raises(HumalignError, match=said) as error:
        figures.panel(scores, **COARSE, **given)
    assert "\n" not in str(error.value) and "humalign run scores" in str(error.value)


def test_two_scores_of_one_place_are_an_error(scores):
    with pytest.raises(HumalignError, match=r"not one score for each label of .* name the set"):
        figures.dots(figures.panel(scores, **ACCURACY))
    with pytest.raises(HumalignError, match="not one score for each x of the stage 'base'"):
        figures.curves(figures.panel(scores, **ACCURACY), along="k")


def test_peoples_judgments_share_a_figure_with_nothing_else(scores, people):
    first = figures.panel(scores, **COARSE)
    second = figures.panel(people, task="odd-one-out", model="efficientnet-lite0")
    with pytest.raises(HumalignError, match="several kinds, human, simulated: draw people's judgments in"):
        figures.dots(first, second)
    taxonomy = figures.panel(
        made_up(("m", "base", "hierarchy", "same-group", "path", 0.1), evidence="taxonomy"),
        task="hierarchy",
        metric="path",
    )
    said = figures.dots(first, taxonomy).get_suptitle().replace("\n", " ")
    who = f"{stages.WHO['simulated']}; {stages.WHO['taxonomy']}"
    assert said == f"{who[0].upper()}{who[1:]}; run demo"


# ---- dots --------------------------------------------------------------------------------------------------


def test_dots_are_the_scores_with_their_intervals_in_the_order_of_the_stages(scores):
    (axes,) = figures.dots(figures.panel(scores, "coarse", **COARSE)).axes
    order = ["base", "unaligned", "aligned", "teacher-base", "teacher", "ceiling"]
    assert labels(axes) == [*SHOWN, "people"]
    found = sorted(points(axes), key=lambda point: -point[2])
    wanted = VALUES | {"ceiling": CEILING}
    assert [(stage, value) for stage, value, _ in found] == [
        (stage.removeprefix("teacher-"), pytest.approx(wanted[stage])) for stage in order
    ]
    assert sorted(bars(axes)) == [
        pytest.approx((value - 0.01, value + 0.01)) for value in sorted(wanted.values())
    ]
    assert dashed(axes) == [CEILING] and dotted(axes) == [pytest.approx(1 / 3)]
    assert head(axes) == "coarse, n = 900 triplets"
    assert "38.0" in texts(axes.figure)


def test_panels_side_by_side_share_their_labels_where_one_lacks_a_stage(scores):
    left = figures.panel(scores, **COARSE)
    right = figures.panel(scores, task="odd-one-out", set="class-boundary", stages=("teacher", "aligned"))
    one, other = figures.dots(left, right, columns=2).axes
    at = {stage: y for stage, _, y in points(one)}
    assert {stage: y for stage, _, y in points(other)} == {
        stage: at[stage] for stage in ("aligned", "teacher", "ceiling")
    }


def test_differences_stand_in_the_order_that_is_asked_and_have_the_line_of_none(scores):
    compared = [("teacher", "base"), ("aligned", "unaligned"), ("aligned", "base")]
    panel = figures.panel(scores, **COARSE, compared=compared)
    (axes,) = figures.dots(panel).axes
    assert labels(axes) == ["aligned − control", "aligned − before"]
    assert [value for _, value, _ in points(axes)] == pytest.approx([0.04, 0.05])
    assert dotted(axes) == [0] and axes.get_xlabel().replace("\n", " ") == (
        "odd-one-out accuracy, difference (percentage points)"
    )
    (axes,) = figures.dots(figures.panel(scores, **COARSE, metric="accuracy-above-base")).axes
    assert labels(axes) == ["aligned"] and "difference from base" in axes.get_xlabel()


def test_stages_of_one_label_stand_together_below_a_key_and_the_ceiling_comes_last(people):
    figure = teachers(people)
    above, below = figure.axes
    assert labels(below) == ["Lite0", "Lite2", "Lite0 + Lite2", "one of 900 people"]
    found = points(below)
    assert [stage for stage, _, _ in sorted(found, key=lambda point: -point[2])] == [
        *["base", "ridge", "teacher"] * 3,
        "ceiling",
    ]
    heights = sorted((y for *_, y in found), reverse=True)
    assert np.diff(heights) == pytest.approx([-1, -1, -1.6, -1, -1, -1.6, -1, -1, -1.6])
    assert dashed(above) == dashed(below) == [0.6]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["before", "ridge, published VICE", "teacher"]
    assert "dashed: one of 900 people" in figure.get_supxlabel().replace("\n", " ")


def test_names_choose_and_order_the_rows_and_further_scores_are_added(scores, people):
    names = {"efficientnet-lite2": "two", "efficientnet-lite0": "nought"}
    top = scores[(scores["stage"] == "ceiling") & (scores["set"] == "global-coarse")].assign(evidence="human")
    panel = figures.panel(
        people,
        task="similarity-judgments",
        metric="rsa-spearman",
        by="model",
        names=names,
        stages=("teacher",),
        also=top,
        band=(0.5, 0.55, "their range"),
    )
    figure = figures.dots(panel)
    (axes,) = figure.axes
    assert labels(axes) == ["two", "nought", "people"]
    assert sorted(dashed(axes)) == [0.6, CEILING]
    (band,) = axes.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.5, 0.55))
    assert "grey: their range" in figure.get_supxlabel().replace("\n", " ")


def test_a_low_slot_prints_no_values(scores):
    panel = figures.panel(scores, **COARSE)
    low, high = figures.dots(panel, slot=0.1), figures.dots(panel)
    assert low.get_figheight() < high.get_figheight()
    assert "38.0" not in texts(low) and "38.0" in texts(high)


# ---- groups ------------------------------------------------------------------------------------------------


def test_groups_are_one_panel_a_value_and_one_without_models_has_its_ceiling():
    table = odd_one_out(("class-boundary", "global-coarse", "local-fine"))
    table.loc[(table["set"] == "local-fine") & (table["stage"] != "ceiling"), ["value", "low", "high"]] = (
        math.nan
    )
    figure = figures.groups(table, "set", stages.LEVELS, **ACCURACY)
    assert [head(axes).split(",")[0].split("\n")[0] for axes in figure.axes] == list(stages.LEVELS)
    assert [dashed(axes) for axes in figure.axes] == [[CEILING]] * 3
    assert [stage for stage, *_ in points(figure.axes[2])] == ["ceiling"]
    assert len(figures.groups(table, "set", {"local-fine": "fine"}, **ACCURACY).axes) == 1


def test_without_scores_groups_say_so_or_are_an_error():
    table = odd_one_out()
    figure = figures.groups(table.iloc[:0], "split", **ACCURACY, otherwise="No run yet.")
    assert texts(figure) == ["No run yet."] and figure.axes == []
    assert len(figures.groups(table, "set", stages.LEVELS, otherwise="No run yet.", **ACCURACY).axes) == 2
    with pytest.raises(HumalignError, match=r"no scores to draw with .*'local-fine'"):
        figures.groups(table, "set", stages.LEVELS, **ACCURACY)


# ---- curves ------------------------------------------------------------------------------------------------


def test_curves_run_along_x_with_intervals_and_bands_and_name_their_ticks(scores):
    panel = figures.panel(
        scores, "groups", task="few-shot", set="group", line=(0.2, "chance"), stages=("base", "aligned")
    )
    figure = figures.curves(panel, along="k", log="x")
    (axes,) = figure.axes
    lines = {line.get_marker(): line for line in axes.lines if len(line.get_xdata()) == 4}
    assert list(lines) == [drawing.LOOKS[stage][1] for stage in ("base", "aligned")]
    for stage, line in zip(("base", "aligned"), lines.values(), strict=True):
        assert line.get_xdata() == pytest.approx([1, 2, 5, 10], rel=0.05)
        assert line.get_ydata() == pytest.approx([VALUES[stage] + k / 100 for k in (1, 2, 5, 10)])
    bands, segments = axes.collections[::2], axes.collections[1::2]
    assert len(bands) == len(segments) == 2
    ends = np.array([segment[:, 1] for segment in segments[0].get_segments()])
    assert ends == pytest.approx(
        np.array([[0.4 + k / 100 - 0.01, 0.4 + k / 100 + 0.01] for k in (1, 2, 5, 10)])
    )
    assert [text.get_text() for text in axes.get_xticklabels()] == [
        "1",
        "2",
        "5",
        "10",
    ] and axes.get_xscale() == "log"
    assert [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [0.2]
    assert head(axes) == "groups, n = 900 images" and "dotted: chance" in figure.get_supxlabel()


def test_curves_draw_a_ceiling_and_large_ticks_in_thousands():
    table = made_up(
        *(("m", "teacher", "learning-curve", f"{n} answers", "accuracy", 0.5) for n in (40000, 6221))
    )
    top = odd_one_out(("global-coarse",), {})
    figure = figures.curves(
        figures.panel(table, task="learning-curve", set="answers", also=top), along="answers", log="x"
    )
    (axes,) = figure.axes
    assert [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"] == [CEILING]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["6221", "40k"]
    assert figure.legends == [] and "dashed: people" in figure.get_supxlabel()
