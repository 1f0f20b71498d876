"""Tables of every model on every human set, and of everything published, of made-up scores."""

import pandas as pd
import pytest
from test_figures_students import made_up as of_students

from humalign.evaluation.scores import COLUMNS
from humalign.show import published, tables, tables_evidence, tables_people


def made_up():
    rows = []

    def add(model, stage, task, split, metric, value, evidence="human", spread=0.02):
        rows.append(("things", model, stage, task, split, metric, value, value - spread, value + spread, 48, 0, evidence))

    clip = tables_evidence.CLIP
    for stage, gain in (("teacher-base", 0.0), ("teacher", 0.1)):
        add(clip, stage, metric="accuracy", value=0.5 + gain, task="odd-one-out", split=tables_evidence.REPEATED["split"])
        add(clip, stage, metric="rsa-spearman", value=0.4 + gain, **tables_evidence.MATRIX)
        for metric in ("cross-entropy", "entropy-spearman"):
            add(clip, stage, metric=metric, value=0.3 + gain, **tables_evidence.UNSURE)
            if gain:
                add(clip, stage, metric=f"{metric}-above-teacher-base", value=gain, **tables_evidence.UNSURE)
    add("people", "ceiling", metric="accuracy", value=0.66, task="odd-one-out", split=tables_evidence.REPEATED["split"])
    add("vice-published", "observer", metric="accuracy", value=0.63, **tables_people.UNSEEN)
    add("vice-published", "observer", metric="rsa-own-spearman", value=0.89, **tables_evidence.MATRIX)
    for task, count in (("living-17", 17), ("entity-30", 30)):
        for metric, value in (("superclasses", count), ("classes-taught", 2 * count), ("classes-tested", 2 * count), ("classes-both", 0)):
            add("ImageNet", "taxonomy", "breeds", task, metric, value, "taxonomy", 0)
    for place, names in enumerate(("cat + dog", "cup + bowl"), 1):
        for stage, value in (("unaligned", -1.5), ("aligned", 0.25)):
            add("efficientnet-lite0", stage, "disagreement", f"{place}: {names}", "standardised-distance", value, "labels", 0)
    students = of_students()
    # The observer stands among the stages of CLIP in the other table of made-up scores.
    students = students[~((students["stage"] == "observer") & (students["split"] == "unseen objects"))]
    return pd.concat([students, pd.DataFrame(rows, columns=list(COLUMNS))], ignore_index=True)


@pytest.fixture(scope="module")
def scores():
    return made_up()


def test_objects_have_every_stage_beside_the_vice_and_people(scores):
    frame = tables_evidence.objects(scores).frame.set_index("stage")
    assert frame.loc["teacher", "48 objects (RSA)"] == "0.500 [0.480, 0.520]"
    assert frame.loc["published VICE", "48 objects (RSA)"] == "0.890 [0.870, 0.910]"
    assert frame.loc["people", "answers (accuracy)"] == "0.670 [0.650, 0.690]"
    assert frame.loc["ridge", "repeated triplets (accuracy)"] == tables.EMPTY
    assert frame.index.tolist()[:2] == ["teacher-base", "teacher-centred"] and "observer" not in frame.index


def test_photographs_have_every_backbone_and_every_student(scores):
    frame = tables_evidence.photographs(scores).frame
    assert frame["model"].tolist() == ["lite0"] * 2 + ["lite2"] * 2 + ["lite0 + lite2"] * 2 + ["lite0"] * 4 + ["people"]
    students = frame[frame["stage"].isin(["base", "aligned"])]
    assert students["THINGS photographs, answers (accuracy)"].tolist() == ["0.450 [0.440, 0.460]", "0.500 [0.490, 0.510]"]
    assert not (frame.loc[frame["stage"] == "teacher"] == tables.EMPTY).any(axis=None)


def test_what_is_unsure_is_compared_by_the_paired_difference(scores):
    frame = tables_evidence.unsure(scores).frame
    assert frame["teacher less teacher-base"].tolist() == ["0.100 [0.080, 0.120]"] * 2


def test_counts_have_no_interval_and_stand_beside_the_published_one(scores):
    frame = tables_evidence.breeds(scores).frame
    assert frame.iloc[0].tolist() == ["living-17", "17", "17", "34", "34", "0"]


def test_pairs_are_listed_in_their_order(scores):
    frame = tables_evidence.disagreement(scores).frame
    assert frame.to_numpy().tolist() == [["cat + dog", "−1.50", "0.25"], ["cup + bowl", "−1.50", "0.25"]]


def test_every_published_number_has_ours_beside_it_or_the_reason_why_not(scores):
    frame = tables_evidence.beside_published(scores).frame
    assert len(frame) == len(published.PUBLISHED)
    empty = frame["here"] == tables.EMPTY
    assert frame.loc[empty, "same experiment?"].str.startswith("empty: ").all()
    assert frame.loc[~empty, "same experiment?"].str.match("yes|no|in part").all()
    assert (frame.loc[empty, "evidence here"] == tables.EMPTY).all()
    found = frame[(frame["task"] == "breeds") & (frame["where"] == "living-17")].iloc[0]
    assert (found["paper"], found["here"], found["evidence here"]) == ("17", "17", "taxonomy")
    lacking = frame[(frame["task"] == "breeds") & (frame["where"] == "entity-13")].iloc[0]
    assert lacking["same experiment?"] == "empty: this run has no such row"
    assert "simulated" not in set(frame["evidence here"])


def test_a_number_of_which_nothing_is_said_is_an_error(scores, monkeypatch):
    unknown = published.Published("smell", "THINGS", "accuracy", "m", "base", 0.5, "paper", "nowhere")
    monkeypatch.setattr(published, "PUBLISHED", (unknown,))
    with pytest.raises(KeyError, match="nothing is said of"):
        published.beside(scores)
