"""Agreement of two measurements of the same cases: Bland-Altman, regression, correlation, t-test.

All intervals are two-sided. Published tables that the numbers reproduce are in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from SynthCBVLib.analysis.agreement_results import BlandAltman, Correlation, Interval, Regression, TTest
from SynthCBVLib.errors import InputError

Values = Sequence[float] | npt.NDArray


def bland_altman(a: Values, b: Values, *, multiplier: float = 1.96, confidence: float = 0.95) -> BlandAltman:
    """Analyse the differences a - b as Bland & Altman do (Lancet 1986;1:307; SMMR 1999;8:135).

    Parameters
    ----------
    a, b : sequence of float (n,)
        Two measurements of the same cases in one unit, n >= 3.
    multiplier : float
        SDs from the bias to a limit; the 1986 paper used 2.
    confidence : float
        Level of the confidence intervals.

    Raises
    ------
    InputError
        If the lengths differ, there are fewer than 3 pairs, or a value is not finite.
    """
    from scipy.stats import t as student

    a, b = _pairs(a, b, ("a", "b"), 3)
    level = _level(confidence)
    if not (math.isfinite(multiplier) and multiplier > 0):
        raise InputError("multiplier", f"{multiplier}", "a positive number of standard deviations")
    difference = a - b
    n, bias, sd = difference.size, float(difference.mean()), float(difference.std(ddof=1))
    lower, upper = bias - multiplier * sd, bias + multiplier * sd
    quantile = float(student.ppf(level, n - 1))
    half_bias = quantile * sd / math.sqrt(n)
    half_limit = quantile * sd * math.sqrt(1 / n + multiplier**2 / (2 * (n - 1)))
    return BlandAltman(
        n,
        bias,
        sd,
        lower,
        upper,
        multiplier,
        _around(bias, half_bias),
        _around(lower, half_limit),
        _around(upper, half_limit),
        float(((difference >= lower) & (difference <= upper)).mean()),
        confidence,
    )


def regression(real: Values, synthetic: Values, *, confidence: float = 0.95) -> Regression:
    """Regress the synthetic on the real values by ordinary least squares, as both papers do.

    Parameters
    ----------
    real, synthetic : sequence of float (n,)
        x and y, n >= 3.
    confidence : float
        Level of the confidence intervals.

    Raises
    ------
    InputError
        If the lengths differ, there are fewer than 3 pairs, a value is not finite or `real` is constant.
    """
    from scipy.stats import t as student

    x, y = _pairs(real, synthetic, ("real", "synthetic"), 3)
    _varies(x, "real")
    level = _level(confidence)
    n, dx, dy = x.size, x - x.mean(), y - y.mean()
    sxx, syy = float(dx @ dx), float(dy @ dy)
    slope = float(dx @ dy) / sxx
    intercept = float(y.mean() - slope * x.mean())
    residual = dy - slope * dx
    rss = float(residual @ residual)
    sd = math.sqrt(rss / (n - 2))
    quantile = float(student.ppf(level, n - 2))
    slope_error = sd / math.sqrt(sxx)
    intercept_error = sd * math.sqrt(1 / n + float(x.mean()) ** 2 / sxx)
    exact = 0.0 if slope else 1.0
    p = 2 * float(student.sf(abs(slope) / slope_error, n - 2)) if slope_error > 0 else exact
    return Regression(
        n,
        slope,
        intercept,
        _around(slope, quantile * slope_error),
        _around(intercept, quantile * intercept_error),
        1 - rss / syy if syy > 0 else math.nan,
        sd,
        p,
        confidence,
    )


def pearson(a: Values, b: Values, *, confidence: float = 0.95) -> Correlation:
    """Give Pearson's correlation with its interval (Fisher's z) and P.

    Parameters
    ----------
    a, b : sequence of float (n,)
        Paired values, n >= 3.
    confidence : float
        Level of the confidence interval.

    Raises
    ------
    InputError
        If the lengths differ, there are fewer than 3 pairs, a value is not finite, or one side is constant.
    """
    from scipy.stats import norm

    a, b = _pairs(a, b, ("a", "b"), 3)
    _varies(a, "a")
    _varies(b, "b")
    level = _level(confidence)
    da, db = a - a.mean(), b - b.mean()
    r = float((da / np.linalg.norm(da)) @ (db / np.linalg.norm(db)))
    r, n = max(-1.0, min(1.0, r)), a.size
    if n == 3:
        interval = Interval(math.nan, math.nan)
    elif abs(r) == 1:
        interval = Interval(r, r)
    else:
        half = float(norm.ppf(level)) / math.sqrt(n - 3)
        interval = Interval(math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half))
    return Correlation(n, r, interval, p_of_r(r, n), confidence)


def p_of_r(r: float, n: int) -> float:
    """Give the two-sided P of a Pearson correlation of `n` pairs.

    Raises
    ------
    InputError
        If r is not within -1 to 1 or n below 3.
    """
    from scipy.stats import t as student

    if not -1 <= r <= 1 or n < 3:
        raise InputError("correlation", f"r = {r}, n = {n}", "r from -1 to 1 and at least 3 pairs")
    if abs(r) == 1:
        return 0.0
    return 2 * float(student.sf(abs(r) * math.sqrt((n - 2) / ((1 - r) * (1 + r))), n - 2))


def unpaired_t(a: Values, b: Values, *, equal_variances: bool = True, confidence: float = 0.95) -> TTest:
    """Compare the means of two groups (Student's test, as the papers'; or Welch's).

    Parameters
    ----------
    a, b : sequence of float (n_a,), (n_b,)
        Values of each group, at least 2.
    equal_variances : bool
        False for Welch's test.
    confidence : float
        Level of the confidence interval.

    Raises
    ------
    InputError
        If a group has fewer than 2 values, a value is not finite, or both groups are constant.
    """
    from scipy.stats import t as student

    a, b = _finite(a, "a", 2), _finite(b, "b", 2)
    level = _level(confidence)
    va, vb = float(a.var(ddof=1)), float(b.var(ddof=1))
    if va == 0 and vb == 0:
        raise InputError("groups a and b", "the same value throughout each", "groups that vary")
    if equal_variances:
        df = float(a.size + b.size - 2)
        error = math.sqrt(((a.size - 1) * va + (b.size - 1) * vb) / df * (1 / a.size + 1 / b.size))
    else:
        ea, eb = va / a.size, vb / b.size
        error = math.sqrt(ea + eb)
        df = (ea + eb) ** 2 / (ea**2 / (a.size - 1) + eb**2 / (b.size - 1))
    difference = float(a.mean() - b.mean())
    t = difference / error
    half = float(student.ppf(level, df)) * error
    p = 2 * float(student.sf(abs(t), df))
    return TTest(a.size, b.size, difference, _around(difference, half), t, df, p, equal_variances, confidence)


def _finite(values: Values, name: str, at_least: int) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(name, "values that are no numbers", "a list of numbers") from None
    if array.ndim != 1 or array.size < at_least:
        raise InputError(name, f"shape {array.shape}", f"one axis with at least {at_least} values")
    n_bad = int((~np.isfinite(array)).sum())
    if n_bad:
        raise InputError(
            name,
            f"{n_bad} of {array.size} values missing or not finite",
            "finite values",
            "Leave out the cases without a value.",
        )
    return array


def _pairs(a: Values, b: Values, names: tuple[str, str], at_least: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = _finite(a, names[0], at_least), _finite(b, names[1], at_least)
    if first.size != second.size:
        raise InputError(
            f"{names[0]} and {names[1]}", f"{first.size} and {second.size} values", "pairs of the same cases"
        )
    return first, second


def _varies(values: np.ndarray, name: str) -> None:
    if np.ptp(values) == 0:
        raise InputError(name, f"the same value {values[0]:.6g} throughout", "values that vary")


def _level(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise InputError("confidence", f"{confidence}", "a level between 0 and 1, such as 0.95")
    return 0.5 + confidence / 2


def _around(centre: float, half: float) -> Interval:
    return Interval(centre - half, centre + half)
