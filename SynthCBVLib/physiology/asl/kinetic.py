"""The general kinetic model of ASL and its fit to several delays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from SynthCBVLib.errors import InputError
from SynthCBVLib.physiology.asl.protocol import AslProtocol
from SynthCBVLib.physiology.asl.quantification import PER_MINUTE, _matched
from SynthCBVLib.progress import Progress, silent

_BLOCK = 16384


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


def general_kinetic(
    cbf: ArrayLike,
    protocol: AslProtocol | None = None,
    arrival_time: ArrayLike = 0.0,
    m0: ArrayLike = 1.0,
    tissue_t1: ArrayLike | None = None,
    delays: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Compute control minus label by the general kinetic model (Buxton et al., Magn Reson Med 1998;40:383).

    Parameters
    ----------
    cbf : array_like (...)
        Blood flow, ml/100 g/min.
    protocol : AslProtocol, optional
        Timing and constants.
    arrival_time : array_like (...)
        Arterial transit time, s.
    m0 : array_like (...)
        Equilibrium magnetisation of the tissue; that of blood is ``m0 / partition_coefficient``.
    tissue_t1 : array_like (...), optional
        T1 of the tissue, s, by which the label decays after arrival, and it leaves with the venous blood
        (``1/T1' = 1/T1 + CBF/λ``). By default the label stays and decays with the T1 of blood, the white
        paper's assumption.
    delays : array_like (n,), optional
        Post-labelling delays (inversion times for PASL), s; the protocol's one by default.

    Returns
    -------
    ndarray (...) or (..., n)
        The perfusion-weighted signal in the unit of `m0`, with the delays as last axis if they are given.
    """
    protocol = protocol or AslProtocol()
    several = delays is not None
    delay = np.atleast_1d(np.asarray(protocol.post_label_delay if delays is None else delays, float))
    flow, arrival, m0 = (np.asarray(x, float)[..., None] for x in (cbf, arrival_time, m0))
    flow = flow / PER_MINUTE
    if tissue_t1 is None:
        rate = np.full_like(flow, 1 / protocol.blood_t1)
    else:
        rate = 1 / np.asarray(tissue_t1, float)[..., None] + flow / protocol.partition_coefficient
    scale = 2 * m0 / protocol.partition_coefficient * flow * protocol.efficiency
    signal = scale * _residue(protocol, delay, arrival, rate)
    return signal if several else signal[..., 0]


def _residue(
    protocol: AslProtocol, delay: NDArray[np.float64], arrival: NDArray[np.float64], rate: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Label in the tissue for unit flow and unit labelled magnetisation, s."""
    blood = 1 / protocol.blood_t1
    tau = protocol.label_duration
    if protocol.labelling == "pcasl":
        # Time since the first label came in, and since the last one did.
        since_first = np.maximum(delay + tau - arrival, 0.0)
        since_last = np.maximum(delay - arrival, 0.0)
        return np.exp(-arrival * blood) * (np.exp(-rate * since_last) - np.exp(-rate * since_first)) / rate
    since_first = np.maximum(delay - arrival, 0.0)
    since_last = np.maximum(delay - arrival - tau, 0.0)
    # ∫ exp(-blood s) exp(-rate (t - s)) ds over the label's time of entry, written to hold for rate = blood.
    k = rate - blood
    length = since_first - since_last
    product = k * length
    small = np.abs(product) < 1e-8
    integral = np.where(small, length, -np.expm1(-product) / np.where(small, 1.0, k))
    return np.exp(-blood * (arrival + length) - rate * since_last) * integral


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
    from SynthCBVLib.physiology.asl.multidelay import fit

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
    _, m0 = _matched(signals[..., 0], m0)
    shape = signals.shape[:-1]
    scale = np.broadcast_to(m0 * protocol.m0_factor, shape).reshape(-1)
    flat = signals.reshape(-1, delays.size)
    usable = np.isfinite(scale) & (scale > 0) & np.isfinite(flat).all(1)
    usable = np.flatnonzero(usable & flat.any(1))
    results = np.zeros((4, scale.size))
    for i in range(0, usable.size, _BLOCK):
        where = usable[i : i + _BLOCK]
        results[:, where] = fit(
            flat[where] / scale[where, None], delays, counts, protocol, tissue_t1, arrival_prior
        )
        progress(min((i + _BLOCK) / usable.size, 1.0), "Fitting delays")
    return MultiDelay(*(values.reshape(shape) for values in results))
