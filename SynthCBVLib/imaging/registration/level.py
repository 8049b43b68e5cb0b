"""Two images at one voxel size, and the mutual information between them."""

from __future__ import annotations

from itertools import product

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.resampling import grid, resample
from SynthCBVLib.imaging.study import is_series, like

#: Samples of the metric at the last level and at the others; fewer voxels are all used.
SAMPLES, COARSE_SAMPLES = 40_000, 15_000
#: Voxels up to this size (mm) make the last level.
FINE = 2.0
#: A turn by one radian moves the head's tissue by about this much (mm): the balance of turns and shifts.
HEAD_RADIUS = 50.0
#: The mask of the head is grown by this much (mm): wide while the images lie apart, narrow at the end.
WIDE_MARGIN, NARROW_MARGIN = 12.0, 4.0
#: What varies over longer ways than this (standard deviation, mm) is the coil's sensitivity.
COIL_SMOOTHING = 20.0
#: Signal above this percentile of the head (vessels, fat, enhancement) counts as that much.
BRIGHTEST = 95.0
#: Classes of signal at the last level and at the others, which have fewer samples to fill them.
_BINS, _COARSE_BINS = 48, 32
#: First and last step in voxels, and what shortens a step at each turn back: at the coarsest level, which all
#: starts go through and which need not be exact, at the last one, which begins near its end, and between.
_COARSE_STEPS, _FINE_STEPS, _STEPS = (0.5, 0.01, 0.6), (0.25, 0.0025, 0.5), (0.5, 0.0025, 0.6)
_SEED = 20021
_COARSE = 4.0


class Level:
    """Both images at one voxel size with the metric between them."""

    def __init__(self, moving: sitk.Image, fixed: sitk.Image, inside: sitk.Image, spacing: float) -> None:
        self.spacing = spacing
        self.fixed = coarser(fixed, spacing)
        self.moving = coarser(moving, spacing)
        self.inside = resample(inside, self.fixed, interpolation="nearest")
        n_inside = int(np.count_nonzero(sitk.GetArrayViewFromImage(self.inside)))
        samples = SAMPLES if spacing <= FINE else COARSE_SAMPLES
        self.fraction = min(1.0, samples / max(n_inside, 1))
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
        steps = _COARSE_STEPS if self.spacing > _COARSE else _STEPS
        first, last, relaxation = _FINE_STEPS if self.spacing <= FINE else steps
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=self.spacing * first / HEAD_RADIUS,
            minStep=self.spacing * last / HEAD_RADIUS,
            numberOfIterations=100,
            relaxationFactor=relaxation,
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
        method.SetMetricAsMattesMutualInformation(_BINS if self.spacing <= FINE else _COARSE_BINS)
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


def coarser(image: sitk.Image, spacing: float) -> sitk.Image:
    """Give an image with voxels of about `spacing` mm; an axis that is coarser by itself stays."""
    wanted = tuple(spacing if spacing > 1.3 * own else None for own in image.GetSpacing())
    return resample(image, grid(image, wanted)) if any(wanted) else image


def sample_masks(
    fixed: sitk.Image, mask: sitk.Image | None, margins: tuple[float, ...], fixed_name: str
) -> tuple[sitk.Image, ...]:
    """Say where to compare: in `mask` (> 0) for all, else in the head grown by each of `margins` (mm)."""
    if mask is not None:
        if is_series(mask):
            raise InputError(f"mask of the {fixed_name}", "a series of volumes", "one 3D mask")
        inside = resample(mask, fixed, interpolation="nearest") > 0
        if not np.any(sitk.GetArrayViewFromImage(inside)):
            raise InputError(f"mask of the {fixed_name}", "no voxels in its field of view", "a region there")
        return (sitk.Cast(inside, sitk.sitkUInt8),) * len(margins)
    small = coarser(fixed, _COARSE)
    closing = [max(1, round(WIDE_MARGIN / s)) for s in small.GetSpacing()]
    # A dark interior (CSF, air, white matter of T2w) belongs to the head as its rim does.
    head = sitk.BinaryMorphologicalClosing(sitk.OtsuThreshold(small, 0, 1), closing)
    radii = ([max(1, round(margin / s)) for s in small.GetSpacing()] for margin in margins)
    return tuple(resample(sitk.BinaryDilate(head, r), fixed, interpolation="nearest") for r in radii)


def without_shading(image: sitk.Image) -> sitk.Image:
    """Divide an image by its own slow variation within the head.

    The coil's sensitivity differs from image to image; mutual information would pull its slopes together.
    """
    small = coarser(image, _COARSE)
    array = sitk.GetArrayFromImage(small)
    head = (sitk.GetArrayFromImage(sitk.OtsuThreshold(small, 0, 1)) > 0).astype(np.float32)
    if not head.any():
        return image
    sigma = COIL_SMOOTHING / np.array(small.GetSpacing())[::-1]
    mean = float((array * head).sum() / head.sum())
    if mean <= 0:  # no magnitude image: nothing that a sensitivity could have multiplied
        return image
    # Towards the outside, where there is nothing to tell it from, the field goes to the mean.
    field = (gaussian_filter(array * head, sigma) + 0.02 * mean) / (gaussian_filter(head, sigma) + 0.02)
    field = np.maximum(field / mean, 0.05).astype(np.float32)
    even = image / sitk.Resample(
        like(field, small), image, sitk.Transform(), sitk.sitkLinear, 1.0, sitk.sitkFloat32, True
    )
    return sitk.Cast(even, sitk.sitkFloat32)  # quotients have double precision


def without_brightest(image: sitk.Image) -> sitk.Image:
    """Cut the brightest signal of the head off, so that the classes of signal go to the brain.

    What is brightest (vessels, fat, enhancement) is so in one of the images alone.
    """
    array = sitk.GetArrayFromImage(image)
    head = sitk.GetArrayFromImage(sitk.OtsuThreshold(image, 0, 1)) > 0
    if not head.any():
        return image
    return like(np.minimum(array, np.percentile(array[head], BRIGHTEST)).astype(np.float32), image)


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
