"""Distortion of echo-planar images along their phase direction, found against a T2w that has none.

Where the field is off resonance, an echo-planar image is displaced along its phase direction, and squeezed or
stretched, so that signal piles up or thins out (Andersson, Skare and Ashburner, NeuroImage 2003). The b = 0
image of a diffusion series and T2w are both T2-weighted: a free curve leads from the signal of one to that of
the other. The displacement is a smooth field along one axis, found from coarse to fine together with the
small rigid motion that it hid from the registration.

Two contrasts seldom agree on where a surface lies to better than half a millimetre, and a free field follows
every such disagreement. Shimming leaves little of a field's slow variation, and air bends it in few places:
small displacements are therefore held back and large ones are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.distortion_fit import FREE, STIFFNESS, Fit, Pose, explained
from SynthCBVLib.imaging.distortion_spline import KNOTS
from SynthCBVLib.imaging.registration.level import coarser, without_shading
from SynthCBVLib.imaging.resampling import matrix_of, resample
from SynthCBVLib.imaging.study import DiffusionSeries, is_series, like, settled
from SynthCBVLib.progress import Progress, silent

#: Voxel size (mm) of the search; an axis that is coarser by itself stays as it is.
WORKING_SPACING = 2.0
#: Smoothing (standard deviation, mm) of the passes, from coarse to fine, their steps, and how strongly small
#: displacements are held back (1/mm²): what has not grown large by the end is no distortion.
PASSES = ((4.0, 4, 0.0), (1.5, 4, 0.7), (0.0, 4, 2.0))
#: The brain's mask is grown by this much (mm): its rim says most.
MARGIN = 3.0
#: Displacements below this (mm, largest in the brain) are within the method's error: left alone.
SMALLEST_DISPLACEMENT = 1.6
#: Smallest share of what T2w leaves unexplained that a field must explain.
SMALLEST_GAIN = 0.01
#: More than this (mm) cannot be told from a failure.
LARGEST_DISPLACEMENT = 25.0
#: An axis is the slices' where its voxels are this much longer than the others'.
_SLICES = 1.3
_FEWEST_VOXELS = 2000


@dataclass(frozen=True)
class Distortion:
    """Displacement of an image along one of its axes.

    Attributes
    ----------
    axis : int
        Index axis of the distorted image (0, 1 or 2) along which it is displaced.
    displacement : sitk.Image
        float32, mm along `axis`: from where a point would be to where it is; zero if `applied` is False.
    density : sitk.Image
        float32, on the same grid: what signal must be multiplied with because the image was squeezed or
        stretched; one if `applied` is False.
    pose : sitk.Euler3DTransform
        Small rigid motion found with it, between the alignment and the displacement; identity if `applied`
        is False.
    before, after : float
        Share of T2w's variance in the brain that the image leaves unexplained (lower is better), with the
        alignment as it was, and with pose and displacement.
    largest : float
        Largest displacement found in the brain, mm; also where it was not applied.
    applied : bool
        False where the image was left as it is.
    reason : str
        Why it was; empty if `applied`.
    """

    axis: int
    displacement: sitk.Image
    density: sitk.Image
    pose: sitk.Euler3DTransform
    before: float
    after: float
    largest: float
    applied: bool
    reason: str = ""

    def aligned(self, alignment: sitk.Transform) -> sitk.Transform:
        """Give an alignment with the pose found: points of a reference to points as if undistorted."""
        if not self.applied:
            return alignment
        matrix = matrix_of(alignment)
        turn = np.array(self.pose.GetMatrix()).reshape(3, 3)
        both = sitk.AffineTransform(3)
        both.SetMatrix((turn @ matrix[:3, :3]).ravel().tolist())
        both.SetTranslation(list(self.pose.TransformPoint(matrix[:3, 3].tolist())))
        if not isinstance(_plain(alignment), sitk.Euler3DTransform):
            return both
        rigid = sitk.Euler3DTransform()
        rigid.SetMatrix(both.GetMatrix(), 1e-6)
        rigid.SetTranslation(both.GetTranslation())
        return rigid

    def as_json(self) -> dict[str, Any]:
        """Describe it without its images, ready for JSON."""
        return {
            "method": "cubic B-spline displacement along the phase direction, against T2w",
            "axis": "ijk"[self.axis],
            "applied": self.applied,
            "reason": self.reason,
            "metric": "share of T2w's variance in the brain left unexplained (lower is better)",
            "before": self.before,
            "after": self.after,
            "largest_displacement": self.largest,
            "density": [float(each(sitk.GetArrayViewFromImage(self.density))) for each in (np.min, np.max)],
            "pose": {
                "parameters": list(self.pose.GetParameters()),
                "fixed_parameters": list(self.pose.GetFixedParameters()),
            },
            "settings": {
                "knots": KNOTS, "stiffness": STIFFNESS, "free": FREE,
                "passes": [list(one) for one in PASSES], "working_spacing": WORKING_SPACING,
            },
        }  # fmt: skip

    def warped(self, aligned: sitk.Transform) -> sitk.Transform:
        """Give an alignment that has the pose already, followed by the displacement, for one resampling."""
        if not self.applied:
            return aligned
        along = np.array(self.displacement.GetDirection()).reshape(3, 3)[:, self.axis]
        array = sitk.GetArrayViewFromImage(self.displacement).astype(np.float64)[..., None] * along
        field = sitk.GetImageFromArray(array, isVector=True)
        field.CopyInformation(self.displacement)
        # A composite applies the transform that was added last first.
        return sitk.CompositeTransform([sitk.DisplacementFieldTransform(field), aligned])


def estimate_distortion(
    moving: sitk.Image,
    fixed: sitk.Image,
    alignment: sitk.Transform,
    axis: int,
    brain: sitk.Image | None = None,
    progress: Progress | None = None,
) -> Distortion:
    """Find the displacement of an echo-planar image along its phase direction; a few seconds.

    Parameters
    ----------
    moving : sitk.Image
        3D, the (mean) b = 0 image.
    fixed : sitk.Image
        3D, T2w of the same head, not distorted.
    alignment : sitk.Transform
        Points of `fixed` to points of `moving` (mm, LPS), as `register` gives it; linear.
    axis : int
        Index axis of `moving` (0, 1 or 2) that is the phase direction.
    brain : sitk.Image, optional
        Brain (> 0) in the space of `fixed`; found on `fixed` by default.
    progress : Progress, optional
        Told of each pass; may raise `Cancelled`.

    Returns
    -------
    Distortion
        Not applied where nothing speaks for a displacement, or only something absurd was found.

    Raises
    ------
    InputError
        If an image is a series, not finite or constant, there is no such axis, it has too few voxels, the
        brain is empty or outside the image, or the alignment is not linear.
    """
    progress = progress or silent
    moving, fixed = _checked(moving, "distorted image"), _checked(fixed, "T2w")
    if isinstance(axis, bool) or axis not in (0, 1, 2):
        raise InputError("phase direction", repr(axis), "an axis of the image: 0, 1 or 2")
    if moving.GetSize()[axis] < 8:
        raise InputError("phase direction", f"{moving.GetSize()[axis]} voxels along it", "8 or more")
    if not alignment.IsLinear():
        raise InputError("alignment", "a transform that is not linear", "a rigid or affine one")
    if brain is None:
        from SynthCBVLib.imaging.brainmask import brain_mask
        from SynthCBVLib.imaging.study import Modality

        brain = brain_mask(fixed, Modality.T2W)
    if is_series(brain) or brain.GetDimension() != 3:
        raise InputError("brain mask", "a series of volumes", "one 3D mask")
    small = coarser(without_shading(moving), WORKING_SPACING)
    evened = without_shading(fixed)
    inside = sitk.Cast(brain > 0, sitk.sitkFloat32)
    radius = [max(1, round(MARGIN / s)) for s in brain.GetSpacing()]
    grown = sitk.Cast(sitk.BinaryDilate(brain > 0, radius), sitk.sitkFloat32)
    search = _Search(small, evened, grown, alignment, axis)
    within = search.laid(inside, with_size=False) > 0.5
    if within.sum() < _FEWEST_VOXELS:
        raise InputError(
            "brain mask", f"{int(within.sum())} voxels of the distorted image in it",
            f"{_FEWEST_VOXELS} or more", "Check that both images are of one head and are aligned.",
        )  # fmt: skip
    before = search.unexplained(inside, moved=False)
    for number, (sigma, steps, hold) in enumerate(PASSES):
        progress(number / len(PASSES), "Looking for distortion along the phase direction")
        for _ in range(steps):
            search.step(sigma, hold)
    alone, after = search.unexplained(inside, displaced=False), search.unexplained(inside)
    field, density = search.fit.maps()
    largest = float(np.abs(field[search.laid(inside, with_size=False) > 0.5]).max())
    reason = ""
    if not (np.isfinite(field).all() and largest <= LARGEST_DISPLACEMENT):
        reason = f"the displacement found is absurd ({largest:.0f} mm)"
    elif density.min() <= 0:
        reason = "the displacement found folds the image"
    elif largest < SMALLEST_DISPLACEMENT:
        reason = "there is hardly any displacement"
    elif not after < min(before, alone) * (1 - SMALLEST_GAIN):
        reason = "the images do not agree better with it"
    progress(1.0, "Kept the image as it is" if reason else "Found the distortion")
    pose = search.pose
    if reason:
        field, density, pose = np.zeros_like(field), np.ones_like(density), sitk.Euler3DTransform()
    images = [like(array.astype(np.float32), small) for array in (field, density)]
    return Distortion(axis, *images, pose, before, after, largest, not reason, reason)


def phase_axis(series: DiffusionSeries) -> tuple[int, bool]:
    """Give the index axis of a series' phase direction, and whether it was assumed.

    Where the series does not say, it is the axis within the slices that is closest to anterior-posterior.
    """
    if series.phase_encoding:
        return "ijk".index(series.phase_encoding[0]), False
    spacing = np.array(series.image.GetSpacing()[:3])
    n = series.image.GetDimension()
    directions = np.array(series.image.GetDirection()).reshape(n, n)[:3, :3]
    longest = int(np.argmax(spacing))
    slices = longest if spacing[longest] > _SLICES * np.median(spacing) else 2
    return max((a for a in range(3) if a != slices), key=lambda a: abs(directions[1, a])), True


class _Search:
    """A search on the distorted image's grid, with the rigid motion found so far."""

    def __init__(
        self, small: sitk.Image, fixed: sitk.Image, grown: sitk.Image, alignment: sitk.Transform, axis: int
    ) -> None:
        self.small, self.fixed, self.grown, self.alignment = small, fixed, grown, alignment
        spacing = np.array(small.GetSpacing())[::-1]
        array = sitk.GetArrayFromImage(small).astype(np.float64)
        self.fit = Fit(array, spacing, 2 - axis)
        self.middle = small.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in small.GetSize()])
        self.axes = np.array(small.GetDirection()).reshape(3, 3)[:, ::-1]  # columns in array order
        self.pose = sitk.Euler3DTransform()
        self.pose.SetCenter(self.middle)
        self.size = 1.0

    def laid(self, image: sitk.Image, moved: bool = True, with_size: bool = True) -> np.ndarray:
        """Lay an image of the undistorted space on the grid."""
        size = sitk.ScaleTransform(3, [1 / self.size if with_size and moved else 1.0] * 3)
        size.SetCenter(self.middle)
        steps: list[sitk.Transform] = [self.alignment.GetInverse()]
        steps += [self.pose.GetInverse(), size] if moved else []
        return sitk.GetArrayFromImage(resample(image, self.small, sitk.CompositeTransform(steps))).astype(
            float
        )

    def step(self, sigma: float, hold: float) -> None:
        found = self.fit.step(self.laid(self.fixed), self.laid(self.grown), sigma, hold)
        self._move(found)

    def unexplained(self, inside: sitk.Image, moved: bool = True, displaced: bool = True) -> float:
        """Share of the undistorted image's variance that the other does not explain."""
        image = self.fit.straightened() if moved and displaced else self.fit.moving
        return 1 - explained(image, self.laid(self.fixed, moved, False), self.laid(inside, moved, False))

    def _move(self, found: Pose) -> None:
        # A turn in array order is one of the other hand: axes' own handedness carries it over.
        turn = self.axes @ found.rotation() @ self.axes.T
        shift = self.axes @ found.shift
        u, _, vt = np.linalg.svd(turn @ np.array(self.pose.GetMatrix()).reshape(3, 3))
        self.pose.SetMatrix((u @ vt).ravel().tolist(), 1e-6)
        self.pose.SetTranslation((turn @ np.array(self.pose.GetTranslation()) + shift).tolist())
        self.size *= 1 + found.growth


def _checked(image: sitk.Image, name: str) -> sitk.Image:
    if is_series(image) or image.GetDimension() != 3:
        raise InputError(name, f"a {image.GetDimension()}D image of size {image.GetSize()}", "one 3D volume")
    array = sitk.GetArrayViewFromImage(image)
    if not np.isfinite(array).all():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        raise InputError(name, f"{bad} voxels that are not finite (NaN or infinite)", "finite values")
    if array.size == 0 or array.min() == array.max():
        raise InputError(name, "one value in all voxels", "an image with contrast")
    return settled(sitk.Cast(image, sitk.sitkFloat32))


def _plain(transform: sitk.Transform) -> sitk.Transform:
    """Give a transform in its own class: those read from files are all of one."""
    return transform.Downcast() if type(transform) is sitk.Transform else transform
