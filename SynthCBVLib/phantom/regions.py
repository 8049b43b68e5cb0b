"""Regions as a reader would place them: three hot spots, three discs of normal white matter, one slice."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.analysis.regions.hot_spots import distance_from
from SynthCBVLib.analysis.regions.stamp import AREA, disc
from SynthCBVLib.imaging.study import like


def place_regions(
    rcbv: sitk.Image, solid: sitk.Image, white: sitk.Image, lesion: sitk.Image,
    plane: tuple[np.ndarray, float],
) -> tuple[tuple[sitk.Image, ...], tuple[sitk.Image, ...]]:  # fmt: skip
    """Place three hot spots and three mirrored white-matter discs in the slice with most solid tumour.

    Parameters
    ----------
    rcbv, solid, white, lesion : sitk.Image
        True relative CBV, fraction of solid tumour, fraction of white matter, and lesion (0: none), one grid.
    plane : tuple
        Mid-sagittal plane n · p = c in that grid's space.

    Returns
    -------
    tuple of two tuples of sitk.Image
        Hot spots (highest first) and white-matter discs, 8-bit masks.
    """
    values, amount, pale, sick = (sitk.GetArrayFromImage(i) for i in (rcbv, solid, white, lesion))
    number = int(np.argmax((amount > 0.5).sum((1, 2)) + 1e-3 * amount.sum((1, 2))))
    column, row, _ = rcbv.GetSpacing()
    pixel = (row, column)
    shape = values.shape[1:]
    kernel = _kernel(pixel)
    smooth = ndimage.convolve(values[number].astype(float), kernel, mode="constant")
    filled = ndimage.convolve((amount[number] > 0.5).astype(float), kernel, mode="constant")
    hot = _pick(smooth, filled, pixel)
    near = ndimage.convolve(pale[number].astype(float), kernel, mode="constant")
    distance = ndimage.distance_transform_edt(sick[number] == 0, sampling=pixel)
    normal, offset = plane
    sides = _sides(rcbv, number, shape, normal, offset)
    side = np.sign(sides[hot[0]])
    usable = (distance > 6) & (sides * side < -4)
    pale_spots: list[tuple[int, int]] = []
    for spot in hot:
        mirrored = _mirror(rcbv, spot, number, normal, offset)
        pale_spots.append(_nearest_white(near, usable, mirrored, pale_spots, pixel))

    def mask(spot: tuple[int, int]) -> sitk.Image:
        array = np.zeros(values.shape, np.uint8)
        array[number] = disc(spot, shape, pixel)
        return like(array, rcbv)

    return tuple(mask(s) for s in hot), tuple(mask(s) for s in pale_spots)


def _kernel(pixel: tuple[float, float]) -> np.ndarray:
    half = [int(np.ceil(4 / p)) for p in pixel]
    kernel = disc((half[0], half[1]), (2 * half[0] + 1, 2 * half[1] + 1), pixel).astype(float)
    return kernel / kernel.sum()


def _pick(smooth: np.ndarray, filled: np.ndarray, pixel: tuple[float, float]) -> list[tuple[int, int]]:
    """Pick three hot spots, highest first: in solid tumour and apart, as far as the tumour allows both."""
    radius = np.sqrt(AREA / np.pi)
    spots: list[tuple[int, int]] = []
    while len(spots) < 3:
        away = distance_from(smooth.shape, spots, pixel)
        # The smoothed value counts only where the disc lies in solid tumour; a thin rim lowers the demand.
        for demand in (0.95, 0.8, 0.6, 0.4, 0.2, 0.0):
            allowed = (filled > demand) & (away > 2.3 * radius)
            if allowed.any():
                break
        else:
            allowed = away > 2.3 * radius
        best = int(np.argmax(np.where(allowed, smooth, -1)))
        spots.append((best // smooth.shape[1], best % smooth.shape[1]))
    return spots


def _nearest_white(near: np.ndarray, usable: np.ndarray, wanted: tuple[float, float],
                   taken: list[tuple[int, int]], pixel: tuple[float, float]) -> tuple[int, int]:  # fmt: skip
    """Find the disc of white matter nearest to the mirrored hot spot."""
    rows, columns = np.indices(near.shape)
    away = np.hypot((rows - wanted[0]) * pixel[0], (columns - wanted[1]) * pixel[1])
    apart = distance_from(near.shape, taken, pixel) > 2.3 * np.sqrt(AREA / np.pi)
    for demand in (0.96, 0.92, 0.85, 0.7, 0.5, 0.0):
        allowed = usable & apart & (near > demand)
        if allowed.any():
            # White matter near the edge of the demand is farther than it looks: weigh purity in.
            best = int(np.argmin(np.where(allowed, away - 20 * near, np.inf)))
            return best // near.shape[1], best % near.shape[1]
    best = int(np.argmax(near))
    return best // near.shape[1], best % near.shape[1]


def _sides(image: sitk.Image, number: int, shape: tuple[int, int], normal: np.ndarray,
           offset: float) -> np.ndarray:  # fmt: skip
    """Signed distance (mm) of a slice's pixels from the mid-sagittal plane."""
    corner = np.array(image.TransformIndexToPhysicalPoint([0, 0, number]))
    axes = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    rows, columns = np.indices(shape)
    return corner @ normal - offset + columns * (axes[:, 0] @ normal) + rows * (axes[:, 1] @ normal)


def _mirror(image: sitk.Image, spot: tuple[int, int], number: int, normal: np.ndarray,
            offset: float) -> tuple[float, float]:  # fmt: skip
    point = np.array(image.TransformIndexToPhysicalPoint([int(spot[1]), int(spot[0]), number]))
    mirrored = point - 2 * (point @ normal - offset) * normal
    column, row, _ = image.TransformPhysicalPointToContinuousIndex(mirrored)
    return row, column
