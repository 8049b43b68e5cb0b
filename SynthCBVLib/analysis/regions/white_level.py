"""White matter's intensity in an anatomical image, learnt from the image itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from SynthCBVLib.analysis.regions.stamp import AREA, disc_kernel
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality

#: White matter is the brighter tissue (True) or the darker one (False).
_BRIGHT = {Modality.T1W: True, Modality.T1C: True, Modality.T2W: False, Modality.FLAIR: False,
           Modality.DWI: False, Modality.CBF: False, Modality.RCBV: False}  # fmt: skip
#: Share of the discs with the least spread that are looked at to learn the tissues' intensities.
_CALM = 0.3


@dataclass(frozen=True)
class WhiteMatter:
    """Intensity of white matter throughout an image.

    Attributes
    ----------
    level : ndarray (slice, row, column)
        White matter's intensity with the receiver's slow changes.
    grey : float
        Grey matter's intensity relative to that level.
    """

    level: np.ndarray
    grey: float

    def share_of(self, values: np.ndarray, pixel: tuple[float, float]) -> np.ndarray:
        """Give the share of white matter of each voxel: at white matter's level 1, at grey matter's 0.

        It goes on to either side: below 0 where there is fluid, above 1 where there is more of what sets
        white matter apart from grey. Cut at 1, noise alone would lower it.
        """
        calm = ndimage.gaussian_filter(values, (0.0, 0.6 / pixel[0], 0.6 / pixel[1]))
        return 1 - (calm / self.level - 1) / (self.grey - 1)


def learn_white_matter(
    values: np.ndarray,
    perfusion: np.ndarray,
    usable: np.ndarray,
    pixel: tuple[float, float],
    area: float = AREA,
    contrast: Modality | str | None = None,
) -> WhiteMatter:
    """Learn white matter's intensity from the calmest discs of the healthy side.

    Discs of little spread are white matter or thick grey matter. They are parted into two by Otsu's
    threshold; white matter is the brighter or darker part as `contrast` has it. A quadratic in space takes up
    the receiver's sensitivity.

    Parameters
    ----------
    values, perfusion : ndarray (slice, row, column)
        Anatomical image and map.
    usable : ndarray of bool
        Healthy side of the brain.
    pixel : tuple of float
        Height and width of a pixel, mm.
    area : float
        Area of the discs, mm².
    contrast : Modality or str, optional
        What `values` is.

    Raises
    ------
    InputError
        If there is too little brain on the healthy side, or no contrast in it.
    """
    from skimage.filters import threshold_otsu

    kernel = disc_kernel(pixel, area)
    mean, square, share, flow = (
        _convolved(part, kernel)
        for part in (
            np.where(usable, values, 0),
            np.where(usable, values, 0) ** 2,
            usable.astype(float),
            np.where(usable & np.isfinite(perfusion), perfusion, 0),
        )
    )
    whole = (share > 0.99) & (mean > 0)
    if whole.sum() < 200:
        raise InputError(
            "healthy side of the brain", f"{int(whole.sum())} places for a region",
            "a brain mask with both halves",
            "Check the brain mask and the tumour segment, or place the regions by hand.",
        )  # fmt: skip
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    at = np.argwhere(whole & (spread <= np.quantile(spread[whole], _CALM)))
    logs, blood = np.log(mean[tuple(at.T)]), flow[tuple(at.T)]
    low, high = np.quantile(logs, [0.01, 0.99])
    if not high > low:
        raise InputError("anatomical image", "one value only", "grey and white matter of different intensity")
    bulk = (logs >= low) & (logs <= high)
    bright = _bright(logs[bulk], blood[bulk], contrast)
    basis = _quadratic(at, values.shape)
    trend = np.zeros(len(logs))
    for _ in range(4):
        flat = logs - trend
        edge = threshold_otsu(flat[bulk], nbins=128)
        ours = bulk & ((flat > edge) if bright else (flat < edge))
        middle = np.median(flat[ours])
        width = 2.5 * 1.4826 * np.median(np.abs(flat[ours] - middle)) + 1e-9
        core = ours & (np.abs(flat - middle) <= width)
        solution = np.linalg.lstsq(basis[core], logs[core], rcond=None)[0]
        trend = basis @ solution
        trend -= trend[core].mean()
    grey = bulk & ((flat < edge) if bright else (flat > edge))
    everywhere = np.argwhere(np.ones(values.shape, bool))
    level = np.exp(_quadratic(everywhere, values.shape) @ solution).reshape(values.shape)
    ratio = math.exp(float(np.median(flat[grey]) - np.median(flat[core])))
    return WhiteMatter(level, ratio)


def _bright(logs: np.ndarray, blood: np.ndarray, contrast: Modality | str | None) -> bool:
    """Tell whether white matter is the brighter tissue: of grey and white it has less blood."""
    known = None if contrast is None else _BRIGHT.get(Modality(contrast))
    if known is not None:
        return known
    ranks = [np.argsort(np.argsort(part)) for part in (logs, blood)]
    return bool(np.corrcoef(*ranks)[0, 1] < 0)


def _quadratic(at: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Give the ten terms of a quadratic in three axes, each axis from -1 to 1."""
    z, y, x = (2 * at[:, axis] / max(shape[axis] - 1, 1) - 1 for axis in range(3))
    one = np.ones(len(at))
    return np.stack([one, x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=1)


def _convolved(volume: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return ndimage.convolve(volume.astype(float), kernel[None], mode="constant")
