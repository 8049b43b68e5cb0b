"""Motion of the head between the volumes of a diffusion series: rigid, volume by volume.

Diffusion weighting changes the contrast as much as another sequence would. Every volume is therefore compared
with b = 0 itself, so that errors do not add up along the b-values: by least squares on smoothed images for
where the head went, then by mutual information on sharp ones. Smoothing mixes brain with the fluid around it,
whose signal falls first: without the second step a head seems to sink as b grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from SynthCBVLib.imaging.registration.level import Level, sample_masks
from SynthCBVLib.imaging.resampling import grid, resample
from SynthCBVLib.imaging.study import DiffusionSeries, like
from SynthCBVLib.progress import Progress, silent

#: Voxel size (mm) of the comparison; an axis that is coarser by itself stays as it is.
WORKING_SPACING = 3.0
#: Smoothing (standard deviation, mm) of the passes, from far to fine.
SMOOTHING = (10.0, 5.0, 3.0)
#: Along an axis of thick slices it is this many voxels at least: interpolation between sharp slices blurs by
#: where it happens to fall, which pulls at the head.
SMALLEST_SMOOTHING = 0.85
#: Degree of the polynomial from the signal at b = 0 to that of a volume.
DEGREE = 3
#: Voxel size (mm) of the last step and the rim (mm) around the head that it sees.
FINE_SPACING, FINE_MARGIN = 2.0, 4.0
#: Less motion than this (mm, root mean square over the head) is within the method's error: left alone.
SMALLEST_MOTION = 0.4
#: Smallest relative gain in mutual information that is worth moving a volume for.
SMALLEST_GAIN = 0.005
#: More than this (mm, degrees) cannot be told from a failure: the volume stays where its header says.
LARGEST_MOTION, LARGEST_ROTATION = 40.0, 30.0
_STEPS = 15
_CONVERGED = 0.01
#: A turn by one radian moves the head by about this much (mm); longest step (mm) at once.
_RADIUS, _LONGEST_STEP = 50.0, 8.0
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
        Negative mutual information with b = 0 (nats; lower is better) as the header has it and after
        alignment.
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
    """Find the rigid motion of every volume of a series; about half a second a volume.

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
    native = [_finite(volume) for volume in series.volumes()]
    volumes = [_working(volume) for volume in native]
    rounded = np.round(np.asarray(series.b_values), 1)
    levels = np.unique(rounded)
    reference = int(np.flatnonzero(rounded == levels[0])[0])
    points = _head(volumes[reference])
    still = sitk.Euler3DTransform()
    still.SetCenter(np.mean(points, axis=0).tolist() if len(points) else (0.0, 0.0, 0.0))
    found: dict[int, VolumeMotion] = {reference: VolumeMotion(still, 0.0, 0.0, 0.0, False)}
    if len(points) < _FEWEST_POINTS:  # nothing to follow
        return tuple(VolumeMotion(still, 0.0, 0.0, 0.0, False) for _ in volumes)
    latest = still
    passes = [_Pass(volumes[reference], points, still.GetCenter(), sigma) for sigma in SMOOTHING]
    (inside,) = sample_masks(native[reference], None, (FINE_MARGIN,), "reference volume")
    for number, b_value in enumerate(levels):
        progress(number / len(levels), f"Following the head at b = {b_value:g}")
        members = [int(i) for i in np.flatnonzero(rounded == b_value)]
        for index in members:
            if index not in found:
                fine = Level(native[index], native[reference], inside, FINE_SPACING)
                found[index] = _follow(passes, fine, volumes[index], still, latest, number == 0)
            # The head mostly stays where it went: the next volume also starts from there.
            latest = found[index].transform
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
    """The template at one smoothing: what the steps need of it, worked out once.

    The template moved by a small turn w and shift t about the centre changes by grad·(w × r + t), and a
    polynomial of it by as much times the polynomial's slope: the volume's values are a linear combination of
    powers and those six changes.
    """

    def __init__(
        self, template: sitk.Image, points: np.ndarray, centre: tuple[float, ...], sigma: float
    ) -> None:
        self.sigma, self.points, self.centre = sigma, points, np.asarray(centre)
        smooth = _smooth(template, sigma)
        array = sitk.GetArrayFromImage(smooth).astype(np.float64)
        index = _indices(smooth, points)
        values = map_coordinates(array, index, order=1, mode="nearest")
        width = values.std() + 1e-12
        values = (values - values.mean()) / width
        self.powers = np.vander(values, DEGREE + 1, increasing=True)
        self._slopes = np.column_stack(
            [np.zeros(len(points)), *(n * values ** (n - 1) for n in range(1, DEGREE + 1))]
        )
        spacing = np.array(smooth.GetSpacing())[::-1]
        along = [
            map_coordinates(np.gradient(array, axis=a) / spacing[a], index, order=1, mode="nearest")
            if array.shape[a] > 1
            else np.zeros(len(points))
            for a in range(3)
        ]
        direction = np.array(smooth.GetDirection()).reshape(3, 3)
        gradient = np.stack(along[::-1], axis=-1) @ direction.T / width
        self._changes = np.column_stack([np.cross(points - self.centre, gradient) / _RADIUS, gradient])
        self._measured = self._within(index, smooth)

    def run(self, volume: sitk.Image, start: sitk.Euler3DTransform) -> sitk.Euler3DTransform:
        smooth = _smooth(volume, self.sigma)
        array = sitk.GetArrayFromImage(smooth).astype(np.float64)
        turn = np.array(start.GetMatrix()).reshape(3, 3)
        shift = np.array(start.GetTranslation())
        for _ in range(_STEPS):
            index = _indices(smooth, (self.points - self.centre) @ turn.T + self.centre + shift)
            inside = self._measured & self._within(index, smooth)
            if inside.sum() < _FEWEST_POINTS:
                return start
            values = map_coordinates(array, index[:, inside], order=1, mode="nearest")
            powers = self.powers[inside]
            slope = self._slopes[inside] @ _least_squares(powers, values)
            step = _least_squares(np.column_stack([powers, slope[:, None] * self._changes[inside]]), values)
            w, t = step[-6:-3] / _RADIUS, step[-3:]
            length = float(np.linalg.norm(t) + _RADIUS * np.linalg.norm(w))
            if not np.isfinite(length):
                return start
            w, t = (each * min(1.0, _LONGEST_STEP / max(length, 1e-12)) for each in (w, t))
            # values(W) = template(moved by w, t): W goes on with the inverse of that small motion
            back = Rotation.from_rotvec(-w).as_matrix()
            shift = shift - turn @ back @ t
            turn = turn @ back
            if length < _CONVERGED:
                break
        moved = sitk.Euler3DTransform()
        moved.SetCenter(self.centre.tolist())
        moved.SetMatrix(Rotation.from_matrix(turn).as_matrix().ravel().tolist(), 1e-6)
        moved.SetTranslation(shift.tolist())
        return moved

    def disagreement(self, volume: sitk.Image, *transforms: sitk.Transform) -> list[float]:
        """Unexplained share of variance for each transform, on the points measured under all of them."""
        smooth = _smooth(volume, self.sigma)
        array = sitk.GetArrayFromImage(smooth).astype(np.float64)
        indices = [_indices(smooth, _moved(self.points, t)) for t in transforms]
        inside = np.logical_and.reduce([self._measured, *(self._within(index, smooth) for index in indices)])
        if inside.sum() < _FEWEST_POINTS:
            return [1.0] * len(transforms)
        result = []
        for index in indices:
            values = map_coordinates(array, index[:, inside], order=1, mode="nearest")
            powers, variance = self.powers[inside], values.var()
            rest = values - powers @ _least_squares(powers, values)
            result.append(float((rest**2).mean() / variance) if variance > 0 else 1.0)
        return result

    def _within(self, index: np.ndarray, image: sitk.Image) -> np.ndarray:
        """Tell which points lie so far inside that smoothing met no edge; a quarter of an axis stays."""
        spacing, shape = np.array(image.GetSpacing())[::-1], np.array(image.GetSize())[::-1]
        margin = (np.minimum(_widths(self.sigma, spacing), shape / 4) - 0.5)[:, None]
        return np.all((index >= margin) & (index <= shape[:, None] - 1 - margin), axis=0)


def _least_squares(columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Least squares by the normal equations: ten unknowns at most."""
    scale = np.sqrt((columns**2).mean(axis=0)) + 1e-12
    scaled = columns / scale
    return np.linalg.lstsq(scaled.T @ scaled, scaled.T @ values, rcond=1e-10)[0] / scale


def _follow(
    passes: list[_Pass],
    fine: Level,
    volume: sitk.Image,
    still: sitk.Euler3DTransform,
    latest: sitk.Euler3DTransform,
    alike: bool,
) -> VolumeMotion:
    """Find where one volume went; where its contrast is alike, least squares have the last word."""
    at_rest, as_before = passes[0].disagreement(volume, still, latest)
    moved = latest if as_before < at_rest else still
    for each in passes if alike else passes[:-1]:
        moved = each.run(volume, moved)
    if not alike:
        # Where smoothing misled, the way from the start itself may be the better one.
        moved = fine.optimised(sitk.Euler3DTransform(min((moved, still, latest), key=fine.value)))
    before, after = fine.value(still), fine.value(moved)
    points = passes[-1].points
    displacement = float(np.sqrt(np.mean(np.sum((_moved(points, moved) - points) ** 2, axis=1))))
    turn = Rotation.from_matrix(np.array(moved.GetMatrix()).reshape(3, 3)).magnitude()
    plausible = displacement <= LARGEST_MOTION and np.degrees(turn) <= LARGEST_ROTATION
    better = after < before - SMALLEST_GAIN * abs(before) and displacement >= SMALLEST_MOTION
    applied = bool(plausible and better)
    return VolumeMotion(moved if applied else still, before, after, displacement, applied)


def _finite(volume: sitk.Image) -> sitk.Image:
    volume = sitk.Cast(volume, sitk.sitkFloat32)
    if not np.isfinite(sitk.GetArrayViewFromImage(volume)).all():
        volume = like(np.nan_to_num(sitk.GetArrayFromImage(volume), posinf=0.0, neginf=0.0), volume)
    return volume


def _working(volume: sitk.Image) -> sitk.Image:
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
    return like(gaussian_filter(array, _widths(sigma, spacing), mode="nearest"), volume)


def _widths(sigma: float, spacing: np.ndarray) -> np.ndarray:
    """Smoothing along each axis, voxels."""
    return np.maximum(sigma / spacing, SMALLEST_SMOOTHING)


def _indices(image: sitk.Image, points: np.ndarray) -> np.ndarray:
    """Continuous indices (3, n) in array order (z, y, x)."""
    axes = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    return np.linalg.solve(axes, (points - np.array(image.GetOrigin())).T)[::-1]


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
