"""Tables of made-up scores: the right number in the right cell, in the right order, and nothing else."""

import html
import re
from urllib.parse import parse_qs

import pandas as pd
import pytest

from humalign.errors import HumalignError
from humalign.evaluation.scores import COLUMNS, complete, table
from humalign.show import published, stages, tables


def made_up(*rows, evidence="human", profile="things"):
    """Complete rows of model, stage, task, split, metric and value, with an interval of 0.01 to each side."""
    frame = pd.DataFrame(
        [
            (profile, *row[:6], row[5] - 0.01, row[5] + 0.01, 40, 0, row[6] if len(row) > 6 else evidence)
            for row in rows
        ],
        columns=list(COLUMNS),
    )
    return complete(frame)


@pytest.fixture
def scores():
    rows = []
    for model, gain in (("efficientnet-lite0", 0.1), ("efficientnet-lite1", 0.2)):
        for shots in (10, 1):  # neither stages nor shots stand in their order
            for stage, more in (("aligned", gain), ("base", 0.0), ("unaligned", 0.0)):
                rows.append(
                    (model, stage, "few-shot", f"cifar10/{shots}-shot", "accuracy", 0.3 + shots / 100 + more)
                )
            for reference in ("base", "unaligned"):
                rows.append(
                    (
                        model,
                        "aligned",
                        "few-shot",
                        f"cifar10/{shots}-shot",
                        f"accuracy-above-{reference}",
                        gain,
                    )
                )
    return made_up(*rows, evidence="labels")


def one(scores, model="efficientnet-lite0"):
    return scores[scores["model"] == model]


# ---- layout -------------------------------------------------------------------------------------------


def test_layout_sets_stages_and_numbers_in_their_order_beside_their_differences(scores):
    found = tables.layout(
        one(scores),
        rows="x",
        columns="compared",
        task="few-shot",
        metric="accuracy",
        differences=(("aligned", "unaligned"),),
        names={"x": "shots"},
        caption="What it shows",
    )
    assert found.frame.columns.tolist() == [
        "shots",
        "before",
        "control",
        "aligned",
        "aligned less control",
    ]
    assert found.frame.to_numpy().tolist() == [
        ["1", *["31.0\n30.0 to 32.0"] * 2, "41.0\n40.0 to 42.0", "+10.0\n9.0 to 11.0"],
        ["10", *["40.0\n39.0 to 41.0"] * 2, "50.0\n49.0 to 51.0", "+10.0\n9.0 to 11.0"],
    ]
    assert found.caption == (
        "What it shows. Percent; differences in percentage points; small: 95 % intervals; "
        "labels (no judgments); run things"
    )


def test_layout_shows_differences_alone_by_reference_or_by_pair(scores):
    asked = {"task": "few-shot", "metric": "accuracy", "x": 10}
    by_reference = tables.layout(
        scores, rows=("model", "stage"), columns="difference", differences=("base",), **asked
    )
    assert by_reference.frame.columns.tolist() == ["model", "stage", "", "less before"]
    assert by_reference.frame["less before"].tolist() == [
        "—",
        "—",
        "+10.0\n9.0 to 11.0",
        "—",
        "—",
        "+20.0\n19.0 to 21.0",
    ]
    alone = tables.layout(
        scores,
        rows=("model", "compared"),
        columns="split",
        differences=(("aligned", "base"), ("unaligned", "base")),
        values=False,
        **asked,
    )
    assert alone.frame.to_numpy().tolist() == [
        ["Lite0", "aligned less before", "+10.0\n9.0 to 11.0"],
        ["Lite1", "aligned less before", "+20.0\n19.0 to 21.0"],
    ]


def test_layout_takes_measures_of_several_tasks_text_beside_them_and_other_names():
    scores = made_up(
        ("m", "base", "odd-one-out", "unseen objects", "accuracy", 0.5),
        ("people", "ceiling", "odd-one-out", "repeated triplets", "accuracy", 0.7),
        ("m", "base", "similarity-judgments", "92 photographs", "rsa-spearman", 0.25),
    )
    answers = {"task": "odd-one-out", "metric": "accuracy"}
    measures = {
        "answers": ({**answers, "split": "unseen objects"}, {**answers, "model": "people"}),
        "matrix": {"task": "similarity-judgments", "metric": "rsa-spearman"},
    }
    found = tables.layout(
        scores,
        rows="stage",
        columns="measure",
        measures=measures,
        beside={"what": {"base": "as it is"}},
        names={"ceiling": "all", "stage": "who"},
    ).frame
    assert found.columns.tolist() == ["who", "what", "answers", "matrix"]
    assert found.to_numpy().tolist() == [
        ["before", "as it is", "50.0\n49.0 to 51.0", "0.25\n0.24 to 0.26"],
        ["all", "—", "70.0\n69.0 to 71.0", "—"],
    ]


def test_layout_orders_as_asked_or_by_name_and_puts_people_last():
    rows = [
        (model, "teacher", "odd-one-out", split, "accuracy", 0.5)
        for model in ("people", "b", "a")
        for split in "zy"
    ]
    found = tables.layout(made_up(*rows), rows="model", columns="split", task="odd-one-out").frame
    assert found["model"].tolist() == ["a", "b", "people"] and found.columns.tolist() == ["model", "z", "y"]
    found = tables.layout(
        made_up(*rows), rows="model", columns="split", model=("a", "people", "b"), split=("y", "z")
    ).frame
    assert found["model"].tolist() == ["a", "people", "b"] and found.columns.tolist() == ["model", "y", "z"]


def test_labels_that_are_given_one_name_share_a_cell_or_are_refused(scores):
    asked = {"rows": "x", "columns": "stage", "task": "few-shot", "metric": "accuracy"}
    names = {"base": "start", "aligned": "after"}
    assert tables.layout(
        one(scores), stage=("base", "aligned"), names=names, **asked
    ).frame.columns.tolist() == ["x", "start", "after"]
    with pytest.raises(KeyError, match="two scores for the cell 10, same"):
        tables.layout(one(scores), names={"base": "same", "aligned": "same"}, **asked)


def test_two_scores_in_a_cell_and_a_misspelt_name_are_errors_and_a_run_may_say_what_it_lacks(scores):
    with pytest.raises(KeyError, match="two scores for the cell 10, aligned"):
        tables.layout(scores, rows="x", columns="stage", task="few-shot", metric="accuracy")
    with pytest.raises(KeyError, match=r"no score fits .*few-shots"):
        tables.layout(scores, rows="x", columns="stage", task="few-shots")
    none = table({}, "paper", 0)
    found = tables.layout(
        none,
        rows="x",
        columns="stage",
        task="few-shot",
        metric="accuracy",
        caption="A measure",
        differences=stages.COMPARISONS,
        lacking=stages.lacking(none),
    )
    assert (
        repr(found).startswith("A measure\n")
        and "No run yet" in repr(found)
        and "no such" in stages.lacking(scores)
    )


def test_peoples_and_simulated_judgments_never_share_a_table():
    rows = [
        ("m", stage, "odd-one-out", "s", "accuracy", 0.5, kind)
        for stage, kind in (("base", "human"), ("aligned", "simulated"))
    ]
    with pytest.raises(ValueError, match="people's and simulated judgments"):
        tables.layout(made_up(*rows), rows="split", columns="stage", task="odd-one-out")
    mixed = made_up(rows[0], ("m", "aligned", "few-shot", "s", "accuracy", 0.5, "labels"))
    assert (
        "people's judgments, and labels"
        in tables.layout(mixed, rows="task", columns="stage", metric="accuracy").caption
    )


@pytest.mark.parametrize(
    ("metric", "value", "said"),
    [
        ("accuracy", 0.4823, "48.2 (47.2 to 49.2)"),
        ("accuracy-above-base", 0.0823, "+8.2 (7.2 to 9.2)"),
        ("accuracy-above-base", -0.0004, "−0.04 (−1.0 to 1.0)"),
        ("rsa-spearman", -0.5, "−0.50 (−0.51 to −0.49)"),
        ("rsa-spearman", -0.001, "0.00 (−0.01 to 0.01)"),
        ("rsa-spearman-above-base", 0.004, "+0.004 (−0.01 to 0.01)"),
        ("rsa-spearman-above-base", 0.0101, "+0.01 (0.0001 to 0.02)"),
        ("share-pearson", 0.5, "0.50 (0.49 to 0.51)"),
        ("superclasses", 17, "17"),
        ("accuracy", float("nan"), tables.EMPTY),
    ],
)
def test_shares_are_percent_differences_are_signed_and_never_a_zero_that_they_are_not(metric, value, said):
    scores = made_up(("m", "base", "t", "s", metric, value))
    assert tables.number(scores.iloc[0]) == said
    assert tables.number(scores.iloc[0], interval=False) == said.split(" (")[0]


def test_a_network_has_one_name_whether_a_student_or_a_teacher_starts_from_it():
    def shown(value):
        rows = [("m", stage, "odd-one-out", "s", "accuracy", number)
                for stage, number in (("base", 0.5), ("teacher-base", value))]
        return tables.layout(made_up(*rows), rows="model", columns="stage", task="odd-one-out").frame

    assert shown(0.5).to_numpy().tolist() == [["m", "50.0\n49.0 to 51.0"]]
    with pytest.raises(KeyError, match="two scores for the cell m, before"):
        shown(0.6)
    assert len(set(stages.LABELS)) == len(stages.LABELS) and set(stages.STAGES) <= set(stages.LABELS)


def test_more_than_five_columns_are_an_error_that_names_the_axes():
    rows = [("m", "base", "odd-one-out", split, "accuracy", 0.5) for split in "abcde"]
    with pytest.raises(HumalignError, match=r"6 columns: model and 5 of the axis 'split' \(a, b, c, d, e\)"):
        tables.layout(made_up(*rows), rows="model", columns="split", task="odd-one-out")
    with pytest.raises(HumalignError, match=r"a table of 6 columns \(a, b, c, d, e, f\)"):
        tables.Table(pd.DataFrame([range(6)], columns=list("abcdef")))


def test_sets_relations_and_models_have_their_plain_names():
    rows = [
        (
            "efficientnet-lite0+x",
            "base",
            "hierarchy",
            f"things-photographs/{item}",
            "standardised-distance",
            0.5,
        )
        for item in ("path 14+", "same-category")
    ]
    found = tables.layout(
        made_up(*rows), rows=("model", "set"), columns="item", task="hierarchy", item=list(stages.RELATIONS)
    ).frame
    assert found.columns.tolist() == ["model", "set", "share a category", "14 and more steps"]
    assert found.iloc[0].tolist()[:2] == ["Lite0 + x", "THINGS photographs"]


def test_other_editions_stand_below_a_table_that_asks_for_them(scores):
    kept = {
        "what": "answers",
        "holds": "3 of 9 answers",
        "sha256": "0123456789",
        "edition": "another edition",
        "name": "things-answers",
    }
    scores.attrs["sources"] = [
        kept,
        {**kept, "name": "cifar10", "what": "pictures"},
        {**kept, "name": "dtd", "edition": "the public file"},
    ]
    asked = {"rows": ("model", "x"), "columns": "stage", "task": "few-shot", "metric": "accuracy"}
    assert tables.layout(scores, **asked).note == ""
    every = tables.layout(scores, reads=("things-answers", "cifar10"), **asked)
    assert (
        every.note
        == "Other editions than the public files: answers (3 of 9 answers; SHA-256 01234567…), "
        "pictures (3 of 9 answers; SHA-256 01234567…)."
    )
    assert tables.layout(scores, reads=("cifar10",), **asked).note.startswith(
        "Other editions than the public files: pictures (3"
    )
    assert tables.layout(scores, reads=("dtd",), **asked).note == ""
    assert every.note in repr(every) and every.note.split(";")[0] in every._repr_html_()


# ---- listing and provenance ---------------------------------------------------------------------------


def test_listing_has_one_line_a_score(scores):
    found = tables.listing(one(scores).head(2), {"stage": "which", "score": "accuracy"}, "Two")
    assert found.frame.to_numpy().tolist() == [
        ["aligned", "50.0\n49.0 to 51.0"],
        ["before", "40.0\n39.0 to 41.0"],
    ]
    assert (found.frame.columns.tolist(), found.caption) == (["which", "accuracy"], "Two")


def test_a_table_is_the_same_text_each_time_and_escapes_what_html_would_read():
    made = tables.Table(pd.DataFrame({"a<b": ["<x>"]}), "who's", "a & b")
    assert repr(made) == "who's\na<b\n<x>\na & b" == repr(tables.Table(made.frame, made.caption, made.note))
    shown = made._repr_html_()
    assert '<th scope="row">&lt;x&gt;</th>' in shown and "a &amp; b" in shown and "a&lt;b" in shown
    assert "<caption>who&#x27;s</caption>" in shown


def test_what_stands_small_and_what_is_linked_is_said_in_one_line_of_text():
    made = tables.Table(pd.DataFrame({"a": ["[page](x.html#y)\nsmall\nsmaller"], "b": ["1\n0 to 2"]}), heads=1)
    shown = made._repr_html_()
    assert repr(made).split("\n")[1].split() == ["page", "(small;", "smaller)", "1", "(0", "to", "2)"]
    assert '<th scope="row"><a href="x.html#y">page</a><small>small<br>smaller</small></th>' in shown
    assert '<td>1<small class="interval">0 to 2</small></td>' in shown


def test_only_a_long_table_sorts(scores):
    short, long = (tables.Table(pd.DataFrame({"a": range(rows)}))._repr_html_() for rows in (8, 9))
    assert "<button" in long and "<script>" in long and 'aria-sort="none"' in long
    assert "<button" not in short and "<script>" not in short


def test_a_table_links_the_rows_behind_it_and_its_code(scores):
    asked = {"rows": ("model", "x"), "columns": "stage", "task": "few-shot", "metric": "accuracy"}
    shown = tables.layout(scores, **asked)._repr_html_()
    (rows, code) = re.findall(r'<a href="([^"]+)">', shown)
    page, _, conditions = html.unescape(rows).partition("#")
    assert page == "../book/scores.html" and parse_qs(conditions) == {
        "run": ["things"], "task": ["few-shot"], "metric": ["accuracy"],
        "split": ["cifar10/10-shot|cifar10/1-shot"], "stage": ["aligned|base|unaligned"],
        "model": ["efficientnet-lite0|efficientnet-lite1"],
    }
    assert code == "../_modules/humalign/show/tables.html#layout"
    assert [*re.findall(r'<a href="([^"]+)">', tables.Table(pd.DataFrame({"a": [1]}))._repr_html_())] == []


def test_provenance_says_what_was_not_kept(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("")
    for said in (tables.steps, tables.files):
        assert "no provenance was kept" in repr(said(path))


# ---- beside the published numbers ---------------------------------------------------------------------


def test_a_simulated_run_stands_beside_the_paper_and_is_called_another_experiment():
    scores = made_up(
        ("m", "base", "odd-one-out", "global-coarse", "accuracy", 0.35),
        ("m", "base", "odd-one-out", "local-fine", "accuracy", float("nan")),
        evidence="simulated",
    )
    found = tables.beside_published(
        scores,
        task="odd-one-out",
        metric="accuracy",
        trust=("paper", "note"),
        split=stages.LEVELS,
        stage="base",
    ).frame
    assert found.columns.tolist() == ["what", "published", "here", "same experiment?"]
    by_level = found.assign(level=found["what"].str.split("\n").str[0]).set_index("level")
    assert by_level.loc["global-coarse", ["published", "here"]].tolist() == [
        "36.09 to 57.38\npaper: Muttenthaler et al. 2025; Levels",
        "35.0\n34.0 to 36.0\nsimulated",
    ]
    assert by_level.loc["local-fine", "here"] == f"{tables.EMPTY}\nsimulated"
    assert by_level["same experiment?"].to_dict() == {
        "global-coarse": published.DIFFERENT,
        "local-fine": published.DIFFERENT,
        "class-boundary": published.LEVELS_LACK,
    }


def test_several_models_stand_beside_the_paper_as_their_range():
    rows = [
        (model, "base", "odd-one-out", "global-coarse", "accuracy", value)
        for model, value in (("a", 0.3), ("b", 0.4))
    ]
    found = tables.beside_published(
        made_up(*rows), task="odd-one-out", split="global-coarse", stage="base", trust="paper"
    ).frame
    assert found.iloc[0][["here", "same experiment?"]].tolist() == [
        "30.0 to 40.0\n2 models\nhuman",
        published.SAME,
    ]
    none = tables.beside_published(table({}, "paper", 0), task="odd-one-out", trust="paper").frame
    assert set(none["same experiment?"]) == {published.NO_RUN} and set(none["here"]) == {tables.EMPTY}


def test_every_published_number_has_ours_beside_it_or_the_reason_why_not():
    scores = made_up(
        ("ImageNet", "taxonomy", "breeds", "living-17", "superclasses", 17, "taxonomy"),
        ("people", "ceiling", "odd-one-out", "repeated triplets", "accuracy", 0.67),
    )
    found = tables.beside_published(scores).frame
    assert len(found) == len(published.PUBLISHED)
    empty = found["here"] == tables.EMPTY
    assert found.loc[empty, "same experiment?"].str.startswith("empty: ").all()
    assert found.loc[~empty, "same experiment?"].str.match("yes|no|in part").all()
    assert set(found.loc[~empty, "here"].str.split("\n").str[-1]) == {"human", "taxonomy"}
    living, entity = (found[found["what"].str.startswith(f"breeds, {of}")].iloc[0] for of in ("living-17", "entity-13"))
    assert living["published"].startswith("17\n") and living["here"] == "17\ntaxonomy"
    assert entity["same experiment?"] == "empty: this run has no such row"
    (majority,) = found[found["what"].str.startswith("calibration, repeated triplets, share")]["here"]
    assert majority == "67.0\n66.0 to 68.0\nhuman"


# ---- the names and their order ------------------------------------------------------------------------


def test_stages_levels_and_comparisons_are_those_of_the_evaluations():
    from humalign.evaluation.odd_one_out import LEVELS

    assert set(stages.LEVELS) == set(LEVELS) and set(stages.SCORED_LEVELS) < set(LEVELS)
    assert {name for pair in stages.COMPARISONS for name in pair} <= set(stages.STAGES)
    assert stages.in_order(["teacher", "new", "base", "new"]) == ["base", "teacher", "new"]


def test_one_student_leaves_out_those_of_other_backbones_and_nothing_else():
    rows = [
        (model, stage, "similarity-judgments", stages.ACROSS, "rsa-spearman", 0.5)
        for model in ("a", "b")
        for stage in ("base", "aligned", "teacher")
    ]
    scores = made_up(*rows)
    assert stages.models(scores, "aligned") == ["a", "b"]
    left = stages.one_student(scores)
    assert left[["model", "stage"]].agg("/".join, axis=1).tolist() == [
        "a/base",
        "a/aligned",
        "a/teacher",
        "b/teacher",
    ]


def test_the_predecessors_rows_stand_beside_any_run_where_they_are_recorded(tmp_path):
    scores = made_up(("clip", "teacher", "odd-one-out", "unseen objects", "accuracy", 0.5))
    scores.attrs["sources"] = [{"name": "x"}]
    both = stages.with_predecessor(scores)
    assert "predecessor" in set(both["stage"]) and both.attrs == scores.attrs and len(both) > 1
    assert stages.with_predecessor(scores, tmp_path / "none.csv") is scores
    (tmp_path / "broken.csv").write_text("a,b\n")
    with pytest.raises(HumalignError, match="has columns"):
        stages.with_predecessor(scores, tmp_path / "broken.csv")


def test_what_was_made_is_counted_by_task_and_set(scores):
    made = tables.made(scores, "few-shot", "odd-one-out").frame
    counted = dict(zip(zip(made["task"], made["set"], strict=True), made["scores"].astype(int), strict=True))
    asked = scores[scores["task"].isin(["few-shot", "odd-one-out"])]
    assert sum(counted.values()) == len(asked) > 0
    assert set(counted) == set(zip(asked["task"], asked["set"], strict=True))
