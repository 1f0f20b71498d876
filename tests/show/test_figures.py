"""Figures and tables of made-up scores: complete, in one style, the same on every run, and able to say no."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from humalign.errors import HumalignError
from humalign.evaluation.scores import COLUMNS
from humalign.show import drawing, figures, tables

FIGURES = ("overview", "calibration", "pull_selection", "teacher_gain", "triplet_labels", "training_curves", "teacher_agreement", "levels",
           "gains", "similarity", "uncertainty", "hierarchy", "few_shot", "style_shift", "same_concept")
GAIN = 0.05


def made_up(gain=GAIN):
    """A table with every row that a run has, in which a fitted stage is above its references by ``gain``."""
    rows = []

    def add(stage, task, split, metric, value, spread=0.01, n=900):
        rows.append(("demo", "model", stage, task, split, metric, value, value - spread, value + spread, n, 0, "simulated"))

    for level in (*figures.SHOWN_LEVELS, "local-fine"):
        for subset in figures.SUBSETS if level != "local-fine" else ("",):
            add("ceiling", "odd-one-out", level + subset, "accuracy", 0.8)
            for stage in drawing.STAGES:
                fitted = stage in ("aligned", "teacher")
                add(stage, "odd-one-out", level + subset, "accuracy", np.nan if level == "local-fine" else 0.4 + fitted * gain)
            for stage, reference in figures.PAIRS if level != "local-fine" else ():
                add(stage, "odd-one-out", level + subset, f"accuracy-above-{reference}", gain if stage != "unaligned" else 0.0, 0.02)
    for stage in drawing.STAGES:
        add(stage, "similarity-judgments", "held-out", "rsa-spearman", 0.2)
        add(stage, "style-shift", "same-concept", "nearest-neighbour", 0.2)
        for level in figures.SHOWN_LEVELS:
            add(stage, "uncertainty", level, "entropy-spearman", 0.1)
            add(stage, "uncertainty", level, "cross-entropy", 1.0)
        for relation in figures.RELATIONS:
            add(stage, "hierarchy", relation, "standardised-distance", -0.5)
            if stage in ("aligned", "unaligned", "teacher"):
                add(stage, "hierarchy", relation, "change-from-base", -gain, 0.02)
        for split in ("group/1-shot", "group/2-shot", "group/5-shot", "subgroup/1-shot", "subgroup/5-shot"):
            for task in ("few-shot", "style-shift"):
                add(stage, task, split, "accuracy", 0.3)
        if stage in ("base", "unaligned", "aligned"):
            add(stage, "distillation", "held-out", "agreement-with-teacher", 0.6)
    for stage in ("unaligned", "aligned"):
        for step in (0, 50, 99):
            add(stage, "distillation", f"step {step}", "divergence", 0.02 - step / 1e4, 0.002, 3)
    for stage in ("teacher-base", "teacher"):
        add(stage, "triplets", "cluster-border", "label-entropy", 0.9, n=3)
        add(stage, "triplets", "cluster-border", "pair-in-one-subgroup", 0.5, n=3)
    add("teacher", "triplets", "cluster-border", "same-choice", 0.7, n=3)
    add("ceiling", "calibration", "random triplets", "majority-share", 0.67)
    add("ceiling", "calibration", "random triplets", "choice-entropy", 0.73)
    for pull in ("0.002", "0.001"):
        add("teacher", "pull-selection", pull, "accuracy", 0.45, n=3)
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture(scope="module")
def scores():
    return made_up()


# ---- figures ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_narrow_readable_counted_closed_and_the_same_on_every_run(name, scores, tmp_path):
    draw = getattr(figures, name)
    before = scores.copy()
    figure = draw(scores)
    assert isinstance(figure, Figure) and not plt.get_fignums()
    assert figure.get_figwidth() <= 7
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 9
    assert all("n = " in axes.get_title(loc="left") for axes in figure.axes)
    pd.testing.assert_frame_equal(scores, before)
    for number in (1, 2):
        figures.save(draw(scores), tmp_path / f"{number}.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()
    assert b"Software" not in (tmp_path / "1.png").read_bytes()


def points(axes):
    """The values drawn on one pair of axes, by the stage that their marker stands for."""
    stage = {marker: name for name, marker in drawing.MARKERS.items()}
    return {stage[line.get_marker()]: float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() in stage}


def test_points_and_bars_are_the_scores(scores):
    axes = figures.levels(scores).axes[0]
    wanted = dict.fromkeys(drawing.STAGES, 0.4) | dict.fromkeys(("aligned", "teacher"), 0.4 + GAIN) | {"ceiling": 0.8}
    assert points(axes) == pytest.approx(wanted)
    bars = [tuple(line.get_xdata()) for line in axes.lines if line.get_marker() == "None" and len(set(line.get_xdata())) == 2]
    assert any(bar == pytest.approx((0.79, 0.81)) for bar in bars) and len(bars) == len(drawing.STAGES) + 1


def test_every_panel_of_odd_one_out_has_its_ceiling(scores):
    for draw, panels in ((figures.overview, 2), (figures.levels, 3), (figures.teacher_gain, 6)):
        for axes in draw(scores).axes[:panels]:
            assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"] == [0.8]


def test_the_empty_level_says_why_and_the_overview_says_who_judged(scores):
    said = [text.get_text().replace("\n", " ") for text in figures.levels(scores).axes[2].texts]
    assert any("no picture can show" in text for text in said)
    assert points(figures.levels(scores).axes[2]) == {"ceiling": 0.8}
    assert "Simulated observers" in figures.overview(scores).get_suptitle()


def test_stages_differ_by_marker_and_within_a_family_by_luminance():
    assert len(set(drawing.MARKERS.values())) == len(drawing.MARKERS) == len(drawing.COLOURS)
    light = {stage: np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)) for stage, colour in drawing.COLOURS.items()}
    assert min(light["base"], light["unaligned"]) > light["aligned"] + 0.1
    assert light["teacher-base"] > light["teacher"] + 0.1


def test_a_figure_without_its_scores_says_which_are_missing(scores):
    with pytest.raises(KeyError, match="rsa-spearman"):
        figures.similarity(scores[scores["task"] != "similarity-judgments"])


def test_pictures_are_drawn_in_both_styles():
    figure = figures.pictures(["apple", "tiger"])
    assert len(figure.axes) == 4 and not plt.get_fignums()
    drawn = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert not np.array_equal(drawn[0], drawn[2]) and not np.array_equal(drawn[0], drawn[1])
    with pytest.raises(HumalignError, match="no concept 'aple': did you mean 'apple'"):
        figures.pictures(["aple"])


# ---- tables ----------------------------------------------------------------------------------------------------------

def test_a_number_carries_its_interval_and_an_empty_one_is_a_dash():
    assert tables.number({"value": 0.38366, "low": -0.3720, "high": 0.3959}) == "0.384 [−0.372, 0.396]"
    assert tables.number({"value": np.nan, "low": np.nan, "high": np.nan}) == "—"


def test_the_table_of_levels_has_every_stage_in_order_and_empty_cells(scores):
    frame = tables.levels(scores).frame
    assert frame["stage"].tolist() == [*drawing.STAGES, "ceiling"]
    assert frame["local-fine"].tolist() == ["—"] * len(drawing.STAGES) + ["0.800 [0.790, 0.810]"]


def test_a_table_is_escaped_and_has_no_random_part():
    table = tables.Table(pd.DataFrame({"a<b": ["<x>", "1 & 2"]}), "who's")
    assert table._repr_html_() == tables.Table(table.frame, table.caption)._repr_html_()
    assert "<td>&lt;x&gt;</td>" in table._repr_html_() and "<p>who&#x27;s</p>" in table._repr_html_()
    assert repr(table).splitlines()[0] == "who's"


def test_two_scores_for_one_cell_are_an_error(scores):
    with pytest.raises(KeyError, match="expected one for each stage and split"):
        tables.scores_table(scores, rows="stage", columns="split", task="uncertainty")


def test_the_summary_names_every_evaluation_and_the_sources_every_licence(scores):
    assert tables.summary(scores).frame["measure"].tolist() == list(tables.SUMMARY)
    assert tables.summary(scores).frame.columns.tolist() == ["measure", *figures.MAIN, "ceiling"]
    assert tables.sources().frame["licence"].str.len().min() > 2


# ---- sentences -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("gain", "start"), [(GAIN, "Yes: "), (0.0, "No: "), (-GAIN, "No: ")])
def test_the_verdict_follows_the_paired_intervals(gain, start):
    said = tables.verdict(made_up(gain))
    assert said.startswith(start) and "simulated observers" in said


def test_a_verdict_that_holds_in_part_names_what_fails():
    scores = made_up()
    failing = (scores["stage"] == "aligned") & (scores["split"] == "class-boundary") & (scores["metric"] == "accuracy-above-base")
    scores.loc[failing, "low"] = -0.01
    said = tables.verdict(scores)
    assert said.startswith("In part: ") and "9 of 10" in said and "aligned over base at class-boundary" in said


@pytest.mark.parametrize(("gain", "way", "overlap"), [
    (0.05, "above", "do not overlap"), (-0.05, "below", "do not overlap"), (0.01, "not distinguishable from", "overlap")])
def test_differences_are_said_by_their_interval(gain, way, overlap):
    said = tables.difference(made_up(gain), "global-coarse", "aligned", "base")
    assert f"aligned is {way} base" in said and said.endswith(f"accuracies {overlap}")


def test_standing_counts_settings_by_their_intervals(scores):
    changed = scores.copy()
    changed.loc[(scores["stage"] == "aligned") & (scores["split"] == "group/1-shot"), ["value", "low", "high"]] += 0.1
    said = tables.standing(changed, "aligned", "base", task="few-shot")
    assert "above it in 1 (group/1-shot) and below it in none" in said
    assert "not clearly apart" in tables.standing(scores, "aligned", "base", task="similarity-judgments")
    with pytest.raises(KeyError, match="same splits"):
        tables.standing(scores, "aligned", "base", task="nothing")


def test_headline_has_what_the_introduction_quotes(scores):
    wanted = {f"{stage}-{level}" for stage in (*figures.MAIN, "ceiling") for level in ("coarse", "boundary")}
    assert wanted <= tables.headline(scores).keys()
    assert tables.headline(scores)["ceiling-coarse"] == "0.800 [0.790, 0.810]"


@pytest.mark.parametrize(("gain", "way"), [(0.05, "come nearer"), (-0.05, "move apart"), (0.0, "neither")])
def test_changes_of_distance_are_said_by_their_interval(gain, way):
    assert way in tables.change(made_up(gain), "same-group", "aligned")
