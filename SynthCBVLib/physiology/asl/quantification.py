"""Cerebral blood flow from one delay by the 2015 white paper, with the checks that real data need."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from SynthCBVLib.errors import InputError
from SynthCBVLib.physiology.asl.protocol import AslProtocol

#: ml/g/s to ml/100 g/min.
PER_MINUTE = 6000.0

#: Fewer voxels than this are taken for a calculation by hand and not searched for wrong units.
_LEAST_FOR_UNITS = 64


def difference(control: ArrayLike, label: ArrayLike) -> NDArray[np.float64]:
    """Subtract label from control images.

    Parameters
    ----------
    control, label : array_like (...)
        Images of one shape and scale. Pairs along a leading or trailing axis may be averaged before or after.

    Returns
    -------
    ndarray (...)
        The perfusion-weighted signal; 0 where either is not finite.

    Raises
    ------
    InputError
        If shapes differ, an image is empty, both are the same, or the label is brighter than the control.
    """
    control, label = np.asarray(control, float), np.asarray(label, float)
    if control.shape != label.shape:
        raise InputError("ASL label", f"shape {label.shape}", f"the control's shape {control.shape}")
    for name, image in (("control", control), ("label", label)):
        if not np.any(np.nan_to_num(image)):
            raise InputError(f"ASL {name} image", "zero or not finite everywhere", "an image with signal")
    weighted = np.nan_to_num(control - label, nan=0.0, posinf=0.0, neginf=0.0)
    if not weighted.any():
        raise InputError(
            "ASL control and label", "the same image twice", "two images that differ by perfusion"
        )
    bright = _bright(control)
    _refuse_swapped(weighted[bright], "ASL control and label")
    return weighted


def quantify(
    perfusion_weighted: ArrayLike,
    m0: ArrayLike | None,
    protocol: AslProtocol | None = None,
    check: bool = True,
) -> NDArray[np.float64]:
    """Quantify CBF from one post-labelling delay.

    pCASL: ``6000 λ ΔM exp(PLD/T1b) / (2 α T1b M0 (1 - exp(-τ/T1b)))``;
    PASL: ``6000 λ ΔM exp(TI/T1b) / (2 α TI1 M0)``
    (Alsop et al., Magn Reson Med 2015;73:102, equations 1 and 2). The label is taken to have arrived.

    Parameters
    ----------
    perfusion_weighted : array_like (...)
        Control minus label, mean of the repeats.
    m0 : array_like (...) or scalar
        Equilibrium magnetisation of the tissue; `AslProtocol.m0_scale` brings it to the same scale.
    protocol : AslProtocol, optional
        Timing and constants; the white paper's recommendation by default.
    check : bool
        Whether to refuse data that cannot be perfusion: swapped, empty, or in wrong units.

    Returns
    -------
    ndarray (...)
        CBF, ml/100 g/min, signed as noise is; 0 where M0 is not positive or a value is not finite.

    Raises
    ------
    InputError
        If M0 is missing, shapes do not match, or a check fails.
    """
    protocol = protocol or AslProtocol()
    weighted, m0 = matched(perfusion_weighted, m0)
    t1, tau, delay = protocol.blood_t1, protocol.label_duration, protocol.post_label_delay
    bolus = t1 * -np.expm1(-tau / t1) if protocol.labelling == "pcasl" else tau
    factor = (
        PER_MINUTE * protocol.partition_coefficient * np.exp(delay / t1) / (2 * protocol.efficiency * bolus)
    )
    cbf = factor * _ratio(weighted, m0 * protocol.m0_factor)
    if check:
        _check(weighted, m0, cbf)
    return cbf


def smooth_m0(
    m0: ArrayLike, sigma: float | tuple[float, ...], mask: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Smooth M0 without bleeding in what lies outside the mask.

    Parameters
    ----------
    m0 : array_like (z, y, x)
        The M0 image.
    sigma : float or tuple of float
        Standard deviation of the Gaussian along each axis, voxels.
    mask : array_like of bool (z, y, x), optional
        Where M0 counts; where it is positive by default.

    Returns
    -------
    ndarray (z, y, x)
        Smoothed inside the mask, unchanged outside.
    """
    m0 = np.nan_to_num(np.asarray(m0, float))
    inside = m0 > 0 if mask is None else np.asarray(mask, bool)
    weight = gaussian_filter(inside.astype(float), sigma)
    total = gaussian_filter(np.where(inside, m0, 0.0), sigma)
    return np.where(inside, total / np.maximum(weight, 1e-12), m0)


def matched(weighted: ArrayLike, m0: ArrayLike | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Check a perfusion-weighted image and its M0 against each other and give both as arrays."""
    if m0 is None:
        raise InputError(
            "ASL M0", "missing", "an M0 image, or a number for M0 of the tissue",
            "CBF has no unit without it; acquire M0 or use the control image without background suppression.",
        )  # fmt: skip
    weighted, m0 = np.asarray(weighted, float), np.asarray(m0, float)
    if m0.ndim and m0.shape != weighted.shape:
        raise InputError("ASL M0", f"shape {m0.shape}", f"the perfusion-weighted shape {weighted.shape}")
    return weighted, m0


def _ratio(weighted: NDArray[np.float64], m0: NDArray[np.float64]) -> NDArray[np.float64]:
    usable = np.isfinite(weighted) & np.isfinite(m0) & (m0 > 0)
    return np.divide(weighted, m0, out=np.zeros(usable.shape), where=usable)


def _bright(image: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Voxels of the head: above a fifth of the 98th percentile of what is positive."""
    usable = np.isfinite(image) & (image > 0)
    return usable & (image > 0.2 * np.percentile(image[usable], 98)) if usable.any() else usable


def _check(weighted: NDArray[np.float64], m0: NDArray[np.float64], cbf: NDArray[np.float64]) -> None:
    if not np.any(np.nan_to_num(m0) > 0):
        raise InputError("ASL M0", "no positive value", "the equilibrium magnetisation of the tissue")
    if not np.any(np.nan_to_num(weighted)):
        raise InputError(
            "perfusion-weighted image", "zero or not finite everywhere", "control minus label",
            "Check that control and label are not the same image.",
        )  # fmt: skip
    inside = _bright(np.broadcast_to(m0, weighted.shape)) & np.isfinite(weighted)
    _refuse_swapped(weighted[inside], "perfusion-weighted image")
    if inside.sum() < _LEAST_FOR_UNITS:
        return
    typical, high = np.median(cbf[inside]), np.percentile(cbf[inside], 95)
    if typical > 400 or high < 1:
        raise InputError(
            "ASL M0 and perfusion-weighted image",
            f"a median CBF of {typical:.3g} ml/100 g/min in the head", "values near 20 to 100",
            "Bring both images to one scale (M0 scale, stored slope) and give the times in seconds.",
        )  # fmt: skip


def _refuse_swapped(values: NDArray[np.float64], where: str) -> None:
    """Refuse values whose mean is negative beyond chance."""
    if values.size < 2:
        return
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(values.size)
    if mean < 0 and -mean > 3 * error:
        raise InputError(
            where, f"a negative mean difference of {mean:.4g}", "control brighter than label",
            "Control and label seem to be swapped: exchange them.",
        )  # fmt: skip
