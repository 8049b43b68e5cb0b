"""Motion of the head between the volumes of a diffusion series: rigid, volume by volume.

Diffusion weighting takes most of the signal away, so that the last volumes show little that the first do.
Each b-value is therefore laid on the mean of the next lower one, which looks almost like it, by least squares
with a free scale and offset (inverse compositional Gauss-Newton; Baker and Matthews, IJCV 2004) on images
smoothed beyond their noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from SynthCBVLib.imaging.resampling import grid, resample
from SynthCBVLib.imaging.study import DiffusionSeries, like
from SynthCBVLib.progress import Progress, silent

#: Voxel size (mm) of the comparison; an axis that is coarser by itself stays as it is.
WORKING_SPACING = 3.0
#: Smoothing (standard deviation, mm) of the passes, from far to fine.
SMOOTHING = (10.0, 5.0, 3.0)
#: Less motion than this (mm, root mean square over the head) is within the method's error: left alone.
SMALLEST_MOTION = 0.25
#: Smallest relative fall of the disagreement that is worth moving a volume for.
SMALLEST_GAIN = 0.02
#: More than this (mm, degrees) cannot be told from a failure: the volume stays where its header says.
LARGEST_MOTION, LARGEST_ROTATION = 40.0, 30.0
_STEPS = 12
_CONVERGED = 0.01
_FEWEST_POINTS, _MOST_POINTS = 200, 15_000


@dataclass(frozen=True)
class VolumeMotion:
    """Where the head went between the series' reference and one volume.

    Attributes
    ----------
    transform : sitk.Euler3DTransform
        Points of the reference (the first volume of the lowest b-value) to points of the volume (mm, LPS);
        identity if `applied` is False.
    before, after : float
        Disagreement (1 - correlation with the mean of the next lower b-value) as the header has it and
        after alignment; lower is better.
    displacement : float
        Motion found, root mean square over the head, mm; also where it was not applied.
    applied : bool
        False where the volume was left as it is: still, not improved, or an absurd result.
    """

    transform: sitk.Euler3DTransform
    before: float
    after: float
    displacement: float
    applied: bool


def estimate_motion(series: DiffusionSeries, progress: Progress | None = None) -> tuple[VolumeMotion, ...]:
    """Find the rigid motion of every volume of a series; about 0.1 s a volume.

    Parameters
    ----------
    series : DiffusionSeries
        Volumes in any order; the first of the lowest b-value is the reference.
    progress : Progress, optional
        Told of each b-value; may raise `Cancelled`.

    Returns
    -------
    tuple of VolumeMotion
        One a volume, in the series' order.
    """
    progress = progress or silent
    volumes = [_working(volume) for volume in series.volumes()]
    rounded = np.round(np.asarray(series.b_values), 1)
    levels = np.unique(rounded)
    reference = int(np.flatnonzero(rounded == levels[0])[0])
    points = _head(volumes[reference])
    still = sitk.Euler3DTransform()
    still.SetCenter(np.mean(points, axis=0).tolist() if len(points) else (0.0, 0.0, 0.0))
    found: dict[int, VolumeMotion] = {reference: VolumeMotion(still, 0.0, 0.0, 0.0, False)}
    if len(points) < _FEWEST_POINTS:  # nothing to follow
        return tuple(VolumeMotion(still, 0.0, 0.0, 0.0, False) for _ in volumes)
    template = volumes[reference]
    latest = still
    for number, b_value in enumerate(levels):
        progress(number / len(levels), f"Following the head at b = {b_value:g}")
        passes = [_Pass(template, points, still.GetCenter(), sigma) for sigma in SMOOTHING]
        members = [int(i) for i in np.flatnonzero(rounded == b_value)]
        for index in members:
            if index not in found:
                found[index] = _follow(passes, volumes[index], still, latest)
            # The head mostly stays where it went: the next volume also starts from there.
            latest = found[index].transform
        template = _mean([volumes[i] for i in members], [found[i].transform for i in members])
    progress(1.0, "Followed the head")
    return tuple(found[i] for i in range(len(volumes)))


def mean_of(
    volumes: Sequence[sitk.Image], motions: Sequence[VolumeMotion], members: Sequence[int]
) -> sitk.Image:
    """Average volumes of a series on its own grid, each moved back by its motion where that applies.

    Parameters
    ----------
    volumes : sequence of sitk.Image
        All volumes of the series.
    motions : sequence of VolumeMotion
        As from `estimate_motion`.
    members : sequence of int
        Which volumes to average.
    """
    return _mean([volumes[i] for i in members], [motions[i].transform for i in members])


class _Pass:
    """One template at one smoothing: what the steps need of it, worked out once.

    The template moved by a small turn w and shift t about the centre changes by grad·(w × r + t), in which
    the volume's values are a linear combination of template, constant and those six changes.
    """

    def __init__(
        self, template: sitk.Image, points: np.ndarray, centre: tuple[float, ...], sigma: float
    ) -> None:
        self.sigma, self.points, self.centre = sigma, points, np.asarray(centre)
        smooth = _smooth(template, sigma)
        array = sitk.GetArrayFromImage(smooth).astype(np.float64)
        index = _indices(smooth, points)
        self.values = map_coordinates(array, index, order=1, mode="nearest")
        spacing = np.array(smooth.GetSpacing())[::-1]
        along = [
            map_coordinates(np.gradient(array, axis=a) / spacing[a], index, order=1, mode="nearest")
            if array.shape[a] > 1
            else np.zeros(len(points))
            for a in range(3)
        ]
        direction = np.array(smooth.GetDirection()).reshape(3, 3)
        gradient = np.stack(along[::-1], axis=-1) @ direction.T
        turned = np.cross(points - self.centre, gradient)
        columns = np.column_stack([self.values, np.ones(len(points)), turned, gradient])
        self._scale = np.sqrt((columns**2).mean(axis=0)) + 1e-12
        self._columns = columns / self._scale

    def run(self, volume: sitk.Image, start: sitk.Euler3DTransform) -> sitk.Euler3DTransform:
        smooth = _smooth(volume, self.sigma)
        array = sitk.GetArrayFromImage(smooth).astype(np.float64)
        turn = np.array(start.GetMatrix()).reshape(3, 3)
        shift = np.array(start.GetTranslation())
        for _ in range(_STEPS):
            there = (self.points - self.centre) @ turn.T + self.centre + shift
            index = _indices(smooth, there)
            inside = _inside(index, array.shape)
            if inside.sum() < _FEWEST_POINTS:
                return start
            values = map_coordinates(array, index[:, inside], order=1, mode="nearest")
            step = self._solved(inside, values)
            if not np.isfinite(step).all() or abs(step[0]) < 1e-6:
                return start
            w, t = step[2:5] / step[0], step[5:8] / step[0]
            # values(W) = template(moved by w, t): W goes on with the inverse of that small motion
            back = Rotation.from_rotvec(-w).as_matrix()
            shift = shift - turn @ back @ t
            turn = turn @ back
            if np.linalg.norm(t) + 50.0 * np.linalg.norm(w) < _CONVERGED:
                break
        moved = sitk.Euler3DTransform()
        moved.SetCenter(self.centre.tolist())
        moved.SetMatrix(Rotation.from_matrix(turn).as_matrix().ravel().tolist(), 1e-6)
        moved.SetTranslation(shift.tolist())
        return moved

    def _solved(self, inside: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Least squares by the normal equations: eight unknowns, of like size by their scaling."""
        columns = self._columns[inside]
        return np.linalg.lstsq(columns.T @ columns, columns.T @ values, rcond=1e-10)[0] / self._scale

    def disagreement(self, volume: sitk.Image, *transforms: sitk.Transform) -> list[float]:
        """1 - correlation for each transform, on the points that lie in the volume under all of them."""
        smooth = _smooth(volume, self.sigma)
        array = sitk.GetArrayFromImage(smooth).astype(np.float64)
        indices = [_indices(smooth, _moved(self.points, t)) for t in transforms]
        inside = np.logical_and.reduce([_inside(index, array.shape) for index in indices])
        if inside.sum() < _FEWEST_POINTS:
            return [1.0] * len(transforms)
        result = []
        for index in indices:
            values = map_coordinates(array, index[:, inside], order=1, mode="nearest")
            pair = self.values[inside], values
            result.append(1.0 - float(np.corrcoef(*pair)[0, 1]) if min(map(np.std, pair)) > 0 else 1.0)
        return result


def _follow(
    passes: list[_Pass], volume: sitk.Image, still: sitk.Euler3DTransform, latest: sitk.Euler3DTransform
) -> VolumeMotion:
    at_rest, as_before = passes[0].disagreement(volume, still, latest)
    moved = latest if as_before < at_rest else still
    for each in passes:
        moved = each.run(volume, moved)
    before, after = passes[-1].disagreement(volume, still, moved)
    points = passes[-1].points
    displacement = float(np.sqrt(np.mean(np.sum((_moved(points, moved) - points) ** 2, axis=1))))
    turn = Rotation.from_matrix(np.array(moved.GetMatrix()).reshape(3, 3)).magnitude()
    plausible = displacement <= LARGEST_MOTION and np.degrees(turn) <= LARGEST_ROTATION
    better = after < before * (1 - SMALLEST_GAIN) and displacement >= SMALLEST_MOTION
    applied = bool(plausible and better)
    return VolumeMotion(moved if applied else still, before, after, displacement, applied)


def _working(volume: sitk.Image) -> sitk.Image:
    volume = sitk.Cast(volume, sitk.sitkFloat32)
    if not np.isfinite(sitk.GetArrayViewFromImage(volume)).all():
        volume = like(np.nan_to_num(sitk.GetArrayFromImage(volume), posinf=0.0, neginf=0.0), volume)
    wanted = tuple(WORKING_SPACING if 1.3 * s < WORKING_SPACING else None for s in volume.GetSpacing())
    return resample(volume, grid(volume, wanted)) if any(wanted) else volume


def _head(reference: sitk.Image) -> np.ndarray:
    """Points (n, 3) of the head and a rim around it, LPS mm."""
    smooth = _smooth(reference, SMOOTHING[-1])
    head = sitk.GetArrayFromImage(sitk.BinaryDilate(sitk.OtsuThreshold(smooth, 0, 1), (2, 2, 0))) > 0
    index = np.argwhere(head)[:, ::-1]
    index = index[:: max(1, -(-len(index) // _MOST_POINTS))]
    axes = np.array(reference.GetDirection()).reshape(3, 3) * np.array(reference.GetSpacing())
    return index @ axes.T + np.array(reference.GetOrigin())


def _smooth(volume: sitk.Image, sigma: float) -> sitk.Image:
    spacing = np.array(volume.GetSpacing())[::-1]
    array = sitk.GetArrayFromImage(volume)
    return like(gaussian_filter(array, sigma / spacing, mode="nearest"), volume)


def _indices(image: sitk.Image, points: np.ndarray) -> np.ndarray:
    """Continuous indices (3, n) in array order (z, y, x)."""
    axes = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    return np.linalg.solve(axes, (points - np.array(image.GetOrigin())).T)[::-1]


def _inside(index: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    upper = np.array(shape)[:, None] - 0.5
    return np.all((index >= -0.5) & (index <= upper), axis=0)


def _moved(points: np.ndarray, transform: sitk.Euler3DTransform) -> np.ndarray:
    centre = np.array(transform.GetCenter())
    matrix = np.array(transform.GetMatrix()).reshape(3, 3)
    return (points - centre) @ matrix.T + centre + np.array(transform.GetTranslation())


def _mean(volumes: Sequence[sitk.Image], transforms: Sequence[sitk.Euler3DTransform]) -> sitk.Image:
    total = None
    for volume, transform in zip(volumes, transforms, strict=True):
        volume = sitk.Cast(volume, sitk.sitkFloat32)
        if any(transform.GetParameters()):
            # What left the field of view is continued by the edge, not by darkness.
            volume = sitk.Resample(
                volume, volume, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32, True
            )  # fmt: skip
        total = volume if total is None else total + volume
    return total / float(len(volumes))
