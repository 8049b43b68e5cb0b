"""Contralateral white-matter proposals: hot spots mirrored, then moved to pure white matter nearby."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.analysis.arrays import check_grid, inside_of, values_of
from SynthCBVLib.analysis.regions.hot_spots import APART, SlicePlane, Spots, distance_from
from SynthCBVLib.analysis.regions.stamp import AREA, disc_kernel
from SynthCBVLib.analysis.regions.white_level import learn_white_matter
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality

if TYPE_CHECKING:
    from SynthCBVLib.analysis.regions.midsagittal import SagittalPlane
    from SynthCBVLib.imaging.quality import Finding

#: A disc's edge keeps these distances (mm) from the tumour segment, the mid-plane and the brain's surface.
FROM_TUMOUR = 6.0
FROM_MIDLINE = 4.0
FROM_SURFACE = 3.0
#: Width of the ring around a disc that is looked at with it, mm: what lies beside a disc blurs into a map of
#: coarser voxels, and thin white matter between grey is seldom pure.
RING = 1.7
#: Discs within this of white matter's intensity (in its difference from grey matter's) tell what is usual.
NEAR_WHITE = 0.2
#: This quantile of those discs' spread is noise: pure white matter has no less.
NOISE = 0.05
#: Discs with at most this spread, alone and with their ring, tell white matter's level in the slice.
EVEN = (0.035, 0.06)
#: Where that noise is above this (in the difference from grey matter's intensity), it may as well be a
#: slice without pure white matter, which is told; it is .02 to .05 in digital patients' T2w.
UNEVEN = 0.1
#: Blood volume of white matter changes slowly across a slice: a disc is held against white matter about it,
#: weighted by a Gaussian of this standard deviation (mm). Held against the whole slice's median, discs
#: opposite the tumour were given up for others 40 to 60 mm away.
REGION = 20.0
#: A disc that only just meets its limits counts as this much farther away (mm) than one without any fault.
FAR = 10.0


@dataclass(frozen=True)
class Demand:
    """What is asked of a disc of white matter.

    Intensities are relative to the difference between grey and white matter, spreads (standard deviations)
    without noise.

    Attributes
    ----------
    spread : float
        Largest spread of the anatomical image over the disc. A border with grey matter or fluid, and a
        mixture within voxels, show as spread before they show in the mean.
    spread_around : float
        Largest spread over the disc with its ring. Wide enough that a disc may lie within a few mm of cortex,
        as most white matter does: the very calmest discs lie deep, where the map reads 10 % lower than
        beside the cortex that a tumour is mostly near to.
    grey, beyond : float
        Farthest that the mean lies toward grey matter and on the other side of white matter's median.
    beside : float
        Farthest that the mean lies from that median in the same place of either neighbouring slice. Slices
        are thick: where the neighbours are no white matter, a slice that looks white is a mixture.
    blood : float
        Largest ratio of the map's mean to that of white matter about it, or its inverse.
    blood_spread : float
        Largest multiple of the median spread of the map over discs of white matter: vessels and cortex blur
        in from beside a disc.
    """

    spread: float
    spread_around: float
    grey: float
    beyond: float
    beside: float
    blood: float
    blood_spread: float


DEMAND = Demand(0.055, 0.095, 0.12, 0.16, 0.4, 1.3, 3.0)
#: Where no disc meets the demand, that of the least fault is taken; it is told of where it exceeds a limit
#: by this factor.
TRUSTED = 1.5


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

    Hot spots are mirrored at the mid-sagittal plane. Of the discs that lie clear of lesion, mid-line and
    surface and are pure white matter (even in the anatomical image, with what surrounds them, at white
    matter's intensity there and in the neighbouring slices, and even and usual in the map), the nearest is
    taken, a little farther away where it is the purer for it: blood volume of white matter changes from place
    to place, so the ratio is steadiest where its reference lies just opposite.

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
        More anatomical images on the same grid: a disc is white matter if all of them say so. Deep grey
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
    shares = [learn_white_matter(values, perfusion, other, pixel, area, contrast).share_of(values, pixel)]
    for modality, image in (others or {}).items():
        check_grid(image, f"{modality} image", reference, "anatomical image")
        more = slices.slices_of(values_of(image, f"{modality} image"))
        known = other & np.isfinite(more)
        shares.append(learn_white_matter(more, perfusion, known, pixel, area, modality).share_of(more, pixel))
    found: list[tuple[int, int, int]] = []
    discs: dict[int, _Discs] = {}
    worst, noise = 0.0, 0.0
    for index in hot_spots.indices:
        number = int(index[slices.axis])
        mirrored = plane.mirror(np.array(reference.TransformIndexToPhysicalPoint([int(i) for i in index])))
        wanted = slices.spot(reference.TransformPhysicalPointToContinuousIndex(mirrored.tolist()))[1:]
        taken = [(r, c) for k, r, c in found if k == number]
        if number not in discs:
            discs[number] = _Discs(
                shares, number, perfusion[number], other[number], brain[number], pixel, area
            )
        spot, fault = discs[number].best(wanted, taken)
        if spot is None:
            raise InputError(
                "white matter",
                f"none found on the other side in slice {number + 1}",
                "normal-appearing white matter in the slice of the tumour",
                "Check the brain mask and the tumour segment, or place the regions by hand.",
            )
        found.append((number, *spot))
        worst, noise = max(worst, fault), max(noise, discs[number].noise)
    return Spots(
        {f"White matter {i}": slices.stamped(spot, area) for i, spot in enumerate(found, start=1)},
        tuple(slices.index(spot) for spot in found),
        tuple(_findings(worst, noise)),
    )


def _side(sides: np.ndarray, hot_spots: Spots, slices: SlicePlane) -> float:
    """Tell the tumour's side: +1 left, -1 right, by the hot spots' centres."""
    at = [slices.spot(index) for index in hot_spots.indices]
    total = sum(float(sides[int(k), int(r), int(c)]) for k, r, c in at)
    return 1.0 if total >= 0 else -1.0


class _Discs:
    """The discs around each pixel of one slice, and what is at fault with each.

    Attributes
    ----------
    fault : ndarray (row, column)
        Largest multiple of a limit of `DEMAND`; up to 1 it is met. Infinite where no region may lie.
    """

    def __init__(
        self,
        shares: Sequence[np.ndarray],
        number: int,
        perfusion: np.ndarray,
        other: np.ndarray,
        brain: np.ndarray,
        pixel: tuple[float, float],
        area: float,
    ) -> None:
        self.pixel, self.radius = pixel, math.sqrt(area / math.pi)
        kernel = disc_kernel(pixel, area)
        wide = disc_kernel(pixel, math.pi * (self.radius + RING) ** 2)
        depth = ndimage.distance_transform_edt(np.pad(brain, 1), sampling=pixel)[1:-1, 1:-1]
        known = np.isfinite(perfusion) & (perfusion > 0)
        whole = ndimage.convolve(known.astype(float), kernel, mode="constant") > 0.99
        self.usable = other & whole & (depth > FROM_SURFACE + self.radius)
        self.fault = np.full(self.usable.shape, np.inf)
        self.noise = 0.0
        if not self.usable.any():
            return
        tissue = [_Tissue(share, number, self.usable, kernel, wide) for share in shares]
        self.noise = max(part.noise for part in tissue)
        usual = np.logical_and.reduce([part.even for part in tissue])
        if not usual.any():
            usual = self.usable
        blood, blood_spread = _moments(np.where(known, perfusion, 0.0), kernel)
        unusual = np.log(np.where(self.usable, blood, 1.0) / _around(blood, usual, pixel))
        faults = [
            *(part.fault for part in tissue),
            np.abs(unusual) / math.log(DEMAND.blood),
            blood_spread / (DEMAND.blood_spread * float(np.median(blood_spread[usual])) + 1e-30),
        ]
        self.fault = np.where(self.usable, np.maximum.reduce(faults), np.inf)

    def best(
        self, wanted: tuple[float, float], taken: list[tuple[int, int]]
    ) -> tuple[tuple[int, int] | None, float]:
        """Find the disc for a point, clear of others: near and pure, else the purest. Give its fault too."""
        away = distance_from(self.usable.shape, [wanted], self.pixel)
        clear = self.usable & (distance_from(self.usable.shape, taken, self.pixel) > APART * self.radius)
        if not clear.any():
            return None, math.inf
        met = clear & (self.fault <= 1)
        cost = (
            np.where(met, away + FAR * self.fault, np.inf)
            if met.any()
            else np.where(clear, self.fault + 1e-3 * away, np.inf)  # of equals the nearest
        )
        row, column = np.unravel_index(int(np.argmin(cost)), cost.shape)
        return (int(row), int(column)), float(self.fault[row, column])


class _Tissue:
    """What is at fault with discs in one anatomical image; noise and the slice's level are taken off."""

    def __init__(
        self, share: np.ndarray, number: int, usable: np.ndarray, kernel: np.ndarray, wide: np.ndarray
    ) -> None:
        mean, spread = _moments(np.nan_to_num(share[number]), kernel)
        _, around = _moments(np.nan_to_num(share[number]), wide)
        near = usable & (np.abs(mean - 1) < NEAR_WHITE)
        if not near.any():
            near = usable
        self.noise = float(np.quantile(spread[near], NOISE))
        spread, around = (
            np.sqrt(np.maximum(part**2 - np.quantile(part[near], NOISE) ** 2, 0)) for part in (spread, around)
        )
        even = near & (spread <= EVEN[0]) & (around <= EVEN[1])
        #: Discs that are white matter most likely: they tell its level, and what is usual of the map.
        self.even = even if even.any() else near
        middle = float(np.median(mean[self.even]))
        beside = [
            np.abs(ndimage.convolve(np.nan_to_num(share[other]), kernel, mode="constant") - middle)
            for other in (number - 1, number + 1)
            # A slice without signal has one value everywhere and tells nothing.
            if 0 <= other < len(share) and np.ptp(np.nan_to_num(share[other])[usable]) > 0
        ]
        level = mean - middle
        self.fault = np.maximum.reduce(
            [
                spread / DEMAND.spread,
                around / DEMAND.spread_around,
                np.where(level < 0, -level / DEMAND.grey, level / DEMAND.beyond),
                *(part / DEMAND.beside for part in beside),
            ]
        )


def _around(blood: np.ndarray, usual: np.ndarray, pixel: tuple[float, float]) -> np.ndarray:
    """Give the mean over discs of white matter about each pixel; far from any, the median of all."""
    sigma = [REGION / p for p in pixel]
    middle = float(np.median(blood[usual]))
    weight = ndimage.gaussian_filter(usual.astype(float), sigma)
    total = ndimage.gaussian_filter(np.where(usual, blood, 0.0), sigma)
    return (total + 1e-3 * middle) / (weight + 1e-3)


def _moments(values: np.ndarray, kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give mean and standard deviation over the kernel around each pixel."""
    mean = ndimage.convolve(values, kernel, mode="constant")
    square = ndimage.convolve(values**2, kernel, mode="constant")
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _findings(worst: float, noise: float) -> list[Finding]:
    from SynthCBVLib.imaging.quality import Finding

    remedy = "Look whether it lies in white matter, and move it if not."
    findings = []
    if worst > TRUSTED:
        what = "A white-matter region may hold some grey matter or CSF."
        findings.append(Finding("warning", None, what, remedy))
    if noise > UNEVEN:
        what = (
            f"In the slice of the white-matter regions the image is so noisy or uneven ({noise:.0%} of the "
            "contrast of grey and white matter) that pure white matter cannot be told surely."
        )
        findings.append(Finding("warning", None, what, remedy.replace("it lies", "each region lies")))
    return findings
