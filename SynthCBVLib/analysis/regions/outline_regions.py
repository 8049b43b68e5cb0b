"""Outline of the tumour and the regions of a T/WM ratio, all proposed in one go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import SimpleITK as sitk

from SynthCBVLib.analysis.arrays import check_grid
from SynthCBVLib.analysis.regions.outline import SHOWING, ProposedOutline, named, propose_outline
from SynthCBVLib.analysis.regions.proposals import ProposedRegions, propose_regions
from SynthCBVLib.errors import InputError
from SynthCBVLib.imaging.brainmask import brain_mask
from SynthCBVLib.imaging.resampling import resample
from SynthCBVLib.imaging.study import Modality, same_grid
from SynthCBVLib.progress import Progress, part

if TYPE_CHECKING:
    from SynthCBVLib.imaging.quality import Finding


@dataclass(frozen=True)
class OutlinedRegions:
    """An outline with the regions inside it and opposite.

    Attributes
    ----------
    outline : ProposedOutline
        Not empty.
    regions : ProposedRegions or None
        None where no regions could be placed; the last finding says why.
    findings : tuple of Finding
        Of both; the first says that the outline was proposed, too.
    """

    outline: ProposedOutline
    regions: ProposedRegions | None
    findings: tuple[Finding, ...]

    def masks(self, name: str) -> dict[str, sitk.Image]:
        """Give all masks by name, that of the outline, under the name given, first."""
        return {name: self.outline.mask} | ({} if self.regions is None else self.regions.regions)


def propose_outlined_regions(
    reference: sitk.Image,
    contrast: Modality | str | None,
    map: sitk.Image,
    images: Mapping[Modality, tuple[sitk.Image, sitk.Transform | None]],
    mask: sitk.Image | None = None,
    progress: Progress | None = None,
) -> OutlinedRegions:
    """Propose the tumour's outline, then hot spots inside it and white matter opposite them.

    Parameters
    ----------
    reference : sitk.Image
        Anatomical image, with the map's grid.
    contrast : Modality or str or None
        What it is; has to be known.
    map : sitk.Image
        Map of blood volume that is searched for hot spots.
    images : Mapping of Modality to (sitk.Image, sitk.Transform or None)
        Further images on any grids, with what leads from points of the reference to points of the image
        (None where they are aligned as they are); `Modality.DWI` as `fluid_dark.fluid_dark_image` gives it.
    mask : sitk.Image, optional
        Brain mask; segmented from the reference by default.
    progress : Progress, optional
        May raise `Cancelled`.

    Raises
    ------
    InputError
        If no tumour stands out, or something that was given cannot be used.
    """
    if contrast is None:
        raise InputError(
            "anatomical image", "a modality that is not known", "T2w, T1w, FLAIR or T1c",
            "Say what the image is, or draw the outline of the tumour.",
        )  # fmt: skip
    check_grid(map, "map", reference, "anatomical image")
    if mask is None:
        mask = brain_mask(reference, Modality(contrast))
    aligned = {Modality(contrast): reference}
    for modality, (image, transform) in images.items():
        if modality in aligned or modality is Modality.RCBV:
            continue
        lies_right = transform is None and same_grid(image, reference)
        aligned[modality] = image if lies_right else resample(image, reference, transform)
    outline = propose_outline(aligned, mask, map=map, progress=part(progress, 0.0, 0.5))
    if not outline.found:
        raise InputError(
            "outline of the tumour", f"no tumour stands out in {named(outline.modalities)}",
            "an outline painted where you see it",
            "" if set(outline.modalities) & set(SHOWING) else "T2w or FLAIR would show more than these.",
        )  # fmt: skip
    findings, regions = list(outline.findings), None
    try:
        regions = propose_regions(
            reference, map, outline.mask, mask, contrast, progress=part(progress, 0.5, 1.0)
        )
        findings += regions.findings
    except InputError as error:
        from SynthCBVLib.imaging.quality import Finding

        findings.append(
            Finding("error", None, f"No regions could be placed: {error}", "Correct the outline.")
        )
    return OutlinedRegions(outline, regions, tuple(findings))
