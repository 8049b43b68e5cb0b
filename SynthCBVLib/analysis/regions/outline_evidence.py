"""How much each place of a brain looks like solid tumour, from whatever images there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.imaging.resampling import grid, resample
from SynthCBVLib.imaging.study import Modality

if TYPE_CHECKING:
    from SynthCBVLib.analysis.regions.midsagittal import SagittalPlane

#: Solid tumour is brighter than brain in these (+1) or darker (-1). `Modality.DWI` stands for an image of
#: middle weighting (`fluid_dark_image`).
SIGNS = {
    Modality.T2W: 1, Modality.FLAIR: 1, Modality.DWI: 1, Modality.ADC: 1, Modality.T1W: -1, Modality.T1C: 1,
    Modality.CBF: 1, Modality.RCBV: 1,
}  # fmt: skip
#: Fluid is dark in these, so that it is told from tumour.
FLUID_DARK = (Modality.FLAIR, Modality.DWI)
#: Gliomas without enhancement are tumours as well: an image that does not enhance says nothing.
ONLY_FOR = (Modality.T1C,)
#: Vessels are bright in these, too: they say no more than this beyond what the other images say.
PERFUSION, AHEAD = (Modality.CBF, Modality.RCBV), 1.0
#: In-plane voxel size that is worked with, mm; coarser axes stay as they are.
SPACING = 2.0
#: Bright structures narrower than about twice this (mm) are taken for sulci, ventricles' rims and vessels:
#: nearly so where fluid is bright or a map shows vessels, less where tumour alone is.
NARROW, NARROW_TUMOUR = 4.1, 3.0
#: Standard deviation of the smoothing, mm, and how far the halves may be off each other, mm.
SMOOTHING, TOLERANCE = 2.0, 5.0
#: No image may say more against (in interquartile ranges of the brain) or for a tumour than this.
LEAST, MOST = -1.0, 2.5
#: Share of the brightest in T2w and ADC (`_TOP` percentile) above which fluid is, alone and where an image in
#: which fluid is dark agrees.
_FLUID, _FLUID_SEEN, _TOP = 0.85, 0.5, 99.5


@dataclass(frozen=True)
class Head:
    """The brain on a working grid.

    Attributes
    ----------
    grid : sitk.Image
        Empty image with its geometry.
    brain : ndarray of bool (z, y, x)
        Brain.
    sides : ndarray
        Distance from the mid-sagittal plane, mm, positive on the left.
    mirrored : ndarray (3, z, y, x)
        Index of the mirror image of each voxel.
    """

    grid: sitk.Image
    brain: np.ndarray
    sides: np.ndarray
    mirrored: np.ndarray

    @classmethod
    def of(cls, mask: sitk.Image, plane: SagittalPlane) -> Head:
        """Lay the working grid over the box of a brain mask."""
        shape = sitk.LabelShapeStatisticsImageFilter()
        shape.Execute(sitk.Cast(mask != 0, sitk.sitkUInt8))
        box = shape.GetBoundingBox(1)
        inside = sitk.Cast(sitk.RegionOfInterest(mask, box[3:], box[:3]) != 0, sitk.sitkFloat32)
        fine = SPACING / 1.2
        small = grid(inside, tuple(SPACING if s < fine else None for s in inside.GetSpacing()))
        brain = sitk.GetArrayFromImage(resample(inside, small)) > 0.5
        k, j, i = np.indices(brain.shape)
        axes = np.array(small.GetDirection()).reshape(3, 3) * np.array(small.GetSpacing())
        origin = np.array(small.GetOrigin())
        points = plane.mirror(origin + np.stack([i, j, k], -1) @ axes.T)
        index = (points - origin) @ np.linalg.inv(axes).T
        return cls(
            small, brain, plane.distance_map(small), np.moveaxis(index, -1, 0)[::-1].astype(np.float32)
        )

    @property
    def spacing(self) -> tuple[float, ...]:
        """Voxel size along z, y, x, mm."""
        return self.grid.GetSpacing()[::-1]

    def ball(self, radius: float) -> np.ndarray:
        """Give the voxels within a radius (mm) of one, as a footprint."""
        half = [int(radius // s) for s in self.spacing]
        steps = np.meshgrid(
            *[np.arange(-n, n + 1) * s for n, s in zip(half, self.spacing, strict=True)], indexing="ij"
        )
        return sum(step**2 for step in steps) <= radius**2

    def smoothed(self, values: np.ndarray, where: np.ndarray, sigma: float) -> np.ndarray:
        """Smooth (standard deviation mm) what lies within a mask; what lies outside has no say."""
        sigmas = [sigma / s for s in self.spacing]
        weight = ndimage.gaussian_filter(where.astype(np.float32), sigmas)
        return ndimage.gaussian_filter(np.where(where, values, 0), sigmas) / np.maximum(weight, 1e-3)

    def opposite(self, values: np.ndarray) -> np.ndarray:
        """Give the highest value within `TOLERANCE` of each voxel's mirror image, on the other side only."""
        mirrored = ndimage.map_coordinates(values, self.mirrored, order=1)
        ball = self.ball(TOLERANCE)
        low = float(values.min())
        left = self.sides > 0
        # One side at a time: else a tumour near the mid-line would be held against itself.
        highest = [
            ndimage.maximum_filter(np.where(side, mirrored, low), footprint=ball) for side in (left, ~left)
        ]
        return np.where(left, *highest)


def on_head(head: Head, image: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """Bring an image to the working grid; gives its values and where it has any within the brain.

    What is not finite or exactly zero is outside of what was measured.
    """
    values = sitk.GetArrayFromImage(sitk.Cast(image, sitk.sitkFloat32))
    measured = np.isfinite(values) & (values != 0)
    clean, share = (sitk.GetImageFromArray(part) for part in (
        np.where(measured, values, 0).astype(np.float32), measured.astype(np.float32)
    ))  # fmt: skip
    for part in (clean, share):
        part.CopyInformation(image)
    known = sitk.GetArrayFromImage(resample(share, head.grid))
    values = sitk.GetArrayFromImage(resample(clean, head.grid)) / np.maximum(known, 0.5)
    return values, (known > 0.5) & head.brain


def evidence(head: Head, images: Mapping[Modality, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Give the mean over the images of how far each place is on tumour's side.

    In each image, structures too narrow for a region are taken away, the rest is smoothed, and what counts is
    by how many interquartile ranges of the brain a place is beyond the brain's median and beyond its own
    mirror image: the mean of the two. Fluid is no tumour. Maps of perfusion do not speak alone, and an image
    that enhances adds to the mean of the others.

    Parameters
    ----------
    head : Head
        The brain.
    images : Mapping
        Values and where they are known, as `on_head` gives them, of each modality.

    Returns
    -------
    ndarray (z, y, x)
        `LEAST` to about `MOST`; `LEAST` outside the brain and in fluid.
    """
    tissue = head.brain & ~_fluid(head, images)
    known = {modality: where & tissue for modality, (_values, where) in images.items()}
    told = {
        modality: _of_one(head, modality, values, where, tissue)
        for modality, (values, where) in images.items()
    }
    shape = _mean({m: told[m] for m in told if m not in (*PERFUSION, *ONLY_FOR)}, known)
    for modality in set(told) & set(PERFUSION):
        told[modality] = np.where(np.isnan(shape), told[modality], np.minimum(told[modality], shape + AHEAD))
    total = _mean({m: told[m] for m in told if m not in ONLY_FOR}, known)
    for modality in set(told) & set(ONLY_FOR):
        count = sum(known[m].astype(np.float32) for m in told if m not in ONLY_FOR)
        more = np.where(known[modality], np.maximum(told[modality], 0), 0)
        total = np.where(np.isnan(total), more, total + more / np.maximum(count, 1))
    return np.where(tissue & np.isfinite(total), total, LEAST)


def _mean(told: Mapping[Modality, np.ndarray], known: Mapping[Modality, np.ndarray]) -> np.ndarray:
    """Give the mean of what the images that are known at each place say; NaN where there is none."""
    shape = next(iter(known.values())).shape
    total, count = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for modality, values in told.items():
        total += np.where(known[modality], values, 0)
        count += known[modality]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _of_one(
    head: Head, modality: Modality, values: np.ndarray, known: np.ndarray, tissue: np.ndarray
) -> np.ndarray:
    where = known & tissue
    if not where.any():
        return np.full(values.shape, LEAST, np.float32)
    low, middle, high = np.percentile(values[where], [25, 50, 75])
    # Fluid stays for the opening: the wall of a cyst is not narrow for what it holds.
    beyond = np.where(known, SIGNS[modality] * (values - middle) / ((high - low) or 1.0), 0).astype(
        np.float32
    )
    narrow = NARROW_TUMOUR if modality in (*FLUID_DARK, *ONLY_FOR) else NARROW
    beyond = ndimage.grey_opening(beyond, footprint=head.ball(narrow))
    beyond = np.where(where, head.smoothed(beyond, where, SMOOTHING), 0)
    return np.clip(beyond - head.opposite(beyond) / 2, LEAST, MOST)


def _fluid(head: Head, images: Mapping[Modality, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Tell where there is fluid: very bright in T2w or ADC; less will do if FLAIR or DWI is dark there."""
    fluid = np.zeros(head.brain.shape, bool)
    dark = np.ones(head.brain.shape, bool)
    seen = [modality for modality in FLUID_DARK if modality in images]
    for modality in seen:
        values, known = images[modality]
        dark &= ~known | (values < np.percentile(values[known], 75))
    for modality in (Modality.T2W, Modality.ADC):
        if modality in images:
            values, known = images[modality]
            top = np.percentile(values[known], _TOP)
            if seen:
                fluid |= known & dark & (values > _FLUID_SEEN * top)
            else:
                fluid |= known & (values > _FLUID * top)
    return fluid
