"""The normal distribution truncated to an interval, stable however far its mean lies outside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

Array = NDArray[np.float64]

_DENSITY = 0.3989422804014327
#: Standard deviations beyond which a bound counts as that far away.
_FAR = 1e8
#: Interval, in standard deviations, below which the density is taken for an exponential.
_NARROW = 1e-3


def truncated_normal(
    mean: Array, sd: Array, lowest: float = 0.0, highest: float = 1.0
) -> tuple[Array, Array, Array]:
    """Truncate a normal distribution to an interval.

    Parameters
    ----------
    mean, sd : ndarray
        Of the normal distribution before truncation.
    lowest, highest : float
        The interval.

    Returns
    -------
    log_mass, mean, variance : ndarray
        Logarithm of the mass inside, mean and variance of what is inside.
    """
    span = highest - lowest
    with np.errstate(over="ignore"):
        width = np.minimum(span / sd, _FAR)
        low = np.clip((lowest - mean) / sd, -_FAR, _FAR)
    # Reflect so that the bound in the tail is the lower one: only tails are then computed.
    flip = 2 * low + width < 0
    a = np.where(flip, -low - width, low)
    b = a + width
    decay = np.exp(-0.5 * width * (b + a))
    # Inside the tail everything is relative to exp(-a²/2), which would underflow.
    positive = a > 0
    tail = 0.5 * (erfcx(np.maximum(a, 0) / np.sqrt(2)) - erfcx(np.maximum(b, 0) / np.sqrt(2)) * decay)
    tail = np.maximum(tail, 1e-300)
    body = np.maximum(ndtr(b) - ndtr(np.minimum(a, 0)), 1e-300)
    ratio_a = np.where(positive, _DENSITY / tail, _DENSITY * np.exp(-0.5 * np.minimum(a, 0) ** 2) / body)
    ratio_b = ratio_a * decay
    log_mass = np.where(positive, np.log(tail) - 0.5 * a * a, np.log(body))
    unit = ratio_a - ratio_b
    spread = np.clip(1 + a * ratio_a - b * ratio_b - unit * unit, 1e-12, 1.0)
    narrow = width < _NARROW
    scale = np.where(narrow, 0.0, sd)
    variance = spread * scale * scale
    centre = mean + np.where(flip, -unit, unit) * scale
    if narrow.any():
        upside_down, start = flip[narrow], a[narrow]
        log_integral, share, spread = _tilted(start * width[narrow])
        log_mass[narrow] = log_integral + np.log(_DENSITY * width[narrow]) - 0.5 * start**2
        centre[narrow] = lowest + span * np.where(upside_down, 1 - share, share)
        variance[narrow] = span**2 * spread
    return log_mass, np.clip(centre, lowest, highest), np.minimum(variance, span**2)


def _tilted(rate: Array) -> tuple[Array, Array, Array]:
    """Give the logarithm of the integral, mean and variance of ``exp(-rate u)`` for u from 0 to 1.

    A normal distribution much wider than the interval is that within it.
    """
    small = np.abs(rate) < 1e-2
    k = np.where(small, 1.0, np.clip(rate, -500.0, 500.0))
    log_integral = np.where(small, -rate / 2, np.log(-np.expm1(-k) / k))
    mean = np.where(small, 0.5 - rate / 12, 1 / k - 1 / np.expm1(k))
    variance = np.where(
        small, 1 / 12 - np.where(small, rate, 0.0) ** 2 / 240, 1 / k**2 - 0.25 / np.sinh(k / 2) ** 2
    )
    return log_integral, mean, variance
