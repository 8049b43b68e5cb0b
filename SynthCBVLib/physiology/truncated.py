"""The normal distribution truncated to an interval, stable however far its mean lies outside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, ndtr

Array = NDArray[np.float64]


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
    low = (lowest - mean) / sd
    high = (highest - mean) / sd
    # Reflect so that the bound in the tail is the lower one: only tails are then computed.
    flip = low + high < 0
    a, b = np.where(flip, -high, low), np.where(flip, -low, high)
    positive = a > 0
    tail = 0.5 * erfcx(np.maximum(a, 0) / np.sqrt(2))
    decay = np.exp(-0.5 * (b - a) * (b + a))
    tail = tail - 0.5 * erfcx(np.maximum(b, 0) / np.sqrt(2)) * decay
    body = ndtr(b) - ndtr(np.minimum(a, 0))
    tail = np.maximum(tail, 1e-300)
    density = 0.3989422804014327
    # Inside the tail everything is relative to exp(-a²/2), which would underflow.
    ratio_a = np.where(positive, density / tail, density * np.exp(-0.5 * np.minimum(a, 0) ** 2) / body)
    ratio_b = ratio_a * decay
    log_mass = np.where(positive, np.log(tail) - 0.5 * a * a, np.log(body))
    centre = ratio_a - ratio_b
    variance = sd * sd * np.clip(1 + a * ratio_a - b * ratio_b - centre * centre, 1e-12, 1.0)
    inside = mean + sd * np.where(flip, -centre, centre)
    return log_mass, np.clip(inside, lowest, highest), variance
