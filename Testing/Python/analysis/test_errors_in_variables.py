"""Deming's and Passing-Bablok's lines against published examples, brute force and symmetries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SynthCBVLib.analysis import agreement
from SynthCBVLib.errors import InputError

# NCSS documentation, chapter 303 (Deming), variances of the errors 0.032 (x) and 0.008 (y).
DEMING_X = [7, 8.3, 10.5, 9, 5.1, 8.2, 10.2, 10.3, 7.1, 5.9]
DEMING_Y = [7.9, 8.2, 9.6, 9, 6.5, 7.3, 10.2, 10.6, 6.3, 5.2]
# Serum and plasma creatinine of 108 patients, mg/dl, which the R package mcr publishes with its results.
CREATININE = np.array([
    (0.82, 0.79), (1.83, 1.62), (1.39, 1.36), (0.81, 1.3), (1.72, 1.88), (3.23, 3.35), (1.23, 1.06),
    (1.37, 1.34), (1.72, 1.56), (0.96, 0.94), (0.76, 0.69), (1.15, 1.16), (0.95, 0.71), (1, 0.83),
    (1.52, 1.44), (1.56, 1.26), (2.45, 2.36), (1.85, 1.9), (0.89, 0.95), (0.82, 0.77), (1.01, 0.82),
    (0.96, 0.88), (3.38, 3.42), (1.31, 1.15), (1.1, 0.96), (1.26, 1.12), (1.15, 1.02), (1.2, 1.29),
    (1.01, 0.87), (1.33, 1.13), (0.87, 0.82), (1.66, 1.33), (1.41, 1.14), (1.08, 0.93), (1.17, 1.09),
    (1.77, 1.89), (1.33, 1.57), (1.23, 1.29), (1.21, 1.13), (1.2, 1.11), (1.49, 1.61), (0.89, 0.79),
    (1.09, 1.19), (1.03, 0.96), (1.07, 1.25), (0.89, 0.87), (1.39, 1.36), (0.96, 0.86), (1.06, 1.03),
    (1.17, 0.86), (0.9, 0.8), (1.39, 1.22), (0.91, 0.86), (2.28, 2.25), (0.9, 0.87), (1.34, 1.3),
    (1.32, 1.04), (1.02, 0.92), (1.04, 1.01), (1.27, 1.21), (1.08, 1.11), (1.1, 1.21), (1.39, 1.54),
    (1.07, 0.99), (0.79, 0.79), (1.02, 1.06), (0.94, 1.02), (1.99, 2.15), (0.7, 0.56), (0.84, 1.01),
    (0.66, 0.59), (1.1, 1.17), (0.9, 0.82), (2.06, 2.09), (1.31, 1.44), (1.03, 1.22), (1.61, 1.77),
    (1.52, 1.6), (1.11, 1.13), (0.85, 1.06), (1.2, 1.38), (1.09, 1.24), (1.27, 1.29), (2.06, 2.08),
    (1.21, 1.31), (0.77, 0.82), (1.06, 1.28), (1.02, 1.15), (1, 1.04), (1.47, 1.51), (0.97, 1.13),
    (1.7, 1.84), (1.78, 1.94), (0.93, 1.32), (0.92, 1.36), (1.59, 1.88), (0.68, 0.73), (0.7, 0.78),
    (1.08, 1.01), (0.83, 0.9), (1.17, 1.3), (0.98, 0.96), (0.77, 0.61), (0.91, 1.27), (1.1, 1.05),
    (0.8, 1.12), (0.85, 0.72), (0.82, 0.87),
])  # fmt: skip


def test_deming_published_example():
    found = agreement.deming(DEMING_X, DEMING_Y, error_ratio=4)
    assert found.slope == pytest.approx(1.0011942, abs=5e-8)
    assert found.intercept == pytest.approx(-0.0897449, abs=5e-8)
    assert found.slope_interval == pytest.approx((0.5695632, 1.4328253), abs=5e-8)
    assert found.intercept_interval == pytest.approx((-4.06065, 3.88117), abs=5e-6)
    assert agreement.deming(DEMING_X, DEMING_Y, error_ratio=2).slope == pytest.approx(0.9745, abs=5e-5)


def test_passing_bablok_published_example():
    """The package takes medians of angles, which moves the fourth decimal."""
    found = agreement.passing_bablok(*CREATININE.T)
    assert found.n == 108
    assert found.slope == pytest.approx(1.0880089, abs=2e-4)
    assert found.intercept == pytest.approx(-0.1171729, abs=2e-4)
    assert found.slope_interval == pytest.approx((1.0, 1.173005), abs=2e-4)
    assert found.intercept_interval == pytest.approx((-0.2001149, -0.02), abs=2e-4)


@given(seed=st.integers(0, 10_000), n=st.integers(4, 40), ratio=st.floats(0.1, 10))
@settings(max_examples=40, deadline=None)
def test_deming_intervals_are_the_jackknife_done_one_by_one(seed, n, ratio):
    rng = np.random.default_rng(seed)
    x = rng.normal(4, 2, n)
    y = 1 + 0.8 * x + rng.normal(0, 0.3, n)
    found = agreement.deming(x, y, error_ratio=ratio)
    slopes = []
    for i in range(n):
        dx, dy = (np.delete(v, i) - np.delete(v, i).mean() for v in (x, y))
        u = ratio * dy @ dy - dx @ dx
        slopes.append((u + math.sqrt(u**2 + 4 * ratio * (dx @ dy) ** 2)) / (2 * ratio * dx @ dy))
    error = math.sqrt((n - 1) / n * np.sum((np.array(slopes) - np.mean(slopes)) ** 2))
    from scipy import stats

    half = stats.t.ppf(0.975, n - 2) * error
    assert found.slope_interval.high - found.slope == pytest.approx(half, rel=1e-6)


@given(seed=st.integers(0, 10_000), ratio=st.floats(0.1, 10))
@settings(max_examples=40, deadline=None)
def test_swapping_the_measurements_inverts_the_line(seed, ratio):
    rng = np.random.default_rng(seed)
    x = rng.normal(4, 2, 31)
    y = 1 + 0.8 * x + rng.normal(0, 0.5, 31)
    one = agreement.deming(x, y, error_ratio=ratio)
    other = agreement.deming(y, x, error_ratio=1 / ratio)
    assert other.slope == pytest.approx(1 / one.slope, rel=1e-9)
    one, other = agreement.passing_bablok(x, y), agreement.passing_bablok(y, x)
    if 31 * 30 // 2 % 2:  # an even number of slopes has the mean of two in the middle
        assert other.slope == pytest.approx(1 / one.slope, rel=1e-9)
    assert other.slope_interval.low == pytest.approx(1 / one.slope_interval.high, rel=1e-9)


def test_orthogonal_regression_is_the_first_principal_component():
    rng = np.random.default_rng(3)
    x = rng.normal(0, 2, 50)
    y = -0.6 * x + rng.normal(0, 0.4, 50)
    *_, axes = np.linalg.svd(np.column_stack([x - x.mean(), y - y.mean()]), full_matrices=False)
    assert agreement.deming(x, y).slope == pytest.approx(axes[0, 1] / axes[0, 0], rel=1e-12)


def brute_force_slopes(x, y):
    slopes = []
    for i in range(len(x)):
        for j in range(i + 1, len(x)):
            if x[i] == x[j] and y[i] == y[j]:
                continue
            slope = math.inf if x[i] == x[j] else (y[j] - y[i]) / (x[j] - x[i])
            if slope != -1:
                slopes.append(slope)
    return sorted(slopes)


@given(seed=st.integers(0, 10_000), n=st.integers(8, 30))
@settings(max_examples=60, deadline=None)
def test_passing_bablok_with_ties_is_its_definition(seed, n):
    rng = np.random.default_rng(seed)
    x = np.round(rng.uniform(1, 8, n))  # many ties
    y = np.round(x + rng.normal(0, 0.7, n))
    x[:2], y[:2] = (1, 8), (1, 9)
    slopes = brute_force_slopes(x, y)
    shift, half = sum(slope < -1 for slope in slopes), len(slopes) // 2
    if len(slopes) % 2:
        expected = slopes[half + shift]
    else:
        expected = (slopes[half - 1 + shift] + slopes[half + shift]) / 2
    if not 0 < expected < math.inf:
        with pytest.raises(InputError, match="do not rise together"):
            agreement.passing_bablok(x, y)
        return
    found = agreement.passing_bablok(x, y)
    assert found.slope == pytest.approx(expected)
    assert found.intercept == pytest.approx(np.median(y - expected * x))


def test_an_outlier_does_not_move_passing_bablok():
    x = np.arange(1.0, 31.0)
    y = x + np.where(np.arange(30) % 2, 0.2, -0.2)
    before = agreement.passing_bablok(x, y)
    y[20] += 500
    assert agreement.passing_bablok(x, y).slope == pytest.approx(before.slope, abs=0.01)
    assert agreement.deming(x, y).slope > 1.5


def test_a_bent_line_is_told_from_a_straight_one():
    x = np.linspace(1, 8, 60)
    noise = np.random.default_rng(0).normal(0, 0.1, 60)
    assert agreement.passing_bablok(x, x + noise).linearity_p > 0.1
    assert agreement.passing_bablok(x, 0.2 * x**2 + noise).linearity_p < 0.01
    assert agreement.passing_bablok(x, 2 * x).linearity_p == 1.0


@pytest.mark.parametrize("n", [12, 40])
def test_intervals_cover_the_truth(n):
    rng = np.random.default_rng(4)
    inside = np.zeros(2)
    for _ in range(400):
        truth = rng.normal(4, 1.5, n)
        x = truth + rng.normal(0, 0.5, n)
        y = 0.5 + 0.9 * truth + rng.normal(0, 0.45, n)
        for k, line in enumerate(
            (agreement.deming(x, y, error_ratio=1 / 0.81), agreement.passing_bablok(x, y))
        ):
            inside[k] += line.slope_interval.low <= 0.9 <= line.slope_interval.high
    assert ((inside / 400 > 0.91) & (inside / 400 < 0.985)).all(), inside / 400


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: agreement.deming([1, 2, 3], [1, 2, 3]), "at least 4"),
        (lambda: agreement.deming([1, 2, 3, 4], [5, 5, 5, 5]), "y: the same value 5"),
        (lambda: agreement.deming([1, 2, 3, 4], [1, 2, 3, 4], error_ratio=0), "error ratio"),
        (lambda: agreement.deming([-1, 1, -1, 1], [-1, -1, 1, 1]), "no covariance"),
        (lambda: agreement.passing_bablok([1, 2, 3, 4], [4.0, 3.1, 2, 0.9]), "do not rise together"),
        (lambda: agreement.passing_bablok([1, 2, 3, math.nan], [1, 2, 3, 4]), "1 of 4"),
        (lambda: agreement.passing_bablok(np.arange(5001), np.arange(5001)), "at most 5000"),
    ],
)
def test_what_has_no_line_is_named(call, text):
    with pytest.raises(InputError, match=text):
        call()
