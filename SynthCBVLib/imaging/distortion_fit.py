"""The search for a displacement along one axis: what `SynthCBVLib.imaging.distortion` computes with.

The displacement is a cubic B-spline on the distorted image's own grid. It is found by Gauss-Newton steps that
bring the distorted image, pulled straight, scaled by how much it was squeezed and seen through a free curve
of its signal, to the values of the undistorted one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from SynthCBVLib.imaging.distortion_spline import Spline, apply_along

#: Weight of the bending energy (mm⁴).
STIFFNESS = 100.0
#: Small displacements are held back; those well above this (mm) are not (Geman and McClure's function).
FREE = 0.6
#: Points of the curve between the two contrasts, at quantiles of the signal.
CURVE_POINTS = 20
#: What varies over longer ways than this (standard deviation, mm) is the coil's sensitivity or tissue.
GAIN_SMOOTHING = 15.0
#: Residuals beyond this many robust standard deviations (vessels, fat, noise) count less and less.
ROBUST = 2.5
#: A turn by one radian moves the head by about this much (mm).
HEAD_RADIUS = 50.0
#: A step does not squeeze the grid to less than this share of its length.
LEAST_DENSITY = 0.25
_CONJUGATE_STEPS = 25


@dataclass(frozen=True)
class Pose:
    """A small motion about the grid's middle, along its axes in array order.

    Attributes
    ----------
    turn, shift : ndarray
        (3,) radian and mm.
    growth : float
        Relative: surfaces seem to lie apart in two contrasts; found beside the pose so as not to bend it.
    """

    turn: np.ndarray
    shift: np.ndarray
    growth: float

    def rotation(self) -> np.ndarray:
        """Give the rotation matrix, in array order."""
        return Rotation.from_rotvec(self.turn).as_matrix()


class Fit:
    """One search on a distorted image.

    Parameters
    ----------
    moving : ndarray
        (z, y, x) distorted image.
    spacing : ndarray
        (3,) mm, array order.
    along : int
        Array axis of the displacement.
    """

    def __init__(self, moving: np.ndarray, spacing: np.ndarray, along: int) -> None:
        self.moving, self.spacing, self.along = moving, spacing, along
        self.spline = Spline(moving.shape, spacing, along)
        self.coefficients = np.zeros(self.spline.shape)

    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the displacement (mm), and what signal is multiplied with for it."""
        return self.spline.field(self.coefficients), 1 + self.spline.slope(self.coefficients)

    def straightened(self) -> np.ndarray:
        """Pull the image straight, scaled by how much it was squeezed."""
        field, density = self.maps()
        return sampled(self.moving, field, self.along, self.spacing)[0] * density

    def step(self, fixed: np.ndarray, weight: np.ndarray, sigma: float, hold: float) -> Pose:
        """Improve the displacement by one Gauss-Newton step.

        Parameters
        ----------
        fixed : ndarray
            The undistorted image, laid on the grid.
        weight : ndarray
            Where to compare, 0 to 1.
        sigma : float
            Smoothing of both images, mm.
        hold : float
            Weight with which small displacements are held back, 1/mm².

        Returns
        -------
        Pose
            The motion found with it, still to be applied.
        """
        fixed, image = self._smooth(fixed, sigma), self._smooth(self.moving, sigma)
        field, density = self.maps()
        there, slope = sampled(image, field, self.along, self.spacing)
        now = there * density
        expected, rise, scale = matched(now, fixed, weight, self.spacing)
        rest = (expected - fixed) / scale
        w = weight / (1 + (rest / ROBUST) ** 2) ** 2
        rise = rise / scale
        # The image's change by displacement and by its slope, and by pose and size.
        on_field, on_slope = rise * slope * density, rise * there
        columns = rise * _rigid_columns(now, self.spacing)
        held = hold * (0.1 * w.mean() + w) / (1 + (field / FREE) ** 2) ** 2
        found = self._solved(rest, w, on_field, on_slope, columns, held)
        change = found[:-7].reshape(self.spline.shape)
        self.coefficients = self.coefficients + self._bounded(change) * change
        turn, shift, growth = found[-7:-4], found[-4:-1], found[-1]
        return Pose(turn / HEAD_RADIUS, shift, float(growth / HEAD_RADIUS))

    def _solved(
        self, rest: np.ndarray, w: np.ndarray, on_field: np.ndarray, on_slope: np.ndarray,
        columns: np.ndarray, hold: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """Solve the normal equations for the change of coefficients, pose and size."""
        spline, n = self.spline, self.coefficients.size
        penalty = STIFFNESS * w.sum() / n
        # A little weight on the size keeps apart what a shift and what the displacement explains.
        small = 1e-6 * w.sum() / n + 1e-12
        w_columns = columns * w

        def normal(x: np.ndarray) -> np.ndarray:
            c = x[:n].reshape(spline.shape)
            shift = spline.field(c)
            change = on_field * shift + on_slope * spline.slope(c) + np.tensordot(x[n:], columns, 1)
            weighted = w * change
            gathered = spline.gathered(weighted * on_field + hold * shift, weighted * on_slope)
            gathered += penalty * spline.roughness(c) + small * c
            return np.concatenate([gathered.ravel(), np.tensordot(w_columns, change, 3) + 1e-4 * x[n:]])

        c, field = self.coefficients, spline.field(self.coefficients)
        gathered = spline.gathered(w * rest * on_field + hold * field, w * rest * on_slope)
        gathered += penalty * spline.roughness(c) + small * c
        target = -np.concatenate([gathered.ravel(), np.tensordot(w_columns, rest, 3)])
        diagonal = apply_along([m.T**2 for m in spline.values], w * on_field**2 + hold)
        diagonal += apply_along([m.T**2 for m in spline.slopes], w * on_slope**2)
        diagonal += penalty * spline.stiffest() + small
        own = np.concatenate([diagonal.ravel(), (w_columns * columns).sum((1, 2, 3)) + 1e-4])
        return _conjugate_gradients(normal, target, own)

    def _smooth(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """Smooth by `sigma` mm; not along axes with coarser voxels."""
        if sigma <= 0:
            return image
        return gaussian_filter(image, np.where(self.spacing > sigma, 0, sigma / self.spacing), mode="nearest")

    def _bounded(self, change: np.ndarray) -> float:
        """Give the share of a step that leaves the grid unfolded."""
        for share in (1.0, 0.5, 0.25, 0.125):
            if (1 + self.spline.slope(self.coefficients + share * change)).min() > LEAST_DENSITY:
                return share
        return 0.0


def sampled(
    image: np.ndarray, field: np.ndarray, along: int, spacing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sample an image, and its slope (1/mm), at points displaced along one axis by `field` mm."""
    slope = np.gradient(image, spacing[along], axis=along)
    n = image.shape[along]
    form = [1, 1, 1]
    form[along] = n
    place = np.clip(np.arange(n, dtype=float).reshape(form) + field / spacing[along], 0, n - 1)
    low = np.minimum(place.astype(np.intp), n - 2)
    share = place - low
    there, rise = (
        np.take_along_axis(a, low, along) * (1 - share) + np.take_along_axis(a, low + 1, along) * share
        for a in (image, slope)
    )
    return there, rise


def explained(moving: np.ndarray, fixed: np.ndarray, weight: np.ndarray) -> float:
    """Share of one image's variance that a curve of the other's signal explains."""
    expected = curve(moving, fixed, weight)[0]
    mean = np.average(fixed, weights=weight)
    total = float(np.sum(weight * (fixed - mean) ** 2))
    return 1 - float(np.sum(weight * (fixed - expected) ** 2)) / total if total > 0 else 0.0


def matched(
    moving: np.ndarray, fixed: np.ndarray, weight: np.ndarray, spacing: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Bring one image to the other's contrast, by a curve and a slowly varying gain.

    Predicting the undistorted image, not the distorted one, leaves nothing to gain from moving contrast out
    of the region that is compared.

    Returns
    -------
    tuple
        The image, its slope by the signal it came from, and the residuals' robust deviation.
    """
    expected, rise, scale = curve(moving, fixed, weight)
    widths = GAIN_SMOOTHING / spacing
    level = 0.02 * float((expected**2 * weight).sum() / weight.sum())
    above, below = (
        gaussian_filter(array * expected * weight, widths, truncate=3.0) + level
        for array in (fixed, expected)
    )
    gain = above / np.maximum(below, 1e-12)
    expected, rise = expected * gain, rise * gain
    rest = np.abs(fixed - expected)[weight > 0]
    return expected, rise, max(1.4826 * float(np.median(rest)), 1e-3 * scale)


def curve(x_all: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Fit the curve from one signal to the other.

    The curve is linear between quantiles of the first signal, its values are weighted least squares, twice,
    the second time without the outliers.

    Returns
    -------
    tuple
        The curve at each voxel, its slope there, and the residuals' robust deviation.
    """
    inside = weight > 0
    x, y, w = x_all[inside], target[inside], weight[inside]
    places = np.unique(np.quantile(x, np.linspace(0, 1, CURVE_POINTS)))
    if len(places) < 2:
        mean = np.full_like(x_all, np.average(y, weights=w))
        return mean, np.zeros_like(mean), float(y.std()) + 1e-12
    low = np.clip(np.searchsorted(places, x, side="right") - 1, 0, len(places) - 2)
    share = (x - places[low]) / (places[low + 1] - places[low])
    used = w
    for _ in range(2):
        values = _hats(low, share, y, used, len(places))
        rest = y - (values[low] * (1 - share) + values[low + 1] * share)
        scale = 1.4826 * float(np.median(np.abs(rest))) + 1e-12
        used = w / (1 + (rest / scale / ROBUST) ** 2) ** 2
    everywhere = np.clip(np.searchsorted(places, x_all, side="right") - 1, 0, len(places) - 2)
    rise = (np.diff(values) / np.diff(places))[everywhere]
    rise = np.where((x_all < places[0]) | (x_all > places[-1]), 0.0, rise)
    return np.interp(x_all, places, values), rise, scale


def _hats(low: np.ndarray, share: np.ndarray, y: np.ndarray, w: np.ndarray, n: int) -> np.ndarray:
    matrix = np.zeros((n, n))
    a, b = 1 - share, share
    matrix[np.arange(n), np.arange(n)] = np.bincount(low, w * a * a, n) + np.bincount(low + 1, w * b * b, n)
    beside = np.bincount(low, w * a * b, n)[: n - 1]
    matrix[np.arange(n - 1), np.arange(1, n)] = matrix[np.arange(1, n), np.arange(n - 1)] = beside
    right = np.bincount(low, w * a * y, n) + np.bincount(low + 1, w * b * y, n)
    # A little smoothness carries the curve over signals that hardly occur.
    second = np.diff(np.eye(n), 2, axis=0)
    matrix += 1e-3 * w.sum() / n * (second.T @ second) + 1e-9 * w.sum() * np.eye(n)
    return np.linalg.solve(matrix, right)


def _rigid_columns(image: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Give an image's changes by turns (in units of the head's radius), shifts (mm) and growth."""
    gradient = np.stack(
        [np.gradient(image, s, axis=a) if image.shape[a] > 1 else np.zeros_like(image)
         for a, s in enumerate(spacing)]
    )  # fmt: skip
    arms = _centred(image.shape, spacing)
    # change = gradient · (w × r) = w · (r × gradient)
    turns = np.stack([arms[(a + 1) % 3] * gradient[(a + 2) % 3] - arms[(a + 2) % 3] * gradient[(a + 1) % 3]
                      for a in range(3)])  # fmt: skip
    growth = sum(arm * g for arm, g in zip(arms, gradient, strict=True)) / HEAD_RADIUS
    return np.concatenate([turns / HEAD_RADIUS, gradient, growth[None]])


def _centred(shape: tuple[int, ...], spacing: np.ndarray) -> list[np.ndarray]:
    """Coordinates (mm) from the grid's middle, along each array axis, ready to broadcast."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)]
    return [axis.reshape([-1 if a == b else 1 for b in range(3)]) for a, axis in enumerate(axes)]


def _conjugate_gradients(
    normal: Callable[[np.ndarray], np.ndarray], target: np.ndarray, diagonal: np.ndarray
) -> np.ndarray:
    """Solve a symmetric positive system approximately, preconditioned by its diagonal."""
    x, rest = np.zeros_like(target), target.copy()
    ready = rest / diagonal
    direction, size = ready.copy(), float(rest @ ready)
    first = size
    for _ in range(_CONJUGATE_STEPS):
        if size <= 1e-6 * first or size <= 0:
            break
        image = normal(direction)
        share = size / float(direction @ image)
        x += share * direction
        rest -= share * image
        ready = rest / diagonal
        before, size = size, float(rest @ ready)
        direction = ready + size / before * direction
    return x
