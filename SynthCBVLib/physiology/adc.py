"""Apparent diffusion coefficient: the mono-exponential fit ``S(b) = S0 exp(-b ADC)``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from SynthCBVLib.physiology.ivim.model import Scheme
from SynthCBVLib.progress import Progress, silent

_BLOCK = 65536
#: Largest ADC that a fit may give, mm²/s: twice that of free water at body temperature.
LARGEST = 6e-3


@dataclass(frozen=True)
class AdcMaps:
    """Mono-exponential parameters of each voxel, of the signals' leading shape.

    Attributes
    ----------
    s0 : ndarray
        Signal at b = 0, in the signals' unit.
    adc : ndarray
        mm²/s, from 0 to `LARGEST`.
    valid : ndarray of bool
        Voxels that were fitted; the others (not finite, or no positive signal) are 0.
    """

    s0: NDArray[np.float64]
    adc: NDArray[np.float64]
    valid: NDArray[np.bool_]


def fit(
    signals: ArrayLike,
    b_values: ArrayLike,
    averages: ArrayLike | None = None,
    progress: Progress | None = None,
) -> AdcMaps:
    """Fit S0 and ADC by least squares of the signals (log-linear start, then Gauss-Newton).

    Parameters
    ----------
    signals : array_like (..., n_b)
        One signal a b-value (or repeat), any unit.
    b_values : array_like (n_b,)
        s/mm².
    averages : array_like (n_b,), optional
        How many images went into each signal; 1 by default.
    progress : Progress, optional
        Called after each block; may raise `Cancelled`.

    Raises
    ------
    InputError
        If lengths differ or fewer than two different b-values are given.
    """
    data = np.asarray(signals)
    scheme = Scheme.of(b_values, averages, data.shape[-1] if data.ndim else 0)
    scheme.require(2, split=False)
    progress = progress or silent
    flat = data.reshape(-1, data.shape[-1])
    s0, adc = np.zeros(len(flat)), np.zeros(len(flat))
    valid = np.isfinite(flat).all(1)
    with np.errstate(invalid="ignore", over="ignore"):
        valid &= (flat @ scheme.members)[:, 0] > 0
    where = np.flatnonzero(valid)
    for i in range(0, where.size, _BLOCK):
        part = where[i : i + _BLOCK]
        s0[part], adc[part] = _fit(flat[part].astype(float) @ scheme.members, scheme)
        progress(min((i + _BLOCK) / where.size, 1.0), "Fitting ADC")
    shape = data.shape[:-1]
    return AdcMaps(s0.reshape(shape), adc.reshape(shape), valid.reshape(shape))


def _fit(y: NDArray[np.float64], scheme: Scheme) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    b, w = scheme.b, scheme.weights
    top = y.max(1, keepdims=True)
    z = np.maximum(y / top, 0.01)
    weight = w * z**2
    total = weight.sum(1)
    mean_b, mean_z = (weight * b).sum(1) / total, (weight * np.log(z)).sum(1) / total
    centred = b - mean_b[:, None]
    adc = -(weight * centred * (np.log(z) - mean_z[:, None])).sum(1) / (weight * centred**2).sum(1)
    adc = np.clip(adc, 0, LARGEST)
    target = y / top
    for _ in range(6):
        # S0 follows in closed form; the step in ADC is that of the variable projection.
        decay = np.exp(-b * adc[:, None])
        energy, slope = decay**2 @ w, decay**2 @ (w * b)
        s0 = (decay * target) @ w / energy
        residual = target - s0[:, None] * decay
        gradient = -s0 * ((residual * decay) @ (w * b))
        curvature = s0**2 * (decay**2 @ (w * b * b) - slope**2 / energy)
        step = np.divide(gradient, curvature, out=np.zeros_like(adc), where=curvature > 1e-12)
        adc = np.clip(adc + np.clip(step, -1e-3, 1e-3), 0, LARGEST)
    decay = np.exp(-b * adc[:, None])
    return (decay * target) @ w / (decay**2 @ w) * top[:, 0], adc
