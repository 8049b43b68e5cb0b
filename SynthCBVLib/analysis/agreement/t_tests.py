"""Student's t-tests, unpaired (the papers' comparison of groups) and paired (of measurements)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from SynthCBVLib.analysis.agreement.pairs import around, differences, pairs, values
from SynthCBVLib.analysis.agreement.results import Interval
from SynthCBVLib.analysis.checks import Values, constant, level_of
from SynthCBVLib.errors import InputError


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


@dataclass(frozen=True)
class PairedT:
    """Paired t-test.

    Attributes
    ----------
    n : int
        Number of pairs.
    difference : float
        Mean of a - b.
    interval : Interval
        Confidence interval of the difference.
    sd : float
        Sample SD of the differences.
    t, df, p : float
        Statistic, degrees of freedom, two-sided P.
    confidence : float
        Level of the interval.
    """

    n: int
    difference: float
    interval: Interval
    sd: float
    t: float
    df: float
    p: float
    confidence: float


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

    a, b = values(a, "a", 2), values(b, "b", 2)
    level = level_of(confidence)
    va, vb = float(a.var(ddof=1)), float(b.var(ddof=1))
    if constant(a) and constant(b):
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
    return TTest(a.size, b.size, difference, around(difference, half), t, df, p, equal_variances, confidence)


def paired_t(a: Values, b: Values, *, confidence: float = 0.95) -> PairedT:
    """Compare two measurements of the same cases: the t-test of their differences a - b.

    Parameters
    ----------
    a, b : sequence of float (n,)
        Paired values, n >= 2.
    confidence : float
        Level of the confidence interval.

    Raises
    ------
    InputError
        If the lengths differ, there are fewer than 2 pairs, a value is not finite, or all differences are
        the same.
    """
    from scipy.stats import t as student

    a, b = pairs(a, b, ("a", "b"), 2)
    level = level_of(confidence)
    difference = differences(a, b)
    if constant(difference):
        raise InputError("a and b", f"the same difference {difference[0]:.6g} throughout", "pairs that vary")
    n, mean, sd = difference.size, float(difference.mean()), float(difference.std(ddof=1))
    error = sd / math.sqrt(n)
    t, df = mean / error, n - 1
    half = float(student.ppf(level, df)) * error
    return PairedT(n, mean, around(mean, half), sd, t, df, 2 * float(student.sf(abs(t), df)), confidence)
