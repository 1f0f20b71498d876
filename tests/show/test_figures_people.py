"""Figures, tables and sentences about real people, of made-up scores: complete, headed by whose judgments they are, able to say no."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from humalign.evaluation.scores import COLUMNS
from humalign.show import drawing, figures, figures_people, tables, tables_people

FIGURES = ("example_triplets", "unseen_objects", "learning_curves", "categories", "reliability", "dimensions_changed", "recovery",
           "photographs", "across_experiments")
MODELS = ("efficientnet-lite0", "efficientnet-lite2", "efficientnet-lite0+efficientnet-lite2")
GAIN = 0.05


def made_up(gain=GAIN):
    """A table with every row of the profile `things` that the book shows, in which maps are above the backbone by ``gain``."""
    rows = []

    def add(model, stage, task, split, metric, value, spread=0.02, n=900, evidence="human"):
        rows.append(("things", model, stage, task, split, metric, value, value - spread, value + spread, n, 0, evidence))

    clip, unseen = "clip-vit-b32", "unseen objects"
    add("people", "ceiling", "odd-one-out", "repeated triplets", "accuracy", 0.67, n=1000)
    for stage in tables_people.TOLD:
        base = stage in ("teacher-base", "observer")
        add(clip, stage, "odd-one-out", unseen, "accuracy", 0.48 + (not base) * gain)
        if not base:
            add(clip, stage, "odd-one-out", unseen, "accuracy-above-teacher-base", gain)
        if not base and stage != "teacher":
            add(clip, stage, "odd-one-out", unseen, "accuracy-above-teacher", 0.0)
    for stage in ("teacher-base", "teacher-one-hot", "teacher-published", "teacher-distilled", "teacher"):
        add(clip, stage, "calibration", unseen, "expected-calibration-error", 0.02, 0.01)
        if stage != "teacher-base":
            add(clip, stage, "calibration", unseen, "expected-calibration-error-above-teacher-base", -gain)
        for step in range(8):
            add(clip, stage, "calibration", f"step {step}", "confidence", 0.37 + 0.08 * step, 0.002, 100 + step)
            add(clip, stage, "calibration", f"step {step}", "accuracy", 0.38 + 0.07 * step, 0.02, 100 + step)
    for stage in ("teacher-base", "teacher"):
        gained = gain * (stage == "teacher")
        for number, name in enumerate(("bird", "home decor", "tool")):
            add(clip, stage, "odd-one-out", f"category/{name}", "accuracy", 0.5 + gained * (1 + number))
            if stage == "teacher":
                add(clip, stage, "odd-one-out", f"category/{name}", "accuracy-above-teacher-base", gained * (1 + number))
        for d in range(20):
            add(clip, stage, "dimensions", f"a{d}, b{d}, c{d}", "similarity", 0.3 + d * gained, 0.1, 90)
            if stage == "teacher":
                add(clip, stage, "dimensions", f"a{d}, b{d}, c{d}", "similarity-above-teacher-base", d * gained, 0.01, 90)
    for place in ("clear", "typical", "open"):
        for pair in ("cat + dog | car", "cat + car | dog", "dog + car | cat"):
            add("people", "ceiling", "example-triplet", f"{place}: {pair}", "share", 1 / 3, n=40)
            for stage in ("teacher-base", "teacher"):
                add(clip, stage, "example-triplet", f"{place}: {pair}", "probability", 1 / 3, 0, 1)
    for kind, sizes in {"answers": (6221, 49767, 99534), "objects": (309, 618, 1236)}.items():
        for size in sizes:
            add(clip, "teacher", "learning-curve", f"{size} {kind}", "accuracy", 0.5 + size / 1e6)
            if size != sizes[-1]:
                add(clip, "teacher", "learning-curve", f"{size} {kind}", "accuracy-above-all", -gain)
    for answers in (2500, 40000, 640000):
        add(clip, "teacher", "recovery", f"{answers} answers", "similarity-pearson", 0.7, n=618, evidence="simulated")
    add("vice", "observer", "observer-model", "298509 answers", "dimensions", 47, 0, 1)
    for model, stage, split in (
        ("vice", "observer", "298509 answers"), ("vice-published", "observer", "published"), (clip, "teacher", "298509 answers"),
    ):
        for metric in ("accuracy", "share-pearson", "entropy-pearson"):
            add(model, stage, "observer-model", split, metric, 0.6)
    for place in (1, 2):
        add("vice", "observer", "vice-dimensions", f"{place}: cat, dog, cow", "share-of-weight", 0.1)
        add("vice", "observer", "vice-dimensions", f"{place}: cat, dog, cow", "nearest-published-pearson", 0.9)
    for bound, value in (("lower", 0.48), ("upper", 0.57)):
        for metric in ("rsa", "rsa-each-person"):
            add("people", "ceiling", "similarity-judgments", "92 photographs", f"{metric}-{bound}", value, n=16)
    photographs = {
        "92 photographs, unseen": (("odd-one-out", "accuracy"), ("similarity-judgments", "rsa-spearman")),
        "THINGS photographs, unseen": (("odd-one-out", "accuracy"), ("odd-one-out-vice", "accuracy"), ("similarity-vice", "rsa-spearman")),
        tables_people.ACROSS: (
            ("odd-one-out", "accuracy"), ("similarity-judgments", "rsa-spearman"), ("similarity-judgments", "rsa-each-person"),
        ),
    }
    for split, measures in photographs.items():
        for task, metric in measures:
            if split.startswith("92") and metric != "rsa-each-person":
                add("people", "ceiling", task, split, metric, 0.6, n=16)
            for model in MODELS:
                for stage in ("teacher-base", "ridge", "teacher") if split == tables_people.ACROSS else ("teacher-base", "teacher"):
                    add(model, stage, task, split, metric, 0.4 + (stage != "teacher-base") * gain)
                    if stage != "teacher-base":
                        add(model, stage, task, split, f"{metric}-above-teacher-base", gain)
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture(scope="module")
def scores():
    return made_up()


def said(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


# ---- figures ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_narrow_readable_counted_headed_and_the_same_on_every_run(name, scores, tmp_path):
    draw = getattr(figures_people, name)
    before = scores.copy()
    figure = draw(scores)
    assert isinstance(figure, Figure) and not plt.get_fignums()
    assert figure.get_figwidth() <= 7
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 9
    assert all("n = " in axes.get_title(loc="left") for axes in figure.axes)
    judges = "Simulated observers, not people" if name == "recovery" else "Real people's judgments"
    assert f"{judges} (run of the profile things)" in said(figure)
    pd.testing.assert_frame_equal(scores, before)
    for number in (1, 2):
        figures.save(draw(scores), tmp_path / f"{number}.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_people_and_simulated_observers_never_share_a_figure(scores):
    with pytest.raises(ValueError, match="evidence of several kinds, human, simulated"):
        figures_people.heading(scores)


def test_points_of_a_group_are_the_scores_of_its_stages(scores):
    axes = figures_people.across_experiments(scores).axes[1]
    stage = {marker: name for name, marker in drawing.MARKERS.items()}
    drawn = [(stage[line.get_marker()], float(line.get_xdata()[0])) for line in axes.lines if line.get_marker() in stage]
    one_model = [("teacher-base", 0.4), ("ridge", 0.4 + GAIN), ("teacher", 0.4 + GAIN)]
    assert drawn == [(name, pytest.approx(value)) for name, value in [*one_model * 3, ("ceiling", 0.6)]]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["lite0", "lite2", "lite0 + lite2", "one of 16 people"]


def test_every_panel_of_an_accuracy_has_its_ceiling_drawn(scores):
    def dashed(axes):
        return [float(line.get_xdata()[0]) for line in axes.lines if line.get_linestyle() == "--"]

    assert [dashed(axes) for axes in figures_people.across_experiments(scores).axes] == [[0.6], [0.6]]
    assert [dashed(axes) for axes in figures_people.photographs(scores).axes] == [[0.6], [0.6], [0.67], []]
    assert dashed(figures_people.categories(scores).axes[0]) == dashed(figures_people.unseen_objects(scores).axes[0]) == [0.67]
    for axes in figures_people.learning_curves(scores).axes:
        assert [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"] == [0.67]


def test_categories_and_dimensions_stand_in_the_order_of_their_gain(scores):
    labels = [text.get_text() for text in figures_people.categories(scores).axes[0].get_yticklabels()]
    assert labels == ["tool (900)", "home decor (900)", "bird (900)", "people agree"]
    figure = figures_people.dimensions_changed(scores, most=2, least=1)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["a19, b19, c19", "a18, b18, c18", "a0, b0, c0"]
    assert figure.axes[0].get_title(loc="left").startswith("of 20 dimensions, 2 that gained most\nand 1 that")


def test_reliability_draws_every_step_of_confidence(scores):
    axes = figures_people.reliability(scores).axes[3]
    drawn = axes.collections[-1].get_offsets()
    assert np.allclose(drawn, [[0.37 + 0.08 * step, 0.38 + 0.07 * step] for step in range(8)])
    assert axes.get_title(loc="left").startswith("teacher, error 0.020")


def test_the_triplets_are_named_by_the_pair_that_is_kept(scores):
    assert "cat + dog\nnot car" in said(figures_people.example_triplets(scores))


# ---- tables ----------------------------------------------------------------------------------------------------------

def test_the_predecessors_row_stands_beside_any_run_and_is_left_out_where_it_is_not_recorded(scores, tmp_path):
    rows = scores[scores["stage"] == "predecessor"]
    without = scores[scores["stage"] != "predecessor"]
    rows.to_csv(tmp_path / "predecessor.csv", index=False)
    beside = tables_people.with_predecessor(without, tmp_path / "predecessor.csv")
    assert tables_people.teachers(beside).frame["stage"].tolist() == [*tables_people.TOLD, "ceiling"]
    assert tables_people.with_predecessor(without, tmp_path / "none.csv") is without


def test_tables_have_a_line_for_every_stage_and_a_dash_where_there_is_no_score(scores):
    teachers = tables_people.teachers(scores).frame
    assert teachers["stage"].tolist() == [*tables_people.TOLD, "ceiling"]
    assert teachers.set_index("stage").loc["teacher-base", "less teacher-base"] == tables.EMPTY
    assert tables_people.calibration(scores).frame["stage"].tolist() == [
        "teacher-base", "teacher-one-hot", "teacher-distilled", "teacher", "teacher-published"]
    assert tables_people.observers(scores).frame["dimensions"].tolist() == ["47", tables.EMPTY, tables.EMPTY]
    assert tables_people.dimensions(scores, most=1).frame["highest objects"].tolist() == ["cat, dog, cow"]
    assert tables_people.dimensions(scores, most=1).caption.startswith("The 1 largest of the 2 dimensions")
    across = tables_people.across(scores).frame
    assert len(across) == 3 * len(MODELS) + 1 and across.iloc[-1]["model"] == "people"
    assert across.iloc[-1]["RSA, each person"] == "bounds 0.480 [0.460, 0.500] and 0.570 [0.550, 0.590]"


# ---- sentences -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("gain", "way", "counted"), [
    (0.05, "above", "above zero for 3 of 3 backbones, below it for 0 and across it for 0"),
    (-0.05, "below", "above zero for 0 of 3 backbones, below it for 3 and across it for 0"),
    (0.0, "not distinguishable from", "above zero for 0 of 3 backbones, below it for 0 and across it for 3")])
def test_gains_are_said_by_their_paired_intervals(gain, way, counted):
    scores = made_up(gain)
    assert tables_people.paired(scores, "teacher", "teacher-base", **tables_people.UNSEEN).startswith(f"teacher is {way} teacher-base")
    where = {"task": "odd-one-out", "split": tables_people.ACROSS, "stage": "teacher", "metric": "accuracy-above-teacher-base"}
    assert tables_people.counts(scores, "backbones", **where) == counted
    with pytest.raises(KeyError, match="no score fits"):
        tables_people.counts(scores, "backbones", task="nothing")
    lost = {0.05: "below", -0.05: "above", 0.0: "not distinguishable from"}[gain]
    assert tables_people.halved(scores, "answers").startswith(f"with 49,767 answers the teacher is {lost} itself")
    assert tables_people.halved(scores, "objects").startswith(f"with 618 objects the teacher is {lost} itself")


def test_a_stage_is_set_beside_one_person_by_intervals(scores):
    where = {"task": "odd-one-out", "split": tables_people.ACROSS, "metric": "accuracy"}
    assert "above that of one person, 0.600 [0.580, 0.620], for 0 of 3 backbones and below it for 3" in (
        tables_people.against_people(scores, "teacher", **where))
    assert "for 3 of 3 backbones and below it for 0" in tables_people.against_people(made_up(0.5), "teacher", **where)


def test_likeness_to_the_published_dimensions_is_said_by_the_interval(scores):
    assert tables_people.alike(scores).startswith("2 of 2 dimensions, with 20% of the weight")
    assert tables_people.alike(scores, least=0.89).startswith("0 of 2 dimensions, with 0% of the weight")


def test_the_covered_share_and_the_extremes_are_those_of_the_scores(scores):
    assert tables_people.covered(scores) == pytest.approx(GAIN / (0.67 - 0.48))
    where = {"task": "odd-one-out", "metric": "accuracy-above-teacher-base", "split": ["category/tool", "category/bird"]}
    assert tables_people.extremes(scores, **where)["largest"].startswith("tool (0.150")
    assert tables_people.extremes(scores, **where)["smallest"].startswith("bird (0.050")
