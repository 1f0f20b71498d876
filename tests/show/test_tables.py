"""Tables of made-up scores: the right number in the right cell, in the right order, and nothing else."""

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
        differences=(("aligned", "unaligned"), ("aligned", "base")),
        names={"x": "shots"},
        caption="What it shows",
    )
    assert found.frame.columns.tolist() == [
        "shots",
        "base",
        "unaligned",
        "aligned",
        "aligned less unaligned",
        "aligned less base",
    ]
    assert found.frame.to_numpy().tolist() == [
        ["1", *["0.310 [0.300, 0.320]"] * 2, "0.410 [0.400, 0.420]", *["0.100 [0.090, 0.110]"] * 2],
        ["10", *["0.400 [0.390, 0.410]"] * 2, "0.500 [0.490, 0.510]", *["0.100 [0.090, 0.110]"] * 2],
    ]
    assert found.caption == "What it shows. Evidence: labels (no judgments); run of the profile things"


def test_layout_shows_differences_alone_by_reference_or_by_pair(scores):
    asked = {"task": "few-shot", "metric": "accuracy", "x": 10}
    by_reference = tables.layout(
        scores, rows=("model", "stage"), columns="difference", differences=("base",), **asked
    )
    assert by_reference.frame.columns.tolist() == ["model", "stage", "", "less base"]
    assert by_reference.frame["less base"].tolist() == [
        "—",
        "—",
        "0.100 [0.090, 0.110]",
        "—",
        "—",
        "0.200 [0.190, 0.210]",
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
        ["lite0", "aligned less base", "0.100 [0.090, 0.110]"],
        ["lite1", "aligned less base", "0.200 [0.190, 0.210]"],
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
        names={"ceiling": "people", "stage": "who"},
    ).frame
    assert found.columns.tolist() == ["who", "what", "answers", "matrix"]
    assert found.to_numpy().tolist() == [
        ["base", "as it is", "0.500 [0.490, 0.510]", "0.250 [0.240, 0.260]"],
        ["people", "—", "0.700 [0.690, 0.710]", "—"],
    ]


def test_layout_orders_as_asked_or_as_found_and_puts_people_last():
    rows = [
        (model, "teacher", "odd-one-out", split, "accuracy", 0.5)
        for model in ("people", "b", "a")
        for split in "zy"
    ]
    found = tables.layout(made_up(*rows), rows="model", columns="split", task="odd-one-out").frame
    assert found["model"].tolist() == ["b", "a", "people"] and found.columns.tolist() == ["model", "z", "y"]
    found = tables.layout(
        made_up(*rows), rows="model", columns="split", model=("a", "people", "b"), split=("y", "z")
    ).frame
    assert found["model"].tolist() == ["a", "people", "b"] and found.columns.tolist() == ["model", "y", "z"]


def test_labels_that_are_given_one_name_share_a_cell_or_are_refused(scores):
    asked = {"rows": "x", "columns": "stage", "task": "few-shot", "metric": "accuracy"}
    names = {"base": "before", "aligned": "after"}
    assert tables.layout(
        one(scores), stage=("base", "aligned"), names=names, **asked
    ).frame.columns.tolist() == ["x", "before", "after"]
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


def test_numbers_have_their_interval_counts_have_none_and_what_is_not_known_is_a_dash():
    scores = made_up(("m", "base", "t", "s", "accuracy", -0.5), ("m", "base", "t", "s", "superclasses", 17))
    assert [tables.number(row) for _, row in scores.iterrows()] == ["−0.500 [−0.510, −0.490]", "17"]
    assert tables.number(scores.iloc[0], digits=1, interval=False) == "−0.5"
    assert tables.number({**scores.iloc[0], "value": float("nan")}) == tables.EMPTY
    assert tables.get(scores, metric="superclasses") == "17"
    with pytest.raises(KeyError, match="2 scores fit"):
        tables.get(scores, stage="base")


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
    assert found.iloc[0].tolist()[:2] == ["lite0 + x", "THINGS photographs"]


def test_other_editions_stand_below_every_table_on_their_sources(scores):
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
    every = tables.layout(scores, **asked)
    assert (
        every.note
        == "Other editions than the public files: answers (3 of 9 answers; SHA-256 01234567…), "
        "pictures (3 of 9 answers; SHA-256 01234567…)."
    )
    assert tables.layout(scores, reads=("cifar10",), **asked).note.startswith(
        "Other editions than the public files: pictures (3"
    )
    assert tables.layout(scores, reads=("dtd",), **asked).note == ""
    assert tables.beside_published(scores, task="size", reads=tables.OF_ANSWERS).note.startswith(
        "Other editions"
    )
    assert every.note in repr(every) and every.note.split(";")[0] in every._repr_html_()


# ---- listing and provenance ---------------------------------------------------------------------------


def test_listing_has_one_line_a_score(scores):
    found = tables.listing(one(scores).head(2), {"stage": "which", "score": "accuracy"}, "Two")
    assert found.frame.to_numpy().tolist() == [
        ["aligned", "0.500 [0.490, 0.510]"],
        ["base", "0.400 [0.390, 0.410]"],
    ]
    assert (found.frame.columns.tolist(), found.caption) == (["which", "accuracy"], "Two")


def test_a_table_is_the_same_text_each_time_and_escapes_what_html_would_read():
    made = tables.Table(pd.DataFrame({"a<b": ["<x>"]}), "who's", "a & b")
    assert repr(made) == "who's\na<b\n<x>\na & b" == repr(tables.Table(made.frame, made.caption, made.note))
    assert "<td>&lt;x&gt;</td>" in made._repr_html_() and "a &amp; b" in made._repr_html_()


def test_provenance_says_what_was_not_kept(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("")
    for what in ("stages", "files"):
        assert "no provenance was kept" in repr(tables.provenance(path, what))
    with pytest.raises(KeyError):
        tables.provenance(path, "days")


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
    assert found.columns.tolist() == [
        "split",
        "model",
        "published",
        "trust",
        "source",
        "here",
        "evidence here",
        "same experiment?",
    ]
    coarse = found.set_index("split").loc["global-coarse"]
    assert coarse[["published", "trust", "here"]].tolist() == [
        "0.3609 to 0.5738",
        "paper",
        "0.350 [0.340, 0.360]",
    ]
    assert found.set_index("split")["here"].to_dict()["local-fine"] == tables.EMPTY
    assert found.set_index("split")["same experiment?"].to_dict() == {
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
    assert found.iloc[0][["here", "evidence here", "same experiment?"]].tolist() == [
        "0.300 to 0.400 (2 models)",
        "human",
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
    assert (found.loc[empty, "evidence here"] == tables.EMPTY).all() and set(
        found.loc[~empty, "evidence here"]
    ) == {"human", "taxonomy"}
    breeds = found[found["task"] == "breeds"].set_index("split")
    assert breeds.loc["living-17", ["published", "here", "evidence here"]].tolist() == [
        "17",
        "17",
        "taxonomy",
    ]
    assert breeds.loc["entity-13", "same experiment?"] == "empty: this run has no such row"
    (majority,) = found[found["metric"] == "majority-share"].query("task == 'calibration'")["here"]
    assert majority == "0.670 [0.660, 0.680]"


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
    assert set(stages.one_student(scores, "b").query("stage == 'aligned'")["model"]) == {"b"}


def test_the_predecessors_rows_stand_beside_any_run_where_they_are_recorded(tmp_path):
    scores = made_up(("clip", "teacher", "odd-one-out", "unseen objects", "accuracy", 0.5))
    scores.attrs["sources"] = [{"name": "x"}]
    both = stages.with_predecessor(scores)
    assert "predecessor" in set(both["stage"]) and both.attrs == scores.attrs and len(both) > 1
    assert stages.with_predecessor(scores, tmp_path / "none.csv") is scores
    (tmp_path / "broken.csv").write_text("a,b\n")
    with pytest.raises(HumalignError, match="has columns"):
        stages.with_predecessor(scores, tmp_path / "broken.csv")
