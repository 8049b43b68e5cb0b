"""Contralateral white-matter proposals: hot spots mirrored, then moved to pure white matter nearby."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from SynthCBVLib.analysis.arrays import check_grid, inside_of, values_of
from SynthCBVLib.analysis.regions.hot_spots import SlicePlane, Spots
from SynthCBVLib.analysis.regions.stamp import AREA
from SynthCBVLib.analysis.regions.white_discs import Discs, depth_of
from SynthCBVLib.analysis.regions.white_level import learn_white_matter
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality

if TYPE_CHECKING:
    from SynthCBVLib.analysis.regions.midsagittal import SagittalPlane
    from SynthCBVLib.imaging.quality import Finding

#: A disc's edge keeps these distances (mm) from the tumour segment and the mid-plane.
FROM_TUMOUR = 6.0
FROM_MIDLINE = 4.0
#: Where no disc meets the demand of `white_discs`, that of the least fault is taken; it is told of where it
#: exceeds a limit by this factor.
TRUSTED = 1.5
#: Where the noise of the anatomical image is above this (in the difference from grey matter's intensity), it
#: may as well be a slice without pure white matter, which is told; it is .02 to .05 in digital patients' T2w.
UNEVEN = 0.1


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
    matter's intensity there and in the neighbouring slices, and even and usual in the map, the more so where
    white matter is thin or runs between the deep nuclei), those nearest are looked at, a little farther away
    where they are the purer for it: blood volume of white matter changes from place to place, so the ratio is
    steadiest where its reference lies just opposite. Of these the one is taken whose map is most typical of
    the white matter about that place.

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
    deep = depth_of(slices.slices_of(inside_of(mask, "brain mask")), spacing)
    found: list[tuple[int, int, int]] = []
    discs: dict[int, Discs] = {}
    faults: list[float] = []
    noise = 0.0
    for index in hot_spots.indices:
        number = int(index[slices.axis])
        mirrored = plane.mirror(np.array(reference.TransformIndexToPhysicalPoint([int(i) for i in index])))
        wanted = slices.spot(reference.TransformPhysicalPointToContinuousIndex(mirrored.tolist()))[1:]
        taken = [(r, c) for k, r, c in found if k == number]
        if number not in discs:
            discs[number] = Discs(
                shares, number, perfusion[number], other[number], brain[number], deep[number], pixel, area
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
        faults.append(fault)
        noise = max(noise, discs[number].noise)
    names = [f"White matter {i}" for i in range(1, len(found) + 1)]
    doubted = [name for name, fault in zip(names, faults, strict=True) if fault > TRUSTED]
    return Spots(
        {name: slices.stamped(spot, area) for name, spot in zip(names, found, strict=True)},
        tuple(slices.index(spot) for spot in found),
        tuple(_findings(doubted, noise)),
        tuple(doubted),
    )


def _side(sides: np.ndarray, hot_spots: Spots, slices: SlicePlane) -> float:
    """Tell the tumour's side: +1 left, -1 right, by the hot spots' centres."""
    at = [slices.spot(index) for index in hot_spots.indices]
    total = sum(float(sides[int(k), int(r), int(c)]) for k, r, c in at)
    return 1.0 if total >= 0 else -1.0


def _findings(doubted: list[str], noise: float) -> list[Finding]:
    """Tell of regions that no disc nearly without fault was found for, and of noise."""
    from SynthCBVLib.imaging.quality import Finding

    remedy = "Look whether each lies in white matter, and move it if not."
    findings = []
    if doubted:
        what = f"{', '.join(doubted)} may hold some grey matter or CSF: no purer place was found opposite."
        findings.append(Finding("warning", None, what, remedy))
    if noise > UNEVEN:
        what = (
            f"In the slice of the white-matter regions the image is so noisy or uneven ({noise:.0%} of the "
            "contrast of grey and white matter) that pure white matter cannot be told surely."
        )
        findings.append(Finding("warning", None, what, remedy))
    return findings
