"""A quick picture of an image of the head: voxels of 3 mm, and what of them is deep inside the head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.imaging.resampling import grid, resample
from SynthCBVLib.imaging.study import like

#: Voxel of the picture, mm.
SPACING = 3.0
#: Deeper than this (mm) below the surface of the head lies brain only.
BRAIN_DEPTH = 22.0
#: The part of the head (mm below its top) that holds the brain above the skull base.
UPPER = (20.0, 100.0)
#: A smaller head (mm³), or fewer voxels of deep brain, is none.
SMALLEST_HEAD, SMALLEST_CORE = 300_000.0, 500
#: Gaps up to twice this (mm) belong to the head.
_CLOSING = 8.0


@dataclass(frozen=True)
class Picture:
    """An image of the head in axial orientation.

    Attributes
    ----------
    image : sitk.Image
        float32, `SPACING` mm each way, axes to the left, back and head.
    values : ndarray (z, y, x)
        Its values.
    head : ndarray (z, y, x)
        True in the head; in an image without skull or a map, in what there is of it.
    """

    image: sitk.Image
    values: np.ndarray
    head: np.ndarray

    @cached_property
    def depth(self) -> np.ndarray:
        """Distance (mm) from the surface of the head; beyond the image there is no surface."""
        return ndimage.distance_transform_edt(self.head, sampling=SPACING)

    @cached_property
    def below_top(self) -> np.ndarray:
        """Height (z, 1, 1) in mm, downwards from the top of the head."""
        top = int(np.flatnonzero(self.head.any(axis=(1, 2))).max())
        return ((top - np.arange(len(self.values))) * SPACING)[:, None, None]

    @cached_property
    def core(self) -> np.ndarray:
        """True deep in the brain: white matter, ventricles, deep grey matter, some cortex."""
        return (
            (self.below_top > UPPER[0]) & (self.below_top < UPPER[1]) & (self.depth > BRAIN_DEPTH)
        )  # fmt: skip

    @cached_property
    def mask(self) -> sitk.Image:
        """The head without neck and lower face, as an image."""
        return like((self.head & (self.below_top < UPPER[1] + 10)).astype(np.uint8), self.image)


def small(image: sitk.Image) -> sitk.Image:
    """Give an image in axial orientation with voxels of `SPACING`, float32."""
    oriented = sitk.DICOMOrient(sitk.Cast(image, sitk.sitkFloat32), "LPS")
    return resample(oriented, grid(oriented, (SPACING, SPACING, SPACING)))


def take(image: sitk.Image) -> Picture | None:
    """Take the picture of a 3D image; None if no head of usual size is in it."""
    coarse = small(image)
    values = sitk.GetArrayFromImage(coarse)
    if min(values.shape) < 5:
        return None
    head = _head(values)
    if head is None or head.sum() * SPACING**3 < SMALLEST_HEAD:
        return None
    picture = Picture(coarse, values, head)
    return picture if np.count_nonzero(picture.core) >= SMALLEST_CORE else None


def _head(values: np.ndarray) -> np.ndarray | None:
    # Roots, because a bright scalp or CSF would otherwise put the threshold above the brain
    roots = np.sqrt(np.clip(values, 0, max(float(np.percentile(values, 99.5)), 0)))
    roots = ndimage.gaussian_filter(roots, 0.4)
    if roots.min() == roots.max():
        return None
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.Execute(sitk.GetImageFromArray(roots))
    labels, n = ndimage.label(roots > 0.8 * otsu.GetThreshold())
    if n == 0:
        return None
    tissue = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    margin = int(np.ceil(_CLOSING / SPACING)) + 1
    padded = np.pad(tissue, margin, mode="edge")
    grown = ndimage.distance_transform_edt(~padded, sampling=SPACING) <= _CLOSING
    closed = ndimage.distance_transform_edt(grown, sampling=SPACING) > _CLOSING
    head = closed[margin:-margin, margin:-margin, margin:-margin] | tissue
    return np.stack([ndimage.binary_fill_holes(each) for each in head])
