"""The discs of one slice that may be white matter: what is at fault with each, and the best for a place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from SynthCBVLib.analysis.regions.hot_spots import APART, distance_from
from SynthCBVLib.analysis.regions.stamp import disc_kernel

#: A disc's edge keeps this distance from the brain's surface, mm.
FROM_SURFACE = 3.0
#: Width of the ring around a disc that is looked at with it, mm: what lies beside a disc blurs into a map of
#: coarser voxels, and thin white matter between grey is seldom pure.
RING = 1.7
#: Where white matter is not so pure as it looks, a disc's faults weigh more. Nearer to the brain's surface
#: than `THIN` (mm, through the slices too) it is thin, and slices cut it obliquely. Deeper than `DEEP` (mm,
#: through the slices too, and within the slice) it runs between the deep nuclei, which are nearly as dark in
#: T2w. Of digital patients' discs that are without fault otherwise, 1 to 5 % hold too little white matter
#: there, and .1 % elsewhere.
THIN = 20.0
DEEP = (33.0, 44.0)
#: Discs within this of white matter's intensity (in its difference from grey matter's) tell what is usual.
NEAR_WHITE = 0.2
#: This quantile of those discs' spread is noise: pure white matter has no less.
NOISE = 0.05
#: Discs with at most this spread, alone and with their ring, tell white matter's level in the slice.
EVEN = (0.035, 0.06)
#: Blood volume of white matter changes slowly across a slice: a disc is held against white matter about it,
#: weighted by a Gaussian of this standard deviation (mm). Held against the whole slice's median, discs
#: opposite the tumour were given up for others 40 to 60 mm away.
REGION = 20.0
#: A disc that only just meets its limits counts as this much farther away (mm) than one without any fault.
FAR = 15.0
#: Of the discs that count as no more than this (mm) farther away than the best, the one is taken whose map
#: is nearest to what is typical of the place: where several are as good, the value of any one of them is
#: chance, of noise and of how far cortex blurs into the map.
CHOICE = 3.0
#: What is typical is the mean over discs within this of white matter's level (in its difference from grey
#: matter's), weighted by a Gaussian of this standard deviation (mm) about the mirrored hot spot. Discs at
#: white matter's border count too: the mean over pure ones only is that of deep white matter, 5 to 7 % lower.
TYPICAL_WHITE = 0.3
TYPICAL_REGION = 5.0


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


class Discs:
    """The discs around each pixel of one slice, and what is at fault with each.

    Attributes
    ----------
    fault : ndarray (row, column)
        Largest multiple of a limit of `DEMAND`, times `doubt_of_depth`; up to 1 the demand is met. Infinite
        where no region may lie.
    blood, typical : ndarray (row, column)
        Logarithm of the map's mean over the disc, and of what is typical of white matter about the place.
    """

    def __init__(
        self,
        shares: Sequence[np.ndarray],
        number: int,
        perfusion: np.ndarray,
        other: np.ndarray,
        brain: np.ndarray,
        deep: np.ndarray,
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
        self.blood = self.typical = np.zeros(self.usable.shape)
        self.noise = 0.0
        if not self.usable.any():
            return
        tissue = [_Tissue(share, number, self.usable, kernel, wide) for share in shares]
        self.noise = max(part.noise for part in tissue)
        usual = np.logical_and.reduce([part.even for part in tissue])
        if not usual.any():
            usual = self.usable
        blood, blood_spread = _moments(np.where(known, perfusion, 0.0), kernel)
        self.blood = np.log(np.where(self.usable, blood, 1.0))
        unusual = self.blood - np.log(_around(blood, usual, pixel, REGION))
        about = np.logical_and.reduce([part.about for part in tissue])
        self.typical = np.log(_around(blood, about if about.any() else usual, pixel, TYPICAL_REGION))
        faults = [
            *(part.fault for part in tissue),
            np.abs(unusual) / math.log(DEMAND.blood),
            blood_spread / (DEMAND.blood_spread * float(np.median(blood_spread[usual])) + 1e-30),
        ]
        fault = np.maximum.reduce(faults) * doubt_of_depth(deep, depth)
        self.fault = np.where(self.usable, fault, np.inf)

    def best(
        self, wanted: tuple[float, float], taken: list[tuple[int, int]]
    ) -> tuple[tuple[int, int] | None, float]:
        """Find the disc for a point, clear of others: near, pure and typical of it, else the purest.

        Its fault is given too.
        """
        away = distance_from(self.usable.shape, [wanted], self.pixel)
        clear = self.usable & (distance_from(self.usable.shape, taken, self.pixel) > APART * self.radius)
        if not clear.any():
            return None, math.inf
        met = clear & (self.fault <= 1)
        if met.any():
            far = np.where(met, away + FAR * self.fault, np.inf)
            point = np.unravel_index(int(np.argmin(away)), away.shape)
            cost = np.abs(self.blood - self.typical[point]) + 1e-4 * away  # of equals the nearest
            cost = np.where(far <= far.min() + CHOICE, cost, np.inf)
        else:
            cost = np.where(clear, self.fault + 1e-3 * away, np.inf)
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
        #: White matter with its borders: it tells what is typical of the map.
        self.about = usable & (np.abs(level) < TYPICAL_WHITE)
        self.fault = np.maximum.reduce(
            [
                spread / DEMAND.spread,
                around / DEMAND.spread_around,
                np.where(level < 0, -level / DEMAND.grey, level / DEMAND.beyond),
                *(part / DEMAND.beside for part in beside),
            ]
        )


def depth_of(brain: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Give each voxel's distance (mm) from the brain's surface (slice, row, column), through the slices too.

    Where the brain goes on beyond the first and the last slice there is no surface.
    """
    padded = np.pad(np.pad(brain, ((1, 1), (0, 0), (0, 0)), mode="edge"), ((0, 0), (1, 1), (1, 1)))
    return ndimage.distance_transform_edt(padded, sampling=spacing)[1:-1, 1:-1, 1:-1]


def doubt_of_depth(deep: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Give how much more the faults of a disc weigh by where it lies; 1 where white matter is lobar.

    Parameters
    ----------
    deep, depth : ndarray
        Distance (mm) of its centre from the brain's surface, through the slices and within the slice.
    """
    thin = THIN / np.maximum(deep, 1e-3)
    between = np.maximum(deep / DEEP[0], depth / DEEP[1])
    return np.maximum(1.0, thin) ** 2 * np.maximum(1.0, between) ** 4


def _around(blood: np.ndarray, usual: np.ndarray, pixel: tuple[float, float], region: float) -> np.ndarray:
    """Give the mean over discs of white matter about each pixel; far from any, the median of all."""
    sigma = [region / p for p in pixel]
    middle = float(np.median(blood[usual]))
    weight = ndimage.gaussian_filter(usual.astype(float), sigma)
    total = ndimage.gaussian_filter(np.where(usual, blood, 0.0), sigma)
    return (total + 1e-3 * middle) / (weight + 1e-3)


def _moments(values: np.ndarray, kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give mean and standard deviation over the kernel around each pixel."""
    mean = ndimage.convolve(values, kernel, mode="constant")
    square = ndimage.convolve(values**2, kernel, mode="constant")
    return mean, np.sqrt(np.maximum(square - mean**2, 0))
