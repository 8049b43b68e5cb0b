"""Agreement statistics against published tables, scipy and simple truths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from SynthCBVLib.analysis import agreement
from SynthCBVLib.errors import InputError

# Bland & Altman, Lancet 1986;1:307, first measurements of peak expiratory flow rate, l/min.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_bland_altman_1986():
    """Published: -2.1, SD 38.8; limits -79.7 to 75.5 from these rounded figures (-79.6, 75.4 unrounded).

    Published intervals: bias -22.0 to 17.8, lower limit -114.3 to -45.1, upper limit 40.9 to 110.1, from
    a standard error of the limits of sqrt(3 SD² / n); the 1999 formula for 2 SD gives them within 1.
    """
    found = agreement.bland_altman(WRIGHT, MINI, multiplier=2.0)
    assert found.n == 17
    assert round(found.bias, 1) == -2.1
    assert round(found.sd, 1) == 38.8
    assert found.bias == pytest.approx(-2.1176, abs=5e-5)
    assert found.sd == pytest.approx(38.7651, abs=5e-5)
    assert (round(found.lower, 1), round(found.upper, 1)) == (-79.6, 75.4)
    assert found.bias_interval == pytest.approx((-22.0, 17.8), abs=0.06)
    assert found.lower_interval == pytest.approx((-114.3, -45.1), abs=1.0)
    assert found.upper_interval == pytest.approx((40.9, 110.1), abs=1.0)
    assert found.inside == pytest.approx(16 / 17)
    assert round(agreement.pearson(WRIGHT, MINI).r, 2) == 0.94


def test_limits_and_intervals_in_closed_form():
    found = agreement.bland_altman([1, 2, 3, 4], [0, 0, 0, 0])
    sd = math.sqrt(5 / 3)
    t = 3.182446305284263  # 97.5th percentile of t with 3 degrees of freedom
    assert (found.bias, found.sd) == pytest.approx((2.5, sd))
    assert (found.lower, found.upper) == pytest.approx((2.5 - 1.96 * sd, 2.5 + 1.96 * sd))
    assert found.bias_interval == pytest.approx((2.5 - t * sd / 2, 2.5 + t * sd / 2))
    half = t * sd * math.sqrt(1 / 4 + 1.96**2 / 6)
    assert found.lower_interval == pytest.approx((found.lower - half, found.lower + half))
    assert found.upper_interval == pytest.approx((found.upper - half, found.upper + half))
    assert found.inside == 1.0


def test_swapping_changes_the_sign_alone():
    one, other = agreement.bland_altman(WRIGHT, MINI), agreement.bland_altman(MINI, WRIGHT)
    assert (one.bias, one.lower, one.upper) == pytest.approx((-other.bias, -other.upper, -other.lower))
    assert one.inside == other.inside


@pytest.mark.parametrize(("r", "p"), [(0.7536, 0.00012), (0.3180, 0.1718), (0.1715, 0.4697)])
def test_p_of_the_papers_correlations(r, p):
    """The IVIM paper's r of 20 patients give its P to the printed digits."""
    digits = len(str(f"{p:.5f}".rstrip("0")).partition(".")[2])
    assert round(agreement.p_of_r(r, 20), digits) == p


@pytest.mark.parametrize(("r", "r_squared"), [(0.7536, 0.568), (0.8933, 0.798)])
def test_r_squared_of_the_papers(r, r_squared):
    """Data built to have the papers' r have their R² as well."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=20)
    x = (x - x.mean()) / np.linalg.norm(x - x.mean())
    e = rng.normal(size=20)
    e -= e.mean() + (e @ x) * x
    y = r * x + math.sqrt(1 - r * r) * e / np.linalg.norm(e)
    assert agreement.pearson(x, y).r == pytest.approx(r)
    assert round(agreement.regression(x, y).r_squared, 3) == r_squared


@given(seed=st.integers(0, 10_000), n=st.integers(4, 60))
@settings(max_examples=60, deadline=None)
def test_scipy_agrees(seed, n):
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 2, n)
    y = 0.7 * x + rng.normal(0.5, 1, n)
    line, expected = agreement.regression(x, y), stats.linregress(x, y)
    half = stats.t.ppf(0.975, n - 2)
    assert (line.slope, line.intercept) == pytest.approx((expected.slope, expected.intercept), rel=1e-10)
    assert line.r_squared == pytest.approx(expected.rvalue**2, rel=1e-10)
    assert line.p == pytest.approx(expected.pvalue, rel=1e-8)
    assert line.slope_interval.high - line.slope == pytest.approx(half * expected.stderr, rel=1e-10)
    spread = half * expected.intercept_stderr
    assert line.intercept - line.intercept_interval.low == pytest.approx(spread, rel=1e-10)
    r, reference = agreement.pearson(x, y), stats.pearsonr(x, y)
    assert (r.r, r.p) == pytest.approx((reference.statistic, reference.pvalue), rel=1e-8)
    assert r.interval == pytest.approx(tuple(reference.confidence_interval(0.95)), rel=1e-10)
    for equal in (True, False):
        test = agreement.unpaired_t(x, y[: n // 2 + 1], equal_variances=equal)
        reference = stats.ttest_ind(x, y[: n // 2 + 1], equal_var=equal)
        assert (test.t, test.p, test.df) == pytest.approx(
            (reference.statistic, reference.pvalue, reference.df), rel=1e-10
        )
        assert test.interval == pytest.approx(tuple(reference.confidence_interval(0.95)), rel=1e-10)


def test_exact_lines():
    found = agreement.regression([1, 2, 3], [3, 5, 7])
    assert (found.slope, found.intercept) == (2.0, 1.0)
    assert (found.r_squared, found.residual_sd, found.p) == (1.0, 0.0, 0.0)
    flat = agreement.regression([1, 2, 3], [4, 4, 4])
    assert (flat.slope, flat.p) == (0.0, 1.0)
    assert math.isnan(flat.r_squared)
    perfect = agreement.pearson([1, 2, 4, 8], [-1, -2, -4, -8])
    assert perfect.r == pytest.approx(-1.0)
    assert perfect.p == pytest.approx(0.0, abs=1e-12)
    assert math.isnan(agreement.pearson([1, 2, 3], [1, 3, 2]).interval.low)


def test_paired_t_is_scipys():
    found, expected = agreement.paired_t(WRIGHT, MINI), stats.ttest_rel(WRIGHT, MINI)
    assert (found.t, found.p, found.df) == pytest.approx((expected.statistic, expected.pvalue, 16), rel=1e-10)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-10)
    assert found.sd == pytest.approx(38.7651, abs=5e-5)
    limits = agreement.bland_altman(WRIGHT, MINI)
    assert found.interval == pytest.approx(limits.bias_interval)


def test_proportional_bias_is_the_regression_of_differences_on_means():
    a, b = np.array(WRIGHT, float), np.array(MINI, float)
    expected = stats.linregress((a + b) / 2, a - b)
    found = agreement.bland_altman(a, b).proportional
    assert (found.slope, found.p) == pytest.approx((expected.slope, expected.pvalue), rel=1e-9)
    tilted = agreement.bland_altman(1.3 * b, b).proportional
    assert tilted.slope == pytest.approx(0.3 / 1.15)
    assert tilted.p < 1e-12
    assert agreement.bland_altman([1, 2, 3], [3, 2, 1]).proportional is None


def test_ratio_form_in_closed_form():
    """Logarithms by hand; 20 % above throughout is a ratio of 1.2 without spread."""
    rng = np.random.default_rng(5)
    b = rng.uniform(1, 8, 30)
    a = b * np.exp(rng.normal(0.1, 0.2, 30))
    logs = np.log(a / b)
    found = agreement.bland_altman_ratio(a, b)
    limits = np.exp(logs.mean() + 1.96 * logs.std(ddof=1) * np.array([-1, 1]))
    assert found.ratio == pytest.approx(stats.gmean(a / b))
    assert (found.lower, found.upper) == pytest.approx(tuple(limits))
    assert found.percent == pytest.approx((100 * (found.ratio - 1), *(100 * (limits - 1))))
    assert found.lower_interval.low < found.lower < found.lower_interval.high
    same = agreement.bland_altman_ratio(1.2 * b, b)
    assert (same.ratio, same.lower, same.upper) == pytest.approx((1.2, 1.2, 1.2))
    with pytest.raises(InputError, match="1 of 3 values at or below 0"):
        agreement.bland_altman_ratio([1, 2, 3], [1, 0, 2])


def test_concordance_is_lins_formula():
    a, b = np.array(WRIGHT, float), np.array(MINI, float)
    found = agreement.concordance(a, b)
    covariance = np.cov(a, b, ddof=0)
    expected = 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (a.mean() - b.mean()) ** 2)
    assert found.rho == pytest.approx(expected, rel=1e-12)
    assert round(found.rho, 3) == 0.943
    assert found.rho == pytest.approx(found.r * found.accuracy)
    assert found.interval.low < found.rho < found.interval.high
    assert agreement.concordance(a, a).rho == pytest.approx(1.0)
    assert agreement.concordance(a, a + 100).rho < 0.85
    assert agreement.concordance(a, -a).rho < 0


def test_concordance_interval_covers_the_truth():
    rng = np.random.default_rng(6)
    truth = 2 * 1.5**2 / (2 * (1.5**2 + 0.6**2) + 0.5**2)
    inside = 0
    for _ in range(1000):
        x = rng.normal(4, 1.5, 40)
        found = agreement.concordance(x + rng.normal(0, 0.6, 40), 0.5 + x + rng.normal(0, 0.6, 40))
        inside += found.interval.low <= truth <= found.interval.high
    assert 0.93 < inside / 1000 < 0.97


def test_the_band_of_the_line_is_the_interval_of_its_mean():
    x, y = np.array(WRIGHT, float), np.array(MINI, float)
    found = agreement.regression(x, y)
    low, high = found.band([x.mean(), 0.0])
    half = stats.t.ppf(0.975, 15) * found.residual_sd / math.sqrt(17)
    assert (low[0], high[0]) == pytest.approx((y.mean() - half, y.mean() + half))
    assert (low[1], high[1]) == pytest.approx(tuple(found.intercept_interval))


def test_rounding_is_no_finding():
    """A shift by 0.1 has no spread and no trend but in its last digits."""
    a = np.random.default_rng(7).uniform(1, 8, 50)
    found = agreement.bland_altman(a + 0.1, a)
    assert (found.sd, found.inside) == (0.0, 1.0)
    assert found.proportional.slope == 0.0
    with pytest.raises(InputError, match=r"the same difference 0\.1"):
        agreement.paired_t(a + 0.1, a)
    with pytest.raises(InputError, match=r"the same value 0\.3"):
        agreement.pearson([0.3, 0.1 + 0.2, 0.3], [1, 2, 3])
    with pytest.raises(InputError, match="groups that vary"):
        agreement.unpaired_t([0.3, 0.1 + 0.2], [0.6, 0.6])


def test_values_whose_squares_overflow_are_refused():
    with pytest.raises(InputError, match="1e\\+200"):
        agreement.regression([1, 2, 1e200], [1, 2, 3])


def test_tiny_and_huge_values_do_not_lose_the_correlation():
    x = np.array([1.0, 2.0, 4.0, 3.0])
    y = np.array([1.0, 3.0, 4.0, 2.0])
    expected = agreement.pearson(x, y).r
    assert agreement.pearson(x * 1e-150, y * 1e150).r == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: agreement.bland_altman([1, 2], [1, 2]), "at least 3"),
        (lambda: agreement.bland_altman([1, 2, 3], [1, 2, 3, 4]), "3 and 4 values"),
        (lambda: agreement.bland_altman([1, 2, math.nan], [1, 2, 3]), "1 of 3 values"),
        (lambda: agreement.bland_altman([1, 2, 3], [1, 2, 4], multiplier=-1), "multiplier"),
        (lambda: agreement.bland_altman([1, 2, 3], [1, 2, 4], confidence=95), "confidence"),
        (lambda: agreement.regression([2, 2, 2], [1, 2, 3]), "real: the same value 2"),
        (lambda: agreement.regression([1, 2, 3], [1, math.inf, 3]), "synthetic: 1 of 3"),
        (lambda: agreement.pearson([1, 2, 3], [5, 5, 5]), "b: the same value 5"),
        (lambda: agreement.pearson(["x", "y", "z"], [1, 2, 3]), "no numbers"),
        (lambda: agreement.pearson([[1, 2, 3]], [1, 2, 3]), "shape"),
        (lambda: agreement.p_of_r(1.2, 20), "r = 1.2"),
        (lambda: agreement.unpaired_t([1], [1, 2]), "at least 2"),
        (lambda: agreement.unpaired_t([1, 1], [2, 2]), "groups that vary"),
    ],
)
def test_what_cannot_be_analysed_is_named(call, text):
    with pytest.raises(InputError, match=text):
        call()
