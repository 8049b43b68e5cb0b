"""The arterial input: found automatically, and deconvolved from the tissue's curves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from SynthCBVLib.errors import InputError
from SynthCBVLib.physiology.dsc.curves import Bolus, integrate

Array = NDArray[np.float64]

_CUTS = np.concatenate(((0.0,), np.geomspace(0.005, 0.9, 40)))


class ArterialInput(NamedTuple):
    """Result of `find_arterial_input`.

    Attributes
    ----------
    curve : ndarray (n_t,)
        Mean of the chosen voxels.
    voxels : ndarray of int (k,)
        Their indices among the curves.
    """

    curve: Array
    voxels: NDArray[np.intp]


def find_arterial_input(curves: Array, times: Array, bolus: Bolus, n_voxels: int = 10) -> ArterialInput:
    """Find arterial voxels: a high, narrow and early bolus without much noise.

    The criteria are those of Mouridsen et al. (Magn Reson Med 2006;55:524), combined to one score.

    Parameters
    ----------
    curves : ndarray (n, n_t)
        ΔR2* or concentration of the brain's voxels.
    times : ndarray (n_t,)
        s.
    bolus : Bolus
        Of the mean curve.
    n_voxels : int
        At most so many voxels are averaged.

    Raises
    ------
    InputError
        If no curve has a bolus.
    """
    height = curves.max(1)
    noise = curves[:, bolus.start : bolus.stop].std(1)
    area = integrate(np.maximum(curves, 0), times)[:, -1]
    able = np.flatnonzero((height > 5 * noise) & (area > 0))
    if not able.size:
        raise InputError("DSC series", "no curve with a clear bolus", "arteries within the mask")
    able = able[area[able] >= np.percentile(area[able], 75)]
    chosen = curves[able]
    step = np.median(np.diff(times))
    width = (chosen > 0.5 * height[able, None]).sum(1) * step
    # Centre of the rise: the time at half height on the way up tells early from late better than the peak.
    risen = times[(chosen > 0.5 * height[able, None]).argmax(1)]
    late = risen - np.percentile(risen, 2)
    rough = np.abs(np.diff(chosen, 2)).sum(1) / height[able]
    score = height[able] / (
        np.maximum(width, step) * (step + np.maximum(late, 0)) * (1 + rough / np.median(rough))
    )
    order = able[np.argsort(score)[::-1]]
    # A few voxels agree on one vessel; the count grows with the brain, up to the number asked for.
    keep = order[: max(1, min(n_voxels, able.size // 8 + 1))]
    return ArterialInput(curves[keep].mean(0), keep)


class Deconvolution(NamedTuple):
    """Result of `deconvolve`.

    Attributes
    ----------
    flow : ndarray (n,)
        Largest value of the flow-scaled residue function, 1/s.
    delay : ndarray (n,)
        Time of that maximum (Tmax), s.
    """

    flow: Array
    delay: Array


def deconvolve(
    curves: Array, arterial: Array, times: Array, oscillation_limit: float = 0.065
) -> Deconvolution:
    """Deconvolve tissue curves from the arterial input, insensitive to its delay.

    Block-circulant singular value decomposition with a cut-off chosen for each voxel by the oscillation
    index of its residue function (Wu et al., Magn Reson Med 2003;50:164). A circulant matrix is diagonal
    in Fourier space, so its singular values are the spectrum of the arterial input.

    Parameters
    ----------
    curves : ndarray (n, n_t)
        Concentration or ΔR2*.
    arterial : ndarray (n_t,)
        Arterial input of the same kind.
    times : ndarray (n_t,)
        s, evenly spaced.
    oscillation_limit : float
        Largest oscillation index.
    """
    n_t = times.size
    length = 2 * n_t
    step = float(np.median(np.diff(times)))
    spectrum = np.fft.rfft(arterial, length) * step
    magnitude = np.abs(spectrum)
    tissue = np.fft.rfft(curves, length, axis=1)
    flow, delay = np.zeros(len(curves)), np.zeros(len(curves))
    open_voxels = np.arange(len(curves))
    for cut in _CUTS:
        keep = magnitude > cut * magnitude.max()
        inverse = np.where(keep, 1 / np.where(keep, spectrum, 1.0), 0.0)
        residue = np.fft.irfft(tissue[open_voxels] * inverse, length, axis=1)
        peak = residue.max(1)
        bends = np.abs(residue[:, 2:] - 2 * residue[:, 1:-1] + residue[:, :-2]).sum(1)
        index = np.divide(bends, length * peak, out=np.full_like(peak, np.inf), where=peak > 0)
        flow[open_voxels] = np.maximum(peak, 0)
        at = residue.argmax(1)
        # Circulant residues wrap: a maximum in the second half is an arrival before the arterial input.
        delay[open_voxels] = np.where(at < n_t, at, at - length) * step
        open_voxels = open_voxels[index > oscillation_limit]
        if not open_voxels.size:
            break
    return Deconvolution(flow, delay)
