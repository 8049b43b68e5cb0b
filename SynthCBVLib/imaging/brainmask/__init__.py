"""Find the brain in one image of the head, with or without skull, by thresholds and morphology.

The way was chosen by measurement: docs/decisions/0009-brain-mask.md.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.brainmask.volume import Limits, Volume
from SynthCBVLib.imaging.resampling import grid, resample
from SynthCBVLib.imaging.study import Modality, like, split_volumes

__all__ = ["brain_mask"]

#: mm³; a slab of a few slices through a brain is larger, a speck in a wrong image smaller.
SMALLEST_BRAIN = 20_000.0
#: Voxel sizes (mm) of the search for the coil's shading and for the mask; coarser axes stay as they are.
SHADING_SPACING = 4.0
WORKING_SPACING = 2.0
#: The shading is known only inside the brain, and grows towards dark ends of the head with each round.
SHADING_ROUNDS = 3
#: More voxels than this at exactly the lowest value: something was cut out.
CONSTANT_SHARE = 0.3
#: With skull the brain fills about .65 of the upper head, without it all but the supposed scalp.
STRIPPED_SHARE = 0.79
#: Where it fills more than this, the scalp is too dark to be seen (EPI with suppressed fat) or was cut off.
SCALP_SHARE = 0.85
#: Rim of what was cut out, as a fraction of the deep brain's median.
CUT_EDGE = 0.05
#: What was cut out is the mask unless it is this much larger than its tissue: then much else was left in it.
LOOSE_CUT = 1.15
#: Gaps up to twice this wide (mm) are closed in what was cut out loosely.
LOOSE_CLOSING = 12.0

#: In T1w cortex is at 0.6 to 0.7 of white matter, skull and CSF at 0.3 or below, fat from 1.5 up.
_T1 = Limits(0.45, 1.6)
_LIMITS = {
    None: _T1,
    Modality.T1W: Limits(0.45, 1.6, fat_is_alone=True),
    Modality.T1C: _T1,
    Modality.FLAIR: Limits(0.6, 1.6),
    Modality.T2W: Limits(0.7),
    Modality.DWI: Limits(0.6, scalp_is_dark=True),
}


def brain_mask(image: sitk.Image, contrast: Modality | None = None) -> sitk.Image:
    """Segment the brain with the CSF of its sulci and ventricles.

    The deep brain's median intensity, followed through the coil's shading, sets the threshold (in the spirit
    of Smith, HBM 2002), so that one rule serves T1w, T2w, FLAIR, b = 0 and M0. With skull, its dark ring
    separates the brain after thin bridges are cut by an opening; without, the tissue itself is the brain.
    Where fluid is much brighter than tissue (T2w), the layer of it between brain and skull is taken off.

    Parameters
    ----------
    image : sitk.Image
        3D image of the head, axes in any order; of a series the first volume.
    contrast : Modality, optional
        Perfusion and diffusion maps (CBF, rCBV, ADC) have no skull and speckled tissue: the largest
        region that has signal is taken. T2-like images (b = 0, M0, ASL control: `Modality.DWI`), T2w and
        FLAIR have limits of their own; None takes those of T1w.

    Returns
    -------
    sitk.Image
        uint8 mask, 1 in the brain, on the grid of `image`.

    Raises
    ------
    InputError
        If there is no head in the image: constant, not finite, or nothing left of it.
    """
    image = sitk.Cast(split_volumes(image)[0], sitk.sitkFloat32)
    name = "image to find the brain in" if contrast is None else f"{contrast} image to find the brain in"
    values = sitk.GetArrayViewFromImage(image)
    if not np.all(np.isfinite(values)) or values.min() == values.max():
        raise InputError(name, "a constant image or values that are not finite", "an image of a head")
    upright = sitk.DICOMOrient(image, "LPS")
    if contrast in (Modality.CBF, Modality.RCBV, Modality.ADC):
        work = Volume(_coarser(upright, WORKING_SPACING))
        brain = work.signal()
    else:
        work, brain = _structural(upright, _LIMITS[contrast], _cut_out(values), name)
    _require(brain, work, name, "no brain found")
    soft = resample(like(brain.astype(np.float32), work.image), image)
    return sitk.Cast(soft > 0.5, sitk.sitkUInt8)


def _structural(image: sitk.Image, limits: Limits, cut: bool, name: str) -> tuple[Volume, np.ndarray]:
    coarse = Volume(_coarser(image, SHADING_SPACING))
    head, depth = coarse.head()
    _require(head, coarse, name, "no head found")
    level = coarse.deep_level(head, depth)
    if not level > 0:
        raise InputError(name, "no signal deep in the head", "an image of a head", "Was the right one given?")
    shading = np.full(head.shape, level, np.float32)
    for _ in range(SHADING_ROUNDS):
        brain = coarse.inside_skull(depth, shading, limits)
        _require(brain, coarse, name, "no brain found")
        shading = coarse.shading(brain)
    share = _share(brain, head)
    scalp = share < SCALP_SHARE and not limits.scalp_is_dark
    if scalp:
        depth = coarse.depth_below_hidden_top(head)
    loose = cut and share > STRIPPED_SHARE
    if loose:
        rest = coarse.cut_out(CUT_EDGE * level)
        # No scalp to keep away from
        depth = np.where(rest, np.float32(depth.max() + 100), np.float32(0))
        if rest.sum() < LOOSE_CUT * coarse.inside_skull(depth, shading, limits).sum():
            work = Volume(_coarser(image, WORKING_SPACING))
            return work, work.cut_out(CUT_EDGE * level)
    work = Volume(_around(_coarser(image, WORKING_SPACING), head, coarse.image))
    fine_shading = _onto(shading, coarse.image, work.image)
    brain = work.inside_skull(
        _onto(depth, coarse.image, work.image), fine_shading, limits, True, scalp and not loose
    )
    if limits.fluid_is_bright and brain.any():
        brain = work.without_fluid_rim(brain, fine_shading)
    if loose:
        # Thin dark cortex under the top of the head is worth more than the dura that was left in
        brain = work.filled(work.closed(brain, LOOSE_CLOSING)) & (work.values > CUT_EDGE * level)
        brain = work.filled(brain)
    return work, brain


def _require(mask: np.ndarray, volume: Volume, name: str, seen: str) -> None:
    if mask.sum() * float(np.prod(volume.spacing)) < SMALLEST_BRAIN:
        raise InputError(name, seen, "an image of a head", "Was the right image given?")


def _cut_out(values: np.ndarray) -> bool:
    """Tell whether the surroundings are one constant value, as they are when something was masked."""
    return bool(np.count_nonzero(values == values.min()) > CONSTANT_SHARE * values.size)


def _share(brain: np.ndarray, head: np.ndarray) -> float:
    """Tell how much of the head is brain in the slices of its upper two thirds."""
    slices = np.flatnonzero(brain.any((1, 2)))
    upper = slice(slices[len(slices) // 3], slices[-1] + 1)
    return float(brain[upper].sum() / head[upper].sum())


def _coarser(image: sitk.Image, spacing: float) -> sitk.Image:
    wanted = tuple(spacing if s < spacing / 1.2 else None for s in image.GetSpacing())
    return resample(image, grid(image, wanted)) if any(wanted) else image


def _onto(array: np.ndarray, source: sitk.Image, reference: sitk.Image) -> np.ndarray:
    """Interpolate a smooth map onto another grid; beyond its outer voxels it stays as it is there."""
    image = like(array.astype(np.float32), source)
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(reference)
    resampler.UseNearestNeighborExtrapolatorOn()
    return sitk.GetArrayFromImage(resampler.Execute(image))


def _around(image: sitk.Image, mask: np.ndarray, source: sitk.Image) -> sitk.Image:
    """Crop an image to the box of a mask that lies on another grid with the same axes."""
    where = np.argwhere(mask)[:, ::-1]
    ends = [where.min(0) - 1.0, where.max(0) + 1.0]
    at = [source.TransformContinuousIndexToPhysicalPoint(end.tolist()) for end in ends]
    low, high = (np.array(image.TransformPhysicalPointToContinuousIndex(point)) for point in at)
    low = np.clip(np.floor(low), 0, None).astype(int)
    high = np.minimum(np.ceil(high) + 1, image.GetSize()).astype(int)
    return sitk.RegionOfInterest(image, (high - low).tolist(), low.tolist())
