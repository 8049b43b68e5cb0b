"""A quick rigid alignment of two pictures, and how alike they are; good to a millimetre or two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.imaging.quality.pictures import Picture

#: Depth (mm) below the surface of the head from which on pictures are compared: brain and its surface.
COMPARED_DEPTH = 14.0
_BINS = 24
_SAMPLED = 0.15
_FEWEST = 1000


@dataclass(frozen=True)
class Aligned:
    """An image laid on a picture.

    Attributes
    ----------
    transform : sitk.Transform
        Points of the picture to points of the image.
    values : ndarray (z, y, x)
        The image on the picture's grid.
    seen : ndarray (z, y, x)
        Where its field of view reaches.
    information : float
        Mutual information, nats, in the brain and its surface.
    edges : float
        Likeness of normalised gradient fields there, 0 to 1 (Haber and Modersitzki, MICCAI 2006).
    """

    transform: sitk.Transform
    values: np.ndarray
    seen: np.ndarray
    information: float
    edges: float


def align(fixed: Picture, moving: sitk.Image) -> Aligned | None:
    """Lay an image (as from `small`) on a picture, from where the headers have it.

    Returns
    -------
    Aligned or None
        None where they do not overlap enough.
    """
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(_SAMPLED, 1)
    method.SetMetricFixedMask(fixed.mask)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        2.0, 0.1, 40, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-5
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = sitk.Euler3DTransform()
    middle = [(n - 1) / 2 for n in fixed.image.GetSize()]
    transform.SetCenter(fixed.image.TransformContinuousIndexToPhysicalPoint(middle))
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed.image, moving)
    except RuntimeError:  # too few samples of the one lie in the other
        return None
    there = sitk.Image(moving.GetSize(), sitk.sitkFloat32) + 1.0
    there.CopyInformation(moving)
    values = sitk.GetArrayFromImage(sitk.Resample(moving, fixed.image, transform, sitk.sitkLinear, 0.0))
    seen = sitk.GetArrayFromImage(sitk.Resample(there, fixed.image, transform, sitk.sitkLinear, 0.0)) > 0.99
    upper = fixed.below_top < 100.0
    compared = seen & upper & (fixed.depth > COMPARED_DEPTH)
    if np.count_nonzero(compared) < _FEWEST:
        return None
    information = mutual_information(fixed.values[compared], values[compared], 32)
    return Aligned(transform, values, seen, information, _edges(fixed.values, values, compared))


def mutual_information(a: np.ndarray, b: np.ndarray, bins: int) -> float:
    """Estimate the mutual information (nats) of two samples (n,) over bins of equal content."""
    quantiles = np.linspace(0, 1, bins + 1)[1:-1]
    i, j = (np.searchsorted(np.quantile(x, quantiles), x) for x in (a, b))
    joint = np.bincount(i * bins + j, minlength=bins * bins).reshape(bins, bins) / len(a)
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / independent[there])).sum())


def _edges(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float:
    first, second = (np.stack(np.gradient(ndimage.gaussian_filter(x, 0.8))) for x in (a, b))
    sizes = [(g**2).sum(0) for g in (first, second)]
    size_a, size_b = (s + float(np.median(s[mask])) + 1e-12 for s in sizes)
    return float((((first * second).sum(0) ** 2) / (size_a * size_b))[mask].mean())
