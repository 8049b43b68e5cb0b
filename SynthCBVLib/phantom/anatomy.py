"""The healthy head of one digital patient: template, warps, tissue fractions and shell.

Patient space is LPS in millimetres; arrays are (z, y, x) with x towards the patient's left, y towards the
back and z towards the top.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SynthCBVLib.phantom.fields import smooth_field

#: Corner (x, y, z), mm, and extent of the patient's grid: any head that the warps can make fits.
GRID_START = (-93.0, -96.0, -90.0)
GRID_EXTENT = (186.0, 234.0, 198.0)


@dataclass(frozen=True)
class Template:
    """Tissue probabilities of the ICBM152 template, arrays (z, y, x) in LPS order.

    Attributes
    ----------
    grey, white, brain : ndarray
        Probabilities, float32.
    origin : tuple of float
        Position (x, y, z) of the first voxel, mm.
    spacing : float
        Voxel size, mm.
    """

    grey: np.ndarray
    white: np.ndarray
    brain: np.ndarray
    origin: tuple[float, float, float]
    spacing: float


@lru_cache(maxsize=1)
def load_template() -> Template:
    """Read the bundled template (see ``data/README.md``)."""
    image = sitk.ReadImage(str(Path(__file__).parent / "data" / "icbm152.nii.gz"))
    grey, white, brain = sitk.GetArrayFromImage(image).astype(np.float32) / 255
    x, y, z, _ = image.GetOrigin()
    return Template(grey, white, brain, (x, y, z), image.GetSpacing()[0])


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


@dataclass(frozen=True)
class Anatomy:
    """Head without disease, on the patient's grid.

    Attributes
    ----------
    grid : Grid
    warp : Warp
    grey, white, csf : ndarray
        Fractions in the brain; they sum to one where `brain` is set and to zero elsewhere.
    brain : ndarray
        Brain mask with its CSF, bool.
    depth : ndarray
        Distance to the brain mask's surface, mm, negative inside.
    fluid, bone, fat, skin : ndarray
        Fractions of the layers around the brain: subarachnoid CSF, skull, marrow and scalp fat, skin.
    sagittal_plane : tuple of ndarray and float
        Unit normal n (towards the left) and offset c of the mid-sagittal plane n · p = c.
    """

    grid: Grid
    warp: Warp
    grey: np.ndarray
    white: np.ndarray
    csf: np.ndarray
    brain: np.ndarray
    depth: np.ndarray
    fluid: np.ndarray
    bone: np.ndarray
    fat: np.ndarray
    skin: np.ndarray
    sagittal_plane: tuple[np.ndarray, float]


def make_grid(spacing: float) -> Grid:
    """Give the patient's grid for a voxel size in mm."""
    shape = tuple(int(np.ceil(extent / spacing)) for extent in GRID_EXTENT[::-1])
    return Grid(GRID_START, shape, spacing)


def draw_warp(rng: np.random.Generator, grid: Grid) -> Warp:
    """Draw a head shape: an affine of ±8 % per axis with slight shear, and smooth warps at two scales.

    The displacement is scaled down until no voxel folds (Jacobian determinant above 0.2 everywhere).
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
    while jacobian(displacement, grid.spacing).min() < 0.2:
        displacement *= np.float32(0.85)
    return Warp(matrix, offset, displacement)


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


def build_anatomy(rng: np.random.Generator, spacing: float) -> Anatomy:
    """Draw the healthy head of one patient.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all of the anatomy's randomness.
    spacing : float
        Voxel of the patient's grid, mm.
    """
    grid = make_grid(spacing)
    warp = draw_warp(rng, grid)
    template = load_template()
    points = warp.template_points(grid)
    index = [(points[i] - np.float32(template.origin[i])) / np.float32(template.spacing) for i in (2, 1, 0)]
    ventricle, sulcus = rng.uniform(0.0, 1.0), rng.uniform(-0.2, 1.3)
    csf = np.clip(template.brain - template.grey - template.white, 0, 1)
    # Widened CSF: the blurred map spreads the ventricles; sulci widen through the log-odds below.
    csf = np.maximum(csf, np.float32(ventricle) * ndimage.gaussian_filter(csf, 1.6))
    brain = ndimage.map_coordinates(template.brain, index, order=1) > 0.5
    flat = np.flatnonzero(brain)
    at = [axis.ravel()[flat] for axis in index]
    odds = []
    # Individual folding: band-limited noise shifts the balance where the template's average is undecided.
    for kind, bias, amplitude in ((template.grey, 0.0, 0.9), (template.white, 0.0, 0.9), (csf, sulcus, 1.3)):
        chance = ndimage.map_coordinates(kind, at, order=1)
        noise = smooth_field(rng, grid.shape, spacing, 4.5).ravel()[flat]
        odds.append(
            np.float32(2.2) * np.log(chance + np.float32(0.02))
            + np.float32(amplitude) * noise
            + np.float32(bias)
        )
    peak = np.maximum(np.maximum(odds[0], odds[1]), odds[2])
    weights = [np.exp(o - peak) for o in odds]
    total = weights[0] + weights[1] + weights[2]
    fractions = []
    for weight in weights:
        full = np.zeros(brain.size, np.float32)
        full[flat] = weight / total
        fractions.append(full.reshape(grid.shape))
    depth = signed_distance(brain, spacing)
    layers = draw_shell(rng, depth, grid)
    return Anatomy(grid, warp, *fractions, brain, depth, *layers, fit_sagittal_plane(points[0], brain, grid))


def signed_distance(mask: np.ndarray, spacing: float) -> np.ndarray:
    """Distance to a mask's surface, mm, negative inside, float32."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing([spacing] * 3)
    return sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, False, False, True))


def draw_shell(rng: np.random.Generator, depth: np.ndarray, grid: Grid) -> tuple[np.ndarray, ...]:
    """Lay subarachnoid CSF, skull with marrow, scalp fat and skin around the brain.

    Returns
    -------
    tuple of ndarray
        Fractions of CSF, bone, fat and skin; they sum to one between brain and air.
    """
    outside = depth > 0
    flat = np.flatnonzero((outside & (depth < 24)).ravel())
    distance = depth.ravel()[flat]
    bounds = np.zeros((), np.float32)
    edges = []
    for low, high, spread in ((0.8, 2.5, 0.5), (4.5, 8.0, 1.3), (2.5, 6.5, 1.2), (1.5, 2.5, 0.3)):
        noise = smooth_field(rng, grid.shape, grid.spacing, 22.0).ravel()[flat]
        thickness = np.maximum(np.float32(rng.uniform(low, high)) + np.float32(spread) * noise, 0.5)
        edges.append((bounds, bounds + thickness))
        bounds = bounds + thickness
    half = np.float32(grid.spacing)

    def within(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        return np.clip((distance - lower) / half + 0.5, 0, 1) - np.clip((distance - upper) / half + 0.5, 0, 1)

    fluid, bone, fat, skin = (within(lower, upper) for lower, upper in edges)
    fluid += np.clip(0.5 - distance / half, 0, 1)  # what the first half voxel lacks
    inner, outer = edges[1]
    marrow = np.float32(0.6) * within(inner + 0.35 * (outer - inner), inner + 0.7 * (outer - inner))
    marrow = np.minimum(marrow, bone)
    result = []
    for layer in (fluid, bone - marrow, fat + marrow, skin):
        full = np.zeros(depth.size, np.float32)
        full[flat] = np.maximum(layer, 0)
        result.append(full.reshape(depth.shape))
    return tuple(result)


def fit_sagittal_plane(template_x: np.ndarray, brain: np.ndarray, grid: Grid) -> tuple[np.ndarray, float]:
    """Fit the plane n · p = c, n towards the patient's left, to the voxels that the template halves."""
    points = grid.points(np.flatnonzero(((np.abs(template_x) < 1.0) & brain).ravel())).astype(float)
    centre = points.mean(0)
    # Left-right as a linear function of the other two axes: the plane is never far from x = constant.
    lateral, others = points[:, 0] - centre[0], points[:, 1:] - centre[1:]
    slopes = np.linalg.solve(np.einsum("ij,ik->jk", others, others), np.einsum("ij,i->j", others, lateral))
    normal = np.array([1.0, -slopes[0], -slopes[1]])
    normal /= np.linalg.norm(normal)
    return normal, float(normal @ centre)
