"""How much of an image is noise."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.imaging.quality.finding import Finding
from SynthCBVLib.imaging.quality.values import SIGNED
from SynthCBVLib.imaging.study import AslSeries, DiffusionSeries, Modality, Study, StudyImage, volume_of

LOWEST_SNR = 5.0
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
        repeats = [volume_of(image.image, k) for k, b in enumerate(image.b_values) if b == lowest]
        if len(repeats) > 1:
            first, second = (sitk.GetArrayFromImage(v).astype(np.float32) for v in repeats[:2])
            inside = foreground(repeats[0])
            difference = (first - second)[inside]
            sigma = _GAUSSIAN_MAD * float(np.median(np.abs(difference - np.median(difference)))) / np.sqrt(2)
            return float(np.median(first[inside])) / sigma if sigma > 0 else None
        volume = repeats[0]
    else:
        volume = image.control if isinstance(image, AslSeries) else image
    array = sitk.GetArrayFromImage(volume).astype(np.float32)
    inside = foreground(volume)
    margin = [max(1, round(10.0 / s)) for s in volume.GetSpacing()[::-1]]
    near = ndimage.maximum_filter(inside.astype(np.uint8), [2 * m + 1 for m in margin]) > 0
    air = array[~near & (array > 0)]
    if air.size < 0.5 * np.count_nonzero(~near) or air.size < 500:
        return None
    return float(np.median(array[inside])) * _RAYLEIGH_MEDIAN / float(np.median(air))


def check_noise(study: Study, modality: Modality) -> Iterable[Finding]:
    """Look at the noise of a signal; maps have none that could be told from the air around the head."""
    image = study.images[modality]
    if modality in SIGNED and not isinstance(image, AslSeries):
        return
    ratio = snr(image)
    if ratio is not None and ratio < LOWEST_SNR:
        yield Finding(
            "warning", modality, f"a signal-to-noise ratio of about {ratio:.1f}",
            "Expect a noisy map; more averages or coarser voxels help.", "noise",
        )  # fmt: skip
