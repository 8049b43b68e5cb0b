"""The last step for maps of flow, whose relation to the other image changes from place to place."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from SynthCBVLib.imaging.registration.level import HEAD_RADIUS, Level
from SynthCBVLib.imaging.resampling import resample

#: Mutual information (nats, at voxels of 4 mm) below which one relation for the whole head is a loose one.
LOOSE = 0.65
#: Share below zero of all voxels that are not zero that tells a difference of images from a magnitude.
BELOW_ZERO = 0.01
#: Soft classes of the fixed image's signal, and their smoothing (standard deviation, mm): a map of flow is
#: blurred, and where the classes are sharp the steps are too short.
CLASSES, SMOOTHING = 5, 1.3
#: Degree of the polynomials by which the flow of a class changes over the head.
DEGREE = 3
#: Voxels of the moving image that are compared, and how many it takes at least.
POINTS, FEWEST_POINTS = 30_000, 3_000
#: Steps of Gauss and Newton, made longer by a factor: residuals far from zero make them short.
STEPS, PACE = 5, 1.5
#: A residual of so many standard deviations (vessels, a tumour) counts a quarter.
OUTLYING = 4.0
#: The fit is not believed where it explains less of the variance or goes further (mm).
LEAST_EXPLAINED, FURTHEST = 0.3, 4.0
_SEED = 20022


def is_loose(level: Level, value: Callable[[], float]) -> bool:
    """Tell whether the moving image is a difference of images that the fixed one tells little of.

    Parameters
    ----------
    level : Level
        The finest.
    value : callable
        Gives the negative mutual information (nats) of the pose found at 4 mm; called for a difference alone.
    """
    signal = sitk.GetArrayViewFromImage(level.moving)
    return bool(np.count_nonzero(signal < 0) > BELOW_ZERO * np.count_nonzero(signal)) and -value() < LOOSE


def fitted(level: Level, start: sitk.Euler3DTransform, centre: np.ndarray) -> sitk.Euler3DTransform | None:
    """Find the pose in which soft classes of the fixed image explain the moving one best.

    Each class has a signal that changes slowly over the head (a polynomial): grey matter of one territory may
    have half the flow of another's, which mutual information, with one relation for all of the head, takes
    for a shift.  Least squares for signal, pose and size together; the size is left out of the result.

    Parameters
    ----------
    level : Level
        The finest.
    start : sitk.Euler3DTransform
        Pose within a few mm of the true one.
    centre : ndarray
        (3,), centre of the head in the fixed image, mm.

    Returns
    -------
    sitk.Euler3DTransform or None
        None where the fit is not to be believed.
    """
    axes, origin = _axes(level.fixed)
    inverse = np.linalg.inv(axes)
    classes = _soft_classes(level)
    points, values = _inside(level, start)
    if values.size < FEWEST_POINTS or np.ptp(values) == 0 or min(level.fixed.GetSize()) < 2:
        return None
    rotation, shift = Rotation.identity(), np.zeros(3)
    weight = np.ones(values.size)
    explained = 0.0
    for _ in range(STEPS):
        arm = rotation.apply(points - centre) / HEAD_RADIUS
        indices = ((HEAD_RADIUS * arm + centre + shift - origin) @ inverse.T)[:, ::-1]
        signal, slopes = _interpolated(classes, indices)
        modes = _polynomials(arm / 1.5)
        design = (signal[:, :, None] * modes[:, None, :]).reshape(len(signal), -1)
        weighted = design * weight[:, None]
        normal, right = weighted.T @ design, weighted.T @ values
        amounts = _solved(normal, right).reshape(classes.shape[3], -1)
        slope = (slopes * (modes @ amounts.T)[:, None, :]).sum(2)[:, ::-1] @ inverse
        pose = np.hstack([slope, np.cross(arm, slope), (arm * slope).sum(1, keepdims=True)])
        mixed, alone = weighted.T @ pose, (pose * weight[:, None]).T
        found = _solved(
            np.block([[normal, mixed], [mixed.T, alone @ pose]]), np.concatenate([right, alone @ values])
        )
        step = PACE * np.round(found[-7:], 6)  # last digits depend on how many processors there are
        residual = values - design @ found[:-7] - pose @ found[-7:]
        explained = 1 - float(np.var(residual) / np.var(values))
        deviation = 1.4826 * float(np.median(np.abs(residual)))
        weight = (1 + (residual / (OUTLYING * max(deviation, 1e-12))) ** 2) ** -2
        shift += step[:3]
        rotation = Rotation.from_rotvec(step[3:6] / HEAD_RADIUS) * rotation
    moved = np.linalg.norm(shift) + rotation.magnitude() * HEAD_RADIUS
    if explained < LEAST_EXPLAINED or not moved < FURTHEST:
        return None
    return _before(start, centre, rotation.inv(), shift)


def _before(
    start: sitk.Euler3DTransform, centre: np.ndarray, turn: Rotation, shift: np.ndarray
) -> sitk.Euler3DTransform:
    """Take `shift` back, turn about `centre`, then go by `start`."""
    there = start.TransformPoint((centre - turn.apply(shift)).tolist())
    pose = sitk.Euler3DTransform()
    pose.SetCenter(centre.tolist())
    pose.SetMatrix((np.array(start.GetMatrix()).reshape(3, 3) @ turn.as_matrix()).ravel().tolist(), 1e-6)
    pose.SetTranslation(np.subtract(there, centre).tolist())
    return pose


def _inside(level: Level, start: sitk.Euler3DTransform) -> tuple[np.ndarray, np.ndarray]:
    """Choose voxels of the moving image within the mask: points (n, 3; mm) in the fixed image, and values."""
    mask = resample(level.inside, level.moving, start.GetInverse(), interpolation="nearest")
    chosen = np.flatnonzero(sitk.GetArrayViewFromImage(mask))
    if chosen.size > POINTS:
        chosen = np.sort(np.random.default_rng(_SEED).choice(chosen, POINTS, replace=False))
    values = sitk.GetArrayViewFromImage(level.moving)
    axes, origin = _axes(level.moving)
    points = np.stack(np.unravel_index(chosen, values.shape)[::-1], 1) @ axes.T + origin
    back = np.array(start.GetMatrix()).reshape(3, 3)  # of a rotation the inverse is the transpose
    points = (points - start.TransformPoint(start.GetCenter())) @ back + start.GetCenter()
    return points, values.ravel()[chosen].astype(float)


def _soft_classes(level: Level) -> np.ndarray:
    """Give the share of each class (z, y, x, class), averaged over voxels as large as the moving image's."""
    fixed = sitk.GetArrayFromImage(level.fixed)
    inside = sitk.GetArrayViewFromImage(level.inside) > 0
    knots = np.unique(np.percentile(fixed[inside], np.linspace(1, 99, CLASSES)))
    own = np.array(level.fixed.GetSpacing())
    here, there = (np.array(i.GetDirection()).reshape(3, 3) for i in (level.fixed, level.moving))
    wider = (here.T @ there) ** 2 @ np.square(level.moving.GetSpacing()) - own**2
    sigma = (np.sqrt(0.425**2 * np.maximum(wider, 0) + SMOOTHING**2) / own)[::-1]
    shares = np.empty((*fixed.shape, knots.size), np.float32)
    for k, unit in enumerate(np.eye(knots.size)):
        shares[..., k] = gaussian_filter(np.interp(fixed, knots, unit).astype(np.float32), sigma, truncate=3)
    return shares


def _interpolated(classes: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give values (n, class) and slopes (n, 3, class; along z, y, x) between the voxels."""
    shape = np.array(classes.shape[:3])
    low = np.clip(np.floor(indices).astype(int), 0, shape - 2)
    z, y, x = np.clip(indices - low, 0, 1).astype(np.float32).T[:, :, None]
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    flat, first = classes.reshape(-1, classes.shape[3]), low @ strides
    c = np.stack([flat[first + np.dot(corner, strides)] for corner in product((0, 1), repeat=3)])
    c = c.reshape(2, 2, 2, *c.shape[1:])
    dz, c = c[1] - c[0], c[0] + z * (c[1] - c[0])
    dz, dy, c = dz[0] + y * (dz[1] - dz[0]), c[1] - c[0], c[0] + y * (c[1] - c[0])
    dz, dy, dx = dz[0] + x * (dz[1] - dz[0]), dy[0] + x * (dy[1] - dy[0]), c[1] - c[0]
    return c[0] + x * dx, np.stack([dz, dy, dx], 1)


def _polynomials(at: np.ndarray) -> np.ndarray:
    """Give all products of powers up to the degree (n, polynomial)."""
    powers = [np.ones_like(at)]
    for _ in range(DEGREE):
        powers.append(powers[-1] * at)
    wanted = [each for each in product(range(DEGREE + 1), repeat=3) if sum(each) <= DEGREE]
    return np.stack([powers[i][:, 0] * powers[j][:, 1] * powers[k][:, 2] for i, j, k in wanted], 1)


def _solved(normal: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve normal equations whose unknowns differ in scale and may depend on each other."""
    scale = np.sqrt(np.maximum(np.diag(normal), 1e-30))
    return np.linalg.lstsq(normal / np.outer(scale, scale), right / scale, rcond=1e-7)[0] / scale


def _axes(image: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """Give the steps from voxel to voxel (columns) and the first voxel's place, mm."""
    axes = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    return axes, np.array(image.GetOrigin())
