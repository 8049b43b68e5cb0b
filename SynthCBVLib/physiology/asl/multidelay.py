"""CBF and arterial transit time from several delays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from SynthCBVLib.errors import InputError
from SynthCBVLib.physiology.asl.kinetic import general_kinetic
from SynthCBVLib.physiology.asl.protocol import AslProtocol
from SynthCBVLib.physiology.asl.quantification import matched
from SynthCBVLib.physiology.truncated import truncated_normal
from SynthCBVLib.progress import Progress, silent

Array = NDArray[np.float64]

_BLOCK = 16384
_LONGEST = 5.0
_STEP = 0.05
#: Flow (ml/100 g/min) for which the grid's washout is computed; the last step corrects for the true one.
_TYPICAL_FLOW = 50.0
#: Scale of the flow inside the fit, and upper bound of it, ml/100 g/min.
_LARGEST_FLOW = 1000.0
#: Mean of the exponential prior of flow, ml/100 g/min: broad, but keeps late arrival from meaning huge flow.
_PRIOR_FLOW = 100.0
#: Weight of the block's noise level against a voxel's own residual, in degrees of freedom.
_SHARED_FREEDOM = 20.0


class MultiDelay(NamedTuple):
    """Result of `fit_multi_delay`, each of the signals' leading shape.

    Attributes
    ----------
    cbf : ndarray
        ml/100 g/min.
    arrival_time : ndarray
        Arterial transit time, s.
    cbf_sd, arrival_time_sd : ndarray
        Posterior standard deviations.
    """

    cbf: NDArray[np.float64]
    arrival_time: NDArray[np.float64]
    cbf_sd: NDArray[np.float64]
    arrival_time_sd: NDArray[np.float64]


def fit_multi_delay(
    perfusion_weighted: ArrayLike,
    m0: ArrayLike | None,
    delays: ArrayLike,
    protocol: AslProtocol | None = None,
    tissue_t1: float | None = 1.3,
    averages: ArrayLike | None = None,
    arrival_prior: tuple[float, float] = (1.3, 1.0),
    progress: Progress | None = None,
) -> MultiDelay:
    """Fit CBF and arterial transit time to several delays by the general kinetic model.

    For each transit time the signal is proportional to the flow, which is integrated in closed form
    (truncated to be positive); the transit time is integrated over a grid, with a normal prior as in BASIL
    (Chappell et al., IEEE Trans Signal Process 2009;57:223).

    Parameters
    ----------
    perfusion_weighted : array_like (..., n)
        Control minus label at each delay.
    m0 : array_like (...) or scalar
        Equilibrium magnetisation of the tissue.
    delays : array_like (n,)
        Post-labelling delays (inversion times for PASL), s.
    protocol : AslProtocol, optional
        Constants and label duration; its own delay is not used.
    tissue_t1 : float or None
        See `general_kinetic`.
    averages : array_like (n,), optional
        How many pairs went into each delay's signal.
    arrival_prior : tuple of float
        Mean and standard deviation of the transit time's prior, s.
    progress : Progress, optional
        Called after each block; may raise `Cancelled`.

    Returns
    -------
    MultiDelay
        CBF and arrival time with standard deviations, 0 where M0 is not positive or a signal not finite.

    Raises
    ------
    InputError
        If fewer than 3 different delays are given, lengths differ or M0 is missing.
    """
    protocol, progress = protocol or AslProtocol(), progress or silent
    delays = np.asarray(delays, float).ravel()
    signals = np.asarray(perfusion_weighted, float)
    if np.unique(delays).size < 3:
        raise InputError(
            "ASL delays", f"{np.unique(delays).size} different delays", "at least 3 for arrival times"
        )
    if delays.max() > 30 or delays.min() < 0:
        raise InputError(
            "ASL delays", f"{delays.tolist()}", "times in seconds", "Divide milliseconds by 1000."
        )
    if signals.ndim < 1 or signals.shape[-1] != delays.size:
        raise InputError(
            "perfusion-weighted signals", f"shape {signals.shape}", f"last axis of {delays.size} delays"
        )
    counts = np.ones_like(delays) if averages is None else np.asarray(averages, float).ravel()
    if counts.shape != delays.shape or not np.all(counts > 0):
        raise InputError("ASL averages", f"{counts.tolist()}", "a positive count for each delay")
    _, m0 = matched(signals[..., 0], m0)
    shape = signals.shape[:-1]
    scale = np.broadcast_to(m0 * protocol.m0_factor, shape).reshape(-1)
    flat = signals.reshape(-1, delays.size)
    usable = np.isfinite(scale) & (scale > 0) & np.isfinite(flat).all(1)
    usable = np.flatnonzero(usable & flat.any(1))
    results = np.zeros((4, scale.size))
    for i in range(0, usable.size, _BLOCK):
        where = usable[i : i + _BLOCK]
        results[:, where] = _fit(
            flat[where] / scale[where, None], delays, counts, protocol, tissue_t1, arrival_prior
        )
        progress(min((i + _BLOCK) / usable.size, 1.0), "Fitting delays")
    return MultiDelay(*(values.reshape(shape) for values in results))


def _fit(
    y: Array,
    delays: Array,
    counts: Array,
    protocol: AslProtocol,
    tissue_t1: float | None,
    arrival_prior: tuple[float, float],
) -> Array:
    """Fit signals (n, n_delays) relative to M0.

    Returns
    -------
    ndarray (4, n)
        CBF (ml/100 g/min), arrival time (s) and their standard deviations.
    """
    arrival = np.arange(0.0, _LONGEST + _STEP / 2, _STEP)
    unit = general_kinetic(_TYPICAL_FLOW, protocol, arrival, 1.0, tissue_t1, delays)
    unit *= _LARGEST_FLOW / _TYPICAL_FLOW
    weighted = y * counts
    energy = np.maximum(unit**2 @ counts, 1e-12 * (unit**2 @ counts).max())[:, None]
    flow = unit @ weighted.T / energy
    total = (weighted * y).sum(1)
    rss = np.maximum(total - energy * np.maximum(flow, 0) ** 2 * 1.0, 0.0)
    freedom = max(delays.size - 2, 1)
    least = rss.min(0)
    shared = np.median(least) / (freedom - 2 / 3 if freedom > 1 else 0.455)
    variance = (_SHARED_FREEDOM * shared + least) / (_SHARED_FREEDOM + freedom)
    variance = np.maximum(variance, 1e-12 * total + 1e-300)
    flow_variance = variance / energy
    rate = _LARGEST_FLOW / _PRIOR_FLOW
    log_mass, mean_flow, spread_flow = truncated_normal(flow - rate * flow_variance, np.sqrt(flow_variance))
    log_p = (
        (0.5 * energy * flow**2) / variance
        - 0.5 * np.log(energy)
        + log_mass
        + rate * (0.5 * rate * flow_variance - flow)
        - 0.5 * ((arrival - arrival_prior[0]) / arrival_prior[1])[:, None] ** 2
    )
    p = np.exp(log_p - log_p.max(0))
    p /= p.sum(0)
    cbf = (p * mean_flow).sum(0)
    cbf_sd = np.sqrt((p * (spread_flow + (mean_flow - cbf) ** 2)).sum(0))
    time = arrival @ p
    time_sd = np.sqrt(np.maximum((p * (arrival[:, None] - time) ** 2).sum(0), 0))
    cbf, cbf_sd = cbf * _LARGEST_FLOW, cbf_sd * _LARGEST_FLOW
    cbf = _correct_washout(cbf, time, protocol, tissue_t1, delays, counts)
    sharp = np.flatnonzero((time_sd < 2 * _STEP) & (cbf > 0))
    if sharp.size:
        cbf[sharp], time[sharp], cbf_sd[sharp], time_sd[sharp] = _refine(
            y[sharp], cbf[sharp], time[sharp], variance[sharp], delays, counts, protocol, tissue_t1
        )
    return np.stack((cbf, time, cbf_sd, time_sd))


def _correct_washout(
    cbf: Array, time: Array, protocol: AslProtocol, tissue_t1: float | None, delays: Array, counts: Array
) -> Array:
    """Account for the washout that goes with each voxel's own flow instead of the grid's typical one."""
    if tissue_t1 is None:
        return cbf
    assumed = general_kinetic(_TYPICAL_FLOW, protocol, time, 1.0, tissue_t1, delays) / _TYPICAL_FLOW
    corrected = cbf
    for _ in range(3):
        flow = np.maximum(corrected, 1e-3)
        actual = general_kinetic(flow, protocol, time, 1.0, tissue_t1, delays) / flow[:, None]
        energy = (actual**2) @ counts
        ratio = np.divide((actual * assumed) @ counts, energy, out=np.ones_like(energy), where=energy > 0)
        corrected = cbf * np.clip(ratio, 0.5, 2.0)
    return corrected


def _refine(
    y: Array,
    cbf: Array,
    time: Array,
    variance: Array,
    delays: Array,
    counts: Array,
    protocol: AslProtocol,
    tissue_t1: float | None,
) -> tuple[Array, Array, Array, Array]:
    """Finish by Gauss-Newton where the posterior is narrower than the grid can show."""

    def model(flow: Array, arrival: Array) -> Array:
        return general_kinetic(flow, protocol, arrival, 1.0, tissue_t1, delays)

    def cost(flow: Array, arrival: Array) -> Array:
        return (y - model(flow, arrival)) ** 2 @ counts

    best = cost(cbf, time)
    for _ in range(12):
        j1 = (model(cbf * 1.001, time) - model(cbf * 0.999, time)) / (0.002 * cbf[:, None])
        j2 = (model(cbf, time + 1e-4) - model(cbf, time - 1e-4)) / 2e-4
        residual = y - model(cbf, time)
        a11, a12, a22 = j1**2 @ counts, (j1 * j2) @ counts, j2**2 @ counts
        g1, g2 = (j1 * residual) @ counts, (j2 * residual) @ counts
        det = np.maximum(a11 * a22 - a12**2, 1e-9 * a11 * a22 + 1e-300)
        d1, d2 = (a22 * g1 - a12 * g2) / det, (a11 * g2 - a12 * g1) / det
        step = np.ones_like(cbf)
        for _ in range(4):
            trial = np.clip(cbf + step * d1, 1e-3, _LARGEST_FLOW), np.clip(time + step * d2, 0, _LONGEST)
            value = cost(*trial)
            better = value < best
            step = np.where(better, 0.0, 0.5 * step)
            cbf, time = np.where(better, trial[0], cbf), np.where(better, trial[1], time)
            best = np.where(better, value, best)
            if not step.any():
                break
    return cbf, time, np.sqrt(variance * a22 / det), np.sqrt(variance * a11 / det)
