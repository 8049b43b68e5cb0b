"""A region of about 0.25 cm², as both papers draw them: a disc in one slice, stamped at a point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import is_series, like

#: Area of each region in both papers, mm².
AREA = 25.0
#: Whole rings around the centre are taken where that makes the region at most this much larger.
_WHOLE_RINGS = 1.25
#: Slices are thicker than pixels are wide by more than this; else voxels count as isotropic.
_THICK = 1.2


def disc(
    centre: tuple[float, float], shape: tuple[int, int], pixel: tuple[float, float], area: float = AREA
) -> np.ndarray:
    """Give the pixels nearest to a centre that make up an area, as a mask (rows, columns).

    Parameters
    ----------
    centre : tuple of float
        Row and column; may lie between pixels.
    shape : tuple of int
        Rows and columns.
    pixel : tuple of float
        Height and width of a pixel, mm.
    area : float
        mm²; at least one pixel is taken.
    """
    rows, columns = np.indices(shape)
    square = ((rows - centre[0]) * pixel[0]) ** 2 + ((columns - centre[1]) * pixel[1]) ** 2
    count = min(max(1, round(area / (pixel[0] * pixel[1]))), square.size)
    # Whole rings around the centre where that keeps the area; else the nearest pixels in reading order.
    ordered = np.sort(square.ravel())
    ring = square <= ordered[count - 1] + 1e-6
    if ring.sum() <= _WHOLE_RINGS * count:
        return ring
    mask = np.zeros(square.size, bool)
    mask[np.argsort(square.ravel(), kind="stable")[:count]] = True
    return mask.reshape(shape)


def disc_kernel(pixel: tuple[float, float], area: float = AREA) -> np.ndarray:
    """Give the disc around a pixel's centre as weights that sum to one (odd rows and columns)."""
    half = [math.ceil(1.5 * math.sqrt(area / math.pi) / p) for p in pixel]
    kernel = disc((half[0], half[1]), (2 * half[0] + 1, 2 * half[1] + 1), pixel, area).astype(float)
    return kernel / kernel.sum()


def slice_axis(image: sitk.Image) -> int:
    """Tell which axis (0 to 2: i, j, k) of an image counts its slices.

    The axis of the thickest voxel side; of voxels that are about isotropic the axis nearest to the body's.
    """
    spacing = np.array(image.GetSpacing())
    order = np.argsort(spacing)
    if spacing[order[2]] > _THICK * spacing[order[1]]:
        return int(order[2])
    return int(np.argmax(np.abs(np.array(image.GetDirection()).reshape(3, 3)[2])))


def stamp(
    image: sitk.Image,
    point: Sequence[float],
    area: float = AREA,
    axis: int | None = None,
    space: Literal["lps", "index"] = "lps",
) -> sitk.Image:
    """Stamp a region of a given area into one slice.

    Parameters
    ----------
    image : sitk.Image
        3D image whose grid the region is on; pixels may be oblong and slices oblique.
    point : sequence of float
        Centre of the region: mm in LPS, or voxel index (i, j, k). The nearest slice is taken; within the
        slice the centre may lie between pixels.
    area : float
        mm²; the region has the whole number of pixels nearest to it, up to a quarter more where that
        makes it round.
    axis : int, optional
        Axis that counts the slices (0, 1 or 2); found by `slice_axis` by default.
    space : {"lps", "index"}
        What `point` is given in.

    Returns
    -------
    sitk.Image
        8-bit mask, 1 inside.

    Raises
    ------
    InputError
        If the point lies outside the image, or the area is not above 0 or larger than the slice.
    """
    if is_series(image) or image.GetDimension() != 3:
        raise InputError("image to stamp on", f"a series of size {image.GetSize()}", "one 3D volume")
    if axis not in (None, 0, 1, 2) or space not in ("lps", "index"):
        raise InputError("stamp", f"axis {axis!r}, space {space!r}", "axis 0, 1 or 2 and space lps or index")
    at = [float(value) for value in point]
    if len(at) != 3 or not all(map(math.isfinite, at)):
        raise InputError("point to stamp at", f"{at}", "three finite numbers")
    index = np.array(image.TransformPhysicalPointToContinuousIndex(at) if space == "lps" else at)
    size = np.array(image.GetSize())
    if np.any(index < -0.5 - 1e-6) or np.any(index > size - 0.5 + 1e-6):
        raise InputError(
            "point to stamp at",
            "(" + ", ".join(f"{value:.1f}" for value in at) + f") {space} outside the image",
            f"a point within {image.GetSize()} voxels",
            "Choose a point on the image.",
        )
    axis = slice_axis(image) if axis is None else axis
    height, width = (other for other in (2, 1, 0) if other != axis)  # rows of a slice follow the later axis
    spacing = image.GetSpacing()
    pixel = (spacing[height], spacing[width])
    shape = (int(size[height]), int(size[width]))
    if not 0 < area <= shape[0] * shape[1] * pixel[0] * pixel[1]:
        raise InputError("area to stamp", f"{area:g} mm²", "an area above 0 that fits into the slice")
    array = np.zeros(size[::-1], np.uint8)
    number = int(np.clip(math.floor(index[axis] + 0.5), 0, size[axis] - 1))
    np.moveaxis(array, 2 - axis, 0)[number] = disc((index[height], index[width]), shape, pixel, area)
    return like(array, image)
