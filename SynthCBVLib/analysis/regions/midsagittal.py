"""The mid-sagittal plane of a head, from how well one half of the brain mirrors the other."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage, optimize

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.resampling import grid, resample
from SynthCBVLib.imaging.study import is_series, same_grid

#: Voxel sizes (mm) of the search, coarse to fine; axes that are coarser by themselves stay.
SPACINGS = (6.0, 3.0)
#: The head may be turned (about its long axis) and tilted (to a shoulder) by this much, degrees.
LARGEST_ANGLE = 20.0
#: Differences between the halves beyond this share of the brain's interquartile range count as lesion:
#: they cost no more than this.
TRUNCATION = 1.0
#: Points that are compared at each level at most.
_POINTS = 8_000
#: Starts that are followed.
_STARTS = 4
#: A quality below this says that the halves do not mirror each other.
LEAST_QUALITY = 0.4


@dataclass(frozen=True)
class SagittalPlane:
    """The plane n · p = c in LPS, mm.

    Attributes
    ----------
    normal : tuple of float
        Unit normal n, towards the patient's left.
    offset : float
        c, mm.
    turn, tilt : float
        Degrees of the normal from the left-right axis within the axial (turn, positive: the left side lies
        further back) and the coronal plane (tilt, positive: the left side lies higher).
    quality : float
        Correlation of the brain with its mirror image, from -1 to 1; above about 0.5 for a brain that the
        plane halves.
    """

    normal: tuple[float, float, float]
    offset: float
    turn: float = 0.0
    tilt: float = 0.0
    quality: float = math.nan

    def distances(self, points: np.ndarray) -> np.ndarray:
        """Give signed distances (mm, positive on the left) of points (..., 3) in LPS."""
        return np.asarray(points) @ np.array(self.normal) - self.offset

    def mirror(self, points: np.ndarray) -> np.ndarray:
        """Mirror points (..., 3) in LPS."""
        return np.asarray(points) - 2 * self.distances(points)[..., None] * np.array(self.normal)

    def distance_map(self, image: sitk.Image) -> np.ndarray:
        """Give the signed distance (mm) of each voxel (z, y, x) of an image's grid."""
        axes = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
        along = np.array(self.normal) @ axes
        i, j, k = (np.arange(n) * step for n, step in zip(image.GetSize(), along, strict=True))
        start = float(np.array(image.GetOrigin()) @ np.array(self.normal)) - self.offset
        return start + k[:, None, None] + j[None, :, None] + i[None, None, :]


def midsagittal_plane(
    image: sitk.Image, mask: sitk.Image, exclude: sitk.Image | None = None
) -> SagittalPlane:
    """Fit the mid-sagittal plane of the brain.

    Intensities within the brain and its outline are compared with their mirror image: first for all turns and
    tilts up to `LARGEST_ANGLE` in steps, then from the best of them downhill, coarse to fine. Differences
    are truncated, so that a lesion, which has no mirror image, has little say.

    Parameters
    ----------
    image : sitk.Image
        Anatomical 3D image (T1w, T2w, FLAIR, b = 0).
    mask : sitk.Image
        Brain mask on the image's grid.
    exclude : sitk.Image, optional
        Mask on the image's grid of what is not to be compared, such as a tumour.

    Returns
    -------
    SagittalPlane

    Raises
    ------
    InputError
        If the grids differ, or the mask holds too little of a brain to be halved.
    """
    for name, other in (("brain mask", mask), ("tumour segment", exclude)):
        if other is not None and (is_series(other) or not same_grid(image, other)):
            raise InputError(name, f"a grid of {other.GetSize()}", f"the image's grid {image.GetSize()}")
    inside = sitk.Cast(mask != 0, sitk.sitkFloat32)
    values = sitk.GetArrayViewFromImage(inside)
    if int(values.sum()) < 500 or any(
        np.ptp(np.flatnonzero(values.any(axis=tuple({0, 1, 2} - {axis})))) < least
        for axis, least in ((0, 0), (1, 7), (2, 7))
    ):
        raise InputError("brain mask", f"{int(values.sum())} voxels", "a brain to find the mid-plane of")
    image = sitk.Cast(image, sitk.sitkFloat32)
    apart = None if exclude is None else sitk.Cast(exclude != 0, sitk.sitkFloat32)
    parameters = np.zeros(3)
    for level, spacing in enumerate(SPACINGS):
        halves = _Halves(image, inside, apart, spacing)
        # Folds can catch the search: several of the best starts are followed, the best end goes on.
        starts = halves.starts() if level == 0 else [parameters]
        ends = [halves.refine(start, step=3.0 if level == 0 else 1.5) for start in starts]
        parameters = min(ends, key=halves.cost)
    normal = _normal(parameters)
    offset = float(halves.centre @ normal + parameters[2])
    return SagittalPlane(
        tuple(float(n) for n in normal), offset, float(parameters[0]), float(parameters[1]),
        halves.quality(parameters),
    )  # fmt: skip


def _normal(parameters: np.ndarray) -> np.ndarray:
    turn, tilt = np.deg2rad(parameters[:2])
    normal = np.array([1.0, math.tan(turn), math.tan(tilt)])
    return normal / np.linalg.norm(normal)


class _Halves:
    """The brain at one voxel size, to be compared with its mirror image."""

    def __init__(
        self, image: sitk.Image, inside: sitk.Image, apart: sitk.Image | None, spacing: float
    ) -> None:
        small = grid(image, tuple(spacing if s < spacing / 1.2 else None for s in image.GetSpacing()))
        self.image = small
        share = sitk.GetArrayFromImage(resample(inside, small))
        weighted = resample(image * inside, small)
        values = np.where(share > 0.05, sitk.GetArrayFromImage(weighted) / np.maximum(share, 0.05), 0)
        within = values[share > 0.5]
        low, high = np.percentile(within, [25, 75])
        width = max(float(high - low), 1e-6 * max(abs(float(high)), 1e-30))
        # Outside the brain as far from its middle as a lesion may be: the outline has its say as well.
        scaled = np.clip((values - np.median(within)) / width, -2.0, 2.0)
        self.values = (scaled * share).astype(np.float32)
        self.share = share.astype(np.float32)
        usable = share > 0.5
        self.usable = np.ones(share.shape, np.float32)
        if apart is not None:
            self.usable = (sitk.GetArrayFromImage(resample(apart, small)) < 0.25).astype(np.float32)
            usable &= self.usable > 0
        index = np.argwhere(usable)
        index = index[:: max(1, math.ceil(len(index) / _POINTS))]
        # Points between the voxels: on them, planes that map voxels onto voxels would seem to fit best, since
        # nothing is interpolated there.
        index = index + np.random.default_rng(0).uniform(-0.5, 0.5, index.shape)
        self.mine = ndimage.map_coordinates(self.values, index.T, order=1, mode="nearest")
        self.axes = np.array(small.GetDirection()).reshape(3, 3) * np.array(small.GetSpacing())
        self.origin = np.array(small.GetOrigin())
        self.points = self.origin + index[:, ::-1] @ self.axes.T
        self.centre = self.points.mean(0)
        self.inverse = np.linalg.inv(self.axes)

    def _mirrored(self, parameters: np.ndarray) -> np.ndarray:
        normal = _normal(parameters)
        away = (self.points - self.centre) @ normal - parameters[2]
        mirrored = self.points - 2 * away[:, None] * normal
        return ((mirrored - self.origin) @ self.inverse.T).T[::-1]

    def cost(self, parameters: np.ndarray) -> float:
        """Give the mean truncated difference between the brain and its mirror image."""
        there = self._mirrored(parameters)
        usable = ndimage.map_coordinates(self.usable, there, order=1, cval=1.0)
        other = ndimage.map_coordinates(self.values, there, order=1)
        share = ndimage.map_coordinates(self.share, there, order=1)
        difference = np.minimum(np.abs(self.mine - other) + (1 - share), TRUNCATION)
        return float((difference * usable).sum() / max(float(usable.sum()), 1.0))

    def starts(self) -> list[np.ndarray]:
        """Search turns, tilts and offsets in steps, and give the best few that are apart."""
        angles = np.arange(-LARGEST_ANGLE, LARGEST_ANGLE + 1, 5.0)
        tried = sorted(
            (self.cost(np.array(parameters)), parameters)
            for parameters in itertools.product(angles, angles, (-5.0, 0.0, 5.0))
        )
        chosen: list[np.ndarray] = []
        for _, parameters in tried:
            if all(np.abs(parameters - other)[:2].max() > 4.0 for other in chosen):
                chosen.append(np.array(parameters))
            if len(chosen) == _STARTS:
                break
        return chosen

    def refine(self, parameters: np.ndarray, step: float) -> np.ndarray:
        """Descend from a start; the simplex needs no derivative of the truncated differences."""
        simplex = np.vstack([parameters, parameters + step * np.eye(3)])
        found = optimize.minimize(
            self.cost, parameters, method="Nelder-Mead",
            options={"initial_simplex": simplex, "xatol": 0.02, "fatol": 1e-6, "maxiter": 200},
        )  # fmt: skip
        return found.x

    def quality(self, parameters: np.ndarray) -> float:
        """Correlate the brain with its mirror image where both are brain."""
        there = self._mirrored(parameters)
        both = ndimage.map_coordinates(self.share * self.usable, there, order=1) > 0.5
        if both.sum() < 10:
            return -1.0
        mine = self.mine[both]
        other = ndimage.map_coordinates(self.values, there, order=1)[both]
        if mine.std() == 0 or other.std() == 0:
            return 0.0
        return float(np.corrcoef(mine, other)[0, 1])
