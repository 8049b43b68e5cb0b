"""Regions as small images of their own, and the part of a map that they cover.

A region of 0.25 cm² is some fifty voxels of a map of millions: what is measured on it needs only the part of
the map around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import same_grid

#: Voxels of a map that are kept around its regions.
MARGIN = 1
#: Voxels by which corners may be off for rounding.
_ROUNDING = 1e-6


def index_box(
    regions: Iterable[sitk.Image], matrix: np.ndarray, size: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Give the box of a grid that holds all regions.

    Parameters
    ----------
    regions : iterable of sitk.Image
        Masks on grids of their own.
    matrix : ndarray (4, 4)
        From the grid's indices to LPS mm.
    size : tuple of int
        Voxels of the grid along i, j, k.

    Returns
    -------
    (low, high) : ndarray (3,), or None
        First and last index (i, j, k) of the box; None if no region lies on the grid.
    """
    inverse = np.linalg.inv(matrix)
    corners = np.concatenate([_corners(region) for region in regions])
    index = corners @ inverse[:3, :3].T + inverse[:3, 3]
    low = np.maximum(np.floor(index.min(axis=0) + 0.5 + _ROUNDING).astype(int) - MARGIN, 0)
    high = np.minimum(np.ceil(index.max(axis=0) - 0.5 - _ROUNDING).astype(int) + MARGIN, np.asarray(size) - 1)
    return None if (low > high).any() else (low, high)


def part_around(image: sitk.Image, regions: Iterable[sitk.Image], name: str) -> sitk.Image:
    """Cut the part of a 3D image that holds all regions.

    Raises
    ------
    InputError
        If no region lies on the image.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    box = index_box(regions, matrix, image.GetSize())
    if box is None:
        raise no_overlap(name)
    low, high = box
    return sitk.RegionOfInterest(image, (high - low + 1).tolist(), low.tolist())


def on_grid(regions: Mapping[str, sitk.Image], grid: sitk.Image, map_name: str) -> dict[str, sitk.Image]:
    """Bring regions to the grid of a map, or of the part of it around them, as `region_on_grid` does."""
    return {name: region_on_grid(region, grid, f"{name} on {map_name}") for name, region in regions.items()}


def region_on_grid(region: sitk.Image, grid: sitk.Image, where: str) -> sitk.Image:
    """Bring a region to a grid; nearest neighbour.

    A region thinner than the grid's slices may lie between their centres: it then gets the voxels it lies in.

    Parameters
    ----------
    region : sitk.Image
        8-bit mask on any grid.
    grid : sitk.Image
        Of a map.
    where : str
        Region and map, for the error.

    Raises
    ------
    InputError
        If the region has no voxel there.
    """
    mask = region
    if not same_grid(mask, grid, 1e-6):
        mask = _nearest(region, grid)
        if not sitk.GetArrayViewFromImage(mask).any():
            mask = _lying_in(region, grid)
    if not sitk.GetArrayViewFromImage(mask).any():
        raise _beside(where)
    mask.CopyInformation(grid)
    return mask


def _nearest(region: sitk.Image, grid: sitk.Image) -> sitk.Image:
    return sitk.Resample(region, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0.0, sitk.sitkUInt8)


def _lying_in(region: sitk.Image, grid: sitk.Image) -> sitk.Image:
    """Give the voxels of a grid with any of the region along their longest edge."""
    edges = np.reshape(grid.GetDirection(), (3, 3)) * np.asarray(grid.GetSpacing())
    edge = edges[:, int(np.argmax(grid.GetSpacing()))]
    samples = 2 * int(np.ceil(max(grid.GetSpacing()) / min(region.GetSpacing()))) + 1
    found = np.zeros(grid.GetSize()[::-1], np.uint8)
    for offset in (np.arange(samples) + 0.5) / samples - 0.5:
        moved = sitk.Image(grid.GetSize(), sitk.sitkUInt8)
        moved.CopyInformation(grid)
        moved.SetOrigin((np.asarray(grid.GetOrigin()) + offset * edge).tolist())
        found |= sitk.GetArrayFromImage(_nearest(region, moved))
    mask = sitk.GetImageFromArray(found)
    mask.CopyInformation(grid)
    return mask


def no_overlap(map_name: str) -> InputError:
    """Give the error of regions that all lie beside a map."""
    return _beside(f"the regions on {map_name}")


def _beside(where: str) -> InputError:
    return InputError(
        where, "no voxel inside the map", "a region that overlaps the map",
        "Draw it on the map or on an image registered to it.",
    )  # fmt: skip


def _corners(region: sitk.Image) -> np.ndarray:
    """Give the eight outer corners (8, 3) of an image's voxels, LPS mm."""
    ends = [(-0.5, count - 0.5) for count in region.GetSize()]
    index = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)
    axes = np.reshape(region.GetDirection(), (3, 3)) * np.asarray(region.GetSpacing())
    return index @ axes.T + region.GetOrigin()
