"""Contralateral white-matter proposals: hot spots mirrored, then moved to the nearest normal white matter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.analysis.arrays import check_grid, inside_of, values_of
from SynthCBVLib.analysis.regions.hot_spots import APART, SlicePlane, Spots, distance_from
from SynthCBVLib.analysis.regions.stamp import AREA, disc_kernel
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality

if TYPE_CHECKING:
    from SynthCBVLib.analysis.regions.midsagittal import SagittalPlane
    from SynthCBVLib.imaging.quality import Finding

#: A disc's edge keeps these distances (mm) from the tumour segment, the mid-plane and the brain's surface.
FROM_TUMOUR = 6.0
FROM_MIDLINE = 4.0
FROM_SURFACE = 3.0
#: Demands on a disc, in this order: least share of white matter within it, and of it with the ring around.
DEMANDS = ((0.97, 0.9), (0.95, 0.85), (0.9, 0.8), (0.8, 0.6))
#: A disc may lie this much farther (mm) from the mirrored hot spot for each hundredth of white matter that it
#: gains. What is around it does not count here: readers place regions near cortex too, and deep white matter
#: alone would read 9 % lower.
WAY_FOR_PURITY = 3.0
#: The map's mean over a disc lies this close (relative) to its median in the slice's white matter, and its
#: spread is at most this multiple of the median spread: vessels and cortex blur in from beside a disc.
USUAL_MEAN = 0.3
USUAL_SPREAD = 2.0
#: Width of that ring, mm: what lies beside a disc blurs into a map of coarser voxels.
RING = 1.7
#: White matter is the brighter tissue (True) or the darker one (False).
_BRIGHT = {Modality.T1W: True, Modality.T1C: True, Modality.T2W: False, Modality.FLAIR: False,
           Modality.DWI: False, Modality.CBF: False, Modality.RCBV: False}  # fmt: skip
#: Share of the discs with the least spread that are looked at to learn the tissues' intensities.
_CALM = 0.3


def propose_white_matter(
    reference: sitk.Image,
    map: sitk.Image,
    hot_spots: Spots,
    tumour_segment: sitk.Image,
    plane: SagittalPlane,
    mask: sitk.Image,
    contrast: Modality | str | None = None,
    area: float = AREA,
    others: Mapping[Modality, sitk.Image] | None = None,
) -> Spots:
    """Propose one region of contralateral normal-appearing white matter for each hot spot, in its slice.

    Hot spots are mirrored at the mid-sagittal plane; the nearest disc is taken that is white matter by its
    intensity, with what surrounds it, lies clear of lesion, mid-line and surface, and whose map is even.

    Parameters
    ----------
    reference : sitk.Image
        Anatomical image.
    map : sitk.Image
        Map that the regions are for.
    hot_spots : Spots
        From `propose_tumour`.
    tumour_segment, mask : sitk.Image
        Tumour, and brain.
    plane : SagittalPlane
        Mid-sagittal plane.
    contrast : Modality or str, optional
        What `reference` is; if not given, white matter is the tissue of lower blood volume.
    area : float
        Area of each region, mm².
    others : Mapping of Modality to sitk.Image, optional
        More anatomical images on the same grid: a voxel is white matter if all of them say so. Deep grey
        matter is nearly as dark as white matter in T2w, and cortex blurs into T1w: the two together are surer
        than either.

    Raises
    ------
    InputError
        If the grids differ (all images share one), or a slice has no white matter on the other side.
    """
    slices = SlicePlane(reference, "anatomical image")
    for name, image in (("map", map), ("tumour segment", tumour_segment), ("brain mask", mask)):
        check_grid(image, name, reference, "anatomical image")
    pixel = slices.pixel
    values = slices.slices_of(values_of(reference, "anatomical image"))
    perfusion = slices.slices_of(values_of(map, "map"))
    brain = slices.slices_of(inside_of(mask, "brain mask")) & np.isfinite(values)
    tumour = slices.slices_of(inside_of(tumour_segment, "tumour segment"))
    sides = slices.slices_of(plane.distance_map(reference))
    side = _side(sides, hot_spots, slices)
    radius = math.sqrt(area / math.pi)
    spacing = (reference.GetSpacing()[slices.axis], *pixel)
    clear = ndimage.distance_transform_edt(~tumour, sampling=spacing) > FROM_TUMOUR + radius
    other = clear & brain & (sides * side < -(FROM_MIDLINE + radius))
    white = learn_white_matter(values, perfusion, other, pixel, area, contrast).share_of(values, pixel)
    for modality, image in (others or {}).items():
        check_grid(image, f"{modality} image", reference, "anatomical image")
        more = slices.slices_of(values_of(image, f"{modality} image"))
        learnt = learn_white_matter(more, perfusion, other & np.isfinite(more), pixel, area, modality)
        white = np.minimum(white, learnt.share_of(more, pixel))
    found: list[tuple[int, int, int]] = []
    worst = 0
    for index in hot_spots.indices:
        number = int(index[slices.axis])
        mirrored = plane.mirror(np.array(reference.TransformIndexToPhysicalPoint([int(i) for i in index])))
        wanted = slices.spot(reference.TransformPhysicalPointToContinuousIndex(mirrored.tolist()))[1:]
        taken = [(r, c) for k, r, c in found if k == number]
        spot, level = _nearest(white[number], perfusion[number], other[number], brain[number], wanted, taken,
                               pixel, area)  # fmt: skip
        if spot is None:
            raise InputError(
                "white matter",
                f"none found on the other side in slice {number + 1}",
                "normal-appearing white matter in the slice of the tumour",
                "Check the brain mask and the tumour segment, or place the regions by hand.",
            )
        found.append((number, *spot))
        worst = max(worst, level)
    return Spots(
        {f"White matter {i}": slices.stamped(spot, area) for i, spot in enumerate(found, start=1)},
        tuple(slices.index(spot) for spot in found),
        tuple(_findings(worst)),
    )


@dataclass(frozen=True)
class WhiteMatter:
    """Intensity of white matter throughout an image.

    Attributes
    ----------
    level : ndarray (slice, row, column)
        White matter's intensity with the receiver's slow changes.
    grey : float
        Grey matter's intensity relative to that level.
    """

    level: np.ndarray
    grey: float

    def share_of(self, values: np.ndarray, pixel: tuple[float, float]) -> np.ndarray:
        """Give the share of white matter of each voxel (0 to 1): at white matter's level 1, at grey's 0.

        What is as far on the other side of white matter's level, such as a vessel, counts as little.
        """
        calm = ndimage.gaussian_filter(values, (0.0, 0.6 / pixel[0], 0.6 / pixel[1]))
        return np.clip(1 - np.abs(calm / self.level - 1) / abs(self.grey - 1), 0, 1)


def learn_white_matter(
    values: np.ndarray,
    perfusion: np.ndarray,
    usable: np.ndarray,
    pixel: tuple[float, float],
    area: float = AREA,
    contrast: Modality | str | None = None,
) -> WhiteMatter:
    """Learn white matter's intensity from the calmest discs of the healthy side.

    Discs of little spread are white matter or thick grey matter. They are parted into two by Otsu's
    threshold; white matter is the brighter or darker part as `contrast` has it. A quadratic in space takes up
    the receiver's sensitivity.

    Parameters
    ----------
    values, perfusion : ndarray (slice, row, column)
        Anatomical image and map.
    usable : ndarray of bool
        Healthy side of the brain.
    pixel : tuple of float
        Height and width of a pixel, mm.
    area : float
        Area of the discs, mm².
    contrast : Modality or str, optional
        What `values` is.

    Raises
    ------
    InputError
        If there is too little brain on the healthy side, or no contrast in it.
    """
    from skimage.filters import threshold_otsu

    kernel = disc_kernel(pixel, area)
    mean, square, share, flow = (
        _convolved(part, kernel)
        for part in (
            np.where(usable, values, 0),
            np.where(usable, values, 0) ** 2,
            usable.astype(float),
            np.where(usable & np.isfinite(perfusion), perfusion, 0),
        )
    )
    whole = (share > 0.99) & (mean > 0)
    if whole.sum() < 200:
        raise InputError(
            "healthy side of the brain", f"{int(whole.sum())} places for a region",
            "a brain mask with both halves",
            "Check the brain mask and the tumour segment, or place the regions by hand.",
        )  # fmt: skip
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    at = np.argwhere(whole & (spread <= np.quantile(spread[whole], _CALM)))
    logs, blood = np.log(mean[tuple(at.T)]), flow[tuple(at.T)]
    low, high = np.quantile(logs, [0.01, 0.99])
    if not high > low:
        raise InputError("anatomical image", "one value only", "grey and white matter of different intensity")
    bulk = (logs >= low) & (logs <= high)
    bright = _bright(logs[bulk], blood[bulk], contrast)
    basis = _quadratic(at, values.shape)
    trend = np.zeros(len(logs))
    for _ in range(4):
        flat = logs - trend
        edge = threshold_otsu(flat[bulk], nbins=128)
        ours = bulk & ((flat > edge) if bright else (flat < edge))
        middle = np.median(flat[ours])
        width = 2.5 * 1.4826 * np.median(np.abs(flat[ours] - middle)) + 1e-9
        core = ours & (np.abs(flat - middle) <= width)
        solution = np.linalg.lstsq(basis[core], logs[core], rcond=None)[0]
        trend = basis @ solution
        trend -= trend[core].mean()
    grey = bulk & ((flat < edge) if bright else (flat > edge))
    everywhere = np.argwhere(np.ones(values.shape, bool))
    level = np.exp(_quadratic(everywhere, values.shape) @ solution).reshape(values.shape)
    ratio = math.exp(float(np.median(flat[grey]) - np.median(flat[core])))
    return WhiteMatter(level, ratio)


def _bright(logs: np.ndarray, blood: np.ndarray, contrast: Modality | str | None) -> bool:
    """Tell whether white matter is the brighter tissue: of grey and white it has less blood."""
    known = None if contrast is None else _BRIGHT.get(Modality(contrast))
    if known is not None:
        return known
    ranks = [np.argsort(np.argsort(part)) for part in (logs, blood)]
    return bool(np.corrcoef(*ranks)[0, 1] < 0)


def _quadratic(at: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Give the ten terms of a quadratic in three axes, each axis from -1 to 1."""
    z, y, x = (2 * at[:, axis] / max(shape[axis] - 1, 1) - 1 for axis in range(3))
    one = np.ones(len(at))
    return np.stack([one, x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=1)


def _convolved(volume: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return ndimage.convolve(volume.astype(float), kernel[None], mode="constant")


def _side(sides: np.ndarray, hot_spots: Spots, slices: SlicePlane) -> float:
    """Tell the tumour's side: +1 left, -1 right, by the hot spots' centres."""
    at = [slices.spot(index) for index in hot_spots.indices]
    total = sum(float(sides[int(k), int(r), int(c)]) for k, r, c in at)
    return 1.0 if total >= 0 else -1.0


def _nearest(
    white: np.ndarray,
    perfusion: np.ndarray,
    other: np.ndarray,
    brain: np.ndarray,
    wanted: tuple[float, float],
    taken: list[tuple[int, int]],
    pixel: tuple[float, float],
    area: float,
) -> tuple[tuple[int, int] | None, int]:
    """Find the disc of white matter nearest to the mirrored hot spot, and which demand it meets."""
    radius = math.sqrt(area / math.pi)
    kernel = disc_kernel(pixel, area)
    wide = disc_kernel(pixel, math.pi * (radius + RING) ** 2)
    within = ndimage.convolve(white, kernel, mode="constant")
    around = ndimage.convolve(white, wide, mode="constant")
    depth = ndimage.distance_transform_edt(np.pad(brain, 1), sampling=pixel)[1:-1, 1:-1]
    clear = distance_from(white.shape, taken, pixel) > APART * radius
    usable = other & clear & (depth > FROM_SURFACE + radius)
    away = distance_from(white.shape, [wanted], pixel)
    even = _even(perfusion, kernel, usable & (within >= DEMANDS[0][0]))
    for level, (least, least_around) in enumerate(DEMANDS):
        allowed = usable & even & (within >= least) & (around >= least_around)
        if allowed.any():
            cost = away - 100 * WAY_FOR_PURITY * within
            best = int(np.argmin(np.where(allowed, cost, np.inf)))
            return (best // white.shape[1], best % white.shape[1]), level
    return None, len(DEMANDS)


def _even(perfusion: np.ndarray, kernel: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Find where a map is even over a disc and its mean is usual among the candidates."""
    finite = np.isfinite(perfusion) & (perfusion > 0)
    values = np.where(finite, perfusion, 0)
    mean = ndimage.convolve(values, kernel, mode="constant")
    square = ndimage.convolve(values**2, kernel, mode="constant")
    filled = ndimage.convolve(finite.astype(float), kernel, mode="constant") > 0.99
    if not (candidates & filled).any():
        return filled
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    usual, calm = np.median(mean[candidates & filled]), np.median(spread[candidates & filled])
    return filled & (np.abs(mean / usual - 1) <= USUAL_MEAN) & (spread <= USUAL_SPREAD * calm)


def _findings(worst: int) -> list[Finding]:
    from SynthCBVLib.imaging.quality import Finding

    if worst < 2:
        return []
    return [
        Finding(
            "warning",
            None,
            "A white-matter region may hold some grey matter or CSF.",
            "Look whether it lies in white matter, and move it if not.",
        )
    ]
