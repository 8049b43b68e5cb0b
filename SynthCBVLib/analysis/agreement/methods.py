"""Agreement of two measurements of the same cases: the front door of all its statistics.

Bland-Altman (`bland_altman`, `bland_altman_ratio`), ordinary regression, Pearson's correlation and Lin's
concordance are here; regression with error in both measurements, t-tests and voxelwise agreement have files
of their own and are given from here as well. All intervals are two-sided. Published tables that the numbers
reproduce are in the tests.
"""

from __future__ import annotations

import math

import numpy as np

from SynthCBVLib.analysis.agreement.errors_in_variables import deming, passing_bablok
from SynthCBVLib.analysis.agreement.maps import voxelwise, voxelwise_cases
from SynthCBVLib.analysis.agreement.pairs import around, differences, pairs
from SynthCBVLib.analysis.agreement.results import (
    BlandAltman,
    Concordance,
    Correlation,
    Interval,
    RatioBlandAltman,
    Regression,
)
from SynthCBVLib.analysis.agreement.t_tests import paired_t, unpaired_t
from SynthCBVLib.analysis.checks import Values, constant, level_of, varying
from SynthCBVLib.errors import InputError

__all__ = [
    "bland_altman",
    "bland_altman_ratio",
    "concordance",
    "deming",
    "p_of_r",
    "paired_t",
    "passing_bablok",
    "pearson",
    "regression",
    "unpaired_t",
    "voxelwise",
    "voxelwise_cases",
]


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

    a, b = pairs(a, b, ("a", "b"), 3)
    level = level_of(confidence)
    if not (math.isfinite(multiplier) and multiplier > 0):
        raise InputError("multiplier", f"{multiplier}", "a positive number of standard deviations")
    difference = differences(a, b)
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
        around(bias, half_bias),
        around(lower, half_limit),
        around(upper, half_limit),
        float(((difference >= lower) & (difference <= upper)).mean()),
        confidence,
        _proportional(a, b, difference, confidence),
    )


def bland_altman_ratio(
    a: Values, b: Values, *, multiplier: float = 1.96, confidence: float = 0.95
) -> RatioBlandAltman:
    """Analyse the ratios a / b: Bland-Altman of the logarithms, given back as ratios.

    Right where the spread of the differences grows with the values (Bland & Altman 1999, section 3.1), as
    it does for ratios such as T/WM.

    Parameters
    ----------
    a, b : sequence of float (n,)
        Two measurements of the same cases in one unit, all above 0, n >= 3.
    multiplier, confidence : float
        As in `bland_altman`.

    Raises
    ------
    InputError
        As `bland_altman`, and if a value is not above 0.
    """
    a, b = pairs(a, b, ("a", "b"), 3)
    for name, values in (("a", a), ("b", b)):
        n_bad = int((values <= 0).sum())
        if n_bad:
            raise InputError(
                name, f"{n_bad} of {values.size} values at or below 0", "values above 0, which have a ratio",
                "Use the differences instead of the ratios.",
            )  # fmt: skip
    logs = bland_altman(np.log(a), np.log(b), multiplier=multiplier, confidence=confidence)
    return RatioBlandAltman(
        logs.n,
        math.exp(logs.bias),
        math.exp(logs.lower),
        math.exp(logs.upper),
        logs.sd,
        multiplier,
        *(
            Interval(math.exp(interval.low), math.exp(interval.high))
            for interval in (logs.bias_interval, logs.lower_interval, logs.upper_interval)
        ),
        logs.inside,
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

    x, y = pairs(real, synthetic, ("real", "synthetic"), 3)
    varying(x, "real", beyond_rounding=True)
    level = level_of(confidence)
    n, dx = x.size, x - x.mean()
    dy = np.zeros(n) if constant(y) else y - y.mean()
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
        around(slope, quantile * slope_error),
        around(intercept, quantile * intercept_error),
        1 - rss / syy if syy > 0 else math.nan,
        sd,
        p,
        confidence,
        float(x.mean()),
        sxx,
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

    a, b = pairs(a, b, ("a", "b"), 3)
    varying(a, "a", beyond_rounding=True)
    varying(b, "b", beyond_rounding=True)
    level = level_of(confidence)
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


def concordance(a: Values, b: Values, *, confidence: float = 0.95) -> Concordance:
    """Give Lin's concordance correlation coefficient: closeness to the line of identity.

    Lin, Biometrics 1989;45:255, with the variance as corrected in Biometrics 2000;56:324, and the interval
    by the inverse hyperbolic tangent.

    Parameters
    ----------
    a, b : sequence of float (n,)
        Paired values in one unit, n >= 3.
    confidence : float
        Level of the confidence interval.

    Raises
    ------
    InputError
        As `pearson`.
    """
    from scipy.stats import norm

    correlation = pearson(a, b, confidence=confidence)
    a, b = pairs(a, b, ("a", "b"), 3)
    n, r, level = correlation.n, correlation.r, level_of(confidence)
    ratio = float(a.std()) / float(b.std())
    shift = float(a.mean() - b.mean()) / math.sqrt(float(a.std()) * float(b.std()))
    accuracy = 2 / (ratio + 1 / ratio + shift**2)
    rho = r * accuracy
    if abs(rho) >= 1 - 1e-15:
        interval = Interval(rho, rho)
    elif n == 3 or r == 0:
        interval = Interval(math.nan, math.nan)
    else:
        variance = (
            (1 - r**2) * rho**2 / ((1 - rho**2) * r**2)
            + 2 * rho**3 * (1 - rho) * shift**2 / (r * (1 - rho**2) ** 2)
            - rho**4 * shift**4 / (2 * r**2 * (1 - rho**2) ** 2)
        ) / (n - 2)
        half = float(norm.ppf(level)) * math.sqrt(max(variance, 0.0))
        centre = math.atanh(rho)
        interval = Interval(math.tanh(centre - half), math.tanh(centre + half))
    return Concordance(n, rho, interval, r, accuracy, ratio, shift, confidence)


def _proportional(
    a: np.ndarray, b: np.ndarray, difference: np.ndarray, confidence: float
) -> Regression | None:
    """Regress the differences on the means; None where all means are the same."""
    mean = (a + b) / 2
    if constant(mean, float(max(np.abs(a).max(), np.abs(b).max()))):
        return None
    return regression(mean, difference, confidence=confidence)
