"""Slow variation of brightness, as coils leave it: in a ratio of images and in the plane of slices."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_ROUNDS = 10
#: Residuals (log) below this weigh alike.
_FLOOR = 0.05
#: What is darker than this share of the median is not made brighter.
_DARKEST = 0.05


def without_trend(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Subtract the second-order polynomial of place that fits values best by least absolute deviations.

    Tumours and vessels, few voxels far off, hardly move that fit; the ratio of two coils' shadings is nearly
    all in it.

    Parameters
    ----------
    values : ndarray (n,)
        Such as log ratios of two images.
    index : ndarray (n, 3)
        Where they are, in voxels.

    Returns
    -------
    ndarray (n,)
        What is left, around a median near 0.
    """
    place = (index - index.mean(0)) / np.maximum(index.std(0), 1e-9)
    z, y, x = place.T
    design = np.stack([np.ones(len(x)), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=1)
    residual, weights = values, np.ones(len(values))
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        solution, *_ = np.linalg.lstsq(design * root[:, None], values * root, rcond=None)
        residual = values - design @ solution
        weights = 1 / np.maximum(np.abs(residual), _FLOOR)
    return residual


def flattened(slices: np.ndarray, mask: np.ndarray, width: tuple[float, float]) -> np.ndarray:
    """Divide slices (..., y, x) by their own smooth brightness inside a mask.

    Parameters
    ----------
    slices : ndarray (..., y, x)
    mask : ndarray of bool
        Of the same shape.
    width : tuple of float
        Of the Gaussian along y and x, in pixels.
    """
    if not mask.any():
        return slices
    sigma = (*(0.0,) * (slices.ndim - 2), *width)
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(slices * mask, sigma) / np.maximum(weight, 1e-3)
    return slices / np.maximum(smooth, _DARKEST * abs(float(np.median(slices[mask]))) + 1e-9)
