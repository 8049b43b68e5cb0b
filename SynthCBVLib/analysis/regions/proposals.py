"""Propose all regions of a T/WM ratio: three hot spots, and white matter opposite them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.arrays import check_grid
from SynthCBVLib.analysis.regions.hot_spots import SlicePlane, Spots, propose_tumour, searched
from SynthCBVLib.analysis.regions.midsagittal import LEAST_QUALITY, SagittalPlane, midsagittal_plane
from SynthCBVLib.analysis.regions.stamp import AREA, slice_axis
from SynthCBVLib.analysis.regions.white_matter import propose_white_matter
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.progress import Progress, silent

if TYPE_CHECKING:
    from SynthCBVLib.imaging.quality import Finding

#: Where white matter opposite the tumour's largest slice is doubtful, slices are tried that have at least
#: this share of its area. No smaller ones: the ratio is not the same in every slice of a tumour.
NEARLY_LARGEST = 0.8


@dataclass(frozen=True)
class ProposedRegions:
    """Regions to look at, and to move where they are not right.

    Attributes
    ----------
    tumour, white_matter : dict of str to sitk.Image
        8-bit masks on the reference's grid: "Tumour 1" to 3, hottest first, and "White matter 1" to 3.
    plane : SagittalPlane
        The mid-sagittal plane that the hot spots were mirrored at.
    findings : tuple of Finding
        What is not as it should be; shown with the regions.
    """

    tumour: dict[str, sitk.Image]
    white_matter: dict[str, sitk.Image]
    plane: SagittalPlane
    findings: tuple[Finding, ...] = ()

    @property
    def regions(self) -> dict[str, sitk.Image]:
        """All masks by name, tumour first."""
        return self.tumour | self.white_matter


def propose_regions(
    reference: sitk.Image,
    map: sitk.Image,
    tumour_segment: sitk.Image,
    mask: sitk.Image | None = None,
    contrast: Modality | str | None = None,
    *,
    n: int = 3,
    area: float = AREA,
    slices: Literal["one", "any"] | int = "one",
    plane: SagittalPlane | None = None,
    others: Mapping[Modality, sitk.Image] | None = None,
    progress: Progress | None = None,
) -> ProposedRegions:
    """Propose hot spots inside a tumour segment and white matter opposite them.

    They lie in the slice where the segment is largest. Where what white matter there is opposite is doubtful,
    as low in the brain, they lie in the next largest slice where it is not, if that is nearly as large.

    Parameters
    ----------
    reference : sitk.Image
        Anatomical image (T2w, T1w, FLAIR) with the map's grid.
    map : sitk.Image
        Map that is searched for hot spots, such as rCBV.
    tumour_segment : sitk.Image
        Rough outline of the solid tumour, on the same grid.
    mask : sitk.Image, optional
        Brain mask on the same grid; segmented from the reference by default.
    contrast : Modality or str, optional
        What the reference is.
    n, area, slices
        As `propose_tumour`.
    plane : SagittalPlane, optional
        Fitted to the reference by default.
    others : Mapping of Modality to sitk.Image, optional
        More anatomical images on the same grid, to tell white matter more surely.
    progress : Progress, optional
        May raise `Cancelled`.

    Raises
    ------
    InputError
        If there is no tumour segment, the grids differ, or no regions can be placed.
    """
    from SynthCBVLib.analysis.regions.findings import check_regions
    from SynthCBVLib.imaging.brainmask import brain_mask

    report = silent if progress is None else progress
    check_grid(map, "map", reference, "anatomical image")
    report(0.0, "Finding the brain")
    if mask is None:
        mask = brain_mask(reference, None if contrast is None else Modality(contrast))
    report(0.2, "Finding hot spots")
    hot = propose_tumour(map, tumour_segment, n, area, mask, slices)
    report(0.3, "Fitting the mid-sagittal plane")
    if plane is None:
        plane = midsagittal_plane(reference, mask, tumour_segment)
    report(0.9, "Finding white matter")
    candidates: Iterable[Spots] = [hot]
    if slices == "one":
        candidates = chain([hot], _in_nearly_largest(map, tumour_segment, n, area, mask, len(hot.masks)))

    def white_opposite(spots: Spots) -> Spots:
        return propose_white_matter(
            reference, map, spots, tumour_segment, plane, mask, contrast, area, others
        )

    largest = hot
    hot, white = _first_sure(candidates, white_opposite)
    findings = [*_slice_findings(largest, hot, map), *hot.findings, *_plane_findings(plane), *white.findings]
    findings += [
        finding
        for finding in check_regions(map, hot.masks, white.masks, mask=mask, plane=plane)
        if finding.what not in {other.what for other in findings}
    ]
    report(1.0, "Regions proposed")
    return ProposedRegions(dict(hot.masks), dict(white.masks), plane, tuple(findings))


def _in_nearly_largest(
    map: sitk.Image, tumour_segment: sitk.Image, n: int, area: float, mask: sitk.Image, least: int
) -> Iterator[Spots]:
    """Propose hot spots in each nearly largest slice that has room for the least number of them."""
    sizes = searched(SlicePlane(map, "map"), map, tumour_segment, mask)[1].sum((1, 2))
    for number in np.argsort(-sizes, kind="stable")[1:]:
        if sizes[number] < NEARLY_LARGEST * sizes.max():
            return
        try:
            spots = propose_tumour(map, tumour_segment, n, area, mask, int(number))
        except InputError:
            continue
        if len(spots.masks) >= least:
            yield spots


def _first_sure(candidates: Iterable[Spots], white_opposite: Callable[[Spots], Spots]) -> tuple[Spots, Spots]:
    """Give the first hot spots with white matter opposite that is not doubted; without such, the first."""
    doubted: list[tuple[Spots, Spots]] = []
    errors: list[InputError] = []
    for hot in candidates:
        try:
            white = white_opposite(hot)
        except InputError as error:
            errors.append(error)
            continue
        if not white.doubted:
            return hot, white
        doubted.append((hot, white))
    if not doubted:
        raise errors[0]
    return doubted[0]


def _slice_findings(largest: Spots, taken: Spots, map: sitk.Image) -> list[Finding]:
    from SynthCBVLib.imaging.quality import Finding

    if taken is largest:
        return []
    axis = slice_axis(map)
    before, after = (spots.indices[0][axis] + 1 for spots in (largest, taken))
    return [
        Finding(
            "warning",
            None,
            f"Opposite the largest slice of the tumour ({before}) there is too little white matter that is "
            f"surely pure; the regions lie in slice {after}.",
            "Look whether that slice shows what you want to measure.",
        )
    ]


def _plane_findings(plane: SagittalPlane) -> list[Finding]:
    from SynthCBVLib.imaging.quality import Finding

    if np.isnan(plane.quality) or plane.quality >= LEAST_QUALITY:
        return []
    return [
        Finding(
            "warning",
            None,
            f"The halves of the brain mirror each other poorly (correlation {plane.quality:.2f}).",
            "Look whether the white-matter regions lie opposite the tumour.",
        )
    ]
