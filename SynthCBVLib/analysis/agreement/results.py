"""What the agreement statistics give back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


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
    proportional : Regression or None
        Regression of the differences on the means (a + b) / 2: a slope other than 0 is a proportional
        bias. None where all means are the same.
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
    proportional: Regression | None = None


@dataclass(frozen=True)
class RatioBlandAltman:
    """Bland-Altman analysis of a / b on the logarithmic scale.

    Attributes
    ----------
    n : int
        Number of pairs.
    ratio : float
        Geometric mean of a / b; 1 means no bias.
    lower, upper : float
        Limits of agreement of a / b.
    log_sd : float
        Sample SD of ln(a / b).
    multiplier : float
        SDs from the bias to a limit.
    ratio_interval, lower_interval, upper_interval : Interval
        Confidence intervals, back-transformed.
    inside : float
        Share of the ratios within the limits, ends included.
    confidence : float
        Level of the intervals.
    """

    n: int
    ratio: float
    lower: float
    upper: float
    log_sd: float
    multiplier: float
    ratio_interval: Interval
    lower_interval: Interval
    upper_interval: Interval
    inside: float
    confidence: float

    @property
    def percent(self) -> tuple[float, float, float]:
        """Bias, lower and upper limit as a's deviation from b in per cent of b."""
        return 100 * (self.ratio - 1), 100 * (self.lower - 1), 100 * (self.upper - 1)


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
    x_mean, sxx : float
        Mean of x and sum of its squared deviations, which `band` needs.
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
    x_mean: float = math.nan
    sxx: float = math.nan

    def band(self, x: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Give the confidence band of the line (not of single cases) at x: lower and upper, (n,) each."""
        from scipy.stats import t as student

        x = np.asarray(x, dtype=float)
        quantile = float(student.ppf(0.5 + self.confidence / 2, self.n - 2))
        half = quantile * self.residual_sd * np.sqrt(1 / self.n + (x - self.x_mean) ** 2 / self.sxx)
        line = self.intercept + self.slope * x
        return line - half, line + half


@dataclass(frozen=True)
class StructuralLine:
    """A line y = slope * x + intercept with error in both x and y.

    Attributes
    ----------
    n : int
        Number of pairs.
    slope, intercept : float
        The line.
    slope_interval, intercept_interval : Interval
        Confidence intervals; an end is NaN where the data do not bound it.
    confidence : float
        Level of the intervals.
    method : str
        "Deming" or "Passing-Bablok".
    error_ratio : float
        Deming: variance of x's error divided by that of y's. NaN for Passing-Bablok.
    linearity_p : float
        Passing-Bablok: P of the cusum test; a small one says that the points bend away from a line.
        NaN for Deming.
    """

    n: int
    slope: float
    intercept: float
    slope_interval: Interval
    intercept_interval: Interval
    confidence: float
    method: str
    error_ratio: float = math.nan
    linearity_p: float = math.nan


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
class Concordance:
    """Lin's concordance correlation coefficient.

    Attributes
    ----------
    n : int
        Number of pairs.
    rho : float
        Coefficient, 1 for equal measurements.
    interval : Interval
        Confidence interval; NaN for n = 3 and for a correlation of exactly 0.
    r : float
        Pearson's correlation: how close the points lie to a line.
    accuracy : float
        rho / r: how close that line is to identity (Lin's C_b).
    scale_ratio : float
        SD of a divided by SD of b.
    location_shift : float
        Difference of the means in units of the geometric mean of both SDs.
    confidence : float
        Level of the interval.
    """

    n: int
    rho: float
    interval: Interval
    r: float
    accuracy: float
    scale_ratio: float
    location_shift: float
    confidence: float
