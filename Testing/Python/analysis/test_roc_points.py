"""Points of the ROC curve, operating points and published cut-offs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid

from SynthCBVLib.analysis import proportions, roc

LABELS = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
SCORES = [9, 7, 7, 3, 7, 5, 4, 3, 2, 1]


def test_curve_by_hand():
    found = roc.curve(LABELS, SCORES)
    assert found.thresholds.tolist() == [math.inf, 9, 7, 5, 4, 3, 2, 1]
    assert found.true_positives.tolist() == [0, 1, 3, 3, 3, 4, 4, 4]
    assert found.false_positives.tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
    assert found.sensitivity == pytest.approx(np.array([0, 1, 3, 3, 3, 4, 4, 4]) / 4)
    assert found.specificity == pytest.approx(1 - np.array([0, 0, 1, 2, 3, 4, 5, 6]) / 6)


def test_lower_scores_mirror_higher_ones():
    found, turned = roc.curve(LABELS, SCORES), roc.curve(LABELS, [-s for s in SCORES], direction="lower")
    assert turned.thresholds.tolist() == (-found.thresholds).tolist()
    assert turned.true_positives.tolist() == found.true_positives.tolist()
    assert turned.false_positives.tolist() == found.false_positives.tolist()


def test_operating_point_by_hand():
    found = roc.operating_point(LABELS, SCORES, 7)
    counts = (found.true_positives, found.false_positives, found.false_negatives, found.true_negatives)
    assert counts == (3, 1, 1, 5)
    rates = (found.sensitivity, found.specificity, found.ppv, found.npv, found.accuracy)
    assert rates == pytest.approx((3 / 4, 5 / 6, 3 / 4, 5 / 6, 8 / 10))
    assert found.youden == pytest.approx(3 / 4 + 5 / 6 - 1)
    wanted = {
        "sensitivity": (3, 4), "specificity": (5, 6), "ppv": (3, 4), "npv": (5, 6), "accuracy": (8, 10),
    }  # fmt: skip
    for name, (count, n) in wanted.items():
        assert getattr(found.wilson, name) == proportions.wilson(count, n)
        assert getattr(found.exact, name) == proportions.exact(count, n)


def test_a_score_at_the_threshold_is_positive_on_both_sides():
    assert roc.operating_point([1, 0], [5.0, 4.0], 5.0).sensitivity == 1
    assert roc.operating_point([1, 0], [5.0, 6.0], 5.0, direction="lower").sensitivity == 1


def test_nobody_called_positive_leaves_the_predictive_value_open():
    found = roc.operating_point(LABELS, SCORES, 100)
    assert (found.sensitivity, found.specificity) == (0, 1)
    assert math.isnan(found.ppv)
    assert all(math.isnan(end) for end in (*found.wilson.ppv, *found.exact.ppv))
    assert found.npv == 0.6


def test_youden_by_hand():
    """(9: 1/4), (7: 3/4 - 1/6), (3: 1 - 4/6): the threshold is 7."""
    found = roc.youden(LABELS, SCORES)
    assert found.threshold == 7
    assert found == roc.operating_point(LABELS, SCORES, 7)
    lower = roc.youden(LABELS, [-s for s in SCORES], direction="lower")
    assert (lower.threshold, lower.youden) == (-7, found.youden)


def test_of_equally_good_thresholds_the_most_specific():
    assert roc.youden([1, 1, 0, 0], [4, 2, 3, 1]).threshold == 4


def test_published_cut_offs():
    """IVIM paper, Methods: 4.176 for real, 3.419 for synthetic; 70 and 95 %, 60 and 100 %."""
    real, synthetic = roc.CUT_OFFS["ivim-real"], roc.CUT_OFFS["ivim-synthetic"]
    assert (real.threshold, synthetic.threshold) == (4.176, 3.419)
    assert (real.specificity, real.sensitivity) == (0.70, 0.95)
    assert (synthetic.specificity, synthetic.sensitivity) == (0.60, 1.00)
    # 19 of 20 mutants at or below, 14 of 20 wildtype above: the paper's rates, by name.
    labels = ["mutant"] * 20 + ["wildtype"] * 20
    ratios = [2.0] * 18 + [4.176, 5.0] + [6.0] * 14 + [3.0] * 6
    found = roc.operating_point(labels, ratios, "ivim-real", positive="mutant")
    assert (found.sensitivity, found.specificity) == (0.95, 0.70)
    assert (found.threshold, found.direction) == (4.176, "lower")
    assert found == roc.operating_point(labels, ratios, real, positive="mutant")
    assert tuple(round(end, 3) for end in found.exact.sensitivity) == (0.751, 0.999)


CASES = st.lists(st.tuples(st.booleans(), st.integers(-6, 6)), min_size=3, max_size=40).filter(
    lambda cases: len({label for label, _ in cases}) == 2 and len({score for _, score in cases}) > 1
)


@given(CASES)
@settings(max_examples=150, deadline=None)
def test_the_area_lies_under_the_points(cases):
    labels, scores = zip(*cases, strict=True)
    found = roc.curve(labels, scores)
    area = trapezoid(found.sensitivity, found.false_positive_rate)
    assert area == pytest.approx(roc.auc(labels, scores, "exact").auc, abs=1e-12)


@given(CASES, st.sampled_from(["higher", "lower"]))
@settings(max_examples=150, deadline=None)
def test_points_of_the_curve_are_operating_points_and_youden_is_the_best(cases, direction):
    labels, scores = zip(*cases, strict=True)
    found = roc.curve(labels, scores, direction=direction)
    best = roc.youden(labels, scores, direction=direction)
    for threshold, sensitivity, specificity in zip(
        found.thresholds[1:], found.sensitivity[1:], found.specificity[1:], strict=True
    ):
        point = roc.operating_point(labels, scores, threshold, direction=direction)
        assert (point.sensitivity, point.specificity) == pytest.approx((sensitivity, specificity))
        assert best.youden >= point.youden - 1e-12


def test_points_are_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(6)
    labels = np.concatenate([[0, 1], rng.integers(0, 2, 200)])
    scores = np.round(rng.normal(size=202) + labels, 1)
    found = roc.curve(labels, scores)
    fpr, tpr, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=False)
    assert found.false_positive_rate == pytest.approx(fpr, abs=1e-10)
    assert found.sensitivity == pytest.approx(tpr, abs=1e-10)
    assert found.thresholds.tolist() == thresholds.tolist()
