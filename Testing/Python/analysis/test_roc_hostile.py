"""Poor and hostile input to the ROC statistics: a clear message, never a number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from SynthCBVLib.analysis import proportions, roc
from SynthCBVLib.errors import InputError

LABELS, SCORES = [1, 1, 1, 0, 0, 0], [3.0, 5.0, 4.0, 2.0, 3.0, 1.0]
HUGE = "<script>" * 131072  # 1 MB


@pytest.mark.parametrize(
    ("labels", "scores", "says"),
    [
        (LABELS, [3.0, math.nan, 4.0, 2.0, 3.0, 1.0], "1 of 6 values missing"),
        (LABELS, [3.0, math.inf, 4.0, 2.0, 3.0, 1.0], "not finite"),
        (LABELS, [3.0, None, 4.0, 2.0, 3.0, 1.0], "1 of 6 values missing"),
        (LABELS, ["3", "5", "4", "2", "3", "1"], "no numbers"),
        (LABELS, np.array(["3", "5", "4", "2", "3", "1"]), "numbers"),
        (LABELS, [1j] * 6, "no numbers"),
        (LABELS, np.array([3, 5, 4, 2, 3, 1], dtype="datetime64[s]"), "numbers"),
        (LABELS, [HUGE] * 6, "no numbers"),
        (LABELS, [10**400, 1, 2, 3, 4, 5], "no numbers"),
        (LABELS, np.ma.masked_equal(SCORES, 5.0), "1 of 6 values missing"),
        (LABELS, np.ma.masked_equal([3, 5, 4, 2, 3, 1], 5), "1 of 6 values missing"),
        (LABELS, [SCORES], "one axis"),
        (LABELS, [[1, 2], [3], 4, 5, 6, 7], "no numbers"),
        (LABELS, 3.0, "one axis"),
        (LABELS, [], "shape (0,)"),
        (LABELS, SCORES[:5], "6 and 5 values"),
        (LABELS, [2.5] * 6, "the same value 2.5 throughout"),
        ([1] * 6, SCORES, "6 positive and 0 negative"),
        ([0] * 6, SCORES, "0 positive and 6 negative"),
        ([1], [1.0], "at least 2"),
        ([], SCORES, "0 positive and 0 negative"),
        ([1, 0, 2, 0, 1, 0], SCORES, "the label 2"),
        (["1", "1", "1", "0", "0", "0"], SCORES, "the label '1'"),
        ([HUGE, *LABELS[1:]], SCORES, "<script>"),
        (HUGE, SCORES, "one label a case"),
        ([1, 1, None, 0, 0, 0], SCORES, "1 of 6 labels missing"),
        ([1, 1, math.nan, 0, 0, math.nan], SCORES, "2 of 6 labels missing"),
        (np.array([1, 1, np.nan, 0, 0, 0]), SCORES, "1 of 6 labels missing"),
        (np.ma.masked_equal([1, 1, 2, 0, 0, 0], 2), SCORES, "1 of 6 labels missing"),
        ([[1], [1], [1], [0], [0], [0]], SCORES, "type list"),
        (np.ones((6, 1)), SCORES, "type list"),
        (1, SCORES, "one label a case"),
        (None, SCORES, "one label a case"),
    ],
)
def test_bad_cases_are_refused(labels, scores, says):
    calls = [
        lambda: roc.auc(labels, scores),
        lambda: roc.auc(labels, scores, "exact"),
        lambda: roc.curve(labels, scores),
        lambda: roc.youden(labels, scores),
        lambda: roc.compare(labels, scores, SCORES),
        lambda: roc.compare(labels, SCORES, scores),
        lambda: roc.compare(labels, scores, scores, method="hanley-mcneil"),
        lambda: roc.compare_independent(LABELS, SCORES, labels, scores),
    ]
    for call in calls:
        with pytest.raises(InputError) as caught:
            call()
        assert len(str(caught.value)) < 400
    with pytest.raises(InputError) as caught:
        calls[0]()
    assert says in str(caught.value)


def test_classes_by_name():
    names = ["mutant", "mutant", "mutant", "wildtype", "wildtype", "wildtype"]
    assert roc.auc(names, SCORES, positive="mutant").auc == pytest.approx(8.5 / 9)
    with pytest.raises(InputError, match="3 different labels"):
        roc.auc(["other", *names[1:]], SCORES, positive="mutant")
    with pytest.raises(InputError, match="0 positive and 6 negative"):
        roc.auc(names, SCORES, positive="mutated")
    with pytest.raises(InputError, match="1 of 6 labels missing"):
        roc.auc(["", *names[1:]], SCORES, positive="mutant")
    formula = ["=cmd()|'/C calc'!A1", HUGE]
    found = roc.auc([formula[label] for label in LABELS], SCORES, positive=HUGE)
    assert found == roc.auc(LABELS, SCORES)


@pytest.mark.parametrize("method", ["logit", "delong"])
def test_one_case_of_a_class_has_no_delong_variance(method):
    with pytest.raises(InputError, match="1 positive and 3 negative"):
        roc.auc([1, 0, 0, 0], [3, 1, 2, 4], method)
    with pytest.raises(InputError, match="at least 2 of each"):
        roc.compare([1, 0, 0, 0], [3, 1, 2, 4], [1, 2, 3, 4])
    with pytest.raises(InputError, match="at least 2 of each"):
        roc.compare_independent(LABELS, SCORES, [1, 0, 0, 0], [3, 1, 2, 4])


def test_different_areas_without_any_error_are_not_compared():
    with pytest.raises(InputError, match="without a standard error"):
        roc.compare([1, 1, 0, 0], [4, 3, 2, 1], [1, 2, 3, 4])
    with pytest.raises(InputError, match="without a standard error"):
        roc.compare([1, 1, 0, 0], [4, 3, 2, 1], [1, 2, 3, 4], method="hanley-mcneil")
    with pytest.raises(InputError, match="without a standard error"):
        roc.compare_areas(0.9, 0.0, 0.8, 0.0)


def test_scores_that_do_not_vary_within_a_class_are_not_correlated():
    labels, binary = [1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0]
    with pytest.raises(InputError, match=r"scores_b within one class.*delong"):
        roc.compare(labels, SCORES, binary, method="hanley-mcneil")
    assert roc.compare(labels, SCORES, binary).p > 0.05


@pytest.mark.parametrize(
    "call",
    [
        lambda: roc.auc(LABELS, SCORES, "bootstrap"),
        lambda: roc.auc(LABELS, SCORES, confidence=95),
        lambda: roc.auc(LABELS, SCORES, confidence=math.nan),
        lambda: roc.auc(LABELS, SCORES, confidence="0.95"),
        lambda: roc.auc(LABELS, SCORES, direction="auto"),
        lambda: roc.compare(LABELS, SCORES, SCORES, method="t"),
        lambda: roc.compare(LABELS, SCORES, SCORES, method=HUGE),
        lambda: roc.compare(LABELS, SCORES, SCORES[::-1], method="hanley-mcneil", correlation="spearman"),
        lambda: roc.operating_point(LABELS, SCORES, math.nan),
        lambda: roc.operating_point(LABELS, SCORES, None),
        lambda: roc.operating_point(LABELS, SCORES, "4.176"),
        lambda: roc.operating_point(LABELS, SCORES, HUGE),
        lambda: roc.operating_point(LABELS, SCORES, 3.0, confidence=0),
        lambda: roc.operating_point([1] * 6, SCORES, 3.0),
        lambda: roc.operating_point(LABELS, [math.nan, *SCORES[1:]], 3.0),
        lambda: roc.compare_areas(1.2, 0.1, 0.5, 0.1),
        lambda: roc.compare_areas(0.8, -0.1, 0.5, 0.1),
        lambda: roc.compare_areas(0.8, 0.1, 0.5, 0.1, 1.5),
        lambda: roc.compare_areas(0.8, math.nan, 0.5, 0.1),
        lambda: roc.hanley_mcneil_error(1.5, 10, 10),
        lambda: roc.hanley_mcneil_error(0.8, 0, 10),
        lambda: roc.area_correlation(1.1, 0.8),
        lambda: roc.area_correlation(0.5, 1.0),
        lambda: proportions.wilson(5, 4),
        lambda: proportions.exact(-1, 4),
        lambda: proportions.exact(math.nan, 4),
        lambda: proportions.wilson(0, 0),
    ],
)
def test_bad_options_are_refused(call):
    with pytest.raises(InputError) as caught:
        call()
    assert len(str(caught.value)) < 400
