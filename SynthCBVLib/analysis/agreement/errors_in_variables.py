"""Lines through two measurements that both have error: Deming's and Passing & Bablok's."""

from __future__ import annotations

import math

import numpy as np

from SynthCBVLib.analysis.agreement.pairs import around, pairs
from SynthCBVLib.analysis.agreement.results import Interval, StructuralLine
from SynthCBVLib.analysis.checks import Values, level_of, varying
from SynthCBVLib.errors import InputError

#: All pairs of cases are formed: 5000 cases make 12.5 million slopes, 100 MB.
MOST_CASES = 5000


def deming(x: Values, y: Values, *, error_ratio: float = 1.0, confidence: float = 0.95) -> StructuralLine:
    """Fit y = slope * x + intercept with normal error in both, their variances in a known ratio.

    Linnet, Clin Chem 1993;39:424: closed form, jackknife standard errors, t with n - 2 degrees of freedom.

    Parameters
    ----------
    x, y : sequence of float (n,)
        Two measurements of the same cases, n >= 4.
    error_ratio : float
        Variance of x's error divided by the variance of y's; 1 gives orthogonal regression.
    confidence : float
        Level of the confidence intervals.

    Raises
    ------
    InputError
        If the lengths differ, there are fewer than 4 pairs, a value is not finite, one side is constant,
        the ratio is not above 0, or x and y do not covary, so that no line is better than another.
    """
    from scipy.stats import t as student

    x, y = pairs(x, y, ("x", "y"), 4)
    varying(x, "x", beyond_rounding=True)
    varying(y, "y", beyond_rounding=True)
    level = level_of(confidence)
    if not (math.isfinite(error_ratio) and error_ratio > 0):
        raise InputError("error ratio", f"{error_ratio}", "a positive ratio of variances")
    n, dx, dy = x.size, x - x.mean(), y - y.mean()
    sums = float(dx @ dx), float(dy @ dy), float(dx @ dy)
    if abs(sums[2]) <= 1e-12 * math.sqrt(sums[0]) * math.sqrt(sums[1]):
        raise InputError("x and y", "no covariance", "measurements that rise or fall together")
    slope = float(_deming_slope(*sums, error_ratio))
    intercept = float(y.mean() - slope * x.mean())
    # Sums and means without each case in turn, in closed form.
    share = n / (n - 1)
    without = (sums[0] - share * dx**2, sums[1] - share * dy**2, sums[2] - share * dx * dy)
    with np.errstate(invalid="ignore", divide="ignore"):
        slopes = _deming_slope(*without, error_ratio)
    intercepts = (y.mean() - dy / (n - 1)) - slopes * (x.mean() - dx / (n - 1))
    quantile = float(student.ppf(level, n - 2))
    return StructuralLine(
        n,
        slope,
        intercept,
        around(slope, quantile * _jackknife_error(slopes)),
        around(intercept, quantile * _jackknife_error(intercepts)),
        confidence,
        "Deming",
        error_ratio=error_ratio,
    )


def passing_bablok(x: Values, y: Values, *, confidence: float = 0.95) -> StructuralLine:
    """Fit y = slope * x + intercept without assuming a distribution: the shifted median of all slopes.

    Passing & Bablok, J Clin Chem Clin Biochem 1983;21:709, for measurements that rise together and whose
    errors are alike. Few outliers do not move the line.

    Parameters
    ----------
    x, y : sequence of float (n,)
        Two measurements of the same cases, 4 to 5000.
    confidence : float
        Level of the confidence intervals.

    Returns
    -------
    StructuralLine
        With the P of their cusum test for linearity, which is approximate: with points on a line it falls
        below 0.05 in 2 to 9 of 100 samples.

    Raises
    ------
    InputError
        If the lengths differ, there are fewer than 4 or more than 5000 pairs, a value is not finite, one
        side is constant, or y does not rise with x.
    """
    from scipy.stats import norm

    x, y = pairs(x, y, ("x", "y"), 4)
    varying(x, "x", beyond_rounding=True)
    varying(y, "y", beyond_rounding=True)
    level, n = level_of(confidence), x.size
    if n > MOST_CASES:
        raise InputError(
            "x and y", f"{n} pairs", f"at most {MOST_CASES}, because all pairs of cases are formed",
            "Use Deming regression.",
        )  # fmt: skip
    slopes = _all_slopes(x, y)
    shift = int((slopes < -1).sum())
    count = slopes.size

    def at(rank: int) -> float:
        """Give the slope of a rank, counted from 1 after the shift; NaN beyond the last."""
        index = rank + shift - 1
        return float(slopes[index]) if 0 <= index < count else math.nan

    middle = at((count + 1) // 2) if count % 2 else (at(count // 2) + at(count // 2 + 1)) / 2
    if not (math.isfinite(middle) and middle > 0):
        raise InputError("x and y", "values that do not rise together", "two measurements of one quantity")
    spread = float(norm.ppf(level)) * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    first = math.floor((count - spread) / 2 + 0.5)
    low, high = at(first), at(count - first + 1)
    low, high = (value if math.isfinite(value) else math.nan for value in (low, high))
    intercept = float(np.median(y - middle * x))
    return StructuralLine(
        n,
        middle,
        intercept,
        Interval(low, high),
        Interval(float(np.median(y - high * x)), float(np.median(y - low * x))),
        confidence,
        "Passing-Bablok",
        linearity_p=_linearity(x, y, middle, intercept),
    )


def _deming_slope(sxx: np.ndarray, syy: np.ndarray, sxy: np.ndarray, error_ratio: float) -> np.ndarray:
    """Give the slope of sums of squares and products, without cancellation for either sign."""
    u = error_ratio * np.asarray(syy) - sxx
    root = np.hypot(u, 2 * math.sqrt(error_ratio) * np.asarray(sxy))
    return np.where(u >= 0, (u + root) / (2 * error_ratio * sxy), 2 * sxy / np.where(u < 0, root - u, 1.0))


def _jackknife_error(estimates: np.ndarray) -> float:
    if not np.isfinite(estimates).all():
        return math.nan
    n = estimates.size
    return math.sqrt((n - 1) / n * float(((estimates - estimates.mean()) ** 2).sum()))


def _all_slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Give the sorted slopes of all pairs of points but for equal points and slopes of -1.

    Pairs with equal x count as infinite slopes; whether plus or minus makes no difference, as the shift
    by the number of slopes below -1 makes up for it.
    """
    n = x.size
    slopes = np.empty(n * (n - 1) // 2)
    filled = 0
    with np.errstate(divide="ignore"):
        for i in range(n - 1):
            dx, dy = x[i + 1 :] - x[i], y[i + 1 :] - y[i]
            different = (dx != 0) | (dy != 0)
            dx, dy = dx[different], dy[different]
            one = np.where(dx == 0, np.inf, dy / dx)
            one = one[np.abs(one + 1) > 1e-12]
            slopes[filled : filled + one.size] = one
            filled += one.size
    slopes = slopes[:filled]
    slopes.sort()
    return slopes


def _linearity(x: np.ndarray, y: np.ndarray, slope: float, intercept: float) -> float:
    from scipy.special import kolmogorov

    residual = y - (intercept + slope * x)
    tolerance = 1e-12 * max(1.0, float(np.abs(y).max()))
    above, below = residual > tolerance, residual < -tolerance
    n_above, n_below = int(above.sum()), int(below.sum())
    if not n_above or not n_below:
        return 1.0
    along = x / slope + y  # position along the line, but for a constant and a factor
    score = np.where(above, math.sqrt(n_below / n_above), 0.0) - np.where(
        below, math.sqrt(n_above / n_below), 0.0
    )
    order = np.argsort(along, kind="stable")
    last = np.append(np.diff(along[order]) != 0, True)  # points at one place are one step
    cusum = np.cumsum(score[order])[last]
    return float(kolmogorov(float(np.abs(cusum).max()) / math.sqrt(n_below + 1)))
