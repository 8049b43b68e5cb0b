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

from SynthCBVLib.phantom.fields import smooth_field
from SynthCBVLib.phantom.shell import draw_shell
from SynthCBVLib.phantom.warp import Grid, Warp, draw_warp, make_grid

#: Thalamus, caudate, putamen and pallidum of the left side in the template: centre and half axes, LPS mm.
_NUCLEI = (
    ((11, 18, 8), (7, 12, 8)), ((12.5, -11, 9), (4.5, 9, 9)),
    ((26, -3, 1), (5, 14, 9)), ((19, 4, -1), (4.5, 8, 6)),
)  # fmt: skip


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
class Anatomy:
    """Head without disease, on the patient's grid.

    Attributes
    ----------
    grid : Grid
    warp : Warp
    grey, white, csf : ndarray
        Fractions in the brain; they sum to one where `brain` is set and to zero elsewhere.
    deep : ndarray
        Share of the grey matter that belongs to thalamus and basal ganglia.
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
    deep: np.ndarray
    brain: np.ndarray
    depth: np.ndarray
    fluid: np.ndarray
    bone: np.ndarray
    fat: np.ndarray
    skin: np.ndarray
    sagittal_plane: tuple[np.ndarray, float]


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
    age = rng.uniform(0.0, 1.0)  # 0 young, 1 old
    warp = draw_warp(rng, grid, 0.55 * age + rng.uniform(-0.25, 0.1))
    template = load_template()
    points = warp.template_points(grid)
    index = [(points[i] - np.float32(template.origin[i])) / np.float32(template.spacing) for i in (2, 1, 0)]
    ventricle, sulcus = rng.uniform(0.0, 0.6), 1.0 * age + rng.uniform(-0.3, 0.4)
    csf = np.clip(template.brain - template.grey - template.white, 0, 1)
    # Widened CSF: the blurred map spreads the ventricles; sulci widen through the log-odds below.
    csf = np.maximum(csf, np.float32(ventricle) * ndimage.gaussian_filter(csf, 1.6))
    brain = ndimage.map_coordinates(template.brain, index, order=1) > 0.5
    flat = np.flatnonzero(brain)
    at = [axis.ravel()[flat] for axis in index]
    nuclei = _nuclei([axis.ravel()[flat] for axis in points])
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
    # The template's average is undecided about the nuclei; fluid beside them stays.
    odds[0] += np.float32(2.5) * nuclei
    odds[1] -= np.float32(1.5) * nuclei
    peak = np.maximum(np.maximum(odds[0], odds[1]), odds[2])
    weights = [np.exp(o - peak) for o in odds]
    total = weights[0] + weights[1] + weights[2]
    fractions = []
    for share in (*(weight / total for weight in weights), nuclei):
        full = np.zeros(brain.size, np.float32)
        full[flat] = share
        fractions.append(full.reshape(grid.shape))
    depth = signed_distance(brain, spacing)
    layers = draw_shell(rng, depth, grid, age)
    return Anatomy(grid, warp, *fractions, brain, depth, *layers, fit_sagittal_plane(points[0], brain, grid))


def _nuclei(points: list[np.ndarray]) -> np.ndarray:
    """Membership (n,) of template points (x, y, z arrays, mm) in the deep nuclei, 0 to 1 with soft edges."""
    lateral = np.abs(points[0])
    inside = np.zeros_like(lateral)
    for centre, half in _NUCLEI:
        away = [
            (p - np.float32(c)) / np.float32(h)
            for p, c, h in zip((lateral, *points[1:]), centre, half, strict=True)
        ]
        radius = np.sqrt(away[0] ** 2 + away[1] ** 2 + away[2] ** 2)
        np.maximum(inside, np.clip((np.float32(1.15) - radius) / np.float32(0.3), 0, 1), out=inside)
    return inside


def signed_distance(mask: np.ndarray, spacing: float) -> np.ndarray:
    """Distance to a mask's surface, mm, negative inside, float32."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing([spacing] * 3)
    return sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, False, False, True))


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
