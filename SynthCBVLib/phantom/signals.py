"""Sequence equations: the signal of one tissue, before coils and noise. Times in ms unless said otherwise.

All take scalars or arrays and broadcast; signals are relative to the equilibrium signal of pure water.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from SynthCBVLib.phantom.tissue import BLOOD_T1, BLOOD_WATER, CAPILLARY_T2

Array = NDArray[np.float32]


def spin_echo(water: ArrayLike, t1: ArrayLike, t2: ArrayLike, tr: float, te: float) -> Array:
    """Spin echo: water · (1 - exp(-TR/T1)) · exp(-TE/T2)."""
    t1, t2 = np.asarray(t1, np.float32), np.asarray(t2, np.float32)
    return np.asarray(water, np.float32) * (1 - np.exp(-tr / t1)) * np.exp(-te / t2)


def inversion_recovery(water: ArrayLike, t1: ArrayLike, tr: float, ti: float) -> Array:
    """Magnitude of inversion recovery in the steady state: water · |1 - 2 exp(-TI/T1) / (1 + exp(-TR/T1))|.

    The contrast of MPRAGE without its read-out's small flip angles.
    """
    t1 = np.asarray(t1, np.float32)
    return np.asarray(water, np.float32) * np.abs(1 - 2 * np.exp(-ti / t1) / (1 + np.exp(-tr / t1)))


def nulling_inversion_time(t1: float, tr: float) -> float:
    """Inversion time that nulls a tissue of `t1`: T1 · ln(2 / (1 + exp(-TR/T1)))."""
    return float(t1 * np.log(2 / (1 + np.exp(-tr / t1))))


def flair(water: ArrayLike, t1: ArrayLike, t2: ArrayLike, tr: float, te: float, ti: float) -> Array:
    """Inversion recovery read by a spin echo."""
    return inversion_recovery(water, t1, tr, ti) * np.exp(-te / np.asarray(t2, np.float32))


def enhanced_t1(t1: ArrayLike, concentration: ArrayLike, relaxivity: float = 4.5) -> Array:
    """T1 with contrast agent: 1/T1' = 1/T1 + r1 · C, with r1 in 1/(s mmol/l) and C in mmol/l."""
    rate = 1000 / np.asarray(t1, np.float32) + relaxivity * np.asarray(concentration, np.float32)
    return (1000 / rate).astype(np.float32)


def ivim(
    b_value: float, f: ArrayLike, d: ArrayLike, d_star: ArrayLike, t2: ArrayLike, te: float,
    blood_t2: float = CAPILLARY_T2,
) -> Array:  # fmt: skip
    """Bi-exponential diffusion signal whose compartments decay with their own T2.

    (1 - f) exp(-TE/T2) exp(-b D) + f exp(-TE/T2_blood) exp(-b D*)  (Le Bihan 1988; Lemke 2009 for the T2).

    Parameters
    ----------
    b_value : float
        Diffusion weighting, s/mm².
    f, d, d_star : array_like
        Perfusion fraction and coefficients, mm²/s.
    t2 : array_like
        T2 of the tissue's water, ms.
    te : float
        Echo time, ms.
    blood_t2 : float
        T2 of the moving blood, ms.
    """
    f, d, d_star, t2 = (np.asarray(value, np.float32) for value in (f, d, d_star, t2))
    b = np.float32(b_value)
    te = np.float32(te)
    still = (1 - f) * np.exp(-te / t2 - b * d)
    return still + f * np.exp(-te / np.float32(blood_t2) - b * d_star)


def labelled_difference(
    cbf: ArrayLike, transit_time: ArrayLike, t1: ArrayLike, label_duration: float, post_label_delay: float,
    efficiency: float = 0.85, partition: float = 0.9,
) -> Array:  # fmt: skip
    """Control minus label of pseudo-continuous labelling, general kinetic model.

    Buxton 1998 equations 3 and 5 with the apparent T1 of tissue; read at label duration + delay.

    Parameters
    ----------
    cbf : array_like
        Blood flow, ml/100 g/min.
    transit_time : array_like
        Arterial transit time, s.
    t1 : array_like
        T1 of tissue, ms.
    label_duration, post_label_delay : float
        Timing, s.
    efficiency : float
        Share of the blood that is inverted.
    partition : float
        Blood-brain partition coefficient, ml/g.
    """
    flow = np.asarray(cbf, np.float32) / 6000  # ml/g/s
    delay = np.asarray(transit_time, np.float32)
    apparent = 1 / (1000 / np.asarray(t1, np.float32) + flow / partition)
    read = label_duration + post_label_delay
    gain = 2 * efficiency * BLOOD_WATER * flow * apparent * np.exp(-delay * 1000 / BLOOD_T1)
    arriving = 1 - np.exp(-np.maximum(read - delay, 0) / apparent)
    passed = np.exp(-np.maximum(post_label_delay - delay, 0) / apparent)
    filled = 1 - np.exp(-label_duration / apparent)
    return np.where(delay < post_label_delay, gain * passed * filled, gain * arriving).astype(np.float32)
