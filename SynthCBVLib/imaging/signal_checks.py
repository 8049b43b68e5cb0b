"""Estimates from voxels that the quality checks rest on: foreground, noise, decay with b, coverage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.brainmask import brain_mask
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, StudyImage, split_volumes

#: A median that rises by more than this fraction of the b = 0 signal is no decay.
RISE = 0.05
_GAUSSIAN_MAD = 1.4826
_RAYLEIGH_MEDIAN = 1.1774  # of a Rician background, in standard deviations of the noise


def foreground(image: sitk.Image) -> np.ndarray:
    """Give the voxels above Otsu's threshold of the slightly smoothed magnitude, as a (z, y, x) mask."""
    array = np.abs(sitk.GetArrayFromImage(image).astype(np.float32))
    smooth = ndimage.gaussian_filter(np.clip(array, 0, np.percentile(array, 99.5)), 1.0)
    if smooth.min() == smooth.max():
        return np.ones(array.shape, dtype=bool)
    return sitk.GetArrayFromImage(sitk.OtsuThreshold(sitk.GetImageFromArray(smooth), 0, 1)) > 0


def snr(image: StudyImage) -> float | None:
    """Estimate the signal-to-noise ratio of single volumes in the head.

    Parameters
    ----------
    image : sitk.Image, DiffusionSeries or AslSeries
        From the difference of repeats of the lowest b-value where there are any, else from the air around
        the head (Rician noise, one receive channel).

    Returns
    -------
    float or None
        Median signal over standard deviation of the noise; None where there is no air with noise in it.
    """
    if isinstance(image, DiffusionSeries):
        lowest = min(image.b_values)
        repeats = [v for b, v in zip(image.b_values, image.volumes(), strict=True) if b == lowest]
        if len(repeats) > 1:
            first, second = (sitk.GetArrayFromImage(v).astype(np.float64) for v in repeats[:2])
            inside = foreground(repeats[0])
            difference = (first - second)[inside]
            sigma = _GAUSSIAN_MAD * float(np.median(np.abs(difference - np.median(difference)))) / np.sqrt(2)
            return float(np.median(first[inside])) / sigma if sigma > 0 else None
        volume = repeats[0]
    else:
        volume = image.control if isinstance(image, AslSeries) else image
    array = sitk.GetArrayFromImage(volume).astype(np.float64)
    inside = foreground(volume)
    margin = [max(1, round(10.0 / s)) for s in volume.GetSpacing()[::-1]]
    near = ndimage.maximum_filter(inside.astype(np.uint8), [2 * m + 1 for m in margin]) > 0
    air = array[~near & (array > 0)]
    if air.size < 0.5 * np.count_nonzero(~near) or air.size < 500:
        return None
    return float(np.median(array[inside])) * _RAYLEIGH_MEDIAN / float(np.median(air))


def check_diffusion_signal(series: DiffusionSeries) -> Iterable[tuple[str, str, str]]:
    """Look at repeats and decay of a diffusion series.

    Yields
    ------
    tuple of str
        Severity, what was seen, and the remedy, as for a finding.
    """
    averaged = series.averaged()
    once = [f"{b:g}" for b, n in zip(averaged.b_values, averaged.counts, strict=True) if n == 1]
    if once and len(once) < len(averaged.counts):
        yield "info", f"b = {', '.join(once)} s/mm² measured once only", "More averages lower the noise."
    elif once:
        yield "warning", "every b-value measured once only", "More averages lower the noise of the map."
    volumes = split_volumes(averaged.image)
    inside = foreground(volumes[0])
    medians = np.array([np.median(sitk.GetArrayViewFromImage(v)[inside]) for v in volumes])
    if len(medians) < 2 or medians[0] <= 0:
        return
    if medians[-1] >= medians[0]:
        yield (
            "error",
            f"the signal does not fall with b: median {medians[0]:.4g} at b = {averaged.b_values[0]:g}, "
            f"{medians[-1]:.4g} at b = {averaged.b_values[-1]:g}",
            "Check the order of the b-values against the volumes.",
        )
        return
    for k in range(1, len(medians)):
        if medians[k] > medians[k - 1] + RISE * medians[0]:
            yield (
                "warning",
                f"the signal rises from b = {averaged.b_values[k - 1]:g} to {averaged.b_values[k]:g} s/mm² "
                f"by {(medians[k] - medians[k - 1]) / medians[0]:.0%} of b = 0",
                "Check the order of the b-values, and the images for motion.",
            )


def brain_coverage(fixed: sitk.Image, modality: Modality | None, images: Sequence[sitk.Image]) -> list[float]:
    """Measure how much of the brain in one image lies in the fields of view of others.

    Parameters
    ----------
    fixed : sitk.Image
        Image that shows the brain.
    modality : Modality or None
        Its contrast.
    images : sequence of sitk.Image
        3D images, by their headers.

    Returns
    -------
    list of float
        Fraction from 0 to 1 for each image.
    """
    try:
        inside = sitk.GetArrayFromImage(brain_mask(fixed, modality)) > 0
    except InputError:
        inside = foreground(fixed)
    index = np.argwhere(inside)[:, ::-1]
    index = index[:: max(1, len(index) // 4000)].astype(float)
    points = np.array(fixed.GetOrigin()) + index @ _index_to_point(fixed).T
    shares = []
    for image in images:
        there = (points - np.array(image.GetOrigin())) @ np.linalg.inv(_index_to_point(image)).T
        within = np.all((there >= -0.5) & (there <= np.array(image.GetSize()) - 0.5), axis=1)
        shares.append(float(within.mean()))
    return shares


def _index_to_point(image: sitk.Image) -> np.ndarray:
    return np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
