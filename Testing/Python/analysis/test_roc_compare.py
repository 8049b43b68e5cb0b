"""Comparison of areas under ROC curves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from SynthCBVLib.analysis import roc

# DeLong, DeLong & Clarke-Pearson, Biometrics 1988;44:837, table 1: ovarian cancer with intestinal obstruction
# (complete cases): albumin, total protein, K-G score, 1 where surgery helped. Listed in SAS/STAT's manual.
OVARIAN_TABLE = """
    3.0 5.8 10 0  3.2 6.3  5 1  3.9 6.8  3 1  2.8 4.8  6 0  3.2 5.8  3 1  0.9 4.0  5 0  2.5 5.7  8 0
    1.6 5.6  5 1  3.8 5.7  5 1  3.7 6.7  6 1  3.2 5.4  4 1  3.8 6.6  6 1  4.1 6.6  5 1  3.6 5.7  5 1
    4.3 7.0  4 1  3.6 6.7  4 0  2.3 4.4  6 1  4.2 7.6  4 0  4.0 6.6  6 0  3.5 5.8  6 1  3.8 6.8  7 1
    3.0 4.7  8 0  4.5 7.4  5 1  3.7 7.4  5 1  3.1 6.6  6 1  4.1 8.2  6 1  4.3 7.0  5 1  4.3 6.5  4 1
    3.2 5.1  5 1  2.6 4.7  6 1  3.3 6.8  6 0  1.7 4.0  7 0  3.7 6.1  5 1  3.3 6.3  7 1  4.2 7.7  6 1
    3.5 6.2  5 1  2.9 5.7  9 0  2.1 4.8  7 1  2.8 6.2  8 0  4.0 7.0  7 1  3.3 5.7  6 1  3.7 6.9  5 1
    3.6 6.6  5 1
"""
OVARIAN = np.array(OVARIAN_TABLE.split(), dtype=float).reshape(-1, 4)
ALBUMIN, PROTEIN, K_G, HELPED = OVARIAN[:, 0], OVARIAN[:, 1], 10 - OVARIAN[:, 2], OVARIAN[:, 3]


@pytest.mark.parametrize(
    ("scores", "published"),
    [
        (K_G, (0.7258, 0.1028, 0.5243, 0.9273)),
        (PROTEIN, (0.6478, 0.1000, 0.4518, 0.8439)),
        (ALBUMIN, (0.7366, 0.0927, 0.5549, 0.9182)),
    ],
)
def test_areas_of_delong_1988(scores, published):
    """As SAS/STAT prints them for these data."""
    found = roc.auc(HELPED, scores, "delong")
    printed = (found.auc, found.standard_error, *found.interval)
    assert tuple(round(value, 4) for value in printed) == published


def test_comparison_of_delong_1988():
    """SAS/STAT: K-G - albumin -0.0108, error 0.0953, [-0.1976, 0.1761], P .9102."""
    found = roc.compare(HELPED, K_G, ALBUMIN)
    printed = (found.difference, found.standard_error, *found.interval, found.p)
    assert tuple(round(value, 4) for value in printed) == (-0.0108, 0.0953, -0.1976, 0.1761, 0.9102)
    assert found.z == pytest.approx(found.difference / found.standard_error)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.z)))


def test_p_of_the_ivim_paper_follow_from_its_areas():
    """AUC .8375 vs .8325 P = .9075, vs .59 P = .0368; the errors of the differences are implied ones."""
    assert round(roc.compare_areas(0.8375, 0.04303, 0.8325, 0.0).p, 4) == 0.9075
    assert round(roc.compare_areas(0.8375, 0.11854, 0.59, 0.0).p, 4) == 0.0368


def test_hanley_mcneil_z_in_closed_form():
    found = roc.compare_areas(0.87, 0.03, 0.76, 0.04, 0.3)
    error = math.sqrt(0.03**2 + 0.04**2 - 2 * 0.3 * 0.03 * 0.04)
    assert found.standard_error == pytest.approx(error)
    assert found.z == pytest.approx(0.11 / error)
    assert found.interval == pytest.approx((0.11 - 1.959964 * error, 0.11 + 1.959964 * error), abs=1e-6)
    independent = roc.compare_areas(0.87, 0.03, 0.76, 0.04)
    assert independent.standard_error == pytest.approx(0.05)


def test_correlation_of_areas_at_its_ends():
    for area in (0.5, 0.7, 0.9, 0.975, 1 - 1e-9):
        assert roc.area_correlation(0.0, area) == 0.0
        assert roc.area_correlation(1.0, area) == pytest.approx(1.0)
    # At an area of one half the placements are uniform: 6 / pi asin(r / 2).
    for r in (-0.8, -0.3, 0.2, 0.5, 0.9):
        assert roc.area_correlation(r, 0.5) == pytest.approx(6 / math.pi * math.asin(r / 2), abs=1e-12)


@pytest.mark.parametrize(("r", "area"), [(0.3, 0.7), (0.5, 0.875), (0.9, 0.95)])
def test_correlation_of_areas_is_that_of_bivariate_normal_scores(r, area):
    """Covariance of Phi(X) and Phi(Y) for normal X and Y about the separation that gives the area."""
    h = stats.norm.ppf(area)

    def together(c):
        joint = stats.multivariate_normal([0, 0], [[1, c / 2], [c / 2, 1]])
        return joint.cdf([h, h]) - area**2

    assert roc.area_correlation(r, area) == pytest.approx(together(r) / together(1), abs=1e-4)


def test_correlation_of_areas_in_simulated_samples():
    rng = np.random.default_rng(2)
    draws, n, r, area = 4000, 60, 0.5, 0.875
    shift = math.sqrt(2) * stats.norm.ppf(area)
    a = rng.normal(size=(draws, 2 * n))
    b = r * a + math.sqrt(1 - r**2) * rng.normal(size=a.shape)
    areas = [(x[:, :n, None] + shift > x[:, None, n:]).mean(axis=(1, 2)) for x in (a, b)]
    assert np.corrcoef(areas)[0, 1] == pytest.approx(roc.area_correlation(r, area), abs=0.04)


def test_methods_agree_on_large_normal_samples():
    rng = np.random.default_rng(3)
    labels = np.repeat([1, 0], 4000)
    a = rng.normal(size=8000)
    b = 0.6 * a + 0.8 * rng.normal(size=8000)
    a, b = a + 1.5 * labels, b + 1.2 * labels
    one, other = roc.compare(labels, a, b), roc.compare(labels, a, b, method="hanley-mcneil")
    assert one.difference == other.difference
    assert other.standard_error == pytest.approx(one.standard_error, rel=0.12)
    assert other.correlation == pytest.approx(one.correlation, abs=0.05)
    kendall = roc.compare(labels, a, b, method="hanley-mcneil", correlation="kendall")
    # Kendall's tau of normal scores is 2 / pi asin(r).
    tau = 2 / math.pi * math.asin(0.6)
    middle = (one.auc_a + one.auc_b) / 2
    assert kendall.correlation == pytest.approx(roc.area_correlation(tau, middle), abs=0.03)


def test_independent_groups():
    half = np.arange(len(HELPED)) % 2 == 0
    groups = [(HELPED[half], K_G[half]), (HELPED[~half], ALBUMIN[~half])]
    found = roc.compare_independent(*groups[0], *groups[1])
    first, second = (roc.auc(*group, "delong") for group in groups)
    assert found.difference == first.auc - second.auc
    error = math.hypot(first.standard_error, second.standard_error)
    assert found.standard_error == pytest.approx(error)
    assert found.correlation == 0
    other = roc.compare_independent(*groups[0], *groups[1], method="hanley-mcneil")
    errors = [roc.hanley_mcneil_error(a.auc, a.n_positive, a.n_negative) for a in (first, second)]
    assert [other.error_a, other.error_b] == pytest.approx(errors)


def test_the_same_ranking_differs_by_nothing():
    found = roc.compare(HELPED, K_G, np.exp(K_G))
    assert (found.difference, found.z, found.p, found.interval) == (0, 0, 1, (0, 0))
    assert found.correlation == pytest.approx(1)


def test_two_perfect_scores_leave_the_interval_open():
    found = roc.compare([1, 1, 0, 0], [4, 3, 2, 1], [9, 8, 1, 2])
    assert (found.difference, found.p) == (0, 1)
    assert math.isnan(found.interval.low)
    assert math.isnan(found.interval.high)


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(-5, 5), st.integers(-5, 5)), min_size=12, max_size=40
    ).filter(lambda cases: 3 <= sum(c[0] for c in cases) <= len(cases) - 3)
)
@settings(max_examples=100, deadline=None)
def test_swapping_the_scores_changes_the_sign_alone(cases):
    # Two cases out of order in each class and score keep both areas off 0 and 1.
    labels = np.array([True, False, True, False, *(c[0] for c in cases)])
    a = np.array([9, 9, -9, -9, *(c[1] for c in cases)], float)
    b = np.array([9, 8, -9, -8, *(c[2] for c in cases)], float)
    one, other = roc.compare(labels, a, b), roc.compare(labels, b, a)
    assert one.difference == -other.difference
    assert (one.z, one.p) == pytest.approx((-other.z, other.p), abs=1e-9)
    assert one.interval == pytest.approx((-other.interval.high, -other.interval.low), abs=1e-12)
    turned = roc.compare(labels, -a, -b, direction="lower")
    assert turned.z == pytest.approx(one.z, abs=1e-12)
