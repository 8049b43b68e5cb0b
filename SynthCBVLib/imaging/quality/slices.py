"""Slices that are empty, repeated, left out or of another brightness."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.imaging.quality.alignment import Aligned, mutual_information
from SynthCBVLib.imaging.quality.finding import Finding, listed
from SynthCBVLib.imaging.quality.pictures import Picture
from SynthCBVLib.imaging.quality.shading import flattened
from SynthCBVLib.imaging.study import Modality

#: log of how much more two neighbours differ than those around them; less thick slices are surer.
JUMP, JUMP_THICK, THICK = 0.75, 0.8, 4.5
#: Jumps are looked for this far (mm) from the upper edge of the image.
BRAIN_HEIGHT = 95.0
#: log of how much less they differ: one is the copy of the other.
COPY = 2.0
#: log of a slice's brightness over its neighbours'.
UNEVEN = 0.35
#: Where a slice has less tissue than this share of the median's, its brightness changes by itself.
_MIDDLE = 0.6
#: Step (share of the slice distance, and mm) where one image leaves out slices that another has.
LEAST_STEP, LEAST_STEP_LENGTH = 0.8, 4.5
#: Share of the misfit of slice positions that the step has to explain.
EXPLAINED = 0.45
#: One slice (of the neck, or of noise) counts for no more than this misfit, mm.
_OUTLIER = 3.0
#: Mean misfit (mm) of slice positions that may be left.
MOST_LEFT = 1.5
_BLUR = 2.0
#: Slices are divided by their own brightness at this scale (mm) before they are compared with others.
_FLAT = 12.0
_RANGE, _FINE = 15.0, 1.5
_FEWEST_PIXELS = 250
_MISSING = "Was a slice lost on the way? Send the series again from the scanner or the archive."


def slice_axis(image: sitk.Image) -> int:
    """Give the array axis (of z, y, x) along which slices lie: that of the longest voxels, else the first."""
    spacing = np.array(image.GetSpacing())[::-1]
    longest = int(spacing.argmax())
    return longest if spacing[longest] > 1.25 * np.median(spacing) else 0


def check_slices(modality: Modality, image: sitk.Image) -> Iterable[Finding]:
    """Look along the slices of one image."""
    axis = slice_axis(image)
    array = np.moveaxis(sitk.GetArrayFromImage(image).astype(np.float32), axis, 0)
    spacing = np.array(image.GetSpacing())[::-1]
    distance, pixels = float(spacing[axis]), np.delete(spacing, axis)
    if len(array) < 5:
        return
    constant = array.reshape(len(array), -1).min(1) == array.reshape(len(array), -1).max(1)
    filled = np.flatnonzero(~constant)
    empty = [int(k) for k in np.flatnonzero(constant) if filled[0] < k < filled[-1]]
    if empty:
        yield Finding(
            "warning", modality, f"nothing in slice {listed(k + 1 for k in empty)} of {len(array)}",
            _MISSING, "slices",
        )  # fmt: skip
    copies = [k for k in filled[:-1] if np.array_equal(array[k], array[k + 1]) and not constant[k + 1]]
    difference, brightness = _neighbours(array, pixels)
    excess = _against_trend(np.log(difference))
    copies += [int(k) for k in np.flatnonzero(excess < -COPY) if k not in copies]
    if copies:
        yield Finding(
            "warning", modality,
            f"slices {listed(f'{k + 1} and {k + 2}' for k in copies)} are the same",
            "A slice was written twice and another may be lost: send the series again.", "slices",
        )  # fmt: skip
        return
    if empty:
        return
    uneven = np.flatnonzero(np.abs(brightness) > UNEVEN) + 1
    if len(uneven):
        yield Finding(
            "warning", modality,
            f"slice {listed(int(k) + 1 for k in uneven)} is "
            f"{np.expm1(brightness[uneven[0] - 1]):+.0%} off the brightness of its neighbours",
            "Look at these slices: signal was lost, or each slice was scaled by itself.", "slices",
        )  # fmt: skip
        return
    # Skull base, eyes and the edge of the slab change from slice to slice as they please
    upwards = image.GetDirection()[8 - axis]
    if abs(upwards) > np.sqrt(0.5):
        below_top = distance * (np.arange(len(excess)) if upwards < 0 else np.arange(len(excess))[::-1])
        excess = np.where(below_top < BRAIN_HEIGHT, excess, 0.0)
    jumps = np.flatnonzero(excess > (JUMP_THICK if distance > THICK else JUMP))
    if len(jumps):
        yield Finding(
            "warning", modality,
            f"a jump between slices {listed(f'{k + 1} and {k + 2}' for k in jumps)}, which differ "
            f"{np.exp(excess[jumps].max()):.1f} times as much as their neighbours do",
            _MISSING, "slices",
        )  # fmt: skip


def _neighbours(array: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure how neighbouring slices differ (1 - correlation), and each inner slice's brightness (log)."""
    smooth = ndimage.gaussian_filter(array, (0, *(_BLUR / pixels)))[:, ::2, ::2]
    top = float(np.percentile(smooth, 99))
    smooth = np.clip(smooth, 0, top)
    tissue = smooth > 0.15 * top
    difference = np.full(len(array) - 1, np.nan)
    for k in range(len(array) - 1):
        both = tissue[k] | tissue[k + 1]
        if np.count_nonzero(both) >= _FEWEST_PIXELS:
            x, y = smooth[k][both], smooth[k + 1][both]
            if x.std() > 0 and y.std() > 0:
                difference[k] = max(1e-6, 1 - float(np.corrcoef(x, y)[0, 1]))
    brightness = np.zeros(len(array) - 2)
    areas = tissue.sum((1, 2))
    usual = float(np.median(areas[areas > 0])) if areas.any() else 0.0
    for k in range(1, len(array) - 1):
        inner = tissue[k - 1] & tissue[k + 1]
        if np.count_nonzero(inner) >= max(_FEWEST_PIXELS, _MIDDLE * usual):
            expected = (smooth[k - 1][inner] + smooth[k + 1][inner]) / 2
            ratio = np.maximum(smooth[k][inner], 1e-3 * top) / expected
            brightness[k - 1] = np.log(float(np.median(ratio)))
    return difference, brightness


def _against_trend(values: np.ndarray) -> np.ndarray:
    """Subtract from each value the line through its two neighbours on either side; 0 where there are none."""
    excess = np.zeros(len(values))
    for k in range(1, len(values) - 1):
        near = [j for j in (k - 2, k - 1, k + 1, k + 2) if 0 <= j < len(values)]
        if len(near) >= 3 and np.all(np.isfinite(values[[*near, k]])):
            excess[k] = values[k] - np.polyval(np.polyfit(near, values[near], 1), k)
    return excess


def slice_offsets(image: sitk.Image, aligned: Aligned, picture: Picture) -> np.ndarray | None:
    """Find for each slice of an image where along its normal it fits the reference best.

    Parameters
    ----------
    image : sitk.Image
        3D, in any orientation; slices along its third axis.
    aligned : Aligned
        The image on the picture of the reference.
    picture : Picture
        That picture.

    Returns
    -------
    ndarray or None
        (slices,) offset (mm) to where the alignment has it; NaN where a slice does not tell.
    """
    nx, ny, nz = image.GetSize()
    sx, sy, sz = image.GetSpacing()
    step = max(1, round(4.0 / sx)), max(1, round(4.0 / sy))
    per_slice = max(1, round(sz / _FINE))
    fine, reach = sz / per_slice, round(_RANGE / (sz / per_slice))
    size = nx // step[0], ny // step[1]
    if min(*size, nz) < 8:
        return None
    plane = sitk.Image([*size, nz * per_slice + 2 * reach], sitk.sitkFloat32)
    plane.SetSpacing([sx * step[0], sy * step[1], fine])
    plane.SetDirection(image.GetDirection())
    start = [(step[0] - 1) / 2, (step[1] - 1) / 2, -reach / per_slice]
    plane.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(start))
    inverse = aligned.transform.GetInverse()
    reference = sitk.GetArrayFromImage(sitk.Resample(picture.image, plane, inverse, sitk.sitkLinear, 0.0))
    deep = sitk.Cast(picture.mask, sitk.sitkFloat32)
    head = sitk.GetArrayFromImage(sitk.Resample(deep, plane, inverse, sitk.sitkLinear, 0.0)) > 0.5
    # A coil brightens the rim of the head, and a rim fits best wherever the head is as wide
    width = (_FLAT / (sy * step[1]), _FLAT / (sx * step[0]))
    reference = flattened(reference, head, width)
    array = sitk.GetArrayFromImage(sitk.Cast(image, sitk.sitkFloat32))
    array = ndimage.gaussian_filter(array, (0, 1.7 / sy, 1.7 / sx))
    array = array[:, step[1] // 2 :: step[1], step[0] // 2 :: step[0]][:, : size[1], : size[0]]
    offsets = np.full(nz, np.nan)
    for k in range(nz):
        middle = k * per_slice + reach
        inside = head[middle]
        if np.count_nonzero(inside) < _FEWEST_PIXELS:
            continue
        values = flattened(array[k], inside, width)[inside]
        if values.std() == 0:
            continue
        likeness = [mutual_information(values, reference[middle + j][inside], 10)
                    for j in range(-reach, reach + 1)]  # fmt: skip
        offsets[k] = _peak(np.array(likeness)) * fine - reach * fine
    return offsets


def _peak(values: np.ndarray) -> float:
    smooth = ndimage.gaussian_filter1d(values, 1.0)
    k = int(smooth.argmax())
    if k in (0, len(values) - 1):
        return np.nan
    left, middle, right = smooth[k - 1 : k + 2]
    bend = left - 2 * middle + right
    return k + (0.5 * (left - right) / bend if bend < 0 else 0.0)


def step_in(offsets: np.ndarray, distance: float) -> tuple[int, float] | None:
    """Find one step of about whole slices in the offsets of slices.

    Parameters
    ----------
    offsets : ndarray (slices,)
        mm, NaN where unknown.
    distance : float
        Of slices, mm.

    Returns
    -------
    tuple of int and float, or None
        The slice (from 0) before the step, and the step in mm; None if there is none.
    """
    known = np.flatnonzero(np.isfinite(offsets))
    if len(known) < 10:
        return None
    y = offsets[known]
    flat = _misfit(known, y, None)[0]
    best: tuple[float, int, float] | None = None
    for split in range(3, len(known) - 3):
        misfit, step = _misfit(known, y, split)
        if best is None or misfit < best[0]:
            best = (misfit, int(known[split - 1]), step)
    if best is None:
        return None
    misfit, after, step = best
    if misfit > (1 - EXPLAINED) * flat or misfit > MOST_LEFT or not LEAST_STEP <= abs(step) / distance <= 3.5:
        return None
    return (after, step) if abs(step) >= LEAST_STEP_LENGTH else None


def _misfit(x: np.ndarray, y: np.ndarray, split: int | None) -> tuple[float, float]:
    """Fit a line, with a step before number `split`, by least absolute deviations; give misfit and step."""
    columns = [np.ones(len(x)), x - x.mean()]
    if split is not None:
        columns.append((np.arange(len(x)) >= split).astype(float))
    design = np.column_stack(columns)
    weights = np.ones(len(x))
    for _ in range(12):
        root = np.sqrt(weights)[:, None]
        solution, *_ = np.linalg.lstsq(design * root, y * root[:, 0], rcond=None)
        residual = np.abs(y - design @ solution)
        weights = 1 / np.maximum(residual, 0.1)
    return float(np.minimum(residual, _OUTLIER).mean()) + 0.1, float(
        solution[2]
    ) if split is not None else 0.0


def check_steps(
    reference: Modality, distance: float, steps: Mapping[Modality, tuple[int, float] | None]
) -> Iterable[Finding]:
    """Tell where slices are missing, from the steps of the images against the reference.

    Parameters
    ----------
    reference : Modality
        What the images were held against.
    distance : float
        Its distance of slices, mm.
    steps : Mapping
        From `step_in`; None where there is no step. A step forward is a gap in the image itself, a step back
        one in the reference.
    """
    forward = {m: found for m, found in steps.items() if found is not None and found[1] > 0}
    back = {m: found for m, found in steps.items() if found is not None and found[1] < 0}
    for modality, (after, step) in forward.items():
        yield Finding(
            "warning", modality,
            f"{step:.0f} mm seem to be missing between slices {after + 1} and {after + 2}, "
            f"compared with {reference}",
            _MISSING, "slices",
        )  # fmt: skip
    if back and max(-step for _, step in back.values()) > LEAST_STEP * distance:
        yield Finding(
            "warning", reference,
            f"about {max(-step for _, step in back.values()):.0f} mm seem to be missing in the middle of the "
            f"slices, compared with {listed(back)}",
            _MISSING, "slices",
        )  # fmt: skip
