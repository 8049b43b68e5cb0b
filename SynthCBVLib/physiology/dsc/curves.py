"""Curves of the bolus: baseline and arrival, change of R2*, and the gamma-variate function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from SynthCBVLib.errors import InputError

Array = NDArray[np.float64]

#: Signals below this part of the baseline are noise; ΔR2* is capped there.
_FLOOR = 0.02


@dataclass(frozen=True)
class Bolus:
    """Where the bolus lies among the time points.

    Attributes
    ----------
    start, stop : int
        First and one past the last point of the baseline.
    arrival : int
        First point at which the mean curve has risen.
    peak : int
        Point of the mean curve's maximum.
    """

    start: int
    stop: int
    arrival: int
    peak: int


def gamma_variate(
    times: ArrayLike, peak: ArrayLike, arrival: ArrayLike, alpha: ArrayLike, beta: ArrayLike
) -> NDArray[np.float64]:
    """Compute a gamma-variate curve of given maximum (Madsen, Phys Med Biol 1992;37:1597).

    Parameters
    ----------
    times : array_like (n_t,)
        s.
    peak : array_like (...)
        Largest value, reached at ``arrival + alpha · beta``.
    arrival : array_like (...)
        s.
    alpha, beta : array_like (...)
        Shape (1) and scale (s).

    Returns
    -------
    ndarray (..., n_t)
        The curve, 0 before arrival; its area is ``peak · β · Γ(α + 1) · (e / α)^α``.
    """
    peak, arrival, alpha, beta = (np.asarray(x, float)[..., None] for x in (peak, arrival, alpha, beta))
    relative = np.maximum(np.asarray(times, float) - arrival, 0.0) / (alpha * beta)
    safe = np.where(relative > 0, relative, 1.0)
    return np.where(relative > 0, peak * np.exp(alpha * (1 + np.log(safe) - safe)), 0.0)


def check_times(times: ArrayLike, n: int) -> Array:
    """Check time points against the number of images and give them as an array (n,), s."""
    t = np.asarray(times, float).ravel()
    if t.size != n:
        raise InputError("DSC times", f"{t.size} times for {n} images", "one time in seconds for each image")
    if t.size < 8:
        raise InputError("DSC series", f"{t.size} images", "at least 8 over the bolus' passage")
    step = np.diff(t)
    if not np.all(np.isfinite(t)) or np.any(step <= 0):
        raise InputError("DSC times", f"steps from {step.min():g} to {step.max():g}", "times that increase")
    if np.median(step) > 60:
        raise InputError(
            "DSC times", f"a step of {np.median(step):g} s", "a few seconds at most",
            "Divide by 1000 if they are in milliseconds.",
        )  # fmt: skip
    return t


def find_bolus(mean_curve: Array, baseline: tuple[int, int] | None = None, rises: bool = False) -> Bolus:
    """Find baseline, arrival and peak of the bolus on a mean curve.

    Parameters
    ----------
    mean_curve : ndarray (n_t,)
        Mean signal, or mean ΔR2* or concentration.
    baseline : tuple of int, optional
        First and one past the last baseline point, if they are known.
    rises : bool
        Whether the curve rises with the bolus (ΔR2*) rather than falls (signal).

    Raises
    ------
    InputError
        If no bolus stands out of the noise, or fewer than two points come before it.
    """
    curve = np.asarray(mean_curve, float) * (1 if rises else -1)
    n = curve.size
    smooth = np.convolve(np.pad(curve, 1, mode="edge"), (0.25, 0.5, 0.25), mode="valid")
    # The approach to the steady state may dwarf the bolus: it falls monotonically from the first point on.
    skip = 0 if baseline is None else baseline[0]
    if baseline is None:
        rest = curve[: max(n // 4, 4)]
        spread = 1.4826 * np.median(np.abs(rest - np.median(rest))) + 1e-12 * np.abs(curve).max()
        while skip < min(5, n // 8) and np.abs(curve[skip] - np.median(rest)) > 6 * spread:
            skip += 1
    peak = skip + int(np.argmax(smooth[skip:]))
    reference = baseline or (skip, max(peak, skip + 2))
    level = (
        np.median(curve[reference[0] : reference[1]])
        if baseline
        else np.median(curve[skip : max(peak, skip + 2)])
    )
    height = smooth[peak] - level
    # Walk back from the peak to where the curve has risen by a tenth of its height.
    arrival = peak
    while arrival > skip + 1 and smooth[arrival - 1] - level > 0.1 * height:
        arrival -= 1
    # The three-point smoothing spreads the rise by one point.
    stop = baseline[1] if baseline else max(arrival - 1, skip + 1)
    if stop - skip < 2 or not 0 <= skip < stop <= n:
        raise InputError(
            "DSC series", f"the bolus arrives at image {arrival}", "at least 2 images before it",
            "Give the baseline images, or a series that starts before the injection.",
        )  # fmt: skip
    before = curve[skip:stop]
    noise = before.std(ddof=1)
    if not height > 4 * noise or not height > 1e-9 * np.abs(curve).max():
        raise InputError(
            "DSC series", "no bolus that stands out of the noise", "a first-pass signal drop",
            "Check the order of the images and the mask.",
        )  # fmt: skip
    return Bolus(skip, stop, arrival, peak)


def delta_r2star(signal: ArrayLike, echo_time: float, bolus: Bolus) -> Array:
    """Convert signals to ΔR2*, 1/s.

    Parameters
    ----------
    signal : array_like (..., n_t)
        Any unit.
    echo_time : float
        s.
    bolus : Bolus
        Tells the baseline.

    Returns
    -------
    ndarray (..., n_t)
        ``-ln(S / S0) / TE``; 0 where the baseline is not positive, capped where the signal vanishes.
    """
    signal = np.asarray(signal, float)
    base = signal[..., bolus.start : bolus.stop].mean(-1, keepdims=True)
    usable = np.isfinite(base) & (base > 0)
    ratio = np.divide(signal, base, out=np.ones(signal.shape), where=usable)
    return -np.log(np.maximum(np.nan_to_num(ratio, nan=1.0), _FLOOR)) / echo_time


def integrate(curves: Array, times: Array) -> Array:
    """Integrate curves (..., n_t) cumulatively from the first time point, by trapezoids."""
    step = np.diff(times)
    areas = 0.5 * (curves[..., 1:] + curves[..., :-1]) * step
    return np.concatenate((np.zeros((*curves.shape[:-1], 1)), np.cumsum(areas, -1)), -1)


def gamma_variate_area(curves: Array, times: Array, bolus: Bolus) -> Array:
    """Fit a gamma-variate to the first pass of each curve and give its area.

    The fit is linear in the logarithm for a given arrival; the best of several arrivals is taken.

    Parameters
    ----------
    curves : ndarray (n, n_t)
        ΔR2* or concentration.
    times : ndarray (n_t,)
        s.
    bolus : Bolus
        Of the mean curve.

    Returns
    -------
    ndarray (n,)
        Areas; 0 where a curve has no first pass.
    """
    n_t = times.size
    begin = max(bolus.arrival - 3, 0)
    peak = begin + np.argmax(curves[:, begin : min(bolus.peak + (bolus.peak - begin) + 3, n_t)], axis=1)
    height = np.take_along_axis(curves, peak[:, None], 1)
    index = np.arange(n_t)
    # The first pass ends where the curve has fallen to 40 %: recirculation comes later.
    below = (curves < 0.4 * height) & (index > peak[:, None])
    end = np.where(below.any(1), below.argmax(1), n_t)
    inside = (index >= begin) & (index < end[:, None]) & (curves > 0.05 * height) & (height > 0)
    log_curve = np.log(np.where(inside, curves, 1.0))
    best, area = np.full(len(curves), np.inf), np.zeros(len(curves))
    for arrival in np.linspace(times[begin], times[bolus.peak], 24, endpoint=False):
        lag = times - arrival
        use = inside & (lag > 0)
        weight = np.where(use, curves, 0.0) ** 2
        columns = np.stack((np.ones(n_t), np.log(np.maximum(lag, 1e-6)), -lag), -1)
        normal = np.einsum("vt,ti,tj->vij", weight, columns, columns)
        normal[:, np.arange(3), np.arange(3)] += 1e-9 * np.einsum("vii->vi", normal) + 1e-30
        solution = np.linalg.solve(normal, np.einsum("vt,ti->vi", weight * log_curve, columns)[..., None])[
            ..., 0
        ]
        scale, alpha, rate = solution[:, 0], solution[:, 1], solution[:, 2]
        sound = (alpha > 0) & (rate > 0) & (use.sum(1) >= 4) & (alpha < 50)
        model = np.exp(
            np.clip(scale[:, None] + columns[:, 1] * alpha[:, None] - lag * rate[:, None], -700, 300)
        )
        error = (np.where(inside, curves - np.where(lag > 0, model, 0), 0) ** 2).sum(1)
        better = sound & (error < best)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            found = np.exp(scale + gammaln(alpha + 1) - (alpha + 1) * np.log(rate))
        best, area = np.where(better, error, best), np.where(better, found, area)
    return area
