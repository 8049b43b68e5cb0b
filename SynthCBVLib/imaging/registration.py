"""Align one image with another: rigid or affine, by mutual information, from several starts.

Multi-resolution Mattes mutual information (Mattes et al., IEEE TMI 2003) with SimpleITK.  The header's
alignment is the first start and stays if nothing better is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.resampling import grid, overlap, resample
from SynthCBVLib.imaging.study import is_series, settled
from SynthCBVLib.progress import Progress, silent

Model = Literal["rigid", "affine"]

#: Voxel sizes (mm) of the levels; an axis that is coarser by itself stays as it is.
LEVELS = (8.0, 4.0, 2.0)
#: Samples of the metric at the last level; fewer voxels are all used.
SAMPLES = 40_000
#: Results beyond these are refused as absurd and the header's alignment is kept.
LARGEST_ROTATION = 45.0
LARGEST_SHIFT = 100.0
SCALE_RANGE = (0.7, 1.4)
#: A header whose fields of view share less than this fraction is not trusted with the orientation either.
TRUSTED_OVERLAP = 0.35
#: Smallest relative gain of the metric that is worth moving the image for.
SMALLEST_GAIN = 0.005
#: A turn by one radian moves the head's tissue by about this much (mm): the balance of turns and shifts.
HEAD_RADIUS = 50.0
_BINS = 32
_SEED = 20021


@dataclass(frozen=True)
class Registration:
    """Outcome of a registration.

    Attributes
    ----------
    transform : sitk.Transform
        Maps points of the fixed image to points of the moving one (mm, LPS), as `resample` takes it;
        identity if `applied` is False.
    before, after : float
        Negative Mattes mutual information (nats; lower is better) of the header's alignment and of the
        best one found, on the same samples; points outside the moving image count as its background.
    applied : bool
        False where the header's alignment was kept: nothing better was found, or only something absurd.
    """

    transform: sitk.Transform
    before: float
    after: float
    applied: bool


def register(
    moving: sitk.Image,
    fixed: sitk.Image,
    model: Model = "rigid",
    mask: sitk.Image | None = None,
    progress: Progress | None = None,
    moving_name: str = "moving image",
    fixed_name: str = "fixed image",
) -> Registration:
    """Find the transform that brings `moving` onto `fixed`.

    Parameters
    ----------
    moving, fixed : sitk.Image
        3D images; any contrast, spacing and orientation.
    model : {"rigid", "affine"}
        Six or twelve degrees of freedom; affine starts from the rigid result.
    mask : sitk.Image, optional
        Where (> 0) in the fixed image to compare; by default the head with a margin.
    progress : Progress, optional
        Called at each level; may raise `Cancelled`.
    moving_name, fixed_name : str
        How messages call the images.

    Returns
    -------
    Registration
        The same for the same input, however many processors there are.

    Raises
    ------
    InputError
        If an image is a series, not finite or constant, the mask is empty, or the fields of view have
        nothing in common.
    """
    progress = progress or silent
    if model not in ("rigid", "affine"):
        raise InputError("model", repr(model), "'rigid' or 'affine'")
    moving, fixed = _checked(moving, moving_name), _checked(fixed, fixed_name)
    share = max(overlap(moving, fixed), overlap(fixed, moving))
    if share == 0:
        raise InputError(
            f"{moving_name} and {fixed_name}", "fields of view that do not overlap", "images of one place",
            "Check that both are of the same patient and that neither lost its position (origin, direction).",
        )  # fmt: skip
    inside = _sample_mask(fixed, mask, fixed_name)
    levels = [_Level(moving, fixed, inside, spacing) for spacing in LEVELS]
    centre = _centroid(levels[0].fixed)

    progress(0.05, "Comparing starting positions")
    trusted = share >= TRUSTED_OVERLAP
    starts = _starts(levels[0], centre, trusted)
    # Half a turn away looks much the same at the coarsest level: such starts compete at the next one too
    contest = levels[:1] if trusted else levels[:2]
    candidates: list[sitk.Transform] = list(starts)
    for level in contest:
        candidates = [level.optimised(start) for start in candidates]
    found = min(candidates, key=contest[-1].value)
    for number in range(len(contest), len(levels)):
        progress(0.2 + 0.6 * number / len(levels), f"Aligning at {LEVELS[number]:g} mm")
        found = levels[number].optimised(found)
    if model == "affine":
        progress(0.75, "Aligning with scale and shear")
        found = _affine_of(found)
        for level in levels[1:]:
            found = level.optimised(found)
    progress(0.95, "Judging the result")
    identity = sitk.Transform(3, sitk.sitkIdentity)
    before, after = levels[-1].value(identity), levels[-1].value(found)
    applied = after < before - SMALLEST_GAIN * abs(before) and not _absurd(found, centre, starts)
    progress(1.0, "Aligned" if applied else "Kept the alignment of the header")
    return Registration(found if applied else identity, before, after, applied)


class _Level:
    """Both images at one voxel size with the metric between them."""

    def __init__(self, moving: sitk.Image, fixed: sitk.Image, inside: sitk.Image, spacing: float) -> None:
        self.spacing = spacing
        self.fixed = _coarser(fixed, spacing)
        self.moving = _coarser(moving, spacing)
        self.inside = resample(inside, self.fixed, interpolation="nearest")
        n_inside = int(np.count_nonzero(sitk.GetArrayViewFromImage(self.inside)))
        self.fraction = min(1.0, SAMPLES / max(n_inside, 1))
        self._unit = [_in_units(image, HEAD_RADIUS) for image in (self.fixed, self.moving, self.inside)]
        self.background = float(np.percentile(sitk.GetArrayViewFromImage(self.moving), 1))

    def value(self, transform: sitk.Transform) -> float:
        """Measure the metric; points that leave the moving image meet its background.

        So every alignment is judged on the same samples; the optimiser itself sees no such rim, which
        would pull at images that end within the head.
        """
        method = self._method(self.inside)
        method.SetInitialTransform(sitk.Transform(transform))
        return float(method.MetricEvaluate(self.fixed, self._padded(transform)))

    def optimised(self, start: sitk.Transform) -> sitk.Transform:
        """Follow the metric downhill from `start`; gives `start` itself if there is nothing to follow.

        The optimiser works in units of the head's radius, in which a turn by one radian and a shift by one
        unit move the tissue alike, so that its step length bounds both.
        """
        fixed, moving, inside = self._unit
        method = self._method(inside)
        transform = _scaled(start, 1 / HEAD_RADIUS)
        method.SetInitialTransform(transform, inPlace=True)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=self.spacing / 2 / HEAD_RADIUS,
            minStep=self.spacing / 400 / HEAD_RADIUS,
            numberOfIterations=100,
            relaxationFactor=0.6,
            gradientMagnitudeTolerance=1e-8,
        )
        try:
            method.Execute(fixed, moving)
        except RuntimeError:  # too few samples in common from this start
            return start
        return _scaled(transform, HEAD_RADIUS)

    def _method(self, inside: sitk.Image) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        method.SetNumberOfWorkUnits(1)  # sums in one order: the same result on every machine
        method.SetMetricAsMattesMutualInformation(_BINS)
        method.SetMetricUseFixedImageGradientFilter(False)
        method.SetMetricUseMovingImageGradientFilter(False)
        method.SetMetricFixedMask(inside)
        if self.fraction < 1:
            method.SetMetricSamplingStrategy(method.RANDOM)
            method.SetMetricSamplingPercentage(self.fraction, _SEED)
        method.SetInterpolator(sitk.sitkLinear)
        return method

    def _padded(self, transform: sitk.Transform) -> sitk.Image:
        """Extend the moving image with background over all of the fixed one's field of view."""
        corners = np.array(list(product(*((-1.0, float(n)) for n in self.fixed.GetSize()))))
        there = np.array(
            [
                self.moving.TransformPhysicalPointToContinuousIndex(
                    transform.TransformPoint(self.fixed.TransformContinuousIndexToPhysicalPoint(c.tolist()))
                )
                for c in corners
            ]
        )
        lower = np.ceil(np.maximum(1, 1 - there.min(axis=0))).astype(int)
        upper = np.ceil(np.maximum(1, there.max(axis=0) - self.moving.GetSize() + 2)).astype(int)
        return sitk.ConstantPad(self.moving, lower.tolist(), upper.tolist(), self.background)


def _checked(image: sitk.Image, name: str) -> sitk.Image:
    if is_series(image) or image.GetDimension() != 3:
        raise InputError(name, f"a {image.GetDimension()}D image of size {image.GetSize()}", "one 3D volume")
    array = sitk.GetArrayViewFromImage(image)
    if not np.all(np.isfinite(array)):
        bad = int(np.count_nonzero(~np.isfinite(array)))
        raise InputError(name, f"{bad} voxels that are not finite (NaN or infinite)", "finite values")
    if array.min() == array.max():
        raise InputError(name, f"the value {array.flat[0]:g} in all voxels", "an image with contrast")
    return settled(sitk.Cast(image, sitk.sitkFloat32))


def _coarser(image: sitk.Image, spacing: float) -> sitk.Image:
    wanted = tuple(spacing if spacing > 1.3 * own else None for own in image.GetSpacing())
    return resample(image, grid(image, wanted)) if any(wanted) else image


def _sample_mask(fixed: sitk.Image, mask: sitk.Image | None, fixed_name: str) -> sitk.Image:
    if mask is not None:
        if is_series(mask):
            raise InputError(f"mask of the {fixed_name}", "a series of volumes", "one 3D mask")
        inside = resample(mask, fixed, interpolation="nearest") > 0
        if not np.any(sitk.GetArrayViewFromImage(inside)):
            raise InputError(f"mask of the {fixed_name}", "no voxels in its field of view", "a region there")
        return sitk.Cast(inside, sitk.sitkUInt8)
    small = _coarser(fixed, 4.0)
    head = sitk.OtsuThreshold(small, 0, 1)
    radius = [max(1, round(12.0 / s)) for s in small.GetSpacing()]
    head = sitk.BinaryDilate(head, radius)
    return resample(head, fixed, interpolation="nearest")


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


def _starts(level: _Level, centre: np.ndarray, trusted: bool) -> list[sitk.Euler3DTransform]:
    """Header, centres of the fields of view, centres of the heads; turned over if the header is bad.

    An image that lost its orientation on the way (a NRRD without space, LPS taken for RAS) lies half a
    turn about one axis away.
    """
    by_middle = _middle(level.moving) - _middle(level.fixed)
    by_head = _centroid(level.moving) - centre
    starts = [_euler(centre, shift) for shift in (np.zeros(3), by_middle, by_head)]
    if not trusted:
        turns = np.pi * np.eye(3)
        starts += [_euler(centre, by_head, turn) for turn in turns]
    return starts


def _euler(centre: np.ndarray, shift: np.ndarray, angles: np.ndarray | None = None) -> sitk.Euler3DTransform:
    transform = sitk.Euler3DTransform()
    transform.SetCenter(centre.tolist())
    transform.SetTranslation(shift.tolist())
    if angles is not None:
        transform.SetRotation(*angles.tolist())
    return transform


def _in_units(image: sitk.Image, unit: float) -> sitk.Image:
    """Give the image with its geometry in units of `unit` mm."""
    image = sitk.Image(image)
    image.SetSpacing([s / unit for s in image.GetSpacing()])
    image.SetOrigin([o / unit for o in image.GetOrigin()])
    return image


def _scaled(transform: sitk.Transform, factor: float) -> sitk.Transform:
    """Give the same transform in a world whose coordinates are `factor` times as large."""
    scaled = type(transform)(transform)
    scaled.SetCenter([c * factor for c in transform.GetCenter()])
    scaled.SetTranslation([t * factor for t in transform.GetTranslation()])
    return scaled


def _affine_of(rigid: sitk.Euler3DTransform) -> sitk.AffineTransform:
    affine = sitk.AffineTransform(3)
    affine.SetCenter(rigid.GetCenter())
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    return affine


def _absurd(found: sitk.Transform, centre: np.ndarray, starts: list[sitk.Euler3DTransform]) -> bool:
    """Tell whether the result lies too far from every start."""
    matrix = np.array(found.GetMatrix()).reshape(3, 3)
    u, scales, vt = np.linalg.svd(matrix)
    rotation = u @ vt
    if np.linalg.det(matrix) <= 0 or scales.min() < SCALE_RANGE[0] or scales.max() > SCALE_RANGE[1]:
        return True
    there = np.array(found.TransformPoint(centre.tolist()))
    for start in starts:
        turned = rotation @ np.array(start.GetMatrix()).reshape(3, 3).T
        angle = np.degrees(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1)))
        shift = np.linalg.norm(there - np.array(start.TransformPoint(centre.tolist())))
        if angle <= LARGEST_ROTATION and shift <= LARGEST_SHIFT:
            return False
    return True
