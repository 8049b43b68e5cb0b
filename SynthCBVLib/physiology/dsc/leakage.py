"""Correction of contrast agent that leaks into the tissue.

Boxerman, Schmainda and Weisskoff (AJNR 2006;27:859): a voxel's ΔR2* is a multiple of the average over the
brain that does not enhance, minus leakage that grows with the average's integral,
``ΔR2*(t) = K1 A(t) - K2 ∫ A``. K2 > 0 is T1-dominant leakage (the signal rises), K2 < 0 T2*-dominant.
The bidirectional form (Leu et al., J Magn Reson Imaging 2016;43:1288) lets the agent return,
``- K2 ∫ A(s) exp(-k (t - s)) ds``.

A voxel whose bolus comes at another time or with another transit time than the average's would be taken for
a leaking one. A is therefore shifted by each voxel's own delay, and, since for exponential residues its curve
is a sum of A and A spread exponentially by its own transit time, that term is fitted beside K1. Only the
leakage term is removed.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from SynthCBVLib.errors import InputError
from SynthCBVLib.physiology.dsc.curves import Bolus, integrate

Array = NDArray[np.float64]

#: Return rates that the bidirectional fit tries, 1/s (up to .9 per minute, where brain tumours lie).
_RETURN_RATES = (0.0, 0.003, 0.006, 0.01, 0.015)
#: Transit times that a voxel may have instead of the average's, s.
_TRANSIT_TIMES = (2.0, 5.0)
#: A voxel's bolus may come so much before or after the average's, s.
_LARGEST_DELAY = 4.5
_LEAST_REFERENCE = 2


class Leakage(NamedTuple):
    """Result of the correction.

    Attributes
    ----------
    curves : ndarray (n, n_t)
        ΔR2* without leakage, 1/s.
    k2 : ndarray (n,)
        Leakage coefficient, 1/s.
    """

    curves: Array
    k2: Array


def reference_voxels(curves: Array, times: Array, bolus: Bolus) -> NDArray[np.bool_]:
    """Choose the voxels that do not enhance.

    A voxel is left out if its tail lies below the baseline (T1 leakage) or if the tail's share of its area
    departs from the brain's median (either kind of leakage).

    Parameters
    ----------
    curves : ndarray (n, n_t)
        ΔR2* of the brain's voxels.
    times : ndarray (n_t,)
        s.
    bolus : Bolus
        Of the mean curve.

    Returns
    -------
    ndarray of bool (n,)
        The reference voxels.
    """
    n_t = times.size
    tail = curves[:, max(n_t - 10, bolus.peak + 1) :]
    tail = tail.mean(1) if tail.size else np.zeros(len(curves))
    first = curves[:, bolus.arrival : min(2 * bolus.peak - bolus.arrival + 2, n_t)].mean(1)
    height = curves.max(1)
    noise = curves[:, bolus.start : bolus.stop].std(1)
    seen = (first > 0) & (height > 3 * noise)
    if seen.sum() < _LEAST_REFERENCE:
        raise InputError(
            "DSC series", f"{int(seen.sum())} voxels with a visible bolus", "a brain with a bolus",
            "Check the mask and the echo time.",
        )  # fmt: skip
    share = np.where(seen, tail / np.where(first > 0, first, 1.0), np.nan)
    centre = np.nanmedian(share)
    spread = 1.4826 * np.nanmedian(np.abs(share - centre))
    chosen = seen & (np.abs(share - centre) <= 2 * spread + 1e-9) & (tail > -noise)
    return (
        chosen if chosen.sum() >= _LEAST_REFERENCE else seen & (np.abs(share - centre) <= 3 * spread + 1e-9)
    )


def aligned_average(curves: Array, times: Array) -> Array:
    """Average curves (n, n_t), each moved to the median arrival, so that delays do not blur the bolus."""
    index = np.arange(times.size)
    peak = curves.argmax(1)
    half = 0.5 * curves.max(1)
    # The half height on the way up, between the last point below it and the next.
    last = np.where((curves < half[:, None]) & (index < peak[:, None]), index, 0).max(1)
    low, high = (np.take_along_axis(curves, i[:, None], 1)[:, 0] for i in (last, last + 1))
    part = np.clip((half - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
    rise = times[last] + part * (times[np.minimum(last + 1, times.size - 1)] - times[last])
    late = rise - np.median(rise)
    step = 0.25 * np.median(np.diff(times))
    groups = np.round(np.clip(late, -_LARGEST_DELAY, _LARGEST_DELAY) / step)
    total = np.zeros(times.size)
    for group in np.unique(groups):
        members = groups == group
        total += members.sum() * np.interp(times + group * step, times, curves[members].mean(0))
    return total / len(curves)


def correct(
    curves: Array, average: Array, times: Array, bolus: Bolus, bidirectional: bool = False
) -> Leakage:
    """Remove leakage from curves.

    Parameters
    ----------
    curves : ndarray (n, n_t)
        ΔR2*, 1/s.
    average : ndarray (n_t,)
        Mean ΔR2* of the brain that does not enhance.
    times : ndarray (n_t,)
        s.
    bolus : Bolus
        Fits start before its arrival, by as much as a voxel may be early.
    bidirectional : bool
        Whether the agent may return to the blood.
    """
    average = np.where(np.arange(times.size) < bolus.stop, 0.0, average)
    step = float(np.median(np.diff(times)))
    delays = np.arange(-_LARGEST_DELAY, _LARGEST_DELAY + 1e-9, min(step / 2, 1.0))
    begin = max(bolus.stop - round(_LARGEST_DELAY / step), 0)
    target = curves[:, begin:].T
    models = list(product(delays, _TRANSIT_TIMES, _RETURN_RATES if bidirectional else (0.0,)))
    best, most = np.zeros(len(curves), int), np.full(len(curves), -np.inf)
    for i, model in enumerate(models):
        # What an orthonormal basis explains tells the residual without computing it.
        basis = np.linalg.qr(_basis(average, times, *model)[begin:])[0]
        explained = ((basis.T @ target) ** 2).sum(0)
        best, most = np.where(explained > most, i, best), np.maximum(explained, most)
    corrected, k2 = curves.copy(), np.zeros(len(curves))
    for i in np.unique(best):
        members = best == i
        basis = _basis(average, times, *models[i])
        weights = np.linalg.lstsq(basis[begin:], target[:, members], rcond=None)[0]
        k2[members] = weights[1]
        corrected[members] -= weights[1][:, None] * basis[:, 1]
    return Leakage(corrected, k2)


def _basis(average: Array, times: Array, delay: float, transit: float, rate: float) -> Array:
    """Give the columns (n_t, 3): the average, its leakage, and the average spread by a transit time."""
    late = np.interp(times - delay, times, average)
    spread = leaked_curve(late, times, 1 / transit) / transit
    return np.stack((late, -leaked_curve(late, times, rate), spread), -1)


def leaked_curve(average: Array, times: Array, rate: float) -> Array:
    """Integrate the average (n_t,) with a return of the agent at `rate` (1/s)."""
    if rate == 0:
        return integrate(average[None], times)[0]
    lag = times - times[0]
    return np.exp(-rate * lag) * integrate((average * np.exp(rate * lag))[None], times)[0]
