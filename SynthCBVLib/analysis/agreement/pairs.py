"""Pairs of measurements, checked at the door, and their differences."""

from __future__ import annotations

import numpy as np

from SynthCBVLib.analysis.agreement.results import Interval
from SynthCBVLib.analysis.checks import Values, constant, finite, same_length

#: Beyond this a sum of squares overflows; no measurement comes near.
LARGEST = 1e151


def values(given: Values, name: str, at_least: int) -> np.ndarray:
    """Give measurements as an array (n,); errors as `SynthCBVLib.analysis.checks.finite`."""
    return finite(given, name, at_least, largest=LARGEST)


def pairs(a: Values, b: Values, names: tuple[str, str], at_least: int) -> tuple[np.ndarray, np.ndarray]:
    """Give two lists of one length as arrays (n,); errors as `values`, and for different lengths."""
    first, second = values(a, names[0], at_least), values(b, names[1], at_least)
    same_length(first, second, f"{names[0]} and {names[1]}", "pairs of the same cases")
    return first, second


def differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Give a - b (n,), made exactly constant where only rounding makes it vary.

    Without this, b = a + 0.1 would have a tiny SD and a significant trend, both of them made by rounding.
    """
    difference = a - b
    scale = float(max(np.abs(a).max(), np.abs(b).max()))
    return np.full_like(difference, difference.mean()) if constant(difference, scale) else difference


def around(centre: float, half: float) -> Interval:
    """Give the interval of half-width `half` around `centre`."""
    return Interval(centre - half, centre + half)
