"""Figures, tables and sentences about students on real people, of made-up scores: complete, headed, able to say no."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from test_figures_people import made_up as of_teachers

from humalign.evaluation.scores import COLUMNS
from humalign.show import drawing, figures, figures_hierarchy, figures_students, tables, tables_hierarchy, tables_models, tables_students

FIGURES = {
    **dict.fromkeys(("similarity_judgments", "unseen_photographs", "soft_labels"), "Real people's judgments"),
    **{"dense_against_sparse": figures_students.TEACHERS, "models_alike": figures_students.MODELS},
    **dict.fromkeys(("few_shot", "few_shot_change", "corruption", "corruption_change"), figures_students.LABELS),
    "relations": figures_hierarchy.CATEGORIES,
}
REFERENCES = {"teacher": ("teacher-base",), "unaligned": ("base",), "aligned-head": ("base", "unaligned"),
              "aligned": ("base", "unaligned", "aligned-head")}
SPREAD = 0.01


def made_up(gain=0.05, cost=-0.018, share=0.3):
    """A table with every row that the sections on students show: `aligned` is above the others by ``gain``, in few shots by ``cost``."""
    rows = []

    def add(stage, task, split, metric, value, n, evidence="human", spread=SPREAD, model="efficientnet-lite0"):
        rows.append(("things", model, stage, task, split, metric, value, value - spread, value + spread, n, 0, evidence))

    def compared(where, level, change, n, evidence="human", stages=tables_students.STAGES, **model):
        values = {stage: level + change * (stage in ("aligned", "teacher")) for stage in stages}
        for stage, value in values.items():
            add(stage, where["task"], where["split"], where["metric"], value, n, evidence, **model)
            for reference in REFERENCES.get(stage, ()):
                if reference in values:
                    metric = f"{where['metric']}-above-{reference}"
                    add(stage, where["task"], where["split"], metric, value - values[reference], n, evidence, **model)

    compared(tables_students.SIMILARITY, 0.34, gain, 92)
    for where, n in ((tables_students.ANSWERS, 400), (tables_students.VICE, 278)):
        compared(where, 0.45, gain, n, stages=tables_students.MAIN)
    # Not in their order: the tables and figures have to sort them.
    for k in (10, 1, 2, 5):
        for name in tables_students.SETS:
            for metric in ("accuracy", "accuracy-nearest-mean"):
                compared({"task": "few-shot", "split": f"{name}/{k}-shot", "metric": metric}, 0.4 + k / 50, cost * k / 10, 1000, "labels")
        for metric in tables_students.SOFT_LABELS:
            compared({"task": "soft-labels", "split": f"cifar10/{k}-shot", "metric": metric}, 0.5, gain, 1000)
    # Not in their order either.
    for split in ("clean", "all", "severity 2", "severity 1", "gaussian-noise", "jpeg"):
        where = {"task": "corruption", "split": f"cifar10/{split}", "metric": "accuracy"}
        compared(where, 0.5 - 0.1 * (split == "severity 2"), cost, 90, "labels")
    compared({**tables_students.CORRUPTED, "metric": "loss"}, 0.1, -cost, 90, "labels")
    for name, relations in tables_hierarchy.RELATIONS.items():
        for level, relation in enumerate(relations):
            where = {"task": "hierarchy", "split": f"{name}/{relation}", "metric": "standardised-distance"}
            compared(where, level - 1, -gain, 900, "taxonomy", tables_students.MAIN)
    for pair in ("lite0 & lite2", "lite1 & lite2", "all pairs", "lite0 & its teacher", "lite0 & lite2 as it is"):
        student = pair.startswith("lite0 &") and pair != "lite0 & lite2"
        for metric in tables_models.MODELS_ALIKE:
            change = -gain if pair == "lite1 & lite2" or pair.endswith("as it is") else gain
            stages = tables_students.STAGES if student else ("teacher-base", "teacher")
            compared({"task": "between-models", "split": "92 photographs", "metric": metric}, 0.7, change, 92, "labels", stages, model=pair)
    for kind, counts in {"dense": (0, 1000, 2000), "sparse": (0, 1000, 2000, 6000)}.items():
        for images in counts:
            value = 0.6 + images / 1e4 * (2 if kind == "dense" else 1) / 3
            add("aligned", "dense-against-sparse", f"{kind}/{images} images", "agreement-with-teacher", value, 5, "labels")
    add("aligned", "dense-against-sparse", "equal agreement", "share-of-images", share, 5, "labels")
    return pd.concat([of_teachers(), pd.DataFrame(rows, columns=list(COLUMNS))], ignore_index=True)


@pytest.fixture(scope="module")
def scores():
    return made_up()


def points(axes):
    """The values drawn on one pair of axes, by the stage that their marker stands for."""
    stage = {marker: name for name, marker in drawing.MARKERS.items()}
    return [(stage[line.get_marker()], float(line.get_xdata()[0])) for line in axes.lines if line.get_marker() in stage]


# ---- figures ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_narrow_readable_counted_headed_and_the_same_on_every_run(name, scores, tmp_path):
    draw = getattr(figures_hierarchy if name == "relations" else figures_students, name)
    before = scores.copy()
    figure = draw(scores)
    assert isinstance(figure, Figure) and not plt.get_fignums()
    assert figure.get_figwidth() <= 7
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 9
    assert all("n = " in axes.get_title(loc="left") for axes in figure.axes)
    assert f"{FIGURES[name]} (run of the profile things)" in [text.get_text() for text in figure.findobj(Text)]
    pd.testing.assert_frame_equal(scores, before)
    for number in (1, 2):
        figures.save(draw(scores), tmp_path / f"{number}.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_similarity_has_peoples_range_behind_it_and_its_differences_below(scores):
    above, below = figures_students.similarity_judgments(scores).axes
    (band,) = above.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.48, 0.57))
    assert points(above) == [*[(stage, pytest.approx(0.34)) for stage in ("base", "unaligned", "aligned-head")],
                             ("aligned", pytest.approx(0.39)), ("teacher", pytest.approx(0.45))]
    labels = [text.get_text() for text in below.get_yticklabels()]
    assert labels == ["unaligned − base", "aligned-head − base", "aligned − aligned-head", "aligned − unaligned", "aligned − base"]
    assert [value for _, value in points(below)] == pytest.approx([0, 0, 0.05, 0.05, 0.05])


def test_answers_have_the_noise_ceiling_and_vice_has_none(scores):
    axes = figures_students.unseen_photographs(scores).axes
    dashed = [[line.get_xdata()[0] for line in each.lines if line.get_linestyle() == "--"] for each in axes]
    assert dashed == [[0.67], [], [], []]


def test_courses_run_along_shots_and_images_in_their_order(scores):
    for axes in figures_students.few_shot(scores).axes:
        for container in axes.containers:
            assert np.all(np.diff(sorted(container.lines[0].get_xdata())) > 0)
    (axes,) = figures_students.dense_against_sparse(scores).axes
    assert axes.get_lines()[0].get_xdata().tolist() == [0, 1, 2]
    labels = [text.get_text() for text in figures_students.few_shot_change(scores).axes[0].get_yticklabels()]
    assert labels == ["1-shot", "2-shot", "5-shot", "10-shot"]


# ---- tables ----------------------------------------------------------------------------------------------------------

def test_tables_hold_every_measure_with_a_dash_where_there_is_no_score(scores):
    agreement = tables_students.agreement(scores).frame.set_index("measure")
    assert agreement["people"].tolist() == ["0.480 [0.460, 0.500] and 0.570 [0.550, 0.590]", "0.670 [0.650, 0.690]", tables.EMPTY]
    assert agreement["aligned-head"].tolist() == ["0.340 [0.330, 0.350]", tables.EMPTY, tables.EMPTY]
    differences = tables_students.agreement_differences(scores).frame
    assert differences["aligned less base"].tolist() == ["0.050 [0.040, 0.060]"] * 3
    assert tables_students.soft_labels(scores).frame["shots"].tolist() == ["1", "2", "5", "10"] * 3
    few = tables_students.few_shot(scores, "nearest-mean")
    assert few.frame["aligned less base"].tolist()[3] == "−0.018 [−0.028, −0.008]" and "nearest mean" in few.caption
    assert "logistic regression" in tables_students.few_shot(scores).caption


def test_further_students_have_a_table_of_their_own_and_enter_no_other(scores):
    second = scores[(scores["model"] == "efficientnet-lite0") & scores["stage"].isin(tables_students.MAIN)].copy()
    second["model"] = "efficientnet-lite1"
    both = pd.concat([scores, second], ignore_index=True)
    assert tables_students.students(both) == ["efficientnet-lite0", "efficientnet-lite1"]
    pd.testing.assert_frame_equal(tables_students.of_student(both), scores)
    left = tables_students.of_student(both, "efficientnet-lite1")
    aligned = set(left.loc[left["stage"] == "aligned", "model"])
    assert "efficientnet-lite1" in aligned and "efficientnet-lite0" not in aligned
    frame = tables_students.each_student(both).frame
    assert frame["student"].tolist() == ["lite0"] * 5 + ["lite1"] * 5
    assert frame.loc[frame["student"] == "lite0"].drop(columns="student").values.tolist() == (
        frame.loc[frame["student"] == "lite1"].drop(columns="student").values.tolist()
    )
    assert not (frame == tables.EMPTY).any(axis=None)
    said = "is above base (0.050 [0.040, 0.060])"
    assert tables_students.gains_by_student(both, "base") == f"lite0 {said}; lite1 {said}"


def test_the_table_of_human_evidence_holds_no_other(scores):
    frame = tables_students.human_evidence(scores.assign(value=scores["value"].where(scores["evidence"] == "human"))).frame
    assert len(frame) == 6 and not (frame == tables.EMPTY).any(axis=None)
    assert frame["measure"].str.contains("10-shot").sum() == 3


def test_hierarchy_has_every_relation_with_the_change_from_base_beside_it(scores):
    frame = tables_hierarchy.relations(scores).frame
    assert frame["pairs"].tolist() == ["share a category", "share none", "one class", "one kind", "two kinds"]
    assert frame["aligned less base"].tolist() == ["−0.050 [−0.060, −0.040]"] * 5
    left, right = figures_hierarchy.relations(scores).axes[:2]
    assert points(left)[:3] == [("base", -1), ("unaligned", -1), ("aligned", pytest.approx(-1.05))]
    assert points(right)[:2] == [("unaligned", 0), ("aligned", pytest.approx(-0.05))]


def test_corruptions_stand_after_the_severities_in_their_order(scores):
    frame = tables_students.corruption(scores).frame
    titles = ["clean", "severity 1", "severity 2", "all corruptions", "gaussian noise", "jpeg", "clean less all corruptions"]
    assert frame["photographs"].tolist() == titles
    assert frame["aligned less base"].tolist()[-2:] == ["−0.018 [−0.028, −0.008]", "0.018 [0.008, 0.028]"]
    (axes,) = figures_students.corruption(scores).axes
    assert axes.get_lines()[0].get_xdata().tolist() == [0, 1, 2]
    labels = [text.get_text() for text in figures_students.corruption_change(scores).axes[0].get_yticklabels()]
    assert labels == ["clean", "gaussian noise", "jpeg"]


def test_models_beside_models_are_compared_before_and_after(scores):
    frame = tables_models.models_alike(scores).frame
    assert frame["models"].nunique() == 5 and set(frame["measure"]) == set(tables_models.MODELS_ALIKE.values())
    student = frame["models"].isin(["lite0 & its teacher", "lite0 & lite2 as it is"])
    assert not (frame[student] == tables.EMPTY).any(axis=None)
    assert (frame.loc[~student, ["control", "after less control"]] == tables.EMPTY).all(axis=None)
    labels = [text.get_text() for text in figures_students.models_alike(scores).axes[0].get_yticklabels()]
    assert labels == ["lite0\n& lite2", "lite1\n& lite2", "all pairs", "student lite0\n& its teacher", "student lite0\n& lite2 as it is"]


# ---- sentences -------------------------------------------------------------------------------------------------------

def test_the_verdict_can_say_yes_in_part_and_no():
    assert tables_students.verdict(made_up()).startswith("Yes: by real people's judgments")
    no = tables_students.verdict(made_up(gain=-0.05))
    assert no.startswith("No:") and no.count("a loss") == 6
    assert tables_students.verdict(made_up(gain=0.0)).startswith("No:")
    mixed = made_up()
    lost = (mixed["task"] == "odd-one-out") & (mixed["metric"] == "accuracy-above-unaligned")
    mixed.loc[lost, "low"] = -0.01
    said = tables_students.verdict(mixed)
    assert said.startswith("In part:") and "5 of the aligned student's 6 gains" in said
    assert said.endswith("not so over unaligned in odd-one-out answers about THINGS photographs (0.050 [−0.010, 0.060]).")


def test_a_cost_is_said_with_the_shots_at_which_it_is_sure(scores):
    said = tables_students.by_shots(scores, "aligned", "base", "textures")
    assert said == ("of 4 numbers of shots, aligned is above base at none and below it at 1 (10); "
                    "the largest difference is −0.018 [−0.028, −0.008], at 10")
    assert "above base at 2 (5, 10) and below it at none" in (
        tables_students.by_shots(made_up(cost=0.03), "aligned", "base", "textures"))


def test_a_classifier_is_set_beside_a_uniform_guess_by_its_interval():
    worse = made_up()
    told = (worse["task"] == "soft-labels") & (worse["stage"] == "base") & (worse["metric"] == "cross-entropy")
    assert tables_students.worse_than_uniform(worse, "base") == "0 of 4 numbers of shots"
    worse.loc[told & worse["split"].isin(["cifar10/1-shot", "cifar10/5-shot"]), "low"] = 2.31
    worse.loc[told & (worse["split"] == "cifar10/2-shot"), "low"] = 2.3
    assert tables_students.worse_than_uniform(worse, "base") == "2 of 4 numbers of shots (1, 5)"


def test_pairs_move_nearer_or_further_apart_only_by_the_interval():
    asked = {"name": "things-photographs", "relation": "same-category", "stage": "aligned", "reference": "base"}
    assert tables_hierarchy.moved(made_up(), **asked) == "nearer together than in base (−0.050 [−0.060, −0.040])"
    assert tables_hierarchy.moved(made_up(gain=-0.05), **asked).startswith("further apart than in base")
    assert tables_hierarchy.moved(made_up(gain=0), **asked).startswith("neither nearer nor further apart beyond doubt")


def test_models_are_called_more_alike_pair_by_pair_and_by_both_measures(scores):
    said = tables_models.drawn_together(scores)
    assert said["backbones"].startswith("by linear CKA more alike (0.050 [0.040, 0.060]); less alike (−0.050 [−0.060, −0.040]), by RSA")
    assert said["teacher-unaligned"].count("more alike") == 2 and said["others-base"].count("less alike") == 2
    assert tables_models.drawn_together(made_up(gain=0))["backbones"].count("neither more nor less alike") == 4


@pytest.mark.parametrize(("gain", "place"), [(0.05, "lies below"), (0.15, "reaches into"), (0.5, "lies above")])
def test_a_student_is_set_beside_peoples_range_by_its_interval(gain, place):
    said = tables_students.beside_people(made_up(gain), "aligned")
    assert said.endswith(f"{place} people's own range, 0.480 to 0.570")


def test_the_share_taken_over_is_that_of_the_way_to_the_teacher(scores):
    assert tables_students.taken_over(scores) == pytest.approx(0.05 / (0.45 - 0.34))


def test_dense_and_sparse_are_compared_by_intervals(scores):
    assert "need 0.300 [0.290, 0.310] times as many images as sparse ones, which is fewer" in tables_students.dense_saves(scores)
    assert tables_students.dense_saves(made_up(share=2.0)).endswith("which is more")
    assert tables_students.dense_saves(made_up(share=1.0)).endswith("which is not clearly another number")
    assert tables_students.dense_beside_sparse(scores) == (
        "after 2,000 images, dense triplets give 0.733 [0.723, 0.743] and sparse ones 0.667 [0.657, 0.677]; the intervals do not overlap")
