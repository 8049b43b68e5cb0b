"""The patient's grid, and the smooth map from it to the template that gives each patient a head shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SynthCBVLib.phantom.fields import smooth_field

#: Frontal horn, body and atrium of the left lateral ventricle, LPS mm: what widens with age.
_VENTRICLE = ((9.0, -20.0, 9.0), (12.0, 8.0, 20.0), (24.0, 40.0, 13.0))
#: Corner (x, y, z), mm, and extent of the patient's grid: any head that the warps can make fits.
GRID_START = (-93.0, -96.0, -90.0)
GRID_EXTENT = (186.0, 234.0, 198.0)


@dataclass(frozen=True)
class Warp:
    """Map from patient space to the template's: p -> matrix @ (p + displacement(p)) + offset, LPS mm.

    Attributes
    ----------
    matrix : ndarray
        (3, 3).
    offset : ndarray
        (3,).
    displacement : ndarray
        (3, z, y, x), components x, y, z, on the patient's grid.
    """

    matrix: np.ndarray
    offset: np.ndarray
    displacement: np.ndarray

    def template_points(self, grid: Grid) -> np.ndarray:
        """Give the template's point (3, z, y, x) for each voxel of the patient's grid."""
        x, y, z = (axis.astype(np.float32) for axis in grid.axes())
        moved = (
            self.displacement[0] + x[None, None, :],
            self.displacement[1] + y[None, :, None],
            self.displacement[2] + z[:, None, None],
        )
        m, o = self.matrix.astype(np.float32), self.offset.astype(np.float32)
        return np.stack(
            [m[i, 0] * moved[0] + m[i, 1] * moved[1] + m[i, 2] * moved[2] + o[i] for i in range(3)]
        )

    def to_patient(self, points: np.ndarray, grid: Grid) -> np.ndarray:
        """Give the patient's points of template points, both (n, 3) LPS mm, by fixed-point iteration."""
        target = np.linalg.solve(self.matrix, (points - self.offset).T)
        found = target.copy()
        for _ in range(12):
            index = (found - np.array(grid.start)[:, None])[::-1] / grid.spacing
            shift = [ndimage.map_coordinates(u, index, order=1, mode="nearest") for u in self.displacement]
            found = target - np.stack(shift)
        return found.T


@dataclass(frozen=True)
class Grid:
    """The patient's own regular grid."""

    start: tuple[float, float, float]
    shape: tuple[int, int, int]
    spacing: float

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give the positions of the voxels along x, y and z, mm."""
        return tuple(
            s + self.spacing * np.arange(n) for s, n in zip(self.start, self.shape[::-1], strict=True)
        )

    def points(self, flat: np.ndarray) -> np.ndarray:
        """Give the positions (n, 3) of voxels by their flat index, LPS mm, float32."""
        index = np.unravel_index(flat, self.shape)[::-1]
        return np.stack(
            [np.float32(s) + np.float32(self.spacing) * i for s, i in zip(self.start, index, strict=True)], 1
        ).astype(np.float32)

    def image(self, array: np.ndarray) -> sitk.Image:
        """Make an image (a vector image if the array has a fourth, last axis) of an array on this grid."""
        image = sitk.GetImageFromArray(array, isVector=array.ndim == 4)
        image.SetSpacing([self.spacing] * 3)
        image.SetOrigin(self.start)
        return image


def make_grid(spacing: float) -> Grid:
    """Give the patient's grid for a voxel size in mm."""
    shape = tuple(int(np.ceil(extent / spacing)) for extent in GRID_EXTENT[::-1])
    return Grid(GRID_START, shape, spacing)


def draw_warp(rng: np.random.Generator, grid: Grid, ventricles: float = 0.0) -> Warp:
    """Draw a head shape: an affine of ±8 % per axis with slight shear, and smooth warps at two scales.

    The displacement is scaled down until no voxel folds (Jacobian determinant above 0.2 everywhere).

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the shape.
    grid : Grid
        The patient's grid.
    ventricles : float
        Magnification of the lateral ventricles' surroundings; 0 leaves the template's, up to .5.
    """
    scale = np.diag(1 / rng.uniform(0.92, 1.08, 3))
    shear = np.eye(3) + np.triu(rng.uniform(-0.04, 0.04, (3, 3)), 1)
    tilt = Rotation.from_euler("xyz", rng.normal(0, 2.0, 3), degrees=True).as_matrix()
    pivot = np.array([0.0, 15.0, 5.0])
    matrix = scale @ shear @ tilt
    offset = pivot - matrix @ pivot + rng.normal(0, 1.0, 3)
    displacement = np.stack(
        [
            np.float32(3.2) * smooth_field(rng, grid.shape, grid.spacing, 48.0)
            + np.float32(1.0) * smooth_field(rng, grid.shape, grid.spacing, 17.0)
            for _ in range(3)
        ]
    )
    displacement += _widened(grid, ventricles)
    while jacobian(displacement, grid.spacing).min() < 0.2:
        displacement *= np.float32(0.85)
    return Warp(matrix, offset, displacement)


def _widened(grid: Grid, amount: float) -> np.ndarray:
    """Displacement (3, z, y, x) that magnifies the lateral ventricles: towards their centres, Gaussian."""
    total = np.zeros((3, *grid.shape), np.float32)
    axes = [axis.astype(np.float32) for axis in grid.axes()]
    for side in (1, -1):
        for centre in _VENTRICLE:
            away = [a - np.float32(c) for a, c in zip(axes, (side * centre[0], *centre[1:]), strict=True)]
            near = [np.exp(-np.square(d / np.float32(13.0)) / 2) for d in away]
            weight = np.float32(amount) * near[2][:, None, None] * near[1][None, :, None] * near[0]
            total[0] -= weight * away[0]
            total[1] -= weight * away[1][None, :, None]
            total[2] -= weight * away[2][:, None, None]
    return total


def jacobian(displacement: np.ndarray, spacing: float) -> np.ndarray:
    """Compute the Jacobian determinant of p -> p + displacement(p).

    On every other voxel, since the fields are smooth.

    Parameters
    ----------
    displacement : ndarray
        (3, z, y, x), components x, y, z, mm.
    spacing : float
        Voxel size, mm.
    """
    coarse = displacement[:, ::2, ::2, ::2]
    # gradient's axes are z, y, x: rows of the matrix below are components x, y, z, columns d/dx, d/dy, d/dz.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (np.gradient(u, 2 * spacing)[::-1] for u in coarse)
    xx, yy, zz = xx + 1, yy + 1, zz + 1
    return xx * (yy * zz - yz * zy) - xy * (yx * zz - yz * zx) + xz * (yx * zy - yy * zx)
