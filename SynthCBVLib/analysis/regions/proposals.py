"""Propose all regions of a T/WM ratio: three hot spots, and white matter opposite them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import SimpleITK as sitk

from SynthCBVLib.analysis.arrays import check_grid
from SynthCBVLib.analysis.regions.hot_spots import propose_tumour
from SynthCBVLib.analysis.regions.midsagittal import LEAST_QUALITY, SagittalPlane, midsagittal_plane
from SynthCBVLib.analysis.regions.stamp import AREA
from SynthCBVLib.analysis.regions.white_matter import propose_white_matter
from SynthCBVLib.imaging.study import Modality
from SynthCBVLib.progress import Progress, silent

if TYPE_CHECKING:
    from SynthCBVLib.imaging.quality import Finding


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
    slices: Literal["one", "any"] = "one",
    plane: SagittalPlane | None = None,
    others: Mapping[Modality, sitk.Image] | None = None,
    progress: Progress | None = None,
) -> ProposedRegions:
    """Propose hot spots inside a tumour segment and white matter opposite them.

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
    white = propose_white_matter(reference, map, hot, tumour_segment, plane, mask, contrast, area, others)
    findings = [*hot.findings, *_plane_findings(plane), *white.findings]
    findings += [
        finding
        for finding in check_regions(map, hot.masks, white.masks, mask=mask, plane=plane)
        if finding.what not in {other.what for other in findings}
    ]
    report(1.0, "Regions proposed")
    return ProposedRegions(dict(hot.masks), dict(white.masks), plane, tuple(findings))


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
