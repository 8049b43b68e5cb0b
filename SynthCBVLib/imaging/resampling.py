"""Bring an image onto another grid, once, without aliasing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter1d

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import is_series, join_series, join_vector, like, split_volumes

Interpolation = Literal["linear", "nearest", "bspline"]
_INTERPOLATORS = {
    "linear": sitk.sitkLinear,
    "nearest": sitk.sitkNearestNeighbor,
    "bspline": sitk.sitkBSpline3,
}
#: Target voxels longer than this many source voxels call for smoothing of the source first.
COARSER = 1.3
#: A point this close (voxels) to the rim of a field of view is inside it.
_RIM = 1e-6


def resample(
    image: sitk.Image,
    reference: sitk.Image,
    transform: sitk.Transform | None = None,
    interpolation: Interpolation = "linear",
    fill: float = 0.0,
) -> sitk.Image:
    """Resample an image onto the grid of a reference.

    Where the reference's voxels are more than `COARSER` times as long as the image's along one of the
    image's axes, the image is first smoothed along that axis with the Gaussian that turns the one voxel's
    width into the other's: sigma = 0.425 sqrt(r² - 1) source voxels for a ratio r (Cardoso et al., MICCAI
    2015, with the voxel's width as FWHM). Nearest-neighbour resampling (labels) never smooths.

    Parameters
    ----------
    image : sitk.Image
        3D image, or 4D or vector series, whose volumes are resampled one by one.
    reference : sitk.Image
        Its grid is used; of a series that of its volumes.
    transform : sitk.Transform, optional
        Maps points of the reference to points of the image (mm, LPS); identity by default.
    interpolation : {"linear", "nearest", "bspline"}
        "bspline" is cubic and may overshoot.
    fill : float
        Value outside the image's field of view.

    Returns
    -------
    sitk.Image
        32-bit float; with "nearest" the pixel type of the image.
    """
    if interpolation not in _INTERPOLATORS:
        raise InputError("interpolation", repr(interpolation), f"one of {sorted(_INTERPOLATORS)}")
    reference = split_volumes(reference)[0]
    transform = sitk.Transform(3, sitk.sitkIdentity) if transform is None else transform
    volumes = [_resample_volume(v, reference, transform, interpolation, fill) for v in split_volumes(image)]
    if not is_series(image):
        return volumes[0]
    return join_series(volumes) if image.GetDimension() == 4 else join_vector(volumes)


def matrix_of(transform: sitk.Transform) -> np.ndarray:
    """Give the matrix (4, 4) of a linear transform (LPS, mm)."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.eye(4)
    for axis, unit in enumerate(np.eye(3).tolist()):
        matrix[:3, axis] = np.array(transform.TransformPoint(unit)) - origin
    matrix[:3, 3] = origin
    return matrix


def affine_of(matrix: Sequence[Sequence[float]] | np.ndarray) -> sitk.AffineTransform:
    """Make the transform that a matrix (4, 4; LPS, mm) stands for."""
    values = np.asarray(matrix, dtype=float)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(values[:3, :3].ravel().tolist())
    transform.SetTranslation(values[:3, 3].tolist())
    return transform


def grid(reference: sitk.Image, spacing: tuple[float | None, float | None, float | None]) -> sitk.Image:
    """Make an empty image over the same field of view with other voxels.

    The outer edges of the first and last voxels lie exactly where those of the reference do; so that a
    whole number of voxels fits between them, the spacing is rounded to the nearest that does.

    Parameters
    ----------
    reference : sitk.Image
        3D image or series.
    spacing : tuple of float or None
        Wanted voxel size along x, y, z of the image, mm; None keeps an axis as it is.

    Returns
    -------
    sitk.Image
        3D, 32-bit float, zero.
    """
    reference = split_volumes(reference)[0]
    old_size, old = np.array(reference.GetSize()), np.array(reference.GetSpacing())
    for wanted in spacing:
        if wanted is not None and not (np.isfinite(wanted) and wanted > 0):
            raise InputError("spacing", f"{wanted}", "voxel sizes > 0 mm, or None to keep an axis")
    extent = old_size * old
    size = [
        int(n) if wanted is None else max(1, round(length / wanted))
        for n, length, wanted in zip(old_size, extent, spacing, strict=True)
    ]
    new = np.where([wanted is None for wanted in spacing], old, extent / size)
    direction = np.array(reference.GetDirection()).reshape(3, 3)
    image = sitk.Image(size, sitk.sitkFloat32)
    image.SetSpacing(new.tolist())
    image.SetDirection(reference.GetDirection())
    image.SetOrigin((np.array(reference.GetOrigin()) + direction @ ((new - old) / 2)).tolist())
    return image


def overlap(a: sitk.Image, b: sitk.Image, transform: sitk.Transform | None = None) -> float:
    """Measure how much of the field of view of `b` lies in that of `a`.

    Parameters
    ----------
    a, b : sitk.Image
        3D images or series.
    transform : sitk.Transform, optional
        Maps points of `b` to points of `a` (as `register` gives it for moving `a` and fixed `b`).

    Returns
    -------
    float
        Fraction from 0 to 1, from up to 16³ points spread evenly over the field of view of `b`.
    """
    a, b = split_volumes(a)[0], split_volumes(b)[0]
    n = np.minimum(b.GetSize(), 16)
    steps = [(np.arange(k) + 0.5) / k * s - 0.5 for k, s in zip(n, b.GetSize(), strict=True)]
    upper = np.array(a.GetSize()) - 0.5 + _RIM
    indices = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    axes = np.array(b.GetDirection()).reshape(3, 3) * np.array(b.GetSpacing())
    points = indices @ axes.T + np.array(b.GetOrigin())
    if transform is not None and transform.IsLinear():
        origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
        columns = [np.array(transform.TransformPoint(e)) - origin for e in np.eye(3).tolist()]
        points = points @ np.stack(columns) + origin
    elif transform is not None:
        points = np.array([transform.TransformPoint(point) for point in points.tolist()])
    axes = np.array(a.GetDirection()).reshape(3, 3) * np.array(a.GetSpacing())
    there = np.linalg.solve(axes, (points - np.array(a.GetOrigin())).T).T
    return float(np.mean(np.all((there >= -0.5 - _RIM) & (there <= upper), axis=1)))


def _resample_volume(
    volume: sitk.Image,
    reference: sitk.Image,
    transform: sitk.Transform,
    interpolation: Interpolation,
    fill: float,
) -> sitk.Image:
    if interpolation == "nearest":
        return sitk.Resample(
            volume, reference, transform, sitk.sitkNearestNeighbor, fill, volume.GetPixelID()
        )
    volume = sitk.Cast(volume, sitk.sitkFloat32)
    ratio = _voxel_ratio(volume, reference, transform)
    if np.any(ratio > COARSER):
        array = sitk.GetArrayFromImage(volume)
        for axis, r in enumerate(ratio[::-1]):
            if r > COARSER and array.shape[axis] > 1:
                array = gaussian_filter1d(array, 0.425 * np.sqrt(r**2 - 1), axis=axis, mode="nearest")
        volume = like(array, volume)
    return sitk.Resample(volume, reference, transform, _INTERPOLATORS[interpolation], fill, sitk.sitkFloat32)


def _voxel_ratio(volume: sitk.Image, reference: sitk.Image, transform: sitk.Transform) -> np.ndarray:
    """Width of the reference's voxel along each axis of the volume, in voxels of the volume."""
    centre = (np.array(reference.GetSize()) - 1) / 2
    points = [
        np.array(transform.TransformPoint(reference.TransformContinuousIndexToPhysicalPoint(index.tolist())))
        for index in (centre, *(centre + np.eye(3)))
    ]
    edges = np.stack([point - points[0] for point in points[1:]], axis=1)
    axes = np.array(volume.GetDirection()).reshape(3, 3)
    return np.linalg.norm(axes.T @ edges, axis=1) / np.array(volume.GetSpacing())
