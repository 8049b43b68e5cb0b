"""Where a search starts: header, middles, heads, and turns if the heads say so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from SynthCBVLib.imaging.registration.level import Level

#: Turns are compared on so many points, with so many classes of signal.
_POINTS, _CLASSES = 1500, 12
#: Turns closer to each other than this (degrees) lead to one place.
_APART = 40.0
#: So many turns at most compete with the usual starts.
_MOST_TURNS = 3


@dataclass(frozen=True)
class Start:
    """One starting position; `turned` tells that it has a turn that the header does not know of."""

    transform: sitk.Euler3DTransform
    turned: bool = False


def find_starts(level: Level, trusted: bool) -> tuple[list[Start], np.ndarray]:
    """Header, centres of the fields of view, centres of the heads; then turns that look better than none.

    Turns are ranked on a few points by a histogram, which takes a tenth of a second for all of them.

    Parameters
    ----------
    level : Level
        The coarsest.
    trusted : bool
        False if the header cannot be trusted with the orientation either: half turns compete in any case
        (a NRRD without space, LPS taken for RAS).

    Returns
    -------
    starts : list of Start
        The header's is the first.
    centre : ndarray
        Centre of the head in the fixed image, about which all of them turn.
    """
    centre = _centroid(level.fixed)
    by_middle = _middle(level.moving) - _middle(level.fixed)
    by_head = _centroid(level.moving) - centre
    starts = [Start(_euler(centre, shift)) for shift in (np.zeros(3), by_middle, by_head)]
    turns = [Rotation.from_rotvec(np.pi * axis) for axis in np.eye(3)] if not trusted else []
    turns += _better_turns(level, centre, by_head)
    return starts + [Start(_euler(centre, by_head, turn), True) for turn in turns], centre


def _better_turns(level: Level, centre: np.ndarray, shift: np.ndarray) -> list[Rotation]:
    """Give the few turns under which the images tell more of each other than near the header's."""
    index = np.argwhere(sitk.GetArrayViewFromImage(level.inside) > 0)
    index = index[:: max(1, len(index) // _POINTS)]
    fixed, moving = (_smoothed(image) for image in (level.fixed, level.moving))
    classes = _classes(fixed[tuple(index.T)])
    points = _to_points(level.fixed, index) - centre
    moving_classes = _classes(moving)
    axes = np.array(level.moving.GetDirection()).reshape(3, 3) * np.array(level.moving.GetSpacing())
    inverse, origin = np.linalg.inv(axes), np.array(level.moving.GetOrigin())
    upper = np.array(level.moving.GetSize()) - 1

    def value(turn: Rotation) -> float:
        there = np.rint((turn.apply(points) + centre + shift - origin) @ inverse.T).astype(int)
        inside = np.all((there >= 0) & (there <= upper), axis=1)
        x, y, z = np.clip(there, 0, upper).T
        other = np.where(inside, moving_classes[z, y, x], 0)
        return _information(np.bincount(classes * _CLASSES + other, minlength=_CLASSES**2))

    turns = _all_turns()
    values = np.array([value(turn) for turn in turns])
    small = np.array([turn.magnitude() for turn in turns]) < np.radians(_APART)
    chosen: list[Rotation] = []
    for number in np.argsort(-values):
        if values[number] <= values[small].max() or len(chosen) == _MOST_TURNS:
            break
        turn = turns[number]
        if all((turn * other.inv()).magnitude() > np.radians(_APART) for other in chosen):
            chosen.append(turn)
    return chosen


def _all_turns() -> list[Rotation]:
    """Every turn that exists lies within about 25° of one of these."""
    tilts = np.radians(36.0) / np.sqrt(3) * np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T
    steps = [Rotation.identity(), *(Rotation.from_rotvec(tilt) for tilt in tilts)]
    return [group * step for group in Rotation.create_group("O") for step in steps]


def _smoothed(image: sitk.Image) -> np.ndarray:
    """Smooth by 6 mm, so that a turn that is near is seen to be near."""
    return gaussian_filter(sitk.GetArrayFromImage(image), 6.0 / np.array(image.GetSpacing())[::-1])


def _classes(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, (1, 99))
    return np.clip((values - low) / max(high - low, 1e-12) * _CLASSES, 0, _CLASSES - 1).astype(int)


def _information(counts: np.ndarray) -> float:
    p = counts.reshape(_CLASSES, _CLASSES) / counts.sum()
    alone = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    used = p > 0
    return float(np.sum(p[used] * np.log(p[used] / alone[used])))


def _to_points(image: sitk.Image, index: np.ndarray) -> np.ndarray:
    axes = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    return index[:, ::-1] @ axes.T + np.array(image.GetOrigin())


def _centroid(image: sitk.Image) -> np.ndarray:
    """Centre of the foreground (above Otsu's threshold), every voxel counting the same."""
    head = sitk.GetArrayFromImage(sitk.OtsuThreshold(image, 0, 1)) > 0
    if not head.any():
        return _middle(image)
    index = np.argwhere(head).mean(axis=0)[::-1]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))


def _middle(image: sitk.Image) -> np.ndarray:
    index = (np.array(image.GetSize()) - 1) / 2
    return np.array(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))


def _euler(centre: np.ndarray, shift: np.ndarray, turn: Rotation | None = None) -> sitk.Euler3DTransform:
    transform = sitk.Euler3DTransform()
    transform.SetCenter(centre.tolist())
    transform.SetTranslation(shift.tolist())
    if turn is not None:
        transform.SetMatrix(np.clip(turn.as_matrix(), -1, 1).ravel().tolist(), 1e-6)
    return transform
