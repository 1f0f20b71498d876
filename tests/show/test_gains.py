"""Gains, verdicts, the claims table and the arrows: of made-up scores whose answer is known."""

import re

import pandas as pd
import pytest

from humalign.chain import origins
from humalign.errors import HumalignError
from humalign.evaluation.scores import COLUMNS, complete, read
from humalign.show import arrows, book, claims, figures, published


def scores(*rows):
    """Complete rows of (model, stage, measure, value, low, high, reference)."""
    made = []
    for model, stage, measure, value, low, high, reference in rows:
        where = arrows.MEASURES[measure].where
        split = where.get("split") or f"{where['set']}/10-shot"
        metric = where["metric"] + (f"-above-{reference}" if reference else "")
        evidence = {"few-shot": "labels"}.get(where["task"], "human")
        made.append(("things", model, stage, where["task"], split, metric, value, low, high, 40, 0, evidence))
    return complete(pd.DataFrame(made, columns=list(COLUMNS)))


def student(measure, over_base, over_centred, model="efficientnet-lite0", spread=0.02):
    """A network whose centred features are better than its own by the difference of two gains."""
    base, aligned = 0.4, 0.4 + over_base
    values = {"base": base, "base-centred": aligned - over_centred, "unaligned": 0.1, "aligned": aligned}
    rows = [(model, stage, measure, value, value - 0.05, value + 0.05, "") for stage, value in values.items()]
    paired = {"base": over_base, "base-centred": over_centred, "unaligned": aligned - 0.1}
    rows += [(model, "aligned", measure, gain, gain - spread, gain + spread, of) for of, gain in paired.items()]
    return rows


def test_a_gain_is_over_the_best_baseline_without_judgments():
    (gain,) = arrows.gains_of(scores(*student("similarity", 0.2, 0.1)), "similarity")
    assert (gain.best["stage"], gain.over["value"], gain.raw["value"]) == ("base-centred", 0.1, 0.2)
    assert (gain.before["stage"], gain.after["value"], gain.who) == ("base", pytest.approx(0.6), "Lite0")
    (gain,) = arrows.gains_of(scores(*student("similarity", 0.1, 0.2)), "similarity")
    assert gain.best["stage"] == "base" and gain.over["value"] == 0.1
    (gain,) = arrows.gains_of(scores(*student("similarity", 0.1, 0.2)), "similarity", over=claims.CONTROL)
    assert gain.best["stage"] == "unaligned" and gain.before["stage"] == "base"


def test_further_baselines_count_where_they_are_compared_with():
    rows = student("similarity", 0.2, 0.1)
    whitened = ("efficientnet-lite0", "base-whitened", "similarity", 0.58, 0.5, 0.6, "")
    paired = ("efficientnet-lite0", "aligned", "similarity", 0.02, -0.01, 0.05, "base-whitened")
    (gain,) = arrows.gains_of(scores(*rows, whitened, paired), "similarity")
    assert gain.best["stage"] == "base-whitened" and gain.side == "unclear"
    (gain,) = arrows.gains_of(scores(*rows, whitened), "similarity")
    assert gain.best["stage"] == "base-centred"


def test_where_more_is_worse_the_best_baseline_is_the_smallest_and_a_fall_is_a_gain():
    (gain,) = arrows.gains_of(scores(*student("soft-labels", -0.1, -0.05)), "soft-labels")
    assert gain.best["stage"] == "unaligned" and gain.side == "worse"
    (gain,) = arrows.gains_of(scores(*student("soft-labels", -0.1, -0.05)), "soft-labels", over=("base",))
    assert gain.side == "better"


def test_a_measure_counts_at_its_largest_x_alone():
    rows = scores(*student("few-shot", 0.1, 0.1))
    one = rows.assign(split="cifar10/1-shot", value=0.0)[list(COLUMNS)]
    (gain,) = arrows.gains_of(pd.concat([complete(one), rows], ignore_index=True), "few-shot")
    assert gain.after["x"] == 10 and gain.after["value"] == pytest.approx(0.5)
    assert arrows.gains_of(rows, "similarity") == []


@pytest.mark.parametrize(
    ("over", "risen", "word"),
    [
        ((0.1, 0.05), None, claims.YES),
        ((0.1, 0.05), 0.05, claims.YES),
        ((0.1, 0.05), 0.13, claims.SMALLER),
        ((0.1, 0.05), 0.11, claims.YES),
        ((0.1, 0.01), None, claims.MIXED),
        ((0.1, -0.1), None, claims.MIXED),
        ((0.01, -0.1), None, claims.MIXED),
        ((0.01, -0.01), None, claims.NO),
        ((-0.1, -0.05), None, claims.OPPOSITE),
        ((), None, claims.UNTESTED),
    ],
)
def test_intervals_decide_the_verdict(over, risen, word):
    rows = [row for number, each in enumerate(over)
            for row in student("similarity", each, each, model=f"efficientnet-lite{number}")]
    assert claims.verdict(arrows.gains_of(scores(*rows), "similarity") if rows else [], risen) == word


def test_the_claims_table_has_every_claim_with_the_papers_numbers_ours_and_the_word():
    table = scores(*student("similarity", 0.2, 0.1), *student("students", 0.01, 0.005))
    frame = claims.table(table).frame
    words = claims.verdicts(table)
    assert len(frame) == len(claims.CLAIMS) and frame.shape[1] == 3
    for row, (key, claim) in zip(frame.to_dict("records"), claims.CLAIMS.items(), strict=True):
        assert row["the paper says"].startswith(claim.says)
        assert row["verdict"] == f"{words[key]}\n[more]({claim.page}.html)"
    by_key = dict(zip(claims.CLAIMS, frame.to_dict("records"), strict=True))
    assert by_key["similarity"]["here"].startswith("Lite0 +0.10\nSimilarity of 92 photographs, Lite0 +0.10 (0.08 to 0.12")
    assert "before 44.24, aligned 61.7, people 66.67 [note]" in by_key["teacher"]["the paper says"]
    assert words["similarity"] == claims.YES and words["students"] == claims.NO
    assert words["levels"] == claims.UNTESTED and "not at hand" in by_key["levels"]["here"]
    assert words["similarity-gains"] == "Lite0 +0.10 (0.08 to 0.12; n = 40) over before, centred"
    assert "rows" in claims.table(table)._repr_html_()


def test_every_measure_of_a_claim_and_every_page_is_known():
    root = origins.RECORDED.parent.parent
    pages = {page.removeprefix("notebooks/").replace("book/", "../book/") for page in book.pages(root / "_toc.yml")}
    for claim in claims.CLAIMS.values():
        assert set(claim.measures) <= set(arrows.MEASURES) and claim.page in pages
        assert not claim.numbers or published.published(**claim.numbers)
        assert claim.measures or claim.lacking
    assert {page for _, _, page, _ in claims.PAPER} <= pages
    assert {trust for _, trust, _, _ in claims.PAPER} <= set(published.TRUST)
    assert len(claims.counterparts().frame) == len(claims.PAPER)


def test_the_recorded_run_on_people_tests_every_claim_but_that_on_levels():
    words = claims.verdicts(read(origins.RECORDED / "things" / "scores.csv"))
    assert [key for key in claims.CLAIMS if words[key] == claims.UNTESTED] == ["levels"]


# ---- arrows -------------------------------------------------------------------------------------------


def test_arrows_go_from_before_to_after_and_say_what_is_worse():
    table = scores(*student("students", 0.2, 0.1), *student("few-shot", -0.1, -0.2), *student("similarity", 0.01, 0.01))
    figure = figures.arrows(table)
    percent, correlation = figure.axes
    heads = [(arrow.xyann[0], arrow.xy[0]) for axes in figure.axes for arrow in axes.texts
             if getattr(arrow, "arrow_patch", None) is not None]
    assert heads == [pytest.approx((0.4, 0.6)), pytest.approx((0.4, 0.3)), pytest.approx((0.4, 0.41))]
    said = [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]
    assert "+10.0 points" in said and "−20.0 points: worse" in said and "+0.01: unclear" in said
    assert {"40.0", "60.0", "30.0", "0.40", "0.41"} <= set(said)
    assert percent.get_xlabel() == "accuracy (%)" and correlation.get_xlabel() == "correlation"
    assert "Few-shot, CIFAR-10, Lite0: 40.0 before, 30.0 after; −20.0 points (−22.0 to −18.0)" in figure.said
    assert re.search(r'role="img" aria-label="[^"]*before, centred, worse', figure._repr_html_())
    rings = [line.get_xdata()[0] for line in percent.lines if line.get_markerfacecolor() == "none"]
    assert rings == pytest.approx([0.5, 0.5])


def test_without_scores_there_are_no_arrows():
    with pytest.raises(HumalignError, match="no scores before and after alignment"):
        figures.arrows(scores())
