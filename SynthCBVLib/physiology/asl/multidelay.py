"""The numerics of the multi-delay fit: a grid over transit time, flow in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from SynthCBVLib.physiology.asl import kinetic
from SynthCBVLib.physiology.asl.protocol import AslProtocol
from SynthCBVLib.physiology.asl.quantification import PER_MINUTE
from SynthCBVLib.physiology.truncated import truncated_normal

Array = NDArray[np.float64]

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


def fit(
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
    unit = kinetic.general_kinetic(_TYPICAL_FLOW, protocol, arrival, 1.0, tissue_t1, delays)
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
    assumed = kinetic.general_kinetic(_TYPICAL_FLOW, protocol, time, 1.0, tissue_t1, delays) / _TYPICAL_FLOW
    corrected = cbf
    for _ in range(3):
        flow = np.maximum(corrected, 1e-3)
        actual = kinetic.general_kinetic(flow, protocol, time, 1.0, tissue_t1, delays) / flow[:, None]
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
        return kinetic.general_kinetic(flow, protocol, arrival, 1.0, tissue_t1, delays)

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
