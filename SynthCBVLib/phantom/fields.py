"""Smooth random fields: cubic B-splines with random coefficients, evaluated axis by axis.

Everything is sums of four taps in a fixed order, so a field is the same bit for bit however many threads run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Integral of the squared cubic B-spline: the mean variance that one axis leaves of unit coefficients.
_AXIS_VARIANCE = 151.0 / 315.0


def bspline_taps(n: int, spacing: float, knot: float, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Give the first coefficient and the four cubic B-spline weights of each sample of one axis.

    Parameters
    ----------
    n : int
        Number of samples.
    spacing, knot : float
        Distance of samples and of coefficients, mm.
    shift : float
        Position of the first sample between two coefficients, 0 to 1.

    Returns
    -------
    tuple of ndarray
        Index of the first tap (n,) and the weights (4, n), which sum to one.
    """
    position = shift + np.arange(n) * (spacing / knot)
    first = np.floor(position).astype(np.intp)
    t = (position - first).astype(np.float32)
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    ) / np.float32(6)
    return first, weights


def evaluate(coefficients: np.ndarray, shape: Sequence[int], ratios: Sequence[float],
             shifts: Sequence[float]) -> np.ndarray:  # fmt: skip
    """Evaluate a 3D cubic B-spline on a regular grid, float32 (z, y, x).

    `ratios` are samples' distances over coefficients' distances and `shifts` the first samples' positions.
    """
    values = coefficients.astype(np.float32, copy=False)
    for axis, (n, ratio, shift) in enumerate(zip(shape, ratios, shifts, strict=True)):
        first, weights = bspline_taps(n, ratio, 1.0, shift)
        form = [1, 1, 1]
        form[axis] = n
        total = np.take(values, first, axis) * weights[0].reshape(form)
        for tap in range(1, 4):
            total += np.take(values, first + tap, axis) * weights[tap].reshape(form)
        values = total
    return values


def smooth_field(
    rng: np.random.Generator,
    shape: Sequence[int],
    spacing: Sequence[float] | float,
    scale: float,
    coarse_scale: float | None = None,
    coarse_share: float = 0.5,
) -> np.ndarray:
    """Draw a smooth random field of about zero mean and unit variance.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the coefficients.
    shape : sequence of int
        Shape (z, y, x).
    spacing : float or sequence of float
        Distance of the samples, mm, (z, y, x) if three.
    scale : float
        Distance of the B-spline's coefficients, mm: about the size of a blob.
    coarse_scale : float, optional
        Size of a second, coarser kind of blob, mm.
    coarse_share : float
        Share of the variance that the coarser kind takes.

    Returns
    -------
    ndarray
        The field, float32.
    """
    spacings = np.broadcast_to(np.asarray(spacing, float), 3)
    ratios = spacings / scale
    shifts = rng.uniform(size=3)
    counts = [int(np.floor(s + (n - 1) * r)) + 4 for n, r, s in zip(shape, ratios, shifts, strict=True)]
    coefficients = rng.standard_normal(counts, dtype=np.float32)
    if coarse_scale is not None:
        coarse = smooth_field(rng, counts, scale, coarse_scale)
        # Smoothing the coarse part again costs it little variance; the fine part loses the B-spline's.
        coefficients = (
            np.float32(np.sqrt(1 - coarse_share) * _AXIS_VARIANCE**-1.5) * coefficients
            + np.float32(np.sqrt(coarse_share)) * coarse
        )
    else:
        coefficients *= np.float32(_AXIS_VARIANCE**-1.5)
    return evaluate(coefficients, shape, ratios, shifts)
