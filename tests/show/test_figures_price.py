"""The front of agreement against few-shot accuracy, and its sentences: complete, and decided by the table."""

import json

import pandas as pd
import pytest

from humalign.errors import HumalignError
from humalign.evaluation.scores import COLUMNS, complete
from humalign.show import figures_price
from humalign.show.figures_price import CENTRED_TOO, CHOSEN, SIDE, WEIGHTS

LEAST = 0.48


def made(students, ways=((f"{WEIGHTS}/0.5", f"{SIDE}/0.25"),), reached=(0.47, -0.001)):
    """A table of students (knob, place, RSA, centred RSA, few-shot change), and of what the halves chose."""
    rows = [
        ("base", "92 photographs", "rsa-spearman", 0.34),
        ("base-centred", "92 photographs", "rsa-spearman", 0.40),
    ]
    for knob, x, rsa, centred, change in students:
        rows += [("aligned", f"92 photographs/{knob}/{x:g}", "rsa-spearman", rsa)]
        rows += [("aligned", f"92 photographs/{knob}, {CENTRED_TOO}/{x:g}", "rsa-spearman", centred)]
        rows += [("aligned", f"cifar10 and textures/{knob}/{x:g}", "accuracy-above-base", change)]
        rows += [("aligned", f"cifar10 and textures/{knob}/{x:g}", "accuracy", 0.6 + change)]
    for first, second in ways:
        rows += [("aligned", f"92 photographs, second half/{first}", "rsa-spearman", 0.45)]
        rows += [("aligned", f"92 photographs, first half/{second}", "rsa-spearman", 0.49)]
    rows += [("aligned", f"92 photographs, both halves/{CHOSEN}", "rsa-spearman", reached[0])]
    for stage, value in (("base-centred", 0.40), ("aligned", 0.50)):
        rows += [(stage, "92 photographs, both halves", "rsa-spearman", value)]
    rows += [("aligned", f"cifar10 and textures, both halves/{CHOSEN}", "accuracy-above-base", reached[1])]
    cells = [
        ("things", "lite0", stage, "price", split, metric, value, value - 0.01, value + 0.01, 92, 0,
         "human" if metric.startswith("rsa") else "labels")
        for stage, split, metric, value in rows
    ]  # fmt: skip
    return complete(pd.DataFrame(cells, columns=list(COLUMNS)))


BENT = (
    (WEIGHTS, 0.25, 0.41, 0.44, 0.002),
    (WEIGHTS, 0.5, 0.47, 0.49, -0.01),
    (WEIGHTS, 1.0, 0.53, 0.54, -0.03),
)
BOTH = ((SIDE, 0.25, 0.46, 0.481, 0.001), (SIDE, 0.5, 0.49, 0.50, -0.002))


def test_every_student_is_drawn_once_in_the_panel_of_its_knob_and_read_out():
    table = made((*BENT, *BOTH))
    figure = figures_price.front(table, LEAST)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        figures_price.KNOBS[knob] for knob in (WEIGHTS, SIDE)
    ]
    for axes, students in zip(figure.axes, (BENT, BOTH), strict=True):
        hovers = [line for line in axes.lines if str(line.get_gid()).startswith("hover: share")]
        drawn = {(line.get_xdata()[0], line.get_ydata()[0]) for line in hovers}
        assert drawn == {(change, y) for _, _, rsa, centred, change in students for y in (rsa, centred)}
        assert len(hovers) == 2 * len(students)
        assert [text.get_text() for text in axes.texts] == [f"{x:g}" for _, x, *_ in students]
        assert {tuple(line.get_ydata()) for line in axes.lines} >= {(LEAST, LEAST)}, (
            "the RSA that is asked for"
        )
    assert "share of features 0.25, less the base's mean: RSA 0.48 (0.47 to 0.49)" in figure.said
    assert "People's judgments, and class labels" in figure.said
    assert figure._repr_html_() == figures_price.front(table, LEAST)._repr_html_()


def test_a_table_without_students_is_one_line():
    with pytest.raises(HumalignError, match="no scores of the price of agreement: run `python benchmarks"):
        figures_price.front(made(()), LEAST)


@pytest.mark.parametrize(("students", "said"), [
    ((*BENT, *BOTH), "1 of 10 students keep .* below the base's: share of features 0.25, less the base's mean, with RSA 0.48"),
    (BENT, "none of 6 students keeps .* least loss at such an RSA: share of weights 0.5, less the base's mean, .* −1.0 points"),
    (BENT[:1], "none of 2 students keeps .* greatest RSA: share of weights 0.25, less the base's mean, with RSA 0.44"),
    ([(SIDE, 0.5, 0.48, 0.40, 0.0)], "1 of 2 students keep .*: share of features 0.5, with RSA 0.48"),
])  # fmt: skip
def test_the_verdict_is_decided_by_the_table(students, said):
    assert pd.Series([figures_price.verdict(made(students), LEAST)]).str.contains(said, regex=True).all()


def test_what_was_confirmed_names_both_choices_or_the_one():
    said = figures_price.confirmed(made(BENT))
    assert "share of weights 0.5 (by the first half) and share of features 0.25 (by the second)" in said
    assert (
        "RSA 0.47 (0.46 to 0.48; n = 92)" in said
        and "−0.1 points, but the interval (−1.1 to 0.9; n = 92) includes zero" in said
    )
    one = figures_price.confirmed(made(BENT, ways=[(f"{WEIGHTS}/0.5",) * 2]))
    assert "both ways: share of weights 0.5, with" in one
    base = figures_price.confirmed(made(BENT, ways=[(f"the base, {CENTRED_TOO}",) * 2]))
    assert "both ways: the base, less the base's mean, with" in base


def test_what_the_chosen_student_keeps_is_a_share_of_the_gain_over_the_centred_base():
    share, change = figures_price.kept(made(BENT))
    assert share == "70 %" and change == "−0.1 points, but the interval (−1.1 to 0.9) includes zero"


def test_what_is_recorded_is_read_or_refused_in_one_line(tmp_path):
    made(BENT).to_csv(tmp_path / "scores.csv", index=False)
    for text in (None, "{", "{}", json.dumps({"recipe": {"least": "x"}})):
        if text is not None:
            (tmp_path / "provenance.json").write_text(text)
        with pytest.raises(HumalignError, match=r"provenance\.json does not say where .*--record") as raised:
            figures_price.recorded(tmp_path)
        assert "\n" not in str(raised.value)
    (tmp_path / "provenance.json").write_text(json.dumps({"recipe": {"least": 0.5}}))
    table, told = figures_price.recorded(tmp_path)
    assert told["recipe"]["least"] == 0.5 and figures_price.standings(table).shape[0] == 2 * len(BENT)


def test_the_front_leaves_out_whom_another_exceeds_in_both_and_says_corruption_where_it_was_measured():
    table = made((*BENT, (SIDE, 0.25, 0.46, 0.545, -0.02)))
    lost = table[table["split"] == f"cifar10 and textures/{WEIGHTS}/0.25"].assign(
        split=f"corrupted cifar10/{WEIGHTS}/0.25"
    )
    table = pd.concat([table, complete(lost[list(COLUMNS)])], ignore_index=True)
    front = figures_price.undominated(table)
    assert [figures_price.called(each) for each in front.to_dict("records")] == [
        f"{SIDE} 0.25, {CENTRED_TOO}", f"{WEIGHTS} 0.5, {CENTRED_TOO}", f"{WEIGHTS} 0.25, {CENTRED_TOO}",
    ]  # fmt: skip
    said = str(figures_price.listing(table, "front"))
    assert said.count("\n") == 4 and "+0.2 (−0.8 to 1.2) +0.2 (−0.8 to 1.2)" in said and said.splitlines()[2].endswith("—")
