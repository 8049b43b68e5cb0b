"""Parameter maps as images, for the command line and 3D Slicer: series in, maps of its geometry out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, is_series, like, same_grid, split_volumes
from SynthCBVLib.physiology import adc, asl, dsc, ivim
from SynthCBVLib.progress import Progress


@dataclass(frozen=True)
class IvimImages:
    """IVIM maps of a series, 32-bit float, 0 where nothing was fitted.

    Attributes
    ----------
    s0, d, f, d_star : sitk.Image
        Signal at b = 0; D in mm²/s; f from 0 to 1; D* in mm²/s.
    s0_sd, d_sd, f_sd, d_star_sd : sitk.Image
        Posterior standard deviations in the same units.
    flag : sitk.Image
        8-bit `ivim.Flag` bits.
    noise_sd : float
        Noise of a single image, in the series' unit.
    """

    s0: sitk.Image
    d: sitk.Image
    f: sitk.Image
    d_star: sitk.Image
    s0_sd: sitk.Image
    d_sd: sitk.Image
    f_sd: sitk.Image
    d_star_sd: sitk.Image
    flag: sitk.Image
    noise_sd: float


@dataclass(frozen=True)
class CbvImages:
    """DSC maps of a series, 32-bit float, 0 outside the mask.

    Attributes
    ----------
    rcbv, uncorrected : sitk.Image
        Relative CBV with and without leakage correction (see `dsc.CbvMaps` for the unit).
    k2 : sitk.Image
        Leakage coefficient, 1/s.
    """

    rcbv: sitk.Image
    uncorrected: sitk.Image
    k2: sitk.Image


def ivim_maps(
    series: DiffusionSeries,
    mask: sitk.Image | None = None,
    method: ivim.Method = "bayes",
    progress: Progress | None = None,
    noise_sd: float | None = None,
) -> IvimImages:
    """Fit IVIM maps to a diffusion series.

    Parameters
    ----------
    series : DiffusionSeries
        Repeats are averaged.
    mask : sitk.Image, optional
        On the series' grid; everything outside it becomes 0.
    method : {"bayes", "segmented", "nlls"}
        See `ivim.fit`.
    progress : Progress, optional
        May raise `Cancelled`.
    noise_sd : float, optional
        Noise of a single image; estimated by default.

    Raises
    ------
    InputError
        If the b-values cannot determine the model, or the mask lies on another grid or is empty.
    """
    averaged = series.averaged()
    reference = split_volumes(averaged.image)[0]
    signals = _last_axis(averaged.image)
    inside = _inside(mask, reference, series.name)
    _refuse_empty(signals[inside], averaged.b_values, series.name)
    found = ivim.fit(signals[inside], averaged.b_values, averaged.counts, method, progress, noise_sd=noise_sd)
    maps = {
        name: _image(getattr(found, name), inside, reference)
        for name in ("s0", "d", "f", "d_star", "s0_sd", "d_sd", "f_sd", "d_star_sd")
    }
    flag = np.zeros(inside.shape, np.uint8)
    flag[inside] = found.flag
    return IvimImages(**maps, flag=like(flag, reference), noise_sd=found.noise_sd)


def adc_map(
    series: DiffusionSeries, mask: sitk.Image | None = None, progress: Progress | None = None
) -> sitk.Image:
    """Fit an ADC map (mm²/s) to a diffusion series; see `ivim_maps` for the parameters."""
    averaged = series.averaged()
    reference = split_volumes(averaged.image)[0]
    inside = _inside(mask, reference, series.name)
    signals = _last_axis(averaged.image)[inside]
    _refuse_empty(signals, averaged.b_values, series.name)
    found = adc.fit(signals, averaged.b_values, averaged.counts, progress)
    return _image(found.adc, inside, reference)


def protocol_of(series: AslSeries, **others: float | str | None) -> asl.AslProtocol:
    """Give the quantification protocol of a series with recorded timing.

    Parameters
    ----------
    series : AslSeries
        Gives labelling and timing.
    **others
        Further fields of `asl.AslProtocol`; None keeps a field's default.

    Raises
    ------
    InputError
        If label duration or delay are not recorded and not among `others`.
    """
    fields: dict[str, float | str | None] = {
        "labelling": series.labelling,
        "label_duration": series.label_duration,
        "post_label_delay": series.post_label_delay,
    }
    fields.update({name: value for name, value in others.items() if value is not None})
    for name, words in (("label_duration", "label duration"), ("post_label_delay", "post-labelling delay")):
        if fields[name] is None:
            raise InputError(
                series.name, f"no {words}", f"the {words} in seconds",
                "Give it with the images or in the sidecar; it is in the scanner's protocol.",
            )  # fmt: skip
    return asl.AslProtocol(**{name: value for name, value in fields.items() if value is not None})


def cbf_map(
    series: AslSeries, protocol: asl.AslProtocol | None = None, m0_smoothing: float = 0.0
) -> sitk.Image:
    """Quantify a CBF map (ml/100 g/min) from control, label and M0.

    Parameters
    ----------
    series : AslSeries
        Mean control and label images, and M0.
    protocol : asl.AslProtocol, optional
        By default that of the series' recorded timing.
    m0_smoothing : float
        Full width at half maximum of the Gaussian that M0 is smoothed with, mm; 0 leaves it as it is.

    Returns
    -------
    sitk.Image
        32-bit float on the control's grid; 0 outside the head, where M0 is no more than noise.

    Raises
    ------
    InputError
        If the timing is not known, or the images cannot be perfusion (swapped, empty, other units).
    """
    protocol = protocol or protocol_of(series)
    weighted, m0 = _labelled(series, m0_smoothing)
    return like(asl.quantify(weighted, m0, protocol).astype(np.float32), series.control)


def relative_perfusion(series: AslSeries) -> sitk.Image:
    """Give (control - label) / M0, which needs no timing and is proportional to flow where arrival is alike.

    Returns
    -------
    sitk.Image
        32-bit float on the control's grid, no unit; 0 outside the head.

    Raises
    ------
    InputError
        If the images cannot be perfusion (swapped, empty).
    """
    weighted, m0 = _labelled(series, 0.0)
    return like((weighted / np.where(m0 > 0, m0, 1.0)).astype(np.float32), series.control)


def _labelled(series: AslSeries, m0_smoothing: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give control - label and M0, both 0 outside the head, where M0 is no more than noise."""
    control, label, m0 = (
        sitk.GetArrayFromImage(image).astype(float) for image in (series.control, series.label, series.m0)
    )
    positive = m0[np.isfinite(m0) & (m0 > 0)]
    if not positive.size:
        raise InputError(f"{series.name} M0", "no positive value", "the tissue's equilibrium magnetisation")
    head = m0 > 0.1 * np.percentile(positive, 98)
    weighted = np.where(head, asl.difference(control, label), 0.0)
    if m0_smoothing > 0:
        widths = np.array(series.m0.GetSpacing()[::-1])
        m0 = asl.smooth_m0(m0, tuple(m0_smoothing / 2.3548 / widths), head)
    return weighted, np.where(head, m0, 0.0)


def cbv_maps(
    series: sitk.Image,
    times: Sequence[float] | NDArray[np.float64],
    protocol: dsc.DscProtocol | None = None,
    mask: sitk.Image | None = None,
    white_matter: sitk.Image | None = None,
    progress: Progress | None = None,
) -> CbvImages:
    """Compute relative CBV maps of a DSC series.

    Parameters
    ----------
    series : sitk.Image
        4D or vector image, one volume a time point.
    times : sequence of float
        s, one a volume.
    protocol : dsc.DscProtocol, optional
        Echo time and evaluation.
    mask, white_matter : sitk.Image, optional
        Brain, and normal-appearing white matter that becomes 1; on the series' grid.
    progress : Progress, optional
        May raise `Cancelled`.
    """
    reference, signals, brain = _dsc_input(series, mask)
    white = None if white_matter is None else _inside(white_matter, reference, "white matter")
    found = dsc.cbv_maps(signals, times, protocol, brain, white, progress)
    return CbvImages(*(_float(values, reference) for values in (found.rcbv, found.uncorrected, found.k2)))


def perfusion_maps(
    series: sitk.Image,
    times: Sequence[float] | NDArray[np.float64],
    protocol: dsc.DscProtocol | None = None,
    mask: sitk.Image | None = None,
    progress: Progress | None = None,
) -> dict[str, sitk.Image]:
    """Compute CBV, CBF, MTT and Tmax images of a DSC series, with an automatic arterial input.

    Returns
    -------
    dict
        "cbv" (ml/100 ml), "cbf" (ml/100 ml/min), "mtt", "tmax" (s) and "arteries" (8-bit mask).
    """
    reference, signals, brain = _dsc_input(series, mask)
    found = dsc.perfusion(signals, times, protocol, brain, progress=progress)
    images = {name: _float(getattr(found, name), reference) for name in ("cbv", "cbf", "mtt", "tmax")}
    images["arteries"] = like(found.arterial_voxels.astype(np.uint8), reference)
    return images


def _dsc_input(
    series: sitk.Image, mask: sitk.Image | None
) -> tuple[sitk.Image, NDArray[np.float64], NDArray[np.bool_] | None]:
    if not is_series(series):
        raise InputError("DSC series", f"a single volume {series.GetSize()}", "a 4D image over time")
    reference = split_volumes(series)[0]
    brain = None if mask is None else _inside(mask, reference, "DSC series")
    return reference, _last_axis(series), brain


def _refuse_empty(signals: NDArray, b_values: Sequence[float], name: str) -> None:
    """Refuse a series with a b-value that has no signal at all."""
    for index, b in enumerate(b_values):
        values = signals[..., index]
        if not np.any(np.isfinite(values) & (values != 0)):
            raise InputError(
                name, f"only zeros or NaN at b = {b:g}", "a signal in every volume",
                "Convert or export the series again.",
            )  # fmt: skip


def _last_axis(image: sitk.Image) -> NDArray:
    """Give the array (z, y, x, volume) of a 4D or vector image."""
    array = sitk.GetArrayFromImage(image)
    return np.moveaxis(array, 0, -1) if image.GetDimension() == 4 else array


def _inside(mask: sitk.Image | None, reference: sitk.Image, name: str) -> NDArray[np.bool_]:
    if mask is None:
        return np.ones(reference.GetSize()[::-1], bool)
    if mask.GetDimension() != 3 or not same_grid(mask, reference):
        raise InputError(
            f"mask of {name}", f"size {mask.GetSize()}, spacing {mask.GetSpacing()}",
            f"the series' grid (size {reference.GetSize()}, spacing {reference.GetSpacing()})",
            "Resample the mask to the series.",
        )  # fmt: skip
    inside = sitk.GetArrayFromImage(mask) != 0
    if not inside.any():
        raise InputError(f"mask of {name}", "no voxel", "the region to evaluate")
    return inside


def _image(values: NDArray[np.float64], inside: NDArray[np.bool_], reference: sitk.Image) -> sitk.Image:
    whole = np.zeros(inside.shape, np.float32)
    whole[inside] = values
    return like(whole, reference)


def _float(values: NDArray[np.float64], reference: sitk.Image) -> sitk.Image:
    return like(values.astype(np.float32), reference)
