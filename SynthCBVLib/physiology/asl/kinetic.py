"""The general kinetic model of arterial spin labelling."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from SynthCBVLib.physiology.asl.protocol import AslProtocol
from SynthCBVLib.physiology.asl.quantification import PER_MINUTE


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
