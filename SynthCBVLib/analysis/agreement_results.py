"""What the agreement statistics give back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Interval(NamedTuple):
    """Lower and upper end of a confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class BlandAltman:
    """Bland-Altman analysis of a - b.

    Attributes
    ----------
    n : int
        Number of pairs.
    bias, sd : float
        Mean and sample SD of the differences a - b.
    lower, upper : float
        Limits of agreement, bias -+ `multiplier` x SD.
    multiplier : float
        1.96 unless another was asked for.
    bias_interval, lower_interval, upper_interval : Interval
        Confidence intervals: t with n - 1 degrees of freedom, standard errors SD / sqrt(n) for the bias
        and SD sqrt(1/n + multiplier² / (2 (n - 1))) for the limits (Bland & Altman 1999, section 2.3).
    inside : float
        Share of the differences within the limits, ends included.
    confidence : float
        Level of the intervals.
    """

    n: int
    bias: float
    sd: float
    lower: float
    upper: float
    multiplier: float
    bias_interval: Interval
    lower_interval: Interval
    upper_interval: Interval
    inside: float
    confidence: float


@dataclass(frozen=True)
class Regression:
    """Ordinary least squares of y on x.

    Attributes
    ----------
    n : int
        Number of pairs.
    slope, intercept : float
        y = slope * x + intercept.
    slope_interval, intercept_interval : Interval
        Confidence intervals, t with n - 2 degrees of freedom.
    r_squared : float
        Coefficient of determination.
    residual_sd : float
        Residual standard deviation, n - 2 degrees of freedom.
    p : float
        Two-sided P of slope 0.
    confidence : float
        Level of the intervals.
    """

    n: int
    slope: float
    intercept: float
    slope_interval: Interval
    intercept_interval: Interval
    r_squared: float
    residual_sd: float
    p: float
    confidence: float


@dataclass(frozen=True)
class Correlation:
    """Pearson's correlation.

    Attributes
    ----------
    n : int
        Number of pairs.
    r : float
        Coefficient.
    interval : Interval
        Confidence interval by Fisher's z; NaN for n = 3.
    p : float
        Two-sided P of r = 0 (t with n - 2 degrees of freedom).
    confidence : float
        Level of the interval.
    """

    n: int
    r: float
    interval: Interval
    p: float
    confidence: float


@dataclass(frozen=True)
class TTest:
    """Unpaired t-test of two groups.

    Attributes
    ----------
    n_a, n_b : int
        Sizes of the groups.
    difference : float
        Mean of a - mean of b.
    interval : Interval
        Confidence interval of the difference.
    t, df, p : float
        Statistic, degrees of freedom, two-sided P.
    equal_variances : bool
        True for Student's test, False for Welch's.
    confidence : float
        Level of the interval.
    """

    n_a: int
    n_b: int
    difference: float
    interval: Interval
    t: float
    df: float
    p: float
    equal_variances: bool
    confidence: float
