"""Distortion of echo-planar images along their phase direction, found against a structural image.

Off-resonance shifts echo-planar signal along one axis of the image. A smooth displacement along that axis
alone (cubic B-spline) is sought by mutual information, and signal that piled up is spread again by the
Jacobian (Studholme et al., IEEE TMI 2000).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.registration.level import coarser, sample_mask, without_shading
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import is_series, like
from SynthCBVLib.progress import Progress, silent

#: Distance of the B-spline's nodes (mm) in the two passes.
NODES = (48.0, 24.0)
#: Voxel size (mm) of the passes.
SPACINGS = (4.0, 3.0)
#: Smallest relative gain of the metric that is worth moving signal for.
SMALLEST_GAIN = 0.005
#: Displacements beyond this (mm) are refused as absurd.
LARGEST_SHIFT = 25.0
_BINS, _SAMPLES, _SEED = 32, 30_000, 20021


@dataclass(frozen=True)
class DistortionField:
    """Outcome of the search.

    Attributes
    ----------
    transform : sitk.Transform
        Points of the undistorted image to points of the distorted one (mm, LPS); identity if `applied` is
        False. It follows a rigid transform: ``CompositeTransform([transform, rigid])``.
    jacobian : sitk.Image
        Factor for signal that `transform` brings back, on the grid of the echo-planar image; 1 everywhere
        if `applied` is False.
    before, after : float
        Negative mutual information (nats; lower is better) without and with the displacement.
    largest : float
        Largest displacement in the head, mm.
    applied : bool
        False where nothing better was found, or only something absurd.
    """

    transform: sitk.Transform
    jacobian: sitk.Image
    before: float
    after: float
    largest: float
    applied: bool


def estimate_distortion(
    echo_planar: sitk.Image,
    structural: sitk.Image,
    rigid: sitk.Transform | None = None,
    phase_axis: int = 1,
    progress: Progress | None = None,
) -> DistortionField:
    """Find the distortion of an echo-planar image.

    Parameters
    ----------
    echo_planar : sitk.Image
        3D; b = 0 of the DWI.
    structural : sitk.Image
        3D and free of distortion; T2w, which looks most like it.
    rigid : sitk.Transform, optional
        Points of `structural` to points of `echo_planar`, as `register` gives it.
    phase_axis : int
        Index axis of the phase direction: 0 along rows, 1 along columns (the usual), 2 across slices.
    progress : Progress, optional
        Told of each pass.

    Raises
    ------
    InputError
        If an image is a series or the axis does not exist.
    """
    progress = progress or silent
    if phase_axis not in (0, 1, 2):
        raise InputError("phase axis", repr(phase_axis), "0, 1 or 2")
    for name, image in (("echo-planar image", echo_planar), ("structural image", structural)):
        if is_series(image) or image.GetDimension() != 3:
            raise InputError(name, f"a {image.GetDimension()}D image", "one 3D volume")
    rigid = sitk.Transform(3, sitk.sitkIdentity) if rigid is None else rigid
    there = resample(
        without_shading(sitk.Cast(structural, sitk.sitkFloat32)), echo_planar, rigid.GetInverse()
    )
    distorted = without_shading(sitk.Cast(echo_planar, sitk.sitkFloat32))
    # Along the image's own axes the phase direction is one coordinate, however oblique the slices are.
    fixed, moving = _straight(there), _straight(distorted)
    inside = sample_mask(fixed, None, 4.0, "structural image")
    spline: sitk.BSplineTransform | None = None
    for number, (nodes, spacing) in enumerate(zip(NODES, SPACINGS, strict=True)):
        progress(0.1 + 0.4 * number, f"Undistorting with nodes {nodes:g} mm apart")
        spline = _pass(coarser(fixed, spacing), coarser(moving, spacing), inside, nodes, spline, phase_axis)
    progress(0.9, "Judging the result")
    before, after = (_value(fixed, moving, inside, t) for t in (sitk.Transform(3, sitk.sitkIdentity), spline))
    shift = _along(spline, fixed, phase_axis)
    head = sitk.GetArrayViewFromImage(inside) > 0
    slope = np.gradient(shift, fixed.GetSpacing()[phase_axis], axis=2 - phase_axis)
    largest = float(np.abs(shift[head]).max())
    plausible = largest <= LARGEST_SHIFT and float((1 + slope[head]).min()) > 0.1
    applied = bool(plausible and after < before - SMALLEST_GAIN * abs(before))
    progress(1.0, "Undistorted" if applied else "Left as it was")
    if not applied:
        shift, slope = np.zeros_like(shift), np.zeros_like(slope)
    jacobian = like(np.maximum(1 + slope, 0.1).astype(np.float32), echo_planar)
    transform = _transform(shift, echo_planar, phase_axis) if applied else sitk.Transform()
    return DistortionField(transform, jacobian, before, after, largest, applied)


def undistorted(echo_planar: sitk.Image, field: DistortionField) -> sitk.Image:
    """Give an echo-planar image without its distortion, on its own grid, with its signal spread again."""
    if not field.applied:
        return sitk.Cast(echo_planar, sitk.sitkFloat32)
    return resample(echo_planar, echo_planar, field.transform) * field.jacobian


def _straight(image: sitk.Image) -> sitk.Image:
    straight = sitk.Image(image)
    straight.SetDirection(np.eye(3).ravel().tolist())
    straight.SetOrigin((0.0, 0.0, 0.0))
    return straight


def _method(inside: sitk.Image) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfWorkUnits(1)  # sums in one order: the same result on every machine
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricUseFixedImageGradientFilter(False)
    method.SetMetricUseMovingImageGradientFilter(False)
    method.SetMetricFixedMask(inside)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _sampled(method: sitk.ImageRegistrationMethod, inside: sitk.Image) -> sitk.ImageRegistrationMethod:
    count = int(np.count_nonzero(sitk.GetArrayViewFromImage(inside)))
    if count > _SAMPLES:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(_SAMPLES / count, _SEED)
    return method


def _value(fixed: sitk.Image, moving: sitk.Image, inside: sitk.Image, transform: sitk.Transform) -> float:
    method = _sampled(_method(inside), inside)
    method.SetInitialTransform(sitk.Transform(transform))
    return float(method.MetricEvaluate(fixed, moving))


def _pass(
    fixed: sitk.Image,
    moving: sitk.Image,
    inside: sitk.Image,
    nodes: float,
    start: sitk.BSplineTransform | None,
    axis: int,
) -> sitk.BSplineTransform:
    extent = np.array(fixed.GetSize()) * np.array(fixed.GetSpacing())
    mesh = [max(1, round(length / nodes)) for length in extent]
    spline = sitk.BSplineTransformInitializer(fixed, mesh)
    if start is not None:
        spline = _finer(start, spline, axis)
    inside = resample(inside, fixed, interpolation="nearest")
    method = _sampled(_method(inside), inside)
    count = len(spline.GetParameters()) // 3
    weights = np.zeros(3 * count)
    weights[axis * count : (axis + 1) * count] = 1.0
    method.SetOptimizerWeights(weights.tolist())
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=8.0, minStep=0.05, numberOfIterations=40, relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-8,
    )  # fmt: skip
    method.SetInitialTransform(spline, inPlace=True)
    method.Execute(fixed, moving)
    return spline


def _finer(coarse: sitk.BSplineTransform, fine: sitk.BSplineTransform, axis: int) -> sitk.BSplineTransform:
    """Give the finer spline the coarser one's displacement."""
    sampled = sitk.Resample(
        coarse.GetCoefficientImages()[axis], fine.GetCoefficientImages()[axis], sitk.Transform(),
        sitk.sitkLinear, 0.0,
    )  # fmt: skip
    count = len(fine.GetParameters()) // 3
    parameters = np.zeros(3 * count)
    parameters[axis * count : (axis + 1) * count] = sitk.GetArrayFromImage(sampled).ravel()
    fine.SetParameters(parameters.tolist())
    return fine


def _along(spline: sitk.BSplineTransform, grid: sitk.Image, axis: int) -> np.ndarray:
    """Displacement along the phase direction (mm) on the image's grid, array order (z, y, x)."""
    field = sitk.TransformToDisplacementField(
        spline,
        sitk.sitkVectorFloat64,
        grid.GetSize(),
        grid.GetOrigin(),
        grid.GetSpacing(),
        grid.GetDirection(),
    )
    return sitk.GetArrayFromImage(field)[..., axis]


def _transform(shift: np.ndarray, image: sitk.Image, axis: int) -> sitk.DisplacementFieldTransform:
    direction = np.array(image.GetDirection()).reshape(3, 3)[:, axis]
    field = sitk.GetImageFromArray(shift[..., None] * direction, isVector=True)
    field.CopyInformation(image)
    return sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))
