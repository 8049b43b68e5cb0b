"""Align one image with another: rigid or affine, by mutual information, from several starts.

Multi-resolution Mattes mutual information (Mattes et al., IEEE TMI 2003) with SimpleITK; for maps of flow the
last step is a fit by least squares.  The header's alignment is the first start and stays if nothing better is
found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.registration.level import (
    NARROW_MARGIN,
    WIDE_MARGIN,
    Level,
    sample_masks,
    without_brightest,
    without_shading,
)
from SynthCBVLib.imaging.registration.relation import fitted, is_loose
from SynthCBVLib.imaging.registration.starts import Start, find_starts
from SynthCBVLib.imaging.resampling import overlap
from SynthCBVLib.imaging.study import is_series, settled
from SynthCBVLib.progress import Progress, silent

Model = Literal["rigid", "affine"]

#: Voxel sizes (mm) of the levels; an axis that is coarser by itself stays as it is.
LEVELS = (8.0, 4.0, 2.0)
#: Results beyond these, measured from the start that led there, are refused as absurd.
LARGEST_ROTATION = 45.0
LARGEST_SHIFT = 100.0
SCALE_RANGE = (0.7, 1.4)
#: Less than this fraction of the smaller field of view in common after alignment is absurd too.
SMALLEST_OVERLAP = 0.2
#: A header whose fields of view share less than this fraction is not trusted with the orientation either.
TRUSTED_OVERLAP = 0.35
#: Smallest relative gain of the metric that is worth moving the image for.
SMALLEST_GAIN = 0.005
#: Relative gain over all other starts that a turn needs of which a trustworthy header knows nothing.
GAIN_OF_A_TURN = 0.25


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
    wide, narrow = sample_masks(fixed, mask, (WIDE_MARGIN, NARROW_MARGIN), fixed_name)
    images = without_shading(moving), without_shading(fixed)
    levels = [Level(*images, wide, spacing) for spacing in LEVELS[:-1]]
    levels.append(Level(*map(without_brightest, images), narrow, LEVELS[-1]))
    progress(0.05, "Comparing starting positions")
    trusted = share >= TRUSTED_OVERLAP
    starts, centre = find_starts(levels[0], trusted)
    start, found, done = _contest(levels, starts, trusted)
    for number in range(done, len(levels)):
        progress(0.2 + 0.6 * number / len(levels), f"Aligning at {LEVELS[number]:g} mm")
        last = number == len(levels) - 1
        found = _finished(levels, found, centre) if last else levels[number].optimised(found)
    if model == "affine":
        progress(0.75, "Aligning with scale and shear")
        found = _affine_of(found)
        for level in levels[1:]:
            found = level.optimised(found)
    progress(0.95, "Judging the result")
    identity = sitk.Transform(3, sitk.sitkIdentity)
    before, after = levels[-1].value(identity), levels[-1].value(found)
    absurd = _absurd(found, centre, start.transform) or _lost(found, moving, fixed)
    applied = after < before - SMALLEST_GAIN * abs(before) and not absurd
    progress(1.0, "Aligned" if applied else "Kept the alignment of the header")
    return Registration(found if applied else identity, before, after, applied)


def _contest(levels: list[Level], starts: list[Start], trusted: bool) -> tuple[Start, sitk.Transform, int]:
    """Follow every start and give the best, where it led, and how many levels are done.

    Half a turn away a head looks much the same at the coarsest level: turned starts and the best of the
    others compete at the next one too.
    """
    first = [(start, levels[0].optimised(start.transform)) for start in starts]
    values = [levels[0].value(found) for _, found in first]
    ranked = [first[i] for i in np.argsort(values, kind="stable")]
    turned = [pair for pair in ranked if pair[0].turned]
    if not turned:
        return *ranked[0], 1
    usual = [pair for pair in ranked if not pair[0].turned]
    second = [(start, levels[1].optimised(found)) for start, found in usual[:1] + turned]
    values = [levels[1].value(found) for _, found in second]
    best = int(np.argmin(values))
    if trusted and values[best] > values[0] - GAIN_OF_A_TURN * abs(values[0]):
        best = 0
    start, found = second[best]
    # Having won against the other turns, a large turn is no sign of having lost the way.
    return Start(sitk.Euler3DTransform(found), start.turned), found, 2


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


def _finished(levels: list[Level], start: sitk.Euler3DTransform, centre: np.ndarray) -> sitk.Euler3DTransform:
    """Find the final pose from that of the last level but one."""
    loose = is_loose(levels[-1], lambda: levels[-2].value(start))
    found = fitted(levels[-1], start, centre) if loose else None
    return _besides_size(levels[-1], start, centre) if found is None else found


def _besides_size(level: Level, start: sitk.Euler3DTransform, centre: np.ndarray) -> sitk.Euler3DTransform:
    """Optimise pose and size together and give the pose alone.

    Vessels and fluid on the brain's surface make it seem larger in one contrast than in the other. Where the
    field of view shows the top of the head but not its bottom, a rigid fit takes that for a shift.
    """
    middle = centre.tolist()
    similar = sitk.Similarity3DTransform()
    similar.SetCenter(middle)
    similar.SetMatrix(start.GetMatrix(), 1e-6)
    similar.SetTranslation(np.subtract(start.TransformPoint(middle), middle).tolist())
    found = level.optimised(similar)
    rigid = sitk.Euler3DTransform()
    rigid.SetCenter(middle)
    rigid.SetMatrix((np.array(found.GetMatrix()) / found.GetScale()).tolist(), 1e-6)
    rigid.SetTranslation(found.GetTranslation())
    return rigid


def _affine_of(rigid: sitk.Euler3DTransform) -> sitk.AffineTransform:
    affine = sitk.AffineTransform(3)
    affine.SetCenter(rigid.GetCenter())
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    return affine


def _absurd(found: sitk.Transform, centre: np.ndarray, start: sitk.Euler3DTransform) -> bool:
    """Tell whether the result lies too far from the start that led to it, or scales beyond reason."""
    matrix = np.array(found.GetMatrix()).reshape(3, 3)
    u, scales, vt = np.linalg.svd(matrix)
    if np.linalg.det(matrix) <= 0 or scales.min() < SCALE_RANGE[0] or scales.max() > SCALE_RANGE[1]:
        return True
    turned = u @ vt @ np.array(start.GetMatrix()).reshape(3, 3).T
    angle = np.degrees(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1)))
    shift = np.subtract(found.TransformPoint(centre.tolist()), start.TransformPoint(centre.tolist()))
    return bool(angle > LARGEST_ROTATION or np.linalg.norm(shift) > LARGEST_SHIFT)


def _lost(found: sitk.Transform, moving: sitk.Image, fixed: sitk.Image) -> bool:
    """Tell whether the fields of view have hardly anything in common after alignment."""
    return max(overlap(moving, fixed, found), overlap(fixed, moving, found.GetInverse())) < SMALLEST_OVERLAP
