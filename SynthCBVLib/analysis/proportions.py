"""Confidence intervals of a proportion."""

from __future__ import annotations

import math

from SynthCBVLib.analysis.agreement.results import Interval
from SynthCBVLib.analysis.checks import level_of
from SynthCBVLib.errors import InputError


def exact(count: float, n: int, confidence: float = 0.95) -> Interval:
    """Give the interval of Clopper & Pearson (Biometrika 1934;26:404).

    Parameters
    ----------
    count : float
        Successes. Need not be whole: an area under the ROC curve counts as area x n, as in the IVIM paper.
    n : int
        Cases, at least 1.
    confidence : float

    Raises
    ------
    InputError
        If the count is not within 0 to n.
    """
    from scipy.special import betaincinv

    _check(count, n)
    level = level_of(confidence)
    low = float(betaincinv(count, n - count + 1, 1 - level)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, n - count, level)) if count < n else 1.0
    return Interval(low, high)


def wilson(count: float, n: int, confidence: float = 0.95) -> Interval:
    """Give the score interval of Wilson (JASA 1927;22:209).

    Parameters
    ----------
    count : float
        Successes.
    n : int
        Cases, at least 1.
    confidence : float

    Raises
    ------
    InputError
        If the count is not within 0 to n.
    """
    from scipy.special import ndtri

    _check(count, n)
    z = float(ndtri(level_of(confidence)))
    share = count / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Interval(
        0.0 if count == 0 else max(0.0, centre - half), 1.0 if count == n else min(1.0, centre + half)
    )


def _check(count: float, n: int) -> None:
    if not (n >= 1 and 0 <= count <= n):
        raise InputError("proportion", f"{count} of {n}", "a count between 0 and the number of cases")
