"""Fields of view: whether images overlap, and whether they cover the brain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.brainmask import brain_mask
from SynthCBVLib.imaging.quality.finding import Finding
from SynthCBVLib.imaging.quality.noise import foreground
from SynthCBVLib.imaging.quality.pictures import small
from SynthCBVLib.imaging.study import Modality

#: Share of the reference's brain that every other image should see; a usual slab misses brain stem and part
#: of the cerebellum.
LOWEST_COVERAGE = 0.75
#: Share of it that may lie beyond the upper, front, back or side edge of an image.
MOST_BEYOND = 0.015
#: Area of the brain in the outermost slice over its largest: where the brain is cut.
MOST_AT_TOP, MOST_AT_SIDE = 0.35, 0.15
#: Height of the brain (mm) without cerebellum and brain stem; less is a slab.
LOWEST_HEIGHT = 95.0
#: Voxels coarser than this (mm, within and between slices) blur small tumours away.
COARSEST = (4.0, 8.0)
_FACES = ("right", "left", "front", "back", "bottom", "top")
_REMEDY = "The map is not to be trusted where the brain was not imaged: use a scan that covers it."


class Brain:
    """The brain in one image, as points.

    Attributes
    ----------
    points : ndarray (n, 3)
        LPS, mm.
    cut : list of str
        Edges of its field of view that cut it.
    height : float
        From foot to head, mm.
    """

    def __init__(self, image: sitk.Image, contrast: Modality | None) -> None:
        coarse = small(image)
        try:
            inside = sitk.GetArrayFromImage(brain_mask(coarse, contrast)) > 0
        except InputError:
            inside = foreground(coarse)
        index = np.argwhere(inside)[:, ::-1]
        index = index[:: max(1, len(index) // 6000)].astype(float)
        self.points = np.array(coarse.GetOrigin()) + index @ _index_to_point(coarse).T
        self.cut = list(_cut_faces(inside))
        slices = np.flatnonzero(inside.any((1, 2)))
        self.height = float(slices.max() - slices.min() + 1) * coarse.GetSpacing()[2] if len(slices) else 0.0


def _cut_faces(inside: np.ndarray) -> Iterable[str]:
    for axis, faces in ((2, _FACES[0:2]), (1, _FACES[2:4]), (0, _FACES[4:6])):
        area = inside.sum(tuple(a for a in range(3) if a != axis)).astype(float)
        area /= max(1.0, area.max())
        for face, at_edge in zip(faces, (area[0], area[-1]), strict=True):
            if face != "bottom" and at_edge > (MOST_AT_TOP if face == "top" else MOST_AT_SIDE):
                yield face


def check_own_view(modality: Modality, brain: Brain) -> Iterable[Finding]:
    """Look whether the reference itself cuts the brain."""
    for face in brain.cut:
        yield Finding(
            "warning", modality, f"the brain is cut off at the {face} of the field of view",
            _REMEDY, "coverage",
        )  # fmt: skip
    if 0 < brain.height < LOWEST_HEIGHT:
        yield Finding(
            "warning", modality, f"only {brain.height:.0f} mm of the brain from the top down",
            _REMEDY, "coverage",
        )  # fmt: skip


def check_view(
    modality: Modality, image: sitk.Image, reference: Modality, brain: Brain, transform: sitk.Transform | None
) -> Iterable[Finding]:
    """Look how much of the reference's brain an image sees.

    Parameters
    ----------
    modality : Modality
        Of the image.
    image : sitk.Image
        3D.
    reference : Modality
        What the brain was found in.
    brain : Brain
        There.
    transform : sitk.Transform or None
        Points of the reference to points of the image; None goes by the headers.
    """
    points = brain.points
    if transform is not None:
        points = np.array([transform.TransformPoint(p) for p in points.tolist()])
    there = (points - np.array(image.GetOrigin())) @ np.linalg.inv(_index_to_point(image)).T
    size = np.array(image.GetSize())
    below, above = there < -0.5, there > size - 0.5
    within = ~(below | above).any(1)
    seen = float(within.mean())
    how = "by the headers" if transform is None else "after a coarse alignment"
    if seen < LOWEST_COVERAGE:
        yield Finding(
            "warning", modality, f"covers only {seen:.0%} of the brain in {reference}, {how}",
            "The map is not to be trusted outside; if the head moved between scans, registration helps.",
            "coverage",
        )  # fmt: skip
        return
    direction = np.array(image.GetDirection()).reshape(3, 3)
    for axis in range(3):
        for outside, sign in ((below[:, axis], -1.0), (above[:, axis], 1.0)):
            face = _face(sign * direction[:, axis])
            share = float(outside.mean())
            if face != "bottom" and share > MOST_BEYOND:
                yield Finding(
                    "warning", modality,
                    f"cut off at the {face}: {share:.1%} of the brain in {reference} lies beyond, {how}",
                    _REMEDY, "coverage",
                )  # fmt: skip
    height = float(np.ptp(brain.points[within, 2]))
    if height < LOWEST_HEIGHT <= brain.height and "top" not in brain.cut:
        yield Finding(
            "warning", modality, f"covers only {height:.0f} mm of the brain from the top down",
            _REMEDY, "coverage",
        )  # fmt: skip


def _face(outward: np.ndarray) -> str:
    axis = int(np.abs(outward).argmax())
    return _FACES[2 * axis + (1 if outward[axis] > 0 else 0)]


def check_voxels(modality: Modality, image: sitk.Image) -> Iterable[Finding]:
    """Look at the size of the voxels."""
    spacing: Sequence[float] = sorted(image.GetSpacing())
    if spacing[1] > COARSEST[0] + 1e-3 or spacing[2] > COARSEST[1] + 1e-3:
        yield Finding(
            "warning", modality,
            f"coarse voxels of {' × '.join(f'{s:.3g}' for s in image.GetSpacing())} mm",
            "Small tumours are blurred: read their ratios with care.", "voxels",
        )  # fmt: skip


def _index_to_point(image: sitk.Image) -> np.ndarray:
    return np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
